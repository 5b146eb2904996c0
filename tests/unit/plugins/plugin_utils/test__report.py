# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _report
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer
from ansible_collections.shakenfist.rolling.tests.unit.report_facts import COMMAND, NIGHT, RESTORE, WHO, Facts, entry


def report(facts):
    return Gatherer(facts.hosts, facts.now).report(WHO)


def steps(data, name):
    return [step["step"] for node in data["nodes"] if node["name"] == name for step in node["steps"]]


def node_of(data, name):
    return next(node for node in data["nodes"] if node["name"] == name)


@pytest.mark.parametrize("count", [1, 3, 30])
def test_a_roll_that_went_well(count):
    data = report(Facts(count).rolled())
    assert data["result"] == "ok" and data["failures"] == [] and data["probe"] is None
    assert data["releases"] == {"from": ["0.8.0"], "to": "0.8.1"}
    assert data["verdict"].startswith(f"{count} node{'s' if count > 1 else ''} upgraded from 0.8.0 to 0.8.1 in ")
    assert [node["result"] for node in data["nodes"]] == ["rolled"] * count
    assert [phase["step"] for phase in data["phases"]] == ["preflight", "stage", "schema", "verify"]
    assert data["availability"]["least"] == count - 1 and data["availability"]["curve"][-1][1] == count
    assert data["availability"]["min_ready"] == (count - 1 or None)
    assert json.loads(json.dumps(data)) == data


def test_steps_and_their_sums():
    data = report(Facts().rolled())
    assert steps(data, "sf-1") == ["quorum", "drain", "activate", "restart", "gate", "settle"]
    assert steps(data, "sf-3") == ["quorum", "drain", "activate", "restart", "gate"]
    for node in data["nodes"]:
        inside = [step for step in node["steps"] if step["step"] not in ("quorum", "settle")]
        assert node["out"]["began"] == inside[0]["began"] and node["out"]["ended"] == inside[-1]["ended"]
        assert node["out"]["seconds"] == pytest.approx(inside[-1]["ended"] - inside[0]["began"], abs=0.002)
        assert sum(step["seconds"] for step in inside) <= node["out"]["seconds"]
        for step, following in zip(node["steps"], node["steps"][1:]):
            assert step["began"] <= step["ended"] <= following["began"]


def test_tiers_of_a_restart():
    parts = node_of(report(Facts().rolled()), "sf-1")["steps"][3]["parts"]
    assert [part["name"] for part in parts] == ["sf-database", "sf-privexec, sf-nodelock", "sf-api, sf-net"]
    assert [round(part["ended"] - part["began"], 3) for part in parts] == [1.0, 0.4, 0.9]
    assert all(part["ended"] <= following["began"] + 1e-6 for part, following in zip(parts, parts[1:]))


@pytest.mark.parametrize("details, parts", [
    (dict(units={}, tiers=[["a"]]), 0), (dict(), 0), (dict(units={"a": 9.0}, tiers=[["a"], ["b"]]), 1)])
def test_tiers_that_are_not_told(details, parts):
    """Never longer than the call itself."""
    found = _report.tiers(entry("restart", 100.0, 2.0, module="units", **details))
    assert len(found) == parts and all(100.0 <= part["began"] <= part["ended"] <= 102.0 for part in found)


def test_a_node_that_fails_and_returns():
    data = report(Facts().broken())
    assert data["result"] == "failed" and data["verdict"] == "The upgrade to 0.8.1 failed on sf-2: 1 of 3 nodes done"
    assert steps(data, "sf-2") == ["quorum", "drain", "activate", "restart", "restore"]
    failed = node_of(data, "sf-2")
    assert [step["result"] for step in failed["steps"]][-2:] == ["failed", "changed"]
    assert failed["out"]["ended"] == failed["steps"][-1]["ended"] and failed["restored"] == "went back to 0.8.0"
    assert [node["result"] for node in data["nodes"]] == ["rolled", "failed", "not touched"]
    assert data["availability"]["curve"][-1][1] == 3
    item, = data["failures"]
    assert item["nodes"] == ["sf-2"] and item["words"].startswith("expected sf-net") and COMMAND in item["message"]


