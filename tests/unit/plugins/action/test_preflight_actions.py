# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The actions of the preflight, from the first play to the plan, on nodes whose modules answer what a test wants.

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import forecast, judge, look, run, settings
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import run_of
from ansible_collections.shakenfist.rolling.tests.unit.fakes import with_several

PRODUCT = dict(
    config="/etc/sf/config", config_prefix="SHAKENFIST_", credentials="/etc/sf/shakenfist.json", venv="/v",
    releases="/r", distribution="shakenfist", deployer_mark="/m", commands=["sf-ctl"], units=["sf-*"], units_ignored=[],
    restart_order=[["sf-database"], ["*"]], sentinels=[], sentinels_alone=False, api_unit="sf-api", api_port=13000,
    ready_path="/readyz", database_unit="sf-database", gateway_port=13005, drain_grace=0, schema_versions="m:n",
    since=0, since_units=[])
SETTINGS = dict(given="", since=7, since_words="T")


class Undefined(dict):
    """Variables of which some cannot be worked out, nor got with a default, as those of Ansible."""

    unknown: tuple = ()

    def get(self, name, default=None):
        if name in self.unknown:
            raise AnsibleError("cluster_node is undefined")
        return super().get(name, default)


class Cluster:
    """The facts of localhost and of three nodes, and what their modules answer."""

    def __init__(self, monkeypatch):
        self.groups = {"allsf": ["sf-1", "sf-2", "sf-3"], "database": ["sf-1"]}
        self.hostvars = {"localhost": {}, **{name: Undefined(ansible_host=f"10.0.0.{name[3:]}") for name in
                                             self.groups["allsf"]}}
        self.play = list(self.groups["allsf"])
        self.broken, self.asked, self.check, self.set, self.warnings = {}, [], False, {}, []
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        for plugin in (forecast, judge, look, run, settings):
            monkeypatch.setattr(plugin.ActionModule, "_execute_module", staticmethod(with_several(self.execute)))

    def answers(self, name):
        database = name == "sf-1"
        return dict(
            config_info=dict(settings=dict(NODE_NAME=name, API_DRAIN_GRACE="8"), addresses=["10.0.0.1"],
                             present=dict(MARIADB_HOST=database), spelt={}),
            release_info=dict(active=dict(version="0.8.0", name="", path="/v", python="3.11.2", platform="x",
                                          since=1.0), staged=[], builds={}, rewritten={}, deployer="", previous=None,
                              problem=""),
            units_info=dict(units={unit: dict(active=True, managed=True, started=5.0, state="active")
                                   for unit in ["sf-api", "sf-net"] + ["sf-database"] * database}),
            ready_info=dict(ready=True, seen={"u": dict(ready=True, answers="200 200")}),
            grpc_health_info=dict(seen={"10.0.0.1:13005": "SERVING"}),
            host_info=dict(free=2**40, needed=1, same_file_system=True, unsafe=[], clock_offset=0.0, directories=[]))

    def execute(self, module_name=None, module_args=None, task_vars=None, **dummy):
        name, module = task_vars["inventory_hostname"], module_name.rpartition(".")[2]
        self.asked.append((name, module, task_vars.get("ansible_python_interpreter"), module_args))
        broken = self.broken.get((name, module))
        if isinstance(broken, Exception):
            raise broken
        return dict(self.answers(name)[module], ansible_facts={"discovered": 1}, warnings=["w"], **broken or {})

    def act(self, plugin, name="localhost", **arguments):
        """The result of an action for a node; its facts are kept."""
        action = plugin.ActionModule.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=arguments, check_mode=self.check, run_once=True, action="x", get_vars=dict,
                                       get_dep_chain=list)
        action._templar = SimpleNamespace(template=lambda value: value)
        action._display = SimpleNamespace(warning=self.warnings.append)
        specification = {option: value.get("default") for option, value in plugin.ARGUMENTS.items()}
        action.validate_argument_spec = lambda argument_spec: (None, dict(specification, **arguments))
        result = action.run(task_vars=dict(self.hostvars.get(name, {}), hostvars=self.hostvars, groups=self.groups,
                                           inventory_hostname=name, ansible_play_hosts_all=self.play,
                                           ansible_inventory_sources=["lab"], **self.set))
        self.hostvars[name].setdefault("ansible_facts", {}).update(result.get("ansible_facts", {}))
        if plugin is look:
            self.hostvars[name]["cluster_node"] = result["seen"]["node"]  # as role cluster does
        return result

    def facts(self, name):
        return self.hostvars[name]["ansible_facts"]

    def begin(self, kind="upgrade"):
        return self.act(run, state="begun", kind=kind)

    def look(self):
        return {name: self.act(look, name, product=PRODUCT, parts=["ready", "gateways", "host"], noted=True)
                for name in self.play}

    def plan(self, lock=None, **options):
        return self.act(judge, question="plan", nodes=self.groups["allsf"], api={}, lock=lock or {}, options=dict(
            dict(SETTINGS, database=["sf-1", "x"]), **options))

    def run(self):
        return self.facts("localhost")["rolling_run"]


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def test_what_cannot_be_worked_out_is_none(cluster):
    cluster.hostvars["sf-1"].update(rolling_zone="a")
    cluster.hostvars["sf-2"].unknown = "rolling_zone", "drain_haproxy_server"
    cluster.begin()
    cluster.look()
    question = judge.ActionModule.__new__(judge.ActionModule)
    sight = question.sight(cluster.hostvars, run_of(cluster.hostvars), cluster.play, [], "plan")
    assert [sight.seen[name]["zone"] for name in cluster.play] == ["a", "", ""]
    assert sight.seen["sf-2"]["balancer_told"] is False


