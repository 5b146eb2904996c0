# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a service for answers at a steady rate and tell what did not come back.

Needs python3 (3.9 or later) and nothing else. It never retries: a request is answered as expected, or it failed.
"""

# Threads and http.client: 120 requests a second take 7 % of a core; `requests` would take five times that.

from __future__ import annotations

import argparse
import array
import collections
import http.client
import itertools
import json
import queue
import random
import re
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

KEPT_ALIVE = 8          # connections that are kept and used in turn, so that each is idle for a while between requests
IDLE_LIMIT = 4.0        # seconds; older idle connections are closed by us, before a server's own limit races with us
MAX_THREADS = 256       # requests under way at the same time; those beyond start late, or run out of time in the queue
LATE = 0.25             # seconds behind its time from which a request counts as late
WRITE_EVERY = 10        # with --notes every tenth request is a write
LOOK_EVERY = 1.0        # seconds between the answer to a request for a volume and the next request for it
FIRST_FAILURES = 10     # how many failures the summary lists
BAD_ENDS = 'error', 'stuck', 'lost'     # of a volume
PREFIX = 'availability: '


class Failure(Exception):
    """A request that was not answered as expected; the text is its kind."""


def kind_of(error, reused):
    """A few words for an exception of the http client, the same words for the same cause."""
    if isinstance(error, (socket.timeout, TimeoutError)):  # not the same class before Python 3.10
        return 'timeout'
    if isinstance(error, ConnectionRefusedError):
        return 'connection refused'
    if isinstance(error, (ConnectionError, ssl.SSLEOFError)):  # closed without an answer, too
        return 'reset on a kept-alive connection' if reused else 'reset'
    if isinstance(error, http.client.IncompleteRead):
        return 'short body'
    if isinstance(error, http.client.HTTPException):
        return 'garbled answer'
    if isinstance(error, socket.gaierror):
        return 'name does not resolve'
    if isinstance(error, ssl.SSLError):
        return 'TLS: %s' % (getattr(error, 'reason', None) or error)
    return getattr(error, 'strerror', None) or type(error).__name__


class Job:
    """One request: what to ask, what to expect, and when it is due."""

    __slots__ = ('due', 'method', 'path', 'expect', 'body', 'slow', 'fresh', 'read', 'story')

    def __init__(self, due, path, expect=None, method='GET', body=None, slow=False, fresh=True, read=None):
        self.due, self.path, self.method = due, path, method
        self.expect = (expect,) if isinstance(expect, int) else expect or range(200, 300)
        self.body, self.slow, self.fresh = body, slow, fresh
        self.read = read    # makes something of the answer, or raises Failure
        self.story = None   # the generator that this is from; it is sent the answer, or None where the request failed


def volume_in(status, body):
    """The status of an answer, and the id and the status of the volume in it."""
    if status == 404:
        return status, None, None
    try:
        volume = json.loads(body)['volume']
        return status, str(volume['id']), str(volume['status'])
    except (ValueError, KeyError, TypeError):
        raise Failure('no volume in the answer') from None


def proceed(story, answer=None):
    """The next request of a story, None where that was the last one."""
    try:
        job = story.send(answer)
    except StopIteration:
        return None
    job.story = story
    return job


class Worker(threading.Thread):
    """Takes jobs from the queue, one at a time."""

    def __init__(self, prober):
        super().__init__(daemon=True)
        self.prober = prober
        self.deadline = None
        self.expired = False
        self.connection = None

    def run(self):
        while True:
            job = self.prober.jobs.get()
            if job is None:
                return
            self.prober.work(self, job)

    def expire(self, now):
        """A socket's timeout is for each read; this one is for the whole request. Wakes the thread from its read."""
        deadline, connection = self.deadline, self.connection
        if deadline is None or now < deadline or connection is None or connection.sock is None:
            return
        self.expired = True
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass


