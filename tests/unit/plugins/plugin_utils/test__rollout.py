# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _rollout
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import (
    Announcement,
    Live,
    Log,
    Rollout,
    Task,
)

NOON = 1763726400.0  # 2025-11-21T12:00:00Z
PLAN = dict(order=["sf-1", "sf-2", "sf-3", "sf-4"], database=["sf-1"], batches=[["sf-2", "sf-3"], ["sf-4"]],
            done=["sf-5"], serving=[], leader="", command="ansible-playbook -e token=hunter2")


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setattr(_rollout.time, "localtime", _rollout.time.gmtime)


class Run:
    """A roll that is told what happens, with a clock of its own."""

    def __init__(self, plan=None):
        self.time, self.events = NOON, []
        self.rollout = Rollout(self.events.append, "upgrade", lambda: self.time)
        if plan:
            self.fact("sf-1", stage_resolved=dict(version="0.8.1"), rolling_run=self.record(plan=plan))

    def task(self, host, step="", module="x", result="ok", seconds=1.0, **data):
        task = Task(step, module, f"Task of {step}")
        self.rollout.started(host, task)
        self.time += seconds
        self.rollout.finished(host, result, task, data)

    @staticmethod
    def record(run="1a2b3c4d", kind="upgrade", **more):
        return dict(id=run, kind=kind, **more)

    def fact(self, host, **facts):
        self.task(host, module="run", seconds=0, ansible_facts=facts)

    def note(self, host, **values):
        self.fact(host, rolling_node=values)

    def roll(self, *hosts):
        """Take nodes through a batch, in 20 seconds."""
        for step, seconds in dict(quorum=1, drain=10, activate=1, restart=2, gate=5, settle=1).items():
            for host in hosts:
                self.task(host, step, result="changed", seconds=seconds / len(hosts))
        for host in hosts:
            self.note(host, rolled=True)

    def told(self, *kinds):
        return [event for event in self.events if event["event"] in kinds]

    def say(self, host, step="", text="words", seconds=1.0):
        self.task(host, step, "debug", seconds=seconds)
        self.rollout.message(host, Task(step, "debug", "Say it"), text)

    def lines(self):
        """The lines for all events, without their times, which never run backwards."""
        told = [(event["moment"], _rollout.words(event, self.rollout)) for event in self.events]
        moments = [moment for moment, line in told if line]
        assert moments == sorted(moments)
        return [line for moment, line in told if line]


def declares(*steps, play=None):
    """A task that is in a play that declares a step, and whose own variables do, too."""
    values = dict(rolling_step=steps[0]) if steps else {}
    return SimpleNamespace(get_vars=lambda: values, play=play and SimpleNamespace(get_vars=lambda: dict(play)),
                           action="shakenfist.rolling.drain", get_name=lambda: "Drain")


@pytest.mark.parametrize("task, step", [
    (declares("drain"), "drain"), (declares("verify"), "verify"), (declares(), ""),
    (declares(play=dict(rolling_step="preflight")), "preflight"), (declares(play=dict(other=1)), ""),
    (declares("restore", play=dict(rolling_step="preflight")), "restore"),
    # A task takes itself out.
    (declares("", play=dict(rolling_step="preflight")), ""),
    (declares("{{ unknown }}"), ""), (declares(None), ""),
])
def test_a_step_is_declared(task, step):
    assert _rollout.describe(task) == (step, "drain", "Drain")


def test_an_announcement_goes_through_a_queue():
    text = Announcement("The roll is paused.", dict(event="pause", next="rolling sf-2"))
    copy = pickle.loads(pickle.dumps(text))
    assert copy == "The roll is paused." and copy.event == text.event and isinstance(copy, Announcement)
    assert not isinstance(text.replace("x", "y"), Announcement) and not isinstance(f"{text}", Announcement)


@pytest.mark.parametrize("module, data, told", [
    ("drain", dict(stopped_after=2.5, diff="x", invocation=dict(module_args=dict(password="hunter2"))),
     dict(stopped_after=2.5)),
    ("drain", dict(ended_early_after=1.5, strangers=[]), dict(ended_early_after=1.5, strangers=[])),
    ("ready_info", dict(ready=True, count=1, seen=dict(a=1, b=2), urls=["x"]), dict(ready=True, count=1, asked=2)),
    ("ready_info", {}, dict(asked=0)),
    ("units", dict(units={"sf-api": dict(before="a", after="b", active_after=0.6), "sf-net": dict(before="a")}),
     dict(units={"sf-api": 0.6})),
    ("units", {}, dict(units={})),
    ("probe", dict(probe=dict(requests=9, failed=1, longest_gap=0.2, url="http://u:hunter2@a"), url="x"),
     dict(probe=dict(requests=9, failed=1, longest_gap=0.2))),
    ("probe", dict(probe=None), {}),
    ("config_info", dict(settings=dict(PASSWORD="hunter2")), {}),
])
def test_only_what_is_listed_is_told(module, data, told):
    assert _rollout.details_of(module, data) == told


@pytest.mark.parametrize("seconds, digits, text", [
    (0.04, 1, "0.0 s"), (3.21, 1, "3.2 s"), (59.94, 1, "59.9 s"), (59.96, 1, "1 min 0 s"), (131.2, 1, "2 min 11 s"),
    (3.21, 0, "3 s"), (59.6, 0, "1 min 0 s"), (3600, 1, "1 h 0 min"), (7380, 0, "2 h 3 min")])
def test_spell(seconds, digits, text):
    assert _rollout.spell(seconds, digits) == text


def test_nothing_moves_the_cursor():
    assert _rollout.printable("a\033[2Jb\r\u009bc\n\td\udc80é") == "a?[2Jb??c\n\td?é"


def test_what_is_said_has_its_time():
    assert _rollout.stamped(NOON, ["a\033", "b"]) == f"12:00:00 a?\n{' ' * 9}b"


