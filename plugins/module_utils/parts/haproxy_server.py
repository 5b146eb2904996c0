# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy, _rotation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials

# Seconds. HAProxy sets the state at once; this is for a busy one.
SET_WITHIN = 2.0
ARGUMENTS = dict(
    **_haproxy.HAPROXY_OPTIONS,
    server=dict(type="str", required=True),
    allow_last=dict(type="bool", default=False),
    **_rotation.OPTIONS,
)


class Server(_rotation.Member):
    """One server of one backend."""

    undone = ("drain", "maint")

    def __init__(self, params):
        self.haproxy = _haproxy.Haproxy(params["address"])
        self.names = params["backend"], params["server"]
        self.place, self.balancer = "/".join(self.names), f"HAProxy {self.haproxy.shown}"
        self.seen, self.allow_last, self.served = {}, params["allow_last"], False

    def look(self):
        self.seen = self.haproxy.server(*self.names)
        self.status, self.sessions = self.seen["status"], self.seen["sessions"]
        self.state = self.haproxy.admin_state(*self.names, self.seen)
        return self

    def allow(self, state):
        """Refuse to drain the one of several servers that gets requests. One that is down takes nothing with it."""
        self.haproxy.require_socket()
        self.served = self.served or _haproxy.is_up(self.seen)
        if state != "drain" or self.allow_last or not self.served:
            return
        backend, name = self.names
        others = {other: server for other, server in self.haproxy.servers(backend).items() if other != name}
        if others and not any(map(_haproxy.is_up, others.values())):
            states = ", ".join(f"{other} is {_haproxy.describe_server(server)}" for other, server in others.items())
            raise RollingError(f"{name} is the only server of {backend} that {self.balancer} sends requests to; "
                               f"{states}: let one of them in first")

    def gets_requests(self):
        # A statistics page hides the drain of a server that is down.
        return super().gets_requests() and not self.status.startswith("DOWN")

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


def run(module):
    hide_credentials(module, module.params["address"])
    return _rotation.rotate(module, lambda: Server(module.params))
