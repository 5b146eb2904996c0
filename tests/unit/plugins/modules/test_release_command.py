# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import os
import subprocess

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.plugins.modules import release_command
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock

COMMAND = ["cinder-manage", "db", "sync"]
# Ends with the next of some exit codes each time, the last one for ever.
SCRIPT = """
cd "$(dirname "$0")/.."
echo "$*" >>calls
rc=$(head -n 1 codes)
[ "$(wc -l <codes)" -eq 1 ] || sed -i 1d codes
[ ! -e out ] || cat out
[ ! -e err ] || cat err >&2
exit "$rc"
"""
TRACEBACK = "Traceback (most recent call last):\n  File x\nImportError: no module named oslo\n"


@pytest.fixture
def run(run_module, venv):
    """Run the module over a script that prints texts and ends with codes, one for each run."""

    def start(*codes, check=False, out="", err="", **arguments):
        release = venv("release")
        (release / "bin" / "cinder-manage").write_text(SCRIPT)
        (release / "codes").write_text("".join(f"{code}\n" for code in codes))
        (release / "out").write_text(out)
        (release / "err").write_text(err)
        result = run_module(release_command, check, **dict(dict(release=str(release), command=COMMAND), **arguments))
        calls = release / "calls"
        result["calls"] = calls.read_text().splitlines() if calls.exists() else []
        return result

    return start


@pytest.mark.parametrize("codes, arguments, expected", [
    ([0], dict(), dict(changed=True, rc=0, runs=1, warned=False)),
    ([0], dict(looks=True), dict(changed=False, rc=0, runs=1, warned=False)),
    ([3], dict(done=[0, 3]), dict(changed=True, rc=3, runs=1, warned=False)),
    ([1], dict(warn=[1]), dict(changed=True, rc=1, runs=1, warned=True)),
    ([1], dict(warn=[1], looks=True), dict(changed=False, rc=1, runs=1, warned=True)),
    # Who says by its code that it has moved something has moved nothing if it never said so.
    ([0], dict(again=[1]), dict(changed=False, rc=0, runs=1, warned=False)),
    ([1, 0], dict(again=[1]), dict(changed=True, rc=0, runs=2, warned=False)),
    ([1, 4, 1, 3], dict(again=[1, 4], warn=[3]), dict(changed=True, rc=3, runs=4, warned=True)),
    ([1, 0], dict(again=[1], looks=True), dict(changed=False, rc=0, runs=2, warned=False)),
    ([1, 1, 0], dict(again=[1], limit=3), dict(changed=True, rc=0, runs=3, warned=False)),
])
def test_what_an_exit_code_means(run, codes, arguments, expected):
    result = run(*codes, out="Done.\n", **arguments)
    assert not result["failed"] and {key: result[key] for key in expected} == expected
    assert result["calls"] == ["db sync"] * expected["runs"] and result["output"] == "Done."


@pytest.mark.parametrize("arguments, fails", [
    (dict(looks=False), True), (dict(looks=True), False), (dict(command=[]), True)])
def test_what_a_run_that_was_killed_has_left_is_waited_for(run, tmp_path, monkeypatch, arguments, fails):
    """Its command goes on without it, and has the lock."""
    monkeypatch.setattr(release_command, "TURN_WITHIN", 0.3)
    with _common.flocked(str(tmp_path / "commands"), 0) as handle:
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=[handle])
    try:
        result = run(0, **arguments)
        assert result["failed"] is fails and result["calls"] == ([] if fails else ["db sync"])
        assert not fails or result["msg"].startswith("a command of another run has been at work on this node for 0.3 s")
    finally:
        orphan.kill()
        orphan.wait()


def test_a_command_holds_the_lock_itself(run, monkeypatch):
    """Not only this module, which may be killed before it."""
    handles = []
    monkeypatch.setattr(release_command, "run_until_done", lambda run, params: handles.append(run.keywords) or {})
    run(0)
    assert [list(each) for each in handles] == [["pass_fds"]]


@pytest.mark.parametrize("codes, timeout, runs, failed", [
    ([2, 2, 0], 60, 3, False), ([2, 1], 60, 2, False), ([2, 0], 0, 1, True), ([3, 0], 60, 1, True),
    ([2], 3 * release_command.INTERVAL, 3, True)])
def test_a_cause_that_may_pass(run, monkeypatch, codes, timeout, runs, failed):
    monkeypatch.setattr(release_command, "time", Clock())
    result = run(*codes, transient=[2], warn=[1], timeout=timeout, looks=True, out="no")
    assert (result["failed"], result["runs"], len(result["calls"])) == (failed, runs, runs)
    assert not failed or f"failed (rc {codes[0]}){' at its run 3' if runs > 1 else ''}:" in result["msg"]


@pytest.mark.parametrize("out, err, output", [
    ("", "", ""), ("one\n", "", "one"), ("", "two\n", "two"), ("one\n\n", "two\n", "one\ntwo"),
])
def test_what_it_printed(run, out, err, output):
    assert run(0, out=out, err=err)["output"] == output


