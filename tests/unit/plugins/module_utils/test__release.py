# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import pathlib
import re
import subprocess
import time
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common, _release
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import (
    Pip,
    canonical,
    check_lock,
    distributions,
    exclusively,
    explain,
    explain_build,
    hide_credentials,
    inspect,
    installed,
    is_sdist,
    pick,
    read_script,
    require_pip,
    script_words,
    settings_in,
    unbuilt,
)
from ansible_collections.shakenfist.rolling.plugins.modules import wheelhouse
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry


def answer(rc=0, out="", err=""):
    return lambda dummy: (rc, out, err)


@pytest.mark.parametrize("run, message", [
    (answer(rc=1, err="no module named encodings"), r"its python failed \(rc 1\): no module named encodings"),
    (answer(rc=2, out="said on stdout"), r"its python failed \(rc 2\): said on stdout"),
    (answer(out="Hello"), "its python printed 'Hello'"),
    (answer(out='{"version": null, "record": null, "pip": null, "python": "3.11.2"}'), "shakenfist is not installed"),
])
def test_a_virtualenv_that_is_no_good(venv, run, message):
    with pytest.raises(RollingError, match=message):
        inspect(run, str(venv("venv")), "shakenfist")


def test_a_virtualenv_without_python(tmp_path):
    with pytest.raises(RollingError, match="is broken: .*/bin/python is missing or does not run"):
        inspect(answer(), str(tmp_path), "shakenfist")


def test_a_script_of_a_release(venv, tmp_path):
    root = venv("release")
    words = [f"{root}/bin/python", f"{root}/bin/sf-ctl", "run", "--all"]
    assert script_words(str(root), ["sf-ctl", "run", "--all"]) == words
    (tmp_path / "config").write_text("A=b\n")
    assert read_script(str(root), ["sf-ctl", "run", "--all"], str(tmp_path / "config")) == (words, {"A": "b"})


@pytest.mark.parametrize("command, message", [
    (["sf-none"], "there is no .*/release/bin/sf-none: is the release staged on this node?"),
    ([], "command is empty: it begins with the name of a script of the release"),
])
def test_a_script_that_is_not_there(venv, command, message):
    with pytest.raises(RollingError, match=message):
        script_words(str(venv("release")), command)


@pytest.mark.parametrize("version, fine", [
    ("22.2", True), ("23.0.1", True), ("24.1b1", True), ("100.0", True),
    ("22.1.2", False), ("9.0", False),
])
def test_require_pip(version, fine):
    if fine:
        require_pip({"pip": version}, "/venv")
    else:
        with pytest.raises(RollingError, match="22.2 or later is needed: run /venv/bin/python -m pip install"):
            require_pip({"pip": version}, "/venv")


def test_without_pip_it_cannot_upgrade_itself():
    with pytest.raises(RollingError, match="/venv has no pip; .*: run /venv/bin/python -m ensurepip --upgrade"):
        require_pip({"pip": None}, "/venv")


def test_installed():
    report = {"install": [
        entry("shakenfist", "0.8.1", "aa"),
        {"metadata": {"name": "old", "version": "1"}, "download_info": {"archive_info": {"hash": "sha256=bb"}}},
        {"metadata": {"name": "from-git", "version": "2"}, "download_info": {"vcs_info": {}}},
    ]}
    assert installed(report) == [
        {"name": "shakenfist", "version": "0.8.1", "sha256": "aa"},
        {"name": "old", "version": "1", "sha256": "bb"},
        {"name": "from-git", "version": "2", "sha256": ""},
    ]
    assert installed({}) == []


@pytest.mark.parametrize("name, expected", [("Shaken_Fist", "shaken-fist"), ("a.b", "a-b"), ("a-b", "a-b"),
                                            ("a-_.b", "a-b")])
def test_canonical(name, expected):
    assert canonical(name) == expected


def test_pick():
    packages = [{"name": "jinja2"}, {"name": "Shaken_Fist"}]
    assert pick(packages, "shaken-fist") is packages[1]
    assert pick(packages, "absent") is None


