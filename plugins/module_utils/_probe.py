# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The watcher that the module probe leaves behind. It lives for hours, so everything that it remembers is bounded.

import http.client
import json
import math
import os
import select
import signal
import socket
import ssl
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from urllib.parse import urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, boot_id, process_started

STATE = "state.json"    # the last numbers, for when the watcher is gone
SOCKET = "socket"       # where it listens; whoever listens there lives
ROLL = "roll"           # the mark that parts the numbers into before and since
START = "start"         # what the time before the first mark is called

TICK = 0.1              # seconds at most between two looks at the clock
LATE = 0.25             # seconds behind its own time from which the watcher was held up
BASELINE = 60           # seconds before the mark roll that the roll is compared with
WRITE_EVERY = 5         # seconds between two writes of the state
CLIENT_TIMEOUT = 1      # seconds that a module which asks may hold up the watcher

KEPT_ALIVE = 2          # connections to each URL that are kept and used in turn, so that each is idle for a while
IDLE_LIMIT = 4.0        # seconds; older ones are closed by us, before a server's own limit races with us
UNDER_WAY = 512         # threads; those of requests that ran out of time may take as long again to notice
BODY = 65536            # bytes of an answer that are read at once, and forgotten

GROWTH = 1.05           # of one bucket of latencies to the next: a percentile is known to 2.5 %
FAILURES = 10           # first ones that are told in detail, and as many last ones
KINDS = 30              # different kinds of failures that are counted apart
MARKS = 500             # marks with numbers of their own; older ones are forgotten
POINTS = 2000           # of the curve; when they are full, two become one

TIMEOUT = "timeout"
SHORT = "short body"


