# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# How others are notified. tests/specs/test_telling.py does it with real receivers.

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import notify

WEBHOOK = dict(url="http://chat/T0KEN", headers={}, timeout="5")
EVENTS = ["start", "failure", "end"]


@pytest.fixture
def send(monkeypatch):
    """Notify of an event; return what was said, as an event, and what modules were asked."""
    def send(answer, event="end", record=None, **arguments):
        said, asked = [], []
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        action = notify.ActionModule.__new__(notify.ActionModule)
        action._task = SimpleNamespace(get_vars=dict, get_name=lambda: "Notify")
        action._display = SimpleNamespace(display=said.append)
        action.validate_argument_spec = lambda argument_spec: (None, dict(dict(
            message=dict(event=event, cluster="prod", playbook="", state="", words="", report=""), host="desk",
            webhook={}, extra={}, events=EVENTS, textfile=""), **arguments))

        def execute(module_name, module_args, task_vars):
            asked.append((module_name, module_args))
            if isinstance(answer, Exception):
                raise answer
            return answer
        action._execute_module = execute
        facts = dict(ansible_facts=dict(rolling_run=dict(dict(id="x", kind="upgrade", began=5.0), **record or {})))
        result = action.run(task_vars=dict(hostvars={"localhost": facts, "sf-1": {}}, inventory_hostname="sf-1",
                                           ansible_play_hosts_all=["sf-1"]))
        assert result == dict(changed=False)
        assert [each.event["message"] for each in said] == said
        return said, asked
    return send


def test_a_message_is_posted(send):
    said, ((module, asked),) = send(dict(problem=""), webhook=WEBHOOK, extra=dict(channel="#ops"))
    assert said == [] and module == "shakenfist.rolling.webhook" and asked["url"] == WEBHOOK["url"]
    assert asked["body"]["channel"] == "#ops" and asked["body"]["text"].startswith("prod: roll is complete after")


def test_a_run_has_ended_once(send):
    record = dict(ended=65.0, plan=dict(order=["sf-1"]))
    dummy, ((dummy, asked),) = send(dict(problem=""), webhook=WEBHOOK, record=record)
    assert asked["body"]["seconds"] == 60 and asked["body"]["playbook"] == "upgrade"


def test_what_is_not_to_be_posted(send):
    assert send(dict(problem="x"), webhook=WEBHOOK, events=["start"]) == ([], [])


@pytest.mark.parametrize("answer, event, why", [
    (dict(problem="no answer within 5 s"), "start", "start of the roll: no answer within 5 s"),
    (dict(failed=True, msg="T0KEN"), "failure", "failure of the roll: the module has failed on desk"),
    (AnsibleConnectionFailure("T0KEN"), "end", "end of the roll: desk cannot be reached"),
])
def test_a_webhook_that_was_not_notified(send, answer, event, why):
    assert send(answer, event, webhook=WEBHOOK)[0] == [f"The webhook (tell_webhook_url) was not notified of the {why}"]


def test_metrics_are_written(send):
    said, ((module, asked),) = send(dict(rc=0), textfile="/x/roll.prom", events=[])
    assert said == [] and module == "ansible.legacy.command"
    assert asked["argv"][-1] == "/x/roll.prom" and 'cluster="prod"' in asked["stdin"]


@pytest.mark.parametrize("answer, why", [
    (dict(failed=True, stderr="sh: cannot create\n", msg="non-zero return code"), "sh: cannot create"),
    (dict(failed=True, msg="no sh"), "no sh"),
    (dict(failed=True), "the command has failed"),
    (AnsibleConnectionFailure("no route"), "desk cannot be reached"),
])
def test_metrics_that_were_not_written(send, answer, why):
    assert send(answer, textfile="/x/roll.prom")[0] == [
        f"The metrics of the end of the roll were not written to /x/roll.prom on desk: {why}"]
