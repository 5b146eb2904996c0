# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _services
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import Cause
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import REASON, services_of

PRODUCT = dict(
    distribution="cinder", config="/etc/cinder/cinder.conf", releases="/srv/cinder/releases",
    links="/srv/cinder/current", user="cinder", verify=["cinder-manage", "db", "version"],
    services=[dict(name="cinder-scheduler"), dict(name="cinder-volume", away=True, idle=True),
              dict(name="cinder-backup", disable=True), dict(name="cinder-api", beats=False, drain=True)])
OLD, NEW = "23.5.0-aaaaaaaa", "24.5.0-bbbbbbbb"
TARGET = dict(version="24.5.0", name=NEW, lock=[], contents="new")
SERVICES = services_of(PRODUCT["services"])
# A directory that you have made may have any name, also one that looks like a version.
INSTALLED = {"mine": "23.5.0", "2023.2": "23.5.0", "gone": ""}


def unit(release=OLD, **facts):
    return dict(dict(program=f"/srv/cinder/releases/{release}/bin/python", active=True, managed=True, load="loaded",
                     state="active (running)", stop_seconds=None, invocation="1", restarts=0),
                **facts)


def row(binary, host="c-1", **facts):
    return dict(dict(binary=binary, host=host, here=host.startswith("c-1"), disabled=False, reason=None, age=1.0,
                     updated=1, rpc="3.18", object="1.39"), **facts)


RECORDS = [row("cinder-scheduler"), row("cinder-volume", "c-1@lab"), row("cinder-backup")]


def node(name="c-1", releases=None, units=None, records=None, settings=None):
    """What a node is: by service the release that its link leads to, and its unit."""
    releases = {**{one.name: OLD for one in SERVICES}, **(releases or {})}
    found = {service: unit(release) for service, release in releases.items()}
    found.update(units or {})
    links = {f"/srv/cinder/current/{service}": dict(
        path=f"/srv/cinder/releases/{release}", version=INSTALLED.get(release, release.partition("-")[0]))
        for service, release in releases.items()}
    info = dict(schema="abc", services=RECORDS if records is None else records, settings=dict(dict(
        service_down_time=60, report_interval=10, disable_file="/etc/cinder/off", shut=False, port=8776),
        **(settings or {})))
    last = releases["cinder-api"]
    active = dict(version=INSTALLED.get(last, last.partition("-")[0]), name=last, python="3.11.2",
                  platform="linux-x86_64", path=f"/srv/cinder/releases/{OLD}", pip="23.0.1", contents="old")
    return _services.node_of_services(
        PRODUCT, name, "10.0.0.1", dict(active=active, staged=[OLD], builds={}, rewritten={}, problem="", links=links,
                                        previous={}), dict(units=found), info)


def seen(**facts):
    return dict(node=node(**facts), failure="", host={})


def judge(nodes, target=None, problems=(), **options):
    return _services.judge_services(nodes, SERVICES, target or TARGET, list(problems), command="again", **options)


def refusal(nodes, **options):
    return judge(nodes, **options)[0]


# ---- what a node is

def test_a_service_tells_its_link_and_what_it_runs():
    found = node()["services"]["cinder-volume"]
    assert (found["release"], found["runs"], found["linked"]) == (OLD, OLD, True)
    assert node()["venv"] == "/srv/cinder/current/cinder-api"


@pytest.mark.parametrize("active", [False, True])
def test_a_unit_that_is_masked_is_none_of_the_node(active):
    """It needs no link: packages bring units for services that an operator runs elsewhere."""
    masked = unit(active=active, managed=active, load="masked", program="")
    assert ("cinder-backup" in node(units={"cinder-backup": masked})["services"]) is active


def test_a_program_elsewhere_is_of_no_release():
    found = node(units={"cinder-volume": unit(program="/usr/bin/python3")})["services"]["cinder-volume"]
    assert found["runs"] == ""


@pytest.mark.parametrize("facts, shut", [
    (dict(), []),
    (dict(settings=dict(shut=True)), ["cinder-api"]),
    (dict(settings=dict(shut=True, own=True)), ["cinder-api"]),
    (dict(settings=dict(shut=True, own=False)), []),
    (dict(records=[row("cinder-backup", disabled=True, reason=REASON)]), ["cinder-backup"]),
    (dict(records=[row("cinder-backup", disabled=True, reason="broken")]), []),
    (dict(records=[row("cinder-backup", "c-2", disabled=True, reason=REASON)]), []),
])
def test_what_a_run_that_was_killed_has_left(facts, shut):
    assert [name for name, one in node(**facts)["services"].items() if one["shut"]] == shut


