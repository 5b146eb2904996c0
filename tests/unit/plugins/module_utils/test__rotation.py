# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _rotation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude

pytestmark = pytest.mark.usefixtures("clock")


class Member(_rotation.Member):
    """One whose balancer says these numbers of sessions, the last for ever, and then gives no answer."""

    place, balancer = "sf-api/sf-2", "the balancer"

    def __init__(self, state="ready", sessions=(0,), looks=99, refusal="", forgets=99, late="", stuck=""):
        self.state, self.left, self.looks, self.refusal = state, list(sessions), looks, refusal
        self.done, self.forgets, self.late, self.stuck = [], forgets, late, stuck

    def look(self):
        self.looks -= 1
        if self.looks < 0:
            raise RollingError("no answer")
        self.forgets -= 1
        self.state = "ready" if self.forgets < 0 else self.state
        self.status, self.sessions = self.state.upper(), self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return self

    def allow(self, state):
        if self.late if self.done else self.refusal:
            raise RollingError(self.late or self.refusal)

    def set(self, state):
        if self.done and self.stuck:
            raise RollingError(self.stuck)
        self.done.append(state)
        self.state = state

    def settle(self):
        self.done.append("settled")


@pytest.fixture
def rotate(run_module):
    def start(member, state, check=False, timeout=0):
        def make():
            if isinstance(member, Exception):
                raise member
            return member

        def main():
            module = AnsibleModule(dict(_rotation.OPTIONS), supports_check_mode=True)
            conclude(module, lambda: _rotation.rotate(module, make))

        return run_module(SimpleNamespace(main=main), check, state=state, sessions_timeout=timeout)

    return start


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("before, state, changed, done", [
    ("ready", "drain", True, ["drain"]), ("drain", "drain", False, []), ("out", "drain", False, []),
    ("drain", "ready", True, ["ready", "settled"]), ("ready", "ready", False, ["settled"]),
    ("out", "ready", False, ["settled"]),
])
def test_a_state(rotate, before, state, changed, done, check):
    member = Member(before)
    result = rotate(member, state, check)
    assert not result["failed"] and result["changed"] is changed and result["was"] == before
    assert member.done == ([] if check else done)
    after = state if changed else before
    assert result["diff"] == {"before": f"sf-api/sf-2: {before}\n", "after": f"sf-api/sf-2: {after}\n"}


def test_what_ready_undoes(rotate):
    member = Member("maint")
    member.undone = ("drain", "maint")
    assert rotate(member, "ready")["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_refusal_comes_before_the_change(rotate, check):
    member = Member(refusal="never the last one")
    result = rotate(member, "drain", check)
    assert result["failed"] and result["msg"] == "never the last one" and not result["changed"] and not member.done
    assert not rotate(Member("drain", refusal="never the last one"), "drain", check)["failed"]


def test_another_one_was_drained_in_the_same_moment(rotate):
    """Each has seen the other still in."""
    member = Member(late="never the last one")
    result = rotate(member, "drain")
    assert result["failed"] and result["msg"] == "never the last one" and member.done == ["drain", "ready"]
    assert not result["changed"] and result["diff"]["before"] == result["diff"]["after"]
    result = rotate(Member(late="never the last one", stuck="no answer"), "drain")
    assert result["failed"] and result["changed"] and result["was"] == "ready"
    assert result["msg"] == "never the last one. This one could not be let in again: no answer"


def test_sessions(rotate):
    assert rotate(Member(sessions=[3, 2, 0]), "drain", timeout=10)["sessions"] == 0
    result = rotate(Member(sessions=[3, 2]), "drain", timeout=0.5)
    assert result["failed"] and result["changed"] and result["sessions"] == 2
    assert result["msg"] == ("expected sf-api/sf-2 of the balancer to have no session within 0.5 s of its drain; 2 "
                             "left")
    # Nobody waits unasked, nor in check mode.
    assert not rotate(Member(sessions=[3]), "drain")["failed"]
    assert not rotate(Member(sessions=[3]), "drain", True, timeout=0.5)["failed"]


@pytest.mark.parametrize("before", ["ready", "drain"])
@pytest.mark.parametrize("sessions", [[3, 3, 3, 0], [3, 3, 3, 3]])
def test_a_drain_that_is_forgotten(rotate, before, sessions):
    """A balancer that is reloaded has no session, and sends some."""
    result = rotate(Member(before, sessions, forgets=3), "drain", timeout=9)
    assert result["failed"] and result["changed"] and result["was"] == before
    assert result["msg"].startswith("expected sf-api/sf-2 of the balancer to stay in its drain; it gets requests again "
                                    "(READY): was the balancer reloaded or restarted, or has")


def test_what_was_done_before_it_failed(rotate):
    result = rotate(Member(sessions=[3], looks=1), "drain", timeout=1)
    assert result["failed"] and result["msg"] == "no answer" and result["changed"] and result["was"] == "ready"
    result = rotate(RollingError("no such server"), "drain")
    assert result["failed"] and not result["changed"] and "was" not in result
