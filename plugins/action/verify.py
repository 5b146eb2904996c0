# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: judge a node that was rolled.
# Fails, with what comes next, if the node does not run the release, or has daemons from before.
# With readiness, units and exceptions, what a second look has seen, fails if the node was fine at its gate and is not
# any more.

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verify import release_problem, second_look_problem

SEEN = dict(type="dict", default={})
ARGUMENTS = dict(
    node=dict(type="dict", required=True),
    version=dict(type="str", required=True),
    readiness=SEEN, units=SEEN, exceptions=SEEN,
    bake=dict(type="float", default=0),
    since=dict(type="float", default=0),
    path=dict(type="str", default=""),
    advice=dict(type="str", default=""),
)


class ActionModule(ControllerAction):
    """Judge a node that was rolled."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        given, said = arguments, {}
        name, node, version = task_vars["inventory_hostname"], given["node"], given["version"]
        if given["readiness"]:
            problem = second_look_problem(name, node, version, given["readiness"], given["units"], given["exceptions"],
                                          given["bake"], given["since"], given["path"], given["advice"])
        else:
            problem = release_problem(name, node, version)
            # Said as debug says it.
            said = dict(msg=f"{name} runs {version}", _ansible_verbose_always=True)
        return dict(said, failed=True, msg=problem) if problem else said
