# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# How a roll would go, from its plan and what was seen of the nodes.

from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import graceful_timeout
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import warnings_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import shown
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import migrations, possible
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed, many, span, table, wrap

# Seconds. Every worker of sf-api asks its gateways every 5 s, and is ready after one good answer.
READY = 5.0
# What the roll itself asks before the drain and at the gate.
CHECKS = 3.0
# What the stop of sf-api takes where its drain is cut short.
CUT = 1.0
# And where it ends as soon as nothing is in flight, in the lab.
QUIET = 3.0
HOW = ("Of each step the slowest node counts: its drain (the drain grace, or the last stop of {api} if that took "
       "longer), the last stop and start of its other daemons as systemd remembers them, {ready:g} s until every "
       "worker of {api} is ready, and {checks:g} s for what the roll asks. Then {settle} before "
       "the next step, and {bake:g} s (verify_bake) at the end. Preflight, staging, backup and migration are not "
       "in it: all nodes serve meanwhile.")
UNKNOWN = " On {nodes} systemd remembers no stop of them, so it counts as none."
EARLY = (" A drain ends after about {quiet:g} s where each balancer has said that nothing is in flight (drain_until), "
         "and not before its grace is over where requests come past them.")
LASTING = (" On {nodes} the drain counts with its whole grace: {servers} in HAProxy may get requests at that address "
           "until HAProxy has marked it down.")
IN_PLACE = " Nor is pip in it, which runs while a node is out of rotation (rolling_strategy is in_place)."


def _last_stop(unit):
    """How long the last stop of the API took, as far as the next one may take as long.

    One that lasted until the graceful timeout was made by somebody who let its idle workers sleep, or cut a request.
    """
    seconds, limit = unit.get("stop_seconds") or 0.0, graceful_timeout(unit.get("arguments") or {})
    return 0.0 if limit and seconds >= limit else seconds


def _seconds(seen, cut_short=False):
    """How long each part takes on a node; one that is C(quiet) is drained until nothing is in flight."""
    node, units, api = seen["node"], seen["node"]["units"], seen["node"]["api_unit"]

    def lasted(name, key):
        return units.get(name, {}).get(key) or 0.0

    drain = max(float(node["drain_grace"]), _last_stop(units.get(api, {})))
    if not units.get(api, {}).get("active"):
        drain = 0.0
    elif cut_short or seen.get("quiet") and not seen.get("lasting"):
        drain = min(drain, CUT if cut_short else QUIET)
    restart = sum(max(lasted(name, "start_seconds") + (lasted(name, "stop_seconds") if name != api else 0.0)
                      for name in tier) for tier in seen["tiers"])
    parts = dict(drain=drain, restart=restart, ready=READY, checks=CHECKS)
    return {part: round(seconds, 1) for part, seconds in parts.items()}


def _remembers(node, tiers):
    """Whether systemd knows of any daemon how long its stop took."""
    return any(node["units"].get(name, {}).get("stop_seconds") is not None
               for tier in tiers for name in tier if name != node["api_unit"])


def _schema(looks, release, product):
    """What is known of the migration, from what the nodes of the database tier have seen."""
    for look in looks:
        wanted = look.get("expected") or look.get("wanted")
        if wanted:
            have = look["tables"]
            pending = [dict({"from": have.get(table), "to": version}, table=table)
                       for table, version in sorted(wanted.items()) if have.get(table) != version]
            words = ", ".join(f"{entry['table']} {'version ' + str(entry['from']) if entry['from'] else 'new'} -> "
                              f"{entry['to']}" for entry in pending) or "nothing to migrate"
            told = "the build says" if look.get("expected") else "an earlier run has recorded"
            notes = migrations(product, [dict(table=entry["table"], before=entry["from"], after=entry["to"])
                                         for entry in pending])
            return dict(known=True, pending=pending, notes=notes,
                        words=f"{words}, as {told}. ENUM columns may be widened all the same, which only the migration "
                              "tells")
    problem = next((look["problem"] for look in looks if look.get("problem")), "")
    if problem:
        words = f"not known: {problem}"
    elif any(look.get("staged") for look in looks):
        words = f"not known: the build of {release} does not say which schema it wants, only its migration tells"
    else:
        words = f"not known before {release} is staged. To stage it now, and see, add -e plan_stage=true"
    # What no build tells may come all the same.
    tables: dict = next((look["tables"] for look in looks if look.get("tables")), {})
    return dict(known=False, pending=[], notes=possible(product, tables), words=words)


def _outage(plan, nodes, told, cut_short):
    """For how long nobody serves, where the only node that does is rolled; None where somebody always serves."""
    # Those that do not serve now end no outage later than they do without the roll.
    names = [name for name in told if plan["alone"] and told[name]["serves"]]
    if not names:
        return None

    def least(cut):
        parts = [_seconds(nodes[name], cut) for name in names]
        return round(sum(sum(each.values()) for each in parts))

    return {"nodes": names, "seconds": least(cut_short), "cut_short": bool(cut_short), "least": least(True)}


