# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import re
import stat
import sys
import types

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import faults  # noqa: E402  pylint: disable=wrong-import-position
from faults import words  # noqa: E402  pylint: disable=wrong-import-position

ROWS = faults.every_row()
TRAITS = re.findall(r"^    '(\w+)': ", (faults.ROOT / 'tests/lab/sf/shakenfist/traits.py').read_text(), re.MULTILINE)
STOP = '''fatal: [sf-2]: FAILED! =>
    msg: |-
        sf-2: Drain: expected 503 from http://10.0.0.2/readyz, it answered
        nothing
        Next: look at journalctl, and mend the cause.
        ansible-playbook -i inventories/lab shakenfist.rolling.upgrade -e rolling_release=0.8.1
        It passes over finished nodes.'''
REFUSAL = 'Nothing was touched, the cluster is not fit: sf-2: it is down. Mend that, then run the command again.'


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
        result.lab = types.SimpleNamespace(balancer='10.0.0.3', nodes=[])
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

@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert re.fullmatch(r'[a-z0-9]+(-[a-z0-9]+)*', row.name)
    assert row.about
    outcomes = (row.outcome,) if isinstance(row.outcome, str) else row.outcome
    assert set(outcomes) <= {words.ROLLED, words.REFUSED, words.STOPPED, words.KILLED}
    for pattern in (*row.cause, row.next, row.fails, row.reach):
        re.compile(pattern)
    for field in dataclasses.fields(row):
        if field.type == 'tuple':
            assert isinstance(getattr(row, field.name), tuple), field.name
    if set(outcomes) & {words.REFUSED, words.STOPPED}:
        assert row.cause, 'what must the message say?'
    assert set(row.faulted) <= set(words.NODES)


def test_names_differ():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) > 40


def test_traits_exist():
    files = ''.join(path.read_text() for path in faults.ROWS.glob('*.py'))
    assert set(re.findall(r"publish\('[\d.]+', '(\w+)'", files)) <= set(TRAITS)


# ---- what is run

@pytest.mark.parametrize('argv, names', [
    ([], [row.name for row in ROWS]),
    (['two-operators'], ['two-operators']),
    (['--seventh', '1'], [row.name for row in ROWS][::7]),
    (['--seventh', '7'], [row.name for row in ROWS][6::7]),
])
def test_rows_to_run(argv, names):
    assert [row.name for row in faults.arguments(argv, ROWS).rows] == names


@pytest.mark.parametrize('argv', [['nonesuch'], ['--seventh', '8'], ['--other']])
def test_wrong_usage(argv):
    with pytest.raises(SystemExit) as caught:
        faults.arguments(argv, ROWS)
    assert caught.value.code == 2


def test_list(capsys):
    assert faults.main(['--list', 'two-operators']) == 0
    assert capsys.readouterr().out.split(None, 1) == ['two-operators', 'another operator starts the same roll\n']


def test_the_command(make):
    run = make('echo "$@"', arguments=('-e', 'at=http://{lb}/'))
    assert rolled(run).roll.text == ('-i inventories/lab shakenfist.rolling.upgrade -e rolling_release=0.8.1 '
                                     '-e at=http://10.0.0.3/ -e roll_settle=2 -e verify_bake=2 '
                                     '-e report_directory=.cache/faults')


def test_the_command_without_a_release(make):
    assert 'rolling_release' not in ' '.join(map(str, make(release='').command()))


# ---- moments

def test_a_moment_comes(make):
    run = make('for n in 1 2; do echo "PLAY [Roll]"; echo "TASK [a.b.drain : Drain]"; done; exec sleep 20',
               moment=words.task('Drain', 'sf-2'), inject=lambda run: run.roll.kill(), outcome=words.KILLED)
    run.first()
    assert run.result.became == words.KILLED
    assert run.result.problems == []
    assert len(run.roll.marks) == 4
    assert run.roll.reached('Drain') < 5
    assert run.roll.reached('Gate') is None
    assert run.fault[0]


def test_a_moment_that_never_comes(make):
    with pytest.raises(words.Trouble, match='never came: the second line of the roll that matches'):
        make('echo "TASK [Drain]"', moment=words.task('Drain', 'sf-2')).first()


