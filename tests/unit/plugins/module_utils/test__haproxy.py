# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket
import time
from threading import Thread

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._haproxy import (
    Haproxy,
    UnknownName,
    Unreachable,
    asks_http,
    check_of,
    describe_server,
    got_requests,
    is_up,
)
from ansible_collections.shakenfist.rolling.tests.unit import fake_haproxy
from ansible_collections.shakenfist.rolling.tests.unit.fake_haproxy import FakeHaproxy, server, table


@pytest.fixture
def start(tmp_path):
    """Start a HAProxy, on a unix socket, over TCP, or with a statistics page."""
    fakes = []

    def begin(kind="tcp", *looks):
        fakes.append(FakeHaproxy(str(tmp_path / "admin.sock") if kind == "unix" else kind,
                                 looks or [{"sf-1": server(), "sf-2": server()}]))
        return fakes[-1]

    yield begin
    for fake in fakes:
        fake.close()


@pytest.mark.parametrize("address, shown, host, page", [
    ("http://lb:8404/stats", "http://lb:8404/stats", ("lb", 8404), "/stats;csv"),
    ("http://lb/stats;csv", "http://lb/stats", ("lb", 80), "/stats;csv"),
    ("http://lb:8404", "http://lb:8404/", ("lb", 8404), "/;csv"),
    ("http://joe:p%40ss@lb:8404/stats", "http://lb:8404/stats", ("lb", 8404), "/stats;csv"),
    ("http://[::1]:8404/stats", "http://[::1]:8404/stats", ("::1", 8404), "/stats;csv"),
    ("lb:9999", "lb:9999", ("lb", 9999), ""),
    ("[::1]:9999", "[::1]:9999", ("::1", 9999), ""),
    ("/run/haproxy/admin.sock", "/run/haproxy/admin.sock", ("", 0), ""),
])
def test_addresses(address, shown, host, page):
    haproxy = Haproxy(address)
    assert (haproxy.shown, haproxy.host, haproxy.page, haproxy.is_page) == (shown, host, page, bool(page))


@pytest.mark.parametrize("address", [
    "", "lb", "lb:", "lb:x", "lb:99999", "lb:1/stats", "https://lb/stats", "http:///stats", "http://lb:x/stats",
    "http://lb/a b", "http://[::1/stats", "joe:s3cret@lb:1", "https://joe:s3cret@lb/", "http://joe:s3/cret@lb/",
])
def test_what_is_no_address(address):
    with pytest.raises(RollingError, match="is no address of an HAProxy; write http://HOST:PORT/PATH") as caught:
        Haproxy(address)
    assert "s3" not in caught.value.message


@pytest.mark.parametrize("kind", ["unix", "tcp", "http"])
def test_servers(start, kind):
    fake = start(kind, {"sf-1": server("UP 2/3", 3, "L7STS", last="Service Unavailable", eresp="2", srv_abrt="1",
                                       check_rise="2", check_fall="3"),
                        "sf-2": server("no check", check="", weight="0"), ("other", "sf-1"): server()})
    servers = Haproxy(fake.address).servers("sf-api")
    assert servers == {
        "sf-1": dict(status="UP 2/3", sessions=3, check_status="L7STS", check_code="503",
                     last_check="Service Unavailable", tracks="", fall=3, rise=2, errors=3),
        "sf-2": dict(status="no check", sessions=0, check_status="", check_code="", last_check="", tracks="", fall=0,
                     rise=0, errors=0)}
    assert Haproxy(fake.address).server("sf-api", "sf-2") == dict(
        servers["sf-2"], senders=["sf-api/sf-2"], requests={"sf-api/sf-2": "0"})


def test_a_page_with_a_login(start):
    fake = start("http")
    fake.login = "joe:p@ss"
    for login, message in (("", r"wants a user and password \(401\)"), ("joe:no@", r"wants another user and password")):
        with pytest.raises(RollingError, match=message):
            Haproxy(fake.address.replace("//", f"//{login}")).servers("sf-api")
    assert Haproxy(fake.address.replace("//", "//joe:p%40ss@")).servers("sf-api")


