#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: ready_info
short_description: Ask readiness URLs whether their servers are ready
version_added: 0.1.0
description:
  - Asks readiness URLs, such as C(http://10.0.0.1:13000/readyz), and counts C(200) as ready.
  - Each worker of C(sf-api) has a readiness of its own, and connections made one after the other tend to reach the same
    worker. So all connections of a round are opened before the first request is sent. A worker that serves one request
    at a time accepts one of them and waits, which leaves the others to the other workers. Each one has to answer.
  - Polls on the node that it runs on, without a round trip of Ansible between two looks.
options:
  urls: {type: list, elements: str, required: true, description: "The URLs to ask, V(http://HOST:PORT/PATH)."}
  connections:
    description: How many connections a round opens to each URL. To ask every worker, take more than there are workers,
      or give O(unit).
    type: int
    default: 1
  unit:
    description: A service unit of this node that serves the URLs. A round then opens at least twice as many connections
      as the unit has worker processes.
    type: str
  rounds:
    description: How many rounds in a row must find a URL ready. Without O(timeout), so many are made.
    type: int
    default: 1
  minimum: {type: int, description: How many of the URLs must be ready. All of them by default.}
  interval: {type: float, default: 0.2, description: Seconds between two rounds.}
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.wait]
"""

EXAMPLES = r"""
- name: Wait until every worker of sf-api is ready, three rounds in a row
  shakenfist.rolling.ready_info:
    urls: ["http://10.0.0.1:13000/readyz"]
    unit: sf-api
    rounds: 3
    timeout: 60

- name: Wait until at least two of the others are ready
  shakenfist.rolling.ready_info:
    urls: ["http://10.0.0.2:13000/readyz", "http://10.0.0.3:13000/readyz", "http://10.0.0.4:13000/readyz"]
    minimum: 2
    timeout: 30
"""

RETURN = r"""
ready: {type: bool, returned: always, description: Whether O(minimum) URLs are ready.}
count: {type: int, returned: always, description: How many URLs are ready.}
connections: {type: int, returned: always, description: How many connections a round opened to each URL.}
seen:
  description: By URL, whether it is ready, and what was last seen, in words.
  returned: always
  type: dict
  sample: {"http://10.0.0.1:13000/readyz": {"ready": false, "answers": "200 from 8 of 10, 503 from 2 of 10"}}
waited: {type: float, returned: always, description: "How long that took, in seconds."}
"""

import glob
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _readiness
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, short

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
    children = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    below, workers = list(children.get(pid, [])), 0
    while below:
        own = children.get(below.pop(), [])
        below += own
        workers += not own
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
        self.connections = params["connections"]
        self.streak = dict.fromkeys(urls, 0)
        self.answers = {url: [] for url in urls}

    def round(self):
        """Ask every URL once; tell whether enough of them are ready."""
        if self.params["unit"]:
            name = short(self.params["unit"])
            pid = int(self.systemd.show([name])[name].get("MainPID") or 0)
            self.connections = max(self.params["connections"], 2 * worker_count(pid) if pid else 1)
        for url in self.streak:
            self.answers[url] = _readiness.ask_once(url, self.connections, ANSWER_WITHIN)
            self.streak[url] = self.streak[url] + 1 if _readiness.all_ready(self.answers[url]) else 0
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
        return (f"expected 200 from {self.minimum} of {len(self.streak)} URLs{how} within {self.params['timeout']:g} s"
                f"; last seen: {'; '.join(waiting)}")


def ask(module):
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


def main():
    module = AnsibleModule(
        argument_spec=dict(
            urls=dict(type="list", elements="str", required=True),
            connections=dict(type="int", default=1),
            unit=dict(type="str"),
            rounds=dict(type="int", default=1),
            minimum=dict(type="int"),
            timeout=dict(type="float", default=0),
            interval=dict(type="float", default=0.2),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: ask(module))


if __name__ == "__main__":
    main()
