# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The commands of a product around its migration, on modules that answer what a test wants.

from __future__ import annotations

import base64
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
                 stat=dict(stat=dict(exists=False)), command={}, cinder_info=dict(services=[], settings={}),
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


@pytest.mark.parametrize("before, words", [("a", "b, it was at a"), ("b", "b, as before")])
def test_the_revision_of_the_schema_is_told(one, before, words):
    one.given["cinder_info"] = dict(schema="b")
    migrate = dict(migrate=[dict(BEFORE[1], looks=False)])
    one.act(point="migrate", node=dict(NODE, schema=before), target=dict(name=NEW, version="24.5.0"), phases=migrate,
            backup={}, info="cinder_info")
    assert one.words() == ["cinder-status y: done", f"The schema is at revision {words}"]
    one.check = True
    go(one, "migrate", phases=migrate, info="cinder_info")
    assert one.asked() == ["release_command"]


def test_a_command_that_has_nothing_to_say_is_told_all_the_same(one):
    go(one, "before", phases=dict(before=[dict(one) for one in BEFORE]))
    assert one.words() == ["cinder-manage x: nothing was left to do", "cinder-status y: no complaint"]


def test_every_note_is_told_once(one):
    one.node = dict(notes=["earlier"])
    one.given["release_command"] = [dict(runs=1, warned=True, output="a"), dict(runs=1, warned=True, output="b")]
    result = go(one, "before", phases=dict(before=[dict(one) for one in BEFORE]))
    notes = result["ansible_facts"]["rolling_node"]["notes"]
    assert [note.partition(" ")[0] for note in notes] == ["earlier", "cinder-manage", "cinder-status"]


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
    one.given.update(stat=dict(stat=dict(exists=True)), slurp=dict(content=WAS))
    result = go(one, "before", backup=dict(BACKUP, mode="auto"))
    assert one.asked() == ["stat", "slurp"]
    # A failure that comes later still tells where it is.
    assert result["ansible_facts"]["rolling_node"]["schema"]["backup"] == dict(path="/b/x.sql", restore="mariadb < x")


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
    assert one.calls[1][1]["command"] == [*REMOVE, "cinder-volume", "gone@lab"]
    one.check = True
    go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert one.asked() == ["cinder_info", "release_command"]


GONE = dict(binary="cinder-volume", host="gone@lab", age=61.0)


def test_one_that_lives_again_is_not_removed(one):
    """It was dead at the preflight; to stage a release takes longer than a node needs to boot."""
    one.run["plan"] = dict(orphans=[["cinder-volume", "gone@lab"]])
    one.given["cinder_info"] = dict(services=[dict(GONE, age=2.0)], settings=dict(service_down_time=60))
    result = go(one, "orphans", remove=REMOVE, info="cinder_info")
    assert one.asked() == ["cinder_info"] and result["failed"]
    assert result["msg"].startswith("cinder-volume on gone@lab sends heartbeats again, and was to be removed as dead")


def test_one_that_is_still_there_is_a_failure(one):
    """The exit code of the command does not tell."""
    one.run["plan"] = dict(orphans=[["cinder-volume", "gone@lab"]])
    one.given["cinder_info"] = dict(services=[GONE], settings=dict(service_down_time=60))
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


# ---- a product that is stopped as a whole

STORE = dict(store="etcd", directory="lib/{python}/migrations", endpoints=["http://e"])
MIGRATE = [dict(title="Neutron", release="staged", command=["manage"], where="server", wanted=True, once=False),
           dict(title="Not wanted", command=["x"], where="", wanted=False, once=False),
           dict(title="North", release="staged", store=STORE, where="server", wanted=True, once=False, command=[])]
SEEN = dict(changed=False, ran=[], pending=[], objects=3, changes={}, resumed="", gone=[], edited=[], interrupted=None,
            holder=None)
PENDING = dict(id="mtu", proposed_at="2018", description="Ports have an MTU")
MEMBER = dict(endpoint="http://e", alarms=[], in_use=1, quota=9, problem="")
TIER = dict(NODE, kind="3.11 linux", services={}, previous={}, release=dict(path="/r/4.0.0"))


