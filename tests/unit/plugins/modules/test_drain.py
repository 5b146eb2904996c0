# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import drain
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
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

ACTIVE, STOPPING = unit(), unit("deactivating", "stop-sigterm")
DEAD = unit("inactive", "dead")
KILLED = unit("failed", "failed", Result="timeout", ExecMainCode="2", ExecMainStatus="9")


@pytest.fixture
def run(run_module, systemd, serve):
    """Drain a unit that is in one state, and then, once it is stopped, in the others."""

    def start(states, statuses, check=False, then=(), **arguments):
        systemd.units = {"sf-api": list(states)}
        systemd.then = {"sf-api": list(then)}
        return run_module(drain, check, unit="sf-api.service", url=serve(*statuses), **dict(
            dict(timeout=2, interval=0.01), **arguments))

    return start


def test_a_drain_is_witnessed(run, systemd):
    result = run([ACTIVE], [200, 200, 503], then=[STOPPING, STOPPING, DEAD])
    assert not result["failed"] and result["changed"] and result["was_ready"]
    assert 0 < result["not_ready_after"] <= result["stopped_after"]
    assert result["state"] == "inactive (dead)"
    assert result["diff"] == {"before": "sf-api: active (running)\n", "after": "sf-api: inactive (dead)\n"}
    assert systemd.orders == ["stop sf-api"]


@pytest.mark.parametrize("state", [DEAD, KILLED])
@pytest.mark.parametrize("check", [False, True])
def test_a_stopped_unit_is_fine(run, systemd, state, check):
    result = run([state], [200], check)
    assert not result["failed"] and not result["changed"] and not result["was_ready"]
    assert systemd.orders == []


@pytest.mark.parametrize("status, ready", [(200, True), (503, False)])
def test_check_mode_stops_nothing(run, systemd, status, ready):
    result = run([ACTIVE], [status], check=True)
    assert result["changed"] and result["was_ready"] is ready
    assert result["diff"]["after"] == "sf-api: inactive (dead)\n"
    assert systemd.orders == []


def test_a_unit_that_was_not_ready_may_end_without_503(run):
    result = run([ACTIVE], [500], then=[DEAD])
    assert not result["failed"] and result["not_ready_after"] is None


@pytest.mark.parametrize("then, statuses, message", [
    ([DEAD], [200], "expected 503 from http://.* while sf-api was still serving; .*last answer: 200"),
    ([STOPPING, KILLED], [200, 503], "expected sf-api to end by itself; .* result timeout, signal 9. Requests .* cut"),
    ([STOPPING], [200, 503], r"expected sf-api to end within 0.2 s .*deactivating \(stop-sigterm\)"),
])
def test_what_is_no_drain(run, then, statuses, message):
    result = run([ACTIVE], statuses, then=then, timeout=0.2)
    assert result["failed"] and result["changed"]
    assert re.search(message, result["msg"]), result["msg"]


def test_an_unknown_unit(run, systemd):
    systemd.units = {}
    result = run([unit("inactive", "dead", LoadState="not-found")], [200])
    assert result["failed"]
    assert result["msg"] == "there is no unit sf-api on this node: not installed (not-found)"


def test_a_url_that_is_none(run_module, systemd):
    result = run_module(drain, unit="sf-api", url="sf-1:13000")
    assert result["failed"] and "is not a URL" in result["msg"]


def test_systemctl_fails(run_module, systemd):
    systemd.broken = "Access denied"
    result = run_module(drain, unit="sf-api", url="http://127.0.0.1:1/")
    assert result["failed"] and result["msg"].endswith("Access denied")


@pytest.fixture
def balanced(run):
    """Drain sf-2 behind a HAProxy of these looks: one before the stop, then one before each look at the unit."""
    fakes = []

    def start(looks, then, check=False, statuses=(200, 200, 503), states=(ACTIVE,), **arguments):
        fakes.append(FakeHaproxy("tcp", [{"sf-2": look} if isinstance(look, dict) else look for look in looks]))
        haproxy = dict(dict(address=fakes[-1].address, backend="sf-api", server="sf-2"), **arguments)
        return run(states, statuses, check, then=then, haproxy=haproxy)

    yield start
    for fake in fakes:
        fake.close()


def test_the_balancer_lets_go(balanced):
    result = balanced([UP, server("UP 2/3", 2), server("DOWN", 2), DOWN, DOWN], [STOPPING] * 4 + [DEAD])
    assert not result["failed"] and result["changed"]
    assert result["balancer_before"] == "UP (L7OK 200)" and result["balancer"] == "DOWN (L7STS 503)"
    assert 0 < result["balancer_left_after"] < result["sessions_zero_after"] < result["stopped_after"]


@pytest.mark.parametrize("before", [DOWN, DRAINED, MAINT, REFUSED, server("DRAIN", check=""), server("NOLB")])
def test_a_balancer_that_let_go_before(balanced, before):
    result = balanced([before], [STOPPING, DEAD])
    assert not result["failed"] and result["balancer_left_after"] == 0 and result["sessions_zero_after"] == 0


@pytest.mark.parametrize("before, message", [
    (L4, "HAProxy's check of sf-api/sf-2 is L4OK, it does not ask /readyz, so the balancer would not let go: "
         "use option httpchk GET /readyz"),
    (server(check="* L6OK"), "check of sf-api/sf-2 is L6OK, it does not ask /readyz"),
    (UNCHECKED, "HAProxy has no check of sf-api/sf-2, so the balancer would not let go"),
    (STARTED, r"last check of sf-api/sf-2 is UP 1/3 \(INI\), which does not tell whether it asks /readyz"),
    ("garbage", "expected statistics from HAProxy .*; it said 'garbage'"),
    ({"scur": "x"}, "expected statistics from HAProxy"),
])
@pytest.mark.parametrize("check", [False, True])
def test_a_balancer_that_would_not_notice(balanced, systemd, before, message, check):
    result = balanced([before], [DEAD], check)
    assert result["failed"] and not result.get("changed") and systemd.orders == []
    assert re.search(message, result["msg"]), result["msg"]


