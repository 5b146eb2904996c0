# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, BrokenBarrierError, Thread

# A virtualenv's python, as far as modules ask it: the probe of module_utils/_release.py, and pip install --report.
PYTHON = """#!/bin/sh
root=$(dirname "$(dirname "$0")")
case "$1 $2" in
  "-I -c")
    case "${4:-}" in
      "{"*) echo "[]" ;;
      "") cat "$root/distributions.json" ;;
      *) cat "$root/probe.json" ;;
    esac ;;
  "-m pip")
    case "$3" in
      config) exit 0 ;;
    esac
    printf '%s\\n' "$*" "index=${PIP_INDEX_URL:-}" >>"LOG"
    if [ -e "$root/pip-fails" ]; then
      touch "$root/half"
      cat "$root/pip-fails" >&2
      exit 1
    fi
    [ ! -e "$root/report.json" ] || cp "$root/report.json" "$6"
    case "$*" in *--dry-run*) exit 0 ;; esac
    [ ! -e "$root/after.json" ] || cp "$root/after.json" "$root/probe.json"
    printf '#!%s/bin/python\\nimport sys\\nprint("%s")\\n' "$root" "$root" >"$root/bin/sf-ctl"
    ;;
  *) exec sh "$@" ;;
esac
"""


def with_several(execute):
    """An C(_execute_module) of an action that has what C(several) answers from what each of the modules does."""
    def run(module_name=None, module_args=None, task_vars=None, **dummy):
        if not module_name.endswith(".several"):
            return execute(module_name=module_name, module_args=module_args, task_vars=task_vars)
        answers = []
        for call in module_args["calls"]:
            answer = execute(module_name=f"shakenfist.rolling.{call['module']}", module_args=call["arguments"],
                             task_vars=task_vars)
            answers.append(dict(answer, seconds=0.0))
            if answer.get("failed"):
                return dict(failed=True, msg=answer.get("msg"), answers=answers)
        return dict(answers=answers)
    return run


def entry(name, version, sha256):
    """One package in a report of pip."""
    return {"metadata": {"name": name, "version": version},
            "download_info": {"archive_info": {"hashes": {"sha256": sha256}}}}


def make_venv(root, version="0.8.0", pip="23.0.1", offers=None, becomes=None, pip_fails=None):
    """Make a fake virtualenv.

    :arg offers: what pip reports to install, as dicts of C(entry).
    :arg becomes: the version that it holds after an installation.
    :arg pip_fails: what pip says when it fails.
    """
    binaries = root / "bin"
    binaries.mkdir(parents=True)
    python = binaries / "python"
    python.write_text(PYTHON.replace("LOG", str(root.parent / "pip.log")))
    python.chmod(0o755)
    script = binaries / "sf-ctl"
    script.write_text("#!/srv/shakenfist/venv/bin/python\n")
    script.chmod(0o755)
    record = root / "RECORD"
    record.write_text(f"shakenfist {version}\n")
    probe = {"version": version, "record": str(record), "pip": pip, "python": "3.11.2", "platform": "linux-x86_64"}
    (root / "probe.json").write_text(json.dumps(probe))
    (root / "distributions.json").write_text(json.dumps({"shakenfist": {"version": version, "requires": []}}))
    if becomes:
        (root / "after.json").write_text(json.dumps(dict(probe, version=becomes)))
    if offers is not None:
        (root / "report.json").write_text(json.dumps({"install": offers}))
    if pip_fails:
        (root / "pip-fails").write_text(pip_fails)
    return root


def unit(active="active", sub="running", **properties):
    """The properties of a service unit, as systemctl show prints them."""
    state = dict(LoadState="loaded", ActiveState=active, SubState=sub, Result="success", Type="simple",
                 UnitFileState="enabled", InvocationID="run1", NRestarts="0", MainPID="1", ExecMainCode="0",
                 ExecMainStatus="0", ExecMainStartTimestampMonotonic="1000000")
    state.update(properties)
    return state


MISSING = unit("inactive", "dead", LoadState="not-found", UnitFileState="", InvocationID="", MainPID="0",
               ExecMainStartTimestampMonotonic="0")


class Clock:
    """Takes the place of the module C(time): its time passes only while somebody sleeps.

    So whoever waits looks as often on a busy machine as on an idle one.

    :ivar naps: for how long somebody slept, each time.
    :ivar meanwhile: what happens while somebody sleeps, a function for each time.
    """

    def __init__(self, now=1000.0):
        self.now = now
        self.naps, self.meanwhile = [], []

    def monotonic(self):
        return self.now

    time = monotonic

    def sleep(self, seconds):
        assert seconds > 0
        self.naps.append(seconds)
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


class FakeSystemd:
    """Takes the place of AnsibleModule.run_command for systemctl and journalctl.

    :ivar units: by name the states of a unit, one for each time that it is shown; the last one stays.
    :ivar then: by name the states that a unit gets when it is stopped or restarted.
    :ivar on_stop: the same, where a stop is to bring others than a restart.
    :ivar on_restart: the same, where a restart is to bring others than a stop.
    :ivar orders: the orders that were given, such as C(restart sf-api).
    :ivar journal: the words of every unit.
    :ivar broken: what systemctl complains of, when it fails.
    """

    def __init__(self):
        self.units, self.then, self.orders = {}, {}, []
        self.on_stop, self.on_restart = {}, {}
        self.journal = ""
        self.broken = None

    def __call__(self, command):
        if command[0] == "journalctl":
            return 0, self.journal, ""
        assert command[0] == "systemctl", command
        if self.broken:
            return 1, "", self.broken
        names = [word[:-len(".service")] for word in command if word.endswith(".service")]
        verb = command[1]
        if verb == "show":
            blocks = ["\n".join(f"{key}={value}" for key, value in self._look(name).items()) for name in names]
            return 0, "\n\n".join(blocks) + "\n", ""
        if verb == "list-unit-files":
            # As systemctl does: without a pattern it lists everything.
            found = [name for name in self.units if not names or any(fnmatch(name, pattern) for pattern in names)]
            return 0 if found else 1, "".join(f"{name}.service enabled enabled\n" for name in found), ""
        self.orders.append(" ".join([verb, *names]))
        if verb in ("stop", "restart"):
            then = {**self.then, **(self.on_stop if verb == "stop" else self.on_restart)}
            self.units.update({name: list(then[name]) for name in names if name in then})
        return 0, "", ""

    def _look(self, name):
        states = self.units.get(name, [MISSING])
        return states.pop(0) if len(states) > 1 else states[0]


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *dummy):
        pass


class Server(ThreadingHTTPServer):
    """An HTTP server on this machine, from when it is made until it is closed."""

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def __exit__(self, *dummy):
        self.close()


class Workers:
    """An HTTP server of workers that each accept one connection at a time and answer with a status of their own.

    A worker whose status is None says nothing until the other side gives up.
    """

    def __init__(self, statuses):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/readyz"
        # However slow the machine: nobody answers before every worker has had a connection.
        self.all_busy = Barrier(len(statuses))
        for status in statuses:
            Thread(target=self._work, args=(status,), daemon=True).start()

    def _work(self, status):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection:
                try:
                    self.all_busy.wait(timeout=30)
                except BrokenBarrierError:
                    pass
                if not connection.recv(4096):
                    continue
                if status is None:
                    connection.recv(1)
                else:
                    connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)

    def close(self):
        # shutdown wakes the workers that wait in accept, close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
