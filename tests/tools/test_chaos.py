# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
from faults import chaos, product, words  # noqa: E402  pylint: disable=wrong-import-position

MANY = chaos.rows(600, 1)


# ---- drawing

def test_a_seed_draws_the_same_rows_again():
    # Of functions only the name can be compared.
    assert [(row.name, row.about) for row in chaos.rows(40, 7)] == [(row.name, row.about) for row in chaos.rows(40, 7)]
    assert [row.about for row in chaos.rows(40, 7)] != [row.about for row in chaos.rows(40, 8)]


def test_what_a_seed_draws_is_no_accident_of_this_process():
    """A row that was seen here is the same elsewhere."""
    script = 'import sys; sys.path.insert(0, sys.argv[1]); import faults; print(faults.chaos.find("random-7-2").about)'
    found = {subprocess.run([sys.executable, '-c', script, faults.ROOT / 'tools/lib'], check=True, capture_output=True,
                            text=True, env=dict(os.environ, PYTHONHASHSEED=hash_seed)).stdout.strip()
             for hash_seed in ('1', '2')}
    assert found == {chaos.find('random-7-2').about}


def test_a_row_is_had_by_its_name():
    for row in MANY:
        again = chaos.find(row.name)
        assert (again.name, again.about, again.fails, again.lab) == (row.name, row.about, row.fails, row.lab)


@pytest.mark.parametrize('name', ['random-7', 'random-7-0', 'random-07-1', 'other-random-7-1', 'shakenfist-random-7-1',
                                  'random-7-1-2', 'two-operators'])
def test_a_name_that_is_none(name):
    assert chaos.find(name) is None


def test_names_differ():
    assert len({row.name for row in MANY}) == len(MANY)
    assert not {row.name for row in MANY} & {row.name for row in faults.every_row()}


def test_products():
    cinder = [row for row in MANY if row.product == 'cinder']
    assert 20 < len(cinder) < 120 and all(row.name.startswith('cinder-random-1-') for row in cinder)
    assert {row.product for row in chaos.rows(9, 1, ['cinder'])} == {'cinder'}
    # Those that are of the product anyway are the same.
    alone, mixed = chaos.rows(60, 1, ['shakenfist']), MANY[:60]
    assert all(one.about == other.about for one, other in zip(alone, mixed) if other.product == 'shakenfist')


@pytest.mark.parametrize('pattern', [
    *['SIG%s for the controller' % name for name in ('KILL', 'INT', 'TERM', 'HUP')],
    'SIGKILL for the controller and all', 'sf-api of .* is restarted', 'sf-net of .* is killed',
    'sf-database of sf-1 is restarted', 'sf-database of sf-2 is killed', 'MariaDB', 'balancer', 'sf-2 is not reached',
    'the package index', 'the disk of sf-[23]', 'sf-3 reboots', 'RabbitMQ', 'c-[12] is not reached',
    *['^%s: ' % command.words for commands in chaos.COMMANDS.values() for command in commands],
    '; command 2: ', '; command 3: ', *['step %s ' % name for name in chaos.TURN], 'step preflight', 'step lock',
    'step stage', 'step schema', 'step verify', 'ensure-mariadb-schema', 'step drain of cinder-volume begins on c-2',
    r', 0\.\d s after', r', 2\.\d s after'])
def test_every_kind_is_drawn(pattern):
    assert [row for row in MANY if re.search(pattern, row.about)]


def test_a_row_is_whole():
    for row in MANY:
        assert re.match(r'[^:]+: .+, [\d.]+ s after .+', row.about) and row.about.count('; command ') == len(row.kills)
        assert row.moment.words in row.about
        for moment, kill in row.kills:
            assert '%s, %s' % (kill.words, moment.words) in row.about
            assert words.KILLED in kill.outcome
        assert (words.KILLED in row.outcome) == ('for the controller' in row.about.split('; ')[0])
        # A kill explains no failed request.
        assert not (words.KILLED in row.outcome and (row.fails or row.spoils))
        assert row.ends or row.release
        assert row.product in product.OF and not row.ci
        re.compile(row.fails)


