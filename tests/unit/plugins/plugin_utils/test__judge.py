# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._judge import (
    LACKING,
    Options,
    Sight,
    judge,
)

TARGET = dict(version="0.8.1", name="0.8.1-aa")


def seen(number, ready=True, kind="3.11 x", **changes):
    """What a healthy node looks like; the first one is the database tier."""
    address = f"10.0.0.{number}"
    node = dict(
        name=f"sf-{number}", problem="", has_database_credentials=number == 1, config="/etc/sf/config", kind=kind,
        database_unit="sf-database", api_unit="sf-api", gateways=["10.0.0.1:13005"], gateway=f"{address}:13005",
        units={"sf-api": {}, "sf-database": {}} if number == 1 else {"sf-api": {}},
        ready_url=f"http://{address}/readyz", release={"version": "0.8.0"}, staged=[], behind=[], drain_grace=25.0,
        drain_grace_source="config", venv="/v", releases="/r", distribution="another", present={}, spelt={}, daemons=[],
        sentinels=[])
    return dict(node=dict(node, **changes), failure="", ready=ready, answers="200" if ready else "503", host={},
                gateways={"10.0.0.1:13005": "SERVING"}, zone="")


def sight(*numbers, **changes):
    names = numbers or (1, 2, 3)
    return Sight(seen={f"sf-{number}": seen(number) for number in names},
                 **{"resolved": {f"sf-{number}": TARGET for number in names}, **changes})


def api(*names):
    return dict(known=True, leader="sf-3", url="http://api", nodes=[
        dict(name=name, state="created", release="0.8.0", ip=f"10.0.0.{name[3:]}") for name in names])


ALL = api("sf-1", "sf-2", "sf-3")
OPTIONS = Options(database=["sf-1"], balancer_detection=2)


def test_a_fit_cluster():
    found = judge(sight(), OPTIONS, ALL, command="again")
    assert found.refusal == "" and found.order == [
        "1. sf-1: 0.8.0 -> 0.8.1, database tier", "2. sf-2: 0.8.0 -> 0.8.1",
        "3. sf-3: 0.8.0 -> 0.8.1, cluster leader"]
    plan = found.plan
    assert [(wave["name"], wave["batches"]) for wave in plan["waves"]] == [
        ("database", [["sf-1"]]), ("others", [["sf-2"], ["sf-3"]])]
    assert plan["command"] == "again -e rolling_release=0.8.1" and plan["release"] == "0.8.1"
    assert plan["report"] == found.report and all(line.startswith("pass") for line in found.report)
    assert plan["members"] == [
        dict(name="sf-1", groups=["rolling_schema"]), dict(name="sf-1", groups=["rolling_order", "rolling_database"]),
        dict(name="sf-2", groups=["rolling_order", "rolling_others"]),
        dict(name="sf-3", groups=["rolling_order", "rolling_others"]), dict(name="sf-1", groups=["rolling_first"])]


@pytest.mark.parametrize("level", ["warn", "fail"])
def test_what_no_longer_goes_with_the_release(level):
    """Told once, of the node that has resolved it for the others."""
    target = dict(TARGET, node="sf-1", conflicts=["plugin 1 requires flask<2, and the release brings 2."])
    found = judge(sight(resolved={f"sf-{number}": target for number in (1, 2, 3)}),
                  Options(database=["sf-1"], balancer_detection=2, conflicts=level), ALL)
    assert found.report[0] == (
        f"{level}  on sf-1, installed packages would no longer fit together with 0.8.1: plugin 1 requires flask<2, and "
        "the release brings 2. Upgrade these with the release (stage_packages); stage_conflicts decides whether that "
        "is refused")
    assert bool(found.refusal) is (level == "fail") and "no longer fit" not in " ".join(found.report[1:])


def test_a_version_that_was_published_again():
    """The nodes that have the build of its wheel are passed over, the others are rolled."""
    cluster = sight(resolved={f"sf-{number}": dict(TARGET, contents="2" * 10) for number in (1, 2, 3)})
    for number, build in ((1, "1" * 10), (2, "2" * 10), (3, "")):
        cluster.seen[f"sf-{number}"]["node"]["release"] = dict(version="0.8.1", contents=build)
    found = judge(cluster, OPTIONS, ALL, command="again")
    assert found.refusal == "" and found.order == [
        "1. sf-1: 0.8.1 (build 11111111) -> 0.8.1 (build 22222222), database tier",
        "sf-2: on 0.8.1 already, passed over", "sf-3: on 0.8.1 already, passed over"]
    assert found.report[0] == (
        "warn  the nodes run different builds of 0.8.1 (11111111 on sf-1; 22222222 on sf-2; not known on sf-3): it was "
        "published again with other content, or somebody has installed it by hand. The next upgrade to it rolls those "
        "that do not have the build of its wheel")


