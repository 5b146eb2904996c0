# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import cinder_service
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server

TOKEN = "T0KEN-very-secret"
PROJECT = "/v3/0123456789abcdef"
FORBIDDEN = json.dumps(dict(forbidden=dict(message="Policy doesn't allow it.", code=403)))


class Cloud:
    """Cinder's API, as far as it has to do with its services.

    :ivar services: the status of each, by its binary and host.
    :ivar told: what it was told, each with the path and the body.
    :ivar headers: those of the last request.
    :ivar fails: by method what is answered instead: a status and a body, or bytes as they are.
    :ivar deaf: whether nothing of what it is told comes of it.
    """

    def __init__(self):
        self.services = {("cinder-backup", "c-1"): "enabled", ("cinder-backup", "c-2"): "disabled",
                         ("cinder-volume", "c-1@lvm"): "enabled"}
        self.reasons = {}
        self.told, self.headers, self.fails, self.deaf = [], {}, {}, False
        cloud = self

        class Handler(Quiet):
            def do_GET(self):
                self.answer(lambda: cloud.listed(**parse_qs(urlsplit(self.path).query)))

            def do_PUT(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(lambda: cloud.set(self.path, body))

            def answer(self, act):
                cloud.headers = {key.lower(): text for key, text in self.headers.items()}
                assert self.path.startswith(f"{PROJECT}/os-services"), self.path
                broken = cloud.fails.get(self.command)
                if isinstance(broken, bytes):
                    self.wfile.write(broken)
                    return
                status, text = broken or (200, json.dumps(act()))
                self.send_response(status)
                self.send_header("Location", f"http://127.0.0.1:1{self.path}")
                self.end_headers()
                self.wfile.write(text.encode())

        self.server = Server(Handler)
        self.url = f"{self.server.url}{PROJECT}"

    def listed(self, binary, host):
        """As Cinder does: those of every backend of a host, too."""
        return dict(services=[dict(binary=one, host=place, status=status, state="up",
                                   disabled_reason=self.reasons.get(place))
                              for (one, place), status in self.services.items()
                              if [one] == binary and place.partition("@")[0] == host[0].partition("@")[0]])

    def set(self, path, body):
        verb = path.rpartition("/")[2]
        self.told.append((verb, body))
        if not self.deaf:
            self.services[body["binary"], body["host"]] = "enabled" if verb == "enable" else "disabled"
            self.reasons[body["host"]] = body.get("disabled_reason")
        return dict(body, disabled=verb != "enable")


@pytest.fixture
def cloud():
    made = Cloud()
    yield made
    made.server.close()


@pytest.fixture
def run(run_module, cloud):
    def start(state, check=False, **arguments):
        result = run_module(cinder_service, check, **dict(dict(
            url=cloud.url, headers={"X-Auth-Token": TOKEN}, binary="cinder-backup", host="c-1", state=state),
            **arguments))
        assert TOKEN not in str(result)
        return result

    return start


@pytest.fixture
def ask_once(monkeypatch):
    """What is wrong stays so, and the test need not wait for that; a short timeout would end a slow answer, too."""
    monkeypatch.setattr(cinder_service, "wait_for", lambda look, timeout, interval: look())


@pytest.mark.parametrize("host, state, reason, told", [
    ("c-1", "disabled", "", [("disable", {})]),
    ("c-1", "disabled", "upgrade", [("disable-log-reason", dict(disabled_reason="upgrade"))]),
    ("c-2", "enabled", "", [("enable", {})]),
    ("c-2", "enabled", "upgrade", [("enable", {})]),
    ("c-1", "enabled", "", []),
    ("c-2", "disabled", "upgrade", []),
])
def test_a_service(run, cloud, host, state, reason, told):
    was = cloud.services["cinder-backup", host]
    result = run(state, host=host, reason=reason)
    assert not result["failed"] and result["changed"] == bool(told) and result["was"] == was
    assert cloud.told == [(verb, dict(binary="cinder-backup", host=host, **more)) for verb, more in told]
    assert cloud.services["cinder-backup", host] == state
    assert result["diff"] == {"before": f"cinder-backup on {host}: {was}\n",
                              "after": f"cinder-backup on {host}: {state}\n"}
    again = run(state, host=host, reason=reason)
    # One whose connection was lost after it has told the API is run again.
    assert not again["changed"] and not result["own"] and again["own"] == (host == "c-1" and reason == "upgrade")


@pytest.mark.parametrize("check", [False, True])
def test_a_look_changes_nothing(run, cloud, check):
    assert run("seen", check, host="c-2") == dict(run("seen", host="c-2"), changed=False, failed=False, was="disabled")
    assert not cloud.told
    cloud.fails["GET"] = (401, "")
    assert run("seen")["msg"].endswith(cinder_service.TOKEN)


def test_check_mode(run, cloud):
    result = run("disabled", check=True)
    assert result["changed"] and result["was"] == "enabled" and result["diff"]["after"].endswith(": disabled\n")
    assert not cloud.told


def test_a_service_of_a_backend(run, cloud):
    assert run("disabled", binary="cinder-volume", host="c-1@lvm")["changed"]
    assert cloud.told == [("disable", dict(binary="cinder-volume", host="c-1@lvm"))]


def test_what_is_sent(run, cloud):
    run("disabled", url=cloud.url + "/", headers={"X-Auth-Token": TOKEN, "X-Number": 7})
    assert cloud.headers["x-auth-token"] == TOKEN and cloud.headers["x-number"] == "7"
    assert cloud.headers["accept"] == "application/json"


@pytest.mark.parametrize("binary, host", [("cinder-backup", "c-9"), ("cinder-volume", "c-1")])
def test_a_service_that_is_not_there(run, cloud, binary, host):
    result = run("disabled", binary=binary, host=host)
    assert result["failed"] and result["msg"] == f"the API at {cloud.url} knows no {binary} on {host}"


def test_no_list_of_services(run, cloud):
    cloud.fails["GET"] = (200, "")
    assert run("disabled")["msg"].endswith("knows no cinder-backup on c-1")


def test_an_api_that_does_nothing(run, cloud):
    cloud.deaf = True
    result = run("disabled")
    assert result["failed"]
    assert result["msg"] == "expected cinder-backup on c-1 to be disabled after the API was told; it says enabled"


@pytest.mark.parametrize("method, path", [("GET", "os-services?binary=cinder-backup&host=c-1"),
                                          ("PUT", "os-services/disable")])
@pytest.mark.parametrize("answer, words", [
    ((401, ""), " answered 401: nothing" + cinder_service.TOKEN),
    ((403, FORBIDDEN), f" answered 403: {FORBIDDEN}" + cinder_service.TOKEN),
    ((503, "<html><body><h1>503 Service\nUnavailable</h1>\n</body></html>"), " answered 503: 503 Service Unavailable"),
    ((500, "x" * 300), f" answered 500: {'x' * cinder_service.WORDS}"),
    # It would take the token elsewhere.
    ((302, ""), " answered 302: nothing"),
    ((200, "<html>"), " answered something that is no JSON object: is that Cinder's API?"),
    ((200, "[]"), " answered something that is no JSON object: is that Cinder's API?"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ": IncompleteRead(2 bytes read, 7 more expected)"),
    (b"", ": Remote end closed connection without response"),
])
def test_an_answer_that_is_none(run, cloud, method, path, answer, words, ask_once):
    cloud.fails[method] = answer
    result = run("disabled")
    begin = "cannot ask " if isinstance(answer, bytes) else ""
    assert result["failed"] and result["msg"] == f"{begin}{cloud.url}/{path}{words}"


def test_a_moment_in_which_nobody_answers(run, cloud, monkeypatch):
    """A run must not leave a service disabled for that."""
    answers = [(503, ""), (502, ""), None]
    monkeypatch.setattr(cinder_service, "INTERVAL", 0.01)
    cloud.fails = SimpleNamespace(get=lambda method: answers.pop(0) if len(answers) > 1 else None)
    assert run("enabled", host="c-2", timeout=20)["changed"] and cloud.services["cinder-backup", "c-2"] == "enabled"


@pytest.mark.parametrize("url, words", [
    ("http://127.0.0.1:1/v3", "cannot ask http://127.0.0.1:1/v3/os-services?binary=cinder-backup&host=c-1: [Errno 111] "
                              "Connection refused"),
    ("127.0.0.1:8776/v3", "unknown url type: 127.0.0.1"),
    ("nonsense", "unknown url type: 'nonsense/os-services?binary=cinder-backup&host=c-1'"),
    ("http://127.0.0.1:port/v3", "nonnumeric port: 'port'"),
])
def test_nobody_to_ask(run, url, words, ask_once):
    result = run("disabled", url=url)
    assert result["failed"] and result["msg"].startswith("cannot ask ") and result["msg"].endswith(words)


def test_an_api_that_hangs_costs_the_timeout(run):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("disabled", timeout=0.3, url=f"http://127.0.0.1:{silent.getsockname()[1]}/v3")
    assert result["failed"] and result["msg"].endswith(": timed out")
