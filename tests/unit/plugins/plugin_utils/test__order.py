# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import order_of, restart_order

ORDER = [["sf-database"], ["sf-sentinel-first"], ["sf-privexec", "sf-nodelock"], ["*"], ["sf-sentinel-last"]]
SENTINELS = ["sf-sentinel-first", "sf-sentinel-last"]
ALL = ["sf-api", "sf-database", "sf-net", "sf-nodelock", "sf-privexec", *SENTINELS]
RUN = {name: {"active": True} for name in ALL}
GATEWAY, FIRST, LAST = ["sf-database"], ["sf-sentinel-first"], ["sf-sentinel-last"]
EARLY, REST = ["sf-nodelock", "sf-privexec"], ["sf-api", "sf-net"]


def down(*names):
    return {name: {"active": name not in names} for name in ALL}


@pytest.mark.parametrize("units, states, alone, tiers, stop", [
    (ALL, RUN, False, [GATEWAY, FIRST, EARLY, REST, LAST], LAST),
    # Some daemons only: the sentinels are left alone unless one is named, and then it is all of them.
    (["sf-net"], RUN, False, [["sf-net"]], []),
    (["sf-net", "sf-api"], RUN, False, [REST], []),
    (["sf-sentinel-last"], RUN, False, [FIRST, LAST], LAST),
    (["sf-sentinel-first"], RUN, False, [FIRST, LAST], LAST),
    (["sf-net", "sf-sentinel-first", "sf-net"], RUN, False, [FIRST, ["sf-net"], LAST], LAST),
    # One that does not run leaves the node in a state that only a start of all of them ends.
    (["sf-net"], down("sf-sentinel-last"), False, [FIRST, ["sf-net"], LAST], LAST),
    (["sf-sentinel-last"], down("sf-sentinel-last"), False, [FIRST, LAST], LAST),
    ([], down("sf-sentinel-first"), False, [FIRST, LAST], LAST),
    # Left alone.
    (ALL, RUN, True, [GATEWAY, EARLY, REST], []),
    (["sf-sentinel-last"], RUN, True, [], []),
    (ALL, down("sf-sentinel-last"), True, [GATEWAY, FIRST, EARLY, REST, LAST], LAST),
    ([], RUN, False, [], []),
    # What is not known to be down is taken for running.
    (["sf-net"], {}, False, [["sf-net"]], []),
])
def test_restart_order(units, states, alone, tiers, stop):
    found = restart_order(units, ORDER, "sf-database", SENTINELS, states, alone=alone)
    assert found["tiers"] == found["gateway"] + found["others"] == tiers
    assert found["gateway"] == [tier for tier in tiers if tier == GATEWAY]
    assert found["stop"] == stop


@pytest.mark.parametrize("order, tiers", [
    # The gateway comes first whatever the order says.
    ([["*"], ["sf-database"]], [["sf-database"], ["sf-api", "sf-net"]]),
    # A name counts more than a pattern, and what no tier has comes at the end.
    ([["sf-*"], ["sf-api"]], [["sf-database"], ["sf-net"], ["sf-api"]]),
    ([["sf-net"]], [["sf-database"], ["sf-net"], ["sf-api"]]),
    ([], [["sf-database"], ["sf-api", "sf-net"]]),
])
def test_another_order(order, tiers):
    assert restart_order(["sf-net", "sf-database", "sf-api"], order, "sf-database")["tiers"] == tiers


@pytest.mark.parametrize("given, expected", [
    (None, ORDER), ([], ORDER), ([["sf-a"], ["*"]], [["sf-a"], ["*"]]), ("sf-a,*", [["sf-a"], ["*"]]),
    (["sf-a,sf-b", "*"], [["sf-a", "sf-b"], ["*"]]),
])
def test_the_order_of_the_command_line(given, expected):
    assert order_of(dict(restart_order=ORDER), given) == expected


def test_a_node_with_one_sentinel():
    found = restart_order(["sf-net", "sf-sentinel-first"], ORDER, "sf-database", ["sf-sentinel-first"], RUN)
    assert found["tiers"] == [FIRST, ["sf-net"]] and found["stop"] == []


def test_nothing_is_stopped_before_the_tier_that_starts_it():
    found = restart_order(SENTINELS, [["*"]], "sf-database", SENTINELS, RUN)
    assert found["tiers"] == [SENTINELS] and found["stop"] == []
