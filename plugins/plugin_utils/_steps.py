# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Each task for each node costs the controller a process. So what happens in a row on one node is one action, which
# calls the modules itself.

import base64
import time
from functools import cached_property
from types import SimpleNamespace

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import reason
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import (
    OUTER,
    PersistentAction,
    runs_once,
    written,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import (
    DETAILS,
    Announcement,
    details_of,
    said,
    step_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import entry_of, with_entries

COLLECTS = ("warnings", "deprecations")
# What a result that has failed wants to be recorded of its node. Outputs do not print a key of this kind.
NOTED = "_ansible_noted"


def skipped(why):
    """The result of an action that has nothing to do: Ansible shows it as skipped."""
    return dict(skipped=True, skip_reason=why)


class Failed(Exception):
    """The end of an action. The result is that of the module that has failed, and becomes that of the task."""

    def __init__(self, result, title=""):
        super().__init__(str(result.get("msg") or "failed"))
        self.result, self.title = result, title
        # Of the modules before it that were asked in one go.
        self.answers = []


class StepsAction(PersistentAction):
    """Several modules on one node, one after the other.

    A subclass has C(steps), which calls C(module) and may return what else belongs to the result. To the report and to
    the callback each call is what a task of its own would be.
    """

    # Whether each call is an event and is timed, or the action as a whole.
    tells_modules = True

    def act(self, task_vars):
        self.task_vars, self.values, self.entries, self.timing = task_vars, {}, [], {}
        self.collected: dict = dict(changed=False)
        self.step = self.aside(step_of, self._task) or "" if self.tells_modules else ""
        try:
            result = self.steps(task_vars) or {}
        except Failed as exc:
            result = dict(exc.result, failed=True, **(dict(title=exc.title) if exc.title else {}))
            other = self.delegate(task_vars)
            if other not in ("", task_vars["inventory_hostname"]) and not result.get("away"):
                # Else it would be taken for a fault of the node whose turn it is.
                result.update(away=other, msg=f"on {other}: {result.get('msg')}")
        # What several modules have said is joined; all else is that of the action, or of the module that has failed.
        facts = {**self.collected.pop("ansible_facts", {}), **result.get("ansible_facts", {})}
        return dict(result, **self.collected, **self.recorded(bool(result.get("failed")), facts))

    @cached_property
    def name(self):
        return self.task_vars["inventory_hostname"]

    @cached_property
    def hostvars(self):
        return self.task_vars["hostvars"]

    @cached_property
    def run_record(self):
        """What is known of the run when the action begins."""
        return run_of(self.hostvars)

    @cached_property
    def record(self):
        """What the run has noted of the node when the action begins."""
        return node_of(self.hostvars, self.name, self.run_record)

    def steps(self, task_vars):
        """Call the modules."""
        raise NotImplementedError

    def begin(self, step, about=""):
        """What comes next belongs to this step, not to that of the task or to the one before.

        :arg about: what of the node it is about, if it is not the node as a whole.
        """
        if step != self.step:
            self.step = step
            self.aside(self.announce, dict(event="step", step=step, **(dict(about=about) if about else {})))

    def module(self, module, task_vars, /, title="", tolerated=False, **arguments):
        """What a module of the collection returns; where it fails, so does the task.

        :arg title: what it does, in words, if it is not what the task does.
        :arg tolerated: whether it may fail: that is an answer, too.
        """
        began = time.time()
        answer = self.launch(module, task_vars, arguments)
        return self.took(title, module, arguments, dict(answer, failed=False) if tolerated else answer, began)

    def launch(self, module, task_vars, arguments):
        """What a module of the collection returns, as soon as the node is there to start it."""
        calls = arguments["calls"] if module == "several" else [dict(module=module, arguments=arguments)]
        return self.persist(lambda: self.run_module(module, arguments, task_vars), task_vars,
                            once=any(runs_once(**call) for call in calls))

    def several(self, task_vars, /, *calls):
        """What several modules return, which the node runs in one go: to start each of them takes it a quarter second.

        :arg calls: of each what it does, in words, its name and its arguments.
        """
        if len(calls) == 1:
            title, module, arguments = calls[0]
            return [self.module(module, task_vars, title=title, **arguments)]
        began, answers = time.time(), []
        asked = [dict(module=module, arguments=arguments) for dummy, module, arguments in calls]
        answer = self.launch("several", task_vars, dict(calls=asked))
        if not answer.get("answers"):
            title = "; ".join(filter(None, (title for title, *dummy in calls)))
            dummy, module, arguments = calls[0]
            return [self.took(title, module, arguments, answer, began)]
        self.collect({key: answer[key] for key in OUTER if key in answer})
        # The start of it all belongs to the first.
        left = sum(each["seconds"] for each in answer["answers"])
        ended = time.time()
        for (title, module, arguments), each in zip(calls, answer["answers"]):
            left -= each.pop("seconds")
            try:
                answers.append(self.took(title, module, arguments, each, began, ended - left))
            except Failed as exc:
                exc.answers = answers
                raise
            began = ended - left
        return answers

    def took(self, title, module, arguments, answer, began, ended=None):
        """Take what a module has answered; where it has failed, the task fails."""
        self.collect(answer)
        entry = self.aside(self.tell, module, arguments, answer, began, ended or time.time())
        if answer.get("failed"):
            self.timing = entry
            raise Failed(answer, title)
        self.entries.append(entry)
        return answer

    def in_venv(self, venv):
        """The variables for a module that only the Python of the product's virtualenv can run: it has gRPC."""
        return dict(self.task_vars, ansible_python_interpreter=f"{venv}/bin/python")

    def execute(self, argv):
        """Run a command of the node; it may fail."""
        return self._execute_module(module_name="ansible.legacy.command", module_args=dict(argv=argv),
                                    task_vars=self.task_vars)

    def kept(self, ask, title):
        """What is done without a module of the collection; where it fails, so does the task."""
        answer = self.persist(ask, self.task_vars)
        self.collect(answer)
        if answer.get("failed"):
            raise Failed(answer, title)
        return answer

    def exists(self, path, title):
        """Whether there is a file on the node."""
        return self.kept(lambda: self._execute_module(module_name="ansible.legacy.stat", module_args=dict(path=path),
                                                      task_vars=self.task_vars), title)["stat"]["exists"]

    def write(self, title, path, text, mode):
        """Write a file on the node, whole or not at all; where that fails, so does the task."""
        def ask():
            answer = self._execute_module(module_name="ansible.legacy.command", module_args=written(path, text, mode),
                                          task_vars=self.task_vars)
            if not answer.get("failed"):
                return answer
            why = answer.get("stderr") or answer.get("msg")
            return dict(answer, failed=True, msg=f"cannot write the record {path}: {why}")
        self.kept(ask, title)

    def read(self, title, path):
        """What is in a file on the node."""
        answer = self.kept(lambda: self._execute_module(module_name="ansible.legacy.slurp", module_args=dict(path=path),
                                                        task_vars=self.task_vars), title)
        return base64.b64decode(answer["content"]).decode(errors="replace")

    def remove(self, title, *paths):
        """Have no such files on the node, one after the other."""
        for path in paths:
            self.kept(lambda path=path: self._execute_module(
                module_name="ansible.legacy.file", module_args=dict(path=path, state="absent"),
                task_vars=self.task_vars), title)

    def setting(self, name, default=None):
        """A variable of the node, worked out."""
        return self._templar.template(self.task_vars[name]) if name in self.task_vars else default

    def check(self, problem, title="", **more):
        """End the task if there is a problem."""
        if problem:
            raise Failed(dict(more, msg=problem), title)

    def so_far(self, key):
        """What the record of the node says of something, with what this action has noted of it."""
        return self.values.get(key, getattr(self.record, key))

    def note(self, **values):
        """Have the record of the node say so, whatever comes of the task."""
        self.values.update(values)

    def add_notes(self, *lines, key="notes"):
        """Have the report warn of more; with the C(key) V(done), tell of more that was done with the node."""
        known = self.so_far(key)
        self.note(**{key: [*known, *(line for line in lines if line not in known)]})

    def warn(self, words):
        """Warn at once, and in the report."""
        self.say(f"warn  {words}")
        self.add_notes(words)

    def remember(self, **values):
        """Keep it in what the run does with the node while all of the product is down."""
        self.note(tier={**self.so_far("tier"), **values})

    def say(self, *lines):
        """Tell the operator, while the task still runs."""
        node, task = self.task_vars["inventory_hostname"], self._task.get_name()
        self._display.display(said("\n".join(lines), node, task, self.step))

    def collect(self, answer):
        """Keep what belongs to the result of the task, of whichever module it comes."""
        found = self.collected
        found["changed"] = found["changed"] or bool(answer.get("changed"))
        for key in COLLECTS:
            if answer.get(key):
                found[key] = [*found.get(key, []), *answer[key]]
        if answer.get("diff"):
            diffs = answer["diff"] if isinstance(answer["diff"], list) else [answer["diff"]]
            found["diff"] = [*found.get("diff", []), *diffs]
        if answer.get("ansible_facts"):
            found["ansible_facts"] = {**found.get("ansible_facts", {}), **answer["ansible_facts"]}

    def tell(self, module, arguments, answer, began, ended):
        """Tell that a module has ended; its entry in the timeline."""
        if module in DETAILS:
            result = "failed" if answer.get("failed") else "changed" if answer.get("changed") else "ok"
            self.announce(dict(event="module", step=self.step, module=module, result=result,
                               seconds=round(ended - began, 3), details=plain(details_of(module, answer))))
        return entry_of(self.step, began, ended, module, arguments, answer) if self.step else None

    def announce(self, event):
        """Let the callback know at once: a fault, a user and a log wait for it. Without the callback nobody sees it."""
        if self.tells_modules and not self._task.no_log:
            event = dict(event, node=self.task_vars["inventory_hostname"])
            self._display.display(Announcement("", event), screen_only=True, log_only=True)

    def recorded(self, failed, facts):
        """The parts of the result that go to the record of the node."""
        # What runs once for all nodes would give each of them the timeline of the first.
        timed = self.tells_modules and not self._task.run_once
        entries = [entry for entry in self.entries if entry and timed]
        if not entries and not self.values:
            found = dict(ansible_facts=facts) if facts else {}
        elif failed:
            # Ansible takes no facts from what has failed: whoever records the cause takes them from here.
            found = {NOTED: dict(self.values, timeline=entries)}
        else:
            found = dict(ansible_facts=with_entries(facts, self.task_vars, entries, **self.values))
        return dict(found, timing=self.timing) if failed and timed and self.timing else found

    def noted(self, began, result, task_vars):
        return {} if self.tells_modules else super().noted(began, result, task_vars)


class StatesAction(StepsAction):
    """One whose argument C(state) names the method that has the steps; C(given) has all of its C(arguments)."""

    arguments: dict = {}

    def steps(self, task_vars):
        self.given = SimpleNamespace(**plain(self.validate_argument_spec(argument_spec=self.arguments)[1]))
        self.prepare(task_vars)
        return getattr(self, self.given.state)()

    def prepare(self, task_vars):
        """What each state needs."""

    def begin(self, step, about=""):
        """Where the action has C(service), the step is about that."""
        super().begin(step, about or getattr(self.given, "service", ""))

    def mark(self, moment, value=None):
        """Note of C(service) when it went out of service, or was seen to be back."""
        name, known = self.given.service, {**self.record.services, **self.values.get("services", {})}
        self.note(services={**known, name: {**known.get(name, {}), moment: value or time.time()}})

    def call(self, title, module, **arguments):
        return self.module(module, self.task_vars, title=title, **arguments)


class LookingAction(StatesAction):
    """One whose state C(seen) looks at a node."""

    def patience(self, task_vars):
        """A node that is lost is an answer, too, before anything is done."""
        return None if self._task.args.get("state") == "seen" and not self._task.args.get("whole") else (
            super().patience(task_vars))

    @staticmethod
    def noting(seen, see):
        """Look, and have what was seen say why it is no more."""
        try:
            see(seen)
        except AnsibleConnectionFailure as exc:
            seen["failure"] = f"it cannot be reached: {exc}"
        except Failed as exc:
            seen["failure"] = reason(words_of(exc.result, "unknown failure"))
        except AnsibleError as exc:
            seen["failure"] = reason(str(exc))
