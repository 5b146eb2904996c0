#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: nginx_server
short_description: Take a server of an upstream of nginx out of rotation, or back
version_added: 0.1.0
description:
  - Marks the lines C(server ADDRESS ...;) of a server as C(down) in the configuration, has it tested, has nginx reload
    it, and sees every worker of nginx work with it. For an nginx without active health checks, that is, for any but the
    commercial one.
  - "A line that this module has marked ends with the comment C(# out of rotation: shakenfist.rolling). Only such a line
    is ever taken back, to the byte that it was before. A line that is C(down) without it was marked by somebody else
    and is left so."
  - Runs on the machine of nginx, as root.
options:
  path:
    description: The file that has the lines of the servers, the one with C(upstream NAME {) or one that it includes. In
      a file with several upstreams the server is taken out of all of them.
    type: path
    required: true
  server:
    description: The address of the server, as it is written there, such as V(10.0.0.1:13000).
    type: str
    required: true
  allow_last:
    description: Whether the server may be taken out although all other servers of the upstream are C(down). The
      upstream then serves nobody.
    type: bool
    default: false
  reload_timeout:
    description: For how many seconds to wait until every worker of nginx works with the new configuration. Workers with
      the old one only finish in-flight requests, and are not waited for.
    type: float
    default: 30
  test_command:
    description: The command that tests the configuration. If it fails, the file is put back.
    type: list
    elements: str
    default: [nginx, -t]
  pid_file:
    description: The file with the process id of nginx, as C(pid) in its configuration says.
    type: path
    default: /run/nginx.pid
extends_documentation_fragment: [shakenfist.rolling.attributes, shakenfist.rolling.options.rotation]
attributes:
  check_mode:
    details: The configuration is tested as it is.
seealso: [{module: shakenfist.rolling.apache_member}, {module: shakenfist.rolling.haproxy_server}]
"""

EXAMPLES = r"""
- name: Send this node no new requests, and let it finish those it has
  shakenfist.rolling.nginx_server:
    path: /etc/nginx/conf.d/sf-api.conf
    server: 10.0.0.2:13000
    state: drain
    sessions_timeout: 30
  delegate_to: lb
"""

RETURN = r"""
was:
  description: What the server was before. V(ready) got requests, V(drain) got none because of an earlier call of this
    module, V(out) got none because of somebody else.
  returned: when the server was found
  type: str
sessions:
  description: How many connections the processes of nginx have to it at the end.
  returned: when the server was found
  type: int
"""

import contextlib
import glob
import os
import re
import signal
import socket
import sys
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    flocked,
    last_lines,
    turn_of,
    wait_for,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._rotation import OPTIONS

PROC = "/proc"
MARK = "  # out of rotation: shakenfist.rolling"
# A server of an upstream on a line of its own; the block `server {` of a site has no address and no semicolon.
SERVER = re.compile(r"(?P<head>\s*server\s+(?P<address>[^\s;#{]+)(?P<options>[^;#{]*));(?P<tail>.*)", re.DOTALL)
BLOCK = re.compile(r"\s*upstream\s+(?P<name>[^\s{]+)")
INTERVAL = 0.1
TICK = 1 / os.sysconf("SC_CLK_TCK")  # how exactly the start of a process is known
CONNECTED = ("01", "02", "03")  # ESTABLISHED, SYN_SENT, SYN_RECV


def _unreadable(path, reason):
    return RollingError(f"{path} cannot be read: {reason}; expected the file with the lines `server ADDRESS;` of "
                        "the upstream")


class Line:
    """One line of the configuration that names a server."""

    def __init__(self, number, upstream, found):
        self.number, self.upstream = number, upstream
        self.head, self.tail = found["head"], found["tail"]
        self.address = found["address"].strip("\"'")
        self.down = "down" in found["options"].split()
        self.ours = self.down and MARK in self.tail

    @property
    def state(self):
        return "drain" if self.ours else "out" if self.down else "ready"

    def marked(self):
        text = self.tail.rstrip("\r\n")
        return f"{self.head} down;{text.replace(MARK, '')}{MARK}{self.tail[len(text):]}"

    def unmarked(self):
        return f"{re.sub(r' down(?![^ ])', '', self.head)};{self.tail.replace(MARK, '')}"


class Configuration:
    """The file, and the lines of it that name servers."""

    def __init__(self, path, server):
        self.path, self.server = os.path.realpath(path), server
        try:
            # Whatever bytes it has are kept. Only this ends a line, and a comment, to nginx.
            with open(self.path, encoding="utf-8", errors="surrogateescape", newline="\n") as handle:
                self.lines = list(handle)
            self.written = os.stat(self.path).st_mtime
        except OSError as exc:
            raise _unreadable(path, exc.strerror) from exc
        self.servers = []
        upstream = ""
        for number, line in enumerate(self.lines):
            begins, found = BLOCK.match(line), SERVER.match(line)
            upstream = begins["name"] if begins else upstream
            if found:
                self.servers.append(Line(number, upstream, found))
        self.own = [line for line in self.servers if line.address == server]
        if not self.own:
            raise RollingError(f"{path} has no line `server {server};` of its own; it has "
                               f"{', '.join(dict.fromkeys(line.address for line in self.servers)) or 'no server'}")

    @property
    def state(self):
        states = [line.state for line in self.own]
        return next(state for state in ("ready", "drain", "out") if state in states)

    def is_last(self):
        """The name of an upstream in which only this server gets requests of several, or None."""
        for line in self.own:
            others = [other for other in self.servers
                      if other.upstream == line.upstream and other.address != self.server]
            if line.state == "ready" and others and all(other.down for other in others):
                return line.upstream or self.path
        return None

    def edited(self, state):
        """The lines of the file with the server as it is to be."""
        lines = list(self.lines)
        for line in self.own:
            if state == "drain" and line.state == "ready":
                lines[line.number] = line.marked()
            elif state == "ready" and line.state == "drain":
                lines[line.number] = line.unmarked()
        return lines

    def shown(self, lines):
        """What a diff shows of the lines of the file: those of this server."""
        return "".join(lines[line.number].strip() + "\n" for line in self.own)


def _read(*path):
    """The text of a file of /proc, empty if the process has ended meanwhile."""
    try:
        with open(os.path.join(PROC, *path), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


class Nginx:
    """The processes of nginx."""

    def __init__(self, pid_file):
        try:
            with open(pid_file, encoding="utf-8") as handle:
                self.master = handle.read().strip()
        except OSError:
            self.master = ""
        if "nginx" not in _read(self.master or "-", "cmdline"):
            raise RollingError(f"nginx does not run, {pid_file} names no process of it: start it, or correct the path "
                               "of the file if its configuration has another one (pid)")

    def workers(self):
        """Its workers that take requests, by process id their start in seconds since 1970."""
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        found = {}
        for path in glob.glob(os.path.join(PROC, "[0-9]*")):
            # The second field is the command in parentheses, which may contain anything; state and parent follow.
            fields = _read(path, "stat").rpartition(")")[2].split()
            title = _read(path, "cmdline")
            if fields[1:2] == [self.master] and "worker process" in title and "shutting down" not in title:
                found[os.path.basename(path)] = booted + int(fields[19]) * TICK
        return found

    def reload(self, timeout):
        """Have it take up the configuration, and see that every worker has."""
        before = set(self.workers())
        os.kill(int(self.master), signal.SIGHUP)

        def taken_up():
            workers = set(self.workers())
            return workers and not workers & before

        if not wait_for(taken_up, timeout, INTERVAL):
            raise RollingError(f"expected nginx (process {self.master}) to work with the new configuration within "
                               f"{timeout:g} s of its reload; workers {', '.join(sorted(before))} have the old one: "
                               "see its error log")

    def sessions(self, wanted):
        """How many connections its processes have to the addresses of a server."""
        inodes = set()
        for table in ("tcp", "tcp6"):
            for row in _read(self.master, "net", table).splitlines()[1:]:
                fields = row.split()
                if fields[2] in wanted and fields[3] in CONNECTED:
                    inodes.add(f"socket:[{fields[9]}]")
        held = set()
        for path in glob.glob(os.path.join(PROC, "[0-9]*", "fd", "*")) if inodes else ():
            with contextlib.suppress(OSError):
                if "nginx" in _read(os.path.dirname(os.path.dirname(path)), "cmdline"):
                    held.add(os.readlink(path))
        return len(inodes & held)


def addresses(server):
    """A server as the kernel's table of connections writes it."""
    host, colon, port = server.rpartition(":")
    if not (colon and port.isdecimal()):
        host, port = server, "80"
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RollingError(f"{host} of the server {server} has no address on this machine, so nobody knows whether "
                           f"nginx has connections to it: {reason}. Nothing was changed; correct its resolver, or "
                           "write the address into the configuration") from exc
    written = set()
    for address in found:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        packed = socket.inet_pton(family, address)
        words = [int.from_bytes(packed[at:at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
        written.add("".join(f"{word:08X}" for word in words) + f":{int(port):04X}")
    return written


@contextlib.contextmanager
def alone(path, timeout):
    """One at a time in the directory of a file: nodes that are rolled together are lines of the same file."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise _unreadable(path, "No such file or directory")
    with flocked(directory, timeout) as handle:
        if handle is None:
            raise RollingError(f"another process has kept the lock on {directory} for {timeout:g} s: see which one it "
                               f"is with fuser -v {turn_of(directory)}")
        yield


class Change:
    """What this call does, and what comes of it."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.result = dict(changed=False)

    def write(self, path, lines):
        handle, name = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as part:
            part.writelines(lines)
        self.module.atomic_move(name, path)

    def test(self, problem):
        """Raise if nginx would not take the configuration."""
        if self.params["test_command"]:
            code, out, err = self.module.run_command(self.params["test_command"], handle_exceptions=False,
                                                     path_prefix="/usr/local/sbin:/usr/sbin")
            if code:
                raise RollingError(f"{problem}: {last_lines(err or out) or f'exit code {code}'}")

    def run(self):
        state = self.params["state"]
        with alone(os.path.realpath(self.params["path"]), self.params["reload_timeout"]):
            configuration = Configuration(self.params["path"], self.params["server"])
            nginx = Nginx(self.params["pid_file"])
            self.result["was"] = configuration.state
            self.result["sessions"] = nginx.sessions(self.look_up())
            before, after = configuration.lines, configuration.edited(state)
            self.result["diff"] = dict(before=configuration.shown(before), after=configuration.shown(after),
                                       before_header=configuration.path, after_header=configuration.path)
            last = configuration.is_last() if state == "drain" and not self.params["allow_last"] else None
            if last:
                raise RollingError(f"{self.params['server']} is the only server of {last} that nginx sends requests "
                                   f"to, all others are down in {self.params['path']}: let one of them in first")
            # A call that was killed may have left the file as it is to be, and an nginx that does not know of it.
            stale = (configuration.state == state
                     and min(nginx.workers().values(), default=0) < configuration.written - TICK)
            needed = before != after or stale
            if self.module.check_mode:
                self.test(f"nginx does not take its configuration as it is, with no change of {self.params['path']}")
            elif before != after:
                self.write(configuration.path, after)
                try:
                    self.test(f"nginx does not take its configuration with {self.params['server']} as {state}, "
                              f"{self.params['path']} was put back")
                except (OSError, RollingError):
                    self.write(configuration.path, before)
                    raise
            self.result["changed"] = needed
            if needed and not self.module.check_mode:
                nginx.reload(self.params["reload_timeout"])
        if state == "drain" and not self.module.check_mode:
            self.wait_for_sessions(nginx)

    def look_up(self):
        """The addresses of the server. Only a drain that waits for its connections cannot do without."""
        try:
            return addresses(self.params["server"])
        except RollingError:
            if self.params["state"] == "drain" and self.params["sessions_timeout"]:
                raise
            return set()

    def wait_for_sessions(self, nginx):
        server, timeout, wanted = self.params["server"], self.params["sessions_timeout"], self.look_up()

        def none_left():
            self.result["sessions"] = nginx.sessions(wanted)
            return not self.result["sessions"]

        if not wait_for(none_left, timeout, INTERVAL) and timeout:
            raise RollingError(f"expected nginx to have no connection to {server} within {timeout:g} s of its drain; "
                               f"{self.result['sessions']} left")


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            server=dict(type="str", required=True),
            allow_last=dict(type="bool", default=False),
            reload_timeout=dict(type="float", default=30),
            test_command=dict(type="list", elements="str", default=["nginx", "-t"]),
            pid_file=dict(type="path", default="/run/nginx.pid"),
            **OPTIONS,
        ),
        supports_check_mode=True,
    )
    change = Change(module)
    try:
        change.run()
    except RollingError as exc:
        module.fail_json(msg=exc.message, **change.result)
    except OSError as exc:
        module.fail_json(msg=f"the server {module.params['server']} of nginx could not be set to "
                             f"{module.params['state']}: {exc}", **change.result)
    module.exit_json(**change.result)


if __name__ == "__main__":
    main()
