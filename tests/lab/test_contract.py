# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks a lab that is up against what an operator sees of a Shaken Fist cluster.

    tools/lab up --drain-grace 5
    .cache/venv/bin/python -m pytest tests/lab/test_contract.py

Run on a fresh lab of three nodes at 0.8.0. Every test puts back what it changed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import http.client
import importlib
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import time
import types
import urllib.parse
import uuid

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
SF = ROOT / 'tests/lab/sf'
NODES = ['sf-1', 'sf-2', 'sf-3']
DATABASE = ['sf-1', 'sf-2']
WORKERS = 5
PLAIN = ['sf-cleaner', 'sf-cluster', 'sf-net', 'sf-nodelock', 'sf-privexec', 'sf-queues', 'sf-resources',
         'sf-sidechannel', 'sf-transfers']
VENV = '/srv/shakenfist/venv/bin'
SENTINELS = ['sf-sentinel-first', 'sf-sentinel-last']


# The lab, from outside

@pytest.fixture(scope='session')
def hosts():
    out = subprocess.run([ROOT / 'tools/lab', 'inventory', '--list'], check=True, capture_output=True, text=True).stdout
    inventory = json.loads(out)
    assert sorted(inventory['allsf']['hosts']) == NODES, 'the contract is checked on three nodes: tools/lab up'
    return inventory['_meta']['hostvars']


class Lab:
    def __init__(self, hosts):
        self.hosts = hosts
        self.balancer = hosts['lb']['ansible_host']
        self.grace = float(self.config('sf-1')['SHAKENFIST_API_DRAIN_GRACE'])

    def address(self, node):
        return self.hosts[node]['ansible_host']

    def ssh(self, node, command, check=True, data=None, root=True):
        key = ROOT / '.cache/lab/id_ed25519'
        argv = ['ssh', '-i', str(key), '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
                '-o', 'LogLevel=ERROR', '-o', 'ControlMaster=auto', '-o', 'ControlPersist=60',
                '-o', 'ControlPath=/tmp/sfr-contract-%C', 'operator@' + self.address(node),
                f'sudo -n sh -c {shlex.quote(command)}' if root else command]
        result = subprocess.run(argv, input=data, capture_output=True, text=not isinstance(data, bytes), timeout=120,
                                check=False)
        assert not check or result.returncode == 0, f'{node}: {command}: {result.returncode}: {result.stderr}'
        return result

    def out(self, node, command):
        return self.ssh(node, command).stdout.strip()

    def config(self, node):
        lines = self.out(node, 'cat /etc/sf/config').splitlines()
        return dict(re.fullmatch(r'(\w+)="(.*)"', line).groups() for line in lines if line and line[0] != '#')

    def show(self, node, *units):
        """systemctl show, as {unit: {property: value}}"""
        out = self.out(node, 'systemctl show ' + ' '.join(shlex.quote(u) for u in units))
        blocks = [dict(line.split('=', 1) for line in block.splitlines() if '=' in line) for block in out.split('\n\n')]
        return {b['Id'].removesuffix('.service'): b for b in blocks if b.get('Id')}

    def sql(self, statement):
        return self.ssh('db', 'mariadb --batch --skip-column-names shakenfist', data=statement).stdout.strip()

    def get(self, node, path, **kwargs):
        return request(f'http://{self.address(node)}:13000{path}', **kwargs)

    def through_balancer(self, path, **kwargs):
        return request(f'http://{self.balancer}{path}', **kwargs)

    def workers(self, node, path='/readyz', requests=40):
        """What many connections at once are told, so that every worker is asked: the set of answers."""
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            return {status for status, body in pool.map(lambda i: self.get(node, path), range(requests))}

    def ready(self, node):
        return self.workers(node) == {200}

    def health(self, node):
        with grpc.insecure_channel(f'{self.address(node)}:13005') as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(service=''), timeout=2)
            except grpc.RpcError as e:
                return e.code().name
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def call(self, channel, method, timeout=5, **message):
        rpc = channel.unary_unary('/shakenfist.Database/' + method, response_deserializer=json.loads,
                                  request_serializer=lambda m: json.dumps(m).encode())
        return rpc.future(message, timeout=timeout)

    def state(self, node):
        return self.sql(f"SELECT state FROM object_states WHERE object_type = 'node' AND object_name = '{node}'")

    def daemons(self, node):
        rows = self.sql(f"SELECT daemon, state FROM daemon_states WHERE node = '{node}'").splitlines()
        return {'sf-' + daemon: state.removeprefix('daemon-') for daemon, state in (row.split() for row in rows)}

    def reported(self, node):
        lastseen, release = self.sql(f"SELECT lastseen, `release` FROM nodes WHERE name = '{node}'").split()
        return float(lastseen), release

    def token(self):
        credentials = json.loads(self.out('sf-1', 'cat /etc/sf/shakenfist.json'))
        status, body = self.through_balancer(
            '/api/auth', body={'namespace': credentials['namespace'], 'key': credentials['key']})
        assert status == 200, body
        return json.loads(body)['access_token']

    def nodes(self):
        status, body = self.through_balancer('/api/nodes', headers={'Authorization': 'Bearer ' + self.token()})
        assert status == 200, body
        return {n['name']: n for n in json.loads(body)}

    def leader(self):
        names = [n['name'] for n in self.nodes().values() if n['is_cluster_maintainer']]
        assert len(names) <= 1, names
        return names[0] if names else None

    def note(self, node=None):
        note = {'id': str(uuid.uuid4()), 'text': 'contract'}
        if node:
            return note['id'], self.get(node, '/lab/notes', body=note)[0]
        return note['id'], self.through_balancer('/api/lab/notes', body=note)[0]


