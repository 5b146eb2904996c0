# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _packages as apt
from ansible_collections.shakenfist.rolling.plugins.modules import packages_info
from ansible_collections.shakenfist.rolling.tests.unit.fake_apt import POLICY, FakeApt

STARTED = [dict(unit="", pid=7, command="archipelago", package="archipelago", script="postinst", prevented=False)]


@pytest.fixture
def node(tmp_path, monkeypatch):
    fake = FakeApt(tmp_path / "root")
    monkeypatch.setattr(apt, "ROOT", str(fake.root))
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda dummy, command, **options: fake(command, **options))
    monkeypatch.setattr(apt, "left_by_scripts", lambda: STARTED)
    return fake


def test_a_node_at_rest(run_module, node):
    for name, stamp in (("snf-common", 3), ("snf-common:amd64", 5), ("snf-common-x", 9)):
        path = node.root / f"var/lib/dpkg/info/{name}.list"
        path.write_text("")
        os.utime(path, (stamp, stamp))
    result = run_module(packages_info, names=["snf-*", "missing", "old"], check=True)
    assert not result["failed"] and not result["changed"]
    assert result["packages"] == {
        "snf-common": dict(version="0.18.1-1", candidate="0.19-1", state="installed", held=False,
                           since=5.0)}
    assert result["suites"] == ["wheezy"] and result["sources"] == [
        dict(file="/etc/apt/sources.list.d/synnefo.list", line=2, uri="http://db:8080", suite="wheezy")]
    assert (result["broken"], result["interrupted"], result["locked"], result["policy"], result["conffiles"],
            result["reboot"]) == ([], False, {}, "", [], False)
    assert result["started"] == STARTED


def test_without_names_the_index_is_not_asked(run_module, node):
    assert run_module(packages_info)["packages"] == {} and not node.ran("apt-cache")


def test_one_that_was_interrupted(run_module, node, monkeypatch):
    node.broken, node.held = {"gunicorn": "half-configured"}, ["snf-common"]
    holder = dict(file="/var/lib/dpkg/lock", pid=9, command="apt-get")
    monkeypatch.setattr(apt, "lock_holder", lambda: holder)
    (node.root / "run/reboot-required").write_text("")
    (node.root / POLICY).write_text("exit 101")
    result = run_module(packages_info, names=["*"])
    assert result["broken"] == ["gunicorn"] and result["interrupted"] and result["locked"] == holder
    assert result["packages"]["gunicorn"]["state"] == "half-configured" and result["packages"]["snf-common"]["held"]
    # Scripts that are at work have started nothing that will stay.
    assert result["started"] == [] and result["reboot"] and result["policy"] == "other"


def test_an_upgrade_that_was_ended_amid_its_packages(run_module, node):
    """Also after a reboot, and where dpkg was between two of them."""
    assert run_module(packages_info)["unfinished"] is False
    before = node.root / "var/lib/shakenfist-rolling/apt/before.json"
    before.parent.mkdir(parents=True)
    before.write_text(json.dumps(dict(files={}, versions=run_versions(node))))
    assert run_module(packages_info)["unfinished"] is False
    node.broken = {"gunicorn": "half-configured"}
    assert run_module(packages_info)["unfinished"] is True
    node.broken = {}
    before.write_text(json.dumps(dict(files={}, versions={"snf-common": "0.18"})))
    assert run_module(packages_info)["unfinished"] is True


def run_versions(node):
    return apt.versions_of(apt.packages_of(node))


@pytest.mark.parametrize("word, words", [
    ("dpkg-query", "cannot look at the packages: dpkg-query failed (rc 100): no"),
    ("apt-cache", "cannot look at the packages: apt-cache policy failed (rc 100): no")])
def test_a_program_that_fails(run_module, node, word, words):
    node.fails[word] = "no"
    result = run_module(packages_info, names=["snf-common"])
    assert result["failed"] and result["msg"] == words
