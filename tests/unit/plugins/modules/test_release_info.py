# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _release, _systemd
from ansible_collections.shakenfist.rolling.plugins.modules import release_info


@pytest.fixture
def look(run_module, tmp_path):
    return lambda **arguments: run_module(release_info, **dict(dict(
        path=str(tmp_path / "venv"), releases=str(tmp_path / "releases"), distribution="shakenfist",
        commands=["sf-ctl"]), **arguments))


@pytest.mark.parametrize("check", [False, True])
def test_a_plain_virtualenv(look, venv, check):
    root = venv("venv")
    os.utime(root / "RECORD", (1000, 1000))
    result = look(check=check)
    assert not result["changed"] and result["problem"] == "" and result["staged"] == []
    assert result["active"] == {"path": str(root), "name": None, "version": "0.8.0", "since": 1000.0, "ahead": 0,
                                "python": "3.11.2", "platform": "linux-x86_64", "pip": "23.0.1", "contents": "",
                                "rewritten": False, "outside": ""}
    assert result["rewritten"] == {} and result["deployer"] == ""


@pytest.mark.parametrize("linked, installed, since, slash", [
    (2000, 1000, 2000.0, ""), (1000, 2000, 2000.0, ""), (2000, 1000, 2000.0, "/"),
])
def test_a_link(look, venv, tmp_path, linked, installed, since, slash):
    root = venv("releases/0.8.1-aa", version="0.8.1")
    (tmp_path / "releases" / ".0.8.2-bb.partial").mkdir()
    (tmp_path / "releases" / "0.8.0-cc").mkdir()
    (tmp_path / "releases" / "notes.txt").write_text("no release")
    (tmp_path / "venv").symlink_to(root)
    os.utime(tmp_path / "venv", (linked, linked), follow_symlinks=False)
    os.utime(root / "RECORD", (installed, installed))
    result = look(path=f"{tmp_path}/venv{slash}")
    assert result["staged"] == ["0.8.0-cc", "0.8.1-aa"] and result["builds"] == {"0.8.0-cc": "", "0.8.1-aa": ""}
    assert (result["active"]["name"], result["active"]["version"], result["active"]["since"]) == (
        "0.8.1-aa", "0.8.1", since)


def test_a_clock_that_was_set_back(look, venv, tmp_path):
    """What was activated by this collection knows it by the time since the boot."""
    root = venv("releases/0.8.1-aa", version="0.8.1")
    (tmp_path / "venv").symlink_to(root)
    path, record, ahead = str(tmp_path / "venv"), str(root / "RECORD"), time.time() + 3600
    os.utime(path, (ahead, ahead), follow_symlinks=False)
    active = look()["active"]
    assert active["since"] == pytest.approx(ahead) and 3590 <= active["ahead"] <= 3600
    _release.note_activation(path, record)
    activated = time.time()
    started = _systemd.started(dict(ExecMainStartTimestampMonotonic=str(int((time.monotonic() + 0.01) * 1e6))))
    active = look()["active"]
    assert active["since"] == pytest.approx(activated, abs=1) and active["ahead"] == 0 and active["since"] < started


def test_a_clock_that_was_set_ahead(look, venv, tmp_path):
    """Daemons from before the activation do not look new because of it."""
    root = venv("releases/0.8.1-aa", version="0.8.1")
    (tmp_path / "venv").symlink_to(root)
    path = str(tmp_path / "venv")
    for each in (path, str(root / "RECORD")):
        os.utime(each, (1000, 1000), follow_symlinks=False)
    started = _systemd.started(dict(ExecMainStartTimestampMonotonic=str(int((time.monotonic() - 5) * 1e6))))
    assert look()["active"]["since"] < started
    _release.note_activation(path, str(root / "RECORD"))
    assert look()["active"]["since"] > started


@pytest.mark.parametrize("place, outside", [("releases", ""), ("theirs", "theirs")])
def test_a_link_that_leads_elsewhere(look, venv, tmp_path, place, outside):
    (tmp_path / "releases").mkdir(exist_ok=True)
    (tmp_path / "venv").symlink_to(venv(f"{place}/0.8.0-aa"))
    assert look()["active"]["outside"] == (str(tmp_path / outside) if outside else "")


def test_without_a_record(look, venv):
    root = venv("venv")
    probe = json.loads((root / "probe.json").read_text())
    (root / "probe.json").write_text(json.dumps(dict(probe, record=None)))
    assert look()["active"]["since"] == 0.0


def test_no_virtualenv(look, tmp_path):
    result = look()
    assert not result["failed"] and result["active"] == {}
    assert result["problem"] == f"there is no virtualenv at {tmp_path}/venv"


def test_no_python(look, venv):
    (venv("venv") / "bin" / "python").unlink()
    assert "is missing or does not run" in look()["problem"]


def test_a_missing_command(look, venv):
    root = venv("venv")
    result = look(commands=["sf-ctl", "sf-api", "sf-net"])
    assert result["problem"] == f"sf-api, sf-net missing in {root}/bin"
    assert result["active"]["version"] == "0.8.0"


@pytest.mark.parametrize("there", [True, False])
def test_another_installer(look, venv, tmp_path, there):
    venv("venv")
    mark = tmp_path / ".deployed-code.sha256"
    if there:
        mark.write_text("0a1b2c3d\n")
    assert look(deployer_mark=str(mark))["deployer"] == (str(mark) if there else "")


def test_release_directories_only(look, venv, tmp_path):
    """Neither links, nor what is not complete, nor one whose Python does not run are of another name."""
    venv("venv")
    venv("releases/0.8.1-0a1b2c3d", version="0.8.2")
    venv("releases/0.8.3-0a1b2c3d", version="0.8.2")
    (tmp_path / "releases" / "0.8.3-0a1b2c3d" / "bin" / "python").unlink()
    (tmp_path / "releases" / "0.8.4-0a1b2c3d").symlink_to("0.8.1-0a1b2c3d")
    result = look()
    assert result["rewritten"] == {"0.8.1-0a1b2c3d": "0.8.2"} and result["staged"] == ["0.8.3-0a1b2c3d"]


def test_further_links(look, venv, tmp_path):
    root = venv("releases/0.8.0-aa")
    links = tmp_path / "current"
    links.mkdir()
    mine = venv("releases/2023.2", version="0.7.5")
    (links / "sf-api").symlink_to(root)
    (links / "sf-mine").symlink_to(mine)
    (links / "sf-net").symlink_to("sf-api")
    (links / "sf-gone").symlink_to(tmp_path / "releases" / "0.7.0-bb")
    (links / "sf-plain").mkdir()
    names = ["sf-api", "sf-api/", "sf-net", "sf-mine", "sf-gone", "sf-plain", "sf-none"]
    result = look(path=str(links / "sf-api"), links=[f"{links}/{name}" for name in names])
    assert result["active"]["name"] == "0.8.0-aa"
    assert result["links"] == {f"{links}/{name}": {"path": path, "version": version} for name, path, version in zip(
        names, [str(root), str(root), str(root), str(mine), f"{tmp_path}/releases/0.7.0-bb", "", ""],
        ["0.8.0", "0.8.0", "0.8.0", "0.7.5", "", "", ""])}
    assert look()["links"] == {}