@pytest.mark.parametrize("facts, done", [
    (dict(), False),
    (dict(releases={"cinder-volume": NEW}), True),
    (dict(releases={"cinder-volume": NEW}, units={"cinder-volume": unit(OLD)}), False),
    (dict(releases={"cinder-volume": NEW}, units={"cinder-volume": unit(NEW, active=False)}), False),
    (dict(releases={"cinder-volume": NEW}, units={"cinder-volume": unit(NEW, active=False, managed=False)}), True),
])
def test_when_a_service_is_done(facts, done):
    assert _services.is_done(node(**facts)["services"]["cinder-volume"], TARGET) is done


@pytest.mark.parametrize("held, words", [
    ([], []), (["cinder-volume"], ["cinder-volume is held since an earlier run that has not come to its end: the same "
                                   "command goes on, and starts what ran"]),
    (["cinder-volume", "cinder-backup"], ["cinder-volume and cinder-backup are held since an earlier run that has not "
                                          "come to its end: the same command goes on, and starts what ran"])])
def test_what_an_earlier_run_has_left_held(held, words):
    """Whether it failed or was killed, nothing on the node tells."""
    assert _services.held_words(dict(services={name: dict(held="active" if name in held else "") for name in (
        "cinder-volume", "cinder-backup", "cinder-api")})) == words


def test_a_service_that_was_left_out_of_rotation_is_not_done():
    found = node(releases={"cinder-api": NEW}, settings=dict(shut=True))
    assert not _services.is_done(found["services"]["cinder-api"], TARGET)


# ---- what refuses a roll

def test_a_sound_cloud_is_planned():
    words, plan, lines, order = judge({"c-1": seen()})
    assert words == "" and plan["order"] == ["c-1"] and lines[1].startswith("pass")
    assert order == [f"{number}. {one.name} on c-1: {OLD} -> 24.5.0" for number, one in enumerate(SERVICES, start=1)]


def test_a_check_that_was_not_made_does_not_pass():
    asks = [line[6:] for line in judge({"c-1": seen(), "c-2": seen()})[2] if line.startswith("pass")]
    plain = [dataclasses.replace(one, beats=False, idle=False, disable=False, away=False, drain=False)
             for one in SERVICES]
    lines = _services.judge_services({name: seen(records=[]) for name in ("c-1", "c-2")}, plain, TARGET, [])[2]
    left_out = {"heartbeats", "away", "drain", "orphans", "services", "pins", "unseen", "alone", "balancer"}
    assert left_out <= set(asks) and lines == [f"pass  {one}" for one in asks if one not in left_out]


@pytest.mark.parametrize("facts, words", [
    (dict(units={"cinder-volume": unit(program="/usr/bin/python3")}),
     "fail  c-1: cinder-volume runs /usr/bin/python3, which is in no directory of /srv/cinder/releases"),
    (dict(units={"cinder-volume": unit(active=False, state="failed")}),
     "fail  c-1: cinder-volume is failed and is to run: see journalctl -u cinder-volume"),
    (dict(records=[row("cinder-volume", "c-1@lab", age=61.0)]),
     "fail  c-1: cinder-volume on c-1@lab has sent no heartbeat for 61 s, it counts as down after 60 s"),
    (dict(records=[row("cinder-volume", "c-1@lab", age=None)]),
     "fail  c-1: cinder-volume on c-1@lab has sent no heartbeat for as long as it is on record, it counts as down"),
    (dict(settings=dict(service_down_time=15)), "fail  c-1: cinder-volume cannot be back in time: its heartbeats come "
                                                "every 10 s, a restart takes 5 s or more, and it counts as down "
                                                "after 15 s"),
    (dict(units={"cinder-volume": unit(stop_seconds=50.0)}), "(its last stop took 50 s)"),
    (dict(settings=dict(disable_file="")), "fail  c-1: the health check of cinder-api has no disable_by_file"),
    (dict(records=[*RECORDS, row("cinder-volume", "gone@lab", age=9000.0, rpc="1.0")]),
     "fail  cinder-volume on gone@lab (last heartbeat 9000 s ago, RPC 1.0) is of no node of the inventory"),
    (dict(records=[*RECORDS, row("cinder-volume", "c-9@lab")]),
     "fail  cinder-volume on c-9@lab (last heartbeat 1 s ago, RPC 3.18) lives, and the inventory lacks its node"),
    # What ran there once, and what stands by, is on record by the name of a node that lives.
    (dict(records=[*RECORDS, row("cinder-old", age=9000.0)]),
     "fail  cinder-old on c-1 (last heartbeat 9000 s ago, RPC 3.18) is of a node that does not run it"),
    (dict(records=[*RECORDS[:2], row("cinder-backup", age=9000.0)],
          units={"cinder-backup": unit(active=False, managed=False)}),
     "fail  cinder-backup on c-1 (last heartbeat 9000 s ago, RPC 3.18) is of a node that does not run it"),
    (dict(units={"cinder-backup": unit(active=False, managed=False)}), ""),
    (dict(records=[*RECORDS, row("cinder-old")]), "fail  cinder-old on c-1 (last heartbeat 1 s ago, RPC 3.18) lives"),
    (dict(records=[*RECORDS, row("cinder-volume", "c-1@two", rpc="3.17")]), ""),
])
def test_what_refuses_a_roll(facts, words):
    found = refusal({"c-1": seen(**facts)})
    assert words in found if words else not found
    assert not words or found.startswith("Nothing was touched")


