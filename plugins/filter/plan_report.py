# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed, many, span, table, wrap

HEAD = ("step", "node", "from", "to", "tier", "out of rotation", "remarks")


def _row(name, node):
    remarks = [word for word, fits in (("leader", node["leader"]),
                                       ("not serving", not node["serves"])) if fits]
    return [node["step"], name, node["from"], node["to"], "database" if node["database"] else "",
            f"{round(sum(node['seconds'].values()))} s", listed(remarks)]


def _outage(forecast):
    """How long the outage is, and what it could be."""
    outage = forecast.get("outage")
    if not outage:
        return ""
    words = f", for about {span(outage['seconds'])}"
    if outage["cut_short"]:
        return f"{words}. Its drain is cut short (drain_cut_short), and with it the requests in flight"
    if outage["least"] >= outage["seconds"]:
        return words
    return (f"{words}. Its drain only lets requests in flight end: with -e drain_cut_short=true they are cut, and it "
            f"is about {span(outage['least'])}")


def _alike(nodes, what, tell):
    """What there is to say of each node, once for all nodes of which it is the same."""
    alike = {}
    for name, node in nodes.items():
        alike.setdefault(tell(node), []).append(name)
    lines = []
    for words, names in alike.items():
        lines += wrap(f"{what} on {listed(names)}: {words}")
    return lines


def _restarts(node):
    return ", then ".join(", ".join(tier) for tier in node["restarts"])


def _summary(forecast):
    steps, nodes = len(forecast["batches"]), len(forecast["nodes"])
    if not nodes:
        return f"Nothing is left to roll: every node is on {forecast['release']}."
    return (f"{many(nodes, 'node')} to {forecast['release']} in {many(steps, 'step')}, "
            f"in about {span(forecast['expected']['seconds'])}")


def plan_report(forecast):
    """The forecast as lines for people."""
    lines = [_summary(forecast)]
    if forecast["nodes"]:
        lines += table([HEAD, *(_row(name, forecast["nodes"][name]) for name in forecast["order"])], 1)
    if forecast["passed_over"] and forecast["nodes"]:
        lines += wrap(f"passed over, on {forecast['release']} already: {listed(forecast['passed_over'])}")
    lines += _alike(forecast["nodes"], "restarts", _restarts)
    lines += _alike(forecast["nodes"], "drain grace", lambda node: node["drain_grace"])
    lines += wrap(f"schema: {forecast['schema']['words']}")
    for note in forecast["schema"]["notes"]:
        lines += wrap(f"note: {note}")
    for warning in forecast["warnings"]:
        lines += wrap(f"warning: {warning}")
    if forecast["hard_cut"]:
        lines += wrap("warning: no second node serves meanwhile, every request fails while the node is rolled"
                      + _outage(forecast))
    if forecast["nodes"]:
        lines += wrap(f"how long: {forecast['expected']['how']}")
        # YAML folds a long line, but not one of several in a string: this one is copied.
        lines.append(f"to do it, with the options that you gave\n{forecast['command']}")
    return lines


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"plan_report": plan_report}
