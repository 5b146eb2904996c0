# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.action import host
from ansible_collections.shakenfist.rolling.plugins.module_utils._evacuation import Guest, Host
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _persistent
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock

HOSTS = [dataclasses.asdict(one) for one in (Host("sf-1.lab", 1000, leads=True), Host("sf-2.lab", 1000))]
GUESTS = [dataclasses.asdict(Guest("web", "sf-1.lab", size=10))]
LOOKED = dict(name="sf-1.lab", leads=True, problem="", hosts=HOSTS, guests=GUESTS)


def unit(active=True):
    return dict(active=active, state="active" if active else "inactive")


def seen(name, **more):
    leads = name == "sf-1"
    return dict(failure="", node=dict(dict(name=name, host=f"{name}.lab", leads=leads, problem="", hosts=HOSTS * leads,
                                           guests=GUESTS * leads, boot="1", booted=100.0, now=200.0, units={}), **more))


@pytest.fixture
def one(monkeypatch):
    clock = Clock()
    for module in (host, _persistent):
        monkeypatch.setattr(module, "time", clock)
    steps = Steps(monkeypatch, host, "", evacuation=LOOKED, boot_info=dict(id="1", booted=100.0, now=200.0),
                  units_info=dict(units=dict(archipelago=unit())), command=dict(rc=0))
    monkeypatch.setattr(host.ActionModule, "forget_connection", lambda self: None)
    steps.variables = dict(ansible_play_hosts_all=["sf-1", "sf-2"], roll_reconnect_timeout=5)
    steps.run.update(nodes=["sf-1", "sf-2"], playbook="shakenfist.rolling.ganeti", kind="hosts", began=1.0)
    steps.clock = clock
    return steps


def known(one, **more):
    """What the preflight has seen of both nodes."""
    one.node = dict(seen=seen("sf-1", **more))
    one.others = {"sf-2": dict(ansible_facts=dict(rolling_node=dict(run="x", seen=seen("sf-2"))))}


# ---- looks

def test_a_look(one):
    node = one.act(state="seen", units=["archipelago"])["seen"]["node"]
    assert one.asked() == ["evacuation", "boot_info", "units_info"]
    assert node == dict(name="sf-1", host="sf-1.lab", leads=True, problem="", hosts=HOSTS, guests=GUESTS, boot="1",
                        booted=100.0, now=200.0, units=dict(archipelago=unit()))
    assert one.act(state="seen")["ansible_facts"]["rolling_node"]["seen"]["node"]["units"] == {}


@pytest.mark.parametrize("broken, words", [
    (AnsibleConnectionFailure("away"), "it cannot be reached: away"), (dict(failed=True, msg="no gnt"), "no gnt"),
    (AnsibleError("sudo: a password is required"), "sudo: a password is required. Let the ssh user")])
def test_a_node_that_cannot_be_looked_at_is_noted(one, broken, words):
    one.given["evacuation"] = broken
    found = one.act(state="seen")["seen"]
    assert found["node"] == {} and found["failure"].startswith(words)
    one.variables["roll_reconnect_timeout"] = 0
    assert one.act(state="seen", whole=True)["failed"]


def test_a_look_at_the_end(one):
    """What it was before the roll stays in its record, for the report."""
    result = one.act(state="seen", whole=True)
    assert result["seen"]["node"]["boot"] == "1" and "ansible_facts" not in result


def test_a_cluster_is_judged(one):
    known(one)
    result = one.act(state="judged", since="2020-01-01T00:00:00Z")
    plan = result["ansible_facts"]["rolling_run"]["plan"]
    assert plan["order"] == ["sf-2", "sf-1"] and plan["began"] == 1.0
    assert result["order"][1].startswith("2. sf-1: 1 guest")
    assert plan["command"] == "ansible-playbook shakenfist.rolling.ganeti -e rolling_since=2020-01-01T00:00:00Z"
    assert result["report"][-1].split()[0] == "sf-2" and result["order"][-1] == plan["command"]


def test_without_a_moment_all_are_rebooted(one):
    known(one, booted=1e12)
    assert one.act(state="judged", since="")["ansible_facts"]["rolling_run"]["plan"]["order"] == ["sf-2"]


