# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
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
    assert result["active"] == {"path": str(root), "name": None, "version": "0.8.0", "since": 1000.0,
                                "python": "3.11.2", "platform": "linux-x86_64", "pip": "23.0.1"}


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
    assert result["staged"] == ["0.8.0-cc", "0.8.1-aa"]
    assert (result["active"]["name"], result["active"]["version"], result["active"]["since"]) == (
        "0.8.1-aa", "0.8.1", since)


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