def test_fit():
    assert _rollout.fit("x" * 100) == "x" * 100
    assert _rollout.fit("x" * 101) == "x" * 97 + "..."
    assert _rollout.fit("a\nb", 2) == "..." and _rollout.fit("a\nb", 3) == "a b"


def test_a_node_that_is_drained_twice_is_out_of_rotation_since_the_first():
    run = Run(PLAN)
    run.task("sf-1", "drain", "drain", "changed", 3)
    run.task("sf-1", "reconfigure", "reconfigure", "changed", 60)
    run.task("sf-1", "drain", "drain", "changed", 3)
    run.task("sf-1", "gate", seconds=5)
    run.note("sf-1", rolled=True)
    assert run.told("done")[0]["out_of_rotation"] == pytest.approx(71)


def test_a_node_goes_through_the_roll():
    run = Run(PLAN)
    run.task("sf-1", "quorum", "ready_info", count=2, seen=dict(a=1, b=1, c=1))
    run.task("sf-1", module="set_fact", seconds=5)  # belongs to no step, so its time counts for none
    run.task("sf-1", "drain", "drain", "changed", 3.2, stopped_after=3.0)
    run.task("sf-1", "activate", result="skipped")
    run.task("sf-1", "restart", "units", "changed", 2, units={"sf-database": dict(active_after=0.5)})
    run.task("sf-1", "restart", "units", "changed", 2, units={"sf-api": dict(active_after=0.2)})
    run.task("sf-1", "gate", seconds=5.5)
    run.note("sf-1", rolled=True)
    assert run.lines()[1:] == [
        "sf-1 quorum 1.0 s, 2 of 3 peers ready", "sf-1 drain 3.2 s", "sf-1 restart 4.0 s, 2 units", "sf-1 gate 5.5 s",
        "sf-1 done 19.7 s, 13.7 s out of rotation; 1 of 4 nodes done, ETA 12:00:59"]
    assert [(event["step"], event["result"], event["moment"] - NOON) for event in run.told("end")] == [
        ("quorum", "ok", 1), ("drain", "changed", pytest.approx(9.2)), ("activate", "skipped", pytest.approx(10.2)),
        ("restart", "changed", pytest.approx(14.2)), ("gate", "ok", pytest.approx(19.7))]
    assert run.told("task")[1] == dict(event="task", moment=pytest.approx(NOON + 9.2), node="sf-1", step="drain",
                                       module="drain", seconds=3.2, result="changed", details=dict(stopped_after=3.0))
    assert [(event["unit"], event["seconds"]) for event in run.told("unit")] == [("sf-database", 0.5), ("sf-api", 0.2)]
    assert run.told("done")[0]["out_of_rotation"] == pytest.approx(13.7)


@pytest.mark.parametrize("given, words", [
    (dict(ended_early_after=1.9, strangers=[]), ", ended early, nothing was in flight"),
    (dict(ended_early_after=None, strangers=[]), ""),
    (dict(ended_early_after=None, strangers=list("abcd")), ", requests came past the balancers, from a, b, c"),
])
def test_why_a_drain_took_that_long(given, words):
    run = Run(PLAN)
    run.task("sf-1", "drain", "drain", "changed", 3.2, **given)
    run.task("sf-1", "restart")
    assert run.lines()[1] == f"sf-1 drain 3.2 s{words}"


def test_an_action_takes_a_node_through_several_steps():
    """Its modules are told as each of them ends, and the steps are those that it announces."""
    run = Run(PLAN)
    task, what = Task("quorum", "leave", "Drain"), dict(node="sf-1", result="ok", seconds=1.04)
    run.rollout.started("sf-1", task)
    run.time += 1
    run.rollout.heard(dict(what, event="module", step="quorum", module="ready_info", details=dict(count=1, asked=2)))
    run.rollout.heard(dict(event="step", node="sf-1", step="drain"))
    run.time += 3
    run.rollout.heard(dict(what, event="module", step="drain", module="units", result="changed",
                           details=dict(units={"sf-api": 0.5})))
    run.time += 1
    run.rollout.finished("sf-1", "failed", task, dict(msg="no", title="Stop the API"))
    assert [(event["event"], event["step"]) for event in run.events[1:]] == [
        ("begin", "quorum"), ("task", "quorum"), ("end", "quorum"), ("begin", "drain"), ("task", "drain"),
        ("unit", "drain"), ("failed", "drain"), ("end", "drain")]
    assert run.told("failed")[0]["task"] == "Stop the API" and run.told("task")[0]["seconds"] == 1.04
    assert run.lines()[1:] == ["sf-1 quorum 1.0 s, 1 of 2 peers ready", "sf-1 drain failed after 4.0 s"]


def test_a_step_of_one_service_says_which():
    """From its begin on: what was a run that was killed about to do? What it has waited for counts for its time."""
    run = Run(PLAN)
    for service, module in (("cinder-volume", "cinder_info"), ("cinder-api", "health_file")):
        for step in ("drain", "gate"):
            run.rollout.heard(dict(event="step", node="sf-1", step=step, about=service))
            run.time += 3
            run.rollout.heard(dict(event="module", node="sf-1", step=step, module=module, result="ok", seconds=3,
                                   details=dict(waited=3.0)))
    assert [(event["event"], event["step"], event["about"]) for event in run.told("begin") + run.told("end")] == [
        *((kind, step, service) for kind in ("begin", "end") for service in ("cinder-volume", "cinder-api")
          for step in ("drain", "gate"))][:7]
    assert run.lines()[1:] == ["sf-1 drain 3.0 s, cinder-volume", "sf-1 gate 3.0 s, cinder-volume",
                               "sf-1 drain 3.0 s, cinder-api"]
    run.time += 1
    run.note("sf-1", rolled=True)
    assert run.told("done")[0]["out_of_rotation"] == 6.0, "that of the API, which the balancer has"