def request(url, body=None, headers=None, timeout=90):
    """(status, body) over a connection of its own; (None, the error) where there is no answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    headers = dict(headers or {})
    if body is not None:
        headers['Content-Type'] = 'application/json'
    path = parts.path + ('?' + parts.query if parts.query else '')
    try:
        connection.request('GET' if body is None else 'POST', path, json.dumps(body) if body is not None else None,
                           headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as e:
        return None, repr(e)
    finally:
        connection.close()


def wait_for(condition, timeout, what, interval=0.2):
    """Waits until condition() is true; returns (its value, the seconds that it took)."""
    began = time.monotonic()
    while True:
        value = condition()
        took = time.monotonic() - began
        if value:
            return value, took
        assert took < timeout, f'not within {timeout} s: {what}'
        time.sleep(interval)


class Beside:
    """A long check that runs beside the tests; the one that is about it asks for its result()."""

    def __init__(self, check):
        self.check, self.outcome = check, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.outcome = self.check(), None
        except BaseException as e:  # noqa: BLE001, raised again where it is asked for
            self.outcome = None, e

    def result(self):
        self.thread.join()
        value, problem = self.outcome
        if problem:
            raise problem
        return value


class Sampler(threading.Thread):
    """Asks again and again until it is told to stop: [(seconds since the start, answer)]."""

    def __init__(self, ask, interval=0.1):
        super().__init__(daemon=True)
        self.ask, self.interval = ask, interval
        self.answers, self.done = [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.done.set()
        self.join()

    def run(self):
        while not self.done.is_set():
            began = time.monotonic()
            self.answers.append((began, self.ask()))
            self.done.wait(self.interval)


@pytest.fixture(scope='session')
def lab(hosts):
    lab = Lab(hosts)
    assert lab.grace <= 10, 'these tests stop sf-api a few times: tools/lab up --drain-grace 5'
    for node in NODES:
        wait_for(lambda n=node: lab.ready(n), 30, f'{node} ready')
    return lab


@contextlib.contextmanager
def back_again(lab, nodes=(), gateways=()):
    """What a test stopped is up again afterwards, and ready."""
    try:
        yield
    finally:
        for node in gateways:
            lab.ssh(node, 'systemctl start sf-database')
        for node in nodes:
            lab.ssh(node, 'systemctl start sf-api')
        for node in nodes:
            wait_for(lambda n=node: lab.ready(n), 30, f'{node} ready again')
        for node in gateways:
            wait_for(lambda n=node: lab.health(n) == 'SERVING', 30, f'{node} SERVING again')


# A node on disk

@pytest.mark.parametrize('node', NODES)
def test_files_of_a_node(lab, node):
    config = lab.config(node)
    assert config['SHAKENFIST_NODE_NAME'] == node
    assert config['SHAKENFIST_NODE_MESH_IP'] == lab.address(node)
    assert config['SHAKENFIST_MARIADB_GATEWAY_HOSTS'].split(',') == [lab.address(n) for n in DATABASE]
    assert config['SHAKENFIST_MARIADB_GATEWAY_PORT'] == '13005'
    direct = {'SHAKENFIST_MARIADB_' + k for k in ('HOST', 'PORT', 'USER', 'PASSWORD', 'DATABASE')}
    assert direct & set(config) == (direct if node in DATABASE else set())

    credentials = json.loads(lab.out(node, 'cat /etc/sf/shakenfist.json'))
    assert credentials['namespace'] == 'system'
    assert credentials['key']
    assert credentials['apiurl'].endswith('/api')
    assert lab.out(node, '. /etc/sf/sfrc && env').count(credentials['apiurl']) == 1

    import yaml  # comes with ansible-core
    topology = yaml.safe_load(lab.out(node, 'cat /etc/sf/inventory.yaml'))['all']
    assert {name: h['ansible_host'] for name, h in topology['hosts'].items()} == {n: lab.address(n) for n in NODES}
    members = {group: sorted(v.get('hosts') or []) for group, v in topology['children'].items()}
    assert members['etcd'] == DATABASE
    assert members['hypervisors'] == ['sf-2', 'sf-3']
    assert members['network'] == ['sf-1']
    assert 'storage' in members

    lab.ssh(node, 'test -d /srv/shakenfist/venv -a ! -L /srv/shakenfist/venv')
    assert 'include-system-site-packages = true' in lab.out(node, 'cat /srv/shakenfist/venv/pyvenv.cfg').splitlines()
    assert lab.out(node, '/srv/shakenfist/venv/bin/python -c'
                   ' "import importlib.metadata as m; print(m.version(\'shakenfist\'))"') == '0.8.0'
    assert lab.out(node, 'ls -A /srv/shakenfist/exceptions') == ''


AS_SYSTEMD_READS = r"""
import json, subprocess, sys
found = []
for text in json.load(sys.stdin):
    with open('/tmp/contract.env', 'w', newline='') as handle:
        handle.write(text)
    out = subprocess.run(['systemd-run', '--quiet', '--wait', '--pipe', '-p', 'EnvironmentFile=/tmp/contract.env',
                          '/usr/bin/env', '-0'], check=True, stdout=subprocess.PIPE).stdout.decode()
    found.append({k: v for k, dummy, v in (line.partition('=') for line in out.split(chr(0))) if k in ('A', 'B', 'C')})
