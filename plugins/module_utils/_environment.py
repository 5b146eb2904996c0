# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations

import re

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")
QUOTES = ("'", '"')


def parse_environment_file(text, source="the configuration"):
    """Parse a systemd EnvironmentFile: C(KEY=value) lines, values may be quoted and may contain C(=).

    :returns: the variables as a dict of strings.
    :raises RollingError: for a line that is neither an assignment, a comment nor empty. The line itself is not
        quoted: it may hold a password.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        match = ASSIGNMENT.match(line)
        if not match:
            raise RollingError(f"line {number} of {source} is not of the form KEY=\"value\": correct that line")
        key, value = match.group(1), match.group(2).strip()
        if value[:1] in QUOTES:
            if len(value) < 2 or value[-1] != value[0]:
                raise RollingError(f"line {number} of {source} ({key}) has an unbalanced quote: correct that line")
            quote, value = value[0], value[1:-1]
            if quote == '"':
                value = re.sub(r'\\(["\\$`])', r"\1", value)
        variables[key] = value
    return variables


def read_environment_file(path):
    """Read and parse the EnvironmentFile at C(path)."""
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise RollingError(f"cannot read {path}: {getattr(exc, 'strerror', None) or exc}") from exc
    return parse_environment_file(text, path)
