# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import lock_info

LOCK = dict(user="bob", host="admin", boot="b", pid=4711, started="9", run="99999999", doing="rolling sf-2")


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("renewed, over", [(8, False), (7200, True)])
def test_a_lock(run_module, tmp_path, check, renewed, over):
    path = tmp_path / "rolling.lock"
    now = time.time()
    path.write_text(json.dumps(dict(LOCK, since=now - 9000, renewed=now - renewed, lease=1800.0)))
    before = path.read_text()
    result = run_module(lock_info, check, path=str(path))
    assert not result["failed"] and not result["changed"] and path.read_text() == before
    assert result["lock"]["user"] == "bob" and result["ran_out"] is over and result["gone"] is False
    assert "bob@admin, pid 4711" in result["words"] and "doing: rolling sf-2" in result["words"]


@pytest.mark.parametrize("renewed, takeover, known", [(8, False, False), (7200, False, True), (8, True, True)])
def test_what_a_broken_run_had_in_hand(run_module, tmp_path, renewed, takeover, known):
    path, now = tmp_path / "rolling.lock", time.time()
    work = dict(kind="upgrade", release="0.8.1", nodes=["sf-2"])
    path.write_text(json.dumps(dict(LOCK, since=now - 9000, renewed=now - renewed, lease=1800.0, **work)))
    assert run_module(lock_info, path=str(path), takeover=takeover)["broken"] == (work if known else {})


def test_what_the_run_is_asked_for(run_module, tmp_path):
    path, now = tmp_path / "rolling.lock", time.time()
    request = dict(want="stop", user="eve", host="desk", since=now - 60, reason="we go on tomorrow")
    path.write_text(json.dumps(dict(LOCK, since=now - 90, renewed=now - 8, lease=1800.0, request=request)))
    words = run_module(lock_info, path=str(path))["words"]
    assert ". It is to stop: eve@desk asked for that at " in words and words.endswith(": we go on tomorrow")


@pytest.mark.parametrize("text, lock, words", [(None, None, "nobody"), ("{", {}, "cannot be read: nobody knows who")])
def test_no_lock(run_module, tmp_path, text, lock, words):
    path = tmp_path / "rolling.lock"
    if text:
        path.write_text(text)
    result = run_module(lock_info, path=str(path))
    assert not result["failed"] and result["lock"] == lock and result["ran_out"] is False
    assert result["words"].endswith(words)
