# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All the other daemons; each console script is this main(), which goes by the name it was called by."""

from __future__ import annotations

import os
import sys
import time

from shakenfist import config, node, process
from shakenfist._release import VERSION
from shakenfist.traits import broken

CHECK_IN = 15
RETRY = 2


class Daemon:
    """One that does nothing but start, pet the watchdog and stop."""
    interval = CHECK_IN

    def __init__(self, name):
        self.name = name
        self.running = node.Until(lambda: node.set_daemon_state(self.call, self.name, 'running'))

    def run(self, stop):
        self.begin()
        process.wait(stop, self.interval, self.tick)
        node.set_daemon_state(self.call, self.name, 'stopping', timeout=node.LAST_WORDS)
        self.end()
        node.set_daemon_state(self.call, self.name, 'stopped', timeout=node.LAST_WORDS)

    def begin(self):
        process.sd_notify('READY=1')
        self.call = node.caller()

    def tick(self):
        """Returns in how many seconds it wants to be called again, where that is not the interval."""
        return (self.running() and self.work()) or (None if self.running.done else RETRY)

    def work(self):
        pass

    def end(self):
        pass


class Sentinel(Daemon):
    """Reports every 15 s that the node is there and what it runs; and the node's state when it starts and stops."""
    starts_as, stops_as = None, None

    def __init__(self, name):
        super().__init__(name)
        self.seen = time.monotonic()
        self.state = node.Until(lambda: node.set_state(self.call, self.starts_as))

    def begin(self):
        # Before READY, where a gateway answers: what starts next comes after it in the node's state, too.
        self.call = node.caller()
        self.tick()

    def work(self):
        self.seen = time.monotonic()
        seen = node.see(self.call)
        if self.starts_as and not self.state():
            return RETRY
        return None if seen is not None else RETRY

    def end(self):
        if broken('sentinels_end_late'):
            time.sleep(max(0, self.seen + CHECK_IN - time.monotonic()))
        node.set_state(self.call, self.stops_as, timeout=node.LAST_WORDS)


class First(Sentinel):
    """Also reconciles the node's state with its daemons' states, for the first time when it has run for 15 s."""
    starts_as, stops_as = 'degraded', 'stopped'

    def __init__(self, name):
        super().__init__(name)
        self.born = time.monotonic()

    def work(self):
        again = super().work()
        if time.monotonic() - self.born > CHECK_IN / 2:
            self.call('reconcile_node', name=config.get('NODE_NAME'))
        return again


class Last(Sentinel):
    starts_as, stops_as = (None if broken('sentinel_last_leaves_the_state') else 'created'), 'stopping'


class Cluster(Daemon):
    """The elected one holds a lease of 60 s. Whoever has just started lets the others try first."""
    interval = 3

    def __init__(self, name):
        super().__init__(name)
        self.born = time.monotonic()
        self.me, self.holder = config.get('NODE_NAME'), None

    def work(self):
        if time.monotonic() - self.born < 6:
            return
        answer = self.call('acquire_lease', name='cluster', holder=self.me)
        if answer and answer['holder'] != self.holder:
            self.holder = answer['holder']
            process.log('the cluster maintainer is ' + self.holder)
        if self.holder == self.me:
            self.call('mark_missing')

    def end(self):
        if self.holder == self.me:
            self.call('release_lease', name='cluster', holder=self.me, timeout=node.LAST_WORDS)


KINDS = {'sf-sentinel-first': First, 'sf-sentinel-last': Last, 'sf-cluster': Cluster}


def main():
    name = os.path.basename(sys.argv[0])
    stop = process.setup(name)
    if name == 'sf-net' and broken('unit_fails'):
        process.log('This release is broken on purpose: sf-net does not start.')
        return 1
    process.log(f'{name} {VERSION} is up')
    KINDS.get(name, Daemon)(name).run(stop)
    return 0
