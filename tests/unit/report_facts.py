# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a roll records, of as many nodes as a test wants.

from __future__ import annotations

NIGHT = 1795233182.0  # 2026-11-21T03:53:02Z
COMMAND = "ansible-playbook -i cluster.yml shakenfist.rolling.upgrade -e rolling_release=0.8.1"
RUN = "1f2e3d4c"
WHO = dict(user="alice", host="admin", run="1a2b3c4d")
RESTORE = "mariadb --host 10.0.0.9 --user shakenfist --password shakenfist < /srv/shakenfist/backups/before-0.8.1.sql"


def entry(step, began, seconds, module="x", changed=True, **details):
    return dict(step=step, began=began, ended=began + seconds, module=module, changed=changed, details=details)


class Facts:
    """The variables of the hosts, as a run fills them; C(run) and C(nodes) are its records."""

    def __init__(self, count=3, command=COMMAND):
        self.names = [f"sf-{number}" for number in range(1, count + 1)]
        self.now = NIGHT
        tier = self.names[:1 if count < 3 else 2]
        self.plan = dict(order=list(self.names), done=[], schema=tier, database=tier, serving=list(self.names),
                         leader=self.names[-1], command=command, report=[])
        self.tier, self.hosts, self.nodes = tier, {}, {}
        for name in self.names:
            self.add(name)
        self.run = dict(id=RUN, kind="upgrade", began=NIGHT, plan=self.plan)
        self.hosts["localhost"] = {"ansible_facts": {"rolling_run": self.run}}

    def add(self, name, version="0.8.0"):
        self.nodes[name] = dict(run=RUN, seen={"node": {"release": {"version": version}}}, timeline=[])
        self.hosts[name] = {"ansible_facts": {"rolling_node": self.nodes[name]}, "stage_resolved": {"version": "0.8.1"}}

    def fail(self, name, step, words, text, state="", **cause):
        """Let a node have failed, in its roll or, without a step, in one of all nodes."""
        serves = cause.pop("serves", False)
        self.nodes[name].update(cause=dict(dict(step=step, words=words, at=self.now), **cause),
                                failure=dict(text=text, state=state, serves=serves))

    def note(self, name, *args, **details):
        self.nodes[name]["timeline"].append(entry(*args, **details))

    def all(self, step, seconds):
        """A step of all nodes, each a little slower than the one before."""
        for number, name in enumerate(self.names):
            self.note(name, step, self.now, seconds * (1 - number / (2 * len(self.names))))
        self.now += seconds + 0.2

    def begin(self):
        self.all("preflight", 3.0)
        self.all("stage", 11.0)
        first = self.names[0]
        self.note(first, "schema", self.now, 1.4, module="dump", path="/srv/shakenfist/backups/before-0.8.1.sql",
                  size=182044, verified="complete, and restored into a scratch schema")
        self.note(first, "schema", self.now + 1.6, 0.8, module="schema", widened=["objects.state"], tables=[
            dict(table="notes", before=1, after=2), dict(table="nodes", before=1, after=1),
            dict(table="audit", before=None, after=1)])
        for name in self.tier:
            self.nodes[name]["schema"] = dict(moved=True, changed=True, backup={})
        self.nodes[first]["schema"]["backup"] = dict(path="/srv/shakenfist/backups/before-0.8.1.sql", restore=RESTORE)
        self.now += 3.0

    def take(self, name, settle=10.0, drain=5.7, until="settle"):
        """Take a node as far as a step."""
        at, peers = self.now, max(len(self.names) - 1, 0)
        if peers:
            self.note(name, "quorum", at, 0.4, module="ready_info", changed=False, minimum=peers, count=peers)
        at += 0.7
        self.note(name, "drain", at, drain, module="drain", was_ready=True, stopped_after=drain - 0.2)
        at += drain + 0.2
        if until == "drain":
            return at
        self.note(name, "activate", at, 0.3, module="release")
        at += 0.5
        if name in self.tier:
            self.note(name, "restart", at, 1.3, module="units", units={"sf-database": 1.0}, tiers=[["sf-database"]])
            self.note(name, "restart", at + 1.4, 0.3, module="grpc_health_info", changed=False, serving=True)
            at += 1.9
        if until == "restart":
            return at
        self.note(name, "restart", at, 1.7, module="units",
                  tiers=[["sf-privexec", "sf-nodelock"], ["sf-api", "sf-net"], []],
                  units={"sf-privexec": 0.4, "sf-nodelock": 0.3, "sf-api": 0.6, "sf-net": 0.9})
        at += 1.9
        self.note(name, "gate", at, 4.1, module="ready_info", changed=False, ready=True)
        at += 4.4
        if name != self.names[-1]:
            self.note(name, "settle", at, settle, module="ready_info", changed=False)
            at += settle + 0.3
        self.nodes[name]["rolled"] = True
        self.now = at
        return at

    def finish(self):
        self.all("verify", 11.0)
        return self

    def rolled(self):
        """A roll that went well."""
        self.begin()
        for name in self.names:
            self.take(name)
        return self.finish()

    def stopped(self, want="stop", reason="we go on tomorrow"):
        """A roll that an operator stops before its last node."""
        self.begin()
        for name in self.names[:-1]:
            self.take(name)
        name, since = self.names[-1], self.now - 20
        asked = f"bob@desk asked for that at 2026-11-21 03:53:50 UTC (20 s ago): {reason}"
        words = f"the roll was asked to {want}: {asked}"
        request = dict(want=want, user="bob", host="desk", since=since, reason=reason, words=asked)
        self.fail(name, "Renew the lock", words, f"Before {name}: {words}\nNot touched: {name}.\n{COMMAND}",
                  stopped=True, request=request)
        self.now += 1
        return self

    def broken(self):
        """A roll of which the second node fails in its restart, and returns to service."""
        self.begin()
        self.take(self.names[0])
        name = self.names[1]
        at = self.take(name, until="restart")
        words = ("expected sf-net to start; it is activating (auto-restart), result exit-code, status 1, restarted by "
                 "systemd 1 times. Its last words:\nsf-net: <config> & \"mesh\" address is missing")
        rest = (f"{name} went back to 0.8.0. It serves, every worker is ready.\nNot touched: sf-3.\n"
                f"Next: look at journalctl -u sf-net -n 50 on {name}, and fix the cause.\n"
                f"Then run the command again, with the options that you gave it and this release:\n{COMMAND}\n"
                "It passes over finished nodes and continues with this one.")
        step = "Restart the daemons that others order after, then the others"
        self.fail(name, step, words, f"{name}: {step}: {words}\n{rest}", serves=True,
                  timing=dict(step="restart", began=at, ended=at + 2.5))
        self.nodes[name].update(restored="went back to 0.8.0")
        self.nodes[name]["cause"]["at"] = at + 2.6
        self.note(name, "restore", at + 2.8, 0.4, module="release_info", changed=False)
        self.note(name, "restore", at + 3.4, 0.3, module="release")
        self.note(name, "restore", at + 3.9, 4.4, module="ready_info", changed=False)
        self.now = at + 9.5
        return self

    def services(self, failed=True):
        """A roll of services that fails on the second one of sf-1; sf-3 runs the release already."""
        unit = dict(active=True, managed=True)
        for name in self.names:
            self.nodes[name]["seen"]["node"]["services"] = {
                "scheduler": unit, "volume": dict(unit, active=False, managed=name != "sf-2")}
        self.run.update(kind="services", product="Cinder")
        self.plan.update(order=self.names[:2], done=self.names[2:], services={
            name: ["scheduler", "volume"] for name in self.names[:2]})
        for number, name in enumerate(self.names[:2]):
            began = NIGHT + 20 * number
            self.note(name, "drain", began, 1.0)
            self.nodes[name]["services"] = {"scheduler": dict(began=began, ended=began + 6)}
        self.nodes["sf-1"]["services"]["volume"] = dict(began=NIGHT + 40, ended=NIGHT + 52, failed=failed)
        self.now = NIGHT + 60
        if failed:
            self.fail("sf-1", "Gate", "no heartbeat", "volume on sf-1: Gate: no heartbeat")
        else:
            self.nodes["sf-2"]["services"]["volume"] = {}
            for name in self.names[:2]:
                self.nodes[name]["rolled"] = True
        return self

    def as_a_whole(self, back=False, held=False):
        """A product that is stopped as a whole: two services on each of two nodes; the third has the passive one of a
        pair, too.

        :arg back: whether its migration fails, so that all go back.
        :arg held: whether a run that was killed has left all of it down.
        """
        unit = dict(active=not held, managed=True, held="active" if held else "")
        for name in self.names:
            self.nodes[name]["seen"]["node"]["services"] = {
                "agent": unit, "server": dict(unit, active=False, managed=False, held="") if name == "sf-3" else unit}
        self.run.update(kind="tier", product="Dragonflow")
        self.plan.update(services={name: ["agent", "server"] for name in self.names}, schema=[], leader="")
        self.all("preflight", 2.0)
        self.note("sf-1", "schema", self.now, 0.8, module="store_migrations", changed=False)
        self.now += 1.0
        for number, service in enumerate(("server", "agent")):
            for place, name in enumerate(self.names):
                at = self.now + number * 4 + place / 10
                self.note(name, "stop", at, 2.0, module="standstill", stopped=[service])
                self.nodes[name].setdefault("services", {})[service] = {} if held else dict(began=at)
        self.now += 8
        for name in self.names:
            self.note(name, "activate", self.now, 1.0, module="release")
            self.note(name, "reconfigure", self.now + 1.2, 1.8, module="hook", changed=False)
            self.nodes[name]["tier"] = dict(stopped=["server", "agent"])
        self.note("sf-1", "schema", self.now + 3.2, 6.0, module="store_migrations")
        self.nodes["sf-1"]["schema"] = dict(
            backup=dict(path="/srv/dragonflow/backups/before-5.0.0.sql", restore=RESTORE),
            migrations=[dict(title="Migrate Neutron's database", words="done", store="", ran=[]),
                        dict(title="Migrate the north-bound database", store="etcd", ran=["mtu", "qos"],
                             words="mtu, qos; lport 328 updated")])
        self.nodes["sf-1"]["tier"]["wrote"] = True
        self.now += 10
        if back:
            self.fail("sf-1", "Migrate", "no such column", "sf-1: Migrate: no such column", serves=True,
                      timing=dict(step="schema", began=self.now - 1.5, ended=self.now - 0.5))
            self.nodes["sf-1"]["tier"]["undone"] = ["The database was restored from /srv/x.sql."]
        for number, service in enumerate(("agent", "server")):
            for name in self.names:
                at = self.now + number * 5
                self.note(name, "restore" if back else "start", at, 3.0, module="standstill", started=[service])
                self.nodes[name]["services"][service]["ended"] = at + 4.0
        for name in self.names:
            self.nodes[name].update(dict(restored="went back to 0.8.0") if back else dict(rolled=True))
            self.nodes[name]["tier"].update(dict(back="0.8.0") if back else dict(started=True))
        self.now += 10
        return self if back else self.finish()

    def reboot(self, name, up=True):
        """Reboot a node at the end, after which its services are seen to run again, or are not."""
        self.note(name, "restart", self.now, 4.0, module="boot_info")
        if up:
            self.note(name, "gate", self.now + 4.2, 1.0, module="standstill")
        self.now += 5.5

    def only_reboots(self, *names):
        """What a run that was killed before its reboots has left."""
        self.as_a_whole()
        self.now = NIGHT
        for record in self.nodes.values():
            record.update(timeline=[], services={}, tier={}, schema={}, rolled=False)
            record["seen"]["node"]["release"]["version"] = "0.8.1"
        self.plan.update(order=[], done=list(self.names), services={}, tier=dict(reboots=list(names)))
        self.all("preflight", 2.0)
        return self

    def host_by_host(self):
        """Hosts that are emptied and rebooted, without another release."""
        self.run.update(kind="hosts", product="Ganeti")
        self.plan.update(schema=[], leader="")
        for name in self.names:
            self.hosts[name].pop("stage_resolved")
            self.nodes[name]["seen"]["node"].pop("release")
            for step in ("quorum", "drain", "restart", "gate", "settle"):
                self.note(name, step, self.now, 4.0, module="evacuation")
                self.now += 4.5
            self.nodes[name]["rolled"] = True
        return self.finish()

    def probed(self, failed=()):
        """A watcher that saw requests fail in these seconds from the begin on."""
        seconds = int(self.now - NIGHT) + 20
        lost = [failed.count(second - 15) for second in range(seconds)]
        count = dict(requests=5 * seconds, failed=len(failed), excused=0, late=0.0, longest_gap=0.24, p50=2.1,
                     p99=42.3, worst=503.1)
        self.run["watch"] = dict(started=True, begun=True, seen=dict(
            count, urls=["http://api.example.org/api/"], seen=self.now,
            before=dict(count, name="before", requests=300, failed=0, p99=3.8, worst=12.4),
            since=dict(count, name="since"),
            failures=[dict(time=NIGHT + second, words="HTTP 503 after 0.01 s on a fresh connection", excused=False)
                      for second in failed],
            series=dict(at=NIGHT - 15, step=1, good=[5 - each for each in lost], failed=lost)))
        return self
