# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import sys
import time

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.modules import evacuation
from ansible_collections.shakenfist.rolling.tests.unit import toy_cluster

TOY = pathlib.Path(__file__).parents[2] / "toy_cluster.py"


class Toy:
    """The cluster of the test, and the module on it."""

    def __init__(self, path, run_module):
        self.path, self.run_module = path, run_module
        self.write(hosts=dict(a=dict(memory=1000, role="M"), b=dict(memory=1000), c=dict(memory=1000)),
                   guests=dict(web=dict(host="b", state="running", size=300),
                               db=dict(host="b", state="running", size=500),
                               old=dict(host="b", state="ADMIN_down", size=900)),
                   jobs=[], tags=[], paused=0, faults={}, name="a")

    def write(self, **state):
        self.path.write_text(json.dumps(state))

    @property
    def state(self):
        return json.loads(self.path.read_text())

    def change(self, change):
        state = self.state
        change(state)
        self.write(**state)

    def fault(self, command, **how):
        self.change(lambda state: state["faults"].update({command: how}))

    def guest(self, name, **values):
        self.change(lambda state: state["guests"].setdefault(name, {}).update(values))

    def host(self, name, **values):
        self.change(lambda state: state["hosts"][name].update(values))

    def command(self, *words):
        return [sys.executable, str(TOY), str(self.path), *words]

    def cluster(self, **more):
        do = self.command
        rows = dict(separator="|")
        return dict(dict(
            name=do("name"), hosts=dict(rows, command=do("list_hosts"),
                                        columns=["name", "free", "role", "drained", "offline", "notes"]),
            guests=dict(rows, command=do("list_guests"), columns=["name", "host", "state", "size", "to", "notes"]),
            busy=dict(rows, command=do("list_jobs"), columns=["status", "what"], words=["running"]),
            leads=["M"], able=["M", "C"], stopped=["ADMIN_down"],
            remember=do("tag", "guests", "{guest}", "{note}"), forget=do("untag", "guests", "{guest}", "{note}"),
            mark=do("tag", "hosts", "{host}", "{note}"), unmark=do("untag", "hosts", "{host}", "{note}"),
            move=do("move", "{guest}"), move_to=do("move", "{guest}", "{to}"),
            move_stopped=do("move", "{guest}"), move_stopped_to=do("move", "{guest}", "{to}"),
            drain=do("flag", "{host}", "drained", "yes"), undrain=do("flag", "{host}", "drained", "no"),
            offline=do("flag", "{host}", "offline", "yes"), online=do("flag", "{host}", "offline", "no"),
            lead=do("lead"), able_to_lead=do("able", "{host}"), mirror=do("mirror", "{guest}"),
            pause=dict(look=do("watcher", "info"), until="is paused until (.*)\\.",
                       pause=do("watcher", "pause", "{seconds}"), resume=do("watcher", "resume"),
                       marks=do("cluster_tags"), mark=do("cluster_tag", "{note}"),
                       unmark=do("cluster_untag", "{note}")),
            verify=dict(command=do("verify"), pattern=r"ERROR:(\w+):", ignored=["EFINE"])), **more)

    def run(self, state, host="b", check=False, cluster=None, **arguments):
        # Of a run of its own each: what an earlier one has moved, only the cluster tells.
        return self.run_module(evacuation, check, state=state, host=host, cluster=self.cluster(**(cluster or {})),
                               **dict(dict(timeout=5), **arguments))

    def places(self):
        return {name: guest["host"] for name, guest in self.state["guests"].items()}


@pytest.fixture
def real(tmp_path, run_module, clock):
    """With processes for all commands."""
    return Toy(tmp_path / "cluster.json", run_module)


@pytest.fixture
def toy(real, monkeypatch):
    """Without: each command takes a machine some tenths of a second to start."""
    run_command = AnsibleModule.run_command

    def run(module, words, **arguments):
        if str(TOY) not in words or "sleep" in str(real.state["faults"]):
            return run_command(module, words, **arguments)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = toy_cluster.Cluster(str(real.path)).do(*words[words.index(str(TOY)) + 2:])
        return code, said.getvalue(), ""
    monkeypatch.setattr(AnsibleModule, "run_command", run)
    return real


