# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import percentages, plan_of


def node(database=False, ready=True, done=False, gateway_down=False, out=False):
    return dict(database=database, ready=ready, done=done, gateway_down=gateway_down, out=out)


@pytest.mark.parametrize("verdict, expected", [
    ({"a": node(), "b": node(True), "c": node(), "d": node(True)},
     dict(order=["b", "d", "a", "c"], database=["b", "d"], others=["a", "c"], schema=["b", "d"], done=[],
          alone=False, serving=["a", "b", "c", "d"])),
    ({"z": node(True), "y": node(True)}, dict(schema=["z", "y"])),
    # Those that serve nobody go first within their tier.
    ({"a": node(True), "b": node(True, ready=False), "c": node(), "d": node(ready=False)},
     dict(order=["b", "a", "d", "c"], serving=["a", "c"], alone=False)),
    ({"a": node(True, done=True), "b": node()}, dict(order=["b"], done=["a"], database=[], schema=["a"], alone=False)),
    ({"a": node(True, done=True)}, dict(order=[], done=["a"], alone=False)),
    ({"a": node(True)}, dict(order=["a"], alone=True)),
    ({"a": node(True), "b": node(ready=False)}, dict(order=["a", "b"], alone=True)),
    ({"a": node(True, gateway_down=True), "b": node(True)}, dict(gateways_down={"a": "a:1"}, serving=["a", "b"])),
    # Ready for the moment only: there is no gateway left.
    ({"a": node(True, gateway_down=True), "b": node()}, dict(gateways_down={"a": "a:1"}, serving=[], alone=True)),
    ({}, dict(order=[], schema=[], alone=False)),
])
def test_plan_of(verdict, expected):
    plan = plan_of(verdict, seen={name: dict(ready_url=f"http://{name}", gateway=f"{name}:1") for name in verdict})
    assert plan["ready_urls"] == {name: f"http://{name}" for name in verdict}
    assert {key: plan[key] for key in expected} == expected
    assert plan["serial"] == [1] * len(plan["others"] or [""])


@pytest.mark.parametrize("verdict, refused", [
    ({"a": node(True)}, False), ({"a": node(True), "b": node(ready=False)}, False),
    ({"a": node(True, done=True)}, False),
    ({"a": node(True), "b": node()}, True), ({"a": node(True, done=True), "b": node()}, True),
])
def test_drains_are_cut_short_only_where_nobody_else_serves(verdict, refused):
    words = ("drain_cut_short is true, which cuts the requests in flight of each node, but it only gains something "
             "where nobody else serves. a, b serve: leave it out")
    assert plan_of(verdict, cut_short=True)["problem"] == (words if refused else "")
    assert plan_of(verdict)["problem"] == ""


@pytest.mark.parametrize("verdict, serial, ready, words", [
    ({name: node() for name in "abcde"}, 2, 3, ""),
    ({name: node() for name in "abcde"}, 2, 4, "roll_min_ready is 4, and when the turn comes to a and b only 3 others "
                                               "serve (c, d, e): lower it, or rolling_serial"),
    # What was down is rolled first, and serves from then on.
    ({"a": node(ready=False), "b": node(ready=False), "c": node()}, 1, 1, ""),
    ({"a": node(ready=False), "b": node(ready=False), "c": node()}, 1, 2,
     "roll_min_ready is 2, and when the turn comes to a only 1 other serves (c): lower it"),
    # What somebody has taken out of its balancer stays out.
    ({"a": node(out=True), "b": node(), "c": node()}, 1, 1, ""),
    ({"a": node(out=True), "b": node(), "c": node()}, 1, 2,
     "roll_min_ready is 2, and when the turn comes to b only 1 other serves (c): lower it"),
    ({"a": node(ready=False)}, 1, 1, "roll_min_ready is 1, and when the turn comes to a only 0 others serve: lower it"),
    ({name: node(done=True) for name in "abc"}, 1, 9, ""),
])
def test_more_others_are_wanted_than_there_will_be(verdict, serial, ready, words):
    assert plan_of(verdict, serial, min_ready=ready)["problem"] == words


def test_nodes_that_are_left_out():
    plan = plan_of({"c": node()}, unseen_ready=["a", "b"])
    assert (plan["schema"], plan["serving"]) == ([], ["c", "a", "b"])
    assert not plan["alone"]


def test_a_schema_that_is_as_the_release_wants_it():
    """Where every node serves on the release, nothing is migrated."""
    members = plan_of({"a": node(True, done=True), "b": node()})["members"]
    assert dict(name="a", groups=["rolling_schema"]) in members
    assert plan_of({"a": node(True, done=True), "b": node(done=True)})["members"] == [
        dict(name="a", groups=["rolling_first"])]


def test_the_way_back_ends_with_the_database_tier():
    assert plan_of({"a": node(True), "b": node()}, back=True)["order"] == ["b", "a"]


def test_the_leader_is_last_in_its_tier():
    verdict = {"a": node(True), "b": node(True), "c": node(), "d": node(ready=False)}
    verdict["a"]["name"] = "alpha"
    assert plan_of(verdict, api=dict(leader="alpha"))["order"] == ["b", "a", "d", "c"]
    assert plan_of(verdict, api=dict(leader="alpha"))["leader"] == "a"
    assert plan_of(verdict, api=dict(leader="c"))["order"] == ["a", "b", "d", "c"]
    assert plan_of(verdict, api=dict(leader="d"))["order"] == ["a", "b", "d", "c"]  # it is down, so it comes first
    assert plan_of(verdict, api=dict(leader="nobody"))["leader"] == ""


