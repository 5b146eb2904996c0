# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Versions as PEP 440 has them, without a library: a node may have none.

from __future__ import annotations

import re
from typing import Any, Iterable, NamedTuple

NUMBERS = r"v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)"
VERSION = re.compile(
    NUMBERS + r"(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?([0-9]*))?"
    r"((?:-[0-9]+)|(?:[-_.]?(?:post|rev|r)[-_.]?[0-9]*))?([-_.]?dev[-_.]?[0-9]*)?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?")
KINDS = dict(alpha="a", beta="b", c="rc", pre="rc", preview="rc")


class Version(NamedTuple):
    """The parts of a version; pre is the kind and the number. What is not there is None."""

    epoch: int
    numbers: list[int]
    pre: tuple[str, int] | None
    post: int | None
    dev: int | None
    local: str | None


def _last(text: str | None) -> int | None:
    return None if text is None else int(re.findall(r"\d*$", text)[0] or 0)


def parse(version: str | None) -> Version | None:
    """The parts of a version; None for what is none."""
    found = VERSION.fullmatch((version or "").strip().lower())
    if not found:
        return None
    epoch, numbers, kind, number, post, dev, local = found.groups()
    return Version(int(epoch or 0), [int(part) for part in numbers.split(".")],
                   (KINDS.get(kind, kind), int(number or 0)) if kind else None, _last(post), _last(dev), local)


def version_key(version: str | None, without: Iterable[str] = ()) -> tuple:
    """What sorts versions. What is no version sorts first.

    :arg without: the parts that do not count.
    """
    parts = parse(version)
    if not parts:
        return (-1, (), (), (), (), (), version)
    nothing: dict[str, Any] = dict.fromkeys(without)
    epoch, numbers, pre, post, dev, local = parts._replace(**nothing)
    while numbers and not numbers[-1]:
        numbers.pop()
    # A dev version of the release itself comes before its alphas.
    before = (1, *pre) if pre else (0,) if dev is not None and post is None else (2,)
    words = tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"[-_.]", local or "")
                  if part)
    return (epoch, tuple(numbers), before, (0,) if post is None else (1, post), (1,) if dev is None else (0, dev),
            words, "")


def is_older(version: str, than: str) -> bool:
    """Whether a version comes before another one. Two builds of one version, as in 0.8.1+gabc, have no order."""
    without = ["local"] if "+" in version and "+" in than else []
    return version_key(version, without) < version_key(than, without)


def brief(version: str | None) -> str:
    """The three numbers of a version, without what says which build of it that is; the word itself if it is none.

    Nodes report that, pbr's brief version, of whatever build of a release they run.
    """
    found = re.match(NUMBERS, (version or "").strip())
    return ".".join(map(str, ([int(part) for part in found.group(2).split(".")] + [0, 0])[:3])) if found else (
        version or "")


def reports(reported: str | None, version: str) -> bool:
    """Whether what a node reports is what one that runs C(version) would report."""
    if not reported:
        return False
    parts, told = parse(version), {version, brief(version)}
    if parts and parts.post is not None:
        # pbr takes a post release for one on the way to the next patch.
        major, minor, patch = map(int, brief(version).split("."))
        told.add(f"{major}.{minor}.{patch + 1}")
    return reported in told or brief(reported) in told
