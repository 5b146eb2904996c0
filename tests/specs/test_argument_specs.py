# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every role tells all of its variables, with the defaults that it really has.

from __future__ import annotations

import pathlib
import re
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import PARTS, ROLES, SHARED, defaults, entry_points, facts, load, options, prefixes, short


def is_template(value):
    return isinstance(value, str) and "{{" in value


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request):
    return request.param


def test_there_are_roles():
    assert ROLES


def test_a_role_is_whole(role):
    for path in ("meta/argument_specs.yml", "meta/main.yml", "README.md"):
        assert (role / path).is_file(), path


def test_galaxy_shows_what_the_specs_say(role):
    """A role without an entry point of its own name has them all by other names."""
    points = entry_points(role)
    assert short(role) == points["main"]["short_description"] if "main" in points else len(points) > 1


def test_parts_belong_to_one_role():
    names = [name for parts in PARTS.values() for name in parts] + [
        role.name for role in ROLES if role.name not in PARTS and options(role)]
    assert len(names) == len(set(names)) and set(PARTS) <= {role.name for role in ROLES}


def test_every_default_is_documented(role):
    assert sorted(set(defaults(role)) - set(options(role))) == []


def test_every_documented_option_has_a_default(role):
    lacking = [name for name, option in options(role).items()
               if name not in defaults(role) and not option.get("required") and not name.startswith(SHARED)]
    assert lacking == []


def test_defaults_are_documented_as_they_are(role):
    """A default that is a template is the role's alone; the README shows it."""
    for spec in entry_points(role).values():
        documented = {name: option["default"] for name, option in spec.get("options", {}).items()
                      if "default" in option}
        assert documented == {name: value for name, value in defaults(role).items()
                              if name in spec.get("options", {}) and not is_template(value)}


def test_options_are_complete(role):
    for name, option in options(role).items():
        assert option.get("type"), f"{name} has no type"
        assert option.get("description"), f"{name} has no description"
        assert option["type"] != "list" or option.get("elements"), f"{name} does not say of what it is a list"


def test_an_option_is_the_same_in_every_entry_point(role):
    for spec in entry_points(role).values():
        for name, option in spec.get("options", {}).items():
            assert option == options(role)[name], name


def test_names_begin_with_the_role(role):
    assert [name for name in options(role) if not name.startswith((*prefixes(role), SHARED))] == []
    assert [name for name in defaults(role) if not name.startswith(prefixes(role))] == []
    assert [name for name in load(role / "vars" / "main.yml") or {} if not name.startswith(f"__{role.name}_")] == []


def test_private_names_of_a_role_stay_in_it(role):
    others = [f"__{other.name}_" for other in ROLES if other.name != role.name]
    for path in role.rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert [prefix for prefix in others if prefix in text] == [], path


def test_every_entry_point_is_documented(role):
    tasks = {path.stem for path in (role / "tasks").glob("*.yml")}
    assert set(entry_points(role)) <= tasks
    for name, spec in entry_points(role).items():
        for key in ("short_description", "description", "version_added", "author"):
            assert spec.get(key), f"{name}: {key}"
        assert "attributes" not in spec, "of a role, ansible-core 2.20 shows none, and the versions before warn of it"


def test_the_readme_tells_the_variables(role):
    text = (role / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {role.name}\n")
    assert f"shakenfist.rolling.{role.name}" in text, "an example of its use is missing"
    assert f"docs/variables.md#{role.name})" in text, "it does not say where its variables are"


def conditions(tasks):
    """The conditions of tasks, those in blocks among them."""
    for task in tasks:
        for key in ("block", "rescue", "always"):
            yield from conditions(task.get(key, []))
        when = task.get("when", [])
        yield from map(str, when if isinstance(when, list) else [when])


def test_conditions_take_a_bool_of_the_command_line(role):
    """What -e name=false gives is a string, and ansible-core refuses that in a condition."""
    flags = [name for name, option in options(role).items() if option["type"] == "bool"]
    for path in sorted(role.glob("tasks/*.yml")):
        for condition in conditions(load(path)):
            bare = [name for name in flags if re.search(rf"\b{name}\b(?! \| bool\b)", condition)]
            assert bare == [], f"{path}: {condition} needs | bool"


def test_the_readme_tells_the_facts(role):
    text = (role / "README.md").read_text(encoding="utf-8").partition("\n## Facts\n")[2]
    assert text, "the heading Facts is missing"
    assert [fact for fact in sorted(facts(role)) if f"`{fact}`" not in text] == []


def test_examples_of_the_readme_are_yaml(role):
    blocks = (role / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1:]
    assert blocks
    for block in blocks:
        assert yaml.safe_load(block.split("```")[0])
