#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server of HAProxy out of rotation, or back
version_added: 0.1.0
description:
  - Sets the administrative state of a server over HAProxy's stats socket, which needs C(level admin). Over the
    statistics page it can only tell that nothing is to be changed.
  - HAProxy forgets that state when it is restarted. Its health checks go on, so a server that is made ready again
    serves as soon as its check says so.
options:
  server: {type: str, required: true, description: The name of the server.}
  state:
    description:
      - V(drain) sends it no new requests. In-flight requests are finished. A server in maintenance gets none anyway and
        is left so.
      - V(ready) undoes a drain and a maintenance.
extends_documentation_fragment:
  [shakenfist.rolling.attributes, shakenfist.rolling.options.haproxy, shakenfist.rolling.options.rotation]
seealso:
  - module: shakenfist.rolling.haproxy_info
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
"""

RETURN = r"""
was:
  description:
    - The administrative state before, V(ready), V(drain) or V(maint). Undo only what was V(ready) before.
    - Over the statistics page, a drain of a server that is down is not seen.
  returned: when HAProxy was asked successfully
  type: str
status:
  description: The status of the server at the end, as HAProxy says it.
  returned: when HAProxy was asked successfully
  type: str
  sample: DRAIN
sessions: {type: int, returned: when HAProxy was asked successfully, description: How many sessions it has at the end.}
senders:
  description: The servers with its address, in whichever backend, that may get requests at the end. Only a socket of
    level operator or admin tells addresses. A server with a cookie may get some in a drain, too.
  returned: when HAProxy was asked successfully
  type: list
  elements: str
  sample: [sf-admin/sf-2]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy, _rotation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials

# HAProxy does as it is told at once; this is for a busy one.
SET_WITHIN = 2.0


class Server(_rotation.Member):
    """One server of one backend."""

    undone = ("drain", "maint")

    def __init__(self, params):
        self.haproxy = _haproxy.Haproxy(params["address"])
        self.names = params["backend"], params["server"]
        self.place, self.balancer = "/".join(self.names), f"HAProxy {self.haproxy.shown}"
        self.seen = {}

    def look(self):
        self.seen = self.haproxy.server(*self.names)
        self.status, self.sessions = self.seen["status"], self.seen["sessions"]
        self.state = self.haproxy.admin_state(*self.names, self.seen)
        return self

    def allow(self, state):
        self.haproxy.require_socket()

    def more(self):
        return dict(senders=self.seen["senders"])

    def set(self, state):
        self.haproxy.set_state(*self.names, state)
        self.state = "not known"
        # A server in maintenance gets no requests either.
        if not wait_for(lambda: (self.look().state == "ready") == (state == "ready"), SET_WITHIN, _rotation.INTERVAL):
            why = f"; it tracks {self.seen['tracks']}: set that one" if self.seen["tracks"] else ""
            raise RollingError(f"expected {self.balancer} to have {self.place} as {state}; last seen: {self.state}, "
                               f"{_haproxy.describe_server(self.seen)}{why}")


def main():
    module = AnsibleModule(
        argument_spec=dict(**_haproxy.HAPROXY_OPTIONS, server=dict(type="str", required=True), **_rotation.OPTIONS),
        supports_check_mode=True)
    hide_credentials(module, module.params["address"])
    _rotation.rotate(module, lambda: Server(module.params))


if __name__ == "__main__":
    main()
