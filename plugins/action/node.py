# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: take a node through the window in which it is out of rotation.
# state: awaited waits until enough other nodes are ready, drained does that and takes the node out of rotation.
# state: restarted restarts its daemons in order, gated waits until it is really ready to serve, admitted only has
# HAProxy send requests again.
# state: settled waits until the next node may follow, and records that this one is rolled.
# state: restored returns a node that has failed to service, and records what has become of that. weighed tells whether
# it is to be drained before that. released leaves one that does not serve to the health checks of HAProxy.
# Role balancer drains through nginx, Apache, and HAProxy that is asked from another host: elsewhere says whether there
# are any.

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import wait_for
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import (
    balancers_of,
    drain_balancers,
    haproxy_of,
    is_asked,
    remembered,
    sources_of,
    was_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import told_of, way_back
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import restart_order, startable, units_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StatesAction

# Seconds that HAProxy is given to find that a node does not serve, and between two looks.
UNCHECKED, INTERVAL = 30, 2
NAMES = dict(type="list", elements="str", default=[])
DATA = dict(type="dict", default={})
TEXT = dict(type="str", default="")
YES = dict(type="bool", default=True)
SECONDS = dict(type="float", default=120)
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["awaited", "drained", "restarted", "gated", "admitted", "settled",
                                                   "weighed", "restored", "released"]),
    node=DATA, unit=TEXT, url=TEXT, peers=NAMES, minimum=dict(type="int"), quorum_timeout=SECONDS,
    drain_timeout=SECONDS, cut_short=dict(type="bool", default=False), units=NAMES,
    order=dict(type="list", elements="list", default=[]), sentinels=YES, lead_clients_away=YES, restart_timeout=SECONDS,
    gateways=NAMES, runs=DATA, connections=dict(type="int", default=16), rounds=dict(type="int", default=3),
    gate_timeout=SECONDS, followed=YES, settle=dict(type="float", default=0), state_timeout=SECONDS, target=DATA,
)


