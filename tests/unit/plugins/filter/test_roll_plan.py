# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.roll_plan import roll_plan


def node(database=False, ready=True, done=False, gateway_down=False):
    return dict(database=database, ready=ready, done=done, gateway_down=gateway_down)


@pytest.mark.parametrize("verdict, expected", [
    ({"a": node(), "b": node(True), "c": node(), "d": node(True)},
     dict(order=["b", "d", "a", "c"], database=["b", "d"], others=["a", "c"], schema=["b", "d"], lock="b", done=[],
          alone=False, serving=["a", "b", "c", "d"])),
    ({"z": node(True), "y": node(True)}, dict(schema=["z", "y"], lock="y")),
    # Those that serve nobody go first within their tier.
    ({"a": node(True), "b": node(True, ready=False), "c": node(), "d": node(ready=False)},
     dict(order=["b", "a", "d", "c"], serving=["a", "c"], alone=False)),
    ({"a": node(True, done=True), "b": node()}, dict(order=["b"], done=["a"], database=[], schema=["a"], alone=False)),
    ({"a": node(True, done=True)}, dict(order=[], done=["a"], alone=False)),
    ({"a": node(True)}, dict(order=["a"], alone=True)),
    ({"a": node(True), "b": node(ready=False)}, dict(order=["a", "b"], alone=True)),
    ({"a": node(True, gateway_down=True), "b": node(True)}, dict(gateways_down=["a"], serving=["a", "b"])),
    # Ready for the moment only: there is no gateway left.
    ({"a": node(True, gateway_down=True), "b": node()}, dict(gateways_down=["a"], serving=[], alone=True)),
    ({}, dict(order=[], schema=[], lock="", alone=False)),
])
def test_roll_plan(verdict, expected):
    plan = roll_plan(verdict, "50%")
    assert {key: plan[key] for key in expected} == expected
    assert plan["serial"] == "50%"
