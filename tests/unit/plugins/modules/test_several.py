# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import inspect

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import PARTS
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import exceptions_info
from ansible_collections.shakenfist.rolling.plugins.modules import several
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

API = dict(module="units", arguments=dict(tiers=[["sf-api"]]))
LOOK = dict(module="units_info", arguments=dict(patterns=["sf-*"]))


def nobody(tmp_path):
    return dict(module="exceptions_info", arguments=dict(path=str(tmp_path / "none"), since="5"))


@pytest.mark.parametrize("check", [False, True])
def test_modules_in_a_row(run_module, systemd, tmp_path, check):
    systemd.units = dict.fromkeys(["sf-api"], [unit()])
    result = run_module(several, check, calls=[LOOK, nobody(tmp_path)])
    look, exceptions = result["answers"]
    assert not result["failed"] and not result["changed"] and result["diff"] == []
    assert look.pop("seconds") >= 0 and list(look.pop("units")) == ["sf-api"]
    assert look == dict(changed=False, failed=False) and exceptions["count"] == 0


def test_a_change(run_module, systemd):
    systemd.units = dict.fromkeys(["sf-api"], [unit(InvocationID="a"), unit(InvocationID="a"), unit(InvocationID="b")])
    result = run_module(several, calls=[API])
    answer = result["answers"][0]
    assert result["changed"] and answer["changed"] and result["diff"] == [answer["diff"]]
    assert answer["units"]["sf-api"]["before"] == "a"


def test_check_mode_changes_nothing(run_module, systemd):
    systemd.units = dict.fromkeys(["sf-api"], [unit(InvocationID="a")])
    assert "after" not in run_module(several, True, calls=[API])["answers"][0]["units"]["sf-api"]


def test_the_first_that_fails_is_the_last_one(run_module, systemd, tmp_path):
    systemd.units = {}
    result = run_module(several, calls=[LOOK, API, nobody(tmp_path)])
    assert result["failed"] and result["msg"].startswith("cannot restart sf-api") and result["changed"]
    assert [answer["failed"] for answer in result["answers"]] == [False, True]
    assert result["answers"][1]["failed_units"] == ["sf-api"] and result["answers"][1]["msg"] == result["msg"]


@pytest.mark.parametrize("arguments, words", [
    (dict(), "missing required arguments: patterns"),
    (dict(patterns=["a"], paterns=["b"]), "paterns"),
])
def test_arguments_of_a_module(run_module, arguments, words):
    result = run_module(several, calls=[dict(module="units_info", arguments=arguments)])
    assert result["failed"] and words in result["msg"]


def test_a_fault_does_not_hide_what_was_done_before_it(run_module, systemd, tmp_path, monkeypatch):
    def broken(module):
        raise OSError(5, "Input/output error")
    monkeypatch.setattr(exceptions_info, "run", broken)
    systemd.units = dict.fromkeys(["sf-api"], [unit()])
    result = run_module(several, calls=[LOOK, nobody(tmp_path)])
    assert result["failed"] and result["msg"] == "OSError: [Errno 5] Input/output error"
    assert list(result["answers"][0]["units"]) == ["sf-api"] and "in broken" in result["answers"][1]["exception"]


def test_nothing_to_run(run_module):
    assert run_module(several, calls=[])["answers"] == []


def test_every_part_that_can_be_run():
    # Ansible brings to the node what an import statement names, and no module has to be there that nobody runs.
    imported = [alias.name for node in ast.walk(ast.parse(inspect.getsource(several.packed)))
                if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert imported == list(PARTS) == sorted(PARTS)
    assert several.packed() is None
