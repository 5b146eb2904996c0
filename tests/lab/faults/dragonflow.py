# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of an upgrade for which everything is stopped: Dragonflow, its north-bound database and Neutron's.

In all of them the ports reach each other all the time: no request of the load may fail, whatever is down.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time

from products import dragonflow as product
from rows import (
    KILLED,
    REFUSED,
    ROLLED,
    STOPPED,
    Row,
    Trouble,
    both,
    end_process,
    publish,
    reachable,
    seen,
    shell,
    step,
    unreachable,
    until,
)

OLD, NEW = '4.0.0', '5.0.0'
PLAIN = ('-e', 'rolling_release=' + NEW)
# Modules that the Python of the new release runs, and what they start; its services have the same Python.
MODULE = '^/srv/dragonflow/releases/5.0.0-[0-9a-f]*/bin/python($| .*(AnsiballZ|neutron-db-manage))'
OWN = 'shakenfist.rolling/migrations/%2F/'
HOLD = '/lab/hold-migration'
DOWN = step('activate', 'd-1')


@dataclasses.dataclass(frozen=True)
class DragonflowRow(Row):
    """A row of Dragonflow."""
    product: str = 'dragonflow'
    release: str = NEW


def migrating(run):
    """Whether the module runs while all is down; before that it only tries the migrations on a copy."""
    return run.roll.told(event='end', step='activate', node='d-1') and run.lab.processes('d-1', MODULE)


MIGRATES = seen('the migrations run on d-1', migrating)


def columns():
    return [row.split('\t')[0] for row in product.sql('SHOW COLUMNS FROM ports').splitlines()]


# Of a release with slow-neutron-migration: for ten seconds the next statement is still to come.
IN_DDL = seen('neutron-db-manage has executed its first statement of DDL', lambda run: 'binding' in columns())


def units(run):
    return {(node, name): (unit['invocation'], unit['state']) for node in run.lab.nodes
            for name, unit in run.lab.facts(node)['units'].items()}


def note_units(run):
    run.notes['units'] = units(run)


def restarted_none(run):
    """Nothing was stopped by the first command; seen when the fault was taken away."""
    was, now = run.notes['units'], run.notes['then']
    return ['%s on %s was stopped' % (name, node) for node, name in was if was[node, name] != now[node, name]]


def then(act):
    def mend(run):
        run.notes['then'] = units(run)
        act(run)
    return mend


# ---- the store

def others(run):
    """The store without the ports that Neutron changes all the time: each value, and when it was written."""
    return {key: kept for key, kept in product.store(run.lab.plan).items() if not key.startswith('/lport/w-')}


def poison(key, value):
    """An object with which a migration fails, found only when all is down; it is there before the copy is made."""
    def act(run):
        product.put(run.lab.plan, key, value)
        run.notes['store'] = others(run)
        run.notes['alembic'] = product.sql('SELECT version_num FROM alembic_version')
    return act


def all_went_back(key):
    """Takes the object away, after a look at what the first command has left."""
    def mend(run):
        wrong, now, was = [], others(run), run.notes['store']
        changed = sorted(name for name in {*now, *was} if now.get(name) != was.get(name))
        wrong += ['the store was touched: ' + ', '.join(changed[:5])] if changed else []
        wrong += gone_back(run)
        run.notes['wrong'] = wrong
        product.remove(run.lab.plan, key)
    return mend


def gone_back(run):
    """What is not as on the release before, after the first command."""
    wrong = ['%s on %s is %s, on %s' % (name, node, unit['state'], unit['runs']) for node in run.lab.nodes
             for name, unit in run.lab.facts(node)['units'].items()
             if unit['state'] != 'active' or not str(unit['runs']).endswith('/' + OLD)]
    alembic = product.sql('SELECT version_num FROM alembic_version')
    tables = product.sql('SHOW TABLES').split()
    if (alembic, columns(), tables) != ('queens', ['id', 'name', 'chassis', 'revision'], ['alembic_version', 'ports']):
        wrong.append('the database is at %s, with %s of ports, and %s' % (alembic, columns(), tables))
    log = list(product.store(run.lab.plan, '/SchemaMigrationLog/'))
    wrong += ['the log has ' + ', '.join(log)] if len(log) != 1 else []
    until('both databases agree', lambda: not product.unlike(run.lab.plan), 20)
    return wrong


def look_back(act=lambda run: None):
    def mend(run):
        run.notes['wrong'] = gone_back(run)
        act(run)
    return mend


