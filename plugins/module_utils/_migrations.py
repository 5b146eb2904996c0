# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What a migration is, what it is given, and in which order everything happens. Where the objects are is in
# _store_etcd.py and _store_mariadb.py.

import ast
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import inspect
import io
import json
import os
import re
import socket
import sys
import time
import traceback
from collections import namedtuple
from datetime import date, datetime, timezone

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    boot_id,
    last_lines,
    process_started,
)

NOTHING = "Nothing was written"
ATTRIBUTES = ("id", "release", "description", "proposed_at")
# How many objects a diff shows, and of each how many signs.
SHOWN = 100
LONG = 4000
# How many of a list a message names.
NAMED = 5
# What a statement of DDL begins with.
DDL = re.compile(r"(?:/\*M?!\d*\s*)?(?:(?P<word>CREATE|ALTER|DROP|RENAME)\s+(?:[A-Z]+\s+){0,4}?(?:TABLES?|INDEX|VIEW|"
                 r"DATABASE|SCHEMA|TRIGGER|PROCEDURE|FUNCTION|EVENT|SEQUENCE|USER|ROLE|SERVER)\b|"
                 r"(?P<truncate>TRUNCATE)\s+(?:TABLE\s+)?[\w`.{}]+\s*(?:;|\Z))", re.IGNORECASE)
BEFORE = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*(?!!|M!).*?\*/)*", re.DOTALL)

Migration = namedtuple("Migration", "id release description proposed_at moment digest file function source")
Change = namedtuple("Change", "table id before after")


class NoSuchObject(LookupError):
    """There is no object of that table and id."""


class ObjectExists(ValueError):
    """There is one already."""


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def named(things):
    """A list for a message, shortened."""
    things = list(things)
    more = f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
    return ", ".join(map(str, things[:NAMED])) + more


def moment_of(value):
    """A point in time that can be compared; without a zone it is UTC. ValueError if it is none."""
    if isinstance(value, str):
        # Python before 3.11 does not know the Z.
        value = datetime.fromisoformat(re.sub(r"[zZ]\Z", "+00:00", value.strip()))
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise ValueError("neither a text nor a point in time")
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def ddl_of(statement):
    """What a statement of DDL begins with, such as C(ALTER TABLE); empty if it is none."""
    before = BEFORE.match(statement)
    found = DDL.match(statement, before.end() if before else 0)
    return re.sub(r"\s+", " ", found.group()).upper() if found else ""


def peak():
    """The most memory that this process had, in MiB; what its parent had counts in getrusage, not here."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as handle:
        found = re.search(r"^VmHWM:\s+(\d+) kB", handle.read(), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


# ---- who runs

def who():
    """This process, for the lock: what others are told, and what tells on the same node whether it still runs."""
    try:
        # Containers share the id of the boot, and have process ids of their own.
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return dict(host=socket.gethostname(), pid=os.getpid(), since=now(), boot=boot_id(), space=space,
                started=process_started(os.getpid()))


def is_gone(holder):
    """Whether the process of a lock ran on this node, and runs no more. Of another node's that cannot be said."""
    me = who()
    here = me["boot"] and all(holder.get(key) == me[key] for key in ("host", "boot", "space"))
    return bool(here) and process_started(holder.get("pid")) != holder.get("started")


def told(holder):
    """What of the holder of a lock is for people."""
    return {key: holder.get(key) for key in ("host", "pid", "since")} if holder else None


def locked_by(holder):
    return (f"another run of store_migrations is under way: process {holder.get('pid')} on {holder.get('host')} since "
            f"{holder.get('since')}")


# ---- the files

def problem_in(path, exc):
    """What was wrong in a file, with the line."""
    line = exc.lineno if isinstance(exc, SyntaxError) and exc.filename == path else 0
    for frame in traceback.extract_tb(exc.__traceback__):
        line = frame.lineno if frame.filename == path else line
    words = exc.msg if isinstance(exc, SyntaxError) else str(exc)
    place = f"line {line}: " if line else ""
    return f"{place}{type(exc).__name__}{': ' if words else ''}{words}"