@pytest.fixture
def tier(one):
    one.run = dict(id="x", kind="tier", plan=dict(tier=dict(
        mode="whole", places={"": "sf-1", "server": "sf-1"}, priors={"sf-1": "4.0.0"})))
    one.variables = dict(ansible_play_hosts_all=["sf-1", "sf-2"], ansible_play_hosts=["sf-1", "sf-2"])
    one.given.update(store_migrations=SEEN, etcd_info=dict(members=[MEMBER]), file={}, slurp=dict(
        content="eyJwYXRoIjogIi9iL3guc3FsIn0="))
    return one


def went(tier, point, **arguments):
    return tier.act(point=point, target=dict(name=NEW, version="5.0.0"), **dict(dict(
        node=TIER, phases=dict(migrate=MIGRATE), backup=dict(BACKUP, mode="auto")), **arguments))


def noted(result):
    return result.get("ansible_facts", {}).get("rolling_node", {})


def stores(tier):
    return [(arguments["state"], arguments["directory"]) for module, arguments in tier.calls
            if module == "store_migrations"]


NEUTRON = dict(title="Neutron", words="done", store="", ran=[])


def test_one_migration_after_the_other(tier):
    result = went(tier, "migrate", number=0)
    assert tier.asked() == ["command", "release_command", "command"] and noted(result)["tier"] == dict(wrote=True)
    tier.given["store_migrations"] = dict(SEEN, ran=["mtu"], changes=dict(lport=dict(updated=3)), resumed="completed")
    assert noted(result)["schema"]["migrations"] == [NEUTRON]
    tier.node = dict(schema=dict(migrations=[NEUTRON]))
    result = went(tier, "migrate", number=1)
    assert stores(tier) == [("migrated", f"/r/{NEW}/lib/python3.11/migrations")] and tier.calls[0][1]["keep"]
    assert noted(result)["schema"]["migrations"] == [NEUTRON, dict(
        title="North", words="mtu; lport 3 updated; what a killed run had left was completed", store="etcd",
        ran=["mtu"])]
    assert tier.words() == ["North: mtu; lport 3 updated; what a killed run had left was completed"]
    assert noted(result)["tier"] == dict(wrote=True)


def test_a_store_in_mariadb_keeps_nothing(tier):
    phases = dict(migrate=[dict(MIGRATE[2], store=dict(STORE, store="mariadb"))])
    assert not noted(went(tier, "migrate", phases=phases))["tier"] and "keep" not in tier.calls[0][1]
    assert tier.words() == ["North: none was pending"]


@pytest.mark.parametrize("point", ["migrate", "rehearsed", "tried", "backed_up", "whole", "committed"])
def test_another_node_does_it_or_a_node_has_failed(tier, point):
    tier.run["plan"]["tier"]["places"]["server"] = "sf-2"
    went(tier, point)
    assert tier.calls == []
    tier.run["plan"]["tier"]["places"]["server"] = "sf-1"
    tier.others["sf-2"] = dict(ansible_facts=dict(rolling_node=dict(run="x", cause=dict(words="it hangs"))))
    went(tier, point)
    assert tier.calls == []


def test_the_store_is_asked_before_anything_is_touched(tier):
    went(tier, "looked", node=dict(TIER, staged=[]))
    assert stores(tier) == [("reported", "/r/4.0.0/lib/python3.11/migrations")] and "etcd_info" in tier.asked()
    assert "5.0.0 is not staged yet" in tier.words()[0]
    tier.given["store_migrations"] = [
        dict(SEEN, interrupted=dict(host="d-1", since="now", done=1, batches=2)), dict(SEEN, pending=[PENDING])]
    went(tier, "looked")
    assert stores(tier)[1] == ("migrated", f"/r/{NEW}/lib/python3.11/migrations")
    assert tier.words()[0].startswith("warn  a run that was killed, on d-1") and tier.words()[1] == (
        "North: 1 pending, in this order:\n  mtu (2018): Ports have an MTU\n  tried on a copy of 3 objects: "
        "no object changes")


@pytest.mark.parametrize("given, words", [
    (dict(store_migrations=dict(SEEN, holder=dict(since="now", host="d-2"))), "on d-2 since now. Wait"),
    (dict(etcd_info=dict(members=[dict(MEMBER, alarms=["NOSPACE"])])), "has raised the alarm NOSPACE")])
def test_a_store_that_cannot_be_migrated(tier, given, words):
    tier.given.update(given)
    result = went(tier, "looked")
    assert result["failed"] and words in result["msg"] and result["msg"].startswith("Nothing was touched. ")
    assert result["msg"].endswith(". Fix that, then run the command again.")


