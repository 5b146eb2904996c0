# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: one node's part of an upgrade for which all of a product is stopped.
# What fails is noted, not failed on, so that no node goes on alone: C(agreed) then fails on all of them.
# state: stopped stops and holds one service, switched gives the node the release once all is down, started starts one
# service. configured records how long the operator's tasks took, blamed takes the failure of another task; agreed and
# completed fail for all if one has failed or was lost.
# state: On the way back, examined tells whether there may be one, returned takes code and configuration back, unless
# the action phase has found that what a migration has written forbids it. told makes the message.

import dataclasses
import time

from ansible_collections.shakenfist.rolling.plugins.action.migration import BACKUP
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _failure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._carriers import carrier_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import is_to_run, services_of, url_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED, Failed, StatesAction, skipped
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import (
    BEFORE,
    REST,
    RESTORING,
    Left,
    brief,
    runs_it,
    told_of_tier,
    troubles,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import entry_of

TEXT, DATA, SECONDS = dict(type="str", default=""), dict(type="dict", default={}), dict(type="float", default=120)
LIST = dict(type="list", elements="dict", default=[])
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["stopped", "switched", "configured", "started", "blamed", "agreed",
                                                   "completed", "served", "examined", "returned", "told"]),
    node=DATA, target=DATA, services=LIST, service=TEXT, packages=DATA,
    configuration=dict(type="list", elements="str", default=[]),
    stop_timeout=SECONDS, start_timeout=SECONDS, gate_timeout=SECONDS, stays=dict(type="float", default=3),
    task=TEXT, result=DATA,
)
# Why a node does nothing.
FAILED, NOT_HERE, GOES_ON = "the run has failed", "the node has no such service", "it runs the release already"


