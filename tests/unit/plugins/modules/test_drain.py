# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import signal
from ipaddress import ip_address

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _systemd
from ansible_collections.shakenfist.rolling.plugins.modules import drain
from ansible_collections.shakenfist.rolling.tests.unit.fake_haproxy import (
    DOWN,
    DRAINED,
    L4,
    MAINT,
    REFUSED,
    STARTED,
    UNCHECKED,
    UP,
    FakeHaproxy,
    server,
)
from ansible_collections.shakenfist.rolling.tests.unit.fake_service import Sleeper
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

ACTIVE, STOPPING = unit(), unit("deactivating", "stop-sigterm")
DEAD = unit("inactive", "dead")
KILLED = unit("failed", "failed", Result="timeout", ExecMainCode="2", ExecMainStatus="9")


@pytest.fixture
def run(run_module, systemd, serve, monkeypatch, clock):
    """Drain a unit that is in one state, and then, once it is stopped, in the others."""
    monkeypatch.setattr(drain, "time", clock)
    monkeypatch.setattr(drain, "ANSWER_WITHIN", 30)
    monkeypatch.setattr(drain, "INTERVAL", 0.01)

    def start(states, statuses, check=False, then=(), **arguments):
        systemd.units = {"sf-api": list(states)}
        systemd.then = {"sf-api": list(then)}
        return run_module(drain, check, unit="sf-api.service", url=serve(*statuses), **dict(
            dict(timeout=2), **arguments))

    return start


def test_a_drain_is_witnessed(run, systemd):
    result = run([ACTIVE], [200, 200, 503], then=[STOPPING, STOPPING, DEAD])
    assert not result["failed"] and result["changed"] and result["was_ready"]
    assert 0 < result["not_ready_after"] <= result["stopped_after"]
    assert result["state"] == "inactive (dead)"
    assert result["diff"] == {"before": "sf-api: active (running)\n", "after": "sf-api: inactive (dead)\n"}
    assert systemd.orders == ["stop sf-api"]


@pytest.mark.parametrize("state", [DEAD, KILLED])
@pytest.mark.parametrize("check", [False, True])
def test_a_stopped_unit_is_fine(run, systemd, state, check):
    result = run([state], [200], check)
    assert not result["failed"] and not result["changed"] and not result["was_ready"]
    assert systemd.orders == []


@pytest.mark.parametrize("status, ready", [(200, True), (503, False)])
def test_check_mode_stops_nothing(run, systemd, status, ready):
    result = run([ACTIVE], [status], check=True)
    assert result["changed"] and result["was_ready"] is ready
    assert result["diff"]["after"] == "sf-api: inactive (dead)\n"
    assert systemd.orders == []


def test_a_unit_that_was_not_ready_may_end_without_503(run):
    result = run([ACTIVE], [500], then=[DEAD])
    assert not result["failed"] and result["not_ready_after"] is None and result["concerns"] == []


NOBODY = "Connection refused"


@pytest.fixture
def answers(monkeypatch, clock):
    """What the unit answers, one after the other, the last one for ever; each silence takes its time."""
    def start(*given):
        left = list(given)

        def ask_once(dummy, timeout):
            answer = left.pop(0) if len(left) > 1 else left[0]
            clock.now += timeout if answer == drain.SILENT else 0
            return [answer]

        monkeypatch.setattr(drain, "ask_once", ask_once)
        monkeypatch.setattr(drain, "ANSWER_WITHIN", 2.0)
        return left

    return start


@pytest.mark.parametrize("before", [[drain.SILENT], [drain.SILENT] * 4, ["Connection reset by peer", drain.SILENT]])
def test_a_busy_unit_is_not_taken_for_one_that_is_not_ready(run, answers, before):
    """It misses looks before its stop, and then ends without its drain."""
    answers(*before, 200, 200, NOBODY)
    result = run([ACTIVE], [], then=[DEAD])
    assert result["was_ready"] and result["failed"] and f"it went from 200 to {NOBODY} at once" in result["msg"]
    answers(*before, 200, 503)
    assert not run([ACTIVE], [], then=[STOPPING, DEAD])["failed"]


@pytest.mark.parametrize("before", [NOBODY, 503, 500])
def test_who_says_that_it_does_not_serve_is_not_asked_twice(run, answers, clock, before):
    left = answers(before, before, before, 200)
    assert not run([ACTIVE], [], check=True)["was_ready"] and len(left) == 3 and clock.naps == []


def test_a_unit_that_never_answers_is_no_silent_excuse(run, answers, warnings, clock):
    answers(drain.SILENT)
    result = run([ACTIVE], [], then=[STOPPING, DEAD], timeout=60)
    assert not result["failed"] and not result["was_ready"] and result["concerns"] == warnings and len(warnings) == 1
    assert re.fullmatch(
        r"expected 503 from http://.* while sf-api was still serving; it gave no answer for 10 s before its stop \(no "
        r"answer in time\), and ended after \d.\d s without one. Nothing tells whether it served, so requests may have "
        "been cut: look at journalctl -u sf-api, and at what the balancer has written at that time", warnings[0])


def test_one_that_never_answers_says_503_in_the_end(run, answers, warnings):
    answers(*[drain.SILENT] * 7, 503)
    result = run([ACTIVE], [], then=[STOPPING, STOPPING, DEAD], timeout=60)
    assert not result["failed"] and result["not_ready_after"] > 0 and warnings == []