def clock():
    """Seconds on a clock that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def kind_of(error, reused):
    """A few words for an exception of the client, the same words for the same cause."""
    # With a number it is the kernel's: the peer was silent for minutes, whatever we did meanwhile.
    if isinstance(error, socket.timeout) and error.errno is None:
        return TIMEOUT
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, (ConnectionError, ssl.SSLEOFError)):  # closed without an answer, too
        return "reset on a kept-alive connection" if reused else "reset"
    if isinstance(error, http.client.IncompleteRead):
        return SHORT
    if isinstance(error, http.client.HTTPException):
        return "garbled answer"
    if isinstance(error, socket.gaierror):
        return "name does not resolve"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'reason', None) or type(error).__name__}"
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


class Target:
    """A URL, and the connections that are kept to it."""

    def __init__(self, url, options):
        self.url, self.options = url, options
        try:
            parts = urlsplit(url)
            self.host, self.port = parts.hostname, parts.port
        except ValueError:
            self.host = None
        if not self.host or parts.scheme not in ("http", "https"):
            raise RollingError(f"{url!r} is not a URL of the form http://HOST:PORT/PATH or https://HOST:PORT/PATH")
        if parts.username is not None:
            raise RollingError(f"the URL of {self.host} has credentials in it: give them in headers, as Authorization")
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.headers = {"User-Agent": "shakenfist.rolling-probe", **options["headers"]}
        self.context = None
        if parts.scheme == "https":
            try:
                self.context = ssl.create_default_context(cafile=options["ca_path"])
            except OSError as exc:
                raise RollingError(f"cannot read certificates from ca_path {options['ca_path']}: "
                                   f"{exc.strerror or exc}") from exc
            if not options["validate_certs"]:
                self.context.check_hostname = False
                self.context.verify_mode = ssl.CERT_NONE
        self.lock = threading.Lock()
        self.idle: deque[tuple] = deque()
        self.kept = self.reopened = 0
        # When the last good answer came, in time of the watcher and of the wall.
        self.last_good = self.last_good_at = 0.0

    def check(self):
        """Refuse what the client would refuse at each request. Nothing is sent."""
        connection = self.connect()
        try:
            connection.putrequest("GET", self.path)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            self.host.encode("idna")
        except (http.client.HTTPException, ValueError) as exc:
            # Its words may hold a header that is a secret.
            raise RollingError(f"{self.url!r} cannot be asked for with these headers: the URL, or a header's name or "
                               f"value, has characters that HTTP does not allow ({type(exc).__name__})") from exc

    def connect(self):
        # The watcher ends a request that takes too long; this only ends a thread that it cannot wake.
        timeout = 2 * self.options["timeout"]
        if self.context is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def borrow(self):
        """A kept connection, and whether it was used before.

        One that the server has closed while it was idle is seen here, before anything is sent, and replaced: no
        request was at stake, and RFC 9110 lets any client do so. Once a request is sent nothing is forgiven.
        """
        while True:
            with self.lock:
                if self.kept < KEPT_ALIVE or not self.idle:
                    self.kept += 1
                    return self.connect(), False
                connection, since = self.idle.popleft()
            if clock() - since < IDLE_LIMIT:
                timeout = connection.sock.gettimeout()
                try:
                    connection.sock.settimeout(0)
                    connection.sock.recv(1)  # end of file, or an answer that nobody asked for
                except (BlockingIOError, ssl.SSLWantReadError):
                    connection.sock.settimeout(timeout)
                    return connection, True
                except OSError:
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
            self.idle.append((connection, clock()))


class Request:
    """One request, how it is sent, and what it is counted for.

    Times are in seconds: when it was due and when it must have ended, by the monotonic clock; C(raw) and C(at) when it
    was offered.
    """

    due: float
    deadline: float
    raw: float
    at: float
    stalled: float
    numbers: list

    def __init__(self, target, fresh):
        self.target, self.fresh = target, fresh
        self.sock = None
        self.expired = False

    def ask(self):
        """Send it and read the answer.

        :returns: a few words for what went wrong, None if it was answered as expected.
        """
        target = self.target
        connection, reused = (target.connect(), False) if self.fresh else target.borrow()
        try:
            failure = self.exchange(connection)
        except Exception as exc:  # any: a fault of this program must not hide the request
            failure = kind_of(exc, reused)
            connection.close()
        if self.fresh:
            connection.close()
        else:
            target.give_back(connection)
        return TIMEOUT if self.expired else failure

    def exchange(self, connection):
        options = self.target.options
        if connection.sock is None:
            connection.connect()
        self.sock = connection.sock  # the connection forgets it as soon as the server says that it closes
        how = {"Connection": "close"} if self.fresh else {}
        connection.request("GET", self.target.path, headers={**self.target.headers, **how})
        answer = connection.getresponse()
        size = more = len(answer.read(BODY))
        while more:
            more = len(answer.read(BODY))
            size += more
        # The client takes the end of a connection that is cut within the headers for their end, without a word.
        if answer.length or (answer.length is None and not answer.chunked and not size):
            connection.close()
            return SHORT
        return None if answer.status in options["expect"] else f"HTTP {answer.status}"

    def expire(self):
        """Wake the thread that waits for the answer. A socket's own timeout is for each read, not for all of it."""
        self.expired = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # of TLS, too, without its farewell


class Numbers:
    """What is counted over a span of time."""

    def __init__(self, name, begin, at):
        self.name, self.begin, self.at = name, begin, at
        self.requests = self.failed = self.excused = 0
        self.kinds: Counter[str] = Counter()
        self.buckets: Counter[int] = Counter()
        self.worst = self.gap = self.late = self.worst_late = 0.0
        self.gap_at = self.gap_url = None

    def count(self, failure, excused, seconds):
        self.requests += 1
        if failure is None:
            self.worst = max(self.worst, seconds)
            self.buckets[math.floor(math.log(max(seconds, 1e-4), GROWTH))] += 1
            return
        self.excused += excused
        self.failed += not excused
        kind = f"{failure} (excused)" if excused else failure
        self.kinds[kind if kind in self.kinds or len(self.kinds) < KINDS else "other"] += 1

    def see_gap(self, gap, at, url):
        if gap > self.gap:
            self.gap, self.gap_at, self.gap_url = gap, at, url

    def see_late(self, seconds):
        self.late += seconds
        self.worst_late = max(self.worst_late, seconds)

    def percentile(self, share):
        """In milliseconds: the middle of the bucket, never more than the worst."""
        left = int(share * sum(self.buckets.values()))
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left < 0:
                return round(min(GROWTH ** (bucket + 0.5), self.worst) * 1000, 1)
        return None

    def report(self):
        return dict(name=self.name, at=self.at, requests=self.requests, failed=self.failed, excused=self.excused,
                    kinds=dict(self.kinds.most_common()), longest_gap=round(self.gap, 3), longest_gap_at=self.gap_at,
                    longest_gap_url=self.gap_url, p50=self.percentile(0.5), p99=self.percentile(0.99),
                    worst=round(self.worst * 1000, 1) if self.buckets else None,
                    late=round(self.late, 3), worst_late=round(self.worst_late, 3))


