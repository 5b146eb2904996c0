#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: dump
short_description: Back up the database of a cluster, see that the backup can be restored, or restore it
version_added: 0.1.0
description:
  - Dumps the database with C(mariadb-dump) into a file that only the user who runs this can read, and checks that the
    dump is whole. The services go on working meanwhile.
  - With O(scratch) it restores the dump into a scratch schema, looks for every table that was there before and after
    the dump, counts the rows, and drops the scratch schema again. The rows are not compared, because the database is
    in use.
  - While it grows, the dump has a name that begins with a dot and ends in C(.partial). What a run that was killed has
    left, such a file or a scratch schema, the next one with the same O(directory) and database removes.
  - No program gets the password as an argument.
  - Tables, views, triggers and stored routines are dumped, as far as the user of the configuration may see them. Events
    of MariaDB's scheduler are not.
requirements:
  - C(mariadb-dump) and C(mariadb), or C(mysqldump) and C(mysql), on the node
options:
  connection:
    version_added: 0.2.0
    description: Where O(config) has the URL of the database, as C(SECTION/OPTION), if it is an INI file, such as the
      configuration of OpenStack's services. O(prefix) does not count then. The URL must not refer to other options.
    type: str
    default: ""
  directory:
    description: Where to put the dump, with as much free space as the database takes. It is created, with mode C(0700),
      if it does not exist.
    type: path
    required: true
  name:
    description: What the name of the file begins with. The time in UTC and C(.sql) follow. Required without O(restore).
    type: str
  restore:
    version_added: 0.2.0
    description: A dump of this module, to be restored instead of making one. What writes to the database must be
      stopped on all nodes. Afterwards the database has the tables and views of the dump, and no others.
    type: path
  scratch:
    description: Whether to try to restore the dump. This needs a user who may create further schemas, and for its time
      as much space on the database server as the database takes, twice that with a binary log. If this node is the
      server, the space is checked; of another one it is not known. Where the user may not, or the space is short, the
      dump is kept unchecked, and RV(verified) says so.
    type: bool
    default: true
extends_documentation_fragment: [shakenfist.rolling.attributes, shakenfist.rolling.options.database]
attributes:
  check_mode:
    details: In check mode it asks for the size of the database and checks the space, but dumps nothing.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Every run makes a dump.
"""

EXAMPLES = r"""
- name: Back up the database before its schema is migrated
  shakenfist.rolling.dump:
    config: /etc/sf/config
    prefix: SHAKENFIST_
    directory: /var/backups/shakenfist
    name: before-0.8.1

- name: The same of Cinder
  shakenfist.rolling.dump:
    config: /etc/cinder/cinder.conf
    connection: database/connection
    directory: /var/backups/cinder
    name: before-24.5.0

- name: Take it back, while all that writes is stopped
  shakenfist.rolling.dump:
    config: /etc/cinder/cinder.conf
    connection: database/connection
    directory: /var/backups/cinder
    restore: /var/backups/cinder/before-24.5.0-20261121T081500Z.sql
"""

RETURN = r"""
path:
  description: The file. In check mode, the one that would have been made.
  returned: success
  type: str
  sample: /var/backups/shakenfist/before-0.8.1-20261121T081500Z.sql
size:
  description: Its size in bytes.
  returned: success, not in check mode
  type: int
verified:
  description: In words, how far the dump was checked.
  returned: success, not in check mode
  type: str
  sample: complete, and restored into a scratch schema with all 5 tables and 182 rows, which were not compared
restore:
  description: The command for a person to restore it. It asks for the password. Stop what writes to the database, such
    as C(sf-database), on all nodes before. It brings back the tables that are in the dump. Tables that were added since
    stay.
  returned: success, not in check mode, and not with O(restore)
  type: str
  sample: >-
    mariadb --host 10.0.0.9 --port 3306 --user shakenfist --password shakenfist
    < /var/backups/shakenfist/before-0.8.1-20261121T081500Z.sql
