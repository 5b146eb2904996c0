#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: forecast
short_description: Work out how a roll would go
version_added: 0.2.0
description:
  - Tells from the plan in the record of the run, and from what was seen of the nodes, how long each of them would be
    out of rotation, what would be restarted, what would be migrated, and for how long the roll would take. The task
    runs once.
  - Works on the controller, and connects to no node.
options:
  staged:
    description: Whether the release was staged before this, so that its build could be asked.
    type: bool
    default: false
  settle:
    description: How many seconds the roll waits between two steps.
    type: float
    default: 10
  bake:
    description: For how many seconds it watches the daemons at its end.
    type: float
    default: 10
  strategy:
    description: How nodes get the release.
    type: str
    choices: [clone, in_place]
    default: clone
  cut_short:
    description: Whether the drain of a node is cut short where no other serves.
    type: bool
    default: false
  file:
    description:
      - The file on the controller to write the forecast to, as JSON, as seen from the directory that
        C(ansible-playbook) was started in. None is written if it is empty.
    type: path
    default: ""
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
    details:
      - Writes nothing in check mode.
  diff_mode:
    support: none
  idempotent:
    support: full
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Work out how the roll would go
  shakenfist.rolling.forecast:
    file: plan.json
  run_once: true
"""

RETURN = r"""
lines:
  description: The forecast as lines for people.
  returned: success
  type: list
  elements: str
  sample: ["3 nodes to 0.8.1 in 3 steps, in about 2 min 10 s"]
forecast:
  description: The same as data. docs/plan.md has the structure.
  returned: success
  type: dict
  sample: {"release": "0.8.1", "order": ["sf-1", "sf-2", "sf-3"]}
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    staged=dict(type="bool", default=False),
    settle=dict(type="float", default=10),
    bake=dict(type="float", default=10),
    strategy=dict(type="str", choices=["clone", "in_place"], default="clone"),
    cut_short=dict(type="bool", default=False),
    file=dict(type="path", default=""),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="forecast works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
