# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import base64
import csv
import http.client
import io
import re
import socket
import time
import typing
from urllib.parse import unquote, urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

# no_log, and C(hide_credentials) of _http.py: a module may log what it is called with before it can say what is secret.
HAPROXY_OPTIONS = dict(address=dict(type="str", required=True, no_log=True), backend=dict(type="str", required=True))
FORMS = "http://HOST:PORT/PATH (the statistics page), HOST:PORT (a stats socket) or /PATH (a stats socket)"
# The statistics of a large balancer have some hundred kilobytes.
LARGEST = 16 * 1024 * 1024
# Bits of srv_admin_state in "show servers state": set by hand or inherited by "track", and for maintenance also an
# address that does not resolve. The bit 4, "disabled" in the configuration, only remembers; it always comes with 1.
MAINTENANCE = 0x01 | 0x02 | 0x20 | 0x40
DRAINING = 0x08 | 0x10
# Requests that a server failed, as HAProxy counts them: no connection, no answer, an answer that broke off.
ERRORS = ("econ", "eresp", "srv_abrt")


class Unreachable(RollingError):
    """HAProxy gave no answer at all."""


class UnknownName(RollingError):
    """HAProxy has no backend or no server of that name."""


class _Answer:
    """Bytes that were read already, in the shape that HTTPResponse reads from."""

    def __init__(self, data):
        self.data = data

    def makefile(self, dummy):
        return io.BytesIO(self.data)


