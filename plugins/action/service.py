# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: take one service of a node to a release.
# state: drained takes it out of rotation, has it get no new work, and waits for what is in progress. restarted moves
# its link to the release and restarts it, gated waits until it works on that, admitted takes back what drained did.
# state: restored returns a service that has failed to what it was, told makes the message on it.
# state: reloaded has it use what only the whole cloud can do.

import functools
import json

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _failure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, haproxy_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import told_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import (
    REASON,
    is_needed,
    is_to_run,
    services_of,
    told_of_service,
    url_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StatesAction

TEXT, DATA, SECONDS = dict(type="str", default=""), dict(type="dict", default={}), dict(type="float", default=120)
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["drained", "restarted", "gated", "admitted", "restored", "told",
                                                   "reloaded"]),
    node=DATA, target=DATA, services=dict(type="list", elements="dict", default=[]), service=TEXT, info=TEXT,
    api=dict(type="dict", default={}, no_log=True), health_path=TEXT, smoke_path=TEXT,
    smoke_status=dict(type="int", default=200),
    minimum=dict(type="int"), quorum_timeout=SECONDS, drain_timeout=SECONDS,
    detection=dict(type="float", default=0), restart_timeout=SECONDS, gate_timeout=SECONDS,
    settle=dict(type="float", default=0), hooks=DATA,
)

# What a release directory has of the services that have had their SIGHUP: the run of each.
RELOADED = ".rolling-reloaded"


