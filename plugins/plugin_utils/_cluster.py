# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The cluster as a whole: the API's list of nodes against the inventory, and the clocks.

import ipaddress
from urllib.parse import urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import plain_host
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import reports
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import mixed, short
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import FAIL, LOCK, Findings
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import netloc
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import TIER_GROUPS
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

# A daemon that nobody can name.
SOME = "a daemon"


def _listed(verdict, api):
    """Who is in the API's list and not in the inventory, and the reverse."""
    ours = {node["name"]: name for name, node in verdict.items()}
    theirs = {node["name"]: node for node in api["nodes"] if node["state"] != "deleted"}
    return (sorted(name for name in theirs if name not in ours), sorted(set(ours) - set(theirs)), theirs)


def _doubles(verdict):
    """Names of the inventory that lead to one node, and machines that pass for one node."""
    names: dict[str, list[str]] = {}
    places: dict[str, list[str]] = {}
    for name, node in verdict.items():
        names.setdefault(node["name"], []).append(name)
        if node.get("address") is not None:
            places.setdefault(node["address"], []).append(name)
    found = []
    for own, same in names.items():
        who, addresses = listed(same, " and "), {verdict[name].get("address") for name in same} - {None}
        if len(addresses) > 1:
            found.append(f"{who} call themselves {own}, at {listed(sorted(addresses), ' and ')}: if they are different "
                         f"machines, correct NODE_NAME in {_config(verdict, same)}; if not, keep one of these names in "
                         "the inventory")
        elif len(same) > 1:
            found.append(f"{who} are the same node, {own}: keep one of these names in the inventory")
    for address, same in places.items():
        if len({verdict[name]["name"] for name in same}) > 1:
            found.append(f"{listed(same, ' and ')} have the same address, {address}: if they are one machine, keep one "
                         "of these names in the inventory; if not, correct NODE_MESH_IP in "
                         f"{_config(verdict, same)}")
    return found


def _config(verdict, names):
    """The configuration of these nodes; of one that could not be checked the path is not known."""
    return next((verdict[name]["config"] for name in names if verdict[name].get("config")), "their configuration")


def _stale(name, node, url):
    # Only a node that is there can be cleared, and only one that is gone may be deleted.
    back = (", and once the cause of its error is gone, run sf-ctl clear-node-error there"
            if node["state"] == "error" else "")
    return (f"the API's node {name} is {node['state']} and runs {node['release'] or 'nothing that is known'}: until it "
            f"is deleted, no object is upgraded online. If it is gone for good: sf-client node delete {name}  "
            f"(or DELETE {url}/nodes/{name}). If it is not: add it to the inventory{back}")


def _idle(node):
    """The daemons of a node that do not run, as it has told the API; none where the API does not say so."""
    return sorted(name for name, state in (node.get("daemons") or {}).items() if state not in (None, "", "running"))


def _state(name, node, rolled, sentinels):
    """What the state that a node of the inventory is in means, and what ends it; empty if it is as it should be."""
    state, idle = node["state"], _idle(node)
    said = f"the API says that {name} is {state}"
    if state == "error":
        end = ". It is rolled all the same" if rolled else ""
        return (f"{said}, which a failed disk leaves, for example, and which stays: once the cause is gone, run "
                f"sf-ctl clear-node-error on {name}{end}. Delete only a node that is gone")
    if state == "missing":
        return f"{said}: it is in the inventory, so it is rolled; see that it recovers" if rolled else (
            f"{said}: see that its daemons run")
    if state in ("stopping", "stopped", "degraded"):
        which = f"{listed(idle)} {'does' if len(idle) == 1 else 'do'} not run there" if idle else (
            f"{SOME} does not run there, or was stopped and not started again")
        back = "rolling it starts every daemon again" if rolled else (
            f"it is not rolled now, so start what does not run: systemctl list-units --all 'sf-*' on {name}")
        # Nothing but a start of the sentinels leads out of these two.
        if state != "degraded" and not (rolled and sentinels):
            why = "the roll leaves the sentinels alone (restart_sentinels)" if rolled else "it is not rolled now"
            back = (f"{why}, so start them: systemctl restart sf-sentinel-first, then sf-sentinel-last, on {name}")
        return f"{said}: {which}; {back}"
    return ""


