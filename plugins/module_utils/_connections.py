# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
import sys

TABLES = "/proc/net/tcp", "/proc/net/tcp6"
ROUTES, ADDRESSES = "/proc/net/fib_trie", "/proc/net/if_inet6"
# As the kernel numbers them: ESTABLISHED, also one that no worker has accepted yet; SYN_RECV; and CLOSE_WAIT, where a
# client that has said all it had to say may still wait for its answer. Of the others the server wants nothing more.
OPEN = ("01", "03", "08")
SO_ATTACH_FILTER = 26
# For the kernel, as its header linux/filter.h numbers it: the start of TCP in X; then only a SYN to the port passes.
BEGIN = {socket.AF_INET: (0xB1, 0, 0, 0), socket.AF_INET6: (0x01, 0, 0, 0)}
FILTER = ((0x48, 0, 0, 2), (0x15, 0, 4, "port"), (0x50, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02),
          (0x06, 0, 0, 64), (0x06, 0, 0, 0))


def _lines(*paths):
    """The words of each line of files of the kernel that are there."""
    for path in paths:
        try:
            with open(path, encoding="ascii") as lines:
                yield from (line.split() for line in lines)
        except FileNotFoundError:
            continue  # a kernel without IPv6


def _plain(address):
    """An IPv4 address is one in an IPv6 socket, too."""
    return getattr(address, "ipv4_mapped", None) or address


def _address(text):
    """Hexadecimal, in words of four bytes in the machine's own order."""
    words = [int(text[at:at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return _plain(ipaddress.ip_address(b"".join(words)))


def connected(port):
    """The address of each connection to a local TCP port that may have a request, or waits for an answer."""
    # The first line has names.
    return [_address(words[2].partition(":")[0]) for words in _lines(*TABLES)
            if words[0].endswith(":") and words[3] in OPEN and int(words[1].rpartition(":")[2], 16) == port]


class Arrivals:
    """Who connects to a local TCP port from now on, however short it is; only for root.

    Most short connections are in no table, neither while they last, which is between two looks, nor afterwards: that is
    so only of those that the server has closed first.
    """

    def __init__(self, port):
        self.sockets = []
        for family, begin in BEGIN.items():
            try:
                raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
            except OSError as exc:
                if exc.errno == errno.EAFNOSUPPORT:
                    continue  # a kernel without IPv6
                raise
            self.sockets.append(raw)
            code = b"".join(struct.pack("HBBI", *(port if word == "port" else word for word in words))
                            for words in (begin, *FILTER))
            buffer = ctypes.create_string_buffer(code)
            raw.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                           struct.pack("HL", len(FILTER) + 1, ctypes.addressof(buffer)))
        self.addresses()  # whatever came before the filter

    def addresses(self):
        """The addresses of those that have come since the last call."""
        found = set()
        for raw in self.sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.add(_plain(ipaddress.ip_address(raw.recvfrom(64)[1][0].partition("%")[0])))
        return found


def own_addresses():
    """Those of this machine, without most of the loopback ones."""
    found, last = set(), ""
    for words in _lines(ROUTES):
        if words[0] == "|--":
            last = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found.add(ipaddress.ip_address(last))
    return found | {ipaddress.ip_address(bytes.fromhex(words[0])) for words in _lines(ADDRESSES)}


def networks(names):
    """What addresses, networks and names of hosts stand for; nothing where a name is not known here."""
    found = set()
    for name in names:
        try:
            if "/" in name:
                found.add(ipaddress.ip_network(name, strict=False))
                continue
            for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
                found.add(ipaddress.ip_network(_plain(ipaddress.ip_address(str(info[4][0]).partition("%")[0]))))
        except (OSError, ValueError):
            continue  # who comes from there is named
    return found
