# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which release is the target, stage_resolved, and what a node needs to get it.

import dataclasses
import os

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import (
    distinct,
    is_target,
    same_build,
    with_build,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME

RESOLVED = ("version", "sha256", "contents", "name", "lock", "carried", "indexed", "archive",
            "conflicts")
# The runs in which the target is each node's own.
OWN = ("rollback", *SAME)


@dataclasses.dataclass(frozen=True)
class Staging:
    """What is to be done on a node.

    :param copied: whether the release is built beside the running one.
    :param brought: whether wheels are brought to the node, because no index that it reaches has them.
    :param fetched: whether the node itself fetches wheels from its index, while it still serves.
    :param wheels: the directory of these on the node; beside it, with C(.tar), is what another node gets.
    """

    copied: bool
    brought: bool
    fetched: bool
    wheels: str


def staging_of(node, resolved, strategy="clone", over_controller=False):
    """What is to be done on a node, from its C(cluster_node).

    :arg over_controller: whether nodes get the wheels of the index over the controller.
    """
    in_place, rewritten = strategy == "in_place", node["release"]["rewritten"]
    # A release into which another installer has written is not known to be the target, even where it has its version.
    needed = not is_target(node["release"], resolved) or rewritten
    absent = in_place or rewritten or resolved["name"] not in node["staged"]
    return Staging(
        # In place, only the nodes that migrate the schema need the new build beside the old one.
        copied=needed and (not in_place or node["has_database_credentials"]),
        brought=needed and absent and bool(resolved.get("carried") or over_controller),
        # In place, pip runs while the node is out of rotation: no index is to be waited for then.
        fetched=needed and in_place and not over_controller and bool(resolved.get("indexed")),
        wheels=os.path.join(os.path.dirname(node["venv"]), f".wheels-{resolved['name']}"))


def target_of(answer, node):
    """The target as pip of one node has resolved it, from what the module C(resolve_info) has returned."""
    return dict({key: answer[key] for key in RESOLVED}, node=node)


def messages_of(answer, node):
    """What there is to know of what pip has resolved."""
    unpinned = answer["unpinned"] and (
        f"What {node} has installed of {', '.join(answer['unpinned'])} is not among the wheels that were given, no "
        "longer on the index, or cannot be built here: the other nodes must have these already, in versions that fit.")
    return [words for words in (answer["notice"], unpinned) if words]


def unfinished(broken, kind, given):
    """The release to which a run that was killed led, where this one is of its kind and the operator names none.

    :arg broken: what the lock tells of that run; empty if there was none.
    """
    return broken.get("release", "") if not given and broken.get("kind") == kind else ""


def continued(kind, release):
    """That the target is the one of a run that was killed, and how to choose another one."""
    option = "rollback_release" if kind == "rollback" else "rolling_release"
    return [f"A run that was killed led to {release}, and this one goes on there. For another release, the newest one "
            f"for example, name it with -e {option}=VERSION."] if release else []


def came_from(nodes):
    """One of each of the releases that the nodes could go back to, by what they came from.

    After an upgrade that has stopped half-way, only the nodes that it has rolled count: the others still run what these
    came from, and would go back one release further. After a rollback that has stopped at its end no node knows any
    more where it came from; one with daemons of the release before is yet to be restarted.
    """
    on, before = (distinct((node.get(which) or {}) for node in nodes.values()) for which in ("release", "previous"))
    old = [unit for node in nodes.values() for unit in node.get("behind") or () if node["units"][unit]["active"]]
    if not before and len(on) == 1 and old:
        return on
    versions = {release["version"] for release in on}
    return ([release for release in before if any(same_build(release, other) for other in on)]
            or [release for release in before if release["version"] in versions] or before)


def staged_on(node):
    """The releases that a node has staged, by their names."""
    return [dict(name=name, version=name.rpartition("-")[0], contents=(node.get("builds") or {}).get(name, ""))
            for name in node.get("staged") or ()]


def named(nodes, asked):
    """The builds that the operator means, all of one version: by the version, or by the name of a release directory.

    A build of which it is known that a node came from it, or runs it, is meant rather than one that is only staged.
    """
    pools = [[node.get("previous") or {} for node in nodes.values()],
             [node.get("release") or {} for node in nodes.values()],
             [release for node in nodes.values() for release in staged_on(node)]]
    one = next((release for pool in pools for release in pool if release.get("name") == asked), None)
    if one:
        return [one]
    found = [distinct(release for release in pool if release.get("version") == asked) for pool in pools]
    if not found[0] and not found[1] and len(found[2]) > 1:
        raise RollingError(f"more than one build of {asked} is staged ({', '.join(one['name'] for one in found[2])}): "
                           f"name the one that you mean with -e rollback_release={found[2][0]['name']}")
    return next(filter(None, found), [dict(version=asked)])


def way_back(name, nodes, asked=""):
    """The target of a node that goes back: a release that it still has.

    Nodes may have come from different builds of one version. One that does not have the build that is meant goes back
    to its own, unless a build was asked for.

    :arg nodes: by name the C(cluster_node) of all nodes.
    :arg asked: the release that was asked for; if it is empty, the one that the nodes came from.
    """
    wanted = named(nodes, asked) if asked else came_from(nodes)
    versions = list(dict.fromkeys(release["version"] for release in wanted))
    if len(versions) > 1:
        raise RollingError(f"the nodes came from different releases ({', '.join(versions)}): name one with "
                           f"-e rollback_release={versions[0]}")
    if not wanted:
        raise RollingError("no node has a release that it came from: name one that is staged with "
                           "-e rollback_release=VERSION")
    node, version = nodes[name], versions[0]
    # Of several that are staged, the last one.
    own = [node.get("previous") or {}, node.get("release") or {}, *reversed(staged_on(node))]
    found = [release for release in own if any(same_build(release, other) for other in wanted)]
    if not found and asked in ("", version):
        found = [release for release in own if release.get("version") == version]
    if not found:
        which = asked or with_build(wanted[0], node.get("release") or {})
        raise RollingError(f"{name} has no release {which} to go back to. It has: "
                           f"{', '.join(node.get('staged') or ()) or 'none'}")
    return dict(version=version, name=found[0].get("name") or "", contents=found[0].get("contents") or "",
                given=asked or version)


def running(name, nodes, units=None):
    """The target of a node that is only restarted: the release that it runs.

    :arg nodes: as above.
    :arg units: the units that were asked for; None for all.
    """
    on = {}
    for other, node in nodes.items():
        on.setdefault((node.get("release") or {}).get("version"), []).append(other)
    on.pop(None, None)
    if len(on) > 1:
        found = "; ".join(f"{version} on {', '.join(on[version])}" for version in sorted(on))
        raise RollingError(f"the nodes run different releases ({found}): run the upgrade to its end, it restarts the "
                           "daemons, too")
    node = nodes[name]
    units = [*node["daemons"], node["api_unit"]] if units is None else names(units)
    foreign = [unit for unit in dict.fromkeys(units) if unit not in node["units"]]
    if foreign:
        raise RollingError(f"{name} has no unit {', '.join(foreign)}: correct restart_units, or name the nodes that "
                           "have it with --limit")
    return dict(version=node["release"]["version"], name=node["release"].get("name") or "")
