# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Says on the controller who asks for the lock, and whether a holder on this same controller is gone.

from __future__ import annotations

import getpass
import hashlib
import os
import socket

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import PersistentAction


def boot_id():
    """The id of the boot, and of the namespace that counts the process ids: containers may share boot and name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
            return f"{handle.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid):
    """When a process started, in clock ticks since the boot; empty if it does not run or this is not Linux."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            # After the command in parentheses, which may contain anything, this is the 20th field.
            state, *fields = handle.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else fields[18]


def user():
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def myself(pid):
    """Who asks: the run of C(ansible-playbook) with this process id."""
    holder = dict(user=user(), host=socket.gethostname(), boot=boot_id(), pid=pid, started=started(pid))
    identity = "\0".join(str(holder[key]) for key in ("host", "boot", "pid", "started"))
    holder["run"] = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return holder


def is_dead(lock, mine):
    """Whether a holder ran on this very machine, and does not any more. In doubt it lives."""
    if not lock or not mine["boot"] or any(lock.get(key) != mine[key] for key in ("host", "boot")):
        return False
    pid = lock.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Somebody else's: a /proc that is mounted with hidepid does not show it.
        return started(pid) not in ("", lock.get("started"))
    return started(pid) != lock.get("started")


class ActionModule(PersistentAction):
    """The module, with C(holder) and C(dead) filled in."""

    def ask(self, task_vars):
        # Tasks run in processes that ansible-playbook forks.
        mine = myself(os.getppid())
        arguments = dict(self._task.args, holder=mine, dead="")
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        lock = answer.get("lock")
        if answer.get("failed") and lock and arguments.get("state", "held") == "held" and is_dead(lock, mine):
            arguments["dead"] = lock["run"]
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        return answer
