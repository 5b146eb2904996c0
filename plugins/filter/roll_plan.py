# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


def _tier(verdict, database):
    """The nodes of one tier that are left to do, those that serve nobody first; else in the order of the inventory."""
    left = [name for name, node in verdict.items() if node["database"] == database and not node["done"]]
    return sorted(left, key=lambda name: verdict[name]["ready"])


def roll_plan(verdict, serial=1, back=False):
    """Put the nodes into the order in which they are rolled."""
    plan = {"database": _tier(verdict, True), "others": _tier(verdict, False), "serial": serial}
    # A new sf-api needs a new sf-database, so going back the tier comes last.
    plan["order"] = plan["others"] + plan["database"] if back else plan["database"] + plan["others"]
    plan["schema"] = [name for name, node in verdict.items() if node["database"]]
    # Sorted, so that operators whose inventories differ in their order agree on it.
    plan["lock"] = min(plan["schema"], default="")
    plan["done"] = [name for name, node in verdict.items() if node["done"]]
    plan["gateways_down"] = [name for name, node in verdict.items() if node["gateway_down"]]
    # Without any gateway a node stays ready for some 10 to 15 seconds more: it is not to be counted on.
    lost = plan["gateways_down"] and all(node["gateway_down"] for node in verdict.values() if node["database"])
    plan["serving"] = [] if lost else [name for name, node in verdict.items() if node["ready"]]
    plan["alone"] = bool(plan["order"]) and len(plan["serving"]) < 2
    return plan


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"roll_plan": roll_plan}
