# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Nodes report pbr's brief version, three numbers, of whatever build of a release they run.

from __future__ import annotations

import re

VERSION = re.compile(r"(?:\d+!)?(\d+(?:\.\d+)*)(.*)$", re.DOTALL)


def _parts(version):
    """Three numbers and what follows the numbers; None for what is no version."""
    match = VERSION.match((version or "").strip())
    if not match:
        return None
    numbers = [int(part) for part in match.group(1).split(".")]
    return (numbers + [0, 0])[:3], match.group(2)


def brief(version):
    """The three numbers of a version, without what says which build of it that is; the word itself if it is none."""
    parts = _parts(version)
    return ".".join(map(str, parts[0])) if parts else (version or "")


def reported_as(version):
    """As what a node may report a version. pbr takes a post release for one on the way to the next patch."""
    parts = _parts(version)
    found = {brief(version)}
    if parts and re.match(r"[^+]*post", parts[1]):
        (major, minor, patch), dummy = parts
        found.add(f"{major}.{minor}.{patch + 1}")
    return found


def reports(reported, version):
    """Whether what a node reports is what one that runs C(version) would report."""
    return bool(reported) and (reported == version or brief(reported) in reported_as(version))
