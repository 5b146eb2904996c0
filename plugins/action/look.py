# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: look at a node.
# parts: ready asks every worker of the API whether it is ready, gateways all gateways that the node uses for their
# health, gateway only the node's own where it runs one, host what the host offers.

import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import (
    config_question,
    reason,
    releases_question,
    stops_question,
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
        product, parts = arguments["product"], arguments["parts"]
        config, releases, units = self.several(
            task_vars, ("", "config_info", config_question(product)), ("", "release_info", releases_question(product)),
            ("", "units_info", units_question(product)))
        name = task_vars["inventory_hostname"]
        address = self._templar.template(task_vars.get("ansible_host") or name)
        node = what_it_is(product, name, address, config, releases, units)
        seen["node"] = node
        asked = self.questions(product, node, parts)
        failed, began = None, time.time()
        try:
            answers = self.answers(asked, self.in_venv(node["venv"]) if "grpc_health_info" in asked else task_vars)
        except Failed as exc:
            # What was seen before that counts: whether the node serves, for example.
            failed, answers = exc, dict(zip(asked, exc.answers))
        if "units_info" in answers:
            units["units"].update(answers["units_info"]["units"])
            seen["node"] = what_it_is(product, name, address, config, releases, units)
        if "ready_info" in answers:
            answer = answers["ready_info"]
            seen.update(ready=answer["ready"],
                        answers=next((one["answers"] for one in answer["seen"].values()), "nothing"))
        # Its clock was read somewhere within this time.
        host = dict(answers["host_info"], clock_within=time.time() - began) if "host_info" in answers else {}
        seen.update(host=host, gateways=answers.get("grpc_health_info", {}).get("seen", {}))
        if failed:
            raise failed
        if "gateway" in parts and node["database_unit"] in node["units"] and not node["problem"]:
            seen["gateways"] = self.own_gateway(node)

    @staticmethod
    def questions(product, node, parts):
        """What only who knows what the node is can ask: arguments by module."""
        asked = {}
        if "host" in parts:  # the first, for it compares the clocks
            asked["host_info"] = dict(path=node["venv"], releases=node["releases"], reference=time.time(),
                                      commands=DUMPS, directories=keys(node["distribution"])["directories"])
        if node["drain_grace_source"] == "assumed":
            # Only the journal may still tell, and to read it takes long.
            asked["units_info"] = stops_question(product)
        if "ready" in parts:
            asked["ready_info"] = dict(urls=[node["ready_url"]], unit=node["api_unit"])
        if "gateways" in parts and not node["problem"]:  # else there is no Python that could ask
            asked["grpc_health_info"] = dict(targets=node["gateways"])
        return asked

    def answers(self, asked, task_vars):
        calls = [("", module, arguments) for module, arguments in asked.items()]
        return dict(zip(asked, self.several(task_vars, *calls))) if calls else {}

    def own_gateway(self, node):
        """Its health. A broken virtualenv costs the node this word only."""
        asked = dict(grpc_health_info=dict(targets=[node["gateway"]]))
        try:
            return self.answers(asked, self.in_venv(node["venv"]))["grpc_health_info"]["seen"]
        except Failed:
            return {}
