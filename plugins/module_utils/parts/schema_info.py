# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import json
import os
import re
import traceback

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import (
    DATABASE_OPTIONS,
    Database,
    read_environment_file,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import python_of

ARGUMENTS = dict(
    **DATABASE_OPTIONS,
    releases=dict(type="list", elements="path", default=[]),
    expected=dict(type="str", default=""),
)

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


def run(module):
    if driver is None:
        raise RollingError(missing_required_lib("PyMySQL"), exception=DRIVER_ERROR)
    return look(module.run_command, **module.params)
