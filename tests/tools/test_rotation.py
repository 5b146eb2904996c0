# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import rotation  # noqa: E402  pylint: disable=wrong-import-position

NAMES = {what: number for number, what in rotation.EVENTS.items()}

ROLL = [  # seconds, unit, what; the window is seen from 0.04 to 8.0
    (0.0, 'sf-api', 'stopping'),
    (5.1, 'sf-api', 'stopped'),
    (5.5, 'sf-database', 'stopping'),
    (5.6, 'sf-database', 'stopped'),
    (5.6, 'sf-database', 'starting'),
    (5.9, 'sf-database', 'started'),
    (6.0, 'sf-net', 'stopping'),
    (6.1, 'sf-api', 'started'),
    (6.4, 'sf-net', 'started'),
]


class Node:
    """An sf-api whose workers take one connection each, one after the other, without keep-alive."""

    def __init__(self, workers=5):
        self.ready = [True] * workers
        self.holding = set()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        for number in range(workers):
            threading.Thread(target=self.work, args=(number,), daemon=True).start()

    def work(self, number):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.holding.add(number)
            with connection:
                try:
                    asked = connection.recv(4096)
                    self.holding.discard(number)
                    if asked:
                        status = b'200 ready' if self.ready[number] else b'503 not ready'
                        connection.sendall(b'HTTP/1.1 %s\r\nConnection: close\r\n\r\n' % status)
                except OSError:
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def until(condition):
    limit = time.monotonic() + 60
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def node(monkeypatch):
    service = Node()
    # However slow the machine: connections are held until each worker has one.
    held = SimpleNamespace(time=time.time, sleep=lambda dummy: until(lambda: len(service.holding) == 5))
    monkeypatch.setattr(rotation, 'time', held)
    yield service
    service.close()


def window(start=0.04, end=8.0):
    result = rotation.Window(start, 503)
    result.end = end
    return result


def watched(*windows):
    watch = rotation.Watch('sf-2', '127.0.0.1')
    watch.windows = list(windows)
    return watch


def test_one_answer_proves_one_worker_only(node):
    assert rotation.sample('127.0.0.1', node.port) == 200
    assert rotation.all_ready('127.0.0.1', node.port)
    for number in range(5):
        node.ready = [worker != number for worker in range(5)]
        assert 503 in rotation.sample_all('127.0.0.1', node.port)
        assert not rotation.all_ready('127.0.0.1', node.port)


def test_nobody_there():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    assert rotation.sample('127.0.0.1', port) == 0
    assert not rotation.all_ready('127.0.0.1', port)


def test_a_node_that_drains_may_be_asked_less_often(monkeypatch):
    answers, pauses = [200, 503, 503, 0, 503, 200], []
    monkeypatch.setattr(rotation, 'sample', lambda address, port: answers.pop(0))
    monkeypatch.setattr(rotation, 'all_ready', lambda address, port: False)
    monkeypatch.setattr(rotation.time, 'time', lambda: 1000.0)
    watch = rotation.Watch('sf-2', '127.0.0.1', draining=1.0)
    watch.stopping = SimpleNamespace(is_set=lambda: not answers, wait=pauses.append)
    watch.run()
    assert pauses == [pytest.approx(seconds) for seconds in (
        rotation.INTERVAL, 1.0, 1.0, rotation.INTERVAL, rotation.INTERVAL, rotation.INTERVAL)]


def test_watch(node):
    watch = rotation.Watch('sf-2', '127.0.0.1', node.port)

    def samples(count):
        wanted = watch.samples + count
        until(lambda: watch.samples >= wanted)

    watch.start()
    samples(5)
    out = time.time()
    samples(2)  # the one that is under way now has begun since
    node.ready = [False] * 5
    until(lambda: watch.windows)
    noticed = time.time()
    node.ready = [True, True, True, True, False]  # not yet all
    samples(10)
    seen, = watch.windows
    assert seen.end is None
    back = time.time()
    node.ready = [True] * 5
    until(lambda: seen.end is not None)
    done = time.time()
    samples(5)
    watch.stop()
    assert watch.windows == [seen] and seen.status == 503
    assert out <= seen.start <= noticed and back <= seen.end <= done


def test_events_of_a_journal():
    def entry(unit, what, **more):
        return json.dumps(dict({'UNIT': unit, 'MESSAGE_ID': NAMES.get(what, 'x'), '__REALTIME_TIMESTAMP': '2000000'},
                               **more))

    journal = '\n'.join([
        entry('sf-api.service', 'started', _SOURCE_REALTIME_TIMESTAMP='1500000'),
        entry('sf-api.service', 'other'),
        entry('sf.target', 'started'),
        entry('ssh.service', 'started'),
        entry('sf-database.service', 'stopping', __REALTIME_TIMESTAMP='1000000'),
        json.dumps({'MESSAGE_ID': None}),
        'Warning: not JSON',
    ])
    assert rotation.events(journal) == [(1.0, 'sf-database', 'stopping'), (1.5, 'sf-api', 'started')]


def test_floor():
    least = rotation.floor(ROLL, window())
    assert least.parts == pytest.approx({'drain': 5.1, 'restart': 0.9, 'ready': 1.9})
    # 5.1 to 5.5 is nobody's, 6.1 to 6.4 is counted once
    assert least.seconds == pytest.approx(7.6)
    assert least.overlap == pytest.approx(0.3)


def test_floor_ignores_what_came_before_and_after():
    other = [(-40.0, 'sf-api', 'stopping'), (-30.0, 'sf-api', 'started'), (30.0, 'sf-net', 'started')]
    assert rotation.floor(sorted(ROLL + other), window()).seconds == pytest.approx(7.6)


@pytest.mark.parametrize('found, seen', [
    ([], window()),
    (ROLL[1:], window()),           # killed
    (ROLL, window(60.0, 61.0)),     # not this stop
    (ROLL[:-2], window()),          # never started again
    (ROLL, window(end=None)),
])
def test_no_floor(found, seen):
    assert rotation.floor(found, seen) is None


@pytest.mark.parametrize('intervals, covered', [
    ([], 0), ([(0, 1)], 1), ([(0, 1), (2, 3)], 2), ([(0, 2), (1, 3)], 3), ([(0, 5), (1, 2)], 5), ([(2, 1)], 0),
])
def test_union(intervals, covered):
    assert rotation.union(intervals) == covered


def test_lines():
    said, over = rotation.lines(watched(window()), ROLL)
    assert said == ['sf-2   out of rotation   7.96 s  floor   7.60 s (drain 5.1 + restart 0.9 + ready 1.9, of which '
                    '0.3 overlap)  over the floor 0.36 s']
    assert over == pytest.approx([0.36])
    said, over = rotation.lines(watched(window(60, 61), window(70, None)), ROLL)
    assert 'without an orderly stop' in said[0] and 'not back' in said[1] and not over
    assert rotation.lines(watched(), ROLL)[0] == ['sf-2   was never out of rotation']
