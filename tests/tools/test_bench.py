# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import types

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import bench  # noqa: E402  pylint: disable=wrong-import-position
import demo  # noqa: E402  pylint: disable=wrong-import-position
import figures  # noqa: E402  pylint: disable=wrong-import-position
import recording  # noqa: E402  pylint: disable=wrong-import-position
import rotation  # noqa: E402  pylint: disable=wrong-import-position

GROUPS = {'allsf': ['sf-1', 'sf-2', 'sf-3'], 'database': ['sf-1'], 'hypervisors': ['sf-2', 'sf-3']}


def told(**answer):
    return answer


def tape(**nodes):
    """One run, by node the calls; sf-1 is written sf_1."""
    return recording.Recording(GROUPS, {'upgrade': {name.replace('_', '-'): calls for name, calls in nodes.items()}})


ROLL = [('look', told(at='first')), ('look', told(at='second')), ('units', {}), ('look', told(at='third'))]


@pytest.mark.parametrize('turn, count, at', [
    (0, 0, 'first'), (0, 1, 'second'), (0, 2, 'second'), (0, 9, 'second'), (1, 0, 'third'), (1, 5, 'third'),
    (2, 0, 'third'),
])
def test_answers_come_in_the_order_in_which_they_were_given(turn, count, at):
    assert tape(sf_3=ROLL).answer('upgrade', 'sf-3', 'look', turn, count) == {'at': at}


def test_an_answer_that_came_later_only_is_given_before_as_well():
    assert tape(sf_3=ROLL[2:]).answer('upgrade', 'sf-3', 'look', 0, 0) == {'at': 'third'}


def test_what_nobody_was_asked_for_has_no_answer():
    assert tape(sf_3=ROLL).answer('upgrade', 'sf-3', 'lock free', 0, 0) is None


def test_what_only_another_node_was_asked_for():
    assert tape(sf_1=ROLL, sf_3=[]).answer('upgrade', 'sf-3', 'look', 0, 0) == {'at': 'first'}


@pytest.mark.parametrize('module, arguments, name', [
    ('shakenfist.rolling.release', {'state': 'active'}, 'release active'),
    ('ansible.builtin.ping', {}, 'ping'),
    ('copy', {'state': None}, 'copy'),
])
def test_key(module, arguments, name):
    assert recording.key(module, arguments) == name


def test_a_state_that_is_the_default_of_its_module():
    assert tape(sf_3=[('lock', {'lock': None})]).answer('upgrade', 'sf-3', 'lock held', 0, 0) == {'lock': None}


def test_a_node_beyond_the_recorded_ones_has_its_own_name_and_address():
    answer = {'name': 'sf-3', 'url': 'http://10.0.0.13:13000', 'others': ['sf-31', 'sf-2', '10.0.0.131', '110.0.0.13'],
              'unit': 'sf-api'}
    assert tape(sf_3=[('look', answer)]).answer('upgrade', 'sf-300', 'look', 0, 0) == dict(
        answer, name='sf-300', url='http://10.0.1.54:13000')


def test_addresses_are_valid_and_differ():
    found = [recording.address(count) for count in range(1, 1001)]
    assert len(set(found)) == 1000
    assert all(int(part) < 256 for address in found for part in address.split('.'))


def test_the_inventory_grows_where_the_last_node_is():
    inventory = tape().inventory(5)['all']
    assert {name: list(group['hosts']) for name, group in inventory['children'].items()} == {
        'allsf': ['sf-1', 'sf-2', 'sf-3', 'sf-4', 'sf-5'], 'database': ['sf-1'],
        'hypervisors': ['sf-2', 'sf-3', 'sf-4', 'sf-5']}
    assert inventory['hosts']['sf-5'] == {'ansible_host': '10.0.0.15'}


def test_the_api_lists_all_nodes():
    nodes = ['sf-%d' % count for count in range(1, 6)]
    answer = {'nodes': [dict(name=name, ip=recording.address(recording.number(name)), release='0.8.1',
                             is_cluster_maintainer=name == 'sf-3') for name in nodes[:3]], 'leader': 'sf-3'}
    found = recording.fitted(answer, 'nodes_info', {}, nodes)
    assert [entry['name'] for entry in found['nodes']] == nodes
    assert found['nodes'][4] == {'name': 'sf-5', 'ip': '10.0.0.15', 'release': '0.8.1', 'is_cluster_maintainer': False}
    assert found['leader'] == 'sf-3'


def test_all_that_were_asked_are_in_the_answer():
    answer = {'ready': True, 'count': 1, 'seen': {'http://a': {'ready': True}}}
    found = recording.fitted(answer, 'ready_info', {'urls': ['http://b', 'http://c']}, [])
    assert found == {'ready': True, 'count': 2, 'seen': {'http://b': {'ready': True}, 'http://c': {'ready': True}}}


