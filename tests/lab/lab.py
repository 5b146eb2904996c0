# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: a small Shaken Fist cluster in containers that run real systemd. Called by tools/lab."""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import fcntl
import functools
import hashlib
import http.client
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request

LAB = pathlib.Path(__file__).resolve().parent
ROOT = LAB.parent.parent
CACHE = ROOT / ".cache" / "lab"
PYTHON = ROOT / ".cache" / "venv" / "bin" / "python"
# Another LAB_NAME is another lab beside the first one, with a network of its own.
NAME = os.environ.get("LAB_NAME", "lab")
OWN = CACHE / NAME
STATE = OWN / "state.json"
KEY = CACHE / "id_ed25519"
WHEELS = CACHE / "wheels"
INDEX = OWN / "index"

sys.path.insert(0, str(LAB / "sf"))
import build as stand_in  # noqa: E402 (it lies beside the stand-in's sources)

LABEL = f"shakenfist.rolling={NAME}"
NETWORK = f"sfr-{NAME}"
PREFIX = "sfr-" if NAME == "lab" else f"sfr-{NAME}-"
SUBNETS = [os.environ["LAB_SUBNET"]] if "LAB_SUBNET" in os.environ else [f"10.213.{n}.0/24" for n in range(77, 87)]
PACKAGES = ("systemd systemd-sysv dbus openssh-server sudo python3 python3-venv python3-pip iproute2 procps curl "
            "ca-certificates nftables mariadb-server mariadb-client haproxy apache2 nginx").split()
FIRST_RELEASE, OFFERED = "0.8.0", ["0.8.0", "0.8.1"]
DATABASE_PASSWORD = "lab-database-password"
SYSTEM_KEY = "lab-system-key"
QUICK_INTER = 2
START_LIMIT = 120  # seconds until everything must be ready; it takes about 10


class LabError(Exception):
    """What failed, and what to do next."""


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


# ---- podman

def run(*command, check=True, **options):
    """Run a command; its output is returned, and shown only where it fails."""
    result = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **options)
    if check and result.returncode:
        raise LabError(f"{shlex.join(str(part) for part in command[:6])} ... failed (rc {result.returncode}):\n"
                       f"{(result.stderr or result.stdout).strip()}")
    return result


def configure_podman(runtime):
    """A configuration of our own, so that nothing of the machine's changes."""
    engine = f'runtime = "{runtime}"\ncgroup_manager = "cgroupfs"\n' if runtime else ""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "containers.conf").write_text(
        f'[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]\n[engine]\n{engine}')


def podman(*arguments, check=True, **options):
    environment = dict(os.environ, CONTAINERS_CONF=str(CACHE / "containers.conf"))
    return run("podman", *arguments, check=check, env=environment, **options)


def choose_runtime(image):
    """The machine's default runtime where it runs systemd's kind of container, else runc."""
    problems = []
    for runtime in ("", "runc"):
        configure_podman(runtime)
        probe = podman("run", "--rm", "--pull=never", "--systemd=always", "--network=none", "--label", LABEL,
                       image, "/bin/true", check=False)
        if probe.returncode == 0:
            return
        problems.append(probe.stderr.strip())
    raise LabError("podman runs no container here:\n" + "\n".join(problems) + "\nNext: tools/setup, then podman info")


def execute(node, *command, **options):
    """Run a command as root in a machine of the lab."""
    return podman("exec", "-i", f"{PREFIX}{node}", *command, **options)


# ---- images

