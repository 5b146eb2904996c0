# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools')
sys.path.insert(0, os.path.join(TOOLS, 'lib'))

import availability  # noqa: E402  pylint: disable=wrong-import-position


class Service(http.server.ThreadingHTTPServer):
    """Answers like the lab; `faults` maps the number of a request to the way it goes wrong."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.notes = []
        self.count = 0
        self.faults = {}
        self.forget = 0
        self.stall = threading.Event()
        self.stall.set()
        self.silent_from = None
        self.slow = 0
        self.close_idle = False
        self.url = 'http://127.0.0.1:%d' % self.server_address[1]

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass

    def answer(self, status=200, value=None, claim=0):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body) + claim))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        self.server.count += 1
        if self.server.count == self.server.silent_from:
            self.server.stall.clear()
        self.server.stall.wait(20)
        fault = self.server.faults.get(self.server.count)
        if fault == 'reset':
            self.reset()
        elif fault == 'close':
            self.close_connection = True
        elif fault == 'short':
            self.answer(claim=10)
            self.close_connection = True
        elif fault == 'drip':
            for dummy in range(100):
                self.wfile.write(b'HTTP/1.1 200 OK\r\nX-Slow: ' if dummy == 0 else b'.')
                self.wfile.flush()
                time.sleep(0.1)
        elif fault == 'headers':
            self.wfile.write(b'HTTP/1.1 200 OK\r\nX-Cut: ')
            self.close_connection = True
        elif fault == 'garbage':
            self.wfile.write(b'what?\r\n\r\n')
            self.close_connection = True
        elif fault:
            self.answer(fault)
        elif self.path.startswith('/api/slow'):
            self.server.slow += 1
            time.sleep(0.5)
            self.answer()
        elif self.path == '/api/secret':
            self.answer(401)
        elif self.path == '/api/header':
            self.answer(200 if self.headers['X-Key'] == 'k: v' else 403)
        elif self.path == '/api/notes':
            self.answer(value={'ids': self.server.notes})
        else:
            self.answer(value='hello')
        if self.server.close_idle:
            self.close_connection = True  # without having said so

    def do_POST(self):
        note = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.count += 1
        fault = self.server.faults.get(self.server.count)
        if fault:
            self.answer(fault)
            return
        if self.server.forget:
            self.server.forget -= 1
        else:
            self.server.notes.append(note['id'])
        self.answer(value={'id': note['id']})


@pytest.fixture
def service():
    server = Service()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
    thread.start()
    yield server
    server.stall.set()
    server.shutdown()
    server.server_close()


def probe(service, duration=1.0, **options):
    options.setdefault('rate', 100)
    options.setdefault('timeout', 30.0)
    prober = availability.Prober(service.url + '/api', **options)
    prober.run(duration)
    prober.read_back()
    return prober.report()


def stall(service, prober):
    """The service answers nothing more, until 60 requests more were due since its last answer."""
    while prober.good < 20:
        time.sleep(0.01)
    service.stall.clear()
    good = due = 0
    while prober.offered < due + 60 and not prober.ended:
        if prober.good != good:
            good, due = prober.good, prober.offered
        time.sleep(0.01)
    service.stall.set()


def stalled(service, duration):
    prober = availability.Prober(service.url + '/api', rate=100, timeout=30.0)
    thread = threading.Thread(target=stall, args=(service, prober), daemon=True)
    thread.start()
    prober.run(duration)
    thread.join()
    return prober.report()


def test_all_well(service):
    report = probe(service, notes='/notes', gets=[('/', None), ('/secret', 401)], slow=[('/slow?seconds=0.5', 0.4)])
    assert report['failed'] == 0 and report['lost'] == 0
    assert report['sent']['reads'] + report['sent']['writes'] == 100
    assert report['sent']['writes'] == 10 == report['acknowledged'] == len(service.notes)
    assert report['sent']['slow'] == 2
    assert report['sent']['fresh'] > 20 and report['sent']['kept_alive'] > 20
    assert report['requests'] == 102 == report['answered'] - 1  # and the list at the end
    # On a busy machine an answer may take its time; then it is no less a gap.
    assert 0 < report['p50'] <= report['worst'] and report['longest_gap'] < 0.3 + report['worst']
    words = availability.summary(report)
    assert '\nfailed 0\nlost 0 of 10 acknowledged writes\n' in words


@pytest.mark.parametrize('fault, kind', [
    (503, 'HTTP 503'),
    (404, 'HTTP 404'),
    (302, 'HTTP 302'),
    ('reset', 'reset'),
    ('close', 'reset'),
    ('short', 'short body'),
    ('garbage', 'garbled answer'),
    ('drip', 'timeout'),
    ('headers', 'short body'),
])
def test_one_fault_is_one_failure(service, fault, kind):
    service.faults = {20: fault}
    # Where the fault is a timeout all other requests have to end within it, on a busy machine, too.
    slowly = {'duration': 2.5, 'rate': 20, 'timeout': 3.0} if kind == 'timeout' else {'duration': 0.5, 'timeout': 30.0}
    report = probe(service, **slowly)
    assert report['requests'] == 50
    assert report['failed'] == 1
    (found, count), = report['failed_by_kind'].items()
    assert count == 1 and found.startswith(kind)
    failure, = report['first_failures']
    assert failure['path'] == '/api/' and report['began'] <= failure['time'] <= time.time()
    assert '\nfailed 1\n' in availability.summary(report)


def test_wrong_status_for_an_expected_one(service):
    report = probe(service, duration=0.2, gets=[('/', 401)])
    assert report['failed_by_kind'] == {'HTTP 200': 20}


def test_lost_write(service):
    service.forget = 2
    report = probe(service, notes='/notes')
    assert report['failed'] == 0 and report['lost'] == 2
    assert '\nlost 2 of 10 acknowledged writes\n' in availability.summary(report)


def test_a_refused_write_is_not_lost_but_failed(service):
    service.faults = {10: 503}
    report = probe(service, notes='/notes')
    assert report['failed_by_kind'] == {'HTTP 503': 1} and report['lost'] == 0


def test_writes_that_cannot_be_read_back(service):
    service.faults = {51: 500}
    report = probe(service, duration=0.5, notes='/notes')
    assert report['failed_by_kind'] == {'writes not read back: HTTP 500': 1}
    assert 'lost unknown of 5' in availability.summary(report)


def test_a_stall_does_not_reduce_the_load(service):
    report = stalled(service, 2.0)
    assert report['requests'] == 200 and report['failed'] == 0
    assert 0.5 < report['longest_gap'] < report['seconds']
    assert report['p99'] > 0.4


def test_a_service_that_falls_silent(service):
    service.silent_from = 15
    report = probe(service, duration=2.0, timeout=2.0, rate=50)
    assert 80 < report['failed_by_kind']['timeout'] < 100
    assert report['longest_gap'] > 0.6


def test_every_request_has_its_time_from_when_it_was_due(service, monkeypatch):
    """Also one that has waited for a thread because the service keeps all of them."""
    monkeypatch.setattr(availability, 'MAX_THREADS', 10)
    prober = availability.Prober(service.url + '/api', rate=50, timeout=1.0)
    service.stall.clear()

    def end_stall():
        # By then 100 requests or more were due, each more than a second ago.
        while prober.offered < 160:
            time.sleep(0.01)
        service.stall.set()

    thread = threading.Thread(target=end_stall, daemon=True)
    thread.start()
    prober.run(4.0)
    thread.join()
    report = prober.report()
    assert report['requests'] == 200 and 100 <= report['failed'] < 200
    assert report['failed_by_kind']['timeout before it was sent'] > 50


def test_an_answer_after_its_time_is_a_failure(service):
    """Nobody has looked in between."""
    prober = availability.Prober(service.url + '/api', timeout=5.0)
    prober.last_good = time.monotonic()
    for waited, kinds in ((0, {}), (4.7, {'timeout': 1})):
        prober.work(availability.Worker(prober), availability.Job(time.monotonic() - waited, '/slow'))
        assert dict(prober.kinds) == kinds


def test_a_lack_of_threads_shows_as_late(service, monkeypatch):
    monkeypatch.setattr(availability, 'MAX_THREADS', 5)
    report = stalled(service, 2.0)
    assert report['requests'] == 200 and report['failed'] == 0
    assert report['late'] > 10 and 0.25 < report['worst_late'] < report['worst']
    assert 'started late' in availability.summary(report)


def test_closed_while_idle_is_reopened_before_sending(service):
    service.close_idle = True
    # Slowly, so that the end of a connection arrives before it is used again.
    report = probe(service, rate=40, duration=2.0)
    assert report['failed'] == 0 and report['requests'] == 80
    assert report['reopened'] > 10


def test_reset_of_a_kept_alive_connection_is_a_failure(service):
    service.faults = dict.fromkeys(range(60, 80), 'close')
    report = probe(service)
    assert report['failed'] == 20
    assert report['failed_by_kind']['reset on a kept-alive connection'] >= 1


def test_nobody_listens_in_between(service):
    prober = availability.Prober(service.url, rate=100)
    prober.ask(availability.Job(0, '/'))
    service.shutdown()
    service.server_close()
    prober.run(0.3)
    assert prober.report()['failed_by_kind'] == {'connection refused': 30}


def command(*argv):
    return subprocess.run([os.path.join(TOOLS, 'availability')] + list(argv), check=False, capture_output=True,
                          text=True, timeout=60)


def test_command(service, tmp_path):
    target = tmp_path / 'report.json'
    result = command(service.url + '/api/', '--duration', '0.5', '--get', '/header', '--get', '/secret=401',
                     '--header', 'X-Key: k: v', '--notes', '/notes', '--json', str(target))
    assert result.returncode == 0, result.stderr
    assert 'failed 0' in result.stdout and 'lost 0' in result.stdout
    report = json.loads(target.read_text())
    assert report['verdict'] == 'ok' and report['requests'] == 50

    service.faults = {service.count + 10: 503}
    result = command(service.url, '--duration', '0.5', '--json', '-')
    assert result.returncode == 1
    assert json.loads(result.stdout)['failed_by_kind'] == {'HTTP 503': 1}
    assert 'failed 1' in result.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_load_and_loses_nothing(service, number):
    process = subprocess.Popen([os.path.join(TOOLS, 'availability'), service.url + '/api', '--slow', '/slow:0.3',
                                '--rate', '50'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert 'at 50 requests a second' in process.stderr.readline()
    limit = time.monotonic() + 60
    while service.slow < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(number)
    output, dummy = process.communicate(timeout=60)
    assert process.returncode == 0
    assert 'failed 0' in output and 'lost 0' in output and ' %d slow' % service.slow in output


@pytest.mark.parametrize('argv, words', [
    ([], 'required'),
    (['ftp://127.0.0.1/'], 'is not an http'),
    (['127.0.0.1:80'], 'is not an http'),
    (['http://127.0.0.1/', '--rate', '0'], 'not a number above 0'),
    (['http://127.0.0.1/', '--get', 'x'], 'begins with /'),
    (['http://127.0.0.1/', '--slow', '/x:0'], 'PATH:SECONDS'),
    (['http://127.0.0.1/', '--header', 'x'], 'Name: value'),
    (['http://127.0.0.1:1/'], 'does not answer: connection refused'),
    (['http://127.0.0.1:x/'], 'could not be cast to integer'),
])
def test_wrong_usage(argv, words):
    result = command(*argv)
    assert result.returncode == 2 and words in result.stderr