def execute(path, source):
    """The module that a file is."""
    name = "shakenfist_rolling_migration_" + re.sub(r"\W", "_", os.path.basename(path)[:-3])
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, None, origin=path))
    module.__file__ = path
    # Where dataclasses and the like look for what is in it.
    sys.modules[name] = module
    # The bytes that the digest is of, and no byte code is left in the product's directory.
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


def migration_of(path):
    """The migration of a file; ValueError with what is wrong."""
    with open(path, "rb") as handle:
        source = handle.read()
    try:
        module = execute(path, source)
    except (Exception, SystemExit) as exc:
        raise ValueError(problem_in(path, exc)) from exc
    lacks = [name for name in (*ATTRIBUTES, "migration") if not hasattr(module, name)]
    if lacks:
        raise ValueError(f"it has no {', no '.join(lacks)}")
    for name in ("id", "release", "description"):
        if not isinstance(getattr(module, name), str):
            raise ValueError(f"its {name} is no text")
    if not re.match(r"[^\s/]{1,200}\Z", module.id):
        raise ValueError("its id is to have 1 to 200 signs, no blanks and no /")
    if not callable(module.migration):
        raise ValueError("its migration is no function")
    if any(kind(module.migration) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction,
                                               inspect.isasyncgenfunction)):
        raise ValueError("its migration has a yield, or is async: a call would run nothing of it")
    try:
        moment = moment_of(module.proposed_at)
    except ValueError as exc:
        raise ValueError(f"its proposed_at is no point in time such as '2026-11-30 08:00:00': {exc}") from exc
    return Migration(module.id, module.release, module.description, str(module.proposed_at), moment,
                     hashlib.sha256(source).hexdigest(), os.path.basename(path), module.migration, source)


