# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import port_reject
from ansible_collections.shakenfist.rolling.plugins.modules import units
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

pytestmark = pytest.mark.usefixtures("clock")

OLD, STARTING, NEW = unit(), unit("activating", "start", InvocationID="run2"), unit(InvocationID="run2")
FAILED = unit("failed", "failed", Result="exit-code", ExecMainCode="1", ExecMainStatus="3", InvocationID="run2")


def test_tiers_one_after_the_other(run_module, systemd):
    systemd.units = {name: [OLD] for name in ("sf-privexec", "sf-api", "sf-net")}
    systemd.then = {"sf-privexec": [OLD, STARTING, NEW], "sf-api": [STARTING, NEW], "sf-net": [NEW]}
    result = run_module(units, tiers=[["sf-privexec.service"], [], ["sf-api", "sf-net"]], timeout=5)
    assert not result["failed"] and result["changed"]
    assert [order for order in systemd.orders if order.startswith("restart")] == [
        "restart sf-privexec", "restart sf-api sf-net"]
    assert sorted(result["units"]) == sorted(systemd.units)
    for run in result["units"].values():
        assert (run["before"], run["after"]) == ("run1", "run2") and run["active_after"] >= 0
    assert result["diff"]["before"] == "sf-privexec: run run1\nsf-api: run run1\nsf-net: run run1\n"
    assert result["diff"]["after"] == "sf-privexec: run run2\nsf-api: run run2\nsf-net: run run2\n"


def test_a_run_that_an_earlier_tier_began_is_no_restart(run_module, systemd):
    systemd.units = {"sf-privexec": [OLD], "sf-api": [OLD, NEW]}
    systemd.then = {"sf-privexec": [NEW], "sf-api": [NEW, unit(InvocationID="run3")]}
    result = run_module(units, tiers=[["sf-privexec"], ["sf-api"]], timeout=5)
    assert not result["failed"]
    assert (result["units"]["sf-api"]["before"], result["units"]["sf-api"]["after"]) == ("run2", "run3")


def test_a_stopped_unit_is_started(run_module, systemd):
    systemd.units = {"sf-api": [unit("inactive", "dead", InvocationID="")]}
    systemd.then = {"sf-api": [NEW]}
    result = run_module(units, tiers=[["sf-api"]])
    assert result["changed"] and result["units"]["sf-api"]["before"] == ""
    assert result["diff"] == {"before": "sf-api: run (none)\n", "after": "sf-api: run run2\n"}


def test_a_crashed_unit_that_systemd_restarts_as_the_order_comes(run_module, systemd):
    by_itself = dict(InvocationID="run2", NRestarts="1", Job="812")
    systemd.units = {"sf-database": [OLD]}
    systemd.then = {"sf-database": [unit(**by_itself), unit("deactivating", "stop-sigterm", **by_itself),
                                    unit("activating", "start", InvocationID="run3", Job="812"),
                                    unit(InvocationID="run3")]}
    result = run_module(units, tiers=[["sf-database"]], timeout=5)
    assert not result["failed"], result["msg"]
    assert result["units"]["sf-database"]["after"] == "run3"


def test_what_systemd_is_about_to_restart_is_stopped_first(run_module, systemd):
    """Its order and ours may be one, and then the restart is counted as a crash of the new run."""
    about = unit("activating", "auto-restart", Result="exit-code", NRestarts="7")
    systemd.units = {"sf-database": [about], "sf-net": [OLD]}
    systemd.on_stop = {"sf-database": [unit("deactivating", "stop-sigterm", Job="9"), unit("inactive", "dead")]}
    systemd.on_restart = {"sf-database": [NEW], "sf-net": [NEW]}
    result = run_module(units, tiers=[["sf-database", "sf-net"]], timeout=5)
    assert not result["failed"], result["msg"]
    assert systemd.orders == ["stop sf-database", "reset-failed sf-database sf-net", "restart sf-database sf-net"]


@pytest.mark.parametrize("tiers", [[], [[]]])
def test_nothing_to_do(run_module, systemd, tiers):
    result = run_module(units, tiers=tiers)
    assert not result["changed"] and not systemd.orders


