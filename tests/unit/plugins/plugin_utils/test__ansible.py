# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._ansible import obstacles


@pytest.mark.parametrize("task_timeout, strategy, options, words", [
    (0, "linear", {}, []),
    (0, "ansible.builtin.linear", dict(tags=("all",), step=False, start_at_task=None), []),
    (30, "linear", {}, ["task_timeout is 30 s, it would cut a drain or a migration: export ANSIBLE_TASK_TIMEOUT=0"]),
    (0, "debug", {}, []),
    (0, "free", {}, ["the strategy is free, with which nodes may not wait for each other: export "
                     "ANSIBLE_STRATEGY=linear"]),
    (0, "mitogen_linear", {}, ["the strategy is mitogen_linear, with which"]),
    (0, "linear", dict(tags=["a", "b"]), ["--tags a,b leaves out steps of a run: leave that out"]),
    (0, "linear", dict(step=True, start_at_task="x"), ["--step leaves out", "--start-at-task leaves out"]),
])
def test_what_would_break_a_run(task_timeout, strategy, options, words):
    found = obstacles(task_timeout, strategy, options)
    assert len(found) == len(words) and all(map(str.startswith, found, words))
