# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema, its migrations, and what a server must be. A build knows the steps up to its own schema number."""

from __future__ import annotations

import re
import time

from shakenfist._release import SCHEMA
from shakenfist.mariadb import query
from shakenfist.traits import broken

# column -> (since which schema, value)
ENUMS = {
    'object_states.object_type': [(1, 'node'), (1, 'instance'), (1, 'network'), (2, 'note'), (3, 'blob')],
}


def enum_type(values):
    return 'ENUM(' + ','.join(f"'{v}'" for v in values) + ')'


def enum_values(column):
    return [value for since, value in ENUMS[column] if since <= SCHEMA]


# table -> (since which schema, statement); the first creates version 1, each one after makes the next version. Every
# statement may be run again, because a migration may be cut off between the statement and the note that it was done.
# New columns are nullable: an older sf-database goes on working on a newer schema.
STEPS = {
    # Nothing here writes to it. Upstream's has this migration, and its release notes say what to expect of it.
    'cluster_operation_targets': [
        (1, """CREATE TABLE IF NOT EXISTS cluster_operation_targets (
                 operation VARCHAR(64) NOT NULL,
                 target VARCHAR(255) NOT NULL,
                 PRIMARY KEY (operation, target))"""),
        (2, """ALTER TABLE cluster_operation_targets ADD COLUMN IF NOT EXISTS priority INT NULL DEFAULT NULL"""),
    ],
    'daemon_states': [
        (1, """CREATE TABLE IF NOT EXISTS daemon_states (
                 node VARCHAR(255) NOT NULL,
                 daemon VARCHAR(64) NOT NULL,
                 state VARCHAR(32) NOT NULL,
                 PRIMARY KEY (node, daemon))"""),
    ],
    'leases': [
        (1, """CREATE TABLE IF NOT EXISTS leases (
                 name VARCHAR(64) PRIMARY KEY,
                 holder VARCHAR(255) NOT NULL,
                 expires DATETIME(6) NOT NULL)"""),
    ],
    'nodes': [
        (1, """CREATE TABLE IF NOT EXISTS nodes (
                 name VARCHAR(255) PRIMARY KEY,
                 ip VARCHAR(64) NOT NULL,
                 lastseen DOUBLE NOT NULL,
                 `release` VARCHAR(64) NOT NULL,
                 is_hypervisor BOOL NOT NULL,
                 is_network_node BOOL NOT NULL,
                 is_database_node BOOL NOT NULL)"""),
        (3, """ALTER TABLE nodes ADD COLUMN IF NOT EXISTS rack VARCHAR(64) NULL DEFAULT NULL"""),
    ],
    'notes': [
        (1, """CREATE TABLE IF NOT EXISTS notes (
                 id VARCHAR(64) PRIMARY KEY,
                 text TEXT NOT NULL)"""),
        (2, """ALTER TABLE notes ADD COLUMN IF NOT EXISTS colour VARCHAR(16) NULL DEFAULT NULL"""),
    ],
    'object_states': [
        (1, f"""CREATE TABLE IF NOT EXISTS object_states (
                  object_type {enum_type(enum_values('object_states.object_type'))} NOT NULL,
                  object_name VARCHAR(255) NOT NULL,
                  state VARCHAR(32) NOT NULL,
                  PRIMARY KEY (object_type, object_name))"""),
    ],
}

EXPECTED = {table: sum(since <= SCHEMA for since, sql in steps) for table, steps in STEPS.items()}


class SchemaError(Exception):
    pass


def check_server(connection):
    """Lists every failing check at once."""
    version, engine, charset, collation = query(
        connection, 'SELECT VERSION(), @@default_storage_engine, @@character_set_database, @@collation_database')[0]
    wrong = []
    number = re.match(r'(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)', version)
    if 'mariadb' not in version.lower():
        wrong.append(f"the server is '{version}', which is not MariaDB")
    elif not number or tuple(map(int, number.groups())) < (10, 11, 0):
        wrong.append(f"the server's version is '{version}', at least 10.11.0 is needed")
    if engine.lower() != 'innodb':
        wrong.append(f"default_storage_engine is '{engine}', it must be 'InnoDB'")
    if charset != 'utf8mb4':
        wrong.append(f"character_set_database is '{charset}', it must be 'utf8mb4'")
    if not collation.startswith('utf8mb4_'):
        wrong.append(f"collation_database is '{collation}', it must begin with 'utf8mb4_'")
    if wrong:
        raise SchemaError('This MariaDB server cannot be used by Shaken Fist:' + ''.join(f'\n  - {w}' for w in wrong))


def versions(connection):
    if not query(connection, "SHOW TABLES LIKE 'schema\\_versions'"):
        return {}
    return dict(query(connection, 'SELECT table_name, version FROM schema_versions'))


def verify(connection):
    """What sf-database asks at start: equality, not 'at least'."""
    found = versions(connection)
    wrong = [f"\n  - table '{table}': this build needs version {want}, the database has version {found.get(table, 0)}"
             for table, want in EXPECTED.items() if found.get(table, 0) != want]
    if wrong:
        raise SchemaError('Schema versions do not match, refusing to start:' + ''.join(wrong)
                          + "\nRun 'sf-ctl ensure-mariadb-schema' of the build that is to run here.")


def ensure(connection, say):
    check_server(connection)
    # Two at once: the second waits, then finds nothing left to do.
    if query(connection, "SELECT GET_LOCK('shakenfist_schema', 120)") != ((1,),):
        raise SchemaError('Another ensure-mariadb-schema is still running.')
    query(connection, 'CREATE TABLE IF NOT EXISTS schema_versions (table_name VARCHAR(64) PRIMARY KEY,'
                      ' version INT NOT NULL)')
    before = versions(connection)
    for table, steps in STEPS.items():
        have, want = before.get(table, 0), EXPECTED[table]
        if have >= want:
            say(f"Table '{table}' is up to date (version {have})")
            continue
        for since, sql in steps[have:want]:
            query(connection, sql)
        if broken('migration_slow') and table == 'notes':
            time.sleep(20)
        query(connection, 'REPLACE INTO schema_versions VALUES (%s, %s)', (table, want))
        if have:
            say(f"Migrated table '{table}' from version {have} to {want}")
        else:
            say(f"Created table '{table}' at version {want}")
    if broken('migration_fails_halfway'):
        raise SchemaError('Widening ENUM columns failed: this release is broken on purpose.')

    widened = []
    for column in ENUMS:
        table, name = column.split('.')
        (current,), = query(connection, 'SELECT column_type FROM information_schema.columns WHERE'
                                        ' table_schema = DATABASE() AND table_name = %s AND column_name = %s',
                            (table, name))
        have = re.findall(r"'([^']*)'", current)
        missing = [v for v in enum_values(column) if v not in have]
        if missing:
            query(connection, f'ALTER TABLE {table} MODIFY COLUMN {name} {enum_type(have + missing)} NOT NULL')
            widened.append(column)
    if widened:
        say('Widened ENUM column(s): ' + ', '.join(widened))
    else:
        say('Native ENUM columns are up to date')
    say('MariaDB schema verified.')