print(json.dumps(found))
"""


def test_an_environment_file_means_what_the_modules_take_it_for(lab):
    sys.path.append(str(ROOT / 'tests/unit'))
    lines = {text: means for text, means in importlib.import_module('environment_files').LINES if means is not None}
    strategies = importlib.import_module('strategies')
    lines.update(strategies.examples_of(strategies.ENVIRONMENT_FILES))
    out = lab.ssh('sf-3', 'python3 -c ' + shlex.quote(AS_SYSTEMD_READS), data=json.dumps(list(lines))).stdout
    assert dict(zip(lines, json.loads(out))) == lines


@pytest.mark.parametrize('node', NODES)
def test_units_of_a_node(lab, node):
    units = lab.show(node, 'sf-*.service')
    daemons = PLAIN + (['sf-database'] if node in DATABASE else [])
    assert sorted(units) == sorted([*daemons, 'sf-api', *SENTINELS])

    for name, unit in units.items():
        assert unit['ActiveState'] == 'active', name
        assert 'sf.target' in unit['PartOf'].split(), name
        assert 'sf.target' in unit['WantedBy'].split(), name
        assert '/etc/sf/config' in unit['EnvironmentFiles'], name
        assert unit['KillMode'] == 'control-group', name
        assert f'argv[]={VENV}/sf-ctl verify-config ;' in unit['ExecStartPre'], name
        after, before = unit['After'].split(), unit['Before'].split()
        if name in ('sf-privexec', 'sf-nodelock'):
            assert 'sf-sentinel-first.service' in after, name
        elif name == 'sf-sentinel-first':
            assert 'sf-database.service' in after
        elif name not in ('sf-database', 'sf-sentinel-last'):
            assert {'sf-privexec.service', 'sf-nodelock.service', 'sf-database.service'} <= set(after), name
        if name in ('sf-database', 'sf-sentinel-first'):
            assert ('sf-sentinel-first.service' in before) == (name == 'sf-database'), name
        elif name != 'sf-sentinel-last':
            assert 'sf-sentinel-last.service' in before, name
    for name in [*daemons, *SENTINELS]:
        unit = units[name]
        assert unit['Type'] == 'notify', name
        assert f'argv[]={VENV}/{name} ;' in unit['ExecStart'], name
        assert f'argv[]={VENV}/sf-ctl stop {name.removeprefix("sf-")} ;' in unit['ExecStop'], name
        assert unit['TimeoutStopUSec'] == '30s', name
        assert unit['WatchdogUSec'] == ('5min' if name in ('sf-cluster', 'sf-cleaner') else '1min'), name
        assert (unit['Restart'], unit['RestartPreventExitStatus']) == ('on-failure', 'TERM'), name

    api = units['sf-api']
    assert api['Type'] == 'simple'
    assert api['TimeoutStopUSec'] == '1min 10s'
    assert set(api['SuccessExitStatus'].split()) == {'143', 'TERM'}
    assert 'ExecStop' not in api
    assert f'argv[]=/bin/sh -c {VENV}/gunicorn ' in api['ExecStart']
    for option in ('--graceful-timeout 55', '--timeout 300', '--preload'):
        assert option + ' ' in api['ExecStart']
    # The main process is a shell; gunicorn and its workers are below it.
    processes = lab.out(node, f'cat /sys/fs/cgroup/*{api["ControlGroup"]}/cgroup.procs'
                              f' /sys/fs/cgroup{api["ControlGroup"]}/cgroup.procs 2>/dev/null | sort -u').split()
    assert len(processes) == 1 + 1 + WORKERS
    assert lab.out(node, f'cat /proc/{api["MainPID"]}/comm') == 'sh'


# sf-api

@pytest.mark.parametrize('node', NODES)
def test_api_answers(lab, node):
    assert lab.get(node, '/livez') == (200, 'ok')
    assert lab.get(node, '/readyz') == (200, 'ready')
    assert lab.get(node, '/healthz') == (200, 'ready')
    assert lab.get(node, '/')[0] == 200
    assert lab.get(node, '/auth/namespaces')[0] == 401
    assert lab.get(node, '/nodes')[0] == 401
    assert lab.get(node, '/nodes', headers={'Authorization': 'Bearer a.e30.c'})[0] == 401
    assert lab.get(node, '/auth', body={'namespace': 'system', 'key': 'wrong'})[0] == 401


def test_balancer_strips_api(lab):
    assert lab.through_balancer('/api/livez') == (200, 'ok')
    assert lab.through_balancer('/api/')[0] == 200
    assert lab.through_balancer('/api/auth/namespaces')[0] == 401
    assert lab.through_balancer('/api/auth/namespaces', headers={'Authorization': 'Bearer ' + lab.token()})[0] == 200


def test_notes_are_written_once(lab):
    note, status = lab.note()
    assert status == 200
    assert lab.through_balancer('/api/lab/notes', body={'id': note, 'text': 'again'}) == (
        200, lab.through_balancer('/api/lab/notes', body={'id': note, 'text': 'again'})[1])
    for node in NODES:
        assert json.loads(lab.get(node, '/lab/notes')[1])['ids'].count(note) == 1
    assert lab.sql(f"SELECT text FROM notes WHERE id = '{note}'") == 'again'


def test_node_list(lab):
    def complete():
        nodes = lab.nodes()
        return nodes if sorted(nodes) == NODES and lab.leader() else None
    nodes, _took = wait_for(complete, 30, 'three nodes and a leader')
    now = time.time()
    for name, node in nodes.items():
        assert node['ip'] == lab.address(name)
        assert node['state'] == 'created'
        assert node['release'] == '0.8.0'
        assert abs(now - node['lastseen']) < 30
        assert node['is_etcd_master'] is False
        assert node['is_database_node'] == (name in DATABASE)
        daemons = [*PLAIN, *SENTINELS, 'sf-api', *(['sf-database'] if name in DATABASE else [])]
        assert {key: value for key, value in node.items() if key.startswith('daemon-')} == {
            f'daemon-{daemon.removeprefix("sf-")}-state': 'daemon-running' for daemon in daemons}
        assert node['is_hypervisor'] == (name != 'sf-1')
        assert node['is_network_node'] == (name == 'sf-1')


def test_stale_node_is_listed_until_it_is_deleted(lab):
    try:
        assert lab.get('sf-1', '/lab/nodes', body={'name': 'sf-9', 'ip': '192.0.2.9', 'release': '0.7.2', 'age': 3600,
                                                   'state': 'error'})[0] == 200
        assert lab.nodes()['sf-9']['state'] == 'error'
        out = lab.out('sf-1', f"curl -sS -X DELETE -H 'Authorization: Bearer {lab.token()}'"
                              " http://localhost:13000/nodes/sf-9 -o /dev/null -w '%{http_code}'")
        assert out == '200'
        assert lab.nodes()['sf-9']['state'] == 'deleted'
    finally:
        lab.sql("DELETE FROM nodes WHERE name = 'sf-9'; DELETE FROM object_states WHERE object_name = 'sf-9'")


def test_leader_holds_a_lease_of_60_seconds_and_fails_over_once(lab):
    first, _took = wait_for(lab.leader, 30, 'a leader')
    left = float(lab.sql("SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), expires) / 1e6 FROM leases WHERE name = 'cluster'"))
    assert 50 < left <= 60
    lab.ssh(first, 'systemctl restart sf-cluster')
    second, _took = wait_for(lambda: lab.leader() not in (None, first) and lab.leader(), 15, 'another leader')
    # The one that was restarted does not take it back.
    with Sampler(lab.leader, 0.5) as sampler:
        wait_for(lambda: len(sampler.answers) > 12, 20, 'samples')
    assert {leader for when, leader in sampler.answers} == {second}


# sf-api: readiness and drain

@pytest.fixture(scope='module')
def readiness():
    """The very code that runs in a worker, with a clock and a release of its own."""
    baked = types.ModuleType('shakenfist._release')
    baked.VERSION, baked.SCHEMA, baked.TRAITS = 'test', 1, []
    sys.path.insert(0, str(SF))
    sys.modules['shakenfist._release'] = baked
    try:
        yield importlib.import_module('shakenfist.health')
    finally:
        sys.path.remove(str(SF))
        for name in [n for n in sys.modules if n.partition('.')[0] == 'shakenfist']:
            del sys.modules[name]


def test_debounce_and_staleness(readiness, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(readiness, 'time', types.SimpleNamespace(monotonic=lambda: clock[0]))
    r = readiness.Readiness()
    assert not r.is_ready()
    r.note(False)
    assert not r.is_ready()
    r.note(True)
    assert r.is_ready()
    for failure in range(2):
        r.note(False)
        assert r.is_ready(), failure
    r.note(True)
    for failure in range(2):
        r.note(False)
        assert r.is_ready(), failure
    r.note(False)
    assert not r.is_ready()
    r.note(True)
    clock[0] += 15
    assert r.is_ready()
    clock[0] += 0.1
    assert not r.is_ready()
    r.note(True)
    assert r.is_ready()
    r.draining = True
    assert not r.is_ready()
    assert (readiness.POLL, readiness.FAILURES, readiness.STALE) == (5, 3, 15)


def stop(lab, node, unit):
    """Stops a unit: how many seconds that took, and the unit afterwards."""
    began = time.monotonic()
    lab.ssh(node, 'systemctl stop ' + unit)
    return time.monotonic() - began, lab.show(node, unit + '.service')[unit]


@contextlib.contextmanager
def variant(lab, node, unit, wheel=None, change=''):
    """The unit once more under the name `contract-UNIT`: of a node of no name, at port 13001, and from that wheel."""
    name = 'contract-' + unit
    environment = 'SHAKENFIST_NODE_NAME=contract\n'
    if wheel:
        lab.ssh(node, f'cat > /tmp/{name}.whl', data=wheel.read_bytes())
        environment += f'PYTHONPATH=/tmp/{name}.whl\n'
    lab.ssh(node, f'cat > /tmp/{name}.env', data=environment)
    own = f's/:13000/:13001/; /^PartOf/d; /^EnvironmentFile=/a EnvironmentFile=/tmp/{name}.env'
    lab.ssh(node, f"sed -e '{own}' {change}"
                  f' /etc/systemd/system/{unit}.service > /run/systemd/system/{name}.service'
                  ' && systemctl daemon-reload')
    try:
        yield name
    finally:
        lab.ssh(node, f'systemctl stop {name}; systemctl reset-failed {name}; systemctl daemon-reload;'
                      f' rm -f /run/systemd/system/{name}.service /tmp/{name}.*', check=False)
        lab.sql("DELETE FROM daemon_states WHERE node = 'contract'")


@pytest.fixture(scope='session')
def build():
    sys.path.insert(0, str(SF))
    try:
        return importlib.import_module('build').build
    finally:
        sys.path.remove(str(SF))


@pytest.fixture(scope='session')
def beside(lab, build):
    """What takes a minute and leaves the other tests alone."""
    wheels = ROOT / '.cache/contract'
    idle = threading.Event()

    def overlong_drain():
        """A stop of sf-api under a request longer than gunicorn's 55 s."""
        answer = []
        asking = threading.Thread(target=lambda: answer.append(lab.get('sf-3', '/lab/slow?seconds=100')))
        asking.start()
        time.sleep(0.5)  # it is on its way; nothing tells when a worker has it
        took, unit = stop(lab, 'sf-3', 'sf-api')
        asking.join()
        checks['newer_build'].thread.join()
        lab.ssh('sf-3', 'systemctl start sf-api')
        return took, unit, answer[0]

    def idle_drain():
        """A stop of an sf-api that nobody connects to."""
        with contextlib.ExitStack() as stack:
            stack.callback(idle.set)
            unit = stack.enter_context(variant(lab, 'sf-3', 'sf-api'))
            lab.ssh('sf-3', f'systemctl start {unit}')
            ask = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:13001/readyz"
            wait_for(lambda: lab.ssh('sf-3', ask, check=False).stdout == '200', 20, f'{unit} ready')
            idle.set()
            return stop(lab, 'sf-3', unit)

    def newer_build():
        """A build is installed under the daemons that run: what the node reports of it, and when."""
        wheel = build('0.8.1.dev3+gabc1234', wheels)
        idle.wait()  # what starts while pip replaces its files may find half of them
        seen = []
        for source in (wheel, build('0.8.0', wheels)):
            lab.ssh('sf-3', f'cat > /tmp/{source.name}', data=source.read_bytes())
            lab.ssh('sf-3', f'{VENV}/python -m pip install -q --no-index --no-deps --force-reinstall /tmp/{source.name}'
                            f' && rm /tmp/{source.name}')
            if source == wheel:
                before = lab.reported('sf-3')[0]
                wait_for(lambda before=before: lab.reported('sf-3')[0] > before + 1, 20, 'sf-3 reports once more')
                seen.append(lab.reported('sf-3')[1])
            lab.ssh('sf-3', 'systemctl restart sf-sentinel-first && systemctl restart sf-sentinel-last')
            seen.append(lab.reported('sf-3')[1])
        return wheel.name, seen

    def node_states():
        """Reconciled, and stranded by an older tree's sentinel-last."""
        def reconciled(state):
            return wait_for(lambda: lab.state('sf-1') == state, 20, f'sf-1 {state}')[1]
        seen = {}
        lab.ssh('sf-1', 'systemctl stop sf-queues')
        seen['stopped daemon'] = lab.daemons('sf-1')['sf-queues']
        seen['degraded after'] = reconciled('degraded')
        lab.ssh('sf-1', 'systemctl start sf-queues')
        seen['created after'] = reconciled('created')
        older = build('0.8.0', wheels / 'older', traits=['sentinel_last_leaves_the_state'])
        lab.ssh('sf-1', 'cat > /tmp/older.whl', data=older.read_bytes())
        dropin = '/run/systemd/system/sf-sentinel-last.service.d'
        lab.ssh('sf-1', f'mkdir {dropin} && cat > {dropin}/older.conf && systemctl daemon-reload',
                data='[Service]\nEnvironment=PYTHONPATH=/tmp/older.whl\n')
        lab.ssh('sf-1', 'systemctl daemon-reload && systemctl restart sf-sentinel-last')
        try:
            # It was the newer one that stopped, and the older one that started.
            with Sampler(lambda: lab.state('sf-1'), 1) as stranded:
                wait_for(lambda: len(stranded.answers) > 18, 30, 'samples')
            seen['stranded'] = {state for when, state in stranded.answers}
            lab.ssh('sf-1', 'systemctl stop sf-sentinel-last && systemctl restart sf-sentinel-first'
                            ' && systemctl start sf-sentinel-last')
            seen['older, in order'] = lab.state('sf-1')
            seen['older, created after'] = reconciled('created')
        finally:
            lab.ssh('sf-1', f'rm -r {dropin} /tmp/older.whl; systemctl daemon-reload;'
                            ' systemctl restart sf-sentinel-first && systemctl restart sf-sentinel-last')
        return seen

    checks = {}
    for check in (newer_build, overlong_drain, idle_drain, node_states):
        checks[check.__name__] = Beside(check)
    yield checks
    for check in checks.values():
        check.thread.join()
    wait_for(lambda: lab.ready('sf-3'), 30, 'sf-3 ready again')