@pytest.mark.parametrize("releases, options, level", [
    ({}, {}, "fail"), ({}, dict(allow_degraded=True), "warn"), ({"cinder-scheduler": NEW}, {}, "warn"),
    ({"cinder-api": NEW}, {}, "")])
def test_an_api_that_does_not_answer(releases, options, level):
    one = dict(seen(releases=releases), rotation={"cinder-api": ["it answers 404"]})
    words, dummy, lines, dummy = judge({"c-1": one}, **options)
    assert bool(words) == (level == "fail") and (f"{level}  c-1: it answers 404" in lines) == bool(level)
    assert "c-1: it answers 404" in status(c_1=one)[0]


@pytest.mark.parametrize("facts, refused", [
    ({}, True), (dict(releases={"cinder-backup": NEW}), False),
    (dict(units={"cinder-backup": unit(active=False, managed=False)}), False)])
def test_an_api_that_would_not_disable_what_is_left(facts, refused):
    one = dict(seen(**facts), api={"cinder-backup": "the token is old"})
    words = judge({"c-1": one}, allow_degraded=True)[0]
    assert ("fail  c-1: the token is old" in words) == refused
    assert not judge({"c-1": dict(one, api={"cinder-backup": ""})})[0]


@pytest.mark.parametrize("second, waits, warned", [
    (dict(), False, True), (dict(), True, False),
    (dict(units={"cinder-api": unit(active=False, managed=False)}), False, False),
    (dict(releases={"cinder-api": NEW}), False, True)])
def test_a_balancer_that_nobody_waits_for(second, waits, warned):
    for first in ({}, {"cinder-api": NEW}):
        words, dummy, lines, dummy = judge({"c-1": seen(releases=first), "c-2": seen(name="c-2", **second)},
                                           waits=waits)
        done = first and second.get("releases")
        assert not words and any("nobody says when the balancer has marked cinder-api down" in line
                                 for line in lines) == (warned and not done)


@pytest.mark.parametrize("units, warned", [
    ({}, False), ({"cinder-api": unit(active=False)}, False),
    ({"cinder-api": unit(active=False, managed=False)}, True)])
@pytest.mark.parametrize("there", [True, False])
def test_an_api_that_runs_in_another_unit(units, warned, there):
    """In Apache, for example: it sends no heartbeats, so nothing would tell that it was left out."""
    one = seen(units=units)
    if not there:
        del one["node"]["services"]["cinder-api"]
    words, dummy, lines, dummy = judge({"c-1": one, "c-2": dict(one)}, allow_degraded=True)
    assert not words and any(line.startswith("warn  no node runs cinder-api: where it is in another unit, such as ")
                             for line in lines) == (warned or not there)


@pytest.mark.parametrize("second, warned", [
    (None, True), (seen(name="c-2"), False),
    (seen(name="c-2", units={"cinder-api": unit(active=False, managed=False)}), True)])