def test_no_gateway_is_hit_after_a_migration():
    for row in MANY:
        if 'sf-database' in row.about:
            assert not row.about.startswith('upgrade to 0.8.1')


def test_playbooks_exist():
    for playbook in {row.playbook for row in MANY} - {''}:
        assert (faults.ROOT / 'playbooks' / (playbook.rpartition('.')[2] + '.yml')).exists()


# ---- moments and faults

@pytest.fixture
def clock(monkeypatch):
    """The time as the words see it: it passes only where somebody sleeps."""
    now = types.SimpleNamespace(at=100.0)
    monkeypatch.setattr(words, 'time', types.SimpleNamespace(
        monotonic=lambda: now.at, sleep=lambda span: setattr(now, 'at', now.at + span)))
    return now


def test_a_moment_some_seconds_later(clock):
    came = [False, True, False, False]
    run = types.SimpleNamespace(notes={}, rolls=[1])
    moment = words.later(1.5, words.seen('it rains', lambda run: came.pop(0)))
    assert moment.words == '1.5 s after it rains'
    assert not moment.condition(run)        # it does not rain
    assert not moment.condition(run)        # it begins to
    clock.at += 1.4
    assert not moment.condition(run)
    clock.at += 0.2
    assert moment.condition(run)            # whether it still does or not
    # Of the next command it is another moment.
    run.rolls.append(2)
    assert not moment.condition(run)


def test_a_fault_that_lasts(clock):
    said = []
    words.lasting(4, lambda run: said.append(clock.at), lambda run: said.append(clock.at))(None)
    assert said == [100, 104]


@pytest.mark.parametrize('found, result', [([[]], []), ([['a'], ['a'], []], []), ([['a']] * 100, ['a'])])
def test_what_remains(clock, found, result):
    assert words.remains(lambda: found.pop(0)) == result


class Bench:
    """A lab that notes what is done to it."""

    def __init__(self):
        self.said, self.nodes, self.units = [], ['sf-1'], {}

    def shell(self, machine, script):
        self.said.append((machine, script))

    def power_off(self, machine):
        self.said.append((machine, 'off'))

    def power_on(self, machine):
        self.said.append((machine, 'on'))

    def reached(self, machine):
        return True

    def facts(self, dummy):
        return dict(units={name: dict(active=bool(run), invocation=run) for name, run in self.units.items()})


@pytest.mark.parametrize('row', {re.sub(r'[\d.]+ s.*', '', row.about.partition(': ')[2]): row for row in MANY
                                 if words.KILLED not in row.outcome}.values(), ids=lambda row: row.name)
def test_a_fault_is_over_by_itself(clock, row):
    run = types.SimpleNamespace(lab=Bench())
    row.inject(run)
    done = ' '.join(script for dummy, script in run.lab.said)
    assert {machine for machine, dummy in run.lab.said} <= {'sf-1', 'sf-2', 'sf-3', 'c-1', 'c-2', 'db', 'lb'}
    for begin, end in (('stop ssh', 'start ssh'), ('stop lab', 'start lab'), ('dd if', 'rm -f'), ('off', 'on')):
        assert not re.search(r'\b%s\b' % begin, done) or done.index(begin) < done.index(end)


@pytest.mark.parametrize('now, running, restarted', [
    (dict(api='2', net='2'), [], []),
    (dict(api='2', net='1'), [], ['net of sf-1 was not restarted']),
    (dict(api='2', net=''), ['net of sf-1 ran before, and does not any more'], []),
])
def test_how_units_are_left(clock, now, running, restarted):
    run = types.SimpleNamespace(lab=Bench(), notes={})
    run.lab.units = dict(api='1', net='1', off='')
    chaos.note_units(run)
    run.lab.units = now
    assert chaos.all_run(run) == running
    assert chaos.all_restarted(run) == running + restarted


# ---- a run

