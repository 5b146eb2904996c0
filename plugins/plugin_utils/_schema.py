# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the nodes of the database tier know of the schema, and what follows from that: whether a migration is due to be
# backed up, whether a node can go back, whether a gateway would start again. Versions are of the tables, by name.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import is_target
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import migrations
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME


def release_of(node, target):
    """The directory of the target; the link to it where it is active, for staging may give it another name."""
    release = node["release"]
    active = is_target(release, target) and not release.get("rewritten")
    return node["venv"] if active else f"{node['releases']}/{target['name']}"


def way_back_of(node, target):
    """The directory of the release that the node could go back to, an empty string if there is none."""
    active = node["venv"]
    return (node.get("previous") or {}).get("path") or "" if release_of(node, target) == active else active


def releases_of(node, target, release):
    """The directories whose records matter."""
    return list(dict.fromkeys(filter(None, [release, node["venv"], way_back_of(node, target)])))


def _tables(recorded, release, otherwise):
    return (recorded.get(release) or {}).get("tables", otherwise)


class Migration:
    """What a node knows before the migration; C(seen) is what the module C(schema_info) has returned."""

    def __init__(self, node, target, release, seen):
        self.release, self.active, self.way_back = release, node["venv"], way_back_of(node, target)
        self.tables, self.recorded = seen["tables"], seen["recorded"]
        self.backup = seen["backups"].get(release) or {}
        # A release that has recorded the schema that there is will change nothing. Of any other one, nobody knows.
        self.may_change = release != self.active and _tables(self.recorded, release, {}) != self.tables
        # An earlier run has begun it: the schema is neither what the running release wants nor what the new one does.
        self.begun = self.may_change and _tables(self.recorded, self.active, self.tables) != self.tables

    def is_backup_due(self, policy):
        """Whether to back up first. A backup of a schema that was migrated half-way leads nowhere."""
        return policy == "always" or policy == "auto" and self.may_change and not (self.begun and self.backup)

    def backup_of(self, policy):
        """The backup of an earlier run that leads back from the release."""
        return {} if policy == "never" else self.backup

    def is_migrated(self, tables):
        """Whether the tables are others now than the release wants that the node could go back to."""
        return _tables(self.recorded, self.way_back, self.tables) != tables


def words_of(result, product):
    """What the migration has done, in lines."""
    if result.get("skipped"):
        return [result["msg"]]
    if not result.get("changed"):
        return ["The schema is as the release wants it"]
    steps = [entry for entry in result["tables"] if entry["before"] != entry["after"]]
    return [*(f"{entry['table']}: {'new' if entry['before'] is None else 'version {before}'.format(**entry)} -> "
              f"{entry['after']}" for entry in steps),
            *(f"{column}: widened" for column in result["widened"]), *migrations(product, result["tables"])]


def summary_of(seen, release):
    """What a plan, or a way back, needs to know of what was seen; C(expected) if the build was asked."""
    return dict(tables=seen["tables"], wanted=_tables(seen["recorded"], release, {}),
                expected=seen["expects"].get(release) or {},
                backup=next((backup["restore"] for backup in seen["backups"].values() if backup), ""))


def differing(seen):
    """The tables that are not as a release wants them. What the build says counts more than what was recorded of it."""
    wanted = seen["expected"] or seen["wanted"]
    return ", ".join(table for table in wanted if wanted[table] != seen["tables"].get(table))


def migrated(version, seen):
    """That the schema is another one than the release wants that a tier is on; one sentence, or none."""
    differ = differing(seen)
    return [f"the schema is not the one that {version} wants (tables that differ: {differ}), which is on nodes of the "
            "database tier: no sf-database of it starts again. Restart none of them, and finish the run that was begun"
            ] if differ else []


def refusal(kind, name, node, version, seen, backups):
    """Why the roll would leave this node with a gateway that does not start; an empty string if it would not.

    :arg backups: the commands that restore the backups of the nodes of the tier.
    """
    begin = f"{name} is in the database tier, and the schema is not the one that {version} wants"
    unit = node["database_unit"]
    if kind in SAME:
        differ = differing(seen)
        return (f"{begin} (tables that differ: {differ}), so its {unit} would refuse to start. An upgrade has migrated "
                "it: run that one to its end, it restarts the daemons, too.") if differ else ""
    if seen["wanted"] == seen["tables"]:
        return ""
    differ = ", ".join(name for name, version in seen["tables"].items() if version != seen["wanted"].get(name))
    which = f"Tables that differ: {differ}" if seen["wanted"] else "It is not recorded which one that release wants"
    restore = next(filter(None, backups), "the command that the upgrade has printed")
    return (f"{begin}, so its {unit} would refuse to start. {which}.\n"
            "Every node stays as it is. Prefer to fix forwards. The only way back is the backup from before the "
            "migration; it takes the cluster out of service and loses what was written since.\n"
            f"docs/runbook.md, Go back with the schema, says how. The backup is restored with\n{restore}")