def test_what_is_undone_after_a_failure_does_not_hide_it():
    facts = Facts().broken()
    facts.note("sf-2", "restart", facts.nodes["sf-2"]["cause"]["timing"]["ended"], 0.1, module="port_reject")
    assert node_of(report(facts), "sf-2")["steps"][-2]["result"] == "failed"


def test_a_node_that_stays_out():
    facts = Facts().broken()
    facts.nodes["sf-2"]["failure"]["serves"] = False
    data = report(facts)
    assert node_of(data, "sf-2")["out"]["ended"] is node_of(data, "sf-2")["out"]["seconds"] is None
    assert data["availability"]["curve"][-1][1] == 2


def test_a_failure_that_a_module_only_saw():
    """The gate has found a daemon that is gone: the module that has looked is the last one before."""
    facts = Facts().broken()
    timing = facts.nodes["sf-2"]["cause"].pop("timing")
    facts.note("sf-2", "gate", timing["ended"] - 1, 0.5)
    facts.nodes["sf-2"]["cause"]["at"] = timing["ended"]
    failed = [step["step"] for step in node_of(report(facts), "sf-2")["steps"] if step["result"] == "failed"]
    assert failed == ["gate"]


def test_a_failure_that_took_no_time():
    facts = Facts().broken()
    timing = facts.nodes["sf-2"]["cause"]["timing"]
    timing["ended"] = timing["began"]
    results = {step["step"]: step["result"] for step in node_of(report(facts), "sf-2")["steps"]}
    assert results["restart"] == "failed" and results["restore"] == "changed"


def test_a_stop():
    data = report(Facts().stopped())
    assert data["result"] == "stopped" and node_of(data, "sf-3")["result"] == "not touched"
    assert data["verdict"] == "The upgrade to 0.8.1 was stopped: 2 of 3 nodes done"
    item, = data["failures"]
    assert item["stopped"] and (item["request"]["user"], item["request"]["reason"]) == ("bob", "we go on tomorrow")


def test_a_stop_because_of_failed_requests():
    """Nobody has asked for it, whatever the lock was renewed with."""
    facts = Facts().stopped()
    facts.nodes["sf-3"]["cause"]["request"] = {}
    data = report(facts)
    assert data["result"] == "stopped" and data["failures"][0]["request"] is None


def test_a_stop_before_the_schema():
    facts = Facts()
    facts.all("preflight", 3)
    request = dict(want="stop", user="bob", host="desk", since=facts.now, reason="")
    for name in facts.tier:
        facts.fail(name, "", "the roll was asked to stop", "the roll was asked to stop\nNext: go on", stopped=True,
                   request=request)
    data = report(facts)
    assert data["verdict"] == "The upgrade to 0.8.1 was stopped: 0 of 3 nodes done"
    item, = data["failures"]
    assert item["nodes"] == facts.tier and item["stopped"] and item["request"] == request and item["step"] == ""


def test_a_failure_of_all_nodes():
    """In a step that all take together: one item for what they all say, with what to do."""
    facts = Facts()
    facts.all("preflight", 3)
    for name in facts.names:
        facts.fail(name, "", "no space left", "no space left\nNext: fix that.",
                   timing=dict(step="stage", began=facts.now, ended=facts.now + 4))
    facts.now += 5
    data = report(facts)
    item, = data["failures"]
    assert item["nodes"] == facts.names and item["message"] == "no space left\nNext: fix that."
    assert [(phase["step"], phase["result"]) for phase in data["phases"]] == [("preflight", "ok"), ("stage", "failed")]
    assert data["result"] == "failed" and {node["result"] for node in data["nodes"]} == {"not touched"}


def test_a_run_that_did_not_come_to_its_end():
    facts = Facts()
    facts.begin()
    facts.take("sf-1")
    facts.take("sf-2", until="drain")
    data = report(facts)
    assert data["verdict"] == "The upgrade to 0.8.1 did not come to its end: 1 of 3 nodes done"
    assert node_of(data, "sf-2")["out"]["seconds"] is None


@pytest.mark.parametrize("playbook, sentence", [
    ("rollback", "3 nodes taken back from 0.8.0 to 0.8.1 in "), ("restart", "3 nodes restarted on 0.8.1 in "),
    ("reconfigure", "3 nodes reconfigured on 0.8.1 in "),
    ("somebody_elses", "3 nodes upgraded from 0.8.0 to 0.8.1 in ")])
