# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# One node's part of an upgrade for which all is stopped, on modules that answer what a test wants.

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.action import tier
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

OLD, NEW = "4.0.0", "5.0.0-aaaaaaaa"
SERVICES = [dict(name="agent", killed="warn"), dict(name="server", answers=dict(port=9696, path="/x", status=300))]
FAILS = dict(failed=True, msg="it hangs", failed_units=["server"])
UP = dict(changed=True, stopped=[], started=["server"], killed=[], units=dict(server=dict(after="run2", restarts=0)))
OTHER = dict(ansible_facts=dict(rolling_node=dict(run="x", cause=dict(step="Stop agent", words="it hangs"))))


def unit(name, release=OLD, active=True):
    return dict(link=f"/c/{name}", release=release, runs=release if active else "", active=active)


@pytest.fixture
def one(monkeypatch):
    steps = Steps(monkeypatch, tier, "restart", standstill=dict(UP, stopped=["server"], started=[]),
                  release=dict(changed=True), kept_files=dict(changed=True), ready_info=dict(ready=True),
                  units_info=dict(units=dict(server=dict(program=f"/r/{NEW}/bin/python"))))
    everybody = ["sf-1", "sf-2"]
    steps.run = dict(id="x", kind="tier", plan=dict(
        tier=dict(mode="whole", priors=dict.fromkeys(everybody, OLD)), command="the command"))
    steps.variables = dict(ansible_play_hosts_all=everybody, ansible_play_hosts=everybody)
    steps.others = {name: dict(cluster_node=node()) for name in everybody}
    return steps


def node(release=OLD, active=True):
    return dict(name="sf-1", address="10.0.0.1", releases="/r", distribution="dragonflow", previous={}, settings={},
                services=dict(agent=unit("agent", release, active), server=unit("server", release, active)))


def go(one, state, **more):
    return one.act(state=state, target=dict(name=NEW, version="5.0.0"), **dict(dict(
        node=node(), services=SERVICES, service="server" if state in ("stopped", "started") else "", result={}),
        **more))


def noted(result):
    return result.get("ansible_facts", {}).get("rolling_node", {})


def test_a_service_is_stopped(one):
    result = go(one, "stopped", stop_timeout=7)
    assert one.calls == [("standstill", dict(state="stopped", units=["server"], timeout=7, release=OLD, migrates=[]))]
    assert noted(result)["tier"] == dict(stopped=["server"]) and "began" in noted(result)["services"]["server"]


@pytest.mark.parametrize("active, stopped, marked", [
    (True, ["server"], True), (True, [], True), (False, ["server"], True), (False, [], False)])
def test_a_service_that_does_not_run_goes_down_no_more(one, active, stopped, marked):
    one.given["standstill"] = dict(UP, stopped=stopped, started=[])
    assert ("server" in noted(go(one, "stopped", node=node(active=active))).get("services", {})) is marked


HELD = {name: dict(unit(name, active=False), held="active") for name in ("agent", "server")}


@pytest.mark.parametrize("services, mode, before, aside", [
    (node()["services"], "whole", {}, True), (dict(HELD, agent=unit("agent", active=False)), "whole", {}, True),
    (HELD, "whole", {}, False), (node()["services"], "rest", {}, False),
    (node()["services"], "whole", dict(stopped=[]), False)])
def test_a_configuration_of_before_whose_holds_were_removed_is_set_aside(one, services, mode, before, aside):
    """A later way back would else undo what the operator has changed since."""
    one.run["plan"]["tier"]["mode"], one.node = mode, dict(tier=before) if before else {}
    one.given["kept_files"] = dict(changed=True, aside="/r/x-2026")
    result = go(one, "stopped", configuration=["/etc/neutron"], node=dict(node(), services=services))
    assert ("kept_files" in one.asked()) == aside and one.asked()[-1] == "standstill"
    if aside:
        assert one.calls[0][1] == dict(state="aside", paths=["/etc/neutron"], dest="/r/.rolling-configuration")
        assert noted(result)["notes"][0].endswith("is in /r/x-2026, and is not taken back any more")
        assert one.words()[0].startswith("warn  sf-1: somebody has removed what held its services")
        one.given["kept_files"] = dict(changed=False, aside="")
        assert not noted(go(one, "stopped", configuration=["/etc/neutron"])).get("notes")