"""

import fcntl
import os
import re
import shlex
import shutil
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    conclude,
    last_lines,
    make_directory,
    sync_directories,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import DATABASE_OPTIONS, Database

OTHERWISE = "take a backup yourself and pass -e schema_backup=never"
LAST_LINE = b"-- Dump completed"
TABLES = ("SELECT CAST(IFNULL(data_length + index_length, 0) AS UNSIGNED), table_type, table_name "
          "FROM information_schema.tables WHERE table_schema = DATABASE()")
# Who the server is, where it has its data, and whether it also writes what it restores into a binary log.
SERVER = "SELECT @@hostname, @@log_bin, @@datadir"
SCHEMAS = ("SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN "
           "(SELECT db FROM information_schema.processlist WHERE db IS NOT NULL)")
# What a restored table takes more than the server says of the one that it comes from.
ROOM = 1.2
# The server's numbers for: you may not do that here. The last is of servers with a binary log, for triggers.
DENIED = (1044, 1045, 1142, 1227, 1370, 1419)
# And for: the disk is full. The first has other causes, too, so its words count.
ERROR_OF_STORAGE = 1030
FULL = (1021, 1114)
NAME_LENGTH = 64
# How a dump makes a table, or a view.
MADE = re.compile(r"(?:CREATE TABLE|/\*!50001 CREATE VIEW|/\*!50001 VIEW) `((?:[^`]|``)+)`")
# For how many seconds to wait for a connection.
ANSWER_WITHIN = 10
# How much of a program's complaint is passed on.
WORDS = 400


class ClientError(Exception):
    """A program failed; C(code) is the number of MariaDB's error, None if there is none."""

    def __init__(self, words):
        super().__init__(words)
        found = re.search(r"\b(?:ERROR|error:?) (\d{4})\b", words)
        self.code = int(found.group(1)) if found else None
        self.full = self.code in FULL or self.code == ERROR_OF_STORAGE and "rror 28" in words


def complaint(words):
    """What a program complains of, on one line.

    The client repeats the statement that failed before it says ERROR: that can be long, and holds data of the cluster.
    """
    error = re.search(r"^ERROR \d+(?!.*^ERROR \d+)", words, re.DOTALL | re.MULTILINE)
    words = words[error.start():] if error else last_lines(words)
    return " ".join(words.split())[:WORDS]


def option(name, value):
    """One line of an option file."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"\n'


class Client:
    """The programs of MariaDB. They find the credentials in a file that exists as long as this is entered."""

    def __init__(self, module, database):
        self.module = module
        self.database = database
        self.dump = self.find("mariadb-dump", "mysqldump")
        self.client = self.find("mariadb", "mysql")
        self.options = os.path.join(module.tmpdir, "client.cnf")

    def find(self, *names):
        for name in names:
            path = self.module.get_bin_path(name)
            if path:
                return path
        raise RollingError(f"{names[0]} is not installed on this node: apt-get install mariadb-client, or {OTHERWISE}")

    def __enter__(self):
        database = self.database
        handle = os.open(self.options, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as options:
            # By TCP as the services do: for localhost the programs would take a socket, whatever the port.
            options.write(f"[mysql]\nconnect-timeout={ANSWER_WITHIN}\n"
                          "[client]\nprotocol=tcp\ndefault-character-set=utf8mb4\n"
                          + option("host", database.host) + option("port", database.port)
                          + option("user", database.user) + option("password", database.password))
        return self

    def __exit__(self, *dummy):
        os.unlink(self.options)

    def run(self, program, *arguments, source=None):
        """Run a program, with the file C(source) as its input. Returns its output, raises ClientError if it fails."""
        command = [program, f"--defaults-extra-file={self.options}", *arguments]
        if source:
            command = ["/bin/sh", "-c", 'source=$1; shift; exec "$@" <"$source"', "sh", source] + command
        # Another HOME: a .my.cnf there would be read after our file, and count.
        rc, out, err = self.module.run_command(command, environ_update={"HOME": self.module.tmpdir}, cwd="/",
                                               expand_user_and_vars=False)
        if rc:
            raise ClientError(complaint(self.database.hide(err)) or f"it ended with {rc} and said nothing")
        return out

    def sql(self, statement, schema=None):
        """Run a statement, in the database or in none. Returns the rows as lists of strings."""
        arguments = ["--batch", "--raw", "--skip-column-names", "--execute", statement]
        out = self.run(self.client, *arguments, *([schema] if schema else []))
        return [line.split("\t") for line in out.splitlines()]

    def look(self):
        """The names of the tables and views, and the size of the database."""
        try:
            tables = self.sql(TABLES, self.database.name)
        except ClientError as exc:
            raise self.database.unreachable(exc.code, str(exc)) from None
        return {name for dummy, dummy, name in tables}, sum(int(size) for size, dummy, dummy in tables)

    def restored(self, scratch):
        """The names of the tables and views in a scratch schema, and how many rows the tables have."""
        tables = self.sql(TABLES, scratch)
        counts = [f"(SELECT COUNT(*) FROM {identifier(name)})" for dummy, kind, name in tables if kind == "BASE TABLE"]
        rows = int(self.sql(f"SELECT {' + '.join(counts)}", scratch)[0][0]) if counts else 0
        return {name for dummy, dummy, name in tables}, rows

    def room(self, size):
        """Why there is no room on the server for a second database of this size, and why that cannot be told.

        Only one of both has words, or none.
        """
        try:
            hostname, logs, place = self.sql(SERVER)[0]
        except ClientError as exc:
            return "", f"the server did not say where it has its data ({exc})"
        # A server behind a proxy of this node, or in a container, is not this node.
        if hostname != socket.gethostname() or not os.path.isdir(place):
            return "", f"the server is {hostname}, not this node"
        needed = size * ROOM * (1 + (logs == "1"))
        try:
            free = shutil.disk_usage(place).free
        except OSError as exc:
            return "", f"{place}: {exc.strerror}"
        if free < needed:
            return f"{place} on the database server has {megabytes(free)} free, it takes {megabytes(needed)}", ""
        return "", ""

    def restore_command(self, path):
        """What a person types to restore the dump."""
        database = self.database
        words = [os.path.basename(self.client), "--host", database.host, "--port", str(database.port),
                 "--user", database.user, "--password", database.name]
        if database.host == "localhost":
            words[1:1] = ["--protocol", "tcp"]
        return f"{' '.join(map(shlex.quote, words))} < {shlex.quote(path)}"


def megabytes(size):
    return f"{size / 1e6:.1f} MB"


def check_space(directory, size, name):
    """Refuse if the directory, or the one that it will be created in, has less room than the database takes."""
    place = directory
    while not os.path.exists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise RollingError(f"{place} is no directory: choose another one for the dump")
    free = shutil.disk_usage(place).free
    if free < size:
        raise RollingError(f"the database {name} takes {megabytes(size)}, and {directory} has only {megabytes(free)} "
                           "free: make room there, or choose another directory for the dump")


def last_line(path):
    with open(path, "rb") as handle:
        handle.seek(max(0, os.path.getsize(path) - 4096))
        lines = handle.read().strip().splitlines()
    return lines[-1] if lines else b""


def partial_of(path):
    """The name of a dump that is not whole yet: nobody takes that for one."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.partial")


