# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# With the libraries of Cinder, and a database of SQLite that has the columns that are asked for.

from __future__ import annotations

import importlib.util
import socket
import sqlite3
import sys
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import units_info
from ansible_collections.shakenfist.rolling.plugins.modules import cinder_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit
from sqlalchemy import event
from sqlalchemy.engine import Engine

NOW = datetime(2026, 11, 21, 8, 15, 0)
EPOCH = NOW.replace(tzinfo=timezone.utc).timestamp()
TABLES = """
CREATE TABLE services (`binary` TEXT, host TEXT, disabled INT, disabled_reason TEXT, rpc_current_version TEXT,
                       object_current_version TEXT, updated_at TEXT, report_count INT, deleted INT);
CREATE TABLE volumes (id TEXT, status TEXT, host TEXT, updated_at TEXT, created_at TEXT, deleted INT);
CREATE TABLE snapshots (id TEXT, status TEXT, volume_id TEXT, updated_at TEXT, created_at TEXT, deleted INT);
CREATE TABLE backups (id TEXT, status TEXT, host TEXT, updated_at TEXT, created_at TEXT, deleted INT);
CREATE TABLE alembic_version (version_num TEXT);
INSERT INTO alembic_version VALUES ('daa98075b90d');
"""
PASTE = """
[composite:osapi_volume]
use = call:cinder.api:root_app_factory
/: apiversions
/healthcheck: healthcheck
[filter:odd]
backends = disable_by_file
disable_by_file_path = /odd
[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = {backends}
disable_by_file_path = {path}
"""


class Node:
    """A node of Cinder: its configuration, and the database.

    :ivar now: what time it is there, by the clock of the database.
    """

    def __init__(self, root, run_module):
        self.root, self.run_module, self.now = root, run_module, NOW
        self.config, self.paste, self.place = root / "cinder.conf", root / "api-paste.ini", root / "cinder.sqlite"
        self.database = sqlite3.connect(self.place, isolation_level=None)
        self.database.executescript(TABLES)
        self.configure("host = c-1", "enabled_backends = lvm, nfs")

    def configure(self, *lines, connection=None, more=""):
        url = f"sqlite:///{self.place}" if connection is None else connection
        self.config.write_text("\n".join(["[DEFAULT]", *lines, "[database]", f"connection = {url}", more, ""]))

    def put(self, table, ago=1, **columns):
        """A row that was updated so many seconds ago, or never."""
        moment = None if ago is None else str(NOW - timedelta(seconds=ago))
        columns = dict(dict(deleted=0, updated_at=moment), **columns)
        self.database.execute(f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in columns)}) "
                              f"VALUES ({', '.join('?' * len(columns))})", list(columns.values()))

    def beat(self, binary, host, ago=1, counted=1, **columns):
        """Have a service on record, with a heartbeat so many seconds ago; its start is none, and not counted."""
        which = "FROM services WHERE `binary` = ? AND host = ?", [binary, host]
        found = self.database.execute(f"SELECT report_count {which[0]}", which[1]).fetchone()
        self.database.execute(f"DELETE {which[0]}", which[1])
        self.put("services", ago, **dict(dict(
            binary=binary, host=host, disabled=0, rpc_current_version="3.18", object_current_version="1.39",
            report_count=(found[0] if found else 0) + counted), **columns))

    def look(self, check=False, **arguments):
        return self.run_module(cinder_info, check, **dict(dict(config=[str(self.config)]), **arguments))

    def settings(self, **arguments):
        result = self.look(**arguments)
        assert not result["failed"], result
        return result["settings"]


@pytest.fixture
def node(run_module, tmp_path):
    node = Node(tmp_path, run_module)

    def connected(connection, dummy):
        # The time of MariaDB, which SQLite has not.
        connection.create_function("UTC_TIMESTAMP", 0, lambda: str(node.now))

    event.listen(Engine, "connect", connected)
    yield node
    event.remove(Engine, "connect", connected)
    node.database.close()


# ---- the configuration

def test_what_cinder_itself_has_for_settings(node):
    node.configure()
    assert node.settings() == {
        "host": socket.gethostname(), "backends": [], "cluster": "", "port": 8776, "address": "", "disable_file": "",
        "coupled": False, "shut": False, "own": False,
        "service_down_time": 60, "report_interval": 10, "graceful_shutdown_timeout": 60}