def test_one_that_is_not_here(one):
    for state in ("stopped", "started"):
        result = go(one, state, service="other")
        assert result["skipped"] and "ansible_facts" not in result and one.calls == []


@pytest.mark.parametrize("service, fails", [("server", True), ("agent", False)])
def test_one_that_is_ended_by_force(one, service, fails):
    one.given["standstill"] = dict(UP, stopped=[service], started=[], killed=[service])
    found = noted(go(one, "stopped", service=service))
    assert bool(found.get("cause")) == fails and "ended by force" in one.words()[0]
    if fails:
        assert found["cause"]["step"] == "Stop server" and found["cause"]["units"] == ["server"]
        assert "TimeoutStopSec" in found["cause"]["words"]
    else:
        assert found["notes"] and one.words()[0].startswith("warn  sf-1: agent did not end in the time")


@pytest.mark.parametrize("places, check, started, forgotten", [
    (["sf-1"], False, False, True), (["sf-2"], False, False, False), (["sf-1"], True, False, False),
    (["sf-1"], False, True, False)])
def test_the_restore_point_ends_with_the_first_start(one, places, check, started, forgotten):
    """A run weeks later that finds everything stopped would else restore the database of before this one."""
    one.run["plan"]["tier"]["places"] = dict(enumerate(places))
    one.given["file"], one.given["standstill"], one.check = dict(changed=True), UP, check
    one.node = dict(tier=dict(started=True)) if started else {}
    go(one, "started")
    paths = [arguments["path"] for module, arguments in one.calls if module == "file"]
    # That the database was migrated stays known, for where nothing has come up the next run finds all as before.
    names = [".rolling-restoring", ".rolling-backup.json"]
    assert paths == ([f"/r/{name}" for name in names] if forgotten else [])
    if forgotten:
        assert one.asked().index("file") < one.asked().index("standstill")


@pytest.mark.parametrize("state", ["stopped", "switched", "started"])
def test_what_fails_is_noted_and_not_failed_on(one, state):
    one.given["standstill"] = FAILS
    result = go(one, state)
    assert not result.get("failed")
    cause = noted(result)["cause"]
    assert not result.get("goes_on")
    assert cause["words"] == "it hangs" and cause["units"] == ["server"] and one.words()[0].startswith("fail  sf-1: ")


@pytest.mark.parametrize("state", ["stopped", "switched"])
@pytest.mark.parametrize("lost", [False, True])
def test_nothing_goes_on_once_a_node_has_failed(one, state, lost):
    if lost:
        one.variables["ansible_play_hosts"] = ["sf-1"]
    else:
        one.others["sf-2"] = dict(one.others["sf-2"], **OTHER)
    result = go(one, state)
    assert result["skip_reason"] == "the run has failed" and not result.get("goes_on")
    assert "ansible_facts" not in result and one.calls == []


def test_the_release(one):
    result = go(one, "switched", configuration=["/etc/neutron"])
    assert result["goes_on"]
    assert one.calls == [
        ("standstill", dict(state="down", units=["agent", "server"])),
        ("kept_files", dict(state="kept", paths=["/etc/neutron"], dest="/r/.rolling-configuration")),
        *(("release", dict(state="active", name=NEW, scripts="release", path=f"/c/{name}", releases="/r",
                           distribution="dragonflow")) for name in ("agent", "server"))]
    assert noted(result)["tier"] == dict(switched=OLD, on="5.0.0")
    one.given["release"] = FAILS
    assert noted(go(one, "switched"))["tier"] == dict(switched=OLD)


