# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A command that changes a node, on modules that answer what a test wants; what runs on the controller is real.

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.shakenfist.rolling.plugins.action import reconfigure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

RELEASE = dict(version="0.8.0", name=None, contents="aa")
NODE = dict(venv="/v", releases="/r", distribution="sf", ready_url="http://sf-1", api_unit="sf-api", release=RELEASE)
UNITS = ["sf-api", "sf-net"]


def runs(**of):
    units = {f"sf-{name}": dict(active=True, invocation=f"{name}-{run}") for name, run in of.items()}
    return dict(units=units)


@pytest.fixture
def one(monkeypatch, tmp_path):
    steps = Steps(monkeypatch, reconfigure, "reconfigure", command=dict(rc=0, stdout=""),
                  release_info=dict(active=RELEASE), ready_info=dict(ready=True),
                  units_info=[runs(api=1, net=1), runs(api=2, net=2)])
    steps.log = tmp_path / "log"
    return steps


def done(one, **arguments):
    return one.act(**dict(dict(state="done", node=NODE, command="true", where="controller", inventory=[], arguments=[],
                               timeout=9.0, ready_timeout=3.0, log=str(one.log), units=UNITS), **arguments))


def test_a_command_that_restarts_all(one):
    result = done(one, command="echo $FROM_THE_TASK; echo hushed >&2; pwd >/dev/null")
    assert result["changed"] and result["left"] == [] and result["serves"] is False
    assert result["runs"] == runs(api=2, net=2)["units"]
    assert one.asked() == ["units_info", "release_info", "units_info"]
    assert one.calls[1][1] == dict(path="/v", releases="/r", distribution="sf")
    assert one.log.read_text() == "yes\nhushed\n" and one.log.stat().st_mode & 0o777 == 0o600
    entries = result["ansible_facts"]["rolling_node"]["timeline"]
    assert [entry["module"] for entry in entries] == ["units_info", "reconfigure", "release_info", "units_info"]
    assert {entry["step"] for entry in entries} == {"reconfigure"} and entries[1]["changed"]


@pytest.mark.parametrize("answer, serves", [(dict(ready=True), True), (dict(failed=True, ready=False, msg="no"), False),
                                            (dict(failed=True, msg="broken"), False)])
def test_an_api_that_serves_before_the_rest_is_restarted(one, answer, serves):
    one.given["units_info"][1], one.given["ready_info"] = runs(api=2, net=1), answer
    result = done(one)
    assert result["left"] == ["sf-net"] and result["serves"] is serves and not result.get("failed")
    assert one.calls[-1] == ("ready_info", dict(urls=["http://sf-1"], unit="sf-api", timeout=3.0))
    assert one.told() == [("ready_info", "ok")]


def test_an_api_that_is_left_is_not_drained(one):
    one.given["units_info"][1] = runs(api=1, net=2)
    assert done(one)["left"] == ["sf-api"] and "ready_info" not in one.asked()


def test_check_mode_runs_nothing(one):
    one.check, one.given["units_info"] = True, runs(api=1, net=1)
    result = done(one)
    assert result["left"] == UNITS and result["serves"] is False and result["changed"] is False
    assert not one.log.exists() and one.asked() == ["units_info", "release_info", "units_info"]


def test_on_the_node(one):
    assert done(one, where="node")["changed"] and not one.log.exists()
    module, arguments = one.calls[1]
    assert module == "command" and arguments["argv"][:2] == ["/bin/bash", "-c"]
    assert " sh -c true >" in arguments["argv"][2]


@pytest.mark.parametrize("answer, words", [
    (dict(failed=True, rc=3), "it ended with exit code 3. What it said is in {log} on sf-1; there may be secrets in"),
    (AnsibleConnectionFailure("no route"), "it was cut off: no route. What it said"),
])
def test_a_command_that_fails_on_the_node(one, answer, words):
    one.given["command"] = answer
    result = done(one, where="node")
    assert result["failed"] and result["changed"] and words.format(log=one.log) in result["msg"]
    assert one.asked() == ["units_info", "command"]
    # It is what the failure of the node ended with.
    assert [entry["module"] for entry in result[NOTED]["timeline"]] == ["units_info", "reconfigure"]


def test_a_controller_without_a_shell(one, monkeypatch):
    def run(argv, **dummy):
        raise FileNotFoundError(2, "No such file", argv[0])
    monkeypatch.setattr(reconfigure.subprocess, "run", run)
    assert "it was cut off: [Errno 2] No such file: '/bin/bash'" in done(one)["msg"]


def test_where_a_playbook_has_ended_is_told(one, monkeypatch):
    site = one.log.parent / "site.yml"
    site.write_text("[]")
    program = one.log.parent / "ansible-playbook"
    program.write_text("#!/bin/sh\necho 'TASK [Set it] ***'\necho 'fatal: [sf-1]: FAILED! => hushed'\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(reconfigure._reconfigure, "_program", lambda: str(program))
    assert (f"ansible-playbook {site} --limit sf-1 to end with 0; it ended with exit code 2 (TASK [Set it]: fatal: "
            f"[sf-1]). What it said is in {one.log} on this machine;") in done(one, playbook=str(site))["msg"]
    one.given["units_info"] = [runs(api=1, net=1)]
    assert "(TASK" not in done(one, command="echo 'fatal: [sf-1]: hushed'; exit 2")["msg"]


def test_a_command_that_changes_the_release(one):
    one.given["release_info"] = dict(active=dict(RELEASE, version="0.8.2"))
    result = done(one)
    assert "expected true to keep the release 0.8.0; /v has 0.8.2 now" in result["msg"] and result["changed"]
    assert result["title"] == "Stop if the release is another one"


def test_a_playbook_that_cannot_be_run(one):
    assert done(one, playbook="/nowhere.yml")["msg"].startswith("expected a playbook at /nowhere.yml on this machine")
    assert one.asked() == []


# ---- before any node is touched

def test_a_command_that_is_there(one):
    assert one.act(state="checked", command="A=b sh -c x", log=str(one.log)) == dict(changed=False)
    assert one.act(state="checked", command="x", where="node", log="/l") == dict(changed=False)
    assert one.calls == [("command", dict(argv=["sh", "-c", reconfigure._reconfigure.PROBE, "sh", "x", "/l"]))]


@pytest.mark.parametrize("arguments, words", [
    (dict(command="/nowhere/x"), "expected /nowhere/x on this machine, and a directory for {log} that can"),
    (dict(command="/nowhere/x"), "the command is not there for this user: run this as root"),
    (dict(command="sh", log="/nowhere/log"), "the command is there, the directory is not"),
    (dict(command=""), "expected a command on this machine"),
    (dict(command="", playbook="/nowhere.yml"), "expected a playbook at /nowhere.yml on this machine"),
])
def test_a_command_that_is_not_there(one, arguments, words):
    result = one.act(**dict(dict(state="checked", log=str(one.log)), **arguments))
    assert result["failed"] and not result["changed"] and result["msg"].startswith("Nothing was touched. expected ")
    assert words.format(log=one.log) in result["msg"]


def test_a_command_that_is_not_on_the_node(one):
    one.given["command"] = dict(failed=True, rc=127)
    assert "expected x on sf-1" in one.act(state="checked", command="x", where="node", log="/l")["msg"]
