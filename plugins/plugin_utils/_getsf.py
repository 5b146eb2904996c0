# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import ipaddress
import json
import os
import re
import typing

import yaml
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

ALL = "allsf"
LOCAL = "localhost"
# Our group, the answer in .getsfrc, the key in the topology of sf-deploy, the groups in /etc/sf/inventory.yaml.
ROLES = (
    ("database", "GETSF_NODE_ETCD_MASTER", "etcd_master",
     ("etcd", "etcd_master", "database", "database_node", "database_nodes")),
    ("hypervisors", "GETSF_NODE_HYPERVISOR", "hypervisor", ("hypervisors",)),
    ("network_node", "GETSF_NODE_NETWORK", "network_node", ("network", "network_node")),
    ("storage", "GETSF_NODE_STORAGE", "storage", ("storage",)),
    ("primary_node", "GETSF_NODE_PRIMARY", "primary_node", ("primary_node",)),
)
GROUPS = (ALL, *(group for group, *dummy in ROLES))
# A file that does not tell these is not used: a group that is silently empty would be a wrong inventory.
NEEDED = ("database", "hypervisors", "network_node")
# Host variables, named as Shaken Fist's own playbooks name them, and the answers that they come from.
DETAILS = {
    "node_egress_ip": "GETSF_NODE_EGRESS_ADDRESS_",
    "node_egress_nic": "GETSF_NODE_EGRESS_NIC_",
    "node_mesh_ip": "GETSF_NODE_MESH_ADDRESS_",
    "node_mesh_nic": "GETSF_NODE_MESH_NIC_",
}
NAME = ("the name of a node", r"[A-Za-z0-9][A-Za-z0-9._-]*")
ADDRESS = ("an IP address", r"[0-9A-Fa-f.:]+")
HOST = ("an address or the name of a host", r"[A-Za-z0-9][A-Za-z0-9._:-]*")
NIC = ("the name of a network interface", r"[A-Za-z0-9._@:-]+")
# All that is ever taken from a file, and what it may look like. None of it can be taken for a template.
SHAPES = {
    "node_egress_ip": ADDRESS,
    "node_egress_nic": NIC,
    "node_mesh_ip": ADDRESS,
    "node_mesh_nic": NIC,
    "ansible_host": HOST,
    "ansible_user": ("the name of a user", r"[A-Za-z0-9_][A-Za-z0-9._@\\-]*"),
    "ansible_ssh_private_key_file": ("the name of a file", r"[^{}\x00-\x1f]+"),
}
PLACES = (ADDRESS, HOST)


class Incomplete(RollingError):
    """A sound file that does not describe a cluster: getsf records no answer that it was given in its environment."""


class Said(typing.NamedTuple):
    """What a file says under a key, and in which line. Without a value: nothing. Without a line: the key is nowhere."""

    key: str
    value: str | None = None
    line: int = 0


class Cluster(typing.NamedTuple):
    """A cluster as a file describes it: host variables by node, and for each group that the file knows its nodes."""

    source: str
    hosts: dict
    groups: dict


def fault(source, line, expected, seen, fix="correct that line"):
    if line:
        return RollingError(f"{source}, line {line}: expected {expected}, saw {seen}: {fix}")
    return Incomplete(f"{source}: expected {expected}, saw {seen}: add it, or name another file with path")


def check(source, said, shape, needed=False):
    """The value of what a file says, if it looks as it should."""
    words, pattern = shape
    good = bool(re.fullmatch(pattern, said.value)) if said.value else not needed
    if good and said.value and shape is ADDRESS:
        try:
            ipaddress.ip_address(said.value)
        except ValueError:
            good = False
    if not good:
        raise fault(source, said.line, f"{said.key} to be {words}", repr(said.value) if said.value else "none")
    return said.value


