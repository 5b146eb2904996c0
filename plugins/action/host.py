# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: products that are rolled host by host.
# state: seen looks at a node, judged judges the cluster and plans the roll, forecast and shown tell of it.
# state: fetched downloads the packages of a node, before any is touched; stopped stops units, upgraded installs the
# packages, rebooted reboots the node, up waits until it is whole, sound fails on what the cluster complains of, settled
# records that it is done. state: told makes the message on one that has failed. state: verified looks at the end
# whether every node is done.

import json
import os
import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._evacuation import called, filled
from ansible_collections.shakenfist.rolling.plugins.module_utils._packages import upstream
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _failure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._hosts import (
    REBOOT_STEP,
    Options,
    Sight,
    Stand,
    View,
    blind_words,
    cluster_findings,
    complaint,
    complaints_of,
    forecast_of_hosts,
    judge_hosts,
    pause_words,
    status_of_hosts,
    told_of_host,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import (
    change_words,
    notes_of,
    package_findings,
    step_of,
    target_of_step,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    NODE_FACT,
    RUN_FACT,
    changed,
    node_of,
    playbook_command,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._status import lock_words
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, LookingAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import entry_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import since

DATA, TEXT, NAMES = dict(type="dict", default={}), dict(type="str", default=""), dict(type="list", elements="str",
                                                                                      default=[])
SECONDS = dict(type="float", default=600)
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["seen", "judged", "forecast", "shown", "fetched", "stopped",
                                                   "upgraded", "rebooted", "up", "sound", "settled", "told",
                                                   "verified"]),
    cluster=DATA, packages=DATA, units=NAMES, needed=NAMES, stopped=dict(type="bool", default=True),
    reserve=dict(type="float", default=0), since=TEXT, verified=dict(type="list", elements="dict", default=[]),
    lock=DATA, looked=DATA, look=TEXT, whole=dict(type="bool", default=False), file=TEXT,
    reboot_timeout=SECONDS, gate_timeout=SECONDS,
)
# Seconds between two looks at a node that reboots, and between two words about it.
INTERVAL, NEWS = 2, 30
LACKING = dict(node={}, failure="it could not be checked")


