# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What is known of a run, from its record and those of its nodes. docs/report.md has the structure.

import collections
import re
from datetime import datetime, timezone

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import Cause
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import warnings_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import migrations
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import CHANGED, IS_CHANGED
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import OF_A_NODE, spell
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    SAME,
    has_work,
    node_of,
    plain,
    reboots_of,
    run_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import is_to_run
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed, many
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._watch import excused

FORMAT = 1
# The kinds of run of a product that is rolled service by service, host by host, or stopped as a whole.
SERVICES, HOSTS, TIER = "services", "hosts", "tier"
# What a node is when nothing is left to do with it.
DONE = ("rolled", "rebooted")
# Those of which each service is known, when it was out.
BY_SERVICE = (SERVICES, TIER)
# In words: what is done, to what it was done.
KINDS = {"upgrade": ("upgrade", "upgraded"), "services": ("upgrade", "upgraded"),
         "hosts": ("upgrade", "upgraded"), "tier": ("upgrade", "upgraded"),
         "rollback": ("rollback", "taken back"), "restart": ("restart", "restarted"),
         "reconfigure": ("reconfiguration", "reconfigured")}


def stamp(moment):
    """A moment for the name of a file."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def tiers(entry):
    """The parts of one call of the module C(units), as its tiers were restarted one after the other."""
    units, moment = entry["details"].get("units", {}), entry["ended"]
    parts: list[dict] = []
    # What comes before the first tier is the way to the node, so they are laid out from the end.
    for names in reversed(entry["details"].get("tiers") or []):
        seconds = {name: units[name] for name in names if name in units}
        if seconds:
            longest = min(max(seconds.values()), moment - entry["began"])
            parts.insert(0, dict(name=", ".join(seconds), units=seconds, began=moment - longest, ended=moment))
            moment -= longest
    return parts


def parts_of(entry):
    return tiers(entry) if entry.get("module") == "units" else []


def steps_of(entries, failed):
    """The steps of a node, in order; C(failed) is the entry that its first failure ended with, if there was one."""
    steps: list[dict] = []
    for entry in sorted(entries, key=lambda each: each["began"]):
        step = entry["step"]
        if step not in OF_A_NODE:
            continue
        if not steps or steps[-1]["step"] != step:
            steps.append(dict(step=step, began=entry["began"], result="ok", parts=[]))
        last = steps[-1]
        last["ended"] = entry["ended"]
        # Something may have been undone after the failure, in the same step.
        if entry is failed or last["result"] == "failed":
            last["result"] = "failed"
        elif entry.get("changed"):
            last["result"] = "changed"
        last["parts"] += parts_of(entry)
    for each in steps:
        each["seconds"] = round(each["ended"] - each["began"], 3)
    return steps


def phases_of(timelines, failed, tier=False):
    """The steps that all nodes take together, each from the first begin to the last end.

    :arg tier: whether all is stopped for the migrations, which are tried before that.
    """
    phases: dict[str, dict] = {}
    stopped = False
    for entry in sorted((entry for entries in timelines.values() for entry in entries), key=lambda each: each["began"]):
        stopped = stopped or entry["step"] == "stop"
        if entry["step"] in OF_A_NODE or not entry["step"]:
            continue
        step = "rehearsal" if tier and not stopped and entry["step"] == "schema" else entry["step"]
        phase = phases.setdefault(step, dict(step=step, began=entry["began"], ended=entry["ended"], result="ok"))
        phase["ended"] = max(phase["ended"], entry["ended"])
        if entry in failed:
            phase["result"] = "failed"
    return [dict(phase, seconds=round(phase["ended"] - phase["began"], 3)) for phase in phases.values()]


def out_of_rotation(steps, rolled, serves, before=None):
    """When a node was out of rotation, None if it never was; without an end if it still is.

    :arg before: when the run began, where it was so already.
    """
    begins = [step["began"] for step in steps if step["step"] == "drain"] if before is None else [before]
    if not begins:
        return None
    # What comes after the gate is spent in rotation; a node that failed is back when all has been tried.
    gates = [step["ended"] for step in steps if step["step"] == "gate" and rolled]
    ended = gates[-1] if gates else steps[-1]["ended"] if rolled or serves else None
    return dict(began=begins[0], ended=ended, seconds=None if ended is None else round(ended - begins[0], 3),
                before=before is not None)


def serves(unit):
    """Whether a service served before the run; one may run that an earlier run has taken out of rotation."""
    return bool(unit["active"] and not unit.get("shut"))


def services_of(services, due, known, tier=None):
    """The services of a node, each with its result, and with the time in which nobody was served by it.

    :arg due: the names of those that were to be rolled.
    :arg known: what the preflight has seen of its units.
    :arg tier: what was done with the node of a product that is stopped as a whole, None of any other.
    """
    found = []
    for name in due:
        one, before = services.get(name, {}), name in known and not serves(known[name])
        # Of what was down before nobody knows here since when.
        began, ended = None if before else one.get("began"), one.get("ended")
        touched = name in services or before and tier is not None
        result = "failed" if one.get("failed") else "rolled" if touched else "not touched"
        if result == "rolled" and (tier or before and tier is not None):
            # One that ran the release already was only seen to run.
            result = ("down" if ended is None else "passed over" if began is None and not before
                      else "went back" if tier.get("back") else "rolled")
        found.append(dict(name=name, result=result, down_before=before, began=began, ended=ended,
                          seconds=None if began is None or ended is None else round(ended - began, 3)))
    return found


def progress(kind, nodes):
    """What a run is counted in, how many of them are done, and how many were to be."""
    if kind == SERVICES:
        # An older report has only those that were rolled.
        results = [one.get("result", "rolled") for node in nodes for one in node["services"]]
        return "service", results.count("rolled"), len(results)
    results = [node["result"] for node in nodes if node["result"] != "passed over"]
    return "node", sum(result in DONE for result in results), len(results)


class Gatherer:
    """What is known of one run; C(further) are hosts that its plan need not name."""

    def __init__(self, hostvars, now, further=()):
        self.hostvars, self.now = hostvars, now
        self.run = run_of(hostvars)
        self.plan = self.run.plan
        self.names = [*self.plan.get("order", []), *self.plan.get("done", [])]
        self.everybody = list(dict.fromkeys([*self.names, *further]))
        self.records = {name: node_of(hostvars, name, self.run) for name in self.everybody}
        self.timelines = {name: record.timeline for name, record in self.records.items()}
        moments = [entry["began"] for entries in self.timelines.values() for entry in entries]
        self.began = float(self.run.began or min(moments, default=now))
        self.lost = {}
        for record in self.records.values():
            self.lost.update(record.lost)
        self.causes = {name: self.cause(name) for name in self.everybody}
        self.ends = {name: self.end_of(name) for name in self.everybody}

    def fact(self, name, key, default=None):
        """What is published of a node. A node that was never reached lacks it."""
        if name not in self.hostvars:
            return default
        value = plain(self.hostvars[name].get(key))
        return default if value is None or default is not None and not isinstance(value, type(default)) else value

    def cause(self, name):
        """Why a node has failed, None if it has not."""
        if self.records[name].cause:
            return Cause(**self.records[name].cause)
        return Cause(words=self.lost[name]["words"]) if name in self.lost else None

    def told(self, name=""):
        """What the operator is told of a failure: that of this node, or the first one."""
        failures = [self.records[each].failure if self.records[each].failure.get("text") else self.lost.get(each)
                    for each in sorted(self.everybody, key=lambda each: each != name)]
        return next(filter(None, failures), {})

    def end_of(self, name):
        """The entry that the failure of a node ended with; added to its timeline, to which failures add nothing."""
        entries, cause = self.timelines[name], self.causes[name]
        if not cause:
            return None
        if cause.timing:
            entries.append(cause.timing)
            return cause.timing
        # It was not a module that failed, but what it saw: the last one before has seen it.
        before = [entry for entry in entries
                  if cause.step and entry["ended"] <= cause.at and entry["step"] in OF_A_NODE]
        return max(before, key=lambda each: each["ended"], default=None)

    # ---- parts of the report

    def seen(self, name):
        """What the preflight has seen of a node."""
        return self.records[name].seen.get("node") or {}

    def out_before(self, name):
        """Whether a killed run has left a host drained, or offline."""
        return bool(self.host(name).get("out"))

    def host(self, name):
        """What the plan has of a host."""
        return (self.plan.get("hosts") or {}).get(name, {})

    def came_from(self, name):
        return self.host(name).get("came_from") or (self.seen(name).get("release") or {}).get("version", "")

    def rebooted(self, name, steps):
        """Whether a node was rebooted, and is whole again; None if it was not to be."""
        if name not in reboots_of(self.plan):
            return None
        since = [number for number, step in enumerate(steps) if step["step"] == "restart"][-1:]
        later = [step["result"] for number in since for step in steps[number:]]
        return bool(later) and "failed" not in later and (len(later) > 1 or not self.causes[name])

    def node(self, name):
        cause, record = self.causes[name], self.records[name]
        steps = steps_of(self.timelines[name], self.ends[name])
        rebooted, before = self.rebooted(name, steps), self.out_before(name)
        known = self.seen(name).get("services") or {}
        # One that is not to run, the passive one of a pair, is not down.
        due = [each for each in self.plan.get("services", {}).get(name, ()) if self.run.kind == SERVICES
               or each not in known or is_to_run(known[each])]
        services = services_of(record.services, due, known, record.tier if self.run.kind == TIER else None)
        results = {one["result"] for one in services}
        over = record.rolled or name in self.plan.get("done", [])
        # A reboot at the end, of a node that runs the release.
        if self.run.kind == TIER and over and rebooted is False:
            result = "failed" if cause and not cause.stopped else "not rebooted"
        elif record.rolled:
            result = "rolled"
        elif over and rebooted:
            result = "rebooted"
        elif name in self.plan.get("done", []):
            result = "passed over"
        elif cause and cause.step and not cause.stopped:
            result = "failed"
        elif record.tier or "down" in results:
            result = next((each for each in ("down", "went back") if each in results), "rolled")
        else:
            result = "in part" if "rolled" in results else "not touched"
        # On which release it was left, as far as that is known.
        on = "" if record.tier.get("back") or result == "passed over" else (
            self.target() if over else record.tier.get("on", ""))
        return {"name": name, "from": self.came_from(name), "to": on, "result": result,
                "database": name in self.plan.get("schema", []), "leader": name == self.plan.get("leader"),
                "served": name in self.plan.get("serving", []) and not before,
                "restored": record.restored, "rebooted": rebooted,
                "out": None if "services" in self.plan else
                out_of_rotation(steps, record.rolled, bool(record.failure.get("serves")),
                                self.began if before else None),
                "services": services, "steps": steps}

    def failures(self):
        """What failed, one item for each message."""
        found: dict[str, dict] = {}
        for name in self.names:
            cause = self.causes[name]
            text = self.records[name].failure.get("text") or self.lost.get(name, {}).get("text")
            if cause and text:
                item = found.setdefault(text, dict(nodes=[], step=cause.step, words=cause.words, message=text,
                                                   stopped=cause.stopped, request=cause.request or None))
                item["nodes"].append(name)
        return list(found.values())

    def availability(self, nodes):
        """How many nodes were in rotation, from moment to moment, and how many had to be."""
        if self.run.kind in BY_SERVICE:
            return self.availability_of_services(nodes)
        moves = []
        for node in nodes:
            out = node["out"]
            if out and node["served"]:
                moves.append((out["began"], -1))
            if out and out["ended"] is not None:
                moves.append((out["ended"], 1))
        serving = [name for name in self.plan.get("serving", []) if not self.out_before(name)]
        curve = self.curve(len(serving), moves)
        asked = [entry["details"]["minimum"] for entries in self.timelines.values() for entry in entries
                 if "minimum" in entry.get("details", {})]
        everybody = {*self.names, *self.plan.get("serving", [])}
        return dict(nodes=len(everybody), least=min(point[1] for point in curve), curve=curve,
                    min_ready=min(map(int, asked), default=None))

    def curve(self, count, moves):
        curve = [[self.began, count]]
        for moment, step in sorted(moves):
            count += step
            curve.append([moment, count])
        return curve

    def availability_of_services(self, nodes):
        """The same of services; of which kind others had to be ready, and how many, is no number of all of them."""
        moves, known = [], {name: self.seen(name).get("services") or {} for name in self.names}
        for node in nodes:
            for one in node["services"]:
                if one["began"] is not None:
                    moves.append((one["began"], -1))
                if one["ended"] is not None and (one["began"] is not None or one["down_before"]):
                    moves.append((one["ended"], 1))
            moves += self.reboot_of(node)
        units = [unit for services in known.values() for unit in services.values() if is_to_run(unit)]
        curve = self.curve(sum(map(serves, units)), moves)
        return dict(nodes=len(units), least=min(point[1] for point in curve), curve=curve, min_ready=None)

    def reboot_of(self, node):
        """What a reboot at the end takes out: all of the node, until its services were seen to run again."""
        if self.run.kind != TIER:
            return []
        count = sum(map(is_to_run, (self.seen(node["name"]).get("services") or {}).values()))
        reboots = [step for step in node["steps"] if step["step"] == "restart"]
        back = [step for step in node["steps"][-1:] if step["step"] == "gate" and step["result"] != "failed"]
        return [(step["began"], -count) for step in reboots] + [(step["ended"], count) for step in back if reboots]

    def down(self, availability):
        """From when to when all services were down: a product that is stopped as a whole.

        C(began) and C(ended) are when the first one went down, and the last one was back; what is not known is None.
        """
        if self.run.kind != TIER:
            return None
        curve, full = availability["curve"], availability["nodes"]
        nothing = next((index for index, point in enumerate(curve) if not point[1]), None)
        if nothing is None or not full:
            return None
        later = curve[nothing + 1:]
        # Before all of it is down, nothing is started.
        began = curve[1][0] if curve[0][1] >= full else self.began
        since, until = curve[nothing][0], next((moment for moment, count in later if count), None)
        return dict({"from": since, "to": until}, seconds=None if until is None else round(until - since, 3),
                    began=began, ended=next((moment for moment, count in later if count >= full), None))

    def schema(self):
        """The result of the migration, and the restore point."""
        done = [entry for name in self.names for entry in self.timelines[name] if entry.get("module") == "schema"]
        details = done[-1]["details"] if done else {}
        dumps = [entry for name in self.names for entry in self.timelines[name] if entry.get("module") == "dump"]
        where = next((name for name in self.names if self.records[name].schema.get("backup")), None)
        backup = None
        if where:
            backup = dict(self.records[where].schema["backup"], node=where,
                          verified=dumps[-1]["details"].get("verified", "") if dumps else "")
        tables = [table for table in details.get("tables", []) if table["before"] != table["after"]]
        # A product that is rolled service by service says itself what its schema is, before and after.
        after = {name: self.fact(name, "cluster_node", {}).get("schema") for name in self.names}
        moved = any(self.records[name].schema.get("moved") or after[name] and after[name] != self.seen(name).get(
            "schema", after[name]) for name in self.names)
        found = [dict(one, node=name) for name in self.names
                 for one in self.records[name].schema.get("migrations", [])]
        undone, beyond = [], ""
        for name in self.names:
            undone += self.records[name].tier.get("undone", [])
            beyond = beyond or self.records[name].tier.get("beyond", "")
        # Packages from which there is no way back have migrated nothing.
        wrote = any(self.records[name].tier.get("wrote") for name in self.names)
        moved = moved or wrote and not undone
        return dict(looked=bool(done or found or wrote), moved=moved, migrations=found, undone=undone, beyond=beyond,
                    tables=tables, notes=migrations(self.product(), tables), widened=details.get("widened", []),
                    backup=backup)

    def product(self):
        return next(filter(None, (self.seen(name).get("distribution") for name in self.names)), "")

    def warnings(self):
        """Of the preflight, the drains, a backup that could not be tried, and a last hook that failed after all."""
        found = list(filter(None, map(self.kept_promise, warnings_of(self.plan.get("report", [])))))
        for entry in (entry for name in self.names for entry in self.timelines[name] if entry.get("module") == "dump"):
            # Where it was not to be tried, the words end before the comma.
            why = re.search("not restored to check it, (.+)", entry["details"].get("verified", ""))
            if why:
                found.append(f"{entry['details']['path']} is complete, but was not restored to check it: {why[1]}")
        found += [f"{name}: {concern}" for name in self.names for entry in self.timelines[name]
                  if entry.get("module") == "drain" for concern in entry["details"].get("concerns") or []]
        for name in self.names:
            found += self.records[name].notes
        return list(dict.fromkeys(filter(None, [*found, *self.run.notes, self.run.problem])))

    def kept_promise(self, words):
        """What the preflight has said of a setting that is to be changed; nothing where it was, for it was done."""
        if not words.endswith(IS_CHANGED):
            return words
        what = words.removesuffix(IS_CHANGED)
        return "" if f"{what}{CHANGED}" in self.done() else f"{what}: not changed in this run"

    def done(self):
        """What was done and is no warning."""
        return [line for name in self.names for line in self.records[name].done]

    def pauses(self):
        """When an operator let the run wait."""
        found = [pause for name in self.names for pause in self.records[name].pauses]
        return [list(paused) for paused in sorted(set(map(tuple, found)))]

    def probe(self):
        """The last reading of the watcher, if there was one."""
        return self.run.watch.get("seen") or None

    def target(self):
        resolved = [self.fact(name, "stage_resolved", {}).get("version", "") for name in self.everybody]
        return next(filter(None, resolved), self.plan.get("release", ""))

    def report(self, who):
        """All of it."""
        nodes, failures = [self.node(name) for name in self.names], self.failures()
        availability = self.availability(nodes)
        broken = list(filter(None, self.ends.values()))
        left = {node["from"] for node in nodes if node["result"] != "passed over"}
        if self.run.changes_release():
            left.discard(self.target())
        if failures:
            result = "stopped" if all(item["stopped"] for item in failures) else "failed"
        else:
            due = [node["result"] for node in nodes if node["result"] != "passed over"]
            result = "ok" if set(due) <= set(DONE) else "incomplete"
        data = dict(format=FORMAT, kind=self.run.kind, product=self.run.product, result=result,
                    began=self.began, ended=self.now, seconds=round(self.now - self.began, 3), who=who,
                    command=self.plan.get("command", ""),
                    releases={"from": sorted(left - {""}), "to": self.target()},
                    failures=failures, phases=phases_of(self.timelines, broken, self.run.kind == TIER),
                    nodes=nodes, availability=availability, down=self.down(availability), pauses=self.pauses(),
                    schema=self.schema(), done=self.done(), warnings=self.warnings(), probe=self.probe(),
                    watched=bool(self.run.watch.get("started")))
        data["verdict"] = verdict(data)
        return data

    def is_worth_it(self):
        """Whether there is anything to tell: what was to be done, a failure, or what only the end has found left."""
        left = (entry.get("changed") for entries in self.timelines.values() for entry in entries
                if entry["step"] == "verify")
        return bool(has_work(self.plan) or any(left) or self.failures())


def verdict(data):
    """The run in one sentence."""
    seen = (data["probe"] or {}).get("since") or data["probe"]
    words = f", {seen['failed'] or 'none'} of {many(seen['requests'], 'request')} failed{excused(seen)}" if seen else ""
    return outcome(data) + words


def deed(node, data, roll):
    """What was done with a node that is done.

    :arg roll: that of one that was rolled.
    """
    if node["result"] == "rebooted":
        return "rebooted"
    if data["kind"] != HOSTS or data["releases"]["to"] not in ("", node["from"]):
        return roll
    # One that an earlier run has upgraded, or rebooted, too.
    return "rebooted" if any(step["step"] == "restart" for step in node["steps"]) else "given guests back"


def outcome(data):
    # Hosts that only reboot come to no other release.
    same = data["kind"] == HOSTS and not data["releases"]["to"]
    noun, participle = ("reboot", "rebooted") if same else KINDS.get(data["kind"], KINDS["upgrade"])
    noun += f" of {data['product']}" if data["product"] else ""
    unit, rolled, count = progress(data["kind"], data["nodes"])
    before, to = " and ".join(data["releases"]["from"]), data["releases"]["to"]
    target = f" on {to}" if data["kind"] in SAME else f" to {to}" if to else ""
    if data["result"] == "ok":
        way = target if data["kind"] in SAME or before in ("", to) else f" from {before}{target}"
        deeds = [deed(node, data, f"{participle}{way}") for node in data["nodes"] if node["result"] in DONE]
        counts = {f"{participle}{way}": rolled} if unit == "service" and rolled else collections.Counter(deeds)
        words = [f"{many(count, unit)} {one}" for one, count in counts.items()]
        words = words or [f"What was left of the {noun}{target} was done"]
        return f"{listed(words, ' and ')} in {spell(data['seconds'], 0)}"
    left = sum(node["result"] == "not rebooted" for node in data["nodes"])
    done = f"{rolled} of {many(count, unit)} done" + (f", {left} only to be rebooted" if left else "")
    if data["result"] == "stopped":
        return f"The {noun}{target} was stopped: {done}"
    if data["result"] == "incomplete":
        return f"The {noun}{target} did not come to its end: {done}"
    names = ", ".join([f"{one['name']} on {node['name']}" for node in data["nodes"] for one in node.get("services", ())
                       if one.get("result") == "failed"]
                      or dict.fromkeys(name for item in data["failures"] for name in item["nodes"]))
    return f"The {noun}{target} failed on {names}: {done}"