def build(source, nodes, groups):
    """Check what a file says, and make a cluster of it.

    :arg nodes: for the name of each node, as it is said, what is said of each host variable.
    :arg groups: for each group that the file knows, the names of its nodes, as they are said.
    """
    hosts: dict[str, dict] = {}
    places: dict[str | None, str] = {}
    for name, details in nodes:
        check(source, name, NAME, needed=True)
        if name.value in hosts:
            raise fault(source, name.line, "each node once", f"{name.value} again")
        if LOCAL in hosts or hosts and name.value == LOCAL:
            raise fault(source, name.line, "localhost alone, or no localhost", f"other nodes beside {LOCAL}")
        if name.value == LOCAL:
            details = {variable: said for variable, said in details.items() if variable in DETAILS}
        values = {variable: check(source, said, SHAPES[variable], needed=said is details.get("ansible_host"))
                  for variable, said in details.items()}
        hosts[name.value] = {variable: value for variable, value in values.items() if value}
        place = values.get("ansible_host")
        if place in places:
            raise fault(source, details["ansible_host"].line, "each node to have an address of its own",
                        f"{place} for {places[place]} and {name.value}")
        places[place] = name.value
    if LOCAL in hosts:
        hosts[LOCAL]["ansible_connection"] = "local"
    for said in (said for members in groups.values() for said in members):
        if said.value not in hosts:
            raise fault(source, said.line, f"{said.key} to have nodes of the cluster ({', '.join(hosts)})", said.value)
    members = {group: list(dict.fromkeys(said.value for said in said_of)) for group, said_of in groups.items()}
    return Cluster(source, hosts, {ALL: list(hosts), **members})


# A shell file. A line is taken apart as the shell does it, but nothing is expanded, and no quote goes on in the next
# line, so that one broken line does not take others with it.

PIECE = re.compile(r"""
    (?P<end>[;&|<>()])
  | (?P<blank>[ \t]+)
  | '(?P<single>[^']*)'
  | "(?P<double>(?:[^"\\]|\\.)*)"
  | \\(?P<escaped>.)
  | (?P<plain>[^ \t'"\\;&|<>()]+)
""", re.VERBOSE)
EXPANSION = re.compile(r"(?:^|[^\\])(?:\\\\)*[$`]")
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def statements(line):
    """The statements of a line, each a list of words.

    :returns: each word as a list of its text, what is wrong with it, and how much of it comes before the first quote.
    """
    found: list[list] = [[]]
    word, place = None, 0
    while place < len(line):
        piece = PIECE.match(line, place)
        kind = str(piece.lastgroup) if piece else "open"
        if piece and kind in ("blank", "end"):
            word = None
            if kind == "end":
                found.append([])
        elif word is None and line[place] == "#":
            break
        else:
            if word is None:
                word = ["", "", ""]
                found[-1].append(word)
            if not piece:
                word[1] = "a quote that is not closed" if line[place] in "'\"" else "a backslash at the end of the line"
                break
            text = piece[kind]
            if kind in ("double", "plain") and EXPANSION.search(text):
                word[1] = "a $ or ` for the shell to work out, and nothing is executed here"
            if kind == "plain" and word[0] == word[2]:
                word[2] += text
            word[0] += re.sub(r'\\([$`"\\])', r"\1", text) if kind == "double" else text
        place = piece.end()
    return found


class Shell:
    """The variables that a shell file sets to literal values; it is not executed."""

    def __init__(self, text, source):
        self.source = source
        self.lines = [line.rstrip("\r") for line in text.split("\n")]
        self.variables = {}
        for number, line in enumerate(self.lines, start=1):
            for words in statements(line):
                exported = bool(words) and words[0][0] == "export"
                words = words[exported:]
                matches = [ASSIGNMENT.fullmatch(text) for text, *dummy in words]
                # Without export, A=1 in front of a command is for that command only, and 'A=1' is a command itself.
                if exported or all(match and "=" in bare for match, (*dummy, bare) in zip(matches, words)):
                    self.variables.update({match[1]: (match[2], wrong, number)
                                           for match, (dummy, wrong, dummy) in zip(matches, words) if match})

    def said(self, name):
        """What the file sets a variable to. No message quotes the line: it may hold more than this value."""
        if name not in self.variables:
            meant = re.compile(rf"\s*(export\s+)?{re.escape(name)}\b")
            return Said(name, None, next((at for at, line in enumerate(self.lines, start=1) if meant.match(line)), 0))
        value, wrong, line = self.variables[name]
        if wrong:
            raise fault(self.source, line, f"export {name}='...' with a literal value", wrong)
        return Said(name, value, line)

    def names(self, name):
        """The nodes that an answer lists. getsf takes them with commas, too."""
        said = self.said(name)
        if said.value is None:
            raise fault(self.source, said.line, f"export {name}='sf-1 sf-2' or the like", "no value")
        return [said._replace(value=word) for word in re.split(r"[\s,]+", said.value) if word]

    def login(self, prefix):
        return {"ansible_user": self.said(prefix + "SSH_USER"),
                "ansible_ssh_private_key_file": self.said(prefix + "SSH_KEY_FILENAME")}


