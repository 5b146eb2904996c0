# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _persistent
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock, with_several

LOST = AnsibleConnectionFailure("Failed to connect to the host via ssh")


@pytest.fixture
def run(monkeypatch):
    """Run an action whose module gives these answers, one after the other, the last one for ever."""
    def run(answers, reset=lambda: None, module="units", args=(), **variables):
        clock = Clock(0.0)
        monkeypatch.setattr(_persistent, "time", clock)
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        action = _persistent.PersistentAction.__new__(_persistent.PersistentAction)
        action.warned, asked = [], []
        action._task = SimpleNamespace(get_vars=dict, run_once=True, action=f"shakenfist.rolling.{module}",
                                       args=dict(args))
        action._templar = SimpleNamespace(template=lambda value: value)
        action._display = SimpleNamespace(warning=action.warned.append)
        action._connection = SimpleNamespace(reset=reset)

        def execute(module_name, module_args, task_vars):
            asked.append(clock.now)
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer
        action._execute_module = with_several(execute)
        return action.run(task_vars=dict(variables, inventory_hostname="sf-2")), asked, action.warned
    return run


def test_a_node_that_answers(run):
    assert run([dict(changed=True)]) == (dict(changed=True), [0.0], [])
    assert run([dict(changed=True)], roll_reconnect_timeout=300) == (dict(changed=True), [0.0], [])


@pytest.mark.parametrize("module, answer, expected", [
    ("drain", dict(changed=True), dict(changed=True)),
    ("units", dict(answers=[dict(changed=True, seconds=0.1)], warnings=["w"], changed=True),
     dict(changed=True, warnings=["w"])),
    ("units", dict(failed=True, msg="no Python"), dict(failed=True, msg="no Python")),
])
def test_how_a_module_is_started(module, answer, expected):
    action, asked = _persistent.PersistentAction.__new__(_persistent.PersistentAction), []
    action._execute_module = lambda **how: asked.append(how) or answer
    assert action.run_module(module, dict(a=1), dict(b=2)) == expected
    given = dict(a=1) if module == "drain" else dict(calls=[dict(module=module, arguments=dict(a=1))])
    kind = "drain" if module == "drain" else "several"
    assert asked == [dict(module_name=f"shakenfist.rolling.{kind}", module_args=given, task_vars=dict(b=2))]


def test_without_the_variable_it_is_as_ever(run):
    with pytest.raises(AnsibleConnectionFailure):
        run([LOST])


@pytest.mark.parametrize("module", _persistent.ONCE)
def test_what_is_run_once_only(run, module):
    result, asked, dummy = run([LOST, dict(changed=True)], module=module, roll_reconnect_timeout=300)
    assert result["failed"] and result["lost"] and len(asked) == 1 and result["away"] == ""
    assert result["msg"].startswith("the node cannot be reached by ssh any more, and it is not known what was done")


def test_what_may_be_said_twice(run):
    """That HAProxy sends requests again."""
    result, asked, dummy = run([LOST, dict(changed=True)], module="haproxy_server", args=dict(state="ready"),
                               roll_reconnect_timeout=300)
    assert result == dict(changed=True) and len(asked) == 2


@pytest.mark.parametrize("module", ["units", *_persistent.ONCE])
def test_what_ssh_itself_tries_again(run, monkeypatch, module):
    """That is below this plugin, by the setting retries of the section ssh_connection."""
    options = []
    monkeypatch.setattr(_persistent.PersistentAction, "ask_once", lambda dummy: options.append("once"))
    run([dict(changed=True)], module=module)
    assert options == (["once"] if module in _persistent.ONCE else [])


@pytest.mark.parametrize("problem", [None, AnsibleError("no such option"), AttributeError()])
def test_a_connection_is_told_to_ask_once(problem):
    told = []

    def set_option(*option):
        told.append(option)
        if problem:
            raise problem
    action = _persistent.PersistentAction.__new__(_persistent.PersistentAction)
    action._connection = SimpleNamespace(set_option=set_option)
    action.ask_once()
    assert told == [("reconnection_retries", 0)]


def test_a_node_that_comes_back(run):
    result, asked, warned = run([LOST, LOST, dict(changed=True)], roll_reconnect_timeout="300")
    assert result == dict(changed=True) and len(asked) == 3
    assert warned[0] == "sf-2 is lost, waiting for it for 300 s more: Failed to connect to the host via ssh"


@pytest.mark.parametrize("patience, tries", [(0, 1), (5, 4)])
def test_a_node_that_does_not_come_back(run, patience, tries):
    result, asked, dummy = run([LOST], roll_reconnect_timeout=patience)
    assert result["failed"] and result["lost"] and not result["changed"] and len(asked) == tries
    assert f"did not come back within {patience} s: Failed to connect" in result["msg"]


def test_another_host_is_lost(run):
    result, dummy, warned = run([LOST], roll_reconnect_timeout=5, ansible_delegated_vars={"lb": {}})
    assert result["away"] == "lb" and result["msg"].startswith("lb cannot be reached by ssh")
    assert warned[0].startswith("lb is lost, waiting")


def test_it_does_not_say_so_all_the_time(run):
    dummy, asked, warned = run([LOST], roll_reconnect_timeout=70)
    assert len(asked) == 36 and len(warned) == 3


@pytest.mark.parametrize("problem", [LOST, AttributeError("reset"), NotImplementedError()])
def test_a_connection_that_cannot_be_reset(run, problem):
    def reset():
        raise problem
    assert run([LOST, dict(changed=False)], reset=reset, roll_reconnect_timeout=9)[0] == dict(changed=False)


@pytest.mark.parametrize("variables", [{}, dict(roll_reconnect_timeout=9)])
def test_why_a_module_could_not_run_is_in_its_message(run, variables):
    """A role that repeats a message, of a balancer's module for example, would hide sudo's own words."""
    broken = dict(failed=True, msg="Deserialization failed", module_stderr="a\nb\nsudo: a terminal is required\n")
    assert run([broken], **variables)[0]["msg"] == "Deserialization failed: b\nsudo: a terminal is required"
    assert run([dict(broken, module_stderr="")], **variables)[0]["msg"] == "Deserialization failed"
    assert run([dict(changed=True, module_stderr="a")], **variables)[0] == dict(changed=True, module_stderr="a")


# ---- a file that is written whole or not at all

def test_what_is_written_is_on_the_disk(tmp_path):
    tools, place = tmp_path / "bin", tmp_path / "my records"
    tools.mkdir()
    place.mkdir()
    (tools / "sync").write_text('#!/bin/sh\necho "$1: $(ls "$2")"\n'.replace("$2", str(place)))
    (tools / "sync").chmod(0o755)
    arguments = _persistent.written(f"{place}/a.json", "{}\n", "0640")
    done = subprocess.run(arguments["argv"], input=arguments["stdin"], check=True, capture_output=True, text=True,
                          env=dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}"))
    assert done.stdout.splitlines() == [f"{place}/a.json.new: a.json.new", f"{place}: a.json"]
    assert (place / "a.json").read_text() == "{}\n" and (place / "a.json").stat().st_mode & 0o777 == 0o640
