# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The way of one service to a release and back, on modules that answer what a test wants.

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.action import service
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import REASON
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

OLD, NEW, ROOT = "23.5.0-aaaaaaaa", "24.5.0-bbbbbbbb", "/srv/cinder/releases"
SERVICES = [dict(name="cinder-scheduler", hup=True), dict(name="cinder-volume", away=True, idle=True, hup=True),
            dict(name="cinder-backup", idle=True, disable=True), dict(name="cinder-api", beats=False, drain=True)]
OTHER = dict(binary="cinder-backup", host="c-2", here=False, disabled=False, reason=None, age=4.0)
API = dict(url="http://api/v3/p", headers={"X-Auth-Token": "t"})


def state(name, **facts):
    return dict(dict(link=f"/srv/cinder/current/{name}", release=OLD, runs=OLD, active=True, managed=True,
                     invocation="1", restarts=1, disabled=False, shut=False,
                     out=False), **facts)


def node(**services):
    return dict(name="sf-1", address="10.0.0.1", config="/etc/cinder/cinder.conf", releases=ROOT, distribution="cinder",
                settings=dict(port=8776, host="c-1", disable_file="/off", service_down_time=60), records=[OTHER],
                release=dict(name=OLD), previous={},
                services={one["name"]: state(one["name"], **services.get(one["name"].replace("-", "_"), {}))
                          for one in SERVICES})


def unit(release=NEW, **facts):
    return dict(dict(active=True, managed=True, invocation="2", restarts=0, started=100.5,
                     stops=[dict(seconds=3.0, itself=True)], program=f"{ROOT}/{release}/bin/python"), **facts)


def begun(name, **facts):
    """The record of a node of which this run has taken a service out of service."""
    return dict(services={name: dict(began=1.0)}, **facts)


class Service(Steps):
    """The service of a node."""

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch, service, "roll", ready_info=dict(ready=True, seen={}),
                         cinder_service=dict(changed=True), health_file={}, haproxy_info={}, cinder_info={},
                         release=dict(changed=True), units=dict(changed=True), units_info={}, command={})
        self.run["plan"] = dict(serving=["sf-1", "sf-2"], command="ansible-playbook again")
        self.known = node()
        self.others = {"sf-2": dict(cluster_node=dict(node(), address="10.0.0.2"))}

    def go(self, what, name="cinder-scheduler", **arguments):
        program, looks = arguments.pop("unit", None), arguments.pop("looks", None)
        self.given["units_info"] = looks or dict(units={name: program or unit()})
        result = self.act(state=what, node=self.known, target=dict(name=NEW), services=SERVICES, service=name,
                          info="cinder_info", health_path="/healthcheck", smoke_path="/", smoke_status=300,
                          **dict(dict(quorum_timeout=9.0, drain_timeout=70.0, gate_timeout=60.0, restart_timeout=50.0),
                                 **arguments))
        self.node.update(result.get("ansible_facts", {}).get("rolling_node", result.get(NOTED, {})))
        return result

    def steps(self):
        return [event["step"] for event in self.said if event["event"] == "step"]


@pytest.fixture
def one(monkeypatch):
    return Service(monkeypatch)


def test_a_scheduler_needs_no_drain(one):
    one.go("drained")
    assert one.asked() == ["units_info"]


@pytest.mark.parametrize("name", [one["name"] for one in SERVICES])
@pytest.mark.parametrize("before", [True, False])
def test_what_is_not_to_run_is_left_alone(one, name, before):
    """By what it is in its turn: a cluster manager may have moved it since the preflight, and would have two of it."""
    one.known = node(**{name.replace("-", "_"): dict(active=before, managed=before)})
    for what, asked in (("drained", ["units_info"]), ("restarted", ["units_info", "release"]), ("gated", []),
                        ("admitted", []), ("restored", ["units_info", "release"])):
        one.go(what, name, unit=unit(active=False, managed=False))
        assert one.asked() == asked


def test_what_was_passive_and_has_taken_over_is_restarted(one):
    one.known = node(cinder_volume=dict(active=False, managed=False))
    for what, last in (("drained", "cinder_info"), ("restarted", "units_info"), ("gated", "units_info")):
        one.go(what, "cinder-volume")
        assert one.asked()[-1] == last
    assert one.node["runs"]["cinder-volume"]


