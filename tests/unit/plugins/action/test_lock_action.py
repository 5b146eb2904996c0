# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import lock


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
    assert lock.started(os.getpid()).isdigit()
    assert lock.started(gone) == ""


def test_a_process_that_nobody_has_waited_for_is_gone():
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert lock.started(child.pid) == ""


def test_no_boot_id(monkeypatch):
    def missing(*dummy, **more):
        raise FileNotFoundError()
    monkeypatch.setattr(lock, "open", missing, raising=False)
    assert lock.boot_id() == ""


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
    monkeypatch.setattr(lock, "started", lambda pid: shown)
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
def action(monkeypatch):
    def make(answers, **arguments):
        plugin = lock.ActionModule.__new__(lock.ActionModule)
        plugin._task = SimpleNamespace(args=arguments)
        asked = []

        def execute(module_args, task_vars):
            asked.append(dict(module_args))
            return answers[len(asked) - 1]
        plugin._execute_module = execute
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        return plugin.run(), asked
    return make


def refused(**changes):
    return dict(failed=True, msg="locked", lock=dict(lock.myself(os.getppid()), **changes))


def test_the_action_says_who_asks(action):
    result, asked = action([dict(changed=True)], path="/x", holder="somebody else", dead="1a2b3c4d")
    assert result == dict(changed=True) and len(asked) == 1
    assert asked[0]["holder"]["pid"] == os.getppid() and asked[0]["dead"] == ""


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
