# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter import deployer_said as plugin
from ansible_collections.shakenfist.rolling.plugins.filter.deployer_said import deployer_said

FAILS = """
PLAY [allsf] *******************************************************************

TASK [Set the secret] **********************************************************
\x1b[0;31mfatal: [sf-1 -> db(10.0.0.1)]: FAILED! => {"cmd": ["sf-ctl", "set-config", "hunter2"]}\x1b[0m
failed: [sf-1] (item=hunter2) => {"msg": "hunter2"}
[ERROR]: Task failed: hunter2

PLAY RECAP *********************************************************************
sf-1                       : ok=3    changed=1    unreachable=0    failed=1    skipped=0
"""


def test_where_it_failed_and_no_value():
    assert deployer_said(FAILS) == ("TASK [Set the secret]: fatal: [sf-1]; TASK [Set the secret]: failed: [sf-1]; "
                                    "sf-1 : ok=3 changed=1 unreachable=0 failed=1 skipped=0")


@pytest.mark.parametrize("output, words", [
    ("", ""),
    ("hunter2\n", ""),
    ("ERROR! the playbook: site.yml could not be found\nhunter2\n", "ERROR! the playbook: site.yml could not be found"),
    ("PLAY [x]\nTASK [Wait] ***\nok: [sf-1]\n", "the last was TASK [Wait]"),
    ("fatal: [sf-1]: UNREACHABLE! => {}\n", "fatal: [sf-1]"),
])
def test_other_ends(output, words):
    assert deployer_said(output) == words


def test_of_many_the_last():
    assert deployer_said("".join(f"fatal: [sf-{number}]: x\n" for number in range(9))).startswith("fatal: [sf-4]; ")


def test_the_filter_is_offered():
    assert plugin.FilterModule().filters() == {"deployer_said": deployer_said}
