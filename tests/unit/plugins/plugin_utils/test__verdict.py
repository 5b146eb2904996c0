# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Finding
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verdict import judge_nodes

NO_DUMP = {"mariadb-dump": "", "mysqldump": ""}
TARGET = {"name": "0.8.1-aa", "version": "0.8.1"}


def judged(*arguments, **options):
    """The verdict, with the words of all that fails."""
    return {name: dict(node, problems=[finding.words for finding in node["findings"].failed()])
            for name, node in judge_nodes(*arguments, **options).items()}


def seen(ready=True, failure="", gateways=None, **node):
    """What a healthy node of the database tier looks like, with changes."""
    return dict(
        node=dict(dict(
            problem="", has_database_credentials=True, config="/etc/sf/config", database_unit="sf-database",
            api_unit="sf-api", units={"sf-api": {}, "sf-database": {}}, gateways=["10.0.0.1:13005"],
            gateway="10.0.0.1:13005", ready_url="http://10.0.0.1:13000/readyz", release={"version": "0.8.0"},
            staged=[], behind=[], name="n", daemons=[], sentinels=[],
            drain_grace=25.0, drain_grace_source="config", venv="/v", releases="/r",
            distribution="shakenfist", present={}), **node),
        failure=failure, ready=ready, answers="200" if ready else "503",
        gateways={"10.0.0.1:13005": "SERVING"} if gateways is None else gateways)


def unit(**sf_api):
    """A node with this unit sf-api."""
    return seen(units={"sf-api": sf_api, "sf-database": {}})


def host(**changes):
    """A node with this host."""
    return dict(seen(), host=dict(dict(needed=200 * 2**20, free=2**40, same_file_system=True, unsafe=[]), **changes))


def other(**changes):
    """A healthy node that is not in the database tier."""
    return seen(**dict(dict(has_database_credentials=False, units={"sf-api": {}}, gateway="10.0.0.3:13005"), **changes))


def verdict(node, database=("a",), target=None, **options):
    return judged({"a": node}, list(database), TARGET if target is None else target, **options)["a"]


@pytest.mark.parametrize("options, fails", [(dict(restart=True), False), (dict(back=True), False), ({}, True)])
def test_a_link_of_the_operators_own(options, fails):
    node = seen(release={"version": "0.8.0", "path": "/opt/venv", "outside": "/opt"})
    assert verdict(node, **options)["problems"] == ([
        "/v is a link to /opt/venv, which is not in /r, so that a node that fails could not go back to it: pass "
        "-e cluster_releases=/opt, which makes that the place of all releases, or, if that is on another file system "
        "than /v, make it a directory again"] if fails else [])


def test_a_fit_node():
    result = verdict(seen())
    assert {finding.level for finding in result.pop("findings")} == {"pass"}
    assert result == {"name": "n", "database": True, "version": "0.8.0", "contents": "", "zone": "", "ready": True,
                      "out": False, "gateway_down": False, "done": False, "problems": []}
    assert verdict(other(), database=[])["problems"] == []


def test_a_clock_that_was_set_back():
    node = seen(release={"version": "0.8.0", "path": "/r/0.8.0-aa", "ahead": 3599})
    assert verdict(node)["problems"] == [
        "by its clock, /r/0.8.0-aa became active 3599 s in the future: the clock was set back since, and no daemon "
        "would ever count as started after that. See that the clock is right (timedatectl), then: touch -h /v "
        "/r/0.8.0-aa/lib/python*/site-packages/shakenfist-*.dist-info/RECORD"]


def test_a_balancer_that_cannot_be_told():
    balancer = dict(reachable=False, problems=["HAProxy h:1 cannot be asked: refused"], told=True)
    assert verdict(dict(seen(), balancer=balancer))["problems"] == [
        "HAProxy h:1 cannot be asked: refused: it is to be told before each drain, correct drain_haproxy_address or "
        "leave it out"]


