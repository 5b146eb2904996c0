# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._staging import (
    Staging,
    active_on,
    messages_of,
    running,
    staging_of,
    target_of,
    way_back,
)

NEW = dict(version="0.8.1", name="0.8.1-0a1b2c3d", lock=["a lock"], carried=[], indexed=[])
WHEELS = "/srv/shakenfist/.wheels-0.8.1-0a1b2c3d"


def node(version="0.8.0", name="0.8.0-aa", rewritten=False, tier=False, previous=("0.7.9", "0.7.9-bb"), build="",
         **values):
    return dict(dict(
        venv="/srv/shakenfist/venv", release=dict(version=version, name=name, rewritten=rewritten, contents=build),
        has_database_credentials=tier, staged=["0.7.9-bb", "0.8.0-aa"], daemons=["sf-net"], api_unit="sf-api",
        units={"sf-api": {}, "sf-net": {}},
        previous=dict(zip(("version", "name", "contents"), previous)) if previous else {}), **values)


@pytest.mark.parametrize("nodes, expected", [
    ([node(), node()], ["0.8.0-aa"]), ([node(), node(name="0.8.1-bb")], ["0.8.0-aa", "0.8.1-bb"]),
    ([node(), node(rewritten=True)], ["", "0.8.0-aa"]), ([node(name=None), {}, dict(release=None)], [""]),
])
def test_what_is_active(nodes, expected):
    assert active_on(nodes) == expected


@pytest.mark.parametrize("of, target, options, copied, brought", [
    (node(), {}, {}, True, False),
    (node(version="0.8.1"), {}, dict(over_controller=True), False, False),
    (node(version="0.8.1", rewritten=True), {}, {}, True, False),
    (node(), {}, dict(over_controller=True), True, True),
    (node(), dict(carried=["a wheel"]), {}, True, True),
    (node(staged=[NEW["name"]]), dict(carried=["a wheel"]), {}, True, False),
    (node(staged=[NEW["name"]], rewritten=True), dict(carried=["a wheel"]), {}, True, True),
    (node(), dict(carried=["a wheel"]), dict(strategy="in_place"), False, True),
    (node(tier=True, staged=[NEW["name"]]), dict(carried=["a wheel"]), dict(strategy="in_place"), True, True),
    (node(tier=True), {}, dict(strategy="in_place"), True, False),
    (node(), dict(carried=None), {}, True, False),
    # The version that runs was published again.
    (node(version="0.8.1", build="aa"), dict(contents="bb"), {}, True, False),
    (node(version="0.8.1", build="bb"), dict(contents="bb"), {}, False, False),
    (node(version="0.8.1"), dict(contents="bb"), {}, False, False),
])
def test_what_is_to_be_done(of, target, options, copied, brought):
    assert staging_of(of, dict(NEW, **target), **options) == Staging(copied, brought, False, WHEELS)


@pytest.mark.parametrize("version, strategy, over_controller, indexed, fetched", [
    ("0.8.0", "in_place", False, ["a wheel"], True),
    ("0.8.1", "in_place", False, ["a wheel"], False),
    ("0.8.0", "clone", False, ["a wheel"], False),
    ("0.8.0", "in_place", True, ["a wheel"], False),
    ("0.8.0", "in_place", False, [], False),
])
def test_in_place_the_index_is_asked_while_the_node_serves(version, strategy, over_controller, indexed, fetched):
    plan = staging_of(node(version), dict(NEW, indexed=indexed), strategy, over_controller)
    assert plan.fetched == fetched


def test_the_target_that_pip_has_resolved():
    answer = dict(NEW, sha256="0a1b2c3d", contents="cc", archive="/tmp/x.tar", notice="", unpinned=[], built=[],
                  conflicts=["a"])
    assert target_of(answer, "sf-1") == dict(NEW, sha256="0a1b2c3d", contents="cc", archive="/tmp/x.tar", node="sf-1",
                                             conflicts=["a"])


@pytest.mark.parametrize("notice, unpinned, expected", [
    ("", [], []),
    ("nothing newer", [], ["nothing newer"]),
    ("nothing newer", ["a", "b"], ["nothing newer", "What sf-1 has installed of a, b is not among the wheels that were "
                                   "given, no longer on the index, or cannot be built here: the other nodes must have "
                                   "these already, in versions that fit."]),
])
def test_messages(notice, unpinned, expected):
    assert messages_of(dict(notice=notice, unpinned=unpinned), "sf-1") == expected


