# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import contextlib
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials

ARGUMENTS = dict(
    **_haproxy.HAPROXY_OPTIONS,
    servers=dict(type="list", elements="str"),
    expect=dict(type="str", choices=["any", "up", "down"], default="any"),
    checked=dict(type="bool", default=False),
    timeout=dict(type="float", default=0),
)

# Seconds between two looks, and for which one look may wait for an answer.
INTERVAL = 0.2
ANSWER_WITHIN = 5.0


class Watch:
    """Looks at the servers, and what was wrong at the last one."""

    def __init__(self, haproxy, params):
        self.haproxy = haproxy
        self.params = params
        self.reachable = False
        self.servers = {}
        self.error = None

    def look(self):
        """Ask HAProxy once; tell whether everything is as expected, or never will be."""
        self.reachable, self.servers, self.error = False, {}, None
        try:
            servers = self.haproxy.servers(self.params["backend"])
            self.reachable = True
            names = self.params["servers"] or list(servers)
            self.servers = {name: servers[name] for name in names if name in servers}
            self.haproxy.require(self.params["backend"], servers, names)
            if not names:
                raise _haproxy.UnknownName(f"the backend {self.params['backend']} of HAProxy {self.haproxy.shown} has "
                                           "no server")
        except RollingError as exc:
            self.error = exc
            self.reachable = self.reachable or isinstance(exc, _haproxy.UnknownName)
        return isinstance(self.error, _haproxy.UnknownName) or not self.problems()

    def more(self):
        """What is only asked once."""
        with contextlib.suppress(RollingError):
            if self.reachable:
                return dict(may_set=self.haproxy.may_set(),
                            lasting=self.haproxy.lasting(self.params["backend"], self.servers))
        return dict(may_set=False, lasting={})

    def place(self, name):
        return f"{self.params['backend']}/{name}"

    def says(self, name):
        return _haproxy.describe_server(self.servers[name])

    def wrong_state(self):
        """The names of the servers that are not as expected."""
        expect = self.params["expect"]
        return [name for name, server in self.servers.items()
                if expect != "any" and self._up(server) != (expect == "up")]

    def _up(self, server):
        # For those that are expected to be down, no check is not an excuse: they still get requests.
        if self.params["checked"] and self.params["expect"] == "up" and server["status"] == "no check":
            return False
        return _haproxy.is_up(server)

    def wrong_check(self):
        """What is wrong with the checks, one sentence for each server."""
        words = []
        for name, server in self.servers.items() if self.params["checked"] else ():
            asks, check = _haproxy.asks_http(server), _haproxy.check_of(server)
            if asks is None and _haproxy.is_up(server):
                words.append(f"the check of {self.place(name)} is {check}, which does not tell whether it asks /readyz")
            elif asks is False:
                kind = f"is {check}, it does not ask /readyz" if check else "is none"
                words.append(f"the check of {self.place(name)} {kind}: use `option httpchk GET /readyz` in the backend "
                             "and `check` in the line of the server")
        return words

    def problems(self):
        words = [f"HAProxy {self.haproxy.shown} says {self.says(name)} for {self.place(name)}, expected {self.wanted()}"
                 for name in self.wrong_state()]
        words += self.wrong_check()
        return ([self.error.message] if self.error else []) + words

    def wanted(self):
        return "UP" if self.params["expect"] == "up" else "DOWN or DRAIN"

    def complaint(self):
        """What is wrong, in words, after waiting for it."""
        within = f"within {self.params['timeout']:g} s"
        if isinstance(self.error, _haproxy.UnknownName):
            return self.error.message
        if self.error:
            return f"expected HAProxy {self.haproxy.shown} to answer {within}; last seen: {self.error.message}"
        wrong, checks = self.wrong_state(), self.wrong_check()
        if not wrong:
            return f"expected checks of layer 7 from HAProxy {self.haproxy.shown} {within}: {'; '.join(checks)}"
        seen = "; ".join((f"{self.place(name)} " if len(wrong) > 1 else "") + self.says(name) for name in wrong)
        words = (f"expected HAProxy {self.haproxy.shown} to say {self.wanted()} for "
                 f"{', '.join(self.place(name) for name in wrong)} {within}; last seen: {seen}")
        return ". And ".join([words, *checks])


def run(module):
    begin, params = time.monotonic(), module.params
    hide_credentials(module, params["address"])
    watch = Watch(_haproxy.Haproxy(params["address"], min(ANSWER_WITHIN, params["timeout"] or ANSWER_WITHIN)), params)
    wait_for(watch.look, params["timeout"], INTERVAL)
    result = dict(reachable=watch.reachable, problems=watch.problems(), servers=watch.servers,
                  waited=round(time.monotonic() - begin, 3))
    if not params["timeout"]:
        result.update(watch.more())
    if params["timeout"] and result["problems"]:
        raise RollingError(watch.complaint(), at_balancer=True, **result)
    return result
