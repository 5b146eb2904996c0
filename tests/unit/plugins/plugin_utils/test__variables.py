# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.unknown_variables import unknown_variables

KNOWN = ["rolling_release", "drain_timeout", "roll_settle"]


@pytest.mark.parametrize("names, expected", [
    ([], []),
    (KNOWN, []),
    (["rolling_relase"], [("rolling_relase", "rolling_release")]),
    (["drain_timout"], [("drain_timout", "drain_timeout")]),
    (["drain_the_swamp", "gate_keeper"], []),
    (["roll_setle", "rolling_relase", "roll_setle"],
     [("roll_setle", "roll_settle"), ("rolling_relase", "rolling_release")]),
])
def test_unknown_variables(names, expected):
    assert [(item["name"], item["nearest"]) for item in unknown_variables(names, KNOWN)] == expected


@pytest.mark.parametrize("name", ["preflight_credentials", "status_credentials", "verify_credentials"])
def test_names_that_have_changed(name):
    found = unknown_variables([name], [*KNOWN, "cluster_credentials"])
    assert found == [{"name": name, "nearest": "cluster_credentials"}]


def test_another_prefix():
    assert unknown_variables(["mine_x"], KNOWN, own="mine_") == [{"name": "mine_x", "nearest": ""}]
