# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import haproxy_server as part
from ansible_collections.shakenfist.rolling.plugins.modules import haproxy_server
from ansible_collections.shakenfist.rolling.tests.unit.fake_haproxy import (
    DOWN,
    DRAINED,
    MAINT,
    UP,
    FakeHaproxy,
    server,
    table,
)

PLACE = ("sf-api", "sf-2")


@pytest.fixture
def haproxy():
    """Start a HAProxy; sf-2 has these looks and this srv_admin_state."""
    fakes = []

    def start(*looks, bits=0, kind="tcp"):
        fakes.append(FakeHaproxy(kind, [{"sf-2": look} if isinstance(look, dict) else look for look in looks]))
        fakes[-1].admin[PLACE] = bits
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.close()


@pytest.fixture
def run(run_module):
    def start(fake, state, check=False, **arguments):
        return run_module(haproxy_server, check, **dict(
            dict(address=fake.address, backend="sf-api", server="sf-2", state=state), **arguments))

    return start


@pytest.mark.parametrize("look, bits, state, was, after", [
    (UP, 0, "drain", "ready", DRAINED),
    (DOWN, 0, "drain", "ready", DOWN),
    (DRAINED, 8, "ready", "drain", UP),
    (DOWN, 8, "ready", "drain", DOWN),
    (MAINT, 1, "ready", "maint", UP),
])
@pytest.mark.parametrize("check", [True, False])
def test_a_state_is_set(haproxy, run, look, bits, state, was, after, check):
    fake = haproxy(look, after, bits=bits)
    result = run(fake, state, check)
    assert not result["failed"] and result["changed"] and result["was"] == was
    assert result["diff"] == {"before": f"sf-api/sf-2: {was}\n", "after": f"sf-api/sf-2: {state}\n"}
    assert fake.orders == ([] if check else [f"set server sf-api/sf-2 state {state}"])
    assert result["status"] == (look if check else after)["status"] and result["sessions"] == 0
    if not check:
        again = run(fake, state)
        assert not again["failed"] and not again["changed"] and again["was"] == state and len(fake.orders) == 1


@pytest.mark.parametrize("look, bits, state, was", [
    (DRAINED, 8, "drain", "drain"),
    (DRAINED, 16, "drain", "drain"),
    (MAINT, 1, "drain", "maint"),
    (UP, 0, "ready", "ready"),
    (DOWN, 0, "ready", "ready"),
])
def test_nothing_to_do(haproxy, run, look, bits, state, was):
    fake = haproxy(look, bits=bits)
    result = run(fake, state)
    assert not result["failed"] and not result["changed"] and result["was"] == was
    assert result["diff"]["before"] == result["diff"]["after"] and fake.orders == []


def test_it_waits_for_sessions(haproxy, run):
    fake = haproxy(server(sessions=3), server("DRAIN", 3), server("DRAIN", 1), DRAINED)
    result = run(fake, "drain", sessions_timeout=60)
    assert not result["failed"] and result["changed"] and result["sessions"] == 0


def test_it_waits_for_sessions_of_an_earlier_drain(haproxy, run):
    result = run(haproxy(server("DRAIN", 3), server("DRAIN", 1), DRAINED, bits=8), "drain", sessions_timeout=60)
    assert not result["failed"] and not result["changed"] and result["sessions"] == 0


def test_sessions_are_left(haproxy, run):
    result = run(haproxy(UP, server("DRAIN", 2)), "drain", sessions_timeout=0.1)
    assert result["failed"] and result["changed"] and result["was"] == "ready" and result["sessions"] == 2
    assert re.match(r"expected sf-api/sf-2 of HAProxy 127\S* to have no session within 0.1 s of its drain; 2 left$",
                    result["msg"])


@pytest.mark.parametrize("look", [UP, server("no check", check="")])
def test_haproxy_is_reloaded_meanwhile(haproxy, run, look):
    """The new process has no session, and knows of no drain."""
    fake, bits = haproxy(server("DRAIN", 3), server("DRAIN", 3), look, bits=8), [8, 8]
    fake.admin = Forgetting(bits)
    result = run(fake, "drain", sessions_timeout=60)
    assert result["failed"] and result["was"] == "drain" and "gets requests again (" in result["msg"]
    assert "Nothing was stopped" in result["msg"]


class Forgetting(dict):
    """The srv_admin_state of the server, one for each look, and then that it is ready."""

    def __init__(self, bits):
        super().__init__()
        self.bits = bits

    def items(self):
        return [(PLACE, self.bits.pop(0) if self.bits else 0)]


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_server_that_is_down_gets_no_requests(haproxy, run, kind):
    """A page does not say that it is drained, too."""
    fake = haproxy(server("DRAIN", 3), DOWN, bits=8, kind=kind)
    fake.admin = Forgetting([8])
    result = run(fake, "drain", sessions_timeout=60)
    assert not result["failed"] and result["sessions"] == 0


def table_of(own, **others):
    return table({"sf-2": own, **{name.replace("_", "-"): look for name, look in others.items()}})


