# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: bring a release to a node.
# state: packed has the host that the task is delegated to pack the wheels of the index that a node needs, and brings
# them to the controller. staged builds the release beside the running one. active makes it the active one.
# release: the directory to activate; that of the target if it is empty.
# carried: whether nodes get the wheels of the index over the controller; fetched is the tar file of them there, which
# packed has put into the directory wheelhouse.

import os

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import change_words, notes_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._staging import staging_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import StatesAction, skipped

TEXT = dict(type="str", default="")
DATA = dict(type="dict", required=True)
ARGUMENTS = dict(
    state=dict(type="str", choices=["packed", "staged", "active"], required=True), node=DATA, target=DATA,
    strategy=dict(type="str", choices=["clone", "in_place"], default="clone"), release=TEXT,
    carried=dict(type="bool", default=False), wheelhouse=TEXT, fetched=TEXT, index_url=TEXT,
    extra_args=dict(type="list", elements="str", default=[]),
    conflicts=dict(type="str", choices=["warn", "fail"], default="warn"),
)


class ActionModule(StatesAction):
    """What the modules do for it; each state is a method."""

    arguments = ARGUMENTS

    def prepare(self, task_vars):
        given = self.given
        self.node, self.target = given.node, given.target
        if self.target and not self.node.get("step"):
            self.plan = staging_of(self.node, self.target, given.strategy, given.carried)
            # In check mode nothing is brought, and nothing is installed from it.
            self.brought = self.plan.brought and not self._task.check_mode
            self.fetched = self.plan.fetched and not self._task.check_mode

    def packed(self):
        if not self.brought or not self.target["indexed"]:
            return skipped("the node needs no wheels of the index")
        packed = f"{self.plan.wheels}.tar"
        self.pack(packed)
        kind = self.node["kind"].replace(" ", "-")
        task = self._task.copy()
        task.args = dict(src=packed, flat=True, dest=os.path.join(self.given.wheelhouse,
                                                                  f"{self.target['name']}-{kind}.tar"))
        fetch = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.fetch", task=task, connection=self._connection, play_context=self._play_context,
            loader=self._loader, templar=self._templar, shared_loader_obj=self._shared_loader_obj)
        answer = self.kept(lambda: fetch.run(task_vars=self.task_vars), "Fetch the wheels")
        self.remove("Remove the wheels", packed)
        return dict(dest=answer["dest"])

    def fetch_packages(self):
        """Have all that the release needs on the node before anything is stopped."""
        step, name = self.node["step"], self.task_vars["inventory_hostname"]
        if not step["upgrade"]:
            return skipped("the node has its packages already")
        answer = self.module("packages", self.task_vars, title="Fetch the packages of the release", state="fetched",
                             **step["arguments"])
        self.say(f"{name}: {change_words(answer['changes'], done=False)}; {answer['download'] / 1e6:.2f} MB fetched")
        place = dict(path=f"{self.node['releases']}/{self.target['name']}", state="directory", mode="0700")
        self.kept(lambda: self._execute_module(module_name="ansible.legacy.file", module_args=place,
                                               task_vars=self.task_vars),
                  "Make a place for what the run keeps")
        self.note(notes=[*self.record.notes, *notes_of(name, answer)])
        return {}

    def staged(self):
        if self.node.get("step"):
            return self.fetch_packages()
        given, plan = self.given, self.plan
        if not plan.copied and not self.brought and not self.fetched:
            return skipped("there is nothing to be staged")
        if self.brought:
            self.bring(self.target["archive"], self.target["carried"])
            self.bring(given.fetched, self.target["indexed"])
        if self.fetched:
            self.fetch()
        if not plan.copied:
            return {}
        release = self.release("staged", name=self.target["name"], releases=self.node["releases"],
                               conflicts=given.conflicts, **self.locked(),
                               **(dict(scripts=self.node["scripts"]) if "scripts" in self.node else {}))
        if release.get("conflicts"):
            words = (f"{self.task_vars['inventory_hostname']}: with {self.target['version']} installed packages no "
                     f"longer fit together: {' '.join(release['conflicts'])} Upgrade these with the release "
                     "(stage_packages); -e stage_conflicts=fail refuses such a release")
            self.warn(words)
        if release.get("outdated"):
            self.warn(f"{self.name}: {self.target['name']} was staged before, and is used as it is. Of what was "
                      f"resolved now it has {'; '.join(release['outdated'])}. To have it staged anew, stop this run, "
                      f"remove it there with rm -r {release['release']}, and run the command again")
        # In place, pip needs them once more, when the release is activated.
        if self.brought and given.strategy == "clone":
            self.remove("Remove the wheels", plan.wheels)
        # One that is broken is found before anything is drained. Every start and stop of a sf-* daemon runs sf-ctl.
        if not self._task.check_mode and self.node.get("verify"):
            self.module("release_command", self.task_vars, title="Ask the staged release whether it accepts the "
                        "configuration of the node", release=release["release"], command=self.node["verify"],
                        user=self.node["user"], looks=True)
        elif not self._task.check_mode:
            self.module("ctl_info", self.task_vars, title="Ask the staged release whether it accepts the configuration "
                        "of the node", release=release["release"], config=self.node["config"])
        return dict(release=release["release"])

    def active(self):
        # A directory that is named, or is gone back to, is there.
        if self.given.strategy == "clone" or self.given.release or "lock" not in self.target:
            name = self.given.release or self.target["name"]
            return dict(release=self.release("active", name=name, releases=self.node["releases"])["release"])
        answer = self.release("in_place", title="Upgrade the virtualenv in place",
                              contents=self.target.get("contents") or "", **self.locked())
        if self.brought or self.fetched:
            self.remove("Remove the wheels", self.plan.wheels)
        return dict(release=answer["release"])

    def release(self, state, title="", **arguments):
        return self.module("release", self.task_vars, title=title, state=state, path=self.node["venv"],
                           distribution=self.node["distribution"], **arguments)

    def locked(self):
        """What pip is to install, and from where."""
        found = dict(self.pip(), version=self.target["version"], lock=self.target["lock"])
        if self.brought or self.fetched:
            found["wheelhouse"] = self.plan.wheels
        return found

    def pip(self):
        """The options of pip."""
        index = dict(index_url=self.given.index_url) if self.given.index_url else {}
        return dict(index, extra_args=self.given.extra_args)

    def fetch(self):
        """Have the node's pip fetch what comes from its index into the directory that it will install from."""
        packed = f"{self.plan.wheels}.tar"
        self.pack(packed)
        self.module("wheelhouse", self.task_vars, title="Unpack the wheels on the node", state="unpacked",
                    lock=self.target["indexed"], src=packed, dest=self.plan.wheels)
        self.remove("Remove the wheels", packed)

    def pack(self, path):
        """Have pip fetch the wheels of the index into a tar file."""
        self.module("wheelhouse", self.task_vars, title="Fetch the wheels of the index", state="packed",
                    lock=self.target["indexed"], dest=path, path=self.node["venv"], **self.pip())

    def bring(self, archive, lock):
        """Unpack a tar file of the controller on the node; nothing if there is none."""
        if not archive or not lock:
            return

        shell = self._connection._shell

        def transfer():
            if not shell.tmpdir:
                self._make_tmp_path()
            place = shell.join_path(shell.tmpdir, "wheels.tar")
            self._transfer_file(archive, place)
            self._fixup_perms2((shell.tmpdir, place), execute=False)
            return dict(place=place)

        answer = self.kept(transfer, "Copy the wheels to the node")
        self.module("wheelhouse", self.task_vars, title="Unpack the wheels on the node", state="unpacked", lock=lock,
                    src=answer["place"], dest=self.plan.wheels)
        self.kept(lambda: self._remove_tmp_path(shell.tmpdir) or {}, "Remove what was copied")
