# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Writes where ansible-playbook runs, as its user, without a task that could be sent to a node or need a become.

import json
import os
import tempfile
import time

from ansible_collections.shakenfist.rolling.plugins.action.lock import myself
from ansible_collections.shakenfist.rolling.plugins.modules.report import ARGUMENTS
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._page import html_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer, stamp
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import said
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import RUN_FACT, changed


def replace(path, text):
    """Write a file whole or not at all, with the mode that the user's other files have."""
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".rolling-report-")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


class ActionModule(ControllerAction):
    """Gather what is known, render it, write both files."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        result: dict = dict(path="", data="")
        try:
            if not self._task.check_mode:
                result.update(self.write(arguments, task_vars))
        except OSError as exc:
            result["warnings"] = [
                f"The report is not written to {exc.filename or arguments['directory']}, the run goes on: "
                f"{exc.strerror}. Set report_directory to a directory that you may write to."]
        except Exception as exc:
            result["warnings"] = [f"The report is not written, the run goes on: {type(exc).__name__}: {exc}"]
        if result["path"] and not arguments["data"]:
            self._display.display(said(f"The report: {result['path']}", task_vars["inventory_hostname"],
                                       self._task.get_name()))
        return result

    def write(self, arguments, task_vars):
        if arguments["data"]:
            return self.renew(os.path.abspath(os.path.expanduser(arguments["data"])))
        found = Gatherer(task_vars["hostvars"], time.time())
        if not found.is_worth_it():
            return {}
        # Tasks run in processes that ansible-playbook forks.
        mine = myself(os.getppid())
        data = found.report({key: mine[key] for key in ("user", "host", "run")})
        directory = os.path.abspath(os.path.expanduser(arguments["directory"]))
        os.makedirs(directory, exist_ok=True)
        name = os.path.join(directory, f"rolling-report-{stamp(data['began'])}")
        data["file"] = os.path.basename(name)
        replace(f"{name}.json", json.dumps(data, indent=1) + "\n")
        replace(f"{name}.html", html_of(data))
        return dict(path=f"{name}.html", data=f"{name}.json", verdict=data["verdict"],
                    ansible_facts={RUN_FACT: changed(found.run, report=f"{name}.html")})

    @staticmethod
    def renew(path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        page = f"{os.path.splitext(path)[0]}.html"
        replace(page, html_of(data))
        return dict(path=page, data=path, verdict=data["verdict"])
