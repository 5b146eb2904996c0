# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches that each instance of the lab's Ganeti runs on exactly one node, all the time.

Two witnesses: every node's own view, the files of its hypervisor, seen from outside through /proc some forty times a
second; and Ganeti's list, asked twice a second on whichever node is the master. What is read of several nodes is not of
one moment, so a moment in which an instance ran nowhere, or twice, counts only if a second look sees it, too.

    watcher.py start          watches in the background
    watcher.py stop           ends that, and prints what was seen, as JSON; ends with 1 if an instance was down
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import lab as machinery  # noqa: E402 (it lies above)

INTERVAL = 0.025
# A live migration of the fake hypervisor ends the guest on one node, and then begins it on the other one. A real one
# has the guest paused meanwhile. What lasts longer than this is no switch-over.
SWITCH = 2.0
# Asked in a process that stays: to start a command of Ganeti costs half a second of a core.
ASK = """
import json, sys, time
sys.path.insert(0, "/usr/share/ganeti/default")
from ganeti import luxi
while True:
    try:
        found = luxi.Client().Query("instance", ["name", "pnode", "status"], None)
        rows = [[field[1] for field in row] for row in found.data]
        print(json.dumps(rows), flush=True)
    except BrokenPipeError:
        raise SystemExit
    except Exception as exc:
        print(json.dumps(str(exc)[:200]), flush=True)
    time.sleep(0.5)
"""
HYPERVISOR = "run/ganeti/fake-hypervisor"


class Node:
    """A node from outside: the process of its init, and the one that asks Ganeti there."""

    def __init__(self, name, heard):
        self.name, self.heard, self.pid, self.child, self.looked = name, heard, 0, None, 0.0

    def find(self):
        """The init of the machine, if it runs; asked once a second where it does not."""
        if self.pid and pathlib.Path(f"/proc/{self.pid}/root/{HYPERVISOR}").is_dir():
            return
        now = time.monotonic()
        if now - self.looked < 1:
            return
        self.looked = now
        text = machinery.podman("inspect", "--format", "{{.State.Pid}}", f"{machinery.PREFIX}{self.name}",
                                check=False).stdout.strip()
        self.pid = int(text or 0)

    def running(self):
        """The instances that it runs."""
        self.find()
        try:
            return set(os.listdir(f"/proc/{self.pid}/root/{HYPERVISOR}")) if self.pid else set()
        except OSError:
            return set()

    def ask(self):
        """Have a process ask Ganeti there, if none does."""
        if not self.pid or self.child and self.child.poll() is None:
            return
        environment = dict(os.environ, CONTAINERS_CONF=str(machinery.CACHE / "containers.conf"))
        self.child = subprocess.Popen(
            ["podman", "exec", f"{machinery.PREFIX}{self.name}", "python3", "-c", ASK], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.listen, args=(self.child,), daemon=True).start()

    def listen(self, child):
        for line in child.stdout:
            with contextlib.suppress(ValueError):
                rows = json.loads(line)
                if isinstance(rows, list):
                    self.heard(time.time(), rows)

    def end(self):
        if self.child and self.child.poll() is None:
            self.child.kill()


