#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: release_info
short_description: Look at a node's active and staged releases
version_added: 0.1.0
description:
  - Returns which release a virtualenv holds, since when it is active, and which releases are beside it.
  - The version comes from the virtualenv's own Python. A virtualenv that is a plain directory, not yet a link to a
    release directory, is reported the same way. A broken one is reported as RV(problem), it is no failure.
  - A release directory into which another installer has written is not what its name says any more, and is listed under
    RV(rewritten). One that was made before this collection wrote down what it holds tells that only by its version.
options:
  path: {type: path, required: true, description: "The virtualenv, or the link to the active release."}
  releases: {type: path, required: true, description: The directory that holds the release directories.}
  distribution: {type: str, required: true, description: The Python distribution whose version counts as the release.}
  commands:
    description: Names of scripts that the virtualenv must have in its C(bin).
    type: list
    elements: str
    default: []
  deployer_mark: {type: path, description: A file that another installer leaves on the nodes that it installs on.}
  links:
    version_added: 0.2.0
    description: Further links, such as those of services that each have one of their own.
    type: list
    elements: path
    default: []
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look at the releases of a node
  shakenfist.rolling.release_info:
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    distribution: shakenfist
    commands: [sf-ctl]
"""

RETURN = r"""
active:
  description:
    - The active release; empty if the virtualenv is broken. C(path) is the directory itself, C(name) the name of the
      release directory, V(null) for a plain virtualenv, C(version) the installed version of O(distribution).
    - C(since) is since when the virtualenv holds it, in seconds since the epoch. That is when the link was made or when
      pip installed the distribution, whichever was later; a clock that was set since has no influence where
      M(shakenfist.rolling.release) has activated it. C(ahead) is by how many seconds that would be in the future,
      because the clock was set back, and V(0) where all is well.
    - C(contents) is a digest of what O(distribution) has installed, the same for the same wheel, whoever installed it.
      Empty if its installer recorded nothing. C(rewritten) is whether the release directory is not what its name says.
    - C(outside) is where the link O(path) leads, if that is not O(releases), else empty.
    - C(python) and C(pip) are their versions, V(null) without pip, C(platform) what this Python was built for.
  returned: success
  type: dict
  sample: {"path": "/srv/shakenfist/releases/0.8.1-0a1b2c3d", "name": "0.8.1-0a1b2c3d", "version": "0.8.1",
    "since": 1763700000.25, "ahead": 0, "python": "3.11.2", "platform": "linux-x86_64", "pip": "23.0.1",
    "contents": "9b2f40c1", "rewritten": false, "outside": ""}
staged:
  description: The names of the complete release directories that are what their names say, as far as that is known, the
    active one among them.
  returned: success
  type: list
  elements: str
  sample: [0.8.0-99aabbcc, 0.8.1-0a1b2c3d]
builds:
  description: By the names in RV(staged) a digest of what O(distribution) has installed there, as in RV(active).
  returned: success
  type: dict
  sample: {"0.8.0-99aabbcc": "41c0e77a", "0.8.1-0a1b2c3d": "9b2f40c1"}
rewritten:
  description: The release directories that are not what their names say, and which version each holds.
  returned: success
  type: dict
  sample: {"0.8.0-99aabbcc": "0.8.1"}
links:
  description: Where each of O(links) leads, as C(path), whether there is anything or not. That is empty for one that is
    not there or is no link. C(version) is what is installed there, empty if that is no release directory that works.
  returned: success
  type: dict
  sample: {"/srv/cinder/current/cinder-volume": {"path": "/srv/cinder/releases/24.5.0-0a1b2c3d", "version": "24.5.0"}}
deployer: {type: str, returned: success, description: "O(deployer_mark), if that file is there; empty otherwise."}
previous:
  description: The release that was active before, with C(path), C(name), C(version) and C(contents). Empty if there is
    none that works.
  returned: success
  type: dict
  sample: {"path": "/srv/shakenfist/releases/0.8.0-99aabbcc", "name": "0.8.0-99aabbcc", "version": "0.8.0",
    "contents": "41c0e77a"}
problem:
  description: What is wrong with the virtualenv, in words; empty if nothing is.
  returned: success
  type: str
  sample: "sf-ctl is missing in /srv/shakenfist/venv/bin"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import release_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
