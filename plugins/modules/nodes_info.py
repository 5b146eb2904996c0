#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: nodes_info
short_description: Ask the API of a Shaken Fist cluster for its nodes
version_added: 0.1.0
description:
  - Logs in to the cluster's API and returns what it knows of the nodes, which of them leads the cluster, and which are
    lost. Can wait until nodes report a release and are in a state.
  - The key of the credentials is only sent to the API. It is not in the result.
options:
  credentials:
    description: The JSON file with the API's credentials, C(namespace), C(key) and C(apiurl), such as
      C(/etc/sf/shakenfist.json).
    type: path
    required: true
  url:
    description: The base URL of an C(sf-api) to ask first, such as V(http://10.0.0.1:13000). The C(apiurl) of
      O(credentials) is asked if this one gives no nodes, or is empty.
    type: str
    default: ""
  release:
    description:
      - The release that every one of O(names) is expected to report. Any if it is empty.
      - Nodes report three numbers of it, whichever build of it they run. V(0.8.1.dev3+gabc1234) is reported as
        V(0.8.1).
    type: str
    default: ""
  states:
    description: The states of which every one of O(names) is expected to be in one, such as V(created). Any if it is
      empty.
    type: list
    elements: str
    default: []
  before:
    description:
      - The nodes as they were before a change, RV(nodes) of an earlier call. A node that is in none of O(states), but
        was in the same state before, with no further daemon down now, is not waited for. It is in RV(notes).
      - Not so for the states C(stopping) and C(stopped), which end when the sentinels are restarted, unless these were
        left alone.
    type: list
    elements: dict
    default: []
  sentinels:
    description: The sentinels of the nodes, in the order of their start, for a failure's advice.
    type: list
    elements: str
    default: [sf-sentinel-first, sf-sentinel-last]
  sentinels_alone:
    description: Whether the sentinels were left alone. They report the release of when they were started, so a node
      that reports another one than O(release) is not waited for. It is in RV(notes).
    type: bool
    default: false
  names:
    description: The nodes that are expected to report O(release) and to be in one of O(states). All that are not in
      state C(deleted) if it is empty.
    type: list
    elements: str
    default: []
  required:
    description: Whether the API must answer. If not, why it did not is in RV(notes), and no failure.
    type: bool
    default: true
  timeout:
    description:
      - For how many seconds to wait for the API to answer and, with O(release) and O(states), for the nodes to be as
        expected. The module fails when they run out. A credentials file that cannot be used is not waited for.
      - V(0) looks once, never fails for what it saw, and returns it.
    type: float
    default: 0
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Learn which node leads the cluster, and which are lost
  shakenfist.rolling.nodes_info:
    credentials: /etc/sf/shakenfist.json
    url: http://10.0.0.1:13000
  register: cluster

- name: Wait until a node that was restarted is created again
  shakenfist.rolling.nodes_info:
    credentials: /etc/sf/shakenfist.json
    states: [created]
    names: [sf-3]
    before: "{{ cluster.nodes }}"
    timeout: 60
"""

RETURN = r"""
nodes:
  description: The nodes as the API knows them, deleted ones too. What the API does not say is V(null).
  returned: always
  type: list
  elements: dict
  sample:
    - {"name": "sf-1", "ip": "10.0.0.1", "state": "created", "lastseen": 1763700000.25, "release": "0.8.0",
      "is_hypervisor": false, "is_network_node": true, "is_etcd_master": false, "is_database_node": true,
      "is_cluster_maintainer": true, "daemons": {"sf-api": "running", "sf-net": "stopped"}}
leader:
  description: The name of the node that is the cluster leader; empty if none is.
  returned: always
  type: str
  sample: sf-1
stale:
  description: The names of the nodes in state C(error) or C(missing).
  returned: always
  type: list
  elements: str
notes:
  description: What is not as expected, and no reason to fail, by O(before), by O(sentinels_alone), or because
    O(required) is false.
  returned: always
  type: list
  elements: str
  sample: ["sf-2 reports 0.8.1 (degraded, last seen 3 s ago; not running: sf-net), as it was before"]
known: {type: bool, returned: always, description: Whether the API gave its nodes at the last look.}
problem:
  description: Why the API did not give its nodes, or which node is not as expected, and what to do. Empty if all is
    well.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import nodes_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
