# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: find out which release is the target.
# kind: what kind of run it is for, that of the record of the run if it is empty. A roll forwards asks pip of the node;
# what a rollback goes back to, and what a restart stays on, is known from the nodes.
# broken: what the lock tells of a run that was killed. Its release is the target where the operator names none.

from ansible_collections.shakenfist.rolling.plugins.action import resolve_info
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import target_of_step
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME, plain, run_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._staging import (
    active_on,
    continued,
    messages_of,
    running,
    target_of,
    unfinished,
    way_back,
)

LIST = dict(type="list", elements="str", default=[])
ARGUMENTS = dict(
    node=dict(type="dict", required=True), kind=dict(type="str", default=""), release=dict(type="str", default=""),
    source=dict(type="raw", default=[]), index_url=dict(type="str"), packages=LIST, extra_args=LIST,
    previous=dict(type="str", default=""), units=dict(type="raw"), broken=dict(type="dict", default={}),
)


class ActionModule(resolve_info.ActionModule):
    """The target of one node, and what there is to know of it."""

    def resolve(self, arguments, task_vars):
        given = plain(self.validate_argument_spec(argument_spec=ARGUMENTS)[1])
        hostvars, name, node = task_vars["hostvars"], task_vars["inventory_hostname"], given["node"]
        kind = given["kind"] or run_of(hostvars).kind
        if node.get("step"):
            try:
                return dict(target=target_of_step(node["step"], given["release"]), messages=[])
            except RollingError as exc:
                return dict(failed=True, msg=exc.message)
        seen = {each: plain(hostvars[each].get("cluster_node") or {}) for each in task_vars["ansible_play_hosts_all"]}
        try:
            if kind == "rollback":
                begun = unfinished(given["broken"], kind, given["previous"])
                return dict(target=way_back(name, seen, given["previous"] or begun), messages=continued(kind, begun))
            if kind in SAME:
                return dict(target=running(name, seen, given["units"]), messages=[])
        except RollingError as exc:
            return dict(failed=True, msg=exc.message)
        pip = {key: given[key] for key in ("source", "index_url", "packages", "extra_args") if given[key] is not None}
        pip.update(path=node["venv"], distribution=node["distribution"], running=active_on(seen.values()))
        begun = unfinished(given["broken"], "upgrade", given["release"] or given["source"])
        answer = super().resolve(dict(pip, version=given["release"] or begun), task_vars)
        notes = continued("upgrade", begun)
        if begun and answer.get("failed"):
            # It is on no index any more, for example: the newest one is what was asked for.
            notes = [f"A run that was killed led to {begun}, which cannot be resolved any more: this one goes to the "
                     f"newest release. {answer['msg']}"]
            answer = super().resolve(dict(pip, version=""), task_vars)
        if answer.get("failed"):
            return answer
        return dict(answer, target=target_of(answer, name), messages=notes + messages_of(answer, name))
