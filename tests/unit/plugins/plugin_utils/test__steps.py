# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _persistent, _steps
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock

RUN = "1a2b3c4d"
LOST = AnsibleConnectionFailure("no route")
RESTARTED = dict(changed=True, units={"sf-api": dict(before="a", after="b", active_after=0.5)}, secret="hunter2")


@pytest.fixture
def run(monkeypatch):
    """Run an action with these steps; its modules answer what is given, one after the other."""
    def run(steps, answers, step="drain", variables=None, before=None, check=None, **task):
        clock = Clock(1000.0)
        monkeypatch.setattr(_persistent, "time", clock)
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})

        class Action(_steps.StepsAction):
            tells_modules = task.pop("tells_modules", True)

        Action.steps = steps
        action = Action.__new__(Action)
        action.said, action.asked, action.warned = [], [], []
        action._task = SimpleNamespace(**dict(dict(
            action="shakenfist.rolling.leave", args={}, run_once=False, no_log=False, play=None,
            get_vars=lambda: dict(rolling_step=step), get_name=lambda: "roll : Drain"), **task))
        action._templar = SimpleNamespace(template=lambda value: value)
        action._connection = SimpleNamespace(reset=lambda: None)
        action._display = SimpleNamespace(warning=action.warned.append, display=lambda text, **how: action.said.append(
            (str(text), text.event, how)))
        answers = list(answers)

        def execute(module_name, module_args, task_vars):
            action.asked.append((module_name, module_args))
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return dict(answer)
        action._execute_module = execute
        home = dict(localhost=dict(ansible_facts=dict(rolling_run=dict(id=RUN))))
        facts = dict(rolling_node=before) if before else {}
        result = action.run(task_vars=dict(variables or {}, inventory_hostname="sf-1", ansible_facts=facts,
                                           hostvars=home))
        assert answers == []
        return result, action
    return run


def two(self, task_vars):
    self.begin("quorum")
    self.module("ready_info", task_vars, title="Wait for others", urls=["a"], minimum=1)
    self.note(balancers=dict(haproxy="ready"))
    self.begin("drain")
    return dict(units=self.module("units", task_vars, tiers=[["sf-api"]])["units"])


READY = dict(changed=False, ready=True, count=1, seen=dict(a=1))


def test_several_modules(run):
    result, action = run(two, [dict(READY, warnings=["w"], ansible_facts=dict(python=1)),
                               dict(RESTARTED, warnings=["v"], diff=dict(before="a", after="b"))],
                         before=dict(run=RUN, timeline=[dict(began=1.0)], restored="x"))
    assert action.asked == [("shakenfist.rolling.several", dict(calls=[dict(module=module, arguments=arguments)]))
                            for module, arguments in (("ready_info", dict(urls=["a"], minimum=1)),
                                                      ("units", dict(tiers=[["sf-api"]])))]
    record = result["ansible_facts"].pop("rolling_node")
    assert result == dict(changed=True, units=RESTARTED["units"], warnings=["w", "v"],
                          diff=[dict(before="a", after="b")], ansible_facts=dict(python=1))
    assert [entry.get("module") for entry in record["timeline"]] == [None, "ready_info", "units"]
    assert record["timeline"][1]["step"] == "quorum" and record["timeline"][1]["details"]["minimum"] == 1
    assert record["timeline"][2]["details"] == dict(units={"sf-api": 0.5}, tiers=[["sf-api"]])
    assert record["balancers"] == dict(haproxy="ready") and record["restored"] == "x" and record["run"] == RUN


def test_each_module_is_told_when_it_ends(run):
    dummy, action = run(two, [READY, RESTARTED], step="drain")
    assert [text for text, dummy, dummy in action.said] == [""] * 4
    assert all(how == dict(screen_only=True, log_only=True) for dummy, dummy, how in action.said)
    events = [event for dummy, event, dummy in action.said]
    assert [(event["event"], event["node"], event["step"]) for event in events] == [
        ("step", "sf-1", "quorum"), ("module", "sf-1", "quorum"), ("step", "sf-1", "drain"),
        ("module", "sf-1", "drain")]
    assert events[3]["module"] == "units" and events[3]["result"] == "changed"
    assert events[3]["details"] == dict(units={"sf-api": 0.5}) and events[1]["result"] == "ok"


def in_one_go(self, task_vars):
    ready, units = self.several(task_vars, ("Wait", "ready_info", dict(urls=["a"])),
                                ("Restart", "units", dict(tiers=[["sf-api"]])))
    return dict(units=units["units"], count=ready["count"])


