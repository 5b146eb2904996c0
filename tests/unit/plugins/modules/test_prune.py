# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import prune


@pytest.fixture
def releases(tmp_path, monkeypatch):
    """Five releases, the first one the oldest, whatever the clock's resolution, and something that is none."""
    folder = tmp_path / "releases"
    folder.mkdir()
    for name in "abcde":
        (folder / name / "bin").mkdir(parents=True)
        (folder / name / "bin" / "python").write_text("")
    (folder / "a file").write_text("")
    monkeypatch.setattr(prune, "named_at", lambda path: ord(os.path.basename(path)))
    return folder


@pytest.fixture
def run(run_module, releases, tmp_path):
    def run(active="e", previous=None, **options):
        (tmp_path / "venv").symlink_to(releases / active)
        if previous:
            (releases / ".previous").symlink_to(releases / previous)
        return run_module(prune, path=str(tmp_path / "venv"), releases=str(releases), **options)
    return run


def left(releases):
    return "".join(sorted(path.name for path in releases.iterdir() if path.is_dir() and not path.is_symlink()))


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


def test_again(run, run_module, releases, tmp_path):
    run()
    result = run_module(prune, path=str(tmp_path / "venv"), releases=str(releases))
    assert not result["changed"] and result["removed"] == []


def test_a_link_that_leads_nowhere(run, releases):
    result = run(active="nonesuch")
    assert result["failed"] and "nobody knows which release is in use" in result["msg"] and left(releases) == "abcde"


def test_no_releases(run_module, tmp_path):
    (tmp_path / "venv").mkdir()
    result = run_module(prune, path=str(tmp_path / "venv"), releases=str(tmp_path / "none"))
    assert not result["failed"] and not result["changed"] and result["kept"] == []


def test_a_plain_virtualenv(run_module, releases, tmp_path):
    (tmp_path / "venv").mkdir()
    assert run_module(prune, path=str(tmp_path / "venv"), releases=str(releases))["kept"] == ["d", "e"]


def test_it_cannot_be_removed(run, monkeypatch):
    def refuse(path):
        raise OSError(30, "Read-only file system", path)
    monkeypatch.setattr(prune.os, "rename", lambda dummy, path: refuse(path))
    assert "Read-only file system" in run()["msg"]


def test_an_interruption_leaves_no_half_release(run, run_module, releases, tmp_path, monkeypatch):
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
        arguments = dict(path=str(tmp_path / "venv"), releases=str(releases), keep=4)
        assert run_module(prune, **arguments)["failed"]
    assert sorted(path.name for path in releases.iterdir() if path.is_dir()) == [".a.partial", *"bcde"]
    assert run_module(prune, **arguments)["removed"] == [".a.partial"]
    assert left(releases) == "bcde"


def test_what_is_no_release_is_left_alone(run, releases):
    (releases / "backups").mkdir()
    assert run(keep=1)["removed"] == ["a", "b", "c", "d"]
    assert left(releases) == "backupse"


def test_keep_nothing(run):
    assert "keep must be 1 or more" in run(keep=0)["msg"]