def was_as_it_should(run):
    return run.notes['wrong']


PORT = dict(id='poison', topic='tenant', name='poison', version=0, unique_key=999, enabled=True, chassis='d-3',
            lswitch='net-0', subnets=['sub-0'], ips=['10.0.9.9'], macs=['fa:16:3e:09:09:09'], security_groups=['sg-0'],
            device_owner='compute:nova', device_id='vm-999')


def half_way(which, key, value, name, *cause):
    return DragonflowRow(
        'dragonflow-%s-migration-fails' % which, 'the %s of three migrations fails, and all is down' % which,
        moment=DOWN, inject=poison(key, value), mend=all_went_back(key), node='d-1', check=was_as_it_should,
        cause=('Migrate the north-bound database', name, *cause, 'went back to 4.0.0',
               'Nothing of what the services keep was changed'))


# ---- kills while the copy is written

# Ends the module as soon as etcd says that it is so far: a look takes about a millisecond.
KILLER = r'''
import base64, http.client, json, os, re, signal, sys, time
host, place, what, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def code(text): return base64.b64encode(text.encode()).decode()
connection = http.client.HTTPConnection(host, 2379, timeout=5)
def ask(body):
    connection.request('POST', '/v3/kv/range', json.dumps(body), {'Content-Type': 'application/json'})
    return json.loads(connection.getresponse().read())
def reached():
    if what == 'staged':
        return int(ask(dict(key=code(place + 'staged/'), range_end=code(place + 'staged0'),
                            count_only=True)).get('count', 0)) >= count
    if what == 'intent':
        return bool(ask(dict(key=code(place + 'intent'))).get('kvs'))
    found = ask(dict(key=code(place + 'progress'))).get('kvs')
    return bool(found) and json.loads(base64.b64decode(found[0]['value']))['done'] >= count
print('ready', flush=True)
until = time.monotonic() + 600
while not reached():
    if time.monotonic() > until:
        sys.exit('it never came so far')
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        words = open('/proc/%s/cmdline' % pid).read()
    except OSError:
        continue
    if re.match(r'/srv/dragonflow/releases/5\.0\.0-[0-9a-f]*/bin/python', words):
        os.kill(int(pid), signal.SIGKILL)
        print('killed', pid, flush=True)
'''
# In this order: each run goes on from where the one before it was killed.
MOMENTS = [('staged', 1), ('staged', 10), ('staged', 25), ('intent', 1), ('progress', 2), ('progress', 9),
           ('progress', 16), ('progress', 23), ('progress', 30), ('progress', 37)]


def end_all(roll):
    """The controller, and what it has started."""
    os.killpg(roll.child.pid, signal.SIGKILL)


def killed_ten_times(run):
    """Ten runs, each killed with its module while it writes; after each all is down, and the store known for what it
    is."""
    import lab as machinery
    script = '/tmp/killer.py'
    run.lab.execute('d-1', 'python3', '-c', 'open(%r, "w").write(%r)' % (script, KILLER))
    run.notes['wrong'] = wrong = []
    for what, count in MOMENTS:
        killer = machinery.subprocess.Popen(
            ['podman', 'exec', machinery.PREFIX + 'd-1', 'python3', script, run.lab.address('db'), OWN, what,
             str(count)], stdout=machinery.subprocess.PIPE, text=True,
            env=dict(os.environ, CONTAINERS_CONF=str(machinery.CACHE / 'containers.conf')))
        killer.stdout.readline()
        roll = run.start([*run.command(), '-e', 'dragonflow_batch=16'])
        said = killer.stdout.read()
        end_all(roll)
        roll.wait()
        killer.wait(30)
        run.log('%s %d: %s' % (what, count, said.strip()))
        if 'killed' not in said:
            raise Trouble('the module was not killed at %s %d: %s' % (what, count, roll.text[-300:]))
        wrong += after_a_kill(run, what, count)


