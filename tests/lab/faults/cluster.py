# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the cluster as a whole: operators, the balancer, peers, the leader, the list of nodes, the index."""

from __future__ import annotations

import re
import threading

import lab
from rows import REFUSED, ROLLED, Row, all_is_well, both, publish, ready, shell, step

# ---- two operators


def second_operator(run):
    run.notes['second'] = run.start(run.command())
    run.notes['second'].wait()


def second_was_refused(run):
    second = run.notes['second']
    wanted = ['Nothing was touched', '(?i)lock', r'since \S*\d', '@', 'lock_takeover=true']
    return ['the second operator was not refused (rc %d)' % second.child.returncode] * (second.outcome != REFUSED) + [
        'the second operator was not told %r' % pattern for pattern in wanted if not re.search(pattern, second.text)]


# ---- the leader

def watch_leader(run):
    """Notes who holds the lease, one after the other."""
    holders = run.notes['holders'] = [run.lab.leader()]

    def watch():
        while not run.rolls or run.roll.running:
            try:
                holder = run.lab.leader()
            except lab.LabError:
                return  # the lab is gone
            if holder and holder != holders[-1]:
                holders.append(holder)
                run.log('the leader is ' + holder)
            threading.Event().wait(1)
    threading.Thread(target=watch, daemon=True).start()


def few_failovers(run):
    holders = run.notes['holders']
    return ['expected at most two failovers, seen ' + ' -> '.join(holders)] if len(holders) > 3 else []


# ---- the balancer

CONFIGURATION = '/etc/haproxy/haproxy.cfg'
HAPROXY = ('-e', 'drain_haproxy_address=http://{lb}:8404/stats', '-e', 'drain_haproxy_backend=sf-api')

# ---- the list of nodes

STALE = '{"name": "sf-9", "ip": "10.0.0.9", "release": "0.7.0", "state": "missing", "age": 9999}'
CURL = "curl -sf -H 'Content-Type: application/json' "
LOG_IN = CURL + """-d '{"namespace": "system", "key": "%s"}' http://127.0.0.1:13000/auth""" % lab.SYSTEM_KEY
FORGET = """token=$(%s | sed 's/.*: *"//; s/".*//')
curl -sf -X DELETE -H "Authorization: Bearer $token" http://127.0.0.1:13000/nodes/sf-9""" % LOG_IN

ROWS = [
    Row('two-operators', 'another operator starts the same roll', ci=True,
        moment=step('drain', 'sf-1'), inject=second_operator, outcome=ROLLED, check=second_was_refused),

    Row('balancer-down', 'the balancer is down while a node is rolled',
        moment=step('drain', 'sf-2'), inject=shell('lb', 'systemctl stop haproxy'),
        mend=both(shell('lb', 'systemctl start haproxy'), all_is_well),
        fails='.', recovery=1, outcome=ROLLED),

    Row('balancer-not-probing', 'the balancer does not probe /readyz',
        inject=shell('lb', "sed -i.probing 's/:13000 check .*/:13000/' %s" % CONFIGURATION, 'systemctl reload haproxy'),
        mend=both(shell('lb', 'mv {0}.probing {0}'.format(CONFIGURATION), 'systemctl reload haproxy'), all_is_well),
        arguments=HAPROXY, outcome=REFUSED, node='sf-1', cause=('(?i)prob|check', 'httpchk GET /readyz')),

    Row('balancer-too-slow', 'the balancer marks a node down later than it drains',
        inject=shell('lb', "sed -i.quick -E 's/ fall [0-9]+/ fall 60/' %s" % CONFIGURATION, 'systemctl reload haproxy'),
        mend=both(shell('lb', 'mv {0}.quick {0}'.format(CONFIGURATION), 'systemctl reload haproxy'), all_is_well),
        arguments=HAPROXY, fails='.', recovery=1, node='sf-1',
        cause=('HAProxy still had sf-api/sf-1 UP .*when sf-api ended', 'look at haproxy.cfg')),

    Row('service-suffers', 'requests of the watcher fail while a node is rolled',
        moment=step('drain', 'sf-1'),
        inject=shell('lb', 'systemctl stop haproxy', 'sleep 1', 'systemctl start haproxy'),
        arguments=('-e', 'watch_url=http://{lb}/api/'), fails='.', recovery=1, node='sf-2',
        cause=('requests to .* have failed since the roll began, 0 may', 'Not touched: sf-2, sf-3')),

    Row('peer-dies', 'another node dies when a node is about to be drained',
        moment=step('settle', 'sf-1'),
        inject=shell('sf-3', 'systemctl kill --signal=KILL sf-api', 'systemctl stop sf-api'),
        mend=both(shell('sf-3', 'systemctl start sf-api'), ready('sf-3')),
        faulted=('sf-3',), arguments=('-e', 'roll_quorum_timeout=5'),
        node='sf-2', cause=('Wait until enough other nodes are ready', 'on sf-3', 'It serves', 'Not touched: sf-3')),

    Row('leader-is-rolled', 'the node of the elected leader is rolled',
        leader='sf-1', inject=watch_leader, outcome=ROLLED,
        cause=('1. sf-2: ', '2. sf-1: ', '3. sf-3: '), check=few_failovers),

    Row('stale-missing-node', 'the API knows a node that is missing for long',
        inject=shell('sf-1', CURL + "-d '%s' http://127.0.0.1:13000/lab/nodes" % STALE), mend=shell('sf-1', FORGET),
        outcome=(REFUSED, ROLLED), cause=('sf-9', 'missing', '(?i)delete')),

    Row('release-appears-mid-roll', 'a newer release appears on the index while the roll stages',
        release='', moment=step('stage'), inject=publish('0.8.2'),
        outcome=ROLLED, again=('-e', 'rolling_release=0.8.1'), ends='0.8.1'),
]
