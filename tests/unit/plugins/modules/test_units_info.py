# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _systemd
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import units_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import units_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock, unit


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("patterns, exclude, expected", [
    (["sf-*"], [], ["sf-api", "sf-net", "sf-sentinel-first"]),
    (["sf-*.service"], ["sf-sentinel-first.service"], ["sf-api", "sf-net"]),
    (["sf-api", "cron"], [], ["cron", "sf-api"]),
    (["sf-none"], [], []),
    ([], [], []),
])
def test_which_units(run_module, systemd, check, patterns, exclude, expected):
    systemd.units = {name: [unit()] for name in ("cron", "sf-api", "sf-net", "sf-sentinel-first")}
    result = run_module(units_info, check, patterns=patterns, exclude=exclude)
    assert not result["failed"] and not result["changed"]
    assert sorted(result["units"]) == expected


@pytest.mark.parametrize("state, expected", [
    (unit(), dict(active=True, managed=True, restarts=0, pid=1, load="loaded")),
    (unit("failed", "failed", LoadState="masked", UnitFileState="masked"),
     dict(active=False, managed=True, load="masked")),
    (unit(UnitFileState="disabled"), dict(active=True, managed=True)),
    (unit("reloading", "reload"), dict(active=True)),
    (unit("inactive", "dead", MainPID="0"), dict(active=False, managed=True, pid=0)),
    (unit("inactive", "dead", UnitFileState="disabled"), dict(active=False, managed=False)),
    (unit("deactivating", "stop", UnitFileState="masked"), dict(active=False, managed=False)),
    (unit("failed", "failed", UnitFileState="disabled", NRestarts="5"), dict(active=False, managed=True, restarts=5)),
    (unit("activating", "auto-restart", UnitFileState="static"), dict(active=False, managed=True)),
])
def test_state(state, expected):
    seen = part.look(state)
    assert {key: seen[key] for key in expected} == expected


@pytest.mark.parametrize("pid, command, program", [
    ("4711", b"/srv/sf/venv/bin/python3\0/srv/sf/venv/bin/sf-api\0--port\0", "/srv/sf/venv/bin/python3"),
    ("4711", b"/usr/sbin/cron", "/usr/sbin/cron"),
    ("4711", b"/opt/f\xfcr\0", "/opt/f\ufffdr"),
    # One that has ended, and waits for systemd to notice.
    ("4711", b"", ""),
    ("4711", None, ""),
    ("0", None, ""),
    ("", None, ""),
])
def test_what_it_runs(run_module, systemd, tmp_path, monkeypatch, pid, command, program):
    if command is not None:
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(command)
    monkeypatch.setattr(_systemd, "PROC", str(tmp_path))
    systemd.units = {"sf-api": [unit(MainPID=pid)]}
    seen = run_module(units_info, patterns=["sf-api"])["units"]["sf-api"]
    assert seen["program"] == program and seen["pid"] == int(pid or 0)


def test_what_this_runs():
    """From the real /proc."""
    with open("/proc/self/cmdline", encoding="utf-8") as handle:
        assert part.program_of(os.getpid()) == handle.read().split("\0")[0] != ""


def test_started(run_module, systemd, monkeypatch):
    monkeypatch.setattr(_systemd, "time", Clock(1000.0))
    systemd.units = {"sf-api": [unit(ExecMainStartTimestampMonotonic="900000000")],
                     "sf-net": [unit("inactive", "dead", ExecMainStartTimestampMonotonic="0")]}
    seen = run_module(units_info, patterns=["sf-*"])["units"]
    assert seen["sf-api"]["started"] == 900
    assert seen["sf-net"]["started"] is None


def test_how_long_it_takes(run_module, systemd):
    stamps = dict(ActiveExit=2000000, InactiveEnter=7500000, InactiveExit=9000000, ActiveEnter=9250000)
    systemd.units = {"sf-api": [unit(**{f"{name}TimestampMonotonic": str(stamp) for name, stamp in stamps.items()})],
                     "sf-net": [unit()]}
    seen = run_module(units_info, patterns=["sf-*"])["units"]
    assert (seen["sf-api"]["start_seconds"], seen["sf-api"]["stop_seconds"]) == (0.25, 5.5)
    assert (seen["sf-net"]["start_seconds"], seen["sf-net"]["stop_seconds"]) == (None, None)


