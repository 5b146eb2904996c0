# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Chooses the release among the wheels on the controller, lends them to the node while its pip is asked, and keeps here
# what the nodes will be given.

import base64
import os
import re
import tarfile
import tempfile

import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, explain_os_error
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import (
    digest_of_file,
    digests_in_tar,
    unpack_tar,
    write_tar,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import told
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._source import choose


def as_list(source):
    """A list as modules take it: also from one string, with commas, or as JSON, which -e NAME=VALUE leaves a string.

    :raises RollingError: where it is written as a list, and is none.
    """
    parts, text = source or [], source.strip() if isinstance(source, str) else ""
    if os.path.lexists(os.path.expanduser(text)):
        parts = [text]
    elif text.startswith("[") and text.endswith("]"):
        try:
            parts = yaml.safe_load(text)
        except yaml.YAMLError:
            parts = None
        if not isinstance(parts, list) or not all(isinstance(one, str) for one in parts):
            raise RollingError(f"stage_source is {text}, which is neither a path nor a list of paths: write "
                               "-e '{\"stage_source\": [\"PATH\", \"PATH\"]}', or -e stage_source=PATH,PATH")
    elif text:
        parts = text.split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def explain(exc):
    """What went wrong here on the controller, and what to do."""
    if isinstance(exc, RollingError):
        return exc.message
    if isinstance(exc, OSError):
        return f"on the machine that Ansible runs on: {explain_os_error(exc, C.DEFAULT_LOCAL_TMP)}"
    if isinstance(exc, tarfile.TarError):
        return f"the wheels that the node has built have arrived damaged ({exc}): start again"
    return (f"{type(exc).__name__} on the machine that Ansible runs on: {exc}. If you have changed nothing in "
            "stage_source meanwhile, it is a fault of the collection: report it with what ansible-playbook -vvv shows")


class ActionModule(ActionBase):
    """The module, with C(given), C(candidates) and C(built) filled in."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        result.update(self.resolve(dict(self._task.args), task_vars or {}))
        return result

    def resolve(self, arguments, task_vars):
        """What the module returns."""
        distribution, version = (str(arguments.get(name) or "") for name in ("distribution", "version"))
        given = None
        try:
            arguments["source"] = source = as_list(arguments.get("source"))
            given = choose(source, distribution, version) if source else None
            # It goes with this run, and its directory is nobody else's.
            with tempfile.TemporaryDirectory(prefix="wheels-", dir=C.DEFAULT_LOCAL_TMP) as place:
                answer = self.ask(arguments, given, place, task_vars)
        except AnsibleError:
            raise  # it has words of its own, and one of them is that the node cannot be reached
        except Exception as exc:
            answer = dict(failed=True, changed=False,
                          msg=f"cannot resolve {distribution} {version or '(the newest release)'}: {explain(exc)}")
        if given and given["left_out"]:
            answer["warnings"] = [*(answer.get("warnings") or []),
                                  *(f"stage_source: {words}" for words in given["left_out"])]
        return answer

    def ask(self, arguments, given, place, task_vars):
        """Run the module, with all that was given within its reach.

        :arg given: what C(choose) has chosen, or None.
        :arg place: a directory of our own on the controller.
        """
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        try:
            if given:
                archive = os.path.join(place, "given.tar")
                write_tar(given["files"], archive)
                arguments.update(version=given["version"], candidates=given["candidates"],
                                 given=self._connection._shell.join_path(folder, "given.tar"))
                self._transfer_file(archive, arguments["given"])
                self._fixup_perms2((folder, arguments["given"]))
            if not self._task.check_mode:
                arguments["built"] = self._connection._shell.join_path(folder, "built.tar")
            answer = told(self._execute_module(module_name="shakenfist.rolling.resolve_info", module_args=arguments,
                                               task_vars=task_vars))
            if answer.get("carried") and not self._task.check_mode:
                answer.update(self.keep(answer, given, arguments["built"], place, task_vars))
            return answer
        finally:
            self._remove_tmp_path(folder)

    def keep(self, answer, given, built, place, task_vars):
        """Pack what no index has into one tar file on the controller.

        :returns: where it is.
        """
        files = dict(given["files"]) if given else {}
        if answer["built"]:
            fetched = self._execute_module(module_name="ansible.legacy.slurp", module_args=dict(src=built),
                                           task_vars=task_vars)
            if fetched.get("failed"):
                return dict(fetched, msg=f"cannot fetch the wheels that were built: {words_of(fetched)}")
            archive = os.path.join(place, "built.tar")
            with open(archive, "wb") as handle:
                handle.write(base64.b64decode(fetched["content"]))
            unpack_tar(archive, digests_in_tar(archive), place)
            files.update({name: os.path.join(place, name) for name in answer["built"]})
        wanted = {package["sha256"] for package in answer["carried"]}
        files = {name: path for name, path in files.items() if digest_of_file(path) in wanted}
        host = re.sub(r"[^A-Za-z0-9.-]", "_", task_vars.get("inventory_hostname", "node"))
        archive = os.path.join(C.DEFAULT_LOCAL_TMP, f"{answer['name']}-{host}.tar")
        write_tar(files, archive)
        return dict(archive=archive)