def test_each_service_that_a_node_stops_is_a_step():
    """Though the node does nothing else between them."""
    run = Run(PLAN)
    for service in ("neutron-server", "df-publisher-service"):
        run.rollout.heard(dict(event="step", node="sf-1", step="stop", about=service))
        for module in ("standstill", "kept_files"):
            run.time += 1
            run.rollout.heard(dict(event="module", node="sf-1", step="stop", module=module, result="ok", seconds=1,
                                   details={}))
    assert [event["about"] for event in run.told("begin")] == ["neutron-server", "df-publisher-service"]
    assert run.lines()[1:] == ["sf-1 stop 2.0 s, neutron-server"]


def test_a_node_that_was_not_drained_was_not_out_of_rotation():
    run = Run(PLAN)
    run.task("sf-1", "drain", result="skipped")
    run.task("sf-1", "gate")
    run.note("sf-1", rolled=True)
    assert "out_of_rotation" not in run.told("done")[0]
    assert run.lines()[-1].startswith("sf-1 done 2.0 s; 1 of 4 nodes done")


def test_in_check_mode_no_node_was_out_of_rotation():
    run = Run(PLAN)
    run.rollout.event("start", user="alice", host="admin", run="1a2b3c4d", check=True)
    run.task("sf-1", "drain")
    run.task("sf-1", "gate")
    run.note("sf-1", rolled=True)
    assert "out_of_rotation" not in run.told("done")[0]


@pytest.mark.parametrize("step, result, line", [
    ("stop", "changed", "sf-1 would stop"), ("stop", "ok", "sf-1 stop only checked"),
    ("schema", "changed", "would migrate"), ("lock", "changed", "would take the lock"),
    ("stage", "changed", "would stage"), ("gate", "changed", "sf-1 gate would change something"),
    ("verify", "ok", "verify 1.0 s"), ("quorum", "ok", "sf-1 quorum 1.0 s"), ("stop", "skipped", "")])
def test_in_check_mode_no_line_reads_as_if_something_was_done(step, result, line):
    run = Run(PLAN)
    run.rollout.event("start", user="alice", host="admin", run="1a2b3c4d", check=True)
    run.task("sf-1", step, result=result)
    run.rollout.rest("ok")
    run.rollout.finish("ok")
    lines = [one for one in run.lines()[2:] if not one.endswith("...")]
    assert lines[:-1] == ([line] if line else []), lines
    assert lines[-1] == "upgrade to 0.8.1 ok: check mode: nothing was changed, 1.0 s"


def test_in_check_mode_no_node_is_done():
    run = Run(PLAN)
    run.rollout.event("start", user="alice", host="admin", run="1a2b3c4d", check=True)
    run.task("sf-1", "drain", result="changed")
    run.note("sf-1", rolled=True)
    assert run.lines()[-1] == "sf-1 checked" and "1 of 4 nodes checked" in run.rollout.lines()[0]


def test_a_step_of_all_nodes():
    run = Run()
    for host in ("sf-1", "sf-2"):
        run.task(host, "stage", "release", "changed", release="/srv/x", lock="private")
    run.task("sf-1", "schema", result="failed", msg="rescued")
    run.task("sf-1", "drain")
    run.task("sf-1", "verify")
    assert run.lines() == ["stage ...", "stage 2.0 s", "schema ...", "schema 1.0 s", "sf-1 drain 1.0 s", "verify ..."]
    assert [(event["node"], event["details"]) for event in run.told("task")] == [
        ("sf-1", dict(release="/srv/x")), ("sf-2", dict(release="/srv/x"))]


def test_the_plan():
    run = Run()
    run.fact("sf-1", cluster_node=dict(release=dict(version="0.8.0")))
    run.fact("sf-2", cluster_node=dict(release={}))
    run.fact("sf-3", cluster_node={})
    run.fact("sf-1", stage_resolved=dict(version="0.8.1"), rolling_run=run.record(plan=PLAN))
    run.fact("sf-1", rolling_run=run.record(plan=PLAN, begun=NOON))  # the same plan is told once
    (plan,) = run.told("plan")
    assert plan["release"] == "0.8.1" and plan["releases"] == {"sf-1": "0.8.0", "sf-2": None}
    assert plan["order"] == PLAN["order"] and "hunter2" not in str(plan)
    assert run.lines() == ["plan: 4 nodes to 0.8.1; 1 on it already"]
    assert run.rollout.batches() == [("sf-1",), ("sf-2", "sf-3"), ("sf-4",)]


def test_a_plan_without_nodes():
    run = Run(dict(done=["sf-1"]))
    assert run.lines() == ["plan: 0 nodes to 0.8.1; 1 on it already"]
    assert run.rollout.progress() == "no node to roll" and run.rollout.left() is None


def test_a_plan_that_only_reboots():
    run = Run()
    run.fact("sf-1", stage_resolved=dict(version="0.19"), rolling_run=run.record(
        kind="tier", product="Synnefo", plan=dict(done=["sf-1", "sf-2"], tier=dict(reboots=["sf-1", "sf-2"]))))
    assert run.lines() == ["plan: 0 nodes to 0.19; 2 on it already; 2 to reboot"]
    run.task("sf-1", "restart", result="changed", seconds=9)
    assert run.rollout.progress() == "0 of 2 nodes rebooted"
    run.task("sf-1", "gate")
    assert run.rollout.progress() == "1 of 2 nodes rebooted"
    run.rollout.finish("ok")
    assert run.lines()[-1] == "upgrade of Synnefo to 0.19 ok: 1 of 2 nodes rebooted, 10.0 s"
    run.rollout.check = True
    assert run.rollout.progress() == "1 of 2 nodes checked"


def test_a_plan_that_reboots_at_the_end():
    run = Run()
    run.fact("sf-1", stage_resolved=dict(version="0.19"), rolling_run=run.record(
        kind="tier", product="Synnefo", plan=dict(order=["sf-1"], done=[], tier=dict(reboots=["sf-1"]))))
    assert run.lines() == ["plan: 1 node to 0.19; 1 to reboot"]
    run.note("sf-1", rolled=True)
    assert run.rollout.progress() == "0 of 1 nodes done, 0 of 1 node rebooted"


