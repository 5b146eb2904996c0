#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: exceptions_info
short_description: Look for new exceptions on a node
version_added: 0.1.0
description: Shaken Fist writes a file for each unhandled exception of a daemon. Returns the names of those that were
  changed after a moment, such as the restart of the daemons. The files are not read.
options:
  path: {type: path, required: true, description: The directory with the exceptions. One that is not there has none.}
  since: {type: float, required: true, description: "The moment, in seconds since the epoch."}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look for exceptions since the daemons were restarted
  shakenfist.rolling.exceptions_info:
    path: /srv/shakenfist/exceptions
    since: 1763700000.25
"""

RETURN = r"""
files:
  description: The names of the new files, the newest first, 20 at most.
  returned: success
  type: list
  elements: str
  sample: ["sf-net-1763700012.txt"]
count: {type: int, returned: success, description: How many new files there are.}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import exceptions_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
