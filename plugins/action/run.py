# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.modules.run import ARGUMENTS
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    NODE_FACT,
    RUN_FACT,
    Run,
    changed,
    node_of,
    run_of,
)


class ActionModule(ActionBase):
    """Begin the record of the run, or add to it."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = dict(super().run(tmp, task_vars), changed=False)
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        hostvars = task_vars["hostvars"]
        try:
            if arguments["state"] == "begun":
                facts = {RUN_FACT: dataclasses.asdict(Run(kind=arguments["kind"]))}
            else:
                facts = {}
                if arguments["run"]:
                    facts[RUN_FACT] = changed(run_of(hostvars), **arguments["run"])
                if arguments["node"]:
                    name = task_vars["inventory_hostname"]
                    facts[NODE_FACT] = changed(node_of(hostvars, name), **arguments["node"])
        except KeyError as exc:
            return dict(result, failed=True, msg=exc.args[0])
        return dict(result, ansible_facts=facts)
