# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import ready_info as part
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import units_info
from ansible_collections.shakenfist.rolling.plugins.modules import ready_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

NOBODY = "http://127.0.0.1:1/readyz"


@pytest.mark.parametrize("check", [False, True])
def test_a_look(run_module, serve, check):
    up, down = serve(200), serve(503)
    result = run_module(ready_info, check, urls=[up, down, NOBODY])
    assert not result["failed"] and not result["changed"]
    assert (result["ready"], result["count"], result["connections"]) == (False, 1, 1)
    assert result["seen"] == {up: {"ready": True, "answers": "200"}, down: {"ready": False, "answers": "503"},
                              NOBODY: {"ready": False, "answers": "Connection refused"}}


@pytest.mark.parametrize("minimum, ready", [(None, False), (2, False), (1, True), (0, True)])
def test_minimum(run_module, serve, minimum, ready):
    result = run_module(ready_info, urls=[serve(200), serve(503)], minimum=minimum)
    assert result["ready"] is ready and result["count"] == 1


def test_it_waits(run_module, serve):
    result = run_module(ready_info, urls=[serve(503, 503, 200)], timeout=60, interval=0.01)
    assert result["ready"] and result["waited"] < 60


def test_rounds_in_a_row(run_module, serve):
    """A 503 between two good rounds begins the count anew."""
    url = serve(200, 503, 200, 200, 503)
    assert run_module(ready_info, urls=[url], rounds=2, timeout=60, interval=0.01)["ready"]


@pytest.mark.parametrize("statuses, ready", [((200, 200), True), ((200, 503, 200), False), ((503, 200), False)])
def test_a_look_takes_its_rounds(run_module, serve, statuses, ready):
    assert run_module(ready_info, urls=[serve(*statuses)], rounds=2, interval=0.01)["ready"] is ready


def test_one_worker_of_many_is_not_ready(run_module, serve_workers):
    result = run_module(ready_info, urls=[serve_workers(200, 200, 503)], connections=6)
    assert not result["ready"]
    assert re.match(r"^200 from \d of 6, 503 from \d of 6$|^503 from \d of 6, 200 from \d of 6$",
                    list(result["seen"].values())[0]["answers"])


@pytest.mark.parametrize("connections, rounds, how", [
    (1, 2, ", 2 times in a row over 1 connections at once,"),
    (3, 1, ", 1 times in a row over 3 connections at once,"),
])
def test_the_failure_says_how_it_asked(run_module, serve, connections, rounds, how):
    url = serve(503)
    result = run_module(ready_info, urls=[url], connections=connections, rounds=rounds, timeout=0.05, interval=0.01)
    assert result["failed"]
    assert result["msg"] == f"expected 200 from 1 of 1 URLs{how} within 0.05 s; last seen: {url} answered 503"


def test_workers_that_stall_hold_the_module_once(run_module, serve_workers, monkeypatch):
    monkeypatch.setattr(part, "ANSWER_WITHIN", 1)
    url = serve_workers(*[None] * 8)
    result = run_module(ready_info, urls=[url], connections=8, timeout=0.1)
    assert result["failed"] and result["seen"][url]["answers"] == "no answer in time"
    assert result["waited"] < 7  # one after the other would take 8 s


def test_time_runs_out(run_module, serve):
    url = serve(503)
    result = run_module(ready_info, urls=[serve(200), url], timeout=0.05, interval=0.01)
    assert result["failed"] and not result["ready"]
    assert result["msg"] == (f"expected 200 from 2 of 2 URLs within "
                             f"0.05 s; last seen: {url} answered 503")


@pytest.mark.parametrize("arguments, message", [
    (dict(connections=0), "connections must be 1 or more, not 0"),
    (dict(rounds=0), "rounds must be 1 or more, not 0"),
    (dict(minimum=2), "minimum is 2, but there are only 1 URLs"),
    # One URL twice is one.
    (dict(urls=[NOBODY, NOBODY], minimum=2), "minimum is 2, but there are only 1 URLs"),
    (dict(urls=["https://sf-1/"]), "'https://sf-1/' is not a URL of the form http://HOST:PORT/PATH"),
])
def test_bad_input(run_module, arguments, message):
    result = run_module(ready_info, **dict(dict(urls=[NOBODY]), **arguments))
    assert result["failed"] and result["msg"] == message


@pytest.mark.parametrize("pid, least, expected", [("0", 1, 1), ("0", 5, 5), ("workers", 1, 6), ("workers", 9, 9)])
def test_connections_follow_the_workers_of_a_unit(run_module, serve, systemd, monkeypatch, pid, least, expected):
    monkeypatch.setattr(part, "worker_count", lambda pid: {4711: 3}[pid])
    systemd.units = {"sf-api": [unit(MainPID="4711" if pid == "workers" else pid)]}
    result = run_module(ready_info, urls=[serve(200)], unit="sf-api.service", connections=least)
    assert result["ready"] and result["connections"] == expected


