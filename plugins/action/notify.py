# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: notify others of the start, the failure or the end of a roll.
# message: what has happened, event, and what is said of it in the place of what the run knows.
# webhook, extra, events: post the message, with the module C(webhook). textfile: write the metrics. Both from host.
# Whatever goes wrong is said, in words that hold no secret, and is no failure.

import os
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action.lock import myself
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._announce import EVENTS, message
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._ansible import become_nobody
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._metrics import metrics
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import written
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import said

TEXT = dict(type="str", default="")
ARGUMENTS = dict(
    message=dict(type="dict", required=True, options=dict(
        event=dict(type="str", choices=EVENTS, required=True), cluster=TEXT, playbook=TEXT, state=TEXT,
        words=TEXT, report=TEXT)),
    host=dict(type="str", required=True),
    webhook=dict(type="dict", default={}, no_log=True),
    extra=dict(type="dict", default={}, no_log=True),
    events=dict(type="list", elements="str", default=[]),
    textfile=TEXT,
)


class ActionModule(ActionBase):
    """Put what has happened into words, and send them to one receiver."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = dict(super().run(tmp, task_vars), changed=False)
        become_nobody(self)
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        given = dict(arguments["message"])
        found = Gatherer(task_vars["hostvars"], time.time(), task_vars["ansible_play_hosts_all"])
        found.now = found.run.ended or found.now  # the same in each notification
        given["playbook"] = given["playbook"] or (found.run.product or found.run.kind if found.plan else "roll")
        # Tasks run in processes that ansible-playbook forks.
        body = message(found, who=myself(os.getppid()), name=task_vars["inventory_hostname"], **given)
        send = self.write if arguments["textfile"] else self.post
        try:
            why = send(arguments, body, task_vars)
        except AnsibleConnectionFailure:
            why = f"{arguments['host']} cannot be reached"
        if why:
            what = (f"The metrics of the {given['event']} of the roll were not written to {arguments['textfile']} on "
                    f"{arguments['host']}" if arguments["textfile"] else
                    f"The webhook (tell_webhook_url) was not notified of the {given['event']} of the roll")
            self._display.display(said(f"{what}: {why}", task_vars["inventory_hostname"], self._task.get_name()))
        return result

    def post(self, arguments, body, task_vars):
        """Why the message was not posted; an empty string if it was, or was not to be."""
        if body["event"] not in arguments["events"]:
            return ""
        answer = self._execute_module(module_name="shakenfist.rolling.webhook", task_vars=task_vars, module_args=dict(
            arguments["webhook"], body={**body, **arguments["extra"]}))
        return answer.get("problem", f"the module has failed on {arguments['host']}")

    def write(self, arguments, body, task_vars):
        """Why the metrics were not written; an empty string if they were."""
        # The collector reads whatever ends in .prom, even half a file.
        answer = self._execute_module(module_name="ansible.legacy.command", task_vars=task_vars, module_args=written(
            arguments["textfile"], metrics(body), "0644"))
        why = answer.get("stderr") or answer.get("msg") or "the command has failed"
        return why.strip() if answer.get("failed") else ""
