# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a node is out of rotation while it is rolled, and how long that must take.

Out of rotation: from the first answer at the node's /readyz that is not 200 to the moment where all its workers
answer 200 again. The floor is what the node's own journal accounts for; what lies above it is the roll's doing.
"""

from __future__ import annotations

import json
import socket
import threading
import time

INTERVAL = 0.045        # seconds between two samples
CONNECTIONS = 8         # open at once; more than a node's sf-api has workers (5), so that each worker gets one
HOLD = 0.03             # seconds that they are held before anything is sent, so that each idle worker accepts one
ROUNDS = 3              # in a row must be all 200
TIMEOUT = 5.0
PORT = 13000

EVENTS = {              # systemd's message ids
    '7d4958e842da4a758f6c1cdc7b36dcc5': 'starting',
    '39f53479d3a045ac8e11786248231fbf': 'started',
    'de5b426a63be47a7b6ac3eaac82e2f6f': 'stopping',
    '9d1aaa27d60140bd96365438aad20286': 'stopped',
}
JOURNAL = ['journalctl', '--quiet', '--no-pager', '--output=json', '_PID=1',
           '--output-fields=UNIT,MESSAGE_ID,_SOURCE_REALTIME_TIMESTAMP']


def opened(address, port):
    connection = socket.create_connection((address, port), timeout=TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def asked(connection, address):
    """The status of GET /readyz on an open connection; 0 for none."""
    connection.sendall(b'GET /readyz HTTP/1.0\r\nHost: %s\r\n\r\n' % address.encode())
    return answered(connection)


def answered(connection):
    head = b''
    while b'\r\n' not in head:
        part = connection.recv(4096)
        if not part:
            return 0
        head += part
    words = head.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def sample(address, port=PORT):
    """One answer of one worker; 0 where there was none."""
    try:
        with opened(address, port) as connection:
            return asked(connection, address)
    except OSError:
        return 0


def sample_all(address, port=PORT, connections=CONNECTIONS):
    """The answers to connections that are open at the same time, which reach all workers."""
    held = []
    answers = []
    try:
        for dummy in range(connections):
            held.append(opened(address, port))
        time.sleep(HOLD)
        for connection in held:
            connection.sendall(b'GET /readyz HTTP/1.0\r\nHost: %s\r\n\r\n' % address.encode())
        for connection in held:
            answers.append(answered(connection))
            # At once: gunicorn's worker waits up to 2 s for the client to close, and answers nobody meanwhile.
            connection.close()
    except OSError:
        answers.append(0)
    finally:
        for connection in held:
            connection.close()
    return answers


def all_ready(address, port=PORT):
    return set(sample_all(address, port)) == {200}


class Window:
    """A time in which a node was not in rotation, in seconds since the epoch; `end` is None while it lasts."""

    def __init__(self, start, status):
        self.start, self.status, self.end = start, status, None

    @property
    def seconds(self):
        return None if self.end is None else self.end - self.start


class Watch(threading.Thread):
    """Watches one node until it is told to stop.

    Who asks a node keeps its drain from being quiet, and wakes its workers at the end of the grace. Those who measure
    that ask less often from the first 503 until the node refuses them: every C(draining) seconds.
    """

    def __init__(self, name, address, port=PORT, draining=INTERVAL):
        super().__init__(daemon=True)
        self.node, self.address, self.port, self.draining = name, address, port, draining
        self.windows = []
        self.samples = 0
        self.stopping = threading.Event()

    def run(self):
        good = 0
        first = None
        drains = False
        while not self.stopping.is_set():
            asked_at = time.time()
            status = sample(self.address, self.port)
            self.samples += 1
            out = bool(self.windows) and self.windows[-1].end is None
            drains = status == 503 and (drains or not out)
            if status != 200:
                good = 0
                if not out:
                    self.windows.append(Window(asked_at, status))
            elif out:
                if all_ready(self.address, self.port):
                    if not good:
                        first = time.time()
                    good += 1
                    if good >= ROUNDS:
                        self.windows[-1].end = first
                        good = 0
                else:
                    good = 0
            self.stopping.wait(max(0.0, asked_at + (self.draining if drains else INTERVAL) - time.time()))

    def stop(self):
        self.stopping.set()
        self.join(CONNECTIONS * TIMEOUT)


def events(journal):
    """What systemd says of the sf-* services in journalctl's JSON lines: (seconds, unit, what), in order."""
    found = []
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        unit, what = entry.get('UNIT') or '', EVENTS.get(entry.get('MESSAGE_ID'))
        moment = entry.get('_SOURCE_REALTIME_TIMESTAMP') or entry.get('__REALTIME_TIMESTAMP')
        if what and moment and unit.startswith('sf-') and unit.endswith('.service'):
            found.append((int(moment) / 1e6, unit[:-len('.service')], what))
    return sorted(found)