HOSTS = dict(n1=dict(reboots=True), n2=dict(reboots=True), n3=dict(reboots=False))


@pytest.mark.parametrize("release, order, done, line, title", [
    ("", ["n1", "n2"], [], "plan: 2 nodes to reboot", "reboot of Ganeti"),
    ("", ["n1", "n2", "n3"], ["n4"], "plan: 2 nodes to reboot; 1 to get guests back; 1 done already",
     "reboot of Ganeti"),
    ("0.19", ["n1", "n2"], ["n4"], "plan: 2 nodes to 0.19; 1 on it already", "upgrade of Ganeti to 0.19")])
def test_hosts_that_come_to_no_release_reboot(release, order, done, line, title):
    run = Run()
    run.fact("n1", rolling_run=run.record(kind="hosts", product="Ganeti"))
    assert run.rollout.title() == "roll of Ganeti"
    hosts = {name: HOSTS[name] for name in order}
    run.fact("n1", rolling_run=run.record(kind="hosts", product="Ganeti", plan=dict(
        order=order, done=done, hosts=hosts, release=release)))
    assert run.lines() == [line] and run.rollout.title() == title
    run.roll("n1")
    assert run.lines()[-1] == f"n1 done 20.0 s, 18.0 s out of service; {run.rollout.progress()}"
    assert run.rollout.progress().startswith(f"1 of {len(order)} nodes done")


def test_who_only_plans_the_reboot_of_hosts():
    run = Run()
    run.fact("n1", rolling_run=run.record(kind="plan", product="Ganeti", plan=dict(
        order=["n1"], hosts=dict(n1=dict(reboots=True)), release="")))
    assert run.lines() == ["plan: 1 node to reboot"] and run.rollout.title() == "plan"


def test_a_restart_leads_to_no_other_release():
    run = Run()
    run.fact("sf-1", stage_resolved=dict(version="0.8.0"),
             rolling_run=run.record(kind="restart", plan=dict(order=["sf-1"], done=["sf-2"])))
    assert run.lines() == ["plan: 1 node on 0.8.0; 1 restarted already"]
    assert run.rollout.title() == "restart on 0.8.0"
    run.rollout.name = "reconfigure"
    assert run.rollout.title() == "reconfigure on 0.8.0"


@pytest.mark.parametrize("more, title", [
    (dict(kind="services", product="Cinder"), "upgrade of Cinder"), (dict(kind="services", product=""), "services"),
    (dict(kind="plan", product="Cinder"), "plan"), (dict(kind="tier", product="Synnefo"), "upgrade of Synnefo")])
def test_a_run_of_a_product_bears_its_name(more, title):
    run = Run()
    run.fact("sf-1", stage_resolved=dict(version="24.5.0"), rolling_run=run.record(
        plan=dict(order=["sf-1"], done=[]), **more))
    assert run.rollout.title() == f"{title} to 24.5.0"


def test_a_unit_is_one_unit():
    run = Run(PLAN)
    run.task("sf-1", "restart", "units", "changed", 2, units={"sf-api": dict(active_after=0.5)})
    run.task("sf-1", "gate")
    assert "sf-1 restart 2.0 s, 1 unit" in run.lines()


def test_who_only_plans_rolls_no_node():
    run = Run(PLAN)
    run.rollout.name = "plan"
    run.rollout.finish("ok")
    assert run.lines()[-1] == "plan to 0.8.1 ok: 0.0 s"


def test_eta():
    run = Run(PLAN)
    assert run.rollout.left() is None
    run.roll("sf-1")
    assert run.rollout.left() == 40.0
    run.task("sf-2", "quorum", seconds=5)
    assert run.rollout.left() == 35.0
    run.task("sf-3", "quorum", seconds=45)
    assert run.rollout.left() == 20.0  # longer than the one before; it does not go below what is left after this batch
    run.task("sf-2", "settle", seconds=10)
    run.note("sf-2", rolled=True)
    assert run.rollout.left() == 20.0  # a batch is done with its last node
    run.note("sf-3", rolled=True)
    assert run.rollout.left() == 40.0  # the mean of 20 and 60
    assert run.rollout.progress() == "3 of 4 nodes done, ETA 12:02:00"
    run.roll("sf-4")
    assert run.rollout.left() is None and run.rollout.progress() == "4 of 4 nodes done"


def test_no_eta_once_a_node_has_failed():
    run = Run(PLAN)
    run.roll("sf-1")
    run.task("sf-2", "drain", result="failed", msg="killed")
    assert run.rollout.left() is None


def test_no_eta_once_the_run_is_over():
    run = Run(PLAN)
    run.roll("sf-1")
    run.rollout.rest("interrupted")
    assert run.rollout.left() is None


def test_all_go_back_because_of_one():
    run = Run(PLAN)
    for name in ("sf-1", "sf-2", "sf-3"):
        run.task(name, "activate", "tier")
    run.note("sf-2", cause=dict(step="Migrate", words="no", timing=dict(step="schema")))
    run.task("sf-3", "restore", "tier", "unreachable", msg="gone")
    for name in ("sf-1", "sf-2"):
        run.task(name, "restore", "tier")
        run.task(name, module="fail", result="failed", msg="Next: do this")
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1", "sf-2", "sf-3"])
    assert run.lines()[-1].startswith("upgrade to 0.8.1 failed in schema: 0 of 4 nodes done")
    assert run.told("finish")[0]["failed"] == ["sf-2", "sf-3"]


