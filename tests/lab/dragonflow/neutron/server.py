# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""neutron-server with the plugin of Dragonflow: it answers on port 9696, and changes ports all the time, as users
would have it do: first in its own database, then in the north-bound one. The ports that it changes are called w-...

It reads the columns of its own release, so on a schema of another one it fails."""

import http.server
import json
import os
import signal
import socket
import threading

from dragonflow import _release, store

from neutron import database

COLUMN = 'binding' if database.VERSION == '13.0.0' else 'chassis'
STUBBORN = '/etc/neutron/lab-stubborn'


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(version=database.VERSION, dragonflow=_release.VERSION)).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *dummy):
        """Nothing."""


def change(found, key, host):
    """One port: the revision in the database, and then the same as the version in the store."""
    with database.connect() as connection:
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT revision, {COLUMN} FROM ports WHERE id = %s FOR UPDATE', (key,))
            revision, chassis = cursor.fetchone()
            cursor.execute('UPDATE ports SET revision = revision + 1, name = %s WHERE id = %s',
                           (f'changed by {host}', key))
        value = found.get('lport', key)
        kept = store.port_of(value)
        value['version'] = revision + 1
        if kept['chassis'] != chassis:
            raise ValueError(f'{key} is on {chassis} here, and on {kept["chassis"]} in the north-bound database')
        found.put('lport', key, value)
        connection.commit()


def main():
    if 'neutron-never-starts' in _release.TRAITS:
        raise SystemExit('broken for a test: this service never starts')
    over, host = threading.Event(), socket.gethostname()

    def end(*dummy):
        if os.path.exists(STUBBORN) and 'neutron-server' in open(STUBBORN, encoding='utf-8').read().split():
            print('SIGTERM, and I am busy', flush=True)
            return
        over.set()
    signal.signal(signal.SIGTERM, end)
    found = store.Store()
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id, revision, {COLUMN} FROM ports WHERE id LIKE 'w-%' ORDER BY id")
        ports = [row[0] for row in cursor.fetchall()]
    server = http.server.ThreadingHTTPServer(('0.0.0.0', 9696), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f'neutron-server {database.VERSION} runs', flush=True)
    number = 0
    while not over.wait(0.2):
        number += 1
        try:
            change(found, ports[number % len(ports)], host)
        except Exception as exc:  # as an API does: the request fails, the service goes on
            print(f'a request has failed: {exc!r}', flush=True)
    server.shutdown()
    print('neutron-server ends', flush=True)
