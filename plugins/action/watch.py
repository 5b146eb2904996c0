# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: judge what the watcher of the service has seen.
# state: due tells whether the service is watched, and what to ask the watcher with. started records that it is.
# state: looked records what was seen, and fails if more than budget requests have failed, or if nobody watches any
# more. ended records the last of it.

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _watch
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import RUN_FACT, changed, run_of

ARGUMENTS = dict(
    state=dict(type="str", choices=["due", "started", "looked", "ended"], required=True),
    url=dict(type="str", default=""),
    batch=dict(type="list", elements="str", default=[]),
    result=dict(type="dict", default={}),
    budget=dict(type="int", default=0),
)


class ActionModule(ControllerAction):
    """Judge what the watcher has seen, and record it."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        run, state, url = run_of(task_vars["hostvars"]), arguments["state"], arguments["url"]
        if state == "due":
            return dict(id=_watch.watcher(url), started=bool(run.watch.get("started")),
                        mark=_watch.mark(run.watch, arguments["batch"]))
        watch = dict(run.watch, started=True)
        if state != "started":
            watch.update(begun=watch.get("begun") or state == "looked", seen=arguments["result"].get("probe") or {})
        result = dict(ansible_facts={RUN_FACT: changed(run, watch=watch)})
        if state == "looked":
            problem = _watch.problem(arguments["result"], url, arguments["budget"])
            result.update(dict(failed=True, stopped=True, msg=problem) if problem else {})
        if state == "ended":
            result["message"] = _watch.summary(arguments["result"], url)
        return result
