# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._evacuation import Guest, Host
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _hosts as hosts
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import Cause
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._hosts import Options

DOMAIN = ".lab"


def cluster(guests=(), leads="n1", booted=None, **changed):
    """Three nodes as they are seen, n1 to n3; changed are fields of a host, by the name of its node."""
    names = ["n1", "n2", "n3"]
    listed = [Host(**dict(dict(name=name + DOMAIN, free=1000, leads=name == leads), **changed.get(name, {})))
              for name in names]
    rows = [dict(hosts=list(map(dataclasses.asdict, listed)), guests=list(map(dataclasses.asdict, guests)), leads=True,
                 problem=""),
            dict(hosts=[], guests=[], leads=False, problem="This is not the master")]
    units = dict(ganeti=dict(active=True))
    return {name: dict(failure="", node=dict(rows[name != leads], name=name, host=name + DOMAIN, boot="x", now=500,
                                             booted=(booted or {}).get(name, 100), units=units)) for name in names}


def guest(name, node, size=100, state="running", home=""):
    return Guest(name, node + DOMAIN, state, size, home=home + DOMAIN if home else "")


EVERYBODY = Options(since=200)


def judged(seen, options=EVERYBODY, **more):
    return hosts.judge_hosts(seen, options, command="ansible-playbook x", **more)


# ---- the plan

def test_the_leader_comes_last():
    refusal, plan, dummy, order = judged(cluster([guest("a", "n1"), guest("b", "n2", state="stopped")]))
    assert not refusal and plan["order"] == ["n2", "n3", "n1"] and plan["batches"] == [["n2"], ["n3"], ["n1"]]
    assert [plan["hosts"][name]["where"] for name in plan["order"]] == ["n1", "n1", "n2"] and plan["where"] == "n2"
    assert [plan["hosts"][name]["successor"] for name in plan["order"]] == ["", "", "n2.lab"]
    assert order == ["1. n2: 1 guest (0 MiB) moved away and back, a reboot",
                     "2. n3: 0 guests (0 MiB) moved away and back, a reboot",
                     "3. n1: 1 guest (100 MiB) moved away and back, a reboot; last, for it is the leader; n2 takes "
                     "that over, and keeps it"]
    assert plan["members"][-1] == dict(name="n2", groups=["rolling_first"])
    assert plan["rooms"][2].split() == ["n2", "1", "0", "1000", "2000", "yes"]


def test_the_words_of_the_product():
    options = Options(since=200, words=dict(guest="instance", leader="master", starter="the watcher"))
    seen = cluster([guest("a", "n1")])
    dummy, plan, dummy, order = judged(seen, options)
    assert "1 instance " in order[2] and "; last, for it is the master; " in order[2]
    assert plan["rooms"][0].split()[1] == "instances"
    lines = hosts.status_of_hosts(seen, options, "")[0]
    assert "instances" in lines[0] and lines[1].endswith("master")
    refused(cluster([guest("a", "n1", 9000)]), "expected room for all instances of n1.lab; ", options)


def test_what_has_booted_since_is_done():
    plan = judged(cluster(booted=dict(n1=300, n2=300, n3=300)))[1]
    assert plan["order"] == [] and plan["done"] == ["n1", "n2", "n3"] and plan["where"] == "n1"
    assert plan["members"] == [dict(name="n1", groups=["rolling_first"])]
    assert hosts.order_lines(plan)[0] == "n1: done already, passed over"


@pytest.mark.parametrize("key", ["behind", "due"])
def test_packages_say_what_is_to_be_rebooted(key):
    seen = cluster()
    seen["n3"]["node"][key] = True
    assert judged(seen, Options())[1]["order"] == ["n3"]


