# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import lock, lock_info

WORK = dict(kind="upgrade", release="0.8.1", nodes=["sf-2"])


@pytest.mark.parametrize("holder, gone", [
    (None, False), ({}, False), (dict(lock.myself(os.getpid()), **WORK), False),
    (dict(lock.myself(os.getpid()), started="1", **WORK), True),
    (dict(lock.myself(os.getpid()), started="1", host="elsewhere", **WORK), False),
])
def test_gone(monkeypatch, holder, gone):
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    plugin = lock_info.ActionModule.__new__(lock_info.ActionModule)
    plugin._task = SimpleNamespace(get_vars=dict, action="shakenfist.rolling.lock_info", args=dict(path="/x"),
                                   run_once=True)
    plugin.run_module = lambda *dummy: dict(changed=False, lock=holder, gone=False, broken={})
    assert plugin.run() == dict(changed=False, lock=holder, gone=gone, held=bool(holder) and not gone,
                                broken=WORK if gone else {})
