# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import stage
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _persistent
from ansible_collections.shakenfist.rolling.tests.unit.fake_steps import Steps
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock, with_several

NAME = "0.8.1-0a1b2c3d"
WHEELS = f"/srv/shakenfist/.wheels-{NAME}"
PLACE = dict(path="/srv/shakenfist/venv", distribution="shakenfist")
TARGET = dict(version="0.8.1", name=NAME, contents="cc", lock=["a lock"], carried=[], indexed=["of the index"],
              archive="")
CARRIED = dict(TARGET, carried=["of files"], archive="/tmp/given.tar")
STAGED = ("release", dict(PLACE, state="staged", name=NAME, releases="/srv/releases", version="0.8.1", lock=["a lock"],
                          conflicts="warn", extra_args=[]))
ASKED = ("ctl_info", dict(release="/a/release", config="/etc/sf/config"))
IN_PLACE = ("release", dict(PLACE, state="in_place", version="0.8.1", contents="cc", lock=["a lock"], extra_args=[]))
PACKED = ("wheelhouse", dict(state="packed", lock=["of the index"], dest=f"{WHEELS}.tar", path=PLACE["path"],
                             extra_args=[]))
FETCHED = [PACKED, ("wheelhouse", dict(state="unpacked", lock=["of the index"], src=f"{WHEELS}.tar", dest=WHEELS)),
           ("ansible.legacy.file", dict(path=f"{WHEELS}.tar", state="absent"))]
REMOVED = ("ansible.legacy.file", dict(path=WHEELS, state="absent"))


def node(version="0.8.0", tier=False):
    return dict(venv=PLACE["path"], distribution="shakenfist", releases="/srv/releases", config="/etc/sf/config",
                kind="cpython 3.11", staged=[], has_database_credentials=tier,
                release=dict(version=version, name="old", rewritten=False))


def unpacked(lock):
    return "wheelhouse", dict(state="unpacked", lock=lock, src="/tmp/.ansible/wheels.tar", dest=WHEELS)


def of_wheels(call):
    return call[0], dict(call[1], wheelhouse=WHEELS)


@pytest.fixture
def act(monkeypatch):
    """Run the action; C(broken) has what is not answered as usual, by module."""
    def act(state, broken=(), check=False, variables=None, **arguments):
        broken, done = dict(broken), []
        monkeypatch.setattr(_persistent, "time", Clock(1000.0))
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda self, argument_spec: ({}, {
            **{key: spec.get("default") for key, spec in argument_spec.items()}, **self._task.args}))
        action = stage.ActionModule.__new__(stage.ActionModule)
        action._task = SimpleNamespace(
            action="shakenfist.rolling.stage", args=dict(dict(node=node(), target=TARGET), state=state, **arguments),
            check_mode=check, run_once=False, no_log=False, play=None, get_vars=lambda: dict(rolling_step="stage"),
            get_name=lambda: "release : Stage")
        action._templar = SimpleNamespace(template=lambda value: value)
        shell = SimpleNamespace(tmpdir=None, join_path=os.path.join)
        action._connection = SimpleNamespace(_shell=shell, reset=lambda: None)
        action._display = SimpleNamespace(warning=lambda words: None, display=lambda *words, **how: None)

        def answered(key):
            answer = broken.get(key)
            answer = answer.pop(0) if isinstance(answer, list) and answer else answer
            if isinstance(answer, Exception):
                raise answer
            return dict(answer or {})

        def execute(module_name, module_args, task_vars):
            module = module_name.replace("shakenfist.rolling.", "")
            done.append((module, module_args))
            return {**dict(changed=True, release="/a/release"), **answered(module)}

        def transfer(source, place):
            answered("transfer")
            done.append((source, place))
        action._execute_module, action._transfer_file = with_several(execute), transfer
        action._make_tmp_path = lambda: setattr(shell, "tmpdir", "/tmp/.ansible")
        action._fixup_perms2 = lambda paths, execute: done.append(("fixed", list(paths)))
        action._remove_tmp_path = lambda path: (done.append(("removed", path)), setattr(shell, "tmpdir", None))[1]
        action._task.copy = SimpleNamespace
        action._play_context = action._loader = None

        def fetching(name, task, **more):
            def fetch(task_vars):
                done.append(("fetch", task.args))
                return dict(answered("fetch"), dest=task.args["dest"])
            return SimpleNamespace(run=fetch)
        action._shared_loader_obj = SimpleNamespace(action_loader=SimpleNamespace(get=fetching))
        home = dict(localhost=dict(ansible_facts=dict(rolling_run=dict(id="1a2b3c4d"))))
        result = action.run(task_vars=dict(variables or {}, inventory_hostname="sf-1", hostvars=home))
        return result, done
    return act


