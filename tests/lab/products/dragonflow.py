# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dragonflow and its Neutron in the lab: stand-ins that keep to what is documented of both, on a real etcd and a real
MariaDB. Ports reach each other by real TCP, through switches that no service owns."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import shutil
import urllib.request

import lab as machinery
from products import openstack

SOURCES = machinery.LAB / "dragonflow"
IMAGE = "sfr-dragonflow"
PACKAGES = ["etcd-server", "etcd-client"]
OFFERED = ["4.0.0", "5.0.0"]
# How many ports are plugged in on each of two nodes, how many others there are, and those that Neutron changes.
PLUGGED, PORTS, CHANGED = 4, 300, 20
FIRST_PORT = 8000

spec = importlib.util.spec_from_file_location("build_dragonflow", SOURCES / "build.py")
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)


def dependencies():
    """What the stand-in requires, downloaded once."""
    folder = machinery.WHEELS / f"dragonflow-{machinery.digest(*stand_in.REQUIRES)}"
    if not folder.exists():
        machinery.say("downloading the wheels that the nodes need")
        part = folder.with_name(f"{folder.name}.part")
        machinery.run(machinery.PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                      "--only-binary", ":all:", "--dest", part, *stand_in.REQUIRES)
        part.rename(folder)
    return sorted(folder.glob("*.whl"))


def build(version, folder, traits=()):
    return stand_in.build(version, folder, traits)


def fill(context):
    """What the image has beyond the machinery."""
    for wheel in dependencies():
        shutil.copy(wheel, context / "wheels")
    build(OFFERED[0], context / "wheels")


def arguments(command):
    command.add_argument("--nodes", type=int, default=4,
                         help="number of nodes, of which the first two are controllers (4)")


# ---- the north-bound database