def test_drain_witnessed(lab, beside):
    node = 'sf-2'
    slow = {}

    def ask_slowly():
        slow['answer'] = lab.get(node, f'/lab/slow?seconds={lab.grace + 2}')
        slow['at'] = time.monotonic()

    thread = threading.Thread(target=ask_slowly)
    thread.start()
    with back_again(lab, [node]), contextlib.ExitStack() as stack:
        readyz = stack.enter_context(Sampler(lambda: lab.get(node, '/readyz', timeout=1)[0]))
        index = stack.enter_context(Sampler(lambda: lab.get(node, '/', timeout=1)[0]))
        balanced = stack.enter_context(Sampler(lambda: lab.through_balancer('/api/')[0]))
        wait_for(lambda: len(index.answers) > 5, 5, 'samples')
        stopped = time.monotonic()
        stop = threading.Thread(target=lambda: lab.ssh(node, 'systemctl stop sf-api'))
        stop.start()
        wait_for(lambda: lab.workers(node) == {503}, 2, 'every worker says 503', 0.02)
        assert lab.get(node, '/livez') == (200, 'ok')
        assert lab.note(node)[1] == 200
        wait_for(lambda: lab.daemons(node)['sf-api'] == 'stopping', 3, 'the daemon state')
        wait_for(lambda: backend(lab, node) == 'DOWN', lab.grace, 'the balancer lets go')
        stop.join()
        inactive = time.monotonic()
        thread.join()
        unit = lab.show(node, 'sf-api.service')['sf-api']
        assert (unit['ActiveState'], unit['Result']) == ('inactive', 'success')
        assert lab.daemons(node)['sf-api'] == 'stopped'

        # While it drained: 503 there, every request served, for the whole grace.
        flipped = next(when for when, status in readyz.answers if when > stopped and status == 503)
        assert flipped - stopped < 1
        window = (flipped, stopped + lab.grace - 0.2)
        assert {s for when, s in readyz.answers if window[0] <= when < window[1]} == {503}
        assert {s for when, s in index.answers if when < window[1]} == {200}
        # The request in flight was served to its end, after the grace; the unit ended with it, the others were woken.
        assert slow['answer'][0] == 200
        assert slow['at'] - stopped > lab.grace
        assert 0 <= inactive - slow['at'] < 5

        # Back: every worker asks when it is forked.
        lab.ssh(node, 'systemctl start sf-api')
        wait_for(lambda: lab.workers(node) == {200}, 5, 'all workers ready', 0.05)
        wait_for(lambda: lab.daemons(node)['sf-api'] == 'running', 3, 'the daemon state')
        wait_for(lambda: backend(lab, node) == 'UP', 10, 'the balancer takes it back')
    assert {status for when, status in balanced.answers} == {200}


