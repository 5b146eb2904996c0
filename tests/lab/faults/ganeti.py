# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of hosts that are emptied of their guests: of Ganeti's nodes, its instances, its memory and its master.

In all of them a watcher looks where each instance runs. What was down must be of a node that the fault takes down.
"""

from __future__ import annotations

import dataclasses

import lab
from products import synnefo as product
from rows import KILLED, REFUSED, Row, both, nothing, power_off, seen, step, until

# The first one that is rolled; gnt-1 is the master.
FIRST = 'gnt-2'
HOOKS = '/etc/ganeti/hooks/instance-migrate-pre.d'
UNREACHABLE = '(?i)unreachable|cannot be reached|connection'


@dataclasses.dataclass(frozen=True)
class GanetiRow(Row):
    """A row of Ganeti."""
    product: str = 'ganeti'
    release: str = ''
    ends: str = 'rebooted'
    node: str = FIRST


def memory(mib, *nodes):
    """What some nodes have for instances."""
    def act(run):
        for node in nodes:
            run.log('%s: %d MiB' % (node, mib))
            product.set_memory(node, mib)
    return act


def shell(node, script):
    return lambda run: run.lab.shell(node, script)


def hook(script):
    """Have something done on the master before an instance migrates."""
    return shell('gnt-1', "mkdir -p %s && printf '#!/bin/sh\\n%s\\n' >%s/10-lab && chmod 755 %s/10-lab"
                 % (HOOKS, script, HOOKS, HOOKS))


NO_HOOK = shell('gnt-1', 'rm -f %s/10-lab' % HOOKS)
# Long enough to throw a fault while an instance is on its way.
SLOW = hook('sleep 4')


def moved(run):
    """Whether an instance of the first node was moved already, and another one is left there."""
    instances = {row['name']: row for row in run.lab.plan.cluster()[1]}
    gone = [row for row in instances.values() if 'rolling:from:' + FIRST in row['tags']
            and not row['pnode'].startswith(FIRST)]
    return bool(gone) and any(row['pnode'].startswith(FIRST) and row['status'] == 'running'
                              for row in instances.values())


MOVED = seen('the first instance of %s was moved' % FIRST, moved)


def unplug(node):
    return lambda run: (lab.UNPLUGGED / node).touch()


def plug_in(node):
    """The power supply starts what had ended."""
    def act(run):
        (lab.UNPLUGGED / node).unlink()
        until('%s is up' % node, lambda: run.lab.runs(node))
        until('%s is reached' % node, lambda: run.lab.reached(node))
    return act


def back(node):
    """It is switched on again, and its instances are started by whoever does that on a real cluster: the watcher."""
    def act(run):
        run.lab.power_on(node)
        until('%s is reached' % node, lambda: run.lab.reached(node))

        def whole():
            try:
                # A run that has lost the master could not end its pause: the operator does.
                run.lab.execute(run.lab.plan.master(), 'gnt-cluster', 'watcher', 'continue', check=False)
                run.lab.execute(run.lab.plan.master(), 'ganeti-watcher', check=False)
            except lab.LabError:
                return False
            return not product.unstarted(run.lab.plan)
        until('the instances of %s run again' % node, whole, 180)
    return act


def killed(name, about, moment=None, mend=nothing):
    return GanetiRow('ganeti-killed-in-%s' % name, 'the controller is killed while ' + about, node='', mend=mend,
                     moment=moment or step(name, FIRST), inject=lambda run: run.roll.kill(), outcome=KILLED)


REBOOTS = seen('sshd of %s does not answer' % FIRST, lambda run: not run.lab.reached(FIRST))


def booted(run):
    """Until then the same command is refused: the node cannot be reached."""
    until('sshd of %s answers' % FIRST, lambda: run.lab.reached(FIRST))


IMPATIENT = ('-e', 'roll_reconnect_timeout=10')

ROWS = [
    GanetiRow('ganeti-no-room', 'the other nodes have no room for the instances of one',
              inject=memory(1100, 'gnt-1', 'gnt-3'), mend=memory(product.MEMORY, 'gnt-1', 'gnt-3'),
              outcome=REFUSED, node='', cause=('expected room for all instances of gnt-2.gnt.lab; there is none for',)),

    GanetiRow('ganeti-no-room-in-the-middle', 'there is no more room when the first instance was moved',
              prepare=SLOW, moment=MOVED, inject=memory(1100, 'gnt-1', 'gnt-3'),
              mend=both(memory(product.MEMORY, 'gnt-1', 'gnt-3'), NO_HOOK),
              cause=('there is none for', 'gnt-2 stays drained', 'Moved away, and given back', 'Not touched: gnt-3',
                     'have room, [0-9]+ MiB more than now')),

    GanetiRow('ganeti-instance-does-not-migrate', 'a hook of Ganeti refuses that one instance migrates',
              inject=hook('[ "$GANETI_INSTANCE_NAME" != mail1.gnt.lab ]'), mend=NO_HOOK,
              cause=('expected mail1.gnt.lab to be running on another host', 'gnt-2 stays drained', 'mail1',
                     'Not touched: gnt-3')),

    GanetiRow('ganeti-master-dies', 'the master loses power while instances move', prepare=SLOW, moment=MOVED,
              inject=power_off('gnt-1'), mend=both(back('gnt-1'), NO_HOOK), faulted=('gnt-1',), arguments=IMPATIENT,
              cause=(UNREACHABLE, 'gnt-1 is the master', 'gnt-2 is drained', 'The watcher is paused until',
                     'Not touched: gnt-3', 'gnt-cluster master-failover')),

    GanetiRow('ganeti-other-node-down', 'another node loses power while one reboots', moment=step('restart', FIRST),
              inject=power_off('gnt-3'), mend=back('gnt-3'), faulted=('gnt-3',),
              cause=('gnt-3 does not answer the cluster', 'NOT RUNNING: .*ERROR_nodedown on gnt-3',
                     'Not touched: gnt-3', 'see why gnt-3 does not answer')),

    GanetiRow('ganeti-node-does-not-come-back', 'a node does not come back from its reboot',
              inject=unplug(FIRST), mend=plug_in(FIRST), arguments=('-e', 'roll_reboot_timeout=30'),
              cause=('another boot id', 'gnt-2 is offline. On it: no instance', 'Not touched: gnt-3',
                     'look at the console of gnt-2')),

    killed('quorum', 'it looks for room'),
    killed('drain', 'instances move'),
    killed('activate', 'the node is marked offline'),
    killed('restart', 'the node reboots', REBOOTS, booted),
    killed('gate', 'the node is looked at'),
    killed('settle', 'instances are given back'),
]
