# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Tells of each guest that moves, while the others still wait: the module moves one in each call. What is done is
# kept in the record of the node, for the cluster may not be there to be asked.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StepsAction

# The states that move guests, and what the report says of those that have moved, also where others have not.
MOVES = dict(emptied="Moved away from", returned="Given back to")
GONE = "nowhere, it was removed"
FLAGS = ("drained", "undrained", "offline", "online")


class ActionModule(StepsAction):
    """The module, guest by guest where it moves any."""

    def steps(self, task_vars):
        given = dict(self._task.args)
        if given.get("state") not in MOVES or given.get("at_most"):
            return self.call(given)
        return self.one_by_one(given)

    def call(self, given):
        answer = self.module("evacuation", self.task_vars, **given)
        state = given.get("state")
        if state in FLAGS:
            self.know(flag=state)
        elif state == "leading":
            self.know(led=True)
        elif state in ("paused", "resumed"):
            self.know(paused=answer.get("until", 0))
        return answer

    def know(self, **values):
        # What runs once for all nodes would give each of them the record of the first.
        if not self._task.check_mode and not self._task.run_once:
            self.note(host={**self.so_far("host"), **values})

    def one_by_one(self, given):
        """Call the module until it has nothing left to move; gives its last answer, with all that was moved."""
        moved: list[dict] = []
        while True:
            try:
                answer = self.call(dict(given, at_most=1))
            except Failed as exc:
                moved += exc.result.get("moved") or []
                self.keep(given, moved)
                raise
            now = answer.get("moved") or []
            moved += now
            left = answer.get("remaining") or []
            for one in now:
                further = f", {len(left)} left" if left else ""
                self.say(f"{one['guest']} ({one['state']}): {one['from']} -> {one['to'] or GONE} "
                         f"in {one['seconds']:g} s{further}")
            if not now or not left or self._task.check_mode:
                break
        # Where the last one was moved, what belongs to the end of it all is still to be done.
        if moved and not self._task.check_mode:
            answer = self.call(dict(given))
            moved += answer.get("moved") or []
        self.keep(given, moved)
        found = {key: answer[key] for key in ("hosts", "guests", "remaining", "left") if key in answer}
        return dict(found, moved=moved)

    def keep(self, given, moved):
        """For the report, which guests moved where."""
        if moved:
            known = self.so_far("host").get("moved", {})
            away = {one["guest"]: one["to"] if given["state"] == "emptied" else "" for one in moved}
            self.know(moved={guest: to for guest, to in {**known, **away}.items() if to})
            back = given["state"] == "returned"
            words = ", ".join(one["guest"] if back else f"{one['guest']} to {one['to'] or GONE}" for one in moved)
            self.add_notes(f"{MOVES[given['state']]} {given.get('host')}: {words}", key="done")
