# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A node of a product that is rolled service by service, on modules that answer what a test wants.

from __future__ import annotations

import base64

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.action import survey
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

OLD, NEW, ROOT = "23.5.0", "24.5.0-bbbbbbbb", "/srv/cinder/releases"
SERVICES = [dict(name="cinder-volume", idle=True, away=True)]
PRODUCT = dict(distribution="cinder", config="/c", releases=ROOT, links="/l", user="cinder", info="cinder_info",
               commands=["cinder-manage"], verify=[], services=SERVICES, settings={}, health_path="")
UNIT = dict(program=f"{ROOT}/{OLD}/bin/python", active=True, managed=True, load="loaded", state="active",
            invocation="1", restarts=0, stop_seconds=None)
ACTIVE = dict(version="23.5.0", name=OLD, python="3.11.2", platform="linux", path=f"{ROOT}/{OLD}", pip="23",
              contents="")
TARGET = dict(name=NEW, version="24.5.0", lock=[], contents="")


def releases(problem="", release=OLD):
    return dict(active=ACTIVE, staged=[OLD], builds={}, rewritten={}, problem=problem, previous={},
                links={"/l/cinder-volume": dict(path=f"{ROOT}/{release}")})


@pytest.fixture
def one(monkeypatch):
    steps = Steps(monkeypatch, survey, "preflight", units_info=dict(units={"cinder-volume": UNIT}),
                  release_info=releases(),
                  host_info=dict(clock_offset=0.5, unsafe=[], same_file_system=True, free=10 ** 9, needed=10 ** 6),
                  cinder_info=dict(settings=dict(service_down_time=60, report_interval=5), services=[], schema="x"),
                  journal_info=dict(found=["cinder-volume: old"]))
    steps.variables = dict(ansible_host="10.0.0.1", ansible_play_hosts_all=["sf-1"])
    steps.run.update(nodes=["sf-1"], playbook="shakenfist.rolling.cinder")
    return steps


def look(one, **arguments):
    return one.act(state="seen", **dict(dict(product=PRODUCT, whole=False), **arguments))


def test_a_look(one):
    seen = look(one)["seen"]
    assert one.asked() == ["units_info", "release_info", "host_info", "cinder_info"]
    assert seen["failure"] == "" and seen["node"]["address"] == "10.0.0.1"
    assert seen["node"]["services"]["cinder-volume"]["release"] == OLD and seen["host"]["clock_offset"] == 0.5


@pytest.mark.parametrize("broken, words", [
    (dict(units_info=dict(units={})), "it has none of the units cinder-volume"),
    (dict(cinder_info=dict(failed=True, msg="no database")), "no database"),
    (dict(units_info=AnsibleConnectionFailure("away")), "it cannot be reached: away"),
    (dict(units_info=AnsibleError("sudo: a password is required")), "sudo: a password is required. Let the ssh user"),
])
def test_a_node_that_cannot_be_looked_at_is_noted(one, broken, words):
    one.given.update(broken)
    seen = look(one)["seen"]
    assert seen["failure"].startswith(words)
    # What was seen until then is kept.
    assert bool(seen["node"]) == ("cinder_info" in broken)
    one.given.update(broken)
    assert look(one, whole=True)["failed"]


def test_a_look_at_the_end_leaves_what_the_node_was_before(one):
    result = look(one, whole=True)
    assert result["seen"]["node"]["release"] == ACTIVE and result["ansible_facts"]["rolling_node"]["seen"] == {}


def test_a_broken_virtualenv_cannot_ask_the_product(one):
    one.given["release_info"] = releases("broken")
    assert look(one)["seen"]["node"]["problem"] == "broken" and "cinder_info" not in one.asked()


@pytest.mark.parametrize("there, words", [(True, "shakenfist.rolling restarts the service"), (True, ""), (False, "")])
def test_a_product_that_cannot_be_asked(one, there, words):
    one.given.update(slurp=dict(content=base64.b64encode(words.encode()).decode()),
                     stat=dict(stat=dict(exists=there)), ready_info=dict(ready=True))
    product = dict(PRODUCT, info="", settings=dict(port=5000, disable_file="/off"),
                   services=[dict(name="cinder-volume", beats=False, drain=True)])
    node = look(one, product=product)["seen"]["node"]
    assert node["settings"] == dict(port=5000, disable_file="/off", shut=there, own=bool(words))
    assert node["services"]["cinder-volume"]["shut"] is bool(words) and node["records"] == []
    # Without a file there is nothing to look at.
    assert look(one, product=dict(product, settings=dict(port=1)))["seen"]["node"]["settings"] == dict(port=1)


@pytest.mark.parametrize("answer, words", [
    (dict(was="enabled"), ""), (dict(failed=True, msg="401"), "cinder-volume could not be disabled: 401")])