def test_a_503_that_a_busy_unit_did_not_get_to_say(run, answers):
    answers(200, drain.SILENT)
    result = run([ACTIVE], [], then=[STOPPING, STOPPING, DEAD], timeout=60)
    assert result["failed"] and "it ended after 6.0 s, and 3 looks until then got no answer within 2 s" in result["msg"]
    assert result["msg"].endswith("failed: pass -e drain_tell_first=true (docs/balancers.md)")


def test_a_drain_that_is_cut_short_waits_for_no_answer(run, answers, clock, processes):
    answers(drain.SILENT)
    begin = clock.now
    assert not run([ACTIVE], [], check=True, cut_short=True)["failed"] and clock.now == begin + 2


@pytest.mark.parametrize("then, statuses, message", [
    ([DEAD], [200], r"expected 503 from http://.* while sf-api was still serving; it went from 200 to 200 at once, and "
     r"sf-api ended after \d.\d s: the drain did not happen. That is a known fault of Shaken Fist, or its drain grace "
     r"is 0. The node was not drained through the balancer first, so requests may have failed: pass -e drain_tell"),
    ([STOPPING, KILLED], [200, 503],
     "expected sf-api to end by itself; .* result timeout, signal 9. In-flight requests were cut"),
    ([STOPPING], [200, 503], r"expected sf-api to end within 0.2 s .*deactivating \(stop-sigterm\)"),
])
def test_what_is_no_drain(run, then, statuses, message):
    result = run([ACTIVE], statuses, then=then, timeout=0.2)
    assert result["failed"] and result["changed"]
    assert re.search(message, result["msg"]), result["msg"]


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(drain.AnsibleModule, "warn", lambda dummy, text: found.append(text))
    return found


def test_an_end_without_503_that_took_its_time(run, monkeypatch):
    monkeypatch.setattr(drain, "MOMENT", 0.0)
    result = run([ACTIVE], [200], then=[DEAD])
    assert result["failed"] and re.search(r"without one \(last answer: 200\). Does this release drain on SIGTERM, and "
                                          "is its drain grace more than 0", result["msg"])


def test_what_the_end_was_is_asked(run, serve):
    """The last look may have been before the end, so the message has what is answered after it."""
    result = run([ACTIVE], [200, 200, 500], then=[DEAD])
    assert result["failed"] and "it went from 200 to 500 at once" in result["msg"]


def test_an_end_without_503_costs_nothing_if_the_balancer_was_told(run, warnings):
    result = run([ACTIVE], [200], then=[DEAD], told=True)
    assert not result["failed"] and result["changed"] and result["concerns"] == warnings
    assert len(warnings) == 1 and "the drain did not happen. That is a known fault" in warnings[0]
    assert warnings[0].endswith("balancer first, and no request from it was in flight, so none was cut")


class UntilEnded:
    """The state of a unit that is stopping until its last worker has ended."""

    def __init__(self, service):
        self.service = service

    def items(self):
        return (DEAD if self.service.ended.is_set() else STOPPING).items()


@pytest.fixture
def sleeper():
    """An C(sf-api) whose idle workers notice the end of their grace by a connection only."""
    made = []

    def make():
        made.append(Sleeper())
        return made[-1]

    yield make
    for one in made:
        one.close()


def stop_sleeper(run_module, systemd, service, **arguments):
    systemd.units = {"sf-api": [ACTIVE]}
    systemd.then = {"sf-api": [UntilEnded(service)]}
    return run_module(drain, unit="sf-api", url=service.url, **arguments)


def test_idle_workers_are_woken_until_the_unit_has_ended(run_module, systemd, sleeper, monkeypatch):
    service, really = sleeper(), drain.knock

    def knock(*arguments):
        service.grace = service.knocks < drain.KNOCKS
        return really(*arguments)

    monkeypatch.setattr(drain, "knock", knock)
    result = stop_sleeper(run_module, systemd, service, timeout=60)
    assert not result["failed"] and service.knocks >= drain.KNOCKS
    # Now and then, and not in each look.
    assert service.knocks <= drain.KNOCKS * (result["stopped_after"] / drain.KNOCK + 1)


def test_nobody_else_wakes_them(run_module, systemd, sleeper, monkeypatch):
    """Without the knocks the same service sleeps, so the test before can fail."""
    service = sleeper()
    monkeypatch.setattr(drain, "knock", lambda *dummy: setattr(service, "grace", False))
    result = stop_sleeper(run_module, systemd, service, timeout=2)
    assert not service.grace and result["failed"] and "expected sf-api to end within 2 s" in result["msg"]


START = "{ path=/bin/sh ; argv[]=/bin/sh -c gunicorn -w 5 --graceful-timeout 55 app ; ignore_errors=no ; pid=0 }"
BEGIN, END = "ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic"