@pytest.mark.parametrize("verified, words", [(dict(problems=["ERROR:X: y"]), "complains of itself: ERROR:X: y"),
                                             (dict(failed=True, msg="no answer"), "complains of itself: no answer")])
def test_a_cluster_that_complains_is_refused(one, verified, words):
    known(one)
    result = one.act(state="judged", verified=[dict(skipped=True), verified])
    assert result["failed"] and words in result["msg"]


def test_a_node_that_nobody_has_seen(one):
    known(one)
    one.others = {}
    one.others["sf-2"] = {}
    assert "sf-2: it could not be checked" in one.act(state="judged")["msg"]


# ---- packages

STEP = {"package": "snf-common", "to": "0.19", "from": ["0.18.1"], "suites": dict(wheezy="jessie"),
        "expect": {"snf-common": "0.19"}}


def packages(version, **more):
    found = {"snf-common": dict(version=version)} if version else {}
    return dict(dict(packages=found, rebooted=True, unfinished=False, broken=[], interrupted=False, locked={},
                     policy=""), **more)


@pytest.mark.parametrize("info, facts", [
    (packages("0.18.1-1"), dict(behind=True, due=False)),
    (packages("0.19-1", rebooted=False), dict(behind=False, due=True)),
    (packages("0.19-1", unfinished=True), dict(behind=True, due=False)),
    (packages("0.17-1"), dict(problems=[
        "it has snf-common 0.17, and 0.19 is reached from 0.18.1 only: upgrade it to 0.18.1 first, by the page of that "
        "release"])),
    (packages(""), dict(release=dict(version=""), behind=True)),
    (packages("0.19-1", policy="ours"), dict(problems=[], concerns=[
        "a run that was killed has left its policy-rc.d: the run removes it"]))])
def test_a_look_at_packages(one, info, facts):
    one.given["packages_info"] = info
    node = one.act(state="seen", packages=STEP)["seen"]["node"]
    assert {key: node[key] for key in facts} == facts and one.calls[-1][1] == dict(names=["snf-common"])


def test_packages_say_which_node_is_left(one):
    fine = dict(release=dict(version="0.19"), behind=False, due=False, problems=[], concerns=[])
    one.node = dict(seen=seen("sf-1", **fine))
    other = seen("sf-2", **{**fine, "behind": True})
    one.others = {"sf-2": dict(ansible_facts=dict(rolling_node=dict(run="x", seen=other)))}
    result = one.act(state="judged", packages=STEP)
    plan = result["ansible_facts"]["rolling_run"]["plan"]
    assert plan["order"] == ["sf-2"] and plan["release"] == "0.19" and plan["hosts"]["sf-2"]["upgrades"]
    assert result["order"][0].endswith("a reboot into 0.19") and "rolling_since" not in plan["command"]
    assert one.act(state="verified", packages=STEP)["msg"] == (
        "sf-2 is not done: it has 0.19, expected 0.19, and a reboot since")


def upgraded(**more):
    changes = dict(upgraded=[dict(name="snf-common", after="0.19-1")], installed=[], removed=[])
    return dict(dict(changes=changes, started=[], continued=["apt"]), **more)


def test_packages_are_fetched(one):
    one.run["plan"] = dict(hosts={"sf-1": dict(upgrades=True)})
    one.given["packages"] = upgraded()
    one.act(state="fetched", packages=STEP)
    assert one.calls == [("packages", dict(state="fetched", suites=dict(wheezy="jessie"),
                                           expect={"snf-common": "0.19"}))]
    assert one.words() == ["sf-1: 1 to upgrade (snf-common 0.19-1)"]
    one.run["plan"] = dict(hosts={})
    one.act(state="fetched", packages=STEP)
    assert one.calls == []


def test_packages_are_upgraded(one):
    one.given["packages"] = upgraded(changed=True)
    result = one.act(state="upgraded", packages=STEP, units=["archipelago"])
    arguments = one.calls[0][1]
    assert (arguments["state"], arguments["start"], arguments["stop_started"], arguments["units"]) == (
        "upgraded", False, True, ["archipelago"])
    assert result["changed"] and result["ansible_facts"]["rolling_node"]["notes"] == [
        "sf-1: what an earlier apt had left half done was completed: apt"]


def planned(one):
    known(one)
    one.run["plan"] = one.act(state="judged")["ansible_facts"]["rolling_run"]["plan"]


