# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What others are told of a roll, in the text format of Prometheus.

from datetime import datetime

PREFIX = "shakenfist_rolling_last_roll"
# What is told in labels of the info metric.
LABELS = ("playbook", "run", "user", "from", "release")


def seconds(text):
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def escaped(text):
    return str(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def labelled(name, labels, value):
    pairs = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value}"


def measured(message):
    """Each metric with its help, and its values by label. While the roll goes on there is no end and no success."""
    event = message["event"]
    yield "info", "What the last roll was.", [({key: message[key] for key in LABELS}, 1)]
    yield "running", "Whether it goes on; that of a run that was killed does.", [({}, int(event == "start"))]
    yield "start_timestamp_seconds", "When it began.", [({}, seconds(message["started"]))]
    yield "nodes", "How many nodes are in each state.", [
        (dict(state=state), len(names)) for state, names in message["nodes"].items()]
    if event != "start":
        yield "success", "Whether every node was verified.", [({}, int(event != "failure"))]
        yield "end_timestamp_seconds", "When it ended.", [({}, seconds(message["ended"]))]
        yield "duration_seconds", "How long it took.", [({}, message["seconds"])]
        watched = message.get("watched") or {}
        yield "requests", "How many requests were watched.", [({}, watched["requests"])] if watched else []
        yield "requests_failed", "How many of them failed.", [({}, watched["failed"])] if watched else []
        yield "requests_excused", "How many ran out of time while the watcher itself was held up.", [
            ({}, watched["excused"])] if watched else []
        yield "longest_gap_seconds", "The longest time between two good answers.", [
            ({}, watched["longest_gap"])] if watched else []
        yield "out_of_rotation_seconds", "From the start of a node's drain to the end of its gate.", [
            (dict(node=name), value) for name, value in message["out_of_rotation"].items()]


def metrics(message):
    """What is told of a roll in the text format of Prometheus."""
    lines = []
    for name, words, values in measured(message):
        if values:
            lines += [f"# HELP {PREFIX}_{name} {words}", f"# TYPE {PREFIX}_{name} gauge"]
            lines += [labelled(f"{PREFIX}_{name}", dict(cluster=message["cluster"], **labels), value)
                      for labels, value in values]
    return "\n".join(lines) + "\n"