class ActionModule(StatesAction):
    """Take a service a part of the way; each is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        given = self.given
        self.node = given.node
        if given.service:
            self.service = next(one for one in services_of(given.services) if one.name == given.service)
            self.now = self.node["services"][given.service]
        self.settings = balancers_of(self.setting)

    def info(self, title, **arguments):
        """Ask the product itself; by the Python of whatever release the service runs."""
        return self.module(self.given.info, self.in_venv(self.now["link"]), title=title, config=self.node["config"],
                           **arguments)

    def dead(self, names):
        """Of what no heartbeat is waited for, where there is any: it was dead before, which was allowed."""
        found = [host for binary, host in self.run_record.plan.get("dead") or [] if binary in names]
        return dict(dead=found) if found else {}

    def url(self, path):
        return url_of(self.node, path)

    def look(self):
        """The unit as it is now: since the preflight, a cluster manager may have moved the service to another node."""
        one = self.service.name
        return self.call("Look at the service", "units_info", patterns=[one])["units"][one]

    def has_begun(self):
        """Whether this run has taken the service out of service."""
        return "began" in self.record.services.get(self.service.name, {})

    def peers(self):
        """The health checks of this service on the other nodes where it is to run, and how many must succeed.

        One that was down or out of rotation at the preflight need not be back, but this one is not the last to serve.
        """
        hostvars, found, served = self.hostvars, [], 0
        for name in self.run_record.plan.get("serving") or []:
            other = plain(hostvars[name].get("cluster_node") or {}) if name != self.name else {}
            one = (other.get("services") or {}).get(self.given.service)
            # What the preflight has found out of service, this run may have taken back.
            back = one and "ended" in node_of(hostvars, name, self.run_record).services.get(self.given.service, {})
            # What an operator has taken out of the balancer does not serve, and stays so.
            if one and is_to_run(one) and (one["shut"] or not one["out"]):
                found.append(url_of(other, self.given.health_path))
                served += back or one["active"] and not one["shut"]
        return found, max(served, 1)

    def suspects(self, cause):
        """The nodes whose health check a step has missed."""
        nodes = {name: plain(self.hostvars[name].get("cluster_node") or {}) for name in
                 self.run_record.plan.get("serving") or [] if name != self.name} if cause.not_ready else {}
        return [name for name, other in nodes.items()
                if other and url_of(other, self.given.health_path) in cause.not_ready]

    def haproxy(self):
        return haproxy_of(self.settings, self.name)

    def balancer(self, expect, timeout):
        """Wait until HAProxy has the node out, or in again; gives whether there is one to be asked."""
        where = self.haproxy()
        if where:
            self.call(f"Wait until the balancer marks the service {expect}", "haproxy_info", address=where["address"],
                      backend=where["backend"], servers=[where["server"]], expect=expect, timeout=timeout)
        return bool(where)

    def health(self, state, pause=0.0):
        return self.call("Have the health check fail" if state == "present" else "Have the health check succeed again",
                         "health_file", path=self.node["settings"]["disable_file"], state=state, pause=pause,
                         url=self.url(self.given.health_path), timeout=self.given.gate_timeout)

    def switch(self, title, state, reason=""):
        return self.call(title, "cinder_service", state=state, reason=reason, binary=self.service.name,
                         host=self.node["settings"]["host"], **self.given.api)

    # ---- the way through

    def drained(self):
        given, one, unit = self.given, self.service, self.look()
        if not is_to_run(unit):
            return
        if one.drain:
            peers, served = self.peers()
            if peers:
                self.begin("quorum")
                self.call("Wait until enough others serve", "ready_info", urls=peers, timeout=given.quorum_timeout,
                          minimum=served if given.minimum is None else given.minimum)
        self.begin("drain")
        self.mark("began")
        if one.drain or self.disables():
            self.out(self.before())
        if self.disables():
            answer = self.switch("Give the service no new work", "disabled", REASON)
            # By a run that was killed, or before the connection was lost, it is not as it was.
            ours = self.now["shut"] or answer.get("own")
            self.out("enabled" if ours else answer.get("was", self.before()))
        if one.drain:
            self.shut()
        if self._task.check_mode:
            return  # nothing was changed, so nothing would come of a wait
        if one.idle and unit["active"]:
            self.info("Wait until nothing is in progress", services=[one.name], idle=True, timeout=given.drain_timeout)

    def shut(self):
        """Have the balancer send nothing more."""
        own = self.health("present", 0.0 if self.haproxy() else self.given.detection).get("own", True)
        self.out("enabled" if own else "disabled")
        if not self._task.check_mode:
            # Not to wait for work in progress is no reason to restart what still gets requests.
            self.balancer("down", self.given.drain_timeout or self.given.gate_timeout)

    def restarted(self):
        runs = is_to_run(self.look())
        if runs and not self.service.drain:
            self.mark("began")
        self.begin("activate")
        self.activate(self.given.target["name"])
        if runs:
            self.begin("restart")
            self.restart()

    def activate(self, release):
        self.call("Activate the release of the service", "release", state="active", name=release, path=self.now["link"],
                  scripts="release", releases=self.node["releases"], distribution=self.node["distribution"])

    def restart(self):
        one = self.service.name
        self.call("Restart the service", "units", tiers=[[one]], timeout=self.given.restart_timeout)
        if self._task.check_mode:
            return
        unit = self.call("See how it stopped", "units_info", patterns=[one], stops=[one])["units"][one]
        stop = next(iter(unit.get("stops") or []), dict(itself=True))
        words = [] if stop["itself"] else [f"{one} did not stop by itself (after {stop['seconds']:.0f} s): what was in "
                                           "progress may be in error"]
        self.note(runs={**self.record.runs, one: dict(after=unit["invocation"], restarts=unit["restarts"],
                                                      started=unit["started"])},
                  notes=[*self.record.notes, *words])

    def gated(self):
        if self.service.name in self.record.runs:
            self.begin("gate")
            self.gate(self.given.target["name"])
            self.mark("ended")

    def gate(self, release):
        given, one = self.given, self.service
        run = (self.values.get("runs") or self.record.runs)[one.name]
        up = {one.name: run}
        if one.drain:
            # It is still out of rotation: what is broken meets nobody.
            self.call("Wait until every worker answers", "ready_info", urls=[self.url(given.smoke_path)], unit=one.name,
                      status=given.smoke_status, connections=4, rounds=2, timeout=given.gate_timeout, up_since=up)
        if one.beats:
            self.info("Wait for a heartbeat since the start", services=[one.name], beat_since=run["started"],
                      timeout=given.gate_timeout, up_since=up, **self.dead([one.name]))
        unit = self.call("Stop if the service has not stayed up", "units_info", patterns=[one.name],
                         up_since=up)["units"][one.name]
        self.check("" if self.runs_of(unit, release) else
                   f"expected {one.name} to run a program of {self.node['releases']}/{release}/; it runs "
                   f"{unit['program']}", "Check what it runs")

    def runs_of(self, unit, release):
        return unit["program"].startswith(f"{self.node['releases']}/{release}/")

    def admitted(self):
        if self._task.check_mode:
            return
        if self.has_begun():
            self.admit()
        done = {**self.record.services, **self.values.get("services", {})}
        done.setdefault(self.service.name, {})
        left = self.run_record.plan.get("services", {}).get(self.name) or []
        self.note(services=done, rolled=all(name in done for name in left))

    def admit(self):
        given, one = self.given, self.service
        # What an operator has taken out of rotation, also since the preflight, stays so.
        was = self.so_far("balancers").get(one.name, self.before())
        if one.drain and (self.now["shut"] or was == "enabled"):
            self.begin("gate")
            self.health("absent")
            if not self.balancer("up", given.gate_timeout):
                self.begin("settle")
                answer = self.call("Watch the service while the balancer takes it back", "ready_info", interval=1,
                                   urls=[self.url(given.health_path)], rounds=max(int(given.settle), 1))
                seen = ", ".join(each["answers"] for each in answer["seen"].values())
                self.check("" if answer["ready"] else f"expected 200 for {given.settle:g} s after its health check "
                           f"was to succeed again; it was ready, and then was not: {seen} at the last look",
                           "Stop if it did not stay ready")
            self.mark("ended")
        if one.disable and given.api and (self.now["shut"] or was == "enabled" and self.disables()):
            self.begin("gate")
            self.switch("Give the service work again", "enabled")
        self.out("")

    def disables(self):
        """Whether it is disabled before its stop."""
        return bool(self.service.disable and self.given.api) and not is_needed(self.node, self.service)

    def before(self):
        """What the service was when this run began."""
        stays = self.now["disabled"] or self.now["out"] and not self.now["shut"]
        return "disabled" if stays else "enabled"

    def out(self, was):
        """Note that the service is out of rotation, or disabled, and what it was; empty once it is back."""
        self.note(balancers={**self.record.balancers, self.service.name: was})

    def reloaded_path(self):
        return f"{self.node['releases']}/{self.given.target['name']}/{RELOADED}"

    def reloaded(self):
        """Have the services of this node use what only the whole cloud can do; once for each of their runs."""
        runs = {one.name: self.node["services"][one.name]["invocation"] for one in services_of(self.given.services)
                if one.hup and self.node["services"].get(one.name, {}).get("active")}
        path, text = self.reloaded_path(), json.dumps(runs, sort_keys=True)
        known = self.persist(lambda: self.execute(["cat", path]), self.task_vars)
        if self._task.check_mode or not known.get("failed") and known.get("stdout") == text:
            return
        for name in runs:
            # Before systemd 252 it has no --kill-whom; since then this is an abbreviation.
            self.kept(lambda name=name: self.execute([
                "systemctl", "kill", "--signal=HUP", "--kill-who=main", name]),
                f"Have {name} choose the version of its RPC again")
        self.check_reloaded(runs)
        self.write("Record that they have", path, text, "600")

    def check_reloaded(self, runs):
        """A parent process that lives on does not tell whether its children came back."""
        given, node, asked = self.given, self.node, [one.name for one in services_of(self.given.services)
                                                     if one.name in runs and one.beats]
        up = {name: dict(after=run, restarts=node["services"][name]["restarts"]) for name, run in runs.items()}
        if asked and given.info:
            ask = functools.partial(self.module, given.info, self.in_venv(node["venv"]), config=node["config"])
            answer = ask(title="Look at the last heartbeats")
            rows = answer.get("services") or []
            self.tell_of_lost(rows, answer.get("work") or [])
            last = max((row["updated"] for row in rows if row["here"] and row["binary"] in asked), default=0)
            ask(title="Wait for a heartbeat since then", services=asked, beat_since=last + 1,
                timeout=given.gate_timeout, up_since=up, **self.dead(asked))
        if runs:
            self.call("Stop if a service has not stayed up", "units_info", patterns=list(runs), up_since=up)

    def tell_of_lost(self, rows, work):
        """What was in progress when its service was restarted is resumed, or in error; else that has lost it."""
        now = max((row["updated"] + row["age"] for row in rows if row["age"] is not None), default=0)
        starts = {name: run["started"] for name, run in self.record.runs.items() if "started" in run}
        lost = [f"{self.name}: {one['kind']} {one['id']} has been {one['status']} since before {one['binary']} was "
                "restarted: if that lasts, nobody works on it any more (docs/cinder.md, What it needs)"
                for one in work if one["binary"] in starts and now - one["age"] < starts[one["binary"]]]
        for words in lost:
            self.say(f"warn  {words}")
        if lost:
            self.add_notes(*lost)

    # ---- the way back

    def restored(self):
        self.begin("restore")
        returned = False
        try:
            words, returned = self.go_back(), True
        except Exception as exc:
            why = told_of(exc.title, exc.result) if isinstance(exc, Failed) else f"{type(exc).__name__}: {exc}"
            words = f"could not be returned to service ({why}){self.still_out()}"
        self.note(restored=words)
        return dict(returned=returned)

    def still_out(self):
        """What was done before the restart, and is still so."""
        one, balancers = self.service, self.so_far("balancers")
        if not (balancers[one.name] == "enabled" if one.name in balancers else self.now["shut"]):
            return ""
        if one.drain:
            path = self.node["settings"]["disable_file"]
            return f". It is OUT OF ROTATION: its health check fails as long as {path} is there"
        return ". It may still be disabled, and then gets no new work" if one.disable and self.given.api else ""

    def origin(self):
        """The release from which an earlier run has taken the service; the one that it is on if nothing leads back."""
        target = self.given.target["name"]
        # Once the services here speak the RPC of the new release, none goes back.
        if self.exists(self.reloaded_path(), "See whether the services use what only the new release can do"):
            return target
        known = (self.node[key].get("name") for key in ("release", "previous"))
        return next((name for name in known if name and name != target), target)

    def go_back(self):
        one, unit = self.service.name, self.look()
        # A run that was killed may have led its link to the release already, and not restarted it.
        before = self.now["active"] and self.now["runs"] or self.now["release"]
        # One that did not come up in time may have done so since.
        stays = unit["active"] and one not in self.record.runs and self.runs_of(unit, before)
        # What a cluster manager has moved away meanwhile would be started twice.
        gone = self.has_begun() and not is_to_run(unit)
        again = self.has_begun() and not stays and not gone
        if again and before == self.given.target["name"]:
            before = self.origin()
        if again and self.service.drain and self.record.balancers.get(one) == "":
            self.shut()  # it was let in, and then a hook has failed
        self.activate(before)
        if again:
            self.note(failure=dict(self.record.failure, way="back"))
            self.restart()
            self.gate(before)
        if self.has_begun() or self.now["shut"] and unit["active"]:
            self.admit()
        if gone:
            return f"has its link to {before} again, and was not started: it neither runs nor is enabled any more"
        if self.has_begun():
            self.mark("ended")
        if not again:
            return f"is on {before} as before"
        return f"went back to {before}" if before != self.given.target["name"] else (
            f"was restarted on {before}, to which an earlier run had taken it")

    def told(self):
        cause = _failure.Cause(**self.record.cause)
        left = self.record.restored or f"was left as it is{self.still_out()}"
        ran = _failure.failed_run(cause, self.record.timeline) if self.record.failure.get("way") == "back" else ()
        undone = _failure.still_out({}, self.given.hooks, self.record.failure.get("hook", ""))
        text = told_of_service(self.given.service, self.name, cause, " ".join([f"{left}.", *undone]),
                               self.run_record.plan.get("command") or "", ran, self.suspects(cause))
        if not cause.stopped:
            self.mark("failed", True)
        self.note(failure=dict(text=text, state=self.record.restored, serves=True))
        return dict(message=text)
