# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import zipfile

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._identity import (
    MARKER,
    as_marked,
    contents,
    contents_of_wheel,
    mark,
    marked,
    rewritten,
)

INFO = "shakenfist-0.8.1.dist-info"
# The same wheel, as pip and as uv record it: in another order, with files of their own.
PIP = f"""../../../bin/sf-ctl,sha256=p,200
shakenfist/__init__.py,sha256=aa,1
shakenfist/__pycache__/__init__.cpython-311.pyc,,
"shakenfist/a,b.py",sha256=bb,1
{INFO}/INSTALLER,sha256=pip,4
{INFO}/METADATA,sha256=mm,1
{INFO}/RECORD,,
{INFO}/WHEEL,sha256=ww,1
"""
UV = f"""shakenfist/__init__.py,sha256=aa,1
{INFO}/METADATA,sha256=mm,1
{INFO}/INSTALLER,sha256=uv,2
{INFO}/direct_url.json,sha256=dd,1
"shakenfist/a,b.py",sha256=bb,1
/srv/shakenfist/venv/bin/sf-ctl,sha256=u,199
shakenfist/__pycache__/__init__.cpython-311.pyc,sha256=cc,1
"""


@pytest.fixture
def release(tmp_path):
    """Makes a release directory with what is recorded in it, and returns that as an inspection does."""
    def make(name="0.8.1-0a1b2c3d", version="0.8.1", record=PIP):
        (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / name / "RECORD"
        path.write_text(record)
        return str(tmp_path / name), dict(version=version, record=str(path))
    return make


def digest(tmp_path, text):
    (tmp_path / "RECORD").write_text(text)
    return contents(str(tmp_path / "RECORD"))


def test_the_same_wheel_whoever_installed_it(tmp_path):
    assert digest(tmp_path, PIP) == digest(tmp_path, UV) != ""


@pytest.mark.parametrize("old, new", [("sha256=aa", "sha256=zz"), ("sha256=mm", "sha256=zz"),
                                      ("shakenfist/__init__.py", "shakenfist/other.py")])
def test_another_build(tmp_path, old, new):
    assert digest(tmp_path, PIP) != digest(tmp_path, PIP.replace(old, new))


@pytest.mark.parametrize("files", [dict(), {"shakenfist/sub.dist-info/RECORD": "x,sha256=x,1"}])
def test_a_wheel_is_what_is_recorded_of_it_where_it_is_installed(tmp_path, files):
    wheel = PIP.replace("../../../bin/", "shakenfist-0.8.1.data/scripts/").replace(
        "shakenfist/__init__.py", "shakenfist-0.8.1.data/purelib/shakenfist/__init__.py")
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as archive:
        for name, text in dict(files, **{f"{INFO}/RECORD": wheel}).items():
            archive.writestr(name, text)
    assert contents_of_wheel(str(tmp_path / "one.whl")) == digest(tmp_path, PIP)


def test_no_wheel(tmp_path):
    (tmp_path / "text.whl").write_text("no wheel")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("shakenfist/__init__.py", "")
    assert [contents_of_wheel(str(tmp_path / name)) for name in ("text.whl", "empty.whl", "absent.whl")] == [""] * 3
    assert contents_of_wheel("") == ""


@pytest.mark.parametrize("text", ["", "shakenfist/api.py,,\n", "one line\n", "../../../bin/sf-ctl,sha256=p,200\n"])
def test_what_tells_nothing(tmp_path, text):
    assert digest(tmp_path, text) == ""


def test_without_a_record(tmp_path):
    assert contents(None) == contents(str(tmp_path / "absent")) == ""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe,sha256=aa,1\n")
    assert contents(str(tmp_path / "bytes")) == ""


def test_a_marker(release, tmp_path):
    root, found = release()
    assert marked(root) == {} and not as_marked(root) and not rewritten(root, found)
    mark(root, found, "0.8.1-0a1b2c3d")
    assert marked(root) == dict(name="0.8.1-0a1b2c3d", version="0.8.1", record="RECORD",
                                contents=contents(found["record"]))
    assert as_marked(root) and not rewritten(root, found)
    release(record=PIP.replace("sha256=aa", "sha256=zz"))
    assert not as_marked(root) and rewritten(root, found)
    # One that says nothing, or anything else, is as none.
    for text in ("", "[]", "{}", "no JSON", '{"version": "0.8.1", "record": 5, "contents": "x"}',
                 '{"version": "0.8.1", "record": ["RECORD"], "contents": "x"}', '{"record": null, "contents": "x"}',
                 '{"version": 8, "record": null, "contents": "x"}',
                 '{"version": "0.8.1", "record": "RECORD", "contents": {"x": 1}}',
                 '{"version": "0.8.1", "record": "RECORD", "contents": "x", "name": 1}', "[" * 100000):
        (tmp_path / "0.8.1-0a1b2c3d" / MARKER).write_text(text)
        assert marked(root) == {} and not as_marked(root) and not rewritten(root, found)


@pytest.mark.parametrize("record", ["", "RECORD\0", "\ud800", "/absent", "..", "x" * 5000])
def test_a_marker_that_names_no_record(release, tmp_path, record):
    root = release()[0]
    (tmp_path / "0.8.1-0a1b2c3d" / MARKER).write_text(
        json.dumps(dict(version="0.8.1", record=record, contents="x")))
    assert not as_marked(root)


def test_a_marker_from_before_it_had_a_name(release, tmp_path):
    root, found = release()
    (tmp_path / "0.8.1-0a1b2c3d" / MARKER).write_text(
        json.dumps(dict(version="0.8.1", record="RECORD", contents=contents(found["record"]))))
    assert as_marked(root) and not rewritten(root, found)


def test_a_marker_for_a_name_that_it_does_not_have_yet(release):
    """Another build of the same version, killed between the marker and the new name."""
    root, found = release(record=PIP.replace("sha256=aa", "sha256=zz"))
    mark(root, found, "0.8.1-ffffffff")
    assert not as_marked(root) and rewritten(root, found)


def test_a_marker_beside_another_name(release):
    """The marker is of what it holds, and its name is not."""
    root, found = release("0.8.0-0a1b2c3d")
    mark(root, found, "0.8.0-0a1b2c3d")
    assert not as_marked(root) and rewritten(root, found)


def test_a_marker_without_a_record(release):
    root, found = release()
    found["record"] = None
    mark(root, found, "0.8.1-0a1b2c3d")
    assert not as_marked(root) and not rewritten(root, found)


@pytest.mark.parametrize("name, version, other", [
    ("0.8.1-0a1b2c3d", "0.8.1", False),
    ("0.8.1-0a1b2c3d.2", "0.8.1", False),
    ("0.8.1.dev3+gabc1234-0a1b2c3d", "0.8.1.dev3+gabc1234", False),
    ("0.8.1-0a1b2c3d", "0.8.2", True),
    ("0.8.1-0a1b2c3d.12", "0.8.2", True),
    ("blue", "0.8.2", False),
    ("0.8.1-0a1b", "0.8.2", False),
])
def test_names(release, name, version, other):
    assert rewritten(*release(name, version)) is other
