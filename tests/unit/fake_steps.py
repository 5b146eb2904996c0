# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# An action that calls modules, on a node whose modules answer what a test wants.

from __future__ import annotations

from types import SimpleNamespace

from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.tests.unit.fakes import with_several


class Steps:
    """The node sf-1 of a run; C(answers) are those of the modules, a list is answered one after the other."""

    def __init__(self, monkeypatch, plugin, step, **answers):
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        self.plugin, self.step, self.given = plugin, step, answers
        self.calls, self.check, self.variables = [], False, {}
        self.run = dict(id="x", kind="upgrade", plan={})
        self.node, self.others = {}, {}

    def execute(self, module_name, module_args, task_vars):
        module = module_name.rpartition(".")[2]
        self.calls.append((module, module_args))
        answer = self.given[module]
        answer = answer.pop(0) if isinstance(answer, list) else answer(module_args) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def act(self, **arguments):
        self.calls, self.said = [], []
        action = self.plugin.ActionModule.__new__(self.plugin.ActionModule)
        action._task = SimpleNamespace(check_mode=self.check, run_once=False, no_log=False, play=None, args=arguments,
                                       action="x", get_vars=lambda: dict(rolling_step=self.step), get_name=lambda: "x")
        action._templar = SimpleNamespace(template=lambda value: value)
        action._display = SimpleNamespace(display=lambda text, **dummy: self.said.append(text.event))
        action._execute_module = with_several(self.execute)
        action._compute_environment_string = lambda found: found.update(FROM_THE_TASK="yes")
        defaults = {option: value.get("default") for option, value in self.plugin.ARGUMENTS.items()}
        action.validate_argument_spec = lambda argument_spec: (None, dict(defaults, **arguments))
        hostvars = {"localhost": dict(ansible_facts=dict(rolling_run=self.run)), "sf-1": self.facts()}
        for name, more in self.others.items():
            hostvars[name] = {**hostvars.get(name, {}), **more}
        variables = {**self.variables, **self.facts()}
        return action.run(task_vars=dict(variables, hostvars=hostvars, inventory_hostname="sf-1"))

    def facts(self):
        return dict(ansible_facts=dict(rolling_node=dict(self.node, run=self.run["id"])) if self.node else {})

    def asked(self):
        return [module for module, dummy in self.calls]

    def words(self):
        """What the operator was told."""
        return [event["message"] for event in self.said if event["event"] == "message"]

    def told(self):
        """The modules that the callback was told of, and their results."""
        return [(event["module"], event["result"]) for event in self.said if event["event"] == "module"]
