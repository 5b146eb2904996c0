# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import ctl_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import ctl_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import make_venv


@pytest.fixture
def release(tmp_path):
    return make_venv(tmp_path / "0.8.1-0a1b2c3d")


@pytest.fixture
def ask(run_module, tmp_path, release):
    config = tmp_path / "config"
    config.write_text('SHAKENFIST_NODE_NAME="sf-1"\nSHAKENFIST_MARIADB_PASSWORD="s3cret"\n')

    def start(script=None, check=False, **more):
        if script is not None:
            (release / "bin" / "sf-ctl").write_text(script)
        return run_module(ctl_info, check, **dict(dict(release=str(release), config=str(config)), **more))
    return start


@pytest.mark.parametrize("check", [False, True])
def test_a_release_that_accepts_the_configuration(ask, check):
    result = ask('echo "$1 of $SHAKENFIST_NODE_NAME in $(pwd)"', check)
    assert not result["failed"] and not result["changed"]
    assert result["output"] == "verify-config of sf-1 in /"


def test_a_release_that_does_not(ask, release):
    result = ask("echo 'Error: Not configured: NODE_EGRESS_IP' >&2; exit 1")
    assert result["failed"] and result["rc"] == 1
    assert result["msg"] == (f"sf-ctl verify-config of {release} failed (rc 1), so no daemon of that release would "
                             "start here. It said:\nError: Not configured: NODE_EGRESS_IP")


def test_one_that_says_nothing(ask):
    assert ask("exit 3")["msg"].endswith("(rc 3), so no daemon of that release would start here. It said:\nnothing")


def test_one_that_does_not_end(ask, monkeypatch):
    monkeypatch.setattr(part, "WITHIN", 1)
    result = ask("exec sleep 60")
    assert result["failed"] and "did not end within 1 s" in result["msg"]


def test_secrets_stay_on_the_node(ask):
    result = ask('echo "cannot log in with $SHAKENFIST_MARIADB_PASSWORD"; exit 1')
    assert "s3cret" not in str(result) and "cannot log in with ********" in result["msg"]


@pytest.mark.parametrize("more, message", [
    (dict(command=["sf-none"]), "is the release staged on this node?"),
    (dict(command=[]), "command is empty"),
    (dict(config="/nonexistent/config"), "cannot read /nonexistent/config"),
])
def test_nothing_to_run(ask, more, message):
    result = ask(**more)
    assert result["failed"] and message in result["msg"]
