# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What happens when something fails: why it did, how the node returns to service, and what the operator is told. What
# comes next ("Next: ...") is said here, but for the refusal of a preflight and for notifications.

import dataclasses
import shlex
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import last_lines
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import is_target, with_build
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import shown
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import startable
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import explained
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import APART

OPTIONS = "run the command again, with the options that you gave it"
# What a failure says while all nodes are in one step together, by kind of run and run_phase; C({command}) continues it.
ADVICE = {
    "begin": f"No node was touched.\nNext: fix that, then {OPTIONS}.",
    "plan": "Nothing in service was changed, and the schema was not touched.\nNext: fix that, then run this again.",
    "check": f"Nothing was touched.\nNext: fix that, then {OPTIONS}.",
    "stage": ("Nothing in service was changed, and the schema was not touched.\n"
              f"Next: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "schema": ("No daemon was restarted, every node serves as before. If a migration has begun, the schema may be "
               "migrated in part: restart no sf-database of the old release meanwhile.\n"
               f"Next: fix that, then {OPTIONS} and this release:\n{{command}}\nThe migration goes on from there."),
    "services schema": ("No service was restarted, all of them serve as before, also on the schema of the new "
                        f"release.\nNext: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "services verify": ("All services were rolled before this.\n"
                        f"Next: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "prepare": ("Nothing was stopped, all services serve as before, and nothing was migrated.\n"
                f"Next: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "tier verify": ("All services were started on the release before this.\n"
                    f"Next: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "verify": ("All nodes were rolled before this.\n"
               f"Next: fix that, then {OPTIONS} and this release:\n{{command}}"),
    "restart verify": ("All nodes were restarted before this.\nNext: fix that. What daemons must read anew takes this "
                       "playbook once more, without rolling_since. This only looks again:\n{command}"),
    "reconfigure verify": ("The command was run for all nodes before this, and all daemons were restarted.\nNext: fix "
                           "that. If the configuration is the cause, correct it, and run the command again, with the "
                           "options that you gave it."),
}


def advice(kind, step, command):
    """The state that the cluster is in, and what comes next, after a failure in a step of all nodes."""
    return ADVICE.get(f"{kind} {step}", ADVICE.get(step, "")).format(command=command)


@dataclasses.dataclass
class Cause:
    """Why a node, or the run on it, has failed.

    :param step: the name of the task; empty for a failure of a step that all nodes take together.
    :param words: what was expected and what was seen.
    :param units: the units that failed.
    :param not_ready: the readiness URLs that the step has missed.
    :param lost: whether the host cannot be reached any more where it happened.
    :param away: that host, if it is not the node itself.
    :param at_balancer: whether the configuration of HAProxy is where to look, and no daemon of the node.
    :param logs: the balancers whose logs are where to look.
    :param stopped: whether the run was stopped before the node; C(request) is of the operator who has asked for that.
    :param timing: when the module ran that has failed.
    :param at: when it was noted.
    """

    step: str = ""
    words: str = ""
    units: list = dataclasses.field(default_factory=list)
    not_ready: list = dataclasses.field(default_factory=list)
    lost: bool = False
    away: str = ""
    at_balancer: bool = False
    logs: list = dataclasses.field(default_factory=list)
    stopped: bool = False
    request: dict = dataclasses.field(default_factory=dict)
    timing: dict = dataclasses.field(default_factory=dict)
    at: float = 0.0


def see_why(lost, command, what="cannot be reached"):
    """What to do first about nodes that are lost, which can be typed as it stands.

    :arg command: what continues the run, as C(playbook_command) has made it: on the inventory of that.
    """
    words = shlex.split(command)
    inventory = [word for option, value in zip(words, words[1:]) if option == "-i" for word in (option, value)]
    ping = shlex.join(["ansible", *inventory, ",".join(lost), "-m", "ping"])
    return f"see why {listed(lost, ' and ')} {what} ({ping})"


def given_up(words, advice):
    """What is said where a step of all nodes together has failed."""
    return explained("\n".join(filter(None, [words, advice])), words)


def words_of(result, nothing="failed"):
    """Why a module has failed. Where it could not even run, what stands in its way says so, such as sudo."""
    words, further = str(result.get("msg") or nothing), last_lines(str(result.get("module_stderr") or ""), 2)
    return words if not further or further in words else f"{words}: {further}"