def test_a_look(toy):
    toy.guest("web", tags=["mine", "rolling:from:c"])
    found = toy.run("looked")
    assert (found["name"], found["leads"], found["problem"], found["changed"]) == ("a", True, "", False)
    assert found["hosts"][0] == dict(name="a", free=1000, drained=False, offline=False, leads=True, able=True, note="",
                                     group="", capable=True)
    assert found["guests"][0] == dict(name="web", host="b", state="running", size=300, to="", home="c",
                                      fixed="")
    assert found["guests"][2]["state"] == "stopped"


def test_a_look_where_the_commands_are_not_run(toy):
    toy.fault("list_hosts", code=1, says="This is not the master node")
    found = toy.run("looked")
    assert not found["failed"] and not found["leads"] and not found["hosts"]
    assert "it ended with 1: b|200|C|N|N|; c|1000|C|N|N|; This is not the master node" in found["problem"]


@pytest.mark.parametrize("code, words", [
    (1, "it ended with 1: "), (124, "it ended with 124 after 120 s: "), (137, "it ended with 137 after 120 s: "),
    (126, "whole path in the product's file"), (127, "whole path in the product's file")])
def test_how_a_question_has_ended(toy, code, words):
    toy.fault("list_hosts", code=code)
    found = toy.run("room")
    assert found["failed"] and ": expected an answer, it ended with" in found["msg"] and words in found["msg"]
    assert found["msg"].endswith("in the product's file") is (code in evacuation.NOT_RUN)


def test_a_list_of_another_form(toy):
    found = toy.run("room", cluster=dict(hosts=dict(command=["echo", "a|b"], separator="|", columns=["name"])))
    assert found["failed"] and found["msg"] == "expected 1 columns (name), seen 2: a|b"


# ---- room

def test_there_is_room(toy):
    assert not toy.run("room")["failed"]


@pytest.mark.parametrize("change, words", [
    (dict(memory=200), "for db (500 MiB), web (300 MiB). Free (MiB): a 200, c 200"),
    (dict(drained=True), "Free (MiB): a is drained, c is drained"), (dict(offline=True), "Free (MiB): a is offline"),
    (dict(down=True), "Free (MiB): a unknown, c unknown"), (dict(memory=400), "for db (500 MiB). Free")])
def test_there_is_none(toy, change, words):
    for name in "ac":
        toy.host(name, **change)
    found = toy.run("room")
    assert found["failed"] and words in found["msg"]
    assert found["msg"].startswith("expected room for all guests of b; there is none for ")


def test_what_every_host_keeps(toy):
    words = dict(words=dict(guest="instance"))
    assert "for all instances of b" in toy.run("room", reserve=600, cluster=words)["msg"]
    found = toy.run("room", reserve=600)
    assert found["failed"] and "there is none for db (500 MiB). " in found["msg"] and found["msg"].endswith(
        "c 1000, of which each keeps 600")


def test_a_guest_that_can_only_go_to_one_host(toy):
    toy.guest("web", to="c")
    toy.host("c", memory=100)
    assert "web (300 MiB, only to c)" in toy.run("room")["msg"]
    toy.host("c", memory=300)
    toy.run("emptied")
    assert toy.places() == dict(web="c", db="a", old="a")


# ---- flags

@pytest.mark.parametrize("state, flag, value", [("drained", "drained", True), ("offline", "offline", True)])
def test_flags(toy, state, flag, value):
    assert toy.run(state, check=True)["changed"] and not toy.state["hosts"]["b"].get(flag)
    assert toy.run(state)["changed"] and toy.state["hosts"]["b"][flag] is value
    assert not toy.run(state)["changed"]
    back = dict(drained="undrained", offline="online")[state]
    assert toy.run(back)["changed"] and toy.state["hosts"]["b"][flag] is False