def test_a_restart_backs_nothing_up(cluster):
    cluster.begin("restart")
    cluster.look()
    assert "failed" not in cluster.plan() and cluster.run()["plan"].get("backup") is not True


def resolve(cluster, version="0.8.1"):
    for name in cluster.play:
        cluster.hostvars[name]["stage_resolved"] = dict(version=version, name=f"{version}-aa")


# ---- the record

def test_a_run_begins(cluster):
    cluster.begin()
    record = cluster.run()
    assert (record["kind"], record["nodes"], record["database"], record["lock"]) == (
        "upgrade", ["sf-1", "sf-2", "sf-3"], ["sf-1"], "sf-1")
    cluster.set = dict(rolling_group="database", rolling_database_groups=["database"])
    cluster.begin()
    assert cluster.run()["nodes"] == ["sf-1"] and cluster.run()["id"] != record["id"]


def test_no_node(cluster):
    cluster.groups = {}
    assert cluster.begin()["failed"] and "has no node in the group allsf" in cluster.begin()["msg"]


def test_what_is_noted(cluster):
    cluster.begin()
    cluster.act(run, "sf-1", state="noted", node=dict(rolled=True))
    cluster.act(run, state="noted", run=dict(problem="x"))
    assert cluster.facts("sf-1")["rolling_node"]["rolled"] and cluster.run()["problem"] == "x"
    assert cluster.act(run, "sf-1", state="noted", node=dict(roled=True))["msg"] == "the record of a node has no roled"
    cluster.begin()
    cluster.act(run, "sf-1", state="noted", node=dict(restored="y"))
    assert not cluster.facts("sf-1")["rolling_node"]["rolled"]


# ---- the settings

def check(cluster, kind="upgrade", nodes=("sf-1", "sf-2", "sf-3"), database=("sf-1",), **values):
    cluster.begin(kind)
    for name in cluster.play:
        cluster.hostvars[name].update(values)
    return cluster.act(settings, nodes=list(nodes), database=list(database), extra=["rolling_mine"])


