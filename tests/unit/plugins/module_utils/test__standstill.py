# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _standstill


@pytest.fixture
def drop_in(monkeypatch, tmp_path):
    monkeypatch.setattr(_standstill, "SYSTEM", str(tmp_path))
    path = tmp_path / "neutron-server.service.d" / _standstill.NAME
    path.parent.mkdir()
    return path


def test_what_holds_a_unit_fails_as_long_as_it_is_there(drop_in):
    assert _standstill.hold_of("neutron-server") == str(drop_in)
    assert f"[Unit]\nConditionPathExists=!{drop_in}\n" in _standstill.text_of("neutron-server", True, quiet=True)
    text = _standstill.text_of("neutron-server", True)
    assert text.endswith(f"# before: active\n# release: \n# migrates: \n[Unit]\nAssertPathExists=!{drop_in}\n")


@pytest.mark.parametrize("text, held", [
    (None, ""), (_standstill.text_of("x", True), "active"), (_standstill.text_of("x", False), "inactive"),
    ("# Written by shaken", "inactive")])
def test_what_a_unit_was_before(drop_in, text, held):
    if text is not None:
        drop_in.write_text(text)
    assert _standstill.held("neutron-server") == held


@pytest.mark.parametrize("text, release", [
    (None, ""), (_standstill.text_of("x", True, release="4.0.0-a", migrates=["d-1", "d-2"]), "4.0.0-a"),
    (_standstill.text_of("x", True), ""), ("# Written by shaken", "")])
def test_which_release_it_had(drop_in, text, release):
    if text is not None:
        drop_in.write_text(text)
    found = _standstill.recorded("neutron-server")
    assert found == dict(came=release, migrates=["d-1", "d-2"] if release else [])
