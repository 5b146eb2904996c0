# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What needs no server; how it goes with a real one is in tests/tools/test_store_migrations.py.

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _store_mariadb
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import Change, who
from ansible_collections.shakenfist.rolling.plugins.module_utils._store_mariadb import (
    Connection,
    MariadbStore,
    Rows,
    Table,
    quoted,
)

SECRET = "a-secret"


def throw(problem):
    raise problem


class MySQLError(Exception):
    pass


class Server:
    """Answers statements, by a word of each: rows, or an error."""

    MySQLError = MySQLError

    def __init__(self):
        self.answers, self.asked, self.refusal, self.rowcount = {}, [], None, 1

    def connect(self, **arguments):
        assert arguments["password"] == SECRET and arguments["autocommit"]
        if self.refusal:
            throw(self.refusal)
        return SimpleNamespace(cursor=lambda: self, close=lambda: None, rollback=lambda: self.asked.append("rollback"))

    def execute(self, statement, values=None):
        self.asked.append(statement)
        self.rows = next((answer for word, answer in self.answers.items() if word in statement), ())
        if isinstance(self.rows, Exception):
            raise self.rows

    def fetchall(self):
        return self.rows

    def close(self):
        pass


@pytest.fixture
def server(monkeypatch):
    found = Server()
    monkeypatch.setattr(_store_mariadb, "driver", found)
    monkeypatch.setattr(_store_mariadb, "DOZE", 0.01)
    return found


@pytest.fixture
def store(server, tmp_path):
    config = tmp_path / "product.conf"
    config.write_text(f"[database]\nconnection = mysql://p:{SECRET}@10.0.0.9/product\n")
    found = MariadbStore(dict(config=str(config), prefix="", connection="database/connection", log_table="log",
                              lock_lease=30, timeout=5, keep=False))
    found.open()
    return found


def table(name="t", columns=("id", "x"), primary=("id",), generated=()):
    found = Table(name)
    found.columns, found.primary, found.generated = list(columns), list(primary), list(generated)
    return found


def test_a_table():
    assert quoted("a`b") == "`a``b`"
    assert table().statement() == "SELECT `id`, `x` FROM `t` ORDER BY `id`"
    assert table().key(dict(id=7, x=1)) == 7 and table(primary=("id", "x")).key(dict(id=7, x=1)) == (7, 1)


@pytest.mark.parametrize("name, key, value, said", [
    ("u", 1, {}, "there is no table u"),
    ("t", 1, [], "the row 1 of t is a list, not a dict"),
    ("t", 1, dict(id=1, y=2), "t has no columns y"),
    ("t", 1, dict(id=2), "the row 1 of t has another id in its columns id"),
    ("t", 1, dict(x=2), "the row 1 of t has another id in its columns id"),
])
def test_rows_that_cannot_be(name, key, value, said):
    with pytest.raises(ValueError, match=said):
        Rows(lambda dummy: {}, {"t": table()}).check(name, key, value)


def test_rows():
    read = []
    known = {"t": table(), "n": table("n", primary=())}
    found = Rows(lambda one: read.append(one.name) or {1: dict(id=1, x=2)}, known)
    assert found.count == 0 and found.tables() == ["t", "n"] and found.keys("none") == []
    assert found.load("t", 1) == dict(id=1, x=2) and found.load("t", 2) is None and found.keys("t") == [1]
    found.load("t", 1)["x"] = 9
    assert found.load("t", 1)["x"] == 2 and read == ["t"] and found.count == 1
    found.check("t", 1, dict(id=1))
    with pytest.raises(ValueError, match="the table n has no primary key"):
        found.keys("n")


def test_no_driver(monkeypatch):
    monkeypatch.setattr(_store_mariadb, "driver", None)
    with pytest.raises(RollingError, match="PyMySQL"):
        MariadbStore({})


def test_no_config(server):
    with pytest.raises(RollingError, match="store=mariadb needs config"):
        MariadbStore(dict(config=None))


def test_nothing_is_kept(server, store):
    assert store.kept() == [] and store.forget() is False
    with pytest.raises(RollingError, match="keep is for store=etcd"):
        MariadbStore(dict(store.params, keep=True))


def test_it_cannot_be_reached(server, store):
    server.refusal = MySQLError(1045, f"Access denied ({SECRET})")
    with pytest.raises(RollingError, match="cannot reach MariaDB at 10.0.0.9:3306 as p: access denied") as caught:
        Connection(store.database, 5)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("error, said", [
    (MySQLError(1205, "Lock wait timeout"), "did not do it: Lock wait timeout: another transaction has these rows"),
    (MySQLError(1020, "Record has changed"), "somebody has written in MariaDB since the tables were read"),
    (MySQLError(7, SECRET), r"did not do it: \*\*\*\*\*\*\*\*. Nothing was written. Correct the cause"),
    (OSError("gone"), "did not do it: gone"),
])
def test_what_mariadb_says(store, error, said):
    with pytest.raises(RollingError, match=said):
        with store.said("do it"):
            raise error