@pytest.mark.parametrize("took, warned", [(55.0, True), (55.3, True), (54.9, False), (25.4, False)])
def test_a_stop_as_long_as_the_graceful_timeout(run, warnings, took, warned):
    dead = unit("inactive", "dead", **{BEGIN: "1000000", END: str(int(1e6 + took * 1e6))})
    result = run([unit(ExecStart=START)], [200, 503], then=[STOPPING, dead])
    assert not result["failed"] and result["concerns"] == warnings and bool(warnings) == warned
    assert not warned or warnings[0] == (
        f"sf-api took {took} s to stop, its graceful timeout is 55 s: gunicorn has ended its workers by force, and cut "
        "the requests that they still served. For requests that take longer, raise --graceful-timeout and "
        "TimeoutStopSec of sf-api (docs/upgrade.md, long requests)")


def test_the_same_by_the_module_s_own_clock(run, warnings):
    result = run([unit(ExecStart=START.replace("55", "0.1"))], [200, 503], then=[STOPPING] * 20 + [DEAD])
    assert not result["failed"] and "its graceful timeout is 0.1 s" in warnings[0]


def test_a_graceful_timeout_that_is_not_known(run, warnings):
    dead = unit("inactive", "dead", **{BEGIN: "1000000", END: "99000000"})
    assert run([unit(ExecStart=START.replace("55", "${LIMIT}"))], [200, 503], then=[dead])["concerns"] == []


@pytest.fixture
def processes(monkeypatch):
    """What runs in the unit, and the signals that were sent to it."""
    found, sent = {}, []

    def kill(pid, number):
        sent.append((pid, number))
        if pid == 8:
            raise ProcessLookupError

    monkeypatch.setattr(_systemd.Systemd, "processes", lambda dummy, name: found if name == "sf-api" else {})
    monkeypatch.setattr(drain.os, "kill", kill)
    found.update({5: ["/bin/sh", "-c", "exec /srv/venv/bin/gunicorn"],
                  6: ["/v/bin/python3", "/v/bin/gunicorn", "-w", "5"],
                  7: ["gunicorn: worker [sf]"], 8: ["python3", "-m", "gunicorn", "app"], 9: ["python3", "/opt/helper"],
                  10: [""]})
    return found, sent


def test_a_drain_that_is_cut_short(run, warnings, processes):
    result = run([ACTIVE], [200], then=[ACTIVE, STOPPING, STOPPING, DEAD], cut_short=True)
    assert not result["failed"] and result["not_ready_after"] is None
    # Once each, not the shell that is the main process.
    assert processes[1] == [(pid, signal.SIGQUIT) for pid in (6, 7, 8)]
    assert re.fullmatch(r"sf-api was ended after \d.\d s without its drain, as was asked for: requests in flight were "
                        "cut", warnings[0])


def test_a_drain_that_could_not_be_cut_short(run, warnings, processes):
    processes[0].clear()
    result = run([ACTIVE], [200], then=[STOPPING, DEAD], cut_short=True)
    assert not result["failed"] and processes[1] == []
    assert "no process of gunicorn was found in it: it took its own" in warnings[0]


def test_cutting_short_takes_no_failed_stop(run, processes):
    result = run([ACTIVE], [200], then=[STOPPING, KILLED], cut_short=True)
    assert result["failed"] and "expected sf-api to end by itself" in result["msg"]


@pytest.fixture
def quiet(run, processes, monkeypatch, clock):
    """Drain a unit until it is quiet; C(flight) are the connections of each look, the last one for ever.

    A number is that many of a balancer's. C(came) in C(seen) are those that were too short for a look, by its number.
    """
    seen, left = dict(rules=[], notes=[], knocks=[], nft="/sbin/nft", came={}), []

    class Arrivals:
        def __init__(self, dummy):
            self.looks = 0
            if "blind" in seen:
                raise OSError(1, "Operation not permitted")

        def addresses(self):
            self.looks += 1
            return set(map(ip_address, seen["came"].get(self.looks, ())))

    class Rules:
        def __init__(self, dummy):
            self.nft = seen["nft"]

        def reject(self, port, seconds, requests=True):
            if seen["nft"] == "broken":
                raise drain.RollingError("nft -f failed")
            seen["rules"].append((seconds, requests))
            left[:0] = seen.pop("late", [])

        def accept(self):
            seen["rules"].append("accept")

    monkeypatch.setattr(drain, "Firewall", Rules)
    monkeypatch.setattr(drain, "knock", lambda *dummy: seen["knocks"].append(1))
    monkeypatch.setattr(_systemd.Systemd, "note_early", lambda dummy, name: seen["notes"].append(name) or seen.get(
        "noted", True))

    def start(flight, then, statuses=(200, 503), state=None, **arguments):
        left[:] = flight

        def connected(dummy):
            found = left.pop(0) if len(left) > 1 else left[0]
            return list(map(ip_address, ["10.0.0.9"] * found if isinstance(found, int) else found))

        monkeypatch.setattr(drain, "connected", connected)
        monkeypatch.setattr(drain, "Arrivals", Arrivals)
        monkeypatch.setattr(drain, "own_addresses", lambda: {ip_address("10.0.0.2")})
        return run([state or ACTIVE], list(statuses), then=then, until="quiet", **dict(
            dict(timeout=30, balancers=["10.0.0.9", "10.0.9.0/24"]), **arguments)), seen

    return start, seen


def stopping(monkeypatch, sent):
    """A unit that ends once it was told to by a signal."""
    show = _systemd.Systemd.show
    monkeypatch.setattr(_systemd.Systemd, "show", lambda self, names, more=(): (
        {"sf-api": DEAD} if sent and sent[-1][1] == signal.SIGQUIT else show(self, names, more)))


