# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import socket
from threading import Thread

# A shorter head than that of HAProxy 2.6, in its order and with its last, nameless column.
HEAD = ("pxname,svname,scur,econ,eresp,status,weight,tracked,type,check_status,check_code,srv_abrt,last_chk,check_desc,"
        "check_rise,check_fall,addr,cookie,mode,stot,").split(",")
STATE_HEAD = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
BITS = {"ready": 0, "drain": 8, "maint": 1}


def server(status="UP", sessions=0, check="L7OK", code="", last="", **fields):
    """The fields of a server in the statistics; by default one that is up."""
    if not code and check.startswith("L7"):
        code = "200" if check == "L7OK" else "503"
    return {"scur": str(sessions), "econ": "0", "eresp": "0", "srv_abrt": "0", "status": status, "weight": "1",
            "type": "2", "check_status": check, "check_code": code, "last_chk": last, "mode": "http", **fields}


UP = server()
DOWN = server("DOWN", check="L7STS", last="Service Unavailable")
L4 = server(check="L4OK")
REFUSED = server("DOWN", check="L4CON", last="Connection refused")
UNCHECKED = server("no check", check="")
STARTED = server("UP 1/3", check="INI")
DRAINED = server("DRAIN")
MAINT = server("MAINT", check="")


def table(servers):
    """Statistics of servers, a dict by (backend, server) or by the server of the backend sf-api."""
    rows = [{"pxname": "stats", "svname": "FRONTEND", "status": "OPEN", "type": "0"},
            {"pxname": "stats", "svname": "BACKEND", "status": "UP", "type": "1"},
            {"pxname": "fe", "svname": "sock-1", "status": "OPEN", "type": "3"}]
    backends = ["sf-api"]
    for place, fields in servers.items():
        backend, name = place if isinstance(place, tuple) else ("sf-api", place)
        rows.append(dict(fields, pxname=backend, svname=name))
        backends.append(backend)
    rows += [{"pxname": name, "svname": "BACKEND", "status": "UP", "type": "1"} for name in dict.fromkeys(backends)]
    lines = [",".join(row.get(name, "") for name in HEAD) for row in rows]
    return "\n".join([f"# {','.join(HEAD)}", *lines]) + "\n\n"


class FakeHaproxy:
    """A stats socket or a statistics page, in a thread.

    :ivar looks: what it shows, one for each time that it is asked, the last one for ever: servers for C(table), the
        text that it says, or None to say nothing until the other side gives up.
    :ivar admin: by (backend, server) its srv_admin_state.
    :ivar says: what it answers to orders, by their first words, in place of obeying.
    :ivar orders: the orders that it got. :ivar level: the one of the socket.
    :ivar login: the C(USER:PASSWORD) that its page wants.
    """

    def __init__(self, place="tcp", looks=({"sf-1": UP, "sf-2": UP},)):
        self.looks, self.admin, self.says, self.orders, self.login = list(looks), {}, {}, [], ""
        self.obeys, self.level = True, "admin"
        self.http = place == "http"
        if place.startswith("/"):
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(place)
            self.listener.listen(16)
            self.address = place
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
            self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
            if self.http:
                self.address = f"http://{self.address}/stats"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    pass

    def _talk(self, connection):
        end, request = b"\r\n\r\n" if self.http else b"\n", b""
        while not request.endswith(end):
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        text = self._page(request.decode()) if self.http else self._command(request.decode().strip())
        if text is None:
            connection.recv(1)
        else:
            connection.sendall(text.encode())

    def _look(self):
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return table(look) if isinstance(look, dict) else look

    def _page(self, request):
        token = base64.b64encode(self.login.encode()).decode()
        if self.login and f"\r\nAuthorization: Basic {token}\r\n" not in request:
            return "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
        if not request.startswith("GET /stats;csv HTTP/1.1\r\n"):
            return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        text = self._look()
        if text is None or text.startswith("HTTP/"):
            return text
        return f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{len(text):x}\r\n{text}\r\n0\r\n\r\n"

    def _command(self, command):
        if command == "show stat":
            return self._look()
        for words, answer in self.says.items():
            if command.startswith(words):
                return answer
        if command == "show cli level":
            return f"{self.level}\n\n"
        if command.startswith("show servers state "):
            rows = [f"5 {backend} 1 {name} 127.0.0.1 2 {bits} 1" for (backend, name), bits in self.admin.items()
                    if backend == command.split()[-1]]
            return "\n".join(["1", STATE_HEAD, *rows]) + "\n\n"
        self.orders.append(command)
        if self.obeys:
            backend, name = command.split()[2].split("/")
            self.admin[backend, name] = BITS[command.split()[-1]]
        return "\n"

    def close(self):
        # shutdown wakes the thread that waits in accept, close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
