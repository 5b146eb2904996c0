# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._forecast import lines_of


def node(step=1, **changes):
    return dict({"step": step, "from": "0.8.0", "to": "0.8.1", "database": False, "serves": True, "leader": False,
                 "restarts": [["sf-api", "sf-net"]], "drain_grace": "25 s, assumed",
                 "seconds": {"drain": 25.0, "ready": 5.4}}, **changes)


def forecast(**changes):
    return dict(dict(
        release="0.8.1", order=["sf-2", "sf-1", "sf-3"], batches=[["sf-2"], ["sf-1"], ["sf-3"]],
        nodes={"sf-2": node(database=True, restarts=[["sf-database"], ["sf-api", "sf-net"]], serves=False),
               "sf-1": node(2, database=True, restarts=[["sf-database"], ["sf-api", "sf-net"]], leader=True),
               "sf-3": node(3)},
        passed_over=[], schema=dict(words="notes version 1 -> 2", notes=[]), hard_cut=False, warnings=[],
        expected=dict(seconds=100, how="The sum."), command="ansible-playbook -i inventory upgrade"), **changes)


def test_a_plan():
    assert lines_of(forecast()) == [
        "3 nodes to 0.8.1 in 3 steps, in about 1 min 40 s",
        "step  node  from   to     tier      out of rotation  remarks",
        "1     sf-2  0.8.0  0.8.1  database  30 s             not serving",
        "2     sf-1  0.8.0  0.8.1  database  30 s             leader",
        "3     sf-3  0.8.0  0.8.1  -         30 s             -",
        "restarts on sf-2, sf-1: sf-database, then sf-api, sf-net",
        "restarts on sf-3: sf-api, sf-net",
        "drain grace on sf-2, sf-1, sf-3: 25 s, assumed",
        "schema: notes version 1 -> 2",
        "how long: The sum.",
        "to do it, with the options that you gave\nansible-playbook -i inventory upgrade",
    ]


def test_one_node_that_is_rolled_alone():
    lines = lines_of(forecast(
        order=["sf-3"], batches=[["sf-3"]], nodes={"sf-3": node(serves=False, leader=True)}, hard_cut=True,
        passed_over=["sf-1", "sf-2"], warnings=["sf-3: hm " + "and so on " * 12]))
    assert lines[0] == "1 node to 0.8.1 in 1 step, in about 1 min 40 s"
    assert "leader, not serving" in lines[2]
    assert "passed over, on 0.8.1 already: sf-1, sf-2" in lines
    begin = next(number for number, line in enumerate(lines) if line.startswith("warning: sf-3: hm and so on"))
    assert lines[begin + 1].startswith("  and so on") or lines[begin + 1].startswith("  on")
    assert any(line.startswith("warning: no second node serves meanwhile") for line in lines)
    assert max(map(len, "\n".join(lines).splitlines())) <= 74


def test_the_notes_on_a_migration():
    lines = lines_of(forecast(schema=dict(words="t version 1 -> 2", notes=["t version 1 to 2: nothing is broken"])))
    assert lines[lines.index("schema: t version 1 -> 2") + 1] == "note: t version 1 to 2: nothing is broken"


@pytest.mark.parametrize("outage, words", [
    (None, "while the node is rolled"),
    (dict(seconds=35, least=11, cut_short=False),
     "rolled, for about 35 s. Its drain only lets requests in flight end: with -e drain_cut_short=true they are cut, "
     "and it is about 11 s"),
    (dict(seconds=11, least=11, cut_short=True),
     "rolled, for about 11 s. Its drain is cut short (drain_cut_short), and with it the requests in flight"),
    (dict(seconds=11, least=11, cut_short=False), "rolled, for about 11 s"),
])
def test_how_long_the_outage_is(outage, words):
    lines = lines_of(forecast(hard_cut=True, outage=outage))
    text = " ".join(line.strip() for line in "\n".join(lines).splitlines())
    found = text[text.index("warning: no second node serves meanwhile, every request fails"):text.index(" how long:")]
    assert found.endswith(words)


def test_nothing_to_do():
    assert lines_of(forecast(order=[], batches=[], nodes={}, passed_over=["sf-1"])) == [
        "Nothing is left to roll: every node is on 0.8.1.", "schema: notes version 1 -> 2"]
