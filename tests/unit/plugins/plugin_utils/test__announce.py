# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._announce import message
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer
from ansible_collections.shakenfist.rolling.tests.unit.report_facts import COMMAND, NIGHT, WHO, Facts

TOOK = "after 1 min 52 s"


@pytest.fixture
def facts():
    """Three nodes to roll, and one that is on the release already."""
    made = Facts()
    made.add("sf-0")
    made.plan["done"] = ["sf-0"]
    return made


def tell(facts, event, seconds=112, **arguments):
    found = Gatherer(facts.hosts, NIGHT + seconds + 0.4)
    return message(found, event, WHO, **dict(dict(cluster="prod", playbook="upgrade"), **arguments))


def rolled(facts, *names):
    for name in names:
        facts.take(name)
    return facts


def test_start(facts):
    assert tell(facts, "start") == dict(
        text="prod: upgrade from 0.8.0 to 0.8.1 begins: 3 nodes, 1 on it already, by alice@admin.",
        event="start", cluster="prod", playbook="upgrade", run="1a2b3c4d", user="alice@admin", release="0.8.1",
        **{"from": "0.8.0"}, started="2026-11-21T03:53:02Z",
        nodes=dict(done=[], failed=[], left=["sf-1", "sf-2", "sf-3"], passed_over=["sf-0"]))


def test_end(facts):
    facts.run["report"] = "/r.html"
    told = tell(rolled(facts, "sf-1", "sf-2", "sf-3"), "end")
    assert told["text"] == (f"prod: upgrade from 0.8.0 to 0.8.1 is complete {TOOK}, 3 of 3 nodes done, by alice@admin.")
    assert told["event"] == "end" and told["nodes"]["done"] == ["sf-1", "sf-2", "sf-3"]
    assert (told["ended"], told["seconds"]) == ("2026-11-21T03:54:54Z", 112) and told["report"] == "/r.html"
    assert list(told["out_of_rotation"]) == ["sf-1", "sf-2", "sf-3"] and told["out_of_rotation"]["sf-1"] == 14.3
    assert json.loads(json.dumps(told)) == told and "cause" not in told
    assert tell(facts, "end", report="/other.html")["report"] == "/other.html"


def test_services_are_counted_where_they_are_rolled():
    facts = Facts().services()
    assert " begins: 4 services, 1 on it already, " in tell(facts, "start")["text"]
    assert f"FAILED on sf-1 {TOOK}, 2 of 4 services done, " in tell(facts, "failure")["text"]


def test_what_else_is_said_at_the_end(facts):
    facts.run["problem"] = "a hook:\nfailed"
    told = tell(facts, "end")
    assert told["state"] == "a hook: failed" and told["text"].endswith(", by alice@admin. a hook: failed.")
    assert tell(facts, "end", state="fine")["state"] == "fine" and "state" not in tell(facts, "start", state="any")


def test_requests_that_were_watched(facts):
    seen = dict(since=dict(requests=5311, failed=2, excused=0, longest_gap=0.24, p50=2.1))
    facts.run["watch"] = dict(started=True, seen=seen)
    told = tell(rolled(facts, "sf-1"), "end")
    assert told["watched"] == dict(requests=5311, failed=2, excused=0, longest_gap=0.24)
    assert told["text"].endswith(", 1 of 3 nodes done, 2 of 5311 requests failed, by alice@admin.")
    assert "watched" not in tell(facts, "start")
    seen["since"]["excused"] = 3
    assert ", 2 of 5311 requests failed, 3 excused, by alice" in tell(facts, "end")["text"]
    facts.run["watch"]["seen"]["since"] = None
    assert "watched" not in tell(facts, "end")


def test_a_run_that_had_nothing_to_do(facts):
    facts.plan.update(order=[], done=["sf-1", "sf-2", "sf-3", "sf-0"])
    told = tell(facts, "end")
    assert told["event"] == "unchanged" and told["from"] == told["release"] == "0.8.1"
    assert told["text"] == "prod: upgrade of 0.8.1: nothing to do, 4 nodes were on it already, by alice@admin."


def test_a_run_that_only_reboots():
    facts = Facts().only_reboots("sf-1", "sf-2")
    assert tell(facts, "start")["nodes"] == dict(done=[], failed=[], left=["sf-1", "sf-2"], passed_over=["sf-3"])
    for name in ("sf-1", "sf-2"):
        facts.reboot(name)
    told = tell(facts, "end")
    assert told["event"] == "end" and told["text"].startswith("prod: upgrade of 0.8.1 is complete ")
    assert told["nodes"] == dict(done=["sf-1", "sf-2"], failed=[], left=[], passed_over=["sf-3"])


@pytest.mark.parametrize("kind, words", [("upgrade", "on it"), ("restart", "restarted"), ("hosts", "done")])
def test_why_nodes_are_passed_over(facts, kind, words):
    facts.run["kind"] = kind
    if kind == "hosts":
        for host in facts.hosts.values():
            host.pop("stage_resolved", None)
    assert f" begins: 3 nodes, 1 {words} already, " in tell(facts, "start")["text"]
    facts.plan.update(order=[], done=["sf-1", "sf-0"])
    assert f": nothing to do, 2 nodes were {words} already, " in tell(facts, "end")["text"]


