# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _packages
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._services import services_of

STEP = dict(package="snf-common", to="0.19", suites={"wheezy": "jessie"}, reboot=True, **{"from": ["0.18.1"]})
TARGET = dict(name="0.19", version="0.19")
PRODUCT = services_of([dict(name="archipelago", beside=["snf-pithos-app"]), dict(name="gunicorn", beside=[]),
                       dict(name="eventd", counts=False)])
FOUND = dict(title="the mode", file="/etc/g", line=3, found="'django'", wanted="'wsgi'", needed=True, applied=False,
             problem="")


def package(version="0.18.1-1", since=100.0):
    return dict(version=version, state="installed", held=False, candidate="", since=since)


def unit(**facts):
    return dict(dict(active=True, managed=True, entered=200.0, program="", load="loaded", state="active (running)",
                     stop_seconds=1.0, invocation="x", restarts=0), **facts)


def node(step=None, units=None, apt=None, found=(), **packages):
    info = dict(dict(packages={name.replace("_", "-"): one for name, one in packages.items()}, broken=[],
                     interrupted=False, locked={}, policy="", started=[], rebooted=True), **(apt or {}))
    step = _packages.step_of(dict(STEP, **(step or {})))
    seen = dict(archipelago=unit(), gunicorn=unit()) if units is None else units
    made = _packages.node_of_packages(PRODUCT, "snf-1", "10.0.0.1", step, info, dict(units=seen))
    return dict(made, settings_found=list(found))


def test_a_step():
    step = _packages.step_of(dict(STEP, to=0.19))
    assert step["to"] == "0.19" and step["starts"] == ["0.18.1"] and step["upgrade"] and step["reboot"]
    assert step["arguments"] == dict(suites={"wheezy": "jessie"}) and step["patterns"] == ["snf-common"]
    assert _packages.target_of_step(step) == _packages.target_of_step(step, "0.19") == TARGET
    with pytest.raises(RollingError, match="leads to 0.19, and 0.20 was asked for"):
        _packages.target_of_step(step, "0.20")
    with pytest.raises(AnsibleError, match="cluster_packages has no package and to"):
        _packages.step_of({})


STEPS = dict(package="snf-common", lock_timeout=600.0, apply=True, steps={
    "0.19": dict(suites={"wheezy": "jessie"}, reboot=True, **{"from": ["0.18.1"]}),
    0.2: dict(package="snf-other", **{"from": ["0.19"]})})


@pytest.mark.parametrize("release", ["0.19", 0.19])
def test_one_step_of_several(release):
    step = _packages.step_of(dict(STEPS, release=release))
    assert step == _packages.step_of(dict(STEP, lock_timeout=600.0, apply=True))
    assert step["arguments"] == dict(suites={"wheezy": "jessie"}, lock_timeout=600.0)


def test_a_step_goes_before_what_all_have():
    step = _packages.step_of(dict(STEPS, release="0.2"))
    assert (step["package"], step["to"], step["starts"], step["reboot"]) == ("snf-other", "0.2", ["0.19"], False)


@pytest.mark.parametrize("release", ["0.21", None])
def test_a_release_to_which_no_step_leads(release):
    with pytest.raises(AnsibleError, match=f"leads to 0.19 and 0.2, and {release} was asked for: give it a step"):
        _packages.step_of(dict(STEPS, release=release))


def test_a_node():
    made = node(snf_common=package(), snf_pithos_app=package())
    assert made["release"]["version"] == "0.18.1" and list(made["services"]) == ["archipelago", "gunicorn"]
    assert {one["runs"] for one in made["services"].values()} == {"0.18.1"} and made["previous"] == {}
    # What is on a node for something else is left alone.
    assert list(node(snf_common=package())["services"]) == ["gunicorn"]
    assert node(dict(upgrade=False), snf_common=package("0.19-1"))["previous"]["name"] == "0.19"


@pytest.mark.parametrize("facts, runs", [
    (dict(entered=50.0), _packages.EARLIER), (dict(entered=None), _packages.EARLIER), (dict(entered=101.0), "0.19"),
    (dict(active=False), "")])
def test_what_a_service_runs(facts, runs):
    """Only one that was started after its package had come runs that."""
    made = node(units=dict(gunicorn=unit(**facts)), snf_common=package("0.19-1"))
    assert made["services"]["gunicorn"]["runs"] == runs


@pytest.mark.parametrize("version, step, words", [
    ("0.18.1-1", {}, ""), ("0.19-1", {}, ""),
    ("0.18-1", {}, "it has snf-common 0.18, and 0.19 is reached from 0.18.1 only: upgrade it to"),
    ("0.20-1", {}, "it has snf-common 0.20, and 0.19 is reached from 0.18.1 only"),
    ("0.18.1-1", dict(upgrade=False, first="Ganeti's turn comes first"),
     "it has snf-common 0.18.1, expected 0.19: Ganeti's turn comes first"),
    ("0.18.1-1", dict(upgrade=False), "it has snf-common 0.18.1, expected 0.19: upgrade it first"),
    (None, {}, "it has no package snf-common, by which a node's release is known: take it out")])
def test_where_a_node_may_start(version, step, words):
    made = node(step, **(dict(snf_common=package(version)) if version else {}))
    findings = _packages.package_findings("snf-1", made, TARGET)
    assert bool(findings.failed()) is bool(words)
    assert words in " ".join(_packages._start(made["step"], made["release"]["version"], TARGET))