def test_modules_in_one_go(run, monkeypatch):
    monkeypatch.setattr(_steps, "time", SimpleNamespace(time=iter([1000.0, 1003.0]).__next__))
    answers = [dict(READY, seconds=0.5), dict(RESTARTED, seconds=2.0, diff=dict(before="a", after="b"))]
    found = dict(discovered_interpreter_python="/usr/bin/python3")
    result, action = run(in_one_go, [dict(answers=answers, warnings=["w"], diff=[1], ansible_facts=found)])
    assert action.asked == [("shakenfist.rolling.several", dict(calls=[
        dict(module="ready_info", arguments=dict(urls=["a"])),
        dict(module="units", arguments=dict(tiers=[["sf-api"]]))]))]
    timeline = result["ansible_facts"].pop("rolling_node")["timeline"]
    assert result == dict(changed=True, units=RESTARTED["units"], count=1, warnings=["w"],
                          diff=[dict(before="a", after="b")], ansible_facts=found)
    # The start of it all belongs to the first.
    assert [(entry["module"], entry["began"], entry["ended"]) for entry in timeline] == [
        ("ready_info", 1000.0, 1001.0), ("units", 1001.0, 1003.0)]
    assert [event["module"] for dummy, event, dummy in action.said] == ["ready_info", "units"]
    assert [event["seconds"] for dummy, event, dummy in action.said] == [1.0, 2.0]


@pytest.mark.parametrize("tolerated", [True, False])
def test_one_of_those_that_share_a_module(run, tolerated):
    """What Ansible itself says of its start is that of the task, as with any other module."""
    def steps(self, task_vars):
        return dict(seen=self.module("ready_info", task_vars, tolerated=tolerated, urls=["a"])["seen"])

    found, answer = dict(discovered_interpreter_python="/usr/bin/python3"), dict(READY, warnings=["v"], seconds=0.5)
    more = dict(failed=True, msg="no") if tolerated else {}
    result, dummy = run(steps, [dict(more, answers=[dict(answer, **more)], warnings=["w"], ansible_facts=found)])
    assert result["seen"] == dict(a=1) and not result.get("failed") and result["warnings"] == ["v"]
    assert result["ansible_facts"].pop("rolling_node") and result["ansible_facts"] == found


@pytest.mark.parametrize("answer, title, entries, words", [
    (dict(failed=True, msg="no", answers=[dict(READY, seconds=0.0), dict(failed=True, msg="no", seconds=0.0,
                                                                         units={})]), "Restart", 2, "no"),
    (dict(failed=True, msg="no", module_stderr="x"), "Wait; Restart", 1, "no: x")])
def test_one_of_them_fails(run, answer, title, entries, words):
    """It may be the start itself: nobody knows which of them it was then."""
    result, action = run(in_one_go, [answer])
    assert result["failed"] and (result["msg"], result["title"]) == (words, title) and len(action.said) == entries


def test_one_module_fails(run):
    result, action = run(two, [READY, dict(failed=True, changed=True, msg="no", failed_units=["sf-api"], diff=[1])])
    assert (result["failed"], result["changed"], result["msg"], result["diff"]) == (True, True, "no", [1])
    assert result["failed_units"] == ["sf-api"] and "title" not in result and "ansible_facts" not in result
    assert result["timing"]["step"] == "drain" and set(result["timing"]) == {"step", "began", "ended"}
    assert [entry["module"] for entry in result[_steps.NOTED]["timeline"]] == ["ready_info"]
    assert result[_steps.NOTED]["balancers"] == dict(haproxy="ready")
    assert action.said[-1][1]["result"] == "failed"


def test_the_first_one_fails(run):
    result, dummy = run(two, [dict(failed=True, msg="")])
    assert result["title"] == "Wait for others" and result["timing"]["step"] == "quorum" and _steps.NOTED not in result


def test_one_that_may_fail(run):
    result, action = run(lambda self, task_vars: dict(said=self.module("ready_info", task_vars, tolerated=True)["msg"]),
                         [dict(failed=True, msg="no")])
    assert result["said"] == "no" and not result.get("failed") and action.said[0][1]["result"] == "ok"


@pytest.mark.parametrize("problem", ["", "it is wrong"])
def test_a_problem(run, problem):
    result, dummy = run(lambda self, task_vars: self.check(problem, "Look", stopped=True), [])
    assert result == (dict(failed=True, changed=False, msg=problem, title="Look", stopped=True) if problem
                      else dict(changed=False))


def test_a_node_that_is_lost(run):
    lost = dict(roll_reconnect_timeout=4)
    result, action = run(two, [LOST, READY, LOST, RESTARTED], variables=lost)
    assert result["changed"] and len(action.asked) == 4
    result, action = run(two, [LOST] * 4, variables=dict(roll_reconnect_timeout=5))
    assert result["lost"] and result["title"] == "Wait for others" and "did not come back within 5 s" in result["msg"]


