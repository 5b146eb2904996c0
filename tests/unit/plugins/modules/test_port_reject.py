# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import port_reject as part
from ansible_collections.shakenfist.rolling.plugins.modules import port_reject

GATEWAY = dict(server="10.0.0.1:13005", servers=["10.0.0.1:13005", "10.0.0.2:13005"])
PEERS = "0 0 10.0.0.1:13005 10.0.0.2:40000\n0 0 10.0.0.1:13005 10.0.0.3:40001\n"


class Node:
    """A node with the programs in C(has), its tables, and what was run on it."""

    def __init__(self):
        self.has, self.tables, self.broken, self.done = {"nft", "ss"}, "", "", []
        self.undeletable = ""
        self.others = {"10.0.0.2:13005"}

    def find(self, name, **dummy_options):
        return f"/sbin/{name}" if name in self.has else None

    def run(self, command, data=None, **dummy_options):
        program, arguments = command[0].rpartition("/")[2], " ".join(command[1:])
        if program == "ss":
            self.done.append("cut")
            return 0, PEERS, ""
        if self.broken:
            return 1, "", self.broken
        if arguments == "list tables":
            return 0, self.tables, ""
        if self.undeletable and arguments.startswith("delete"):
            return 1, "", self.undeletable
        self.done.append(data or arguments)
        return 0, "", ""


@pytest.fixture
def warnings(monkeypatch):
    given = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda dummy, text: given.append(text))
    return given


@pytest.fixture
def node(monkeypatch):
    fake = Node()
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", fake.find)
    monkeypatch.setattr(basic.AnsibleModule, "run_command", fake.run)
    monkeypatch.setattr(part, "takes_connections", lambda server: server in fake.others)
    monkeypatch.setattr(part.time, "sleep", lambda seconds: fake.done.append(f"{seconds} s"))
    return fake


def test_rejects_then_lets_requests_end_then_cuts(run_module, node):
    result = run_module(port_reject, **GATEWAY, seconds=45, quiet=0.25)
    assert result["changed"] and result["rejecting"] and result["cut"] == 2
    rules, *rest = node.done
    assert rest == ["0.25 s", "cut"]
    assert "elements = { 13005 timeout 45s }" in rules
    # One transaction, whatever a run before has left: the table is made anew.
    assert rules.splitlines()[:3] == ["add table inet shakenfist_rolling", "delete table inet shakenfist_rolling",
                                      "table inet shakenfist_rolling {"]


@pytest.mark.parametrize("has, cut", [({"nft", "ss"}, 2), ({"nft"}, 0)])
def test_without_ss_nothing_is_cut(run_module, node, has, cut):
    node.has = has
    result = run_module(port_reject, **GATEWAY)
    assert result["rejecting"] and result["cut"] == cut


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("tables, changed", [
    ("table inet filter\ntable inet shakenfist_rolling\n", True), ("table inet filter\n", False), ("", False)])
def test_stops_rejecting(run_module, node, check, tables, changed):
    node.tables = tables
    result = run_module(port_reject, check, **GATEWAY, state="absent")
    assert result["changed"] == changed and not result["rejecting"]
    assert node.done == (["delete table inet shakenfist_rolling"] if changed and not check else [])


def test_check_mode(run_module, node):
    result = run_module(port_reject, True, **GATEWAY)
    assert result["changed"] and not result["rejecting"] and node.done == []


@pytest.mark.parametrize("has, broken, problem", [
    ({"ss"}, "", "nft is not installed; next: install the package nftables"),
    ({"nft", "ss"}, "Error: Could not process rule: Operation not permitted",
     "nft -f failed (rc 1): Error: Could not process rule: Operation not permitted")])
def test_what_cannot_be_is_a_warning(run_module, node, warnings, has, broken, problem):
    node.has, node.broken = has, broken
    result = run_module(port_reject, **GATEWAY)
    assert not result["failed"] and not result["changed"] and not result["rejecting"] and node.done == []
    assert result["problem"] == problem
    assert len(warnings) == 1 and warnings[0].startswith("clients of 10.0.0.1:13005 are not led away")
    assert warnings[0].endswith(": " + problem)


@pytest.mark.parametrize("broken, problem", [
    ("undeletable", "nft delete failed (rc 1): Error: busy"), ("broken", "nft list failed (rc 1): Error: busy")])
@pytest.mark.parametrize("servers", [{}, dict(servers=GATEWAY["servers"])])
def test_what_cannot_be_taken_away_is_a_warning(run_module, node, warnings, broken, problem, servers):
    """Whether or not it is said which other servers there are: clients of this one are rejected."""
    node.tables = "table inet shakenfist_rolling\n"
    setattr(node, broken, "Error: busy")
    result = run_module(port_reject, server=GATEWAY["server"], state="absent", seconds=45, **servers)
    assert not result["failed"] and not result["changed"] and result["rejecting"] and result["problem"] == problem
    assert warnings == [f"clients of 10.0.0.1:13005 may be rejected until the rule expires, 45 s after it was set: "
                        f"{problem}; next: nft delete table inet shakenfist_rolling"]


def test_without_nft_there_is_nothing_to_take_away(run_module, node, warnings):
    node.has = set()
    result = run_module(port_reject, **GATEWAY, state="absent")
    assert not result["changed"] and not result["problem"] and not result["rejecting"] and warnings == []


@pytest.mark.parametrize("servers, others, problem", [
    (["10.0.0.1:13005"], set(), "its clients have no other server"),
    (["10.0.0.1:13005", "10.0.0.2:13005", "10.0.0.3:13005"], set(),
     "no other server takes connections, of 10.0.0.2:13005, 10.0.0.3:13005"),
    (["10.0.0.2:13005", "10.0.0.1:13005", "10.0.0.3:13005"], {"10.0.0.3:13005"}, "")])
def test_the_last_server_is_left_alone(run_module, node, servers, others, problem):
    node.others = others
    result = run_module(port_reject, server="10.0.0.1:13005", servers=servers)
    assert not result["failed"] and result["problem"] == problem and result["rejecting"] == (not problem)
    assert bool(node.done) == (not problem)


@pytest.mark.parametrize("server, servers", [("13005", []), ("10.0.0.1:13005", ["10.0.0.2:grpc"]), ("sf-1:", []),
                                             ("sf-1:\u00b2", [])])
def test_bad_addresses(run_module, node, server, servers):
    result = run_module(port_reject, server=server, servers=servers)
    assert result["failed"] and result["msg"].endswith("is no HOST:PORT") and node.done == []


def test_takes_connections():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert part.takes_connections(f"127.0.0.1:{port}")
    assert not part.takes_connections(f"127.0.0.1:{port}")