def test_settings(node):
    node.configure("host = c-1", "enabled_backends = lvm, ceph,", "cluster = east", "osapi_volume_listen_port = 9776",
                   "service_down_time = 20", "report_interval = 5", "graceful_shutdown_timeout = 30",
                   "backup_use_same_host = on", more="[ceph]\nbackend_host = pool\n[lvm]\nvolume_group = x")
    assert node.settings() == {
        "host": "c-1", "backends": ["c-1@lvm", "pool@ceph"], "cluster": "east", "port": 9776, "address": "",
        "disable_file": "", "shut": False, "own": False, "service_down_time": 20, "report_interval": 5,
        "coupled": True, "graceful_shutdown_timeout": 30}


@pytest.mark.parametrize("listens, address", [
    ("10.1.0.1", "10.1.0.1"), ("fd00::1", "fd00::1"), ("0.0.0.0", ""), ("::", ""), ("127.0.0.1", ""), ("::1", ""),
    ("c-1", ""), ("$my_ip\nmy_ip = 10.1.0.1", "10.1.0.1"), ("$my_ip", "")])
def test_where_the_api_listens(node, listens, address):
    """At the loopback others would ask themselves. Cinder finds out my_ip itself, where it is not set."""
    node.configure(f"osapi_volume_listen = {listens}")
    assert node.settings()["address"] == address


def test_the_last_file_counts(node):
    other = node.root / "other.conf"
    other.write_text("[DEFAULT]\nhost = c-2\n")
    settings = node.settings(config=[str(node.config), str(other)])
    assert settings["host"] == "c-2" and settings["backends"] == ["c-2@lvm", "c-2@nfs"]


@pytest.mark.parametrize("backends, path, disable_file", [
    ("disable_by_file", "{root}/shut", "{root}/shut"), ("x, disable_by_file", "{root}/shut", "{root}/shut"),
    ("x", "{root}/shut", ""), ("disable_by_file", "", ""),
])
@pytest.mark.parametrize("named", ["", "api_paste_config = api-paste.ini", "api_paste_config = {root}/api-paste.ini"])
def test_the_file_that_fails_the_health_check(node, named, backends, path, disable_file):
    """Of a file that is named without its directory Cinder looks beside its configuration."""
    root = node.root
    node.configure(named.format(root=root))
    node.paste.write_text(PASTE.format(backends=backends, path=path.format(root=root)))
    expected = disable_file.format(root=root)
    settings = node.settings()
    assert settings["disable_file"] == expected and settings["shut"] is False
    (root / "shut").write_text("")
    assert node.settings()["shut"] is bool(expected)


@pytest.mark.parametrize("text", ["", "[app:healthcheck]\nbackends = disable_by_file\n", "[DEFAULT]\nx = y\n"])
def test_no_such_file(node, text):
    node.paste.write_text(text)
    assert node.settings()["disable_file"] == ""


def test_another_paste_file(node):
    node.configure("api_paste_config = $state_path/other.ini", f"state_path = {node.root}")
    node.paste.write_text(PASTE.format(backends="disable_by_file", path="/x"))
    assert node.settings()["disable_file"] == ""
    (node.root / "other.ini").write_text(PASTE.format(backends="disable_by_file", path="/y"))
    assert node.settings()["disable_file"] == "/y"


def test_a_paste_file_that_is_none(node):
    node.paste.write_text("[filter:authtoken]\npassword hunter2\n")
    result = node.look()
    assert result["failed"] and result["msg"].startswith(f"cannot read {node.paste}: line 2 is neither [SECTION] nor ")
    assert "hunter2" not in str(result)


@pytest.mark.parametrize("text, words", [
    ("[DEFAULT]\n[database]\nconnection hunter2\n",
     "cannot read {config}: line 3: No ':' or '=' found in assignment: correct that"),
    ("[DEFAULT\nx = hunter2\n", "cannot read {config}: line 1: Invalid section (must end with ]): correct that"),
    ("[DEFAULT]\nreport_interval = often\n", "cannot read {config}: Value for option report_interval "),
    ("[DEFAULT]\nosapi_volume_listen_port = 99999\n", "cannot read {config}: Value for option osapi_volume_listen_"),
    ("[DEFAULT]\nhost = f\xfcr\n".encode("latin-1"), "cannot read {config}: 'utf-8' codec can't decode byte 0xfc"),
    ("[database]\nconnection = mysql://c:hunter2@$of_another/c\n", "cannot read {config}: no such option of_another"),
    ("[DEFAULT]\nhost = c-1\n", "{config} does not set connection in section database, so nobody can be asked about "
                                "the services: this is a node of no service of Cinder's"),
    ("[database]\nconnection = hunter2\n",
     "connection in section database of {config} is no URL of a database that SQLAlchemy knows: correct it"),
    ("[database]\nconnection = mysql://c:hunter2@db:port/c\n",
     "connection in section database of {config} is no URL of a database that SQLAlchemy knows: correct it"),
    ("[database]\nconnection = nosuch://c:hunter2@db/c\n",
     "connection in section database of {config} is no URL of a database that SQLAlchemy knows: correct it"),
    ("[database]\nconnection = mysql+cymysql://c:hunter2@db/c\n",
     "connection in section database of {config} needs a driver that {python} does not have: No module named "),
])
def test_a_configuration_that_is_no_good(node, text, words):
    node.config.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = node.look()
    assert result["failed"] and result["msg"].startswith(words.format(config=node.config, python=sys.executable))
    assert "hunter2" not in str(result)


