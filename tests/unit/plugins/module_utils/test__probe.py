# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import random
import signal
import socket
import ssl
import subprocess
from threading import Thread, Timer

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common, _probe
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._probe import (
    Numbers,
    Request,
    Series,
    Target,
    Watcher,
)
from ansible_collections.shakenfist.rolling.tests.unit.fake_service import Service

URL = "http://127.0.0.1:1/"


def options(*urls, **changes):
    return dict(dict(urls=list(urls) or [URL], rate=5.0, timeout=10.0, expect=[200], headers={}, validate_certs=True,
                     ca_path=None, max_seconds=3600.0, idle_seconds=600.0, owner=None), **changes)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The watcher's directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def service():
    server = Service()
    yield server
    server.end()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody has signed but itself, and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path,
                    "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name("both.pem.crt").read_text())
    return str(path)


# ---- one request


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("behaviour, failure", [
    (200, None), ("chunked", None), ("empty chunked", None), ("until closed", None), ("silent close", None),
    ("says close", None), (201, "HTTP 201"), (302, "HTTP 302"), (500, "HTTP 500"), (503, "HTTP 503"),
    ("reset", "reset"), ("close", "reset"), ("cut body", "short body"), ("cut chunk", "short body"),
    ("cut headers", "short body"), ("garbled", "garbled answer"),
])
def test_how_a_request_ends(service, behaviour, failure, fresh):
    service.behaviour = behaviour
    target = Target(service.url + "some/path?x=1", options())
    assert Request(target, fresh).ask() == failure
    head = service.requests[0][0]
    assert head.startswith("GET /some/path?x=1 HTTP/1.1\r\n") and ("Connection: close" in head) == fresh
    # What is kept can be used again.
    service.behaviour = 200
    assert Request(target, fresh=False).ask() is None


def test_statuses_that_are_expected(service):
    target = Target(service.url, options(expect=[204, 401]))
    service.behaviour = 401
    assert Request(target, True).ask() is None
    service.behaviour = 200
    assert Request(target, True).ask() == "HTTP 200"


def test_headers(service):
    assert Request(Target(service.url, options(headers={"Authorization": "Bearer x"})), True).ask() is None
    assert "Authorization: Bearer x\r\n" in service.requests[0][0]
    assert "User-Agent: shakenfist.rolling-probe\r\n" in service.requests[0][0]


def test_nobody_listens(service):
    service.close()
    assert Request(Target(service.url, options()), True).ask() == "connection refused"


def test_a_name_that_does_not_resolve(monkeypatch):
    def fail(*dummy, **more):
        raise socket.gaierror(-2, "Name or service not known")
    monkeypatch.setattr(_probe.socket, "getaddrinfo", fail)
    assert Request(Target("http://nowhere.invalid/", options()), True).ask() == "name does not resolve"


