# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: watch the service, with the module C(probe), and judge what was seen.
# state: started, read and stopped ask the watcher, on the host that watches. started ends that of an earlier run, which
# was killed; read marks the step that is next.
# state: begun records that the service is watched. judged records what was read, result, and fails if more than budget
# requests have failed, or if nobody watches any more. ended records the last of it, and says it.

import os

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _watch
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import PersistentAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import said
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import RUN_FACT, changed, plain, run_of

ARGUMENTS = dict(
    state=dict(type="str", choices=["started", "begun", "read", "judged", "stopped", "ended"], required=True),
    url=dict(type="str", default=""),
    options=dict(type="dict", default={}, no_log=True),
    batch=dict(type="list", elements="str", default=[]),
    result=dict(type="dict", default={}),
    budget=dict(type="int", default=0),
)
# A watcher ends after a day at the latest: an operator may pause a roll over night.
DAY = dict(max_seconds=86400, idle_seconds=86400)


class ActionModule(PersistentAction):
    """Each state is a method."""

    def act(self, task_vars):
        self.arguments = plain(self.validate_argument_spec(argument_spec=ARGUMENTS)[1])
        self.record, self.task_vars = run_of(task_vars["hostvars"]), task_vars
        return dict(dict(changed=False), **getattr(self, self.arguments["state"])())

    def probe(self, **arguments):
        arguments["id"] = _watch.watcher(self.arguments["url"])
        return self.persist(lambda: self._execute_module(
            module_name="shakenfist.rolling.probe", module_args=arguments, task_vars=self.task_vars), self.task_vars)

    def noted(self, began, result, task_vars):
        return {}  # no step of a node, so nothing for its timeline

    def keep(self, **values):
        return {RUN_FACT: changed(self.record, watch=dict(self.record.watch, **values))}

    def started(self):
        before = self.probe(state="stopped")
        if before.get("failed"):
            return before
        # Tasks run in processes that ansible-playbook forks. On another host it is no process.
        owner = dict(owner=os.getppid()) if self._connection.transport == "local" else {}
        return self.probe(url=self.arguments["url"], **owner, **self.arguments["options"], **DAY)

    def begun(self):
        return dict(ansible_facts=self.keep(started=True))

    def read(self):
        if not self.record.watch.get("started"):
            return dict(skipped=True)
        return self.probe(state="read", mark=_watch.mark(self.record.watch, self.arguments["batch"]))

    def judged(self):
        result = self.arguments["result"]
        if result.get("skipped"):
            return {}
        problem = _watch.problem(result, self.arguments["url"], self.arguments["budget"])
        if problem:
            return dict(failed=True, stopped=True, msg=problem)
        return dict(ansible_facts=self.keep(begun=True, seen=result.get("probe") or {}))

    def stopped(self):
        return self.probe(state="stopped")

    def ended(self):
        result = self.arguments["result"]
        words = _watch.summary(result, self.arguments["url"])
        self._display.display(said(words, self.task_vars["inventory_hostname"], self._task.get_name()))
        return dict(ansible_facts=self.keep(seen=result.get("probe") or {}))