def test_a_tracked_server(start):
    tracks = dict(check="", tracked="sf-api/sf-1")
    fake = start("tcp", {"sf-1": server(check="L4OK"), ("t", "a"): server(**tracks),
                         ("t", "b"): server(check="", tracked="t/a"), ("t", "gone"): server(check="", tracked="t/no"),
                         ("t", "self"): server(check="", tracked="t/self")})
    servers = Haproxy(fake.address).servers("t")
    assert {name: (seen["check_status"], seen["tracks"]) for name, seen in servers.items()} == {
        "a": ("L4OK", "sf-api/sf-1"), "b": ("L4OK", "t/a"), "gone": ("", "t/no"), "self": ("", "t/self")}


def test_unknown_names(start):
    haproxy = Haproxy(start("tcp", {"sf-1": server(), ("db", "x"): server()}).address)
    with pytest.raises(UnknownName, match="has no backend nope; it has db, sf-api$"):
        haproxy.servers("nope")
    with pytest.raises(UnknownName, match="has no server sf-9 in backend sf-api; it has sf-1$"):
        haproxy.server("sf-api", "sf-9")


def test_no_servers_at_all(start):
    haproxy = Haproxy(start("tcp", {}).address)
    assert haproxy.servers("sf-api") == {}
    with pytest.raises(UnknownName, match="it has none$"):
        haproxy.server("sf-api", "sf-1")
    with pytest.raises(UnknownName, match="has no backend nope; it has none with servers"):
        haproxy.servers("nope")


