# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import (
    Again,
    Cause,
    Told,
    advice,
    batch_failure,
    cause_of,
    command_of,
    failed_run,
    given_up,
    lost_node,
    see_why,
    state_of,
    stopped,
    told_of,
    way_back,
)

NODE = dict(name="one", ready_url="http://a:13000/readyz", api_unit="sf-api", database_unit="sf-database",
            release=dict(version="0.8.0", name="0.8.0-old", rewritten=False), drain_grace=25.0, config="/etc/sf/config")
NEW, OLD = dict(version="0.8.1", name="0.8.1-new"), dict(version="0.8.0", name="0.8.0-old")
READY = dict(ready=True, seen={"u": dict(answers="200 from 8 of 8")})
OUT = dict(ready=False, seen={"u": dict(answers="503 from 8 of 8")})


# ---- the cause

def test_a_cause():
    timing, request = dict(step="restart", began=1.0, ended=2.0), dict(want="stop")
    result = dict(msg="expected sf-net to start", failed_units=["sf-net"], timing=timing, request=request, stopped=True,
                  lost=True, away="sf-9", at_balancer=True, logs=["nginx on lb"],
                  seen={"http://a": dict(ready=False), "http://b": dict(ready=True), "c:1": "x"})
    assert cause_of("Restart", result, 3.00049) == Cause(
        step="Restart", words="expected sf-net to start", units=["sf-net"], not_ready=["http://a"], lost=True,
        away="sf-9", at_balancer=True, logs=["nginx on lb"], stopped=True, request=request, timing=timing, at=3.0)


@pytest.mark.parametrize("result", [{}, dict(msg=""), dict(msg=None, seen=None), dict(seen=["a"], request=None)])
def test_a_cause_that_says_nothing(result):
    assert cause_of("Run a hook", result, 1) == Cause(step="Run a hook", words="failed", at=1)
    assert told_of("Run a hook", result) == "Run a hook: failed"


# ---- the way back

# A node on another build of the target's version, and what it is once that of the target is active.
AGAIN = dict(version="0.8.1", name="0.8.1-again", contents="2" * 10)
BUILT = dict(NEW, contents="1" * 10)


def back(go_back=True, moved=False, units=None, **more):
    units = {"sf-api": dict(active=True), "sf-net": dict(active=False)} if units is None else units
    seen = dict(active=NEW, previous=OLD, staged=["0.8.0-old"])
    releases = {name: more.pop(name, known) for name, known in seen.items()}
    release = dict(NODE["release"], **more)
    return way_back(dict(NODE, release=release), BUILT, releases, units, go_back, moved)


@pytest.mark.parametrize("arguments, way, release, start, message", [
    (dict(), "back", "0.8.0-old", ["sf-api", "sf-net"], "went back to 0.8.0"),
    (dict(active=OLD), "stay", "", ["sf-net"], "is on 0.8.0 as before"),
    (dict(active=None), "stay", "", ["sf-net"], "is on its release as before"),
    (dict(go_back=False), "stay", "", ["sf-net"], "is on 0.8.1 as before"),
    (dict(go_back=False, units={}), "stay", "", [], "is on 0.8.1 as before"),
    # What is not recorded as the one before is where it came from.
    (dict(previous=None), "back", "0.8.0-old", ["sf-api", "sf-net"], "went back to 0.8.0"),
    (dict(previous=None, version="0.8.1"), "held", "", [],
     "was left on 0.8.1: there is no release before it to go back to"),
    (dict(previous=None, staged=["0.8.0-renamed"]), "held", "", [],
     "was left on 0.8.1: there is no release before it to go back to"),
    (dict(previous=None, name=None), "held", "", [], "was left on 0.8.1: there is no release before it to go back to"),
    (dict(moved=True), "held", "", [],
     "was left on 0.8.1: the schema was migrated, its sf-database of the release before would not start"),
    # Another installer has written the version into the release that ran: the name tells the two apart.
    (dict(rewritten=True), "back", "0.8.0-old", ["sf-api", "sf-net"], "went back to 0.8.0"),
    (dict(rewritten=True, active=dict(NEW, name="0.8.0-old")), "stay", "", ["sf-net"], "is on 0.8.1 as before"),
    # The version was published again: the build tells whether the node was on the target.
    (dict(active=AGAIN, version="0.8.1", contents="2" * 10), "stay", "", ["sf-net"], "is on 0.8.1 as before"),
    (dict(active=BUILT, previous=AGAIN, version="0.8.1", contents="2" * 10), "back", "0.8.1-again",
     ["sf-api", "sf-net"], "went back to 0.8.1 (build 22222222)"),
    (dict(active=BUILT, previous=None, version="0.8.1", contents="2" * 10, name="0.8.1-again", staged=["0.8.1-again"]),
     "back", "0.8.1-again", ["sf-api", "sf-net"], "went back to 0.8.1 (build 22222222)"),
])
def test_the_way_back(arguments, way, release, start, message):
    found = back(**arguments)
    assert (found.way, found.release, found.start, found.message) == (way, release, start, message)


