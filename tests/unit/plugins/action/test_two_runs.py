# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Two playbooks of the collection in one ansible-playbook: the second one sees nothing of the first.

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.tests.unit.fake_roll import NODES, FakeRoll

ADDED = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.add_host: {name: sf-9, groups: [allsf], ansible_connection: local}
"""


def reports(fake):
    found = [json.loads(path.read_text(encoding="utf-8")) for path in fake.root.glob("rolling-report-*.json")]
    return sorted(found, key=lambda report: report["began"])


@pytest.mark.parametrize("first, second", [("upgrade", "upgrade"), ("restart", "upgrade")])
def test_the_second_run_is_whole(tmp_path, first, second):
    fake = FakeRoll(tmp_path, timed=True)
    (tmp_path / "both.yml").write_text(f"- import_playbook: shakenfist.rolling.{first}\n"
                                       f"- import_playbook: shakenfist.rolling.{second}\n")
    run = fake.run("-e", "verify_bake=0", "-e", "roll_settle=1", playbook="both.yml")
    assert run.returncode == 0, run.stdout
    assert [event["node"] for event in fake.events("done")] == [*NODES, *NODES]
    for report, kind in zip(reports(fake), (first, second)):
        assert (report["kind"], report["result"]) == (kind, "ok")
        assert [node["result"] for node in report["nodes"]] == ["rolled"] * 3
        # Of each node's steps, those of this run only.
        assert all([step["step"] for step in node["steps"]].count("drain") == 1 for node in report["nodes"])


def test_the_first_run_fails(tmp_path):
    """What is told of it is not told of the second one, which does not begin."""
    fake = FakeRoll(tmp_path, timed=True)
    fake.answer(sf_2__drain=dict(failed=True, msg="it does not stop"))
    (tmp_path / "both.yml").write_text("- import_playbook: shakenfist.rolling.upgrade\n" * 2)
    run = fake.run(playbook="both.yml")
    assert run.returncode != 0 and [event["node"] for event in fake.events("done")] == ["sf-1"]
    report, = reports(fake)
    assert report["result"] == "failed" and report["failures"][0]["nodes"] == ["sf-2"]


def test_hosts_that_were_added_before_are_there(tmp_path):
    """Only a second run reads the inventory again."""
    fake = FakeRoll(tmp_path)
    (tmp_path / "added.yml").write_text(ADDED + "- import_playbook: shakenfist.rolling.upgrade\n" + (
        "- hosts: sf-9\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: still there}\n"))
    run = fake.run(playbook="added.yml")
    assert run.returncode == 0 and "still there" in run.stdout, run.stdout