def test_settings_that_are_right(cluster):
    result = check(cluster, rolling_mine=1, rolling_serial=2, ansible_user="x", drain_haproxy_server="later")
    assert "failed" not in result and result["old"] == 0 and not result["has_balancers"]
    result = check(cluster, drain_haproxy_address="h:1", drain_haproxy_set="yes")
    assert result["has_balancers"]


@pytest.mark.parametrize("values, words", [
    (dict(rolling_relase="0.8.1"), "These variables are unknown, correct or remove them: rolling_relase (did"),
    (dict(plan_stag="x"), "plan_stag (did you mean plan_stage?)"),
    (dict(gate_timeout="soon"), "Correct this variable: "),
    (dict(prune_keep=0), "Correct this: prune_keep is 0"),
    (dict(database=["x"]), "No node is in the database tier"),
])
def test_settings_that_are_wrong(cluster, values, words):
    result = check(cluster, **values)
    assert result["failed"] and result["msg"].startswith("Nothing was touched. ") and words in result["msg"]


@pytest.mark.parametrize("product", ["cinder", "keystone.yml"])
def test_a_variable_of_the_product_that_is_misspelt(cluster, tmp_path, monkeypatch, product):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keystone.yml").write_text("cluster_user: \"{{ keystone_user }}\"\n")
    cluster.set, name = dict(rolling_product=product, rolling_title="X"), product.partition(".")[0]
    result = check(cluster, **{f"{name}_user": "x", f"{name}_usr": "x", "glance_usr": "x"})
    assert result["failed"] and f"remove them: {name}_usr (did you mean {name}_user?)." in result["msg"]


@pytest.mark.parametrize("product, made_for, values, words", [
    ("dragonflow", "dragonflow", dict(dragonflow_edited="warm"), "Correct this variable: value of dragonflow_edited"),
    ("dragonflow", "", dict(dragonflow_batch="many"), "'dragonflow_batch' is of type"),
    ("dragonflow", "", dict(dragonflow_batch="8"), "Correct this: dragonflow_batch is 8"),
    ("dragonflow", "", dict(dragonflow_batch="16", dragonflow_edited="fail", dragonflow_neutron_first="no"), ""),
    ("synnefo", "synnefo", dict(synnefo_apply_settings="perhaps"), "'synnefo_apply_settings' is of type"),
    ("ganeti", "synnefo", dict(synnefo_apply_settings="perhaps"), "'synnefo_apply_settings' is of type"),
    ("ganeti", "ganeti", dict(synnefo_apply_settings="perhaps"), ""),
    ("cinder", "", dict(cinder_config="/a, /b"), "cinder_config is split at its commas"),
])
def test_a_variable_of_the_product_that_is_of_the_wrong_type(cluster, product, made_for, values, words):
    cluster.set = dict(rolling_product=product, rolling_title="X", rolling_made_for=made_for)
    result = check(cluster, "plan", **values)
    assert words in result.get("msg", "") and bool(result.get("failed")) == bool(words)


@pytest.mark.parametrize("kind, told, hook, refused", [
    ("upgrade", {}, "configure", True), ("upgrade", {}, "after_gate", False), ("status", {}, "configure", False),
    ("plan", {}, "configure", True),
    ("plan", dict(rolling_product="synnefo", cluster_tier=True), "before_drain", False),
    ("tier", dict(rolling_product="dragonflow", cluster_tier=True), "before_drain", True),
    ("tier", dict(rolling_product="dragonflow", cluster_tier=True), "configure", False),
    ("hosts", dict(rolling_product="ganeti", cluster_hosts=dict(a=1)), "configure", True),
    ("hosts", dict(rolling_product="ganeti", cluster_hosts=dict(a=1), rolling_made_for="synnefo"), "configure", False),
])
def test_a_hook_that_the_roll_never_includes(cluster, tmp_path, kind, told, hook, refused):
    (tmp_path / "x.yml").write_text("")
    cluster.set = dict(told, rolling_title="X", rolling_playbook="x.y")
    result = check(cluster, kind, **{f"hook_{hook}": str(tmp_path / "x.yml")})
    assert bool(result.get("failed")) is refused
    assert not refused or f"Nothing was touched. This roll never includes hook_{hook}. It has" in result["msg"]