@pytest.mark.parametrize("codes, arguments, words", [
    ([2], dict(), "failed (rc 2):\n{out}"),
    ([2], dict(again=[1], warn=[3]), "failed (rc 2):\n{out}"),
    ([1, 1, 2], dict(again=[1]), "failed (rc 2) at its run 3:\n{out}"),
    ([0], dict(done=[3]), "failed (rc 0):\n{out}"),
    ([1], dict(again=[1], limit=3), "still asks for another run after 3 of them (rc 1). Its last words:\n{out}"),
    ([1], dict(again=[1], limit=1), "still asks for another run after 1 of them (rc 1). Its last words:\n{out}"),
])
@pytest.mark.parametrize("out", ["50 rows matched", ""])
def test_a_command_that_fails(run, codes, arguments, words, out):
    result = run(*codes, out=out, **arguments)
    assert result["failed"] and result["rc"] == codes[-1] and result["output"] == out
    assert result["runs"] == len(result["calls"]) == arguments.get("limit", len(codes))
    silent = "nothing" if "still" in words else "it said nothing"
    assert result["msg"].startswith("cinder-manage db sync of /")
    assert result["msg"].endswith("/release " + words.format(out=out or silent))


def test_only_the_last_lines_are_in_the_message(run):
    result = run(2, out="".join(f"line {number}\n" for number in range(1, 31)))
    assert "\nline 19\n" in result["msg"] and "line 18" not in result["msg"] and "line 1\n" in result["output"]


@pytest.mark.parametrize("arguments", [dict(again=[1]), dict(warn=[1], looks=True), dict(done=[0, 1])])
def test_an_exception_is_no_meaning_of_its_exit_code(run, arguments):
    result = run(1, err=TRACEBACK, **arguments)
    assert result["failed"] and result["runs"] == 1 and "ImportError: no module named oslo" in result["msg"]


@pytest.mark.parametrize("code, arguments", [(0, dict()), (3, dict(warn=[3]))])
def test_an_exception_that_was_handled(run, code, arguments):
    assert not run(code, err=TRACEBACK, **arguments)["failed"]


def test_what_is_run_and_where(run, tmp_path, monkeypatch):
    """By the release's own Python, and in no directory that its user might not read."""
    seen = []
    monkeypatch.setattr(release_command.AnsibleModule, "run_command",
                        lambda dummy, words, **options: seen.append((words, options)) or (0, "", ""))
    run(0, command=["cinder-manage", "db", "purge", "30"])
    binaries = f"{tmp_path}/release/bin"
    (words, options), = seen
    assert words == [f"{binaries}/python", f"{binaries}/cinder-manage", "db", "purge", "30"] and options["cwd"] == "/"


def test_another_user(run, tmp_path, monkeypatch):
    (tmp_path / "commands").mkdir()
    runuser = tmp_path / "commands" / "runuser"
    runuser.write_text(f'#!/bin/sh\necho "$1 $2 $3" >"{tmp_path}/called"\nshift 3\nexec "$@"\n')
    runuser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/commands:{os.environ['PATH']}")
    result = run(1, 0, user=getpass.getuser(), again=[1])
    assert not result["failed"] and result["calls"] == ["db sync"] * 2
    assert (tmp_path / "called").read_text() == f"-u {getpass.getuser()} --\n"


def test_a_user_who_is_not_there(run):
    result = run(0, user="nobody-of-that-name", again=[1])
    assert result["failed"] and result["msg"] == "there is no user nobody-of-that-name on this node"
    assert result["calls"] == []


def test_check_mode(run):
    result = run(0, check=True)
    assert not result["failed"] and not result["changed"] and result["skipped"] and result["calls"] == []
    assert result["msg"] == "cinder-manage db sync is not run in check mode: it has no dry run"


def test_in_check_mode_a_command_that_only_looks_is_run(run):
    result = run(1, check=True, looks=True, warn=[1])
    assert not result["changed"] and result["warned"] and result["calls"] == ["db sync"]


def test_in_check_mode_nothing_is_staged(run, tmp_path):
    result = run(0, check=True, looks=True, release=f"{tmp_path}/none")
    assert not result["failed"] and result["skipped"] and result["calls"] == []
    assert result["msg"] == f"cinder-manage db sync is not run in check mode: there is no {tmp_path}/none yet"


def test_a_command_that_is_not_there(run):
    result = run(0, command=["cinder-status"])
    assert result["failed"] and "rc" not in result
    assert result["msg"].endswith("bin/cinder-status: is the release staged on this node?")


def test_without_a_command_nothing_is_run(run):
    result = run(0, command=[])
    assert not result["failed"] and not result["changed"] and result["calls"] == []


def test_a_command_of_the_node(run_module, tmp_path):
    """What packages bring is where the system looks for commands."""
    script = tmp_path / "snf-manage"
    script.write_text("#!/bin/sh\necho \"$*\"\n")
    script.chmod(0o755)
    result = run_module(release_command, command=[str(script), "migrate"])
    assert not result["failed"] and result["changed"] and result["output"] == "migrate"
    assert run_module(release_command, check=True, command=[str(script), "migrate"])["skipped"]
    script.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    result = run_module(release_command, command=[str(script), "migrate"])
    assert result["failed"] and result["msg"] == f"{script} migrate failed (rc 1):\nno"
