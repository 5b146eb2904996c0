# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets stay where they are: of each product a roll that fails and one that does not, both with -vvv.

A canary is a secret that can be told from anything else. There is one in every place where a secret can be; afterwards
each is searched for in all that was said and written, here and on the machines.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import pathlib
import threading
import time

import cinder
import dragonflow
import ganeti
import lab as machinery
import release
import searcher
import synnefo
from rows import Row, both

# The arguments of processes are public, so an operator gives a secret in a file.
GIVEN = pathlib.Path('.cache/faults/%s-canary.json' % machinery.NAME)
LOUD = ('-vvv', '-e', '@%s' % GIVEN)
# On the machines; no file system that a reboot empties.
COMMANDS = '/lab/commands'
SOURCE = pathlib.Path(searcher.__file__)
# Where the collection may keep a copy of a configuration, with all that it has, for nobody else to read.
KEPT = ('/srv/', '/var/backups/')
# What the lab itself has: of the database, of the API of Shaken Fist, and of its tokens.
OF_THE_LAB = {'database password': machinery.DATABASE_PASSWORD, 'API key': machinery.SYSTEM_KEY,
              'seed of tokens': 'lab-auth-secret-seed='}
GIVEN_HERE = {name: 'lab-canary-%s' % name.replace(' ', '-') for name in (
    'become password', 'webhook URL', 'webhook header', 'webhook field', 'index password', 'balancer password',
    'watch header', 'API token')}
