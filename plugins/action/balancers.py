# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: find the balancers that a node is drained through, and judge their answers.
# state: found reports where each of them is asked. told fails if one has not set what it was asked to set, and records
# which have. asked records what each of them would answer to a drain, and never fails.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import (
    answers_of,
    balancers_of,
    drain_balancers,
    haproxy_of,
    problems_of,
    remembered,
    sightings_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._controller import ControllerAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import NODE_FACT, changed, node_of, plain
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import NOTED

DATA = dict(type="dict", default={})
ARGUMENTS = dict(
    state=dict(type="str", choices=["found", "told", "asked"], required=True),
    haproxy=DATA, nginx=DATA, apache=DATA, failure=dict(type="str", default=""),
)


class ActionModule(ControllerAction):
    """Answer one of the questions about the balancers; each is a method."""

    arguments = ARGUMENTS

    def answer(self, arguments, task_vars):
        self.name = task_vars["inventory_hostname"]
        self.record = node_of(task_vars["hostvars"], self.name)

        def get(name, default):
            return plain(self._templar.template(task_vars[name])) if name in task_vars else default
        self.settings = balancers_of(get)
        self.haproxy = haproxy_of(self.settings, get("cluster_node", {}).get("name") or self.name)
        return getattr(self, arguments["state"])(arguments)

    def noted(self, **values):
        return {"ansible_facts": {NODE_FACT: changed(self.record, **values)}}

    def found(self, given):
        """Without the address of HAProxy, which may have a password in it."""
        settings, decided = self.settings, drain_balancers(self.settings)
        haproxy = {key: self.haproxy[key] for key in ("backend", "server") if self.haproxy}
        return dict(haproxy=haproxy, haproxy_told=decided["haproxy"], elsewhere=bool(settings["haproxy_host"]),
                    haproxy_was=self.record.balancers.get("haproxy", {}).get("was", ""), nginx=names(settings["nginx"]),
                    apache=(names(settings["apache_hosts"]) or [self.name]) if settings["apache"] else [])

    def told(self, given):
        told, was = dict(self.record.balancers), given["haproxy"].get("was")
        if was is not None:
            told = remembered(told, self.haproxy, was)
        told.update({kind: True for kind in ("nginx", "apache") if answers_of(kind, given[kind])})
        problems = problems_of(given)
        if problems:
            return dict(failed=True, msg="; ".join(problems), **{NOTED: dict(balancers=told)})
        return self.noted(balancers=told)

    def asked(self, given):
        return self.noted(asked=dict(failure=given["failure"]) if given["failure"] else dict(
            haproxy=given["haproxy"], told=[sightings_of(kind, given[kind]) for kind in ("nginx", "apache")
                                            if self.settings[kind]]))
