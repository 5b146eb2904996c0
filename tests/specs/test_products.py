# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a product's file says decides by which entry points of the roles it is checked, planned and shown.

from __future__ import annotations

import pathlib
import re
import sys

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible/collections"))

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import step_of  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import inventory_of, shape_of  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import (  # noqa: E402
    ALL_HOOKS,
    HOOKS,
    products_of,
)

PLAYBOOKS = ROOT / "playbooks"
POINTS = {"cinder": "services", "dragonflow": "services", "synnefo": "services", "ganeti": "hosts"}


def entry_points(path):
    """The entry points of a playbook that depend on the product, as they are written."""
    return [task[include]["tasks_from"] for play in yaml.safe_load(path.read_text()) for task in play.get("tasks", [])
            for include in task if include.endswith("include_role") and "{{" in task[include]["tasks_from"]]


def test_every_product_is_here():
    assert sorted(path.stem for path in (PLAYBOOKS / "vars").glob("*.yml")) == sorted(POINTS)


@pytest.mark.parametrize("product", POINTS)
def test_the_entry_point_follows_from_the_products_file(product):
    assert shape_of(dict(variables_of(product), rolling_product=product)) == POINTS[product]


@pytest.mark.parametrize("name", ["status.yml", "plan.yml", "shared/services_check.yml"])
def test_the_entry_point_is_in_the_record_of_the_run(name):
    assert entry_points(PLAYBOOKS / name) == ["{{ hostvars.localhost.ansible_facts.rolling_run.shape }}"]


@pytest.mark.parametrize("way, tasks", [
    ("nodes", "main"), ("services", "service"), ("hosts", "host"), ("tier", "tier*")])
def test_the_hooks_of_a_roll_are_those_that_its_tasks_include(way, tasks):
    points = {point for path in (ROOT / "roles/roll/tasks").glob(f"{tasks}.yml")
              for point in re.findall(r"hook_point: (\w+)", path.read_text())}
    assert HOOKS[way] == ("hook_before_roll", *(name for name in ALL_HOOKS if name[5:] in points), "hook_after_roll")


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_playbook_says_for_which_product_it_is(path):
    """Wherever it says which one is rolled; the one that has several parts says it for all of them."""
    said = [play.get("vars", {}) for play in yaml.safe_load(path.read_text())]
    told = next((one for one in said if "rolling_product" in one), {})
    assert told.get("rolling_made_for") == told.get("rolling_product")


def test_what_is_set_for_a_part_is_checked_before_the_first():
    first = yaml.safe_load((PLAYBOOKS / "synnefo.yml").read_text())[0]
    assert first["vars"]["rolling_made_for"] == "synnefo"
    assert [f"{name}_" for name in variables_of("synnefo")["rolling_parts"]] == [
        product.prefix for product in products_of("ganeti", "synnefo")]


def variables_of(product):
    return yaml.safe_load((PLAYBOOKS / f"vars/{product}.yml").read_text())


def lock_of(product, groups):
    """Which nodes may have the lock of a product, and its file."""
    names = ("rolling_group", "rolling_database_groups", "lock_path", "__synnefo_ganeti")
    values = {name: [trust_as_template(one) for one in value] if isinstance(value, list) else trust_as_template(value)
              for name, value in variables_of(product).items() if name in names}
    templar = Templar(loader=DataLoader(), variables=dict(values, groups=groups))
    group, tier, path = (templar.template(values[name]) for name in names[:3])
    return inventory_of("tier", groups, group, tier)[1], path


def test_service_nodes_have_one_lock_with_their_ganeti_nodes():
    groups = dict(synnefo=["s"], ganeti=["g-1", "g-2"])
    assert lock_of("synnefo", groups) == lock_of("ganeti", groups) == (
        ["g-1", "g-2"], "/var/lib/ganeti/rolling.lock")
    assert lock_of("synnefo", dict(synnefo=["s"])) == (["s"], "/var/lib/synnefo-rolling.lock")


@pytest.mark.parametrize("product", ["cinder", "dragonflow", "ganeti"])
def test_the_nodes_may_be_in_several_groups(product):
    """Any of them may have the lock."""
    asked = yaml.safe_load((PLAYBOOKS / f"vars/{product}.yml").read_text())["rolling_database_groups"]
    templar = Templar(loader=DataLoader(), variables={"rolling_group": "controllers:storage"})
    assert inventory_of("services", {"controllers": ["c-1"], "storage": ["c-2", "c-1"]}, "controllers:storage",
                        templar.template(trust_as_template(asked))) == (["c-1", "c-2"], ["c-1", "c-2"])


@pytest.mark.parametrize("given, minimum", [({}, "all"), ({"roll_min_ready": 0}, 0), ({"roll_min_ready": "2"}, "2")])
def test_all_other_services_have_to_serve_unless_set_otherwise(given, minimum):
    """The role's own default, of a batch of nodes that there is none of here, is 0: nobody would have to."""
    defaults = yaml.safe_load((ROOT / "roles/roll/defaults/main.yml").read_text())
    tasks = yaml.safe_load((ROOT / "roles/roll/tasks/service.yml").read_text())
    asked = tasks[0]["module_defaults"]["shakenfist.rolling.service"]["minimum"]
    known = {**trusted(defaults), **given, "omit": "all", "inventory_hostname": "c-1", "hostvars": {"c-1": given}}
    assert Templar(loader=DataLoader(), variables=known).template(trust_as_template(asked)) == minimum


def trusted(value):
    if isinstance(value, dict):
        return {key: trusted(one) for key, one in value.items()}
    return [trusted(one) for one in value] if isinstance(value, list) else (
        trust_as_template(value) if isinstance(value, str) else value)


