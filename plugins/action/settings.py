# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: check what the operator has set.
# Fails if a variable looks like one of this collection and is none, if a value is not of the type that its role or the
# file of its product documents, if it cannot be met, such as a hook whose file is not there, or if it is a hook that
# the roll never includes.
# Looks at the variables of all nodes of the play, so the task runs once.


from ansible import context
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    SAME,
    TIER_GROUPS,
    plain,
    run_of,
    way_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import (
    FACTS,
    documented,
    impossible,
    known_of,
    ours,
    prefixes,
    products_of,
    since,
    unheard,
    unknown,
    unknown_hosts,
    wrong_types,
)

ARGUMENTS = dict(
    nodes=dict(type="list", elements="str", required=True),
    database=dict(type="list", elements="str", required=True),
    extra=dict(type="list", elements="str", default=[]),
)

NO_TIER = (f"No node is in the database tier: the inventory needs a group {TIER_GROUPS} with the nodes that run "
           "sf-database. If yours has another name, pass "
           "-e '{\"rolling_database_groups\": [\"NAME\"]}'.")

BALANCERS = ("haproxy_address", "nginx", "apache")


class ActionModule(ControllerAction):
    """Look at the variables of all nodes of the play."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        hostvars, play = task_vars["hostvars"], list(task_vars["ansible_play_hosts_all"])
        products = products_of(str(self._templar.template(task_vars.get("rolling_product") or "")),
                               task_vars.get("rolling_made_for", ""))
        roles, (own, theirs) = documented(), known_of(products)
        options = {**roles, **{name: option for product in products for name, option in product.options.items()}}
        is_ours = ours(prefixes(roles), own).match
        names = {name for host in play for name in hostvars[host] if is_ours(name)}
        values = [self.values_of(hostvars[host], names, options) for host in play]
        kind = run_of(hostvars).kind
        # Of what leaves the release as it is; the playbooks that roll to another one know no moment.
        given = str(values[0].get("rolling_since", "")) if kind in ("restart", "hosts") and values else ""
        known = {*task_vars["groups"], *hostvars, *(name for group in task_vars["groups"].values() for name in group)}
        problem = (unknown_hosts(context.CLIARGS.get("subset"), sorted(known))
                   or self.misspelt(names, [*options, *FACTS, *theirs, *arguments["extra"]], own)
                   or self.mistyped(options, values)
                   or self.unmet(values, len(arguments["nodes"]), given)
                   # What only looks includes none, and what is set may be for the run that comes.
                   or ("" if kind == "status" else self.unheard(values, products, way_of(task_vars)))
                   or (NO_TIER if not set(arguments["database"]) & set(arguments["nodes"]) else ""))
        if problem:
            return dict(failed=True, msg=f"Nothing was touched. {problem}")
        balancers = [balancers_of(each.get) for each in values]
        return dict(given=given, has_balancers=any(each[name] for each in balancers for name in BALANCERS),
                    **since(kind in SAME, given))

    def values_of(self, variables, names, options):
        """What is set for a node, as far as it is known before anybody has looked at the node."""
        found = {}
        for name in sorted(names & set(options)) + ["_raw_params"]:
            try:
                if name in variables:
                    found[name] = plain(variables[name])
            except AnsibleError:
                pass
        return found

    @staticmethod
    def misspelt(names, known, products):
        found = unknown(names, known, products)
        return f"These variables are unknown, correct or remove them: {', '.join(found)}." if found else ""

    @staticmethod
    def mistyped(options, values):
        found = list(dict.fromkeys(words for each in values for words in wrong_types(options, each)))
        return f"Correct this variable: {'; '.join(found)}" if found else ""

    @staticmethod
    def unmet(values, nodes, given):
        found = list(dict.fromkeys(words for each in values for words in impossible(each, nodes, given)))
        return f"Correct this: {'; '.join(found)}." if found else ""

    @staticmethod
    def unheard(values, products, way):
        ways = {way, *(product.way for product in products[1:])}
        return next(filter(None, (unheard(each, ways) for each in values)), "")