def test_what_has_failed_and_is_to_run_is_started(one):
    """So that the run after the one that failed goes on with it; what it was at has ended, and is not waited for."""
    one.known = node(cinder_volume=dict(active=False))
    one.go("drained", "cinder-volume", unit=unit(active=False))
    assert one.asked() == ["units_info"]
    one.go("restarted", "cinder-volume", unit=unit(active=False))
    assert one.asked() == ["units_info", "release", "units", "units_info"]
    one.go("gated", "cinder-volume")
    assert one.asked() == ["cinder_info", "units_info"]


def test_work_in_progress_is_waited_for(one):
    one.go("drained", "cinder-volume")
    assert one.calls[1:] == [("cinder_info", dict(config="/etc/cinder/cinder.conf", services=["cinder-volume"],
                                                  idle=True, timeout=70.0))]


@pytest.mark.parametrize("api, asked", [({}, ["cinder_info"]), (API, ["cinder_service", "cinder_info"])])
def test_a_backup_is_disabled_first_where_the_api_is_known(one, api, asked):
    one.go("drained", "cinder-backup", api=api)
    assert one.asked()[1:] == asked
    if api:
        assert one.calls[1][1] == dict(API, state="disabled", reason=REASON, binary="cinder-backup", host="c-1")


@pytest.mark.parametrize("settings, records", [
    (dict(coupled=True), [OTHER]), ({}, []), ({}, [dict(OTHER, disabled=True, reason="broken")]),
    ({}, [dict(OTHER, age=61.0)]), ({}, [dict(OTHER, here=True)]), ({}, [dict(OTHER, binary="cinder-volume")])])
@pytest.mark.parametrize("shut", [False, True])
def test_a_backup_whose_work_nobody_else_takes_is_not_disabled(one, settings, records, shut):
    """Backups would fail meanwhile; they wait for one that is only restarted. What a killed run has left is undone."""
    one.known = dict(node(cinder_backup=dict(shut=shut)), records=records)
    one.known["settings"].update(settings)
    one.go("drained", "cinder-backup", api=API)
    assert one.asked() == ["units_info", "cinder_info"]
    one.go("admitted", "cinder-backup", api=API)
    assert [arguments["state"] for dummy, arguments in one.calls] == (["enabled"] if shut else [])


def test_an_api_leaves_the_balancer(one):
    one.variables = dict(drain_haproxy_address="10.0.0.9:9999", drain_haproxy_backend="cinder-api")
    one.go("drained", "cinder-api", detection=5.0)
    assert one.asked()[1:] == ["ready_info", "health_file", "haproxy_info"] and one.steps() == ["quorum", "drain"]
    assert one.calls[1][1] == dict(urls=["http://10.0.0.2:8776/healthcheck"], minimum=1, timeout=9.0)
    assert one.calls[2][1] == dict(path="/off", state="present", pause=0.0, timeout=60.0,
                                   url="http://10.0.0.1:8776/healthcheck")
    assert one.calls[3][1] == dict(address="10.0.0.9:9999", backend="cinder-api", servers=["sf-1"], expect="down",
                                   timeout=70.0)


def test_an_api_leaves_the_balancer_also_where_no_work_is_waited_for(one):
    one.variables = dict(drain_haproxy_address="10.0.0.9:9999")
    one.go("drained", "cinder-api", drain_timeout=0)
    assert one.calls[-1][0] == "haproxy_info" and one.calls[-1][1]["timeout"] == 60.0


def test_addresses_of_ipv6_and_of_its_own(one):
    one.known = dict(node(), address="fd00::1")
    other = dict(node(), address="fd00::2")
    one.others = {"sf-2": dict(cluster_node=dict(other, settings=dict(other["settings"], address="10.1.0.2")))}
    one.go("drained", "cinder-api")
    assert one.calls[1][1]["urls"] == ["http://10.1.0.2:8776/healthcheck"]
    assert one.calls[2][1]["url"] == "http://[fd00::1]:8776/healthcheck"


def test_a_balancer_that_cannot_be_asked_is_given_its_time(one):
    one.go("drained", "cinder-api", detection=5.0, minimum=0)
    assert one.asked()[1:] == ["ready_info", "health_file"] and one.calls[2][1]["pause"] == 5.0
    assert one.calls[1][1]["minimum"] == 0


