# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What is said to be supported is what tools/test tries: the whole range of ansible-core, a node's oldest Python.

from __future__ import annotations

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import ROOT, load

OLDEST, BEYOND = map(int, re.fullmatch(r">=2\.(\d+)\.0,<2\.(\d+)\.0",
                                       load(ROOT / "meta" / "runtime.yml")["requires_ansible"]).groups())
RANGE = ROOT / "tests" / "range"
PINS = sorted(RANGE.glob("*.txt"))


def names(path):
    """The packages that a file of requirements names, with those of the files that it includes."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= names(path.parent / line[3:])
        elif re.match(r"\w", line):
            found.add(re.match(r"[\w.-]+", line)[0].lower().replace(".", "-"))
    return found


def test_the_whole_range_is_tried():
    tried = [int(re.match(r"core-2\.(\d+)-", path.name)[1]) for path in PINS if path.name.startswith("core-")]
    own = re.search(r"^ansible-core==2\.(\d+)\.", (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8"),
                    flags=re.MULTILINE)[1]
    assert sorted([*tried, int(own)]) == list(range(OLDEST, BEYOND))
    words = f"ansible-core 2.{OLDEST} to 2.{BEYOND - 1}"
    assert words in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_oldest_python_of_a_node_is_the_one_that_is_tried():
    version = re.search(r'target-version = "py3(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    assert [path.name for path in PINS if path.name.startswith("nodes-")] == [f"nodes-python3.{version}.txt"]
    assert f"Python 3.{version} or later" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_core_that_wants_a_newer_python_of_a_node_is_named():
    """Ansible-core 2.20 has the next one as its least, of which a module says so before it does anything."""
    oldest = re.search(r'target-version = "py3(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"from ansible-core 2.20 on 3.{int(oldest) + 1}" in text


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_all_that_is_asked_for_is_pinned(path):
    asked = names(RANGE / f"{path.name.partition('-')[0]}.in")
    assert not asked - names(path), "run tests/range/lock"


def test_every_core_of_the_range_ignores_the_same_and_says_why():
    files = sorted((ROOT / "tests" / "sanity").glob("ignore-*.txt"))
    assert [path.name for path in files] == [f"ignore-2.{minor}.txt" for minor in range(OLDEST, BEYOND)]
    lines = [path.read_text(encoding="utf-8").splitlines() for path in files]
    assert all(line == lines[0] for line in lines)
    assert all(re.search(r" # \w", line) for line in lines[0])
