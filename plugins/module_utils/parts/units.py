# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import time
from contextlib import contextmanager

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, as_part, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, describe, short
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import port_reject

ARGUMENTS = dict(
    tiers=dict(type="list", elements="list", required=True),
    stop=dict(type="list", elements="str", default=[]),
    timeout=dict(type="float", default=120),
    lead_away=dict(type="dict", options=dict(
        server=dict(type="str", required=True), servers=dict(type="list", elements="str", required=True))),
)

# Seconds in which a unit that was stopped has to run again after a failure: the node may be out of rotation meanwhile.
AGAIN = 30
# Seconds between two looks.
INTERVAL = 0.1


def overdue(names, what, timeout, states, more=""):
    """The error for units that have not become what was expected in time."""
    seen = "; ".join(f"{name} {describe(states[name])}" for name in names)
    return RollingError(f"expected {', '.join(names)} to be {what} within {timeout:g} s; last seen: {seen}{more}",
                        failed_units=names)


def difference(runs):
    """The change for diff mode: a restart is a new run."""
    return dict(before="".join(f"{name}: run {run['before'] or '(none)'}\n" for name, run in runs.items()),
                after="".join(f"{name}: run {run.get('after', '(new)')}\n" for name, run in runs.items()))


def is_stopped(state):
    return state["ActiveState"] in ("inactive", "failed") and not state.get("Job")


class Restart:
    """The restart of one tier of units."""

    def __init__(self, systemd, names, params):
        self.systemd = systemd
        self.names = names
        self.params = params
        self.begin = 0.0
        self.ordered = False
        self.states = systemd.show(names)
        self.runs = {name: dict(before=state.get("InvocationID", "")) for name, state in self.states.items()}

    def check_installed(self):
        missing = [name for name, state in self.states.items() if state.get("LoadState") != "loaded"]
        if missing:
            raise RollingError(f"cannot restart {', '.join(missing)}: {describe(self.states[missing[0]])}",
                               failed_units=missing)

    def look(self):
        """True once every unit of the tier is active in a new run; fails when one of them cannot be."""
        self.states = self.systemd.show(self.names)
        for name, state in self.states.items():
            # While the order is under way, a new run may be one of systemd's own restarts, which the order ends.
            if state.get("Job"):
                continue
            run = self.runs[name]
            new = state.get("InvocationID", "") not in ("", run["before"])
            if new and (state["ActiveState"] == "failed" or int(state.get("NRestarts") or 0) > 0):
                raise RollingError(f"expected {name} to start; it is {describe(state)}, restarted by systemd "
                                   f"{state.get('NRestarts')} times.{self.systemd.last_words(name)}",
                                   failed_units=[name])
            if new and state["ActiveState"] == "active" and "after" not in run:
                run.update(after=state["InvocationID"], active_after=round(time.monotonic() - self.begin, 3))
        return all("after" in run for run in self.runs.values())

    def end_crashing(self, states):
        """Stop what systemd is about to start by itself: our order and its own would be one, and count as a crash."""
        crashing = [name for name, state in states.items() if state["ActiveState"] == "activating"]
        if not crashing:
            return states
        self.systemd.stop(*crashing)
        wait_for(lambda: all(is_stopped(state) for state in self.systemd.show(crashing).values()),
                 self.params["timeout"], INTERVAL)
        return self.systemd.show(self.names)

    def restart(self):
        # An earlier tier may have taken these units along: such a run is not the one that is witnessed here.
        for name, state in self.end_crashing(self.systemd.show(self.names)).items():
            self.runs[name]["before"] = state.get("InvocationID") or self.runs[name]["before"]
        self.begin = time.monotonic()
        self.systemd.restart(self.names)
        self.ordered = True
        if not wait_for(self.look, self.params["timeout"], INTERVAL):
            late = [name for name in self.names if "after" not in self.runs[name]]
            raise overdue(late, "active", self.params["timeout"], self.states, f".{self.systemd.last_words(late[0])}")


