# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _standstill, _systemd
from ansible_collections.shakenfist.rolling.plugins.modules import standstill
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock, unit

SERVER, AGENT = "neutron-server", "df-l3-agent"
UP, DOWN = unit(), unit("inactive", "dead")
STOPPING, KILLED = unit("deactivating", "stop-sigterm", Job="7"), unit("failed", "failed", Result="timeout")
NEW = unit(InvocationID="run2")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path, clock):
    monkeypatch.setattr(_standstill, "SYSTEM", str(tmp_path / "system"))
    monkeypatch.setattr(_systemd, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(standstill, "time", Clock())
    return tmp_path / "system"


def hold(folder, name, ran=True):
    path = folder / f"{name}.service.d" / _standstill.NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_standstill.text_of(name, ran))
    return path


def test_units_are_held_and_then_stopped(run_module, systemd, folder):
    systemd.units = {SERVER: [UP], AGENT: [DOWN]}
    systemd.then = {SERVER: [STOPPING, DOWN]}
    result = run_module(standstill, state="stopped", units=[f"{SERVER}.service", AGENT], timeout=5)
    assert not result["failed"] and result["changed"] and result["stopped"] == [SERVER] and result["killed"] == []
    assert result["units"] == {SERVER: dict(ran=True, state="inactive (dead)"),
                               AGENT: dict(ran=False, state="inactive (dead)")}
    assert systemd.orders == ["daemon-reload", f"stop {SERVER}"]
    assert (_standstill.held(SERVER), _standstill.held(AGENT)) == ("active", "inactive")
    assert [path.name for path in (folder / f"{SERVER}.service.d").iterdir()] == [_standstill.NAME]


def test_what_an_earlier_run_has_held_is_kept_as_it_is(run_module, systemd, folder):
    hold(folder, SERVER)
    systemd.units = {SERVER: [DOWN]}
    result = run_module(standstill, state="stopped", units=[SERVER])
    assert not result["changed"] and result["stopped"] == [] and systemd.orders == []
    assert result["units"][SERVER]["ran"] and _standstill.held(SERVER) == "active"


def test_an_earlier_run_was_killed_between_the_hold_and_the_stop(run_module, systemd, folder):
    hold(folder, SERVER)
    systemd.units, systemd.then = {SERVER: [UP]}, {SERVER: [DOWN]}
    result = run_module(standstill, state="stopped", units=[SERVER])
    assert result["changed"] and result["stopped"] == [SERVER] and systemd.orders == [f"stop {SERVER}"]


@pytest.mark.parametrize("before, held, then, killed", [
    (UP, False, KILLED, True), (UP, False, unit("failed", "failed", Result="signal", ExecMainStatus="9"), True),
    (UP, False, unit("failed", "failed", Result="signal", ExecMainStatus="15"), False),
    (UP, False, unit("failed", "failed", Result="exit-code"), False),
    # The run that has stopped it was killed before it could say so.
    (KILLED, True, None, True), (KILLED, False, None, False)])
def test_who_was_ended_by_force_is_told(run_module, systemd, folder, before, held, then, killed):
    systemd.units, systemd.then = {SERVER: [before]}, {SERVER: [then]} if then else {}
    if held:
        hold(folder, SERVER)
    assert run_module(standstill, state="stopped", units=[SERVER])["killed"] == [SERVER] * killed


def test_a_unit_does_not_stop(run_module, systemd):
    systemd.units, systemd.then = {SERVER: [UP]}, {SERVER: [STOPPING]}
    result = run_module(standstill, state="stopped", units=[SERVER], timeout=0.5)
    assert result["failed"] and result["failed_units"] == [SERVER]
    assert result["msg"] == (f"expected {SERVER} to be stopped within 0.5 s; last seen: {SERVER} deactivating "
                             f"(stop-sigterm): see journalctl -u {SERVER}")


@pytest.mark.parametrize("state", ["stopped", "started"])
def test_check_mode_changes_nothing(run_module, systemd, folder, state):
    systemd.units = {SERVER: [UP if state == "stopped" else DOWN]}
    if state == "started":
        hold(folder, SERVER)
    result = run_module(standstill, True, state=state, units=[SERVER])
    assert result["changed"] and result[state] == [SERVER] and systemd.orders == []
    assert _standstill.held(SERVER) == ("active" if state == "started" else "")


@pytest.mark.parametrize("state", ["stopped", "started", "down"])
def test_a_unit_that_is_not_there(run_module, systemd, state):
    result = run_module(standstill, state=state, units=[SERVER])
    assert result["failed"] and result["msg"] == f"expected the units {SERVER}: not installed (not-found)"


