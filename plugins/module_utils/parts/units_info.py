# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import time

from ansible_collections.shakenfist.rolling.plugins.module_utils import _standstill, _systemd
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

ARGUMENTS = dict(
    patterns=dict(type="list", elements="str", required=True),
    exclude=dict(type="list", elements="str", default=[]),
    arguments=dict(type="list", elements="str", default=[]),
    stops=dict(type="list", elements="str", default=[]),
    up_since=dict(type="dict"),
)

START = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
STOP = ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
# Seconds between two looks at units while something else is waited for.
GUARD = 1
MORE = ("TimeoutStopUSec", "ExecStart", *START, *STOP)


def program_of(pid):
    """The path of the program that a process runs, as it was started; of a script, that of its interpreter."""
    try:
        with open(f"{_systemd.PROC}/{pid}/cmdline", encoding="utf-8", errors="replace") as handle:
            return handle.read().split("\0")[0]
    except OSError:
        return ""


def look(state, arguments=()):
    """What a roll wants to know of one unit, from what systemd says of it."""
    enabled = state.get("UnitFileState") in ("enabled", "enabled-runtime")
    return dict(
        active=state.get("ActiveState") in ("active", "reloading"),
        load=state.get("LoadState", ""),
        managed=enabled or state.get("ActiveState") not in ("inactive", "deactivating", None),
        invocation=state.get("InvocationID", ""),
        pid=int(state.get("MainPID") or 0),
        program=program_of(state.get("MainPID") or 0),
        restarts=int(state.get("NRestarts") or 0),
        started=_systemd.started(state),
        entered=_systemd.started(state, "ActiveEnterTimestampMonotonic"),
        state=_systemd.describe(state),
        start_seconds=_systemd.lasted(state, *START),
        stop_seconds=_systemd.lasted(state, *STOP),
        stop_timeout=_systemd.seconds(state.get("TimeoutStopUSec")),
        arguments=_systemd.command_arguments(state.get("ExecStart"), arguments),
    )


def fallen(units, runs):
    """The units that are not active, or no longer in the run that a restart began, and why."""
    found = {}
    for name, unit in sorted(units.items()):
        # What a restart of the units returned, or an earlier look at them.
        run = runs.get(name) or {}
        began = run.get("after") or run.get("invocation")
        if not unit["active"]:
            found[name] = f"{name} is {unit['state']}"
        elif began and (unit["invocation"] != began or unit["restarts"] > run.get("restarts", 0)):
            found[name] = f"{name} is {unit['state']}, but was started again, by systemd {unit['restarts']} times"
    return found


def check_up(systemd, units, runs):
    """Fail if a unit has fallen."""
    failed = fallen(units, runs)
    if failed:
        raise RollingError("expected every daemon to be active and still in the run that the restart began; "
                           f"{'; '.join(failed.values())}.{systemd.last_words(next(iter(failed)))}",
                           units=units, failed_units=list(failed))


class Guard:
    """Ends a wait for units as soon as one of them has fallen: it never comes back to the run that the restart began.

    :arg runs: by name the run of each, as for O(up_since).
    """

    def __init__(self, systemd, runs):
        self.systemd, self.runs, self.due = systemd, runs or {}, 0.0

    def check(self):
        # However often is looked at what is waited for: systemctl costs a node that starts something more than that.
        if self.runs and time.monotonic() >= self.due:
            self.due = time.monotonic() + GUARD
            check_up(self.systemd, {name: look(state) for name, state in self.systemd.show(list(self.runs)).items()},
                     self.runs)


def ask(systemd, patterns, exclude, arguments, stops, up_since):
    ignored = [_systemd.short(name) for name in exclude]
    names = [name for name in systemd.installed(patterns) if name not in ignored]
    units = {name: dict(look(state, arguments), held=_standstill.before(name), **_standstill.recorded(name))
             for name, state in systemd.show(names, MORE).items()}
    for name in map(_systemd.short, stops):
        if name in units:
            units[name]["stops"] = systemd.stops(name)
    if up_since is not None:
        check_up(systemd, units, up_since)
    return dict(units=units)


def run(module):
    return ask(_systemd.Systemd(module.run_command), **module.params)
