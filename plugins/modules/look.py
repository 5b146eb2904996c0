#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: look
short_description: Look at a node
version_added: 0.2.0
description:
  - Reads what a node is, and how it is, in one step. Asks the modules M(shakenfist.rolling.config_info),
    M(shakenfist.rolling.release_info) and M(shakenfist.rolling.units_info), and those that O(parts) names.
options:
  product:
    description: What the product looks like on a node. The variables of role C(cluster), without their prefix.
    type: dict
    required: true
  parts:
    description:
      - V(ready) asks every worker of the API whether it is ready, V(gateways) all gateways that the node uses for their
        health, V(gateway) only the node's own, V(host) what the host offers.
    type: list
    elements: str
    choices: [ready, gateways, gateway, host]
    default: []
  noted:
    description:
      - Whether what was seen is noted in the record of the run. What is wrong with a node is no failure then, but one
        of the things that were seen.
    type: bool
    default: false
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Read what the node is
  shakenfist.rolling.look:
    product: "{{ __cluster_product }}"
"""

RETURN = r"""
seen:
  description: What was seen of the node. See the return values of the modules.
  returned: always
  type: dict
  contains:
    node:
      description: What it is, empty where it could not be read.
      type: dict
      returned: always
    failure:
      description: Why it could not be looked at. Empty if it could.
      type: str
      returned: always
    unreachable:
      description: Whether that is because it cannot be reached.
      type: bool
      returned: always
    ready:
      description: Whether every worker of its API is ready.
      type: bool
      returned: always
    answers:
      description: What they answer.
      type: str
      returned: always
    gateways:
      description: The health of gateways, by address.
      type: dict
      returned: always
    host:
      description: What the host offers.
      type: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(
    product=dict(type="dict", required=True),
    parts=dict(type="list", elements="str", choices=["ready", "gateways", "gateway", "host"], default=[]),
    noted=dict(type="bool", default=False),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="look asks other modules: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
