# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common, _lock
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import lock as part
from ansible_collections.shakenfist.rolling.plugins.modules import lock, lock_info


def holder(run="1a2b3c4d", user="alice"):
    return dict(user=user, host="admin", boot="b", pid=4711, started="9", run=run)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rolling.lock"


@pytest.fixture
def ask(run_module, path):
    def run(run="1a2b3c4d", **options):
        return run_module(lock, path=str(path), holder=holder(run), **options)
    return run


@pytest.fixture(autouse=True)
def warned(monkeypatch):
    said = []
    monkeypatch.setattr(lock.AnsibleModule, "warn", lambda dummy, words: said.append(words))
    return said


def written(path):
    return json.loads(path.read_text())


def timeless(words):
    return re.sub(r"\d+ s ago", "N s ago", words)


def put(path, **changes):
    now = time.time()
    lock_file = dict(holder("99999999", "bob"), since=now - 720, renewed=now - 8, lease=1800.0, doing="rolling sf-2",
                     kind="upgrade", release="0.8.1", nodes=["sf-2"], left=None)
    path.write_text(json.dumps(dict(lock_file, **changes)))


def test_take_renew_free(ask, path):
    taken = ask(doing="staging")
    assert taken["changed"] and taken["lock"]["doing"] == "staging"
    assert written(path) == taken["lock"] and path.stat().st_mode & 0o777 == 0o600
    renewed = ask(state="renewed", doing="rolling sf-1", lease=60)
    assert not renewed["changed"] and renewed["lock"]["since"] == taken["lock"]["since"]
    assert renewed["lock"]["renewed"] > taken["lock"]["renewed"]
    assert written(path)["doing"] == "rolling sf-1" and written(path)["lease"] == 60
    held = ask()
    assert not held["changed"] and held["lock"]["doing"] == "rolling sf-1"  # what it was doing is not forgotten
    freed = ask(state="free")
    assert freed["changed"] and freed["lock"] is None and not path.exists()
    assert not ask(state="free")["changed"]
    assert os.listdir(path.parent) == []


def test_a_lease_outlasts_what_may_take_longer(ask):
    assert ask(lease=1800, waits=["300", 90, 120])["lock"]["lease"] == 1800
    assert ask(state="renewed", lease=1800, waits=[300, 3600, 120])["lock"]["lease"] == 8040


def test_the_lock_says_what_is_in_hand(ask, path):
    work = dict(kind="upgrade", release="0.8.1")
    assert {key: ask(work=work)["lock"][key] for key in _lock.WORK} == dict(work, nodes=[])
    assert ask(state="renewed", work=work, nodes=["sf-1"])["lock"]["nodes"] == ["sf-1"]
    assert ask(state="renewed", work=work)["lock"]["nodes"] == ["sf-1"]  # while it waits
    assert ask(state="renewed", work=work, nodes=["sf-2", "sf-3"], settled=["sf-1"])["lock"]["nodes"] == [
        "sf-2", "sf-3"]
    assert {key: written(path)[key] for key in _lock.WORK} == dict(work, nodes=["sf-2", "sf-3"])


def test_what_a_killed_run_had_in_hand_is_not_forgotten(ask, path):
    """The run that takes the lock over may be killed, too, before it has come to that node."""
    put(path)
    assert ask(dead="99999999", work=dict(kind="upgrade", release="0.8.2"))["lock"]["nodes"] == ["sf-2"]
    assert ask(state="renewed", nodes=["sf-1"])["lock"]["nodes"] == ["sf-2", "sf-1"]
    assert ask(state="renewed", nodes=["sf-2"], settled=["sf-1"])["lock"]["nodes"] == ["sf-2"]
    assert ask(state="renewed", nodes=["sf-3"], settled=["sf-1", "sf-2"])["lock"]["nodes"] == ["sf-3"]


def test_what_was_not_brought_back_is_not_forgotten_with_the_lock(ask, path, warned, run_module):
    """The run that took the lock over has ended before the turn of a node that the killed one had in hand."""
    put(path, nodes=["sf-2", "sf-3"], lease=1)
    work = dict(kind="rollback", release="0.8.0")
    ask(work=work)
    ask(state="renewed", nodes=["sf-1"], work=work)
    ask(state="renewed", nodes=["sf-2"], settled=["sf-1"], work=work)
    freed = ask(state="free", work=work)["lock"]
    assert written(path) == freed and {key: freed[key] for key in _lock.WORK} == dict(
        kind="upgrade", release="0.8.1", nodes=["sf-3"])
    look = run_module(lock_info, path=str(path))
    assert look["ran_out"] and look["broken"]["nodes"] == ["sf-3"] and look["words"] == (
        "nobody. sf-3 may still be as a run that was killed has left it; the last one (alice@admin, pid 4711, run "
        "1a2b3c4d) has ended before its turn")
    del warned[:]
    assert ask(run="22222222", state="held")["lock"]["nodes"] == ["sf-3"]
    assert warned == ["The lock of alice@admin, pid 4711, run 1a2b3c4d was taken over: it only says what is still to "
                      "be brought back."]
    ask(run="22222222", state="free", settled=["sf-3"])
    assert not path.exists()


