# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._schema import (
    Migration,
    differing,
    migrated,
    refusal,
    release_of,
    releases_of,
    summary_of,
    words_of,
)

OLD, NEW = dict(nodes=1, notes=1), dict(nodes=1, notes=2)
TARGET = dict(version="0.8.1", name="0.8.1-new")
NODE = dict(venv="/venv", releases="/srv", database_unit="sf-database", release=dict(version="0.8.0", rewritten=False),
            previous=dict(path="/srv/0.8.0-old"))
ON_NEW = dict(NODE, release=dict(version="0.8.1", rewritten=False))
STAGED = "/srv/0.8.1-new"
BACKUP = dict(path="/backup.sql", restore="mariadb < /backup.sql")


def seen(tables, active=None, staged=None, backup=None):
    recorded = {"/venv": active and dict(tables=active), STAGED: staged and dict(tables=staged)}
    return dict(tables=tables, recorded=recorded, backups={STAGED: backup}, expects={STAGED: None})


def test_the_release_and_the_way_back():
    assert release_of(NODE, TARGET) == STAGED
    assert releases_of(NODE, TARGET, STAGED) == [STAGED, "/venv"]
    assert release_of(ON_NEW, TARGET) == "/venv"
    assert releases_of(ON_NEW, TARGET, "/venv") == ["/venv", "/srv/0.8.0-old"]
    assert releases_of(dict(ON_NEW, previous=None), TARGET, "/venv") == ["/venv"]
    # Another installer has written the target's version into it, so the target is staged beside it.
    assert release_of(dict(NODE, release=dict(version="0.8.1", rewritten=True)), TARGET) == STAGED


@pytest.mark.parametrize("what, may_change, begun, due", [
    (seen(OLD), True, False, True),
    (seen(OLD, active=OLD), True, False, True),
    (seen(OLD, active=OLD, staged=NEW), True, False, True),
    (seen(OLD, active=OLD, staged=OLD), False, False, False),
    (seen(NEW, active=OLD, staged=NEW), False, False, False),
    (seen(NEW, active=OLD), True, True, True),
    (seen(NEW, active=OLD, backup=BACKUP), True, True, False),
    (seen(OLD, active=OLD, backup=BACKUP), True, False, True),
])
def test_whether_a_backup_is_due(what, may_change, begun, due):
    found = Migration(NODE, TARGET, STAGED, what)
    assert (found.may_change, found.begun, found.is_backup_due("auto")) == (may_change, begun, due)
    assert found.is_backup_due("always") and not found.is_backup_due("never")
    assert found.backup_of("auto") == found.backup and found.backup_of("never") == {}


def test_the_release_that_runs_migrates_nothing():
    found = Migration(ON_NEW, TARGET, "/venv", seen(NEW))
    assert not found.may_change and not found.begun and found.backup == {}


def test_whether_the_schema_is_migrated():
    assert Migration(NODE, TARGET, STAGED, seen(OLD)).is_migrated(NEW)
    assert not Migration(NODE, TARGET, STAGED, seen(OLD)).is_migrated(OLD)
    # By an earlier run, before this one has looked.
    assert Migration(NODE, TARGET, STAGED, seen(NEW, active=OLD)).is_migrated(NEW)
    assert not Migration(ON_NEW, TARGET, "/venv", seen(NEW)).is_migrated(NEW)


def test_words():
    tables = [dict(table="nodes", before=1, after=1), dict(table="notes", before=1, after=2),
              dict(table="tags", before=None, after=1)]
    assert words_of(dict(changed=True, tables=tables, widened=["objects.state"]), "other") == [
        "notes: version 1 -> 2", "tags: new -> 1", "objects.state: widened"]
    assert words_of(dict(changed=False, tables=tables[:1]), "other") == ["The schema is as the release wants it"]
    assert words_of(dict(skipped=True, msg="not in check mode"), "other") == ["not in check mode"]
    noted = [dict(table="cluster_operation_targets", before=1, after=2)]
    assert len(words_of(dict(changed=True, tables=noted, widened=[]), "shakenfist")) == 2


def test_the_summary():
    assert summary_of(seen(OLD), STAGED) == dict(tables=OLD, wanted={}, expected={}, backup="")
    found = dict(seen(OLD, staged=NEW, backup=BACKUP), expects={STAGED: NEW})
    assert summary_of(found, STAGED) == dict(tables=OLD, wanted=NEW, expected=NEW, backup=BACKUP["restore"])


BEGIN = "sf-1 is in the database tier, and the schema is not the one that 0.8.1 wants"


def refused(kind, tables, wanted=None, expected=None, backups=()):
    looked = dict(tables=tables, wanted=wanted or {}, expected=expected or {})
    return refusal(kind, "sf-1", NODE, "0.8.1", looked, backups)


@pytest.mark.parametrize("kind", ["restart", "reconfigure"])
def test_a_gateway_that_would_not_start_again(kind):
    for wanted, expected in ((OLD, None), (None, None), (NEW, OLD), (dict(notes=1), None)):
        assert refused(kind, OLD, wanted, expected) == ""
    for wanted, expected in ((OLD, None), (NEW, OLD)):
        assert refused(kind, NEW, wanted, expected) == (
            f"{BEGIN} (tables that differ: notes), so its sf-database would refuse to start. An upgrade has migrated "
            "it: run that one to its end, it restarts the daemons, too.")


@pytest.mark.parametrize("tables, wanted, expected, differ", [
    (OLD, OLD, {}, ""), (OLD, {}, OLD, ""), (NEW, {}, {}, ""), (NEW, OLD, {}, "notes"), (NEW, NEW, OLD, "notes"),
])
def test_a_schema_that_the_tier_does_not_want(tables, wanted, expected, differ):
    looked = dict(tables=tables, wanted=wanted, expected=expected)
    assert differing(looked) == differ
    assert [words.partition(",")[0] for words in migrated("0.8.0", looked)] == (
        [f"the schema is not the one that 0.8.0 wants (tables that differ: {differ})"] if differ else [])


def test_no_way_back():
    assert refused("rollback", OLD, OLD) == ""
    words = refused("rollback", NEW, OLD, backups=["", "mariadb < a"])
    assert words.startswith(f"{BEGIN}, so its sf-database would refuse to start. Tables that differ: notes.\nEvery ")
    assert words.endswith("is restored with\nmariadb < a")
    words = refused("rollback", OLD)
    assert "start. It is not recorded which one that release wants.\n" in words
    assert words.endswith("\nthe command that the upgrade has printed")