@pytest.mark.parametrize("error, words", [
    (socket.timeout("timed out"), "timeout"),
    (OSError(errno.ETIMEDOUT, "Connection timed out"), "Connection timed out"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable"),
    (ssl.SSLError(1, "odd"), "TLS: SSLError"), (KeyError("fault"), "KeyError: 'fault'"),
])
def test_other_ends(service, monkeypatch, error, words):
    def fail(dummy, connection):
        raise error
    monkeypatch.setattr(Request, "exchange", fail)
    target = Target(service.url, options())
    assert Request(target, True).ask() == Request(target, False).ask() == words
    assert target.kept == 0


def test_kept_alive_connections_are_used_in_turn(service):
    target = Target(service.url, options())
    for dummy in range(6):
        assert Request(target, fresh=False).ask() is None
    assert [len(requests) for requests in service.requests] == [3, 3] and target.reopened == 0
    assert Request(target, fresh=True).ask() is None
    assert [len(requests) for requests in service.requests] == [3, 3, 1]


def fill(target):
    for dummy in range(_probe.KEPT_ALIVE):
        assert Request(target, fresh=False).ask() is None


@pytest.mark.parametrize("behaviour", ["reset", "close"])
def test_a_request_that_was_sent_on_a_kept_alive_connection_is_not_repeated(service, behaviour):
    target = Target(service.url, options())
    fill(target)
    service.behaviour = behaviour
    before = service.count()
    assert Request(target, fresh=False).ask() == "reset on a kept-alive connection"
    assert service.count() == before + 1 and target.kept == _probe.KEPT_ALIVE - 1


def test_a_connection_that_was_closed_while_idle_costs_no_request(service):
    target = Target(service.url, options())
    service.behaviour = "silent close"
    fill(target)
    for connection, dummy in target.idle:
        assert connection.sock.recv(1, socket.MSG_PEEK) == b""  # waits until the server has closed it
    service.behaviour = 200
    for reopened in (1, 2, 2):
        assert Request(target, fresh=False).ask() is None
        assert target.reopened == reopened and target.kept == 2


def test_a_connection_that_broke_while_idle_costs_no_request(service):
    target = Target(service.url, options())
    fill(target)
    target.idle[0][0].sock.close()
    assert Request(target, fresh=False).ask() is None and target.reopened == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(service, monkeypatch):
    target = Target(service.url, options())
    fill(target)
    monkeypatch.setattr(_probe, "IDLE_LIMIT", 0)
    assert Request(target, fresh=False).ask() is None
    assert [len(requests) for requests in service.requests] == [1, 1, 1] and target.reopened == 0


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
def test_a_request_is_ended_whatever_the_server_sends(service, behaviour, fresh):
    service.behaviour = behaviour
    target = Target(service.url, options())
    request, ended = Request(target, fresh), []
    thread = Thread(target=lambda: ended.append(request.ask()), daemon=True)
    thread.start()
    assert wait_for(service.count, 60)
    request.expire()
    thread.join(60)
    assert ended == ["timeout"] and target.kept == 0


def test_a_request_that_ends_before_it_was_sent(service):
    request = Request(Target(service.url, options()), True)
    request.expire()
    assert request.ask() == "timeout"
    request.expire()  # its socket is closed by now


def test_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Service(context)
    try:
        assert Request(Target(server.url, options()), True).ask() == "TLS: CERTIFICATE_VERIFY_FAILED"
        for more in (dict(validate_certs=False), dict(ca_path=certificate)):
            target = Target(server.url, options(**more))
            for fresh in (True, False, False, False):
                assert Request(target, fresh).ask() is None
            assert target.kept == 2 and target.reopened == 0
        wrong = Target(server.url.replace("127.0.0.1", "localhost"), options(ca_path=certificate))
        assert Request(wrong, True).ask() == "TLS: CERTIFICATE_VERIFY_FAILED"
        server.behaviour = "hang"
        request = Request(target, False)
        timer = Timer(0.05, request.expire)
        timer.start()
        assert request.ask() == "timeout"
        timer.join()
    finally:
        server.end()


@pytest.mark.parametrize("ca_path, words", [("/none", "No such file"), (__file__, "cannot read certificates")])
def test_a_ca_path_that_holds_none(ca_path, words):
    with pytest.raises(RollingError, match=words):
        Target("https://127.0.0.1/", options(ca_path=ca_path))


@pytest.mark.parametrize("url, words", [
    ("ftp://sf-1/", "is not a URL of the form"), ("http://", "is not a URL of the form"), ("sf-1", "of the form"),
    ("http://sf-1:port/", "is not a URL of the form"), ("http://[::1/", "is not a URL of the form"),
    ("http://me:secret@sf-1/", "the URL of sf-1 has credentials in it: give them in headers"),
    ("http://sf-1/with space", "has characters that HTTP does not allow"),
    ("http://" + "x" * 70 + "/", "has characters that HTTP does not allow"),
])
def test_urls_that_are_none(url, words):
    with pytest.raises(RollingError) as caught:
        Target(url, options()).check()
    assert words in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"A:b": "x"}, {"A": "secret\r\nB: c"}, {"A": "secret \u2603"}])