def test_nobody_is_asked_for_what_a_run_has_left(ask, ask_for, path):
    put(path, lease=0)
    assert ask_for("pause")["msg"].startswith("No upgrade is running: sf-2 may still be as a run that was killed")
    assert written(path)["run"] == "99999999"
    assert ask(state="free")["lock"]["run"] == "99999999"


def test_a_lock_of_an_earlier_version(ask, path):
    put(path)
    kept = {key: value for key, value in written(path).items() if key not in _lock.WORK}
    path.write_text(json.dumps(kept))
    assert ask(takeover=True)["lock"]["nodes"] == []


@pytest.mark.parametrize("changes", [dict(nodes="sf-2"), dict(nodes=[1]), dict(kind=None), dict(release=8),
                                     dict(left={}), dict(left=[])])
def test_a_lock_with_odd_work(ask, path, changes):
    put(path, **changes)
    assert "cannot be read" in ask()["msg"]


def test_check_mode(ask, path):
    taken = ask(check=True)
    assert taken["changed"] and not path.exists()
    ask()
    assert ask(state="free", check=True)["changed"] and path.exists()
    put(path)
    assert ask(check=True)["failed"]


@pytest.mark.parametrize("state", ["held", "renewed"])
def test_somebody_else_holds_it(ask, path, state, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # else "8 s ago" is 9 on a busy machine
    put(path)
    before = path.read_text()
    result = ask(state=state)
    assert result["failed"] and result["lock"]["run"] == "99999999" and path.read_text() == before
    for word in ("bob@admin, pid 4711, run 99999999", "(12 minutes ago)", "doing: rolling sf-2", "renewed 8 s ago",
                 "-e lock_takeover=true"):
        assert word in result["msg"]
    assert ("the lock was lost" in result["msg"]) == (state == "renewed")


def test_somebody_elses_lock_is_not_freed(ask, path):
    put(path)
    result = ask(state="free")
    assert not result["changed"] and result["lock"]["user"] == "bob" and path.exists()


def test_a_lock_that_is_gone_cannot_be_renewed(ask, path):
    result = ask(state="renewed")
    assert result["failed"] and "is gone" in result["msg"] and not path.exists()


@pytest.mark.parametrize("changes, options, why", [
    (dict(), dict(takeover=True), "lock_takeover was set"),
    (dict(), dict(dead="99999999"), "its process 4711 on admin is gone"),
    (dict(renewed=-7200), dict(), "its lease ran out, it was renewed 2 hours ago and holds 30 minutes"),
    (dict(renewed=7300), dict(), "it was renewed 2 hours in the future"),
])
def test_taken_over(ask, path, warned, changes, options, why):
    put(path, **{key: time.time() + seconds for key, seconds in changes.items()})
    result = ask(**options)
    assert result["changed"] and "bob@admin" in warned[0] and "run 99999999" in warned[0] and why in warned[0]
    assert written(path)["run"] == "1a2b3c4d"


def test_another_dead_run_does_not_matter(ask, path):
    put(path)
    assert ask(dead="00000000")["failed"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": "1a2b3c4d"}'])
def test_a_lock_that_cannot_be_read(ask, path, warned, text):
    path.write_text(text)
    result = ask()
    assert result["failed"] and f"{path} cannot be read" in result["msg"]
    assert not ask(state="free")["changed"]
    result = ask(takeover=True)
    assert result["changed"] and "somebody unknown" in warned[0]


@pytest.mark.parametrize("changes", [dict(run=""), dict(since=1e300), dict(renewed=float("nan")),
                                     dict(lease=float("inf"), renewed=1.0)])
def test_a_lock_with_impossible_values(ask, path, changes):
    put(path, **changes)
    assert "cannot be read" in ask()["msg"]


def test_a_lock_that_does_not_say_what_it_does(ask, path):
    put(path)
    lock_file = written(path)
    del lock_file["doing"]
    path.write_text(json.dumps(lock_file))
    assert "cannot be read" in ask()["msg"]


@pytest.mark.parametrize("lease", ["inf", "nan", 0, -5])
def test_a_lease_that_is_none(ask, path, lease):
    assert "more than 0" in ask(lease=lease)["msg"] and not path.exists()


@pytest.fixture
def ask_for(run_module, path):
    """Another person, who holds no lock, makes a request."""
    def run(want, check=False, **options):
        return run_module(lock, check=check, path=str(path), holder=holder("77777777", "carol"), state="requested",
                          request=want, **options)
    return run


def requested(want="pause", **changes):
    return dict(dict(want=want, user="bob", host="desk", since=time.time() - 720, reason="the storage"), **changes)


@pytest.mark.parametrize("want", ["pause", "stop"])
def test_a_request_is_kept_with_the_lock_and_ends_with_it(ask, ask_for, path, want):
    ask(doing="staging")
    before = written(path)
    result = ask_for(want, reason=" the\nstorage ")
    assert result["changed"] and result["request"]["words"].startswith("carol@admin asked for that at 20")
    assert timeless(result["request"]["words"]).endswith(" UTC (N s ago): the storage")
    assert timeless(result["msg"]).startswith(
        f"Asked alice@admin, pid 4711, run 1a2b3c4d (renewed N s ago, doing: staging) to {want} before its next node.")
    kept = written(path)["request"]
    assert {key: kept[key] for key in _lock.REQUEST} == dict(
        want=want, user="carol", host="admin", reason="the storage")
    assert written(path) == dict(before, request=kept) == result["lock"]
    renewed = ask(state="renewed", doing="rolling sf-1")
    assert not renewed["failed"] and renewed["request"]["want"] == want and written(path)["request"] == kept
    ask(state="free")
    assert not path.exists()
    ask()
    assert ask(state="renewed")["request"] is None


@pytest.mark.parametrize("kind, when, later", [
    ("upgrade", "its next node", "One that has no node left to do ends as usual."),
    ("hosts", "its next node", "One that has no node left to do ends as usual."),
    ("services", "its next service", "One that has no service left to do is to stop before its last migrations, if "),
    ("tier", "anything is stopped", "One that has begun to stop its services starts all of them first, and is to "),
])
def test_when_it_is_heeded_depends_on_the_kind_of_run(ask_for, path, kind, when, later):
    put(path, kind=kind)
    assert f" to stop before {when}.\n{later}" in ask_for("stop")["msg"]


def test_without_a_reason(ask, ask_for):
    ask()
    assert timeless(ask_for("pause")["request"]["words"]).endswith(" UTC (N s ago)")


def test_a_run_that_waits_says_so(ask, ask_for, path):
    ask(doing="staging")
    ask_for("pause")
    assert written(path)["doing"] == "staging"  # it has not come to its next node
    for dummy in range(2):
        assert ask(state="renewed", doing="rolling sf-1")["lock"]["doing"] == "paused, next: rolling sf-1"
    assert ask(state="renewed")["lock"]["doing"] == "paused, next: rolling sf-1"
    assert "doing: paused, next: rolling sf-1)" in ask_for("resume")["msg"]
    assert ask(state="renewed")["lock"]["doing"] == "rolling sf-1"
    ask_for("stop")
    assert ask(state="renewed")["lock"]["doing"] == "rolling sf-1"


def test_a_request_that_is_there_already(ask, ask_for, path):
    put(path, request=requested())
    before = path.read_text()
    result = ask_for("pause", reason="mine")
    assert not result["changed"] and path.read_text() == before
    assert "is to pause already: bob@desk asked for that at" in result["msg"]
    assert "(12 minutes ago): the storage" in result["msg"]


def test_the_last_request_holds(ask_for, path):
    put(path, request=requested())
    result = ask_for("stop")
    kept = written(path)["request"]
    assert result["changed"] and kept["want"] == "stop" and kept["user"] == "carol"
    assert "to stop before its next node" in result["msg"] and "It was to pause: bob@desk asked" in result["msg"]


def test_resume(ask_for, path):
    put(path, request=requested("stop"))
    result = ask_for("resume")
    assert result["changed"] and result["request"] is None and written(path)["request"] is None
    assert timeless(result["msg"]).startswith(
        "Asked bob@admin, pid 4711, run 99999999 (renewed N s ago, doing: rolling sf-2) to go on. It was to stop: bob@")
    result = ask_for("resume")
    assert not result["changed"] and "was not asked to pause or to stop: it goes on" in result["msg"]


@pytest.mark.parametrize("want", ["pause", "stop", "resume"])
def test_no_upgrade_is_running(ask_for, path, want):
    result = ask_for(want)
    assert not result["changed"] and result["request"] is None and os.listdir(path.parent) == []
    assert result["msg"] == f"No upgrade is running: there is no lock {path}. Nothing was set."


def test_the_run_is_gone(ask_for, path):
    """What was set before that was known is taken back."""
    put(path, doing="")
    before = written(path)
    ask_for("pause")
    result = ask_for("pause", dead="99999999")
    assert not result["changed"] and result["request"] is None and written(path) == dict(before, request=None)
    assert timeless(result["msg"]).startswith(
        "No upgrade is running: the process of bob@admin, pid 4711, run 99999999 (renewed N s ago, doing: not said) is "
        "gone")
    assert ask_for("pause", dead="00000000")["changed"]


@pytest.mark.parametrize("want, words", [("pause", "Would ask bob@admin"), ("resume", "to go on. It was to stop")])
def test_a_request_in_check_mode(ask_for, path, want, words):
    put(path, request=requested("stop"))
    before = path.read_text()
    result = ask_for(want, check=True)
    assert result["changed"] and words in result["msg"] and "Would ask" in result["msg"] and path.read_text() == before


def test_nobody_knows_whom_to_ask(ask_for, path):
    path.write_text("{")
    result = ask_for("stop")
    assert result["failed"] and "cannot be read" in result["msg"] and path.read_text() == "{"


def test_a_request_does_not_outlive_a_takeover(ask, path, warned):
    put(path, request=requested())
    assert ask(takeover=True)["changed"] and written(path)["request"] is None
    assert "That run was asked to pause; this one is not, ask again if it ought to be. bob@desk asked" in warned[1]
    assert "the storage" in warned[1]


def test_no_word_of_a_request_that_was_not_there(ask, path, warned):
    put(path)
    ask(takeover=True)
    assert len(warned) == 1


@pytest.mark.parametrize("bad", ["pause", {}, requested(since="now"), requested(since=-1)])
def test_a_request_that_cannot_be_read(ask, path, bad):
    put(path, request=bad)
    assert "cannot be read" in ask()["msg"]


def test_the_directory_is_missing(run_module, tmp_path):
    result = run_module(lock, path=str(tmp_path / "none" / "lock"), holder=holder())
    assert result["failed"] and f"cannot keep the lock in {tmp_path}/none" in result["msg"]


def test_somebody_does_not_let_go_of_it(ask, path, monkeypatch):
    monkeypatch.setattr(part, "TURN_WITHIN", 0.1)
    with _common.flocked(path.parent, 1):
        result = ask()
    assert result["failed"] and f"from the lock {path} for 0.1 s: see which one it is with fuser -v" in result["msg"]
    assert not path.exists()


def test_what_a_killed_one_has_left_or_somebody_has_laid_there(ask, path):
    precious = path.parent / "precious"
    precious.write_text("x")
    (path.parent / f"{path.name}.new").symlink_to(precious)
    assert not ask()["failed"] and precious.read_text() == "x" and not path.is_symlink()


def test_it_cannot_be_written(ask, path, monkeypatch):
    def refuse(*dummy):
        raise OSError(30, "Read-only file system")
    monkeypatch.setattr(part.os, "replace", refuse)
    result = ask()
    assert result["failed"] and "Read-only file system" in result["msg"] and os.listdir(path.parent) == []


def test_it_cannot_be_removed(ask, path, monkeypatch):
    def refuse(*dummy):
        raise OSError(30, "Read-only file system")
    ask()
    monkeypatch.setattr(part.os, "unlink", refuse)
    assert "cannot remove the lock" in ask(state="free")["msg"]


def test_nobody_asks(run_module, path):
    assert "nobody said who asks" in run_module(lock, path=str(path))["msg"]


@pytest.mark.parametrize("seconds, words", [(-3, "0 s"), (8.4, "8 s"), (119, "119 s"), (120, "2 minutes"),
                                            (7200, "2 hours"), (3 * 86400, "3 days")])
def test_ago(seconds, words):
    assert _lock.ago(seconds) == words


@pytest.mark.parametrize("want, words", [
    ("pause", ". It was asked to pause: the playbook resume has it go on, stop has it end. If it is certain"),
    ("stop", ". Wait until that run has ended. If it is certain"), (None, ". Wait until that run has ended. If")])
def test_what_to_do_about_the_lock_of_another_run(ask, path, want, words):
    put(path, request=requested(want) if want else None)
    result = ask()
    assert result["failed"] and words in result["msg"]
