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
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._readiness import ask_once, split_url
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, describe, short

ENDED = ("inactive", "failed")
# How long one look may wait for an answer: with every worker busy a 503 can be late, and the unit's end must be seen.
ANSWER_WITHIN = 2.0


class Drain:
    """One stop of one unit, watched."""

    def __init__(self, systemd, params):
        self.systemd = systemd
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
        """One look at the URL, until it has said 503, and at the unit; true once the unit has ended."""
        if self.not_ready_after is None and self.ask() == 503:
            self.not_ready_after = self.since()
        if self.look_at_unit().get("ActiveState") in ENDED:
            self.stopped_after = self.since()
            return True
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
        return ""


def main():
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", required=True),
            url=dict(type="str", required=True),
            timeout=dict(type="float", default=90),
            interval=dict(type="float", default=0.1),
        ),
        supports_check_mode=True,
    )
    drain = Drain(Systemd(module.run_command), module.params)
    try:
        split_url(module.params["url"])
        state = drain.look_at_unit()
        if state.get("LoadState") != "loaded":
            raise RollingError(f"there is no unit {drain.name} on this node: {describe(state)}")
        before = describe(state)
        if state["ActiveState"] in ENDED:
            module.exit_json(changed=False, was_ready=False, state=before)
        was_ready = drain.ask() == 200
        if module.check_mode:
            module.exit_json(changed=True, was_ready=was_ready, state=before,
                             diff=dict(before=f"{drain.name}: {before}\n", after=f"{drain.name}: inactive (dead)\n"))
        drain.stop()
    except RollingError as exc:
        module.fail_json(msg=exc.message)

    after = describe(drain.state)
    result = dict(changed=True, was_ready=was_ready, state=after, not_ready_after=drain.not_ready_after,
                  stopped_after=drain.stopped_after,
                  diff=dict(before=f"{drain.name}: {before}\n", after=f"{drain.name}: {after}\n"))
    complaint = drain.complaint(was_ready)
    if complaint:
        module.fail_json(msg=complaint, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
