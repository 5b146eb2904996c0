# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print which lines no test has run, as coverage.py has measured; exit code 1 if they are too many.

Files without such a line have no row.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import NamedTuple

import coverage


class File(NamedTuple):
    name: str
    lines: int      # those that can run
    missing: int
    where: str      # such as 12-14, 20


def measured(data, folder):
    """The files in folder of a data file of coverage.py, which also has the tests, by their names there."""
    of = coverage.Coverage(data_file=str(data), config_file=False)
    of.load()
    # A module's start as a program, and what takes the place of a library that is not there.
    of.exclude(r'if __name__ == .__main__.:|except ImportError:')
    files = []
    for path in sorted(path for path in of.get_data().measured_files() if folder in pathlib.Path(path).parents):
        lines, dummy, missing, where = of.analysis2(path)[1:]
        files.append(File(str(pathlib.Path(path).relative_to(folder)), len(lines), len(missing), where))
    return files


def percent(files):
    """How many of 100 lines have run; rounded down, so that 94.99 is not 95."""
    lines, missing = sum(file.lines for file in files), sum(file.missing for file in files)
    return (lines - missing) * 1000 // lines / 10 if lines else 100.0


def table(files):
    rows = [(file.name, file.lines, file.missing, percent([file]), file.where) for file in files if file.missing]
    rows.append(('all %d files' % len(files), sum(file.lines for file in files), sum(file.missing for file in files),
                 percent(files), ''))
    return ['%-56s %6s %7s %5s  %s' % ('file', 'lines', 'not run', '%', 'which')] + [
        ('%-56s %6d %7d %5.1f  %s' % row).rstrip() for row in rows]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=pathlib.Path, help='the data file of coverage.py')
    parser.add_argument('folder', type=pathlib.Path, help='the files in this one count')
    parser.add_argument('least', type=float, help='how many of 100 lines must have run, of all files and of each')
    parser.add_argument('apart', nargs='*', help='a file that also runs where nobody measures: it counts only in all')
    args = parser.parse_args(arguments)
    files = measured(args.data, args.folder)
    print('\n'.join(table(files)))
    below = [file.name for file in files if percent([file]) < args.least and file.name not in args.apart]
    if not files or below or percent(files) < args.least:
        print('ERROR: fewer than %g of 100 lines have run, of %s' % (args.least, ', '.join(below) or 'all files'))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