def test_no_configuration(node):
    result = node.look(config=[f"{node.root}/none", str(node.config)])
    assert result["failed"] and result["msg"].startswith(f"cannot read {node.root}/none, {node.config}: ")


# ---- what the database says

@pytest.mark.parametrize("check", [False, True])
def test_services(node, check):
    node.beat("cinder-volume", "c-1@lvm", 4.5)
    node.beat("cinder-volume", "c-1", 4)
    node.beat("cinder-volume", "c-2@lvm", 70, disabled=1, disabled_reason="upgrade", rpc_current_version="3.19")
    node.beat("cinder-scheduler", "c-1", None, disabled=None)
    node.beat("cinder-backup", "c-1", 5, deleted=1)
    result = node.look(check)
    assert not result["failed"] and not result["changed"]
    common = {"disabled": False, "reason": None, "rpc": "3.18", "object": "1.39"}
    assert result["services"] == [
        dict(common, binary="cinder-scheduler", host="c-1", here=True, age=None, updated=0),
        # Those of this node have a name for each backend.
        dict(common, binary="cinder-volume", host="c-1", here=False, age=4, updated=EPOCH - 4),
        dict(common, binary="cinder-volume", host="c-1@lvm", here=True, age=4.5, updated=EPOCH - 4.5),
        dict(common, binary="cinder-volume", host="c-2@lvm", here=False, age=70, updated=EPOCH - 70, disabled=True,
             reason="upgrade", rpc="3.19")]
    assert result["schema"] == "daa98075b90d" and result["work"] == [] and result["waited"] >= 0


def test_the_age_is_by_the_clock_of_the_database(node):
    node.beat("cinder-scheduler", "c-1", 5)
    node.now = NOW + timedelta(hours=1)
    row, = node.look()["services"]
    assert (row["age"], row["updated"]) == (3605, EPOCH - 5)
    node.now = NOW - timedelta(hours=1)
    assert node.look()["services"][0]["age"] == -3595


def test_an_empty_database(node):
    node.database.execute("DELETE FROM alembic_version")
    result = node.look()
    assert result["services"] == result["work"] == [] and result["schema"] == ""


def one(binary, kind, name, status, age):
    return dict(binary=binary, kind=kind, id=name, status=status, age=age)


VOLUME = ("creating", "downloading", "managing", "deleting", "extending", "uploading", "retyping", "reverting",
          "restoring-backup")


@pytest.mark.parametrize("table, status, listed", [
    *(("volumes", status, True) for status in VOLUME), *(("snapshots", status, True) for status in VOLUME[:4:3]),
    *(("backups", status, True) for status in ("creating", "restoring", "deleting")),
    ("volumes", "available", False), ("volumes", "in-use", False), ("volumes", "error", False),
    ("snapshots", "available", False), ("backups", "available", False), ("backups", "error", False),
])
def test_which_work_is_in_progress(node, table, status, listed):
    node.put("volumes", id="v", status="available", host="c-1@lvm#pool")
    row = dict(volume_id="v") if table == "snapshots" else dict(host="c-1" if table == "backups" else "c-1@nfs#pool")
    node.put(table, 3, id="x", status=status, **row)
    binary = "cinder-backup" if table == "backups" else "cinder-volume"
    assert node.look()["work"] == ([one(binary, table[:-1], "x", status, 3)] if listed else [])


def test_whose_work_it_is(node):
    created = str(NOW - timedelta(seconds=9))
    for name, row in {
            "here": dict(host="c-1@lvm#pool"), "plain": dict(host="c-1@nfs"), "new": dict(host="c-1@lvm#p", ago=None),
            "unknown": dict(host="c-1@lvm", ago=None, created_at=None), "there": dict(host="c-2@lvm#pool"),
            "nobody": dict(host=None), "foreign": dict(host="c-1@ceph#pool"), "gone": dict(host="c-1@lvm", deleted=1),
    }.items():
        node.put("volumes", id=name, status="creating", **dict(dict(created_at=created), **row))
    for name in ("here", "there"):
        node.put("snapshots", id=f"of {name}", status="creating", volume_id=name)
        node.put("snapshots", id=f"gone of {name}", status="creating", volume_id=name, deleted=1)
    for host in ("c-1", "c-2", "c-1@lvm"):
        node.put("backups", id=host, status="creating", host=host)
    assert {row["id"]: row["age"] for row in node.look()["work"]} == {
        "here": 1, "plain": 1, "new": 9, "unknown": 0, "of here": 1, "c-1": 1}


