# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Hosts, and the guests that run on them: what a cluster's own list says, where there is room, and what may move where.
# No exit code is believed: a command of a cluster may end with 0 where half of it has failed, and with 1 in silence.

import dataclasses
import math
import re
import typing

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

# What messages call a guest, the host on which the commands of the cluster are run, and what starts guests by itself.
WORDS = dict(guest="guest", leader="leader", starter="what starts guests by itself")


@dataclasses.dataclass
class Host:
    """One host, as the list has it.

    :param free: the memory that guests can still have there; None where the cluster does not know.
    :param leads: whether the commands of the cluster are run there.
    :param able: whether it may take the lead.
    :param note: of one that a run has in hand, how it was before: V(drained) or V(undrained).
    :param group: hosts of another group get none of its guests.
    :param capable: whether guests can run there at all; else nothing counts on its memory.
    """

    name: str
    free: typing.Optional[float] = None
    drained: bool = False
    offline: bool = False
    leads: bool = False
    able: bool = True
    note: str = ""
    group: str = ""
    capable: bool = True

    def takes(self):
        """Whether guests can move there."""
        return not self.drained and not self.offline and self.free is not None and self.capable

    def is_known(self):
        """Whether the cluster knows its memory, where it has to."""
        return self.free is not None or not self.capable


@dataclasses.dataclass
class Guest:
    """One guest, as the list has it.

    :param state: V(running), V(stopped), or the cluster's own word where it is neither.
    :param to: the only host that it can move to; empty where it can move to any.
    :param home: the host that a run has moved it from.
    :param fixed: what it is of that no command moves, such as disks of its host alone; empty if it can move.
    """

    name: str
    host: str
    state: str = "running"
    size: float = 0.0
    to: str = ""
    home: str = ""
    fixed: str = ""

    def needs(self):
        """The memory that it takes where it moves to."""
        return self.size if self.state == "running" else 0.0


def called(cluster):
    """What messages call things, with the words of the product."""
    return {**WORDS, **(cluster.get("words") or {})}


def columns_of(text, separator, columns):
    """The lines of a list, by the names of its columns."""
    rows = []
    for line in filter(None, map(str.strip, text.splitlines())):
        cells = [cell.strip() for cell in (line.split(separator) if separator else line.split())]
        if len(cells) != len(columns):
            raise RollingError(f"expected {len(columns)} columns ({', '.join(columns)}), seen {len(cells)}: {line}")
        rows.append(dict(zip(columns, cells)))
    return rows


