# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.filter.preflight_report import preflight_report


def test_the_report():
    def finding(check, level="pass", words=""):
        return dict(check=check, level=level, words=words)

    verdict = {"a": dict(findings=[finding("room"), finding("x", "warn", "hm")]),
               "b": dict(findings=[finding("room", "fail", "full"), finding("x")])}
    assert preflight_report(verdict, [finding("clocks"), finding("nodes", "fail", "stale")]) == [
        "fail  stale", "fail  b: full", "warn  a: hm", "pass  clocks", "pass  room: a", "pass  x: b"]
    del verdict["a"]
    assert preflight_report(verdict) == ["fail  b: full", "pass  x"]
