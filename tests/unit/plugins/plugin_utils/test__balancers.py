# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import drain_balancers

SOCKET, PAGE = "10.0.0.9:9999", "http://joe:s3cret@10.0.0.9/stats"


def settings(**changes):
    return dict(dict(tell_first=False, haproxy_set=False, haproxy_address="", nginx=[], apache="",
                     nginx_sessions_timeout="90", apache_sessions_timeout=90.0, hook=""), **changes)


@pytest.mark.parametrize("changes, haproxy, told", [
    (dict(), False, False),
    (dict(haproxy_address=SOCKET), False, False),
    (dict(haproxy_address=SOCKET, haproxy_set=True), True, True),
    (dict(haproxy_address=SOCKET, tell_first=True), True, True),
    (dict(nginx=["lb"]), False, True),
    (dict(apache="http://lb/balancer-manager"), False, True),
    (dict(nginx=["lb"], tell_first=True), False, True),
    # Each one that is set must be told, and must have nothing in flight.
    (dict(nginx=["lb"], haproxy_address=SOCKET), False, False),
    (dict(nginx=["lb"], haproxy_address=SOCKET, tell_first=True), True, True),
    (dict(nginx=["lb"], nginx_sessions_timeout="0"), False, False),
    (dict(nginx=["lb"], apache="http://lb/", apache_sessions_timeout=0), False, False),
    (dict(apache_sessions_timeout=0, nginx=["lb"]), False, True),
    # What a hook does only the operator knows.
    (dict(hook="out.yml"), False, False),
    (dict(hook="out.yml", tell_first=True), False, True),
])
def test_who_is_told(changes, haproxy, told):
    assert drain_balancers(settings(**changes)) == dict(haproxy=haproxy, told=told, problem="")


@pytest.mark.parametrize("changes, words", [
    (dict(tell_first=True), "drain_tell_first is true, but no balancer is set that could be told: set drain_haproxy_"),
    (dict(haproxy_set=True), "drain_haproxy_set is true, but drain_haproxy_address is empty"),
    (dict(haproxy_set=True, nginx=["lb"]), "drain_haproxy_set is true, but drain_haproxy_address is empty"),
    (dict(haproxy_set=True, haproxy_address=PAGE),
     "drain_haproxy_set is true, but drain_haproxy_address is a statistics page"),
    (dict(tell_first=True, haproxy_address=PAGE),
     "drain_tell_first is true, but drain_haproxy_address is a statistics page"),
])
def test_what_cannot_be_done(changes, words):
    problem = drain_balancers(settings(**changes))["problem"]
    assert problem.startswith(words) and "s3cret" not in problem
