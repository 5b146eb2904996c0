# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re
import stat
import time
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import report
from ansible_collections.shakenfist.rolling.tests.unit.fake_roll import FakeRoll
from ansible_collections.shakenfist.rolling.tests.unit.report_facts import Facts


@pytest.fixture
def said():
    return []


@pytest.fixture
def run(monkeypatch, tmp_path, said):
    """Run the action for these facts, from a directory of its own."""
    def run(facts=None, check_mode=False, **arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(report, "time", SimpleNamespace(time=lambda: facts.now))
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        action = report.ActionModule.__new__(report.ActionModule)
        action._task = SimpleNamespace(check_mode=check_mode, get_name=lambda: "Write the report")
        action._display = SimpleNamespace(display=said.append)
        action.validate_argument_spec = lambda argument_spec: (None, dict(
            {name: option["default"] for name, option in argument_spec.items()}, **arguments))
        facts = facts or Facts().rolled()
        return action.run(task_vars=dict(hostvars=facts.hosts, inventory_hostname="sf-1"))
    return run


def words_of(page):
    """The page without its tags."""
    return re.sub("<[^>]*>", "", page)


def test_both_files(run, tmp_path, said):
    mask = os.umask(0o027)
    try:
        result = run()
    finally:
        os.umask(mask)
    name = tmp_path / "rolling-report-20261121T035302Z"
    assert result["path"] == f"{name}.html" and result["data"] == f"{name}.json" and result["changed"] is False
    assert said == [f"The report: {name}.html"] and said[0].event["task"] == "Write the report"
    data = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert data["verdict"] == result["verdict"] and data["file"] == name.name
    assert data["who"]["host"] and data["who"]["run"] and "pid" not in data["who"]
    assert result["verdict"] in (tmp_path / f"{name}.html").read_text(encoding="utf-8")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name.name}.html", f"{name.name}.json"]


def test_the_same_run_again_replaces_them(run, tmp_path):
    facts = Facts().broken()
    run(facts)
    facts.nodes["sf-2"]["failure"]["text"] = "another message"
    run(facts)
    page, = tmp_path.glob("*.html")
    assert len(list(tmp_path.iterdir())) == 2 and "another message" in words_of(page.read_text(encoding="utf-8"))


def test_a_directory_that_is_not_there(run, tmp_path):
    assert run(directory="some/where")["path"].startswith(str(tmp_path / "some" / "where" / "rolling-report-"))


def test_where_it_is_becomes_part_of_the_record(run):
    result = run()
    assert result["ansible_facts"]["rolling_run"]["report"] == result["path"]


def test_an_older_report_is_made_anew(run, tmp_path):
    first = run()
    page, = tmp_path.glob("*.html")
    before = page.read_text(encoding="utf-8")
    page.unlink()
    again = run(data=first["data"])
    assert page.read_text(encoding="utf-8") == before and "ansible_facts" not in again
    assert {key: again[key] for key in ("path", "data", "verdict")} == {
        key: first[key] for key in ("path", "data", "verdict")}
    warning, = run(data="nonesuch.json")["warnings"]
    assert "nonesuch.json" in warning


def test_nothing_to_tell(run, tmp_path):
    facts = Facts()
    facts.plan["order"] = []
    assert run(facts)["path"] == "" and list(tmp_path.iterdir()) == []


def test_check_mode(run, tmp_path):
    assert run(check_mode=True)["path"] == "" and list(tmp_path.iterdir()) == []


def test_a_directory_that_is_a_file(run, tmp_path):
    (tmp_path / "taken").touch()
    result = run(directory="taken/further")
    assert not result.get("failed") and result["path"] == ""
    warning, = result["warnings"]
    for part in (f"not written to {tmp_path}/taken", "the run goes on", "report_directory"):
        assert part in warning


def test_a_file_that_cannot_be_written_leaves_no_draft(run, tmp_path, monkeypatch):
    def full(*dummy):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(report.os, "replace", full)
    warning, = run()["warnings"]
    assert "No space left on device" in warning and list(tmp_path.iterdir()) == []


def test_a_mistake_of_the_report_does_not_fail_the_run(run, monkeypatch):
    def broken(data):
        raise ValueError("broken on purpose")
    monkeypatch.setattr(report, "html_of", broken)
    result = run()
    assert not result.get("failed")
    assert result["warnings"] == ["The report is not written, the run goes on: ValueError: broken on purpose"]


# ---- in a real run of the playbook

def written(fake):
    path, = fake.root.glob("rolling-report-*.json")
    return json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".html").read_text(encoding="utf-8")


def test_a_roll_has_its_report(tmp_path):
    fake = FakeRoll(tmp_path, timed=True)
    began = time.time()
    run = fake.run()
    assert run.returncode == 0, run.stdout
    data, page = written(fake)
    assert f"The report: {tmp_path}/rolling-report-" in run.stdout and data["verdict"] in page
    assert data["result"] == "ok" and data["kind"] == "upgrade"
    assert began <= data["began"] < data["ended"] <= time.time()
    for node in data["nodes"]:
        taken = ["quorum", "drain", "activate", "restart", "gate", "settle"]
        assert [step["step"] for step in node["steps"]] == (taken if node["name"] != "sf-3" else taken[:-1])
        assert node["result"] == "rolled" and node["out"]["seconds"] > 0
    assert [phase["step"] for phase in data["phases"]][:3] == ["stage", "schema", "verify"]
    assert data["schema"]["tables"] == [dict(table="notes", before=1, after=2)]
    assert "hunter2" not in page + json.dumps(data)


def test_a_roll_that_failed_has_its_report(tmp_path):
    fake = FakeRoll(tmp_path, timed=True)
    fake.answer(sf_2__drain=dict(failed=True, msg="expected <sf-api> to end"))
    run = fake.run()
    assert run.returncode != 0 and "sf-2: Stop the API and witness its drain: expected <sf-api> to end" in run.stdout
    data, page = written(fake)
    assert [node["result"] for node in data["nodes"]] == ["rolled", "failed", "not touched"]
    assert [step["step"] for step in data["nodes"][1]["steps"]] == ["quorum", "drain", "restore"]
    assert data["failures"][0]["words"] == "expected <sf-api> to end" and "Not touched: sf-3." in words_of(page)


def test_a_report_that_cannot_be_written_does_not_hide_the_failure(tmp_path):
    (tmp_path / "taken").touch()
    fake = FakeRoll(tmp_path, timed=True)
    fake.answer(stage=dict(), release=dict(failed=True, msg="no space left"))
    run = fake.run("-e", "report_directory=taken/further")
    said = " ".join(run.stdout.split())
    assert run.returncode != 0 and "The report is not written to" in said
    assert "msg: |- no space left" in said.replace("'", "") and "Nothing in service was changed" in said


def test_a_run_without_a_report(tmp_path):
    fake = FakeRoll(tmp_path, plan=dict(order=[], database=[], others=[], done=["sf-1", "sf-2", "sf-3"]), timed=True)
    assert fake.run().returncode == 0 and list(tmp_path.glob("rolling-report-*")) == []