class ActionModule(StatesAction):
    """The part of a node; each state is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        self.node, self.everybody = self.given.node, list(task_vars["ansible_play_hosts_all"])
        self.troubles = troubles(self.hostvars, self.run_record, self.everybody, list(task_vars["ansible_play_hosts"]))
        self.plan = self.run_record.plan.get("tier") or {}
        self.carrier = carrier_of(self)

    def place(self, name):
        """A path of ours on the node that is of the time in which all is down."""
        return f"{self.node['releases']}/{name}"

    def has(self, service):
        return service in self.node.get("services", {})

    def tried(self, act):
        """Do it, unless any node has failed, and only note what fails."""
        if self.troubles:
            return skipped(FAILED)
        return self.noting(act)

    def noting(self, act):
        try:
            act()
        except Failed as exc:
            self.blame(exc.title, exc.result)
        return {}

    def blame(self, title, result):
        cause = _failure.cause_of(title or self._task.get_name(), {"timing": self.timing, **result}, time.time())
        self.say(f"fail  {self.name}: {cause.step}: {cause.words}")
        if self.record.cause:
            # A later failure of the start is reported beside the first one.
            first, later = _failure.Cause(**self.record.cause), cause
            cause = dataclasses.replace(first, words=f"{first.words}\n{self.name}: {later.step}: {later.words}",
                                        units=[*first.units, *later.units])
        self.note(cause=plain(vars(cause)))

    # ---- the way through

    def stopped(self):
        if not self.has(self.given.service):
            return skipped(NOT_HERE)
        if self.goes_on(self.given.service):
            return skipped(GOES_ON)
        return self.tried(self.stop)

    def prior(self):
        return self.plan.get("priors", {}).get(self.name, "")

    def goes_on(self, service):
        """Whether a service runs the release already, in a run that only does the rest."""
        return self.plan.get("mode") == REST and runs_it(self.node["services"][service], self.given.target)

    def stop(self):
        one = next(one for one in services_of(self.given.services) if one.name == self.given.service)
        self.begin("stop")
        if self.is_stale():
            self.set_aside()
        self.remember(stopped=self.record.tier.get("stopped", []))
        began = time.time()
        # One that a killed run has left down is so since nobody here knows when.
        if self.ran(one.name):
            self.mark("began", began)
        answer = self.call(f"Stop {one.name}", "standstill", state="stopped", units=[one.name],
                           timeout=self.given.stop_timeout, release=self.prior(),
                           migrates=self.plan.get("migrates", []),
                           **(dict(quiet=True) if self.given.packages else {}))
        self.remember(stopped=[*self.record.tier.get("stopped", []), *answer["stopped"]])
        if one.name in answer["stopped"]:
            self.mark("began", began)
        if answer["killed"]:
            words = (f"{one.name} did not end in the time that systemd gives it, and was ended by force: what it was "
                     "doing may be half done")
            self.check(f"{words}. See journalctl -u {one.name}; a longer TimeoutStopSec in its unit lets it end by "
                       "itself" if one.killed == "fail" else "", f"Stop {one.name}", failed_units=[one.name])
            self.warn(f"{self.name}: {words}")

    def ran(self, service):
        return bool(self.node["services"][service]["active"])

    def is_stale(self):
        """Whether a copy of the configuration can only be that of a run whose holds somebody has removed.

        All services of the node are held from before it is made until it is dropped. Looked at before the first of
        them is held again: a run that is killed after that leaves holds of its own.
        """
        return bool(self.given.configuration) and self.plan.get("mode") != REST and (
            "stopped" not in self.record.tier) and not all(one.get("held") for one in self.node["services"].values())

    def set_aside(self):
        """What an earlier run has kept of the configuration: to take it back would undo what the operator has done."""
        path = self.call("Set aside what an earlier run has kept", "kept_files", state="aside",
                         paths=self.given.configuration, dest=self.place(BEFORE))["aside"]
        if path:
            words = (f"{self.name}: somebody has removed what held its services since a run that has not come to its "
                     f"end. What the configuration was before that run is in {path}, and is not taken back any more")
            self.warn(words)

    def switched(self):
        result = self.tried(self.switch)
        # Where a node has failed already, nothing was kept of the configuration, so nothing may change it. And a run
        # that does the rest leaves alone what was configured before anything was started.
        comes = any(one["release"] != self.given.target["name"] for one in self.node["services"].values())
        return dict(result, goes_on=not self.troubles and "cause" not in self.values and (
            comes or self.plan.get("mode") != REST))

    def switch(self):
        self.begin("activate")
        left = [name for name in self.node["services"] if not self.goes_on(name)]
        self.call("Check that all is down", "standstill", state="down", units=left)
        # What does the rest goes back to nothing.
        if self.given.configuration and self.plan.get("mode") != REST:
            self.call("Back up the configuration", "kept_files", state="kept", paths=self.given.configuration,
                      dest=self.place(BEFORE))
        self.remember(switched=self.prior())
        self.carrier.switch(left)
        self.remember(on=self.given.target["version"])

    def configured(self):
        self.entries.append(self.hook())
        return {}

    def hook(self):
        """When the operator's tasks ran. They leave no time behind: from the end of our last module, on any node."""
        ended = [entry["ended"] for name in self.everybody
                 for entry in node_of(self.hostvars, name, self.run_record).timeline]
        return entry_of(self.step, max(ended, default=time.time()), time.time(), "hook", {}, {})

    def started(self):
        """Start the service, on whatever release its node has now. What fails keeps no other from its start."""
        back = bool(self.record.tier.get("back"))
        if not self.has(self.given.service):
            return skipped(NOT_HERE)
        # Where it, or all, failed before the start and nothing went back, it would be the new release on what was not
        # migrated.
        begun = self.record.tier.get("started") or not self.record.cause and (
            self.plan.get("mode") == REST or self.left().started())
        if not back and self.troubles and not begun:
            return skipped(FAILED)
        return self.noting(self.start) if not back else self.start_again()

    def start(self):
        if not self.record.tier.get("started"):
            self.forget_before()
        self.begin("start")
        self.remember(started=True)
        self.bring_up(self.given.target["name"])
        self.mark("ended")

    def forget_before(self):
        """From here on nothing goes back. Left there, it would pass for what was before another run."""
        if self.given.configuration:
            self.call("Forget the configuration of before", "kept_files", state="dropped",
                      paths=self.given.configuration, dest=self.place(BEFORE))
        if self.name not in self.plan.get("places", {}).values() or self._task.check_mode:
            return
        # Which of them is there tells whether the backup is to be restored. That the database was migrated stays known.
        self.remove("Forget the restore point", *map(self.place, (RESTORING, BACKUP[0])))

    def bring_up(self, release):
        given, one = self.given, next(one for one in services_of(self.given.services)
                                      if one.name == self.given.service)
        answer = self.call(f"Start {one.name}", "standstill", state="started", units=[one.name],
                           timeout=given.start_timeout, stays=given.stays)
        if self._task.check_mode:
            return
        if self.step == "start" and one.name in answer["started"] and self.ran(one.name) and (
                "began" not in self.record.services.get(one.name, {})):
            # No stop of ours: what has given the node the release has ended it, or it has ended by itself meanwhile.
            self.mark("began", min((entry["began"] for entry in self.record.timeline if entry["step"] == "activate"),
                                   default=None))
        if not self.record.tier.get("back"):
            self.begin("gate")
        run = answer["units"][one.name]
        if one.name in answer["started"]:
            if one.answers:
                node = dict(self.node, settings=dict(self.node.get("settings") or {}, port=one.answers["port"]))
                self.call(f"Wait until {one.name} answers", "ready_info", timeout=given.gate_timeout, unit=one.name,
                          urls=[url_of(node, one.answers.get("path", "/"))], status=one.answers.get("status", 200),
                          up_since={one.name: run})
            unit = self.call(f"Stop if {one.name} has not stayed up", "units_info", patterns=[one.name],
                             up_since={one.name: run})["units"][one.name]
            self.check(self.carrier.runs_another(one.name, unit, release), f"Check what {one.name} runs",
                       failed_units=[one.name])

    def served(self):
        """After a reboot all of it runs again, as it did before."""
        for name, one in self.node["services"].items():
            if is_to_run(one) and not self._task.check_mode:
                self.given.service = name
                self.bring_up(self.given.target["name"])
        return {}

    def start_again(self):
        """On the way back the first cause is what counts; what does not start is told beside it."""
        self.begin("restore")
        try:
            self.bring_up(self.record.tier["back"])
            self.mark("ended")
        except Failed as exc:
            words = f"{self.name}: {_failure.told_of(exc.title or 'start', exc.result)}"
            self.say(f"fail  {words}")
            self.remember(down="\n".join(filter(None, [self.record.tier.get("down", ""), words])))
        return {}

    def blamed(self):
        """Take the failure of a task that is no state of this one."""
        if not self.record.cause:
            result = self.given.result
            self.blame(self.given.task, dict(timing=self.hook(), **result) if self.step == "reconfigure" else result)
            noted = result.get(NOTED) or {}
            tier = {**noted.get("tier", {}), **self.values.get("tier", {})}
            self.note(**{**{key: value for key, value in noted.items() if key not in ("timeline", "tier")},
                         **self.values, **(dict(tier={**self.record.tier, **tier}) if tier else {})})
        return {}

    def agreed(self):
        """Before anything is started: in a run that does the rest nothing waits for another one."""
        self.check(brief(self.troubles) if self.plan.get("mode") != REST else "")
        return {}

    def completed(self):
        self.check(brief(self.troubles))
        if not self._task.check_mode:
            self.note(rolled=True)
        return {}

    # ---- the way back

    def examined(self):
        """What is told is the same on all nodes; the cause is that of the node that has one."""
        result = self.given.result
        if not self.troubles:
            self.note(cause=plain(vars(_failure.cause_of(self.given.task, result, time.time()))))
        left = self.left()
        return dict(back=left.leads_back(), stopped=bool(result.get("stopped")))

    def left(self):
        records = {name: node_of(self.hostvars, name, self.run_record) for name in self.everybody}
        lost = [name for name, cause in self.troubles.items() if cause.lost and not cause.away]
        return Left(self.everybody, records, self.plan.get("priors", {}), self.plan.get("mode", ""), lost,
                    [name for name in lost if self.may_have_migrated(name)])

    def may_have_migrated(self, name):
        """Whether a node that was lost may have begun to migrate, in this run or in one that was killed before it: that
        has left its services held."""
        node = plain(self.hostvars[name].get("cluster_node") or {})
        return node_of(self.hostvars, name, self.run_record).tier.get("migrates") or (
            name in self.plan.get("places", {}).values()
            and any(one.get("held") for one in node.get("services", {}).values()))

    def returned(self):
        """Take code and configuration back, unless what was written has no way back."""
        left = self.left()
        if not left.leads_back() or self.name in left.lost:
            # All others would wait for it once more, while everything is down.
            return skipped("the node is lost" if self.name in left.lost else "there is no way back")
        prior = self.prior()
        self.begin("restore")
        try:
            self.carrier.back(prior)
            if self.given.configuration:
                self.call("Take the configuration back", "kept_files", state="restored",
                          paths=self.given.configuration, dest=self.place(BEFORE))
        except Failed as exc:
            words = f"{self.name}: {_failure.told_of(exc.title or 'way back', exc.result)}"
            self.say(f"fail  {words}")
            self.remember(down=words)
            return {}
        self.remember(back=prior)
        self.note(restored=f"went back to {prior}", rolled=False)
        return {}

    def told(self):
        """The message; of a stop that was asked for only the first node has one, and it ends the run for all."""
        left = self.left()
        text = told_of_tier(self.troubles, left, self.run_record.plan.get("command") or "")
        self.note(failure=dict(text=text, state=left.state().partition("\n")[0],
                               serves=bool(self.record.tier.get("back"))), rolled=self.is_done())
        quiet = not left.touched() and all(cause.stopped for cause in self.troubles.values())
        return dict(message="" if quiet and self.name != self.speaker() else self.in_short(text))

    def speaker(self):
        """A node that has failed and that Ansible still has, or the first one."""
        there = [name for name in self.everybody if name in self.task_vars["ansible_play_hosts"]]
        return next((name for name in there if name in self.troubles), there[0])

    def in_short(self, words):
        """All of it is reported once."""
        speaker = self.speaker()
        if not words or self.name == speaker:
            return words
        became = "runs the release, and" if self.is_done() else f"{self.record.restored or 'goes no further'}, for"
        return f"{self.name} {became} the run has failed: see {speaker}"

    def is_done(self):
        """Whether all of the node was started on the release, whatever has failed elsewhere."""
        return bool(self.record.tier.get("started")) and self.name not in self.troubles