def test_a_flag_that_is_not_set_although_the_command_ends_well(toy):
    toy.fault("flag b", nothing=True)
    found = toy.run("offline")
    assert found["failed"] and "expected the list to show b offline within 30 s, it does not." in found["msg"]
    assert "flag b offline yes ended with 0: without a word" in found["msg"]


@pytest.mark.parametrize("looks, words", [
    (30, ""), (500, "it does not, and the cluster still has it to do: it may")])
def test_a_flag_whose_job_waits_for_its_turn(toy, looks, words):
    """Ganeti's client was ended; its job sets the flag as soon as others have given back their locks."""
    toy.fault("flag b", nothing=True, code=124)
    toy.change(lambda state: state.update(jobs=[["running", "NODE_SET_PARAMS(b)"]] * looks,
                                          flags=dict(b=dict(offline=True))))
    found = toy.run("offline", timeout=3 if words else 60)
    assert found["failed"] is bool(words) and words in found.get("msg", "")
    assert bool(toy.state["hosts"]["b"].get("offline")) is not found["failed"]


def test_a_flag_that_is_set_although_the_command_fails(toy):
    toy.fault("flag b", code=1)
    assert not toy.run("offline")["failed"]


def test_a_product_without_such_a_flag(toy):
    assert not toy.run("offline", cluster=dict(offline=[]))["changed"]


def test_a_host_that_is_not_there(toy):
    for state in ("drained", "emptied", "returned"):
        assert "expected x in the list of hosts; there are: a, b, c" in toy.run(state, host="x")["msg"]


@pytest.mark.parametrize("before", [True, False])
def test_a_host_is_released_as_it_was(toy, before):
    toy.host("b", drained=before)
    toy.run("drained")
    assert toy.state["hosts"]["b"]["tags"] == [f"rolling:was:{'drained' if before else 'undrained'}"]
    # A run that was killed is followed by another one.
    toy.run("drained")
    toy.run("undrained")
    toy.run("released", check=True)
    assert not toy.state["hosts"]["b"]["drained"] and toy.state["hosts"]["b"]["tags"]
    toy.run("released")
    assert toy.state["hosts"]["b"]["drained"] is before and toy.state["hosts"]["b"]["tags"] == []
    assert not toy.run("released")["changed"]


def test_a_note_on_a_host_that_is_not_made(toy):
    toy.fault("tag hosts", nothing=True)
    assert "expected a note of this run on b within 30 s" in toy.run("drained")["msg"]
    assert not toy.state["hosts"]["b"].get("drained")


def test_whole(toy):
    assert not toy.run("whole")["failed"]
    toy.host("b", down=True)
    assert toy.run("whole")["msg"] == (
        "expected the list to show b with its memory within 5 s; last seen: its memory is not known")
    toy.host("b", offline=True)
    assert toy.run("whole")["msg"].endswith("last seen: offline")


def test_mirrors_after_a_reboot(toy):
    """Only of what runs, and has its mirror on this host."""
    toy.guest("web", host="c", to="b")
    toy.guest("old", to="b", host="c")
    toy.guest("db", host="b", to="c")
    assert toy.run("mirrored", check=True) and not toy.state.get("mirrored")
    assert not toy.run("mirrored", cluster=dict(mirror=[]))["failed"] and not toy.state.get("mirrored")
    assert not toy.run("mirrored")["failed"] and toy.state["mirrored"] == ["web"]


@pytest.mark.parametrize("removed", [False, True])
def test_a_mirror_that_is_not_complete(toy, removed):
    toy.guest("web", host="c", to="b")
    toy.fault("mirror web" if not removed else "remove web", code=1, says="disk is degraded")
    found = toy.run("mirrored", cluster=dict(mirror=toy.command("remove", "{guest}")) if removed else {})
    assert found["failed"] is not removed
    if not removed:
        assert found["msg"].startswith("expected the mirror of web on b to be complete within 5 s; ")
        assert found["msg"].endswith("mirror web ended with 1: disk is degraded")