def test_a_store_in_mariadb_has_no_members(tier):
    went(tier, "looked", phases=dict(migrate=[dict(MIGRATE[2], store=dict(STORE, store="mariadb"))]))
    assert "etcd_info" not in tier.asked()


def test_the_rehearsal(tier):
    tier.given["store_migrations"] = dict(SEEN, edited=["mtu"])
    result = went(tier, "rehearsed")
    assert "edited since they were applied: mtu" in tier.words()[0] and noted(result)["notes"] == [
        "North; edited since they were applied: mtu"]
    went(tier, "tried")
    assert stores(tier) and tier.words() == []
    tier.check = True
    went(tier, "rehearsed", node=dict(TIER, staged=[]))
    assert tier.calls == []


def test_a_store_that_lacks_nothing_was_not_tried(tier):
    """Nothing of it is read then, so nothing is known of its objects."""
    tier.given["store_migrations"] = dict(SEEN, objects=0)
    went(tier, "rehearsed")
    assert tier.words() == ["North: 0 pending"]


@pytest.mark.parametrize("check", [False, True])
def test_what_was_done_to_what_the_product_keeps_is_in_the_report(one, check):
    """Also by a module, and where the node had it done by the same command; no command that only looks."""
    one.check, one.given["synnefo_component"] = check, dict(changed=True)
    one.node = dict(tier=dict(ran=[["snf-manage", "migrate"]]), schema=dict(backup=dict(path="/b")))
    known = dict(release="staged", once=False, wanted=True)
    phases = [dict(known, title="Pithos", command=["snf-manage", "migrate"]),
              dict(known, title="Ask", command=["ask"], looks=True),
              dict(known, title="Register", command=[], module="synnefo_component", arguments=dict(name="cyclades"))]
    result = one.act(point="migrate", node=dict(NODE, step=dict(to="0.19")), target=dict(name=NEW, version="0.19"),
                     backup={}, phases=dict(migrate=phases))
    found = noted(result)["schema"]
    assert [(each["title"], each["words"]) for each in found.get("migrations", [])] == ([] if check else [
        ("Pithos", "by the same command as before it"), ("Register", "done")])
    assert found["backup"] == dict(path="/b")


def test_the_rehearsal_is_in_check_mode(tier, monkeypatch):
    modes = []
    monkeypatch.setattr(tier.plugin.ActionModule, "ask_store", lambda self, *dummy, **more: modes.append(
        self._task.check_mode) or SEEN)
    went(tier, "rehearsed")
    assert modes == [True]


@pytest.mark.parametrize("point", ["looked", "rehearsed", "tried"])
def test_what_is_tried_on_a_copy_changes_nothing(tier, point):
    """In check mode it is the prediction that was asked for."""
    tier.given["store_migrations"] = dict(SEEN, changed=True, diff=dict(before="a", after="b"))
    if point == "looked":
        tier.given["store_migrations"] = [SEEN, tier.given["store_migrations"]] * 2
    result = went(tier, point)
    assert stores(tier) and not result["changed"] and "diff" not in result
    tier.check = True
    result = went(tier, point)
    assert point == "tried" or result["changed"] and result["diff"] == [dict(before="a", after="b")]
    tier.check = False
    if point == "tried":
        assert went(tier, "migrate", number=1)["changed"]


def test_some_of_it_runs_the_release_and_the_store_is_not_migrated(tier):
    tier.run["plan"]["tier"]["mode"], tier.given["store_migrations"] = "rest", dict(SEEN, pending=[PENDING])
    result = went(tier, "rehearsed")
    assert result["failed"] and "the store lacks its migrations mtu: stop them on all nodes" in result["msg"]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_restore_that_was_interrupted_is_completed_before_anything_is_migrated(tier, stopped):
    tier.node = dict(tier=dict(stopped=["server"] if stopped else []))
    tier.run["plan"]["serving"] = ["sf-2"]
    tier.others["sf-2"] = dict(cluster_node=dict(services=dict(server={})))
    tier.given["stat"] = dict(stat=dict(exists=True))
    went(tier, "backed_up")
    if stopped:
        # What it was the restore of has run since.
        dump, = [arguments for module, arguments in tier.calls if module == "dump"]
        assert "file" not in tier.asked() and "restore" not in dump
        return
    assert [one["restore"] for module, one in tier.calls if module == "dump"] == ["/b/x.sql"]
    assert [one["path"] for module, one in tier.calls if module == "file"] == [
        "/r/.rolling-restoring", "/r/.rolling-migrating"]
    assert tier.words() == ["The database was restored from /b/x.sql, which a killed run had begun."]


