#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: haproxy_info
short_description: Ask HAProxy what it says of the servers of a backend
version_added: 0.1.0
description:
  - Asks an HAProxy over its statistics page or its stats socket, and returns what it says of the servers of a backend.
  - A node whose readiness URL says C(200) does not serve before the balancer marks it up, some checks later. This
    module waits for that, and tells before an upgrade whether HAProxy asks the readiness URL at all.
options:
  servers:
    description: The names of the servers to look at. All servers of the backend by default. An unknown one is not
      waited for.
    type: list
    elements: str
  expect:
    description:
      - What every one of the servers is expected to be.
      - V(up) means that HAProxy sends it requests. Its status is C(UP) or, unless O(checked), C(no check).
      - V(down) means that HAProxy sends it none. Its status is another one, such as C(DOWN), C(DRAIN), C(MAINT) or
        C(NOLB).
    type: str
    choices: [any, up, down]
    default: any
  checked:
    description:
      - Whether the health check of every one of the servers must be one of layer 7, such as C(option httpchk GET
        /readyz). No other check sees the C(503) of a node that is about to stop.
      - While a server is in maintenance, or is down because it takes no connection, its check cannot be told and is not
        a problem.
    type: bool
    default: false
extends_documentation_fragment:
  [shakenfist.rolling.attributes.info, shakenfist.rolling.options.haproxy, shakenfist.rolling.options.wait]
seealso: [{module: shakenfist.rolling.haproxy_server}, {module: shakenfist.rolling.drain}]
"""

EXAMPLES = r"""
- name: Learn whether HAProxy asks the readiness URL of every node
  shakenfist.rolling.haproxy_info:
    address: http://10.0.0.9:8404/stats
    backend: sf-api
    checked: true

- name: Wait until HAProxy marks this node up
  shakenfist.rolling.haproxy_info:
    address: 10.0.0.9:9999
    backend: sf-api
    servers: [sf-2]
    expect: up
    timeout: 30
"""

RETURN = r"""
reachable: {type: bool, returned: always, description: Whether HAProxy gave its statistics at the last look.}
problems:
  description: What was not as expected at the last look, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["HAProxy http://10.0.0.9:8404/stats says DOWN (L7STS 503) for sf-api/sf-2, expected UP"]
servers:
  description:
    - The servers that were asked for, by name. C(status) is as HAProxy says it, C(sessions) how many it has now.
    - The last check is C(check_status), empty if the server has none, C(check_code), the status of HTTP, and
      C(last_check), in words. If C(tracks) names another server, it is the check of that one.
    - C(fall) is after how many failed checks it is marked down, C(rise) after how many good ones it is marked up; V(0)
      without checks, or where HAProxy does not say it. How often HAProxy checks it never says.
    - C(errors) is how many requests had no connection, no answer, or one that broke off since HAProxy was started.
      V(null) where HAProxy does not count them.
  returned: always
  type: dict
  sample:
    sf-2: {"status": "UP", "sessions": 1, "check_status": "L7OK", "check_code": "200",
      "last_check": "Layer7 check passed", "tracks": "", "fall": 3, "rise": 2, "errors": 0}
may_set:
  description: Whether O(address) is a stats socket of level admin, by which the state of a server can be set.
  returned: without O(timeout)
  type: bool
lasting:
  description: For each of RV(servers), which ones may still get requests at its address while it is drained, each as
    C(BACKEND/SERVER). Others, where O(address) is a stats socket, and itself, where it has a cookie.
  returned: without O(timeout)
  type: dict
  sample: {"sf-2": ["admin/node-2"]}
waited: {type: float, returned: always, description: "How long that took, in seconds."}
at_balancer: {type: bool, returned: failure, description: Whether the cause is at HAProxy.}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import haproxy_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
