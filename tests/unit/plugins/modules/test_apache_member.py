# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import re
from urllib.parse import parse_qs

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import apache_member
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server

MEMBER = "http://10.0.0.1:13000"
OTHER = "http://10.0.0.2:13000"
# In the order in which Apache shows them.
FLAGS = ("Drn", "Dis", "Stop", "Err", "HcFl")
USELESS = {"Dis", "Stop", "Err", "HcFl"}


class FakeApache:
    """A balancer-manager as Apache 2.4.71 was seen to be: fields count only in a POST with its own Referer and nonce.

    :ivar flags: the flags of each member of the balancer sf-api.
    :ivar busy: with how many requests the first member is busy, one for each time that it is asked, the last for ever.
    :ivar recovers: after how many more looks no member is in error.
    :ivar says: a status and a text to answer with, instead.
    """

    def __init__(self):
        self.flags = {MEMBER: set(), OTHER: set()}
        self.busy, self.recovers, self.says, self.login, self.obeys = [0], None, None, "", True
        self.orders = []
        fake = self

        class Handler(Quiet):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fields = {name: values[0] for name, values in parse_qs(body).items()}
                status, text = fake.answer(fields, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self.server = Server(Handler)
        self.url = f"{self.server.url}/balancer-manager"

    def answer(self, fields, headers):
        token = base64.b64encode(self.login.encode()).decode()
        if self.login and headers["Authorization"] != f"Basic {token}":
            return 401, ""
        if self.says:
            return self.says
        if headers["Referer"] != self.url:
            return 200, "<!DOCTYPE HTML><html>"
        if fields.get("nonce") == "n-1" and fields["b"] == "sf-api" and fields["w"] in self.flags:
            self.orders.append(fields)
            for letter, flag in (("D", "Dis"), ("N", "Drn")):
                change = self.flags[fields["w"]].add if fields[f"w_status_{letter}"] == "1" else (
                    self.flags[fields["w"]].discard)
                if self.obeys:
                    change(flag)
        if self.recovers is not None:
            self.recovers -= 1
            if self.recovers < 0:
                self.flags[MEMBER].discard("Err")
        return 200, self.page()

    def page(self):
        members = ""
        for name, flags in self.flags.items():
            words = ["Init", *[flag for flag in FLAGS if flag in flags], *([] if flags & USELESS else ["Ok"])]
            busy = 9 if name != MEMBER else self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]
            members += (f"<httpd:worker><httpd:name>{name}</httpd:name><httpd:status>{' '.join(words)} </httpd:status>"
                        f"<httpd:busy>{busy}</httpd:busy></httpd:worker>")
        return ("<?xml version='1.0' encoding='UTF-8' ?><httpd:manager xmlns:httpd='http://httpd.apache.org'>"
                "<httpd:balancers><httpd:balancer><httpd:name>balancer://sf-api</httpd:name><httpd:nonce>n-1</httpd:nonce>"
                f"<httpd:workers>{members}</httpd:workers></httpd:balancer></httpd:balancers></httpd:manager>")


@pytest.fixture
def apache():
    fake = FakeApache()
    yield fake
    fake.server.close()


@pytest.fixture
def run(run_module, apache):
    def start(state, check=False, **arguments):
        return run_module(apache_member, check, **{"url": apache.url, "balancer": "sf-api", "member": MEMBER,
                                                   "state": state, **arguments})

    return start


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("flags, state, was, after", [
    ((), "drain", "ready", {"Drn", "Dis"}),
    (("Err",), "drain", "ready", {"Drn", "Dis", "Err"}),
    (("Drn", "Dis"), "ready", "drain", set()),
])
def test_a_state_is_set(apache, run, flags, state, was, after, check):
    apache.flags[MEMBER] = set(flags)
    result = run(state, check)
    assert not result["failed"] and result["changed"] and result["was"] == was
    assert result["diff"] == {"before": f"sf-api/{MEMBER}: {was}\n", "after": f"sf-api/{MEMBER}: {state}\n"}
    assert apache.flags[MEMBER] == (set(flags) if check else after) and len(apache.orders) == (not check)
    assert apache.flags[OTHER] == set()
    if not check:
        again = run(state)
        assert not again["failed"] and not again["changed"] and again["was"] == state and len(apache.orders) == 1


@pytest.mark.parametrize("flags", [("Drn",), ("Dis",), ("Stop",), ("Dis", "Stop")])
@pytest.mark.parametrize("state", ["drain", "ready"])
def test_what_others_did_is_left(apache, run, state, flags):
    apache.flags[MEMBER] = set(flags)
    result = run(state)
    assert not result["failed"] and not result["changed"] and result["was"] == "out"
    assert apache.flags[MEMBER] == set(flags) and not apache.orders
    assert result["diff"]["before"] == result["diff"]["after"]


def test_a_slash_at_the_end(apache, run):
    assert run("drain", member=f"{MEMBER}/")["changed"] and apache.flags[MEMBER] == {"Drn", "Dis"}


@pytest.mark.parametrize("flag", FLAGS)
def test_never_the_last_one(apache, run, flag):
    apache.flags[OTHER] = {flag}
    result = run("drain")
    assert result["failed"] and not result["changed"] and not apache.orders
    assert re.match(rf"{MEMBER} is the only member of sf-api that Apache \S+ sends requests to; {OTHER} is Init {flag}",
                    result["msg"])
    assert run("drain", allow_last=True)["changed"]
    # It is out already.
    assert not run("drain")["failed"]


