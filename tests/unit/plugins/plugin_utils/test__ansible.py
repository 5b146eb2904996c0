# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._ansible import become_nobody, obstacles


@pytest.mark.parametrize("task_timeout, strategy, options, words", [
    (0, "linear", {}, []),
    (0, "ansible.builtin.linear", dict(tags=("all",), step=False, start_at_task=None), []),
    (30, "linear", {}, ["task_timeout is 30 s, it would cut a drain or a migration: export ANSIBLE_TASK_TIMEOUT=0"]),
    (0, "debug", {}, ["a failure would open Ansible's debugger, and the node would stay drained behind it: export "
                      "ANSIBLE_ENABLE_TASK_DEBUGGER=0 ANSIBLE_STRATEGY=linear"]),
    (0, "free", {}, ["the strategy is free, with which nodes may not wait for each other: export "
                     "ANSIBLE_STRATEGY=linear"]),
    (0, "mitogen_linear", {}, ["the strategy is mitogen_linear, with which"]),
    (0, "linear", dict(tags=["a", "b"]), ["--tags a,b leaves out steps of a run: leave that out"]),
    (0, "linear", dict(skip_tags=["a", "untagged"]), ["--skip-tags untagged leaves out steps of a run: leave that"]),
    (0, "linear", dict(skip_tags=["notest"]), []),
    (0, "linear", dict(step=True, start_at_task="x"), ["--step leaves out", "--start-at-task leaves out"]),
])
def test_what_would_break_a_run(task_timeout, strategy, options, words):
    found = obstacles(task_timeout, strategy, options)
    assert len(found) == len(words) and all(map(str.startswith, found, words))


def test_a_debugger():
    assert obstacles(0, "linear", {}, debugger=True) == obstacles(0, "debug", {})
    assert len(obstacles(0, "free", {}, debugger=True)) == 2


@pytest.mark.parametrize("variables, kept", [
    ({}, True), (dict(ansible_become=True), True), (dict(ansible_become=False), False),
    (dict(ansible_become="no"), False)])
def test_a_task_that_becomes_nobody(variables, kept):
    """Whatever -e ansible_become says: it has made the connection what it is."""
    connection = SimpleNamespace(become="sudo")
    connection.set_become_plugin = lambda plugin: setattr(connection, "become", plugin)
    become_nobody(SimpleNamespace(_task=SimpleNamespace(get_vars=lambda: variables), _connection=connection,
                                  _templar=SimpleNamespace(template=lambda value: value)))
    assert connection.become == ("sudo" if kept else None)
