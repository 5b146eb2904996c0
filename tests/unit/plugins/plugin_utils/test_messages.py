# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The runbook explains every message that can end a task, those of the modules on the nodes, too.

from __future__ import annotations

import ast
import glob
import os
import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import (
    PAGE,
    PREFLIGHT,
    anchor_of,
    anchor_of_heading,
    prose_of,
    rows,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import SECTIONS
from ansible_collections.shakenfist.rolling.tests.unit.messages import ROOT, VARIES, Messages, of_tasks

# What needs no row of its own, and why.
NO_ROW = {
    "command is empty: name a script of the release": "a mistake in a call of the module by hand",
    f"{VARIES}. Nothing was stopped": "a frame: what the balancer lacks is before it",
    f"{VARIES} of {VARIES} {VARIES}:\n{VARIES}": "a frame: what was run, and how it ended, is in it",
    f"{VARIES} (rc {VARIES}):\n{VARIES}": "a frame: what was asked of apt is before it",
    f"{VARIES}; last seen: {VARIES}": "a frame: what was expected of the API is before it",
    "Nothing was touched. ": "a frame without a cause is not said",
    f"Nothing was touched. {VARIES}": "a frame: the cause is after it",
    f"Nothing was touched. {VARIES}: {VARIES}": "a frame: what the lock said is after it",
}
FRAMED = [
    "cannot upgrade the packages: not all packages were upgraded: see them with dpkg --audit on this node; the next "
    "run goes on there (rc 100):\nno",
    "cannot fetch the packages: the lists of the new release were not fetched (rc 0):\nW: Failed to fetch",
    "drain_tell_first is true, but no balancer is set that could be told. Nothing was stopped",
    "expected every node to be created and to report release 0.8.1 within 60 s; last seen: sf-1 reports 0.8.0",
    "expected the API to list its nodes within 60 s; last seen: the API at http://a does not answer (no route)",
    "expected every daemon to be active and still in the run that the restart began; sf-net is failed",
    "expected every daemon to stay up for 10 s after its restart; sf-net is failed",
    "Nothing was touched. expected a playbook at site.yml on this machine, there is none",
    "Nothing was touched. sf-1: cannot keep the lock in /srv: read-only",
    "sf-ctl ensure-mariadb-schema of 0.8.1-1a2b3c4d failed (rc 1):\nno",
    "sf-ctl ensure-mariadb-schema of 0.8.1-1a2b3c4d ended without saying 'MariaDB schema verified.':\nno",
    "cannot stage 0.8.1: pip failed:\nno\nNothing in service was changed",
]


@pytest.fixture(scope="module")
def messages():
    found = {**Messages().found(), **of_tasks()}
    # A single word is a level; what has no word passes on another message.
    return {text: where for text, where in found.items() if re.search("[A-Za-z]{2}", text) and " " in text}


def headings():
    with open(os.path.join(ROOT, *PAGE.split("/")), encoding="utf-8") as handle:
        return [anchor_of_heading(line) for line in prose_of(handle.read()) if line.startswith("#")]


def test_the_messages_are_found(messages):
    """One of each kind, so that the test below does not pass because nothing was found."""
    for text in ("systemctl \N{HORIZONTAL ELLIPSIS} failed (rc",  # raised in a module_util
                 "expected \N{HORIZONTAL ELLIPSIS} to end within \N{HORIZONTAL ELLIPSIS} s of its stop",  # of a method
                 "the cluster is locked, but",  # of a function, behind another text
                 "take a backup yourself and pass -e schema_backup=never",  # of a constant
                 "it has no unit",  # a finding that is appended to a list
                 "Nothing was touched. Correct this: rolling_since is",  # in two frames
                 "the nodes run different releases",  # raised on the controller
                 "there is no release \N{HORIZONTAL ELLIPSIS} to activate",
                 "cannot be reached any more, see above"):  # of a task
        assert any(text in message for message in messages), text
    assert len(messages) > 250


def test_every_message_has_an_anchor(messages):
    lacking = {text: where for text, where in messages.items() if text not in NO_ROW and not anchor_of(text)}
    assert lacking == {}, "add a row to the table of the right section of docs/runbook.md"


def test_what_needs_no_row_is_still_said(messages):
    assert [text for text in NO_ROW if text not in messages or anchor_of(text)] == []


@pytest.mark.parametrize("message", FRAMED)
def test_a_frame_is_explained_by_what_it_frames(message):
    assert anchor_of(message)


@pytest.mark.parametrize("message, anchor", [
    ("the virtualenv /srv/shakenfist/venv is broken: bin/python is missing or does not run", "in-any-step"),
    ("cannot read /etc/sf/config: Permission denied", "in-any-step"),
    ("systemctl stop sf-api failed (rc 1): Connection timed out", "in-any-step"),
    ("cannot read /w/a.whl (Permission denied): let the user that runs Ansible read it, copy it again", PREFLIGHT),
    ("cannot stage 0.8.1: pip failed:\nERROR: no", "stage"),
    ("expected sf-api to end within 90 s of its stop; last seen: active", "roll-drain"),
    ("expected sf-net, sf-queues to be active within 9 s; last seen: sf-net activating", "roll-activate-restart-gate"),
    ("Wait until enough other nodes are ready: expected 200 from 2 of 2 URLs within 9 s; last seen: no", "roll-quorum"),
    ("Wait until every worker of the API is ready: expected 200 from 1 of 1 URLs, 3 times in a row, within 9 s; last "
     "seen: no", "roll-activate-restart-gate"),
    ("snf-2: Migrate the database of Cyclades: snf-manage migrate failed (rc 1):\n  Applying cyclades.0001... OK",
     "synnefo-a-migration-has-failed"),
    ("/usr/lib/synnefo/tools/fix_ip_history --fix /root/ips failed (rc 1):\nno", "synnefo-a-migration-has-failed"),
    ("cinder-manage db sync failed (rc 1):\nno", "cinder-and-other-products-whose-services-are-rolled-one-by-one"),
    ("cinder-manage db sync failed (rc 1) at its run 2:\nno",
     "cinder-and-other-products-whose-services-are-rolled-one-by-one"),
    ("Failed to connect to the host via ssh: No route to host", "roll-a-node-that-is-lost"),
])
def test_the_section_is_the_right_one(message, anchor):
    assert anchor_of(message) == f"{PAGE}#{anchor}"


@pytest.mark.parametrize("message, number", [
    ("d-1: Migrate Neutron's database: neutron-db-manage upgrade heads of /r/5.0.0-a failed (rc 1):\nno", 0),
    ("d-2: Stop neutron-server: expected neutron-server to be stopped within 15 s; last seen: deactivating", 0),
    ("d-4: Start x: the node cannot be reached by ssh any more, and did not come back within 9 s: no", 0),
    ("d-4: it was lost, see above", 0), ("the store is out of space (NOSPACE), so it takes no write", 1),
    ("x-1: Upgrade: not all packages were upgraded: see them with dpkg --audit (rc 1)", 2),
    ("snf-manage migrate failed (rc 1):\nno", 3)])
def test_the_section_is_one_of_products_that_are_stopped_as_a_whole(message, number):
    assert anchor_of(message, prefer=SECTIONS) == f"{PAGE}#{SECTIONS[number]}"


def test_a_part_of_a_message_is_in_one_row():
    fragments = [row.fragment for row in rows()]
    assert sorted(set(fragments)) == sorted(fragments)


def test_no_part_of_a_message_is_in_all():
    assert [row.fragment for row in rows() if row.weight < 10] == []


def test_every_anchor_that_is_named_exists():
    known = headings()
    assert sorted(set(known)) == sorted(known)
    paths = [os.path.join(ROOT, "README.md")]
    for pattern in ("docs/*.md", "plugins/**/*.py", "roles/**/*.yml", "roles/**/*.md", "playbooks/**/*.yml"):
        paths += glob.glob(os.path.join(ROOT, pattern), recursive=True)
    named = {PREFLIGHT: "_runbook.py"}
    for path in paths:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
        named.update((anchor, path) for anchor in re.findall(r"runbook\.md#([\w-]+)", text))
        if os.path.basename(path) == "runbook.md":
            named.update((anchor, path) for anchor in re.findall(r"\]\(#([\w-]+)\)", text))
    assert {anchor: path for anchor, path in named.items() if anchor not in known} == {}


def test_a_warning_refuses_nothing():
    """Of findings, only those are read that can fail."""
    reader = Messages()
    source = reader.sources[0]
    call = ast.parse('findings.judge("a", ["it warns of this"], "warn")').body[0].value
    assert reader.ends(call, source) == []
