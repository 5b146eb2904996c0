# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import json
import os
import time
from contextlib import contextmanager, suppress

from ansible_collections.shakenfist.rolling.plugins.module_utils import _lock
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, flocked, turn_of

ARGUMENTS = dict(
    path=dict(type="path", required=True),
    state=dict(type="str", choices=["held", "renewed", "free", "requested"], default="held"),
    request=dict(type="str", choices=["pause", "stop", "resume"], default="resume"),
    reason=dict(type="str", default=""),
    pause_timeout=dict(type="float", default=0),
    doing=dict(type="str", default=""),
    lease=dict(type="float", default=1800),
    waits=dict(type="list", elements="float", default=[]),
    takeover=dict(type="bool", default=False),
    nodes=dict(type="list", elements="str"),
    settled=dict(type="list", elements="str", default=[]),
    work=dict(type="dict", default={}),
    holder=dict(type="dict"),
    dead=dict(type="str", default=""),
)

# What the lock says of a run that waits, before what it will do then.
PAUSED = "paused, next: "
# By kind of run, before what it heeds a request, and what becomes of one that is past that.
NODES = ("its next node", "One that has no node left to do ends as usual")
HEEDED = {
    "services": ("its next service", "One that has no service left to do is to {want} before its last migrations, if "
                                     "it has not begun them"),
    "tier": ("anything is stopped", "One that has begun to stop its services starts all of them first, and is to "
                                    "{want} before its next reboot, or before it verifies"),
}
# For how many seconds others may read and write the lock before us; each of them takes milliseconds.
TURN_WITHIN = 30


@contextmanager
def alone(path):
    """Nobody else reads or writes the lock meanwhile."""
    directory = os.path.dirname(path)
    try:
        os.scandir(directory).close()
    except OSError as exc:
        raise RollingError(f"cannot keep the lock in {directory}: {exc.strerror}. Does the node have Shaken Fist? Name "
                           "another file with -e lock_path=...") from exc
    with flocked(directory, TURN_WITHIN) as handle:
        if handle is None:
            raise RollingError(f"another process has kept others from the lock {path} for {TURN_WITHIN} s: see which "
                               f"one it is with fuser -v {turn_of(directory)}")
        yield


