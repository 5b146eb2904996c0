# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to sf-database: round-robin over the gateways, dead ones skipped. Make one after a fork, never before."""

from __future__ import annotations

import json
import random
import threading
import time

import grpc

from shakenfist import config

RETRIES = 3
TIMEOUT = 5
DEAD_FOR = 2
RETRY_ON = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
OPTIONS = [('grpc.initial_reconnect_backoff_ms', 1000), ('grpc.min_reconnect_backoff_ms', 1000),
           ('grpc.max_reconnect_backoff_ms', 4000), ('grpc.max_receive_message_length', -1)]


class Client:
    def __init__(self):
        self._gateways = config.gateways()
        self._channels = {g: grpc.insecure_channel(g, options=OPTIONS) for g in self._gateways}
        self._dead_until = dict.fromkeys(self._gateways, 0.0)
        self._next = random.randrange(len(self._gateways) or 1)
        self._lock = threading.Lock()

    def _pick(self):
        with self._lock:
            now = time.monotonic()
            live = [g for g in self._gateways if self._dead_until[g] <= now] or self._gateways
            self._next += 1
            return live[self._next % len(live)]

    def call(self, method, timeout=TIMEOUT, **request):
        if not self._gateways:
            raise RuntimeError('MARIADB_GATEWAY_HOSTS is not configured')
        for attempt in range(RETRIES + 1):
            gateway = self._pick()
            rpc = self._channels[gateway].unary_unary(
                '/shakenfist.Database/' + method,
                request_serializer=lambda m: json.dumps(m).encode(), response_deserializer=json.loads)
            try:
                return rpc(request, timeout=timeout)
            except grpc.RpcError as e:
                if e.code() not in RETRY_ON or attempt == RETRIES:
                    raise
                self._dead_until[gateway] = time.monotonic() + DEAD_FOR
                time.sleep(0.05 * 2 ** attempt)
