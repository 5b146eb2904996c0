# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import lock
from ansible_collections.shakenfist.rolling.plugins.module_utils._lock import told
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.lock import PAUSED as DOING
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _persistent
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._batch import CAUTION
from ansible_collections.shakenfist.rolling.tests.unit.fakes import with_several


@pytest.fixture
def gone():
    """The process id of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def test_who_asks():
    mine = lock.myself(os.getpid())
    assert mine["pid"] == os.getpid() and mine["user"] and mine["host"] and len(mine["run"]) == 8
    assert mine == lock.myself(os.getpid())
    assert mine["run"] != lock.myself(os.getppid())["run"]


def test_a_user_without_a_name(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found")
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(lock.getpass, "getuser", unknown)
    assert lock.user() == str(os.getuid())


def test_sudo_is_seen_through(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    assert lock.user() == "alice"


def test_when_a_process_started(gone):
    assert lock.process_started(os.getpid()).isdigit()
    assert lock.process_started(gone) == ""


def test_a_process_that_nobody_has_waited_for_is_gone():
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert lock.process_started(child.pid) == ""


@pytest.mark.parametrize("files, boot", [
    ({"boot_id": "b", "machine-id": "m"}, "b pid:[1] m"), ({"boot_id": "b"}, "b pid:[1]"), ({"machine-id": "m"}, ""),
    ({}, "")])
def test_the_boot(monkeypatch, files, boot):
    monkeypatch.setattr(lock, "first_line", lambda path: files.get(os.path.basename(path), ""))
    monkeypatch.setattr(lock.os, "readlink", lambda path: "pid:[1]")
    assert lock.boot_id() == boot


def test_a_namespace_that_nobody_knows(monkeypatch):
    def missing(path):
        raise FileNotFoundError()
    monkeypatch.setattr(lock.os, "readlink", missing)
    assert lock.boot_id() == ""


def test_first_line(tmp_path):
    (tmp_path / "id").write_text(" abc \nd\n")
    (tmp_path / "odd").write_bytes(b"\xff\n")
    assert [lock.first_line(tmp_path / name) for name in ("id", "odd", "none")] == ["abc", "", ""]


@pytest.mark.parametrize("theirs, dead", [
    ("b2 pid:[1] m", True),     # before it has booted again
    ("b1 pid:[1] m", False), ("b2 pid:[1] n", False), ("b1 pid:[2] m", False),
    ("b2 pid:[1]", False), ("b2", False), (None, False),
])
def test_a_controller_that_has_booted_since(gone, theirs, dead):
    mine = dict(lock.myself(os.getpid()), boot="b1 pid:[1] m")
    assert lock.is_dead(dict(mine, boot=theirs), mine) is dead


@pytest.mark.parametrize("changes, dead", [
    (dict(), False),
    (dict(started="1"), True),  # another process has the same id now
    (dict(host="elsewhere", started="1"), False),
    (dict(boot="another", started="1"), False),
])
def test_is_dead(changes, dead):
    mine = lock.myself(os.getpid())
    assert lock.is_dead(dict(mine, **changes), mine) is dead


@pytest.mark.parametrize("shown, dead", [("", False), ("9", False), ("10", True)])
def test_the_process_of_somebody_else(monkeypatch, shown, dead):
    """A hidden one lives; one that shows another start is another one."""
    def refuse(*dummy):
        raise PermissionError()
    mine = lock.myself(os.getpid())
    monkeypatch.setattr(lock.os, "kill", refuse)
    monkeypatch.setattr(lock, "process_started", lambda pid: shown)
    assert lock.is_dead(dict(mine, started="9"), mine) is dead


@pytest.mark.parametrize("pid", [None, "4711", 0, -1])
def test_a_holder_without_a_process_is_not_dead(pid):
    mine = lock.myself(os.getpid())
    assert not lock.is_dead(dict(mine, pid=pid), mine)


def test_process_ids_of_another_namespace_say_nothing(monkeypatch, gone):
    theirs = lock.myself(os.getpid())
    monkeypatch.setattr(lock.os, "readlink", lambda path: "pid:[1]")
    assert not lock.is_dead(dict(theirs, pid=gone), lock.myself(os.getpid()))


def test_is_dead_where_nothing_is_known(gone):
    mine = lock.myself(os.getpid())
    assert lock.is_dead(dict(mine, pid=gone), mine)
    assert not lock.is_dead({}, mine)
    assert not lock.is_dead(dict(mine, pid=gone), dict(mine, boot=""))


@pytest.fixture
def action(monkeypatch, said, warned):
    def make(answers, task_vars=None, **arguments):
        plugin = lock.ActionModule.__new__(lock.ActionModule)
        plugin._task = SimpleNamespace(args=arguments, run_once=True, action="shakenfist.rolling.lock", _uuid="uuid",
                                       get_name=lambda: "Lock", get_vars=dict)
        plugin._display = SimpleNamespace(display=said.append, warning=warned.append)
        plugin._connection = SimpleNamespace()
        plugin._templar = SimpleNamespace(template=lambda value: value)
        asked = []

        def execute(module_name, module_args, task_vars):
            asked.append(dict(module_args))
            answer = answers[len(asked) - 1]
            if isinstance(answer, Exception):
                raise answer
            return dict(answer)
        plugin._execute_module = with_several(execute)
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        return plugin.run(task_vars={"hostvars": {}, "inventory_hostname": "sf-2", **(task_vars or {})}), asked
    return make


@pytest.fixture
def said():
    return []


@pytest.fixture
def warned():
    return []


def refused(**changes):
    return dict(failed=True, msg="locked", lock=dict(lock.myself(os.getppid()), **changes))


def test_the_action_says_who_asks(action):
    result, asked = action([dict(changed=True)], path="/x", holder="somebody else", dead="1a2b3c4d")
    assert result == dict(changed=True) and len(asked) == 1
    assert asked[0]["holder"]["pid"] == os.getppid() and asked[0]["dead"] == ""


def test_the_action_says_which_run_it_is(action):
    record = dict(localhost=dict(ansible_facts=dict(rolling_run=dict(id="1a2b", kind="upgrade",
                                                                     plan=dict(release="0.8.1")))))
    assert action([dict(changed=True)], dict(hostvars=record), path="/x")[1][0]["work"] == dict(
        kind="upgrade", release="0.8.1")
    assert action([dict(changed=True)], path="/x")[1][0]["work"] == {}


def test_the_action_says_what_is_rolled_when_it_frees_the_lock(action):
    noted = dict(rolling_node=dict(run="1a2b", rolled=True))
    record = {"localhost": dict(ansible_facts=dict(rolling_run=dict(
        id="1a2b", plan=dict(order=["sf-2", "sf-3"], done=["sf-1"])))), "sf-2": dict(ansible_facts=noted), "sf-3": {}}
    asked = action([dict(changed=True)], dict(hostvars=record), path="/x", state="free")[1]
    assert asked[0]["settled"] == ["sf-1", "sf-2"]
    assert action([dict(changed=True)], path="/x", state="free")[1][0]["settled"] == []


def test_the_action_takes_over_from_the_dead(action):
    result, asked = action([refused(started="1"), dict(changed=True)], path="/x")
    assert result == dict(changed=True) and asked[1]["dead"] == refused()["lock"]["run"]


@pytest.mark.parametrize("answer, arguments", [
    (refused(), dict()),
    (refused(started="1"), dict(state="renewed")),
    (dict(failed=True, msg="unreadable", lock={}), dict()),
    (dict(failed=True, msg="no directory"), dict()),
])
def test_the_action_leaves_the_others(action, answer, arguments):
    result, asked = action([answer], path="/x", **arguments)
    assert result["failed"] and len(asked) == 1


# ---- pause and stop

def renewed(want=None, doing="rolling sf-2", **changes):
    request = dict(want=want, user="bob", host="desk", reason="the storage",
                   words="bob@desk asked for that: the storage") if want else None
    return dict(changed=False, lock=dict(doing=doing, request=request), request=request, **changes)


PAUSED = renewed("pause", "paused, next: rolling sf-2")
MOVED = {"sf-2": {"ansible_facts": {"rolling_node": {"run": "", "schema": {"moved": True}}}}}
INVENTORY = dict(ansible_inventory_sources=["/etc/my hosts.yml"])
RESUME = "ansible-playbook -i '/etc/my hosts.yml' shakenfist.rolling.resume"


@pytest.fixture
def slept(monkeypatch):
    """Time that passes only when somebody sleeps."""
    naps = []
    clock = SimpleNamespace(monotonic=lambda: float(sum(naps)), time=lambda: 1000.0 + sum(naps), sleep=naps.append)
    monkeypatch.setattr(lock, "time", clock)
    return naps


def test_a_roll_that_nobody_asks_goes_on(action, slept, said):
    result, asked = action([renewed()], state="renewed")
    assert "untouched" not in result
    assert not result.get("failed") and "paused" not in result and len(asked) == 1 and slept == said == []


def test_a_pause_is_waited_for(action, slept, said):
    given = dict(INVENTORY, hostvars=MOVED)
    result, asked = action([PAUSED, PAUSED, renewed()], given, state="renewed", pause_timeout="0")
    assert not result.get("failed") and result["request"] is None and result["lock"]["doing"] == "rolling sf-2"
    assert result["paused"] == [1000.0, 1000.0 + 2 * lock.INTERVAL]
    assert len(asked) == 3 and slept == [lock.INTERVAL] * 2 and {request["state"] for request in asked} == {"renewed"}
    first, last = said
    assert first.splitlines()[:3] == ["The roll is paused, next: rolling sf-2.", "bob@desk asked for that: the storage",
                                      CAUTION]
    assert RESUME in first.splitlines() and RESUME.replace("resume", "stop") in first.splitlines()
    assert last == f"The roll goes on after {2 * lock.INTERVAL} s: rolling sf-2"


@pytest.mark.parametrize("doing, reason", [
    ("rolling sf-2", "the storage: fixed"), ("rolling sf-1, sf-2", ""), ("", "")])
def test_what_is_said_is_an_event_too(action, slept, said, doing, reason):
    request = told(dict(want="pause", user="bob", host="desk", since=990.0, reason=reason), 1000.0)
    paused = dict(changed=False, request=request, lock=dict(doing=DOING + doing, request=request))
    action([paused, renewed()], state="renewed", doing=doing)
    assert [text.event for text in said] == [
        dict(event="pause", next=doing, asked_by="bob@desk", reason=reason), dict(event="resume", seconds=3.0)]


def test_nothing_is_said_of_a_caution_that_there_is_not(action, slept, said):
    action([PAUSED, renewed()], state="renewed")
    assert "" not in said[0].splitlines() and "ansible-playbook shakenfist.rolling.resume" in said[0].splitlines()


@pytest.mark.parametrize("before", [[], [PAUSED]])
def test_a_stop(action, slept, before):
    result, asked = action([*before, renewed("stop")], state="renewed")
    assert result["failed"] and result["stopped"] is True and len(asked) == len(before) + 1
    assert result["msg"] == "the roll was asked to stop: bob@desk asked for that: the storage"


def test_a_pause_that_takes_too_long(action, slept, said):
    result, asked = action([PAUSED] * 9, state="renewed", pause_timeout="7")
    assert result["failed"] and result["stopped"] is True and sum(slept) == 3 * lock.INTERVAL and len(asked) == 4
    assert "not to go on within 7 s (lock_pause_timeout): bob@desk" in result["msg"] and len(said) == 1


def test_a_lock_that_is_lost_during_a_pause(action, slept, said):
    lost = dict(failed=True, msg="the lock was lost", lock=dict(PAUSED["lock"]))
    result, dummy = action([PAUSED, lost], state="renewed")
    assert result["failed"] and "stopped" not in result and result["msg"] == "the lock was lost" and len(said) == 1


def test_a_node_that_is_lost_during_a_pause_is_waited_for(action, slept, warned, monkeypatch):
    monkeypatch.setattr(_persistent, "INTERVAL", 0)
    gone = AnsibleConnectionFailure("no route")
    result, asked = action([PAUSED, gone, gone, renewed()], state="renewed")
    assert not result.get("failed") and len(asked) == 4 and "is lost, waiting for it" in warned[0]


def test_a_node_that_does_not_come_back_during_a_pause(action, slept):
    gone = AnsibleConnectionFailure("no route")
    result, asked = action([PAUSED, gone], dict(roll_reconnect_timeout=0), state="renewed")
    assert result["failed"] and result["lost"] and len(asked) == 2


def test_a_batch_renews_once(action, slept, said, monkeypatch, tmp_path):
    """Each node of it has its own process; the first one that comes waits for all of them."""
    monkeypatch.setattr(lock.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    batch = dict(ansible_play_batch=["sf-1", "sf-2"])
    first, asked = action([PAUSED, renewed()], batch, state="renewed")
    second, none = action([], dict(batch, inventory_hostname="sf-1"), state="renewed")
    assert second == first and len(asked) == 2 and none == [] and len(said) == 2
    assert first["ansible_facts"]["rolling_node"]["pauses"] == [first["paused"]]
    dummy, asked = action([renewed()], dict(ansible_play_batch=["sf-3", "sf-4"]), state="renewed")
    assert len(asked) == 1 and len(list(tmp_path.iterdir())) == 2


def test_a_batch_stops_together(action, slept, monkeypatch, tmp_path):
    monkeypatch.setattr(lock.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    results = [action(answers, dict(ansible_play_batch=["sf-1", "sf-2"]), state="renewed")[0]
               for answers in ([renewed("stop")], [])]
    assert results[0] == results[1] and results[0]["stopped"]


def test_each_pause_is_noted(action, slept):
    facts = dict(ansible_facts=dict(rolling_node=dict(run="x", pauses=[[1.0, 2.0]])))
    hosts = dict(hostvars={"localhost": dict(ansible_facts=dict(rolling_run=dict(id="x"))), "sf-2": facts})
    result, dummy = action([PAUSED, renewed()], hosts, state="renewed")
    assert result["ansible_facts"]["rolling_node"]["pauses"] == [[1.0, 2.0], result["paused"]]


@pytest.mark.parametrize("delegated, words, away", [
    ({"sf-1": {}}, "on sf-1: cannot write the lock /l: full", "sf-1"),
    ({"sf-2": {}}, "cannot write the lock /l: full", None),
    ({}, "cannot write the lock /l: full", None)])
def test_where_it_failed(action, delegated, words, away):
    """The node whose turn it is has nothing to do with a full disk of the one that has the lock."""
    full = dict(failed=True, msg="cannot write the lock /l: full")
    result, dummy = action([full], dict(ansible_delegated_vars=delegated), state="renewed")
    assert result["failed"] and (result["msg"], result.get("away")) == (words, away) and result["untouched"]


@pytest.mark.parametrize("delegated, away", [({"sf-1": {}}, "sf-1"), ({}, "sf-2")])
def test_the_node_with_the_lock_is_lost(action, delegated, away):
    lost = dict(roll_reconnect_timeout=0, ansible_delegated_vars=delegated)
    result, dummy = action([AnsibleConnectionFailure("no route")], lost, state="renewed")
    assert result["lost"] and result["away"] == away


def test_a_lock_that_is_left_behind(action, said):
    result, dummy = action([dict(failed=True, msg="no route")], dict(ansible_delegated_vars={"sf-1": {}}), state="free",
                           path="/x")
    assert result["failed"] and said == [
        "The lock /x on sf-1 could not be freed: no route. The next run from this machine takes it over by itself; "
        "others pass -e lock_takeover=true."]
    assert said[0].event == dict(event="message", node="sf-2", task="Lock", message=said[0])
    assert action([dict(changed=True)], state="free", path="/x")[0] == dict(changed=True) and len(said) == 1


def test_what_is_requested_says_how_to_take_it_back(action):
    result, asked = action([dict(renewed("pause"), msg="Asked bob")], INVENTORY, state="requested", request="pause")
    assert result["msg"] == f"Asked bob\nTo take that back:\n{RESUME}" and len(asked) == 1


@pytest.mark.parametrize("product, named", [("cinder", "cinder"), ("product.yml", os.path.realpath("product.yml"))])
def test_the_product_is_named_in_what_takes_it_back(action, product, named):
    result, dummy = action([dict(renewed("pause"), msg="Asked bob")], dict(INVENTORY, rolling_product=product),
                           state="requested", request="pause")
    assert result["msg"] == f"Asked bob\nTo take that back:\n{RESUME} -e rolling_product={named}"


def test_nothing_to_take_back(action):
    nothing = dict(renewed(), msg="No upgrade is running")
    result, dummy = action([nothing], INVENTORY, state="requested", request="pause")
    assert result["msg"] == "No upgrade is running"


def test_nobody_is_asked_who_is_gone(action):
    dead = dict(renewed("pause"), lock=refused(started="1")["lock"], msg="Asked bob")
    result, asked = action([dead, dict(renewed(), msg="No upgrade is running")], state="requested", request="pause")
    assert asked[1]["dead"] == dead["lock"]["run"] and result["msg"] == "No upgrade is running"