class Prober:
    def __init__(self, url, gets=(('/', None),), notes=None, slow=(), rate=100.0, timeout=10.0, headers=None,
                 insecure=False, volumes=None, volume_limit=60.0):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ('http', 'https') or not parts.hostname:
            raise ValueError('%r is not an http:// or https:// URL' % url)
        self.url = url
        self.host, self.port, self.prefix = parts.hostname, parts.port, parts.path.rstrip('/')
        self.context = None
        if parts.scheme == 'https':
            self.context = ssl.create_default_context()
            if insecure:
                self.context.check_hostname = False
                self.context.verify_mode = ssl.CERT_NONE
        self.gets, self.notes, self.slow = list(gets), notes, list(slow)
        self.turns = itertools.cycle(self.gets)
        self.volumes: str | None
        self.volume_every: int
        self.volumes, self.volume_every = volumes or (None, 0)
        self.volume_limit = volume_limit
        self.rate, self.timeout = rate, timeout
        self.headers = {'User-Agent': 'shakenfist.rolling-availability'}
        self.headers.update(headers or {})

        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.workers = []
        # No Event: a signal's handler sets it in the thread that looks at it, and an Event's lock would be held.
        self.stopping = False
        self.lock = threading.Lock()
        self.idle: collections.deque[tuple] = collections.deque()
        self.kept = 0
        # Counted under the lock, by the threads.
        self.offered = self.answered = self.good = self.fresh = self.reopened = self.late = self.done = 0
        self.sent: collections.Counter[str] = collections.Counter()
        self.kinds: collections.Counter[str] = collections.Counter()
        self.failures = []
        self.dues, self.latencies = array.array('d'), array.array('d')
        self.worst_late = 0.0
        self.acknowledged = []
        self.lost = []
        # (when, job) of the stories that go on, the first one first
        self.waiting: collections.deque[tuple] = collections.deque()
        # path of a volume: when it was asked for, and its status, from its creation to its end
        self.alive: dict[str, tuple[float, str]] = {}
        self.ends: collections.Counter[str] = collections.Counter()
        self.troubles = []
        self.gap, self.gap_from = 0.0, None
        self.last_good = 0.0
        # Wall clock = monotonic + offset, so that the report shows times that compare with a journal's.
        self.offset = time.time() - time.monotonic()
        self.began = self.ended = 0.0
        self.load = 0   # requests until then; volumes are followed longer

    # -- one request

    def connect(self):
        if self.context is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)

    def borrow(self):
        """A kept connection and whether it was used before.

        One that the server closed while it was idle is seen here, before anything is sent, and replaced: no request
        was at stake. Once a request is sent on it nothing is forgiven.
        """
        while True:
            with self.lock:
                if self.kept < KEPT_ALIVE or not self.idle:
                    self.kept += 1
                    return self.connect(), False
                connection, since = self.idle.popleft()
            if time.monotonic() - since < IDLE_LIMIT:
                try:
                    connection.sock.settimeout(0)
                    connection.sock.recv(1)  # end of file, or an answer that nobody asked for
                except (BlockingIOError, ssl.SSLWantReadError):
                    connection.sock.settimeout(self.timeout)
                    return connection, True
                except (OSError, AttributeError):
                    pass
                with self.lock:
                    self.reopened += 1
            self.drop(connection)

    def drop(self, connection):
        connection.close()
        with self.lock:
            self.kept -= 1

    def give_back(self, connection):
        if connection.sock is None:  # the server said that it closes
            self.drop(connection)
            return
        with self.lock:
            self.idle.append((connection, time.monotonic()))

    def ask(self, job, worker=None, timeout=None):
        """Returns the answer's status and body, or raises Failure."""
        connection, reused = (self.connect(), False) if job.fresh else self.borrow()
        if timeout:
            connection.timeout = timeout
        if worker is not None:
            worker.expired = False
            worker.connection = connection
            # From when it was due: what waited behind others has waited for the service.
            worker.deadline = job.due + self.timeout
        whole = False
        try:
            headers = dict(self.headers)
            if job.fresh:
                headers['Connection'] = 'close'
            if job.body is not None:
                headers['Content-Type'] = 'application/json'
            connection.request(job.method, self.prefix + job.path, job.body, headers)
            answer = connection.getresponse()
            with self.lock:
                self.answered += 1
            body = answer.read()
            whole = True
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # ValueError, AttributeError: the file or socket was taken away under the client by the deadline
            expired = worker is not None and worker.expired
            raise Failure('timeout' if expired else kind_of(error, reused)) from error
        finally:
            if worker is not None:
                worker.deadline = None
                worker.connection = None
            if job.fresh:
                connection.close()
            elif whole:
                self.give_back(connection)
            else:
                self.drop(connection)
        if worker is not None and worker.expired:
            raise Failure('timeout')  # http.client takes the end of a cut connection for the end of the headers
        if answer.length is None and not answer.chunked and not body:
            raise Failure('short body')  # the same: cut within the headers
        if answer.status not in job.expect:
            raise Failure('HTTP %d' % answer.status)
        return answer.status, body

    def work(self, worker, job):
        start = time.monotonic()
        failure = answer = None
        try:
            if start >= job.due + self.timeout:
                raise Failure('timeout before it was sent')
            answer = self.ask(job, worker)
            if job.read:
                answer = job.read(*answer)
        except Failure as error:
            failure = str(error)
        except Exception as error:  # a fault of this program must not end a thread and hide the request
            failure = 'prober: %s: %s' % (type(error).__name__, error)
        now = time.monotonic()
        if failure is None and now >= job.due + self.timeout:
            failure = 'timeout'  # the answer came between two patrols
        with self.lock:
            self.sent['slow' if job.slow else 'reads' if job.method == 'GET' else 'writes'] += 1
            self.fresh += job.fresh
            if start - job.due > LATE:
                self.late += 1
                self.worst_late = max(self.worst_late, start - job.due)
            if failure is None:
                self.good_at(now)
                if not job.slow:
                    self.dues.append(job.due)
                    self.latencies.append(now - job.due)
            else:
                self.fail(job, failure, start, now)
            following = job.story and proceed(job.story, None if failure else answer)
            if following:
                self.waiting.append((now + LOOK_EVERY, following))
            self.done += 1

    def good_at(self, now):
        self.good += 1
        self.gap_until(now)
        self.last_good = max(self.last_good, now)

    def gap_until(self, now):
        if self.ended:
            now = min(now, self.ended)  # no answers are due any more
        if now - self.last_good > self.gap:
            self.gap, self.gap_from = now - self.last_good, self.last_good

    def fail(self, job, kind, start, now):
        self.kinds[kind] += 1
        if len(self.failures) < FIRST_FAILURES:
            self.failures.append({'time': start + self.offset, 'method': job.method, 'path': self.prefix + job.path,
                                  'connection': 'fresh' if job.fresh else 'kept-alive',
                                  'kind': kind, 'seconds': round(now - start, 3)})

    # -- what follows from an answer

    def note(self, number):
        note = str(uuid.uuid4())
        body = json.dumps({'id': note, 'text': 'request %d' % number}).encode()
        if (yield Job(None, self.notes, method='POST', body=body)):
            self.acknowledged.append(note)

    def volume(self):
        """Creates one, looks until it is available, deletes it, looks until it is gone.

        A request that failed is not sent again: the next look shows what it has done, and what is to be asked then.
        """
        body = json.dumps({'volume': {'size': 1, 'name': 'availability-%s' % uuid.uuid4()}}).encode()
        creation = Job(None, self.volumes, 202, 'POST', body, read=volume_in)
        answer = yield creation
        if not answer:
            return
        path, since, status = '%s/%s' % (self.volumes, answer[1]), time.monotonic(), 'acknowledged'
        self.alive[path] = creation.due, status
        self.ends['created'] += 1
        asked = accepted = False  # to be deleted
        while True:
            answer = yield Job(None, path, (200, 404), read=volume_in)
            now = time.monotonic()
            if not answer:
                continue
            if answer[0] == 404:
                return self.end(path, 'deleted' if asked else 'lost')
            if answer[2] != status:
                status = answer[2]
                self.alive[path] = creation.due, status
                self.ends['available'] += status == 'available'
                since = now
            if status.startswith('error'):
                return self.end(path, 'error')
            if now - since > self.volume_limit:
                return self.end(path, 'stuck')
            if status == 'available' and not accepted:
                answer = yield Job(None, path, (202, 404), 'DELETE')
                accepted = bool(answer) and answer[0] == 202
                asked = asked or accepted or not answer  # one that failed may have deleted it, too
                since = time.monotonic() if accepted else since

    def end(self, path, end):
        began, status = self.alive.pop(path)
        self.ends[end] += 1
        if end != 'deleted':
            self.troubles.append({'began': began + self.offset, 'time': time.monotonic() + self.offset,
                                  'path': self.prefix + path, 'end': end, 'status': status})

    # -- the load

    def plan(self, number, due, mix):
        if self.notes and number % WRITE_EVERY == WRITE_EVERY - 1:
            job = proceed(self.note(number))
        elif self.volumes and number % self.volume_every == 0:
            job = proceed(self.volume())
        elif number % 2 and self.waiting and self.waiting[0][0] <= due:  # the other half is for others
            job = self.waiting.popleft()[1]
        else:
            job = Job(due, *next(self.turns))
        job.due, job.fresh = due, mix.random() < 0.5
        return job

    def offer(self, job):
        self.offered += 1
        self.jobs.put(job)
        # Every request that is due has a thread of its own, up to the bound.
        if self.offered - self.done > len(self.workers) < MAX_THREADS:
            worker = Worker(self)
            self.workers.append(worker)
            worker.start()

    def expire(self, now):
        for worker in self.workers:
            worker.expire(now)

    def run(self, duration, tick=None):
        """Offers the load until the duration is over or stopping is set; returns when every request has its end."""
        mix = random.Random()
        start = self.began = self.last_good = time.monotonic()
        slow = [[start + min(1.0, every), every, path] for path, every in self.slow]
        patrol = start
        for number in itertools.count():
            due = start + number / self.rate
            # A clock, not a pause between requests: whatever stalls, the next request is due when it is due.
            while not self.stopping:
                now = time.monotonic()
                for entry in slow:
                    if entry[0] <= min(now, start + duration):
                        self.offer(Job(entry[0], entry[2], slow=True))
                        entry[0] += entry[1]
                if now >= patrol:
                    patrol = now + 0.5
                    self.expire(now)
                    if tick:
                        tick(now)
                if due <= now:
                    break
                time.sleep(min(due - now, 0.5))
            if self.stopping or number / self.rate >= duration:
                break
            self.offer(self.plan(number, due, mix))
        self.ended, self.load = time.monotonic(), self.offered
        self.finish()

    def finish(self):
        """Lets what is under way end, requests still in the queue and volumes included, and accounts for each."""
        now = turn = last = self.ended
        if self.volumes:
            last += self.timeout + 2 * self.volume_limit + 5
        limit = last + 2 * self.timeout + 5
        while now < limit and (self.done < self.offered or self.alive and now < last):
            if self.waiting and max(turn, self.waiting[0][0]) <= now < last:
                job = self.waiting.popleft()[1]
                job.due, turn = now, now + 1 / self.rate
                self.offer(job)
            time.sleep(0.02)
            now = time.monotonic()
            self.expire(now)
        with self.lock:
            for path in list(self.alive):
                self.end(path, 'stuck')
            missing = self.offered - self.done
            if missing:
                self.kinds['no end within the timeout'] += missing
            # A service that stopped to answer shows as a gap, too.
            if not self.good or self.last_good < self.ended:
                self.gap_until(self.ended)
        for dummy in self.workers:
            self.jobs.put(None)
        for connection, dummy in self.idle:
            connection.close()

    def read_back(self):
        """Every acknowledged write must be in the service's list."""
        if not self.notes or not self.acknowledged:
            return
        job = Job(time.monotonic(), self.notes)
        start = time.monotonic()
        try:
            listed = set(json.loads(self.ask(job, timeout=max(30.0, self.timeout))[1])['ids'])
        except Failure as error:
            self.fail(job, 'writes not read back: %s' % error, start, time.monotonic())
            return
        except (ValueError, KeyError, TypeError):
            self.fail(job, 'writes not read back: not a list of ids', start, time.monotonic())
            return
        self.lost = [note for note in self.acknowledged if note not in listed]

    # -- the report

    def answers(self):
        """When each request was due that is in p50 and p99, since the epoch, and after how many seconds it was done."""
        return [(round(due + self.offset, 4), round(seconds, 4)) for due, seconds in zip(self.dues, self.latencies)]

    def report(self):
        ordered = sorted(self.latencies)

        def percentile(share):
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None

        seconds = max(self.ended - self.began, 1e-9)
        return {
            'url': self.url,
            'began': self.began + self.offset,
            'seconds': round(seconds, 3),
            'requests': self.offered,
            'rate': round(self.load / seconds, 1),
            'rate_asked': self.rate,
            'sent': {'reads': self.sent['reads'], 'writes': self.sent['writes'], 'slow': self.sent['slow'],
                     'fresh': self.fresh, 'kept_alive': self.done - self.fresh},
            'failed': sum(self.kinds.values()),
            'failed_by_kind': dict(self.kinds.most_common()),
            'first_failures': sorted(self.failures, key=lambda failure: failure['time']),
            'acknowledged': len(self.acknowledged),
            'lost': len(self.lost),
            'lost_ids': self.lost[:FIRST_FAILURES],
            'read_back': not any(kind.startswith('writes not read back') for kind in self.kinds),
            'volumes': self.volumes and dict(
                {end: self.ends[end] for end in ('created', 'available', 'deleted') + BAD_ENDS},
                first_failures=self.troubles[:FIRST_FAILURES]),
            'longest_gap': round(self.gap, 3),
            'longest_gap_from': None if self.gap_from is None else self.gap_from + self.offset,
            'p50': percentile(0.5), 'p99': percentile(0.99), 'worst': percentile(1.0),
            'late': self.late, 'worst_late': round(self.worst_late, 3),
            'reopened': self.reopened,
            'cpu_seconds': round(time.process_time(), 2),
            'answered': self.answered,
        }