def test_a_node_fails_and_returns_to_service():
    run = Run(PLAN)
    run.task("sf-1", "quorum", "ready_info", count=1, seen=dict(a=1))
    run.task("sf-1", "drain", "drain", "failed", 4, msg="it had to be killed", stopped_after=3.9)
    run.task("sf-1", "restore", "release_info")
    run.task("sf-1", "restore", "release", result="changed")
    run.task("sf-1", "restore", "ready_info")
    run.note("sf-1", restored="went back to 0.8.0")
    run.task("sf-1", module="haproxy_server", result="skipped")
    run.task("sf-1", module="fail", result="failed", msg="Next: do this")
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1"])
    assert run.lines()[1:] == [
        "sf-1 quorum 1.0 s, 1 of 1 peers ready", "sf-1 drain failed after 4.0 s",
        "sf-1 restore 3.0 s, went back to 0.8.0", "upgrade to 0.8.1 failed in drain on sf-1: 0 of 4 nodes done, 10.0 s"]
    assert [(event.get("step"), event["task"], event["message"]) for event in run.told("failed")] == [
        ("drain", "Task of drain", "it had to be killed"), (None, "Task of ", "Next: do this")]
    assert run.told("task")[1]["details"] == dict(stopped_after=3.9) and run.told("task")[1]["result"] == "failed"
    assert run.told("finish")[0]["failed"] == ["sf-1"] and run.told("finish")[0]["done"] == []


def test_a_task_of_no_step_ends_the_step_before_it():
    run = Run(PLAN)
    run.task("sf-1", "settle")
    run.task("sf-1", module="assert", result="failed", msg="it did not stay ready")
    assert run.lines()[1:] == ["sf-1 settle failed after 2.0 s"]


def test_a_node_that_is_held_has_no_way_back():
    run = Run(PLAN)
    run.task("sf-1", "drain", result="unreachable", msg="lost")
    run.task("sf-1")
    assert [event["step"] for event in run.told("begin")] == ["drain"]
    assert run.told("failed")[0]["result"] == "unreachable"


def test_the_way_back_fails():
    run = Run(PLAN)
    run.task("sf-1", "gate", result="failed", msg="not ready")
    run.task("sf-1", "restore")
    run.task("sf-1", "restore", result="failed", msg="does not start")
    run.note("sf-1", restored="could not be returned to service")
    assert run.lines()[1:] == ["sf-1 gate failed after 1.0 s", "sf-1 restore failed after 2.0 s"]


def test_the_way_back_fails_within_an_action():
    run = Run(PLAN)
    run.task("sf-1", "gate", result="failed", msg="not ready")
    run.rollout.started("sf-1", Task("", "node", "Return the node to service"))
    run.rollout.heard(dict(event="step", node="sf-1", step="restore"))
    run.time += 2
    run.rollout.heard(dict(event="module", node="sf-1", step="restore", module="units", result="failed", seconds=2.0,
                           details=dict(units={})))
    run.rollout.finished("sf-1", "ok", Task("", "node", "x"), dict(ansible_facts=dict(
        rolling_node=dict(restored="could not be returned to service (x)"))))
    assert run.lines()[1:] == ["sf-1 gate failed after 1.0 s", "sf-1 restore failed after 2.0 s"]


def test_a_step_that_was_skipped_has_not_failed():
    run = Run(PLAN)
    run.task("sf-1", "gate", result="skipped")
    run.task("sf-1", result="failed", msg="nobody knows why")
    run.rollout.finish("failed", ["sf-1"])
    assert "step" not in run.told("failed")[0] and run.told("end")[0]["result"] == "skipped"
    assert "runbook" not in run.told("finish")[0]
    assert run.lines()[1:] == ["upgrade to 0.8.1 failed: 0 of 4 nodes done, 2.0 s"]


def test_what_is_ignored_is_no_failure():
    run = Run()
    run.task("sf-1", "preflight", result="ignored", msg="lost")
    run.task("sf-1", "lock", result="skipped")
    assert run.lines() == ["preflight ...", "preflight 1.0 s", "lock ..."] and not run.told("failed")


@pytest.mark.parametrize("step, words", [
    ("stage", "upgrade to 0.8.1 failed in stage: 0 of 4 nodes done, 1.0 s"),
    ("drain", "upgrade to 0.8.1 failed in drain on sf-1: 0 of 4 nodes done, 1.0 s"),
    ("", "upgrade to 0.8.1 failed: 0 of 4 nodes done, 1.0 s")])
def test_where_it_failed(step, words):
    run = Run(PLAN)
    run.task("sf-1", step, result="failed", msg="no")
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1"])
    assert run.lines()[-1] == words


def test_what_is_said_after_a_step_comes_below_its_end():
    run = Run()
    run.task("sf-1", "preflight", seconds=11)
    run.say("sf-1", "preflight")
    run.task("sf-2", module="set_fact", seconds=2)
    run.say("sf-2")
    assert [(event["event"], event.get("step"), event["moment"] - NOON) for event in run.events] == [
        ("begin", "preflight", 0), ("message", "preflight", 12), ("end", "preflight", 12), ("message", None, 15)]
    assert run.lines() == ["preflight ...", "preflight 12.0 s"]


def test_a_batch_ends_its_steps_in_their_order():
    run = Run(PLAN)
    for step in ("drain", "gate"):
        for host in ("sf-2", "sf-3"):
            run.rollout.started(host, Task(step, "x", ""))
        for host in ("sf-3", "sf-2"):
            run.time += 5
            run.rollout.finished(host, "ok", Task(step, "x", ""), {})
    run.task("sf-1", "verify")
    assert run.lines()[1:] == ["sf-3 drain 5.0 s", "sf-2 drain 10.0 s", "sf-3 gate 5.0 s", "sf-2 gate 10.0 s",
                               "verify ..."]


def test_a_node_that_is_busy_goes_on_with_its_step():
    run = Run(PLAN)
    run.rollout.started("sf-2", Task("drain", "x", ""))
    run.task("sf-3", "gate")
    run.task("sf-3", "settle")
    assert [event["node"] for event in run.told("end")] == ["sf-3"]


def test_what_is_said_on_the_way_back_belongs_to_it():
    run = Run(PLAN)
    run.task("sf-1", "gate", result="failed")
    run.task("sf-1", "restore")
    run.say("sf-1", "restore")
    assert run.told("message")[0]["step"] == "restore"
    run.say("sf-1")  # somebody else's hook, for example
    run.note("sf-1", restored="went back to 0.8.0")
    assert run.lines()[1:] == ["sf-1 gate failed after 1.0 s", "sf-1 restore 2.0 s, went back to 0.8.0"]