@pytest.mark.parametrize("kind, said, message", [
    ("tcp", "", "expected statistics from HAProxy .*; it said nothing"),
    ("tcp", "Unknown command, but\n maybe", "it said 'Unknown command, but maybe'$"),
    ("tcp", "HTTP/1.1 400 Bad request\r\n\r\n", r"That is HTTP: .*write http://127.0.0.1:\d+/PATH"),
    ("tcp", table({"sf-1": server(scur="many")}), "it said 'sf-api,sf-1,many"),
    ("tcp", table({"sf-1": server(status="")}), "it said 'sf-api,sf-1,0"),
    ("tcp", "# pxname,svname,status\nsf-api,sf-1\nsf-api,BACKEND\n\n", "it said 'sf-api,sf-1'"),
    ("tcp", "# pxname,svname,status\nsf-api," + "x" * 200000 + "\n\n", "it said '# pxname,svname,status sf-api,x*'$"),
    # It broke off before the servers that were to follow.
    ("tcp", "# pxname,svname,scur,status\nsf-api,sf-1,1,UP\n", "it said '# pxname,.* sf-api,sf-1,1,UP'$"),
    ("http", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhtml", "it said 'html'$"),
    ("http", "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\ncut", "it said 'HTTP/1.1 200 OK .*cut'$"),
    ("http", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "it said 'HTTP/1.1 200 OK"),
    ("http", "HTTP/", "it said 'HTTP/'$"),
    ("http", "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "answered 503, not its statistics: .*stats uri"),
])
def test_garbage(start, kind, said, message):
    with pytest.raises(RollingError, match=message) as caught:
        Haproxy(start(kind, said).address).servers("sf-api")
    assert not isinstance(caught.value, Unreachable) and len(caught.value.message) < 400


def test_too_much(start, monkeypatch):
    monkeypatch.setattr(_haproxy, "LARGEST", 1000)
    with pytest.raises(RollingError, match="expected statistics"):
        Haproxy(start("tcp", "x" * 10000).address).servers("sf-api")


@pytest.mark.parametrize("address, reason", [
    ("/no/such/admin.sock", "No such file or directory"),
    ("127.0.0.1:1", "Connection refused"),
    ("http://127.0.0.1:1/stats", "Connection refused"),
    ("/" + "x" * 200, "too long"),
    ("a" * 70 + ".example:1", "too long|label"),
])
def test_nobody_there(address, reason):
    with pytest.raises(Unreachable, match=f"HAProxy {re.escape(address)} cannot be asked: .*({reason})"):
        Haproxy(address).servers("sf-api")


@pytest.mark.parametrize("kind", ["unix", "tcp", "http"])
def test_silence_is_bounded(start, kind):
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="no answer within 0.2 s"):
        Haproxy(start(kind, None).address, timeout=0.2).servers("sf-api")
    assert time.monotonic() - begin < 5  # what it would wait by default


def test_drops_are_bounded():
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection = listener.accept()[0]
        with connection:
            try:
                while True:
                    connection.sendall(b"#")
                    time.sleep(0.02)
            except OSError:
                pass

    Thread(target=drip, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="no answer within 0.3 s"):
        Haproxy(f"127.0.0.1:{listener.getsockname()[1]}", timeout=0.3).servers("sf-api")
    assert time.monotonic() - begin < 5  # what it would wait by default
    listener.close()


@pytest.mark.parametrize("bits, status, expected", [
    (0, "UP", "ready"), (8, "DOWN", "drain"), (16, "DRAIN", "drain"), (1, "MAINT", "maint"), (2, "MAINT", "maint"),
    (5, "MAINT", "maint"), (4, "UP", "ready"), (9, "MAINT", "maint"), (32, "MAINT (resolution)", "maint"),
    ("\u00b2", "UP", "ready"), (None, "UP", "ready"), (None, "DRAIN 1/3", "drain"), (None, "MAINT (via a/b)", "maint"),
])
def test_admin_state(start, bits, status, expected):
    fake = start("tcp", {"sf-2": server(status)})
    fake.admin = {("sf-api", "sf-1"): 1}
    if bits is not None:
        fake.admin["sf-api", "sf-2"] = bits
    haproxy = Haproxy(fake.address)
    assert haproxy.admin_state("sf-api", "sf-2", haproxy.server("sf-api", "sf-2")) == expected


@pytest.mark.parametrize("status, expected", [("UP", "ready"), ("DRAIN", "drain"), ("MAINT", "maint")])
def test_admin_state_of_a_page(start, status, expected):
    haproxy = Haproxy(start("http", {"sf-2": server(status)}).address)
    assert haproxy.admin_state("sf-api", "sf-2", haproxy.server("sf-api", "sf-2")) == expected


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_set_state(start, kind):
    fake = start(kind)
    Haproxy(fake.address).set_state("sf-api", "sf-2", "maint")
    assert fake.orders == ["set server sf-api/sf-2 state maint"] and fake.admin == {("sf-api", "sf-2"): 1}


@pytest.mark.parametrize("said, message", [
    ("Permission denied\n\n", "may not set the state of a server .*`level admin`"),
    ("No such server.\n\n", "does not know sf-api/sf-2: No such server"),
    ("No such backend.\n\n", "does not know sf-api/sf-2: No such backend"),
    ("some\nother words\n\n", "did not set sf-api/sf-2 to drain; it said 'some other words'"),
])
def test_set_state_is_refused(start, said, message):
    fake = start("tcp")
    fake.says["set server"] = said
    with pytest.raises(RollingError, match=message):
        Haproxy(fake.address).set_state("sf-api", "sf-2", "drain")


def test_a_page_sets_nothing(start):
    with pytest.raises(RollingError, match="is a statistics page, which can only be read.* give its socket"):
        Haproxy(start("http").address).set_state("sf-api", "sf-2", "drain")


@pytest.mark.parametrize("name", ["sf-2 state ready", "a;b", "a\nb", "a\n", "a\\", ""])
def test_names_are_one_word(start, name):
    fake = start("tcp")
    for call in (lambda: Haproxy(fake.address).set_state("sf-api", name, "drain"),
                 lambda: Haproxy(fake.address).admin_state(name, "x", {"status": "UP"})):
        with pytest.raises(RollingError, match="cannot be a name in HAProxy"):
            call()
    assert fake.orders == []


@pytest.mark.parametrize("fields, up, asks, check, words", [
    (fake_haproxy.UP, True, True, "L7OK", "UP (L7OK 200)"),
    (fake_haproxy.DOWN, False, True, "L7STS", "DOWN (L7STS 503)"),
    (server("UP 2/3", check="* L7STS", code="0"), True, True, "L7STS", "UP 2/3 (L7STS)"),
    (server("UP", check="* L4OK", code="0"), True, False, "L4OK", "UP (L4OK)"),
    (server("UP", check="L6OK", check_desc="Layer6 check passed"), True, False, "L6OK",
     "UP (L6OK Layer6 check passed)"),
    (fake_haproxy.REFUSED, False, None, "L4CON", "DOWN (L4CON Connection refused)"),
    (fake_haproxy.STARTED, True, None, "INI", "UP 1/3 (INI)"),
    (fake_haproxy.UNCHECKED, True, False, "", "no check"),
    (fake_haproxy.DRAINED, False, True, "L7OK", "DRAIN (L7OK 200)"),
    (server("DRAIN", check=""), False, False, "", "DRAIN"),
    (fake_haproxy.MAINT, False, None, "", "MAINT"),
    (server("MAINT (via a/b)", check=""), False, None, "", "MAINT (via a/b)"),
    (server("NOLB", check="L7STS", code="404"), False, True, "L7STS", "NOLB (L7STS 404)"),
    (server("DOWN 1/2"), False, True, "L7OK", "DOWN 1/2 (L7OK 200)"),
])
def test_what_a_server_is(start, fields, up, asks, check, words):
    seen = Haproxy(start("tcp", {"sf-2": fields}).address).server("sf-api", "sf-2")
    assert (is_up(seen), asks_http(seen), check_of(seen), describe_server(seen)) == (up, asks, check, words)


def test_an_older_haproxy_counts_no_errors(start):
    haproxy = Haproxy(start("tcp", "# pxname,svname,scur,status\nsf-api,sf-2,1,UP\nsf-api,BACKEND,1,UP\n\n").address)
    assert haproxy.server("sf-api", "sf-2") == dict(
        status="UP", sessions=1, check_status="", check_code="", last_check="", tracks="",
        fall=0, rise=0, errors=None, senders=["sf-api/sf-2"], requests={"sf-api/sf-2": "0"})


def test_who_else_sends_to_the_server_s_address(start):
    """An address is told by a socket of level operator or admin only."""
    here, there = dict(addr="10.0.0.2:13000"), dict(addr="10.0.0.1:13000")
    fake = start("tcp", {"sf-2": server("DRAIN", **here), "sf-1": server(**there), "sf-4": server(),
                         ("admin", "n2"): server(**here), ("old", "n2"): server("DOWN", **here),
                         ("last", "n2"): server("DOWN", 1, **here),
                         ("shop", "n2"): server("DRAIN", **here, cookie="b")})
    haproxy = Haproxy(fake.address)
    assert haproxy.server("sf-api", "sf-2")["senders"] == ["admin/n2", "last/n2", "shop/n2"]
    assert haproxy.server("sf-api", "sf-4")["senders"] == ["sf-api/sf-4"]


@pytest.mark.parametrize("before, after, sent", [
    (dict(a="7"), dict(a="7"), []),
    (dict(a="7"), dict(a="8"), ["a"]),
    # It was reloaded, and has sent nothing since, or something.
    (dict(a="7"), dict(a="0"), []),
    (dict(a="7"), dict(a="1"), ["a"]),
    # A server that was not there.
    (dict(a="7"), dict(a="7", b="0"), []),
    (dict(a="7", c="1"), dict(a="7", b="2"), ["b"]),
])
def test_who_got_requests_between_two_looks(before, after, sent):
    assert got_requests(dict(requests=before), dict(requests=after)) == sent


def test_how_many_requests_each_server_of_the_address_got(start):
    here = dict(addr="10.0.0.2:13000")
    fake = start("tcp", {"sf-2": server("DRAIN", **here, stot="5"), ("admin", "n2"): server("DOWN", **here, stot="7"),
                         "sf-1": server(addr="10.0.0.1:13000", stot="9")})
    assert Haproxy(fake.address).server("sf-api", "sf-2")["requests"] == {"sf-api/sf-2": "5", "admin/n2": "7"}


def test_who_would_send_to_the_server_s_address_in_a_drain(start):
    here = dict(addr="10.0.0.2:13000")
    fake = start("tcp", {"sf-1": server(addr="10.0.0.1:13000"), "sf-2": server(**here), "sf-3": server(cookie="c"),
                         ("admin", "n2"): server(**here), ("old", "n2"): server("DOWN", **here)})
    names = ["sf-1", "sf-2", "sf-3", "gone"]
    assert Haproxy(fake.address).lasting("sf-api", names) == {
        "sf-1": [], "sf-2": ["admin/n2"], "sf-3": ["sf-api/sf-3"], "gone": []}
