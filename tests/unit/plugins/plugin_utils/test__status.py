# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._status import (
    builds_of,
    judge_status,
    lines_of,
    tier_of,
)


def unit(active=True, started=1000.0):
    return dict(active=active, started=started if active else None, state="active (running)" if active else "failed")


def seen(ready=True, gateway="SERVING", failure="", unreachable=False, **node):
    return dict(
        node=dict(dict(name="n", problem="", release={"version": "0.8.0"}, daemons=["sf-api", "sf-net"], behind=[],
                       units={"sf-api": unit(), "sf-net": unit(started=900.5), "sf-off": unit(False)},
                       gateway="10.0.0.1:13005", ready_url="http://10.0.0.1:13000/readyz", releases="/r",
                       rewritten={}), **node),
        ready=ready, answers="200" if ready else "503", gateway=gateway, failure=failure, unreachable=unreachable)


def verdict(node, database=("a",), **api):
    return judge_status({"a": node}, database, dict(dict(leader=""), **api))["a"]


def test_a_node_that_is_well():
    assert verdict(seen(), leader="n") == dict(
        name="n", release="0.8.0", build="", ready=True, gateway="SERVING", active=2, units=2, since=900.5, leader=True,
        absent="", problems=[], notes=[], ill=False)


def test_builds_are_told_where_they_differ():
    nodes = {name: seen(name=name, release=dict(version="0.8.0", contents=build * 10))
             for name, build in (("a", "1"), ("b", "2"), ("c", ""))}
    found = judge_status(nodes)
    assert [node["build"] for node in found.values()] == ["11111111", "22222222", "not known"]
    lines = lines_of(found, cluster=builds_of(nodes))
    assert lines[0].endswith("0.8.0 build 11111111 on 1, 0.8.0 build 22222222 on 1, 0.8.0 build not known on 1")
    assert lines[2].split()[:4] == ["a", "0.8.0", "build", "11111111"]
    assert "the nodes run different builds of 0.8.0 (11111111 on a; 22222222 on b;" in " ".join(lines)
    del nodes["b"]
    assert [node["build"] for node in judge_status(nodes).values()] == ["", ""] and builds_of(nodes) == []


@pytest.mark.parametrize("node, database, problem", [
    (seen(ready=False), ["a"], "http://10.0.0.1:13000/readyz answers 503, expected 200 from every worker"),
    (seen(gateway="NOT_SERVING"), ["a"], "its gateway 10.0.0.1:13005 is NOT_SERVING, expected SERVING"),
    (seen(gateway=""), ["a"], "its gateway 10.0.0.1:13005 is not known, expected SERVING"),
    (seen(problem="the virtualenv is broken", release={}), ["a"], "the virtualenv is broken"),
    (seen(units={"sf-api": unit(), "sf-net": unit(False)}), [], "sf-net is failed"),
])
def test_what_is_ill(node, database, problem):
    found = verdict(node, database)
    assert found["problems"] == [problem] and found["ill"] and not found["leader"]


def test_outside_of_the_tier_the_gateway_does_not_matter():
    found = verdict(seen(gateway="UNAVAILABLE"), [])
    assert (found["gateway"], found["ill"]) == ("", False)


def test_a_node_on_which_nothing_runs():
    found = verdict(seen(daemons=["sf-net"], units={"sf-net": unit(False)}))
    assert (found["active"], found["units"], found["since"]) == (0, 1, None)
    assert verdict(seen(daemons=["sf-x"], units={"sf-x": unit(started=None)}))["since"] is None


def test_daemons_of_the_release_before_are_told():
    found = verdict(seen(behind=["sf-off", "sf-net"]))
    assert found["notes"] == ["started before 0.8.0 was active: sf-net"] and not found["ill"]
    assert verdict(seen(behind=["sf-api", "sf-net"]))["notes"] == ["started before 0.8.0 was active: every daemon"]


@pytest.mark.parametrize("node, absent, problem", [
    (dict(seen(failure="ssh: no route", unreachable=True), node={}), "unreachable", "ssh: no route"),
    (dict(seen(failure="no sudo")), "not examined", "no sudo"),
    (dict(seen(), node={}), "not examined", "it could not be checked"),
])
def test_a_node_that_could_not_be_looked_at(node, absent, problem):
    found = verdict(node)
    assert (found["absent"], found["problems"], found["ill"]) == (absent, [problem], True)
    assert [found[key] for key in ("release", "ready", "gateway", "active", "units", "since")] == [None] * 6


@pytest.mark.parametrize("release, words", [
    ("0.8.0", "the API says that it is missing and runs 0.8.0"),
    (None, "the API says that it is missing and runs nothing that is known"),
])
def test_what_the_api_says_of_it(release, words):
    node = dict(seen(failure="gone", unreachable=True), node={})
    found = verdict(node, nodes=[dict(name="a", state="missing", release=release)], leader="a")
    assert found["notes"] == [words] and found["leader"]
    assert verdict(node, nodes=[dict(name="b", state="created", release=release)])["notes"] == []
    assert judge_status({"a": node})["a"]["notes"] == []


@pytest.mark.parametrize("name, addresses, ip, found", [
    ("10.0.0.3", ["10.0.0.3"], "10.0.0.3", True), ("sf-3.example", [], "10.0.0.3", True),
    ("three", ["three", "10.0.0.3"], "10.0.0.3", True), ("three", ["192.0.2.3"], "10.0.0.3", False),
])
def test_a_node_out_of_reach_is_found_in_the_list(name, addresses, ip, found):
    api = dict(known=True, leader="sf-3", nodes=[dict(name="sf-3", state="created", release="0.8.0", ip=ip)])
    node = dict(seen(failure="gone", unreachable=True), node={})
    judged = judge_status({name: node}, api=api, addresses={name: addresses})
    assert judged[name]["leader"] == bool(judged[name]["notes"]) == found
    # Where it is not found, it may be any of them.
    assert "the API also knows" not in " ".join(lines_of(judged, api))


def test_a_tier_that_an_upgrade_has_not_come_to_the_end_of():
    """Also where a part of it cannot be reached, and the API says what that is on."""
    gone = dict(seen(failure="gone", unreachable=True), node={})
    nodes = {"a": seen(release=dict(version="0.8.1")), "b": gone, "c": seen()}
    api = dict(nodes=[dict(name="sf-2", ip="10.0.0.2", state="created", release="0.8.0")])
    found = tier_of(nodes, ["a", "b"], api, {"b": ["10.0.0.2"]})
    assert len(found) == 1 and "more than one release (0.8.0 on b; 0.8.1 on a)" in found[0]
    assert tier_of(nodes, ["a", "b"], api, {}) == tier_of(nodes, ["a"], api, {}) == []
    # One that --limit leaves out.
    assert tier_of(nodes, ["a", "sf-2.example"], api, {}) != []


def test_a_release_into_which_another_installer_has_written():
    found = verdict(seen(release={"version": "0.8.1", "name": "0.8.0-0a1b2c3d"},
                         rewritten={"0.8.2-0a1b2c3d": "0.8.1", "0.8.0-0a1b2c3d": "0.8.1"}))
    assert not found["ill"] and found["notes"] == [
        "/r/0.8.0-0a1b2c3d holds 0.8.1 and is no longer what its name says: another installer has written into it. The "
        "next upgrade keeps it under the name of what it holds",
        "/r/0.8.2-0a1b2c3d holds 0.8.1 and is no longer what its name says: another installer has written into it. It "
        "is not active: no roll uses it by that name, you may remove it"]