def test_an_api_that_is_the_only_one(second, warned):
    nodes = {"c-1": seen(), **({"c-2": second} if second else {})}
    words = "warn  only c-1 runs cinder-api: requests fail while it is restarted"
    assert (words in judge(nodes)[2]) == warned
    done = {"c-1": seen(releases={"cinder-api": NEW})}
    assert words not in judge(done)[2]


@pytest.mark.parametrize("reason, api, refused", [
    (REASON, False, True), (REASON, True, False), ("broken", False, False)])
def test_one_that_a_run_has_disabled_and_nobody_could_enable(reason, api, refused):
    records = [*RECORDS[:2], row("cinder-backup", disabled=True, reason=reason)]
    words = "fail  c-1: a run that was killed has disabled cinder-backup, and without its API nobody enables it"
    assert (words in refusal({"c-1": seen(records=records)}, api=api)) == refused


def test_a_link_that_is_none():
    one = seen()
    one["node"]["services"]["cinder-volume"].update(linked=False)
    words = "/srv/cinder/current/cinder-volume is no link to a directory in /srv/cinder/releases"
    assert words in refusal({"c-1": one})


def test_different_rpc_versions_are_told():
    lines = judge({"c-1": seen(records=[*RECORDS, row("cinder-volume", "c-1@two", rpc="3.17")])})[2]
    assert any(line.startswith("warn  the services cinder-volume speak different") for line in lines)


@pytest.mark.parametrize("target, words", [
    ("25.0.0", "skips a release"), ("23.4.0", "newer than 23.4.0"), ("24.0.0", ""), ("23.6.0", ""),
])
def test_one_release_after_the_other(target, words):
    found = refusal({"c-1": seen()}, target=dict(TARGET, version=target), every=True)
    assert words in found if words else not found
    # Not every product minds.
    assert bool(refusal({"c-1": seen()}, target=dict(TARGET, version=target))) == words.startswith("newer")


@pytest.mark.parametrize("wanted, words, pip", [
    ("23.4.0", "fail  c-1: it runs 23.5.0, newer than 23.4.0", False), ("25.0.0", "skips a release", False),
    ("24.5.0", "", True), ("", "", True), ("latest", "", True)])
def test_a_release_that_is_refused_anyway_does_not_hide_behind_pip(wanted, words, pip):
    found = _services.judge_services({"c-1": seen()}, SERVICES, {}, ["pip: ResolutionImpossible"], every=True,
                                     wanted=wanted)[0]
    assert words in found and ("fail  the release: pip: ResolutionImpossible" in found) == pip


@pytest.mark.parametrize("releases, target, words", [
    ({"cinder-scheduler": NEW}, "23.6.0", "it runs 24.5.0, newer than 23.6.0"),
    ({"cinder-scheduler": NEW}, "24.6.0", ""),
    ({"cinder-scheduler": "22.1.0-cccccccc"}, "24.5.0", "it runs 22.1.0, and 24.5.0 skips a release"),
    ({"cinder-scheduler": "mine"}, "24.5.0", ""), ({"cinder-scheduler": "24.9.0"}, "24.5.0", "it runs 24.9.0"),
    ({"cinder-scheduler": "2023.2"}, "24.5.0", ""), ({"cinder-scheduler": "2023.2"}, "25.0.0", "it runs 23.5.0, and "),
    ({"cinder-scheduler": "gone"}, "24.5.0", ""),
])
def test_a_node_that_is_half_way(releases, target, words):
    """The schema is that of the newest of its services, whichever is the last one."""
    found = refusal({"c-1": seen(releases=releases)}, target=dict(TARGET, version=target), every=True)
    assert words in found if words else not found


def test_a_release_that_cannot_be_resolved():
    assert "fail  the release: no such release" in refusal({"c-1": seen()}, problems=["no such release"])


def test_a_node_that_cannot_be_reached():
    assert "fail  c-2: no route" in refusal({"c-1": seen(), "c-2": dict(node={}, failure="no route", host={})})


@pytest.mark.parametrize("other", [dict(node={}, failure="no route", host={}), None, dict(
    node=dict(node("c-2", records=[]), problem="it is broken"), failure="", host={})])
def test_services_of_a_node_that_was_not_seen_are_not_called_orphans(other):
    """Whoever follows that advice removes the services of a node that is only down."""
    records = [*RECORDS, row("cinder-volume", "c-2@lab", age=900.0), row("cinder-scheduler", "c-2")]
    found, hidden = {"c-1": seen(records=records)}, [] if other else ["c-2"]
    found.update({"c-2": other} if other else {})
    words = refusal(found, hidden=hidden)
    assert words and "is of no node" not in words and "the inventory lacks" not in words
    lines = _services.status_of_services(found, SERVICES, "free", hidden)[0]
    assert not any("is of no node" in line for line in lines)


