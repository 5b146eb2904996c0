# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._carriers import carrier_of

NODE = dict(releases="/r", distribution="dragonflow", services=dict(
    server=dict(link="/c/server"), agent=dict(link="/c/agent")))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def links(calls):
    def call(title, module, **arguments):
        calls.append((module, arguments["path"], arguments["name"], arguments["scripts"]))
    return carrier_of(SimpleNamespace(node=NODE, call=call, given=SimpleNamespace(
        packages={}, target=dict(name="5.0.0-a"))))


def test_links(links, calls):
    links.switch(["agent"])
    links.back("4.0.0")
    assert calls == [("release", "/c/agent", "5.0.0-a", "release"), ("release", "/c/server", "4.0.0", "release"),
                     ("release", "/c/agent", "4.0.0", "release")]
    assert links.place(".x") == "/r/5.0.0-a/.x"


def test_what_a_unit_runs(links):
    assert links.runs_another("server", dict(program="/r/4.0.0/bin/python"), "4.0.0") == ""
    assert links.runs_another("server", dict(program="/r/4.0.0/bin/python"), "5.0.0-a") == (
        "expected server to run a program of /r/5.0.0-a/; it runs /r/4.0.0/bin/python")


def test_packages():
    with pytest.raises(RollingError, match="packages are not known"):
        carrier_of(SimpleNamespace(given=SimpleNamespace(packages=dict(suites={}))))
