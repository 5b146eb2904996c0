# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which build of a version a release is, for a version can be published again with other content. A build is known by
# its contents, the digest that the modules release_info and resolve_info return, which is the same whoever installed
# it. Where that is not known, the version is all that counts: for want of a record no node is rolled.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

UNKNOWN = "not known"


def same_build(one, other):
    """Whether two releases are of one version, and of one build as far as that is known."""
    version, builds = one.get("version"), {one.get("contents"), other.get("contents")} - {None, ""}
    return bool(version) and version == other.get("version") and len(builds) < 2


def is_target(release, target):
    """Whether a release is the target.

    A directory that has the name of the target, which has the digest of its wheel, was made from that.
    """
    named = bool(target.get("name")) and release.get("name") == target["name"] and not release.get("rewritten")
    return same_build(release, dict(target, contents="") if named else target)


def distinct(releases):
    """One release of each build; one whose build is not known goes with another of its version."""
    found: list[dict] = []
    for release in sorted((one for one in releases if one.get("version")), key=lambda one: not one.get("contents")):
        if not any(same_build(release, other) for other in found):
            found.append(release)
    return found


def short(release):
    """A build as people are told of it."""
    return (release.get("contents") or "")[:8] or UNKNOWN


def with_build(release, other):
    """The version of a release, with its build where that is what it differs in from another one."""
    version = release.get("version") or ""
    if version != other.get("version") or same_build(release, other):
        return version
    return f"{version} (build {short(release)})"


def mixed(nodes):
    """The versions of which nodes of one kind run more than one build.

    :arg nodes: by name the C(cluster_node). A build may be for one kind of node only.
    :returns: by version, by build the names of the nodes.
    """
    kinds: dict[tuple, dict[str, dict]] = {}
    found: dict[str, dict[str, list[str]]] = {}
    for name, node in nodes.items():
        release = node.get("release") or {}
        if release.get("version"):
            kinds.setdefault((release["version"], node.get("kind")), {})[name] = release
    for (version, dummy), releases in kinds.items():
        if len(distinct(releases.values())) > 1:
            for name, release in releases.items():
                found.setdefault(version, {}).setdefault(short(release), []).append(name)
    return found


def mixed_words(nodes):
    """What is said where nodes run different builds of one version, one sentence for each version."""
    return [f"the nodes run different builds of {version} "
            f"({'; '.join(f'{build} on {listed(builds[build])}' for build in sorted(builds))}): it was published again "
            "with other content, or somebody has installed it by hand. The next upgrade to it rolls those that do not "
            "have the build of its wheel" for version, builds in sorted(mixed(nodes).items())]