def etcd(lab, path, body):
    """Ask etcd, as this machine reaches it."""
    request = urllib.request.Request(f"http://{lab.address('db')}:2379/v3/{path}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    return base64.b64decode(text).decode()


def store(lab, prefix="/"):
    """By key, the value as it is and the revision at which it was written."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found = etcd(lab, "kv/range", dict(key=encode(prefix), range_end=encode(end))).get("kvs", [])
    return {decode(one["key"]): (decode(one["value"]), int(one["mod_revision"])) for one in found}


def put(lab, key, value):
    etcd(lab, "kv/put", dict(key=encode(key), value=encode(value if isinstance(value, str) else json.dumps(value))))


def remove(lab, key):
    etcd(lab, "kv/deleterange", dict(key=encode(key)))


def ports_of(lab):
    """The ids of the ports, with the chassis of each."""
    first, second = lab.compute[0], lab.compute[-1]
    plugged = {f"{node}-port-{number}": node for node in (first, second) for number in range(PLUGGED)}
    others = {f"p-{number:03}": (first, second)[number % 2] for number in range(PORTS)}
    return {**plugged, **others, **{f"w-{number:02}": first for number in range(CHANGED)}}


def objects(lab):
    """The store as the first release has it, by key."""
    found = {}
    for number in range(5):
        found[f"/lswitch/net-{number}"] = dict(id=f"net-{number}", topic="tenant", name=f"net {number}", mtu=1500,
                                               version=1, unique_key=number + 1)
        found[f"/lsubnet/sub-{number}"] = dict(id=f"sub-{number}", topic="tenant", lswitch=f"net-{number}",
                                               cidr=f"10.{number}.0.0/16", enable_dhcp=True)
    for number, node in enumerate(lab.compute):
        found[f"/chassis/{node}"] = dict(id=node, name=node, ip=lab.address(node), tunnel_types=["geneve"],
                                         overhead=50 if number else 38)
    for number in range(20):
        found[f"/secgroup/sg-{number}"] = dict(
            id=f"sg-{number}", topic="tenant", name=f"group {number}", version=1,
            rules=[dict(id=f"rule-{number}-{rule}", direction="ingress", ethertype="IPv4", protocol="tcp",
                        port_range_min=rule) for rule in range(5)])
    found["/lrouter/r-0"] = dict(id="r-0", topic="tenant", name="router", version=1, ports=[])
    for number, (name, node) in enumerate(ports_of(lab).items()):
        net = number % 5
        found[f"/lport/{name}"] = dict(
            id=name, topic="tenant", name=name, version=0, unique_key=number + 1, enabled=True, chassis=node,
            lswitch=f"net-{net}", subnets=[f"sub-{net}"], ips=[f"10.{net}.{number // 250}.{number % 250 + 2}"],
            macs=[f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}"], security_groups=[f"sg-{number % 20}"],
            device_owner="compute:nova", device_id=f"vm-{number}")
    digest = hashlib.sha256(stand_in.migration("lswitch_mtu", ())).hexdigest()
    found["/SchemaMigrationLog/lswitch-mtu"] = dict(
        id="lswitch-mtu", release="4.0.0", description="Networks have an MTU", proposed_at="2017-06-01 00:00:00",
        applied_at="2017-08-30T10:00:00Z", digest=digest)
    return found


def sql(statement):
    return machinery.query("dragonflow", statement)


def unlike(lab):
    """The ports that Neutron's database and the north-bound one do not agree on; words, empty if they do.

    Neutron writes first to the one, then to the other: what is under way in one look is not in all of them.
    """
    found = differences(lab)
    for dummy in range(5):
        found = found and found & differences(lab)
    return "; ".join(sorted(found)[:5])


def differences(lab):
    rows = dict(row.split("\t") for row in sql("SELECT id, revision FROM ports").splitlines())
    seen = {key.rpartition("/")[2]: json.loads(value) for key, (value, dummy) in store(lab, "/lport/").items()}
    return ({f"{name} is not in the north-bound database" for name in rows if name not in seen}
            | {f"{name} is of another version there" for name in rows
               if name in seen and int(rows[name]) != seen[name]["version"]})


# ---- what the lab consists of

class Plan(machinery.Lab):
    product = "dragonflow"
    nodes_are = "d"
    home = "/srv/dragonflow"
    # What the balancer asks is the data plane: each answer is that of ports that reach each other.
    api = "ports", FIRST_PORT, "/"
    path = "/"
    release = OFFERED[0]

    def __init__(self, subnet, options):
        super().__init__(subnet, dict(options, probes=False))
        self.controllers, self.compute = self.nodes[:2], self.nodes[2:]

    def variables(self):
        return {"dragonflow_etcd": [f"http://{self.address('db')}:2379"]}

    @property
    def balanced(self):
        return [self.compute[0], self.compute[-1]]

    def kind(self, machine):
        if machine in self.controllers:
            return "controller"
        return "gateway" if machine in self.compute[:1] else "compute" if machine in self.nodes else machine

    def units(self, node):
        return {"controller": ["df-publisher-service", "neutron-server"],
                "gateway": ["df-local-controller", "df-l3-agent", "df-metadata-service"],
                "compute": ["df-local-controller", "df-metadata-service"]}[self.kind(node)]

    def groups(self):
        return {self.product: self.nodes}

    def services(self, machine):
        return ["etcd.service"] if machine == "db" else []

    def plugged(self, node):
        """By number, the ports of a node, each with where its peer is."""
        other = self.balanced[1 - self.balanced.index(node)]
        return {FIRST_PORT + number: [f"{node}-port-{number}", f"{self.address(other)}:{FIRST_PORT + number}"]
                for number in range(PLUGGED)}

    def files(self, machine):
        found = super().files(machine)
        if machine == "lb":
            return found
        found |= {"etc/neutron/neutron.conf": f"[database]\nconnection = {openstack.connection(self)}\n",
                  "etc/neutron/dragonflow.ini": f"[df]\nremote_db_hosts = {self.address('db')}:2379\n"}
        if machine == "db":
            found["etc/default/etcd"] = (f'ETCD_NAME=lab\nETCD_DATA_DIR=/var/lib/etcd/lab\n'
                                         f'ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379\n'
                                         f'ETCD_ADVERTISE_CLIENT_URLS=http://{self.address("db")}:2379\n')
        if machine in self.balanced:
            found["etc/lab-switch.json"] = json.dumps(self.plugged(machine))
        return found

    def migrate(self):
        """The first schema and the first objects, before any node starts."""
        def database():
            return machinery.execute("db", "mariadb", "--execute", "SELECT 1", self.product, check=False).stderr.strip()

        def answers():
            try:
                etcd(self, "maintenance/status", {})
            except OSError as exc:
                return str(exc)
            return ""
        machinery.wait_until("MariaDB is not up", database)
        machinery.wait_until("etcd is not up", answers)
        machinery.execute("db", f"{self.home}/releases/{OFFERED[0]}/bin/neutron-db-manage", "upgrade", "heads")
        values = ", ".join(f"('{name}', '{name}', '{node}', 0)" for name, node in ports_of(self).items())
        sql(f"INSERT INTO ports (id, name, chassis, revision) VALUES {values}")
        for key, value in objects(self).items():
            put(self, key, value)

    def not_up(self):
        missing = []
        for node in self.nodes:
            shown = machinery.execute(node, "systemctl", "is-active", *self.units(node), check=False).stdout.split()
            missing += [f"{unit} on {node} is {state}" for unit, state in zip(self.units(node), shown)
                        if state != "active"]
            if "neutron-server" in self.units(node):
                status = openstack.request("GET", f"http://{self.address(node)}:9696/")[0]
                missing += [f"neutron-server on {node} answers {status}"] if status != 200 else []
        return "; ".join([*missing, *self.unreached()])

    def unreached(self):
        answers = {node: openstack.request("GET", f"http://{self.address(node)}:{FIRST_PORT}/")[0]
                   for node in self.balanced}
        return [f"the ports of {node} answer {status}" for node, status in answers.items() if status != 200]

    def complaints(self):
        """What the switches had to say of requests that failed."""
        return [f"{node}: {line}" for node in self.balanced for line in machinery.execute(
            node, "journalctl", "--quiet", "--output=cat", "_SYSTEMD_UNIT=lab-switch.service").stdout.splitlines()]

    def settle(self):
        self.wait()

    def wait(self):
        machinery.wait_until("the services are not all up", self.not_up)

    def node_facts(self, node):
        printed = machinery.execute(node, "python3", "-", self.home, *self.units(node),
                                    input=openstack.FACTS.read_text()).stdout
        held = machinery.execute(node, "sh", "-c", "find /etc/systemd/system -name '*rolling*'")
        configuration = machinery.execute(node, "sh", "-c", "find /etc/neutron -type f | sort | xargs sha256sum")
        return dict(json.loads(printed), held=held.stdout.split(), configuration=configuration.stdout.splitlines())

    def table(self, running):
        table = {}
        for name in running:
            units = self.node_facts(name)["units"]
            table[name] = ", ".join(f"{unit} {(one['runs'] or one['state']).rpartition('/')[2]}"
                                    for unit, one in units.items())
        return "what runs", table

    def facts(self, options):
        found = store(self)
        return dict(nodes={node: self.node_facts(node) for node in self.nodes},
                    alembic=sql("SELECT version_num FROM alembic_version").split(),
                    columns=sql("SHOW COLUMNS FROM ports").splitlines(),
                    # What Neutron changes all the time is compared with its own database.
                    store={key: value for key, value in found.items() if not key.startswith("/lport/w-")},
                    unlike=unlike(self), unreached=self.complaints(), balancer=f"http://{self.address('lb')}")
