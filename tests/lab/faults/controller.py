# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that runs the roll loses it: SIGKILL, in each of its steps. Then the same command again."""

from __future__ import annotations

from rows import KILLED, Row, both, draining, others_restart, process_runs, publish, step

WINDOW = 'quorum', 'drain'


def kill(run):
    run.roll.kill()


def killed(name, moment, reach=WINDOW, **more):
    return Row('controller-killed-in-' + name, 'the controller is killed in the step ' + name, moment=moment,
               inject=kill, outcome=KILLED, reach=reach, **more)


def passed_over(*nodes):
    """The second command does not touch nodes that the first one has finished."""
    def check(run):
        return ['the second command does not say that it passes over ' + node for node in nodes
                if '%s: on 0.8.1 already, passed over' % node not in run.rolls[1].text]
    return check


ROWS = [
    killed('stage', step('stage'), reach=('stage',)),
    killed('schema', process_runs('sf-1', 'ensure-mariadb-schema'), reach=('schema',),
           prepare=publish('0.8.1', 'migration_slow')),
    killed('drain', draining('sf-1')),
    Row('controller-killed-and-a-newer-release', 'the same, and a newer release appears; nobody has named one',
        release='', moment=draining('sf-1'), inject=both(kill, publish('0.8.2')), outcome=KILLED, reach=WINDOW,
        ends='0.8.1', ci=True),
    killed('activate', step('activate', 'sf-2'), check=passed_over('sf-1')),
    killed('restart', others_restart('sf-1')),
    killed('gate', step('gate', 'sf-2'), check=passed_over('sf-1', 'sf-2')),
]
