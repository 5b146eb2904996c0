# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# CI, the hooks before a commit and the release call what tools/test has, and nothing else.

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import ROOT, load

STEPS = subprocess.run([ROOT / "tools" / "test", "--list"], check=True, capture_output=True,
                       text=True).stdout.splitlines()
WORKFLOWS = {path.stem: load(path) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}


def test_a_hook_is_a_step():
    hooks = load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert hooks
    for hook in hooks:
        assert hook["id"] in STEPS and hook["entry"] == f"tools/test --step {hook['id']}"


def test_workflows_run_what_there_is():
    commands = [step["run"] for flow in WORKFLOWS.values() for job in flow["jobs"].values()
                for step in job.get("steps", ()) if "run" in step]
    files = {name for command in commands for name in re.findall(r"(?:\.ci|tools)/\w+", command)}
    assert files == {".ci/run", ".ci/publish", "tools/test"}
    assert all((ROOT / name).stat().st_mode & 0o100 for name in files)
    named = {name for command in commands for name in re.findall(r"[\w:]+@[\d.]+", command)}
    assert named and named <= set(STEPS)


def test_the_night_has_every_step_within_the_limit_of_a_runner():
    """A step ends by itself; its limit, as in tools/test, is below that of its job, and this below six hours."""
    text = (ROOT / "tools" / "test").read_text(encoding="utf-8")
    limit, row = (int(re.search(rf"^{name}=(\d+)", text, flags=re.MULTILINE)[1]) for name in ("limit", "limit_row"))
    subjects = [name.partition(":")[2] for name in STEPS if name.startswith("faults:")]
    most = max(len(subprocess.run([ROOT / "tools" / "faults", "--list", subject], check=True, capture_output=True,
                                  text=True).stdout.splitlines()) for subject in subjects)
    minutes = WORKFLOWS["nightly"]["jobs"]["test"]["timeout-minutes"]
    assert (limit + row * most) / 60 < minutes < 360


def test_what_ci_runs_takes_no_arguments():
    """Asked for its help, it would run everything."""
    run = subprocess.run([ROOT / ".ci" / "run", "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 2 and "tools/test --list" in run.stderr and not run.stdout


@pytest.fixture
def publish(tmp_path):
    """Runs .ci/publish in a checkout of which what it calls only writes down how it was called."""
    def stand_in(name, more=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>{tmp_path}/calls\n{more}', encoding="utf-8")
        path.chmod(0o755)

    stand_in("tools/test", 'test -z "$GALAXY_TOKEN"\n')
    stand_in(".cache/venv/bin/ansible-galaxy", 'stat -c %a "$ANSIBLE_GALAXY_TOKEN_PATH" >>calls\n'
             'cat "$ANSIBLE_GALAXY_TOKEN_PATH" >>calls\n')
    (tmp_path / ".ci").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / ".ci" / "publish").write_bytes((ROOT / ".ci" / "publish").read_bytes())
    (tmp_path / "galaxy.yml").write_text("name: rolling\nversion: 0.2.0\n", encoding="utf-8")

    def run(tag, changelog="v0.2.0\n======\n", token="secret"):
        (tmp_path / "CHANGELOG.rst").write_text(changelog, encoding="utf-8")
        run = subprocess.run(["bash", tmp_path / ".ci" / "publish", *tag], capture_output=True, text=True, check=False,
                             env={"PATH": "/usr/bin:/bin", "GALAXY_TOKEN": token, "TMPDIR": str(tmp_path / "tmp")})
        calls = tmp_path / "calls"
        return run.returncode, run.stderr, calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    return run


def test_a_release_is_tested_and_published(publish, tmp_path):
    assert publish(["v0.2.0"]) == (0, "", [
        "test changelog build", "ansible-galaxy collection publish .cache/build/shakenfist-rolling-0.2.0.tar.gz",
        "600", "token: secret"])
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("given, words", [
    (dict(tag=[]), "expected the tag v0.2.0, which galaxy.yml is of, it is missing"),
    (dict(tag=["v0.2.1"]), "expected the tag v0.2.0, which galaxy.yml is of, it is v0.2.1"),
    (dict(tag=["v0.2.0"], changelog="v0.1.0\n"), "CHANGELOG.rst has no v0.2.0"),
    (dict(tag=["v0.2.0"], token=""), "GALAXY_TOKEN is not set"),
])
def test_a_release_that_is_none_is_refused(publish, given, words):
    code, said, calls = publish(**given)
    assert code == 1 and words in said and calls == []