@pytest.mark.parametrize("reachable, problems, level, words", [
    (True, [], "pass", ""),
    (True, ["the check of sf-api/a is none"], "fail", "sf-api/a is none. Or, .* -e drain_tell_first=true"),
    (False, ["HAProxy h:1 cannot be asked: refused"], "warn", "refused: the roll goes on without asking it"),
])
def test_the_balancer(reachable, problems, level, words):
    result = verdict(dict(seen(), balancer=dict(reachable=reachable, problems=problems)))
    finding = next(finding for finding in result["findings"] if finding.check == "balancer")
    assert finding.level == level and re.search(words, finding.words)
    assert "balancer" not in [finding.check for finding in verdict(seen())["findings"]]


@pytest.mark.parametrize("told, known, advised", [(True, True, False), (False, False, False), (False, True, True)])
def test_to_have_the_balancer_told_is_advised_where_that_helps(told, known, advised):
    balancer = dict(reachable=True, problems=["HAProxy h:1 has no server a"], told=told, known=known)
    (problem,) = verdict(dict(seen(), balancer=balancer))["problems"]
    assert ("drain_tell_first" in problem) is advised


@pytest.mark.parametrize("node, database, message", [
    (dict(seen(), failure="unreachable", node={}), ["a"], "^unreachable$"),
    (seen(problem="it is broken"), ["a"], "^it is broken. Repair it: reinstall the release that the node ran before"),
    (seen(has_database_credentials=False), ["a"], "in the database tier, but /etc/sf/config has no MARIADB_HOST"),
    (seen(units={"sf-api": {}}), ["a"], "in the database tier, but has no unit sf-database"),
    (seen(units={"sf-database": {}}), ["a"], "^it has no unit sf-api$"),
    (dict(seen(), node=dict(seen()["node"], gateways=[])), ["a"], "^/etc/sf/config names no gateway"),
    (seen(ready=False), ["a"], "readyz answers 503, expected 200 from every worker"),
    (seen(gateways={"10.0.0.2:13005": "NOT_SERVING"}), ["a"],
     "the gateway 10.0.0.2:13005 is NOT_SERVING, expected SERVING"),
    (seen(release={"version": "0.9.0"}), ["a"], "it runs 0.9.0, newer than 0.8.1.*preflight_allow_downgrade=true"),
    (seen(release={"version": "0.6.3"}, distribution="other"), ["a"],
     "0.8.1 skips a minor release: upgrade to 0.7 first"),
    (seen(release={"version": "0.7.2"}), ["a"],
     "^it runs 0.7.2: it keeps its objects in etcd.* is rebuilt, not rolled$"),
    (seen(release={"version": "0.8.0.0rc4"}), ["a"], "^it runs 0.8.0.0rc4: it keeps its objects in etcd"),
    (dict(seen(), node=dict(seen()["node"], gateways=[], present=dict(DATABASE_NODE_IP=True))), ["a"],
     "^/etc/sf/config sets DATABASE_NODE_IP and no MARIADB_GATEWAY_HOSTS: all its daemons .* is rebuilt, not rolled"),
    (unit(stop_timeout=20.0), ["a"], r"TimeoutStopSec of sf-api \(20 s\) is not more than .* \(25 s\)"),
    (unit(stop_timeout=70.0, arguments={"--graceful-timeout": "80"}), ["a"], r"\(80 s\), systemd would kill it"),
    (unit(stop_timeout=70.0, arguments={"--graceful-timeout": "25"}), ["a"], "graceful timeout .* is not more than"),
    # Before ansible-core 2.19 what a template makes of a number is a string.
    (seen(drain_grace="25.0", units={"sf-api": {"arguments": {"--graceful-timeout": "25"}}, "sf-database": {}}), ["a"],
     "graceful timeout .* is not more than its drain grace .25 s"),
    (host(free=100 * 2**20), ["a"], "/r has 100 MiB free, a release takes 240 MiB"),
    (host(same_file_system=False), ["a"], "/r is on another file system than /v"),
    (host(unsafe=["/srv is writable by others: chmod go-w /srv"]), ["a"], "^/srv is writable by others"),
])
def test_each_problem(node, database, message):
    problems = verdict(node, database)["problems"]
    assert len(problems) == 1
    assert re.search(message, problems[0]), problems[0]


