# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _getsf
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._getsf import (
    Incomplete,
    Shell,
    find_cluster,
    parse_answers,
    parse_deploy,
    parse_inventory,
    read_cluster,
)
from ansible_collections.shakenfist.rolling.tests.unit import getsf_files as files

GROUPS = {"allsf": ["sf-1", "sf-2", "sf-3"], "database": ["sf-1", "sf-2"], "hypervisors": ["sf-2", "sf-3"],
          "network_node": ["sf-1"], "storage": [], "primary_node": ["sf-1"]}


def line_of(text, part):
    """The number of the line with this part."""
    return next(number for number, line in enumerate(text.split("\n"), start=1) if part in line)


# The reader of shell files


@pytest.mark.parametrize("line, expected", [
    ("export A='b'", "b"),
    ("A='b'", "b"),
    ("  export\tA=b  # comment", "b"),
    ("export A=", ""),
    ("export A=''", ""),
    ('export A="b c"', "b c"),
    (r'export A="\"b\" \\ \$c \`d\` \e"', r'"b" \ $c `d` \e'),
    (r"export A='it'\''s'", "it's"),
    (r"export A=b\ c", "b c"),
    ("export A='b=c=='", "b=c=="),
    ("export A=b=c", "b=c"),
    ("export A='$b `c`'", "$b `c`"),
    (r"export A=\$b", "$b"),
    ("export A=b#c", "b#c"),
    ("export A=~/.ssh/id", "~/.ssh/id"),
    ("export A=b\r", "b"),
    ("export B=1 A=b C", "b"),
    ("export B=$(date) A=b", "b"),
    ("B=1 A=b", "b"),
    ("true; export A=b; false", "b"),
    ("true && A=b", "b"),
    ("export 'A=b'", "b"),
    ("A='b=c'd", "b=cd"),
    ("export A=1\nexport A=b", "b"),
    ("export B='it's'\nexport A=b", "b"),
    ("export B='1\n2'\nexport A=b", "b"),
    # None of these sets A.
    ("# export A=b", None),
    ("#A=b", None),
    ("A=b command", None),
    ("command A=b", None),
    ("export A = b", None),
    ("'A=b'", None),
    ("A\\=b", None),
    ("B=1 'A'=b", None),
    ("export A", None),
    ("1A=b", None),
    ("", None),
])
def test_what_a_line_sets(line, expected):
    assert Shell(line, "rc").said("A").value == expected


@pytest.mark.parametrize("line, words", [
    ("export A='b", "a quote that is not closed"),
    ('export A="b', "a quote that is not closed"),
    ("export A='it's'", "a quote that is not closed"),
    ("export A=b\\", "a backslash at the end of the line"),
    ("export A=$(secret)", "a $ or ` for the shell"),
    ("export A=`secret`", "a $ or ` for the shell"),
    ('export A="secret ${B}"', "a $ or ` for the shell"),
    (r'export A="secret \\$B"', "a $ or ` for the shell"),
    ("export A=$'secret'", "a $ or ` for the shell"),
])
def test_a_value_that_is_not_literal(line, words):
    shell = Shell("\n" + line, "rc")
    with pytest.raises(RollingError) as caught:
        shell.said("A")
    assert caught.value.message.startswith(f"rc, line 2: expected export A='...' with a literal value, saw {words}")
    assert "secret" not in caught.value.message
    assert shell.said("B").value is None


# The answers


def test_answers():
    cluster = parse_answers(files.ANSWERS, "rc")
    assert cluster.groups == GROUPS
    assert cluster.hosts["sf-2"] == {
        "ansible_host": "192.0.2.12", "ansible_user": "debian", "ansible_ssh_private_key_file": "/root/.ssh/id_rsa",
        "node_egress_ip": "192.0.2.12", "node_egress_nic": "eth0", "node_mesh_ip": "10.0.0.2", "node_mesh_nic": "eth1"}


@pytest.mark.parametrize("parse, text", [(parse_answers, files.ANSWERS), (parse_deploy, files.DEPLOY)])
def test_the_mesh_address(parse, text):
    assert parse(text, "rc", "mesh").hosts["sf-2"]["ansible_host"] == "10.0.0.2"


def test_answers_of_an_installation_on_localhost():
    cluster = parse_answers(files.ANSWERS_LOCAL, "rc")
    assert cluster.hosts == {"localhost": {"ansible_connection": "local"}}
    assert cluster.groups == {**{group: ["localhost"] for group in GROUPS}, "storage": []}


