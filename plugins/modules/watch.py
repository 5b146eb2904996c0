#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: watch
short_description: Judge what the watcher of the service has seen
version_added: 0.2.0
description:
  - The watcher is that of M(shakenfist.rolling.probe). This tells whether the roll may go on, puts what was seen into
    words, and keeps it in the record of the run, see M(shakenfist.rolling.run).
  - Works on the controller, and connects to no node. A task that records something is for localhost, with
    C(delegate_facts).
options:
  state:
    description:
      - V(due) tells whether the service is watched, and what to ask the watcher with. V(started) records that it is.
      - V(looked) records what was seen, and fails if more than O(budget) requests have failed, or if nobody watches any
        more. V(ended) records the last of it.
    type: str
    choices: [due, started, looked, ended]
    required: true
  url:
    description: The URL that is asked.
    type: str
    default: ""
  batch:
    description: The nodes that are next.
    type: list
    elements: str
    default: []
  result:
    description: What M(shakenfist.rolling.probe) has returned.
    type: dict
    default: {}
  budget:
    description: How many requests may fail.
    type: int
    default: 0
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
- name: Stop if more requests have failed than may
  shakenfist.rolling.watch:
    state: looked
    url: http://sf.example.org/api/
    result: "{{ watched }}"
    budget: 3
  delegate_to: localhost
  delegate_facts: true
"""

RETURN = r"""
started:
  description: Whether this run watches the service.
  returned: with O(state=due)
  type: bool
id:
  description: The name of the watcher of O(url).
  returned: with O(state=due)
  type: str
  sample: rolling-0a4d55a8d778
mark:
  description: How the watcher is to mark what comes from here on.
  returned: with O(state=due)
  type: str
  sample: roll
stopped:
  description: That the run is to stop, for this fails.
  returned: with O(state=looked), where it fails
  type: bool
message:
  description: What was seen in all, in one sentence.
  returned: with O(state=ended)
  type: str
ansible_facts:
  description: The new record of the run.
  returned: unless O(state=due)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    state=dict(type="str", choices=["due", "started", "looked", "ended"], required=True),
    url=dict(type="str", default=""),
    batch=dict(type="list", elements="str", default=[]),
    result=dict(type="dict", default={}),
    budget=dict(type="int", default=0),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="watch works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
