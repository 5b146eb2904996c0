# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Ansible goes on without a node that it cannot reach, and no rescue runs for it. So whatever connects to a node does so
# through an action of this collection, which fails then, and no play goes on with fewer nodes than it was given.

from __future__ import annotations

import pathlib
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible/collections"))

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import advice  # noqa: E402

# Modules of Ansible's that connect to nobody.
LOCAL = {"add_host", "assert", "debug", "fail", "import_playbook", "import_role", "import_tasks", "include_role",
         "include_tasks", "meta", "set_fact"}


def tasks_of(entries):
    """All tasks, those in blocks too."""
    for entry in entries or ():
        if "block" in entry:
            for part in ("block", "rescue", "always"):
                yield from tasks_of(entry.get(part))
        else:
            yield entry


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_whatever_connects_is_ours():
    found = []
    for path in sorted((ROOT / "roles").glob("*/tasks/*.yml")):
        keys = [key for task in tasks_of(read(path)) for key in task]
        modules = {key.rpartition(".")[2] for key in keys if key.startswith("ansible.")}
        found += [(str(path.relative_to(ROOT / "roles")), module) for module in sorted(modules - LOCAL)]
    assert found == []


PLAYBOOKS = sorted(path for path in (ROOT / "playbooks").glob("**/*.yml") if "vars" not in path.parts)
ROUTED = set(read(ROOT / "meta" / "runtime.yml")["plugin_routing"]["modules"])
ACTIONS = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}


def test_whatever_is_ours_waits_for_a_node_that_is_lost():
    """Each is an action of this collection, or its module is run by one."""
    files = [*(ROOT / "roles").glob("*/tasks/*.yml"), *PLAYBOOKS]
    tasks = [task for path in files for entry in read(path) or ()
             for task in tasks_of(entry.get("tasks") if "hosts" in entry else [entry])]
    ours = {key.rpartition(".")[2] for task in tasks for key in task if key.startswith("shakenfist.rolling.")}
    assert "prune" in ours and ours - ACTIONS - ROUTED == set()


PLAYS = [(path.name, play) for path in PLAYBOOKS if "tasks" not in path.parts
         for play in read(path) or () if "rolling_" in str(play.get("hosts")) and play.get("any_errors_fatal")]


@pytest.mark.parametrize("name, play", PLAYS, ids=[f"{name}: {play['name']}" for name, play in PLAYS])
def test_no_play_goes_on_with_fewer_nodes(name, play):
    """Of a play on one node nobody is left; where there are several, a task says who was lost."""
    imported = [task.get("ansible.builtin.import_tasks", "") for task in tasks_of(play.get("tasks"))]
    assert "rolling_first" in play["hosts"] or play.get("roles") or any("nobody_lost" in path for path in imported)


@pytest.mark.parametrize("name, play", PLAYS, ids=[f"{name}: {play['name']}" for name, play in PLAYS])
def test_a_play_that_ends_a_run_says_what_comes_next(name, play):
    """By its phase: it is not left to who imports it, for one of them forgets."""
    if "tasks_from: fail" not in yaml.safe_dump(play):
        return
    phases = [play.get("vars", {}).get("run_phase")]
    if name == "last.yml":  # the end of each kind of run
        phases = [each["vars"]["run_phase"] for path in sorted((ROOT / "playbooks").glob("*.yml"))
                  for each in read(path) if "shared/last.yml" in str(each.get("ansible.builtin.import_playbook"))]
    assert phases and all(advice("upgrade", phase, "") for phase in phases)


def test_every_play_that_ends_a_run_waits_for_nodes():
    """It imports role run, which has the variable."""
    assert "roll_reconnect_timeout" in read(ROOT / "roles" / "run" / "defaults" / "main.yml")
    ending = [yaml.safe_dump(play) for dummy, play in PLAYS if "rescue" in yaml.safe_dump(play)]
    assert len(ending) == 10 and all("import_role" in text and "shakenfist.rolling.run" in text for text in ending)
