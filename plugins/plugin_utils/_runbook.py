# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which section of the runbook explains a message. The tables of the runbook itself are the data: the first cell of a
# row has parts of messages, in backticks, with ... for what varies.

import functools
import os
import re
from collections import namedtuple

PAGE = "docs/runbook.md"
PATH = os.path.join(os.path.dirname(__file__), "..", "..", PAGE)
MEANS = "What it means: "
NEXT = "\nNext: "
PREFLIGHT = "before-anything-is-touched-the-preflight-report"

Row = namedtuple("Row", "fragment pattern weight anchor")


def row_of(fragment, anchor):
    """A row; what varies may be empty where it is joined to the word before it, as in C((rc ...)...:)."""
    parts = fragment.split("...")
    pattern = "".join(re.escape(part) + (".+?" if part.endswith(" ") else ".*?") for part in parts[:-1])
    return Row(fragment, re.compile(pattern + re.escape(parts[-1])), sum(map(len, parts)), anchor)


def anchor_of_heading(line):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


def prose_of(text):
    """The lines of a page without its code, where # begins no heading."""
    return re.sub("^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines()


def rows_of(text):
    """The rows of the tables of a page, one for each part of a message, with the anchor of the heading above it."""
    rows, anchor = [], ""
    for line in prose_of(text):
        if line.startswith("#"):
            anchor = anchor_of_heading(line)
        elif line.startswith("|"):
            cell = line.strip("| ").partition(" | ")[0]
            rows += [row_of(fragment, anchor) for fragment in re.findall("`([^`]+)`", cell)]
    return rows


@functools.lru_cache(maxsize=None)
def rows(path=PATH):
    """The rows of the runbook. Where it is not installed, or cannot be read, there are none."""
    try:
        with open(path, encoding="utf-8") as handle:
            return rows_of(handle.read())
    except (OSError, ValueError):
        return []


def anchor_of(message, path=PATH, prefer=()):
    """Where the runbook explains a message; empty if nothing there does. The longest part decides, then the first.

    :arg prefer: the anchors of the sections that count before all others.
    """
    found = [row for row in rows(path) if row.pattern.search(message)]
    found = [row for row in found if row.anchor in prefer] or found
    return f"{PAGE}#{max(found, key=lambda row: row.weight).anchor}" if found else ""


def section(anchor, path=PATH):
    """The line that names a section; empty if the runbook does not have it."""
    return f"{MEANS}{PAGE}#{anchor}" if any(row.anchor == anchor for row in rows(path)) else ""


def explained(text, cause="", prefer=()):
    """A text with the line that names the section for its cause, above what comes next, so that the command is last."""
    anchor = anchor_of(cause or text, prefer=prefer)
    if not anchor or MEANS in text:
        return text
    before, following, after = text.rpartition(NEXT)
    return f"{before}\n{MEANS}{anchor}{following}{after}" if following else f"{text}\n{MEANS}{anchor}"
