# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: put the start, the failure or the end of a roll into what others are told.
# event: What has happened.

from __future__ import annotations

import os
import time

from ansible_collections.shakenfist.rolling.plugins.action.lock import myself
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._announce import message
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._metrics import metrics
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import RUN_FACT, changed

TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    event=dict(type="str", choices=["start", "failure", "end"], default="end"),
    cluster=TEXT, playbook=TEXT, condition=TEXT, message=TEXT, report=TEXT,
)


class ActionModule(ControllerAction):
    """Put what has happened into the words of others, once."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        found = Gatherer(task_vars["hostvars"], time.time(), task_vars["ansible_play_hosts_all"])
        event = arguments["event"]
        # A node that is taken out because another one has failed comes through the same rescue section, after it.
        if event == "failure" and event in found.run.told:
            return dict(due=False)
        # Tasks run in processes that ansible-playbook forks.
        body = message(found, event, myself(os.getppid()), cluster=arguments["cluster"],
                       playbook=arguments["playbook"] or (found.run.kind if found.plan else "roll"),
                       name=task_vars["inventory_hostname"], state=arguments["condition"],
                       words=arguments["message"], report=arguments["report"])
        return dict(due=True, body=body, metrics=metrics(body), ansible_facts={
            RUN_FACT: changed(found.run, told=[*found.run.told, event])})