def clock(seconds):
    return time.strftime('%H:%M:%S', time.localtime(seconds)) + '.%03d' % (seconds % 1 * 1000)


def milliseconds(seconds):
    return '-' if seconds is None else '%.0f ms' % (seconds * 1000)


def summary(report):
    """The report in words."""
    sent = report['sent']
    lines = [
        '%s  %.1f s at %.1f requests a second' % (report['url'], report['seconds'], report['rate']),
        '%d requests: %d reads, %d writes, %d slow; %d on fresh connections, %d on kept-alive ones' % (
            report['requests'], sent['reads'], sent['writes'], sent['slow'], sent['fresh'], sent['kept_alive']),
        'failed %d' % report['failed'],
    ]
    lines += ['  %6d  %s' % (count, kind) for kind, count in report['failed_by_kind'].items()]
    if not report['read_back']:
        lines.append('lost unknown of %d acknowledged writes' % report['acknowledged'])
    else:
        lines.append('lost %d of %d acknowledged writes' % (report['lost'], report['acknowledged']))
    lines += ['          %s' % note for note in report['lost_ids']]
    volumes = report['volumes']
    if volumes:
        lines.append('volumes: %(created)d created, %(available)d available, %(deleted)d deleted; '
                     '%(error)d in error, %(stuck)d stuck, %(lost)d lost' % volumes)
        lines += ['  %s  %s  %s (%s)' % (clock(volume['time']), volume['path'], volume['end'], volume['status'])
                  for volume in volumes['first_failures']]
    if report['longest_gap_from'] is not None:
        lines.append('longest gap between two good answers %.2f s, from %s' % (
            report['longest_gap'], clock(report['longest_gap_from'])))
    lines.append('p50 %s  p99 %s  worst %s  (without the slow ones)' % tuple(
        milliseconds(report[key]) for key in ('p50', 'p99', 'worst')))
    if report['late']:
        lines.append('%d requests started late, by up to %.2f s: this machine or the service could not keep up' % (
            report['late'], report['worst_late']))
    if report['reopened']:
        lines.append('%d kept-alive connections had been closed while idle and were reopened before sending' % (
            report['reopened']))
    if report['first_failures']:
        lines.append('first failures:')
        lines += ['  %s  %s %s  %s after %.2f s (%s)' % (
            clock(failure['time']), failure['method'], failure['path'], failure['kind'], failure['seconds'],
            failure['connection']) for failure in report['first_failures']]
    return '\n'.join(lines)


