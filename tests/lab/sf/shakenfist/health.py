# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readiness of one gunicorn worker: a thread of its own polls the gateways, /readyz answers from what it last saw."""

from __future__ import annotations

import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shakenfist import client, config, process
from shakenfist.traits import broken

POLL = 5
RPC_TIMEOUT = 2
FAILURES = 3
STALE = 15


class Readiness:
    def __init__(self):
        self.ready = False
        self.failures = 0
        self.updated = 0.0
        self.draining = False
        self.never = broken('api_never_ready')
        self._born = time.monotonic()

    def start(self):
        threading.Thread(target=self._loop, name='readiness', daemon=True).start()

    def is_ready(self):
        now = time.monotonic()
        if self.never or (broken('api_flaps') and int((now - self._born) / 4) % 2):
            return False
        return self.ready and not self.draining and now - self.updated <= STALE

    def _loop(self):
        # The first poll is at once: all workers of a fresh sf-api ask at about the same moment.
        stubs = [health_pb2_grpc.HealthStub(grpc.insecure_channel(g, options=client.OPTIONS))
                 for g in config.gateways()]
        while True:
            began = time.monotonic()
            self.note(any(self._serving(stub) for stub in stubs))
            time.sleep(max(0, POLL - (time.monotonic() - began)))

    @staticmethod
    def _serving(stub):
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=''), timeout=RPC_TIMEOUT)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    def note(self, serving):
        before = self.ready
        self.failures = 0 if serving else self.failures + 1
        if serving:
            self.ready = True
        elif self.failures >= FAILURES:
            self.ready = False
        self.updated = time.monotonic()
        if before != self.ready:
            process.log('worker is ' + ('ready' if self.ready else 'not ready'))


READINESS = Readiness()
