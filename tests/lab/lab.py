# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: a small cluster in containers that run real systemd. Called by tools/lab.

What is true of one product only is in its module in products/, which uses this one under the name lab."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import csv
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import signal
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

LABEL = f"shakenfist.rolling={NAME}"
NETWORK = f"sfr-{NAME}"
PREFIX = "sfr-" if NAME == "lab" else f"sfr-{NAME}-"
SUBNETS = [os.environ["LAB_SUBNET"]] if "LAB_SUBNET" in os.environ else [f"10.213.{n}.0/24" for n in range(77, 87)]
# What the machines of every product have.
PACKAGES = ("systemd systemd-sysv dbus openssh-server sudo python3 python3-venv python3-pip iproute2 procps curl "
            "ca-certificates nftables mariadb-server mariadb-client haproxy").split()
DATABASE_PASSWORD = "lab-database-password"
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


def base_image(packages):
    """Debian 12 with systemd and everything that any machine of the lab needs."""
    image = f"localhost/sfr-base:{digest(*packages)}"
    if podman("image", "exists", image, check=False).returncode:
        archive = CACHE / f"base-{digest(*packages)}.tar"
        if not archive.exists():
            say("making the base image from Debian's packages (about a minute)")
            part = archive.with_suffix(".part.tar")
            run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", part)
            part.rename(archive)
        podman("import", "--quiet", archive, image)
    return image


def names_of(repository):
    """The names in a repository. podman lists all names of an image, and another checkout may have the same one."""
    found = podman("images", "--filter", f"reference={repository}", "--format", "{{.Repository}}:{{.Tag}}").stdout
    return [name for name in found.split() if name.startswith(f"{repository}:")]


def lab_image(product):
    """The image that every machine of the lab runs; built anew when something in it changes."""
    dependencies = product.dependencies()
    chosen = (CACHE / "containers.conf").exists()
    if not chosen:
        configure_podman("")
    try:
        base = base_image([*PACKAGES, *product.PACKAGES])
        if not chosen:
            choose_runtime(base)
    except LabError:
        if not chosen:
            (CACHE / "containers.conf").unlink()
        raise
    tag = digest(base, content(LAB / "image"), content(product.SOURCES), *[wheel.name for wheel in dependencies])
    # Named for this checkout, so that another one on this machine does not take it for an old one of its own.
    repository = f"localhost/{product.IMAGE}-{digest(str(ROOT))}"
    image = f"{repository}:{tag}"
    if podman("image", "exists", image, check=False).returncode:
        say("building the image of the machines")
        context = CACHE / "context"
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(LAB / "image", context)
        shutil.copytree(product.SOURCES / "image", context / "product")
        shutil.copytree(product.SOURCES / "systemd", context / "systemd")
        (context / "wheels").mkdir()
        product.fill(context)
        podman("build", "--quiet", "--network=none", "--build-arg", f"BASE={base}", "--tag", image, context)
        for name in names_of(repository):
            if name != image:
                podman("rmi", name, check=False)
    # By this name the molecule scenario of a single role finds it.
    podman("tag", image, f"localhost/{product.IMAGE}:latest")
    return image


