# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: record why a node failed, decide how it returns to service, and say what
# comes next.
# state: The question. placed tells what a batch of nodes may rely on, before anything is done to it.
# state: kept records the cause of a failure, not_drained that a node goes back without a second drain, not_undone what
# could not be undone of the drain, and told makes the message.
# state: others tells which other nodes of the batch, nodes, have failed, and which were lost without a word.
# state: given_up records the cause of a failure in a step that all nodes take together, and makes the message.

import time

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _failure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, waits_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._batch import batch_of, caution_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import is_target
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, changed, node_of, plain, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED

NAMES = dict(type="list", elements="str", default=[])
DATA = dict(type="dict", default={})
TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["placed", "kept", "not_drained", "not_undone", "told", "others",
                                                   "given_up"]),
    task=TEXT, result=DATA, node=DATA, target=DATA,
    what=dict(type="str", choices=["balancer", "hook"], default="hook"), left=DATA, members=NAMES, nodes=NAMES,
    hooks=DATA, phase=TEXT,
)
UNKNOWN = "(the command that you gave)"


class ActionModule(ControllerAction):
    """Answer one of the questions that a failure asks; each is a method."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        self.variables, self.hostvars, self.name = task_vars, task_vars["hostvars"], task_vars["inventory_hostname"]
        self.record = run_of(self.hostvars)
        self.order, self.serving = self.record.plan.get("order") or [], self.record.plan.get("serving") or []
        self.node = node_of(self.hostvars, self.name, self.record)
        self.cause = _failure.Cause(**self.node.cause)
        return getattr(self, arguments["state"])(arguments)

    def noted(self, **values):
        return {"ansible_facts": {NODE_FACT: changed(self.node, **values)}}

    def with_noted(self, result, **values):
        """Record also what an action that has failed wanted to be recorded, which Ansible takes no facts from."""
        noted = result.get(NOTED) or {}
        timeline = [*self.node.timeline, *noted.get("timeline", [])]
        return self.noted(**dict(noted, timeline=timeline), **values)

    def batch(self, arguments):
        return batch_of(self.hostvars, self.name, arguments["node"], arguments["members"])

    def again(self):
        reconfigure = self.record.kind == "reconfigure"
        left = [name for name in self.order if not node_of(self.hostvars, name, self.record).rolled]
        command = _failure.command_of(self.record.plan.get("command") or UNKNOWN, reconfigure, left)
        return _failure.Again(command, self.record.changes_release(), reconfigure)

    def placed(self, arguments):
        """Where the batch stands, and what is to be done with the node; fails where it is not its turn."""
        before, target = arguments["node"]["release"], arguments["target"]
        activates = not is_target(before, target) or bool(before.get("rewritten"))
        batch, variables = self.batch(arguments), self.variables
        balancers = balancers_of(lambda key, default: plain(self._templar.template(variables.get(key, default))))
        early = self.too_early()
        return dict(dict(failed=True, msg=early) if early else {}, balancer_waits=waits_of(balancers),
                    members=batch.members, done=batch.done, peers=batch.peers, gateways=batch.gateways,
                    followed=bool(batch.followers),
                    reconfigures=self.record.kind == "reconfigure",
                    activates=self.record.changes_release() and activates)

    def too_early(self):
        """What is wrong where the plan has nodes of the database tier before this one that were not rolled."""
        before = self.order[:self.order.index(self.name)] if self.name in self.order else []
        tier = self.record.plan.get("database") or []
        # Going back it comes last.
        due = [name for name in tier if name in before] if self.name not in tier else []
        left = [name for name in due if not node_of(self.hostvars, name, self.record).rolled]
        return (f"expected the database tier to be rolled before {self.name}, for a new sf-api needs a new "
                f"sf-database; {', '.join(left)} was not") if left else ""

    def kept(self, arguments):
        cause = _failure.cause_of(arguments["task"], arguments["result"], time.time())
        facts = self.with_noted(arguments["result"], cause=plain(vars(cause)), restored="", failure={})
        return dict(facts, lost=cause.lost, stopped=cause.stopped, untouched=bool(arguments["result"].get("untouched")))

    def not_drained(self, arguments):
        """The report has it: requests may fail while the node goes back."""
        why = _failure.told_of(arguments["task"], arguments["result"])
        note = f"{self.name} went back without a second drain, so requests may have failed there: {why}"
        return self.with_noted(arguments["result"], notes=[*self.node.notes, note])

    def not_undone(self, arguments):
        """What was done before the drain, and is still so: a balancer that sends nothing, or a hook's."""
        why = _failure.told_of(arguments["task"], arguments["result"])
        return self.noted(failure=dict(self.node.failure, **{arguments["what"]: why}))

    def told(self, arguments):
        batch, again, left = self.batch(arguments), self.again(), arguments["left"]
        if self.cause.stopped:
            rest = [name for name in self.order if name not in batch.done]
            text, state = _failure.stopped(self.cause, batch.members, batch.done, rest, batch.caution, again), ""
        else:
            told = _failure.Told(
                self.name, arguments["node"], self.cause, left, again, self.node.restored,
                self.node.failure.get("way", ""), batch.followers, self.suspects(), self.node.balancers,
                arguments["hooks"], "balancer" in self.node.failure, self.node.failure.get("hook", ""),
                bool(self.node.schema.get("moved")), self.restore(), batch.caution,
                _failure.failed_run(self.cause, self.node.timeline) if self.node.failure.get("way") == "back" else ())
            text, state = told.text(), told.state()
        return dict(self.noted(failure=dict(text=text, state=state, serves=bool(left.get("ready")))), message=text)

    def suspects(self):
        """Whom to look at: the nodes whose readiness the failed step has missed, else this one."""
        names = dict.fromkeys([*self.serving, *self.order])
        urls = self.record.plan.get("ready_urls") or {}
        missed = [name for name in names if urls.get(name) in self.cause.not_ready]
        return missed or [self.name]

    def restore(self):
        """The command that restores the backup, whichever node has made it."""
        names = dict.fromkeys([self.name, *self.order, *self.record.plan.get("schema", [])])
        backups = [node_of(self.hostvars, name, self.record).schema.get("backup") for name in names]
        return next((backup["restore"] for backup in backups if backup), "")

    def others(self, arguments):
        """Other nodes of the batch have failed, and those that have said nothing were lost."""
        failed = arguments["nodes"]
        lost = [name for name in failed if not node_of(self.hostvars, name, self.record).failure.get("text")]
        again = self.again()
        told = {name: _failure.lost_node(name, lost, again, caution_of(self.hostvars, name, self.record))
                for name in lost}
        return dict(self.noted(lost=told), lost=lost,
                    message=_failure.batch_failure(self.name, failed, lost, again))

    def given_up(self, arguments):
        """A step that all nodes take together has failed."""
        found = dict(dict(msg="see above"), **arguments["result"])
        # Too many failed requests stop a roll before a node; in a step of all nodes they are a failure.
        cause = _failure.cause_of("", dict(found, stopped=found.get("stopped") and found.get("request")), time.time())
        advice = _failure.advice(self.record.kind, arguments["phase"], self.record.plan.get("command", ""))
        text, state = _failure.given_up(cause.words, advice), advice.partition("\n")[0]
        facts = self.with_noted(found, cause=plain(vars(cause)), failure=dict(text=text, state=state))
        # A stop that was asked for is reported once, by the node that ends the run for all.
        quiet = cause.stopped and self.name != self.variables["ansible_play_hosts"][0]
        return dict(facts, message="" if quiet else text)