def test_a_node_without_backends(node):
    node.configure("host = c-1")
    node.beat("cinder-volume", "c-1")
    node.put("volumes", id="v", status="creating", host="c-1#pool")
    result = node.look()
    assert result["services"][0]["here"] and [row["id"] for row in result["work"]] == ["v"]


@pytest.mark.parametrize("table", ["services", "alembic_version"])
def test_a_database_that_is_another(node, table):
    node.database.execute(f"DROP TABLE {table}")
    result = node.look()
    assert result["failed"] and result["msg"] == (f"cannot ask the database sqlite:///{node.place}: no such table: "
                                                  f"{table}")


def test_a_database_that_cannot_be_reached(node):
    node.configure(connection=f"sqlite:///{node.root}/none/cinder.sqlite")
    result = node.look(timeout=60)
    assert result["failed"] and result["msg"] == (f"cannot ask the database sqlite:///{node.root}/none/cinder.sqlite: "
                                                  "unable to open database file")


def test_the_password_is_not_shown(node, monkeypatch):
    """The driver of SQLite takes no password, so it is in a URL of another one."""
    monkeypatch.setattr(cinder_info.Cinder, "look", lambda cinder: setattr(
        cinder, "place", cinder_info.sqlalchemy.engine.url.make_url("mysql://c:hunter2@db/cinder")) or cinder.rows("x"))
    result = node.look()
    assert result["failed"] and "hunter2" not in str(result)
    assert result["msg"].startswith("cannot ask the database mysql://c:********@db/cinder: ")


# ---- waiting

BEAT = dict(services=["cinder-volume", "cinder-scheduler"], beat_since=EPOCH + 0.5, timeout=5)


def beat_later(node, clock, *ago):
    """One of the services has a new heartbeat after each look; a negative time is one after now."""
    for name in ("c-1@lvm", "c-1@nfs"):
        node.beat("cinder-volume", name, 3)
    node.beat("cinder-scheduler", "c-1", 3)
    node.beat("cinder-volume", "c-2@lvm", -5)
    services = [("cinder-volume", "c-1@nfs"), ("cinder-scheduler", "c-1"), ("cinder-volume", "c-1@lvm")]
    clock.meanwhile = [lambda row=row, when=when: node.beat(*row, when) for row, when in zip(services, ago)]


def test_a_heartbeat_of_each_service(node, clock):
    beat_later(node, clock, -1, -1, -2)
    result = node.look(**BEAT)
    assert not result["failed"] and clock.naps == [cinder_info.INTERVAL] * 3
    assert {row["updated"] - EPOCH for row in result["services"] if row["here"]} == {1, 2}


@pytest.mark.parametrize("ago, silent", [
    ([], "cinder-volume on c-1@lvm, cinder-volume on c-1@nfs, cinder-scheduler on c-1"),
    # The second in which it was stopped may be one from before.
    ([-1, 0, -1], "cinder-scheduler on c-1"),
    ([-1, -1, None], "cinder-volume on c-1@lvm"),
])
def test_no_heartbeat(node, clock, ago, silent):
    beat_later(node, clock, *ago)
    result = node.look(**BEAT)
    assert result["failed"] and result["msg"] == (f"expected a new heartbeat of {silent} in the database within 5 s; "
                                                  "there is none")
    assert sum(clock.naps) == pytest.approx(5)
    assert len(result["services"]) == 4 and result["schema"] and result["settings"]["host"] == "c-1"


def test_what_a_service_writes_when_it_starts_is_no_heartbeat(node, clock):
    """cinder-volume does so before the process of a backend has even begun, and that may never work."""
    beat_later(node, clock, -1, -1)
    clock.meanwhile.append(lambda: node.beat("cinder-volume", "c-1@lvm", -1, counted=0))
    assert node.look(**BEAT)["msg"].startswith("expected a new heartbeat of cinder-volume on c-1@lvm in the database ")


def test_one_that_was_dead_before_need_not_send_one(node, clock):
    beat_later(node, clock, -1, -1)
    result = node.look(**BEAT, dead=["c-1@lvm"])
    assert not result["failed"] and len(clock.naps) == 2


