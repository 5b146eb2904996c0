# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _reconfigure
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._reconfigure import Job, job_of, said


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the operator stands, with a playbook and an inventory."""
    (tmp_path / "my site").mkdir()
    (tmp_path / "my site" / "site.yml").write_text("[]")
    (tmp_path / "hosts.yml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_reconfigure, "_program", lambda: "/opt/ansible-playbook")
    return tmp_path


@pytest.mark.parametrize("command, program", [("A=b C=d /x/sf-deploy --limit y=z", "/x/sf-deploy"), ("true", "true"),
                                              ("", "")])
def test_a_command(command, program):
    assert job_of("sf-1", command) == Job(program, command, command, "")


def test_a_playbook_is_run_from_where_it_lies(place):
    found = job_of("sf-1", "x", "my site/site.yml", ["hosts.yml", "sf-1,sf-2,"], arguments=["-e", "@my secrets.yml"])
    assert found == Job(
        "/opt/ansible-playbook",
        f"cd '{place}/my site' && exec /opt/ansible-playbook -i {place}/hosts.yml -i sf-1,sf-2, "
        f"'{place}/my site/site.yml' --limit sf-1 -e '@my secrets.yml'",
        f"ansible-playbook {place}/my site/site.yml --limit sf-1", "")


def test_without_an_inventory_its_own_settings_name_one(place):
    found = job_of("sf-1", "x", "my site/site.yml", limit="sf-1,localhost")
    assert " -i " not in found.line and found.line.endswith("--limit sf-1,localhost")


@pytest.mark.parametrize("playbook, where, words", [
    ("absent.yml", "controller", "expected a playbook at {place}/absent.yml on this machine, there is none"),
    ("my site", "controller", "expected a playbook at {place}/my site on this machine"),
    ("my site/site.yml", "node", "reconfigure_playbook is run on this machine, and reconfigure_on is node"),
])
def test_what_cannot_be_run(place, playbook, where, words):
    assert words.format(place=place) in job_of("sf-1", "x", playbook, where=where).problem


@pytest.mark.parametrize("there", [True, False])
def test_the_ansible_that_runs(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / "ansible-playbook").write_text("")
        (tmp_path / "ansible-playbook").chmod(0o755)
    monkeypatch.setattr(_reconfigure.sys, "executable", str(tmp_path / "python"))
    assert job_of("n", "", "x").program == (str(tmp_path / "ansible-playbook") if there else "ansible-playbook")


def test_what_it_says_goes_to_its_log():
    assert _reconfigure.logged("echo 'a'", "/my log", 0.5) == (
        """install -m 600 /dev/null '/my log' && unset "${!ANSIBLE_@}" && exec timeout --kill-after=30 0.5 """
        """sh -c 'echo '"'"'a'"'"'' >'/my log' 2>&1 </dev/null""")


# ---- how it has ended

FAILS = """
PLAY [allsf] *******************************************************************

TASK [Set the secret] **********************************************************
\x1b[0;31mfatal: [sf-1 -> db(10.0.0.1)]: FAILED! => {"cmd": ["sf-ctl", "set-config", "hunter2"]}\x1b[0m
failed: [sf-1] (item=hunter2) => {"msg": "hunter2"}
[ERROR]: Task failed: hunter2

PLAY RECAP *********************************************************************
sf-1                       : ok=3    changed=1    unreachable=0    failed=1    skipped=0
"""


def test_where_it_failed_and_no_value():
    assert said(FAILS) == ("TASK [Set the secret]: fatal: [sf-1]; TASK [Set the secret]: failed: [sf-1]; "
                           "sf-1 : ok=3 changed=1 unreachable=0 failed=1 skipped=0")


@pytest.mark.parametrize("output, words", [
    ("", ""),
    ("hunter2\n", ""),
    ("ERROR! the playbook: site.yml could not be found\nhunter2\n", "ERROR! the playbook: site.yml could not be found"),
    ("PLAY [x]\nTASK [Wait] ***\nok: [sf-1]\n", "the last was TASK [Wait]"),
    ("fatal: [sf-1]: UNREACHABLE! => {}\n", "fatal: [sf-1]"),
])
def test_other_ends(output, words):
    assert said(output) == words


def test_of_many_the_last():
    assert said("".join(f"fatal: [sf-{number}]: x\n" for number in range(9))).startswith("fatal: [sf-4]; ")


def test_the_end_of_a_log(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * _reconfigure.END + b"\xffend")
    found = _reconfigure.end_of(str(tmp_path / "log"))
    assert found.endswith("x\ufffdend") and len(found) == _reconfigure.END
    assert _reconfigure.end_of(str(tmp_path / "absent")) == ""


@pytest.mark.parametrize("answer, output, words", [
    (dict(rc=0), "", ""),
    (dict(rc=3), "", "ended with exit code 3"), (dict(rc=3), "fatal: [a]: x\n", "ended with exit code 3 (fatal: [a])"),
    (dict(rc=124), "", "did not end within 1200 s"), (dict(rc=137), "", "did not end within 1200 s"),
    (dict(msg="no route"), "", "was cut off: no route"), (dict(), "", "was cut off: "),
])
def test_a_failure(answer, output, words):
    found = _reconfigure.failure(Job("x", "x -s hunter2", "x"), answer, 1200.0, "/log", "sf-1", output)
    assert found == (words and f"expected x to end with 0; it {words}. What it said is in /log on sf-1; there may be "
                     "secrets in it")


BEFORE = dict(version="0.8.0", name="0.8.0-aa", contents="aa")


@pytest.mark.parametrize("releases, has", [
    (dict(active=BEFORE), ""),
    (dict(active=dict(BEFORE, version="0.8.2")), "0.8.2"),
    (dict(active=dict(BEFORE, name="0.8.0-bb")), "another build of it"),
    (dict(active=dict(BEFORE, contents="bb")), "another build of it"),
    (dict(active={}, problem="no virtualenv"), "no virtualenv"), (dict(active=None), "none"),
])
def test_the_release(releases, has):
    found = _reconfigure.release_problem(Job("x", "x", "x"), dict(venv="/v", release=BEFORE), releases)
    assert found == (has and f"expected x to keep the release 0.8.0; /v has {has} now. Correct what the command "
                     "installs; an upgrade is shakenfist.rolling.upgrade")


def test_what_is_left_to_restart():
    before = {"api": dict(invocation="a1"), "net": dict(invocation="n1"), "q": dict(invocation="q1")}
    after = {"api": dict(active=True, invocation="a2"), "net": dict(active=True, invocation="n1"),
             "q": dict(active=False, invocation="q2")}
    assert _reconfigure.left_of(["net", "api", "q", "gone", "net"], before, after) == ["net", "q", "gone"]