def test_headers_that_are_none(headers):
    with pytest.raises(RollingError, match="has characters that HTTP does not allow") as caught:
        Target(URL, options(headers=headers)).check()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://sf-1", "https://sf-1:8443/a?b=c", "http://[::1]:13000/"])
def test_urls_that_can_be_asked(url):
    Target(url, options()).check()


# ---- numbers


def test_percentiles_are_near_the_truth():
    numbers, chance = Numbers("x", 0, 0), random.Random(4)
    seconds = sorted(chance.lognormvariate(-5, 2) for dummy in range(5000))
    for value in seconds:
        numbers.count(None, False, value)
    for share in (0.5, 0.9, 0.99):
        assert numbers.percentile(share) == pytest.approx(seconds[int(share * 5000)] * 1000, rel=0.03, abs=0.1)
    report = numbers.report()
    assert report["worst"] == round(seconds[-1] * 1000, 1) and report["requests"] == 5000
    assert len(numbers.buckets) < 400


def test_numbers_of_nothing():
    report = Numbers("x", 0, 7.0).report()
    assert report == dict(name="x", at=7.0, requests=0, failed=0, excused=0, kinds={}, longest_gap=0.0,
                          longest_gap_at=None, longest_gap_url=None, p50=None, p99=None, worst=None, late=0.0,
                          worst_late=0.0)


def test_a_percentile_is_not_more_than_the_worst():
    numbers = Numbers("x", 0, 0)
    numbers.count(None, False, _probe.GROWTH ** 3 + 0.001)  # near the lower end of its bucket
    assert numbers.report()["p50"] == numbers.report()["p99"] == numbers.report()["worst"] == 1158.6


def test_kinds_are_bounded():
    numbers = Numbers("x", 0, 0)
    for number in range(2 * _probe.KINDS):
        for dummy in range(2):
            numbers.count(f"kind {number}", False, 1)
    assert len(numbers.kinds) == _probe.KINDS + 1 and numbers.kinds["other"] == 2 * _probe.KINDS
    assert numbers.failed == sum(numbers.kinds.values()) == numbers.requests


@pytest.mark.parametrize("seconds, step", [(1, 1), (2000, 1), (2001, 2), (4001, 4), (6 * 3600, 16)])
def test_a_curve_is_bounded_and_loses_nothing(seconds, step):
    series = Series()
    for second in range(seconds):
        series.count(second + 0.5, True)
        if second % 100 == 7:
            series.count(second, False)
    report = series.report()
    assert report["step"] == step and len(report["good"]) == len(report["failed"]) <= _probe.POINTS
    assert sum(report["good"]) == seconds and sum(report["failed"]) == len(range(7, seconds, 100))
    assert all(good == step for good in report["good"][:-1])


def test_a_curve_with_a_leap():
    series = Series()
    for second in (0, 100, 10 ** 6, 3):
        series.count(second, True)
    report = series.report()
    assert report["step"] == 512 and report["good"][0] == 3 and report["good"][-1] == 1 and sum(report["good"]) == 4


# ---- the watcher, with a clock of ours


class Idle:
    """A thread that does nothing."""

    def __init__(self, **dummy):
        pass

    def start(self):
        pass


@pytest.fixture
def now(monkeypatch):
    """The clock: now[0] is what it shows; the wall shows a million more."""
    shown = [1000.0]
    monkeypatch.setattr(_probe, "clock", lambda: shown[0])
    monkeypatch.setattr(_probe.time, "time", lambda: shown[0] + 1e6)
    return shown


@pytest.fixture
def watch(now, monkeypatch):
    """Make watchers that send nothing: what becomes of a request is told with end()."""
    monkeypatch.setattr(_probe.threading, "Thread", Idle)

    class Driven(Watcher):
        def send(self):
            before = set(self.under_way)
            self.offer(self.now())
            return (self.under_way - before).pop()

        def pass_by(self, seconds, held_up=False):
            now[0] += seconds
            if not held_up:
                self.wake = now[0]

        def ask(self, failure=None, seconds=0.1, held_up=0.0):
            """One request that takes so long, and was held up meanwhile."""
            request = self.send()
            if held_up:
                self.pass_by(held_up, held_up=True)
                self.now()
            self.pass_by(seconds)
            self.settle(request, failure)

    return lambda *urls, **changes: Driven(options(*urls, **changes))


