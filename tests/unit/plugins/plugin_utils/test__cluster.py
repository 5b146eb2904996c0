# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._cluster import (
    half_way,
    judge_cluster,
    known_as,
    unseen_nodes,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Finding

VERDICT = {"one": {"name": "sf-1", "findings": []}, "two": {"name": "sf-2", "findings": []}}


def only(**facts):
    """The API's word on two nodes, with these facts of the second."""
    first = dict(name="sf-1", state="created", release="0.8.0")
    return dict(known=True, url="http://api", nodes=[first, dict(first, name="sf-2", **facts)])


def api(**states):
    """The API's word on nodes, of which C(sf_1) and C(sf_2) are as they should be."""
    states = dict(dict(sf_1="created", sf_2="created"), **states)
    return dict(known=True, url="http://api", nodes=[
        dict(name=name.replace("_", "-"), state=state, release="0.8.0") for name, state in states.items() if state])


def judge(*arguments):
    found = judge_cluster(VERDICT, *arguments)
    return [(finding.level, finding.check) for finding in found if finding.level != "pass"], " ".join(
        finding.words for finding in found)


@pytest.mark.parametrize("nodes, found, words", [
    (api(), [], []),
    (api(sf_9="deleted"), [], []),
    (api(sf_9="missing"), [("fail", "stale nodes")], [
        "node sf-9 is missing and runs 0.8.0", "sf-client node delete sf-9",
        "DELETE http://api/nodes/sf-9"]),
    (api(sf_9="error"), [("fail", "stale nodes")], [
        "sf-9 is error", "sf-client node delete sf-9", "If it is not: add it to the inventory, and once the cause of "
        "its error is gone, run sf-ctl clear-node-error there"]),
    (api(sf_9="created"), [("fail", "nodes")], ["knows a node sf-9 (created, 0.8.0) that the inventory lacks"]),
    (api(sf_2=None), [("fail", "nodes")], ["does not know sf-2"]),
    (api(sf_2="missing"), [("warn", "states")], ["sf-2 is missing: it is in the inventory"]),
    (dict(known=False, problem="no credentials"), [("warn", "nodes")], ["is not known", "no credentials"]),
    ({}, [("warn", "nodes")], ["no node could ask"]),
])
def test_nodes(nodes, found, words):
    levels, text = judge(nodes)
    assert levels == found
    assert [word for word in words if word not in text] == []


def test_one_node_under_two_names():
    verdict = dict(VERDICT, three=dict(name="sf-1", findings=[]))
    found = [finding for finding in judge_cluster(verdict, {}) if finding.level == "fail"]
    assert [finding.check for finding in found] == ["names"]
    assert found[0].words == "one and three are the same node, sf-1: keep one of these names in the inventory"
    # One of them is left out by --limit.
    found = judge_cluster(VERDICT, {}, unseen=dict(three=dict(name="sf-2")))
    assert [finding.words for finding in found if finding.check == "names"] == [
        "three and two are the same node, sf-2: keep one of these names in the inventory"]


@pytest.mark.parametrize("first, second, words", [
    (("sf-1", "10.0.0.1"), ("sf-1", "10.0.0.1"), "a and b are the same node, sf-1: keep one of these names in the inv"),
    (("sf-1", "10.0.0.1"), ("sf-1", None), "a and b are the same node, sf-1: keep one of these names in the inventory"),
    # One configuration that was copied to another machine.
    (("sf-1", "10.0.0.1"), ("sf-1", "10.0.0.2"),
     "a and b call themselves sf-1, at 10.0.0.1 and 10.0.0.2: if they are different machines, correct NODE_NAME in "
     "/etc/sf/config; if not, keep one of these names in the inventory"),
    # Without NODE_NAME, each has the name that the inventory gives it.
    (("a", "10.0.0.1"), ("b", "10.0.0.1"),
     "a and b have the same address, 10.0.0.1: if they are one machine, keep one of these names in the inventory; if "
     "not, correct NODE_MESH_IP in /etc/sf/config"),
    (("a", "10.0.0.1"), ("b", "10.0.0.2"), ""), (("a", None), ("b", None), ""),
])
def test_nodes_that_pass_for_one(first, second, words):
    verdict = {name: dict(name=own, address=address, config="/etc/sf/config", findings=[])
               for name, (own, address) in zip("ab", (first, second))}
    found = [finding.words for finding in judge_cluster(verdict, {}).failed() if finding.check == "names"]
    assert len(found) == bool(words) and "".join(found).startswith(words)


