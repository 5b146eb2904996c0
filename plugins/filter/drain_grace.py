# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _grace


def drain_grace(configured, stated=None, unit=None):
    """For how long the unit keeps serving when it is stopped, and where that is known from."""
    return _grace.drain_grace(configured, stated, unit)


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"drain_grace": drain_grace}