def remove_partials(directory):
    """Remove what dumps have left that were killed. One that is still being made is locked."""
    for name in os.listdir(directory):
        if not re.match(r"\..+-\d{8}T\d{6}Z\.sql\.partial\Z", name):
            continue
        try:
            handle = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(os.path.join(directory, name))
        except BlockingIOError:
            pass
        finally:
            os.close(handle)


def write_dump(client, path):
    """Dump into a file beside C(path), which gets that name once it is whole and on disk."""
    partial = partial_of(path)
    # Created here, so that nobody else can read it while it grows.
    lock = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Nothing that needs more than rights on the database itself. --comments are what the last line is one of.
            client.run(client.dump, "--single-transaction", "--quick", "--routines", "--triggers", "--no-tablespaces",
                       "--comments", f"--result-file={partial}", client.database.name)
        except ClientError as exc:
            raise RollingError(f"{os.path.basename(client.dump)} of the database {client.database.name} failed: {exc}. "
                               f"No dump was kept. Fix that, or {OTHERWISE}") from None
        if not last_line(partial).startswith(LAST_LINE):
            raise RollingError(f"the dump of the database {client.database.name} is cut off: its last line should "
                               f"begin with {LAST_LINE.decode()!r}. No dump was kept. Try again, or {OTHERWISE}")
        os.chmod(partial, 0o600)
        with open(partial, "rb") as handle:
            os.fsync(handle.fileno())
        os.rename(partial, path)
        sync_directories(os.path.dirname(path))
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
    finally:
        os.close(lock)


def unusable(path, reason):
    """Set a dump aside that cannot be restored, and say so."""
    os.rename(path, path + ".unusable")
    return RollingError(f"the dump {path}.unusable cannot be restored: {reason}. Fix that, or {OTHERWISE}",
                        path=path + ".unusable")


def identifier(name):
    return "`" + name.replace("`", "``") + "`"


def scratch_of(name, suffix):
    """The name of a scratch schema of the database C(name)."""
    return name[:NAME_LENGTH - len(suffix)] + suffix


def drop(client, scratch):
    try:
        client.sql(f"DROP DATABASE {identifier(scratch)}")
    except ClientError as exc:
        client.module.warn(f"the scratch schema {scratch} could not be dropped: {exc}. Drop it by hand: "
                           f"DROP DATABASE {identifier(scratch)}")


def drop_leftovers(client):
    """Drop the scratch schemas that runs have left that were killed; nobody works in those."""
    try:
        schemas = [row[0] for row in client.sql(SCHEMAS)]
    except ClientError:
        return  # whoever may not look has none
    for schema in schemas:
        suffix = re.search(r"_rolling_check_\d+\Z", schema)
        # With the longest of names, the database itself could look like one.
        if suffix and client.database.name != schema == scratch_of(client.database.name, suffix.group(0)):
            drop(client, schema)


