# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import (
    PREFLIGHT,
    anchor_of,
    anchor_of_heading,
    explained,
    rows,
    rows_of,
    section,
)

PAGE = """# Runbook: what it means

| message | what it means |
|---|---|
| `too early` | In a section that is the page. |

## Roll: drain, at 3 a.m.

```
# no heading
| `no row` | of a table |
```

| message | what it means, and what to type |
|---|---|
| `unit ... failed`, `it (still) runs` | See `journalctl`. |
| a task with a name that you gave it | Yours. |

### Go back

| message | what it means, and what to type |
|---|---|
| `unit ... failed (rc ...)...:` | More. |
| `it [still] runs` | The same length. |
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "runbook.md"
    path.write_text(PAGE, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("heading, anchor", [
    ("# Runbook: what a message means, and what to type", "runbook-what-a-message-means-and-what-to-type"),
    ("## At 3 a.m.", "at-3-am"),
    ("### sf-api's `drain`, in_place", "sf-apis-drain-in_place"),
])
def test_anchors_are_those_of_github(heading, anchor):
    assert anchor_of_heading(heading) == anchor


def test_the_rows_of_a_page():
    assert [(row.fragment, row.anchor) for row in rows_of(PAGE)] == [
        ("too early", "runbook-what-it-means"),
        ("unit ... failed", "roll-drain-at-3-am"), ("it (still) runs", "roll-drain-at-3-am"),
        ("unit ... failed (rc ...)...:", "go-back"), ("it [still] runs", "go-back")]


@pytest.mark.parametrize("message, anchor", [
    ("unit a failed", "#roll-drain-at-3-am"),
    ("sf-1: unit a and b failed (rc 1): no", "#go-back"),
    ("unit a failed (rc 1):\nno", "#go-back"),
    ("unit a failed (rc 1) at its run 2:\nno", "#go-back"),
    ("unit a\nfailed", ""),
    ("unit  failed", ""),
    ("it (still) runs, it [still] runs", "#roll-drain-at-3-am"),
    ("no row", ""),
    ("", ""),
])
def test_the_longest_part_decides_then_the_first(page, message, anchor):
    assert anchor_of(message, page) == (f"docs/runbook.md{anchor}" if anchor else "")


@pytest.mark.parametrize("content", [None, b"\xff\xfe| `too early` |", b""])
def test_a_runbook_that_is_missing_or_cannot_be_read_explains_nothing(tmp_path, content):
    path = tmp_path / "other.md"
    if content is not None:
        path.write_bytes(content)
    assert rows(str(path)) == [] and anchor_of("too early", str(path)) == "" and section("go-back", str(path)) == ""


def test_a_section_that_is_there(page):
    assert section("go-back", page) == "What it means: docs/runbook.md#go-back" and section("gone", page) == ""
    assert section(PREFLIGHT) == f"What it means: docs/runbook.md#{PREFLIGHT}"


STOPPED = "What it means: docs/runbook.md#stopped-as-requested"
ASKED = "the roll was asked to stop: bob"


@pytest.mark.parametrize("text, cause, found", [
    (f"{ASKED}\nNext: run\nCMD", "", f"{ASKED}\n{STOPPED}\nNext: run\nCMD"),
    (f"{ASKED}\nNext: not this\nNext: run", "", f"{ASKED}\nNext: not this\n{STOPPED}\nNext: run"),
    (ASKED, "", f"{ASKED}\n{STOPPED}"),
    ("short\nNext: run", ASKED, f"short\n{STOPPED}\nNext: run"),
    ("nobody has a row for this\nNext: run", "", "nobody has a row for this\nNext: run"),
    (f"{ASKED}\n{STOPPED}\nNext: run", "", f"{ASKED}\n{STOPPED}\nNext: run"),
])
def test_the_line_is_above_what_comes_next(text, cause, found):
    assert explained(text, cause) == found


def test_sections_that_are_preferred(page):
    assert anchor_of("unit x failed (rc 1): no", page) != anchor_of("unit x failed (rc 1): no", page, (
        "roll-drain-at-3-am",)) == "docs/runbook.md#roll-drain-at-3-am"
    assert anchor_of("too early", page, ("roll-drain-at-3-am",)).endswith("what-it-means")
