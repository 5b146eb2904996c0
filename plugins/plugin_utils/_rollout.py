# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the callback rollout knows of a roll, apart from Ansible: tasks become steps, steps become events, and events
# become lines on a terminal, in a log, and in a file. The report takes the steps from here, too.

import json
import os
import shutil
import sys
import threading
import time
from collections import namedtuple
from datetime import datetime, timezone

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, RUN_FACT, SAME, reboots_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import MEANS, anchor_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import many

COLLECTION = "shakenfist.rolling"
WIDTH = 100

# A step is declared where it runs: by a variable of the task, of its block, of the include or import of its role, or of
# the play. The innermost one counts; an empty one is none.
STEP = "rolling_step"
OF_ALL = ("preflight", "lock", "stage", "schema", "verify", "prune")
# The kinds of run of a product, which bear its name.
OF_A_PRODUCT = ("services", "hosts", "tier")
# These are taken by each node for itself, the others by all nodes at once.
OF_A_NODE = ("quorum", "drain", "stop", "activate", "reconfigure", "restart", "start", "gate", "settle", "restore")

# What check mode says of a step that would change something; a step that does nothing but look is what it always is.
LOOKS = ("preflight", "quorum", "verify")
WOULD = {"schema": "would migrate", "lock": "would take the lock",
         **{step: f"{step} would change something" for step in (*LOOKS, "gate")}}

# What of a module's result is told. Nothing else is: neither what a module was given nor what it found on the node.
DETAILS = {
    "apache_member": ("was", "status", "sessions"),
    "cinder_info": ("waited",),
    "cinder_service": ("was",),
    "drain": ("was_ready", "not_ready_after", "stopped_after", "ended_early_after", "strangers", "state",
              "balancer_before", "balancer", "balancer_left_after", "sessions_zero_after", "concerns"),
    "dump": ("path", "size", "verified"),
    "exceptions_info": ("count",),
    "grpc_health_info": ("serving", "waited"),
    "haproxy_info": ("reachable", "waited"),
    "haproxy_server": ("was", "status", "sessions"),
    "health_file": ("answer", "waited"),
    "nginx_server": ("was", "sessions"),
    "nodes_info": ("known", "leader", "stale"),
    "prune": ("removed", "kept"),
    "ready_info": ("ready", "count", "waited"),
    "release": ("release", "previous", "adopted"),
    "resolve": ("name", "version"),
    "resolve_info": ("name", "version"),
    "schema": ("tables", "widened"),
    "probe": (),
    "standstill": ("stopped", "started", "killed"),
    "store_migrations": ("ran", "resumed", "changes", "objects"),
    "units": (),
}
# How many addresses the end of a drain names.
SHOWN = 3
PROBE = ("requests", "failed", "longest_gap")
# What of the plan is told.
PLAN = dict(order=[], database=[], batches=[], done=[], serving=[], leader="")

Task = namedtuple("Task", "step module name")


class Announcement(str):
    """A text that is printed while its task still runs, if there is one, and what it says as an event.

    The task runs in a process of its own, from which the display takes the text to the main process, pickled.
    """

    event: dict

    def __new__(cls, text, event):
        self = super().__new__(cls, text)
        self.event = event
        return self

    def __reduce__(self):
        return Announcement, (str(self), self.event)


def said(text, node, task, step=""):
    """What an action says on purpose, while its task still runs: it is printed, and an event as what debug says.

    :arg step: the step that goes on; without one, it ends all that goes on.
    """
    event = dict(event="message", node=node, task=task, message=text)
    return Announcement(text, dict(event, step=step) if step else event)


def step_of(task):
    """The step that a task declares; an empty string if it belongs to none."""
    step = task.get_vars().get(STEP)
    if step is None and task.play:
        step = task.play.get_vars().get(STEP)
    return step if step in OF_ALL or step in OF_A_NODE else ""


def describe(task):
    """What the view needs to know of a task."""
    return Task(step_of(task), task.action.rpartition(".")[2], task.get_name())


def details_of(module, data):
    """The part of a result that is told."""
    details = {key: data[key] for key in DETAILS.get(module, ()) if key in data}
    if module == "ready_info":
        details["asked"] = len(data.get("seen") or {})
    if module == "units":
        details["units"] = {name: run["active_after"] for name, run in data.get("units", {}).items()
                            if "active_after" in run}
    if isinstance(data.get("probe"), dict):
        details["probe"] = {key: data["probe"][key] for key in PROBE if key in data["probe"]}
    return details


