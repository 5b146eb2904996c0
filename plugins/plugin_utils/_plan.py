# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# In which order nodes are rolled: waves, each a list of batches.

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Union

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

# What the API says of a node that makes it a node of a kind.
KINDS = {"is_hypervisor": "hypervisors", "is_network_node": "network nodes"}
DATABASE, OTHERS = "database", "others"
# Before the command, where nothing on a node tells that it is done.
CONTINUES = "Should it stop, this continues it, with the options that you gave:"

# What is known of each node, by its name; the names of the nodes of each kind; the items of C(rolling_serial).
Verdict = dict[str, dict]
Kinds = dict[str, list[str]]
Batches = list[list[str]]
Serial = Union[int, str, list, tuple]


@dataclasses.dataclass
class Wave:
    """Nodes that are rolled after those of the wave before them.

    :param name: V(database) or V(others).
    :param batches: the names of the nodes that are rolled at once, batch by batch.
    :param why: by node, why it was not taken together with the one before, where the batch had room for it.
    """

    name: str
    batches: list[list[str]] = dataclasses.field(default_factory=list)
    why: dict[str, str] = dataclasses.field(default_factory=dict)

    def nodes(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


def items_of(serial: Serial) -> list:
    """The items of C(rolling_serial): -e rolling_serial=1,2 is a text."""
    if isinstance(serial, (list, tuple)):
        return list(serial) or [serial]
    return [item.strip() for item in str(serial).split(",")]


def sizes(serial: Serial, count: int) -> list[int]:
    """How large each batch may be, in the manner of C(serial) of a play."""
    found = []
    for item in items_of(serial):
        text = str(item).strip()
        digits = text[:-1] if text.endswith("%") else text
        if not digits.isdecimal() or int(digits) == 0:
            raise AnsibleError("rolling_serial must be a number of nodes above 0, a percentage, or a list of "
                               f"them, not {item!r}")
        found.append(max(1, count * int(digits) // 100) if text.endswith("%") else int(digits))
    return found


def percentages(serial: Serial, count: int) -> str:
    """What the percentages of C(rolling_serial) are of so many nodes, in words; empty where there is none."""
    return ", ".join(f"{item} of {count} is {size}" for item, size in zip(items_of(serial), sizes(serial, count))
                     if str(item).strip().endswith("%"))


def _tier(verdict: Verdict, database: bool, leader: str) -> list[str]:
    """The nodes of one tier that are left to do: those that serve nobody first, zone by zone, the leader last.

    Else in the order of the inventory.
    """
    left = [name for name, node in verdict.items() if node["database"] == database and not node["done"]]
    zones = list(dict.fromkeys(verdict[name].get("zone", "") for name in left))
    return sorted(left, key=lambda name: (verdict[name]["ready"], verdict[name].get("name", name) == leader,
                                          zones.index(verdict[name].get("zone", ""))))


def _members(verdict: Verdict, nodes: list[dict], serving: list[str]) -> Kinds:
    """By kind, the nodes that serve now. A kind with one member only has nobody to stand in for it anyway."""
    facts = {node["name"]: node for node in nodes}
    kinds = {words: [name for name, node in verdict.items()
                     if node["ready"] and facts.get(node.get("name", name), {}).get(kind)]
             for kind, words in KINDS.items()}
    kinds["nodes that serve"] = serving
    return {words: members for words, members in kinds.items() if len(members) > 1}


def _batched(names: list[str], verdict: Verdict, serial: Serial, kinds: Kinds, leader: str) -> Wave:
    """The wave of these nodes, in as few batches as can be: never two zones in one batch, never all of one kind.

    Nodes that are down are in the first ones. The leader is in the last one, unless it is down itself.
    """
    limits = sizes(serial, len(names))
    limits += limits[-1:] * len(names)
    last = [name for name in names if verdict[name].get("name", name) == leader and verdict[name]["ready"]]
    names = [name for name in names if name not in last]
    # Where one of each kind comes first, no other batch can have all of it. That may save a batch.
    ahead: list[str] = []
    for members in kinds.values():
        found = [name for name in names if name in members]
        if found and not set(found) & set(ahead):
            ahead.append(max(found, key=lambda name: sum(name in others for others in kinds.values())))
    ways = (_filled(order, last, verdict, limits, kinds)
            for order in (names, ahead + [name for name in names if name not in ahead]))
    batches = min((way for way in ways if _is_fit(way, verdict, limits)), key=len)
    why = {batch[0]: _apart(before, batch[0], verdict, kinds)
           for before, batch, limit in zip(batches, batches[1:], limits) if len(before) < limit}
    return Wave(OTHERS, batches, {name: words for name, words in why.items() if words})


def _filled(names: list[str], last: list[str], verdict: Verdict, limits: list[int], kinds: Kinds) -> Batches:
    """Batches of these nodes: each joins the first one that may have it. What the last one joins comes last."""
    def free(name: str) -> Batches:
        return [batch for batch, limit in zip(batches, limits)
                if len(batch) < limit and not _apart(batch, name, verdict, kinds)]

    batches = []
    for name in names:
        joined = free(name)
        if joined:
            joined[0].append(name)
        else:
            batches.append([name])
    batches.sort(key=lambda batch: all(verdict[name]["ready"] for name in batch))
    for name in last:
        ways = [[*(other for other in batches if other is not batch), [*batch, name]] for batch in reversed(free(name))]
        batches = next((way for way in ways if _is_fit(way, verdict, limits)), [*batches, [name]])
    return batches


def _is_fit(batches: Batches, verdict: Verdict, limits: list[int]) -> bool:
    """Whether no batch is too large for its place, and those with nodes that are down come first."""
    up = [all(verdict[name]["ready"] for name in batch) for batch in batches]
    return up == sorted(up) and all(len(batch) <= limit for batch, limit in zip(batches, limits))


def _apart(batch: list[str], name: str, verdict: Verdict, kinds: Kinds) -> str:
    """Why a node may not be out of rotation together with those of a batch."""
    if verdict[batch[0]].get("zone", "") != verdict[name].get("zone", ""):
        return "another zone"
    return next((f"{listed(members, ' and ')} are all {words}" for words, members in kinds.items()
                 if name in members and set(members) <= {*batch, name}), "")


def _short_of(waves: list[Wave], serving: Iterable[str], out: Collection[str], minimum: int) -> str:
    """Why a batch could never be drained: too few others serve when its turn comes. Empty if none is."""
    ready = set(serving)
    for batch in [batch for wave in waves for batch in wave.batches] if minimum else []:
        beside = sorted(ready - set(batch))
        if len(beside) < minimum:
            return (f"roll_min_ready is {minimum}, and when the turn comes to {listed(batch, ' and ')} only "
                    f"{len(beside)} {'other serves' if len(beside) == 1 else 'others serve'}"
                    f"{' (' + ', '.join(beside) + ')' if beside else ''}: lower it"
                    + (", or rolling_serial" if len(batch) > 1 else ""))
        # What was rolled serves again.
        ready.update(set(batch).difference(out))
    return ""


def plan_of(verdict: Verdict, serial: Serial = 1, back: bool = False, api: dict | None = None,
            unseen_ready: Collection[str] = (), seen: Verdict | None = None, cut_short: bool = False,
            min_ready: int = 0) -> dict:
    """The plan of a roll, as the run record keeps it.

    :arg verdict: what C(judge_nodes) has made of each node.
    :arg serial: the batches of the nodes after the database tier, see C(rolling_serial).
    :arg back: whether the roll goes back, so that the tier comes last.
    :arg api: what the module C(nodes_info) has returned.
    :arg unseen_ready: nodes that C(--limit) leaves out, and that serve.
    :arg seen: by node, what was seen of it.
    :arg min_ready: how many others have to serve while a node is drained; as many as do with 0.
    """
    api, seen = api or {}, seen or {}
    leader = api.get("leader") or ""
    ready = [name for name, node in verdict.items() if node["ready"]]
    down = [name for name, node in verdict.items() if node["gateway_down"]]
    # Without any gateway a node stays ready for some 10 to 15 seconds more: it is not to be counted on.
    lost = down and all(node["gateway_down"] for node in verdict.values() if node["database"])
    serving = [] if lost else ready + list(unseen_ready)
    tier = Wave(DATABASE, [[name] for name in _tier(verdict, True, leader)])
    # Somebody has these out of rotation: they are ready, and take none of the others' requests.
    out = [name for name, node in verdict.items() if node.get("out")]
    pool = [name for name in serving if name not in out]
    kinds = _members(verdict, api.get("nodes") or [], pool)
    others = _batched(_tier(verdict, False, leader), verdict, serial, kinds, leader)
    # A new sf-api needs a new sf-database, so going back the tier comes last.
    waves = [others, tier] if back else [tier, others]
    schema = [name for name, node in verdict.items() if node["database"]]
    order = [name for wave in waves for name in wave.nodes()]
    alone = bool(order) and len(serving) < 2
    return dict(
        waves=[dataclasses.asdict(wave) for wave in waves if wave.batches],
        order=order,
        database=tier.nodes(),
        others=others.nodes(),
        batches=others.batches,
        serial=[len(batch) for batch in others.batches] or [1],
        schema=schema,
        members=_members_of(schema, order, tier.nodes(), next(iter(verdict), "")),
        api=bool(api.get("known")),
        # How the nodes were before, for those that look at them again.
        nodes=list(api.get("nodes") or []),
        ready_urls={name: node["ready_url"] for name, node in seen.items()},
        leader=next((name for name, node in verdict.items() if node.get("name", name) == leader), ""),
        done=[name for name, node in verdict.items() if node["done"]],
        gateways_down={name: seen[name]["gateway"] for name in down},
        serving=serving,
        alone=alone,
        # With others, a drain costs no outage, and cutting it short would only cut requests.
        problem=("drain_cut_short is true, which cuts the requests in flight of each node, but it only gains something "
                 f"where nobody else serves. {listed(serving)} serve: leave it out"
                 if cut_short and order and not alone else _short_of(waves, pool, out, min_ready)))


def _members_of(schema: list[str], order: list[str], tier: list[str], first: str) -> list[dict]:
    """The groups of the playbooks, name by name: each has its nodes in the order of this list."""
    # A node that serves on the release has found the schema as it wants it.
    found = [dict(name=name, groups=["rolling_schema"]) for name in schema if order]
    found += [dict(name=name, groups=["rolling_order", f"rolling_{DATABASE if name in tier else OTHERS}"])
              for name in order]
    return found + ([dict(name=first, groups=["rolling_first"])] if first else [])