@pytest.mark.parametrize("other", [dict(active=False, managed=False), dict(out=True)])
def test_an_api_that_is_alone(one, other):
    one.others = {"sf-2": dict(cluster_node=node(cinder_api=other))}
    one.go("drained", "cinder-api")
    assert one.asked()[1:] == ["health_file"]


@pytest.mark.parametrize("other", [dict(active=False), dict(shut=True)])
def test_one_that_this_run_has_taken_back_is_asked(one, other):
    record = dict(run="x", services={"cinder-api": dict(began=1.0, ended=2.0)})
    one.others = {"sf-2": dict(cluster_node=node(cinder_api=other), ansible_facts=dict(rolling_node=record))}
    one.go("drained", "cinder-api")
    assert one.asked()[1:] == ["ready_info", "health_file"]


@pytest.mark.parametrize("other", [dict(active=False), dict(shut=True)])
def test_an_api_is_not_the_last_to_leave(one, other):
    """What was out of rotation before the roll, and is rolled first, must have come back."""
    one.others = {"sf-2": dict(cluster_node=node(cinder_api=other))}
    one.go("drained", "cinder-api")
    assert one.asked()[1:] == ["ready_info", "health_file"] and one.calls[1][1]["minimum"] == 1
    one.run["plan"]["serving"].append("sf-3")
    one.others["sf-3"] = dict(cluster_node=node())
    one.go("drained", "cinder-api")
    assert len(one.calls[1][1]["urls"]) == 2 and one.calls[1][1]["minimum"] == 1


def test_a_restart_on_the_new_release(one):
    one.go("restarted")
    assert one.asked()[1:] == ["release", "units", "units_info"] and one.steps() == ["activate", "restart"]
    assert one.calls[1][1] == dict(state="active", name=NEW, path="/srv/cinder/current/cinder-scheduler", releases=ROOT,
                                   distribution="cinder", scripts="release")
    assert one.calls[2][1] == dict(tiers=[["cinder-scheduler"]], timeout=50.0)
    assert one.node["runs"] == {"cinder-scheduler": dict(after="2", restarts=0, started=100.5)}
    assert one.node["notes"] == []


def test_one_that_was_killed_while_it_stopped_is_told(one):
    one.go("restarted", unit=unit(stops=[dict(seconds=90.0, itself=False)]))
    assert one.node["notes"] == ["cinder-scheduler did not stop by itself (after 90 s): what was in progress may be in "
                                 "error"]


def test_check_mode_restarts_nothing_and_waits_for_nothing(one):
    one.check = True
    one.go("restarted")
    assert one.asked()[1:] == ["release", "units"]
    for what in ("gated", "admitted"):
        one.go(what)
        assert one.calls == []


@pytest.mark.parametrize("name, asked", [
    ("cinder-volume", []), ("cinder-backup", ["cinder_service"]), ("cinder-api", ["ready_info", "health_file"])])
def test_check_mode_waits_for_no_drain(one, name, asked):
    """A health check that does not fail is never noticed by the balancer."""
    one.check, one.variables = True, dict(drain_haproxy_address="10.0.0.9:9999")
    one.go("drained", name, api=API)
    assert one.asked()[1:] == asked


def test_a_gate_wants_a_heartbeat_and_the_release(one):
    one.node = dict(runs={"cinder-scheduler": dict(after="2", restarts=0, started=100.5)})
    assert not one.go("gated").get("failed")
    assert one.asked() == ["cinder_info", "units_info"]
    assert one.calls[0][1] == dict(config="/etc/cinder/cinder.conf", services=["cinder-scheduler"], beat_since=100.5,
                                   timeout=60.0, up_since=one.node["runs"])


def test_a_gate_does_not_wait_for_a_backend_that_was_dead_before(one):
    one.run["plan"]["dead"] = [["cinder-volume", "c-1@off"], ["cinder-backup", "c-1"]]
    one.node = begun("cinder-volume", runs={"cinder-volume": dict(after="2", restarts=0, started=100.5)})
    one.go("gated", "cinder-volume")
    assert one.calls[0][1]["dead"] == ["c-1@off"]
    one.go("restored", "cinder-volume", unit=unit(OLD))
    assert [arguments.get("dead") for module, arguments in one.calls if module == "cinder_info"] == [["c-1@off"]]