def test_how_it_stops(run_module, systemd, monkeypatch):
    exec_start = "{ path=/x ; argv[]=/x --graceful-timeout 55 --password secret ; ignore_errors=no ; pid=0 }"
    systemd.units = {"sf-api": [unit(TimeoutStopUSec="1min 10s", ExecStart=exec_start)],
                     "sf-net": [unit(TimeoutStopUSec="infinity")]}
    commands = []
    monkeypatch.setattr(basic.AnsibleModule, "run_command",
                        lambda dummy, command, **kwargs: commands.append(command) or systemd(command))
    result = run_module(units_info, patterns=["sf-*"], arguments=["--graceful-timeout"])
    units = result["units"]
    assert units["sf-api"]["stop_timeout"] == 70 and units["sf-net"]["stop_timeout"] is None
    assert units["sf-api"]["arguments"] == {"--graceful-timeout": "55"} and units["sf-net"]["arguments"] == {}
    assert "secret" not in str(result)
    assert [command[1] for command in commands] == ["list-unit-files", "show"]
    asked = next(word for word in commands[1] if word.startswith("--property="))
    assert {"TimeoutStopUSec", "ExecStart", "ActiveEnterTimestampMonotonic"} <= set(asked.partition("=")[2].split(","))
    assert run_module(units_info, patterns=["sf-api"])["units"]["sf-api"]["arguments"] == {}


def test_last_stops(run_module, systemd):
    systemd.units = {"sf-api": [unit()], "sf-net": [unit()]}
    systemd.journal = "no journal"
    units = run_module(units_info, patterns=["sf-*"], stops=["sf-api.service", "sf-none"])["units"]
    assert units["sf-api"]["stops"] == [] and "stops" not in units["sf-net"] and "sf-none" not in units


def test_systemctl_fails(run_module, systemd):
    systemd.units = {"sf-api": [unit()]}
    systemd.broken = "Access denied"
    result = run_module(units_info, patterns=["sf-*"])
    assert result["failed"] and result["msg"].endswith("Access denied")


def up(active=True, invocation="run2", restarts=0, state="active (running)"):
    return dict(active=active, invocation=invocation, restarts=restarts, state=state)


@pytest.mark.parametrize("units, runs, expected", [
    ({}, {}, []),
    ({"sf-api": up()}, {}, []),
    ({"sf-api": up()}, {"sf-api": {"before": "run1", "after": "run2"}}, []),
    # What happened before anybody looked is no concern of a gate that follows no restart.
    ({"sf-api": up(restarts=2)}, {}, []),
    ({"sf-api": up(restarts=2)}, {"sf-api": {"before": None, "after": "run2"}},
     ["sf-api is active (running), but was started again, by systemd 2 times"]),
    ({"sf-api": up(invocation="run3")}, {"sf-api": {"after": "run2"}},
     ["sf-api is active (running), but was started again, by systemd 0 times"]),
    # Between two looks only what is new counts.
    ({"sf-api": up(restarts=2)}, {"sf-api": up(restarts=2)}, []),
    ({"sf-api": up(restarts=3)}, {"sf-api": up(restarts=2)},
     ["sf-api is active (running), but was started again, by systemd 3 times"]),
    ({"sf-net": up(False, state="failed (failed)"), "sf-api": up(False, state="inactive (dead)")}, {},
     ["sf-api is inactive (dead)", "sf-net is failed (failed)"]),
])
def test_what_has_not_stayed_up(units, runs, expected):
    assert list(part.fallen(units, runs).values()) == expected


def test_a_unit_that_has_not_stayed_up(run_module, systemd):
    systemd.units = {"sf-api": [unit()], "sf-net": [unit("failed", "failed")]}
    assert not run_module(units_info, patterns=["sf-*"])["failed"]
    assert not run_module(units_info, patterns=["sf-api"], up_since={})["failed"]
    result = run_module(units_info, patterns=["sf-*"], up_since={})
    assert result["failed"] and result["failed_units"] == ["sf-net"] and sorted(result["units"]) == ["sf-api", "sf-net"]
    assert result["msg"].startswith("expected every daemon to be active and still in the run that the restart began; "
                                    "sf-net is failed (failed).")
    systemd.journal = "no such bridge"
    assert run_module(units_info, patterns=["sf-*"], up_since={})["msg"].endswith(
        "; sf-net is failed (failed). Its last words:\nno such bridge")


def test_a_guard_looks_at_most_once_a_second(systemd, monkeypatch):
    clock, shown = Clock(), []
    monkeypatch.setattr(part, "time", clock)
    systemd.units = {"sf-api": [unit(), unit("activating", "auto-restart")]}
    guard = part.Guard(_systemd.Systemd(lambda command: shown.append(command) or systemd(command)),
                       {"sf-api": dict(after="run1")})
    for dummy in range(4):
        guard.check()
        clock.sleep(0.25)
    assert len(shown) == 1
    with pytest.raises(RollingError, match="; sf-api is activating .auto-restart.") as caught:
        guard.check()
    assert caught.value.details["failed_units"] == ["sf-api"]


@pytest.mark.parametrize("runs", [None, {}])
def test_a_guard_of_nothing(runs):
    part.Guard(None, runs).check()
