# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

from ansible_collections.shakenfist.rolling.plugins.modules import boot_info


def test_this_machine(run_module):
    found = run_module(boot_info, check=True)
    assert not found["failed"] and not found["changed"] and len(found["id"]) == 36
    assert 0 < found["booted"] <= found["now"] <= time.time()


def test_the_first_process_counts(run_module, monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu 1\nbtime 1000\n")
    monkeypatch.setattr(boot_info, "STAT", str(stat))
    monkeypatch.setattr(boot_info, "process_started", lambda pid: str(5 * os.sysconf("SC_CLK_TCK")))
    assert run_module(boot_info)["booted"] == 1005.0


def test_a_machine_without_proc(run_module, monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu 1\n")
    monkeypatch.setattr(boot_info, "STAT", str(stat))
    assert run_module(boot_info)["msg"] == "expected the start of process 1 in /proc, it is not there"
