# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry
from ansible_collections.shakenfist.rolling.tests.unit.wheels import (
    locked,
    make_wheel,
    pip_environment,
    real_venv,
    run_pip,
)

NAME = "0.8.1-0a1b2c3d"
LOCK = [dict(name="shakenfist", version="0.8.1", sha256="0a1b2c3d" * 8)]
OFFERS = [entry("shakenfist", "0.8.1", "0a1b2c3d" * 8)]
UNFIT = {"no-deps": "true", "user": "true", "target": "/nowhere", "prefix": "/nowhere", "root": "/nowhere",
         "constraint": "/nowhere/constraints.txt", "requirement": "/nowhere/r.txt", "dry-run": "true", "quiet": "3",
         "no-binary": ":all:", "global-option": "--verbose", "build-option": "--verbose"}


@pytest.fixture
def run(run_release):
    return run_release


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    make_wheel(folder, "shakenfist", "0.8.0")
    make_wheel(folder, "shakenfist", "0.8.1", ["grpcio==1.5"])
    make_wheel(folder, "grpcio", "1.5")
    pip_environment(monkeypatch, folder)
    real_venv(tmp_path / "venv", folder, "shakenfist==0.8.0")
    return folder


@pytest.mark.parametrize("state, where, by", [
    ("staged", f"releases/{NAME}", "file"), ("in_place", "venv", "environment")])
def test_settings_of_pip_that_do_not_count(run, wheels, tmp_path, monkeypatch, state, where, by):
    with monkeypatch.context() as patch:
        if by == "environment":
            for setting, value in UNFIT.items():
                patch.setenv(f"PIP_{setting.upper().replace('-', '_')}", value)
        else:
            patch.delenv("PIP_FIND_LINKS")
            lines = "".join(f"{setting} = {value}\n" for setting, value in UNFIT.items())
            (tmp_path / "pip.conf").write_text(f"[global]\nfind-links =\n  {tmp_path}\n  {wheels}\n[install]\n{lines}")
            patch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        result = run(state, lock=locked(wheels, "shakenfist-0.8.1", "grpcio-1.5"))
        assert not result["failed"], result["msg"]
    found = run_pip(tmp_path / where, "list", "--format", "freeze").split()
    assert [one for one in found if not one.startswith("pip==")] == ["grpcio==1.5", "shakenfist==0.8.1"]


def test_a_plugins_pin_that_the_release_breaks(run, wheels, tmp_path):
    """What did not fit together before is not news."""
    make_wheel(wheels, "grpcio", "1.4")
    make_wheel(wheels, "plugin", "1.0", ["grpcio<1.5"])
    make_wheel(wheels, "odd", "1.0", ["nothing"])
    run_pip(tmp_path / "venv", "install", "--no-deps", "grpcio==1.4", "plugin", "odd")
    lock = locked(wheels, "shakenfist-0.8.1", "grpcio-1.5")
    result = run("staged", lock=lock, conflicts="fail")
    assert result["failed"] and not (tmp_path / "releases").exists()
    words = "plugin 1.0 requires grpcio<1.5, and the release brings 1.5."
    assert f"installed packages would no longer fit together: {words} Upgrade these" in result["msg"]
    assert run("staged", lock=lock)["conflicts"] == [words]
    again = run("staged", lock=lock)
    assert not again["changed"] and again["conflicts"] == [words]
    assert run("staged", lock=lock, conflicts="fail")["failed"]


def test_a_release_has_its_modes_whatever_the_umask(run, wheels, tmp_path):
    before = os.umask(0o077)
    try:
        assert not run("staged", lock=locked(wheels, "shakenfist-0.8.1", "grpcio-1.5"))["failed"]
        assert not run("active")["failed"]
    finally:
        os.umask(before)
    found = [path for path in (tmp_path / "releases").rglob("*")
             if not path.is_symlink() and path.stat().st_mode & 0o004 == 0 and not path.name.startswith(".rolling")]
    assert found == [] and (tmp_path / "releases").stat().st_mode & 0o005 == 0o005


def test_settings_of_pip_that_cannot_be_read(run, wheels, tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text("no-deps\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    result = run("staged", lock=locked(wheels, "shakenfist-0.8.1", "grpcio-1.5"))
    assert result["failed"] and f"{tmp_path}/pip.conf" in result["msg"]
    assert ("pip cannot read its settings on this node: correct them, or remove the file that it names:\n"
            in result["msg"])


def test_two_that_upgrade_at_once(run, venv, tmp_path, clock):
    """The pip of one who was cut off goes on, and has the lock; what it has installed is not installed again."""
    root = venv("venv", offers=OFFERS, becomes="0.8.1")
    first = os.open(_common.turn_of(root), os.O_RDWR | os.O_CREAT)
    fcntl.flock(first, fcntl.LOCK_EX)

    def finish():
        (root / "distributions.json").write_text(json.dumps({"shakenfist": {"version": "0.8.1", "requires": []}}))
        os.close(first)
    clock.meanwhile = [finish]
    assert not run("in_place", lock=LOCK[:1])["changed"]
    assert not (tmp_path / "pip.log").exists()


def test_what_upgrades_in_place_holds_the_lock(run, venv, tmp_path, monkeypatch):
    """Should the module be killed, its pip still holds it while it goes on."""
    root = venv("venv", offers=OFFERS, becomes="0.8.1")
    python = root / "bin" / "python"
    python.write_text(python.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nfor one in /proc/$$/fd/*; do readlink $one;"
                                                 f" done >>{tmp_path}/open\n"))
    assert run("in_place", lock=LOCK[:1])["changed"]
    assert _common.turn_of(root) in (tmp_path / "open").read_text().splitlines()
