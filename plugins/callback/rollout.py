# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: rollout
type: stdout
short_description: Show the progress of a roll, and write down its events
version_added: 0.1.0
author: The shakenfist.rolling authors (@shakenfist)
description:
  - Takes the place of the task by task output of C(ansible-playbook) while a playbook of this collection, or a role of
    it, runs. What else is in a playbook is shown as ever.
  - In a log, one line for each step of each node. On a terminal, below these lines, a block of at most four lines that
    is redrawn each second. It says how many nodes are done and when the rest will be, what the current node does and
    for how long, how many peers were ready, and, where a probe runs, how many requests have failed.
  - Failures, warnings and differences (C(--diff)) are printed in full, by Ansible's own default output. So is
    everything with C(-v). What the roles say on purpose is printed as it is.
  - Writes each event into O(rollout_log).
  - It never changes a run. If it fails itself, it warns once, and the run goes on.
  - In O(ignore:callbacks_enabled) instead of O(ignore:stdout_callback) it works beside another output. Then it writes
    the events, and prints its lines, but no block. That is for AWX and ansible-runner, which have an output of their
    own.
options:
  rollout_log:
    description:
      - The file that the events are appended to, as seen from the directory that C(ansible-playbook) was started in. An
        empty string for none.
      - It is made by the first task of this collection, so that other playbooks leave no file.
      - A file that cannot be written is a warning.
    type: str
    default: rollout.jsonl
    env:
      - name: ROLLOUT_LOG
    ini:
      - section: callback_rollout
        key: rollout_log
  result_format:
    description: How results are printed, of failures for example. V(yaml) shows messages of several lines as lines.
    type: str
    choices: [json, yaml]
    default: yaml
    env:
      - name: ANSIBLE_CALLBACK_RESULT_FORMAT
    ini:
      - section: defaults
        key: callback_result_format
extends_documentation_fragment:
  - ansible.builtin.default_callback
  - ansible.builtin.result_format_callback
"""

EXAMPLES = r"""
enable: |
  # In ansible.cfg:
  [defaults]
  stdout_callback = shakenfist.rolling.rollout

  # Or for one run:
  ANSIBLE_STDOUT_CALLBACK=shakenfist.rolling.rollout ansible-playbook -i INVENTORY shakenfist.rolling.upgrade

out_of_rotation: |
  # How long was each node out of rotation?
  jq -r 'select(.event == "done") | "\(.node) \(.out_of_rotation) s"' rollout.jsonl
"""

RETURN = r"""
# A line of the file; docs/watching.md has the fields of each event.
time:
  description: When it happened, in UTC, by the clock of the machine that C(ansible-playbook) runs on.
  returned: always
  type: str
  sample: "2026-11-21T12:03:44.123Z"
run:
  description: The id of the run, the same as in the lock.
  returned: always
  type: str
  sample: 1a2b3c4d
event:
  description: What has happened - V(start), V(plan), V(begin) and V(end) of a step, V(task), V(unit), V(message),
    V(failed), V(pause), V(resume), V(done) with a node, V(finish).
  returned: always
  type: str
  sample: end
node:
  description: The name in the inventory. A step without one is taken by all nodes at once.
  returned: where it is of one node
  type: str
  sample: sf-1
step:
  description: Such as V(stage) of all nodes, or V(drain) of one.
  returned: where it is of a step
  type: str
  sample: drain
