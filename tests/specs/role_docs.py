# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What is told of the variables, from the argument specs and the files of products: docs/variables.md. Run
# tools/variables after a change of them.

from __future__ import annotations

import json
import pathlib
import re

import jinja2
import yaml
from jinja2.nodes import Filter, Impossible, Name

ROOT = pathlib.Path(__file__).parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
PRODUCTS = sorted((ROOT / "playbooks" / "vars").glob("*.yml"))
REFERENCE = ROOT / "docs" / "variables.md"
SHARED = "rolling_"  # the playbooks' own, which role preflight documents


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def entry_points(role):
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]


def prefixes(role):
    """What the names of the role's variables begin with."""
    return tuple(f"{name}_" for name in PARTS.get(role.name, [role.name]))


def short(role):
    """What the role does, in one line."""
    return load(role / "meta" / "main.yml")["galaxy_info"]["description"]


def defaults(role):
    return load(role / "defaults" / "main.yml") or {}


def options(role):
    """The options of all entry points; the same name means the same thing in each."""
    return {name: option for spec in entry_points(role).values() for name, option in spec.get("options", {}).items()}


# Those that a playbook takes, but no role.
OF_PLAYBOOKS = {
    "pause_reason": {"type": "str", "default": "", "description": "Of `pause`: why the roll is to wait, for people."},
    "stop_reason": {"type": "str", "default": "", "description": "Of `stop`: why the roll is to end, for people."},
}
# Roles that were made of several parts, whose variables have the names of these.
PARTS = {"run": ("run", "lock", "watch", "hook", "report", "tell", "roll_reconnect"),
         "release": ("release", "stage", "activate", "prune", "rollback")}
# The roles in the order in which a roll comes to them; others follow.
ORDER = "status plan preflight run release schema roll drain balancer restart gate verify reconfigure".split()


def of_product(path):
    """The variables of a product, as its file documents them."""
    return load(path)["rolling_variables"]


def taken_by(path):
    """What a product's file takes for each variable of its own where that is not set; the first one, if several."""
    found = {}
    for text in texts({key: value for key, value in load(path).items() if key != "rolling_variables"}):
        for node in jinja2.Environment().parse(text).find_all(Filter):
            if node.name == "default" and isinstance(node.node, Name) and node.node.name.startswith(f"{path.stem}_"):
                try:
                    found.setdefault(node.node.name, node.args[0].as_const())
                except Impossible:
                    found.setdefault(node.node.name, None)
    return found


def texts(value):
    """Every text in what a file of YAML has."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def plain(text):
    """Ansible's markup as Markdown."""
    text = re.sub(r"\b[COV]\((.+?)\)", r"`\1`", text)
    return re.sub(r"\b[MP]\((.+?)(?:#\w+)?\)", r"`\1`", text).replace("|", "\\|")


def cell(value):
    text = value if isinstance(value, str) and value else json.dumps(value)
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def kind(option):
    return f"list of {option['elements']}" if option.get("elements") else option["type"]


def description(option):
    words = option["description"]
    return plain(" ".join([words] if isinstance(words, str) else words))


def rows(named, values, kind, describe):
    """Options by name as a Markdown table, with the defaults that they have in values."""
    lines = ["| Variable | Type | Default | What it is |", "|---|---|---|---|"]
    for name, option in named.items():
        default = ("required" if option.get("required") else cell(values[name]) if values.get(name) is not None
                   else "not set")
        lines.append(f"| `{name}` | {kind(option)} | {default} | {describe(name, option)} |")
    return "\n".join(lines) + "\n"


def published(tasks):
    """The facts that tasks set, those in blocks among them."""
    for task in tasks:
        for key in ("block", "rescue", "always"):
            yield from published(task.get(key, []))
        yield from task.get("ansible.builtin.set_fact", {})


def facts(role):
    """The facts that a role publishes."""
    return {fact for path in role.glob("tasks/*.yml") for fact in published(load(path)) if not fact.startswith("__")}


def taken():
    """The names that playbooks read with a default and no role publishes, so those that somebody may set."""
    return {name for path in PLAYBOOKS
            for name in re.findall(r"(?<![\w.])([a-z]+_[a-z_]+) *\| *default\(", path.read_text(encoding="utf-8"))
            } - {fact for role in ROLES for fact in facts(role)}


def given():
    """By variable, the playbooks that set it for the roles."""
    found = {}
    for path in PLAYBOOKS:
        for name in {name for play in load(path) for name in play.get("vars", {})}:
            found.setdefault(name, []).append(f"`{path.stem}`")
    return found


def full_kind(option):
    """The type of an option, its unit, and what it may be."""
    seconds = option["type"] in ("int", "float") and "seconds" in description(option).partition(".")[0]
    choices = ": " + ", ".join(f"`{choice}`" for choice in option["choices"]) if option.get("choices") else ""
    return kind(option) + (", seconds" if seconds else "") + choices


def reference():
    """The page of all variables."""
    setters = given()

    def full_description(name, option):
        return description(option) + (f" *Set by {', '.join(setters[name])}.*" if name in setters else "")

    ranks = {name: rank for rank, name in enumerate(ORDER)}
    roles = sorted(ROLES, key=lambda role: (ranks.get(role.name, len(ranks)), role.name))
    everything = {name: option for role in roles for name, option in options(role).items()}
    shared = {name: option for name, option in everything.items() if name.startswith(SHARED)}
    contents = "".join(f"| [{role.name}](#{role.name}) | {short(role)} |\n" for role in roles)
    products = {path: path.stem.capitalize() for path in PRODUCTS}
    contents += "".join(f"| [{title}](#{title.lower()}) | what is of this product alone |\n"
                        for title in products.values())
    text = INTRODUCTION.format(contents=contents) + "\n## The whole roll\n\n" + rows(
        {**shared, **OF_PLAYBOOKS}, {name: option["default"] for name, option in OF_PLAYBOOKS.items()},
        full_kind, full_description)
    for role in roles:
        own = {name: option for name, option in options(role).items() if not name.startswith(SHARED)}
        text += (f"\n## {role.name}\n\n{short(role)}. [Its README](../roles/{role.name}/README.md) has an example, and "
                 "the facts that it publishes.\n\n" + rows(own, defaults(role), full_kind, full_description))
    for path, title in products.items():
        text += (f"\n## {title}\n\nOf the playbook [{path.stem}]({path.stem}.md), and, with "
                 f"`-e rolling_product={path.stem}`, of `plan`, `status`, `pause`, `resume` and `stop`.\n\n"
                 + rows(of_product(path), {**load(path), **taken_by(path)}, full_kind, full_description))
    return text


INTRODUCTION = """# Variables

<!-- Written by tools/variables from roles/*/meta/argument_specs.yml, roles/*/defaults/main.yml and
playbooks/vars/*.yml: change those. -->

All variables, with the defaults that they have. The [README](../README.md#variables) lists the few that most people
need.

Set them in the inventory, in `group_vars/allsf.yml` beside it, or for one run with `-e`. What `-e name=value` gives is
text, which is taken as the number or the flag that it stands for. A list of names may be given with commas, any list as
JSON, such as `-e '{{"stage_packages": ["shakenfist-client>=0.8"]}}'`. A name that is misspelt, or a value of the wrong
type, is refused before anything is touched.

A default with `{{{{ ... }}}}` is worked out for each node when it is needed. What "not set" means, the description
says. What is *set by* a playbook is that playbook's to know: set it only in a playbook of your own.

| Section | What it does |
|---|---|
| [The whole roll](#the-whole-roll) | the variables of the playbooks |
{contents}"""


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