def forecast_of(plan, nodes, schema=(), settle=10.0, bake=10.0, strategy="clone", cut_short=False):
    """How the roll would go, from the plan of the preflight and what was seen of the nodes."""
    steps = [[name] for name in plan["database"]] + plan["batches"]
    told, cut_short = {}, cut_short and plan["alone"]
    for number, names in enumerate(steps, start=1):
        for name in names:
            node, tiers = nodes[name]["node"], nodes[name]["tiers"]
            told[name] = {
                "step": number,
                "from": node["release"].get("version", ""),
                "to": plan["release"],
                "database": name in plan["database"],
                "serves": name in plan["serving"],
                "leader": name == plan["leader"],
                "restarts": tiers,
                "drain_grace": shown(node),
                "seconds": _seconds(nodes[name], cut_short),
            }
    slowest = [max(sum(told[name]["seconds"].values()) for name in names) for names in steps]
    seconds = round(sum(slowest) + max(0, len(steps) - 1) * float(settle) + (float(bake) if steps else 0.0))
    product = next((node["node"].get("distribution") for node in nodes.values()), "")
    api = next((nodes[name]["node"]["api_unit"] for name in told), "")
    silent = [name for name in told if not _remembers(nodes[name]["node"], nodes[name]["tiers"])]
    pause = f"{float(settle):g} s (roll_settle)" if float(settle) else "no pause (HAProxy says when a node is back)"
    how = HOW.format(api=api, ready=READY, checks=CHECKS, settle=pause, bake=float(bake))
    how += (UNKNOWN.format(nodes=listed(silent)) if silent else "") + (IN_PLACE if strategy == "in_place" else "")
    quiet = [name for name in told if nodes[name].get("quiet")]
    lasting = {name: nodes[name]["lasting"] for name in quiet if nodes[name].get("lasting")}
    how += EARLY.format(quiet=QUIET) if quiet else ""
    if lasting:
        how += LASTING.format(nodes=listed(lasting), servers=listed(dict.fromkeys(sum(lasting.values(), []))))
    return {
        "release": plan["release"],
        "order": [name for names in steps for name in names],
        "batches": steps,
        "nodes": told,
        "passed_over": plan["done"],
        "schema": _schema(schema, plan["release"], product),
        "hard_cut": plan["alone"],
        "outage": _outage(plan, nodes, told, cut_short),
        "warnings": warnings_of(plan["report"]),
        "expected": {"seconds": seconds, "minutes": round(seconds / 60, 1), "how": how if steps else ""},
        "command": plan["command"],
    }


# ---- as lines

HEAD = ("step", "node", "from", "to", "tier", "out of rotation", "remarks")


def _row(name, node):
    remarks = [word for word, fits in (("leader", node["leader"]),
                                       ("not serving", not node["serves"])) if fits]
    return [node["step"], name, node["from"], node["to"], "database" if node["database"] else "",
            f"{round(sum(node['seconds'].values()))} s", listed(remarks)]


def _outage_words(found):
    """How long the outage is, and what it could be."""
    outage = found.get("outage")
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
    alike: dict[str, list[str]] = {}
    for name, node in nodes.items():
        alike.setdefault(tell(node), []).append(name)
    lines = []
    for words, names in alike.items():
        lines += wrap(f"{what} on {listed(names)}: {words}")
    return lines


def _restarts(node):
    return ", then ".join(", ".join(tier) for tier in node["restarts"])


def _summary(found):
    steps, nodes = len(found["batches"]), len(found["nodes"])
    if not nodes:
        return f"Nothing is left to roll: every node is on {found['release']}."
    return (f"{many(nodes, 'node')} to {found['release']} in {many(steps, 'step')}, "
            f"in about {span(found['expected']['seconds'])}")


def lines_of(found):
    """The forecast as lines for people."""
    lines = [_summary(found)]
    if found["nodes"]:
        lines += table([HEAD, *(_row(name, found["nodes"][name]) for name in found["order"])], 1)
    if found["passed_over"] and found["nodes"]:
        lines += wrap(f"passed over, on {found['release']} already: {listed(found['passed_over'])}")
    lines += _alike(found["nodes"], "restarts", _restarts)
    lines += _alike(found["nodes"], "drain grace", lambda node: node["drain_grace"])
    lines += wrap(f"schema: {found['schema']['words']}")
    for note in found["schema"]["notes"]:
        lines += wrap(f"note: {note}")
    for warning in found["warnings"]:
        lines += wrap(f"warning: {warning}")
    if found["hard_cut"]:
        lines += wrap("warning: no second node serves meanwhile, every request fails while the node is rolled"
                      + _outage_words(found))
    if found["nodes"]:
        lines += wrap(f"how long: {found['expected']['how']}")
        # YAML folds a long line, but not one of several in a string: this one is copied.
        lines.append(f"to do it, with the options that you gave\n{found['command']}")
    return lines