LOCK, STOP = "cannot write the lock /l: full", "the roll was asked to stop: amy"
SAID = "no\nWhat it means: docs/runbook.md#stage\nNext: so"


@pytest.mark.parametrize("messages, runbook, line", [
    ([LOCK], "docs/runbook.md#lock", True),
    ([STOP, LOCK], "docs/runbook.md#lock", True),
    ([LOCK, "nobody knows why"], "", False),
    ([LOCK, SAID], "docs/runbook.md#stage", False),
    ([SAID, LOCK], "docs/runbook.md#stage", False),
])
def test_the_last_line_names_the_section_unless_the_message_does(messages, runbook, line):
    run = Run(PLAN)
    for message in messages:
        run.task("sf-1", result="failed", msg=message)
    run.rollout.finish("failed", ["sf-1"])
    assert run.told("finish")[0].get("runbook", "") == runbook
    last = run.lines()[-1].splitlines()
    assert last[0].startswith("upgrade to 0.8.1 failed") and last[1:] == [f"{' ' * 9}What it means: {runbook}"] * line


@pytest.mark.parametrize("result", ["ok", "interrupted"])
def test_what_has_not_failed_needs_no_section(result):
    run = Run(PLAN)
    run.task("sf-1", result="failed", msg=LOCK)
    run.rollout.finish(result)
    assert "runbook" not in run.told("finish")[0] and "What it means" not in run.lines()[-1]


@pytest.mark.parametrize("rescue, lines", [
    ("stage", ["stage ...", "stage 2.0 s", "upgrade failed: 4.0 s"]),
    ("", ["stage ...", "stage failed after 4.0 s", "upgrade failed in stage: 4.0 s"])])
def test_a_step_that_has_failed_ends_when_it_is_known_why(rescue, lines):
    run = Run()
    run.task("sf-1", "stage", result="failed", msg="no")
    run.task("sf-1", rescue, module="set_fact")
    run.say("sf-1")
    run.task("sf-1", module="fail", result="failed", msg="no. Next: fix that")
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1"])
    assert run.lines() == lines
    assert [event.get("step") for event in run.told("failed")] == ["stage", None if rescue else "stage"]


def test_what_fails_after_a_step_of_all_is_not_that_step():
    run = Run()
    run.task("sf-1", "stage")
    run.task("sf-1", module="fail", result="failed", msg="the lock was lost")
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1"])
    assert run.lines() == ["stage ...", "stage 1.0 s", "upgrade failed: 2.0 s"]
    assert "step" not in run.told("failed")[0]


ASKED = "the roll was asked to stop: bob@desk asked for that: the storage"


@pytest.mark.parametrize("before, kind, words, result, failed", [
    ("ok", "failed", "upgrade to 0.8.1 stopped as asked: 1 of 4 nodes done, 23.0 s", "stopped", []),
    ("ok", "unreachable", "upgrade to 0.8.1 failed: 1 of 4 nodes done, 23.0 s", "failed", ["sf-2"]),
    ("failed", "ok", "upgrade to 0.8.1 failed: 1 of 4 nodes done, 23.0 s", "failed", ["sf-2"])])
def test_what_was_asked_to_stop_has_not_failed(before, kind, words, result, failed):
    run = Run(PLAN)
    run.roll("sf-1")
    run.task("sf-2", result=before)
    run.task("sf-2", module="lock", stopped=True, msg=ASKED)
    assert run.rollout.left() is None
    run.task("sf-2", module="fail", result=kind, msg="any words")
    run.task("sf-2", module="fail", result=kind, msg="any words", seconds=0)
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-2"])
    assert run.lines()[-1] == words and "step" not in run.told("finish")[0]
    assert (run.told("finish")[0]["result"], run.told("finish")[0]["failed"]) == (result, failed)


def test_a_stop_before_the_migration_blames_no_step():
    run = Run(PLAN)
    run.task("sf-1", "stage")
    run.task("sf-1", module="lock", stopped=True, msg=ASKED)
    run.task("sf-1", module="fail", result="failed", msg=ASKED)
    run.rollout.rest("failed")
    run.rollout.finish("failed", ["sf-1"])
    assert run.lines()[1:] == ["stage ...", "stage 1.0 s",
                               "upgrade to 0.8.1 stopped as asked: 0 of 4 nodes done, 3.0 s"]


def test_a_run_that_is_interrupted_while_it_stops():
    run = Run(PLAN)
    run.task("sf-1", module="lock", stopped=True, msg=ASKED)
    run.rollout.finish("interrupted")
    assert run.lines()[-1] == "upgrade to 0.8.1 interrupted: 0 of 4 nodes done, 1.0 s"


def test_an_interrupted_run():
    run = Run(PLAN)
    run.rollout.started("sf-1", Task("drain", "drain", "Drain"))
    run.time += 2
    run.rollout.rest("interrupted")
    run.rollout.finish("interrupted")
    assert run.lines()[-2:] == ["sf-1 drain interrupted after 2.0 s",
                                "upgrade to 0.8.1 interrupted in drain on sf-1: 0 of 4 nodes done, 2.0 s"]


def test_a_run_that_ends_well():
    run = Run(dict(order=["sf-1"]))
    run.task("sf-1", "preflight", result="failed", msg="rescued")
    run.roll("sf-1")
    run.task("sf-1", "prune")
    run.rollout.rest("ok")
    run.rollout.finish("ok")
    assert run.lines()[-2:] == ["prune 1.0 s", "upgrade to 0.8.1 ok: 1 of 1 nodes done, 22.0 s"]
    assert run.told("finish") == [dict(event="finish", moment=NOON + 22, result="ok", seconds=22.0, done=["sf-1"],
                                       failed=[])]


