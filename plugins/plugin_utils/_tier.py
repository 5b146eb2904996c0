# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# A product all of which must stop for an upgrade: everything down on all nodes, new code, migrations, everything up.
# What such a run does, whether there is a way back, and what is told.

import dataclasses

from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import locked_by
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import OPTIONS, Cause, see_why
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Findings, warnings_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import (
    no_way_back,
    packages_words,
    to_reboot,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import Wave
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import explained
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import START, group_of, is_done, is_to_run
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed, span, wrap

# All is stopped; or some of it runs the release, which nothing does before all migrations are complete: then the others
# follow, and the store is left alone.
WHOLE, REST = "whole", "rest"
# These are of the time in which all is down, whichever release ends it: so they lie beside the release directories, for
# a run that was killed may be followed by one that brings another build.
# What is there from before the first command that writes to the database: without a backup nothing leads back then. It
# has the release that migrates, and in its second line the title of the migration that is under way.
MIGRATING = ".rolling-migrating"
# And for as long as the database is being restored from its backup.
RESTORING = ".rolling-restoring"
# And what the configuration of a node was before the run has changed it.
BEFORE = ".rolling-configuration"
# What a release directory has from when all nodes have agreed that all its migrations of the database are complete,
# which that does not tell itself.
MIGRATED = ".rolling-migrated"


def runs_it(service, target):
    """Whether a service runs the release."""
    return service["active"] and service["runs"] == target.get("name")


def mode_of(nodes, target):
    """Whether all is to be stopped, or only what does not run the release yet."""
    begun = any(runs_it(one, target) and one.get("counts", True)
                for node in nodes.values() for one in node["services"].values())
    return REST if begun else WHOLE


def came_from(node, target, running=()):
    """The releases that the services of a node came from, or come from, by their names.

    A run that was killed may have moved some of their links. What it held tells what they had before, and that counts
    unless another one runs by now what the link leads to.
    """
    found = {one.get("came") if one.get("came") and one["release"] not in running else one["release"]
             for one in node["services"].values()}
    return sorted(found - {target.get("name"), ""})


def prior_of(node, target, running=()):
    """The name of the release that a node came from, or comes from; empty if it is not known."""
    return (came_from(node, target, running) or [(node.get("previous") or {}).get("name") or ""])[0]


def running_on(nodes):
    """The releases that something runs."""
    return {one["runs"] for node in nodes.values() for one in node["services"].values() if one["active"]}


def priors_of(nodes, target):
    """By node, the release that it came from."""
    running = running_on(nodes)
    return {name: prior_of(node, target, running) for name, node in nodes.items()}


def node_for(nodes, service):
    """The one node that does what is done once: the first that has the service, or package, or the first of all."""
    return next((name for name, node in nodes.items() if not service or service in node["services"]
                 or service in node.get("packages", {})), "")


def migrating(nodes):
    """The nodes on which a run that was killed was to migrate a database: what it holds tells, on every node."""
    return {name for node in nodes.values() for one in node["services"].values() for name in one.get("migrates") or ()}


def places_of(nodes, phases):
    """The node of each phase, by the service beside which it runs. Who has begun goes on, for the backup is there."""
    begun = migrating(nodes)
    order = {name: nodes[name] for name in sorted(nodes, key=lambda name: name not in begun)}
    return {service: node_for(order, service) for service in ["", *(phase.get("where") or "" for phase in phases)]}


def steps_of(migrations, mode=WHOLE):
    """What happens while all is down and before anything is started, as the action C(phase) takes it, in its order.

    The store is tried once more before the database is touched: then a migration that fails has written nothing at all.
    Where some of it runs the release, there is nothing to go back to.
    """
    own = [dict(title="Try the migrations once more on a copy, while nobody writes", point="tried"),
           dict(title="Back up the database", point="backed_up"),
           dict(title="Record that the migrations begin", point="begun")]
    each = [dict(title=phase["title"], point="migrate", number=number) for number, phase in enumerate(migrations)]
    return [*(own if mode == WHOLE else []), *each,
            dict(title="Check that what the services keep is whole", point="whole")]


class Tier:
    """Plans such a run.

    :arg phases: by point, as the product's file has them.
    """

    def __init__(self, phases):
        self.phases = [phase for point in phases.values() for phase in point if phase.get("wanted", True)]
        self.migrations = [phase for phase in phases.get("migrate") or () if phase.get("wanted", True)]

    def findings(self, nodes, services, target):
        findings = Findings()
        running = running_on(nodes)
        mixed = [f"the services of {name} have links to {listed(links, ' and ')}, and all of them go back to one "
                 "release if it comes to that: give them the same link first" for name, links in (
                     (name, came_from(node, target, running))
                     for name, node in nodes.items()) if len(links) > 1]
        findings.judge("prior", mixed)
        away = sorted(migrating(nodes) - set(nodes)) if mode_of(nodes, target) == WHOLE else []
        findings.judge("migrates", [
            f"services are held by a run that was to migrate the database on {listed(away, ' and ')}, which is not "
            "among the nodes. What it has begun, and the backup from before, are there: put it back into the "
            "inventory, and give no --limit"] if away else [])
        lacking = [f"no node has the unit {service}, or a package of that name, beside which a migration runs: correct "
                   "`where` in the product's file, or the inventory"
                   for service, name in places_of(nodes, self.phases).items() if not name]
        findings.judge("place", lacking if nodes else [
            f"no node was seen that has one of the units {listed([one.name for one in services], ' or ')}: what is "
            "wrong is said of each node"])
        return findings

    def plan(self, nodes, services, target, command, lines):
        """The plan, as the run record keeps it."""
        mode, places, priors = mode_of(nodes, target), places_of(nodes, self.phases), priors_of(nodes, target)
        left = [name for name, node in nodes.items() if not all(is_done(one, target)
                                                                for one in node["services"].values())]
        # What is down has to be down everywhere; only where nothing is left, nothing is stopped.
        order = list(nodes) if left and mode == WHOLE else left
        waves = [Wave(one.name, [[name for name in order if one.name in nodes[name]["services"] and (
            mode == WHOLE or not runs_it(nodes[name]["services"][one.name], target))]]) for one in services]
        waves = [wave for wave in waves if wave.nodes()]
        first = next(iter(order or nodes), "")
        members = [dict(name=name, groups=[group_of(wave.name)]) for wave in waves for name in wave.nodes()]
        reboots = to_reboot(nodes, order)
        members += [dict(name=name, groups=["rolling_reboot"]) for name in reboots]
        return dict(
            waves=[dataclasses.asdict(wave) for wave in waves], order=order, database=[], others=order,
            batches=[order] if order else [], serial=[max(len(order), 1)], schema=[],
            members=[*(dict(name=name, groups=["rolling_order"]) for name in order), *members,
                     *([dict(name=first, groups=["rolling_first"])] if first else [])],
            done=[name for name in nodes if name not in order], serving=list(nodes), leader="", command=command,
            release=target.get("version", ""), report=lines, orphans=[],
            services={name: list(nodes[name]["services"]) for name in order},
            tier=dict(mode=mode, places=places, priors=priors, steps=steps_of(self.migrations, mode),
                      migrates=sorted({places[phase.get("where") or ""] for phase in self.migrations
                                       if not phase.get("store")}),
                      units=[one.name for one in services],
                      titles=[f"{phase['title']} on {places[phase.get('where') or '']}" for phase in self.migrations],
                      **(dict(reboots=reboots) if reboots else {}),
                      comes=[came_words(names, came, target.get("version", "")) for came, names in by(
                          order, lambda name: came_of(nodes[name], priors[name], target, mode)).items()]))

    def lines(self, plan, nodes):
        return tier_lines(plan, nodes)


def by(names, key):
    """Names, by what they have in common."""
    found: dict = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found


def came_of(node, prior, target, mode=WHOLE):
    """In words, the release that a node comes from; that of the run where it has it already."""
    has_it = mode == REST and all(one["release"] == target["name"] for one in node["services"].values())
    release = target["version"] if has_it else prior or (node.get("release") or {}).get("version") or ""
    return packages_words(release or "an unknown release", (node.get("apt") or {}).get("interrupted"))


def came_words(names, came, release):
    """What becomes of some nodes, in words."""
    return f"{', '.join(names)}: " + (f"on {release} already" if came == release else f"{came} -> {release}")


def _runs(plan, nodes, service):
    return [name for wave in plan["waves"] if wave["name"] == service for name in wave["batches"][0]
            if is_to_run(nodes[name]["services"][service])]


def _stops(plan, nodes, service):
    """The nodes on which a service runs, or ought to, and no earlier run has stopped it."""
    return [name for name in _runs(plan, nodes, service) if nodes[name]["services"][service]["active"]
            or not nodes[name]["services"][service].get("held")]


def tier_lines(plan, nodes):
    """What the run does, in its order, as lines."""
    tier, names = plan["tier"], [wave["name"] for wave in plan["waves"]]
    lines, reboots = [], [f"reboot {name}" for name in tier.get("reboots", [])]
    if plan["order"]:
        whole = tier["mode"] == WHOLE
        steps = [f"stop {name} on {', '.join(_stops(plan, nodes, name)) or 'no node: it runs on none'}"
                 for name in reversed(names)]
        steps.append("; ".join(tier["comes"]) + (", all of it is down then" if whole else ""))
        if whole:
            steps += tier["titles"]
        steps += [f"start {name} on {', '.join(_runs(plan, nodes, name)) or 'no node'}" for name in names]
        lines += [f"{number}. {words}" for number, words in enumerate(steps + reboots, start=1)]
        if not whole:
            lines.append("What runs the release already goes on, and migrations that are complete are not run again.")
    lines += [] if plan["order"] else reboots
    return lines + [f"{name}: on {plan['release']} already, passed over" for name in plan["done"]]


def forecast_of_tier(plan, nodes):
    """How the run would go, and that as lines."""
    def longest(service, seconds):
        return max((seconds(nodes[name]["services"][service]) for name in _runs(plan, nodes, service)), default=0)
    steps = [{"service": wave["name"], "nodes": wave["batches"][0], "to": plan["release"],
              "seconds": round(longest(wave["name"], lambda one: (one["stop_seconds"] or 0) + START), 1)}
             for wave in plan["waves"]]
    seconds = sum(step["seconds"] for step in steps)
    how = (f"Of each service its longest last stop, and {START} s for its start; everything is down for that long, and "
           "for as long as the backup and the migrations take, which is not in it.")
    found = {"release": plan["release"], "tier": plan["tier"], "steps": steps, "passed_over": plan["done"],
             "warnings": warnings_of(plan["report"]), "command": plan["command"],
             "expected": {"seconds": round(seconds), "minutes": round(seconds / 60, 1), "how": how if steps else ""}}
    lines = tier_lines(plan, nodes)
    if steps:
        lines += [*wrap(f"Expected: {span(seconds)} and more. {how}"), "To do it:", plan["command"]]
    return found, lines


# ---- stores

# How much of itself etcd must have free: old and new values are put beside the store, and it keeps what was there.
ROOM = 3


def counted(changes):
    """How many objects a migration changes, in words."""
    words = [f"{table} {', '.join(f'{count} {how}' for how, count in found.items() if count)}"
             for table, found in sorted(changes.items()) if any(found.values())]
    return "; ".join(words) or "no object changes"


def interrupted_words(found):
    """That a run was killed while it wrote into a store."""
    return (f"a run that was killed, on {found['host']} since {found['since']}, has left the store interrupted: "
            f"{found['done']} of {found['batches']} batches are written. This run completes that before anything else; "
            "no service may be started before")


def locked_words(holder):
    """That somebody else migrates a store; empty if nobody does."""
    return f"{locked_by(holder)}. Wait until it has ended" if holder else ""


def etcd_problem(member):
    """What is wrong with a member of etcd, in words."""
    where = f"etcd at {member['endpoint']}"
    if member.get("problem"):
        return f"{where} cannot be asked: {member['problem']}"
    if member["alarms"]:
        more = (", and it takes no writes: make room (etcdctl compact, defrag, or a larger --quota-backend-bytes), "
                "then etcdctl alarm disarm") if "NOSPACE" in member["alarms"] else ": see its journal"
        return f"{where} has raised the alarm {', '.join(member['alarms'])}{more}"
    free, needed = (member["quota"] or 0) - member["in_use"], ROOM * member["in_use"]
    if member["quota"] and free < needed:
        return (f"{where} has {free / 1e6:.1f} MB left of its quota, and a migration may need {needed / 1e6:.1f} MB: "
                "raise --quota-backend-bytes, or compact and defragment it")
    return ""


# ---- what has failed, and whether there is a way back

# The sections of the runbook that are about that; what is in others is so of products that are rolled.
SECTIONS = ("dragonflow-and-other-products-that-are-stopped-as-a-whole", "migrations-of-a-store",
            "packages-and-synnefos-service-nodes", "synnefo-a-migration-has-failed")


def troubles(hostvars, run, everybody, there):
    """By node that has failed or was lost, why; nothing else goes on then.

    :arg everybody, there: the names of all nodes of the play, and of those that Ansible still has.
    """
    found = {}
    for name in everybody:
        cause = node_of(hostvars, name, run).cause
        if cause:
            found[name] = Cause(**cause)
        elif name not in there:
            found[name] = Cause(words="it was lost, see above", lost=True)
    return found


def trouble_words(found):
    """What has failed, one line for each node."""
    return "\n".join(f"{name}: {cause.step + ': ' if cause.step else ''}{cause.words}"
                     for name, cause in found.items())


def brief(found):
    """The same in one line, with the steps alone; the message has what was expected and what was seen."""
    return "; ".join(f"{', '.join(names)}: {step}" for step, names in by(
        found, lambda name: found[name].step or "it was lost").items())


@dataclasses.dataclass
class Left:
    """How all nodes together were left by a run that has failed.

    :param order: the nodes of the run.
    :param records: of each the record.
    :param priors: by node, the release that it came from.
    :param mode: V(whole) or V(rest).
    :param lost: the nodes that cannot be reached; Ansible may have them still.
    :param migrating: those of them that may have begun to migrate when they were lost.
    """

    order: list
    records: dict
    priors: dict
    mode: str = WHOLE
    lost: list = dataclasses.field(default_factory=list)
    migrating: list = dataclasses.field(default_factory=list)

    def started(self):
        return any(record.tier.get("started") for record in self.records.values())

    def touched(self):
        return any(record.tier for record in self.records.values())

    def beyond(self):
        """Why there is no way back; empty if there is one."""
        if self.mode == REST:
            return "other services run the new release already, for which the migrations were made"
        if self.migrating:
            # Nobody else knows its backup, nor whether a command of it still runs.
            return (f"{listed(self.migrating, ' and ')} was lost and may have begun to migrate what the services keep, "
                    "and the backup is there: leave it in the inventory")
        if any(record.tier.get("packages") for record in self.records.values()):
            return no_way_back({name: record.tier.get("packages") or self.priors.get(name) or "not known"
                                for name, record in self.records.items()})
        found = [record.tier["beyond"] for record in self.records.values() if record.tier.get("beyond")]
        unknown = [name for name in self.records if not self.priors.get(name)]
        return found[0] if found else (f"it is not known which release {listed(unknown, ' and ')} came from"
                                       if unknown else "")

    def migrations(self):
        """Which migrations are complete, and whether there is a backup from before them, as sentences."""
        done = [f"{each['title']} on {name}" for name, record in self.records.items()
                for each in record.schema.get("migrations", [])]
        wrote = any(record.tier.get("wrote") for record in self.records.values())
        backups = {name: record.schema["backup"] for name, record in self.records.items()
                   if record.schema.get("backup") and not record.schema["backup"].get("late")}
        return [*([f"Complete before that: {'; '.join(done)}."] if done else []),
                *(f"The database as it was before: {backup['path']} on {name}. To restore it, where the next run does "
                  f"not do that itself: {backup['restore']}" for name, backup in backups.items()),
                *(["This run has made no backup of what the services keep."] if wrote and not backups else [])]

    def leads_back(self):
        """Whether there is something to go back from, and a way back."""
        return self.touched() and not self.started() and not self.beyond()

    def state(self):
        """In which state all is, in words."""
        if not self.touched():
            return "Nothing was stopped, all services serve as before."
        down = [f"{name} {record.restored}, but for what follows.\n{record.tier['down']}" if record.restored else
                record.tier["down"] for name, record in self.records.items() if record.tier.get("down")]
        if self.started():
            return "\n".join(["The release is active on all nodes, and all migrations are complete, so nothing goes "
                              "back. What else could be started runs it.", *down])
        beyond = self.beyond()
        if beyond:
            there = [name for name in self.order if name not in self.lost]
            return "\n".join([f"ALL SERVICES STAY STOPPED on {', '.join(there)}, nothing went back: {beyond}. "
                              "Nothing starts them but the next run.", *self.migrations()])
        back = [name for name, record in self.records.items() if record.restored and not record.tier.get("down")]
        undone = [words for record in self.records.values() for words in record.tier.get("undone", [])]
        priors = listed(sorted({self.priors[name] for name in back} - {""}), " and ")
        return "\n".join(filter(None, [
            f"{', '.join(back)} went back to {priors}, with the configuration of before, and "
            f"{'runs' if len(back) == 1 else 'run'} it." if back else "",
            "" if undone else "Nothing of what the services keep was changed.", *undone, *down,
            f"{', '.join(self.lost)} may still be on the new release, and its services are held, or stopped: the next "
            "run takes it along." if self.lost else ""]))


def told_of_tier(found, left, command):
    """The message of a run that has failed, or was stopped before it has stopped anything."""
    first = next(iter(found.values()), Cause(words="see above"))
    if first.stopped and not left.touched():
        return explained(f"Before anything was stopped: {first.words}\nNext: when it may go on, {OPTIONS} and this "
                         f"release:\n{command}", first.words, SECTIONS)
    names = [name for name, cause in found.items() if not cause.lost]
    lost = [cause.away or name for name, cause in found.items() if cause.lost]
    units = listed(sorted({unit for cause in found.values() for unit in cause.units}), ' and ')
    look = (see_why(lost, command) if lost else
            f"look at journalctl -n 50{''.join(f' -u {unit}' for unit in units.split(' and ') if unit)} on "
            f"{' and '.join(names)}" if units else "")
    what = f"{look}, and fix the cause" if look else "fix the cause"
    why = trouble_words(found) or first.words
    return explained(f"{why}\n{left.state()}\nNext: {what}. Then {OPTIONS} and this release:\n{command}\nIt goes on "
                     "from what it finds.", why, SECTIONS)
