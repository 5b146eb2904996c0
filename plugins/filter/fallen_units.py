# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


def fallen_units(units, runs=None):
    """Describe the units that are not active, or no longer in the run that a restart began."""
    runs = runs or {}
    fallen = []
    for name, unit in sorted(units.items()):
        # What a restart of the units returned, or an earlier look at them.
        began = runs.get(name, {}).get("after") or runs.get(name, {}).get("invocation")
        if not unit["active"]:
            fallen.append(f"{name} is {unit['state']}")
        elif began and (unit["invocation"] != began or unit["restarts"] > runs[name].get("restarts", 0)):
            fallen.append(f"{name} is {unit['state']}, but was started again, by systemd {unit['restarts']} times")
    return fallen


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"fallen_units": fallen_units}