"""

import atexit
import functools
import os
import socket
import sys
import traceback

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible_collections.shakenfist.rolling.plugins.action.lock import myself
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import (
    COLLECTION,
    Announcement,
    Ear,
    Live,
    Log,
    Rollout,
    clock,
    describe,
    printable,
    stamped,
    words,
)

NAME = f"{COLLECTION}.rollout"
ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..")) + os.sep
# Where it is the output, it is Ansible's default one that says less. Where it is not (callbacks_enabled), the methods
# that it inherits say nothing. ansible-runner puts an output of its own over the one that was asked for.
IS_OUTPUT = NAME in (C.DEFAULT_STDOUT_CALLBACK, os.environ.get("ORIGINAL_STDOUT_CALLBACK"))
COLORS = {"done": C.COLOR_OK, "failed": C.COLOR_ERROR, "interrupted": C.COLOR_ERROR, "stopped": C.COLOR_WARN}


def guarded(method):
    """Whatever goes wrong in the method is told once and ends there: who shows a run does not change it."""

    @functools.wraps(method)
    def wrapper(self, *args):
        try:
            with self._display._lock:
                return method(self, *args)
        except Exception as exc:
            self.complain(exc)
            return None
    return wrapper


@functools.lru_cache(maxsize=None)
def is_inside(path):
    return bool(path) and os.path.realpath(path).startswith(ROOT)


def is_ours(item):
    """Whether a play or a task is from this collection. It has no path if Ansible has made it up."""
    return is_inside(item.get_path().rpartition(":")[0])


def parts(result):
    """The host, the task and the data of a result, which ansible-core 2.19 has made public."""
    if hasattr(result, "result"):
        return result.host.get_name(), result.task, result.result
    return result._host.get_name(), result._task, result._result


def is_secret(task, data):
    return bool(task.no_log or data.get("_ansible_no_log") or "censored" in data)


def spoken(data):
    """What a task says on purpose, as debug does: its lines, or None."""
    text = data.get("msg")
    text = text if isinstance(text, list) else [text]
    if not data.get("_ansible_verbose_always") or not all(isinstance(line, str) for line in text):
        return None
    return "\n".join(text).splitlines()


def warns(data):
    return any(data.get(key) for key in ("warnings", "deprecations", "exception"))


def verdict(stats):
    """How the run went, and the nodes that failed. Without statistics it has been interrupted."""
    if stats is None:
        return "interrupted", []
    counts = {host: stats.summarize(host) for host in sorted(stats.processed)}
    failed = [host for host, count in counts.items() if count["failures"] or count["unreachable"]]
    return "failed" if failed else "ok", failed


class CallbackModule(DefaultCallback if IS_OUTPUT else CallbackBase):
    """Each method first lets the view know, which never fails, and then does what the default output does, or not."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout" if IS_OUTPUT else "aggregate"
    CALLBACK_NAME = NAME
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.rollout = self.log = self.ear = self.live = self._play = None
        self.awake = self.complained = self.postponed = False
        self.playbook = self.path = self.run = self.differs = ""

    # ---- the view

    def complain(self, exc):
        if not self.complained:
            self.complained = True
            self._display.warning(f"The view of the roll has failed, the run goes on: {type(exc).__name__}: {exc}")
            self._display.vvv(traceback.format_exc())

    @guarded
    def begin(self, playbook):
        self.playbook = playbook._file_name
        self.rollout = Rollout(self.tell, os.path.splitext(os.path.basename(self.playbook))[0])
        self.awake = False

    @guarded
    def wake(self):
        """Begin with the first task of this collection: other playbooks are none of our business."""
        if self.awake or not self.rollout:
            return
        self.awake = True
        mine = myself(os.getpid())
        self.run = mine["run"]
        self.path = os.path.expanduser(self.get_option("rollout_log") or "")
        self.ear = Ear(self._display, self.hear)
        atexit.register(self.end, None)
        self.rollout.event("start", self.rollout.began, user=mine["user"], host=socket.gethostname(),
                           directory=os.getcwd(), playbook=self.playbook, run=self.run,
                           inventory=list(context.CLIARGS["inventory"] or []), limit=context.CLIARGS["subset"],
                           check=bool(context.CLIARGS["check"]))

    def write(self, event):
        """Write an event into the file, as long as that works."""
        try:
            if self.path:
                self.log = self.log or Log(self.path, self.run)
                self.log.write(event)
        except OSError as exc:
            self._display.warning(f"The events are not written to {self.path}, the run goes on: {exc.strerror}")
            self.log, self.path = None, ""

    def tell(self, event):
        """Write an event down, and print its line."""
        self.write(event)
        # Not earlier: as long as the nodes were not all reached, ssh may ask for something.
        rolls = event["event"] == "plan" or event["event"] == "begin" and "node" in event
        if rolls and not self.live and self.wants_live():
            self.ear.end()
            self.ear = self.live = Live(self._display, self.hear, self.rollout.lines, self.complain)
        if self.live and event["event"] == "begin":
            self.live.draw()
            return
        line = words(event, self.rollout)
        if line:
            self._display.display(printable(f"{clock(event['moment'])} {line}"),
                                  color=COLORS.get(event.get("result", event["event"])))

    def wants_live(self):
        """Whether a person looks at a terminal that can redraw lines. An output that only builds on this one cannot."""
        return (self.is_quiet() and C.DEFAULT_STDOUT_CALLBACK == NAME and sys.stdout.isatty()
                and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI"))

    @guarded
    def started(self, host, task):
        if self.awake:
            self.rollout.started(host.get_name(), describe(task))

    @guarded
    def finished(self, result, outcome):
        host, task, data = parts(result)
        if not self.awake:
            return
        if outcome == "ok" and data.get("changed"):
            outcome = "changed"
        if outcome == "unreachable" and task.ignore_unreachable:
            outcome = "ignored"
        told = is_ours(task) and not is_secret(task, data)
        self.rollout.finished(host, outcome, describe(task), data if told else {})

    @guarded
    def speak(self, result):
        """Print what a task of this collection says on purpose; tell whether it was printed."""
        host, task, data = parts(result)
        lines = spoken(data)
        if not lines or not self.awake or not is_ours(task) or is_secret(task, data):
            return False
        self.rollout.message(host, describe(task), "\n".join(lines))
        if not self.is_quiet() or warns(data):
            return False
        self._display.display(stamped(self.rollout.latest, lines if len(lines) == 1 else [task.name, *lines]))
        return True

    def hear(self, text):
        """What to print in the place of a text."""
        return self.stamp(text) or text

    @guarded
    def stamp(self, text):
        """Put the time before an announcement, as before all that the roles say on purpose."""
        if not isinstance(text, Announcement):
            return text
        self.rollout.heard(text.event)
        if not text:
            return text
        return stamped(self.rollout.now(), text.splitlines()) if self.is_quiet() else text

    def is_quiet(self):
        return IS_OUTPUT and self._display.verbosity == 0

    @guarded
    def is_silent(self, result):
        """Whether a result that is no failure needs no word of the default output."""
        task, data = parts(result)[1:]
        return self.is_quiet() and is_ours(task) and not warns(data) and not spoken(data)

    @guarded
    def is_ours_and_quiet(self, item):
        return self.is_quiet() and is_ours(item)

    @guarded
    def make_way(self, task):
        """Leave the terminal alone while somebody else's task runs: it may ask a question there.

        What it prints comes below the line of the step before it.
        """
        if is_ours(task):
            self.wake()
        elif self.awake:
            self.rollout.close()
        if self.live:
            self.live.show(is_ours(task))

    @guarded
    def rest(self, stats):
        """Nothing goes on any more, and the terminal is as it was."""
        if self.awake:
            self.ear.end()
            self.rollout.rest(verdict(stats)[0])

    @guarded
    def end(self, stats):
        if not self.awake:
            return
        self.rest(stats)
        self.awake = False
        self.rollout.finish(*verdict(stats))
        if self.log:
            self._display.display(f"{clock(self.rollout.now())} events: {self.path}")
            self.log.close()
        self.live = self.log = None

    # ---- what Ansible calls

    def v2_playbook_on_start(self, playbook):
        self.begin(playbook)
        super().v2_playbook_on_start(playbook)

    def v2_playbook_on_play_start(self, play):
        if self.is_ours_and_quiet(play):
            self._play = play
        else:
            super().v2_playbook_on_play_start(play)

    def v2_on_file_diff(self, result):
        # Only by the line that is left out after it the default output says of which host a difference is.
        self.differs = parts(result)[0] if self.is_silent(result) else ""
        super().v2_on_file_diff(result)

    def _get_diff(self, difflist):
        found = super()._get_diff(difflist)
        return f"{self.differs}:\n{found}" if found and self.differs else found

    def v2_playbook_on_no_hosts_matched(self):
        if not self.is_ours_and_quiet(self._play):
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.make_way(task)
        # The banner is printed by whatever is printed first below it.
        self.postponed = self.is_ours_and_quiet(task)
        super().v2_playbook_on_task_start(task, is_conditional)
        self.postponed = False

    def _print_task_banner(self, task):
        if not self.postponed:
            super()._print_task_banner(task)

    def v2_playbook_on_include(self, included_file):
        if not self.is_ours_and_quiet(getattr(included_file, "_task", None)):
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_start(self, host, task):
        self.started(host, task)
        super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result):
        self.finished(result, "ok")
        if not self.speak(result) and not self.is_silent(result):
            super().v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result):
        self.finished(result, "skipped")
        if not self.is_silent(result):
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_ok(self, result):
        if not self.is_silent(result):
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_skipped(self, result):
        if not self.is_silent(result):
            super().v2_runner_item_on_skipped(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        super().v2_runner_on_failed(result, ignore_errors)
        self.finished(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        super().v2_runner_on_unreachable(result)
        self.finished(result, "unreachable")

    def v2_playbook_on_stats(self, stats):
        self.rest(stats)
        super().v2_playbook_on_stats(stats)
        self.end(stats)
