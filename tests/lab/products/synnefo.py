# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Synnefo in the lab: Debian's own Ganeti on three nodes, with its hypervisor that only pretends to run guests, and two
service nodes. Daemons, jobs, locks, placement and the list are the real ones; a guest is a file in /run of its node."""

from __future__ import annotations

import lab as machinery
from products import synnefo_services

SOURCES = machinery.LAB / "synnefo"
IMAGE = "sfr-synnefo"
PACKAGES = ["ganeti", "iputils-ping"]
OFFERED = list(dict.fromkeys(synnefo_services.builder().SUITES.values()))
DOMAIN = "gnt.lab"
CLUSTER = f"cluster.{DOMAIN}"
# By node, what the others must be able to take in when it is emptied: name, MiB, and whether it runs.
INSTANCES = {1: [("web1", 512, True), ("db1", 512, True)],
             2: [("web2", 512, True), ("mail1", 256, True), ("old1", 256, False)],
             3: [("app1", 512, True)]}
MEMORY = 2048  # MiB that a node has for its instances
IPOLICY = ("min:cpu-count=1,disk-count=0,disk-size=1,memory-size=16,nic-count=0,spindle-use=1"
           "/max:cpu-count=8,disk-count=16,disk-size=1048576,memory-size=32768,nic-count=8,spindle-use=12")
STANDARD = "cpu-count=1,disk-count=1,disk-size=1,memory-size=16,nic-count=0,spindle-use=1"
NODE_FIELDS = "name,role,pinst_cnt,sinst_cnt,mfree,drained,offline"
INSTANCE_FIELDS = "name,pnode,status,oper_state,admin_state,oper_ram,tags"


def dependencies():
    """No wheels: what the machines have is Debian's, and packages of the lab."""
    return []


def fill(context):
    """What the image has beyond the machinery."""
    synnefo_services.fill(context)


def build(version, folder, traits=()):
    """There are no wheels of it, but a repository of packages beside their directory."""
    suites = [suite for suite, release in synnefo_services.builder().SUITES.items() if release == version]
    if not suites:
        raise machinery.LabError(f"there is no {version} of Synnefo: {' or '.join(OFFERED)}")
    synnefo_services.publish(folder.parent, traits, suites)


def arguments(command):
    command.add_argument("--nodes", type=int, default=3, help="number of Ganeti nodes (3)")
    command.add_argument("--service-nodes", type=int, default=2, help="number of service nodes (2)")
    command.add_argument("--memory", type=int, default=MEMORY,
                         help=f"MiB that a node has for its instances ({MEMORY}); tools/lab memory changes it")


def meminfo(free):
    """What a node says of its memory: C(free) MiB before any instance. Without Active Ganeti shows none at all."""
    active = 512
    return "".join(f"{name}: {mib * 1024} kB\n" for name, mib in (
        ("MemTotal", free + active), ("MemFree", free), ("Buffers", 0), ("Cached", 0), ("Active", active)))


def memory_file(node):
    return machinery.OWN / "machines" / f"{node}.meminfo"


def set_memory(node, free):
    """Written in place: the node has this very file mounted."""
    memory_file(node).write_text(meminfo(free))


def gnt(lab, *command, node="", check=True):
    """Run a command of Ganeti, on its master if nothing else is said."""
    return machinery.execute(node or lab.master(), *command, check=check)


def rows(text, fields):
    return [dict(zip(fields.split(","), line.split("|"))) for line in text.splitlines()]


def unstarted(lab):
    """The instances that are to run, and do not."""
    try:
        return [row["name"] for row in lab.cluster()[1] if row["status"] not in ("running", "ADMIN_down")]
    except machinery.LabError as exc:
        return [str(exc)]


