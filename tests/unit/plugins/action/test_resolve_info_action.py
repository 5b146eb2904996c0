# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import tarfile
from types import SimpleNamespace

import pytest
from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.action import resolve_info
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import (
    digests_in_folder,
    digests_in_tar,
    write_tar,
)
from ansible_collections.shakenfist.rolling.tests.unit.wheels import locked, make_wheel

DEV = "0.8.1.dev3+gabc1234"
ANY = "-py3-none-any.whl"


class Node:
    """A node whose files are those of a directory, and whose module says what a test tells it to."""

    def __init__(self, folder):
        self.folder = folder
        self.answer, self.builds, self.asked, self.slurp = {}, {}, None, {}

    def execute(self, module_name=None, module_args=None, **dummy):
        if module_name == "ansible.legacy.slurp":
            with open(module_args["src"], "rb") as handle:
                return {"content": base64.b64encode(handle.read()).decode(), **self.slurp}
        self.asked = dict(module_args, there=digests_in_tar(module_args["given"]) if "given" in module_args else None)
        if self.builds and module_args.get("built"):
            write_tar(self.builds, module_args["built"])
        return dict(self.answer, built=sorted(self.builds))


@pytest.fixture
def node(tmp_path, monkeypatch):
    fake = Node(tmp_path / "node")
    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(local))
    monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})
    for name, function in dict(
            _execute_module=fake.execute,
            _make_tmp_path=lambda action: (fake.folder.mkdir(), setattr(action._connection._shell, "tmpdir",
                                                                        str(fake.folder))),
            _transfer_file=lambda action, local, remote: write_bytes(remote, local),
            _fixup_perms2=lambda *dummy: None,
            _remove_tmp_path=lambda action, folder: [os.unlink(one.path) for one in os.scandir(folder)]).items():
        monkeypatch.setattr(resolve_info.ActionModule, name, function)
    return fake


def write_bytes(path, source):
    with open(source, "rb") as one, open(path, "wb") as other:
        other.write(one.read())


@pytest.fixture
def resolve(node):
    def run(check=False, **arguments):
        action = resolve_info.ActionModule.__new__(resolve_info.ActionModule)
        action._task = SimpleNamespace(args=dict(dict(distribution="shakenfist"), **arguments), check_mode=check)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None, join_path=os.path.join))
        return action.run(None, dict(inventory_hostname="sf 1"))
    return run


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    for name, version in (("shakenfist", "0.8.0"), ("shakenfist", DEV), ("flask", "3.0"), ("unused", "1.0")):
        make_wheel(folder, name, version)
    return folder


def answer(wheels, *names):
    return dict(name="0.8.1-0a1b2c3d", carried=locked(wheels, *names))


def test_what_was_given_reaches_the_node_and_what_is_carried_is_kept(node, resolve, wheels, tmp_path):
    node.answer = answer(wheels, "flask-3.0", f"shakenfist-{DEV}")
    result = resolve(source=[str(wheels)], version="")
    assert node.asked["version"] == DEV and node.asked["candidates"] == [f"shakenfist-{DEV}{ANY}"]
    assert sorted(node.asked["there"]) == [f"flask-3.0{ANY}", f"shakenfist-{DEV}{ANY}", f"unused-1.0{ANY}"]
    assert sorted(digests_in_tar(result["archive"])) == [f"flask-3.0{ANY}", f"shakenfist-{DEV}{ANY}"]
    assert os.path.basename(result["archive"]) == "0.8.1-0a1b2c3d-sf_1.tar"
    assert list(node.folder.iterdir()) == [], "nothing stays on the node"
    assert os.listdir(tmp_path / "local") == [os.path.basename(result["archive"])]


def test_what_was_built_is_fetched(node, resolve, wheels):
    node.builds = {f"unused-1.0{ANY}": wheels / f"unused-1.0{ANY}"}
    node.answer = answer(wheels, "unused-1.0")
    result = resolve()
    assert node.asked["there"] is None
    assert digests_in_tar(result["archive"]) == {
        name: digest for name, digest in digests_in_folder(wheels).items() if name.startswith("unused")}


def test_what_was_built_cannot_be_fetched(node, resolve, wheels):
    node.builds = {f"unused-1.0{ANY}": wheels / f"unused-1.0{ANY}"}
    node.answer = answer(wheels, "unused-1.0")
    node.slurp = dict(failed=True, msg="too large")
    result = resolve()
    assert result["failed"] and result["msg"] == "cannot fetch the wheels that were built: too large"


