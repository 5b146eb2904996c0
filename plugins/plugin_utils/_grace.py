# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# For how long a stopping sf-api keeps serving. Its configuration file may not say it, and nothing else can be asked.

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

ASSUMED = 25.0
# gunicorn's own, where its command line names none.
GRACEFUL = 30.0
# A stop that is shorter had no grace, or the drain did not happen.
SHORTEST = 2.0
# How many stops are compared; before them the grace may have been another one.
RECENT = 3
# By where it comes from, in words.
SOURCES = {"config": "from {config}", "variable": "from cluster_drain_grace",
           "journal": "from its stops in the journal", "assumed": "assumed"}


def number(text: Any) -> float | None:
    """The seconds that a setting means; None if it is none."""
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def from_stops(stops: Iterable[dict], graceful: float) -> float | None:
    """What the newest stops show that say something; None if none does.

    A stop takes the grace and a little more, or as long as a request or an idle worker kept it: the shortest counts.
    One that took as long as the graceful timeout had no connection that ended it, and one that was killed was cut.
    """
    seconds = [stop["seconds"] for stop in stops if stop["itself"] and SHORTEST <= stop["seconds"] < graceful - 1]
    return float(math.floor(min(seconds[:RECENT]))) if seconds else None


def drain_grace(configured: object = None, stated: object = None, unit: dict | None = None) -> dict:
    """The drain grace and its source.

    :arg configured: what the configuration file says.
    :arg stated: what the operator says, C(cluster_drain_grace), nothing with 0.
    :arg unit: what is known of the unit that drains, as the module C(units_info) returns it.
    """
    unit = unit or {}
    graceful = number((unit.get("arguments") or {}).get("--graceful-timeout")) or GRACEFUL
    for source, seconds in (("config", number(configured)), ("variable", number(stated) or None),
                            ("journal", from_stops(unit.get("stops") or (), graceful))):
        if seconds is not None:
            return dict(seconds=seconds, source=source)
    return dict(seconds=ASSUMED, source="assumed")


def shown(node: dict) -> str:
    """The drain grace of a node in words, with its source."""
    config = node.get("config") or "its configuration"
    source = SOURCES[node.get("drain_grace_source") or "config"].format(config=config)
    return f"{float(node['drain_grace']):g} s, {source}"