def test_a_forecast(one, tmp_path):
    planned(one)
    path = tmp_path / "plan.json"
    assert one.act(state="forecast", file=str(path))["lines"][-1].startswith("ansible-playbook")
    assert json.loads(path.read_text())["steps"][0]["node"] == "sf-2"
    one.check = True
    nowhere = str(tmp_path / "x" / "y")
    assert one.act(state="forecast", file=nowhere)["forecast"]["release"] == ""
    one.check = False
    assert "Set plan_file to a file that you may write" in one.act(state="forecast", file=nowhere)["msg"]


def test_a_status(one):
    known(one)
    one.run["kind"] = "status"
    found = one.act(state="shown", lock=dict(words="nobody", gone=False, ran_out=False))
    assert found["ill"] == [] and found["report"][-1] == "lock: nobody"
    assert one.act(state="shown")["report"][-1] == "lock: not known, the node that has it was not seen"


# ---- the way through

def test_units_are_stopped(one):
    one.given["units_info"] = [dict(units=dict(a=unit(), b=unit(False))), dict(units=dict(a=unit(False)))]
    result = one.act(state="stopped", units=["a", "b"])
    assert result["changed"] and one.calls[1][1] == dict(argv=["systemctl", "stop", "a"])
    assert result["ansible_facts"]["rolling_node"]["stopped"] == ["a"]


def test_units_that_do_not_stop(one):
    result = one.act(state="stopped", units=["archipelago"])
    assert result["msg"] == "expected archipelago to be stopped; archipelago is active"
    one.given["command"] = dict(failed=True, msg="no such unit")
    assert one.act(state="stopped", units=["archipelago"])["msg"] == "no such unit"


def test_no_units_to_stop(one):
    assert not one.act(state="stopped")["changed"] and one.asked() == []
    one.given["units_info"] = dict(units={})
    assert not one.act(state="stopped", units=["x"])["changed"]
    one.check, one.given["units_info"] = True, dict(units=dict(x=unit()))
    assert one.act(state="stopped", units=["x"])["changed"] and one.asked() == ["units_info"]


def boots(*ids):
    return [one if isinstance(one, Exception) else dict(id=one) if isinstance(one, str) else one for one in ids]


AWAY = AnsibleConnectionFailure("refused")


def test_a_reboot(one):
    one.given["boot_info"] = boots("1", "1", AWAY, AnsibleError("failed to transfer file to /tmp/x"), "2")
    result = one.act(state="rebooted", reboot_timeout=100)
    assert result["changed"] and one.asked() == ["boot_info", "command"] + ["boot_info"] * 4
    assert one.calls[1][1] == dict(argv=["systemctl", "reboot"])
    assert one.clock.naps == [host.INTERVAL] * 3 and result["ansible_facts"]["rolling_node"]["runs"] == dict(boot=6.0)


def test_a_connection_that_the_reboot_cuts(one):
    one.given.update(boot_info=boots("1", "2"), command=AWAY)
    assert not one.act(state="rebooted", reboot_timeout=100).get("failed")


@pytest.mark.parametrize("answers, command, words", [
    (["1"] * 99, dict(rc=1, stderr="not allowed"), "it runs, and has not rebooted (systemctl reboot: not allowed)"),
    (["1"] * 99, dict(rc=1, msg="no such file"), "it runs, and has not rebooted (systemctl reboot: no such file)"),
    (["1"] + [AWAY] * 99, dict(rc=0), "it cannot be reached: refused"),
    (["1"] + [dict(failed=True, msg="no proc")] * 99, dict(rc=0), "it cannot be reached: no proc")])
def test_a_node_that_does_not_come_back(one, answers, command, words):
    one.given.update(boot_info=boots(*answers), command=command)
    result = one.act(state="rebooted", reboot_timeout=40)
    assert result["msg"] == ("expected it to be back with another boot id within 40 s (roll_reboot_timeout); last "
                             "seen: " + words)
    assert result["title"] == "Reboot" and one.words()[0].startswith("sf-1 reboots since 30 s; it ")
    assert result["timing"]["step"] == "restart" and result["timing"]["began"] <= result["timing"]["ended"]


def test_a_node_that_is_away_before_its_reboot(one):
    one.given["boot_info"], one.variables["roll_reconnect_timeout"] = AWAY, 0
    assert "cannot be reached by ssh any more" in one.act(state="rebooted")["msg"] and "command" not in one.asked()


