# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


def behind_units(units, active, since=0, since_units=(), alone=()):
    """The daemons that do not run, or have not been started since the release is active and since a moment."""
    def is_old(name, unit):
        # No start of its main process is known: it is taken for old.
        started = unit["started"] or 0
        asked = not since_units or name in since_units
        return started < float(active or 0) or asked and started < float(since or 0)

    managed = {name: unit for name, unit in units.items() if unit["managed"]}
    down = [name for name, unit in managed.items() if not unit["active"]]
    old = [name for name, unit in managed.items() if name not in down and name not in alone and is_old(name, unit)]
    return down + old


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"behind_units": behind_units}
