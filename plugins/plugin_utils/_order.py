# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# In which order the daemons of a node are restarted.

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names


def units_of(node: dict, given: str | list[str] = "") -> list[str]:
    """The units to restart: those that are given, or all daemons and the API."""
    return names(given or []) or list(dict.fromkeys([*node["daemons"], node["api_unit"]]))


def startable(unit: dict) -> bool:
    """Whether systemd would start a unit; not one that is masked, or whose unit file it cannot read."""
    return unit.get("load", "loaded") == "loaded"


def order_of(node: dict, given: Sequence = ()) -> list[list[str]]:
    """The tiers in which units are restarted: those that are given, or those of the product."""
    return [names(tier) for tier in names(given)] or node["restart_order"]


def _place(name: str, order: Sequence[Collection[str]]) -> int:
    """The number of the tier of a unit: the one that names it, else the first with a pattern for it, else the end."""
    tiers = [number for number, tier in enumerate(order) if name in tier]
    tiers += [number for number, tier in enumerate(order) if any(fnmatchcase(name, pattern) for pattern in tier)]
    return tiers[0] if tiers else len(order)


def _with_sentinels(units: Iterable[str], sentinels: list[str], states: dict[str, dict], alone: bool) -> list[str]:
    """The units, with all sentinels or none of them: one alone would leave the node in a state that nothing ends."""
    down = [name for name in sentinels if not states.get(name, {}).get("active", True)]
    wanted = [name for name in sentinels if name in units and not alone]
    others = [name for name in units if name not in sentinels]
    return others + list(sentinels) if down or wanted else others


def restart_order(units: Iterable[str], order: Sequence[Collection[str]], gateway: str = "",
                  sentinels: Sequence[str] = (), states: dict[str, dict] | None = None, alone: bool = False) -> dict:
    """Put units into the tiers in which they are restarted, and tell which are stopped before that."""
    chosen = _with_sentinels(dict.fromkeys(units), list(sentinels), states or {}, alone)
    tiers: dict[int, list[str]] = {}
    for name in sorted(chosen):
        # New daemons need a new gateway, and nothing that others start with must come before it.
        tiers.setdefault(-1 if name == gateway else _place(name, order), []).append(name)
    first = [tiers.pop(-1)] if -1 in tiers else []
    others = [tiers[number] for number in sorted(tiers)]
    # The last one writes that the node is stopping when it stops, and not all releases write anything when it starts:
    # stopped before the first one starts, what that writes counts.
    early = others[0] if others else []
    stop = [name for name in sentinels[1:] if name in chosen and name not in early]
    return dict(gateway=first, others=others, stop=stop, tiers=first + others)