@pytest.mark.parametrize("serial, sizes", [
    (1, [1] * 8), ("3", [3, 3, 2]), ("50%", [4, 4]), ("10%", [1] * 8), (["1", "50%"], [1, 4, 3]), ("1,50%", [1, 4, 3]),
    ("1, 2", [1, 2, 2, 2, 1]), ("1,", None), ([], None), (0, None),
    ("0%", None), ("x", None), (-1, None), ("1.5", None), ("\u00b2", None),
])
def test_batches(serial, sizes):
    verdict = {str(number): node() for number in range(8)}
    if sizes:
        assert plan_of(verdict, serial)["serial"] == sizes
    else:
        with pytest.raises(AnsibleError, match="rolling_serial must be"):
            plan_of(verdict, serial)


def test_a_batch_is_of_one_zone():
    verdict = {name: dict(node(), zone=zone) for name, zone in zip("abcdef", ["x", "y", "x", "", "y", "x"])}
    assert plan_of(verdict, 2)["batches"] == [["a", "c"], ["f"], ["b", "e"], ["d"]]


def test_a_batch_is_never_all_of_a_kind():
    verdict = {name: node() for name in "abcd"} | {"e": node(True)}
    api = dict(nodes=[dict(name=name, is_hypervisor=name in hypervisors, is_network_node=name == "d")
                      for hypervisors in ["abc"] for name in "abcde"])
    # The only network node has nobody to stand in for it.
    plan = plan_of(verdict, "100%", api=api)
    assert plan["batches"] == [["a", "b", "d"], ["c"]]
    assert plan["waves"][-1]["why"] == {"c": "a, b and c are all hypervisors"}
    assert plan_of(verdict, ["1", "100%"], api=api)["batches"] == [["a"], ["b", "c", "d"]]
    # The leader is not rolled before others.
    assert plan_of(verdict, "100%", api=dict(api, leader="d"))["batches"] == [["a", "b"], ["c", "d"]]
    api["nodes"][4]["is_hypervisor"] = True
    assert plan_of(verdict, "100%", api=api)["batches"] == [["a", "b", "c", "d"]]
    verdict["e"]["ready"] = False
    assert plan_of(verdict, "100%", api=api)["batches"] == [["a", "b", "d"], ["c"]]


def kinds_of(hypervisors, network_nodes, names):
    return dict(nodes=[dict(name=name, is_hypervisor=name in hypervisors, is_network_node=name in network_nodes)
                       for name in names])


def test_batches_are_few():
    verdict = {name: node() for name in "cdeabf"}
    plan = plan_of(verdict, 3, api=kinds_of("cdef", "ab", "abcdef"))
    assert plan["batches"] == [["c", "a", "d"], ["e", "b", "f"]]
    # The zone of the leader need not be opened twice.
    verdict = {name: dict(node(), zone=name[0]) for name in ("a1", "a2", "b1", "b2")}
    plan = plan_of(verdict, 2, api=dict(leader="a1"))
    assert plan["batches"] == [["b1", "b2"], ["a2", "a1"]]
    assert plan["waves"][-1]["why"] == {}
    # Nodes that are down come first all the same, and the size of each batch is kept.
    verdict["a2"]["ready"] = False
    assert plan_of(verdict, 2, api=dict(leader="a1"))["batches"] == [["a2"], ["b1", "b2"], ["a1"]]
    verdict["a2"]["ready"] = True
    assert plan_of(verdict, [1, 2], api=dict(leader="a1"))["batches"] == [["a2"], ["b1", "b2"], ["a1"]]


@pytest.mark.parametrize("verdict, batches, why", [
    ({"a": node(), "b": node()}, [["a"], ["b"]], "a and b are all nodes that serve"),
    ({"a": node(), "b": node(ready=False), "c": node()}, [["b", "a"], ["c"]], "a and c are all nodes that serve"),
    ({"a": node(), "b": node(out=True), "c": node()}, [["a", "b"], ["c"]], "a and c are all nodes that serve"),
    ({"a": node(), "b": node(), "c": node(out=True, done=True)}, [["a"], ["b"]], "a and b are all nodes that serve"),
    ({"a": node(), "b": node(), "c": node(True, done=True)}, [["a", "b"]], ""),
    # It has its outage anyway.
    ({"a": node(), "b": node(ready=False)}, [["b", "a"]], ""),
])
def test_a_batch_is_never_all_that_serve(verdict, batches, why):
    """Also where the API is not known, and with it which node is of which kind."""
    plan = plan_of(verdict, "100%")
    assert plan["batches"] == batches
    assert list(plan["waves"][-1]["why"].values()) == [why] * bool(why)
    assert plan_of(verdict, "100%", unseen_ready=["z"])["batches"] == [[name for batch in batches for name in batch]]


@pytest.mark.parametrize("serial, words", [
    (2, ""), ("2", ""), ("75%", "75% of 4 is 3"), (["1", "50%"], "50% of 4 is 2"), ("10%", "10% of 4 is 1"),
    ("1,50%", "50% of 4 is 2")])
def test_percentages(serial, words):
    assert percentages(serial, 4) == words
