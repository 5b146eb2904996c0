# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A roll of nodes that are not there, by the real playbook upgrade and the real roles that take a node through it, in a
# collection of its own: modules answer what a test wants, and the roles that look at the cluster are short.

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[2]
# All roles but those that look at the cluster.
ROLES = sorted({path.name for path in (ROOT / "roles").iterdir() if path.is_dir()} - {"preflight", "verify"})
NODES = ("sf-1", "sf-2", "sf-3")
UNITS = ("sf-api", "sf-net", "sf-privexec", "sf-database")
RUNS = {name: dict(before="old", after="new", active_after=0.25) for name in UNITS}
STATES = {name: dict(active=True, state="active (running)", invocation="new", restarts=0) for name in UNITS}
SCHEMA = dict(tables={}, enums={})

ANSWERS = {
    "drain": dict(changed=True, was_ready=True, not_ready_after=0.11, stopped_after=0.5, state="inactive (dead)"),
    "grpc_health_info": dict(serving=True, waited=0.1, seen={}),
    "prune": dict(changed=True, removed=["0.7.9-11223344"], kept=[]),
    "ready_info": dict(ready=True, count=2, waited=0.2, seen={"http://a": dict(ready=True, answers="200"),
                                                              "http://b": dict(ready=True, answers="200")}),
    "release": dict(changed=True, release="/srv/0.8.1", previous="/srv/0.8.0"),
    "release_info": dict(active=dict(version="0.8.1", rewritten=False),
                         previous=dict(name="0.8.0-old", version="0.8.0")),
    "schema": dict(changed=True, tables=[dict(table="notes", before=1, after=2)], widened=[], output="private"),
    "schema_info": dict(schema=SCHEMA, tables={}, backups={}, expects={},
                        recorded={"/srv/0.8.1-new": SCHEMA, "/srv/venv": SCHEMA}),
    "units": dict(changed=True, units=RUNS),
    "units_info": dict(units=STATES),
}

# Answers at once, or once a file is there. It ends with the run that it belongs to.
ACTION = '''
import json
import os
import time

from ansible.plugins.action import ActionBase


def answer(action, task_vars):
    module = action.rpartition(".")[2]
    with open(os.environ["FAKE_ROLL"], encoding="utf-8") as handle:
        answers = json.load(handle)
    result = {**answers.get(module, {}), **answers.get(f"{task_vars['inventory_hostname']} {module}", {})}
    gate, parent = result.pop("wait_for", None), os.getppid()
    while gate and not os.path.exists(gate):
        if os.getppid() != parent:
            os._exit(1)
        time.sleep(0.05)
    return dict(result, invocation=dict(module_args=dict(password="hunter2")))
'''
# In the place of a module, and of the modules that an action calls.
MODULE = """

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return dict(super().run(tmp, task_vars), **self.act(task_vars))

    def act(self, task_vars):
        return answer(self._task.action, task_vars)
"""
CALLS = """

class ActionModule(ActionModule):
    def _execute_module(self, module_name=None, module_args=None, task_vars=None, **dummy):
        if not module_name.endswith(".several"):
            return answer(module_name, task_vars)
        answers = []
        for call in module_args["calls"]:
            answers.append(dict(answer(call["module"], task_vars), seconds=0.0))
            if answers[-1].get("failed"):
                return dict(failed=True, msg=answers[-1].get("msg"), answers=answers)
        return dict(answers=answers)
"""
# The same, and it tells when, as the real ones do.
TIMED = """
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import TimedAction


class ActionModule(TimedAction):
    act = ActionModule.act
"""

PREFLIGHT = """
- name: Read what the node is
  ansible.builtin.set_fact:
    cluster_node: "{{ preflight_fake.node | combine({'ready_url': 'http://' ~ inventory_hostname}) }}"
    stage_resolved: {version: "0.8.1", name: 0.8.1-new, lock: [], carried: []}
- name: Report what was found
  ansible.builtin.debug:
    msg: [pass  reached, "pass  readiness: sf-1, sf-2, sf-3"]
  run_once: true
- name: Look at what is secret
  ansible.builtin.debug:
    msg: hunter2
  no_log: true
- name: Note the plan of the roll
  shakenfist.rolling.run:
    state: noted
    run:
      plan: "{{ preflight_fake.plan }}"
  delegate_to: localhost
  delegate_facts: true
  run_once: true
"""
VERIFY = """
- name: Watch the API for a while
  shakenfist.rolling.ready_info:
    rounds: 10
- name: Stop if the node does not run the release
  ansible.builtin.assert:
    that: true
    success_msg: "{{ inventory_hostname }} runs 0.8.1"
"""