def prepared(product):
    """The image, and the key to log in with: several labs that come up at once make them once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not KEY.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", KEY)
        return lab_image(product)


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


def fresh_index(product):
    shutil.rmtree(INDEX, ignore_errors=True)
    (INDEX / "wheels").mkdir(parents=True)
    for wheel in product.dependencies():
        os.link(wheel, INDEX / "wheels" / wheel.name)
    for version in product.OFFERED:
        product.build(version, INDEX / "wheels")
    publish()


def release(options):
    """Build a release and offer it on the index of the running lab."""
    product = PRODUCTS[load().product]
    more = {}
    if options.pins:
        if product is not sf:
            raise LabError("only releases of Shaken Fist take --pins")
        more["pins"] = sf.pins_of(options.pins)
    product.build(options.version, INDEX / "wheels", options.trait, **more)
    publish()
    say(f"the index offers {options.version}{' with ' + ', '.join(options.trait) if options.trait else ''}")


def unrelease(options):
    """Take a release off the index."""
    for wheel in (INDEX / "wheels").glob(f"{load().product}-{options.version}-*.whl"):
        wheel.unlink()
    publish()


# ---- what the lab consists of

class Lab:
    """The plan of a lab: its machines, their addresses and what each one is. A product says the rest in a class of its
    own:

    product     its name, which is that of its distribution, its database and the user there as well
    nodes_are   what the names of its nodes begin with
    home        where its releases are on a node; None if they need no file system of their own
    api         what the balancer calls the API, the port of it on the nodes, and the path that says whether it is ready
    path        where the balancer has it
    release     what the nodes run at first

    migrate()   brings the database to its first schema, when db and lb are up
    settle()    waits until a fresh lab is ready
    wait()      waits until a lab is ready
    table()     the header of the status, and the row of each node
    facts()     what the lab is, as JSON has it
    groups()    the groups of the nodes in the inventory, that of all nodes first
    """

    further_balancing = ""
    servers = ["db", "lb"]
    reboots = False  # whether a machine that reboots comes back by itself

    def __init__(self, subnet, options):
        self.subnet = subnet
        self.prefix = subnet.rsplit(".", 1)[0]
        self.options = options
        self.nodes = [f"{self.nodes_are}-{number}" for number in range(1, options["nodes"] + 1)]

    def address(self, machine):
        return f"{self.prefix}.{ {'db': 2, 'lb': 3}.get(machine) or 10 + int(machine.rsplit('-', 1)[1])}"

    @property
    def machines(self):
        return [*self.servers, *self.nodes]

    @property
    def balanced(self):
        """The nodes that the balancer has."""
        return self.nodes

    def kind(self, machine):
        return machine if machine in self.servers else "node"

    def hostname(self, machine):
        return machine

    def run_options(self, machine):
        """What podman is told of a machine beyond what every lab needs."""
        return []

    def top_groups(self):
        """The groups that have every node."""
        return [next(iter(self.groups()))]

    def variables(self):
        """What the inventory has for all machines."""
        return {}

    def services(self, machine):
        """What systemd starts on a machine beyond what every lab has there."""
        return []

    def files(self, machine):
        """The files that make a machine of the image what it is."""
        if machine == "db":
            return {"etc/mysql/mariadb.conf.d/99-lab.cnf": DATABASE_CONF,
                    "etc/mysql/lab.sql": DATABASE_INIT.format(name=self.product)}
        if machine == "lb":
            return {"etc/haproxy/haproxy.cfg": balancer(self)}
        return {"etc/pip.conf": f"[global]\nindex-url = http://{self.address('db')}:8080/simple/\n"
                                f"trusted-host = {self.address('db')}\n"}

    def add_release(self, machine, folder):
        """Another release than the image has, where one was asked for."""

    def where(self):
        """What is served, for people."""
        return f"http://{self.address('lb')}{self.path}"

    def save(self):
        STATE.write_text(json.dumps(dict(product=self.product, subnet=self.subnet, options=self.options)))


def load():
    if not STATE.exists():
        raise LabError("there is no lab: bring it up with tools/lab up")
    state = json.loads(STATE.read_text())
    return PRODUCTS[state.pop("product", "shakenfist")].Plan(**state)


def balancer(lab):
    options = lab.options
    name, port, probe = lab.api
    check = (f" check inter {options['balancer_inter'] * 1000:.0f}ms fall {options['balancer_fall']} "
             f"rise {options['balancer_rise']}" if options["probes"] else "")
    servers = "\n".join(f"    server {node} {lab.address(node)}:{port}{check}" for node in lab.balanced)
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
    default_backend {name}
backend {name}
    balance roundrobin
    option forwardfor
    option httpchk GET {probe}
    http-reuse never
{lab.further_balancing}{servers}
listen stats
    bind :8404
    stats enable
    stats uri /stats
"""


DATABASE_CONF = """[mariadbd]
bind-address = 0.0.0.0
skip-name-resolve
init-file = /etc/mysql/lab.sql
character-set-server = utf8mb4
collation-server = utf8mb4_general_ci
innodb-buffer-pool-size = 64M
performance-schema = off
"""
DATABASE_INIT = f"""CREATE DATABASE IF NOT EXISTS {{name}} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE USER IF NOT EXISTS {{name}}@'%' IDENTIFIED BY '{DATABASE_PASSWORD}';
GRANT ALL ON {{name}}.* TO {{name}}@'%';
"""


# ---- up and down

def remove_all():
    """Remove the machines and the network of an earlier lab; nothing else is touched."""
    cut_power()
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


def hardware_address(address):
    """One that a machine keeps when it is switched off and on, as a network card does; else its neighbours lose it."""
    return ":".join(f"{part:02x}" for part in (2, 0, *map(int, address.split("."))))