def test_what_is_counted(watch):
    watcher = watch()
    for failure in (None, "HTTP 503", None):
        watcher.ask(failure)
    report = watcher.report(series=True)
    assert {key: report[key] for key in ("requests", "failed", "excused", "kinds", "p50", "worst", "late")} == dict(
        requests=3, failed=1, excused=0, kinds={"HTTP 503": 1}, p50=pytest.approx(100, rel=0.025), worst=100, late=0)
    assert report["urls"] == [URL] and report["running"] and report["ended"] is None and report["pid"] == os.getpid()
    assert report["at"] == 1001000 and report["seconds"] == 0.3 and report["seen"] == pytest.approx(1001000.3)
    assert report["series"] == dict(step=1, at=1001000, good=[2], failed=[1])
    assert report["failures"] == [dict(
        time=pytest.approx(1001000.1), mark="start", url=URL, connection="kept-alive", seconds=0.1, excused=False,
        words="HTTP 503 after 0.10 s on a kept-alive connection")]
    assert json.loads(json.dumps(report)) == report


def test_the_longest_gap(watch):
    watcher = watch()
    watcher.ask()
    watcher.pass_by(5)
    watcher.ask("timeout")
    watcher.ask()
    watcher.pass_by(1)
    watcher.ask()
    report = watcher.report()
    assert report["longest_gap"] == 5.2 and report["longest_gap_at"] == pytest.approx(1001000.1)
    assert report["longest_gap_url"] == URL


def test_a_gap_that_has_not_ended(watch):
    watcher = watch()
    watcher.pass_by(3)
    assert watcher.report()["longest_gap"] == 3 and watcher.report()["longest_gap_at"] == 1001000
    watcher.pass_by(1)
    assert watcher.report()["longest_gap"] == 4
    watcher.over = watcher.now()  # no request is due any more
    watcher.pass_by(5)
    assert watcher.report()["longest_gap"] == 4


def test_a_url_that_is_gone_is_not_hidden_by_another(watch):
    watcher = watch("http://a/", "http://b/")
    for dummy in range(10):
        watcher.ask()
        watcher.ask("HTTP 503")
    report = watcher.report()
    assert report["longest_gap"] == 2 and report["longest_gap_url"] == "http://b/"


def test_both_kinds_of_connections_for_each_url(watch):
    watcher = watch("http://a/", "http://b/")
    sent = [watcher.send() for dummy in range(4)]
    assert [(request.target.url, request.fresh) for request in sent] == [
        ("http://a/", True), ("http://b/", True), ("http://a/", False), ("http://b/", False)]


def test_first_and_last_failures(watch):
    watcher = watch()
    for number in range(50):
        watcher.ask(f"HTTP {500 + number}")
    words = [failure["words"][:8] for failure in watcher.report()["failures"]]
    assert words == [f"HTTP {500 + number}" for number in [*range(10), *range(40, 50)]]


def test_time_in_which_the_watcher_was_held_up_is_not_the_services(watch, now):
    watcher = watch()
    watcher.ask()
    request = watcher.send()
    watcher.pass_by(30, held_up=True)
    watcher.settle_overdue()
    assert request in watcher.under_way  # it has had no time yet
    watcher.pass_by(0.2)
    watcher.settle(request, None)
    report = watcher.report()
    assert (report["late"], report["worst_late"]) == (30, 30)
    assert report["longest_gap"] == 0.2 and report["worst"] == 200 and report["failed"] == 0
    watcher.pass_by(_probe.LATE - 0.01, held_up=True)
    assert watcher.report()["late"] == 30
    watcher.wake = now[0]
    watcher.pass_by(_probe.LATE + 1, held_up=True)
    assert watcher.report()["late"] == 31.25 and watcher.report()["worst_late"] == 30


