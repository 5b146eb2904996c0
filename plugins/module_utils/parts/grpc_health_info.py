# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import time
import traceback

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for

ARGUMENTS = dict(
    targets=dict(type="list", elements="str", required=True),
    timeout=dict(type="float", default=0),
)

# Seconds between two looks, and for which one call may keep the module waiting.
INTERVAL = 0.2
ANSWER_WITHIN = 2


def libraries():
    """What asks. Only who asks pays for the import; a grpcio that does not fit raises much else than ImportError."""
    try:
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc
    except Exception as exc:
        raise RollingError(missing_required_lib("grpcio and grpcio-health-checking"),
                           exception=traceback.format_exc()) from exc
    return grpc, health_pb2, health_pb2_grpc


def check(target):
    """The health of one server: its own word, or the gRPC status of the failed call."""
    grpc, health_pb2, health_pb2_grpc = libraries()
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


def run(module):
    libraries()
    return ask(**module.params)