def backend(lab, node):
    rows = csv.DictReader(io.StringIO(request(f'http://{lab.balancer}:8404/stats;csv')[1].removeprefix('# ')))
    return next(row['status'].split()[0] for row in rows if row['svname'] == node)


def test_a_stop_of_an_idle_api_that_is_probed_takes_the_grace(lab):
    # HAProxy connects once a second, and each connection wakes one worker.
    with back_again(lab, ['sf-2']):
        took, unit = stop(lab, 'sf-2', 'sf-api')
    assert lab.grace <= took < lab.grace + WORKERS + 2, 'the grace, and a connection for each worker'


def test_the_fault_in_which_the_drain_does_not_happen(lab, build):
    wheel = build('0.8.0', ROOT / '.cache/contract/undrained', traits=['api_ends_without_drain'])
    with variant(lab, 'sf-2', 'sf-api', wheel) as unit:
        lab.ssh('sf-2', 'systemctl start ' + unit)
        address = f'http://{lab.address("sf-2")}:13001/readyz'
        with Sampler(lambda: request(address)[0], 0.02) as readyz:
            # Every worker, for one that is not ready yet says 503 as well.
            wait_for(lambda: [status for when, status in readyz.answers[-40:]] == [200] * 40, 20, f'{unit} ready')
            ready = len(readyz.answers)
            took, state = stop(lab, 'sf-2', unit)
    assert took < 2
    assert (state['ActiveState'], state['Result']) == ('inactive', 'success')
    assert {status for when, status in readyz.answers[ready:]} == {200, None}


# The other daemons

