#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: ctl_info
short_description: Ask a release whether it accepts the configuration of a node
version_added: 0.1.0
description:
  - Runs C(sf-ctl verify-config) of a release directory with the node's configuration. Fails with what it says if it
    does not end well within 60 seconds.
  - Every daemon starts only after that command, and stops with the same program, of whichever release is active. Run
    from a staged release, it finds one that could neither start nor stop a daemon before anything in service changes.
options:
  command: {default: [sf-ctl, verify-config], description: It must not change anything.}
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.script]
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import ctl_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
