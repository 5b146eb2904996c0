# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.plugins.modules import nginx_server

MARK = "  # out of rotation: shakenfist.rolling"
FILE = """# server 10.0.0.1:13000;
upstream sf-api {
    server 10.0.0.1:13000;
\tserver "10.0.0.2:13000"  max_fails=0 weight=2 ; # the large one
    server 10.0.0.3:13000 down;
}
upstream other{
    server 10.0.0.1:13000 backup;
    server unix:/run/other.sock;
}
server {
    listen 80;
    server_name 10.0.0.1:13000;
}
"""
OUT = (FILE.replace("    server 10.0.0.1:13000;", f"    server 10.0.0.1:13000 down;{MARK}")
       .replace("backup;", f"backup down;{MARK}"))


class FakeNginx:
    """A file of configuration, and the processes of nginx in a /proc of its own.

    :ivar obeys: whether a reload starts new workers.
    :ivar rejects: what C(nginx -t) says, nothing where the configuration is good.
    :ivar retiring: whether the old workers stay to finish what they have.
    """

    def __init__(self, place):
        self.proc, self.path, self.pid_file = place / "proc", place / "sf-api.conf", place / "nginx.pid"
        self.obeys, self.rejects, self.retiring = True, "", True
        self.reloads, self.tests, self.next = 0, [], 101
        self.write(FILE)
        self.pid_file.write_text("100\n")
        self.process(100, 1, "nginx: master process /usr/sbin/nginx")
        self.process(99, 100, "nginx: cache manager process")
        (self.proc / "100" / "net").mkdir()
        self.connections()
        self.worker()
        os.utime(self.path, (1, 1))

    def write(self, text):
        self.path.write_bytes(text.encode("utf-8", "surrogateescape"))

    def text(self):
        return self.path.read_bytes().decode("utf-8", "surrogateescape")

    def process(self, pid, parent, title):
        folder = self.proc / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        started = int(time.clock_gettime(time.CLOCK_BOOTTIME) / nginx_server.TICK)
        (folder / "stat").write_text(f"{pid} (nginx) ) S {parent} {'0 ' * 17}{started} 0\n")
        (folder / "cmdline").write_text(f"{title}\0")

    def worker(self):
        self.process(self.next, 100, "nginx: worker process")
        self.next += 1

    def connections(self, *rows, table="tcp"):
        """Rows of (remote, state, inode)."""
        lines = [f"0: 0100007F:1F90 {remote} {state} 0:0 0:0 0 0 0 {inode} 1" for remote, state, inode in rows]
        (self.proc / "100" / "net" / table).write_text("\n".join(["  sl  local_address", *lines, ""]))

    def holds(self, pid, inode):
        (self.proc / str(pid) / "fd" / str(inode)).symlink_to(f"socket:[{inode}]")

    def hup(self, pid, signal):
        assert (pid, signal) == (100, 1)
        self.reloads += 1
        if self.obeys:
            old = self.next - 1
            self.process(old, 100, "nginx: worker process is shutting down")
            if not self.retiring:
                shutil.rmtree(self.proc / str(old))
            self.worker()

    def test(self, command):
        self.tests.append(command)
        # It looks at what was written.
        return (1, "", self.rejects) if self.rejects and "down" in self.text() else (0, "", "")


@pytest.fixture
def nginx(tmp_path, monkeypatch):
    fake = FakeNginx(tmp_path)
    monkeypatch.setattr(nginx_server, "PROC", str(fake.proc))
    monkeypatch.setattr(nginx_server.os, "kill", fake.hup)
    monkeypatch.setattr(nginx_server.AnsibleModule, "run_command", lambda dummy, command, **kwargs: fake.test(command))
    return fake


@pytest.fixture
def run(run_module, nginx):
    def start(state, check=False, **arguments):
        return run_module(nginx_server, check, **{"path": str(nginx.path), "server": "10.0.0.1:13000", "state": state,
                                                  "pid_file": str(nginx.pid_file), **arguments})

    return start


def test_out_and_back(nginx, run):
    nginx.path.chmod(0o640)
    result = run("drain")
    assert not result["failed"] and result["changed"] and (result["was"], result["sessions"]) == ("ready", 0)
    assert nginx.text() == OUT and nginx.reloads == 1 and nginx.tests == [["nginx", "-t"]]
    assert result["diff"]["before"] == "server 10.0.0.1:13000;\nserver 10.0.0.1:13000 backup;\n"
    assert result["diff"]["after"] == f"server 10.0.0.1:13000 down;{MARK}\nserver 10.0.0.1:13000 backup down;{MARK}\n"
    again = run("drain")
    assert not again["failed"] and not again["changed"] and again["was"] == "drain" and nginx.reloads == 1
    back = run("ready")
    assert not back["failed"] and back["changed"] and back["was"] == "drain" and nginx.reloads == 2
    assert nginx.text() == FILE and nginx.path.stat().st_mode & 0o777 == 0o640
    again = run("ready")
    assert not again["failed"] and not again["changed"] and again["was"] == "ready" and nginx.reloads == 2


