# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _systemd
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import (
    ENDED_EARLY,
    ENDED_ILL,
    ENDED_WELL,
    LAST_STOPS,
    STOPPED,
    STOPPING,
    Systemd,
    command_arguments,
    describe,
    graceful_timeout,
    lasted,
    seconds,
    short,
    started,
    stops,
)
from ansible_collections.shakenfist.rolling.tests.unit.fakes import MISSING, FakeSystemd, unit


@pytest.fixture
def fake():
    return FakeSystemd()


@pytest.mark.parametrize("name, expected", [("sf-api", "sf-api"), ("sf-api.service", "sf-api"), ("sf-*", "sf-*")])
def test_short(name, expected):
    assert short(name) == expected


@pytest.mark.parametrize("state, expected", [
    (unit(), "active (running)"),
    (unit("failed", "failed", Result="exit-code", ExecMainCode="1", ExecMainStatus="3"),
     "failed (failed), result exit-code, status 3"),
    (unit("failed", "failed", Result="timeout", ExecMainCode="2", ExecMainStatus="9"),
     "failed (failed), result timeout, signal 9"),
    (MISSING, "not installed (not-found)"),
    ({}, "unknown (unknown)"),
])
def test_describe(state, expected):
    assert describe(state) == expected


@pytest.mark.parametrize("begin, end, expected", [
    ("1000000", "1500000", 0.5), ("1000000", "1000000", 0), ("2000000", "1500000", None), ("0", "5", None),
    (None, "5", None), ("5", "0", None), ("5", None, None),
])
def test_lasted(begin, end, expected):
    state = {name: value for name, value in (("A", begin), ("B", end)) if value is not None}
    assert lasted(state, "A", "B") == expected


def test_started(monkeypatch):
    monkeypatch.setattr(_systemd, "time", SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 5000.0))
    assert started({}) is None
    assert started({"ExecMainStartTimestampMonotonic": "0"}) is None
    assert started({"ExecMainStartTimestampMonotonic": "87500000"}) == 5000 - 12.5


def test_show_knows_units_by_their_short_names(fake):
    fake.units = {"sf-api": [unit()], "sf-net": [unit("inactive", "dead")]}
    states = Systemd(fake).show(["sf-api.service", "sf-net"])
    assert {name: state["ActiveState"] for name, state in states.items()} == {"sf-api": "active", "sf-net": "inactive"}
    assert Systemd(fake).show([]) == {}


def test_the_end_of_a_line_in_a_command_ends_no_property_and_no_unit(fake):
    command = "{ path=/bin/sh ; argv[]=/bin/sh -c a=1\n\nexec gunicorn -w 5\nResults=2 ; ignore_errors=no ; pid=0 }"
    fake.units = {"sf-api": [unit(ExecStart=command, Job="7")], "sf-net": [unit("inactive", "dead")]}
    states = Systemd(fake).show(["sf-api", "sf-net"], ["ExecStart"])
    assert (states["sf-api"]["ExecStart"], states["sf-api"]["Job"]) == (command, "7")
    assert states["sf-net"]["ActiveState"] == "inactive"
    assert command_arguments(command, ["-w"]) == {"-w": "5"}


def test_installed_leaves_out_templates(fake):
    fake.units = {"sf-net": [], "sf-api": [], "sf-x@": []}
    assert Systemd(fake).installed(["sf-*"]) == ["sf-api", "sf-net"]
    assert Systemd(fake).installed(["sf-api", "sf-none"]) == ["sf-api"]
    assert Systemd(fake).installed(["sf-none"]) == []
    assert Systemd(fake).installed([]) == []


def test_installed_does_not_hide_a_failure(fake):
    fake.broken = "Failed to connect to bus"
    with pytest.raises(RollingError, match="list-unit-files failed .*Failed to connect to bus"):
        Systemd(fake).installed(["sf-*"])


def test_orders(fake):
    systemd = Systemd(fake)
    systemd.stop("sf-api")
    systemd.restart(["sf-api", "sf-net.service"])
    assert fake.orders == ["stop sf-api", "reset-failed sf-api sf-net", "restart sf-api sf-net"]