def test_what_a_run_has_begun_comes_first():
    seen = cluster([guest("a", "n1", home="n3")], booted=dict(n3=300, n2=300), n2=dict(note="undrained", offline=True,
                                                                                       free=None))
    refusal, plan, lines, order = judged(seen)
    assert not refusal and plan["order"] == ["n2", "n3", "n1"]
    assert [plan["hosts"][name]["reboots"] for name in plan["order"]] == [False, False, True]
    assert order[0] == "1. n2: no reboot is left to do; an earlier run has begun with it"
    assert order[1] == "2. n3: no reboot is left to do; gets back a"
    assert any(line == "warn  a is on n1.lab, an earlier run has moved it away from n3.lab: it is given back"
               for line in lines)


def test_what_is_left_of_a_node_in_hand():
    """Of what is away already, only the way back is left."""
    away = [guest("a", "n1", 400, home="n2"), guest("b", "n3", state="stopped", home="n2")]
    plan, dummy, order = judged(cluster([*away, guest("c", "n2", 200)], n2=dict(note="undrained", drained=True)))[1:]
    assert order[0] == ("1. n2: 1 guest (200 MiB) still to be moved away, a reboot; an earlier run has begun with it; "
                        "gets back a, b, c")
    assert hosts.forecast_of_hosts(plan)[0]["steps"][0]["seconds"] == round(4 * 2 + 8 + 120)
    order = judged(cluster(away, n2=dict(note="undrained", drained=True)))[3]
    assert order[0] == ("1. n2: its guests are away already, a reboot; an earlier run has begun with it; gets back a, "
                        "b")
    # One that is back, and only has the note yet, does not come back.
    order = judged(cluster([guest("a", "n2", home="n2")], booted=dict(n1=300, n2=300, n3=300)))[3]
    assert order[0] == "1. n2: no reboot is left to do"


def test_what_continues_a_run_is_said_before_it_begins():
    order = judged(cluster(), tells=False)[3]
    assert order[-2:] == ["Should it stop, this continues it, with the options that you gave:", "ansible-playbook x"]
    assert "Should" not in str(judged(cluster())[3])
    assert "Should" not in str(judged(cluster(booted=dict(n1=300, n2=300, n3=300)), tells=False)[3])


def test_the_leader_alone_is_left():
    plan = judged(cluster(booted=dict(n2=300, n3=300)))[1]
    assert plan["order"] == ["n1"] and plan["hosts"]["n1"]["where"] == plan["where"] == "n2"
    # To give it back what it had, nobody has to lead in its place.
    plan = judged(cluster([guest("a", "n2", home="n1")], booted=dict(n1=300, n2=300, n3=300)))[1]
    assert plan["order"] == ["n1"] and plan["hosts"]["n1"]["where"] == plan["where"] == "n1"
    assert not plan["hosts"]["n1"]["leads"]


# ---- what refuses

def refused(seen, words, options=EVERYBODY, **more):
    refusal, plan, dummy, dummy = judged(seen, options, **more)
    assert refusal.startswith("Nothing was touched, the cluster is not fit to be rolled:") and plan == {}
    assert words in refusal, refusal
    return True


def test_no_room():
    seen = cluster([guest("a", "n2", 1500)])
    assert refused(seen, "fail  expected room for all guests of n2.lab; there is none for a (1500 MiB). Free (MiB): "
                         "n1.lab 1000, n3.lab 1000")
    # The table has the sum of it, also where it refuses.
    assert refused(seen, "\nn2    1       1500             1000       2000            no\n")
    assert "free elsewhere" not in judged(cluster(leads=""))[0]
    # One that is not rolled needs none.
    seen["n2"]["node"]["booted"] = 300
    assert judged(seen)[0] == ""
    assert refused(cluster([guest("a", "n2", 600)]), "of which each keeps 500", Options(since=200, reserve=500))


def test_what_a_killed_run_has_left_on_a_host_that_is_not_in_this_one():
    seen = cluster([guest("a", "n1", home="n3")], n3=dict(note="undrained", offline=True, free=None))
    del seen["n3"]
    lines = judged(seen)[2]
    assert ("warn  a is on n1.lab, an earlier run has moved it away from n3.lab, which is not in this run: it stays"
            in lines)
    assert any(line.startswith("warn  n3.lab (left offline by an earlier run) of the cluster: not in this run")
               for line in lines)