def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def content(folder):
    return "".join(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
                   for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def wheels_of_the_dependencies():
    """What the stand-in requires, downloaded once."""
    wanted = digest(*stand_in.REQUIRES)
    if not (WHEELS / wanted).exists():
        say("downloading the wheels that the nodes need")
        run(PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
            "--dest", WHEELS, *stand_in.REQUIRES)
        (WHEELS / wanted).touch()
    return sorted(WHEELS.glob("*.whl"))


def base_image():
    """Debian 12 with systemd and everything that any machine of the lab needs."""
    image = f"localhost/sfr-base:{digest(*PACKAGES)}"
    if podman("image", "exists", image, check=False).returncode:
        archive = CACHE / f"base-{digest(*PACKAGES)}.tar"
        if not archive.exists():
            say("making the base image from Debian's packages (about a minute)")
            part = archive.with_suffix(".part.tar")
            run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", part)
            part.rename(archive)
        podman("import", "--quiet", archive, image)
    return image


def lab_image():
    """The image that every machine of the lab runs; built anew when something in it changes."""
    dependencies = wheels_of_the_dependencies()
    chosen = (CACHE / "containers.conf").exists()
    if not chosen:
        configure_podman("")
    try:
        base = base_image()
        if not chosen:
            choose_runtime(base)
    except LabError:
        if not chosen:
            (CACHE / "containers.conf").unlink()
        raise
    tag = digest(base, content(LAB / "image"), content(LAB / "sf"), *[wheel.name for wheel in dependencies])
    # Named for this checkout, so that another one on this machine does not take it for an old one of its own.
    repository = f"localhost/sfr-lab-{digest(str(ROOT))}"
    image = f"{repository}:{tag}"
    if podman("image", "exists", image, check=False).returncode:
        say("building the image of the machines")
        context = CACHE / "context"
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(LAB / "image", context)
        shutil.copytree(LAB / "sf" / "systemd", context / "systemd")
        (context / "wheels").mkdir()
        for wheel in dependencies:
            shutil.copy(wheel, context / "wheels")
        stand_in.build(FIRST_RELEASE, context / "wheels")
        podman("build", "--quiet", "--network=none", "--build-arg", f"BASE={base}", "--tag", image, context)
        old = podman("images", "--filter", f"reference={repository}", "--format",
                     "{{.Repository}}:{{.Tag}}").stdout.split()
        for name in old:
            if name != image:
                podman("rmi", name, check=False)
    # By this name the molecule scenario of a single role finds it.
    podman("tag", image, "localhost/sfr-lab:latest")
    return image


def prepared():
    """The image, and the key to log in with: several labs that come up at once make them once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not KEY.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", KEY)
        return lab_image()


# ---- the package index

def publish():
    """Write the pages of the index (PEP 503) for the wheels that lie in it; each page is replaced by one rename."""
    projects = {}
    for wheel in sorted((INDEX / "wheels").glob("*.whl")):
        projects.setdefault(wheel.name.split("-")[0].lower().replace("_", "-").replace(".", "-"), []).append(wheel)
    pages = {"": [f'<a href="{name}/">{name}</a>' for name in projects]}
    for name, wheels in projects.items():
        pages[name] = [f'<a href="../../wheels/{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">'
                       f"{wheel.name}</a>" for wheel in wheels]
    for name, links in pages.items():
        page = INDEX / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        part = page.with_suffix(".part")
        part.write_text("<!DOCTYPE html><html><body>\n" + "<br>\n".join(links) + "\n</body></html>\n")
        part.replace(page)


def fresh_index():
    shutil.rmtree(INDEX, ignore_errors=True)
    (INDEX / "wheels").mkdir(parents=True)
    for wheel in wheels_of_the_dependencies():
        os.link(wheel, INDEX / "wheels" / wheel.name)
    for version in OFFERED:
        stand_in.build(version, INDEX / "wheels")
    publish()


def release(options):
    """Build a release and offer it on the index of the running lab."""
    load()
    stand_in.build(options.version, INDEX / "wheels", traits=options.trait)
    publish()
    say(f"the index offers {options.version}{' with ' + ', '.join(options.trait) if options.trait else ''}")


def wheel(options):
    """Build a release into a directory, beside the wheels of what it needs, and sdists where they are asked for."""
    folder = pathlib.Path(options.directory)
    folder.mkdir(parents=True, exist_ok=True)
    for dependency in wheels_of_the_dependencies():
        shutil.copy(dependency, folder)
    for name in options.sdist:
        stand_in.sdist(name, folder, needs=options.sdist_needs)
    print(stand_in.build(options.version, folder, traits=options.trait, requires=options.sdist))


def unrelease(options):
    """Take a release off the index."""
    load()
    for wheel in (INDEX / "wheels").glob(f"shakenfist-{options.version}-*.whl"):
        wheel.unlink()
    publish()


# ---- what the lab consists of

class Lab:
    """The plan of a lab: its machines, their addresses and what each one is."""

    def __init__(self, subnet, options):
        self.subnet = subnet
        self.prefix = subnet.rsplit(".", 1)[0]
        self.options = options
        count = options["nodes"]
        self.nodes = [f"sf-{number}" for number in range(1, count + 1)]
        self.database = self.nodes[:min(options["database"], count)]
        self.hypervisors = self.nodes[1:] or self.nodes
        self.network_node = self.nodes[:1]

    def address(self, machine):
        return f"{self.prefix}.{ {'db': 2, 'lb': 3}.get(machine) or 10 + int(machine[3:])}"

    @property
    def machines(self):
        return ["db", "lb", *self.nodes]

    def kind(self, machine):
        if machine in ("db", "lb"):
            return machine
        return "database-node" if machine in self.database else "node"

    def save(self):
        STATE.write_text(json.dumps(dict(subnet=self.subnet, options=self.options)))


def load():
    if not STATE.exists():
        raise LabError("there is no lab: bring it up with tools/lab up")
    return Lab(**json.loads(STATE.read_text()))


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
                   "MARIADB_PASSWORD": DATABASE_PASSWORD, "MARIADB_DATABASE": "shakenfist"}
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


def balancer(lab):
    options = lab.options
    check = (f" check inter {options['balancer_inter'] * 1000:.0f}ms fall {options['balancer_fall']} "
             f"rise {options['balancer_rise']}" if options["probes"] else "")
    servers = "\n".join(f"    server {node} {lab.address(node)}:13000{check}" for node in lab.nodes)
    return f"""global
    log /dev/log local0
    stats socket /run/haproxy/admin.sock mode 660 level admin
    stats socket ipv4@*:8405 level admin
    maxconn 4000
defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    timeout check 2s
    retries 0
frontend api
    bind :80
    default_backend sf-api
backend sf-api
    balance roundrobin
    option forwardfor
    option httpchk GET /readyz
    http-reuse never
    http-request replace-path /api(/)?(.*) /\\2
{servers}
listen stats
    bind :8404
    stats enable
    stats uri /stats
"""


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


DATABASE_CONF = """[mariadbd]
bind-address = 0.0.0.0
skip-name-resolve
init-file = /etc/mysql/lab.sql
character-set-server = utf8mb4
collation-server = utf8mb4_general_ci
innodb-buffer-pool-size = 64M
performance-schema = off
"""
DATABASE_INIT = f"""CREATE DATABASE IF NOT EXISTS shakenfist CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE USER IF NOT EXISTS shakenfist@'%' IDENTIFIED BY '{DATABASE_PASSWORD}';
GRANT ALL ON shakenfist.* TO shakenfist@'%';
"""


def files(lab, machine):
    """The files that make a machine of the image what it is."""
    if machine == "db":
        return {"etc/mysql/mariadb.conf.d/99-lab.cnf": DATABASE_CONF, "etc/mysql/lab.sql": DATABASE_INIT}
    if machine == "lb":
        found = {"etc/haproxy/haproxy.cfg": balancer(lab)}
        for name in lab.options["balancer"]:
            found |= BALANCERS[name](lab)
        return found
    api = f"http://{lab.address('lb')}/api"
    return {
        "etc/pip.conf": f"[global]\nindex-url = http://{lab.address('db')}:8080/simple/\n"
                        f"trusted-host = {lab.address('db')}\n",
        "etc/sf/config": settings(lab, machine),
        "etc/sf/shakenfist.json": json.dumps({"namespace": "system", "key": SYSTEM_KEY, "apiurl": api}),
        "etc/sf/sfrc": f"export SHAKENFIST_NAMESPACE=system\nexport SHAKENFIST_KEY={SYSTEM_KEY}\n"
                       f"export SHAKENFIST_API_URL={api}\n",
        "etc/sf/inventory.yaml": topology(lab),
    }


# ---- up and down

def remove_all():
    """Remove the machines and the network of an earlier lab; nothing else is touched."""
    for dummy in range(3):
        machines = podman("ps", "--all", "--quiet", "--filter", f"label={LABEL}").stdout.split()
        if not machines:
            break
        podman("rm", "--force", "--volumes", "--time", "0", *machines, check=False)
    else:
        raise LabError("cannot remove the old machines: look at podman ps --all, then run tools/lab down again")
    podman("network", "rm", "--force", NETWORK, check=False)
    STATE.unlink(missing_ok=True)


def make_network():
    problem = ""
    for subnet in SUBNETS:
        result = podman("network", "create", "--label", LABEL, "--subnet", subnet, NETWORK, check=False)
        if result.returncode == 0:
            return subnet
        problem = result.stderr.strip()
    raise LabError(f"no free network for the lab: {problem}\nNext: LAB_SUBNET=10.x.y.0/24 tools/lab up")


def start(lab, image, machine):
    folder = OWN / "machines" / machine
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files(lab, machine).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if machine != "lb" and (lab.options["release"], lab.options["trait"]) != (FIRST_RELEASE, []):
        # The image has the first release as it should be; init puts this one over it.
        stand_in.build(lab.options["release"], folder / "lab" / "release", traits=lab.options["trait"])
    volumes = [f"{folder}:/lab/conf:ro", f"{KEY}.pub:/lab/authorized_keys:ro"]
    if machine == "db":
        volumes.append(f"{INDEX}:/srv/index:ro")
    if machine in lab.nodes:
        # A volume of its own, filled from the image: a real file system, in which a directory can be renamed.
        volumes.append("/srv/shakenfist")
    podman("run", "--detach", "--pull=never", "--systemd=always", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN",
           "--label", LABEL,
           "--name", f"{PREFIX}{machine}", "--hostname", machine, "--network", NETWORK, "--ip", lab.address(machine),
           *[word for volume in volumes for word in ("--volume", volume)],
           image, "/bin/sh", "/lab/init", lab.kind(machine), *(lab.options["balancer"] if machine == "lb" else []))


def check_machines():
    """A machine that has ended is not waited for; its last words say why it has."""
    gone = podman("ps", "--all", "--filter", f"label={LABEL}", "--filter", "status=exited", "--format",
                  "{{.Names}}").stdout.split()
    if not gone:
        return
    result = podman("logs", "--tail", "15", gone[0], check=False)
    words = (result.stdout + result.stderr).strip()
    further = "Next: tools/lab down, and up again"
    if "inotify" in words or "Too many open files" in words:
        now = pathlib.Path("/proc/sys/fs/inotify/max_user_instances").read_text(encoding="ascii").strip()
        further = (f"Next: sysctl fs.inotify.max_user_instances=1024 (now {now}: systemd takes some in each "
                   "machine), then tools/lab up again")
    names = ", ".join(name.removeprefix(PREFIX) for name in gone)
    raise LabError(f"exited, and not up: {names}. The last words of the first one:\n{words or '(none)'}\n{further}")


def wait_until(what, condition, limit=START_LIMIT):
    """Wait for a condition; it returns an empty string, or what is still missing."""
    deadline = look = time.monotonic()
    deadline += limit
    while True:
        if time.monotonic() >= look:
            check_machines()
            look = time.monotonic() + 2
        missing = condition()
        if not missing:
            return
        if time.monotonic() > deadline:
            raise LabError(f"{what} within {limit} s; last seen: {missing}\n"
                           "Next: tools/lab status, tools/lab exec NODE journalctl -n 50")
        time.sleep(0.2)


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


def balancer_states(lab):
    """The balancer's word on each node."""
    try:
        with urllib.request.urlopen(f"http://{lab.address('lb')}:8404/stats;csv", timeout=3) as response:
            rows = list(csv.DictReader(response.read().decode().lstrip("# ").splitlines()))
    except OSError as exc:
        return {node: str(exc) for node in lab.nodes}
    return {row["svname"]: row["status"] for row in rows if row["pxname"] == "sf-api" and row["svname"] in lab.nodes}


def not_ready(lab):
    missing = [f"{node}: {problem}" for node in lab.nodes if (problem := readiness(lab.address(node)))]
    if not missing:
        served = "UP" if lab.options["probes"] else "no check"
        missing = [f"{node}: the balancer says {state}" for node, state in balancer_states(lab).items()
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
        HOST=lab.address("db"), PORT="3306", USER="shakenfist", PASSWORD=DATABASE_PASSWORD,
        DATABASE="shakenfist").items()]

    def schema():
        result = execute("db", "env", *environment, "/srv/shakenfist/venv/bin/sf-ctl", "ensure-mariadb-schema",
                         check=False)
        return "" if result.returncode == 0 else (result.stdout + result.stderr).strip()
    wait_until("MariaDB did not take the schema", schema)


