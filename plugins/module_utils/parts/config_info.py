# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import ipaddress
import socket

from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import plain_host, read_environment_file

ARGUMENTS = dict(
    path=dict(type="path", required=True),
    prefix=dict(type="str", default=""),
    keys=dict(type="list", elements="str", default=[], no_log=False),
    presence=dict(type="list", elements="str", default=[]),
    hosts=dict(type="str", default=""),
    own=dict(type="str", default=""),
)


def resolved(host, own):
    """The address of a host, as everybody names it."""
    host, own = plain_host(host), plain_host(own)
    try:
        ipaddress.ip_address(host)
        return host
    except ValueError:
        pass
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return host
    if own and (own in found or any(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)):
        return own
    # A name may have several; the same one each time.
    return min((each for each in found if ":" not in each), default=min(found))


def look(path, prefix, keys, presence, hosts, own):
    variables = read_environment_file(path)

    def value(key):
        return variables.get(prefix + key, variables.get(key))

    def names(key):
        return [name for name in dict.fromkeys((prefix + key, key)) if name in variables]

    return dict(
        addresses=[resolved(host, value(own) or "")
                   for host in map(str.strip, (value(hosts) or "").split(",")) if host],
        settings={key: value(key) for key in keys if value(key) is not None},
        present={key: bool(value(key)) for key in presence},
        spelt={key: names(key) for key in presence if names(key)})


def run(module):
    return look(**module.params)