# ---- away, and back

@pytest.mark.parametrize("kind", ["toy", "real"])
def test_emptied_and_returned(kind, request):
    toy = request.getfixturevalue(kind)
    assert toy.run("emptied", check=True)["remaining"] == ["db", "web", "old"] and toy.places()["db"] == "b"
    toy.host("b", drained=True)
    found = toy.run("emptied")
    assert [(one["guest"], one["from"], one["state"]) for one in found["moved"]] == [
        ("db", "b", "running"), ("web", "b", "running"), ("old", "b", "stopped")]
    assert "b" not in toy.places().values() and found["changed"] and found["remaining"] == []
    assert not toy.run("emptied")["changed"]
    toy.host("b", drained=False)
    found = toy.run("returned", check=True)
    assert found["changed"] and len(found["remaining"]) == 3 and "b" not in toy.places().values()
    found = toy.run("returned")
    assert set(toy.places().values()) == {"b"} and len(found["moved"]) == 3
    assert all(not guest["tags"] for guest in toy.state["guests"].values())
    assert not toy.run("returned")["changed"]


def test_one_at_a_time(toy):
    found = toy.run("emptied", at_most=1)
    assert [one["guest"] for one in found["moved"]] == ["db"] and found["remaining"] == ["web", "old"]
    toy.run("emptied")
    found = toy.run("returned", at_most=1)
    assert [one["guest"] for one in found["moved"]] == ["db"] and found["remaining"] == ["web", "old"]


def test_guests_that_are_shut_down_can_stay(toy):
    found = toy.run("emptied", stopped="left")
    assert found["left"] == ["old"] and toy.places()["old"] == "b" and not found["remaining"]


def test_a_guest_in_no_good_state(toy):
    toy.guest("web", state="ERROR_down")
    found = toy.run("emptied")
    assert found["msg"] == ("expected each guest to run or to be shut down; web is ERROR_down: start it, or shut it "
                            "down")
    assert toy.places()["db"] == "b"


@pytest.mark.parametrize("state", ["looked", "room", "emptied", "returned"])
def test_a_node_that_answers_late(toy, state):
    """Seen on a busy machine: for one look the list has its guests as those of a node that is down."""
    gone(toy)
    toy.change(lambda now: now.update(late=2))
    found = toy.run(state)
    assert not found["failed"] and {one["state"] for one in found["guests"]} == {"running", "stopped"}


def test_no_room_in_the_middle(toy):
    toy.change(lambda state: state["faults"].update({"after db": "running"}))
    toy.run("emptied", at_most=1)
    for name in "ac":
        toy.host(name, memory=100)
    found = toy.run("emptied")
    assert found["failed"] and "there is none for web (300 MiB)" in found["msg"] and toy.places()["web"] == "b"


@pytest.mark.parametrize("code", [0, 1])
def test_a_guest_that_does_not_move(toy, code):
    toy.fault("move web", nothing=True, code=code, says="hooks execution failed")
    found = toy.run("emptied")
    assert found["msg"].startswith("expected web to be running on another host; the list has it running on b. ")
    assert found["msg"].endswith(f"move web ended with {code}: hooks execution failed")
    assert [one["guest"] for one in found["moved"]] == ["db"] and found["changed"]


def test_a_guest_that_moves_although_the_command_fails(toy):
    toy.fault("move web", code=1)
    assert not toy.run("emptied")["failed"] and toy.places()["web"] != "b"


def test_a_guest_that_is_down_after_its_move(toy):
    toy.change(lambda state: state["faults"].update({"after web": "ERROR_down"}))
    found = toy.run("emptied")
    assert "expected web to be running on another host; the list has it ERROR_down on " in found["msg"]


def test_a_guest_that_somebody_removes_meanwhile(toy):
    toy.run("emptied", cluster=dict(move=toy.command("remove", "{guest}")))
    assert sorted(toy.places()) == ["old"]


