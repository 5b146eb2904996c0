#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: judge
short_description: Judge whether a cluster is fit to be rolled, and plan the roll
version_added: 0.2.0
description:
  - Answers the questions of the preflight from what M(shakenfist.rolling.look) has noted of all nodes of the play. The
    task runs once.
  - Works on the controller, and connects to no node.
options:
  question:
    description:
      - V(who) asks which nodes ask the API and pip for the others.
      - V(unseen) asks what the API tells of the nodes that C(--limit) leaves out.
      - V(plan) asks for the plan. It fails, with all findings, if the cluster is not fit. The plan goes into the
        record of the run, so the task is for localhost.
      - V(status) asks how the nodes are.
    type: str
    choices: [who, unseen, plan, status]
    required: true
  nodes:
    description: The names of all nodes of the cluster.
    type: list
    elements: str
    default: []
  api:
    description: What M(shakenfist.rolling.nodes_info) has returned, empty where no node could ask.
    type: dict
    default: {}
  lock:
    description: What M(shakenfist.rolling.lock_info) has returned, empty where it is not known.
    type: dict
    default: {}
  unseen_seen:
    description: What M(shakenfist.rolling.ready_info) has seen of the nodes that C(--limit) leaves out.
    type: dict
    default: {}
  options:
    description: What was asked for, by the names of the variables of role C(preflight) without their prefix.
    type: dict
    default: {}
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: See who asks for all
  shakenfist.rolling.judge:
    question: who
  run_once: true
  register: who
"""

RETURN = r"""
asker:
  description: The node that asks the API. Empty if no node serves.
  returned: for V(who)
  type: str
  sample: sf-1
url:
  description: The URL of its API.
  returned: for V(who)
  type: str
  sample: http://10.0.0.1:13000
credentials:
  description: The file there with the credentials of the API.
  returned: for V(who)
  type: str
  sample: /etc/sf/shakenfist.json
resolving:
  description: The nodes that find out what to roll to, one of each kind where that is a new release.
  returned: for V(who)
  type: list
  elements: str
  sample: [sf-1]
resolver:
  description: The role that does so.
  returned: for V(who)
  type: str
  sample: stage
target_of:
  description: By node, the one whose result it takes over. A node whose virtualenv is broken is missing.
  returned: for V(who)
  type: dict
  sample: {"sf-2": "sf-1"}
unseen:
  description: By name, what the API tells of the nodes that C(--limit) leaves out.
  returned: for V(unseen)
  type: dict
  sample: {}
report:
  description: The findings, or the status, as lines.
  returned: for V(plan) and V(status)
  type: list
  elements: str
  sample: [pass  reached]
order:
  description: The order of the roll as lines.
  returned: for V(plan)
  type: list
  elements: str
  sample: ["1. sf-1: 0.8.0 -> 0.8.1, database tier"]
ill:
  description: The nodes that are ill.
  returned: for V(status)
  type: list
  elements: str
  sample: []
hard_cut:
  description: The one node whose roll is an outage, because no other serves. Empty if another one always does.
  returned: for V(plan)
  type: str
  sample: ""
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    question=dict(type="str", choices=["who", "unseen", "plan", "status"], required=True),
    nodes=dict(type="list", elements="str", default=[]),
    api=dict(type="dict", default={}),
    lock=dict(type="dict", default={}),
    unseen_seen=dict(type="dict", default={}),
    options=dict(type="dict", default={}),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="judge works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
