# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words in which the rows of the fault matrix are written.

An action is a function of the run: `run.lab` is the lab, `run.roll` the command that runs now or ran last, `run.notes`
a dict for whatever a row wants to keep. Waits are for conditions, with a limit; they raise Trouble when it runs out.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Callable

# What may become of a roll into which a fault is thrown.
ROLLED = 'rolled'       # it does not mind, and ends with rc 0
REFUSED = 'refused'     # it says so before it has touched anything
STOPPED = 'stopped'     # it stops at that node, with a message
KILLED = 'killed'       # nothing is left of it that could say anything

NODES = ('sf-1', 'sf-2', 'sf-3')


class Trouble(Exception):
    """The row could not be carried out; the text says what was missing."""


def nothing(run):
    """No action."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a fault is thrown in: as soon as `condition(run)` is true of the roll that runs."""
    words: str
    condition: Callable
    step: str = ''                          # of the events that it waits for
    lab: tuple = ()                         # options of a lab in which it lasts until the fault is there


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault. Only `name` and `about` have no default; what is not said is as in an ordinary upgrade."""
    name: str
    about: str                              # the fault, as the table shows it
    product: str = 'shakenfist'             # what is rolled, one of tools/lib/product.py
    lab: tuple = ()                         # further options of tools/lab up
    playbook: str = ''                      # what is run; '' for what upgrades the product
    prepare: Callable = nothing             # what is there before the load begins; no part of the fault
    leader: str = 'sf-3'                    # who is elected then; the others are rolled in the order of their names
    inject: Callable = nothing              # the fault
    moment: Moment | None = None            # None: before the command is run
    mend: Callable = nothing                # takes the fault away, after the command has ended
    release: str = '0.8.1'                  # '' for none: the newest is found
    arguments: tuple = ()                   # further arguments of the command; {lb} is the balancer's address
    outcome: str | tuple = STOPPED          # what must become of the roll; some have a choice
    node: str = ''                          # who the message must name
    cause: tuple = ()                       # patterns of what the message must say of the cause
    next: str = ''                          # a pattern of what comes next; '' for the usual words of the outcome
    again: tuple | None = None              # the release and the arguments of the second command, where they differ
    ends: str = ''                          # the release that all nodes end on; '' for `release`
    faulted: tuple = ()                     # machines whose failed requests are the fault's own
    fails: str = ''                         # pattern of other requests ('POST /api/lab/notes 500 at sf-1') that cannot
    #                                         but fail while the fault lasts
    recovery: float = 0.0                   # seconds after the mending in which they still do
    spoils: int = 0                         # how many volumes of the load the fault itself may break
    check: Callable = nothing               # returns what else is wrong: a list of sentences, or None
    ci: bool = False                        # one of the few that every run of tools/test has
    reach: tuple = ()                       # steps of which the second command must begin one

    @property
    def options(self):
        """All further options of tools/lab up: the row's own, and what its moment needs."""
        return self.lab + (self.moment.lab if self.moment else ())


# ---- moments

def step(name, node='', about=''):
    """When a step begins, on a node or of all nodes; where it is one of a service, that of this service."""
    return Moment(' '.join(filter(None, ['step', name, about and 'of ' + about, 'begins', node and 'on ' + node])),
                  lambda run: run.roll.told(event='begin', step=name, node=node, about=about), name)


def others_restart(node):
    """While a node of the database tier restarts its other daemons: its gateway is back already."""
    def condition(run):
        now = run.lab.unit(node, 'sf-database')
        before = run.notes.setdefault('the gateway of ' + node, now['InvocationID'])
        return now['ActiveState'] == 'active' and now['InvocationID'] != before
    return Moment('sf-database of %s was restarted' % node, condition, 'restart')


def reaches(name):
    """When a step begins, on whichever node is the first."""
    return Moment('step %s begins' % name, lambda run: run.roll.reached(name) is not None, name)


def later(seconds, moment):
    """Some seconds after another moment of the same command."""
    def condition(run):
        came = 'command %d: %s' % (len(run.rolls), moment.words)
        if came not in run.notes and moment.condition(run):
            run.notes[came] = time.monotonic()
        return came in run.notes and time.monotonic() - run.notes[came] >= seconds
    return Moment('%g s after %s' % (seconds, moment.words), condition, moment.step, moment.lab)


