# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _timeline

RUN = "1a2b3c4d"


@pytest.fixture
def run(monkeypatch):
    """Run a module that answers this, as a task of this step; time passes by 2 seconds with it."""
    def run(answer, step="drain", module="drain", before=None, run_once=False, **arguments):
        moments = [1000.0, 1002.0004]
        monkeypatch.setattr(_timeline, "time", SimpleNamespace(time=lambda: moments.pop(0)))
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        action = _timeline.TimedAction.__new__(_timeline.TimedAction)
        action._task = SimpleNamespace(action=f"shakenfist.rolling.{module}", args=arguments, run_once=run_once,
                                       get_vars=lambda: dict(rolling_step=step), get_name=lambda: "Drain")
        action.warned = []
        action._display = SimpleNamespace(warning=action.warned.append)
        action._execute_module = lambda task_vars: dict(answer)
        home = dict(localhost=dict(ansible_facts=dict(rolling_run=dict(id=RUN))))
        facts = dict(rolling_node=before) if before else {}
        task_vars = dict(inventory_hostname="sf-1", ansible_facts=facts, hostvars=home)
        return action.run(task_vars=task_vars), action.warned
    return run


def entries(result):
    assert result["ansible_facts"]["rolling_node"]["run"] == RUN
    return result["ansible_facts"]["rolling_node"]["timeline"]


def test_when_a_module_ran(run):
    result, warned = run(dict(changed=True, was_ready=True, secret="hunter2"))
    assert entries(result) == [dict(step="drain", began=1000.0, ended=1002.0, module="drain", changed=True,
                                    details=dict(was_ready=True))]
    assert result["changed"] and warned == []


def test_the_list_grows(run):
    first = dict(began=900.0)
    result, dummy = run({}, before=dict(run=RUN, timeline=[first], restored="went back"))
    assert [entry["began"] for entry in entries(result)] == [900.0, 1000.0] and entries(result)[1]["changed"] is False
    assert result["ansible_facts"]["rolling_node"]["restored"] == "went back"


def test_an_earlier_run_in_a_fact_cache_is_left_out(run):
    assert len(entries(run({}, before=dict(run="another", timeline=[dict(began=900.0)]))[0])) == 1


def test_facts_of_the_module_stay(run):
    assert run(dict(ansible_facts=dict(mine=1)))[0]["ansible_facts"]["mine"] == 1


@pytest.mark.parametrize("module, arguments, told", [
    ("ready_info", dict(urls=[], minimum=2), dict(minimum=2)),
    ("units", dict(tiers=[["sf-api"], []], timeout=9), dict(tiers=[["sf-api"], []])),
    ("units_info", dict(patterns=["sf-*"]), {}),
])
def test_arguments_that_the_report_tells(run, module, arguments, told):
    details = entries(run(dict(units={}), module=module, **arguments)[0])[0]["details"]
    assert {key: details[key] for key in details if key in arguments} == told


def test_a_failure_has_it_in_its_result(run):
    result, dummy = run(dict(failed=True, msg="no"))
    assert result == dict(failed=True, msg="no", timing=dict(step="drain", began=1000.0, ended=1002.0))


@pytest.mark.parametrize("options", [dict(run_once=True), dict(step=""), dict(step="another")])
def test_what_is_not_noted(run, options):
    assert run(dict(changed=True), **options) == (dict(changed=True), [])


def test_a_mishap_does_not_touch_the_result(run, monkeypatch):
    def broken(*dummy):
        raise ValueError("broken on purpose")
    monkeypatch.setattr(_timeline, "details_of", broken)
    result, warned = run(dict(changed=True))
    assert result == dict(changed=True)
    assert warned == ["The report will lack a part, the run goes on: ValueError: broken on purpose"]


@pytest.mark.parametrize("controller, parent, ended", [
    (None, 1, []), (SimpleNamespace(pid=4711), 4711, []), (SimpleNamespace(pid=4711), 1, [1])])
def test_a_task_ends_without_its_controller(run, monkeypatch, controller, parent, ended):
    """Killed, it reads no results, and one that is larger than a pipe would never be written."""
    seen = []
    monkeypatch.setattr(_timeline, "multiprocessing", SimpleNamespace(parent_process=lambda: controller))
    monkeypatch.setattr(_timeline, "os", SimpleNamespace(getppid=lambda: parent, _exit=seen.append))
    run(dict(changed=True))
    assert seen == ended