def journal(text):
    return base64.b64encode(text.encode()).decode()


HALF, NONE = journal(f"{NEW}\nMigrate Neutron\n"), journal(f"{NEW}\n\n")
OTHER, OF_OLD = journal("5.0.0-bbbbbbbb\n\n"), journal("4.0.0\n\n")
WAS = "eyJwYXRoIjogIi9iL3guc3FsIiwgInJlc3RvcmUiOiAibWFyaWFkYiA8IHgifQ=="


def there(*names):
    """The answers to whether files are there."""
    return [dict(stat=dict(exists=one)) for one in names]


def files(**kept):
    """The answers of a node that has these of our files, C(_) for C(-) in their names, with what is in them."""
    def name(arguments):
        return arguments["path"].rpartition(".rolling-")[2].partition(".")[0].replace("-", "_")
    return dict(stat=lambda arguments: dict(stat=dict(exists=name(arguments) in kept)),
                slurp=lambda arguments: dict(content=kept[name(arguments)]))


ENDED = "for a killed run has begun this, and not ended it: Migrate Neutron."


@pytest.mark.parametrize("begun, backup, restored", [
    (HALF, True, ENDED), (HALF, False, ""), (NONE, True, ""), (NONE, False, ""), (None, True, ""),
    (OTHER, True, "for 5.0.0-bbbbbbbb has migrated it since."), (OTHER, False, "")])
def test_half_a_migration_is_restored_before_it_begins_anew(tier, begun, backup, restored):
    """MariaDB cannot roll DDL back, so the same statement would fail in each further run. And what another build has
    migrated, the release may not know."""
    kept = dict(migrating=begun, backup=WAS if backup else None)
    tier.given.update(files(**{name: text for name, text in kept.items() if text is not None}))
    result = went(tier, "backed_up")
    torn = begun == HALF and not backup
    assert any("no backup" in words for words in noted(result).get("notes", [])) == torn
    # Nor is a backup made of what is half migrated.
    dumps = [arguments.get("restore") for module, arguments in tier.calls if module == "dump"]
    assert dumps == (["/b/x.sql"] if restored else [] if torn or backup else [None])
    if restored:
        wait, = [one for module, one in tier.calls if module == "release_command"]
        assert wait["command"] == [] and tier.asked().index("release_command") < tier.asked().index("dump")
        assert tier.words() == [f"The database was restored from /b/x.sql, {restored}"]


@pytest.mark.parametrize("complete", [True, False])
def test_what_the_prior_release_has_migrated_needs_a_backup_as_ever(tier, complete):
    """It was killed while it started, and is followed by another build: its own restore point is gone by then."""
    tier.given.update(files(migrating=OF_OLD, **(dict(migrated="") if complete else {})))
    result = went(tier, "backed_up")
    assert noted(result)["schema"]["backup"] == dict(path="/b/x.sql", restore="mariadb < x", **(
        {} if complete else dict(late=True)))
    assert bool(noted(went(tier, "undone")).get("tier", {}).get("beyond")) != complete


@pytest.mark.parametrize("late", [True, False])
def test_a_backup_from_after_a_migration_leads_on_and_not_back(tier, late):
    point = journal(f'{{"path": "/b/x.sql", "restore": "y", "late": {str(late).lower()}}}')
    tier.given.update(files(migrating=HALF, backup=point), command={})
    assert bool(noted(went(tier, "undone"))["tier"].get("beyond")) == late
    went(tier, "backed_up")
    kept = [arguments["stdin"] for module, arguments in tier.calls if module == "command"]
    assert kept == ([f"{NEW}\n\n"] if late else [])
    left = [arguments["path"] for module, arguments in tier.calls if module == "file"]
    assert left == ["/r/.rolling-restoring", *([] if late else ["/r/.rolling-migrating"])]


