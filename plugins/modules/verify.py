#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Judge a node that was rolled
version_added: 0.2.0
description:
  - Fails, with what comes next, if the node does not run the release, or has daemons from before.
  - With O(readiness), O(units) and O(exceptions), what a second look has seen, fails if the node was fine at its gate
    and is not any more.
  - Works on the controller, and connects to no node.
options:
  node:
    description: What the node is, the fact C(cluster_node).
    type: dict
    required: true
  version:
    description: The release that it must run.
    type: str
    required: true
  readiness:
    description: What M(shakenfist.rolling.ready_info) has returned.
    type: dict
    default: {}
  units:
    description: What M(shakenfist.rolling.units_info) has returned.
    type: dict
    default: {}
  exceptions:
    description: What M(shakenfist.rolling.exceptions_info) has returned.
    type: dict
    default: {}
  bake:
    description: For how many seconds the node was watched.
    type: float
    default: 0
  since:
    description: Since when there must be no exception, in seconds since the epoch.
    type: float
    default: 0
  path:
    description: Where the exceptions are.
    type: str
    default: ""
  advice:
    description: What a failure of the second look says beside its cause.
    type: str
    default: ""
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Stop if the node does not run the release
  shakenfist.rolling.verify:
    node: "{{ cluster_node }}"
    version: 0.8.1
"""

RETURN = r"""
msg:
  description: Which release the node runs, or what is wrong, and what comes next.
  returned: without O(readiness), or if it fails
  type: str
  sample: sf-1 runs 0.8.1
"""

from ansible.module_utils.basic import AnsibleModule

SEEN = dict(type="dict", default={})
ARGUMENTS = dict(
    node=dict(type="dict", required=True),
    version=dict(type="str", required=True),
    readiness=SEEN, units=SEEN, exceptions=SEEN,
    bake=dict(type="float", default=0),
    since=dict(type="float", default=0),
    path=dict(type="str", default=""),
    advice=dict(type="str", default=""),
)


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="verify works on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
