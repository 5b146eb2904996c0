#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: standstill
short_description: Stop service units and hold them, or release them and start them
version_added: 0.2.0
description:
  - For what can only be done while a product is down. V(stopped) stops units, sees that they end, and holds them.
    Nothing starts a unit that is held, neither C(systemctl start) nor a unit that needs it nor a reboot of the node.
  - What holds a unit is a drop-in of systemd that fails an assertion as long as it is there, in
    C(/etc/systemd/system/UNIT.service.d). It also tells whether the unit ran before, so a run that was killed in
    between is continued by the same calls.
  - V(started) removes it, and starts the units that ran before or are enabled. Others are only released.
options:
  state:
    description:
      - V(stopped) holds the units and stops them. V(started) releases them and starts them.
      - V(down) changes nothing, and fails where one of them runs, is not held, or has left processes behind.
    type: str
    choices: [stopped, started, down]
    required: true
  units:
    description: The installed units, with or without C(.service). All of them are stopped, or started, at once.
    type: list
    elements: str
    required: true
  timeout: {type: float, default: 120, description: For how many seconds to wait until all of them have stopped or
      started.}
  stays:
    description: For how many seconds a unit that was started must stay up. systemd calls many a service active that is
      about to fail.
    type: float
    default: 3
  quiet:
    description: Whether a start of a unit that is held is skipped, and no error. For what installs packages meanwhile,
      one of which may start its service, and would be left half done.
    type: bool
    default: false
  release:
    description: Which release the units have, by the name of its directory. What holds them tells it a later run, for
      their links may lead elsewhere by then. Of what is held already the first one stays.
    type: str
    default: ""
  migrates:
    description: The nodes on which the database is migrated while the units are held. What holds them tells that, too,
      for what was begun there, and its backup, are nowhere else.
    type: list
    elements: str
    default: []
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Stop what writes, and keep it down
  shakenfist.rolling.standstill:
    state: stopped
    units: [neutron-server]

- name: Start it again
  shakenfist.rolling.standstill:
    state: started
    units: [neutron-server]
"""

RETURN = r"""
units:
  description: By unit, whether it C(ran) before it was stopped, its C(state) afterwards in words, and, with
    O(state=started), its run as C(after), and C(restarts) of it, as M(shakenfist.rolling.units_info) wants them.
  returned: success
  type: dict
  sample: {"neutron-server": {"ran": true, "state": "inactive (dead)"}}
stopped: {type: list, elements: str, returned: success, description: The units that this call has stopped.}
started: {type: list, elements: str, returned: success, description: The units that this call has started.}
killed:
  description: The units that did not end in the time that systemd gives them, so that it ended them by force. What they
    were doing may be half done.
  returned: success
  type: list
  elements: str
failed_units:
  description: The units that did not stop or start.
  returned: when some did not
  type: list
  elements: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _standstill
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    conclude,
    replace_file,
    sync_directories,
    wait_for,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd, describe, short
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.units import Restart, is_stopped, overdue
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.units_info import fallen, look

INTERVAL = 0.1
# How many processes that were left behind are named.
NAMED = 3


def was_killed(state):
    """Whether a unit was ended by force: by systemd after its time was over, or by SIGKILL of somebody else."""
    return state.get("Result") == "timeout" or (
        state.get("Result") == "signal" and state.get("ExecMainStatus") == "9")