def test_a_command_that_hangs(make, monkeypatch):
    monkeypatch.setattr(faults, 'LIMIT', 0.2)
    run = make('exec sleep 60')
    with pytest.raises(words.Trouble, match='did not end within'):
        rolled(run)
    run.end()
    assert not run.roll.running


def test_children_of_a_killed_controller_are_ended(make):
    run = make('sleep 60 & echo started; wait')
    run.roll = run.start(run.command())
    words.until('it has started', lambda: run.roll.lines == ['started'], 10)
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


def failure(offset, method='GET', path='/api/', kind='HTTP 503', server='-'):
    return faults.Failure(AT + offset, method, path, kind, server)


def test_the_log_of_the_balancer():
    assert faults.logged(LOG) == [
        (pytest.approx(AT + 0.206), 'GET', '/api/', 'sf-2'), (pytest.approx(AT + 0.3), 'GET', '/api/', 'nobody'),
        (pytest.approx(AT + 10), 'POST', '/api/lab/notes', 'sf-3')]


def test_attribution():
    failures = [failure(0.29), failure(0.2), failure(0.31), failure(9.9, 'POST', '/api/lab/notes', 'HTTP 500'),
                failure(20)]
    faults.attribute(failures, faults.logged(LOG))
    assert [one.server for one in failures] == ['nobody', 'sf-2', '-', 'sf-3', '-']


def test_a_cut_on_a_kept_alive_connection_is_not_in_the_log():
    failures = [failure(0.21, kind='reset on a kept-alive connection'), failure(0.2),
                failure(5, kind='reset on a kept-alive connection')]
    faults.attribute(failures, [note for note in faults.logged(LOG) if note[3] != 'nobody'])
    assert [one.server for one in failures] == ['sf-2', 'sf-2', '-']


@pytest.mark.parametrize('row, fault, failures, others, own', [
    ({}, (None, None), [], 0, 0),
    ({}, (AT, AT + 9), [failure(1, server='sf-2')], 1, 0),
    (dict(faulted=('sf-2',)), (AT, AT + 9), [failure(1, server='sf-2'), failure(1, server='sf-1')], 1, 1),
    (dict(fails='.'), (AT, AT + 9), [failure(1), failure(9.5), failure(-5)], 2, 1),
    (dict(fails='.', recovery=2), (AT, AT + 9), [failure(10.5)], 0, 1),
    (dict(fails='^POST'), (AT, AT + 9), [failure(1), failure(1, 'POST')], 1, 1),
    (dict(fails='.'), (None, None), [failure(1)], 1, 0),
])
def test_count(make, row, fault, failures, others, own):
    run = make(**row)
    run.fault = list(fault)
    run.lab.balancer_log = lambda: ''
    load = faults.Load('http://127.0.0.1:1/')
    load.began = load.ended = 0.0
    load.every = failures
    load.kinds['HTTP 503'] = len(failures)
    load.stopping = True
    run.load = load
    run.count()
    assert (run.result.others, run.result.own, run.result.lost) == (others, own, 0)
    assert bool(run.result.problems) == bool(others)


def test_lost_writes_are_a_problem(make):
    run = make()
    run.lab.balancer_log = lambda: ''
    run.load = load = faults.Load('http://127.0.0.1:1/')
    load.began = load.ended = 0.0
    load.stopping = True
    load.lost = ['a']
    run.count()
    assert run.result.problems == ['1 acknowledged writes are lost']


# ---- the table

def test_table():
    results = [faults.Result('a-row', 'x', 'stopped', 0, 12, 0, 'yes', 'yes', 61.2),
               faults.Result('another', 'y', problems=['it is red'])]
    assert faults.table(results).splitlines() == [
        'fault    the roll  failed on others  lost  message  again  seconds',
        'a-row    stopped   0 (fault: 12)     0     yes      yes    61',
        'another  -         -                 -     -        -      0']


def test_trouble_makes_a_row_red(make, monkeypatch):
    run = make()

    def trouble(self):
        raise words.Trouble('no lab')
    monkeypatch.setattr(faults.Run, 'bring_up', trouble)
    assert run.perform().problems == ['no lab']