def test_options_and_comments_are_kept(nginx, run):
    assert run("drain", server="10.0.0.2:13000")["changed"]
    assert f'\tserver "10.0.0.2:13000"  max_fails=0 weight=2  down; # the large one{MARK}\n' in nginx.text()
    assert run("ready", server="10.0.0.2:13000")["changed"] and nginx.text() == FILE


@pytest.mark.parametrize("text", [
    "server 10.0.0.1:13000;\r\nserver 10.0.0.2:13000;\r\n",
    "server 10.0.0.1:13000;\nserver 10.0.0.2:13000; # gr\udcfcn",
    "server 10.0.0.2:13000;\nserver 10.0.0.1:13000;",
])
def test_every_byte_comes_back(nginx, run, text):
    nginx.write(text)
    assert run("drain")["changed"] and nginx.text().replace(MARK, "").replace(" down", "") == text
    assert f" down;{MARK}" in nginx.text()
    assert run("ready")["changed"] and nginx.text() == text


@pytest.mark.parametrize("sign", ["\u2028", "\x0c", "\x85", "\r"])
def test_only_one_sign_ends_a_line(nginx, run, sign):
    text = f"server 10.0.0.1:13000; # a{sign}\n# b{sign}server 10.0.0.1:13000;\nserver 10.0.0.2:13000;\n"
    nginx.write(text)
    assert run("drain")["changed"] and nginx.text().count(" down;") == nginx.text().count(MARK) == 1
    assert run("ready")["was"] == "drain" and nginx.text() == text


def test_a_link_is_followed(nginx, run, tmp_path):
    link = tmp_path / "enabled.conf"
    link.symlink_to(nginx.path)
    assert run("drain", path=str(link))["changed"] and link.is_symlink() and nginx.text() == OUT


@pytest.mark.parametrize("state", ["drain", "ready"])
def test_what_others_did_is_left(nginx, run, state):
    result = run(state, server="10.0.0.3:13000")
    assert not result["failed"] and not result["changed"] and result["was"] == "out"
    assert nginx.text() == FILE and nginx.reloads == 0


def test_a_mark_without_its_down(nginx, run):
    nginx.write(OUT.replace(f" down;{MARK}", f";{MARK}"))
    assert run("drain")["was"] == "ready" and nginx.text() == OUT


@pytest.mark.parametrize("state, text", [("drain", FILE), ("ready", OUT)])
def test_check_mode(nginx, run, state, text):
    nginx.write(text)
    result = run(state, check=True)
    assert not result["failed"] and result["changed"] and result["diff"]["before"] != result["diff"]["after"]
    assert nginx.text() == text and nginx.reloads == 0 and nginx.tests


@pytest.mark.parametrize("state, text", [("drain", OUT), ("ready", FILE)])
def test_an_edit_that_nginx_does_not_know_of(nginx, run, state, text):
    """The call before was killed between its edit and the reload."""
    nginx.write(text)
    os.utime(nginx.path, (time.time() + 60, time.time() + 60))
    assert run(state, check=True)["changed"] and nginx.reloads == 0
    result = run(state)
    assert not result["failed"] and result["changed"] and result["was"] == state
    assert nginx.reloads == 1 and nginx.text() == text


def test_never_the_last_one(nginx, run):
    nginx.write(FILE.replace("weight=2 ;", "down;"))
    result = run("drain")
    assert result["failed"] and not result["changed"] and result["was"] == "ready" and nginx.reloads == 0
    assert re.match("10.0.0.1:13000 is the only server of sf-api that nginx sends requests to, all others are down in ",
                    result["msg"])
    assert run("drain", allow_last=True)["changed"] and run("drain", server="10.0.0.2:13000")["was"] == "out"


def test_an_only_server(nginx, run):
    nginx.write("server 10.0.0.1:13000;\n")
    assert run("drain")["changed"]


def test_the_configuration_is_bad_with_it(nginx, run):
    nginx.rejects = "nginx: [emerg] invalid parameter\nnginx: configuration file test failed\n"
    text = FILE.replace(" down", "")
    nginx.write(text)
    result = run("drain")
    assert result["failed"] and not result["changed"] and nginx.text() == text and nginx.reloads == 0
    assert re.match(r"nginx does not take its configuration with 10.0.0.1:13000 as drain, \S+ was put back: "
                    r"nginx: \[emerg", result["msg"])


def test_the_configuration_is_bad_already(nginx, run):
    nginx.rejects = "nginx: [emerg] no"
    result = run("drain", check=True)
    assert result["failed"] and "does not take its configuration as it is, with no change of" in result["msg"]


