# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import settings_files

GUNICORN = """# of Debian, \N{LATIN SMALL LETTER E WITH ACUTE}
CONFIG = {
 'mode': 'django',   # the old one
 'environment': {'mode': 'django'},
 'args': (
   '--bind=127.0.0.1:8080',
   '--workers=8',
 ),
}
"""
WSGI = GUNICORN.replace("'mode': 'django',   #", "'mode': 'wsgi',   #")
ENTRY = WSGI.replace("   '--workers=8',\n", "   '--workers=8',\n   'synnefo.webproject.wsgi',\n")
LAST = dict(title="the entry", kind="key", name="CONFIG", key="args", last="synnefo.webproject.wsgi")
MODE = dict(title="the mode", kind="key", name="CONFIG", key="mode", value="wsgi", needed=True)


@pytest.fixture
def run(run_module, tmp_path):
    def call(*checks, apply=False, check=False):
        return run_module(settings_files, check, checks=list(checks), apply=apply, backup=str(tmp_path / "backup"))
    return call


def brief(result):
    return [(os.path.basename(one["file"]), one["line"], one["found"], one["wanted"], one["problem"])
            for one in result["found"]]


def test_no_difference_where_none_was_asked_for(run_module, tmp_path):
    """With -vvv Ansible prints all of a result."""
    path = tmp_path / "synnefo"
    path.write_text(GUNICORN, encoding="utf-8")
    result = run_module(settings_files, checks=[dict(MODE, files=[str(path)])], _ansible_diff=False)
    assert result["found"] and "diff" not in result


@pytest.mark.parametrize("check, apply", [(False, False), (True, True), (False, True)])
def test_gunicorn(run, tmp_path, check, apply):
    path = tmp_path / "synnefo"
    path.write_text(GUNICORN)
    path.chmod(0o640)
    checks = [dict(one, files=[str(path)]) for one in (MODE, LAST)]
    result = run(*checks, apply=apply, check=check)
    assert not result["failed"] and result["changed"] is apply
    assert brief(result) == [("synnefo", 3, "'django'", "'wsgi'", ""),
                             ("synnefo", 7, "'--workers=8'", "'synnefo.webproject.wsgi' as its last element", "")]
    assert [one["needed"] for one in result["found"]] == [True, False]
    # Nothing of the lines around them, which may be secrets.
    assert result["diff"] == [dict(
        before_header=str(path), after_header=str(path), before=" 'mode': 'django',   # the old one\n",
        after=" 'mode': 'wsgi',   # the old one\n   'synnefo.webproject.wsgi',\n")]
    if check or not apply:
        assert path.read_text() == GUNICORN and result["backups"] == [] and not (tmp_path / "backup").exists()
        return
    assert path.read_text() == ENTRY and path.stat().st_mode & 0o777 == 0o640
    assert all(one["applied"] for one in result["found"])
    [copy] = result["backups"]
    assert copy.startswith(str(tmp_path / "backup")) and copy.endswith(str(path))
    with open(copy, encoding="utf-8") as stream:
        assert stream.read() == GUNICORN
    # Whatever has the password of the database in it: nobody else comes that far.
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "backup").iterdir()} == {0o700}
    # A copy beside it would be one more configuration.
    assert os.listdir(tmp_path / "backup") and sorted(os.listdir(tmp_path)).count("synnefo") == 1
    again = run(*checks, apply=True)
    assert not again["changed"] and again["found"] == [] and again["backups"] == []


@pytest.mark.parametrize("args, new", [
    ("('a', 'b')", "('a', 'b', 'synnefo.webproject.wsgi')"), ("['a']", "['a', 'synnefo.webproject.wsgi']"),
    ("()", "('synnefo.webproject.wsgi',)"), ("('synnefo.webproject.wsgi', 'b')", "('b', 'synnefo.webproject.wsgi')"),
    ("[\n  'a'\n]", "[\n  'a',\n  'synnefo.webproject.wsgi'\n]"), ("('x', 'synnefo.webproject.wsgi')", None)])
