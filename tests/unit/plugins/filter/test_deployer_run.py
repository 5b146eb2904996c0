# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter import deployer_run as plugin
from ansible_collections.shakenfist.rolling.plugins.filter.deployer_run import deployer_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the operator stands, with a playbook and an inventory."""
    (tmp_path / "my site").mkdir()
    (tmp_path / "my site" / "site.yml").write_text("[]")
    (tmp_path / "hosts.yml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugin, "_program", lambda: "/opt/ansible-playbook")
    return tmp_path


def test_it_is_run_from_where_it_lies(place):
    found = deployer_run("my site/site.yml", "sf-1", ["hosts.yml", "sf-1,sf-2,"], arguments=["-e", "@my secrets.yml"])
    assert found == {
        "program": "/opt/ansible-playbook",
        "command": f"cd '{place}/my site' && exec /opt/ansible-playbook -i {place}/hosts.yml -i sf-1,sf-2, "
                   f"'{place}/my site/site.yml' --limit sf-1 -e '@my secrets.yml'",
        "words": f"ansible-playbook {place}/my site/site.yml --limit sf-1", "problem": ""}


def test_without_an_inventory_its_own_settings_name_one(place):
    found = deployer_run("my site/site.yml", "sf-1", limit="sf-1,localhost")
    assert " -i " not in found["command"] and found["command"].endswith("--limit sf-1,localhost")


@pytest.mark.parametrize("playbook, where, words", [
    ("absent.yml", "controller", "expected a playbook at {place}/absent.yml on this machine, there is none"),
    ("my site", "controller", "expected a playbook at {place}/my site on this machine"),
    ("my site/site.yml", "node", "reconfigure_playbook is run on this machine, and reconfigure_on is node"),
])
def test_what_cannot_be_run(place, playbook, where, words):
    assert words.format(place=place) in deployer_run(playbook, "sf-1", where=where)["problem"]


@pytest.mark.parametrize("there", [True, False])
def test_the_ansible_that_runs(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / "ansible-playbook").write_text("")
        (tmp_path / "ansible-playbook").chmod(0o755)
    monkeypatch.setattr(plugin.sys, "executable", str(tmp_path / "python"))
    assert deployer_run("x", "n")["program"] == (str(tmp_path / "ansible-playbook") if there else "ansible-playbook")


def test_the_filter_is_offered():
    assert plugin.FilterModule().filters() == {"deployer_run": deployer_run}