def test_answers_without_what_may_be_missing():
    text = re.sub(r"export GETSF_(SSH|NODE_PRIMARY|NODE_STORAGE|NODE_\w+_NIC|NODE_MESH).*\n", "", files.ANSWERS)
    cluster = parse_answers(text, "rc")
    assert cluster.hosts["sf-1"] == {"ansible_host": "192.0.2.11", "node_egress_ip": "192.0.2.11"}
    assert set(GROUPS) - set(cluster.groups) == {"primary_node", "storage"}


def test_nodes_in_the_order_of_the_answer_and_with_commas():
    text = files.ANSWERS.replace("'sf-1 sf-2 sf-3'", "'  sf-3,sf-1  sf-2 '")
    assert parse_answers(text, "rc").groups["allsf"] == ["sf-3", "sf-1", "sf-2"]


@pytest.mark.parametrize("old, new, words", [
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES='sf-1 sf-2 sf-3",
     "expected export GETSF_NODES='...' with a literal value, saw a quote"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES=''", "expected GETSF_NODES to list nodes, saw none"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES = 'sf-1'",
     "expected export GETSF_NODES='sf-1 sf-2' or the like, saw no value: correct that line"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES='sf-1 sf-2 {{x}}'",
     "expected GETSF_NODES to be the name of a node, saw '{{x}}'"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES='sf-1 sf-2 sf-3 sf-1'", "expected each node once, saw sf-1 again"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES='sf-1 sf-2 sf-3 localhost'",
     "expected localhost alone, or no localhost"),
    ("GETSF_NODES='sf-1 sf-2 sf-3'", "GETSF_NODES='localhost sf-1'", "expected localhost alone, or no localhost"),
    ("GETSF_NODE_ETCD_MASTER='sf-1 sf-2'", "GETSF_NODE_ETCD_MASTER='sf-1 sf-4'",
     "expected GETSF_NODE_ETCD_MASTER to have nodes of the cluster (sf-1, sf-2, sf-3), saw sf-4"),
    ("EGRESS_ADDRESS_sf_2='192.0.2.12'", "EGRESS_ADDRESS_sf_2='192.0.2.112.1'",
     "expected GETSF_NODE_EGRESS_ADDRESS_sf_2 to be an IP address, saw '192.0.2.112.1'"),
    ("EGRESS_ADDRESS_sf_2='192.0.2.12'", "EGRESS_ADDRESS_sf_2=''",
     "expected GETSF_NODE_EGRESS_ADDRESS_sf_2 to be an IP address, saw none"),
    ("MESH_ADDRESS_sf_2='10.0.0.2'", "MESH_ADDRESS_sf_2='sf-2'",
     "expected GETSF_NODE_MESH_ADDRESS_sf_2 to be an IP address, saw 'sf-2'"),
    ("EGRESS_ADDRESS_sf_2='192.0.2.12'", "EGRESS_ADDRESS_sf_2='192.0.2.11'",
     "expected each node to have an address of its own, saw 192.0.2.11 for sf-1 and sf-2"),
    ("EGRESS_NIC_sf_2='eth0'", "EGRESS_NIC_sf_2='eth 0'",
     "expected GETSF_NODE_EGRESS_NIC_sf_2 to be the name of a network interface, saw 'eth 0'"),
    ("SSH_USER='debian'", "SSH_USER='{{ lookup(1) }}'", "expected GETSF_SSH_USER to be the name of a user, saw"),
    ("SSH_KEY_FILENAME='/root/.ssh/id_rsa'", "SSH_KEY_FILENAME='{% x %}'",
     "expected GETSF_SSH_KEY_FILENAME to be the name of a file, saw"),
])
def test_answers_that_are_wrong(old, new, words):
    text = files.ANSWERS.replace(old, new)
    assert text != files.ANSWERS
    with pytest.raises(RollingError) as caught:
        parse_answers(text, "rc")
    assert f"rc, line {line_of(files.ANSWERS, old)}: {words}" in caught.value.message
    assert caught.value.message.endswith(": correct that line")
    assert not isinstance(caught.value, Incomplete)


@pytest.mark.parametrize("name", ["GETSF_NODES", "GETSF_NODE_ETCD_MASTER", "GETSF_NODE_HYPERVISOR",
                                  "GETSF_NODE_NETWORK", "GETSF_NODE_EGRESS_ADDRESS_sf_3"])
