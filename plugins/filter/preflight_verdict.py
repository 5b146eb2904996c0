# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError

try:
    from packaging.version import InvalidVersion, Version
except ImportError:
    Version = None


def _older(one, other):
    """Whether release C(one) is older than C(other)."""
    try:
        return Version(one) < Version(other)
    except InvalidVersion as exc:
        raise AnsibleFilterError(f"cannot compare the releases {one} and {other}: {exc}") from exc


def _unfinished(node, target):
    """Whether an earlier roll to the target has begun on the node."""
    return bool(target) and (node["release"].get("version") == target["version"] or target["name"] in node["staged"])


def _gateway_problems(seen, excused):
    return [f"the gateway {gateway} is {status}, expected SERVING: see journalctl -u sf-database there"
            for gateway, status in sorted(seen.items()) if status != "SERVING" and gateway not in excused]


def _problems(seen, in_tier, excused, target, allow_degraded, allow_downgrade):
    """What makes one node unfit to be rolled, each with its mend."""
    node = seen["node"]
    if seen["failure"] or not node:
        return [seen["failure"] or "it could not be examined"]
    problems = []
    if node["problem"]:
        problems.append(f"{node['problem']}. Repair it: reinstall the release that the node ran before")
    if in_tier and not node["has_database_credentials"]:
        problems.append(f"it is in the database tier, but {node['config']} has no MARIADB_HOST: add it, or take the "
                        "node out of the database group")
    if not in_tier and node["has_database_credentials"]:
        problems.append(f"it is not in the database tier, but {node['config']} has a MARIADB_HOST: add the node to the "
                        "database group, or remove the MARIADB_ settings")
    if in_tier and node["database_unit"] not in node["units"]:
        problems.append(f"it is in the database tier, but has no unit {node['database_unit']}")
    if node["api_unit"] not in node["units"]:
        problems.append(f"it has no unit {node['api_unit']}")
    if not node["gateways"]:
        problems.append(f"{node['config']} names no gateway (MARIADB_GATEWAY_HOSTS)")
    version = node["release"].get("version")
    if target and version and not allow_downgrade and _older(target["version"], version):
        problems.append(f"it runs {version}, newer than {target['version']}. To go back on purpose, pass "
                        "-e preflight_allow_downgrade=true")
    if not allow_degraded and not _unfinished(node, target):
        if not seen["ready"]:
            problems.append(f"{node['ready_url']} answers {seen['answers']}, expected 200 from every worker: see "
                            f"journalctl -u {node['api_unit']}, or pass -e preflight_allow_degraded=true to roll the "
                            "nodes that are down first")
        problems += _gateway_problems(seen["gateways"], excused)
    return problems


def preflight_verdict(nodes, database, target, allow_degraded=False, allow_downgrade=False):
    """Judge each node from what was seen of it.

    A node that an earlier roll to the same release has begun is not required to be ready, nor its gateway to be
    serving: rolling it is what mends it.
    """
    if Version is None:
        raise AnsibleFilterError("the controller lacks the Python library packaging, which comes with ansible-core")
    begun = [name for name, seen in nodes.items() if seen["node"] and _unfinished(seen["node"], target)]
    excused = [nodes[name]["node"]["gateway"] for name in begun]
    serving = {gateway for seen in nodes.values()
               for gateway, status in seen["gateways"].items() if status == "SERVING"}
    verdict = {}
    for name, seen in nodes.items():
        node = seen["node"]
        gateway_down = bool(node) and name in database and node["gateway"] not in serving
        on_target = bool(target and node) and node["release"].get("version") == target["version"]
        verdict[name] = {
            "database": name in database,
            "version": node["release"].get("version", "") if node else "",
            "ready": seen["ready"],
            "gateway_down": gateway_down,
            "done": on_target and seen["ready"] and not gateway_down and not node["behind"],
            "problems": _problems(seen, name in database, excused, target, allow_degraded, allow_downgrade),
        }
    return verdict


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"preflight_verdict": preflight_verdict}
