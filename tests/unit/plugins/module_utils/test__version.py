# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import brief, reported_as, reports


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
    ("unknown", "unknown"),
    ("", ""),
    (None, ""),
])
def test_brief(version, expected):
    assert brief(version) == expected


@pytest.mark.parametrize("version, expected", [
    ("0.8.1.post3", {"0.8.1", "0.8.2"}),
    ("0.8.1-post3", {"0.8.1", "0.8.2"}),
    ("0.8.1+post3", {"0.8.1"}),
    ("0.8.1rc1", {"0.8.1"}),
])
def test_reported_as(version, expected):
    assert reported_as(version) == expected


@pytest.mark.parametrize("reported, version, right", [
    ("0.8.1", "0.8.1", True),
    ("0.8.1", "0.8.1.dev3+gabc1234", True),
    ("0.8.1", "0.8.1rc1", True),
    ("0.8.1.dev3", "0.8.1.dev4", True),
    ("0.8.2", "0.8.1.post1", True),
    ("0.8.1", "0.8.1.post1", True),
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
