#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: lock
short_description: Let only one run at a time touch a cluster
version_added: 0.1.0
description:
  - The lock is a file on one node that all operators agree on. It says who holds it, since when, and what the run is
    doing.
  - A lock has a lease. One that was not renewed within it is taken over, and so is one whose process is known to be
    gone, because it ran on the same controller. Both give a warning.
  - Any operator may ask the lock holder to pause or to stop. That request is kept in the lock. It ends with it and with
    a take-over, which says so, and never meets a later run.
  - A module of the controller goes with it, which fills in O(holder) and O(dead), and heeds the request.
options:
  path: {type: path, required: true, description: The file. Its directory must exist.}
  state:
    description:
      - V(held) takes the lock, or renews it if it is ours.
      - V(renewed) renews it, and fails if it is not ours any more. Where the run was asked to stop it fails, too, with
        RV(stopped). Where it was asked to pause it says so once, and renews the lock every 3 seconds until it may go
        on.
      - V(free) removes it if it is ours; the lock of another run is left alone. If nodes that an earlier run had in
        hand were not brought back, it stays, held by nobody, so that the next run knows them.
      - V(requested) asks the lock holder for O(request), whoever it is. Sets nothing if there is none, or if its
        process is known to be gone.
    type: str
    choices: [held, renewed, free, requested]
    default: held
  request:
    description: With O(state=requested), what the run is asked for the next time that it renews the lock. The last
      request holds. V(resume) takes the one before back.
    type: str
    choices: [pause, stop, resume]
    default: resume
  reason: {type: str, default: "", description: "Why, in words for people."}
  pause_timeout:
    description: With O(state=renewed), for how many seconds a run that was asked to pause waits, before it stops as if
      asked to. Without a limit if it is V(0) or less.
    type: float
    default: 0
  doing: {type: str, default: "", description: "What the run is doing now, in words for people."}
  lease:
    description: For how many seconds the lock holds without being renewed, by the clock of the node that has it. More
      than 0.
    type: float
    default: 1800
  waits:
    description: The limits in seconds of all waits until the lock is renewed next. The lock holds for twice their sum,
      if that is more than O(lease).
    type: list
    elements: float
    default: []
  takeover: {type: bool, default: false, description: "Take the lock, whoever holds it."}
  nodes:
    description: With O(state=renewed), the nodes that the run has in hand from now on, by their names in the inventory.
      The lock names them, so that who continues a run that was killed knows them.
    type: list
    elements: str
  settled:
    description: Those that the run has in hand no longer. A node that an earlier run had in hand, whose lock was taken
      over, is in hand until then. With O(state=free) filled in on the controller.
    type: list
    elements: str
    default: []
  work: {type: dict, default: {}, description: "The kind of the run, and its release. Filled in on the controller."}
  holder:
    description: Who asks, with C(user), C(host), C(boot), C(pid), C(started) and C(run). Filled in on the controller.
    type: dict
  dead: {type: str, default: "", description: The id of a run that is known to be gone. Filled in on the controller.}
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    details: In check mode a lock of another run still fails the module.
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Take the lock
  shakenfist.rolling.lock:
    path: /srv/shakenfist/rolling.lock
    doing: staging the release

- name: Let the lock holder wait before the next node
  shakenfist.rolling.lock:
    path: /srv/shakenfist/rolling.lock
    state: requested
    request: pause
    reason: the storage is being repaired
"""

RETURN = r"""
lock:
  description:
    - The lock as it is now, V(null) if nobody holds it. C(since) and C(renewed) are in seconds since the epoch.
    - C(boot) is the id of the controller's boot, of its process namespace and of the machine, C(started) when the
      process C(pid) started, in clock ticks since that boot. Both are empty where they are not known.
    - C(request) is as below, C(left) has the nodes that a run that was killed had in hand, or V(null).
  returned: always
  type: dict
  sample: {"user": "alice", "host": "admin", "boot": "0f4d3c2b-1111-2222-3333-444455556666 pid:[4026531836] 5f6e",
    "pid": 4711, "started": "123456", "run": "1a2b3c4d", "since": 1763700000.0, "renewed": 1763700120.0,
    "lease": 1800.0, "doing": "rolling sf-2", "kind": "upgrade", "release": "0.8.1", "nodes": ["sf-2"]}
request:
  description: What the run is asked for, V(null) if for nothing, with C(words) for people.
  returned: when O(state=renewed) or O(state=requested)
  type: dict
  sample: {"want": "pause", "user": "bob", "host": "desk", "since": 1763700100.0,
    "reason": "the storage is being repaired",
    "words": "bob@desk asked for that at 2025-11-21 04:41:40 UTC (20 s ago): the storage is being repaired"}
stopped:
  description: Whether the module fails because the run was asked to stop, or to pause for more than O(pause_timeout).
  returned: when O(state=renewed), on such a failure
  type: bool
paused:
  description: Since when and until when the run has waited, in seconds since the epoch on the controller's clock.
  returned: when O(state=renewed) and the run was asked to pause, and then to go on
  type: list
  elements: float
msg:
  description: What the request will do, in words.
  returned: when O(state=requested)
  type: str
  sample: "Asked alice@admin, pid 4711, run 1a2b3c4d (renewed 8 s ago, doing: rolling sf-2) to go on."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import lock as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