@pytest.mark.parametrize("target, between", [
    ("0.9.9", ""), ("0.10.0", ""), ("1.0.0", ""), ("1.0.4", ""), ("0.11.0", "0.10"),
    ("1.1.0", "the last one of 0, then to 1.0"), ("2.0.0", "the last one of 0, then to 1.0")])
def test_the_next_release(target, between):
    """No number tells whether 0.9 is the last one before 1.0."""
    node = seen(release={"version": "0.9.3"}, distribution="other")
    problems = verdict(node, target=dict(TARGET, version=target))["problems"]
    assert problems == ([f"it runs 0.9.3, and {target} skips a minor release: upgrade to {between} first, or pass -e "
                         "preflight_allow_skip=true"] if between else [])
    assert verdict(node, target=dict(TARGET, version=target), allow_skip=True)["problems"] == []


def warned(node, check, database=("a",), **options):
    findings = verdict(node, database, **options)["findings"]
    return [finding.words for finding in findings if (finding.check, finding.level) == (check, "warn")]


def test_daemons_that_do_not_run():
    units = {"sf-api": {}, "sf-database": {}, "sf-queues": dict(active=False, state="failed (Result: exit-code)"),
             "sf-net": dict(active=True, state="active (running)"),
             "sf-x": dict(active=False, state="not installed (masked)", load="masked")}
    node = seen(units=units, daemons=["sf-queues", "sf-net"])
    queues, masked = ("sf-queues is failed (Result: exit-code): see journalctl -u sf-queues",
                      "sf-x is masked, so nothing starts it: systemctl unmask sf-x")
    assert warned(node, "daemons") == [f"{queues}. Rolling the node starts it again", masked]
    assert warned(dict(node, units="sf-net"), "daemons") == [queues, masked]
    assert verdict(node)["problems"] == warned(seen(), "daemons") == []


MASKED = "sf-queues is masked, so its restart would fail: systemctl unmask sf-queues, or, if it is not meant to run, "
STOPPED = f"{MASKED}systemctl stop sf-queues; systemctl reset-failed sf-queues"


@pytest.mark.parametrize("unit, given, options, problems", [
    (dict(load="masked", active=True), None, {}, [STOPPED]),
    (dict(load="masked", active=False, state="not installed (masked)"), None, dict(back=True), [STOPPED]),
    (dict(load="masked", active=True), "sf-net,sf-queues", dict(restart=True), [
        f"{MASKED}leave it out of restart_units"]),
    (dict(load="masked", active=True), "sf-net", dict(restart=True), []),
    (dict(load="loaded", active=True), None, {}, []),
    (dict(load="bad-setting", active=True), None, {}, [
        "systemd cannot start sf-queues, its unit file is bad-setting: correct that (systemctl status sf-queues), then "
        "systemctl daemon-reload"]),
    (dict(active=True), ["sf-netz"], {}, ["it has no unit sf-netz: correct restart_units"]),
    (dict(active=True), ["sf-netz"], dict(restart=True), []),
])
def test_what_cannot_be_restarted(unit, given, options, problems):
    """It would be found only once the API is stopped for it."""
    units = {"sf-api": dict(active=True), "sf-database": {}, "sf-net": dict(active=True), "sf-queues": unit}
    node = dict(seen(units=units, daemons=["sf-api", "sf-net", "sf-queues"]), units=given)
    assert verdict(node, **options)["problems"] == problems
    assert warned(node, "daemons", **options) == (
        ["sf-queues is masked, so nothing starts it: systemctl unmask sf-queues"]
        if given == "sf-net" else [])
    # A node that is passed over is not restarted.
    node["node"].update(release=dict(version="0.8.1"), behind=[])
    assert options or verdict(node)["problems"] == []


