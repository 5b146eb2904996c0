# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

# What the API says of a node that makes it a node of a kind.
KINDS = ("is_hypervisor", "is_network_node")


def _tier(verdict, database, leader):
    """The nodes of one tier that are left to do: those that serve nobody first, zone by zone, the leader last.

    Else in the order of the inventory.
    """
    left = [name for name, node in verdict.items() if node["database"] == database and not node["done"]]
    zones = list(dict.fromkeys(verdict[name].get("zone", "") for name in left))
    return sorted(left, key=lambda name: (verdict[name]["ready"], verdict[name].get("name", name) == leader,
                                          zones.index(verdict[name].get("zone", ""))))


def _sizes(serial, count):
    """How large each batch may be, in the manner of C(serial) of a play."""
    sizes = []
    for item in serial if isinstance(serial, (list, tuple)) and serial else [serial]:
        text = str(item).strip()
        digits = text[:-1] if text.endswith("%") else text
        if not digits.isdigit() or int(digits) == 0:
            raise AnsibleFilterError("rolling_serial must be a number of nodes above 0, a percentage, or a list of "
                                     f"them, not {item!r}")
        sizes.append(max(1, count * int(digits) // 100) if text.endswith("%") else int(digits))
    return sizes


def _members(verdict, nodes):
    """By kind, the nodes that serve now. A kind with one member only has nobody to stand in for it anyway."""
    facts = {node["name"]: node for node in nodes}
    kinds = {kind: {name for name, node in verdict.items()
                    if node["ready"] and facts.get(node.get("name", name), {}).get(kind)} for kind in KINDS}
    return [members for members in kinds.values() if len(members) > 1]


def _batches(names, verdict, serial, kinds):
    """Split the nodes, in their order: never two zones in one batch, never all of one kind."""
    sizes, batches = _sizes(serial, len(names)), []
    for name in names:
        batch = batches[-1] if batches else []
        size = sizes[min(len(batches), len(sizes)) - 1] if batches else 0
        fits = (len(batch) < size
                and verdict[batch[0]].get("zone", "") == verdict[name].get("zone", "")
                and not any(members <= {*batch, name} for members in kinds))
        if fits:
            batch.append(name)
        else:
            batches.append([name])
    return batches


def roll_plan(verdict, serial=1, back=False, api=None, unseen_ready=(), database=(), cut_short=False):
    """Put the nodes into the order in which they are rolled."""
    api = api or {}
    leader = api.get("leader") or ""
    others = _tier(verdict, False, leader)
    batches = _batches(others, verdict, serial, _members(verdict, api.get("nodes") or []))
    plan = {"database": _tier(verdict, True, leader), "others": others, "batches": batches,
            "serial": [len(batch) for batch in batches] or [1]}
    # A new sf-api needs a new sf-database, so going back the tier comes last.
    plan["order"] = others + plan["database"] if back else plan["database"] + others
    plan["schema"] = [name for name, node in verdict.items() if node["database"]]
    # Sorted, and of all the tier, so that operators agree on it whatever the order of their inventory and their limit.
    plan["lock"] = min([*plan["schema"], *database], default="")
    plan["first"] = next(iter(verdict), "")
    plan["api"] = bool(api.get("known"))
    # How the nodes were before, for those that look at them again.
    plan["nodes"] = list(api.get("nodes") or [])
    plan["leader"] = next((name for name, node in verdict.items() if node.get("name", name) == leader), "")
    plan["done"] = [name for name, node in verdict.items() if node["done"]]
    plan["gateways_down"] = [name for name, node in verdict.items() if node["gateway_down"]]
    # Without any gateway a node stays ready for some 10 to 15 seconds more: it is not to be counted on.
    lost = plan["gateways_down"] and all(node["gateway_down"] for node in verdict.values() if node["database"])
    plan["serving"] = [] if lost else [name for name, node in verdict.items() if node["ready"]] + list(unseen_ready)
    plan["alone"] = bool(plan["order"]) and len(plan["serving"]) < 2
    # With others, a drain costs no outage, and cutting it short would only cut requests.
    plan["problem"] = ("drain_cut_short is true, which cuts the requests in flight of each node, but it only gains "
                       f"something where nobody else serves. {listed(plan['serving'])} serve: leave it out"
                       if cut_short and plan["order"] and not plan["alone"] else "")
    return plan


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"roll_plan": roll_plan}
