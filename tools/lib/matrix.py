# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the fault matrix as a queue: several labs side by side, and results kept with the state they saw."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import threading
import time

# What a row's result depends on; pages and tests of the tools are no part of it.
TREE = ('ansible.cfg', 'inventories/lab', 'meta', 'playbooks', 'plugins', 'roles', 'tests/lab',
        'tests/requirements.txt', 'tools/lab', 'tools/lib')
PATIENCE = 60           # seconds in which an interrupted worker must have taken its lab down


# ---- results that are kept

def digest(root, subject):
    """The state of the tree as far as the rows of a subject depend on it: other subjects' rows do not count."""
    rows, result = root / 'tests' / 'lab' / 'faults', hashlib.sha256()
    own = {rows / 'rows.py', rows / (subject + '.py')}
    for name in TREE:
        for path in sorted([root / name, *(root / name).rglob('*')]):
            if (path.is_file() and '__pycache__' not in path.parts and path.suffix not in ('.md', '.pyc')
                    and not path.name.startswith('test_') and (path.parent != rows or path in own)):
                result.update(b'%s\0%s\0' % (str(path.relative_to(root)).encode(),
                                             hashlib.sha256(path.read_bytes()).digest()))
    return result.hexdigest()[:16]


@dataclasses.dataclass
class Kept:
    """The last result of a row, and what it holds for."""
    result: dict
    state: str
    at: str

    def holds(self, state):
        return self.state == state and not self.result['problems']


def keep(folder, state, result):
    path = folder / (result['name'] + '.json')
    part = path.with_suffix('.part')
    part.write_text(json.dumps(dict(result=result, state=state, at=time.strftime('%Y-%m-%d %H:%M:%S')), indent=1))
    part.replace(path)


def kept(folder, name):
    """The result that was kept of a row, or None where there is none that can be read."""
    try:
        return Kept(**json.loads((folder / (name + '.json')).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def longest_first(names, folder):
    """So that no lab is left with a long row at the end; a row of which nothing is known counts as long."""
    def seconds(name):
        last = kept(folder, name)
        return last.result['seconds'] if last and not last.result['problems'] else float('inf')
    return sorted(names, key=seconds, reverse=True)


# ---- workers

class Worker:
    """A process with a lab of its own; it is given one row after the other, and ends at 'end' or without anybody."""

    def __init__(self, command, lab):
        self.lab = lab
        # A session of its own: Ctrl-C reaches the first program only, which ends the others in order.
        self.child = subprocess.Popen([str(word) for word in command], env=dict(os.environ, LAB_NAME=lab), text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

    def say(self, word):
        with contextlib.suppress(BrokenPipeError):
            print(word, file=self.child.stdin, flush=True)

    def carry_out(self, name):
        """The result of a row; None where the worker has ended instead."""
        self.say(name)
        line = next(iter(self.child.stdout or ()), '')
        return json.loads(line) if line else None

    def end(self):
        self.say('end')
        self.child.wait()

    def interrupt(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGINT)

    def gone(self, patience):
        """Waits until it has ended; one that does not is killed, and False says that it has left its lab."""
        try:
            return self.child.wait(patience) in (0, 130)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
            return False


class Matrix:
    """Gives rows to workers. `done(result)` is called for each row, by one thread at a time."""

    def __init__(self, names, workers, done):
        self.queue = collections.deque(names)
        self.workers = workers
        self.done = done
        self.lock = threading.Lock()
        self.stopping = False

    def serve(self, worker):
        while not self.stopping:
            try:
                name = self.queue.popleft()
            except IndexError:
                break
            result = worker.carry_out(name)
            with self.lock:
                if self.stopping:
                    return
                if result is None:
                    self.done(dict(name=name, problems=['its worker has ended (rc %s)' % worker.child.wait()]))
                    return
                self.done(result)
        if not self.stopping:
            worker.end()

    def run(self):
        threads = [threading.Thread(target=self.serve, args=(worker,), daemon=True) for worker in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def interrupt(self):
        """Ends the rows that are under way, and the labs with them; returns the labs that were left."""
        self.stopping = True
        for worker in self.workers:
            worker.interrupt()
        deadline = time.monotonic() + PATIENCE
        return [worker.lab for worker in self.workers if not worker.gone(max(deadline - time.monotonic(), 1))]
