#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: config_info
short_description: Read named settings of a node from its configuration file
version_added: 0.1.0
description:
  - Reads a systemd C(EnvironmentFile), such as C(/etc/sf/config). A setting is found with or without the product's
    prefix, since both spellings are in the field.
  - The file holds passwords. Only what O(keys) names leaves the node. Use O(presence) to learn whether a secret is set.
options:
  path: {type: path, required: true, description: The configuration file.}
  prefix:
    description: The prefix that settings may carry in the file. With both spellings present the prefixed one counts.
    type: str
    default: ""
  keys:
    description: The settings whose values to return, without the prefix.
    type: list
    elements: str
    default: []
  presence:
    description: The settings of which only to return whether they are set to something, without the prefix.
    type: list
    elements: str
    default: []
  hosts:
    description: A setting with hosts, separated by commas, of which to return the addresses, as this node resolves
      them. A host that cannot be resolved is returned as it is.
    type: str
    default: ""
  own:
    description: The setting with the address of the node itself, for a host that resolves to the loopback interface, as
      a node's own name often does.
    type: str
    default: ""
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Learn the node's address and whether it belongs to the database tier
  shakenfist.rolling.config_info:
    path: /etc/sf/config
    prefix: SHAKENFIST_
    keys: [NODE_NAME, NODE_MESH_IP]
    presence: [MARIADB_HOST]
"""

RETURN = r"""
settings:
  description: The values of those of O(keys) that the file has.
  returned: success
  type: dict
  sample: {"NODE_NAME": "sf-1", "NODE_MESH_IP": "10.0.0.1"}
addresses:
  description: The addresses of the hosts that O(hosts) names, in the order of the file.
  returned: success
  type: list
  elements: str
present:
  description: For each of O(presence), whether it is set and not empty.
  returned: success
  type: dict
  sample: {"MARIADB_HOST": true}
spelt:
  description: By which names those of O(presence) that the file has are in it, also where they are empty.
  returned: success
  type: dict
  sample: {"MARIADB_HOST": ["SHAKENFIST_MARIADB_HOST"]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import config_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