def test_since(cluster):
    given = "2026-01-01T00:00:00Z"
    assert check(cluster, "restart", rolling_since=given)["given"] == given
    assert check(cluster, "reconfigure", rolling_since=given)["given"] == ""
    assert check(cluster, "reconfigure", rolling_since=given)["old"] > 0


# ---- the look

def test_a_product_of_texts():
    """What C(-e) gives is text."""
    given = dict(units="a,b", restart_order="a,*", api_port="13000", sentinels_alone="no", since="5", drain_grace="8.5")
    found = ArgumentSpecValidator(look.ARGUMENTS).validate(dict(product=given))
    assert not found.error_messages
    product = {key: value for key, value in found.validated_parameters["product"].items() if value is not None}
    assert product == dict(units=["a", "b"], restart_order=[["a"], ["*"]], api_port=13000, sentinels_alone=False,
                           since=5.0, drain_grace=8.5)


def test_a_look(cluster):
    cluster.begin()
    result = cluster.look()["sf-1"]
    seen = cluster.facts("sf-1")["rolling_node"]["seen"]
    assert result["seen"] == seen and result["warnings"] == ["w"] * 6 and not result["changed"]
    assert seen["ready"] and seen["answers"] == "200 200" and seen["gateways"] and seen["host"]["free"]
    assert 0 <= seen["host"]["clock_within"] < 60
    assert cluster.hostvars["sf-1"]["cluster_node"] == seen["node"] and cluster.facts("sf-1")["discovered"] == 1
    asked = {module: (python, arguments) for name, module, python, arguments in cluster.asked if name == "sf-1"}
    assert list(asked) == ["config_info", "release_info", "units_info", "host_info", "ready_info", "grpc_health_info"]
    # Once each for what needs nothing, and for what needs to know the node: by the Python that has gRPC.
    assert [python for python, dummy in asked.values()] == [None] * 3 + ["/v/bin/python"] * 3
    assert "stops" not in asked["units_info"][1]


def test_the_journal_is_read_for_what_nothing_else_tells(cluster):
    cluster.begin()
    cluster.broken["sf-2", "config_info"] = dict(settings=dict(NODE_NAME="sf-2"))
    unit = dict(active=True, managed=True, started=5.0, state="active", stops=[dict(seconds=7.5, itself=True)])
    asked = cluster.answers
    # Only who asks for stops is told of them.
    cluster.answers = lambda name: dict(asked(name), **({"units_info": dict(units={"sf-api": unit})} if cluster.asked[
        -1][3].get("stops") else {}))
    node = cluster.act(look, "sf-2", product=PRODUCT)["seen"]["node"]
    assert [module for dummy, module, dummy, dummy in cluster.asked] == [
        "config_info", "release_info", "units_info", "units_info"]
    assert cluster.asked[-1][3] == dict(patterns=["sf-api"], arguments=["--graceful-timeout"], stops=["sf-api"])
    assert (node["drain_grace"], node["drain_grace_source"]) == (7.0, "journal") and len(node["units"]) > 1


@pytest.mark.parametrize("broken, failure, unreachable", [
    (AnsibleConnectionFailure("no route"), "it cannot be reached: no route", True),
    (AnsibleError("Missing sudo password"), "Missing sudo password. Let the ssh user run sudo", False),
    (dict(failed=True, msg="Missing sudo password"), "Missing sudo password. Let the ssh user run sudo", False),
    (dict(failed=True, msg="MODULE FAILURE", module_stderr="trace\n"), "MODULE FAILURE: trace", False),
    (dict(failed=True, msg=""), "unknown failure", False),
])
def test_a_node_that_cannot_be_looked_at(cluster, broken, failure, unreachable):
    cluster.begin()
    cluster.broken["sf-2", "config_info"] = broken
    result = cluster.look()["sf-2"]
    assert "failed" not in result and result["seen"]["failure"].startswith(failure)
    assert result["seen"]["unreachable"] is unreachable and result["seen"]["node"] == {}
    result = cluster.act(look, "sf-2", product=PRODUCT)
    assert result["failed"] and result["msg"].startswith(failure)


