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

import json
import os
import re
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import (
    DATABASE_OPTIONS,
    Database,
    read_environment_file,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import python_of

DRIVER_ERROR = None
try:
    import pymysql as driver
except ImportError:
    try:
        import MySQLdb as driver
    except ImportError:
        driver = None
        DRIVER_ERROR = traceback.format_exc()

# What is recorded in a release directory: in which file, and which entries it has at least, of which type.
SCHEMA = ".rolling-schema.json", dict(tables=dict, enums=dict)
BACKUP = ".rolling-backup.json", dict(path=str, restore=str)
# What a build is asked. Its last line is the answer, whatever it says before.
QUESTION = """
import importlib, json, sys
module, name = sys.argv[1].split(":")
versions = getattr(importlib.import_module(module), name)
print()
print(json.dumps({str(table): int(version) for table, version in versions.items()}))
"""
# How long a connection may take, and one answer on it. A migration that is under way can lock a table for a while.
CONNECT_WITHIN = 5
ANSWER_WITHIN = 30
NO_SUCH_TABLE = 1146
ENUM_VALUE = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
ESCAPED = {"''": "'", "\\0": "\0", "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def number_of(exc):
    """The number of MariaDB's error, None if it has none."""
    return exc.args[0] if exc.args and isinstance(exc.args[0], int) else None


def words_of(exc):
    return str(exc.args[1]) if number_of(exc) is not None and len(exc.args) > 1 else str(exc)


def connect(database):
    try:
        return driver.connect(host=database.host, port=database.port, user=database.user, password=database.password,
                              database=database.name, charset="utf8mb4", connect_timeout=CONNECT_WITHIN,
                              read_timeout=ANSWER_WITHIN, write_timeout=ANSWER_WITHIN)
    # Besides its own errors PyMySQL raises these: a password that latin-1 lacks, a login method that it cannot do.
    except (driver.MySQLError, RuntimeError, ValueError, OSError) as exc:
        raise database.unreachable(number_of(exc), words_of(exc)) from None


def query(connection, statement):
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchall()
    finally:
        cursor.close()


def versions(connection):
    """The version of each table; nothing in a database that was never brought to a schema."""
    try:
        return {table: int(version) for table, version in
                query(connection, "SELECT table_name, version FROM schema_versions")}
    except driver.MySQLError as exc:
        if number_of(exc) != NO_SUCH_TABLE:
            raise
        return {}


def enum_values(column_type):
    """The values of C(enum('a','b')): quotes are doubled, some characters escaped."""
    return [re.sub(r"''|\\.", lambda match: ESCAPED.get(match.group(), match.group()[1:]), value, flags=re.DOTALL)
            for value in ENUM_VALUE.findall(column_type)]


def enums(connection):
    found = query(connection, "SELECT table_name, column_name, column_type FROM information_schema.columns "
                              "WHERE table_schema = DATABASE() AND data_type = 'enum' "
                              "ORDER BY table_name, ordinal_position")
    return {f"{table}.{column}": enum_values(column_type) for table, column, column_type in found}


def recorded(release, name, entries):
    """What a release directory has recorded in its file C(name), None if nothing that can be read."""
    try:
        with open(os.path.join(release, name), encoding="utf-8") as handle:
            record = json.load(handle)
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and all(isinstance(record.get(entry), kind) for entry, kind in entries.items())
    return record if whole else None


def expects(run, release, where, environment):
    """Which versions the build of a release says that it wants, None if it does not say."""
    if not os.access(python_of(release), os.X_OK):
        return None
    rc, out, dummy = run([python_of(release), "-B", "-I", "-c", QUESTION, where], environ_update=environment, cwd="/")
    return json.loads(out.splitlines()[-1]) if rc == 0 else None


def read_schema(database):
    connection = connect(database)
    try:
        return dict(tables=versions(connection), enums=enums(connection))
    except (driver.MySQLError, OSError) as exc:
        raise RollingError(f"MariaDB at {database.host}:{database.port} let {database.user} in, but did not answer "
                           f"about the schema of {database.name}: {database.hide(words_of(exc))}") from None
    finally:
        connection.close()


def look(run, config, prefix, releases, expected):
    if expected and not re.match(r"[\w.]+:\w+$", expected):
        raise RollingError(f"expected is {expected!r}, it must be MODULE:NAME, such as "
                           "shakenfist.mariadb:EXPECTED_SCHEMA_VERSIONS")
    schema = read_schema(Database(config, prefix))
    environment = read_environment_file(config)
    return dict(schema=schema, tables=schema["tables"],
                recorded={release: recorded(release, *SCHEMA) for release in releases},
                expects={release: expects(run, release, expected, environment) if expected else None
                         for release in releases},
                backups={release: recorded(release, *BACKUP) for release in releases})


def main():
    module = AnsibleModule(
        argument_spec=dict(
            **DATABASE_OPTIONS,
            releases=dict(type="list", elements="path", default=[]),
            expected=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    if driver is None:
        module.fail_json(msg=missing_required_lib("PyMySQL"), exception=DRIVER_ERROR)
    conclude(module, lambda: look(module.run_command, **module.params))


if __name__ == "__main__":
    main()
