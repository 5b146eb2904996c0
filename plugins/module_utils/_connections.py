# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import ipaddress
import socket
import sys

TABLES = "/proc/net/tcp", "/proc/net/tcp6"
ROUTES, ADDRESSES = "/proc/net/fib_trie", "/proc/net/if_inet6"
LISTEN = "0A"
# As the kernel numbers them: ESTABLISHED, also one that no worker has accepted yet; SYN_RECV; and CLOSE_WAIT, where a
# client that has said all it had to say may still wait for its answer. Of the others the server wants nothing more.
OPEN = ("01", "03", "08")


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


def _end(text):
    """Address and port of one end: hexadecimal, the address in words of four bytes in the machine's own order."""
    address, port = text.split(":")
    words = [int(address[at:at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    return _plain(ipaddress.ip_address(b"".join(words))), int(port, 16)


def connections(port):
    """The other ends of all connections to a local TCP port, also of those that have ended in the last minute.

    A list of (address, port, whether it may still have a request, or wait for an answer).
    """
    # The first line has names.
    return [(*_end(words[2]), words[3] in OPEN) for words in _lines(*TABLES)
            if words[0].endswith(":") and words[3] != LISTEN and int(words[1].rpartition(":")[2], 16) == port]


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
                found.add(ipaddress.ip_network(_plain(ipaddress.ip_address(info[4][0].partition("%")[0]))))
        except (OSError, ValueError):
            continue  # who comes from there is named
    return found
