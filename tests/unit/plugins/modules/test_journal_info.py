# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.modules import journal_info

PATTERN = r'Option "[^"]+" from group "[^"]+" is deprecated.*'
VERBOSE = 'Option "verbose" from group "DEFAULT" is deprecated for removal.'
HOST = 'Option "host" from group "DEFAULT" is deprecated.'


class Journal:
    """Takes the place of AnsibleModule.run_command for journalctl.

    :ivar said: by unit the lines that it has written.
    :ivar broken: what journalctl answers instead.
    :ivar commands: what it was called with.
    """

    def __init__(self):
        self.said, self.broken, self.commands = {}, None, []

    def __call__(self, command):
        self.commands.append(command)
        return self.broken or (0, "".join(f"{line}\n" for line in self.said.get(command[-1][len("--unit="):], [])), "")


@pytest.fixture
def journal(monkeypatch):
    fake = Journal()
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda dummy, command, **kwargs: fake(command))
    return fake


@pytest.fixture
def look(run_module):
    return lambda *units, check=False, **arguments: run_module(
        journal_info, check, **dict(dict(units=list(units), since=1763700000.75, pattern=PATTERN), **arguments))


@pytest.mark.parametrize("check", [False, True])
def test_what_is_found(look, journal, check):
    journal.said = {
        "cinder-api": ["2026-11-21 INFO Starting", f"2026-11-21 08:15:00 WARNING {VERBOSE} ", f"WARNING {HOST}"],
        "cinder-volume": [f"[-] {HOST}", f"2026-11-21 08:16:00 WARNING {VERBOSE}", f"WARNING {VERBOSE}"],
        "cinder-backup": ["INFO Stopping"]}
    result = look("cinder-volume", "cinder-backup", "cinder-api", check=check)
    assert not result["failed"] and not result["changed"]
    assert result["found"] == [f"cinder-volume, cinder-api: {HOST}", f"cinder-volume, cinder-api: {VERBOSE}"]


def test_how_the_journal_is_asked(look, journal):
    """Not from the next second on, which rounding would make of it."""
    assert look("cinder-api", "cinder-volume")["found"] == []
    assert journal.commands == [["journalctl", "--quiet", "--output=cat", "--since=@1763700000", f"--unit={unit}"]
                                for unit in ("cinder-api", "cinder-volume")]


@pytest.mark.parametrize("limit, count", [(50, 50), (2, 2), (100, 60)])
def test_the_limit_counts_different_ones(look, journal, limit, count):
    journal.said = {"cinder-api": [f"complaint {number // 2}" for number in range(120)]}
    found = look("cinder-api", pattern="complaint [0-9]+", limit=limit)["found"]
    assert found == [f"cinder-api: complaint {number}" for number in range(count)]


def test_fifty_are_the_default(look, journal):
    journal.said = {"cinder-api": [f"complaint {number}" for number in range(60)]}
    assert len(look("cinder-api", pattern="complaint.*")["found"]) == 50


def test_no_units(look, journal):
    assert look()["found"] == [] and journal.commands == []


@pytest.mark.parametrize("broken, words", [
    ((1, "", "No journal files were opened due to insufficient permissions.\n"),
     "(rc 1): No journal files were opened due to insufficient permissions."),
    ((2, "said on stdout\n", ""), "(rc 2): said on stdout"),
])
def test_a_journal_that_cannot_be_read(look, journal, broken, words):
    journal.broken = broken
    result = look("cinder-api")
    assert result["failed"] and result["msg"] == f"cannot read the journal of cinder-api {words}"


def test_a_pattern_that_is_none(look, journal):
    result = look("cinder-api", pattern="(")
    assert result["failed"] and result["msg"].startswith("pattern is no regular expression: missing ), unterminated")
    assert journal.commands == []
