# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machines of Synnefo's lab have of Synnefo itself: packages of 0.18.1, their settings, and the repository."""

from __future__ import annotations

import importlib.util

import lab as machinery

PACKAGES = machinery.LAB / "synnefo" / "packages"
REPOSITORY = "debian"
# Of Synnefo's own parts, what a service node has; more than one of a part, so that migrations have to choose.
PARTS = {"snf-1": ["snf-astakos-app", "snf-pithos-app", "snf-ui-app", "archipelago"],
         "snf-2": ["snf-cyclades-app", "snf-pithos-app", "archipelago"]}
MORE = ["snf-pithos-app"]
GANETI = ["snf-cyclades-gtools", "snf-pithos-backend", "archipelago"]
PORT = 8080
COMPONENTS = {"astakos": "http://accounts.lab/astakos", "cyclades": "http://compute.lab/cyclades",
              "pithos": "http://storage.lab/pithos"}
# As they were until 0.18.1: each is something that 0.19 wants to be other.
GUNICORN = f"""CONFIG = {{
 'mode': 'django',
 'environment': {{
   'DJANGO_SETTINGS_MODULE': 'synnefo.settings',
 }},
 'working_dir': '/etc/synnefo',
 'user': 'synnefo',
 'group': 'synnefo',
 'args': (
   '--bind=127.0.0.1:{PORT}',
   '--worker-class=gevent',
   '--workers=2',
   '--timeout=43200',
 ),
}}
"""
SITE = """<VirtualHost *:443>
  ServerName compute.lab
  RequestHeader set X-Forwarded-Protocol "https"
  ProxyPass / http://localhost:8080/ retry=0
</VirtualHost>
"""
CYCLADES = """# The API of Cyclades, as the lab's operator has it.
BACKEND_ALLOCATOR_MODULE = "synnefo.logic.allocators.default_allocator"
VMAPI_CACHE_BACKEND = "memcached://127.0.0.1:11211/"
"""
# A server that had another owner, whose address the history lacks.
CHANGELOG = "7|0d1e-before|0d1e-after|2014-05-01 12:00:00.000000\n"


def builder():
    """The module that builds packages."""
    spec = importlib.util.spec_from_file_location("synnefo_packages", PACKAGES / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(context):
    """The image has the packages of the first release, so that a machine needs nobody else to become what it is."""
    builder().publish(context / "product" / REPOSITORY, "wheezy", {})


def publish(folder, traits, suites):
    """The repository in the directory that the lab serves.

    :arg traits: for jessie, each as C(NAME:PACKAGE).
    """
    wanted = {}
    for given in traits:
        name, package = given.split(":")
        wanted.setdefault(package, []).append(name)
    for suite in suites:
        builder().publish(folder / REPOSITORY, suite, wanted if suite == "jessie" else {})


def database(lab):
    return f"""DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.mysql",
        "NAME": "synnefo",
        "USER": "synnefo",
        "PASSWORD": "{machinery.DATABASE_PASSWORD}",
        "HOST": "{lab.address('db')}",
    }},
}}
"""


def files(lab, machine, kind):
    """The files of a machine, C(kind) is ganeti or service; what it installs is one of them."""
    packages = GANETI if kind == "ganeti" else PARTS.get(machine, MORE)
    found = {"lab/packages": " ".join(packages) + "\n",
             "etc/apt/sources.list.d/synnefo.list": "".join(
                 f"deb [trusted=yes] http://{lab.address('db')}:8080/{REPOSITORY} {suite} main\n"
                 for suite in ("wheezy", "wheezy-backports"))}
    if kind == "service":
        found.update({"etc/synnefo/00-database.conf": database(lab), "etc/gunicorn.d/synnefo": GUNICORN,
                      "etc/apache2/sites-available/synnefo": SITE})
    if "snf-cyclades-app" in packages:
        found.update({"etc/synnefo/20-snf-cyclades-app-api.conf": CYCLADES, "lab/owners.log": CHANGELOG})
    return found


def settle(lab, nodes):
    """Bring the database to the schema of 0.18.1, one service after the other, and register the components."""
    if not nodes:
        return
    for node in nodes:
        machinery.execute(node, "snf-manage", "migrate")
    rows = ", ".join(f"('{name}', '{url}', '{url}/ui')" for name, url in COMPONENTS.items())
    machinery.execute("db", "mariadb", "synnefo", "-e", "INSERT IGNORE INTO im_component (name, base_url, url) VALUES "
                      f"{rows}; INSERT INTO db_ipaddresslog (address, server_id, owner) VALUES ('10.0.0.7', 7, "
                      "'0d1e-after')")
    for node in nodes:
        machinery.execute(node, "systemctl", "restart", "gunicorn.service")


def rows(query):
    """What the database answers, asked on its own machine."""
    done = machinery.execute("db", "mariadb", "--skip-column-names", "--batch", "synnefo", "-e", query, check=False)
    return [line.split("\t") for line in done.stdout.splitlines()] if done.returncode == 0 else []


def facts(node):
    """What a service node is, seen from outside."""
    text = machinery.execute(node, "sh", "-c", SEEN).stdout
    seen = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return dict(answer=seen.get("answer", ""), policy=seen.get("policy", ""),
                active=sorted(name[7:] for name, value in seen.items()
                              if name.startswith("active.") and value == "active"))


def migrated():
    """Which migrations ran on which machine."""
    return [dict(zip(("application", "name", "host"), row)) for row in rows("SELECT app, name, host FROM lab_migrated")]


SEEN = f"""
for unit in archipelago gunicorn snf-dispatcher snf-ganeti-eventd; do
  echo "active.$unit=$(systemctl is-active $unit.service)"
done
echo "policy=$(md5sum /usr/sbin/policy-rc.d 2>/dev/null | cut -c-32)$(stat -c ,%a /usr/sbin/policy-rc.d 2>/dev/null)"
echo "answer=$(curl -s -m 5 -o - -w ' %{{http_code}}' http://127.0.0.1:{PORT}/ | tr '\\n' ' ')"
"""
