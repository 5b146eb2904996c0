# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.shakenfist.rolling.plugins.filter.documented_variables import documented_variables


@pytest.fixture
def roles(tmp_path):
    def write(**specs):
        for role, text in specs.items():
            (tmp_path / role / "meta").mkdir(parents=True)
            (tmp_path / role / "meta" / "argument_specs.yml").write_text(text)
        return str(tmp_path)

    return write


def test_all_entry_points_of_all_roles(roles):
    assert documented_variables(roles(
        drain="argument_specs: {main: {options: {drain_url: {}, drain_unit: {}}}, other: {options: {drain_x: {}}}}",
        verify="argument_specs: {main: {}}",
    )) == {"drain_unit": {}, "drain_url": {}, "drain_x": {}}


def test_what_a_role_requires_is_its_callers_to_give(roles):
    spec = "argument_specs: {main: {options: {hook_point: {type: str, required: true}}}}"
    assert documented_variables(roles(hook=spec)) == {"hook_point": {"type": "str"}}


@pytest.mark.parametrize("text", ["{", "other: {}", "[]", "argument_specs: {main: {}}"])
def test_what_cannot_be_read(roles, text):
    with pytest.raises(AnsibleFilterError):
        documented_variables(roles(broken=text))


def test_no_roles(tmp_path):
    with pytest.raises(AnsibleFilterError, match=f"no role in {tmp_path} documents its variables"):
        documented_variables(str(tmp_path))