STOP = 'fatal: [sf-2]: FAILED! Next: ansible-playbook -i x shakenfist.rolling.upgrade'
BEGIN = """echo '{"event": "begin", "step": "drain", "time": "2026-01-01T00:00:00Z"}' >>$ROLLOUT_LOG
"""
WAITS = BEGIN + 'exec sleep 60\n'


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A run of a random row, of which each command is the next of some shell scripts."""
    made = []

    def run(*scripts, **row):
        program = tmp_path / '.cache/venv/bin/ansible-playbook'
        program.parent.mkdir(parents=True, exist_ok=True)
        for number, script in enumerate(scripts, 1):
            (tmp_path / ('%d.sh' % number)).write_text(script)
        program.write_text('#!/bin/sh\necho "$@" >>{0}/commands\n. {0}/$(wc -l <{0}/commands).sh\n'.format(tmp_path))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(faults, 'ROOT', tmp_path)
        row = dict(dict(outcome=(words.ROLLED, words.STOPPED, words.REFUSED), moment=words.reaches('drain')), **row)
        result = faults.RandomRun(chaos.RandomRow('random-1-1', 'a fault', **row), tmp_path / 'log')
        result.lab = types.SimpleNamespace(
            balancer='10.0.0.3', nodes=['sf-1'], whole=lambda: True, behind=list,
            facts=lambda node: dict(packages=dict(shakenfist='0.8.1')))
        made.append(result)
        return result
    yield run
    for one in made:
        one.end()


def kill(name='SIGKILL', everything=False):
    return lambda run: run.roll.kill(getattr(signal, name), everything)


KILLS = dict(outcome=(words.ROLLED, words.STOPPED, words.REFUSED, words.KILLED), inject=kill())


def carried_out(run):
    run.first()
    run.second()
    return run.result


@pytest.mark.parametrize('name', chaos.SIGNALS)
def test_a_command_that_is_killed(make, tmp_path, name):
    result = carried_out(make(WAITS, '', **dict(KILLS, inject=kill(name))))
    assert (result.became, result.again, result.problems) == ('killed', 'yes (2)', [])
    first, second = (tmp_path / 'commands').read_text().splitlines()
    assert first == second and 'shakenfist.rolling.upgrade' in first and '-e rolling_release=0.8.1' in first


def test_the_second_command_is_killed_too(make):
    again = (words.reaches('drain'), chaos.Fault('SIGTERM', kill('SIGTERM')))
    result = carried_out(make(WAITS, WAITS, '', kills=(again,), **KILLS))
    assert (result.again, result.met, result.planned, result.problems) == ('yes (3)', 2, 2, [])


# The second command ends before it is killed; already the first one does.
@pytest.mark.parametrize('scripts, met', [((WAITS, ''), 1), (('',), 0)])
def test_what_did_not_happen_is_planned_all_the_same(make, scripts, met):
    again = (words.reaches('drain'), chaos.Fault('SIGTERM', kill('SIGTERM')))
    result = carried_out(make(*scripts, kills=(again, again), **KILLS))
    assert (result.met, result.planned, result.problems) == (met, 3, [])


def test_everything_that_the_controller_has_started_is_killed(make, tmp_path):
    # In a session of its own, as Ansible's workers are.
    run = make('setsid sh -c "echo \\$\\$ >%s/worker; exec sleep 60" &\nwhile [ ! -s %s/worker ]; do sleep 0.02; done\n'
               % (tmp_path, tmp_path) + BEGIN + 'wait\n', **dict(KILLS, inject=kill(everything=True)))
    run.first()
    worker = (tmp_path / 'worker').read_text().strip()
    words.until('the worker has ended', lambda: not os.path.exists('/proc/%s' % worker) or 'Z' in open(
        '/proc/%s/stat' % worker, encoding='ascii').read().split()[2], 60)


def test_another_playbook(make, tmp_path):
    carried_out(make(BEGIN, playbook='shakenfist.rolling.rollback', release='', ends='0.8.1',
                     arguments=('-e', 'rollback_release=0.8.1')))
    command = (tmp_path / 'commands').read_text()
    assert 'shakenfist.rolling.rollback' in command and command.endswith('-e rollback_release=0.8.1\n')
    assert 'upgrade' not in command and 'rolling_release' not in command


def said(text, code):
    return "%secho '%s'\nexit %d\n" % (BEGIN, text, code)


@pytest.mark.parametrize('scripts, became, message, again, problems', [
    ((said('ok', 0),), 'rolled', '-', 'yes (1)', []),
    ((said(STOP, 2), ''), 'stopped', 'yes', 'yes (2)', []),
    ((said('Nothing was touched. Run the command again.', 2), ''), 'refused', 'yes', 'yes (2)', []),
    ((said('fatal: [sf-1]', 2), ''), 'stopped', 'no', 'yes (2)', ["the message lacks 'Next: "]),
    ((said(STOP, 2), 'exit 2', ''), 'stopped', 'yes', 'yes (3)', ['command 2 stopped, though nothing had met it']),
    ((said(STOP, 2),) + ('exit 2',) * 4, 'stopped', 'yes', 'no', [
        *['command %d stopped' % number for number in range(2, 6)],
        'expected the same command to come to its end, it did not in 5 runs']),
])
def test_a_command_that_a_fault_meets(make, scripts, became, message, again, problems):
    result = carried_out(make(*scripts))
    assert (result.became.replace(', not met', ''), result.said, result.again) == (became, message, again)
    assert len(result.problems) == len(problems), result.problems
    for text, pattern in zip(result.problems, problems):
        assert re.search(pattern, text)


def test_a_command_that_is_over_before_its_moment(make):
    result = carried_out(make('', **KILLS))
    assert (result.became, result.again, result.problems) == ('rolled, not met', 'yes (1)', [])


def test_a_command_that_stops_before_it_is_killed(make):
    result = carried_out(make('echo "it is ill"\nexit 2', '', **KILLS))
    assert (result.again, result.problems) == ('yes (2)', ['it stopped before it was killed: it is ill'])


def test_a_command_that_hangs_before_its_moment(make, monkeypatch):
    monkeypatch.setattr(product.ShakenFist, 'limit', 0.2)
    with pytest.raises(words.Trouble, match='did not end within'):
        make('exec sleep 60').first()


def test_what_is_left_behind(make, clock):
    run = make(said('ok', 0))
    run.lab.behind = lambda: ['sf-1: /srv/shakenfist/rolling.lock is there']
    result = carried_out(run)
    assert (result.again, result.problems) == ('no', ['left behind: sf-1: /srv/shakenfist/rolling.lock is there'])


def test_a_fault_explains_only_what_comes_with_it(make):
    run = make(WAITS, fails='.', **KILLS)
    run.first()
    began, ended = run.fault
    assert began <= ended
    assert [run.excused(faults.Failure(at, at + 0.1, 'GET', '/', 'HTTP 503'))
            for at in (began, ended + 1)] == [True, False]


def test_what_a_lab_says_of_what_is_left(monkeypatch):
    lab = faults.Lab.__new__(faults.Lab)
    lab.plan, lab.nodes = types.SimpleNamespace(home='/nonesuch'), ['sf-1', 'sf-2']
    asked = []
    monkeypatch.setattr(lab, 'execute', lambda node, *command, check: asked.append(command) or types.SimpleNamespace(
        stdout='one\ntwo\n' if node == 'sf-2' else ''))
    assert lab.behind() == ['sf-2: one', 'sf-2: two']
    assert '/nonesuch/rolling.lock' in asked[0][-1]
    subprocess.run(['sh', '-n', '-c', asked[0][-1]], check=True)


# ---- the program

def test_arguments():
    args = faults.arguments(['--random', '5', '--seed', '7'], faults.every_row())
    assert [row.name for row in args.rows] == [row.name for row in chaos.rows(5, 7)]
    assert faults.arguments(['--random', '2', 'cinder'], []).rows[0].product == 'cinder'
    assert isinstance(faults.arguments(['--random', '1'], []).seed, int)
    assert [row.name for row in faults.arguments(['random-7-2', 'two-operators'], faults.every_row()).rows] == [
        'two-operators', 'random-7-2']


@pytest.mark.parametrize('argv', [
    ['--random', '0'], ['--random', '2', 'ganeti'], ['--random', '2', '--ci'], ['--random', '2', '--seed', '-1'],
    ['--seed', '3'], ['random-7-0']])
def test_wrong_usage(argv):
    with pytest.raises(SystemExit) as caught:
        faults.arguments(argv, faults.every_row())
    assert caught.value.code == 2


def test_list(capsys):
    assert faults.main(['--random', '3', '--seed', '7', '--list']) == 0
    assert [line.split(None, 1) for line in capsys.readouterr().out.splitlines()] == [
        [row.name, row.about] for row in chaos.rows(3, 7)]


def test_a_random_row_has_a_state_of_the_tree():
    states = faults.states_of(chaos.rows(3, 7))
    assert set(states) == {row.name for row in chaos.rows(3, 7)} and len(set(states.values())) == 1


WORKER = """while read -r row; do
  [ "$row" != end ] || exit 0
  problems='' lost=0
  case $row in *-RED) problems='"red"' lost=1 ;; esac
  echo "{\\"name\\": \\"$row\\", \\"about\\": \\"of $row\\", \\"became\\": \\"killed\\", \\"others\\": 0, \\"own\\": 2,
    \\"lost\\": $lost, \\"spoiled\\": 3, \\"met\\": MET, \\"planned\\": 2, \\"problems\\": [$problems]}" | tr -d '\\n'
  echo