class Series:
    """How many requests were good and how many failed, step by step; the steps grow with the time."""

    def __init__(self):
        self.step = 1
        self.good, self.failed = [], []

    def count(self, second, good):
        while second >= self.step * POINTS:
            self.step *= 2
            for points in (self.good, self.failed):
                points.append(0)
                points[:] = [one + other for one, other in zip(points[::2], points[1::2])]
        missing = int(second // self.step) + 1 - len(self.good)
        for points in (self.good, self.failed):
            points.extend([0] * missing)
        (self.good if good else self.failed)[int(second // self.step)] += 1

    def report(self):
        return dict(step=self.step, good=list(self.good), failed=list(self.failed))


class Watcher:
    """Asks the URLs at a steady rate, and counts.

    Its time is time in which it could run: what it was held up for is no time, but C(late). So a suspended controller
    is neither a gap of the service nor a slow answer nor a timeout.
    """

    def __init__(self, options):
        self.options = options
        self.owner = process_started(options["owner"]) if options["owner"] else None
        self.targets = [Target(url, options) for url in options["urls"]]
        self.lock = threading.Lock()
        self.ended = None           # why, in words
        self.stopper = None         # the connection of who has stopped it
        self.over = math.inf        # when the last request was due
        self.began = self.read_at = self.looked = self.wake = clock()
        self.at = time.time()
        self.stalled = 0.0
        self.threads = self.number = 0
        self.under_way = set()
        self.failures = []
        self.last_failures: deque[dict] = deque(maxlen=FAILURES)
        self.recent: deque[tuple] = deque()       # the last minute, until it is asked for
        self.series = Series()
        self.before = self.since = None
        self.written = -math.inf
        self.total = Numbers("total", self.began, self.at)
        self.marks = deque([Numbers(START, self.began, self.at)], maxlen=MARKS)
        for target in self.targets:
            target.last_good, target.last_good_at = self.began, self.at

    # -- time

    def now(self):
        """The watcher's time. Whoever looks first notices that the watcher was held up."""
        self.looked = raw = clock()
        behind = raw - self.wake
        if behind > LATE:
            self.wake = raw
            self.stalled += behind
            for numbers in self.current():
                numbers.see_late(behind)
        return raw - self.stalled

    def current(self):
        """What is counted now."""
        return [numbers for numbers in (self.total, self.since, self.marks[-1]) if numbers is not None]

    # -- requests

    def offer(self, due):
        """Send the request that is due; each has a thread, so none waits for another."""
        round_number, which = divmod(self.number, len(self.targets))
        self.number += 1
        request = Request(self.targets[which], fresh=round_number % 2 == 0)
        request.due, request.deadline = due, due + self.options["timeout"]
        request.raw, request.at, request.stalled = clock(), time.time(), self.stalled
        request.numbers = self.current()
        self.under_way.add(request)
        if self.threads >= UNDER_WAY:
            self.settle(request, f"not sent: {UNDER_WAY} requests have not come to an end")
            return
        self.threads += 1
        try:
            threading.Thread(target=self.work, args=(request,), daemon=True).start()
        except RuntimeError as exc:
            self.threads -= 1
            self.settle(request, f"not sent: {exc}")

    def work(self, request):
        failure = request.ask()
        with self.lock:
            self.threads -= 1
            self.settle(request, failure)

    def settle(self, request, failure):
        """Count a request once: at its end, or when its time is over."""
        now = self.now()
        if request not in self.under_way:
            return
        self.under_way.remove(request)
        # What the server did, it did, whatever held us up. Only the client's own limit goes by another clock than ours.
        excused = failure == TIMEOUT and now < request.deadline and self.stalled > request.stalled
        seconds, gap = now - request.due, None
        if failure is None:
            gap = self.see_gap(request.target, now)
            request.target.last_good, request.target.last_good_at = now, time.time()
        else:
            self.tell(request, failure, excused, seconds)
        for numbers in request.numbers:
            numbers.count(failure, excused, seconds)
        self.series.count(request.raw - self.began, failure is None)
        self.recent.append((now, failure, excused, seconds, gap))
        while self.recent[0][0] < now - BASELINE:
            self.recent.popleft()

    def settle_overdue(self):
        now = self.now()
        for request in [request for request in self.under_way if request.deadline <= now]:
            self.settle(request, TIMEOUT)
            request.expire()

    def see_gap(self, target, now):
        """The time since the last good answer, for everything that it overlaps.

        :returns: its length, when it began, and the URL.
        """
        gap = min(now, self.over) - target.last_good, target.last_good_at, target.url
        for numbers in (self.total, self.since):
            if numbers is not None:
                numbers.see_gap(*gap)
        for numbers in reversed(self.marks):
            numbers.see_gap(*gap)
            if numbers.begin <= target.last_good:
                break
        return gap

    def tell(self, request, failure, excused, seconds):
        how = "fresh" if request.fresh else "kept-alive"
        late = self.stalled - request.stalled
        meanwhile = f"; the watcher itself was held up for {late:.2f} s meanwhile" if late else ""
        told = dict(time=request.at, mark=request.numbers[-1].name, url=request.target.url, connection=how,
                    seconds=round(seconds, 3), excused=excused,
                    words=f"{failure} after {seconds:.2f} s on a {how} connection{meanwhile}")
        (self.failures if len(self.failures) < FAILURES else self.last_failures).append(told)

    # -- marks and reports

    def mark(self, name):
        """From now on everything is counted for this, too. The mark roll begins anew."""
        now, at = self.now(), time.time()
        if name == ROLL:
            self.before = Numbers("before", now - BASELINE, max(self.at, at - BASELINE))
            for ended, failure, excused, seconds, gap in self.recent:
                if ended >= now - BASELINE:
                    self.before.count(failure, excused, seconds)
                    if gap:
                        self.before.see_gap(*gap)
            self.since = Numbers("since", now, at)
        elif name == self.marks[-1].name:
            return
        self.marks.append(Numbers(name, now, at))

    def report(self, series=False):
        now = self.now()
        for target in self.targets:
            self.see_gap(target, now)  # the one that is still open
        report = dict(self.total.report(), pid=os.getpid(), urls=[target.url for target in self.targets],
                      running=self.ended is None, ended=self.ended, seconds=round(clock() - self.began, 3),
                      seen=time.time(), under_way=len(self.under_way), failures=[*self.failures, *self.last_failures],
                      reopened=sum(target.reopened for target in self.targets), before=None, since=None,
                      marks=[numbers.report() for numbers in self.marks])
        del report["name"]
        for name, numbers in (("before", self.before), ("since", self.since)):
            if numbers is not None:
                report[name] = numbers.report()
        if series:
            report["series"] = dict(self.series.report(), at=self.at)
        return report

    def write(self):
        """Put the numbers where they outlive the watcher. Who reads them sees all of them or those from before."""
        self.written = self.now()
        part = os.open(f"{STATE}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(part, "w", encoding="ascii") as stream:
            json.dump(dict(boot=boot_id(), timeout=self.options["timeout"], report=self.report(series=True)), stream)
        os.replace(f"{STATE}.part", STATE)

    def try_to_write(self):
        try:
            self.write()
        except FileNotFoundError:
            self.end("its directory was removed")  # nobody could ask it any more
        except OSError:
            pass  # a full disk is no reason to look away; what it says on the socket is whole

    # -- life

    def end(self, why):
        self.ended = self.ended or why

    def answer(self, question):
        """What a module wants to know. Whoever asks keeps the watcher alive."""
        self.read_at = self.now()
        if question.get("mark"):
            self.mark(question["mark"])
        answer = dict(report=self.report())
        if "options" in question:
            answer["differs"] = [key for key in sorted(self.options) if self.options[key] != question["options"][key]]
            answer["options"] = {key: self.options[key] for key in self.options if key != "headers"}
        return answer

    def listen(self, listener, seconds):
        """Wait for as long, or until a module has asked something."""
        if not select.select([listener], [], [], seconds)[0]:
            return
        connection = None
        try:
            connection = listener.accept()[0]
            connection.settimeout(CLIENT_TIMEOUT)
            with connection.makefile("rb") as stream:
                question = json.loads(stream.readline())
            if question.get("stop"):
                # Answered at the very end: the connection stays open for as long as this process lives.
                self.stopper = connection
                self.end("stopped")
                return
            with self.lock:
                answer = self.answer(question)
                self.try_to_write()
            connection.sendall(json.dumps(answer).encode())
        except (OSError, ValueError):
            pass  # whoever asked has gone
        if connection is not None:
            connection.close()

    def is_owned(self):
        """Whether the process still runs that it watches for."""
        return bool(self.owner) and process_started(self.options["owner"]) == self.owner

    def tick(self, listener):
        """Do what is due, then wait; returns when the next thing may be due."""
        with self.lock:
            now = self.now()
            self.settle_overdue()
            while self.ended is None:
                due = self.began + self.number / (self.options["rate"] * len(self.targets))
                if due > now:
                    break
                self.offer(due)
            if now - self.began >= self.options["max_seconds"]:
                self.end(f"it had watched for {self.options['max_seconds']:g} s (max_seconds)")
            if self.owner is not None and not self.is_owned():
                self.end(f"process {self.options['owner']}, which it was to watch for, had ended")
            if now - self.read_at >= self.options["idle_seconds"]:
                self.end(f"nobody had read it for {self.options['idle_seconds']:g} s (idle_seconds)")
            if now - self.written >= WRITE_EVERY:
                self.try_to_write()
            pause = TICK if self.ended else max(0.0, min(TICK, due - now))
            self.wake = self.looked + pause  # not from now: what has held it up since it looked must not get lost
        if self.stopper is None:
            self.listen(listener, pause)
        else:
            time.sleep(pause)

    def run(self, listener, ready):
        """Watch until told to end, then account for every request that is under way."""
        with self.lock:
            self.write()
        ready()
        while self.ended is None:
            self.tick(listener)
        with self.lock:
            self.over = self.now()
        while self.under_way:
            self.tick(listener)
        with self.lock:
            self.try_to_write()
            report = self.report(series=True)
        if self.stopper is not None:
            with suppress(OSError):  # the module has gone; what it wanted to know is in the file
                self.stopper.sendall(json.dumps(dict(report=report)).encode())


def live(options, ready):
    """Be the watcher of the current directory.

    :arg ready: called when it can be asked.
    """
    with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as stream:
        stream.write("rolling-probe")  # what ps and top show
    watcher = Watcher(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, dummy: watcher.end(f"it got signal {which}"))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(FileNotFoundError):
        os.unlink(SOCKET)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(SOCKET)
        listener.listen(16)
        try:
            watcher.run(listener, ready)
        except Exception as exc:
            with watcher.lock:
                watcher.end(f"of a fault of its own, {type(exc).__name__}: {exc}")
                watcher.try_to_write()
            raise
