# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.tell_message import FilterModule, tell_message

PLAN = dict(order=["sf-1", "sf-2", "sf-3"], done=["sf-0"], command="ansible-playbook -i x shakenfist.rolling.upgrade",
            began="1763730516.7")
LOCK = dict(run="ef744c2e", user="bob", host="desk", pid=4711)
ABOUT = dict(lock=LOCK, cluster="prod", playbook="upgrade", now=1763730628.4)
TIMELINE = [dict(step="quorum", began=9, ended=10), dict(step="drain", began=10.04, ended=15),
            dict(step="gate", began=20, ended=24.5), dict(step="gate", began=24.5, ended=25.5)]


def host(name, before="0.8.0", **facts):
    node = dict(release=dict(version=before)) if before else {}
    return dict(inventory_hostname=name, stage_resolved=dict(version="0.8.1"), preflight_seen=dict(node=node), **facts)


def hosts(**facts):
    return [host(name, **facts.get(name.replace("-", ""), {})) for name in ("sf-1", "sf-2", "sf-3", "sf-0")]


DONE = dict(roll_rolled=True, ansible_facts=dict(rolling_timeline=TIMELINE))


def test_start():
    assert tell_message(hosts(), "start", PLAN, **ABOUT) == dict(
        text="prod: upgrade from 0.8.0 to 0.8.1 begins: 3 nodes, 1 on it already, by bob@desk.",
        event="start", cluster="prod", playbook="upgrade", run="ef744c2e", user="bob@desk", release="0.8.1",
        **{"from": "0.8.0"}, started="2025-11-21T13:08:36Z",
        nodes=dict(done=[], failed=[], left=["sf-1", "sf-2", "sf-3"], passed_over=["sf-0"]))


def test_end():
    rolled = hosts(sf1=DONE, sf2=DONE, sf3=dict(roll_rolled=True))
    message = tell_message(rolled, "end", PLAN, report="/r.html", **ABOUT)
    assert message["text"] == ("prod: upgrade from 0.8.0 to 0.8.1 is complete after 1 min 52 s, 3 of 3 nodes done, by "
                               "bob@desk.")
    assert message["event"] == "end" and message["nodes"]["done"] == ["sf-1", "sf-2", "sf-3"]
    assert (message["ended"], message["seconds"]) == ("2025-11-21T13:10:28Z", 112)
    assert message["out_of_rotation"] == {"sf-1": 15.5, "sf-2": 15.5} and message["report"] == "/r.html"
    assert json.loads(json.dumps(message)) == message and "cause" not in message


def test_what_else_is_said_at_the_end():
    message = tell_message(hosts(sf1=DONE), "end", dict(order=["sf-1"]), state="a hook:\nfailed", **ABOUT)
    assert message["state"] == "a hook: failed" and message["text"].endswith(", by bob@desk. a hook: failed.")
    assert "state" not in tell_message(hosts(), "start", PLAN, state="any", **ABOUT)


def test_requests_that_were_watched():
    seen = dict(requests=5311, failed=2, longest_gap=0.24, p50=2.1)
    message = tell_message(hosts(sf1=DONE), "end", PLAN, watched=seen, **ABOUT)
    assert message["watched"] == dict(requests=5311, failed=2, longest_gap=0.24)
    assert message["text"].endswith(", 1 of 3 nodes done, 2 of 5311 requests failed, by bob@desk.")
    assert "watched" not in tell_message(hosts(), "start", PLAN, watched=seen, **ABOUT)
    assert "watched" not in tell_message(hosts(), "end", PLAN, watched={}, **ABOUT)


def test_a_run_that_had_nothing_to_do():
    message = tell_message(hosts(), "end", dict(order=[], done=["sf-1", "sf-2", "sf-3", "sf-0"]), **ABOUT)
    assert message["event"] == "unchanged" and message["from"] == message["release"] == "0.8.1"
    assert message["text"] == "prod: upgrade of 0.8.1: nothing to do, 4 nodes were on it already, by bob@desk."


def test_a_node_has_failed():
    cause = dict(step="Restart", words="expected <sf-net> & co\nto start", stopped=False)
    message = tell_message(hosts(sf1=DONE, sf2=dict(roll_cause=cause)), "failure", PLAN, words="sf-2: all\nof it\n",
                           state="sf-2 was left on 0.8.1. It serves, every worker is ready.", **ABOUT)
    assert message["text"] == (
        "prod: upgrade from 0.8.0 to 0.8.1 FAILED on sf-2 after 1 min 52 s, 1 of 3 nodes done, by bob@desk. Restart: "
        "expected &lt;sf-net&gt; &amp; co to start. sf-2 was left on 0.8.1. It serves, every worker is ready. Next: "
        "`ansible-playbook -i x shakenfist.rolling.upgrade`")
    assert message["nodes"] == dict(done=["sf-1"], failed=["sf-2"], left=["sf-3"], passed_over=["sf-0"])
    assert message["cause"] == "Restart: expected <sf-net> & co to start" and message["message"] == "sf-2: all\nof it"
    assert message["command"] == PLAN["command"] and message["stopped"] is False