def _foreign_tier(verdict, unseen, theirs, database):
    """Nodes that the API takes for nodes of the database tier, and the inventory does not, or the reverse."""
    wrong, odd = [], []
    for name, node in {**unseen, **verdict}.items():
        said = theirs.get(node["name"], {}).get("is_database_node")
        # What its own daemons tell was said already.
        told = any(finding.check == "tier" and finding.level == FAIL for finding in node.get("findings") or ())
        if said is True and name not in database and not told:
            wrong.append(f"the API says that {node['name']} is a database node, but the inventory does not have it in "
                         f"the database tier: add it to the group {TIER_GROUPS} there, whichever yours has")
        if said is False and name in database:
            odd.append(f"the API says that {node['name']} is no database node, but the inventory has it in the "
                       "database tier: take it out of that group if it does not run sf-database")
    return wrong, odd


def half_way(nodes, told=None):
    """A database tier that an upgrade has not come to the end of; one sentence, or none.

    :arg nodes: by name the C(cluster_node) of those of the tier that were looked at.
    :arg told: by name of the others, the release that the API says they run.
    """
    builds = mixed(nodes)
    on: dict[str, list[str]] = {}
    for name, node in nodes.items():
        version = node["release"].get("version")
        on.setdefault(f"{version} build {short(node['release'])}" if version in builds else version, []).append(name)
    for name, release in (told or {}).items():
        on.setdefault(next((version for version in on if reports(release, version)), release), []).append(name)
    releases = [f"{release} on {listed(on[release])}" for release in sorted(filter(None, on))]
    if len(releases) < 2:
        return []
    return [f"the database tier is on more than one release ({'; '.join(releases)}). If the schema was migrated, no "
            "sf-database of the one before starts again: restart none of them, and finish the run that was begun"]


def _left_out(verdict, hidden, unseen, database, target, back, restart):
    """What speaks against rolling only the nodes that --limit names: one list that refuses, and one that warns."""
    if not target:
        return [], []
    # Where daemons are only restarted, the release of the others does not matter.
    old = {name: node["version"] for name, node in sorted(unseen.items())
           if not restart and not reports(node["version"], target)}
    tier = [f"{name} is on {old[name]}" for name in old if name in database]
    others = [f"{name} is on {old[name]}" for name in old if name not in database]
    rolled = [name for name, node in verdict.items() if not node["done"]]
    rolled_tier = [name for name in rolled if name in database]
    rolled_others = [name for name in rolled if name not in database]
    blind = sorted(set(hidden) - set(unseen))
    refusals = [f"--limit hides {', '.join(blind)}, and the API knows nothing of them: run without --limit, the nodes "
                "that are done are passed over anyway"] if blind else []
    if not back and tier and rolled_others:
        refusals.append(f"{', '.join(rolled_others)} would run {target} before the database tier does "
                        f"({', '.join(tier)}): a new sf-api needs a new sf-database. Roll the tier first, or run "
                        "without --limit")
    if back and others and rolled_tier:
        refusals.append(f"{', '.join(rolled_tier)} would go back to {target} before the other nodes do "
                        f"({', '.join(others)}): a new sf-api needs a new sf-database. Run without --limit")
    warnings = [f"after this roll {', '.join(tier)} still: if the schema is migrated, its sf-database does not start "
                "again. Roll it soon"] if not back and tier and rolled_tier else []
    return refusals, warnings


def offsets_of(seen):
    """By node, how far its clock is from that of the controller, at least and at most; C(seen) has its C(host)."""
    hosts = {name: one.get("host") or {} for name, one in seen.items()}
    return {name: (host["clock_offset"] - host.get("clock_within", 0), host["clock_offset"])
            for name, host in hosts.items() if isinstance(host.get("clock_offset"), (int, float))}


def clock_problems(clocks, limit=5.0):
    """That clocks are too far apart; one sentence, or none.

    :arg clocks: what C(offsets_of) has returned.
    """
    apart = max(low for low, dummy in clocks.values()) - min(high for dummy, high in clocks.values()) if clocks else 0
    each = ", ".join(f"{name} {min(max(low, 0), high):+.0f} s" for name, (low, high) in sorted(clocks.items()))
    return [f"the clocks are {apart:.0f} s apart, at most {limit:g} s are allowed ({each}): let a time service set "
            "them"] if apart > limit else []


