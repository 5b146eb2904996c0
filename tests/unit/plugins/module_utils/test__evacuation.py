# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _evacuation as evacuation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._evacuation import Guest, Host

WORDS = dict(flagged=["Y"], leads=["M"], able=["M", "C"], running=["running"], stopped=["ADMIN_down"], note="from:",
             mark_note="was:", fixed=["plain"], wanted=["up"])


def test_columns_by_blanks_or_a_separator():
    assert evacuation.columns_of("a  1\n\n b 2 \n", "", ["name", "free"]) == [
        dict(name="a", free="1"), dict(name="b", free="2")]
    assert evacuation.columns_of("a||c", "|", ["x", "y", "z"]) == [dict(x="a", y="", z="c")]
    with pytest.raises(RollingError, match=r"expected 2 columns \(x, y\), seen 1: a"):
        evacuation.columns_of("a", "|", ["x", "y"])


@pytest.mark.parametrize("row, host", [
    (dict(free="12", role="M", drained="N", offline="N", notes="x, was:drained"),
     Host("a", 12.0, leads=True, note="drained")),
    (dict(free="?", capable="N", role="M"), Host("a", None, leads=True, capable=False)),
    (dict(free="1", capable="Y", role="C"), Host("a", 1.0)),
    (dict(free="?", group="west", role="C"), Host("a", None, group="west")),
    (dict(free="?", role="R", drained="Y", offline="Y"), Host("a", None, True, True, able=False)),
    ({}, Host("a", able=False))])
def test_hosts(row, host):
    assert evacuation.host_of(dict(row, name="a"), WORDS) == host


def test_any_host_may_lead_where_nothing_is_said():
    assert evacuation.host_of(dict(name="a"), dict(WORDS, able=[])).able


@pytest.mark.parametrize("row, guest", [
    (dict(state="running", size="5", to="-", notes="from:b,x"), Guest("g", "a", "running", 5.0, home="b")),
    (dict(state="ADMIN_down", size="-", to="c"), Guest("g", "a", "stopped", 0.0, "c")),
    (dict(state="running", kind="plain"), Guest("g", "a", fixed="plain")),
    (dict(state="running", kind="drbd"), Guest("g", "a")),
    (dict(state="ADMIN_down", wanted="down"), Guest("g", "a", "stopped")),
    # To move it would start it.
    (dict(state="ADMIN_down", wanted="up"), Guest("g", "a", "ADMIN_down")),
    (dict(state="running", wanted="up"), Guest("g", "a")),
    (dict(state="ERROR_up"), Guest("g", "a", "ERROR_up"))])
def test_guests(row, guest):
    assert evacuation.guest_of(dict(row, name="g", host="a"), WORDS) == guest


def test_what_has_to_move():
    guests = [Guest("small", "a", size=1), Guest("big", "a", size=2), Guest("off", "a", "stopped", 9),
              Guest("ill", "a", "ERROR"), Guest("other", "b")]
    assert [one.name for one in evacuation.to_move(guests, "a", True)] == ["big", "small", "off"]
    assert [one.name for one in evacuation.to_move(guests, "a", False)] == ["big", "small"]
    assert [one.name for one in evacuation.unfit(guests, "a")] == ["ill"]


@pytest.mark.parametrize("free, sizes, left", [
    (dict(b=10, c=5), [5, 5, 5], []), (dict(b=10, c=5), [8, 7], [7]), (dict(b=10), [11], [11]), ({}, [0], [0]),
    # All of it would fit, but none of them whole.
    (dict(b=5, c=5), [6], [6])])
def test_places(free, sizes, left):
    hosts = [Host("a", 100), *(Host(name, size) for name, size in free.items())]
    moving = [Guest(f"g{size}", "a", size=size) for size in sizes]
    found = evacuation.places(moving, hosts, "a")
    assert [one.size for one in moving if one.name not in found] == left
    assert all(place in free for place in found.values())


