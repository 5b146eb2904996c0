#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: lock_info
short_description: Look who holds the lock of a cluster
version_added: 0.1.0
description:
  - Returns the lock holder, by the file that M(shakenfist.rolling.lock) keeps. Takes nothing, and waits for nobody.
  - A module of the controller goes with it, which sees whether the holder ran on this same controller and is gone.
options:
  path: {type: path, required: true, description: "The file. If it is not there, nobody holds the lock."}
  takeover: {type: bool, default: false, description: "Whether its holder counts as gone, whatever is known of it."}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look whether an upgrade is running
  shakenfist.rolling.lock_info:
    path: /srv/shakenfist/rolling.lock
"""

RETURN = r"""
lock:
  description: The lock, as RV(shakenfist.rolling.lock#module:lock). V(null) if nobody holds it, empty if the file
    cannot be read.
  returned: always
  type: dict
ran_out:
  description: Whether its lease is over, by the clock of the node, so that the next run takes it over.
  returned: always
  type: bool
gone:
  description: Whether its holder ran on this controller and is gone, so that the next run from here takes it over.
  returned: always
  type: bool
held:
  description: Whether somebody holds it, so that no other run takes it over by itself.
  returned: always
  type: bool
broken:
  description: Of a lock whose holder is gone, the C(kind) of that run, the C(release) that it led to, and the C(nodes)
    that it had in hand. Else empty.
  returned: always
  type: dict
  sample: {"kind": "upgrade", "release": "0.8.1", "nodes": ["sf-2"]}
words:
  description: Who holds it, since when and what for, in words, and what that run is asked for.
  returned: always
  type: str
  sample: >-
    alice@admin, pid 4711, run 1a2b3c4d, since 2026-11-21 08:15:00 UTC (3 minutes ago), doing: rolling sf-2, last
    renewed 8 s ago
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import lock_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
