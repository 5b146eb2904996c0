#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_info
short_description: Read named settings of a node from its configuration file
version_added: 0.1.0
description:
  - Reads a systemd C(EnvironmentFile), such as C(/etc/sf/config), and returns the settings that are asked for.
  - A setting is found with or without the product's prefix, so that both spellings that are in the field work.
  - The file holds passwords. Only what O(keys) names leaves the node; ask for whether a secret is set with O(presence).
options:
  path:
    description: The configuration file.
    type: path
    required: true
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
    description:
      - A setting with hosts, separated by commas, of which to return the addresses, as this node resolves them. A host
        that cannot be resolved is returned as it is.
    type: str
    default: ""
  own:
    description:
      - The setting with the address of the node itself, for a host that resolves to the loopback interface, as a node's
        own name often does.
    type: str
    default: ""
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Learn the node's address and whether it belongs to the database tier
  shakenfist.rolling.config_info:
    path: /etc/sf/config
    prefix: SHAKENFIST_
    keys: [NODE_NAME, NODE_MESH_IP]
    presence: [MARIADB_HOST]
  register: config
"""

RETURN = r"""
settings:
  description: The values of O(keys). A setting that the file does not have is missing here.
  returned: success
  type: dict
  sample: {"NODE_NAME": "sf-1", "NODE_MESH_IP": "10.0.0.1"}
addresses:
  description: The addresses of the hosts that O(hosts) names, in the order of the file.
  returned: success
  type: list
  elements: str
  sample: ["10.0.0.1", "10.0.0.2"]
present:
  description: For each of O(presence), whether it is set and not empty.
  returned: success
  type: dict
  sample: {"MARIADB_HOST": true}
spelt:
  description:
    - By which names each of O(presence) is in the file, with the prefix or without, also where it is empty.
    - A setting that the file does not have is missing here.
  returned: success
  type: dict
  sample: {"MARIADB_HOST": ["SHAKENFIST_MARIADB_HOST"]}
"""

import ipaddress
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import read_environment_file


def resolved(host, own):
    """The address of a host, as everybody names it."""
    try:
        ipaddress.ip_address(host)
        return host
    except ValueError:
        pass
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return host
    if own and (own in found or any(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)):
        return own
    # A name may have several; the same one each time.
    return min((each for each in found if ":" not in each), default=min(found))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            prefix=dict(type="str", default=""),
            keys=dict(type="list", elements="str", default=[], no_log=False),
            presence=dict(type="list", elements="str", default=[]),
            hosts=dict(type="str", default=""),
            own=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    try:
        variables = read_environment_file(module.params["path"])
    except RollingError as exc:
        module.fail_json(msg=exc.message)

    prefix = module.params["prefix"]

    def value(key):
        return variables.get(prefix + key, variables.get(key))

    def names(key):
        return [name for name in dict.fromkeys((prefix + key, key)) if name in variables]

    hosts = [host.strip() for host in (value(module.params["hosts"]) or "").split(",")]
    own = value(module.params["own"]) or ""
    module.exit_json(
        changed=False,
        addresses=[resolved(host, own) for host in hosts if host],
        settings={key: value(key) for key in module.params["keys"] if value(key) is not None},
        present={key: bool(value(key)) for key in module.params["presence"]},
        spelt={key: names(key) for key in module.params["presence"] if names(key)},
    )


if __name__ == "__main__":
    main()