class ActionModule(LookingAction):
    """Take a host a part of the way; each is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        self.step_of = step_of(self.given.packages) if self.given.packages else {}

    def options(self):
        given = self.given
        unit = given.cluster.get("unit") or "MiB"
        # A plan and a status would have nobody reboot again who has just done so.
        all_of_them = self.run_record.kind != "status" and (given.since or not self.step_of)
        begun = since(all_of_them, given.since)
        return Options(given.stopped, given.reserve, given.needed, begun["old"], unit,
                       self.step_of["to"] if self.step_of else "", called(given.cluster))

    # ---- looks

    def seen(self):
        seen = dict(node={}, failure="")
        self.noting(seen, lambda found: found.update(node=self.see()))
        if self.given.whole:
            self.check(seen["failure"])
            return dict(seen=seen)
        return dict(seen=seen, ansible_facts={NODE_FACT: changed(self.record, seen=seen, asked={}, unresolved="")})

    def see(self):
        given = self.given
        looked = self.call("Check the cluster", "evacuation", state="looked", cluster=given.cluster)
        boot = self.call("Check since when it runs", "boot_info")
        units = self.units_of("Check its units", [*given.units, *given.needed])
        node = dict(name=self.name, host=looked["name"], leads=looked["leads"], problem=looked["problem"],
                    hosts=looked["hosts"], guests=looked["guests"], boot=boot["id"], booted=boot["booted"],
                    now=boot["now"], units=units)
        return dict(node, **self.packages()) if self.step_of else node

    def packages(self):
        """What the packages of the node say: whether it is on the release, and has rebooted since."""
        step = self.step_of
        info = self.call("Check its packages", "packages_info", names=step["patterns"])
        found = info["packages"].get(step["package"])
        release = upstream(found["version"]) if found else ""
        apt = {key: info[key] for key in ("broken", "interrupted", "locked", "policy")}
        findings = package_findings(self.name, dict(step=step, release=dict(version=release), apt=apt,
                                                    settings_found=[]), target_of_step(step))
        # A loss of power amid the upgrade leaves a node that has the release, has rebooted, and lacks the rest of it.
        return dict(release=dict(version=release), behind=release != step["to"] or info["unfinished"],
                    due=not info["rebooted"],
                    problems=[one.words for one in findings.failed()],
                    concerns=[one.words for one in findings if one.level == "warn"])

    def units_of(self, title, names):
        """The state of some units, as far as the node has them."""
        return self.call(title, "units_info", patterns=names)["units"] if names else {}

    def all_seen(self):
        return {name: node_of(self.hostvars, name).seen or LACKING for name in self.task_vars["ansible_play_hosts_all"]}

    def hidden(self):
        return [name for name in self.run_record.nodes if name not in self.task_vars["ansible_play_hosts_all"]]

    def judged(self):
        run, given = self.run_record, self.given
        command = playbook_command(self.task_vars, run.playbook)
        tells = bool(self.step_of and not given.since)
        if not tells:
            command += f" -e rolling_since={since(True, given.since)['words']}"
        refusal, plan, lines, order = judge_hosts(self.all_seen(), self.options(), complaints_of(given.verified),
                                                  self.hidden(), command, tells)
        if refusal:
            return dict(failed=True, msg=refusal)
        return dict(report=[*lines, *plan["rooms"]], order=order,
                    ansible_facts={RUN_FACT: changed(run, plan=dict(plan, began=run.began))})

    def forecast(self):
        found, lines = forecast_of_hosts(self.run_record.plan)
        if self.given.file and not self._task.check_mode:
            path = os.path.abspath(os.path.expanduser(self.given.file))
            try:
                with open(path, "w", encoding="utf-8") as handle:
                    handle.write(json.dumps(found, indent=4, sort_keys=True) + "\n")
            except OSError as exc:
                self.check(f"The plan cannot be written to {path}: {exc.strerror}. Set plan_file to a file that you "
                           "may write")
        return dict(forecast=found, lines=lines)

    def shown(self):
        lines, ill = status_of_hosts(self.all_seen(), self.options(),
                                     lock_words(self.given.lock if "words" in self.given.lock else {}), self.hidden())
        return dict(report=lines, ill=ill)

    # ---- the way through

    def upgrade(self, state, **more):
        title = "Fetch its packages" if state == "fetched" else "Upgrade its packages"
        answer = self.call(title, "packages", state=state, **self.step_of["arguments"], **more)
        self.add_notes(*notes_of(self.name, answer))
        return answer

    def fetched(self):
        """Download what is to be installed, and have apt say what that would be; nothing else is changed."""
        plan = self.run_record.plan.get("hosts", {}).get(self.name) or {}
        if plan.get("upgrades"):
            answer = self.upgrade("fetched")
            self.say(f"{self.name}: {change_words(answer['changes'], done=False)}")

    def upgraded(self):
        self.begin("activate")
        self.upgrade("upgraded", start=False, stop_started=True, units=self.given.units)

    def stopped(self):
        """Stop the units that are to be stopped before a reboot, and see that they are."""
        self.begin("activate")
        units = self.units_of("Check its units", self.given.units)
        running = [name for name, unit in units.items() if unit["active"]]
        if not running:
            return
        self.note(stopped=running)
        self.collected["changed"] = True
        if self._task.check_mode:
            return
        for name in running:
            self.kept(lambda name=name: self.execute(["systemctl", "stop", name]), f"Stop {name}")
        units = self.units_of("Check that they are stopped", running)
        left = [f"{name} is {unit['state']}" for name, unit in units.items() if unit["active"]]
        self.check(f"expected {', '.join(running)} to be stopped; {'; '.join(left)}" if left else "", "Stop its units")

    def boot(self):
        answer = self._execute_module(module_name="shakenfist.rolling.boot_info", module_args={},
                                      task_vars=self.task_vars)
        if answer.get("failed"):
            raise AnsibleConnectionFailure(words_of(answer))
        return answer["id"]

    def rebooted(self):
        """Reboot the node, and wait until it is there with another boot id."""
        self.begin("restart")
        self.collected["changed"] = True
        if self._task.check_mode:
            return
        before = self.kept(lambda: dict(id=self.boot()), REBOOT_STEP)
        limit, began, wall = self.given.reboot_timeout, time.monotonic(), time.time()
        said = self.order_reboot()
        news, last = began + NEWS, "it has not rebooted"
        while time.monotonic() < began + limit:
            self.forget_connection()
            try:
                if self.boot() != before["id"]:
                    self.note(runs=dict(self.record.runs, boot=round(time.monotonic() - began, 1)))
                    # No module of ours has run all the time, so none has told it.
                    self.entries.append(entry_of(self.step, wall, time.time(), "boot_info", {}, dict(changed=True)))
                    return
                last = f"it runs, and has not rebooted{said}"
            # A transfer that a shutdown cuts is no failure of the connection to Ansible.
            except AnsibleError as exc:
                last = f"it cannot be reached: {str(exc).strip()}"
            if time.monotonic() >= news:
                news = time.monotonic() + NEWS
                self.say(f"{self.name} reboots since {time.monotonic() - began:.0f} s; {last}")
            time.sleep(INTERVAL)
        # So that the report knows since when it is gone.
        self.timing = entry_of(self.step, wall, time.time(), "boot_info", {}, dict(failed=True))
        raise Failed(dict(msg=f"expected it to be back with another boot id within {limit:g} s (roll_reboot_timeout); "
                          f"last seen: {last}"), REBOOT_STEP)

    def order_reboot(self):
        """Have the node reboot, whatever becomes of the connection; what it said where it did not want to."""
        try:
            answer = self.execute(["systemctl", "reboot"])
        except AnsibleConnectionFailure:
            return ""
        return f" (systemctl reboot: {answer.get('stderr') or answer.get('msg')})" if answer.get("rc") else ""

    def up(self):
        """Wait until the units run that must, and those that were stopped."""
        self.begin("gate")
        if self._task.check_mode:
            return
        stopped = self.stopped_before()
        wanted = [*self.given.needed, *stopped]
        if not wanted:
            return
        self.start_stopped(stopped)
        deadline = time.monotonic() + self.given.gate_timeout
        while True:
            units = self.units_of("Wait until its units run", wanted)
            left = [f"{name} is {units[name]['state'] if name in units else 'not there'}" for name in wanted
                    if not (units.get(name) or {}).get("active")]
            if not left:
                self.note(stopped=[])
                return
            self.check(f"expected {', '.join(wanted)} to run within {self.given.gate_timeout:g} s (gate_timeout); "
                       f"{'; '.join(left)}" if time.monotonic() > deadline else "", "Wait until its units run")
            time.sleep(INTERVAL)

    def stopped_before(self):
        """The units that this run has stopped; those that an earlier one has are known by that they are to run."""
        stopped, plan = list(self.record.stopped), self.run_record.plan.get("hosts", {}).get(self.name) or {}
        if plan.get("in_hand"):
            units = self.units_of("Check its units", self.given.units)
            stopped += [name for name, unit in units.items() if unit["managed"] and name not in stopped]
        return stopped

    def start_stopped(self, stopped):
        """What ran before, and is not started by a boot."""
        units = self.units_of("Check its units", stopped)
        for name in [name for name, unit in units.items() if not unit["active"]]:
            self.kept(lambda name=name: self.execute(["systemctl", "start", name]), f"Start {name}")

    def sound(self):
        self.check(complaint(complaints_of(self.given.verified)), "Have the cluster check itself")

    def settled(self):
        if not self._task.check_mode:
            self.note(rolled=True, stopped=[])

    # ---- the end

    def told(self):
        cause, plan, given = _failure.Cause(**self.record.cause), self.run_record.plan, self.given
        mine, known, words = plan["hosts"][self.name], self.record.host, called(given.cluster)
        left = [name for name in plan["order"] if not node_of(self.hostvars, name, self.run_record).rolled]
        looked = given.looked
        gone = (cause.away or self.name if cause.lost else
                looked.get("away") or self.name if looked.get("lost") else "")
        leader = self.name if mine["leads"] and not known.get("led") else mine["where"]
        if looked.get("leads") and gone == leader:  # it is back
            gone = ""
        why = "" if gone else looked.get("problem") or looked.get("msg") or ""
        sight, options = Sight(looked if looked.get("leads") else {}, mine["host"]), self.options()
        state = " ".join(filter(None, [
            sight.words(self.name, words["guest"]) if looked.get("leads") else
            blind_words(self.name, known, why),
            f"Stopped there by this run: {', '.join(self.record.stopped)}." if self.record.stopped else "",
            pause_words(known, words, time.time()),
            f"The lock is on {gone}, and stays: the next run from this machine takes it over, any other one with -e "
            "lock_takeover=true." if gone and gone == self.run_record.lock else ""]))
        seen = [node_of(self.hostvars, name, self.run_record).seen.get("node") or {} for name in self.run_record.nodes]
        names = {node.get("host"): name for name, node in zip(self.run_record.nodes, seen)}
        emptying = cause.timing.get("step") in ("quorum", "drain")
        stand = Stand(state, left, filled([given.look], leader=leader)[0], plan.get("command") or "", leader,
                      words["leader"], " ".join(given.cluster.get("lead") or []), gone,
                      [names.get(host, host) for host in sight.silent()], sight.down(),
                      sight.lacking(options) if emptying else "")
        text = told_of_host(self.name, cause, stand)
        self.note(failure=dict(text=text, state="" if cause.stopped else state, serves=False))
        return dict(message=text)

    def verified(self):
        if self._task.check_mode:
            return
        seen, options = self.all_seen(), self.options()
        view = View(seen)
        # Where nobody leads, nothing has said what is left, nor has the cluster checked itself.
        left = [f"{name}: {one['failure']}" for name, one in seen.items() if not one["node"]]
        left += [one.words for one in cluster_findings(view, options, (), self.hidden()).failed()
                 if one.check == "leader"]
        for name in view.nodes:
            if view.leader and view.host(name) and (view.host(name).note or view.strayed(name)):
                gone = [guest.name for guest in view.strayed(name)]
                left.append(f"{name} is not done: " + (f"{', '.join(gone)} of it elsewhere" if gone else
                                                       "it is still in the hand of a run"))
            if self.step_of and view.to_reboot(name, options):
                left.append(f"{name} is not done: it has {view.nodes[name]['release']['version'] or 'no release'}, "
                            f"expected {self.step_of['to']}, and a reboot since")
        self.check("; ".join(filter(None, [*left, complaint(complaints_of(self.given.verified))])))
        return dict(leader=view.leader, options=vars(options))