def test_the_watcher_may_be_held_up_at_any_moment(watch, now, monkeypatch):
    """Also after it has looked at the clock and before it waits."""
    def hold_up(dummy):
        now[0] += 30

    monkeypatch.setattr(Idle, "start", hold_up)
    watcher = watch()
    watcher.written = watcher.now()  # else it would look at the clock once more, to write
    tick(watcher)
    assert watcher.number == 1 and watcher.report()["late"] == pytest.approx(30, abs=2 * _probe.TICK)
    assert watcher.report()["longest_gap"] <= 2 * _probe.TICK


def test_no_requests_are_due_in_time_in_which_the_watcher_was_held_up(watch):
    watcher = watch(rate=1.0)
    watcher.pass_by(2.5)
    tick(watcher)
    assert watcher.number == 3
    watcher.pass_by(1000, held_up=True)
    tick(watcher)
    assert watcher.number == 3
    watcher.pass_by(1)
    tick(watcher)
    assert watcher.number == 4


def test_each_url_is_asked_at_the_rate(watch):
    watcher = watch("http://a/", "http://b/", rate=1.0)
    watcher.pass_by(2.6)
    tick(watcher)
    assert sorted(request.target.url for request in watcher.under_way) == 3 * ["http://a/"] + 3 * ["http://b/"]


@pytest.mark.parametrize("failure, held_up, excused", [
    # The client's own limit came before the service had its time.
    ("timeout", 30, True),
    # What the service did.
    ("reset", 30, False), ("reset on a kept-alive connection", 30, False), ("short body", 30, False),
    ("HTTP 408", 30, False), ("HTTP 503", 30, False), ("connection refused", 30, False),
    ("Connection timed out", 30, False), ("reset", 0, False),
])
def test_who_is_to_blame(watch, failure, held_up, excused):
    watcher = watch(timeout=10.0)
    watcher.ask(failure, held_up=held_up)
    report = watcher.report()
    assert (report["failed"], report["excused"]) == (int(not excused), int(excused))
    assert report["kinds"] == {f"{failure} (excused)" if excused else failure: 1}
    told = report["failures"][0]
    assert told["excused"] is excused
    assert told["words"].endswith(f"; the watcher itself was held up for {held_up:.2f} s meanwhile") is bool(held_up)


def test_a_stall_of_the_watcher_excuses_no_server_that_resets_everything(watch):
    watcher = watch()
    for number in range(61):
        watcher.ask("reset", held_up=0.3 if number % 4 == 0 else 0)
    report = watcher.report()
    assert (report["requests"], report["failed"], report["excused"]) == (61, 61, 0) and report["late"] > 4


def test_a_timeout_in_time_of_the_watcher_is_the_services(watch):
    """It was held up, and the service has had all its time nevertheless."""
    watcher = watch(timeout=10.0)
    request = watcher.send()
    watcher.pass_by(30, held_up=True)
    watcher.settle_overdue()
    assert request in watcher.under_way
    watcher.pass_by(10)
    watcher.settle_overdue()
    assert (watcher.report()["failed"], watcher.report()["excused"]) == (1, 0)


def test_the_time_of_a_request_begins_when_it_was_due(watch):
    watcher = watch(timeout=10.0)
    watcher.offer(watcher.now() - 0.2)
    watcher.pass_by(9.9)
    watcher.settle_overdue()
    assert watcher.report()["kinds"] == {"timeout": 1}


def test_a_request_that_takes_too_long_is_counted_once(watch):
    watcher = watch(timeout=2.0)
    request = watcher.send()
    watcher.pass_by(1.9)
    watcher.settle_overdue()
    assert watcher.report()["under_way"] == 1
    watcher.pass_by(0.1)
    watcher.settle_overdue()
    watcher.settle(request, None)  # its thread wakes up
    report = watcher.report()
    assert request.expired and report["kinds"] == {"timeout": 1} and report["requests"] == 1
    assert report["under_way"] == 0 and report["longest_gap"] == 2