def seen(words, condition):
    """When a condition is true of the lab."""
    return Moment(words, condition)


def draining(node):
    """While the API of a node drains, long enough to throw a fault into it on a busy machine, too."""
    return Moment('sf-api of %s is deactivating' % node,
                  lambda run: run.lab.unit(node, 'sf-api')['ActiveState'] == 'deactivating', lab=('--drain-grace', '8'))


def process_runs(node, pattern):
    """While a process of that command line runs on the node."""
    return Moment('a process %s on %s' % (pattern, node), lambda run: run.lab.processes(node, pattern))


# ---- actions

def shell(machine, *commands):
    """Run commands as root, without ssh."""
    return lambda run: run.lab.shell(machine, '\n'.join(commands))


def both(*actions):
    def act(run):
        for action in actions:
            action(run)
    return act


def lasting(seconds, begin, end):
    """A fault that is over by itself; here the time is no wait, but what is to be survived."""
    def act(run):
        begin(run)
        try:
            time.sleep(seconds)
        finally:
            end(run)
    return act


def end_process(machine, pattern):
    return lambda run: run.lab.execute(machine, 'pkill', '-KILL', '-f', pattern)


def install(machine, version, *traits):
    """Put a release, maybe a broken one, into the virtualenv of a node, behind the back of its daemons."""
    def act(run):
        run.lab.publish(version, *traits)
        run.lab.shell(machine, '/srv/shakenfist/venv/bin/python -m pip install --quiet --no-deps --no-cache-dir '
                      '--force-reinstall shakenfist==' + version)
        run.lab.publish(version)
    return act


def publish(version, *traits):
    """Offer a release on the index."""
    return lambda run: run.lab.publish(version, *traits)


def withdraw(version):
    return lambda run: run.lab.withdraw(version)


def power_off(machine):
    return lambda run: run.lab.power_off(machine)


def power_on(machine):
    def act(run):
        run.lab.power_on(machine)
        until('%s is ready' % machine, lambda: run.lab.ready(machine))
    return act


def reboot(machine):
    def act(run):
        run.lab.power_off(machine)
        run.lab.power_on(machine)
    return act


def small_disk(machine):
    """Its releases are on a disk of their own, with room for one more."""
    return shell(machine, 'mkdir -p /mnt/small', 'mount -t tmpfs -o size=220m small /mnt/small',
                 'cp -a /srv/shakenfist/. /mnt/small', 'mount --bind /mnt/small /srv/shakenfist')


def fill_disk(machine):
    return shell(machine, 'dd if=/dev/zero of=/srv/shakenfist/filler bs=1M 2>&1 || true')


def clear_disk(machine):
    return shell(machine, 'rm -f /srv/shakenfist/filler')


# A stopped sshd leaves the connections that it has accepted, and Ansible keeps one open.
no_ssh = 'systemctl stop ssh.socket ssh.service; pkill -KILL -x sshd || true'


def unreachable(machine):
    return shell(machine, no_ssh)


def reachable(machine):
    return shell(machine, 'systemctl start ssh.service')


def until(words, condition, limit=60.0):
    """Wait until a condition is true."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble('not within %g s: %s' % (limit, words))
        time.sleep(0.1)


def remains(find, limit=30.0):
    """What is found, and does not go away by itself."""
    deadline = time.monotonic() + limit
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def ready(node):
    """Wait until every worker of a node's sf-api is ready."""
    return lambda run: until('%s is ready' % node, lambda: run.lab.ready(node))


def all_is_well(run):
    """Wait until every node is ready and the balancer has it."""
    until('all nodes are ready and the balancer has them', run.lab.whole)


def gateways(status, *nodes):
    """Wait until sf-database says that of its health, as it last did in the journal."""
    def act(run):
        for node in nodes or run.lab.database:
            until('the gateway of %s is %s' % (node, status), lambda node=node: run.lab.gateway(node) == status)
    return act