def test_the_lock_is_held_by_the_run_that_asks():
    answer = {'lock': {'run': '00000000', 'doing': 'rolling'}}
    assert recording.fitted(answer, 'lock', {'holder': {'run': '1a2b3c4d'}}, []) == {
        'lock': {'run': '1a2b3c4d', 'doing': 'rolling'}}


def test_a_recording_has_nothing_of_the_machine_that_made_it():
    answer = {'invocation': {'module_args': {'password': 'hunter2'}}, '_ansible_parsed': True, 'warnings': ['x'],
              'seen': {'http://10.213.79.13:13000': 'ok'}, 'lock': {'user': 'alice', 'host': 'admin', 'doing': 'x'}}
    found = recording.generic(answer, '10.213.79.')
    assert found['seen'] == {'http://10.0.0.13:13000': 'ok'}
    assert found['lock'] == dict(recording.PERSONAL, doing='x')
    assert set(found) == {'seen', 'lock'}


def test_a_recording_is_read_as_it_was_written(tmp_path):
    written = tape(sf_1=ROLL + ROLL, sf_3=ROLL)
    written.write(tmp_path / 'file')
    found = recording.Recording.read(tmp_path / 'file')
    assert found.groups == GROUPS
    assert {node: [tuple(call) for call in calls] for node, calls in found.runs['upgrade'].items()} == (
        written.runs['upgrade'])
    assert len(json.loads((tmp_path / 'file').read_text())['answers']) == 4  # equal ones are there once


@pytest.mark.parametrize('measured, slopes', [
    ({3: 10.0, 12: 19.0}, {(3, 12): 1.0}),
    ({60: 90.0, 3: 10.0, 12: 18.0}, {(3, 12): 8 / 9, (12, 60): 1.5, (3, 60): 80 / 57}),
    ({3: 10.0}, {}),
])
def test_per_node(measured, slopes):
    assert recording.per_node(measured) == pytest.approx(slopes)


def test_measured(tmp_path):
    code = 'print("TASK [a] ***"); print("ok"); print("TASK [b] ***"); sum(range(10 ** 7))'
    found = bench.measured([sys.executable, '-c', code], tmp_path / 'log', start_new_session=True)
    assert found['tasks'] == 2
    assert 0 < found['cpu'] <= 2 * found['wall'] and found['memory'] > 1


def test_a_run_that_failed_is_not_measured(tmp_path):
    with pytest.raises(demo.DemoError, match=r'rc 3(.|\n)*the end'):
        bench.measured([sys.executable, '-c', 'print("the end"); raise SystemExit(3)'], tmp_path / 'log')


def window(start, end):
    found = rotation.Window(start, 503)
    found.end = end
    return found


def watched(*windows):
    watch = rotation.Watch('sf-2', '127.0.0.1')
    watch.windows = list(windows)
    return watch


STOP = [(10.0, 'sf-api', 'stopping'), (12.0, 'sf-api', 'stopped'), (12.5, 'sf-api', 'starting'),
        (12.5, 'sf-api', 'started')]


@pytest.mark.parametrize('windows, found, outage', [
    ([window(10.1, 20.1)], STOP, (10.0, pytest.approx(9.6))),
    ([window(10.1, 20.1), window(30.0, 31.0)], STOP, (11.0, None)),
    ([window(10.1, 20.1)], [], (10.0, None)),
])
def test_outage(windows, found, outage):
    assert bench.outage(watched(*windows), found) == outage


def test_nothing_is_measured_where_a_node_is_not_back():
    with pytest.raises(demo.DemoError, match='sf-2 is still out of rotation'):
        bench.outage(watched(window(10.0, None)), [])


def test_events(tmp_path):
    assert bench.events_of(tmp_path / 'log') == []
    (tmp_path / 'log').write_text('{"time": "1970-01-01T00:01:00.5Z", "event": "begin"}\n{"time": "1970-01')
    assert bench.events_of(tmp_path / 'log') == [(60.5, {'time': '1970-01-01T00:01:00.5Z', 'event': 'begin'})]


class Contest(bench.Contest):
    """A lab of which each way but one can be measured."""

    def __init__(self, stage, args, weight):  # pylint: disable=super-init-not-called
        self.stage, self.args, self.weight, self.did = stage, args, weight, stage.did

    def about(self):
        return 'light'

    def restore(self):
        self.did.append('restore')

    def measure(self, way, folder):
        assert folder.is_dir()
        self.did.append(way)
        if way in self.stage.broken:
            raise demo.DemoError('rc 2')
        return dict(wall=60.0)


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr(bench, 'Contest', Contest)
    monkeypatch.setattr(bench, 'versions', lambda: 'x')
    return types.SimpleNamespace(did=[], broken=['plain'], must=lambda *dummy: None, step=lambda text: None,
                                 say=lambda text: None)


