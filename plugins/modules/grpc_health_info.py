#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: grpc_health_info
short_description: Ask gRPC servers for their health
version_added: 0.1.0
description:
  - Calls the standard C(grpc.health.v1.Health/Check) of servers and counts C(SERVING) as healthy. It never calls
    C(Watch), which can deadlock the server of C(sf-database).
  - Runs under a Python that has C(grpcio) and C(grpcio-health-checking), as the virtualenv of Shaken Fist has. Set
    C(ansible_python_interpreter) on the task.
requirements:
  - grpcio
  - grpcio-health-checking
options:
  targets:
    description: The servers to ask, V(HOST:PORT). All are expected to be C(SERVING).
    type: list
    elements: str
    required: true
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.wait]
"""

EXAMPLES = r"""
- name: Wait until both gateways are SERVING
  shakenfist.rolling.grpc_health_info:
    targets: ["10.0.0.1:13005", "10.0.0.2:13005"]
    timeout: 60
  vars:
    ansible_python_interpreter: /srv/shakenfist/venv/bin/python
"""

RETURN = r"""
serving: {type: bool, returned: always, description: Whether all servers are C(SERVING).}
seen:
  description: By target, what was last seen. C(SERVING), C(NOT_SERVING), C(UNKNOWN) or C(SERVICE_UNKNOWN) is the
    server's own word; anything else is the gRPC status of the call.
  returned: always
  type: dict
  sample: {"10.0.0.1:13005": "SERVING", "10.0.0.2:13005": "UNAVAILABLE"}
waited: {type: float, returned: always, description: "How long that took, in seconds."}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import grpc_health_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