def brought(archive, lock):
    place = "/tmp/.ansible/wheels.tar"
    return [(archive, place), ("fixed", ["/tmp/.ansible", place]), unpacked(lock), ("removed", "/tmp/.ansible")]


@pytest.mark.parametrize("strategy", ["clone", "in_place"])
def test_wheels_for_other_nodes(act, strategy):
    result, done = act("packed", carried=True, wheelhouse="/w", strategy=strategy)
    fetched = ("fetch", dict(src=f"{WHEELS}.tar", flat=True, dest=f"/w/{NAME}-cpython-3.11.tar"))
    assert done == [PACKED, fetched, FETCHED[-1]] and result["dest"] == f"/w/{NAME}-cpython-3.11.tar"


@pytest.mark.parametrize("arguments", [dict(target=dict(CARRIED, indexed=[])), dict(check=True),
                                       dict(node=dict(node("0.8.1"), staged=[NAME]))])
def test_no_wheels_are_needed(act, arguments):
    result, done = act("packed", carried=True, wheelhouse="/w", **arguments)
    assert result["skipped"] and done == []


@pytest.mark.parametrize("broken", ["wheelhouse", "fetch", "ansible.legacy.file"])
def test_the_node_that_packs_is_lost(act, broken):
    lost = dict(ansible_delegated_vars={"sf-1": {}}, roll_reconnect_timeout=1)
    result, done = act("packed", carried=True, wheelhouse="/w", variables=lost,
                       broken={broken: AnsibleConnectionFailure("away")})
    assert result["failed"] and result["lost"] and result["away"] == "sf-1" and "dest" not in result


def test_what_fails_on_the_node_that_packs_names_it(act):
    other = dict(ansible_delegated_vars={"sf-9": {}})
    result, done = act("packed", carried=True, wheelhouse="/w", variables=other,
                       broken=dict(wheelhouse=dict(failed=True, msg="the disk is full")))
    assert result["failed"] and result["away"] == "sf-9" and result["msg"] == "on sf-9: the disk is full"


@pytest.mark.parametrize("arguments, expected", [
    ({}, [STAGED, ASKED]),
    (dict(index_url="http://db/", extra_args=["--pre"]),
     [("release", dict(STAGED[1], index_url="http://db/", extra_args=["--pre"])), ASKED]),
    (dict(target=CARRIED), [*brought("/tmp/given.tar", ["of files"]), of_wheels(STAGED), REMOVED, ASKED]),
    (dict(target=CARRIED, carried=True, fetched="/w/x.tar"),
     [*brought("/tmp/given.tar", ["of files"]), *brought("/w/x.tar", ["of the index"]), of_wheels(STAGED), REMOVED,
      ASKED]),
    # In place, the wheels are there for the activation.
    (dict(strategy="in_place"), FETCHED),
    (dict(strategy="in_place", index_url="http://db/"),
     [("wheelhouse", dict(PACKED[1], index_url="http://db/")), *FETCHED[1:]]),
    (dict(target=CARRIED, strategy="in_place"), [*brought("/tmp/given.tar", ["of files"]), *FETCHED]),
    (dict(target=CARRIED, strategy="in_place", node=node(tier=True)),
     [*brought("/tmp/given.tar", ["of files"]), *FETCHED, of_wheels(STAGED), ASKED]),
    (dict(target=CARRIED, check=True), [STAGED]),
])
def test_stage(act, arguments, expected):
    result, done = act("staged", **arguments)
    assert done == expected and result["changed"] and not result.get("failed")
    assert result.get("release", "/a/release") == "/a/release" and not result.get("skipped")


@pytest.mark.parametrize("arguments", [dict(node=node("0.8.1")), dict(strategy="in_place", check=True),
                                       dict(strategy="in_place", target=CARRIED, check=True)])
def test_nothing_to_stage(act, arguments):
    result, done = act("staged", **arguments)
    assert result["skipped"] and not result["changed"] and done == []


