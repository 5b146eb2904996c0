# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._batch import CAUTION, batch_of

NAMES = ["sf-1", "sf-2", "sf-3", "sf-4"]


def hostvars(moved=(), **plan):
    hosts = {name: dict(ansible_facts=dict(rolling_node=dict(run="x", schema=dict(moved=name in moved))))
             for name in NAMES}
    return dict(hosts, localhost=dict(ansible_facts=dict(rolling_run=dict(id="x", plan=plan))))


def batch(members, serving=tuple(NAMES), down=(), **facts):
    hosts = hostvars(order=NAMES, serving=serving, gateways_down={name: f"{name}:1" for name in down},
                     ready_urls={name: f"http://{name}" for name in NAMES}, **facts)
    return batch_of(hosts, members[0], dict(gateways=["sf-1:1", "sf-2:1"]), members)


def test_the_first_batch():
    found = batch(["sf-1"])
    assert (found.members, found.done, found.followers) == (["sf-1"], [], NAMES[1:])
    assert found.peers == ["http://sf-2", "http://sf-3", "http://sf-4"] and found.caution == ""


def test_the_last_batch_relies_on_what_was_done():
    found = batch(["sf-3", "sf-4"], serving=["sf-2", "sf-3"])
    assert (found.done, found.followers) == (["sf-1", "sf-2"], []) and found.peers == ["http://sf-2", "http://sf-1"]


@pytest.mark.parametrize("members, down, gateways", [
    (["sf-1"], [], ["sf-1:1", "sf-2:1"]),
    # One that is yet to be fixed is not waited for; one that was, or is about to be, is.
    (["sf-1"], ["sf-2"], ["sf-1:1"]), (["sf-2"], ["sf-2"], ["sf-1:1", "sf-2:1"]),
    (["sf-3"], ["sf-2"], ["sf-1:1", "sf-2:1"]),
])
def test_gateways(members, down, gateways):
    assert batch(members, down=down).gateways == gateways


def test_a_schema_that_has_moved():
    assert batch(["sf-1"], moved=["sf-1"]).caution == CAUTION
    assert batch(["sf-3"], moved=["sf-1"]).caution == ""


def test_a_node_of_which_nothing_is_known():
    assert batch_of({}, "sf-1", {}, ["sf-1"]).gateways == []
