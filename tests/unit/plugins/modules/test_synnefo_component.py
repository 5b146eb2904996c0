# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.modules import synnefo_component

ROWS = "astakos,http://a,http://a/ui\ncyclades,http://c/cyclades,http://c/ui\npithos,,\n"
SAID = "Registering cyclades's services and resources...\n"


@pytest.fixture
def node(monkeypatch):
    """What the commands answer, one after the other, and what was given to them."""
    answers, given = [], []

    def run(dummy, command, data=None):
        given.append((command[0], data))
        return answers.pop(0)

    monkeypatch.setattr(basic.AnsibleModule, "run_command", run)
    return answers, given


def test_registered_again(run_module, node):
    answers, given = node
    answers += [(0, ROWS, ""), (0, SAID, ""), (0, ROWS, "")]
    result = run_module(synnefo_component)
    assert not result["failed"] and result["changed"] and result["base_url"] == "http://c/cyclades"
    assert given[1] == ("snf-component-register", "y\nhttp://c/cyclades\nhttp://c/ui\ny")
    assert result["report"] == ["cyclades was registered again, with http://c/cyclades and http://c/ui"]


def test_check_mode_only_looks(run_module, node):
    answers, given = node
    answers.append((0, ROWS, ""))
    result = run_module(synnefo_component, check=True)
    assert result["changed"] and result["report"][0].startswith("cyclades would be registered again")
    assert len(given) == 1


@pytest.mark.parametrize("name, answers, words", [
    ("cyclades", [(1, "", "no database")], "snf-manage component-list failed (rc 1): no database"),
    ("quotas", [(0, ROWS, "")], "has no component quotas: register it with snf-component-register quotas"),
    ("pithos", [(0, ROWS, "")], "the component pithos has no base URL, or none of its user interface"),
    # It ends with 0 whatever comes of it.
    ("cyclades", [(0, ROWS, ""), (0, "", "")], "did not register it (rc 0):\nit said nothing"),
    ("cyclades", [(0, ROWS, ""), (0, SAID, "CommandError: no")], "did not register it (rc 0):\n"),
    ("cyclades", [(0, ROWS, ""), (127, "", "not found")], "did not register it (rc 127):\nnot found"),
    ("cyclades", [(0, ROWS, ""), (0, SAID, ""), (0, ROWS.replace("http://c/ui", "x"), "")],
     "it has the URLs http://c/cyclades and x, expected http://c/cyclades and http://c/ui"),
])
def test_what_goes_wrong(run_module, node, name, answers, words):
    node[0].extend(answers)
    result = run_module(synnefo_component, name=name)
    assert result["failed"] and words in result["msg"]
