# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every daemon does: talk to systemd, end on SIGTERM, leave a file for an exception that nobody caught."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback

EXCEPTIONS = '/srv/shakenfist/exceptions'


def sd_notify(state):
    address = os.environ.get('NOTIFY_SOCKET')
    if not address:
        return
    if address[0] == '@':
        address = '\0' + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        s.sendto(state.encode(), address)


def log(message):
    sys.stderr.write(message + '\n')  # one write, so that lines of two workers do not mix
    sys.stderr.flush()


def record_exception(name, exc):
    text = ''.join(traceback.format_exception(exc))
    log(text)
    if os.path.isdir(EXCEPTIONS):
        stamp = time.strftime('%Y%m%d-%H%M%S')
        with open(f'{EXCEPTIONS}/{name}-{stamp}-{os.getpid()}.txt', 'w', encoding='utf-8') as f:
            f.write(text)


def setup(name):
    """Returns the event that SIGTERM sets."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda signum, frame: stop.set())

    def uncaught(kind, exc, tb):
        record_exception(name, exc)

    def uncaught_in_thread(args):
        record_exception(name, args.exc_value)
        os._exit(1)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    return stop


def wait(stop, interval, work):
    """Calls work() about every interval seconds, or when it said, until stop is set, and pets systemd's watchdog."""
    sd_notify('READY=1')
    due = 0
    while not stop.is_set():
        if time.monotonic() >= due:
            due = (work() or interval) + time.monotonic()
        sd_notify('WATCHDOG=1')
        stop.wait(min(15, max(0.05, due - time.monotonic())))
    sd_notify('STOPPING=1')
    # Asked twice, by sf-ctl and by systemd: the second time may find the interpreter at its end, with no handlers left.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
