# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml

from ansible.errors import AnsibleFilterError


def documented_variables(path):
    """The names of all options in a role's argument_specs file."""
    try:
        with open(path, encoding="utf-8") as handle:
            specs = yaml.safe_load(handle)["argument_specs"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as exc:
        raise AnsibleFilterError(f"cannot read argument specs from {path}: {exc}") from exc
    return sorted({name for spec in specs.values() for name in spec.get("options", {})})


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"documented_variables": documented_variables}
