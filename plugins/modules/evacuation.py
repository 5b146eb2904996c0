#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: evacuation
short_description: Empty a host of its guests, and give them back
version_added: 0.2.0
description:
  - Moves the guests of a host to the other hosts of its cluster, so that it can be rebooted, and gives them back
    afterwards. Which commands do that, and
    how the lists of hosts and guests are read, is data of the product; Ganeti is one, see C(playbooks/vars/ganeti.yml).
  - Runs where the commands of the cluster are run, such as Ganeti's master.
  - Only the list counts. After each command the list is looked at until it shows what was wanted; exit codes are only
    repeated in a message.
  - That a guest was moved, and from where, is noted on the guest itself before it moves, by a command of the product,
    such as a tag. So a later run gives
    back what an earlier one has moved, also one that was killed, and whoever runs it.
options:
  state:
    description:
      - V(looked) only returns what the lists say. A node on which they cannot be read is no failure then.
      - V(room) fails if the other hosts have no room for all guests of O(host) that run.
      - V(drained), V(undrained), V(offline) and V(online) set a flag of O(host), and wait until the list shows it.
        V(drained) first notes on the host how it was, V(released) brings that back and removes the note.
      - V(able) has O(host) become one that may take the lead.
      - V(whole) waits until the list shows O(host) neither offline nor with memory that it does not know.
      - V(mirrored) has the mirrors of guests that can only move to O(host) work again, after its reboot.
      - V(emptied) moves all guests of O(host) away, the biggest first. It stops at the first one that does not move.
      - V(returned) moves back to O(host) all guests that are noted as its own.
      - V(leading) has the node that this runs on take the lead of the cluster.
      - V(paused) and V(resumed) pause what would start guests by itself, for at most O(seconds), and let it go on.
        Somebody else's pause stays.
      - V(verified) has the cluster check itself.
    type: str
    required: true
    choices: [looked, room, drained, undrained, offline, online, whole, mirrored, emptied, returned, released, able,
      leading, paused, resumed, verified]
  host: {type: str, default: "", description: "The host, as the lists call it."}
  cluster:
    description: How the product is asked and told. In commands, V({host}), V({guest}), V({to}), V({note}) and
      V({seconds}) stand for what they are about.
    type: dict
    required: true
    suboptions:
      name: {type: list, elements: str, default: [hostname, --fqdn], description: "The command that prints how the lists
        call the node that it runs on."}
      hosts:
        description: The list of hosts. Its columns are C(name), C(free) (memory), C(role), C(drained), C(offline),
          C(group), out of which no guest moves, and C(capable), a flag of those on which guests can run; others are
          passed over.
        type: dict
        required: true
        suboptions: &list
          command: {type: list, elements: str, required: true, description: "What prints the list, one line for each."}
          separator: {type: str, default: "", description: "What is between columns; blanks if it is empty."}
          columns: {type: list, elements: str, required: true, description: "The names of the columns."}
      guests:
        description: The list of guests. Its columns are C(name), C(host), C(state), C(size) (memory), C(to) (the only
          host that it can move to), C(notes), C(kind) and C(wanted), whether the cluster is to run it.
        type: dict
        required: true
        suboptions: *list
      busy:
        description: The list of what the cluster is doing. Its columns are C(status) and C(what), which names the
          guest. It is waited for.
        type: dict
        suboptions:
          command: {type: list, elements: str, required: true, description: "What prints the list, one line for each."}
          separator: {type: str, default: "", description: "What is between columns; blanks if it is empty."}
          columns: {type: list, elements: str, required: true, description: "The names of the columns."}
          words: {type: list, elements: str, required: true, description: "Each status of what is not finished."}
      flagged: {type: list, elements: str, default: ["Y"], description: "What the list of hosts says where a flag is
        set."}
      leads: {type: list, elements: str, default: [], description: "The role of the host on which the commands are
        run."}
      able: {type: list, elements: str, default: [], description: "The roles of those that may take the lead. Any if it
        is empty."}
      running: {type: list, elements: str, default: [running], description: "The states of guests that run."}
      stopped: {type: list, elements: str, default: [stopped], description: "The states of guests that are shut down on
        purpose."}
      wanted: {type: list, elements: str, default: [], description: "What C(wanted) is of guests that the cluster is to
        run. One that is shut down is not known as such then: the command that moves it would start it."}
      fixed: {type: list, elements: str, default: [], description: "Each C(kind) of guest that no command moves, such as
        one with disks of its host alone. There is no room for such a guest."}
      note: {type: str, default: "rolling:from:", description: "What notes on guests begin with; the host that it was
        moved from comes after it."}
      remember: {type: list, elements: str, required: true, description: "Notes V({note}) on V({guest})."}
      forget: {type: list, elements: str, required: true, description: "Removes V({note}) from V({guest})."}
      move:
        description: Moves V({guest}) while it runs to where the cluster wants it. Without it O(cluster.move_to) is told
          the host with the most room.
        type: list
        elements: str
        default: []
      move_to: {type: list, elements: str, required: true, description: "Moves V({guest}) while it runs to V({to})."}
      move_stopped: {type: list, elements: str, default: [], description: "As O(cluster.move), of one that is shut
        down."}
      move_stopped_to: {type: list, elements: str, default: [], description: "As O(cluster.move_to), of one that is shut
        down."}
      drain: {type: list, elements: str, default: [], description: "Has V({host}) get no more guests."}
      undrain: {type: list, elements: str, default: [], description: "Takes that back."}
      offline: {type: list, elements: str, default: [], description: "Has the cluster do without V({host})."}
      online: {type: list, elements: str, default: [], description: "Takes that back."}
      able_to_lead: {type: list, elements: str, default: [], description: "Has V({host}) become one that may take the
        lead."}
      lead: {type: list, elements: str, default: [], description: "Has the node that this runs on take the lead."}
      mirror: {type: list, elements: str, default: [], description: "Has the mirror of V({guest}) work again that
        C(to) has, and waits until it is complete."}
      mark: {type: list, elements: str, default: [], description: "Notes V({note}) on V({host}), that a run has it in
        hand."}
      unmark: {type: list, elements: str, default: [], description: "Removes that."}
      mark_note: {type: str, default: "rolling:was:", description: "What that note begins with; how the host was comes
        after it."}
      pause:
        description: What starts guests by itself, and how it is paused.
        type: dict
        suboptions:
          look: {type: list, elements: str, required: true, description: "Prints whether it is paused."}
          until: {type: str, required: true, description: "A pattern of what it says then. Its first group is the end of
            the pause, as ctime(3) writes it in local time."}
          pause: {type: list, elements: str, required: true, description: "Pauses it for V({seconds})."}
          resume: {type: list, elements: str, required: true, description: "Lets it go on."}
          marks: {type: list, elements: str, required: true, description: "Prints notes on the cluster, one a line."}
          mark: {type: list, elements: str, required: true, description: "Notes V({note}) on the cluster, so that a
            pause is known as a run's."}
          unmark: {type: list, elements: str, required: true, description: "Removes that."}
          note: {type: str, default: "rolling:paused:", description: "What that note begins with; the end of the pause
            comes after it, in seconds since the epoch. A pause that ends at another time is somebody else's."}
      verify:
        description: What checks the whole cluster.
        type: dict
        suboptions:
          command: {type: list, elements: str, required: true, description: "The command."}
          pattern: {type: str, required: true, description: "Of a line that complains. Its first group is the kind of
            complaint."}
          ignored: {type: list, elements: str, default: [], description: "The kinds that do not count."}
          first: {type: list, elements: str, default: [], description: "The kinds that others follow from: a message
            begins with them."}
      unit: {type: str, default: MiB, description: "In what memory is counted."}
      words: {type: dict, default: {}, description: "What messages call things: C(guest), C(leader), the host on which
        the commands are run, and C(starter), what starts guests by itself."}
  stopped:
    description: What becomes of guests that are shut down. V(moved) moves them, too, V(left) leaves them, and names
      them.
    type: str
    choices: [moved, left]
    default: moved
  at_most: {type: int, default: 0, description: "How many guests to move in this call; V(0) for all."}
  reserve: {type: float, default: 0, description: "The memory that every other host keeps."}
  timeout: {type: float, default: 600, description: "For how many seconds to wait for one guest, or for a flag."}
  seconds: {type: int, default: 3600, description: "For how long a pause lasts that nobody takes back."}
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Empty a host of a Ganeti cluster
  shakenfist.rolling.evacuation:
    state: emptied
    host: gnt-2.example.com
    cluster: "{{ cluster_hosts }}"
  delegate_to: gnt-1
"""

RETURN = r"""
name: {type: str, returned: with O(state=looked), description: How the lists call the node.}
leads: {type: bool, returned: with O(state=looked), description: Whether the lists can be read there.}
problem: {type: str, returned: with O(state=looked), description: Why they cannot.}
hosts:
  description: The hosts, each with C(name), C(free), C(drained), C(offline), C(leads), C(able), C(note),
    C(group) and C(capable).
  returned: where the lists were read
  type: list
  elements: dict
guests:
  description: The guests, each with C(name), C(host), C(state), C(size), C(to), C(home), the host that it was moved
    from, and C(fixed).
  returned: where the lists were read
  type: list
  elements: dict
moved:
  description: What was moved, each with C(guest), C(from), C(to), C(state) and C(seconds).
  returned: with O(state=emptied) and O(state=returned)
  type: list
  elements: dict
remaining: {type: list, elements: str, returned: with O(state=emptied) and O(state=returned), description: The guests
  that are left to move.}
left: {type: list, elements: str, returned: with O(state=emptied), description: Guests that are shut down and were
  left.}
own: {type: bool, returned: with O(state=paused), description: Whether the pause is that of a run.}
until: {type: int, returned: with O(state=paused) where it is that of a run, description: "When it ends, in seconds
  since the epoch."}
problems: {type: list, elements: str, returned: with O(state=verified), description: What the check complains of.}
"""

import dataclasses
import email.utils
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _evacuation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    conclude,
    last_lines,
    wait_for,
)

# Seconds for a question, between two looks, and until what is odd in the list is taken for true.
ASK = 120
INTERVAL = 0.5
ODD = 10
# Until the list must show what a command has done that has ended: Ganeti's daemon that answers may miss that the
# configuration was changed, and looks by itself only every 17 s.
SETTLE = 30
# By how many seconds a pause may end after what its note says: its command counts from when it has started.
LATE = 60
# How timeout(1) tells that it has ended a command, by SIGTERM and by SIGKILL.
ENDED = (124, 137)
# And that there is no such command, or none that may be run; a shell that lacks one ends so, too.
NOT_RUN = (126, 127)
COMMAND = dict(type="list", elements="str", required=True)
FURTHER = dict(type="list", elements="str", default=[])
LIST = dict(command=COMMAND, separator=dict(type="str", default=""), columns=COMMAND)
CLUSTER = dict(
    name=dict(type="list", elements="str", default=["hostname", "--fqdn"]),
    hosts=dict(type="dict", required=True, options=LIST), guests=dict(type="dict", required=True, options=LIST),
    busy=dict(type="dict", options=dict(LIST, words=COMMAND)),
    flagged=dict(type="list", elements="str", default=["Y"]), leads=FURTHER, able=FURTHER,
    running=dict(type="list", elements="str", default=["running"]), fixed=FURTHER, wanted=FURTHER,
    stopped=dict(type="list", elements="str", default=["stopped"]),
    note=dict(type="str", default="rolling:from:"), remember=COMMAND, forget=COMMAND,
    move=FURTHER, move_to=COMMAND, move_stopped=FURTHER, move_stopped_to=FURTHER,
    drain=FURTHER, undrain=FURTHER, offline=FURTHER, online=FURTHER, lead=FURTHER, able_to_lead=FURTHER,
    mirror=FURTHER,
    mark=FURTHER, unmark=FURTHER, mark_note=dict(type="str", default="rolling:was:"),
    pause=dict(type="dict", options=dict(
        look=COMMAND, until=dict(type="str", required=True), pause=COMMAND, resume=COMMAND, marks=COMMAND, mark=COMMAND,
        unmark=COMMAND, note=dict(type="str", default="rolling:paused:"))),
    verify=dict(type="dict", options=dict(
        command=COMMAND, pattern=dict(type="str", required=True), ignored=FURTHER, first=FURTHER)),
    unit=dict(type="str", default="MiB"), words=dict(type="dict", default={}),
)
STATES = ["looked", "room", "drained", "undrained", "offline", "online", "whole", "mirrored", "emptied", "returned",
          "released", "able", "leading", "paused", "resumed", "verified"]
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=STATES), host=dict(type="str", default=""),
    cluster=dict(type="dict", required=True, options=CLUSTER),
    stopped=dict(type="str", choices=["moved", "left"], default="moved"), at_most=dict(type="int", default=0),
    reserve=dict(type="float", default=0), timeout=dict(type="float", default=600),
    seconds=dict(type="int", default=3600),
)


class Evacuation:
    """What is done; each state is a method."""

    def __init__(self, module):
        self.module, params = module, module.params
        self.host, self.cluster, self.stopped = params["host"], params["cluster"], params["stopped"] == "moved"
        self.timeout, self.at_most, self.reserve = params["timeout"], params["at_most"], params["reserve"]
        self.words = _evacuation.called(self.cluster)
        self.changed, self.moved = False, []
        # What the lists have said since something was last done.
        self.hosts = self.guests = None

    # ---- commands

    def run(self, command, timeout=ASK, **values):
        """What a command says, and its exit code; one that takes too long is ended."""
        command = _evacuation.filled(command, **values)
        # Nobody answers a question that it may ask.
        code, out, err = self.module.run_command(["timeout", "-k", "5", f"{timeout:.0f}", *command], data="",
                                                 environ_update=dict(LC_ALL="C.UTF-8"))
        return code, out, last_lines(f"{out}\n{err}", 3).replace("\n", "; "), " ".join(command)

    def ask(self, command, **values):
        """What a command says that only looks."""
        code, out, words, line = self.run(command, **values)
        if code:
            how = f"{code} after {ASK} s" if code in ENDED else code
            further = (". Install that command where it is run, or name its whole path in the product's file"
                       if code in NOT_RUN else "")
            raise RollingError(f"{line}: expected an answer, it ended with {how}: {words or 'without a word'}{further}")
        return out

    def act(self, command, timeout=None, **values):
        """Run a command that changes something; gives what it said, for a message."""
        self.changed = True
        if self.module.check_mode:
            return ""
        self.hosts = self.guests = None
        code, dummy, words, line = self.run(command, timeout or self.timeout, **values)
        return f"{line} ended with {code}: {words or 'without a word'}"

    def listed(self, which):
        asked = self.cluster[which]
        return _evacuation.columns_of(self.ask(asked["command"]), asked["separator"], asked["columns"])

    # ---- looks

    def look_at_hosts(self):
        self.hosts = [_evacuation.host_of(row, self.cluster) for row in self.listed("hosts")]
        return self.hosts

    def look_at_guests(self):
        self.guests = [_evacuation.guest_of(row, self.cluster) for row in self.listed("guests")]
        return self.guests

    def look(self):
        """The hosts and the guests, as the lists have had them since something was last done: each look takes time."""
        return self.look_at_hosts() if self.hosts is None else self.hosts, (
            self.look_at_guests() if self.guests is None else self.guests)

    def look_calmly(self):
        """The same, after more looks where something is odd: a node that answers late passes for one that is down."""
        def calm():
            hosts, guests = self.look_at_hosts(), self.look_at_guests()
            return all(one.offline or one.is_known() for one in hosts) and all(
                one.state in ("running", "stopped") for one in guests)
        wait_for(calm, ODD, INTERVAL)
        return self.hosts, self.guests

    def look_at(self):
        """The host, as the list has it now."""
        hosts = self.look_at_hosts()
        found = _evacuation.find(hosts, self.host)
        if not found:
            raise RollingError(f"expected {self.host} in the list of hosts; there are: "
                               f"{', '.join(one.name for one in hosts)}")
        return found

    def is_busy(self, name):
        """Whether the cluster still does something with a guest, or a host; it goes on where a run was killed."""
        asked = self.cluster["busy"]
        return bool(asked) and any(row["status"] in asked["words"] and _evacuation.names(row["what"], name)
                                   for row in self.listed("busy"))

    def result(self, **more):
        hosts, guests = self.look()
        return dict(more, changed=self.changed, hosts=list(map(dataclasses.asdict, hosts)),
                    guests=list(map(dataclasses.asdict, guests)))

    # ---- states

    def looked(self):
        answer = dict(name=self.ask(self.cluster["name"]).strip(), leads=False, problem="", hosts=[], guests=[])
        try:
            self.look_calmly()
            return self.result(**{key: answer[key] for key in ("name", "problem")}, leads=True)
        except RollingError as exc:
            return dict(answer, problem=exc.message)

    def room(self):
        hosts, guests = self.look_calmly()
        self.check_room(hosts, guests)
        return self.result()

    def check_room(self, hosts, guests):
        moving = _evacuation.to_move(guests, self.host, self.stopped)
        found = _evacuation.places(moving, hosts, self.host, self.reserve)
        words = _evacuation.room_words(moving, found, hosts, self.host, self.cluster["unit"], self.reserve,
                                       self.words["guest"])
        if words:
            raise RollingError(words)
        return moving, found

    def flag(self, name, wanted, command):
        """Have the host get a flag, or lose it."""
        if not command:
            return self.result()

        def there():
            return getattr(self.look_at(), name) == wanted

        if not there():
            said = self.act(command, host=self.host)
            # The client may have been ended, and its job waits for its turn.
            if not self.module.check_mode and not wait_for(there, SETTLE, INTERVAL) and not (
                    self.is_busy(self.host) and self.quiet(self.host) and wait_for(there, SETTLE, INTERVAL)):
                later = ", and the cluster still has it to do: it may be so later" if self.is_busy(self.host) else ""
                raise RollingError(f"expected the list to show {self.host} {'' if wanted else 'not '}{name} within "
                                   f"{SETTLE} s, it does not{later}. {said}")
        return self.result()

    def drained(self):
        here = self.look_at()
        if self.cluster["mark"] and not here.note:
            was = "drained" if here.drained else "undrained"
            said = self.act(self.cluster["mark"], host=self.host, note=f"{self.cluster['mark_note']}{was}")
            self.see_note(True, said)
        return self.flag("drained", True, self.cluster["drain"])

    def see_note(self, there, said):
        if not self.module.check_mode and not wait_for(lambda: bool(self.look_at().note) == there, SETTLE, INTERVAL):
            raise RollingError(f"expected {'a' if there else 'no'} note of this run on {self.host} within {SETTLE} s. "
                               f"{said}")

    def released(self):
        """As it was before the run had it in hand: one that an operator had drained is drained again."""
        here = self.look_at()
        if here.note == "drained":
            self.flag("drained", True, self.cluster["drain"])
        if here.note:
            said = self.act(self.cluster["unmark"], host=self.host, note=f"{self.cluster['mark_note']}{here.note}")
            self.see_note(False, said)
        return self.result()

    def undrained(self):
        return self.flag("drained", False, self.cluster["undrain"])

    def offline(self):
        return self.flag("offline", True, self.cluster["offline"])

    def online(self):
        return self.flag("offline", False, self.cluster["online"])

    def whole(self):
        def good():
            found = self.look_at()
            return not found.offline and found.is_known()
        if not self.module.check_mode and not wait_for(good, self.timeout, INTERVAL):
            found = self.look_at()
            raise RollingError(f"expected the list to show {self.host} with its memory within {self.timeout:g} s; last "
                               f"seen: {'offline' if found.offline else 'its memory is not known'}")
        return self.result()

    def mirrored(self):
        """A reboot has ended the mirrors on the host, and what would begin them again by itself is paused."""
        for guest in [one for one in self.look()[1] if one.to == self.host and one.state == "running"]:
            if not self.cluster["mirror"] or self.module.check_mode:
                break
            self.wait_until_quiet(guest)
            code, dummy, words, line = self.run(self.cluster["mirror"], self.timeout, guest=guest.name)
            if code and self.is_as_before(guest):
                raise RollingError(f"expected the mirror of {guest.name} on {self.host} to be complete within "
                                   f"{self.timeout:g} s; {line} ended with {code}: {words or 'without a word'}")
        return self.result()

    def emptied(self):
        self.check_known()
        while True:
            hosts, guests = self.look()
            if _evacuation.unfit(guests, self.host):
                hosts, guests = self.look_calmly()
            wrong = _evacuation.unfit(guests, self.host)
            if wrong:
                raise RollingError("expected each guest to run or to be shut down; "
                                   + ", ".join(f"{one.name} is {one.state}" for one in wrong)
                                   + ": start it, or shut it down", **self.so_far())
            moving, found = self.checked_room(hosts, guests)
            if not moving or 0 < self.at_most <= len(self.moved) or self.module.check_mode:
                break
            self.move(moving[0], found[moving[0].name])
        self.changed = self.changed or bool(moving)
        left = [guest.name for guest in guests if guest.host == self.host and guest.state == "stopped"]
        return self.result(moved=self.moved, remaining=[guest.name for guest in moving],
                           left=[] if self.stopped else left)

    def check_known(self):
        """A host that the list does not have would pass for an empty one."""
        self.look_at()

    def checked_room(self, hosts, guests):
        try:
            return self.check_room(hosts, guests)
        except RollingError as exc:
            raise RollingError(exc.message, **self.so_far()) from exc

    def so_far(self):
        return dict(changed=self.changed, moved=self.moved)

    def note_of(self, host):
        return f"{self.cluster['note']}{host}"

    def home_of(self, guest):
        found = _evacuation.find(self.look_at_guests(), guest.name)
        return found.home if found else None

    def move(self, guest, place):
        """Move a guest away; where it was is noted first."""
        self.wait_until_quiet(guest)
        if not guest.home:
            said = self.act(self.cluster["remember"], guest=guest.name, note=self.note_of(guest.host))
            if not wait_for(lambda: self.home_of(guest) in (guest.host, None), SETTLE, INTERVAL):
                raise RollingError(f"expected a note on {guest.name} of where it was; the list shows none. {said}",
                                   **self.so_far())
        if not self.is_as_before(guest):
            return
        stopped = "_stopped" if guest.state == "stopped" else ""
        free = self.cluster[f"move{stopped}"]
        self.moves(guest, free or self.cluster[f"move{stopped}_to"], place)

    def quiet(self, name):
        return wait_for(lambda: not self.is_busy(name), self.timeout, INTERVAL)

    def wait_until_quiet(self, guest):
        if not self.quiet(guest.name):
            raise RollingError(f"expected the cluster to be done with {guest.name} within {self.timeout:g} s; it still "
                               "works on it", **self.so_far())
        self.guests = None

    def is_as_before(self, guest):
        """Whether a guest is where and as it was: its owner may have started, stopped or removed it meanwhile.

        The command that moves one that is shut down would shut down one that runs.
        """
        now = _evacuation.find(self.guests or self.look_at_guests(), guest.name)
        return now is not None and (now.host, now.state) == (guest.host, guest.state)

    def moves(self, guest, command, to, exactly=False):
        """Run the command that moves a guest, and look where the guest is.

        :arg exactly: whether it must be on that host then, and not just on another one than it was.
        """
        if not command:
            raise RollingError(f"{guest.name} is {guest.state}, and no command moves such a guest", **self.so_far())
        began, last = time.monotonic(), guest

        def there():
            nonlocal last
            # One that is gone from the list was removed by somebody: it is on no host any more.
            last = _evacuation.find(self.look_at_guests(), guest.name)
            if last is None:
                return True
            away = last.host == to if exactly else last.host != guest.host
            return away and last.state == guest.state
        said = self.act(command, guest=guest.name, to=to, host=guest.host)
        # The client may have been ended, and its job goes on.
        if not (there() or self.quiet(guest.name) and wait_for(there, SETTLE, INTERVAL)):
            where = f"on {to}" if exactly else "on another host"
            raise RollingError(f"expected {guest.name} to be {guest.state} {where}; the list has it {last.state} on "
                               f"{last.host}. {said}", **self.so_far())
        self.moved.append({"guest": guest.name, "from": guest.host, "to": last.host if last else "",
                           "state": guest.state, "seconds": round(time.monotonic() - began, 1)})

    def returned(self):
        here = self.look_at()
        while True:
            hosts, guests = self.look()
            mine = [guest for guest in guests if guest.home == self.host]
            if any(guest.state not in ("running", "stopped") for guest in mine):
                hosts, guests = self.look_calmly()
                mine = [guest for guest in guests if guest.home == self.host]
            away = sorted((guest for guest in mine if guest.host != self.host), key=lambda one: -one.needs())
            if self.module.check_mode or 0 < self.at_most <= len(self.moved):
                break
            back = next((guest for guest in mine if guest.host == self.host), None)
            if back:
                self.forget(back)
            elif away:
                self.give_back(away[0], _evacuation.find(hosts, self.host) or here)
            else:
                break
        self.changed = self.changed or bool(mine)
        return self.result(moved=self.moved, remaining=[guest.name for guest in away])

    def give_back(self, guest, here):
        if guest.state not in ("running", "stopped"):
            raise RollingError(f"{guest.name} is {guest.state} on {guest.host}, and came from {self.host}: start it, "
                               "or shut it down", **self.so_far())
        if not here.takes() or here.free < guest.needs():
            raise RollingError(f"expected room for {guest.name} ({_evacuation.amount(guest.size)} "
                               f"{self.cluster['unit']}), which came from {self.host}; it has "
                               f"{_evacuation.amount(here.free)}{', is drained' if here.drained else ''}"
                               f"{', is offline' if here.offline else ''}", **self.so_far())
        if guest.to not in ("", self.host):
            raise RollingError(f"{guest.name} came from {self.host}, and can only move to {guest.to} now",
                               **self.so_far())
        self.wait_until_quiet(guest)
        if not self.is_as_before(guest):
            return
        stopped = "_stopped" if guest.state == "stopped" else ""
        # One that has no choice is not told where to go.
        bound = self.cluster[f"move{stopped}"] if guest.to else []
        self.moves(guest, bound or self.cluster[f"move{stopped}_to"], self.host, exactly=True)

    def forget(self, guest):
        said = self.act(self.cluster["forget"], guest=guest.name, note=self.note_of(self.host))
        if not wait_for(lambda: self.home_of(guest) != self.host, SETTLE, INTERVAL):
            raise RollingError(f"expected no note on {guest.name} any more, which is back on {self.host}; the list "
                               f"still shows it. {said}", **self.so_far())

    def able(self):
        return self.flag("able", True, self.cluster["able_to_lead"])

    def leading(self):
        def leads():
            try:
                hosts = self.look_at_hosts()
            except RollingError:
                return False
            name = self.ask(self.cluster["name"]).strip()
            return not self.cluster["leads"] or any(one.leads and one.name == name for one in hosts)
        if not leads():
            said = self.act(self.cluster["lead"])
            if self.module.check_mode:
                return dict(changed=True)
            if not wait_for(leads, SETTLE, INTERVAL):
                raise RollingError(f"expected this node to take the lead, it does not. {said}")
        return self.result()

    # ---- what starts guests by itself

    def marked(self):
        """The notes of pauses of runs, also of those that never came back."""
        pause = self.cluster["pause"]
        return [note for note in self.ask(pause["marks"]).split() if note.startswith(pause["note"])]

    def paused_until(self):
        """When the pause ends, in seconds since the epoch; 0 where there is none."""
        pause = self.cluster["pause"]
        found = re.search(pause["until"], self.ask(pause["look"]))
        # That of the module time wants the names of days and months in the language of the node.
        parsed = email.utils.parsedate(found[1]) if found else None
        if found and not parsed:
            raise RollingError(f"expected the end of the pause as in {time.ctime(0)!r}; {' '.join(pause['look'])} says "
                               f"{found[1]!r}: correct cluster_hosts.pause.until in the product's file")
        return time.mktime(parsed) if parsed else 0

    def end_of(self, note):
        """When the pause of a note ends; 0 where the note does not tell."""
        return _evacuation.number_of(note[len(self.cluster["pause"]["note"]):]) or 0

    def is_own(self, until, marked):
        """Whether a pause is that of a run: it ends when a note says, or as much later as its command took to start."""
        return any(0 <= until - self.end_of(note) <= LATE for note in marked)

    def unmark(self, marked):
        """Forget pauses that are over. A host that may not lead has not heard of that, and may lead again: Ganeti tells
        the master candidates alone."""
        everybody = bool(marked) and all(host.able for host in self.look_at_hosts())
        for note in marked:
            if everybody or self.end_of(note) + LATE < time.time():
                self.act(self.cluster["pause"]["unmark"], note=note)

    def paused(self):
        pause = self.cluster["pause"]
        if not pause:
            return dict(changed=False, own=False)
        until, marked = self.paused_until(), self.marked()
        if until and not self.is_own(until, marked):
            return dict(changed=False, own=False)
        # The note first: a run that is killed in between leaves no pause that passes for an operator's.
        end = time.time() + self.module.params["seconds"]
        note = f"{pause['note']}{int(end)}"
        self.act(pause["mark"], note=note)
        said = self.act(pause["pause"], seconds=max(1, int(end - time.time()) + 1))
        if not self.module.check_mode and not wait_for(lambda: self.is_own(self.paused_until(), [note]), SETTLE,
                                                       INTERVAL):
            raise RollingError(f"expected {self.words['starter']} to be paused until {time.ctime(end)}, it is not. "
                               f"{said}")
        self.unmark([one for one in marked if one != note])
        return dict(changed=self.changed, own=True, until=int(end))

    def resumed(self):
        pause = self.cluster["pause"]
        marked = self.marked() if pause else []
        if self.is_own(self.paused_until() if marked else 0, marked):
            said = self.act(pause["resume"])
            if not self.module.check_mode and not wait_for(lambda: not self.paused_until(), SETTLE, INTERVAL):
                raise RollingError(f"expected {self.words['starter']} to go on, it is still paused. {said}")
        self.unmark(marked)
        return dict(changed=self.changed)

    def verified(self):
        verify = self.cluster["verify"]
        if not verify:
            return dict(changed=False, problems=[])
        code, out, dummy, line = self.run(verify["command"], self.timeout)
        # What it had not looked at by then is not known to be good.
        if code in ENDED:
            raise RollingError(f"{line} was to end within {self.timeout:g} s, and was ended")
        problems = _evacuation.verify_problems(code, out, verify["pattern"], verify["ignored"],
                                               verify["first"])
        return dict(changed=False, problems=problems)


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    conclude(module, getattr(Evacuation(module), module.params["state"]))


if __name__ == "__main__":
    main()
