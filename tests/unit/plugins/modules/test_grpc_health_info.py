# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import builtins
import socket
from concurrent import futures

import grpc
import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import grpc_health_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import grpc_health_info
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@pytest.fixture
def gateway(monkeypatch):
    """Start a server with the given health, None for a server without a health service."""
    # A server that answers takes a few milliseconds, on a busy machine more.
    monkeypatch.setattr(part, "ANSWER_WITHIN", 30)
    servers = []

    def start(status):
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        if status is not None:
            servicer = health.HealthServicer()
            servicer.set("", getattr(health_pb2.HealthCheckResponse, status))
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture
def nobody():
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("check", [False, True])
def test_a_look(run_module, gateway, nobody, check):
    up, down, other = gateway("SERVING"), gateway("NOT_SERVING"), gateway(None)
    result = run_module(grpc_health_info, check, targets=[up, down, nobody, other])
    assert not result["failed"] and not result["changed"] and not result["serving"]
    assert result["seen"] == {up: "SERVING", down: "NOT_SERVING", nobody: "UNAVAILABLE", other: "UNIMPLEMENTED"}


def test_no_targets(run_module):
    assert run_module(grpc_health_info, targets=[])["serving"]


def test_it_waits(run_module, gateway, monkeypatch):
    answers = ["UNAVAILABLE", "NOT_SERVING", "SERVING"]
    monkeypatch.setattr(part, "check", lambda dummy: answers.pop(0))
    result = run_module(grpc_health_info, targets=["sf-1:13005"], timeout=60)
    assert result["serving"] and not answers


def test_a_silent_server_does_not_hold_the_module(run_module, monkeypatch):
    monkeypatch.setattr(part, "ANSWER_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = "127.0.0.1:%d" % listener.getsockname()[1]
        result = run_module(grpc_health_info, targets=[target])
    assert not result["serving"] and result["seen"][target] in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    assert result["waited"] < 15


def test_time_runs_out(run_module, gateway):
    up, down = gateway("SERVING"), gateway("NOT_SERVING")
    result = run_module(grpc_health_info, targets=[up, down], timeout=0.05)
    assert result["failed"] and not result["serving"]
    assert result["msg"] == (f"expected SERVING from 2 of 2 gRPC servers within 0.05 s; last seen: {down} is "
                             "NOT_SERVING")


@pytest.mark.parametrize("fault", [ImportError("no grpc"), RuntimeError("grpcio is older than its generated code")])
def test_without_a_grpcio_that_fits(run_module, monkeypatch, fault):
    load = builtins.__import__

    def refuse(name, *more, **others):
        if name.startswith("grpc"):
            raise fault
        return load(name, *more, **others)
    monkeypatch.setattr(builtins, "__import__", refuse)
    result = run_module(grpc_health_info, targets=["sf-1:13005"])
    assert result["failed"] and "grpcio and grpcio-health-checking" in result["msg"]
