#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run
short_description: Keep the record of a run
version_added: 0.2.0
description:
  - Begins the record of a run, and adds to it. The record is what one playbook of this collection knows from its first
    play to its last.
  - The groups of the inventory are mapped here, and nowhere else. O(state=begun) reads the variables C(rolling_group)
    and C(rolling_database_groups), and fails if they name no node.
  - Sets the facts C(rolling_run) of localhost and C(rolling_node) of a node. Both carry the id of the run. What an
    earlier run has left is no part of the record.
  - Works on the controller, and connects to no node.
options:
  state:
    description:
      - V(begun) makes a new record, and forgets the one of an earlier run. The task runs once, for localhost.
      - V(noted) adds O(run) to the record of the run, and O(node) to that of the node that the task is for.
      - V(running) records that the lock is held and the run has something to do, V(ended) that the run was ended.
      - V(seen) only returns both.
    type: str
    choices: [begun, noted, running, ended, seen]
    required: true
  kind:
    description: What the run does, for V(begun).
    type: str
    choices: [upgrade, rollback, restart, reconfigure, plan, status, pause, resume, stop]
    default: upgrade
  run:
    description: Values of the record of the run. A task that sets them runs once, for localhost.
    type: dict
    default: {}
  node:
    description: Values of the record of the node.
    type: dict
    default: {}
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - It is no change of the cluster, so it never reports one.
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Begin the record of the run
  shakenfist.rolling.run:
    state: begun
    kind: upgrade
  delegate_to: localhost
  delegate_facts: true
  run_once: true

- name: Note that the node is done
  shakenfist.rolling.run:
    state: noted
    node:
      rolled: true
"""

RETURN = r"""
ansible_facts:
  description: The new record.
  returned: always
  type: dict
  sample: {"rolling_node": {"run": "1a2b3c4d", "rolled": true}}
run:
  description: The record of the run.
  returned: always
  type: dict
  sample: {"id": "1a2b3c4d", "kind": "upgrade", "begun": 1795233190.2}
node:
  description: The record of the node in this run, an empty one if nothing was noted of it.
  returned: always
  type: dict
  sample: {"run": "1a2b3c4d", "rolled": true}
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    state=dict(type="str", choices=["begun", "noted", "running", "ended", "seen"], required=True),
    kind=dict(type="str", choices=["upgrade", "rollback", "restart", "reconfigure", "plan", "status", "pause", "resume",
                                   "stop"], default="upgrade"),
    run=dict(type="dict", default={}),
    node=dict(type="dict", default={}),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="run works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
