# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import (
    behind,
    config_question,
    names,
    reason,
    releases_question,
    stops_question,
    units_question,
    what_it_is,
)

LAST = "sf-sentinel-last"


def unit(started=200.0, active=True, managed=True):
    return dict(started=started, active=active, managed=managed)


@pytest.mark.parametrize("units, options, expected", [
    ({"sf-api": unit(), "sf-net": unit()}, {}, []),
    ({"sf-api": unit(50.0), "sf-net": unit()}, {}, ["sf-api"]),
    ({"sf-api": unit(50.0), "sf-net": unit(active=False)}, {}, ["sf-net", "sf-api"]),
    ({"sf-net": unit(None)}, {}, ["sf-net"]),
    # Nobody wants it to run.
    ({"sf-net": unit(50.0, False, False)}, {}, []),
    ({"sf-api": unit(), "sf-net": unit(400.0)}, dict(since=300), ["sf-api"]),
    ({"sf-api": unit(), "sf-net": unit()}, dict(since="300", since_units=["sf-net"]), ["sf-net"]),
    ({"sf-api": unit(50.0), "sf-net": unit(50.0)}, dict(since=300, since_units=["sf-net"]), ["sf-api", "sf-net"]),
    # A sentinel tells what runs, so an old one is behind, unless it is to be left alone. One that is down always is.
    ({LAST: unit(50.0)}, {}, [LAST]),
    ({LAST: unit(50.0)}, dict(alone=[LAST]), []),
    ({LAST: unit(150.0)}, dict(alone=[LAST], since=300), []),
    ({LAST: unit(50.0, active=False)}, dict(alone=[LAST]), [LAST]),
])
def test_behind(units, options, expected):
    assert behind(units, 100.0, **options) == expected


@pytest.mark.parametrize("active", [0, None, "0"])
def test_a_release_of_which_nobody_knows_since_when(active):
    assert behind({"sf-api": unit(50.0)}, active) == []


PRODUCT = dict(
    config="/etc/sf/config", config_prefix="SHAKENFIST_", credentials="/etc/sf/shakenfist.json", venv="/v",
    releases="/r", distribution="another", deployer_mark="/m", commands=["sf-ctl"], units=["sf-*"],
    units_ignored=["sf-x"],
    restart_order=[["sf-database"], ["*"]], sentinels=["sf-sentinel-first", LAST], sentinels_alone=False,
    api_unit="sf-api", api_port=13000, ready_path="/readyz", database_unit="sf-database", gateway_port=13005,
    drain_grace=0,
    schema_versions="m:n", since=0, since_units=[])
UNITS = dict(units={
    "sf-api": dict(unit(), arguments={"--graceful-timeout": "55"}, stops=[dict(seconds=9.4, itself=True)]),
    LAST: unit(50.0), "sf-off": unit(50.0, False, False)})
RELEASES = dict(active=dict(version="0.8.0", python="3.11.2", platform="linux", since=100.0, name=""),
                staged=["0.8.1-a"], builds={"0.8.1-a": "cc"}, rewritten={}, deployer="", previous=None, problem="")


def config(*addresses, **settings):
    return dict(settings=settings, addresses=list(addresses), present={"MARIADB_HOST": True}, spelt={})


def test_what_it_is():
    node = what_it_is(PRODUCT, "sf-1", "10.0.0.1", config(
        "10.1.0.1", "10.1.0.2", NODE_NAME="one", NODE_MESH_IP="10.1.0.1", MARIADB_GATEWAY_PORT="99",
        API_DRAIN_GRACE="8"), RELEASES, UNITS)
    assert (node["name"], node["address"], node["ready_url"]) == ("one", "10.1.0.1", "http://10.1.0.1:13000/readyz")
    assert node["gateway"] == "10.1.0.1:99" and node["gateways"] == ["10.1.0.1:99", "10.1.0.2:99"]
    assert (node["drain_grace"], node["drain_grace_source"]) == (8.0, "config")
    assert node["kind"] == "3.11 linux" and node["previous"] == {} and node["has_database_credentials"]
    assert node["daemons"] == ["sf-api", LAST] and node["sentinels"] == [LAST] and node["behind"] == [LAST]


@pytest.mark.parametrize("address", ["[fd00::1]", "FD00::1", "fd00:0:0::1"])
def test_an_address_in_its_one_form(address):
    for settings, host in ((dict(NODE_MESH_IP=address), "sf-1"), ({}, address)):
        node = what_it_is(PRODUCT, "sf-1", host, config("fd00::1", **settings), RELEASES, UNITS)
        assert (node["address"], node["ready_url"]) == ("fd00::1", "http://[fd00::1]:13000/readyz")
        assert [node["gateway"]] == node["gateways"] == ["[fd00::1]:13005"]


def test_a_node_whose_configuration_says_little():
    node = what_it_is(dict(PRODUCT, sentinels_alone=True), "sf-1", "10.0.0.1", config(),
                      dict(RELEASES, active={}, previous=dict(version="0.7")), UNITS)
    assert (node["name"], node["gateway"], node["gateways"]) == ("sf-1", "10.0.0.1:13005", [])
    assert (node["drain_grace"], node["drain_grace_source"]) == (9.0, "journal")
    assert node["behind"] == [] and node["kind"] == " " and node["previous"] == dict(version="0.7")


def test_the_questions():
    assert config_question(dict(PRODUCT, distribution="shakenfist"))["presence"][:1] == ["MARIADB_HOST"]
    assert "ETCD_HOST" in config_question(dict(PRODUCT, distribution="shakenfist"))["presence"]
    assert config_question(PRODUCT)["presence"] == ["MARIADB_HOST"]
    assert releases_question(PRODUCT)["deployer_mark"] == "/m"
    assert units_question(PRODUCT) == dict(patterns=PRODUCT["units"], exclude=PRODUCT["units_ignored"],
                                           arguments=["--graceful-timeout"])
    assert stops_question(PRODUCT) == dict(patterns=["sf-api"], stops=["sf-api"], arguments=["--graceful-timeout"])


@pytest.mark.parametrize("given, expected", [("", []), ([], []), ("a,b", ["a", "b"]), (["a"], ["a"])])
def test_names(given, expected):
    assert names(given) == expected


@pytest.mark.parametrize("words, expected", [
    ("Task failed: Module failed: it broke", "it broke"),
    ("Missing sudo password", "Missing sudo password. Let the ssh user run sudo without a password on that node, or "
                              "pass --ask-become-pass"),
])
def test_a_reason(words, expected):
    assert reason(words) == expected
