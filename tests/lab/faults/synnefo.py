# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of Synnefo's service nodes: of packages and their scripts, of apt, of migrations, of where they start.

What a row leaves is looked at from outside: versions and state of all packages, whose policy there is, what runs, and
which migrations ran how often.
"""

from __future__ import annotations

import dataclasses

import lab
from products import synnefo_services as services
from rows import KILLED, REFUSED, ROLLED, Row, Trouble, both, publish, reaches, seen, shell

OLD, NEW = '0.18.1', '0.19'
NODES = 'snf-1', 'snf-2'
POLICY = '/usr/sbin/policy-rc.d'
HELD = '/etc/systemd/system/*.service.d/50-shakenfist-rolling-held.conf'
APPLY = ('-e', 'synnefo_apply_settings=true')
# A maintainer script that takes its time: what happens meanwhile happens in the middle of an upgrade.
SLOW = publish(NEW, 'script-slow:snf-common')
ANOTHER_APT = shell('snf-1', 'systemd-run --quiet --unit=another-apt python3 -c "import fcntl, time; '
                    "f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
                    'time.sleep(900)"')
NO_OTHER_APT = shell('snf-1', 'systemctl stop another-apt')
FORWARD = r'ALL SERVICES STAY STOPPED .* no way back'


@dataclasses.dataclass(frozen=True)
class SynnefoRow(Row):
    """A row of Synnefo's service nodes."""
    product: str = 'synnefo'
    release: str = NEW
    arguments: tuple = APPLY


def half_done(node):
    return lab.execute(node, 'dpkg', '--audit').stdout.strip()


def as_it_was(run):
    """What no run may leave behind, whatever came of it."""
    wrong = []
    for node in NODES:
        facts = services.facts(node)
        held = lab.execute(node, 'sh', '-c', 'ls %s || true' % HELD)
        wrong += ['%s has packages that are half done: %s' % (node, half_done(node))] if half_done(node) else []
        wrong += ['%s has units that are held' % node] if held.stdout.strip() else []
        if facts['policy'] != run.notes.get('policy', {}).get(node, ''):
            wrong.append('%s has another %s than before' % (node, POLICY))
        if not facts['answer'].startswith('Synnefo ' + NEW) or not facts['answer'].rstrip().endswith('200'):
            wrong.append('%s answers %s' % (node, facts['answer']))
    ran = sorted((row['application'], row['name']) for row in services.migrated())
    if len(ran) != len(set(ran)):
        wrong.append('migrations ran more than once: %s' % (ran,))
    return wrong


def policy(run):
    """An operator's own, with a mode of its own, which is to be there again."""
    both(*(shell(node, "printf '#!/bin/sh\\n# mine\\nexit 104\\n' >%s" % POLICY, 'chmod 754 ' + POLICY)
           for node in NODES))(run)
    run.notes['policy'] = {node: services.facts(node)['policy'] for node in NODES}


def runs_of_units(node):
    """Which runs of the services there are: another one was stopped in between."""
    return lab.execute(node, 'systemctl', 'show', '--property=Id,InvocationID', 'archipelago', 'gunicorn',
                       'snf-dispatcher').stdout


def note_runs(run):
    run.notes['runs'] = {node: runs_of_units(node) for node in NODES}


def nothing_was_stopped(run):
    stopped = [node for node in NODES if runs_of_units(node) != run.notes['runs'][node]]
    if stopped:
        raise Trouble('services were stopped on ' + ', '.join(stopped))


def kill(run):
    run.roll.kill()


def upgrades(node):
    """While a maintainer script of an upgrade of ours is at work."""
    return seen('a maintainer script is at work on ' + node, lambda run: run.lab.processes(node, 'snf-common.postinst'))


def end_dpkg(node):
    """What a machine that loses its power leaves: no dpkg, no apt, no module, and a journal."""
    return shell(node, 'for name in apt-get dpkg; do for pid in $(pgrep -x $name); do kill -KILL $pid; done; done')


