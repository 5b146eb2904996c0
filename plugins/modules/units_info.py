#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: units_info
short_description: Look at the service units of a node
version_added: 0.1.0
description:
  - Returns the state of installed service units, and when the main process of each was started. Templates are left out.
  - C(systemctl) is asked twice, however many units there are, and the journal once for each of O(stops).
options:
  patterns:
    description: Names or shell patterns of installed service units, with or without C(.service).
    type: list
    elements: str
    required: true
  exclude: {type: list, elements: str, default: [], description: Names of units to leave out.}
  arguments:
    description: Options on the command lines of the units, such as V(--graceful-timeout), whose values to return. A
      command line can hold secrets. Only the options that are named here leave the node.
    type: list
    elements: str
    default: []
  stops:
    description: Names of units whose last stops to look up in the journal.
    type: list
    elements: str
    default: []
  up_since:
    description: By unit, the run that it is to be in, as M(shakenfist.rolling.units) or an earlier look returns it. The
      module then fails if a unit is not active, or no longer in that run. Of a unit that is not named any run will do.
    type: dict
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look at all daemons of Shaken Fist
  shakenfist.rolling.units_info:
    patterns: [sf-*]
    exclude: [sf-sentinel-first, sf-sentinel-last]
  register: daemons

- name: Stop if a daemon has not stayed up
  shakenfist.rolling.units_info:
    patterns: [sf-*]
    up_since: "{{ daemons.units }}"
"""

RETURN = r"""
units:
  description:
    - The installed units that match, by name without C(.service). C(state) is the state in words.
    - C(managed) is whether somebody wants the unit to run, that is, it is enabled, active, or failed.
    - C(held) is what M(shakenfist.rolling.standstill) has found a unit that it holds, V(active) or V(inactive). It is
      empty of all others. C(came) is the release that it had before that, empty where that is not
      known, and C(migrates) has the nodes on which the database is migrated meanwhile.
    - C(load) is what systemd makes of its unit file. One that is not V(loaded), such as V(masked), it does not start.
    - C(program) is the path that its main process was started by, of a script that of its interpreter. It is the first
      word of the command line that the process shows, which it may have set itself, and empty without a process.
    - C(invocation) is the id of its current run, a new one after each start, C(pid) its main process, 0 if there is
      none, and C(started) when that was started, in seconds since the epoch, V(null) if it never was. C(entered) is
      when the unit became active; one with a SysV script has no main process.
    - C(restarts) is how often systemd has restarted it by itself since somebody started it.
    - C(start_seconds) and C(stop_seconds) are how long its last start and stop took, V(null) if there was none since
      the boot. C(stop_timeout) is C(TimeoutStopSec) in seconds, V(null) if systemd waits for ever, or does not say.
    - C(arguments) has the value of each of O(arguments) that is on the command line, C(--x 55) or C(--x=55). An option
      without a value has an empty one.
    - C(stops), for each of O(stops), has its last stops in the journal, the newest first, at most 10. Each has
      C(seconds), how long it took, and C(itself), whether the unit ended by itself and well.
  returned: success
  type: dict
  sample:
    sf-api: {"active": true, "load": "loaded", "managed": true, "held": "", "came": "", "migrates": [],
      "invocation": "7f1c2d0ab1c24d3f8be2f3a1c7f0a4de", "pid": 4711, "program": "/srv/shakenfist/venv/bin/python",
      "restarts": 0, "started": 1763700000.25, "entered": 1763700000.66, "state": "active (running)",
      "start_seconds": 0.41, "stop_seconds": 5.62, "stop_timeout": 70.0,
      "arguments": {"--graceful-timeout": "55"}}
failed_units:
  description: The units that have not stayed up.
  returned: with O(up_since), where there are any
  type: list
  sample: [sf-net]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import units_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
