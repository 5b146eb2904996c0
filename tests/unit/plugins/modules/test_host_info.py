# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import host_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import host_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock


@pytest.fixture
def owners(monkeypatch):
    """Whose a directory is, by path; root's if it is not named. The mode is the real one."""
    fake = {}
    monkeypatch.setattr(part, "owner_and_mode",
                        lambda path: (fake.get(path, 0), stat.S_IMODE(os.stat(path).st_mode)))
    return fake


@pytest.fixture
def host(tmp_path, owners):
    """A node with an active release, and a link to it."""
    active = tmp_path / "releases" / "0.8.0-1"
    active.mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "releases", active):
        directory.chmod(0o755)
    (tmp_path / "venv").symlink_to("releases/0.8.0-1")
    return tmp_path


@pytest.fixture
def run(run_module, host):
    def start(check=False, **arguments):
        arguments = dict(dict(path=str(host / "venv"), releases=str(host / "releases")), **arguments)
        return run_module(host_info, check, **arguments)
    return start


@pytest.mark.parametrize("check", [False, True])
def test_a_host(run, host, check):
    result = run(check)
    disk = os.statvfs(host)
    assert not result["failed"] and not result["changed"]
    assert result["clock_offset"] is None and result["programs"] == {}
    assert result["unsafe"] == [] and result["same_file_system"] is True
    assert result["free"] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)


@pytest.mark.parametrize("ahead", [-30, 0, 30])
def test_the_clock(run, ahead, monkeypatch):
    monkeypatch.setattr(part, "time", Clock(1000.0))
    assert run(reference=1000.0 - ahead)["clock_offset"] == ahead


def test_directories(run, host):
    there, file = host / "events", host / "file"
    there.mkdir()
    file.touch()
    assert run(directories=[str(there), str(file), str(host / "none")])["directories"] == [str(there)]
    assert run()["directories"] == []


def test_programs(run):
    result = run(commands=["sh", "no-such-program"])
    assert result["programs"]["sh"].endswith("/sh") and result["programs"]["no-such-program"] == ""


def test_what_a_clone_needs(run, host):
    active = host / "releases" / "0.8.0-1"
    (active / "lib").mkdir()
    (active / "lib" / "big").write_bytes(b"x" * 300000)
    os.link(active / "lib" / "big", active / "same")
    (active / "lib64").symlink_to("lib")
    (host / "elsewhere").write_bytes(b"x" * 9000000)
    (active / "far").symlink_to(host / "elsewhere")
    # What is not the release's own does not count: neither what links lead to nor a second name of a file.
    names = (active, active / "lib", active / "lib" / "big", active / "lib64", active / "far")
    assert run()["needed"] == sum(os.lstat(name).st_blocks * 512 for name in names)
    assert run(path=str(active))["needed"] == run()["needed"]


def test_no_virtualenv_yet(run, host):
    result = run(path=str(host / "none" / "venv"))
    assert not result["failed"] and result["needed"] == 0 and result["same_file_system"] is True


def test_a_file_that_is_gone_meanwhile(monkeypatch, host):
    active = str(host / "releases" / "0.8.0-1")
    real = os.walk
    monkeypatch.setattr(part.os, "walk", lambda path, **more: (
        (root, names, [*files, "gone"]) for root, names, files in real(path, **more)))
    assert part.size(active) == os.lstat(active).st_blocks * 512


def test_no_releases_yet(run, host, owners):
    result = run(releases=str(host / "a" / "b"))
    assert result["free"] > 0 and result["same_file_system"] is True and result["unsafe"] == []
    owners[str(host)] = 1000
    assert run(releases=str(host / "a" / "b"))["unsafe"] == [f"{host} is owned by uid 1000: chown root: {host}"]


@pytest.mark.parametrize("name", [".", "releases", "releases/0.8.0-1"])
@pytest.mark.parametrize("mode, owner, faults", [
    (0o755, 0, []),
    (0o777, 0, ["is writable by others (mode 0777): chmod go-w"]),
    (0o757, 0, ["is writable by others (mode 0757): chmod go-w"]),
    (0o775, 0, ["is writable by its group (mode 0775): chmod go-w"]),
    (0o1777, 0, []),
    (0o755, 1000, ["is owned by uid 1000: chown root:"]),
    (0o770, 1000, ["is owned by uid 1000: chown root:", "is writable by its group (mode 0770): chmod go-w"]),
])
def test_unsafe_directories(run, host, owners, name, mode, owner, faults):
    directory = os.path.normpath(host / name)
    os.chmod(directory, mode)
    owners[directory] = owner
    assert run()["unsafe"] == [f"{directory} {fault} {directory}" for fault in faults]


def test_unsafe_directories_behind_a_link(run, host, owners):
    (host / "disk" / "kept").mkdir(parents=True)
    (host / "links").mkdir()
    (host / "links" / "releases").symlink_to(host / "disk" / "kept")
    for name in ("disk", "links"):
        (host / name).chmod(0o777)
    (host / "disk" / "kept").chmod(0o755)
    found = run(releases=str(host / "links" / "releases"))["unsafe"]
    assert [words.split()[0] for words in found] == [str(host / "disk"), str(host / "links")]


def test_a_name_that_a_shell_would_take_apart(run, host):
    (host / "my releases").mkdir()
    (host / "my releases").chmod(0o777)
    assert run(releases=str(host / "my releases"))["unsafe"][0].endswith(f": chmod go-w '{host}/my releases'")


def test_two_file_systems(run, host):
    if os.stat("/proc").st_dev == os.stat(host).st_dev:
        pytest.skip("there is no second file system")
    assert run(path="/proc/no-such-venv")["same_file_system"] is False


def test_owner_and_mode(tmp_path):
    tmp_path.chmod(0o1750)
    assert part.owner_and_mode(tmp_path) == (os.getuid(), 0o1750)


def test_what_it_may_not_read(run, host, monkeypatch):
    def refuse(path, onerror):
        onerror(PermissionError(13, "Permission denied", f"{path}/lib"))

    monkeypatch.setattr(part.os, "walk", refuse)
    result = run()
    active = host / "releases" / "0.8.0-1"
    assert result["failed"] and result["msg"] == (f"cannot look at {active}/lib: Permission denied. This must run as "
                                                  "root")
