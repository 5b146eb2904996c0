# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import os
import random
import select
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
        self.volumes = {}       # what is to be seen of each, one at each look; the last one stays
        self.created = ['creating', 'available']
        self.deleted = ['deleting', 404]
        self.posts = []         # statuses of the first answers, instead of 202
        self.deletes = []       # the same, and whether the volume is deleted all the same
        self.asked = []         # method, path and time of each request for volumes
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
        body = b'' if status == 202 and value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body) + claim))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.close_connection = True
        self.connection.close()

    def look(self):
        self.server.asked.append((self.command, self.path, time.monotonic()))
        seen = self.server.volumes[self.path]
        status = seen.pop(0) if len(seen) > 1 else seen[0]
        if isinstance(status, int):
            self.answer(status)
        else:
            self.answer(value={'volume': {'id': os.path.basename(self.path), 'status': status}} if status else 'what?')

    def do_DELETE(self):
        self.server.asked.append((self.command, self.path, time.monotonic()))
        status, done = self.server.deletes.pop(0) if self.server.deletes else (202, True)
        if done:
            self.server.volumes[self.path] = list(self.server.deleted)
        self.answer(status)

    def create(self, volume):
        assert volume['size'] == 1 and volume['name'].startswith('availability-')
        self.server.asked.append((self.command, self.path, time.monotonic()))
        status = self.server.posts.pop(0) if self.server.posts else None
        if status:
            self.answer(status, 'what?')
            return
        path = '%s/%d' % (self.path, len(self.server.asked))
        self.server.volumes[path] = list(self.server.created)
        self.answer(202, {'volume': {'id': os.path.basename(path), 'status': 'creating'}})

    def do_GET(self):
        if self.path in self.server.volumes:
            self.look()
            return
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
        if 'volume' in note:
            time.sleep(0.5 if self.path.endswith('?slow') else 0)
            self.create(note['volume'])
            return
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


def test_volumes_keep_to_the_rate(service, monkeypatch):
    """Each is asked for once in a while, and half of the requests or more are for others."""
    monkeypatch.setattr(availability, 'LOOK_EVERY', 0.2)
    service.created = ['creating'] * 8 + ['available']
    report = probe(service, duration=2.0, rate=50, notes='/notes', gets=[('/', None), ('/secret', 401)],
                   volumes=('/volumes', 10))
    assert report['failed'] == 0 and report['acknowledged'] == 10 == len(service.notes)
    counts = {'created': 10, 'available': 10, 'deleted': 10, 'error': 0, 'stuck': 0, 'lost': 0}
    assert report['volumes'] == dict(counts, first_failures=[])
    assert report['sent']['writes'] == 10 + 10 + 10 and report['rate'] <= 50
    assert report['requests'] == report['answered'] - 1 == len(service.asked) + service.count - 1
    assert service.count - 1 - 10 >= 40
    for path in service.volumes:
        times = [when for dummy, asked, when in service.asked if asked == path]
        assert len(times) == 9 + 1 + 2 and min(after - when for when, after in zip(times, times[1:])) >= 0.2
    words = availability.summary(report)
    assert '\nvolumes: 10 created, 10 available, 10 deleted; 0 in error, 0 stuck, 0 lost\n' in words


LIVES = {
    'all well': ({}, {'available': 1, 'deleted': 1}, {}),
    'it takes long': ({'created': ['creating'] * 20 + ['available']}, {'available': 1, 'deleted': 1}, {}),
    'at once': ({'created': ['available'], 'deleted': [404]}, {'available': 1, 'deleted': 1}, {}),
    'error': ({'created': ['creating', 'error']}, {'error': 1}, {}),
    'error deleting': ({'deleted': ['deleting', 'error_deleting']}, {'available': 1, 'error': 1}, {}),
    'stuck in creating': ({'created': ['creating']}, {'stuck': 1}, {}),
    'stuck in deleting': ({'deleted': ['deleting']}, {'available': 1, 'stuck': 1}, {}),
    'not deleted though acknowledged': ({'deleted': ['available']}, {'available': 1, 'stuck': 1}, {}),
    'lost': ({'created': ['creating', 404]}, {'lost': 1}, {}),
    'lost before its deletion': ({'deletes': [(404, True)], 'deleted': [404]}, {'available': 1, 'lost': 1}, {}),
    'one look fails': ({'created': ['creating', 503, 'available']}, {'available': 1, 'deleted': 1}, {'HTTP 503': 1}),
    'a look sees none': ({'created': ['creating', None, 'available']}, {'available': 1, 'deleted': 1},
                         {'no volume in the answer': 1}),
    'a deletion fails': ({'deletes': [(503, False)]}, {'available': 1, 'deleted': 1}, {'HTTP 503': 1}),
    'a deletion fails after it was done': ({'deletes': [(502, True)]}, {'available': 1, 'deleted': 1}, {'HTTP 502': 1}),
    'the creation fails': ({'posts': [503]}, {'created': 0}, {'HTTP 503': 1}),
    'the creation says nothing': ({'posts': [202]}, {'created': 0}, {'no volume in the answer': 1}),
}


