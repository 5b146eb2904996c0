# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import (
    Database,
    parse_environment_file,
    plain_host,
    read_environment_file,
    read_ini,
    read_option,
    settings_of_url,
)
from ansible_collections.shakenfist.rolling.tests.unit.environment_files import LINES
from oslo_config import cfg
from sqlalchemy.engine.url import make_url


@pytest.mark.parametrize("line, expected", LINES)
def test_lines(line, expected):
    if expected is None:
        with pytest.raises(RollingError, match="line 1 of the configuration .*correct that line"):
            parse_environment_file(line)
    else:
        assert parse_environment_file(line) == expected


def test_an_error_names_the_line_but_does_not_quote_it():
    with pytest.raises(RollingError) as caught:
        parse_environment_file('A="1"\nPASSWORD="secret\n', "/etc/sf/config")
    assert "line 2 of /etc/sf/config (PASSWORD)" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("text, line", [("# A \\\nB=1", 2), ("# x=y \\\n  B = 1\n", 2), ("A=1\n; A \\\nB=1", 3)])
def test_what_follows_a_comment_depends_on_the_version_of_systemd(text, line):
    with pytest.raises(RollingError, match=f"line {line} of the configuration comes after a comment that ends in "):
        parse_environment_file(text)


@pytest.mark.parametrize("text, expected", [(text, found) for text, found in LINES if found is not None])
def test_a_file_is_read_as_its_text(tmp_path, text, expected):
    (tmp_path / "config").write_bytes(text.encode())
    assert read_environment_file(str(tmp_path / "config")) == expected


@pytest.mark.parametrize("text", ["my secret", "my secret = x", "A=1\nmy secret\n", 'my secret = "x'])
def test_what_is_no_assignment_is_not_quoted(text):
    with pytest.raises(RollingError) as caught:
        parse_environment_file(text)
    assert "secret" not in caught.value.message


def test_read_a_file(tmp_path):
    path = tmp_path / "config"
    path.write_text('# comment\nSHAKENFIST_X="ü"\n', encoding="utf-8")
    assert read_environment_file(str(path)) == {"SHAKENFIST_X": "ü"}


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(RollingError, match=f"cannot read {tmp_path}/config: No such file"):
        read_environment_file(str(tmp_path / "config"))


@pytest.mark.parametrize("content, words", [
    (b"# f\xfcr\nA=b\n; \xff=\n", ""), (b"A=b\nB='f\xfcr'\n", r"line 2 of .* \(B\) has a byte or a character that is "),
    # What UTF-8 can write and no text may have, and what would end the text for systemd, even in a comment.
    ("A='\ufffe'".encode(), r"line 1 of .* \(A\) has a byte or a character that is not UTF-8 text"),
    ("A='\ufdd0'".encode(), r"line 1 of .* \(A\) has a byte or a character that is not UTF-8 text"),
    ("A='\U0001ffff'".encode(), r"line 1 of .* \(A\) has a byte or a character that is not UTF-8 text"),
    (b"A=b\n# \0", "line 2 of .* has a NUL byte, so systemd refuses the file: correct that line"),
    # To systemd, only blanks and tabs are blank: with these it passes over the variable.
    ("\u00a0A=b".encode(), "line 1 of .* is not of the form"),
    ("A\u00a0=b".encode(), "line 1 of .* is not of the form"),
    (b"\x0cA=b", "line 1 of .* is not of the form"),
    (b"\xff\xfe=", "line 1 of .* is not of the form")])
def test_only_in_a_comment_any_byte_will_do(tmp_path, content, words):
    path = tmp_path / "config"
    path.write_bytes(content)
    if words:
        with pytest.raises(RollingError, match=words):
            read_environment_file(str(path))
    else:
        assert read_environment_file(str(path)) == {"A": "b"}


