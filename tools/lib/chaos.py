# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random rows for the fault matrix: what meets a command, in which of its moments, and what meets those after it."""

# A row is drawn from its name, random-SEED-NUMBER or PRODUCT-random-SEED-NUMBER, before anything runs: to have it once
# more, the name is enough, as long as this file is the same.

from __future__ import annotations

import dataclasses
import random
import re
import signal
from typing import Callable

from rows import (
    KILLED,
    NODES,
    REFUSED,
    ROLLED,
    STOPPED,
    Moment,
    Row,
    Trouble,
    both,
    clear_disk,
    fill_disk,
    lasting,
    later,
    nothing,
    process_runs,
    publish,
    reachable,
    reaches,
    reboot,
    remains,
    shell,
    small_disk,
    step,
    unreachable,
    until,
)

LATEST = 3.0            # seconds from the begin of a step until something happens
KILL = 0.5              # how likely it is a kill, and not another fault
AGAIN = 0.4             # how likely the second command is killed as well, and the third one where that was
OTHER = 0.1             # how likely a row is one of Cinder, which takes several times as long as one of Shaken Fist


@dataclasses.dataclass(frozen=True)
class Fault:
    """What meets a command, and is over when `act` returns. For what it explains, the fields are those of a row."""
    words: str
    act: Callable
    fails: str = ''
    recovery: float = 0.0
    spoils: int = 0
    prepare: Callable = nothing
    outcome: tuple = (ROLLED, STOPPED, REFUSED)


@dataclasses.dataclass(frozen=True)
class RandomRow(Row):
    """The same command until it ends; `kills` has when the second one and the third one are met, and by what."""
    kills: tuple[tuple[Moment, Fault], ...] = ()


@dataclasses.dataclass(frozen=True)
class Command:
    """What is run: the moments that it surely has, the faults that it may meet, and further fields of its rows."""
    words: str
    moments: tuple[Moment, ...]
    faults: tuple[Callable[[random.Random], Fault], ...]
    row: dict


# ---- what meets a command

SIGNALS = 'SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'


def kill(draw):
    """After it the controller may say no word. Some get it together with all that they have started, as by a reboot."""
    name = draw.choice(SIGNALS)
    everything = name == 'SIGKILL' and draw.random() < 0.5
    return Fault('%s for the controller%s' % (name, ' and all that it has started' if everything else ''),
                 lambda run: run.roll.kill(getattr(signal, name), everything),
                 outcome=(ROLLED, STOPPED, REFUSED, KILLED))


def seconds(draw, least, most):
    return round(draw.uniform(least, most), 1)


def at(node):
    """The requests that fail at a node."""
    return ' at %s$' % node


# They may fail: the roll may be stopping that unit just then.
RESTART, DIE = 'systemctl restart %s || true', 'systemctl kill --signal=KILL %s || true'
UNITS = 'sf-api', 'sf-net', 'sf-queues', 'sf-resources'
RETURN = 5.0            # seconds until systemd starts again what was killed; a gateway is looked at as often


def restarted(draw):
    node, unit = draw.choice(NODES), draw.choice(UNITS)
    return Fault('%s of %s is restarted' % (unit, node), shell(node, RESTART % unit),
                 fails=at(node) if unit == 'sf-api' else '', recovery=RETURN)


def dies(draw):
    node, unit = draw.choice(NODES), draw.choice(UNITS)
    return Fault('%s of %s is killed' % (unit, node), shell(node, DIE % unit),
                 fails=at(node) if unit == 'sf-api' else '', recovery=2 * RETURN)


def gateway(draw):
    """Not after a migration: the sf-database of the old release refuses to start then, and that is no small fault."""
    node, (what, script) = draw.choice(NODES[:2]), draw.choice([('restarted', RESTART), ('killed', DIE)])
    return Fault('sf-database of %s is %s' % (node, what), shell(node, script % 'sf-database'), fails='.',
                 recovery=3 * RETURN)