def test_a_look_that_is_not_noted(cluster):
    cluster.begin()
    cluster.act(look, "sf-1", product=PRODUCT)
    assert cluster.hostvars["sf-1"]["cluster_node"]["name"] == "sf-1" and "rolling_node" not in cluster.facts("sf-1")


def test_a_gateway_that_cannot_be_asked(cluster):
    cluster.begin("status")
    cluster.broken["sf-1", "grpc_health_info"] = dict(failed=True, msg="no grpc")
    seen = cluster.act(look, "sf-1", product=PRODUCT, parts=["ready", "gateway"], noted=True)["seen"]
    assert seen["failure"] == "" and seen["gateways"] == {}


@pytest.mark.parametrize("unit", ["sf-database", "another"])
def test_only_a_node_that_runs_a_gateway_is_asked_for_its_own(cluster, unit):
    cluster.begin("status")
    cluster.act(look, "sf-1", product=dict(PRODUCT, database_unit=unit), parts=["ready", "gateway"], noted=True)
    assert ("grpc_health_info" in [module for dummy, module, *dummy in cluster.asked]) is (unit == "sf-database")


def test_a_gateway_that_cannot_be_asked_does_not_make_a_node_that_serves_one_that_does_not(cluster):
    cluster.begin()
    cluster.broken["sf-1", "grpc_health_info"] = dict(failed=True, msg="no grpc")
    seen = cluster.look()["sf-1"]["seen"]
    assert seen["failure"] == "no grpc" and seen["ready"] and seen["answers"] == "200 200" and seen["host"]


@pytest.mark.parametrize("kind, refused", [("upgrade", True), ("status", True), ("stop", False), ("pause", False)])
def test_the_brake_holds_with_whatever_settings(cluster, monkeypatch, kind, refused):
    monkeypatch.setattr(run.C, "DEFAULT_STRATEGY", "free")
    assert bool(cluster.begin(kind).get("failed")) is refused


@pytest.mark.parametrize("variables, words", [
    (dict(rolling_product="nope.yml"), "no product nope.yml: it is neither one of those that are known (cinder"),
    (dict(rolling_product="cinder", rolling_title="Cinder", rolling_playbook="x.cinder"), ""), ({}, "")])
def test_the_product(cluster, variables, words):
    cluster.hostvars["localhost"].update(variables)
    result = cluster.begin("plan")
    assert words in result["msg"] if words else "failed" not in result
    if not words:
        assert [cluster.run()[key] for key in ("product", "playbook")] == [
            variables.get("rolling_title", ""), variables.get("rolling_playbook", "")]


@pytest.mark.parametrize("kind, given, told, refused", [
    ("rollback", dict(rolling_product="dragonflow"), dict(cluster_tier=True), True),
    ("stop", dict(rolling_product="dragonflow"), dict(cluster_tier=True), False),
    ("tier", dict(rolling_product="dragonflow"), dict(cluster_tier=True, rolling_made_for="dragonflow"), False),
    ("tier", dict(rolling_product="synnefo"), dict(cluster_tier=True, rolling_made_for="dragonflow"), True),
    # What is only in the inventory is weaker than what the playbook says.
    ("tier", dict(rolling_product="cinder"), dict(rolling_product="dragonflow", cluster_tier=True,
                                                  rolling_made_for="dragonflow"), False),
])
def test_a_playbook_of_another_product(cluster, kind, given, told, refused):
    cluster.hostvars["localhost"].update(given)
    cluster.set = dict(told, rolling_title="Title", rolling_playbook="x.y")
    result = cluster.begin(kind)
    assert bool(result.get("failed")) is refused
    assert not refused or result["msg"].startswith("Nothing was touched. rolling_product is ")


