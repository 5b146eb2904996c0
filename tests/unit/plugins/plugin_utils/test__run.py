# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import socket

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    Node,
    Run,
    addresses_of,
    changed,
    foreign,
    has_work,
    inventory_of,
    lock_node,
    node_of,
    plain,
    playbook_command,
    reboots_of,
    run_of,
    shape_of,
    way_of,
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
    # A product on two kinds of nodes.
    assert inventory_of("plan", dict(a=["x", "y"], b=["y", "z"]), "b:a:none", ["a"])[0] == ["y", "z", "x"]
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
    assert "no node in the group allsf (" in words and ", and none in the database tier, a group database, " in words
    assert words.endswith("Its groups are hypervisors, network: name yours (-e rolling_group=all if every host is a "
                          "node), or check -i.")
    assert inventory_of("status", dict(allsf=["a"])) == (["a"], [])


@pytest.mark.parametrize("kind, more, words", [
    ("status", {}, "The inventory has a group cinder: if that is to be done for it, -e rolling_product=cinder."),
    ("pause", {}, "-e rolling_product=cinder."), ("upgrade", {}, "for it, shakenfist.rolling.cinder."),
    ("plan", dict(ganeti=["g"], synnefo=[]), "a group cinder and ganeti: if that is to be done for it, "
                                             "-e rolling_product=cinder or -e rolling_product=ganeti."),
])
def test_an_inventory_of_another_product(kind, more, words):
    with pytest.raises(AnsibleError) as refused:
        inventory_of(kind, dict(all=["c-1"], cinder=["c-1"], **more))
    assert str(refused.value).endswith(words)
    # Whoever names a group means it.
    with pytest.raises(AnsibleError) as refused:
        inventory_of(kind, dict(all=["c-1"], cinder=["c-1"], **more), rolling_group="nope")
    assert "if that is" not in str(refused.value)


INSTALLER = dict(all=["a", "b", "c"], ungrouped=[], hypervisors=["b", "c"], network=["a"], etcd=["a"])


@pytest.mark.parametrize("more, group, offered", [
    ({}, "allsf", "-e rolling_group=all "), ({}, "hypervisors", "-e rolling_group=all)"),
    (dict(cluster=["c", "b", "a"]), "allsf", "-e rolling_group=cluster "),
])
def test_a_group_that_has_every_node_is_offered(more, group, offered):
    groups = dict(INSTALLER, **more)
    with pytest.raises(AnsibleError) as refused:
        inventory_of("upgrade", groups, rolling_group=group)
    assert offered in str(refused.value)
    assert inventory_of("upgrade", groups, rolling_group=offered[17:-1]) == (groups[offered[17:-1]], ["a"])


def test_a_group_without_the_tier():
    with pytest.raises(AnsibleError, match="a is in the database tier, and not in the group hypervisors, which must "
                                           "have every node of the cluster .-e rolling_group=all.: "):
        inventory_of("upgrade", INSTALLER, rolling_group="hypervisors")


@pytest.mark.parametrize("database, words", [
    (["a", "a-mysql"], "^Nothing was touched. a-mysql is in the database tier, and not in the group allsf: "),
    (["y", "a", "x"], "^Nothing was touched. y and x are in the database tier"),
])
def test_a_host_of_the_tier_that_is_no_node(database, words):
    groups = dict(allsf=["a", "b"], database=database)
    with pytest.raises(AnsibleError, match=words):
        inventory_of("upgrade", groups)
    assert inventory_of("pause", groups)[0] == ["a", "b"]


@pytest.mark.parametrize("tier, addresses, lock", [
    # By address, however the nodes are called and ordered.
    (["b", "a"], dict(a=["a", "10.0.0.12"], b=["b", "10.0.0.3"]), "b"),
    (["10.0.0.12", "10.0.0.3"], {"10.0.0.12": ["10.0.0.12"], "10.0.0.3": ["10.0.0.3"]}, "10.0.0.3"),
    (["y", "x"], dict(x=["fd00::2"], y=["FD00::1"]), "y"),
    (["y", "x"], dict(x=["10.0.0.3", "fd00::2"], y=["10.0.0.9"]), "x"),
    (["y", "x"], dict(x=["10.0.0.3"], y=["10.0.0.3"]), "x"),
    # By name, where a node has no address here, or only one that is good on this machine.
    (["b", "a"], dict(a=["a"], b=["b", "10.0.0.3"]), "a"), (["b", "a"], {}, "a"),
    (["b", "a"], dict(a=["a", "10.0.0.12"], b=["b", "127.0.1.1"]), "a"),
    (["stranger"], {}, ""), ([], {}, ""),
])
def test_the_node_that_has_the_lock(tier, addresses, lock):
    nodes = [name for name in tier if name != "stranger"]
    assert lock_node(nodes, tier, addresses) == lock == lock_node(nodes, tier[::-1], addresses)


