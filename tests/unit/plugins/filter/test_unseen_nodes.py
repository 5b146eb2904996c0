# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.filter.unseen_nodes import unseen_nodes

LIKE = {"ready_url": "http://10.0.0.3:13000/readyz", "gateway": "10.0.0.3:13005"}
NODES = [dict(name="sf-1", ip="10.0.0.1", state="created", release="0.8.0"),
         dict(name="other", ip="10.0.0.2", state="missing", release="0.8.1"),
         dict(name="sf-4", ip="10.0.0.4", state="deleted", release="0.7.0")]


def test_by_name_and_by_address():
    found = unseen_nodes(NODES, {"sf-1": "one.example", "sf-2": "10.0.0.2", "sf-4": "10.0.0.4", "sf-5": "x"}, LIKE)
    assert found == {
        "sf-1": dict(name="sf-1", address="10.0.0.1", ready_url="http://10.0.0.1:13000/readyz",
                     gateway="10.0.0.1:13005", version="0.8.0"),
        "sf-2": dict(name="other", address="10.0.0.2", ready_url="http://10.0.0.2:13000/readyz",
                     gateway="10.0.0.2:13005", version="0.8.1")}


def test_nobody_to_be_like():
    assert unseen_nodes(NODES, {"sf-1": "x"}, {}) == {}