@pytest.mark.parametrize("kind, name, said", [
    ("pause", "pause_reson", "pause_reson (did you mean pause_reason?)"), ("pause", "pause_reason", ""),
    ("stop", "stop_resaon", "stop_resaon (did you mean stop_reason?)"), ("resume", "pause_at", ""),
    ("stop", "rolling_grup", "rolling_grup (did you mean rolling_group?)"), ("status", "pause_reson", ""),
    ("pause", "rolling_kind", ""), ("pause", "cinder_usr", "cinder_usr (did you mean cinder_user?)"),
    ("pause", "cinder_user", ""),
])
def test_a_misspelt_variable_of_a_request(cluster, kind, name, said):
    """The brake holds, and says so."""
    cluster.set = {name: "x", "rolling_product": "cinder", "rolling_title": "Cinder"}
    assert "failed" not in cluster.begin(kind)
    assert cluster.warnings == ([f"These variables are unknown, and do nothing: {said}"] if said else [])


def test_a_broken_virtualenv_asks_no_gateway(cluster):
    cluster.begin()
    cluster.broken["sf-1", "release_info"] = dict(problem="it is broken")
    assert cluster.look()["sf-1"]["seen"]["gateways"] == {}
    assert ("sf-1", "grpc_health_info") not in [asked[:2] for asked in cluster.asked]


# ---- the judgement

@pytest.mark.parametrize("kind, resolving, target_of", [
    ("upgrade", ["sf-1"], {"sf-2": "sf-1", "sf-3": "sf-1"}),
    ("rollback", ["sf-1", "sf-2", "sf-3"], {}),
    ("restart", ["sf-1", "sf-2", "sf-3"], {}),
])
def test_who(cluster, kind, resolving, target_of):
    cluster.begin(kind)
    cluster.look()
    assert cluster.act(judge, question="who") == dict(
        changed=False, asker="sf-1", url="http://10.0.0.1:13000", credentials="/etc/sf/shakenfist.json",
        resolving=resolving, target_of=target_of, limited=False, tier="")
    assert cluster.act(judge, question="who", options=dict(database="sf-9,sf-1"))["tier"] == "sf-1"
    cluster.hostvars["sf-9"] = {}
    assert cluster.act(judge, question="who", nodes=["sf-1", "sf-9"])["limited"]


def test_nobody_serves(cluster):
    cluster.begin()
    for name in cluster.play:
        cluster.broken[name, "ready_info"] = dict(ready=False, seen={})
    cluster.look()
    assert cluster.act(judge, question="who")["asker"] == ""


def test_what_a_killed_run_had_in_hand_is_no_reason_to_refuse(cluster):
    cluster.begin()
    cluster.broken["sf-2", "ready_info"] = dict(ready=False, seen={"u": dict(answers="503 503")})
    cluster.look()
    resolve(cluster)
    assert "503 503" in cluster.plan()["msg"]
    assert not cluster.plan(lock=dict(held=False, broken=dict(nodes=["sf-2"]))).get("failed")


def test_a_plan(cluster):
    cluster.begin()
    cluster.look()
    resolve(cluster)
    result = cluster.plan()
    plan = cluster.run()["plan"]
    assert plan["order"] == ["sf-1", "sf-2", "sf-3"] and plan["began"] == cluster.run()["began"]
    assert plan["command"] == "ansible-playbook -i lab shakenfist.rolling.upgrade -e rolling_release=0.8.1"
    assert result["report"] == plan["report"] and len(result["order"]) == 3 and result["hard_cut"] == ""
    cluster.hostvars["sf-1"]["rolling_zone"] = 7
    assert "failed" not in cluster.plan(serial="2", allow_degraded="true")
    assert cluster.run()["plan"]["batches"] == [["sf-2", "sf-3"]]