def test_an_operator_has_stopped_it():
    cause = dict(step="Renew the lock", words="the roll was asked to stop: amy@desk", stopped=True)
    batch = hosts(sf1=DONE, sf2=dict(roll_cause=cause), sf3=dict(roll_cause=cause))
    message = tell_message(batch, "failure", PLAN, **ABOUT)
    assert message["text"].startswith(
        "prod: upgrade from 0.8.0 to 0.8.1 was stopped after 1 min 52 s, 1 of 3 nodes done, by bob@desk. "
        "The roll was asked to stop: amy@desk. Next: ")
    assert message["stopped"] is True and message["nodes"]["failed"] == []
    assert message["nodes"]["left"] == ["sf-2", "sf-3"]


@pytest.mark.parametrize("causes, told", [
    (["no space", "no space"], "FAILED on sf-1, sf-2 after 1 min 52 s, 0 of 3 nodes done, by bob@desk. no space. "),
    (["no space", "no pip"], "by bob@desk. sf-1: no space; sf-2: no pip. "),
    (["a " * 200, "a " * 200], "by bob@desk. " + "a " * 150 + "... "),
])
def test_several_nodes_have_failed(causes, told):
    facts = dict(sf1=dict(finish_cause=causes[0]), sf2=dict(finish_cause=causes[1]))
    assert told in tell_message(hosts(**facts), "failure", PLAN, **ABOUT)["text"]


def test_a_node_that_was_rolled_or_passed_over_may_fail_later():
    failed = hosts(sf1=DONE, sf2=dict(DONE, finish_cause="not ready"), sf3=DONE, sf0=dict(finish_cause="not ready"))
    assert tell_message(failed, "failure", PLAN, **ABOUT)["nodes"] == dict(
        done=["sf-1", "sf-3"], failed=["sf-2", "sf-0"], left=[], passed_over=[])


def test_a_cause_of_an_earlier_failure_is_not_told_at_the_end():
    message = tell_message(hosts(sf1=dict(DONE, finish_cause="x")), "end", dict(order=["sf-1"]), **ABOUT)
    assert message["nodes"]["failed"] == [] and "x" not in message["text"].split()


def test_one_node_is_one_node():
    assert " begins: 1 node, 1 on" in tell_message(hosts(), "start", dict(PLAN, order=["sf-1"]), **ABOUT)["text"]
    message = tell_message(hosts(), "end", dict(order=[], done=["sf-0"]), **ABOUT)
    assert "nothing to do, 1 node was on it already" in message["text"]


def test_releases_before():
    mixed = [host("sf-1", "0.8.0"), host("sf-2", "0.7.9"), host("sf-3", None)]
    assert "upgrade from 0.8.0, 0.7.9 to 0.8.1 begins" in tell_message(mixed, "start", PLAN, **ABOUT)["text"]


def test_with_nothing_known():
    """In a playbook of one's own there may be neither plan nor lock."""
    begin = time.time()
    message = tell_message([dict(inventory_hostname="a", roll_rolled=True), dict(inventory_hostname="b")], "end")
    assert message["text"].startswith("is complete after 0 s, 1 of 1 nodes done.")
    assert message["nodes"]["done"] == ["a"] and message["out_of_rotation"] == {} and "report" not in message
    assert message["started"] == message["ended"] >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin))
    told = tell_message([dict(inventory_hostname="a")], "failure", words="it broke\nbadly")
    assert told["text"] == "FAILED after 0 s, 0 of 0 nodes done. it broke badly." and told["command"] == ""


@pytest.mark.parametrize("timeline", [None, [], TIMELINE[:2], TIMELINE[2:]])
def test_a_node_that_was_not_out_of_rotation_and_back(timeline):
    facts = dict(roll_rolled=True, ansible_facts=dict(rolling_timeline=timeline))
    assert tell_message(hosts(sf1=facts), "end", PLAN, **ABOUT)["out_of_rotation"] == {}


def test_the_plugin_names_its_filter():
    assert FilterModule().filters() == {"tell_message": tell_message}