@pytest.mark.parametrize("arguments, expected", [
    ({}, [("release", dict(PLACE, state="active", name=NAME, releases="/srv/releases"))]),
    (dict(release="0.8.0-old", target={}, strategy="in_place"),
     [("release", dict(PLACE, state="active", name="0.8.0-old", releases="/srv/releases"))]),
    # What is gone back to has no lock.
    (dict(target=dict(version="0.7.9", name="0.7.9-old"), strategy="in_place"),
     [("release", dict(PLACE, state="active", name="0.7.9-old", releases="/srv/releases"))]),
    (dict(strategy="in_place"), [of_wheels(IN_PLACE), REMOVED]),
    (dict(strategy="in_place", target=CARRIED), [of_wheels(IN_PLACE), REMOVED]),
    (dict(strategy="in_place", target=CARRIED, check=True), [IN_PLACE]),
])
def test_activate(act, arguments, expected):
    result, done = act("active", **arguments)
    assert done == expected and result["changed"] and result["release"] == "/a/release"


@pytest.mark.parametrize("broken, title, calls", [
    (dict(wheelhouse=dict(failed=True, msg="broken")), "Unpack the wheels on the node", 3),
    (dict(release=dict(failed=True, msg="broken")), None, 5),
    ({"ansible.legacy.file": dict(failed=True, msg="broken")}, "Remove the wheels", 6),
    (dict(ctl_info=dict(failed=True, msg="broken")),
     "Ask the staged release whether it accepts the configuration of the node", 7),
])
def test_what_fails_is_said(act, broken, title, calls):
    result, done = act("staged", broken, target=CARRIED)
    assert result["failed"] and result["msg"] == "broken" and result.get("title") == title and len(done) == calls


def test_what_no_longer_fits_together_is_noted_of_the_node(act):
    conflict = "plugin 1.0 has requirement grpcio<1.5, but you have grpcio 1.5."
    result = act("staged", dict(release=dict(conflicts=[conflict])), conflicts="warn")[0]
    notes = result["ansible_facts"]["rolling_node"]["notes"]
    words = f"sf-1: with 0.8.1 installed packages no longer fit together: {conflict}"
    assert len(notes) == 1 and notes[0].startswith(words)
    outdated = dict(release="/r/0.8.1", conflicts=[conflict], outdated=["grpcio 1.4, not 1.5"])
    result = act("staged", dict(release=outdated), conflicts="warn")[0]
    first, second = result["ansible_facts"]["rolling_node"]["notes"]
    assert first.startswith(words) and second == (
        "sf-1: 0.8.1-0a1b2c3d was staged before, and is used as it is. Of what was resolved now it has grpcio 1.4, not "
        "1.5. To have it staged anew, stop this run, remove it there with rm -r /r/0.8.1, and run the command again")


def test_in_place_fails(act):
    result = act("active", dict(release=dict(failed=True, msg="broken")), strategy="in_place")[0]
    assert result["failed"] and result["title"] == "Upgrade the virtualenv in place"


LOST = AnsibleConnectionFailure("no route")


def test_a_node_that_is_lost_meanwhile_is_waited_for(act):
    result, done = act("staged", dict(transfer=[LOST, {}]), target=CARRIED, variables=dict(roll_reconnect_timeout=30))
    assert done == [*brought("/tmp/given.tar", ["of files"]), of_wheels(STAGED), REMOVED, ASKED]
    assert not result.get("failed")
    result = act("staged", dict(transfer=LOST), target=CARRIED, variables=dict(roll_reconnect_timeout=30))[0]
    assert result["failed"] and result["lost"] and result["title"] == "Copy the wheels to the node"


# ---- a release in packages

CHANGES = dict(upgraded=[dict(name="snf-common", before="0.18.1-1", after="0.19-1")], installed=[], removed=[])


@pytest.mark.parametrize("upgrade", [True, False])
def test_packages_are_fetched(monkeypatch, upgrade):
    one = Steps(monkeypatch, stage, "stage", file={},
                packages=dict(changes=CHANGES, download=2_000_000, unmapped=["stable"]))
    result = one.act(state="staged", target=dict(name="0.19", version="0.19"), node=dict(
        releases="/p", step=dict(upgrade=upgrade, arguments=dict(suites=dict(a="b")))))
    if not upgrade:
        assert result["skipped"] and one.calls == []
        return
    assert one.calls == [("packages", dict(state="fetched", suites=dict(a="b"))),
                         ("file", dict(path="/p/0.19", state="directory", mode="0700"))]
    assert one.words() == ["sf-1: 1 to upgrade (snf-common 0.19-1); 2.00 MB fetched"]
    assert result["ansible_facts"]["rolling_node"]["notes"] == [
        "sf-1: sources of apt with a suite of which nothing was said: stable"]