def test_two_are_taken_out_in_the_same_moment(apache, run, monkeypatch):
    """Each has seen the other still in."""
    read = apache.page

    def page():
        apache.flags[OTHER] = {"Drn", "Dis"} if apache.orders else set()
        return read()

    monkeypatch.setattr(apache, "page", page)
    result = run("drain")
    assert result["failed"] and not result["changed"] and f"{OTHER} is Init Drn Dis: let one" in result["msg"]
    assert len(apache.orders) == 2 and apache.flags[MEMBER] == set()


def test_an_only_member(apache, run):
    del apache.flags[OTHER]
    assert run("drain")["changed"]


def test_it_waits_for_requests(apache, run):
    apache.busy = [3, 3, 2, 1, 0]
    result = run("drain", sessions_timeout=60)
    assert not result["failed"] and result["changed"] and result["sessions"] == 0


def test_apache_is_reloaded_meanwhile(apache, run, monkeypatch):
    """It is busy with nothing then, and has forgotten the drain."""
    read, looks = apache.page, []

    def page():
        looks.append(1)
        if len(looks) > 4:
            apache.flags[MEMBER], apache.busy = set(), [0]
        return read()

    apache.busy = [3]
    monkeypatch.setattr(apache, "page", page)
    result = run("drain", sessions_timeout=60)
    assert result["failed"] and result["was"] == "ready" and result["sessions"] == 0
    assert re.match(rf"expected sf-api/{MEMBER} of Apache \S+ to stay in its drain; it gets requests again \(Init Ok\)",
                    result["msg"])


def test_requests_are_left(apache, run):
    apache.busy = [2]
    result = run("drain", sessions_timeout=0.1)
    assert result["failed"] and result["changed"] and result["sessions"] == 2
    assert re.search("to be busy with no request within 0.1 s of its drain; 2 left$", result["msg"])
    # Nobody waits unasked.
    assert not run("drain")["failed"] and not run("ready")["failed"]


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(apache_member.AnsibleModule, "warn", lambda dummy, text: found.append(text))
    return found


def test_it_waits_for_a_member_in_error(apache, run, warnings):
    apache.flags[MEMBER], apache.recovers = {"Drn", "Dis", "Err"}, 4
    result = run("ready", recovery_timeout=60)
    assert not result["failed"] and result["changed"] and result["status"] == "Init Ok" and not warnings


def test_it_stays_in_error(apache, run, warnings):
    apache.flags[MEMBER] = {"Drn", "Dis", "Err"}
    result = run("ready", recovery_timeout=0.1)
    assert not result["failed"] and result["changed"] and len(warnings) == 1
    assert re.search(r"has sf-api/\S+ in error \(Init Err\), and sends it nothing", warnings[0])
    run("ready")
    assert len(warnings) == 1


def test_an_order_without_effect(apache, run):
    apache.obeys = False
    result = run("drain")
    assert result["failed"] and not result["changed"] and result["was"] == "ready"
    assert re.search(f"to have sf-api/{MEMBER} as drain; it says Init Ok: see its error log$", result["msg"])


def test_apache_ends_after_the_order(apache, run, monkeypatch):
    obey = apache.answer

    def answer(*arguments):
        if apache.orders:
            return 503, ""
        return obey(*arguments)

    monkeypatch.setattr(apache, "answer", answer)
    result = run("drain", sessions_timeout=5)
    assert result["failed"] and result["changed"] and result["was"] == "ready" and "answered 503" in result["msg"]


def test_a_user_and_a_password(apache, run):
    apache.login = "joe:s3:cret"
    # The Referer has neither.
    result = run("drain", url=apache.url.replace("//", "//joe:s3%3Acret@"))
    assert not result["failed"] and result["changed"]
    result = run("ready", url=apache.url.replace("//", "//joe:wr0ng@"))
    assert result["failed"] and "answered 401" in result["msg"] and "wr0ng" not in str(result)


@pytest.mark.parametrize("says, message", [
    ((403, ""), "answered 403, not its balancers: it may not be asked from here"),
    ((404, ""), "answered 404, not its balancers: is that the path of its Location"),
    ((302, ""), "answered 302, not its balancers: it redirects, write the address that it leads to"),
    ((500, ""), "answered 500, not its balancers: see the error log of Apache$"),
    ((200, "<html>\n<p>It works"), "it said '<html> <p>It works': a balancer-manager of Apache 2.4 is needed$"),
])
def test_other_answers(apache, run, says, message):
    apache.says = says
    result = run("drain")
    assert result["failed"] and not result["changed"] and "was" not in result and re.search(message, result["msg"])


@pytest.mark.parametrize("arguments, message", [
    (dict(balancer="nope"), "has no balancer nope; it has sf-api$"),
    (dict(member="http://10.0.0.9:13000"), f"has no member http://10.0.0.9:13000; it has {MEMBER}, {OTHER}$"),
    (dict(url="http://joe:s3cret@127.0.0.1:1/"), "^Apache http://127.0.0.1:1/ cannot be asked: .*Connection refused"),
    (dict(url="127.0.0.1:80"), "is not the address of a balancer-manager"),
    (dict(url="http://[::1/"), "is not the address of a balancer-manager"),
    (dict(url="ftp://127.0.0.1/x"), "is not the address of a balancer-manager"),
])
def test_failures(run, arguments, message):
    result = run("drain", **arguments)
    assert result["failed"] and not result["changed"] and "was" not in result
    assert re.search(message, result["msg"]) and "s3cret" not in str(result)
