# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Rows in MariaDB as objects: read in one snapshot, written in one transaction together with the log. Before the first
# write what was read is locked, and read again.

import contextlib
import json
import re
import threading
import time
import traceback

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import Database
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import (
    NOTHING,
    is_gone,
    locked_by,
    named,
    told,
)

DRIVER_ERROR = None
try:
    import pymysql as driver
except ImportError:
    driver = None
    DRIVER_ERROR = traceback.format_exc()

CONNECT_WITHIN = 5
NO_SUCH_TABLE = 1146
LOCKED = 1205
CHANGED = 1020
# So that UPDATE counts the rows that it has found, not those that it has changed.
FOUND_ROWS = 2
# How long the connection of the lock sleeps at a time: so long it may outlive its process.
DOZE = 0.25
LOG = ("CREATE TABLE IF NOT EXISTS {table} (`id` VARCHAR(200) NOT NULL PRIMARY KEY, `release` VARCHAR(255), "
       "`description` TEXT, `proposed_at` VARCHAR(64), `applied_at` VARCHAR(64), `digest` CHAR(64)) "
       "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
COLUMNS = ("SELECT c.table_name, c.column_name, c.column_key = 'PRI', c.extra LIKE '%GENERATED%', c.column_type "
           "FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) "
           "WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' "
           "ORDER BY c.table_name, c.ordinal_position")
WITHOUT_TRANSACTIONS = ("SELECT t.table_name, t.engine FROM information_schema.tables t LEFT JOIN "
                        "information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = DATABASE() "
                        "AND t.table_type = 'BASE TABLE' AND COALESCE(e.transactions, 'NO') <> 'YES'")


def number_of(exc):
    return exc.args[0] if exc.args and isinstance(exc.args[0], int) else None


def words_of(exc):
    return str(exc.args[1]) if number_of(exc) is not None and len(exc.args) > 1 else str(exc)


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


class Connection:
    """A connection to the database of the product."""

    def __init__(self, database, timeout):
        self.database = database
        try:
            self.raw = driver.connect(host=database.host, port=database.port, user=database.user,
                                      password=database.password, database=database.name, charset="utf8mb4",
                                      connect_timeout=CONNECT_WITHIN, read_timeout=2 * timeout + CONNECT_WITHIN,
                                      write_timeout=2 * timeout + CONNECT_WITHIN, client_flag=FOUND_ROWS,
                                      autocommit=True)
        # Besides its own errors PyMySQL raises these: a password that latin-1 lacks, a login method that it cannot do.
        except (driver.MySQLError, RuntimeError, ValueError, OSError) as exc:
            raise database.unreachable(number_of(exc), words_of(exc)) from None

    def query(self, statement, *values):
        """The rows of a statement, and how many it has found."""
        with contextlib.closing(self.raw.cursor()) as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall(), cursor.rowcount

    def rows(self, statement, *values):
        return self.query(statement, *values)[0]

    def close(self):
        with contextlib.suppress(driver.MySQLError, OSError):
            self.raw.close()


class Table:
    """The columns of a table."""

    def __init__(self, name):
        self.name, self.columns, self.primary, self.generated = name, [], [], []

    def statement(self):
        return (f"SELECT {', '.join(map(quoted, self.columns))} FROM {quoted(self.name)} "
                f"ORDER BY {', '.join(map(quoted, self.primary))}")

    def key(self, row):
        """The id of a row: the value of its primary key, a tuple if that has several columns."""
        found = tuple(row[column] for column in self.primary)
        return found[0] if len(found) == 1 else found


class Rows:
    """The tables as they were in one snapshot, each read when it is asked for."""

    def __init__(self, read, tables):
        self.read, self.known, self.loaded = read, tables, {}

    @property
    def count(self):
        return sum(map(len, self.loaded.values()))

    def table(self, name):
        if name not in self.known:
            return {}
        if name not in self.loaded:
            table = self.known[name]
            if not table.primary:
                raise ValueError(f"the table {name} has no primary key, so its rows have no ids")
            self.loaded[name] = self.read(table)
        return self.loaded[name]

    def tables(self):
        return list(self.known)

    def keys(self, name):
        return list(self.table(name))

    def load(self, name, key):
        found = self.table(name).get(key)
        return None if found is None else dict(found)

    def check(self, name, key, value):
        if name not in self.known:
            raise ValueError(f"there is no table {name}; a migration cannot make one")
        if not isinstance(value, dict):
            raise ValueError(f"the row {key} of {name} is a {type(value).__name__}, not a dict")
        table = self.known[name]
        unknown = sorted(set(value) - set(table.columns))
        if unknown:
            raise ValueError(f"{name} has no columns {', '.join(unknown)}")
        lacks = [column for column in table.primary if column not in value]
        if lacks or table.key(value) != key:
            raise ValueError(f"the row {key} of {name} has another id in its columns {', '.join(table.primary)}")

    @staticmethod
    def copy(value):
        return dict(value)


class MariadbStore:
    """The store of a product in MariaDB."""

    halfway = False

    def __init__(self, params):
        self.params = params
        if driver is None:
            raise RollingError(missing_required_lib("PyMySQL"), exception=DRIVER_ERROR)
        if not params["config"]:
            raise RollingError("store=mariadb needs config, the file with the address and credentials of MariaDB")
        if params["keep"]:
            raise RollingError("keep is for store=etcd: of MariaDB make a dump before")
        self.database = Database(params["config"], params["prefix"], params["connection"])
        self.log_table, self.opened, self.before = params["log_table"], contextlib.ExitStack(), []
        self.lock_name = f"store_migrations {self.database.name}"[:64]
        self.lock_id = None

    def connect(self):
        return Connection(self.database, self.params["timeout"])

    @contextlib.contextmanager
    def said(self, what, state=NOTHING):
        """What MariaDB does not do is the end of the run."""
        try:
            yield
        except (driver.MySQLError, OSError) as exc:
            number, words = number_of(exc), self.database.hide(words_of(exc))
            if number == CHANGED:
                raise self.changed([]) from None
            why = ": another transaction has these rows, SHOW PROCESSLIST shows it" if number == LOCKED else ""
            raise RollingError(f"MariaDB at {self.database.host}:{self.database.port} did not {what}: {words}{why}. "
                               f"{state}. Correct the cause, and start again") from None

    def open(self):
        self.connection = self.connect()
        self.opened.callback(self.connection.close)
        with self.said("open a session"):
            self.connection.rows("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), "
                                 "innodb_lock_wait_timeout = %s", max(1, int(self.params["timeout"])))

    def close(self):
        self.opened.close()

    # ---- the lock, which is that of a connection of its own

    def lock_of(self, connection):
        """The id of the connection that has the lock; None if none has."""
        return connection.rows("SELECT IS_USED_LOCK(%s)", self.lock_name)[0][0]

    def holder_of(self, connection):
        """Who has the lock, with the id of the connection; None if nobody has."""
        number = self.lock_of(connection)
        if number is None:
            return None
        found = dict(host=f"session {number}, of another user of MariaDB", pid=None, since=None)
        # Between two of its statements it says nothing.
        for dummy in range(10):
            seen = connection.rows("SELECT host, info FROM information_schema.processlist WHERE id = %s", number)
            if not seen:
                # It has ended, or is another user's, whose sessions only who has PROCESS may see.
                return dict(found, connection=number) if self.lock_of(connection) == number else None
            found["host"] = seen[0][0]
            told_by = re.search(r"/\*(\{.*?\})\*/", seen[0][1] or "")
            if told_by:
                found = json.loads(told_by.group(1))
                break
            time.sleep(DOZE / 5)
        return dict(found, connection=number)

    def holder(self):
        with self.said("say who has the lock"):
            found = self.holder_of(self.connection)
        return None if found is None or is_gone(found) else found

    @contextlib.contextmanager
    def locked(self, me):
        lock, ended = self.connect(), threading.Event()
        note = "/*" + json.dumps(me).replace("*/", "") + "*/"
        with self.said("give the lock"):
            self.take(lock, note)
        thread = threading.Thread(target=self.keep, args=(lock, note, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(2 * DOZE + CONNECT_WITHIN)
            lock.close()

    def take(self, lock, note):
        # A node that is gone without a word keeps it for so long.
        lock.rows("SET SESSION wait_timeout = %s", self.params["lock_lease"])
        self.lock_id = lock.rows("SELECT CONNECTION_ID()")[0][0]
        wait = 0
        while lock.rows(f"SELECT {note} GET_LOCK('{self.lock_name_quoted()}', {wait})")[0][0] != 1:
            found = self.holder_of(lock)
            if found and not is_gone(found):
                raise RollingError(f"{locked_by(found)}. {NOTHING} by this one. Wait until it has ended; the lock of "
                                   "one "
                                   f"that is gone is free {self.params['lock_lease']} s after it", holder=told(found))
            # Its process is gone, the server has not noticed yet.
            wait = 1

    def lock_name_quoted(self):
        return self.lock_name.replace("\\", "\\\\").replace("'", "''")

    @staticmethod
    def keep(lock, note, ended):
        """Tell who has the lock, for as long as it is needed; the list of processes shows the comment."""
        with contextlib.suppress(driver.MySQLError, OSError):
            while not ended.is_set():
                lock.rows(f"SELECT {note} SLEEP({DOZE})")

    # ---- an interrupted write is none: the server has rolled it back

    @staticmethod
    def interrupted():
        return None

    @staticmethod
    def kept():
        return []

    @staticmethod
    def forget():
        return False

    # ---- reading

    def log(self):
        with self.said("return the log of the migrations"):
            try:
                with contextlib.closing(self.connection.raw.cursor()) as cursor:
                    cursor.execute(f"SELECT * FROM {quoted(self.log_table)}")
                    names = [column[0] for column in cursor.description]
                    return [{name: None if value is None else str(value) for name, value in zip(names, row)}
                            for row in cursor.fetchall()]
            except driver.MySQLError as exc:
                if number_of(exc) != NO_SUCH_TABLE:
                    raise
                return []

    def tables(self):
        """The tables of the database by name, and what tells one schema from another."""
        rows = self.connection.rows(COLUMNS)
        found: dict[str, Table] = {}
        for name, column, primary, generated, dummy in rows:
            table = found.setdefault(name, Table(name))
            table.columns.append(column)
            if primary:
                table.primary.append(column)
            if generated:
                table.generated.append(column)
        found.pop(self.log_table, None)
        return found, rows

    def rows_of(self, table, how=""):
        with self.said(f"return the table {table.name}"):
            rows = self.connection.rows(table.statement() + how)
        found = (dict(zip(table.columns, row)) for row in rows)
        return {table.key(row): row for row in found}

    def read(self):
        with self.said("return its tables"):
            if self.lock_id:
                # DDL would end the transaction, so it is before it; a log without entries says nothing.
                self.connection.rows(LOG.format(table=quoted(self.log_table)))
            tables, self.before = self.tables()
            self.connection.rows("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.connection.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        return Rows(self.rows_of, tables)

    # ---- writing

    @staticmethod
    def changed(tables):
        where = f" into {named(tables)}" if tables else ""
        return RollingError(f"somebody has written{where} in MariaDB since the tables were read. {NOTHING}. Stop what "
                            "writes there, and start again")

    def write(self, source, changes, entries):
        try:
            with self.said("take the rows"):
                self.transaction(source, changes, entries)
        except BaseException:
            with contextlib.suppress(driver.MySQLError, OSError):
                self.connection.raw.rollback()
            raise
        with self.said("say whether it has committed", "All was written, or nothing: the next run sees which"):
            self.connection.rows("COMMIT")

    def transaction(self, source, changes, entries):
        self.connection.rows("SET SESSION wait_timeout = %s", self.params["lock_lease"])
        tables, now = self.tables()
        if now != self.before:
            names = sorted({row[0] for row in set(now) ^ set(self.before)})
            raise RollingError(f"the schema of {named(names)} has changed while the migrations ran. If one of them "
                               "did so "
                               "by a connection of its own, that cannot be rolled back, and belongs into a step of its "
                               "own. No row was written")
        without = dict(self.connection.rows(WITHOUT_TRANSACTIONS))
        odd = sorted(set(without) & {self.log_table, *(change.table for change in changes)})
        if odd:
            raise RollingError(f"these tables know no transactions, so what is written there cannot be rolled back: "
                               f"{', '.join(f'{name} ({without[name]})' for name in odd)}. {NOTHING}. Convert them to "
                               "InnoDB")
        # What was read must still be so, and stay so.
        odd = [name for name, rows in source.loaded.items() if self.rows_of(tables[name], " FOR UPDATE") != rows]
        if odd:
            raise self.changed(odd)
        for change in changes:
            self.put(tables[change.table], change)
        for entry in entries:
            self.note(entry)
        if self.lock_of(self.connection) != self.lock_id:
            raise RollingError(f"the lock was lost, because its connection to MariaDB was. {NOTHING}. Start again")

    def put(self, table, change):
        where = " AND ".join(f"{quoted(column)} = %s" for column in table.primary)
        key = [(change.after or change.before)[column] for column in table.primary]
        if change.after is None:
            dummy, count = self.connection.query(f"DELETE FROM {quoted(table.name)} WHERE {where}", *key)
        elif change.before is None:
            names = [name for name in change.after if name not in table.generated]
            dummy, count = self.connection.query(
                f"INSERT INTO {quoted(table.name)} ({', '.join(map(quoted, names))}) VALUES "
                f"({', '.join(['%s'] * len(names))})", *(change.after[name] for name in names))
        else:
            names = [name for name, value in change.after.items() if change.before.get(name) != value]
            if not names:
                return
            dummy, count = self.connection.query(
                f"UPDATE {quoted(table.name)} SET {', '.join(f'{quoted(name)} = %s' for name in names)} WHERE {where}",
                *(change.after[name] for name in names), *key)
        if count != 1:
            raise RollingError(f"MariaDB has {count} rows for the id {change.id} of {table.name}, not 1. {NOTHING}")

    def note(self, entry):
        names = {row[0] for row in self.connection.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s",
            self.log_table)}
        known = {name: value for name, value in entry.items() if name in names}
        self.connection.query(f"INSERT INTO {quoted(self.log_table)} ({', '.join(map(quoted, known))}) VALUES "
                              f"({', '.join(['%s'] * len(known))})", *known.values())