def test_the_token_is_tried_before_anything_is_touched(one, answer, words):
    one.given["cinder_service"] = answer
    one.given["cinder_info"]["settings"]["host"] = "c-1"
    product = dict(PRODUCT, services=[dict(name="cinder-volume", disable=True), dict(name="x", disable=True)],
                   api=dict(url="http://a/v3/p", headers={"x": "t"}))
    assert look(one, product=product)["seen"]["api"] == {"cinder-volume": words}
    assert one.calls[-1] == ("cinder_service", dict(state="seen", binary="cinder-volume", host="c-1", timeout=5,
                                                    url="http://a/v3/p", headers={"x": "t"}))
    for other in (dict(product, api={}), dict(product, services=SERVICES)):
        assert look(one, product=other)["seen"]["api"] == {}
    assert "api" not in look(one, product=product, whole=True)["seen"]
    one.run["kind"] = "status"
    assert look(one, product=product)["seen"]["api"] == {}


API = dict(name="cinder-api", beats=False, drain=True)


def rotation(one, **facts):
    """What is said of an API, and the node."""
    one.given["units_info"] = dict(units={"cinder-api": dict(UNIT, **facts)})
    seen = look(one, product=dict(PRODUCT, services=[API], health_path="/healthcheck"))["seen"]
    assert not seen["failure"]
    return seen["rotation"], seen["node"]


@pytest.fixture
def api(one):
    one.given.update(ready_info=dict(ready=True), haproxy_info={}, release_info=dict(
        releases(), links={"/l/cinder-api": dict(path=f"{ROOT}/{OLD}")}),
        cinder_info=dict(settings=dict(port=8776, shut=False), services=[]))
    return one


def test_an_api_is_asked_where_its_gate_asks_it(api):
    assert rotation(api)[0] == {"cinder-api": []}
    assert api.calls[-1] == ("ready_info", dict(urls=["http://10.0.0.1:8776/healthcheck"], timeout=5))
    api.variables["drain_haproxy_address"] = "10.0.0.9:9999"
    rotation(api)
    assert api.calls[-1] == ("haproxy_info", dict(address="10.0.0.9:9999", backend="sf-api", servers=["sf-1"],
                                                  expect="up", timeout=5))


def test_an_api_that_cannot_be_rolled_is_told_before_anything_is_touched(api):
    api.variables["drain_haproxy_address"] = "10.0.0.9:9999"
    api.given.update(ready_info=dict(failed=True, ready=False, msg="expected 200, it was refused"),
                     haproxy_info=dict(failed=True, msg="there is no server sf-1"))
    found = rotation(api)[0]["cinder-api"]
    assert found[0].startswith("the health check of cinder-api fails: expected 200, it was refused: see journalctl")
    assert found[1] == "cinder-api in the balancer, asked from its node: there is no server sf-1"


@pytest.mark.parametrize("unit, settings", [(dict(active=False), dict(port=1)), (dict(), dict(port=1, shut=True)),
                                            (dict(), dict())])
def test_who_is_not_asked(api, unit, settings):
    api.given["cinder_info"] = dict(settings=settings, services=[])
    assert rotation(api, **unit)[0] == {} and api.asked()[-1] == "cinder_info"


def test_what_the_file_says_goes_before_what_the_product_says(api):
    api.given["stat"] = dict(stat=dict(exists=False))
    api.given["cinder_info"] = dict(settings=dict(port=8776, shut=True, host="c-1"), services=[], schema="x")
    product = dict(PRODUCT, settings=dict(port=8777, address="10.1.0.1", disable_file="/off"))
    api.given["units_info"] = dict(units={"cinder-volume": UNIT})
    node = look(api, product=product)["seen"]["node"]
    assert node["settings"] == dict(port=8777, address="10.1.0.1", disable_file="/off", shut=False, own=False,
                                    host="c-1")
    assert node["schema"] == "x"


def test_what_only_a_product_that_is_asked_can_have(one):
    assert look(one, product=dict(PRODUCT, info=""))["seen"]["failure"].startswith("cinder-volume: beats, idle")


def test_the_status(one):
    one.node = look(one)["ansible_facts"]["rolling_node"]
    result = one.act(state="shown", services=SERVICES, product={}, lock=dict(words="nobody holds it", gone=False,
                                                                             ran_out=False))
    assert result["ill"] == [] and result["report"][-1] == "lock: nobody holds it"
    one.node = dict(seen={})
    result = one.act(state="shown", services=SERVICES, product={}, lock={})
    assert result["ill"] == ["sf-1"] and result["report"][-2] == "sf-1: it could not be checked"


def judged(one, **options):
    one.node = look(one)["ansible_facts"]["rolling_node"]
    one.others = {"sf-1": dict(stage_resolved=TARGET)}
    return one.act(state="judged", services=SERVICES, product={}, options=options)


def test_a_plan(one):
    result = judged(one, allow_degraded=False, remove=False)
    plan = result["ansible_facts"]["rolling_run"]["plan"]
    assert plan["order"] == ["sf-1"] and plan["release"] == "24.5.0"
    assert plan["command"] == "ansible-playbook shakenfist.rolling.cinder -e rolling_release=24.5.0"
    assert result["order"] == [f"1. cinder-volume on sf-1: {OLD} -> 24.5.0"]


