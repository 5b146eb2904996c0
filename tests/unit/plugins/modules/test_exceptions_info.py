# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import exceptions_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import exceptions_info


def put(directory, name, changed):
    path = directory / name
    path.write_text("Traceback with a secret\n")
    os.utime(path, (changed, changed))


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("since, expected", [
    (0, ["c", "b", "a"]), (100, ["c", "b"]), (100.5, ["c"]), (200.5, []), (300, []),
])
def test_new_files(run_module, tmp_path, check, since, expected):
    for name, changed in (("a", 100), ("b", 100.5), ("c", 200.5)):
        put(tmp_path, name, changed)
    directory = tmp_path / "directory"
    directory.mkdir()
    os.utime(directory, (900, 900))
    result = run_module(exceptions_info, check, path=str(tmp_path), since=since)
    assert not result["failed"] and not result["changed"]
    assert result["files"] == expected and result["count"] == len(expected)
    assert "secret" not in str(result)


def test_many_files(run_module, tmp_path):
    for number in range(25):
        put(tmp_path, f"e{number}", 1000 + number)
    result = run_module(exceptions_info, path=str(tmp_path), since=1000)
    assert result["count"] == 24
    assert result["files"] == [f"e{number}" for number in range(24, 4, -1)]


def test_no_directory(run_module, tmp_path):
    result = run_module(exceptions_info, path=str(tmp_path / "none"), since=0)
    assert not result["failed"] and result["files"] == [] and result["count"] == 0


def test_not_a_directory(run_module, tmp_path):
    put(tmp_path, "file", 1)
    path = tmp_path / "file"
    result = run_module(exceptions_info, path=str(path), since=0)
    assert result["failed"]
    assert result["msg"] == (f"cannot look for exceptions in {path}: Not a directory. It must be a directory that "
                             f"root can read: ls -ld {path}")


def test_a_file_that_is_gone_meanwhile(monkeypatch):
    def gone(**dummy):
        raise FileNotFoundError(2, "No such file or directory")

    here = SimpleNamespace(name="here", is_dir=lambda **dummy: False,
                           stat=lambda **dummy: SimpleNamespace(st_mtime=5.0))
    monkeypatch.setattr(part.os, "scandir",
                        lambda path: nullcontext([SimpleNamespace(name="gone", stat=gone), here]))
    assert part.new_files("/exceptions", 1) == ["here"]
