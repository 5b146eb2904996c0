# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import haproxy_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import haproxy_info
from ansible_collections.shakenfist.rolling.tests.unit.fake_haproxy import (
    DOWN,
    DRAINED,
    L4,
    MAINT,
    REFUSED,
    STARTED,
    UNCHECKED,
    UP,
    FakeHaproxy,
    server,
)


@pytest.fixture
def run(run_module, monkeypatch, clock):
    """Look at a HAProxy of these looks."""
    fakes = []
    monkeypatch.setattr(part, "time", clock)

    def start(*looks, kind="tcp", **arguments):
        fakes.append(FakeHaproxy(kind, looks))
        return run_module(haproxy_info, **dict(dict(address=fakes[-1].address, backend="sf-api"), **arguments))

    yield start
    for fake in fakes:
        fake.close()


def test_everything_is_returned(run):
    result = run({"sf-1": UP, "sf-2": DOWN, ("db", "x"): UP})
    assert not result["failed"] and not result["changed"] and result["reachable"] and result["problems"] == []
    assert list(result["servers"]) == ["sf-1", "sf-2"]
    assert result["servers"]["sf-2"] == dict(
        status="DOWN", sessions=0, check_status="L7STS", check_code="503", last_check="Service Unavailable", tracks="",
        fall=0, rise=0, errors=0)


@pytest.mark.parametrize("fields, expect, checked, problem", [
    (UP, "up", True, None),
    (server("UP 1/3"), "up", True, None),
    (DOWN, "up", False, r"says DOWN \(L7STS 503\) for sf-api/sf-2, expected UP$"),
    (DRAINED, "up", False, r"says DRAIN \(L7OK 200\) for sf-api/sf-2, expected UP$"),
    (MAINT, "up", False, "says MAINT for sf-api/sf-2, expected UP$"),
    (server("NOLB"), "up", False, "says NOLB"),
    (UNCHECKED, "up", False, None),
    (UNCHECKED, "up", True, "says no check for sf-api/sf-2, expected UP$"),
    (UP, "down", False, r"says UP \(L7OK 200\) for sf-api/sf-2, expected DOWN or DRAIN$"),
    (UNCHECKED, "down", False, "says no check for"),
    (DOWN, "down", True, None),
    (DRAINED, "down", False, None),
    (MAINT, "down", True, None),
    (L4, "any", False, None),
    (L4, "any", True, "the check of sf-api/sf-2 is L4OK, it does not ask /readyz: use `option httpchk"),
    (server(check="* L6OK"), "any", True, "the check of sf-api/sf-2 is L6OK, it does not"),
    (server(check="* L7OK"), "any", True, None),
    (UNCHECKED, "any", True, "the check of sf-api/sf-2 is none: use"),
    (STARTED, "any", True, "the check of sf-api/sf-2 is INI, which does not tell"),
    (REFUSED, "any", True, None),
])
def test_expectations(run, fields, expect, checked, problem):
    result = run({"sf-1": server("odd"), "sf-2": fields}, servers=["sf-2"], expect=expect, checked=checked)
    assert not result["failed"] and result["reachable"] and list(result["servers"]) == ["sf-2"]
    assert bool(problem) == bool(result["problems"])
    if problem:
        assert re.search(problem, result["problems"][0]), result["problems"]


@pytest.mark.parametrize("arguments", [dict(expect="up"), dict(checked=True), {}])
def test_it_waits(run, arguments):
    looks = [{"sf-2": STARTED}, {"sf-2": DOWN}] if arguments else []
    result = run(*looks, {"sf-2": UP}, timeout=60, **arguments)
    assert not result["failed"] and result["problems"] == [] and result["waited"] < 60


