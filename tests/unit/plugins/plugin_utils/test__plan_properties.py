# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import plan_of, sizes
from ansible_collections.shakenfist.rolling.tests.unit.strategies import PROPERTY
from hypothesis import given
from hypothesis import strategies as st

SERIAL = st.sampled_from([1, 2, 3, 4, "30%", "100%", [1, 3], [2, 1], [3, 1, 2]])


@st.composite
def clusters(draw, most, tier=True):
    """A cluster as it was judged: its nodes, what the API says of them, and the nodes that --limit leaves out."""
    names = [f"n{number}" for number in range(draw(st.integers(1, most)))]
    zones = draw(st.sampled_from(["-", "xy", "xyz"]))
    often = st.sampled_from([True, True, True, False])
    verdict = {name: dict(database=tier and draw(st.booleans()), ready=draw(often), done=tier and not draw(often),
                          gateway_down=False, zone=draw(st.sampled_from(zones))) for name in names}
    facts = [dict(name=name, is_hypervisor=draw(often), is_network_node=draw(st.booleans())) for name in names]
    api = dict(known=True, nodes=facts, leader=draw(st.sampled_from(["", *names]))) if draw(often) else {}
    return verdict, api, draw(st.sampled_from([[], [], ["z"]])) if tier else []


def kinds_of(verdict, api, unseen):
    """The nodes that must not be out of rotation at once: of each kind all that serve, if they are several."""
    ready = [name for name in verdict if verdict[name]["ready"]]
    kinds = [{node["name"] for node in api.get("nodes", []) if node[kind] and node["name"] in ready}
             for kind in ("is_hypervisor", "is_network_node")]
    return [kind for kind in [*kinds, {*ready, *unseen}] if len(kind) > 1]


def is_down(batch, verdict):
    return not all(verdict[name]["ready"] for name in batch)


@PROPERTY
@given(clusters(9), SERIAL, st.booleans())
def test_a_plan_keeps_the_rules_whatever_the_cluster(cluster, serial, back):
    verdict, api, unseen = cluster
    plan = plan_of(verdict, serial, back, api, unseen)
    batches = [batch for wave in plan["waves"] for batch in wave["batches"]]
    # Each node that is left to do comes once, no other one at all.
    assert sorted(plan["order"]) == [name for name in verdict if not verdict[name]["done"]]
    assert plan["order"] == [name for batch in batches for name in batch]
    for batch in batches:
        assert len({verdict[name]["zone"] for name in batch}) == 1
        assert not any(kind <= set(batch) for kind in kinds_of(*cluster))
    # The database tier goes one by one, before the others or, on the way back, after them.
    tiers = [wave["name"] for wave in plan["waves"]]
    assert tiers == sorted(tiers, reverse=back)
    assert all(len(batch) == 1 for wave in plan["waves"] if wave["name"] == "database" for batch in wave["batches"])
    assert all(len(batch) <= size for batch, size in zip(plan["batches"], sizes(serial, len(plan["others"]))))
    for wave in plan["waves"]:
        # Those that serve nobody come first, the leader comes last.
        down = [is_down(batch, verdict) for batch in wave["batches"]]
        assert down == sorted(down, reverse=True)
        leader = plan["leader"]
        assert leader not in wave["batches"][0] or not verdict[leader]["ready"] or len(wave["batches"]) == 1 or (
            leader in wave["batches"][-1])


@PROPERTY
@given(clusters(9), SERIAL, st.booleans(), st.integers(0, 6))
def test_as_many_others_serve_as_are_wanted(cluster, serial, back, wanted):
    verdict, api, unseen = cluster
    plan = plan_of(verdict, serial, back, api, unseen, min_ready=wanted)
    serving, least = {*plan["serving"]}, []
    for batch in (batch for wave in plan["waves"] for batch in wave["batches"]):
        least.append(len(serving - set(batch)))
        serving |= set(batch)
    # What can never be is refused at once, and nothing else is.
    assert bool(plan["problem"]) == any(count < wanted for count in least)
    # Where several serve, somebody always does.
    assert len(plan["serving"]) < 2 or all(least)


def partitions(names):
    """All ways to divide names into batches, whatever their order."""
    if not names:
        yield []
    for part in partitions(names[1:]) if names else ():
        yield [names[:1], *part]
        for place, batch in enumerate(part):
            yield [*part[:place], names[:1] + batch, *part[place + 1:]]


@PROPERTY
@given(clusters(6, tier=False), st.integers(1, 4))
def test_batches_are_as_few_as_the_rules_allow(cluster, serial):
    verdict, api, dummy = cluster
    batches, kinds, leader = plan_of(verdict, serial, api=api)["batches"], kinds_of(*cluster), api.get("leader")
    ways = [way for way in partitions(list(verdict)) if all(
        len(batch) <= serial and len({verdict[name]["zone"] for name in batch}) == 1
        and not any(kind <= set(batch) for kind in kinds) for batch in way)]
    # The leader is not rolled with a node that is down before others.
    last = leader and verdict[leader]["ready"]
    ways = [way for way in ways if not last or all(is_down(batch, verdict) for batch in way)
            or not is_down(next(batch for batch in way if leader in batch), verdict)]
    some_down = is_down(verdict, verdict)
    assert len(batches) - min(map(len, ways)) in ([0, 1] if last and some_down else [0])
