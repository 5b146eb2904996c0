# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import Database, settings
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import schema_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import schema_info

SECRET = "a=secret#1"
RECORD = {"tables": {"notes": 1}, "enums": {"os.kind": ["node"]}}


def throw(problem):
    raise problem


class MySQLError(Exception):
    pass


class FakeDriver:
    """Takes the place of PyMySQL. C(answers) are rows or an error, by a word of the statement."""

    MySQLError = MySQLError

    def __init__(self):
        self.answers = {"schema_versions": [("nodes", 1), ("notes", "2")],
                        "information_schema": [("os", "kind", "enum('node','note')")]}
        self.refusal = None
        self.arguments = None
        self.closed = 0
        self.rows = ()

    def connect(self, **arguments):
        self.arguments = arguments
        if self.refusal:
            throw(self.refusal)
        return SimpleNamespace(cursor=self.cursor, close=self.close)

    def cursor(self):
        return SimpleNamespace(execute=self.execute, fetchall=lambda: self.rows, close=lambda: None)

    def execute(self, statement):
        self.rows = next(answer for word, answer in self.answers.items() if word in statement)
        if isinstance(self.rows, Exception):
            raise self.rows

    def close(self):
        self.closed += 1


@pytest.fixture
def driver(monkeypatch):
    fake = FakeDriver()
    monkeypatch.setattr(part, "driver", fake)
    return fake


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.write_text(f'SHAKENFIST_MARIADB_HOST="10.0.0.9"\nMARIADB_USER="sf"\nSHAKENFIST_MARIADB_PASSWORD="{SECRET}"\n')
    return path


@pytest.fixture
def run(run_module, config):
    def start(check=False, **arguments):
        result = run_module(schema_info, check, config=str(config), prefix="SHAKENFIST_", **arguments)
        assert SECRET not in str(result)
        return result
    return start


@pytest.mark.parametrize("check", [False, True])
def test_a_schema(driver, run, check):
    result = run(check)
    assert not result["failed"] and not result["changed"]
    assert result["tables"] == {"nodes": 1, "notes": 2}
    assert result["schema"] == {"tables": result["tables"], "enums": {"os.kind": ["node", "note"]}}
    assert result["recorded"] == {}
    assert driver.closed == 1


def test_how_it_connects(driver, run, config):
    run()
    assert driver.arguments == dict(host="10.0.0.9", port=3306, user="sf", password=SECRET, database="shakenfist",
                                    charset="utf8mb4", connect_timeout=5, read_timeout=30, write_timeout=30)
    config.write_text('MARIADB_HOST="db"\nSHAKENFIST_MARIADB_PORT=3307\nMARIADB_DATABASE=sf2\n')
    run()
    found = driver.arguments
    assert (found["host"], found["port"], found["user"], found["password"], found["database"]) == (
        "db", 3307, "shakenfist", "", "sf2")


def test_a_database_without_a_schema(driver, run):
    driver.answers.update(schema_versions=MySQLError(1146, "Table 'shakenfist.schema_versions' doesn't exist"),
                          information_schema=[])
    result = run()
    assert not result["failed"] and result["schema"] == {"tables": {}, "enums": {}}


@pytest.mark.parametrize("column_type, values", [
    ("enum('a')", ["a"]),
    ("enum('a','b c','')", ["a", "b c", ""]),
    ("enum('it''s','a,b','(x)')", ["it's", "a,b", "(x)"]),
    (r"enum('back\\slash','new\nline','q\'x')", ["back\\slash", "new\nline", "q'x"]),
    ("enum('ü')", ["ü"]),
])
def test_enum_values(column_type, values):
    assert part.enum_values(column_type) == values


@pytest.mark.parametrize("text, expected", [
    (json.dumps(RECORD), RECORD),
    (None, None),
    ("{", None),
    ("\xff", None),
    ("[]", None),
    ('{"tables": {}}', None),
    ('{"tables": {}, "enums": []}', None),
])
def test_what_a_release_has_recorded(driver, run, tmp_path, text, expected):
    if text is not None:
        (tmp_path / ".rolling-schema.json").write_bytes(text.encode("latin-1"))
    result = run(releases=[str(tmp_path), str(tmp_path / "none")])
    assert result["recorded"] == {str(tmp_path): expected, str(tmp_path / "none"): None}
    assert result["backups"] == {str(tmp_path): None, str(tmp_path / "none"): None}


@pytest.mark.parametrize("build, expected", [
    ("VERSIONS = {'nodes': 1, 'notes': 2}", {"nodes": 1, "notes": 2}),
    ("print('hello')\nVERSIONS = {'nodes': 1}", {"nodes": 1}),
    ("import os\nVERSIONS = {'nodes': len(os.environ['SHAKENFIST_MARIADB_HOST'])}", {"nodes": 8}),
    ("VERSIONS = 1", None),
    ("VERSIONS = {'nodes': None}", None),
    ("OTHER = {}", None),
    ("raise SystemExit(1)", None),
])
def test_what_a_build_says_that_it_wants(driver, run, tmp_path, build, expected):
    release = tmp_path / "release"
    (release / "bin").mkdir(parents=True)
    (release / "build.py").write_text(build)
    python = release / "bin" / "python"
    # -I keeps the directory of the build off the path, as it is installed there in earnest.
    python.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "-B -I -c" ] || exit 9\ncd {release} && '
                      f'exec {sys.executable} -B -c "$4" "$5"\n')
    python.chmod(0o755)
    result = run(releases=[str(release), str(tmp_path / "none")], expected="build:VERSIONS")
    assert not result["failed"] and result["expects"] == {str(release): expected, str(tmp_path / "none"): None}
    assert sorted(path.name for path in release.iterdir()) == ["bin", "build.py"]
    assert run(releases=[str(release)])["expects"] == {str(release): None}