OTHER = node(previous=("0.7.8", "0.7.8-cc"), staged=["0.7.8-cc"])
AHEAD = node("0.8.1", "0.8.1-dd", previous=("0.8.0", "0.8.0-aa"))
FIXED = node("0.8.2", "0.8.2-ee", previous=("0.8.1", "0.8.1-dd"), staged=["0.7.9-bb", "0.8.0-aa", "0.8.1-dd"])


@pytest.mark.parametrize("nodes, version, expected", [
    (dict(a=node(), b=node()), "", ("0.7.9", "0.7.9-bb")),
    (dict(a=node(), b=node(), c={}), "", ("0.7.9", "0.7.9-bb")),
    (dict(a=node(), b=node(previous=None)), "0.7.9", ("0.7.9", "0.7.9-bb")),
    (dict(a=node(), b=OTHER), "0.7.9", ("0.7.9", "0.7.9-bb")),
    # An upgrade that has stopped half-way: b has been rolled, a still runs what b came from.
    (dict(a=node(), b=AHEAD), "", ("0.8.0", "0.8.0-aa")),
    (dict(a=AHEAD, b=node()), "", ("0.8.0", "0.8.0-aa")),
    # b was rolled to a broken release and from that to a fixed one; a was rolled to the broken one, or not at all.
    (dict(a=node(), b=FIXED), "", ("0.8.0", "0.8.0-aa")),
    (dict(a=FIXED, b=node(previous=None)), "", ("0.8.0", "0.8.0-aa")),
    (dict(a=AHEAD, b=FIXED, c=node()), "", ("0.8.0", "0.8.0-aa")),
    # An upgrade to an older release.
    (dict(a=node("0.8.1", "0.8.1-dd"), b=node(previous=("0.8.1", "0.8.1-dd"))), "", ("0.8.1", "0.8.1-dd")),
    # A rollback that was killed when its last node was active again, and not yet restarted.
    (dict(a=node(previous=None), b=node(previous=None, behind=["sf-net"], units={"sf-net": dict(active=True)})), "",
     ("0.8.0", "0.8.0-aa")),
    # The same, out of an upgrade that had stopped half-way.
    (dict(a=node(), b=node(previous=None, behind=["sf-net"], units={"sf-net": dict(active=True)})), "",
     ("0.8.0", "0.8.0-aa")),
    # It is there already.
    (dict(a=node()), "0.8.0", ("0.8.0", "0.8.0-aa")),
    (dict(a=node(name=None)), "0.8.0", ("0.8.0", "")),
    # The last one of that version, and of no other one that begins so.
    (dict(a=node(staged=["0.7.7-aa", "0.7.7-bb", "0.7.7.1-cc"])), "0.7.7", ("0.7.7", "0.7.7-bb")),
])
def test_the_way_back(nodes, version, expected):
    assert way_back("a", nodes, version) == dict(version=expected[0], name=expected[1], contents="",
                                                 given=version or expected[0])


# 0.8.0 was published again: a is still on the first build, b was rolled from that to the second one, c from another.
FIRST = node(name="0.8.0-aa", build="one")
SECOND = node(name="0.8.0-bb", build="two", previous=("0.8.0", "0.8.0-aa", "one"), staged=["0.8.0-aa", "0.8.0-bb"],
              builds={"0.8.0-aa": "one", "0.8.0-bb": "two"})
ODD = node(name="0.8.0-bb", build="two", previous=("0.8.0", "0.8.0-cc", "three"), staged=["0.8.0-cc"],
           builds={"0.8.0-cc": "three"})
STAGED = dict(staged=["0.8.0-aa", "0.8.0-bb"], builds={"0.8.0-aa": "one", "0.8.0-bb": "two"})