def get_argument(text):
    match = re.fullmatch(r'(/.*?)(?:=([1-5]\d\d))?', text)
    if not match:
        raise argparse.ArgumentTypeError('%r is not a path that begins with /' % text)
    return match.group(1), int(match.group(2)) if match.group(2) else None


def slow_argument(text):
    match = re.fullmatch(r'(/.*?)(?::(\d+(?:\.\d+)?)s?)?', text)
    if not match or match.group(2) and float(match.group(2)) < 0.1:
        raise argparse.ArgumentTypeError('%r is not PATH or PATH:SECONDS' % text)
    return match.group(1), float(match.group(2) or 5)


def volumes_argument(text):
    match = re.fullmatch(r'(/.*?)(?::(\d+))?', text)
    if not match or match.group(2) and int(match.group(2)) < WRITE_EVERY:
        raise argparse.ArgumentTypeError('%r is not PATH or PATH:EVERY with at least %d' % (text, WRITE_EVERY))
    return match.group(1), int(match.group(2) or WRITE_EVERY)


def path_argument(text):
    if not text.startswith('/'):
        raise argparse.ArgumentTypeError('%r is not a path that begins with /' % text)
    return text


def header_argument(text):
    name, colon, value = text.partition(':')
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError('%r is not "Name: value"' % text)
    return name.strip(), value.strip()


