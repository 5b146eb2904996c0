# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Receives what a roll tells its webhook: writes its port into the first file, and each message as a line of JSON into
# the second one. Below /hang/ it never answers.

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = dict(path=self.path, authorization=self.headers["Authorization"], body=body)
        with open(sys.argv[2], "a", encoding="utf-8") as handle:
            handle.write(json.dumps(told) + "\n")
        if self.path.startswith("/hang/"):
            self.rfile.read(1)  # until the other side gives up
            return
        self.send_response(200)
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(f"{sys.argv[1]}.new", "w", encoding="utf-8") as port:
    port.write(str(server.server_port))
os.rename(f"{sys.argv[1]}.new", sys.argv[1])
server.serve_forever()