def test_kinds(playbook, sentence):
    facts = Facts().rolled()
    facts.run["kind"] = playbook
    data = report(facts)
    assert data["kind"] == playbook and data["verdict"].startswith(sentence)


@pytest.mark.parametrize("after, moved", [({}, False), (dict(schema="a"), False), (dict(schema="b"), True)])
def test_a_product_says_itself_what_its_schema_is(after, moved):
    facts = Facts()
    facts.nodes["sf-1"]["seen"]["node"]["schema"] = "a"
    facts.hosts["sf-1"]["cluster_node"] = after
    assert report(facts)["schema"]["moved"] is moved


def test_the_product_is_named_where_it_is_another_one():
    facts = Facts()
    facts.begin()
    facts.run.update(kind="services", product="Cinder")
    assert report(facts)["verdict"].startswith("The upgrade of Cinder to 0.8.1 did not come to its end")


def test_services_are_counted_where_they_are_rolled():
    data = report(Facts().services())
    assert data["verdict"] == "The upgrade of Cinder to 0.8.1 failed on volume on sf-1: 2 of 4 services done"
    assert [node["result"] for node in data["nodes"]] == ["failed", "in part", "passed over"]
    assert [[(one["name"], one["result"], one["seconds"]) for one in node["services"]] for node in data["nodes"]] == [
        [("scheduler", "rolled", 6.0), ("volume", "failed", None)],
        [("scheduler", "rolled", 6.0), ("volume", "not touched", None)], []]
    # A volume that did not run is started; one that is not to run does not count.
    assert data["availability"] == dict(nodes=5, least=2, min_ready=None, curve=[
        [NIGHT, 3], [NIGHT, 2], [NIGHT + 6, 3], [NIGHT + 20, 2], [NIGHT + 26, 3], [NIGHT + 52, 4]])


def test_a_service_that_a_killed_run_has_left_out_of_rotation():
    facts = Facts().services(failed=False)
    units = facts.nodes["sf-2"]["seen"]["node"]["services"]
    units["scheduler"] = dict(units["scheduler"], shut=True)
    data = report(facts)
    one = node_of(data, "sf-2")["services"][0]
    assert (one["result"], one["down_before"], one["began"], one["ended"]) == ("rolled", True, None, NIGHT + 26)
    assert [count for dummy, count in data["availability"]["curve"]] == [2, 1, 2, 3, 4]


def test_services_that_were_all_rolled():
    data = report(Facts().services(failed=False))
    assert data["verdict"] == "4 services upgraded from 0.8.0 to 0.8.1 in 1 min 0 s"
    assert {node["result"] for node in data["nodes"]} == {"rolled", "passed over"}


def services(data, name):
    return [(one["name"], one["result"], one["seconds"]) for one in node_of(data, name)["services"]]


def test_a_product_that_is_stopped_as_a_whole():
    data = report(Facts().as_a_whole())
    assert data["kind"] == "tier" and data["verdict"].startswith("3 nodes upgraded from 0.8.0 to 0.8.1 in ")
    assert {(node["result"], node["out"]) for node in data["nodes"]} == {("rolled", None)}
    # From the stop of the last one to the first that is back; the passive one of a pair counts in nothing.
    zero = NIGHT + 3.2
    assert data["availability"] == dict(nodes=5, least=0, min_ready=None, curve=data["availability"]["curve"])
    assert data["down"] == {"from": pytest.approx(zero + 4.2), "to": pytest.approx(zero + 22), "seconds": 17.8,
                            "began": zero, "ended": zero + 27}
    assert services(data, "sf-1") == [("agent", "rolled", 18.0), ("server", "rolled", 27.0)]
    assert services(data, "sf-3") == [("agent", "rolled", 17.8)]
    assert steps(data, "sf-2") == ["stop", "activate", "reconfigure", "start"]
    assert [(phase["step"], phase["seconds"]) for phase in data["phases"]] == [
        ("preflight", 2.0), ("rehearsal", 0.8), ("schema", 6.0), ("verify", 11.0)]
    schema = data["schema"]
    assert schema["looked"] and schema["moved"] and schema["undone"] == [] and schema["beyond"] == ""
    assert [(one["node"], one["store"], one["ran"]) for one in schema["migrations"]] == [
        ("sf-1", "", []), ("sf-1", "etcd", ["mtu", "qos"])]
    assert json.loads(json.dumps(data)) == data