def test_a_quiet_unit_is_not_waited_for(quiet, processes, monkeypatch, warnings):
    stopping(monkeypatch, processes[1])
    result, seen = quiet[0]([3, 0], [STOPPING])
    assert not result["failed"] and result["not_ready_after"] is not None and warnings == []
    assert result["strangers"] == []
    assert result["ended_early_after"] >= drain.QUIET and result["stopped_after"] >= result["ended_early_after"]
    assert processes[1] == [(pid, signal.SIGQUIT) for pid in (6, 7, 8)]
    assert seen["rules"] == [(drain.REJECT, False), "accept"] and seen["notes"] == ["sf-api"]


def test_a_request_that_comes_late_is_waited_for(quiet, processes, monkeypatch):
    stopping(monkeypatch, processes[1])
    flight = [0] * 5 + [1] * 5 + [0]
    result, seen = quiet[0](flight, [STOPPING])
    assert not result["failed"] and result["ended_early_after"] > drain.QUIET
    # Idle workers are woken as long as others are busy.
    assert seen["knocks"]


def test_one_that_comes_in_the_last_moment(quiet, processes, monkeypatch):
    stopping(monkeypatch, processes[1])
    quiet[1]["late"] = [1, 1]
    result, seen = quiet[0]([0], [STOPPING])
    assert not result["failed"] and result["ended_early_after"] > 2 * drain.QUIET
    assert seen["rules"] == [(drain.REJECT, False), "accept"] * 2 and len(processes[1]) == 3


def test_nothing_slow_is_between_the_last_look_and_the_end(quiet, processes, monkeypatch):
    """To find the processes takes a hypervisor many milliseconds."""
    stopping(monkeypatch, processes[1])
    find, order = _systemd.Systemd.processes, []
    look, note = drain.Drain.in_flight, _systemd.Systemd.note_early
    monkeypatch.setattr(_systemd.Systemd, "processes", lambda *names: order.append("find") or find(*names))
    monkeypatch.setattr(drain.Drain, "in_flight", lambda self: order.append("look") or look(self))
    monkeypatch.setattr(_systemd.Systemd, "note_early", lambda *names: order.append("note") or note(*names))
    assert quiet[0]([0], [STOPPING])[0]["ended_early_after"] and len(processes[1]) == 3
    assert order[-3:] == ["find", "look", "note"] and order.count("find") == 1


@pytest.mark.parametrize("nft", ["", "broken"])
def test_without_a_firewall(quiet, processes, monkeypatch, nft):
    stopping(monkeypatch, processes[1])
    quiet[1]["nft"] = nft
    result, seen = quiet[0]([0], [STOPPING])
    assert not result["failed"] and result["ended_early_after"] and seen["rules"] == []


def test_a_busy_unit_takes_its_time(quiet, processes):
    result, seen = quiet[0]([1], [STOPPING] * 50 + [DEAD])
    assert not result["failed"] and result["ended_early_after"] is None and processes[1] == []
    assert seen["rules"] == [] and seen["knocks"]


def test_a_unit_that_has_not_said_503_is_not_quiet(quiet, processes):
    result = quiet[0]([0], [STOPPING] * 50 + [DEAD], statuses=[200])[0]
    assert result["failed"] and processes[1] == [] and quiet[1]["rules"] == []


def test_a_unit_without_gunicorn_takes_its_time(quiet, processes, warnings):
    """Its workers may be idle, and sleep."""
    for pid in (6, 7, 8):
        del processes[0][pid]
    result, seen = quiet[0]([0], [STOPPING] * 500 + [DEAD])
    assert not result["failed"] and result["ended_early_after"] is None and seen["rules"] == seen["notes"] == []
    assert seen["knocks"] and result["concerns"] == warnings and len(warnings) == 1
    assert warnings[0].endswith(
        "in flight: no process of gunicorn was found in it that could be told: look at systemctl status sf-api. Is it "
        "started in another way than by gunicorn's own command?")


def test_a_unit_whose_processes_have_just_ended(quiet, processes, warnings):
    """What its ExecStopPost takes is no grace."""
    processes[0].clear()
    result, seen = quiet[0]([0], [STOPPING] * 150 + [DEAD])
    assert not result["failed"] and result["ended_early_after"] is None and seen["rules"] == warnings == []


def test_a_stop_that_cannot_be_noted_is_not_ended_early(quiet, processes, warnings):
    quiet[1]["noted"] = False
    result, seen = quiet[0]([0], [STOPPING] * 500 + [DEAD])
    assert not result["failed"] and result["ended_early_after"] is None and processes[1] == []
    # It is tried once, and then the idle workers are woken.
    assert seen["rules"] == [(drain.REJECT, False), "accept"] and seen["knocks"] and result["concerns"] == warnings
    assert re.fullmatch(
        r"sf-api took \d+\.\d s to stop, its whole drain grace, and was not ended as soon as nothing was in flight: "
        r"that cannot be noted in the journal \(.*/socket\), so that later it would be taken for its drain grace: look "
        "at systemctl status systemd-journald", warnings[0])


