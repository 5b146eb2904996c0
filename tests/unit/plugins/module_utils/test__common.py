# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import re
from types import SimpleNamespace

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    as_part,
    conclude,
    explain_os_error,
    flocked,
    hide_passwords,
    last_lines,
    make_directory,
    replace_file,
    size,
    sync_directories,
    turn_of,
    wait_for,
)


def test_an_error_carries_words_and_details():
    error = RollingError("it broke", pip_output="x")
    assert (str(error), error.message, error.details) == ("it broke", "it broke", {"pip_output": "x"})


@pytest.mark.parametrize("known", [True, False])
def test_a_module_that_stands_back(monkeypatch, known):
    """A machine without ionice is no hindrance."""
    def run_command(command, handle_exceptions):
        asked.append(command)
        if not known:
            raise FileNotFoundError(2, "No such file or directory", "ionice")

    asked: list = []
    monkeypatch.setattr(_common.os, "nice", asked.append)
    _common.stand_back(SimpleNamespace(run_command=run_command))
    assert asked == [10, ["ionice", "-c", "3", "-p", str(os.getpid())]]


def test_wait_returns_what_was_seen(clock):
    answers = [None, 0, "there"]
    assert wait_for(lambda: answers.pop(0), timeout=5, interval=0.5) == "there"
    assert not answers and clock.naps == [0.5, 0.5]


def test_wait_looks_once_without_time():
    looks = []
    assert wait_for(lambda: looks.append(1), timeout=0) is None
    assert len(looks) == 1


def test_wait_ends_in_time_and_looks_at_the_end(clock):
    looks = []
    assert not wait_for(lambda: looks.append(1), timeout=0.25, interval=10)
    assert clock.naps == [0.25]
    assert len(looks) == 2


@pytest.mark.parametrize("text, count, expected", [
    ("", 3, ""),
    ("one\n", 3, "one"),
    ("one\n\n  \ntwo  \nthree\n", 2, "two\nthree"),
])
def test_last_lines(text, count, expected):
    assert last_lines(text, count) == expected


def test_a_full_disk_in_words(tmp_path):
    words = explain_os_error(OSError(errno.ENOSPC, "No space left on device"), str(tmp_path), str(tmp_path))
    assert re.fullmatch(rf"the disk is full: \d+ MB are free in {tmp_path}: make room there, and start again", words)


@pytest.mark.parametrize("name, words", [
    (None, "[Errno 5] Input/output error, in /a: see that"), ("/b", "[Errno 5] Input/output error: '/b': see that")])
def test_another_error_names_a_place(name, words):
    assert explain_os_error(OSError(errno.EIO, "Input/output error", name), "/a").startswith(words)


@pytest.mark.parametrize("act, expected", [
    (lambda: dict(seen=1), dict(failed=False, changed=False, seen=1)),
    (lambda: dict(changed=True), dict(failed=False, changed=True)),
    (lambda: throw(RollingError("it broke", seen=2)), dict(failed=True, msg="it broke", seen=2)),
])
def test_how_a_module_ends(run_module, act, expected):
    result = run_module(SimpleNamespace(main=lambda: conclude(AnsibleModule({}), act)))
    assert {key: result[key] for key in expected} == expected


def throw(error):
    raise error


def test_one_at_a_time(tmp_path, clock):
    with flocked(tmp_path, 1) as handle:
        assert os.path.samestat(os.fstat(handle), os.stat(turn_of(tmp_path)))
        assert os.fstat(handle).st_mode & 0o777 == 0o600 and list(tmp_path.iterdir()) == []
        with flocked(tmp_path, 1) as other:
            assert other is None and clock.now == 1001
    with flocked(tmp_path, 0) as handle:
        assert handle is not None
    with pytest.raises(OSError):
        os.fstat(handle)


def test_the_size_of_a_directory(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10000)
    (tmp_path / "link").symlink_to("file")
    one = size(tmp_path)
    os.link(tmp_path / "file", tmp_path / "again")
    assert size(tmp_path) == one >= 10000
    assert size(tmp_path / "none") == 0


PART = SimpleNamespace(ARGUMENTS=dict(name=dict(type="str", required=True), most=dict(type="int", default=3),
                                      hosts=dict(type="list", elements="str")),
                       REQUIRED_IF=[("name", "all", ["hosts"])])


def test_a_part_has_arguments_of_its_own():
    module = SimpleNamespace(params=dict(name="other"), check_mode=True)
    part = as_part(module, PART, dict(name="one", most="5"))
    assert part.params == dict(name="one", most=5, hosts=None) and part.check_mode
    assert module.params == dict(name="other")


@pytest.mark.parametrize("given, words", [
    ({}, "name"), (dict(name="all"), "hosts"), (dict(name="a", most="x"), "most")])