def test_back_to_another_build():
    back = dict(version="0.8.1", name="0.8.1-aa", contents="1" * 10, given="0.8.1-aa")
    cluster = sight(resolved={f"sf-{number}": back for number in (1, 2, 3)})
    for number in (1, 2, 3):
        cluster.seen[f"sf-{number}"]["node"]["release"] = dict(version="0.8.1", contents=f"{number}" * 10)
    found = judge(cluster, Options(kind="rollback", database=["sf-1"]), ALL, command="again")
    assert found.plan["done"] == ["sf-1"] and found.plan["command"] == "again -e rollback_release=0.8.1-aa"
    assert found.order[0].startswith("1. sf-2: 0.8.1 (build 22222222) -> 0.8.1 (build 11111111)")


def test_the_timing_of_balancers_is_judged():
    cluster = sight()
    cluster.seen["sf-3"].update(balancer=dict(reachable=True, problems=[], fall=3), balancer_told=False)
    found = judge(cluster, Options(database=["sf-1"]), ALL)
    assert found.refusal == "" and [line[:58] for line in found.report[:2]] == [
        "warn  nothing is known of the balancer's timing: sf-1 serv",
        "warn  HAProxy marks sf-3 down after 3 failed checks, and d"]
    found = judge(cluster, Options(database=["sf-1"], balancer_detection=12, settle=12), ALL)
    assert found.report[0].startswith("warn  roll_settle (12 s) is not more than the balancer takes")
    # The others are hidden, and are there all the same.
    limited = sight(3, addresses={"sf-1": ["10.0.0.1"], "sf-2": ["10.0.0.2"]})
    nodes = api("sf-1", "sf-2", "sf-3")
    for one in nodes["nodes"]:
        one["release"] = "0.8.1"
    assert "warn  nothing is known of the balancer's timing: sf-3" in judge(
        limited, Options(database=["sf-1"]), nodes).report[0]
    # A balancer that is told need not notice anything.
    assert "the balancer takes 30 s" in judge(cluster, Options(database=["sf-1"], balancer_detection=30), ALL).refusal
    for seen_of in cluster.seen.values():
        seen_of["balancer_told"] = True
    for detection in (0, 30):
        found = judge(cluster, Options(database=["sf-1"], balancer_detection=detection), ALL)
        assert found.refusal == "" and "pass  balancer timing" in found.report


def test_batches_and_why_they_are_small():
    cluster = sight(1, 2, 3, 4, 5)
    cluster.seen["sf-4"]["zone"] = cluster.seen["sf-5"]["zone"] = "b"
    found = judge(cluster, Options(database=["sf-1"], serial=4), api(*cluster.seen))
    assert found.order[1:] == [
        "2. sf-4: 0.8.0 -> 0.8.1",
        "3. sf-5: 0.8.0 -> 0.8.1, together with the one before",
        # The leader is last all the same.
        "4. sf-2: 0.8.0 -> 0.8.1, not together with the one before: another zone",
        "5. sf-3: 0.8.0 -> 0.8.1, cluster leader, together with the one before"]


def test_never_all_of_a_kind():
    nodes = api("sf-1", "sf-2", "sf-3")
    for node in nodes["nodes"][1:]:
        node["is_hypervisor"] = True
    found = judge(sight(), Options(database=["sf-1"], serial=2), nodes)
    assert found.plan["batches"] == [["sf-2"], ["sf-3"]]
    assert found.order[2].endswith("not together with the one before: sf-2 and sf-3 are all hypervisors")
    assert "rolling_serial" not in " ".join(found.order)
    found = judge(sight(), Options(database=["sf-1"], serial="50%"), nodes)
    assert found.order[-1] == "rolling_serial: 50% of 2 is 1"


def test_a_cluster_that_is_not_fit():
    cluster = sight()
    cluster.seen["sf-2"].update(ready=False, answers="503")
    found = judge(cluster, OPTIONS, ALL)
    lines = found.refusal.splitlines()
    assert lines[0] == "Nothing was touched, the cluster is not fit to be rolled:"
    assert lines[1].startswith("fail  sf-2: http://10.0.0.2/readyz answers 503") and found.plan == {}
    assert lines[-2:] == ["What it means: docs/runbook.md#before-anything-is-touched-the-preflight-report",
                          "Fix that, then run the command again."]
    assert judge(cluster, Options(database=["sf-1"], allow_degraded=True), ALL).refusal == ""
    assert judge(cluster, Options(kind="restart", database=["sf-1"], given="2026-11-28T11:00:00Z"), ALL).refusal == ""


