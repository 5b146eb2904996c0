# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import re
import shlex
import socket
import subprocess
import sys
from collections import namedtuple
from urllib.parse import quote

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import dump

PASSWORD = "a#b'c\"d\\e  f;$HOME `x`"
DUMP = "-- MariaDB dump\nCREATE TABLE `notes` (id INT);\n-- Dump completed on 2026-11-21  8:15:00\n"
RESTORED = "complete, and restored into a scratch schema with all 4 tables and 182 rows, which were not compared"
OTHERWISE = "take a backup yourself and pass -e schema_backup=never"

# What both programs do: note what they were called with, and what the option file was like.
PROGRAM = r"""#!/bin/sh
PATH=/usr/bin:/bin
cd "FAKE" || exit 9
name=$(basename "$0")
printf '%s\n' "$name $*" >>calls
env >>environment
case "$1" in --defaults-extra-file=*) options=${1#*=} ;; *) exit 9 ;; esac
stat -c %a "$options" >>modes
cp "$options" options
printf '%s\n' "$options" >options-path
fail() { [ -e "$1" ] || return 0; cat "$1" >&2; exit 1; }
"""
DUMPER = PROGRAM + r"""
for word; do case "$word" in --result-file=*) out=${word#*=} ;; esac; done
stat -c %a "$out" >>modes
[ ! -e cut-off ] || printf 'half' >"$out"
fail dump-fails
cat dump >"$out"
"""
CLIENT = PROGRAM + r"""
for word; do last=$word; done
case "$*" in
  *"COUNT(*)"*) cat rows ;;
  *"@@hostname"*) fail server-fails; cat server ;;
  *"schema_name"*) fail schemata-fails; cat schemata ;;
  *"--execute SELECT"*_rolling_check_*) cat restored ;;
  *"--execute SELECT"*) fail look-fails; cat look ;;
  *"--execute CREATE DATABASE"*) fail create-fails; printf '%s\n' "$last" >>schemas ;;
  *"--execute DROP DATABASE"*) fail drop-fails; printf '%s\n' "$last" >>schemas ;;
  *"foreign_key_checks"*) fail drop-table-fails ;;
  *--execute*) exit 9 ;;
  *) cat >stdin; fail restore-fails ;;
esac
"""


TABLES = "500000\tBASE TABLE\tnotes\n1500000\tBASE TABLE\todd `name\n0\tVIEW\tseen\n0\tBASE TABLE\tversion\n"


class Node:
    """A node with fake programs; C(fake) holds what they do and what they saw."""

    def __init__(self, root, run_module):
        self.run_module = run_module
        self.fake = root / "fake dir"
        self.bin = root / "bin"
        self.config = root / "config"
        self.directory = root / "back ups"
        self.fake.mkdir()
        self.bin.mkdir()
        self.configure()
        self.install("mariadb-dump", DUMPER)
        self.install("mariadb", CLIENT)
        self.set(dump=DUMP, look=TABLES, restored=TABLES, rows="182\n", server="db\t0\t/var/lib/mysql/\n",
                 schemata="shakenfist\n")

    def configure(self, **values):
        values = dict(dict(HOST="10.0.0.9", USER="sf", PASSWORD=PASSWORD), **values)
        # Between double quotes an EnvironmentFile has \ before these, and the module must undo that.
        self.config.write_text("".join(
            "SHAKENFIST_MARIADB_%s=\"%s\"\n" % (key, re.sub(r'(["\\$`])', r"\\\1", value))
            for key, value in values.items()))

    def install(self, name, text):
        (self.bin / name).write_text(text.replace("FAKE", str(self.fake)))
        (self.bin / name).chmod(0o755)

    def set(self, **files):
        for name, text in files.items():
            (self.fake / name.replace("_", "-")).write_text(text)

    def seen(self, name):
        path = self.fake / name
        return path.read_text() if path.exists() else ""

    def kept(self):
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    def run(self, check=False, **arguments):
        options = dict(config=str(self.config), prefix="SHAKENFIST_", directory=str(self.directory),
                       name="before-0.8.1")
        options.update(arguments)
        given = {key: value for key, value in options.items() if value is not None}
        result = self.run_module(dump, check, **given)
        assert PASSWORD not in str(result) + self.seen("calls") + self.seen("environment")
        if self.seen("options-path"):
            assert not os.path.exists(self.seen("options-path").strip())
        return result