@pytest.mark.parametrize("url, hidden", [
    (None, set()),
    ("", set()),
    ("http://db:8080/simple/", set()),
    ("http://me:hunter2@db/simple/", {"hunter2"}),
    ("https://a-token@db/simple/", {"a-token"}),
    ("https://a-token:@db/simple/", {"a-token"}),
    ("https://a-token-as-the-name:x-oauth-basic@db/simple/", {"a-token-as-the-name", "x-oauth-basic"}),
    ("http://me:hunter%402@db/simple/", {"hunter%402", "hunter@2"}),
])
def test_credentials_of_an_index_are_hidden(url, hidden):
    # Of an option with no_log, AnsibleModule hides the whole value.
    module = SimpleNamespace(params=dict(index_url=url), no_log_values={url} - {None, ""})
    hide_credentials(module)
    assert module.no_log_values == hidden


def free(directory):
    handle = os.open(_common.turn_of(directory), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def test_exclusively(tmp_path):
    with pytest.raises(ValueError), exclusively(tmp_path):
        assert not free(tmp_path)
        raise ValueError
    assert free(tmp_path)


def test_a_command_that_outlives_its_module_keeps_others_out(tmp_path):
    with exclusively(tmp_path) as handle:
        command = subprocess.Popen(["sleep", "60"], pass_fds=[handle])
    assert not free(tmp_path)
    command.kill()
    command.wait()
    assert free(tmp_path)


@pytest.mark.parametrize("entry_of", [
    dict(name="-r x"), dict(name="a b"), dict(name=""), dict(name="a\n--index-url"), dict(version=""),
    dict(version="1 --pre"), dict(sha256="AB"), dict(sha256="a" * 63),
])
def test_a_lock_that_is_none(entry_of):
    good = dict(name="Shaken_Fist.2", version="1!1.0rc1+local-2", sha256="a" * 64)
    check_lock([good])
    with pytest.raises(RollingError, match="which cannot be a package with its version and digest"):
        check_lock([good, dict(good, **entry_of)])


def test_distributions(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/sh")
    run = answer(out='{"Shaken_Fist": {"version": "1", "requires": ["flask"]}}')
    assert distributions(run, str(tmp_path)) == {"shaken-fist": {"version": "1", "requires": ["flask"]}}


# What pip says in most cases is tried with a real one, in the tests of the modules.
@pytest.mark.parametrize("output, words", [
    ("ERROR: something else", None),
    ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    flask from http://db/flask.whl:\n"
     "        Expected sha256 aa\n        Expected     or bb\n             Got        cc\n",
     r"the wheel of flask .* \(expected sha256 aa, got cc\)"),
    ("ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:\n"
     "    flask<4,>=3 (from shakenfist==0.8.1)\n", r"needs flask<4,>=3, which .* /venv/bin/python -m pip install"),
    ("Traceback\nzipfile.BadZipFile: File is not a zip file", "the wheel that this node was given is damaged"),
    ("ERROR: flask has an invalid wheel, could not read", "the wheel that this node was given is damaged"),
])
def test_explain(output, words):
    if words:
        assert re.search(words, explain(output, "/venv"))
    else:
        assert explain(output, "/venv") is None


@pytest.mark.parametrize("output, lock, words", [
    ("ERROR: THESE PACKAGES DO NOT MATCH\n    flask==3 from http://i/flask.whl#sha256=aa (from shakenfist==1):\n"
     "        Expected sha256 aa\n             Got        bb\n", None,
     r"the wheel of flask is not the one that the index itself names \(expected sha256 aa, got bb\)"),
    ("ERROR: Ignored the following versions that require a different python version: 2.9 Requires-Python >=3.1; 3 "
     "Requires-Python >=3.15; 30 Requires-Python >=3.16\nERROR: No matching distribution found for flask==3",
     [dict(name="Flask", version="3")], "^flask 3 needs Python >=3.15, this node has another: the lock was"),
    ("ERROR: No matching distribution found for flask==3", [dict(name="Flask", version="3")], "^flask==3 was resolved"),
    ("ERROR: No matching distribution found for flask>=3", [], "^this node needs flask>=3, which the release's lock"),
    ("ERROR: No matching distribution found for flask>=3 (from shakenfist)\nmore", [],
     "^this node needs flask>=3, which the release's lock.* pip install 'flask>=3'$"),
    ("ERROR: Package 'flask' requires a different Python: 3.11.2 not in '>=3.15'", [],
     "^flask needs Python >=3.15, this node has 3.11.2: the lock was"),
    ("ERROR: something else", [], None),
])
def test_explain_what_was_to_be_installed(output, lock, words):
    found = explain(output, "/venv", lock)
    assert re.search(words, found) if words else found is None


# ---- sdists

@pytest.mark.parametrize("url, expected", [
    ("http://i/odd-1.0.tar.gz#sha256=aa", True), ("file:///x/odd-1.0.zip", True),
    ("http://i/odd-1.0-py3-none-any.whl", False),
    ("", False),
])
def test_is_sdist(url, expected):
    assert is_sdist({"download_info": {"url": url}}) == expected


@pytest.mark.parametrize("progress, output, expected", [
    ("", "ERROR: No matching distribution found for flask", ""),
    ("Collecting flask\n  Downloading flask-3-py3-none-any.whl (9 kB)\nCollecting odd==1.0\n  Downloading "
     "odd-1.0.tar.gz (1 kB)",
     "error: subprocess-exited-with-error", "odd-1.0"),
    ("Processing ./links/odd_thing-1.0.zip", "error: metadata-generation-failed", "odd_thing-1.0"),
    ("Collecting a\n  Using cached a-1.tar.gz\nCollecting b\n  Using cached b-2.tar.gz",
     "ERROR: Failed building wheel for a\nERROR: Failed to build a", "a-1"),
    ("Collecting a", "ERROR: Failed building wheel for a", "a"),
    ("Collecting odd>=1", "error: metadata-generation-failed", "odd>=1"),
    ("", "error: metadata-generation-failed", "a package"),
])
def test_unbuilt(progress, output, expected):
    assert unbuilt(progress, output) == expected


@pytest.mark.parametrize("output, words", [
    ("× pip subprocess to install build dependencies did not run successfully.\nERROR: No matching distribution "
     "found for "
     "setuptools>=40.8.0", r"what it needs to be built \(setuptools>=40.8.0\) cannot be found from here"),
    ("× installing build dependencies did not run successfully.", r"what it needs to be built \(see below\) cannot"),
    ("× Building wheel for odd (pyproject.toml) did not run successfully.\ngcc: not found", "on this node: see "
                                                                                            "below. Build it"),
])
def test_explain_build(output, words):
    found = explain_build(output, "odd-1.0", "/venv")
    assert re.search(words, found)
    assert found.startswith("odd-1.0 is offered as an sdist only") and "pip wheel --no-deps 'odd==1.0'" in found
    assert "--no-build-isolation" in found and "virtualenv differs" not in found
    assert "pip wheel --no-deps 'odd>=1'" in explain_build(output, "odd>=1", "/venv")
    # Where it was passed already, it is no advice.
    assert explain_build(output, "odd-1.0", "/venv", isolated=False).endswith("or into the directory of stage_source")


def test_settings_of_pip():
    output = ("global.index-url='https://me:x@db/simple'\nglobal.find-links='\\n/a\\n/b'\ninstall.no-deps='true'\n"
              ":env:.no_index='1'\nodd line\nglobal.timeout=not quoted\n")
    assert settings_in(output) == {
        "global": {"index-url": "https://me:x@db/simple", "find-links": "\n/a\n/b", "timeout": "not quoted"},
        "install": {"no-deps": "true"}, ":env:": {"no-index": "1"}}


# ---- since when a release is active

@pytest.fixture
def active(tmp_path):
    """A virtualenv, and its RECORD, that were written an hour ahead of the clock."""
    (tmp_path / "release").mkdir()
    (tmp_path / "venv").symlink_to(tmp_path / "release")
    record = tmp_path / "release" / "RECORD"
    record.write_text("")
    ahead = time.time() + 3600
    os.utime(record, (1000, 1000))
    os.utime(tmp_path / "venv", (ahead, ahead), follow_symlinks=False)
    return str(tmp_path / "venv"), str(record)


def test_the_note_counts(active):
    _release.note_activation(*active)
    since, ahead = _release.active_since(*active)
    assert since == pytest.approx(time.time(), abs=60) and ahead == 0


@pytest.mark.parametrize("which", [0, 1])
def test_who_writes_after_it_outdates_the_note(active, which):
    _release.note_activation(*active)
    later = time.time() + 7200
    os.utime(active[which], (later, later), follow_symlinks=False)
    since, ahead = _release.active_since(*active)
    assert since == pytest.approx(later) and 7190 <= ahead <= 7200


def test_after_a_reboot_everything_is_new(active, monkeypatch):
    _release.note_activation(*active)
    monkeypatch.setattr(_release, "boot_id", lambda: "another")
    since, ahead = _release.active_since(*active)
    assert since == pytest.approx(time.time() - time.monotonic(), abs=60) and ahead == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boot": ""}', '{"boot": "b", "stamps": 1}'])
def test_a_note_that_cannot_be_read(active, text):
    (pathlib.Path(active[0]) / _release.ACTIVATED).write_text(text)
    assert _release.active_since(*active)[1] > 3000


def test_a_note_that_cannot_be_written(active):
    (pathlib.Path(active[0]) / f"{_release.ACTIVATED}.new").mkdir()
    _release.note_activation(*active)
    assert _release.active_since(*active)[1] > 3000


@pytest.mark.parametrize("url, line", [
    ("https://me:s3cret@h/simple/", "machine h login me password s3cret"),
    ("https://a-token@h:8080/simple/", 'machine h login a-token password ""'),
    ("https://me:s3%22%5Cc%23@h/simple/", 'machine h login me password "s3\\"\\\\c#"')])
def test_the_password_of_an_index_is_in_a_file(url, line, tmp_path, monkeypatch):
    """After what the operator has in his own."""
    own, asked = tmp_path / "own", []
    own.write_text("machine other login x password y")
    monkeypatch.setenv("NETRC", str(own))
    host = url.rpartition("@")[2]

    def ask(run, root, code):
        asked.append((root, code[2]))
        return [unquote(part) for part in url.partition("//")[2].partition("@")[0].partition(":")[::2]]

    monkeypatch.setattr(_release, "ask", ask)
    module = SimpleNamespace(params=dict(index_url=url), tmpdir=str(tmp_path), run_command=None)
    assert Pip(module, "/venv").index == dict(NETRC=str(tmp_path / "netrc"), PIP_INDEX_URL=f"https://{host}")
    assert (tmp_path / "netrc").read_text() == f"machine other login x password y\n\n{line}\n"
    assert (tmp_path / "netrc").stat().st_mode & 0o777 == 0o600 and asked == [("/venv", "h")]
    # A Python that reads it in another way gets the URL as it is, and so does one of another host.
    monkeypatch.setattr(_release, "ask", lambda *dummy: None)
    assert Pip(module, "/venv").index == dict(PIP_INDEX_URL=url)


@pytest.mark.parametrize("url", ["http://h/simple/", "http://me:s3cret@[::1]/simple/"])
def test_an_index_that_stays_as_it_is(url):
    assert Pip(SimpleNamespace(params=dict(index_url=url)), "/venv").index == dict(PIP_INDEX_URL=url)


def test_an_index_that_is_no_url(run_module):
    result = run_module(wheelhouse, state="packed", path="/nowhere", dest="/nowhere", lock=[],
                        index_url="https://me:s3cret@h\u2100/")
    assert result["failed"] and result["msg"].startswith("index_url is not a URL: ") and "s3cret" not in str(result)
