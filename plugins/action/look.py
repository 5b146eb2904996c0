# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Each task for each node costs the controller a process. So all that is asked of a node is one task.

# Private to the roles of this collection: look at a node.
# parts: ready asks every worker of the API whether it is ready, gateways all gateways that the node uses for their
# health, gateway only the node's own, host what the host offers.

from __future__ import annotations

import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import (
    config_question,
    reason,
    releases_question,
    units_question,
    what_it_is,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import keys
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, changed, node_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import TimedAction

ARGUMENTS = dict(
    product=dict(type="dict", required=True),
    parts=dict(type="list", elements="str", choices=["ready", "gateways", "gateway", "host"], default=[]),
    noted=dict(type="bool", default=False),
)

DUMPS = ["mariadb-dump", "mysqldump"]


class Failure(Exception):
    """A module could not answer; the text says why."""


class ActionModule(TimedAction):
    """Ask the modules one after the other."""

    def act(self, task_vars):
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        self.facts, self.warnings = {}, []
        seen = dict(node={}, failure="", unreachable=False, ready=False, answers="nothing", gateways={}, host={})
        try:
            self.see(seen, arguments, task_vars)
        except AnsibleConnectionFailure as exc:
            seen.update(unreachable=True, failure=f"it cannot be reached: {exc}")
        except (Failure, AnsibleError) as exc:
            # Ansible itself raises where it may not become root, for example.
            seen["failure"] = reason(str(exc))
        hostvars, name = task_vars["hostvars"], task_vars["inventory_hostname"]
        facts = dict(self.facts)
        if arguments["noted"]:
            # Also what an earlier look in this run has noted is over.
            facts[NODE_FACT] = changed(node_of(hostvars, name), seen=seen, asked={}, unresolved="")
        result = dict(changed=False, seen=seen, ansible_facts=facts)
        if self.warnings:
            result["warnings"] = self.warnings
        if seen["failure"] and not arguments["noted"]:
            result.update(failed=True, msg=seen["failure"])
        return result

    def ask(self, module, task_vars, **arguments):
        """What a module returns."""
        answer = self._execute_module(module_name=f"shakenfist.rolling.{module}", module_args=arguments,
                                      task_vars=task_vars)
        self.facts.update(answer.get("ansible_facts") or {})
        self.warnings += answer.get("warnings") or []
        if answer.get("failed"):
            words = answer.get("msg") or "unknown failure"
            raise Failure(f"{words}: {answer['module_stderr'].strip()}" if answer.get("module_stderr") else words)
        return answer

    def see(self, seen, arguments, task_vars):
        product = arguments["product"]
        config = self.ask("config_info", task_vars, **config_question(product))
        releases = self.ask("release_info", task_vars, **releases_question(product))
        units = self.ask("units_info", task_vars, **units_question(product, config["settings"]))
        name = task_vars["inventory_hostname"]
        address = self._templar.template(task_vars.get("ansible_host") or name)
        seen["node"] = node = what_it_is(product, name, address, config, releases, units)
        for part in arguments["parts"]:
            getattr(self, f"see_{part}")(seen, node, task_vars)

    def see_ready(self, seen, node, task_vars):
        answer = self.ask("ready_info", task_vars, urls=[node["ready_url"]], unit=node["api_unit"])
        seen["ready"] = answer["ready"]
        seen["answers"] = next((one["answers"] for one in answer["seen"].values()), "nothing")

    def see_gateways(self, seen, node, task_vars, targets=None):
        if node["problem"]:
            return  # no Python that could ask
        task_vars = dict(task_vars, ansible_python_interpreter=f"{node['venv']}/bin/python")
        seen["gateways"] = self.ask("grpc_health_info", task_vars,
                                    targets=node["gateways"] if targets is None else targets)["seen"]

    def see_gateway(self, seen, node, task_vars):
        try:
            self.see_gateways(seen, node, task_vars, targets=[node["gateway"]])
        except Failure:
            pass  # a broken virtualenv costs the node this word only

    def see_host(self, seen, node, task_vars):
        seen["host"] = self.ask("host_info", task_vars, path=node["venv"], releases=node["releases"],
                                reference=time.time(), commands=DUMPS,
                                directories=keys(node["distribution"])["directories"])
