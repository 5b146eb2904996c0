# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of another product, Cinder: of its records, its migrations, its broker, its services and what they work on.

In all of them volumes are created and deleted through the balancer, and none may be lost.
"""

from __future__ import annotations

import dataclasses
import zipfile

import lab
from products import cinder as product
from rows import KILLED, REFUSED, ROLLED, Row, both, publish, shell, step, until, withdraw

OLD, NEW = '23.5.0', '24.5.0'
SERVICES = 'cinder-scheduler', 'cinder-volume', 'cinder-backup', 'cinder-api'
CONFIGURATION = '/etc/cinder/cinder.conf'
# What fails is to be seen soon: a service of the lab is up after 5 to 10 s.
IMPATIENT = ('-e', 'gate_timeout=45')
PLAIN = ('-e', 'rolling_release=' + NEW)


@dataclasses.dataclass(frozen=True)
class CinderRow(Row):
    """A row of Cinder."""
    product: str = 'cinder'
    release: str = NEW


def on_nodes(*commands):
    return both(*(shell(node, *commands) for node in ('c-1', 'c-2')))


def sql(*statements):
    def act(run):
        for statement in statements:
            run.log('db: ' + statement)
            product.sql(statement)
    return act


# ---- what runs, and for how long

def units(run):
    """By node and service, which run of it there is, and of which release."""
    return {(node, name): (unit['invocation'], facts['releases'].get(unit['runs'], {}).get('cinder'))
            for node in run.lab.nodes for facts in [run.lab.facts(node)] for name, unit in facts['units'].items()}


def note_units(run):
    run.notes['units'] = units(run)


def restarted_none(run):
    """The command into which the fault was thrown has restarted nothing; noted before the second one."""
    was, now = run.notes['units'], run.notes['then']
    return ['%s on %s was restarted' % (name, node) for node, name in was if was[node, name] != now[node, name]]


def then(act):
    """Notes what runs when the first command has ended, and takes the fault away."""
    def mend(run):
        run.notes['then'] = units(run)
        act(run)
    return mend


# ---- records of services

def orphan(rpc, age):
    """A cinder-volume of a host that is gone, as its row is left: with what it spoke, and when it was last heard of."""
    return sql("INSERT INTO services (created_at, updated_at, deleted, host, `binary`, topic, report_count, disabled, "
               "availability_zone, rpc_current_version, object_current_version, replication_status, frozen, uuid) "
               "VALUES (UTC_TIMESTAMP() - INTERVAL 90 DAY, UTC_TIMESTAMP() - INTERVAL %s, 0, 'gone@lab', "
               "'cinder-volume', 'cinder-volume', 7, 0, 'nova', '%s', '1.39', 'not-capable', 0, UUID())" % (age, rpc))


FORGOTTEN = sql("DELETE FROM services WHERE host = 'gone@lab'")


def is_removed(run):
    left = [row['host'] for row in product.services() if row['host'] == 'gone@lab']
    return ['gone@lab is still on record'] if left else []


# ---- rows of the database

def volumes(run, count, **values):
    """Volumes of an earlier time, like the one that the lab was tried with, but for some columns."""
    columns = product.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = 'cinder' "
                          "AND table_name = 'volumes'").split()
    values = dict(dict(id='UUID()', name_id='NULL'), **values)
    into = ', '.join('`%s`' % name for name in columns)
    each = ', '.join(values.get(name, 'one.`%s`' % name) for name in columns)
    sql('INSERT INTO volumes (%s) SELECT %s FROM (SELECT * FROM volumes ORDER BY created_at LIMIT 1) AS one '
        'JOIN seq_1_to_%d' % (into, each, count))(run)


def left_unmigrated(run):
    volumes(run, 120, use_quota='NULL', display_name="'old'")


# A rule of somebody's own, which no migrated row keeps.
FORBIDDEN = "ALTER TABLE volumes ADD CONSTRAINT own CHECK (use_quota IS NULL OR COALESCE(display_name, '') <> 'old')"


def failed_create(run):
    """What a create that has failed early leaves: a volume that no service has."""
    volumes(run, 1, deleted='0', deleted_at='NULL', status="'error'", service_uuid='NULL', host='NULL',
            display_name="'failed'")


# ---- work that takes its time

def slow_volume(seconds):
    """A volume that c-1 takes so long to create; it is the only one that is asked just then."""
    def act(run):
        sql("UPDATE services SET disabled = 1 WHERE host = 'c-2@lab'")(run)
        status, answer = product.request(run.lab.plan, 'POST', 'volumes',
                                         dict(volume=dict(size=1, name='slow-%d' % seconds)))
        run.log('slow-%d: %s %s' % (seconds, status, answer))
        run.notes['slow'] = answer['volume']['id']
        until('c-1 creates the slow volume', lambda: slow(run) == 'creating c-1@lab#lab')
        sql("UPDATE services SET disabled = 0 WHERE host = 'c-2@lab'")(run)
    return act


def slow(run):
    return product.sql("SELECT CONCAT(status, ' ', COALESCE(host, '')) FROM volumes WHERE id = '%s'"
                       % run.notes['slow'])


def is_created(run):
    until('the slow volume is there', lambda: not slow(run).startswith('creating'), 120)


def came_to_a_good_end(run):
    return [] if slow(run).startswith('available') else ['the slow volume is ' + slow(run)]


def waited(run):
    """The roll has waited before it stopped the service that creates the volume, and for no other."""
    drains = {(event['node'], event['about']): event['seconds'] for event in run.rolls[0].follow()
              if event['event'] == 'end' and event['step'] == 'drain'}
    run.log('drains: %s' % drains)
    wrong = [] if drains['c-1', 'cinder-volume'] > 10 else ['cinder-volume on c-1 was not waited for']
    return wrong + came_to_a_good_end(run)


# ---- releases

def offer_later(version):
    """The index has a later release; only its name is read."""
    def act(run):
        wheel, = (lab.INDEX / 'wheels').glob('cinder-%s-*.whl' % NEW)
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(str(wheel).replace(NEW, version), 'w') as target:
            for entry in source.infolist():
                content = source.read(entry)
                if entry.filename.endswith('.dist-info/METADATA'):
                    content = content.replace(b'\nVersion: ' + NEW.encode(), b'\nVersion: ' + version.encode(), 1)
                target.writestr(entry.filename.replace(NEW, version), content)
        lab.publish()
    return act


def broken(name, about, trait, service, *cause, **more):
    """A service of the new release fails on c-1 and goes back; the whole cloud then goes to a sound build of it."""
    return CinderRow(name, about, prepare=publish(NEW, trait), mend=publish(NEW), node='c-1',
                     arguments=IMPATIENT, again=PLAIN,
                     cause=('%s on c-1: ' % service, '%s on c-1 went back to %s' % (service, OLD), *cause),
                     check=was_back('c-1', service), **more)


def was_back(node, service):
    """The service was on the old release when the fault was taken away."""
    def check(run):
        return [] if '%s on %s: %s -> ' % (service, node, OLD) in run.rolls[1].text else [
            '%s on %s was not back on %s' % (service, node, OLD)]
    return check


# ---- the controller

def kill(run):
    run.roll.kill()
    run.notes['done'] = {key: run_of for key, run_of in units(run).items() if run_of[1] == NEW}


def killed(name, about, moment, *done, **more):
    """What was done is not restarted by the second command."""
    def check(run):
        now, before = units(run), run.notes['done']
        wrong = ['%s on %s should have been done by then' % key[::-1] for key in done if key not in before]
        return wrong + ['%s on %s was restarted again' % key[::-1] for key in before if now[key] != before[key]]
    return CinderRow(name, about, moment=moment, inject=kill, outcome=KILLED, check=check, **more)


SCHEDULERS = ('c-1', 'cinder-scheduler'), ('c-2', 'cinder-scheduler')
OTHERS = tuple((node, name) for name in SERVICES[:3] for node in ('c-1', 'c-2'))

ROWS = [
    # ---- records
    CinderRow('cinder-orphan-slightly-old', 'the record of a host that is gone would pin all to the old RPC',
              inject=orphan('3.18', '10 MINUTE'), mend=FORGOTTEN, outcome=REFUSED,
              cause=(r'cinder-volume on gone@lab \(last heartbeat \d+ s ago, RPC 3\.18\)',
                     'everything would stay pinned', 'cluster_remove_orphans=true')),

    CinderRow('cinder-orphan-ancient', 'with the record of a host of long ago nothing new would start',
              inject=orphan('1.0', '90 DAY'), outcome=REFUSED,
              cause=(r'cinder-volume on gone@lab \(last heartbeat \d+ s ago, RPC 1\.0\)',
                     'cluster_remove_orphans=true'),
              again=(*PLAIN, '-e', 'cluster_remove_orphans=true'), check=is_removed),

    # ---- the preflight
    CinderRow('cinder-restart-too-long', 'cinder-volume would count as down before it could be back',
              inject=on_nodes("sed -i.before 's/^service_down_time = .*/service_down_time = 10/' " + CONFIGURATION),
              mend=on_nodes('cp -p {0}.before {0}; rm {0}.before'.format(CONFIGURATION)), outcome=REFUSED, node='c-1',
              cause=('cinder-volume cannot be back in time', 'heartbeats come every 5 s',
                     'counts as down after 10 s', 'raise service_down_time in ' + CONFIGURATION)),

    CinderRow('cinder-release-skipped', 'a release is asked for that is two ahead',
              inject=offer_later('25.0.0'), mend=withdraw('25.0.0'), arguments=('-e', 'rolling_release=25.0.0'),
              outcome=REFUSED, node='c-1', again=PLAIN,
              cause=('it runs 23.5.0, and 25.0.0 skips a release', '-e rolling_release=24.VERSION')),

    # ---- migrations
    CinderRow('cinder-migrations-unfinished', 'online migrations of the running release are left',
              prepare=both(left_unmigrated, shell('c-1', 'echo {} >/etc/cinder/policy.json')), outcome=ROLLED,
              cause=('online_data_migrations --max_count 50: done after 4 runs',
                     'warn +cinder-status upgrade check has something to say:.*policy.json file is present')),

    CinderRow('cinder-migrations-fail', 'the online migrations of the running release fail',
              prepare=both(left_unmigrated, note_units), inject=sql(FORBIDDEN),
              mend=then(sql('ALTER TABLE volumes DROP CONSTRAINT own')),
              node='c-1', cause=(r'cinder-manage db online_data_migrations .* failed \(rc 2\)',
                                 'Error attempting to run volume_use_quota_online_data_migration',
                                 'Some migrations failed unexpectedly'), check=restarted_none),

    CinderRow('cinder-not-ready', 'cinder-status of the new release says that the cloud is not ready for it',
              prepare=note_units, inject=failed_create,
              mend=then(sql("UPDATE volumes SET deleted = 1 WHERE display_name = 'failed'")), node='c-1',
              cause=(r'cinder-status upgrade check .* failed \(rc 2\)',
                     'Services and volumes must have a service UUID'),
              check=restarted_none),

    # ---- work in progress
    CinderRow('cinder-create-outlasts-the-stop', 'a volume takes longer to be created than cinder-volume to stop',
              moment=step('gate', 'c-2', 'cinder-scheduler'), inject=slow_volume(60), outcome=ROLLED, check=waited),

    CinderRow('cinder-create-outlasts-the-drain', 'a volume takes longer to be created than is waited for',
              moment=step('gate', 'c-2', 'cinder-scheduler'), inject=slow_volume(90),
              arguments=('-e', 'drain_timeout=10'), again=PLAIN, mend=is_created, node='c-1',
              cause=('cinder-volume on c-1: ', 'expected cinder-volume to come to the end of its work within 10 s: '
                     r'volume \S+ creating for \d+', 'cinder-volume on c-1 is on 23.5.0 as before'),
              check=came_to_a_good_end),

    # ---- releases
    broken('cinder-scheduler-never-starts', 'cinder-scheduler of the new release does not start',
           'scheduler-never-starts', 'cinder-scheduler', 'expected .*cinder-scheduler', 'Its last words'),
    broken('cinder-volume-does-nothing', 'cinder-volume of the new release is active and does nothing',
           'volume-does-nothing', 'cinder-volume', 'expected a new heartbeat of cinder-volume on c-1@lab'),
    broken('cinder-api-never-starts', 'no worker of cinder-api of the new release starts',
           'api-never-starts', 'cinder-api', 'expected .*cinder-api'),

    # ---- the broker
    CinderRow('cinder-broker-restarts', 'RabbitMQ is restarted while a cinder-volume is',
              moment=step('restart', 'c-1', 'cinder-volume'), inject=shell('db', 'systemctl restart rabbitmq-server'),
              outcome=ROLLED),

    # ---- the controller
    killed('cinder-killed-between-waves', 'the controller is killed when the schedulers are done',
           step('drain', 'c-1', 'cinder-volume'), *SCHEDULERS),
    killed('cinder-killed-in-a-wave', 'the controller is killed while a cinder-api is out of rotation',
           step('activate', 'c-1', 'cinder-api'), *OTHERS),
]
