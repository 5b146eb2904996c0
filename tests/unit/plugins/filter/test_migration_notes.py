# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.filter.migration_notes import migration_notes


def test_migration_notes():
    """tests of plugin_utils/_notes.py have each branch."""
    steps = [dict(table="cluster_operation_targets", before=1, after=2), dict(table="notes", before=1, after=2)]
    assert len(migration_notes(steps, "shakenfist")) == 1 and migration_notes(steps, "another") == []