class ActionModule(StatesAction):
    """Take a node a part of the way; each is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        self.node = self.given.node
        self.settings = balancers_of(self.setting)
        self.balancers = drain_balancers(self.settings, self.record.asked)

    def steps(self, task_vars):
        return dict(super().steps(task_vars) or {}, elsewhere=self.balancers["elsewhere"])

    # ---- HAProxy

    def haproxy(self):
        """Where to ask HAProxy from the node itself; nothing if that is not to be done."""
        name = self.node.get("name") or self.task_vars["inventory_hostname"]
        asked = is_asked(self.settings, self.record.asked) and not self.settings["haproxy_host"]
        return haproxy_of(self.settings, name) if asked else {}

    def tell_haproxy(self):
        """Have HAProxy send nothing more. What it said before is recorded even if the sessions do not end in time."""
        where, answer = self.haproxy(), {}
        try:
            answer = self.call("Tell the balancer, and wait until nobody talks to the node", "haproxy_server",
                               state="drain", sessions_timeout=self.given.drain_timeout,
                               allow_last=not self.given.peers, **where)
        except Failed as exc:
            answer = exc.result
            raise
        finally:
            self.note(balancers=remembered(self.record.balancers, where, was_of(answer) or "",
                                           self.record.asked.get("left", False)))

    def admitting(self):
        """The call that lets HAProxy send requests again, if it was us who stopped it."""
        where, told = self.haproxy(), self.record.balancers.get("haproxy", {})
        if where and told.get("was") == "ready":
            yield "Let the balancer send requests again", "haproxy_server", dict(where, state="ready")

    def admitted(self):
        for title, module, arguments in self.admitting():
            self.call(title, module, **arguments)

    def released(self):
        """Undo the drain of a node that HAProxy's own checks keep out, or the next run takes it for the operator's."""
        where, told = self.haproxy(), self.record.balancers.get("haproxy", {})
        if not (where and told.get("was") == "ready" and self.record.asked.get("probes")):
            return
        # A drain that ended early may be over before enough checks have failed.
        if wait_for(lambda: self.is_down(where), UNCHECKED, INTERVAL):
            self.admitted()
            self.note(balancers=dict(self.record.balancers, haproxy={}))

    def is_down(self, where):
        """Whether HAProxy's checks alone keep requests from the node."""
        answer = self.call("Ask the balancer about the node", "haproxy_info", address=where["address"],
                           backend=where["backend"], servers=[where["server"]])
        return answer["servers"].get(where["server"], {}).get("status", "").startswith("DOWN")

    # ---- the window

    def awaited(self):
        given = self.given
        # Where balancers are asked from elsewhere, that has been waited for before the drain through them.
        if given.peers and not (given.state == "drained" and self.balancers["elsewhere"]):
            self.begin("quorum")
            minimum = len(given.peers) if given.minimum is None else given.minimum
            self.call("Wait until enough other nodes are ready", "ready_info", urls=given.peers, minimum=minimum,
                      timeout=given.quorum_timeout)
        self.begin("drain")
        problem = self.balancers["problem"]
        self.check(f"{problem}. Nothing was stopped" if problem else "", "Stop here if the balancer cannot be told")

    def drained(self):
        self.awaited()
        given, where = self.given, self.haproxy()
        if self.balancers["haproxy"] and where:
            self.tell_haproxy()
        # The node itself looks at the balancer while it drains, so it must reach it.
        witness = dict(haproxy=where) if where else {}
        quiet = self.balancers["witnessed"] and not self.record.balancers.get("haproxy", {}).get("senders")
        if quiet:
            witness["balancers"] = sources_of(self.settings, self.address)
        self.call("Stop the API and witness its drain", "drain", unit=given.unit, url=given.url,
                  timeout=given.drain_timeout, told=self.balancers["told"],
                  until="quiet" if quiet else "grace",
                  cut_short=given.cut_short and not given.peers, **witness)
        self.note(stopped=[given.unit], admitted=False)

    def address(self, host):
        """By which another host is reached, which is what the node sees of it, most often."""
        return self.task_vars["hostvars"].get(host, {}).get("ansible_host") or host

    def restarted(self):
        self.restart(list(dict.fromkeys([*self.given.units, *self.record.stopped])), self.node["units"])

    def restart(self, units, states):
        given, node = self.given, self.node
        sentinels = [name for name in node["sentinels"] if name in states]
        plan = restart_order(units, given.order, node["database_unit"], sentinels, states, alone=not given.sentinels)
        asked = [("Restart the daemons that others order after, then the others", "units", dict(
            stop=plan["stop"], tiers=plan["others"], timeout=given.restart_timeout))]
        answers = self.restart_gateway(plan["gateway"]) if plan["gateway"] else []
        answers += self.several(self.task_vars, *asked)
        self.note(runs={name: run for answer in answers for name, run in answer.get("units", {}).items()}, stopped=[])

    def restart_gateway(self, tiers):
        given, gateway = self.given, self.node["gateway"]
        away = dict(server=gateway, servers=self.node["gateways"]) if given.lead_clients_away else None
        # gRPC comes last in a process: whatever is run after it would be forked beside its threads.
        return self.several(
            self.in_venv(self.node["venv"]),
            ("Restart the gateway to the database", "units", dict(tiers=tiers, timeout=given.restart_timeout,
                                                                  lead_away=away)),
            self.serving("Wait until the gateway is SERVING", [gateway], given.restart_timeout))

    @staticmethod
    def serving(title, targets, timeout):
        return title, "grpc_health_info", dict(targets=targets, timeout=timeout)

    def gated(self):
        self.gate({**self.given.runs, **self.record.runs}, self.node["daemons"])

    def gate(self, runs, daemons):
        given, node, where = self.given, self.node, self.haproxy()
        self.several(
            self.in_venv(node["venv"]),
            ("Wait until every worker of the API is ready", "ready_info", dict(
                urls=[node["ready_url"]], unit=node["api_unit"], connections=given.connections, rounds=given.rounds,
                timeout=given.gate_timeout, up_since={name: run for name, run in runs.items() if name in daemons})),
            self.serving("Wait until the gateways are SERVING", given.gateways, given.gate_timeout))
        self.note(admitted=True)
        calls = [*self.admitting()]
        if where:
            calls.append(("Wait until the balancer has the node back", "haproxy_info", dict(
                address=where["address"], backend=where["backend"], servers=[where["server"]], expect="up",
                timeout=given.gate_timeout)))
        self.several(self.task_vars, *calls, ("Stop if a daemon has not stayed up", "units_info", dict(
            patterns=daemons, up_since=runs)))

    def settled(self):
        """When the node serves again, so nothing here costs it time out of rotation."""
        notes: list[str] = []
        plan, checks = self.run_record.plan, self._task.check_mode
        if self.given.followed and not checks:
            self.begin("settle")
            self.stay_ready()
        if plan.get("api") and not checks:
            self.begin("settle")
            notes = self.ask_the_api(plan.get("nodes") or []).get("notes") or []
        self.note(rolled=True, notes=[*self.record.notes, *notes])

    def stay_ready(self):
        """Not only a pause for balancer and clients of the gateway: a node that does not stay ready has failed."""
        node = self.node
        # HAProxy has said UP by now, so nobody has to wait for it.
        settle = 0 if is_asked(self.settings, self.record.asked) else self.given.settle
        answer = self.call("Watch the node while the balancer takes it back", "ready_info", urls=[node["ready_url"]],
                           unit=node["api_unit"], rounds=max(int(settle), 1), interval=1)
        seen = ", ".join(each["answers"] for each in answer["seen"].values())
        self.check("" if answer["ready"] else f"expected 200 from every worker for {settle:g} s after the gate; it was "
                   f"ready, and then was not: {seen} at the last look", "Stop if it did not stay ready")

    def ask_the_api(self, before):
        given, node = self.given, self.node
        return self.call("Wait until the API says that the node is created and reports the release", "nodes_info",
                         credentials=node["credentials"], url=node["api_url"], states=["created"],
                         release=given.target["version"], names=[node["name"]], before=before,
                         sentinels=node["sentinels"], sentinels_alone=not given.sentinels, required=False,
                         timeout=given.state_timeout)

    # ---- the way back

    def restored(self):
        """Go back to the release that the node came from, if it was left already, and start what does not run.

        Whatever fails here is reported beside the first cause.
        """
        self.begin("restore")
        try:
            way = self.go_back()
            self.note(restored=way.message, failure=dict(self.record.failure, way=way.way))
        except Exception as exc:
            why = told_of(exc.title, exc.result) if isinstance(exc, Failed) else f"{type(exc).__name__}: {exc}"
            self.note(restored=f"could not be returned to service ({why})")

    def weighed(self):
        """A node that goes back though it gets requests again is drained once more; one that stays is left alone."""
        return dict(drains=self.record.admitted and self.look()[0].way == "back")

    def look(self):
        """How the node returns to service, and its units."""
        node = self.node
        releases, units = self.several(self.task_vars, ("Look at the releases", "release_info", self.place()),
                                       ("Look at the daemons", "units_info", dict(patterns=units_of(node))))
        return way_back(node, self.given.target, releases, units["units"], self.run_record.changes_release(),
                        bool(self.record.schema.get("moved"))), units["units"]

    def place(self):
        return dict({key: self.node[key] for key in ("releases", "distribution")}, path=self.node["venv"])

    def go_back(self):
        node, (way, units) = self.node, self.look()
        if way.way == "back":
            self.call("Activate the staged release", "release", name=way.release, state="active", **self.place())
        able = {name: unit for name, unit in units.items() if startable(unit)}
        if way.start:
            self.restart(way.start, able)
        # The gate also lets the balancer send requests again, if the drain has told it to stop.
        if way.start or self.record.balancers.get("haproxy", {}).get("was") == "ready":
            self.gate(self.values.get("runs") or self.record.runs, [name for name in node["daemons"] if name in able])
        return way
