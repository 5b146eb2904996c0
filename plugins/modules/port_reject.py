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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import port_reject as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, required_if=part.REQUIRED_IF, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
