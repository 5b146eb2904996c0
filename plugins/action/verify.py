# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: verify what a run has done with a node.
# state: seen tells what that was, done whether the node runs the release and, where it was rolled, is still what it was
# at its gate. reported waits until the API says so of all nodes; the task runs once.

import math
import time

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME, node_of, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import StatesAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verify import release_problem, second_look_problem

TEXT = dict(type="str", default="")
SECONDS = dict(type="float", default=0)
ARGUMENTS = dict(
    state=dict(type="str", choices=["seen", "done", "reported"], required=True), node=dict(type="dict", default={}),
    version=TEXT, rolled=dict(type="bool", default=False), bake=SECONDS, since=SECONDS, exceptions=TEXT, advice=TEXT,
    target=dict(type="dict", default={}),
    before=dict(type="list", elements="dict", default=[]), sentinels=dict(type="bool", default=True), timeout=SECONDS,
)


class ActionModule(StatesAction):
    """Verify a node; each state is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        self.name, self.node = task_vars["inventory_hostname"], self.given.node

    def seen(self):
        """Where there was no run, there is nothing to go by."""
        hostvars = self.task_vars["hostvars"]
        run = run_of(hostvars)
        # Seconds ago, by the preflight, where nothing has happened since.
        looks = not run.plan or bool(run.plan.get("order"))
        # Where the release does not tell which daemons are new.
        since = run.plan.get("since", 0) if run.kind in SAME else 0
        # Each node keeps this, so nothing of all nodes is in it.
        return dict(rolled=node_of(hostvars, self.name, run).rolled, since=since, looks=looks,
                    api=run.plan.get("api", True))

    def done(self):
        if self._task.check_mode:
            return {}
        given = self.given
        self.check(release_problem(self.name, self.node, given.version, given.target))
        if given.rolled:
            self.check(self.look_again())
        self.say(f"{self.name} runs {given.version}")
        return {}

    def look_again(self):
        """Green at the gate and broken a minute later: nothing tells in advance that a daemon will not crash."""
        given, node = self.given, self.node
        # Counted from its restart: most nodes have run for that long while others were rolled.
        timeline = node_of(self.task_vars["hostvars"], self.name).timeline
        restarts = [entry["ended"] for entry in timeline if entry.get("module") == "units"]
        left = given.bake - (time.time() - restarts[-1] if restarts else 0)
        since = given.since or node["release"]["since"]
        readiness, units, exceptions = self.several(
            self.task_vars,
            ("", "ready_info", dict(urls=[node["ready_url"]], unit=node["api_unit"], rounds=max(math.ceil(left), 1),
                                    interval=1)),
            ("", "units_info", dict(patterns=node["daemons"])),
            ("", "exceptions_info", dict(path=given.exceptions, since=since)))
        return second_look_problem(self.name, node, given.version, readiness, units["units"], exceptions, given.bake,
                                   since, given.exceptions, given.advice)

    def reported(self):
        given, node, hostvars = self.given, self.node, self.task_vars["hostvars"]
        before = given.before or run_of(hostvars).plan.get("nodes", [])
        names = [str(hostvars[name]["cluster_node"]["name"]) for name in self.task_vars["ansible_play_hosts"]]
        notes = self.module("nodes_info", self.task_vars, credentials=node["credentials"], url=node["api_url"],
                            release=given.version, names=names, states=["created"], before=before,
                            sentinels=node["sentinels"], sentinels_alone=not given.sentinels,
                            timeout=given.timeout)["notes"]
        if notes:
            self.say(*(f"warn  {note}" for note in notes))
        return dict(notes=notes)
