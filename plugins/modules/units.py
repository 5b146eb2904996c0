#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: units
short_description: Restart service units in ordered tiers, and witness each restart
version_added: 0.1.0
description:
  - Restarts all units of a tier at once and waits until each of them is active in a new run, then does the next tier. A
    stopped unit is started.
  - A unit that fails to start, or that systemd has to start again, ends the wait at once, with its last words from the
    journal.
  - Units that must not run while others are restarted are stopped before the first tier, and start again in their own.
    Where a tier fails before that, they are started again all the same, and the failure says whether they run.
options:
  tiers:
    description: The units to restart, tier after tier, with or without C(.service).
    type: list
    elements: list
    required: true
  stop:
    description: The units to stop before the first tier. Each must be in one of O(tiers), and not in the first.
    type: list
    elements: str
    default: []
  timeout: {type: float, default: 120, description: For how many seconds to wait for each tier.}
  lead_away:
    description: A server among the units, whose clients are led to other servers meanwhile. What fails of that is a
      warning.
    type: dict
    suboptions:
      server: {type: str, required: true, description: "As in M(shakenfist.rolling.port_reject), V(HOST:PORT)."}
      servers:
        description: All servers that its clients may use.
        type: list
        elements: str
        required: true
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  idempotent:
    support: none
    details: A restart is a restart. Ask for one only where it is needed.
"""

EXAMPLES = r"""
- name: Restart all of a node, its sentinels around the others
  shakenfist.rolling.units:
    stop: [sf-sentinel-last]
    tiers:
      - [sf-sentinel-first]
      - [sf-api, sf-queues, sf-net]
      - [sf-sentinel-last]
"""

RETURN = r"""
units:
  description: By unit, the ids of its runs before and after, and after how many seconds it was active. Of a unit of
    O(stop) that was running, also after how many seconds it was stopped.
  returned: always; in check mode only the ids before
  type: dict
  sample: {"sf-api": {"before": "7f1c2d0a", "after": "99e0aa71", "active_after": 0.61}}
failed_units:
  description: The units that did not stop or start.
  returned: when some did not
  type: list
  sample: [sf-net]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import units as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