def test_a_command_that_takes_too_long_is_ended(toy):
    # With a note already, so that only the move has so little time, however slow this machine is.
    toy.guest("db", tags=["rolling:from:b"])
    toy.fault("move db", sleep=30)
    found = toy.run("emptied", timeout=1)
    assert "move db ended with 124: without a word" in found["msg"]


def test_what_the_cluster_still_does_is_waited_for(toy):
    toy.change(lambda state: state.update(jobs=[["running", "INSTANCE_MIGRATE(db)"]] * 3 + [["error", "x(db)"]]))
    assert not toy.run("emptied")["failed"] and not toy.state["jobs"]
    toy.guest("web", host="b", tags=[])
    toy.change(lambda state: state.update(jobs=[["running", "INSTANCE_MIGRATE(web)"]] * 1000))
    found = toy.run("emptied", timeout=1)
    assert found["msg"] == "expected the cluster to be done with web within 1 s; it still works on it"


@pytest.mark.parametrize("state", ["emptied", "returned"])
def test_a_guest_that_its_owner_starts_while_it_is_waited_for(toy, state):
    """To move what is shut down the product has a failover, and that ends a guest that runs."""
    if state == "returned":
        toy.guest("old", host="c", tags=["rolling:from:b"])
    others = [["running", "TAGS_SET(x)"]] * (2 if state == "emptied" else 0)
    toy.change(lambda now: now.update(jobs=[*others, ["running", "INSTANCE_STARTUP(old)"]], starts="old"))
    found = toy.run(state, cluster=dict(move_stopped=["false"], move_stopped_to=["false"]))
    assert not found["failed"] and {"guest": "old", "state": "running"}.items() <= found["moved"][-1].items()


def test_a_guest_that_its_owner_removes_before_it_moves(toy):
    toy.run("emptied", cluster=dict(remember=toy.command("remove", "{guest}"), move=["false"]))
    assert not toy.places()


@pytest.mark.parametrize("other", ["mydb", "db-2", "db.other", "my.db"])
def test_another_guest_whose_name_has_this_one_in_it_is_not_waited_for(toy, other):
    toy.change(lambda state: state.update(jobs=[["running", f"BACKUP_EXPORT({other})"]] * 1000))
    assert not toy.run("emptied", timeout=1)["failed"]


def test_nothing_moves_without_a_note(toy):
    toy.fault("tag guests", nothing=True, code=1)
    found = toy.run("emptied")
    assert found["msg"].startswith("expected a note on db of where it was; the list shows none.")
    assert toy.places()["db"] == "b"


def test_a_guest_that_was_moved_twice_goes_home(toy):
    """Its first home counts: where it is now, it only is because of a run."""
    toy.guest("web", tags=["rolling:from:a"])
    toy.run("emptied")
    assert toy.state["guests"]["web"]["tags"] == ["rolling:from:a"]
    toy.run("returned", host="b")
    assert toy.places()["web"] != "b"
    toy.run("returned", host="a")
    assert toy.places()["web"] == "a" and not toy.state["guests"]["web"]["tags"]


def test_a_product_that_has_to_be_told_where_to(toy):
    toy.guest("db", size=100)
    toy.host("c", memory=2000)
    toy.run("emptied", cluster=dict(move=[], move_stopped=[]))
    assert toy.places() == dict(web="c", db="c", old="c")


def test_a_product_that_cannot_move_what_is_shut_down(toy):
    found = toy.run("emptied", cluster=dict(move_stopped=[], move_stopped_to=[]))
    assert found["msg"] == "old is stopped, and no command moves such a guest"


def gone(toy, **values):
    """A guest that an earlier run has moved from b to c, and the others at home."""
    toy.guest("web", **dict(dict(host="c", tags=["rolling:from:b"]), **values))


