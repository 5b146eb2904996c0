# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What the actions of a failure, and of the end of a run, read from the record and add to it.

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import failure, run

NODE = dict(name="one", ready_url="http://sf-2", api_unit="sf-api", database_unit="sf-database", gateways=["sf-1:1"],
            release=dict(version="0.8.0", name="0.8.0-old", rewritten=False))
ORDER = ["sf-1", "sf-2", "sf-3"]
LEFT = dict(ready=True, seen={})
RESULT = dict(msg="expected sf-net to start", failed_units=["sf-net"])


class Cluster:
    """The facts of localhost and of three nodes, of which the first was rolled."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        self.hostvars, self.variables = {name: dict(ansible_facts={}) for name in ORDER}, {}
        plan = dict(order=ORDER, serving=ORDER, schema=["sf-1"], command="CMD", api=True, nodes=[dict(name="one")],
                    ready_urls={name: f"http://{name}" for name in ORDER})
        record = dict(id="x", kind="upgrade", began=5.0, plan=plan)
        self.hostvars["localhost"] = dict(ansible_facts=dict(rolling_run=record))
        self.act(run, "sf-1", state="noted", node=dict(rolled=True))

    def act(self, plugin, name, to="", **arguments):
        """The result of an action for a node; its facts are kept, those of a run on localhost."""
        action = plugin.ActionModule.__new__(plugin.ActionModule)
        action._templar = SimpleNamespace(template=lambda value: value)
        defaults = {option: value.get("default") for option, value in plugin.ARGUMENTS.items()}
        action.validate_argument_spec = lambda argument_spec: (None, dict(defaults, **arguments))
        result = action.run(task_vars=dict(self.variables, hostvars=self.hostvars, inventory_hostname=name,
                                           ansible_play_hosts_all=ORDER, ansible_play_hosts=ORDER))
        for key, value in result.get("ansible_facts", {}).items():
            self.hostvars["localhost" if key == "rolling_run" else name]["ansible_facts"][key] = value
        return result

    def fail(self, state, name="sf-2", **arguments):
        return self.act(failure, name, state=state, **arguments)

    def run(self):
        return self.hostvars["localhost"]["ansible_facts"]["rolling_run"]

    def node(self, name="sf-2"):
        return self.hostvars[name]["ansible_facts"]["rolling_node"]

    def again(self):
        """A second playbook of the same C(ansible-playbook)."""
        self.run().update(id="y", begun=0.0, ended=0.0, watch={}, report="", problem="")


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def test_where_a_batch_stands(cluster):
    found = cluster.fail("placed", node=NODE, target=dict(version="0.8.1"), members=["sf-2"])
    assert (found["members"], found["peers"]) == (["sf-2"], ["http://sf-1", "http://sf-3"])
    assert found["followed"] is True and found["gateways"] == ["sf-1:1"] and found["done"] == ["sf-1"]
    assert found["activates"] is True and found["reconfigures"] is False and found["balancer_waits"] == 0
    cluster.variables = dict(balancer_nginx_hosts="lb-1,lb-2", drain_timeout="70")
    assert cluster.fail("placed", node=NODE, target={}, members=["sf-2"])["balancer_waits"] == 140


@pytest.mark.parametrize("kind, version, rewritten, activates", [
    ("upgrade", "0.8.0", False, False), ("upgrade", "0.8.0", True, True), ("rollback", "0.8.1", False, True),
    ("restart", "0.8.1", True, False), ("reconfigure", "0.8.1", False, False)])
def test_whether_another_release_is_activated(cluster, kind, version, rewritten, activates):
    cluster.run()["kind"] = kind
    node = dict(NODE, release=dict(NODE["release"], rewritten=rewritten))
    found = cluster.fail("placed", node=node, target=dict(version=version), members=["sf-2"])
    assert found["activates"] is activates and found["reconfigures"] is (kind == "reconfigure")


def test_the_tier_comes_before_the_others(cluster):
    plan = cluster.run()["plan"]
    plan["database"] = ["sf-1", "sf-2"]
    found = cluster.fail("placed", "sf-3", node=NODE, target=dict(version="0.8.1"), members=["sf-3"])
    assert found["failed"] and "tier to be rolled before sf-3" in found["msg"] and "sf-2 was not" in found["msg"]
    assert found["members"] == ["sf-3"], "what the way back needs is there"
    # Going back it comes after them.
    plan["order"] = ["sf-3", "sf-1", "sf-2"]
    assert not cluster.fail("placed", "sf-3", node=NODE, target=dict(version="0.8.1"), members=["sf-3"]).get("failed")


def test_without_a_plan(cluster):
    cluster.run()["plan"] = {}
    found = cluster.fail("placed", node=NODE, target=dict(version="0.8.1"), members=["sf-2"])
    assert found["peers"] == []
    cluster.fail("kept", task="Drain", result=RESULT)
    assert "(the command that you gave)" in cluster.fail("told", node=NODE, left=LEFT, members=["sf-2"])["message"]


def test_a_node_that_goes_back(cluster):
    assert cluster.fail("kept", task="Restart", result=RESULT)["stopped"] is False
    cluster.act(run, "sf-2", state="noted", node=dict(restored="went back to 0.8.0", failure=dict(way="back")))
    message = cluster.fail("told", node=NODE, left=LEFT, members=["sf-2"])["message"]
    assert message.startswith("sf-2: Restart: expected sf-net to start\nsf-2 went back to 0.8.0. It serves")
    for part in ('journalctl -u sf-net --since "', "Not touched: sf-3.", "\nCMD\n", "roll to a fixed one instead"):
        assert part in message
    assert cluster.node()["failure"] == dict(
        text=message, state="sf-2 went back to 0.8.0. It serves, every worker is ready.", serves=True)


def test_a_node_that_does_not_come_back(cluster):
    cluster.act(run, "sf-1", state="noted", node=dict(schema=dict(moved=True, backup=dict(restore="mariadb < /b"))))
    cluster.act(run, "sf-2", state="noted", node=dict(schema=dict(moved=True, backup={})))
    cluster.fail("kept", task="Gate", result=dict(msg="no", seen={"http://sf-3": dict(ready=False)}))
    cluster.act(run, "sf-2", state="noted", node=dict(
        restored="could not be returned to service (Start: nor that)", balancers=dict(nginx=True)))
    cluster.fail("not_undone", what="balancer", task="Undo", result={})
    cluster.fail("not_undone", what="hook", task="Ask", result=dict(msg="no"))
    message = cluster.fail("told", node=NODE, left=dict(ready=False), members=["sf-2"], hooks=dict(
        after_gate="/a", before_drain="/b"))["message"]
    for part in ("sf-2 could not be returned to service (Start: nor that). It is OUT OF ROTATION", "on sf-3, and fix",
                 "marked down in nginx.", "/a failed for it (Ask: no)", "restored with mariadb < /b."):
        assert part in message
    assert cluster.node()["failure"]["serves"] is False


def test_a_node_that_goes_back_without_its_second_drain(cluster):
    cluster.act(run, "sf-2", state="noted", node=dict(notes=["before"]))
    result = dict(msg="2 of 2", title="Wait for the others", _ansible_noted=dict(timeline=[dict(began=2.0)]))
    cluster.fail("not_drained", task="Drain", result=result)
    assert cluster.node()["notes"] == ["before", (
        "sf-2 went back without a second drain, so requests may have failed there: Wait for the others: 2 of 2")]
    assert cluster.node()["timeline"] == [dict(began=2.0)]


@pytest.mark.parametrize("state, more", [("kept", dict(task="Restart")), ("given_up", {})])
def test_what_an_action_that_has_failed_wanted_to_be_recorded(cluster, state, more):
    noted = dict(balancers=dict(haproxy="ready"), timeline=[dict(began=2.0)])
    cluster.act(run, "sf-2", state="noted", node=dict(timeline=[dict(began=1.0)]))
    cluster.fail(state, result=dict(RESULT, title="Wait for the gateway", _ansible_noted=noted), **more)
    assert cluster.node()["balancers"] == dict(haproxy="ready")
    assert [entry["began"] for entry in cluster.node()["timeline"]] == [1.0, 2.0]
    assert "Wait for the gateway" in str(cluster.node()) or state == "given_up"


@pytest.mark.parametrize("result, untouched", [(dict(msg="the lock was lost", untouched=True), True), (RESULT, False)])
def test_a_node_whose_lock_was_lost_is_not_taken_back(cluster, result, untouched):
    """The run that has the lock now may have rolled it; both ways of a failure ask for that before they restore."""
    assert cluster.fail("kept", task="Renew the lock", result=result)["untouched"] is untouched


def test_a_stop(cluster):
    result = dict(msg="asked", stopped=True, request=dict(want="stop"))
    kept = cluster.fail("kept", task="Renew the lock", result=result)
    assert kept["stopped"] is True and kept["lost"] is False
    message = cluster.fail("told", node=NODE, left=dict(skipped=True), members=["sf-2", "sf-3"])["message"]
    assert message.startswith("Before sf-2, sf-3: asked\nDone by this run: sf-1. Not touched: sf-2, sf-3.\nNext: when")
    assert cluster.node()["failure"]["state"] == "" and cluster.node()["cause"]["request"] == dict(want="stop")


def test_a_reconfiguration_goes_on_with_what_is_left(cluster):
    cluster.run()["kind"] = "reconfigure"
    cluster.fail("kept", task="Drain", result=RESULT)
    message = cluster.fail("told", node=NODE, left=LEFT, members=["sf-2"])["message"]
    assert "this limit:\nCMD --limit sf-2,sf-3\nIt leaves out finished nodes" in message


def test_others_of_the_batch(cluster):
    cluster.fail("kept", "sf-2", task="Drain", result=RESULT)
    cluster.fail("told", "sf-2", node=NODE, left=LEFT, members=["sf-1", "sf-2", "sf-3"])
    found = cluster.fail("others", "sf-1", nodes=["sf-2", "sf-3"])
    assert found["lost"] == ["sf-3"] and "The roll stops because of sf-2, sf-3, see above." in found["message"]
    assert cluster.node("sf-1")["lost"]["sf-3"]["words"].startswith("sf-3 has dropped out of the run")


@pytest.mark.parametrize("result, phase, words, state", [
    (dict(msg="no space"), "stage", "no space\nNothing in service was changed", "Nothing in service was changed"),
    ({}, "", "see above", ""),
])
def test_a_step_of_all_nodes(cluster, result, phase, words, state):
    found = cluster.fail("given_up", result=result, phase=phase)
    assert found["message"].startswith(words) and cluster.node()["failure"]["state"].startswith(state)
    assert cluster.node()["cause"]["step"] == "" and cluster.node()["failure"]["text"] == found["message"]


@pytest.mark.parametrize("asked, stopped", [(dict(want="stop"), True), (None, False)])
def test_a_stop_of_all_nodes_is_one_that_was_asked_for(cluster, asked, stopped):
    result = dict(msg="x", stopped=True, request=asked)
    others = cluster.fail("given_up", result=result)["message"]
    assert cluster.node()["cause"]["stopped"] is stopped and cluster.node()["failure"]["text"].startswith("x")
    # It is told once.
    assert bool(others) is not stopped and cluster.fail("given_up", "sf-1", result=result)["message"].startswith("x")


# ---- the record

def test_what_the_run_is_told_of_itself(cluster):
    seen = cluster.act(run, "sf-1", state="seen")
    assert seen["run"]["id"] == "x" and seen["node"]["rolled"] is True and seen["ansible_facts"] == {}
    assert cluster.act(run, "sf-1", state="running")["run"]["begun"] > 0 and cluster.run()["begun"] > 0
    assert cluster.act(run, "sf-1", state="ended")["run"]["ended"] > 0 and cluster.run()["begun"] > 0


def test_a_run_that_has_nothing_to_do_does_not_begin(cluster):
    cluster.run()["plan"].update(order=[])
    assert cluster.act(run, "sf-1", state="running")["ansible_facts"] == {} and not cluster.run().get("begun")


def test_the_second_run_sees_nothing_of_the_first(cluster):
    cluster.fail("kept", task="Drain", result=RESULT)
    cluster.fail("told", node=NODE, left=LEFT, members=["sf-2"])
    cluster.again()
    assert cluster.act(run, "sf-2", state="seen")["node"]["cause"] == {}
    assert cluster.fail("others", "sf-1", nodes=["sf-2"])["lost"] == ["sf-2"]
