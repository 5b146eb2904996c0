# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _tier
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import Cause
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import Node, Run
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import services_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import REST, WHOLE, Left, Tier

OLD, NEW = "4.0.0", "5.0.0-aaaaaaaa"
TARGET = dict(name=NEW, version="5.0.0")
SERVICES = services_of([dict(name="agent"), dict(name="server")])
PHASES = dict(before=[dict(title="Ask", where="server", command=["x"])],
              migrate=[dict(title="Migrate the database", where="server", command=["x"]),
                       dict(title="Not this one", wanted=False, where="nowhere"),
                       dict(title="Migrate the rest", command=["y"])])
COMMAND = "ansible-playbook -i x shakenfist.rolling.dragonflow -e rolling_release=5.0.0"


def unit(release=OLD, runs=None, active=True, **more):
    return dict(dict(release=release, runs=release if runs is None else runs, active=active, managed=True, held="",
                     stop_seconds=2.0, shut=False), **more)


def node(previous="", **services):
    return dict(services=services, previous=dict(name=previous) if previous else {})


def nodes(*units):
    """Two controllers and a compute node, all of the same kind, or each of its own."""
    server, other, agent = units * 3 if len(units) == 1 else units
    return {"d-1": node(server=server), "d-2": node(server=other), "d-3": node(agent=agent)}


def planned(found):
    return Tier(PHASES).plan(found, SERVICES, TARGET, COMMAND, ["warn  something"])


def test_everything_is_stopped_on_all_nodes():
    plan = planned(nodes(unit()))
    assert plan["order"] == ["d-1", "d-2", "d-3"] and plan["done"] == []
    steps, units = plan["tier"].pop("steps"), plan["tier"].pop("units")
    assert plan["tier"].pop("migrates") == ["d-1"]
    assert plan["tier"].pop("priors") == dict.fromkeys(plan["order"], OLD)
    assert plan["tier"] == dict(mode=WHOLE, places={"": "d-1", "server": "d-1"}, titles=[
        "Migrate the database on d-1", "Migrate the rest on d-1"], comes=["d-1, d-2, d-3: 4.0.0 -> 5.0.0"])
    assert units == ["agent", "server"]
    assert [(step["point"], step.get("number")) for step in steps] == [
        ("tried", None), ("backed_up", None), ("begun", None), ("migrate", 0), ("migrate", 1), ("whole", None)]
    assert [(wave["name"], wave["batches"]) for wave in plan["waves"]] == [
        ("agent", [["d-3"]]), ("server", [["d-1", "d-2"]])]
    assert dict(name="d-1", groups=["rolling_first"]) in plan["members"]
    assert Tier(PHASES).lines(plan, nodes(unit())) == [
        "1. stop server on d-1, d-2", "2. stop agent on d-3",
        "3. d-1, d-2, d-3: 4.0.0 -> 5.0.0, all of it is down then",
        "4. Migrate the database on d-1", "5. Migrate the rest on d-1", "6. start agent on d-3",
        "7. start server on d-1, d-2"]


def test_a_node_that_is_done_is_stopped_with_the_others_if_all_is_down():
    held = unit(NEW, "", False, held="active")
    # All is down and has the release: a run was killed before it started anything.
    plan = planned(nodes(held))
    assert plan["order"] == ["d-1", "d-2", "d-3"] and plan["tier"]["mode"] == WHOLE
    assert planned(nodes(unit(NEW, managed=False, active=False, runs=""), unit(), unit()))["order"] == [
        "d-1", "d-2", "d-3"]


def test_what_is_left_follows_where_some_of_it_runs_the_release():
    """What was killed or failed in the start: what it has started is neither stopped nor started again."""
    held = unit(NEW, "", False, held="active")
    found = nodes(held, held, unit(NEW))
    plan = planned(found)
    assert plan["tier"]["mode"] == REST and plan["order"] == ["d-1", "d-2"] and plan["done"] == ["d-3"]
    lines = _tier.tier_lines(plan, found)
    assert lines == ["1. stop server on no node: it runs on none", "2. d-1, d-2: on 5.0.0 already",
                     "3. start server on d-1, d-2", "What runs the release already goes on, and migrations that are "
                     "complete are not run again.", "d-3: on 5.0.0 already, passed over"]
    assert [step["point"] for step in plan["tier"]["steps"]] == ["migrate", "migrate", "whole"]


