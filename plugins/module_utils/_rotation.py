# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for

OPTIONS = dict(
    state=dict(type="str", choices=["drain", "ready"], required=True),
    sessions_timeout=dict(type="float", default=0),
)
INTERVAL = 0.2


class Member:
    """A server of a balancer, and what the balancer said of it last.

    :cvar undone: the states that C(ready) undoes.
    :cvar idle: what it is to do at the end of a drain, in words.
    :ivar place: its name there. :ivar balancer: the balancer, in words.
    :ivar state: C(ready), C(drain), or what others have made of it. :ivar status: the balancer's own word.
    """

    undone: tuple[str, ...] = ("drain",)
    idle = "have no session"
    place = balancer = state = status = ""
    sessions = 0

    def look(self):
        """Ask the balancer, and return this."""
        raise NotImplementedError

    def allow(self, state):
        """Raise if it must not be set to that, also in check mode, or must not have been."""

    def set(self, state):
        """Set the state and see it set."""
        raise NotImplementedError

    def more(self):
        """What else there is to return."""
        return {}

    def gets_requests(self):
        """Whether its drain was taken back since, as the last look has it."""
        return self.state == "ready"

    def settle(self):
        """Wait for what there is to wait for after C(ready)."""


def forgotten(place, balancer, status):
    """That a server was drained and is not any more, in words."""
    return (f"expected {place} of {balancer} to stay in its drain; it gets requests again ({status}): was the balancer "
            "reloaded or restarted, or has somebody else, such as an agent-check, let it in? Nothing was stopped. See "
            "that nothing does that during the roll, and run the command again")


def set_back(member, state, refusal):
    """Undo what must not have been done."""
    try:
        member.set(state)
    except RollingError as exc:
        raise RollingError(f"{refusal.message}. This one could not be let in again: {exc.message}") from exc


def rotate(module, make):
    """Take a server out of rotation, or back; what a module returns of it, also where that has failed.

    :arg make: makes the Member.
    """
    params, state = module.params, module.params["state"]
    result: dict = dict(changed=False)
    error, member = None, None
    try:
        member = make()
        result["was"] = was = member.look().state
        needed = was == "ready" if state == "drain" else was in member.undone
        if needed:
            member.allow(state)
        if needed and not module.check_mode:
            member.set(state)
            try:
                # Another one may have been taken out in the same moment, and each has seen the other still in.
                member.allow(state)
            except RollingError as refusal:
                set_back(member, was, refusal)
                raise
        result["changed"] = needed
        if not module.check_mode and state == "ready":
            member.settle()
        elif not module.check_mode and params["sessions_timeout"]:
            def is_idle():
                # A balancer that has forgotten the drain has no session yet, and sends requests all the same.
                if member.look().gets_requests():
                    raise RollingError(forgotten(member.place, member.balancer, member.status))
                return not member.sessions

            if not wait_for(is_idle, params["sessions_timeout"], INTERVAL):
                raise RollingError(f"expected {member.place} of {member.balancer} to {member.idle} within "
                                   f"{params['sessions_timeout']:g} s of its drain; {member.sessions} left")
    except RollingError as exc:
        error = exc
    if member and "was" in result:
        # Also where the order was taken and the balancer could not be asked any more.
        result["changed"] = result["changed"] or member.state != result["was"]
        after = state if result["changed"] else result["was"]
        result.update(status=member.status, sessions=member.sessions, **member.more(), diff=dict(
            before=f"{member.place}: {result['was']}\n", after=f"{member.place}: {after}\n"))
    if error:
        raise RollingError(error.message, **result) from error
    return result
