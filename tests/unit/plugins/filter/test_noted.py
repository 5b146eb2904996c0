# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.filter.noted import noted


def test_noted():
    """tests of plugin_utils/_notes.py have each branch."""
    assert "ETCD_HOST" in noted("shakenfist")["settings"]
    assert noted("another") == {"settings": [], "directories": []}