@pytest.mark.parametrize("state, message", [
    (unit("activating", "auto-restart", Result="exit-code", ExecMainStatus="1"),
     "sf-api is activating (auto-restart), result exit-code, status 1"),
    (unit(InvocationID="run2", NRestarts="1"), "sf-api is active (running), but was started again, by systemd 1 times"),
    (unit(InvocationID="run2"), "sf-api is active (running), but was started again, by systemd 0 times"),
])
def test_a_unit_that_falls_ends_the_wait(run_module, systemd, clock, monkeypatch, state, message):
    monkeypatch.setattr(units_info, "time", clock)
    systemd.units, systemd.journal = {"sf-api": [unit(), state]}, "KeyError: 'port'"
    result = run_module(ready_info, urls=[NOBODY], timeout=60, interval=0.5, up_since={"sf-api": dict(after="run1")})
    assert clock.naps == [0.5, 0.5]
    assert result["failed"] and result["failed_units"] == ["sf-api"] and "seen" not in result
    assert result["msg"].endswith(f"; {message}. Its last words:\nKeyError: 'port'")


def test_a_unit_that_stays_is_no_reason(run_module, serve, systemd):
    systemd.units = {"sf-api": [unit()]}
    assert run_module(ready_info, urls=[serve(200)], timeout=60, up_since={"sf-api": dict(after="run1")})["ready"]


def test_systemctl_fails(run_module, systemd):
    systemd.broken = "Access denied"
    result = run_module(ready_info, urls=[NOBODY], unit="sf-api")
    assert result["failed"] and result["msg"].endswith("Access denied")


@pytest.mark.parametrize("stat", [None, "", "7 (sh", "7 (a) b) S x"])
def test_a_process_that_ends_while_it_is_looked_at_is_no_worker(tmp_path, monkeypatch, stat):
    path = tmp_path / "stat"
    if stat is not None:
        path.write_text(stat)
    monkeypatch.setattr(part.glob, "glob", lambda dummy: [str(path)])
    assert part.worker_count(7) == 0


def test_the_name_of_a_process_may_hold_anything(tmp_path, monkeypatch):
    (tmp_path / "stat").write_text("8 (a) S 1) S 7 8 8 0")
    monkeypatch.setattr(part.glob, "glob", lambda dummy: [str(tmp_path / "stat")])
    assert part.worker_count(7) == 1


def test_workers_below_a_shell(tmp_path, monkeypatch):
    # sh -c '... gunicorn ...': the shell is the unit's main process. The last one is another's child.
    tree = {8: 7, 21: 8, 22: 8, 23: 8, 30: 1}
    for child, parent in tree.items():
        (tmp_path / str(child)).write_text("%d (gunicorn) S %d 7 8 0" % (child, parent))
    monkeypatch.setattr(part.glob, "glob", lambda dummy: [str(tmp_path / str(child)) for child in tree])
    assert part.worker_count(7) == 3


def test_worker_count():
    before = part.worker_count(os.getpid())
    children = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for dummy in range(2)]
    try:
        assert part.worker_count(os.getpid()) == before + 2
    finally:
        for child in children:
            child.communicate(b"\n")


def processes(*pairs):
    """As much of /proc as names the parents: pid and parent of each process."""
    return [f"{pid} (a) S {parent} {pid} {pid} 0" for pid, parent in pairs]


@pytest.mark.parametrize("stats, expected", [
    (processes((8, 7), (9, 7)), 2),
    # The main process is a shell that waits for gunicorn.
    (processes((10, 7), (11, 10), (12, 10), (13, 10)), 3),
    (processes((10, 7), (11, 10)), 1),
    # Nothing but gunicorn yet.
    (processes((10, 7)), 1),
    # Another process's children are not its own.
    (processes((10, 7), (11, 10), (12, 10), (20, 1), (21, 20)), 2),
])
def test_workers_are_what_has_no_children(tmp_path, monkeypatch, stats, expected):
    for number, stat in enumerate(stats):
        (tmp_path / str(number)).write_text(stat)
    monkeypatch.setattr(part.glob, "glob", lambda dummy: sorted(map(str, tmp_path.iterdir())))
    assert part.worker_count(7) == expected


def test_worker_count_of_a_shell():
    script = 'for each in 1 2 3; do sleep 60 <&- & done; echo up; wait'
    shell = subprocess.Popen(["sh", "-c", f"sh -c '{script}'; exit $?"], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert shell.stdout.readline() == b"up\n"
        assert part.worker_count(shell.pid) == 3
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
