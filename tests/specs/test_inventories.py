# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example inventories: Ansible reads them, and the playbook's own terms find nodes, tier and order in them.

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import ROLES, ROOT, load, options

INVENTORIES = ROOT / "examples" / "inventories"
ANSIBLE_PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")
# What the preflight finds out of healthy nodes, and what it makes of it.
SEEN = """{% set seen = {} %}{% for name in preflight_all_nodes %}{{ seen.update({name: {
  'database': name in preflight_database_nodes, 'done': false, 'ready': true, 'gateway_down': false,
  'zone': hostvars[name].rolling_zone | default('')}}) or '' }}{% endfor %}{{ seen | to_json }}"""
PLAN = "seen | from_json | shakenfist.rolling.roll_plan(hostvars[preflight_all_nodes[0]].rolling_serial | default(1))"
HOSTS = "preflight_all_nodes | map('extract', hostvars) | map(attribute='ansible_host')"


@pytest.fixture(scope="module", params=["one-node", "three-nodes", "thirty-nodes"])
def planned(request, tmp_path_factory):
    """The name of an inventory, the plan for it, and the variables of its nodes as Ansible works them out."""
    place = tmp_path_factory.mktemp(request.param)
    preflight = next(play["vars"] for play in load(ROOT / "playbooks" / "upgrade.yml")
                     if "preflight_all_nodes" in play.get("vars", {}))
    wanted = {"plan": PLAN, "hosts": HOSTS}
    play = {"hosts": "localhost", "gather_facts": False, "vars": {**preflight, "seen": SEEN}, "tasks": [
        {"ansible.builtin.copy": {"dest": str(place / name), "content": "{{ %s | to_json }}" % words}}
        for name, words in wanted.items()]}
    (place / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    inventory = INVENTORIES / f"{request.param}.yml"
    run = subprocess.run([ANSIBLE_PLAYBOOK, "-i", inventory, place / "play.yml"], cwd=ROOT, text=True,
                         capture_output=True, check=False, env=dict(os.environ, ANSIBLE_INVENTORY_UNPARSED_FAILED="1"))
    assert run.returncode == 0 and "[WARNING]" not in run.stderr, run.stdout + run.stderr
    return request.param, *(json.loads((place / name).read_text(encoding="utf-8")) for name in wanted)


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