def stops(found, unit='sf-api'):
    """How many seconds each stop of a unit took."""
    took, begin = [], None
    for at, name, what in found:
        if name == unit and what == 'stopping':
            begin = at
        elif name == unit and what == 'stopped' and begin is not None:
            took.append(at - begin)
            begin = None
    return took


def union(intervals):
    """How many seconds the intervals cover together."""
    total, reached = 0.0, None
    for start, end in sorted(intervals):
        if reached is None or start > reached:
            reached = start
        if end > reached:
            total += end - reached
            reached = end
    return total


class Floor:
    """What the journal accounts for in a window: the parts in seconds, and all of them without what overlaps."""

    def __init__(self, intervals):
        self.parts = {name: max(0.0, end - start) for name, (start, end) in intervals.items()}
        self.seconds = union(intervals.values())

    @property
    def overlap(self):
        return sum(self.parts.values()) - self.seconds


def floor(found, window):
    """The Floor of a window, or None where the journal knows of no orderly stop of sf-api in it."""
    def first(moments):
        return min(moments, default=None)

    def last(moments):
        return max(moments, default=None)

    if window.end is None:
        return None
    # The SIGTERM comes just before the first 503 that is seen.
    sigterm = last(at for at, unit, what in found
                   if unit == 'sf-api' and what == 'stopping' and window.start - 3 <= at <= window.start + 0.5)
    if sigterm is None:
        return None
    inside = [(at, unit, what) for at, unit, what in found if sigterm <= at <= window.end]
    inactive = first(at for at, unit, what in inside if unit == 'sf-api' and what == 'stopped')
    active = last(at for at, unit, what in inside if unit == 'sf-api' and what == 'started')
    if inactive is None or active is None:
        return None
    restart = first(at for at, unit, what in inside
                    if what in ('starting', 'started') or what == 'stopping' and unit != 'sf-api')
    last_active = last(at for at, unit, what in inside if what == 'started')
    return Floor({'drain': (sigterm, inactive), 'restart': (restart, last_active), 'ready': (active, window.end)})


def lines(watch, found):
    """What there is to say of one node, and by how much each rolled window exceeded its floor."""
    said, over = [], []
    for window in watch.windows:
        begin = time.strftime('%H:%M:%S', time.localtime(window.start))
        if window.end is None:
            said.append('%-6s not ready since %s and not back' % (watch.node, begin))
            continue
        least = floor(found, window)
        if least is None:
            said.append('%-6s out of rotation %6.2f s  from %s, without an orderly stop of sf-api' % (
                watch.node, window.seconds, begin))
            continue
        over.append(window.seconds - least.seconds)
        parts = ' + '.join('%s %.1f' % part for part in least.parts.items())
        if least.overlap >= 0.05:
            parts += ', of which %.1f overlap' % least.overlap
        said.append('%-6s out of rotation %6.2f s  floor %6.2f s (%s)  over the floor %.2f s' % (
            watch.node, window.seconds, least.seconds, parts, over[-1]))
    return said or ['%-6s was never out of rotation' % watch.node], over
