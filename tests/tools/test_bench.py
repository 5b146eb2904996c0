# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import bench  # noqa: E402  pylint: disable=wrong-import-position
import demo  # noqa: E402  pylint: disable=wrong-import-position
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


FIRST, AGAIN = dict(wall=60.0, cpu=20.0, tasks=250), dict(wall=15.0, cpu=8.0, tasks=103)


def test_summary():
    found = bench.summary(FIRST, AGAIN, [window(10.0, 25.0), window(30.0, 45.5)], {'sf-1': [0.734], 'sf-2': []})
    assert (found['windows'], found['beyond'], found['over']) == (30.5, 29.5, {'sf-1': [0.73], 'sf-2': []})
    assert 'out of rotation: 30.5 s in all, wall beyond that 29.5 s\nover the floor: sf-1 0.73 s, sf-2 ? s\n' in (
        bench.words(found))


@pytest.mark.parametrize('windows', [[], [window(10.0, None)]])
def test_nothing_is_measured_where_a_node_is_not_back(windows):
    with pytest.raises(demo.DemoError):
        bench.summary(FIRST, AGAIN, windows, {})


@pytest.mark.parametrize('argv', [
    ['--scale', '2'], ['--again'], ['--scale', '3', '--record'], ['--scale', '3', '--tree', '/'],
    ['--scale', '3', '--repeat', '0'], ['--scale'],
])
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit):
        bench.arguments(argv)
    assert 'tools/bench' in capsys.readouterr().err


def test_the_recording_that_is_kept_has_no_secret_and_no_real_address():
    text = bench.RECORDING.read_text(encoding='utf-8')
    lab = [line for name in ('lab.py', 'products/sf.py')
           for line in (pathlib.Path(bench.ROOT) / 'tests' / 'lab' / name).read_text(encoding='utf-8').splitlines()]
    secrets = [line.split('"')[1] for line in lab if line.startswith(('DATABASE_PASSWORD = ', 'SYSTEM_KEY = '))]
    assert len(secrets) == 2
    assert not [word for word in (*secrets, '10.213.', 'lab-auth-secret') if word in text]