def test_a_refusal(cluster):
    cluster.begin()
    cluster.look()
    cluster.act(run, "sf-1", state="noted", node=dict(unresolved="Module failed: no such release"))
    result = cluster.plan()
    assert result["failed"] and "fail  the release: no such release\n" in result["msg"] and cluster.run()["plan"] == {}
    resolve(cluster, "no version")
    cluster.act(run, "sf-1", state="noted", node=dict(unresolved=""))
    assert "no version is no version" in cluster.plan()["msg"]


@pytest.mark.parametrize("variables, level", [
    ({}, "warn"), (dict(balancer_nginx_hosts=["lb"]), "pass"),
    (dict(balancer_nginx_hosts=["lb"], balancer_nginx_sessions_timeout=0), "pass"),
    (dict(drain_haproxy_address="lb:1", drain_tell_first="true"), "pass"),
    (dict(drain_haproxy_address="lb:1", drain_tell_first="false"), "warn"),
    (dict(balancer_nginx_hosts=["lb"], drain_timeout="{{ nowhere }}"), "pass"),
])
def test_whether_the_timing_of_balancers_matters(cluster, variables, level):
    cluster.begin()
    for name in cluster.hostvars:
        cluster.hostvars[name].update(variables)
    cluster.look()
    resolve(cluster)
    report = cluster.plan()["report"]
    assert [line[:4] for line in report if "balancer timing" in line or "balancer's timing" in line] == [level]


def test_what_balancers_say(cluster):
    cluster.begin()
    cluster.look()
    resolve(cluster)
    for asked, words in (
            (dict(haproxy=dict(skipped=True), told=[{}]), None),
            (dict(haproxy=dict(reachable=True, problems=["the check is none"])), "fail  sf-2: the check is none"),
            (dict(told=[dict(problems=["nginx is not there"], shut=[], out=[])]), "fail  sf-2: nginx is not there"),
            (dict(failure="Task failed: it has no backend"), "fail  sf-2: it has no backend")):
        cluster.act(run, "sf-2", state="noted", node=dict(asked=asked))
        result = cluster.plan()
        assert bool(result.get("failed")) == bool(words) and (not words or words in result["msg"])


def test_a_limit(cluster):
    cluster.begin()
    cluster.play = ["sf-1", "sf-3"]
    cluster.look()
    resolve(cluster)
    api = dict(known=True, nodes=[dict(name=name, ip=f"10.0.0.{name[3:]}", state="created", release="0.8.0")
                                  for name in ("sf-1", "sf-2", "sf-3")])
    unseen = cluster.act(judge, question="unseen", nodes=cluster.groups["allsf"], api=api)["unseen"]
    url = "http://10.0.0.2:13000/readyz"
    assert unseen["sf-2"]["ready_url"] == url
    cluster.act(judge, question="plan", nodes=cluster.groups["allsf"], api=api, unseen_seen={url: dict(ready=True)},
                options=dict(SETTINGS, database=["sf-1"]))
    assert cluster.run()["plan"]["serving"] == ["sf-1", "sf-3", "sf-2"]


def test_the_status(cluster):
    cluster.begin("status")
    cluster.broken["sf-3", "ready_info"] = dict(ready=False, seen={"u": dict(answers="503")})
    cluster.look()
    result = cluster.act(judge, question="status", nodes=cluster.groups["allsf"], api=dict(skipped=True), lock=dict(
        words="nobody", gone=False, ran_out=False), options=dict(database=["sf-1"]))
    assert result["ill"] == ["sf-3"] and result["report"][0] == "2 of 3 nodes serve; 0.8.0 on 3"
    assert result["report"][-1] == "lock: nobody" and any("no node serves" in line for line in result["report"])
    result = cluster.act(judge, question="status", api=dict(known=True, nodes=[], leader=""), lock=dict(failed=True))
    assert "lock: not known, the node that has it was not seen" in " ".join(result["report"])


