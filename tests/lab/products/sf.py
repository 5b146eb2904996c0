# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shaken Fist in the lab: a stand-in that keeps to what Shaken Fist 0.8 documents."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import shutil
import sys
import time

import lab as machinery

SOURCES = machinery.LAB / "sf"
IMAGE = "sfr-lab"
PACKAGES = ["apache2", "nginx"]
FIRST_RELEASE, OFFERED = "0.8.0", ["0.8.0", "0.8.1"]
SYSTEM_KEY = "lab-system-key"

sys.path.insert(0, str(SOURCES))
import build as stand_in  # noqa: E402 (it lies beside the stand-in's sources)


def download(folder, requirements, *more):
    machinery.say("downloading the wheels that the nodes need")
    machinery.run(machinery.PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                  "--only-binary", ":all:", "--dest", folder, *more, *requirements)


def dependencies():
    """What the stand-in requires, downloaded once."""
    wanted = machinery.digest(*stand_in.REQUIRES)
    if not (machinery.WHEELS / wanted).exists():
        download(machinery.WHEELS, stand_in.REQUIRES)
        (machinery.WHEELS / wanted).touch()
    return sorted(machinery.WHEELS.glob("*.whl"))


def pins_of(files):
    """The lines NAME==VERSION of some files."""
    lines = [line for file in files for line in pathlib.Path(file).read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def pinned(pins):
    """The wheels of what is pinned, downloaded once."""
    folder = machinery.WHEELS / f"pinned-{machinery.digest(*pins)}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        download(part, pins, "--no-deps")
        part.rename(folder)
    return sorted(folder.glob("*.whl"))


def build(version, folder, traits=(), pins=()):
    """The wheel of a release; with pins, one that requires these, and their wheels beside it."""
    for wheel in pinned(pins) if pins else ():
        if not (folder / wheel.name).exists():
            os.link(wheel, folder / wheel.name)
    return stand_in.build(version, folder, traits=traits, requires=pins)


def fill(context):
    """What the image has beyond the machinery."""
    for wheel in dependencies():
        shutil.copy(wheel, context / "wheels")
    build(FIRST_RELEASE, context / "wheels")


def wheel(options):
    """Build a release into a directory, beside the wheels of what it needs, and sdists where they are asked for."""
    folder = pathlib.Path(options.directory)
    folder.mkdir(parents=True, exist_ok=True)
    for dependency in dependencies():
        shutil.copy(dependency, folder)
    for name in options.sdist:
        stand_in.sdist(name, folder, needs=options.sdist_needs)
    print(stand_in.build(options.version, folder, traits=options.trait, requires=options.sdist))


def settings(lab, node):
    """/etc/sf/config of a node."""
    values = {
        "NODE_NAME": node,
        "NODE_MESH_IP": lab.address(node),
        "NODE_IS_HYPERVISOR": str(node in lab.hypervisors).lower(),
        "NODE_IS_NETWORK_NODE": str(node in lab.network_node).lower(),
        "MARIADB_GATEWAY_HOSTS": ",".join(lab.address(name) for name in lab.database),
        "MARIADB_GATEWAY_PORT": "13005",
        "AUTH_SECRET_SEED": "lab-auth-secret-seed=",
    }
    if lab.options["drain_grace"] is not None:
        values["API_DRAIN_GRACE"] = f"{lab.options['drain_grace']:g}"
    if node in lab.database:
        values |= {"MARIADB_HOST": lab.address("db"), "MARIADB_PORT": "3306", "MARIADB_USER": "shakenfist",
                   "MARIADB_PASSWORD": machinery.DATABASE_PASSWORD, "MARIADB_DATABASE": "shakenfist"}
    lines = [f'SHAKENFIST_{key}="{value}"' for key, value in values.items()]
    return "\n".join(["# Written by the installer", *lines, ""])


def topology(lab):
    """/etc/sf/inventory.yaml, as the installer leaves it (JSON is YAML)."""
    def group(names):
        return {"hosts": {name: {} for name in names}}
    return json.dumps({"all": {
        "hosts": {name: {"ansible_host": lab.address(name)} for name in lab.nodes},
        "children": {"hypervisors": group(lab.hypervisors), "network": group(lab.network_node),
                     "etcd": group(lab.database), "storage": group([])}}}, indent=2)


# Two more balancers, where they are asked for. They probe nobody, and as HAProxy here, they do not try again elsewhere.
APACHE_PORT, NGINX_PORT = 8081, 8082


def apache(lab):
    members = "\n".join(f"    BalancerMember http://{lab.address(node)}:13000" for node in lab.nodes)
    return {"etc/apache2/ports.conf": f"Listen {APACHE_PORT}\n",
            "etc/apache2/sites-enabled/lab.conf": f"""ServerName lb
# With few workers, or when it ends some of them, Apache closes kept-alive connections, whether a node is rolled or not.
ThreadLimit 128
ThreadsPerChild 128
StartServers 2
MaxRequestWorkers 256
MaxSpareThreads 256
<Proxy balancer://sf-api>
{members}
    ProxySet maxattempts=0
</Proxy>
<VirtualHost *:{APACHE_PORT}>
    ProxyPass /api balancer://sf-api
    <Location /balancer-manager>
        SetHandler balancer-manager
        Require local
    </Location>
</VirtualHost>
"""}


def nginx(lab):
    servers = "\n".join(f"server {lab.address(node)}:13000;" for node in lab.nodes)
    return {"etc/nginx/sf-api.servers": f"{servers}\n",
            "etc/nginx/conf.d/lab.conf": f"""upstream sf-api {{
    include sf-api.servers;
}}
server {{
    listen {NGINX_PORT};
    location /api/ {{
        proxy_pass http://sf-api/;
        proxy_next_upstream off;
    }}
}}
"""}


BALANCERS = {"apache2": apache, "nginx": nginx}


def readiness(address, connections=12):
    """Whether every worker of a node is ready: connections that are open at once reach all of them."""
    opened = []
    try:
        for dummy in range(connections):
            connection = http.client.HTTPConnection(address, 13000, timeout=3)
            connection.connect()
            opened.append(connection)
        time.sleep(0.05)
        for connection in opened:
            connection.request("GET", "/readyz")
        answers = set()
        for connection in opened:
            answers.add(connection.getresponse().status)
            connection.close()  # at once, gunicorn's worker waits for it
    except (OSError, http.client.HTTPException) as exc:
        return str(exc) or type(exc).__name__
    finally:
        for connection in opened:
            connection.close()
    return "" if answers == {200} else f"readyz answers {sorted(answers)}"


def not_ready(lab):
    missing = [f"{node}: {problem}" for node in lab.nodes if (problem := readiness(lab.address(node)))]
    if not missing:
        served = "UP" if lab.options["probes"] else "no check"
        missing = [f"{node}: the balancer says {state}" for node, state in machinery.balancer_states(lab).items()
                   if state != served]
    return ", ".join(missing)


def node_states():
    """What the database has of each node: its state, the release that it reports, its daemons."""
    found = {}
    for line in sql("SELECT n.name, s.state, n.`release` FROM nodes n JOIN object_states s"
                    " ON s.object_type = 'node' AND s.object_name = n.name").splitlines():
        name, state, reported = line.split("\t")
        found[name] = dict(state=state, reported=reported, daemons={})
    for line in sql("SELECT node, daemon, state FROM daemon_states").splitlines():
        name, daemon, state = line.split("\t")
        if name in found:
            found[name]["daemons"][daemon] = state
    return found


def not_created(lab):
    """Nodes that are not in state created with every daemon running."""
    seen = node_states()
    missing = []
    for node in lab.nodes:
        entry = seen.get(node, dict(state="unknown", daemons={}))
        daemons = [*stand_in.DAEMONS, "api", *(["database"] if node in lab.database else [])]
        down = [f"{name} {entry['daemons'].get(name, 'unknown')}" for name in daemons
                if entry["daemons"].get(name) != "daemon-running"]
        if entry["state"] != "created" or down:
            missing.append(f"{node} is {entry['state']}{', its daemons: ' + ', '.join(down) if down else ''}")
    return "; ".join(missing)


def migrate(lab):
    """The first schema, before any node starts; the db machine has the same virtualenv."""
    environment = [f"SHAKENFIST_MARIADB_{key}={value}" for key, value in dict(
        HOST=lab.address("db"), PORT="3306", USER="shakenfist", PASSWORD=machinery.DATABASE_PASSWORD,
        DATABASE="shakenfist").items()]

    def schema():
        result = machinery.execute("db", "env", *environment, "/srv/shakenfist/venv/bin/sf-ctl",
                                   "ensure-mariadb-schema", check=False)
        return "" if result.returncode == 0 else (result.stdout + result.stderr).strip()
    machinery.wait_until("MariaDB did not take the schema", schema)


def sql(statement):
    return machinery.query("shakenfist", statement)


def leader():
    return sql("SELECT holder FROM leases WHERE name = 'cluster' AND expires > NOW(6)")


def elect(node):
    """Give the lease of the leader to a node, which keeps it from then on."""
    machinery.wait_until("no node is elected", lambda: "" if leader() else "nobody holds the lease")
    sql(f"UPDATE leases SET holder = '{node}', expires = NOW(6) + INTERVAL 60 SECOND WHERE name = 'cluster'")
    machinery.wait_until(f"{node} is not elected", lambda: "" if leader() == node else f"{leader()} holds the lease")


SHOW_NODE = """readlink -f /srv/shakenfist/venv
/srv/shakenfist/venv/bin/python -c 'import importlib.metadata as m; print(m.version("shakenfist"))'
systemctl is-active sf-api; systemctl is-active sf-database
"""


SHOW_FACTS = """readlink -f /srv/shakenfist/venv
/srv/shakenfist/venv/bin/python -c '
import importlib.metadata as m, json
print(json.dumps({d.name: d.version for d in m.distributions()}))' 2>/dev/null || echo '{}'
ls -A /srv/shakenfist/releases 2>/dev/null | tr '\\n' ' '; echo
find /srv/shakenfist /etc/sf -not -name '*.pyc' -not -path '*/exceptions*' -type f -print0 | sort -z |
  xargs -0 sha256sum | sha256sum
systemctl show --property=Id,InvocationID,ActiveState,NRestarts 'sf-*.service'
"""


def node_facts(node):
    """What a node is, seen from outside: no code of the collection takes part."""
    venv, packages, releases, files_digest, *units = machinery.execute(node, "sh", "-c", SHOW_FACTS).stdout.splitlines()
    blocks = [dict(line.split("=", 1) for line in block.splitlines())
              for block in "\n".join(units).strip().split("\n\n")]
    return dict(venv=venv, packages=json.loads(packages), releases=releases.split(), files=files_digest.split()[0],
                units={block["Id"].removesuffix(".service"): dict(
                    invocation=block["InvocationID"], active=block["ActiveState"] == "active",
                    restarts=int(block["NRestarts"])) for block in blocks})


def arguments(command):
    command.add_argument("--nodes", type=int, default=3, help="number of nodes (3)")
    command.add_argument("--database", type=int, default=2, help="how many of them are in the database tier (2)")
    command.add_argument("--drain-grace", type=float, default=25, help="API_DRAIN_GRACE in seconds (25)")
    command.add_argument("--no-drain-grace", dest="drain_grace", action="store_const", const=None,
                         help="leave API_DRAIN_GRACE out of the configuration, as deployers do: 25 holds then")
    command.add_argument("--balancer", action="append", default=[], choices=list(BALANCERS),
                         help=f"a further one, without checks: apache2 on port {APACHE_PORT}, nginx on {NGINX_PORT}")
    command.add_argument("--release", default=FIRST_RELEASE, help=f"what the nodes run ({FIRST_RELEASE})")
    command.add_argument("--trait", action="append", default=[], help="a way in which that is broken")


class Plan(machinery.Lab):
    product = "shakenfist"
    nodes_are = "sf"
    home = "/srv/shakenfist"
    api = "sf-api", 13000, "/readyz"
    path = "/api/"
    further_balancing = "    http-request replace-path /api(/)?(.*) /\\2\n"

    def __init__(self, subnet, options):
        super().__init__(subnet, options)
        self.database = self.nodes[:options["database"]]
        self.hypervisors = self.nodes[1:] or self.nodes
        self.network_node = self.nodes[:1]
        self.release = options["release"]

    def kind(self, machine):
        return "database-node" if machine in self.database else super().kind(machine)

    def groups(self):
        return {"allsf": self.nodes, "database": self.database, "hypervisors": self.hypervisors,
                "network_node": self.network_node}

    def variables(self):
        """Who measures asks the nodes themselves, from this machine, as monitoring may: no drain waits for that."""
        return {"drain_balancer_sources": [f"{self.prefix}.1"]}

    def services(self, machine):
        return self.options["balancer"] if machine == "lb" else []

    def files(self, machine):
        found = super().files(machine)
        if machine == "lb":
            for name in self.options["balancer"]:
                found |= BALANCERS[name](self)
        if machine not in self.nodes:
            return found
        api = f"http://{self.address('lb')}/api"
        return found | {
            "etc/sf/config": settings(self, machine),
            "etc/sf/shakenfist.json": json.dumps({"namespace": "system", "key": SYSTEM_KEY, "apiurl": api}),
            "etc/sf/sfrc": f"export SHAKENFIST_NAMESPACE=system\nexport SHAKENFIST_KEY={SYSTEM_KEY}\n"
                           f"export SHAKENFIST_API_URL={api}\n",
            "etc/sf/inventory.yaml": topology(self),
        }

    def add_release(self, machine, folder):
        if machine != "lb" and (self.release, self.options["trait"]) != (FIRST_RELEASE, []):
            # The image has the first release as it should be; init puts this one over it.
            build(self.release, folder, self.options["trait"])

    def migrate(self):
        migrate(self)

    def settle(self):
        machinery.wait_until("the nodes are not all created", lambda: not_created(self))
        machinery.look_again(self)
        self.wait()
        # For the order of a roll depends on it.
        elect(self.nodes[-1])

    def wait(self):
        machinery.wait_until("the nodes are not all ready", lambda: not_ready(self))

    def table(self, running):
        states = machinery.balancer_states(self)
        try:
            nodes = node_states()
        except machinery.LabError:
            nodes = {}
        rows = {}
        for name in running:
            seen = (machinery.execute(name, "sh", "-c", SHOW_NODE, check=False).stdout.splitlines() + [""] * 4)[:4]
            ready = readiness(self.address(name)) or "ready"
            gateway = seen[3] if name in self.database else "-"
            node = nodes.get(name, dict(reported="?", state="?"))
            rows[name] = (f"{seen[1]:9} {node['reported']:9} {node['state']:9} {ready:28.28} {gateway:10} "
                          f"{states.get(name, '?')}  {seen[0]}")
        return f"{'release':9} {'reported':9} {'state':9} {'readyz':28} {'gateway':10} balancer", rows

    def facts(self, options):
        rows = sql("SELECT table_name, version FROM schema_versions ORDER BY table_name").splitlines()
        seen = node_states() if options.states else {}
        unknown = dict(state=None, reported=None, daemons={})
        return dict(nodes={node: node_facts(node) | seen.get(node, unknown) for node in self.nodes},
                    schema={name: int(version) for name, version in (row.split("\t") for row in rows)},
                    balancer=f"http://{self.address('lb')}")