def test_a_limit_that_hides_nodes():
    assert "--limit hides c-2" in refusal({"c-1": seen()}, hidden=["c-2"])


def test_clocks_that_are_apart():
    assert "the clocks are 60 s apart" in refusal({"c-1": seen()}, offsets={"c-1": (0, 1), "c-2": (61, 61)})


@pytest.mark.parametrize("facts", [dict(allow_degraded=True), dict(begun=True)])
def test_what_rolling_mends_is_no_reason_to_refuse(facts):
    releases = {"cinder-scheduler": NEW} if facts.pop("begun", False) else {}
    assert not refusal({"c-1": seen(releases=releases, units={"cinder-volume": unit(active=False, state="failed")})},
                       **facts)


def test_one_that_still_stops_since_its_run_was_killed_is_no_reason_to_refuse():
    facts = dict(releases={"cinder-scheduler": NEW},
                 units={"cinder-scheduler": unit(active=False, program="", state="deactivating (stop-sigterm)")})
    words, plan = judge({"c-1": seen(**facts)})[:2]
    assert not words and plan["services"]["c-1"][0] == "cinder-scheduler"


def test_dead_services_are_removed_where_that_is_wanted():
    records = [*RECORDS, row("cinder-volume", "gone@lab", age=None)]
    words, plan, lines, dummy = judge({"c-1": seen(records=records)}, remove=True)
    assert words == "" and plan["orphans"] == [["cinder-volume", "gone@lab"]]
    assert any("(last heartbeat never, RPC 3.18)" in line and "it is removed before the roll" in line for line in lines)


BACKENDS = [row("cinder-volume", "c-1@lab", age=200), row("cinder-volume", "c-1@lvm")]


@pytest.mark.parametrize("records, dead", [
    (BACKENDS, [["cinder-volume", "c-1@lab"]]), (BACKENDS[1:], []),
    # A service that is dead as a whole has to come back.
    (BACKENDS[:1], [])])
def test_a_dead_backend_is_not_waited_for_where_it_is_allowed(records, dead):
    nodes, silent = {"c-1": seen(records=records)}, records[0]["age"] == 200
    assert ("cinder-volume on c-1@lab has sent no heartbeat for 200 s" in refusal(nodes)) == silent
    words, plan = judge(nodes, allow_degraded=True)[:2]
    assert not words and plan["dead"] == dead
    assert bool(_services.silent_words(nodes["c-1"]["node"], SERVICES, dead)) == (silent and not dead)


@pytest.mark.parametrize("settings, refused", [(dict(), False), (dict(coupled=True), True)])
def test_a_backup_that_is_coupled_is_missed_as_its_volume_is(settings, refused):
    found = refusal({"c-1": seen(settings=settings, units={"cinder-backup": unit(stop_seconds=50.0)})})
    assert ("cinder-backup cannot be back in time" in found) == refused


@pytest.mark.parametrize("records, members", [
    ([*RECORDS, row("cinder-volume", "gone@lab", age=None)], [["rolling_order"], ["rolling_first"]]),
    (RECORDS, [["rolling_first"]])])
def test_dead_services_are_removed_also_where_all_is_done(records, members):
    """They may have died in the roll, whose verification then fails for what they speak."""
    one = seen(records=records, releases={service.name: NEW for service in SERVICES})
    words, plan = judge({"c-1": one}, remove=True)[:2]
    assert not words and plan["order"] == [] and [each["groups"] for each in plan["members"]] == members


# ---- the plan

def test_the_waves_go_service_by_service():
    plan = judge({"c-1": seen(), "c-2": seen(name="c-2")})[1]
    assert [(wave["name"], wave["batches"]) for wave in plan["waves"]] == [
        (one.name, [["c-1"], ["c-2"]]) for one in SERVICES]
    groups = {}
    for member in plan["members"]:
        for group in member["groups"]:
            groups.setdefault(group, []).append(member["name"])
    assert groups["rolling_cinder_volume"] == ["c-1", "c-2"] and groups["rolling_first"] == ["c-1"]