def positive(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError('%r is not a number above 0' % text)
    return value


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog='availability', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='Every PATH is appended to URL. Ends after --duration, or at Ctrl-C or SIGTERM, then waits for the '
        'requests and\nvolumes under way and reports. Exit: 0 no request failed, nothing was lost, no volume was in '
        'error or stuck;\n1 otherwise; 2 wrong usage or URL never answered.')
    parser.add_argument('url', metavar='URL', help='where the service is, e.g. http://balancer/api')
    parser.add_argument('--get', metavar='PATH[=STATUS]', type=get_argument, action='append',
                        help='ask for this, in turn with others; expect STATUS, without it any 2xx (default: /)')
    parser.add_argument('--notes', metavar='PATH', type=path_argument,
                        help='every tenth request POSTs {"id", "text"} here; what was acknowledged must be in '
                        '{"ids": [...]} of a GET at the end, or it is lost')
    parser.add_argument('--volumes', metavar='PATH[:EVERY]', type=volumes_argument,
                        help='every tenth request, or EVERYth, POSTs a volume here, as to Cinder; it is asked for once '
                        'a second until it is available, then deleted and asked for until it is gone, all within '
                        '--rate. One in error, stuck or lost is counted apart from failed requests, and left')
    parser.add_argument('--volume-limit', metavar='SECONDS', type=positive, default=60.0,
                        help='a volume that is longer than this in one status is stuck (60)')
    parser.add_argument('--slow', metavar='PATH[:SECONDS]', type=slow_argument, action='append', default=[],
                        help='ask for this, which takes its time, every SECONDS (5)')
    parser.add_argument('--rate', type=positive, default=100.0, help='requests a second in all (100)')
    parser.add_argument('--duration', metavar='SECONDS', type=positive, default=3600.0, help='at most so long (3600)')
    parser.add_argument('--timeout', metavar='SECONDS', type=positive, default=10.0,
                        help='a request that has not been answered so long after it was due failed (10)')
    parser.add_argument('--header', metavar='"NAME: VALUE"', type=header_argument, action='append', default=[],
                        help='sent with each request')
    parser.add_argument('--insecure', action='store_true', help="do not verify the server's certificate")
    parser.add_argument('--answers', metavar='FILE', help='write there as JSON when each request was due, since the '
                        'epoch, and its seconds')
    parser.add_argument('--json', metavar='FILE', help='write the report there as JSON, too; - is standard output')
    return parser.parse_args(argv), parser