def sql(statement):
    result = execute("db", "mariadb", "--batch", "--skip-column-names", "shakenfist", "--execute", statement)
    return result.stdout.strip()


def leader():
    return sql("SELECT holder FROM leases WHERE name = 'cluster' AND expires > NOW(6)")


def elect(node):
    """Give the lease of the leader to a node, which keeps it from then on."""
    wait_until("no node is elected", lambda: "" if leader() else "nobody holds the lease")
    sql(f"UPDATE leases SET holder = '{node}', expires = NOW(6) + INTERVAL 60 SECOND WHERE name = 'cluster'")
    wait_until(f"{node} is not elected", lambda: "" if leader() == node else f"{leader()} holds the lease")


def up(options):
    begin = time.monotonic()
    if not (PYTHON.exists() and shutil.which("podman") and shutil.which("mmdebstrap")):
        subprocess.run([str(ROOT / "tools" / "setup")], check=True)
    if options.nodes < 1 or options.database < 1:
        raise LabError("a lab has at least one node, and at least one of them in the database tier")
    OWN.mkdir(parents=True, exist_ok=True)
    image = prepared()
    remove_all()
    fresh_index()
    lab = Lab(make_network(), {key: getattr(options, key) for key in (
        "nodes", "database", "drain_grace", "probes", "balancer_inter", "balancer_fall", "balancer_rise", "balancer",
        "release", "trait")})
    lab.save()
    say(f"starting db, lb and {options.nodes} node{'s' if options.nodes > 1 else ''}")
    start(lab, image, "db")
    start(lab, image, "lb")
    migrate(lab)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(functools.partial(start, lab, image), lab.nodes))
    wait_until("the nodes are not all created", functools.partial(not_created, lab))
    if options.probes and options.balancer_inter > QUICK_INTER:
        # It probed before there was anybody, and would take its time to see them now.
        execute("lb", "systemctl", "restart", "haproxy.service")
    wait_until("the nodes are not all ready", functools.partial(not_ready, lab))
    # For the order of a roll depends on it.
    elect(lab.nodes[-1])
    say(f"up after {time.monotonic() - begin:.0f} s: http://{lab.address('lb')}/api/ "
        f"with {', '.join(lab.nodes)} on {options.release}")


