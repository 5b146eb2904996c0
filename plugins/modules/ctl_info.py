#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ctl_info
short_description: Ask a release whether it accepts the configuration of a node
version_added: 0.1.0
description:
  - Runs C(sf-ctl verify-config) of a release directory with the node's configuration, and fails with what it says if
    it does not end well.
  - Every daemon starts only after that command, and stops with the same program, of whichever release is active. Run
    from a staged release, it finds one that could neither start nor stop a daemon while nothing in service has changed.
options:
  release:
    description: The release directory whose command to run.
    type: path
    required: true
  command:
    description: The name of a script in the C(bin) of O(release), and its arguments. It must not change anything.
    type: list
    elements: str
    default: [sf-ctl, verify-config]
  config:
    description: The C(EnvironmentFile) of the services. The command gets its variables in the environment, as they do.
    type: path
    required: true
  timeout:
    description: For how many seconds the command may run.
    type: int
    default: 60
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Ask the staged release whether it accepts the configuration
  shakenfist.rolling.ctl_info:
    release: /srv/shakenfist/releases/0.8.1-0a1b2c3d
    config: /etc/sf/config
"""

RETURN = r"""
output:
  description: What the command printed, without the values of settings that look like secrets.
  returned: when it was run
  type: str
  sample: Configuration is ok
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import (
    hide_secrets,
    read_environment_file,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import python_of

# What timeout(1) ends with when time ran out: by itself, or by the signal that cannot be ignored.
LATE = (124, 137)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            release=dict(type="path", required=True),
            command=dict(type="list", elements="str", default=["sf-ctl", "verify-config"]),
            config=dict(type="path", required=True),
            timeout=dict(type="int", default=60),
        ),
        supports_check_mode=True,
    )
    release, command = module.params["release"], module.params["command"]
    try:
        if not command:
            raise RollingError("command is empty: name a script of the release")
        script = os.path.join(release, "bin", command[0])
        if not os.path.isfile(script):
            raise RollingError(f"there is no {script}: is the release staged on this node?")
        environment = read_environment_file(module.params["config"])
    except RollingError as exc:
        module.fail_json(msg=exc.message)

    # By the release's own python: the script's first line names the path that it will run from once it is active.
    limit = ["timeout", "--kill-after=5", str(module.params["timeout"])]
    rc, out, err = module.run_command(limit + [python_of(release), script] + command[1:], environ_update=environment,
                                      cwd="/")
    output = hide_secrets((out + err).strip(), environment)
    if rc != 0:
        how = f"did not end within {module.params['timeout']} s" if rc in LATE else f"failed (rc {rc})"
        module.fail_json(rc=rc, output=output, msg=(
            f"{' '.join(command)} of {release} {how}, so no daemon of that release would start here. It said:\n"
            f"{last_lines(output) or 'nothing'}"))
    module.exit_json(changed=False, output=output)


if __name__ == "__main__":
    main()
