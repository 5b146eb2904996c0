# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import difflib

# How alike two names must be to be taken for the same one misspelt; difflib's ratio, found with the names of the roles.
ALIKE = 0.88
# Names that were ours, and what has taken their place.
RENAMED = dict.fromkeys(("preflight_credentials", "status_credentials", "verify_credentials"), "cluster_credentials")


def unknown_variables(names, known, own="rolling_"):
    """Find the names that are meant for this collection, but that it does not know.

    A name that begins with C(own) belongs to nobody else. Others, such as C(drain_...), are only reported when they are
    close to a known one, or were one, for an operator's inventory may have its own use for them.
    """
    found = []
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if name.startswith(own) else ALIKE)
        near = [RENAMED[name]] if name in RENAMED else near
        if near or name.startswith(own):
            found.append({"name": name, "nearest": near[0] if near else ""})
    return found


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"unknown_variables": unknown_variables}
