# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._source import brief, choose, public
from ansible_collections.shakenfist.rolling.tests.unit.wheels import make_wheel

DEV = "0.8.1.dev3+gabc1234"
ANY = "-py3-none-any.whl"


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    make_wheel(folder, "flask", "3.0")
    return folder


def offer(folder, *versions):
    for version in versions:
        make_wheel(folder, "shakenfist", version)
    return folder


@pytest.mark.parametrize("versions, wanted, expected", [
    ([DEV], "", DEV),
    (["0.8.0", DEV, "0.8.1.dev2+gfff"], "", DEV),
    (["0.8.0", "0.8.1rc1", DEV], "", "0.8.1rc1"),
    (["0.8.9", "0.8.10"], "", "0.8.10"),
    (["0.8.0", DEV], "0.8.0", "0.8.0"),
    (["0.8.0", DEV], DEV, DEV),
    (["0.8.0", DEV], "0.8.1.dev3", DEV),
    (["0.8.1.dev3+gaaa", DEV], DEV, DEV),
    (["0.8.1.dev3", DEV], "0.8.1.dev3", "0.8.1.dev3"),
    (["0.8.1"], "0.8.1.0", "0.8.1"),
])
def test_which_release(wheels, versions, wanted, expected):
    chosen = choose([str(offer(wheels, *versions))], "shakenfist", wanted)
    assert chosen["version"] == expected and chosen["candidates"] == [f"shakenfist-{expected}{ANY}"]
    # Of the other releases none goes along.
    assert sorted(chosen["files"]) == [f"flask-3.0{ANY}", f"shakenfist-{expected}{ANY}"]
    assert chosen["files"][f"flask-3.0{ANY}"] == str(wheels / f"flask-3.0{ANY}")


@pytest.mark.parametrize("versions, wanted, message", [
    ([DEV], "0.8.1", f"stage_source has shakenfist {DEV.replace('+', '[+]')}, which is a build on the way to 0.8.1, "
                     "not 0.8.1 "
                     f"itself: .*-e rolling_release={DEV.replace('+', '[+]')}, or leave rolling_release out"),
    (["0.8.1rc1"], "0.8.1", "which is a build on the way to 0.8.1"),
    (["0.8.0"], "0.8.1", "stage_source has no shakenfist 0.8.1, only 0.8.0: correct rolling_release"),
    (["0.8.1.dev3+gaaa", DEV], "", "several builds of shakenfist 0.8.1.dev3 .*of which none is newer: name one with"),
    (["0.8.1.dev3+gaaa", DEV], "0.8.1.dev3", "several builds of shakenfist 0.8.1.dev3 .*name one with"),
    ([], "", "stage_source has no wheel of shakenfist, only flask-3.0-py3-none-any.whl: build one from a checkout"),
])
def test_which_is_not_clear(wheels, versions, wanted, message):
    with pytest.raises(RollingError, match=message):
        choose([str(offer(wheels, *versions))], "shakenfist", wanted)


def test_one_file_for_each_platform(wheels):
    offer(wheels, "0.8.1")
    (wheels / f"shakenfist-0.8.1{ANY}").rename(wheels / "shakenfist-0.8.1-cp311-cp311-linux_x86_64.whl")
    offer(wheels, "0.8.1")
    assert choose([str(wheels)], "shakenfist", "")["candidates"] == [
        "shakenfist-0.8.1-cp311-cp311-linux_x86_64.whl", f"shakenfist-0.8.1{ANY}"]


def test_files_and_directories(wheels, tmp_path, monkeypatch):
    other = offer(tmp_path / "other", "0.8.1")
    (other / "odd-1.0.tar.gz").write_bytes(b"an sdist")
    (other / "notes.txt").write_text("not shipped")
    chosen = choose([str(wheels / f"flask-3.0{ANY}"), str(other)], "shakenfist", "")
    assert sorted(chosen["files"]) == [f"flask-3.0{ANY}", "odd-1.0.tar.gz", f"shakenfist-0.8.1{ANY}"]
    monkeypatch.chdir(other)
    assert choose([f"shakenfist-0.8.1{ANY}"], "Shakenfist", "")["files"] == {
        f"shakenfist-0.8.1{ANY}": str(other / f"shakenfist-0.8.1{ANY}")}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose(["~/other"], "shakenfist", "0.8.1")["version"] == "0.8.1"


def test_the_same_wheel_twice(wheels, tmp_path):
    offer(wheels, "0.8.1")
    other = offer(tmp_path / "other", "0.8.1")
    assert choose([str(wheels), str(other)], "shakenfist", "")["version"] == "0.8.1"
    make_wheel(other, "shakenfist", "0.8.1", body="X = 1\n")
    with pytest.raises(RollingError, match="two wheels of the same name that differ"):
        choose([str(wheels), str(other)], "shakenfist", "")


@pytest.mark.parametrize("name, message", [
    ("nowhere", "there is no .*/nowhere on this machine: stage_source names wheels, or a directory of wheels, on the"),
    ("empty", "there is no wheel in the directory .*/empty on this machine"),
    ("sdist-1.0.tar.gz", "is no wheel, its name does not end in .whl: build one from it"),
    ("renamed.whl", "does not have the name of a wheel"),
    (f"shakenfist-0.9.0{ANY}", "says of itself that it is shakenfist 0.8.1: give it back the name"),
    (f"shakenfist-0.8.2{ANY}", "is not a wheel that can be read"),
    (f"shakenfist-0.8.3{ANY}", r"says of itself that it is \(nothing\)"),
    (f"flask-3.0{ANY}", "stage_source has no wheel of shakenfist, only flask 3.0: build one"),
])
def test_what_is_no_release(wheels, tmp_path, name, message):
    offer(wheels, "0.8.1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "sdist-1.0.tar.gz").write_bytes(b"x")
    good = (wheels / f"shakenfist-0.8.1{ANY}").read_bytes()
    for one in ("renamed.whl", f"shakenfist-0.9.0{ANY}"):
        (tmp_path / one).write_bytes(good)
    (tmp_path / f"shakenfist-0.8.2{ANY}").write_bytes(good[:100])
    (tmp_path / f"shakenfist-0.8.3{ANY}").write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(RollingError, match=message):
        choose([str((wheels if name.startswith("flask") else tmp_path) / name)], "shakenfist", "")


def test_a_url():
    with pytest.raises(RollingError, match="which is a URL: download it"):
        choose(["https://example.com/shakenfist-0.8.1-py3-none-any.whl"], "shakenfist", "")


@pytest.mark.parametrize("version, expected", [
    (DEV, "0.8.1"), ("0.8.1rc1", "0.8.1"), ("0.8.1", "0.8.1"), ("0.8.1a2.dev3", "0.8.1"),
    ("0.8.1.post1", "0.8.1.post1"),
])
def test_brief(version, expected):
    assert brief(version) == expected


def test_public():
    assert public(DEV) == "0.8.1.dev3" and public("0.8.1") == "0.8.1"