def test_a_service_of_a_node_that_runs_the_release_is_left_alone():
    started = node(agent=unit(NEW), server=unit(NEW, "", False, held="active"))
    found = {"d-1": started, "d-2": node(agent=unit(), server=unit())}
    plan = planned(found)
    assert [(wave["name"], wave["batches"]) for wave in plan["waves"]] == [
        ("agent", [["d-2"]]), ("server", [["d-1", "d-2"]])]
    assert _tier.tier_lines(plan, found)[:3] == [
        "1. stop server on d-2", "2. stop agent on d-2", "3. d-1: on 5.0.0 already; d-2: 4.0.0 -> 5.0.0"]


@pytest.mark.parametrize("version, interrupted, words", [
    ("4.0.0", False, "4.0.0 -> 5.0.0"), ("4.0.0", True, "4.0.0, half configured -> 5.0.0"),
    ("5.0.0", False, "on 5.0.0 already"), ("5.0.0", True, "5.0.0, half configured -> 5.0.0")])
def test_what_becomes_of_the_packages_of_a_node(version, interrupted, words):
    made = dict(services=dict(server=unit(version if version == OLD else NEW)), previous={},
                release=dict(version=version), apt=dict(interrupted=interrupted))
    came = _tier.came_of(made, _tier.prior_of(made, TARGET), TARGET)
    assert _tier.came_words(["d-1"], came, "5.0.0") == f"d-1: {words}"


def test_nothing_is_left():
    plan = planned(nodes(unit(NEW)))
    assert plan["order"] == [] and plan["batches"] == [] and plan["serial"] == [1]
    assert _tier.tier_lines(plan, nodes(unit(NEW))) == [
        f"{name}: on 5.0.0 already, passed over" for name in ("d-1", "d-2", "d-3")]
    found, lines = _tier.forecast_of_tier(plan, {})
    assert found["steps"] == [] and found["expected"]["how"] == "" and len(lines) == 3


def test_the_forecast():
    found, lines = _tier.forecast_of_tier(planned(nodes(unit(), unit(stop_seconds=9.0), unit(stop_seconds=None))),
                                          nodes(unit(), unit(stop_seconds=9.0), unit(stop_seconds=None)))
    assert [step["seconds"] for step in found["steps"]] == [5.0, 14.0] and found["expected"]["seconds"] == 19
    assert found["warnings"] == ["something"] and lines[-2:] == ["To do it:", COMMAND]


def test_a_unit_that_runs_nowhere():
    idle = unit(active=False, managed=False)
    plan = planned(nodes(idle))
    lines = _tier.tier_lines(plan, nodes(idle))
    assert lines[0] == "1. stop server on no node: it runs on none" and lines[-1].endswith("start server on no node")


@pytest.mark.parametrize("found, words", [
    (nodes(unit()), []),
    ({"d-1": node(server=unit("4.0.0"), agent=unit("3.9.0"))}, ["the services of d-1 have links to 3.9.0 and 4.0.0"]),
    ({"d-1": node(server=unit("4.0.0"), agent=unit(NEW))}, []),
    ({"d-3": node(agent=unit())}, ["no node has the unit server, or a package"]),
    ({}, ["no node was seen that has one of the units agent or server: "])])
def test_what_refuses_it(found, words):
    failed = [finding.words for finding in Tier(PHASES).findings(found, SERVICES, TARGET) if finding.level == "fail"]
    assert len(failed) == len(words) and all(map(str.startswith, failed, words))


@pytest.mark.parametrize("found, prior", [
    (node(server=unit()), OLD), (node(previous="3.9.0", server=unit(NEW), agent=unit()), OLD),
    (node(previous=OLD, server=unit(NEW)), OLD), (node(server=unit(NEW)), ""),
    (node(previous="3.9.0", server=unit(NEW, held="active", came=OLD)), OLD)])
def test_where_a_node_came_from(found, prior):
    assert _tier.prior_of(found, TARGET) == prior


HALF = "5.0.0-bbbbbbbb"
KILLED = unit(HALF, "", False, held="active", came=OLD)