def cause_of(task, result, now):
    """The cause, from a task that has failed and its result, which may tell the part of the task that did."""
    seen = result.get("seen") if isinstance(result.get("seen"), dict) else {}
    return Cause(step=task and result.get("title") or task, words=words_of(result),
                 units=list(result.get("failed_units") or ()),
                 not_ready=[url for url, each in seen.items() if isinstance(each, dict) and not each.get("ready")],
                 lost=bool(result.get("lost")), away=result.get("away") or "",
                 at_balancer=bool(result.get("at_balancer")), logs=list(result.get("logs") or ()),
                 stopped=bool(result.get("stopped")), request=result.get("request") or {},
                 timing=result.get("timing") or {}, at=round(now, 3))


def told_of(task, result):
    """A later failure, which is told beside the first one."""
    return f"{result.get('title') or task}: {words_of(result)}"


@dataclasses.dataclass
class WayBack:
    """How a node that has failed returns to service.

    :param way: V(back) to another release, V(held) on the target, or V(stay) on the release that it has.
    :param release: the name of the release that it goes back to.
    :param start: the units to start or to restart.
    :param message: what has become of the node when that is done, in words.
    """

    way: str
    release: str = ""
    start: list = dataclasses.field(default_factory=list)
    message: str = ""


def way_back(node, target, releases, units, go_back, moved):
    """The way back, from what was published of the node, and what it and its units are now.

    A unit that systemd does not start is left alone: a restart would fail because of it, and the API stay stopped.
    """
    active, before = releases.get("active") or {}, node["release"]
    # Another installer may have written the target's version into the release that ran: the name tells the two apart.
    on_target = (go_back and is_target(active, target)
                 and (not before.get("rewritten") or active.get("name") == target.get("name")))
    able = [name for name, unit in units.items() if startable(unit)]
    unable = ", ".join(f"{name} ({unit['load']})" for name, unit in units.items() if name not in able)
    but = f"; systemd cannot start {unable}" if unable else ""
    if not on_target:
        down = [name for name in able if not units[name]["active"]]
        return WayBack("stay", start=down, message=f"is on {active.get('version') or 'its release'} as before{but}")
    # Its directory has another name now if another installer had written into it.
    kept = before.get("name") in (releases.get("staged") or ())
    came_from = before if not is_target(before, target) and kept else {}
    previous = releases.get("previous") or came_from
    if not previous or moved:
        because = ("the schema was migrated, its sf-database of the release before would not start" if previous
                   else "there is no release before it to go back to")
        return WayBack("held", message=f"was left on {target['version']}: {because}")
    return WayBack("back", previous["name"], able, f"went back to {with_build(previous, target)}{but}")


def command_of(command, reconfigure, left):
    """What continues the run. Nothing on a node tells whether a command of the operator's has ended well there."""
    return f"{command} --limit {','.join(left)}" if reconfigure and left else command


@dataclasses.dataclass
class Again:
    """How the run is continued: a restart from when it began, a reconfiguration with the nodes that are left."""

    command: str
    go_back: bool = True
    reconfigure: bool = False

    def words(self, rest=""):
        what = "release" if self.go_back else "limit" if self.reconfigure else "time"
        over = "leaves out" if self.reconfigure else "passes over"
        return f"{OPTIONS} and this {what}:\n{self.command}\nIt {over} finished nodes{rest}."


def state_of(name, url, left, restored):
    """How the node was left, in words; C(left) is the last look at its readiness."""
    answers = [each["answers"] for each in (left.get("seen") or {}).values()]
    if left.get("ready"):
        serves = "It serves, every worker is ready."
    elif left.get("lost"):
        serves = "It is lost: nobody knows whether it serves."
    else:
        serves = f"It is OUT OF ROTATION: {url} answers {answers[0] if answers else 'nothing'}."
    return f"{name} {restored or 'was left as it is'}. {serves}"


def stopped(cause, members, done, left, caution, again):
    """What is said where the run was stopped before a batch."""
    return explained("\n".join(filter(None, [
        f"Before {', '.join(members)}: {cause.words}",
        f"Done by this run: {', '.join(done) or 'no node'}. Not touched: {', '.join(left)}.",
        caution, f"Next: when it may go on, {again.words()}"])), cause.words)


def failed_run(cause, timeline):
    """When what has failed was restarted, and when it was given up; C(timeline) is of its node."""
    began, timing = 0.0, [cause.timing] if cause.timing else []
    for entry in reversed([*(entry for entry in timeline if entry["began"] <= cause.at), *timing]):
        if entry["step"] == "restart":
            began = entry["began"]
        elif began:
            break
    return began or cause.timing.get("began") or cause.at, cause.at


def journal_words(units, names, ran=()):
    """Which journal to look at.

    :arg ran: from when to when, if what has written there since is the release that it went back to.
    """
    part = "-n 50"
    if ran:
        since, until = (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment)) for moment in (
            ran[0] - APART, ran[1] + APART))
        part = f'--since "{since}" --until "{until}"'
    return f"look at journalctl{''.join(f' -u {unit}' for unit in units)} {part} on {' and '.join(names)}"