@pytest.mark.parametrize("arguments, message", [
    (dict(server="sf-9"), "has no server sf-9 in backend sf-api; it has sf-2"),
    (dict(backend="nope"), "has no backend nope; it has sf-api"),
    (dict(address="lb"), "'lb' is no address of an HAProxy"),
    (dict(address="https://joe:s3cret@lb/"), "is no address of an HAProxy"),
])
def test_a_balancer_that_is_none(balanced, systemd, arguments, message):
    result = balanced([UP], [DEAD], **arguments)
    assert result["failed"] and systemd.orders == [] and re.search(message, result["msg"])
    assert "s3cret" not in str(result)


CUT = server("DOWN", check="L7STS", eresp="1")
FEW_LEFT = r"HAProxy still had 2 sessions at sf-api/sf-2 when sf-api ended after \d.\d s: these requests were cut"
STILL_UP = (r"HAProxy still had sf-api/sf-2 UP when sf-api ended after \d.\d s: requests were cut. Its detection time "
            r"\(fall x inter\) must be less than the drain grace")


@pytest.mark.parametrize("looks, then, message", [
    # It never let go, and a look after the end does not count.
    ([UP], [STOPPING, DEAD], STILL_UP),
    ([UP, UP, DOWN], [STOPPING, DEAD], STILL_UP),
    ([UP, DOWN], [DEAD], STILL_UP),
    # It let go and took the server back.
    ([UP, DOWN, UP, UP], [STOPPING, STOPPING, DEAD], STILL_UP),
    # Sessions that ended with the unit, and HAProxy counted it.
    ([UP, server("DOWN", 2), CUT], [STOPPING, DEAD], FEW_LEFT),
    ([server("DRAIN", 2), server("DRAIN", 2), CUT], [STOPPING, DEAD], FEW_LEFT),
    # The same where HAProxy counts nothing, says nothing, or still has them a second later.
    ([UP, server("DOWN", 2, econ=""), server("DOWN", econ="")], [STOPPING, DEAD], FEW_LEFT),
    ([UP, server("DOWN", 2), ""], [STOPPING, DEAD], FEW_LEFT),
    ([UP, server("DOWN", 2)], [STOPPING, DEAD], FEW_LEFT),
    # It was reachable before.
    ([UP, DOWN, "garbage"], [STOPPING, STOPPING, DEAD],
     "could be asked before sf-api was stopped, but not when it ended .* it said 'garbage'"),
])
def test_what_the_balancer_saw_is_no_drain(balanced, monkeypatch, looks, then, message):
    monkeypatch.setattr(drain, "BALANCER_WITHIN", 0.3)
    result = balanced(looks, then, statuses=[200, 503])
    assert result["failed"] and result["changed"]
    assert result["sessions_zero_after"] is None or "garbage" in message
    assert re.search(message, result["msg"]), result["msg"]


def test_the_last_requests_end_with_the_unit(balanced):
    result = balanced([UP, server("DOWN", 2), DOWN], [STOPPING, DEAD], statuses=[200, 503])
    assert not result["failed"] and result["sessions_zero_after"] == result["stopped_after"]


def test_sessions_that_come_back(balanced):
    """A server in DRAIN gets the requests of clients that it has already."""
    result = balanced([DRAINED, DRAINED, server("DRAIN", 1), CUT], [STOPPING, STOPPING, DEAD])
    assert result["failed"] and "still had 1 session at" in result["msg"]


def test_a_balancer_that_is_away_for_a_moment(balanced):
    result = balanced([UP, "", DOWN], [STOPPING, STOPPING, DEAD])
    assert not result["failed"] and result["balancer_left_after"] > 0


def test_the_unit_comes_first(balanced):
    result = balanced([UP], [KILLED], statuses=[200, 503])
    assert result["failed"] and "expected sf-api to end by itself" in result["msg"]
    assert result["balancer_left_after"] is None


def test_a_silent_balancer_delays_little(balanced, monkeypatch):
    monkeypatch.setattr(drain, "BALANCER_WITHIN", 0.2)
    result = balanced([UP, None], [STOPPING, DEAD], statuses=[200, 503])
    assert result["failed"] and "no answer within 0.2 s" in result["msg"] and result["stopped_after"] < 1


@pytest.mark.parametrize("check", [False, True])
def test_a_balancer_that_cannot_be_reached_before(balanced, monkeypatch, check):
    warnings = []
    monkeypatch.setattr(drain.AnsibleModule, "warn", lambda dummy, text: warnings.append(text))
    result = balanced([UP], [STOPPING, DEAD], check, statuses=[200, 503], address="127.0.0.1:1")
    assert not result["failed"] and result["changed"] and "balancer_before" not in result
    assert warnings == ["HAProxy 127.0.0.1:1 cannot be asked: Connection refused. Whether it lets go of sf-api/sf-2 is "
                        "not witnessed"]


def test_check_mode_looks_at_the_balancer(balanced, systemd):
    result = balanced([UP], [DEAD], check=True)
    assert not result["failed"] and result["changed"] and result["balancer_before"] == "UP (L7OK 200)"
    assert "balancer" not in result and systemd.orders == []


def test_a_stopped_unit_needs_no_balancer(balanced):
    result = balanced([L4], [], states=[DEAD])
    assert not result["failed"] and not result["changed"] and "balancer_before" not in result
