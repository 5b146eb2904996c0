# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._metrics import metrics
from prometheus_client.parser import text_string_to_metric_families

NASTY = 'a "b" \\ c\nd, e="f"} 1'
START = dict(event="start", cluster="prod", playbook="upgrade", run="ef744c2e", user="bob@desk", release="0.8.1",
             started="2025-11-21T13:08:36Z", nodes=dict(done=[], failed=[], left=["sf-1", "sf-2"], passed_over=[]),
             **{"from": "0.8.0"})
END = dict(START, event="end", ended="2025-11-21T13:10:28Z", seconds=112, out_of_rotation={"sf-1": 15.5, "sf-2": 9},
           nodes=dict(done=["sf-1", "sf-2"], failed=[], left=[], passed_over=["sf-0"]))


def parsed(message):
    """By metric the values by labels, as Prometheus reads them."""
    text = metrics(message)
    assert text.endswith("\n") and "\n\n" not in text
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.type == "gauge" and family.documentation
        assert all(sample.labels.pop("cluster") == message["cluster"] for sample in family.samples)
        assert all(sample.timestamp is None for sample in family.samples)  # the collector refuses those that have one
    return {family.name.replace("shakenfist_rolling_last_roll_", ""): [
        (sample.labels, sample.value) for sample in family.samples] for family in families}


def test_start():
    assert parsed(START) == dict(
        info=[({"playbook": "upgrade", "run": "ef744c2e", "user": "bob@desk", "from": "0.8.0", "release": "0.8.1"}, 1)],
        running=[({}, 1)], start_timestamp_seconds=[({}, 1763730516)],
        nodes=[({"state": "done"}, 0), ({"state": "failed"}, 0), ({"state": "left"}, 2), ({"state": "passed_over"}, 0)])


def test_end():
    found = parsed(END)
    assert found["running"] == [({}, 0)] and found["success"] == [({}, 1)]
    assert found["start_timestamp_seconds"] == [({}, 1763730516)]
    assert found["end_timestamp_seconds"] == [({}, 1763730628)] and found["duration_seconds"] == [({}, 112)]
    assert found["out_of_rotation_seconds"] == [({"node": "sf-1"}, 15.5), ({"node": "sf-2"}, 9)]
    assert ({"state": "done"}, 2) in found["nodes"]


@pytest.mark.parametrize("event, success", [("end", 1), ("unchanged", 1), ("failure", 0)])
def test_success(event, success):
    assert parsed(dict(END, event=event))["success"] == [({}, success)]


def test_requests():
    found = parsed(dict(END, watched=dict(requests=5311, failed=2, excused=1, longest_gap=0.24)))
    assert (found["requests"], found["requests_failed"]) == ([({}, 5311)], [({}, 2)])
    assert found["longest_gap_seconds"] == [({}, 0.24)] and found["requests_excused"] == [({}, 1)]


def test_what_is_not_known_is_left_out():
    assert not [name for name in parsed(END) if "request" in name or "gap" in name]
    assert "out_of_rotation_seconds" not in parsed(dict(END, out_of_rotation={}))


def test_labels_are_escaped():
    found = parsed(dict(END, cluster=NASTY, user=NASTY, out_of_rotation={NASTY: 1.5}))
    assert found["info"][0][0]["user"] == NASTY and found["out_of_rotation_seconds"] == [({"node": NASTY}, 1.5)]