def test_the_rest_leaves_alone_what_runs_the_release(one):
    one.run["plan"]["tier"]["mode"] = "rest"
    mixed = node()
    mixed["services"]["server"] = unit("server", NEW)
    result = go(one, "stopped", node=mixed)
    assert result["skip_reason"] == "it runs the release already" and one.calls == []
    go(one, "switched", node=mixed)
    assert one.calls[0] == ("standstill", dict(state="down", units=["agent"])) and len(one.calls) == 2


def test_a_service_is_started_and_gated(one):
    one.given["standstill"] = UP
    result, up = go(one, "started", start_timeout=5, stays=1, gate_timeout=9), dict(server=UP["units"]["server"])
    assert one.calls == [
        ("standstill", dict(state="started", units=["server"], timeout=5, stays=1)),
        ("ready_info", dict(urls=["http://10.0.0.1:9696/x"], unit="server", status=300, timeout=9, up_since=up)),
        ("units_info", dict(patterns=["server"], up_since=up))]
    assert noted(result)["tier"] == dict(started=True) and "ended" in noted(result)["services"]["server"]


@pytest.mark.parametrize("active, started, known, began", [
    (True, ["server"], {}, 7.0), (True, ["server"], dict(began=5.0), 5.0), (True, [], {}, None),
    (False, ["server"], {}, None)])
def test_a_service_that_nobody_has_stopped_and_that_is_started(one, active, started, known, began):
    """An upgrade of packages may have ended what was to be left alone: from there on it counts as down."""
    one.given["standstill"] = dict(UP, started=started)
    entries = [dict(step=step, began=began, ended=9.0) for step, began in (
        ("stop", 3.0), ("activate", 7.0), ("activate", 8.0))]
    one.node = dict(timeline=entries, services=dict(server=known) if known else {})
    result = go(one, "started", node=node(active=active))
    assert noted(result)["services"]["server"].get("began") == began


def test_what_was_kept_is_forgotten_before_the_first_start(one):
    one.given["standstill"] = UP
    go(one, "started", configuration=["/etc/neutron"])
    assert one.calls[0] == ("kept_files", dict(state="dropped", paths=["/etc/neutron"],
                                               dest="/r/.rolling-configuration"))
    one.node = dict(tier=dict(started=True))
    go(one, "started", configuration=["/etc/neutron"])
    assert one.asked()[0] == "standstill"


def test_one_that_runs_something_else(one):
    one.given.update(standstill=UP, units_info=dict(units=dict(server=dict(program="/usr/bin/python"))))
    assert "expected server to run a program of" in noted(go(one, "started"))["cause"]["words"]


def test_one_that_is_not_to_run_is_let_go_of(one):
    one.given["standstill"] = dict(UP, started=[])
    go(one, "started")
    assert one.asked() == ["standstill"]


def test_check_mode(one):
    one.check, one.given["standstill"] = True, UP
    go(one, "started")
    assert one.asked() == ["standstill"]
    assert "rolled" not in noted(go(one, "completed"))


def test_a_failure_of_another_task(one):
    one.node = dict(tier=dict(stopped=["server"]))
    result = go(one, "blamed", task="Migrate", result=dict(failed=True, msg="no such column", **{
        NOTED: dict(tier=dict(wrote=True), timeline=[], notes=["a note"])}))
    assert noted(result)["cause"]["step"] == "Migrate" and noted(result)["notes"] == ["a note"]
    assert noted(result)["tier"] == dict(stopped=["server"], wrote=True)
    one.node = dict(cause=dict(step="first", words="first"))
    assert "ansible_facts" not in go(one, "blamed", task="Migrate", result=FAILS)


