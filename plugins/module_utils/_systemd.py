# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations

import glob
import json
import os
import re
import socket
import time
from typing import Callable, Collection, Iterable

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "Type", "UnitFileState", "InvocationID", "NRestarts",
    "MainPID", "ExecMainCode", "ExecMainStatus", "ExecMainStartTimestampMonotonic", "Job",
)
PROC = "/proc"
# systemd's ExecMainCode is the si_code of the SIGCHLD: 2 is CLD_KILLED, 3 is CLD_DUMPED.
KILLED = ("2", "3")
# The time units that systemctl show prints, in seconds. As in systemd, a month is 30.44 days and a year 365.25 days.
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800,
           "y": 31557600}
SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|min|h|d|w|month|y)$")
# By what systemd marks its words on a unit in the journal, whatever its version and language.
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
ENDED_WELL = "7ad2d189f7e94e70a38c781354912448"
ENDED_ILL = "d9b373ed55a64feb8242e02dbe79a49c"
# Our own, of a stop that we have ended before its time: it does not tell how long a drain takes.
ENDED_EARLY = "0d6f4a1b8c6e4b7f9a53d1c27e90b6f4"
MARKS = (STOPPING, STOPPED, ENDED_WELL, ENDED_ILL)
# Of these, each stop has three, and one of ours at most.
LAST_STOPS = 10
JOURNAL = "/run/systemd/journal/socket"
# The option of gunicorn that says how long a stop may take until it ends its workers by force.
GRACEFUL_TIMEOUT = "--graceful-timeout"
QUOTES = "'\""
# Words of the command line may hold " ; " themselves, so this looks for what systemd prints after them.
COMMAND_LINE = re.compile(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", re.DOTALL)


class Systemd:
    """The questions and orders that a roll has for systemd, through C(systemctl).

    :arg run: C(AnsibleModule.run_command).
    """

    def __init__(self, run: Callable) -> None:
        self.run = run

    def _systemctl(self, *arguments: str, check: bool = True) -> str:
        rc, out, err = self.run(["systemctl", *arguments])
        if check and rc != 0:
            raise RollingError(f"systemctl {' '.join(arguments)} failed (rc {rc}): {(err or out).strip()}")
        return out

    def installed(self, patterns: Collection[str]) -> list[str]:
        """The names of the installed service units that match C(patterns), without templates and the C(.service)."""
        if not patterns:
            return []  # systemctl would list everything
        rc, out, err = self.run(["systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager",
                                 *[f"{short(pattern)}.service" for pattern in patterns]])
        # Where nothing matches, some versions of systemd return 1 and say nothing.
        if rc != 0 and err.strip():
            raise RollingError(f"systemctl list-unit-files failed (rc {rc}): {err.strip()}")
        units = [line.split()[0] for line in out.splitlines() if line.strip()]
        return sorted(short(unit) for unit in units if "@" not in unit)

    def show(self, names: Collection[str], more: Iterable[str] = ()) -> dict[str, dict[str, str]]:
        """The state of each named unit, as a dict by name (without C(.service)).

        :arg more: further properties to ask for.
        """
        if not names:
            return {}
        units, asked = [f"{short(name)}.service" for name in names], [*PROPERTIES, *more]
        out = self._systemctl("show", "--no-pager", f"--property={','.join(asked)}", *units)
        # A command may hold ends of lines, and empty lines, so it takes a property to begin one, and a unit.
        begins, states = f"(?=(?:{'|'.join(asked)})=)", {}
        for name, block in zip(names, re.split(r"\n\n" + begins, out.strip("\n"))):
            states[short(name)] = dict(entry.split("=", 1) for entry in re.split(r"\n" + begins, block) if "=" in entry)
        return states

    def stop(self, *names: str) -> None:
        """Ask for a stop of all named units at once and return at once; the caller watches them."""
        self._systemctl("stop", "--no-block", *[f"{short(name)}.service" for name in names])

    def processes(self, name: str) -> dict[int, list[str]]:
        """The processes in the control group of a unit, as a dict of their command lines, lists of words, by id.

        From what each process says of its own group, which holds wherever the groups are mounted.
        """
        group, found = f"/{short(name)}.service", {}
        for path in glob.glob(f"{PROC}/[0-9]*"):
            try:
                with open(f"{path}/cgroup", encoding="utf-8", errors="replace") as file:
                    groups = [line.rstrip("\n") + "/" for line in file]
                if not any(f"{group}/" in line for line in groups):
                    continue
                with open(f"{path}/cmdline", encoding="utf-8", errors="replace") as file:
                    found[int(os.path.basename(path))] = file.read().rstrip("\0").split("\0")
            except OSError:
                continue  # it has ended meanwhile
        return found

    def restart(self, names: Iterable[str]) -> None:
        """Ask for a restart of all named units at once and return at once; the caller watches them."""
        units = [f"{short(name)}.service" for name in names]
        # A start limit that earlier crashes used up would refuse this start, too.
        self._systemctl("reset-failed", *units, check=False)
        self._systemctl("restart", "--no-block", *units)

    def journal(self, name: str, lines: int = 8) -> str:
        """The last words of a unit, for an error message."""
        out = self.run(["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}",
                        f"--unit={short(name)}.service"])[1]
        return out.strip()

    def last_words(self, name: str) -> str:
        words = self.journal(name)
        return f" Its last words:\n{words}" if words else ""

    def stops(self, name: str) -> list[dict]:
        """The last stops of a unit that the journal has, the newest first; none if the journal cannot be read."""
        unit = f"UNIT={short(name)}.service"
        rc, out, dummy = self.run(["journalctl", "--no-pager", "--quiet", "--output=json", "--output-fields=MESSAGE_ID",
                                   f"--lines={4 * LAST_STOPS}", "_PID=1", unit,
                                   *[f"MESSAGE_ID={mark}" for mark in MARKS],
                                   "+", "_UID=0", unit, f"MESSAGE_ID={ENDED_EARLY}"])
        return stops(out) if rc == 0 else []

    @staticmethod
    def note_early(name: str) -> bool:
        """Note in the journal, where its stops are read from, that this one is ended before its time."""
        text = (f"MESSAGE={short(name)} has nothing in flight: its stop is ended early\nPRIORITY=6\n"
                f"SYSLOG_IDENTIFIER=shakenfist-rolling\nMESSAGE_ID={ENDED_EARLY}\nUNIT={short(name)}.service\n")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
                journal.sendto(text.encode(), JOURNAL)
        except OSError:
            return False
        return True


def stops(journal: str) -> list[dict]:
    """The stops among entries of the journal, one JSON object a line, the newest first."""
    found: list[dict] = []
    begun, itself, early = None, False, False
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
            mark, boot = entry["MESSAGE_ID"], entry["_BOOT_ID"]
            moment = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        except (ValueError, KeyError, TypeError):
            continue
        if mark == STOPPING:
            begun, itself, early = (boot, moment), False, False
        elif mark == ENDED_EARLY:
            early = True
        elif mark in (ENDED_WELL, ENDED_ILL):
            itself = mark == ENDED_WELL and not early
        elif mark == STOPPED and begun and begun[0] == boot:
            found.insert(0, dict(seconds=round(moment - begun[1], 3), itself=itself))
            begun = None
    return found[:LAST_STOPS]


def short(name: str) -> str:
    """The name of a service unit without its suffix."""
    return name[:-len(".service")] if name.endswith(".service") else name


def started(state: dict[str, str], stamp: str = "ExecMainStartTimestampMonotonic") -> float | None:
    """When the main process of a unit started, in seconds since the epoch; None if it never did.

    systemd's monotonic stamp is used, not its wall clock: it has microseconds in every version of systemd.
    """
    moment = int(state.get(stamp) or 0)
    if not moment:
        return None
    return time.time() - (time.monotonic() - moment / 1e6)


def lasted(state: dict[str, str], begin: str, end: str) -> float | None:
    """How many seconds lie between two monotonic stamps of a unit; None if one is missing or has not come yet."""
    began, ended = (int(state.get(name) or 0) for name in (begin, end))
    return (ended - began) / 1e6 if 0 < began <= ended else None


def describe(state: dict[str, str]) -> str:
    """A unit's state in a few words: C(active (running)), C(failed, exit-code, status 1)."""
    words = f"{state.get('ActiveState', 'unknown')} ({state.get('SubState', 'unknown')})"
    if state.get("LoadState") not in (None, "loaded"):
        words = f"not installed ({state['LoadState']})"
    elif state.get("Result") not in (None, "", "success"):
        kind = "signal" if state.get("ExecMainCode") in KILLED else "status"
        words += f", result {state['Result']}, {kind} {state.get('ExecMainStatus', '?')}"
    return words


def seconds(span: str | None) -> float | None:
    """A time span as systemctl prints it, C(1min 10s), in seconds; None for C(infinity) and what is no time span."""
    words = (span or "").split()
    parts = [part for part in map(SPAN.match, words) if part]
    if not parts or len(parts) < len(words):
        return 0.0 if span == "0" else None
    return sum((float(part.group(1)) * SECONDS[part.group(2)] for part in parts), 0.0)


def graceful_timeout(arguments: dict[str, str]) -> float | None:
    """For how many seconds gunicorn lets its workers finish, from the options of its command line.

    C(None) where that is not known: the option is missing, or systemd fills it in later, C(${...}).
    """
    # The last word of a shell's command line may come with its quote.
    given = str(arguments.get(GRACEFUL_TIMEOUT) or "").rstrip("\"';")
    return float(given) if given.replace(".", "", 1).isdecimal() else None


def unquoted(word: str) -> str:
    """A word of a command line without the quotes around it, or around its value, and without the end of a command."""
    name, equals, value = word.rstrip(";").partition("=")
    return f"{name.strip(QUOTES)}{equals}{value.strip(QUOTES)}".rstrip(";")


def command_arguments(exec_start: str | None, names: Collection[str]) -> dict[str, str]:
    """The values of the named options on a command line, as C(systemctl show --property=ExecStart) prints it.

    As in most programs the last one counts. An option without a value has an empty one. The words of a command that is
    one argument of a shell, C(/bin/sh -c '...'), are looked at, too.
    """
    found = {}
    match = COMMAND_LINE.search(exec_start or "")
    words = [unquoted(word) for word in match.group(1).split()] if match else []
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, value = word.partition("=")
        if name in names:
            found[name] = value if equals else "" if re.match(r"-[^0-9.]", following) else following
    return found
