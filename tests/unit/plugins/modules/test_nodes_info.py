# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
import time

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import nodes_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import nodes_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server

KEY = "the=key#1"
TOKEN = "header.body.signature"


def node(name, release="0.8.1", state="created", **more):
    return dict(dict(name=name, ip="10.0.0.1", state=state, lastseen=time.time() - 12, release=release,
                     is_hypervisor=True, is_network_node=False, is_etcd_master=False, is_database_node=False,
                     is_cluster_maintainer=False, daemons={}), **more)


def listed(found):
    """A node as the API lists it: each daemon in a key of its own."""
    entry = {key: value for key, value in found.items() if key != "daemons"}
    entry.update({f"daemon-{name[3:]}-state": f"daemon-{state}" for name, state in found.get("daemons", {}).items()})
    return entry


def daemons(**states):
    all_of_them = dict(dict.fromkeys(("api", "net", "sentinel_first", "sentinel_last"), "running"), **states)
    return {"sf-" + name.replace("_", "-"): state for name, state in all_of_them.items()}


class Api:
    """An API over a real socket.

    :ivar nodes: what it lists, one list for each request; the last one stays.
    :ivar auth: the status and the body of an answer to POST /auth that is not the usual one.
    :ivar list: the same for GET /nodes.
    :ivar asked: the requests.
    """

    def __init__(self):
        self.nodes = [[node("sf-1")]]
        self.auth = self.list = None
        self.headers = {}
        self.asked = []
        api = self

        class Handler(Quiet):
            def do_POST(self):
                api.asked.append("POST " + self.path)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                right = body == {"namespace": "system", "key": KEY} and self.path.endswith("/auth")
                right = right and self.headers["Content-Type"] == "application/json"
                self.answer(*(api.auth or ((200, {"access_token": TOKEN}) if right else (401, {"error": KEY}))))

            def do_GET(self):
                api.asked.append("GET " + self.path)
                if api.list or self.headers["Authorization"] != f"Bearer {TOKEN}" or not self.path.endswith("/nodes"):
                    return self.answer(*(api.list or (401, {"error": TOKEN})))
                return self.answer(200, api.nodes.pop(0) if len(api.nodes) > 1 else api.nodes[0])

            def answer(self, status, body):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = Server(Handler)
        self.url = self.server.url

    def close(self):
        self.server.close()


@pytest.fixture
def apis(monkeypatch, clock):
    """Two APIs, behind a proxy that must not be asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(part, "time", clock)
    monkeypatch.setattr(part, "INTERVAL", 2)
    found = [Api(), Api()]
    yield found
    for api in found:
        api.close()


@pytest.fixture
def api(apis):
    return apis[0]


@pytest.fixture
def credentials(tmp_path, api):
    path = tmp_path / "shakenfist.json"
    path.write_text(json.dumps({"namespace": "system", "key": KEY, "apiurl": api.url + "/api/"}))
    return path


@pytest.fixture
def run(run_module, credentials):
    def start(check=False, **arguments):
        arguments = dict(dict(credentials=str(credentials)), **arguments)
        result = run_module(nodes_info, check, **arguments)
        assert KEY not in str(result) and TOKEN not in str(result) and not result.get("changed")
        return result
    return start


@pytest.fixture
def closed():
    """A URL where nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def silence(url):
    return (f"the API at {url} does not answer (Connection refused): see that sf-api runs there "
            "(systemctl status sf-api), and that no firewall is between")


@pytest.mark.parametrize("check", [False, True])
def test_the_nodes_of_a_cluster(run, api, check):
    nodes = [node("sf-1", is_cluster_maintainer=True), node("sf-2"), node("sf-8", state="error"),
             node("sf-9", state="missing"), node("sf-10", state="deleted")]
    api.nodes = [[dict(listed(found), secret="s3cret") for found in nodes]]
    result = run(check)
    assert not result["failed"] and result["known"] is True and result["problem"] == ""
    assert result["nodes"] == nodes
    assert result["leader"] == "sf-1" and result["stale"] == ["sf-8", "sf-9"]
    assert api.asked == ["POST /api/auth", "GET /api/nodes"]


def test_an_api_that_says_less(run, api):
    api.nodes = [[{"name": "sf-1"}]]
    result = run()
    assert result["nodes"] == [dict(dict.fromkeys(part.KEYS), name="sf-1", daemons={})]
    assert result["leader"] == "" and result["stale"] == []