CANARIES = {**OF_THE_LAB, **GIVEN_HERE}
PLACES = ('output', 'events', 'facts', 'log', 'report', 'webhook', 'metrics', 'processes', 'journal', 'files')
# By that field the receiver knows who tells it.
MEANT = {('webhook field', 'webhook')}


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps what it is told."""
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Told)
        self.told = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Told(http.server.BaseHTTPRequestHandler):

    def do_POST(self):
        self.server.told.append(self.rfile.read(int(self.headers['Content-Length'])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *dummy):
        pass


def variables(product, lab, port, place):
    """What an operator sets who has a secret for everything."""
    secret = GIVEN_HERE
    found = {
        'ansible_become_password': secret['become password'],
        'tell_webhook_url': 'http://127.0.0.1:%d/%s' % (port, secret['webhook URL']),
        'tell_webhook_headers': {'Authorization': 'Bearer ' + secret['webhook header']},
        'tell_webhook_extra': {'routing_key': secret['webhook field']},
        'tell_textfile': '%s/roll.prom' % place}
    if product in ('shakenfist', 'cinder', 'dragonflow'):
        found['stage_index_url'] = 'http://me:%s@%s:8080/simple/' % (secret['index password'], lab.address('db'))
    if product == 'shakenfist':
        found.update(drain_haproxy_address='http://me:%s@%s:8404/stats' % (secret['balancer password'], lab.balancer),
                     watch_url='http://%s/api/' % lab.balancer, watch_headers={'X-Watcher': secret['watch header']})
    if product == 'cinder':
        found['cinder_api_headers'] = {'x-auth-token': '%s:%s' % (secret['API token'], machinery.cinder.PROJECT)}
    return found


def on_machine(machine, what, **options):
    return machinery.execute(machine, 'python3', '-c', SOURCE.read_text(), what, COMMANDS, **options)


def search(machine):
    return json.loads(on_machine(machine, 'search', input=json.dumps(CANARIES), timeout=300).stdout)


def plant(run):
    """Every canary is there, and whoever looks at processes looks."""
    lab, place = run.lab.plan, pathlib.Path(run.sockets)
    for machine in lab.machines:
        # By standard input: these commands, too, have arguments.
        machinery.execute(machine, 'chpasswd', input='operator:%s\n' % GIVEN_HERE['become password'], timeout=90)
        run.lab.shell(machine, 'sed -i s/NOPASSWD:// /etc/sudoers.d/operator')
    run.notes['webhook'] = webhook = Webhook()
    given = machinery.ROOT / GIVEN
    given.unlink(missing_ok=True)
    with open(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='utf-8') as stream:
        json.dump(variables(run.row.product, run.lab, webhook.server_port, place), stream)
    for name in ('facts', 'tmp'):
        (place / name).mkdir()
    run.environment.update(
        ANSIBLE_CACHE_PLUGIN='jsonfile', ANSIBLE_CACHE_PLUGIN_CONNECTION=str(place / 'facts'),
        ANSIBLE_LOCAL_TEMP=str(place / 'tmp'), TMPDIR=str(place / 'tmp'), ANSIBLE_LOG_PATH=str(place / 'log'))
    run.notes['before'] = {machine: search(machine) for machine in lab.machines}
    for machine in lab.machines:
        machinery.podman('exec', '--detach', machinery.PREFIX + machine, 'python3', '-c', SOURCE.read_text(), 'watch',
                         COMMANDS)
    run.notes['processes'], run.notes['planted'] = {}, time.time()
    threading.Thread(target=look_at_processes, args=(run,), daemon=True).start()


def look_at_processes(run):
    """At those of the runs here; each machine has a watcher of its own."""
    while not run.notes.get('searched'):
        for roll in run.rolls:
            for pid in searcher.below(str(roll.child.pid)):
                run.notes['processes'].update(searcher.lines(searcher.command_line(pid), CANARIES))
        time.sleep(searcher.PAUSE)


def written(run):
    """What the runs have written here, by place: the texts of files."""
    place, reports = pathlib.Path(run.sockets), machinery.ROOT / '.cache' / 'faults' / machinery.NAME
    paths = {'events': place.glob('*.jsonl'), 'facts': (place / 'facts').rglob('*'), 'log': [place / 'log'],
             'report': (path for path in reports.rglob('*') if path.stat().st_mtime >= run.notes['planted']),
             'metrics': [place / 'roll.prom'], 'files': (place / 'tmp').rglob('*')}
    return {where: [path.read_text(errors='replace') for path in found if path.is_file()]
            for where, found in paths.items()}


def leaked(before, now):
    """What a machine has that it had not when the canaries were planted: by place each find, with its canaries.

    A copy that nobody else can read, where the collection keeps such copies, is none.
    """
    found = {place: {line: names for line, names in now[place].items() if line not in before[place]}
             for place in ('processes', 'journal')}
    found['files'] = {}
    for path, one in now['files'].items():
        old = before['files'].get(path, dict(canaries=[], open=False))
        new = [name for name in one['canaries'] if name not in old['canaries']]
        if one['open'] and not old['open']:
            found['files']['everybody may read ' + path] = one['canaries']
        elif new and not path.startswith(KEPT):
            found['files'][path] = new
    return found


def table(finds):
    """How often each canary was found in each place.

    :arg finds: each (canary, place, where).
    """
    cells = [('canary', *PLACES)]
    for name in CANARIES:
        cells.append((name, *[str(sum((name, place) == find[:2] for find in finds)) for place in PLACES]))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def stayed(run):
    """Nothing of them was said or written but where it was meant."""
    run.notes['searched'] = True
    run.notes['webhook'].shutdown()
    run.notes['webhook'].server_close()
    texts = {'output': ['\n'.join(roll.lines) for roll in run.rolls], 'webhook': run.notes['webhook'].told,
             **written(run)}
    (machinery.ROOT / GIVEN).unlink()
    finds = [(name, place, 'this machine: ' + line) for place, found in texts.items() for text in found
             for line, names in searcher.lines(text, CANARIES).items() for name in names]
    finds += [(name, 'processes', 'this machine: ' + line) for line, names in run.notes['processes'].items()
              for name in names]
    for machine, before in run.notes['before'].items():
        finds += [(name, place, '%s: %s' % (machine, where)) for place, found in
                  leaked(before, search(machine)).items() for where, names in found.items() for name in names]
    finds = [find for find in finds if find[:2] not in MEANT]
    for line in table(finds):
        run.log(line)
    # Without these, it would have looked at nothing.
    empty = [place for place in ('output', 'events', 'log', 'report', 'webhook', 'metrics') if not any(texts[place])]
    return (['nothing was written to search in: ' + ', '.join(empty)] if empty else []) + [
        'the %s is in %s of %s' % find for find in finds]


def loud(rows, name):
    """A row that stops a roll and then completes it, with canaries and with -vvv."""
    row = next(row for row in rows if row.name == name)

    def check(run):
        return [*(row.check(run) or []), *stayed(run)]

    return dataclasses.replace(
        row, name=row.product + '-canary', about='canaries in all places, -vvv; ' + row.about,
        prepare=both(row.prepare, plant), arguments=row.arguments + LOUD,
        again=None if row.again is None else row.again + LOUD, check=check, ci=False)


ROWS: list[Row] = [
    loud(release.ROWS, 'unit-fails-after-migration'),
    loud(cinder.ROWS, 'cinder-volume-does-nothing'),
    loud(dragonflow.ROWS, 'dragonflow-neutron-migration-fails'),
    loud(ganeti.ROWS, 'ganeti-instance-does-not-migrate'),
    loud(synnefo.ROWS, 'synnefo-migration-fails'),
]
