# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import struct
import time
from threading import Thread

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._readiness import (
    all_ready,
    ask_once,
    describe,
    knock,
    leaves_open,
    split_url,
)


@pytest.mark.parametrize("url, expected", [
    ("http://sf-1:13000/readyz", ("sf-1", 13000, "/readyz")),
    ("http://sf-1", ("sf-1", 80, "/")),
    ("http://[::1]:1/a?b=c", ("::1", 1, "/a?b=c")),
    ("https://sf-1/readyz", None),
    ("sf-1:13000", None),
    ("http:///readyz", None),
])
def test_split_url(url, expected):
    if expected is None:
        with pytest.raises(RollingError, match="is not a URL of the form http://HOST:PORT/PATH"):
            split_url(url)
    else:
        assert split_url(url) == expected


@pytest.mark.parametrize("answers, ready, words", [
    ([200], True, "200"),
    ([200, 200], True, "200"),
    ([503], False, "503"),
    (["no answer in time"], False, "no answer in time"),
    ([200, 503, 200], False, "200 from 2 of 3, 503 from 1 of 3"),
])
def test_answers(answers, ready, words):
    assert all_ready(answers) is ready
    assert describe(answers) == words


@pytest.mark.parametrize("answer, leaves", [
    (200, False), (503, False), ("Connection refused", False), ("no answer in time", True),
    ("Connection reset by peer", True), ("Remote end closed connection without response", True),
])
def test_what_leaves_open_if_it_serves(answer, leaves):
    assert leaves_open(answer) is leaves


def test_no_answers_are_not_ready():
    assert not all_ready([])


def test_every_worker_has_to_answer(serve_workers):
    assert 503 in ask_once(serve_workers(200, 200, 503), connections=6)
    assert ask_once(serve_workers(200, 200, 200), connections=6) == [200] * 6


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask_once(f"http://127.0.0.1:{port}/", connections=2) == ["Connection refused"] * 2


def test_a_server_that_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        begin = time.monotonic()
        assert ask_once(url, connections=20, timeout=0.5) == ["no answer in time"] * 20
    assert time.monotonic() - begin < 9  # the connections share the time, one after the other would take 10 s


def test_what_came_in_time_counts_when_another_worker_is_silent(serve_workers):
    answers = ask_once(serve_workers(200, None, 200), connections=3, timeout=2)
    assert sorted(map(str, answers)) == ["200", "200", "no answer in time"]


def test_a_server_that_cuts_the_connection():
    """The connection is reset while the others are being opened, so that already the request cannot be sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut():
            for dummy in range(2):
                with listener.accept()[0] as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        Thread(target=cut, daemon=True).start()
        answers = ask_once(f"http://127.0.0.1:{listener.getsockname()[1]}/", connections=2, timeout=30)
    assert len(answers) == 2 and all(isinstance(answer, str) and answer for answer in answers)


def test_a_server_that_talks_something_else():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0\r\n\r\n")

        Thread(target=talk, daemon=True).start()
        answer = ask_once(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=30)[0]
    assert isinstance(answer, str) and answer


def test_knock_opens_connections_and_asks_nothing():
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        assert knock(f"http://127.0.0.1:{listener.getsockname()[1]}/readyz", 4, timeout=30) == 4
        for dummy in range(4):
            connection = listener.accept()[0]
            with connection:
                connection.settimeout(30)
                assert connection.recv(1) == b""


def test_knock_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert knock(url, 4) == 0
    assert knock("http://no.such.host.invalid:1/", 1) == 0


def test_knock_does_not_wait_for_a_full_queue():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began = time.monotonic()
        assert knock(url, 8, timeout=0.2) < 8
        assert 0.2 <= time.monotonic() - began < 30
