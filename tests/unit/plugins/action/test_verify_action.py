# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Whether a node is what it is to be, on modules that answer what a test wants.

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.action import verify
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

UNITS = {name: dict(active=True, state="active", invocation=name, restarts=0) for name in ("sf-api", "sf-net")}
DOWN = dict(UNITS, **{"sf-net": dict(active=False, state="failed")})
NODE = dict(name="one", ready_url="http://sf-1", api_unit="sf-api", daemons=list(UNITS), units=UNITS, behind=[],
            credentials="/c", api_url="http://sf-1", sentinels=["s"], release=dict(version="0.8.1", since=100.0))


@pytest.fixture
def one(monkeypatch):
    return Steps(monkeypatch, verify, "verify", ready_info=dict(ready=True, seen={}), units_info=dict(units=UNITS),
                 exceptions_info=dict(count=0, files=[]), nodes_info=dict(notes=[]))


def done(one, **arguments):
    return one.act(**dict(dict(state="done", node=NODE, version="0.8.1", rolled=True, bake=10.0, since=0.0,
                               exceptions="/srv/e", advice="Go back."), **arguments))


@pytest.mark.parametrize("kind, since", [("upgrade", 0), ("rollback", 0), ("restart", 50.0), ("reconfigure", 50.0)])
def test_what_the_run_has_done(one, kind, since):
    one.run.update(kind=kind, plan=dict(since=50.0, api=False, nodes=[dict(name="one")]))
    one.node = dict(rolled=True)
    assert one.act(state="seen") == dict(changed=False, rolled=True, since=since, looks=False, api=False)
    one.run["plan"]["order"] = ["sf-1"]
    assert one.act(state="seen")["looks"] is True


def test_without_a_run(one):
    one.run, one.node = dict(id=""), {}
    assert one.act(state="seen") == dict(changed=False, rolled=False, since=0, looks=True, api=True)


def test_a_node_that_was_rolled(one):
    result = done(one)
    assert one.words() == ["sf-1 runs 0.8.1"] and not result["changed"]
    assert one.calls == [
        ("ready_info", dict(urls=["http://sf-1"], unit="sf-api", rounds=10, interval=1)),
        ("units_info", dict(patterns=["sf-api", "sf-net"])),
        ("exceptions_info", dict(path="/srv/e", since=100.0))]
    assert one.told() == [("ready_info", "ok"), ("exceptions_info", "ok")]
    timeline = result["ansible_facts"]["rolling_node"]["timeline"]
    assert [entry["module"] for entry in timeline] == one.asked() and timeline[0]["step"] == "verify"


def test_a_look_at_once(one):
    done(one, bake=0.0, since=50.0)
    assert one.calls[0][1]["rounds"] == 1 and one.calls[2][1]["since"] == 50.0


@pytest.mark.parametrize("ago, rounds", [(0.5, 10), (6.2, 4), (600, 1)])
def test_how_long_the_daemons_have_run_already(one, monkeypatch, ago, rounds):
    monkeypatch.setattr(verify.time, "time", lambda: 1000.0)
    one.node = dict(timeline=[dict(ended=1.0), dict(module="units", ended=2.0), dict(module="units", ended=1000.0 - ago),
                              dict(module="ready_info", ended=999.9)])
    done(one)
    assert one.calls[0][1]["rounds"] == rounds


def test_a_node_that_was_passed_over(one):
    assert done(one, rolled=False) == dict(changed=False) and one.words() == ["sf-1 runs 0.8.1"] and one.calls == []


def test_check_mode_requires_nothing(one):
    one.check = True
    assert done(one, version="0.8.2") == dict(changed=False) and one.calls == []


def test_another_release(one):
    result = done(one, version="0.8.2")
    assert result["failed"] and "expected release 0.8.2" in result["msg"] and one.calls == []


@pytest.mark.parametrize("answers, words", [
    (dict(ready_info=dict(ready=False, seen=dict(u=dict(answers="503")))), "expected 200 from every worker for 10 s"),
    (dict(units_info=dict(units=DOWN)), "sf-1: expected every daemon to stay up for 10 s after its restart; sf-net is "
     "failed. The node runs 0.8.1. Look at journalctl -u sf-net"),
    (dict(exceptions_info=dict(count=1, files=["a"])), "since 0.8.1 is active there are 1 unhandled exceptions in"),
])
def test_a_node_that_is_not_what_it_was_at_its_gate(one, answers, words):
    one.given.update(answers)
    result = done(one)
    assert result["failed"] and words in result["msg"] and result["msg"].endswith("Go back.") and len(one.calls) == 3


@pytest.mark.parametrize("module, calls", [("ready_info", 1), ("units_info", 2), ("exceptions_info", 3)])
def test_a_module_that_fails(one, module, calls):
    one.given[module] = dict(failed=True, msg="broken", module_stderr="why")
    result = done(one)
    assert result["failed"] and (result["msg"], result["module_stderr"]) == ("broken", "why")
    assert len(one.calls) == calls


# ---- what the API says of all nodes

def reported(one, **arguments):
    one.variables = dict(ansible_play_hosts=["sf-1", "sf-2"])
    one.others = {name: dict(cluster_node=dict(name=name.replace("sf", "n"))) for name in ("sf-1", "sf-2")}
    return one.act(state="reported", node=NODE, version="0.8.1", sentinels=False, timeout=60.0, **arguments)


@pytest.mark.parametrize("given", [dict(), dict(before=[dict(name="n-1")])])
def test_every_node_is_created(one, given):
    one.run.update(plan=dict(nodes=[dict(name="n-1")] if not given else []))
    assert reported(one, **given)["notes"] == [] and one.calls == [("nodes_info", dict(
        credentials="/c", url="http://sf-1", release="0.8.1", names=["n-1", "n-2"], states=["created"],
        before=[dict(name="n-1")], sentinels=["s"], sentinels_alone=True, timeout=60.0))]


def test_what_is_not_as_it_should_be(one):
    one.given["nodes_info"] = dict(notes=["a", "b"])
    result = reported(one)
    assert result["notes"] == ["a", "b"] and one.words() == ["warn  a\nwarn  b"]


def test_nodes_that_do_not_report_it(one):
    one.given["nodes_info"] = dict(failed=True, msg="expected more")
    assert reported(one)["msg"] == "expected more"