def test_the_last_element(run, tmp_path, args, new):
    path = tmp_path / "synnefo"
    path.write_text(f"CONFIG = {{'args': {args}}}\n")
    result = run(dict(LAST, files=[str(path)]), apply=True)
    assert len(result["found"]) == (1 if new else 0)
    assert path.read_text() == f"CONFIG = {{'args': {new or args}}}\n"


@pytest.mark.parametrize("content, found, problem", [
    ("CONFIG = {'args': args}\n", "args", "change it yourself"),
    ("print 'x'\n", "it is no Python that is understood here (line 1)", "change it yourself"),
    ("CONFIG = {**more}\nCONFIG['x'] = 1\n", None, None), ("CONFIG = dict(args=1)\n", None, None), ("", None, None)])
def test_what_is_not_understood(run, tmp_path, content, found, problem):
    path = tmp_path / "synnefo"
    path.write_text(content)
    result = run(dict(LAST, files=[str(path)]), apply=True)
    assert [(one["found"], one["problem"], one["applied"]) for one in result["found"]] == (
        [(found, problem, False)] if found else [])
    assert not result["changed"] and path.read_text() == content


def test_a_header_in_sites_of_apache(run, tmp_path):
    for name in ("a.conf", "b"):
        (tmp_path / name).write_text("ok\n  RequestHeader set X-Forwarded-Protocol \"https\"\n")
    check = dict(title="the header", kind="text", files=[f"{tmp_path}/*"], pattern="X-Forwarded-Proto(?:col)\\b",
                 value="X-Forwarded-Proto")
    result = run(check, apply=True)
    assert brief(result) == [(name, 2, "X-Forwarded-Protocol", "X-Forwarded-Proto", "") for name in ("a.conf", "b")]
    assert (tmp_path / "b").read_text() == "ok\n  RequestHeader set X-Forwarded-Proto \"https\"\n"
    assert run(check, apply=True)["found"] == []


ALLOCATOR = dict(title="the allocator", kind="setting", name="BACKEND_ALLOCATOR_MODULE", value="new.Filter")


def test_a_setting(run, tmp_path):
    first, second = tmp_path / "10-a.conf", tmp_path / "20-b.conf"
    first.write_text("BACKEND_ALLOCATOR_MODULE = 'other'\n")
    second.write_text("#BACKEND_ALLOCATOR_MODULE = 'x'\nBACKEND_ALLOCATOR_MODULE = \"old\"  # mine\n")
    check = dict(ALLOCATOR, files=[f"{tmp_path}/*.conf"])
    result = run(check, apply=True)
    assert brief(result) == [("20-b.conf", 2, "BACKEND_ALLOCATOR_MODULE = \"old\"",
                              "BACKEND_ALLOCATOR_MODULE = 'new.Filter'", "")]
    # Only the last one counts.
    assert second.read_text() == "#BACKEND_ALLOCATOR_MODULE = 'x'\nBACKEND_ALLOCATOR_MODULE = 'new.Filter'  # mine\n"
    assert first.read_text() == "BACKEND_ALLOCATOR_MODULE = 'other'\n"
    assert run(check, apply=True)["found"] == []


def test_a_setting_that_is_not_set(run, tmp_path):
    (tmp_path / "10-a.conf").write_text("X = 1\n")
    assert run(dict(ALLOCATOR, files=[f"{tmp_path}/*.conf"]), apply=True)["found"] == []
    hosts = dict(title="hosts", kind="setting", name="ALLOWED_HOSTS", files=[f"{tmp_path}/*.conf"],
                 add_to=str(tmp_path / "99-hosts.conf"))
    result = run(hosts, apply=True)
    assert brief(result) == [("99-hosts.conf", 0, "ALLOWED_HOSTS is not set", "ALLOWED_HOSTS = a value of your own",
                              "give it a value, or leave its default")]
    assert not result["changed"] and not (tmp_path / "99-hosts.conf").exists()
    assert run(dict(hosts, value=["a.example"]), apply=True)["changed"]
    assert (tmp_path / "99-hosts.conf").read_text() == "ALLOWED_HOSTS = ['a.example']\n"
    assert (tmp_path / "99-hosts.conf").stat().st_mode & 0o777 == 0o644
    assert run(dict(hosts, value=["a.example"]), apply=True)["found"] == []
    # What an operator has chosen stays, where no value is wanted.
    assert run(hosts)["found"] == []