def test_two_playbooks_are_two_runs():
    run = Run()
    run.fact("sf-1", rolling_run=run.record("11111111", "restart"))
    run.fact("sf-1", rolling_run=run.record("11111111", "restart", plan=dict(order=["sf-1"])))
    run.roll("sf-1")
    run.task("sf-1", "verify")
    run.fact("sf-1", rolling_run=run.record("22222222"))
    assert run.rollout.lines() == ["upgrade: 0 nodes done"] and run.told("end")[-1]["step"] == "verify"
    run.fact("sf-1", rolling_run=run.record("22222222", plan=dict(order=["sf-1"])))
    run.roll("sf-1")
    assert len(run.told("plan")) == len(run.told("done")) == 2 and run.rollout.progress() == "1 of 1 nodes done"


def test_what_is_noted_again_is_told_once():
    run = Run(PLAN)
    run.roll("sf-1")
    run.note("sf-1", rolled=True)
    run.note("sf-4", rolled=True)  # never in a step
    assert [event["node"] for event in run.told("done")] == ["sf-1"]


def test_a_run_without_a_plan():
    run = Run()
    run.roll("sf-1")
    run.rollout.rest("ok")
    run.rollout.finish("ok")
    assert "sf-1 done 20.0 s, 18.0 s out of rotation; 1 nodes done" in run.lines()
    assert run.lines()[-1] == "upgrade ok: 20.0 s"
    assert run.rollout.lines() == ["upgrade: 1 nodes done"]


def test_start_and_message():
    run = Run()
    run.rollout.message("sf-1", Task("schema", "debug", "Say it"), "words")
    run.rollout.event("start", user="alice", host="admin", run="1a2b3c4d", check=True)
    run.rollout.event("start", user="alice", host="admin", run="1a2b3c4d", check=False)
    assert run.lines() == ["upgrade by alice on admin, run 1a2b3c4d, check mode: nothing is changed",
                           "upgrade by alice on admin, run 1a2b3c4d"]
    assert run.told("message") == [dict(event="message", moment=NOON, node="sf-1", task="Say it", message="words")]


# ---- the live view

def test_live_view_of_a_step_of_all_nodes():
    run = Run(PLAN)
    assert run.rollout.lines() == ["upgrade to 0.8.1: 0 of 4 nodes done, no ETA yet"]
    for host in ("sf-1", "sf-2"):
        run.rollout.started(host, Task("stage", "release", "Stage"))
    run.time += 12
    assert run.rollout.lines()[1:] == ["stage 12 s, waiting for sf-1, sf-2"]
    for host in ("sf-1", "sf-2"):
        run.rollout.finished(host, "ok", Task("stage", "release", "Stage"), {})
    assert run.rollout.lines()[1:] == ["stage 12 s"]


def test_live_view_of_a_node():
    run = Run(PLAN)
    run.roll("sf-1")
    run.task("sf-2", "quorum", "ready_info", seconds=1, count=2, seen=dict(a=1, b=1))
    run.task("sf-2", "drain", "probe", seconds=3, probe=dict(requests=5311, failed=0, longest_gap=0.24))
    assert run.rollout.lines() == [
        "upgrade to 0.8.1: 1 of 4 nodes done, ETA 12:01:00, 36 s to go",
        "sf-2 drain 3 s, 4 s on this node, 2 of 2 peers ready",
        "requests 5311, failed 0, longest gap 0.24 s"]


def paused(reason=""):
    return dict(event="pause", next="rolling sf-2", asked_by="bob@desk", reason=reason)


def test_a_pause_and_its_end():
    run = Run(PLAN)
    run.task("sf-1", "stage")
    run.rollout.started("sf-2", Task("", "lock", "Renew"))
    run.rollout.heard(paused("the storage: it is fixed"))
    run.time += 9
    run.rollout.heard(dict(event="resume", seconds=9.0))
    assert not run.rollout.pause
    run.rollout.finished("sf-2", "ok", Task("", "lock", "Renew"), dict(paused=[NOON + 1, NOON + 10.0001]))
    assert run.lines()[1:] == ["stage ...", "stage 1.0 s"]  # and then what was heard
    assert run.events[-2:] == [
        dict(event="pause", moment=NOON + 1, next="rolling sf-2", asked_by="bob@desk",
             reason="the storage: it is fixed"),
        dict(event="resume", moment=NOON + 10, seconds=9.0)]


@pytest.mark.parametrize("said, reason", [("", ""), ("the storage", ": the storage")])
def test_live_view_of_a_pause(said, reason):
    run = Run(PLAN)
    run.roll("sf-1")
    assert "ETA" in run.rollout.lines()[0]
    run.rollout.heard(paused(said))
    run.time += 3600
    assert run.rollout.lines() == [
        "upgrade to 0.8.1: 1 of 4 nodes done",
        f"paused since 12:00:20, next: rolling sf-2, asked for by bob@desk{reason}"]
    run.task("sf-2", module="lock", seconds=0)
    assert run.rollout.lines() == ["upgrade to 0.8.1: 1 of 4 nodes done, ETA 13:01:00, 40 s to go"]


def test_live_view_of_a_pause_before_the_first_node():
    run = Run(PLAN)
    run.rollout.heard(paused())
    assert run.rollout.lines()[0] == "upgrade to 0.8.1: 0 of 4 nodes done"


def test_what_an_action_says_is_a_message():
    """It neither ends nor begins a pause."""
    run = Run()
    run.rollout.heard(paused())
    run.rollout.heard(_rollout.said("The report: x.html", "sf-1", "Write the report").event)
    assert run.rollout.pause and run.told("message")[0]["message"] == "The report: x.html"


def test_the_watcher_is_known_by_what_it_has_seen():
    run = Run()
    run.rollout.finished("sf-1", "ok", Task("", "watch", "Look"), dict(probe=dict(requests=9, failed=1)))
    assert run.told("task")[0]["module"] == "probe" and run.rollout.probe == dict(requests=9, failed=1)


