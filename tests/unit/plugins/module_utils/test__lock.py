# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _lock

LOCK = dict(user="bob", host="admin", boot="b", pid=4711, started="9", run="99999999", doing="", since=1000.0,
            renewed=2000.0, lease=1800.0)
REQUEST = dict(want="pause", user="eve", host="desk", since=2001.0, reason="a new disk")


@pytest.mark.parametrize("text, whole", [
    (json.dumps(LOCK), True),
    (json.dumps(dict(LOCK, run="")), False),
    (json.dumps(dict(LOCK, lease=1e12)), False),
    (json.dumps(dict(LOCK, since="yesterday")), False),
    (json.dumps({key: value for key, value in LOCK.items() if key != "doing"}), False),
    (json.dumps(dict(LOCK, request=[])), False),
    (json.dumps(dict(LOCK, request=dict(want="pause"))), False),
    (json.dumps(dict(LOCK, request=dict(REQUEST, since="now"))), False),
    ("{", False), ("[]", False), ("", False),
])
def test_read(tmp_path, text, whole):
    path = tmp_path / "lock"
    path.write_text(text)
    # One of an earlier version tells nothing of its work.
    assert _lock.read(str(path)) == (dict(LOCK, kind="", release="", nodes=[], left=None) if whole else {})


@pytest.mark.parametrize("lease, waits, held", [(1800, [], 1800), (1800, [300, 90], 1800), (1800, [300, 3600], 7800)])
def test_a_lease_outlasts_the_waits(lease, waits, held):
    assert _lock.lease_of(lease, waits) == held


def test_what_is_known_of_a_broken_run():
    lock = dict(LOCK, kind="upgrade", release="0.8.1", nodes=["sf-2"])
    assert _lock.broken(lock, True) == dict(kind="upgrade", release="0.8.1", nodes=["sf-2"])
    assert _lock.broken(lock, False) == _lock.broken(None, True) == _lock.broken({}, True) == {}


@pytest.mark.parametrize("asked", [None, REQUEST])
def test_a_request_is_read(tmp_path, asked):
    path = tmp_path / "lock"
    path.write_text(json.dumps(dict(LOCK, request=asked)))
    assert _lock.read(str(path))["request"] == asked


@pytest.mark.parametrize("reason, why", [("", ""), ("a new disk", ": a new disk")])
def test_told(reason, why):
    assert _lock.told(None, 2008.0) is None
    assert _lock.told(dict(REQUEST, reason=reason), 2008.0) == dict(
        REQUEST, reason=reason, words=f"eve@desk asked for that at 1970-01-01 00:33:21 UTC (7 s ago){why}")


def test_no_lock(tmp_path):
    assert _lock.read(str(tmp_path / "none")) is None
    assert _lock.read(str(tmp_path)) == {}  # a directory cannot be read


@pytest.mark.parametrize("seconds, words", [
    (-5, "0 s"), (8.4, "8 s"), (119, "119 s"), (120, "2 minutes"), (7199, "119 minutes"), (7200, "2 hours"),
    (172800, "2 days"),
])
def test_ago(seconds, words):
    assert _lock.ago(seconds) == words


@pytest.mark.parametrize("doing, said", [("", "not said"), ("rolling sf-2", "rolling sf-2")])
def test_describe(doing, said):
    assert _lock.describe(dict(LOCK, doing=doing), 2008.0) == (
        f"bob@admin, pid 4711, run 99999999, since 1970-01-01 00:16:40 UTC (16 minutes ago), doing: {said}, last "
        "renewed 8 s ago")


@pytest.mark.parametrize("now, over", [(2000, False), (3800, False), (3801, True), (200, False), (199, True)])
def test_ran_out(now, over):
    assert _lock.ran_out(LOCK, now) is over


def test_a_lock_that_nobody_holds():
    """It only keeps what a run that was killed had in hand, and the one after it has not come to."""
    lock = dict(LOCK, lease=0, nodes=["sf-2", "sf-3"])
    assert _lock.is_over(lock) and not _lock.is_over(LOCK)
    assert _lock.ran_out(lock, 2000) and _lock.describe(lock, 2008.0) == (
        "nobody. sf-2, sf-3 may still be as a run that was killed has left it; the last one (bob@admin, pid 4711, run "
        "99999999) has ended before its turn")