@pytest.mark.parametrize("where", ["build", "build:", "build:VERSIONS; import os", "build:A:B"])
def test_where_it_cannot_be_said(driver, run, where):
    result = run(expected=where)
    assert result["failed"] and f"expected is {where!r}, it must be MODULE:NAME" in result["msg"]


@pytest.mark.parametrize("record, expected", [
    (dict(path="/b.sql", restore="mariadb < /b.sql"), True), (dict(path="/b.sql"), False),
    (dict(path=1, restore=""), False),
])
def test_which_backup_is_recorded(driver, run, tmp_path, record, expected):
    (tmp_path / ".rolling-backup.json").write_text(json.dumps(record))
    assert run(releases=[str(tmp_path)])["backups"] == {str(tmp_path): record if expected else None}


@pytest.mark.parametrize("refusal, reason", [
    (MySQLError(1045, "Access denied for user 'sf'@'x' (using password: YES)"),
     "access denied: Access denied for user 'sf'@'x' (using password: YES). To fix it: correct "
     "SHAKENFIST_MARIADB_USER and SHAKENFIST_MARIADB_PASSWORD in {config}"),
    (MySQLError(1049, "Unknown database 'shakenfist'"),
     "there is no database shakenfist: Unknown database 'shakenfist'. To fix it: correct SHAKENFIST_MARIADB_DATABASE "
     "in {config}"),
    (MySQLError(1044, "Access denied"),
     "no access to the database shakenfist: Access denied. To fix it: correct SHAKENFIST_MARIADB_DATABASE in "
     "{config}, or grant access to it"),
    (MySQLError(2003, "Can't connect"),
     "no answer: Can't connect. To fix it: see that MariaDB runs there and that no firewall is between; the address "
     "is SHAKENFIST_MARIADB_HOST and SHAKENFIST_MARIADB_PORT in {config}"),
    (MySQLError("odd"), "failed: odd. To fix it: look at SHAKENFIST_MARIADB_* in {config}"),
    (RuntimeError("'cryptography' package is required"),
     "failed: 'cryptography' package is required. To fix it: look at SHAKENFIST_MARIADB_* in {config}"),
    (MySQLError(9999, f"leaks {SECRET}"),
     "failed: leaks ********. To fix it: look at SHAKENFIST_MARIADB_* in {config}"),
    (UnicodeEncodeError("latin-1", SECRET, 0, 1, "ordinal not in range(256)"), None),
])
def test_no_connection(driver, run, config, refusal, reason):
    driver.refusal = refusal
    result = run()
    assert result["failed"]
    begin = "cannot reach MariaDB at 10.0.0.9:3306 as sf: "
    if reason:
        assert result["msg"] == begin + reason.replace("{config}", str(config))
    else:
        assert result["msg"].startswith(begin + "failed: 'latin-1' codec can't encode")


@pytest.mark.parametrize("statement", ["schema_versions", "information_schema"])
def test_a_connection_that_is_lost(driver, run, statement):
    driver.answers[statement] = MySQLError(2013, "Lost connection to MySQL server during query (timed out)")
    result = run()
    assert result["failed"] and driver.closed == 1
    assert result["msg"] == ("MariaDB at 10.0.0.9:3306 let sf in, but did not answer about the schema of shakenfist: "
                             "Lost connection to MySQL server during query (timed out)")


@pytest.mark.parametrize("text, message", [
    ("", "does not set SHAKENFIST_MARIADB_HOST, so this is no database node: run this on a node of the database tier"),
    ('SHAKENFIST_MARIADB_HOST=""\nMARIADB_HOST=db\n', "so this is no database node"),
    ("MARIADB_HOST=db\nMARIADB_PORT=many\n", "is 'many', which is no port: correct it"),
    ("MARIADB_HOST=db\nMARIADB_PORT=65536\n", "is '65536', which is no port: correct it"),
    ("MARIADB_HOST=db\nMARIADB_PORT=0\n", "is '0', which is no port: correct it"),
    ("nonsense\n", "line 1 of "),
])
def test_a_configuration_that_does_not_do(driver, run, config, text, message):
    config.write_text(text)
    result = run()
    assert result["failed"] and message in result["msg"] and driver.arguments is None


def test_no_driver(run, monkeypatch):
    monkeypatch.setattr(part, "driver", None)
    result = run()
    assert result["failed"] and "PyMySQL" in result["msg"]


@pytest.mark.parametrize("variables, prefix, expected", [
    ({}, "P_", {}),
    ({"P_A": "1"}, "P_", {"A": "1"}),
    ({"A": "1"}, "P_", {"A": "1"}),
    ({"P_A": "1", "A": "2"}, "P_", {"A": "1"}),
    ({"A": "2", "P_A": ""}, "P_", {"A": ""}),
    ({"P_A": "1", "A": "2"}, "", {"P_A": "1", "A": "2"}),
])
def test_settings_with_and_without_the_prefix(variables, prefix, expected):
    assert settings(variables, prefix) == expected


def test_a_database_without_a_configuration(tmp_path):
    with pytest.raises(RollingError, match=f"cannot read {tmp_path}/none"):
        Database(str(tmp_path / "none"))
