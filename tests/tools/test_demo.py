# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import demo  # noqa: E402  pylint: disable=wrong-import-position


def alive(process):
    try:
        with open('/proc/%d/stat' % process, encoding='utf-8') as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'  # its parent may never collect it
    except FileNotFoundError:
        return False


@pytest.fixture
def stage(tmp_path):
    result = demo.Stage(tmp_path / 'log')
    yield result
    result.end()
    result.log.close()


def report(failed=0, lost=0):
    return {'failed': failed, 'lost': lost, 'requests': 15000, 'verdict': 'failed' if failed or lost else 'ok'}


@pytest.mark.parametrize('argv, code, counts, result, words', [
    ([], 0, (0, 0), 0, 'failed 0, lost 0'),
    ([], 2, (0, 0), 1, 'ended with rc 2'),
    ([], 0, (1, 0), 1, 'failed 1, lost 0'),
    ([], 0, (0, 1), 1, 'failed 0, lost 1'),
    (['--control'], 0, (29, 0), 0, 'the prober sees an undrained restart: 29 failed'),
    (['--control'], 0, (0, 0), 1, 'proves nothing'),
])
def test_verdict(stage, capsys, argv, code, counts, result, words):
    assert demo.verdict(stage, demo.arguments(argv), code, 90.0, '3 of 3', report(*counts)) == result
    assert words in capsys.readouterr().out


def test_an_sf_api_that_did_not_end_in_time(stage, capsys):
    late = ['sf-api of sf-2 took 55.10 s to stop']
    assert demo.verdict(stage, demo.arguments(['--no-probes']), 0, 90.0, '3 of 3', report(), late) == 1
    assert 'FAILED: the roll succeeded, but sf-api of sf-2 took 55.10 s' in capsys.readouterr().out


@pytest.mark.parametrize('found, count, wrong, shown', [
    ([(1.0, 'sf-api', 'stopping'), (9.4, 'sf-api', 'stopped')], 1, [], 'sf-api ended 8.40 s after its stop began'),
    ([(1.0, 'sf-api', 'stopping'), (56.0, 'sf-api', 'stopped')], 1,
     ['sf-api of sf-1 took 55.00 s to stop, at most 11 s were expected'], 'sf-api ended 55.00 s'),
    # Each stop counts, not only the last one.
    ([(1.0, 'sf-api', 'stopping'), (13.0, 'sf-api', 'stopped'), (20.0, 'sf-api', 'stopping'),
      (28.0, 'sf-api', 'stopped')], 1, ['sf-api of sf-1 took 12.00 s to stop, at most 11 s were expected'],
     'sf-api ended 12.00 s, 8.00 s'),
    ([(1.0, 'sf-net', 'stopping'), (9.4, 'sf-net', 'stopped'), (9.5, 'sf-api', 'stopped')], 0,
     ['sf-api of sf-1 was not stopped'], 'sf-api ended never'),
])
def test_how_long_each_stop_took(stage, monkeypatch, capsys, found, count, wrong, shown):
    monkeypatch.setattr(demo, 'events', lambda *dummy: found)
    assert demo.ends(stage, ['sf-1'], 0, 11) == (count, wrong)
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize('argv', [['--control', '--no-probes'], ['--drain-grace', '51'],
                                  ['--drain-grace', 'x'], ['--nodes', '0'], ['--rate', '0'],
                                  ['extra']])
def test_wrong_usage(argv):
    with pytest.raises(SystemExit) as caught:
        demo.arguments(argv)
    assert caught.value.code == 2


def test_output_is_shown_and_logged_without_colours(stage, capfd):
    assert stage.run('sh', '-c', 'printf "\\033[0;32mok\\033[0m\\n"; echo no >&2; exit 3') == 3
    assert '\x1b[0;32mok' in capfd.readouterr().out
    stage.log.flush()
    with open(stage.log.name, encoding='utf-8') as log:
        assert log.read() == 'ok\nno\n'


def test_a_failing_command(stage):
    with pytest.raises(demo.DemoError, match='false failed .rc 1.'):
        stage.must('false')


def test_children_are_ended_with_theirs(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, 'PATIENCE', ((signal.SIGINT, 1), (signal.SIGTERM, 5)))
    # sh lets a background job ignore SIGINT: it needs the second signal
    mark = tmp_path / 'pid'
    child = stage.start('sh', '-c', 'sleep 60 & echo $! > %s; wait' % mark)
    limit = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < limit:
        time.sleep(0.05)
    stage.end()
    assert child.poll() is not None
    assert not alive(int(mark.read_text()))
