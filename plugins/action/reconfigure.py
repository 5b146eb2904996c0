# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: run the command that changes the configuration of a drained node.
# state: checked only looks whether it could be run, before any node is touched.
# state: done runs it, and returns which of the daemons it has left to restart, the runs of all, and whether the node
# serves again, so that it has to be drained once more for those.

import os
import subprocess
import time

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _reconfigure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import StatesAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import entry_of

TEXT = dict(type="str", default="")
NAMES = dict(type="list", elements="str", default=[])
SECONDS = dict(type="float", default=0)
ARGUMENTS = dict(
    state=dict(type="str", choices=["checked", "done"], required=True), node=dict(type="dict", default={}),
    command=TEXT, playbook=TEXT, inventory=NAMES, limit=TEXT, arguments=NAMES,
    where=dict(type="str", choices=["controller", "node"], default="controller"),
    timeout=SECONDS, ready_timeout=SECONDS, log=TEXT, units=NAMES,
)


class ActionModule(StatesAction):
    """Change a node by a command; each state is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        given, name = self.given, task_vars["inventory_hostname"]
        self.where = "this machine" if given.where == "controller" else name
        self.job = _reconfigure.job_of(name, given.command, given.playbook, given.inventory, given.limit,
                                       given.arguments, given.where)

    def checked(self):
        self.check(self.job.problem and f"Nothing was touched. {self.job.problem}")
        log = self.given.log
        answer = self.execute(["sh", "-c", _reconfigure.PROBE, "sh", self.job.program, log])
        if answer.get("rc") != 0:
            found = _reconfigure.absence(self.job, log, self.where, answer.get("stdout"))
            self.check(f"Nothing was touched. {found}")

    def done(self):
        given, node = self.given, self.given.node
        self.check(self.job.problem)
        # Not as the preflight has seen them: the command for another node may have restarted one of this node since.
        before = self.several(self.task_vars, self.daemons())[0]["units"]
        if not self._task.check_mode:
            self.run_command()
        place = dict(path=node["venv"], releases=node["releases"], distribution=node["distribution"])
        releases, after = self.several(self.task_vars, ("Look at the release", "release_info", place), self.daemons())
        self.check(_reconfigure.release_problem(self.job, node, releases), "Stop if the release is another one")
        after = after["units"]
        left = _reconfigure.left_of(given.units, before, after)
        restarted = node["api_unit"] not in left and not self._task.check_mode
        return dict(left=left, runs=after, serves=bool(left and restarted and self.is_ready()))

    def daemons(self):
        return "Look at the daemons", "units_info", dict(patterns=self.given.units)

    def run_command(self):
        given, began = self.given, time.time()
        script = _reconfigure.logged(self.job.line, given.log, given.timeout)
        try:
            answer = self.execute(["/bin/bash", "-c", script])
        except (AnsibleError, OSError) as exc:
            # It may have cut its own connection. What comes next waits for the node; the command is not run twice.
            answer = dict(msg=str(exc))
        self.collected["changed"] = True
        self.entries.append(entry_of(self.step, began, time.time(), "reconfigure", {}, self.collected))
        failed = given.playbook and answer.get("rc") != 0
        self.check(_reconfigure.failure(self.job, answer, given.timeout, given.log, self.where,
                                        _reconfigure.end_of(given.log) if failed else ""))

    def execute(self, argv):
        """Run a command on the node, or on this machine as who has started the playbook."""
        if self.given.where == "node":
            return self._execute_module(module_name="ansible.legacy.command", module_args=dict(argv=argv),
                                        task_vars=self.task_vars)
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)  # of the task
        done = subprocess.run(argv, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return dict(rc=done.returncode, stdout=done.stdout.decode(errors="replace"))

    def is_ready(self):
        """Whether the API can be drained: one that does not turn ready is restarted with the rest."""
        node = self.given.node
        return self.module("ready_info", self.task_vars, tolerated=True, urls=[node["ready_url"]],
                           unit=node["api_unit"], timeout=self.given.ready_timeout).get("ready")
