# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: work out how a roll would go.
# Tells from the plan in the record of the run, and from what was seen of the nodes, how long each of them would be
# out of rotation, what would be restarted, what would be migrated, and for how long the roll would take. The task
# runs once. by_service is true of a product that is rolled service by service.

import json
import os

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, drain_balancers, true
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._forecast import forecast_of, lines_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import order_of, restart_order, units_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import forecast_of_services
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import forecast_of_tier
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verdict import on_target

ARGUMENTS = dict(
    staged=dict(type="bool", default=False),
    settle=dict(type="float", default=10),
    bake=dict(type="float", default=10),
    strategy=dict(type="str", choices=["clone", "in_place"], default="clone"),
    cut_short=dict(type="bool", default=False),
    file=dict(type="path", default=""),
    by_service=dict(type="bool", default=False),
)


class ActionModule(ControllerAction):
    """Forecast the run from its plan."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        hostvars = task_vars["hostvars"]
        plan = run_of(hostvars).plan
        if arguments["by_service"]:
            forecast = forecast_of_tier if plan.get("tier") else forecast_of_services
            found, lines = forecast(plan, {name: plain(hostvars[name]["cluster_node"]) for name in plan["order"]})
        else:
            nodes = {name: self.node(hostvars, name) for name in plan["order"]}
            looks = [self.look(hostvars, name, arguments["staged"]) for name in plan["schema"]]
            found = forecast_of(plan, nodes, schema=looks, settle=arguments["settle"], bake=arguments["bake"],
                                strategy=arguments["strategy"], cut_short=arguments["cut_short"])
            lines = lines_of(found)
        result = dict(forecast=found, lines=lines)
        if arguments["file"]:
            try:
                result["changed"] = self.write(os.path.abspath(os.path.expanduser(arguments["file"])),
                                               json.dumps(found, indent=4, sort_keys=True) + "\n")
            except OSError as exc:
                result.update(failed=True, msg=f"The plan cannot be written to {arguments['file']}: {exc.strerror}. "
                              "Set plan_file to a file that you may write")
        return result

    @staticmethod
    def node(hostvars, name):
        """What a node is, and what is restarted there in which order; see the variables of role restart."""
        node, own = plain(hostvars[name]["cluster_node"]), hostvars[name]
        units = units_of(node, plain(own.get("restart_units")))
        order = restart_order(units, order_of(node, plain(own.get("restart_order"))), node["database_unit"],
                              node["sentinels"], node["units"], alone=not true(own.get("restart_sentinels", True)))
        settings, asked = balancers_of(lambda key, default: plain(own.get(key, default))), node_of(hostvars, name).asked
        return dict(node=node, tiers=order["tiers"], quiet=drain_balancers(settings, asked)["witnessed"],
                    lasting=(asked.get("haproxy") or {}).get("lasting", []))

    @staticmethod
    def look(hostvars, name, staged):
        """What a node of the database tier has seen of the schema, and whether it could ask the new build."""
        own, schema = hostvars[name], node_of(hostvars, name).schema
        node, target = plain(own["cluster_node"]), plain(own["stage_resolved"])
        return dict(schema.get("seen", {}), problem=schema.get("problem", ""),
                    staged=staged or on_target(node, target) or target["name"] in node["staged"])

    def write(self, path, text):
        """Whether the file is another one now."""
        try:
            with open(path, encoding="utf-8") as handle:
                if handle.read() == text:
                    return False
        except OSError:
            pass
        if not self._task.check_mode:
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text)
        return True
