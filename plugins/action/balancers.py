# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: find the balancers that a node is drained through, and judge their answers.
# state: found reports where each of them is asked. told fails if one has not set what it was asked to set, and records
# which have. asked asks HAProxy, from the host that the task is delegated to, whether it probes the node, and records
# that, and whether a killed run (broken) had the node in hand. answered adds what the others would answer to a drain.
# Neither of the two fails.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import (
    answers_of,
    balancers_of,
    drain_balancers,
    failures_of,
    haproxy_of,
    is_asked,
    remembered,
    sightings_of,
    was_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import plain
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StatesAction

DATA = dict(type="dict", default={})
ARGUMENTS = dict(
    state=dict(type="str", choices=["found", "told", "asked", "answered"], required=True),
    haproxy=DATA, nginx=DATA, apache=DATA, broken=DATA, failure=dict(type="str", default=""),
)


class ActionModule(StatesAction):
    """Answer one of the questions about the balancers; each is a method."""

    arguments = ARGUMENTS
    tells_modules = False

    def prepare(self, task_vars):
        self.settings = balancers_of(lambda name, default: plain(self.setting(name, default)))
        self.haproxy = haproxy_of(self.settings, self.setting("cluster_node", {}).get("name") or self.name)

    def noted(self, began, result, task_vars):
        return {}  # neither a question nor a record takes time worth a report

    def found(self):
        """Without the address of HAProxy, which may have a password in it."""
        settings, decided = self.settings, drain_balancers(self.settings, self.record.asked)
        haproxy = {key: self.haproxy[key] for key in ("backend", "server") if self.haproxy}
        return dict(haproxy=haproxy, haproxy_told=decided["haproxy"], haproxy_last=not self.setting("drain_peers"),
                    elsewhere=bool(settings["haproxy_host"]) and is_asked(settings, self.record.asked),
                    haproxy_was=self.record.balancers.get("haproxy", {}).get("was", ""), nginx=settings["nginx"],
                    apache=(settings["apache_hosts"] or [self.name]) if settings["apache"] else [])

    def told(self):
        results = {kind: getattr(self.given, kind) for kind in ("haproxy", "nginx", "apache")}
        told, was = dict(self.record.balancers), was_of(results["haproxy"])
        if was is not None:
            told = remembered(told, self.haproxy, was, self.record.asked.get("left", False))
            # From there the node cannot ask HAProxy until that is over.
            if results["haproxy"].get("senders"):
                told["haproxy"]["senders"] = results["haproxy"]["senders"]
        told.update({kind: True for kind in ("nginx", "apache") if answers_of(kind, results[kind])})
        self.note(balancers=told)
        failures = failures_of(results)
        # A balancer's host that is lost is no fault of the node, which stays as it is.
        lost = next((dict(lost=True, away=each.get("away", "")) for each in failures.values() if each.get("lost")), {})
        self.check("; ".join(f"{name}: {each['msg']}" for name, each in failures.items()), logs=list(failures), **lost)

    def asked(self):
        where = self.haproxy
        found: dict = {}
        if where:
            told = drain_balancers(self.settings)["haproxy"]
            # HAProxy does not show who has drained a server, but the lock shows which nodes a killed run had in hand.
            left = self.name in self.given.broken.get("nodes", ())
            # One that can be told needs no checks, and nobody has to wait until it has noticed.
            may = (self.settings["until"] == "quiet" or left) and "://" not in where["address"]
            try:
                answer = self.ask_haproxy(checked=not told and not may)
                if may and not told:
                    told = answer["may_set"]
                    answer = answer if told else self.ask_haproxy(checked=True)
                # Not all of it: it is kept for each node.
                server = answer["servers"].get(where["server"])
                found = dict(haproxy=dict(reachable=answer["reachable"], problems=answer["problems"], told=told,
                                          known=server is not None,
                                          lasting=answer.get("lasting", {}).get(where["server"], []),
                                          **{key: (server or {}).get(key, 0) for key in ("fall", "rise")}))
                left = left and told
                found.update(left=left, probes=told and "L7" in (server or {}).get("check_status", ""))
                status = (server or {}).get("status", "")
                if status.startswith(("DRAIN", "MAINT")):
                    sight = "shut" if left and status.startswith("DRAIN") else "held"
                    found["told"] = [dict(dict(problems=[], shut=[], out=[]), **{sight: ["HAProxy"]})]
            except Failed as exc:
                found = dict(failure=str(exc))
        self.note(asked=found)

    def ask_haproxy(self, checked):
        where = self.haproxy
        return self.module("haproxy_info", self.task_vars, address=where["address"], backend=where["backend"],
                           servers=[where["server"]], checked=checked)

    def answered(self):
        given = self.given
        told = [sightings_of(kind, getattr(given, kind)) for kind in ("nginx", "apache") if self.settings[kind]]
        told = self.record.asked.get("told", []) + told
        self.note(asked=dict(self.record.asked, **(dict(failure=given.failure) if given.failure else dict(told=told))))