def test_daemons_stop_quickly_and_clean(lab):
    names = [n for n in PLAIN if n != 'sf-cluster']
    with back_again(lab, ['sf-2']):
        sentinels = {n: lab.show('sf-2', n + '.service')[n]['InvocationID'] for n in SENTINELS}
        began = time.monotonic()
        try:
            lab.ssh('sf-2', 'systemctl stop ' + ' '.join(names))
            assert time.monotonic() - began < 5
            assert {n for n, state in lab.daemons('sf-2').items() if state == 'stopped'} == set(names)
            for name, unit in lab.show('sf-2', *[n + '.service' for n in names]).items():
                ended = unit['ActiveState'], unit['Result'], unit['ExecMainStatus']
                assert ended == ('inactive', 'success', '0'), name
        finally:
            lab.ssh('sf-2', 'systemctl start ' + ' '.join(names))
        for name, unit in lab.show('sf-2', *[n + '.service' for n in names]).items():
            assert unit['ActiveState'] == 'active', name
        wait_for(lambda: set(lab.daemons('sf-2').values()) == {'running'}, 5, 'their daemon states')
        assert {n: lab.show('sf-2', n + '.service')[n]['InvocationID'] for n in SENTINELS} == sentinels


def test_node_states_through_a_restart_of_each_sentinel(lab):
    seen = []
    for verb, name in (('stop', 'last'), ('start', 'last'), ('restart', 'first'), ('restart', 'last'), ('stop', 'last'),
                       ('stop', 'first'), ('start', 'first'), ('start', 'last')):
        lab.ssh('sf-2', f'systemctl {verb} sf-sentinel-{name}')
        seen.append(f'{verb} {name}: {lab.state("sf-2")}')
    assert seen == ['stop last: stopping', 'start last: created', 'restart first: degraded', 'restart last: created',
                    'stop last: stopping', 'stop first: stopped', 'start first: degraded', 'start last: created']
    assert {n: lab.daemons('sf-2')[n] for n in SENTINELS} == dict.fromkeys(SENTINELS, 'running')


def test_a_broken_sf_ctl_fails_every_start_and_stop(lab, build):
    wheel = build('0.8.0', ROOT / '.cache/contract/ctl', traits=['ctl_broken'])
    with variant(lab, 'sf-2', 'sf-queues', wheel, "-e 's/^Restart=.*/Restart=no/'") as unit:
        assert lab.ssh('sf-2', 'systemctl start ' + unit, check=False).returncode == 1
        state = lab.show('sf-2', unit + '.service')[unit]
        assert (state['ActiveState'], state['Result'], state['ExecMainPID']) == ('failed', 'exit-code', '0')
        assert 'Error: This release is broken on purpose' in lab.out('sf-2', f'journalctl -u {unit} -o cat')
        # It came after the daemon was started: the daemon ends, the stop has failed.
        lab.ssh('sf-2', f'mv /tmp/{unit}.whl /tmp/{unit}.later && systemctl start {unit}'
                        f' && mv /tmp/{unit}.later /tmp/{unit}.whl')
        took, state = stop(lab, 'sf-2', unit)
        assert (state['ActiveState'], state['Result'], state['ExecMainStatus']) == ('failed', 'exit-code', '0')


def test_uncaught_exception_leaves_a_file(lab):
    before = set(lab.out('sf-1', 'ls /srv/shakenfist/exceptions').split())
    new = set()
    try:
        result = lab.ssh('sf-1', 'SHAKENFIST_MARIADB_GATEWAY_PORT=none /srv/shakenfist/venv/bin/sf-database',
                         check=False)
        assert result.returncode == 1
        new = set(lab.out('sf-1', 'ls /srv/shakenfist/exceptions').split()) - before
        assert len(new) == 1
        assert 'Traceback' in lab.out('sf-1', f'cat /srv/shakenfist/exceptions/{min(new)}')
    finally:
        for name in new:
            lab.ssh('sf-1', f'rm /srv/shakenfist/exceptions/{name}')


# sf-database

def test_gateway_health_and_unknown_calls(lab):
    for node in DATABASE:
        assert lab.health(node) == 'SERVING'
        with grpc.insecure_channel(f'{lab.address(node)}:13005') as channel:
            # What a new sf-api meets at an old sf-database.
            assert lab.call(channel, 'list_colours').code() == grpc.StatusCode.UNIMPLEMENTED
            assert 'nodes' in lab.call(channel, 'list_nodes').result()
    assert lab.health('sf-3') == 'UNAVAILABLE'


def test_gateway_finishes_what_is_in_flight_and_takes_nothing_new(lab):
    with back_again(lab, gateways=['sf-2']), grpc.insecure_channel(f'{lab.address("sf-2")}:13005') as channel:
        held = threading.Thread(target=lambda: lab.sql('LOCK TABLES notes WRITE; SELECT SLEEP(4); UNLOCK TABLES'))
        held.start()
        wait_for(lambda: 'SLEEP(4)' in lab.sql('SHOW PROCESSLIST'), 3, 'the table is locked', 0.05)
        in_flight = lab.call(channel, 'write_note', timeout=10, id=str(uuid.uuid4()), text='in flight')
        wait_for(lambda: 'Waiting for table metadata lock' in lab.sql('SHOW PROCESSLIST'), 3, 'the call waits', 0.05)
        stop = threading.Thread(target=lambda: lab.ssh('sf-2', 'systemctl stop sf-database'))
        stop.start()
        try:
            wait_for(lambda: lab.health('sf-2') == 'UNAVAILABLE', 2, 'nothing new is taken', 0.05)
            assert not in_flight.done()
            assert lab.daemons('sf-2')['sf-database'] == 'stopping'
            assert in_flight.result()['id']
            stop.join()
            assert lab.daemons('sf-2')['sf-database'] == 'stopped'
            unit = lab.show('sf-2', 'sf-database.service')['sf-database']
            assert (unit['ActiveState'], unit['Result'], unit['ExecMainStatus']) == ('inactive', 'success', '0')
            # The other gateway is enough for everybody.
            assert lab.ready('sf-2')
            assert all(lab.note(node)[1] == 200 for node in DATABASE for i in range(5))
        finally:
            stop.join()
            held.join()


