#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: haproxy_info
short_description: Ask HAProxy what it says of the servers of a backend
version_added: 0.1.0
description:
  - Asks an HAProxy over its statistics page or its stats socket, and returns what it says of the servers of a backend.
  - A node whose readiness URL says C(200) does not serve before the balancer marks it up, some checks later. This
    module waits for that, and tells before an upgrade whether HAProxy asks the readiness URL at all.
options:
  servers:
    description: The names of the servers to look at. All servers of the backend by default. An unknown one is not
      waited for.
    type: list
    elements: str
  expect:
    description:
      - What every one of the servers is expected to be.
      - V(up) means that HAProxy sends it requests. Its status is C(UP) or, unless O(checked), C(no check).
      - V(down) means that HAProxy sends it none. Its status is another one, such as C(DOWN), C(DRAIN), C(MAINT) or
        C(NOLB).
    type: str
    choices: [any, up, down]
    default: any
  checked:
    description:
      - Whether the health check of every one of the servers must be one of layer 7, such as C(option httpchk GET
        /readyz). No other check sees the C(503) of a node that is about to stop.
      - While a server is in maintenance, or is down because it takes no connection, its check cannot be told and is not
        a problem.
    type: bool
    default: false
extends_documentation_fragment:
  [shakenfist.rolling.attributes.info, shakenfist.rolling.options.haproxy, shakenfist.rolling.options.wait]
seealso: [{module: shakenfist.rolling.haproxy_server}, {module: shakenfist.rolling.drain}]
"""

EXAMPLES = r"""
- name: Learn whether HAProxy asks the readiness URL of every node
  shakenfist.rolling.haproxy_info:
    address: http://10.0.0.9:8404/stats
    backend: sf-api
    checked: true

- name: Wait until HAProxy marks this node up
  shakenfist.rolling.haproxy_info:
    address: 10.0.0.9:9999
    backend: sf-api
    servers: [sf-2]
    expect: up
    timeout: 30
"""

RETURN = r"""
reachable: {type: bool, returned: always, description: Whether HAProxy gave its statistics at the last look.}
problems:
  description: What was not as expected at the last look, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["HAProxy http://10.0.0.9:8404/stats says DOWN (L7STS 503) for sf-api/sf-2, expected UP"]
servers:
  description:
    - The servers that were asked for, by name. C(status) is as HAProxy says it, C(sessions) how many it has now.
    - The last check is C(check_status), empty if the server has none, C(check_code), the status of HTTP, and
      C(last_check), in words. If C(tracks) names another server, it is the check of that one.
    - C(fall) is after how many failed checks it is marked down, C(rise) after how many good ones it is marked up; V(0)
      without checks, or where HAProxy does not say it. How often HAProxy checks it never says.
    - C(errors) is how many requests had no connection, no answer, or one that broke off since HAProxy was started.
      V(null) where HAProxy does not count them.
  returned: always
  type: dict
  sample:
    sf-2: {"status": "UP", "sessions": 1, "check_status": "L7OK", "check_code": "200",
      "last_check": "Layer7 check passed", "tracks": "", "fall": 3, "rise": 2, "errors": 0}
may_set:
  description: Whether O(address) is a stats socket of level admin, by which the state of a server can be set.
  returned: without O(timeout)
  type: bool
lasting:
  description: For each of RV(servers), which ones may still get requests at its address while it is drained, each as
    C(BACKEND/SERVER). Others, where O(address) is a stats socket, and itself, where it has a cookie.
  returned: without O(timeout)
  type: dict
  sample: {"sf-2": ["admin/node-2"]}
waited: {type: float, returned: always, description: "How long that took, in seconds."}
at_balancer: {type: bool, returned: failure, description: Whether the cause is at HAProxy.}
"""

import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials

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


def ask(params):
    begin = time.monotonic()
    watch = Watch(_haproxy.Haproxy(params["address"], min(ANSWER_WITHIN, params["timeout"] or ANSWER_WITHIN)), params)
    wait_for(watch.look, params["timeout"], INTERVAL)
    result = dict(reachable=watch.reachable, problems=watch.problems(), servers=watch.servers,
                  waited=round(time.monotonic() - begin, 3))
    if not params["timeout"]:
        result.update(watch.more())
    if params["timeout"] and result["problems"]:
        raise RollingError(watch.complaint(), at_balancer=True, **result)
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            **_haproxy.HAPROXY_OPTIONS,
            servers=dict(type="list", elements="str"),
            expect=dict(type="str", choices=["any", "up", "down"], default="any"),
            checked=dict(type="bool", default=False),
            timeout=dict(type="float", default=0),
        ),
        supports_check_mode=True,
    )
    hide_credentials(module, module.params["address"])
    conclude(module, lambda: ask(module.params))


if __name__ == "__main__":
    main()