ROWS = [
    SynnefoRow('synnefo-starts-anyway', 'a script of snf-cyclades-app starts its service without asking the policy',
               prepare=policy, inject=publish(NEW, 'starts-anyway:snf-cyclades-app'), outcome=ROLLED, check=as_it_was,
               cause=('postinst of snf-cyclades-app was to start snf-dispatcher in spite of the policy',)),
    SynnefoRow('synnefo-daemon-itself', 'a script of archipelago starts the program itself', prepare=policy,
               inject=publish(NEW, 'daemon-itself:archipelago'), outcome=ROLLED, check=as_it_was,
               cause=('postinst of archipelago has started .*archipelago in spite of the policy',)),
    SynnefoRow('synnefo-apt-interrupted', 'apt and dpkg of snf-2 are ended while a maintainer script is at work',
               prepare=both(policy, SLOW), inject=end_dpkg('snf-2'), moment=upgrades('snf-2'), node='snf-2',
               cause=('not all packages were upgraded|what was left half done',), next=FORWARD, check=as_it_was),
    SynnefoRow('synnefo-script-fails', 'the script of snf-pithos-app fails on snf-1',
               inject=both(publish(NEW, 'script-fails:snf-pithos-app'), shell('snf-1', 'touch /lab/script-fails')),
               mend=shell('snf-1', 'rm /lab/script-fails'), node='snf-1',
               cause=('told to fail by /lab/script-fails',), next=FORWARD, check=as_it_was),
    SynnefoRow('synnefo-apt-locked', 'another apt has the lock on snf-1 for longer than a run waits',
               inject=both(note_runs, ANOTHER_APT), arguments=(*APPLY, '-e', 'synnefo_lock_timeout=5'),
               mend=both(NO_OTHER_APT, nothing_was_stopped), node='snf-1', next='Nothing in service was changed',
               cause=('still has /var/lib/dpkg/lock-frontend',), check=as_it_was),
    SynnefoRow('synnefo-apt-locked-late', 'another apt takes the lock on snf-1 once all services begin to stop',
               moment=reaches('stop'), inject=ANOTHER_APT, arguments=(*APPLY, '-e', 'synnefo_lock_timeout=5'),
               mend=NO_OTHER_APT, node='snf-1', next=FORWARD, cause=('still has /var/lib/dpkg/lock-frontend',),
               check=as_it_was),
    SynnefoRow('synnefo-migration-fails', "Cyclades' migration fails", node='snf-2',
               inject=both(publish(NEW, 'migration-fails:snf-cyclades-app'),
                           shell('snf-2', 'touch /lab/migration-fails')),
               mend=shell('snf-2', 'rm /lab/migration-fails'),
               cause=('0002_ip_owner_history was told to fail',), next=FORWARD, check=as_it_was),
    SynnefoRow('synnefo-wrong-release', 'snf-2 has 0.18, which 0.19 does not know', node='snf-2', outcome=REFUSED,
               inject=shell('snf-2', "sed -i '/^Package: snf-common$/,/^$/s/^Version: .*/Version: 0.18-1/' "
                            '/var/lib/dpkg/status'),
               mend=shell('snf-2', "sed -i '/^Package: snf-common$/,/^$/s/^Version: .*/Version: 0.18.1-1/' "
                          '/var/lib/dpkg/status'),
               cause=('it has snf-common 0.18, and 0.19 is reached from 0.18.1 only',), check=as_it_was),
    *(SynnefoRow('synnefo-killed-in-' + name, 'the controller is killed when the step %s begins' % name, prepare=policy,
                 moment=reaches(name), inject=kill, outcome=KILLED, check=as_it_was)
      for name in ('stage', 'stop', 'activate', 'schema', 'start', 'restart', 'verify')),
    SynnefoRow('synnefo-killed-in-upgrade', 'the controller is killed while a maintainer script is at work',
               prepare=both(policy, SLOW), moment=upgrades('snf-1'), inject=kill, outcome=KILLED, check=as_it_was),
]
