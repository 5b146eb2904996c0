# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import socket
from ipaddress import ip_address

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _connections
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import wait_for


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_is_in_flight_until_nobody_wants_anything_of_it(address):
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.create_server((address, 0), family=(
                socket.AF_INET6 if ":" in address else socket.AF_INET)))
        except OSError:
            assert address == "::1"  # a machine without IPv6
            return
        port = listener.getsockname()[1]

        assert _connections.connected(port) == []
        client = stack.enter_context(socket.create_connection((address, port)))
        # Nobody has accepted it yet.
        assert _connections.connected(port) == [ip_address(address)]
        accepted = listener.accept()[0]
        # The client has asked, and waits for the answer.
        client.shutdown(socket.SHUT_WR)
        assert wait_for(lambda: accepted.recv(1) == b"", 5) and _connections.connected(port) == [ip_address(address)]
        accepted.close()
        assert wait_for(lambda: not _connections.connected(port), 5)


def test_the_tables_of_the_kernel(tmp_path, monkeypatch):
    """Each is read in the byte order of its machine, and a kernel without IPv6 has only one."""
    table, mapped = tmp_path / "tcp", tmp_path / "tcp6"
    table.write_text("  sl  local_address rem_address   st\n   0: 0100007F:32C8 00000000:0000 0A\n"
                     "   1: 0200000A:32C8 3200000A:C000 01\n   2: 0100007F:32C8 0100007F:C001 06\n"
                     "   3: 0100007F:C000 0100007F:32C8 01\n")
    monkeypatch.setattr(_connections.sys, "byteorder", "little")
    monkeypatch.setattr(_connections, "TABLES", (str(table), str(mapped)))
    assert _connections.connected(13000) == [ip_address("10.0.0.50")]
    mapped.write_text("   0: 0000000000000000FFFF00000200000A:32C8 0000000000000000FFFF00003300000A:C002 08\n"
                      "   1: 000000FD000000000000000002000000:32C8 000000FD000000000000000003000000:C003 03\n")
    assert _connections.connected(13000)[1:] == [ip_address("10.0.0.51"), ip_address("fd00::3")]
    monkeypatch.setattr(_connections.sys, "byteorder", "big")
    table.write_text("   1: 0A000002:32C8 0A000032:C000 01\n")
    mapped.write_text("   0: 00000000000000000000FFFF0A000002:32C8 00000000000000000000FFFF0A000033:C002 08\n")
    assert _connections.connected(13000) == [ip_address("10.0.0.50"), ip_address("10.0.0.51")]


@pytest.mark.parametrize("bind, address, seen", [
    ("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("::1", "::1", "::1"), ("::", "127.0.0.1", "127.0.0.1")])
def test_who_connects(bind, address, seen):
    """Only to that port, and only those that are new."""
    with contextlib.ExitStack() as stack:
        try:
            listener, other = (stack.enter_context(socket.create_server((bind, 0), family=(
                socket.AF_INET6 if ":" in bind else socket.AF_INET), dualstack_ipv6=bind == "::")) for dummy in "ab")
            port = listener.getsockname()[1]
            before = stack.enter_context(socket.create_connection((address, port)))
            arrivals = _connections.Arrivals(port)
        except PermissionError:
            pytest.skip("only root may do that")
        except OSError:
            assert ":" in bind  # a machine without IPv6
            return
        for raw in arrivals.sockets:
            stack.callback(raw.close)
        before.sendall(b"x")
        socket.create_connection((address, other.getsockname()[1])).close()
        assert arrivals.addresses() == set()
        socket.create_connection((address, port)).close()
        assert arrivals.addresses() == {ip_address(seen)} and arrivals.addresses() == set()


@pytest.mark.parametrize("code, sockets", [(errno.EAFNOSUPPORT, 1), (errno.EPERM, None)])
def test_a_kernel_that_has_no_such_socket(monkeypatch, code, sockets):
    class Raw:
        def __init__(self, family, *dummy):
            if family == socket.AF_INET6 or sockets is None:
                raise OSError(code, "no")

        def setsockopt(self, *dummy):
            pass

        def recvfrom(self, dummy):
            raise BlockingIOError

    monkeypatch.setattr(_connections.socket, "socket", Raw)
    if sockets:
        assert len(_connections.Arrivals(13000).sockets) == sockets
    else:
        with pytest.raises(PermissionError):
            _connections.Arrivals(13000)


def test_the_addresses_of_the_machine(tmp_path, monkeypatch):
    routes, addresses = tmp_path / "fib_trie", tmp_path / "if_inet6"
    routes.write_text("Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
                      "     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n"
                      "     |-- 10.0.0.7\n        /32 link UNICAST\n     |-- 127.0.0.0\n        /8 host LOCAL\n")
    monkeypatch.setattr(_connections, "ROUTES", str(routes))
    monkeypatch.setattr(_connections, "ADDRESSES", str(addresses))
    assert _connections.own_addresses() == {ip_address("10.0.0.2")}
    addresses.write_text("fd000000000000000000000000000002 04 40 00 82     eth0\n")
    assert _connections.own_addresses() == {ip_address("10.0.0.2"), ip_address("fd00::2")}


def test_those_of_this_machine():
    assert ip_address("127.0.0.1") in _connections.own_addresses()


@pytest.mark.parametrize("name, found", [
    ("10.0.0.9", ["10.0.0.9/32"]), ("10.0.0.9/24", ["10.0.0.0/24"]), ("fd00::9", ["fd00::9/128"]),
    ("::ffff:10.0.0.9", ["10.0.0.9/32"]), ("lb", ["10.0.0.8/32", "fe80::8/128"]),
    # What stands for nothing is for nobody.
    ("10.0.0.0/99", []), ("none", []), ("a" * 99, []),
])
def test_what_a_balancer_is_known_as(monkeypatch, name, found):
    ask = socket.getaddrinfo

    def getaddrinfo(host, *more, **options):
        if host == "none":
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (one, 0)) for one in ("10.0.0.8", "fe80::8%eth0")] if host == "lb" else ask(
            host, *more, **options)

    monkeypatch.setattr(_connections.socket, "getaddrinfo", getaddrinfo)
    assert sorted(map(str, _connections.networks([name]))) == found