def load(directory):
    """The migrations of a directory, in the order in which they run."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".py") and name[0] not in "_.")
    except OSError as exc:
        raise RollingError(f"cannot read the migrations in {directory}: {exc.strerror}. {NOTHING}") from exc
    found, faults = [], []
    by_id: dict[str, str] = {}
    # For what they import from beside them, after all else.
    sys.path.append(directory)
    sys.dont_write_bytecode = True
    for name in names:
        try:
            one = migration_of(os.path.join(directory, name))
        except (ValueError, OSError) as exc:
            faults.append(f"{name}: {exc}")
            continue
        if one.id in by_id:
            faults.append(f"{name}: its id {one.id} is that of {by_id[one.id]}, too")
        by_id.setdefault(one.id, name)
        found.append(one)
    if faults:
        raise RollingError(f"these migrations in {directory} cannot be used: {'; '.join(faults)}. {NOTHING}. Correct "
                           "the "
                           "files, and start again")
    return sorted(found, key=lambda one: (one.moment, one.id))


def statements_of_ddl(one):
    """The statements of DDL that the source of a migration has, each with its line."""
    tree = ast.parse(one.source)
    # Texts for people, which may begin as a statement does.
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    prose |= {id(node.value) for node in tree.body if isinstance(node, ast.Assign)
              and any(getattr(target, "id", "") in ATTRIBUTES for target in node.targets)}
    return [f"{ddl_of(node.value)} in line {node.lineno}" for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
            and ddl_of(node.value)]


# ---- the copy

def as_text(value):
    return json.dumps(value, sort_keys=True, default=repr)


class Copy:
    """A copy of the store in memory, and what was changed in it.

    :arg source: what was read. C(tables()) has the names; C(keys(table)) the ids, in order; C(load(table, id)) makes
        an object anew, None if there is none; C(check(table, id, value)) refuses with ValueError what cannot be
        written.
    """

    def __init__(self, source):
        self.source = source
        self.changed, self.order = {}, {}

    def tables(self):
        more = [table for table, objects in self.changed.items() if any(one is not None for one in objects.values())]
        return sorted({*self.source.tables(), *more})

    def load(self, table, key):
        changed = self.changed.get(table, {})
        if key in changed:
            return None if changed[key] is None else self.source.copy(changed[key])
        return self.source.load(table, key)

    def keys(self, table):
        changed = self.changed.get(table, {})
        before = self.source.keys(table)
        known = set(before) if changed else ()
        return [key for key in before if changed.get(key, True) is not None] + [
            key for key, value in changed.items() if value is not None and key not in known]

    def put(self, table, key, value):
        if value is not None:
            self.source.check(table, key, value)
            value = self.source.copy(value)
        self.changed.setdefault(table, {})[key] = value
        # The last change of an object counts: what refers to another row must come after it in MariaDB.
        self.order.pop((table, key), None)
        self.order[table, key] = None

    def changes(self):
        """What differs from the store, in the order in which it was changed."""
        for table, key in self.order:
            before, after = self.source.load(table, key), self.changed[table][key]
            # To Python, 1 and True are equal, and 1.0; to who reads the store they are not.
            if before != after or as_text(before) != as_text(after):
                yield Change(table, key, before, after)


class Api:
    """What a migration is given: the objects of a copy of the store, by table and id.

    What it returns are copies. A change of one counts when it is given to C(update).
    """

    NoSuchObject = NoSuchObject
    ObjectExists = ObjectExists

    def __init__(self, copy, hidden):
        self._copy = copy
        self._hidden = hidden

    def _known(self, table):
        if table == self._hidden:
            raise ValueError(f"{table} is the log of the migrations, they do not see it")
        return table

    def tables(self):
        """The names of the tables, sorted."""
        return [table for table in self._copy.tables() if table != self._hidden]

    def ids(self, table):
        """The ids of the objects of a table. One that does not exist is empty."""
        return self._copy.keys(self._known(table))

    def exists(self, table, id):
        return self._copy.load(self._known(table), id) is not None

    def get(self, table, id):
        """An object. C(NoSuchObject) if there is none."""
        found = self._copy.load(self._known(table), id)
        if found is None:
            raise NoSuchObject(f"{table} has no {id}")
        return found

    def items(self, table):
        """The objects of a table, each with its id, one after the other."""
        for key in self.ids(table):
            found = self._copy.load(table, key)
            if found is not None:
                yield key, found

    def list(self, table):
        """All objects of a table."""
        return [found for dummy, found in self.items(table)]

    def create(self, table, id, value):
        """A new object. C(ObjectExists) if there is one of that id."""
        if self.exists(table, id):
            raise ObjectExists(f"{table} has {id} already")
        self._copy.put(table, id, value)

    def update(self, table, id, value):
        """A whole object in place of the one of that id. C(NoSuchObject) if there is none."""
        self.get(table, id)
        self._copy.put(table, id, value)

    def delete(self, table, id):
        """C(NoSuchObject) if there is none."""
        self.get(table, id)
        self._copy.put(table, id, None)

    def execute(self, statement, *dummy):
        """Only says that a statement cannot be run on a copy."""
        ddl = ddl_of(str(statement))
        if ddl:
            raise ValueError(f"it issues {ddl}: DDL cannot be rolled back in MariaDB, so it has no place in a "
                             "migration. "
                             "Run it before, or after, in a step of its own")
        raise ValueError("a migration works on objects: use get, list, create, update and delete, not SQL")


# ---- the order of things

def entry_of(one):
    return dict(id=one.id, release=one.release, description=one.description, proposed_at=one.proposed_at,
                applied_at=now(), digest=one.digest)


def in_order(log):
    return sorted(log, key=lambda entry: (str(entry.get("applied_at")), str(entry.get("proposed_at")), entry["id"]))


def counted(changes):
    """How many objects of each table were created, updated and deleted."""
    found: dict[str, dict[str, int]] = {}
    for change in changes:
        kind = "created" if change.before is None else "deleted" if change.after is None else "updated"
        found.setdefault(change.table, dict(created=0, updated=0, deleted=0))[kind] += 1
    return found


def shown(value):
    if value is None:
        return ""
    text = json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False)
    return text[:LONG] + ("" if len(text) <= LONG else f"\n... {len(text) - LONG} more signs") + "\n"


def diff_of(changes):
    """The changes as Ansible shows them, bounded."""
    found = [dict(before_header=f"{one.table}/{one.id}", after_header=f"{one.table}/{one.id}", before=shown(one.before),
                  after=shown(one.after)) for one in changes[:SHOWN]]
    if len(changes) > SHOWN:
        found.append(dict(prepared=f"... {len(changes) - SHOWN} more objects change, see changes\n"))
    return found


class Runner:
    """One run of the module.

    :arg store: an object of _store_etcd.py or _store_mariadb.py.
    :arg warn: is given sentences for the operator.
    """

    def __init__(self, store, params, check, warn):
        self.store, self.params, self.check, self.warn = store, params, check, warn
        self.facts: dict = dict(ran=[], pending=[], applied=[], interrupted=None, resumed="", whole=True, holder=None,
                                edited=[], gone=[], kept=[])
        self.result: dict = dict(changes={}, objects=0, output="", seconds=dict(read=0, migrate=0, write=0))
        self.said = io.StringIO()
        self.log = []

    def run(self):
        try:
            self.store.open()
            result = self.act()
        except RollingError as exc:
            self.facts["whole"] &= not self.store.halfway
            raise RollingError(exc.message, **{**self.facts, "output": self.output(), **exc.details}) from exc
        finally:
            self.store.close()
        return dict(self.facts, **dict(self.result, output=self.output(), peak=peak()), **result)

    def load(self):
        directory = self.params["directory"]
        if not directory or self.params["state"] == "reported" and not os.path.lexists(directory):
            return []
        with self.quiet():
            return load(directory)

    def act(self):
        state = self.params["state"]
        if self.check or state in ("whole", "reported"):
            return self.look()
        with self.store.locked(who()):
            self.facts["interrupted"] = self.store.interrupted()
            # Before anything else, even if the migrations of today cannot be read.
            changed = self.resume(back=state == "restored")
            self.compare(self.load())
            if state == "migrated":
                changed |= self.migrate()
                changed |= not self.params["keep"] and self.store.forget()
            self.facts["kept"] = self.store.kept()
            return dict(changed=changed)

    def look(self):
        """What can be said without a lock, and without writing."""
        state = self.params["state"]
        self.facts["interrupted"] = found = self.store.interrupted()
        self.facts["holder"] = holder = told(self.store.holder())
        self.facts["kept"] = kept = self.store.kept()
        self.facts["whole"] = not found and not holder
        self.compare(self.load())
        if state == "whole":
            self.gate(found, holder)
        if state in ("whole", "reported"):
            return dict(changed=False)
        if holder:
            self.warn(f"{locked_by(holder)}: what is shown here is what it has not written yet")
        if found:
            self.facts["resumed"] = "undone" if self.goes_back(found, state == "restored") else "completed"
            self.facts["whole"] = True
        elif kept and state == "restored":
            self.facts["resumed"] = "undone"
        ran = self.migrate() if state == "migrated" else bool(kept)
        return dict(changed=ran or bool(found) or bool(kept) and not self.params["keep"])

    def gate(self, found, holder):
        if found:
            raise RollingError(f"the store is not whole: {self.was_interrupted(found)}. Start nothing that reads it. "
                               "To "
                               "complete it, run store_migrations again; to undo it, with state=restored")
        if holder:
            raise RollingError(f"{locked_by(holder)}, so nothing may be started that reads the store. Wait until it "
                               "has "
                               "ended")

    @staticmethod
    def was_interrupted(found):
        return (f"the run of {found['host']} at {found['since']} was interrupted while it wrote "
                f"{named(found['migrations'])}, "
                f"{found['done']} of {found['batches']} batches are new")

    @staticmethod
    def goes_back(found, back):
        return back or found["direction"] == "back"

    def resume(self, back):
        found = self.facts["interrupted"]
        if not found:
            return back and self.undo()
        self.facts["whole"] = False
        self.warn(f"{self.was_interrupted(found)}. This run "
                  f"{'undoes' if self.goes_back(found, back) else 'completes'} it")
        self.store.settle(back=self.goes_back(found, back))
        self.facts.update(resumed="undone" if self.goes_back(found, back) else "completed", whole=True)
        return True

    def undo(self):
        """Undo a run that is complete, of which that was kept."""
        if not self.store.kept():
            return False
        self.store.reopen()
        self.store.settle(back=True)
        self.facts["resumed"] = "undone"
        return True

    def compare(self, migrations):
        """Which migrations are pending, edited and gone."""
        self.log = self.store.log()
        found = self.facts["interrupted"]
        if self.check and found and not self.goes_back(found, self.params["state"] == "restored"):
            # As it will be when that is complete.
            self.log = self.log + [entry for entry in self.store.promised() if entry["id"] not in
                                   {known["id"] for known in self.log}]
        applied = {entry["id"]: entry for entry in self.log}
        self.pending = [one for one in migrations if one.id not in applied]
        edited = [one for one in migrations if one.id in applied and applied[one.id].get("digest") not in
                  (None, "", one.digest)]
        gone = sorted(set(applied) - {one.id for one in migrations}) if self.params["directory"] else []
        self.facts.update(applied=in_order(self.log), edited=[one.id for one in edited], gone=gone,
                          pending=[{key: getattr(one, key) for key in (*ATTRIBUTES, "file")} for one in self.pending])
        if self.params["state"] == "migrated":
            self.complain(edited, gone)

    def complain(self, edited, gone):
        directory = self.params["directory"]
        if edited:
            files = named(f"{one.id} ({one.file})" for one in edited)
            words = f"these migrations were edited after they were applied, and are not run again: {files}"
            if self.params["edited"] == "fail":
                raise RollingError(f"{words}. {NOTHING}. Bring back the files in {directory} that were applied, or "
                                   "give edited=warn")
            self.warn(words)
        if gone:
            words = f"these migrations were applied to the store, and {directory} does not have them: {named(gone)}"
            if self.params["gone"] == "fail":
                raise RollingError(f"{words}. {NOTHING}. Use the directory of the release that the store is of, which "
                                   "is newer, or "
                                   "give gone=warn if they were removed on purpose")
            self.warn(words)

    def migrate(self):
        """Run what is pending, and write; returns whether there was anything."""
        if not self.pending:
            return False
        self.refuse_ddl()
        begin = time.monotonic()
        source = self.store.read()
        self.spent("read", begin)
        begin = time.monotonic()
        copy = Copy(source)
        for one in self.pending:
            self.apply(one, Api(copy, self.params["log_table"]))
        changes = list(copy.changes())
        self.spent("migrate", begin)
        self.result.update(changes=counted(changes), objects=source.count)
        if self.params["diff"]:
            self.result["diff"] = diff_of(changes)
        entries = [entry_of(one) for one in self.pending]
        if not self.check:
            begin = time.monotonic()
            self.store.write(source, changes, entries)
            self.spent("write", begin)
            self.facts["applied"] = in_order(self.log + entries)
        self.facts["ran"] = [one.id for one in self.pending]
        return True

    def refuse_ddl(self):
        if self.params["store"] != "mariadb":
            return
        found = [f"{one.id} ({one.file}): {', '.join(statements_of_ddl(one))}" for one in self.pending
                 if statements_of_ddl(one)]
        if found:
            raise RollingError(f"DDL cannot be rolled back in MariaDB, and these migrations have such statements: "
                               f"{'; '.join(found)}. {NOTHING}. Take them out, and run them in a step of their own")

    def apply(self, one, api):
        path = os.path.join(self.params["directory"], one.file)
        try:
            with self.quiet():
                one.function(api)
        except RollingError:
            raise
        except (Exception, SystemExit) as exc:
            raise RollingError(f"the migration {one.id} has failed, {path}: {problem_in(path, exc)}. {NOTHING}, "
                               "neither by it "
                               "nor by those before it. Correct the cause, and start again") from exc

    def spent(self, what, begin):
        self.result["seconds"][what] = round(time.monotonic() - begin, 3)

    @contextlib.contextmanager
    def quiet(self):
        """What migrations print must not get into what the module prints."""
        with contextlib.redirect_stdout(self.said), contextlib.redirect_stderr(self.said):
            yield

    def output(self):
        return last_lines(self.said.getvalue())