def test_nothing_reboots_in_check_mode(one):
    one.check = True
    assert one.act(state="rebooted")["changed"] and one.act(state="up", needed=["x"]).get("failed") is None
    assert one.asked() == []


def test_units_are_waited_for(one):
    one.given["units_info"] = [dict(units={}), dict(units=dict(a=unit(False))), dict(units=dict(a=unit()))]
    assert not one.act(state="up", needed=["a"], gate_timeout=9).get("failed") and len(one.clock.naps) == 2
    assert one.act(state="up").get("failed") is None


def test_what_runs_again_is_not_told_as_stopped(one):
    one.node = dict(stopped=["a"])
    one.given["units_info"] = dict(units=dict(a=unit()))
    assert one.act(state="up")["ansible_facts"]["rolling_node"]["stopped"] == []


def test_what_was_stopped_is_started_where_the_boot_did_not(one):
    one.node = dict(stopped=["a"])
    one.given["units_info"] = [dict(units=dict(a=unit(False))), dict(units=dict(a=unit()))]
    one.act(state="up")
    assert one.calls[1][1] == dict(argv=["systemctl", "start", "a"])


def test_what_an_earlier_run_has_stopped_is_waited_for_too(one):
    one.run["plan"] = dict(hosts={"sf-1": dict(in_hand=True)})
    down, up = dict(unit(False), managed=True), dict(unit(), managed=True)
    one.given["units_info"] = [dict(units=dict(a=down, b=dict(unit(False), managed=False))), dict(units=dict(a=down)),
                               dict(units=dict(a=down)), dict(units=dict(a=up))]
    one.act(state="up", units=["a", "b"])
    assert one.calls[2][1] == dict(argv=["systemctl", "start", "a"]) and len(one.clock.naps) == 1
    one.run["plan"]["hosts"]["sf-1"]["in_hand"] = False
    one.act(state="up", units=["a", "b"])
    assert one.asked() == []


def test_units_that_do_not_come_up(one):
    one.given["units_info"] = dict(units=dict(a=unit(False)))
    assert one.act(state="up", needed=["a", "b"], gate_timeout=3)["msg"] == (
        "expected a, b to run within 3 s (gate_timeout); a is inactive; b is not there")


def test_a_cluster_that_complains_after_a_reboot(one):
    assert not one.act(state="sound", verified=[dict(problems=[])]).get("failed")
    result = one.act(state="sound", verified=[dict(problems=["x"])])
    assert (result["msg"], result["title"]) == ("the cluster complains of itself: x", "Have the cluster check itself")


def test_it_is_settled(one):
    assert one.act(state="settled")["ansible_facts"]["rolling_node"]["rolled"] is True
    one.check = True
    assert "ansible_facts" not in one.act(state="settled") or not one.act(state="settled")["ansible_facts"]


# ---- the end

def test_what_is_told(one):
    planned(one)
    one.node["cause"] = dict(step="Empty the host", words="web does not move")
    one.node["cause"]["away"] = "sf-1"
    result = one.act(state="told", look="look there on {leader}", looked=LOOKED)
    assert result["message"].startswith("sf-1: Empty the host: web does not move\n"
                                        "sf-1 is not drained. On it: web (running).")
    assert "Not touched: sf-2." in result["message"] and "Next: look there on sf-1, and fix" in result["message"]
    assert result["ansible_facts"]["rolling_node"]["failure"]["state"].startswith("sf-1 is not drained")
    full = dict(LOOKED, hosts=[dict(HOSTS[0]), dict(HOSTS[1], free=3)])
    one.node["cause"]["timing"] = dict(step="drain")
    assert "Next: have room, 7 MiB more than now on another node, for web, and" in one.act(
        state="told", looked=full)["message"]
    down = dict(LOOKED, hosts=[dict(HOSTS[0]), dict(HOSTS[1], free=None)],
                guests=[dict(GUESTS[0], host="sf-2.lab", home="sf-1.lab", state="ERROR_nodedown")])
    text = one.act(state="told", looked=down)["message"]
    assert "\nsf-2 does not answer the cluster.\nNOT RUNNING: web (ERROR_nodedown on sf-2.lab).\n" in text
    assert "Not touched: sf-2 (does not answer)." in text and "see why sf-2 does not answer (ansible sf-2 -m" in text
    one.node["cause"]["timing"] = {}
    text = one.act(state="told", looked=dict(leads=False, problem="not the master"))["message"]
    assert "sf-1 is not drained; the cluster could not be asked what is on it: not the master." in text
    one.node["stopped"] = ["archipelago"]
    assert "On it: web (running). Stopped there by this run: archipelago.\n" in one.act(
        state="told", looked=LOOKED)["message"]
    one.node["cause"] = dict(words="asked to stop", stopped=True)
    result = one.act(state="told")
    assert result["message"].startswith("Before sf-1: asked to stop\nNot touched: sf-2, sf-1.")
    assert result["ansible_facts"]["rolling_node"]["failure"]["state"] == ""


