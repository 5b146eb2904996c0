# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Lines for a task's output. With their indent and quotes in the output of Ansible they stay within 100 columns. As
# YAML, Ansible folds lines at the first single space after column 80.

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

TABLE = 88
TEXT = 74
GAP = "  "
NARROWEST = 8


def table(rows: Iterable[Sequence], names: int, width: int = TABLE) -> list[str]:
    """Rows of cells as lines with columns, an empty cell as a dash.

    A line has nothing that YAML quotes, so that the columns stay below each other in every format of the output.

    :arg names: the number of the column with names, which lose their end where the table is too wide.
    """
    rows = [[" ".join(str(cell).split()) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if over > 0:
        widths[names] = min(widths[names], max(NARROWEST, widths[names] - over))
    return [GAP.join((cell if len(cell) <= space else cell[:space - 1] + "~").ljust(space)
                     for cell, space in zip(row, widths)).rstrip() for row in rows]


def filled(rows: Sequence[Sequence]) -> list[Sequence]:
    """Rows without the columns in which no row but the first, the head, has anything."""
    kept = [len(rows) < 2 or any(str(cell) for cell in column[1:]) for column in zip(*rows)]
    return [[cell for cell, keep in zip(row, kept) if keep] for row in rows]


def wrap(text: str, width: int = TEXT) -> list[str]:
    """A text as lines, all but the first indented. A command line in it can be copied in one piece."""
    return textwrap.wrap(" ".join(text.split()), width, subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)


def listed(names: Iterable[str], last: str = ", ") -> str:
    """Names in one string; the last comma can be another word."""
    names = list(names)
    return last.join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def many(count: int, noun: str) -> str:
    """So many of something."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(seconds: float) -> str:
    """A time span in words."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if count]
    return " ".join(parts) or "0 s"