def mariadb(dummy):
    return Fault('MariaDB is restarted', shell('db', 'systemctl restart mariadb'), fails='.', recovery=3 * RETURN)


def balancer(dummy):
    """A new HAProxy takes every server for up until it has asked it, a stopped one as well."""
    return Fault('the balancer is restarted', shell('lb', 'systemctl restart haproxy'), fails='.', recovery=10.0,
                 spoils=2)


def unreached(*nodes):
    def ssh(draw):
        node, span = draw.choice(nodes), seconds(draw, 2, 8)
        return Fault('%s is not reached by ssh for %g s' % (node, span),
                     lasting(span, unreachable(node), reachable(node)))
    return ssh


def index(draw):
    span = seconds(draw, 2, 8)
    return Fault('the package index does not answer for %g s' % span, lasting(
        span, shell('db', 'systemctl stop lab-index'), shell('db', 'systemctl start lab-index')))


def disk(draw):
    """Of a node without the backup."""
    node, span = draw.choice(NODES[1:]), seconds(draw, 2, 8)
    return Fault('the disk of %s is full for %g s' % (node, span), lasting(span, fill_disk(node), clear_disk(node)),
                 prepare=small_disk(node))


def reboots(dummy):
    """One without a gateway."""
    node = NODES[2]
    return Fault('%s reboots' % node, both(reboot(node), lambda run: until(
        'sshd of %s answers' % node, lambda: run.lab.reached(node))), fails=at(node), recovery=20.0)


def broker(dummy):
    return Fault('RabbitMQ is restarted', shell('db', 'systemctl restart rabbitmq-server'), fails='.', recovery=20.0,
                 spoils=3)


# ---- how it is left

def units(run):
    """By node and unit, the run of each one that runs."""
    return {(node, name): unit['invocation'] for node in run.lab.nodes
            for name, unit in run.lab.facts(node)['units'].items() if unit['active']}


def note_units(run):
    run.notes['units'] = units(run)


def all_run(run):
    """Whatever ran still does, or does again."""
    return remains(lambda: ['%s of %s ran before, and does not any more' % key[::-1]
                            for key in sorted(run.notes['units'].keys() - units(run).keys())])


def all_restarted(run):
    now = units(run)
    return all_run(run) + ['%s of %s was not restarted' % key[::-1]
                           for key, invocation in run.notes['units'].items() if now.get(key) == invocation]


def upgraded(version):
    """The nodes came to their release by an upgrade, so that there is one to go back to."""
    def act(run):
        roll = run.start([*run.base(), run.product.playbook,
                          *run.filled((*run.product.arguments, '-e', 'rolling_release=' + version))])
        if roll.wait():
            raise Trouble('the upgrade to %s, before all else, failed: %s' % (version, roll.text[-600:]))
    return act


# ---- the commands

def begins(of_all, turn, *places):
    """When each step begins: those of all nodes, and those of the turn of each node, or service of a node."""
    return (*map(step, of_all), *(step(name, *place) for place in places for name in turn))


TURN = 'quorum', 'drain', 'activate', 'restart', 'gate', 'settle'
TURNS = begins(('preflight', 'lock'), TURN, *zip(NODES)) + begins(('verify',), ())
SMALL = restarted, dies, balancer, mariadb, unreached(*NODES), reboots
CINDER_NODES = 'c-1', 'c-2'


def of_cinder(name, *turn):
    return begins((), turn, *((node, 'cinder-' + name) for node in CINDER_NODES))