@pytest.mark.parametrize("flags, out", [
    (dict(offline=True, note="undrained"), True), (dict(drained=True, note="undrained"), True),
    (dict(note="undrained"), False), (dict(drained=True, note="drained"), False), (dict(drained=True), False)])
def test_how_a_host_is_before_its_turn(flags, out):
    """One that an operator has drained stays so."""
    seen = cluster(n3=flags)
    seen["n3"]["node"].update(behind=True, release=dict(version="0.18.1"))
    found = judged(seen, Options(release="0.19"))[1]["hosts"]["n3"]
    assert (found["out"], found["came_from"]) == (out, "0.18.1")


def test_what_a_killed_run_has_left_on_a_host_that_still_reboots():
    seen = cluster([guest("a", "n1", home="n3")], n3=dict(note="undrained", offline=True, free=None))
    seen["n3"] = dict(seen["n3"], failure="it cannot be reached: refused", node={})
    refusal, dummy, lines, dummy = judged(seen)
    assert "fail  n3: it cannot be reached: refused" in refusal
    for words in ("moved it away from n3.lab, which is not among those of this run that were reached: it stays",
                  "n3.lab (left offline by an earlier run) of the cluster: not among those of this run that were "
                  "reached, it is not rolled"):
        assert any(line.endswith(words) for line in lines)


def test_room_counts_as_if_everything_were_at_home():
    """What an earlier run has moved away is given back before the others are emptied."""
    stray = guest("a", "n1", 800, home="n2")
    seen = cluster([stray, guest("b", "n3", 900)], n1=dict(free=200))
    assert judged(seen)[0] == ""
    view = hosts.View(seen)
    assert [hosts.freed(one, view.guests) for one in view.hosts] == [1000, 200, 1000]
    assert "there is none for a (800 MiB)" in hosts.room_of(view, "n2", Options(reserve=300))[1]


LEFT = dict(note="undrained", offline=True, free=None, able=False)


@pytest.mark.parametrize("left", [LEFT, dict(LEFT, offline=False, drained=True, free=1000)])
def test_what_an_earlier_run_has_left_in_hand_counts_as_done_in_the_turn_of_the_others(left):
    """The others can have mirrors there, and the one that leads may have no other to follow it."""
    seen = cluster([dataclasses.replace(guest("a", "n1", 900), to="n2.lab"), guest("b", "n3", 900)], n2=left,
                   n3=dict(able=False))
    refusal, plan, dummy, dummy = judged(seen)
    assert not refusal and plan["order"] == ["n2", "n3", "n1"] and plan["hosts"]["n1"]["where"] == "n2"
    # Not, if it is not in this run, or an operator had drained it.
    del seen["n2"]
    assert refused(seen, "none for a (900 MiB, only to n2.lab)")
    refusal = judged(cluster(n2=dict(left, note="drained"), n3=dict(able=False)))[0]
    assert "n1 leads the cluster, and no other node of this run can" in refusal


def test_memory_that_is_not_known_yet():
    seen = cluster([guest("a", "n1", 900)], n2=LEFT)
    assert judged(seen)[1]["rooms"][1].split() == ["n1", "1", "900", "1000", "1000", "+", "unknown", "yes"]
    seen = cluster([guest("a", "n1", 900), guest("b", "n1", 900)], n2=LEFT)
    refusal, plan, lines, dummy = judged(seen)
    assert not refusal and plan["rooms"][1].endswith("1000 + unknown  not known") and "pass  room" not in lines
    assert ("warn  whether there is room for the guests of n1 is not known, for that hangs on the memory of n2.lab, "
            "which an earlier run has left offline; it is looked at again before anything moves") in lines


