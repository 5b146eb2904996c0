# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _balancers
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import (
    balancers_of,
    drain_balancers,
    timing_of,
)

SOCKET, PAGE = "10.0.0.9:9999", "http://joe:s3cret@10.0.0.9/stats"


def settings(**changes):
    return dict(dict(balancers_of({}.get), nginx_sessions_timeout="90", apache_sessions_timeout=90.0), **changes)


@pytest.mark.parametrize("changes, haproxy, told", [
    (dict(), False, False),
    (dict(haproxy_address=SOCKET), False, False),
    (dict(haproxy_address=SOCKET, haproxy_set=True), True, True),
    (dict(haproxy_address=SOCKET, tell_first=True), True, True),
    (dict(nginx=["lb"]), False, True),
    (dict(apache="http://lb/balancer-manager"), False, True),
    (dict(nginx=["lb"], tell_first=True), False, True),
    # Each one that is set must be told, and must have nothing in flight.
    (dict(nginx=["lb"], haproxy_address=SOCKET), False, False),
    (dict(nginx=["lb"], haproxy_address=SOCKET, tell_first=True), True, True),
    (dict(nginx=["lb"], nginx_sessions_timeout="0"), False, False),
    (dict(nginx=["lb"], apache="http://lb/", apache_sessions_timeout=0), False, False),
    (dict(apache_sessions_timeout=0, nginx=["lb"]), False, True),
    # What a hook does only the operator knows.
    (dict(hook="out.yml"), False, False),
    (dict(hook="out.yml", tell_first=True), False, True),
    (dict(hook="out.yml", haproxy_address=SOCKET, haproxy_set=True), True, True),
])
def test_who_is_told(changes, haproxy, told):
    elsewhere = "nginx" in changes or "apache" in changes
    # What the balancer of a hook still sends nobody sees.
    assert drain_balancers(settings(**changes)) == dict(haproxy=haproxy, told=told, problem="", elsewhere=elsewhere,
                                                        witnessed=told and "hook" not in changes)


@pytest.mark.parametrize("changes, seconds", [
    (dict(haproxy_address=SOCKET), 0), (dict(nginx=["a", "b"]), 180), (dict(apache="http://lb/"), 90),
    (dict(apache="http://lb/", apache_hosts=["a", "b"], apache_sessions_timeout=0), 0),
    (dict(apache="http://lb/", apache_hosts=["a", "b"], nginx=["a"], nginx_sessions_timeout=600), 780),
])
def test_for_how_long_they_are_waited_for(changes, seconds):
    assert _balancers.waits_of(settings(**changes)) == seconds


@pytest.mark.parametrize("given", ["lb1,lb2", ["lb1", "lb2"]])
def test_their_hosts_may_be_a_text(given):
    settings = balancers_of(dict(balancer_nginx_hosts=given, balancer_apache_hosts=given).get)
    assert settings["nginx"] == settings["apache_hosts"] == ["lb1", "lb2"]
    assert balancers_of({}.get)["nginx"] == balancers_of(dict(balancer_nginx_hosts="").get)["nginx"] == []


@pytest.mark.parametrize("address, host, elsewhere", [(SOCKET, "", False), (SOCKET, "lb", True), ("", "lb", False)])
def test_haproxy_is_told_from_another_host(address, host, elsewhere):
    found = drain_balancers(settings(haproxy_address=address, haproxy_host=host))
    assert found["elsewhere"] is elsewhere


def test_where_haproxy_is():
    assert _balancers.haproxy_of(settings(), "sf-1") == {}
    assert _balancers.haproxy_of(settings(haproxy_address=SOCKET), "sf-1") == dict(
        address=SOCKET, backend="sf-api", server="sf-1")
    assert _balancers.haproxy_of(settings(haproxy_address=SOCKET, haproxy_server="x"), "sf-1")["server"] == "x"


@pytest.mark.parametrize("changes, found", [
    ({}, []),
    (dict(haproxy_address=SOCKET), ["10.0.0.9"]),
    (dict(haproxy_address=PAGE), ["10.0.0.9"]),
    (dict(haproxy_address="/run/admin.sock", haproxy_host="lb", nginx=["lb", "lb-2"]), ["10.0.0.8", "lb-2"]),
    (dict(apache="http://10.0.0.7:81/balancer-manager"), ["10.0.0.7"]),
    (dict(apache="http://[fd00::7]/", apache_hosts=["lb"]), ["10.0.0.8", "fd00::7"]),
    (dict(apache_hosts=["lb"]), []),
    (dict(sources=["10.0.9.0/24"], haproxy_address=SOCKET, haproxy_host="lb"), ["10.0.9.0/24", "10.0.0.8", "10.0.0.9"]),
])
def test_where_their_requests_come_from(changes, found):
    assert _balancers.sources_of(settings(**changes), lambda host: dict(lb="10.0.0.8").get(host, host)) == found