def test_answers_that_are_missing(name):
    text = re.sub(rf"export {name}=.*\n", "", files.ANSWERS)
    with pytest.raises(Incomplete, match=f"rc: expected .*{name}.*, saw no.*: add it, or name another file with path"):
        parse_answers(text, "rc")


# sf-deploy


@pytest.mark.parametrize("text", [
    files.DEPLOY,
    files.DEPLOY.replace("  },\n]", "  }\n]"),
    files.DEPLOY.replace('"storage": false\n', '"storage": false,\n'),
    files.DEPLOY.replace("<< EOF", "<<'EOF' "),
    files.DEPLOY.replace("\n", "\r\n"),
    'export TOPOLOGY="nothing"\n' + files.DEPLOY,
])
def test_deploy(text):
    assert parse_deploy(text, "rc")._replace(source="") == parse_answers(files.ANSWERS, "")


def test_a_comma_in_a_string_stays():
    text, dummy = _getsf.topology(["TOPOLOGY=$(cat << EOF", r'[{"a": ",] \",}",},', "]", "EOF"], "rc")
    assert text == r'[{"a": ",] \",}" } ' + "\n]"


def test_deploy_on_localhost():
    cluster = parse_deploy(files.DEPLOY_LOCAL, "rc")
    assert cluster.hosts == {"localhost": {
        "ansible_connection": "local", "node_egress_ip": "192.0.2.11", "node_egress_nic": "eth0",
        "node_mesh_ip": "192.0.2.11", "node_mesh_nic": "eth0"}}
    assert cluster.groups == parse_answers(files.ANSWERS_LOCAL, "").groups


@pytest.mark.parametrize("old, new, words", [
    ("TOPOLOGY=$(cat << EOF", "TOPOLOGY=$(cat topology.json)",
     "expected export TOPOLOGY=$(cat << EOF, saw another value of TOPOLOGY"),
    ("TOPOLOGY=$(cat << EOF", "TOPOLOGY=$(cat << END",
     "expected a line END after the TOPOLOGY that begins here, saw none"),
    ('"name": "sf-2"', '"name": sf-2', "expected the JSON of TOPOLOGY, saw an error in it (Expecting value)"),
    ('"name": "sf-2"', '"name": "sf-1"', "expected each node once, saw sf-1 again"),
    ('"name": "sf-2"', '"name": ""', "expected name to be the name of a node, saw none"),
    ('"name": "sf-2"', '"name": 2', "expected name to be a string, saw a number"),
    ('"node_egress_ip": "192.0.2.12"', '"node_egress_ip": "$(hostname)"',
     "expected node_egress_ip to be an IP address, saw '$(hostname)'"),
    ('"node_egress_ip": "192.0.2.12"', '"node_egress_ip": null',
     "expected node_egress_ip to be an IP address, saw none"),
    ('"node_mesh_ip": "10.0.0.2"', '"node_mesh_ip": ["10.0.0.2"]', "expected node_mesh_ip to be a string, saw a list"),
    ('"network_node": true', '"network_node": "yes"', "expected network_node to be a boolean, saw a string"),
    ('SSH_USER="debian"', 'SSH_USER="$USER"', "expected export SSH_USER='...' with a literal value, saw a $"),
])
def test_deploy_that_is_wrong(old, new, words):
    text = files.DEPLOY.replace(old, new)
    assert text != files.DEPLOY
    with pytest.raises(RollingError) as caught:
        parse_deploy(text, "rc")
    assert f"rc, line {line_of(files.DEPLOY, old)}: {words}" in caught.value.message


def test_deploy_without_an_address():
    """The line is that of the node."""
    text = files.DEPLOY.replace('    "node_egress_ip": "192.0.2.12",\n', "")
    with pytest.raises(RollingError, match=f"line {line_of(text, 'sf-2') - 1}: expected node_egress_ip to be an IP"):
        parse_deploy(text, "rc")


@pytest.mark.parametrize("json, words", [
    ('{"name": "sf-1"}', "line 2: expected TOPOLOGY to be a list of nodes, saw an object"),
    ("[]", "line 2: expected TOPOLOGY to be a list of nodes, saw no node"),
    ('[\n"sf-1"]', "line 3: expected each node to be an object, saw a string"),
    ("[\n\n5]", "line 4: expected each node to be an object, saw a number"),
])
def test_a_topology_of_another_kind(json, words):
    with pytest.raises(RollingError, match=f"rc, {words}: correct that line"):
        parse_deploy(f"TOPOLOGY=$(cat << EOF\n{json}\nEOF\n)\n", "rc")


