# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import schema

VERIFIED = "MariaDB schema verified."
UNCHANGED = f"""Table 'nodes' is up to date (version 1)
Table 'notes' is up to date (version 2)
Native ENUM columns are up to date
{VERIFIED}"""
MIGRATED = f"""Table 'nodes' is up to date (version 1)
Migrated table 'notes' from version 1 to 2
Created table 'tags' at version 3
Widened ENUM column(s): objects.state, nodes.kind.
{VERIFIED}"""
REFUSAL = """The MariaDB server is not fit:
 - version 10.5.1 is older than 10.6.0
 - the character set is latin1"""


@pytest.fixture
def run(run_module, venv, tmp_path):
    """Run the module over an sf-ctl that prints a text and ends with a code."""
    config = tmp_path / "config"
    config.write_text('SHAKENFIST_MARIADB_HOST="db"\n')

    def start(text="", rc=0, check=False, script=True, config=config, **arguments):
        release = venv("release")
        (release / "text").write_text(text + "\n")
        if script:
            (release / "bin" / "sf-ctl").write_text(
                f'cat {release}/text\necho "$SHAKENFIST_MARIADB_HOST $*" >{release}/called\nexit {rc}\n')
        else:
            (release / "bin" / "sf-ctl").unlink()
        result = run_module(schema, check, release=str(release), command=["sf-ctl", "ensure-mariadb-schema"],
                            config=str(config), **arguments)
        result["called"] = (release / "called").read_text() if (release / "called").exists() else ""
        return result

    return start


def test_a_migration(run):
    result = run(MIGRATED)
    assert not result["failed"] and result["changed"]
    assert result["tables"] == [
        {"table": "nodes", "before": 1, "after": 1},
        {"table": "notes", "before": 1, "after": 2},
        {"table": "tags", "before": None, "after": 3},
    ]
    assert result["widened"] == ["objects.state", "nodes.kind"]
    assert result["diff"] == {
        "before": "nodes: version 1\nnotes: version 1\n",
        "after": "nodes: version 1\nnotes: version 2\ntags: version 3\nobjects.state: widened\nnodes.kind: widened\n"}
    assert result["output"] == MIGRATED
    assert result["called"] == "db ensure-mariadb-schema\n"


@pytest.mark.parametrize("text, changed", [
    (UNCHANGED, False),
    (VERIFIED, False),
    (f"Widened ENUM column(s): a.b\n{VERIFIED}", True),
    (f"Created table 'a' at version 1\n{VERIFIED}", True),
    (f"Migrated table 'a' from version 1 to 2\n{VERIFIED}", True),
])
def test_changed_only_if_something_changed(run, text, changed):
    result = run(text)
    assert not result["failed"] and result["changed"] is changed


def test_a_refusal_comes_through_whole(run):
    result = run(REFUSAL, rc=1)
    assert result["failed"] and result["rc"] == 1 and result["output"] == REFUSAL
    assert "ensure-mariadb-schema of " in result["msg"] and result["msg"].endswith(f"failed (rc 1):\n{REFUSAL}")


def test_an_end_without_the_last_word(run):
    result = run("Table 'nodes' is up to date (version 1)")
    assert result["failed"] and f"ended without saying '{VERIFIED}'" in result["msg"]


def test_another_last_word(run):
    assert not run("Done", verified="Done")["failed"]


def test_check_mode_runs_nothing(run):
    result = run(MIGRATED, check=True)
    assert not result["failed"] and not result["changed"] and result["skipped"]
    assert result["called"] == ""


def test_a_release_that_is_not_staged(run):
    result = run(script=False)
    assert result["failed"] and result["msg"].endswith("bin/sf-ctl: is the release staged on this node?")


def test_no_configuration(run, tmp_path):
    result = run(VERIFIED, config=tmp_path / "none")
    assert result["failed"] and result["msg"].startswith(f"cannot read {tmp_path}/none") and not result["called"]


@pytest.mark.parametrize("rc", [0, 1])
def test_secrets_stay_on_the_node(run, tmp_path, rc):
    config = tmp_path / "secret"
    config.write_text('SHAKENFIST_MARIADB_HOST="db"\nSHAKENFIST_MARIADB_PASSWORD="s3cret"\n')
    result = run(f"as sf with s3cret\n{VERIFIED}", rc=rc, config=config)
    assert "s3cret" not in str(result) and "as sf with ********" in result["output"]
