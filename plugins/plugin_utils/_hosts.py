# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Products that are rolled host by host, each emptied of its guests first: what refuses a roll, the plan, and the words.

import dataclasses
import math
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._evacuation import (
    WORDS,
    Guest,
    Host,
    amount,
    beside,
    find,
    names,
    places,
    room_words,
    to_move,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import see_why, words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Findings, report, warnings_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import CONTINUES, Wave
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import PREFLIGHT, explained, section
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import filled, listed, many, span, table, wrap

WAVE = "hosts"
COMPLAINS = "the cluster complains of itself"
# How many lines of that are shown.
FEW = 6
# The step in which a host reboots.
REBOOT_STEP = "Reboot"
# What a run has noted on a host that is online and gets guests again when it is done; else an operator has drained it.
UNDRAINED = "undrained"
# Seconds: what a move takes whatever the guest, what each 100 MiB of it add, and a reboot with what is waited for.
MOVE, HUNDRED, REBOOT = 2.0, 1.0, 120.0


@dataclasses.dataclass
class Options:
    """How a roll is judged.

    :param stopped: whether guests that are shut down move, too.
    :param reserve: the memory that every other host keeps.
    :param units: the units that must run on every node.
    :param since: nodes that have booted before that moment are to be rebooted; 0 where packages tell it.
    :param unit: in what memory is counted.
    :param release: where packages lead to.
    :param words: those of the product.
    """

    stopped: bool = True
    reserve: float = 0.0
    units: list = dataclasses.field(default_factory=list)
    since: float = 0.0
    unit: str = "MiB"
    release: str = ""
    words: dict = dataclasses.field(default_factory=lambda: dict(WORDS))


class View:
    """The cluster as the node sees it that leads it, by the names of the inventory."""

    def __init__(self, seen):
        self.nodes = {name: one["node"] for name, one in seen.items() if one["node"]}
        # What the cluster calls a node is known only of those that were reached.
        self.where = "in this run" if len(self.nodes) == len(seen) else "among those of this run that were reached"
        self.leaders = [name for name, node in self.nodes.items() if node["leads"]]
        self.leader = self.leaders[0] if len(self.leaders) == 1 else ""
        lead = self.nodes.get(self.leader) or dict(hosts=[], guests=[])
        self.hosts = [Host(**one) for one in lead["hosts"]]
        self.guests = [Guest(**one) for one in lead["guests"]]
        self.name_of = {node["host"]: name for name, node in self.nodes.items()}

    def host(self, name):
        """What the list says of a node; None if it does not have it."""
        return find(self.hosts, self.nodes[name]["host"])

    def strayed(self, name):
        """The guests that an earlier run has moved away from a node."""
        host = self.nodes[name]["host"]
        return [guest for guest in self.guests if guest.home == host]

    def away(self, name):
        """Those of them that are elsewhere still."""
        return [guest for guest in self.strayed(name) if guest.host != guest.home]

    def is_in_hand(self, name):
        """Whether an earlier run has begun with a node, and not ended."""
        host = self.host(name)
        return bool(host and host.note)

    def is_left_out(self, name):
        """Whether that run has left it drained, or offline, so that it is in service again when this one is done."""
        host = self.host(name)
        return bool(host and host.note == UNDRAINED and (host.drained or host.offline))

    def to_reboot(self, name, options):
        node = self.nodes[name]
        return bool(node.get("behind") or node.get("due") or options.since and node["booted"] < options.since)

    def is_done(self, name, options):
        return not (self.to_reboot(name, options) or self.is_in_hand(name) or self.strayed(name))


def findings_of(name, seen, view, options):
    """All checks of one node."""
    findings, node = Findings(name), seen["node"]
    findings.judge("reached", [seen["failure"]] if seen["failure"] else [])
    if not node:
        return findings
    host = view.host(name) if view.leader else None
    words = []
    if view.leader and not host:
        words = [f"the cluster has no host {node['host']}: take the node out of the inventory, or correct its name"]
    elif host and host.offline and not host.note:
        words = [f"{host.name} is marked offline, and not by a run: have the cluster use it again, or take it out of "
                 "the inventory"]
    elif host and not host.is_known() and not host.offline:
        words = [f"the cluster does not know the memory of {host.name}: see that its daemons run"]
    findings.judge("host", words)
    findings.judge("units", [f"{unit} is to run there and does not: see journalctl -u {unit}"
                             for unit in options.units if not (node["units"].get(unit) or {}).get("active")],
                   made=bool(options.units))
    findings.judge("packages", list(node.get("problems") or []), made="problems" in node)
    findings.judge("apt", list(node.get("concerns") or []), "warn", made="concerns" in node)
    if host and host.drained and not host.note:
        findings.add("drained", "warn", f"{host.name} is drained, and not by a run: it is so again afterwards")
    return findings


def room_of(view, name, options):
    """The guests of a node, what is said where they do not fit elsewhere, and the hosts on whose memory that hangs.

    The last are those that it is not known of yet, and without which there is not room enough.
    """
    host = view.nodes[name]["host"]
    # What an earlier run has moved away comes back first.
    guests = [dataclasses.replace(guest, host=guest.home) if guest.home else guest for guest in view.guests]
    hosts = [in_turn(one, view) for one in view.hosts]
    moving = to_move(guests, host, options.stopped)
    found = places(moving, hosts, host, options.reserve)
    words = room_words(moving, found, hosts, host, options.unit, options.reserve, options.words["guest"])
    unknown = [one.name for one in beside(hosts, host) if one.free == math.inf]
    sure = len(places(moving, [one for one in hosts if one.name not in unknown], host, options.reserve)) == len(moving)
    return moving, words, [] if words or sure else unknown


def in_turn(host, view):
    """A host as it is when the turn of another one comes: what an earlier run has begun is done by then in this run.

    How much memory it has then is not known while it is offline; it is looked at again before anything moves.
    """
    free = None if host.free is None else freed(host, view.guests)
    if host.note != UNDRAINED or host.name not in view.name_of:
        return dataclasses.replace(host, free=free)
    return dataclasses.replace(host, free=math.inf if free is None else free, drained=False, offline=False)


def freed(host, guests):
    """What a host has free once every guest that an earlier run has moved is where it was."""
    back = sum(guest.needs() for guest in guests if guest.home and guest.host == host.name != guest.home)
    mine = sum(guest.needs() for guest in guests if guest.home == host.name != guest.host)
    return host.free + back - mine


def complaints_of(verified):
    """What the check of the cluster has found, by the one node that has made it.

    :arg verified: the result of each node; those that do not lead the cluster have skipped it.
    """
    results = [one for one in verified if not one.get("skipped")]
    # A check that failed is one without an answer: the task that has made it lets it pass, and then nothing says so.
    return [words for one in results for words in one.get("problems", [words_of(one)])]


def few(lines):
    """The first of many lines, and how many more there are."""
    more = len(lines) - FEW
    return [*lines[:FEW], *([f"and {more} more; the check of the cluster shows all"] if more > 0 else [])]


def complaint(problems):
    """What the check of the cluster has found, as one text; empty if there is nothing."""
    if len(problems) < 2:
        return "".join(f"{COMPLAINS}: {words}" for words in problems)
    return "\n  ".join([f"{COMPLAINS}: it says", *few(problems)])


def cluster_findings(view, options, verified, hidden):
    """The checks of the cluster as a whole."""
    findings, order = Findings(), order_of(view, options)
    problems = [node["problem"] for node in view.nodes.values() if node["problem"]]
    if not view.leaders:
        words = [f"no node leads the cluster{', and --limit hides ' + ', '.join(hidden) if hidden else ''}: "
                 f"{(problems or ['none was reached'])[0]}"]
    else:
        words = [] if view.leader else [
            f"expected one node to lead the cluster, seen {listed(view.leaders, ' and ')}"]
    findings.judge("leader", words)
    if not view.leader:
        return findings
    findings.judge("successor", [
        f"{view.leader} leads the cluster, and no other node of this run can: make one fit for it"]
        if view.leader in order and not successor_of(view, order) else [], made=view.leader in order)
    # Where those that are shut down are left, only they are on a host that a run has marked offline, which hides that.
    unseen = {one.name for one in view.hosts if one.offline and one.note and not options.stopped}
    wrong = [guest for guest in view.guests if guest.state not in ("running", "stopped") and guest.host not in unseen]
    findings.judge("guests", [f"{guest.name} on {guest.host} is {guest.state}, neither running nor shut down: start "
                              "it, or shut it down" for guest in wrong])
    rooms = {name: room_of(view, name, options)[1:] for name in order if view.to_reboot(name, options)}
    unsure = {name: unknown for name, (dummy, unknown) in rooms.items() if unknown}
    findings.judge("room", [words for words, dummy in rooms.values() if words], made=not unsure)
    findings.judge("room", [
        f"whether there is room for the {options.words['guest']}s of {name} is not known, for that hangs on the memory "
        f"of {listed(unknown, ' and ')}, which an earlier run has left offline; it is looked at again before anything "
        "moves" for name, unknown in unsure.items()], "warn", made=False)
    # Mirrors on a host that an earlier run has left offline are broken until this one is done with it.
    left = [one.name for one in view.hosts if one.offline and one.note and one.name in view.name_of]
    passing = [words for words in verified if any(names(words, name) for name in left)]
    findings.judge("cluster", [f"{COMPLAINS}: {words}" for words in few([words for words in verified
                                                                         if words not in passing])])
    findings.judge("left offline", [f"{COMPLAINS}, and of what an earlier run has left offline: {words}"
                                    for words in passing], "warn", made=False)
    stray = [guest for guest in view.guests if guest.home and guest.home != guest.host]
    findings.judge("given back", [
        f"{guest.name} is on {guest.host}, an earlier run has moved it away from {guest.home}"
        + (": it is given back" if guest.home in view.name_of else f", which is not {view.where}: it stays")
        for guest in stray], "warn", made=False)
    stay = [guest.name for guest in view.guests if guest.state == "stopped"]
    findings.judge("shut down", [f"{', '.join(stay)}: shut down, and left where they are"]
                   if stay and not options.stopped else [], "warn", made=False)
    unknown = [one.name + (f" (left {flag_of(one)} by an earlier run)" if one.note else "")
               for one in view.hosts if one.name not in view.name_of]
    findings.judge("inventory", [f"{', '.join(unknown)} of the cluster: not {view.where}, it is not rolled"]
                   if unknown else [], "warn")
    return findings


def order_of(view, options):
    """The nodes that are left to do: those in hand first, the one that leads last."""
    left = [name for name in view.nodes if view.host(name) and not view.is_done(name, options)]
    return sorted(left, key=lambda name: (name == view.leader, not (view.is_in_hand(name) or view.strayed(name))))


def successor_of(view, order):
    """Who takes the lead when that of its turn comes: one that is done by then. Empty where nobody can."""
    able = {one.name for one in view.hosts if one.note == UNDRAINED
            or one.able and not (one.offline or one.drained or one.note)}
    found = [name for name, node in view.nodes.items() if name != view.leader and node["host"] in able]
    return next((name for name in found if name in order), next(iter(found), ""))


def plan_of_hosts(view, options, command, lines):
    """The plan, as the run record keeps it."""
    order = order_of(view, options)
    successor = successor_of(view, order)
    first = next(iter(order or view.nodes), "")
    hosts = {}
    for name in order:
        moving, strayed = room_of(view, name, options)[0], view.away(name)
        left = [guest for guest in moving if not find(strayed, guest.name)]
        # Where only guests are given back to it, it can lead meanwhile.
        leads = name == view.leader and view.to_reboot(name, options)
        hosts[name] = dict(host=view.nodes[name]["host"], leads=leads, where=successor if leads else view.leader,
                           successor=view.nodes[successor]["host"] if leads else "",
                           reboots=view.to_reboot(name, options),
                           upgrades=bool(view.nodes[name].get("behind")), guests=[guest.name for guest in moving],
                           size=sum(guest.needs() for guest in moving), in_hand=view.is_in_hand(name),
                           left=[guest.name for guest in left], left_size=sum(guest.needs() for guest in left),
                           back=[guest.name for guest in strayed], out=view.is_left_out(name),
                           # What is seen at the end takes the place of what was seen now.
                           came_from=(view.nodes[name].get("release") or {}).get("version", ""))
    last = hosts[view.leader]["where"] if view.leader in order else view.leader
    return dict(
        waves=[dataclasses.asdict(Wave(WAVE, [[name] for name in order]))] if order else [], order=order, database=[],
        others=order, batches=[[name] for name in order], serial=[1], schema=[], hosts=hosts, where=last,
        members=[*(dict(name=name, groups=["rolling_order"]) for name in order),
                 *([dict(name=first, groups=["rolling_first"])] if first else [])],
        done=[name for name in view.nodes if name not in order], serving=list(view.nodes), leader=view.leader,
        command=command, release=options.release, report=lines, words=options.words,
        unit=options.unit)


def _seconds(one):
    if not one["reboots"]:
        return len(one["back"]) * MOVE
    return (len(one["left"]) + len(one["guests"])) * MOVE + (one["left_size"] + one["size"]) / 100 * HUNDRED + REBOOT


def _turn(plan, name):
    one, called = plan["hosts"][name], plan["words"]
    there = f" into {plan['release']}" if one["upgrades"] else ""
    moving = f"{many(len(one['left']), called['guest'])} ({amount(one['left_size'])} {plan['unit']})"
    moves = (f"{moving} moved away and back" if not one["back"] else
             f"{moving} still to be moved away" if one["left"] else f"its {called['guest']}s are away already")
    words = [f"{moves}, a reboot{there}" if one["reboots"] else "no reboot is left to do"]
    if one["leads"]:
        words.append(f"last, for it is the {called['leader']}; {one['where']} takes that over, and keeps it")
    if one["in_hand"]:
        words.append("an earlier run has begun with it")
    if one["back"]:
        words.append(f"gets back {', '.join(one['back'] + one['left'] * one['reboots'])}")
    return "; ".join(words)


def order_lines(plan):
    """The order of the roll as lines."""
    lines = [f"{number}. {name}: {_turn(plan, name)}" for number, name in enumerate(plan["order"], start=1)]
    return lines + [f"{name}: done already, passed over" for name in plan["done"]]


def room_table(view, options):
    """How much each node needs elsewhere when it is emptied, and what the others have."""
    rows: list[tuple] = [("node", f"{options.words['guest']}s", f"they need ({options.unit})", "free here",
                          "free elsewhere", "fits")]
    for name, node in view.nodes.items():
        if not view.host(name):
            continue
        moving, words, unknown = room_of(view, name, options)
        others = [in_turn(one, view) for one in beside(view.hosts, node["host"])]
        frees = [one.free for one in others if one.takes()]
        elsewhere = amount(sum(filter(math.isfinite, frees))) + (" + unknown" if math.inf in frees else "")
        rows.append((name, len(moving), amount(sum(guest.needs() for guest in moving)), amount(view.host(name).free),
                     elsewhere, "no" if words else "not known" if unknown else "yes"))
    return table(rows, 0)


def judge_hosts(seen, options, verified=(), hidden=(), command="", tells=True):
    """Judge a cluster, and plan the roll; the refusal, the plan, the findings and the order as lines.

    :arg tells: whether a node itself tells that it is done. Else only the command does, which has since when.
    """
    view = View(seen)
    findings = {name: findings_of(name, one, view, options) for name, one in seen.items()}
    cluster = cluster_findings(view, options, verified, hidden)
    lines = report(cluster, findings)
    if cluster.failed() or any(found.failed() for found in findings.values()):
        rooms = room_table(view, options) if view.leader else []
        told = ["Nothing was touched, the cluster is not fit to be rolled:", *lines, *rooms, section(PREFLIGHT),
                "Fix that, then run the command again."]
        return "\n".join(filter(None, told)), {}, lines, []
    plan = plan_of_hosts(view, options, command, lines)
    plan["rooms"] = room_table(view, options)
    return "", plan, lines, order_lines(plan) + ([CONTINUES, command] if plan["order"] and not tells else [])


def forecast_of_hosts(plan):
    """How the roll would go, and that as lines."""
    steps = [dict(node=name, **{key: plan["hosts"][name][key] for key in ("guests", "reboots", "leads", "back")},
                  seconds=round(_seconds(plan["hosts"][name]))) for name in plan["order"]]
    seconds = sum(step["seconds"] for step in steps)
    how = (f"Of each guest {MOVE:g} s for every move and {HUNDRED:g} s more for each 100 MiB, and {REBOOT:g} s for a "
           "reboot with what is waited for; neither is known before. Packages are not in it.")
    found = dict(release=plan["release"], steps=steps, passed_over=plan["done"], warnings=warnings_of(plan["report"]),
                 command=plan["command"],
                 expected=dict(seconds=seconds, minutes=round(seconds / 60, 1), how=how if steps else ""))
    lines = [*plan["rooms"], *order_lines(plan)]
    if steps:
        lines += [*wrap(f"Expected: {span(seconds)}. {how}"), "To roll it:", plan["command"]]
    return found, lines


def flag_of(host):
    return "offline" if host.offline else "drained" if host.drained else "online"


def status_of_hosts(seen, options, lock, hidden=()):
    """How the hosts are, as lines, and the names of the nodes that are unhealthy."""
    view = View(seen)
    problems = {name: [finding.words for finding in findings_of(name, one, view, options).failed()]
                for name, one in seen.items()}
    rows: list[tuple] = [("node", "host", "state", f"free ({options.unit})", f"{options.words['guest']}s", "booted",
                          "remarks")]
    for name, node in view.nodes.items():
        host = view.host(name)
        state = flag_of(host) if host else "not in the list"
        here = [guest for guest in view.guests if guest.host == node["host"]]
        back = [guest.name for guest in view.away(name)]
        remarks = [*([options.words["leader"]] if node["leads"] else []),
                   *(["in the hand of a run"] if host and host.note else []),
                   *([f"gets back {', '.join(back)}"] if back else [])]
        rows.append((name, node["host"], state, amount(host.free) if host else "", len(here),
                     span(max(0, node["now"] - node["booted"])) + " ago", ", ".join(remarks)))
    words = [f"{name}: {text}" for name, found in problems.items() for text in found]
    words += [finding.words for finding in cluster_findings(view, options, (), hidden)
              if finding.level != "pass" and finding.check in ("leader", "guests")]
    ill = [name for name, found in problems.items() if found]
    return [*table(filled(rows), 1), *(line for text in [*words, f"lock: {lock}"] for line in wrap(text))], ill


# ---- what is told of a failure

def blind_words(name, known, why=""):
    """How a host was left, where the cluster could not be asked.

    :arg known: what the run itself knows, see C(host) of the record of a node.
    :arg why: why it could not be asked.
    """
    words = (f"As far as this run knows, {name} is {known.get('flag') or 'not drained'}; the cluster could not be "
             f"asked what is on it{': ' + why if why else ''}.")
    moved = ", ".join(f"{guest} (to {to})" for guest, to in known.get("moved", {}).items())
    return words + (f" Moved away by this run: {moved}." if moved else "")


def pause_words(known, words, now):
    """That what starts guests by itself is still paused; empty if it is not."""
    until, starter = known.get("paused", 0), words["starter"]
    return (f"{starter[0].upper()}{starter[1:]} is paused until {time.strftime('%H:%M', time.gmtime(until))} UTC."
            if until > now else "")


class Sight:
    """The last look at the lists, after a failure; both are empty where nobody could look."""

    def __init__(self, looked, host):
        self.hosts = [Host(**one) for one in looked.get("hosts") or ()]
        self.guests = [Guest(**one) for one in looked.get("guests") or ()]
        self.host = host

    def silent(self):
        """The other hosts that do not answer the cluster, and are to."""
        return [one.name for one in self.hosts if one.name != self.host and not one.offline and not one.is_known()]

    def down(self):
        """The guests that are to run and do not, in words. What was left on a host that is offline shows as such."""
        offline = [one.name for one in self.hosts if one.offline and one.note]
        return [f"{guest.name} ({guest.state} on {guest.host})" for guest in self.guests
                if guest.state not in ("running", "stopped") and guest.host not in offline]

    def lacking(self, options):
        """The memory that is missing for the first guest of the host that fits nowhere, in words; empty if all do."""
        moving = to_move(self.guests, self.host, options.stopped)
        found = places(moving, self.hosts, self.host, options.reserve)
        first = next((one for one in moving if one.name not in found and not one.fixed), None)
        if not first:
            return ""
        able = [one for one in beside(self.hosts, self.host) if one.takes() and first.to in ("", one.name)]
        best = max((one.free - options.reserve - sum(guest.needs() for guest in moving
                                                     if found.get(guest.name) == one.name) for one in able), default=0)
        return (f"{amount(first.needs() - best)} {options.unit} more than now on {first.to or 'another node'}, for "
                f"{first.name}")

    def words(self, name, called):
        """How the host was left."""
        found = find(self.hosts, self.host)
        here = [guest for guest in self.guests if guest.host == self.host]
        away = [guest for guest in self.guests if guest.home == self.host != guest.host]
        flags = dict(offline="is offline", drained="stays drained", online="is not drained")[
            flag_of(found) if found else "online"]
        there = ", ".join(f"{guest.name} ({guest.state})" for guest in here) or f"no {called}"
        words = f"{name} {flags}. On it: {there}."
        if away:
            moved = ", ".join(f"{guest.name} ({guest.state} on {guest.host})" for guest in away)
            words += f" Moved away, and given back by the next run: {moved}."
        return words


@dataclasses.dataclass
class Stand:
    """How things stand when a host has failed.

    :param state: how it was left, in words.
    :param left: the nodes that are not done.
    :param look: where to look first, where nothing else is known.
    :param command: what continues the run.
    :param leader: the node on which the commands of the cluster are run; C(called), what it is called.
    :param takeover: the command that has another node take that over.
    :param gone: the node that cannot be reached; empty if all that were asked can.
    :param silent: the nodes that do not answer the cluster; C(down), the guests that do not run, and C(lacking), the
        memory that is missing, as Sight has them.
    """

    state: str = ""
    left: list = dataclasses.field(default_factory=list)
    look: str = ""
    command: str = ""
    leader: str = ""
    called: str = WORDS["leader"]
    takeover: str = ""
    gone: str = ""
    silent: list = dataclasses.field(default_factory=list)
    down: list = dataclasses.field(default_factory=list)
    lacking: str = ""

    def lost(self, name):
        """What it means that a node cannot be reached; empty if it can."""
        if not self.gone:
            return ""
        if self.gone != self.leader:
            return f"{self.gone} is lost in the turn of {name}."
        return (f"{self.gone} is the {self.called}: without it the cluster can be asked and told nothing, until it is "
                "back, or another node has taken over.")

    def trouble(self):
        """What is wrong beside the host itself, as lines."""
        return [f"{listed(self.silent, ' and ')} does not answer the cluster." if self.silent else "",
                f"NOT RUNNING: {', '.join(self.down)}." if self.down else ""]

    def where_to_look(self, name, cause):
        """Where the cause is, as far as that is known."""
        if self.silent:
            return see_why(self.silent, self.command, "does not answer")
        if self.lacking:
            return f"have room, {self.lacking}"
        if cause.step == REBOOT_STEP:
            return f"look at the console of {name}"
        return self.look if cause.away or name == self.leader else f"look at {name}, where that happened"

    def next(self, name, cause):
        """What the operator does first."""
        if not self.gone:
            start = ", and start what does not run" if self.down else ""
            return f"{self.where_to_look(name, cause)}, and fix the cause{start}."
        words = f"{see_why([self.gone], self.command)}, and fix the cause."
        return words if self.gone != self.leader or not self.takeover else (
            f"{words} If it stays dead, have another node take over that is not drained, by typing there: "
            f"{self.takeover}")


def told_of_host(name, cause, stand):
    """The message on a host that has failed, or before which the run was stopped."""
    left, command = stand.left, stand.command
    if cause.stopped:
        return explained(f"Before {name}: {cause.words}\nNot touched: {', '.join(left)}.\nNext: when it may go on, run "
                         f"the command again, with the options that you gave it:\n{command}\nIt passes over what is "
                         "done.", cause.words)
    why = f"{name}: {cause.step}: {cause.words}"
    rest = [f"{one} (does not answer)" if one in stand.silent else one for one in left if one not in (name, stand.gone)]
    return explained("\n".join(filter(None, [
        why, stand.lost(name), *stand.trouble(), stand.state, f"Not touched: {', '.join(rest) or 'no node is left'}.",
        f"Next: {stand.next(name, cause)}\nThen run the command again, with the options that you gave it:\n"
        f"{command}\nIt passes over what is done, continues with this one, and gives back what was moved."])),
        stand.lost(name) or " ".join(stand.trouble()).strip() or why)
