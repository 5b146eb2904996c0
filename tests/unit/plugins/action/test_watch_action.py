# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import watch

URL = "http://sf/"
LOST = AnsibleConnectionFailure("no route")
SEEN = dict(running=True, requests=9, failed=1, kinds={"x": 1}, failures=[], before=None, since=dict(
    kinds={"x": 1}, excused=0, requests=9, failed=1, longest_gap=0.2, p50=1, p99=2))


class Watched:
    """A run, and a watcher that answers what a test wants."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        self.record, self.said, self.asked, self.answers = dict(id="x"), [], [], []
        self.transport = "local"

    def act(self, state, **arguments):
        """The result of the action; what it records of the run is kept."""
        action = watch.ActionModule.__new__(watch.ActionModule)
        action._task = SimpleNamespace(get_vars=dict, action="shakenfist.rolling.watch", run_once=False,
                                       get_name=lambda: "Watch")
        action._display = SimpleNamespace(display=self.said.append, warning=self.said.append)
        action._connection = SimpleNamespace(transport=self.transport)
        action._templar = SimpleNamespace(template=lambda value: value)
        defaults = {option: value.get("default") for option, value in watch.ARGUMENTS.items()}
        action.validate_argument_spec = lambda argument_spec: (None, dict(defaults, state=state, url=URL, **arguments))
        action._execute_module = self.answer
        result = action.run(task_vars=dict(
            inventory_hostname="sf-1", roll_reconnect_timeout=0,
            hostvars={"localhost": dict(ansible_facts=dict(rolling_run=self.record))}))
        self.record = result.pop("ansible_facts", {}).get("rolling_run", self.record)
        return result

    def answer(self, module_name, module_args, task_vars):
        assert module_name == "shakenfist.rolling.probe" and module_args["id"].startswith("rolling-")
        self.asked.append(module_args)
        answer = self.answers.pop(0) if self.answers else dict(changed=True, probe=SEEN)
        if answer is LOST:
            raise LOST
        return answer


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def test_a_watch_begins(watched):
    assert watched.act("started", options=dict(rate="5"))["probe"] == SEEN
    before, begun = watched.asked
    assert before["state"] == "stopped" and begun["url"] == URL and begun["rate"] == "5" and "state" not in begun
    assert begun["max_seconds"] == begun["idle_seconds"] == 86400
    assert begun["owner"] == os.getppid()
    watched.act("begun")
    assert watched.record["watch"] == dict(started=True)


def test_a_watcher_on_another_host_knows_no_process_of_this_one(watched):
    watched.transport = "ssh"
    watched.act("started")
    assert "owner" not in watched.asked[1]


@pytest.mark.parametrize("answers, asked", [
    ([dict(failed=True, msg="no")], 1), ([dict(changed=False), dict(failed=True, msg="no")], 2)])
def test_a_watch_that_does_not_begin(watched, answers, asked):
    watched.answers = answers
    result = watched.act("started")
    assert result["failed"] and result["msg"] == "no" and len(watched.asked) == asked


def test_a_host_that_is_lost_is_a_failure(watched):
    watched.answers = [LOST]
    assert watched.act("stopped")["lost"] is True


def test_nobody_reads_a_watch_that_has_not_begun(watched):
    assert watched.act("read", batch=["sf-1"]) == dict(changed=False, skipped=True) and watched.asked == []
    assert watched.act("judged", result=dict(skipped=True)) == dict(changed=False) and watched.record == dict(id="x")


def test_a_watch_is_read_and_judged(watched):
    watched.act("begun")
    read = watched.act("read", batch=["sf-1", "sf-2"])
    assert watched.asked[-1]["mark"] == "roll" and watched.asked[-1]["state"] == "read"
    assert watched.act("judged", result=read, budget=1) == dict(changed=False)
    assert watched.record["watch"] == dict(started=True, begun=True, seen=SEEN)
    watched.act("read", batch=["sf-1", "sf-2"])
    assert watched.asked[-1]["mark"] == "sf-1, sf-2"


def test_too_many_requests_have_failed(watched):
    found = watched.act("judged", result=dict(probe=SEEN))
    assert found["failed"] and found["stopped"] and found["msg"].startswith(f"1 of 9 requests to {URL} have failed")


def test_a_watch_ends(watched):
    watched.act("begun")
    watched.act("stopped")
    assert watched.asked[-1]["state"] == "stopped"
    assert watched.act("ended", result=dict(msg="it died")) == dict(changed=False)
    assert watched.said == [f"What {URL} did is not known: it died"] and watched.record["watch"]["seen"] == {}
    assert watched.said[0].event == dict(event="message", node="sf-1", task="Watch", message=watched.said[0])
    watched.act("ended", result=dict(probe=SEEN))
    assert watched.record["watch"]["seen"] == SEEN
