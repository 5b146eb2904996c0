# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The table of variables in each role's README, from its argument specs. Run this file after a change of the specs:
#   .cache/venv/bin/python tests/specs/role_docs.py

from __future__ import annotations

import json
import pathlib
import re

import yaml

ROLES = sorted(path for path in (pathlib.Path(__file__).parents[2] / "roles").iterdir() if path.is_dir())
BEGIN, END = "<!-- variables: from meta/argument_specs.yml -->\n", "<!-- end of variables -->\n"


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def entry_points(role):
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]


def defaults(role):
    return load(role / "defaults" / "main.yml") or {}


def options(role):
    """The options of all entry points; the same name means the same thing in each."""
    return {name: option for spec in entry_points(role).values() for name, option in spec.get("options", {}).items()}


def plain(text):
    """Ansible's markup as Markdown."""
    text = re.sub(r"\b[COV]\((.+?)\)", r"`\1`", text)
    return re.sub(r"\b[MP]\((.+?)(?:#\w+)?\)", r"`\1`", text).replace("|", "\\|")


def cell(value):
    text = value if isinstance(value, str) and value else json.dumps(value)
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def table(role):
    """The variables of a role as a Markdown table."""
    lines = ["| Variable | Type | Default | What it is |", "|---|---|---|---|"]
    for name, option in options(role).items():
        kind = f"list of {option['elements']}" if option.get("elements") else option["type"]
        default = "required" if option.get("required") else "not set"
        if name in defaults(role):
            default = cell(defaults(role)[name])
        words = option["description"]
        lines.append(f"| `{name}` | {kind} | {default} | "
                     f"{plain(' '.join([words] if isinstance(words, str) else words))} |")
    return "\n".join(lines) + "\n"


def updated(role):
    """The README of a role as it ought to be."""
    text = (role / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    dummy, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{role}/README.md lacks the lines {BEGIN!r} and {END!r}")
    return before + begin + table(role) + end + after


if __name__ == "__main__":
    for a_role in ROLES:
        (a_role / "README.md").write_text(updated(a_role), encoding="utf-8")