class Haproxy:
    """One HAProxy, asked over its statistics page or its stats socket.

    :arg address: one of C(FORMS).
    :arg timeout: for how many seconds to wait for an answer, from the connection to the last byte.
    :ivar shown: the address without user and password.
    """

    def __init__(self, address, timeout=5.0):
        self.timeout = timeout
        self.credentials = self.page = self.path = ""
        self.host = ("", 0)
        self.shown = address
        if address.startswith("/"):
            self.path = address
            return
        is_page = "://" in address
        try:
            parts = urlsplit(address if is_page else f"//{address}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or re.search(r"\s", address) or not (
                parts.scheme == "http" and "@" not in parts.path if is_page
                else port and not parts.path and "@" not in address):
            # Not a word of it is repeated where a password may be in it.
            seen = "the address, which has a user and a password," if "@" in address else repr(address)
            raise RollingError(f"{seen} is no address of an HAProxy; write {FORMS}")
        self.host = (host, port or 80)
        self.credentials, dummy, self.shown = parts.netloc.rpartition("@")
        if is_page:
            path = (parts.path or "/").partition(";")[0]
            self.shown = f"http://{self.shown}{path}"
            self.page = f"{path};csv"

    @property
    def is_page(self):
        return bool(self.page)

    def _exchange(self, request):
        """Send C(request), read to the end."""
        deadline = time.monotonic() + self.timeout

        def left():
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise socket.timeout
            return seconds

        try:
            if self.path:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            else:
                connection = socket.create_connection(self.host, timeout=left())
            with connection:
                if self.path:
                    connection.settimeout(left())
                    connection.connect(self.path)
                connection.settimeout(left())
                connection.sendall(request)
                pieces, size = [], 0
                while size < LARGEST:
                    connection.settimeout(left())
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    pieces.append(piece)
                    size += len(piece)
        except (OSError, UnicodeError) as exc:  # a name of a host that is none is a UnicodeError
            raise Unreachable(f"HAProxy {self.shown} cannot be asked: {self._reason(exc)}") from exc
        return b"".join(pieces)

    def _reason(self, exc):
        if isinstance(exc, socket.timeout):
            return f"no answer within {self.timeout:g} s"
        return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__

    def _garbage(self, text):
        seen = repr(" ".join(text.split())[:120]) if text.strip() else "nothing"
        hint = ""
        if text.startswith("HTTP/") and not self.is_page:
            hint = f". That is HTTP: is it the statistics page? Then write http://{self.shown}/PATH"
        return RollingError(f"expected statistics from HAProxy {self.shown}; it said {seen}{hint}")

    def _command(self, command):
        return self._exchange(f"{command}\n".encode()).decode("utf-8", "replace")

    def _get(self):
        """The statistics page as CSV."""
        head = [f"GET {self.page} HTTP/1.1", f"Host: {self.host[0]}:{self.host[1]}", "Connection: close"]
        if self.credentials:
            token = base64.b64encode(unquote(self.credentials).encode()).decode()
            head.append(f"Authorization: Basic {token}")
        data = self._exchange("\r\n".join([*head, "", ""]).encode())
        response = http.client.HTTPResponse(typing.cast(socket.socket, _Answer(data)), method="GET")
        try:
            response.begin()
            text = response.read().decode("utf-8", "replace")
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise self._garbage(data.decode("utf-8", "replace")) from exc
        if response.status == 401:
            raise RollingError(f"HAProxy {self.shown} wants {'another' if self.credentials else 'a'} user and password "
                               "(401): write http://USER:PASSWORD@HOST:PORT/PATH, as its line `stats auth` says")
        if response.status != 200:
            raise RollingError(f"HAProxy {self.shown} answered {response.status}, not its statistics: is the path that "
                               "of its line `stats uri`?")
        return text

    def _rows(self):
        """The statistics of all servers, as a dict by (backend, server); and the names of all backends."""
        text = self._get() if self.is_page else self._command("show stat")
        # What a socket says ends with an empty line; where that broke off, servers may be missing.
        if not text.startswith("# pxname,svname,") or not (self.is_page or text.endswith("\n\n")):
            raise self._garbage(text)
        rows, backends = {}, []
        try:
            parsed = list(csv.DictReader(io.StringIO(text[2:])))
        except csv.Error as exc:
            raise self._garbage(text) from exc
        for row in parsed:
            if row.get("svname") == "BACKEND":
                backends.append(row["pxname"])
            # Type 3 is a listener of a frontend.
            elif row.get("svname") != "FRONTEND" and row.get("type") in ("2", None, ""):
                rows[row["pxname"], row["svname"]] = row
        return rows, backends

    def servers(self, backend):
        """What HAProxy says of each server of C(backend), as a dict by name."""
        return self._servers(backend, *self._rows())

    def _servers(self, backend, rows, backends):
        if backend not in backends and not any(place == backend for place, dummy in rows):
            # The statistics page is a backend without servers.
            with_servers = sorted({place for place, dummy in rows})
            raise UnknownName(f"HAProxy {self.shown} has no backend {backend}; it has "
                              f"{', '.join(with_servers) or 'none with servers'}")
        return {name: self._server(row, rows) for (place, name), row in rows.items() if place == backend}

    def _server(self, row, rows):
        checked, seen = row, set()
        # A server with "track" has no check of its own.
        while not checked.get("check_status") and checked.get("tracked"):
            place = tuple(checked["tracked"].partition("/")[::2])
            if place in seen or place not in rows:
                break
            seen.add(place)
            checked = rows[place]
        try:
            if not row["status"]:
                raise ValueError("a server without a status")
            return dict(
                status=row["status"],
                sessions=int(row["scur"]),
                check_status=checked.get("check_status") or "",
                check_code=checked.get("check_code") or "",
                last_check=checked.get("last_chk") or checked.get("check_desc") or "",
                tracks=row.get("tracked") or "",
                fall=int(checked.get("check_fall") or 0), rise=int(checked.get("check_rise") or 0),
                errors=sum(int(row[name]) for name in ERRORS) if all(row.get(name) for name in ERRORS) else None,
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise self._garbage(",".join(str(value) for value in row.values() if value)) from exc

    def server(self, backend, name, own=()):
        """What HAProxy says of one server, and of all servers of its address.

        C(senders) has those that may get requests, C(requests) by server how many each has got. Its health checks are
        none.

        :arg own: more addresses of its machine, in the words of HAProxy: C(10.0.0.2:13000), C([::1]:13000).
        """
        rows, backends = self._rows()
        servers = self._servers(backend, rows, backends)
        self.require(backend, servers, [name])
        here = {"/".join(place): rows[place] for place in _of_address(rows, (backend, name), own)}
        return dict(servers[name], senders=[place for place, row in here.items() if may_get(row)],
                    requests={place: row.get("stot") or "0" for place, row in here.items()})

    def lasting(self, backend, names):
        """By server, which ones may get requests at its address while it is drained: others, and itself by a cookie."""
        rows = self._rows()[0]
        return {name: ["/".join(place) for place in _of_address(rows, (backend, name))
                       if (rows[place].get("cookie") if place == (backend, name) else may_get(rows[place]))]
                for name in names}

    def require(self, backend, servers, names):
        """Raise if one of C(names) is not among C(servers)."""
        missing = [name for name in names if name not in servers]
        if missing:
            raise UnknownName(f"HAProxy {self.shown} has no server {', '.join(missing)} in backend {backend}; it has "
                              f"{', '.join(servers) or 'none'}")

    def admin_state(self, backend, name, server):
        """Whether one is C(ready), C(drain) or C(maint), by hand or inherited from a server that it tracks.

        :arg server: what C(server) returned. Its status hides a drain while the server is down, so the socket, which
            knows better, is asked too.
        """
        if not self.is_page:
            text = self._command(f"show servers state {_word(backend)}")
            head, rows = None, []
            for line in text.splitlines():
                if line.startswith("# "):
                    head = line[2:].split()
                elif head and line.split():
                    rows.append(dict(zip(head, line.split())))
            for row in rows:
                if row.get("srv_name") == name and row.get("srv_admin_state", "").isdecimal():
                    bits = int(row["srv_admin_state"])
                    return "maint" if bits & MAINTENANCE else "drain" if bits & DRAINING else "ready"
        for state in ("drain", "maint"):
            if server["status"].startswith(state.upper()):
                return state
        return "ready"

    def may_set(self):
        """Whether the state of a server can be set here: it is a socket of level admin."""
        return not self.is_page and self._command("show cli level").strip() == "admin"

    def require_socket(self):
        """Raise if this is the statistics page, which cannot change anything."""
        if self.is_page:
            raise RollingError(f"HAProxy {self.shown} is a statistics page, which can only be read; to set the state "
                               "of a server give its socket: a line `stats socket /run/haproxy/admin.sock level admin` "
                               "in the section global of haproxy.cfg, and its path here")

    def set_state(self, backend, name, state):
        """Set the administrative state of a server: C(ready), C(drain) or C(maint)."""
        self.require_socket()
        said = self._command(f"set server {_word(backend)}/{_word(name)} state {_word(state)}").strip()
        if not said:
            return
        if said.startswith("Permission denied"):
            raise RollingError(f"the socket {self.shown} of HAProxy may not set the state of a server (Permission "
                               "denied): its line `stats socket` in haproxy.cfg needs `level admin`")
        if said.startswith(("No such server", "No such backend")):
            raise UnknownName(f"HAProxy {self.shown} does not know {backend}/{name}: {said}")
        raise RollingError(f"HAProxy {self.shown} did not set {backend}/{name} to {state}; it said "
                           f"{' '.join(said.split())[:120]!r}")


def _word(text):
    # In a command a blank, a semicolon or the end of the line would begin something else.
    if not re.match(r"[^\s;\\]+\Z", text):
        raise RollingError(f"{text!r} cannot be a name in HAProxy")
    return text


def is_up(server):
    """Whether HAProxy sends new requests to a server: C(UP), on its way down with C(UP 1/3), or not checked."""
    return server["status"].startswith("UP") or server["status"] == "no check"


def _of_address(rows, own, more=()):
    """The places of all servers that have the address of one; only a socket of level operator or admin tells it."""
    addresses = {rows.get(own, {}).get("addr"), *more} - {None, ""}
    return [place for place, row in rows.items() if place == own or row.get("addr") in addresses]


def may_get(row):
    """Whether a server, as the statistics have it, has requests or may get some: in a drain by a cookie, still."""
    return is_up(row) or row["scur"] != "0" or bool(row["status"].startswith("DRAIN") and row.get("cookie"))


def got_requests(before, after):
    """Which servers of an address got requests between two looks; an HAProxy that was reloaded counts from 0."""
    return [place for place, count in after["requests"].items() if count not in ("0", before["requests"].get(place))]


def check_of(server):
    """The status of the last check, whether or not the next one is under way: C(L7OK)."""
    return server["check_status"].replace("* ", "", 1)


def asks_http(server):
    """Whether the check of a server is one of layer 7; None if that cannot be told.

    A check of layer 7 whose connection was refused says C(L4CON), as one of layer 4 does; and a server in maintenance
    is not checked.
    """
    check = check_of(server)
    if check.startswith("L7"):
        return True
    if check in ("L4OK", "L6OK"):
        return False
    return None if check or server["status"].startswith("MAINT") else False


def describe_server(server):
    """What HAProxy says of a server, in a few words: C(DOWN (L7STS 503))."""
    check = check_of(server)
    if not check:
        return server["status"]
    code = server["check_code"] if server["check_code"] not in ("", "0") else server["last_check"]
    return f"{server['status']} ({' '.join(filter(None, [check, code]))})"