def number_of(text):
    """A number of a list; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def host_of(row, words):
    """A host from its row.

    :arg words: what the list says where something is true: C(flagged) of flags, C(leads) and C(able) of the role.
    """
    def says(key):
        return row.get(key, "") in words["flagged"]
    role = row.get("role", "")
    return Host(row["name"], number_of(row.get("free", "")), says("drained"), says("offline"),
                role in words["leads"], role in words["able"] if words["able"] else True,
                noted(row, words["mark_note"]), row.get("group", ""),
                row.get("capable", "") in words["flagged"] if "capable" in row else True)


def noted(row, prefix):
    """What comes after the beginning of one of our notes, which are separated by commas; empty without one."""
    return next((note[len(prefix):] for note in map(str.strip, row.get("notes", "").split(","))
                 if note.startswith(prefix)), "")


def guest_of(row, words):
    """A guest from its row."""
    kinds = ("running",) if row.get("wanted", "") in words["wanted"] else ("running", "stopped")
    state = next((kind for kind in kinds if row["state"] in words[kind]), row["state"])
    to, kind = row.get("to", ""), row.get("kind", "")
    return Guest(row["name"], row["host"], state, number_of(row.get("size", "")) or 0.0, "" if to == "-" else to,
                 noted(row, words["note"]), kind if kind in words["fixed"] else "")


def find(items, name):
    """What has that name in the list."""
    return next((one for one in items if one.name == name), None)


def names(words, name):
    """Whether some words name a host or a guest, and not just one whose name is longer."""
    return bool(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", words))


def to_move(guests, host, stopped):
    """The guests of a host that have to move, the biggest first; what is neither running nor shut down is none.

    :arg stopped: whether those that are shut down move, too.
    """
    kinds = ("running", "stopped") if stopped else ("running",)
    found = [guest for guest in guests if guest.host == host and guest.state in kinds]
    return sorted(found, key=lambda guest: (-guest.needs(), guest.name))


def unfit(guests, host):
    """What of a host is neither running nor shut down: nobody knows what to do with that."""
    return [guest for guest in guests if guest.host == host and guest.state not in ("running", "stopped")]


def beside(hosts, host):
    """The other hosts of the group of a host."""
    here = find(hosts, host)
    return [one for one in hosts if one.name != host and (not here or one.group == here.group)]


def places(moving, hosts, host, reserve=0.0):
    """Where the guests of a host fit: by guest a host, without those for which there is no room.

    :arg moving: the guests, the biggest first.
    :arg reserve: the memory that every other host keeps.
    """
    free = {one.name: one.free - reserve for one in beside(hosts, host) if one.takes()}
    found = {}
    # Those that have no choice first.
    for guest in sorted(moving, key=lambda guest: not guest.to):
        able = [name for name in free if free[name] >= guest.needs() and guest.to in ("", name) and not guest.fixed]
        if not able:
            continue
        place = max(able, key=lambda name: free[name])
        free[place] -= guest.needs()
        found[guest.name] = place
    return found


def amount(number):
    return f"{number:.0f}" if number is not None and math.isfinite(number) else "unknown"


def remaining(host, taken):
    """What a host has free beside what is to be placed there.

    :arg taken: how much that is, by host.
    """
    mine = taken.get(host.name)
    return f"{amount(host.free - mine)} of {amount(host.free)}" if mine else amount(host.free)


def room_words(moving, found, hosts, host, unit="MiB", reserve=0.0, guest="guest"):
    """Why there is no room for some guests of a host; empty if there is.

    :arg moving, found: the guests, and what places has found for them.
    """
    left = [one for one in moving if one.name not in found]
    if not left:
        return ""
    taken: dict[str, float] = {}
    for one in moving:
        if one.name in found and one.needs():
            taken[found[one.name]] = taken.get(found[one.name], 0) + one.needs()
    others = [f"{one.name} {'is offline' if one.offline else 'is drained' if one.drained else remaining(one, taken)}"
              for one in beside(hosts, host) if one.capable]
    kept = f", of which each keeps {amount(reserve)}" if reserve else ""
    names = ", ".join(f"{one.name} ({amount(one.size)} {unit}{', only to ' + one.to if one.to else ''}"
                      f"{', which cannot move, it is ' + one.fixed if one.fixed else ''})"
                      for one in left)
    after = ", once the others are placed" if taken else ""
    return (f"expected room for all {guest}s of {host}; there is none for {names}. Free ({unit}){after}: "
            f"{', '.join(others) or 'no host'}{kept}")


def filled(command, **values):
    """A command of the product, with what it is about in the place of V({...})."""
    def fill(word):
        return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), word)
    return [fill(word) for word in command]


def verify_problems(code, text, pattern, ignored, first=()):
    """What a check of the whole cluster complains of.

    :arg pattern: of a line that complains; its first group is the kind of complaint.
    :arg ignored: the kinds that do not count.
    :arg first: the kinds that others follow from.
    """
    found = [(match[1], line.strip(" -*")) for line in text.splitlines() for match in [re.search(pattern, line)]
             if match]
    found.sort(key=lambda one: one[0] not in first)
    counts = [line for kind, line in found if kind not in ignored]
    if counts or not code or found:
        return counts
    return [(text.strip().splitlines() or ["it says nothing"])[-1]]
