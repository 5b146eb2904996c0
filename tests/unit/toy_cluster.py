#!/usr/bin/env python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of hosts and guests for unit tests: one program, one file. It is as rough as Ganeti: it ends with 0 where
nothing was done, and with 1 where it was.

toy_cluster.py FILE COMMAND [ARGUMENT...]; the file has hosts, guests, jobs, tags, paused, and faults by command."""

from __future__ import annotations

import json
import sys
import time


class Cluster:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as handle:
            self.state = json.load(handle)
        self.hosts, self.guests = self.state["hosts"], self.state["guests"]

    def save(self):
        with open(self.path, "w", encoding="utf-8") as handle:
            json.dump(self.state, handle)

    def free(self, host):
        mine = sum(guest["size"] for guest in self.guests.values()
                   if guest["host"] == host and guest["state"] == "running")
        return self.hosts[host]["memory"] - mine

    def do(self, command, *arguments):
        fault = self.state["faults"].get(f"{command} {arguments[0] if arguments else ''}".strip(), {})
        if "sleep" in fault:
            time.sleep(fault["sleep"])
        if not fault.get("nothing"):
            getattr(self, command.replace("-", "_"))(*arguments)
            self.save()
        sys.stdout.write(fault.get("says", ""))
        return fault.get("code", 0)

    def list_hosts(self):
        for name, host in self.hosts.items():
            free = "*" if host.get("offline") else "?" if host.get("down") else str(self.free(name))
            sys.stdout.write("|".join([name, free, host.get("role", "C"), "NY"[bool(host.get("drained"))],
                                       "NY"[bool(host.get("offline"))], ",".join(host.get("tags", []))]) + "\n")

    def list_guests(self):
        # For so many looks a node answers late, and its guests pass for down.
        late = self.state.get("late", 0)
        self.state["late"] = max(0, late - 1)
        for name, guest in self.guests.items():
            if late:
                guest = dict(guest, state="ERROR_nodedown")
            sys.stdout.write("|".join([name, guest["host"], guest["state"], str(guest["size"]), guest.get("to", ""),
                                       ",".join(guest.get("tags", []))]) + "\n")

    def list_jobs(self):
        jobs = self.state["jobs"]
        for status, what in jobs:
            sys.stdout.write(f"{status}|{what}\n")
        # Each look sees a job less; the last one may have been that of an owner, who starts a guest.
        self.state["jobs"] = self.state["jobs"][1:]
        if len(jobs) == 1:
            for name, flags in self.state.pop("flags", {}).items():
                self.hosts[name].update(flags)
        if self.state.get("starts") and any(self.state["starts"] in what for dummy, what in jobs[:1]):
            self.guests[self.state.pop("starts")].update(state="running", size=50)

    def name(self):
        sys.stdout.write(self.state.get("name", "a") + "\n")

    def move(self, guest, to=""):
        one = self.guests[guest]
        roomy = [name for name, host in self.hosts.items() if name != one["host"] and not host.get("drained")
                 and not host.get("offline") and (one["state"] != "running" or self.free(name) >= one["size"])]
        one["host"] = to or one.get("to") or max(roomy, key=self.free)
        after = self.state["faults"].get(f"after {guest}")
        if after:
            one["state"] = after

    def remove(self, guest):
        del self.guests[guest]

    def tag(self, kind, name, tag):
        self.state[kind][name].setdefault("tags", []).append(tag)

    def untag(self, kind, name, tag):
        self.state[kind][name]["tags"].remove(tag)

    def flag(self, name, flag, value):
        self.hosts[name][flag] = value == "yes"
        if flag == "offline":
            self.hosts[name]["drained"] = value != "yes"

    def lead(self):
        for name, host in self.hosts.items():
            host["role"] = "M" if name == self.state["name"] else "C"

    def able(self, name):
        self.hosts[name]["role"] = "C"

    def mirror(self, guest):
        self.state.setdefault("mirrored", []).append(guest)

    def watcher(self, what, seconds=""):
        if what != "info":
            self.state["paused"] = time.time() + float(seconds) if what == "pause" else 0
        end = self.state["paused"]
        sys.stdout.write(f"is paused until {self.state.get('says') or time.ctime(end)}.\n" if end else
                         "is not paused\n")

    def cluster_tags(self):
        sys.stdout.write("".join(f"{tag}\n" for tag in self.state["tags"]))

    def cluster_tag(self, tag):
        self.state["tags"].append(tag)

    def cluster_untag(self, tag):
        self.state["tags"].remove(tag)

    def verify(self):
        sys.stdout.write(self.state.get("verify", ""))


if __name__ == "__main__":
    sys.exit(Cluster(sys.argv[1]).do(*sys.argv[2:]))