@pytest.mark.parametrize("agent, prior", [(KILLED, OLD), (unit(HALF), HALF), (unit(OLD), OLD)])
def test_a_run_that_was_killed_is_followed_by_one_with_another_build(agent, prior):
    """What it has not started was not migrated for, perhaps, and is nothing to go back to."""
    found = nodes(KILLED, unit(OLD, held="active", came=OLD), agent)
    assert planned(found)["tier"]["priors"] == {"d-1": prior if prior == HALF else OLD, "d-2": OLD, "d-3": prior}
    half = {"d-1": node(agent=KILLED, server=unit(OLD)), "d-2": node(agent=agent)}
    mixed = [one.words for one in Tier(PHASES).findings(half, SERVICES, TARGET) if one.level == "fail"]
    assert bool(mixed) == (prior == HALF)


@pytest.mark.parametrize("begun, place, problems", [
    (["d-2"], "d-2", 0), (["d-1"], "d-1", 0), ([], "d-1", 0), (["d-9"], "d-1", 1)])
def test_who_has_begun_to_migrate_goes_on(begun, place, problems):
    """What it has begun, and the backup from before, are nowhere else."""
    found = nodes(unit(active=False, held="active", migrates=begun))
    assert planned(found)["tier"]["places"]["server"] == place and planned(found)["tier"]["migrates"] == [place]
    words = [one.words for one in Tier(PHASES).findings(found, SERVICES, TARGET) if one.level == "fail"]
    assert len(words) == problems and all("was to migrate the database on d-9, which is not" in each for each in words)
    assert list(planned(found)["tier"]["priors"]) == ["d-1", "d-2", "d-3"]
    found["d-3"] = node(agent=unit(NEW))
    assert not [one for one in Tier(PHASES).findings(found, SERVICES, TARGET) if one.level == "fail"]


@pytest.mark.parametrize("member, words", [
    (dict(), ""), (dict(quota=0), ""), (dict(problem="refused"), "cannot be asked: refused"),
    (dict(alarms=["NOSPACE"]), "has raised the alarm NOSPACE, and it takes no writes"),
    (dict(alarms=["CORRUPT"]), "has raised the alarm CORRUPT: see its journal"),
    (dict(quota=3_900_000), "has 2.9 MB left of its quota, and a migration may need 3.0 MB")])
def test_etcd(member, words):
    found = _tier.etcd_problem(dict(dict(endpoint="http://e", alarms=[], in_use=1_000_000, quota=9_000_000,
                                         problem=""), **member))
    assert words in found and bool(found) == bool(words)


def test_words_of_a_store():
    assert _tier.counted(dict(lport=dict(created=0, updated=3, deleted=1), x=dict(created=0))) == (
        "lport 3 updated, 1 deleted")
    assert _tier.counted({}) == "no object changes"
    assert "3 of 9 batches" in _tier.interrupted_words(dict(host="d-1", since="now", done=3, batches=9))


def hostvars(**records):
    return {"localhost": dict(ansible_facts=dict(rolling_run=vars(Run(id="r")))), **{
        name.replace("_", "-"): dict(ansible_facts=dict(rolling_node=vars(Node(run="r", **record))))
        for name, record in records.items()}}


def test_who_has_failed_or_was_lost():
    found = _tier.troubles(hostvars(d_1={}, d_2=dict(cause=dict(step="Stop server", words="it hangs")), d_3={}),
                           Run(id="r"), ["d-1", "d-2", "d-3"], ["d-1", "d-2"])
    assert _tier.trouble_words(found) == ("d-2: Stop server: it hangs\n"
                                          "d-3: it was lost, see above")


def left(mode=WHOLE, priors=OLD, lost=(), **records):
    records = {name.replace("_", "-"): Node(**record) for name, record in records.items()}
    return Left([*records, *lost], records, dict.fromkeys(records, priors), mode, list(lost))


STOPPED, BACK = dict(stopped=["server"]), dict(stopped=["server"], back=OLD)


