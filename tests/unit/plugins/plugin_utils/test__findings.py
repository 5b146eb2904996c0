# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import (
    FAIL,
    PASS,
    Finding,
    Findings,
    report,
    warnings_of,
)


def test_the_report():
    def finding(check, level="pass", words="", node=""):
        return Finding(check, level, words, node)

    nodes = {"a": [finding("room", node="a"), finding("x", "warn", "hm", "a")],
             "b": [finding("room", "fail", "full", "b"), finding("x", node="b")]}
    assert report([finding("clocks"), finding("nodes", "fail", "stale")], nodes) == [
        "fail  stale", "fail  b: full", "warn  a: hm", "pass  clocks", "pass  room: a", "pass  x: b"]
    # What else is found may be the doing of the upgrade that is running.
    assert report([finding("nodes", "fail", "stale"), finding("lock", "warn", "bob")], nodes)[:3] == [
        "warn  bob", "fail  stale", "fail  b: full"]
    del nodes["a"]
    assert report([], nodes) == ["fail  b: full", "pass  x"]


def test_warnings():
    lines = [Finding("x", "warn", "hm", "a").line(), Finding("x", "fail", "full").line(), "pass  warn", "warn  hm  hm"]
    assert warnings_of(lines) == ["a: hm", "hm  hm"] and warnings_of([]) == []


def test_findings():
    found = Findings("sf-1")
    found.judge("room", [])
    found.judge("drain", ["too long", "too short"], made=False)
    found.judge("heartbeats", [], made=False)
    assert found == [Finding("room", PASS, "", "sf-1"), Finding("drain", FAIL, "too long", "sf-1"),
                     Finding("drain", FAIL, "too short", "sf-1")]
    assert [finding.words for finding in found.failed()] == ["too long", "too short"]