def port_reject(**arguments):
    # ansible's own words, as a roll has them
    command = [ROOT / '.cache/venv/bin/ansible', '-i', ROOT / 'inventories/lab', 'sf-2', '--become', '--one-line',
               '-m', 'shakenfist.rolling.port_reject', '-a', json.dumps(arguments)]
    out = subprocess.run(command, cwd=ROOT, env=dict(os.environ, ANSIBLE_HOME=str(ROOT / '.ansible')), check=True,
                         capture_output=True, text=True, timeout=60).stdout
    return json.loads(out.partition('=> ')[2])


def test_clients_of_a_gateway_are_led_away_and_calls_in_flight_end(lab):
    address = f'{lab.address("sf-2")}:13005'
    result = {}
    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(address, [('lab', 1)]) as other:
        assert 'nodes' in lab.call(other, 'list_nodes').result()
        held = threading.Thread(target=lambda: lab.sql('LOCK TABLES notes WRITE; SELECT SLEEP(6); UNLOCK TABLES'))
        held.start()
        wait_for(lambda: 'SLEEP(6)' in lab.sql('SHOW PROCESSLIST'), 3, 'the table is locked', 0.05)
        in_flight = lab.call(channel, 'write_note', timeout=20, id=str(uuid.uuid4()), text='in flight')
        wait_for(lambda: 'Waiting for table metadata lock' in lab.sql('SHOW PROCESSLIST'), 3, 'the call waits', 0.05)
        reject = threading.Thread(target=lambda: result.update(port_reject(
            server=address, servers=[address, lab.address('sf-1') + ':13005'], quiet=7, seconds=12)))
        reject.start()
        try:
            with Sampler(lambda: lab.call(other, 'list_nodes').code().name, 0.02) as calls:
                wait_for(lambda: calls.answers and calls.answers[-1][1] == 'UNAVAILABLE', 10, 'new calls are rejected')
                assert not in_flight.done()
                assert in_flight.result()['id']
                assert calls.answers[-1][1] == 'UNAVAILABLE'
        finally:
            held.join()
            reject.join()
        assert (result['rejecting'], result['problem']) == (True, '')
        assert {code for when, code in calls.answers} <= {'OK', 'UNAVAILABLE'}, 'what a client sends again'
        # The rule goes by itself; nobody has taken it away.
        assert lab.health('sf-2') == 'UNAVAILABLE'
        wait_for(lambda: lab.health('sf-2') == 'SERVING', 15, 'the kernel drops the rule')
        assert port_reject(server=address, state='absent')['changed']
        assert not port_reject(server=address, state='absent')['changed']


def test_short_outage_of_every_gateway_does_not_show(lab, beside):
    for check in beside.values():
        check.thread.join()  # they need the database
    with back_again(lab, DATABASE, DATABASE), Sampler(lambda: lab.workers('sf-1', requests=10), 0.2) as readyz:
        for node in DATABASE:
            lab.ssh(node, 'systemctl stop sf-database')
        assert lab.health('sf-1') == lab.health('sf-2') == 'UNAVAILABLE'
        for node in DATABASE:
            lab.ssh(node, 'systemctl start sf-database')
        wait_for(lambda: lab.note('sf-1')[1] == 200, 10, 'clients reconnect')
        seen = len(readyz.answers)
        wait_for(lambda: len(readyz.answers) > seen + 20, 20, 'samples')
    assert {frozenset(a) for when, a in readyz.answers} == {frozenset({200})}


def test_health_follows_mariadb(lab):
    with back_again(lab, DATABASE, DATABASE):
        try:
            lab.ssh('db', 'systemctl stop mariadb')
            stopped = time.monotonic()
            wait_for(lambda: {lab.health(n) for n in DATABASE} == {'NOT_SERVING'}, 13, 'NOT_SERVING')
            lost = time.monotonic()
            wait_for(lambda: 503 in lab.workers('sf-1'), 20, 'not ready')
            assert time.monotonic() - stopped > 10, 'three failures, 5 s apart'
            wait_for(lambda: lab.workers('sf-1') == {503}, 8, 'no worker ready')
            assert time.monotonic() - lost < 17
            assert lab.get('sf-1', '/livez') == (200, 'ok')
            assert lab.note('sf-1')[1] == 500
        finally:
            lab.ssh('db', 'systemctl start mariadb')
        wait_for(lambda: {lab.health(n) for n in DATABASE} == {'SERVING'}, 13, 'SERVING')
        wait_for(lambda: lab.ready('sf-1'), 6, 'ready on one success')
    for node in DATABASE:
        assert lab.show(node, 'sf-database.service')['sf-database']['NRestarts'] == '0'


def test_schema_versions_are_compared_for_equality_at_start(lab):
    before = lab.sql('SELECT table_name, version FROM schema_versions ORDER BY table_name')
    with back_again(lab, DATABASE, DATABASE):
        try:
            lab.sql("UPDATE schema_versions SET version = version + 1 WHERE table_name = 'notes'")
            # A newer schema: the running ones go on, the old sf-ctl verifies the old one and changes nothing.
            ctl = lab.out('sf-1', '/srv/shakenfist/venv/bin/sf-ctl ensure-mariadb-schema').splitlines()
            assert "Table 'notes' is up to date (version 2)" in ctl
            assert ctl[-1] == 'MariaDB schema verified.'
            assert lab.sql("SELECT version FROM schema_versions WHERE table_name = 'notes'") == '2'
            assert lab.health('sf-1') == lab.health('sf-2') == 'SERVING'
            restart = lab.ssh('sf-2', 'systemctl restart sf-database', check=False)
            assert restart.returncode != 0
            unit = lab.show('sf-2', 'sf-database.service')['sf-database']
            assert (unit['Result'], unit['ExecMainStatus']) == ('exit-code', '1')
            log = lab.out('sf-2', 'journalctl -u sf-database -n 30 -o cat')
            assert "table 'notes': this build needs version 1, the database has version 2" in log
            assert lab.note('sf-2')[1] == 200
            # Older is as unequal as newer.
            lab.sql("UPDATE schema_versions SET version = 0 WHERE table_name = 'notes'")
            assert lab.ssh('sf-2', 'systemctl restart sf-database', check=False).returncode != 0
        finally:
            lab.sql("UPDATE schema_versions SET version = 1 WHERE table_name = 'notes'")
            lab.ssh('sf-2', 'systemctl restart sf-database')
    assert lab.sql('SELECT table_name, version FROM schema_versions ORDER BY table_name') == before