@pytest.mark.parametrize("tables, said", [(dict(notes=2), True), (dict(notes=1), False), (None, False)])
def test_the_status_of_a_schema_that_was_migrated(cluster, tables, said):
    """Before the first gateway is rolled, nothing else tells."""
    cluster.begin("status")
    cluster.look()
    schema = dict(tables=tables, recorded={"/v": dict(tables=dict(notes=1))}, expects={"/v": None}, backups={})
    result = cluster.act(judge, question="status", schema=schema if tables else dict(failed=True),
                         options=dict(database=["x", "sf-1"]))
    words = " ".join(line.strip() for line in result["report"])
    assert ("the schema is not the one that 0.8.0 wants (tables that differ: notes)" in words) is said


def test_a_tier_that_is_a_text(cluster):
    """Of -e preflight_database_nodes=sf-1,x."""
    cluster.begin()
    cluster.look()
    resolve(cluster)
    assert not cluster.plan(database="sf-1,x").get("failed")
    assert cluster.run()["plan"]["database"] == ["sf-1"]


# ---- the forecast

def test_a_forecast(cluster, tmp_path):
    cluster.begin("plan")
    cluster.look()
    resolve(cluster)
    cluster.plan()
    cluster.act(run, "sf-1", state="noted", node=dict(schema=dict(problem="no driver")))
    cluster.hostvars["sf-2"]["restart_units"] = "sf-net"
    path = tmp_path / "plan.json"
    result = cluster.act(forecast, file=str(path))
    assert result["changed"] and json.loads(path.read_text()) == result["forecast"]
    assert result["forecast"]["nodes"]["sf-2"]["restarts"] == [["sf-net"]]
    assert result["forecast"]["nodes"]["sf-1"]["restarts"] == [["sf-database"], ["sf-api", "sf-net"]]
    assert result["forecast"]["schema"]["words"] == "not known: no driver"
    assert not cluster.act(forecast, file=str(path))["changed"]
    # Where every balancer says so itself, a drain ends when nothing is in flight.
    cluster.hostvars["sf-2"].update(balancer_nginx_hosts="lb")
    drains = {name: node["seconds"]["drain"] for name, node in cluster.act(forecast)["forecast"]["nodes"].items()}
    assert drains["sf-2"] == 3.0 < drains["sf-1"]
    cluster.act(run, "sf-2", state="noted", node=dict(asked=dict(haproxy=dict(lasting=["admin/n2"]))))
    assert cluster.act(forecast)["forecast"]["nodes"]["sf-2"]["seconds"]["drain"] == drains["sf-1"]
    cluster.act(run, "sf-2", state="noted", node=dict(asked={}))
    assert cluster.act(forecast)["forecast"]["nodes"]["sf-2"]["seconds"]["drain"] == 3.0
    cluster.hostvars["sf-2"].update(drain_until="grace")
    assert cluster.act(forecast)["forecast"]["nodes"]["sf-2"]["seconds"]["drain"] == drains["sf-1"]
    cluster.check = True
    path.unlink()
    assert cluster.act(forecast, file=str(path))["changed"] and not path.exists()


def test_a_forecast_by_service(cluster, tmp_path):
    cluster.begin()
    service = dict(stop_seconds=None, release="1", active=True)
    cluster.hostvars["localhost"]["ansible_facts"]["rolling_run"]["plan"] = dict(
        waves=[dict(name="notes", batches=[["sf-1"]])], order=["sf-1"], done=[], release="2", report=[], command="a")
    cluster.hostvars["sf-1"]["cluster_node"] = dict(services=dict(notes=service), settings={}, records=[])
    result = cluster.act(forecast, by_service=True, file=str(tmp_path / "plan"))
    assert result["changed"] and result["lines"][0] == "1. notes on sf-1: 1 -> 2, away for 5 s"


def test_a_forecast_that_cannot_be_written(cluster):
    cluster.begin("plan")
    cluster.look()
    resolve(cluster)
    cluster.plan()
    assert "Set plan_file to a file that you may write" in cluster.act(forecast, file="/no/such/plan.json")["msg"]
    assert not cluster.act(forecast, staged=True)["changed"]
