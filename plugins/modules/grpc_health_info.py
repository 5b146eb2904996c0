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

import time
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for

try:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
except ImportError:
    grpc = None
    GRPC_ERROR = traceback.format_exc()
else:
    GRPC_ERROR = None


# Seconds between two looks, and for which one call may keep the module waiting.
INTERVAL = 0.2
ANSWER_WITHIN = 2


def check(target):
    """The health of one server: its own word, or the gRPC status of the failed call."""
    # A fresh channel for each look: an old one would wait out its reconnect backoff and see a returned server late.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_WITHIN)
        except grpc.RpcError as exc:
            return exc.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def ask(targets, timeout):
    seen = {}

    def look():
        seen.update({target: check(target) for target in targets})
        return all(status == "SERVING" for status in seen.values())

    begin = time.monotonic()
    serving = wait_for(look, timeout, INTERVAL)
    result = dict(serving=serving, seen=seen, waited=round(time.monotonic() - begin, 3))
    if timeout and not serving:
        waiting = ", ".join(f"{target} is {status}" for target, status in seen.items() if status != "SERVING")
        raise RollingError(f"expected SERVING from {len(targets)} of {len(targets)} gRPC servers within {timeout:g} s; "
                           f"last seen: {waiting}", **result)
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            targets=dict(type="list", elements="str", required=True),
            timeout=dict(type="float", default=0),
        ),
        supports_check_mode=True,
    )
    if grpc is None:
        module.fail_json(msg=missing_required_lib("grpcio and grpcio-health-checking"), exception=GRPC_ERROR)
    conclude(module, lambda: ask(**module.params))


if __name__ == "__main__":
    main()
