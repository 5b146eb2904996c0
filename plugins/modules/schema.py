#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: schema
short_description: Bring the database schema to what a release wants
version_added: 0.1.0
description:
  - Runs C(sf-ctl ensure-mariadb-schema) of a release directory and returns what it did to each table.
  - A build knows only its own migrations. Run this from the release that is rolled out, before any node runs it.
  - The command is never cut short, however long a migration takes. That would leave the schema half-way.
options:
  command:
    required: true
  verified:
    description: The line with which the command says that all is well. An end without it is a failure.
    type: str
    default: MariaDB schema verified.
extends_documentation_fragment: [shakenfist.rolling.attributes, shakenfist.rolling.options.script]
attributes:
  check_mode:
    support: partial
    details: The command has no dry run. In check mode it is not run, and nothing is reported as changed.
"""

EXAMPLES = r"""
- name: Migrate the schema from the staged release
  shakenfist.rolling.schema:
    release: /srv/shakenfist/releases/0.8.1-0a1b2c3d
    command: [sf-ctl, ensure-mariadb-schema]
    config: /etc/sf/config
  run_once: true
"""

RETURN = r"""
tables:
  description: Each table that the command named, with its versions. The version before is V(null) for a new table.
  returned: success, not in check mode
  type: list
  elements: dict
  sample: [{"table": "notes", "before": 1, "after": 2}, {"table": "nodes", "before": 1, "after": 1}]
widened:
  description: The ENUM columns that were widened.
  returned: success, not in check mode
  type: list
  elements: str
  sample: [objects.state]
output: {type: str, returned: not in check mode, description: What the command printed.}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import schema as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