def where_to_look(name, node, cause, suspects, command, ran=()):
    """What the operator does first."""
    if cause.lost:
        return see_why([cause.away or name], command)
    if cause.away:
        return f"look at {cause.away}, where that happened"
    if cause.at_balancer:
        return ("look at haproxy.cfg and HAProxy's log: fall times inter must be less than the drain grace "
                f"({shown(node)}), and rise times inter less than gate_timeout")
    if cause.logs:
        return f"look at the log of {listed(cause.logs, ' and ')}, and at the requests that it has in flight to {name}"
    units = cause.units or [node["api_unit"], node["database_unit"]]
    return journal_words(units, suspects, ran)


def with_the_schema(restore):
    """The way back of a node of the database tier whose schema was migrated."""
    return (" Or go back with the schema, which takes the cluster out of service and loses what was written since the "
            "backup: docs/runbook.md says how, the backup is restored with "
            f"{restore or 'the command that the run has printed that began the migration'}.")


def still_out(balancers, hooks, problem):
    """Where the node may still be drained; C(problem) is that of the last hook."""
    lines = []
    haproxy = balancers.get("haproxy") or {}
    others = [name for name in ("nginx", "Apache") if balancers.get(name.lower())]
    if haproxy.get("was") == "ready":
        lines.append("It is still drained in HAProxy. Once it is ready, type on the stats socket: set server "
                     f"{haproxy['backend']}/{haproxy['server']} state ready")
    if others:
        lines.append(f"It may still be marked down in {' and '.join(others)}. The next run marks it up; "
                     "docs/balancers.md says how to do it by hand.")
    if problem:
        lines.append(f"{hooks.get('after_gate')} failed for it ({problem}), so what "
                     f"{hooks.get('before_drain') or 'the one before the drain'} did may still be in force.")
    return lines


@dataclasses.dataclass
class Told:
    """All that the message on one node is made of.

    :param shut: whether a balancer could not be told to send requests again.
    :param hook: why the last hook has failed, if it did.
    :param moved: whether the schema was migrated; C(restore) is the command that restores the backup.
    :param caution: what is to be known until the database tier is rolled.
    :param ran: from when to when the release ran that it went back from.
    """

    name: str
    node: dict
    cause: Cause
    left: dict
    again: Again
    restored: str = ""
    way: str = ""
    followers: list = dataclasses.field(default_factory=list)
    suspects: list = dataclasses.field(default_factory=list)
    balancers: dict = dataclasses.field(default_factory=dict)
    hooks: dict = dataclasses.field(default_factory=dict)
    shut: bool = False
    hook: str = ""
    moved: bool = False
    restore: str = ""
    caution: str = ""
    ran: tuple = ()

    def state(self):
        return state_of(self.name, self.node["ready_url"], self.left, self.restored)

    def text(self):
        ready = bool(self.left.get("ready"))
        choice = with_the_schema(self.restore) if self.moved and (self.way == "held" or not ready) else ""
        other = (" If the release itself is broken, roll to a fixed one instead." if self.way == "back" else "")
        why = f"{self.name}: {self.cause.step}: {self.cause.words}"
        return explained("\n".join([
            why, self.state(), *([self.caution] if self.caution else []),
            *still_out(self.balancers if self.shut or not ready else {}, self.hooks, self.hook),
            f"Not touched: {', '.join(self.followers) or 'no node is left'}.",
            f"Next: {where_to_look(self.name, self.node, self.cause, self.suspects, self.again.command, self.ran)}, "
            f"and fix the cause.{choice}",
            f"Then {self.again.words(' and continues with this one')}{other}"]), why)


def lost_advice(lost, again):
    return (f"Next: {see_why(lost, again.command, 'has dropped out')}, and fix the cause.\nThen {again.words()}"
            if lost else "")


def lost_node(name, lost, again, caution=""):
    """What is told of a node that Ansible itself has lost, in a hook for example, for it has no rescue section."""
    words = f"{name} has dropped out of the run, see above; nobody knows whether it serves"
    further = lost_advice(lost, again)
    text = "\n".join(filter(None, [words, caution, further]))
    return dict(words=words, text=explained(text), state=further.partition("\n")[0])


def batch_failure(name, failed, lost, again):
    """What a node says that is done, but is not followed by another one because of the others of its batch."""
    return explained("\n".join(filter(None, [f"{name} is done and serves. The roll stops because of "
                                             f"{', '.join(failed)}, see above.", lost_advice(lost, again)])))