GANETI = dict(lead=["gnt-cluster", "master-failover"], words=dict(guest="instance", leader="master",
                                                                  starter="the watcher"))


def lost(one, gone, looked, **host):
    one.node["host"], one.clock.wall = host, 100.0
    one.node["cause"] = dict(step="Empty", words=f"{gone} cannot be reached by ssh", lost=True, away=gone)
    return one.act(state="told", look="look there", looked=looked, cluster=GANETI)["message"]


def test_the_master_is_lost(one):
    planned(one)
    one.run["lock"] = "sf-2"
    away = dict(failed=True, lost=True, away="sf-2", msg="sf-2 cannot be reached by ssh")
    # sf-1 leads; in its own turn another one does.
    text = lost(one, "sf-2", away, flag="drained", led=True, moved=dict(web="sf-2.lab"), paused=4e9)
    assert "\nsf-2 is the master: without it the cluster" in text and "Not touched: no node is left." in text
    assert ("\nAs far as this run knows, sf-1 is drained; the cluster could not be asked what is on it. Moved away by "
            "this run: web (to sf-2.lab). The watcher is paused until 07:06 UTC. The lock is on sf-2, and stays: the "
            "next run from this machine takes it over, any other one with -e lock_takeover=true.\n") in text
    assert text.count("gnt-cluster master-failover") == 1
    # It has not taken the lead yet.
    assert "\nsf-2 is lost in the turn of sf-1.\n" in lost(one, "sf-2", away)
    # It is back when the lists are looked at.
    text = lost(one, "sf-2", LOOKED, led=True)
    assert "sf-1 is not drained. On it: web (running)." in text and "Next: look there" in text
    assert "The lock" not in text


def test_a_node_is_lost_in_its_own_turn(one):
    planned(one)
    text = lost(one, "", LOOKED, led=True)
    assert "\nsf-1 is lost in the turn of sf-1.\n" in text and "On it: web (running)." in text
    # The master, when the lists are looked at, after another failure.
    one.node["cause"] = dict(step="Empty", words="web does not move")
    looked = dict(failed=True, lost=True, msg="gone")
    text = one.act(state="told", look="look there", looked=looked, cluster=GANETI)["message"]
    assert "sf-1 is lost in the turn of sf-1" in text
    one.node["host"] = {}
    text = one.act(state="told", look="look there", looked=dict(looked, away=""), cluster=GANETI)["message"]
    assert "sf-1 is the master: without it" in text


def test_the_end_is_verified(one):
    known(one)
    assert one.act(state="verified")["leader"] == "sf-1"
    assert one.act(state="verified", verified=[dict(problems=["x"])])["msg"] == "the cluster complains of itself: x"
    known(one, leads=False)
    assert one.act(state="verified", verified=[dict(skipped=True)])["msg"].startswith("no node leads the cluster")
    known(one)
    one.others["sf-2"] = {}
    assert one.act(state="verified")["msg"] == "sf-2: it could not be checked"
    noted = [dict(HOSTS[0]), dict(HOSTS[1], note="undrained")]
    known(one, hosts=noted, guests=[dict(GUESTS[0], home="sf-2.lab")])
    assert one.act(state="verified")["msg"] == "sf-2 is not done: web of it elsewhere"
    known(one, hosts=noted)
    assert one.act(state="verified")["msg"] == "sf-2 is not done: it is still in the hand of a run"
    one.check = True
    assert not one.act(state="verified").get("failed") and NOTED not in one.act(state="verified")