def process(folder, pid, name):
    path = folder.parent / "proc" / str(pid)
    path.mkdir(parents=True)
    (path / "cgroup").write_text(f"0::/system.slice/{name}.service\n")
    (path / "cmdline").write_text("python\0worker\0")


@pytest.mark.parametrize("state, held, left, message", [
    (DOWN, True, False, ""),
    (UP, True, False, f"expected {SERVER} to be stopped; {SERVER} is active (running): who has started it?"),
    (DOWN, False, False, "somebody has removed that"),
    (DOWN, True, True, "has left processes behind, which may still write: 42 (python worker). End them")])
def test_all_is_down(run_module, systemd, folder, state, held, left, message):
    systemd.units = {SERVER: [state]}
    if held:
        hold(folder, SERVER)
    if left:
        process(folder, 42, SERVER)
    result = run_module(standstill, state="down", units=[SERVER])
    assert result["failed"] == bool(message) and message in result.get("msg", "")
    assert not run_module(standstill, True, state="down", units=[SERVER])["failed"]


def test_what_ran_or_is_enabled_is_started(run_module, systemd, folder):
    disabled = unit("inactive", "dead", UnitFileState="disabled")
    names = dict(ran=disabled, enabled=DOWN, passive=disabled)
    systemd.units = {name: [state] for name, state in names.items()}
    systemd.then = {"ran": [NEW], "enabled": [NEW]}
    for name in names:
        hold(folder, name, name == "ran")
    result = run_module(standstill, state="started", units=list(names), stays=1)
    assert not result["failed"] and result["changed"] and result["started"] == ["ran", "enabled"]
    assert systemd.orders == ["daemon-reload", "reset-failed ran enabled", "restart ran enabled"]
    assert result["units"]["ran"] == dict(ran=True, state="active (running)", after="run2", restarts=0)
    assert not any(_standstill.held(name) for name in names) and not (folder / "ran.service.d").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_what_ran_is_known_until_it_runs(run_module, systemd, folder, monkeypatch, killed):
    """It is not enabled, and its start fails, or the run, or the node, ends between its release and its start."""
    disabled = unit("inactive", "dead", UnitFileState="disabled")
    hold(folder, SERVER)
    systemd.units, systemd.then = {SERVER: [disabled]}, {SERVER: [unit("failed", "failed", UnitFileState="disabled")]}
    with monkeypatch.context() as patch:
        if killed:
            patch.setattr(standstill.Standstill, "start", lambda *dummy: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run_module(standstill, state="started", units=[SERVER])
        else:
            assert run_module(standstill, state="started", units=[SERVER])["failed"]
    assert (_standstill.held(SERVER), _standstill.before(SERVER)) == ("", "active")
    # The next run may stop it once more before it starts it.
    systemd.units, systemd.then = {SERVER: [disabled]}, {SERVER: [NEW]}
    run_module(standstill, state="stopped", units=[SERVER])
    assert _standstill.held(SERVER) == "active"
    assert run_module(standstill, state="started", units=[SERVER], stays=0)["started"] == [SERVER]
    assert not _standstill.before(SERVER) and not (folder / f"{SERVER}.service.d").exists()


def test_what_runs_is_left_alone(run_module, systemd, folder):
    (folder / f"{SERVER}.service.d").mkdir(parents=True)
    systemd.units = {SERVER: [UP]}
    result = run_module(standstill, state="started", units=[SERVER])
    assert not result["changed"] and systemd.orders == []


def test_another_drop_in_stays(run_module, systemd, folder):
    other = hold(folder, SERVER).with_name("own.conf")
    other.write_text("[Service]\n")
    systemd.units, systemd.then = {SERVER: [DOWN]}, {SERVER: [NEW]}
    assert not run_module(standstill, state="started", units=[SERVER], stays=0)["failed"] and other.exists()


def test_a_unit_that_does_not_stay_up(run_module, systemd):
    systemd.journal = "KeyError: 'binding'"
    systemd.units = {SERVER: [DOWN]}
    systemd.then = {SERVER: [NEW, NEW, unit("failed", "failed", Result="exit-code", InvocationID="run2")]}
    result = run_module(standstill, state="started", units=[SERVER], stays=3)
    assert result["failed"] and result["failed_units"] == [SERVER]
    assert f"expected {SERVER} to stay up for 3 s; {SERVER} is failed" in result["msg"]
    assert result["msg"].endswith("Its last words:\nKeyError: 'binding'")
