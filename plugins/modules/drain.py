#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Stop a service that drains by itself, and witness the drain
version_added: 0.1.0
description:
  - Stops a unit such as C(sf-api), which on SIGTERM answers its readiness URL with C(503), keeps serving while the load
    balancer lets go of the node, and then ends by itself.
  - The module watches that happen, on the node, and reports each moment. It fails if the unit ended without ever having
    said C(503), or if systemd had to kill it, for then requests were cut.
  - With O(haproxy) it watches HAProxy, too, and fails if HAProxy still sent requests to the server when the unit ended,
    or if sessions were cut.
  - A unit that is stopped already is fine.
options:
  unit:
    description: The service unit to stop, with or without C(.service).
    type: str
    required: true
  url:
    description: Its readiness URL, V(http://HOST:PORT/PATH), answered with C(200) when ready.
    type: str
    required: true
  timeout:
    description:
      - For how many seconds to wait for the unit to end. Take more than its C(TimeoutStopSec), then systemd ends it
        before the module gives up.
    type: float
    default: 90
  interval:
    description: Seconds between two looks.
    type: float
    default: 0.1
  haproxy:
    description:
      - The HAProxy that sends requests to the unit. It is only looked at, about as often as the unit.
      - If HAProxy has the server as C(UP), its health check must be one of layer 7, or the module fails before it stops
        anything, for no other check sees the C(503).
      - An HAProxy that cannot be reached before the stop is a warning, since nobody gets in through it. One that can be
        reached then, but not any more when the unit ends, is a failure.
    type: dict
    suboptions:
      address:
        description:
          - V(http://HOST:PORT/PATH) is its statistics page, V(HOST:PORT) a stats socket over TCP, V(/PATH) a stats
            socket on this machine. See M(shakenfist.rolling.haproxy_info).
        type: str
        required: true
      backend:
        description: The name of the backend.
        type: str
        required: true
      server:
        description: The name of the server of this node in the backend.
        type: str
        required: true
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Drain the API of this node
  shakenfist.rolling.drain:
    unit: sf-api
    url: http://10.0.0.1:13000/readyz

- name: Drain the API of this node and see HAProxy let go of it
  shakenfist.rolling.drain:
    unit: sf-api
    url: http://10.0.0.2:13000/readyz
    haproxy:
      address: http://10.0.0.9:8404/stats
      backend: sf-api
      server: sf-2
"""

RETURN = r"""
was_ready:
  description: Whether the unit was ready when the drain began.
  returned: always
  type: bool
  sample: true
not_ready_after:
  description: Seconds from the request to stop to the first C(503), V(null) if there was none.
  returned: when the unit was active, not in check mode
  type: float
  sample: 0.11
stopped_after:
  description: Seconds from the request to stop to the end of the unit, V(null) if it did not end.
  returned: when the unit was active, not in check mode
  type: float
  sample: 25.3
state:
  description: The state of the unit at the end, in words.
  returned: always
  type: str
  sample: inactive (dead)
balancer_before:
  description: What HAProxy said of the server before the stop.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached
  type: str
  sample: UP (L7OK 200)
balancer:
  description: What HAProxy said of the server at the last look before the unit ended.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: str
  sample: DOWN (L7STS 503)
balancer_left_after:
  description:
    - Seconds from the request to stop until HAProxy sent no new requests to the server, that is, until its status was
      not C(UP). V(0) if it was not C(UP) before, V(null) if HAProxy did not let go before the unit ended.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: float
  sample: 3.42
sessions_zero_after:
  description:
    - Seconds from the request to stop until HAProxy had let go and the server had no session left, V(null) if there
      were sessions when the unit ended.
    - It is RV(stopped_after) where the last sessions ended with the unit and HAProxy counted no error.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: float
  sample: 3.52
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._haproxy import (
    Haproxy,
    Unreachable,
    asks_http,
    check_of,
    describe_server,
    hide_credentials,
    is_up,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._readiness import ask_once, split_url
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, describe, short

ENDED = ("inactive", "failed")
# How long one look may wait for an answer: with every worker busy a 503 can be late, and the unit's end must be seen.
ANSWER_WITHIN = 2.0
# The same for HAProxy, which is asked in every look.
BALANCER_WITHIN = 1.0


class Balancer:
    """The server as HAProxy sees it, while its unit stops.

    What a look saw counts only once the unit was seen running after it: with the end of the unit HAProxy's sessions
    end, too, and that would pass for a drain.
    """

    def __init__(self, params):
        self.haproxy = Haproxy(params["address"], BALANCER_WITHIN)
        self.params = params
        self.place = f"{params['backend']}/{params['server']}"
        self.before = None
        self.server = None
        self.error = None
        self.left_after = None
        self.sessions_zero_after = None
        self.pending = None

    def ask(self):
        return self.haproxy.server(self.params["backend"], self.params["server"])

    def look_before(self, path):
        """Look before the stop; raise if HAProxy would not notice it."""
        self.before = self.server = self.ask()
        if not is_up(self.before):
            self.left_after = 0.0
            self.sessions_zero_after = None if self.before["sessions"] else 0.0
            return
        asks, check = asks_http(self.before), check_of(self.before)
        if asks is None:
            raise RollingError(f"HAProxy's last check of {self.place} is {describe_server(self.before)}, which does "
                               f"not tell whether it asks {path}. Nothing was stopped; look again when HAProxy has "
                               f"checked the server ({self.haproxy.shown})")
        if not asks:
            kind = f"HAProxy's check of {self.place} is {check}, it does not ask {path}"
            if not check:
                kind = f"HAProxy has no check of {self.place}"
            raise RollingError(f"{kind}, so the balancer would not let go: use option httpchk GET {path}, and check in "
                               f"the line of the server ({self.haproxy.shown}). Nothing was stopped")

    def look(self, since):
        """Look once, for now without consequences."""
        try:
            self.pending = (self.ask(), None, since())
        except RollingError as exc:
            self.pending = (None, exc.message, since())

    def count(self):
        """The unit ran after the last look, so it counts."""
        server, self.error, now = self.pending
        if not server:
            return
        self.server = server
        if is_up(server):
            self.left_after = None
        elif self.left_after is None:
            self.left_after = now
        if self.left_after is None or server["sessions"]:
            self.sessions_zero_after = None
        elif self.sessions_zero_after is None:
            self.sessions_zero_after = now

    def look_after(self, stopped_after):
        """The unit has ended: did the sessions that were there at the last look end well?

        A service that waits for its last request ends right after it. Where a request was cut, HAProxy counts an error.
        """
        if self.left_after is None or self.sessions_zero_after is not None or self.error:
            return
        last = self.server

        def settled():
            server = self.ask()
            return server if not server["sessions"] or server["errors"] != last["errors"] else None

        try:
            # HAProxy may need a moment to see its connections end.
            server = wait_for(settled, BALANCER_WITHIN)
        except RollingError:
            return
        if server and not server["sessions"] and server["errors"] == last["errors"] and last["errors"] is not None:
            self.sessions_zero_after = stopped_after

    def complaint(self, name, stopped_after):
        """What went wrong, or an empty string."""
        if self.error:
            return (f"HAProxy could be asked before {name} was stopped, but not when it ended after "
                    f"{stopped_after:.1f} s, so it is not known whether requests were cut: {self.error}")
        if self.left_after is None:
            return (f"HAProxy still had {self.place} {self.server['status']} when {name} ended after "
                    f"{stopped_after:.1f} s: requests were cut. Its detection time (fall x inter) must be less than "
                    "the drain grace")
        if self.sessions_zero_after is None:
            count = self.server["sessions"]
            return (f"HAProxy still had {count} session{'s'[:count != 1]} at {self.place} when {name} ended after "
                    f"{stopped_after:.1f} s: these requests were cut. Its detection time (fall x inter) and the "
                    "longest request together must be less than the drain grace")
        return ""

    def result(self):
        return dict(balancer_before=describe_server(self.before), balancer=describe_server(self.server),
                    balancer_left_after=self.left_after, sessions_zero_after=self.sessions_zero_after)


class Drain:
    """One stop of one unit, watched."""

    def __init__(self, systemd, params):
        self.systemd = systemd
        self.balancer = None
        self.name = short(params["unit"])
        self.params = params
        self.state = {}
        self.answer = None
        self.not_ready_after = None
        self.stopped_after = None
        self.begin = 0.0

    def look_at_unit(self):
        self.state = self.systemd.show([self.name])[self.name]
        return self.state

    def ask(self):
        self.answer = ask_once(self.params["url"], timeout=ANSWER_WITHIN)[0]
        return self.answer

    def since(self):
        return round(time.monotonic() - self.begin, 3)

    def look(self):
        """One look at the URL, until it has said 503, at HAProxy and at the unit; true once the unit has ended."""
        if self.not_ready_after is None and self.ask() == 503:
            self.not_ready_after = self.since()
        if self.balancer:
            self.balancer.look(self.since)
        if self.look_at_unit().get("ActiveState") in ENDED:
            self.stopped_after = self.since()
            if self.balancer:
                self.balancer.look_after(self.stopped_after)
            return True
        if self.balancer:
            self.balancer.count()
        return False

    def stop(self):
        """Stop the unit and watch it end."""
        self.begin = time.monotonic()
        self.systemd.stop(self.name)
        wait_for(self.look, self.params["timeout"], self.params["interval"])

    def complaint(self, was_ready):
        """What went wrong, or an empty string."""
        if self.stopped_after is None:
            return (f"expected {self.name} to end within {self.params['timeout']:g} s of its stop; last seen: "
                    f"{describe(self.state)}")
        if self.state.get("Result") != "success":
            return (f"expected {self.name} to end by itself; systemd had to kill it or it failed after "
                    f"{self.stopped_after:.1f} s: {describe(self.state)}. Requests that it was serving were cut")
        if was_ready and self.not_ready_after is None:
            return (f"expected 503 from {self.params['url']} while {self.name} was still serving; it ended after "
                    f"{self.stopped_after:.1f} s without one (last answer: {self.answer}), so the balancer was not "
                    "told. Does this release drain on SIGTERM, and is its drain grace more than 0?")
        return self.balancer.complaint(self.name, self.stopped_after) if self.balancer else ""


def main():
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", required=True),
            url=dict(type="str", required=True),
            timeout=dict(type="float", default=90),
            interval=dict(type="float", default=0.1),
            haproxy=dict(type="dict", options=dict(
                address=dict(type="str", required=True),
                backend=dict(type="str", required=True),
                server=dict(type="str", required=True),
            )),
        ),
        supports_check_mode=True,
    )
    drain = Drain(Systemd(module.run_command), module.params)
    haproxy = module.params["haproxy"]
    if haproxy:
        hide_credentials(module, haproxy["address"])
    try:
        path = split_url(module.params["url"])[2]
        balancer = Balancer(haproxy) if haproxy else None
        state = drain.look_at_unit()
        if state.get("LoadState") != "loaded":
            raise RollingError(f"there is no unit {drain.name} on this node: {describe(state)}")
        before = describe(state)
        if state["ActiveState"] in ENDED:
            module.exit_json(changed=False, was_ready=False, state=before)
        was_ready = drain.ask() == 200
        if balancer:
            try:
                balancer.look_before(path)
                drain.balancer = balancer
            except Unreachable as exc:
                module.warn(f"{exc.message}. Whether it lets go of {balancer.place} is not witnessed")
        if module.check_mode:
            looked = dict(balancer_before=describe_server(balancer.before)) if drain.balancer else {}
            module.exit_json(changed=True, was_ready=was_ready, state=before, **looked,
                             diff=dict(before=f"{drain.name}: {before}\n", after=f"{drain.name}: inactive (dead)\n"))
        drain.stop()
    except RollingError as exc:
        module.fail_json(msg=exc.message)

    after = describe(drain.state)
    result = dict(changed=True, was_ready=was_ready, state=after, not_ready_after=drain.not_ready_after,
                  stopped_after=drain.stopped_after,
                  diff=dict(before=f"{drain.name}: {before}\n", after=f"{drain.name}: {after}\n"))
    if drain.balancer:
        result.update(drain.balancer.result())
    complaint = drain.complaint(was_ready)
    if complaint:
        module.fail_json(msg=complaint, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