@pytest.fixture
def node(run_module, tmp_path, monkeypatch):
    node = Node(tmp_path, run_module)
    monkeypatch.setenv("PATH", str(node.bin))
    # A client of the machine that runs the tests is not one of this node.
    monkeypatch.setattr(dump.AnsibleModule, "get_bin_path", lambda dummy, name: next(
        (str(path) for path in node.bin.iterdir() if path.name == name), None))
    return node


def test_a_dump(node):
    result = node.run()
    assert not result["failed"] and result["changed"], result
    path = result["path"]
    assert re.match(re.escape(f"{node.directory}/before-0.8.1-") + r"\d{8}T\d{6}Z\.sql$", path)
    assert node.kept() == [os.path.basename(path)]
    assert result["size"] == len(DUMP)
    assert result["verified"] == (f"{RESTORED}; the room for that was not checked, the server is db, not this node")
    with open(path, encoding="utf-8") as handle:
        assert handle.read() == DUMP == node.seen("stdin")
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(node.directory).st_mode & 0o777 == 0o700
    assert result["restore"] == ("mariadb --host 10.0.0.9 --port 3306 --user sf --password shakenfist < "
                                 + shlex.quote(path))


def test_how_the_programs_are_called(node):
    result = node.run()
    options = node.seen("options-path").strip()
    size, dumped, again, schemas, server, create, restore, look, count, drop = node.seen("calls").splitlines()
    partial = node.directory / f".{os.path.basename(result['path'])}.partial"
    assert dumped == (f"mariadb-dump --defaults-extra-file={options} --single-transaction --quick --routines "
                      f"--triggers --no-tablespaces --comments --result-file={partial} shakenfist")
    scratch = f"shakenfist_rolling_check_{os.getpid()}"
    client = f"mariadb --defaults-extra-file={options}"
    statement = f"{client} --batch --raw --skip-column-names --execute"
    assert size == again == f"{statement} {dump.TABLES} shakenfist"
    assert schemas == f"{statement} {dump.SCHEMAS}" and server == f"{statement} {dump.SERVER}"
    assert create == f"{statement} CREATE DATABASE `{scratch}`"
    assert restore == f"{client} {scratch}"
    assert look == f"{statement} {dump.TABLES} {scratch}"
    assert count == (f"{statement} SELECT (SELECT COUNT(*) FROM `notes`) + (SELECT COUNT(*) FROM `odd ``name`) + "
                     f"(SELECT COUNT(*) FROM `version`) {scratch}")
    assert drop == f"{statement} DROP DATABASE `{scratch}`"
    # The option file each time, and the dump while it grows.
    assert set(node.seen("modes").split()) == {"600"}


@pytest.mark.parametrize("password, line", [
    ("plain", 'password="plain"'),
    ("", 'password=""'),
    (PASSWORD, r'''password="a#b'c\"d\\e  f;$HOME `x`"'''),
    (" spaces ", 'password=" spaces "'),
    ("ends with \\", 'password="ends with \\\\"'),
    ("ü", 'password="ü"'),
])
def test_the_option_file(node, password, line):
    node.configure(HOST="localhost", PORT="3307", DATABASE="sf2", PASSWORD=password)
    result = node.run()
    assert node.seen("options").splitlines() == [
        "[mysql]", "connect-timeout=10", "[client]", "protocol=tcp", "default-character-set=utf8mb4",
        'host="localhost"', 'port="3307"', 'user="sf"', line]
    assert result["restore"].startswith(
        "mariadb --protocol tcp --host localhost --port 3307 --user sf --password sf2 < ")


def test_an_option_file_of_the_user_does_not_count(node, monkeypatch):
    monkeypatch.setenv("HOME", "/root")
    node.run()
    assert not re.search("^HOME=/root$", node.seen("environment"), re.MULTILINE)


def test_the_older_names_of_the_programs(node):
    (node.bin / "mariadb-dump").rename(node.bin / "mysqldump")
    (node.bin / "mariadb").rename(node.bin / "mysql")
    result = node.run()
    assert not result["failed"] and result["restore"].startswith("mysql --host")
    assert node.seen("calls").startswith("mysql ") and "\nmysqldump " in node.seen("calls")


