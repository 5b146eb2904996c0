# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed, table, wrap

HEAD = ("node", "release", "ready", "gateway", "units", "since (UTC)", "remarks")
UNKNOWN = "?"


def _row(name, node):
    remarks = listed(word for word in ("leader" if node["leader"] else "", node["absent"]) if word)
    if node["absent"]:
        return [name, *[UNKNOWN] * 5, remarks]
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(node["since"])) if node["since"] else ""
    return [name, node["release"] or UNKNOWN, "yes" if node["ready"] else "no", node["gateway"],
            f"{node['active']} of {node['units']}", since, remarks]


def _summary(verdict):
    """How many serve, and which releases there are."""
    releases = {}
    for name, node in verdict.items():
        releases.setdefault(node["release"] or "not known", []).append(name)
    told = [f"{release} on {len(names)}" for release, names in releases.items()]
    return f"{sum(node['ready'] is True for node in verdict.values())} of {len(verdict)} nodes serve; {listed(told)}"


def _strangers(verdict, api):
    """Nodes that the API knows and the inventory does not."""
    ours = {node["name"] for node in verdict.values()}
    return [f"the API also knows {node['name']}, which is {node['state']} and runs "
            f"{node['release'] or 'nothing that is known'}; it is not in the inventory"
            for node in api.get("nodes") or [] if node["state"] != "deleted" and node["name"] not in ours]


def _lock(lock):
    if not lock:
        return "not known, the node that has it was not seen"
    if lock["gone"]:
        return f"{lock['words']}. That process is gone: the next run from this machine takes the lock over by itself"
    if lock["ran_out"]:
        return f"{lock['words']}. Its lease ran out: the next run takes it over by itself"
    return lock["words"]


def status_report(verdict, api=None, lock=None, limited=False):
    """The state of the cluster as lines: a table, what is amiss, and who rolls."""
    api = api or {}
    lines = [_summary(verdict), *table([HEAD, *(_row(name, node) for name, node in verdict.items())], 0)]
    for name, node in verdict.items():
        for words in node["problems"] + node["notes"]:
            lines += wrap(f"{name}: {words}")
    if not api.get("known"):
        lines += wrap(f"leader: not known, {api.get('problem') or 'no node could ask the API'}")
    elif not limited:
        for words in _strangers(verdict, api):
            lines += wrap(words)
    return lines + wrap(f"lock: {_lock(lock)}")


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"status_report": status_report}
