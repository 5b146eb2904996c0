# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of Dragonflow. Each reads the north-bound database when it starts and then again and again.

df-local-controller programs the switch of its node. A port that it cannot read it does not know, as the real one logs
the error and goes on: so on a store of another release it takes the ports of its node off the network."""

import json
import os
import signal
import socket
import sys
import threading

from dragonflow import _release, store

FLOWS = '/var/lib/lab-switch/flows.json'
INTERVAL = 1.0
STUBBORN = '/etc/neutron/lab-stubborn'


def say(text):
    print(text, flush=True)


def run(name, look):
    """Look at the store until SIGTERM. One that fails at the start ends, as oslo.service does; later it tries again."""
    if name == 'publisher' and 'publisher-never-starts' in _release.TRAITS:
        raise SystemExit('broken for a test: this service never starts')
    over = threading.Event()

    def end(*dummy):
        # For a test: it hangs in something that cannot be interrupted.
        if os.path.exists(STUBBORN) and name in open(STUBBORN, encoding='utf-8').read().split():
            say('SIGTERM, and I am busy')
            return
        over.set()
    signal.signal(signal.SIGTERM, end)
    found = store.Store()
    look(found)
    say(f'{name} {_release.VERSION} runs')
    while not over.wait(INTERVAL):
        try:
            look(found)
        except (OSError, KeyError, ValueError) as exc:
            say(f'cannot read the north-bound database: {exc!r}')
    say(f'{name} ends')


def publisher_service():
    """Passes on what changes; it needs to read all that there is."""
    def look(found):
        for value in found.table('lport').values():
            store.port_of(value)
    run('publisher', look)


def metadata_service():
    def look(found):
        for value in found.table('lport').values():
            value['ips'], value['macs']
        store.rules(found)
    run('metadata', look)


def l3_agent():
    def look(found):
        store.rules(found)
        found.table('lrouter')
    run('l3', look)


def local_controller():
    chassis = socket.gethostname()

    def look(found):
        flows = {}
        for key, value in found.table('lport').items():
            try:
                port = store.port_of(value)
            except (KeyError, TypeError) as exc:
                say(f'cannot apply lport {key}: {exc!r}')
                continue
            if port['chassis'] == chassis:
                flows[port['id']] = dict(ips=port['ips'], mtu=port['mtu'])
        text = json.dumps(flows, sort_keys=True)
        try:
            with open(FLOWS, encoding='utf-8') as file:
                same = file.read() == text
        except OSError:
            same = False
        if not same:
            with open(FLOWS + '.new', 'w', encoding='utf-8') as file:
                file.write(text)
            os.replace(FLOWS + '.new', FLOWS)
            say(f'programmed {len(flows)} ports')
    run('local-controller', look)


if __name__ == '__main__':
    sys.exit('not a program')
