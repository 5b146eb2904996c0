# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import release
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry

SHA = "0a1b2c3d" * 8
NAME = "0.8.1-0a1b2c3d"
OFFERS = [entry("shakenfist", "0.8.1", SHA)]


@pytest.fixture
def run(run_module, tmp_path):
    """Run the module for the virtualenv and the releases of the test."""
    return lambda state, **arguments: run_module(release, **dict(dict(
        name=NAME, state=state, path=str(tmp_path / "venv"), releases=str(tmp_path / "releases"),
        distribution="shakenfist", version="0.8.1", sha256=SHA), **arguments))


@pytest.fixture
def releases(tmp_path):
    return tmp_path / "releases"


# ---- staging

def test_stage(run, venv, releases, tmp_path):
    active = venv("venv", offers=OFFERS, becomes="0.8.1")
    (active / "plugin").write_text("an operator's own")
    result = run("staged", constraints=["flask==3.0"], packages=["extra"], extra_args=["--pre"],
                 index_url="http://me:hunter2@db/simple/")
    staged = releases / NAME
    assert not result["failed"] and result["changed"] and result["release"] == str(staged)
    assert result["packages"] == [{"name": "shakenfist", "version": "0.8.1", "sha256": SHA}]
    assert result["diff"]["after"] == f"{staged}: shakenfist 0.8.1\n"
    assert (staged / "plugin").exists()
    assert [path.name for path in releases.iterdir()] == [NAME]
    command, index = (tmp_path / "pip.log").read_text().splitlines()
    assert "--pre --upgrade --constraint" in command and command.endswith("shakenfist==0.8.1 extra")
    assert index == "index=http://me:hunter2@db/simple/"


def test_scripts_of_a_clone_point_to_where_it_will_run(run, venv, releases, tmp_path):
    venv("venv", offers=OFFERS, becomes="0.8.1")
    run("staged")
    first, dummy, third = (releases / NAME / "bin" / "sf-ctl").read_text().splitlines()
    assert first == f"#!{tmp_path}/venv/bin/python"
    assert ".partial" in third, "only the first lines are about the interpreter"


@pytest.mark.parametrize("content, expected", [
    (b"#!/old/bin/python\n\nx = '/old'\n", b"#!/new/bin/python\n\nx = '/old'\n"),
    (b"#!/bin/sh\n'''exec' /old/bin/python \"$0\" \"$@\"\n' '''\n",
     b"#!/bin/sh\n'''exec' /new/bin/python \"$0\" \"$@\"\n' '''\n"),
    (b"#!/usr/bin/env python\n", b"#!/usr/bin/env python\n"),
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
    (dict(offers=[entry("shakenfist", "0.8.1", "bad")], becomes="0.8.1"),
     f"was given has sha256 bad, resolved for the cluster was {SHA}"),
    (dict(offers=OFFERS, becomes="0.8.2"), "the clone holds shakenfist 0.8.2, not 0.8.1"),
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


def test_releases_on_another_file_system(tmp_path):
    release.check_file_system(str(tmp_path / "venv"), str(tmp_path))
    with pytest.raises(release.RollingError, match=r"another file system than .* \(cluster_releases\)"):
        release.check_file_system(str(tmp_path / "venv"), "/proc")


def test_releases_that_are_a_file(run, venv, releases):
    venv("venv")
    releases.write_text("a file is in the way")
    result = run("staged")
    assert result["failed"] and result["msg"].startswith("cannot stage ") and "exists" in result["msg"]


def test_a_clone_that_fails(run, venv, releases, tmp_path, monkeypatch):
    # Copies half of it, as on a full disk.
    (tmp_path / "commands").mkdir()
    cp = tmp_path / "commands" / "cp"
    cp.write_text('#!/bin/sh\nmkdir -p "$4/bin"\necho "cp: no space left on device" >&2\nexit 1\n')
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/commands:{os.environ['PATH']}")
    venv("venv")
    result = run("staged")
    assert result["failed"]
    assert result["msg"].endswith(f"cannot clone {tmp_path}/venv:\ncp: no space left on device")
    assert list(releases.iterdir()) == []


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
    result = run("active", path=f"{link}{slash}")
    assert not result["failed"] and result["changed"] and not result["adopted"]
    assert (result["previous"], result["release"]) == (str(old), str(staged))
    assert result["diff"] == {"before": f"{link} -> {old}\n", "after": f"{link} -> {staged}\n"}
    assert os.readlink(link) == str(staged) and link.lstat().st_mtime > 1000
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
    params = dict(path=str(root), releases=str(tmp_path / "releases"), distribution="shakenfist")

    def run(command):
        return 0, subprocess.run(command, capture_output=True, text=True, check=True).stdout, ""

    first = release.free_name(run, params)
    os.mkdir(first)
    assert release.free_name(run, params) == f"{first}.2"
    # Not every installer writes a RECORD.
    probe = json.loads((root / "probe.json").read_text())
    (root / "probe.json").write_text(json.dumps(dict(probe, record=None)))
    assert release.free_name(run, params) == f"{tmp_path}/releases/0.8.0-e3b0c442"


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


@pytest.mark.parametrize("broken", [
    {"exchange": break_exchange},
    {"exchange": lambda *dummy: False, "link": break_exchange},
])
def test_a_failed_adoption_leaves_the_virtualenv(run, venv, staged, releases, monkeypatch, broken):
    for name, function in broken.items():
        monkeypatch.setattr(release, name, function)
    root = venv("venv")
    result = run("active")
    assert result["failed"] and "not permitted" in result["msg"]
    assert root.is_dir() and not root.is_symlink() and (root / "bin" / "python").exists()
    assert [path.name for path in releases.iterdir()] == [NAME]


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


def test_staging_needs_an_exact_version(run_module, tmp_path):
    result = run_module(release, name=NAME, state="staged", path="/a", releases="/b", distribution="shakenfist")
    assert result["failed"] and "version, sha256" in result["msg"]
