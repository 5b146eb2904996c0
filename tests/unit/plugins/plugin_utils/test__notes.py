# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import (
    keys,
    load,
    migrations,
    notes_of,
    possible,
    rebuilt_release,
    rebuilt_shape,
    series,
    since,
    wrong,
)

REBUILT = {"before": "0.8", "releases": ["x"], "why": "w", "shapes": [{"with": "A", "without": "B", "why": "w"}]}


def test_the_notes_of_this_collection():
    """Loading them refuses what has another shape."""
    notes = load()
    assert wrong(notes) == []
    found = notes["shakenfist"]
    assert set(found["releases"]["0.8"]["settings"]) == {
        "EVENTLOG_NODE_IP", "EVENTLOG_API_PORT", "EVENTLOG_METRICS_PORT", "EVENTLOG_SUPPRESS_GRPC",
        "NODE_IS_EVENTLOG_NODE",
        "ETCD_HOST", "DATABASE_USE_DIRECT_ETCD", "LOG_ETCD_CONNECTIONS", "NODE_IS_ETCD_MASTER"}
    assert found["releases"]["0.8"]["groups"] == ["eventlog_node"]
    assert "Recreating not okay network on hypervisor" in found["tables"]["cluster_operation_targets"][0]["words"]


@pytest.mark.parametrize("notes, problem", [
    (None, "expected products"),
    ({}, "expected products"),
    ({"p": []}, "p: expected mappings, any of rebuilt, releases, tables"),
    ({"p": {"tabels": {"t": []}}}, "p: expected mappings"),
    ({"p": {"tables": {}}}, "p: expected mappings"),
    ({"p": {"rebuilt": {"before": "0.8"}}}, "p: rebuilt: expected before"),
    ({"p": {"rebuilt": dict(REBUILT, before="soon")}}, "p: rebuilt: expected before"),
    ({"p": {"rebuilt": dict(REBUILT, releases=[8])}}, "p: rebuilt: expected a list of patterns"),
    ({"p": {"rebuilt": dict(REBUILT, shapes=[{"with": "A"}])}}, "p: rebuilt: expected with, without and why"),
    ({"p": {"releases": {0.8: {"settings": ["A"]}}}}, "p: releases: 0.8 is no release in quotes"),
    ({"p": {"releases": {"new": {"settings": ["A"]}}}}, "p: releases: 'new' is no release"),
    ({"p": {"releases": {"0.8": {"setting": ["A"]}}}}, "p: releases: 0.8: expected lists of texts"),
    ({"p": {"releases": {"0.8": {"settings": "A"}}}}, "p: releases: 0.8: expected lists of texts"),
    ({"p": {"releases": {"0.8": []}}}, "p: releases: 0.8: expected lists of texts"),
    ({"p": {"tables": {"t": {}}}}, "p: tables: t: expected a list"),
    ({"p": {"tables": {"t": []}}}, "p: tables: t: expected a list"),
    ({"p": {"tables": {"t": [{"from": 1, "to": "2", "words": "w"}]}}}, "p: tables: t: expected a list"),
    ({"p": {"tables": {"t": [{"from": 2, "to": 2, "words": "w"}]}}}, "p: tables: t: expected a list"),
])
def test_notes_of_another_shape(notes, problem):
    assert len(wrong(notes)) == 1 and wrong(notes)[0].startswith(problem)


def test_each_part_may_be_missing():
    assert wrong({"p": {"rebuilt": REBUILT}, "q": {"tables": {"t": [{"from": 1, "to": 3, "words": "w"}]}}}) == []
    assert notes_of("nothing")["tables"] == {} and notes_of(None)["releases"] == {}
    assert keys("nothing") == {"settings": [], "directories": []}


@pytest.mark.parametrize("text, words", [(None, "cannot read the notes"), ("a: [", "cannot read the notes"),
                                         ("a: 1", "has not the shape of notes: a: expected")])
def test_notes_that_cannot_be_loaded(tmp_path, text, words):
    path = tmp_path / "notes.yml"
    if text:
        path.write_text(text)
    with pytest.raises(AnsibleError, match=words):
        load(str(path))


def test_what_a_node_is_asked_for():
    found = keys("shakenfist")
    assert {"ETCD_HOST", "DATABASE_NODE_IP", "MARIADB_GATEWAY_HOSTS"} <= set(found["settings"])
    assert found["directories"] == ["/srv/shakenfist/events"]


@pytest.mark.parametrize("version, expected", [
    ("0.8.1", (0, 8)), ("0.8.0.dev3+gabc1234", (0, 8)), ("0.8.0a1", (0, 8)), ("1.0", (1, 0)), ("what", None),
    (None, None)])
def test_series(version, expected):
    assert series(version) == expected


@pytest.mark.parametrize("product, version, rebuilt", [
    ("shakenfist", "0.7.2", True), ("shakenfist", "0.8.0.0rc4", True), ("shakenfist", "0.8.0", False),
    ("shakenfist", "0.8.0.dev123+gabc", False), ("shakenfist", "0.8.0rc1", False), ("shakenfist", "0.10.0", False),
    ("shakenfist", "what", False), ("shakenfist", "", False), ("shakenfist", None, False), ("other", "0.1", False),
])
def test_releases_that_are_rebuilt(product, version, rebuilt):
    assert ("etcd" in rebuilt_release(product, version)) == rebuilt


@pytest.mark.parametrize("present, rebuilt", [
    (dict(DATABASE_NODE_IP=True, MARIADB_GATEWAY_HOSTS=False), True),
    (dict(DATABASE_NODE_IP=True, MARIADB_GATEWAY_HOSTS=True), False),
    (dict(DATABASE_NODE_IP=False, MARIADB_GATEWAY_HOSTS=False), False), ({}, False),
])
def test_shapes_that_are_rebuilt(present, rebuilt):
    assert bool(rebuilt_shape("shakenfist", present)) == rebuilt


@pytest.mark.parametrize("version, releases", [("0.8.0.dev1", ["0.8"]), ("0.9", ["0.8"]), ("0.7.9", []), ("", []),
                                               ("what", [])])
def test_since(version, releases):
    assert [release for release, dummy in since("shakenfist", version)] == releases


def step(before, after, table="cluster_operation_targets"):
    return dict(table=table, before=before, after=after)


@pytest.mark.parametrize("steps, count", [
    ([step(1, 2)], 1), ([step(1, 3)], 1), ([step(1, 1)], 0), ([step(2, 3)], 0), ([step(None, 2)], 0),
    ([step(1, 2, "notes")], 0), ([], 0),
])
def test_migrations(steps, count):
    found = migrations("shakenfist", steps)
    assert len(found) == count
    assert all(words.startswith("cluster_operation_targets version 1 to 2: operations") for words in found)


@pytest.mark.parametrize("tables, count", [
    ({"cluster_operation_targets": 1}, 1), ({"cluster_operation_targets": 2}, 0), ({"notes": 1}, 0), ({}, 0)])
def test_migrations_that_may_come(tables, count):
    found = possible("shakenfist", tables)
    assert len(found) == count
    assert all(words.startswith("if it migrates cluster_operation_targets to version 2: ") for words in found)
