# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.filter.drain_grace import drain_grace


def test_drain_grace():
    """tests of plugin_utils/_grace.py have each branch."""
    unit = dict(arguments={"--graceful-timeout": "55"}, stops=[dict(seconds=9.4, itself=True)])
    assert drain_grace("8") == dict(seconds=8, source="config")
    assert drain_grace("", 7) == dict(seconds=7, source="variable")
    assert drain_grace("", None, unit) == dict(seconds=9, source="journal")