@pytest.mark.parametrize("host, plain", [
    ("[FD00:0:0::1]", "fd00::1"), ("fd00::1", "fd00::1"), ("10.0.0.1", "10.0.0.1"), ("sf-1", "sf-1"),
    ("[sf-1]", "sf-1"), ("SF-1.Example", "SF-1.Example"), ("", ""),
])
def test_a_host_in_its_one_form(host, plain):
    assert plain_host(host) == plain


# ---- the INI files of OpenStack

URL = "mysql+pymysql://cinder:hunter2@10.0.0.9/cinder?charset=utf8"
PLACE = "database/connection in cinder.conf"


@pytest.fixture
def ini(tmp_path):
    """Write an INI file."""
    def write(text):
        (tmp_path / "cinder.conf").write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / "cinder.conf")
    return write


@pytest.mark.parametrize("text, expected", [
    (f"[database]\nconnection = {URL}\n", URL),
    (f"[database]\nconnection={URL}", URL),
    (f"[DEFAULT]\ndebug = true\n\n[database]\n# a comment\n; another\nconnection: {URL}\n", URL),
    (f"[database]\nconnection = '{URL}'\n", URL),
    (f'[database]\nconnection = "{URL}"\n', URL),
    ("[database]\nconnection = 'x\"\n", "'x\""),
    ("[database]\nconnection = '\n", ""),
    ("[database]\nconnection = a$$b\\$c$5%d%%e #f\n", "a$b$c$5%d%%e #f"),
    ("[database]\nconnection = \\$$$\n", "$$"),
    # The last one counts.
    ("[database]\nconnection = a\nconnection = b\n[DEFAULT]\nx = y\n[database]\nconnection = c\n", "c"),
    # What is in DEFAULT holds for no other section.
    ("[DEFAULT]\nconnection = a\n[database]\nx = y\n", ""),
    ("[DEFAULT]\nconnection = a\n", ""),
    ("[database]\nconnection =\n", ""),
    ("[database]\nx = fr\u00fch\nconnection = \u00fc\n", "\u00fc"),
    ("", ""),
])
def test_an_option_of_an_ini_file(ini, text, expected):
    path = ini(text)
    assert read_option(path, "database/connection") == expected
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt("connection", default=""), group="database")
    conf(args=[], default_config_files=[path], default_config_dirs=[])
    assert conf.database.connection == expected


@pytest.mark.parametrize("place", ["database", "", "database/", "/connection", "database/other"])
def test_an_option_that_is_not_there(ini, place):
    assert read_option(ini(f"[database]\nconnection = {URL}\n"), place) == ""


@pytest.mark.parametrize("text, words", [
    ("[database]\nx = y\nconnection hunter2\n", "line 3 is neither [SECTION] nor of the form KEY = VALUE, in a "),
    ("[database]\nconnection\n", "line 2 is neither"),
    ("[database]\n= hunter2\n", "line 2 is neither"),
    ("# A\npassword = hunter2\n", "line 2 is neither"),
    (b"[database]\nx = hunter2 \xfc\n", "it has a byte that is not UTF-8"),
])
def test_an_ini_file_that_is_none(ini, text, words):
    path = ini(text)
    with pytest.raises(RollingError) as caught:
        read_ini(path)
    assert caught.value.message.startswith(f"cannot read {path}: {words}") and "hunter2" not in caught.value.message


def test_no_ini_file(tmp_path):
    with pytest.raises(RollingError, match=f"cannot read {tmp_path}/none: No such file or directory"):
        read_ini(str(tmp_path / "none"))


