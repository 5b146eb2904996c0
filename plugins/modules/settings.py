#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
short_description: Check what the operator has set
version_added: 0.2.0
description:
  - Fails if a variable looks like one of this collection and is none, if a value is not of the type that its role
    documents, or if it cannot be met, such as a hook whose file is not there.
  - Looks at the variables of all nodes of the play, so the task runs once.
  - Works on the controller, and connects to no node.
options:
  nodes:
    description: The names of all nodes of the cluster.
    type: list
    elements: str
    required: true
  database:
    description: The names of the nodes of the database tier.
    type: list
    elements: str
    required: true
  extra:
    description: Names that look like misspelt ones, but are the operator's own.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Refuse settings that cannot be right
  shakenfist.rolling.settings:
    nodes: "{{ groups.allsf }}"
    database: "{{ groups.database }}"
  run_once: true
"""

RETURN = r"""
old:
  description:
    - Daemons that were started before this moment are behind, in seconds since the epoch. V(0) if there is none.
  returned: success
  type: float
  sample: 0
since:
  description: What was started from this moment on is new, in seconds since the epoch.
  returned: success
  type: int
  sample: 1795804995
words:
  description: The same moment, for C(rolling_since).
  returned: success
  type: str
  sample: "2026-11-28T12:03:15Z"
given:
  description: What the operator has set as C(rolling_since), where it counts.
  returned: success
  type: str
  sample: ""
has_balancers:
  description: Whether a balancer is set that can be asked.
  returned: success
  type: bool
  sample: false
tells_haproxy:
  description: Whether a drain tells HAProxy, so that HAProxy need not probe.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    nodes=dict(type="list", elements="str", required=True),
    database=dict(type="list", elements="str", required=True),
    extra=dict(type="list", elements="str", default=[]),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="settings works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