def test_check_mode_restarts_nothing(run_module, systemd):
    systemd.units = {"sf-api": [OLD]}
    result = run_module(units, True, tiers=[["sf-api"]])
    assert result["changed"] and result["units"] == {"sf-api": {"before": "run1"}}
    assert result["diff"] == {"before": "sf-api: run run1\n", "after": "sf-api: run (new)\n"}
    assert not systemd.orders


@pytest.mark.parametrize("then, message", [
    ([STARTING, FAILED], r"expected sf-api to start; it is failed \(failed\), result exit-code, status 3"),
    ([unit(InvocationID="run3", NRestarts="1")], "restarted by systemd 1 times"),
    ([STARTING], r"expected sf-api to be active within 0.1 s; last seen: sf-api activating \(start\)"),
    ([OLD], r"expected sf-api to be active within 0.1 s; last seen: sf-api active \(running\)"),
])
def test_a_unit_that_does_not_come_up(run_module, systemd, then, message):
    systemd.units = {"sf-api": [OLD], "sf-net": [OLD]}
    systemd.then = {"sf-api": then, "sf-net": [NEW]}
    systemd.journal = "bind: address already in use"
    result = run_module(units, tiers=[["sf-api", "sf-net"]], timeout=0.1)
    assert result["failed"] and result["changed"] and result["units"]["sf-api"]["before"] == "run1"
    assert re.search(message, result["msg"]), result["msg"]
    assert result["msg"].endswith(" Its last words:\nbind: address already in use")


def test_an_unknown_unit_is_found_before_anything_is_restarted(run_module, systemd):
    systemd.units = {"sf-api": [OLD]}
    result = run_module(units, tiers=[["sf-api"], ["sf-none"]])
    assert result["failed"] and result["msg"] == "cannot restart sf-none: not installed (not-found)"
    assert not systemd.orders


def test_systemctl_fails(run_module, systemd):
    systemd.broken = "Access denied"
    result = run_module(units, tiers=[["sf-api"]])
    assert result["failed"] and result["msg"].endswith("Access denied")


FIRST, NET, LAST = "sf-sentinel-first", "sf-net", "sf-sentinel-last"
STOPPING, STOPPED = unit("deactivating", "stop-sigterm", Job="7"), unit("inactive", "dead")
AROUND = dict(stop=[LAST], tiers=[[FIRST], [NET], [LAST + ".service"]], timeout=60)


@pytest.fixture
def around(systemd):
    """A node with two sentinels around a daemon."""
    systemd.units = {name: [OLD] for name in (FIRST, NET, LAST)}
    systemd.then = {FIRST: [NEW], NET: [NEW]}
    systemd.on_stop = {LAST: [STOPPING, STOPPED]}
    systemd.on_restart = {LAST: [STARTING, NEW]}
    return systemd


def orders(systemd):
    return [order for order in systemd.orders if not order.startswith("reset-failed")]


def test_a_unit_that_is_stopped_first_and_started_in_its_tier(run_module, around):
    result = run_module(units, **AROUND)
    assert not result["failed"], result["msg"]
    assert orders(around) == [f"stop {LAST}", f"restart {FIRST}", f"restart {NET}", f"restart {LAST}"]
    run = result["units"][LAST]
    assert (run["before"], run["after"]) == ("run1", "run2") and run["stopped_after"] >= 0
    assert result["diff"]["before"].splitlines()[2] == f"{LAST}: run run1"


def test_one_that_is_stopped_already_is_only_started(run_module, around):
    around.units[LAST] = [STOPPED]
    result = run_module(units, **AROUND)
    assert not result["failed"] and orders(around) == [f"restart {FIRST}", f"restart {NET}", f"restart {LAST}"]
    assert "stopped_after" not in result["units"][LAST]


def test_one_that_fails_as_it_stops_is_stopped(run_module, around):
    around.on_stop = {LAST: [STOPPING, unit("failed", "failed", Result="exit-code")]}
    assert not run_module(units, **AROUND)["failed"]


