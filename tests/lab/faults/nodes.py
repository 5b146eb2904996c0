# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that cannot be reached, reboot, or refuse sudo."""

from __future__ import annotations

import pathlib

from rows import (
    REFUSED,
    ROLLED,
    STOPPED,
    Row,
    draining,
    others_restart,
    power_on,
    process_runs,
    publish,
    reachable,
    ready,
    reboot,
    shell,
    step,
    unreachable,
)

UNREACHABLE = '(?i)unreachable|cannot be reached|connection'
# A node that is lost is waited for, five minutes if nothing else is said.
IMPATIENT = ('-e', 'roll_reconnect_timeout=10')
OTHERS = others_restart('sf-2')
HOOK = pathlib.Path(__file__).with_name('after_gate.yml')


ROWS = [
    Row('node-unreachable-before-the-drain', 'a node cannot be reached when its turn comes',
        moment=step('settle', 'sf-1'),
        inject=unreachable('sf-2'), mend=reachable('sf-2'),
        arguments=IMPATIENT, node='sf-2', cause=(UNREACHABLE, 'Not touched: sf-3')),

    Row('node-unreachable-in-the-drain', 'a node cannot be reached any more while it drains', ci=True,
        moment=draining('sf-2'), inject=unreachable('sf-2'), mend=reachable('sf-2'),
        arguments=IMPATIENT, node='sf-2', cause=(UNREACHABLE, 'Not touched: sf-3')),

    Row('node-unreachable-while-it-restarts', 'a node cannot be reached any more while its daemons are restarted',
        moment=OTHERS, inject=unreachable('sf-2'), mend=reachable('sf-2'),
        arguments=IMPATIENT, node='sf-2', cause=(UNREACHABLE, 'Not touched: sf-3')),

    # Left out, it would let new code get ahead of the database tier.
    Row('node-unreachable-in-the-migration', 'a node of the tier cannot be reached any more in the migration',
        prepare=publish('0.8.1', 'migration_slow'), moment=process_runs('sf-1', 'ensure-mariadb-schema'),
        inject=unreachable('sf-2'), mend=reachable('sf-2'),
        arguments=IMPATIENT, node='sf-2', cause=(UNREACHABLE, 'No daemon was restarted')),

    Row('node-loses-power-while-it-restarts', 'a node is switched off while its daemons are restarted',
        moment=OTHERS,
        inject=lambda run: run.lab.power_off('sf-2'), mend=power_on('sf-2'), faulted=('sf-2',),
        arguments=IMPATIENT, node='sf-2', cause=(UNREACHABLE, 'Not touched: sf-3')),

    Row('node-reboots-in-the-window', 'a node reboots while it is out of rotation',
        moment=draining('sf-3'), inject=reboot('sf-3'), mend=ready('sf-3'), faulted=('sf-3',),
        outcome=(STOPPED, ROLLED), node='sf-3', cause=(UNREACHABLE,)),

    # Its old sf-database refuses to start: the schema is the new one's.
    Row('database-node-reboots-in-the-window', 'a database node reboots after the migration, before its activation',
        moment=draining('sf-1'), inject=reboot('sf-1'), mend=ready('sf-1'), faulted=('sf-1',),
        outcome=(STOPPED, ROLLED), node='sf-1', cause=(UNREACHABLE,)),

    Row('sudo-refused-on-one-node', 'sudo is refused on one node',
        inject=shell('sf-3', 'mv /etc/sudoers.d/operator /root/operator'),
        mend=shell('sf-3', 'mv /root/operator /etc/sudoers.d/operator'),
        outcome=REFUSED, node='sf-3', cause=('(?i)sudo password', 'Let the ssh user run sudo')),

    # It gets requests by then, and a balancer that probes nobody would send them while it goes back.
    Row('node-fails-when-it-serves-again', 'a hook fails for a node that gets requests again already',
        lab=('--no-probes', '--release', '0.8.1'), release='0.8.2', prepare=publish('0.8.2'),
        inject=shell('sf-2', 'touch /etc/not-yet'), mend=shell('sf-2', 'rm /etc/not-yet'),
        arguments=('-e', 'drain_haproxy_address={lb}:8405', '-e', 'hook_after_gate=%s' % HOOK),
        node='sf-2', cause=('went back to 0.8.1', 'It serves', 'Not touched: sf-3')),
]
