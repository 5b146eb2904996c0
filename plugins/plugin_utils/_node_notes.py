# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What is to be said of many nodes at once.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import WARN, Finding
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import ASSUMED
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import series, since
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed


def _alike(items, found):
    """What was found, in the order of C(items), with the nodes: what is on the same ones is said together."""
    alike: dict[tuple, list[str]] = {}
    for item in items:
        names = tuple(name for name, there in found.items() if item in there)
        if names:
            alike.setdefault(names, []).append(item)
    return "; ".join(f"{', '.join(there)} on {listed(names)}" for names, there in alike.items())


def _settings(release, names, nodes):
    """Settings in the configuration files that the release no longer reads, as they are spelt there."""
    by_file: dict[str, dict[str, list[str]]] = {}
    for name, node in nodes.items():
        spelt = node.get("spelt") or {}
        by_file.setdefault(node["config"], {})[name] = [found for key in names for found in spelt.get(key, ())]
    told = []
    for config, found in by_file.items():
        words = _alike(list(dict.fromkeys(item for there in found.values() for item in there)), found)
        if words:
            told.append(f"{release} no longer reads these settings, remove their lines from {config}, no restart is "
                        f"needed: {words}")
    return told


def _groups(release, names, groups):
    return [f"{release} knows no nodes of the kind {name}: remove the group {name} from the inventory"
            + (f" ({listed(groups[name])} in it)" if groups[name] else "") for name in names if name in groups]


def _directories(release, names, seen, versions):
    """Directories that nobody writes to any more, once every node runs the release."""
    if not all(version and series(version) and series(version) >= series(release) for version in versions):
        return []
    found = _alike(names, {name: (one.get("host") or {}).get("directories") or () for name, one in seen.items()})
    return [f"every node runs {release} or later, which no longer uses these directories, they may be removed "
            f"(rm -r): {found}"] if found else []


def _assumed(nodes):
    """Nodes whose drain grace nobody knows."""
    names = [name for name, node in nodes.items() if node.get("drain_grace_source") == "assumed"]
    if not names:
        return []
    config, unit = nodes[names[0]]["config"], nodes[names[0]]["api_unit"]
    return [f"the drain grace is assumed to be {ASSUMED:g} s on {listed(names)}: {config} does not say it "
            f"(API_DRAIN_GRACE), and the journal has no stop of {unit} that shows it. If yours is another, add "
            "-e cluster_drain_grace=SECONDS"]


def note_nodes(seen, target="", groups=None, unseen=None):
    """What is to be said of many nodes at once: what the notes of releases ask for, and what had to be assumed."""
    nodes = {name: one["node"] for name, one in seen.items() if one["node"] and not one["failure"]}
    versions = [(one["node"].get("release") or {}).get("version") for one in seen.values()]
    versions += [node["version"] for node in (unseen or {}).values()]
    product = next((node.get("distribution") for node in nodes.values()), "")
    # Where no release could be resolved, what the nodes run tells as much.
    newest = target or max(filter(series, versions), key=series, default="")
    found = []
    for release, entry in since(product, newest):
        found += _settings(release, entry.get("settings", ()), nodes)
        found += _groups(release, entry.get("groups", ()), groups or {})
        found += _directories(release, entry.get("directories", ()), seen, versions)
    return [*(Finding("notes", WARN, words) for words in found),
            *(Finding("drain grace", WARN, words) for words in _assumed(nodes))]