def test_a_sentinel_that_is_left_alone_may_be_masked():
    units = {"sf-api": dict(active=True), "sf-database": {}, "sf-sentinel": dict(load="masked", active=True)}
    node = dict(seen(units=units, daemons=["sf-api", "sf-sentinel"], sentinels=["sf-sentinel"]), units=["sf-api"])
    assert verdict(node)["problems"] == []
    assert len(verdict(dict(node, units=None))["problems"]) == 1
    assert verdict(dict(node, units=None), sentinels=False)["problems"] == []


def test_a_drain_that_is_longer_than_it_may_take():
    assert verdict(seen(), drain_timeout=25)["problems"] == [
        "its drain grace (25 s, from /etc/sf/config) is not less than drain_timeout (25 s), the roll would give up "
        "on its drain: pass -e drain_timeout=55"]
    assert verdict(seen(), drain_timeout=26)["problems"] == []


@pytest.mark.parametrize("timeout, unit, what, longer", [
    (70, dict(stop_timeout=70.0, arguments={"--graceful-timeout": "55"}), "TimeoutStopSec of sf-api (70 s)", 100),
    (55, dict(stop_timeout=None, arguments={"--graceful-timeout": "55"}), "graceful timeout of sf-api (55 s)", 85),
    (71, dict(stop_timeout=70.0, arguments={"--graceful-timeout": "55"}), "", 0),
    (26, {}, "", 0), (0, dict(stop_timeout=70.0), "", 0), (20, dict(stop_timeout=70.0), "", 0),
])
def test_a_drain_that_may_take_longer_than_the_roll_waits(timeout, unit, what, longer):
    units = {"sf-api": unit, "sf-database": {}}
    assert warned(seen(units=units), "drain", drain_timeout=timeout) == ([
        f"drain_timeout ({timeout} s) is not more than the {what}: a long request would let the roll give up on its "
        f"drain, with its API stopping: pass -e drain_timeout={longer}"] if what else [])


def test_no_grace():
    (words,) = warned(seen(drain_grace=0.0), "drain")
    assert words.startswith("its drain grace is 0 s (") and "drain_tell_first" in words
    assert warned(dict(seen(drain_grace=0.0), balancer_told=True), "drain") == []
    assert warned(seen(), "drain") == []


@pytest.mark.parametrize("programs, options, level", [
    (NO_DUMP, dict(backup="auto"), "warn"), (dict(NO_DUMP, mysqldump="/x"), dict(backup="auto"), "pass"),
    (NO_DUMP, dict(backup="never"), ""), ({}, dict(backup="always"), "pass"),
    (NO_DUMP, dict(backup="always"), "fail"),
    (NO_DUMP, dict(backup="always", database=[]), ""),
    # Where nothing is rolled nothing is backed up.
    (NO_DUMP, dict(backup="always", target=dict(TARGET, version="0.8.0")), "warn"),
])
def test_nothing_to_back_up_with(programs, options, level):
    findings = verdict(host(programs=programs), **options)["findings"]
    found = [(one.level, one.words) for one in findings if one.check == "backup"]
    assert [one[0] for one in found] == [level] * bool(level)
    assert level not in ("warn", "fail") or found[0][1].startswith("it has neither mariadb-dump nor mysqldump, and")


@pytest.mark.parametrize("schema_node, problems", [("", [0, 1, 0]), ("c", [0, 0, 1]), ("d", [0, 0, 0])])
def test_only_who_backs_up_needs_a_program(schema_node, problems):
    found = judged({name: host(programs=NO_DUMP) for name in "abc"}, ["b", "c"], TARGET, backup="always",
                   schema_node=schema_node)
    assert [sum("mariadb-dump" in words for words in found[name]["problems"]) for name in "abc"] == problems


def test_what_was_done_already_is_no_advice():
    findings = verdict(seen(ready=False), allow_degraded=True)["findings"]
    (finding,) = [one for one in findings if one.check == "readiness"]
    assert finding.level == "warn" and "preflight_allow_degraded" not in finding.words
    assert finding.words.endswith("see journalctl -u sf-api; the nodes that are down are rolled first")


