# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the products of OpenStack have in common in the lab: releases from PyPI, sound or broken for a test, each in a
virtualenv of its own, and units that run from links to them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import urllib.error
import urllib.request
import zipfile

import lab as machinery

FACTS = machinery.LAB / "products" / "openstack_facts.py"  # not among the sources, which the image is made of
# It would have to be compiled; the machines have Debian's, which the virtualenvs see.
OF_DEBIAN = "netifaces"
PACKAGES = [f"python3-{OF_DEBIAN}"]
START_LIMIT = 300  # seconds; these services need more of them on a busy machine than Shaken Fist does
NOT_UP = "the services are not all up"
# What a trait adds to a module whose main() would start a service.
NEVER_STARTS = """

def main():
    raise SystemExit("broken for a test: this service never starts")
"""
# What a trait adds to a migration.
MIGRATION_FAILS = "\n\ndef upgrade():\n    raise RuntimeError('broken for a test: this migration fails')\n"


# ---- releases

class Releases:
    """The releases of a product that there are for the lab.

    :param product: the name of its distribution.
    :param sources: the directory with the constraints of each release; one that has some there can be built.
    :param offered: the versions that a lab has from its start, the one that the image has first.
    :param traits: ways in which a release is broken: the file, and what is added at its end.
    """

    def __init__(self, product, sources, offered, traits):
        self.product, self.sources, self.offered, self.traits = product, sources, offered, traits

    def versions(self):
        """The releases that can be built, the oldest first."""
        found = [path.stem.removeprefix("constraints-") for path in self.sources.glob("constraints-*.txt")]
        return sorted(found, key=lambda version: [int(part) for part in version.split(".")])

    def constraints(self, version):
        return self.sources / f"constraints-{version}.txt"

    def wheels(self, version):
        """A release and what it needs: downloaded once, and built where there is only an sdist."""
        pins = self.constraints(version).read_text()
        folder = machinery.WHEELS / f"{self.product}-{version}-{machinery.digest(pins)}"
        if not folder.exists():
            machinery.say(f"downloading {self.product.title()} {version} and the wheels that it needs")
            part = folder.with_name(f"{folder.name}.part")
            wanted = [pin for pin in pins.split() if not pin.startswith(f"{OF_DEBIAN}==")]
            machinery.run(machinery.PYTHON, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
                          "--use-pep517", "--no-deps", "--wheel-dir", part, *wanted)
            part.rename(folder)
        return sorted(folder.glob("*.whl"))

    def dependencies(self):
        """What any of the releases needs that a lab has from its start."""
        found = {wheel.name: wheel for version in self.offered for wheel in self.wheels(version)}
        return [wheel for name, wheel in sorted(found.items()) if not name.startswith(f"{self.product}-")]

    def fill(self, context):
        """What the image has beyond the machinery."""
        first = self.offered[0]
        for wheel in self.wheels(first):
            shutil.copy(wheel, context / "wheels")
        shutil.copy(self.constraints(first), context)

    def build(self, version, folder, traits=()):
        """The wheel of a release, as it is or broken, and beside it the constraints to install it with, and what it
        needs."""
        if version not in self.versions():
            raise machinery.LabError(f"there is no {self.product.title()} {version} here; there are: "
                                     f"{', '.join(self.versions())}")
        added = {}
        for trait in traits:
            if trait not in self.traits:
                raise machinery.LabError(f"no such trait: {trait}; there are: {', '.join(self.traits)}")
            name, text = self.traits[trait]
            added[name] = added.get(name, "") + text
        wheels = self.wheels(version)
        original, = [wheel for wheel in wheels if wheel.name.startswith(f"{self.product}-")]
        part = folder / f"{original.name}.part"
        if added:
            repack(original, part, added)
        else:
            shutil.copy(original, part)
        shutil.copy(self.constraints(version), folder)
        for wheel in wheels:
            if wheel != original and not (folder / wheel.name).exists():
                os.link(wheel, folder / wheel.name)
        return part.replace(folder / original.name)


def repack(original, target, added):
    """A copy of a wheel in which some files are longer, and RECORD says so."""
    with zipfile.ZipFile(original) as source:
        files = {entry.filename: (entry, source.read(entry)) for entry in source.infolist()}
    record, = [name for name in files if name.endswith(".dist-info/RECORD")]
    lines = files[record][1].decode().splitlines()
    for name, text in added.items():
        if name not in files:
            raise machinery.LabError(f"{original.name} has no {name}")
        entry, content = files[name]
        content += text.encode()
        files[name] = entry, content
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines = [f"{name},sha256={digest},{len(content)}" if line.startswith(f"{name},") else line for line in lines]
    files[record] = files[record][0], "\n".join([*lines, ""])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry, content in files.values():
            copy.writestr(entry, content)