def test_the_log(server, store):
    server.answers = {"FROM `log`": ((7, None),)}
    server.description = [("id",), ("digest",)]
    assert store.log() == [dict(id="7", digest=None)]
    server.answers = {"FROM `log`": MySQLError(1146, "no such table")}
    assert store.log() == []
    server.answers = {"FROM `log`": MySQLError(1142, "denied")}
    with pytest.raises(RollingError, match="did not return the log of the migrations: denied"):
        store.log()
    assert store.interrupted() is None


def test_who_has_the_lock(server, store):
    server.answers = {"IS_USED_LOCK": ((None,),)}
    assert store.holder() is None
    server.answers = {"IS_USED_LOCK": ((7,),), "processlist": (("10.0.0.7:99", None),)}
    assert store.holder() == dict(host="10.0.0.7:99", pid=None, since=None, connection=7)
    statement = 'SELECT /*{"host": "c-2", "pid": 9, "since": "then"}*/ SLEEP(1)'
    server.answers["processlist"] = (("10.0.0.7:99", statement),)
    assert store.holder() == dict(host="c-2", pid=9, since="then", connection=7)
    server.answers["GET_LOCK"], server.answers["CONNECTION_ID"] = ((0,),), ((8,),)
    with pytest.raises(RollingError, match="process 9 on c-2 since then. Nothing was written by this one") as caught:
        with store.locked(who()):
            pass
    assert caught.value.details["holder"] == dict(host="c-2", pid=9, since="then")
    # The sessions of other users are hidden from one without PROCESS: it would wait, and call the store whole.
    server.answers["processlist"] = ()
    assert store.holder()["host"] == "session 7, of another user of MariaDB"
    with pytest.raises(RollingError, match="of another user of MariaDB since None. Nothing was written by this one"):
        with store.locked(who()):
            pass
    answers = iter([((7,),), (), ((None,),)])
    assert store.holder_of(SimpleNamespace(rows=lambda *dummy: next(answers))) is None


def changed(**more):
    return dict(dict(table="t", id=1, before=dict(id=1, x=2, g=3), after=dict(id=1, x=5, g=3)), **more)


@pytest.mark.parametrize("change, statement", [
    (changed(), "UPDATE `t` SET `x` = %s WHERE `id` = %s"),
    (changed(after=None), "DELETE FROM `t` WHERE `id` = %s"),
    (changed(before=None), "INSERT INTO `t` (`id`, `x`) VALUES (%s, %s)"),
])
def test_a_row_is_written(server, store, change, statement):
    store.put(table(columns=("id", "x", "g"), generated=("g",)), Change(**change))
    assert server.asked[-1] == statement
    server.rowcount = 0
    with pytest.raises(RollingError, match="MariaDB has 0 rows for the id 1 of t, not 1"):
        store.put(table(columns=("id", "x", "g"), generated=("g",)), Change(**change))


def test_a_row_that_says_less(server, store):
    store.put(table(), Change("t", 1, dict(id=1, x=2), dict(id=1)))
    assert not any("UPDATE" in one for one in server.asked)


@pytest.mark.parametrize("answers, said", [
    ({"FROM information_schema.columns c": (("t", "id", 1, 0, "int"), ("t", "y", 0, 0, "int"))},
     "the schema of t has changed while the migrations ran"),
    ({"transactions": (("t", "MyISAM"),)}, r"these tables know no transactions.*t \(MyISAM\)"),
    ({"FOR UPDATE": ((1, 9),)}, "somebody has written into t in MariaDB"),
    ({"IS_USED_LOCK": ((None,),)}, "the lock was lost, because its connection to MariaDB was"),
    ({"UPDATE `t`": MySQLError(1406, "Data too long")}, "did not take the rows: Data too long"),
    ({"COMMIT": MySQLError(2013, "Lost connection")}, "did not say whether it has committed.*All was written, or"),
])
def test_what_ends_a_write(server, store, answers, said):
    columns = (("t", "id", 1, 0, "int"), ("t", "x", 0, 0, "int"))
    server.answers = {"FROM information_schema.columns c": columns, "IS_USED_LOCK": ((8,),), "FOR UPDATE": ((1, 2),),
                      "SELECT column_name": (("id",),), "SELECT `id`": ((1, 2),)}
    store.lock_id = 8
    source = store.read()
    source.keys("t")
    server.answers.update(answers)
    with pytest.raises(RollingError, match=said):
        store.write(source, [Change("t", 1, dict(id=1, x=2), dict(id=1, x=3))], [dict(id="m", release="1")])
    assert ("rollback" in server.asked) == ("COMMIT" not in answers)
    assert "INSERT INTO `log` (`id`) VALUES (%s)" in server.asked or "COMMIT" not in answers
