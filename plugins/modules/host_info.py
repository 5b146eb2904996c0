#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_info
short_description: Look at what a host offers an upgrade
version_added: 0.1.0
description: Returns what an upgrade wants to know of a host before it begins, such as its clock, the space on its disk,
  who may write to the directories of the releases, and which programs it has.
options:
  path: {type: path, required: true, description: "The virtualenv, or the link to the active release."}
  releases: {type: path, required: true, description: The directory with the releases. It need not be there yet.}
  reference:
    description: What the controller's clock said when it asked, in seconds since the epoch. The time that the way to
      the host takes is in RV(clock_offset), too.
    type: float
  commands: {type: list, elements: str, default: [], description: Names of programs to look for.}
  directories: {type: list, elements: path, default: [], description: Directories to look for.}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look at the host
  shakenfist.rolling.host_info:
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    reference: "{{ now().timestamp() }}"
    commands: [mariadb-dump, git]
"""

RETURN = r"""
clock_offset:
  description: How many seconds the host's clock is ahead of O(reference). V(null) without O(reference).
  returned: success
  type: float
needed:
  description: How many bytes a clone of the active release takes, V(0) if there is none. A file with several names
    counts once.
  returned: success
  type: int
free:
  description: How many bytes are free on the file system of O(releases), or of its nearest parent that is there.
  returned: success
  type: int
unsafe:
  description: Who else than root can change what root runs, one sentence for each fault. Looked at are O(releases), all
    directories above it, and the active release, as far as they are there.
  returned: success
  type: list
  elements: str
  sample: ["/srv/shakenfist/releases is writable by others (mode 0777): chmod go-w /srv/shakenfist/releases"]
same_file_system:
  description: Whether the directory that holds O(path) and O(releases), or its nearest parent, are on one file system.
  returned: success
  type: bool
programs:
  description: Where each of O(commands) is, an empty string if it is nowhere.
  returned: success
  type: dict
  sample: {"mariadb-dump": "/usr/bin/mariadb-dump", "git": ""}
directories: {type: list, elements: str, returned: success, description: Those of O(directories) that are there.}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import host_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
