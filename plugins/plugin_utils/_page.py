# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The report of a run as a page: one file of HTML, well-formed XML, with its pictures in it and nothing from elsewhere.

import itertools
import os
import re
import time

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import (
    BY_SERVICE,
    HOSTS,
    SAME,
    SERVICES,
    TIER,
    progress,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._rollout import OF_A_NODE, printable, spell
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import many
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = os.path.join(os.path.dirname(__file__), "..", "..", "roles", "run", "templates")
# Seconds between two marks of the time axis: the first interval that needs no more marks than this.
MARKS = 7
INTERVALS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
# Heights in pixels: the curve and what is above it, the strip of failed requests, the axis, a lane and its bar.
GAP = 20
CURVE = 84
STRIP = 38
AXIS = 22
LANE = 24
BAR = 14
# A pause takes at most this many percent of the time that the rest takes.
PAUSE = 5.0
WORDS = {"quorum": "wait for the others", "restore": "return to service", "stage": "staging"}
# How a product is upgraded, and what its times are from and to. Shaken Fist itself is none of these.
WAYS = {SERVICES: "service by service", HOSTS: "host by host", TIER: "stopped as a whole"}
OUT = {
    SERVICES: "A service counts as out of service from the start of its drain until it was seen to serve again.",
    HOSTS: "The number beside a lane is the time out of service, from the start of the drain, which empties the host, "
           "to the end of the gate: it has rebooted, is whole, and may get guests again. In settle its guests return.",
    TIER: "A service counts as down from the start of its stop until it was seen to serve again."}
OF_NODES = ("The number beside a lane is the time out of rotation, from the start of the drain to the end of the gate. "
            "In a restart, the inner bars are its tiers, one after the other.")
GATED = (" A node that was restarted passes the gate once it is ready and all its daemons run; then, in settle, it "
         "must stay so while the balancer marks it up.")
# Of what was down already when the run began nobody knows here for how long.
BEFORE = ", and before this run"
# What all nodes do together, in colours of its own.
OF_ALL = ("preflight", "stage", "schema", "verify")


def utc(moment, form="%H:%M:%S"):
    return time.strftime(form, time.gmtime(moment))


def brief(seconds):
    return "" if seconds is None else spell(seconds, 0 if seconds >= 99.95 else 1)


def whole(text):
    """Text whose lines break between words only: a browser would also break behind the hyphens of an option."""
    word = Markup('<span class="word">{}</span>')
    return Markup("").join(part if part.isspace() else word.format(part) for part in re.split(r"(\s+)", text) if part)


def clean(value):
    """Text without what no XML may have."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return printable(value) if isinstance(value, str) else value


class Axis:
    """Where moments are, in percent of the width. A long pause of the whole roll is shortened."""

    def __init__(self, began, ended, pauses=()):
        self.cuts = [(max(begin, began), min(end, ended)) for begin, end in pauses if end > began and begin < ended]
        self.began, self.ended = began, max(ended, began + 1)
        paused = sum(end - begin for begin, end in self.cuts)
        busy = max(self.ended - self.began - paused, 1)
        # Of what is left for the roll itself, a pause takes so much at most.
        self.share = min(1.0, PAUSE / 100 * busy * len(self.cuts) / paused) if paused else 1.0
        self.length = busy + paused * self.share

    def at(self, moment):
        moment = min(max(moment, self.began), self.ended)
        skipped = sum(max(0, min(end, moment) - begin) for begin, end in self.cuts) * (1 - self.share)
        return round(100 * (moment - self.began - skipped) / self.length, 3)

    def span(self, began, ended):
        x = self.at(began)
        return dict(x=x, width=round(self.at(ended) - x, 3))

    def marks(self):
        """The moments that are named: round ones, and none in a pause that is shortened."""
        step = next((each for each in INTERVALS if self.length / each <= MARKS), INTERVALS[-1])
        form = "%H:%M:%S" if step < 60 else "%H:%M"
        moment = self.began - self.began % step + step
        marks: list[dict] = []
        while moment < self.ended:
            hidden = self.share < 1 and any(begin <= moment <= end for begin, end in self.cuts)
            if not hidden and (not marks or self.at(moment) - marks[-1]["x"] >= 100 / MARKS / 2):
                marks.append(dict(x=self.at(moment), words=utc(moment, form)))
            moment += step
        return [mark for mark in marks if mark["x"] <= 97]


def bars_of(axis, steps, top, of_all=False):
    """Each step as a bar; a step with parts as these, and what is around them."""
    bars = []
    for step in steps:
        name = step["step"]
        words = f"{WORDS.get(name, name)} {brief(step['seconds'])}"
        kind = "failed" if step["result"] == "failed" else "all" if of_all and name not in OF_ALL else name
        bars.append(dict(axis.span(step["began"], step["ended"]), y=top, height=BAR, kind=kind,
                         words=f"{words}, failed" if kind == "failed" else words,
                         label=WORDS.get(name, name) if of_all else ""))
        if kind == "failed":
            continue
        for number, part in enumerate(step.get("parts", ())):
            bars.append(dict(axis.span(part["began"], part["ended"]), y=top + 2, height=BAR - 4, label="",
                             kind=f"part part{number % 2}",
                             words=f"{part['name']} {part['ended'] - part['began']:.1f} s"))
    return bars


def curve_of(axis, data):
    """The nodes in rotation over time, as steps from left to right."""
    availability, ended, where = data["availability"], data["ended"], where_of(data)
    total = max(availability["nodes"], 1)
    points = [*availability["curve"], [ended, availability["curve"][-1][1]]]
    levels = []
    for (begin, count), (end, dummy) in zip(points, points[1:]):
        height = round(CURVE * count / total, 2)
        if end > begin:
            words = f"{count} of {availability['nodes']} {where} from {utc(begin)} to {utc(end)} UTC"
            levels.append(dict(axis.span(begin, end), y=GAP + CURVE - height, height=height, count=count, words=words))
    return levels


def failed_of(axis, series, top):
    """The failed requests of each second, as thin bars that are scaled to the worst second."""
    step, worst = series.get("step", 1), max(series.get("failed") or [0], default=0)
    bars = []
    for number, count in enumerate(series.get("failed") or []):
        began = series["at"] + number * step
        if count and axis.began <= began <= axis.ended:
            height = round((STRIP - 22) * count / worst, 2)
            bars.append(dict(axis.span(began, began + step), y=top + STRIP - 8 - height, height=height,
                             words=f"{count} failed at {utc(began)} UTC"))
    return bars


def where_of(data):
    """Where those are that are counted while they serve. Only nodes are behind a balancer all of which is theirs."""
    return "in service" if data["kind"] in WAYS else "in rotation"


def footnote_of(data, kinds):
    """What the times are from and to."""
    if data["kind"] == TIER and "restart" in kinds:
        return f"{OUT[TIER]} A reboot takes down all services of its node."
    return OUT.get(data["kind"]) or OF_NODES + (GATED if "gate" in kinds else "")


def way_of(data):
    """How the product is upgraded, in words; a run that only does the reboots that are left stops nothing else."""
    if data["kind"] == TIER and not any(node["services"] for node in data["nodes"]):
        return "node by node"
    return WAYS.get(data["kind"], f"rolling {data['kind']}")


def down_words(data):
    """From when to when all of a product was down, as sentences; none if it was not."""
    down = data.get("down")
    if not down:
        return []
    if down["from"] == data["began"]:
        words = ["Everything was down already when this run began, and " + (
            "still was when it ended." if down["to"] is None else
            f"until {utc(down['to'])} UTC, {spell(down['seconds'])} later.")]
    else:
        words = [f"Everything was down from {utc(down['from'])} UTC on, and still was when the run ended."
                 if down["to"] is None else
                 f"Everything was down from {utc(down['from'])} to {utc(down['to'])} UTC, for "
                 f"{spell(down['seconds'])}.",
                 "Some of it was down already when this run began." if down["began"] == data["began"] else
                 f"The first service was stopped at {utc(down['began'])} UTC."]
    if down["ended"] is not None:
        since = "after its start" if down["began"] == data["began"] else "later"
        words.append(f"All of them served again at {utc(down['ended'])} UTC, "
                     f"{spell(down['ended'] - down['began'])} {since}.")
    elif down["to"] is not None:
        words.append("Not all of them serve again.")
    # All nodes are rebooted one by one, and the first that is not whole again ends the run.
    gone = [node["name"] for node in data["nodes"] if node.get("rebooted") is False
            and any(step["step"] == "restart" for step in node["steps"])]
    return words + [f"Those of {name} were not seen to serve since its reboot." for name in gone]


def out_of(node):
    """How long a node was out of rotation, in words."""
    out = node["out"]
    if not out:
        return ""
    return ("still out" if out["seconds"] is None else brief(out["seconds"])) + (BEFORE if out.get("before") else "")


def picture(data):
    """The picture as numbers: lanes from top to bottom, moments from left to right in percent."""
    axis = Axis(data["began"], data["ended"], data["pauses"])
    series = (data["probe"] or {}).get("series") or {}
    top = GAP + CURVE + 10
    strip = top if series else None
    failed = failed_of(axis, series, top)
    top += (STRIP if series else 0) + AXIS
    # The two kinds of lanes: what all nodes do at once, and each node.
    lanes = [dict(name="all nodes", y=top, bars=bars_of(axis, data["phases"], top + (LANE - BAR) / 2, True), note=None,
                  result="all")]
    for node in data["nodes"]:
        top += LANE
        bars = bars_of(axis, node["steps"], top + (LANE - BAR) / 2)
        note = None
        if bars:
            ends = max(part["x"] + part["width"] for part in bars)
            right = ends < 78
            words = ", ".join(filter(None, [
                node["result"] if node["result"] in ("failed", "went back", "down") else "", out_of(node)]))
            note = dict(x=ends if right else bars[0]["x"], right=right, y=top + LANE / 2 + 4, words=words)
        elif node["result"] != "rolled":
            note = dict(x=0, right=True, y=top + LANE / 2 + 4, words=node["result"])
        lanes.append(dict(name=node["name"], y=top, bars=bars, note=note, result=node["result"]))
    least, total = data["availability"]["min_ready"], max(data["availability"]["nodes"], 1)
    taken = {step["step"] for node in data["nodes"] for step in node["steps"]}
    return dict(
        height=top + LANE + 4, axis_y=lanes[0]["y"] - 7, marks=axis.marks(), lanes=lanes, strip=strip, failed=failed,
        worst=max(series.get("failed") or [0]), step=spell(series.get("step", 1), 0),
        curve=dict(levels=curve_of(axis, data), top=GAP, bottom=GAP + CURVE,
                   min_ready=None if least is None else round(GAP + CURVE - CURVE * least / total, 2)),
        pauses=[dict(axis.span(begin, end), words=f"paused for {brief(end - begin)}") for begin, end in data["pauses"]],
        kinds=[step for step in OF_A_NODE if step in taken],
        phases=list(dict.fromkeys(each["kind"] for each in lanes[0]["bars"] if each["kind"] in OF_ALL)),
        has_failed=any(part["kind"] == "failed" for lane in lanes for part in lane["bars"]))


def rest_of(failure, command):
    """What a message says after its cause: paragraphs, of which the command is one of its own."""
    before, found, rest = failure["message"].partition(failure["words"]) if failure["words"] else ("", "", "")
    lines = map(str.strip, (rest if found else failure["message"]).strip().splitlines())
    groups = itertools.groupby(filter(None, lines), lambda line: line == command)
    return [dict(words="\n".join(group), command=is_command) for is_command, group in groups]


def title_of(failure, nodes):
    """What a box is about. Nothing is wrong with the nodes before which a run was stopped."""
    names = ", ".join(failure["nodes"])
    if failure["stopped"]:
        if any(node["result"] == "not rebooted" for node in nodes if node["name"] in failure["nodes"]):
            return f"Stopped before the reboot of {names}"
        # Only where the nodes are rolled a message comes with the name of its task.
        return f"Stopped before {names if failure['step'] else 'the migration of the schema'}"
    return f"{names}: {failure['step']}" if failure["step"] else names


def asked_of(failure):
    """Who has asked for a stop, when and why."""
    request = failure.get("request")
    if not request or request["want"] != "stop":
        return ""
    return (f"{request['user']}@{request['host']} asked for it at {utc(request['since'], '%Y-%m-%d %H:%M:%S')} UTC"
            + (f": {request['reason']}" if request["reason"] else ", without a reason."))


def no_migration_words(data):
    """What is said of the migrations of a product where none was completed."""
    schema = data["schema"]
    # What the first reports have of migrations is only that.
    if data["kind"] != TIER or "migrations" not in schema:
        return "The schema was migrated." if schema["moved"] else "None was completed in this run."
    if schema["looked"] and schema["moved"]:
        return "A migration was begun, and none was completed."
    # An older report takes new packages for a migration.
    return "None was completed in this run." if schema["looked"] or schema["moved"] else "No migration was run."


def tile(name, value, more="", kind=""):
    return dict(name=name, value=value, more=more, kind=kind)


def tiles_of(data):
    """What a hasty reader wants to know."""
    unit, rolled, due = progress(data["kind"], data["nodes"])
    passed, where = sum(node["result"] == "passed over" for node in data["nodes"]), where_of(data)
    over = many(passed, "node") if unit == "service" else passed
    before, to = ", ".join(data["releases"]["from"]), data["releases"]["to"]
    tiles = [tile(f"{unit}s done", f"{rolled} of {due}", f"{over} passed over" if passed else "",
                  "" if rolled == due else "hint" if data["result"] == "stopped" else "bad"),
             *([tile("release", to or "-", f"from {before}" if before not in ("", to) else "")]
               if to or data["kind"] != HOSTS else []),
             tile("took", brief(data["seconds"]),
                  f"{utc(data['began'], '%H:%M')} to {utc(data['ended'], '%H:%M')} UTC")]
    times = {f"{node['name']}{BEFORE if node['out'].get('before') else ''}": node["out"]["seconds"]
             for node in data["nodes"] if node["out"]}
    for node in data["nodes"]:
        times.update((f"{one['name']} on {node['name']}{BEFORE if one.get('down_before') else ''}", spent(one, data))
                     for one in node.get("services", ()))
        times[f"all of {node['name']}, in its reboot"] = reboot_seconds(node, data)
    times = {name: seconds for name, seconds in times.items() if seconds is not None}
    if times:
        longest = max(times, key=times.__getitem__)
        tiles.append(tile(f"longest {out_words(data)}", brief(times[longest]), longest))
    there, down = data["availability"], data.get("down")
    if down:
        when = f"from {utc(down['from'])}" + (f" to {utc(down['to'])} UTC" if down["to"] else " UTC on")
        if down["from"] == data["began"]:
            when = "of this run, and before it" if down["to"] else "since before this run"
        tiles.append(tile("everything down", "still" if down["to"] is None else brief(down["seconds"]), when,
                          "bad" if down["to"] is None else ""))
    else:
        tiles.append(tile(f"fewest {where}", f"{there['least']} of {there['nodes']}", "at any time",
                          "" if there["least"] else "bad"))
    seen = (data["probe"] or {}).get("since") or data["probe"]
    if seen:
        excused = seen.get("excused")
        tiles.append(tile("failed requests", seen["failed"],
                          f"of {seen['requests']}" + (f", {excused} excused" if excused else ""),
                          "bad" if seen["failed"] else "good"))
    elif data.get("watched"):
        tiles.append(tile("requests", "not known", "the watcher was gone"))
    elif data["kind"] != TIER:
        # Where all of it is down, nobody wants requests to count.
        tiles.append(tile("requests", "not watched", "watch_url makes the roll count them"))
    return tiles


def out_words(data):
    return "down" if data["kind"] == TIER else f"out of {where_of(data)[3:]}"


def release_of(node, data):
    """Which release a node is on, and came from; only the latter where it was left amid the way."""
    if data["kind"] in SAME:
        return node["from"]
    target = data["releases"]["to"]
    # An older report does not say on which release it was left.
    on = node.get("to", target if node["result"] == "rolled" else "")
    if on:
        return " → ".join(dict.fromkeys(filter(None, [node["from"], on])))
    amid = node["result"] in ("failed", "down", "in part") and node["from"] not in ("", target)
    return f"from {node['from']}" if amid else node["from"]


def spent(one, data):
    """For how many seconds of this run a service served nobody; None if that is not known."""
    if one.get("down_before"):
        return None if one["ended"] is None else one["ended"] - data["began"]
    return one["seconds"]


def reboot_seconds(node, data):
    """For how many seconds all services of a node were down because it was rebooted; None if they were not."""
    steps = [step["step"] for step in node["steps"]]
    if data["kind"] != TIER or "restart" not in steps or not node.get("rebooted"):
        return None
    return node["steps"][-1]["ended"] - node["steps"][steps.index("restart")]["began"]


def service_words(one, data):
    """How a service of a node was rolled."""
    result, seconds = one.get("result", "rolled"), spent(one, data)
    words = "" if seconds is None else f"{out_words(data).partition(' ')[0]} for {brief(seconds)}"
    before = BEFORE if one.get("down_before") else ""
    return f"{one['name']} {', '.join(filter(None, ['' if words and result == 'rolled' else result, words]))}{before}"


def rows_of(data, kinds):
    """The nodes and how long each step took; a step that was taken twice counts as one."""
    rows = []
    for node in data["nodes"]:
        seconds: dict[str, float] = {}
        for step in node["steps"]:
            seconds[step["step"]] = seconds.get(step["step"], 0) + step["seconds"]
        more = [release_of(node, data), "database tier" if node["database"] else "", "leader" if node["leader"] else "",
                *(service_words(one, data) for one in node.get("services", ()))]
        rows.append(dict(
            name=node["name"], more=", ".join(filter(None, more)), result=node["result"],
            kind={"failed": "bad", "down": "bad", "rolled": "good", "rebooted": "good"}.get(node["result"], ""),
            out=out_of(node), cells=[dict(name="wait" if kind == "quorum" else WORDS.get(kind, kind),
                                          seconds=brief(seconds.get(kind))) for kind in kinds]))
    return rows


def number(value, unit=""):
    return "-" if value is None else f"{value:g}{unit}"


def probed_of(probe):
    """What the watcher saw, before the roll and in it, as a table."""
    columns = {"the minute before": probe.get("before"), "the roll": probe.get("since")}
    columns = {name: column for name, column in columns.items() if column} or {"in all": probe}
    rows = (("requests", "requests", ""), ("failed", "failed", ""), ("excused", "excused", ""),
            ("longest gap", "longest_gap", " s"), ("p50", "p50", " ms"), ("p99", "p99", " ms"),
            ("worst", "worst", " ms"))
    return dict(columns=list(columns), rows=[
        dict(name=name, values=[number(column.get(key), unit) for column in columns.values()])
        for name, key, unit in rows])


def html_of(data):
    """The page of a report."""
    try:
        data = clean(data)
        environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                                  trim_blocks=True, lstrip_blocks=True)
        environment.filters.update(brief=brief, utc=utc, whole=whole)
        drawn = picture(data)
        failures = [dict(item, rest=rest_of(item, data["command"]), title=title_of(item, data["nodes"]),
                         asked=asked_of(item)) for item in data["failures"]]
        by_service, where = data["kind"] in BY_SERVICE, where_of(data)
        return environment.get_template("report.html.j2").render(
            {"file": "", "done": [], **data}, way=way_of(data),
            down_words=down_words(data), counted=f"{'services' if by_service else 'nodes'} {where}",
            out="" if by_service else f"out of {where[3:]}", footnote=footnote_of(data, drawn["kinds"]), picture=drawn,
            failures=failures, lane=LANE, words=WORDS,
            steps=[*OF_A_NODE, *OF_ALL], tiles=tiles_of(data), rows=rows_of(data, drawn["kinds"]),
            no_migration=no_migration_words(data), probed=probed_of(data["probe"] or {}))
    except (KeyError, TypeError, IndexError, AttributeError) as exc:
        raise AnsibleError("this is not the data of a report (docs/report.md): "
                           f"{type(exc).__name__}: {exc}") from exc
