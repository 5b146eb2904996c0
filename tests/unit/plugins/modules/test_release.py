# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import time
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common, _release
from ansible_collections.shakenfist.rolling.plugins.modules import release
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry
from ansible_collections.shakenfist.rolling.tests.unit.wheels import (
    locked,
    make_wheel,
    pip_environment,
    real_venv,
    run_pip,
)

SHA = "0a1b2c3d" * 8
NAME = "0.8.1-0a1b2c3d"
LOCK = [dict(name="shakenfist", version="0.8.1", sha256=SHA), dict(name="flask", version="3.0", sha256="0f" * 32)]
OFFERS = [entry("shakenfist", "0.8.1", SHA)]


@pytest.fixture
def run(run_release):
    return lambda state, **arguments: run_release(state, **dict(dict(lock=LOCK), **arguments))


@pytest.fixture
def releases(tmp_path):
    return tmp_path / "releases"


# ---- staging

def test_only_who_stages_stands_back(run, venv, eager):
    """In the other states nobody is served before the module ends."""
    venv("venv", offers=OFFERS, becomes="0.8.1")
    for state, count in (("staged", 1), ("active", 1), ("in_place", 1), ("staged", 2)):
        assert not run(state)["failed"] and len(eager) == count


def test_stage(run, venv, releases, tmp_path):
    active = venv("venv", offers=OFFERS, becomes="0.8.1")
    (active / "plugin").write_text("an operator's own")
    for name in (".rolling-schema.json", ".rolling-migrating", ".rolling-done-cinder-manage-x", ".rolling-new/file"):
        (active / name).parent.mkdir(exist_ok=True)
        (active / name).write_text("about the active release")
    (active / ".rolling-link").symlink_to(".")
    result = run("staged", extra_args=["--pre"], index_url="http://me:hunter2@db/simple/")
    staged = releases / NAME
    assert not result["failed"] and result["changed"] and result["release"] == str(staged)
    assert result["packages"] == [{"name": "shakenfist", "version": "0.8.1", "sha256": SHA}]
    assert result["diff"]["after"] == f"{staged}: shakenfist 0.8.1\n"
    assert (staged / "plugin").exists()
    assert [path.name for path in staged.glob(".rolling-*")] == [".rolling-release.json"]
    assert len(list(active.glob(".rolling-*"))) == 5
    assert [path.name for path in releases.iterdir()] == [NAME]
    command, index = (tmp_path / "pip.log").read_text().splitlines()
    assert "--pre --no-deps --require-hashes -r " in command and "--no-index" not in command
    assert index == "index=http://me:hunter2@db/simple/"
    assert "hunter2" not in json.dumps(result)


def test_scripts_of_a_clone_point_to_where_it_will_run(run, venv, releases, tmp_path):
    venv("venv", offers=OFFERS, becomes="0.8.1")
    run("staged")
    first, dummy, third = (releases / NAME / "bin" / "sf-ctl").read_text().splitlines()
    assert first == f"#!{tmp_path}/venv/bin/python"
    assert ".partial" in third, "only the first lines are about the interpreter"


@pytest.mark.parametrize("active", ["0.8.0-0f0f0f0f", "0.8.1"])
@pytest.mark.parametrize("scripts", ["link", "release"])
def test_which_python_scripts_name(run, venv, releases, tmp_path, scripts, active):
    """Even where the name of the release begins with that of the active one."""
    root = venv(f"releases/{active}", version=active[:5], offers=OFFERS, becomes="0.8.1")
    (tmp_path / "venv").symlink_to(root)
    for name, place in (("by-link", tmp_path / "venv"), ("by-release", root), ("foreign", "/usr")):
        (root / "bin" / name).write_text(f"#!{place}/bin/python\n")
    assert not run("staged", scripts=scripts)["failed"]
    own = releases / NAME if scripts == "release" else tmp_path / "venv"
    first = {name: (releases / NAME / "bin" / name).read_text().splitlines()[0]
             for name in ("sf-ctl", "by-link", "by-release", "foreign")}
    assert first == {"sf-ctl": f"#!{own}/bin/python", "by-link": f"#!{own}/bin/python",
                     "by-release": f"#!{own}/bin/python", "foreign": "#!/usr/bin/python"}