def test_arguments_that_a_part_refuses(given, words):
    with pytest.raises(RollingError, match=words):
        as_part(SimpleNamespace(params={}), PART, given)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_directory_has_the_mode_that_is_meant(tmp_path, mask):
    before = os.umask(mask)
    try:
        make_directory(str(tmp_path / "a" / "b"), 0o700)
        make_directory(str(tmp_path / "a" / "c"))
        make_directory(str(tmp_path))
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/c")}
    assert modes == {"a": 0o755, "a/b": 0o700, "a/c": 0o755}


def test_a_directory_that_another_one_makes(tmp_path, monkeypatch):
    there = iter([False, True, True])
    monkeypatch.setattr(os.path, "isdir", lambda path: next(there))
    monkeypatch.setattr(os, "mkdir", lambda path: throw(FileExistsError()))
    make_directory(str(tmp_path / "a"))


def test_a_file_in_the_way_of_a_directory(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileExistsError):
        make_directory(str(tmp_path / "a"))


def test_the_names_in_a_directory_are_written(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    sync_directories(str(tmp_path), str(tmp_path / "link"))
    assert synced == [str(tmp_path)]


def test_a_file_is_replaced(tmp_path, monkeypatch):
    path, link, synced = tmp_path / "own/a.conf", tmp_path / "link", []
    link.symlink_to(path)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    replace_file(str(path), b"one")
    assert path.read_bytes() == b"one" and path.stat().st_mode & 0o7777 == 0o644
    assert synced == [f"{path.parent}/.a.conf.rolling-new", str(path.parent)]
    path.chmod(0o640)
    before = path.stat()
    replace_file(str(link), b"two")
    after = path.stat()
    assert path.read_bytes() == b"two" and link.is_symlink() and os.listdir(path.parent) == ["a.conf"]
    assert after.st_ino != before.st_ino and after.st_mode & 0o7777 == 0o640 and after.st_uid == before.st_uid


def test_a_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")

    def full(dummy):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        replace_file(str(path), b"new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("where", ["a file/x", "full"])
def test_locks_that_cannot_be_kept(tmp_path, monkeypatch, where):
    (tmp_path / "a file").write_text("")
    (tmp_path / "full").mkdir()
    if where == "full":
        monkeypatch.setattr(os, "open", lambda *dummy: throw(OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr(_common, "TURNS", str(tmp_path / where))
    with pytest.raises(RollingError, match=f"cannot keep locks in {tmp_path}/{where}: "), flocked(tmp_path, 0):
        pass


def test_the_boot_has_an_id(monkeypatch):
    assert len(_common.boot_id()) == 36

    def missing(*dummy, **more):
        raise FileNotFoundError()
    monkeypatch.setattr(_common, "open", missing, raising=False)
    assert _common.boot_id() == ""


def test_nobody_else_reads_a_new_file_while_it_is_written(tmp_path, monkeypatch):
    """Nor what somebody has put in its place before."""
    path, modes = tmp_path / "a.conf", []
    other = tmp_path / "other"
    other.write_text("other")
    (tmp_path / ".a.conf.rolling-new").symlink_to(other)
    monkeypatch.setattr(os, "fchmod", lambda handle, mode: modes.append((os.fstat(handle).st_mode & 0o777, mode)))
    before = os.umask(0)
    try:
        replace_file(str(path), b"secret")
    finally:
        os.umask(before)
    assert modes == [(0o600, 0o644)] and path.read_bytes() == b"secret" and other.read_text() == "other"


@pytest.mark.parametrize("words, shown", [
    ("no mysql+pymysql://sf:s3cret@db/sf here", "no mysql+pymysql://sf:********@db/sf here"),
    ("'amqp://a:s3/cret@mq:1,amqp://b:s3cret@mq:2'", "'amqp://a:********@mq:1,amqp://b:********@mq:2'"),
    ('{"url": "http://joe:s3@cr:et@lb/"}', '{"url": "http://joe:********@lb/"}'),
    ("http://:s3cret@lb/", "http://:********@lb/"),
    ("HTTPS://s3cret@lb/simple/", "HTTPS://********@lb/simple/"),
    ("http://lb:8404/users/@me", None), ("ssh://git@host:22/a", None), ("mysql://root@localhost/", None),
    ("http://[::1]:80/", None), ("by alice@admin: see http://lb:80/", None), ("", None), (None, None), (7, None)])
def test_the_passwords_of_urls(words, shown):
    assert hide_passwords(words) == (words if shown is None else shown)


def test_a_module_repeats_no_password_of_a_url(run_module):
    def main(act):
        conclude(AnsibleModule(argument_spec={}), act)

    url = "mysql://sf:s3cret@db/sf"
    failed = RollingError(f"cannot parse {url}", output=f"at {url}", rc=1)
    for act in (lambda: dict(output=url, rc=0), lambda: throw(failed)):
        result = run_module(SimpleNamespace(main=lambda act=act: main(act)))
        assert "s3cret" not in str(result) and "sf:********@db" in result["output"] and "rc" in result