@pytest.mark.parametrize("kind", ["upgrade", "rollback", "restart"])
def test_the_node_that_a_killed_run_has_drained(kind):
    """Also where the index has something else by now, so that nothing on the node tells."""
    cluster = sight()
    cluster.seen["sf-2"].update(ready=False, answers="503")
    found = judge(cluster, Options(kind=kind, database=["sf-1"], in_hand=["sf-2", "sf-9"]), ALL)
    assert found.refusal == "" and "sf-2" in found.plan["order"]
    assert next(line for line in found.report if "readyz" in line).endswith(
        "; an earlier run has begun it, and rolling it again lets it in")
    cluster.seen["sf-3"].update(ready=False, answers="503")
    found = judge(cluster, Options(kind=kind, database=["sf-1"], in_hand=["sf-2"]), ALL)
    assert "fail  sf-3: http://10.0.0.3/readyz answers 503" in found.refusal


@pytest.mark.parametrize("kind, first, further", [
    ("upgrade", "fail  the release: no such",
     "Correct rolling_release or stage_source, or the index that pip uses on sf-1."),
    ("rollback", "fail  the release: no such", None), ("restart", "fail  the restart: no such", None),
])
def test_a_release_that_cannot_be_resolved(kind, first, further):
    found = judge(sight(problems=["no such", "no such"], resolved={}), Options(kind=kind, database=["sf-1"]), ALL)
    lines = found.refusal.splitlines()
    assert lines[1] == first and (further in lines) == bool(further) and "pass  release" not in lines


def test_releases_that_differ_between_versions_of_python():
    cluster = sight(resolved={"sf-1": TARGET, "sf-3": dict(version="0.8.2", name="0.8.2-aa")})
    cluster.seen["sf-3"]["node"]["kind"] = "3.12 x"
    assert cluster.resolver_of() == {"sf-1": "sf-1", "sf-2": "sf-1", "sf-3": "sf-3"}
    assert "the newest release differs between the nodes (0.8.1, 0.8.2)" in judge(cluster, OPTIONS, ALL).refusal


def test_a_rollback_takes_the_tier_last():
    cluster = sight(resolved={f"sf-{number}": dict(version="0.7.9", name=f"0.7.9-{number}") for number in (1, 2, 3)})
    found = judge(cluster, Options(kind="rollback", database=["sf-1"]), ALL, command="again")
    assert found.plan["order"] == ["sf-2", "sf-3", "sf-1"]
    assert found.plan["command"] == "again -e rollback_release=0.7.9"
    # What is staged is no sign that it has begun.
    cluster.seen["sf-2"].update(ready=False)
    cluster.seen["sf-2"]["node"]["staged"] = ["0.7.9-2"]
    assert judge(cluster, Options(kind="rollback", database=["sf-1"]), ALL).refusal


def test_a_restart():
    cluster = sight(resolved={name: dict(version="0.8.0", name="") for name in ("sf-1", "sf-2", "sf-3")})
    for name in ("sf-2", "sf-3"):
        cluster.seen[name]["node"]["behind"] = ["sf-net"]
    options = Options(kind="restart", database=["sf-1"], given="T", since=7, since_words="T")
    found = judge(cluster, options, ALL, command="again")
    assert found.order == ["1. sf-2: 0.8.0", "2. sf-3: 0.8.0, cluster leader",
                           "sf-1: restarted since T already, passed over",
                           "Should it stop, this continues it, with the options that you gave:",
                           "again -e rolling_since=T"]
    assert found.plan["since"] == 7
    reconfigured = judge(cluster, Options(kind="reconfigure", database=["sf-1"]), ALL, command="again")
    assert reconfigured.plan["command"] == "again"


def test_nobody_can_ask_the_api():
    cluster = sight()
    for one in cluster.seen.values():
        one["ready"] = False
    assert cluster.asker() == "" and cluster.unseen(ALL) == {}
    found = judge(cluster, Options(database=["sf-1"], allow_degraded=True), None)
    assert any("no node serves" in line for line in found.report)
    assert found.plan["alone"] and found.plan["order"] == ["sf-1", "sf-2", "sf-3"]