@pytest.mark.parametrize("state", ["configured", "blamed"])
def test_the_tasks_of_the_operator_are_a_step(one, monkeypatch, state):
    """They began when the last module of ours had ended, on whatever node."""
    monkeypatch.setattr(one.plugin, "time", SimpleNamespace(time=lambda: 109.5))
    one.step = "reconfigure"
    entries = [dict(step="activate", began=100.0, ended=ended) for ended in (104.0, 107.0)]
    one.node = dict(timeline=entries[:1], tier=dict(stopped=["server"]))
    one.others["sf-2"] = dict(one.others["sf-2"], ansible_facts=dict(rolling_node=dict(run="x", timeline=entries)))
    result = noted(go(one, state, task="Fetch it", result=dict(failed=True, msg="no such file")))
    took = dict(step="reconfigure", began=107.0, ended=109.5)
    if state == "configured":
        assert result["timeline"][-1] == dict(took, module="hook", changed=False, details={})
    else:
        assert result["cause"]["step"] == "Fetch it" and result["cause"]["timing"].items() >= took.items()


@pytest.mark.parametrize("state, mode, fails", [("agreed", "whole", True), ("agreed", "rest", False),
                                                ("completed", "whole", True), ("completed", "rest", True)])
def test_all_of_them_fail_together(one, state, mode, fails):
    one.run["plan"]["tier"]["mode"] = mode
    one.others["sf-2"] = dict(one.others["sf-2"], **OTHER)
    result = go(one, state)
    assert bool(result.get("failed")) == fails
    if fails:
        # It is told in full when it fails, and in the end by the node that has failed.
        assert result["msg"] == "sf-2: Stop agent"
        one.node = OTHER["ansible_facts"]["rolling_node"]
        assert go(one, state)["msg"] == "sf-1, sf-2: Stop agent"
        one.variables["ansible_play_hosts"], one.others["sf-2"] = ["sf-1"], dict(cluster_node=node())
        assert go(one, state)["msg"] == "sf-1: Stop agent; sf-2: it was lost"


def test_all_is_well(one):
    assert not go(one, "agreed").get("failed") and noted(go(one, "completed"))["rolled"]


# ---- the way back

def test_whether_there_is_anything_to_go_back_from(one):
    result = go(one, "examined", task="Renew the lock", result=dict(failed=True, stopped=True, msg="asked to stop"))
    assert result["stopped"] and not result["back"] and noted(result)["cause"]["stopped"]
    one.node = dict(tier=dict(stopped=["server"]), cause=dict(step="a", words="b"))
    result = go(one, "examined", task="x", result=FAILS)
    assert result["back"] and "ansible_facts" not in result
    for beyond in (dict(started=True), dict(beyond="the packages are new")):
        one.node["tier"] = dict(stopped=["server"], **beyond)
        assert not go(one, "examined", task="x", result=FAILS)["back"]


def test_code_and_configuration_go_back(one):
    one.node = dict(tier=dict(stopped=["server"]))
    result = go(one, "returned", configuration=["/etc/neutron"])
    assert [arguments.get("name") or arguments["state"] for dummy, arguments in one.calls] == [OLD, OLD, "restored"]
    assert noted(result)["tier"]["back"] == OLD and noted(result)["restored"] == f"went back to {OLD}"


def test_a_way_back_that_fails_is_told_beside_the_first_cause(one):
    one.node, one.given["release"] = dict(tier=dict(stopped=["server"])), FAILS
    result = go(one, "returned")
    assert noted(result)["tier"]["down"].startswith("sf-1: ") and "back" not in noted(result)["tier"]


def test_a_lost_node_is_not_waited_for_once_more(one):
    one.node = dict(tier=dict(stopped=["server"]), cause=dict(step="Stop server", words="gone", lost=True))
    assert go(one, "returned")["skip_reason"] == "the node is lost" and one.calls == []
    assert "sf-1 may still be on the new release" in go(one, "told")["message"]


@pytest.mark.parametrize("found", [{}, dict(started=True), dict(beyond="the store was migrated")])
def test_nothing_goes_back(one, found):
    one.node = dict(tier=found)
    assert go(one, "returned")["skip_reason"] == "there is no way back" and one.calls == []