@pytest.mark.parametrize("address, detection, waits", [("", 0, False), ("", 5.0, True), ("1.2.3.4:9", 0, True)])
def test_whether_a_balancer_is_waited_for(one, monkeypatch, address, detection, waits):
    one.variables["drain_haproxy_address"] = address
    told = []
    monkeypatch.setattr(survey, "judge_services", lambda *dummy, **given: told.append(given) or ("", {}, [], []))
    judged(one, detection=detection)
    assert told[0]["waits"] is waits and "detection" not in told[0]


def test_a_refusal(one):
    one.given["cinder_info"] = dict(settings=dict(service_down_time=5, report_interval=5), services=[], schema="")
    result = judged(one)
    assert result["failed"] and "cinder-volume cannot be back in time" in result["msg"]


def test_a_release_that_is_no_version(one):
    one.given["release_info"] = dict(releases(), active=dict(ACTIVE, version="x"))
    assert "cannot compare releases" in judged(one)["msg"]


def test_complaints_are_noted(one):
    result = one.act(state="heard", services=SERVICES, product={}, complaints="old")
    assert result["ansible_facts"]["rolling_node"]["notes"] == ["sf-1: cinder-volume: old"]
    one.act(state="heard", services=SERVICES, product={}, complaints="")
    assert one.calls == []


@pytest.mark.parametrize("program, rpc, age, words", [
    (NEW, ["3.19"], 4, ""), (OLD, ["3.19"], 4, f"cinder-volume on sf-1 runs {OLD}, expected {NEW}"),
    (NEW, ["3.18", "3.19"], 4, "still speak different versions"),
    (NEW, ["3.19"], 61, "cinder-volume on c-0@lab has sent no heartbeat for 61 s, it counts as down after 60 s"),
    (NEW, ["3.19"], None, "cinder-volume on c-0@lab has sent no heartbeat for as long as it is on record")])
def test_the_end(one, program, rpc, age, words):
    one.given["release_info"] = releases(release=NEW)
    one.given["units_info"] = dict(units={"cinder-volume": dict(UNIT, program=f"{ROOT}/{program}/bin/python")})
    rows = [dict(binary="cinder-volume", host=f"c-{number}@lab", rpc=one, here=True, disabled=False, reason=None,
                 age=age) for number, one in enumerate(rpc)]
    one.given["cinder_info"] = dict(settings=dict(service_down_time=60), services=rows, schema="x")
    one.others = {"sf-1": dict(cluster_node=look(one)["seen"]["node"])}
    result = one.act(state="verified", services=SERVICES, product={}, target=TARGET)
    assert words in result["msg"] if words else result["rpc"] == {"cinder-volume": "3.19"}
    # What was dead before may be so.
    one.run["plan"] = dict(dead=[[row["binary"], row["host"]] for row in rows])
    result = one.act(state="verified", services=SERVICES, product={}, target=TARGET)
    assert not result.get("failed") if "heartbeat" in words else not words or words in result["msg"]
    one.check = True
    assert not one.act(state="verified", services=SERVICES, product={}, target=TARGET).get("failed")


# ---- a release in packages

STEP = {"package": "snf-common", "to": "0.19", "from": ["0.18.1"], "checks": [dict(title="x")]}
PACKAGES = dict(PRODUCT, services=[dict(name="gunicorn", beats=False, beside=["snf-astakos-app"])], packages=STEP,
                settings=dict(address="127.0.0.1"), info="")


def with_packages(one, *names):
    found = {name: dict(version="0.18.1-1", since=5.0, state="installed") for name in names}
    one.given.update(
        units_info=dict(units=dict(gunicorn=dict(UNIT, entered=9.0))), settings_files=dict(found=["x"]),
        packages_info=dict(packages=found, broken=[], interrupted=False, locked={}, policy="", started=[],
                           rebooted=True))


def test_a_look_at_packages(one):
    with_packages(one, "snf-common", "snf-astakos-app")
    seen = look(one, product=PACKAGES)["seen"]
    assert one.asked() == ["units_info", "packages_info", "host_info", "settings_files"] and seen["failure"] == ""
    node = seen["node"]
    assert node["services"]["gunicorn"]["runs"] == "0.18.1" and node["settings"] == dict(address="127.0.0.1")
    assert node["settings_found"] == ["x"] and node["packages"]["snf-common"] == "0.18.1-1"
    look(one, product=dict(PACKAGES, packages=dict(STEP, checks=[])))
    assert "settings_files" not in one.asked()


@pytest.mark.parametrize("kind, check, rehearsed", [
    ("tier", False, False), ("tier", True, True), ("plan", False, True)])
def test_whether_packages_are_only_looked_at(one, kind, check, rehearsed):
    with_packages(one, "snf-common", "snf-astakos-app")
    one.run["kind"], one.check = kind, check
    assert look(one, product=PACKAGES)["seen"]["node"]["rehearsed"] is rehearsed


@pytest.mark.parametrize("product, words", [
    (dict(PACKAGES, packages=dict(to="0.19")), "cluster_packages has no package: correct the product's file"),
    (PACKAGES, "it has none of the units gunicorn: take it out of the inventory")])
def test_packages_that_are_not_those_of_the_product(one, product, words):
    with_packages(one, "snf-common")
    assert look(one, product=product)["seen"]["failure"].startswith(words)
