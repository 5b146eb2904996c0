# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What Galaxy gets: what Ansible runs and what people read, and no page in it points to what stays in the repository.

from __future__ import annotations

import pathlib
import subprocess
import sys
import tarfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from pages import dead_links
from role_docs import ROOT

ANSIBLE_GALAXY = pathlib.Path(sys.executable).with_name("ansible-galaxy")
# What is in it at the top; folders in which everything belongs to it; what else is in it, once there is a release.
TOP = {"CHANGELOG.rst", "CODE_OF_CONDUCT.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "SECURITY.md",
       "bindep.txt"}
WHOLE = ("docs", "examples", "meta", "playbooks", "plugins", "roles")
ALONE = {"changelogs/changelog.yaml", "tools/getsf-upgrade"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = tmp_path_factory.mktemp("artefact")
    run = subprocess.run([ANSIBLE_GALAXY, "collection", "build", "--output-path", place], cwd=ROOT, capture_output=True,
                         text=True, check=False)
    assert run.returncode == 0, run.stderr
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place / "rolling")
    return place / "rolling"


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_it_has_what_an_installed_collection_needs_and_nothing_else(built):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *WHOLE], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    assert names_in(built) == {*TOP, *(name for name in (*ALONE, *listed) if (ROOT / name).exists())}


def test_no_link_in_it_is_dead(built):
    pages = sorted(built.rglob("*.md"))
    assert pages and {str(page.relative_to(built)): dead_links(page, built) for page in pages
                      if dead_links(page, built)} == {}