def parse_answers(text, source, address="egress"):
    """Read .getsfrc, where getsf records the answers of the operator.

    :arg address: which address of a node to connect to, C(egress) or C(mesh).
    """
    shell = Shell(text, source)
    names = shell.names("GETSF_NODES")
    if not names:
        raise fault(source, shell.said("GETSF_NODES").line, "GETSF_NODES to list nodes", "none")
    local = [name.value for name in names] == [LOCAL]
    nodes, groups = [], {}
    for name in names:
        suffix = name.value.replace("-", "_")
        details = {variable: shell.said(answer + suffix) for variable, answer in DETAILS.items()}
        details.update(shell.login("GETSF_"), ansible_host=details[f"node_{address}_ip"])
        nodes.append((name, details))
    for group, answer, *dummy in ROLES:
        if local:
            # getsf does not ask, and gives the one node all of these.
            groups[group] = [] if group == "storage" else names
        elif group in NEEDED or answer in shell.variables:
            groups[group] = shell.names(answer)
    return build(source, nodes, groups)


# sf-deploy, a shell file with JSON in a here-document.

TOPOLOGY = re.compile(r"^[ \t]*(?:export\s+)?TOPOLOGY=", re.MULTILINE)
HEREDOC = re.compile(TOPOLOGY.pattern + r"""\$\(\s*cat\s*<<\s*(['"]?)(\w+)\1\s*""")
# A comma before a closing bracket, which JSON does not have and sf-deploy does. Strings are matched to be passed over.
TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')
BETWEEN = re.compile(r"[\s,]*")
KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def kind_of(value):
    return KINDS.get(type(value), "a number")


def topology(lines, source):
    """The JSON of the topology, and the line that it begins in."""
    start = [number for number, line in enumerate(lines, start=1) if TOPOLOGY.match(line)][-1]
    opening = HEREDOC.fullmatch(lines[start - 1])
    if not opening:
        raise fault(source, start, "export TOPOLOGY=$(cat << EOF", "another value of TOPOLOGY")
    if opening[2] not in lines[start:]:
        raise fault(source, start, f"a line {opening[2]} after the TOPOLOGY that begins here", "none", "add that line")
    text = "\n".join(lines[start:lines.index(opening[2], start)])
    return TRAILING.sub(lambda match: match[1] or " ", text), start + 1


