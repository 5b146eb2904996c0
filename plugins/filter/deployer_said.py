# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

# Hosts that failed, without what a task says of itself: that is where secrets are.
FAILED = re.compile(r"(fatal|failed): \[([^\]\s]+)[^\]]*\]")
RECAP = re.compile(r"\S+ +: ok=\d+.*")
MOST = 5


def deployer_said(output):
    """Where a run of ansible-playbook has ended, from its output: only what has no values in it."""
    task, failed, recap, begun, errors = "", [], [], False, []
    for line in output.splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if line.startswith(("TASK [", "RUNNING HANDLER [", "PLAY [")):
            begun = True
            if not line.startswith("PLAY"):
                task = line.rstrip("* ")
        elif FAILED.match(line):
            found = FAILED.match(line)
            failed.append(f"{task}: {found.group(1)}: [{found.group(2)}]" if task else found.group(0))
        elif RECAP.fullmatch(line):
            recap.append(" ".join(line.split()))
        elif not begun and line.startswith(("ERROR!", "[ERROR]")):
            # Before the first play: a playbook or an inventory that is wrong, no task has seen a value yet.
            errors.append(line)
    lines = errors[:MOST] + failed[-MOST:] + recap[-MOST:]
    if task and not failed:
        lines.insert(0, f"the last was {task}")
    return "; ".join(lines)


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"deployer_said": deployer_said}