VMAPI = dict(BACKEND="locmem", LOCATION="", KEY_PREFIX="vmapi")


@pytest.mark.parametrize("old, backend, location", [
    ("memcached://127.0.0.1:11211/?x=1", settings_files.MEMCACHED, "127.0.0.1:11211"), ("locmem:///", "locmem", "")])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_setting_in_the_place_of_others(run, tmp_path, old, backend, location, end):
    path = tmp_path / "20-api.conf"
    path.write_text(f"VMAPI_CACHE_BACKEND = '{old}'{end}")
    check = dict(title="caches", kind="setting", name="VMAPI_CACHE",
                 instead_of=["VMAPI_CACHE_BACKEND", "CACHE_BACKEND"], value=VMAPI, files=[str(path)])
    wanted = settings_files.written(dict(VMAPI, BACKEND=backend, LOCATION=location))
    result = run(check, apply=True)
    assert brief(result) == [("20-api.conf", 1, f"VMAPI_CACHE_BACKEND = '{old}'", f"VMAPI_CACHE = {wanted}", "")]
    assert path.read_text() == f"VMAPI_CACHE_BACKEND = '{old}'\nVMAPI_CACHE = {wanted}\n"
    assert run(check, apply=True)["found"] == []
    path.write_text("CACHE_BACKEND = backend()\n")
    assert run(check)["found"][0]["wanted"] == f"VMAPI_CACHE = {settings_files.written(VMAPI)}"
    path.write_text("")
    assert run(check)["found"] == []


def test_settings_that_are_no_python(run, tmp_path):
    (tmp_path / "a.conf").write_text("print 'x'\n")
    result = run(dict(ALLOCATOR, files=[f"{tmp_path}/*.conf"]), apply=True)
    assert result["found"][0]["problem"] == "look at it yourself" and not result["changed"]


def test_the_suffix_of_sites(run, tmp_path):
    available, enabled = tmp_path / "sites-available", tmp_path / "sites-enabled"
    available.mkdir()
    enabled.mkdir()
    for name in ("synnefo", "ok.conf", "two", "two.conf"):
        (available / name).write_text(name)
    (available / "folder").mkdir()
    (enabled / "synnefo").symlink_to("../sites-available/synnefo")
    (enabled / "own").symlink_to("/nowhere.conf")
    check = dict(title="suffix", kind="suffix", value=".conf", files=[f"{available}/*", f"{enabled}/*"])
    result = run(check, apply=True)
    assert [(one["file"][len(str(tmp_path)) + 1:], one["wanted"], bool(one["problem"])) for one in result["found"]] == [
        ("sites-available/synnefo", "synnefo.conf", False), ("sites-available/two", "two.conf", True),
        ("sites-enabled/own", "own.conf", False), ("sites-enabled/synnefo", "synnefo.conf", False)]
    assert sorted(os.listdir(available)) == ["folder", "ok.conf", "synnefo.conf", "two", "two.conf"]
    assert {name: os.readlink(enabled / name) for name in os.listdir(enabled)} == {
        "synnefo.conf": "../sites-available/synnefo.conf", "own.conf": "/nowhere.conf"}
    assert (enabled / "synnefo.conf").read_text() == "synnefo" and len(result["backups"]) == 3
    assert [one["wanted"] for one in run(check, apply=True)["found"]] == ["two.conf"]


def test_a_file_that_cannot_be_written(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, os.strerror(28))

    (tmp_path / "a").write_text(GUNICORN)
    monkeypatch.setattr(settings_files.os, "replace", fail)
    result = run(dict(MODE, files=[str(tmp_path / "a")]), apply=True)
    assert result["failed"] and result["msg"].startswith("cannot check the settings: the disk is full: ")
    assert (tmp_path / "a").read_text() == GUNICORN