def test_a_product_that_went_back_as_a_whole():
    data = report(Facts().as_a_whole(back=True))
    assert [node["result"] for node in data["nodes"]] == ["failed", "went back", "went back"]
    assert services(data, "sf-2")[0] == ("agent", "went back", 17.9)
    assert not data["schema"]["moved"] and data["schema"]["undone"] == ["The database was restored from /srv/x.sql."]
    assert data["phases"][-1]["step"] == "schema" and data["phases"][-1]["result"] == "failed"
    assert "failed" not in [step["result"] for step in data["nodes"][0]["steps"]]
    assert data["down"]["ended"] and data["verdict"] == (
        "The upgrade of Dragonflow to 0.8.1 failed on sf-1: 0 of 3 nodes done")


def test_a_product_that_stays_down():
    facts = Facts().as_a_whole(back=True)
    facts.nodes["sf-1"]["tier"].update(beyond="there is no backup", undone=[])
    for name in facts.names:
        facts.nodes[name]["tier"].pop("back")
        for one in facts.nodes[name]["services"].values():
            del one["ended"]
    data = report(facts)
    assert [node["result"] for node in data["nodes"]] == ["failed", "down", "down"]
    assert services(data, "sf-2") == [("agent", "down", None), ("server", "down", None)]
    assert data["down"]["to"] is data["down"]["seconds"] is data["down"]["ended"] is None
    assert data["schema"]["moved"] and data["schema"]["beyond"] == "there is no backup"


@pytest.mark.parametrize("tier, on", [(dict(on="0.8.1"), "0.8.1"), (dict(on="0.8.1", back="0.8.0"), ""), ({}, "")])
def test_on_which_release_a_node_was_left(tier, on):
    facts = Facts().as_a_whole(back=True)
    facts.nodes["sf-2"]["tier"] = tier
    assert node_of(report(facts), "sf-2")["to"] == on
    assert {node["to"] for node in report(Facts().as_a_whole())["nodes"]} == {"0.8.1"}


def test_nodes_that_run_the_release_where_another_one_has_failed_are_done():
    facts = Facts().as_a_whole()
    facts.fail("sf-1", "Start server", "it hangs", "it hangs")
    for name in facts.names:
        facts.nodes[name]["rolled"] = False
    del facts.nodes["sf-1"]["services"]["server"]["ended"]
    data = report(facts)
    assert [node["result"] for node in data["nodes"]] == ["failed", "rolled", "rolled"]
    assert data["down"]["to"] and data["down"]["ended"] is None and data["verdict"].endswith("2 of 3 nodes done")


def test_a_product_that_a_killed_run_has_left_down():
    data = report(Facts().as_a_whole(held=True))
    assert data["availability"]["curve"][0] == [NIGHT, 0] and data["availability"]["curve"][-1][1] == 5
    assert data["down"]["began"] == data["down"]["from"] == NIGHT and data["down"]["ended"] == NIGHT + 30.2
    assert [(one["result"], one["down_before"], one["began"], one["seconds"])
            for one in node_of(data, "sf-1")["services"]] == [("rolled", True, None, None)] * 2


def test_what_a_killed_run_has_left_down_is_so_where_this_one_does_not_start_it():
    """Also where it fails before it has stopped anything."""
    facts = Facts().as_a_whole(held=True)
    for record in facts.nodes.values():
        record.update(services={}, tier={}, rolled=False)
    data = report(facts)
    assert {node["result"] for node in data["nodes"]} == {"down"}
    assert services(data, "sf-1")[0] == ("agent", "down", None) and data["down"]["to"] is None


def test_what_a_killed_run_has_left_down_in_part():
    facts = Facts().as_a_whole()
    units = facts.nodes["sf-2"]["seen"]["node"]["services"]
    units["agent"] = dict(units["agent"], active=False, held="active")
    del facts.nodes["sf-2"]["services"]["agent"]["began"]
    down = report(facts)["down"]
    assert down["began"] == NIGHT and down["from"] > NIGHT and down["ended"] == NIGHT + 30.2