@pytest.mark.parametrize("migrates, back", [(True, False), (False, True)])
def test_nothing_goes_back_where_the_node_that_migrates_was_lost(one, migrates, back):
    """The others would start the release before on what is half migrated, and only that node has the backup."""
    one.node = dict(tier=dict(stopped=["server"]))
    one.variables["ansible_play_hosts"] = ["sf-1"]
    lost = dict(tier=dict(switched=OLD, **(dict(migrates=True) if migrates else {})), run="x",
                schema=dict(backup=dict(path="/b/x.sql", restore="mariadb < x")))
    one.others["sf-2"] = dict(one.others["sf-2"], ansible_facts=dict(rolling_node=lost))
    assert bool(noted(go(one, "returned")).get("restored")) is back
    go(one, "started")
    assert one.calls == []
    text = go(one, "told")["message"]
    assert ("ALL SERVICES STAY STOPPED on sf-1, nothing went back: sf-2 was lost and may have begun to migrate" in text
            and "/b/x.sql on sf-2" in text) is migrates


@pytest.mark.parametrize("places, held, back", [
    ({"server": "sf-2"}, "active", False), ({"server": "sf-2"}, "", True), ({"server": "sf-1"}, "active", True)])
def test_nothing_goes_back_where_the_lost_node_may_have_migrated_in_a_run_that_was_killed(one, places, held, back):
    one.node, one.run["plan"]["tier"]["places"] = dict(tier=dict(stopped=["server"])), places
    one.variables["ansible_play_hosts"] = ["sf-1"]
    left = node(active=False)
    left["services"]["agent"]["held"] = held
    one.others["sf-2"] = dict(cluster_node=left)
    assert bool(noted(go(one, "returned")).get("restored")) is back


def test_it_starts_again_on_what_it_came_from(one):
    one.node = dict(tier=dict(stopped=["server"], back=OLD), cause=dict(step="a", words="b"))
    one.given.update(standstill=UP, units_info=dict(units=dict(server=dict(program=f"/r/{OLD}/bin/python"))))
    assert noted(go(one, "started"))["services"]["server"]["ended"] and one.asked()[-1] == "units_info"
    one.given["standstill"] = FAILS
    assert noted(go(one, "started"))["tier"]["down"] == "sf-1: Start server: it hangs"


def test_one_that_has_failed_is_not_started_forwards(one):
    one.node = dict(cause=dict(step="a", words="b"))
    assert go(one, "started")["skip_reason"] == "the run has failed" and one.calls == []


def test_what_is_told(one):
    one.node = dict(tier=dict(back=OLD), restored="went back", cause=dict(step="Stop server", words="it hangs"))
    result = go(one, "told")
    assert result["message"].startswith("sf-1: Stop server: it hangs\n") and "the command" in result["message"]
    assert noted(result)["failure"]["text"] == result["message"] and noted(result)["failure"]["serves"]
    # Not what the message ends with, the section of the runbook for example.
    assert noted(result)["failure"]["state"].startswith("sf-1 went back to 4.0.0, with the configuration of before")


def test_it_is_told_once(one):
    """By the node that has failed; the others name it, and their records have it all the same."""
    one.node = dict(tier=dict(back=OLD), restored="went back")
    one.others["sf-2"] = dict(one.others["sf-2"], **OTHER)
    result = go(one, "told")
    assert result["message"] == "sf-1 went back, for the run has failed: see sf-2"
    assert noted(result)["failure"]["text"].startswith("sf-2: Stop agent: it hangs\n")


@pytest.mark.parametrize("tier, cause, words", [
    ({}, dict(words="asked to stop", stopped=True), ""),
    (dict(stopped=["server"]), dict(words="asked to stop", stopped=True), "sf-1 goes no further, for the run has"),
    ({}, dict(words="it hangs"), "sf-1 goes no further, for the run has failed: see sf-2")])
def test_a_stop_is_told_once(one, tier, cause, words):
    one.variables = dict(ansible_play_hosts_all=["sf-2", "sf-1"], ansible_play_hosts=["sf-2", "sf-1"])
    one.node = dict(tier=tier, cause=cause)
    one.others["sf-2"] = dict(one.others["sf-2"], ansible_facts=dict(rolling_node=dict(run="x", cause=cause)))
    result = go(one, "told")
    assert result["message"].startswith(words) and bool(result["message"]) == bool(words)
    assert cause["words"] in noted(result)["failure"]["text"]