@pytest.mark.parametrize("flight, came", [
    ([["10.0.0.50"], []], {}),
    ([[]], {1: ["10.0.0.50"]}),
    ([1, 1, 0], {5: ["10.0.0.9", "10.0.0.50"]}),
])
def test_who_comes_past_the_balancers_gets_the_whole_grace(quiet, processes, warnings, flight, came):
    quiet[1]["came"] = came
    result, seen = quiet[0](flight, [STOPPING] * 500 + [DEAD])
    assert not result["failed"] and result["ended_early_after"] is None and processes[1] == seen["rules"] == []
    assert seen["knocks"] and result["strangers"] == ["10.0.0.50"] and result["concerns"] == warnings
    assert re.fullmatch(
        r"sf-api took \d+\.\d s to stop, its whole drain grace, and was not ended as soon as nothing was in flight: "
        "requests came past its balancers, from 10.0.0.50. The balancers are known as 10.0.0.9, 10.0.9.0/24. If that "
        r"is another address of theirs, or monitoring, add it to drain_balancer_sources \(docs/balancers.md\)",
        warnings[0])


def test_one_who_comes_past_them_in_the_last_moment(quiet, processes, monkeypatch):
    """When new connections are rejected already."""
    reject = drain.Firewall.reject
    monkeypatch.setattr(drain.Firewall, "reject", lambda self, *arguments, **options: (
        quiet[1].update(came={look: ["10.0.0.50"] for look in range(999)}), reject(self, *arguments, **options)))
    result, seen = quiet[0]([0], [STOPPING] * 500 + [DEAD])
    assert result["strangers"] == ["10.0.0.50"] and result["ended_early_after"] is None and processes[1] == []
    assert seen["rules"] == [(drain.REJECT, False), "accept"] and seen["notes"] == []