def after_a_kill(run, what, count):
    plan, wrong = run.lab.plan, []
    # A service that is started by hand must not read what is half written.
    tried = run.lab.execute('d-1', 'systemctl', 'start', 'neutron-server', check=False)
    if not tried.returncode:
        wrong.append('after %s %d: neutron-server could be started' % (what, count))
    up = ['%s on %s' % (name, node) for (node, name), (dummy, state) in units(run).items() if state == 'active']
    wrong += ['after %s %d: up are %s' % (what, count, ', '.join(up))] if up else []
    found = product.store(plan)
    new = sum(key.startswith('/lport/') and '"binding"' in value for key, (value, dummy) in found.items())
    intent = bool(product.store(plan, OWN + 'intent'))
    run.log('after %s %d: %d ports are migrated, the store is %s' % (
        what, count, new, 'interrupted' if intent else 'whole'))
    total = sum(key.startswith('/lport/') for key in found)
    if not intent and new not in (0, total):
        wrong.append('after %s %d: %d of %d ports are migrated, and nothing says so' % (what, count, new, total))
    return wrong


# ---- etcd

def quota(megabytes):
    """etcd takes so much and no more."""
    return shell('db', "echo 'ETCD_QUOTA_BACKEND_BYTES=%d' >>/etc/default/etcd" % (megabytes * 2 ** 20),
                 'systemctl restart etcd')


def fill(run):
    """Somebody else fills it up."""
    number = 0
    try:
        while True:
            product.put(run.lab.plan, 'junk/%d' % number, 'x' * 2 ** 18)
            number += 1
    except OSError as exc:
        run.log('etcd is full after %d values: %s' % (number, exc))


EMPTIED = shell('db', 'export ETCDCTL_API=3', 'etcdctl del junk/ --prefix >/dev/null',
                'etcdctl compact $(etcdctl endpoint status -w json | grep -o \'"revision":[0-9]*\' | grep -o "[0-9]*")',
                'etcdctl defrag', 'etcdctl alarm disarm')


# ---- services

def stubborn(node, unit):
    return shell(node, 'echo %s >/etc/neutron/lab-stubborn' % unit)


def compliant(node):
    return shell(node, 'rm -f /etc/neutron/lab-stubborn')


# ---- the controller

def kill(run):
    run.roll.kill()
    # What it has started on the nodes comes to its end.
    until('nothing of it runs', lambda: not run.lab.processes('d-1', MODULE), 60)


def killed(name, moment, **more):
    return DragonflowRow('dragonflow-killed-in-' + name, 'the controller is killed in the step ' + name, moment=moment,
                         inject=kill, outcome=KILLED, **more)


def held_everywhere(run):
    """Killed while all was down, nothing runs until the next run."""
    return [] if run.notes.get('down') else ['something ran after the kill']


def kill_and_look(run):
    kill(run)
    time.sleep(3)  # as long as Restart= of the units would need to bring one back
    run.notes['down'] = all(state != 'active' for dummy, state in units(run).values())


# ---- half a migration of Neutron's database

def kill_in_ddl(run):
    """The command, too, which would else come to its end; after the controller, which would else go back."""
    run.roll.kill()
    end_process('d-1', 'bin/neutron-db-manage')(run)
    until('nothing of it runs', lambda: not run.lab.processes('d-1', MODULE), 60)
    run.notes['columns'] = columns()


def all_stays_down(run):
    """No service may run on half a migration, however many nodes can still be reached."""
    run.notes['wrong'] = ['%s on %s runs' % (name, node) for (node, name), (dummy, state) in units(run).items()
                          if state == 'active']
    until('nothing of it runs', lambda: not run.lab.processes('d-1', MODULE), 60)


def was_restored(run):
    """The second command has begun anew."""
    wrong = list(run.notes.get('wrong', []))
    if not {'binding', 'chassis'} <= set(run.notes.get('columns', ['binding', 'chassis'])):
        wrong.append('it was not killed between two statements: ports has ' + ', '.join(run.notes['columns']))
    if 'The database was restored from /srv/dragonflow/backups/' not in run.roll.text:
        wrong.append('the second command did not restore the database')
    return wrong


def others_start(run):
    """After the publisher, which does not, all that comes later on its node was started."""
    run.notes['wrong'] = ['%s on %s is %s, on %s' % (name, node, unit['state'], unit['runs']) for node in run.lab.nodes
                          for name, unit in run.lab.facts(node)['units'].items() if name != 'df-publisher-service'
                          and (unit['state'] != 'active' or '/%s-' % NEW not in str(unit['runs']))]
    publish(NEW)(run)


def was_backed_up(run):
    """The second command has another build, so all is stopped once more, and dumped before it migrates."""
    return [*run.notes['wrong'], *([] if 'To restore it:' in run.roll.text else ['the second one has made no backup'])]


# ---- two at once

