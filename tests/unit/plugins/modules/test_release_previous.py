# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Where a node could go back to.

from __future__ import annotations

import os

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import release, release_info


@pytest.fixture
def previous(tmp_path):
    return lambda: os.path.basename(os.path.realpath(tmp_path / "releases" / ".previous"))


@pytest.fixture
def activate(run_module, tmp_path, venv):
    """A node that runs release C(one), and has C(two) and C(three)."""
    for name in ("one", "two", "three"):
        venv(f"releases/{name}")
    (tmp_path / "venv").symlink_to(tmp_path / "releases" / "one")
    return lambda name, **more: run_module(
        release, name=name, state="active", path=str(tmp_path / "venv"), releases=str(tmp_path / "releases"),
        distribution="shakenfist", **more)


def test_forwards_and_back(activate, previous, tmp_path):
    assert activate("two")["changed"] and previous() == "one"
    assert not activate("two")["changed"] and previous() == "one"
    assert activate("three")["changed"] and previous() == "two"
    assert activate("two")["changed"] and not os.path.lexists(tmp_path / "releases" / ".previous")
    assert activate("three")["changed"] and previous() == "two"


def test_check_mode(activate, tmp_path):
    assert activate("two", check=True)["changed"]
    assert not os.path.lexists(tmp_path / "releases" / ".previous")


@pytest.fixture
def look(run_module, tmp_path):
    return lambda: run_module(release_info, path=str(tmp_path / "venv"), releases=str(tmp_path / "releases"),
                              distribution="shakenfist")["previous"]


def test_it_is_told(activate, look, tmp_path):
    assert look() == {}
    activate("two")
    assert look() == dict(path=str(tmp_path / "releases" / "one"), name="one", version="0.8.0", contents="")


@pytest.mark.parametrize("target", ["two", "nonesuch", "broken"])
def test_one_that_is_of_no_use_is_not_told(activate, look, tmp_path, target):
    activate("two")
    (tmp_path / "releases" / "broken").mkdir()
    (tmp_path / "releases" / ".previous").unlink()
    (tmp_path / "releases" / ".previous").symlink_to(tmp_path / "releases" / target)
    assert look() == {}


@pytest.mark.parametrize("names", [[], [".rolling-schema.json"]])
def test_what_is_recorded_of_another_release_is_forgotten(tmp_path, names):
    for name in [*names, "plugin"]:
        (tmp_path / name).write_text("{}")
    release.forget(str(tmp_path))
    assert os.listdir(tmp_path) == ["plugin"]