# /etc/sf/inventory.yaml


def test_inventory():
    cluster = parse_inventory(files.INVENTORY, "rc")
    assert cluster.hosts == {f"sf-{number}": {"ansible_host": f"10.0.0.{number}"} for number in (1, 2, 3)}
    assert cluster.groups == {group: nodes for group, nodes in GROUPS.items() if group != "primary_node"}


def test_an_inventory_of_an_older_release():
    cluster = parse_inventory(files.INVENTORY_OLDER, "rc")
    assert cluster.hosts["sf-2"] == {"ansible_host": "192.0.2.12", "ansible_user": "debian",
                                     "ansible_ssh_private_key_file": "/root/.ssh/id_rsa"}
    assert cluster.groups == GROUPS


def test_an_inventory_without_addresses_and_with_newer_groups():
    cluster = parse_inventory("all: {hosts: {a: , b: {}}, children: {database_node: {hosts: {b: }}, database: {hosts: "
                              "{a: , b: }}, hypervisors: , network_node: {hosts: }}}", "rc")
    assert cluster.hosts == {"a": {"ansible_host": "a"}, "b": {"ansible_host": "b"}}
    assert cluster.groups == {"allsf": ["a", "b"], "database": ["a", "b"], "hypervisors": [], "network_node": []}


def test_an_inventory_of_localhost():
    text = files.INVENTORY_OLDER.split("    sf-2:\n", maxsplit=1)[0].replace("sf-1", "localhost")
    text += "  children: {etcd: , hypervisors: , network: }\n"
    assert parse_inventory(text, "rc").hosts == {"localhost": {"ansible_connection": "local"}}


@pytest.mark.parametrize("old, new, words", [
    ("ansible_host: 10.0.0.2", "ansible_host: '10.0.0.2", "expected YAML, saw an error in it ("),
    ("ansible_host: 10.0.0.2", "ansible_host: \x07", "expected YAML, saw an error in it (special characters"),
    ("ansible_host: 10.0.0.2", "ansible_host: [10.0.0.2]", "expected ansible_host to be a string, saw a sequence"),
    ("ansible_host: 10.0.0.2", "ansible_host: !unsafe '{{ x }}'",
     "expected ansible_host to be an address or the name of a host, saw '{{ x }}'"),
    ("ansible_host: 10.0.0.2", "ansible_host: 10.0.0.1", "expected each node to have an address of its own"),
    ("ansible_host: 10.0.0.2", "- 10.0.0.2", "expected the host sf-2 to be a mapping, saw a sequence"),
    ("sf-3: {}  # hypervisor", "sf-4: {}",
     "expected the group hypervisors to have nodes of the cluster (sf-1, sf-2, sf-3)"),
    ("network:", "network: [sf-1]", "expected network to be a mapping, saw a sequence"),
])
def test_an_inventory_that_is_wrong(old, new, words):
    text = files.INVENTORY.replace(old, new)
    assert text != files.INVENTORY
    if new.startswith("network"):
        text = text.replace("[sf-1]\n      hosts: {sf-1: }", "[sf-1]")
    with pytest.raises(RollingError) as caught:
        parse_inventory(text, "rc")
    found = re.match(r"rc, line (\d+): (.*)", caught.value.message)
    assert found and words in found[2]
    # A quote that is not closed is noticed at the end of the file.
    assert int(found[1]) == (text.count("\n") + 1 if new.endswith("'10.0.0.2") else line_of(files.INVENTORY, old))


@pytest.mark.parametrize("text, words", [
    ("", "hosts in all.hosts"),
    ("all:\n  children: {}\n", "hosts in all.hosts"),
    ("all: {hosts: {a: }}", "a group etcd in all.children"),
    ("all: {hosts: {a: }, children: {etcd: , hypervisors: }}", "a group network in all.children"),
])
def test_an_inventory_that_lacks_something(text, words):
    with pytest.raises(Incomplete, match=f"rc: expected {words}, saw none: add it, or name another file with path"):
        parse_inventory(text, "rc")


# Files


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)
    return write