def test_addresses_of_a_host(monkeypatch):
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *dummy: [(0, 0, 0, "", ("10.0.0.3", 0))] * 2)
    assert addresses_of("sf-1") == ["sf-1", "10.0.0.3"]


@pytest.mark.parametrize("problem", [OSError("no such name"), UnicodeError("label too long")])
def test_a_host_that_nobody_knows(monkeypatch, problem):
    def refuse(*dummy):
        raise problem
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert addresses_of("sf-1") == ["sf-1"]


def test_the_command():
    sources = {"ansible_inventory_sources": ["a b", "c"]}
    assert playbook_command(sources, "x.y.z") == "ansible-playbook -i 'a b' -i c x.y.z"
    assert playbook_command({}, "x.y.z") == "ansible-playbook x.y.z"


@pytest.mark.parametrize("variables, shape", [
    ({}, "main"), (dict(cluster_hosts=dict(a=1)), "main"), (dict(rolling_product="cinder"), "services"),
    (dict(rolling_product="x", cluster_hosts={}), "services"),
    (dict(rolling_product="ganeti", cluster_hosts=dict(leads=["M"])), "hosts")])
def test_how_a_product_is_looked_at(variables, shape):
    assert shape_of(variables) == shape


@pytest.mark.parametrize("variables, way", [
    ({}, "nodes"), (dict(cluster_tier=True), "nodes"), (dict(rolling_product="x"), "services"),
    (dict(rolling_product="x", cluster_tier=True), "tier"),
    (dict(rolling_product="x", cluster_hosts={"a": 1}), "hosts"),
])
def test_how_a_product_is_rolled(variables, way):
    assert way_of(variables) == way


SAYS = dict(product="Dragonflow", playbook="x.dragonflow")


@pytest.mark.parametrize("kind, way, asked, given, made_for, words", [
    *((kind, "tier", "dragonflow", "dragonflow", "", f"the playbook {kind} is made for Shaken Fist alone")
      for kind in ("upgrade", "rollback", "restart", "reconfigure")),
    # The playbook cinder with -e rolling_product=dragonflow, and with a product that is rolled as Cinder is.
    ("services", "tier", "dragonflow", "dragonflow", "cinder", "this playbook is made for cinder"),
    ("services", "services", "k.yml", "k.yml", "cinder", "this playbook is made for cinder"),
    # The first part of the playbook synnefo.
    ("hosts", "hosts", "ganeti", "ganeti", "synnefo", "this playbook is made for synnefo"),
    ("hosts", "tier", "synnefo", "synnefo", "synnefo", "this playbook is made for what is rolled host by host"),
    # A playbook of your own.
    ("services", "hosts", "k.yml", "", "", "this playbook is made for what is rolled service by service"),
    ("tier", "services", "k.yml", "k.yml", "", "this playbook is made for what is rolled as a whole"),
])
def test_a_playbook_for_another_product(kind, way, asked, given, made_for, words):
    found = foreign(kind, way, asked, given, made_for, **SAYS)
    back = " What leads back from an upgrade of Dragonflow, its own page says." * (kind == "rollback")
    assert found == (
        f"Nothing was touched. rolling_product is {asked}, and {words}. Dragonflow has, for an upgrade, x.dragonflow, "
        f"and with -e rolling_product={asked} plan, status, pause, resume and stop.{back}")


def test_a_product_that_does_not_say_by_which_playbook_it_is_upgraded():
    assert "X has, for an upgrade, a playbook of its own, and" in foreign("restart", "services", "x.yml", product="X")


@pytest.mark.parametrize("kind, way, asked, given, made_for", [
    ("upgrade", "nodes", None, None, ""), ("rollback", "nodes", "", "", ""),
    *((kind, "tier", "dragonflow", "dragonflow", "") for kind in ("plan", "status", "pause", "resume", "stop")),
    ("tier", "tier", "dragonflow", None, "dragonflow"), ("tier", "tier", "dragonflow", "dragonflow", "dragonflow"),
    ("hosts", "hosts", "ganeti", None, "synnefo"), ("services", "services", "k.yml", "k.yml", ""),
    # In the inventory; what the playbook says is stronger.
    ("services", "services", "cinder", "dragonflow", "cinder"),
])
def test_a_playbook_for_this_product(kind, way, asked, given, made_for):
    assert foreign(kind, way, asked, given, made_for, **SAYS) == ""


@pytest.mark.parametrize("plan, reboots, work", [
    ({}, [], False), (dict(order=["n1"], tier=dict(mode="whole")), [], True),
    (dict(order=[], tier=dict(reboots=["n1"])), ["n1"], True), (dict(order=[], orphans=[["a", "b"]]), [], True),
    (dict(order=["n1", "n2"], hosts=dict(n1=dict(reboots=True), n2=dict(reboots=False))), ["n1"], True)])
def test_what_a_plan_has_to_do(plan, reboots, work):
    assert reboots_of(plan) == reboots and has_work(plan) is work