@pytest.mark.parametrize("active, way, start, message", [
    (OLD, "stay", ["sf-net"], "is on 0.8.0 as before"), (NEW, "back", ["sf-api", "sf-net"], "went back to 0.8.0")])
def test_what_systemd_does_not_start_is_left_alone(active, way, start, message):
    """All others would not be started either."""
    units = {"sf-api": dict(active=True, load="loaded"), "sf-net": dict(active=False, load="loaded"),
             "sf-queues": dict(active=False, load="masked"), "sf-x": dict(active=True, load="bad-setting")}
    found = back(active=active, units=units)
    assert (found.way, found.start) == (way, start)
    assert found.message == f"{message}; systemd cannot start sf-queues (masked), sf-x (bad-setting)"


# ---- what comes next

@pytest.mark.parametrize("again, words", [
    (Again("CMD"), "this release:\nCMD\nIt passes over finished nodes."),
    (Again("CMD", go_back=False), "this time:\nCMD\nIt passes over finished nodes."),
    (Again("CMD", False, True), "this limit:\nCMD\nIt leaves out finished nodes."),
])
def test_again(again, words):
    assert again.words() == f"run the command again, with the options that you gave it and {words}"


def test_the_command():
    assert command_of("CMD", False, ["a"]) == command_of("CMD", True, []) == "CMD"
    assert command_of("CMD", True, ["a", "b"]) == "CMD --limit a,b"


@pytest.mark.parametrize("kind, step, begins, ends", [
    ("upgrade", "begin", "No node was touched.\nNext: fix that", "that you gave it."),
    ("upgrade", "stage", "Nothing in service was changed", "this release:\nCMD"),
    ("upgrade", "schema", "No daemon was restarted", "this release:\nCMD\nThe migration goes on from there."),
    ("rollback", "verify", "All nodes were rolled before this.", "this release:\nCMD"),
    ("restart", "verify", "All nodes were restarted before this.", "This only looks again:\nCMD"),
    ("reconfigure", "verify", "The command was run for all nodes", "options that you gave it."),
    ("restart", "check", "Nothing was touched.\nNext: fix that", "that you gave it."),
    ("restart", "", "", ""),
])
def test_advice(kind, step, begins, ends):
    words = advice(kind, step, "CMD")
    assert words.startswith(begins) and words.endswith(ends) and bool(words) == bool(begins)


# ---- the message

def test_the_state():
    assert state_of("sf-1", "URL", READY, "went back to 0.8.0") == (
        "sf-1 went back to 0.8.0. It serves, every worker is ready.")
    assert state_of("sf-1", "URL", OUT, "") == (
        "sf-1 was left as it is. It is OUT OF ROTATION: URL answers 503 from 8 of 8.")
    assert state_of("sf-1", "URL", {}, "").endswith("URL answers nothing.")
    assert state_of("sf-1", "URL", dict(lost=True), "").endswith("It is lost: nobody knows whether it serves.")


def test_a_stop():
    cause = Cause(words="the roll was asked to stop: amy")
    assert stopped(cause, ["sf-2", "sf-3"], ["sf-1"], ["sf-2", "sf-3", "sf-4"], "Careful.", Again("CMD")) == (
        "Before sf-2, sf-3: the roll was asked to stop: amy\n"
        "Done by this run: sf-1. Not touched: sf-2, sf-3, sf-4.\nCareful.\n"
        "What it means: docs/runbook.md#stopped-as-requested\n"
        "Next: when it may go on, run the command again, with the options that you gave it and this release:\nCMD\n"
        "It passes over finished nodes.")
    cause = Cause(words="nobody knows why")
    assert "Done by this run: no node. Not touched: a.\nNext: " in stopped(cause, ["a"], [], ["a"], "", Again("CMD"))