def test_the_cluster_complains_of_mirrors_on_a_host_that_an_earlier_run_has_left_offline():
    words = "ERROR:EINSTANCEBADNODE:instance:a:instance has offline secondary node(s) n2.lab"
    seen = cluster(n2=LEFT)
    refusal, dummy, lines, dummy = judged(seen, verified=[words])
    assert not refusal and any(line.startswith("warn  the cluster complains of itself, and of what an earlier run has "
                                               "left offline: ERROR:EINSTANCEBADNODE") for line in lines)
    assert refused(seen, "fail  the cluster complains of itself: ERROR", verified=[words.replace("n2.lab", "n2.lab.x")])
    del seen["n2"]
    assert refused(seen, "fail  the cluster complains of itself: ERROR", verified=[words])


def test_guests_that_were_left_on_a_host_that_is_offline():
    seen = cluster([guest("a", "n2", state="ERROR_nodeoffline")], n2=LEFT)
    assert not judged(seen, Options(since=200, stopped=False))[0]
    assert refused(seen, "a on n2.lab is ERROR_nodeoffline")
    seen = cluster([guest("a", "n2", state="ERROR_nodedown")], n2=dict(LEFT, offline=False, free=1))
    assert refused(seen, "a on n2.lab is ERROR_nodedown", Options(since=200, stopped=False))


@pytest.mark.parametrize("changed, words", [
    (dict(n2=dict(offline=True)), "n2: n2.lab is marked offline, and not by a run"),
    (dict(n2=dict(free=None)), "n2: the cluster does not know the memory of n2.lab"),
    (dict(n2=dict(able=False), n3=dict(drained=True)), "n1 leads the cluster, and no other node of this run can")])
def test_unfit_hosts(changed, words):
    assert refused(cluster(**changed), f"fail  {words}")


def test_unfit_nodes():
    seen = cluster()
    seen["n2"].update(node={}, failure="it cannot be reached: no route")
    assert refused(seen, "fail  n2: it cannot be reached: no route")
    seen = cluster()
    seen["n3"]["node"].update(units={}, host="elsewhere", problems=["it holds back ganeti"])
    for words in ("n3: ganeti is to run there and does not: see journalctl -u ganeti",
                  "n3: the cluster has no host elsewhere", "n3: it holds back ganeti"):
        assert refused(seen, words, Options(since=200, units=["ganeti"]))


def test_nobody_leads():
    seen = cluster(leads="")
    assert refused(seen, "no node leads the cluster, and --limit hides n9: This is not the master", hidden=["n9"])
    for one in seen.values():
        one.update(node={}, failure="gone")
    assert refused(seen, "no node leads the cluster: none was reached")
    seen = cluster()
    seen["n2"]["node"].update(leads=True)
    assert refused(seen, "expected one node to lead the cluster, seen n1 and n2")


def test_guests_and_the_cluster_itself():
    assert refused(cluster([guest("a", "n2", state="ERROR_down")]),
                   "a on n2.lab is ERROR_down, neither running nor shut down: start it, or shut it down")
    assert refused(cluster(), "fail  the cluster complains of itself: ERROR:X: y", verified=["ERROR:X: y"])


@pytest.mark.parametrize("verified, words", [
    ([], []), ([dict(skipped=True)], []), ([dict(skipped=True), dict(problems=[])], []),
    ([dict(problems=["ERROR:X: y"]), dict(skipped=True)], ["ERROR:X: y"]),
    ([dict(failed=True, msg="no answer")], ["no answer"]),
    ([dict(failed=False, failed_when_result=False, msg="no answer")], ["no answer"])])
def test_what_the_cluster_complains_of(verified, words):
    assert hosts.complaints_of(verified) == words


