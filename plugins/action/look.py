# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: look at a node.
# parts: ready asks every worker of the API whether it is ready, gateways all gateways that the node uses for their
# health, gateway only the node's own, host what the host offers.

import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import (
    config_question,
    reason,
    releases_question,
    units_question,
    what_it_is,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import keys
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, changed, node_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StepsAction

TEXT, NUMBER, NAMES = dict(type="str"), dict(type="float"), dict(type="list", elements="str")
# The defaults of role cluster, by their names without the prefix. Typed here, for -e makes a text of everything.
PRODUCT = dict(
    config=TEXT, config_prefix=TEXT, credentials=TEXT, venv=TEXT, releases=TEXT, distribution=TEXT, deployer_mark=TEXT,
    commands=NAMES, units=NAMES, units_ignored=NAMES, restart_order=dict(type="list", elements="list"), sentinels=NAMES,
    sentinels_alone=dict(type="bool"), api_unit=TEXT, api_port=dict(type="int"), ready_path=TEXT, database_unit=TEXT,
    gateway_port=dict(type="int"), drain_grace=NUMBER, schema_versions=TEXT, since=NUMBER, since_units=NAMES,
)
ARGUMENTS = dict(
    product=dict(type="dict", required=True, options=PRODUCT),
    parts=dict(type="list", elements="str", choices=["ready", "gateways", "gateway", "host"], default=[]),
    noted=dict(type="bool", default=False),
)

DUMPS = ["mariadb-dump", "mysqldump"]


class ActionModule(StepsAction):
    """Ask the modules one after the other."""

    tells_modules = False

    def patience(self, task_vars):
        """A node that is lost is an answer, too."""
        return None

    def steps(self, task_vars):
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        seen = dict(node={}, failure="", unreachable=False, ready=False, answers="nothing", gateways={}, host={})
        try:
            self.see(seen, arguments, task_vars)
        except AnsibleConnectionFailure as exc:
            seen.update(unreachable=True, failure=f"it cannot be reached: {exc}")
        except Failed as exc:
            seen["failure"] = reason(words_of(exc.result, "unknown failure"))
        except AnsibleError as exc:
            # Ansible itself raises where it may not become root, for example.
            seen["failure"] = reason(str(exc))
        if not arguments["noted"]:
            self.check(seen["failure"], seen=seen)
            return dict(seen=seen)
        # Also what an earlier look in this run has noted is over.
        record = node_of(task_vars["hostvars"], task_vars["inventory_hostname"])
        return dict(seen=seen, ansible_facts={NODE_FACT: changed(record, seen=seen, asked={}, unresolved="")})

    def see(self, seen, arguments, task_vars):
        product = arguments["product"]
        config = self.module("config_info", task_vars, **config_question(product))
        releases = self.module("release_info", task_vars, **releases_question(product))
        units = self.module("units_info", task_vars, **units_question(product, config["settings"]))
        name = task_vars["inventory_hostname"]
        address = self._templar.template(task_vars.get("ansible_host") or name)
        seen["node"] = node = what_it_is(product, name, address, config, releases, units)
        for part in arguments["parts"]:
            getattr(self, f"see_{part}")(seen, node, task_vars)

    def see_ready(self, seen, node, task_vars):
        answer = self.module("ready_info", task_vars, urls=[node["ready_url"]], unit=node["api_unit"])
        seen["ready"] = answer["ready"]
        seen["answers"] = next((one["answers"] for one in answer["seen"].values()), "nothing")

    def see_gateways(self, seen, node, task_vars, targets=None):
        if node["problem"]:
            return  # no Python that could ask
        seen["gateways"] = self.module("grpc_health_info", self.in_venv(node["venv"]),
                                       targets=node["gateways"] if targets is None else targets)["seen"]

    def see_gateway(self, seen, node, task_vars):
        try:
            self.see_gateways(seen, node, task_vars, targets=[node["gateway"]])
        except Failed:
            pass  # a broken virtualenv costs the node this word only

    def see_host(self, seen, node, task_vars):
        seen["host"] = self.module("host_info", task_vars, path=node["venv"], releases=node["releases"],
                                   reference=time.time(), commands=DUMPS,
                                   directories=keys(node["distribution"])["directories"])
