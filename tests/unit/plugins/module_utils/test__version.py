# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import (
    brief,
    is_older,
    parse,
    reports,
    version_key,
)


# The second column is what pbr 7.1.3 makes of the first, but of what it does not take at all.
@pytest.mark.parametrize("version, expected", [
    ("0.8.1", "0.8.1"),
    ("0.8.1.dev3+gabc1234", "0.8.1"),
    ("0.8.1.dev3", "0.8.1"),
    ("0.8.1rc1", "0.8.1"),
    ("0.8.1rc1.dev4", "0.8.1"),
    ("0.8.1a1", "0.8.1"),
    ("0.8.1b2", "0.8.1"),
    ("0.8.1.0rc4", "0.8.1"),
    ("0.8.0.0rc4", "0.8.0"),
    ("0.8.1.1", "0.8.1"),
    ("0.8.1.2.3", "0.8.1"),
    ("0.8.1+local.1", "0.8.1"),
    ("0.8", "0.8.0"),
    ("0.8rc1", "0.8.0"),
    ("1", "1.0.0"),
    ("0.10.12", "0.10.12"),
    ("1!0.8.1", "0.8.1"),
    (" 0.8.1\n", "0.8.1"),
    # No version, but of one.
    ("0.8.1~odd", "0.8.1"),
    ("unknown", "unknown"),
    ("", ""),
    (None, ""),
])
def test_brief(version, expected):
    assert brief(version) == expected


@pytest.mark.parametrize("reported, version, right", [
    ("0.8.1", "0.8.1", True),
    ("0.8.1", "0.8.1.dev3+gabc1234", True),
    ("0.8.1", "0.8.1rc1", True),
    ("0.8.1.dev3", "0.8.1.dev4", True),
    ("0.8.2", "0.8.1.post1", True),
    ("0.8.1", "0.8.1.post1", True),
    ("0.8.2", "0.8.1-post3", True),
    ("0.8.3", "0.8.1.post3", False),
    ("0.8.2", "0.8.1+post3", False),
    ("0.8.2", "0.8.1rc1", False),
    ("unknown", "unknown", True),
    ("0.8.0", "0.8.1", False),
    ("0.8.0", "0.8.0.post1", True),
    ("0.8.2", "0.8.1", False),
    ("0.8.10", "0.8.1", False),
    ("0.8.1", "unknown", False),
    ("", "0.8.1", False),
    (None, "0.8.1", False),
    ("", "", False),
])
def test_reports(reported, version, right):
    assert reports(reported, version) is right


ASCENDING = [
    "", "1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1.dev2", "1.0rc1", "1.0", "1.0+gabc", "1.0+gabc.1",
    "1.0+1", "1.0+2", "1.0.post1.dev1", "1.0.post1", "1.0.1.dev3", "1.0.1.dev3+gabc1234", "1.0.1.dev10", "1.0.1", "1.1",
    "1.10", "1!0.1",
]


def test_versions_in_order():
    assert sorted(set(ASCENDING), key=version_key) == ASCENDING
    assert len({version_key(one) for one in ASCENDING}) == len(ASCENDING)


def test_versions_are_compared_as_packaging_does():
    version = pytest.importorskip("packaging.version").Version
    real = ASCENDING[1:]
    assert sorted(set(real), key=version) == real


@pytest.mark.parametrize("one, other", [
    ("1.0", "1"), ("1.0.0", "v1.0"), ("1.0c1", "1.0rc1"), ("1.0-1", "1.0.post1"), ("1.0alpha", "1.0a0"),
    ("1.0.RC1", "1.0rc1"),
])
def test_versions_that_are_one(one, other):
    assert version_key(one) == version_key(other)


@pytest.mark.parametrize("version, than, older", [
    ("0.8.0", "0.8.1", True), ("0.8.1", "0.8.1", False), ("0.8.2", "0.8.1+gabc", False), ("0.8.1", "0.8.1+gabc", True),
    ("0.8.1.dev5+gaaa", "0.8.1.dev5+gfff", False), ("0.8.1.dev5+gfff", "0.8.1.dev5+gaaa", False),
    ("0.8.1.dev4+gfff", "0.8.1.dev5+gaaa", True),
])
def test_two_builds_of_a_version_have_no_order(version, than, older):
    assert is_older(version, than) is older


@pytest.mark.parametrize("one, without, other", [
    ("0.8.1.dev3+gabc", ["local"], "0.8.1.dev3"), ("0.8.1.dev3+gabc", ["pre", "dev", "local"], "0.8.1"),
    ("0.8.1rc1.dev2", ["pre", "dev", "local"], "0.8.1"), ("0.8.1.post1", ["pre", "dev", "local"], "0.8.1.post1"),
])
def test_parts_that_do_not_count(one, without, other):
    assert version_key(one, without) == version_key(other)


def test_parts():
    assert parse(" 1!0.8.1RC2.post3.dev4+a.5\n") == (1, [0, 8, 1], ("rc", 2), 3, 4, "a.5")
    assert parse("what") is None and parse("0.8.1~odd") is None and parse(None) is None
    # Digits of another script, which to Python are digits.
    assert parse("0.8.\u0661") is None and brief("0.8.\u0661") == "0.8.0"
