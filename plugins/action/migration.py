# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: look at the schema of the database, and migrate it.
# state: prepared records which schema the running release wants and, on the node that migrates, backs the database up.
# migrated runs the migration, on that node only. completed records which schema the new release wants.
# state: seen only looks. checked, after that on all nodes of the tier, fails if the gateway would not start again.
# before: what prepared has returned, for the states after it.

import json

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import units_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME, node_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._schema import (
    Migration,
    refusal,
    release_of,
    releases_of,
    summary_of,
    words_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import StatesAction, skipped

TEXT = dict(type="str", default="")
DATA = dict(type="dict", default={})
ARGUMENTS = dict(
    state=dict(type="str", choices=["prepared", "migrated", "completed", "seen", "checked"], required=True),
    node=DATA, target=DATA, release=TEXT, config=TEXT, prefix=TEXT, python=TEXT, before=DATA,
    leader=TEXT, command=dict(type="list", elements="str", default=[]),
    backup=dict(type="str", default="auto"), directory=TEXT, scratch=dict(type="bool", default=True),
)
# What a release directory records, and who may read it: a backup's command names the user of the database.
SCHEMA, BACKUP = (".rolling-schema.json", "0644"), (".rolling-backup.json", "0600")


class ActionModule(StatesAction):
    """Take the schema a part of the way; each state is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        self.node, self.target = self.given.node, self.given.target
        self.release = self.given.release or release_of(self.node, self.target)

    def look(self, expected=""):
        """Only Python of the virtualenv has a driver for MariaDB."""
        task_vars = dict(self.task_vars, ansible_python_interpreter=self.given.python)
        return self.module("schema_info", task_vars, title="Look at the schema", config=self.given.config,
                           prefix=self.given.prefix, expected=expected,
                           releases=releases_of(self.node, self.target, self.release))

    def note_schema(self, **values):
        self.note(schema=dict(self.record.schema, **self.values.get("schema", {}), **values))

    def keep(self, title, release, file, content):
        """Record something in a release directory."""
        if self._task.check_mode:
            self.collect(dict(changed=True))
            return
        name, mode = file
        self.write(title, f"{release}/{name}", json.dumps(content, indent=4, sort_keys=True) + "\n", mode)

    # ---- the migration

    def prepared(self):
        before, policy = self.look(), self.given.backup
        migration = Migration(self.node, self.target, self.release, before)
        # What the release that runs now was started with is what it will want to be started with again.
        if not before["recorded"][migration.active]:
            self.keep("Record the schema that the running release wants", migration.active, SCHEMA, before["schema"])
            before["recorded"][migration.active] = before["schema"]
        made = {}
        if self.name == self.given.leader and migration.is_backup_due(policy):
            made = self.back_up(migration)
        if migration.begun and migration.backup:
            self.say("The schema was migrated in part, by an earlier run. The backup from before that is "
                     f"{migration.backup['path']}")
        self.note_schema(backup=made or migration.backup_of(policy))
        return dict(before={key: before[key] for key in ("schema", "tables", "recorded", "backups")})

    def back_up(self, migration):
        """Back up the database; what leads back, which a backup of a schema half-way does not."""
        given = self.given
        dump = self.module("dump", self.task_vars, title="Back up the database", config=given.config,
                           prefix=given.prefix, directory=given.directory, scratch=given.scratch,
                           name=f"before-{self.target['version']}")
        where = f"{dump['path']} on {self.name}"
        if self._task.check_mode:
            self.say(f"{where}: would be written")
            return {}
        self.say(f"{where}: {dump['verified']}", "To restore it:", dump["restore"])
        if migration.begun:
            return {}
        backup = {key: dump[key] for key in ("path", "restore")}
        # For the runs that continue this one.
        self.keep("Record the restore point", self.release, BACKUP, backup)
        return backup

    def migrated(self):
        given = self.given
        result = self.module("schema", self.task_vars, title="Migrate the schema", release=self.release,
                             command=given.command, config=given.config)
        self.say(*words_of(result, self.node["distribution"]))
        self.note_schema(changed=bool(result.get("changed")))

    def completed(self):
        before = self.given.before
        migration = Migration(self.node, self.target, self.release, before)
        changed = bool(node_of(self.hostvars, self.given.leader, self.run_record).schema.get("changed"))
        now = self.look()["schema"] if changed else before["schema"]
        # In check mode nothing was staged, and nothing migrated.
        if before["recorded"][self.release] != now and not self._task.check_mode:
            self.keep("Record the schema that the new release wants", self.release, SCHEMA, now)
        self.note_schema(changed=changed, moved=migration.is_migrated(now["tables"]))

    # ---- the checks

    def needless(self):
        """Whether no gateway is going to be restarted, so that the schema does not matter."""
        units = units_of(self.node, self.setting("restart_units"))
        return self.run_record.kind in SAME and self.node["database_unit"] not in units

    def seen(self):
        if self.needless():
            return skipped("no gateway is going to be restarted")
        # What a release wants that is gone back to was recorded when it ran.
        found = self.look("" if self.run_record.kind == "rollback" else self.node["schema_versions"])
        self.note_schema(seen=summary_of(found, self.release))

    def checked(self):
        nodes = {name: node_of(self.hostvars, name, self.run_record).schema.get("seen")
                 for name in self.task_vars["ansible_play_hosts_all"]}
        if nodes[self.name]:
            self.check(refusal(self.run_record.kind, self.name, self.node, self.target["version"], nodes[self.name],
                               [seen["backup"] for seen in nodes.values() if seen]),
                       "Stop if a gateway would not start again")