@pytest.mark.parametrize("name, text", [("any", files.ANSWERS), ("other", files.DEPLOY), ("x.yml", files.INVENTORY),
                                        ("x.yaml", files.INVENTORY), ("any", b"\xef\xbb\xbf" + files.ANSWERS.encode())])
def test_a_file_is_known_by_what_it_holds(write, name, text):
    path = write(name, text)
    cluster = read_cluster(path)
    assert cluster.source == path and list(cluster.hosts) == ["sf-1", "sf-2", "sf-3"]


def test_files_that_cannot_be_read(write, tmp_path, monkeypatch):
    with pytest.raises(RollingError, match=f"cannot read {tmp_path}: Is a directory: become"):
        read_cluster(str(tmp_path))
    with pytest.raises(RollingError, match="cannot read .*'utf-8' codec can't decode"):
        read_cluster(write("x", b"\xff"))

    def refuse(*dummy, **more):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(_getsf, "open", refuse, raising=False)
    with pytest.raises(RollingError, match="cannot read .*x: Permission denied: become a user who may, or name"):
        read_cluster(str(tmp_path / "x"))


def test_no_file(tmp_path):
    paths = [str(tmp_path / name) for name in ("a", "b")]
    with pytest.raises(RollingError, match=f"none of {paths[0]}, {paths[1]} is there .* name it with path"):
        find_cluster(paths)


def test_the_first_file_counts(write, tmp_path):
    paths = [str(tmp_path / "missing"), write("a", files.ANSWERS), write("b", files.DEPLOY),
             write("c.yaml", files.INVENTORY), write("d.yaml", files.INVENTORY_OLDER)]
    cluster, warnings = find_cluster(paths)
    assert cluster.source == paths[1] and warnings == []


def test_a_file_that_lacks_answers_is_passed_over(write):
    paths = [write("a", "export GETSF_ADMIN_PASSWORD='x'\n"), write("b", files.DEPLOY), write("c", "")]
    cluster, warnings = find_cluster(paths)
    assert cluster.source == paths[1]
    assert len(warnings) == 1 and warnings[0].startswith(f"passed over {paths[0]}: expected export GETSF_NODES=")


def test_only_files_that_lack_answers(write):
    with pytest.raises(RollingError, match="passed over .*a: expected .*; passed over .*b.yml: expected hosts"):
        find_cluster([write("a", ""), write("b.yml", "")])


def test_a_broken_file(write):
    broken, good = write("a", files.DEPLOY.replace("true", "yes")), write("b", files.ANSWERS)
    with pytest.raises(RollingError, match=f"{broken}, line"):
        find_cluster([broken, good])
    cluster, warnings = find_cluster([good, broken])
    assert cluster.source == good and len(warnings) == 1 and warnings[0].startswith(f"{broken}, line")


def test_files_that_disagree(write):
    """As where the name of a node is a part of another's: getsf gives sf-1 of the topology the roles of sf-10, too."""
    paths = [write("a", files.ANSWERS),
             write("b", files.DEPLOY.replace('"sf-3"', '"sf-4"').replace('"storage": false', '"storage": true', 1)
                   .replace("10.0.0.2", "10.0.0.22"))]
    dummy, warnings = find_cluster(paths)
    assert warnings == [
        f"{paths[0]} is used, and {paths[1]} disagrees with it: sf-3 is a node only by {paths[0]}; sf-4 is a node "
        f"only by {paths[1]}; sf-1 is in storage only by {paths[1]}; sf-2 has 10.0.0.2 and 192.0.2.12 by {paths[0]}, "
        f"10.0.0.22 and 192.0.2.12 by {paths[1]}. Correct one of them, or name the right one with path"]


def test_what_a_file_does_not_know_is_no_difference(write):
    paths = [write("a", files.ANSWERS_LOCAL), write("b", files.DEPLOY_LOCAL)]
    assert find_cluster(paths)[1] == []


def test_no_secret_is_kept():
    for parse, text in ((parse_answers, files.ANSWERS), (parse_deploy, files.DEPLOY),
                        (parse_inventory, files.INVENTORY)):
        assert "Sesame" in text and "Sesame" not in repr(parse(text, "rc"))


def test_every_variable_is_known_to_hold_no_template():
    for shape in set(_getsf.SHAPES.values()) | {_getsf.NAME}:
        for word in ("{{ x }}", "{% x %}", "{# x #}"):
            assert not re.fullmatch(shape[1], word)
