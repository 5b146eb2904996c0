# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _table


def test_a_table():
    assert _table.table([["node", "ready", "remarks"], ["sf-1", "", "the  leader"], ["sf-10", "no", ""]], 0) == [
        "node   ready  remarks",
        "sf-1   -      the leader",
        "sf-10  no     -",
    ]
    assert _table.table([], 0) == []


@pytest.mark.parametrize("rows, found", [
    ([["node", "RPC", "guests"], ["a", "", 0], ["b", "", ""]], [["node", "guests"], ["a", 0], ["b", ""]]),
    ([["node", "RPC"]], [["node", "RPC"]]),
])
def test_a_column_that_nobody_has(rows, found):
    assert _table.filled(rows) == found


@pytest.mark.parametrize("width, line", [
    (30, "sf-1.example.com  0.8.0  yes"),
    (24, "sf-1.exampl~  0.8.0  yes"),
    (5, "sf-1.ex~  0.8.0  yes"),
])
def test_a_table_that_is_too_wide(width, line):
    lines = _table.table([["node", "rel", "x"], ["sf-1.example.com", "0.8.0", "yes"]], 0, width)
    assert lines[1] == line and lines[0].split() == ["node", "rel", "x"]


def test_only_names_are_cut():
    rows = [["1", "sf-1.example.com", "2026-11-21 08:15:00"]]
    assert _table.table(rows, 1, 10) == ["1  sf-1.ex~  2026-11-21 08:15:00"]
    assert _table.table(rows, 0, 10) == ["1  sf-1.example.com  2026-11-21 08:15:00"]


def test_yaml_quotes_no_line_of_a_table():
    rows = [["step", "since (UTC)"], ["1", "2026-11-21 08:15:00"], ["2", "?"], ["3", "-> 1"], ["4", ""]]
    lines = _table.table(rows, 0)
    assert yaml.safe_dump(lines, width=1000) == "".join(f"- {line}\n" for line in lines)


@pytest.mark.parametrize("text, lines", [
    ("short", ["short"]),
    ("", []),
    ("one two three", ["one two", "  three"]),
    ("pass -e a_variable_that_is_long=yes now", ["pass -e", "  a_variable_that_is_long=yes", "  now"]),
    ("a\nb", ["a b"]),
])
def test_wrap(text, lines):
    assert _table.wrap(text, 9) == lines


@pytest.mark.parametrize("names, text", [
    ([], ""), (["a"], "a"), (["a", "b"], "a and b"), (iter("abc"), "a, b and c"),
])
def test_listed(names, text):
    assert _table.listed(names, " and ") == text


def test_listed_without_a_word():
    assert _table.listed(["a", "b"]) == "a, b"


@pytest.mark.parametrize("seconds, words", [
    (0, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (75, "1 min 15 s"), (3600, "1 h"), (7265, "2 h 1 min 5 s"),
])
def test_span(seconds, words):
    assert _table.span(seconds) == words


@pytest.mark.parametrize("count, words", [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes")])
def test_many(count, words):
    assert _table.many(count, "node") == words