def test_of_many_complaints_the_first_are_shown():
    many = [f"ERROR:X: {number}" for number in range(8)]
    assert hosts.complaint([]) == "" and hosts.complaint(many[:1]) == "the cluster complains of itself: ERROR:X: 0"
    assert hosts.complaint(many[:2]) == "the cluster complains of itself: it says\n  ERROR:X: 0\n  ERROR:X: 1"
    assert hosts.complaint(many[:6]).endswith("ERROR:X: 5")
    assert hosts.complaint(many[:7]).endswith("ERROR:X: 5\n  and 1 more; the check of the cluster shows all")
    lines = judged(cluster(), verified=many)[2]
    assert lines[5:7] == ["fail  the cluster complains of itself: ERROR:X: 5",
                          "fail  the cluster complains of itself: and 2 more; the check of the cluster shows all"]


def test_warnings():
    seen = cluster([guest("a", "n2", state="stopped")], n2=dict(drained=True))
    del seen["n3"]
    lines = judged(seen, Options(since=200, stopped=False))[2]
    assert [line for line in lines if line.startswith("warn")] == [
        "warn  a: shut down, and left where they are", "warn  n3.lab of the cluster: not in this run, it is not rolled",
        "warn  n2: n2.lab is drained, and not by a run: it is so again afterwards"]


# ---- what is shown

def test_the_forecast():
    plan = judged(cluster([guest("a", "n2", 400)], booted=dict(n1=300, n3=300)))[1]
    found, lines = hosts.forecast_of_hosts(plan)
    assert found["steps"] == [dict(node="n2", guests=["a"], reboots=True, leads=False, back=[], seconds=132)]
    assert found["expected"]["seconds"] == 132 and lines[-1] == "ansible-playbook x"
    assert any(line.startswith("Expected: 2 min 12 s.") for line in lines)
    found, lines = hosts.forecast_of_hosts(judged(cluster(booted=dict(n1=300, n2=300, n3=300)))[1])
    assert found["expected"] == dict(seconds=0, minutes=0, how="") and lines[-1].endswith("passed over")


def test_what_is_given_back_takes_little():
    plan = judged(cluster([guest("a", "n1", home="n2")], booted=dict(n1=300, n2=300, n3=300)))[1]
    assert hosts.forecast_of_hosts(plan)[0]["steps"][0]["seconds"] == 2


def test_the_status():
    seen = cluster([guest("a", "n1", home="n3"), guest("b", "n2", state="ERROR_up")], n2=dict(drained=True),
                   n3=dict(offline=True, note="undrained", free=None))
    seen["n2"]["node"]["units"] = {}
    lines, ill = hosts.status_of_hosts(seen, Options(units=["ganeti"]), "nobody has it")
    assert ill == ["n2"] and lines[1].split()[:7] == ["n1", "n1.lab", "online", "1000", "1", "6", "min"]
    assert "drained" in lines[2] and lines[3].endswith("in the hand of a run, gets back a")
    assert lines[1].endswith("leader") and lines[0].split()[3:6] == ["free", "(MiB)", "guests"]
    assert "n2: ganeti is to run there and does not: see journalctl -u ganeti" in lines
    assert any(line.startswith("b on n2.lab is ERROR_up") for line in lines) and lines[-1] == "lock: nobody has it"
    seen["n2"]["node"]["host"] = "x"
    assert "not in the list" in hosts.status_of_hosts(seen, Options(), "")[0][2]


# ---- what is told of a failure

def sight(guests=(), **changed):
    """The lists as they are looked at last, in the turn of n2."""
    node = cluster(guests, **changed)["n1"]["node"]
    return hosts.Sight(dict(hosts=node["hosts"], guests=node["guests"]), "n2.lab")


@pytest.mark.parametrize("changed, words", [
    ({}, "is not drained"), (dict(drained=True), "stays drained"), (dict(offline=True), "is offline"),
    (dict(name="other"), "is not drained")])
