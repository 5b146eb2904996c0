# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# etcd and MariaDB for tests, on loopback, and a proxy before each that acts at a request of which the test knows the
# number. The module is a process of its own, as on a node.

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).parents[2]
LOST = "lost"
MODULE = "ansible_collections.shakenfist.rolling.plugins.modules.store_migrations"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(look, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            found = look()
            if found:
                return found
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Run:
    """A process of the module, with options as a task has them."""

    def __init__(self, place, check=False, diff=False, **options):
        arguments = place / f"arguments-{time.monotonic_ns()}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {
            **options, "_ansible_check_mode": check, "_ansible_diff": diff,
            "_ansible_remote_tmp": str(place / "tmp")}}))
        self.process = subprocess.Popen([sys.executable, "-m", MODULE, str(arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=place,
                                        env=dict(os.environ, PYTHONPATH=str(ROOT / ".ansible" / "collections")))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)

    def end(self):
        """The result; None if it was killed."""
        out, err = self.process.communicate(timeout=180)
        if self.process.returncode == -signal.SIGKILL:
            return None
        assert out.strip(), err
        return {"failed": False, **json.loads(out.strip().splitlines()[-1])}


# ---- etcd

def encode(text):
    return base64.b64encode(text.encode()).decode()


def values_of(body):
    """What a transaction puts."""
    return b"".join(base64.b64decode(one["request_put"]["value"]) for one in body.get("success", [])
                    if "request_put" in one)


class Etcd:
    def __init__(self, place, *options, tls=None):
        self.place, self.options, self.tls = place, options, tls
        self.port, self.peer = free_port(), free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self, *options):
        peer = f"http://127.0.0.1:{self.peer}"
        with open(self.place / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", str(self.place / "data"), "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}", *(options or self.options)], stdout=log, stderr=log)
        wait(lambda: self.call("maintenance/status", {})["leader"])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, path, body):
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def put(self, key, value, **more):
        return self.call("kv/put", dict(key=encode(key), value=encode(value), **more))

    def fill(self, objects):
        pairs = list(objects.items())
        for at in range(0, len(pairs), 100):
            self.call("kv/txn", {"success": [{"request_put": {"key": encode(key), "value": encode(value)}}
                                             for key, value in pairs[at:at + 100]]})

    def clear(self):
        for member in self.call("maintenance/alarm", {"action": "GET"}).get("alarms", []):
            self.call("maintenance/alarm", {"action": "DEACTIVATE", **member})
        self.call("kv/deleterange", dict(key="AA==", range_end="AA=="))

    def alarm(self):
        """What a member does that is out of space."""
        self.call("maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE",
                                        "memberID": self.call("maintenance/status", {})["header"]["member_id"]})

    def kvs(self):
        return self.call("kv/range", dict(key="AA==", range_end="AA==")).get("kvs", [])

    def all(self):
        return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv.get("value", "")).decode()
                for kv in self.kvs()}

    def revision(self):
        return int(self.call("maintenance/status", {})["header"]["revision"])


class EtcdProxy:
    """Passes requests on. C(act) is called with the number of each, its path and its body, after etcd has answered it,
    and before the module has the answer."""

    def __init__(self, etcd, act=lambda number, path, body: None):
        self.act, self.count, self.paths = act, 0, []
        proxy, turn = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                connection = http.client.HTTPConnection("127.0.0.1", etcd.port, timeout=20)
                try:
                    connection.request("POST", self.path, body)
                    answer = connection.getresponse()
                    text, status = answer.read(), answer.status
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                if not self.path.endswith("keepalive"):
                    with turn:
                        proxy.count += 1
                        number = proxy.count
                        proxy.paths.append(self.path)
                    proxy.act(number, self.path, json.loads(body))
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, *dummy):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# ---- MariaDB

class Mariadb:
    def __init__(self, place):
        self.place, self.port, self.database = place, free_port(), ""
        subprocess.run(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal",
                        "--skip-test-db", f"--datadir={place / 'data'}", f"--user={self.user()}"], check=True,
                       capture_output=True)
        with open(place / "mariadb.log", "ab") as log:
            self.process = subprocess.Popen(
                ["mariadbd", "--no-defaults", f"--user={self.user()}", f"--datadir={place / 'data'}",
                 f"--port={self.port}",
                 "--bind-address=127.0.0.1", f"--socket={place / 's'}", f"--pid-file={place / 'pid'}",
                 "--innodb-flush-log-at-trx-commit=2"], stdout=log, stderr=log)
        wait(lambda: (place / "s").exists() and self.ping())
        self.query("CREATE DATABASE product")
        self.query("CREATE USER product@'127.0.0.1' IDENTIFIED BY 'secret'")
        self.query("GRANT ALL ON product.* TO product@'127.0.0.1'")
        self.database = "product"

    @staticmethod
    def user():
        import pwd
        return pwd.getpwuid(os.getuid()).pw_name

    def ping(self):
        import pymysql
        try:
            return self.query("SELECT 1")
        except pymysql.MySQLError:
            return None

    def query(self, statement, *values):
        import pymysql
        connection = pymysql.connect(unix_socket=str(self.place / "s"), user="root", autocommit=True)
        try:
            with connection.cursor() as cursor:
                if self.database:
                    cursor.execute(f"USE {self.database}")
                cursor.execute(statement, values or None)
                return cursor.fetchall()
        finally:
            connection.close()

    def config(self, port=0):
        path = self.place / f"product-{port or self.port}.conf"
        path.write_text("[database]\nconnection = "
                        f"mysql+pymysql://product:secret@127.0.0.1:{port or self.port}/product\n")
        return str(path)

    def stop(self):
        self.process.kill()
        self.process.wait()


class MariadbProxy:
    """Passes bytes on. C(act) is called with the number and the text of each statement but those that keep the lock,
    before the server has it. If it returns C(LOST) the server never gets it."""

    def __init__(self, server, act=lambda number, statement: None):
        self.act, self.count, self.statements = act, 0, []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", server.port)) as there:
                    back = threading.Thread(target=self.back, args=(there,), daemon=True)
                    back.start()
                    with contextlib.suppress(OSError):
                        self.forth(there)
                    with contextlib.suppress(OSError):
                        there.shutdown(socket.SHUT_RDWR)

            def back(self, there):
                with contextlib.suppress(OSError):
                    while True:
                        data = there.recv(65536)
                        if not data:
                            break
                        self.request.sendall(data)
                with contextlib.suppress(OSError):
                    self.request.shutdown(socket.SHUT_RDWR)

            def exactly(self, count):
                data = b""
                while len(data) < count:
                    more = self.request.recv(count - len(data))
                    if not more:
                        raise ConnectionError
                    data += more
                return data

            def forth(self, there):
                while True:
                    header = self.exactly(4)
                    payload = self.exactly(int.from_bytes(header[:3], "little"))
                    if header[3] == 0 and payload[:1] == b"\x03":
                        statement = payload[1:].decode(errors="replace")
                        if "SLEEP(" not in statement:
                            proxy.count += 1
                            proxy.statements.append(statement)
                            if proxy.act(proxy.count, statement) == LOST:
                                return
                    there.sendall(header + payload)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