def objects(text, first, source):
    """The objects of a JSON list that begins in line C(first), each with what it says under a key."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as exc:
        raise fault(source, first + exc.lineno - 1, "the JSON of TOPOLOGY", f"an error in it ({exc.msg})") from exc
    if not isinstance(found, list) or not found:
        raise fault(source, first, "TOPOLOGY to be a list of nodes", kind_of(found) if found else "no node")
    place, decoder = text.index("[") + 1, json.JSONDecoder()
    for one in found:
        between = BETWEEN.match(text, place)
        start = between.end() if between else place
        dummy, place = decoder.raw_decode(text, start)

        def said(key, kind, one=one, start=start, end=place):
            at = max(start, text.find(f'"{key}"', start, end))
            value, line = one.get(key), first + text.count("\n", 0, at)
            if value is not None and not isinstance(value, kind):
                raise fault(source, line, f"{key} to be {KINDS[kind]}", kind_of(value))
            return Said(key, value, line)

        if not isinstance(one, dict):
            raise fault(source, first + text.count("\n", 0, start), "each node to be an object", kind_of(one))
        yield said


def parse_deploy(text, source, address="egress"):
    """Read sf-deploy, the script that getsf makes of the answers: its topology, and how it connects."""
    shell = Shell(text, source)
    nodes = []
    groups: dict[str, list] = {group: [] for group, *dummy in ROLES}
    said_there, first = topology(shell.lines, source)
    for said in objects(said_there, first, source):
        name = said("name", str)
        details = {variable: said(variable, str) for variable in DETAILS}
        details.update(shell.login(""), ansible_host=details[f"node_{address}_ip"])
        nodes.append((name, details))
        for group, key in ((one[0], one[2]) for one in ROLES):
            if said(key, bool).value:
                groups[group].append(name)
    return build(source, nodes, groups)


# /etc/sf/inventory.yaml. It is read as nodes of YAML, which know their lines, and nothing is constructed from them.

# Where host variables come from; older releases write the older names.
ALIASES = {
    "ansible_host": ("ansible_host", "ansible_ssh_host"),
    "ansible_user": ("ansible_user", "ansible_ssh_user"),
    "ansible_ssh_private_key_file": ("ansible_ssh_private_key_file",),
}


def items(source, node, what):
    """The entries of a mapping by key, each with the line of its key; nothing, if it is empty."""
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise fault(source, node.start_mark.line + 1, f"{what} to be a mapping", f"a {node.id}")
    return {str(key.value): (key.start_mark.line + 1, value) for key, value in node.value}


def parse_inventory(text, source, address="egress"):
    """Read /etc/sf/inventory.yaml, which tells one address of a node, whichever that is."""
    def below(entries, key, what):
        return items(source, entries.get(key, (0, None))[1], what)

    def said(variables, name, line, keys):
        for key in keys:
            at, value = variables.get(key, (0, None))
            if at and not isinstance(value, yaml.ScalarNode):
                raise fault(source, at, f"{key} to be a string", f"a {value.id}")
            if at and value.tag != "tag:yaml.org,2002:null":
                return Said(key, value.value, at)
        # Without an address Ansible connects to the name.
        return Said(keys[0], name if keys[0] == "ansible_host" else None, line)

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise fault(source, line, "YAML", f"an error in it ({exc.problem})") from exc
    except yaml.reader.ReaderError as exc:
        raise fault(source, text.count("\n", 0, exc.position) + 1, "YAML", f"an error in it ({exc.reason})") from exc
    top = below(items(source, root, "the inventory"), "all", "all")
    hosts, children = below(top, "hosts", "all.hosts"), below(top, "children", "all.children")
    if not hosts:
        raise fault(source, 0, "hosts in all.hosts", "none")
    nodes, groups = [], {}
    for name, (line, value) in hosts.items():
        variables = items(source, value, f"the host {name}")
        nodes.append((Said("each host", name, line),
                      {variable: said(variables, name, line, keys) for variable, keys in ALIASES.items()}))
    for group, dummy, dummy, aliases in ROLES:
        known = [alias for alias in aliases if alias in children]
        if group in NEEDED and not known:
            raise fault(source, 0, f"a group {aliases[0]} in all.children", "none")
        if known:
            groups[group] = [Said(f"the group {alias}", name, line) for alias in known for name, (line, dummy)
                             in below(below(children, alias, alias), "hosts", f"{alias}.hosts").items()]
    return build(source, nodes, groups)


def read_cluster(path, address="egress"):
    """Read whichever of getsf's files this one is; a copy may have any name."""
    try:
        with open(path, encoding="utf-8-sig") as handle:
            text = handle.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise RollingError(f"cannot read {path}: {getattr(exc, 'strerror', None) or exc}: become a user who may, or "
                           "name another file with path") from exc
    if path.endswith((".yaml", ".yml")):
        parse = parse_inventory
    else:
        parse = parse_deploy if TOPOLOGY.search(text) else parse_answers
    return parse(text, path, address)


def differences(one, two):
    """What two files say differently of a cluster, in words."""
    found = []
    for here, there in ((one, two), (two, one)):
        found += [f"{name} is a node only by {here.source}" for name in here.hosts if name not in there.hosts]
        found += [f"{name} is in {group} only by {here.source}" for group in here.groups if group in there.groups
                  for name in here.groups[group] if name in there.hosts and name not in there.groups[group]]
    for name in one.hosts:
        places = [{value for key, value in cluster.hosts.get(name, {}).items() if SHAPES.get(key) in PLACES}
                  for cluster in (one, two)]
        # A file may know one of the two addresses only, or none.
        if not (places[0] <= places[1] or places[0] >= places[1]):
            found.append(f"{name} has {' and '.join(sorted(places[0]))} by {one.source}, "
                         f"{' and '.join(sorted(places[1]))} by {two.source}")
    return found


def find_cluster(paths, address="egress"):
    """Read the first of these files that describes the cluster, and compare the others with it.

    :returns: the cluster, and a list of warnings.
    """
    found, warnings = None, []
    for path in filter(os.path.exists, paths):
        try:
            cluster = read_cluster(path, address)
        except Incomplete as exc:
            if not found:
                warnings.append(f"passed over {exc.message}")
            continue
        except RollingError as exc:
            if not found:
                raise
            warnings.append(exc.message)
            continue
        found = found or cluster
        differ = "; ".join(differences(found, cluster))
        if differ:
            warnings.append(f"{found.source} is used, and {path} disagrees with it: {differ}. Correct one of them, or "
                            "name the right one with path")
    if not found:
        raise RollingError("; ".join(warnings) or f"none of {', '.join(paths)} is there for this user to see: run this "
                           "as root where getsf was run, or copy one of them to here and name it with path")
    return found, warnings