done
"""


@pytest.fixture
def three(tmp_path, monkeypatch, capsys):
    """The exit code and the words of a run of three random rows, of which this one is red and each has met so much."""
    def run(red, met):
        path = tmp_path / 'worker.sh'
        path.write_text(WORKER.replace('RED', red).replace('MET', str(met)))
        monkeypatch.setattr(faults, 'LOGS', tmp_path)
        monkeypatch.setattr(faults, 'command_of_a_worker', lambda keep: ['sh', path])
        monkeypatch.setattr(faults.subprocess, 'run', lambda command, **more: None)
        return faults.main(['shakenfist', '--random', '3', '--seed', '7', '--labs', '1']), capsys.readouterr().out
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_run_of_random_rows(three):
    code, text = three('2', 1)
    assert code == 1
    assert ('the same rows again: tools/faults shakenfist --random 3 --seed 7; one of them alone: tools/faults '
            'random-7-1\n') in text
    assert re.search(r'^RED +random-7-2 .*\n +of random-7-2\n +red$', text, re.MULTILINE)
    assert ('random: 0 requests failed that no fault explains, 6 that one does; 1 acknowledged writes lost, and 9 '
            'volumes that a fault explains\n'
            'faults: 2 of 3 rows green, not: random-7-2; 3 of 6 faults happened, in ') in text


@pytest.mark.parametrize('met, code, last', [
    (2, 0, 'faults: 3 of 3 rows green; 6 of 6 faults happened, in '),
    (1, 0, 'faults: 3 of 3 rows green; 3 of 6 faults happened, in '),
    (0, 1, 'faults: 3 of 3 rows green; 0 of 6 faults happened, in ')])
def test_green_rows_that_met_next_to_nothing_are_not_enough(three, met, code, last):
    seen, text = three('none', met)
    assert (seen, text.splitlines()[-1][:len(last)]) == (code, last)
    assert ('random: expected that at least 50 % of the faults happen' in text) is bool(code)


def test_a_worker_draws_its_row(tmp_path, monkeypatch):
    script = '''import dataclasses, sys
sys.path.insert(0, sys.argv[1])
import faults, pathlib
faults.LOGS = pathlib.Path(sys.argv[2])
faults.subprocess.run = lambda command, **more: None
faults.RandomRun.perform = lambda self: self.result
sys.exit(faults.work([], False))
'''
    out = subprocess.run([sys.executable, '-c', script, faults.ROOT / 'tools/lib', tmp_path], input='random-7-2\nend\n',
                         capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(out)['about'] == chaos.find('random-7-2').about
    assert (tmp_path / 'random-7-2.json').exists()