def test_many_come_past_them(quiet, warnings):
    flight = [f"10.0.0.{number}" for number in range(50, 57)]
    result = quiet[0]([flight, []], [STOPPING] * 150 + [DEAD], balancers=[])[0]
    assert len(result["strangers"]) == 7
    assert "10.0.0.54 and 2 more. The balancers are known as this node. If" in warnings[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.1.1", "10.0.0.2", "10.0.0.9", "10.0.9.77"])
def test_who_is_no_stranger(quiet, processes, monkeypatch, address):
    """Itself, its balancers and their health checks."""
    stopping(monkeypatch, processes[1])
    quiet[1]["came"] = {2: [address]}
    result = quiet[0]([[address], []], [STOPPING])[0]
    assert result["ended_early_after"] and result["strangers"] == []


@pytest.mark.parametrize("changes, state, words", [
    (dict(blind=True), ACTIVE, "who comes past its balancers cannot be seen here without a raw socket: Operation not"),
    ({}, STOPPING, "it was being stopped already, and who came past its balancers until then was not seen"),
])
def test_who_comes_past_them_is_not_seen(quiet, processes, warnings, changes, state, words):
    quiet[1].update(changes)
    result, seen = quiet[0]([0], [STOPPING] * 150 + [DEAD], state=state)
    assert not result["failed"] and result["ended_early_after"] is None and processes[1] == seen["rules"] == []
    assert seen["knocks"] and result["concerns"] == warnings and f"nothing was in flight: {words}" in warnings[0]


def test_a_stop_that_was_not_seen_from_its_begin(quiet, warnings):
    """What it took is what systemd has measured."""
    dead = unit("inactive", "dead", **{BEGIN: "1000000", END: "26400000"})
    assert not quiet[0]([0], [STOPPING, dead], state=STOPPING)[0]["failed"]
    assert warnings[0].startswith("sf-api took 25.4 s to stop, its whole drain grace, and was")


@pytest.mark.parametrize("arguments", [dict(told=True), dict(cut_short=True)])
def test_what_was_no_drain_is_not_called_its_grace(quiet, warnings, arguments):
    """It ended at once, or was ended."""
    quiet[1]["blind"] = True
    result = quiet[0]([["10.0.0.50"]], [STOPPING, DEAD], statuses=[200], **arguments)[0]
    assert not result["failed"] and len(warnings) == 1 and "whole drain grace" not in warnings[0]


def test_the_rule_is_gone_already(quiet, processes, monkeypatch):
    def accept(dummy):
        raise drain.RollingError("nft delete failed")

    stopping(monkeypatch, processes[1])
    monkeypatch.setattr(drain.Firewall, "accept", accept)
    result = quiet[0]([0], [STOPPING])[0]
    assert not result["failed"] and result["ended_early_after"]


ADDRESS = dict(addr="10.0.0.2:13000")
HERE = dict(DRAINED, **ADDRESS)


@pytest.mark.parametrize("look, early", [
    ({"sf-2": HERE}, True),
    # Of another backend, the same server, or another one.
    ({"sf-2": HERE, ("admin", "n2"): dict(UP, **ADDRESS)}, False),
    ({"sf-2": HERE, ("admin", "n2"): dict(UNCHECKED, **ADDRESS)}, False),
    ({"sf-2": HERE, ("admin", "n2"): server("DOWN", 1, **ADDRESS)}, False),
    ({"sf-2": HERE, ("admin", "n2"): dict(DOWN, **ADDRESS)}, True),
    ({"sf-2": HERE, ("admin", "n1"): dict(UP, addr="10.0.0.1:13000")}, True),
    ({"sf-2": DRAINED, ("admin", "n2"): UP}, True),
    # Clients that have a cookie still come.
    ({"sf-2": dict(HERE, cookie="b")}, False),
    ({"sf-2": dict(DOWN, cookie="b")}, True),
    # It is restarted, and knows of no drain any more.
    ("", False),
])
def test_haproxy_may_still_send(quiet, processes, monkeypatch, look, early):
    monkeypatch.setattr(drain, "BALANCER_WITHIN", 10)
    stopping(monkeypatch, processes[1])
    fake = FakeHaproxy("tcp", [{"sf-2": DRAINED}, look])
    haproxy = dict(address=fake.address, backend="sf-api", server="sf-2")
    result = quiet[0]([0], [STOPPING] * 150 + [DEAD], haproxy=haproxy)[0]
    fake.close()
    assert (result["ended_early_after"] is not None) is early


OTHER = ("admin", "n2")


@pytest.mark.parametrize("looks, sent", [
    # Before the stop, and since.
    ([{"sf-2": dict(HERE, stot="5")}, {"sf-2": dict(HERE, stot="5")}], ""),
    ([{"sf-2": dict(HERE, stot="5")}, {"sf-2": dict(HERE, stot="6")}], "sf-api/sf-2"),
    ([{"sf-2": dict(HERE, stot="5")}, "", {"sf-2": dict(HERE, stot="5")}], ""),
    ([{"sf-2": HERE, OTHER: dict(DOWN, **ADDRESS, stot="1")}, {"sf-2": HERE, OTHER: dict(DOWN, **ADDRESS, stot="2")}],
     "admin/n2"),
])
def test_what_haproxy_sends_between_two_looks(quiet, processes, monkeypatch, warnings, looks, sent):
    """A request that is over again gets the whole grace: where it came from there may be more."""
    monkeypatch.setattr(drain, "BALANCER_WITHIN", 10)
    stopping(monkeypatch, processes[1])
    fake = FakeHaproxy("tcp", looks)
    haproxy = dict(address=fake.address, backend="sf-api", server="sf-2")
    result, seen = quiet[0]([0], [STOPPING] * 150 + [DEAD], haproxy=haproxy)
    fake.close()
    assert not result["failed"] and (result["ended_early_after"] is None) is bool(sent) is bool(warnings)
    if sent:
        assert seen["knocks"] and processes[1] == [] and result["concerns"] == warnings
        assert re.search(f"in flight: HAProxy has sent requests to {sent} since, as use-server, .* set drain_until to "
                         r"grace if it shall \(docs/balancers.md\)$", warnings[0])


@pytest.mark.parametrize("kind, local", [("tcp", False), ("unix", True)])
def test_haproxy_has_the_node_by_another_address(monkeypatch, tmp_path, kind, local):
    """As of the mesh and as of the egress; a loopback address is this machine's in an HAProxy on it only."""
    monkeypatch.setattr(drain, "own_addresses", lambda: set(map(ip_address, ["10.0.0.2", "fd00::2", "127.0.0.1"])))
    fake = FakeHaproxy(str(tmp_path / "admin.sock") if kind == "unix" else kind, [{
        "sf-2": dict(DRAINED, addr="10.9.0.2:13000"), ("a", "mesh"): dict(UP, addr="10.0.0.2:13000"),
        ("a", "six"): dict(UP, addr="[fd00::2]:13000"), ("a", "port"): dict(UP, addr="10.0.0.2:13001"),
        ("a", "same"): dict(UP, addr="10.9.0.2:13000"), ("a", "other"): dict(UP, addr="10.0.0.1:13000"),
        ("a", "local"): dict(UP, addr="127.0.0.1:13000"), ("a", "none"): UP}])
    seen = drain.Balancer(dict(address=fake.address, backend="sf-api", server="sf-2"), 13000).ask()
    fake.close()
    assert seen["senders"] == ["a/mesh", "a/six", "a/same"] + ["a/local"] * local
    assert list(seen["requests"]) == ["sf-api/sf-2", *seen["senders"]]


def test_haproxy_cannot_be_asked_whether_it_still_sends(quiet, warnings):
    haproxy = dict(address="127.0.0.1:1", backend="sf-api", server="sf-2")
    result = quiet[0]([0], [STOPPING] * 150 + [DEAD], haproxy=haproxy)[0]
    assert not result["failed"] and result["ended_early_after"] is None and "is not witnessed" in warnings[0]


def test_check_mode_cuts_nothing_short(run, processes):
    assert run([ACTIVE], [200], check=True, cut_short=True)["changed"] and processes[1] == []


def test_an_unknown_unit(run, systemd):
    systemd.units = {}
    result = run([unit("inactive", "dead", LoadState="not-found")], [200])
    assert result["failed"]
    assert result["msg"] == "there is no unit sf-api on this node: not installed (not-found)"


def test_a_url_that_is_none(run_module, systemd):
    result = run_module(drain, unit="sf-api", url="sf-1:13000")
    assert result["failed"] and "is not a URL" in result["msg"]


def test_systemctl_fails(run_module, systemd):
    systemd.broken = "Access denied"
    result = run_module(drain, unit="sf-api", url="http://127.0.0.1:1/")
    assert result["failed"] and result["msg"].endswith("Access denied")


@pytest.fixture
def balanced(run, monkeypatch):
    """Drain sf-2 behind a HAProxy of these looks: one before the stop, then one before each look at the unit."""
    fakes = []
    monkeypatch.setattr(drain, "BALANCER_WITHIN", 10)

    def start(looks, then, check=False, statuses=(200, 200, 503), states=(ACTIVE,), told=False, cut_short=False,
              **arguments):
        fakes.append(FakeHaproxy("tcp", [{"sf-2": look} if isinstance(look, dict) else look for look in looks]))
        haproxy = dict(dict(address=fakes[-1].address, backend="sf-api", server="sf-2"), **arguments)
        return run(states, statuses, check, then=then, haproxy=haproxy, told=told, cut_short=cut_short)

    yield start
    for fake in fakes:
        fake.close()


def test_the_requests_that_a_long_stop_has_cut(balanced, warnings):
    dead = unit("inactive", "dead", **{BEGIN: "1000000", END: "56100000"})
    result = balanced([UP, server("DOWN", 2), CUT], [STOPPING, dead], states=[unit(ExecStart=START)],
                      statuses=[200, 503])
    assert result["failed"] and "still had 2 sessions" in result["msg"]
    assert "sf-api took 55.1 s to stop" in warnings[0] and "(2 of HAProxy's in flight at the last look)" in warnings[0]


def test_a_long_stop_without_requests_of_haproxy(balanced, warnings):
    dead = unit("inactive", "dead", **{BEGIN: "1000000", END: "56100000"})
    result = balanced([UP, DOWN], [STOPPING, dead], states=[unit(ExecStart=START)], statuses=[200, 503])
    assert not result["failed"] and "(none of HAProxy's in flight at the last look)" in warnings[0]


@pytest.mark.parametrize("before, told, failed", [
    (DRAINED, True, False), (DRAINED, False, False), (MAINT, False, False), (DOWN, False, False), (UP, True, False),
    (UP, False, True), (server("DRAIN", 1), True, True), (server("UP", 1), True, True),
])
def test_an_end_without_503_that_haproxy_was_spared(balanced, warnings, before, told, failed):
    # What is UP and was told is another balancer's: HAProxy has the last word on its own sessions.
    result = balanced([before, DRAINED], [STOPPING, DEAD], statuses=[200], told=told)
    assert result["failed"] is failed, result
    assert ("no request from it was in flight" in str(warnings)) is not failed
    # Advice is never what was already done.
    assert ("drain_tell_first" in result.get("msg", "")) is (failed and not told)


def test_haproxy_does_not_complain_of_a_drain_that_was_cut_short(balanced, warnings, processes):
    result = balanced([server("UP", 3)], [STOPPING, DEAD], statuses=[200], cut_short=True)
    assert not result["failed"]
    assert warnings[0].endswith("requests in flight were cut (3 of HAProxy's in flight at the last look)")


def test_the_balancer_lets_go(balanced):
    result = balanced([UP, server("UP 2/3", 2), server("DOWN", 2), DOWN, DOWN], [STOPPING] * 4 + [DEAD])
    assert not result["failed"] and result["changed"]
    assert result["balancer_before"] == "UP (L7OK 200)" and result["balancer"] == "DOWN (L7STS 503)"
    assert 0 < result["balancer_left_after"] < result["sessions_zero_after"] < result["stopped_after"]


@pytest.mark.parametrize("before", [DOWN, DRAINED, MAINT, REFUSED, server("DRAIN", check=""), server("NOLB")])
def test_a_balancer_that_let_go_before(balanced, before):
    result = balanced([before], [STOPPING, DEAD])
    assert not result["failed"] and result["balancer_left_after"] == 0 and result["sessions_zero_after"] == 0


@pytest.mark.parametrize("before, message", [
    (L4, "HAProxy's check of sf-api/sf-2 is L4OK, it does not ask /readyz, so the balancer would not mark it down: "
         "use option httpchk GET /readyz"),
    (server(check="* L6OK"), "check of sf-api/sf-2 is L6OK, it does not ask /readyz"),
    (UNCHECKED, "HAProxy has no check of sf-api/sf-2, so the balancer would not mark it down"),
    (STARTED, r"last check of sf-api/sf-2 is UP 1/3 \(INI\), which does not tell whether it asks /readyz"),
    ("garbage", "expected statistics from HAProxy .*; it said 'garbage'"),
    ({"scur": "x"}, "expected statistics from HAProxy"),
])
@pytest.mark.parametrize("check", [False, True])
def test_a_balancer_that_would_not_notice(balanced, systemd, before, message, check):
    result = balanced([before], [DEAD], check)
    assert result["failed"] and not result.get("changed") and systemd.orders == []
    assert re.search(message, result["msg"]), result["msg"]


@pytest.mark.parametrize("before", [UNCHECKED, L4, STARTED])
def test_a_balancer_that_has_forgotten_the_drain(balanced, systemd, before):
    """Not that it has no checks: it needed none."""
    result = balanced([before], [DEAD], told=True)
    assert result["failed"] and systemd.orders == [] and re.match(
        r"expected sf-api/sf-2 of HAProxy 127\S+ to stay in its drain; it gets requests again \((no check|UP.*)\): was",
        result["msg"])


@pytest.mark.parametrize("arguments, message", [
    (dict(server="sf-9"), "has no server sf-9 in backend sf-api; it has sf-2"),
    (dict(backend="nope"), "has no backend nope; it has sf-api"),
    (dict(address="lb"), "'lb' is no address of an HAProxy"),
    (dict(address="https://joe:s3cret@lb/"), "is no address of an HAProxy"),
])
def test_a_balancer_that_is_none(balanced, systemd, arguments, message):
    result = balanced([UP], [DEAD], **arguments)
    assert result["failed"] and systemd.orders == [] and re.search(message, result["msg"])
    assert "s3cret" not in str(result)


CUT = server("DOWN", check="L7STS", eresp="1")
FEW_LEFT = r"HAProxy still had 2 sessions at sf-api/sf-2 when sf-api ended after \d.\d s: these requests were cut"
STILL_UP = (r"HAProxy still had sf-api/sf-2 UP when sf-api ended after \d.\d s: requests were cut. Its detection time "
            r"\(fall x inter\) must be less than the drain grace")


@pytest.mark.parametrize("looks, then, message", [
    # It never let go, and a look after the end does not count.
    ([UP], [STOPPING, DEAD], STILL_UP),
    ([UP, UP, DOWN], [STOPPING, DEAD], STILL_UP),
    ([UP, DOWN], [DEAD], STILL_UP),
    # It let go and took the server back.
    ([UP, DOWN, UP, UP], [STOPPING, STOPPING, DEAD], STILL_UP),
    # Sessions that ended with the unit, and HAProxy counted it.
    ([UP, server("DOWN", 2), CUT], [STOPPING, DEAD], FEW_LEFT),
    ([server("DRAIN", 2), server("DRAIN", 2), CUT], [STOPPING, DEAD], FEW_LEFT),
    # The same where HAProxy counts nothing, says nothing, or still has them a second later.
    ([UP, server("DOWN", 2, econ=""), server("DOWN", econ="")], [STOPPING, DEAD], FEW_LEFT),
    ([UP, server("DOWN", 2), ""], [STOPPING, DEAD], FEW_LEFT),
    ([UP, server("DOWN", 2)], [STOPPING, DEAD], FEW_LEFT),
    # It was reachable before.
    ([UP, DOWN, "garbage"], [STOPPING, STOPPING, DEAD],
     "could be asked before sf-api was stopped, but not when it ended .* it said 'garbage'"),
])
def test_what_the_balancer_saw_is_no_drain(balanced, looks, then, message):
    result = balanced(looks, then, statuses=[200, 503])
    assert result["failed"] and result["changed"] and result["at_balancer"] is True
    assert result["sessions_zero_after"] is None or "garbage" in message
    assert re.search(message, result["msg"]), result["msg"]


def test_the_last_requests_end_with_the_unit(balanced):
    result = balanced([UP, server("DOWN", 2), DOWN], [STOPPING, DEAD], statuses=[200, 503])
    assert not result["failed"] and result["sessions_zero_after"] == result["stopped_after"]


def test_sessions_that_come_back(balanced):
    """A server in DRAIN gets the requests of clients that it has already."""
    result = balanced([DRAINED, DRAINED, server("DRAIN", 1), CUT], [STOPPING, STOPPING, DEAD])
    assert result["failed"] and "still had 1 session at" in result["msg"]


def test_a_balancer_that_is_away_for_a_moment(balanced):
    result = balanced([UP, "", DOWN], [STOPPING, STOPPING, DEAD])
    assert not result["failed"] and result["balancer_left_after"] > 0


def test_the_unit_comes_first(balanced):
    result = balanced([UP], [KILLED], statuses=[200, 503])
    assert result["failed"] and "expected sf-api to end by itself" in result["msg"]
    assert result["balancer_left_after"] is None


def test_a_silent_balancer_delays_little(balanced, monkeypatch):
    stop = drain.Drain.stop

    def impatient(self):
        # Only now: before that HAProxy is to answer, however busy the machine is.
        self.balancer.haproxy.timeout = 0.2
        stop(self)

    monkeypatch.setattr(drain.Drain, "stop", impatient)
    result = balanced([UP, None], [STOPPING, DEAD], statuses=[200, 503])
    assert result["failed"] and "no answer within 0.2 s" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_a_balancer_that_cannot_be_reached_before(balanced, monkeypatch, check):
    warnings = []
    monkeypatch.setattr(drain.AnsibleModule, "warn", lambda dummy, text: warnings.append(text))
    result = balanced([UP], [STOPPING, DEAD], check, statuses=[200, 503], address="127.0.0.1:1")
    assert not result["failed"] and result["changed"] and "balancer_before" not in result
    assert warnings == ["HAProxy 127.0.0.1:1 cannot be asked: Connection refused. Whether it marks sf-api/sf-2 down is "
                        "not witnessed"]


def test_check_mode_looks_at_the_balancer(balanced, systemd):
    result = balanced([UP], [DEAD], check=True)
    assert not result["failed"] and result["changed"] and result["balancer_before"] == "UP (L7OK 200)"
    assert "balancer" not in result and systemd.orders == []


def test_a_stopped_unit_needs_no_balancer(balanced):
    result = balanced([L4], [], states=[DEAD])
    assert not result["failed"] and not result["changed"] and "balancer_before" not in result