def test_what_runs_the_release_already_is_not_down():
    """A run that does the rest stops nothing of it, and sees it run."""
    facts = Facts().as_a_whole()
    for name in facts.names:
        for one in facts.nodes[name]["services"].values():
            del one["began"]
    data = report(facts)
    assert data["availability"]["curve"] == [[NIGHT, 5]] and data["down"] is None
    assert services(data, "sf-1")[0] == ("agent", "passed over", None)


@pytest.mark.parametrize("up", [True, False])
def test_a_reboot_at_the_end_takes_its_node_out(up):
    facts = Facts().as_a_whole()
    at = facts.now
    facts.reboot("sf-1", up)
    data = report(facts)
    assert [count for moment, count in data["availability"]["curve"] if moment >= at] == [3, 5][:1 + up]
    assert data["down"]["ended"] == NIGHT + 30.2


def test_a_run_that_only_reboots():
    facts = Facts().only_reboots("sf-1", "sf-2")
    facts.reboot("sf-1")
    facts.reboot("sf-2")
    data = report(facts)
    assert Gatherer(facts.hosts, facts.now).is_worth_it() and data["result"] == "ok"
    assert data["verdict"] == "2 nodes rebooted in 13 s" and data["releases"] == {"from": [], "to": "0.8.1"}
    assert [(node["result"], node["rebooted"]) for node in data["nodes"]] == [
        ("rebooted", True), ("rebooted", True), ("passed over", None)]
    assert [count for dummy, count in data["availability"]["curve"]] == [5, 3, 5, 3, 5]


def test_a_run_that_also_reboots_what_runs_the_release():
    facts = Facts().as_a_whole()
    facts.plan.update(order=["sf-1", "sf-2"], done=["sf-3"], tier=dict(reboots=facts.names))
    facts.nodes["sf-3"]["rolled"] = False
    for name in facts.names:
        facts.reboot(name)
    data = report(facts)
    assert [node["result"] for node in data["nodes"]] == ["rolled", "rolled", "rebooted"] and data["result"] == "ok"
    assert data["verdict"].startswith("2 nodes upgraded from 0.8.0 to 0.8.1 and 1 node rebooted in ")


@pytest.mark.parametrize("stopped, result, sentence", [
    (True, "not rebooted", "The upgrade of Dragonflow to 0.8.1 was stopped: 1 of 3 nodes done, 2 only to be rebooted"),
    (False, "failed", "The upgrade of Dragonflow to 0.8.1 failed on sf-2: 1 of 3 nodes done, 1 only to be rebooted")])
@pytest.mark.parametrize("up", [None, False])
def test_a_reboot_that_is_left(stopped, result, sentence, up):
    """Whether the node does not come back, or its services do not."""
    facts = Facts().as_a_whole()
    facts.plan["tier"] = dict(reboots=facts.names)
    facts.reboot("sf-1")
    if up is False and not stopped:
        facts.reboot("sf-2", up=False)
    facts.fail("sf-2", "", "no", "no", stopped=stopped)
    data = report(facts)
    assert [node["result"] for node in data["nodes"]] == ["rolled", result, "not rebooted"]
    assert data["verdict"] == sentence and data["result"] == ("stopped" if stopped else "failed")


def test_what_fails_after_a_reboot_leaves_its_node_to_be_looked_at():
    facts = Facts().only_reboots("sf-1", "sf-2")
    facts.reboot("sf-1", up=False)
    facts.fail("sf-1", "", "no", "no", timing=dict(step="gate", began=facts.now, ended=facts.now + 3))
    assert [node["result"] for node in report(facts)["nodes"]] == ["failed", "not rebooted", "passed over"]


def test_a_run_that_ends_before_its_reboots_is_not_complete():
    facts = Facts().as_a_whole()
    facts.plan["tier"] = dict(reboots=["sf-1"])
    data = report(facts)
    assert data["result"] == "incomplete" and data["verdict"] == (
        "The upgrade of Dragonflow to 0.8.1 did not come to its end: 2 of 3 nodes done, 1 only to be rebooted")