def test_how_a_host_was_left(changed, words):
    left = sight([guest("a", "n2"), guest("b", "n1", home="n2"), guest("c", "n2", home="n2"),
                  guest("d", "n3", home="n2", state="ERROR_nodedown")], n2=changed)
    assert left.words("n2", "guest") == (
        f"n2 {words}. On it: a (running), c (running). Moved away, and given back by the next run: b (running on "
        "n1.lab), d (ERROR_nodedown on n3.lab).")


def test_how_a_host_was_left_that_is_empty():
    assert hosts.Sight({}, "n2.lab").words("n2", "instance") == "n2 is not drained. On it: no instance."


def test_what_does_not_answer_and_does_not_run():
    down = [guest("a", "n3", state="ERROR_nodedown"), guest("b", "n1", state="stopped"), guest("c", "n1")]
    left = sight(down, n3=dict(free=None), n2=dict(free=None))
    assert left.silent() == ["n3.lab"] and left.down() == ["a (ERROR_nodedown on n3.lab)"]
    # A run has marked it offline, which hides what was left there.
    left = sight(down, n3=LEFT)
    assert left.silent() == [] and left.down() == []
    left = hosts.Sight({}, "n2.lab")
    assert left.silent() == left.down() == [] and left.lacking(Options()) == ""


def test_the_memory_that_is_missing():
    assert sight([guest("a", "n2", 900)]).lacking(Options()) == ""
    assert sight([guest("a", "n2", 1200)]).lacking(Options()) == "200 MiB more than now on another node, for a"
    assert sight([guest("a", "n2", 900), guest("b", "n2", 800), guest("c", "n2", 300)]).lacking(
        Options(reserve=50)) == "150 MiB more than now on another node, for c"
    bound = dataclasses.replace(guest("a", "n2", 900), to="n3.lab")
    assert sight([bound], n3=dict(free=400)).lacking(Options()) == "500 MiB more than now on n3.lab, for a"
    assert sight([bound], n3=dict(drained=True)).lacking(Options()) == "900 MiB more than now on n3.lab, for a"
    # More memory does not help one that no command moves.
    assert sight([dataclasses.replace(bound, fixed="plain")], n3=dict(free=1)).lacking(Options()) == ""
    assert sight([guest("a", "n2", 1200)], n1=dict(free=9999)).lacking(Options(stopped=False)) == ""


@pytest.mark.parametrize("known, why, words", [
    ({}, "", "As far as this run knows, n2 is not drained; the cluster could not be asked what is on it."),
    (dict(flag="drained", moved=dict(web="n3.lab")), "",
     "As far as this run knows, n2 is drained; the cluster could not be asked what is on it. Moved away by this run: "
     "web (to n3.lab)."),
    (dict(flag="offline"), "not the master",
     "As far as this run knows, n2 is offline; the cluster could not be asked what is on it: not the master.")])
def test_how_a_host_was_left_where_the_cluster_cannot_be_asked(known, why, words):
    assert hosts.blind_words("n2", known, why) == words


@pytest.mark.parametrize("known, words", [
    ({}, ""), (dict(paused=100), ""), (dict(paused=0), ""),
    (dict(paused=3600 * 20 + 60 * 46), "What starts guests by itself is paused until 20:46 UTC.")])
def test_what_is_paused_still(known, words):
    assert hosts.pause_words(known, Options().words, 100) == words


def stand(**more):
    return hosts.Stand(**dict(dict(state="n2 stays drained.", left=["n2", "n3", "n1"], look="look at gnt-job list",
                                   command="ansible-playbook -i x y", leader="n1", called="master",
                                   takeover="gnt-cluster master-failover"), **more))


def test_the_message():
    text = hosts.told_of_host("n2", Cause("Empty the host", "web does not move", away="n1"), stand())
    assert text.startswith("n2: Empty the host: web does not move\nn2 stays drained.\nNot touched: n3, n1.\n")
    assert ("Next: look at gnt-job list, and fix the cause.\nThen run the command again, with the options that you "
            "gave it:\nansible-playbook -i x y\nIt passes over what is done, continues with this one") in text
    assert "Not touched: no node is left." in hosts.told_of_host("n2", Cause("x", "y"), stand(left=["n2"]))
    text = hosts.told_of_host("n2", Cause("x", "asked to stop", stopped=True), stand(left=["n2", "n3"]))
    assert text.startswith("Before n2: asked to stop\nNot touched: n2, n3.\n") and "Next: when it may go on" in text


