# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import glob
import os

import yaml
from ansible.errors import AnsibleFilterError


def documented_variables(roles):
    """All options in the argument specs of the roles in the directory C(roles), by name.

    None is required: what a role cannot do without, its caller gives, and not whoever sets variables for all of them.
    """
    options = {}
    for path in sorted(glob.glob(os.path.join(roles, "*", "meta", "argument_specs.yml"))):
        try:
            with open(path, encoding="utf-8") as handle:
                specs = yaml.safe_load(handle)["argument_specs"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as exc:
            raise AnsibleFilterError(f"cannot read argument specs from {path}: {exc}") from exc
        for spec in specs.values():
            options.update((name, {key: value for key, value in option.items() if key != "required"})
                           for name, option in spec.get("options", {}).items())
    if not options:
        raise AnsibleFilterError(f"no role in {roles} documents its variables")
    return options


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"documented_variables": documented_variables}