def test_what_is_done_is_passed_over():
    plan, order = judge({"c-1": seen(releases={one.name: NEW for one in SERVICES}),
                         "c-2": seen(name="c-2", releases={"cinder-scheduler": NEW})})[1::2]
    assert plan["done"] == ["c-1"] and [wave["name"] for wave in plan["waves"]] == [one.name for one in SERVICES[1:]]
    assert order[-1] == "c-1: on 24.5.0 already, passed over"


def test_the_record_of_a_pair_is_that_of_the_one_that_runs():
    passive = seen(name="c-2", units={"cinder-volume": unit(active=False, managed=False)})
    assert not refusal({"c-2": passive, "c-1": seen(units={"cinder-volume": unit(active=False, state="failed")})},
                       allow_degraded=True)
    assert _services.strangers_of({"c-2": passive["node"], "c-1": node()}) == ([], [])


def test_the_node_that_prepares_the_migration_is_the_same_for_the_next_run():
    """It has the restore point; on another one a schema that is half migrated would be taken for one."""
    idle = seen(name="c-2", units={"cinder-scheduler": unit(active=False, managed=False)})
    plan = judge({"c-1": seen(), "c-2": idle})[1]
    assert plan["order"] == ["c-2", "c-1"]
    assert [one["name"] for one in plan["members"] if one["groups"] == ["rolling_order"]] == ["c-1", "c-2"]


def test_a_passive_service_is_given_the_release_first():
    passive = seen(name="c-2", units={"cinder-volume": unit(active=False, managed=False)})
    plan, order = judge({"c-1": seen(), "c-2": passive})[1::2]
    assert {wave["name"]: wave["batches"] for wave in plan["waves"]}["cinder-volume"] == [["c-2"], ["c-1"]]
    assert f"3. cinder-volume on c-2: {OLD} -> 24.5.0, does not run: it is only given the release" in order


def test_a_service_that_has_failed_is_started_with_the_release():
    failed = {"c-1": seen(releases={"cinder-scheduler": NEW}, units={"cinder-volume": unit(active=False)})}
    plan, order = judge(failed)[1::2]
    assert order[0].startswith(f"1. cinder-volume on c-1: {OLD} -> 24.5.0, is ")
    found = _services.forecast_of_services(plan, {name: one["node"] for name, one in failed.items()})[0]
    assert found["steps"][0]["serves"] and found["steps"][0]["seconds"] == 15


def test_a_forecast():
    nodes = {"c-1": seen(units={"cinder-volume": unit(stop_seconds=12.25)}),
             "c-2": seen(releases={one.name: NEW for one in SERVICES},
                         units={"cinder-volume": unit(active=False, managed=False)})}
    plan = judge(nodes)[1]
    found, lines = _services.forecast_of_services(plan, {name: one["node"] for name, one in nodes.items()})
    assert [(step["service"], step["seconds"]) for step in found["steps"][:2]] == [
        ("cinder-scheduler", 15), ("cinder-volume", 27.2)]
    assert lines[1] == f"2. cinder-volume on c-1: {OLD} -> 24.5.0, away for 27 s"
    assert found["expected"]["seconds"] == 62 and lines[4] == "c-2: on 24.5.0 already, passed over"
    assert lines[-1] == "again"


def test_a_forecast_of_nothing():
    nodes = {"c-1": seen(releases={one.name: NEW for one in SERVICES})}
    found, lines = _services.forecast_of_services(judge(nodes)[1], {"c-1": nodes["c-1"]["node"]})
    assert found["steps"] == [] and lines == ["c-1: on 24.5.0 already, passed over"]


# ---- how the services are

def status(**nodes):
    return _services.status_of_services({name.replace("_", "-"): one for name, one in nodes.items()}, SERVICES, "free")


def test_the_status_has_a_line_for_each_service():
    lines, ill = status(c_1=seen())
    assert ill == [] and len(lines) == 1 + len(SERVICES) + 1 and lines[-1] == "lock: free"
    assert lines[2].split() == f"c-1 cinder-volume {OLD} same active (running) 1 s ago 3.18".split()