def test_a_gate_of_an_api_asks_all_workers_while_it_is_out(one):
    one.node = dict(runs={"cinder-api": dict(after="2")})
    one.go("gated", "cinder-api")
    assert one.asked() == ["ready_info", "units_info"]
    assert one.calls[0][1] == dict(urls=["http://10.0.0.1:8776/"], unit="cinder-api", connections=4, rounds=2,
                                   status=300, timeout=60.0, up_since={"cinder-api": dict(after="2")})


def test_a_process_of_another_release_is_a_failure(one):
    one.node = dict(runs={"cinder-scheduler": dict(started=1)})
    result = one.go("gated", unit=unit(OLD))
    assert result["failed"] and result["msg"] == (
        f"expected cinder-scheduler to run a program of {ROOT}/{NEW}/; it runs {ROOT}/{OLD}/bin/python")


@pytest.mark.parametrize("address, asked", [("", ["health_file", "ready_info"]),
                                            ("10.0.0.9:9999", ["health_file", "haproxy_info"])])
def test_an_api_is_let_in(one, address, asked):
    one.variables, one.node = dict(drain_haproxy_address=address), begun("cinder-api")
    one.go("admitted", "cinder-api", settle=3.0)
    assert one.asked() == asked and one.calls[0][1]["state"] == "absent" and one.node["rolled"]
    if not address:
        assert one.calls[1][1]["rounds"] == 3


@pytest.mark.parametrize("now, own", [(dict(out=True), False), (dict(), False), (dict(), True),
                                      (dict(shut=True, out=True), True)])
def test_an_api_that_an_operator_has_taken_out_stays_out(one, now, own):
    """Also where that was done since the preflight; it is rolled all the same."""
    one.known, one.given["health_file"] = node(cinder_api=now), dict(own=own)
    one.go("drained", "cinder-api")
    one.go("admitted", "cinder-api")
    assert one.asked() == (["health_file", "ready_info"] if own else [])


def test_an_api_that_an_operator_has_taken_out_stays_out_where_its_roll_fails(one):
    one.known, one.given["health_file"] = node(cinder_api=dict(out=True)), dict(failed=True, msg="it answers 200")
    one.go("drained", "cinder-api")
    one.go("restored", "cinder-api", unit=unit(OLD))
    assert "health_file" not in one.asked()


@pytest.mark.parametrize("now, enabled", [(dict(), True), (dict(disabled=True, shut=True), True),
                                          (dict(disabled=True), False)])
def test_only_what_we_have_disabled_is_enabled(one, now, enabled):
    one.known, one.node = node(cinder_backup=now), begun("cinder-backup")
    one.go("admitted", "cinder-backup", api=API)
    assert one.asked() == (["cinder_service"] if enabled else [])


@pytest.mark.parametrize("was, own, enabled", [("enabled", False, True), ("disabled", False, False),
                                               ("disabled", True, True)])
def test_what_somebody_has_disabled_since_the_preflight_stays_so(one, was, own, enabled):
    """But not what the same module has disabled, whose connection was lost, so that it was run again."""
    one.given["cinder_service"] = dict(changed=True, was=was, own=own)
    one.go("drained", "cinder-backup", api=API)
    one.go("admitted", "cinder-backup", api=API)
    assert one.asked() == (["cinder_service"] if enabled else [])


def test_an_api_that_does_not_stay_ready_ends_the_roll(one):
    one.node = begun("cinder-api")
    one.given["ready_info"] = dict(ready=False, seen={"u": dict(ready=False, answers="503")})
    result = one.go("admitted", "cinder-api", settle=3.0)
    assert result["failed"] and result["msg"] == (
        "expected 200 for 3 s after its health check was to succeed again; it was ready, and then was not: 503 at the "
        "last look")


HUP = ["systemctl", "kill", "--signal=HUP", "--kill-who=main", "cinder-scheduler"]


@pytest.mark.parametrize("known, calls", [
    (dict(failed=True, rc=1), 6), (dict(stdout='{"cinder-scheduler": "0"}'), 6),
    (dict(stdout='{"cinder-scheduler": "1"}'), 1)])
