# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verify import release_problem, second_look_problem

NODE = dict(release=dict(version="0.8.1", since=100.0), behind=[], problem="", api_unit="sf-api",
            units={"sf-net": dict(invocation="a", restarts=0)})


@pytest.mark.parametrize("changes, words", [
    (dict(), ""),
    (dict(release=dict(version="0.8.0")), "seen 0.8.0, not running or older: none. Run the same command again"),
    (dict(behind=["sf-net", "sf-api"]), "seen 0.8.1, not running or older: sf-net, sf-api. Run the"),
    (dict(release={}, problem="no virtualenv"), "seen no virtualenv, not running"),
])
def test_the_release(changes, words):
    found = release_problem("sf-1", dict(NODE, **changes), "0.8.1", dict(version="0.8.1", contents="one"))
    assert words in found and bool(found) == bool(words)
    assert not found or found.startswith("sf-1: expected release 0.8.1, with every daemon started since; ")


@pytest.mark.parametrize("release, target, words", [
    (dict(contents="1111111111"), dict(contents="1111111111"), ""),
    (dict(contents=""), dict(contents="1111111111"), ""),
    (dict(contents="2222222222"), dict(version="0.8.2", contents="1111111111"), ""),
    (dict(contents="2222222222"), dict(contents="1111111111", name="0.8.1-aa"),
     "sf-1: expected release 0.8.1 (build 11111111), with every daemon started since; seen 0.8.1 (build 22222222), "),
    (dict(contents="2222222222", name="0.8.1-aa"), dict(contents="1111111111", name="0.8.1-aa"), ""),
])
def test_the_build(release, target, words):
    node = dict(NODE, release=dict(release, version="0.8.1"))
    found = release_problem("sf-1", node, "0.8.1", dict(dict(version="0.8.1"), **target))
    assert found.startswith(words) and bool(found) == bool(words)


def look(ready=True, units=None, count=0, since=100.0):
    readiness = dict(ready=ready, seen={"u": dict(answers="503 from 8 of 8")})
    return second_look_problem("sf-1", NODE, "0.8.1", readiness, units or {},
                               dict(count=count, files=["sf-net-1.txt"]), 10, since, "/srv/e", "Go back.")


def test_a_second_look():
    assert look() == ""
    assert look(ready=False) == (
        "sf-1: expected 200 from every worker for 10 s after its restart; it was ready, and then was not: 503 from 8 of 8 "
        "at the last look. Look at journalctl -u sf-api -n 50 there. Go back.")
    assert look(units={name: dict(active=False, state="failed") for name in ("sf-net", "sf-q")}) == (
        "sf-1: expected every daemon to stay up for 10 s after its restart; sf-net is failed; sf-q is failed. The node "
        "runs 0.8.1. Look at journalctl -u sf-net -u sf-q -n 50 there. Go back.")
    assert look(units={"sf-net": dict(active=True, state="active", invocation="b", restarts=0)}).startswith(
        "sf-1: expected every daemon to stay up for 10 s after its restart; sf-net is active, but was started again")


@pytest.mark.parametrize("since, words", [(100.0, "0.8.1 is active"), (1795233182.0, "2026-11-21 03:53:02 UTC")])
def test_exceptions(since, words):
    assert look(count=1, since=since) == (
        f"sf-1: since {words} there are 1 unhandled exceptions in /srv/e: sf-net-1.txt. The node serves. Read "
        "them. If they do not matter, the roll is complete. Go back.")