def down(_options):
    if not (CACHE / "containers.conf").exists():
        return
    remove_all()


# ---- for people and tests

SHOW_NODE = """readlink -f /srv/shakenfist/venv
/srv/shakenfist/venv/bin/python -c 'import importlib.metadata as m; print(m.version("shakenfist"))'
systemctl is-active sf-api; systemctl is-active sf-database
"""


def status(_options):
    lab = load()
    states = balancer_states(lab)
    try:
        nodes = node_states()
    except LabError:
        nodes = {}
    print(f"{'machine':8} {'address':15} {'container':10} {'release':9} {'reported':9} {'state':9} {'readyz':28} "
          f"{'gateway':10} balancer")
    for machine in lab.machines:
        shown = podman("inspect", "--format", "{{.State.Status}}", f"{PREFIX}{machine}", check=False)
        container = shown.stdout.strip() or "missing"
        row = f"{machine:8} {lab.address(machine):15} {container:10}"
        if machine in lab.nodes and container == "running":
            seen = (execute(machine, "sh", "-c", SHOW_NODE, check=False).stdout.splitlines() + [""] * 4)[:4]
            ready = readiness(lab.address(machine)) or "ready"
            gateway = seen[3] if machine in lab.database else "-"
            node = nodes.get(machine, dict(reported="?", state="?"))
            row += (f" {seen[1]:9} {node['reported']:9} {node['state']:9} {ready:28.28} {gateway:10} "
                    f"{states.get(machine, '?')}  {seen[0]}")
        print(row)


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
    venv, packages, releases, files_digest, *units = execute(node, "sh", "-c", SHOW_FACTS).stdout.splitlines()
    blocks = [dict(line.split("=", 1) for line in block.splitlines())
              for block in "\n".join(units).strip().split("\n\n")]
    return dict(venv=venv, packages=json.loads(packages), releases=releases.split(), files=files_digest.split()[0],
                units={block["Id"].removesuffix(".service"): dict(
                    invocation=block["InvocationID"], active=block["ActiveState"] == "active",
                    restarts=int(block["NRestarts"])) for block in blocks})


