# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import migrations


def migration_notes(steps, product):
    """What to expect of migrations, one sentence for each note."""
    return migrations(product, steps)


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"migration_notes": migration_notes}