@pytest.mark.parametrize("content, expected", [
    (b"#!/old/bin/python\n\nx = '/old'\n", b"#!/new/bin/python\n\nx = '/old'\n"),
    (b"#!/bin/sh\n'''exec' /old/bin/python \"$0\" \"$@\"\n' '''\n",
     b"#!/bin/sh\n'''exec' /new/bin/python \"$0\" \"$@\"\n' '''\n"),
    (b"#!/usr/bin/env python\n", b"#!/usr/bin/env python\n"),
    (b"#!/old.2/bin/python\n", b"#!/old.2/bin/python\n"),
    (b"\x7fELF /old", b"\x7fELF /old"),
    (b"", b""),
])
def test_shebangs(tmp_path, content, expected):
    script = tmp_path / "script"
    script.write_bytes(content)
    script.chmod(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/old/bin/python")
    release.correct_shebangs(str(tmp_path), "/old", "/new")
    assert script.read_bytes() == expected
    assert script.stat().st_mode & 0o777 == 0o755
    assert os.readlink(tmp_path / "link") == "/old/bin/python"


def test_a_staged_release_is_left_alone(run, venv, releases, tmp_path):
    venv("venv")
    venv(f"releases/{NAME}", version="0.8.1")
    result = run("staged")
    assert not result["failed"] and not result["changed"]
    assert not (tmp_path / "pip.log").exists()


def test_check_mode_stages_nothing(run, venv, releases):
    venv("venv", offers=OFFERS, becomes="0.8.1")
    result = run("staged", check=True)
    assert result["changed"] and result["diff"]["after"]
    assert not releases.exists()


@pytest.mark.parametrize("facts, message", [
    (dict(pip_fails="Looking\nERROR: hash mismatch"), "pip failed:\nLooking\nERROR: hash mismatch"),
    (dict(offers=OFFERS, becomes="0.8.2"), ".partial holds shakenfist 0.8.2 after pip, not 0.8.1"),
    (dict(), "pip wrote no report that can be read"),
    (dict(pip="21.0"), "has pip 21.0; 22.2 or later is needed"),
    (dict(version=None), "shakenfist is not installed in the virtualenv"),
])
def test_a_failure_leaves_nothing_behind(run, venv, releases, facts, message):
    venv("venv", **facts)
    result = run("staged")
    assert result["failed"] and result["msg"].startswith(f"cannot stage {releases}/{NAME}: ")
    assert message in result["msg"]
    assert not releases.exists() or [path.name for path in releases.iterdir() if path.is_dir()] == []


def test_what_an_interrupted_stage_left_is_cleared(run, venv, releases):
    venv("venv", offers=OFFERS, becomes="0.8.1")
    (releases / f".{NAME}.partial" / "bin").mkdir(parents=True)
    assert run("staged")["changed"]
    assert [path.name for path in releases.iterdir() if path.is_dir()] == [NAME]


def test_a_directory_that_holds_another_release(run, venv, releases):
    venv("venv")
    venv(f"releases/{NAME}", version="0.7.0")
    result = run("staged")
    assert result["failed"]
    assert f"it holds shakenfist 0.7.0, not 0.8.1: remove it with rm -r {releases}/{NAME}" in result["msg"]


@pytest.mark.parametrize("used", [
    "", "current/other", "releases/.previous", f"releases/{NAME}/.rolling-backup.json"])
def test_what_was_staged_before_a_dependency_was_fixed(run, venv, tmp_path, used):
    """Not of what is in use, or was migrated from: that cannot be staged anew."""
    venv("current/service")
    root = venv(f"releases/{NAME}", version="0.8.1")
    if used:
        (tmp_path / used).symlink_to(root)
    result = run("staged", path=str(tmp_path / "current/service"))
    assert not result["changed"] and result["outdated"] == ([] if used else ["flask (absent), not 3.0"])
    assert run("staged", path=str(tmp_path / "current/service"), lock=LOCK[:1])["outdated"] == []


def test_releases_on_another_file_system(tmp_path):
    release.check_file_system(str(tmp_path / "venv"), str(tmp_path))
    with pytest.raises(release.RollingError, match=r"another file system than .* \(cluster_releases\)"):
        release.check_file_system(str(tmp_path / "venv"), "/proc")


def test_releases_that_are_a_file(run, venv, releases):
    venv("venv")
    releases.write_text("a file is in the way")
    result = run("staged")
    assert result["failed"] and result["msg"].startswith("cannot stage ") and "exists" in result["msg"]


@pytest.mark.parametrize("words, message", [
    ("Input/output error", "cannot clone {tmp}/venv:\ncp: Input/output error"),
    ("error writing 'x': No space left on device",
     "MB: remove old releases, or make room:\ncp: error writing 'x': No space left on device"),
])
def test_a_clone_that_fails(run, venv, releases, tmp_path, monkeypatch, words, message):
    # Copies half of it, as on a full disk.
    (tmp_path / "commands").mkdir()
    cp = tmp_path / "commands" / "cp"
    cp.write_text(f'#!/bin/sh\nmkdir -p "$4/bin"\necho "cp: {words}" >&2\nexit 1\n')
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/commands:{os.environ['PATH']}")
    venv("venv")
    result = run("staged")
    assert result["failed"]
    assert result["msg"].endswith(message.format(tmp=tmp_path).replace("MB: r", "MB and then its upgrade: r"))
    assert list(releases.iterdir()) == []


def test_a_clone_that_fails_at_every_file(run, venv, tmp_path, monkeypatch):
    (tmp_path / "commands").mkdir()
    cp = tmp_path / "commands" / "cp"
    cp.write_text("#!/bin/sh\nseq --format 'cp: file %g: Input/output error' 2000 >&2\nexit 1\n")
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/commands:{os.environ['PATH']}")
    venv("venv")
    result = run("staged")
    assert result["msg"].endswith("cp: file 3: Input/output error\n(1997 more lines like these)")
    assert len(result["pip_output"].splitlines()) == 4


@pytest.mark.parametrize("free", ["disk", "two disks"])
@pytest.mark.parametrize("state, where", [("staged", "releases"), ("in_place", "")])
def test_a_full_disk(run, venv, tmp_path, monkeypatch, state, where, free):
    venv("venv", pip_fails="ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
    monkeypatch.setattr(release.tempfile, "gettempdir", lambda: "/proc" if free == "two disks" else str(tmp_path))
    result = run(state)
    assert result["failed"] and ": the disk is full: " in result["msg"]
    assert f" MB are free in {tmp_path / where}" in result["msg"]
    assert (" and 0 MB are free in /proc" in result["msg"]) == (free == "two disks")
    assert (f"a clone of {tmp_path}/venv needs 1 MB" in result["msg"]) == (state == "staged")
    assert result["msg"].endswith("[Errno 28] No space left on device")
    assert not where or list((tmp_path / where).iterdir()) == []


def test_a_disk_that_is_full_for_the_module_itself(run, venv, releases, monkeypatch):
    venv("venv")

    def mkdir(*dummy, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(release.os, "mkdir", mkdir)
    result = run("staged")
    assert ": the disk is full: " in result["msg"] and result["msg"].endswith("([Errno 28] No space left on device)")


@pytest.mark.parametrize("lock, message", [
    ([], "the lock holds shakenfist (not at all), not 0.8.1: resolve the release again"),
    ([dict(LOCK[0], version="0.8.0")], "the lock holds shakenfist 0.8.0, not 0.8.1: resolve the release again"),
    ([dict(LOCK[0], sha256="0a1b")], "the lock holds 'shakenfist' '0.8.1' with sha256 '0a1b', which cannot be"),
])
@pytest.mark.parametrize("state", ["staged", "in_place"])
def test_a_lock_that_is_not_of_the_release(run, venv, tmp_path, state, lock, message):
    venv("venv")
    result = run(state, lock=lock)
    assert result["failed"] and message in result["msg"]
    assert not (tmp_path / "pip.log").exists()


def test_two_that_stage_at_once(run, venv, releases, tmp_path, clock):
    """The second one waits, then finds it staged."""
    venv("venv", offers=OFFERS, becomes="0.8.1")
    releases.mkdir()
    first = os.open(_common.turn_of(releases), os.O_RDWR | os.O_CREAT)
    fcntl.flock(first, fcntl.LOCK_EX)

    def finish():
        assert not (releases / f".{NAME}.partial").exists()
        venv(f"releases/{NAME}", version="0.8.1")
        os.close(first)

    clock.meanwhile = [finish]
    result = run("staged")
    assert clock.naps and not result["failed"] and not result["changed"] and result["release"] == str(releases / NAME)
    assert not (tmp_path / "pip.log").exists()


def test_a_lock_that_is_never_freed(run, venv, releases, monkeypatch):
    monkeypatch.setattr(_release, "TURN_WITHIN", 0.3)
    venv("venv", offers=OFFERS, becomes="0.8.1")
    releases.mkdir()
    first = os.open(_common.turn_of(releases), os.O_RDWR | os.O_CREAT)
    fcntl.flock(first, fcntl.LOCK_EX)
    result = run("staged")
    os.close(first)
    assert result["failed"] and f"has been staging or pruning in {releases} for 0.3 s" in result["msg"]


def test_what_staging_runs_holds_the_lock(run, venv, releases, tmp_path, monkeypatch):
    """A cp or pip that outlives its module must not meet a second one in the same clone."""
    (tmp_path / "commands").mkdir()
    cp = tmp_path / "commands" / "cp"
    cp.write_text(f'#!/bin/sh\nreadlink /proc/$$/fd/* >"{tmp_path}/open"\nexec /bin/cp "$@"\n')
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/commands:{os.environ['PATH']}")
    venv("venv", offers=OFFERS, becomes="0.8.1")
    assert run("staged")["changed"]
    assert _common.turn_of(releases) in (tmp_path / "open").read_text().splitlines()


# ---- staging and upgrading with a real pip

@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    make_wheel(folder, "shakenfist", "0.8.0", ["flask>=1", "attrs"])
    make_wheel(folder, "shakenfist", "0.8.1", ["flask>=1", "attrs", "grpcio==1.5"])
    for name in ("flask-1.0", "flask-2.0", "attrs-1.0", "attrs-2.0", "grpcio-1.5"):
        make_wheel(folder, *name.split("-"))
    pip_environment(monkeypatch, folder)
    return folder


@pytest.fixture
def node(wheels, tmp_path):
    return lambda *more: real_venv(tmp_path / "venv", wheels, "shakenfist==0.8.0", "attrs==1.0", *more)


def packages_of(root):
    lines = run_pip(root, "list", "--format", "freeze").split()
    return [line for line in lines if not line.startswith("pip==")]


@pytest.mark.parametrize("state, where", [("staged", f"releases/{NAME}"), ("in_place", "venv")])
def test_what_is_installed_and_not_in_the_lock_stays(run, node, wheels, tmp_path, state, where):
    node("flask==1.0")
    result = run(state, lock=locked(wheels, "shakenfist-0.8.1", "grpcio-1.5"))
    assert not result["failed"] and result["changed"]
    assert sorted(package["name"] for package in result["packages"]) == ["grpcio", "shakenfist"]
    assert packages_of(tmp_path / where) == ["attrs==1.0", "flask==1.0", "grpcio==1.5", "shakenfist==0.8.1"]


@pytest.mark.parametrize("state, where", [("staged", f"releases/{NAME}"), ("in_place", "venv")])
def test_the_lock_decides(run, node, wheels, tmp_path, state, where):
    """Another version that is installed is replaced, a missing one comes, whatever newer is on offer."""
    node("flask==2.0")
    lock = locked(wheels, "shakenfist-0.8.1", "grpcio-1.5", "flask-1.0", "attrs-1.0")
    assert run(state, lock=lock)["changed"]
    assert packages_of(tmp_path / where) == ["attrs==1.0", "flask==1.0", "grpcio==1.5", "shakenfist==0.8.1"]
    assert not run(state, lock=lock)["changed"]


def test_from_a_wheelhouse(run, node, wheels, tmp_path, monkeypatch):
    node("flask==1.0")
    pip_environment(monkeypatch)
    result = run("staged", lock=locked(wheels, "shakenfist-0.8.1", "grpcio-1.5"), wheelhouse=str(wheels),
                 index_url="http://127.0.0.1:1/simple/")
    assert not result["failed"] and result["changed"]


def test_a_wheelhouse_that_is_not_there(run, venv, tmp_path):
    venv("venv")
    result = run("staged", wheelhouse=str(tmp_path / "nowhere"))
    assert result["failed"] and result["msg"].endswith(f": there is no wheelhouse {tmp_path}/nowhere: stage again")


@pytest.mark.parametrize("present, requires, lacks", [
    ("flask==1.0", "flask>=1", ""), ("flask==1.0", "flask==1.*,>=1", ""),
    ("flask==1.0", "flask>=2", "flask>=2"), ("attrs==1.0", "flask", "flask"),
    ("attrs==1.0", "flask; python_version < '3'", ""), ("attrs==1.0", "flask; extra == 'web'", ""),
])
def test_a_clone_has_what_the_release_requires(run, node, wheels, releases, tmp_path, present, requires, lacks):
    node(present)
    make_wheel(wheels, "shakenfist", "0.8.1", [requires])
    result = run("staged", lock=locked(wheels, "shakenfist-0.8.1"))
    assert result["failed"] is bool(lacks) and (releases / NAME).exists() is not bool(lacks)
    if lacks:
        assert f"this node needs {lacks}, which the release's lock does not have" in result["msg"]
        assert f"or into this one: {tmp_path}/venv/bin/python -m pip install '{lacks}'" in result["msg"]


def test_what_the_operating_system_calls_its_versions(run, node, wheels, tmp_path):
    root = node()
    site = next(root.glob("lib/python3*/site-packages"))
    (site / "odd-1.1build1.dist-info").mkdir()
    (site / "odd-1.1build1.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1.1build1\n")
    make_wheel(wheels, "shakenfist", "0.8.1", ["odd"])
    assert not run("staged", lock=locked(wheels, "shakenfist-0.8.1"))["failed"]


@pytest.mark.parametrize("state", ["staged", "in_place"])
@pytest.mark.parametrize("present, names, spoil, message", [
    (["flask==1.0"], ["shakenfist-0.8.1", "grpcio-1.5"], "other",
     "the wheel of shakenfist that this node was given is not the one that was resolved for the cluster (expected "
     "sha256 {expected}, got {got}): the index or a cache in between has changed or damaged it:\nERROR: THESE PACK"),
    ([], ["shakenfist-0.8.1", "grpcio-1.5"], None,
     "this node needs flask>=1, which the release's lock does not have: its virtualenv differs from the one that was "
     "resolved on another node; install it by hand into that one and resolve again, or into this one: "
     "{root}/bin/python -m pip install 'flask>=1'"),
    (["flask==1.0"], ["shakenfist-0.8.1"], None,
     "this node needs grpcio==1.5, which the release's lock does not have"),
    (["flask==1.0"], ["shakenfist-0.8.1", "grpcio-1.5"], "damaged",
     "the wheel of shakenfist that this node was given is damaged: look at the index and at a cache in between, or "
     "remove pip's own with {root}/bin/python -m pip cache purge:\n"),
    (["flask==1.0"], ["shakenfist-0.8.1", "grpcio-1.5"], "gone",
     "shakenfist==0.8.1 was resolved for the cluster, but this node does not find it where it looks: the index or the "
     "wheelhouse does not have it, or cannot be reached:\nERROR: Could not find a version that satisfies"),
    ([], ["shakenfist-0.8.1", "grpcio-1.5"], "no flask",
     "this node needs flask>=1, which the release's lock does not have"),
    (["flask==1.0"], ["shakenfist-0.8.1", "grpcio-1.5"], "another Python",
     "shakenfist needs Python >=3.99, this node has "),
])
def test_pips_failures(run, node, wheels, releases, tmp_path, state, present, names, spoil, message):
    root = node(*present)
    before = packages_of(root)
    wheel = wheels / "shakenfist-0.8.1-py3-none-any.whl"
    lock, got = locked(wheels, *names), ""
    if spoil == "other":
        got = make_wheel(wheels, "shakenfist", "0.8.1", ["grpcio==1.5"])
    elif spoil == "damaged":
        wheel.write_bytes(wheel.read_bytes()[:300])
        lock = locked(wheels, *names)
    elif spoil == "gone":
        wheel.unlink()
    elif spoil == "no flask":
        for path in wheels.glob("flask-*"):
            path.unlink()
    elif spoil == "another Python":
        make_wheel(wheels, "shakenfist", "0.8.1", ["grpcio==1.5"], python=">=3.99")
        lock = locked(wheels, *names)
    result = run(state, lock=lock)
    assert result["failed"]
    assert message.format(root=root, expected=lock[0]["sha256"], got=got) in result["msg"], result["msg"]
    assert packages_of(root) == before
    assert state == "in_place" or list(releases.iterdir()) == []


# ---- upgrading in place

def test_what_the_operating_system_added_to_a_version_is_no_difference(run, venv):
    root = venv("venv", version="0.8.1")
    (root / "distributions.json").write_text(json.dumps({"shakenfist": {"version": "0.8.1+debian1", "requires": []}}))
    assert not run("in_place", lock=LOCK[:1])["changed"]


def test_check_mode_upgrades_nothing(run, node, wheels):
    root = node("flask==1.0")
    before = packages_of(root)
    lock = locked(wheels, "shakenfist-0.8.1", "grpcio-1.5", "attrs-1.0")
    result = run("in_place", lock=lock, check=True)
    assert result["changed"] and result["release"] == str(root)
    assert result["diff"] == {"before": "shakenfist 0.8.0\ngrpcio (absent)\n",
                              "after": "shakenfist 0.8.1\ngrpcio 1.5\n"}
    assert packages_of(root) == before


def test_in_place_needs_neither_a_name_nor_releases(run_module, venv, tmp_path):
    root = venv("venv", version="0.8.1")
    result = run_module(release, state="in_place", path=f"{root}/", distribution="shakenfist", version="0.8.1",
                        lock=LOCK[:1])
    assert not result["failed"] and not result["changed"] and "packages" not in result
    assert not (tmp_path / "pip.log").exists()


@pytest.mark.parametrize("facts, message", [
    (dict(pip="21.0"), "has pip 21.0; 22.2 or later is needed"),
    (dict(offers=OFFERS, becomes="0.8.2"), "holds shakenfist 0.8.2 after pip, not 0.8.1"),
])
def test_in_place_fails(run, venv, tmp_path, facts, message):
    venv("venv", **facts)
    result = run("in_place")
    assert result["failed"] and message in result["msg"]
    assert result["msg"].startswith(f"cannot upgrade {tmp_path}/venv: ")


# ---- what a loss of power leaves

def test_what_is_staged_is_on_the_disk_before_it_has_its_name(run, venv, releases, monkeypatch):
    venv("venv", offers=OFFERS, becomes="0.8.1")
    done = []

    def note(*paths):
        done.append((paths, (releases / NAME).exists()))
    monkeypatch.setattr(release, "write_out", note)
    monkeypatch.setattr(release, "sync_directories", note)
    assert run("staged")["changed"]
    assert done == [((str(releases / f".{NAME}.partial"),), False), ((str(releases),), True)]


def test_what_is_upgraded_in_place_is_on_the_disk(run, venv, tmp_path, monkeypatch):
    root, done = venv("venv", offers=OFFERS, becomes="0.8.1"), []
    note = root / ".rolling-active.json"
    monkeypatch.setattr(release, "write_out", lambda path: done.append((path, note.exists())))
    assert run("in_place", lock=LOCK[:1], check=True)["changed"] and done == []
    assert run("in_place", lock=LOCK[:1])["changed"] and done == [(str(root), True)]


def test_the_links_of_an_activation_are_on_the_disk(run, venv, staged, releases, tmp_path, monkeypatch):
    (tmp_path / "venv").symlink_to(venv("releases/0.8.0-cc"))
    done = []
    monkeypatch.setattr(release, "sync_directories", lambda *paths: done.append(
        (paths, os.readlink(tmp_path / "venv"), os.path.lexists(releases / ".previous"))))
    assert run("active")["changed"] and not run("active")["changed"]
    assert done == [((str(tmp_path), str(releases)), str(staged), True)]


@pytest.mark.parametrize("code, error", [(0, None), (-1, OSError)])
def test_writing_out(tmp_path, monkeypatch, code, error):
    release.write_out(str(tmp_path))
    monkeypatch.setattr(release.ctypes, "CDLL", lambda *dummy, **more: SimpleNamespace(syncfs=lambda handle: code))
    with pytest.raises(error) if error else contextlib.nullcontext():
        release.write_out(str(tmp_path))


# ---- activating

@pytest.fixture
def staged(venv):
    return venv(f"releases/{NAME}", version="0.8.1")


@pytest.mark.parametrize("slash", ["", "/"])
def test_activate_swaps_the_link(run, venv, staged, releases, tmp_path, slash):
    old = venv("releases/0.8.0-cc")
    link = tmp_path / "venv"
    link.symlink_to(old)
    os.utime(link, (1000, 1000), follow_symlinks=False)
    release.mark(str(staged), dict(version="0.8.1", record=str(staged / "RECORD")), NAME)
    result = run("active", path=f"{link}{slash}")
    assert not result["failed"] and result["changed"] and not result["adopted"]
    assert (result["previous"], result["release"]) == (str(old), str(staged))
    assert result["diff"] == {"before": f"{link} -> {old}\n", "after": f"{link} -> {staged}\n"}
    assert os.readlink(link) == str(staged) and link.lstat().st_mtime > 1000
    note = json.loads((staged / _release.ACTIVATED).read_text())
    assert note["boot"] == _common.boot_id() and 0 <= time.monotonic() - note["monotonic"] < 60
    assert note["stamps"] == _release.stamps_of(link, staged / "RECORD")
    again = run("active")
    assert not again["changed"] and not again["adopted"] and again["previous"] == str(staged)


@pytest.mark.parametrize("swap", ["exchange", "two renames"])
def test_a_plain_directory_is_adopted(run, venv, staged, releases, tmp_path, monkeypatch, swap):
    if swap == "two renames":
        monkeypatch.setattr(release, "exchange", lambda *dummy: False)
    link = venv("venv")
    result = run("active")
    assert not result["failed"] and result["changed"] and result["adopted"]
    assert os.readlink(link) == str(staged)
    adopted = result["previous"]
    assert os.path.isdir(adopted) and not os.path.islink(adopted)
    assert os.path.basename(adopted).startswith("0.8.0-") and len(os.path.basename(adopted)) == len("0.8.0-12345678")
    assert sorted(path.name for path in releases.iterdir()) == sorted(
        [".previous", NAME, os.path.basename(adopted)])
    assert os.path.realpath(releases / ".previous") == adopted
    assert not run("active")["changed"]


def test_adoption_does_not_overwrite(venv, tmp_path):
    root = venv("venv")
    (tmp_path / "releases").mkdir()
    params = dict(releases=str(tmp_path / "releases"))
    probe = json.loads((root / "probe.json").read_text())
    first = release.free_name(params, probe)
    os.mkdir(first)
    assert release.free_name(params, probe) == f"{first}.2"
    # What an interrupted adoption has left takes no name away.
    os.symlink(f"{first}.2", f"{first}.2")
    assert release.free_name(params, probe) == f"{first}.2"
    # Not every installer writes a RECORD.
    assert release.free_name(params, dict(probe, record=None)) == f"{tmp_path}/releases/0.8.0-e3b0c442"


class FakeLibc:
    """A C library whose renameat2 fails in one way."""

    def __init__(self, code):
        def renameat2(*dummy):
            ctypes.set_errno(code)
            return -1
        if code:
            self.renameat2 = renameat2


@pytest.mark.parametrize("code, error", [
    (None, None), (errno.EINVAL, None), (errno.ENOSYS, None), (errno.EACCES, PermissionError), (errno.EXDEV, OSError),
])
def test_exchange_where_it_does_not_work(monkeypatch, code, error):
    monkeypatch.setattr(release.ctypes, "CDLL", lambda *dummy, **kwargs: FakeLibc(code))
    if error:
        with pytest.raises(error) as caught:
            release.exchange("/one", "/other")
        assert (caught.value.errno, caught.value.filename) == (code, "/one")
    else:
        assert release.exchange("/one", "/other") is False


def test_exchange(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("target")
    assert release.exchange(str(tmp_path / "link"), str(tmp_path / "folder"))
    assert (tmp_path / "link").is_dir() and os.readlink(tmp_path / "folder") == "target"
    with pytest.raises(FileNotFoundError):
        release.exchange(str(tmp_path / "absent"), str(tmp_path / "folder"))


def break_exchange(dummy, path):
    raise OSError(errno.EPERM, "not permitted", path)


def break_link(target, path, link=release.link):
    """The virtualenv's link cannot be made; .previous can."""
    if os.path.basename(path) == "venv":
        break_exchange(target, path)
    link(target, path)


@pytest.mark.parametrize("previous", [None, "0.7.0-dd"])
@pytest.mark.parametrize("broken", [
    {"exchange": break_exchange},
    {"exchange": lambda *dummy: False, "link": break_link},
])
def test_a_failed_adoption_leaves_the_virtualenv(run, venv, staged, releases, monkeypatch, broken, previous):
    for name, function in broken.items():
        monkeypatch.setattr(release, name, function)
    root = venv("venv")
    if previous:
        (releases / ".previous").symlink_to(releases / previous)
    result = run("active")
    assert result["failed"] and "not permitted" in result["msg"]
    assert root.is_dir() and not root.is_symlink() and (root / "bin" / "python").exists()
    assert sorted(path.name for path in releases.iterdir()) == [".previous"] * bool(previous) + [NAME]
    assert not previous or os.readlink(releases / ".previous") == str(releases / previous)


@pytest.mark.parametrize("previous", [None, "0.7.0-dd", NAME])
def test_a_failed_swap_leaves_what_to_go_back_to(run, venv, staged, releases, tmp_path, monkeypatch, previous):
    monkeypatch.setattr(release, "link", break_link)
    old = venv("releases/0.8.0-cc")
    (tmp_path / "venv").symlink_to(old)
    if previous:
        (releases / ".previous").symlink_to(releases / previous)
    assert run("active")["failed"]
    assert os.path.realpath(tmp_path / "venv") == str(old)
    assert os.path.lexists(releases / ".previous") == bool(previous)
    assert not previous or os.readlink(releases / ".previous") == str(releases / previous)


@pytest.mark.parametrize("plain", [True, False])
def test_check_mode_activates_nothing(run, venv, staged, tmp_path, plain):
    if plain:
        venv("venv")
    else:
        (tmp_path / "venv").symlink_to(venv("releases/0.8.0-cc"))
    before = os.path.realpath(tmp_path / "venv")
    result = run("active", check=True)
    assert result["changed"] and result["diff"]["after"] == f"{tmp_path}/venv -> {staged}\n"
    assert os.path.realpath(tmp_path / "venv") == before


def test_a_release_that_is_not_staged(run, venv):
    venv("venv")
    result = run("active")
    assert result["failed"] and result["msg"].endswith("to activate: stage it first")


def test_no_virtualenv(run, staged, tmp_path):
    result = run("active")
    assert result["failed"] and result["msg"].endswith(f"there is no virtualenv at {tmp_path}/venv")
    assert not (tmp_path / "venv").exists()


def test_a_leftover_link_is_replaced(tmp_path):
    (tmp_path / ".venv.new").symlink_to("nowhere")
    release.link("target", str(tmp_path / "venv"))
    assert os.readlink(tmp_path / "venv") == "target" and not os.path.lexists(tmp_path / ".venv.new")


# ---- arguments

@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../x"])
def test_names(run, name):
    result = run("staged", name=name)
    assert result["failed"] and result["msg"] == f"{name!r} cannot be the name of a release directory"


@pytest.mark.parametrize("state, missing", [
    ("staged", "name, releases, version, lock"), ("active", "name, releases"), ("in_place", "version, lock"),
])
def test_what_a_state_needs(run_module, state, missing):
    result = run_module(release, state=state, path="/a", distribution="shakenfist")
    assert result["failed"] and result["msg"].endswith(f"the following are missing: {missing}")