@pytest.mark.parametrize("guest, host, words", [
    (dict(state="ERROR_down"), {}, "web is ERROR_down on c, and came from b: start it, or shut it down"),
    ({}, dict(memory=700), "expected room for web (300 MiB), which came from b; it has 200"),
    ({}, dict(drained=True), "which came from b; it has 500, is drained"),
    ({}, dict(offline=True), "which came from b; it has unknown, is offline"),
    (dict(to="a"), {}, "web came from b, and can only move to a now")])
def test_what_cannot_be_given_back(toy, guest, host, words):
    gone(toy, **guest)
    toy.host("b", **host)
    found = toy.run("returned")
    assert found["failed"] and words in found["msg"] and toy.places()["web"] == "c"


def test_one_that_has_no_choice_is_given_back(toy):
    gone(toy, to="b")
    toy.run("returned", cluster=dict(move_to=["false"]))
    assert toy.places()["web"] == "b"


def test_one_that_goes_elsewhere(toy):
    gone(toy)
    found = toy.run("returned", cluster=dict(move_to=toy.command("move", "{guest}", "a")))
    assert "expected web to be running on b; the list has it running on a." in found["msg"]


def test_one_on_which_the_cluster_works(toy):
    gone(toy)
    toy.change(lambda state: state.update(jobs=[["running", "INSTANCE_MIGRATE(web)"]] * 1000))
    assert "expected the cluster to be done with web within 1 s" in toy.run("returned", timeout=1)["msg"]


def test_a_note_that_stays(toy):
    gone(toy, host="b")
    toy.fault("untag guests", nothing=True)
    words = "expected no note on web any more, which is back on b; the list still shows it."
    assert words in toy.run("returned")["msg"]


# ---- the lead, the pause, the check

def test_the_lead(toy):
    assert not toy.run("leading")["changed"]
    toy.change(lambda state: state.update(name="c"))
    assert toy.run("leading", check=True)["changed"] and toy.state["hosts"]["a"]["role"] == "M"
    assert toy.run("leading")["changed"] and toy.state["hosts"]["c"]["role"] == "M"


def test_one_that_is_to_lead_is_fit_for_it(toy):
    """Where there are more nodes than master candidates, a node that was drained is none any more."""
    assert not toy.run("able")["changed"]
    toy.host("b", role="R")
    assert toy.run("able", check=True)["changed"] and toy.state["hosts"]["b"]["role"] == "R"
    assert toy.run("able")["changed"] and toy.state["hosts"]["b"]["role"] == "C"


def test_the_lead_where_only_the_leader_has_lists(toy):
    toy.fault("list_hosts", code=1)
    found = toy.run("leading")
    assert "expected this node to take the lead, it does not." in found["msg"] and "lead ended with 0" in found["msg"]


def ends(toy):
    """When the pauses of runs end, as the notes say."""
    return [int(tag.rpartition(":")[2]) for tag in toy.state["tags"]]


def test_the_pause(toy):
    assert toy.run("paused", check=True)["own"] and not toy.state["paused"]
    until = toy.run("paused", seconds=1000)["until"]
    was, = ends(toy)
    assert until == was
    assert 0 <= toy.state["paused"] - was <= evacuation.LATE
    # The next run lengthens it, also one that follows a kill.
    assert toy.run("paused", seconds=3000)["own"]
    now, = ends(toy)
    assert now >= was + 2000 and 0 <= toy.state["paused"] - now <= evacuation.LATE
    assert toy.run("resumed", check=True)["changed"] and toy.state["paused"]
    assert toy.run("resumed")["changed"] and not toy.state["paused"] and not toy.state["tags"]
    assert not toy.run("resumed")["changed"]


def test_the_end_of_a_pause_is_read_in_any_language(toy, monkeypatch):
    monkeypatch.setattr(time, "strptime", None)
    toy.run("paused")
    assert toy.run("paused")["own"]


# What a run has left that never came back: its pause is over, or an operator has made another one of it.
@pytest.mark.parametrize("tags", [[], ["mine"], ["rolling:paused:1000000000"], ["rolling:paused:x"],
                                  ["rolling:paused:1000000000", "rolling:paused:2000007201"]])
