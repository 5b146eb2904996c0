# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: keep the record of a run.
# state: begun makes a new record, and forgets the one of an earlier run. The task runs once, for localhost.
# state: noted adds run to the record of the run, and node to that of the node that the task is for.
# state: running records that the lock is held, where the run has something to do; ended that the run was ended.
# state: seen only returns both.

import os
import time

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._ansible import obstacles
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    NODE_FACT,
    PRODUCTS,
    REQUESTS,
    RUN_FACT,
    Run,
    addresses_of,
    changed,
    foreign,
    has_work,
    inventory_of,
    lock_node,
    node_of,
    plain,
    run_of,
    shape_of,
    variables_of,
    way_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import (
    FACTS,
    REASONS,
    TOLD,
    documented,
    known_of,
    ours,
    prefixes,
    products_of,
    unknown,
)

ARGUMENTS = dict(
    state=dict(type="str", choices=["begun", "noted", "running", "ended", "seen"], required=True),
    kind=dict(type="str", choices=["upgrade", "rollback", "restart", "reconfigure", "services", "hosts", "tier",
                                   "plan", "status", "pause", "resume", "stop"], default="upgrade"),
    run=dict(type="dict", default={}),
    node=dict(type="dict", default={}),
)
# By what takes them, the variables of the inventory, and of the file of a product that is rolled service by service.
SETTINGS = {name: name for name in ("rolling_group", "rolling_database_groups")}
PRODUCT = dict(product="rolling_title", playbook="rolling_playbook")


class ActionModule(ControllerAction):
    """Begin the record of the run, or add to it."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        hostvars, name = task_vars["hostvars"], task_vars["inventory_hostname"]
        try:
            facts = getattr(self, arguments["state"])(arguments, task_vars)
        except (AnsibleError, KeyError) as exc:
            return dict(failed=True, msg=str(exc.args[0]))
        run = run_of(hostvars)
        return dict(ansible_facts=facts, run=facts.get(RUN_FACT, plain(vars(run))),
                    node=facts.get(NODE_FACT, plain(vars(node_of(hostvars, name, run)))))

    def begun(self, arguments, task_vars):
        kind = arguments["kind"]
        # The brake must hold with whatever settings.
        timeout, strategy, debugger = (0, "linear", False) if kind in REQUESTS else (
            C.config.get_config_value("TASK_TIMEOUT"), str(C.DEFAULT_STRATEGY),
            C.config.get_config_value("ENABLE_TASK_DEBUGGER"))
        found = obstacles(timeout, strategy, context.CLIARGS, debugger)
        if found:
            raise AnsibleError(f"Nothing was touched. {'; '.join(found)}")
        asked = task_vars.get("rolling_product")
        if asked and "rolling_title" not in task_vars:
            known = sorted(path.stem for path in PRODUCTS.glob("*.yml"))
            raise AnsibleError(f"Nothing was touched. There is no product {asked}: it is neither one of those that are "
                               f"known ({', '.join(known)}), nor does a file {os.path.realpath(asked)} set "
                               "rolling_title. Correct rolling_product; a path is relative to the current directory.")
        settings, product = ({key: self._templar.template(task_vars[name]) for key, name in names.items()
                              if name in task_vars} for names in (SETTINGS, PRODUCT))
        set_by_operator = variables_of(task_vars["hostvars"], task_vars["inventory_hostname"]).get("rolling_product")
        problem = foreign(kind, way_of(task_vars), asked, self._templar.template(set_by_operator),
                          task_vars.get("rolling_made_for", ""), **product)
        if problem:
            raise AnsibleError(problem)
        if kind in REQUESTS:
            self.warn_of_misspelt(task_vars)
        nodes, database = inventory_of(kind, task_vars["groups"], **settings)
        lock = lock_node(nodes, database, {name: self.addresses(name, task_vars["hostvars"]) for name in database})
        run = Run(kind=kind, shape=shape_of(task_vars), nodes=nodes, database=database, lock=lock, **product)
        return {RUN_FACT: plain(vars(run))}

    def addresses(self, name, hostvars):
        """The addresses that a node of the inventory has, as far as they are known here."""
        try:
            host = str(self._templar.template(variables_of(hostvars, name).get("ansible_host") or name))
        except AnsibleError:
            return []
        return addresses_of(host)

    def warn_of_misspelt(self, task_vars):
        """Nothing else checks the variables of a request, and a word too many is no reason to do without the brake."""
        options = documented()
        products = products_of(str(self._templar.template(task_vars.get("rolling_product") or "")))
        own, names = known_of(products)
        meant = filter(ours([*prefixes(options), *REQUESTS], own).match, task_vars)
        found = unknown(meant, [*options, *FACTS, *REASONS, *TOLD, *names], own)
        if found:
            self._display.warning(f"These variables are unknown, and do nothing: {', '.join(found)}")

    def noted(self, arguments, task_vars):
        hostvars, name, facts = task_vars["hostvars"], task_vars["inventory_hostname"], {}
        if arguments["run"]:
            facts[RUN_FACT] = changed(run_of(hostvars), **arguments["run"])
        if arguments["node"]:
            facts[NODE_FACT] = changed(node_of(hostvars, name), **arguments["node"])
        return facts

    def running(self, arguments, task_vars):
        run = run_of(task_vars["hostvars"])
        return {RUN_FACT: changed(run, begun=round(time.time(), 3))} if has_work(run.plan) else {}

    def ended(self, arguments, task_vars):
        return {RUN_FACT: changed(run_of(task_vars["hostvars"]), ended=round(time.time(), 3))}

    def seen(self, arguments, task_vars):
        return {}