def another_run(run):
    """The same command, typed by somebody else: it must be refused, and the first one goes on."""
    roll = run.start(run.command())
    code = roll.wait()
    run.notes['wrong'] = [] if code and 'the cluster is locked' in roll.text else [
        'a second run was not refused (rc %d): %s' % (code, roll.text[-300:])]


def another_runner(run):
    """The runner alone, by hand and on another node: it keeps the lock of the store until the row lets it go on."""
    shell('d-2', 'touch ' + HOLD)(run)
    name, = [os.path.basename(path) for path in run.lab.facts('d-2')['releases'] if '/5.0.0-' in path]
    release = '/srv/dragonflow/releases/' + name
    arguments = json.dumps(dict(directory=release + '/lib/python3.11/site-packages/dragonflow/db/migrations',
                                store='etcd', endpoints=['http://%s:2379' % run.lab.address('db')]))
    command = [run.base()[0].with_name('ansible'), '-i', 'inventories/lab', 'd-2', '-b', '-m',
               'shakenfist.rolling.store_migrations', '-a', arguments,
               '-e', 'ansible_python_interpreter=%s/bin/python' % release]
    run.notes['other'] = roll = run.start(command)
    until('the other runner has the lock', lambda: product.store(run.lab.plan, OWN + 'lock') or not roll.running, 60)


def other_has_ended(run):
    shell('d-2', 'rm ' + HOLD)(run)
    code = run.notes['other'].wait()
    run.notes['wrong'] = [] if not code else ['the other runner has failed (rc %d)' % code]


