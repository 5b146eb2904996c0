# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction


class Lazy(dict):
    pass


def made(monkeypatch, kind):
    monkeypatch.setattr(ActionBase, "run", lambda *dummy: dict(from_ansible=1))
    action = kind.__new__(kind)
    action.validate_argument_spec = lambda argument_spec: (None, Lazy(asked=argument_spec, data=Lazy(a=(1,))))
    return action


def test_an_action_is_its_answer(monkeypatch):
    class Action(ControllerAction):
        arguments = dict(word=dict(type="str"))

        def answer(self, arguments, task_vars):
            return dict(arguments=arguments, name=task_vars["name"])

    result = made(monkeypatch, Action).run(task_vars=dict(name="sf-1"))
    assert result == dict(from_ansible=1, changed=False, name="sf-1",
                          arguments=dict(asked=dict(word=dict(type="str")), data=dict(a=[1])))
    assert not isinstance(result["arguments"]["data"], Lazy)
    assert Action._supports_check_mode and not Action._requires_connection


def test_an_answer_may_be_a_change_or_a_failure(monkeypatch):
    class Action(ControllerAction):
        def answer(self, arguments, task_vars):
            return dict(changed=True, failed=True, msg="no")

    assert made(monkeypatch, Action).run() == dict(from_ansible=1, changed=True, failed=True, msg="no")


def test_without_an_answer(monkeypatch):
    with pytest.raises(NotImplementedError):
        made(monkeypatch, ControllerAction).run()