def test_race(stage, tmp_path):
    args = bench.arguments(['--rounds', '2', '--weight', 'lab', '--ways', 'again,plain,quiet'])
    result = bench.race(stage, args, tmp_path / 'bench.json')
    assert ' '.join(stage.did) == 'restore quiet again restore plain restore plain restore quiet again'
    assert result == json.loads((tmp_path / 'bench.json').read_text())
    assert [(one['way'], one['round'], one.get('error')) for one in result['measurements']] == [
        ('quiet', 1, None), ('again', 1, None), ('plain', 1, 'rc 2'), ('plain', 2, 'rc 2'), ('quiet', 2, None),
        ('again', 2, None)]
    assert result['weights'] == {'lab': 'light'}


def test_no_second_run_where_the_first_one_failed(stage, tmp_path):
    stage.broken = ['quiet']
    args = bench.arguments(['--rounds', '1', '--weight', 'lab', '--ways', 'again,plain,quiet'])
    assert len(bench.race(stage, args, tmp_path / 'bench.json')['measurements']) == 2
    assert ' '.join(stage.did) == 'restore quiet restore plain'


@pytest.fixture
def contest(monkeypatch, tmp_path):
    """One without a lab; it notes what it would do on which machine, and there 0.8.1 runs."""
    found = object.__new__(bench.Contest)
    found.weight, found.did, found.args = 'real', [], types.SimpleNamespace(rate=120.0)
    found.addresses = {'sf-1': '10.0.0.11', 'sf-2': '10.0.0.12'}
    found.plan = types.SimpleNamespace(address=lambda machine: '10.0.0.3', nodes=list(found.addresses),
                                       settle=lambda: found.did.append('settle'))

    def shell(machine, script):
        found.did.append((machine, script))
        return '0.8.1\n'

    found.shell = shell
    monkeypatch.setattr(bench, 'LOGS', tmp_path)
    return found


@pytest.mark.parametrize('way', bench.figures.WAYS)
def test_command(way, contest, tmp_path):
    words = ' '.join(map(str, contest.command(way, tmp_path)))
    assert ('shakenfist.rolling.upgrade' in words) == (way not in ('typed', 'plain'))
    assert ('drain_haproxy_address=10.0.0.3:8405' in words) == (way in ('quiet', 'grace', 'in_place'))
    assert words.endswith({'quiet': 'drain_until=quiet', 'grace': 'drain_until=grace', 'unasked': '=0.8.1',
                           'in_place': 'rolling_strategy=in_place', 'typed': 'ssh_config 0.8.1 10.0.0.11 10.0.0.12',
                           'plain': 'tests/bench/plain.yml -e release=0.8.1'}[way])
    assert (tmp_path / 'ssh_config').exists() == (way == 'typed')


def test_restore(contest):
    contest.restore()
    stop, start = ({(node, script) for node in contest.addresses} for script in (bench.STOP, bench.START))
    assert set(contest.did[:2]) == stop and set(contest.did[4:6]) == start
    assert contest.did[2:4] == [('db', bench.RESTORE_DATABASE), ('lb', 'systemctl restart haproxy.service')]
    assert contest.did[6:] == ['settle']


def test_expect(contest):
    contest.expect('0.8.1')
    with pytest.raises(demo.DemoError, match='sf-2: expected 0.8.0, seen 0.8.1'):
        contest.expect('0.8.0', 'sf-2')
    assert [machine for machine, dummy in contest.did] == ['sf-1', 'sf-2', 'sf-2']


@pytest.mark.parametrize('pins, files', [(None, 'real-0.8.0.post1.txt'), ('0.8.1', 'real-0.8.1.txt')])
def test_offer(contest, pins, files):
    told = []
    contest.stage = types.SimpleNamespace(must=lambda *command: told.append(' '.join(map(str, command))))
    contest.offer('0.8.0.post1', pins)
    contest.weight = 'lab'
    contest.offer('0.8.0.post1')
    assert told[0].endswith('tests/bench/real.txt --pins %s/%s' % (bench.BENCH, files))
    assert told[1].endswith('lab release 0.8.0.post1')