def test_check_mode_keeps_nothing(node, resolve, wheels, tmp_path):
    node.answer = dict(answer(wheels, f"shakenfist-{DEV}"), archive="")
    result = resolve(check=True, source=str(wheels))
    assert result["archive"] == "" and os.listdir(tmp_path / "local") == []
    assert "built" not in node.asked and list(node.folder.iterdir()) == []


def test_without_wheels(node, resolve):
    node.answer = dict(carried=[], archive="")
    assert resolve(source=[], version="0.8.1") == dict(carried=[], archive="", built=[])
    assert "given" not in node.asked and node.asked["version"] == "0.8.1"


@pytest.mark.parametrize("source, version, message", [
    (["/nowhere"], "", "cannot resolve shakenfist (the newest release): there is no /nowhere on this machine"),
    (["{wheels}"], "0.8.1", "cannot resolve shakenfist 0.8.1: stage_source has shakenfist " + DEV),
    (["{wheels}/unused-1.0" + ANY], "", "stage_source has no wheel of shakenfist, only unused 1.0"),
])
def test_refused_on_the_controller(node, resolve, wheels, source, version, message):
    result = resolve(source=[one.format(wheels=wheels) for one in source], version=version)
    assert result["failed"] and message in result["msg"] and not result["changed"]
    assert node.asked is None, "no node is asked"


@pytest.mark.parametrize("source, expected", [
    ("a,b , c", ["a", "b", "c"]), (["a,b"], ["a,b"]), ("", []), (None, []), ([""], []),
    ('["w/client"]', ["w/client"]), (' ["a", "b,c"] ', ["a", "b,c"]), ("['a', b]", ["a", "b"]), ("[]", []),
    ("one,two", ["one,two"]), ("[odd]", ["[odd]"]), ("~/one,two", ["~/one,two"]), ("one,three", ["one", "three"]),
])
def test_as_list(tmp_path, monkeypatch, source, expected):
    """What is there with a comma or in brackets is one path."""
    for name in ("one,two", "[odd]"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_info.as_list(source) == expected


@pytest.mark.parametrize("source", ['["w/client", 5]', '["w/client]', "[{}]"])
def test_a_list_that_is_none(node, resolve, source):
    result = resolve(source=source)
    assert result["failed"] and f"stage_source is {source}, which is neither a path nor a list" in result["msg"]
    assert node.asked is None


def test_what_is_left_out_is_a_warning(node, resolve, wheels):
    node.answer = dict(carried=[], archive="", warnings=["of the module"])
    (wheels / f"gone-1.0{ANY}").symlink_to("nowhere")
    assert resolve(source=str(wheels))["warnings"] == [
        "of the module", f"stage_source: {wheels}/gone-1.0{ANY} is left out: it is a link to nothing, not a file"]


@pytest.mark.parametrize("error, words", [
    (OSError(28, "No space left on device"), "the disk is full: "),
    (tarfile.ReadError("unexpected end of data"), "have arrived damaged (unexpected end of data): start again"),
    (RollingError("its own words"), "cannot resolve shakenfist (the newest release): its own words"),
    (KeyError("built"), "KeyError on the machine that Ansible runs on: 'built'"),
])
@pytest.mark.parametrize("where", ["write_tar", "digests_in_tar"])
def test_it_never_ends_in_a_bare_exception(node, resolve, wheels, monkeypatch, error, words, where):
    def fail(*dummy):
        raise error

    node.builds = {f"unused-1.0{ANY}": wheels / f"unused-1.0{ANY}"}
    node.answer = answer(wheels, "unused-1.0")
    monkeypatch.setattr(resolve_info, where, fail)
    result = resolve(source=str(wheels))
    assert result["failed"] and not result["changed"] and words in result["msg"]
    assert result["msg"].startswith("cannot resolve shakenfist (the newest release): ")
    assert list(node.folder.iterdir()) == []


def test_a_node_that_cannot_be_reached_stays_one(node, resolve, wheels, monkeypatch):
    def fail(*dummy, **options):
        raise AnsibleConnectionFailure("no route to host")

    monkeypatch.setattr(resolve_info.ActionModule, "_execute_module", fail)
    with pytest.raises(AnsibleConnectionFailure):
        resolve(source=str(wheels))