def test_requests_that_cannot_be_sent(watch, monkeypatch):
    watcher = watch()
    monkeypatch.setattr(_probe, "UNDER_WAY", 2)
    for dummy in range(3):
        watcher.offer(watcher.now())
    assert watcher.report()["kinds"] == {"not sent: 2 requests have not come to an end": 1}

    def fail(dummy):
        raise RuntimeError("can't start new thread")
    monkeypatch.setattr(Idle, "start", fail)
    watcher.threads = 0
    watcher.offer(watcher.now())
    assert watcher.report()["kinds"]["not sent: can't start new thread"] == 1 and watcher.threads == 0


# ---- marks


def test_before_and_since(watch):
    watcher = watch(timeout=5.0)
    watcher.ask("HTTP 500")
    watcher.pass_by(100)
    for dummy in range(10):
        watcher.ask(seconds=0.2)
    assert watcher.report()["before"] is watcher.report()["since"] is None
    watcher.mark("roll")
    watcher.ask(seconds=0.5)
    watcher.mark("sf-1")
    watcher.ask("HTTP 503")
    watcher.pass_by(3)
    watcher.ask()
    report = watcher.report()
    before, since = report["before"], report["since"]
    assert (before["requests"], before["failed"], before["worst"]) == (10, 0, 200)
    assert before["at"] == pytest.approx(report["marks"][1]["at"] - 60)
    assert (since["requests"], since["failed"], since["longest_gap"], since["worst"]) == (3, 1, 3.2, 500)
    assert [(mark["name"], mark["requests"], mark["failed"]) for mark in report["marks"]] == [
        ("start", 11, 1), ("roll", 1, 0), ("sf-1", 2, 1)]
    assert [failure["mark"] for failure in report["failures"]] == ["start", "sf-1"]
    assert report["requests"] == 14


def test_the_minute_before_counts_a_gap_that_ended_in_it(watch):
    watcher = watch()
    watcher.ask()
    watcher.pass_by(50)
    watcher.ask()
    watcher.pass_by(7)
    watcher.ask()
    watcher.pass_by(30)
    watcher.mark("roll")
    assert watcher.report()["before"]["longest_gap"] == 50.1


def test_the_minute_before_may_be_shorter_or_empty(watch):
    watcher = watch()
    watcher.ask("HTTP 503")
    watcher.pass_by(10)
    watcher.mark("roll")
    before = watcher.report()["before"]
    assert before["failed"] == 1 and before["at"] == pytest.approx(watcher.at)
    watcher.pass_by(_probe.BASELINE)
    watcher.mark("roll")
    assert watcher.report()["before"]["requests"] == 0


def test_the_minute_before_is_all_that_is_remembered(watch):
    watcher = watch()
    for dummy in range(200):
        watcher.ask(seconds=1)
    assert len(watcher.recent) == 61


def test_a_second_roll_begins_anew(watch):
    watcher = watch()
    watcher.mark("roll")
    watcher.ask("HTTP 503")
    watcher.mark("roll")
    watcher.ask()
    report = watcher.report()
    assert (report["before"]["failed"], report["since"]["failed"], report["since"]["requests"]) == (1, 0, 1)
    assert [mark["name"] for mark in report["marks"]] == ["start", "roll", "roll"]


def test_the_same_mark_again_changes_nothing(watch):
    watcher = watch()
    for name in ("sf-1", "sf-1", "sf-2", "sf-1"):
        watcher.mark(name)
    assert [mark["name"] for mark in watcher.report()["marks"]] == ["start", "sf-1", "sf-2", "sf-1"]


def test_a_request_belongs_to_the_mark_at_which_it_was_sent(watch):
    watcher = watch()
    watcher.mark("sf-1")
    request = watcher.send()
    watcher.mark("sf-2")
    watcher.settle(request, "timeout")
    assert [mark["failed"] for mark in watcher.report()["marks"]] == [0, 1, 0]
    assert watcher.report()["failures"][0]["mark"] == "sf-1"


