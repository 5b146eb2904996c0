# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: run the commands that a product has for one point of a roll, on one node.
# point: before the schema is migrated, migrate, and after all services run the release. orphans removes from the
# product's records the services that the plan has found dead.
# point: Of a product that is stopped as a whole, looked asks its store before anything is touched, rehearsed tries the
# migrations of the staged release on a copy of it, tried does so once more when all is down, backed_up dumps the
# database, begun notes that of a node that is lost from then on nobody can tell what it has migrated, undone takes back
# what the migrations have left and finds out whether there is a way back. Before anything starts, whole sees that no
# store is half written, and committed forgets what would undo it. settled, in the end, fails if a migration is left.

import json
import re
from contextlib import contextmanager

from ansible_collections.shakenfist.rolling.plugins.action.migration import BACKUP
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import last_lines
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import told_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import is_silent
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StepsAction, skipped
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import (
    MIGRATED,
    MIGRATING,
    REST,
    RESTORING,
    counted,
    etcd_problem,
    interrupted_words,
    locked_words,
    troubles,
)

PHASE = dict(
    title=dict(type="str", required=True), release=dict(type="str", choices=["active", "staged"], default="staged"),
    command=dict(type="list", elements="str", default=[]), store=dict(type="dict", default={}),
    module=dict(type="str", default=""), arguments=dict(type="dict", default={}),
    where=dict(type="str", default=""), again=dict(type="list", elements="int", default=[]),
    warn=dict(type="list", elements="int", default=[]), transient=dict(type="list", elements="int", default=[]),
    timeout=dict(type="float", default=0), once=dict(type="bool", default=False),
    looks=dict(type="bool", default=False), tell=dict(type="bool", default=False),
    wanted=dict(type="bool", default=True))
POINTS = {point: dict(type="list", elements="dict", default=[], options=PHASE)
          for point in ("before", "migrate", "after")}
ARGUMENTS = dict(
    point=dict(type="str", required=True), node=dict(type="dict", required=True),
    target=dict(type="dict", required=True), phases=dict(type="dict", default={}, options=POINTS),
    info=dict(type="str", default=""), remove=dict(type="list", elements="str", default=[]),
    backup=dict(type="dict", default={}), number=dict(type="int"),
)
# The points of a product that is stopped as a whole which are no points of its file.
TIER = ("looked", "rehearsed", "tried", "backed_up", "begun", "undone", "whole", "committed", "settled")


def outcome(runs, again=(), looks=False, **dummy):
    """How a command has ended that had nothing else to say."""
    if runs > 1:
        return f"done after {runs} runs"
    return "no complaint" if looks else "nothing was left to do" if again else "done"


