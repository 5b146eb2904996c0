# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gunicorn's hooks: a readiness thread in each worker, and a SIGTERM that drains before it ends."""

from __future__ import annotations

import os
import signal
import threading
import time

# No global here may be named config, which is a setting of gunicorn's.
from shakenfist import node, process
from shakenfist.config import get as from_config
from shakenfist.health import READINESS
from shakenfist.traits import broken

control_socket_disable = True


def when_ready(server):
    if broken('api_ignores_sigterm'):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def on_exit(server):
    # The workers are gone, nothing forks any more: now the arbiter may use gRPC.
    node.set_daemon_state(node.caller(), 'api', 'stopped', timeout=node.LAST_WORDS)


def say_running():
    running = node.Until(lambda: node.set_daemon_state(node.caller(), 'api', 'running'))
    while not (READINESS.draining or running()):
        time.sleep(2)


def say_stopping():
    node.set_daemon_state(node.caller(), 'api', 'stopping', timeout=node.LAST_WORDS)


def in_thread(act):
    threading.Thread(target=act, daemon=True).start()


def post_worker_init(worker):
    # The earliest hook after gunicorn's own signal handlers; and in the worker, for neither a thread nor a gRPC
    # channel survives a fork.
    if broken('api_one_worker_never_ready') and worker.age == 1:
        READINESS.never = True
    READINESS.start()
    in_thread(say_running)
    if broken('api_ignores_sigterm'):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return
    if broken('api_ends_without_drain'):
        signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(0))
        return
    shut_down = signal.getsignal(signal.SIGTERM)

    def drain(signum, frame):
        # It arrives twice: systemd signals the whole cgroup, and the arbiter signals its workers.
        if READINESS.draining:
            return
        READINESS.draining = True
        grace = float(from_config('API_DRAIN_GRACE', '25'))
        process.log(f'SIGTERM: not ready from now on, serving for {grace:g} s more')
        in_thread(say_stopping)
        # Nothing wakes a worker that sits in select() by then: it ends when the next connection arrives.
        timer = threading.Timer(grace, shut_down, (signal.SIGTERM, None))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, drain)