def write(path, lock):
    part = f"{path}.new"
    try:
        with suppress(FileNotFoundError):
            os.unlink(part)  # of one that was killed
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
            json.dump(lock, handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as exc:
        with suppress(OSError):
            os.unlink(part)
        raise RollingError(f"cannot write the lock {path}: {exc.strerror}") from exc


def conflict(path, lock, now):
    """Why we cannot have the lock, for a person who wonders what to do."""
    if not lock:
        return (f"the cluster is locked, but {path} cannot be read, so nobody knows by whom. If no other roll is under "
                "way: add -e lock_takeover=true")
    paused = (lock.get("request") or {}).get("want") == "pause"
    wait = ("It was asked to pause: the playbook resume has it go on, stop has it end" if paused else
            "Wait until that run has ended")
    return (f"the cluster is locked: {_lock.describe(lock, now)}. {wait}. If it is certain that it is gone: add "
            "-e lock_takeover=true")


def may_take(lock, params, now):
    """Whether the lock of another run may be taken, and why."""
    if params["takeover"]:
        return "lock_takeover was set"
    if lock and params["dead"] and lock["run"] == params["dead"]:
        return f"its process {lock['pid']} on {lock['host']} is gone"
    if not lock or not _lock.ran_out(lock, now):
        return ""
    if _lock.is_over(lock):
        return "it only says what is still to be brought back"
    age = now - lock["renewed"]
    if age < 0:
        return f"its clock was set back: it was renewed {_lock.ago(-age)} in the future"
    return f"its lease ran out, it was renewed {_lock.ago(age)} ago and holds {_lock.ago(lock['lease'])}"


def hold(module, lock, now):
    """Take or renew the lock."""
    params = module.params
    mine = bool(lock) and lock["run"] == params["holder"]["run"]
    if params["state"] == "renewed" and not mine:
        raise RollingError("the lock was lost: " + (conflict(params["path"], lock, now) if lock is not None else
                           f"{params['path']} is gone. Run the command again"), lock=lock)
    if lock is not None and not mine:
        why = may_take(lock, params, now)
        if not why:
            raise RollingError(conflict(params["path"], lock, now), lock=lock)
        module.warn(f"The lock of {_lock.who(lock) if lock else 'somebody unknown'} was taken over: {why}.")
        if lock.get("request"):
            module.warn(f"That run was asked to {lock['request']['want']}; this one is not, ask again if it ought to "
                        f"be. {_lock.told(lock['request'], now)['words']}")
    new = {key: params["holder"][key] for key in _lock.WHO}
    # What a run that was killed had in hand is still to be brought back, also if this one is killed, too.
    before = lock if mine else dict(since=now, doing="", request=None, nodes=(lock or _lock.WORK)["nodes"],
                                    left=_lock.broken(lock, True) or None)
    request = before.get("request")
    doing = params["doing"] or before["doing"]
    doing = doing[len(PAUSED):] if doing.startswith(PAUSED) else doing
    if params["state"] == "renewed" and request and request["want"] == "pause":
        doing = PAUSED + doing
    new.update(since=before["since"], renewed=now, lease=_lock.lease_of(params["lease"], params["waits"]), doing=doing,
               request=request, kind=params["work"].get("kind", ""), release=params["work"].get("release", ""),
               nodes=in_hand(before["nodes"], params), left=still_left(before["left"], params))
    if not module.check_mode:
        write(params["path"], new)
    result = dict(changed=not mine, lock=new)
    return dict(result, request=_lock.told(request, now)) if params["state"] == "renewed" else result


def in_hand(before, params):
    """The nodes that the run has in hand from now on."""
    if params["nodes"] is None:
        return before
    return list(dict.fromkeys([*(name for name in before if name not in params["settled"]), *params["nodes"]]))


def still_left(left, params):
    """What this run has not come to of the nodes that an earlier one had in hand; None if there is none."""
    come_to = {*(params["nodes"] or ()), *params["settled"]}
    nodes = [name for name in (left or _lock.WORK)["nodes"] if name not in come_to]
    return dict(left, nodes=nodes) if nodes else None


def free(module, lock):
    """Remove the lock if it is ours. Where nodes of a run that was killed are left, it still says that, to the next."""
    if not lock or lock["run"] != module.params["holder"]["run"]:
        return dict(changed=False, lock=lock)
    left = still_left(lock["left"], module.params)
    if left:
        lock = dict(lock, **left, left=None, lease=0, request=None)
        if not module.check_mode:
            write(module.params["path"], lock)
        return dict(changed=True, lock=lock)
    if not module.check_mode:
        try:
            os.unlink(module.params["path"])
        except OSError as exc:
            raise RollingError(f"cannot remove the lock {module.params['path']}: {exc.strerror}. Remove it by "
                               "hand") from exc
    return dict(changed=True, lock=None)


def ask(module, lock, now):
    """Ask the run that holds the lock to pause, to stop, or to go on."""
    params = module.params
    if lock == {}:
        raise RollingError(conflict(params["path"], lock, now), lock=lock)
    before = lock.get("request") if lock else None
    gone = not lock or lock["run"] == params["dead"] or _lock.is_over(lock)
    if gone or params["request"] == "resume":
        request = None
    elif before and before["want"] == params["request"]:
        request = before
    else:
        request = dict(want=params["request"], user=params["holder"]["user"], host=params["holder"]["host"], since=now,
                       reason=" ".join(params["reason"].split()))
    if request != before:
        lock = dict(lock, request=request)
        if not module.check_mode:
            write(params["path"], lock)
    return dict(changed=request != before and not gone, lock=lock, request=_lock.told(request, now),
                msg=outcome(module, lock, before, gone, now))


def outcome(module, lock, before, gone, now):
    """The result of the request, for the person who made it."""
    params, want = module.params, module.params["request"]
    if not lock:
        return f"No upgrade is running: there is no lock {params['path']}. Nothing was set."
    if _lock.is_over(lock):
        return f"No upgrade is running: {_lock.left_by(lock)}. Nothing was set."
    run = f"{_lock.who(lock)} (renewed {_lock.ago(now - lock['renewed'])} ago, doing: {lock['doing'] or 'not said'})"
    if gone:
        return (f"No upgrade is running: the process of {run} is gone, the next roll takes its lock over. Nothing was "
                "set.")
    said = _lock.told(before, now)
    if want == "resume" and not before:
        return f"{run} was not asked to pause or to stop: it goes on."
    if before and before["want"] == want:
        return f"{run} is to {want} already: {said['words']}"
    asked = "Would ask" if module.check_mode else "Asked"
    if want == "resume":
        return f"{asked} {run} to go on. It was to {before['want']}: {said['words']}"
    instead = f" It was to {before['want']}: {said['words']}" if before else ""
    when, later = HEEDED.get(lock["kind"], NODES)
    return f"{asked} {run} to {want} before {when}.\n{later.format(want=want)}.{instead}"


def run(module):
    path, state, lease = (module.params[name] for name in ("path", "state", "lease"))
    if not (module.params["holder"] or {}).get("run"):
        raise RollingError("nobody said who asks for the lock: call shakenfist.rolling.lock as a task of a playbook")
    if not 0 < lease < _lock.LATEST:
        raise RollingError(f"lease is {lease}: give seconds, more than 0, such as 1800")
    with alone(path):
        lock = _lock.read(path)
        if state == "free":
            return free(module, lock)
        return (ask if state == "requested" else hold)(module, lock, time.time())