@pytest.mark.parametrize("given, told", [
    ({}, []), ({"cinder_config": "/srv/x.conf"}, ["--config-file", "/srv/x.conf"]),
    ({"cinder_config": "/a,/b"}, ["--config-file", "/a", "--config-file", "/b"]),
    ({"cinder_config": ["/a", "/b"]}, ["--config-file", "/a", "--config-file", "/b"])])
def test_the_commands_of_cinder_read_the_configuration_that_is_named(given, told):
    """Of itself cinder-manage reads /etc/cinder, and would migrate the database that is named there."""
    values = yaml.safe_load((PLAYBOOKS / "vars/cinder.yml").read_text())
    templar = Templar(loader=DataLoader(), variables={**trusted(values), **given})
    keys = ("cluster_remove", "cluster_verify", "cluster_phases")
    found = templar.template(trusted({key: values[key] for key in keys}))
    commands = [found["cluster_remove"], found["cluster_verify"],
                *(one["command"] for point in found["cluster_phases"].values() for one in point)]
    assert len(commands) == 7 and all(one[1:1 + len(told)] == told for one in commands)
    assert commands[1][1 + len(told):] == ["db", "version"] and commands[4][-2:] == ["db", "sync"]


@pytest.mark.parametrize("given, hosts", [({}, None), ({"synnefo_allowed_hosts": "a,b"}, ["a", "b"]),
                                          ({"synnefo_allowed_hosts": ["a", "b"]}, ["a", "b"])])
def test_the_hosts_of_the_command_line_are_a_list(given, hosts):
    check, = [one for one in variables_of("synnefo")["synnefo_checks"] if one.get("name") == "ALLOWED_HOSTS"]
    assert Templar(loader=DataLoader(), variables=given).template(trusted(check["value"])) == hosts


def packages_of(variables, name, **given):
    known = {**trusted(variables), **given, "inventory_hostname": "snf-1", "groups": {"ganeti": ["gnt-1"]}}
    return step_of(Templar(loader=DataLoader(), variables=known).template(trusted(variables[name])))


@pytest.mark.parametrize("release, given", [
    ("0.19", {}), ("0.19", {"rolling_release": "0.19"}), ("0.19", {"rolling_release": 0.19}),
    ("0.20", {"rolling_release": "0.20"})])
def test_the_steps_of_synnefo(release, given):
    """Both of its parts take the same one."""
    nodes = packages_of(yaml.safe_load((PLAYBOOKS / "vars/synnefo.yml").read_text()), "cluster_packages", **given)
    hosts = packages_of(yaml.safe_load((PLAYBOOKS / "synnefo.yml").read_text())[0]["vars"], "ganeti_packages", **given)
    for key in ("package", "to", "starts"):
        assert nodes[key] == hosts[key]
    assert nodes["to"] == release and nodes["upgrade"] and nodes["reboot"] is (release == "0.19")
    assert nodes["arguments"]["expect"]["snf-common"] == hosts["arguments"]["expect"]["snf-common"] == release


@pytest.mark.parametrize("given, gevent, greenlet", [
    ({}, "1.1.1*", "0.4.10*"), (dict(synnefo_greenlet="0.4.9*"), "1.1.1*", "0.4.9*"),
    (dict(synnefo_gevent="1.2*"), "1.2*", "0.4.10*")])
def test_what_is_pinned_is_what_is_expected(given, gevent, greenlet):
    """By default what the newest revision of the guide names; the one before named another greenlet."""
    found = packages_of(yaml.safe_load((PLAYBOOKS / "vars/synnefo.yml").read_text()), "cluster_packages", **given)
    pinned = {name: one["pin"] for one in found["arguments"]["pins"] for name in one["packages"]}
    assert pinned == {"python-gevent": f"version {gevent}", "python-greenlet": f"version {greenlet}"}
    assert {name: found["arguments"]["expect"][name] for name in pinned} == {
        "python-gevent": gevent, "python-greenlet": greenlet}


def test_the_ganeti_half_of_synnefo_says_whose_it_is():
    """And has the command that upgrades it: the playbook ganeti alone would only reboot its nodes."""
    half = yaml.safe_load((PLAYBOOKS / "synnefo.yml").read_text())[0]["vars"]
    values = trusted({name: variables_of("ganeti")[name] for name in ("rolling_title", "rolling_playbook")})
    for given, expected in (({}, ["Ganeti", "shakenfist.rolling.ganeti"]),
                            (half, ["Synnefo's Ganeti nodes", "shakenfist.rolling.synnefo"])):
        found = Templar(loader=DataLoader(), variables=dict(given)).template(values)
        assert list(found.values()) == expected


@pytest.mark.parametrize("typed", ["synnefo", "synnefo_services"])
def test_the_playbook_that_was_typed_is_the_one_that_comes_next(typed):
    """One imports the other, and its variables go before those of that."""
    given = {}
    for name in dict.fromkeys(("synnefo_services", typed)):
        given.update(yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())[-1]["vars"])
    value = trusted({"it": variables_of("synnefo")["rolling_playbook"]})
    for known, expected in ((given, typed), ({}, "synnefo")):
        assert Templar(loader=DataLoader(), variables=known).template(value)["it"] == f"shakenfist.rolling.{expected}"


@pytest.mark.parametrize("port, expected", [({}, 9696), ("9697", 9697), (0, None), ("0", None)])
def test_a_neutron_that_only_speaks_tls_is_not_asked(port, expected):
    values = variables_of("dragonflow")
    known = {**trusted(values), **({} if port == {} else {"dragonflow_neutron_port": port})}
    answers = Templar(loader=DataLoader(), variables=known).template(trusted(values["cluster_services"][-1]["answers"]))
    assert answers == (dict(port=expected, path="/", status=200) if expected else {})
