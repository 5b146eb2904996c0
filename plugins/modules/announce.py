#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: announce
short_description: Put the start, the failure or the end of a roll into what others are told
version_added: 0.2.0
description:
  - Returns a message for a webhook and metrics for Prometheus, made from the record of the run, see
    M(shakenfist.rolling.run). C(docs/telling.md) has both.
  - Works on the controller, and connects to no node. The task runs once, for localhost, with C(delegate_facts), for a
    failure is told once in a run.
options:
  event:
    description: What has happened.
    type: str
    choices: [start, failure, end]
    default: end
  cluster:
    description: What the cluster is called.
    type: str
    default: ""
  playbook:
    description: What is done. That of the run if it is empty.
    type: str
    default: ""
  condition:
    description: The state that the cluster is in, in words. That of the run if it is empty.
    type: str
    default: ""
  message:
    description: Of a failure, all that is said of it. What the run has said if it is empty.
    type: str
    default: ""
  report:
    description: The path of the report. That of the run if it is empty.
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
- name: Put the end of the roll into words
  shakenfist.rolling.announce:
    event: end
    cluster: prod
  delegate_to: localhost
  delegate_facts: true
  run_once: true
  register: told
"""

RETURN = r"""
due:
  description: Whether it is to be told. A failure is told once.
  returned: always
  type: bool
body:
  description: The message. C(docs/telling.md) has its fields.
  returned: if it is due
  type: dict
  sample:
    text: "prod: upgrade from 0.8.0 to 0.8.1 is complete after 1 min 52 s, 3 of 3 nodes done, by bob@desk."
    event: end
metrics:
  description: The same in the text format of Prometheus.
  returned: if it is due
  type: str
ansible_facts:
  description: The new record of the run.
  returned: if it is due
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    event=dict(type="str", choices=["start", "failure", "end"], default="end"),
    cluster=TEXT, playbook=TEXT, condition=TEXT, message=TEXT, report=TEXT,
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="announce works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
