# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which release is the target, stage_resolved, and what a node needs to get it.

import dataclasses
import os

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import version_key
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import (
    distinct,
    is_target,
    same_build,
    with_build,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

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


def active_on(nodes):
    """The names of the release directories that nodes run, from their C(cluster_node).

    Where that is not known, or another installer has written into it, the name is empty.
    """
    releases = [node.get("release") or {} for node in nodes]
    return sorted({"" if release.get("rewritten") else release.get("name") or "" for release in releases})


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


def untouched(nodes, on):
    """What the nodes run that an upgrade which has stopped half-way has not come to; it may be several builds.

    Those that came from what another one runs were rolled. So was one that came from a release in between, a broken one
    for example, and runs a later one than the others.
    """
    def is_rolled(node):
        came = node.get("previous") or {}
        return any(same_build(came, other) for other in on) and not same_build(came, node["release"])

    left = distinct(node["release"] for node in nodes.values() if node.get("release") and not is_rolled(node)) or on
    oldest = min((release["version"] for release in left), key=version_key)
    return [release for release in left if release["version"] == oldest]


def came_from(nodes):
    """One of each of the releases that the nodes could go back to.

    Out of an upgrade that has stopped half-way, that is what the nodes run that it has not come to. A node that went
    back does not know any more where it came from: where all run one release, those that know would be taken one
    release further back than the operator can have meant.
    """
    on, before = (distinct((node.get(which) or {}) for node in nodes.values()) for which in ("release", "previous"))
    if len(on) > 1:
        return untouched(nodes, on)
    back = [name for name, node in nodes.items() if node.get("release") and not node.get("previous")]
    # One with daemons of the release before is yet to be restarted.
    if any(nodes[name]["units"][unit]["active"] for name in back for unit in nodes[name].get("behind") or ()):
        return on
    if back and before:
        raise RollingError(f"every node runs {on[0]['version']}, and {listed(back, ' and ')} came from no release that "
                           f"is known, as after a way back. If you mean to go further back: {offered(nodes)}")
    return before


def offered(nodes):
    """The older releases that every node has, as advice."""
    versions = [{release["version"] for release in (node.get("previous") or {}, *staged_on(node))
                 if release.get("version")} for node in nodes.values() if node]
    newest = max((version_key(node["release"].get("version")) for node in nodes.values() if node.get("release")),
                 default=())
    found = sorted((version for version in set.intersection(*versions) if version_key(version) < newest),
                   key=version_key, reverse=True) if versions else []
    if not found:
        return "no older release is on every node"
    return f"name one that every node has ({', '.join(found)}) with -e rollback_release={found[0]}"


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
        raise RollingError(f"the nodes came from different releases ({', '.join(versions)}): {offered(nodes)}")
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
                           f"{', '.join(node.get('staged') or ()) or 'none'}"
                           + ("" if asked else f". Instead, {offered(nodes)}"))
    return dict(version=version, name=found[0].get("name") or "", contents=found[0].get("contents") or "",
                given=asked or version)


def running(name, nodes, units=None):
    """The target of a node that is only restarted: the release that it runs.

    :arg nodes: as above.
    :arg units: the units that were asked for; None for all.
    """
    on: dict[str, list[str]] = {}
    for other, node in nodes.items():
        version = (node.get("release") or {}).get("version")
        if version is not None:
            on.setdefault(version, []).append(other)
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