ROWS = [
    # ---- migrations
    half_way('first', '/lport/poison', dict(PORT, lswitch='gone'), 'lport-mtu', 'gone'),
    half_way('middle', '/lport/poison', dict(PORT, chassis=''), 'lport-binding', 'poison'),
    half_way('last', '/secgroup/poison', dict(id='poison', topic='tenant', name='poison', version=1, rules=[
        dict(id='twice', direction='ingress'), dict(id='twice', direction='egress')]), 'secgroup-rules', 'twice'),

    DragonflowRow('dragonflow-migration-is-broken', 'a migration of the release fails on any store',
                  prepare=both(publish(NEW, 'middle-fails'), note_units), mend=then(publish(NEW)), again=PLAIN,
                  cause=('lport-binding', 'broken for a test', 'Nothing was stopped'), check=restarted_none),

    DragonflowRow('dragonflow-migration-edited', 'a migration that was applied is another one in the new release',
                  prepare=publish(NEW, 'migration-edited'), outcome=ROLLED,
                  cause=('edited since they were applied: lswitch-mtu',)),

    DragonflowRow('dragonflow-neutron-migration-fails', "Neutron's migration fails between two statements of DDL",
                  prepare=publish(NEW, 'neutron-migration-fails'), mend=look_back(publish(NEW)), again=PLAIN,
                  node='d-1', check=was_as_it_should,
                  cause=("Migrate Neutron's database", 'the second statement of this migration fails',
                         'went back to 4.0.0', 'The database was restored from /srv/dragonflow/backups/')),

    DragonflowRow('dragonflow-killed-while-writing', 'the controller and the module are killed while the copy is '
                  'written, at ten moments', inject=killed_ten_times, outcome=ROLLED,
                  check=lambda run: run.notes['wrong']),

    # ---- etcd
    DragonflowRow('dragonflow-etcd-restarts', 'etcd is restarted while the migrations run',
                  prepare=publish(NEW, 'slow-migration'), moment=MIGRATES,
                  inject=shell('db', 'systemctl restart etcd'), outcome=ROLLED),
    DragonflowRow('dragonflow-etcd-full', 'etcd runs out of space while the migrations run',
                  prepare=both(quota(16), publish(NEW, 'slow-migration')), moment=MIGRATES, inject=fill,
                  mend=EMPTIED, node='d-1', cause=('NOSPACE',)),
    DragonflowRow('dragonflow-etcd-was-full', 'etcd takes no writes from the start', prepare=quota(16), inject=fill,
                  mend=EMPTIED, outcome=REFUSED, cause=('has raised the alarm NOSPACE', 'etcdctl alarm disarm')),

    # ---- services
    DragonflowRow('dragonflow-server-is-killed', 'neutron-server does not stop, and systemd ends it by force',
                  inject=stubborn('d-2', 'neutron-server'), mend=look_back(compliant('d-2')), node='d-2',
                  check=was_as_it_should,
                  cause=('neutron-server did not end in the time that systemd gives it, and was ended by force',
                         'went back to 4.0.0')),
    DragonflowRow('dragonflow-agent-is-killed', 'df-metadata-service, which only reads, is ended by force',
                  inject=stubborn('d-4', 'metadata'), outcome=ROLLED, mend=compliant('d-4'),
                  cause=('warn  ?d-4: df-metadata-service did not end in the time',)),
    DragonflowRow('dragonflow-server-never-stops', 'neutron-server does not stop, and systemd waits for ever',
                  inject=both(stubborn('d-2', 'neutron-server'), shell(
                      'd-2', 'mkdir -p /etc/systemd/system/neutron-server.service.d',
                      "printf '[Service]\\nTimeoutStopSec=infinity\\n' "
                      '>/etc/systemd/system/neutron-server.service.d/lab.conf', 'systemctl daemon-reload')),
                  arguments=('-e', 'roll_stop_timeout=15', '-e', 'roll_start_timeout=20'), again=PLAIN,
                  mend=both(compliant('d-2'), shell(
                      'd-2', 'rm /etc/systemd/system/neutron-server.service.d/lab.conf', 'systemctl daemon-reload',
                      'systemctl kill --signal=KILL neutron-server')),
                  node='d-2', cause=('expected neutron-server to be stopped within 15 s',)),
    DragonflowRow('dragonflow-publisher-never-starts', 'df-publisher-service of the new release does not start',
                  prepare=publish(NEW, 'publisher-never-starts'), mend=others_start, again=PLAIN, node='d-1',
                  check=was_backed_up,
                  cause=('expected df-publisher-service to', 'broken for a test', 'nothing goes back')),

    # ---- nodes
    DragonflowRow('dragonflow-node-is-lost', 'a node is lost while all is down', moment=DOWN,
                  inject=unreachable('d-4'), arguments=('-e', 'roll_reconnect_timeout=15'), mend=reachable('d-4'),
                  again=PLAIN, node='d-4', cause=('d-1, d-2, d-3 went back to 4.0.0|went back to 4.0.0',)),

    DragonflowRow('dragonflow-migrating-node-is-lost', 'the node that migrates is lost between two statements of DDL',
                  prepare=publish(NEW, 'slow-neutron-migration'), moment=IN_DDL, inject=unreachable('d-1'),
                  arguments=('-e', 'roll_reconnect_timeout=15'), mend=both(all_stays_down, reachable('d-1')),
                  again=PLAIN, node='d-1', check=was_restored,
                  cause=("Migrate Neutron's database", 'cannot be reached', 'ALL SERVICES STAY STOPPED')),

    # ---- two at once
    DragonflowRow('dragonflow-two-runs', 'somebody else runs the same command', outcome=ROLLED,
                  moment=step('stop', 'd-1', 'neutron-server'), inject=another_run, check=was_as_it_should),
    DragonflowRow('dragonflow-two-runners', 'somebody else runs the migrations by hand', moment=DOWN,
                  prepare=publish(NEW, 'held-migration'), inject=another_runner, mend=other_has_ended, node='d-1',
                  outcome=STOPPED, check=was_as_it_should,
                  cause=('Migrate the north-bound database', 'another run of store_migrations is under way', 'on d-2',
                         'ALL SERVICES STAY STOPPED')),

    # ---- the controller
    killed('stage', step('stage')),
    killed('stop', step('stop', 'd-1', 'df-publisher-service')),
    DragonflowRow('dragonflow-killed-in-activate', 'the controller is killed when all is down', moment=DOWN,
                  inject=kill_and_look, outcome=KILLED, check=held_everywhere),
    killed('schema', MIGRATES, prepare=publish(NEW, 'slow-migration')),
    DragonflowRow('dragonflow-killed-between-ddl', 'controller, module and neutron-db-manage are killed between two '
                  'statements of DDL', prepare=publish(NEW, 'slow-neutron-migration'), moment=IN_DDL,
                  inject=kill_in_ddl, outcome=KILLED, check=was_restored),
    DragonflowRow('dragonflow-killed-and-another-build', 'killed there, and the release is built anew before the '
                  'second command', prepare=publish(NEW, 'slow-neutron-migration'), moment=IN_DDL, inject=kill_in_ddl,
                  mend=publish(NEW), again=PLAIN, outcome=KILLED, check=was_restored),
    killed('start', step('start', 'd-3', 'df-local-controller')),
    killed('gate', step('gate', 'd-1', 'neutron-server')),
]
