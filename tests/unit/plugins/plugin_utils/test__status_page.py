# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._status import lines_of


def node(name="sf-1", **changes):
    return dict(dict(name=name, release="0.8.1", build="", ready=True, gateway="SERVING", active=11, units=11,
                     since=1763712900.7, leader=False, absent="", problems=[], notes=[]), **changes)


ABSENT = node("sf-3", release=None, ready=None, gateway=None, active=None, units=None, since=None, absent="unreachable",
              problems=["it cannot be reached: ssh: connect to host 10.0.0.3 port 22: Connection refused, and "
                        "more of that"])
API = dict(known=True, nodes=[])
FREE = dict(words="nobody", gone=False, ran_out=False)


def test_a_cluster():
    verdict = {"sf-1": node(leader=True), "sf-2": node("sf-2", ready=False, gateway="", active=10, release="0.8.0",
                                                       since=None, problems=["sf-net is failed"], notes=["hm"]),
               "sf-3": ABSENT}
    lines = lines_of(verdict, API, FREE)
    assert lines == [
        "1 of 3 nodes serve; 0.8.1 on 1, 0.8.0 on 1, not known on 1",
        "node  release  ready  gateway  units     since (UTC)       remarks",
        "sf-1  0.8.1    yes    SERVING  11 of 11  2025-11-21 08:15  leader",
        "sf-2  0.8.0    no     -        10 of 11  -                 -",
        "sf-3  ?        ?      ?        ?         ?                 unreachable",
        "sf-2: sf-net is failed",
        "sf-2: hm",
        "sf-3: it cannot be reached: ssh: connect to host 10.0.0.3 port 22:",
        "  Connection refused, and more of that",
        "lock: nobody",
    ]
    assert yaml.safe_dump(lines[:5], width=1000) == "".join(f"- {line}\n" for line in lines[:5])


def test_what_there_is_to_say_of_the_cluster():
    assert lines_of({"sf-1": node()}, API, FREE, cluster=["the tier is half-way"])[-2:] == [
        "the tier is half-way", "lock: nobody"]


def test_the_leader_may_be_out_of_reach():
    lines = lines_of({"sf-3": dict(ABSENT, leader=True)}, API, FREE)
    assert lines[0] == "0 of 1 nodes serve; not known on 1" and lines[2].endswith("leader, unreachable")


def test_a_broken_virtualenv_has_no_release():
    lines = lines_of({"sf-1": node(release="")}, API, FREE)
    assert lines[0].endswith("not known on 1") and lines[2].startswith("sf-1  ?        yes")


@pytest.mark.parametrize("api, words", [
    (dict(known=False, problem="no credentials"), "leader: not known, no credentials"),
    ({}, "leader: not known, no node could ask the API"),
    (None, "leader: not known, no node could ask the API"),
    (dict(known=True, nodes=[dict(name="sf-9", state="missing", release=None)]),
     "the API also knows sf-9, which is missing and runs nothing that is known; it is not in"),
    (dict(known=True, nodes=[dict(name="sf-9", state="created", release="0.7.2")]),
     "the API also knows sf-9, which is created and runs 0.7.2; it is not in the inventory"),
])
def test_what_the_api_says(api, words):
    assert words in " ".join(line.strip() for line in lines_of({"one": node()}, api, FREE))


@pytest.mark.parametrize("listed, limited", [
    (dict(name="sf-1", state="created", release=""), False),
    (dict(name="sf-9", state="deleted", release=""), False),
    (dict(name="sf-9", state="created", release=""), True),
])
def test_what_needs_no_word(listed, limited):
    lines = lines_of({"one": node()}, dict(known=True, nodes=[listed]), FREE, limited=limited)
    assert len(lines) == 4


@pytest.mark.parametrize("lock, words", [
    (None, "lock: not known, the node that has it was not seen"),
    (dict(words="bob@admin", gone=False, ran_out=False), "lock: bob@admin"),
    (dict(words="bob@admin", gone=True, ran_out=True), "lock: bob@admin. That process is gone: the next run from this"),
    (dict(words="bob@admin", gone=False, ran_out=True), "lock: bob@admin. Its lease ran out: the next run takes it"),
])
def test_the_lock(lock, words):
    lines = lines_of({"sf-1": node()}, API, lock)
    assert [line for line in lines if line.startswith("lock")][0].startswith(words)
    assert max(map(len, lines)) <= 74