def test_a_failure_of_systemctl_is_told(fake):
    fake.broken = "Failed to connect to bus"
    with pytest.raises(RollingError, match=r"systemctl stop .* failed \(rc 1\): Failed to connect to bus"):
        Systemd(fake).stop("sf-api")


def test_journal(fake):
    fake.journal = "one\ntwo\n"
    assert Systemd(fake).journal("sf-api") == "one\ntwo"


def entries(*marks, boot="b1"):
    """Lines of the journal, each of a mark and its moment in seconds."""
    return [json.dumps(dict(MESSAGE_ID=mark, _BOOT_ID=boot, __MONOTONIC_TIMESTAMP=str(int(moment * 1e6))))
            for mark, moment in marks]


WELL = entries((STOPPING, 10), (ENDED_WELL, 36.2), (STOPPED, 36.25))
ILL = entries((STOPPING, 50), (ENDED_ILL, 120), (STOPPED, 120))


@pytest.mark.parametrize("lines, expected", [
    ([], []),
    (WELL, [(26.25, True)]),
    (ILL, [(70.0, False)]),
    (WELL + ILL, [(70.0, False), (26.25, True)]),
    # Systems that do not say how it ended.
    (entries((STOPPING, 10), (STOPPED, 12)), [(2.0, False)]),
    # What ended before its stop, or has not ended yet.
    (entries((ENDED_ILL, 5), (STOPPED, 6)), []),
    (entries((ENDED_WELL, 5), (STOPPING, 10), (STOPPED, 12)), [(2.0, False)]),
    (entries((STOPPING, 10), (ENDED_WELL, 11)), []),
    # One that we have ended early tells nothing of the grace, the one after it does.
    (entries((STOPPING, 10), (ENDED_EARLY, 12), (ENDED_WELL, 13), (STOPPED, 13)) + WELL, [(26.25, True), (3.0, False)]),
    # A reboot in between.
    (entries((STOPPING, 900)) + entries((ENDED_WELL, 901), (STOPPED, 901), boot="b2"), []),
    (["", "no JSON", "[]", "{}", *WELL, '{"MESSAGE_ID": null}'], [(26.25, True)]),
])
def test_stops(lines, expected):
    assert [(stop["seconds"], stop["itself"]) for stop in stops("\n".join(lines))] == expected


def test_what_is_ended_early_is_noted(tmp_path, monkeypatch):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        monkeypatch.setattr(_systemd, "JOURNAL", path)
        assert Systemd.note_early("sf-api")
        fields = dict(line.split("=", 1) for line in journal.recv(4096).decode().splitlines())
    assert fields["MESSAGE_ID"] == ENDED_EARLY and fields["UNIT"] == "sf-api.service"
    assert "its stop is ended early" in fields["MESSAGE"]
    monkeypatch.setattr(_systemd, "JOURNAL", str(tmp_path / "none"))
    assert not Systemd.note_early("sf-api")


def test_only_the_last_stops():
    assert len(stops("\n".join(WELL * (LAST_STOPS + 5)))) == LAST_STOPS


def test_the_stops_of_a_unit(fake):
    asked = []
    fake.journal = "\n".join(WELL)
    assert Systemd(lambda command: asked.append(command) or fake(command)).stops("sf-api.service") == [
        dict(seconds=26.25, itself=True)]
    # Only what systemd itself has written.
    assert {"_PID=1", "UNIT=sf-api.service", f"MESSAGE_ID={STOPPED}"} <= set(asked[0])
    assert Systemd(lambda command: (1, fake.journal, "no journal")).stops("sf-api") == []


@pytest.mark.parametrize("span, expected", [
    ("30s", 30), ("1min 10s", 70), ("1min 30.500s", 90.5), ("1h 1min", 3660), ("2d", 172800), ("1w", 604800),
    ("1month", 2629800), ("1y", 31557600), ("500ms", 0.5), ("1s 250us", 1.00025), ("0", 0),
    ("infinity", None), ("", None), (None, None), ("soon", None), ("1min soon", None), ("[not set]", None),
])
def test_seconds(span, expected):
    assert seconds(span) == (expected if expected is None else pytest.approx(expected))