def test_what_only_the_end_has_found_left():
    """Such as online migrations of a run that was killed before them."""
    facts = Facts().services(failed=False)
    facts.plan.update(order=[], done=facts.names, services={})
    for record in facts.nodes.values():
        record.update(services={}, rolled=False, timeline=[])
    facts.note("sf-1", "verify", facts.now, 3.0, module="release_command", changed=False)
    assert not Gatherer(facts.hosts, facts.now).is_worth_it()
    facts.nodes["sf-1"]["timeline"][0]["changed"] = True
    assert Gatherer(facts.hosts, facts.now).is_worth_it()
    assert report(facts)["verdict"] == "What was left of the upgrade of Cinder to 0.8.1 was done in 1 min 0 s"


def test_a_node_that_has_the_release_comes_from_no_other():
    facts = Facts().rolled()
    facts.nodes["sf-2"]["seen"]["node"]["release"]["version"] = "0.8.1"
    assert report(facts)["releases"]["from"] == ["0.8.0"]


def test_hosts_that_only_reboot():
    data = report(Facts().host_by_host())
    assert data["verdict"].startswith("3 nodes rebooted in ") and data["down"] is None
    assert data["availability"]["least"] == 2 and node_of(data, "sf-1")["out"]["seconds"] == 13.0


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_a_host_that_a_killed_run_has_left_out(before, fails):
    facts = Facts().host_by_host()
    facts.plan["hosts"] = {"sf-1": dict(out=before)}
    facts.nodes["sf-1"]["rolled"] = not fails
    data = report(facts)
    one = node_of(data, "sf-1")
    assert one["out"]["before"] is before and one["served"] is not before
    assert one["out"]["began"] == (NIGHT if before else NIGHT + 4.5)
    assert (one["out"]["ended"] is None) is fails and not node_of(data, "sf-2")["out"]["before"]
    assert [count for dummy, count in data["availability"]["curve"]][:2 + (not before)] == (
        [2, 1 if fails else 3, 2][:2] if before else [3, 2, 1 if fails else 3])


@pytest.mark.parametrize("release, before, words", [
    ("", ["", ""], "2 nodes rebooted and 1 node given guests back in "),
    ("0.19", ["0.18.1", "0.19"], "1 node upgraded from 0.18.1 to 0.19, 1 node rebooted and 1 node given guests back ")])
def test_hosts_with_which_an_earlier_run_has_begun(release, before, words):
    facts = Facts().host_by_host()
    facts.plan["release"] = release
    facts.plan["hosts"] = {}
    for name, version in zip(facts.names, [*before, release]):
        facts.plan["hosts"][name] = dict(came_from=version)
        facts.nodes[name]["seen"]["node"]["release"] = dict(version=release)  # as it is seen at the end
    facts.nodes["sf-3"]["timeline"] = [
        each for each in facts.nodes["sf-3"]["timeline"] if each["step"] not in ("drain", "restart")]
    assert report(facts)["verdict"].startswith(words)


@pytest.mark.parametrize("fails", [True, False])
def test_a_command_of_the_operator_is_a_step(fails):
    """It may need a second drain, for what it has left to restart."""
    facts = Facts()
    facts.run["kind"] = "reconfigure"
    at = facts.take("sf-1", until="drain")
    facts.note("sf-1", "reconfigure", at, 60.0, module="reconfigure")
    if fails:
        facts.nodes["sf-1"]["cause"] = dict(step="Run the command", words="no", at=at + 60.5)
    else:
        facts.now = at + 61
        facts.take("sf-1", until="drain")
    found = [(step["step"], step["result"]) for step in node_of(report(facts), "sf-1")["steps"]]
    out = [("quorum", "ok"), ("drain", "changed")]
    assert found == [*out, ("reconfigure", "failed" if fails else "changed"), *([] if fails else out)]


def test_schema_and_backup():
    schema = report(Facts().rolled())["schema"]
    assert schema["looked"] and schema["moved"] and schema["widened"] == ["objects.state"]
    assert [table["table"] for table in schema["tables"]] == ["notes", "audit"]
    assert schema["notes"] == []
    assert schema["backup"] == dict(path="/srv/shakenfist/backups/before-0.8.1.sql", restore=RESTORE, node="sf-1",
                                    verified="complete, and restored into a scratch schema")


