# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node_notes import note_nodes

EVENTS = "/srv/shakenfist/events"


def one(spelt=(), directories=(), version="0.8.0", source="config", failure="", **node):
    """What was seen of a node that has these settings and directories."""
    return dict(failure=failure, host=dict(directories=list(directories)), node=dict(dict(
        config="/etc/sf/config", api_unit="sf-api", distribution="shakenfist", release=dict(version=version),
        drain_grace_source=source, spelt={name.replace("SHAKENFIST_", ""): [name] for name in spelt}), **node))


def words(nodes, *arguments, **options):
    found = note_nodes(nodes, *arguments, **options)
    assert {finding.level for finding in found} <= {"warn"}
    return [finding.words for finding in found]


def test_nothing_to_say():
    assert note_nodes({"a": one(), "b": one()}, "0.8.1", {"all": ["a", "b"]}) == []
    assert note_nodes({}, "0.8.1") == []


def test_settings_that_are_no_longer_read():
    """What is the same on several nodes is said once, as it is spelt there."""
    nodes = {"a": one(["SHAKENFIST_ETCD_HOST", "LOG_ETCD_CONNECTIONS"]),
             "b": one(["SHAKENFIST_ETCD_HOST", "LOG_ETCD_CONNECTIONS"]),
             "c": one(["EVENTLOG_NODE_IP", "DATABASE_NODE_IP", "MARIADB_HOST"]),
             "d": one(["SHAKENFIST_ETCD_HOST"]), "e": one()}
    assert words(nodes, "0.8.1") == [
        "0.8 no longer reads these settings, remove their lines from /etc/sf/config, no restart is needed: "
        "SHAKENFIST_ETCD_HOST on a, b, d; LOG_ETCD_CONNECTIONS on a, b; EVENTLOG_NODE_IP on c"]


def test_both_spellings():
    node = one()
    node["node"]["spelt"] = {"ETCD_HOST": ["SHAKENFIST_ETCD_HOST", "ETCD_HOST"]}
    assert words({"a": node}, "0.8.1")[0].endswith(": SHAKENFIST_ETCD_HOST, ETCD_HOST on a")


def test_another_file():
    nodes = {"a": one(["ETCD_HOST"]), "b": one(["ETCD_HOST"], config="/etc/other")}
    assert [line.partition("lines from ")[2].partition(",")[0] for line in words(nodes, "0.8.1")] == [
        "/etc/sf/config", "/etc/other"]


KNOWS_NONE = "0.8 knows no nodes of the kind eventlog_node: remove the group eventlog_node from the inventory"


@pytest.mark.parametrize("groups, expected", [
    ({"eventlog_node": ["a"], "all": ["a"]}, [KNOWS_NONE + " (a in it)"]), ({"eventlog_node": []}, [KNOWS_NONE]),
    ({"all": ["a"]}, []), (None, []),
])
def test_a_group_that_is_no_longer_used(groups, expected):
    assert words({"a": one()}, "0.8.1", groups) == expected


@pytest.mark.parametrize("versions, unseen, said", [
    (["0.8.0", "0.8.1.dev3+gabc"], {}, True),
    (["0.8.0", "0.7.2"], {}, False),
    (["0.8.0", ""], {}, False),
    (["0.8.0", "0.8.0"], {"c": dict(version="0.8.0")}, True),
    (["0.8.0", "0.8.0"], {"c": dict(version="0.7.2")}, False),
    (["0.8.0", "0.8.0"], {"c": dict(version=None)}, False),
    (["0.8.0", "what"], {}, False),
])
def test_a_directory_may_go_once_every_node_runs_the_release(versions, unseen, said):
    nodes = {name: one(directories=[EVENTS, "/srv/own"], version=version) for name, version in zip("ab", versions)}
    found = words(nodes, "0.8.1", unseen=unseen)
    assert found == (["every node runs 0.8 or later, which no longer uses these directories, they may be removed "
                      "(rm -r): "
                      "/srv/shakenfist/events on a, b"] if said else [])


def test_a_directory_that_is_not_there():
    assert words({"a": one(), "b": dict(one(), host={})}, "0.8.1") == []


@pytest.mark.parametrize("failed", [dict(one(["ETCD_HOST"]), failure="unreachable"),
                                    dict(failure="x", node={}, host={})])
def test_a_node_that_could_not_be_examined(failed):
    """Nothing is known of it, so nor is whether every node runs the release."""
    nodes = {"a": one(["ETCD_HOST"], [EVENTS]), "b": failed}
    nodes["b"]["node"].pop("release", None)
    assert [line[-17:] for line in words(nodes, "0.8.1")] == ["d: ETCD_HOST on a"]


@pytest.mark.parametrize("target, versions, count", [
    ("", ["0.8.0", "what"], 1), ("", ["0.7.2", "0.7.2"], 0), ("", ["", ""], 0), ("0.7.2", ["0.7.2", "0.7.2"], 0)])
def test_without_a_release_that_knows_of_it(target, versions, count):
    nodes = {name: one(["ETCD_HOST"], version=version) for name, version in zip("ab", versions)}
    assert len(words(nodes, target)) == count


def test_another_product():
    assert words({"a": one(["ETCD_HOST"], distribution="other")}, "0.8.1", {"eventlog_node": []}) == []


def test_a_drain_grace_that_is_assumed():
    nodes = {"a": one(source="assumed"), "b": one(source="journal"), "c": one(source="assumed")}
    assert words(nodes, "0.8.1") == [
        "the drain grace is assumed to be 25 s on a, c: /etc/sf/config does not say it (API_DRAIN_GRACE), and the "
        "journal has no stop of sf-api that shows it. If yours is another, add -e cluster_drain_grace=SECONDS"]
    assert note_nodes(nodes)[0].check == "drain grace"
