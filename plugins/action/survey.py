# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the roles of this collection: products that are rolled service by service.
# state: seen looks at a node, judged judges the cluster and plans the roll, with the plan in the record of the run,
# shown makes the status of it, heard records what the services have complained of since the run began, verified fails
# if a service does not run the release.

import time

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.action.phase import POINTS
from ansible_collections.shakenfist.rolling.plugins.module_utils._readiness import OWN_FILE
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, haproxy_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._cluster import offsets_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import PLACE, node_of_packages, step_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import (
    NODE_FACT,
    RUN_FACT,
    changed,
    node_of,
    plain,
    playbook_command,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import (
    installed_on,
    judge_services,
    left_words,
    link_of,
    node_of_services,
    pinned_words,
    product_problem,
    services_of,
    silent_words,
    status_of_services,
    url_of,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._status import lock_words
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import LookingAction
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._tier import Tier

TEXT, NAMES, DATA = dict(type="str", default=""), dict(type="list", elements="str"), dict(type="dict", default={})
# For how many seconds a health check may fail, or a balancer be silent, before the preflight says so.
ANSWER_WITHIN = 5
SERVICES = dict(type="list", elements="dict", default=[], options=dict(
    name=dict(type="str", required=True), beats=dict(type="bool", default=True),
    idle=dict(type="bool", default=False), disable=dict(type="bool", default=False),
    away=dict(type="bool", default=False), drain=dict(type="bool", default=False),
    hup=dict(type="bool", default=False),
    killed=dict(type="str", choices=["fail", "warn"], default="fail"), answers=dict(type="dict", default={}),
    beside=dict(type="list", elements="str", default=[]), counts=dict(type="bool", default=True)))
PRODUCT = dict(distribution=TEXT, config=dict(type="raw"), releases=TEXT, links=TEXT, user=TEXT, info=TEXT,
               settings=DATA, health_path=TEXT, commands=NAMES, verify=dict(type="list", elements="str", default=[]),
               services=SERVICES, packages=DATA, api=dict(type="dict", default={}, no_log=True))
ARGUMENTS = dict(
    state=dict(type="str", choices=["seen", "judged", "shown", "heard", "verified"], required=True),
    product=dict(type="dict", default={}, options=PRODUCT), services=SERVICES, options=DATA, target=DATA,
    whole=dict(type="bool", default=False), complaints=TEXT, lock=DATA,
    phases=dict(type="dict", default={}, options=POINTS),
)


class ActionModule(LookingAction):
    """Look at nodes, and judge what was seen; each is a method."""

    arguments = ARGUMENTS
    tells_modules = False

    def prepare(self, task_vars):
        self.product = self.given.product
        self.services = services_of(self.given.services or self.product["services"])

    def seen(self):
        seen = dict(node={}, failure="", host={}, rotation={})
        self.noting(seen, self.see)
        if self.given.whole:
            self.check(seen["failure"])
            # What it was before the roll stays in its record, for the report.
            return dict(seen=seen)
        return dict(seen=seen, ansible_facts={NODE_FACT: changed(self.record, seen=seen, asked={}, unresolved="")})

    def see(self, seen):
        product = self.product
        self.check(product_problem(product))
        units = self.call("", "units_info", patterns=[one.name for one in self.services])
        if product.get("packages"):
            return self.see_packages(seen, units)
        here = installed_on(product, units["units"])
        self.check("" if here else f"it has none of the units {', '.join(one.name for one in self.services)}: take it "
                   "out of the inventory, or correct the group that rolling_group names")
        links = [link_of(product, name) for name in here]
        began = time.time()
        releases, host = self.several(
            self.task_vars,
            ("", "release_info", dict(path=links[-1], releases=product["releases"], links=links,
                                      distribution=product["distribution"], commands=product["commands"])),
            ("", "host_info", dict(path=links[-1], releases=product["releases"], reference=time.time())))
        seen["host"] = dict(host, clock_within=time.time() - began)
        address = self._templar.template(self.task_vars.get("ansible_host") or self.name)
        # Before the product itself is asked: a node of which that fails is known all the same.
        seen["node"] = node_of_services(product, self.name, address, releases, units, {})
        if not releases["problem"]:
            info = self.ask_product(product, links[-1])
            node = seen["node"] = node_of_services(product, self.name, address, releases, units, info)
            if not self.given.whole:
                seen["rotation"] = {one.name: self.in_rotation(node, one.name) for one in self.services
                                    if one.drain and self.serves(node, one.name)}
                seen["api"] = {one.name: self.through_the_api(node, one.name) for one in self.services
                               if one.disable and one.name in node["services"] and self.asks_the_api()}

    def see_packages(self, seen, units):
        """Look at a node whose release comes in packages."""
        step = step_of(self.product["packages"])
        info, began = self.call("", "packages_info", names=step["patterns"]), time.time()
        host = self.call("", "host_info", path=PLACE, releases=PLACE, reference=began)
        seen["host"] = dict(host, clock_within=time.time() - began)
        address = self._templar.template(self.task_vars.get("ansible_host") or self.name)
        node = node_of_packages(self.services, self.name, address, step, info, units)
        node["settings"] = dict(self.product["settings"])
        node["rehearsed"] = self._task.check_mode or self.run_record.kind == "plan"
        seen["node"] = node
        names = ", ".join(one.name for one in self.services)
        self.check("" if node["services"] else f"it has none of the units {names}: take it out of the inventory, or "
                   "correct the group that rolling_group names")
        if step["checks"]:
            node["settings_found"] = self.call("", "settings_files", checks=step["checks"])["found"]

    def asks_the_api(self):
        """A token that is no longer valid is nothing that is wrong with the cloud."""
        return self.product.get("api") and self.run_record.kind != "status"

    def through_the_api(self, node, service):
        """Why the API that is to disable a service would not, before anything is touched; empty if it answers."""
        answer = self.call("", "cinder_service", tolerated=True, state="seen", binary=service, timeout=ANSWER_WITHIN,
                           host=node["settings"].get("host", ""), **self.product["api"])
        return f"{service} could not be disabled: {answer['msg']}" if answer.get("msg") else ""

    @staticmethod
    def serves(node, service):
        found = node["services"].get(service)
        return bool(found) and found["active"] and not found["out"] and bool(node["settings"].get("port"))

    def in_rotation(self, node, service):
        """What is wrong with a service behind a balancer, before that is what its gate fails at: in words."""
        url, where = url_of(node, self.product["health_path"]), haproxy_of(balancers_of(self.setting), self.name)
        answer = self.call("", "ready_info", tolerated=True, urls=[url], timeout=ANSWER_WITHIN)
        found = [] if answer.get("ready") else [
            f"the health check of {service} fails: {answer.get('msg')}: see journalctl -u {service}, or, if it is "
            "elsewhere, set port and address in cluster_settings"]
        if where:
            said = self.call("", "haproxy_info", tolerated=True, expect="up", timeout=ANSWER_WITHIN,
                             address=where["address"], backend=where["backend"], servers=[where["server"]])
            found += [f"{service} in the balancer, asked from its node: {said['msg']}"] if said.get("msg") else []
        return found

    def ask_product(self, product, link):
        """What the product says itself; what its file says of it goes before that."""
        found = self.module(product["info"], self.in_venv(link), config=product["config"]) if product["info"] else {}
        settings = {**(found.get("settings") or {}), **product["settings"]}
        if product["settings"].get("disable_file"):
            path, title = settings["disable_file"], "Check whether its health check is made to fail"
            settings["shut"] = self.exists(path, title)
            settings["own"] = settings["shut"] and self.read(title, path).startswith(OWN_FILE)
        return dict(found, settings=settings)

    def heard(self):
        if not self.given.complaints:
            return
        found = self.call("", "journal_info", units=[one.name for one in self.services], since=self.run_record.began,
                          pattern=self.given.complaints)["found"]
        self.add_notes(*(f"{self.name}: {words}" for words in found))

    # ---- on the controller

    def judged(self):
        hostvars, given = self.hostvars, self.given.options
        run, play = self.run_record, list(self.task_vars["ansible_play_hosts_all"])
        records = {name: node_of(hostvars, name, run) for name in play}
        resolved = (plain(hostvars[name].get("stage_resolved") or {}) for name in play)
        target: dict = next(filter(None, resolved), {})
        problems = list(dict.fromkeys(record.unresolved for record in records.values() if record.unresolved))
        command = playbook_command(self.task_vars, run.playbook)
        if target:
            command += f" -e rolling_release={target['version']}"
        lacking, detection = dict(node={}, failure="", host={}), given.pop("detection", 0)
        tier = given.pop("tier", False)
        try:
            refusal, plan, lines, order = judge_services(
                {name: {**lacking, **record.seen} for name, record in records.items()}, self.services, target, problems,
                hidden=[name for name in run.nodes if name not in play], command=command,
                offsets=offsets_of({name: record.seen for name, record in records.items()}),
                waits=bool(detection or balancers_of(self.setting)["haproxy_address"]),
                planner=Tier(self.given.phases) if tier else None, **given)
        except AnsibleError as exc:
            refusal = str(exc)
        if refusal:
            return dict(failed=True, msg=refusal)
        return dict(report=lines, order=order, ansible_facts={RUN_FACT: changed(run, plan=dict(plan, began=run.began))})

    def shown(self):
        seen = {name: node_of(self.hostvars, name).seen for name in self.task_vars["ansible_play_hosts_all"]}
        lacking = dict(node={}, failure="it could not be checked", host={})
        lines, ill = status_of_services({name: one or lacking for name, one in seen.items()}, self.services,
                                        lock_words(self.given.lock if "words" in self.given.lock else {}),
                                        [name for name in self.run_record.nodes if name not in seen])
        return dict(report=lines, ill=ill)

    def verified(self):
        if self._task.check_mode:
            return
        nodes = {name: plain(self.hostvars[name].get("cluster_node") or {})
                 for name in self.task_vars["ansible_play_hosts_all"]}
        left = left_words(nodes, self.given.target)
        self.check("; ".join(left))
        # One whose run was killed before its gate passes for done: it runs the release, and may do nothing.
        dead = self.run_record.plan.get("dead") or []
        self.check("; ".join(words for node in nodes.values() for words in silent_words(node, self.services, dead)))
        pinned = pinned_words(nodes)
        self.check("; ".join(pinned))
        rpc = {row["binary"]: row["rpc"] for row in next(iter(nodes.values()))["records"]}
        return dict(rpc=rpc, schema=next(iter(nodes.values()))["schema"])