EXEC_START = ("{ path=/srv/shakenfist/venv/bin/gunicorn ; argv[]=%s ; ignore_errors=no ; start_time=[n/a] ; "
              "stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }")


@pytest.mark.parametrize("line, expected", [
    ("gunicorn --graceful-timeout 55 app", {"--graceful-timeout": "55"}),
    ("gunicorn --graceful-timeout=55 app", {"--graceful-timeout": "55"}),
    ("gunicorn --graceful-timeout 30 --graceful-timeout=55 -w 4", {"--graceful-timeout": "55", "-w": "4"}),
    ("gunicorn --graceful-timeout -w -1", {"--graceful-timeout": "", "-w": "-1"}),
    ("gunicorn --graceful-timeout", {"--graceful-timeout": ""}),
    ("gunicorn --graceful-timeout-x 55 --password=s", {}),
    ("sh -c a ; b -w 2", {"-w": "2"}),
    ("gunicorn -w a=b", {"-w": "a=b"}),
    # In one argument of a shell, which systemd may print with its quotes or without.
    ("/bin/sh -c '/srv/shakenfist/venv/bin/gunicorn --workers 5 --graceful-timeout 55 --timeout 300 app'",
     {"--graceful-timeout": "55"}),
    ("/bin/sh -c /srv/shakenfist/venv/bin/gunicorn --bind 0.0.0.0:13000 --graceful-timeout 55 app:app; exit $?",
     {"--graceful-timeout": "55"}),
    ("/bin/sh -c 'gunicorn --timeout 300 --graceful-timeout 55'", {"--graceful-timeout": "55"}),
    ("/bin/sh -c 'gunicorn --graceful-timeout=\"55\"; exit $?'", {"--graceful-timeout": "55"}),
    ("/bin/sh -c \"gunicorn '--graceful-timeout' '55' app\"", {"--graceful-timeout": "55"}),
    ("/bin/sh -c '--graceful-timeout=55;'", {"--graceful-timeout": "55"}),
    ("/bin/sh -c 'gunicorn --graceful-timeout ${GRACE} app'", {"--graceful-timeout": "${GRACE}"}),
])
def test_command_arguments(line, expected):
    assert command_arguments(EXEC_START % line, ["--graceful-timeout", "-w"]) == expected


@pytest.mark.parametrize("exec_start", [None, "", "nonsense"])
def test_command_arguments_of_no_command(exec_start):
    assert command_arguments(exec_start, ["-w"]) == {}


@pytest.mark.parametrize("arguments, expected", [
    ("55", 55.0), ("5.5", 5.5), ("55'", 55.0), ('55"', 55.0), ("${LIMIT}", None), ("", None), (None, None),
    ("\u00b2", None),
])
def test_graceful_timeout(arguments, expected):
    assert graceful_timeout({"--graceful-timeout": arguments}) == expected
    assert graceful_timeout({}) is None


def test_processes_of_a_unit(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(_systemd, "PROC", str(tmp_path))
    for pid, group, words in ((1, "/init.scope", "init"),
                              (7, "/system.slice/sf-api.service", "/bin/sh\0-c\0gunicorn -w 5\0"),
                              (8, "/lab/system.slice/sf-api.service", "python\0gunicorn\0"),
                              (9, "/system.slice/sf-api.service/below", "python\0x\0"),
                              (10, "/system.slice/sf-api.service2", "no\0"),
                              (11, "/system.slice/xsf-api.service", "no\0")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"1:name=systemd:{group}\n0::/\n")
        (tmp_path / str(pid) / "cmdline").write_text(words)
    (tmp_path / "12").mkdir()  # it has ended meanwhile
    (tmp_path / "self").mkdir()
    assert Systemd(fake).processes("sf-api.service") == {
        7: ["/bin/sh", "-c", "gunicorn -w 5"], 8: ["python", "gunicorn"], 9: ["python", "x"]}