def test_sighup_once_for_those_that_choose_their_rpc_again(one, known, calls):
    one.known = node(cinder_volume=dict(active=False))
    one.given["command"] = [known, dict(changed=True), dict(changed=True)]
    one.run["plan"]["dead"] = [["cinder-volume", "c-1@off"], ["cinder-scheduler", "c-1@odd"]]
    one.known["venv"] = "/srv/cinder/current/cinder-api"
    one.given["cinder_info"] = dict(services=[dict(binary="cinder-scheduler", here=True, updated=50.0, age=4.0),
                                              dict(binary="cinder-scheduler", here=False, updated=90.0, age=4.0)])
    result = one.act(state="reloaded", node=one.known, services=SERVICES, target=dict(name=NEW), info="cinder_info",
                     gate_timeout=60.0)
    assert [module if module != "command" else arguments["argv"][0] for module, arguments in one.calls] == [
        "cat", "systemctl", "cinder_info", "cinder_info", "units_info", "sh"][:calls]
    up = {"cinder-scheduler": dict(after="1", restarts=1)}
    if calls > 1:
        assert one.calls[3][1] == dict(config="/etc/cinder/cinder.conf", services=["cinder-scheduler"], beat_since=51.0,
                                       timeout=60.0, up_since=up, dead=["c-1@odd"])
        assert one.calls[4][1] == dict(patterns=["cinder-scheduler"], up_since=up)
    assert one.calls[0][1]["argv"] == ["cat", f"{ROOT}/{NEW}/.rolling-reloaded"]
    assert result["changed"] is (calls == 6) and (calls == 1 or one.calls[1][1]["argv"] == HUP)


def test_what_a_service_has_lost_at_its_stop_is_told(one):
    """Seen of real Cinder: a delete that it had acknowledged to the broker, and for which it then got no lock."""
    one.known["venv"] = "/srv/cinder/current/cinder-api"
    one.given["command"] = [dict(failed=True, rc=1), *[dict(changed=True)] * 4]
    one.node = dict(runs={"cinder-volume": dict(after="2", started=100.0), "cinder-api": dict(after="2")})
    work = [dict(binary=binary, kind="volume", id=name, status="deleting", age=age) for binary, name, age in (
        ("cinder-volume", "lost", 41.0), ("cinder-volume", "new", 39.0), ("cinder-backup", "other", 99.0))]
    one.given["cinder_info"] = dict(work=work, services=[
        dict(binary="cinder-scheduler", here=True, updated=130.0, age=10.0),
        dict(binary="cinder-volume", here=True, updated=0.0, age=None)])
    result = one.act(state="reloaded", node=one.known, services=SERVICES, target=dict(name=NEW), info="cinder_info")
    assert result["ansible_facts"]["rolling_node"]["notes"] == [
        "sf-1: volume lost has been deleting since before cinder-volume was restarted: if that lasts, nobody works on "
        "it any more (docs/cinder.md, What it needs)"]


def test_check_mode_sends_no_signal(one):
    one.check, one.given["command"] = True, dict(skipped=True)
    one.act(state="reloaded", node=one.known, services=SERVICES, target=dict(name=NEW))
    assert len(one.calls) == 1


# ---- the way back

def test_back_to_the_release_that_it_came_from(one):
    one.node = begun("cinder-scheduler", runs={"cinder-scheduler": dict(after="2", started=1)})
    one.go("restored", unit=unit(OLD))
    assert one.asked() == ["units_info", "release", "units", "units_info", "cinder_info", "units_info"]
    assert one.calls[1][1]["name"] == OLD
    assert one.node["restored"] == f"went back to {OLD}" and one.node["rolled"] is False
    assert one.go("restored", unit=unit(OLD))["returned"] is True


def test_where_it_went_back_the_message_names_the_part_of_the_journal(one):
    one.node = begun("cinder-scheduler", runs={"cinder-scheduler": dict(after="2", started=1)},
                     cause=dict(step="Gate", words="no heartbeat", at=120.0),
                     timeline=[dict(step="restart", began=100.0, ended=101.0)])
    one.go("restored", unit=unit(OLD))
    assert set(one.node["services"]["cinder-scheduler"]) == {"began", "ended"}
    assert ('journalctl -u cinder-scheduler --since "1970-01-01 00:01:35 UTC" --until "1970-01-01 00:02:05 UTC" on sf-1'
            ) in one.go("told")["message"]


def test_one_that_was_not_restarted_yet_only_gets_its_link_back(one):
    one.node = begun("cinder-scheduler")
    one.go("restored", unit=unit(OLD))
    assert one.asked() == ["units_info", "release"] and one.node["restored"] == f"is on {OLD} as before"


