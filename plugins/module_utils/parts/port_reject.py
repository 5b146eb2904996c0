# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import socket
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines

ARGUMENTS = dict(
    server=dict(type="str", required=True),
    servers=dict(type="list", elements="str"),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    seconds=dict(type="int", default=60),
    quiet=dict(type="float", default=0.5),
)
REQUIRED_IF = [("state", "present", ["servers"])]

TABLE = "inet shakenfist_rolling"
# A request comes with PSH, the bare acknowledgement of an answer does not: so answers still arrive.
REQUESTS = "tcp dport @rejected tcp flags & psh == psh reject with tcp reset"
RULES = """add table {table}
delete table {table}
table {table} {{
  set rejected {{
    type inet_service
    flags timeout
    elements = {{ {port} timeout {seconds}s }}
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    tcp dport @rejected tcp flags & (syn | ack) == syn reject with tcp reset
    {requests}
  }}
}}
"""
CONNECT = 2
SBIN = ["/usr/sbin", "/sbin"]


class Firewall:
    """The one table of the node that is ours."""

    def __init__(self, module):
        self.module = module
        self.nft = module.get_bin_path("nft", opt_dirs=SBIN)

    def run(self, *arguments, **options):
        """Run nft; returns what it printed."""
        if not self.nft:
            raise RollingError("nft is not installed; next: install the package nftables")
        code, out, err = self.module.run_command([self.nft, *arguments], **options)
        if code:
            raise RollingError(f"nft {arguments[0]} failed (rc {code}): {last_lines(err or out, 2)}")
        return out

    def exists(self):
        return TABLE in self.run("list", "tables")

    def reject(self, port, seconds, requests=True):
        """Reject new connections to a port, and by default the requests on those that are there."""
        self.run("-f", "-", data=RULES.format(table=TABLE, port=port, seconds=seconds,
                                              requests=REQUESTS if requests else ""))

    def accept(self):
        self.run("delete", "table", *TABLE.split())

    def cut(self, port):
        """Cut what is connected to the port; where the kernel cannot, the server waits for it."""
        ss = self.module.get_bin_path("ss", opt_dirs=SBIN)
        if not ss:
            return 0
        out = self.module.run_command([ss, "-H", "-t", "-n", "-K", "state", "established", "sport", "=", f":{port}"])[1]
        return len(out.splitlines())


def address(server):
    host, colon, port = server.rpartition(":")
    if not host or not port.isdecimal():
        raise RollingError(f"{server!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def takes_connections(server):
    try:
        socket.create_connection(address(server), CONNECT).close()
    except OSError:
        return False
    return True


def run(module):
    params = module.params
    firewall = Firewall(module)
    result = dict(changed=False, rejecting=False, problem="", cut=0)
    port = address(params["server"])[1]
    others = [address(server) and server for server in params["servers"] or [] if server != params["server"]]
    try:
        if params["state"] == "absent":
            # Without nft there is nothing to take away.
            there = bool(firewall.nft) and firewall.exists()
            if there and not module.check_mode:
                firewall.accept()
            result["changed"] = there
        elif not any(map(takes_connections, others)):
            raise RollingError(f"no other server takes connections, of {', '.join(others)}" if others else
                               "its clients have no other server")
        elif module.check_mode:
            result["changed"] = bool(firewall.nft)
        else:
            firewall.reject(port, params["seconds"])
            result.update(changed=True, rejecting=True)
            time.sleep(params["quiet"])
            result["cut"] = firewall.cut(port)
    except RollingError as exc:
        result["problem"] = exc.message
        if params["state"] == "absent":
            result["rejecting"] = True
            module.warn(f"clients of {params['server']} may be rejected until the rule expires, {params['seconds']} s "
                        f"after it was set: {exc.message}; next: nft delete table {TABLE}")
        # With no other one there is nothing to be done, and a warning would say so on each small cluster.
        elif others:
            module.warn(f"clients of {params['server']} are not led away before it stops, and requests of theirs may "
                        f"fail: {exc.message}")
    return result
