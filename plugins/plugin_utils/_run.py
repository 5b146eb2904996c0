# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The record of a run: what one playbook of this collection knows from its first play to its last. It is a fact of
# localhost, and what the run did with a node is a fact of that node. Both carry the id of the run, so what an earlier
# playbook of the same ansible-playbook, or a fact cache, has left is never mistaken for this run's.

import dataclasses
import ipaddress
import os
import pathlib
import shlex
import socket
import time
import uuid

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

DATABASE_GROUPS = ("database", "database_node", "database_nodes", "etcd_master", "etcd")
TIER_GROUPS = listed(DATABASE_GROUPS, " or ")
# The group of all nodes of Shaken Fist.
SHAKENFIST = "allsf"
OTHER_GROUPS = "-e rolling_database_groups=NAME"
# Those that only set something, for a run that is under way.
REQUESTS = ("pause", "resume", "stop")
# The products that are known, each in a file.
PRODUCTS = pathlib.Path(__file__).resolve().parents[2] / "playbooks" / "vars"
# What is rolled, by the kind of the run that does it, where that is not of Shaken Fist.
WAYS = {"services": "service by service", "hosts": "host by host", "tier": "as a whole"}
# The playbooks that are of Shaken Fist alone.
OWN = ("upgrade", "rollback", "restart", "reconfigure")
# Those that take every product.
ANY = ("plan", "status", *REQUESTS)
# Those that leave the release as it is.
SAME = ("restart", "reconfigure")
HOME = "localhost"
RUN_FACT, NODE_FACT = "rolling_run", "rolling_node"


def plain(value):
    """The same of Python's own types: what Ansible hands out may be lazy, or marked."""
    if isinstance(value, dict):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    kind = next((kind for kind in (str, float, int) if isinstance(value, kind) and not isinstance(value, bool)), None)
    return kind(value) if kind else value


@dataclasses.dataclass
class Run:
    """What is true of the run as a whole.

    :param id: of this run of one playbook; two playbooks of one C(ansible-playbook) are two runs.
    :param kind: the name of the playbook; C(services) for all that roll a product service by service, C(tier)
        for those that stop all of it.
    :param product: the name of such a product.
    :param shape: how what is rolled is looked at, the name of a file of tasks: V(main) for nodes of Shaken Fist,
        V(hosts) for a product that is rolled host by host, V(services) for every other one.
    :param playbook: what leads to another release, as C(ansible-playbook) takes it.
    :param began: when it began, in seconds since the epoch.
    :param nodes: the names of all nodes in the inventory.
    :param database: the names of all nodes of the database tier there.
    :param lock: the node that has the lock.
    :param plan: the waves and what the preflight has found, see C(_plan.py); empty until there is one.
    :param begun: when the lock was held and the hooks and the watch began; 0 if they did not.
    :param ended: when the run was ended, so that it is ended once; 0 if it was not.
    :param watch: of the watcher: C(started), C(begun) from the first look on, C(seen), its last reading.
    :param problem: what failed at the end of a run that was complete: the last hook.
    :param notes: warnings for the report that are of no node.
    :param report: where the report is.
    """

    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:8])
    kind: str = "upgrade"
    product: str = ""
    shape: str = "main"
    playbook: str = ""
    began: float = dataclasses.field(default_factory=lambda: round(time.time(), 3))
    nodes: list = dataclasses.field(default_factory=list)
    database: list = dataclasses.field(default_factory=list)
    lock: str = ""
    plan: dict = dataclasses.field(default_factory=dict)
    begun: float = 0.0
    ended: float = 0.0
    watch: dict = dataclasses.field(default_factory=dict)
    problem: str = ""
    notes: list = dataclasses.field(default_factory=list)
    report: str = ""

    def changes_release(self):
        """Whether it leads to another release, so that a node that fails may go back."""
        return self.kind not in SAME


def shape_of(variables):
    """How what is rolled is looked at, by the variables of a task; see Run."""
    if "rolling_product" not in variables:
        return "main"
    return "hosts" if variables.get("cluster_hosts") else "services"


