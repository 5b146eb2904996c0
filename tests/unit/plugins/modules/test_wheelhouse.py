# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
import tempfile
import venv as stdlib_venv

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _wheels
from ansible_collections.shakenfist.rolling.plugins.modules import wheelhouse
from ansible_collections.shakenfist.rolling.tests.unit.wheels import (
    index,
    locked,
    make_wheel,
    pip_environment,
    real_venv,
)

NAMES = ["flask-1.0", "shakenfist-0.8.1"]
FILES = [f"{name}-py3-none-any.whl" for name in NAMES]


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    make_wheel(folder, "shakenfist", "0.8.1", ["flask>=1", "absent"])
    make_wheel(folder, "flask", "1.0")
    make_wheel(folder, "flask", "2.0")
    pip_environment(monkeypatch, folder)
    return folder


@pytest.fixture
def pack(run_module, wheels, tmp_path):
    return lambda **arguments: run_module(wheelhouse, **dict(dict(
        state="packed", path=str(tmp_path / "venv"), dest=str(tmp_path / "packed.tar"), lock=locked(wheels, *NAMES)),
        **arguments))


@pytest.fixture
def unpack(run_module, wheels, tmp_path):
    return lambda **arguments: run_module(wheelhouse, **dict(dict(
        state="unpacked", src=str(tmp_path / "packed.tar"), dest=str(tmp_path / "house"),
        lock=locked(wheels, *NAMES)), **arguments))


@pytest.fixture
def make_tar(wheels, tmp_path):
    """Write packed.tar: of C(members), by name what they hold, or a TarInfo; the locked files by default."""
    def make(members=None, mode="w"):
        with tarfile.open(tmp_path / "packed.tar", mode) as tar:
            for name, content in (members or {name: (wheels / name).read_bytes() for name in FILES}).items():
                if isinstance(content, tarfile.TarInfo):
                    tar.addfile(content)
                else:
                    member = tarfile.TarInfo(name.rstrip("*"))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return make


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# ---- packing

def test_pack(pack, wheels, tmp_path):
    real_venv(tmp_path / "venv", wheels)
    assert pack(check=True) == dict(pack(check=True), changed=True, files=[], failed=False)
    assert not (tmp_path / "packed.tar").exists()
    result = pack()
    assert not result["failed"] and result["changed"] and result["files"] == FILES
    tar = tmp_path / "packed.tar"
    assert tarfile.open(tar).getnames() == FILES and tar.stat().st_mode & 0o777 == 0o644
    first = tar.read_bytes()
    again = pack()
    assert not again["changed"] and again["files"] == FILES
    os.unlink(tar)
    os.utime(wheels / FILES[0], (1, 1))
    assert pack()["changed"] and tar.read_bytes() == first, "the same wheels give the same file"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("what", ["another lock", "cut short", "no tar", "an extra member"])
def test_a_file_that_is_not_of_the_lock_is_made_anew(pack, make_tar, wheels, tmp_path, what):
    real_venv(tmp_path / "venv", wheels)
    make_tar()
    tar, lock = tmp_path / "packed.tar", locked(wheels, *NAMES)
    assert not pack()["changed"]
    if what == "another lock":
        lock = locked(wheels, "flask-2.0", NAMES[1])
    elif what == "cut short":
        tar.write_bytes(tar.read_bytes()[:700])
    elif what == "no tar":
        tar.write_bytes(b"x" * 5000)
    else:
        make_tar({**{name: (wheels / name).read_bytes() for name in FILES}, "more.whl": b"more"})
    assert pack(lock=lock)["changed"]
    assert not pack(lock=lock)["changed"]


def test_pip_finds_another_wheel(pack, wheels, tmp_path):
    real_venv(tmp_path / "venv", wheels)
    lock = locked(wheels, *NAMES)
    make_wheel(wheels, "shakenfist", "0.8.1")
    result = pack(lock=lock)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot pack the wheels into {tmp_path}/packed.tar: the wheel of shakenfist that "
                                    "this node was given is not the one that was resolved for the cluster")
    assert "\nERROR: THESE PACKAGES DO NOT MATCH" in result["msg"] and result["pip_output"]
    assert not (tmp_path / "packed.tar").exists() and leftovers(tmp_path) == []


def test_from_an_index_with_a_password(pack, wheels, tmp_path, monkeypatch):
    real_venv(tmp_path / "venv", wheels)
    pip_environment(monkeypatch)
    with index(wheels) as url:
        result = pack(index_url=f"http://me:hunter2@{url}")
    assert result["changed"] and "hunter2" not in json.dumps(result)


def test_a_folder_that_is_not_there(pack, wheels, tmp_path):
    real_venv(tmp_path / "venv", wheels)
    result = pack(dest=str(tmp_path / "nowhere" / "packed.tar"))
    assert result["failed"] and "No such file or directory" in result["msg"]


def test_a_pip_that_is_too_old(pack, venv):
    venv("venv", pip="20.3")
    result = pack()
    assert result["failed"] and "has pip 20.3; 22.2 or later is needed" in result["msg"]


def test_no_pip_at_all(pack, tmp_path):
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(tmp_path / "venv")
    result = pack()
    assert result["failed"]
    assert f"/venv has no pip; 22.2 or later is needed: run {tmp_path}/venv/bin/python -m ensurepip" in result["msg"]