def test_the_url_comes_first(run, apis):
    apis[1].nodes = [[node("sf-2")]]
    result = run(url=apis[1].url + "/")
    assert [found["name"] for found in result["nodes"]] == ["sf-2"]
    assert apis[1].asked == ["POST /auth", "GET /nodes"] and apis[0].asked == []


def test_the_file_s_url_comes_second(run, api, closed):
    result = run(url=closed)
    assert result["known"] is True and result["problem"] == "" and api.asked


def test_the_same_url_is_asked_once(run, api):
    api.auth = (401, {})
    run(url=api.url + "/api")
    assert api.asked == ["POST /api/auth"]


def test_nobody_answers(run, credentials, closed):
    credentials.write_text(json.dumps({"namespace": "system", "key": KEY, "apiurl": closed + "/api"}))
    result = run(url=closed)
    assert not result["failed"] and result["known"] is False
    assert (result["nodes"], result["leader"], result["stale"]) == ([], "", [])
    assert result["problem"] == f"{silence(closed)}; {silence(closed + '/api')}"


def test_an_api_that_says_nothing(run, credentials, monkeypatch):
    limits, really = [], part.urls.open_url

    def open_url(*arguments, **more):
        limits.append(more["timeout"])
        return really(*arguments, **more)

    monkeypatch.setattr(part.urls, "open_url", open_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        credentials.write_text(json.dumps({"namespace": "system", "key": KEY, "apiurl": url}))
        monkeypatch.setattr(part, "ANSWER_WITHIN", 0.2)
        result = run()
    assert not result["failed"] and "does not answer (timed out)" in result["problem"]
    assert limits == [0.2]


@pytest.mark.parametrize("auth, listing, problem", [
    ((401, {"error": KEY}), None,
     "the API at {url} refuses the credentials of the namespace system (401): correct the key in {path}"),
    ((403, {}), None,
     "the API at {url} refuses the credentials of the namespace system (403): correct the key in {path}"),
    (None, (401, {"error": TOKEN}),
     "the API at {url} takes the credentials, but does not list the nodes for the namespace system (401): put "
     "credentials of the namespace system into {path}"),
    ((502, b"Bad Gateway"), None,
     "the API at {url} answers POST /auth with 502: look at journalctl -u sf-api on that node, and correct the URL if "
     "it is not the API's"),
    (None, (404, b""),
     "the API at {url} answers GET /nodes with 404: look at journalctl -u sf-api on that node, and correct the URL if "
     "it is not the API's"),
    ((200, b"<html>the=key#1"), None,
     "{url} answers POST /auth with something else than Shaken Fist's API does: correct the URL"),
    ((200, b"\xff"), None,
     "{url} answers POST /auth with something else than Shaken Fist's API does: correct the URL"),
    ((200, []), None, "{url} answers POST /auth with something else than Shaken Fist's API does: correct the URL"),
    ((200, {"access_token": ""}), None,
     "{url} answers POST /auth with something else than Shaken Fist's API does: correct the URL"),
    ((200, {"access_token": "a\nb"}), None,
     "{url} answers GET /nodes with something else than Shaken Fist's API does: correct the URL"),
    (None, (200, {"nodes": []}),
     "{url} answers GET /nodes with something else than Shaken Fist's API does: correct the URL"),
    (None, (200, [{"state": "created"}]),
     "{url} answers GET /nodes with something else than Shaken Fist's API does: correct the URL"),
    (None, (200, ["sf-1"]),
     "{url} answers GET /nodes with something else than Shaken Fist's API does: correct the URL"),
])
def test_an_api_that_does_not_do(run, api, credentials, auth, listing, problem):
    api.auth, api.list = auth, listing
    result = run()
    assert not result["failed"] and result["known"] is False and result["nodes"] == []
    assert result["problem"] == problem.format(url=api.url + "/api", path=credentials)


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("which", ["auth", "list"])
def test_a_redirect_does_not_get_the_credentials(run, apis, which, status):
    setattr(apis[0], which, (status, b""))
    apis[0].headers = {"Location": apis[1].url + "/nodes"}
    result = run()
    assert result["known"] is False and f"with {status}" in result["problem"] and apis[1].asked == []


@pytest.mark.parametrize("text, problem", [
    (None, "cannot read the API's credentials in {path}: No such file or directory. Copy the file from a node that has "
           "it, or correct the path"),
    ('{"key": "the=key#1', "{path} is no JSON object: expected namespace, key and apiurl in it. Copy the file from a "
                           "node where it is right"),
    ('["the=key#1"]', "{path} is no JSON object: expected namespace, key and apiurl in it. Copy the file from a node "
                      "where it is right"),
    ('{"key": "the=key#1"}', "{path} has no namespace: add the namespace that the API knows"),
    ('{"namespace": "system", "key": ""}', "{path} has no key: add the key that the API knows"),
    ('{"namespace": "system", "key": "the=key#1"}',
     "{path} has no apiurl: add the URL of the API, such as http://10.0.0.1:13000"),
    ('{"namespace": "system", "key": "the=key#1", "apiurl": "sf-1:13000"}',
     "sf-1:13000 is no URL of an API: expected one such as http://10.0.0.1:13000, in {path} or in url"),
])
@pytest.mark.parametrize("timeout", [0, 30])
def test_credentials_that_do_not_do(run, credentials, clock, text, problem, timeout):
    if text is None:
        credentials.unlink()
    else:
        credentials.write_text(text)
    result = run(timeout=timeout)
    assert result["failed"] is bool(timeout) and result["known"] is False
    assert result["problem"] == problem.format(path=credentials)
    assert result.get("msg", result["problem"]) == result["problem"]
    assert clock.naps == []


def test_a_url_does_for_a_file_without_one(run, api, credentials):
    credentials.write_text(json.dumps({"namespace": "system", "key": KEY}))
    assert run(url=api.url)["known"] is True


def test_a_password_in_the_url(run, credentials, closed):
    url = closed.replace("//", "//operator:pa55@")
    credentials.write_text(json.dumps({"namespace": "system", "key": KEY, "apiurl": url}))
    assert run()["problem"] == silence(closed)


@pytest.mark.parametrize("names, last", [
    ([], [node("sf-1"), node("sf-2")]),
    ([], [node("sf-1"), node("sf-2"), node("sf-9", "0.7.2", "deleted")]),
    (["sf-1"], [node("sf-1"), node("sf-2", "0.8.0")]),
])
def test_wait_for_a_release(run, api, names, last):
    api.nodes = [[node("sf-1", "0.8.0")], [], last]
    result = run(release="0.8.1", names=names, timeout=10)
    assert not result["failed"] and result["problem"] == "" and result["known"] is True
    # It logs in once.
    assert api.asked == ["POST /api/auth"] + ["GET /api/nodes"] * 3


@pytest.mark.parametrize("names, nodes, words", [
    ([], [node("sf-1"), node("sf-3", "0.8.0")], "sf-3 reports 0.8.0 (created, last seen {ago} s ago)"),
    ([], [node("sf-1", ""), node("sf-9", "0.7.2", "missing", lastseen=None)],
     "sf-1 reports no release (created, last seen {ago} s ago); sf-9 reports 0.7.2 (missing, never seen)"),
    (["sf-1", "sf-7"], [node("sf-1"), node("sf-3", "0.8.0")], "the API does not know sf-7"),
    (["sf-9"], [node("sf-9", "0.7.2", "deleted", lastseen=None)], "sf-9 reports 0.7.2 (deleted, never seen)"),
    ([], [], "the API knows no node"),
    ([], [node("sf-9", "0.7.2", "deleted")], "the API knows no node"),
])
@pytest.mark.parametrize("timeout, within", [(0, ""), (10, " within 10 s")])
def test_a_release_that_does_not_come(run, api, clock, names, nodes, words, timeout, within):
    seen = clock.now - 100
    api.nodes = [[dict(found, lastseen=found["lastseen"] and seen) for found in nodes]]
    result = run(release="0.8.1", names=names, timeout=timeout)
    assert result["failed"] is bool(timeout) and result["known"] is True
    assert result["problem"] == (
        f"expected release 0.8.1 from every node{within}; {words.format(ago=100 + timeout)}")
    assert result.get("msg", result["problem"]) == result["problem"]


def test_wait_for_an_api(run, api, clock):
    api.auth = (502, b"")
    clock.meanwhile = [lambda: setattr(api, "auth", None)]
    result = run(timeout=10)
    assert not result["failed"] and result["known"] is True and result["problem"] == ""


def test_a_token_that_has_run_out(run, api, clock):
    api.nodes = [[node("sf-1", "0.8.0")]]
    api.list = (401, {})
    clock.meanwhile = [lambda: (setattr(api, "list", None), api.nodes.append([node("sf-1")]))]
    assert not run(release="0.8.1", timeout=10)["failed"]


@pytest.mark.parametrize("release, expected", [
    ("", "expected the API to list its nodes within 10 s"),
    ("0.8.1", "expected release 0.8.1 from every node within 10 s"),
])
def test_an_api_that_does_not_come(run, credentials, closed, release, expected):
    credentials.write_text(json.dumps({"namespace": "system", "key": KEY, "apiurl": closed}))
    result = run(release=release, timeout=10)
    assert result["failed"] and result["msg"] == f"{expected}; last seen: {silence(closed)}"
    assert result["problem"] == silence(closed) and result["known"] is False


@pytest.mark.parametrize("key, state, expected", [
    ("daemon-net-state", "daemon-stopped", {"sf-net": "stopped"}),
    ("daemon-net-state", "running", {"sf-net": "running"}),
    ("daemon-sentinel-first-state", "daemon-stopping", {"sf-sentinel-first": "stopping"}),
    ("daemon-net-state", None, {}),
    ("daemons", "daemon-running", {}),
])
def test_the_daemons_of_a_node(run, api, key, state, expected):
    api.nodes = [[{"name": "sf-1", "is_database_node": True, key: state}]]
    found, = run()["nodes"]
    assert found["daemons"] == expected and found["is_database_node"] is True


@pytest.mark.parametrize("reported, release", [
    ("0.8.1", "0.8.1.dev3+gabc1234"), ("0.8.1", "0.8.1rc1"), ("0.8.2", "0.8.1.post1"), ("0.8.1", "0.8.1")])
def test_a_build_of_a_release_is_reported_in_brief(run, api, reported, release):
    api.nodes = [[node("sf-1", reported)]]
    assert run(release=release)["problem"] == ""
    api.nodes = [[node("sf-1", "0.8.0")]]
    assert run(release=release)["problem"].startswith(f"expected release {release} from every node; sf-1 reports 0.8.0")


SENTINELS = "journalctl -u sf-sentinel-first -u sf-sentinel-last -n 50"
START = "systemctl stop sf-sentinel-last && systemctl restart sf-sentinel-first && systemctl start sf-sentinel-last"
RESTART = f"on sf-1, nothing else ends this: {SENTINELS}, then {START}"


@pytest.mark.parametrize("state, states, down, fix", [
    ("degraded", dict(net="stopped"), "; not running: sf-net",
     "on sf-1: journalctl -u sf-net -n 50, then systemctl restart sf-net; it is created again when all run"),
    ("degraded", dict(net="stopping", api="stopped"), "; not running: sf-api, sf-net",
     "on sf-1: journalctl -u sf-api -u sf-net -n 50, then systemctl restart sf-api sf-net; it is created again when "
     "all run"),
    ("stopping", dict(sentinel_last="stopped"), "; not running: sf-sentinel-last", RESTART),
    # Every daemon runs, but the last sentinel has written nothing when it started.
    ("stopping", {}, "", RESTART),
    ("stopped", {}, "", RESTART),
    # A daemon that is down is started as well, but does not end the state.
    ("stopped", dict(net="stopped"), "; not running: sf-net",
     f"on sf-1, nothing else ends this: journalctl -u sf-net -n 50, then systemctl restart sf-net && {START}"),
    ("error", {}, "", "on sf-1, once the cause of its error is gone: sf-ctl clear-node-error"),
    ("degraded", {}, "", "on sf-1: journalctl -u sf-sentinel-first -u sf-sentinel-last -n 50"),
    ("missing", {}, "", "on sf-1: journalctl -u sf-sentinel-first -u sf-sentinel-last -n 50"),
])
def test_a_node_that_does_not_come_back(run, api, state, states, down, fix):
    found = node("sf-1", state=state, lastseen=None, daemons=daemons(**states))
    api.nodes = [[listed(found), node("sf-2", state="error")]]
    result = run(release="0.8.1.dev1", states=["created"], names=["sf-1"], timeout=10)
    assert result["failed"] and result["notes"] == []
    assert result["msg"] == ("expected sf-1 to be created and to report 0.8.1 within 10 s; sf-1 reports 0.8.1 "
                             f"({state}, never seen{down}). To fix it: {fix}")


def test_wait_for_a_node_to_come_back(run, api):
    api.nodes = [[node("sf-1", "0.8.0")], [node("sf-1", state="degraded")], [node("sf-1")]]
    result = run(release="0.8.1", states=["created"], timeout=10)
    assert not result["failed"] and result["problem"] == "" and len(api.asked) == 4


def test_a_node_that_reports_another_release_is_named_without_a_state(run, api):
    api.nodes = [[node("sf-1", "0.8.0", lastseen=None), node("sf-2")]]
    result = run(release="0.8.1", states=["created"], timeout=10)
    assert result["msg"] == ("expected every node to be created and to report 0.8.1 within 10 s; sf-1 reports 0.8.0 "
                             f"(created, never seen). To fix it: {RESTART}")


@pytest.mark.parametrize("before, now, alone, excused", [
    # As it was, for reasons of its own.
    (("degraded", dict(net="stopped")), ("degraded", dict(net="stopped")), False, True),
    (("degraded", dict(net="stopped", api="stopped")), ("degraded", dict(net="stopped")), False, True),
    (("error", {}), ("error", {}), False, True),
    # Another daemon, or another state.
    (("degraded", dict(net="stopped")), ("degraded", dict(net="stopped", api="stopped")), False, False),
    (("degraded", dict(net="stopped")), ("degraded", dict(api="stopped")), False, False),
    (("created", {}), ("degraded", dict(net="stopped")), False, False),
    (("missing", {}), ("degraded", {}), False, False),
    (None, ("degraded", {}), False, False),
    # The sentinels end these.
    (("stopping", {}), ("stopping", {}), False, False),
    (("stopping", {}), ("stopping", {}), True, True),
    (("stopped", {}), ("stopping", {}), True, False),
])
def test_a_node_that_was_so_before(run, api, before, now, alone, excused):
    def at(state, states):
        return node("sf-1", state=state, lastseen=None, daemons=daemons(**states))
    api.nodes = [[listed(at(*now))]]
    result = run(states=["created"], before=[at(*before)] if before else [], sentinels_alone=alone, timeout=10)
    assert result["failed"] is not excused
    if excused:
        note, = result["notes"]
        assert note.startswith(f"sf-1 reports 0.8.1 ({now[0]}, never seen") and note.endswith("), as it was before")


def test_sentinels_that_were_left_alone(run, api):
    api.nodes = [[node("sf-1", "0.8.0"), node("sf-2"), node("sf-3", "0.8.0")]]
    result = run(release="0.8.1", states=["created"], sentinels_alone=True, timeout=10)
    assert not result["failed"] and result["problem"] == "" and len(api.asked) == 2
    note, = result["notes"]
    assert "so sf-1, sf-3 report another release than 0.8.1, and no object is upgraded online" in note
    assert note.endswith("shakenfist.rolling.restart with -e restart_units=sf-sentinel-first,sf-sentinel-last")


def test_a_state_counts_also_where_the_sentinels_were_left_alone(run, api):
    api.nodes = [[node("sf-1", "0.8.0", "degraded", lastseen=None)]]
    result = run(release="0.8.1", states=["created"], sentinels_alone=True, timeout=10)
    assert result["failed"] and result["msg"].startswith(
        "expected every node to be created within 10 s; sf-1 reports 0.8.0 (degraded, never seen). To fix it: ")


@pytest.mark.parametrize("unreadable", [False, True])
def test_an_api_that_need_not_answer(run, credentials, closed, unreadable):
    credentials.write_text("{" if unreadable else json.dumps({"namespace": "system", "key": KEY, "apiurl": closed}))
    result = run(states=["created"], names=["sf-1"], required=False, timeout=10)
    assert not result["failed"] and result["known"] is False
    note, = result["notes"]
    assert note.startswith("what the API knows of sf-1 is not known: ")


def test_an_api_that_need_not_answer_but_does(run, api):
    api.nodes = [[node("sf-1", state="stopped")]]
    assert run(states=["created"], required=False, timeout=10)["failed"]
