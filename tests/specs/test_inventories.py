# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example inventories: Ansible reads them, and the collection finds nodes, tier and order in them.

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import ROLES, ROOT, load, options

sys.path.insert(0, str(ROOT / ".ansible" / "collections"))
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import plan_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import inventory_of

INVENTORIES = ROOT / "examples" / "inventories"
ANSIBLE_INVENTORY = pathlib.Path(sys.executable).with_name("ansible-inventory")


def members(groups, name):
    """The hosts of a group, those of its children among them."""
    group = groups.get(name, {})
    found = [*group.get("hosts", []), *(host for child in group.get("children", []) for host in members(groups, child))]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module", params=["one-node", "three-nodes", "thirty-nodes"])
def planned(request):
    """The name of an inventory, the plan for healthy nodes in it, and the addresses of these."""
    run = subprocess.run([ANSIBLE_INVENTORY, "-i", INVENTORIES / f"{request.param}.yml", "--list"], cwd=ROOT, text=True,
                         capture_output=True, check=False)
    assert run.returncode == 0 and "[WARNING]" not in run.stderr, run.stderr
    found = json.loads(run.stdout)
    variables = found.pop("_meta")["hostvars"]
    nodes, database = inventory_of("upgrade", {name: members(found, name) for name in found})
    verdict = {name: dict(database=name in database, done=False, ready=True, gateway_down=False,
                          zone=variables[name].get("rolling_zone", "")) for name in nodes}
    plan = plan_of(verdict, variables[nodes[0]].get("rolling_serial", 1))
    run = subprocess.run([ANSIBLE_INVENTORY.with_name("ansible"), "-i", INVENTORIES / f"{request.param}.yml", "allsf",
                          "-m", "ansible.builtin.debug", "-a", "msg='at {{ ansible_host }}.'"], cwd=ROOT, text=True,
                         capture_output=True, check=True)
    return request.param, plan, re.findall(r"at (\S+)\.", run.stdout)


def test_the_order(planned):
    name, plan, hosts = planned
    assert len(set(hosts)) == len(plan["order"]) == {"one-node": 1, "three-nodes": 3, "thirty-nodes": 30}[name]
    if name == "one-node":
        assert plan["alone"] and plan["database"] == ["sf-1"]
    elif name == "three-nodes":
        assert plan["database"] == ["sf-1", "sf-2"] and plan["batches"] == [["sf-3"]]
    else:
        assert plan["database"] == ["sf-01", "sf-11", "sf-21"] and plan["serial"] == [3] * 9
        # No batch spans two racks of ten.
        assert all(len({(int(node[3:]) - 1) // 10 for node in batch}) == 1 for batch in plan["batches"])


def variables(group):
    names = {name for host in (group.get("hosts") or {}).values() for name in host or {}}
    return names | set(group.get("vars", {}))


@pytest.mark.parametrize("path", sorted(INVENTORIES.glob("*")), ids=lambda path: path.stem)
def test_variables_are_documented(path):
    known = {name for role in ROLES for name in options(role)}
    used = set().union(*map(variables, load(path).values()))
    assert {name for name in used if not name.startswith("ansible_")} <= known
