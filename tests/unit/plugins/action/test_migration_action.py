# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import migration
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED
from ansible_collections.shakenfist.rolling.tests.unit.fakes import with_several

OLD, NEW = dict(nodes=1, notes=1), dict(nodes=1, notes=2)
SCHEMA, LATER = dict(tables=OLD, enums={}), dict(tables=NEW, enums={})
STAGED = "/srv/0.8.1-new"
NODE = dict(venv="/venv", releases="/srv", database_unit="sf-database", api_unit="sf-api", distribution="other",
            daemons=["sf-api", "sf-database"], schema_versions="a:B", release=dict(version="0.8.0", rewritten=False))
TARGET = dict(version="0.8.1", name="0.8.1-new")
DUMP = dict(changed=True, path="/b.sql", restore="mariadb < /b.sql", verified="complete")
MADE = dict(path="/b.sql", restore="mariadb < /b.sql")
ENDED = dict(changed=True, tables=[dict(table="notes", before=1, after=2)], widened=[])


def seen(schema, active=None, staged=None, backup=None):
    return dict(schema=schema, tables=schema["tables"], recorded={STAGED: staged, "/venv": active},
                backups={STAGED: backup}, expects={STAGED: NEW})


class Tier:
    """The nodes of the tier; C(answers) is what a module of a node returns."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        self.check, self.kind, self.variables, self.facts = False, "upgrade", {}, {"sf-1": {}, "sf-2": {}}
        self.answers = dict(schema_info=seen(SCHEMA), dump=DUMP, schema=ENDED, command=dict(changed=True))

    def execute(self, module_name, module_args, task_vars):
        module = module_name.rpartition(".")[2]
        if module == "command":
            assert module_args["argv"][:2] == ["sh", "-c"]
            mode, path = module_args["argv"][4:]
            self.calls.append((path, mode, json.loads(module_args["stdin"])))
        else:
            self.calls.append((module, module_args))
            if module == "schema_info":
                assert task_vars["ansible_python_interpreter"] == "/venv/bin/python"
        return copy.deepcopy(self.answers[module])

    def go(self, state, name="sf-1", **arguments):
        self.calls, self.said = [], []
        action = migration.ActionModule.__new__(migration.ActionModule)
        action._task = SimpleNamespace(check_mode=self.check, run_once=False, no_log=False, play=None, args={},
                                       action="x", get_vars=lambda: dict(rolling_step="schema"), get_name=lambda: "Do")
        action._templar = SimpleNamespace(template=lambda value: value)
        action._display = SimpleNamespace(display=lambda text, **dummy: self.said.extend(filter(None, [str(text)])))
        action._execute_module = with_several(self.execute)
        given = dict({option: value.get("default") for option, value in migration.ARGUMENTS.items()}, state=state,
                     node=NODE, target=TARGET, config="/c", prefix="P_", python="/venv/bin/python", leader="sf-1",
                     command=["sf-ctl", "go"], directory="/b", **arguments)
        action.validate_argument_spec = lambda argument_spec: (None, given)
        hostvars = {name: dict(ansible_facts=facts) for name, facts in self.facts.items()}
        hostvars["localhost"] = dict(ansible_facts=dict(rolling_run=dict(id="x", kind=self.kind)))
        result = action.run(task_vars=dict(self.variables, hostvars=hostvars, inventory_hostname=name,
                                           ansible_facts=self.facts[name], ansible_play_hosts_all=list(self.facts)))
        self.facts[name].update(result.get("ansible_facts", {}))
        return result

    def schema(self, name="sf-1"):
        return self.facts[name]["rolling_node"]["schema"]

    def modules(self):
        return [call[0] for call in self.calls]


@pytest.fixture
def tier(monkeypatch):
    return Tier(monkeypatch)


def test_a_migration(tier):
    before = {}
    for name in tier.facts:
        result = tier.go("prepared", name)
        before[name] = result["before"]
        assert result["changed"] and before[name]["recorded"]["/venv"] == SCHEMA
        assert tier.calls[0] == ("schema_info", dict(config="/c", prefix="P_", expected="", releases=[STAGED, "/venv"]))
        assert tier.calls[1] == ("/venv/.rolling-schema.json", "0644", SCHEMA)
        if name == "sf-1":
            assert tier.calls[2:] == [
                ("dump", dict(config="/c", prefix="P_", directory="/b", scratch=True, name="before-0.8.1")),
                (f"{STAGED}/.rolling-backup.json", "0600", MADE)]
            assert tier.said == ["/b.sql on sf-1: complete\nTo restore it:\nmariadb < /b.sql"]
        else:
            assert tier.calls[2:] == [] and tier.said == []
    assert tier.schema("sf-1") == dict(backup=MADE) and tier.schema("sf-2") == dict(backup={})

    assert tier.go("migrated")["changed"]
    assert tier.calls == [("schema", dict(release=STAGED, command=["sf-ctl", "go"], config="/c"))]
    assert tier.said == ["notes: version 1 -> 2"]

    tier.answers["schema_info"] = seen(LATER)
    for name in tier.facts:
        assert tier.go("completed", name, before=before[name])["changed"]
        assert tier.modules() == ["schema_info", f"{STAGED}/.rolling-schema.json"] and tier.calls[1][2] == LATER
    assert tier.schema("sf-1") == dict(backup=MADE, changed=True, moved=True)
    assert tier.schema("sf-2") == dict(backup={}, changed=True, moved=True)
    assert [entry["module"] for entry in tier.facts["sf-1"]["rolling_node"]["timeline"]] == [
        "schema_info", "dump", "schema", "schema_info"]


def test_nothing_to_migrate(tier):
    tier.answers.update(schema_info=seen(SCHEMA, active=SCHEMA, staged=SCHEMA), schema=dict(changed=False, tables=[]))
    before = tier.go("prepared")["before"]
    assert tier.modules() == ["schema_info"]
    assert not tier.go("migrated")["changed"] and tier.said == ["The schema is as the release wants it"]
    assert not tier.go("completed", before=before)["changed"] and tier.calls == []
    assert tier.schema() == dict(backup={}, changed=False, moved=False)


def test_a_migration_that_an_earlier_run_has_begun(tier):
    tier.answers["schema_info"] = seen(LATER, active=SCHEMA, backup=MADE)
    tier.go("prepared")
    assert tier.modules() == ["schema_info"] and tier.schema() == dict(backup=MADE)
    assert tier.said == ["The schema was migrated in part, by an earlier run. The backup from before that is /b.sql"]
    # Where a backup is wanted in any case, it is made, but does not lead back.
    assert tier.go("prepared", backup="always") and tier.modules() == ["schema_info", "dump"]
    assert tier.schema() == dict(backup=MADE)
    tier.go("prepared", backup="never")
    assert tier.modules() == ["schema_info"] and tier.schema() == dict(backup={})


def test_in_check_mode(tier):
    tier.check, tier.answers["schema"] = True, dict(skipped=True, msg="no dry run")
    result = tier.go("prepared")
    assert result["changed"] and tier.modules() == ["schema_info", "dump"]
    assert tier.said == ["/b.sql on sf-1: would be written"] and tier.schema() == dict(backup={})
    assert not tier.go("migrated")["changed"] and tier.said == ["no dry run"]
    assert not tier.go("completed", before=result["before"])["changed"] and tier.calls == []


def test_a_record_that_cannot_be_written(tier):
    tier.answers["command"] = dict(failed=True, msg="non-zero return code", stderr="disk full")
    result = tier.go("prepared")
    assert result["failed"] and result["msg"] == "cannot write the record /venv/.rolling-schema.json: disk full"
    assert result["title"] == "Record the schema that the running release wants"
    tier.answers["command"] = dict(failed=True, msg="no shell")
    assert tier.go("prepared")["msg"].endswith(": no shell")


def test_a_migration_that_fails(tier):
    tier.answers["schema"] = dict(failed=True, msg="no", rc=1)
    result = tier.go("migrated")
    assert result["failed"] and result["msg"] == "no" and result["title"] == "Migrate the schema"
    assert "schema" not in result.get(NOTED, {})


# ---- the checks

def test_looking(tier):
    tier.kind = "plan"
    assert not tier.go("seen")["changed"]
    assert tier.calls == [("schema_info", dict(config="/c", prefix="P_", expected="a:B", releases=[STAGED, "/venv"]))]
    assert tier.schema() == dict(seen=dict(tables=OLD, wanted={}, expected=NEW, backup=""))


@pytest.mark.parametrize("units, needless", [("", False), ("sf-net,sf-database", False), (["sf-net"], True),
                                             ("sf-net,sf-api", True)])
def test_a_restart_without_the_gateway_needs_no_check(tier, units, needless):
    tier.kind, tier.variables = "restart", dict(restart_units=units)
    assert bool(tier.go("seen").get("skipped")) == needless
    result = tier.go("checked")
    assert bool(result.get("failed")) != needless
    if not needless:
        assert "An upgrade has migrated it" in result["msg"]


def test_a_rollback_names_the_backup_of_the_whole_tier(tier):
    tier.kind = "rollback"
    tier.answers["schema_info"] = seen(LATER, staged=SCHEMA)
    tier.go("seen", "sf-1")
    assert tier.calls[0][1]["expected"] == ""
    tier.answers["schema_info"] = seen(LATER, staged=SCHEMA, backup=MADE)
    tier.go("seen", "sf-2")
    result = tier.go("checked", "sf-1")
    assert result["failed"] and result["msg"].endswith("\nmariadb < /b.sql")
    assert result["title"] == "Stop if a gateway would not start again"
    tier.answers["schema_info"] = seen(SCHEMA, staged=SCHEMA)
    tier.go("seen", "sf-1")
    assert not tier.go("checked", "sf-1").get("failed")
