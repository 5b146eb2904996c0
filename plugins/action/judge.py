# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: judge whether a cluster is fit to be rolled, and plan the roll.
# question: who asks which nodes ask the API and pip for the others.
# question: unseen asks what the API tells of the nodes that --limit leaves out.
# question: plan asks for the plan. It fails, with all findings, if the cluster is not fit. The plan goes into the
# record of the run, so the task is for localhost.
# question: status asks how the nodes are. schema is what the node has seen that who has named as tier.

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, drain_balancers, true
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._judge import (
    LACKING,
    NOBODY_ASKS,
    Options,
    Sight,
    judge,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names, reason
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    RUN_FACT,
    addresses_of,
    changed,
    node_of,
    plain,
    playbook_command,
    run_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._schema import migrated, summary_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._staging import OWN
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._status import (
    builds_of,
    judge_status,
    lines_of,
    tier_of,
)

ARGUMENTS = dict(
    question=dict(type="str", choices=["who", "unseen", "plan", "status"], required=True),
    nodes=dict(type="list", elements="str", default=[]),
    api=dict(type="dict", default={}),
    lock=dict(type="dict", default={}),
    schema=dict(type="dict", default={}),
    unseen_seen=dict(type="dict", default={}),
    options=dict(type="dict", default={}),
)

FLAGS = ("allow_degraded", "allow_downgrade", "allow_skip", "cut_short", "sentinels")


class ActionModule(ControllerAction):
    """Answer one question from what is known of all nodes of the play."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        hostvars = task_vars["hostvars"]
        run = run_of(hostvars)
        sight = self.sight(hostvars, run, list(task_vars["ansible_play_hosts_all"]), arguments["nodes"],
                           arguments["question"])
        try:
            return getattr(self, arguments["question"])(sight, arguments, run, task_vars)
        except AnsibleError as exc:
            return dict(failed=True, msg=str(exc))

    def sight(self, hostvars, run, play, nodes, question):
        """What is known of all nodes, as far as it matters for a question."""
        records = {name: node_of(hostvars, name, run) for name in play}

        def value(name, key, default):
            # A value that cannot be worked out yet is none.
            try:
                found = plain(hostvars[name].get(key, default))
            except AnsibleError:
                return default
            return found if default is None or isinstance(found, type(default)) else default

        def told(name):
            """Whether each balancer that is set for a node is told before its drain. Only a plan asks for that."""
            if question != "plan":
                return False
            variables = hostvars[name]

            def get(key, default):
                # Whether the requests in flight are waited for does not matter here.
                return 1 if key.endswith("_sessions_timeout") else plain(variables.get(key, default))

            try:
                return drain_balancers(balancers_of(get), records[name].asked)["told"]
            except AnsibleError:
                return False

        def addresses(name):
            """Those of a node that cannot say them."""
            host = value(name, "ansible_host", "") or name
            # Only where they are compared is a name server waited for.
            compared = question in ("unseen", "plan") or question == "status" and name in play
            return addresses_of(host) if compared else [host]

        return Sight(
            seen={name: {**LACKING, **record.seen, **self.balancers(record), "balancer_told": told(name),
                         "units": value(name, "restart_units", None) if question == "plan" else None,
                         "zone": value(name, "rolling_zone", "")} for name, record in records.items()},
            resolved={name: value(name, "stage_resolved", {}) for name in play},
            problems=[reason(record.unresolved) for record in records.values() if record.unresolved],
            addresses={name: addresses(name) for name in nodes
                       if name not in play or not records[name].seen.get("node")})

    @staticmethod
    def balancers(record):
        """What the balancers say of a node, as the checks want it."""
        haproxy, failure = record.asked.get("haproxy") or {}, record.asked.get("failure")
        found = dict(balancer=haproxy if "problems" in haproxy else {},
                     told=[one for one in record.asked.get("told") or [] if one])
        return dict(found, failure=reason(failure)) if failure else found

    def who(self, sight, arguments, run, task_vars):
        """Who asks for the others. Each node has its own way back, and its own daemons to be restarted."""
        asker, of = sight.asker(), sight.resolver_of()
        node = sight.seen[asker]["node"] if asker else {}
        alone = run.kind in OWN
        by = list(sight.seen) if run.kind == "rollback" else list(of) if alone else list(dict.fromkeys(of.values()))
        return dict(asker=asker, tier=self.of_tier(sight, arguments), url=node.get("api_url", ""),
                    credentials=node.get("credentials", ""), resolving=by, limited=bool(sight.hidden()),
                    target_of={} if alone else {name: other for name, other in of.items() if other != name})

    def unseen(self, sight, arguments, run, task_vars):
        return dict(unseen=sight.unseen(arguments["api"]))

    def plan(self, sight, arguments, run, task_vars):
        given = {key: value for key, value in arguments["options"].items() if value is not None}
        given.update({key: true(given[key]) for key in FLAGS if key in given})
        given["database"] = names(given.get("database"))
        kind = run.kind if run.kind in OWN else "upgrade"
        if kind != "upgrade":
            given["backup"] = "never"
        lock = arguments["lock"]
        options = Options(kind=kind, groups=dict(task_vars["groups"]), lock=lock["words"] if lock.get("held") else "",
                          in_hand=(lock.get("broken") or {}).get("nodes", []), **given)
        ready = [url for url, one in arguments["unseen_seen"].items() if one.get("ready")]
        unseen = sight.unseen(arguments["api"])
        found = judge(sight, options, arguments["api"],
                      command=playbook_command(task_vars, f"shakenfist.rolling.{kind}"),
                      unseen_ready=[name for name, node in unseen.items() if node["ready_url"] in ready])
        if found.refusal:
            return dict(failed=True, msg=found.refusal)
        plan = dict(found.plan, began=run.began)
        return dict(report=found.report, order=found.order, hard_cut=plan["order"][0] if plan["alone"] else "",
                    ansible_facts={RUN_FACT: changed(run, plan=plan)})

    def status(self, sight, arguments, run, task_vars):
        api = arguments["api"] if "known" in arguments["api"] else NOBODY_ASKS
        nodes = {name: dict(seen, gateway=next(iter(seen["gateways"].values()), ""))
                 for name, seen in sight.seen.items()}
        database = names(arguments["options"].get("database"))
        verdict = judge_status(nodes, database, api, sight.addresses)
        lock = arguments["lock"] if "words" in arguments["lock"] else {}
        cluster = [*builds_of(nodes), *tier_of(nodes, database, api, sight.addresses),
                   *self.schema(sight, arguments)]
        return dict(report=lines_of(verdict, api, lock=lock, limited=bool(sight.hidden()), cluster=cluster),
                    ill=[name for name, node in verdict.items() if node["ill"]])

    @staticmethod
    def of_tier(sight, arguments):
        """The node of the database tier that can be asked about the schema, which is one for all; empty if none can."""
        return next((name for name in names(arguments["options"].get("database")) if name in sight.able()), "")

    def schema(self, sight, arguments):
        """What there is to say of the schema; nothing where no node could ask."""
        found, name = arguments["schema"], self.of_tier(sight, arguments)
        if not name or "recorded" not in found:
            return []
        node = sight.seen[name]["node"]
        return migrated(node["release"].get("version"), summary_of(found, node["venv"]))