class ActionModule(StepsAction):
    """Run the commands one after the other."""

    # Whether anything was asked of the node, and whether that is only tried, in a run that does the same in earnest.
    asked = tries = False

    def steps(self, task_vars):
        given = self.given = plain(self.validate_argument_spec(argument_spec=ARGUMENTS)[1])
        self.node, self.target = given["node"], given["target"]
        self.staged = f"{self.node['releases']}/{self.target['name']}"
        self.tier = self.run_record.plan.get("tier") or {}
        self.prior = f"{self.node['releases']}/{self.tier.get('priors', {}).get(self.name, '')}"
        if given["point"] == "orphans":
            return self.orphans()
        if self.tier:
            return self.in_a_tier(given["point"]) or ({} if self.asked or self.values else skipped(
                "there is nothing to do on this node"))
        return self.at(given["point"])

    def persist(self, *args, **options):
        self.asked = True
        return super().persist(*args, **options)

    def in_a_tier(self, point):
        """A point of a product that is stopped as a whole, where no node goes on without the others."""
        if point == "undone" and self.record.cause.get("lost") and not self.record.cause.get("away"):
            return skipped("the node is lost")
        if point not in ("undone", "looked") and troubles(
                self.hostvars, self.run_record, self.task_vars["ansible_play_hosts_all"],
                self.task_vars["ansible_play_hosts"]):
            return skipped("the run has failed")
        if point in TIER:
            return getattr(self, point)()
        if point == "migrate" and self.tier.get("mode") == REST and any(self.phases(store=False)) and self.exists(
                f"{self.staged}/{MIGRATED}", "Check whether an earlier run has migrated"):
            return skipped("an earlier run has completed all migrations")
        return self.at(point)

    def at(self, point):
        given = self.given
        backup = given["backup"]
        if not self.tier and backup and backup.pop("mode") != "never" and backup["connection"] and not self.has_begun():
            self.back_up()
        for phase in self.phases(point):
            self.run_phase(**phase)
        if point == "migrate" and given["info"] and not self._task.check_mode:
            before, after = self.node.get("schema"), self.ask_product().get("schema")
            was = "as before" if before == after else f"it was at {before}"
            if after:
                self.say(f"The schema is at revision {after}, {was}")
        return {}

    def ask_product(self):
        return self.module(self.given["info"], self.in_venv(self.node["venv"]), config=self.node["config"])

    def wanted(self, point):
        for phase in self.given["phases"].get(point) or []:
            phase = dict(phase)
            if phase.pop("wanted"):
                yield phase

    def phases(self, point="migrate", store=None):
        """The phases of a point that are this node's to do; those of a kind, if one is given."""
        name, places = self.name, self.tier.get("places", {})
        for number, phase in enumerate(self.wanted(point)):
            if self.given["number"] not in (None, number):
                continue
            if places.get(phase.pop("where", ""), name) == name and (
                    store is None or bool(phase.get("store")) == store):
                yield phase

    def services(self):
        """All services on all nodes, as name and state."""
        for name in self.run_record.plan.get("serving") or []:
            yield from plain(self.hostvars[name].get("cluster_node") or {}).get("services", {}).items()

    def has_begun(self):
        """Whether a service runs the release already: the schema was migrated before, so there is no restore point."""
        return any(one["release"] == self.target["name"] for dummy, one in self.services())

    def command(self, title, command, release, **options):
        # What comes in packages has its commands where the system has them.
        place = "" if self.node.get("step") else self.staged if release == "staged" else self.node["release"]["path"]
        return self.module("release_command", self.task_vars, title=title, command=command,
                           user=self.node["user"] or None, release=place, **options)

    def run_phase(self, title, command, release, once, store=None, module="", arguments=None, tell=False, **options):
        if store:
            return self.migrate_store(title, store)
        if module:
            self.call_module(title, module, arguments)
            return self.migrated(title)
        done = f"{self.staged}/.rolling-done-{re.sub('[^A-Za-z0-9_.]+', '-', ' '.join(command))}"
        if once and self.exists(done, "Check whether it was done"):
            return
        if self._task.check_mode and release == "staged" and self.target["name"] not in self.node["staged"]:
            return  # in check mode nothing was staged
        if self.node.get("step") and self.given["point"] == "migrate":
            # A node with several parts of the product migrates all of them at once.
            if command in self.record.tier.get("ran", []):
                return self.migrated(title, "by the same command as before it")
            self.remember(ran=[*self.record.tier.get("ran", []), command])
        migrates = self.tier and self.given["point"] == "migrate" and not self._task.check_mode and (
            self.tier.get("mode") != REST)
        if migrates:
            self.begin_migration(title)
            self.remember(wrote=True)
        answer = self.command(title, command, release, **options)
        if not options.get("looks"):
            self.migrated(title)
        if migrates:
            self.begin_migration()
        if answer.get("warned"):
            words = f"{' '.join(command)} has something to say:\n{last_lines(answer['output'], 40)}"
            self.warn(words)
        elif tell and answer.get("output"):
            words = f"{title}:\n{last_lines(answer['output'], 40)}"
            self.say(words)
            self.add_notes(words)
        elif answer.get("runs"):
            self.say(f"{' '.join(command)}: {outcome(answer['runs'], **options)}")
        if once and not self._task.check_mode:
            self.write("Record that it was done", done, "", "600")

    def begin_migration(self, title="", release=""):
        """Record that the release migrates the database, and which migration is under way, if one is."""
        self.write("Record which migration of the database is under way", self.place(MIGRATING),
                   f"{release or self.target['name']}\n{title}\n", "600")

    def place(self, name):
        """A path of ours on the node: of a product that is stopped as a whole, of the time in which all is down."""
        return f"{self.node['releases'] if self.tier else self.staged}/{name}"

    def migrated(self, title, words="done", store="", ran=()):
        """Have the report tell what was done to what the product keeps."""
        if not self._task.check_mode:
            known = self.so_far("schema").get("migrations", [])
            self.note_schema(migrations=[*known, dict(title=title, words=words, store=store, ran=list(ran))])

    def note_schema(self, **values):
        self.note(schema={**self.so_far("schema"), **values})

    def call_module(self, title, module, arguments):
        """What is no command: a module of the collection, which says itself what it has done."""
        answer = self.module(module, self.task_vars, title=title, **(arguments or {}))
        self.say(*answer.get("report") or [title])
        if answer.get("notes"):
            self.add_notes(*answer["notes"])

    def back_up(self, again=False):
        """Back up the database; once for each release, for a later run would keep a schema half-way."""
        name, mode = BACKUP
        path = self.place(name)
        if not again and self.exists(path, "Check for a backup"):
            self.note_schema(backup=self.restore_point())
            return
        dump = self.module("dump", self.task_vars, title="Back up the database", config=self.node["config"],
                           name=f"before-{self.target['version']}", **self.given["backup"])
        where = f"{dump['path']} on {self.name}"
        if self._task.check_mode:
            self.say(f"{where}: would be written")
            return
        self.say(f"{where}: {dump['verified']}", "To restore it:", dump["restore"])
        backup = {key: dump[key] for key in ("path", "restore")}
        if self.tier and self.begun_by()[0]:
            # It leads on, where the next migration is torn, and never back: the prior release may not work on it.
            backup["late"] = True
        self.write("Record the restore point", path, json.dumps(backup, indent=4, sort_keys=True) + "\n", mode)
        self.note_schema(backup=backup)

    # ---- a product that is stopped as a whole

    @contextmanager
    def rehearsing(self):
        """Call modules in check mode, also in a run that is none."""
        mode, self._task.check_mode = self._task.check_mode, True
        self.tries = not mode
        try:
            yield
        finally:
            self._task.check_mode, self.tries = mode, False

    def took(self, title, module, arguments, answer, *times):
        """What a trial would change is no change of this run; where the run is one itself, that is what it is for."""
        known = {key: value for key, value in answer.items() if not self.tries or key not in ("changed", "diff")}
        return super().took(title, module, arguments, known, *times)

    def ask_store(self, title, store, release, **arguments):
        """What the runner of migrations says of a store, by the Python of a release, with its migrations."""
        python = f"python{self.node['kind'].split(' ')[0]}"
        directory = f"{release}/{store['directory'].replace('{python}', python)}"
        return self.module("store_migrations", self.in_venv(release), title=title,
                           **{**store, "directory": directory, **arguments})

    def looked(self):
        """Whether the store can be migrated at all, as far as that is known before anything is staged."""
        try:
            self.look_at_stores()
        except Failed as exc:
            words = (f"Nothing was touched. {self.name}: the store cannot be migrated now: {exc}. Fix that, then run "
                     "the command again.")
            raise Failed(dict(exc.result, msg=words), exc.title) from exc
        return {}

    def look_at_stores(self):
        for phase in self.phases(store=True):
            store, active = phase["store"], self.node["release"]["path"]
            seen = self.ask_store("Check the store", store, active, state="reported", gone="warn", edited="warn")
            self.check(locked_words(seen["holder"]), "Check the store")
            if seen.get("interrupted"):
                self.say(f"warn  {interrupted_words(seen['interrupted'])}")
            if store["store"] == "etcd":
                self.look_at_etcd(store)
            if self.target.get("name") in self.node["staged"]:
                with self.rehearsing():
                    self.rehearse(phase["title"], store)
            else:
                self.say(f"{phase['title']}: {self.target.get('version')} is not staged yet, so its migrations are "
                         "listed when it is, before anything is stopped")

    def look_at_etcd(self, store):
        members = self.module("etcd_info", self.task_vars, title="Check etcd for alarms and room", **{
            key: store[key] for key in ("endpoints", "ca_file", "cert_file", "key_file", "timeout") if key in store})
        for member in members["members"]:
            self.check(etcd_problem(member), "Check etcd for alarms and room")

    def rehearsed(self):
        """Try the migrations on a copy before anything is stopped: one that cannot work stops nothing."""
        for phase in self.phases(store=True):
            if self._task.check_mode and self.target["name"] not in self.node["staged"]:
                continue
            with self.rehearsing():
                self.rehearse(phase["title"], phase["store"])
        self.forget_restore_point()
        if not self._task.check_mode and self.tier.get("mode") != REST and any(self.phases(store=False)):
            self.remove("Forget that an earlier run has migrated", f"{self.staged}/{MIGRATED}")
        return {}

    def writers(self):
        """The services that write to the database: those beside which its migrations run."""
        return {phase.get("where") or name for phase in self.wanted("migrate") if not phase.get("store")
                for name, dummy in self.services()}

    def forget_restore_point(self):
        """What writes to the database runs, or may have since somebody has removed what held it: a backup of an earlier
        run must not be restored any more."""
        if self._task.check_mode or self.tier.get("mode") == REST or not any(self.phases(store=False)):
            return
        writers = self.writers()
        if not any(one["active"] or not one.get("held") for name, one in self.services() if name in writers):
            return
        torn, names = self.begun_by()[1], " and ".join(sorted(writers))
        if torn:
            how = self.restore_point()["restore"] if self.has_backup() else "from your own backup"
            self.check(f"a run that was killed has begun this on {self.name}, and not ended it: {torn}. Nothing holds "
                       f"{names} any more, so the database may have been written to since, and is not restored by "
                       f"itself. Stop {names} on all nodes, and restore it: {how}. Where it is whole already, that is "
                       f"not needed. Then, on {self.name}: rm {self.place(MIGRATING)}", "Check for half a migration")
        # What has the new release by now was migrated, and that remains to be known.
        self.finish(RESTORING, BACKUP[0], *([] if self.has_begun() else [MIGRATING]))

    def begun_by(self):
        """The release that has begun to migrate the database since all went down, empty if none has, and the migration
        that it has begun and not ended: MariaDB cannot roll that back."""
        path = self.place(MIGRATING)
        if not self.exists(path, "Check whether the database was being migrated"):
            return "", ""
        release, dummy, title = self.read("Read which migration was begun", path).strip().partition("\n")
        # What the prior release has completed, it knows; that is from before all went down.
        known = not title and f"{self.node['releases']}/{release}" == self.prior and self.exists(
            f"{self.prior}/{MIGRATED}", "Check whether the prior release has completed its migrations")
        return ("", "") if known else (release, title)

    def has_backup(self):
        return self.exists(self.place(BACKUP[0]), "Check for the backup")

    def restore_point(self):
        """C(path) of the backup, the command to C(restore) it, and whether it is C(late), from after a migration."""
        return json.loads(self.read("Read the restore point", self.place(BACKUP[0])))

    def tried(self):
        """The same once more when nobody writes, before anything is written."""
        for phase in self.phases(store=True):
            if not self._task.check_mode:
                with self.rehearsing():
                    self.ask_store(f"{phase['title']}, on a copy", phase["store"], self.staged, state="migrated")
        return {}

    def rehearse(self, title, store):
        seen = self.ask_store(f"{title}, on a copy", store, self.staged, state="migrated")
        pending = [f"  {each['id']} ({each['proposed_at']}): {each['description']}" for each in seen["pending"]]
        self.check(f"services run {self.target['version']} already, and the store lacks its migrations "
                   f"{', '.join(each['id'] for each in seen['pending'])}: stop them on all nodes, then everything is "
                   "done in its order" if pending and self.tier.get("mode") == REST else "")
        edited = f"; edited since they were applied: {', '.join(seen['edited'])}" if seen.get("edited") else ""
        # Without one the store is not read, and its objects are not counted.
        lines = [f"{title}: 0 pending"] if not pending else [
            f"{title}: {len(pending)} pending, in this order:", *pending,
            f"  tried on a copy of {seen['objects']} objects: {counted(seen['changes'])}"]
        self.say(*lines[:-1], lines[-1] + edited)
        if edited:
            self.add_notes(f"{title}{edited}")

    def migrate_store(self, title, store):
        if self._task.check_mode:
            return
        # Until all nodes have agreed to start, what is written can be undone.
        seen = self.ask_store(title, store, self.staged, state="migrated", **(
            dict(keep=True) if store["store"] == "etcd" else {}))
        if seen["ran"] or seen.get("resumed"):
            self.remember(wrote=True)
        words = f"{', '.join(seen['ran'])}; {counted(seen['changes'])}" if seen["ran"] else "none was pending"
        if seen.get("resumed"):
            words += f"; what a killed run had left was {seen['resumed']}"
        self.say(f"{title}: {words}")
        self.migrated(title, words, store["store"], seen["ran"])

    def backed_up(self):
        """Dump the database while nobody writes; once for the time in which all is down."""
        backup = dict(self.given["backup"])
        self.given["backup"] = backup
        if not any(self.phases(store=False)) or not backup or (
                backup.pop("mode") == "never") or not backup["connection"]:
            return {}
        stopped = any(self.writers().intersection(node_of(self.hostvars, name, self.run_record).tier.get("stopped", []))
                      for name in self.task_vars["ansible_play_hosts_all"])
        if not stopped and not self._task.check_mode and not self.begin_anew():
            return {}  # a backup of half a migration leads back to nothing
        # What wrote until now has written since any backup of an earlier run.
        self.back_up(again=stopped)
        return {}

    def begun(self):
        """Of what comes next, and where this node is lost in it, nobody can tell how far it got."""
        if any(self.phases()) and not self._task.check_mode:
            self.remember(migrates=True)
        return {}

    def begin_anew(self):
        """Half of a database could pass for one that is only to be migrated, and half of a migration fails again.

        Gives whether the database is whole now.
        """
        restoring = self.exists(self.place(RESTORING), "Check whether a restore was interrupted")
        release, torn = ("", "") if restoring else self.begun_by()
        backup = bool(release) and self.has_backup()
        if torn and not backup:
            words = (f"no backup of the database is made: {release} has begun this, and not ended it: {torn}, and "
                     "there is none from before, so one of now would lead to nothing")
            self.warn(words)
            return False
        if restoring or torn or backup and release != self.target["name"]:
            why = f"for a killed run has begun this, and not ended it: {torn}" if torn else (
                f"for {release} has migrated it since" if release else "which a killed run had begun")
            self.say(f"The database was restored from {self.restore()}, {why}.")
        return True

    def undone(self):
        """Take back what migrations have left, and find out whether the prior release can work on what there is."""
        if self._task.check_mode:
            return {}
        try:
            for phase in self.phases(store=True):
                self.undo_store(phase["title"], phase["store"])
            if any(self.phases(store=False)) and self.begun_by()[0]:
                self.undo_database()
            if any(self.phases(store=False)) and "beyond" not in self.values.get("tier", {}):
                # What is started now writes.
                self.finish(BACKUP[0])
        except Failed as exc:
            self.remember(beyond=f"it is not known what the migrations have left ({told_of(exc.title, exc.result)})")
        return {}

    def undo_store(self, title, store):
        seen = self.ask_prior(title, store)
        # What the release before knows was there before this run: an earlier upgrade may have kept what would undo it.
        if seen["interrupted"] or seen["gone"]:
            undone = self.ask_store(f"{title}: undo what is half done", store, self.staged, state="restored",
                                    gone="warn")
            if undone.get("changed"):
                self.undid("What the migrations had written into the store was undone.")
            seen = self.ask_prior(title, store)
        if seen["gone"]:
            self.remember(beyond=f"the store was migrated ({', '.join(seen['gone'])}), and the release before cannot "
                                 "read it")

    def ask_prior(self, title, store):
        title = f"{title}: check whether the prior release knows what is in it"
        seen = self.ask_store(title, store, self.prior, state="reported", gone="warn")
        # Somebody else who migrates may write at any moment what the prior release, once started, cannot read.
        self.check(locked_words(seen["holder"]), title)
        return seen

    def undo_database(self):
        """Nobody has written since the backup was made, for all has been down since."""
        if not self.has_backup() or self.restore_point().get("late"):
            self.remember(beyond="the schema of the database may be migrated, in part or all of it, and there is no "
                                 "backup from before (schema_backup)")
            return
        self.write("Record that the database is being restored", self.place(RESTORING), "", "600")
        self.undid(f"The database was restored from {self.restore()}.")

    def restore(self):
        """Restore the database from the restore point; gives its file."""
        # A command that a killed run has left may still be at work.
        self.command("Wait until no command is at work on the database", [], "staged")
        point = self.restore_point()
        dump, late = point["path"], point.get("late")
        self.module("dump", self.task_vars, title="Restore the database from its backup", config=self.node["config"],
                    restore=dump, **{key: self.given["backup"][key] for key in ("connection", "directory")})
        if late:
            self.begin_migration(release=self.begun_by()[0])
        self.finish(RESTORING, *([] if late else [MIGRATING]))
        return dump

    def undid(self, words):
        self.remember(undone=[*self.so_far("tier").get("undone", []), words])

    def finish(self, *names):
        """The database is whole again, in one release or the other."""
        self.remove("Record that it is whole", *map(self.place, names))

    def whole(self):
        """Nothing may be started before this: no reader could tell a store that is half written."""
        for phase in self.phases(store=True):
            if not self._task.check_mode:
                self.ask_store("Check that the store is whole", phase["store"], self.staged, state="whole")
        return {}

    def committed(self):
        """All nodes have agreed to start, and nothing goes back any more: forget what would undo the migrations. Where
        some of it runs the release already, that may have been left by a run that was killed."""
        if self._task.check_mode:
            return {}
        for phase in self.phases(store=True):
            self.ask_store("Forget what would undo the migrations", phase["store"], self.staged, state="migrated")
        if any(self.phases(store=False)):
            self.write("Record that all migrations are complete", f"{self.staged}/{MIGRATED}", "", "600")
        return {}

    def settled(self):
        for phase in self.phases(store=True):
            if not self._task.check_mode:
                store, release = phase["store"], self.staged
                seen = self.ask_store("Check that no migration is left", store, release, state="reported")
                left = [each["id"] for each in seen["pending"]]
                self.check(f"expected the store to have all migrations of {self.target['version']}; it lacks "
                           f"{', '.join(left)}: has it been restored since? Stop all services and run the command again"
                           if left else "")
        return {}

    # ---- a product that is rolled service by service

    def orphans(self):
        """Remove them, and see that they are gone: the exit code of the command need not tell."""
        dead = self.run_record.plan.get("orphans") or []
        if dead:
            found = self.ask_product()
            alive = [f"{row['binary']} on {row['host']}" for row in found["services"]
                     if [row["binary"], row["host"]] in dead
                     and not is_silent(row, found["settings"].get("service_down_time", 0))]
            self.check(f"{', '.join(alive)} sends heartbeats again, and was to be removed as dead: add its node to the "
                       "inventory, or stop it" if alive else "", "Stop if a dead service is alive again")
        for binary, host in dead:
            self.command(f"Remove the dead service {binary} on {host}", [*self.given["remove"], binary, host], "active")
        if not dead or self._task.check_mode:
            return {}
        rows = self.ask_product()["services"]
        left = [f"{binary} on {host}" for binary, host in dead
                if any(row["binary"] == binary and row["host"] == host for row in rows)]
        self.check(f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} still on record after "
                   f"{' '.join(self.given['remove'])}: has it been started again?" if left else "",
                   "Stop if a dead service is still on record")
        return dict(removed=[f"{binary} on {host}" for binary, host in dead])