def facts(options):
    """Print what the whole lab is, as JSON, for tests."""
    lab = load()
    rows = sql("SELECT table_name, version FROM schema_versions ORDER BY table_name").splitlines()
    seen = node_states() if options.states else {}
    unknown = dict(state=None, reported=None, daemons={})
    print(json.dumps(dict(nodes={node: node_facts(node) | seen.get(node, unknown) for node in lab.nodes},
                          schema={name: int(version) for name, version in (row.split("\t") for row in rows)},
                          balancer=f"http://{lab.address('lb')}"), indent=2))


def wait(_options):
    """Wait until every node is ready and the balancer has it."""
    lab = load()
    wait_until("the nodes are not all ready", functools.partial(not_ready, lab))


def image(_options):
    """Build the image of the machines and print its name."""
    if not PYTHON.exists():
        subprocess.run([str(ROOT / "tools" / "setup")], check=True)
    print(prepared())


def ssh_arguments():
    return ["-i", str(KEY), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR"]


def known(lab, machine):
    if machine not in lab.machines:
        raise LabError(f"there is no machine {machine}; there are: {', '.join(lab.machines)}")


def ssh(options):
    lab = load()
    known(lab, options.node)
    os.execvp("ssh", ["ssh", *ssh_arguments(), f"operator@{lab.address(options.node)}", *options.command])


def execute_command(options):
    known(load(), options.node)
    command = ["podman", "exec", "-i", f"{PREFIX}{options.node}", *options.command]
    sys.exit(subprocess.run(command, check=False).returncode)


def stop_machine(options):
    known(load(), options.node)
    podman("stop", "--time", "0", f"{PREFIX}{options.node}")


def start_machine(options):
    known(load(), options.node)
    podman("start", f"{PREFIX}{options.node}")


def inventory(options):
    """The protocol of Ansible's inventory scripts."""
    lab = load()

    def variables(machine):
        return {"ansible_host": lab.address(machine)}
    if options.host:
        print(json.dumps(variables(options.host)))
        return
    common = {
        "ansible_user": "operator",
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
                                   "-o ServerAliveInterval=5 -o ServerAliveCountMax=3",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_pipelining": True,
    }
    print(json.dumps({
        "_meta": {"hostvars": {machine: variables(machine) for machine in lab.machines}},
        "all": {"vars": common, "children": ["allsf", "lab_db", "lab_lb"]},
        "allsf": {"hosts": lab.nodes},
        "database": {"hosts": lab.database},
        "hypervisors": {"hosts": lab.hypervisors},
        "network_node": {"hosts": lab.network_node},
        "lab_db": {"hosts": ["db"]},
        "lab_lb": {"hosts": ["lb"]},
    }, indent=2))


def main():
    parser = argparse.ArgumentParser(prog="tools/lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="bring up a fresh lab; an old one is removed first")
    command.add_argument("--nodes", type=int, default=3, help="number of nodes (3)")
    command.add_argument("--database", type=int, default=2, help="how many of them are in the database tier (2)")
    command.add_argument("--drain-grace", type=float, default=25, help="API_DRAIN_GRACE in seconds (25)")
    command.add_argument("--no-drain-grace", dest="drain_grace", action="store_const", const=None,
                         help="leave API_DRAIN_GRACE out of the configuration, as deployers do: 25 holds then")
    command.add_argument("--no-probes", dest="probes", action="store_false",
                         help="the balancer asks no node for its readiness")
    command.add_argument("--balancer-inter", type=float, default=1, help="seconds between the balancer's checks (1)")
    command.add_argument("--balancer-fall", type=int, default=2, help="failed checks until it lets go of a node (2)")
    command.add_argument("--balancer-rise", type=int, default=2, help="good checks until it takes a node back (2)")
    command.add_argument("--balancer", action="append", default=[], choices=list(BALANCERS),
                         help=f"a further one, without checks: apache2 on port {APACHE_PORT}, nginx on {NGINX_PORT}")
    command.add_argument("--release", default=FIRST_RELEASE, help=f"what the nodes run ({FIRST_RELEASE})")
    command.add_argument("--trait", action="append", default=[], help="a way in which that is broken")
    command.set_defaults(do=up)
    commands.add_parser("down", help="remove the lab").set_defaults(do=down)
    commands.add_parser("image", help="build the image of the machines and print its name").set_defaults(do=image)
    commands.add_parser("wait", help="wait until every node is ready and served by the balancer").set_defaults(do=wait)
    command = commands.add_parser("facts", help="print what the lab is, seen from outside, as JSON")
    command.add_argument("--no-states", dest="states", action="store_false",
                         help="without the states of nodes and daemons, which the cluster itself moves in its time")
    command.set_defaults(do=facts)
    commands.add_parser("status", help="show the machines").set_defaults(do=status)

    for name, function, text in (("ssh", ssh, "log in as the operator, or run a command"),
                                 ("exec", execute_command, "run a command as root, without ssh")):
        command = commands.add_parser(name, help=text)
        command.add_argument("node")
        command.add_argument("command", nargs=argparse.REMAINDER)
        command.set_defaults(do=function)
    for name, function, text in (("stop", stop_machine, "switch a machine off"),
                                 ("start", start_machine, "switch it on again")):
        command = commands.add_parser(name, help=text)
        command.add_argument("node")
        command.set_defaults(do=function)

    command = commands.add_parser("release", help="build a release and offer it on the lab's package index")
    command.add_argument("version")
    command.add_argument("--trait", action="append", default=[], help="a way in which it is broken, see tests/lab/sf")
    command.set_defaults(do=release)
    command = commands.add_parser("wheel", help="build a release, with the wheels that it needs, into a directory")
    command.add_argument("version")
    command.add_argument("directory")
    command.add_argument("--trait", action="append", default=[], help="a way in which it is broken, see tests/lab/sf")
    command.add_argument("--sdist", action="append", default=[], metavar="NAME",
                         help="it also needs NAME, of which there is an sdist only")
    command.add_argument("--sdist-needs", action="append", default=[], metavar="NAME",
                         help="what these sdists need to be built; by default nothing")
    command.set_defaults(do=wheel)
    command = commands.add_parser("unrelease", help="take a release off the index")
    command.add_argument("version")
    command.set_defaults(do=unrelease)

    command = commands.add_parser("inventory", help="print the inventory for Ansible")
    command.add_argument("--list", action="store_true")
    command.add_argument("--host")
    command.set_defaults(do=inventory)

    options = parser.parse_args()
    try:
        options.do(options)
    except LabError as exc:
        sys.exit(f"lab: {exc}")


if __name__ == "__main__":
    main()