def test_a_pause_that_ends_with_a_stop_is_not_resumed():
    run = Run(PLAN)
    run.rollout.heard(paused())
    run.task("sf-2", module="lock", stopped=True, msg=ASKED)
    assert not run.rollout.pause and not run.told("resume")


def test_live_view_of_a_batch():
    run = Run(dict(order=["sf-1", "sf-2", "sf-3"]))
    run.task("x", module="probe", probe=dict(requests=1))
    for host in ("sf-1", "sf-2"):
        run.rollout.started(host, Task("gate", "x", "Gate"))
    assert run.rollout.lines()[1:] == ["sf-1 gate 0 s, 0 s on this node", "sf-2 gate 0 s, 0 s on this node",
                                       "requests 1, failed 0"]
    run.rollout.started("sf-3", Task("drain", "x", "Drain"))
    assert run.rollout.lines()[1:] == ["sf-1 gate 0 s, 0 s on this node", "2 more: sf-2 gate, sf-3 drain",
                                       "requests 1, failed 0"]
    assert len(run.rollout.lines()) == 4


def test_live_view_of_a_failure():
    run = Run(PLAN)
    run.task("sf-1", "drain", result="failed")
    run.rollout.started("sf-1", Task("restore", "release_info", "Look"))
    assert run.rollout.lines() == ["upgrade to 0.8.1: 0 of 4 nodes done",
                                   "sf-1 restore 0 s, 1 s on this node, drain failed"]


class Display:
    """The screen of Ansible: what is printed, in order, and whether the lock was held."""

    def __init__(self, monkeypatch):
        self._lock = threading.RLock()
        self.out = []
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=self.out.append, flush=lambda: None))

    def display(self, msg):
        self.out.append(f"{msg}\n")


@pytest.fixture
def live(monkeypatch):
    """A live view whose thread ticks when the test says so."""
    made, complaints, ticks = [], [], threading.Semaphore(0)
    monkeypatch.setattr(_rollout.shutil, "get_terminal_size", lambda: os.terminal_size((31, 24)))

    class Ticks(threading.Event):
        def wait(self, timeout=None):
            assert timeout == 1
            ticks.acquire()
            return self.is_set()

    def make(*lines):
        display = Display(monkeypatch)
        with monkeypatch.context() as context:
            context.setattr(_rollout, "threading", SimpleNamespace(Event=Ticks, Thread=threading.Thread))
            view = Live(display, lambda text: text.replace("heard", "put in other words"),
                        lambda: [line() if callable(line) else line for line in lines], complaints.append)
        made.append(view)
        return view, display, complaints, ticks
    yield make
    for view in made:
        view.ended.set()
        ticks.release()


def test_block(live):
    view, display, complaints, dummy = live("one", "x" * 40)
    display.display("event")
    display.display("another")
    view.end()
    view.draw()
    block = "one\n" + "x" * 27 + "...\n"
    assert "".join(display.out) == f"event\n{block}\033[2A\r\033[Janother\n{block}\033[2A\r\033[J" and not complaints
    display.display("after")
    assert display.out[-1] == "after\n"


def test_block_makes_way(live):
    view, display, dummy, ticks = live("one")
    view.show(True)
    assert not display.out
    view.draw()
    view.show(False)
    display.display("question?")
    view.show(True)
    assert "".join(display.out) == "one\n\033[1A\r\033[Jquestion?\none\n"


def test_block_is_redrawn(live):
    drawn = threading.Semaphore(0)
    dummy, display, complaints, ticks = live(lambda: drawn.release() or "one")
    for dummy in range(2):
        ticks.release()
        assert drawn.acquire(timeout=30)
    # What it has drawn is on the screen once it gives the lock away.
    with display._lock:
        assert "".join(display.out) == "one\n\033[1A\r\033[Jone\n" and not complaints


def test_block_fails_once(live):
    def fail():
        raise ValueError("broken")
    view, display, complaints, dummy = live(fail)
    display.display("event")
    display.display("another")
    view.end()
    assert "".join(display.out).replace("\033[1A\r\033[J", "") == "event\nanother\n"
    assert [str(exc) for exc in complaints] == ["broken"]


def test_block_hears_what_is_printed(live):
    view, display, dummy, dummy2 = live()
    display.display("heard")
    view.end()
    display.display("heard")
    assert "".join(display.out) == "put in other words\nheard\n"


def test_ear(monkeypatch):
    display = Display(monkeypatch)
    ear = _rollout.Ear(display, str.upper)
    display.display("one")
    display.display(msg="two")
    display.display(Announcement("", {}))  # that is no line
    display.display("")
    monkeypatch.setattr(_rollout.os, "getpid", lambda: ear.pid + 1)
    display.display("of a worker")
    monkeypatch.undo()
    ear.end()
    display.display("three")
    assert display.out == ["ONE\n", "TWO\n", "\n", "of a worker\n", "three\n"]


def test_block_is_not_for_workers(live, monkeypatch):
    view, display, dummy, dummy2 = live("one")
    monkeypatch.setattr(_rollout.os, "getpid", lambda: view.pid + 1)
    display.display("event")
    assert display.out == ["event\n"]


def test_another_that_came_later_keeps_the_display(live):
    view, display, dummy, dummy2 = live("one")
    display.display = later = object()
    view.end()
    assert display.display is later


# ---- the file

def test_log(tmp_path):
    path = tmp_path / "rollout.jsonl"
    path.write_text("what was there stays\n")
    log = Log(path, "1a2b3c4d")
    log.write(dict(event="start", moment=NOON + 0.1234, user="é", run="ignored"))
    assert path.read_text().splitlines()[1] == (
        '{"time": "2025-11-21T12:00:00.123Z", "run": "1a2b3c4d", "event": "start", "user": "\\u00e9"}')
    log.write(dict(event="odd", moment=NOON, value=path))
    log.close()
    assert json.loads(path.read_text().splitlines()[2])["value"] == str(path)
    with pytest.raises(OSError):
        log.write(dict(event="late", moment=NOON))