# ---- what the lab consists of

def connection(lab):
    """The URL of the product's database."""
    return (f"mysql+pymysql://{lab.product}:{machinery.DATABASE_PASSWORD}@{lab.address('db')}/{lab.product}"
            "?charset=utf8mb4")


def request(method, url, body=None, **headers):
    """The status, the content (where it is JSON) and the headers of an answer."""
    asked = urllib.request.Request(url, method=method, data=body and json.dumps(body).encode(), headers={
        "content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            text, kind = answer.read(), answer.headers.get_content_type()
            return answer.status, json.loads(text) if text and kind == "application/json" else {}, answer.headers
    except urllib.error.HTTPError as exc:
        return exc.code, {}, exc.headers
    except OSError as exc:
        return str(exc), {}, {}


def not_served(lab):
    served = "UP" if lab.options["probes"] else "no check"
    return ", ".join(f"{node}: the balancer says {state}"
                     for node, state in machinery.balancer_states(lab).items() if state != served)


def arguments(command):
    command.add_argument("--nodes", type=int, default=2, help="number of nodes (2)")


class Plan(machinery.Lab):
    """The plan of a lab of one of these products, which says the rest in a class of its own:

    units            the units of a node; each has a link to the release that it runs
    configuration()  what its file has on a machine
    create           the command that brings the database to its first schema
    use              what cannot be done as long as the lab is not ready
    unusable()       what goes wrong when that is done; empty if it works
    told()           the last columns of the status: their header, and the words of each node
    """

    def groups(self):
        return {self.product: self.nodes}

    def files(self, machine):
        found = super().files(machine)
        if machine != "lb":
            found[f"etc/{self.product}/{self.product}.conf"] = self.configuration(machine)
        return found

    def manage(self, *words):
        """Run a command of the first release on the db machine, which has the same virtualenv as the nodes."""
        script = f"{self.home}/releases/{self.release}/bin/{self.product}-manage"
        machinery.execute("db", "runuser", "--user", self.product, "--", script, "--config-file",
                          f"/etc/{self.product}/{self.product}.conf", *words)

    def migrate(self):
        """The first schema, before any node starts."""
        def database():
            return machinery.execute("db", "mariadb", "--execute", "SELECT 1", self.product, check=False).stderr.strip()
        machinery.wait_until("MariaDB is not up", database)
        self.manage(*self.create)

    def not_up(self):
        """The nodes whose services are not all up."""
        dummy, port, path = self.api
        answers = {node: request("GET", f"http://{self.address(node)}:{port}{path}")[0] for node in self.nodes}
        return ", ".join(f"{node} answers {status}" for node, status in answers.items() if status != 200)

    def settle(self):
        machinery.wait_until(NOT_UP, self.not_up, START_LIMIT)
        machinery.look_again(self)
        self.serve()

    def wait(self):
        machinery.wait_until(NOT_UP, self.not_up, START_LIMIT)
        self.serve()

    def serve(self):
        machinery.wait_until("the nodes are not all served", lambda: not_served(self), START_LIMIT)
        machinery.wait_until(self.use, self.unusable, START_LIMIT)

    def node_facts(self, node):
        """What a node is, seen from outside: no code of the collection takes part."""
        printed = machinery.execute(node, "python3", "-", self.home, *self.units, input=FACTS.read_text()).stdout
        return json.loads(printed)

    def told(self):
        return "", {}

    def table(self, running):
        states = machinery.balancer_states(self)
        header, told = self.told()
        table = {}
        for name in running:
            units = self.node_facts(name)["units"]
            shown = [f"{(unit['runs'] or unit['state']).rpartition('/')[2]:9}" for unit in units.values()]
            table[name] = f"{' '.join(shown)} {states.get(name, '?'):9} {told.get(name, '')}".rstrip()
        names = [f"{unit.removeprefix(f'{self.product}-'):9}" for unit in self.units]
        return f"{' '.join(names)} {'balancer':9} {header}".rstrip(), table

    def facts(self, options):
        heads = machinery.query(self.product, "SELECT version_num FROM alembic_version ORDER BY version_num")
        return dict(nodes={node: self.node_facts(node) for node in self.nodes}, alembic=heads.split(),
                    balancer=f"http://{self.address('lb')}", served=machinery.balancer_states(self))
