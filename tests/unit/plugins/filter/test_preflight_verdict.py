# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.shakenfist.rolling.plugins.filter import preflight_verdict as plugin
from ansible_collections.shakenfist.rolling.plugins.filter.preflight_verdict import preflight_verdict

TARGET = {"name": "0.8.1-aa", "version": "0.8.1"}


def seen(ready=True, failure="", gateways=None, **node):
    """What a healthy node of the database tier looks like, with changes."""
    return dict(
        node=dict(dict(
            problem="", has_database_credentials=True, config="/etc/sf/config", database_unit="sf-database",
            api_unit="sf-api", units={"sf-api": {}, "sf-database": {}}, gateways=["10.0.0.1:13005"],
            gateway="10.0.0.1:13005", ready_url="http://10.0.0.1:13000/readyz", release={"version": "0.8.0"},
            staged=[], behind=[]), **node),
        failure=failure, ready=ready, answers="200" if ready else "503",
        gateways={"10.0.0.1:13005": "SERVING"} if gateways is None else gateways)


def other(**changes):
    """A healthy node that is not in the database tier."""
    return seen(**dict(dict(has_database_credentials=False, units={"sf-api": {}}), **changes))


def verdict(node, database=("a",), target=None, **options):
    return preflight_verdict({"a": node}, list(database), TARGET if target is None else target, **options)["a"]


def test_a_fit_node():
    assert verdict(seen()) == {
        "database": True, "version": "0.8.0", "ready": True, "gateway_down": False, "done": False, "problems": []}
    assert verdict(other(), database=[])["problems"] == []


@pytest.mark.parametrize("node, database, message", [
    (dict(seen(), failure="unreachable", node={}), ["a"], "^unreachable$"),
    (seen(problem="it is broken"), ["a"], "^it is broken. Repair it: reinstall the release that the node ran before"),
    (seen(has_database_credentials=False), ["a"], "in the database tier, but /etc/sf/config has no MARIADB_HOST"),
    (other(has_database_credentials=True), [], "not in the database tier, but /etc/sf/config has a MARIADB_HOST"),
    (seen(units={"sf-api": {}}), ["a"], "in the database tier, but has no unit sf-database"),
    (seen(units={"sf-database": {}}), ["a"], "^it has no unit sf-api$"),
    (dict(seen(), node=dict(seen()["node"], gateways=[])), ["a"], "^/etc/sf/config names no gateway"),
    (seen(ready=False), ["a"], "readyz answers 503, expected 200 from every worker"),
    (seen(gateways={"10.0.0.2:13005": "NOT_SERVING"}), ["a"],
     "the gateway 10.0.0.2:13005 is NOT_SERVING, expected SERVING"),
    (seen(release={"version": "0.9.0"}), ["a"], "it runs 0.9.0, newer than 0.8.1.*preflight_allow_downgrade=true"),
])
def test_each_problem(node, database, message):
    problems = verdict(node, database)["problems"]
    assert len(problems) == 1
    assert re.search(message, problems[0]), problems[0]


def test_all_problems_are_told_at_once():
    node = seen(ready=False, has_database_credentials=False, units={}, release={"version": "0.9.0"},
                gateways={"x:1": "UNAVAILABLE", "y:1": "UNAVAILABLE"})
    assert len(verdict(node)["problems"]) == 7


@pytest.mark.parametrize("node, options", [
    (seen(ready=False), dict(allow_degraded=True)),
    (seen(gateways={"10.0.0.2:13005": "UNAVAILABLE"}), dict(allow_degraded=True)),
    (seen(release={"version": "0.9.0"}), dict(allow_downgrade=True)),
    # What an earlier roll to the same release has begun, this one mends.
    (seen(ready=False, staged=["0.8.1-aa"]), {}),
    (seen(ready=False, release={"version": "0.8.1"}), {}),
    (seen(release={}), {}),
])
def test_what_is_let_pass(node, options):
    assert verdict(node, **options)["problems"] == []


def test_without_a_target_nothing_is_compared():
    assert verdict(seen(release={"version": "9.0"}), target={})["problems"] == []


@pytest.mark.parametrize("node, done", [
    (seen(release={"version": "0.8.1"}), True),
    (seen(release={"version": "0.8.1"}, ready=False), False),
    (seen(release={"version": "0.8.1"}, behind=["sf-net"]), False),
    (seen(), False),
])
def test_done(node, done):
    assert verdict(node)["done"] is done


def test_the_gateway_of_a_begun_node_is_excused():
    nodes = {"a": seen(ready=False, staged=["0.8.1-aa"], gateway="a:1"), "b": other(gateways={"a:1": "UNAVAILABLE"})}
    assert preflight_verdict(nodes, ["a"], TARGET)["b"]["problems"] == []
    nodes["a"]["node"]["staged"] = []
    assert len(preflight_verdict(nodes, ["a"], TARGET)["b"]["problems"]) == 1


@pytest.mark.parametrize("failure, problem", [("unreachable", "unreachable"), ("", "it could not be examined")])
def test_a_node_that_could_not_be_examined(failure, problem):
    result = verdict(dict(seen(ready=False, failure=failure), node={}))
    assert result == {"database": True, "version": "", "ready": False, "gateway_down": False, "done": False,
                      "problems": [problem]}


def test_versions_that_cannot_be_compared():
    with pytest.raises(AnsibleFilterError, match="cannot compare the releases 0.8.1 and what"):
        verdict(seen(release={"version": "what"}))


def test_without_packaging(monkeypatch):
    monkeypatch.setattr(plugin, "Version", None)
    with pytest.raises(AnsibleFilterError, match="lacks the Python library packaging"):
        verdict(seen())


@pytest.mark.parametrize("status, down", [("SERVING", False), ("NOT_SERVING", True)])
def test_a_gateway_that_nobody_sees_serve(status, down):
    nodes = {"a": seen(gateway="a:1", gateways={"a:1": "UNAVAILABLE"}), "b": other(gateways={"a:1": status})}
    result = preflight_verdict(nodes, ["a"], None)
    assert (result["a"]["gateway_down"], result["b"]["gateway_down"]) == (down, False)