@pytest.mark.parametrize("before, product, count", [(1, "shakenfist", 1), (None, "shakenfist", 0), (1, "another", 0)])
def test_the_notes_on_a_migration(before, product, count):
    facts = Facts()
    facts.nodes["sf-1"]["seen"]["node"]["distribution"] = product
    tables = [dict(table="cluster_operation_targets", before=before, after=2)]
    facts.note("sf-1", "schema", facts.now, 1.0, module="schema", tables=tables, widened=[])
    assert len(report(facts)["schema"]["notes"]) == count


@pytest.mark.parametrize("verified, why", [
    ("complete; not restored to check it, user shakenfist may not create a scratch schema",
     "user shakenfist may not create a scratch schema"),
    ("complete; not restored to check it", ""), ("complete, and restored into a scratch schema with all 5 tables", "")])
def test_a_backup_that_could_not_be_tried_is_a_warning(verified, why):
    """One that was not to be tried is none."""
    facts = Facts().rolled()
    dump = next(entry for entry in facts.nodes["sf-1"]["timeline"] if entry["module"] == "dump")
    dump["details"]["verified"] = verified
    words = f"/srv/shakenfist/backups/before-0.8.1.sql is complete, but was not restored to check it: {why}"
    assert report(facts)["warnings"] == ([words] if why else [])


def test_a_backup_of_an_earlier_run():
    facts = Facts()
    facts.nodes["sf-1"]["schema"] = dict(moved=False, backup=dict(path="/b", restore="mariadb < /b"))
    schema = report(facts)["schema"]
    assert schema["backup"]["verified"] == "" and not schema["looked"] and not schema["moved"]


def test_nodes_that_are_passed_over_are_there_to_serve():
    facts = Facts()
    facts.plan.update(order=["sf-3"], done=["sf-1", "sf-2"])
    facts.take("sf-3")
    data = report(facts.finish())
    assert [node["result"] for node in data["nodes"]] == ["rolled", "passed over", "passed over"]
    assert data["releases"]["from"] == [data["nodes"][0]["from"]]
    assert data["availability"]["least"] == 2 and data["verdict"].startswith("1 node upgraded")


def test_a_node_that_served_nobody_joins():
    facts = Facts()
    facts.plan["serving"] = ["sf-1", "sf-2"]
    curve = report(facts.rolled())["availability"]["curve"]
    assert [count for dummy, count in curve] == [2, 1, 2, 1, 2, 3]


def test_what_the_api_says_is_a_warning():
    facts = Facts().rolled()
    for name in facts.names:
        facts.nodes[name]["notes"] = ["sf-2 is degraded"]
    assert report(facts)["warnings"] == ["sf-2 is degraded"]


def test_a_node_that_was_lost_without_a_word():
    facts = Facts().rolled()
    facts.nodes["sf-3"].update(rolled=False)
    lost = dict(words="sf-3 has dropped out", text="sf-3 has dropped out\nNext: see why", state="Next: see why")
    facts.nodes["sf-2"]["lost"] = {"sf-3": lost}
    found = Gatherer(facts.hosts, facts.now)
    item, = found.failures()
    assert item["nodes"] == ["sf-3"] and item["message"] == lost["text"] and not item["stopped"]
    assert found.told() == lost and node_of(found.report(WHO), "sf-3")["result"] == "not touched"


def test_what_is_told_of_several_failures():
    facts = Facts()
    facts.fail("sf-2", "Drain", "no", "sf-2: no")
    facts.fail("sf-3", "Drain", "no", "sf-3: no")
    found = Gatherer(facts.hosts, facts.now)
    assert [found.told(name)["text"] for name in ("sf-3", "sf-1", "")] == ["sf-3: no", "sf-2: no", "sf-2: no"]
    assert Gatherer(Facts().hosts, NIGHT).told() == {}


def test_what_an_earlier_run_of_the_same_playbooks_has_left():
    """Nothing of it is this run's, not even that a node was rolled."""
    facts = Facts().broken().probed()
    facts.hosts["localhost"]["ansible_facts"]["rolling_run"] = dict(id="another", began=NIGHT + 500, plan=facts.plan)
    facts.now += 600
    data = report(facts)
    assert {node["result"] for node in data["nodes"]} == {"not touched"} and data["failures"] == []
    assert data["phases"] == [] and data["probe"] is None and not data["schema"]["moved"]


