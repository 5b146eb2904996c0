# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import spell
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import many

# How much of a cause the one line for a chat takes; all of it is in a field of its own.
LIMIT = 300
# What is told of the requests that were watched.
WATCHED = ("requests", "failed", "longest_gap")
# What Slack, and those that do as it does, would take for markup; a bare < can call a whole channel.
MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def stamp(moment):
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def one_line(text, limit=0):
    line = " ".join(text.split())
    return line if not limit or len(line) <= limit else line[:limit].rpartition(" ")[0] + " ..."


def causes_of(hosts):
    """By node, what has failed there: in the roll, or in a step of all nodes."""
    causes = {}
    for host in hosts:
        cause = host.get("roll_cause") or {}
        if cause:
            causes[host["inventory_hostname"]] = one_line(
                cause["words"] if cause.get("stopped") else f"{cause['step']}: {cause['words']}")
        elif host.get("finish_cause"):
            causes[host["inventory_hostname"]] = one_line(host["finish_cause"])
    return causes


def out_of_rotation(timeline):
    """Seconds from the begin of the drain to the end of the last gate."""
    drained = [entry["began"] for entry in timeline or () if entry["step"] == "drain"]
    gated = [entry["ended"] for entry in timeline or () if entry["step"] == "gate"]
    return round(gated[-1] - drained[0], 1) if drained and gated else None


def sort_nodes(hosts, plan, causes, stopped):
    """Each node of the run in one of four states."""
    rolled = [host["inventory_hostname"] for host in hosts if host.get("roll_rolled")]
    # Who is asked to stop has not failed.
    failed = [] if stopped else list(causes)
    order = plan.get("order") or rolled
    return dict(done=[name for name in order if name in rolled and name not in failed], failed=failed,
                left=[name for name in order if name not in rolled and name not in failed],
                passed_over=[name for name in plan.get("done") or () if name not in failed])


def headline(body, stopped):
    """What, from, to, how many, who, and how long that took."""
    nodes = body["nodes"]
    count = len(nodes["done"]) + len(nodes["failed"]) + len(nodes["left"])
    change = f"from {body['from']} to {body['release']}" if body["from"] != body["release"] else f"of {body['release']}"
    what = " ".join(word for word in (body["playbook"], change if body["release"] else "") if word)
    who = f", by {body['user']}" if body["user"] else ""
    took = f" after {spell(body['seconds'], 0)}" if "seconds" in body else ""
    watched = body.get("watched")
    suffered = f", {watched['failed']} of {watched['requests']} requests failed" if watched else ""
    done = f", {len(nodes['done'])} of {count} nodes done{suffered}{who}."
    if body["event"] == "start":
        passed = f", {len(nodes['passed_over'])} on it already" if nodes["passed_over"] else ""
        return f"{what} begins: {many(count, 'node')}{passed}{who}."
    if body["event"] == "unchanged":
        count = len(nodes["passed_over"])
        return f"{what}: nothing to do, {many(count, 'node')} {'was' if count == 1 else 'were'} on it already{who}."
    if body["event"] == "end":
        return f"{what} is complete{took}{done}"
    if stopped:
        return f"{what} was stopped{took}{done}"
    where = f" on {', '.join(nodes['failed'])}" if nodes["failed"] else ""
    return f"{what} FAILED{where}{took}{done}"


def tell_message(hosts, event, plan=None, lock=None, cluster="", playbook="", state="", words="", report="",
                 watched=None, now=None):
    """What is told of a roll, as fields and as one line."""
    hosts, plan, lock = list(hosts), plan or {}, lock or {}
    now = int(time.time() if now is None else now)
    began = int(float(plan.get("began") or now))
    causes = causes_of(hosts) if event == "failure" else {}
    stopped = any((host.get("roll_cause") or {}).get("stopped") for host in hosts)
    target = next((host["stage_resolved"]["version"] for host in hosts
                   if (host.get("stage_resolved") or {}).get("version")), "")
    order = plan.get("order") or []
    before = [((host.get("preflight_seen") or {}).get("node") or {}).get("release") or {} for host in hosts
              if host["inventory_hostname"] in order]
    came_from = ", ".join(dict.fromkeys(release["version"] for release in before if release.get("version")))
    body = dict(
        event="unchanged" if event == "end" and plan and not order else event,
        cluster=cluster, playbook=playbook, run=lock.get("run", ""),
        user=f"{lock['user']}@{lock['host']}" if lock else "",
        release=target, **{"from": came_from or target}, nodes=sort_nodes(hosts, plan, causes, stopped),
        started=stamp(began))
    if event != "start":
        times = {host["inventory_hostname"]: out_of_rotation((host.get("ansible_facts") or {}).get("rolling_timeline"))
                 for host in hosts}
        body.update(ended=stamp(now), seconds=now - began,
                    out_of_rotation={name: seconds for name, seconds in times.items() if seconds is not None})
        if state:
            body["state"] = one_line(state)
        if watched:
            body["watched"] = {key: watched[key] for key in WATCHED}
    if report:
        body["report"] = report
    sentences = [f"{cluster}: " * bool(cluster) + headline(body, stopped)]
    if event == "failure":
        # Of several nodes each says its own; what all say is said once.
        same = len(set(causes.values())) < 2
        cause = next(iter(causes.values()), "") if same else "; ".join(f"{name}: {causes[name]}" for name in causes)
        command = plan.get("command") or ""
        body.update(stopped=stopped, cause=cause or one_line(words), command=command, message=words.strip())
        short = one_line(body["cause"], LIMIT)
        if stopped:
            short = short[:1].upper() + short[1:]
        sentences += [short, body.get("state"), f"Next: `{command}`" if command else ""]
    else:
        sentences += [body.get("state")]
    text = " ".join(sentence if sentence[-1] in ".!?`:" else f"{sentence}." for sentence in sentences if sentence)
    return dict(text="".join(MARKUP.get(sign, sign) for sign in one_line(text)), **body)


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"tell_message": tell_message}
