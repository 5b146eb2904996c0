# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket
import struct
from threading import Event, Lock, Thread

BODY = {
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    "empty chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
    "cut chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", False),
    "until closed": (b"HTTP/1.0 200 OK\r\n\r\nok", False),
    "silent close": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False),  # keeps it, it says, and closes
    "cut body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", False),
    "cut headers": (b"HTTP/1.1 200 OK\r\nServer: x\r\n", False),
    "garbled": (b"nonsense\r\n\r\n", False),
    "close": (b"", False),
    "says close": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
}


class Service:
    """An HTTP server that behaves as it is told to: a status, C(reset), C(hang), C(trickle), or a word of C(BODY).

    :ivar behaviour: what happens to each request from now on.
    :ivar requests: by connection the headers of its requests.
    """

    def __init__(self, context=None):
        self.context = context
        self.behaviour = 200
        self.requests = []
        self.over = Event()
        self.connections = set()
        self.listener = None
        self.open()

    def open(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if self.context else ''}://127.0.0.1:{self.port}/"
        Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """No connection is accepted any more, and those that are open are cut."""
        # shutdown wakes the thread that waits in accept, close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def end(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.close()

    def count(self):
        return sum(len(requests) for requests in list(self.requests))

    def _accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        self.connections.add(connection)
        with contextlib.suppress(OSError), connection:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                requests = []
                while True:
                    head, line = b"", None
                    while line != b"\r\n":
                        line = stream.readline()
                        if not line:
                            return
                        head += line
                    requests.append(head.decode())
                    if len(requests) == 1:
                        self.requests.append(requests)
                    if not self._answer(connection, self.behaviour):
                        return
        self.connections.discard(connection)

    def _answer(self, connection, behaviour):
        """Returns whether the connection stays open."""
        if behaviour == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if behaviour == "hang":
            self.over.wait()
            return False
        if behaviour == "trickle":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.over.wait(0.02):
                connection.sendall(b".")
            return False
        if behaviour in BODY:
            data, stays = BODY[behaviour]
            connection.sendall(data)
            return stays
        location = b"Location: /elsewhere\r\n" if 300 <= behaviour < 400 else b""
        connection.sendall(b"HTTP/1.1 %d X\r\n%sContent-Length: 2\r\n\r\nok" % (behaviour, location))
        return True


class Sleeper:
    """A drained C(sf-api): it answers 503, and the end of its grace reaches a worker when a connection does.

    Each worker sleeps until the listener has a connection, as gunicorn's sync workers do. One that finds its grace over
    ends; else it serves. A connection on which nothing is asked is let go at its end.

    :ivar grace: whether it lasts.
    :ivar ended: set once every worker has ended.
    :ivar knocks: on how many connections nothing was asked.
    """

    def __init__(self, workers=3):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/readyz"
        self.grace, self.ended = True, Event()
        self.knocks, self.left, self.lock = 0, workers, Lock()
        for dummy in range(workers):
            Thread(target=self._work, daemon=True).start()

    def _work(self):
        with contextlib.suppress(OSError):  # closed meanwhile
            while True:
                connection = self.listener.accept()[0]
                if not self.grace:
                    connection.close()
                    break
                self._serve(connection)
            with self.lock:
                self.left -= 1
                if not self.left:
                    self.ended.set()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            if connection.recv(4096):
                connection.sendall(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                with self.lock:
                    self.knocks += 1

    def close(self):
        # shutdown wakes the workers that wait in accept, close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
