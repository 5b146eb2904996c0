# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The way of a node through the window, and back, on modules that answer what a test wants.

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import balancers, node
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock, with_several

UNITS = {name: dict(active=True) for name in ("sf-api", "sf-net", "sf-database")}
NODE = dict(name="one", venv="/v", releases="/r", distribution="sf", ready_url="http://sf-2", api_unit="sf-api",
            api_url="http://sf-2", credentials="/c", database_unit="sf-database", gateway="sf-2:1",
            gateways=["sf-1:1", "sf-2:1"], sentinels=[], daemons=list(UNITS), units=UNITS,
            release=dict(version="0.8.0", name="old", rewritten=False))
ORDER = [["sf-database"], ["*"]]
SOCKET = "10.0.0.9:9999"
PEERS = dict(peers=["http://sf-1"], minimum=1)
PLAN = dict(api=True, nodes=[dict(name="one")])
FAIL = dict(failed=True, msg="no")
RUNS = {"sf-api": dict(before="a", after="b")}


class Node:
    """A node whose modules answer this, one after the other."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        self.calls, self.facts, self.check, self.kind, self.variables = [], {}, False, "upgrade", {}
        self.plan = PLAN
        self.given = dict(
            haproxy_server=dict(changed=True, was="ready"), haproxy_info={}, drain=dict(changed=True),
            grpc_health_info={},
            units=dict(changed=True, units=RUNS), units_info=dict(units=UNITS),
            ready_info=dict(ready=True, seen={"u": dict(ready=True, answers="200")}), nodes_info=dict(notes=["slow"]),
            release_info=dict(active=dict(version="0.8.1"), previous=dict(name="old", version="0.8.0")),
            release=dict(changed=True))

    def execute(self, module_name, module_args, task_vars):
        module = module_name.rpartition(".")[2]
        self.calls.append((module, module_args, task_vars.get("ansible_python_interpreter")))
        answer = self.given[module]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def hostvars(self):
        run = dict(id="x", kind=self.kind, plan=self.plan)
        return dict(localhost=dict(ansible_facts=dict(rolling_run=run)), lb=dict(ansible_host="10.0.0.8"),
                    **{"sf-2": dict(ansible_facts=self.facts)})

    def act(self, plugin=node, **arguments):
        action = plugin.ActionModule.__new__(plugin.ActionModule)
        self.said = []
        action._task = SimpleNamespace(check_mode=self.check, run_once=False, no_log=False, play=None, args=arguments,
                                       action="x", get_vars=lambda: dict(rolling_step="restart"))
        action._templar = SimpleNamespace(template=lambda value: value)
        action._display = SimpleNamespace(display=lambda text, **dummy: self.said.append(text.event))
        action._execute_module = with_several(self.execute)
        defaults = {option: value.get("default") for option, value in plugin.ARGUMENTS.items()}
        action.validate_argument_spec = lambda argument_spec: (None, dict(defaults, **arguments))
        result = action.run(task_vars=dict(self.variables, hostvars=self.hostvars(), inventory_hostname="sf-2",
                                           ansible_facts=self.facts))
        self.facts.update(result.get("ansible_facts", {}))
        return result

    def go(self, state, **arguments):
        self.calls = []
        return self.act(state=state, **dict(dict(node=NODE, order=ORDER, gateways=["sf-1:1"], target=dict(
            version="0.8.1")), **arguments))

    def drain(self, **arguments):
        return self.go("drained", unit="sf-api", url="http://sf-2", **arguments)

    def note(self, **values):
        self.facts["rolling_node"] = dict(values, run="x")

    def asked(self):
        return [module for module, dummy, dummy in self.calls]

    def steps(self):
        return [event["step"] for event in self.said if event["event"] == "step"]

    def record(self):
        return self.facts["rolling_node"]


@pytest.fixture
def one(monkeypatch):
    return Node(monkeypatch)


# ---- the drain

def test_a_drain(one):
    result = one.drain(**PEERS, quorum_timeout=9.0, drain_timeout=70.0, cut_short=True)
    assert result["changed"] and result["elsewhere"] is False and one.steps() == ["quorum", "drain"]
    assert one.calls[0][:2] == ("ready_info", dict(urls=["http://sf-1"], minimum=1, timeout=9.0))
    assert one.calls[1][:2] == ("drain", dict(unit="sf-api", url="http://sf-2", timeout=70.0, told=False,
                                              until="grace", cut_short=False))
    assert one.record()["stopped"] == ["sf-api"] and len(one.record()["timeline"]) == 2


@pytest.mark.parametrize("given, minimum", [({}, 2), (dict(minimum=1), 1), (dict(minimum=0), 0)])
def test_all_others_are_waited_for_unless_fewer_will_do(one, given, minimum):
    one.drain(peers=["http://sf-1", "http://sf-3"], **given)
    assert one.calls[0][1]["minimum"] == minimum


def test_a_drain_of_the_only_node(one):
    one.drain(cut_short=True)
    assert one.asked() == ["drain"] and one.calls[0][1]["cut_short"] is True and one.steps() == ["drain"]


def test_haproxy_is_only_watched(one):
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.drain()
    assert one.asked() == ["drain"] and one.calls[0][1]["haproxy"] == dict(
        address=SOCKET, backend="sf-api", server="one")


def test_haproxy_is_told(one):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_set="true", drain_haproxy_server="x")
    one.drain(drain_timeout=70.0)
    assert one.asked() == ["haproxy_server", "drain"] and one.calls[1][1]["told"] is True
    assert one.calls[1][1]["until"] == "quiet" and one.calls[1][1]["balancers"] == ["10.0.0.9"]
    where = dict(address=SOCKET, backend="sf-api", server="x")
    assert one.calls[0][1] == dict(where, state="drain", sessions_timeout=70.0, allow_last=True)
    assert one.record()["balancers"] == dict(haproxy=dict(backend="sf-api", server="x", was="ready"))
    # Before a second drain it says drain; what it said before the first one counts.
    one.given["haproxy_server"] = dict(was="drain")
    one.drain(peers=["http://a"])
    assert one.calls[1][1]["allow_last"] is False
    assert one.record()["balancers"]["haproxy"]["was"] == "ready"


@pytest.mark.parametrize("variables, until", [
    (dict(drain_haproxy_address=SOCKET, drain_tell_first=True), "quiet"),
    (dict(drain_haproxy_address=SOCKET), "grace"),
    (dict(hook_before_drain="out.yml", drain_tell_first=True), "grace"),
    (dict(drain_haproxy_address=SOCKET, drain_tell_first=True, drain_until="grace"), "grace"),
])
def test_a_drain_ends_early_where_all_balancers_have_said_that_nothing_is_in_flight(one, variables, until):
    one.variables = variables
    one.drain()
    assert one.calls[-1][1]["until"] == until


def test_sessions_that_do_not_end(one):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_tell_first=True)
    one.given["haproxy_server"] = dict(FAIL, was="ready")
    result = one.drain(**PEERS)
    assert result["failed"] and result["title"].startswith("Tell the balancer, and wait") and result["msg"] == "no"
    assert result[NOTED]["balancers"]["haproxy"]["was"] == "ready" and "drain" not in one.asked()
    assert [entry["step"] for entry in result[NOTED]["timeline"]] == ["quorum"]


def test_haproxy_that_another_host_reaches(one):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_set=True, drain_haproxy_host="lb")
    one.go("awaited", **PEERS)
    assert one.asked() == ["ready_info"] and one.steps() == ["quorum", "drain"]
    assert one.drain(**PEERS)["elsewhere"] is True
    assert one.asked() == ["drain"] and "haproxy" not in one.calls[0][1] and one.calls[0][1]["told"] is True


def test_a_balancer_that_cannot_be_told(one):
    one.variables = dict(drain_tell_first=True)
    for result in (one.drain(), one.go("awaited")):
        assert result["failed"] and result["msg"].endswith(". Nothing was stopped") and one.asked() == []
        assert result["title"] == "Stop here if the balancer cannot be told"
    one.variables = {}
    assert "failed" not in one.go("awaited", **PEERS) and one.asked() == ["ready_info"]


# ---- the restart

def test_a_restart(one):
    one.note(stopped=["sf-api"])
    one.go("restarted", units=["sf-database", "sf-net"], restart_timeout=60.0)
    assert one.asked() == ["units", "grpc_health_info", "units"]
    away = dict(server="sf-2:1", servers=["sf-1:1", "sf-2:1"])
    assert one.calls[0][1:] == (dict(tiers=[["sf-database"]], timeout=60.0, lead_away=away), "/v/bin/python")
    assert one.calls[1][1:] == (dict(targets=["sf-2:1"], timeout=60.0), "/v/bin/python")
    assert one.calls[2][1:] == (dict(tiers=[["sf-api", "sf-net"]], stop=[], timeout=60.0), None)
    assert one.record()["runs"] == RUNS and one.record()["stopped"] == [] and one.steps() == []


def test_nobody_is_led_away(one):
    one.go("restarted", units=["sf-database"], lead_clients_away=False)
    assert one.calls[0][1]["lead_away"] is None


def test_a_node_without_a_gateway(one):
    one.go("restarted", units=["sf-net"])
    assert one.asked() == ["units"] and one.calls[0][2] is None


@pytest.mark.parametrize("module, asked, title", [
    ("units", ["units"], "Restart the gateway to the database"),
    ("grpc_health_info", ["units", "grpc_health_info"], "Wait until the gateway is SERVING")])
def test_a_gateway_that_does_not_start(one, module, asked, title):
    one.given[module] = FAIL
    result = one.go("restarted", units=["sf-database"])
    assert one.asked() == asked and (result["title"], result["msg"]) == (title, "no")


# ---- the gate

def test_a_gate(one):
    one.note(runs=dict(RUNS, gone={}))
    assert one.go("gated", runs={"sf-net": {}}, gate_timeout=60.0)["elsewhere"] is False
    assert one.asked() == ["ready_info", "grpc_health_info", "units_info"]
    assert one.calls[0][1] == dict(urls=["http://sf-2"], unit="sf-api", connections=16, rounds=3, timeout=60.0,
                                   up_since={"sf-net": {}, **RUNS})
    assert one.calls[1][1:] == (dict(targets=["sf-1:1"], timeout=60.0), "/v/bin/python")
    assert one.calls[2][1] == dict(patterns=NODE["daemons"], up_since={"sf-net": {}, **RUNS, "gone": {}})


@pytest.mark.parametrize("was, asked", [("ready", ["haproxy_server", "haproxy_info"]), ("maint", ["haproxy_info"]),
                                        ("", ["haproxy_info"])])
def test_haproxy_has_it_back(one, was, asked):
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.note(balancers=dict(haproxy=dict(was=was)))
    one.go("gated", gate_timeout=60.0)
    assert one.asked()[2:-1] == asked and one.calls[-2][1] == dict(
        address=SOCKET, backend="sf-api", servers=["one"], expect="up", timeout=60.0)
    one.go("admitted")
    assert one.asked() == asked[:-1]


def test_other_balancers_are_told_elsewhere(one):
    one.variables = dict(balancer_nginx_hosts="lb-1")
    assert one.go("gated")["elsewhere"] is True and one.go("admitted")["elsewhere"] is True and one.asked() == []


def test_a_balancer_that_the_roll_goes_on_without(one):
    """The preflight could not ask it, and has said so: nobody waits for its answer now."""
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.note(asked=dict(haproxy=dict(reachable=False)))
    one.drain(**PEERS)
    assert "haproxy" not in {module: given for module, given, dummy in one.calls}["drain"]
    one.go("gated")
    assert "haproxy_info" not in one.asked()
    one.go("settled", followed=True, settle=7.0)
    assert one.calls[0][1]["rounds"] == 7
    one.variables["drain_haproxy_host"] = "lb"
    assert one.act(balancers, state="found")["elsewhere"] is False


# ---- what comes after it

def test_the_next_node_may_follow(one):
    assert "failed" not in one.go("settled", followed=True, settle=7.0, sentinels=False, state_timeout=30.0)
    assert one.calls[0][:2] == ("ready_info", dict(urls=["http://sf-2"], unit="sf-api", rounds=7, interval=1))
    assert one.calls[1][0] == "nodes_info" and one.calls[1][1] == dict(
        credentials="/c", url="http://sf-2", states=["created"], release="0.8.1", names=["one"],
        before=[dict(name="one")], sentinels=[], sentinels_alone=True, required=False, timeout=30.0)
    assert one.record()["rolled"] is True and one.record()["notes"] == ["slow"] and one.steps() == ["settle"]


def test_where_haproxy_says_up_nobody_waits(one):
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.go("settled", followed=True, settle=7.0)
    assert one.calls[0][1]["rounds"] == 1


@pytest.mark.parametrize("check, followed, api, asked", [
    (False, False, True, ["nodes_info"]), (False, True, False, ["ready_info"]), (False, False, False, []),
    (True, True, True, [])])
def test_what_there_is_to_wait_for(one, check, followed, api, asked):
    one.check, one.given["nodes_info"], one.plan = check, {}, dict(PLAN, api=api)
    one.go("settled", followed=followed)
    assert one.asked() == asked and one.record()["rolled"] is True and one.record()["notes"] == []
    assert one.steps() == ["settle"] * bool(asked)


def test_a_node_that_does_not_stay_ready(one):
    one.given["ready_info"] = dict(ready=False, seen={"u": dict(answers="200 503")})
    result = one.go("settled", followed=True, settle=2.0)
    assert result["msg"] == ("expected 200 from every worker for 2 s after the gate; it was ready, and then was not: "
                             "200 503 at the last look")
    assert result["title"] == "Stop if it did not stay ready" and "rolled" not in result[NOTED]


# ---- the way back

def test_a_node_goes_back(one):
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.note(runs=dict(old={}), failure=dict(x=1), balancers=dict(haproxy=dict(was="ready")))
    result = one.go("restored", gate_timeout=60.0)
    assert result["changed"] and "failed" not in result and one.steps() == ["restore"]
    assert one.asked() == ["release_info", "units_info", "release", "units", "grpc_health_info", "units",
                           "ready_info", "grpc_health_info", "haproxy_server",
                           "haproxy_info", "units_info"]
    assert one.calls[2][1] == dict(name="old", state="active", path="/v", releases="/r", distribution="sf")
    assert one.calls[-1][1]["up_since"] == RUNS
    assert one.record()["restored"] == "went back to 0.8.0" and one.record()["failure"] == dict(x=1, way="back")
    assert {entry["step"] for entry in one.record()["timeline"]} == {"restore"}


@pytest.mark.parametrize("admitted, moved, asked, drains", [
    (True, False, 2, True), (True, True, 2, False), (False, False, 0, False)])
def test_a_node_that_gets_requests_is_drained_before_it_goes_back(one, admitted, moved, asked, drains):
    one.note(admitted=admitted, schema=dict(moved=moved))
    result = one.go("weighed")
    assert result["drains"] is drains and one.asked() == ["release_info", "units_info"][:asked]


def test_from_when_on_a_node_gets_requests(one):
    one.note(admitted=True)
    one.drain()
    assert one.record()["admitted"] is False
    one.given["grpc_health_info"] = FAIL
    assert "admitted" not in one.go("gated")[NOTED]
    one.given.update(grpc_health_info={}, units_info=FAIL)
    assert one.go("gated")[NOTED]["admitted"] is True


def test_a_unit_that_was_masked_meanwhile_does_not_keep_the_others_down(one):
    units = {"sf-api": dict(active=False), "sf-net": dict(active=False, load="masked"),
             "sf-last": dict(active=False, load="masked")}
    one.given.update(units_info=dict(units=units), release_info=dict(active=dict(version="0.8.0")))
    one.go("restored", node=dict(NODE, daemons=list(units), sentinels=["sf-last"]))
    assert one.calls[2][1]["tiers"] == [["sf-api"]]
    assert one.asked()[3:] == ["ready_info", "grpc_health_info", "units_info"]
    assert one.calls[-1][1]["patterns"] == ["sf-api"]
    assert one.record()["restored"] == (
        "is on 0.8.0 as before; systemd cannot start sf-net (masked), sf-last (masked)")


@pytest.mark.parametrize("kind, moved, restored", [
    ("upgrade", True, "was left on 0.8.1: the schema was migrated"), ("restart", False, "is on 0.8.1 as before")])
def test_a_node_stays(one, kind, moved, restored):
    one.kind = kind
    one.note(schema=dict(moved=moved), runs=RUNS)
    one.go("restored")
    assert one.asked() == ["release_info", "units_info"] and one.record()["restored"].startswith(restored)


def test_only_the_balancer_is_to_let_it_in(one):
    one.kind, one.variables = "restart", dict(drain_haproxy_address=SOCKET)
    one.note(balancers=dict(haproxy=dict(was="ready")), runs=RUNS)
    one.go("restored")
    assert one.asked()[2:] == ["ready_info", "grpc_health_info", "haproxy_server", "haproxy_info", "units_info"]
    assert one.calls[-1][1]["up_since"] == RUNS


@pytest.mark.parametrize("answer, why", [
    (FAIL, "Restart the gateway to the database: no"),
    (AnsibleConnectionFailure("no route"), "AnsibleConnectionFailure: no route"),
    (KeyError("units"), "KeyError: 'units'")])
def test_a_way_back_that_fails(one, answer, why):
    one.given["units"] = answer
    result = one.go("restored")
    assert "failed" not in result and one.record()["restored"] == f"could not be returned to service ({why})"
    assert [entry["module"] for entry in one.record()["timeline"]][:3] == ["release_info", "units_info", "release"]


# ---- the balancers that are told from elsewhere

def loop(*answers):
    return dict(results=[dict(answer, __balancer_host="lb") for answer in answers])


def test_which_are_told(one):
    assert one.act(balancers, state="found") == dict(
        changed=False, haproxy={}, haproxy_told=False, haproxy_was="", haproxy_last=True, elsewhere=False, nginx=[],
        apache=[])
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_set=True, drain_haproxy_host="lb",
                         balancer_nginx_hosts="lb-1,lb-2", balancer_apache_url="http://lb/", cluster_node=NODE,
                         drain_peers=["http://sf-1/readyz"])
    one.note(balancers=dict(haproxy=dict(was="ready")))
    assert one.act(balancers, state="found") == dict(
        changed=False, haproxy=dict(backend="sf-api", server="one"), haproxy_told=True,
        haproxy_was="ready", haproxy_last=False, elsewhere=True, nginx=["lb-1", "lb-2"], apache=["sf-2"])
    one.variables["balancer_apache_hosts"] = ["a", "b"]
    assert one.act(balancers, state="found")["apache"] == ["a", "b"]


def test_what_they_were_told(one):
    one.variables = dict(drain_haproxy_address=SOCKET)
    assert "failed" not in one.act(balancers, state="told", haproxy=dict(was="ready"), nginx=loop({}), apache=dict(
        skipped=True))
    told = dict(haproxy=dict(backend="sf-api", server="sf-2", was="ready"), nginx=True)
    assert one.record()["balancers"] == told
    result = one.act(balancers, state="told", haproxy=dict(was="drain", msg="it hangs"), apache=loop(dict(msg="no")))
    assert result["failed"] and result["msg"] == "HAProxy: it hangs; Apache, asked from lb: no"
    assert result["logs"] == ["HAProxy", "Apache, asked from lb"]
    assert result[NOTED]["balancers"] == dict(told, apache=True) and one.record()["balancers"] == told


def test_haproxy_is_asked_about_its_checks(one):
    one.act(balancers, state="asked")
    assert one.record()["asked"] == {} and one.calls == []
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_server="s")
    server = dict(status="UP", fall=3, rise=2)
    one.given["haproxy_info"] = dict(reachable=True, problems=["none"], servers=dict(s=server), may_set=False,
                                     lasting=dict(s=["a/n"]))
    assert one.act(balancers, state="asked")["changed"] is False
    noted = dict(reachable=True, problems=["none"], told=False, known=True, lasting=["a/n"], fall=3, rise=2)
    assert one.record()["asked"]["haproxy"] == noted
    assert one.record().get("timeline", []) == []
    where = dict(address=SOCKET, backend="sf-api", servers=["s"])
    # It can only be watched, so it must have checks.
    assert [call[:2] for call in one.calls] == [("haproxy_info", dict(where, checked=False)),
                                                ("haproxy_info", dict(where, checked=True))]
    one.calls.clear()
    one.given["haproxy_info"].update(may_set=True, problems=[])
    one.act(balancers, state="asked")
    assert one.record()["asked"]["haproxy"] == dict(noted, told=True, problems=[]) and len(one.calls) == 1
    # From then on it is told, and what is in flight is waited for.
    assert one.act(balancers, state="found")["haproxy_told"] is True
    one.calls.clear()
    one.drain()
    assert one.asked() == ["haproxy_server", "drain"] and one.calls[1][1]["until"] == "quiet"
    for variables in (dict(drain_until="grace"), dict(drain_haproxy_address="http://lb/stats")):
        one.calls.clear()
        one.variables = dict(dict(drain_haproxy_address=SOCKET, drain_haproxy_server="s"), **variables)
        one.act(balancers, state="asked")
        assert one.record()["asked"]["haproxy"]["told"] is False
        assert [call[1]["checked"] for call in one.calls] == [True]
    one.calls.clear()
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_set=True)
    one.given["haproxy_info"] = dict(failed=True, msg="no backend")
    assert "failed" not in one.act(balancers, state="asked") and one.calls[0][1]["checked"] is False
    assert one.record()["asked"] == dict(failure="no backend")


@pytest.mark.parametrize("answer, was", [
    (dict(failed=True, msg="it cannot be reached", lost=True), "ready"), (dict(failed=True, msg="no such socket"), "")])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_node_that_is_lost_while_haproxy_is_told_may_be_drained(one, answer, was, elsewhere):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_set=True, drain_haproxy_host="lb" * elsewhere)
    one.given["haproxy_server"] = answer
    result = one.act(balancers, state="told", haproxy=answer) if elsewhere else one.drain()
    assert result["failed"] and result[NOTED].get("balancers", {}).get("haproxy", {}).get("was", "") == was


@pytest.mark.parametrize("senders, until", [([], "quiet"), (["admin/n2"], "grace")])
def test_another_backend_of_a_haproxy_elsewhere_sends_to_it(one, senders, until):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_host="lb", drain_haproxy_set=True)
    one.act(balancers, state="told", haproxy=dict(was="ready", senders=senders))
    one.drain()
    assert one.asked()[-1] == "drain" and one.calls[-1][1]["until"] == until
    # What its host is reached by is what the node sees of it, if nothing else is said.
    assert one.calls[-1][1].get("balancers") == (["10.0.0.8", "10.0.0.9"] if until == "quiet" else None)


@pytest.mark.parametrize("status", ["DRAIN", "DOWN", "MAINT", "UP"])
@pytest.mark.parametrize("until", ["quiet", "grace"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_killed_run_has_left_it_in_a_drain(one, status, until, elsewhere):
    """HAProxy does not say whose drain that is, the lock of the killed run does."""
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_server="s", drain_until=until,
                         drain_haproxy_host="lb" if elsewhere else "")
    one.given["haproxy_info"] = dict(reachable=True, problems=[], servers=dict(s=dict(status=status)), may_set=True)
    one.act(balancers, state="asked", broken=dict(nodes=["sf-2"]))
    asked = one.record()["asked"]
    # It is told whatever drain_until says, or nobody would take that back.
    assert asked["haproxy"]["told"] and asked["left"]
    held = dict(problems=[], shut=[], out=[], held=["HAProxy"])
    assert asked.get("told") == {"DRAIN": [dict(problems=[], shut=["HAProxy"], out=[])], "MAINT": [held]}.get(status)
    one.given["haproxy_server"] = dict(was="drain")
    if elsewhere:
        one.act(balancers, state="told", haproxy=dict(was="drain"))
    else:
        one.drain()
    assert one.record()["balancers"]["haproxy"]["was"] == "ready"


@pytest.mark.parametrize("broken, may, was, kept", [
    (dict(nodes=["sf-1"]), True, "drain", "drain"), ({}, True, "drain", "drain"),
    (dict(nodes=["sf-2"]), True, "maint", "maint"), (dict(nodes=["sf-2"]), False, "drain", None)])
def test_a_drain_of_somebody_else_is_left(one, broken, may, was, kept):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_server="s")
    one.given["haproxy_info"] = dict(reachable=True, problems=[], servers=dict(s=dict(status="DRAIN")), may_set=may)
    one.act(balancers, state="asked", broken=broken)
    ours = bool(broken.get("nodes") == ["sf-2"] and may)
    assert one.record()["asked"]["told"][0].get("held", []) == ["HAProxy"] * (not ours)
    one.given["haproxy_server"] = dict(was=was)
    one.drain()
    assert one.record().get("balancers", {}).get("haproxy", {}).get("was") == kept


@pytest.mark.parametrize("check, may, probes", [("L7OK", True, True), ("* L7STS", True, True), ("L4OK", True, False),
                                                ("", True, False), ("L7OK", False, False)])
def test_haproxy_that_is_told_may_probe(one, check, may, probes):
    one.variables = dict(drain_haproxy_address=SOCKET, drain_haproxy_server="s")
    server = dict(status="UP", check_status=check)
    one.given["haproxy_info"] = dict(reachable=True, problems=[], servers=dict(s=server), may_set=may)
    one.act(balancers, state="asked")
    assert one.record()["asked"]["probes"] is probes


@pytest.mark.parametrize("status, probes, was, released", [
    ("DOWN", True, "ready", True), ("DOWN 1/2", True, "ready", True),
    # It may get requests at once, or before it is ready, or it is not ours.
    ("DRAIN", True, "ready", False), ("DOWN", False, "ready", False), ("DOWN", True, "drain", False)])
def test_a_node_that_does_not_serve_is_left_to_the_checks_of_haproxy(one, monkeypatch, status, probes, was, released):
    monkeypatch.setattr(_common, "time", Clock(0.0))
    one.variables = dict(drain_haproxy_address=SOCKET)
    haproxy = dict(backend="sf-api", server="one", was=was)
    one.note(balancers=dict(haproxy=haproxy, nginx=True), asked=dict(probes=probes))
    one.given["haproxy_info"] = dict(servers=dict(one=dict(status=status)))
    assert "failed" not in one.go("released")
    assert [call[1].get("state") for call in one.calls if call[0] == "haproxy_server"] == ["ready"] * released
    assert one.record()["balancers"] == dict(haproxy={} if released else haproxy, nginx=True)


def test_checks_that_have_not_failed_yet_are_waited_for(one, monkeypatch):
    clock = Clock(0.0)
    monkeypatch.setattr(_common, "time", clock)
    one.variables = dict(drain_haproxy_address=SOCKET)
    one.note(balancers=dict(haproxy=dict(backend="sf-api", server="one", was="ready")), asked=dict(probes=True))
    one.given["haproxy_info"] = [dict(servers=dict(one=dict(status=status))) for status in ("DRAIN", "DRAIN", "DOWN")]
    one.go("released")
    assert one.asked() == ["haproxy_info"] * 3 + ["haproxy_server"] and clock.now == 2 * node.INTERVAL
    assert one.record()["balancers"] == dict(haproxy={})


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_a_balancer_that_is_lost_is_no_fault_of_the_node(one, kind):
    one.variables = dict(balancer_nginx_hosts=["lb"], drain_haproxy_address=SOCKET, drain_haproxy_host="lb")
    gone = dict(failed=True, msg="gone", lost=True, away="lb", __balancer_host="lb")
    result = one.act(balancers, state="told", **{kind: gone if kind == "haproxy" else loop(gone)})
    assert result["failed"] and result["lost"] is True and result["away"] == "lb"


def test_what_the_others_would_say(one):
    one.note(asked=dict(haproxy=dict(reachable=True, problems=[])))
    one.variables = dict(balancer_nginx_hosts=["lb"])
    one.act(balancers, state="answered", nginx=loop(dict(was="out")))
    assert one.record()["asked"] == dict(haproxy=dict(reachable=True, problems=[]),
                                         told=[dict(problems=[], shut=[], out=["nginx on lb"])])
    left = dict(problems=[], shut=["HAProxy"], out=[])
    one.note(asked=dict(told=[left]))
    one.act(balancers, state="answered", nginx=loop(dict(was="out")))
    assert one.record()["asked"]["told"] == [left, dict(problems=[], shut=[], out=["nginx on lb"])]
    one.note(asked=dict(haproxy=dict(reachable=True, problems=[])))
    one.act(balancers, state="answered", nginx=loop(dict(was="out")))
    one.act(balancers, state="answered", failure="no backend")
    assert one.record()["asked"]["failure"] == "no backend"