@pytest.mark.parametrize("looks, arguments, message", [
    ([{"sf-2": UP}, {"sf-1": UP, "sf-2": DOWN}], dict(expect="down"),
     r"expected HAProxy 127.* to say DOWN or DRAIN for sf-api/sf-1 within 10 s; last seen: UP \(L7OK 200\)$"),
    ([{"sf-1": UP, "sf-2": DOWN}], dict(expect="up"),
     r"expected HAProxy 127.* to say UP for sf-api/sf-2 within 10 s; last seen: DOWN \(L7STS 503\)$"),
    ([{"sf-1": MAINT, "sf-2": DOWN}], dict(expect="up"),
     r"for sf-api/sf-1, sf-api/sf-2 within 10 s; last seen: sf-api/sf-1 MAINT; sf-api/sf-2 DOWN \(L7STS 503\)$"),
    ([{"sf-1": L4, "sf-2": UNCHECKED}], dict(checked=True),
     "expected checks of layer 7 from HAProxy 127.* within 10 s: the check of sf-api/sf-1 is L4OK.*; the check of "
     "sf-api/sf-2 is none"),
    ([{"sf-1": L4, "sf-2": DOWN}], dict(expect="up", checked=True),
     "to say UP for sf-api/sf-2 .* And the check of sf-api/sf-1 is L4OK"),
    (["garbage"], {}, "expected HAProxy 127.* to answer within 10 s; last seen: .* it said 'garbage'"),
])
def test_the_time_runs_out(run, looks, arguments, message):
    result = run(*looks, timeout=10, **arguments)
    assert result["failed"] and re.search(message, result["msg"]), result["msg"]
    assert result["problems"] and result["waited"] == 10


def test_silence_until_the_time_runs_out(run):
    result = run(None, timeout=0.1)
    assert result["failed"] and result["problems"]
    assert re.search("expected HAProxy 127.* to answer within 0.1 s; last seen: .* no answer within 0.1 s$",
                     result["msg"]), result["msg"]


@pytest.mark.parametrize("arguments, message", [
    (dict(backend="nope"), "has no backend nope; it has sf-api$"),
    (dict(servers=["sf-2", "sf-9"]), "has no server sf-9 in backend sf-api; it has sf-2$"),
])
@pytest.mark.parametrize("timeout", [0, 30])
def test_unknown_names_are_not_waited_for(run, arguments, message, timeout):
    result = run({"sf-2": DOWN}, timeout=timeout, **arguments)
    assert result["failed"] == bool(timeout) and result["reachable"] and result["waited"] == 0
    assert re.search(message, result["problems"][0]) and re.search(message, result.get("msg", result["problems"][0]))


def test_a_backend_without_servers(run):
    assert re.search("the backend sf-api of HAProxy .* has no server", run({})["problems"][0])


@pytest.mark.parametrize("kind, level, looks, may", [
    ("tcp", "admin", {"sf-1": UP}, True), ("tcp", "operator", {"sf-1": UP}, False),
    ("http", "admin", {"sf-1": UP}, False),
    # One that gives no statistics, and one that hangs after it has.
    ("tcp", "admin", "nonsense", False), ("tcp", None, {"sf-1": UP}, False),
])
def test_whether_the_state_of_a_server_can_be_set(run_module, monkeypatch, kind, level, looks, may):
    monkeypatch.setattr(part, "ANSWER_WITHIN", 5.0 if level else 0.5)
    fake = FakeHaproxy(kind, [looks])
    fake.level, fake.says = level, {} if level else {"show cli level": None}
    result = run_module(haproxy_info, address=fake.address, backend="sf-api")
    assert result["may_set"] is may and result["lasting"] == ({"sf-1": []} if isinstance(looks, dict) and level else {})
    fake.close()


def test_nobody_there(run_module):
    result = run_module(haproxy_info, address="127.0.0.1:1", backend="sf-api", expect="up", checked=True)
    assert not result["failed"] and not result["reachable"] and result["servers"] == {}
    assert result["problems"] == ["HAProxy 127.0.0.1:1 cannot be asked: Connection refused"]


def test_it_comes_back(run):
    assert not run("", "", {"sf-2": UP}, expect="up", timeout=5)["failed"]


@pytest.mark.parametrize("address", ["http://joe:s3cret@127.0.0.1:1/stats", "https://joe:s3cret@lb/stats"])
def test_no_credentials_in_the_result(run_module, address):
    result = run_module(haproxy_info, address=address, backend="sf-api")
    assert "s3cret" not in str(result) and "joe" not in str(result)
    assert "://********@" in result["invocation"]["module_args"]["address"]


def test_a_bad_address(run_module):
    result = run_module(haproxy_info, address="lb", backend="sf-api")
    assert result["failed"] and "'lb' is no address of an HAProxy" in result["msg"]


def test_the_page(run):
    assert run({"sf-2": UP}, kind="http", expect="up", checked=True)["problems"] == []