class Standstill:
    """Some units of a node.

    :arg run: C(AnsibleModule.run_command).
    """

    def __init__(self, run, params, check_mode=False):
        self.systemd, self.params, self.check_mode = Systemd(run), params, check_mode
        self.names = [short(name) for name in params["units"]]
        self.states = self.systemd.show(self.names)
        self.result = dict(changed=False, units={}, stopped=[], started=[], killed=[])

    def act(self):
        missing = [name for name in self.names if self.states[name].get("LoadState") == "not-found"]
        if missing:
            raise RollingError(f"expected the units {', '.join(missing)}: {describe(self.states[missing[0]])}",
                               failed_units=missing)
        getattr(self, self.params["state"])()
        return self.result

    def running(self):
        """The units that are not at rest, in the states as they were seen last."""
        return [name for name, state in self.states.items() if not is_stopped(state)]

    def reload(self):
        self.systemd._systemctl("daemon-reload")

    # ---- down

    def stopped(self):
        running = self.running()
        before = {name: _standstill.before(name) for name in self.names}
        loose = [name for name in self.names if not _standstill.held(name)]
        self.result.update(changed=bool(loose or running), stopped=running, units={
            name: dict(ran=name in running or before[name] == "active", state=describe(state))
            for name, state in self.states.items()})
        if self.check_mode:
            return
        for name in loose:
            self.hold(name, name in running or before[name] == "active", self.params["quiet"],
                      self.params["release"], self.params["migrates"])
        if loose:
            self.reload()
        if running:
            self.systemd.stop(*running)
        if not wait_for(self.is_down, self.params["timeout"], INTERVAL):
            late = self.running()
            raise overdue(late, "stopped", self.params["timeout"], self.states, f": see journalctl -u {late[0]}")
        for name, state in self.states.items():
            self.result["units"][name]["state"] = describe(state)
        # What an earlier run has stopped and was killed before it could say so counts, too.
        self.result["killed"] = [name for name, state in self.states.items()
                                 if (name in running or before[name] == "active") and was_killed(state)]

    def is_down(self):
        self.states = self.systemd.show(self.names)
        return not self.running()

    @staticmethod
    def hold(name, ran, quiet=False, release="", migrates=()):
        """Write the file whole or not at all: half of it would not hold."""
        replace_file(_standstill.hold_of(name), _standstill.text_of(name, ran, quiet, release, migrates).encode())

    def down(self):
        running = self.running()
        self.result["units"] = {name: dict(ran=_standstill.held(name) == "active", state=describe(state))
                                for name, state in self.states.items()}
        if running and not self.check_mode:
            raise RollingError(f"expected {', '.join(running)} to be stopped; "
                               f"{running[0]} is {describe(self.states[running[0]])}: who has started it?",
                               failed_units=running)
        loose = [name for name in self.names if not _standstill.held(name)]
        if loose and not self.check_mode:
            raise RollingError(f"expected {', '.join(loose)} to be held by {_standstill.hold_of(loose[0])}, and "
                               "somebody has removed that", failed_units=loose)
        for name in self.names:
            left = self.systemd.processes(name)
            if left and not self.check_mode:
                words = ", ".join(f"{pid} ({' '.join(words)[:60]})" for pid, words in list(left.items())[:NAMED])
                raise RollingError(f"{name} is stopped and has left processes behind, which may still write: {words}. "
                                   "End them, and set KillMode=control-group in its unit", failed_units=[name])

    # ---- up

    def started(self):
        before = {name: _standstill.before(name) for name in self.names}
        due = [name for name, state in self.states.items() if state["ActiveState"] != "active" and (
            before[name] == "active" or state.get("UnitFileState") in ("enabled", "enabled-runtime"))]
        held = [name for name in self.names if before[name]]
        self.result.update(changed=bool(due or held), started=due)
        if not self.check_mode:
            self.release([name for name in held if _standstill.held(name)])
            self.start(due)
            self.forget(held)
        self.result["units"] = {name: dict(ran=before[name] == "active", state=describe(self.states[name]),
                                           after=self.states[name].get("InvocationID", ""),
                                           restarts=int(self.states[name].get("NRestarts") or 0))
                                for name in self.names}

    def release(self, names):
        """What the units were is known until they run: one that is not enabled would else never be started again."""
        for name in names:
            path = _standstill.hold_of(name)
            os.replace(path, path + _standstill.RELEASED)
            sync_directories(os.path.dirname(path))
        if names:
            self.reload()

    @staticmethod
    def forget(names):
        for name in names:
            path = _standstill.hold_of(name)
            os.unlink(path + _standstill.RELEASED)
            try:
                os.rmdir(os.path.dirname(path))
            except OSError:
                pass  # there are other drop-ins of that unit

    def start(self, names):
        if not names:
            return
        restart = Restart(self.systemd, names, self.params)
        restart.check_installed()
        restart.restart()
        until = time.monotonic() + self.params["stays"]
        while True:
            self.states.update(self.systemd.show(names))
            seen = {name: look(self.states[name]) for name in names}
            failed = fallen(seen, restart.runs)
            if failed:
                words = "; ".join(failed.values())
                raise RollingError(f"expected {', '.join(names)} to stay up for {self.params['stays']:g} s; {words}."
                                   f"{self.systemd.last_words(next(iter(failed)))}", failed_units=list(failed))
            if time.monotonic() >= until:
                return
            time.sleep(min(INTERVAL, max(0.0, until - time.monotonic())))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["stopped", "started", "down"], required=True),
            units=dict(type="list", elements="str", required=True),
            timeout=dict(type="float", default=120),
            stays=dict(type="float", default=3),
            quiet=dict(type="bool", default=False),
            release=dict(type="str", default=""),
            migrates=dict(type="list", elements="str", default=[]),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: Standstill(module.run_command, module.params, module.check_mode).act(),
             folder=_standstill.SYSTEM)


if __name__ == "__main__":
    main()
