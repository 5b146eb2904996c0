# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
import ssl
import time
from urllib.error import HTTPError, URLError

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import wait_for
from ansible_collections.shakenfist.rolling.plugins.modules import webhook
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server

TOKEN = "T0KEN/very-secret"
BODY = dict(text="it begins", nodes=dict(left=["sf-1"]), seconds=1.5)


class Receiver:
    """An HTTP server that keeps what is posted to it, and answers with a status; with None it never does."""

    def __init__(self):
        self.status, self.requests = 200, []
        receiver = self

        class Handler(Quiet):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {key.lower(): text for key, text in self.headers.items()}
                receiver.requests.append((self.path, headers, json.loads(body)))
                if receiver.status is None:
                    self.rfile.read(1)  # until the other side gives up
                    return
                self.send_response(receiver.status, f"no such thing as {self.path}")
                self.send_header("Location", f"http://127.0.0.1:1{self.path}")
                self.end_headers()
                self.wfile.write(self.path.encode())

        self.server = Server(Handler)
        self.server.block_on_close = False
        self.url = f"{self.server.url}/{TOKEN}"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.close()


def test_it_posts(run_module, receiver):
    result = run_module(webhook, url=receiver.url, body=BODY, headers={"Authorization": "Bearer abc", "X-Number": 7})
    assert not result["failed"] and not result["changed"] and result["sent"] and result["problem"] == ""
    path, headers, body = receiver.requests.pop()
    assert path == f"/{TOKEN}" and body == BODY and not receiver.requests
    assert headers["content-type"] == "application/json" and headers["user-agent"] == "shakenfist.rolling"
    assert headers["authorization"] == "Bearer abc" and headers["x-number"] == "7"
    assert TOKEN not in str(result) and "Bearer abc" not in str(result)


def test_check_mode_posts_nothing(run_module, receiver):
    result = run_module(webhook, True, url=receiver.url, body=BODY)
    assert not result["failed"] and not result["sent"] and result["problem"] == "" and not receiver.requests


@pytest.mark.parametrize("status, words", [
    (404, "it answered 404 Not Found"), (302, "it answered 302 Found"), (599, "it answered 599")])
def test_it_says_what_was_answered_and_not_in_the_words_of_the_server(run_module, receiver, status, words):
    receiver.status = status
    result = run_module(webhook, url=receiver.url, body=BODY)
    assert not result["failed"] and not result["sent"] and result["problem"] == words
    assert TOKEN not in str(result) and len(receiver.requests) == 1


def test_a_server_that_hangs_costs_the_timeout(run_module, receiver):
    receiver.status = None
    begin = time.monotonic()
    # On a busy machine the request itself takes its time.
    result = run_module(webhook, url=receiver.url, body=BODY, timeout=2)
    assert result["problem"] == "no answer within 2 s" and not result["failed"] and not result["sent"]
    assert 2 <= time.monotonic() - begin < 30
    assert wait_for(lambda: len(receiver.requests) == 1, 10)


def test_a_server_that_answers_drop_by_drop_does_not_cost_more(run_module, monkeypatch):
    """The socket's own timeout never runs out here, nor does it where a name server is silent."""
    monkeypatch.setattr(webhook, "open_url", lambda *args, **kwargs: time.sleep(60))
    begin = time.monotonic()
    result = run_module(webhook, url="http://127.0.0.1/", body=BODY, timeout=0.2)
    assert result["problem"] == "no answer within 0.2 s" and time.monotonic() - begin < 30


def test_nobody_listens(run_module):
    result = run_module(webhook, url=f"http://127.0.0.1:1/{TOKEN}", body=BODY)
    assert result["problem"] == "ConnectionRefusedError: Connection refused" and not result["failed"]


@pytest.mark.parametrize("error, words", [
    (socket.timeout("timed out"), "no answer within 5 s"),
    (URLError(socket.timeout("timed out")), "no answer within 5 s"),
    (URLError(socket.gaierror(-2, "Name or service not known")), "gaierror: Name or service not known"),
    (URLError(f"no host given in {TOKEN}"), "URLError"),
    (ValueError(f"unknown url {TOKEN}"), "ValueError"),
    (HTTPError(f"http://{TOKEN}", 500, TOKEN, {}, None), "it answered 500 Internal Server Error"),
])
def test_what_goes_wrong_in_words(run_module, monkeypatch, error, words):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(webhook, "open_url", fail)
    result = run_module(webhook, url=f"https://127.0.0.1/{TOKEN}", body=BODY)
    assert result["problem"] == words and not result["failed"] and TOKEN not in str(result)


def test_a_certificate_is_not_shown():
    error = ssl.SSLCertVerificationError(1, f"certificate is not valid for '{TOKEN}'")
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    assert webhook.in_words(error) == "SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED"


@pytest.mark.parametrize("arguments, message", [
    (dict(url=f"ftp://sf-1/{TOKEN}"), "url is no http://HOST/... or https://HOST/..."),
    (dict(url=f"https:///{TOKEN}"), "url is no http://HOST/... or https://HOST/..."),
    (dict(url=f"https://sf-1:x/{TOKEN}"), "url is no http://HOST/... or https://HOST/..."),
    (dict(url=f"https://[sf-1/{TOKEN}"), "url is no http://HOST/... or https://HOST/..."),
    (dict(timeout=0), "timeout must be more than 0 seconds, not 0"),
])
def test_bad_input(run_module, arguments, message):
    result = run_module(webhook, **dict(dict(url="http://127.0.0.1:1/", body=BODY), **arguments))
    assert result["failed"] and result["msg"] == message and TOKEN not in str(result)