def start(lab, image, machine):
    folder = OWN / "machines" / machine
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in lab.files(machine).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lab.add_release(machine, folder / "lab" / "release")
    volumes = [f"{folder}:/lab/conf:ro", f"{KEY}.pub:/lab/authorized_keys:ro"]
    if machine == "db":
        volumes.append(f"{INDEX}:/srv/index:ro")
    if machine in lab.nodes and lab.home:
        # A volume of its own, filled from the image: a real file system, in which a directory can be renamed.
        volumes.append(lab.home)
    podman("run", "--detach", "--pull=never", "--systemd=always", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN",
           "--cap-add", "NET_RAW",
           "--label", LABEL,
           "--name", f"{PREFIX}{machine}", "--hostname", lab.hostname(machine), "--network", NETWORK,
           "--ip", lab.address(machine), "--mac-address", hardware_address(lab.address(machine)),
           *lab.run_options(machine),
           *[word for volume in volumes for word in ("--volume", volume)],
           image, "/bin/sh", "/lab/init", lab.kind(machine), *lab.services(machine))


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


def balancer_states(lab):
    """The balancer's word on each node."""
    try:
        with urllib.request.urlopen(f"http://{lab.address('lb')}:8404/stats;csv", timeout=3) as response:
            rows = list(csv.DictReader(response.read().decode().lstrip("# ").splitlines()))
    except OSError as exc:
        return {node: str(exc) for node in lab.balanced}
    return {row["svname"]: row["status"] for row in rows
            if row["pxname"] == lab.api[0] and row["svname"] in lab.balanced}


def up(options):
    begin = time.monotonic()
    if not (PYTHON.exists() and shutil.which("podman") and shutil.which("mmdebstrap")):
        subprocess.run([str(ROOT / "tools" / "setup")], check=True)
    # Of a product on two kinds of nodes one of them is enough.
    if min(options.nodes or getattr(options, "service_nodes", 0), getattr(options, "database", 1)) < 1:
        raise LabError("a lab has at least one node, and at least one of them in the database tier")
    OWN.mkdir(parents=True, exist_ok=True)
    product = PRODUCTS[options.product]
    image = prepared(product)
    remove_all()
    fresh_index(product)
    lab = product.Plan(make_network(), {key: value for key, value in vars(options).items()
                                        if key not in ("do", "product")})
    lab.save()
    say(f"starting {', '.join(lab.servers)} and {len(lab.nodes)} node{'s' if len(lab.nodes) > 1 else ''}")
    for server in lab.servers:
        start(lab, image, server)
    lab.migrate()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(functools.partial(start, lab, image), lab.nodes))
    if lab.reboots:
        supply_power()
    lab.settle()
    say(f"up after {time.monotonic() - begin:.0f} s: {lab.where()} with {', '.join(lab.nodes)} on {lab.release}")


def look_again(lab):
    """The balancer probed before there was anybody, and might take its time to see them now."""
    if lab.options["probes"] and lab.options["balancer_inter"] > QUICK_INTER:
        execute("lb", "systemctl", "restart", "haproxy.service")


def query(database, statement):
    result = execute("db", "mariadb", "--batch", "--skip-column-names", database, "--execute", statement)
    return result.stdout.strip()


def down(_options):
    if not (CACHE / "containers.conf").exists():
        return
    remove_all()


# ---- power
#
# A container ends where a machine would reboot. systemd ends it with 0 then, and nobody with that who switches it off;
# a machine that powers itself off cannot be told from one that reboots.

REBOOTED = 0
POWER = OWN / "power.pid"
UNPLUGGED = OWN / "unplugged"  # a directory with a file for each machine that does not come back from a reboot


def supply_power():
    """Have a process start what reboots; it ends with the lab."""
    shutil.rmtree(UNPLUGGED, ignore_errors=True)
    UNPLUGGED.mkdir()
    with (OWN / "power.log").open("w") as log:
        child = subprocess.Popen([sys.executable, str(LAB / "lab.py"), "power"], stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, start_new_session=True)
    POWER.write_text(str(child.pid))


def cut_power():
    """End that process, if it still is the one: another may have got its number."""
    if not POWER.exists():
        return
    pid = POWER.read_text()
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[1:3] == [str(LAB / "lab.py").encode(), b"power"]:
            os.kill(int(pid), signal.SIGTERM)
    POWER.unlink()


def power(_options):
    """Start what reboots, until the lab is gone."""
    say("power supply")
    while STATE.exists():
        found = podman("ps", "--all", "--filter", f"label={LABEL}", "--filter", "status=exited", "--format",
                       "{{.Names}} {{.ExitCode}}", check=False).stdout.splitlines()
        for name, code in (line.split() for line in found):
            if int(code) == REBOOTED and not (UNPLUGGED / name.removeprefix(PREFIX)).exists():
                say(f"{time.strftime('%H:%M:%S')} {name} reboots")
                podman("start", name, check=False)
        time.sleep(0.5)


def power_off(machine):
    podman("stop", "--time", "0", f"{PREFIX}{machine}", timeout=60)


def power_on(machine):
    podman("start", f"{PREFIX}{machine}", timeout=60)


# ---- for people and tests

