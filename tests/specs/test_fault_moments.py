# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A step that is declared under a name that nobody knows is told by nobody, and a fault that waits for a step that no
# task declares never comes. That shows here, not an hour later in the lab.

from __future__ import annotations

import importlib
import pathlib
import re
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/lab/faults", "tests/lab", "tools/lib", ".ansible/collections")]

import chaos  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import (  # noqa: E402
    OF_A_NODE,
    OF_ALL,
    STEP,
)

SUBJECTS = sorted(path.stem for path in (ROOT / "tests/lab/faults").glob("*.py") if path.stem != "rows")
ROWS = [row for subject in SUBJECTS for row in importlib.import_module(subject).ROWS]
MOMENTS = sorted({row.moment.step for row in ROWS if row.moment and row.moment.step}
                 | {step for row in ROWS for step in row.reach}
                 # What random rows are drawn from: they are green where their moment never comes.
                 | {moment.step for commands in chaos.COMMANDS.values() for command in commands
                    for moment in command.moments if moment.step})


def declared(node):
    """All steps that are declared in what a file of YAML holds."""
    if isinstance(node, list):
        return {step for item in node for step in declared(item)}
    if not isinstance(node, dict):
        return set()
    found = {step for value in node.values() for step in declared(value)}
    return found | {(node.get("vars") or {}).get(STEP)} - {None, ""}


# In roles, and where one action takes a node through several of them.
IN_YAML = {step for pattern in ("roles/*/tasks/*.yml", "playbooks/**/*.yml") for path in ROOT.glob(pattern)
           for step in declared(yaml.safe_load(path.read_text()))}
DECLARED = IN_YAML | {step for path in ROOT.glob("plugins/action/*.py")
                      for step in re.findall(r'self\.begin\("(\w+)"\)', path.read_text())}


@pytest.mark.parametrize("step", MOMENTS)
def test_a_moment_is_a_step_that_is_declared(step):
    assert step in DECLARED


def test_every_step_is_declared_and_every_one_that_is_declared_is_known():
    assert DECLARED == {*OF_ALL, *OF_A_NODE}


def test_there_are_moments():
    assert {"stage", "settle"} < set(MOMENTS)
