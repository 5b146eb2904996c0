# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _packages as apt
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import wait_for


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(apt, "ROOT", str(tmp_path))
    for folder in ("etc/apt/sources.list.d", "var/lib/dpkg/info", "usr/sbin"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("version, wanted, yes", [
    ("0.19-1", "0.19", True), ("0.19-1~bpo8+1", "0.19", True), ("0.19", "0.19", True), ("1:0.19-1", "0.19", True),
    ("0.19.1-1", "0.19", False), ("0.190-1", "0.19", False), ("1.1.1-2", "1.1.1*", True), ("1.0.1-2", "1.1.1*", False),
    ("0.19-1", "0.19-1", True), ("0.19-2", "0.19-1", False), ("0.19-1", "*", True)])
def test_versions(version, wanted, yes):
    assert apt.fits(version, wanted) is yes


@pytest.mark.parametrize("suite, suites, new", [
    ("wheezy", {"wheezy": "jessie"}, "jessie"), ("wheezy-updates", {"wheezy": "jessie"}, "jessie-updates"),
    ("wheezy/updates", {"wheezy": "jessie"}, "jessie/updates"), ("wheezyx", {"wheezy": "jessie"}, "wheezyx"),
    ("buster/updates", {"buster": "bullseye", "buster/updates": "bullseye-security"}, "bullseye-security"),
    ("jessie", {"wheezy": "jessie"}, "jessie"), ("stable", {"wheezy": "jessie"}, "stable"), ("wheezy", {}, "wheezy"),
    # What is new is not renewed once more.
    ("synnefo-0.19", {"synnefo": "synnefo-0.19"}, "synnefo-0.19"),
    ("synnefo", {"synnefo": "synnefo-0.19"}, "synnefo-0.19"),
    ("a-b-c", {"a": "x", "a-b": "y"}, "y-c")])
def test_suites(suite, suites, new):
    assert apt.new_suite(suite, suites) == new


ONE_LINE = """# deb http://old wheezy main
deb http://a wheezy main contrib # all
\tdeb-src [arch=amd64 trusted=yes] http://b wheezy/updates main\r
deb cdrom:[Debian GNU/Linux 7 _Wheezy_]/ wheezy main
deb http://own ./
"""
STANZAS = """Types: deb
URIs: http://a
# a comment
Suites: wheezy wheezy-updates
 wheezy-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 Suites: wheezy

Types: deb
URIs: http://off
Suites: wheezy
Enabled: no

Suites: stable
URIs: http://b
Types: deb"""


def test_sources_in_one_line(root):
    path = root / "etc/apt/sources.list"
    path.write_bytes(ONE_LINE.encode() + b"# \xff\n")
    before, after, entries = apt.read_sources({"wheezy": "jessie"})
    assert before[str(path)].encode(errors="surrogateescape") == path.read_bytes()
    new = ONE_LINE.replace("http://a wheezy", "http://a jessie").replace("wheezy/updates", "jessie/updates")
    assert after[str(path)].encode(errors="surrogateescape") == new.encode() + b"# \xff\n"
    assert [(one["line"], one["uri"], one["suite"]) for one in entries] == [
        (2, "http://a", "wheezy"), (3, "http://b", "wheezy/updates"), (5, "http://own", "./")]
    assert entries[1]["after"] == "deb-src [arch=amd64 trusted=yes] http://b jessie/updates main"


def test_passwords_of_sources_are_not_shown(root):
    path, line = root / "etc/apt/sources.list", "deb https://me:secret@own/debian {} main\n"
    path.write_text(line.format("wheezy"))
    dummy, after, entries = apt.read_sources({"wheezy": "jessie"})
    assert after[str(path)] == line.format("jessie") and "secret" not in str(entries)
    assert (entries[0]["uri"], entries[0]["after"]) == ("https://***@own/debian",
                                                        "deb https://***@own/debian jessie main")


def test_sources_in_stanzas(root):
    path = root / "etc/apt/sources.list.d/debian.sources"
    path.write_text(STANZAS)
    (root / "etc/apt/sources.list.d/debian.save").write_text("deb http://x wheezy main\n")
    dummy, after, entries = apt.read_sources({"wheezy": "jessie"})
    assert after[str(path)] == STANZAS.replace(
        "Suites: wheezy wheezy-updates\n wheezy-backports", "Suites: jessie jessie-updates\n jessie-backports")
    assert [(one["line"], one["uri"], one["suite"]) for one in entries] == [
        (4, "http://a", "wheezy"), (4, "http://a", "wheezy-updates"), (5, "http://a", "wheezy-backports"),
        (17, "http://b", "stable")]
    assert (entries[2]["before"], entries[2]["after"]) == ("wheezy-backports", "jessie-backports")


SIMULATED = """Reading package lists...
Inst libc6 [2.13-38] (2.19-18 Debian:8/stable [amd64]) []
Inst snf-common [0.18.1-1] (0.19-1 Lab:jessie [all])
Inst new (1:1.0 Lab:jessie [all])
Remv old [1.0] [something ]
Conf snf-common (0.19-1 Lab:jessie [all])
"""


def test_what_a_simulation_says():
    assert apt.simulated(SIMULATED) == dict(
        upgraded=[dict(name="libc6", before="2.13-38", after="2.19-18"),
                  dict(name="snf-common", before="0.18.1-1", after="0.19-1")],
        installed=[dict(name="new", before="", after="1:1.0")], removed=["old"])


def test_what_has_changed():
    before = {"a": dict(version="1"), "b": dict(version="1"), "c": dict(version="1")}
    after = {"a": dict(version="1"), "b": dict(version="2"), "d": dict(version="1")}
    assert apt.difference(before, after) == dict(upgraded=[dict(name="b", before="1", after="2")], removed=["c"],
                                                 installed=[dict(name="d", before="", after="1")])


def test_the_holder_of_a_lock(root):
    (root / "var/lib/dpkg/lock-frontend").write_text("")
    assert apt.lock_holder() == {}
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
         "print('has it', flush=True); sys.stdin.read()", str(root / "var/lib/dpkg/lock-frontend")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        found = apt.lock_holder()
    finally:
        holder.kill()
        holder.wait()
    assert found["pid"] == holder.pid
    assert "has it" in found["command"]
    assert found["file"] == "/var/lib/dpkg/lock-frontend"
    assert apt.command_of(2 ** 22 + 1) == "" and apt.environment_of(2 ** 22 + 1) == {}


@pytest.mark.parametrize("text, yes", [
    ("systemctl start gunicorn", True), ("systemctl --no-block restart gunicorn.service", True),
    ("service gunicorn start || true", True), ("/etc/init.d/gunicorn start", True),
    ("start-stop-daemon --start --exec /usr/sbin/gunicorn", True),
    ("invoke-rc.d gunicorn start", False), ("# systemctl start gunicorn", False), ("systemctl stop gunicorn", False),
    ("for service in gunicorn; do", False), ("systemctl start gunicorn-other", False),
    ("deb-systemd-invoke start 'gunicorn'", False)])
def test_who_starts_a_service(root, text, yes):
    (root / "var/lib/dpkg/info/gunicorn:amd64.postinst").write_text(f"#!/bin/sh\n{text}\n")
    (root / "var/lib/dpkg/info/gunicorn:amd64.postrm").write_text("#!/bin/sh\nsystemctl start gunicorn\n")
    assert apt.who_starts("gunicorn") == (
        dict(package="gunicorn", script="postinst") if yes else dict(package="", script=""))


def test_whose_policy(root):
    path = root / "usr/sbin/policy-rc.d"
    assert apt.policy_of() == "" and not apt.allow_starts()
    path.symlink_to("/nowhere")
    assert apt.policy_of() == "other" and not apt.allow_starts()
    path.unlink()
    apt.forbid_starts()
    assert apt.policy_of() == "ours" and path.stat().st_mode & 0o777 == 0o755
    # Once more is the same.
    apt.forbid_starts()
    assert apt.allow_starts() and not os.path.lexists(path)


def test_no_journal_without_a_directory(root):
    assert not apt.journal_left()


def test_a_script_that_goes_on_without_its_apt(root):
    """It starts nothing that stays, and who comes next waits for it."""
    script = root / "var/lib/dpkg/info/gunicorn.postinst"
    script.write_text("#!/bin/sh\nsleep 60 & echo $!\nwait\n")
    environment = dict(os.environ, **{apt.MARK: "1", "DPKG_MAINTSCRIPT_PACKAGE": "gunicorn"})
    made = subprocess.Popen(["sh", str(script), "configure"], env=environment, stdout=subprocess.PIPE, text=True)
    child = int(made.stdout.readline())
    try:
        # Until its exec, the child has the command line of the script.
        assert wait_for(lambda: apt.command_of(child) == "sleep 60", 30)
        assert apt.scripts_at_work() == [made.pid] and apt.belongs_to(child, [made.pid])
        assert apt.lock_holder()["pid"] == made.pid
        assert not {made.pid, child} & {one["pid"] for one in apt.left_by_scripts()}
    finally:
        made.kill()
        made.wait()
    # What is left of it now is one that was started.
    [one] = [one for one in apt.left_by_scripts() if one["pid"] == child]
    os.kill(child, 9)
    assert one["package"] == "gunicorn" and apt.parent_of(2 ** 22 + 1) == 0