@pytest.fixture
def loaded(monkeypatch, contest, tmp_path):
    """Its commands are done at once, and each node was out of rotation meanwhile."""
    class Watch(rotation.Watch):
        def run(self):
            self.windows = [window(10.1, 20.1)]

    report = dict(longest_gap=0.08, requests=900, failed=0, lost=0, p50=0.002, p99=0.01, rate=120.0)
    contest.stage = None
    contest.take = lambda command, folder, name: dict(wall=60.0, cpu=5.0)
    monkeypatch.setattr(bench.rotation, 'Watch', Watch)
    monkeypatch.setattr(bench.demo, 'Load', lambda *dummy: types.SimpleNamespace(stop=lambda: ('', report)))
    monkeypatch.setattr(bench, 'LOGS', tmp_path)
    monkeypatch.setattr(bench.demo, 'events', lambda stage, node, since: STOP if node == 'sf-1' else [])
    monkeypatch.setattr(bench.machinery, 'balancer_states', lambda plan: {'sf-1': 'UP'})
    monkeypatch.setattr(bench.demo, 'LEAD_IN', 0)
    monkeypatch.setattr(bench.demo, 'TAIL', 0)
    return contest


def test_measure(loaded, tmp_path):
    assert loaded.measure('plain', tmp_path) == dict(
        wall=60.0, cpu=5.0, out={'sf-1': 10.0, 'sf-2': 10.0}, floor={'sf-1': pytest.approx(9.6), 'sf-2': None},
        balancer={}, steps={}, gap=0.08, requests=900, failed=0, lost=0, p50=0.002, p99=0.01)


def test_which_step_disturbs_clients(loaded, tmp_path):
    def step(name, began, ended):
        return dict(step=name, began=began, ended=ended)

    loaded.weight = 'lab'
    for name, moment in (('old', 1), ('this', 99)):
        path = tmp_path / ('rolling-report-%s.json' % name)
        path.write_text(json.dumps(dict(
            phases=[step('stage', 10.0, 20.0)] if name == 'this' else [],
            nodes=[dict(steps=[step('drain', 30.0, 31.0)]), dict(steps=[step('drain', 40.0, 41.0)])])))
        os.utime(path, (moment, moment))
    answers = tmp_path / 'answers.json'
    answers.write_text(json.dumps([
        [5.0, 0.001], [10.0, 0.2], [19.9, 0.002], [20.0, 0.003], [30.5, 0.01], [40.5, 0.06]]))
    assert loaded.steps(answers, 100) == {}
    found = loaded.steps(answers, 50)
    assert found == dict(stage=dict(requests=2, slow=1, p99=0.2), drain=dict(requests=2, slow=1, p99=0.06),
                         between=dict(requests=2, slow=0, p99=0.003))
    measured = [dict(weight='lab', way='quiet', steps=found), dict(weight='lab', way='plain')]
    table = figures.table_of_steps(measured, 'lab')
    assert table.splitlines()[2].split('|')[1:5] == [' stage   ', ' 2        ', ' 1                 ', ' 200    ']
    assert figures.table_of_steps(measured[1:], 'lab') == ''


def test_a_node_that_was_never_out_of_rotation_was_not_upgraded(loaded, tmp_path):
    loaded.plan.nodes.append('sf-3')
    with pytest.raises(demo.DemoError, match='out of rotation were only: sf-1, sf-2'):
        loaded.measure('plain', tmp_path)


RUNS = """
import os, time
for node in %r:
    with open(os.environ['ROLLOUT_LOG'], 'a') as log:
        at = time.strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', time.gmtime(time.time() + 1))
        log.write('{"time": "%%s", "event": "begin", "step": "activate", "node": "%%s"}\\n' %% (at, node))
if os.environ['ROLLOUT_LOG'].endswith('first.jsonl'):
    time.sleep(%d)
"""


def started(*command, **options):
    return subprocess.Popen(command, **options)


def test_resume(contest, tmp_path):
    contest.stage = types.SimpleNamespace(start=started)
    contest.command = lambda way, folder: [sys.executable, '-c', RUNS % (['sf-1', 'sf-2'], 60)]
    found = contest.resume(tmp_path)
    assert 0 <= found['reached'] < found['wall'] + 2


@pytest.mark.parametrize('nodes, message', [(['sf-1'], 'ended before its second node, rc 0')])
def test_a_run_that_ended_too_soon_to_be_killed(contest, tmp_path, nodes, message):
    contest.stage = types.SimpleNamespace(start=started)
    contest.command = lambda way, folder: [sys.executable, '-c', RUNS % (nodes, 0)]
    with pytest.raises(demo.DemoError, match=message):
        contest.resume(tmp_path)


