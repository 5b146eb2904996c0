#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: port_reject
short_description: Have clients leave a TCP port before its server stops
version_added: 0.1.0
description:
  - Answers whatever clients send to a port with a TCP reset, from before its server stops until that is over. Clients
    that have another server go there. A request that waits for its answer still gets it.
  - Meant for a gRPC server. One that stops answers a request of that moment with C(CANCELLED), which clients do not
    send again; a reset is C(UNAVAILABLE) to them, and they do.
  - The rule is in a table of its own, C(inet shakenfist_rolling). The kernel itself drops it after O(seconds), whatever
    happens to the run. No other rule of the node is read or changed.
  - Needs C(nft). Where that is missing or fails, or no other server is there, the module warns and changes nothing.
  - With O(state=absent) and an C(nft) that fails, it warns that clients are still rejected until the rule expires.
options:
  server: {type: str, required: true, description: "The server on this node that is about to stop, V(HOST:PORT)."}
  servers:
    description: All servers that its clients may use. Where no other one of them takes a connection, nothing is
      rejected. Required for O(state=present).
    type: list
    elements: str
  state:
    description: V(present) rejects, V(absent) stops rejecting.
    type: str
    choices: [present, absent]
    default: present
  seconds:
    description: After how many seconds the kernel stops rejecting by itself. With O(state=absent) only a warning names
      it.
    type: int
    default: 60
  quiet:
    description: For how many seconds an in-flight request may still go on. Then the connections that are left are cut,
      or the server would wait for their clients.
    type: float
    default: 0.5
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  diff_mode: {support: none}
  idempotent:
    support: partial
    details: V(absent) is. V(present) starts the time anew.
"""

EXAMPLES = r"""
- name: Have clients use the other gateways
  shakenfist.rolling.port_reject:
    server: 10.0.0.1:13005
    servers: [10.0.0.1:13005, 10.0.0.2:13005]

- name: Let them in again, after the gateway was restarted
  shakenfist.rolling.port_reject:
    server: 10.0.0.1:13005
    state: absent
"""

RETURN = r"""
rejecting:
  description: Whether clients are rejected now. Also V(true) where C(nft) fails to stop or to list it.
  returned: success
  type: bool
problem:
  description: Why clients are not rejected, though they should be, or still are, though they should not be. Empty if
    all is well.
  returned: success
  type: str
  sample: "nft is not installed; next: install the package nftables"
cut: {type: int, returned: success, description: How many connections were cut.}
"""

import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines

TABLE = "inet shakenfist_rolling"
# A request comes with PSH, the bare acknowledgement of an answer does not: so answers still arrive.
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
    tcp dport @rejected tcp flags & psh == psh reject with tcp reset
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

    def reject(self, port, seconds):
        self.run("-f", "-", data=RULES.format(table=TABLE, port=port, seconds=seconds))

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
    if not host or not port.isdigit():
        raise RollingError(f"{server!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def takes_connections(server):
    try:
        socket.create_connection(address(server), CONNECT).close()
    except OSError:
        return False
    return True


def main():
    module = AnsibleModule(
        argument_spec=dict(
            server=dict(type="str", required=True),
            servers=dict(type="list", elements="str"),
            state=dict(type="str", choices=["present", "absent"], default="present"),
            seconds=dict(type="int", default=60),
            quiet=dict(type="float", default=0.5),
        ),
        required_if=[("state", "present", ["servers"])],
        supports_check_mode=True,
    )
    params = module.params
    firewall = Firewall(module)
    result = dict(changed=False, rejecting=False, problem="", cut=0)
    try:
        port = address(params["server"])[1]
        others = [address(server) and server for server in params["servers"] or [] if server != params["server"]]
    except RollingError as exc:
        module.fail_json(msg=exc.message)
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
    module.exit_json(**result)


if __name__ == "__main__":
    main()