@pytest.mark.parametrize("state, code, words", [
    ("packed", errno.ENOSPC, "the disk is full: "), ("unpacked", errno.ENOSPC, "the disk is full: "),
    ("unpacked", errno.EIO, "Input/output error, in {folder}: see that it is there")])
def test_a_disk_that_is_full_or_broken(pack, unpack, make_tar, venv, tmp_path, monkeypatch, state, code, words):
    def fail(*dummy, **options):
        raise OSError(code, os.strerror(code))

    venv("venv")
    make_tar()
    if state == "packed":
        (tmp_path / "packed.tar").unlink()
        monkeypatch.setattr(tempfile, "mkdtemp", fail)
    else:
        monkeypatch.setattr(_wheels.shutil, "copyfileobj", fail)
    result = (pack if state == "packed" else unpack)()
    assert result["failed"] and words.format(folder=tmp_path) in result["msg"], result["msg"]
    if code == errno.ENOSPC:
        assert f" MB are free in {tmp_path}: make room there" in result["msg"]
    assert not (tmp_path / "house").exists() or list((tmp_path / "house").iterdir()) == []


def test_pip_fills_the_disk(pack, venv, tmp_path):
    venv("venv", pip_fails="ERROR: Could not install: [Errno 28] No space left on device")
    result = pack()
    assert result["failed"] and ": the disk is full: " in result["msg"] and "make room there" in result["msg"]


# ---- unpacking

def test_unpack(unpack, make_tar, tmp_path):
    make_tar()
    house = tmp_path / "house"
    result = unpack(check=True)
    assert result["changed"] and result["files"] == FILES and not house.exists()
    result = unpack()
    assert not result["failed"] and result["changed"] and result["files"] == FILES
    assert sorted(path.name for path in house.iterdir()) == FILES
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in house.iterdir())
    (tmp_path / "packed.tar").unlink()
    (house / "of another release.whl").write_text("stays")
    again = unpack()
    assert not again["failed"] and not again["changed"] and again["files"] == FILES


@pytest.mark.parametrize("spoil", ["damaged", "missing", "link"])
def test_what_is_not_as_it_should_be_is_replaced(unpack, make_tar, wheels, tmp_path, spoil):
    make_tar()
    unpack()
    wheel = tmp_path / "house" / FILES[1]
    wheel.unlink()
    if spoil == "damaged":
        wheel.write_bytes(b"half")
    elif spoil == "link":
        wheel.symlink_to(wheels / FILES[1])
    assert unpack()["changed"]
    assert wheel.read_bytes() == (wheels / FILES[1]).read_bytes() and not wheel.is_symlink()
    assert not unpack()["changed"]


def special(name, kind):
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


@pytest.mark.parametrize("name, content", [
    ("../flask.whl", None), ("/etc/flask.whl", None), ("a/flask.whl", None), (".hidden", None), ("..", None),
    (f"{FILES[0]}*", None),
    ("link.whl", special("link.whl", tarfile.SYMTYPE)),
    ("hard.whl", special("hard.whl", tarfile.LNKTYPE)),
    ("folder", special("folder", tarfile.DIRTYPE)),
    ("device", special("device", tarfile.CHRTYPE)),
])
def test_members_with_tricks(unpack, make_tar, wheels, tmp_path, name, content):
    good = {one: (wheels / one).read_bytes() for one in FILES}
    make_tar({**good, name: content or good[FILES[0]]})
    result = unpack()
    assert result["failed"] and "which is no plain file with a name of its own: pack it again" in result["msg"]
    assert result["msg"].startswith(f"cannot unpack the wheels into {tmp_path}/house: {tmp_path}/packed.tar holds ")
    assert not (tmp_path / "house").exists()


def test_members_that_are_not_in_the_lock(unpack, make_tar, wheels, tmp_path):
    good = {one: (wheels / one).read_bytes() for one in FILES}
    make_tar({**good, FILES[1]: b"bad"})
    result = unpack()
    assert result["failed"] and f"/packed.tar holds {FILES[1]} with sha256 " in result["msg"]
    assert "which is not in the lock: it is of another release, or was damaged on its way" in result["msg"]
    assert not (tmp_path / "house").exists()


def test_members_that_are_missing(unpack, make_tar, wheels, tmp_path):
    make_tar({FILES[0]: (wheels / FILES[0]).read_bytes()})
    result = unpack()
    assert result["failed"] and "/packed.tar lacks shakenfist 0.8.1: it is of another release" in result["msg"]


@pytest.mark.parametrize("content, message", [
    (b"x" * 5000, "packed.tar is no tar file that can be read"), (None, "No such file or directory"),
])
def test_a_tar_file_that_is_none(unpack, tmp_path, content, message):
    if content:
        (tmp_path / "packed.tar").write_bytes(content)
    result = unpack()
    assert result["failed"] and message in result["msg"]


# ---- arguments

@pytest.mark.parametrize("state, missing", [("packed", "path"), ("unpacked", "src")])
def test_what_a_state_needs(run_module, state, missing):
    result = run_module(wheelhouse, state=state, dest="/a", lock=[])
    assert result["failed"] and result["msg"].endswith(f"missing: {missing}")


def test_a_lock_that_is_none(pack):
    result = pack(lock=[dict(name="flask --index-url=x", version="1", sha256="0" * 64)])
    assert result["failed"] and "the lock holds 'flask --index-url=x' '1'" in result["msg"]
