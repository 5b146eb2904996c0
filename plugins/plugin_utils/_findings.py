# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What a check has found, and the lines that an operator reads.

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

FAIL, WARN, PASS = "fail", "warn", "pass"
# The check that an upgrade is running. What else is found may be its doing.
LOCK = "lock"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check has found.

    :param check: what was checked, in a word or two.
    :param level: V(fail) refuses the run, V(warn) only says so, V(pass) has nothing to say.
    :param words: what was expected, what was seen, and what fixes it; empty for V(pass).
    :param node: the name in the inventory; empty where it is of the cluster.
    """

    check: str
    level: str
    words: str = ""
    node: str = ""

    def line(self) -> str:
        return f"{self.level}  {self.node + ': ' if self.node else ''}{self.words}"


class Findings(list[Finding]):
    """The findings of one node, or of the cluster."""

    def __init__(self, node: str = "") -> None:
        super().__init__()
        self.node = node

    def add(self, check: str, level: str, words: str = "") -> None:
        self.append(Finding(check, level, words, self.node))

    def judge(self, check: str, problems: Collection[str], level: str = FAIL, made: bool = True) -> None:
        """A check passes without problems, unless there was nothing to check, so that it was not C(made)."""
        for words in problems:
            self.add(check, level, words)
        if not problems and made:
            self.add(check, PASS)

    def failed(self) -> list[Finding]:
        return [finding for finding in self if finding.level == FAIL]


def warnings_of(lines: Iterable[str]) -> list[str]:
    """The warnings of a report, without what marks them as such."""
    return [line[len(WARN):].lstrip() for line in lines if line.startswith(WARN)]


def report(cluster: Findings, nodes: dict[str, Findings]) -> list[str]:
    """The findings as lines: first that an upgrade is running, then what fails, what passes last and in short.

    :arg cluster: the findings of the cluster.
    :arg nodes: those of each node, by name.
    """
    findings = [*cluster, *(finding for found in nodes.values() for finding in found)]
    told = [finding for finding in findings if finding.level != PASS]
    lines = [finding.line() for finding in sorted(told, key=lambda one: (one.check != LOCK, one.level != FAIL))]
    passed: dict[str, list[str]] = {}
    for finding in findings:
        if finding.level == PASS:
            passed.setdefault(finding.check, []).append(finding.node)
    for check, names in passed.items():
        where = ", ".join(name for name in names if name)
        lines.append(f"{PASS}  {check}{': ' + where if where and len(names) < len(nodes) else ''}")
    return lines