def test_a_gap_belongs_to_all_marks_that_it_overlaps(watch):
    watcher = watch()
    watcher.ask()
    watcher.mark("sf-1")
    watcher.ask()
    for name in ("sf-2", "sf-3"):
        watcher.pass_by(2)
        watcher.mark(name)
    watcher.ask()
    assert [mark["longest_gap"] for mark in watcher.report()["marks"]] == [0.1, 4.1, 4.1, 4.1]


def test_marks_are_bounded(watch, now):
    watcher = watch()
    for number in range(_probe.MARKS + 10):
        watcher.mark(f"sf-{number}")
    watcher.ask("HTTP 503")
    report = watcher.report()
    assert len(report["marks"]) == _probe.MARKS and report["marks"][-1]["name"] == f"sf-{_probe.MARKS + 9}"
    assert report["failed"] == 1
    watcher.pass_by(3, held_up=True)
    assert watcher.report()["marks"][-1]["late"] == 3 and watcher.report()["marks"][0]["late"] == 0


# ---- what it says and writes


def state(place):
    return json.loads((place / _probe.STATE).read_text())


def test_it_is_written_whole(watch, place):
    watcher = watch()
    watcher.ask("HTTP 503")
    watcher.try_to_write()
    assert os.listdir(place) == [_probe.STATE] and (place / _probe.STATE).stat().st_mode & 0o777 == 0o600
    written = state(place)
    assert written["report"]["failed"] == 1 and written["boot"] == _probe.boot_id() and written["timeout"] == 10
    assert written["report"]["series"]["failed"] == [1]


def test_a_link_is_not_written_through(watch, place, tmp_path):
    (tmp_path / "other").write_text("untouched")
    (place / f"{_probe.STATE}.part").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        watch().write()
    assert (tmp_path / "other").read_text() == "untouched"


def test_a_watcher_whose_directory_is_removed_ends(watch, place):
    (place / "x").mkdir()
    os.chdir(place / "x")
    (place / "x").rmdir()
    watcher = watch()
    watcher.try_to_write()
    assert watcher.ended == "its directory was removed"


def test_a_full_disk_does_not_end_it(watch, monkeypatch):
    def fail(*dummy):
        raise OSError(errno.ENOSPC, "No space left on device")
    watcher = watch()
    monkeypatch.setattr(watcher, "write", fail)
    watcher.try_to_write()
    assert watcher.ended is None


def tick(watcher, question=None):
    """One round in which a module asks; returns what it is told."""
    path = _probe.SOCKET
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        if question is not None:
            client.settimeout(60)
            client.connect(path)
            client.sendall(question)
        watcher.tick(listener)
        os.unlink(path)
        if question is None or watcher.stopper:
            return None
        data = b"".join(iter(lambda: client.recv(65536), b""))
        return json.loads(data) if data else None


def test_it_answers(watch, place):
    watcher = watch()
    answer = tick(watcher, b'{"mark": "sf-1"}\n')
    assert answer["report"]["marks"][-1]["name"] == "sf-1" and set(answer) == {"report"}
    assert "series" not in answer["report"]
    assert state(place)["report"]["marks"][-1]["name"] == "sf-1"
    others = dict(watcher.options, rate=7.0, headers={"A": "b"})
    answer = tick(watcher, json.dumps(dict(options=others)).encode() + b"\n")
    assert answer["differs"] == ["headers", "rate"] and "headers" not in answer["options"]
    assert answer["options"]["rate"] == 5
    assert tick(watcher, json.dumps(dict(options=watcher.options)).encode() + b"\n")["differs"] == []


@pytest.mark.parametrize("question", [b"", b"\n", b'{"mark"', b"nonsense\n"])
def test_who_asks_nonsense_holds_nobody_up(watch, monkeypatch, question):
    monkeypatch.setattr(_probe, "CLIENT_TIMEOUT", 0.05)
    watcher = watch()
    assert tick(watcher, question) is None
    assert watcher.ended is None


