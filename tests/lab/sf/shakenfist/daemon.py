# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All the other daemons; each console script is this main(), which goes by the name it was called by."""

from __future__ import annotations

import os
import sys
import time

from shakenfist import config, process
from shakenfist._release import VERSION
from shakenfist.traits import broken


def rpc():
    """A caller that survives a missing database: the daemons outlive an outage of it."""
    import grpc  # the daemons that never call it start without it

    from shakenfist.client import Client
    client = Client()

    def call(method, **request):
        try:
            return client.call(method, **request)
        except grpc.RpcError as e:
            process.log(f'{method}: {e.code()} {e.details()}')
            return None
    return call


def resources(stop):
    """Says that this node is there, and what it runs."""
    call = rpc()

    def heartbeat():
        call('put_node', name=config.get('NODE_NAME'), ip=config.get('NODE_MESH_IP'), release=VERSION,
             is_hypervisor=config.flag('NODE_IS_HYPERVISOR'), is_network_node=config.flag('NODE_IS_NETWORK_NODE'),
             is_etcd_master=config.flag('NODE_IS_ETCD_MASTER') or bool(config.get('MARIADB_HOST')))
    process.wait(stop, 5, heartbeat)


def cluster(stop):
    """The elected one holds a lease of 60 s. Whoever has just started lets the others try first."""
    call = rpc()
    me = config.get('NODE_NAME')
    born = time.monotonic()
    holder = [None]

    def elect():
        if time.monotonic() - born < 6:
            return
        answer = call('acquire_lease', name='cluster', holder=me)
        if answer and answer['holder'] != holder[0]:
            holder[0] = answer['holder']
            process.log('the cluster maintainer is ' + holder[0])
        if holder[0] == me:
            call('mark_missing')
    process.wait(stop, 3, elect)
    if holder[0] == me:
        call('release_lease', name='cluster', holder=me)


def main():
    name = os.path.basename(sys.argv[0])
    stop = process.setup(name)
    if name == 'sf-net' and broken('unit_fails'):
        process.log('This release is broken on purpose: sf-net does not start.')
        return 1
    process.log(f'{name} {VERSION} is up')
    if name == 'sf-resources':
        resources(stop)
    elif name == 'sf-cluster':
        cluster(stop)
    else:
        process.wait(stop, 15, lambda: None)
    return 0