RUNNING = {"sf-api": "running", "sf-net": "running"}


@pytest.mark.parametrize("facts, done, words", [
    (dict(state="created"), False, None),
    (dict(state="initial"), False, None),
    (dict(state="error"), False,
     "sf-2 is error, .* run sf-ctl clear-node-error on sf-2. It is rolled all the same. Delete only a node that is"),
    (dict(state="error"), True,
     "sf-2 is error, .* run sf-ctl clear-node-error on sf-2. Delete only a node that is gone$"),
    (dict(state="missing"), False, "sf-2 is missing: it is in the inventory, so it is rolled"),
    (dict(state="missing"), True, "sf-2 is missing: see that its daemons run$"),
    (dict(state="degraded", daemons=dict(RUNNING, **{"sf-net": "stopped"})), False,
     "sf-2 is degraded: sf-net does not run there; rolling it starts every daemon again$"),
    (dict(state="stopping", daemons={"sf-b": "stopping", "sf-a": "stopped"}), False,
     "sf-a, sf-b do not run there; rolling it"),
    (dict(state="stopped", daemons=RUNNING), False,
     "sf-2 is stopped: a daemon does not run there, or was stopped and not"),
    (dict(state="stopped", daemons=None), True,
     "it is not rolled now, so start them: systemctl restart sf-sentinel-first, then sf-sentinel-last, on sf-2$"),
    (dict(state="degraded", daemons=None), True,
     "a daemon does not run .*; it is not rolled now, so start what does not run"),
    (dict(state="degraded"), False, "sf-2 is degraded: a daemon does not run there"),
])
def test_states_of_nodes_of_the_inventory(facts, done, words):
    verdict = dict(VERDICT, two=dict(VERDICT["two"], done=done))
    found = [finding for finding in judge_cluster(verdict, only(**facts)) if finding.check == "states"]
    assert [finding.level for finding in found] == ["warn" if words else "pass"]
    assert not words or re.search(words, found[0].words), found[0].words


@pytest.mark.parametrize("state, words", [
    ("stopped", "restart_sentinels.*, so start them: systemctl restart sf-sentinel-first, then .*-last, on sf-2$"),
    ("stopping", "restart_sentinels"), ("degraded", "rolling it starts every daemon again$"),
])
def test_a_state_of_which_only_the_sentinels_lead_out(state, words):
    found = [finding.words for finding in judge_cluster(VERDICT, only(state=state), sentinels=False)
             if finding.check == "states"]
    assert re.search(words, found[0]), found[0]


@pytest.mark.parametrize("said, database, told, restart, level, words", [
    (None, ["one"], False, False, "pass", ""),
    (False, ["one"], False, False, "pass", ""),
    (True, ["one", "two"], False, False, "pass", ""),
    (True, ["one"], False, False, "fail", "sf-2 is a database node, but the inventory does not have it in the"),
    (True, ["one"], False, True, "warn", "sf-2 is a database node"),
    # The node itself has told already.
    (True, ["one"], True, False, "pass", ""),
    (False, ["one", "two"], False, False, "warn", "sf-2 is no database node, but the inventory has it in the"),
])
def test_the_database_tier(said, database, told, restart, level, words):
    findings = [Finding("tier", "fail" if told else "pass")]
    verdict = dict(VERDICT, two=dict(name="sf-2", findings=findings))
    judged = judge_cluster(verdict, only(is_database_node=said), database=database, restart=restart)
    found = [finding for finding in judged
             if finding.check == "database nodes"]
    assert found[-1].level == level and words in found[-1].words
    assert [finding.level for finding in found[:-1]] == (["pass"] if level == "warn" and not restart else [])


def test_a_hidden_node_of_the_tier():
    found = judge_cluster({"one": VERDICT["one"]}, only(is_database_node=True), hidden=["two"], database=["one"],
                          unseen={"two": dict(name="sf-2", version="0.8.0")})
    assert [finding.words for finding in found if finding.check == "database nodes"][0].startswith(
        "the API says that sf-2 is a database node")


