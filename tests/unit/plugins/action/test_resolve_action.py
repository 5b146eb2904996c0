# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import resolve, resolve_info

RESOLVED = dict(version="0.8.1", sha256="0a1b2c3d", contents="cc", name="0.8.1-0a1b2c3d", lock=["a lock"], carried=[],
                indexed=["a"], archive="", conflicts=[])
ANSWER = dict(RESOLVED, changed=False, notice="nothing newer", unpinned=["odd"], built=[])


def node(version="0.8.0"):
    return dict(venv="/srv/venv", distribution="shakenfist", staged=[], api_unit="sf-api", daemons=[],
                units={"sf-api": {}}, release=dict(version=version, name=f"{version}-aa"),
                previous=dict(version="0.7.9", name="0.7.9-bb"))


@pytest.fixture
def act(monkeypatch):
    """Run the action on the first of two nodes, in a run of this kind."""
    def act(run=None, other=None, answer=None, **arguments):
        asked = []
        monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
        monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda self, argument_spec: ({}, {
            **{key: spec.get("default") for key, spec in argument_spec.items()}, **self._task.args}))
        monkeypatch.setattr(resolve_info.ActionModule, "ask", lambda self, arguments, given, place, task_vars: (
            asked.append(arguments), dict(answer or ANSWER))[1])
        monkeypatch.setattr(resolve_info.C, "DEFAULT_LOCAL_TMP", None)
        action = resolve.ActionModule.__new__(resolve.ActionModule)
        action._task = SimpleNamespace(args=dict(node=node(), **arguments), check_mode=False)
        record = dict(localhost=dict(ansible_facts=dict(rolling_run=dict(id="1a2b3c4d", kind=run)))) if run else {}
        hostvars = {"sf-1": dict(cluster_node=node()), "sf-2": dict(cluster_node=other or node()), "sf-3": {}, **record}
        return action.run(None, dict(inventory_hostname="sf-1", ansible_play_hosts_all=["sf-1", "sf-2", "sf-3"],
                                     hostvars=hostvars)), asked
    return act


@pytest.mark.parametrize("run", [None, "upgrade", "plan"])
def test_pip_is_asked(act, run):
    result, asked = act(run, release="0.8.1", packages=["a"], previous="0.7.9")
    assert asked == [dict(path="/srv/venv", distribution="shakenfist", version="0.8.1", source=[], packages=["a"],
                          extra_args=[], running=["", "0.8.0-aa"])]
    assert result["target"] == dict(RESOLVED, node="sf-1") and len(result["messages"]) == 2
    assert result["version"] == "0.8.1" and not result.get("failed")
    assert act(run, index_url="http://db/")[1][0]["index_url"] == "http://db/"


BROKEN = dict(kind="upgrade", release="0.8.1", nodes=["sf-2"])


def test_a_run_that_was_killed_is_continued(act):
    """A newer release may have appeared meanwhile."""
    result, asked = act("upgrade", broken=BROKEN)
    assert [each["version"] for each in asked] == ["0.8.1"]
    assert result["messages"][0] == (
        "A run that was killed led to 0.8.1, and this one goes on there. For another release, the newest one for "
        "example, name it with -e rolling_release=VERSION.")


@pytest.mark.parametrize("run, arguments, version", [
    ("upgrade", dict(release="0.8.2", broken=BROKEN), "0.8.2"),
    ("upgrade", dict(source=["wheels"], broken=BROKEN), ""),
    ("upgrade", dict(broken=dict(BROKEN, kind="rollback")), ""),
    ("plan", dict(broken={}), ""), ("plan", dict(broken=BROKEN), "0.8.1"),
])
def test_what_the_operator_names_counts(act, monkeypatch, run, arguments, version):
    monkeypatch.setattr(resolve_info.ActionModule, "resolve", lambda self, given, task_vars: dict(ANSWER, **given))
    assert act(run, **arguments)[0]["version"] == version


def test_the_release_of_a_killed_run_is_gone(act, monkeypatch):
    monkeypatch.setattr(resolve_info.ActionModule, "resolve", lambda self, given, task_vars: (
        dict(failed=True, msg="no 0.8.1") if given["version"] else dict(ANSWER, version="0.8.2")))
    result = act("upgrade", broken=BROKEN)[0]
    assert not result.get("failed") and result["target"]["version"] == "0.8.2"
    assert result["messages"][0].startswith("A run that was killed led to 0.8.1, which cannot be resolved any more: ")


def test_a_rollback_that_was_killed_is_continued(act):
    broken = dict(kind="rollback", release="0.8.0", nodes=["sf-2"])
    result = act("rollback", broken=broken)[0]
    assert result["target"] == dict(version="0.8.0", name="0.8.0-aa", contents="", given="0.8.0")
    assert result["messages"][0].endswith("-e rollback_release=VERSION.")
    assert act("rollback", broken=broken, previous="0.7.9")[0]["messages"] == []


def test_pip_cannot_tell(act):
    result = act(answer=dict(failed=True, msg="cannot resolve"))[0]
    assert result["failed"] and result["msg"] == "cannot resolve" and "target" not in result


@pytest.mark.parametrize("run, kind", [("rollback", ""), (None, "rollback"), ("upgrade", "rollback")])
def test_the_way_back(act, run, kind):
    result, asked = act(run, kind=kind, previous="0.7.9")
    assert result == dict(target=dict(version="0.7.9", name="0.7.9-bb", contents="", given="0.7.9"),
                          messages=[]) and asked == []
    result = act(run, kind=kind, previous="0.7.8")[0]
    assert result["failed"] and result["msg"].startswith("sf-1 has no release 0.7.8 to go back to.")


@pytest.mark.parametrize("run", ["restart", "reconfigure"])
def test_the_release_that_runs(act, run):
    result, asked = act(run, units="sf-api")
    assert result == dict(target=dict(version="0.8.0", name="0.8.0-aa"), messages=[]) and asked == []
    result = act(run, other=node("0.8.1"))[0]
    assert result["failed"] and "0.8.0 on sf-1; 0.8.1 on sf-2" in result["msg"]


@pytest.mark.parametrize("asked, words", [
    ("", ""), ("0.19", ""), ("0.20", "the product's file leads to 0.19, and 0.20")])
def test_a_release_in_packages(monkeypatch, act, asked, words):
    """No pip is asked: which release it is, the product's file says."""
    packages = dict(node(), step=dict(to="0.19"))
    monkeypatch.setattr(resolve.ActionModule, "validate_argument_spec", lambda self, argument_spec: ({}, {
        **{key: spec.get("default") for key, spec in argument_spec.items()}, "node": packages, "release": asked}))
    monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
    action = resolve.ActionModule.__new__(resolve.ActionModule)
    action._task = SimpleNamespace(args={}, check_mode=False)
    result = action.resolve({}, dict(inventory_hostname="sf-1", ansible_play_hosts_all=["sf-1"],
                                     hostvars={"sf-1": dict(cluster_node=packages)}))
    if words:
        assert result["failed"] and result["msg"].startswith(words)
    else:
        assert result == dict(target=dict(version="0.19", name="0.19"), messages=[])