def test_a_node_has_failed(facts):
    rolled(facts, "sf-1")
    facts.fail("sf-2", "Restart", "expected <sf-net> & co\nto start", "sf-2: all\nof it\n",
               "sf-2 was left on 0.8.1. It serves, every worker is ready.")
    told = tell(facts, "failure")
    assert told["text"] == (
        f"prod: upgrade from 0.8.0 to 0.8.1 FAILED on sf-2 {TOOK}, 1 of 3 nodes done, by alice@admin. Restart: "
        "expected &lt;sf-net&gt; &amp; co to start. sf-2 was left on 0.8.1. It serves, every worker is ready. Next: "
        f"`{COMMAND}`")
    assert told["nodes"] == dict(done=["sf-1"], failed=["sf-2"], left=["sf-3"], passed_over=["sf-0"])
    assert told["cause"] == "Restart: expected <sf-net> & co to start" and told["message"] == "sf-2: all\nof it"
    assert told["command"] == COMMAND and told["stopped"] is False
    assert tell(facts, "failure", words="mine", state="so")["message"] == "mine"


@pytest.mark.parametrize("step", ["Renew the lock", ""])
def test_an_operator_has_stopped_it(facts, step):
    """Before a batch, or before the schema."""
    rolled(facts, "sf-1")
    for name in ("sf-2", "sf-3"):
        facts.fail(name, step, "the roll was asked to stop: amy@desk", "Before it", stopped=True)
    told = tell(facts, "failure")
    assert told["text"].startswith(
        f"prod: upgrade from 0.8.0 to 0.8.1 was stopped {TOOK}, 1 of 3 nodes done, by alice@admin. "
        "The roll was asked to stop: amy@desk. Next: ")
    assert told["stopped"] is True and told["nodes"]["failed"] == []
    assert told["nodes"]["left"] == ["sf-2", "sf-3"]


@pytest.mark.parametrize("causes, words", [
    (["no space", "no space"], f"FAILED on sf-1, sf-2 {TOOK}, 0 of 3 nodes done, by alice@admin. no space. "),
    (["no space", "no pip"], "by alice@admin. sf-1: no space; sf-2: no pip. "),
    (["a " * 200, "a " * 200], "by alice@admin. " + "a " * 150 + "... "),
])
def test_several_nodes_have_failed(facts, causes, words):
    for name, cause in zip(facts.names, causes):
        facts.fail(name, "", cause, cause)
    assert words in tell(facts, "failure")["text"]


def test_each_node_tells_its_own_failure(facts):
    for name in ("sf-2", "sf-3"):
        facts.fail(name, "Drain", "no", f"{name}: no")
    assert tell(facts, "failure", name="sf-3")["message"] == "sf-3: no"


def test_a_node_that_was_lost_without_a_word(facts):
    rolled(facts, "sf-1")
    facts.nodes["sf-1"]["lost"] = {"sf-2": dict(words="sf-2 has dropped out", text="sf-2 has dropped out\nNext: see",
                                                state="Next: see")}
    told = tell(facts, "failure", name="sf-1")
    assert told["nodes"]["failed"] == ["sf-2"] and told["cause"] == "sf-2 has dropped out"
    assert told["message"] == "sf-2 has dropped out\nNext: see" and told["state"] == "Next: see"


def test_a_node_that_was_rolled_or_passed_over_may_fail_later(facts):
    rolled(facts, "sf-1", "sf-2", "sf-3")
    for name in ("sf-2", "sf-0"):
        facts.fail(name, "", "not ready", "not ready")
    assert tell(facts, "failure")["nodes"] == dict(
        done=["sf-1", "sf-3"], failed=["sf-2", "sf-0"], left=[], passed_over=[])


def test_one_node_is_one_node(facts):
    facts.plan["order"] = ["sf-1"]
    assert " begins: 1 node, 1 on" in tell(facts, "start")["text"]
    facts.plan["order"] = []
    assert "nothing to do, 1 node was on it already" in tell(facts, "end")["text"]


def test_releases_before(facts):
    facts.nodes["sf-2"]["seen"]["node"]["release"]["version"] = "0.7.9"
    facts.nodes["sf-3"]["seen"] = {}
    assert "upgrade from 0.8.0, 0.7.9 to 0.8.1 begins" in tell(facts, "start")["text"]
    facts.nodes["sf-2"]["seen"]["node"]["release"]["version"] = "0.8.1"
    assert "upgrade from 0.8.0 to 0.8.1 begins" in tell(facts, "start")["text"]


def test_with_nothing_known():
    """In a playbook of one's own there may be neither plan nor lock."""
    hosts = {"a": {"ansible_facts": {"rolling_node": dict(run="", rolled=True)}}, "b": {}}
    told = message(Gatherer(hosts, NIGHT, ["a", "b"]), "end", {})
    assert told["text"].startswith("is complete after 0 s, 1 of 1 nodes done.")
    assert told["nodes"]["done"] == ["a"] and told["out_of_rotation"] == {} and "report" not in told
    assert told["started"] == told["ended"] == "2026-11-21T03:53:02Z"
    told = message(Gatherer({"a": {}}, NIGHT, ["a"]), "failure", {}, words="it broke\nbadly")
    assert told["text"] == "FAILED after 0 s, 0 of 0 nodes done. it broke badly." and told["command"] == ""


def test_a_node_that_was_not_out_of_rotation_and_back(facts):
    facts.take("sf-1", until="drain")
    assert tell(facts, "end")["out_of_rotation"] == {}
