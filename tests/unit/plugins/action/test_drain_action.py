# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What meta/runtime.yml says is done by Ansible itself, so these run ansible-playbook.

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from ansible_collections.shakenfist.rolling.plugins.doc_fragments.options import ModuleDocFragment

ROOT = pathlib.Path(__file__).parents[4]
META = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
ROUTED = META["plugin_routing"]["modules"]
GROUPS = META["action_groups"]
BASE = "shakenfist.rolling.drain"
ONCE = {"dump", "haproxy_server", "schema"}
# Without these an action says only that they are missing.
NEEDED = dict(stage=dict(state="packed", node={}, target={}), resolve=dict(node={}))


def play(tmp_path, plays, *arguments, **environment):
    """Run plays; the results of their tasks by name."""
    (tmp_path / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", "play.yml", *arguments]
    needed = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL") if key in os.environ}
    run = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                         env=dict(needed, ANSIBLE_COLLECTIONS_PATH=str(ROOT.parents[2]), ANSIBLE_LOCALHOST_WARNING="0",
                                  ANSIBLE_HOME=str(tmp_path / "home"), ANSIBLE_STDOUT_CALLBACK="default",
                                  ANSIBLE_CALLBACK_RESULT_FORMAT="json", **environment))
    parts = re.split(r"^TASK \[(.*?)\] \**$", run.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2])), run


def task(module, **arguments):
    return {"name": module, f"shakenfist.rolling.{module}": arguments, "ignore_errors": True,
            "ignore_unreachable": True}


def test_every_module_that_is_routed_exists_and_has_no_action_of_its_own():
    for name, route in ROUTED.items():
        assert route == dict(action_plugin=BASE) and (ROOT / "plugins" / "modules" / f"{name}.py").exists()
        assert not (ROOT / "plugins" / "action" / f"{name}.py").exists()


def test_a_lost_node_is_waited_for_by_each(tmp_path):
    """Nobody listens there. Without the action of the base, each task would end with UNREACHABLE."""
    lost = dict(hosts="localhost", gather_facts=False, tasks=[task(name) for name in [*ROUTED, "drain"]],
                vars=dict(ansible_connection="ssh", ansible_port=9, roll_reconnect_timeout=0))
    said, run = play(tmp_path, [lost])
    assert set(said) == {*ROUTED, "drain"}, run.stdout + run.stderr
    for name, text in said.items():
        assert ("it is not known what was done" if name in ONCE else "did not come back within 0 s") in text, text


def reached(tmp_path, names, defaults):
    """The modules that were given an option which only these defaults have."""
    here = dict(ansible_connection="local", ansible_python_interpreter=sys.executable)
    given = {key: dict(of_the_defaults=1) for key in defaults}
    said, run = play(tmp_path, [dict(hosts="localhost", gather_facts=False, module_defaults=given, vars=here, tasks=[
        task(name, **NEEDED.get(name, {})) for name in names])], "-vvv")
    assert set(said) == set(names), run.stdout + run.stderr
    return {name for name in names if "of_the_defaults" in said[name]}


@pytest.mark.parametrize("group", GROUPS)
def test_the_options_of_a_group_reach_its_modules_only(tmp_path, group):
    others = {"drain", "units", "units_info", "haproxy_info", "release"} - set(GROUPS[group])
    assert reached(tmp_path, {*GROUPS[group], *others}, [f"group/shakenfist.rolling.{group}"]) == set(GROUPS[group])


@pytest.mark.parametrize("name", ["units_info", "drain"])
def test_the_defaults_of_one_module_are_no_others(tmp_path, name):
    """As they would be, were the modules redirects of one action."""
    assert reached(tmp_path, {"units_info", "drain", "units"}, [f"shakenfist.rolling.{name}"]) == {name}


@pytest.mark.parametrize("group, options", [("haproxy", {"address", "backend"}), ("pip", {"index_url", "extra_args"})])
def test_each_module_of_a_group_has_its_options(group, options):
    assert options == set(yaml.safe_load(getattr(ModuleDocFragment, group.upper()))["options"])
    for name in GROUPS[group]:
        module = ROOT / "plugins" / "modules" / f"{name}.py"
        if module.exists():
            assert f"shakenfist.rolling.options.{group}" in module.read_text(encoding="utf-8"), name
            continue
        # Some are actions of the roles, which hand them on.
        text = (ROOT / "plugins" / "action" / module.name).read_text(encoding="utf-8")
        assert all(re.search(rf"\b{option}[:=]", text) for option in options), name
