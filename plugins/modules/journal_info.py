#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: journal_info
short_description: Find what services have said in the journal
version_added: 0.2.0
description:
  - Reads what units have written to systemd's journal since a moment, and returns what matches a pattern, each once.
options:
  units: {type: list, elements: str, required: true, description: The units.}
  since:
    description: From when on, in seconds since the epoch. The second counts whole.
    type: float
    required: true
  pattern:
    description: A regular expression of Python. The part of a line that it matches is returned.
    type: str
    required: true
  limit: {type: int, default: 50, description: How many different ones are returned at most.}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Find the options that a later release of Cinder will not have
  shakenfist.rolling.journal_info:
    units: [cinder-volume, cinder-scheduler]
    since: 1763700000
    pattern: 'Option "[^"]+" from group "[^"]+" is deprecated.*'
"""

RETURN = r"""
found:
  description: What was matched, each with the units that have said it. First comes what the first of O(units) has said,
    in the order in which it was first said.
  returned: success
  type: list
  elements: str
  sample: ['cinder-volume: Option "verbose" from group "DEFAULT" is deprecated for removal.']
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude


def find(run, units, since, pattern, limit):
    try:
        wanted = re.compile(pattern)
    except re.error as exc:
        raise RollingError(f"pattern is no regular expression: {exc}") from exc
    said = {}
    for unit in units:
        rc, out, err = run(["journalctl", "--quiet", "--output=cat", f"--since=@{int(since)}", f"--unit={unit}"])
        if rc != 0:
            raise RollingError(f"cannot read the journal of {unit} (rc {rc}): {(err or out).strip()}")
        for match in filter(None, map(wanted.search, out.splitlines())):
            by = said.setdefault(match.group(0).strip(), [])
            if unit not in by:
                by.append(unit)
    return dict(found=[f"{', '.join(by)}: {words}" for words, by in said.items()][:limit])


def main():
    module = AnsibleModule(
        argument_spec=dict(
            units=dict(type="list", elements="str", required=True),
            since=dict(type="float", required=True),
            pattern=dict(type="str", required=True),
            limit=dict(type="int", default=50),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: find(module.run_command, **module.params))


if __name__ == "__main__":
    main()
