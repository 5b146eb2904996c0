# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that runs the roll loses it: SIGKILL, in each of its steps. Then the same command again."""

from __future__ import annotations

from rows import KILLED, Row, draining, process_runs, publish, task

WINDOW = r'TASK \[.*(Wait until enough other nodes|Stop the API and witness)'


def killed(step, moment, reach=WINDOW, **more):
    return Row('controller-killed-in-' + step, 'the controller is killed in the step ' + step, moment=moment,
               inject=lambda run: run.roll.kill(), outcome=KILLED, reach=reach, **more)


def passed_over(*nodes):
    """The second command does not touch nodes that the first one has finished."""
    def check(run):
        return ['the second command does not say that it passes over ' + node for node in nodes
                if '%s: on 0.8.1 already, passed over' % node not in run.rolls[1].text]
    return check


ROWS = [
    killed('stage', task('Stage the release'), reach=r'TASK \[.*Stage the release'),
    killed('schema', process_runs('sf-1', 'ensure-mariadb-schema'), reach=r'TASK \[.*Bring the schema',
           prepare=publish('0.8.1', 'migration_slow')),
    killed('drain', draining('sf-1')),
    killed('activate', task('Activate the staged release', 'sf-2'), check=passed_over('sf-1'), ci=True),
    killed('restart', task('Restart the daemons that others order after', 'sf-1')),
    killed('gate', task('Wait until every worker', 'sf-2'), check=passed_over('sf-1', 'sf-2')),
]
