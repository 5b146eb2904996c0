# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import stat
import subprocess
import sys
import types

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import faults  # noqa: E402  pylint: disable=wrong-import-position
import matrix  # noqa: E402  pylint: disable=wrong-import-position
from faults import product, untouched, words  # noqa: E402  pylint: disable=wrong-import-position

ROWS = faults.every_row()
TRAITS = re.findall(r"^    '(\w+)': ", (faults.ROOT / 'tests/lab/sf/shakenfist/traits.py').read_text(), re.MULTILINE)
STOP = '''fatal: [sf-2]: FAILED! =>
    msg: |-
        sf-2: Drain: expected 503 from http://10.0.0.2/readyz, it answered
        nothing
        Next: look at journalctl, and mend the cause.
        ansible-playbook -i inventories/lab shakenfist.rolling.upgrade -e rolling_release=0.8.1
        It passes over finished nodes.'''
REFUSAL = 'Nothing was touched, the cluster is not fit: sf-2: it is down. Fix that, then run the command again.'


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A run of a row whose ansible-playbook is a shell script."""
    made = []

    def run(script='', **row):
        program = tmp_path / '.cache/venv/bin/ansible-playbook'
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text('#!/bin/sh\n' + script)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(faults, 'ROOT', tmp_path)
        result = faults.Run(words.Row('a-row', 'a fault', **row), tmp_path / 'log')
        result.lab = types.SimpleNamespace(balancer='10.0.0.3', nodes=[], state=dict, whole=lambda: True,
                                           changed=lambda before: [])
        made.append(result)
        return result
    yield run
    for one in made:
        one.end()


def rolled(run):
    run.roll = run.start(run.command())
    run.roll.wait()
    return run


# ---- the rows

# Of other products: each of their rows takes several times as long as one of Shaken Fist, so the fixed set has none.
OTHERS = 'cinder', 'dragonflow', 'ganeti', 'synnefo'


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert re.fullmatch(r'[a-z0-9]+(-[a-z0-9]+)*', row.name)
    assert row.about
    outcomes = (row.outcome,) if isinstance(row.outcome, str) else row.outcome
    assert set(outcomes) <= {words.ROLLED, words.REFUSED, words.STOPPED, words.KILLED}
    for pattern in (*row.cause, row.next, row.fails):
        re.compile(pattern)
    for field in dataclasses.fields(row):
        if field.type == 'tuple':
            assert isinstance(getattr(row, field.name), tuple), field.name
    if set(outcomes) & {words.REFUSED, words.STOPPED}:
        assert row.cause, 'what must the message say?'
    nodes = dict(shakenfist=words.NODES, ganeti=('gnt-1', 'gnt-2', 'gnt-3')).get(row.product, ('c-1', 'c-2'))
    assert set(row.faulted) <= set(nodes)


def test_names_differ():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) > 40


def test_traits_exist():
    files = ''.join(path.read_text() for path in faults.ROWS.glob('*.py'))
    assert set(re.findall(r"publish\('[\d.]+', '(\w+)'", files)) <= set(TRAITS)


@pytest.mark.parametrize('row', [row for row in ROWS if row.product in OTHERS], ids=lambda row: row.name)
def test_a_row_of_another_product(row):
    assert row.name.startswith(row.product + '-') and not row.ci


@pytest.mark.parametrize('row', [row for row in ROWS if row.product == 'cinder'], ids=lambda row: row.name)
def test_a_row_of_cinder(row):
    assert row.ends in ('', '24.5.0')
    assert '`%s`' % row.name in (faults.ROOT / 'tests/lab/README.md').read_text()


def test_traits_of_cinder_exist():
    used = set(re.findall(r"'((?:api|scheduler|volume)-[a-z-]+)'", (faults.ROWS / 'cinder.py').read_text()))
    assert used and used <= set(faults.machinery.cinder.RELEASES.traits)


# What it does with Shaken Fist, molecule/failure does for the most part.
@pytest.mark.parametrize('subject', [subject for subject in faults.SUBJECTS if subject not in (*OTHERS, 'canary')])
def test_the_fixed_set_has_every_subject(subject):
    assert [row.name for row in faults.subject_rows(subject) if row.ci]


@pytest.mark.parametrize('outcome', [words.ROLLED, words.REFUSED, words.STOPPED, words.KILLED])
def test_the_fixed_set_has_every_outcome(outcome):
    assert [row.name for row in ROWS if row.ci and row.outcome == outcome]


def test_the_fixed_set_is_small():
    # CI has six to eight minutes for it; a row takes about a hundred seconds, and two are under way at once.
    assert len([row for row in ROWS if row.ci]) <= 10


def test_every_file_of_rows_is_a_subject():
    assert sorted(path.stem for path in faults.ROWS.glob('*.py')) == sorted([*faults.SUBJECTS, 'rows'])
    assert not set(faults.SUBJECTS) & {row.name for row in ROWS}


def test_every_subject_is_a_step():
    listed = subprocess.run([faults.ROOT / 'tools/test', '--list'], capture_output=True, text=True, check=True)
    assert [line.partition(':')[2] for line in listed.stdout.split() if line.startswith('faults:')] == sorted(
        faults.SUBJECTS)


# ---- what is run

@pytest.mark.parametrize('argv, names', [
    ([], [row.name for row in ROWS]),
    (['two-operators'], ['two-operators']),
    (['--ci'], [row.name for row in ROWS if row.ci]),
    (['--ci', 'two-operators', 'server-latin1'], ['two-operators']),
    (['ganeti'], [row.name for row in faults.subject_rows('ganeti')]),
    (['ganeti', 'two-operators', 'ganeti-no-room'],
     ['two-operators', *[row.name for row in faults.subject_rows('ganeti')]]),
])
def test_rows_to_run(argv, names):
    assert [row.name for row in faults.arguments(argv, ROWS).rows] == names


@pytest.mark.parametrize('argv', [['nonesuch'], ['--labs', '0'], ['--ci', 'server-latin1'], ['--other']])
def test_wrong_usage(argv):
    with pytest.raises(SystemExit) as caught:
        faults.arguments(argv, ROWS)
    assert caught.value.code == 2


def test_list(capsys):
    assert faults.main(['--list', 'two-operators']) == 0
    assert capsys.readouterr().out.split(None, 1) == ['two-operators', 'another operator starts the same roll\n']


def test_the_command(make):
    run = make('echo "$@"', arguments=('-e', 'at=http://{lb}/'))
    assert rolled(run).roll.text == ('-i inventories/lab shakenfist.rolling.upgrade -e roll_settle=2 -e verify_bake=2 '
                                     '-e report_directory=.cache/faults/' + faults.machinery.NAME
                                     + ' -e rolling_release=0.8.1 -e at=http://10.0.0.3/')


def test_the_command_of_another_product(make):
    command = rolled(make('echo "$@"', product='cinder', release='24.5.0')).roll.text
    assert command.startswith('-i inventories/lab shakenfist.rolling.cinder -e roll_settle=2 ')
    assert command.endswith(' -e rolling_release=24.5.0')
    assert '-e drain_haproxy_address=10.0.0.3:8405 -e cinder_api_url=http://10.0.0.3/v3/1ab' in command


def test_the_command_without_a_release(make):
    assert 'rolling_release' not in ' '.join(map(str, make(release='').command()))


# ---- moments

def test_a_fault_in_a_drain_has_time():
    """The drains of these labs are short, so a row that waits for one has a lab in which they are not."""
    rows = [row for row in ROWS if row.moment and 'deactivating' in row.moment.words]
    assert rows and all('--drain-grace' in row.options for row in rows)


def event(**fields):
    """The command of a shell that writes an event down, now."""
    text = json.dumps(dict(time='AT', run='1a2b3c4d', **fields)).replace('"AT"', '"$(date -u +%FT%T.%3NZ)"')
    return "echo '%s' >>$ROLLOUT_LOG\n" % text.replace('$(', "'$(").replace(')', ")'")


DRAIN = event(event='begin', node='sf-1', step='drain') + event(event='begin', node='sf-2', step='drain')


@pytest.mark.parametrize('script, moment', [
    (DRAIN, words.step('drain', 'sf-2')), (event(event='begin', step='stage'), words.step('stage'))])
def test_a_moment_comes(make, script, moment):
    run = make('echo "PLAY [Roll]"\n%sexec sleep 20' % script, moment=moment, inject=lambda run: run.roll.kill(),
               outcome=words.KILLED)
    run.first()
    assert run.result.became == words.KILLED
    assert run.result.problems == []
    assert run.fault[0]


def test_the_moment_in_which_the_other_daemons_restart():
    states = [('active', 'a'), ('inactive', 'a'), ('activating', 'b'), ('active', 'b')]
    given = [dict(ActiveState=state, InvocationID=run) for state, run in states]
    run = types.SimpleNamespace(notes={}, lab=types.SimpleNamespace(unit=lambda *dummy: given.pop(0)))
    moment = words.others_restart('sf-2')
    assert [moment.condition(run) for dummy in states] == [False, False, False, True]


def test_a_moment_of_one_service(make):
    run = rolled(make(''.join(event(event='begin', node='c-1', step='restart', about='cinder-' + name)
                              for name in ('scheduler', 'volume'))))
    for about, seen in (('cinder-volume', True), ('cinder-api', False), ('', False)):
        assert words.step('restart', 'c-1', about).condition(run) is seen
    assert words.step('restart', 'c-1', 'cinder-api').words == 'step restart of cinder-api begins on c-1'


def test_when_a_step_was_reached(make):
    run = rolled(make(DRAIN))
    assert 0 <= run.roll.reached('quorum', 'drain') < 60
    assert run.roll.reached('gate') is None
    # Each command has events of its own.
    run.roll = run.start(['true'])
    run.roll.wait()
    assert run.roll.reached('drain') is None


def test_a_line_that_is_not_whole_is_read_later(make):
    run = make()
    roll = run.roll = run.start(['true'])
    run.roll.wait()
    roll.log.write_text('{"event": "begin", "step": "drain"}\n{"event": "be')
    assert roll.told(event='begin', step='drain', node='') and not roll.told(event='begin', step='gate')
    with roll.log.open('a') as file:
        file.write('gin", "step": "gate"}\n')
    assert roll.told(event='begin', step='gate') and len(roll.follow()) == 2


@pytest.mark.parametrize('script', [DRAIN, event(event='end', node='sf-2', step='gate'), 'echo "TASK [Gate]"'])
def test_a_moment_that_never_comes(make, script):
    with pytest.raises(words.Trouble, match='never came: step gate begins on sf-2'):
        make(script, moment=words.step('gate', 'sf-2')).first()


def test_a_command_that_hangs(make, monkeypatch):
    monkeypatch.setattr(product.ShakenFist, 'limit', 0.2)
    run = make('exec sleep 60')
    with pytest.raises(words.Trouble, match='did not end within'):
        rolled(run)
    run.end()
    assert not run.roll.running


def test_children_of_a_killed_controller_are_ended(make):
    run = make('sleep 60 & echo started; wait')
    run.roll = run.start(run.command())
    words.until('it has started', lambda: run.roll.lines == ['started'], 60)
    run.roll.kill()
    run.roll.wait()
    assert faults.signalled(run.roll.child, 0)
    run.end()
    assert not faults.signalled(run.roll.child, 0)


def test_until_has_a_limit():
    with pytest.raises(words.Trouble, match='not within 0.2 s: the sky falls'):
        words.until('the sky falls', lambda: False, 0.2)


# ---- the verdict on a roll

def said(words_, code):
    return 'cat <<"END"\n%s\nEND\nexit %d\n' % (words_, code)


@pytest.mark.parametrize('script, row, became, problems', [
    (said('ok', 0), dict(outcome=words.ROLLED), words.ROLLED, []),
    (said(STOP, 2), dict(node='sf-2', cause=('it answered nothing',)), words.STOPPED, []),
    (said(STOP, 2), dict(outcome=(words.REFUSED, words.STOPPED), node='sf-2'), words.STOPPED, []),
    (said(REFUSAL, 2), dict(outcome=words.REFUSED, node='sf-2', cause=('it is down',)), words.REFUSED, []),
    (said('ok', 0), {}, words.ROLLED, ['the roll was rolled, expected stopped', "lacks 'Next: "]),
    (said(STOP, 2), dict(node='sf-3', cause=('smoke',)), words.STOPPED, ["lacks 'smoke'", "lacks .*sf.*3"]),
    (said(REFUSAL, 2), dict(node='sf-2'), words.REFUSED, ['refused, expected stopped', "lacks 'Next: "]),
    (said('Nothing was touched: sf-2', 2), dict(outcome=words.REFUSED), words.REFUSED, ['lacks .*un the']),
    (said(STOP, 2), dict(outcome=words.ROLLED), words.STOPPED, [r'expected rolled \(rc 2\)']),
])
def test_verdict(make, script, row, became, problems):
    run = make(script, **row)
    run.first()
    assert run.result.became == became
    assert len(run.result.problems) == len(problems), run.result.problems
    for text, pattern in zip(run.result.problems, problems):
        assert re.search(pattern, text)


def test_the_next_command(make):
    assert rolled(make(said(STOP, 2))).roll.next_command() == [
        'ansible-playbook', '-i', 'inventories/lab', 'shakenfist.rolling.upgrade', '-e', 'rolling_release=0.8.1']
    assert rolled(make(said(REFUSAL, 2))).roll.next_command() is None


@pytest.mark.parametrize('before, now, row, problems', [
    ({}, {}, {}, []),
    ({}, dict(units='new'), {}, ['it was refused, but units of sf-1 has changed']),
    ({}, dict(units='new'), dict(node='sf-1'), []),
    ({}, dict(units='new'), dict(faulted=('sf-1',)), []),
    ({}, dict(releases=['0.8.1']), dict(node='sf-1'), ['it was refused, but releases of sf-1 has changed']),
])
def test_a_refusal_touches_nothing(make, before, now, row, problems):
    facts = dict(venv='/v', releases=[], files='1', units='old')
    run = make(**row)
    run.lab.facts = lambda node: {**facts, **now}
    run.lab.runs = lambda node: True
    run.compare({'sf-1': {**facts, **before}})
    assert run.result.problems == problems


# ---- whom requests failed at

LOG = '''Server sf-api/sf-1 is DOWN, reason: Layer7 wrong status, code: 503
10.0.0.1:5 [21/Nov/2026:07:58:19.206] api sf-api/sf-2 0/0/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /api/ HTTP/1.1"
1.1.1.1:6 [21/Nov/2026:07:58:19.300] api sf-api/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /api/ HTTP/1.1"
1.1.1.1:7 [21/Nov/2026:07:58:29.000] api sf-api/sf-3 0/0/0/9/9 500 1 - - ---- 1/1/0/0/0 0 "POST /api/lab/notes HTTP/1.1"
'''
AT = 1795247899.0     # 07:58:19


def failure(offset, method='GET', path='/api/', kind='HTTP 503', server='-', seconds=0.1):
    return faults.Failure(AT + offset, AT + offset + seconds, method, path, kind, server)


def test_the_log_of_the_balancer():
    assert faults.logged(LOG, 'sf-api') == [
        (pytest.approx(AT + 0.206), 'GET', '/api/', 'sf-2'), (pytest.approx(AT + 0.3), 'GET', '/api/', 'nobody'),
        (pytest.approx(AT + 10), 'POST', '/api/lab/notes', 'sf-3')]


def test_attribution():
    failures = [failure(0.29), failure(0.2), failure(0.31), failure(9.9, 'POST', '/api/lab/notes', 'HTTP 500'),
                failure(20)]
    faults.attribute(failures, faults.logged(LOG, 'sf-api'))
    assert [one.server for one in failures] == ['nobody', 'sf-2', '-', 'sf-3', '-']


def test_a_cut_on_a_kept_alive_connection_is_not_in_the_log():
    failures = [failure(0.21, kind='reset on a kept-alive connection'), failure(0.2),
                failure(5, kind='reset on a kept-alive connection')]
    faults.attribute(failures, [note for note in faults.logged(LOG, 'sf-api') if note[3] != 'nobody'])
    assert [one.server for one in failures] == ['sf-2', 'sf-2', '-']


@pytest.mark.parametrize('row, fault, failures, others, own', [
    ({}, (None, None), [], 0, 0),
    ({}, (AT, AT + 9), [failure(1, server='sf-2')], 1, 0),
    (dict(faulted=('sf-2',)), (AT, AT + 9), [failure(1, server='sf-2'), failure(1, server='sf-1')], 1, 1),
    (dict(fails='.'), (AT, AT + 9), [failure(1), failure(9.5), failure(-5)], 2, 1),
    (dict(fails='.', recovery=2), (AT, AT + 9), [failure(10.5)], 0, 1),
    (dict(fails='.'), (AT, AT + 9), [failure(-25, seconds=25.1), failure(-0.5, seconds=0.4)], 1, 1),
    (dict(fails='^POST'), (AT, AT + 9), [failure(1), failure(1, 'POST')], 1, 1),
    (dict(fails='.'), (None, None), [failure(1)], 1, 0),
])
def test_count(make, row, fault, failures, others, own):
    run = make(**row)
    run.fault = list(fault)
    run.lab.balancer_log = lambda: ''
    load = faults.Load(url='http://127.0.0.1:1/')
    load.began = load.ended = 0.0
    load.every = failures
    load.kinds['HTTP 503'] = len(failures)
    load.stopping = True
    run.count(load)
    assert (run.result.others, run.result.own, run.result.lost) == (others, own, 0)
    assert bool(run.result.problems) == bool(others)


def test_a_failure_has_its_begin_and_its_end():
    load = faults.Load(url='http://127.0.0.1:1/api')
    load.fail(faults.availability.Job(90.0, '/x'), 'reset', 100.0, 125.0)
    one, = load.every
    assert (one.at - load.offset, one.end - one.at) == (pytest.approx(100), pytest.approx(25))
    assert str(one) == 'GET /api/x reset at -'


def test_lost_writes_are_a_problem(make):
    run = make()
    run.lab.balancer_log = lambda: ''
    load = faults.Load(url='http://127.0.0.1:1/')
    load.began = load.ended = 0.0
    load.stopping = True
    load.lost = ['a']
    run.count(load)
    assert run.result.problems == ['1 acknowledged writes are lost']


def test_the_load_has_no_end_of_its_own(monkeypatch):
    given = []
    monkeypatch.setattr(faults.Load, 'run', lambda self, duration: given.append(duration))
    load = faults.Load(url='http://127.0.0.1:1/')
    load.thread.run()
    assert given == [float('inf')]


ENDED = 'the load ended before it was stopped: nobody knows what would have failed after that'


@pytest.mark.parametrize('broken, problems', [(True, [ENDED]), (False, [])])
@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_load_that_ends_before_it_is_stopped_is_a_problem(make, monkeypatch, broken, problems):
    run = make(fails='.')
    run.fault = [1.0, None]
    run.lab.balancer_log = lambda: ''
    load = faults.Load(url='http://127.0.0.1:1/', rate=10.0)
    if broken:
        monkeypatch.setattr(load, 'plan', None)
    load.thread.start()
    if broken:
        load.thread.join()
    run.count(load)
    assert run.result.problems == problems and not load.thread.is_alive()


@pytest.mark.parametrize('watch, problems', [(product.Guests, [ENDED]), (product.Nobody, [])])
def test_what_watches_in_the_place_of_a_load_must_not_end_either(make, monkeypatch, watch, problems):
    monkeypatch.setattr(product.watcher, 'running', lambda plan: [])
    # It ends at once.
    monkeypatch.setattr(product.watcher, 'Watcher', lambda *dummy: types.SimpleNamespace(
        run=lambda: None, looks=9, answers=9, report=lambda: dict(down=[])))
    run = make(product='ganeti')
    run.lab.plan = types.SimpleNamespace(ganeti=[])
    load = watch(run)
    load.start()
    if problems:
        load.thread.join()
    run.count(load)
    assert (run.result.problems, run.result.others) == (problems, 0)


VOLUMES = dict(created=9, available=9, deleted=9, error=0, stuck=0, lost=0, first_failures=[])


FAULT = AT, AT + 9
TWO = dict(available=8, deleted=7, error=1, stuck=1)
IN_ALL = 'volumes: created 9, available 8, deleted 7, error 1, stuck 1, lost 0'


# Of each broken volume: from when until when, in seconds since the fault, it was there.
@pytest.mark.parametrize('seen, broken, spoils, fault, lost, spoiled, problems', [
    ({}, [], 0, FAULT, 0, 0, []),
    (dict(available=8), [], 0, FAULT, 0, 0, ['volumes: created 9, available 8, deleted 9, error 0, stuck 0, lost 0']),
    (TWO, [(1, 9), (2, 95)], 0, FAULT, 2, 0, [IN_ALL]),
    (TWO, [(1, 9), (2, 95)], 2, FAULT, 0, 2, []),
    (TWO, [(1, 9), (2, 95)], 1, FAULT, 1, 1, [IN_ALL]),
    # In progress when the fault came, and created in its recovery.
    (TWO, [(-9, 1), (12, 40)], 2, FAULT, 0, 2, []),
    # Broken before it, and created long after it.
    (TWO, [(-9, -1), (300, 390)], 2, FAULT, 2, 0, [IN_ALL]),
    (TWO, [(1, 9), (2, 95)], 2, (None, None), 2, 0, [IN_ALL]),
])
def test_every_volume_comes_to_a_good_end(make, seen, broken, spoils, fault, lost, spoiled, problems):
    run = make(product='cinder', spoils=spoils, recovery=5)
    run.result.lost, run.fault = 0, list(fault)
    run.count_volumes({**VOLUMES, **seen}, [dict(began=AT + began, time=AT + ended) for began, ended in broken])
    assert (run.result.lost, run.result.spoiled, run.result.problems) == (lost, spoiled, problems)


def test_more_volumes_are_counted_than_the_report_lists(make):
    run = make(product='cinder', spoils=11)
    run.lab.balancer_log = lambda: ''
    load = faults.Load(url='http://127.0.0.1:1/', volumes=('/volumes', 10))
    load.began = load.ended = 0.0
    load.stopping = True
    run.fault = [load.offset, load.offset]
    for number in range(12):
        load.ends['created'] += 1
        load.alive[str(number)] = 0.0, 'creating'
        load.end(str(number), 'stuck')
    assert len(load.report()['volumes']['first_failures']) == 10
    run.count(load)
    assert (run.result.lost, run.result.spoiled) == (1, 11)


# ---- what is of a product

def cinder_unit(release='24.5.0-1a2b', **facts):
    return dict(dict(runs='/r/' + release if release else None), **facts)


CINDER_RELEASES = {'/r/24.5.0-1a2b': dict(cinder='24.5.0'), '/r/23.5.0': dict(cinder='23.5.0')}


@pytest.mark.parametrize('runs, version', [
    (['24.5.0-1a2b', '24.5.0-1a2b'], '24.5.0'), (['24.5.0-1a2b', '23.5.0'], '23.5.0 and 24.5.0'),
    (['24.5.0-1a2b', None], '24.5.0 and ?')])
def test_the_release_of_a_node_of_cinder(runs, version):
    facts = dict(units={str(number): cinder_unit(name) for number, name in enumerate(runs)}, releases=CINDER_RELEASES)
    assert product.OF['cinder'].version(facts) == version


@pytest.mark.parametrize('rpc, disabled, left', [
    ('3.19', False, []), ('3.19', True, ['cinder-volume on c-1@lab is still disabled']),
    ('3.18', False, ["expected that every cinder-volume speaks RPC 3.19, seen ['3.18', '3.19']"])])
def test_what_a_roll_of_cinder_has_left(monkeypatch, rpc, disabled, left):
    rows = [dict(binary='cinder-volume', host=host, rpc_current_version=version, disabled=off)
            for host, version, off in (('c-1@lab', rpc, disabled), ('c-2@lab', '3.19', False))]
    monkeypatch.setattr(faults.machinery.cinder, 'services', lambda: rows)
    assert product.OF['cinder'].left(None) == left


# Where something else is watched, there is no load.
@pytest.mark.parametrize('name', [name for name, one in product.OF.items() if type(one).watch is product.Product.watch])
def test_a_product(name):
    one = product.OF[name]
    assert name in faults.machinery.PRODUCTS and name in untouched.PRODUCTS
    load = faults.Load(**one.load('10.0.0.3'))
    assert load.url.startswith('http://10.0.0.3') and load.patience >= 60
    assert faults.logged('[21/Nov/2026:07:58:19.206] api %s/x-1 "GET / HTTP/1.1"' % one.backend, one.backend)


# ---- the table

def test_table():
    results = [faults.Result('a-row', 'x', 'stopped', 0, 12, 0, 2, 'yes', 'yes', 61.2),
               faults.Result('another', 'y', problems=['it is red'])]
    assert faults.table(results).splitlines() == [
        'fault    the roll  failed on others  lost          message  again  seconds',
        'a-row    stopped   0 (fault: 12)     0 (fault: 2)  yes      yes    61',
        'another  -         -                 -             -        -      0']


def test_trouble_makes_a_row_red(make, monkeypatch):
    run = make()

    def trouble(self):
        raise words.Trouble('no lab')
    monkeypatch.setattr(faults.Run, 'bring_up', trouble)
    assert run.perform().problems == ['no lab']


# ---- the second command after a refusal

PLAN = """for word; do case $word in plan_file=*) echo '%s' >"${word#plan_file=}" ;; esac; done; echo "$@"; exit %d"""
ONE = dict(nodes={'sf-1': dict(step=1, to='0.8.1')})


@pytest.fixture
def refused(make, monkeypatch, tmp_path):
    def run(plan, code=0, changed=()):
        monkeypatch.setattr(faults, 'LOGS', tmp_path)
        made = make(PLAN % (json.dumps(plan), code), outcome=words.REFUSED)
        made.lab.nodes = ['sf-1']
        made.lab.changed = lambda before: list(changed)
        made.lab.facts = lambda node: dict(packages=dict(shakenfist='0.8.1'))
        made.before = {}
        made.roll = types.SimpleNamespace(outcome=words.REFUSED, next_command=lambda: None)
        made.second()
        return made
    return run


def test_after_a_refusal_that_left_nothing_the_plan_is_asked(refused):
    run = refused(ONE)
    assert 'shakenfist.rolling.plan ' in run.roll.text and ' -e rolling_release=0.8.1 ' in run.roll.text
    assert (run.result.again, run.result.problems) == ('plan', [])


@pytest.mark.parametrize('plan, code, problem', [
    (ONE, 2, 'the plan after the fault failed'),
    (dict(nodes={}), 0, "expected that {'sf-1': '0.8.1'} would be rolled, the plan has {}"),
    (dict(nodes={'sf-1': dict(step=1, to='0.8.0')}), 0, 'expected that'),
    (dict(nodes={'sf-1': dict(step=None, to='0.8.1')}), 0, 'expected that'),
])
def test_a_plan_that_is_not_for_all_nodes(refused, plan, code, problem):
    run = refused(plan, code)
    assert run.result.again == 'no'
    assert problem in run.result.problems[0]


ORDER = '''TASK [Show the order of the roll]
ok: [localhost] =>
    msg:
    - '1. cinder-volume on c-1: 23.5.0 -> 24.5.0'
    - '2. cinder-api on c-1: 23.5.0 -> 24.5.0, does not run: it is only given the release'
'''


@pytest.mark.parametrize('order, script, again, problem', [
    (ORDER, event(event='begin', step='lock') + 'exec sleep 60', 'plan', ''),
    (ORDER.replace('cinder-api', 'cinder-backup'), event(event='begin', step='lock') + 'exec sleep 60', 'no',
     'expected that'),
    (ORDER, 'exit 2', 'no', 'the plan after the fault failed (rc 2)'),
])
def test_the_check_of_a_product_without_a_plan(make, monkeypatch, order, script, again, problem):
    """It is ended as soon as it has said what it would do."""
    monkeypatch.setattr(product.Cinder, 'services', ('cinder-volume', 'cinder-api'))
    run = make(said(order, 0).replace('exit 0', script), product='cinder', release='24.5.0')
    run.lab.nodes = ['c-1']
    run.would_roll()
    assert run.roll.command[-1] == '--check' and not run.roll.running
    assert run.result.again == again
    assert [text[:len(problem)] for text in run.result.problems] == [problem] * bool(problem)


def test_after_a_refusal_that_left_something_all_is_rolled(refused):
    run = refused(ONE, changed=['sf-1: new: /srv/x'])
    assert 'shakenfist.rolling.upgrade' in run.roll.text
    assert run.result.again == 'yes'


@pytest.mark.parametrize('again, problems, changed, spare', [
    ('plan', [], [], True), ('yes', [], [], False), ('plan', ['red'], [], False), ('plan', [], ['lb: gone: x'], False)])
def test_a_lab_is_the_next_rows_only_if_it_is_as_a_new_one(make, again, problems, changed, spare):
    run = make()
    run.fresh = {}
    run.result.again, run.result.problems = again, problems
    asked = []
    run.lab.sql = asked.append
    run.lab.changed = lambda before: changed
    assert run.spare() is spare
    assert asked == (['DELETE FROM notes'] if again == 'plan' and not problems else [])


def test_a_lab_that_was_never_looked_at_is_not_the_next_rows(make):
    assert make().spare() is False


def test_what_has_changed_in_a_lab():
    before = {'sf-1': ['a', 'b', 'b'], 'index': ['x']}
    assert untouched.differences(before, {'sf-1': ['b', 'a', 'b'], 'index': ['x']}) == []
    assert untouched.differences(before, {'sf-1': ['a', 'b', 'c'], 'index': []}) == [
        'sf-1: gone: b', 'sf-1: new: c', 'index: gone: x']
    assert untouched.differences(before, {'sf-1': before['sf-1']}) == ['index: gone: x']


def test_a_lab_is_given_time_to_come_to_rest(monkeypatch):
    states = [{'db': ['busy']}, {'db': []}]
    monkeypatch.setattr(untouched, 'state', lambda: states.pop(0))
    assert untouched.changed({'db': []}) == []
    monkeypatch.setattr(untouched, 'state', lambda: {'db': ['busy']})
    assert untouched.changed({'db': []}, limit=0.1) == ['db: new: busy']


# ---- results that are kept

@pytest.fixture
def tree(tmp_path):
    for name in ('roles/a/tasks/main.yml', 'roles/a/README.md', 'tests/lab/faults/rows.py', 'tests/lab/faults/nodes.py',
                 'tests/lab/faults/supply.py', 'tests/lab/test_contract.py', 'tools/lib/x.py', 'ansible.cfg'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('one')
    return tmp_path


@pytest.mark.parametrize('name, counts', [
    ('roles/a/tasks/main.yml', True), ('roles/a/tasks/new.yml', True), ('roles/a/README.md', False),
    ('ansible.cfg', True), ('tests/lab/faults/rows.py', True),
    ('tests/lab/faults/nodes.py', True), ('tests/lab/faults/supply.py', False),
    ('tests/lab/test_contract.py', False), ('tools/lib/x.py', True), ('docs/x.yml', False),
    ('roles/a/__pycache__/x.pyc', False)])
def test_the_state_of_the_tree(tree, name, counts):
    before = matrix.digest(tree, 'nodes')
    assert matrix.digest(tree, 'nodes') == before
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text('two')
    assert (matrix.digest(tree, 'nodes') != before) is counts


def test_a_file_of_another_name_is_another_state(tree):
    before = matrix.digest(tree, 'nodes')
    (tree / 'tools/lib/x.py').rename(tree / 'tools/lib/y.py')
    assert matrix.digest(tree, 'nodes') != before


@pytest.mark.parametrize('name', matrix.TREE)
def test_what_the_state_depends_on_exists(name):
    assert (faults.ROOT / name).exists()


def a_result(name, problems=(), seconds=9.0):
    return dataclasses.asdict(faults.Result(name, 'x', problems=list(problems), seconds=seconds))


def test_what_is_kept(tmp_path):
    assert matrix.kept(tmp_path, 'a-row') is None
    matrix.keep(tmp_path, 's1', a_result('a-row'))
    last = matrix.kept(tmp_path, 'a-row')
    assert last.result == a_result('a-row')
    assert (last.holds('s1'), last.holds('s2')) == (True, False)
    matrix.keep(tmp_path, 's1', a_result('a-row', ['red']))
    assert not matrix.kept(tmp_path, 'a-row').holds('s1')
    (tmp_path / 'a-row.json').write_text('{')
    assert matrix.kept(tmp_path, 'a-row') is None


def test_long_rows_come_first(tmp_path):
    matrix.keep(tmp_path, 's', a_result('short', seconds=9))
    matrix.keep(tmp_path, 's', a_result('long', seconds=90))
    matrix.keep(tmp_path, 's', a_result('red', ['x'], seconds=1))
    assert matrix.longest_first(['short', 'new', 'long', 'red'], tmp_path) == ['new', 'red', 'long', 'short']


# ---- workers

ANSWER = """answer() { echo "{\\"name\\": \\"$1\\", \\"about\\": \\"x\\", \\"problems\\": []}"; }
"""
GOOD = """while read -r row; do
  echo "$LAB_NAME $row" >>"$log"
  [ "$row" != end ] || exit 0
  sleep 0.2
  answer "$row"