def way_of(variables):
    """How what is rolled is rolled, by the variables of a task or of a product's file: C(nodes), or one of WAYS."""
    shape = shape_of(variables)
    return {"main": "nodes", "services": "tier" if variables.get("cluster_tier") else "services"}.get(shape, shape)


def foreign(kind, way, asked, given="", made_for="", product="", playbook=""):
    """What is said where a playbook would roll a product that it is not made for; empty if it is made for it.

    :arg way: how the product is rolled, see way_of.
    :arg asked: C(rolling_product), as it counts.
    :arg given: the same as the operator has set it; with C(-e) it is stronger than what the playbook says.
    :arg made_for: C(rolling_made_for), the product whose upgrade the playbook is.
    :arg product, playbook: what the product's file says of itself.
    """
    if not asked or kind in ANY:
        return ""
    if kind in OWN:
        made = f"the playbook {kind} is made for Shaken Fist alone"
    elif made_for and made_for != given == asked:
        made = f"this playbook is made for {made_for}"
    elif kind != way:
        made = f"this playbook is made for what is rolled {WAYS[kind]}"
    else:
        return ""
    back = f" What leads back from an upgrade of {product}, its own page says." if kind == "rollback" else ""
    return (f"Nothing was touched. rolling_product is {asked}, and {made}. {product} has, for an upgrade, "
            f"{playbook or 'a playbook of its own'}, and with -e rolling_product={asked} {listed(ANY, ' and ')}.{back}")


@dataclasses.dataclass
class Node:
    """What the run did with one node.

    :param run: the id of the run that this is of.
    :param seen: what the preflight, or C(status), has seen of it, as the action C(look) returns it.
    :param asked: what the balancers say of the node: C(haproxy), C(told).
    :param unresolved: why the release could not be resolved there.
    :param rolled: whether the node was taken through the roll to its end.
    :param cause: the first failure, a C(Cause) of C(_failure.py).
    :param failure: what is told of it: C(text), C(state), C(serves); before that C(way), C(balancer), C(hook).
    :param lost: by node of its batch that has dropped out without a word, C(words), C(text), C(state).
    :param restored: what became of the attempt to return the node to service, in words.
    :param balancers: those that were told to send the node nothing, by kind, and what they said before. Of a product
        that is rolled service by service, by service what it was before this run took it out; empty once it is back.
    :param stopped: the units that the drain has stopped, to be started again.
    :param admitted: whether it was ready again after its drain, so that its balancers send it requests.
    :param runs: the runs of the daemons that the last restart has begun, as the module C(units) returns them.
    :param schema: what became of the schema: C(moved), C(changed), C(backup).
    :param pauses: when an operator let the run wait before it, each from and to.
    :param services: of a product that is rolled service by service, those that are done: when they were out of service,
        C(began) and C(ended), as somebody saw who asks them; and the one that has C(failed).
    :param tier: of a product all of which is stopped: C(stopped), the units that this run has stopped, C(switched),
        the release that it has begun to take the node from, C(on), the one that it has taken it to, C(started), whether
        it has begun to start its services, C(wrote), whether a migration has written, and of the way back C(undone),
        C(beyond) and C(back).
    :param host: of a product that is rolled host by host, what the run knows of the host without asking the cluster:
        C(flag), what it has last made of it, C(moved), by guest where it has moved it to, C(led), whether another node
        has taken the lead for its turn, and C(paused), until when what starts guests is paused, 0 if it is not.
    :param timeline: the modules that ran on the node, see C(_timeline.py).
    :param notes: warnings for the report.
    :param done: what was done and is no warning, as lines for the report, such as which guests have moved.
    """

    run: str = ""
    seen: dict = dataclasses.field(default_factory=dict)
    asked: dict = dataclasses.field(default_factory=dict)
    unresolved: str = ""
    rolled: bool = False
    cause: dict = dataclasses.field(default_factory=dict)
    failure: dict = dataclasses.field(default_factory=dict)
    lost: dict = dataclasses.field(default_factory=dict)
    restored: str = ""
    balancers: dict = dataclasses.field(default_factory=dict)
    stopped: list = dataclasses.field(default_factory=list)
    admitted: bool = False
    runs: dict = dataclasses.field(default_factory=dict)
    schema: dict = dataclasses.field(default_factory=dict)
    pauses: list = dataclasses.field(default_factory=list)
    services: dict = dataclasses.field(default_factory=dict)
    tier: dict = dataclasses.field(default_factory=dict)
    host: dict = dataclasses.field(default_factory=dict)
    timeline: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    done: list = dataclasses.field(default_factory=list)