@pytest.mark.parametrize("words, advice, text", [
    ("cannot write the lock /l: full", "Mine.\nNext: so\nCMD",
     "cannot write the lock /l: full\nMine.\nWhat it means: docs/runbook.md#lock\nNext: so\nCMD"),
    ("no space", "Mine.\nNext: so", "no space\nMine.\nNext: so"),
    ("cannot write the lock", "", "cannot write the lock\nWhat it means: docs/runbook.md#lock"),
    ("see above", "", "see above"),
])
def test_a_step_of_all_nodes_names_its_section(words, advice, text):
    assert given_up(words, advice) == text


def told(left=None, **values):
    cause = values.pop("cause", Cause("Restart", "expected sf-net to start", units=["sf-net"]))
    values = dict(dict(restored="went back to 0.8.0", way="back", suspects=["sf-2"]), **values)
    again = values.pop("again", Again("CMD"))
    return Told("sf-2", NODE, cause, READY if left is None else left, again, **values).text()


def test_the_whole_message():
    assert told(followers=["sf-3"]) == (
        "sf-2: Restart: expected sf-net to start\n"
        "sf-2 went back to 0.8.0. It serves, every worker is ready.\n"
        "Not touched: sf-3.\n"
        "Next: look at journalctl -u sf-net -n 50 on sf-2, and fix the cause.\n"
        "Then run the command again, with the options that you gave it and this release:\nCMD\n"
        "It passes over finished nodes and continues with this one."
        " If the release itself is broken, roll to a fixed one instead.")


def test_a_tier_half_way_is_in_every_message():
    assert "every worker is ready.\nHurry.\nNot touched: sf-3.\n" in told(followers=["sf-3"], caution="Hurry.")


ENTRIES = [dict(step=step, began=began) for step, began in (
    ("restart", 10.0), ("gate", 20.0), ("drain", 30.0), ("restart", 40.0), ("restart", 50.0), ("gate", 60.0),
    ("restart", 90.0))]


@pytest.mark.parametrize("timing, at, began", [
    # What comes after the failure is the way back.
    (dict(step="gate", began=65.0), 80.0, 40.0), ({}, 80.0, 40.0), (dict(step="restart", began=70.0), 80.0, 70.0),
    (dict(step="restart", began=55.0), 56.0, 40.0), (dict(step="drain", began=5.0), 6.0, 5.0), ({}, 6.0, 6.0),
])
def test_when_it_ran(timing, at, began):
    assert failed_run(Cause("Gate", "x", timing=timing, at=at), ENTRIES) == (began, at)


SAID = "the backup is restored with "
HAPROXY = dict(haproxy=dict(was="ready", backend="sf-api", server="one"))
SET = "It is still drained in HAProxy. Once it is ready, type on the stats socket: set server sf-api/"
OTHERS = "The next run marks it up; docs/balancers.md says how"