# The first one migrates the schema, and the next one is met in the midst of that.
COMMANDS = dict(
    shakenfist=(
        Command('upgrade to 0.8.1', TURNS + begins(('stage', 'schema'), ()), (*SMALL, index, disk),
                dict(release='0.8.1', check=all_run)),
        Command('upgrade to 0.8.1, which takes 20 s to migrate',
                (process_runs('sf-1', 'ensure-mariadb-schema'), step('schema')), (*SMALL, disk),
                dict(release='0.8.1', prepare=publish('0.8.1', 'migration_slow'), check=all_run)),
        Command('upgrade to 0.8.2, which migrates nothing', TURNS + begins(('stage', 'schema'), ()),
                (*SMALL, gateway, index, disk),
                dict(release='0.8.2', lab=('--release', '0.8.1'), prepare=publish('0.8.2'), check=all_run)),
        Command('rollback to 0.8.1', TURNS, (*SMALL, gateway),
                dict(release='', ends='0.8.1', playbook='shakenfist.rolling.rollback',
                     arguments=('-e', 'rollback_release=0.8.1'), lab=('--release', '0.8.1'),
                     prepare=both(publish('0.8.2'), upgraded('0.8.2')), check=all_run)),
        Command('restart', tuple(moment for moment in TURNS if moment.step != 'activate'), (*SMALL, gateway),
                dict(release='', ends='0.8.0', playbook='shakenfist.rolling.restart', check=all_restarted)),
    ),
    cinder=(
        Command('upgrade of Cinder to 24.5.0', (
            *begins(('preflight', 'lock', 'stage', 'schema', 'verify'), ()),
            *of_cinder('scheduler', 'activate', 'restart', 'gate'),
            *of_cinder('volume', 'drain', 'activate', 'restart', 'gate'),
            *of_cinder('backup', 'drain', 'activate', 'restart', 'gate'),
            *of_cinder('api', 'quorum', 'drain', 'activate', 'restart', 'gate'),
        ), (unreached(*CINDER_NODES), balancer, broker), dict(release='24.5.0')),
    ),
)


# ---- drawing

# Of Shaken Fist's the product is not said, as in the names of the other rows.
NAME = re.compile(r'(?:(%s)-)?random-(0|[1-9]\d*)-[1-9]\d*' % '|'.join(set(COMMANDS) - {'shakenfist'}))


def find(name):
    """The row of that name; None for a name that is not one of a random row."""
    match = NAME.fullmatch(name)
    if not match:
        return None
    product = match[1] or 'shakenfist'
    draw = random.Random(name)
    command = draw.choice(COMMANDS[product])
    moment = later(seconds(draw, 0, LATEST), draw.choice(command.moments))
    fault = kill(draw) if draw.random() < KILL else draw.choice(command.faults)(draw)
    steps = [name for name in dict.fromkeys(one.step for one in command.moments) if name]
    kills: list[tuple[Moment, Fault]] = []
    while len(kills) < 2 and draw.random() < AGAIN:
        kills.append((later(seconds(draw, 0, LATEST), reaches(draw.choice(steps))), kill(draw)))
    about = '; '.join(['%s: %s, %s' % (command.words, fault.words, moment.words)] + [
        'command %d: %s, %s' % (number, each.words, when.words) for number, (when, each) in enumerate(kills, 2)])
    of = dict(command.row)
    before = [of.pop('prepare', nothing), fault.prepare]
    if product == 'shakenfist':
        before.append(note_units)
    return RandomRow(name, about, product=product, prepare=both(*before), moment=moment, inject=fault.act,
                     fails=fault.fails, recovery=fault.recovery, spoils=fault.spoils, outcome=fault.outcome,
                     kills=tuple(kills), **of)


def rows(count, seed, products=()):
    """The first rows of a seed. One that is of the same product is the same, whichever products are asked for."""
    result = []
    for number in range(1, count + 1):
        draw = random.Random('product-%d-%d' % (seed, number))
        product = 'cinder' if draw.random() < OTHER else 'shakenfist'
        if products and product not in products:
            product = draw.choice(sorted(products))
        result.append(find('%srandom-%d-%d' % ('' if product == 'shakenfist' else product + '-', seed, number)))
    return result
