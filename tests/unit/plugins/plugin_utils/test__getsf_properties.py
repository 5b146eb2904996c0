# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._getsf import (
    ROLES,
    Shell,
    differences,
    parse_answers,
    parse_deploy,
    parse_inventory,
    read_cluster,
)
from ansible_collections.shakenfist.rolling.tests.unit import getsf_files as files
from ansible_collections.shakenfist.rolling.tests.unit.strategies import NAMES, PROPERTY, edited
from hypothesis import assume, given
from hypothesis import strategies as st

KEYS = [key for dummy, dummy, key, dummy in ROLES]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("getsf")


# Words that no shell would take for a command that does anything, none that it expands, and nothing that goes on in the
# next line.
@PROPERTY
@given(line=st.lists(st.sampled_from(
    ["export ", "A=", "A", "B=", "=", "b", "1", " ", "\t", "'", '"', "\\", ";", "#", "A='b c'", 'A="b\\"c"', "'A=b'"]),
    min_size=1, max_size=8).map("".join).filter(lambda line: not line.endswith("\\")))
def test_a_line_sets_what_it_sets_in_a_shell(place, line):
    try:
        value = Shell(line, "rc").said("A").value
    except RollingError:
        assume(False)
    (place / "rc").write_text(line + "\n", encoding="utf-8")
    shell = subprocess.run(["/bin/bash", "--norc", "-c", '. ./rc >/dev/null; printf "%s" "${A-unset}"'], cwd=place,
                           env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False)
    # Where a quote is open to the end, or nothing is before a semicolon, a shell takes nothing of the file.
    assume("unexpected" not in shell.stderr)
    assert ("unset" if value is None else value) == shell.stdout


@st.composite
def clusters(draw):
    """The names of nodes, and by role those that have it."""
    names = draw(st.lists(NAMES.filter(lambda name: name != "localhost"), min_size=1, max_size=5, unique=True))
    return names, {key: [name for name in names if draw(st.booleans())] for key in KEYS}


def address(names, name):
    return f"192.0.2.{names.index(name) + 1}"


def answers(names, roles, quote, between):
    said = {"GETSF_NODES": between.join(names), "GETSF_SSH_USER": "debian",
            "GETSF_SSH_KEY_FILENAME": "/root/.ssh/id_rsa"}
    said.update({answer: between.join(roles[key]) for dummy, answer, key, dummy in ROLES})
    said.update({f"GETSF_NODE_EGRESS_ADDRESS_{name.replace('-', '_')}": address(names, name) for name in names})
    return "".join(f"export {key}={quote}{value}{quote}\n" for key, value in said.items())


def inventory(names, roles):
    hosts = "".join(f"    {name!r}: {{ansible_host: {address(names, name)}}}\n" for name in names)
    groups = "".join(f"    {aliases[0]}: {{hosts: {{{', '.join(f'{name!r}: ' for name in roles[key])}}}}}\n"
                     for dummy, dummy, key, aliases in ROLES)
    return f"all:\n  hosts:\n{hosts}  children:\n{groups}"


@PROPERTY
@given(clusters(), st.sampled_from("'\""), st.sampled_from([" ", ",", ", ", "  "]))
def test_three_files_of_a_cluster_say_the_same_of_it(cluster, quote, between):
    names, roles = cluster
    entries = [files.entry(name, address(names, name), address(names, name),
                           **{key: name in roles[key] for key in KEYS}) for name in names]
    found = [parse_answers(answers(names, roles, quote, between), "rc"), parse_deploy(files.deploy(*entries), "deploy"),
             parse_inventory(inventory(names, roles), "inventory")]
    for one in found:
        assert list(one.hosts) == names
        assert [host["ansible_host"] for host in one.hosts.values()] == [address(names, name) for name in names]
        assert one.groups == {"allsf": names, **{group: roles[key] for group, dummy, key, dummy in ROLES}}
        assert differences(found[0], one) == []


@PROPERTY
@given(text=edited([files.ANSWERS, files.DEPLOY, files.INVENTORY, files.INVENTORY_OLDER],
                   list("'\"\\;#{}[]:,&*!|>-?\n\r\t\0\x07") + ["TOPOLOGY=", "EOF\n", "\n---\n", "sf-1", "<<: "]))
def test_a_damaged_file_is_read_or_refused_by_its_line(place, text):
    path = place / ("file.yaml" if text.startswith("---") else "file")
    path.write_text(text, encoding="utf-8")
    try:
        cluster = read_cluster(str(path))
    except RollingError as exc:
        assert re.match(rf"{re.escape(os.fspath(path))}(, line [1-9][0-9]*)?: expected (.|\n)+, saw ", exc.message)
        # Passwords are in these files.
        assert "Sesame" not in exc.message
    else:
        assert set(cluster.groups) <= {"allsf", *(group for group, *dummy in ROLES)} and cluster.hosts
        assert all(set(members) <= set(cluster.hosts) for members in cluster.groups.values())