def test_one_that_came_up_too_late_goes_back(one):
    """The restart has failed, so it is no run of ours; it runs the new release all the same."""
    one.node = begun("cinder-api")
    found = [dict(units={"cinder-api": unit(release)}) for release in (NEW, OLD, OLD)]
    one.go("restored", "cinder-api", looks=found)
    assert one.asked() == ["units_info", "release", "units", "units_info", "ready_info", "units_info", "health_file",
                           "ready_info"]
    assert one.node["restored"] == f"went back to {OLD}"


@pytest.mark.parametrize("now", [dict(runs=NEW), dict(active=False, runs="")])
@pytest.mark.parametrize("links, reloaded, to", [
    (dict(), False, OLD), (dict(release=dict(name=NEW), previous=dict(name=OLD)), False, OLD),
    (dict(release=dict(name=NEW)), False, NEW), (dict(release=dict(name=NEW), previous=dict(name=OLD)), True, NEW)])
def test_one_that_an_earlier_run_has_taken_to_the_release(one, now, links, reloaded, to):
    """That run was killed: the link has led to the release since. From where all speak its RPC, none goes back."""
    one.known = dict(node(cinder_scheduler=dict(now, release=NEW)), **links)
    one.given["stat"] = dict(stat=dict(exists=reloaded))
    one.node = begun("cinder-scheduler", runs={"cinder-scheduler": dict(after="2", started=1)})
    one.go("restored", looks=[dict(units={"cinder-scheduler": unit(release)}) for release in (NEW, to, to)])
    assert one.calls[2][1]["name"] == to and one.node["restored"] == (
        f"went back to {OLD}" if to == OLD else f"was restarted on {NEW}, to which an earlier run had taken it")


def test_one_that_works_on_the_release_and_fails_before_its_restart_stays(one):
    one.known, one.node = node(cinder_scheduler=dict(release=NEW, runs=NEW)), begun("cinder-scheduler")
    one.go("restored")
    assert one.asked() == ["units_info", "release"] and one.node["restored"] == f"is on {NEW} as before"


@pytest.mark.parametrize("runs, words", [
    ({"cinder-scheduler": dict(after="2", started=1)}, f"went back to {OLD}"), ({}, f"is on {OLD} as before")])
def test_one_whose_run_was_killed_before_the_restart_goes_back_to_what_it_ran(one, runs, words):
    """Its link led to the release already: to start it from there once more is no way back."""
    one.known, one.node = node(cinder_scheduler=dict(release=NEW)), begun("cinder-scheduler", runs=runs)
    one.go("restored", unit=unit(OLD))
    assert one.calls[1][1]["name"] == OLD and one.node["restored"] == words


def test_one_that_was_moved_away_meanwhile_is_not_started(one):
    """A cluster manager that has seen it stop has started it on another node: two would write to one storage."""
    one.node = begun("cinder-volume", runs={"cinder-volume": dict(after="2", started=1)})
    one.go("restored", "cinder-volume", unit=unit(active=False, managed=False))
    assert one.asked() == ["units_info", "release"] and "ended" not in one.node["services"]["cinder-volume"]
    assert one.node["restored"] == (
        f"has its link to {OLD} again, and was not started: it neither runs nor is enabled any more")


def test_one_that_was_not_touched_yet_is_not_let_in(one):
    """Its health check was not made to fail: where it answers nothing, it would be said to be out of rotation."""
    one.go("restored", "cinder-api", unit=unit(OLD))
    assert one.asked() == ["units_info", "release"]


def test_an_api_that_goes_back_is_let_in(one):
    one.node = begun("cinder-api", runs={"cinder-api": dict(after="2")})
    one.go("restored", "cinder-api", unit=unit(OLD))
    assert one.asked()[-2:] == ["health_file", "ready_info"]


def test_an_api_that_was_let_in_leaves_the_balancer_before_it_goes_back(one):
    """What fails after its gate is a hook."""
    one.variables = dict(drain_haproxy_address="10.0.0.9:9999")
    one.node = begun("cinder-api", runs={"cinder-api": dict(after="2")}, balancers={"cinder-api": ""})
    one.go("restored", "cinder-api", unit=unit(OLD))
    assert one.asked() == ["units_info", "health_file", "haproxy_info", "release", "units", "units_info", "ready_info",
                           "units_info", "health_file", "haproxy_info"]
    assert [one.calls[at][1]["state"] for at in (1, 8)] == ["present", "absent"]