def test_a_migration_that_has_failed_was_begun_and_not_ended(tier, monkeypatch):
    written = []
    monkeypatch.setattr(tier.plugin.ActionModule, "write", lambda self, title, path, text, mode: written.append(
        (path, text)))
    went(tier, "migrate", number=0)
    path = "/r/.rolling-migrating"
    assert written == [(path, f"{NEW}\nNeutron\n"), (path, f"{NEW}\n\n")]
    tier.given["release_command"] = dict(failed=True, msg="Duplicate column")
    assert went(tier, "migrate", number=0)["failed"] and written[2:] == [(path, f"{NEW}\nNeutron\n")]


@pytest.mark.parametrize("stopped, backup, dumped", [
    (["server"], True, True), ([], True, False), ([], False, True), (["agent"], True, False)])
def test_the_backup_is_of_the_time_in_which_all_is_down(tier, stopped, backup, dumped):
    """What does not write may have run since."""
    tier.run["plan"]["serving"], tier.node = ["sf-1"], dict(tier=dict(stopped=stopped))
    tier.others["sf-1"] = dict(cluster_node=dict(services=dict(server={}, agent={})))
    tier.given.update(files(**(dict(backup=WAS) if backup else {})))
    went(tier, "backed_up")
    assert ("dump" in tier.asked()) == dumped


@pytest.mark.parametrize("check, place, migrates", [
    (False, "sf-1", True), (True, "sf-1", False), (False, "sf-2", False)])
def test_who_is_lost_from_here_on_may_have_migrated(tier, check, place, migrates):
    tier.check, tier.run["plan"]["tier"]["places"] = check, {"": place, "server": place}
    result = went(tier, "begun")
    assert noted(result).get("tier") == (dict(migrates=True) if migrates else None)
    assert bool(result.get("skipped")) != migrates


@pytest.mark.parametrize("writer, other, forgotten", [
    (dict(active=True), True, True), (dict(active=False, held=""), False, True),
    (dict(active=True, held="active"), True, True), (dict(active=False, held="active"), True, False),
    (dict(active=False, held="inactive"), False, False)])
def test_a_backup_of_an_earlier_run_is_forgotten_unless_what_writes_was_held_since(tier, writer, other, forgotten):
    """Killed between the stop and its own backup, a run would else leave the next one that of a week ago."""
    services = dict(server=dict(writer, release="4.0.0"), agent=dict(active=other, release="4.0.0"))
    tier.run["plan"]["serving"] = ["sf-2"]
    tier.others["sf-2"] = dict(cluster_node=dict(services=services))
    went(tier, "rehearsed")
    paths = [arguments["path"] for module, arguments in tier.calls if module == "file"]
    names = [".rolling-restoring", ".rolling-backup.json", ".rolling-migrating"] if forgotten else []
    assert paths == [*(f"/r/{name}" for name in names), f"/r/{NEW}/.rolling-migrated"]
    tier.check = True
    went(tier, "rehearsed")
    assert "file" not in tier.asked()


def test_that_the_database_was_migrated_stays_known_while_the_new_release_is_there(tier):
    """Where it has not come up, and the next run fails before it migrates, the release before is not to start on it."""
    services = dict(server=dict(active=False, held="", release=NEW), agent=dict(active=False, release=NEW))
    tier.run["plan"]["serving"] = ["sf-2"]
    tier.others["sf-2"] = dict(cluster_node=dict(services=services))
    went(tier, "rehearsed")
    assert [arguments["path"] for module, arguments in tier.calls if module == "file"] == [
        "/r/.rolling-restoring", "/r/.rolling-backup.json", f"/r/{NEW}/.rolling-migrated"]


@pytest.mark.parametrize("begun, backup, words", [
    (HALF, True, "restore it: mariadb < x. "), (HALF, False, "restore it: from your own backup. "), (NONE, True, "")])
def test_half_a_migration_that_may_have_been_written_to_is_the_operators(tier, begun, backup, words):
    """Somebody has removed what held the server."""
    tier.run["plan"]["serving"] = ["sf-1"]
    tier.others["sf-1"] = dict(cluster_node=dict(services=dict(server=dict(active=False, held="", release="4.0.0"))))
    tier.given.update(stat=there(True, backup), slurp=[dict(content=begun), dict(content=WAS)])
    result = went(tier, "rehearsed")
    assert bool(result.get("failed")) == bool(words) and ("file" in tier.asked()) == (not words)
    if words:
        assert result["msg"].startswith("a run that was killed has begun this on sf-1, and not ended it: Migrate "
                                        "Neutron. Nothing holds server any more") and words in result["msg"]
        assert result["msg"].endswith("on sf-1: rm /r/.rolling-migrating")