def judge_cluster(verdict, api, offsets=None, limit=5.0, hidden=(), unseen=None, database=(), target="",
                  back=False, restart=False, sentinels=True, lock="", unknown=()):
    """Judge the cluster as a whole: the API's list of nodes against the inventory, and the clocks.

    :arg unknown: the nodes that could not be checked, and of which it is not known which of the API's list they are.
    """
    findings, unseen = Findings(), unseen or {}
    if lock:
        findings.judge(LOCK, [f"the cluster is locked: {lock}. What that run does meanwhile, this does not know"],
                       "warn")
    findings.judge("names", _doubles({**unseen, **verdict}))
    if not api.get("known"):
        findings.judge("nodes", ["the API's list of nodes is not known, so stale nodes and the leader are not seen: "
                                 + (api.get("problem") or "no node could ask")], "warn")
    else:
        strangers, missing, theirs = _listed({**unseen, **verdict}, api)
        # One of these may be among those that --limit hides, or that could not be checked, so nothing is said of
        # either; the limit is refused, and so is what could not be checked.
        missing = [name for name in missing if not strangers or name not in unknown]
        strangers = [] if unknown or set(hidden) - set(unseen) else strangers
        # What is amiss with the list is no reason to leave a configuration unapplied.
        level = "warn" if restart else "fail"
        stale = [name for name in strangers if theirs[name]["state"] in ("error", "missing")]
        left_as = "as it is" if restart else "on its old release"
        url = api.get("url") or "the API"
        findings.judge("stale nodes", [_stale(name, theirs[name], url) for name in stale], level)
        findings.judge("nodes", [
            f"the API knows a node {name} ({theirs[name]['state']}, {theirs[name]['release']}) that the inventory "
            f"lacks: add it, it would be left {left_as}" for name in strangers if name not in stale
        ] + [
            f"the API does not know {name}, which the inventory has: has it ever started? Take it out of the "
            "inventory if it is no node of this cluster" for name in missing
        ], level)
        left = [node["name"] for node in verdict.values() if not node.get("done")]
        states = [_state(name, theirs[name], name in left, sentinels) for name in sorted(theirs)
                  if name not in strangers]
        findings.judge("states", list(filter(None, states)), "warn")
        foreign, odd = _foreign_tier(verdict, unseen, theirs, database)
        findings.judge("database nodes", foreign, level)
        if odd:
            findings.judge("database nodes", odd, "warn")
    if hidden:
        refusals, warnings = _left_out(verdict, hidden, unseen, database, target, back, restart)
        findings.judge("limit", refusals)
        if warnings:
            findings.judge("limit", warnings, "warn")
    # A busy node answers late: only what no delay explains is a difference.
    clocks = dict(offsets or {})
    if restart and clocks:
        # From when on daemons count as restarted is the controller's time.
        clocks["the controller"] = (0, 0)
    findings.judge("clocks", clock_problems(clocks, limit))
    return findings


def _short(name):
    """A name without its domain; an address is all of its name."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.partition(".")[0]


def known_as(api, name, addresses=()):
    """The node of the API's list that a host of the inventory is, for one that cannot say so itself.

    By its name, then its address, then its short name. Empty if it is none of them, or may be several.
    """
    nodes = [node for node in api.get("nodes") or [] if node["state"] != "deleted"]
    addresses = [plain_host(address) for address in (name, *addresses)]
    found = ([node for node in nodes if node["name"] == name],
             [node for node in nodes if plain_host(node.get("ip") or "") in addresses],
             [node for node in nodes if _short(node["name"]) == _short(name)])
    return next((same[0] for same in found if len(same) == 1), {})


def unseen_nodes(api, addresses, like):
    """What the API tells of nodes of the inventory that this run may not look at, with the ports of one that it may.

    :arg addresses: by name in the inventory, the addresses that it may have.
    """
    if not like:
        return {}
    url, gateway_port = urlsplit(like["ready_url"]), like["gateway"].rpartition(":")[2]
    same = {name: known_as(api, name, possible) for name, possible in addresses.items()}
    return {name: {
        "name": node["name"],
        "address": plain_host(node["ip"]),
        "ready_url": url._replace(netloc=netloc(node["ip"], url.port)).geturl(),
        "gateway": netloc(node["ip"], gateway_port),
        "version": node["release"],
    } for name, node in same.items() if node}