def test_all_problems_are_told_at_once():
    node = seen(ready=False, has_database_credentials=False, units={}, release={"version": "0.9.0"},
                gateways={"x:1": "UNAVAILABLE", "y:1": "UNAVAILABLE"})
    assert len(verdict(node)["problems"]) == 7


def test_a_warning_is_no_problem():
    result = verdict(other(has_database_credentials=True), [])
    assert result["problems"] == []
    warnings = [finding for finding in result["findings"] if finding.level == "warn"]
    assert len(warnings) == 1
    assert "is not in the database tier, but /etc/sf/config has a MARIADB_HOST" in warnings[0].words


@pytest.mark.parametrize("told, level, words", [
    ([], "pass", ""),
    ([dict(problems=["nginx on lb: no line"]), dict(out=["Apache"])], "fail", "nginx on lb: no line$"),
    ([dict(shut=["nginx on lb"])], "warn", "nginx on lb has it out .* a roll that broke: it is rolled again"),
    ([dict(), dict(out=["nginx on lb"])], "warn", "nginx on lb has it out .* not because of a roll: it is left so"),
    ([dict(held=["HAProxy"])], "warn", "HAProxy has it out .* not because of a roll: its gate would wait in vain"),
])
def test_balancers_that_are_told(told, level, words):
    told = [dict(dict(problems=[], shut=[], out=[]), **one) for one in told or [{}]]
    node = dict(seen(release={"version": "0.8.1"}), told=told)
    result = verdict(node)
    finding = next(finding for finding in result["findings"] if finding.check == "rotation")
    assert finding.level == level and re.match(words, finding.words)
    # One that a broken roll has left out gets no requests: it is no node to count on, nor one that is done.
    left_out = any(one["shut"] for one in told)
    assert result["ready"] == result["done"] == (not left_out)
    # What others have taken out is let be, and takes no requests from those that are rolled.
    assert result["out"] == any(one["out"] or one.get("held") for one in told)
    assert "rotation" not in [finding.check for finding in verdict(seen())["findings"]]


@pytest.mark.parametrize("detection, problems", [(0, 0), (24.9, 0), (25, 1)])
def test_the_balancer_must_be_faster_than_the_drain(detection, problems):
    result = verdict(seen(), balancer_detection=detection)["problems"]
    assert len(result) == problems and all("takes 25 s to mark a node down" in problem for problem in result)


@pytest.mark.parametrize("source, words", [("config", "25 s (from /etc/sf/config)"), ("assumed", "25 s (assumed)")])
def test_the_source_of_the_drain_grace_is_told(source, words):
    problems = verdict(seen(drain_grace_source=source), balancer_detection=30)["problems"]
    assert f"the drain grace is {words}" in problems[0]


@pytest.mark.parametrize("pip, staged, version, options, message", [
    (None, [], "0.8.0", {}, "the virtualenv /v has no pip; 22.2 or later is needed: run /v/bin/python -m ensurepip"),
    ("20.3", [], "0.8.0", {}, "the virtualenv /v has pip 20.3; 22.2 or later is needed: run /v/bin/python -m pip"),
    ("23.0", [], "0.8.0", {}, ""),
    # Where nothing is left to be installed, none is needed.
    (None, ["0.8.1-aa"], "0.8.0", {}, ""), (None, [], "0.8.1", {}, ""), (None, [], "0.8.0", dict(back=True), ""),
    (None, [], "0.8.0", dict(restart=True), ""),
    (None, ["0.8.1-aa"], "0.8.0", dict(strategy="in_place"), "the virtualenv /v has no pip"),
    # Nor is it known, while nobody could tell the target.
    (None, [], "0.8.0", dict(target={}), "the virtualenv /v has no pip"),
])
def test_each_node_needs_its_own_pip(pip, staged, version, options, message):
    problems = verdict(seen(release=dict(version=version, pip=pip), staged=staged), **options)["problems"]
    assert len(problems) == bool(message) and all(words.startswith(message) for words in problems)


