# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.preflight_cluster import preflight_cluster

VERDICT = {"one": {"name": "sf-1", "findings": []}, "two": {"name": "sf-2", "findings": []}}


def api(**states):
    """The API's word on nodes, of which C(sf_1) and C(sf_2) are as they should be."""
    states = dict(dict(sf_1="created", sf_2="created"), **states)
    return dict(known=True, url="http://api", nodes=[
        dict(name=name.replace("_", "-"), state=state, release="0.8.0") for name, state in states.items() if state])


def judge(*arguments):
    found = preflight_cluster(VERDICT, *arguments)
    return [(finding["level"], finding["check"]) for finding in found if finding["level"] != "pass"], " ".join(
        finding["words"] for finding in found)


@pytest.mark.parametrize("nodes, found, words", [
    (api(), [], []),
    (api(sf_9="deleted"), [], []),
    (api(sf_9="missing"), [("fail", "stale nodes")], [
        "node sf-9 is missing and runs 0.8.0", "sf-client node delete sf-9",
        "DELETE http://api/nodes/sf-9"]),
    (api(sf_9="error"), [("fail", "stale nodes")], ["sf-9 is error"]),
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


@pytest.mark.parametrize("offsets, apart", [
    ({}, False), ({"one": 2.6, "two": -2.3}, False), ({"one": 100.0, "two": 101.0}, False),
    ({"one": 2.6, "two": -2.6}, True), ({"one": None, "two": 99.0}, False),
])
def test_clocks(offsets, apart):
    levels, text = judge(api(), offsets)
    assert levels == ([("fail", "clocks")] if apart else [])
    assert ("the clocks are 5 s apart" in text) == apart


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
    found = [finding for finding in preflight_cluster(
        verdict, dict(known=True, nodes=nodes), hidden=list(unseen) or ["one"], unseen=unseen,
        database=["one", "tier"], target="0.8.1", back=back) if finding["level"] != "pass"]
    assert [finding["level"] for finding in found] == ([level] if level else [])
    assert words in "".join(finding["words"] for finding in found)


@pytest.mark.parametrize("nodes, found, words", [
    (api(sf_9="missing"), [("warn", "stale nodes")], "sf-9 is missing"),
    (api(sf_9="created"), [("warn", "nodes")], "that the inventory lacks: add it, it would be left as it is"),
    (api(sf_2=None), [("warn", "nodes")], "does not know sf-2"),
    (api(), [], ""),
])
def test_a_restart_is_not_refused_for_what_the_api_lists(nodes, found, words):
    findings = [finding for finding in preflight_cluster(VERDICT, nodes, restart=True) if finding["level"] != "pass"]
    assert [(finding["level"], finding["check"]) for finding in findings] == found
    assert words in "".join(finding["words"] for finding in findings)


@pytest.mark.parametrize("unseen, refused", [(dict(one=dict(name="sf-1", version="0.8.1")), False), ({}, True)])
def test_a_restart_with_a_limit(unseen, refused):
    """Whatever the others run; but whether they serve must be known."""
    verdict = {"two": dict(name="sf-2", done=False, findings=[])}
    found = preflight_cluster(verdict, api(), hidden=["one"], unseen=unseen, database=["one"], target="0.8.0",
                              restart=True)
    levels = [finding["level"] for finding in found if finding["check"] == "limit"]
    assert levels == (["fail"] if refused else ["pass"])


def test_a_limit_without_a_target():
    found = preflight_cluster(VERDICT, api(), hidden=["x"])
    assert {finding["level"] for finding in found} == {"pass"}
