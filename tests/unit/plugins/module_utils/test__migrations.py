# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _migrations
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import (
    Api,
    Copy,
    NoSuchObject,
    ObjectExists,
    Runner,
    ddl_of,
    diff_of,
    is_gone,
    load,
    moment_of,
    named,
    statements_of_ddl,
    who,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._store_etcd import Snapshot

HEAD = """id = "{id}"
release = "1.0"
description = "Alter table of ports"
proposed_at = "{at}"
"""
BODY = """
def migration(nb_api):
    print("seen")
    for one in nb_api.list("t"):
        nb_api.update("t", one["id"], dict(one, n=one["n"] + 1))
"""
UTC = timezone.utc


class Store:
    """A store in memory, of which a run may be interrupted."""

    def __init__(self, **objects):
        self.objects, self.entries, self.left, self.promise, self.lock = objects, [], None, [], None
        self.halfway, self.calls, self.of_before = False, [], []

    def open(self):
        self.calls.append("open")

    def close(self):
        self.calls.append("close")

    def holder(self):
        return self.lock

    @contextlib.contextmanager
    def locked(self, me):
        assert me["pid"] == os.getpid()
        self.calls.append("locked")
        yield

    def interrupted(self):
        return self.left

    def kept(self):
        return self.of_before

    def forget(self):
        found, self.of_before = self.of_before, []
        return bool(found)

    def reopen(self):
        self.calls.append("reopen")
        self.of_before = []

    def promised(self):
        return self.promise

    def log(self):
        return list(self.entries)

    def settle(self, back):
        self.calls.append("undo" if back else "complete")
        self.entries += [] if back else self.promise

    def read(self):
        found = Snapshot("/", "log")
        found.objects = {"t": {key: (json.dumps(value), 1) for key, value in self.objects.items()}}
        found.count = len(self.objects)
        return found

    def write(self, dummy, changes, entries):
        self.calls.append("write")
        self.entries += entries
        for change in changes:
            self.objects[change.id] = change.after


@pytest.fixture
def store():
    return Store(a=dict(id="a", n=1), b=dict(id="b", n=2))


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "migrations"
    path.mkdir()
    return path


def add(directory, name, body=BODY, at="2018-01-01", **attributes):
    text = HEAD.format(id=attributes.get("id", name), at=at)
    (directory / f"{name}.py").write_text(text + body)


def start(store, directory, check=False, warnings=None, kind="etcd", **params):
    params = dict(dict(state="migrated", directory=str(directory) if directory else None, store=kind, log_table="log",
                       edited="warn", gone="fail", diff=False, keep=False), **params)
    return Runner(store, params, check, (warnings if warnings is not None else []).append).run()


# ---- files

@pytest.mark.parametrize("value, moment", [
    ("2018-01-02", datetime(2018, 1, 2, tzinfo=UTC)),
    ("2018-01-02 03:04:05", datetime(2018, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("2018-01-02T03:04:05Z", datetime(2018, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("2018-01-02T03:04:05+02:00", datetime(2018, 1, 2, 1, 4, 5, tzinfo=UTC)),
    (date(2018, 1, 2), datetime(2018, 1, 2, tzinfo=UTC)),
    (datetime(2018, 1, 2, 3), datetime(2018, 1, 2, 3, tzinfo=UTC)),
    (datetime(2018, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), datetime(2018, 1, 2, 2, tzinfo=UTC)),
])
def test_a_moment(value, moment):
    assert moment_of(value) == moment


@pytest.mark.parametrize("value", ["soon", 7, None, "2018-13-01"])
def test_no_moment(value):
    with pytest.raises(ValueError):
        moment_of(value)


def test_the_order(directory):
    add(directory, "z", at="2018-01-01 00:00:00")
    add(directory, "b", at="2018-02-01")
    add(directory, "a", at="2018-02-01T01:00:00+01:00")
    (directory / "_helper.py").write_text("raise ValueError")
    (directory / ".hidden.py").write_text("(")
    (directory / "README").write_text("x")
    found = load(str(directory))
    assert [one.id for one in found] == ["z", "a", "b"] and len(found[0].digest) == 64
    assert [one.file for one in found] == ["z.py", "a.py", "b.py"]
    assert found[1].proposed_at == "2018-02-01T01:00:00+01:00"
    assert not (directory / "__pycache__").exists()


def test_a_migration_imports_from_beside_it(directory):
    (directory / "_helper_of_ours.py").write_text("TOPIC = 7\n")
    add(directory, "a", "from _helper_of_ours import TOPIC\n" + BODY)
    assert load(str(directory))[0].id == "a" and not (directory / "__pycache__").exists()


def test_a_migration_may_have_data_classes(directory):
    add(directory, "a", "from dataclasses import dataclass\n\n\n@dataclass\nclass Port:\n    mtu: 'int'\n" + BODY)
    assert load(str(directory))[0].id == "a"


@pytest.mark.parametrize("text, said", [
    ("id = 'x'\n", "0.py: it has no release, no description, no proposed_at, no migration"),
    (HEAD.format(id="x", at="soon") + BODY, "0.py: its proposed_at is no point in time such as '2026-11-30 08:00:00'"),
    (HEAD.format(id="", at="2018-01-01") + BODY, "0.py: its id is to have 1 to 200 signs, no blanks and no /"),
    (HEAD.format(id="a/b", at="2018-01-01") + BODY, "0.py: its id is to have"),
    (HEAD.format(id="a", at="2018-01-01") + "id = 7\n" + BODY, "0.py: its id is no text"),
    (HEAD.format(id="a", at="2018-01-01") + "migration = 7\n", "0.py: its migration is no function"),
    (HEAD.format(id="a", at="2018-01-01") + "def migration(nb_api):\n    yield\n", "0.py: its migration has a yield"),
    (HEAD.format(id="a", at="2018-01-01") + "async def migration(nb_api):\n    pass\n", "0.py: its migration has a"),
    ("a = 1\nb = (\n", "0.py: line 2: SyntaxError: '(' was never closed"),
    ("\nimport none_such\n", "0.py: line 2: ModuleNotFoundError: No module named 'none_such'"),
    ("raise SystemExit(3)\n", "0.py: line 1: SystemExit: 3"),
    ("raise ValueError\n", "0.py: line 1: ValueError"),
    ("\0", "0.py: "),
])
def test_a_file_that_is_none(directory, text, said):
    (directory / "0.py").write_text(text)
    add(directory, "good")
    with pytest.raises(RollingError) as caught:
        load(str(directory))
    if "never closed" in said and sys.version_info < (3, 10):
        said = "0.py: line"
    assert said in caught.value.message and "Nothing was written" in caught.value.message


def test_all_faults_are_named(directory):
    add(directory, "a", id="x")
    add(directory, "b", id="x")
    (directory / "c.py").write_text("(")
    with pytest.raises(RollingError, match="b.py: its id x is that of a.py, too; c.py: "):
        load(str(directory))


def test_no_directory(tmp_path):
    with pytest.raises(RollingError, match="cannot read the migrations in .*: No such file"):
        load(str(tmp_path / "none"))


# ---- DDL

@pytest.mark.parametrize("statement, word", [
    ("ALTER TABLE t ADD c INT", "ALTER TABLE"),
    ("  -- why\n/* x */ create  or replace table t (a INT)", "CREATE OR REPLACE TABLE"),
    ("# x\nDROP INDEX i ON t", "DROP INDEX"),
    ("/*!50003 CREATE TABLE t (a INT) */", "/*!50003 CREATE TABLE"),
    ("CREATE UNIQUE INDEX i ON t (a)", "CREATE UNIQUE INDEX"),
    ("RENAME TABLE a TO b", "RENAME TABLE"),
    ("truncate t", "TRUNCATE T"),
    ("TRUNCATE TABLE `t`;", "TRUNCATE TABLE `T`;"),
    ("UPDATE t SET a = 'ALTER TABLE'", ""),
    ("Dropped packets", ""),
    ("truncate names longer than 9", ""),
    ("", ""),
])
def test_ddl(statement, word):
    assert ddl_of(statement) == word


def test_ddl_in_a_source(directory):
    add(directory, "a", '''
def migration(nb_api):
    """Alter table of ports."""
    nb_api.execute("ALTER TABLE t "
                   "ADD c INT")
    nb_api.execute(f"DROP TABLE {nb_api}")
''')
    assert statements_of_ddl(load(str(directory))[0]) == ["ALTER TABLE in line 8", "DROP TABLE in line 10"]


# ---- what a migration is given

@pytest.fixture
def api(store):
    return Api(Copy(store.read()), "log")


def test_reading(api):
    assert api.tables() == ["t"] and api.ids("t") == ["a", "b"] and api.ids("none") == []
    assert api.get("t", "a") == dict(id="a", n=1) and api.exists("t", "b") and not api.exists("t", "c")
    assert api.list("t") == [dict(id="a", n=1), dict(id="b", n=2)]
    assert dict(api.items("t")) == {"a": dict(id="a", n=1), "b": dict(id="b", n=2)}


def test_what_is_not_given_back_does_not_count(api):
    api.get("t", "a")["n"] = 9
    assert api.get("t", "a")["n"] == 1
    value = dict(id="a", n=[1])
    api.update("t", "a", value)
    value["n"].append(2)
    api.get("t", "a")["n"].append(3)
    assert api.get("t", "a")["n"] == [1]


def test_writing(api):
    api.create("u", "x", dict(id="x"))
    api.delete("t", "a")
    api.update("t", "b", dict(id="b", n=3))
    assert api.tables() == ["t", "u"] and api.ids("t") == ["b"] and api.ids("u") == ["x"]
    api.create("t", "a", dict(id="a", n=5))
    api.delete("u", "x")
    assert [(one.table, one.id, one.before, one.after) for one in api._copy.changes()] == [
        ("t", "b", dict(id="b", n=2), dict(id="b", n=3)), ("t", "a", dict(id="a", n=1), dict(id="a", n=5))]


def test_what_is_as_before_is_no_change(api):
    api.update("t", "a", dict(n=1, id="a"))
    api.create("t", "c", {})
    api.delete("t", "c")
    assert list(api._copy.changes()) == []


@pytest.mark.parametrize("value", [True, 1.0])
def test_what_only_python_takes_for_the_same_is_a_change(api, value):
    api.update("t", "a", dict(id="a", n=value))
    assert [json.dumps(one.after["n"]) for one in api._copy.changes()] == [json.dumps(value)]


def test_objects_are_changed_while_they_are_read(api):
    seen = []
    for key, value in api.items("t"):
        seen.append(key)
        api.create("t", "new-" + key, value)
        api._copy.put("t", "b", None)
    assert seen == ["a"]


@pytest.mark.parametrize("call, error, said", [
    (lambda api: api.get("t", "c"), NoSuchObject, "t has no c"),
    (lambda api: api.update("t", "c", {}), NoSuchObject, "t has no c"),
    (lambda api: api.delete("t", "c"), NoSuchObject, "t has no c"),
    (lambda api: api.create("t", "a", {}), ObjectExists, "t has a already"),
    (lambda api: api.create("t", "c", [1]), ValueError, "the object c of t is a list, not a dict"),
    (lambda api: api.create("t", "c", {"x": {1}}), ValueError, "the object c of t cannot be JSON"),
    (lambda api: api.create("t", "c", {"x": float("nan")}), ValueError, "the object c of t cannot be JSON"),
    (lambda api: api.create("t/u", "c", {}), ValueError, "are no table without / and no id"),
    (lambda api: api.list("log"), ValueError, "log is the log of the migrations"),
    (lambda api: api.create("log", "c", {}), ValueError, "log is the log of the migrations"),
    (lambda api: api.execute("DROP TABLE t"), ValueError, "it issues DROP TABLE"),
    (lambda api: api.execute("UPDATE t SET a = 1"), ValueError, "a migration works on objects"),
])
def test_what_is_refused(api, call, error, said):
    with pytest.raises(error, match=said):
        call(api)
    assert list(api._copy.changes()) == []


# ---- the order of things

def test_all_or_nothing(store, directory):
    add(directory, "a")
    add(directory, "b", BODY.replace("n=one", "m=one"), at="2018-02-01")
    found = start(store, directory, diff=True)
    assert found["changed"] and found["ran"] == ["a", "b"] and found["output"] == "seen\nseen"
    assert store.objects["a"] == dict(id="a", n=2, m=3) and [one["id"] for one in store.entries] == ["a", "b"]
    assert found["changes"] == {"t": dict(created=0, updated=2, deleted=0)} and found["objects"] == 2
    assert store.calls == ["open", "locked", "write", "close"]
    assert [one["after_header"] for one in found["diff"]] == ["t/a", "t/b"]
    assert not start(store, directory)["changed"]


def test_the_check_mode(store, directory):
    add(directory, "a")
    found = start(store, directory, check=True)
    assert found["changed"] and found["ran"] == ["a"] and "diff" not in found
    assert store.objects["a"]["n"] == 1 and store.calls == ["open", "close"]


@pytest.mark.parametrize("body, said", [
    ("\ndef migration(nb_api):\n    nb_api.delete('t', 'a')\n    nb_api.get('t', 'a')\n",
     "line 8: NoSuchObject: t has no a. Nothing was written, neither by it nor by those before it"),
    ("\ndef migration(nb_api):\n    raise SystemExit\n", "line 7: SystemExit. Nothing was written"),
])
def test_one_fails(store, directory, body, said):
    add(directory, "a")
    add(directory, "b", body, at="2018-02-01")
    with pytest.raises(RollingError) as caught:
        start(store, directory)
    assert f"the migration b has failed, {directory / 'b.py'}: {said}" in caught.value.message
    assert "write" not in store.calls and store.calls[-1] == "close" and caught.value.details["whole"]
    assert caught.value.details["output"] == "seen"


def test_edited_and_gone(store, directory):
    add(directory, "a")
    add(directory, "b")
    start(store, directory)
    store.entries[0]["digest"] = "other"
    store.entries[1].pop("digest")
    warnings = []
    found = start(store, directory, warnings=warnings)
    assert found["edited"] == ["a"] and not found["changed"] and "a (a.py)" in warnings[0]
    with pytest.raises(RollingError, match="edited after they were applied.*a.py.*Bring back") as caught:
        start(store, directory, edited="fail")
    assert caught.value.details["edited"] == ["a"]
    (directory / "a.py").unlink()
    with pytest.raises(RollingError, match="does not have them: a. Nothing was written"):
        start(store, directory)
    found = start(store, directory, gone="warn", warnings=warnings)
    assert found["gone"] == ["a"] and "does not have them" in warnings[-1]
    assert start(store, directory, state="reported")["gone"] == ["a"]


LEFT = dict(host="c-1", since="2026-11-30T08:00:00Z", direction="forward", done=3, batches=84, migrations=["a"])


def test_what_was_interrupted_is_completed_first(store, directory):
    add(directory, "a")
    add(directory, "b")
    store.left, store.promise, warnings = LEFT, [dict(id="a", applied_at="x")], []
    check = start(store, directory, check=True)
    assert check["resumed"] == "completed" and check["ran"] == ["b"]
    assert [one["id"] for one in check["applied"]] == ["a"]
    found = start(store, directory, warnings=warnings)
    assert found["resumed"] == "completed" and found["ran"] == ["b"] and found["whole"]
    assert store.calls[-4:] == ["locked", "complete", "write", "close"]
    assert warnings == ["the run of c-1 at 2026-11-30T08:00:00Z was interrupted while it wrote a, 3 of 84 batches are "
                        "new. "
                        "This run completes it"]


@pytest.mark.parametrize("state, direction", [("restored", "forward"), ("migrated", "back")])
def test_what_was_interrupted_is_undone(store, directory, state, direction):
    add(directory, "a")
    store.left, store.promise = dict(LEFT, direction=direction), [dict(id="a")]
    found = start(store, directory, state=state)
    assert found["resumed"] == "undone" and "undo" in store.calls
    assert found["ran"] == (["a"] if state == "migrated" else [])


def test_what_is_kept_is_undone_or_forgotten(store, directory):
    add(directory, "a")
    store.entries, store.of_before = [dict(id="a")], ["a"]
    assert start(store, directory, keep=True)["kept"] == ["a"] and not start(store, directory, keep=True)["changed"]
    assert start(store, None, state="reported")["kept"] == ["a"]
    check = start(store, None, check=True, state="restored", keep=True)
    assert check["changed"] and check["resumed"] == "undone" and "reopen" not in store.calls
    assert start(store, directory, check=True)["changed"]
    found = start(store, None, state="restored")
    assert found["changed"] and found["resumed"] == "undone" and found["kept"] == []
    assert store.calls[-4:] == ["locked", "reopen", "undo", "close"]
    assert not start(store, None, state="restored")["changed"]
    store.of_before = ["a"]
    assert start(store, directory)["changed"] and store.of_before == [] and not start(store, directory)["changed"]


def test_files_that_cannot_be_used_do_not_keep_a_store_from_being_completed(store, directory):
    (directory / "a.py").write_text("(")
    store.left, store.promise = LEFT, [dict(id="a")]
    with pytest.raises(RollingError, match="cannot be used") as caught:
        start(store, directory)
    assert store.calls == ["open", "locked", "complete", "close"]
    assert caught.value.details["resumed"] == "completed" and caught.value.details["whole"]


def test_a_way_that_fails_is_no_whole_store(store, directory):
    def settle(back):
        raise RollingError("no")

    store.left, store.settle = LEFT, settle
    with pytest.raises(RollingError) as caught:
        start(store, None, state="restored")
    assert caught.value.details["whole"] is False and caught.value.details["interrupted"] == LEFT


def test_the_gate(store):
    assert start(store, None, state="whole")["whole"]
    store.left = LEFT
    with pytest.raises(RollingError, match="the store is not whole: the run of c-1.*3 of 84 batches are new. Start "
                                           "nothing") as caught:
        start(store, None, state="whole")
    assert caught.value.details["whole"] is False
    store.left, store.lock = None, dict(host="c-2", pid=7, since="then", boot="x")
    with pytest.raises(RollingError, match="process 7 on c-2 since then, so nothing may be started") as caught:
        start(store, None, state="whole")
    assert caught.value.details["holder"] == dict(host="c-2", pid=7, since="then")
    assert "locked" not in store.calls


def test_what_is_reported(store, directory):
    add(directory, "a")
    store.left, store.lock = LEFT, dict(host="c-2", pid=7, since="then")
    found = start(store, directory, state="reported")
    assert not found["changed"] and not found["whole"] and found["interrupted"] == LEFT and found["holder"]["pid"] == 7
    assert found["pending"] == [dict(id="a", release="1.0", description="Alter table of "
                                                                        "ports", proposed_at="2018-01-01",
                                     file="a.py")]
    warnings = []
    start(store, directory, check=True, warnings=warnings)
    assert "process 7 on c-2" in warnings[0]


def test_a_release_from_before_the_first_migration_has_none(store, tmp_path):
    store.entries = [dict(id="a")]
    assert start(store, tmp_path / "none", state="reported", gone="warn")["gone"] == ["a"]
    with pytest.raises(RollingError, match="cannot read the migrations in"):
        start(store, tmp_path / "none")


def test_ddl_of_mariadb(store, directory):
    add(directory, "a", '\ndef migration(nb_api):\n    nb_api.execute("DROP TABLE t")\n')
    with pytest.raises(RollingError, match=r"these migrations have such statements: a \(a.py\): DROP TABLE in line 7"):
        start(store, directory, kind="mariadb")
    assert "write" not in store.calls


def test_a_diff_is_bounded():
    changes = [_migrations.Change("t", str(number), None, {"x": "y" * 9000}) for number in range(150)]
    found = diff_of(changes)
    assert len(found) == 101 and found[-1] == dict(prepared="... 50 more objects change, see changes\n")
    assert len(found[0]["after"]) < 4100 and "more signs" in found[0]["after"] and found[0]["before"] == ""


def test_named():
    assert named("abc") == "a, b, c" and named(range(8)) == "0, 1, 2, 3, 4 and 3 more"


def test_who_runs():
    me = who()
    assert not is_gone(me)
    assert is_gone(dict(me, started="1"))
    process = subprocess.Popen(["true"])
    process.wait()
    assert is_gone(dict(me, pid=process.pid))
    # Of others nobody knows.
    for other in (dict(me, host="c-2"), dict(me, boot="x"), dict(me, space="pid:[1]")):
        assert not is_gone(dict(other, started="1"))
    assert not is_gone({})
