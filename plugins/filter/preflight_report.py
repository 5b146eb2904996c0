# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

LEVELS = ("fail", "warn", "pass")


def preflight_report(verdict, cluster=()):
    """The findings as lines: what fails first, what passes last and in short."""
    findings = [dict(finding, node="") for finding in cluster]
    findings += [dict(finding, node=name) for name, node in verdict.items() for finding in node["findings"]]
    lines = []
    for level in LEVELS[:2]:
        lines += [f"{level}  {finding['node'] + ': ' if finding['node'] else ''}{finding['words']}"
                  for finding in findings if finding["level"] == level]
    passed = {}
    for finding in findings:
        if finding["level"] == "pass":
            passed.setdefault(finding["check"], []).append(finding["node"])
    for check, names in passed.items():
        where = ", ".join(name for name in names if name)
        lines.append(f"pass  {check}{': ' + where if where and len(names) < len(verdict) else ''}")
    return lines


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"preflight_report": preflight_report}
