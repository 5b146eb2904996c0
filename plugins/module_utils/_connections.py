# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

TABLES = "/proc/net/tcp", "/proc/net/tcp6"
# As the kernel numbers them: ESTABLISHED, also one that no worker has accepted yet; SYN_RECV; and CLOSE_WAIT, where a
# client that has said all it had to say may still wait for its answer. Of the others the server wants nothing more.
OPEN = ("01", "03", "08")


def in_flight(port):
    """How many connections to a local TCP port may still have a request, or wait for an answer."""
    found = 0
    for table in TABLES:
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    words = line.split()
                    # The first line has names, and the port is hexadecimal.
                    if words[0].endswith(":") and words[3] in OPEN and int(words[1].rpartition(":")[2], 16) == port:
                        found += 1
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return found
