#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: schema
short_description: Bring the database schema to what a release wants
version_added: 0.1.0
description:
  - Runs C(sf-ctl ensure-mariadb-schema) of a release directory and says what it did to each table.
  - A build knows only its own migrations, so this is run from the release that is rolled out, before any node runs it.
  - The command can take as long as a migration takes. It is never cut short, that would leave the schema half-way.
options:
  release:
    description: The release directory whose command to run.
    type: path
    required: true
  command:
    description: The name of a script in the C(bin) of O(release), and its arguments.
    type: list
    elements: str
    required: true
  config:
    description:
      - The C(EnvironmentFile) with the database's address and credentials.
      - The command gets its variables in the environment, as the services do.
    type: path
    required: true
  verified:
    description: The last line with which the command says that all is well. Any other end is a failure.
    type: str
    default: MariaDB schema verified.
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: partial
    details:
      - The command has no dry run. In check mode it is not run, and nothing is reported as changed.
  diff_mode:
    support: full
  idempotent:
    support: full
author: The shakenfist.rolling authors (@shakenfist)
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
output:
  description: What the command printed.
  returned: not in check mode
  type: str
  sample: MariaDB schema verified.
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import read_environment_file
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import python_of

TABLE_LINES = (
    re.compile(r"^Table '(?P<table>[^']+)' is up to date \(version (?P<before>\d+)\)"),
    re.compile(r"^Created table '(?P<table>[^']+)' at version (?P<after>\d+)"),
    re.compile(r"^Migrated table '(?P<table>[^']+)' from version (?P<before>\d+) to (?P<after>\d+)"),
)
WIDENED = re.compile(r"^Widened ENUM column\(s\): (?P<columns>.+)")


def parse(output):
    """What the command did: the tables with their versions, and the ENUM columns that it widened."""
    tables, widened = [], []
    for line in output.splitlines():
        for pattern in TABLE_LINES:
            match = pattern.match(line.strip())
            if match:
                versions = match.groupdict()
                before = int(versions["before"]) if versions.get("before") else None
                after = int(versions["after"]) if versions.get("after") else before
                tables.append(dict(table=versions["table"], before=before, after=after))
        match = WIDENED.match(line.strip())
        if match:
            widened += [column.strip() for column in match.group("columns").rstrip(".").split(",")]
    return tables, widened


def difference(tables, widened):
    """The change for diff mode."""
    def lines(key):
        return "".join(f"{entry['table']}: version {entry[key]}\n" for entry in tables if entry[key] is not None)
    return dict(before=lines("before"), after=lines("after") + "".join(f"{column}: widened\n" for column in widened))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            release=dict(type="path", required=True),
            command=dict(type="list", elements="str", required=True),
            config=dict(type="path", required=True),
            verified=dict(type="str", default="MariaDB schema verified."),
        ),
        supports_check_mode=True,
    )
    release, command = module.params["release"], module.params["command"]
    words = " ".join(command)
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg=f"{words} has no dry run; it is not run in check mode")
    script = os.path.join(release, "bin", command[0])
    try:
        if not os.path.isfile(script):
            raise RollingError(f"there is no {script}: is the release staged on this node?")
        environment = read_environment_file(module.params["config"])
    except RollingError as exc:
        module.fail_json(msg=exc.message)

    # By the release's own python: the script's first line names the path that it will run from once it is active.
    rc, out, err = module.run_command([python_of(release), script] + command[1:], environ_update=environment, cwd="/")
    output = (out + err).strip()
    if rc != 0:
        module.fail_json(msg=f"{words} of {release} failed (rc {rc}):\n{output}", rc=rc, output=output)
    if module.params["verified"] not in [line.strip() for line in output.splitlines()]:
        module.fail_json(msg=f"{words} of {release} ended without saying {module.params['verified']!r}:\n{output}",
                         rc=rc, output=output)
    tables, widened = parse(output)
    changed = bool(widened) or any(entry["before"] != entry["after"] for entry in tables)
    module.exit_json(changed=changed, tables=tables, widened=widened, output=output, diff=difference(tables, widened))


if __name__ == "__main__":
    main()