@pytest.mark.parametrize("program", ["mariadb-dump", "mariadb"])
def test_a_program_that_is_not_installed(node, program):
    (node.bin / program).unlink()
    result = node.run()
    assert result["failed"] and result["msg"] == (
        f"{program} is not installed on this node: apt-get install mariadb-client, or {OTHERWISE}")


def test_check_mode(node):
    result = node.run(check=True)
    assert result["changed"] and not node.directory.exists()
    assert result["msg"] == (f"would dump the database shakenfist (4 tables, 2.0 MB) to {result['path']} and restore "
                             "it into a scratch schema to check it")
    assert node.seen("calls").count("\n") == 2
    assert node.run(check=True, scratch=False)["msg"].endswith(".sql")


ROOM = "/ on the database server has 2.4 MB free, it takes "


@pytest.mark.parametrize("free, logs, verified", [
    (2400000, 0, RESTORED),
    (2399999, 0, f"complete; not restored to check it, {ROOM}2.4 MB"),
    (2400000, 1, f"complete; not restored to check it, {ROOM}4.8 MB"),
])
def test_the_room_on_the_server_that_is_this_node(node, monkeypatch, free, logs, verified):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(dump.shutil, "disk_usage", lambda path: usage(free))
    node.set(server=f"{socket.gethostname()}\t{logs}\t/\n")
    assert node.run()["verified"] == verified and len(node.kept()) == 1
    assert ("CREATE DATABASE" in node.seen("calls")) is (verified == RESTORED)
    then = " and restore it into" if verified == RESTORED else f" and not restore it to check it, {ROOM}"
    assert then in node.run(check=True)["msg"]


def test_room_of_which_nothing_is_known(node):
    node.set(server=f"{socket.gethostname()}\t0\t{node.fake}/none\n")
    assert node.run()["verified"].startswith(f"{RESTORED}; the room for that was not checked, ")
    node.set(server_fails="ERROR 2013 (HY000): Lost connection\n")
    assert node.run(name="again")["verified"] == (
        f"{RESTORED}; the room for that was not checked, the server did not say where it has its data (ERROR 2013 "
        "(HY000): Lost connection)")


@pytest.mark.parametrize("error", [
    "ERROR 1114 (HY000) at line 3: The table 'notes' is full",
    "ERROR 1021 (HY000) at line 3: Disk full",
    'ERROR 1030 (HY000) at line 3: Got error 28 "No space left on device" from storage engine',
])
def test_a_server_that_becomes_full(node, error):
    node.set(restore_fails=error + "\n")
    result = node.run()
    assert not result["failed"] and node.kept() == [os.path.basename(result["path"])]
    assert result["verified"] == f"complete; not restored to check it, the database server has no room for it ({error})"
    assert len(node.seen("schemas").splitlines()) == 2


def test_a_table_that_comes_or_goes_during_the_dump(node):
    """It need not come back: not the one that was added, nor the one that was dropped."""
    (node.bin / "mariadb-dump").write_text((node.bin / "mariadb-dump").read_text().replace(
        'cat dump >"$out"', 'cat dump >"$out"; cat later >look'))
    node.set(look="0\tBASE TABLE\told\n" + TABLES, later="0\tBASE TABLE\tnew\n" + TABLES)
    assert node.run()["verified"].startswith(RESTORED)