def test_a_node_that_nobody_has_examined():
    cluster = sight()
    cluster.seen["sf-1"].update(node={}, failure="it cannot be reached: no route", ready=False)
    assert cluster.able() == ["sf-2", "sf-3"] and cluster.asker() == "sf-2" and cluster.target() == TARGET
    assert "fail  sf-1: it cannot be reached: no route" in judge(cluster, OPTIONS, ALL).refusal


@pytest.mark.parametrize("name, addresses", [
    ("10.0.0.3", ["10.0.0.3"]), ("sf-3.example", ["192.0.2.7"]), ("three", ["three", "10.0.0.3"])])
def test_a_node_out_of_reach_is_found_in_the_list(name, addresses):
    """It cannot say its own name; the inventory has another one, or an address only."""
    cluster = sight(1, 2, addresses={name: addresses})
    cluster.seen[name] = dict(LACKING, failure="it cannot be reached: no route", unreachable=True)
    assert cluster.hidden() == {}
    fails = [line for line in judge(cluster, OPTIONS, ALL).refusal.splitlines() if line.startswith("fail")]
    assert fails == [f"fail  {name}: it cannot be reached: no route"]
    fails = judge(cluster, OPTIONS, api("sf-1", "sf-2")).refusal
    assert f"fail  the API does not know {name}, which the inventory has" in fails


def test_those_that_limit_leaves_out():
    cluster = sight(1, 3, addresses={"sf-2": ["10.0.0.2"]})
    assert list(cluster.unseen(ALL)) == ["sf-2"]
    found = judge(cluster, OPTIONS, ALL, unseen_ready=["sf-2"])
    assert found.refusal == "" and found.plan["serving"] == ["sf-1", "sf-3", "sf-2"]


def test_a_plan_that_cannot_be_meant():
    found = judge(sight(), Options(database=["sf-1"], cut_short=True), ALL)
    assert found.refusal.startswith("Nothing was touched. drain_cut_short is true")


@pytest.mark.parametrize("release, limit", [("0.8.0", False), ("0.8.0", True), ("0.8.1", False)])
def test_a_refusal_with_a_tier_that_is_half_way(release, limit):
    cluster = sight(1, 3) if limit else sight()
    cluster.seen["sf-1"]["node"]["release"] = dict(version="0.8.1")
    cluster.seen["sf-3"].update(ready=False, answers="503")
    nodes = api("sf-1", "sf-2", "sf-3")
    if limit:
        cluster.addresses["sf-2"] = ["10.0.0.2"]
    else:
        cluster.seen["sf-2"] = dict(LACKING, failure="it cannot be reached: no route", unreachable=True)
        nodes["nodes"][1]["release"] = release
    lines = judge(cluster, Options(database=["sf-1", "sf-2"]), nodes).refusal.splitlines()
    words = "warn  the database tier is on more than one release (0.8.0 on sf-2; 0.8.1 on sf-1). If the schema was migr"
    assert [line.startswith(words) for line in lines].count(True) == (release == "0.8.0")


def test_a_plan_while_somebody_rolls():
    found = judge(sight(), Options(database=["sf-1"], lock="bob@desk upgrades"), ALL)
    assert found.refusal == ""
    assert found.report[0].startswith("warn  the cluster is locked: bob@desk upgrades. What that run does")
    cluster = sight(problems=["no such"])
    cluster.seen["sf-2"].update(ready=False, answers="503")
    lines = judge(cluster, Options(database=["sf-1"], lock="bob@desk upgrades"), ALL).refusal.splitlines()
    assert [line[:26] for line in lines[1:5]] == [
        "warn  the cluster is locke", "fail  the release: no such", "Correct rolling_release or", "fail  sf-2: http://10.0.0."]


def test_nodes_that_pass_for_one():
    cluster = sight()
    for number in (2, 3):
        cluster.seen[f"sf-{number}"]["node"]["address"] = "10.0.0.2"
    assert "fail  sf-2 and sf-3 have the same address, 10.0.0.2" in judge(cluster, OPTIONS, ALL).refusal


def test_clocks():
    cluster = sight()
    for number, offset in enumerate((0.1, 9.5, None), start=1):
        cluster.seen[f"sf-{number}"]["host"] = dict(clock_offset=offset, clock_within=0.5, free=1, needed=0,
                                                    same_file_system=True, unsafe=[])
    assert cluster.offsets() == {"sf-1": (-0.4, 0.1), "sf-2": (9.0, 9.5)}
    assert "the clocks are 9 s apart" in judge(cluster, OPTIONS, ALL).refusal
