# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.modules import prune

DIGEST = "-00000000"


def short(text):
    """Names of releases without their digests, which only make them ours."""
    return text.replace(DIGEST, "")


@pytest.fixture
def releases(tmp_path, monkeypatch):
    """Five releases, the first one the oldest, whatever the clock's resolution, and something that is none."""
    folder = tmp_path / "releases"
    folder.mkdir()
    for name in "abcde":
        (folder / (name + DIGEST) / "bin").mkdir(parents=True)
        (folder / (name + DIGEST) / "bin" / "python").write_text("")
    (folder / "a file").write_text("")
    monkeypatch.setattr(prune, "named_at", lambda path: ord(os.path.basename(path)[0]))
    return folder


@pytest.fixture
def again(run_module, releases, tmp_path):
    def run(**options):
        return json.loads(short(json.dumps(run_module(prune, path=str(tmp_path / "venv"), releases=str(releases),
                                                      **options))))
    return run


@pytest.fixture
def run(again, releases, tmp_path):
    def run(active="e", previous=None, **options):
        (tmp_path / "venv").symlink_to(releases / (active + DIGEST))
        if previous:
            (releases / ".previous").symlink_to(releases / (previous + DIGEST))
        return again(**options)
    return run


def left(releases):
    return "".join(sorted(short(path.name) for path in releases.iterdir() if path.is_dir() and not path.is_symlink()))


@pytest.mark.parametrize("options, kept", [
    (dict(), "de"),
    (dict(previous="d"), "de"),
    (dict(previous="a"), "ae"),
    (dict(active="a"), "ae"),
    (dict(active="a", previous="b", keep=1), "ab"),
    (dict(previous="a", keep=3), "ade"),
    (dict(keep=1), "e"),
    (dict(keep=9), "abcde"),
])
def test_prune(run, releases, options, kept):
    result = run(**options)
    assert not result["failed"]
    assert left(releases) == "".join(result["kept"]) == kept
    assert result["changed"] == (kept != "abcde") and set(result["removed"]) == set("abcde") - set(kept)
    assert result["diff"]["after"].split() == list(kept)
    assert (releases / "a file").exists()


def test_what_a_staging_has_left_is_removed(run, releases):
    (releases / ".0.8.1-0a1b2c3d.partial").mkdir()
    result = run(keep=9)
    assert result["removed"] == [".0.8.1-0a1b2c3d.partial"] and left(releases) == "abcde"


def test_check_mode(run, releases):
    assert run(check=True)["removed"] == ["a", "b", "c"] and left(releases) == "abcde"


def test_again(run, again):
    run()
    result = again()
    assert not result["changed"] and result["removed"] == []


def test_a_link_that_leads_nowhere(run, releases):
    result = run(active="nonesuch")
    assert result["failed"] and "nobody knows which release is in use" in result["msg"] and left(releases) == "abcde"


def test_no_releases(run_module, tmp_path):
    (tmp_path / "venv").mkdir()
    result = run_module(prune, path=str(tmp_path / "venv"), releases=str(tmp_path / "none"))
    assert not result["failed"] and not result["changed"] and result["kept"] == []


def test_a_plain_virtualenv(again, releases, tmp_path):
    (tmp_path / "venv").mkdir()
    assert again()["kept"] == ["d", "e"]


def test_it_cannot_be_removed(run, monkeypatch):
    def refuse(path):
        raise OSError(30, "Read-only file system", path)
    monkeypatch.setattr(prune.os, "rename", lambda dummy, path: refuse(path))
    assert "Read-only file system" in run()["msg"]


def test_an_interruption_leaves_no_half_release(run, again, releases, monkeypatch):
    def stop(*dummy, **more):
        raise OSError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(prune.shutil, "rmtree", stop)
        assert run(keep=4)["failed"]
    assert left(releases) == "abcde"
    with monkeypatch.context() as patch:
        def stop(path, ignore_errors=False):
            if not ignore_errors:
                raise OSError("stopped")
        patch.setattr(prune.shutil, "rmtree", stop)
        assert again(keep=4)["failed"]
    assert sorted(short(path.name) for path in releases.iterdir() if path.is_dir()) == [".a.partial", *"bcde"]
    assert again(keep=4)["removed"] == [".a.partial"]
    assert left(releases) == "bcde"


def test_what_is_no_release_is_left_alone(run, releases):
    (releases / "backups-0a1b2c3d").mkdir()
    (releases / "theirs" / "bin").mkdir(parents=True)
    (releases / "theirs" / "bin" / "python").write_text("")
    assert run(keep=1)["removed"] == ["a", "b", "c", "d"]
    assert left(releases) == "backups-0a1b2c3detheirs"


@pytest.mark.parametrize("check", [False, True])
def test_what_a_process_runs_from_is_kept(run, releases, monkeypatch, check):
    warned = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda dummy, text: warned.append(text))
    monkeypatch.setattr(prune, "processes", lambda: [
        ("sf-net (4711)", f"{releases}/b{DIGEST}/lib/x.so\n"), ("sf-api (2)", f"{releases}/e{DIGEST}/bin/python\n"),
        ("sh (3)", f"{releases}/a{DIGEST}\0{releases}/a{DIGEST}.old/x\n")])
    result = run(check=check)
    assert result["kept"] == ["b", "d", "e"] and result["removed"] == ["a", "c"]
    assert result["held"] == dict(b=["sf-net (4711)"])
    assert list(map(short, warned)) == [f"b in {releases} is kept: sf-net (4711) still runs from it. Restart that, the "
                                        "next run removes it"]
    assert left(releases) == ("abcde" if check else "bde")


def test_the_processes(tmp_path):
    """Of a real one: what runs from the directory is found by its command line, or by what it has mapped."""
    program = tmp_path / "0.8.0-00000000" / "bin" / "sleep"
    program.parent.mkdir(parents=True)
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen(["renamed", "60"], executable=program) as process:
        try:
            limit = time.monotonic() + 10
            while not (found := prune.holders({"old": str(program.parents[1])})) and time.monotonic() < limit:
                time.sleep(0.01)
        finally:
            process.kill()
    assert found == {"old": [f"sleep ({process.pid})"]}
    assert prune.holders({}) == {}


def test_a_process_that_has_ended(monkeypatch):
    monkeypatch.setattr(prune.glob, "glob", lambda pattern: ["/proc/0"])
    assert list(prune.processes()) == []


def test_keep_nothing(run):
    assert "keep must be 1 or more" in run(keep=0)["msg"]
