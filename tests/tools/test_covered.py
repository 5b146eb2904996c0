# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import covered  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture
def data(tmp_path):
    """What coverage.py measures of two plugins, all ten lines of one and seven of the other, and of what runs them."""
    (tmp_path / 'plugins').mkdir()
    (tmp_path / 'plugins' / 'whole.py').write_text('a = 1\n' * 10)
    (tmp_path / 'plugins' / 'part.py').write_text('def f():\n' + '    a = 1\n' * 3 + 'a = 1\n' * 6)
    (tmp_path / 'run.py').write_text('import whole, part\n')
    subprocess.run([sys.executable, '-m', 'coverage', 'run', '--branch', tmp_path / 'run.py'],
                   cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(tmp_path / 'plugins')), check=True)
    return tmp_path / '.coverage'


@pytest.mark.parametrize('least, code, last', [
    (85, 1, 'ERROR: fewer than 85 of 100 lines have run, of part.py'),
    (70, 0, 'all 2 files                                                  20       3  85.0'),
])
def test_the_table_names_the_lines_that_did_not_run(data, capsys, least, code, last):
    assert covered.main([str(data), str(data.parent / 'plugins'), str(least)]) == code
    head, part, *rest = capsys.readouterr().out.splitlines()
    assert part.split(None, 4) == ['part.py', '10', '3', '70.0', '2-4']
    assert rest[-1] == last


def test_what_runs_elsewhere_counts_in_all_only(data):
    arguments = [str(data), str(data.parent / 'plugins'), '75']
    assert covered.main(arguments) == 1 and covered.main([*arguments, 'part.py']) == 0
    assert covered.main([*arguments[:2], '90', 'part.py']) == 1


def test_what_never_runs_in_a_test_is_no_line(data):
    (data.parent / 'plugins' / 'part.py').write_text(
        'def f():\n' + '    a = 1\n' * 3 + 'a = 1\n' * 6 + "if __name__ == '__main__':\n    f()\n"
        'try:\n    import a\nexcept ImportError:\n    a = 1\n')
    part, = [file for file in covered.measured(data, data.parent / 'plugins') if file.name == 'part.py']
    assert (part.lines, part.where) == (12, '2-4, 13-14')


def test_what_is_measured_of_nothing_is_too_little(tmp_path, capsys):
    subprocess.run([sys.executable, '-m', 'coverage', 'run', '--include=no/*', '-c', 'pass'], cwd=tmp_path, check=False)
    assert covered.main([str(tmp_path / '.coverage'), str(tmp_path), '95']) == 1
    assert capsys.readouterr().out.splitlines()[-1] == 'ERROR: fewer than 95 of 100 lines have run, of all files'


@pytest.mark.parametrize('lines, missing, seen', [(2000, 101, 94.9), (2000, 100, 95.0), (0, 0, 100.0)])
def test_a_share_is_rounded_down(lines, missing, seen):
    assert covered.percent([covered.File('a.py', lines, missing, '')]) == seen
