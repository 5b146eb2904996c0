# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import (
    canonical,
    hide_credentials,
    inspect,
    installed,
    pick,
    require_pip,
)
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry


def answer(rc=0, out="", err=""):
    return lambda dummy: (rc, out, err)


@pytest.mark.parametrize("run, message", [
    (answer(rc=1, err="no module named encodings"), r"its python failed \(rc 1\): no module named encodings"),
    (answer(rc=2, out="said on stdout"), r"its python failed \(rc 2\): said on stdout"),
    (answer(out="Hello"), "its python printed 'Hello'"),
    (answer(out='{"version": null, "record": null, "pip": null, "python": "3.11.2"}'), "shakenfist is not installed"),
])
def test_a_virtualenv_that_is_no_good(venv, run, message):
    with pytest.raises(RollingError, match=message):
        inspect(run, str(venv("venv")), "shakenfist")


def test_a_virtualenv_without_python(tmp_path):
    with pytest.raises(RollingError, match="is broken: .*/bin/python is missing or does not run"):
        inspect(answer(), str(tmp_path), "shakenfist")


@pytest.mark.parametrize("version, fine", [
    ("22.2", True), ("23.0.1", True), ("24.1b1", True), ("100.0", True),
    ("22.1.2", False), ("9.0", False), (None, False),
])
def test_require_pip(version, fine):
    if fine:
        require_pip({"pip": version}, "/venv")
    else:
        with pytest.raises(RollingError, match="22.2 or later is needed: run /venv/bin/python -m pip install"):
            require_pip({"pip": version}, "/venv")


def test_installed():
    report = {"install": [
        entry("shakenfist", "0.8.1", "aa"),
        {"metadata": {"name": "old", "version": "1"}, "download_info": {"archive_info": {"hash": "sha256=bb"}}},
        {"metadata": {"name": "from-git", "version": "2"}, "download_info": {"vcs_info": {}}},
    ]}
    assert installed(report) == [
        {"name": "shakenfist", "version": "0.8.1", "sha256": "aa"},
        {"name": "old", "version": "1", "sha256": "bb"},
        {"name": "from-git", "version": "2", "sha256": ""},
    ]
    assert installed({}) == []


@pytest.mark.parametrize("name, expected", [("Shaken_Fist", "shaken-fist"), ("a.b", "a-b"), ("a-b", "a-b")])
def test_canonical(name, expected):
    assert canonical(name) == expected


def test_pick():
    packages = [{"name": "jinja2"}, {"name": "Shaken_Fist"}]
    assert pick(packages, "shaken-fist") is packages[1]
    assert pick(packages, "absent") is None


@pytest.mark.parametrize("url, hidden", [
    (None, set()),
    ("", set()),
    ("http://db:8080/simple/", set()),
    ("http://me:hunter2@db/simple/", {"hunter2"}),
    ("https://a-token@db/simple/", {"a-token"}),
])
def test_credentials_of_an_index_are_hidden(url, hidden):
    module = SimpleNamespace(params=dict(index_url=url), no_log_values=set())
    hide_credentials(module)
    assert module.no_log_values == hidden