@pytest.mark.parametrize("since, enough", [(EPOCH, True), (EPOCH + 0.001, False), (EPOCH - 0.5, True)])
def test_since_when_a_heartbeat_counts(node, clock, since, enough):
    node.beat("cinder-scheduler", "c-1", 5)
    clock.meanwhile = [lambda: node.beat("cinder-scheduler", "c-1", 0)]
    assert node.look(services=["cinder-scheduler"], beat_since=since, timeout=1)["failed"] is not enough


def test_a_service_that_is_not_on_record(node, clock):
    result = node.look(services=["cinder-backup"], beat_since=EPOCH, timeout=1)
    assert result["failed"] and "a new heartbeat of cinder-backup on c-1 in" in result["msg"]


def test_a_service_that_falls_ends_the_wait(node, clock, systemd, monkeypatch):
    monkeypatch.setattr(units_info, "time", clock)
    beat_later(node, clock)
    systemd.units = {"cinder-volume": [unit(), unit(InvocationID="run2", NRestarts="1")]}
    systemd.journal = "ImportError: os_brick"
    result = node.look(**BEAT, up_since={"cinder-volume": dict(after="run1")})
    assert result["failed"] and result["failed_units"] == ["cinder-volume"] and sum(clock.naps) == 1
    assert result["msg"].endswith("; cinder-volume is active (running), but was started again, by systemd 1 times. "
                                  "Its last words:\nImportError: os_brick")


IDLE = dict(services=["cinder-volume"], idle=True, timeout=5)


def test_work_that_ends(node, clock):
    node.put("volumes", 30, id="v", status="creating", host="c-1@lvm#pool")
    node.put("volumes", 2, id="new", status="creating", host="c-1@lvm#pool")
    node.put("volumes", 30, id="other", status="creating", host="c-2@lvm#pool")
    node.put("backups", 30, id="b", status="creating", host="c-1")
    clock.meanwhile = [lambda: None,
                       lambda: node.database.execute("UPDATE volumes SET status = 'available' WHERE id = 'v'")]
    result = node.look(**IDLE)
    assert not result["failed"] and len(clock.naps) == 2
    assert {row["id"] for row in result["work"]} == {"new", "b"}


@pytest.mark.parametrize("work_age, busy", [
    (2, "volume v creating for 30 s, volume w deleting for 2.5 s, backup b restoring for 30 s"),
    (5, "volume v creating for 30 s, backup b restoring for 30 s"),
    (29.5, "volume v creating for 30 s, backup b restoring for 30 s"),
    (30, ""),
])
def test_work_that_does_not_end(node, clock, work_age, busy):
    node.put("volumes", 30, id="v", status="creating", host="c-1@lvm#pool")
    node.put("volumes", 2.5, id="w", status="deleting", host="c-1@lvm#pool")
    node.put("backups", 30, id="b", status="restoring", host="c-1")
    result = node.look(**dict(IDLE, services=["cinder-volume", "cinder-backup"], work_age=work_age))
    assert result["failed"] is bool(busy) and len(result["work"]) == 3
    if busy:
        assert result["msg"] == ("expected cinder-volume and cinder-backup to come to the end of its work within 5 s: "
                                 + busy)


def test_both(node, clock):
    node.put("backups", 30, id="b", status="restoring", host="c-1")
    arguments = dict(services=["cinder-backup"], beat_since=EPOCH, idle=True, timeout=1)
    assert "a new heartbeat of cinder-backup" in node.look(**arguments)["msg"]
    node.beat("cinder-backup", "c-1", 5)
    clock.meanwhile = [lambda: node.beat("cinder-backup", "c-1", 0)]
    assert node.look(**arguments)["msg"].endswith("the end of its work within 1 s: backup b restoring for 30 s")
    clock.meanwhile = [lambda: node.beat("cinder-backup", "c-1", 0)]
    node.database.execute("DELETE FROM backups")
    assert not node.look(**arguments)["failed"]


def test_without_a_timeout_it_looks_once(node, clock):
    node.put("backups", 30, id="b", status="restoring", host="c-1")
    result = node.look(services=["cinder-backup"], beat_since=EPOCH, idle=True)
    assert not result["failed"] and len(result["work"]) == 1 and clock.naps == []


# ---- the libraries

@pytest.mark.parametrize("library", ["sqlalchemy", "oslo_config"])
def test_another_python(run_module, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    spec = importlib.util.spec_from_file_location("without_a_library", cinder_info.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = run_module(module)
    assert result["failed"] and "required Python library (oslo.config and SQLAlchemy)" in result["msg"]
