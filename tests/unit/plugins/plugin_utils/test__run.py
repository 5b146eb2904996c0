# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    Node,
    Run,
    changed,
    inventory_of,
    node_of,
    plain,
    playbook_command,
    run_of,
)


def hostvars(run, **nodes):
    return dict({name.replace("_", "-"): {"ansible_facts": {"rolling_node": node}} for name, node in nodes.items()},
                localhost={"ansible_facts": {"rolling_run": dataclasses.asdict(run)}})


def test_a_run_has_a_name_of_its_own():
    assert Run().id != Run().id and Run().began > 0


def test_the_record_is_read_back():
    run = Run(kind="restart", plan={"order": ["sf-1"]})
    assert run_of(hostvars(run)) == run
    noted = changed(Node(run=run.id), rolled=True)
    assert node_of(hostvars(run, sf_1=noted), "sf-1") == Node(run=run.id, rolled=True)


def test_what_another_run_has_noted_is_not_read():
    first, second = Run(), Run()
    noted = changed(Node(run=first.id), rolled=True)
    assert node_of(hostvars(second, sf_1=noted), "sf-1") == Node(run=second.id)


@pytest.mark.parametrize("facts", [
    {}, {"localhost": {}}, {"localhost": {"ansible_facts": {"rolling_run": "no dict"}}}])
def test_no_run_has_begun(facts):
    assert run_of(facts) == Run(id="", began=0.0) and node_of(facts, "sf-1") == Node()


def test_fields_of_another_version_are_left_out():
    assert run_of({"localhost": {"ansible_facts": {"rolling_run": {"id": "x", "novel": 1}}}}).id == "x"


def test_a_field_that_there_is_not():
    with pytest.raises(KeyError, match="the record of a node has no roled"):
        changed(Node(), roled=True)


def test_plain():
    class Lazy(dict):
        pass

    class Marked(str):
        pass

    found = plain(Lazy(a=(1, Lazy(b=2)), c=Marked("x"), d=[True, None, 1.5]))
    assert found == {"a": [1, {"b": 2}], "c": "x", "d": [True, None, 1.5]}
    assert not isinstance(found["c"], Marked) and found["d"][0] is True


def test_a_fact_is_of_plain_types():
    """A fact cache cannot keep the others."""

    class Marked(dict):
        pass

    noted = changed(Node(), seen=Marked(ready=Marked(yes=True)))
    assert noted["seen"] == {"ready": {"yes": True}}
    assert not [value for value in (noted["seen"], noted["seen"]["ready"]) if isinstance(value, Marked)]


GROUPS = {"all": ["sf-1", "sf-2", "x"], "allsf": ["sf-1", "sf-2"], "database_node": ["sf-1"],
          "etcd_master": ["sf-1", "sf-2"], "mine": ["sf-2"]}


def test_the_inventory():
    assert inventory_of("upgrade", GROUPS) == (["sf-1", "sf-2"], ["sf-1", "sf-2"])
    assert inventory_of("pause", GROUPS, rolling_group="all", rolling_database_groups=["mine"]) == (
        ["sf-1", "sf-2", "x"], ["sf-2"])
    # As -e gives it. A part of a group's name is no group.
    assert inventory_of("upgrade", GROUPS, rolling_database_groups="mine,nope")[1] == ["sf-2"]
    with pytest.raises(AnsibleError, match="none in the database tier|no node in the database tier"):
        inventory_of("upgrade", GROUPS, rolling_database_groups="mines")
    assert inventory_of("upgrade", dict(allsf=["a"], etcd=["a"])) == (["a"], ["a"])


@pytest.mark.parametrize("kind, words", [
    ("upgrade", "^Nothing was touched. The inventory has no node in the group nope .-e rolling_group=NAME"),
    ("status", "^The inventory has no node in the group nope"),
    ("stop", "^Nothing was set. No node of the group nope is in the database tier"),
])
def test_an_inventory_without_nodes(kind, words):
    with pytest.raises(AnsibleError, match=words):
        inventory_of(kind, GROUPS, rolling_group="nope")


def test_groups_of_other_names_are_refused_at_once():
    groups = dict(all=["a"], ungrouped=[], hypervisors=["a"], network=["b"], rolling_nodes=["a"])
    with pytest.raises(AnsibleError) as refused:
        inventory_of("upgrade", groups)
    words = str(refused.value)
    assert "no node in the group allsf (" in words and ", and none in the database tier, a group database or " in words
    assert words.endswith("Its groups are hypervisors, network: name yours, or check -i.")
    assert inventory_of("status", dict(allsf=["a"])) == (["a"], [])


@pytest.mark.parametrize("database, words", [
    (["a", "a-mysql"], "^Nothing was touched. a-mysql is in the database tier, and not in the group allsf: "),
    (["y", "a", "x"], "^Nothing was touched. y and x are in the database tier"),
])
def test_a_host_of_the_tier_that_is_no_node(database, words):
    groups = dict(allsf=["a", "b"], database=database)
    with pytest.raises(AnsibleError, match=words):
        inventory_of("upgrade", groups)
    assert inventory_of("pause", groups)[0] == ["a", "b"]


def test_the_command():
    sources = {"ansible_inventory_sources": ["a b", "c"]}
    assert playbook_command(sources, "x.y.z") == "ansible-playbook -i 'a b' -i c x.y.z"
    assert playbook_command({}, "x.y.z") == "ansible-playbook x.y.z"
