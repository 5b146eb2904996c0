# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Release directories into which another installer has written, with a real pip.

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._identity import (
    as_marked,
    contents_of_wheel,
    rewritten,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import inspect
from ansible_collections.shakenfist.rolling.plugins.modules import release, release_info
from ansible_collections.shakenfist.rolling.tests.unit.wheels import (
    locked,
    make_wheel,
    pip_environment,
    real_venv,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A place for the node of each test, and the node as it is before it: absolute paths are the same for all."""
    place = tmp_path_factory.mktemp("node")
    return SimpleNamespace(place=place / "node", kept=place / "kept")


@pytest.fixture
def node(run_module, monkeypatch, prepared):
    """A node whose link leads to 0.8.1, staged and activated, with what a test does to it."""
    place = prepared.place
    wheels, other, link, releases = place / "wheels", place / "other", place / "venv", place / "releases"
    pip_environment(monkeypatch, wheels)
    shutil.rmtree(place, ignore_errors=True)
    if prepared.kept.exists():
        shutil.copytree(prepared.kept, place, symlinks=True)
    else:
        place.mkdir()
        for version in ("0.8.0", "0.8.1", "0.8.2"):
            make_wheel(wheels, "shakenfist", version)
        make_wheel(other, "shakenfist", "0.8.1", body="# another build\n")
        # Another package beside it: where there is none, pip takes the links to itself away with the old release.
        make_wheel(wheels, "attrs", "1.0")
        real_venv(link, wheels, "shakenfist==0.8.0", "attrs==1.0")
        (wheels / "attrs-1.0-py3-none-any.whl").unlink()
    lock = {version: locked(wheels, f"shakenfist-{version}") for version in ("0.8.0", "0.8.1", "0.8.2")}
    names = {version: f"{version}-{one[0]['sha256'][:8]}" for version, one in lock.items()}

    def run(state, version, **arguments):
        return run_module(release, **dict(dict(
            name=names[version], state=state, path=str(link), releases=str(releases), distribution="shakenfist",
            version=version, lock=lock[version]), **arguments))

    def overwrite(wheel, root=link):
        """As any installer does; a run of pip takes too long for so many tests."""
        site = next(root.glob("lib/python3*/site-packages"))
        for path in site.glob("shakenfist-*.dist-info"):
            shutil.rmtree(path)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)

    def look():
        return run_module(release_info, path=str(link), releases=str(releases), distribution="shakenfist")

    def version_in(root):
        info, = root.glob("lib/python3*/site-packages/shakenfist-*.dist-info")
        return info.name[len("shakenfist-"):-len(".dist-info")]

    def body_in(root):
        return next((root.glob("lib/python3*/site-packages/shakenfist.py"))).read_text()

    if not prepared.kept.exists():
        assert run("staged", "0.8.1")["changed"] and run("active", "0.8.1")["changed"]
        shutil.copytree(place, prepared.kept, symlinks=True)
    first = os.path.basename(os.readlink(releases / ".previous"))
    return SimpleNamespace(run=run, overwrite=overwrite, look=look, version_in=version_in, body_in=body_in, link=link,
                           releases=releases, names=names, wheels=wheels, other=other / next(iter(other.iterdir())),
                           active=releases / names["0.8.1"], first=first,
                           wheel=lambda version: wheels / f"shakenfist-{version}-py3-none-any.whl")


def names_in(node):
    return sorted(path.name for path in node.releases.iterdir() if path.is_dir() and not path.is_symlink())


def own_name(node, root, version):
    record = next(root.glob(f"lib/python3*/site-packages/shakenfist-{version}.dist-info/RECORD"))
    return f"{version}-{hashlib.sha256(record.read_bytes()).hexdigest()[:8]}"


def links_to(node, name):
    """The link leads right to a directory of that name, and nothing of the adoption is left."""
    assert os.readlink(node.link) == str(node.releases / name) and (node.releases / name).is_dir()
    assert [path.name for path in node.releases.iterdir() if path.is_symlink() and path.name != ".previous"] == []


def test_what_is_as_it_was_made_is_not_rewritten(node):
    found = node.look()
    assert found["active"]["rewritten"] is False and found["rewritten"] == {}
    assert found["staged"] == sorted([node.first, node.names["0.8.1"]])
    assert node.run("staged", "0.8.1")["changed"] is False


def test_the_same_wheel_installed_again_is_the_same_release(node):
    """Although what pip records is another thing: the file that the wheel came from."""
    before = own_name(node, node.active, "0.8.1")
    node.overwrite(node.wheel("0.8.1"))
    assert own_name(node, node.active, "0.8.1") != before
    assert node.look()["rewritten"] == {}
    assert node.run("staged", "0.8.1")["changed"] is False


@pytest.mark.parametrize("wheel, version", [("0.8.2", "0.8.2"), ("other", "0.8.1")])
@pytest.mark.parametrize("swap", ["exchange", "two renames"])
def test_the_active_one_gets_the_name_of_what_it_holds(node, monkeypatch, wheel, version, swap):
    """Another version, and another build of the same; then the release of its old name is staged anew."""
    if swap == "two renames":
        monkeypatch.setattr(release, "exchange", lambda *dummy: False)
    node.overwrite(node.other if wheel == "other" else node.wheel(wheel))
    script = node.active / "bin" / "sf-ctl"
    script.write_text(f"#!{node.active}/bin/python\n")
    script.chmod(0o755)
    (node.active / ".rolling-schema.json").write_text("{}")
    os.utime(node.link, (1000, 1000), follow_symlinks=False)
    found = node.look()
    assert found["rewritten"] == {node.names["0.8.1"]: version} and found["active"]["rewritten"] is True
    assert found["staged"] == [node.first], "nobody goes back to it by that name"
    kept = own_name(node, node.active, version)
    result = node.run("staged", "0.8.1")
    assert not result["failed"] and result["changed"], result
    assert result["renamed"] == str(node.releases / kept)
    assert result["diff"]["before"] == f"{node.active}: shakenfist {version}\n"
    assert result["diff"]["after"] == f"{node.releases}/{kept}: shakenfist {version}\n{node.active}: shakenfist 0.8.1\n"
    links_to(node, kept)
    assert names_in(node) == sorted([node.first, kept, node.names["0.8.1"]])
    assert os.lstat(node.link).st_mtime == 1000, "its daemons are not older than the release because of a name"
    assert (node.releases / kept / "bin" / "sf-ctl").read_text() == f"#!{node.link}/bin/python\n"
    assert not (node.releases / kept / ".rolling-schema.json").exists()
    assert node.version_in(node.active) == "0.8.1" and "another build" not in node.body_in(node.active)
    assert node.look()["rewritten"] == {}
    assert node.run("staged", "0.8.1")["changed"] is False
    # The roll goes on, and back.
    result = node.run("active", "0.8.1")
    assert result["changed"] and result["renamed"] == "" and result["previous"] == str(node.releases / kept)
    assert node.look()["previous"] == {"path": str(node.releases / kept), "name": kept, "version": version,
                                       "contents": found["active"]["contents"]}
    assert node.run("active", "0.8.1", name=kept)["changed"]
    links_to(node, kept)


def test_another_release_is_staged_beside_it(node):
    node.overwrite(node.wheel("0.8.0"))
    result = node.run("staged", "0.8.2")
    kept = os.path.basename(result["renamed"])
    assert kept.startswith("0.8.0-") and names_in(node) == sorted([node.first, kept, node.names["0.8.2"]])
    links_to(node, kept)


def test_where_each_service_has_a_link_it_keeps_its_name(node):
    """Else all links but one would lead nowhere, and its scripts to what that one leads to."""
    node.overwrite(node.wheel("0.8.0"))
    other = node.link.with_name("second")
    other.symlink_to(node.active)
    for state in ("staged", "active"):
        result = node.run(state, "0.8.2", scripts="release")
        assert result["changed"] and result["renamed"] == ""
    assert node.active.is_dir() and not node.active.is_symlink() and node.version_in(other) == "0.8.0"
    assert node.version_in(node.link) == "0.8.2"


def test_it_holds_the_very_version_that_is_staged(node):
    """Of which build is not known, so the one that the lock names is built, although pip would leave what is there."""
    make_wheel(node.other.parent, "shakenfist", "0.8.2", body="# another build\n")
    node.overwrite(node.other.parent / "shakenfist-0.8.2-py3-none-any.whl")
    assert node.run("staged", "0.8.2")["changed"]
    assert "another build" not in node.body_in(node.releases / node.names["0.8.2"])
    assert "another build" in node.body_in(node.link)


def test_one_that_is_staged_already(node):
    """There is nothing to build, and a name to give."""
    node.run("staged", "0.8.2")
    node.overwrite(node.wheel("0.8.0"))
    result = node.run("staged", "0.8.2")
    assert result["changed"] and "packages" not in result
    assert result["diff"]["after"] == f"{result['renamed']}: shakenfist 0.8.0\n"
    links_to(node, os.path.basename(result["renamed"]))


@pytest.mark.parametrize("swap", ["exchange", "two renames"])
def test_activation_gives_the_name_where_staging_has_not(node, monkeypatch, swap):
    """On the way back nothing is staged."""
    if swap == "two renames":
        monkeypatch.setattr(release, "exchange", lambda *dummy: False)
    node.overwrite(node.wheel("0.8.2"))
    kept = str(node.releases / own_name(node, node.active, "0.8.2"))
    checked = node.run("active", "0.8.0", name=node.first, check=True)
    result = node.run("active", "0.8.0", name=node.first)
    assert result["changed"] and result["previous"] == result["renamed"] == kept
    assert checked["diff"] == result["diff"] and result["diff"]["after"] == (
        f"{node.link} -> {node.releases}/{node.first}\n{node.active} is kept as {kept}\n")
    links_to(node, node.first)
    assert not node.active.exists() and node.version_in(node.releases / os.path.basename(kept)) == "0.8.2"


def test_a_broken_one_keeps_its_name(node):
    """To leave it is all the more urgent."""
    node.overwrite(node.wheel("0.8.2"))
    (node.active / "bin" / "python").unlink()
    result = node.run("active", "0.8.0", name=node.first)
    assert result["changed"] and result["renamed"] == "" and result["previous"] == str(node.active)


def test_check_mode_changes_no_name(node):
    node.overwrite(node.wheel("0.8.2"))
    before = names_in(node)
    checked = node.run("staged", "0.8.1", check=True)
    assert checked["changed"] and checked["renamed"] and names_in(node) == before
    result = node.run("staged", "0.8.1")
    assert (checked["diff"], checked["renamed"]) == (result["diff"], result["renamed"])


def test_a_name_that_is_taken(node):
    node.overwrite(node.wheel("0.8.2"))
    taken = own_name(node, node.active, "0.8.2")
    (node.releases / taken).mkdir()
    result = node.run("staged", "0.8.1")
    assert result["renamed"] == f"{node.releases}/{taken}.2"
    links_to(node, f"{taken}.2")
    found = node.look()
    assert found["rewritten"] == {} and f"{taken}.2" in found["staged"]


def test_the_way_back_follows(node):
    (node.releases / ".previous").unlink()
    (node.releases / ".previous").symlink_to(node.active)
    node.overwrite(node.wheel("0.8.2"))
    result = node.run("staged", "0.8.1")
    assert os.readlink(node.releases / ".previous") == result["renamed"]


@pytest.mark.parametrize("wheel, words", [
    ("0.8.0", "it holds shakenfist 0.8.0, not 0.8.2: remove it with rm -r {root}"),
    ("other", "it holds another build of shakenfist 0.8.2 than the one that was staged there: remove it with rm -r "
              "{root}"),
])
def test_one_that_is_not_active_is_refused(node, wheel, words):
    node.run("staged", "0.8.2")
    root = node.releases / node.names["0.8.2"]
    if wheel == "other":
        make_wheel(node.other.parent, "shakenfist", "0.8.2", body="# another build\n")
    other = node.other.parent / "shakenfist-0.8.2-py3-none-any.whl"
    node.overwrite(other if wheel == "other" else node.wheel(wheel), root)
    assert list(node.look()["rewritten"]) == [node.names["0.8.2"]]
    result = node.run("staged", "0.8.2")
    assert result["failed"] and words.format(root=root) in result["msg"]
    links_to(node, node.names["0.8.1"])


@pytest.mark.parametrize("name", ["0.8.1-{digest}", "blue"])
def test_one_from_before_there_was_a_marker(node, name):
    """Its version tells; that it is another build cannot be known, and is not claimed."""
    (node.active / ".rolling-release.json").unlink()
    node.overwrite(node.other)
    assert node.look()["rewritten"] == {}
    node.overwrite(node.wheel("0.8.2"))
    assert node.look()["rewritten"] == {node.names["0.8.1"]: "0.8.2"}


def test_a_name_of_another_form_says_nothing(node):
    root = node.releases / "blue"
    node.active.rename(root)
    node.link.unlink()
    node.link.symlink_to(root)
    node.overwrite(node.wheel("0.8.0"))
    assert node.look()["rewritten"] == {}
    assert node.run("staged", "0.8.2")["renamed"] == ""
    # But it is in the way where it is to hold another version itself.
    result = node.run("staged", "0.8.2", name="blue")
    assert os.path.basename(result["renamed"]).startswith("0.8.0-") and node.version_in(root) == "0.8.2"


def test_a_link_of_the_operator_to_a_virtualenv_elsewhere(node, tmp_path):
    elsewhere = tmp_path / node.names["0.8.1"]
    node.active.rename(elsewhere)
    node.link.unlink()
    node.link.symlink_to(elsewhere)
    node.overwrite(node.wheel("0.8.0"))
    assert node.run("staged", "0.8.2")["renamed"] == "" and elsewhere.is_dir()


class Interrupted(BaseException):
    """The process is killed."""


def runs(node):
    """The services find their code, through the link, at every moment."""
    return (node.link / "bin" / "python").exists()


@pytest.mark.parametrize("version", ["0.8.2", "0.8.1"])
@pytest.mark.parametrize("moment", range(7))
def test_interrupted_in_the_middle(node, monkeypatch, moment, version):
    """After each step, the link leads to the same virtualenv; and run again it ends as if nothing had been.

    Another build of the same version does not pass for the one that was staged, at no moment.
    """
    node.overwrite(node.other if version == "0.8.1" else node.wheel(version))
    kept = own_name(node, node.active, version)
    (node.releases / ".previous").unlink()
    (node.releases / ".previous").symlink_to(node.active)
    left = [moment]

    def seen():
        root = os.path.realpath(node.link)
        assert runs(node) and node.version_in(node.link) == version
        assert as_marked(root) == (os.path.basename(root) == kept)
        found = inspect(lambda command: (0, subprocess.check_output(command, text=True), ""), root, "shakenfist")
        assert rewritten(root, found) == (os.path.basename(root) != kept)

    def counted(function):
        def step(*arguments, **options):
            # Before each step, so that the last one is not the end.
            seen()
            if left[0] == 0:
                raise Interrupted
            left[0] -= 1
            return function(*arguments, **options)
        return step

    with monkeypatch.context() as patch:
        for name in ("forget", "mark", "link", "exchange"):
            patch.setattr(release, name, counted(getattr(release, name)))
        patch.setattr(release, "build", counted(release.build))
        with pytest.raises(Interrupted):
            node.run("staged", "0.8.1")
    seen()
    assert os.path.realpath(node.releases / ".previous") == os.path.realpath(node.link)
    assert not node.run("staged", "0.8.1")["failed"]
    links_to(node, kept)
    assert node.version_in(node.active) == "0.8.1" and "another build" not in node.body_in(node.active)
    assert node.look()["rewritten"] == {} and node.look()["previous"] == {}


@pytest.mark.parametrize("broken", ["exchange", "link"])
def test_what_fails_leaves_it_as_it_was(node, monkeypatch, broken):
    node.overwrite(node.wheel("0.8.2"))
    before = names_in(node)
    plain = release.link

    def fail(target, path, *time):
        if broken == "exchange" or path == str(node.link):
            raise OSError(1, "not permitted", path)
        plain(target, path, *time)

    monkeypatch.setattr(release, broken, fail)
    if broken == "link":
        monkeypatch.setattr(release, "exchange", lambda *dummy: False)
    result = node.run("staged", "0.8.1")
    assert result["failed"] and "not permitted" in result["msg"]
    links_to(node, node.names["0.8.1"])
    assert names_in(node) == before and node.version_in(node.link) == "0.8.2"


def test_a_plain_directory_is_marked_when_it_is_adopted(node):
    root = node.releases / node.first
    assert json.loads((root / ".rolling-release.json").read_text())["version"] == "0.8.0"
    make_wheel(node.other.parent, "shakenfist", "0.8.0", body="# another build\n")
    node.overwrite(node.other.parent / "shakenfist-0.8.0-py3-none-any.whl", root)
    assert node.look()["rewritten"] == {node.first: "0.8.0"}


def test_a_marker_is_not_inherited(node):
    node.run("staged", "0.8.2")
    assert json.loads((node.releases / node.names["0.8.2"] / ".rolling-release.json").read_text())["version"] == "0.8.2"


def test_another_build_is_replaced_in_place(node):
    node.overwrite(node.other)
    wheel = contents_of_wheel(str(node.wheel("0.8.1")))
    assert not node.run("in_place", "0.8.1")["changed"], "which build it is to be is not known"
    result = node.run("in_place", "0.8.1", contents=wheel, check=True)
    assert result["changed"] and result["diff"]["before"] == "another build of shakenfist 0.8.1\n"
    assert "another build" in node.body_in(node.link)
    assert node.run("in_place", "0.8.1", contents=wheel)["changed"]
    assert "another build" not in node.body_in(node.link) and node.look()["active"]["contents"] == wheel
    assert not node.run("in_place", "0.8.1", contents=wheel)["changed"]


def test_a_published_again_build_is_staged_beside_the_one_that_runs(node):
    lock = locked(node.other.parent, "shakenfist-0.8.1")
    name = f"0.8.1-{lock[0]['sha256'][:8]}"
    result = node.run("staged", "0.8.1", name=name, lock=lock, wheelhouse=str(node.other.parent))
    assert result["changed"], result
    found = node.look()
    assert found["builds"][name] == contents_of_wheel(str(node.other))
    assert found["builds"][node.names["0.8.1"]] == found["active"]["contents"] != found["builds"][name]
    assert node.run("active", "0.8.1", name=name)["changed"]
    assert node.look()["previous"]["contents"] == found["active"]["contents"]


def test_scripts_of_another_installer_run_the_release_that_they_lie_in(node):
    """One that resolves the link writes the name of the active directory into them, which a clone has, too."""
    script = node.active / "bin" / "gunicorn"
    script.write_text(f"#!{node.active}/bin/python\n")
    script.chmod(0o755)
    node.run("staged", "0.8.2")
    clone = node.releases / node.names["0.8.2"] / "bin" / "gunicorn"
    assert clone.read_text() == f"#!{node.link}/bin/python\n" and clone.stat().st_mode & 0o777 == 0o755
    assert script.read_text() == f"#!{node.active}/bin/python\n"