done
"""
LAB = faults.machinery.NAME


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Three rows, and workers that are a shell script."""
    rows = [words.Row(name, 'about ' + name) for name in ('one', 'two', 'three')]
    monkeypatch.setattr(faults, 'LOGS', tmp_path)
    monkeypatch.setattr(faults, 'every_row', lambda: rows)
    monkeypatch.setattr(faults, 'states_of', lambda rows: dict.fromkeys([row.name for row in rows], 'now'))
    monkeypatch.setattr(faults.subprocess, 'run', lambda command, **more: None)

    def script(text):
        path = tmp_path / 'worker.sh'
        path.write_text('log=%s/log\n' % tmp_path + ANSWER + text)
        monkeypatch.setattr(faults, 'command_of_a_worker', lambda keep: ['sh', path])
    script(GOOD)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield script
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_table_of_the_last_results(three, tmp_path, capsys):
    matrix.keep(tmp_path, 'now', a_result('one'))
    matrix.keep(tmp_path, 'before', a_result('two'))
    assert faults.main(['--table']) == 1
    text = capsys.readouterr().out
    for name, line in (('one', 'green +this +20'), ('two', 'green +another +20'), ('three', 'not run +- +-')):
        assert re.search('^%s .* %s' % (name, line), text, re.MULTILINE)
    assert 'faults: 1 of 3 rows green on this state of the tree' in text
    matrix.keep(tmp_path, 'now', a_result('two', ['it is red']))
    assert faults.main(['--table', 'one']) == 0
    assert faults.main(['--table', 'two']) == 1