def test_what_a_killed_dump_leaves_is_no_dump_and_goes_with_the_next(node):
    dumper = node.bin / "mariadb-dump"
    whole = dumper.read_text()
    dumper.write_text(whole.replace('cat dump >"$out"', 'cat dump >"$out"; kill -9 $KILLED'))
    program = [sys.executable, "-c", "import os, subprocess, sys; from ansible_collections.shakenfist.rolling.plugins"
               ".modules import dump\nclass Client:\n  dump = sys.argv[1]; database = type('', (), dict(name='sf'))\n"
               "  def run(self, *words):\n    os.environ['KILLED'] = str(os.getpid())\n"
               "    subprocess.run([words[0], '--defaults-extra-file=' + sys.argv[3], *words[1:]])\n"
               "dump.write_dump(Client(), sys.argv[2])"]
    node.directory.mkdir()
    (node.fake / "cnf").write_text("")
    path = node.directory / "before-0.8.1-20261121T081500Z.sql"
    killed = subprocess.run([*program, str(dumper), str(path), str(node.fake / "cnf")], check=False,
                            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert killed.returncode == -9
    left, = node.kept()
    assert left.startswith(".") and left.endswith(".partial")
    (node.fake / "options-path").unlink()
    dumper.write_text(whole)
    busy = node.directory / ".before-0.8.1-20261121T081501Z.sql.partial"
    with open(busy, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        result = node.run()
        assert node.kept() == [busy.name, os.path.basename(result["path"])]


def test_scratch_schemas_of_runs_that_were_killed(node):
    node.set(schemata="shakenfist\nshakenfist_rolling_check_7\nshakenfist_rolling_check_\nmine_rolling_check_7\n"
                      "shakenfist_rolling_check_7_kept\n")
    assert not node.run()["failed"]
    dropped = re.findall("DROP DATABASE `(.*)`", node.seen("calls"))
    assert dropped == ["shakenfist_rolling_check_7", f"shakenfist_rolling_check_{os.getpid()}"]
    name = "d" * 48 + "_rolling_check_7"
    node.configure(DATABASE=name)
    node.set(schemata=name + "\n")
    assert not node.run(name="longest")["failed"] and f"DROP DATABASE `{name}`" not in node.seen("calls")
    node.set(schemata_fails="ERROR 1227 (42000): Access denied\n")
    assert node.run(name="again")["verified"].startswith(RESTORED)


def test_without_a_scratch_schema(node):
    result = node.run(scratch=False)
    assert result["verified"] == "complete; not restored to check it"
    assert "DATABASE `" not in node.seen("calls")


@pytest.mark.parametrize("code", [1044, 1045, 1227])
def test_a_user_who_may_not_create_a_schema(node, code):
    node.set(create_fails=f"ERROR {code} (42000) at line 1: Access denied for user 'sf'@'%'\n")
    result = node.run()
    assert not result["failed"] and len(node.kept()) == 1
    assert result["verified"] == "complete; not restored to check it, user sf may not create a scratch schema"
    assert "DROP" not in node.seen("calls")


def test_a_scratch_schema_that_cannot_be_created(node):
    node.set(create_fails="ERROR 1290 (HY000) at line 1: The server is running with --read-only\n")
    result = node.run()
    assert result["failed"] and node.kept() == [os.path.basename(result["path"])]
    assert result["msg"] == (f"the dump {result['path']} is complete, but a scratch schema to check it in could not be "
                             "created: ERROR 1290 (HY000) at line 1: The server is running with --read-only")
    assert "DROP" not in node.seen("calls")


def test_a_dump_with_more_than_the_user_may_create(node):
    node.set(restore_fails="--------------\nCREATE DEFINER=root VIEW v\n--------------\n"
                           "ERROR 1227 (42000) at line 9: Access denied; you need\nSUPER\n")
    result = node.run()
    assert not result["failed"] and len(node.kept()) == 1
    assert result["verified"] == ("complete; not restored to check it, user sf may not create all of it in a scratch "
                                  "schema (ERROR 1227 (42000) at line 9: Access denied; you need SUPER)")
    assert len(node.seen("schemas").splitlines()) == 2


@pytest.mark.parametrize("files, reason", [
    (dict(restore_fails="--------------\nINSERT INTO notes VALUES ('private')\n--------------\n"
                        "ERROR 1064 (42000) at line 3: You have an error\n"),
     "ERROR 1064 (42000) at line 3: You have an error"),
    (dict(restore_fails=""), "it ended with 1 and said nothing"),
    (dict(restored="1\tBASE TABLE\tnotes\n0\tVIEW\tseen\n"),
     "expected 4 tables, odd `name, version did not come back"),
])
def test_a_dump_that_cannot_be_restored(node, files, reason):
    node.set(**files)
    result = node.run()
    assert result["failed"] and not result.get("changed")
    assert result["msg"] == f"the dump {result['path']} cannot be restored: {reason}. Fix that, or {OTHERWISE}"
    assert result["path"].endswith(".sql.unusable") and node.kept() == [os.path.basename(result["path"])]
    # Created, and dropped again.
    assert len(node.seen("schemas").splitlines()) == 2


def test_a_scratch_schema_that_stays(node, monkeypatch):
    warned = []
    monkeypatch.setattr(dump.AnsibleModule, "warn", lambda dummy, words: warned.append(words))
    node.set(drop_fails="ERROR 2013 (HY000): Lost connection\n")
    result = node.run()
    assert not result["failed"]
    scratch = f"shakenfist_rolling_check_{os.getpid()}"
    assert (f"the scratch schema {scratch} could not be dropped: ERROR 2013 (HY000): Lost connection. Drop it by hand: "
            f"DROP DATABASE `{scratch}`") in warned[-1]


def test_the_longest_name_of_a_database(node):
    node.configure(DATABASE="`" + "d" * 63)
    assert not node.run()["failed"]
    name = re.search("CREATE DATABASE `(.*)`", node.seen("calls")).group(1)
    assert name.startswith("``ddd") and name.endswith(f"_rolling_check_{os.getpid()}") and len(name) == 65


@pytest.mark.parametrize("files, reason", [
    (dict(dump_fails="mariadb-dump: Got errno 28 on write\n"), "failed: mariadb-dump: Got errno 28 on write. No dump"),
    (dict(dump_fails="mariadb-dump: Got errno 28 on write\n", cut_off=""), "failed: mariadb-dump: Got errno 28"),
    (dict(dump_fails=f"odd: {PASSWORD}\n"), "failed: odd: ********. No dump"),
    (dict(dump="CREATE TABLE"), "is cut off: its last line should begin with '-- Dump completed'. No dump"),
    (dict(dump=""), "is cut off"),
    (dict(dump=DUMP + "INSERT"), "is cut off"),
])
def test_a_dump_that_fails(node, files, reason):
    node.set(**files)
    result = node.run()
    assert result["failed"] and reason in result["msg"] and result["msg"].endswith(OTHERWISE)
    assert node.kept() == []


def test_only_the_tail_is_read(node):
    node.set(dump="x" * 10000 + "\n-- Dump completed\n\n")
    assert not node.run()["failed"]


@pytest.mark.parametrize("words, reason", [
    ("ERROR 1045 (28000): Access denied for user 'sf'@'10.0.0.1' (using password: YES)",
     "access denied: ERROR 1045 (28000): Access denied for user 'sf'@'10.0.0.1' (using password: YES). To fix it: "
     "correct SHAKENFIST_MARIADB_USER and SHAKENFIST_MARIADB_PASSWORD in {config}"),
    ("ERROR 2002 (HY000): Can't connect to server on '10.0.0.9' (115)",
     "no answer: ERROR 2002 (HY000): Can't connect to server on '10.0.0.9' (115). To fix it: see that MariaDB runs"),
    ("ERROR 2026 (HY000): TLS/SSL error: SSL is required", "no TLS: ERROR 2026"),
    ("mariadb: unknown option", "failed: mariadb: unknown option. To fix it: look at SHAKENFIST_MARIADB_*"),
])
def test_no_connection(node, words, reason):
    node.set(look_fails=words + "\n")
    result = node.run()
    assert result["failed"] and not node.directory.exists()
    assert result["msg"].startswith("cannot reach MariaDB at 10.0.0.9:3306 as sf: "
                                    + reason.replace("{config}", str(node.config)))


@pytest.mark.parametrize("free, enough", [(2000000, True), (1999999, False)])
def test_free_space(node, monkeypatch, free, enough):
    asked = []
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(dump.shutil, "disk_usage", lambda path: asked.append(path) or usage(free))
    result = node.run(directory=f"{node.directory}/to/be")
    assert result["failed"] is not enough and asked == [str(node.directory.parent)]
    if not enough:
        assert result["msg"] == (f"the database shakenfist takes 2.0 MB, and {node.directory}/to/be has only 2.0 MB "
                                 "free: make room there, or choose another directory for the dump")
        assert "mariadb-dump" not in node.seen("calls") and not node.directory.exists()


def test_a_directory_that_is_there_stays_as_it_is(node):
    node.directory.mkdir(mode=0o755)
    assert not node.run()["failed"]
    assert node.directory.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("arguments, message", [
    (dict(name="a/b"), "name is 'a/b', which cannot begin the name of a file"),
    (dict(name=".."), "name is '..'"),
    (dict(name=" "), "name is ' '"),
    (dict(directory="backups"), "directory is 'backups': give an absolute path"),
])
def test_wrong_arguments(node, arguments, message):
    result = node.run(**arguments)
    assert result["failed"] and result["msg"].startswith(message) and not node.seen("calls")


def test_a_directory_that_is_a_file(node):
    node.directory.write_text("")
    result = node.run()
    assert result["failed"] and result["msg"] == f"{node.directory} is no directory: choose another one for the dump"


def test_a_directory_that_cannot_be_made(node, monkeypatch):
    def refuse(path, dummy):
        raise PermissionError(13, "Permission denied", path)
    monkeypatch.setattr(dump, "make_directory", refuse)
    result = node.run()
    assert result["failed"]
    assert result["msg"] == f"cannot write the dump: {node.directory}: Permission denied"


def test_no_database_node(node):
    node.configure(HOST="")
    result = node.run()
    assert result["failed"] and "so this is no database node" in result["msg"] and not node.seen("calls")


def test_a_configuration_that_has_a_url(node):
    node.config.write_text(f"[DEFAULT]\nmy_ip = x\n[database]\nconnection = mysql+pymysql://cinder:"
                           f"{quote(PASSWORD, safe='')}@db:3307/volumes?charset=utf8\n")
    result = node.run(connection="database/connection", name="before-24.5.0")
    assert not result["failed"] and result["path"].startswith(f"{node.directory}/before-24.5.0-")
    assert node.seen("options").splitlines()[-4:] == [
        'host="db"', 'port="3307"', 'user="cinder"', r'''password="a#b'c\"d\\e  f;$HOME `x`"''']
    assert result["restore"].startswith("mariadb --host db --port 3307 --user cinder --password volumes < ")
    assert "CREATE DATABASE `volumes_rolling_check_" in node.seen("calls")


def test_a_configuration_without_the_url(node):
    node.config.write_text("[database]\nbackend = sqlalchemy\n")
    result = node.run(connection="database/connection")
    assert result["failed"] and not node.seen("calls")
    assert result["msg"].startswith(f"{node.config} does not set database/connection HOST, so this is no database node")


# ---- the way back

WHOLE = ("-- MariaDB dump\nDROP TABLE IF EXISTS `notes`;\nCREATE TABLE `notes` (id INT);\nCREATE TABLE `odd ``name` (\n"
         "/*!50001 CREATE VIEW `seen` AS SELECT 1 */;\n-- Dump completed on 2026-11-21  8:15:00\n")


@pytest.fixture
def made(node):
    node.directory.mkdir()
    path = node.directory / "before-5.0.0-20261121T081500Z.sql"
    path.write_text(WHOLE)
    return path


def test_a_database_becomes_what_the_dump_says(node, made):
    node.set(look=TABLES + "0\tVIEW\tnew view\n0\tBASE TABLE\tnew `table\n")
    result = node.run(name=None, restore=str(made))
    assert not result["failed"] and result["changed"] and result["path"] == str(made)
    assert node.seen("stdin") == WHOLE and node.kept() == [made.name]
    dropped = [line.partition("checks = 0; ")[2] for line in node.seen("calls").splitlines() if "DROP" in line]
    assert dropped == ["DROP TABLE `new ``table` shakenfist", "DROP VIEW `new view` shakenfist",
                       "DROP TABLE `version` shakenfist"]


def test_check_mode_restores_nothing(node, made):
    result = node.run(check=True, restore=str(made))
    assert result["changed"] and not node.seen("stdin") and "DROP" not in node.seen("calls")


@pytest.mark.parametrize("text", [None, DUMP[:40]])
def test_what_is_no_whole_dump_is_not_restored(node, made, text):
    made.unlink() if text is None else made.write_text(text)
    result = node.run(restore=str(made))
    assert result["failed"] and result["msg"].startswith(f"{made} is no whole dump") and not node.seen("calls")


@pytest.mark.parametrize("file", ["restore_fails", "drop_table_fails"])
def test_a_restore_that_fails(node, made, file):
    node.set(**{file: "ERROR 1205 (HY000): Lock wait timeout exceeded"})
    result = node.run(restore=str(made))
    assert result["failed"] and "could not be restored from" in result["msg"] and "ERROR 1205" in result["msg"]
    assert "start nothing that uses it: mariadb --host 10.0.0.9 --port 3306 --user sf --password shakenfist < " in (
        result["msg"])


def test_the_database_is_not_there(node, made):
    node.set(look_fails="ERROR 2002 (HY000): Can't connect to server")
    assert node.run(restore=str(made))["failed"] and not node.seen("stdin")


def test_neither_a_name_nor_a_dump(node):
    assert "one of the following is required: name, restore" in node.run(name=None)["msg"]