@pytest.mark.parametrize('life', LIVES)
def test_the_life_of_a_volume(service, monkeypatch, life):
    monkeypatch.setattr(availability, 'LOOK_EVERY', 0.05)
    ways, counts, kinds = LIVES[life]
    for name, value in ways.items():
        setattr(service, name, list(value))
    # Where it is not to be stuck it has time, on a busy machine, too.
    report = probe(service, duration=0.1, volumes=('/volumes', 10), volume_limit=3.0 if 'stuck' in counts else 30.0)
    assert report['failed_by_kind'] == kinds and report['failed'] == sum(kinds.values())
    found, failures = report['volumes'], report['volumes'].pop('first_failures')
    assert found == dict.fromkeys(found, 0) | {'created': 1} | counts
    assert [failure['end'] for failure in failures] == [end for end in availability.BAD_ENDS if found[end]]
    for failure in failures:
        assert failure['path'] in service.volumes
        assert report['began'] <= failure['began'] < failure['time'] <= time.time()
        report['volumes']['first_failures'] = failures
        assert '/volumes/1  %s (%s)\n' % (failure['end'], failure['status']) in availability.summary(report)
    deletions = [method for method, dummy, dummy in service.asked].count('DELETE')
    assert deletions == found['available'] + (life == 'a deletion fails')


def test_the_wait_for_volumes_has_an_end(service, monkeypatch):
    monkeypatch.setattr(availability, 'LOOK_EVERY', 0.05)
    service.created = [503]
    report = probe(service, duration=0.1, timeout=2.0, volumes=('/volumes', 10), volume_limit=0.5)
    assert report['volumes']['stuck'] == 1 and report['volumes']['first_failures'][0]['status'] == 'acknowledged'
    assert 'no end within the timeout' not in report['failed_by_kind'] and report['failed'] > 1


def test_a_creation_that_is_answered_too_late_has_failed(service):
    """Nobody has looked in between, and nothing follows from it."""
    prober = availability.Prober(service.url + '/api', timeout=5.0, volumes=('/volumes', 10))
    prober.last_good = time.monotonic()
    for waited, created, kinds in ((0, 1, {}), (4.7, 1, {'timeout': 1})):
        job = prober.plan(0, time.monotonic() - waited, random.Random())
        job.path = '/volumes?slow'
        prober.work(availability.Worker(prober), job)
        assert dict(prober.kinds) == kinds and prober.ends['created'] == created == len(prober.waiting)


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
    prober = availability.Prober(service.url + '/api')
    for dummy in range(availability.KEPT_ALIVE + 5):
        assert prober.ask(availability.Job(0, '/', fresh=False))[0] == 200
        # The end of the connection has arrived before it is used again.
        assert select.select([prober.idle[-1][0].sock], [], [], 30)[0]
    assert prober.reopened == 5


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

    service.created = ['creating', 'error']
    result = command(service.url, '--duration', '0.5', '--volumes', '/volumes:50', '--volume-limit', '30',
                     '--json', '-')
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report['verdict'] == 'failed' and report['failed'] == 0 and report['volumes']['error'] == 1
    assert 'volumes: 1 created, 0 available, 0 deleted; 1 in error' in result.stderr


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
    (['http://127.0.0.1/', '--volumes', 'x'], 'PATH:EVERY'),
    (['http://127.0.0.1/', '--volumes', '/x:9'], 'PATH:EVERY with at least 10'),
    (['http://127.0.0.1/', '--header', 'x'], 'Name: value'),
    (['http://127.0.0.1:1/'], 'does not answer: connection refused'),
    (['http://127.0.0.1:x/'], 'could not be cast to integer'),
])
def test_wrong_usage(argv, words):
    result = command(*argv)
    assert result.returncode == 2 and words in result.stderr