def inventory_of(kind, groups, rolling_group=SHAKENFIST, rolling_database_groups=DATABASE_GROUPS):
    """The names of all nodes, and of those of the database tier, from the groups of the inventory."""
    # Some products are on two kinds of nodes, each in a group of its own: NAME:OTHER.
    nodes = list(dict.fromkeys(node for name in rolling_group.split(":") for node in groups.get(name) or []))
    wanted = rolling_database_groups
    # -e rolling_database_groups=a,b is a string.
    wanted = [name.strip() for name in wanted.split(",")] if isinstance(wanted, str) else wanted
    tiers = [groups[group] for group in groups if group in wanted]
    database = list(dict.fromkeys(name for tier in tiers for name in tier))
    if kind in REQUESTS:
        if not set(nodes) & set(database):
            raise AnsibleError(
                f"Nothing was set. No node of the group {rolling_group} is in the database tier: check -i, or name "
                "your groups as for the roll, with -e rolling_group=NAME and "
                "-e '{\"rolling_database_groups\": [\"NAME\"]}'." + _other_product(kind, groups, rolling_group))
    elif not nodes or kind != "status":
        problem = _unfit(groups, nodes, database, rolling_group)
        if problem:
            raise AnsibleError(("" if kind == "status" else "Nothing was touched. ") + problem
                               + ("" if nodes else _other_product(kind, groups, rolling_group)))
    return nodes, database


def _other_product(kind, groups, rolling_group):
    """What is said where the inventory may be one of another product; empty if it has no group of such a name."""
    names = [path.stem for path in sorted(PRODUCTS.glob("*.yml")) if groups.get(path.stem)]
    if not names or rolling_group != SHAKENFIST:
        return ""
    how = [f"-e rolling_product={name}" if kind in ANY else f"shakenfist.rolling.{name}"
           for name in names]
    return f" The inventory has a group {listed(names, ' and ')}: if that is to be done for it, {listed(how, ' or ')}."


def addresses_of(host):
    """What a host of the inventory is called, and the addresses that the controller finds for that."""
    try:
        return list(dict.fromkeys([host, *(found[4][0] for found in socket.getaddrinfo(host, None))]))
    except (OSError, UnicodeError):
        return [host]


def lock_node(nodes, database, addresses):
    """The node that has the lock; the same for all operators, whatever they call it, list first, or leave out.

    That of the lowest address; the first by name where one is not known by an address, or only by that of a controller
    that is a node itself.

    :arg addresses: by name, the addresses that the node has for the controller.
    """
    tier = [name for name in database if name in nodes]
    numbers = {name: min(filter(None, map(_number_of, addresses.get(name, ()))), default=None) for name in tier}
    if None in numbers.values():
        return min(tier, default="")
    return min(tier, key=lambda name: (numbers[name], name), default="")


def _number_of(text):
    """An address as what can be compared; None for a name, and for one that is only good on its own machine."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if found.is_loopback or found.is_link_local else (found.version, int(found))


def _whole(groups, there):
    """How to name a group that has every host, one of the operator's own if there is one."""
    hosts = {name for group in groups.values() for name in group}
    return f"-e rolling_group={next((name for name in sorted(there) if hosts <= set(groups[name])), 'all')}"