@pytest.mark.parametrize("name, level, words", [
    (None, "warn", "there is nothing to go back to"),
    ("0.8.0-aa", "fail", "leads to the release 0.8.0-aa, which would no longer be"),
])
def test_in_place(name, level, words):
    result = verdict(seen(release={"version": "0.8.0", "name": name}), strategy="in_place")
    found = [finding for finding in result["findings"] if finding.check == "strategy"]
    assert found[0].level == level and words in found[0].words and len(found) == 1


@pytest.mark.parametrize("node, options", [
    (host(), {}),
    (dict(host(free=0), node=dict(seen()["node"], staged=["0.8.1-aa"])), {}),
    (unit(stop_timeout=70.0, arguments={"--graceful-timeout": "55"}), {}),
    (unit(stop_timeout=None), {}),
    (unit(stop_timeout=70.0, arguments={"--graceful-timeout": "${GRACE}"}), {}),
    (seen(release={"version": "0.6.3"}, distribution="other"), dict(allow_skip=True)),
    (seen(release={"version": "0.7.9"}, distribution="other"), {}),
    (seen(release={"version": "0.8.0.dev12+gabc"}), {}),
    (seen(release={"version": "0.8.1.dev5+gfff"}), dict(target=dict(TARGET, version="0.8.1.dev5+gaaa"))),
    (seen(present=dict(DATABASE_NODE_IP=True, MARIADB_GATEWAY_HOSTS=True)), {}),
    (seen(ready=False), dict(allow_degraded=True)),
    (seen(gateways={"10.0.0.2:13005": "UNAVAILABLE"}), dict(allow_degraded=True)),
    (seen(release={"version": "0.9.0"}), dict(allow_downgrade=True)),
    # What an earlier roll to the same release has begun, this one fixes.
    (seen(ready=False, staged=["0.8.1-aa"]), {}),
    (seen(ready=False, release={"version": "0.8.1"}), {}),
    (seen(release={}), {}),
])
def test_what_is_let_pass(node, options):
    assert verdict(node, **options)["problems"] == []


@pytest.mark.parametrize("node, options", [
    (host(free=0, same_file_system=False), {}), (seen(release={"version": "0.8.0", "name": "0.8.0-aa"}),
                                                 dict(strategy="in_place")),
    (host(programs=NO_DUMP), dict(backup="always"))])
def test_going_back_builds_nothing(node, options):
    target = dict(TARGET, name="")
    assert verdict(node, target=target, back=True, **options)["problems"] == []
    assert verdict(node, target=target, **options)["problems"] != []


RUNNING = {"name": "0.8.0-aa", "version": "0.8.0"}


@pytest.mark.parametrize("node, options, problems", [
    (seen(), {}, []),
    (host(free=0, same_file_system=False), {}, []),
    (seen(release={"version": "0.8.0", "name": "0.8.0-aa"}), dict(strategy="in_place"), []),
    (seen(ready=False, staged=["0.8.0-aa"]), {}, ["readyz answers 503"]),
    (seen(ready=False), dict(allow_degraded=True), []),
    (seen(gateways={"10.0.0.1:13005": "NOT_SERVING"}), {}, ["is NOT_SERVING"]),
    (host(unsafe=["/srv is writable"]), {}, ["/srv is writable"]),
])
def test_a_restart(node, options, problems):
    """That a node runs the release says nothing of an earlier run, and nothing is built."""
    found = verdict(node, target=RUNNING, restart=True, **options)["problems"]
    assert len(found) == len(problems) and all(words in problem for words, problem in zip(problems, found))


@pytest.mark.parametrize("behind, done", [([], True), (["sf-net"], False)])
def test_a_restart_is_done_when_no_daemon_is_behind(behind, done):
    assert verdict(seen(behind=behind), target=RUNNING, restart=True)["done"] is done


