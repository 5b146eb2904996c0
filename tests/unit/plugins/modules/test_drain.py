# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import drain
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