def test_the_pause_of_an_operator_stays(toy, tags):
    toy.change(lambda state: state.update(paused=2000007200, tags=tags))
    assert toy.run("paused")["own"] is False and toy.state["tags"] == tags
    toy.run("resumed")
    assert toy.state["paused"] == 2000007200
    assert toy.state["tags"] == [tag for tag in tags if tag == "mine"]


@pytest.mark.parametrize("late, own", [(-1, False), (0, True), (60, True), (61, False)])
def test_whose_pause_it_is(toy, late, own):
    toy.change(lambda state: state.update(paused=2000000000 + late, tags=["rolling:paused:2000000000"]))
    toy.run("resumed")
    assert bool(toy.state["paused"]) is not own and not toy.state["tags"]


def test_the_pause_of_a_host_that_may_not_lead_is_known_until_it_is_over(toy):
    """It is told of no later pause, and of no end; when it leads again, its own view counts."""
    toy.run("paused", seconds=1000)
    stale = toy.state["paused"]
    toy.host("b", role="R")
    toy.change(lambda state: state.update(tags=[*state["tags"], "rolling:paused:1000000000"]))
    toy.run("paused", seconds=3000)
    assert len(ends(toy)) == 2 and 1000000000 not in ends(toy)
    toy.run("resumed")
    assert len(ends(toy)) == 2 and not toy.state["paused"]
    toy.host("b", role="M")
    toy.change(lambda state: state.update(paused=stale))
    assert toy.run("paused", seconds=2000)["own"] and len(ends(toy)) == 1
    toy.run("resumed")
    assert not toy.state["paused"] and not toy.state["tags"]


def test_an_old_note_goes_with_the_next_pause(toy):
    toy.change(lambda state: state.update(tags=["rolling:paused:1000000000"]))
    assert toy.run("paused")["own"]
    assert len(ends(toy)) == 1 and ends(toy)[0] > 1000000000


def test_a_pause_whose_end_cannot_be_read(toy):
    toy.change(lambda state: state.update(paused=2000000000, says="later"))
    assert "expected the end of the pause as in" in toy.run("paused")["msg"]


@pytest.mark.parametrize("state, command, words", [("paused", "watcher pause", "to be paused until"),
                                                   ("resumed", "watcher resume", "to go on, it is still paused")])
def test_a_pause_that_does_not_come_about(toy, state, command, words):
    toy.change(lambda now: now.update(paused=2000000000, tags=["rolling:paused:2000000000"])
               if state == "resumed" else None)
    toy.fault(command, nothing=True)
    assert f"expected the watcher {words}" in toy.run(state, cluster=dict(words=dict(starter="the watcher")))["msg"]


def test_a_product_without_a_pause_and_a_check(toy):
    without = dict(pause=None, verify=None)
    assert toy.run("paused", cluster=without)["own"] is False and not toy.run("resumed", cluster=without)["changed"]
    assert toy.run("verified", cluster=without)["problems"] == []


@pytest.mark.parametrize("text, code, problems", [
    ("* fine\n", 0, []), ("  - ERROR:EBAD:node b: broken\n", 1, ["ERROR:EBAD:node b: broken"]),
    ("  - ERROR:EFINE:node b: known\n", 1, []), ("1 job(s) failed\n", 1, ["1 job(s) failed"]),
    ("", 1, ["it says nothing"])])
def test_the_check(toy, text, code, problems):
    toy.change(lambda state: state.update(verify=text))
    toy.fault("verify", code=code)
    found = toy.run("verified")
    assert not found["failed"] and found["problems"] == problems


def test_a_check_that_takes_too_long(real):
    """What it complains of until then may be known, and is not all."""
    verify = dict(real.cluster()["verify"], command=["sh", "-c", "echo ' - ERROR:EFINE:known'; exec sleep 30"])
    found = real.run("verified", timeout=1, cluster=dict(verify=verify))
    assert found["failed"] and found["msg"].endswith("exec sleep 30 was to end within 1 s, and was ended")
