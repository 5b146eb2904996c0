# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import kept_files


@pytest.fixture
def tree(tmp_path):
    """A configuration with a directory, a link, and a file that is not there."""
    folder = tmp_path / "etc" / "neutron"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "neutron.conf").write_text("old\n")
    (folder / "neutron.conf").chmod(0o640)
    (folder / "conf.d" / "a.conf").write_text("a\n")
    (folder / "link").symlink_to("neutron.conf")
    (tmp_path / "one").write_text("one\n")
    return tmp_path


@pytest.fixture
def go(run_module, tree):
    paths = [str(tree / "etc" / "neutron"), str(tree / "one"), str(tree / "absent")]
    return lambda state, check=False: run_module(kept_files, check, state=state, paths=paths,
                                                 dest=str(tree / "place" / "kept"))


def seen(folder):
    return {str(path.relative_to(folder)): (os.readlink(path) if path.is_symlink() else path.is_file()
                                            and path.read_text(), path.lstat().st_mode, path.lstat().st_mtime_ns
                                            if path.is_file() and not path.is_symlink() else 0)
            for path in sorted(folder.rglob("*"))}


def test_all_of_it_comes_back(go, tree):
    before = seen(tree / "etc"), seen(tree)["one"]
    kept = go("kept")
    assert kept["changed"] and kept["files"] == [str(tree / "etc" / "neutron"), str(tree / "one")]
    folder = tree / "etc" / "neutron"
    (folder / "neutron.conf").write_text("new\n")
    (folder / "neutron.conf").chmod(0o666)
    (folder / "new.conf").write_text("new\n")
    (folder / "conf.d" / "a.conf").unlink()
    (folder / "link").unlink()
    (folder / "link").mkdir()
    (tree / "one").unlink()
    (tree / "one").mkdir()
    (tree / "absent").write_text("there\n")
    result = go("restored")
    assert result["changed"] and set(result["files"]) >= {str(folder / "neutron.conf"), str(folder / "new.conf"),
                                                          str(tree / "absent"), str(tree / "one")}
    assert (seen(tree / "etc"), seen(tree)["one"]) == before and not (tree / "absent").exists()
    assert list((tree / "place").iterdir()) == []


@pytest.mark.parametrize("moved", [False, True])
def test_a_path_that_is_a_link(run_module, tree, moved):
    """It may lead elsewhere meanwhile, and what is there was none of it."""
    link, real, other = tree / "c", tree / "etc" / "neutron", tree / "other"
    link.symlink_to(real)
    other.mkdir()
    before = seen(tree)

    def go(state):
        return run_module(kept_files, state=state, paths=[str(link)], dest=str(tree / "place" / "kept"))
    go("kept")
    (link / "neutron.conf").write_text("new\n")
    if moved:
        link.unlink()
        link.symlink_to(other)
    assert str(real / "neutron.conf") in go("restored")["files"]
    (tree / "place").rmdir()
    assert seen(tree) == before


def test_a_directory_takes_the_place_of_a_file(go, tree):
    before = seen(tree / "etc")
    go("kept")
    folder = tree / "etc" / "neutron" / "conf.d"
    (folder / "a.conf").unlink()
    folder.rmdir()
    folder.write_text("a file\n")
    assert str(folder) in go("restored")["files"] and seen(tree / "etc") == before


def test_a_mode_alone(go, tree):
    go("kept")
    folder = tree / "etc" / "neutron"
    folder.chmod(0o700)
    assert go("restored")["files"] == [str(folder)] and folder.stat().st_mode & 0o777 == 0o755


def test_a_copy_that_is_there_stays(go, tree):
    go("kept")
    (tree / "one").write_text("changed by a run that was killed\n")
    assert not go("kept")["changed"]
    go("restored")
    assert (tree / "one").read_text() == "one\n"


def test_without_a_copy_there_is_nothing_to_be_done(go, tree):
    assert not go("restored")["changed"]
    # Half of one, of a run that was killed, is none.
    (tree / "place" / "kept.part").mkdir(parents=True)
    (tree / "place" / "kept.part" / "x").write_text("")
    assert not go("restored")["changed"] and go("kept")["changed"] and not (tree / "place" / "kept.part").exists()


def test_a_copy_that_is_of_no_use_any_more(go, tree):
    assert not go("dropped")["changed"]
    go("kept")
    (tree / "one").write_text("new\n")
    assert go("dropped", True)["changed"] and (tree / "place" / "kept").exists()
    assert go("dropped")["changed"] and list((tree / "place").iterdir()) == []
    assert not go("restored")["changed"] and (tree / "one").read_text() == "new\n"


def test_check_mode(go, tree):
    assert go("kept", True)["changed"] and not (tree / "place").exists()
    go("kept")
    (tree / "one").write_text("new\n")
    result = go("restored", True)
    assert result["files"] == [str(tree / "one")] and (tree / "one").read_text() == "new\n"


@pytest.mark.parametrize("path", ["relative", "/"])
def test_paths_that_cannot_be_meant(run_module, tmp_path, path):
    result = run_module(kept_files, state="kept", paths=[path], dest=str(tmp_path / "kept"))
    assert result["failed"] and "expected absolute paths" in result["msg"]


def test_what_is_no_file(run_module, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    result = run_module(kept_files, state="kept", paths=[str(tmp_path / "pipe")], dest=str(tmp_path / "kept"))
    assert result["failed"] and "neither a file nor a directory nor a link" in result["msg"]


def test_names_that_would_collide():
    assert len({kept_files.place_of("/d", path) for path in ("/a/b", "/a_b", "/a__b")}) == 3


def test_what_an_earlier_step_has_kept_is_set_aside(go, tree):
    assert go("aside") == dict(go("aside"), changed=False, aside="")
    go("kept")
    assert go("aside", check=True)["changed"] and (tree / "place" / "kept").exists()
    (tree / "one").write_text("of the operator\n")
    aside = go("aside")["aside"]
    assert aside.startswith(f"{tree}/place/kept-") and not (tree / "place" / "kept").exists()
    assert not go("restored")["changed"] and go("kept")["changed"]
    assert [path.read_text() for path in pathlib.Path(aside).glob("*one")] == ["one\n"]


def test_nobody_else_reads_a_file_while_it_is_copied(go, tree, monkeypatch):
    """It has the mode of what was new before it has what is in it."""
    copy, modes = kept_files.shutil.copyfile, []

    def slowly(source, target):
        modes.append(os.stat(target).st_mode & 0o777)
        return copy(source, target)

    monkeypatch.setattr(kept_files.shutil, "copyfile", slowly)
    go("kept")
    (tree / "etc" / "neutron" / "neutron.conf").write_text("new\n")
    go("restored")
    assert modes == [0o600] * 4 and (tree / "etc" / "neutron" / "neutron.conf").stat().st_mode & 0o777 == 0o640