class Stop:
    """Units that do not run while the others are restarted."""

    def __init__(self, systemd, names, params, restarts):
        self.systemd = systemd
        self.names = names
        self.params = params
        self.restarts = restarts
        self.begin = 0.0
        self.states = {}
        # Of each, the tier that starts it again.
        self.homes = {name: restart for restart in restarts for name in restart.names if name in names}

    def check(self):
        first = self.restarts[0].names if self.restarts else []
        wrong = [name for name in self.names if name not in self.homes or name in first]
        if wrong:
            raise RollingError(f"cannot stop {', '.join(wrong)} before the first tier: no tier after it starts it "
                               "again")

    def look(self):
        """True once every unit is stopped. One that ended badly is: whether it starts is what counts."""
        self.states = self.systemd.show(self.names)
        for name, state in self.states.items():
            run = self.homes[name].runs[name]
            if is_stopped(state) and run.get("stopped_after") is None:
                run["stopped_after"] = round(time.monotonic() - self.begin, 3)
        return all(is_stopped(state) for state in self.states.values())

    def stop(self):
        self.states = self.systemd.show(self.names)
        running = [name for name, state in self.states.items() if not is_stopped(state)]
        if not running:
            return
        self.begin = time.monotonic()
        self.systemd.stop(*running)
        if not wait_for(self.look, self.params["timeout"], INTERVAL):
            late = [name for name in running if not is_stopped(self.states[name])]
            raise overdue(late, "stopped", self.params["timeout"], self.states, f": see journalctl -u {late[0]}")

    def undo(self):
        """Start what is stopped and was not to be started yet; tell in words what became of it."""
        left = [name for name in self.names if not self.homes[name].ordered]
        if not left:
            return ""
        again = Restart(self.systemd, left, dict(self.params, timeout=min(AGAIN, self.params["timeout"])))
        self.states = again.states
        if all(state["ActiveState"] == "active" and not state.get("Job") for state in self.states.values()):
            return ""
        try:
            again.restart()
        except RollingError as exc:
            return f"\n{', '.join(left)}, which was stopped before that, does not run again: {exc.message}"
        for name, run in again.runs.items():
            self.homes[name].runs[name].update(after=run["after"], active_after=run["active_after"])
        return f"\n{', '.join(left)}, which was stopped before that, runs again."


def undo(stop):
    """Let no unit that was stopped on the way stay so. A systemd that does not answer does not hide the first cause."""
    try:
        return stop.undo()
    except RollingError as exc:
        return f"\n{', '.join(stop.names)}, which was stopped before that, may not run: {exc.message}"


@contextmanager
def led_away(module, given):
    """Have clients use other servers meanwhile, where C(server) and C(servers) are given."""
    rejecting = bool(given) and port_reject.run(as_part(module, port_reject, given))["rejecting"]
    try:
        yield
    finally:
        if rejecting:
            port_reject.run(as_part(module, port_reject, dict(given, state="absent")))


def restart_all(module, result):
    """Restart the tiers; keeps in C(result) what has been done, also where that fails."""
    params, systemd = module.params, Systemd(module.run_command)
    tiers = [[short(str(name)) for name in tier] for tier in params["tiers"] if tier]
    result["changed"] = bool(tiers)
    restarts = [Restart(systemd, names, params) for names in tiers]
    for restart in restarts:
        restart.check_installed()
        result["units"].update(restart.runs)
    stop = Stop(systemd, [short(name) for name in params["stop"]], params, restarts)
    stop.check()
    if module.check_mode:
        return
    with led_away(module, params["lead_away"]):
        try:
            stop.stop()
            for restart in restarts:
                restart.restart()
        except RollingError as exc:
            exc.message += undo(stop)
            raise


def run(module):
    result = dict(changed=False, units={})
    try:
        restart_all(module, result)
    except RollingError as exc:
        exc.details.update(result)
        raise
    return dict(result, diff=difference(result["units"]))