class Watcher:
    """What was seen; C(run) looks until C(stopping) is set."""

    def __init__(self, nodes, expected):
        self.nodes = [Node(name, self.hear) for name in nodes]
        self.expected, self.stopping = set(expected), False
        self.began = self.last_list = time.time()
        self.looks = self.answers = 0
        self.longest = 0.0
        # By instance, where it was seen last, and since when it is nowhere or twice.
        self.at, self.since, self.gaps, self.listed, self.moves = {}, {}, [], {}, []

    def hear(self, now, rows):
        self.answers += 1
        self.longest = max(self.longest, now - self.last_list)
        self.last_list = now
        for name, node, status in rows:
            if name in self.expected and status != "running":
                seen = self.listed.setdefault(f"{name} {status} on {node}", [now, now, 0])
                seen[1:] = [now, seen[2] + 1]

    def look(self):
        places = {}
        for node in self.nodes:
            for name in node.running():
                places.setdefault(name, []).append(node.name)
        return places

    def note(self, now, name, places):
        """One look at one instance."""
        if len(places) == 1:
            begun = self.since.pop(name, None)
            if begun:
                self.gaps.append(dict(instance=name, kind=begun[1], began=begun[0], seconds=round(now - begun[0], 3),
                                      before=self.at.get(name, ""), after=places[0]))
            if self.at.get(name, places[0]) != places[0]:
                self.moves.append(dict(instance=name, at=now, before=self.at[name], after=places[0]))
            self.at[name] = places[0]
        elif name not in self.since:
            self.since[name] = (now, "twice" if places else "nowhere")

    def once(self):
        places = self.look()
        odd = [name for name in self.expected if len(places.get(name, [])) != 1]
        if odd:
            again = self.look()
            places.update({name: again.get(name, []) for name in odd})
        now = time.time()
        for name in self.expected:
            self.note(now, name, places.get(name, []))
        self.looks += 1

    def run(self):
        for node in self.nodes:
            node.find()
        ask = 0.0
        while not self.stopping:
            if time.monotonic() > ask:
                for node in self.nodes:
                    node.ask()
                ask = time.monotonic() + 3
            self.once()
            time.sleep(INTERVAL)
        for node in self.nodes:
            node.end()

    def report(self):
        now = time.time()
        still = [dict(instance=name, kind=kind, began=began, seconds=round(now - began, 3),
                      before=self.at.get(name, ""), after="") for name, (began, kind) in self.since.items()]
        gaps = self.gaps + still
        switches = [gap for gap in gaps if gap["after"] not in ("", gap["before"]) and gap["seconds"] <= SWITCH]
        down = [gap for gap in gaps if gap not in switches]
        return dict(seconds=round(now - self.began, 1), instances=sorted(self.expected), looks=self.looks,
                    answers=self.answers, longest_without_a_list=round(max(self.longest, now - self.last_list), 1),
                    moves=len(self.moves),
                    switches=dict(count=len(switches), longest=max((gap["seconds"] for gap in switches), default=0.0),
                                  nowhere=sum(gap["kind"] == "nowhere" for gap in switches)),
                    down=down, listed={text: dict(looks=count, seconds=round(last - first, 1))
                                       for text, (first, last, count) in self.listed.items()})


def running(plan):
    """The instances that run now."""
    return [row["name"] for row in plan.cluster()[1] if row["status"] == "running"]


def files():
    return machinery.OWN / "watcher.pid", machinery.OWN / "watcher.json"


def start():
    """Watch in the background."""
    pid, told = files()
    told.unlink(missing_ok=True)
    ready = machinery.OWN / "watcher.ready"
    ready.unlink(missing_ok=True)
    with (machinery.OWN / "watcher.log").open("w") as log:
        child = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).resolve()), "run"],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    pid.write_text(str(child.pid))
    deadline = time.monotonic() + 60
    while not ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise machinery.LabError(f"the watcher does not start: {machinery.OWN / 'watcher.log'}")
        time.sleep(0.1)


def run():
    """Watch until a SIGTERM, then write down what was seen."""
    plan = machinery.load()
    watcher = Watcher(plan.ganeti, running(plan))

    def stop(*_dummy):
        watcher.stopping = True
    signal.signal(signal.SIGTERM, stop)
    (machinery.OWN / "watcher.ready").touch()
    watcher.run()
    told = files()[1]
    part = told.with_suffix(".part")
    part.write_text(json.dumps(watcher.report(), indent=2))
    part.replace(told)


def stop():
    """End it; what was seen."""
    pid, told = files()
    os.kill(int(pid.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + 30
    while not told.exists():
        if time.monotonic() > deadline:
            raise machinery.LabError(f"the watcher has not ended: {machinery.OWN / 'watcher.log'}")
        time.sleep(0.1)
    pid.unlink()
    return json.loads(told.read_text())


def main():
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what == "start":
        start()
    elif what == "run":
        run()
    elif what == "stop":
        seen = stop()
        print(json.dumps(seen, indent=2))
        sys.exit(1 if seen["down"] else 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