@pytest.mark.parametrize("facts, words", [
    (dict(units={"cinder-volume": unit(active=False, state="failed")}), "c-1: cinder-volume is failed"),
    (dict(settings=dict(shut=True)), "c-1: cinder-api was left out of rotation: the next roll takes it back"),
    (dict(settings=dict(shut=True)), "its health check is made to fail"),
    (dict(records=[row("cinder-backup", disabled=True, reason=REASON)]), "a run has disabled it"),
    (dict(records=[*RECORDS, row("cinder-volume", "c-1@slow", age=None)]), "cinder-volume on c-1@slow has sent no"),
])
def test_what_is_ill(facts, words):
    lines, ill = status(c_1=seen(**facts))
    assert ill == ["c-1"] and words in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("facts, words", [
    (dict(records=[row("cinder-backup", disabled=True, reason="broken")]), "disabled"),
    (dict(units={"cinder-volume": unit(active=False, managed=False)}), "not to run here"),
    (dict(settings=dict(shut=True, own=False)), "somebody has its health check fail"),
    (dict(records=[*RECORDS, row("cinder-volume", "old@lab", age=9e5)]), "is of no node of the inventory"),
    (dict(records=[*RECORDS, row("cinder-volume", "c-1@b", rpc="3.17")]), "speak different versions"),
])
def test_what_is_only_said(facts, words):
    lines, ill = status(c_1=seen(**facts))
    assert ill == [] and words in " ".join(" ".join(lines).split())


def test_the_status_of_a_node_that_cannot_be_reached():
    lines, ill = status(c_1=dict(node={}, failure="it cannot be reached: gone", host={}))
    assert ill == ["c-1"] and lines == ["c-1: it cannot be reached: gone", "lock: free"]


def test_one_that_is_down_is_started():
    down = seen(units={"cinder-volume": unit(active=False, state="activating (start)")})
    assert f"2. cinder-volume on c-1: {OLD} -> 24.5.0, is activating (start): it is started" in judge(
        {"c-1": down}, allow_degraded=True)[3]


# ---- the end, and failures

def test_what_is_left_after_a_roll():
    found = _services.left_words({"c-1": node(releases={one.name: NEW for one in SERVICES[:2]},
                                              units={"cinder-backup": unit(active=False, state="failed")})}, TARGET)
    assert found == [f"cinder-backup on c-1 is failed, expected {NEW}", f"cinder-api on c-1 runs {OLD}, expected {NEW}"]


@pytest.mark.parametrize("facts, words", [
    (dict(settings=dict(shut=True)), f"runs {NEW} and is OUT OF ROTATION"),
    (dict(units={"cinder-api": unit(program="/usr/bin/python3")}), "runs /usr/bin/python3"),
    (dict(releases={"cinder-api": OLD}, units={"cinder-api": unit(NEW)}), f"has a link to {OLD}"),
])
def test_why_one_is_not_done(facts, words):
    """It is said of one that runs the release, too."""
    found = node(**{**facts, "releases": {**{one.name: NEW for one in SERVICES}, **facts.get("releases", {})}})
    assert _services.left_words({"c-1": found}, TARGET) == [f"cinder-api on c-1 {words}, expected {NEW}"]


def test_who_still_speaks_an_older_rpc():
    records = [row("cinder-volume", "c-1@lab"), row("cinder-volume", "c-2@lab", rpc="3.19")]
    assert _services.pinned_words({"c-1": node(records=records)}) == [
        "the services cinder-volume still speak different versions of their RPC: 3.18 on c-1@lab; 3.19 on c-2@lab"]
    assert _services.pinned_words({"c-1": node()}) == []


@pytest.mark.parametrize("cause, words", [
    (dict(step="Gate", words="no heartbeat"), "look at journalctl -u cinder-volume -n 50 on c-1"),
    (dict(step="Gate", words="gone", lost=True), "see why c-1 cannot be reached (ansible -i inventory c-1 -m ping)"),
    (dict(words="asked to stop", stopped=True), "Before cinder-volume on c-1: asked to stop"),
    (dict(step="Renew the lock", words="the lock was lost", away="c-2"), "Next: look at c-2, where that happened, and"),
    (dict(step="Wait", words="UP", at_balancer=True), "the backend has to check the health check of cinder-volume, "),
])
def test_what_is_told_of_a_failure(cause, words):
    assert ('--since "1970-01-01 00:00:05 UTC" --until' in _services.told_of_service(
        "cinder-volume", "c-1", Cause(**cause), "went back.", "", (10.0, 20.0))) is words.startswith("look at")
    text = _services.told_of_service("cinder-volume", "c-1", Cause(**cause), "went back to 23.5.0.",
                                     "ansible-playbook -i inventory x")
    assert words in text and "ansible-playbook -i inventory x" in text and "Next: " in text
