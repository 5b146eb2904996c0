# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import glob
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils import _readiness
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, short
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.units_info import Guard

ARGUMENTS = dict(
    urls=dict(type="list", elements="str", required=True),
    connections=dict(type="int", default=1),
    unit=dict(type="str"),
    rounds=dict(type="int", default=1),
    status=dict(type="int", default=200),
    minimum=dict(type="int"),
    timeout=dict(type="float", default=0),
    up_since=dict(type="dict"),
    interval=dict(type="float", default=0.2),
)

# For how many seconds the connections of a round to one URL, all together, may keep the module waiting.
ANSWER_WITHIN = 5


def worker_count(pid):
    """How many processes below C(pid) have no child: the workers, whether C(pid) is gunicorn or a shell around it."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as handle:
                # The second field is the command in parentheses, which may contain anything; the parent follows it.
                child, dummy, rest = handle.read().rpartition(")")
                parents[int(child.split()[0])] = int(rest.split()[1])
        except (OSError, ValueError, IndexError):
            continue  # the process ended while we looked
    children: dict[int, list[int]] = {}
    for own, parent in parents.items():
        children.setdefault(parent, []).append(own)
    below, workers = list(children.get(pid, [])), 0
    while below:
        started = children.get(below.pop(), [])
        below += started
        workers += not started
    return workers


class Watch:
    """Rounds of questions to the URLs, and for each one how many good rounds in a row it has had."""

    def __init__(self, module):
        self.params = params = module.params
        urls = list(dict.fromkeys(params["urls"]))
        self.minimum = len(urls) if params["minimum"] is None else params["minimum"]
        for name in ("connections", "rounds"):
            if params[name] < 1:
                raise RollingError(f"{name} must be 1 or more, not {params[name]}")
        if self.minimum > len(urls):
            raise RollingError(f"minimum is {self.minimum}, but there are only {len(urls)} URLs")
        for url in urls:
            _readiness.split_url(url)
        self.systemd = Systemd(module.run_command)
        self.guard = Guard(self.systemd, params["up_since"])
        self.connections = params["connections"]
        self.streak = dict.fromkeys(urls, 0)
        self.answers: dict[str, list] = {url: [] for url in urls}

    def round(self):
        """Ask every URL once; tell whether enough of them are ready."""
        self.guard.check()
        if self.params["unit"]:
            name = short(self.params["unit"])
            pid = int(self.systemd.show([name])[name].get("MainPID") or 0)
            self.connections = max(self.params["connections"], 2 * worker_count(pid) if pid else 1)
        for url in self.streak:
            self.answers[url] = _readiness.ask_once(url, self.connections, ANSWER_WITHIN)
            ready = _readiness.all_ready(self.answers[url], self.params["status"])
            self.streak[url] = self.streak[url] + 1 if ready else 0
        return self.count() >= self.minimum

    def is_ready(self, url):
        return self.streak[url] >= self.params["rounds"]

    def count(self):
        return sum(map(self.is_ready, self.streak))

    def complaint(self):
        """What is wrong, in words."""
        waiting = [f"{url} answered {_readiness.describe(answers)}" for url, answers in self.answers.items()
                   if not self.is_ready(url)]
        rounds, how = self.params["rounds"], ""
        if rounds > 1 or self.connections > 1:
            how = f", {rounds} times in a row over {self.connections} connections at once,"
        return (f"expected {self.params['status']} from {self.minimum} of {len(self.streak)} URLs{how} within "
                f"{self.params['timeout']:g} s; last seen: {'; '.join(waiting)}")


def run(module):
    begin, params = time.monotonic(), module.params
    watch = Watch(module)
    # A look without a timeout still takes its rounds.
    for dummy in range(params["rounds"] - 1):
        watch.round()
        time.sleep(params["interval"])
    ready = wait_for(watch.round, params["timeout"], params["interval"])
    result = dict(ready=ready, count=watch.count(), connections=watch.connections,
                  seen={url: dict(ready=watch.is_ready(url), answers=_readiness.describe(answers))
                        for url, answers in watch.answers.items()}, waited=round(time.monotonic() - begin, 3))
    if params["timeout"] and not ready:
        raise RollingError(watch.complaint(), **result)
    return result