def test_a_run_goes_on(three, tmp_path, capsys):
    matrix.keep(tmp_path, 'now', a_result('one'))
    matrix.keep(tmp_path, 'now', a_result('two', ['it is red']))
    assert faults.main(['--continue', '--labs', '1']) == 0
    assert sorted((tmp_path / 'log').read_text().splitlines()) == [LAB + ' end', LAB + ' three', LAB + ' two']
    assert 'faults: 3 of 3 rows green' in capsys.readouterr().out
    for row in ('two', 'three'):
        matrix.keep(tmp_path, 'now', a_result(row))
    (tmp_path / 'log').unlink()
    assert faults.main(['--continue']) == 0
    assert not (tmp_path / 'log').exists()


def test_two_labs_side_by_side(three, tmp_path, capsys):
    assert faults.main([]) == 0
    lines = [line.split() for line in (tmp_path / 'log').read_text().splitlines()]
    assert sorted(row for dummy, row in lines) == ['end', 'end', 'one', 'three', 'two']
    assert {lab for lab, dummy in lines} == {LAB, LAB + '-2'}
    text = capsys.readouterr().out
    assert len(re.findall('^green  ', text, re.MULTILINE)) == 3
    # In the order of the matrix, whichever ended first.
    assert re.findall('^(one|two|three) ', text, re.MULTILINE) == ['one', 'two', 'three']


