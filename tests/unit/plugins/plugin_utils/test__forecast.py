# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._forecast import forecast_of

TIERS = [["sf-database"], ["sf-privexec"], ["sf-api", "sf-net", "sf-queues"]]


def unit(start=0.0, stop=None, active=True):
    return dict(active=active, start_seconds=start, stop_seconds=stop)


def node(grace=5.0, tiers=None, **units):
    units = {name.replace("_", "-"): state for name, state in units.items()} or {
        "sf-database": unit(0.5, 0.3), "sf-privexec": unit(0.2, 0.1), "sf-api": unit(0.1, 5.7),
        "sf-net": unit(0.4, 0.2), "sf-queues": unit(0.3, 0.8)}
    return dict(node=dict(release={"version": "0.8.0"}, units=units, api_unit="sf-api", drain_grace=grace,
                          drain_grace_source="journal",
                          distribution="shakenfist"),
                tiers=TIERS if tiers is None else tiers)


def plan(**changes):
    return dict(dict(database=["b", "a"], batches=[["c", "d"]], order=["b", "a", "c", "d"], done=["e"], leader="a",
                     serving=["a", "c", "d"], alone=False, release="0.8.1", command="ansible-playbook upgrade",
                     report=["warn  c: hm: really", "warn  clocks", "pass  reached"]), **changes)


def forecast(nodes=None, **options):
    return forecast_of(plan(), nodes or {name: node() for name in "abcde"}, **options)


def test_the_roll():
    found = forecast()
    assert (found["release"], found["order"], found["batches"]) == (
        "0.8.1", ["b", "a", "c", "d"], [["b"], ["a"], ["c", "d"]])
    assert (found["passed_over"], found["hard_cut"], found["command"]) == (["e"], False, "ansible-playbook upgrade")
    assert found["warnings"] == ["c: hm: really", "clocks"]
    assert found["nodes"]["d"] == {
        "step": 3, "from": "0.8.0", "to": "0.8.1", "database": False, "serves": True, "leader": False,
        "restarts": TIERS, "drain_grace": "5 s, from its stops in the journal",
        "seconds": {"drain": 5.7, "restart": 2.2, "ready": 5.0, "checks": 3.0}}
    assert list(found["nodes"]) == ["b", "a", "c", "d"]
    told = {name: [entry["step"], entry["database"], entry["serves"], entry["leader"]]
            for name, entry in found["nodes"].items()}
    assert told == {"b": [1, True, False, False], "a": [2, True, True, True], "c": [3, False, True, False],
                    "d": [3, False, True, False]}
    json.dumps(found)


def test_a_drain_grace_that_a_template_has_made_a_string():
    assert forecast({name: node(grace="9.5") for name in "abcde"})["nodes"]["a"]["seconds"]["drain"] == 9.5


def test_how_long_it_takes():
    """Three steps of 15.9 s, two pauses, and the bake."""
    found = forecast(settle="20", bake=30)["expected"]
    assert (found["seconds"], found["minutes"]) == (118, 2.0)
    assert all(words in found["how"] for words in ("20 s (roll_settle)", "30 s (verify_bake)", "stop of sf-api"))
    assert "remembers no stop" not in found["how"] and "pip" not in found["how"]


def test_the_slowest_of_a_step_counts():
    nodes = {name: node() for name in "abc"} | {"d": node(grace=25.0)}
    assert "Then no pause (HAProxy says" in forecast(nodes, settle="0")["expected"]["how"]
    assert forecast(nodes, settle=0, bake=0)["expected"]["seconds"] == round(3 * 15.9 + 19.3)


@pytest.mark.parametrize("units, tiers, drain, restart", [
    (dict(sf_api=unit(0.1, 60.0)), [["sf-api"]], 60.0, 0.1),  # slow requests, the last time
    # It was not woken at the end of its grace, or a request was cut: the next stop takes its grace.
    (dict(sf_api=dict(unit(0.1, 55.1), arguments={"--graceful-timeout": "55"})), [["sf-api"]], 5.0, 0.1),
    (dict(sf_api=dict(unit(0.1, 54.9), arguments={"--graceful-timeout": "55"})), [["sf-api"]], 54.9, 0.1),
    (dict(sf_api=unit(0.1, 1.0)), [["sf-api"]], 5.0, 0.1),    # it had no grace then
    (dict(sf_api=unit(0.1, 60.0, active=False)), [["sf-api"]], 0.0, 0.1),
    (dict(sf_net=unit(None, None)), [["sf-net"], ["sf-new"]], 0.0, 0.0),
    (dict(sf_api=unit(), sf_a=unit(1.0, 2.0), sf_b=unit(2.0, 0.5)), [["sf-api", "sf-a", "sf-b"]], 5.0, 3.0),
    (dict(sf_api=unit(), sf_a=unit(1.0, 2.0), sf_b=unit(2.0, 0.5)), [["sf-api", "sf-a"], ["sf-b"]], 5.0, 5.5),
])
def test_the_seconds_of_a_node(units, tiers, drain, restart):
    found = forecast({name: node(tiers=tiers, **units) for name in "abcd"})["nodes"]["a"]["seconds"]
    assert (found["drain"], found["restart"]) == (drain, restart)


def test_what_systemd_does_not_remember_is_told():
    nodes = {name: node() for name in "abcd"}
    nodes["c"] = node(sf_api=unit(0.1, 5.0), sf_net=unit(0.1))
    assert " On c systemd remembers no stop of them" in forecast(nodes)["expected"]["how"]


