# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node says of itself through sf-database: its states, its daemons' states, and what it runs."""

from __future__ import annotations

import re

from shakenfist import config, process
from shakenfist._release import VERSION

# Once, when the process starts: what is installed later is not what runs.
BRIEF = re.match(r'\d+(\.\d+)*', VERSION).group()

# On the way out nobody waits long for a gateway that does not answer: systemd ends a daemon after 30 s.
LAST_WORDS = 2


def short(daemon):
    return daemon.removeprefix('sf-')


def caller():
    """A caller that survives a missing database, as the daemons do: it returns None where there is no answer."""
    import grpc  # after READY: it takes its time

    from shakenfist.client import Client
    client = Client()

    def call(method, **request):
        try:
            return client.call(method, **request)
        except grpc.RpcError as e:
            process.log(f'{method}: {e.code()} {e.details()}')
            return None
    return call


def set_daemon_state(call, daemon, state, **options):
    return call('set_daemon_state', name=config.get('NODE_NAME'), daemon=short(daemon), state=state, **options)


def set_state(call, state, **options):
    return call('set_node_state', name=config.get('NODE_NAME'), state=state, **options)


def see(call):
    """The node is there, and this is what it runs."""
    return call('see_node', name=config.get('NODE_NAME'), ip=config.get('NODE_MESH_IP'), release=BRIEF,
                is_hypervisor=config.flag('NODE_IS_HYPERVISOR'), is_network_node=config.flag('NODE_IS_NETWORK_NODE'),
                is_database_node=bool(config.get('MARIADB_HOST')))


class Until:
    """Something that is said until it has been heard."""

    def __init__(self, act):
        self.act, self.done = act, False

    def __call__(self):
        if not self.done:
            self.done = self.act() is not None
        return self.done