@pytest.mark.parametrize("nodes, asked, name, build", [
    (dict(a=SECOND, b=SECOND), "", "0.8.0-aa", "one"),
    (dict(a=SECOND, b=SECOND), "0.8.0", "0.8.0-aa", "one"),
    # Stopped half-way, forwards and back.
    (dict(a=FIRST, b=SECOND), "", "0.8.0-aa", "one"),
    (dict(a=SECOND, b=FIRST), "", "0.8.0-aa", "one"),
    (dict(a=dict(FIRST, previous={}), b=SECOND), "0.8.0", "0.8.0-aa", "one"),
    # By the name of a directory, which another node may have for that build.
    (dict(a=SECOND, b=SECOND), "0.8.0-bb", "0.8.0-bb", "two"),
    (dict(a=node("0.8.1", previous=None, staged=["0.8.0-99"], builds={"0.8.0-99": "one"}), b=SECOND), "0.8.0-aa",
     "0.8.0-99", "one"),
    # Each to its own where they came from different ones.
    (dict(a=ODD, b=SECOND), "", "0.8.0-cc", "three"),
    (dict(a=SECOND, b=ODD), "", "0.8.0-aa", "one"),
    (dict(a=node("0.8.0", "0.8.0-dd", build="four", staged=[]),
          b=node("0.8.1", previous=("0.8.0", "0.8.0-aa", "one"))), "", "0.8.0-dd", "four"),
])
def test_the_way_back_to_a_build(nodes, asked, name, build):
    assert way_back("a", nodes, asked) == dict(version="0.8.0", name=name, contents=build, given=asked or "0.8.0")


@pytest.mark.parametrize("nodes, version, message", [
    (dict(a=node(), b=OTHER), "",
     "the nodes came from different releases (0.7.9, 0.7.8): no older release is on every node"),
    (dict(a=node(staged=["0.7.8-cc", "0.7.7-dd"]), b=node(previous=("0.7.8", "x"), staged=["0.7.7-dd", "0.8.1-ee"])),
     "", "the nodes came from different releases (0.7.9, 0.7.8): name one that every node has (0.7.8, 0.7.7) with "
         "-e rollback_release=0.7.8"),
    # b went back by itself, the others were not touched: 0.7.9 would be one release too far.
    (dict(a=node(), b=node(previous=None), c={}), "",
     "every node runs 0.8.0, and b came from no release that is known, as after a way back. If you mean to go further "
     "back: name one that every node has (0.7.9) with -e rollback_release=0.7.9"),
    (dict(a=dict(FIXED, staged=["0.7.9-bb"]), b=node()), "",
     "a has no release 0.8.0 to go back to. It has: 0.7.9-bb. Instead, name one that every node has (0.7.9) with "
     "-e rollback_release=0.7.9"),
    (dict(a=node(previous=None, behind=["sf-net"], units={"sf-net": dict(active=False)})), "",
     "no node has a release that it came from: name one that is staged with -e rollback_release=VERSION"),
    (dict(a=node(previous=None)), "", "no node has a release that it came from: name one that is staged with "
                                      "-e rollback_release=VERSION"),
    (dict(a=node()), "0.7.8", "a has no release 0.7.8 to go back to. It has: 0.7.9-bb, 0.8.0-aa"),
    (dict(a={}), "0.7.8", "a has no release 0.7.8 to go back to. It has: none"),
    (dict(a=node("0.8.1", previous=None, **STAGED)), "0.8.0",
     "more than one build of 0.8.0 is staged (0.8.0-aa, 0.8.0-bb): name the one that you mean with "
     "-e rollback_release=0.8.0-aa"),
    (dict(a=ODD, b=SECOND), "0.8.0-aa", "a has no release 0.8.0-aa to go back to. It has: 0.8.0-cc"),
])
def test_no_way_back(nodes, version, message):
    with pytest.raises(RollingError, match=f"{re.escape(message)}$"):
        way_back("a", nodes, version)


@pytest.mark.parametrize("nodes, units, expected", [
    (dict(a=node(), b=node(), c={}), None, "0.8.0-aa"),
    (dict(a=node(name=None)), ["sf-net"], ""),
    (dict(a=node()), "sf-net,sf-api", "0.8.0-aa"),
    (dict(a=node()), [], "0.8.0-aa"),
])
def test_the_release_that_runs(nodes, units, expected):
    assert running("a", nodes, units) == dict(version="0.8.0", name=expected)


@pytest.mark.parametrize("nodes, units, message", [
    (dict(a=node(version="0.8.1"), b=node(), c=node()), None,
     "the nodes run different releases (0.8.0 on b, c; 0.8.1 on a): run the upgrade to its end, it restarts the "
     "daemons, too"),
    (dict(a=node()), "sf-net,sf-x,sf-y", "a has no unit sf-x, sf-y: correct restart_units, or name the nodes that have "
                                         "it with --limit"),
    (dict(a=node(units={"sf-net": {}})), None, "a has no unit sf-api: correct restart_units, or name the nodes that "
                                               "have it with --limit"),
])
def test_no_release_to_restart(nodes, units, message):
    with pytest.raises(RollingError, match=f"{re.escape(message)}$"):
        running("a", nodes, units)