def test_pip_in_the_window_is_told():
    assert "rolling_strategy is in_place" in forecast(strategy="in_place")["expected"]["how"]


ALONE = dict(database=["a"], batches=[], order=["a"], serving=["a"], alone=True)


@pytest.mark.parametrize("changes, cut_short, outage, drain", [
    (ALONE, False, dict(nodes=["a"], seconds=16, cut_short=False, least=11), 5.7),
    (ALONE, True, dict(nodes=["a"], seconds=11, cut_short=True, least=11), 1.0),
    # A node that is down already is no outage of the roll's.
    (dict(ALONE, database=["b", "a"], order=["b", "a"]), False,
     dict(nodes=["a"], seconds=16, cut_short=False, least=11), 5.7),
    (dict(ALONE, serving=[]), False, None, 5.7),
    # Somebody else serves.
    ({}, False, None, 5.7),
    ({}, True, None, 5.7),
])
def test_the_outage(changes, cut_short, outage, drain):
    found = forecast_of(plan(**changes), {name: node() for name in "abcd"}, cut_short=cut_short)
    assert found["outage"] == outage and found["nodes"]["a"]["seconds"]["drain"] == drain


def test_a_drain_that_ends_early():
    nodes = {name: dict(node(), quiet=name != "c") for name in "abcde"}
    found = forecast_of(plan(), nodes)
    drains = {name: one["seconds"]["drain"] for name, one in found["nodes"].items()}
    assert drains["a"] == 3.0 < drains["c"] and "has said that nothing is in flight" in found["expected"]["how"]
    assert "has said that nothing" not in forecast_of(plan(), {name: node() for name in "abcde"})["expected"]["how"]


def test_a_drain_that_others_keep_from_ending_early():
    nodes = {name: dict(node(), quiet=name != "c", lasting=["admin/n"] if name in "bc" else []) for name in "abcde"}
    found = forecast_of(plan(), nodes)
    drains = {name: one["seconds"]["drain"] for name, one in found["nodes"].items()}
    assert drains["a"] == 3.0 < drains["b"] == drains["c"]
    assert "On b the drain counts with its whole grace: admin/n in HAProxy may get requests" in found["expected"]["how"]


def test_a_stopped_api_is_not_cut_short():
    found = forecast_of(plan(**ALONE), {"a": node(sf_api=unit(active=False))}, cut_short=True)
    assert found["nodes"]["a"]["seconds"]["drain"] == 0.0


def test_nothing_to_roll():
    found = forecast_of(plan(database=[], batches=[], order=[]), {})
    assert found["expected"] == {"seconds": 0, "minutes": 0.0, "how": ""} and found["nodes"] == {}


@pytest.mark.parametrize("looks, known, pending, words", [
    ([dict(tables={"notes": 1}, wanted={}, expected={"notes": 2, "blobs": 1})], True,
     [{"table": "blobs", "from": None, "to": 1}, {"table": "notes", "from": 1, "to": 2}],
     "blobs new -> 1, notes version 1 -> 2, as the build says. ENUM columns may"),
    ([dict(tables={"notes": 2, "old": 1}, wanted={}, expected={"notes": 2})], True, [],
     "nothing to migrate, as the build says."),
    ([dict(tables={"notes": 1}, wanted={"notes": 2}, expected={})], True, [{"table": "notes", "from": 1, "to": 2}],
     "notes version 1 -> 2, as an earlier run has recorded."),
    # What one node of the tier does not know, another one may.
    ([dict(problem="no MariaDB"), dict(tables={}, wanted={}, expected={"notes": 2})], True,
     [{"table": "notes", "from": None, "to": 2}], "notes new -> 2"),
    ([dict(tables={}, wanted={}, expected={}, staged=False), dict(problem="no MariaDB")], False, [],
     "not known: no MariaDB"),
    ([dict(tables={}, wanted={}, expected={}, staged=True, problem="")], False, [],
     "not known: the build of 0.8.1 does not say which schema it wants"),
    ([dict(tables={}, wanted={}, expected={}, staged=False, problem="")], False, [],
     "not known before 0.8.1 is staged. To stage it now, and see, add -e plan_stage=true"),
    ([], False, [], "not known before 0.8.1 is staged."),
])
def test_the_schema(looks, known, pending, words):
    found = forecast(schema=looks)["schema"]
    assert (found["known"], found["pending"]) == (known, pending) and found["words"].startswith(words)


@pytest.mark.parametrize("look, notes", [
    (dict(tables={"cluster_operation_targets": 1}, expected={"cluster_operation_targets": 2}),
     ["cluster_operation_targets version 1 to 2: operations"]),
    (dict(tables={"cluster_operation_targets": 2}, expected={"cluster_operation_targets": 2}), []),
    (dict(tables={}, expected={"cluster_operation_targets": 2}), []),
    # Not known, but possible.
    (dict(tables={"cluster_operation_targets": 1}),
     ["if it migrates cluster_operation_targets to version 2: operations"]),
    (dict(tables={"cluster_operation_targets": 2}), []),
    (dict(problem="no MariaDB"), []),
])
def test_what_the_notes_say_of_migrations(look, notes):
    found = forecast(schema=[look])["schema"]["notes"]
    assert len(found) == len(notes) and all(words.startswith(note) for words, note in zip(found, notes))
