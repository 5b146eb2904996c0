# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The pages hold together: what one points to is there, every page can be found, and the reference is up to date.

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from pages import dead_links, links, undefined
from role_docs import OF_PLAYBOOKS, REFERENCE, ROLES, ROOT, options, reference, taken

PAGES = sorted(ROOT / name for name in subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True, capture_output=True,
    text=True).stdout.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    assert dead_links(page, ROOT) == []
    assert undefined(page) == set()


def test_what_the_file_of_a_product_takes_is_on_its_page():
    for path in (ROOT / "playbooks" / "vars").glob("*.yml"):
        page = (ROOT / "docs" / f"{path.stem}.md").read_text(encoding="utf-8")
        taken = set(re.findall(rf"\b{path.stem}_[a-z_]+(?= *\|| default)", path.read_text(encoding="utf-8")))
        assert taken and [name for name in sorted(taken) if f"`{name}`" not in page] == []


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert sorted({path for path in PAGES if path.parent == index.parent} - named - {index}) == []


def test_the_reference_is_up_to_date():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run tools/variables"


def test_what_playbooks_take_is_documented():
    """A variable that no role has must be in OF_PLAYBOOKS, and one that is there must be in use."""
    documented = {name for role in ROLES for name in options(role)}
    assert taken() - documented == set(OF_PLAYBOOKS)
