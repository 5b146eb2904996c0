# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that are broken, and stops that are not clean.

From 0.8.0 to 0.8.1 the schema is migrated: a database node cannot go back and is held. From 0.8.1 to 0.8.2 it is
not: the node goes back. Both ends are seen, each in some of the rows.
"""

from __future__ import annotations

import http.client
import re
import threading
import time

from rows import NODES, REFUSED, ROLLED, STOPPED, Row, both, draining, install, publish, ready, shell

SHORT = ('-e', 'gate_timeout=25', '-e', 'restart_timeout=25')


def traits(trait):
    return [trait] if trait else []


def held(name, about, trait, *cause, **more):
    """sf-1 fails on 0.8.1 and is held; it is mended by 0.8.2, which is told that a node is down."""
    return Row(name, about, prepare=publish('0.8.1', *traits(trait)), mend=publish('0.8.2'), arguments=SHORT,
               again=('-e', 'rolling_release=0.8.2', '-e', 'preflight_allow_degraded=true'), ends='0.8.2',
               node='sf-1', cause=('was left on 0.8.1: the schema was migrated', 'Not touched: sf-2, sf-3', *cause),
               **more)


def restored(name, about, trait, *cause, arguments=SHORT, **more):
    """sf-1 fails on 0.8.2 and goes back to 0.8.1; the whole cluster then goes to 0.8.3."""
    return Row(name, about, lab=('--release', '0.8.1'), release='0.8.2', prepare=publish('0.8.2', *traits(trait)),
               mend=publish('0.8.3'), arguments=arguments, again=('-e', 'rolling_release=0.8.3'), ends='0.8.3',
               node='sf-1', cause=('went back to 0.8.1. It serves', 'Not touched: sf-2, sf-3', *cause),
               check=was_on('sf-1', '0.8.1'), **more)


def was_on(node, release):
    """The node was on that release when the fault was taken away."""
    def check(run):
        before = run.rolls[1].text
        return [] if '%s: %s -> ' % (node, release) in before else ['%s was not back on %s' % (node, release)]
    return check


# ---- a request that takes longer than the whole stop

def short_stop(node):
    """Limits that a test can wait for, in the same order as those of Shaken Fist: stop, graceful end, drain grace."""
    return shell(node, "sed -i 's/^TimeoutStopSec=.*/TimeoutStopSec=12s/; s/--graceful-timeout [0-9]*/"
                 "--graceful-timeout 8/' /etc/systemd/system/sf-api.service", 'systemctl daemon-reload')


def ask_slowly(run):
    """A request to sf-1 that would take 100 s; what became of it is noted."""
    def ask():
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(run.lab.address('sf-1'), 13000, timeout=120)
            connection.request('GET', '/lab/slow?seconds=100')
            words = 'answered %d' % connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            words = 'cut (%s)' % (error or type(error).__name__)
        run.notes['slow'] = '%s after %.1f s' % (words, time.monotonic() - began)
        run.log('the slow request was ' + run.notes['slow'])
    threading.Thread(target=ask, daemon=True).start()


def slow_was_cut(run):
    """It was cut, and the roll has said so."""
    became = run.notes.get('slow', 'still under way')
    wrong = [] if became.startswith('cut') else ['the slow request was %s, expected that it is cut' % became]
    # Ansible breaks a warning into lines.
    said = ' '.join(run.rolls[0].text.split())
    if not re.search(r'sf-api took \d+\.\d s to stop, its graceful timeout is 8 s: gunicorn has ended its workers by '
                     'force, and cut the requests that they still served', said):
        wrong.append('the roll did not warn that the stop of sf-1 has cut requests')
    return wrong


TOLD = ('-e', 'drain_tell_first=true', '-e', 'drain_haproxy_address={lb}:8405')


def undrained(node):
    """The release that the node runs ends without a drain when it is stopped."""
    return both(install(node, '0.8.0', 'api_ends_without_drain'), kill_api(node))


def named_as_a_warning(run):
    said = ' '.join(run.rolls[0].text.split())
    return [] if re.search('the drain did not happen.*had been drained through the balancer first', said) else [
        'the roll did not warn of the drain that did not happen']


def kill_api(node):
    return shell(node, 'systemctl kill --signal=KILL sf-api', 'systemctl restart sf-api')


def good_again(run):
    install('sf-1', '0.8.0')(run)
    kill_api('sf-1')(run)
    ready('sf-1')(run)


# ---- another installer, which goes through the link

def linked(node):
    """As a roll leaves it: the virtualenv is a link to the directory of a release."""
    return shell(node, 'mkdir -p /srv/shakenfist/releases', 'cd /srv/shakenfist',
                 'mv venv releases/0.8.0-0a1b2c3d', 'ln -s /srv/shakenfist/releases/0.8.0-0a1b2c3d venv')


REWRITTEN = {'sf-2': '0.8.1', 'sf-3': '0.8.0.post1'}


def kept(run):
    """What was written there is whole, under a name of its own, and what one can go back to."""
    wrong = []
    for node, version in REWRITTEN.items():
        name, held, *names = run.lab.shell(
            node, 'cd /srv/shakenfist/releases; basename $(readlink -f .previous); .previous/bin/python -c '
            '"import importlib.metadata as m; print(m.version(\'shakenfist\'))"; ls').split()
        if held != version or not name.startswith(version + '-') or name not in names or '0.8.0-0a1b2c3d' in names:
            wrong.append('%s keeps %s as %s, expected %s under its own name: %s' % (node, held, name, version, names))
    return wrong


def one_build(run):
    """The roll has said which node has another build of the version, has rolled that one, and all have the same now."""
    said = ' '.join(run.rolls[0].text.split())
    wrong = ['the roll did not say: %s' % words for words in (
        'the nodes run different builds of 0.8.1', '1. sf-2: 0.8.1 (build', 'sf-1: on 0.8.1 already, passed over')
        if words not in said]
    for node in NODES:
        traits = run.lab.shell(node, '/srv/shakenfist/venv/bin/python -c "import shakenfist._release as r; '
                               'print(r.TRAITS)"').strip()
        if traits != '[]':
            wrong.append('%s runs the build with %s, expected the one of the index' % (node, traits))
    return wrong


# ---- sf-ctl, which every start and stop of a daemon runs

CTL_SAYS = 'Error: sf-ctl has lost its modules'


def break_ctl(version):
    """The sf-ctl that was staged on sf-1 is broken after it was asked: nothing stops or starts once it is active."""
    return dict(moment=draining('sf-1'), inject=shell('sf-1', (
        'for each in /srv/shakenfist/releases/%s-*/bin/sf-ctl; do '
        "printf '#!/bin/sh\\necho %%s >&2\\nexit 1\\n' \"'%s'\" >$each; done") % (version, CTL_SAYS)))


ROWS = [
    held('database-does-not-start', 'sf-database of the new release does not start', 'database_does_not_start',
         'expected sf-database to start', 'OUT OF ROTATION'),
    restored('database-dies-after-5s', 'sf-database of the new release dies 5 s after its start',
             'database_dies_after_5s', 'sf-database'),
    held('database-not-serving', 'sf-database of the new release stays NOT_SERVING', 'database_not_serving',
         'expected SERVING', 'NOT_SERVING', 'OUT OF ROTATION'),
    restored('api-never-ready', 'sf-api of the new release never turns ready', 'api_never_ready',
             'expected 200', 'sf-api'),
    # It is ready for 4 s, which is less than the settle that an operator has.
    restored('api-flaps', 'sf-api of the new release is ready, not ready, ready, ...', 'api_flaps', 'expected 200',
             arguments=(*SHORT, '-e', 'roll_settle=5')),
    held('api-one-worker-never-ready', 'one of the five workers of sf-api never turns ready',
         'api_one_worker_never_ready', 'expected 200', 'OUT OF ROTATION'),
    restored('unit-fails', 'another unit of the new release does not start', 'unit_fails',
             'expected sf-net to start', ci=True),
    held('unit-fails-after-migration', 'the same, where the schema was migrated', 'unit_fails',
         'expected sf-net to start'),

    Row('ctl-broken', 'sf-ctl of the new release starts and stops no daemon', prepare=publish('0.8.1', 'ctl_broken'),
        mend=publish('0.8.2'), again=('-e', 'rolling_release=0.8.2'), ends='0.8.2', outcome=(STOPPED, REFUSED),
        cause=('sf-ctl verify-config of /srv/shakenfist/releases/0.8.1-', 'This release is broken on purpose',
               'Nothing in service was changed')),
    restored('ctl-breaks-after-it-was-staged', 'sf-ctl of the staged release breaks while the node drains', (),
             'expected sf-database to start', CTL_SAYS, **break_ctl('0.8.2')),
    held('ctl-breaks-after-the-migration', 'the same, where the schema was migrated', (),
         'expected sf-database to start', CTL_SAYS, 'OUT OF ROTATION', **break_ctl('0.8.1')),

    Row('request-longer-than-the-stop', 'a request takes longer than sf-api may take to stop',
        prepare=both(short_stop('sf-1'), shell('sf-1', 'systemctl restart sf-api')), inject=ask_slowly,
        outcome=ROLLED, check=slow_was_cut),

    # On sf-2 it is a broken build of the version that is rolled to: it must be neither left nor taken for that one.
    Row('release-rewritten', 'another installer has written into the releases that are active',
        prepare=both(linked('sf-2'), linked('sf-3'), install('sf-2', '0.8.1', 'api_never_ready'),
                     install('sf-3', '0.8.0.post1')), outcome=ROLLED, check=kept),

    Row('published-again', 'a node has another build of the version that is rolled to',
        lab=('--release', '0.8.1'), prepare=install('sf-2', '0.8.1', 'migration_slow'), outcome=ROLLED,
        check=one_build, ci=True),

    Row('no-drain', 'sf-api ends at once when it is stopped, without a drain',
        prepare=undrained('sf-1'), mend=good_again, faulted=('sf-1',),
        node='sf-1', cause=('expected 503 from .* it went from 200 to .* at once', 'the drain did not happen',
                            'drain_tell_first=true', 'Not touched: sf-2, sf-3')),

    Row('no-drain-but-the-balancer-was-told', 'the same, where the balancer is told before (drain_tell_first)',
        prepare=undrained('sf-1'), arguments=TOLD, outcome=ROLLED, check=named_as_a_warning),

    Row('stop-ends-in-sigkill', 'sf-api does not end until systemd kills it',
        prepare=both(short_stop('sf-1'), install('sf-1', '0.8.0', 'api_ignores_sigterm'), kill_api('sf-1')),
        mend=good_again, faulted=('sf-1',),
        node='sf-1', cause=('systemd had to kill', 'Not touched: sf-2, sf-3')),
]
