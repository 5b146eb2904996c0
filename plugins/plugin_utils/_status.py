# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What there is to say of each node, and of the cluster as it is.

import time
from collections import Counter

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import mixed, mixed_words, short
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._cluster import half_way, known_as
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import filled, listed, table, wrap


def _said(node):
    """What the API says of a node that could not be looked at."""
    return [f"the API says that it is {node['state']} and runs {node['release'] or 'nothing that is known'}"] if (
        node) else []


def _problems(seen, in_tier):
    """What is ill with a node that was looked at."""
    node = seen["node"]
    problems = [node["problem"]] if node["problem"] else []
    if not seen["ready"]:
        problems.append(f"{node['ready_url']} answers {seen['answers']}, expected 200 from every worker")
    if in_tier and seen["gateway"] != "SERVING":
        problems.append(f"its gateway {node['gateway']} is {seen['gateway'] or 'not known'}, expected SERVING")
    return problems + [f"{name} is {node['units'][name]['state']}" for name in node["daemons"]
                       if not node["units"][name]["active"]]


def _rewritten(node):
    """The release directories that are not what their names say."""
    active = node["release"].get("name")
    return [f"{node['releases']}/{name} holds {version} and is no longer what its name says: another installer has "
            "written into it. " + ("The next upgrade keeps it under the name of what it holds" if name == active
                                   else "It is not active: no roll uses it by that name, you may remove it")
            for name, version in sorted(node["rewritten"].items())]


def _absent(name, seen, api, addresses):
    """A node that nobody could look at."""
    known = known_as(api, seen["node"].get("name", name), addresses)
    name = known.get("name") or seen["node"].get("name", name)
    return dict(name=name, release=None, build="", ready=None, gateway=None, active=None, units=None, since=None,
                leader=name == api.get("leader"), absent="unreachable" if seen["unreachable"] else "not examined",
                problems=[seen["failure"] or "it could not be checked"], notes=_said(known))


def _looked_at(seen, in_tier, leader, build):
    node = seen["node"]
    units = [node["units"][name] for name in node["daemons"]]
    active = [unit for unit in units if unit["active"]]
    old = [name for name in node["behind"] if node["units"][name]["active"]]
    version = node["release"].get("version", "")
    notes = [f"started before {version} was active: {'every daemon' if len(old) == len(active) else listed(old)}"]
    return dict(
        name=node["name"],
        release=version,
        build=build,
        ready=seen["ready"],
        gateway=seen["gateway"] if in_tier else "",
        active=len(active),
        units=len(units),
        since=min((unit["started"] for unit in active if unit["started"]), default=None),
        leader=node["name"] == leader,
        absent="",
        problems=_problems(seen, in_tier),
        notes=(notes if old else []) + _rewritten(node),
    )


def _examined(nodes):
    return {name: seen["node"] for name, seen in nodes.items() if seen["node"] and not seen["failure"]}


def judge_status(nodes, database=(), api=None, addresses=None):
    """What there is to say of each node; one that could not be looked at has no release and a problem.

    :arg addresses: by name of those that could not be looked at, the addresses that each may have.
    """
    api, addresses = api or {}, addresses or {}
    verdict, builds = {}, mixed(_examined(nodes))
    for name, seen in nodes.items():
        if seen["failure"] or not seen["node"]:
            node = _absent(name, seen, api, addresses.get(name, ()))
        else:
            release = seen["node"]["release"]
            build = short(release) if any(name in on for on in builds.get(release.get("version"), {}).values()) else ""
            node = _looked_at(seen, name in database, api.get("leader"), build)
        verdict[name] = dict(node, ill=bool(node["problems"]))
    return verdict


def builds_of(nodes):
    """What there is to say of versions of which nodes run more than one build."""
    return mixed_words(_examined(nodes))


def tier_of(nodes, database, api, addresses):
    """What there is to say of a database tier that an upgrade has not come to the end of."""
    looked = {name: node for name, node in _examined(nodes).items() if name in database}
    return half_way(looked, {name: known_as(api, name, addresses.get(name, ())).get("release") for name in database
                             if name not in looked})


# ---- as lines

HEAD = ("node", "release", "ready", "gateway", "units", "since (UTC)", "remarks")
UNKNOWN = "?"


def _release(node):
    return f"{node['release']} build {node['build']}" if node["build"] else node["release"]


def _row(name, node):
    remarks = listed(word for word in ("leader" if node["leader"] else "", node["absent"]) if word)
    if node["absent"]:
        return [name, *[UNKNOWN] * 5, remarks]
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(node["since"])) if node["since"] else ""
    return [name, _release(node) or UNKNOWN, "yes" if node["ready"] else "no", node["gateway"],
            f"{node['active']} of {node['units']}", since, remarks]


def _summary(verdict):
    """How many serve, and which releases there are."""
    told = [f"{release} on {count}" for release, count in
            Counter(_release(node) or "not known" for node in verdict.values()).items()]
    return f"{sum(node['ready'] is True for node in verdict.values())} of {len(verdict)} nodes serve; {listed(told)}"


def _strangers(verdict, api):
    """Nodes that the API knows and the inventory does not. One may be what could not be looked at: nothing is said."""
    ours, theirs = {node["name"] for node in verdict.values()}, {node["name"] for node in api.get("nodes") or []}
    if any(node["absent"] and node["name"] not in theirs for node in verdict.values()):
        return []
    return [f"the API also knows {node['name']}, which is {node['state']} and runs "
            f"{node['release'] or 'nothing that is known'}; it is not in the inventory"
            for node in api.get("nodes") or [] if node["state"] != "deleted" and node["name"] not in ours]


def lock_words(lock):
    """Who holds the lock."""
    if not lock:
        return "not known, the node that has it was not seen"
    if lock["gone"]:
        return f"{lock['words']}. That process is gone: the next run from this machine takes the lock over by itself"
    if lock["ran_out"]:
        return f"{lock['words']}. Its lease ran out: the next run takes it over by itself"
    return lock["words"]


def lines_of(verdict, api=None, lock=None, limited=False, cluster=()):
    """The state of the cluster as lines: a table, what is amiss, and who rolls.

    :arg cluster: what there is to say of it as a whole, sentences as C(builds_of) returns them.
    """
    api = api or {}
    lines = [_summary(verdict), *table(filled([HEAD, *(_row(name, node) for name, node in verdict.items())]), 0)]
    for name, node in verdict.items():
        for words in node["problems"] + node["notes"]:
            lines += wrap(f"{name}: {words}")
    for words in cluster:
        lines += wrap(words)
    if not api.get("known"):
        lines += wrap(f"leader: not known, {api.get('problem') or 'no node could ask the API'}")
    elif not limited:
        for words in _strangers(verdict, api):
            lines += wrap(words)
    return lines + wrap(f"lock: {lock_words(lock)}")