# sf-ctl

def test_sf_ctl_only_on_database_nodes(lab):
    result = lab.ssh('sf-3', '/srv/shakenfist/venv/bin/sf-ctl ensure-mariadb-schema', check=False)
    assert result.returncode == 1
    assert 'only on database nodes' in result.stderr
    assert result.stdout == ''


def test_sf_ctl_lists_every_failing_check(lab):
    checks = lab.sql('SELECT @@character_set_database, @@collation_database').split()
    try:
        lab.sql('ALTER DATABASE shakenfist CHARACTER SET latin1; SET GLOBAL default_storage_engine = Aria')
        result = lab.ssh('sf-1', '/srv/shakenfist/venv/bin/sf-ctl ensure-mariadb-schema', check=False)
    finally:
        lab.sql(f'ALTER DATABASE shakenfist CHARACTER SET {checks[0]} COLLATE {checks[1]};'
                'SET GLOBAL default_storage_engine = InnoDB')
    assert result.returncode == 1
    assert result.stdout == ''
    lines = result.stderr.splitlines()
    assert lines[0].startswith('Error: ')
    assert len(lines) == 4
    for line, word in zip(lines[1:], ('InnoDB', 'latin1', 'utf8mb4_'), strict=True):
        assert word in line


@pytest.fixture
def scratch(lab, build):
    """A database of its own, and releases that are run beside the installed one."""
    for version in ('0.8.0', '0.8.1', '0.8.2'):
        wheel = build(version, ROOT / '.cache/contract')
        lab.ssh('sf-1', f'cat > /tmp/contract-{version}.whl', data=wheel.read_bytes())
    user = lab.config('sf-1')['SHAKENFIST_MARIADB_USER']
    lab.sql('DROP DATABASE IF EXISTS contract; CREATE DATABASE contract CHARACTER SET utf8mb4;'
            f"GRANT ALL ON contract.* TO '{user}'@'%'")

    def run(version, module, arguments=''):
        return lab.ssh('sf-1', f'PYTHONPATH=/tmp/contract-{version}.whl SHAKENFIST_MARIADB_DATABASE=contract'
                               f' timeout 20 /srv/shakenfist/venv/bin/python -m shakenfist.{module} {arguments}',
                       check=False)
    yield run
    lab.ssh('sf-1', 'rm -f /tmp/contract-*.whl')
    lab.sql(f"DROP DATABASE contract; REVOKE ALL ON contract.* FROM '{user}'@'%'")


def test_a_build_knows_only_its_own_migrations(lab, scratch):
    def ensure(version):
        result = scratch(version, 'ctl', 'ensure-mariadb-schema')
        assert result.returncode == 0, result.stderr
        lines = result.stdout.splitlines()
        assert lines[-1] == 'MariaDB schema verified.'
        return lines[:-1]

    unchanged = r"Table '\w+' is up to date \(version \d+\)|Native ENUM columns are up to date"
    first = ensure('0.8.0')
    assert "Created table 'notes' at version 1" in first
    assert first[-1] == 'Native ENUM columns are up to date'
    assert all(re.fullmatch(r"Created table '\w+' at version \d+", line) for line in first[:-1])
    assert all(re.fullmatch(unchanged, line) for line in ensure('0.8.0'))

    migrated = ensure('0.8.1')
    assert [line for line in migrated if not re.fullmatch(unchanged, line)] == [
        "Migrated table 'cluster_operation_targets' from version 1 to 2", "Migrated table 'notes' from version 1 to 2",
        'Widened ENUM column(s): object_states.object_type']
    assert lab.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = 'contract'"
                   " AND table_name = 'notes' AND column_name = 'colour'") == 'colour'
    versions = lab.sql('SELECT * FROM contract.schema_versions ORDER BY 1')
    for version in ('0.8.1', '0.8.2', '0.8.0'):
        assert all(re.fullmatch(unchanged, line) for line in ensure(version)), version
    assert lab.sql('SELECT * FROM contract.schema_versions ORDER BY 1') == versions

    refused = scratch('0.8.0', 'database')
    assert refused.returncode == 1
    assert "table 'notes': this build needs version 1, the database has version 2" in refused.stderr


# Last, for they have been running beside the others

def test_what_outlasts_the_graceful_timeout_is_cut(beside):
    took, unit, answer = beside['overlong_drain'].result()
    assert 54 < took < 60, 'the 55 s count from the SIGTERM'
    assert answer[0] is None
    assert (unit['ActiveState'], unit['Result']) == ('inactive', 'success')


def test_a_stop_of_an_idle_api_that_nobody_probes_takes_the_graceful_timeout(beside):
    took, unit = beside['idle_drain'].result()
    assert 54 < took < 60, 'its workers sleep through the end of the grace'
    assert (unit['ActiveState'], unit['Result']) == ('inactive', 'success')


def test_a_node_reports_its_new_release_after_its_sentinels_were_restarted(beside):
    wheel, seen = beside['newer_build'].result()
    assert wheel == 'shakenfist-0.8.1.dev3+gabc1234-py3-none-any.whl'
    assert seen == ['0.8.0', '0.8.1', '0.8.0'], 'as before, the new one in its brief form, and back'


def test_a_node_is_degraded_while_a_daemon_does_not_run(beside):
    seen = beside['node_states'].result()
    assert seen['stopped daemon'] == 'stopped'
    assert seen['degraded after'] < 17
    assert seen['created after'] < 17


def test_an_older_tree_strands_a_node_whose_last_sentinel_is_restarted_last(beside):
    seen = beside['node_states'].result()
    assert seen['stranded'] == {'stopping'}
    assert seen['older, in order'] == 'degraded'
    assert 10 < seen['older, created after'] < 17, 'by the reconciliation'
