# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The pages hold together: what one points to is there, every page can be found, and the reference is up to date.

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from pages import dead_links, links, undefined
from role_docs import (
    OF_PLAYBOOKS,
    PRODUCTS,
    REFERENCE,
    ROLES,
    ROOT,
    load,
    of_product,
    options,
    reference,
    taken,
    taken_by,
)

PAGES = sorted(ROOT / name for name in subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True, capture_output=True,
    text=True).stdout.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    assert dead_links(page, ROOT) == []
    assert undefined(page) == set()


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: path.stem)
def test_what_the_file_of_a_product_takes_is_documented(path):
    """In the file itself, from which it is checked, and on the page of the product."""
    documented, page = of_product(path), (ROOT / "docs" / f"{path.stem}.md").read_text(encoding="utf-8")
    # Its own may be set with -e.
    assert documented and set(taken_by(path)) <= set(documented) <= {*taken_by(path), *load(path), *taken()}
    assert [name for name in documented if f"`{name}`" not in page] == []
    for name, option in documented.items():
        assert set(option) <= {"type", "elements", "choices", "description"} and option["type"], name
        assert option["description"].endswith(".") and (option["type"] != "list" or option["elements"]), name


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert sorted({path for path in PAGES if path.parent == index.parent} - named - {index}) == []


def test_the_reference_is_up_to_date():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run tools/variables"


def test_what_playbooks_take_is_documented():
    """A variable that no role and no product has must be in OF_PLAYBOOKS, and one that is there must be in use."""
    documented = {*(name for role in ROLES for name in options(role)),
                  *(name for path in PRODUCTS for name in of_product(path))}
    assert taken() - documented == set(OF_PLAYBOOKS)
