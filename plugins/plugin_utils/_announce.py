# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What others are told of a roll, from what is known of it.

from datetime import datetime, timezone

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import DONE, SERVICES, progress
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import already, spell
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import reboots_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import many

EVENTS = ["start", "failure", "end"]
# How much of a cause the one line for a chat takes; all of it is in a field of its own.
LIMIT = 300
# What is told of the requests that were watched.
WATCHED = ("requests", "failed", "excused", "longest_gap")
# What Slack, and those that do as it does, would take for markup; a bare < can call a whole channel.
MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def stamp(moment):
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def one_line(text, limit=0):
    line = " ".join(text.split())
    return line if not limit or len(line) <= limit else line[:limit].rpartition(" ")[0] + " ..."


def causes_of(found):
    """By node, what has failed there: in the roll, or in a step of all nodes."""
    return {name: one_line(f"{cause.step}: {cause.words}" if cause.step and not cause.stopped else cause.words)
            for name, cause in found.causes.items() if cause}


def sort_nodes(found, causes, stopped):
    """Each node of the run in one of four states."""
    over = [name for name in found.everybody if found.node(name)["result"] in DONE]
    # Who is asked to stop has not failed.
    failed = [] if stopped else list(causes)
    done = found.plan.get("done") or []
    due = [*(found.plan.get("order") or ([] if found.plan else over)),
           *(name for name in reboots_of(found.plan) if name in done)]
    return dict(done=[name for name in due if name in over and name not in failed], failed=failed,
                left=[name for name in due if name not in over and name not in failed],
                passed_over=[name for name in done if name not in due and name not in failed])


def headline(body, stopped, passed, services=()):
    """What, from, to, how many, who, and how long that took.

    :arg passed: what is said of the nodes that are passed over.
    :arg services: where these are counted, how many are done, and how many were to be.
    """
    nodes = body["nodes"]
    unit, (ready, count) = ("service", services) if services else ("node", (len(nodes["done"]), sum(
        len(nodes[state]) for state in ("done", "failed", "left"))))
    change = f"from {body['from']} to {body['release']}" if body["from"] != body["release"] else f"of {body['release']}"
    what = " ".join(word for word in (body["playbook"], change if body["release"] else "") if word)
    who = f", by {body['user']}" if body["user"] else ""
    took = f" after {spell(body['seconds'], 0)}" if "seconds" in body else ""
    watched = body.get("watched")
    suffered = f", {watched['failed']} of {watched['requests']} requests failed" if watched else ""
    if watched and watched["excused"]:
        suffered += f", {watched['excused']} excused"
    done = f", {ready} of {count} {unit}s done{suffered}{who}."
    if body["event"] == "start":
        over = f", {len(nodes['passed_over'])} {passed} already" if nodes["passed_over"] else ""
        return f"{what} begins: {many(count, unit)}{over}{who}."
    if body["event"] == "unchanged":
        count = len(nodes["passed_over"])
        return f"{what}: nothing to do, {many(count, 'node')} {'was' if count == 1 else 'were'} {passed} already{who}."
    if body["event"] == "end":
        return f"{what} is complete{took}{done}"
    if stopped:
        return f"{what} was stopped{took}{done}"
    where = f" on {', '.join(nodes['failed'])}" if nodes["failed"] else ""
    return f"{what} FAILED{where}{took}{done}"


def message(found, event, who, cluster="", playbook="", name="", state="", words="", report=""):
    """What is told of a roll, as fields and as one line.

    :param found: the C(Gatherer) of the run.
    :param name: the node that tells; of several failures its own is told in full.
    """
    causes = causes_of(found) if event == "failure" else {}
    stopped = any(cause.stopped for cause in found.causes.values() if cause)
    order = found.plan.get("order") or []
    # A node that a killed run has taken to the release is to come from none.
    came_from = ", ".join(dict.fromkeys(each for each in map(found.came_from, order) if each not in (
        "", found.target() if found.run.changes_release() else "")))
    body = dict(
        event="unchanged" if event == "end" and found.plan and not found.is_worth_it() else event,
        cluster=cluster, playbook=playbook, run=who.get("run", ""),
        user=f"{who['user']}@{who['host']}" if who else "",
        release=found.target(), **{"from": came_from or found.target()}, nodes=sort_nodes(found, causes, stopped),
        started=stamp(int(found.began)))
    told = found.told(name) if event == "failure" else dict(state=found.run.problem)
    if event != "start":
        outs = {each: found.node(each)["out"] for each in found.everybody}
        body.update(ended=stamp(int(found.now)), seconds=int(found.now) - int(found.began), out_of_rotation={
            each: round(out["seconds"], 1) for each, out in outs.items() if out and out["seconds"] is not None})
        state = state or told.get("state", "")
        if state:
            body["state"] = one_line(state)
        watched = (found.probe() or {}).get("since")
        if watched:
            body["watched"] = {key: watched[key] for key in WATCHED}
    if report or found.run.report:
        body["report"] = report or found.run.report
    services = progress(SERVICES, [*map(found.node, found.names)])[1:] if found.run.kind == SERVICES else ()
    passed = already(found.run.kind, body["release"])
    sentences = [f"{cluster}: " * bool(cluster) + headline(body, stopped, passed, services)]
    if event == "failure":
        words = words or told.get("text", "")
        # Of several nodes each says its own; what all say is said once.
        same = len(set(causes.values())) < 2
        cause = next(iter(causes.values()), "") if same else "; ".join(f"{each}: {causes[each]}" for each in causes)
        command = found.plan.get("command") or ""
        body.update(stopped=stopped, cause=cause or one_line(words), command=command, message=words.strip())
        short = one_line(body["cause"], LIMIT)
        if stopped:
            short = short[:1].upper() + short[1:]
        sentences += [short, body.get("state"), f"Next: `{command}`" if command else ""]
    else:
        sentences += [body.get("state")]
    text = " ".join(sentence if sentence[-1] in ".!?`:" else f"{sentence}." for sentence in sentences if sentence)
    return dict(text="".join(MARKUP.get(sign, sign) for sign in one_line(text)), **body)