@pytest.mark.parametrize("values, has, lacks", [
    (dict(way="stay", restored="is on 0.8.0 as before"), ["Not touched: no node is left."], ["a fixed one"]),
    (dict(suspects=["sf-1", "sf-3"]), ["-n 50 on sf-1 and sf-3, and fix"], []),
    (dict(cause=Cause("Renew the lock", "on sf-1: full", away="sf-1")), ["Next: look at sf-1, where that happened,"],
     ["journalctl"]),
    # Words that name a unit do not make it one that has failed.
    (dict(cause=Cause("Drain", "too slow", at_balancer=True, units=["sf-api"])),
     ["Next: look at haproxy.cfg and HAProxy's log: fall times inter must be less than the drain grace (25 s, from "],
     ["journalctl"]),
    (dict(cause=Cause("Drain", "busy", logs=["HAProxy", "nginx on lb"])),
     ["Next: look at the log of HAProxy and nginx on lb, and at the requests that it has in flight to sf-2,"],
     ["journalctl"]),
    (dict(cause=Cause("Gate", "sf-net was left alone")), ["journalctl -u sf-api -u sf-database -n 50"], ["-u sf-net"]),
    (dict(cause=Cause("Gate", "x", units=["sf-a", "sf-b"])), ["journalctl -u sf-a -u sf-b -n 50"], []),
    (dict(ran=(0.0, 90.6)), ['-u sf-net --since "1969-12-31 23:59:55 UTC" --until "1970-01-01 00:01:35 UTC" on sf-2,'],
     ["-n 50"]),
    (dict(cause=Cause("Gate", "gone", lost=True)), ["see why sf-2 cannot be reached (ansible sf-2 -m ping), and"], []),
    (dict(cause=Cause("Gate", "gone", lost=True, away="sf-1")), ["see why sf-1 cannot be reached (ansible sf-1"], []),
    # The schema
    (dict(moved=True), [], [SAID]),
    (dict(moved=True, way="held", restore="mariadb < /b"),
     [". Or go back with the schema, which", f"{SAID}mariadb < /b."], []),
    (dict(moved=True, left=OUT), [f"{SAID}the command that the run has printed that began the migration."], []),
    (dict(moved=False, way="held"), [], [SAID]),
    # Balancers: a node that is back has its requests back, unless that has failed.
    (dict(balancers=HAPROXY), [], ["HAProxy"]),
    (dict(balancers=HAPROXY, left=OUT), [f"{SET}one state ready\n"], []),
    (dict(balancers=HAPROXY, shut=True), [f"{SET}one state ready\n"], []),
    (dict(balancers=dict(haproxy=dict(was="ready", backend="sf-api", server="web")), left=OUT),
     [f"{SET}web state ready\n"], []),
    (dict(balancers=dict(haproxy=dict(was="", backend="b", server="")), left=OUT), [], ["HAProxy"]),
    (dict(balancers=dict(nginx=True, apache=True), left=OUT), [f"marked down in nginx and Apache. {OTHERS}"], []),
    (dict(balancers=dict(nginx=False, apache=True), shut=True), [f"marked down in Apache. {OTHERS}"], ["nginx"]),
    (dict(balancers=dict(nginx=True)), [], [OTHERS]),
    # Hooks
    (dict(hook="Ask: no", hooks=dict(after_gate="/a.yml", before_drain="/b.yml")),
     ["/a.yml failed for it (Ask: no), so what /b.yml did may still be in force."], []),
    (dict(hook="Ask: no", hooks=dict(after_gate="/a.yml", before_drain="")),
     ["so what the one before the drain did may"], []),
])
def test_parts_of_the_message(values, has, lacks):
    text = told(**values)
    assert [part for part in has if part not in text] == [] and [part for part in lacks if part in text] == [], text


@pytest.mark.parametrize("command, inventory", [
    ("ansible-playbook shakenfist.rolling.upgrade", ""), ("(the command that you gave)", ""),
    ("ansible-playbook -i a -i 'my file' shakenfist.rolling.upgrade -e rolling_release=1", "-i a -i 'my file' ")])
def test_a_lost_node_is_asked_on_the_inventory_of_the_run(command, inventory):
    assert see_why(["sf-1"], command) == f"see why sf-1 cannot be reached (ansible {inventory}sf-1 -m ping)"
    text = told(cause=Cause("Gate", "gone", lost=True), again=Again(command))
    assert f"(ansible {inventory}sf-2 -m ping), and fix the cause." in text


def test_other_nodes_of_the_batch():
    again, lost = Again("CMD"), ["sf-3", "sf-4"]
    assert batch_failure("sf-1", ["sf-2"], [], again) == (
        "sf-1 is done and serves. The roll stops because of sf-2, see above.\n"
        "What it means: docs/runbook.md#the-outcome-for-the-node")
    further = ("Next: see why sf-3 and sf-4 has dropped out (ansible sf-3,sf-4 -m ping), and fix the cause.\n"
               f"Then {again.words()}")
    assert batch_failure("sf-1", lost, lost, again).endswith(
        f"because of sf-3, sf-4, see above.\nWhat it means: docs/runbook.md#the-outcome-for-the-node\n{further}")
    words = "sf-3 has dropped out of the run, see above; nobody knows whether it serves"
    section = "What it means: docs/runbook.md#roll-a-node-that-is-lost"
    assert lost_node("sf-3", lost, again) == dict(words=words, text=f"{words}\n{section}\n{further}",
                                                  state=further.splitlines()[0])
    assert f"{words}\nCareful.\n" in lost_node("sf-3", lost, again, "Careful.")["text"]


@pytest.mark.parametrize("result, words", [
    (dict(msg="no"), "no"), ({}, "failed"), (dict(msg="no", module_stderr=""), "no"),
    (dict(msg="Deserialization failed", module_stderr="a\nb\nsudo: a terminal is required\n"),
     "Deserialization failed: b\nsudo: a terminal is required"),
    (dict(msg="no: b\nsudo: no", module_stderr="b\nsudo: no\n"), "no: b\nsudo: no")])
def test_what_stands_in_the_way_of_a_module(result, words):
    assert cause_of("Drain", result, 1.0).words == words and told_of("Drain", result) == f"Drain: {words}"