def test_those_without_a_choice_come_first():
    hosts = [Host("a", 1), Host("b", 10), Host("c", 10)]
    moving = [Guest("any", "a", size=10), Guest("bound", "a", size=6, to="b")]
    assert evacuation.places(moving, hosts, "a") == dict(bound="b", any="c")


def test_guests_stay_in_their_group():
    hosts = [Host("a", 1, group="west"), Host("b", 10, group="east"), Host("c", 5, group="west")]
    small, big = Guest("small", "a", size=4), Guest("big", "a", size=6)
    assert evacuation.places([small], hosts, "a") == dict(small="c")
    assert evacuation.room_words([big], {}, hosts, "a").endswith("Free (MiB): c 5")


def test_a_host_without_guests_gets_none():
    """Such as a master of its own, Ganeti's vm_capable=no: its memory, known or not, is nobody's."""
    hosts = [Host("a", 1), Host("b", 10, capable=False), Host("c", None, capable=False)]
    assert evacuation.places([Guest("g", "a", size=4)], hosts, "a") == {} and not hosts[1].takes()
    assert hosts[2].is_known() and not Host("d").is_known()
    assert evacuation.room_words([Guest("g", "a", size=4)], {}, hosts, "a").endswith("Free (MiB): no host")


def test_what_cannot_move_has_no_place():
    """Else it is found out when its host is drained, and half of it moved away."""
    hosts = [Host("a", 1), Host("b", 10)]
    moving = [Guest("g", "a", size=4, fixed="plain")]
    assert not evacuation.places(moving, hosts, "a")
    assert "there is none for g (4 MiB, which cannot move, it is plain). Free" in evacuation.room_words(
        moving, {}, hosts, "a")


def test_words_on_room():
    assert evacuation.room_words([], {}, [], "a") == ""
    hosts = [Host("a", 1), Host("b", 2), Host("c", None), Host("d", 1, True), Host("e", 1, True, True)]
    words = evacuation.room_words([Guest("g", "a", size=4)], {}, hosts, "a", "GB", 1)
    assert words == ("expected room for all guests of a; there is none for g (4 GB). Free (GB): b 2, c unknown, d is "
                     "drained, e is offline, of which each keeps 1")


def test_the_room_that_is_left_is_told_and_not_what_others_get():
    hosts = [Host("a", 1), Host("b", 76), Host("c", 588)]
    moving = [Guest("big", "a", size=512), Guest("small", "a", size=256), Guest("off", "a", "stopped", 9)]
    found = evacuation.places(moving, hosts, "a")
    assert found == dict(big="c", off="b")
    assert evacuation.room_words(moving, found, hosts, "a", guest="instance") == (
        "expected room for all instances of a; there is none for small (256 MiB). Free (MiB), once the others are "
        "placed: b 76, c 76 of 588")


def test_commands_are_filled():
    assert evacuation.filled(["x", "{guest}:{to}", "{other}", "{}"], guest="g", to="{guest}") == [
        "x", "g:{guest}", "{other}", "{}"]


@pytest.mark.parametrize("code, text, problems", [
    (0, "ERROR:A: x", ["ERROR:A: x"]), (1, "ERROR:B: x", []), (1, "no word of it\n", ["no word of it"]), (0, "", []),
    (1, " \n", ["it says nothing"])])
def test_what_a_check_complains_of(code, text, problems):
    assert evacuation.verify_problems(code, text, r"ERROR:(\w+):", ["B"]) == problems


def test_a_complaint_that_others_follow_from_comes_first():
    text = "ERROR:A: 1\nERROR:DOWN: 2\nERROR:B: 3\nERROR:DOWN: 4\n"
    assert evacuation.verify_problems(1, text, r"ERROR:(\w+):", ["B"], ["DOWN"]) == [
        "ERROR:DOWN: 2", "ERROR:DOWN: 4", "ERROR:A: 1"]
