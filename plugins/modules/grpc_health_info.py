#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: grpc_health_info
short_description: Ask gRPC servers for their health
version_added: 0.1.0
description:
  - Calls the standard C(grpc.health.v1.Health/Check) of one or many servers and counts C(SERVING) as healthy.
  - Only the unary C(Check) is used, never C(Watch), which can deadlock the server of C(sf-database).
  - Runs under a Python that has C(grpcio) and C(grpcio-health-checking), as the virtualenv of Shaken Fist has.
    Set C(ansible_python_interpreter) on the task.
requirements:
  - grpcio
  - grpcio-health-checking
options:
  targets:
    description: The servers to ask, V(HOST:PORT).
    type: list
    elements: str
    required: true
  service:
    description: The service to ask for; empty for the server as a whole.
    type: str
    default: ""
  minimum:
    description: How many of the servers must be C(SERVING). All of them if it is not given.
    type: int
  timeout:
    description:
      - For how many seconds to wait for O(minimum) servers to be C(SERVING); the module fails when they run out.
      - V(0) looks once, never fails for what it saw, and returns it.
    type: float
    default: 0
  interval:
    description: Seconds between two looks.
    type: float
    default: 0.2
  request_timeout:
    description: For how many seconds one call may keep the module waiting.
    type: float
    default: 2
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
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
serving:
  description: Whether O(minimum) servers are C(SERVING).
  returned: always
  type: bool
  sample: true
seen:
  description:
    - By target, what was last seen. C(SERVING), C(NOT_SERVING), C(UNKNOWN) or C(SERVICE_UNKNOWN) is the server's own
      word; anything else is the gRPC status of the call, such as C(UNAVAILABLE).
  returned: always
  type: dict
  sample: {"10.0.0.1:13005": "SERVING", "10.0.0.2:13005": "UNAVAILABLE"}
waited:
  description: How long that took, in seconds.
  returned: always
  type: float
  sample: 0.61
"""

import time
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import wait_for

try:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
except ImportError:
    grpc = None
    GRPC_ERROR = traceback.format_exc()
else:
    GRPC_ERROR = None


def check(target, service, timeout):
    """The health of one server: its own word, or the gRPC status of the failed call."""
    # A fresh channel for each look: an old one would wait out its reconnect backoff and see a returned server late.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.RpcError as exc:
            return exc.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            targets=dict(type="list", elements="str", required=True),
            service=dict(type="str", default=""),
            minimum=dict(type="int"),
            timeout=dict(type="float", default=0),
            interval=dict(type="float", default=0.2),
            request_timeout=dict(type="float", default=2),
        ),
        supports_check_mode=True,
    )
    if grpc is None:
        module.fail_json(msg=missing_required_lib("grpcio and grpcio-health-checking"), exception=GRPC_ERROR)

    params = module.params
    targets = params["targets"]
    minimum = len(targets) if params["minimum"] is None else params["minimum"]
    if minimum > len(targets):
        module.fail_json(msg=f"minimum is {minimum}, but there are only {len(targets)} targets")
    seen = {}

    def look():
        for target in targets:
            seen[target] = check(target, params["service"], params["request_timeout"])
        return sum(status == "SERVING" for status in seen.values()) >= minimum

    begin = time.monotonic()
    serving = wait_for(look, params["timeout"], params["interval"])
    result = dict(changed=False, serving=serving, seen=seen, waited=round(time.monotonic() - begin, 3))
    if params["timeout"] and not serving:
        waiting = ", ".join(f"{target} is {status}" for target, status in seen.items() if status != "SERVING")
        module.fail_json(msg=f"expected SERVING from {minimum} of {len(targets)} gRPC servers within "
                             f"{params['timeout']:g} s; last seen: {waiting}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
