#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: schema_info
short_description: Look at the database schema of a cluster
version_added: 0.1.0
description:
  - Returns the versions of the tables and the values of the C(ENUM) columns that the database has, and what release
    directories have recorded of the schema that they want, and of the backup from before it.
  - Runs under a Python that has C(PyMySQL) or C(mysqlclient), as the virtualenv of Shaken Fist has. Set
    C(ansible_python_interpreter) on the task.
requirements:
  - PyMySQL, or mysqlclient
options:
  releases:
    description: The release directories whose C(.rolling-schema.json) and C(.rolling-backup.json) to read.
    type: list
    elements: path
    default: []
  expected:
    description: Where a build of Shaken Fist says which version of each table it wants, V(MODULE:NAME) of a dictionary.
      Each of O(releases) is asked by its own Python, without writing anything, not even byte code. No release is asked
      if it is empty.
    type: str
    default: ""
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.database]
"""

EXAMPLES = r"""
- name: Look at the schema of the database
  shakenfist.rolling.schema_info:
    config: /etc/sf/config
    prefix: SHAKENFIST_
    releases: [/srv/shakenfist/releases/0.8.1-0a1b2c3d]
    expected: shakenfist.mariadb:EXPECTED_SCHEMA_VERSIONS
  vars:
    ansible_python_interpreter: /srv/shakenfist/venv/bin/python
"""

RETURN = r"""
schema:
  description: RV(tables), and as C(enums) the values of each C(ENUM) column by V(TABLE.COLUMN), as it is recorded.
  returned: success
  type: dict
  sample: {"tables": {"nodes": 1}, "enums": {"object_states.object_type": ["node", "instance"]}}
tables:
  description: The version of each table that C(schema_versions) lists. Empty if there is no such table.
  returned: success
  type: dict
  sample: {"nodes": 1, "notes": 2}
recorded:
  description: By release, the schema that is recorded in it, like RV(schema). V(null) if none can be read.
  returned: success
  type: dict
expects:
  description: By release, the version of each table that its build says it wants. V(null) if it was not asked, or does
    not say. C(ENUM) columns have no version, so what a migration would do to these is not in it.
  returned: success
  type: dict
  sample: {"/srv/shakenfist/releases/0.8.1-0a1b2c3d": {"nodes": 1, "notes": 2}}
backups:
  description: By release, the backup from before the schema was migrated to what that release wants, with C(path) and
    C(restore), the command. V(null) if none can be read.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import schema_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