@pytest.mark.parametrize("given, words", [
    (left(d_1={}, d_2={}), ["Nothing was stopped, all services serve as before."]),
    (left(d_1=dict(tier=dict(BACK), restored="x"), d_2=dict(tier=dict(BACK), restored="x")),
     ["d-1, d-2 went back to 4.0.0, with the configuration of before, and run it.",
      "Nothing of what the services keep was changed."]),
    (left(d_1=dict(tier=dict(BACK, undone=["The database was restored."], down="d-1: start: fails"),
                   restored="went back to 4.0.0")),
     ["The database was restored.", "d-1 went back to 4.0.0, but for what follows.\nd-1: start: fails"]),
    (left(d_1=dict(tier=dict(STOPPED, down="d-1: it has no link"))), ["changed.\nd-1: it has no link"]),
    (left(lost=["d-2"], d_1=dict(tier=dict(BACK), restored="x"), d_2=dict(tier=STOPPED)), ["d-2 may still be on"]),
    (left(d_1=dict(tier=dict(STOPPED, beyond="x"), schema=dict(backup=dict(path="/b.sql", restore="mariadb <x")))),
     ["The database as it was before: /b.sql on d-1. To restore it, where the next run does not do that itself: mari"]),
    (left(lost=["d-2"], d_1=dict(tier=dict(BACK), restored="x")),
     ["d-1 went back to 4.0.0, with the configuration of before, and runs it.",
      "d-2 may still be on the new release"]),
    (left(d_1=dict(tier=dict(STOPPED, beyond="the store was migrated"))),
     ["ALL SERVICES STAY STOPPED on d-1, nothing went back: the store was migrated. Nothing starts them"]),
    (left(d_1=dict(tier=dict(STOPPED, packages="5.0.0, half configured", beyond="x")), d_2=dict(tier=dict(STOPPED)),
          d_3=dict(tier=dict(STOPPED, packages="5.0.0", beyond="y"))),
     ["nothing went back: packages have changed (d-1: 5.0.0, half configured; d-2: 4.0.0; d-3: 5.0.0), and there is"]),
    (left(priors="", d_1=dict(tier=dict(STOPPED, packages="5.0.0")), d_2=dict(tier=STOPPED)), ["d-2: not known)"]),
    (left(priors="", d_1=dict(tier=STOPPED)), ["it is not known which release d-1 came from"]),
    (left(d_1=dict(tier=dict(STOPPED, beyond="x", wrote=True), schema=dict(migrations=[dict(title="Migrate A")])),
          d_2=dict(schema=dict(migrations=[dict(title="Migrate B")]))),
     ["but the next run.\nComplete before that: Migrate A on d-1; Migrate B on d-2.\nThis run has made no backup"]),
    (left(REST, d_1=dict(tier=STOPPED)), ["other services run the new release already"]),
    (left(d_1=dict(tier=dict(started=True)), d_2=dict(tier=STOPPED)), ["nothing goes back"])])
def test_how_it_was_left(given, words):
    state = given.state()
    assert all(each in state for each in words), state


@pytest.mark.parametrize("tier, schema", [
    ({}, dict(backup=dict(path="/b", restore="x", late=True))), ({}, {})])
def test_where_nothing_is_to_be_told_of_migrations(tier, schema):
    assert left(d_1=dict(tier=dict(tier, beyond="x"), schema=schema)).migrations() == []


@pytest.mark.parametrize("cause, next", [
    (Cause(words="it hangs", units=["server"]), "look at journalctl -n 50 -u server on d-1, and fix the cause."),
    (Cause(words="it fails"), "Next: fix the cause."),
    (Cause(words="gone", lost=True), "see why d-1 cannot be reached (ansible -i x d-1 -m ping), and fix the cause.")])
def test_what_is_told(cause, next):
    text = _tier.told_of_tier({"d-1": cause}, left(d_1=dict(tier=dict(BACK), restored="x")), COMMAND)
    assert text.startswith(f"d-1: {cause.words}\nd-1 went back to 4.0.0") and next in text
    assert text.endswith(f"and this release:\n{COMMAND}\nIt goes on from what it finds.")


def test_it_was_stopped_on_request():
    text = _tier.told_of_tier({"d-1": Cause(words="the roll was asked to stop", stopped=True)}, left(d_1={}), COMMAND)
    assert text.startswith("Before anything was stopped: the roll was asked to stop\n") and COMMAND in text
    assert "see above" in _tier.told_of_tier({}, left(d_1={}), COMMAND)