def test_without_a_target_nothing_is_compared():
    assert verdict(seen(release={"version": "9.0"}), target={})["problems"] == []
    assert "is rebuilt" in verdict(seen(release={"version": "0.7.2"}), target={})["problems"][0]


def test_no_roll_leads_to_a_release_that_is_rebuilt():
    problems = verdict(seen(), target={"name": "0.7.2-aa", "version": "0.7.2"}, allow_downgrade=True)["problems"]
    assert len(problems) == 1
    assert re.match("no roll leads to 0.7.2: it keeps .*-e rolling_release=VERSION", problems[0])


@pytest.mark.parametrize("active, gateways, words", [
    (True, {}, "^it runs sf-database, but the inventory does not have it in the database tier: add it to the group d"),
    (True, {"10.0.0.1:13005": "SERVING"}, "^it runs sf-database, and its gateway 10.0.0.1:13005 is SERVING, but"),
    (True, {"10.0.0.1:13005": "NOT_SERVING"}, "^it runs sf-database, but the inventory"),
    # Another unit may run it.
    (False, {"10.0.0.1:13005": "SERVING"}, "^it runs sf-database, and its gateway"),
    (False, {}, "^it runs sf-database, and MARIADB_GATEWAY_HOSTS names its gateway 10.0.0.1:13005, which is down"),
])
def test_a_gateway_outside_of_the_tier(active, gateways, words):
    node = other(units={"sf-api": {}, "sf-database": dict(active=active)}, gateways=gateways,
                 has_database_credentials=True,
                 gateway="10.0.0.1:13005")
    findings = verdict(node, [], allow_degraded=True)["findings"]
    tier = [finding.words for finding in findings if (finding.check, finding.level) == ("tier", "fail")]
    assert len(tier) == bool(words) and all(re.search(words, found) for found in tier)
    # Then the settings of the database are there with reason.
    warned = [finding for finding in findings if (finding.check, finding.level) == ("credentials", "warn")]
    assert bool(warned) != bool(words)
    assert verdict(node, ["a"], allow_degraded=True)["problems"] == []


def test_a_gateway_that_is_down_and_outside_of_the_tier():
    node = other(units={"sf-api": {}, "sf-database": {"active": False}})
    named = seen(gateways={"10.0.0.1:13005": "SERVING"})
    named["node"]["gateways"] = ["10.0.0.1:13005", "10.0.0.3:13005"]
    found = judged({"a": named, "b": node}, ["a"], TARGET)["b"]["problems"]
    assert len(found) == 1 and found[0].startswith(
        "it runs sf-database, and MARIADB_GATEWAY_HOSTS names its gateway 10.0.0.3:13005, which is down, but the")
    named["node"]["gateways"] = ["10.0.0.1:13005"]
    assert judged({"a": named, "b": node}, ["a"], TARGET)["b"]["problems"] == []


@pytest.mark.parametrize("node, done", [
    (seen(release={"version": "0.8.1"}), True),
    (seen(release={"version": "0.8.1"}, ready=False), False),
    (seen(release={"version": "0.8.1"}, behind=["sf-net"]), False),
    (seen(), False),
])
def test_done(node, done):
    assert verdict(node)["done"] is done


def test_the_gateway_of_a_begun_node_is_excused():
    nodes = {"a": seen(ready=False, staged=["0.8.1-aa"], gateway="a:1"), "b": other(gateways={"a:1": "UNAVAILABLE"})}
    assert judged(nodes, ["a"], TARGET)["b"]["problems"] == []
    nodes["a"]["node"]["staged"] = []
    assert len(judged(nodes, ["a"], TARGET)["b"]["problems"]) == 1


@pytest.mark.parametrize("failure, problem", [("unreachable", "unreachable"), ("", "it could not be checked")])
def test_a_node_that_could_not_be_examined(failure, problem):
    result = verdict(dict(seen(ready=False, failure=failure), node={}))
    assert result == {"name": "a", "database": True, "version": "", "contents": "", "zone": "", "ready": False,
                      "out": False, "gateway_down": False, "done": False, "problems": [problem],
                      "findings": [Finding("reached", "fail", problem, "a")]}


