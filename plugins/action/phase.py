# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: run the commands that a product has for one point of a roll, on one node.
# point: before the schema is migrated, migrate, and after all services run the release. orphans removes from the
# product's records the services that the plan has found dead.

import json
import re

from ansible_collections.shakenfist.rolling.plugins.action.migration import BACKUP
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import last_lines
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import StepsAction

PHASE = dict(
    title=dict(type="str", required=True), release=dict(type="str", choices=["active", "staged"], default="staged"),
    command=dict(type="list", elements="str", required=True), again=dict(type="list", elements="int", default=[]),
    warn=dict(type="list", elements="int", default=[]), transient=dict(type="list", elements="int", default=[]),
    timeout=dict(type="float", default=0), once=dict(type="bool", default=False),
    looks=dict(type="bool", default=False),
    wanted=dict(type="bool", default=True))
POINTS = {point: dict(type="list", elements="dict", default=[], options=PHASE)
          for point in ("before", "migrate", "after")}
ARGUMENTS = dict(
    point=dict(type="str", required=True), node=dict(type="dict", required=True),
    target=dict(type="dict", required=True), phases=dict(type="dict", default={}, options=POINTS),
    info=dict(type="str", default=""), remove=dict(type="list", elements="str", default=[]),
    backup=dict(type="dict", default={}),
)


class ActionModule(StepsAction):
    """Run the commands one after the other."""

    def steps(self, task_vars):
        given = self.given = plain(self.validate_argument_spec(argument_spec=ARGUMENTS)[1])
        self.node, self.target = given["node"], given["target"]
        self.record = node_of(task_vars["hostvars"], task_vars["inventory_hostname"])
        self.staged = f"{self.node['releases']}/{self.target['name']}"
        if given["point"] == "orphans":
            return self.orphans()
        backup = given["backup"]
        if backup and backup.pop("mode") != "never" and backup["connection"] and not self.has_begun():
            self.back_up()
        for phase in given["phases"].get(given["point"]) or []:
            if phase.pop("wanted"):
                self.run_phase(**phase)
        return {}

    def has_begun(self):
        """Whether a service runs the release already: the schema was migrated before, so no backup leads back."""
        hostvars = self.task_vars["hostvars"]
        nodes = [plain(hostvars[name].get("cluster_node") or {}) for name in run_of(hostvars).plan.get("serving") or []]
        return any(one["release"] == self.target["name"] for node in nodes for one in node.get("services", {}).values())

    def command(self, title, command, release, **options):
        return self.module("release_command", self.task_vars, title=title, command=command, user=self.node["user"],
                           release=self.staged if release == "staged" else self.node["release"]["path"], **options)

    def run_phase(self, title, command, release, once, **options):
        done = f"{self.staged}/.rolling-done-{re.sub('[^A-Za-z0-9_.]+', '-', ' '.join(command))}"
        if once and self.exists(done, "Look whether it was done"):
            return
        if self._task.check_mode and release == "staged" and self.target["name"] not in self.node["staged"]:
            return  # in check mode nothing was staged
        answer = self.command(title, command, release, **options)
        if answer.get("warned"):
            words = f"{' '.join(command)} has something to say:\n{last_lines(answer['output'], 40)}"
            self.say(f"warn  {words}")
            self.note(notes=[*self.record.notes, *self.values.get("notes", []), words])
        elif answer.get("runs", 0) > 1:
            self.say(f"{' '.join(command)}: done after {answer['runs']} runs")
        if once and not self._task.check_mode:
            self.write("Record that it was done", done, "", "600")

    def back_up(self):
        """Back up the database; once for each release, for a later run would keep a schema half-way."""
        name, mode = BACKUP
        path = f"{self.staged}/{name}"
        if self.exists(path, "Look for a backup"):
            return
        dump = self.module("dump", self.task_vars, title="Back up the database", config=self.node["config"],
                           name=f"before-{self.target['version']}", **self.given["backup"])
        where = f"{dump['path']} on {self.task_vars['inventory_hostname']}"
        if self._task.check_mode:
            self.say(f"{where}: would be written")
            return
        self.say(f"{where}: {dump['verified']}", "To restore it:", dump["restore"])
        backup = {key: dump[key] for key in ("path", "restore")}
        self.write("Record which backup leads back", path, json.dumps(backup, indent=4, sort_keys=True) + "\n", mode)
        self.note(schema=dict(self.record.schema, backup=backup))

    def orphans(self):
        """Remove them, and see that they are gone: the exit code of the command need not tell."""
        dead = run_of(self.task_vars["hostvars"]).plan.get("orphans") or []
        for binary, host in dead:
            self.command(f"Remove the dead service {binary} on {host}", [*self.given["remove"], binary, host], "active")
        if not dead or self._task.check_mode:
            return {}
        rows = self.module(self.given["info"], self.in_venv(self.node["venv"]), config=self.node["config"])["services"]
        left = [f"{binary} on {host}" for binary, host in dead
                if any(row["binary"] == binary and row["host"] == host for row in rows)]
        self.check(f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} still on record after "
                   f"{' '.join(self.given['remove'])}: has it been started again?" if left else "",
                   "Stop if a dead service is still on record")
        return dict(removed=[f"{binary} on {host}" for binary, host in dead])