@pytest.mark.parametrize("offsets, apart", [
    ({}, False), ({"one": (2.6, 2.6), "two": (-2.3, -2.3)}, False), ({"one": (100.0, 100.0), "two": (101, 101)}, False),
    ({"one": (2.6, 2.6), "two": (-2.6, -2.6)}, True), ({"two": (99.0, 99.0)}, False),
    # One that was busy for nine seconds, and one that is ahead whatever it was busy with.
    ({"one": (-0.1, 9.0), "two": (1.8, 2.0)}, False), ({"one": (5.6, 9.0), "two": (-1.0, 0.4)}, True),
])
def test_clocks(offsets, apart):
    levels, text = judge(api(), offsets)
    assert levels == ([("fail", "clocks")] if apart else [])
    assert ("the clocks are 5 s apart" in text) == apart


def test_the_clock_of_the_controller():
    """From when on daemons count as restarted is its time; of another release they are whatever the time."""
    behind = {"one": (-600.0, -599.0), "two": (-600.0, -599.0)}
    assert not judge_cluster(VERDICT, api(), behind).failed()
    found = [one for one in judge_cluster(VERDICT, api(), behind, restart=True) if one.check == "clocks"]
    assert [one.level for one in found] == ["fail"]
    assert "the clocks are 599 s apart" in found[0].words and "the controller +0 s, two -599 s)" in found[0].words


def on(version, contents="", kind="3.11"):
    return dict(release=dict(version=version, contents=contents), kind=kind)


@pytest.mark.parametrize("nodes, told, words", [
    (dict(a=on("0.8.1"), b=on("0.8.0"), c=on("0.8.0")), {}, "0.8.0 on b, c; 0.8.1 on a"),
    (dict(a=on("0.8.1"), b=on("0.8.1")), {}, ""),
    (dict(a=on("0.8.1"), b=dict(release={}, kind="")), dict(c=None), ""),
    (dict(a=on("0.8.1", "1" * 9), b=on("0.8.1", "2" * 9)), {}, "0.8.1 build 11111111 on a; 0.8.1 build 22222222 on b"),
    # A build may be for one kind of node only.
    (dict(a=on("0.8.1", "1" * 9), b=on("0.8.1", "2" * 9, "3.9")), {}, ""),
    # The API tells less of a release than the node itself.
    (dict(a=on("0.8.1.dev3+gabc1234")), dict(b="0.8.1"), ""),
    (dict(a=on("0.8.1.dev3+gabc1234")), dict(b="0.8.0"), "0.8.0 on b; 0.8.1.dev3+gabc1234 on a"),
    ({}, {}, ""),
])
def test_a_tier_that_is_half_way(nodes, told, words):
    assert "".join(half_way(nodes, told)) == (words and (
        f"the database tier is on more than one release ({words}). If the schema was migrated, no sf-database of the "
        "one before starts again: restart none of them, and finish the run that was begun"))


@pytest.mark.parametrize("rolled, others, back, level, words", [
    ("one", dict(two="0.8.1"), False, None, ""),
    ("two", dict(one="0.8.1"), False, None, ""),
    ("two", dict(one="0.8.0"), False, "fail", "two would run 0.8.1 before the database tier does (one is on 0.8.0)"),
    ("one", dict(two="0.8.0"), False, None, ""),
    ("one", dict(tier="0.8.0"), False, "warn", "after this roll tier is on 0.8.0 still"),
    ("two", {}, False, "fail", "--limit hides one, and the API knows nothing of them"),
    ("one", dict(two="0.8.2"), True, "fail", "one would go back to 0.8.1 before the other nodes do (two is on 0.8.2)"),
    ("two", dict(one="0.8.2"), True, None, ""),
])
def test_a_limit(rolled, others, back, level, words):
    verdict = {rolled: dict(name=rolled, done=False, findings=[])}
    unseen = {name: dict(name=name, version=version) for name, version in others.items()}
    nodes = [dict(name=name, state="created", release="") for name in [rolled, *unseen]]
    found = [finding for finding in judge_cluster(
        verdict, dict(known=True, nodes=nodes), hidden=list(unseen) or ["one"], unseen=unseen,
        database=["one", "tier"], target="0.8.1", back=back) if finding.level != "pass"]
    assert [finding.level for finding in found] == ([level] if level else [])
    assert words in "".join(finding.words for finding in found)


@pytest.mark.parametrize("nodes, found, words", [
    (api(sf_9="missing"), [("warn", "stale nodes")], "sf-9 is missing"),
    (api(sf_9="created"), [("warn", "nodes")], "that the inventory lacks: add it, it would be left as it is"),
    (api(sf_2=None), [("warn", "nodes")], "does not know sf-2"),
    (api(), [], ""),
])
def test_a_restart_is_not_refused_for_what_the_api_lists(nodes, found, words):
    findings = [finding for finding in judge_cluster(VERDICT, nodes, restart=True) if finding.level != "pass"]
    assert [(finding.level, finding.check) for finding in findings] == found
    assert words in "".join(finding.words for finding in findings)


