# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import json
import time

WHO = ("user", "host", "boot", "pid", "started", "run")
TIMES = ("since", "renewed", "lease")
# Seconds that no clock and no lease reaches; infinity and not-a-number are not below it either.
LATEST = 1e11
REQUEST = ("want", "user", "host", "reason")
# What the run is, for the one that continues it: its kind, the release that it leads to, and the nodes that it has in
# hand, by their names in the inventory. Locks of earlier versions have none of it.
WORK = dict(kind="", release="", nodes=[])
# Beside it C(left): the same of a run whose lock was taken over, until its nodes are in hand again, or done.


def read(path):
    """The lock in the file, None if there is none, an empty dict if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as handle:
            lock = json.load(handle)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    whole = (isinstance(lock, dict) and all(key in lock for key in (*WHO, "doing")) and lock["run"]
             and all(is_time(lock.get(key)) for key in TIMES) and is_request(lock.get("request")))
    lock = dict(WORK, **dict(dict(left=None), **lock)) if whole else {}
    return lock if whole and is_work(lock) and (lock["left"] is None or is_work(lock["left"])) else {}


def is_time(value):
    return isinstance(value, (int, float)) and 0 <= value < LATEST


def is_request(request):
    return request is None or (isinstance(request, dict) and all(key in request for key in REQUEST)
                               and is_time(request.get("since")))


def is_work(lock):
    return (isinstance(lock, dict) and all(key in lock for key in WORK) and isinstance(lock["kind"], str)
            and isinstance(lock["release"], str) and isinstance(lock["nodes"], list)
            and all(isinstance(name, str) for name in lock["nodes"]))


def ago(seconds):
    """A time span in words."""
    seconds = max(0, round(seconds))
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def who(lock):
    return f"{lock['user']}@{lock['host']}, pid {lock['pid']}, run {lock['run']}"


def when(since, now):
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(since))} UTC ({ago(now - since)} ago)"


def told(request, now):
    """A request as it is returned, with words for people."""
    if not request:
        return None
    user, host, since, why = (request[key] for key in ("user", "host", "since", "reason"))
    return dict(request, words=f"{user}@{host} asked for that at {when(since, now)}" + (f": {why}" if why else ""))


def is_over(lock):
    """Whether nobody holds it: its run has ended, and has left what an earlier one had in hand."""
    return lock["lease"] == 0


def left_by(lock):
    """What a lock that nobody holds keeps, in words."""
    return (f"{', '.join(lock['nodes'])} may still be as a run that was killed has left it; the last one ({who(lock)}) "
            "has ended before its turn")


def describe(lock, now):
    """Who holds the lock, since when and what for."""
    if is_over(lock):
        return f"nobody. {left_by(lock)}"
    return (f"{who(lock)}, since {when(lock['since'], now)}, doing: {lock['doing'] or 'not said'}, last renewed "
            f"{ago(now - lock['renewed'])} ago")


def broken(lock, over):
    """What is known of a run that has ended before its end: its C(WORK), empty if the lock is of none.

    :arg over: whether the run that holds the lock is over.
    """
    return {key: lock[key] for key in WORK} if lock and over else {}


def lease_of(lease, waits):
    """The lease that outlasts what lies between two renewals, in seconds.

    :arg waits: the limits of all waits of it. A node that fails is taken through most of them once more on its way
        back, and a node that is lost is waited for; so each counts twice.
    """
    return max(lease, 2 * sum(waits))


def ran_out(lock, now):
    """Whether the lease is over. A lock from the future, of a clock that was set back, does not hold for ever."""
    return is_over(lock) or not -lock["lease"] <= now - lock["renewed"] <= lock["lease"]