def test_what_is_run_once_only(run):
    drain, ready = (("", "haproxy_server", dict(state=state)) for state in ("drain", "ready"))
    look = ("", "units_info", {})
    for calls, tries in (([drain], 1), ([look, drain], 1), ([ready], 3), ([ready, look], 3)):
        result, dummy = run(lambda self, task_vars, calls=calls: self.several(task_vars, *calls) and {}, [LOST] * tries,
                            variables=dict(roll_reconnect_timeout=4))
        assert result["lost"] and ("it is not known what was done" in result["msg"]) == (tries == 1)


@pytest.mark.parametrize("task, told, timed", [
    (dict(no_log=True), False, True), (dict(run_once=True), True, False), (dict(step=""), True, False)])
def test_what_is_not_told(run, task, told, timed):
    def one(self, task_vars):
        self.module("units", task_vars, tiers=[])
        self.module("config_info", task_vars)
    result, action = run(one, [RESTARTED, {}], **task)
    assert len(action.said) == told and ("ansible_facts" in result) is timed
    result = run(one, [dict(failed=True, msg="no")], **task)[0]
    assert ("timing" in result) is timed


def test_an_action_that_is_told_as_a_whole(run):
    result, action = run(two, [READY, RESTARTED], tells_modules=False)
    assert action.said == []
    entry, = result["ansible_facts"]["rolling_node"]["timeline"]
    assert (entry["module"], entry["details"]) == ("leave", {})


@pytest.mark.parametrize("broken", ["step_of", "details_of", "entry_of"])
def test_a_mishap_in_telling_does_not_touch_the_result(run, monkeypatch, broken):
    def fail(*dummy):
        raise ValueError("broken on purpose")
    monkeypatch.setattr(_steps, broken, fail)
    result, action = run(two, [READY, RESTARTED])
    assert result["changed"] and result["ansible_facts"]["rolling_node"]["balancers"] == dict(haproxy="ready")
    assert set(action.warned) == {"The report will lack a part, the run goes on: ValueError: broken on purpose"}


def test_a_state_is_a_method(monkeypatch):
    class Action(_steps.StatesAction):
        arguments = dict(state=dict(type="str"))

        def prepare(self, task_vars):
            self.name = task_vars["name"]

        def done(self):
            return dict(name=self.name, given=vars(self.given))

    action = Action.__new__(Action)
    action.validate_argument_spec = lambda argument_spec: (None, dict(state="done", asked=argument_spec, data=(1,)))
    assert action.steps(dict(name="sf-1")) == dict(name="sf-1", given=dict(
        state="done", asked=dict(state=dict(type="str")), data=[1]))
    Action.prepare = _steps.StatesAction.prepare
    assert action.steps({})["name"] == "sf-1"


def test_an_action_without_steps():
    with pytest.raises(NotImplementedError):
        _steps.StepsAction.steps(None, {})


def test_what_the_record_gains_more_than_once(run):
    """What it has already stays, once."""
    def steps(self, task_vars):
        assert (self.name, self.run_record.id) == ("sf-1", RUN)
        self.record = SimpleNamespace(notes=["before"], tier=dict(stopped=["a"]))
        self.add_notes("one", "before")
        self.add_notes("two", "one")
        self.remember(wrote=True)
        self.remember(undone=["x"])

    values = run(steps, [])[1].values
    assert values == dict(notes=["before", "one", "two"], tier=dict(stopped=["a"], wrote=True, undone=["x"]))


def test_what_the_run_knows_of_a_node(run):
    def steps(self, task_vars):
        return dict(notes=self.record.notes, same=self.record is self.record)

    # The facts of the node itself are those of hostvars, in which a run without a record of it has none.
    result = run(steps, [])[0]
    assert result["notes"] == [] and result["same"]


def test_a_file_of_the_node_and_a_command(run):
    def steps(self, task_vars):
        return dict(text=self.read("Read it", "/x"), said=self.execute(["id"])["rc"])

    result, action = run(steps, [dict(content="aMOk"), dict(failed=True, rc=1)])
    assert (result["text"], result["said"]) == ("h\xe4", 1)
    assert action.asked == [("ansible.legacy.slurp", dict(path="/x")),
                            ("ansible.legacy.command", dict(argv=["id"]))]


def test_a_file_that_cannot_be_read(run):
    result = run(lambda self, task_vars: self.read("Read it", "/x"), [dict(failed=True, msg="no")])[0]
    assert result["failed"] and (result["msg"], result["title"]) == ("no", "Read it")