def spell(seconds, digits=1):
    """A time span for people."""
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def already(kind, release):
    """What is said of nodes that are passed over."""
    return "restarted" if kind == "restart" else "on it" if release else "done"


def clock(moment):
    return time.strftime("%H:%M:%S", time.localtime(moment))


def stamped(moment, lines):
    """What is said on purpose, with its time; further lines begin below the first."""
    return printable(f"{clock(moment)} " + f"\n{' ' * 9}".join(lines))


def printable(text):
    """Without characters that would move the cursor of a terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "?" for sign in str(text))


def fit(text, width=WIDTH):
    text = printable(text).replace("\n", " ")
    return text if len(text) <= width else text[:max(0, width - 3)] + "..."


class Place:
    """Where a node is in the roll, or all of them together."""

    def __init__(self, name, now):
        self.name = name
        self.began, self.ended = now, None
        self.drained = self.gated = None
        self.failed = ""
        self.rebooted = False
        self.peers = None
        self.leave()

    def enter(self, step, now):
        self.step, self.since, self.last = step, now, now
        self.result, self.units, self.message, self.about = "skipped", 0, "", ""
        self.broken = set()  # hosts of which the last task in it has failed, which may yet be rescued

    def leave(self):
        self.enter("", None)


class Rollout:
    """What is known of the run. Everything that happens is handed to C(tell), as a dict."""

    def __init__(self, tell, name="", now=time.time):
        self.tell, self.name, self.now = tell, name, now
        self.began = self.latest = now()
        self.id = self.kind = self.product = ""
        # Whether hosts are rolled, as their plan tells.
        self.hosts = False
        self.plan, self.release, self.releases = {}, "", {}
        self.all = Place("", self.began)
        self.nodes = {}
        self.busy = {}
        self.probe = {}
        # Whether the run was asked to stop, and the hosts that have failed for that alone.
        self.stopped, self.ended = False, set()
        # By host the step in which it has failed, where that was recorded, and the hosts that could not be reached.
        self.causes, self.lost = {}, set()
        self.pause = {}
        self.over = False
        self.check = False
        # Where the runbook explains the last failure, and whether its message has said so itself.
        self.runbook, self.explained = "", False

    def begin(self, run):
        """Take up the record of a run. What an earlier playbook of the same C(ansible-playbook) did is another run."""
        if self.id:
            self.close()
            self.plan, self.releases, self.nodes, self.probe = {}, {}, {}, {}
            self.stopped, self.ended = False, set()
            self.causes, self.lost = {}, set()
        self.id, self.name, self.kind = run["id"], run["kind"], run["kind"]
        self.product = run.get("product") or "" if run["kind"] in OF_A_PRODUCT else ""
        # Whether hosts come to another release is known once they have a plan.
        self.name_product("roll" if run["kind"] == "hosts" else "upgrade")

    def name_product(self, noun):
        self.name = f"{noun} of {self.product}" if self.product else self.name

    def event(self, event, moment=None, **fields):
        self.check = fields.get("check", self.check)
        self.tell(dict(event=event, moment=self.now() if moment is None else moment,
                       **{key: value for key, value in fields.items() if value not in (None, "", {})}))

    # ---- what happens

    def started(self, host, task, about=""):
        """A host begins a task; C(about) is what of it the step is about, if not all of it."""
        now, step = self.now(), task.step
        if step:
            self.close(step)
            place = self.nodes.setdefault(host, Place(host, now)) if step in OF_A_NODE else self.all
            self.enter(place, step, now, about)
            place.broken.discard(host)
        self.busy[host] = now

    def close(self, step=""):
        """End all steps but this one, in the order in which they were through, so that their lines come before its own.

        Without a step, where something else is to be printed, only a step of all nodes. One that has failed stays: was
        it rescued, or is it why the run ends?
        """
        places = (self.all, *self.nodes.values()) if step else () if self.all.broken else (self.all,)
        over = [place for place in places if place.step not in ("", step) and place.name not in self.busy]
        for place in sorted(over, key=lambda each: each.last):
            self.leave(place)

    def enter(self, place, step, now, about=""):
        # The same step about another service of the node is another one.
        if place.step != step or about not in ("", place.about):
            self.leave(place)
            place.enter(step, now)
            place.about = about
            self.event("begin", now, node=place.name, step=step, about=about)

    def leave(self, place):
        """End a step, as of the last task that belonged to it."""
        if not place.step:
            return
        if place.step == "drain" and place.result != "skipped":
            # A reconfigure may drain twice. Of several services the last one is what a balancer is in front of.
            place.drained = place.since if place.about else place.drained or place.since
        if place.step == "gate":
            place.gated = place.last
        if place.step == "restart" and place.result == "changed":
            place.rebooted = True
        end = dict(node=place.name, step=place.step, about=place.about, seconds=round(place.last - place.since, 3),
                   result=place.result, message=place.message)
        moment = place.last
        place.leave()
        self.event("end", moment, **end)

    def place_of(self, host):
        """The node, if it is in a step of its own, else the place of all."""
        node = self.nodes.get(host)
        return node if node and node.step else self.all

    def finished(self, host, result, task, data):
        """A host has done a task; C(result) is ok, changed, skipped, failed, unreachable or ignored."""
        now = self.latest = self.now()
        seconds = now - self.busy.pop(host, now)
        place = self.place_of(host)
        self.touch(place, task.step, result)
        # An action that asks the watcher has another name than the module that it runs.
        module = "probe" if "probe" in data else task.module
        if result not in ("skipped", "unreachable") and module in DETAILS:
            self.ran("module", host, task.step, module, seconds, result, details_of(module, data))
        if task.module == "lock":
            self.heed(data)
        self.learn(host, data.get("ansible_facts") or {})
        if result in ("failed", "unreachable"):
            # An action that calls modules tells which part of it has failed.
            self.fail(host, result, task._replace(name=data.get("title") or task.name), data.get("msg", ""), place, now)

    def note(self, step, details, place):
        """Keep what the views show."""
        if step == "quorum":
            place.peers = f"{details.get('count', 0)} of {details['asked']} peers ready"
            place.message = place.peers
        if "units" in details:
            place.units += len(details["units"])
            place.message = many(place.units, "unit")
        if details.get("strangers"):
            place.message = f"requests came past the balancers, from {', '.join(details['strangers'][:SHOWN])}"
        elif details.get("ended_early_after"):
            place.message = "ended early, nothing was in flight"
        self.probe = details.get("probe", self.probe)

    def heard(self, event):
        """Take what a task announces: a step begins, a module has ended, the run waits or goes on, or what is said."""
        event = dict(event)
        kind = event["event"]
        if kind == "step":
            self.started(event["node"], Task(event["step"], "", ""), event.get("about", ""))
        elif kind == "module":
            self.ran(**event)
        else:
            if not event.get("step"):
                self.close()
            self.event(moment=self.now(), **event)
            if kind in ("pause", "resume"):
                self.pause = dict(event, since=self.now()) if kind == "pause" else {}

    def ran(self, event, node, step, module, seconds, result, details):
        """A module has ended; of those that an action has called, the task goes on."""
        now = self.latest = self.now()
        place = self.place_of(node)
        self.event("task", now, node=node, step=place.step, module=module, seconds=round(seconds, 3), result=result,
                   details=details)
        for unit, active_after in details.get("units", {}).items():
            self.event("unit", now, node=node, step=place.step, unit=unit, seconds=active_after)
        self.note(step, details, place)
        self.touch(place, step, result)

    def touch(self, place, step, result):
        """The step that a place is in lasts until now."""
        if step and place.step:
            place.last = self.latest
            if result == "failed" and place is not self.all:
                place.result = "failed"  # also where the action goes on, as the way back does
            elif result != "skipped" and place.result not in ("changed", "failed"):
                place.result = "changed" if result == "changed" else "ok"

    def heed(self, data):
        """Take what the lock has told: the run does not wait any more, and goes on or has to end."""
        self.pause = {}
        if data.get("stopped"):
            self.close()
            self.stopped = True

    def fail(self, host, result, task, message, place, now):
        # What fails in a step of all may be rescued, what fails on a node ends its step. Where all tasks of that were
        # skipped, what fails after them is not the step.
        if place is self.all and task.step == place.step:
            place.broken.add(host)
        if result == "unreachable":
            self.lost.add(host)
        # Where a stop was asked for, the tasks fail on purpose.
        (self.ended.add if self.stopped and result == "failed" else self.ended.discard)(host)
        self.explain(str(message))
        blamed = place.broken if place is self.all else place.result != "skipped"
        self.event("failed", now, node=host, step=place.step if blamed else "", task=task.name, result=result,
                   message=str(message))
        if place is not self.all:
            if blamed:
                place.failed = place.failed or place.step
                place.result, place.last = "failed", now
            self.leave(place)

    def explain(self, message):
        said = message.rpartition(MEANS)[2].split() if MEANS in message else []
        self.explained = self.explained or bool(said)
        self.runbook = said[0] if said else self.runbook if self.explained else anchor_of(message)

    def learn(self, host, facts):
        """Take what passes by: what a node is, the release, the records of the run and of the node."""
        run, record = facts.get(RUN_FACT) or {}, facts.get(NODE_FACT) or {}
        node = self.nodes.get(host)
        if run.get("id", self.id) != self.id:
            self.begin(run)
        if facts.get("cluster_node"):
            self.releases[host] = (facts["cluster_node"].get("release") or {}).get("version")
        if facts.get("stage_resolved"):
            self.release = facts["stage_resolved"].get("version", "")
        if run.get("plan"):
            self.take_plan(run["plan"])
        if record.get("cause") and not record["cause"].get("stopped"):
            self.causes.setdefault(host, (record["cause"].get("timing") or {}).get("step", ""))
        if record.get("restored") and node and node.step == "restore":
            node.message = record["restored"]
            self.leave(node)
        if record.get("rolled") and node and not node.ended:
            self.leave(node)
            node.ended = self.now()
            drained = node.drained and node.gated and not self.check
            out = round(node.gated - node.drained, 3) if drained else None
            self.event("done", node=host, seconds=round(node.ended - node.began, 3), out_of_rotation=out)

    def take_plan(self, plan):
        """Tell the plan once: the record of the run passes by with each note that is added to it."""
        told = {**{key: plan.get(key) or default for key, default in PLAN.items()}, "reboots": reboots_of(plan)}
        if told != self.plan:
            self.plan = told
            self.hosts = "hosts" in plan
            if self.hosts:
                self.release = plan.get("release") or ""
                self.name_product("upgrade" if self.release else "reboot")
            self.event("plan", self.latest, release=self.release, releases=dict(self.releases), **told)

    def message(self, host, task, text):
        if not task.step:
            self.close()
        self.event("message", self.latest, node=host, step=self.place_of(host).step, task=task.name, message=text)

    def rest(self, result):
        """End what was going on when the run ended: ok, failed or interrupted."""
        self.over = True
        if result != "interrupted":
            self.close()
        for place in (self.all, *self.nodes.values()):
            if place.step and result != "ok":
                place.failed = place.failed or place.step
                place.result, place.last = result, self.now()
            self.leave(place)

    def finish(self, result, failed=()):
        # To Ansible a stop is a failure, for it has no other way to end a run.
        if result == "failed" and self.stopped and self.ended.issuperset(failed):
            result, failed = "stopped", ()
        broken = [node for node in self.nodes.values() if node.failed]
        steps = [*self.causes.values(), *[place.failed for place in (*broken, self.all)]]
        # Where nodes go down or back together, most of them have failed because of another one.
        names = [name for name in failed if name in self.causes or name in self.lost] if self.causes else list(failed)
        self.event("finish", result=result, seconds=round(self.now() - self.began, 3),
                   step=next(filter(None, steps), "") if result not in ("ok", "stopped") else "",
                   done=self.rolled(), failed=names or [node.name for node in broken],
                   runbook=self.runbook if result == "failed" else "")

    # ---- what is known

    def rolled(self):
        return [node.name for node in self.nodes.values() if node.ended]

    def order(self):
        return self.plan.get("order", [])

    def reboots(self):
        """The nodes that are rebooted at the end, whether or not they are in the order; on a host that is its roll."""
        return [] if self.hosts else self.plan.get("reboots", [])

    def batches(self):
        """The nodes of the plan as they are taken: one by one, or several at once."""
        together = {name: tuple(batch) for batch in self.plan.get("batches", []) for name in batch}
        return list(dict.fromkeys(together.get(name, (name,)) for name in self.order()))

    def is_halted(self):
        """Whether nobody knows when the other nodes will be rolled."""
        return bool(self.over or self.pause or self.stopped or any(node.failed for node in self.nodes.values()))

    def left(self):
        """How many seconds the roll of the nodes will take from now; None as long as no node tells.

        Each batch that is left will take as long as those before it did, in the mean.
        """
        spent, waiting, begun = [], 0, 0.0
        for batch in self.batches():
            nodes = [self.nodes[name] for name in batch if name in self.nodes]
            if len(nodes) == len(batch) and all(node.ended for node in nodes):
                spent.append(max(node.ended for node in nodes) - min(node.began for node in nodes))
                continue
            waiting += 1
            if nodes:
                begun = self.now() - min(node.began for node in nodes)
        if not spent or not waiting or self.is_halted():
            return None
        mean = sum(spent) / len(spent)
        return max(0.0, mean - begun) + mean * (waiting - 1)

    def progress(self):
        """How many nodes are done, and when they will be."""
        due = self.reboots()
        rebooted = sum(name in self.nodes and self.nodes[name].rebooted for name in due)
        further = f"{rebooted} of {many(len(due), 'node')} {'checked' if self.check else 'rebooted'}" if due else ""
        if self.plan and not self.order():
            return further or "no node to roll"
        words = (f"{len(self.rolled())}{f' of {len(self.order())}' if self.plan else ''} nodes "
                 f"{'checked' if self.check else 'done'}{f', {further}' if further else ''}")
        left = self.left()
        return words if left is None else f"{words}, ETA {clock(self.now() + left)}"

    def lines(self):
        """The live view: four lines at most."""
        now, left = self.now(), self.left()
        to_go = "" if left is None else f", {spell(left, 0)} to go"
        if self.order() and not self.rolled() and not self.is_halted():
            to_go = ", no ETA yet"
        lines = [f"{self.title()}: {self.progress()}{to_go}"]
        if self.pause:
            why = f": {self.pause['reason']}" if self.pause["reason"] else ""
            lines.append(f"paused since {clock(self.pause['since'])}, next: {self.pause['next']}, "
                         f"asked for by {self.pause['asked_by']}{why}")
        active = [node for node in self.nodes.values() if node.step]
        alone = active if len(active) < 3 else active[:1]
        for node in alone:
            lines.append(", ".join(filter(None, [
                f"{node.name} {node.step} {spell(now - node.since, 0)}", f"{spell(now - node.began, 0)} on this node",
                node.peers, node.failed and f"{node.failed} failed"])))
        if active[len(alone):]:
            others = ", ".join(f"{node.name} {node.step}" for node in active[1:])
            lines.append(f"{len(active) - 1} more: {others}")
        if self.all.step:
            waiting = f", waiting for {', '.join(self.busy)}" if self.busy else ""
            lines.append(f"{self.all.step} {spell(now - self.all.since, 0)}{waiting}")
        if self.probe:
            gap = self.probe.get("longest_gap")
            lines.append(f"requests {self.probe.get('requests', 0)}, failed {self.probe.get('failed', 0)}"
                         + ("" if gap is None else f", longest gap {gap:.2f} s"))
        return lines

    def title(self):
        return f"{self.name} {self.way()} {self.release}" if self.release else self.name

    def way(self):
        """Neither a restart nor a change of the configuration leads to another release."""
        return "on" if self.name in SAME else "to"


# ---- events as lines

def planned(event, rollout):
    """What a run is to do, in a few words each."""
    order, done, reboots = len(event["order"]), len(event["done"]), len(event["reboots"])
    release = event.get("release", "" if rollout.hosts else "the release")
    if release:
        yield f"{many(order, 'node')} {rollout.way()} {release}"
    else:
        yield f"{many(reboots, 'node')} to reboot"
        if order > reboots:
            yield f"{order - reboots} to get guests back"
    if done:
        yield f"{done} {already(rollout.name, release)} already"
    if rollout.reboots():
        yield f"{reboots} to reboot"


def words(event, rollout):
    """One line for an event, without its time; an empty string if it is only for the file."""
    kind, node, step = event["event"], event.get("node", ""), event.get("step", "")
    message = "".join(f", {event[key]}" for key in ("about", "message") if event.get(key))
    if kind == "start":
        check = ", check mode: nothing is changed" if event["check"] else ""
        return f"{rollout.name} by {event['user']} on {event['host']}, run {event['run']}{check}"
    if kind == "plan":
        return f"plan: {'; '.join(planned(event, rollout))}"
    if kind == "begin" and not node:
        return f"{step} ..."
    if kind == "end" and event["result"] not in ("ok", "changed", "skipped"):
        return f"{node} {step} {event['result']} after {spell(event['seconds'])}".lstrip()
    if kind == "end" and rollout.check and event["result"] == "changed":
        return f"{node} {WOULD.get(step, f'would {step}')}{message}".lstrip()
    if kind == "end" and rollout.check and event["result"] == "ok" and step not in LOOKS:
        return f"{node} {step} only checked{message}".lstrip()
    if kind == "end" and event["result"] != "skipped":
        return f"{node} {step} {spell(event['seconds'])}{message}".lstrip()
    if kind == "done" and rollout.check:
        return f"{node} checked"
    if kind == "done":
        where = "service" if rollout.kind in OF_A_PRODUCT else "rotation"
        out = f", {spell(event['out_of_rotation'])} out of {where}" if "out_of_rotation" in event else ""
        return f"{node} done {spell(event['seconds'])}{out}; {rollout.progress()}"
    if kind == "finish":
        where = (f" in {step}" if step else "") + (f" on {', '.join(event['failed'])}" if step in OF_A_NODE else "")
        nodes = f"{rollout.progress()}, " if rollout.plan and rollout.name != "plan" else ""
        nodes = "check mode: nothing was changed, " if rollout.check else nodes
        result = "stopped as asked" if event["result"] == "stopped" else event["result"]
        line = f"{rollout.title()} {result}{where}: {nodes}{spell(event['seconds'])}"
        return line if rollout.explained or not event.get("runbook") else f"{line}\n{' ' * 9}{MEANS}{event['runbook']}"
    return ""


def record(event, run):
    """An event as a line of the file."""
    moment = datetime.fromtimestamp(event["moment"], timezone.utc)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(dict(time=stamp, run=run, **{key: event[key] for key in event if key not in ("moment", "run")}),
                      default=str) + "\n"


class Log:
    """A file of events. Each is written by one call, so that what is there is whole, whenever the run is killed."""

    def __init__(self, path, run):
        self.run = run
        self.handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def write(self, event):
        os.write(self.handle, record(event, self.run).encode())

    def close(self):
        os.close(self.handle)


class Ear:
    """Hears what is printed before it is, that of tasks, too, and may put it in other words.

    A task runs in a process of its own, which hands what it has to say to the display of the main process.
    """

    def __init__(self, display, hear):
        self.display, self.hear = display, hear
        self.pid = os.getpid()
        self.print = display.display
        display.display = self.around

    def around(self, msg, *args, **kwargs):
        """Take the place of C(display.display)."""
        if os.getpid() != self.pid:
            return self.print(msg, *args, **kwargs)
        words = self.hear(msg)
        return self.put(words, *args, **kwargs) if words or not isinstance(msg, Announcement) else None

    def put(self, *args, **kwargs):
        return self.print(*args, **kwargs)

    def end(self):
        if self.display.display == self.around:
            self.display.display = self.print


class Live(Ear):
    """A block of lines at the end of the terminal, taken away before anything else is printed and put back after it.

    Only with the lock of the display in hand: Ansible forks its workers under it, so none of them inherits a lock that
    is held by a thread that it does not have. The cursor stays below the block, where a killed run leaves the prompt.
    """

    def __init__(self, display, hear, lines, complain):
        self.lines, self.complain = lines, complain
        self.height = 0
        self.visible = True
        self.ended = threading.Event()
        super().__init__(display, hear)
        threading.Thread(target=self.tick, daemon=True).start()

    def put(self, *args, **kwargs):
        with self.display._lock:
            self.draw([])
            try:
                return self.print(*args, **kwargs)
            finally:
                self.draw()

    def tick(self):
        while not self.ended.wait(1):
            with self.display._lock:
                self.draw()

    def draw(self, lines=None):
        """Draw the block, or these lines in its place."""
        try:
            if self.ended.is_set():
                return
            if lines is None:
                lines = self.lines() if self.visible else []
            width = min(WIDTH, shutil.get_terminal_size().columns - 1)
            above = f"\033[{self.height}A\r\033[J" if self.height else ""
            self.height = len(lines)
            sys.stdout.write(above + "".join(f"{fit(line, width)}\n" for line in lines))
            sys.stdout.flush()
        except Exception as exc:
            self.ended.set()
            self.complain(exc)

    def show(self, visible):
        if visible != self.visible:
            self.visible = visible
            self.draw()

    def end(self):
        with self.display._lock:
            self.draw([])
            self.ended.set()
            super().end()