def test_rollback(loaded, monkeypatch, tmp_path):
    commands = []

    def take(command, folder, name):
        commands.append(' '.join(map(str, command)))
        return {}

    loaded.take, loaded.offer = take, lambda release, pins: commands.append('offer %s as %s' % (release, pins))
    monkeypatch.setattr(bench, 'FIRST', '0.8.1')
    assert loaded.measure('rollback', tmp_path)['out'] == {'sf-1': 10.0, 'sf-2': 10.0}
    assert commands[0] == 'offer 0.8.0.post1 as 0.8.1' and commands[1].endswith('rolling_release=0.8.0.post1')
    assert commands[2].endswith('--limit sf-2 -e rollback_release=0.8.1')


def test_what_was_measured_is_shown_again(monkeypatch, capsys, tmp_path):
    for name in ('README.md', 'docs/benchmark.md', 'docs/images/x'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('%s\n%s\n' % (bench.figures.BEGIN, bench.figures.END))
    monkeypatch.setattr(bench, 'ROOT', tmp_path)
    stage = types.SimpleNamespace(write=print)
    result = dict(date='d', machine='m', versions='v', nodes=3, rate=120.0, drain_grace=25.0, rounds=1, weights={},
                  load_before=0.1, measurements=[dict(weight='lab', way='quiet', round=1, wall=60.0)])
    (tmp_path / 'bench.json').write_text(json.dumps(result))
    args = types.SimpleNamespace(show=tmp_path / 'bench.json', page=True)
    assert bench.side_by_side(stage, args) == 0
    assert '| this collection | 60.0 ' in capsys.readouterr().out
    assert all('| 60.0 ' in (tmp_path / name).read_text() for name in ('README.md', 'docs/benchmark.md'))
    assert (tmp_path / 'docs/images/benchmark.svg').read_text().startswith('<svg ')
    result['measurements'].append(dict(weight='lab', way='plain', round=1, error='rc 2'))
    (tmp_path / 'bench.json').write_text(json.dumps(result))
    assert bench.side_by_side(stage, args) == 1


def test_the_pages_have_a_place_for_the_figures():
    for name in ('README.md', 'docs/benchmark.md'):
        bench.figures.filled((bench.ROOT / name).read_text(encoding='utf-8'), '')


def test_the_two_releases_of_real_weight():
    old, new = (dict(pin.split('==') for pin in bench.machinery.sf.pins_of(
        [bench.BENCH / ('real-%s.txt' % version)])) for version in (bench.FIRST, bench.RELEASE))
    common = dict(pin.split('==') for pin in bench.machinery.sf.pins_of([bench.BENCH / 'real.txt']))
    assert set(old) == set(new) and not set(old) & set(common)
    assert all(old[name] != new[name] for name in old)
    assert 15 <= len(new) <= 25 and 90 <= len(common) + len(new) <= 110


def test_where_and_of_what_it_was_measured():
    assert re.match(r'\d+ cores.* GB of memory, .*, Linux ', bench.machine())
    assert re.match(r'shakenfist.rolling \d+\.\d+\.\d+', bench.versions())
    assert bench.said('false') == bench.said('/nonexistent') == ''


@pytest.mark.parametrize('argv', [
    ['--scale', '2'], ['--again'], ['--scale', '3', '--record'], ['--scale', '3', '--tree', '/'],
    ['--scale', '3', '--repeat', '0'], ['--scale'], ['--rounds', '0'], ['--ways', 'plain,other'], ['--ways', 'again'],
    ['--scale', '3', '--page'], ['--weight', 'heavy'],
])
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit):
        bench.arguments(argv)
    assert 'tools/bench' in capsys.readouterr().err


@pytest.mark.parametrize('argv, ways, weights', [
    ([], list(bench.CHOICES), ['lab', 'real']),
    (['--ways', 'plain,quiet', '--weight', 'real'], ['quiet', 'plain'], ['real']),
])
def test_arguments(argv, ways, weights):
    args = bench.arguments(argv)
    assert (args.ways, args.weights, args.rounds, args.rate, args.drain_grace) == (ways, weights, 3, 120.0, 25.0)


def test_the_recording_that_is_kept_has_no_secret_and_no_real_address():
    text = bench.RECORDING.read_text(encoding='utf-8')
    lab = [line for name in ('lab.py', 'products/sf.py')
           for line in (pathlib.Path(bench.ROOT) / 'tests' / 'lab' / name).read_text(encoding='utf-8').splitlines()]
    secrets = [line.split('"')[1] for line in lab if line.startswith(('DATABASE_PASSWORD = ', 'SYSTEM_KEY = '))]
    assert len(secrets) == 2
    assert not [word for word in (*secrets, '10.213.', 'lab-auth-secret') if word in text]