@pytest.mark.parametrize("point, given", [("migrate", dict(number=0)), ("tried", {}), ("backed_up", {}), ("whole", {})])
def test_what_has_nothing_to_do_is_shown_as_skipped(tier, point, given):
    """After a failure, and where it is another node's part: it would else pass for done."""
    tier.run["plan"]["tier"]["places"] = {"": "sf-2", "server": "sf-2"}
    assert went(tier, point, **given)["skip_reason"] == "there is nothing to do on this node" and tier.calls == []
    tier.run["plan"]["tier"]["places"] = {"": "sf-1", "server": "sf-1"}
    assert not went(tier, "migrate", number=0).get("skipped") and tier.calls
    tier.node = dict(cause=dict(step="a", words="b"))
    assert went(tier, point, **given)["skip_reason"] == "the run has failed" and tier.calls == []


@pytest.mark.parametrize("more", [
    dict(backup=dict(BACKUP, mode="never")), dict(backup=dict(BACKUP, mode="auto", connection="")), dict(backup={}),
    dict(phases=dict(migrate=MIGRATE[2:]))])
def test_no_backup(tier, more):
    went(tier, "backed_up", **more)
    assert tier.calls == []


@pytest.mark.parametrize("seen", [dict(gone=["mtu"]), dict(interrupted=dict(host="c-1"))])
def test_what_was_written_is_undone(tier, seen):
    tier.given.update(stat=dict(stat=dict(exists=True)), store_migrations=[
        dict(SEEN, **seen), dict(SEEN, changed=True), SEEN])
    tier.node = dict(tier=dict(switched="4.0.0"))
    result = went(tier, "undone", node=dict(TIER, previous=dict(name="4.0.0")))
    prior = ("reported", "/r/4.0.0/lib/python3.11/migrations")
    assert stores(tier) == [prior, ("restored", f"/r/{NEW}/lib/python3.11/migrations"), prior]
    dump, = [arguments for module, arguments in tier.calls if module == "dump"]
    assert dump == dict(config="/etc/cinder/cinder.conf", connection="database/connection", directory="/b",
                        restore="/b/x.sql")
    assert noted(result)["tier"]["undone"] == ["What the migrations had written into the store was undone.",
                                               "The database was restored from /b/x.sql."]


def test_nothing_was_written(tier):
    """What the release before knows is left alone, also where the run that wrote it has kept what would undo it."""
    tier.given["store_migrations"] = dict(SEEN, kept=["mtu"])
    went(tier, "undone")
    assert [arguments["path"] for module, arguments in tier.calls if module == "file"] == [
        "/r/.rolling-backup.json"]
    assert "dump" not in tier.asked() and [state for state, dummy in stores(tier)] == ["reported"]


@pytest.mark.parametrize("given, words", [
    (dict(store_migrations=[dict(SEEN, gone=["mtu"]), SEEN, dict(SEEN, gone=["mtu"])]),
     "the store was migrated (mtu), and the release before"),
    (dict(store_migrations=dict(failed=True, msg="no answer")), "it is not known what the migrations have left (North"),
    (dict(store_migrations=dict(SEEN, holder=dict(host="d-2", since="noon"))), "on d-2 since noon. Wait"),
    (dict(store_migrations=[dict(SEEN, gone=["mtu"]), SEEN, dict(SEEN, holder=dict(host="d-2", since="noon"))]),
     "it is not known what the migrations have left (North"),
    (dict(stat=[dict(stat=dict(exists=True)), dict(stat=dict(exists=False))]), "there is no backup from before")])
def test_there_is_no_way_back(tier, given, words):
    tier.given.update(given)
    result = went(tier, "undone")
    assert not result.get("failed") and words in noted(result)["tier"]["beyond"]
    assert "file" not in tier.asked()


def test_a_node_that_is_lost_is_not_waited_for_once_more(tier):
    tier.node = dict(cause=dict(step="Stop agent", words="gone", lost=True))
    assert went(tier, "undone")["skipped"] and tier.calls == []
    # Another host was.
    tier.node["cause"]["away"] = "lb"
    assert not went(tier, "undone").get("skipped") and tier.calls


