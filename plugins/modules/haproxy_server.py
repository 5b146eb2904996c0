#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server of HAProxy out of rotation, or back
version_added: 0.1.0
description:
  - Sets the administrative state of a server over HAProxy's stats socket, which needs C(level admin).
  - HAProxy forgets that state when it is restarted. Its health checks go on, so a server that is made ready again
    serves as soon as its check says so.
options:
  address:
    description:
      - V(/PATH) is a stats socket on the machine that the module runs on.
      - V(HOST:PORT) is a stats socket over TCP.
      - V(http://HOST:PORT/PATH), the statistics page, can tell that nothing is to be changed, but it cannot change
        anything. It may have a user and a password, as with M(shakenfist.rolling.haproxy_info).
    type: str
    required: true
  backend:
    description: The name of the backend.
    type: str
    required: true
  server:
    description: The name of the server.
    type: str
    required: true
  state:
    description:
      - V(drain) sends it no new requests. A server in maintenance gets none anyway and is left so.
      - V(ready) undoes a drain and a maintenance.
    type: str
    choices: [drain, ready]
    required: true
  sessions_timeout:
    description:
      - With O(state=drain), for how many seconds to wait until the server has no session left; the module fails when
        they run out. V(0) does not wait.
    type: float
    default: 0
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: shakenfist.rolling.haproxy_info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Send this node no new requests, and let it finish those it has
  shakenfist.rolling.haproxy_server:
    address: /run/haproxy/admin.sock
    backend: sf-api
    server: sf-2
    state: drain
    sessions_timeout: 30
  delegate_to: lb
  register: drained

- name: Take it back, if it was in rotation before
  shakenfist.rolling.haproxy_server:
    address: /run/haproxy/admin.sock
    backend: sf-api
    server: sf-2
    state: ready
  delegate_to: lb
  when: drained.was == "ready"
"""

RETURN = r"""
was:
  description:
    - The administrative state before, V(ready), V(drain) or V(maint). Undo only what was V(ready) before.
    - Over the statistics page, a drain of a server that is down is not seen.
  returned: when HAProxy was asked successfully
  type: str
  sample: ready
status:
  description: The status of the server at the end, as HAProxy says it.
  returned: when HAProxy was asked successfully
  type: str
  sample: DRAIN
sessions:
  description: How many sessions it has at the end.
  returned: when HAProxy was asked successfully
  type: int
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._haproxy import (
    Haproxy,
    describe_server,
    hide_credentials,
)

# What counts as the state that was asked for: a server in maintenance gets no requests either.
ENOUGH = {"drain": ("drain", "maint"), "ready": ("ready",)}
INTERVAL = 0.2
# HAProxy does as it is told at once; this is for a busy one.
SET_WITHIN = 2.0


class Server:
    """One server of one backend, and what HAProxy said of it last."""

    def __init__(self, haproxy, params):
        self.haproxy = haproxy
        self.backend, self.name = params["backend"], params["server"]
        self.place = f"{self.backend}/{self.name}"
        self.seen = {}
        self.admin = ""

    def look(self):
        self.seen = self.haproxy.server(self.backend, self.name)
        self.admin = self.haproxy.admin_state(self.backend, self.name, self.seen)
        return self.admin

    def set(self, state):
        """Set the state and see it set."""
        self.haproxy.set_state(self.backend, self.name, state)
        self.admin = "not known"
        if not wait_for(lambda: self.look() in ENOUGH[state], SET_WITHIN, INTERVAL):
            why = f"; it tracks {self.seen['tracks']}: set that one" if self.seen["tracks"] else ""
            raise RollingError(f"expected HAProxy {self.haproxy.shown} to have {self.place} as {state}; last seen: "
                               f"{self.admin}, {describe_server(self.seen)}{why}")

    def wait_for_sessions(self, timeout):
        """Wait until the server has no session."""

        def none_left():
            self.look()
            return not self.seen["sessions"]

        if not wait_for(none_left, timeout, INTERVAL):
            raise RollingError(f"expected {self.place} of HAProxy {self.haproxy.shown} to have no session within "
                               f"{timeout:g} s of its drain; {self.seen['sessions']} left")


def main():
    module = AnsibleModule(
        argument_spec=dict(
            address=dict(type="str", required=True),
            backend=dict(type="str", required=True),
            server=dict(type="str", required=True),
            state=dict(type="str", choices=["drain", "ready"], required=True),
            sessions_timeout=dict(type="float", default=0),
        ),
        supports_check_mode=True,
    )
    params, state = module.params, module.params["state"]
    hide_credentials(module, params["address"])
    result = dict(changed=False)
    try:
        server = Server(Haproxy(params["address"]), params)
        was = server.look()
        needed = was not in ENOUGH[state]
        result["was"] = was
        if needed:
            server.haproxy.require_socket()
            if module.check_mode:
                result["changed"] = True
            else:
                server.set(state)
        if state == "drain" and params["sessions_timeout"] and not module.check_mode:
            server.wait_for_sessions(params["sessions_timeout"])
        error = None
    except RollingError as exc:
        error = exc
    if "was" in result:
        # Also where the order was taken and HAProxy could not be asked any more.
        result["changed"] = result["changed"] or server.admin != result["was"]
        after = state if result["changed"] else result["was"]
        result.update(status=server.seen["status"], sessions=server.seen["sessions"],
                      diff=dict(before=f"{server.place}: {result['was']}\n", after=f"{server.place}: {after}\n"))
    if error:
        module.fail_json(msg=error.message, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