def test_warnings_and_pauses():
    facts = Facts().rolled()
    facts.plan["report"] = ["warn  sf-3: fix that", "pass  reached"]
    facts.nodes["sf-2"]["pauses"] = facts.nodes["sf-3"]["pauses"] = [[NIGHT + 40, NIGHT + 50]]
    facts.run["problem"] = "hook_after_roll: no mail"
    data = report(facts)
    assert data["warnings"] == ["sf-3: fix that", "hook_after_roll: no mail"]
    assert data["pauses"] == [[NIGHT + 40, NIGHT + 50]]


def test_a_setting_that_was_changed_is_no_warning():
    facts = Facts().rolled()
    facts.plan["report"] = [f"warn  {name}: the mode: /etc/g has a, wanted is b: it would be changed"
                            for name in ("sf-1", "sf-2")]
    facts.nodes["sf-1"]["done"] = ["sf-1: the mode: /etc/g has a, wanted is b: changed"]
    data = report(facts)
    assert data["warnings"] == ["sf-2: the mode: /etc/g has a, wanted is b: not changed in this run"]
    assert data["done"] == facts.nodes["sf-1"]["done"]


def test_what_a_drain_warns_of():
    facts = Facts().rolled()
    drains = [entry for name in facts.names for entry in facts.nodes[name]["timeline"]
              if entry["module"] == "drain"]
    drains[0]["details"]["concerns"] = []
    drains[1]["details"]["concerns"] = ["sf-api took 55.1 s to stop", "and more"]
    assert report(facts)["warnings"] == ["sf-2: sf-api took 55.1 s to stop", "sf-2: and more"]


@pytest.mark.parametrize("failed, words", [([], ", none of "), ([30, 31], ", 2 of ")])
def test_the_probe(failed, words):
    data = report(Facts().rolled().probed(failed))
    assert data["probe"]["since"]["failed"] == len(failed) and words in data["verdict"] and data["watched"]


def test_requests_that_are_excused_are_counted_in_the_verdict():
    facts = Facts().rolled().probed()
    facts.run["watch"]["seen"]["since"].update(excused=3, late=30.5)
    assert report(facts)["verdict"].endswith(
        " requests failed, 3 excused because the watcher itself was held up for 30.5 s")


def test_a_watch_that_saw_no_roll():
    facts = Facts().rolled().probed()
    facts.run["watch"]["seen"].update(since=None, requests=7)
    assert report(facts)["verdict"].endswith(", none of 7 requests failed")
    facts.run["watch"]["seen"] = {}
    assert report(facts)["probe"] is None and report(facts)["watched"]
    assert not report(Facts().rolled())["watched"]


def test_what_an_earlier_run_has_left_in_a_cache():
    facts = Facts().rolled()
    facts.nodes["sf-1"]["run"] = "an earlier one"
    assert steps(report(facts), "sf-1") == [] and steps(report(facts), "sf-2")[0] == "quorum"


def test_facts_that_are_missing():
    """A node that was never reached has none; without a plan there is nothing to tell."""
    facts = Facts().rolled()
    facts.hosts["sf-2"] = {}
    del facts.hosts["sf-3"]
    facts.plan.update(leader="sf-9")
    del facts.plan["report"]
    data = report(facts)
    assert [node["result"] for node in data["nodes"]] == ["rolled", "not touched", "not touched"]
    assert data["result"] == "incomplete"
    assert not Gatherer({"localhost": {}}, NIGHT).is_worth_it() and not Gatherer({}, NIGHT).is_worth_it()


def test_when_a_run_began_that_no_preflight_tells():
    facts = Facts().rolled()
    facts.run["began"] = 0
    assert report(facts)["began"] == NIGHT
    facts = Facts()
    facts.run["began"] = 0
    assert report(facts)["began"] == facts.now


def test_what_is_worth_a_report():
    facts = Facts()
    facts.plan.update(order=[], done=facts.names)
    assert not Gatherer(facts.hosts, NIGHT).is_worth_it()
    facts.fail("sf-1", "", "verify has failed", "verify has failed")
    assert Gatherer(facts.hosts, NIGHT).is_worth_it()


def test_a_stamp():
    assert _report.stamp(NIGHT) == "20261121T035302Z"
