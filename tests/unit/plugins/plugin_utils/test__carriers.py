# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._carriers import carrier_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._steps import Failed, StepsAction

NODE = dict(releases="/r", distribution="dragonflow", services=dict(
    server=dict(link="/c/server"), agent=dict(link="/c/agent")))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def links(calls):
    def call(title, module, **arguments):
        calls.append((module, arguments["path"], arguments["name"], arguments["scripts"]))
    return carrier_of(SimpleNamespace(node=NODE, call=call, given=SimpleNamespace(
        packages={}, target=dict(name="5.0.0-a"))))


def test_links(links, calls):
    links.switch(["agent"])
    links.back("4.0.0")
    assert calls == [("release", "/c/agent", "5.0.0-a", "release"), ("release", "/c/server", "4.0.0", "release"),
                     ("release", "/c/agent", "4.0.0", "release")]


def test_what_a_unit_runs(links):
    assert links.runs_another("server", dict(program="/r/4.0.0/bin/python"), "4.0.0") == ""
    assert links.runs_another("server", dict(program="/r/4.0.0/bin/python"), "5.0.0-a") == (
        "expected server to run a program of /r/5.0.0-a/; it runs /r/4.0.0/bin/python")


class Node:
    """An action with what the modules of a node answer; a failure is what is raised."""

    def __init__(self, step=None, **answers):
        self.node = dict(releases="/p", release=dict(name="0.18.1"), packages={"snf-common": "0.18.1-1"},
                         services=dict(gunicorn={}, archipelago={}),
                         step=dict(dict(upgrade=True, arguments=dict(suites={"a": "b"}), checks=[], apply=False,
                                        notes=[], patterns=["snf-*"], package="snf-common"), **(step or {})))
        self.given = SimpleNamespace(packages=dict(to="0.19"), target=dict(name="0.19", version="0.19"))
        self.name, self.answers, self.calls, self.said, self.values = "snf-1", answers, [], [], {}
        self._task = SimpleNamespace(check_mode=False)
        self.record, self.packages, self.beyond = SimpleNamespace(notes=["before"], done=[]), "", ""

    def call(self, title, module, **arguments):
        self.calls.append((module, arguments))
        answer = self.answers[module]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def say(self, *lines):
        self.said += lines

    add_notes = StepsAction.add_notes
    so_far = StepsAction.so_far

    def note(self, **values):
        self.values.update(values)

    def remember(self, packages, beyond):
        self.packages, self.beyond = packages, beyond

    def check(self, problem, title=""):
        if problem:
            raise Failed(dict(msg=problem), title)


CHANGES = dict(upgraded=[dict(name="snf-common", before="0.18.1-1", after="0.19-1")], installed=[], removed=[])
NONE = dict(upgraded=[], installed=[], removed=[])
FOUND = dict(title="the mode", file="/etc/g", line=3, found="'django'", wanted="'wsgi'", problem="", applied=True)


def test_packages_are_upgraded():
    node = Node(dict(checks=[dict(title="x")], apply=True, notes=["Users need kamaki."]),
                packages=dict(changes=CHANGES, conffiles=["/etc/x"]),
                settings_files=dict(found=[FOUND, dict(FOUND, title="hosts", applied=False)]))
    carrier = carrier_of(node)
    assert carrier.runs_another("gunicorn", {}, "0.19") == ""
    carrier.switch(["gunicorn"])
    assert node.calls == [
        ("packages", dict(state="upgraded", start=False, units=["gunicorn"], stop_started=True,
                          suites={"a": "b"})), ("settings_files", dict(checks=[dict(title="x")], apply=True))]
    assert node.packages == "0.19"
    assert node.beyond.startswith("packages have changed (snf-1: 0.19), and there is no way back from a release")
    assert node.values["notes"] == [
        "before", "snf-1: kept as you have them, though their packages have others (PATH.dpkg-dist): /etc/x",
        "snf-1: Users need kamaki.", "snf-1: hosts: /etc/g:3 has 'django', wanted is 'wsgi'"]
    assert node.values["done"] == ["snf-1: the mode: /etc/g:3 has 'django', wanted is 'wsgi': changed"]
    assert node.said[-2:] == [node.values["notes"][-1], node.values["done"][0]]


def test_a_node_that_has_its_packages():
    node = Node(dict(upgrade=False))
    carrier_of(node).switch(["gunicorn"])
    carrier_of(node).back("0.19")
    assert node.calls == [] and not node.beyond


@pytest.mark.parametrize("changes, release, beyond", [(NONE, "0.18.1", False), (NONE, "0.19", True)])
def test_where_nothing_has_changed(changes, release, beyond):
    """What an earlier run has upgraded has no way back, either."""
    node = Node(packages=dict(changes=changes))
    node.node["release"]["name"] = release
    carrier_of(node).switch([])
    assert bool(node.beyond) is beyond


@pytest.mark.parametrize("seen, words", [
    (dict(interrupted=False, packages={"snf-common": dict(version="0.18.1-1")}), ""),
    (dict(interrupted=True, packages={"snf-common": dict(version="0.18.1-1")}), "0.18.1, half configured"),
    (dict(interrupted=False, packages={"snf-common": dict(version="0.19-1")}), "0.19"),
    (dict(interrupted=True, packages={"snf-common": dict(version="0.19-1")}), "0.19, half configured"),
    (dict(interrupted=True, packages={}), "none of the product's, half configured"),
    (Failed(dict(msg="no"), ""), "not known")])
def test_an_upgrade_that_fails(seen, words):
    """It may have got anywhere, and only where nothing has changed is there a way back."""
    node = Node(packages=Failed(dict(msg="no"), "Upgrade the packages"), packages_info=seen)
    with pytest.raises(Failed):
        carrier_of(node).switch([])
    assert node.packages == words and node.beyond.startswith(f"packages have changed (snf-1: {words})" if words else "")
    assert bool(node.beyond) is bool(words)


def test_the_sources_go_back():
    node = Node(packages=dict(moved=[]))
    carrier_of(node).back("0.18.1")
    assert node.calls == [("packages", dict(state="reverted"))]
    node.node["step"]["arguments"]["lock_timeout"] = 5.0
    carrier_of(node).back("0.18.1")
    assert node.calls[-1] == ("packages", dict(state="reverted", lock_timeout=5.0))
    node = Node(packages=dict(moved=["a", "b"]))
    with pytest.raises(Failed) as failure:
        carrier_of(node).back("0.18.1")
    assert failure.value.result["msg"] == "2 packages have changed (a, b), and there is no way back"