def test_a_hold_of_packages_is_quiet(one):
    """A maintainer script that wants to start what is held is not to fail."""
    go(one, "stopped", stop_timeout=7, packages=dict(to="0.19"), node=dict(node(), step=dict(upgrade=True)))
    assert one.calls == [("standstill", dict(state="stopped", units=["server"], timeout=7, release=OLD, migrates=[],
                                             quiet=True))]


def test_after_a_reboot_all_of_it_serves(one):
    ran = dict(state="active", after="2", ran=False)
    one.given["standstill"] = [dict(started=["agent"], stopped=[], killed=[], units=dict(agent=ran)),
                               dict(started=[], stopped=[], killed=[], units=dict(server=ran))]
    one.given["units_info"] = dict(units=dict(agent=dict(program=f"/r/{NEW}/bin/python")))
    assert not go(one, "served").get("failed")
    assert [(name, call.get("state"), call.get("units")) for name, call in one.calls if name == "standstill"] == [
        ("standstill", "started", ["agent"]), ("standstill", "started", ["server"])]
    one.check = True
    go(one, "served")
    assert one.calls == []


def test_one_that_does_not_start_keeps_no_other_from_its_start(one):
    one.node = dict(cause=dict(step="Start agent", words="it ends", units=["agent"]), tier=dict(started=True))
    one.given["standstill"] = dict(FAILS, timing=dict(step="start"))
    cause = noted(go(one, "started"))["cause"]
    assert one.asked() == ["standstill"] and cause["units"] == ["agent", "server"]
    assert (cause["step"], cause["words"]) == ("Start agent", "it ends\nsf-1: Start server: it hangs")


def test_a_failure_that_is_noted_tells_its_step(one):
    one.given["standstill"] = FAILS
    assert noted(go(one, "started"))["cause"]["timing"]["step"] == "start"


@pytest.mark.parametrize("services, mode, goes_on", [
    (node()["services"], "rest", True), (node(NEW)["services"], "rest", False), (node(NEW)["services"], "whole", True)])
def test_a_run_of_the_rest_configures_only_who_comes_from_another_release(one, services, mode, goes_on):
    """And keeps nothing of before, for it goes back to nothing."""
    one.run["plan"]["tier"]["mode"] = mode
    result = go(one, "switched", node=dict(node(), services=services), configuration=["/etc/neutron"])
    assert result["goes_on"] == goes_on and ("kept_files" in one.asked()) == (mode == "whole")


@pytest.mark.parametrize("tier, done", [(dict(started=True), True), (dict(stopped=["server"]), False)])
def test_a_node_that_has_started_is_done_whatever_has_failed_elsewhere(one, tier, done):
    one.node, one.others["sf-2"] = dict(tier=tier), dict(one.others["sf-2"], **OTHER)
    result = go(one, "told")
    assert bool(noted(result).get("rolled")) == done
    assert result["message"] == ("sf-1 runs the release, and the run has failed: see sf-2" if done else
                                 "sf-1 goes no further, for the run has failed: see sf-2")


@pytest.mark.parametrize("mode, started, starts", [
    ("whole", False, False), ("whole", True, True), ("rest", False, True)])
def test_nothing_starts_where_all_has_failed_and_nothing_went_back(one, mode, started, starts):
    """It would be the new release, on what was not migrated."""
    one.run["plan"]["tier"]["mode"] = mode
    trouble = dict(cause=dict(step="Upgrade", words="no"), tier=dict(started=True) if started else {})
    one.others["sf-2"] = dict(one.others["sf-2"], ansible_facts=dict(rolling_node=dict(trouble, run="x")))
    one.given.update(standstill=dict(started=[], stopped=[], killed=[], units=dict(server=dict(after="1"))),
                     units_info=dict(units=dict(server=dict(program=f"/r/{NEW}/bin/python"))))
    go(one, "started")
    assert bool(one.calls) is starts