def _unfit(groups, nodes, database, rolling_group):
    """What is wrong with the groups of an inventory, all at once; empty if nothing is."""
    lacking = [] if nodes else [f"in the group {rolling_group} (-e rolling_group=NAME names another one)"]
    if not database:
        lacking.append(f"in the database tier, a group {TIER_GROUPS} ({OTHER_GROUPS} names another)")
    there = [name for name in groups if name not in ("all", "ungrouped") and not name.startswith("rolling_")]
    whole = _whole(groups, there)
    if lacking:
        wide = "" if nodes or not there else f" ({whole} if every host is a node)"
        return (f"The inventory has no node {', and none '.join(lacking)}. Its groups are "
                f"{', '.join(sorted(there)) or 'none'}: name yours{wide}, or check -i.")
    foreign = [name for name in database if name not in nodes]
    if foreign:
        who = f"{listed(foreign, ' and ')} {'is' if len(foreign) == 1 else 'are'}"
        # A group that has nobody of the tier was chosen for its kind of node.
        wide = "" if set(database) & set(nodes) else f", which must have every node of the cluster ({whole})"
        return (f"{who} in the database tier, and not in the group {rolling_group}{wide}: in the tier are the nodes "
                "that run sf-database, not the server of MariaDB. Correct the inventory, or "
                f"name another group of the tier with {OTHER_GROUPS}.")
    return ""


def _made(kind, fact):
    """A record from a fact; fields that this version does not know are left out."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{key: value for key, value in plain(fact).items() if key in names})


def variables_of(hostvars, name):
    """The variables of a node, not templated: facts need it not, and with many nodes that costs more than all else."""
    if name not in hostvars:
        return {}
    return hostvars.raw_get(name) if hasattr(hostvars, "raw_get") else hostvars[name]


def _fact(hostvars, name, key):
    """A fact by its own name: at the top level ansible-core 2.20 warns of it, and later ones have it no more."""
    value = (variables_of(hostvars, name).get("ansible_facts") or {}).get(key)
    return value if isinstance(value, dict) else {}


def run_id(hostvars):
    """The id of the run, without the rest of its record."""
    return str(_fact(hostvars, HOME, RUN_FACT).get("id", ""))


def run_of(hostvars):
    """The record of the run; one without an id and a plan where none has begun."""
    return _made(Run, {"id": "", "began": 0.0, **_fact(hostvars, HOME, RUN_FACT)})


def node_of(hostvars, name, run=None):
    """The record of a node in this run; an empty one where this run has noted nothing of it."""
    run = run or run_of(hostvars)
    found = _made(Node, _fact(hostvars, name, NODE_FACT))
    return found if found.run == run.id else Node(run=run.id)


def changed(record, **values):
    """A record with other values, as a fact."""
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(record)})
    if unknown:
        raise KeyError(f"the record of a {type(record).__name__.lower()} has no {', '.join(unknown)}")
    # Not asdict, which keeps the types: a copy of what Ansible has marked cannot be written into a fact cache.
    return plain(vars(dataclasses.replace(record, **values)))


def reboots_of(plan):
    """The nodes that a run reboots: of a product that is stopped as a whole also those that are not in its order."""
    hosts = plan.get("hosts") or {}
    return (plan.get("tier") or {}).get("reboots") or [name for name, one in hosts.items() if one.get("reboots")]


def has_work(plan):
    """Whether a run has anything to do, as far as its plan knows: without a node in its order it may still reboot some,
    or remove dead services from a product's records."""
    return bool(plan.get("order") or reboots_of(plan) or plan.get("orphans"))


def playbook_command(task_vars, playbook, product=""):
    """The command that runs a playbook on the same inventory.

    :arg product: the name or the path of the product, for a playbook that has to be told which one.
    """
    inventory = [word for source in task_vars.get("ansible_inventory_sources") or () for word in ("-i", str(source))]
    if product and not (PRODUCTS / f"{product}.yml").is_file():
        product = os.path.realpath(product)
    told = ["-e", f"rolling_product={product}"] if product else []
    return shlex.join(["ansible-playbook", *inventory, playbook, *told])
