# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every plugin documents itself so that ansible-doc can tell.

from __future__ import annotations

import functools
import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE_DOC = pathlib.Path(sys.executable).with_name("ansible-doc")
FOLDERS = {"modules": "module", "callback": "callback", "inventory": "inventory"}
PLUGINS = {kind: sorted(path.stem for path in (ROOT / "plugins" / folder).glob("*.py"))
           for folder, kind in FOLDERS.items() if (ROOT / "plugins" / folder).is_dir()}


HEADER = "GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"


@functools.lru_cache(maxsize=None)
def shown(kind):
    """What ansible-doc says of all plugins of one kind, by short name."""
    names = [f"shakenfist.rolling.{name}" for name in PLUGINS[kind]]
    run = subprocess.run([ANSIBLE_DOC, "--json", "--type", kind, *names], cwd=ROOT, capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, run.stderr
    return {name.rpartition(".")[2]: docs for name, docs in json.loads(run.stdout).items()}


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, names in PLUGINS.items() for name in names])
def test_documentation(kind, name):
    docs = shown(kind)[name]
    assert docs["doc"]["version_added"] and docs["doc"]["short_description"]
    assert docs["return"] and f"shakenfist.rolling.{name}" in docs["examples"]


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("*/*.py")),
                         ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_licence(path):
    lines = path.read_text(encoding="utf-8").splitlines()[:20]
    assert f"# {HEADER}" in lines
    assert "# SPDX-License-Identifier: GPL-3.0-or-later" in lines


@pytest.mark.parametrize("name", PLUGINS["module"])
def test_sections_of_a_module(name):
    text = (ROOT / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8")
    places = [text.find(f'\n{section} = r"""\n') for section in ("DOCUMENTATION", "EXAMPLES", "RETURN")]
    assert -1 not in places and places == sorted(places) and places[-1] < text.find("\nfrom ansible.module_utils")


@pytest.mark.parametrize("name", PLUGINS["module"])
def test_attributes(name):
    attributes = shown("module")[name]["doc"]["attributes"]
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)
    if name.endswith("_info"):
        assert attributes["check_mode"]["support"] == "full"
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    assert attributes.get("action_group", {}).get("membership", []) == [
        f"shakenfist.rolling.{group}" for group, members in groups.items() if name in members]


def test_every_plugin_has_a_unit_test():
    # A filter only gives a name to a function, which is tested where it is.
    for folder in ("modules", "module_utils", "plugin_utils", "inventory", "callback"):
        plugins = {f"test_{path.stem}" for path in (ROOT / "plugins" / folder).glob("*.py")}
        tests = {path.stem for path in (ROOT / "tests" / "unit" / "plugins" / folder).glob("test_*.py")}
        assert plugins - tests == set(), folder


def test_every_part_belongs_to_a_module():
    """So the module's documentation and tests are those of the part."""
    parts = {path.stem for path in (ROOT / "plugins" / "module_utils" / "parts").glob("*.py")} - {"__init__"}
    assert parts and parts <= set(PLUGINS["module"])
    for name in parts:
        assert f"parts import {name} as part" in (ROOT / "plugins" / "modules" / f"{name}.py").read_text()


def test_one_place_opens_urls():
    """It has what each of them needs: credentials go to the address that was given, and to no other."""
    found = [path.name for path in sorted((ROOT / "plugins").rglob("*.py"))
             if "urls.open_url(" in path.read_text() or "urlopen(" in path.read_text()
             or "fetch_url(" in path.read_text() or "import open_url" in path.read_text()
             and "module_utils._http import open_url" not in path.read_text()]
    assert found == ["_http.py"]


def test_what_is_new_is_of_one_release():
    """That it was added in a release, or in the one that comes next; of two that are not there yet one is wrong."""
    released = set(yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))["releases"])
    paths = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").glob("*/meta/argument_specs.yml")]
    added = {version for path in paths
             for version in re.findall(r"version_added: (?:&\w+ )?(\d\S*)", path.read_text(encoding="utf-8"))}
    assert len(added - released) <= 1
