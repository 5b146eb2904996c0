# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._watch import mark, problem, summary, watcher

URL = "http://sf/api/"
NOON = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))


def probe(failed=0, running=True, **values):
    early = [dict(mark="start", time=NOON - 60, words="early", excused=False),
             dict(mark="roll", time=NOON - 9, words="timeout after 3 s", excused=True)]
    first = dict(mark="sf-1", time=NOON, words="HTTP 503 after 0.01 s", excused=False)
    return dict(dict(running=running, requests=900, failed=failed + 7, kinds={"HTTP 500": 7, "HTTP 503": failed},
                     failures=[*early, first] if failed else early, before=None,
                     since=dict(requests=800, failed=failed, excused=0, late=0.0, longest_gap=0.24, p50=2.1, p99=42.3,
                                kinds={"HTTP 503": failed, "timeout": 1})), **values)


def test_the_watcher_has_a_name_of_its_own():
    assert watcher(URL) == watcher(URL) != watcher("http://other/") and watcher(URL).startswith("rolling-")


def test_the_mark():
    assert mark({}, ["sf-1"]) == "roll" and mark(dict(begun=True), ["sf-1", "sf-2"]) == "sf-1, sf-2"
    assert len(mark(dict(begun=True), ["x" * 30] * 30)) == 200


@pytest.mark.parametrize("failed, budget, stops", [(0, 0, False), (1, 0, True), (3, 3, False), (4, 3, True)])
def test_the_budget(failed, budget, stops):
    assert bool(problem(dict(probe=probe(failed)), URL, budget)) == stops


def test_too_many_have_failed():
    assert problem(dict(probe=probe(2)), URL, 1) == (
        f"2 of 800 requests to {URL} have failed since the roll began, 1 may (roll_error_budget): 2 times HTTP 503, 1 "
        "times timeout; the first one at 12:00:00, when sf-1 was the last step: HTTP 503 after 0.01 s. See what the "
        "balancer and sf-api have written at that time.")
    early = probe(2)
    early["failures"][2]["mark"] = "roll"
    assert "when the roll began was the last step" in problem(dict(probe=early), URL, 1)
    assert "2 of 800" in problem(dict(probe=dict(early, failures=[])), URL, 1)


@pytest.mark.parametrize("result, words", [
    (dict(probe=probe(running=False), msg="it died"), "it died"), (dict(msg="lost"), "lost"), ({}, ""),
    (dict(probe=None), "")])
def test_nobody_watches(result, words):
    assert problem(result, URL, 0) == (
        f"{URL} is no longer watched, so nothing would prove that no request fails: {words}")


def test_before_the_first_look_nothing_counts():
    assert problem(dict(probe=probe(since=None)), URL, 0) == ""


@pytest.mark.parametrize("result, words", [
    (dict(msg="no answer"), f"What {URL} did is not known: no answer"),
    ({}, f"What {URL} did is not known: its watcher did not run any more"),
    (dict(probe=probe(since=None)), f"{URL}: 900 requests, 7 failed; the roll had not begun."),
    (dict(probe=probe(2)),
     f"{URL} during the roll: 800 requests, 2 failed, longest gap 0.24 s, p50 2.1 ms, p99 42.3 ms"),
    (dict(probe=probe(since=dict(probe()["since"], excused=3, late=31.25))),
     f"{URL} during the roll: 800 requests, 0 failed, 3 excused because the watcher itself was held up for 31.25 s, "
     "longest gap 0.24 s, p50 2.1 ms, p99 42.3 ms"),
    (dict(probe=probe(before=dict(p50=1.9, p99=3.8))),
     f"{URL} during the roll: 800 requests, 0 failed, longest gap 0.24 s, p50 2.1 ms, p99 42.3 ms (before it: p50 1.9 "
     "ms, p99 3.8 ms)"),
])
def test_the_summary(result, words):
    assert summary(result, URL) == words
