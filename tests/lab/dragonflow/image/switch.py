# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane of a node: one TCP socket, 8000 and the number of the port, for each port that is plugged in there.

It knows what df-local-controller has programmed, and keeps to that while nobody programs it. GET / has every port of
the node ask its peer, the port of the same number on the other node, through that one's switch: 200 only if all of them
have an answer. A port that is not programmed asks nobody, and answers nobody."""

import http.server
import json
import pathlib
import threading
import urllib.request

FLOWS = pathlib.Path('/var/lib/lab-switch/flows.json')
# Seconds for the answer of a peer. A busy machine takes its time; who is cut off does not answer after that, either.
WITHIN = 8
# By number the id of the port, and the address where the switch of its peer has that.
PLUGGED = json.loads(pathlib.Path('/etc/lab-switch.json').read_text())


def reach(name, peer):
    """Why a port does not reach its peer; empty if it does."""
    try:
        with urllib.request.urlopen(f'http://{peer}/echo', timeout=WITHIN) as answer:
            answer.read()
    except OSError as exc:
        return f'{name} does not reach {peer}: {exc}'
    return ''


class Port(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        try:
            flows = json.loads(FLOWS.read_text())
        except (OSError, ValueError):
            flows = {}
        asked = PLUGGED.values() if self.path == '/' else [PLUGGED[str(self.server.server_address[1])]]
        problems = [f'{name} is not programmed' for name, dummy in asked if name not in flows]
        if self.path == '/':
            problems += filter(None, (reach(*one) for one in asked))
        if problems:
            # A port that is not programmed is the services' doing; the journal tells it from one that was slow.
            print('; '.join(problems), flush=True)
        body = '; '.join(problems).encode()
        self.send_response(504 if problems else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *dummy):
        """Nothing."""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


for number in PLUGGED:
    server = Server(('0.0.0.0', int(number)), Port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Event().wait()