AWAY = "the node cannot be reached by ssh any more, and did not come back within 9 s: no"
SECTION = "What it means: docs/runbook.md#roll-the-master-is-lost"


@pytest.mark.parametrize("cause, more, words", [
    (dict(away="n1"), {}, "look at gnt-job list, and fix the cause."),
    ({}, {}, "look at n2, where that happened, and fix the cause."),
    ({}, dict(leader="n2"), "look at gnt-job list, and fix the cause."),
    (dict(step="Reboot"), {}, "look at the console of n2, and fix the cause."),
    (dict(away="n1"), dict(lacking="200 MiB more than now on n3, for a"),
     "have room, 200 MiB more than now on n3, for a, and fix the cause."),
    (dict(away="n1"), dict(silent=["n3"], lacking="x"),
     "see why n3 does not answer (ansible -i x n3 -m ping), and fix the cause."),
    (dict(away="n1"), dict(silent=["n3"], down=["web (ERROR_nodedown on n3.lab)"]),
     "see why n3 does not answer (ansible -i x n3 -m ping), and fix the cause, and start what does not run.")])
def test_what_comes_next_fits_the_failure(cause, more, words):
    text = hosts.told_of_host("n2", Cause(**dict(dict(step="x", words="y"), **cause)), stand(**more))
    assert f"\nNext: {words}\nThen run" in text


def test_another_node_is_down_meanwhile():
    cause = Cause("Have the cluster check itself", hosts.complaint(["ERROR:A: n3", "ERROR:B: web"]), away="n1")
    down = ["web (ERROR_nodedown on n3.lab)", "db (ERROR_nodedown on n3.lab)"]
    assert hosts.told_of_host("n2", cause, stand(silent=["n3"], down=down)).splitlines()[:8] == [
        "n2: Have the cluster check itself: the cluster complains of itself: it says", "  ERROR:A: n3",
        "  ERROR:B: web", "n3 does not answer the cluster.",
        "NOT RUNNING: web (ERROR_nodedown on n3.lab), db (ERROR_nodedown on n3.lab).", "n2 stays drained.",
        "Not touched: n3 (does not answer), n1.",
        "What it means: docs/runbook.md#roll-a-host-and-its-guests"]


def test_the_one_that_leads_is_lost():
    cause = Cause("Empty the host", AWAY, lost=True)
    text = hosts.told_of_host("n2", cause, stand(gone="n1"))
    assert text.splitlines()[1:6] == [
        "n1 is the master: without it the cluster can be asked and told nothing, until it is back, or another node "
        "has taken over.", "n2 stays drained.", "Not touched: n3.", SECTION,
        "Next: see why n1 cannot be reached (ansible -i x n1 -m ping), and fix the cause. If it stays dead, have "
        "another node take over that is not drained, by typing there: gnt-cluster master-failover"]
    # Where the product has no such command.
    assert "If it stays dead" not in hosts.told_of_host("n2", cause, stand(gone="n1", takeover=""))


@pytest.mark.parametrize("gone, rest", [("n2", "n3, n1"), ("n3", "n1")])
def test_another_node_is_lost(gone, rest):
    cause = Cause("x", AWAY, lost=True)
    text = hosts.told_of_host("n2", cause, stand(gone=gone))
    assert (f"\n{gone} is lost in the turn of n2.\nn2 stays drained.\nNot touched: {rest}.\n{SECTION}\n"
            f"Next: see why {gone} cannot be reached (ansible -i x {gone} -m ping), and fix the cause.\nThen") in text
