# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: record why a node failed, decide how it returns to service, and say what
# comes next.
# state: The question. placed tells what a batch of nodes may rely on, before anything is done to it.
# state: shared fails if what has run once for the whole batch, result, has a message. A task that runs once fails on
# one of them only.
# state: kept records the cause of a failure, way_back decides how the node returns to service, restored records what
# has become of that, not_undone what could not be undone of the drain, and told makes the message.
# state: others tells which other nodes of the batch, nodes, have failed, and which were lost without a word.
# state: given_up records the cause of a failure in a step that all nodes take together, and makes the message.

from __future__ import annotations

import time

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _failure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._batch import batch_of, known
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, changed, node_of, plain, run_of

NAMES = dict(type="list", elements="str", default=[])
DATA = dict(type="dict", default={})
TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["placed", "shared", "kept", "way_back", "restored", "not_undone",
                                                   "told", "others", "given_up"]),
    task=TEXT, result=DATA, away=TEXT, node=DATA, target=DATA, releases=DATA, units=DATA, way_back=DATA,
    what=dict(type="str", choices=["balancer", "hook"], default="hook"), left=DATA, members=NAMES, nodes=NAMES,
    order=NAMES, serving=NAMES, gateways_down=NAMES, balancers=DATA, hooks=DATA,
    command=TEXT, go_back=dict(type="bool", default=True),
    reconfigure=dict(type="bool", default=False), phase=TEXT, advice=TEXT,
)

# What is taken from the plan if it is not given.
OF_THE_PLAN = ("order", "serving", "gateways_down", "command")
UNKNOWN = "(the command that you gave)"


class ActionModule(ControllerAction):
    """Answer one of the questions that a failure asks; each is a method."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        self.hostvars, self.name = task_vars["hostvars"], task_vars["inventory_hostname"]
        self.record = run_of(self.hostvars)
        for key in OF_THE_PLAN:
            arguments[key] = arguments[key] or self.record.plan.get(key) or ARGUMENTS[key]["default"]
        self.node = node_of(self.hostvars, self.name, self.record)
        self.cause = _failure.Cause(**self.node.cause)
        return getattr(self, arguments["state"])(arguments)

    def noted(self, **values):
        return {"ansible_facts": {NODE_FACT: changed(self.node, **values)}}

    def batch(self, arguments):
        return batch_of(self.hostvars, self.name, arguments["node"], arguments["members"], arguments["order"],
                        arguments["serving"], arguments["gateways_down"])

    def again(self, arguments):
        left = [name for name in arguments["order"] if not node_of(self.hostvars, name, self.record).rolled]
        command = _failure.command_of(arguments["command"] or UNKNOWN, arguments["reconfigure"], left)
        return _failure.Again(command, arguments["go_back"], arguments["reconfigure"])

    def placed(self, arguments):
        plan = self.record.plan
        return dict(plain(vars(self.batch(arguments))), api=bool(plan.get("api")), nodes=plan.get("nodes") or [])

    def shared(self, arguments):
        """What has run once for the whole batch has failed for each of its nodes, which go the same way from there."""
        found = arguments["result"]
        result = self.noted(pauses=[*self.node.pauses, found["paused"]]) if found.get("paused") else {}
        if found.get("msg"):
            told = {key: found[key] for key in ("msg", "lost", "stopped", "wish", "timing") if key in found}
            result.update(told, failed=True, away=arguments["away"] if found.get("lost") else "")
        return result

    def kept(self, arguments):
        cause = _failure.cause_of(arguments["task"], arguments["result"], time.time())
        return dict(self.noted(cause=plain(vars(cause)), restored="", failure={}), lost=cause.lost,
                    stopped=cause.stopped)

    def way_back(self, arguments):
        return vars(_failure.way_back(
            arguments["node"], arguments["target"], arguments["releases"], arguments["units"], arguments["go_back"],
            bool(self.node.schema.get("moved"))))

    def restored(self, arguments):
        if arguments["task"]:
            why = _failure.told_of(arguments["task"], arguments["result"])
            return self.noted(restored=f"could not be returned to service ({why})")
        way = arguments["way_back"]
        return self.noted(restored=way["message"], failure=dict(self.node.failure, way=way["way"]))

    def not_undone(self, arguments):
        """What was done before the drain, and is still so: a balancer that sends nothing, or a hook's."""
        why = _failure.told_of(arguments["task"], arguments["result"])
        return self.noted(failure=dict(self.node.failure, **{arguments["what"]: why}))

    def told(self, arguments):
        batch, again, left = self.batch(arguments), self.again(arguments), arguments["left"]
        if self.cause.stopped:
            rest = [name for name in arguments["order"] if name not in batch.done]
            text, state = _failure.stopped(self.cause, batch.members, batch.done, rest, batch.caution, again), ""
        else:
            told = _failure.Told(
                self.name, arguments["node"], self.cause, left, again, self.node.restored,
                self.node.failure.get("way", ""), batch.followers, self.suspects(arguments), arguments["balancers"],
                arguments["hooks"], "balancer" in self.node.failure, self.node.failure.get("hook", ""),
                bool(self.node.schema.get("moved")), self.restore(arguments))
            text, state = told.text(), told.state()
        return dict(self.noted(failure=dict(text=text, state=state, serves=bool(left.get("ready")))), message=text)

    def suspects(self, arguments):
        """Whom to look at: the nodes whose readiness the failed step has missed, else this one."""
        names = dict.fromkeys([*arguments["serving"], *arguments["order"]])
        missed = [name for name in names if known(self.hostvars, name, "ready_url") in self.cause.not_ready]
        return missed or [self.name]

    def restore(self, arguments):
        """The command that restores the backup, whichever node has made it."""
        names = dict.fromkeys([self.name, *arguments["order"], *self.record.plan.get("schema", [])])
        backups = [node_of(self.hostvars, name, self.record).schema.get("backup") for name in names]
        return next((backup["restore"] for backup in backups if backup), "")

    def others(self, arguments):
        """Other nodes of the batch have failed, and those that have said nothing were lost."""
        failed = arguments["nodes"]
        lost = [name for name in failed if not node_of(self.hostvars, name, self.record).failure.get("text")]
        again = self.again(arguments)
        told = {name: _failure.lost_node(name, lost, again) for name in lost}
        return dict(self.noted(lost=told), lost=lost,
                    message=_failure.batch_failure(self.name, failed, lost, again))

    def given_up(self, arguments):
        """A step that all nodes take together has failed."""
        found = dict(dict(msg="see above"), **arguments["result"])
        # Too many failed requests stop a roll before a node; in a step of all nodes they are a failure.
        cause = _failure.cause_of("", dict(found, stopped=found.get("stopped") and found.get("wish")), time.time())
        advice = arguments["advice"] or _failure.advice(
            self.record.kind, arguments["phase"], self.record.plan.get("command", ""))
        text, state = "\n".join(filter(None, [cause.words, advice])), advice.partition("\n")[0]
        return dict(self.noted(cause=plain(vars(cause)), failure=dict(text=text, state=state)), message=text)