class FakeRoll:
    """A collection, an inventory, and the answers of the modules."""

    def __init__(self, root, plan=None, timed=False):
        self.root = root
        self.collection = root / "ansible_collections" / "shakenfist" / "rolling"
        for folder in ("callback", "plugin_utils", "module_utils"):
            shutil.copytree(ROOT / "plugins" / folder, self.collection / "plugins" / folder)
        shutil.copytree(ROOT / "playbooks", self.collection / "playbooks")
        shutil.copy(ROOT / "galaxy.yml", self.collection)
        for role in ROLES:
            shutil.copytree(ROOT / "roles" / role, self.collection / "roles" / role)
        for role, tasks in (("preflight", PREFLIGHT), ("verify", VERIFY)):
            self.write(f"roles/{role}/tasks/main.yml", tasks)
        self.write("roles/preflight/vars/main.yml", yaml.safe_dump(dict(preflight_fake=dict(
            node=self.node(), plan=self.plan(**plan or {})))))
        plugins = [path for kind in ("modules", "action") for path in (ROOT / "plugins" / kind).glob("*.py")]
        for name in sorted({path.name for path in plugins}):
            action, module = ROOT / "plugins" / "action" / name, ROOT / "plugins" / "modules" / name
            real = action.read_text() if action.exists() else ""
            # What needs no node is the real one; the report only where the times are.
            if "(ControllerAction)" in real and (timed or name != "report.py"):
                self.write(f"plugins/action/{name}", real)
                if module.exists():
                    self.write(f"plugins/modules/{name}", module.read_text())
                continue
            if "(StepsAction)" in real or "(StatesAction)" in real:
                self.write(f"plugins/action/{name}", real + ACTION + CALLS)
                continue
            before = real if name == "lock.py" else ""
            self.write(f"plugins/action/{name}", before + ACTION + MODULE + (TIMED if timed else ""))
        (root / "inventory").write_text("[allsf]\n" + "".join(f"{name} ansible_connection=local\n" for name in NODES)
                                        + "[database]\nsf-1\n[nobody]\n")
        (root / "ansible.cfg").write_text("[defaults]\nstdout_callback = shakenfist.rolling.rollout\n")
        self.log = root / "rollout.jsonl"
        self.answer()

    def write(self, path, text):
        (self.collection / path).parent.mkdir(parents=True, exist_ok=True)
        (self.collection / path).write_text(text)

    @staticmethod
    def node():
        return dict(venv="/srv/venv", releases="/srv", distribution="shakenfist", api_unit="sf-api", gateway="a:1",
                    database_unit="sf-database", gateways=["a:1"], daemons=list(UNITS), has_database_credentials=True,
                    name="", release=dict(version="0.8.0", name="0.8.0-old", rewritten=False), staged=[],
                    config="/etc/sf/config", config_prefix="SHAKENFIST_", credentials="/etc/sf/shakenfist.json",
                    api_url="http://a", schema_versions="a:B",
                    units=STATES, sentinels=[], restart_order=[["sf-database"], ["sf-privexec"], ["*"]])

    @staticmethod
    def plan(**changes):
        plan = dict(order=list(NODES), database=["sf-1"], others=["sf-2", "sf-3"], batches=[["sf-2"], ["sf-3"]],
                    serial=[1, 1], done=[], serving=list(NODES), leader="sf-3", api=False,
                    schema=["sf-1"], gateways_down={}, command="ansible-playbook again", alone=False,
                    nodes=[], ready_urls={name: f"http://{name}" for name in NODES})
        plan.update(changes)
        # As _plan.py makes the groups of the waves.
        waves = [dict(name=name, groups=["rolling_order", "rolling_database" if name in plan["database"]
                                         else "rolling_others"]) for name in plan["order"]]
        return dict(plan, members=[*(dict(name=name, groups=["rolling_schema"]) for name in plan["schema"]), *waves,
                                   dict(name=NODES[0], groups=["rolling_first"])])

    def answer(self, **answers):
        """Let modules answer something else: module=dict(...), or sf_1__module=dict(...) for one node only."""
        changes = {name.replace("__", " ").replace("_", "-", 1) if "__" in name else name: change
                   for name, change in answers.items()}
        (self.root / "answers.json").write_text(json.dumps({**ANSWERS, **changes}))

    def environment(self, **changes):
        """Of the tests' own environment only what a program needs."""
        needed = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TZ")
        return dict({key: os.environ[key] for key in needed if key in os.environ},
                    FAKE_ROLL=str(self.root / "answers.json"), ANSIBLE_CONFIG=str(self.root / "ansible.cfg"),
                    ANSIBLE_HOME=str(self.root / "home"), ANSIBLE_COLLECTIONS_PATH=str(self.root), **changes)

    def command(self, *arguments, playbook="shakenfist.rolling.upgrade"):
        # Not by its name: under ansible-test the one that is installed is not the one that is tested.
        return [sys.executable, "-m", "ansible.cli.playbook", "-i", "inventory", str(playbook), *arguments]

    def run(self, *arguments, playbook="shakenfist.rolling.upgrade", **environment):
        """The run of the playbook, with both outputs in one, as a log has them."""
        return subprocess.run(self.command(*arguments, playbook=playbook), cwd=self.root, text=True, check=False,
                              env=self.environment(**environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    def events(self, *kinds):
        """The events in the file, all or those of these kinds."""
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [event for event in events if not kinds or event["event"] in kinds]