@pytest.mark.parametrize("own, others, arguments, words", [
    (UP, dict(sf_1=UP, sf_3=DOWN), {}, None),
    (UP, dict(sf_1=server("no check")), {}, None),
    (UP, dict(sf_1=DOWN, sf_3=MAINT), dict(allow_last=True), None),
    (DOWN, dict(sf_1=DOWN), {}, None),
    (UP, {}, {}, None),
    (UP, dict(sf_1=DOWN, sf_3=MAINT), {}, r"sf-1 is DOWN \(L7STS 503\), sf-3 is MAINT: let one of them in first$"),
    (UP, dict(sf_1=DRAINED), {}, r"sf-1 is DRAIN \(L7OK 200\): let one of them in first$"),
])
@pytest.mark.parametrize("check", [True, False])
def test_the_last_one_that_gets_requests(haproxy, run, own, others, arguments, words, check):
    before, after = table_of(own, **others), table_of(DRAINED, **others)
    # The second look is the one at all servers, which are looked at again afterwards.
    fake = haproxy(before, before, after)
    result = run(fake, "drain", check, **arguments)
    assert result["failed"] == bool(words) and result["was"] == "ready" and result["changed"] == (not words)
    if words:
        assert fake.orders == [] and re.match(
            rf"sf-2 is the only server of sf-api that HAProxy 127\S* sends requests to; {words}", result["msg"])


@pytest.mark.parametrize("own, arguments, refused", [(UP, {}, True), (UP, dict(allow_last=True), False),
                                                     (DOWN, {}, False)])
def test_two_are_drained_in_the_same_moment(haproxy, run, own, arguments, refused):
    """Each has seen the other still up."""
    before, both = table_of(own, sf_1=UP), table_of(DRAINED if own is UP else DOWN, sf_1=DRAINED)
    fake = haproxy(before, before, both)
    result = run(fake, "drain", **arguments)
    assert result["failed"] is refused and result["was"] == "ready" and result["changed"] is not refused
    assert fake.orders == [f"set server sf-api/sf-2 state {state}" for state in ["drain", "ready"][:1 + refused]]
    assert not refused or re.match(r"sf-2 is the only server .* sf-1 is DRAIN \(L7OK 200\): let one", result["msg"])


def test_another_backend_sends_to_it(haproxy, run):
    here = dict(addr="10.0.0.2:13000")
    look = {"sf-2": dict(DRAINED, **here), ("admin", "n2"): dict(UP, **here)}
    assert run(haproxy(table(look), bits=8), "drain")["senders"] == ["admin/n2"]
    assert run(haproxy(DRAINED, bits=8), "drain")["senders"] == []


def test_nobody_waits_for_sessions_unasked(haproxy, run):
    for arguments in (dict(state="drain"), dict(state="drain", check=True, sessions_timeout=9)):
        result = run(haproxy(UP, server("DRAIN", 2)), **arguments)
        assert not result["failed"] and result["changed"]


@pytest.mark.parametrize("fields, hint", [({}, r"DRAIN \(L7OK 200\)$"),
                                          (dict(tracked="a/b"), "it tracks a/b: set that one$")])
def test_the_order_had_no_effect(haproxy, run, monkeypatch, fields, hint):
    monkeypatch.setattr(part, "SET_WITHIN", 0.1)
    fake = haproxy(server("DRAIN", **fields), bits=16)
    fake.obeys = False
    result = run(fake, "ready")
    assert result["failed"] and not result["changed"] and result["was"] == "drain"
    assert re.search(f"expected HAProxy .* to have sf-api/sf-2 as ready; last seen: drain, .*{hint}", result["msg"])


def test_haproxy_ends_after_the_order(haproxy, run):
    result = run(haproxy(UP, UP, ""), "drain")
    assert result["failed"] and result["changed"] and result["was"] == "ready" and "it said nothing" in result["msg"]


def test_a_socket_without_rights(haproxy, run):
    fake = haproxy(UP)
    fake.says["set server"] = "Permission denied\n\n"
    result = run(fake, "drain")
    assert result["failed"] and not result["changed"] and "needs `level admin`" in result["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_page_sets_nothing(haproxy, run, check):
    result = run(haproxy(UP, kind="http"), "drain", check)
    assert result["failed"] and not result["changed"] and "give its socket" in result["msg"]


def test_a_page_can_tell_that_all_is_well(haproxy, run):
    result = run(haproxy(DRAINED, kind="http"), "drain")
    assert not result["failed"] and not result["changed"] and result["was"] == "drain"


@pytest.mark.parametrize("arguments, message", [
    (dict(backend="nope"), "has no backend nope; it has sf-api$"),
    (dict(server="sf-9"), "has no server sf-9 in backend sf-api; it has sf-2$"),
    (dict(address="127.0.0.1:1"), "cannot be asked: Connection refused"),
    (dict(address="http://joe:s3cret@127.0.0.1:1/"), "cannot be asked: Connection refused"),
    (dict(address="lb"), "is no address of an HAProxy"),
])
def test_failures(haproxy, run, arguments, message):
    result = run(haproxy(UP), "drain", **arguments)
    assert result["failed"] and not result["changed"] and "was" not in result
    assert re.search(message, result["msg"]) and "s3cret" not in str(result)