def test_check_mode_stops_nothing(run_module, around):
    result = run_module(units, True, **AROUND)
    assert result["changed"] and not around.orders and result["units"][LAST] == {"before": "run1"}


@pytest.mark.parametrize("name", [FIRST, NET])
def test_a_failure_does_not_leave_it_stopped(run_module, around, name):
    around.then[name] = [STARTING, FAILED]
    result = run_module(units, **AROUND)
    assert result["failed"] and result["msg"].startswith(f"expected {name} to start; it is failed")
    assert result["msg"].endswith(f"\n{LAST}, which was stopped before that, runs again.")
    assert orders(around)[-1] == f"restart {LAST}" and result["failed_units"] == [name]
    assert result["units"][LAST]["after"] == "run2"


def test_a_failure_after_which_it_does_not_start(run_module, around):
    around.then[NET] = [FAILED]
    around.on_restart = {LAST: [FAILED]}
    around.journal = "Error: sf-ctl is broken"
    result = run_module(units, **AROUND)
    assert result["msg"].startswith("expected sf-net to start") and "Error: sf-ctl is broken" in result["msg"]
    assert f"\n{LAST}, which was stopped before that, does not run again: expected {LAST} to start" in result["msg"]


def test_its_own_failure_is_the_only_one(run_module, around):
    around.on_restart = {LAST: [FAILED]}
    result = run_module(units, **AROUND)
    assert result["failed"] and result["msg"].startswith(f"expected {LAST} to start")
    assert "before that" not in result["msg"] and orders(around).count(f"restart {LAST}") == 1


def test_a_stop_that_does_not_end(run_module, around):
    around.on_stop = {LAST: [STOPPING]}
    result = run_module(units, **dict(AROUND, timeout=0.2))
    assert result["failed"] and result["msg"] == (
        f"expected {LAST} to be stopped within 0.2 s; last seen: {LAST} deactivating (stop-sigterm): "
        f"see journalctl -u {LAST}"
        f"\n{LAST}, which was stopped before that, runs again.")
    assert orders(around) == [f"stop {LAST}", f"restart {LAST}"] and result["failed_units"] == [LAST]


@pytest.mark.parametrize("stop, tiers", [([LAST], [[FIRST]]), ([LAST], [[LAST], [FIRST]]), ([LAST], [])])
def test_what_no_later_tier_starts_is_not_stopped(run_module, around, stop, tiers):
    result = run_module(units, stop=stop, tiers=tiers)
    assert result["failed"] and not around.orders
    assert result["msg"] == f"cannot stop {LAST} before the first tier: no tier after it starts it again"


AWAY = dict(server="10.0.0.1:13005", servers=["10.0.0.1:13005", "10.0.0.2:13005"])


@pytest.mark.parametrize("rejecting, then, done", [
    (True, [NEW], ["present", "reset-failed sf-database", "restart sf-database", "absent"]),
    (True, [FAILED], ["present", "reset-failed sf-database", "restart sf-database", "absent"]),
    (False, [NEW], ["present", "reset-failed sf-database", "restart sf-database"]),
])
def test_clients_are_led_away_meanwhile(run_module, systemd, monkeypatch, rejecting, then, done):
    def reject(module):
        systemd.orders.append(module.params["state"])
        assert (module.params["server"], module.params["servers"]) == (AWAY["server"], AWAY["servers"])
        return dict(rejecting=rejecting)
    monkeypatch.setattr(port_reject, "run", reject)
    systemd.units, systemd.then = {"sf-database": [OLD]}, {"sf-database": then}
    result = run_module(units, tiers=[["sf-database"]], lead_away=AWAY)
    assert systemd.orders == done and result["failed"] == (then == [FAILED])
    assert not run_module(units, True, tiers=[["sf-database"]], lead_away=AWAY)["failed"] and systemd.orders == done


def test_nobody_to_lead_away(run_module, systemd, monkeypatch):
    monkeypatch.setattr(port_reject, "run", lambda module: 1 / 0)
    systemd.units, systemd.then = {"sf-database": [OLD]}, {"sf-database": [NEW]}
    assert not run_module(units, tiers=[["sf-database"]])["failed"]