@pytest.mark.parametrize("url, expected", [
    (URL, ("10.0.0.9", "", "cinder", "hunter2", "cinder")),
    ("mysql://cinder:hunter2@db:3307/cinder", ("db", "3307", "cinder", "hunter2", "cinder")),
    ("mariadb+mariadbconnector://cinder@[fd00::1]:3307/cinder", ("fd00::1", "3307", "cinder", "", "cinder")),
    ("mysql+pymysql://cinder:hunter2@[fd00::1]/cinder", ("fd00::1", "", "cinder", "hunter2", "cinder")),
    # Whatever is no @ need not be escaped in a password.
    ("mysql://cinder:a#b/c?d:e&f=[g@DB/cinder", ("DB", "", "cinder", "a#b/c?d:e&f=[g", "cinder")),
    ("mysql://c%40x:p%40%3a%2fw%25@db/cinder", ("db", "", "c@x", "p@:/w%", "cinder")),
    ("mysql://cinder:a+b@db/cinder", ("db", "", "cinder", "a+b", "cinder")),
    ("mysql://cinder:@db/cinder?x=/y", ("db", "", "cinder", "", "cinder")),
    ("mysql://db/cinder", ("db", "", "", "", "cinder")),
    ("mysql://db", ("db", "", "", "", "")),
    ("mysql+pymysql:///cinder?unix_socket=/run/mysqld/mysqld.sock", ("", "", "", "", "cinder")),
])
def test_the_url_of_a_database(url, expected):
    found = settings_of_url(url, PLACE)
    assert tuple(found[f"MARIADB_{key}"] for key in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")) == expected
    seen = make_url(url)
    assert tuple(str(part or "") for part in (
        seen.host, seen.port, seen.username, seen.password, seen.database)) == expected


def test_no_url():
    assert set(settings_of_url("", PLACE).values()) == {""}


@pytest.mark.parametrize("url, words", [
    ("postgresql+psycopg2://cinder:hunter2@db/cinder", ": it begins with postgresql+psycopg2://"),
    ("sqlite:////var/lib/cinder/hunter2", ": it begins with sqlite://"),
    ("cinder:hunter2@db/cinder", ""),
    ("hunter2", ""),
])
def test_the_url_of_another_database(url, words):
    with pytest.raises(RollingError) as caught:
        settings_of_url(url, PLACE)
    assert caught.value.message == f"{PLACE} is no URL of a MariaDB or MySQL server{words}"


def test_a_database_by_its_url(ini):
    database = Database(ini("[database]\nconnection = mysql://c:hunter2@db:3307/volumes\n"), "IGNORED_",
                        "database/connection")
    assert vars(database) == dict(config=database.config, key="database/connection ", host="db", port=3307, user="c",
                                  password="hunter2", name="volumes")
    words = database.unreachable(1045, "Access denied, not hunter2").message
    assert words == ("cannot reach MariaDB at db:3307 as c: access denied: Access denied, not ********. To fix it: "
                     f"correct database/connection USER and database/connection PASSWORD in {database.config}")


@pytest.mark.parametrize("url, words", [
    ("", "{config} does not set database/connection HOST, so this is no database node"),
    ("mysql:///cinder?unix_socket=/run/x", "{config} does not set database/connection HOST, so this is no"),
    ("mysql://c:hunter2@db:x/cinder", "database/connection PORT in {config} is 'x', which is no port: correct it"),
    ("mysql://c:hunter2@db:0/cinder", "database/connection PORT in {config} is '0', which is no port: correct it"),
    # What another product calls its own is no default here.
    ("mysql://db/cinder", "database/connection in {config} names no user: correct it"),
    ("mysql://c:hunter2@db", "database/connection in {config} names no database: correct it"),
    ("sqlite:///x", "database/connection in {config} is no URL of a MariaDB or MySQL server"),
])
def test_no_database_by_its_url(ini, url, words):
    config = ini(f"[database]\nconnection = {url}\n")
    with pytest.raises(RollingError) as caught:
        Database(config, connection="database/connection")
    assert caught.value.message.startswith(words.format(config=config)) and "hunter2" not in caught.value.message


@pytest.mark.parametrize("prefix", ["", "SHAKENFIST_"])
def test_a_database_by_its_variables(ini, prefix):
    database = Database(ini(f'{prefix}MARIADB_HOST="db"\n'), prefix)
    assert vars(database) == dict(config=database.config, key=f"{prefix}MARIADB_", host="db", port=3306,
                                  user="shakenfist", password="", name="shakenfist")