def try_restore(client, path, tables, size):
    """Restore the dump into a scratch schema.

    :arg tables: the names of those that must come back.
    :arg size: how much the database takes.
    :returns: in words, how far that got; without the right to do it, or room, the dump stays unchecked.
    :raises RollingError: if the dump cannot be restored, or nothing can be said because MariaDB failed.
    """
    unchecked = "complete; not restored to check it"
    drop_leftovers(client)
    short, unknown = client.room(size)
    if short:
        return f"{unchecked}, {short}"
    scratch = scratch_of(client.database.name, f"_rolling_check_{os.getpid()}")
    try:
        client.sql(f"CREATE DATABASE {identifier(scratch)}")
    except ClientError as exc:
        if exc.code in DENIED:
            return f"{unchecked}, user {client.database.user} may not create a scratch schema"
        raise RollingError(f"the dump {path} is complete, but a scratch schema to check it in could not be created: "
                           f"{exc}", path=path) from None
    try:
        client.run(client.client, scratch, source=path)
        restored, rows = client.restored(scratch)
    except ClientError as exc:
        if exc.full:
            return f"{unchecked}, the database server has no room for it ({exc})"
        if exc.code in DENIED:
            return (f"{unchecked}, user {client.database.user} may not create all of it in a scratch schema ({exc})")
        raise unusable(path, str(exc)) from None
    finally:
        drop(client, scratch)
    missing = sorted(tables - restored)
    if missing:
        raise unusable(path, f"expected {len(tables)} tables, {', '.join(missing)} did not come back")
    return (f"complete, and restored into a scratch schema with all {len(tables)} tables and {rows} rows, which were "
            "not compared" + (f"; the room for that was not checked, {unknown}" if unknown else ""))


def tables_of(path):
    """The names of the tables and views that a dump makes; of a view it makes a table first, or another view."""
    with open(path, encoding="utf-8", errors="replace") as handle:
        found = (MADE.match(line) for line in handle)
        return {one.group(1).replace("``", "`") for one in found if one}


def take_back(module):
    """Make the database what a dump says, with no table beside."""
    params = module.params
    path = params["restore"]
    if not os.path.isfile(path) or not last_line(path).startswith(LAST_LINE):
        raise RollingError(f"{path} is no whole dump: its last line should begin with {LAST_LINE.decode()!r}")
    database, wanted = Database(params["config"], params["prefix"], params["connection"]), tables_of(path)
    with Client(module, database) as client:
        client.look()
        if not module.check_mode:
            try:
                kinds = {name: kind for dummy, kind, name in client.sql(TABLES, database.name)}
                for name in sorted(set(kinds) - wanted):
                    what = "VIEW" if kinds[name] == "VIEW" else "TABLE"
                    client.sql(f"SET foreign_key_checks = 0; DROP {what} {identifier(name)}", database.name)
                client.run(client.client, database.name, source=path)
            except ClientError as exc:
                raise RollingError(f"the database {database.name} could not be restored from {path}: {exc}. Until that "
                                   f"is done, start nothing that uses it: {client.restore_command(path)}") from None
        return dict(changed=True, path=path)


def back_up(module):
    params = module.params
    directory, name = params["directory"], params["name"]
    if not name.strip(". ") or "/" in name:
        raise RollingError(f"name is {name!r}, which cannot begin the name of a file: give one without a slash")
    if not os.path.isabs(directory):
        raise RollingError(f"directory is {directory!r}: give an absolute path")
    database = Database(params["config"], params["prefix"], params["connection"])
    path = os.path.join(directory, f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sql")
    with Client(module, database) as client:
        tables, size = client.look()
        check_space(directory, size, database.name)
        if module.check_mode:
            then = " and restore it into a scratch schema to check it" if params["scratch"] else ""
            short = client.room(size)[0] if params["scratch"] else ""
            if short:
                then = f" and not restore it to check it, {short}"
            return dict(changed=True, path=path, msg=f"would dump the database {database.name} ({len(tables)} tables, "
                                                     f"{megabytes(size)}) to {path}{then}")
        make_directory(directory, 0o700)
        remove_partials(directory)
        write_dump(client, path)
        verified = "complete; not restored to check it"
        if params["scratch"]:
            # What somebody adds or drops meanwhile need not be in the dump.
            verified = try_restore(client, path, tables & client.look()[0], size)
        return dict(changed=True, path=path, size=os.path.getsize(path), verified=verified,
                    restore=client.restore_command(path))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            **DATABASE_OPTIONS,
            connection=dict(type="str", default=""),
            directory=dict(type="path", required=True),
            name=dict(type="str"),
            scratch=dict(type="bool", default=True),
            restore=dict(type="path"),
        ),
        required_one_of=[("name", "restore")],
        supports_check_mode=True,
    )

    def act():
        try:
            return take_back(module) if module.params["restore"] else back_up(module)
        except OSError as exc:
            where = exc.filename or module.params["directory"]
            what = "read" if module.params["restore"] else "write"
            raise RollingError(f"cannot {what} the dump: {where}: {exc.strerror}") from exc

    conclude(module, act)


if __name__ == "__main__":
    main()
