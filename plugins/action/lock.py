# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Says on the controller who asks for the lock and for what run, and whether a holder on this same controller is gone.
# Waits where the run was asked to pause, once for all nodes of a batch.

import fcntl
import getpass
import hashlib
import json
import os
import socket
import time

from ansible import constants as C
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import process_started
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._batch import caution_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import PersistentAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import Announcement, said
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    NODE_FACT,
    changed,
    node_of,
    playbook_command,
    run_of,
)

# Seconds between two looks of a run that waits. They are made from here: nothing on the node outlives a Ctrl-C.
INTERVAL = 3
# Seconds for which a lost node is waited for meanwhile, where the variable of role run is not set.
PATIENCE = 300
RESUME, STOP = "shakenfist.rolling.resume", "shakenfist.rolling.stop"


def first_line(path):
    """Of a file, without the blanks around it; empty where it cannot be read."""
    try:
        with open(path, encoding="ascii") as handle:
            return handle.readline().strip()
    except (OSError, ValueError):
        return ""


def boot_id():
    """The id of the boot, and of the namespace that counts the process ids: containers may share boot and name.

    After them that of the machine, where it has one, which stays when it boots again.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    boot, machine = first_line("/proc/sys/kernel/random/boot_id"), first_line("/etc/machine-id")
    return " ".join(filter(None, [boot, namespace, machine])) if boot else ""


def booted_since(theirs, ours):
    """Whether the same machine has booted since C(theirs), so that no process of then is left."""
    before, now = str(theirs).split(), ours.split()
    return len(before) == len(now) == 3 and before[2] == now[2] and before[0] != now[0]


def user():
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def myself(pid):
    """Who asks: the run of C(ansible-playbook) with this process id."""
    holder = dict(user=user(), host=socket.gethostname(), boot=boot_id(), pid=pid, started=process_started(pid))
    identity = "\0".join(str(holder[key]) for key in ("host", "boot", "pid", "started"))
    holder["run"] = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return holder


def is_dead(lock, mine):
    """Whether a holder ran on this very machine, and does not any more. In doubt it lives."""
    if not lock or not mine["boot"] or lock.get("host") != mine["host"]:
        return False
    if lock.get("boot") != mine["boot"]:
        return booted_since(lock.get("boot"), mine["boot"])
    pid = lock.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Somebody else's: a /proc that is mounted with hidepid does not show it.
        return process_started(pid) not in ("", lock.get("started"))
    return process_started(pid) != lock.get("started")


class ActionModule(PersistentAction):
    """The module, with C(holder) and C(dead) filled in, and a pause waited for."""

    def act(self, task_vars):
        state = self._task.args.get("state")
        if state == "renewed":
            return self.for_the_node(self.once(task_vars), task_vars)
        answer = super().act(task_vars)
        if state == "requested" and answer.get("request"):
            answer["msg"] += f"\nTo take that back:\n{self.command(RESUME, task_vars)}"
        if state == "free" and answer.get("failed"):
            self._display.display(said(
                f"The lock {self._task.args['path']} on {self.place(task_vars)} could not be freed: "
                f"{answer['msg']}. The next run from this machine takes it over by itself; others pass "
                "-e lock_takeover=true.", task_vars["inventory_hostname"], self._task.get_name()))
        return answer

    def command(self, playbook, task_vars):
        return playbook_command(task_vars, playbook, self._templar.template(task_vars.get("rolling_product") or ""))

    def once(self, task_vars):
        """Renew the lock once for all nodes of the batch, each of which has a process of its own here.

        A task with C(run_once) would fail for one of them only.
        """
        batch = list(task_vars.get("ansible_play_batch") or ())
        if len(batch) < 2:
            return self.renew(task_vars)
        name = hashlib.sha256("\0".join([self._task._uuid, *batch]).encode()).hexdigest()[:16]
        with open(os.path.join(C.DEFAULT_LOCAL_TMP, f"rolling-lock-{name}"), "a+", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            known = handle.read()
            if known:
                return json.loads(known)
            answer = self.renew(task_vars)
            handle.write(json.dumps(answer, default=str))
            return answer

    def renew(self, task_vars):
        return self.heed(super().act(task_vars), task_vars)

    def for_the_node(self, answer, task_vars):
        """The answer, with what the record of the node, or its failure, is to have of it."""
        place = self.place(task_vars)
        if answer.get("failed"):
            # Another run may be at the node by now: what it has done is nothing to be taken back.
            answer["untouched"] = True
        if answer.get("lost"):
            answer["away"] = place
        elif answer.get("failed") and not answer.get("stopped") and place != task_vars["inventory_hostname"]:
            # Else it would be taken for a fault of the node whose turn it is.
            answer.update(away=place, msg=f"on {place}: {answer['msg']}")
        if answer.get("paused"):
            record = node_of(task_vars["hostvars"], task_vars["inventory_hostname"])
            answer["ansible_facts"] = {NODE_FACT: changed(record, pauses=[*record.pauses, answer["paused"]])}
        return answer

    def place(self, task_vars):
        """The node that has the lock: the one that the task is delegated to."""
        return self.delegate(task_vars) or task_vars["inventory_hostname"]

    def ask(self, task_vars):
        # Tasks run in processes that ansible-playbook forks.
        mine = myself(os.getppid())
        run = run_of(task_vars["hostvars"])
        work = dict(kind=run.kind, release=run.plan.get("release") or "") if run.id else {}
        arguments = dict(self._task.args, holder=mine, dead="", work=work)
        if arguments.get("state") == "free":
            rolled = [name for name in run.plan.get("order", ()) if node_of(task_vars["hostvars"], name, run).rolled]
            arguments["settled"] = [*run.plan.get("done", ()), *rolled]
        answer = self.run_module("lock", arguments, task_vars)
        lock = answer.get("lock")
        if lock and arguments.get("state", "held") in ("held", "requested") and is_dead(lock, mine):
            arguments["dead"] = lock["run"]
            answer = self.run_module("lock", arguments, task_vars)
        return answer

    def heed(self, answer, task_vars):
        """Wait for as long as the run is asked to pause, and fail if it is asked to stop."""
        begin, limit = time.monotonic(), float(self._task.args.get("pause_timeout") or 0)
        task_vars = {"roll_reconnect_timeout": PATIENCE, **task_vars}
        said = False
        while not answer.get("failed") and answer.get("request"):
            request, doing = answer["request"], answer["lock"]["doing"]
            if request["want"] == "stop":
                return dict(answer, failed=True, stopped=True, msg=f"the roll was asked to stop: {request['words']}")
            if 0 < limit <= time.monotonic() - begin:
                return dict(answer, failed=True, stopped=True, msg=(
                    f"the roll was asked to pause, and not to go on within {limit:g} s (lock_pause_timeout): "
                    f"{request['words']}"))
            if not said:
                self.announce(request, doing, task_vars)
            said = True
            time.sleep(INTERVAL)
            answer = self.persist(lambda: self.ask(task_vars), task_vars)
        if said and not answer.get("failed"):
            waited, now = time.monotonic() - begin, time.time()
            answer = dict(answer, paused=[round(now - waited, 3), round(now, 3)])
            self._display.display(Announcement(f"The roll goes on after {waited:.0f} s: {answer['lock']['doing']}",
                                               dict(event="resume", seconds=round(waited, 3))))
        return answer

    def announce(self, request, doing, task_vars):
        """Say once that and why the run waits, and how to let it go on."""
        caution = caution_of(task_vars["hostvars"], task_vars["inventory_hostname"])
        words = "\n".join([f"The roll is {doing}.\n{request['words']}", *([caution] if caution else []), (
            "It keeps its lock meanwhile. To let it go on, or to end it here:"),
            self.command(RESUME, task_vars), self.command(STOP, task_vars)])
        self._display.display(Announcement(words, dict(
            event="pause", next=f"{self._task.args.get('doing', '')}", asked_by=f"{request['user']}@{request['host']}",
            reason=request["reason"])))