class Plan(machinery.Lab):
    product = "synnefo"
    nodes_are = "gnt"
    home = None
    release = "Ganeti 3.0.2"
    servers = ["db"]
    reboots = True

    def __init__(self, subnet, options):
        super().__init__(subnet, options)
        self.ganeti = self.nodes
        self.service = [f"snf-{number}" for number in range(1, options["service_nodes"] + 1)]
        self.nodes = [*self.ganeti, *self.service]

    def address(self, machine):
        if machine in self.service:
            return f"{self.prefix}.{20 + int(machine.rsplit('-', 1)[1])}"
        return f"{self.prefix}.9" if machine == CLUSTER else super().address(machine)

    def kind(self, machine):
        return "ganeti" if machine in self.ganeti else "service" if machine in self.service else super().kind(machine)

    def hostname(self, machine):
        return f"{machine}.{DOMAIN}" if machine in self.ganeti else machine

    def groups(self):
        return {"ganeti": self.ganeti, "synnefo": self.service}

    def top_groups(self):
        return list(self.groups())

    def where(self):
        return f"{CLUSTER}, {self.address(CLUSTER)},"

    def variables(self):
        """In a container there is no /proc/sysrq-trigger, of which Ganeti complains."""
        return {"ganeti_verify_ignored": ["ENODESETUP"]}

    def run_options(self, machine):
        hosts = [f"--add-host={name}:{self.address(name.partition('.')[0] if name != CLUSTER else name)}"
                 for name in (*(f"{node}.{DOMAIN}" for node in self.ganeti), CLUSTER)]
        if machine not in self.ganeti:
            return hosts
        set_memory(machine, self.options["memory"])
        return [*hosts, f"--volume={memory_file(machine)}:/proc/meminfo:ro"]

    def files(self, machine):
        if machine in self.nodes:
            return synnefo_services.files(self, machine, self.kind(machine))
        return super().files(machine)

    def migrate(self):
        """Nothing has a schema before the nodes are up."""

    # ---- the cluster

    def master(self):
        """The node that is Ganeti's master, as one that is up says."""
        for node in self.ganeti:
            result = machinery.execute(node, "gnt-node", "list", "--no-headers", "-o", "name", check=False)
            if result.returncode == 0:
                return node
        raise machinery.LabError("no node of Ganeti is a master that answers: tools/lab status")

    def settle(self):
        def booted():
            missing = []
            for node in self.nodes:
                state = machinery.execute(node, "systemctl", "is-system-running", check=False).stdout.strip()
                if state not in ("running", "degraded"):
                    missing.append(f"{node} is {state or 'not up'}")
            return ", ".join(missing)
        machinery.wait_until("the machines are not all up", booted)
        synnefo_services.settle(self, self.service)
        if self.ganeti:
            self.make_cluster()
        self.wait()

    def make_cluster(self):
        first, *others = [f"{node}.{DOMAIN}" for node in self.ganeti]
        run = machinery.execute
        run(self.ganeti[0], "gnt-cluster", "init", "--enabled-hypervisors=fake", "--enabled-disk-templates=diskless",
            "--master-netdev=eth0", "--no-etc-hosts", "--no-ssh-init", "--nic-parameters", "mode=routed,link=main",
            "--default-iallocator=hail", "--ipolicy-vcpu-ratio=64", f"--ipolicy-bounds-specs={IPOLICY}",
            f"--ipolicy-std-specs={STANDARD}", CLUSTER)
        for other in others:
            run(self.ganeti[0], "gnt-node", "add", "--no-ssh-key-check", other, input="")
        for number, instances in INSTANCES.items():
            for name, memory, runs in instances:
                # A single node has no room for those of others, were it to fail.
                if number <= len(self.ganeti):
                    self.add_instance(name, f"gnt-{number}", memory, runs)
        self.wait()

    def add_instance(self, name, node="", memory=512, runs=True):
        gnt(self, "gnt-instance", "add", "-t", "diskless", "-o", "tiny+default", "-B", f"memory={memory},vcpus=1",
            "--no-ip-check", "--no-name-check", "--no-nics", *(["-n", f"{node}.{DOMAIN}"] if node else []),
            *([] if runs else ["--no-start"]), f"{name}.{DOMAIN}", node=self.ganeti[0])

    def cluster(self):
        """Ganeti's list of its nodes and of its instances."""
        if not self.ganeti:
            return [], []
        master = self.master()
        nodes = gnt(self, "gnt-node", "list", "--no-headers", "--separator=|", "--units=m", "-o", NODE_FIELDS,
                    node=master).stdout
        instances = gnt(self, "gnt-instance", "list", "--no-headers", "--separator=|", "--units=m", "-o",
                        INSTANCE_FIELDS, node=master).stdout
        return rows(nodes, NODE_FIELDS), rows(instances, INSTANCE_FIELDS)

    def not_whole(self):
        """What is not as in a cluster that is up, nor as in service nodes that serve."""
        down = [f"{node} answers {answer}" for node in self.service
                for answer in [synnefo_services.facts(node)["answer"]] if not answer.rstrip().endswith("200")]
        if down or not self.ganeti:
            return ", ".join(down)
        try:
            nodes, instances = self.cluster()
        except machinery.LabError as exc:
            return str(exc)
        return ", ".join([*(f"{row['name']} is {row['role']}, {row['mfree']} MiB free" for row in nodes
                            if row["role"] not in "MCR" or not row["mfree"].isdigit()),
                          *(f"{row['name']} is {row['status']}" for row in instances
                            if row["status"] not in ("running", "ADMIN_down"))])

    def wait(self):
        machinery.wait_until("the cluster is not whole", self.not_whole)

    # ---- what is seen from outside

    def node_facts(self, node):
        """What a node is, seen from outside: no code of the collection takes part."""
        lines = machinery.execute(node, "sh", "-c", SHOW_FACTS).stdout.splitlines()
        packages = dict(line.split() for line in lines[2:] if line)
        return dict(boot=lines[0], running=lines[1].split(), packages=packages, **synnefo_services.facts(node))

    def table(self, running):
        try:
            nodes, instances = self.cluster()
        except machinery.LabError as exc:
            return str(exc), {}
        of = {row["name"].partition(".")[0]: row for row in nodes}
        table = {}
        for name in running:
            row = of.get(name)
            mine = [f"{one['name'].partition('.')[0]} {one['status']}" for one in instances
                    if one["pnode"].partition(".")[0] == name]
            table[name] = f"{row['role']:4} {row['mfree']:>6}  {', '.join(mine)}" if row else "service node"
        return f"{'role':4} {'free':>6}  instances", table

    def facts(self, options):
        nodes, instances = self.cluster()
        return dict(nodes={node: self.node_facts(node) for node in self.nodes}, master=self.master(),
                    migrated=synnefo_services.migrated(),
                    ganeti={row.pop("name"): row for row in nodes},
                    instances={row.pop("name"): row for row in instances})


SHOW_FACTS = """cat /proc/sys/kernel/random/boot_id
ls /run/ganeti/fake-hypervisor 2>/dev/null | tr '\\n' ' '; echo
dpkg-query -W -f '${Package} ${Version}\\n' 'snf-*' 'python-*' 'ganeti' 2>/dev/null | awk 'NF == 2' || true
"""
