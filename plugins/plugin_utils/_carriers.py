# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# How new code comes to a node while all of a product is down: by a link to a staged release, or in packages.

from ansible_collections.shakenfist.rolling.plugins.module_utils._packages import upstream
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import (
    CHANGED,
    change_words,
    no_way_back,
    notes_of,
    packages_words,
    setting_words,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed


class Links:
    """Each unit runs from a link of its own to a release directory.

    :arg action: the action of the node, which calls modules.
    """

    def __init__(self, action):
        self.action, self.node, self.target = action, action.node, action.given.target

    def switch(self, services):
        """Give the services the new release."""
        self.link(self.target["name"], services)

    def back(self, prior):
        """Give all of them the release that they came from; may be asked where nothing was switched."""
        self.link(prior, self.node["services"])

    def link(self, release, services):
        for name in services:
            self.action.call(f"Give {name} its release", "release", state="active", name=release, scripts="release",
                             path=self.node["services"][name]["link"], releases=self.node["releases"],
                             distribution=self.node["distribution"])

    def runs_another(self, service, unit, release):
        """What is wrong with what a unit runs, in words."""
        inside = f"{self.node['releases']}/{release}/"
        return "" if unit["program"].startswith(inside) else (
            f"expected {service} to run a program of {inside}; it runs {unit['program']}")


class Packages:
    """The release comes in packages, from which there is no way back once one of them has changed."""

    def __init__(self, action):
        self.action, self.node, self.target = action, action.node, action.given.target
        self.step = self.node.get("step") or {}

    def switch(self, services):
        """Upgrade the packages while these services are down, and look at the settings that the new ones want.

        What is none of them runs the release already, and goes on.
        """
        action, step = self.action, self.step
        if step["upgrade"]:
            try:
                answer = action.call("Upgrade the packages", "packages", state="upgraded", start=False,
                                     units=list(services), stop_started=True, **step["arguments"])
            except Failed:
                self.see_what_moved()
                raise
            if any(answer["changes"].values()) or self.node["release"]["name"] == self.target["name"]:
                self.moved(self.target["version"])
            action.say(f"{action.name}: {change_words(answer['changes'], not action._task.check_mode)}")
            self.tell(*notes_of(action.name, answer), *(f"{action.name}: {words}" for words in step["notes"]))
        if step["checks"]:
            answer = action.call("Check the settings", "settings_files", checks=step["checks"], apply=step["apply"])
            self.tell(*(f"{action.name}: {setting_words(one)}" for one in answer["found"] if not one["applied"]))
            self.tell(*(f"{action.name}: {setting_words(one)}{CHANGED}" for one in answer["found"] if one["applied"]),
                      key="done")

    def tell(self, *lines, **key):
        if lines:
            self.action.say(*lines)
            self.action.add_notes(*lines, **key)

    def moved(self, words):
        """Note that there is no way back, and which packages the node has now."""
        self.action.remember(packages=words, beyond=no_way_back({self.action.name: words}))

    def see_what_moved(self):
        """An upgrade that has failed may have got anywhere."""
        try:
            seen = self.action.call("Check which packages have changed", "packages_info", names=self.step["patterns"])
        except Failed:
            self.moved("not known")
            return
        now = {name: one["version"] for name, one in seen["packages"].items()}
        if seen["interrupted"] or now != self.node["packages"] or self.node["release"]["name"] == self.target["name"]:
            release = upstream(now[self.step["package"]]) if self.step["package"] in now else "none of the product's"
            self.moved(packages_words(release, seen["interrupted"]))

    def back(self, prior):
        """Take the sources back; may be asked where nothing was switched."""
        if not self.step["upgrade"]:
            return
        known = self.step["arguments"]
        answer = self.action.call("Take the sources of apt back", "packages", state="reverted",
                                  **{key: known[key] for key in ("lock_timeout",) if key in known})
        self.action.check(f"{len(answer['moved'])} packages have changed ({', '.join(answer['moved'][:5])}), and there "
                          "is no way back" if answer["moved"] else "", "Take the sources of apt back")

    def runs_another(self, service, unit, release):
        """A process tells nothing of its package; it was started after that had come."""
        return ""


def carrier_of(action):
    """How the product of an action brings its code."""
    return Packages(action) if action.given.packages else Links(action)