@pytest.mark.parametrize("unseen, refused", [(dict(one=dict(name="sf-1", version="0.8.1")), False), ({}, True)])
def test_a_restart_with_a_limit(unseen, refused):
    """Whatever the others run; but whether they serve must be known."""
    verdict = {"two": dict(name="sf-2", done=False, findings=[])}
    found = judge_cluster(verdict, api(), hidden=["one"], unseen=unseen, database=["one"], target="0.8.0",
                          restart=True)
    levels = [finding.level for finding in found if finding.check == "limit"]
    assert levels == (["fail"] if refused else ["pass"])


def test_a_limit_without_a_target():
    found = judge_cluster(VERDICT, api(), hidden=["x"])
    assert {finding.level for finding in found} == {"pass"}


LIKE = {"ready_url": "http://10.0.0.3:13000/readyz", "gateway": "10.0.0.3:13005"}
NODES = [dict(name="sf-1", ip="10.0.0.1", state="created", release="0.8.0"),
         dict(name="other", ip="10.0.0.2", state="missing", release="0.8.1"),
         dict(name="sf-4", ip="10.0.0.4", state="deleted", release="0.7.0")]


def test_by_name_and_by_address():
    found = unseen_nodes(dict(nodes=NODES), {"sf-1": ["one.example"], "sf-2": ["two", "10.0.0.2"],
                                             "sf-4": ["10.0.0.4"], "sf-5": ["x"]}, LIKE)
    assert found == {
        "sf-1": dict(name="sf-1", address="10.0.0.1", ready_url="http://10.0.0.1:13000/readyz",
                     gateway="10.0.0.1:13005", version="0.8.0"),
        "sf-2": dict(name="other", address="10.0.0.2", ready_url="http://10.0.0.2:13000/readyz",
                     gateway="10.0.0.2:13005", version="0.8.1")}


def test_nobody_to_be_like():
    assert unseen_nodes(dict(nodes=NODES), {"sf-1": ["x"]}, {}) == {}


@pytest.mark.parametrize("name, addresses, found", [
    ("10.0.0.1", ["10.0.0.1"], "sf-1"), ("sf-1.example.org", ["192.0.2.1"], "sf-1"),
    ("fd00::7", ["fd00::7"], "six.lab"), ("six", ["[FD00::7]"], "six.lab"),
    ("six.other", [], "six.lab"), ("10.0.0.9", ["10.0.0.9"], None), ("twice", [], None)])
def test_a_node_by_its_name_or_address(name, addresses, found):
    nodes = [dict(NODES[0], name=each, ip=address, state="created") for each, address in (
        ("sf-1", "10.0.0.1"), ("six.lab", "fd00::7"), ("twice.a", "10.0.0.3"), ("twice.b", "10.0.0.4"))]
    seen = unseen_nodes(dict(nodes=nodes), {name: addresses}, LIKE).get(name)
    assert known_as(dict(nodes=nodes), name, addresses).get("name") == found
    assert (seen or {}).get("name") == found
    if found == "six.lab":
        assert seen["ready_url"] == "http://[fd00::7]:13000/readyz" and seen["gateway"] == "[fd00::7]:13005"


@pytest.mark.parametrize("nodes, words", [
    (api(), ""), (api(sf_2="missing"), ""), (api(sf_2=None), "the API does not know two, which"),
    (api(sf_1=None), "the API does not know sf-1, which"),
])
def test_a_node_that_could_not_be_examined_may_be_any_of_the_list(nodes, words):
    found = judge_cluster(dict(VERDICT, two=dict(name="two", findings=[])), nodes, unknown=["two"])
    text = " ".join(finding.words for finding in found.failed())
    assert text.startswith(words) and bool(text) == bool(words) and "lacks" not in text


def test_a_limit_that_hides_nodes_nobody_knows():
    found = judge_cluster({"a": dict(name="sf-1", findings=[], done=False)}, only(), hidden={"10.9.9.9": []},
                          target="0.8.1")
    words = " ".join(finding.words for finding in found.failed())
    assert "--limit hides 10.9.9.9, and the API knows nothing of them" in words and "lacks" not in words
