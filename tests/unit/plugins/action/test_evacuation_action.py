# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.action import evacuation
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps


def moved(*names, **more):
    return dict(dict(moved=[{"guest": name, "from": "b", "to": "c", "state": "running", "seconds": 1.5}
                            for name in names], remaining=[], hosts=[1], guests=[2], left=["old"]), **more)


@pytest.fixture
def one(monkeypatch):
    monkeypatch.setattr(evacuation, "ARGUMENTS", {}, raising=False)
    steps = Steps(monkeypatch, evacuation, "drain")
    steps.node = dict(done=["before"])
    return steps


def test_other_states_are_asked_once(one):
    one.given["evacuation"] = dict(problems=["x"])
    assert one.act(state="verified")["problems"] == ["x"]
    one.given["evacuation"] = moved("web", remaining=["db"])
    assert one.act(state="emptied", host="b", at_most=2)["remaining"] == ["db"] and len(one.calls) == 1


def test_what_is_known_where_the_cluster_cannot_be_asked(one):
    def known(**more):
        return one.act(host="b", **more).get("ansible_facts", {}).get("rolling_node", {}).get("host")
    one.node["host"] = dict(paused=9)
    one.given["evacuation"] = dict(until=70)
    assert known(state="drained") == dict(paused=9, flag="drained")
    assert known(state="leading") == dict(paused=9, led=True)
    assert known(state="paused") == dict(paused=70) and known(state="looked") == dict(paused=9)
    one.given["evacuation"] = {}
    assert known(state="resumed") == dict(paused=0)
    one.node["host"] = dict(moved=dict(old="c"))
    one.given["evacuation"] = [moved("web"), moved()]
    assert known(state="emptied") == dict(moved=dict(old="c", web="c"))
    one.given["evacuation"] = [moved("old"), moved()]
    assert known(state="returned") == dict(moved={})
    # A move that fails is known by those before it.
    one.given["evacuation"] = [moved("web", remaining=["db"]), dict(failed=True, msg="no", moved=[])]
    assert one.act(state="emptied", host="b")[NOTED]["host"] == dict(moved=dict(old="c", web="c"))
    one.check, one.given["evacuation"] = True, {}
    assert known(state="offline") == dict(moved=dict(old="c"))


def test_each_guest_is_told(one):
    one.given["evacuation"] = [moved("web", remaining=["db"], changed=True), moved("db"), moved()]
    result = one.act(state="emptied", host="b")
    assert [arguments.get("at_most") for dummy, arguments in one.calls] == [1, 1, None]
    assert one.words() == ["web (running): b -> c in 1.5 s, 1 left", "db (running): b -> c in 1.5 s"]
    assert [each["guest"] for each in result["moved"]] == ["web", "db"] and result["changed"]
    assert result["left"] == ["old"] and result["hosts"] == [1]
    assert result["ansible_facts"]["rolling_node"]["done"] == [
        "before", "Moved away from b: web to c, db to c"]


def test_nothing_to_move_is_asked_once(one):
    one.given["evacuation"] = moved()
    assert one.act(state="returned", host="b")["moved"] == [] and len(one.calls) == 1 and one.words() == []


def test_check_mode_asks_once(one):
    one.check = True
    one.given["evacuation"] = moved(remaining=["web", "db"])
    assert one.act(state="emptied", host="b")["remaining"] == ["web", "db"] and len(one.calls) == 1


def test_a_guest_that_was_removed_meanwhile(one):
    answer = moved("web")
    answer["moved"][0]["to"] = ""
    one.given["evacuation"] = [answer, moved()]
    result = one.act(state="emptied", host="b")
    assert one.words() == ["web (running): b -> nowhere, it was removed in 1.5 s"]
    assert result["ansible_facts"]["rolling_node"]["done"][1:] == [
        "Moved away from b: web to nowhere, it was removed"]


def test_what_was_moved_before_a_failure_is_recorded(one):
    one.given["evacuation"] = [moved("web", remaining=["db"]), dict(failed=True, msg="db does not move", moved=[])]
    result = one.act(state="emptied", host="b")
    assert result["failed"] and result["msg"] == "db does not move"
    assert result[NOTED]["done"] == ["before", "Moved away from b: web to c"]


def test_guests_are_given_back(one):
    one.given["evacuation"] = [moved("web"), moved()]
    result = one.act(state="returned", host="b")
    assert result["ansible_facts"]["rolling_node"]["done"] == ["before", "Given back to b: web"]
