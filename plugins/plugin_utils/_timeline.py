# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import multiprocessing
import os
import time

from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._ansible import become_nobody
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import describe, details_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, Run, changed, node_of, run_id

# What a module was asked for, as far as the report tells it.
ARGUMENTS = {"ready_info": ("minimum",), "units": ("tiers",)}


def entry_of(step, began, ended, module, arguments, result):
    """One entry: when a module ran, in which step, and what of it the report tells."""
    entry = dict(step=step, began=round(began, 3), ended=round(ended, 3))
    if result.get("failed"):
        return entry
    details = details_of(module, result)
    details.update({key: arguments[key] for key in ARGUMENTS.get(module, ()) if key in arguments})
    return dict(entry, module=module, changed=bool(result.get("changed")), details=details)


def with_entries(facts, task_vars, entries, **values):
    """The facts of a result, with the record of the node, in which these entries and values are."""
    facts, name = facts or {}, task_vars["inventory_hostname"]
    # What the action itself notes of the node comes first.
    known = {name: dict(ansible_facts={**(task_vars.get("ansible_facts") or {}), **facts})}
    record = node_of(known, name, Run(id=run_id(task_vars["hostvars"])))
    return {**facts, NODE_FACT: changed(record, timeline=[*record.timeline, *entries], **values)}


def end_if_alone():
    """End the process of a task whose controller was killed.

    Nobody reads its result any more, and one that is larger than a pipe would keep it there for good.
    """
    controller = multiprocessing.parent_process()
    if controller and os.getppid() != controller.pid:
        os._exit(1)


class TimedAction(ActionBase):
    """A module that leaves behind when it ran, as an entry in the timeline of the record of its node.

    On the controller's clock, and at no cost: a task of its own would lengthen the time out of rotation. Ansible takes
    no facts from a module that fails, so the result itself has that entry then, as C(timing).
    """

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        become_nobody(self)
        began = time.time()
        result.update(self.act(task_vars or {}))
        result.update(self.aside(self.noted, began, result, task_vars or {}) or {})
        end_if_alone()
        return result

    def aside(self, tell, *arguments):
        """What C(tell) returns; whatever goes wrong in it does not change the run."""
        try:
            return tell(*arguments)
        except Exception as exc:
            self._display.warning(f"The report will lack a part, the run goes on: {type(exc).__name__}: {exc}")
            return None

    def act(self, task_vars):
        """Run the module."""
        return self._execute_module(task_vars=task_vars)

    def noted(self, began, result, task_vars):
        """The parts of the result that tell when the module ran."""
        # What runs once for all nodes would give each of them the timeline of the first.
        task = None if self._task.run_once else describe(self._task)
        if not task or not task.step:
            return {}
        entry = entry_of(task.step, began, time.time(), task.module, self._task.args, result)
        if result.get("failed"):
            return dict(timing=entry)
        return dict(ansible_facts=with_entries(result.get("ansible_facts"), task_vars, [entry]))