@pytest.mark.parametrize("mode", ["whole", "rest"])
def test_before_anything_starts(tier, mode):
    tier.run["plan"]["tier"]["mode"] = mode
    went(tier, "whole")
    assert stores(tier) == [("whole", f"/r/{NEW}/lib/python3.11/migrations")]
    went(tier, "committed")
    assert stores(tier) == [("migrated", f"/r/{NEW}/lib/python3.11/migrations")] and "keep" not in tier.calls[0][1]
    # Killed before anything is started, the next run still knows what the database was before.
    assert "file" not in tier.asked()


def test_the_rest_is_not_taken_for_a_migration(tier):
    """What would undo it is of the time in which all was down, and that is over."""
    tier.run["plan"]["tier"]["mode"] = "rest"
    went(tier, "migrate", number=0)
    assert tier.asked() == ["stat", "release_command"]


def test_what_is_migrated_is_not_migrated_again(tier, monkeypatch):
    """A run writes it down before it starts anything, so that what follows the next one is left alone by it."""
    written = []
    monkeypatch.setattr(tier.plugin.ActionModule, "write", lambda self, title, path, text, mode: written.append(path))
    went(tier, "committed", phases=dict(migrate=MIGRATE[2:]))
    assert written == []
    went(tier, "committed")
    assert written == [f"/r/{NEW}/.rolling-migrated"]
    tier.run["plan"]["tier"]["mode"], tier.given["stat"] = "rest", dict(stat=dict(exists=True))
    result = went(tier, "migrate", number=0)
    assert tier.calls == [("stat", dict(path=written[0]))]
    assert result["skipped"] and result["skip_reason"] == "an earlier run has completed all migrations"


@pytest.mark.parametrize("pending, fails", [([], False), ([PENDING], True)])
def test_in_the_end_nothing_is_left(tier, pending, fails):
    tier.given["store_migrations"] = dict(SEEN, pending=pending)
    result = went(tier, "settled")
    assert bool(result.get("failed")) == fails and (not fails or "it lacks mtu" in result["msg"])


@pytest.mark.parametrize("point", ["migrate", "whole", "committed", "settled", "undone", "tried"])
def test_check_mode_asks_no_store(tier, point):
    tier.check = True
    went(tier, point, number=1 if point == "migrate" else None)
    assert stores(tier) == []


# ---- a release in packages, whose commands are where the system has them

PACKAGES = dict(releases="/p", release=dict(path="", name="0.18.1"), staged=[], user="", step=dict(to="0.19"),
                packages={}, services={})
MANAGE = dict(title="Migrate", command=["snf-manage", "migrate"], release="staged", again=[], warn=[], once=False,
              looks=False, wanted=True)


def of_packages(one, *phases):
    return one.act(point="migrate", node=PACKAGES, target=dict(name="0.19", version="0.19"), backup={},
                   phases=dict(migrate=[dict(phase) for phase in phases]))


def test_a_command_of_the_node(one):
    """A node with two parts of the product migrates both of them at once."""
    of_packages(one, MANAGE)
    assert one.calls == [("release_command", dict(command=["snf-manage", "migrate"], user=None, release="", again=[],
                                                  warn=[], looks=False))]
    one.node = dict(tier=dict(ran=[MANAGE["command"]]))
    of_packages(one, MANAGE, dict(MANAGE, command=["snf-manage", "other"]))
    assert [call[1]["command"] for call in one.calls] == [["snf-manage", "other"]]


def test_what_a_command_has_found_is_told(one):
    one.given["release_command"] = dict(runs=1, warned=False, output="server 7: missing")
    result = of_packages(one, dict(MANAGE, tell=True))
    assert one.words() == ["Migrate:\nserver 7: missing"]
    assert result["ansible_facts"]["rolling_node"]["notes"] == ["Migrate:\nserver 7: missing"]


def test_a_module_in_the_place_of_a_command(one):
    one.given["synnefo_component"] = dict(report=["cyclades was registered"], notes=["a note"])
    result = of_packages(one, dict(MANAGE, module="synnefo_component", arguments=dict(name="cyclades")))
    assert one.calls == [("synnefo_component", dict(name="cyclades"))] and one.words() == ["cyclades was registered"]
    assert result["ansible_facts"]["rolling_node"]["notes"] == ["a note"]
