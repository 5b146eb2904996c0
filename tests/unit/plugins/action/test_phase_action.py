# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The commands of a product around its migration, on modules that answer what a test wants.

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.shakenfist.rolling.plugins.action import phase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps

NEW = "24.5.0-bbbbbbbb"
NODE = dict(releases="/r", release=dict(path="/r/old"), staged=[NEW], user="cinder", config="/etc/cinder/cinder.conf",
            venv="/l/cinder-api")
BEFORE = [dict(title="Finish", release="active", command=["cinder-manage", "x"], again=[1], warn=[], once=False,
               looks=False, wanted=True),
          dict(title="Ask", release="staged", command=["cinder-status", "y"], again=[], warn=[1], once=False,
               looks=True, wanted=True)]
REMOVE = ["cinder-manage", "service", "remove"]
BACKUP = dict(connection="database/connection", directory="/b", scratch=True)


@pytest.fixture
def one(monkeypatch):
    return Steps(monkeypatch, phase, "schema", release_command=dict(changed=True, runs=1, warned=False),
                 stat=dict(stat=dict(exists=False)), command={}, cinder_info=dict(services=[]),
                 dump=dict(changed=True, path="/b/x.sql", restore="mariadb < x", verified="complete"))


def go(one, point, **arguments):
    return one.act(point=point, node=NODE, target=dict(name=NEW, version="24.5.0"), **dict(dict(phases={}, backup={}),
                                                                                           **arguments))


def test_the_commands_of_a_point(one):
    go(one, "before", phases=dict(before=[dict(one) for one in BEFORE], after=[]))
    assert one.calls == [
        ("release_command", dict(command=["cinder-manage", "x"], user="cinder", release="/r/old", again=[1], warn=[],
                                 looks=False)),
        ("release_command", dict(command=["cinder-status", "y"], user="cinder", release=f"/r/{NEW}", again=[], warn=[1],
                                 looks=True))]


def test_a_point_without_commands_and_one_that_is_not_wanted(one):
    go(one, "migrate")
    assert one.calls == []
    go(one, "before", phases=dict(before=[dict(BEFORE[0], wanted=False)]))
    assert one.calls == []


def test_what_a_command_says_is_told(one):
    one.given["release_command"] = [dict(runs=3, warned=False), dict(runs=1, warned=True, output="look\nhere")]
    result = go(one, "before", phases=dict(before=[dict(one) for one in BEFORE]))
    words = "cinder-status y has something to say:\nlook\nhere"
    assert one.words() == ["cinder-manage x: done after 3 runs", f"warn  {words}"]
    assert result["ansible_facts"]["rolling_node"]["notes"] == [words]


def test_check_mode_runs_nothing_of_a_release_that_was_not_staged(one):
    one.check = True
    one.act(point="before", node=dict(NODE, staged=[]), target=dict(name=NEW, version="24.5.0"), backup={},
            phases=dict(before=[dict(one) for one in BEFORE]))
    assert [arguments["release"] for dummy, arguments in one.calls] == ["/r/old"]


@pytest.mark.parametrize("check, there, calls", [
    (False, False, ["stat", "release_command", "command"]), (False, True, ["stat"]),
    (True, False, ["stat", "release_command"])])
def test_what_is_done_once_for_a_release(one, check, there, calls):
    one.check, one.given["stat"] = check, dict(stat=dict(exists=there))
    go(one, "after", phases=dict(after=[dict(BEFORE[1], once=True)]))
    assert one.asked() == calls and one.calls[0][1] == dict(path=f"/r/{NEW}/.rolling-done-cinder-status-y")


def test_a_backup_is_made_once(one):
    result = go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert one.asked() == ["stat", "dump", "command"]
    assert one.calls[1][1] == dict(BACKUP, config="/etc/cinder/cinder.conf", name="before-24.5.0")
    assert one.words() == ["/b/x.sql on sf-1: complete\nTo restore it:\nmariadb < x"]
    assert result["ansible_facts"]["rolling_node"]["schema"]["backup"] == dict(path="/b/x.sql", restore="mariadb < x")
    one.given["stat"] = dict(stat=dict(exists=True))
    go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert one.asked() == ["stat"]


@pytest.mark.parametrize("backup", [dict(BACKUP, mode="never"), dict(BACKUP, mode="auto", connection="")])
def test_no_backup_where_none_is_wanted_or_possible(one, backup):
    go(one, "before", backup=backup)
    assert one.calls == []


def test_no_backup_of_a_schema_that_was_migrated(one):
    """The run that goes on may begin on another node, which has no record of the backup."""
    one.run["plan"] = dict(serving=["sf-1", "sf-2"])
    one.others = {"sf-2": dict(cluster_node=dict(services=dict(api=dict(release=NEW))))}
    go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert one.calls == []
    one.others["sf-2"]["cluster_node"]["services"]["api"]["release"] = "old"
    go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert "dump" in one.asked()


def test_a_backup_in_check_mode(one):
    one.check = True
    go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert one.asked() == ["stat", "dump"] and one.words() == ["/b/x.sql on sf-1: would be written"]


def test_dead_services_are_removed(one):
    go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert one.calls == []
    one.run["plan"] = dict(orphans=[["cinder-volume", "gone@lab"]])
    result = go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert result["removed"] == ["cinder-volume on gone@lab"]
    assert one.calls[0][1]["command"] == [*REMOVE, "cinder-volume", "gone@lab"]
    one.check = True
    go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert one.asked() == ["release_command"]


def test_one_that_is_still_there_is_a_failure(one):
    """The exit code of the command does not tell."""
    one.run["plan"] = dict(orphans=[["cinder-volume", "gone@lab"]])
    one.given["cinder_info"] = dict(services=[dict(binary="cinder-volume", host="gone@lab")])
    result = go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert result["failed"]
    assert result["msg"].startswith("cinder-volume on gone@lab is still on record after cinder-manage")
    assert NOTED in result


@pytest.mark.parametrize("name", ["services_first", "services_last"])
def test_the_lock_outlasts_the_commands(name):
    """They take as long as the database is large; a lock whose lease runs out lets somebody else roll meanwhile."""
    path = pathlib.Path(__file__).parents[4] / "playbooks/shared" / f"{name}.yml"
    plays = [play for play in yaml.safe_load(path.read_text(encoding="utf-8")) if "hosts" in play]
    first = plays[0]["tasks"][0]["block"][0]
    assert first["ansible.builtin.import_role"]["tasks_from"] == "checkpoint"
    assert first["vars"]["lock_lease"] == "{{ lock_migration_lease }}"