def test_versions_that_cannot_be_compared():
    with pytest.raises(AnsibleError, match="cannot compare releases, what is no version"):
        verdict(seen(release={"version": "what"}))


@pytest.mark.parametrize("status, down", [("SERVING", False), ("NOT_SERVING", True)])
def test_a_gateway_that_nobody_sees_serve(status, down):
    nodes = {"a": seen(gateway="a:1", gateways={"a:1": "UNAVAILABLE"}), "b": other(gateways={"a:1": status})}
    result = judged(nodes, ["a"], None)
    assert (result["a"]["gateway_down"], result["b"]["gateway_down"]) == (down, False)


@pytest.mark.parametrize("release, target, options, done", [
    (dict(contents="one"), dict(contents="one"), {}, True),
    (dict(contents="one"), dict(contents="two"), {}, False),
    # Nobody is rolled for want of a record.
    (dict(contents=""), dict(contents="two"), {}, True),
    (dict(), dict(contents="two"), {}, True),
    (dict(contents="one"), dict(), {}, True),
    # A directory that was made from the target's wheel has its name.
    (dict(contents="one", name="0.8.1-aa"), dict(contents="two"), {}, True),
    (dict(contents="two", name="0.8.1-aa", path="/r/0.8.1-aa", rewritten=True), dict(contents="two"), {}, False),
    # Back to another build of the version that runs.
    (dict(contents="one", name="0.8.1-bb"), dict(contents="two", name=""), dict(back=True), False),
    (dict(contents="one", name="0.8.1-bb"), dict(contents="one", name=""), dict(back=True), True),
    (dict(contents="one"), dict(contents="two"), dict(restart=True), True),
])
def test_the_build_counts(release, target, options, done):
    node = seen(release=dict(release, version="0.8.1"))
    found = judge_nodes({"a": node}, ["a"], TARGET, targets=dict(a=dict(TARGET, **target)), **options)["a"]
    assert found["done"] is done and found["contents"] == release.get("contents", "")


REWRITTEN = {"version": "0.8.1", "name": "0.8.0-bb", "path": "/r/0.8.0-bb", "rewritten": True}


@pytest.mark.parametrize("options, target, done", [
    ({}, TARGET, False), ({"restart": True}, TARGET, True), ({}, dict(TARGET, name=""), True),
])
def test_the_target_written_by_another_installer(options, target, done):
    """Nobody knows which build it is, so an upgrade rolls it; a restart and the way back ask for the version only."""
    found = verdict(seen(release=REWRITTEN), target=target, **options)
    assert found["done"] == done and found["problems"] == []
    assert [one.words for one in found["findings"] if one.level == "warn"] == [
        "/r/0.8.0-bb holds 0.8.1 and is no longer what its name says: another installer has written into it. An "
        "upgrade goes on all the same, and keeps it under the name of what it holds"]


def test_nothing_was_begun_on_a_node_that_another_installer_has_written_to():
    """So one that is down is not taken for one that an earlier roll has left so, and it needs room for the release."""
    node = seen(ready=False, release=REWRITTEN)
    assert "503" in verdict(node)["problems"][0]
    small = dict(host(free=1), node=seen(release=REWRITTEN)["node"])
    assert "MiB free" in verdict(small)["problems"][0]


@pytest.mark.parametrize("node, options, warned", [
    (seen(deployer="/d"), {}, True), (seen(deployer=""), {}, False), (seen(deployer="/d"), {"restart": True}, False),
    (seen(deployer="/d", release={"version": "0.8.1"}), {}, False), (seen(deployer="/d", release=REWRITTEN), {}, True),
])
def test_what_the_deployer_will_restart(node, options, warned):
    words = [one.words for one in verdict(node, **options)["findings"] if one.check == "deployer"]
    assert [one.startswith("the deployer (site.yml) keeps in /d which code it has installed here.") for one in words
            if one] == [True] * warned