@pytest.mark.parametrize("limits, seconds, ended", [
    (dict(max_seconds=5.0), 4.9, None), (dict(max_seconds=5.0), 5, "it had watched for 5 s (max_seconds)"),
    (dict(idle_seconds=5.0), 4.9, None), (dict(idle_seconds=5.0), 5, "nobody had read it for 5 s (idle_seconds)"),
])
def test_it_ends_by_itself(watch, limits, seconds, ended):
    watcher = watch(**limits)
    watcher.pass_by(seconds)
    tick(watcher)
    assert watcher.ended == ended


@pytest.mark.parametrize("starts, ended", [
    (["7", "7"], None), (["7", "8"], "process 4711, which it was to watch for, had ended"),
    (["7", ""], "process 4711, which it was to watch for, had ended"),
    ([""], "process 4711, which it was to watch for, had ended")])
def test_it_ends_with_whom_it_watches_for(watch, monkeypatch, starts, ended):
    left = list(starts)
    monkeypatch.setattr(_probe, "process_started", lambda pid: {4711: left}[pid].pop(0))
    watcher = watch(owner=4711)
    tick(watcher)
    assert watcher.ended == ended


def test_who_reads_keeps_it_alive(watch):
    watcher = watch(idle_seconds=5.0)
    for dummy in range(3):
        watcher.pass_by(4)
        tick(watcher, b"{}\n")
    assert watcher.ended is None


def test_it_is_written_from_time_to_time(watch, place):
    watcher = watch()
    for dummy in range(3):
        tick(watcher)
        seen = state(place)["report"]["seen"]
        watcher.pass_by(_probe.WRITE_EVERY - 0.1)
        tick(watcher)
        assert state(place)["report"]["seen"] == seen
        watcher.pass_by(0.1)


def test_the_requests_under_way_are_waited_for(service, place):
    service.behaviour = "hang"
    watcher = Watcher(options(service.url, timeout=0.3, rate=50.0))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("socket")
        listener.listen()
        thread = Thread(target=watcher.run, args=(listener, lambda: None), daemon=True)
        thread.start()
        assert wait_for(service.count, 60)
        client.connect("socket")
        client.sendall(b'{"stop": true}\n')
        thread.join(60)
        report = json.loads(client.recv(1000000))["report"]
    assert report["under_way"] == 0 and report["requests"] == watcher.number == report["failed"]
    assert report["kinds"] == {"timeout": report["failed"]} and report["ended"] == "stopped"
    assert state(place)["report"]["requests"] == report["requests"] and not state(place)["report"]["running"]


def test_whoever_has_stopped_it_may_be_gone(service, place):
    watcher = Watcher(options(service.url))
    one, other = socket.socketpair()
    other.close()
    watcher.stopper, watcher.ended = one, "stopped"
    with socket.socket(socket.AF_UNIX) as listener:
        watcher.run(listener, lambda: None)
    one.close()
    assert state(place)["report"]["ended"] == "stopped"


# ---- the process, as far as it does no harm to this one


def test_a_fault_of_the_watcher_is_told(place, monkeypatch):
    def fail(*dummy):
        raise KeyError("fault")
    handlers = {}
    monkeypatch.setattr(_probe.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(_probe.Watcher, "tick", fail)
    comm = open("/proc/self/comm", encoding="ascii").read().strip()
    try:
        with pytest.raises(KeyError):
            _probe.live(options(), lambda: None)
        assert open("/proc/self/comm", encoding="ascii").read().strip() == "rolling-probe"
    finally:
        with open("/proc/self/comm", "w", encoding="ascii") as stream:
            stream.write(comm)
    assert state(place)["report"]["ended"] == "of a fault of its own, KeyError: 'fault'"
    assert not state(place)["report"]["running"]
    assert set(handlers) == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def test_without_proc(place, monkeypatch):
    def fail(*dummy, **more):
        raise FileNotFoundError(2, "no /proc")
    handlers = {}
    monkeypatch.setattr(_probe.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(_common, "open", fail, raising=False)
    (place / _probe.SOCKET).write_text("left behind by one that died")
    ready = []

    def start():
        ready.append(1)
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    _probe.live(options(), start)
    assert ready and state(place)["report"]["ended"] == "it got signal 15" and state(place)["boot"] == ""
