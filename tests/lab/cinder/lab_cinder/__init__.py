# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drivers of the lab for Cinder: they need no hardware and do nothing, at the pace that a name asks for."""

import re


def seconds(name):
    """How long the work on something of this name takes: slow-40 takes 40 s."""
    found = re.fullmatch(r"slow-(\d+)", name or "")
    return int(found.group(1)) if found else 0
