# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import zipfile

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _source
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._source import WHEEL, choose
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


def test_only_files_count(wheels, tmp_path):
    """What the release does not need and cannot be packed would be in the way only when it is packed."""
    offer(wheels, "0.8.1")
    (tmp_path / f"real-1.0{ANY}").write_bytes((wheels / f"flask-3.0{ANY}").read_bytes())
    (wheels / f"linked-1.0{ANY}").symlink_to(tmp_path / f"real-1.0{ANY}")
    (wheels / f"gone-1.0{ANY}").symlink_to("nowhere")
    (wheels / f"folder-1{ANY}").mkdir()
    os.mkfifo(wheels / "pipe-1.0.tar.gz")
    chosen = choose([str(wheels)], "shakenfist", "")
    assert sorted(chosen["files"]) == [f"flask-3.0{ANY}", f"linked-1.0{ANY}", f"shakenfist-0.8.1{ANY}"]
    assert chosen["left_out"] == [f"{wheels}/{name} is left out: it is {what}, not a file" for name, what in (
        (f"folder-1{ANY}", "a directory"), (f"gone-1.0{ANY}", "a link to nothing"),
        ("pipe-1.0.tar.gz", "something else"))]


def test_nothing_but_what_does_not_count(tmp_path):
    (tmp_path / f"shakenfist-0.8.1{ANY}").symlink_to("nowhere")
    with pytest.raises(RollingError, match="there is no wheel in the directory .*-any.whl is left out: it is a link"):
        choose([str(tmp_path)], "shakenfist", "")


COPY = "shakenfist-0.8.1-py3-none-any (1).whl"


@pytest.mark.parametrize("order", ["directory", "copy first", "copy last"])
def test_a_second_download(wheels, order):
    """It is the same, and it does not depend on which one is found first."""
    good = offer(wheels, "0.8.1") / f"shakenfist-0.8.1{ANY}"
    copy = wheels / COPY
    copy.write_bytes(good.read_bytes())
    sources = {"directory": [wheels], "copy first": [copy, good], "copy last": [good, copy]}[order]
    chosen = choose(list(map(str, sources)), "shakenfist", "")
    assert chosen["candidates"] == [good.name] and COPY not in chosen["files"]
    assert chosen["left_out"] == [f"{copy} is left out: it is the same as {good}"]


@pytest.mark.parametrize("name", [COPY, "flask-3.0-py3-none-any (1).whl", "flask 3.0.whl", "shakenfist-0.8.1.whl",
                                  "shakenfist-0.8.1-py3-none-any - Copy.whl"])
@pytest.mark.parametrize("named", [False, True])
def test_a_name_that_is_none(wheels, name, named):
    """Nobody knows what it is."""
    offer(wheels, "0.8.1")
    (wheels / name).write_bytes(b"something else")
    with pytest.raises(RollingError, match="does not have the name of a wheel .*give it back .*or take it away"):
        choose([str(wheels / name if named else wheels)], "shakenfist", "")


@pytest.mark.parametrize("version, tags", [
    ("1!0.8.1.dev3+gabc", "py2.py3-none-any"), ("0.8.1", "1a-py3-none-any"),
    ("0.8.1", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")])
def test_names_that_are(version, tags):
    found = WHEEL.fullmatch(f"Shaken_Fist.x-{version}-{tags}.whl")
    assert found["name"] == "Shaken_Fist.x" and found["version"] == version


def damage_deflate(path, member):
    """Break the compressed stream of a member, not what the file says of it."""
    with zipfile.ZipFile(path) as archive:
        content = {one: archive.read(one) for one in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, data in content.items():
            archive.writestr(one, data * 50 if one.endswith(".py") else data)
        start = archive.getinfo(member).header_offset + 30 + len(member)
    data = bytearray(path.read_bytes())
    data[start:start + 8] = b"\xff" * 8
    path.write_bytes(data)


def encrypt(path, member):
    """Set the bit that says so, in both places."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo(member).header_offset + 6] |= 1
    entry = data.rindex(member.encode()) - 46
    data[entry + 8] |= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil, words", [(damage_deflate, "decompressing data"), (encrypt, "is encrypted")])
@pytest.mark.parametrize("member", ["shakenfist-0.8.1.dist-info/METADATA", "shakenfist.py"])
def test_a_wheel_that_cannot_be_read(wheels, spoil, words, member):
    path = offer(wheels, "0.8.1") / f"shakenfist-0.8.1{ANY}"
    spoil(path, member)
    with pytest.raises(RollingError) as caught:
        choose([str(wheels)], "shakenfist", "")
    assert caught.value.message.startswith(f"{path} is not a wheel that can be read (")
    assert words in caught.value.message and caught.value.message.endswith("): build or copy it again")


def test_a_wheel_with_another_content_than_it_says(wheels):
    path = offer(wheels, "0.8.1") / f"shakenfist-0.8.1{ANY}"
    path.write_bytes(path.read_bytes().replace(b"VERSION", b"VERSIOM"))
    with pytest.raises(RollingError, match=r"is not a wheel that can be read \(shakenfist.py in it is damaged\)"):
        choose([str(wheels)], "shakenfist", "")


@pytest.mark.parametrize("what, message", [
    ("open", "cannot read .*/flask-3.0-py3-none-any.whl .Permission denied.: let the user that runs Ansible read it"),
    ("listdir", "cannot read the directory .*/wheels .Permission denied.: let the user that runs Ansible read it")])
def test_what_may_not_be_read(wheels, monkeypatch, what, message):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    offer(wheels, "0.8.1")
    if what == "open":
        monkeypatch.setattr(_source, "digest_of_file", refuse)
    else:
        monkeypatch.setattr(_source.os, "listdir", refuse)
    with pytest.raises(RollingError, match=message):
        choose([str(wheels)], "shakenfist", "")


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
