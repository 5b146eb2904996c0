# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# How new code comes to a node while all of a product is down: by a link to a staged release, or in packages.

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError


class Links:
    """Each unit runs from a link of its own to a release directory.

    :arg action: the action of the node, which calls modules.
    """

    def __init__(self, action):
        self.action, self.node, self.target = action, action.node, action.given.target

    def place(self, name):
        """A path of ours on the node that is as old as what this run brings."""
        return f"{self.node['releases']}/{self.target['name']}/{name}"

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


def carrier_of(action):
    """How the product of an action brings its code."""
    if action.given.packages:
        raise RollingError("packages are not known here yet")
    return Links(action)