@pytest.mark.parametrize("changes, words", [
    (dict(tell_first=True), "drain_tell_first is true, but no balancer is set that could be told: set drain_haproxy_"),
    (dict(haproxy_set=True), "drain_haproxy_set is true, but drain_haproxy_address is empty"),
    (dict(haproxy_set=True, nginx=["lb"]), "drain_haproxy_set is true, but drain_haproxy_address is empty"),
    (dict(haproxy_set=True, haproxy_address=PAGE),
     "drain_haproxy_set is true, but drain_haproxy_address is a statistics page"),
    (dict(tell_first=True, haproxy_address=PAGE),
     "drain_tell_first is true, but drain_haproxy_address is a statistics page"),
])
def test_what_cannot_be_done(changes, words):
    problem = drain_balancers(settings(**changes))["problem"]
    assert problem.startswith(words) and "s3cret" not in problem


def loop(*answers):
    return dict(results=[dict(answer, __balancer_host=f"lb-{number}") for number, answer in enumerate(answers, 1)])


NOTHING = dict(changed=False, skipped=True)


def test_what_they_have_said():
    found = loop(dict(was="drain"), dict(was="out"), dict(was="ready", msg="no reload"), dict(skipped=True, msg="x"))
    assert _balancers.sightings_of("nginx", found) == dict(
        problems=["nginx on lb-3: no reload"], shut=["nginx on lb-1"], out=["nginx on lb-2"])
    assert _balancers.sightings_of("apache", NOTHING) == dict(problems=[], shut=[], out=[])


def test_who_has_not_done_it():
    results = dict(haproxy=NOTHING, nginx=loop(dict(was="ready")), apache=NOTHING)
    assert _balancers.failures_of(results) == {}
    results.update(haproxy=dict(msg="3 sessions are left"), apache=loop(dict(msg="lost", lost=True)))
    assert {name: answer["msg"] for name, answer in _balancers.failures_of(results).items()} == {
        "HAProxy": "3 sessions are left", "Apache, asked from lb-1": "lost"}


def node(grace=25.0, told=False, **haproxy):
    return dict(grace=grace, told=told, haproxy=haproxy)


UP_TO = dict(reachable=True, fall=3)


@pytest.mark.parametrize("nodes, detection, settle, words", [
    ((node(), node()), 0, 10, ["nothing is known .*: a serves for .* .25 s.* -e preflight_balancer_detection="]),
    ((node(), node(5.0)), 0, 10, ["known of the balancer's timing: b serves for its drain grace .5 s."]),
    ((node(**UP_TO), node(**UP_TO)), 0, 10, ["HAProxy marks a down after 3 failed checks, .* every 8.3 s or less"]),
    ((node(**UP_TO), node()), 0, 10, ["HAProxy marks a down", "nothing is known .* b serves"]),
    ((node(told=True), node(told=True)), 0, 10, []),
    ((node(told=True), node()), 0, 10, ["nothing is known .*: b serves"]),
    ((node(),), 0, 10, []),
    ((node(0.0), node(0.0)), 0, 10, []),
    ((node(), node()), 9, 10, []),
    ((node(), node()), 10, 10, ["roll_settle .10 s. is not more .* .10 s., .* -e roll_settle=15, or set drain_h"]),
    ((node(**UP_TO), node(**UP_TO)), 20, 10, []),
    ((node(**UP_TO), node(reachable=False)), 20, 10, ["roll_settle .* or see that HAProxy answers at drain_haproxy_a"]),
    ((node(told=True), node(told=True)), 20, 10, []),
])
def test_what_is_known_of_the_timing(nodes, detection, settle, words):
    found = timing_of(dict(zip("abc", nodes)), detection, settle)
    assert len(found) == len(words) and all(map(re.search, words, found)), found


def test_a_node_of_several_of_which_the_others_are_hidden():
    assert timing_of(dict(a=node()), 0, 10) == timing_of(dict(a=node()), 20, 10) == []
    assert len(timing_of(dict(a=node()), 0, 10, count=3)) == len(timing_of(dict(a=node()), 20, 10, count=3)) == 1


@pytest.mark.parametrize("detection, told, rise, gate, warned", [
    (9, False, 40, 120, True), (9, True, 40, 120, True), (9, False, 39, 120, False), (0, True, 40, 120, False),
    (9, False, 40, 0, False), (9, False, 0, 120, False),
])
def test_the_gate_waits_until_haproxy_has_the_node_back(detection, told, rise, gate, warned):
    nodes = dict(a=node(told=told, **UP_TO, rise=2), b=node(told=told, **UP_TO, rise=rise))
    found = [words for words in timing_of(nodes, detection, 10, gate=gate) if "gate_timeout" in words]
    assert found == ([
        "HAProxy marks b up after 40 good checks. By preflight_balancer_detection (9 s) and 3 failed ones it checks "
        "every 3 s, so that takes 120 s, and the gate waits only 120 s for it once the node is ready: pass "
        "-e gate_timeout=240"] if warned else [])
