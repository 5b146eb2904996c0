#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failure
short_description: Record why a node failed, decide how it returns to service, and say what comes next
version_added: 0.2.0
description:
  - Answers what a roll asks when something fails, from the record of the run, see M(shakenfist.rolling.run), and adds
    the answer to it.
  - Works on the controller, and connects to no node.
options:
  state:
    description:
      - The question. V(placed) tells what a batch of nodes may rely on, before anything is done to it.
      - V(shared) fails if what has run once for the whole batch, O(result), has a message. A task that runs once fails
        on one of them only.
      - V(kept) records the cause of a failure, V(way_back) decides how the node returns to service, V(restored) records
        what has become of that, V(not_undone) what could not be undone of the drain, and V(told) makes the message.
      - V(others) tells which other nodes of the batch, O(nodes), have failed, and which were lost without a word.
      - V(given_up) records the cause of a failure in a step that all nodes take together, and makes the message.
    type: str
    choices: [placed, shared, kept, way_back, restored, not_undone, told, others, given_up]
    required: true
  task:
    description: The name of the task that has failed.
    type: str
    default: ""
  result:
    description: Its result.
    type: dict
    default: {}
  away:
    description: The host that O(result) is of, should it be lost.
    type: str
    default: ""
  node:
    description: What the node is, the fact C(cluster_node).
    type: dict
    default: {}
  target:
    description: The release that is rolled to, the fact C(stage_resolved).
    type: dict
    default: {}
  releases:
    description: What M(shakenfist.rolling.release_info) has returned.
    type: dict
    default: {}
  units:
    description: The units of the node as they are, as M(shakenfist.rolling.units_info) returns them.
    type: dict
    default: {}
  way_back:
    description: What V(way_back) has returned.
    type: dict
    default: {}
  what:
    description: What could not be undone.
    type: str
    choices: [balancer, hook]
    default: hook
  left:
    description: The last look at the readiness of the node, from M(shakenfist.rolling.ready_info).
    type: dict
    default: {}
  members:
    description: The nodes of the batch.
    type: list
    elements: str
    default: []
  nodes:
    description: The nodes of the batch that have failed.
    type: list
    elements: str
    default: []
  order:
    description: The nodes that are rolled, in order. Those of the plan if it is empty.
    type: list
    elements: str
    default: []
  serving:
    description: The nodes that were ready when the run began. Those of the plan if it is empty.
    type: list
    elements: str
    default: []
  gateways_down:
    description: The nodes whose gateway was down then. Those of the plan if it is empty.
    type: list
    elements: str
    default: []
  balancers:
    description:
      - Which balancers may have been told to send the node nothing. C(haproxy) has the state that it had the server in
        before, C(was), and C(backend) and C(server). C(nginx) and C(apache) are true if they are told.
    type: dict
    default: {}
  hooks:
    description: The files of the hooks C(before_drain) and C(after_gate).
    type: dict
    default: {}
  command:
    description: What continues the run. That of the plan if it is empty.
    type: str
    default: ""
  go_back:
    description: Whether the run changes the release, so that a node may go back to the one before.
    type: bool
    default: true
  reconfigure:
    description: Whether the run is continued with O(command) for the nodes that are left.
    type: bool
    default: false
  phase:
    description: The step of all nodes that has failed, V(begin), V(check), V(stage), V(schema) or V(verify).
    type: str
    default: ""
  advice:
    description: The state that the cluster is in, and what to do next, in the place of what is said of O(phase).
    type: str
    default: ""
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
- name: Roll the node
  block:
    - name: Restart it
      shakenfist.rolling.units:
        tiers: [[sf-api]]
  rescue:
    - name: Record the cause
      shakenfist.rolling.failure:
        state: kept
        task: "{{ ansible_failed_task.name }}"
        result: "{{ ansible_failed_result }}"
"""

RETURN = r"""
message:
  description: What the operator is told; with V(way_back) what has become of the node when it has gone that way.
  returned: with O(state=told), O(state=others), O(state=given_up), O(state=way_back)
  type: str
lost:
  description: Whether a host cannot be reached any more; with V(others) the names of the nodes that were lost.
  returned: with O(state=kept), O(state=others)
  type: raw
stopped:
  description: Whether the run was stopped before the node, which was not touched.
  returned: with O(state=kept)
  type: bool
way:
  description: V(back) to another release, V(held) on the target, or V(stay) on the release that the node has.
  returned: with O(state=way_back)
  type: str
release:
  description: The name of the release to go back to.
  returned: with O(state=way_back)
  type: str
start:
  description: The units to start or to restart.
  returned: with O(state=way_back)
  type: list
members:
  description: The nodes of the batch.
  returned: with O(state=placed)
  type: list
done:
  description: The nodes that this run has rolled.
  returned: with O(state=placed)
  type: list
followers:
  description: The nodes that it has yet to roll after the batch.
  returned: with O(state=placed)
  type: list
peers:
  description: The readiness URLs of the nodes that must serve meanwhile.
  returned: with O(state=placed)
  type: list
gateways:
  description: The gateways that must serve before the node counts as ready.
  returned: with O(state=placed)
  type: list
caution:
  description: What is to be known while the run waits before the batch.
  returned: with O(state=placed)
  type: str
api:
  description: Whether the API has told its nodes to the preflight.
  returned: with O(state=placed)
  type: bool
nodes:
  description: These, as they were then.
  returned: with O(state=placed)
  type: list
ansible_facts:
  description: The new record of the node.
  returned: where something was recorded
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

NAMES = dict(type="list", elements="str", default=[])
DATA = dict(type="dict", default={})
TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    state=dict(type="str", required=True, choices=["placed", "shared", "kept", "way_back", "restored", "not_undone",
                                                   "told", "others", "given_up"]),
    task=TEXT, result=DATA, away=TEXT, node=DATA, target=DATA, releases=DATA, units=DATA, way_back=DATA,
    what=dict(type="str", choices=["balancer", "hook"], default="hook"), left=DATA, members=NAMES, nodes=NAMES,
    order=NAMES, serving=NAMES, gateways_down=NAMES, balancers=DATA, hooks=DATA,
    command=TEXT, go_back=dict(type="bool", default=True),
    reconfigure=dict(type="bool", default=False), phase=TEXT, advice=TEXT,
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="failure works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
