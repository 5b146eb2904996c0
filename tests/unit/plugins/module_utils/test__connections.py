# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket

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
        assert _connections.in_flight(port) == 0
        client = stack.enter_context(socket.create_connection((address, port)))
        # Nobody has accepted it yet.
        assert _connections.in_flight(port) == 1
        accepted = listener.accept()[0]
        # The client has asked, and waits for the answer.
        client.shutdown(socket.SHUT_WR)
        assert wait_for(lambda: accepted.recv(1) == b"", 5) and _connections.in_flight(port) == 1
        accepted.close()
        assert wait_for(lambda: _connections.in_flight(port) == 0, 5)


def test_a_kernel_without_ipv6(tmp_path, monkeypatch):
    table = tmp_path / "tcp"
    table.write_text("  sl  local_address rem_address   st\n   0: 0100007F:32C8 00000000:0000 0A\n"
                     "   1: 0100007F:32C8 0100007F:C000 01\n   2: 0100007F:32C8 0100007F:C001 06\n"
                     "   3: 0100007F:C000 0100007F:32C8 01\n")
    monkeypatch.setattr(_connections, "TABLES", (str(table), str(tmp_path / "none")))
    assert _connections.in_flight(13000) == 1