def test_a_worker_that_dies_makes_its_row_red(three, capsys):
    three(GOOD.replace('  answer', '  [ "$row" != two ] || exit 3\n  answer'))
    assert faults.main([]) == 1
    text = capsys.readouterr().out
    assert re.search(r'^RED +two .*\n +its worker has ended \(rc 3', text, re.MULTILINE)
    assert 'faults: 2 of 3 rows green, not: two' in text


def test_rows_that_no_worker_is_left_for_are_not_green(three, capsys):
    three('read -r row\nexit 3\n')
    assert faults.main([]) == 1
    assert 'faults: 0 of 3 rows green' in capsys.readouterr().out


INTERRUPT = """import os, pathlib, signal, sys, time
log, deadline = pathlib.Path(sys.argv[1]), time.monotonic() + 60
while time.monotonic() < deadline and (not log.exists() or log.read_text().count('began') < 2):
    time.sleep(0.02)
os.kill(int(sys.argv[2]), signal.SIGTERM)
"""


def test_an_interrupt_ends_both_workers(three, tmp_path, capsys):
    three('trap "echo taken down >>$log; exit 130" INT\nread -r row\necho "$LAB_NAME began" >>"$log"\n'
          'while :; do sleep 0.05; done\n')
    killer = subprocess.Popen([sys.executable, '-c', INTERRUPT, str(tmp_path / 'log'), str(os.getpid())])
    assert faults.main([]) == 130
    assert killer.wait() == 0
    assert (tmp_path / 'log').read_text().count('taken down') == 2
    assert 'faults: interrupted; tools/faults --continue goes on' in capsys.readouterr().out


def test_a_worker_that_does_not_end_is_killed():
    worker = matrix.Worker(['sh', '-c', 'trap "" INT; echo "{}"; while :; do sleep 0.05; done'], 'x')
    assert worker.carry_out('a-row') == {}
    worker.interrupt()
    assert worker.gone(0.2) is False
    assert worker.child.poll() == -signal.SIGKILL


ALONE = """import subprocess, sys
sys.path.insert(0, sys.argv[1])
import faults
subprocess.run = lambda command, **more: print('ran', *command, flush=True, file=sys.stderr)
sys.exit(faults.work([], False))
"""


@pytest.mark.parametrize('orders, code', [('', 130), ('end\n', 0)])
def test_a_worker_takes_its_lab_down(orders, code):
    """Also where nobody gives it orders any more, because the first program was killed."""
    child = subprocess.Popen([sys.executable, '-c', ALONE, str(faults.ROOT / 'tools/lib')], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, text = child.communicate(orders, timeout=60)
    assert (out, text.strip()) == ('', 'ran %s/tools/lab down' % faults.ROOT)
    assert child.returncode == code
