# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A fault that waits for a task that was renamed never comes. That shows here, not an hour later in the lab.

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
MOMENTS = sorted({name for path in (ROOT / "tests/lab/faults").glob("*.py")
                  for name in re.findall(r"\btask\('([^']+)'", path.read_text())})


def names(node):
    """All names of tasks in a file of tasks, those in blocks, too."""
    for task in node or []:
        yield task.get("name", "")
        for part in ("block", "rescue", "always"):
            yield from names(task.get(part))


TASKS = [name for path in ROOT.glob("roles/*/tasks/*.yml") for name in names(yaml.safe_load(path.read_text()))]


@pytest.mark.parametrize("moment", MOMENTS)
def test_moment(moment):
    assert any(re.match(moment, task) for task in TASKS), f"no role has a task whose name begins with: {moment}"


def test_there_are_moments():
    assert MOMENTS