@pytest.mark.parametrize("error, words", [
    (dict(failed=True, msg="no"), "could not be returned to service (Activate the release of the service: no)"),
    (KeyError("x"), "could not be returned to service (KeyError: 'x')"),
])
def test_what_fails_on_the_way_back_is_reported(one, error, words):
    one.given["release"] = error
    assert one.go("restored")["returned"] is False and one.node["restored"] == words


@pytest.mark.parametrize("name, words", [
    ("cinder-api", ". It is OUT OF ROTATION: its health check fails as long as /off is there"),
    ("cinder-backup", ". It may still be disabled, and then gets no new work"), ("cinder-volume", " no)")])
def test_what_is_left_of_the_drain_is_said(one, name, words):
    one.given["release"] = dict(failed=True, msg="no")
    one.node = begun(name, balancers={name: "enabled"})
    one.go("restored", name, api=API)
    assert one.node["restored"].endswith(words)


@pytest.mark.parametrize("record, now, out", [
    (dict(), dict(), False), (dict(), dict(shut=True, out=True), True),
    (dict(balancers={"cinder-api": "enabled"}), dict(), True), (dict(balancers={"cinder-api": ""}), dict(), False),
    (dict(balancers={"cinder-api": "disabled"}), dict(out=True), False)])
def test_a_node_that_is_lost_tells_whether_it_is_out_of_rotation(one, record, now, out):
    one.known = node(cinder_api=now)
    one.node = dict(cause=dict(step="Gate", words="it cannot be reached", lost=True), **record)
    text = one.go("told", "cinder-api")["message"]
    assert "cinder-api on sf-1 was left as it is" in text and ("It is OUT OF ROTATION" in text) == out


@pytest.mark.parametrize("now, was", [(dict(), "enabled"), (dict(disabled=True, shut=True), "enabled"),
                                      (dict(disabled=True), "disabled")])
def test_what_the_drain_of_a_backup_notes(one, now, was):
    one.known = node(cinder_backup=now)
    one.given["cinder_service"] = dict(was="disabled" if now else "enabled")
    one.go("drained", "cinder-backup", api=API)
    assert one.node["balancers"] == {"cinder-backup": was}


def test_what_the_drain_notes(one):
    one.given["health_file"] = dict(own=True)
    one.go("drained", "cinder-api")
    assert one.node["balancers"] == {"cinder-api": "enabled"}
    one.go("admitted", "cinder-api")
    assert one.node["balancers"] == {"cinder-api": ""}
    one.given["health_file"] = dict(failed=True, msg="it answers 200")
    one.node = {}
    one.go("drained", "cinder-api")
    assert one.node["balancers"] == {"cinder-api": "enabled"}


def test_the_message(one):
    one.node = dict(cause=dict(step="Gate", words="no heartbeat"), restored="went back to 23.5.0")
    result = one.go("told")
    assert result["message"].startswith("cinder-scheduler on sf-1: Gate: no heartbeat\n")
    assert "-n 50 on sf-1" in result["message"]
    assert one.node["failure"]["text"] == result["message"]
    assert one.node["services"] == {"cinder-scheduler": dict(failed=True)}


def test_who_did_not_serve_is_to_be_looked_at(one):
    urls = ["http://10.0.0.2:8776/healthcheck"]
    one.node = dict(cause=dict(step="Wait until enough others serve", words="expected 200", not_ready=urls))
    assert "look at journalctl -u cinder-api -n 50 on sf-2, " in one.go("told", "cinder-api")["message"]


def test_a_hook_that_takes_nothing_back_is_told(one):
    one.node = dict(cause=dict(step="Gate", words="no"), restored="went back to 23.5.0", failure=dict(hook="Ask: no"))
    assert (" went back to 23.5.0. /a failed for it (Ask: no), so what /b did may still be in force. The services "
            ) in one.go("told", hooks=dict(after_gate="/a", before_drain="/b"))["message"]


def test_one_before_which_the_run_was_stopped_has_not_failed(one):
    one.node = dict(cause=dict(words="asked to stop", stopped=True))
    one.go("told")
    assert one.node["services"] == {}