def status(_options):
    lab = load()
    containers = {machine: podman("inspect", "--format", "{{.State.Status}}", f"{PREFIX}{machine}",
                                  check=False).stdout.strip() or "missing" for machine in lab.machines}
    header, rows = lab.table([node for node in lab.nodes if containers[node] == "running"])
    print(f"{'machine':8} {'address':15} {'container':10} {header}")
    for machine in lab.machines:
        row = f" {rows[machine]}" if machine in rows else ""
        print(f"{machine:8} {lab.address(machine):15} {containers[machine]:10}{row}")


def facts(options):
    """Print what the whole lab is, as JSON, for tests."""
    print(json.dumps(load().facts(options), indent=2))


def wait(_options):
    """Wait until every node is ready and the balancer has it."""
    load().wait()


def image(options):
    """Build the image of the machines and print its name."""
    if not PYTHON.exists():
        subprocess.run([str(ROOT / "tools" / "setup")], check=True)
    print(prepared(PRODUCTS[options.product]))


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
    power_off(options.node)


def start_machine(options):
    known(load(), options.node)
    power_on(options.node)


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
    common |= lab.variables()
    groups = lab.groups()
    print(json.dumps({
        "_meta": {"hostvars": {machine: variables(machine) for machine in lab.machines}},
        "all": {"vars": common, "children": [*lab.top_groups(), *(f"lab_{name}" for name in lab.servers)]},
        **{name: {"hosts": hosts} for name, hosts in groups.items()},
        **{f"lab_{name}": {"hosts": [name]} for name in lab.servers},
    }, indent=2))


# ---- the products
#
# The module of one has IMAGE, PACKAGES, SOURCES, OFFERED, dependencies(), fill(), build(), arguments(), and Plan, which
# is its kind of Lab. It imports this module, of which there must be only one, also when it is the program.

sys.modules.setdefault("lab", sys.modules[__name__])
from products import cinder, dragonflow, keystone, sf, synnefo  # noqa: E402 (they use what is above)

PRODUCTS = {"shakenfist": sf, "cinder": cinder, "keystone": keystone, "dragonflow": dragonflow, "synnefo": synnefo}
# For those who know only one product.
SYSTEM_KEY, elect, leader, sql = sf.SYSTEM_KEY, sf.elect, sf.leader, sf.sql
readiness, not_ready, node_facts = sf.readiness, sf.not_ready, sf.node_facts


def main():
    # What else `up` takes depends on the product.
    which = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    which.add_argument("--product", choices=list(PRODUCTS), default="shakenfist",
                       help="what the lab is of (shakenfist)")
    product = PRODUCTS[which.parse_known_args(sys.argv[1:] if sys.argv[1:2] == ["up"] else [])[0].product]

    parser = argparse.ArgumentParser(prog="tools/lab", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", parents=[which], help="bring up a fresh lab; an old one is removed first")
    product.arguments(command)
    command.add_argument("--no-probes", dest="probes", action="store_false",
                         help="the balancer asks no node for its readiness")
    command.add_argument("--balancer-inter", type=float, default=1, help="seconds between the balancer's checks (1)")
    command.add_argument("--balancer-fall", type=int, default=2, help="failed checks until it marks a server down (2)")
    command.add_argument("--balancer-rise", type=int, default=2, help="good checks until it takes a node back (2)")
    command.set_defaults(do=up)
    commands.add_parser("down", help="remove the lab").set_defaults(do=down)
    command = commands.add_parser("image", parents=[which], help="build the image of the machines and print its name")
    command.set_defaults(do=image)
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
    command.add_argument("--trait", action="append", default=[],
                         help="a way in which it is broken, see tests/lab/README.md")
    command.add_argument("--pins", action="append", default=[], metavar="FILE",
                         help="of Shaken Fist: it also requires what is in FILE, NAME==VERSION a line")
    command.set_defaults(do=release)
    command = commands.add_parser("wheel", help="build a release of Shaken Fist, with what it needs, into a directory")
    command.add_argument("version")
    command.add_argument("directory")
    command.add_argument("--trait", action="append", default=[], help="a way in which it is broken, see tests/lab/sf")
    command.add_argument("--sdist", action="append", default=[], metavar="NAME",
                         help="it also needs NAME, of which there is an sdist only")
    command.add_argument("--sdist-needs", action="append", default=[], metavar="NAME",
                         help="what these sdists need to be built; by default nothing")
    command.set_defaults(do=sf.wheel)
    command = commands.add_parser("unrelease", help="take a release off the index")
    command.add_argument("version")
    command.set_defaults(do=unrelease)

    commands.add_parser("power", help=argparse.SUPPRESS).set_defaults(do=power)
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
