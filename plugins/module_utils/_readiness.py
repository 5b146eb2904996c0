# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations

import errno
import http.client
import os
import select
import socket
import time
from typing import Union
from urllib.parse import urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

# How long connections are held open before the requests are sent, so that each idle worker accepts one of them: a
# gunicorn sync worker that has accepted a connection waits for the request on it and leaves the others alone.
HOLD = 0.1
# What a connection got on which nothing came in time.
SILENT = "no answer in time"
# What a connection got: an HTTP status, or why there was none.
Answer = Union[int, str]


# By this a file that makes a health check fail is known to be of a run, and not an operator's.
OWN_FILE = "shakenfist.rolling restarts the service"


def is_own_file(path: str) -> bool:
    """Whether a file that makes a health check fail was made by a run."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read(len(OWN_FILE)) == OWN_FILE
    except OSError:
        return False


def split_url(url: str) -> tuple[str, int, str]:
    """Split an C(http://) URL into host, port and path."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise RollingError(f"{url!r} is not a URL of the form http://HOST:PORT/PATH")
    path = parts.path or "/"
    return parts.hostname, parts.port or 80, f"{path}?{parts.query}" if parts.query else path


def _reason(exc: Exception) -> str:
    if isinstance(exc, socket.timeout):
        return SILENT
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def leaves_open(answer: Answer) -> bool:
    """Whether an answer leaves open if the service serves, as that of a busy one: neither a status nor a refusal."""
    return not isinstance(answer, int) and answer != os.strerror(errno.ECONNREFUSED)


def ask_once(url: str, connections: int = 1, timeout: float = 5.0) -> list[Answer]:
    """Ask C(url) over several fresh connections that are all open before the first request is sent.

    :arg timeout: for how many seconds to wait for all of them together, however many there are.
    :returns: a list with what each connection got: an HTTP status (int), or why there was none (str).
    """
    host, port, path = split_url(url)
    answers: list[Answer] = []
    opened = []
    deadline = time.monotonic() + timeout

    def left() -> float:
        # Never 0, which would mean not to wait at all: what has come already is still to be read.
        return max(0.01, deadline - time.monotonic())

    try:
        for dummy in range(connections):
            connection = http.client.HTTPConnection(host, port, timeout=left())
            try:
                connection.connect()
            except OSError as exc:
                answers.append(_reason(exc))
            else:
                opened.append(connection)
        if len(opened) > 1:
            time.sleep(HOLD)
        for connection in opened:
            try:
                connection.request("GET", path, headers={"Connection": "close"})
            except OSError:
                pass  # getresponse says why
        for connection in opened:
            try:
                connection.sock.settimeout(left())
                response = connection.getresponse()
                response.read()  # to its end, which closes: until then gunicorn's worker may wait for us
                answers.append(response.status)
            except (OSError, http.client.HTTPException) as exc:
                answers.append(_reason(exc))
    finally:
        for connection in opened:
            connection.close()
    return answers


def knock(url: str, connections: int = 1, timeout: float = 0.2) -> int:
    """Open some connections to the service of C(url) at once, and close them again without asking anything.

    A worker that sleeps until a connection arrives wakes up, whichever of them gets it. None is kept busy: what it
    reads is an end.

    :arg timeout: for how many seconds to wait until they are open. With every worker busy a queue may be full.
    :returns: how many were opened.
    """
    host, port = split_url(url)[:2]
    pending, opened = [], 0
    deadline = time.monotonic() + timeout
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        for dummy in range(connections):
            pending.append(socket.socket(*found[:3]))
            pending[-1].setblocking(False)
            pending[-1].connect_ex(found[4])
        waiting = list(pending)
        while waiting:
            # One that was refused is writable, too.
            ready = select.select([], waiting, [], max(0.0, deadline - time.monotonic()))[1]
            if not ready:
                break
            opened += sum(not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for one in ready)
            waiting = [one for one in waiting if one not in ready]
    except OSError:
        pass  # who cannot be reached cannot be woken
    finally:
        for one in pending:
            one.close()
    return opened


def all_ready(answers: list[Answer], status: int = 200) -> bool:
    """Whether every connection got this status."""
    return bool(answers) and all(answer == status for answer in answers)


def describe(answers: list[Answer]) -> str:
    """Answers in a few words: C(200 from 3 of 5, 503 from 2 of 5)."""
    kinds: dict[Answer, int] = {}
    for answer in answers:
        kinds[answer] = kinds.get(answer, 0) + 1
    if len(kinds) == 1:
        return str(answers[0])
    return ", ".join(f"{kind} from {count} of {len(answers)}" for kind, count in kinds.items())