@pytest.mark.parametrize("step, packages, fails", [
    (dict(upgrade=False), dict(snf_common=package()), False), (dict(upgrade=False), {}, True),
    ({}, dict(snf_common=package("0.18-1")), True)])
def test_what_only_rehearses_has_not_upgraded_a_node_whose_turn_is_first(step, packages, fails):
    found = _packages.package_findings("snf-1", dict(node(step, **packages), rehearsed=True), TARGET)
    assert bool(found.failed()) is fails
    assert [one.check for one in found if one.level != "pass"] == ["release"]


@pytest.mark.parametrize("apply, configured, problem, fails", [
    (False, False, "", True), (True, False, "", False), (False, True, "", False), (True, False, "do it", True)])
def test_settings_that_are_needed(apply, configured, problem, fails):
    made = node(dict(apply=apply), found=[dict(FOUND, problem=problem)], snf_common=package())
    assert bool(_packages.package_findings("snf-1", made, TARGET, configured).failed()) is fails


@pytest.mark.parametrize("apply, problem, words", [
    (True, "", "wanted is 'wsgi': it would be changed"), (False, "", "wanted is 'wsgi'"),
    (True, "do it", "wanted is 'wsgi' (do it)")])
def test_settings_that_are_only_advised(apply, problem, words):
    """The preflight changes nothing, and where it refuses, nor does the run."""
    made = node(dict(apply=apply), found=[dict(FOUND, needed=False, problem=problem)], snf_common=package())
    findings = _packages.package_findings("snf-1", made, TARGET)
    assert not findings.failed()
    assert [one.words for one in findings if one.level == "warn"] == [f"the mode: /etc/g:3 has 'django', {words}"]


@pytest.mark.parametrize("apt", [
    dict(interrupted=True, broken=["a"]), dict(interrupted=True), dict(policy="ours"),
    dict(locked=dict(pid=7, command="unattended-upgrade"))])
def test_what_an_earlier_run_has_left_is_no_refusal(apt):
    made = node(apt=apt, snf_common=package())
    assert not _packages.package_findings("snf-1", made, TARGET).failed()


@pytest.mark.parametrize("step, limit", [({}, "600 s"), (dict(lock_timeout=5.0), "5 s"), (dict(upgrade=False), "")])
def test_an_apt_that_is_at_work_is_waited_for_before_anything_is_stopped(step, limit):
    made = node(step, apt=dict(locked=dict(pid=7, command="unattended-upgrade")), snf_common=package("0.19-1"))
    assert [one.words for one in _packages.package_findings("snf-1", made, TARGET) if one.level == "warn"] == ([
        "unattended-upgrade (pid 7) is at work with apt: before anything is stopped it is waited for, for up to "
        f"{limit}"] if limit else [])


@pytest.mark.parametrize("version, rebooted, order, reboots", [
    ("0.18.1-1", True, ["snf-1"], True), ("0.19-1", False, [], True), ("0.19-1", True, ["snf-1"], False),
    ("0.18.1-1", True, [], False)])
def test_who_reboots(version, rebooted, order, reboots):
    """A run that was killed before its reboots is continued by the next one."""
    made = node(apt=dict(rebooted=rebooted), snf_common=package(version))
    assert _packages.to_reboot({"snf-1": made}, order) == (["snf-1"] if reboots else [])
    assert _packages.to_reboot({"snf-1": dict(made, step=dict(made["step"], reboot=False)), "sf-1": {}}, order) == []


def test_words():
    assert _packages.setting_words(FOUND) == "the mode: /etc/g:3 has 'django', wanted is 'wsgi'"
    assert _packages.setting_words(dict(FOUND, line=0, problem="no", found="a\n b")) == (
        "the mode: /etc/g has a b, wanted is 'wsgi' (no)")
    many = [dict(name=f"p{number}", before="1", after="2") for number in range(10)]
    assert _packages.change_words(dict(upgraded=many, installed=[], removed=["x"]), done=True) == (
        "10 upgraded (p0 2, p1 2, p2 2, p3 2, p4 2, p5 2, p6 2, p7 2 and 2 more); 1 removed (x)")
    assert _packages.change_words(dict(upgraded=many[:1], installed=many[1:2], removed=["x"]), done=False) == (
        "1 to upgrade (p0 2); 1 new (p1 2); 1 to remove (x)")
    assert _packages.change_words(dict(upgraded=[], installed=[], removed=[]), done=True) == "no package changes"
    started = dict(unit="gunicorn", pid=7, command="g", package="snf", script="postinst", prevented=False)
    lines = _packages.notes_of("snf-1", dict(
        started=[started, dict(started, prevented=True), dict(started, unit="", package="")], continued=["a"],
        policy="recovered", conffiles=["/etc/x"], unmapped=["stable"]))
    assert lines[0] == ("snf-1: postinst of snf has started gunicorn in spite of the policy (pid 7); it was stopped "
                        "again")
    assert lines[1].endswith("postinst of snf was to start gunicorn in spite of the policy; its unit is held, so it "
                             "did not start")
    assert lines[2].startswith("snf-1: something unknown has started g ") and len(lines) == 7
    assert _packages.notes_of("snf-1", {}) == []
