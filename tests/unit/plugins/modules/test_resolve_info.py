# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import resolve_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry

SHA = "0a1b2c3d" * 8
OFFERS = [entry("shakenfist", "0.8.1", SHA), entry("flask", "3.0", "ff")]


@pytest.fixture
def resolve(run_module, tmp_path):
    def run(**arguments):
        result = run_module(resolve_info, path=str(tmp_path / "venv"), distribution="shakenfist", **arguments)
        log = tmp_path / "pip.log"
        result["calls"] = log.read_text().splitlines() if log.exists() else []
        return result

    return run


@pytest.mark.parametrize("check", [False, True])
def test_the_newest(resolve, venv, check):
    venv("venv", offers=OFFERS)
    result = resolve(check=check)
    assert not result["failed"] and not result["changed"]
    assert (result["version"], result["sha256"], result["name"]) == ("0.8.1", SHA, "0.8.1-0a1b2c3d")
    assert result["constraints"] == ["shakenfist==0.8.1", "flask==3.0"]
    assert [package["name"] for package in result["packages"]] == ["shakenfist", "flask"]
    first, dummy, second, dummy = result["calls"]
    assert first.endswith("--dry-run --no-deps --ignore-installed shakenfist")
    assert second.endswith("--dry-run --upgrade shakenfist==0.8.1")


def test_options_reach_pip(resolve, venv):
    venv("venv", offers=OFFERS)
    result = resolve(version="0.8.1", index_url="http://me:hunter2@db/simple/", packages=["extra>=1"],
                     extra_args=["--pre"])
    first, index, second, dummy = result["calls"]
    assert first.endswith("--pre --dry-run --no-deps --ignore-installed shakenfist==0.8.1")
    assert index == "index=http://me:hunter2@db/simple/"
    assert second.endswith("--upgrade shakenfist==0.8.1 extra>=1")
    result.pop("calls")
    assert "hunter2" not in json.dumps(result)


def test_an_index_that_is_no_url(resolve, venv):
    venv("venv", offers=OFFERS)
    result = resolve(index_url="http://[::1/simple/")
    assert result["failed"] and not result["calls"]
    assert result["msg"].startswith("index_url is not a URL: ")


@pytest.mark.parametrize("packages, calls", [([], 1), (["extra"], 2)])
def test_a_node_that_has_it(resolve, venv, packages, calls):
    venv("venv", version="0.8.1", offers=OFFERS[:1])
    result = resolve(packages=packages)
    assert result["name"] == "0.8.1-0a1b2c3d" and len(result["calls"]) == 2 * calls
    assert bool(result["packages"]) == bool(packages)


def test_pip_fails(resolve, venv):
    venv("venv", pip_fails="\n".join(["noise"] * 20 + ["ERROR: No matching distribution found for shakenfist==9"]))
    result = resolve(version="9")
    assert result["failed"]
    assert result["msg"].startswith("cannot resolve shakenfist 9: pip failed:\n")
    assert result["msg"].endswith("ERROR: No matching distribution found for shakenfist==9")
    assert result["msg"].count("noise") == 11 and result["pip_output"].count("noise") == 20


@pytest.mark.parametrize("facts, message", [
    (dict(offers=[entry("flask", "3.0", "ff")]), "pip did not say which wheel of shakenfist it would install"),
    (dict(offers=[entry("shakenfist", "0.8.1", "")]), "pip did not say which wheel of shakenfist it would install"),
    (dict(), "pip wrote no report that can be read"),
    (dict(pip="20.3"), "has pip 20.3; 22.2 or later is needed"),
    (dict(version=None), "shakenfist is not installed"),
])
def test_what_cannot_be_resolved(resolve, venv, facts, message):
    venv("venv", **facts)
    result = resolve()
    assert result["failed"] and message in result["msg"]
    assert result["msg"].startswith("cannot resolve shakenfist (the newest release): ")