def say(text):
    print(PREFIX + text, file=sys.stderr, flush=True)


def main(argv=None):
    args, parser = arguments(argv)
    try:
        prober = Prober(args.url, args.get or [('/', None)], args.notes, args.slow, args.rate, args.timeout,
                        dict(args.header), args.insecure, args.volumes, args.volume_limit)
    except ValueError as error:
        parser.error(str(error))

    def stop(*dummy):
        prober.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    try:
        prober.ask(Job(time.monotonic(), prober.gets[0][0], prober.gets[0][1]))
    except Failure as error:
        if not prober.answered:
            say('%s does not answer: %s' % (args.url, error))
            return 2
    say('%s at %g requests a second; Ctrl-C ends it and reports' % (args.url, args.rate))

    shown = [time.monotonic()]

    def tick(now):
        if now - shown[0] >= 10:
            shown[0] = now
            say('%4.0f s  %d requests  failed %d' % (now - prober.began, prober.done, sum(prober.kinds.values())))

    prober.run(args.duration, tick if sys.stderr.isatty() else None)
    prober.read_back()
    report = prober.report()
    bad_ends = any(report['volumes'][end] for end in BAD_ENDS) if args.volumes else False
    report['verdict'] = 'failed' if report['failed'] or report['lost'] or bad_ends else 'ok'
    if args.answers:
        with open(args.answers, 'w', encoding='utf-8') as stream:
            json.dump(prober.answers(), stream)
    if args.json and args.json != '-':
        with open(args.json, 'w', encoding='utf-8') as stream:
            json.dump(report, stream, indent=2)
            stream.write('\n')
    elif args.json:
        print(json.dumps(report, indent=2))
    print(summary(report), file=sys.stderr if args.json == '-' else sys.stdout, flush=True)
    return 0 if report['verdict'] == 'ok' else 1


if __name__ == '__main__':
    sys.exit(main())