def test_a_test_that_cannot_be_run(nginx, run, monkeypatch):
    def missing(*dummy, **kwargs):
        raise FileNotFoundError(2, "No such file or directory", "nginx")

    monkeypatch.setattr(nginx_server.AnsibleModule, "run_command", missing)
    result = run("drain")
    assert result["failed"] and nginx.text() == FILE and "could not be set to drain: [Errno 2]" in result["msg"]
    assert run("drain", test_command=[])["changed"] and nginx.text() == OUT


def test_a_reload_without_effect(nginx, run):
    nginx.obeys = False
    result = run("drain", reload_timeout=0.1)
    assert result["failed"] and result["changed"] and nginx.text() == OUT
    assert re.search("expected nginx .process 100. to work with the new configuration within 0.1 s of its reload; "
                     "workers 101 have the old one", result["msg"])


def test_old_workers_need_not_stay(nginx, run):
    nginx.retiring = False
    assert run("drain")["changed"]


@pytest.mark.parametrize("server, remote, table", [
    ("10.0.0.1:13000", "0100000A:32C8", "tcp"),
    ("10.0.0.3:13000", None, "tcp"),
    ("[::1]:13000", "00000000000000000000000001000000:32C8", "tcp6"),
    ("10.0.0.1", "0100000A:0050", "tcp"),
])
def test_connections_are_counted(nginx, run, server, remote, table):
    nginx.write(f"server {server};\n")
    rows = [(remote, "01", 7), (remote, "06", 8), (remote, "01", 9), ("0200000A:32C8", "01", 10)] if remote else []
    nginx.connections(*rows, table=table)
    nginx.holds(101, 7)
    nginx.holds(101, 8)
    nginx.holds(101, 10)
    nginx.process(50, 1, "curl")
    nginx.holds(50, 9)
    result = run("drain", server=server, sessions_timeout=0.1 if remote else 5)
    assert result["changed"] and result["failed"] == bool(remote) and result["sessions"] == bool(remote)
    if remote:
        assert result["msg"] == f"expected nginx to have no connection to {server} within 0.1 s of its drain; 1 left"
    # Nobody waits unasked.
    result = run("ready", server=server)
    assert not result["failed"] and result["changed"]


@pytest.mark.parametrize("server", [
    "unix:/run/other.sock", "nowhere.invalid:13000", "10.0.0.1:\u00b2", f"{'a' * 99}:13000"])
@pytest.mark.parametrize("check", [False, True])
def test_nobody_knows_whether_it_has_connections(nginx, run, server, check):
    nginx.write(f"server {server};\n")
    result = run("drain", check, server=server, sessions_timeout=5)
    assert result["failed"] and not result["changed"] and "sessions" not in result
    assert "has no address on this machine, so nobody knows whether nginx has connections to it" in result["msg"]
    # Nobody waits for them, or it shall have some.
    assert not run("drain", check, server=server, sessions_timeout=0)["failed"]
    assert not run("ready", check, server=server, sessions_timeout=5)["failed"]


def test_it_waits_for_connections(nginx, run, monkeypatch):
    left = [3, 2, 1, 0]
    monkeypatch.setattr(nginx_server.Nginx, "sessions", lambda *dummy: left.pop(0))
    result = run("drain", sessions_timeout=60)
    assert not result["failed"] and result["sessions"] == 0 and not left


def test_one_at_a_time(nginx, run, tmp_path):
    directory = os.open(_common.turn_of(tmp_path), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        result = run("drain", reload_timeout=0.1)
        assert result["failed"] and "another process has kept the lock on" in result["msg"] and nginx.text() == FILE
        fcntl.flock(directory, fcntl.LOCK_UN)
    finally:
        os.close(directory)
    assert run("drain")["changed"]


@pytest.mark.parametrize("arguments, message", [
    (dict(server="10.0.0.9:13000"), "has no line `server 10.0.0.9:13000;` of its own; it has 10.0.0.1:13000, "
                                    "10.0.0.2:13000, 10.0.0.3:13000, unix:/run/other.sock$"),
    (dict(path="/nonesuch/sf-api.conf"), "^/nonesuch/sf-api.conf cannot be read: No such file"),
    (dict(pid_file="/nonesuch/nginx.pid"), "nginx does not run, /nonesuch/nginx.pid names no process of it"),
])
def test_failures(nginx, run, arguments, message):
    result = run("drain", **arguments)
    assert result["failed"] and not result["changed"] and re.search(message, result["msg"]) and nginx.text() == FILE


def test_no_server_at_all(nginx, run):
    nginx.write("# nothing\n")
    assert run("drain")["msg"].endswith("of its own; it has no server")


def test_the_file_is_a_directory(nginx, run, tmp_path):
    assert "cannot be read: Is a directory; expected the file with the lines" in run("drain", path=str(tmp_path))["msg"]


def test_another_process_has_the_pid(nginx, run):
    nginx.process(100, 1, "cron")
    assert "names no process of it" in run("drain")["msg"]
