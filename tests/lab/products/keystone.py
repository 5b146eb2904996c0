# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenStack Keystone in the lab: the real one from PyPI, a product of one service."""

from __future__ import annotations

import base64
import hashlib

import lab as machinery
from products import openstack

SOURCES = machinery.LAB / "keystone"
IMAGE = "sfr-keystone"
PACKAGES = ["memcached", *openstack.PACKAGES]
OFFERED = ["24.0.0", "25.0.0"]
PORT = 5000
ADMIN_PASSWORD = "lab-admin-password"
DISABLE_FILE = "/etc/keystone/healthcheck_disable"
RELEASES = openstack.Releases("keystone", SOURCES, OFFERED, {
    # gunicorn starts, but none of its workers does.
    "never-starts": ("keystone/server/wsgi.py",
                     openstack.NEVER_STARTS.replace("main", "initialize_public_application")),
    # Of 25.0.0: its only migration, which --expand runs.
    "migration-fails": ("keystone/common/sql/migrations/versions/2024.01/expand/"
                        "47147121_add_identity_federation_attribute_mapping_schema_version.py",
                        openstack.MIGRATION_FAILS),
})
dependencies, fill, build, arguments = RELEASES.dependencies, RELEASES.fill, RELEASES.build, openstack.arguments


def configuration(lab, _machine):
    """/etc/keystone/keystone.conf of a machine."""
    # The hashes of passwords are cheap, so that logging in is no load for a small machine.
    return f"""[DEFAULT]
use_stderr = true
[database]
connection = {openstack.connection(lab)}
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = {lab.address('db')}:11211
[healthcheck]
backends = disable_by_file
disable_by_file_path = {DISABLE_FILE}
"""


# Without a cache a token takes some seventy queries, and six times as long.
CACHE = {"etc/memcached.conf": "-u memcache\n-l 0.0.0.0\n"}


def keys():
    """The keys for tokens and credentials: the same on every node, or each would know only its own tokens."""
    return {f"etc/keystone/{kind}-keys/{number}":
            base64.urlsafe_b64encode(hashlib.sha256(f"lab {kind} {number}".encode()).digest()).decode()
            for kind in ("fernet", "credential") for number in range(2)}


def no_token(lab):
    """What goes wrong when a token is issued through the balancer and shown to each node."""
    user = dict(name="admin", domain=dict(id="default"), password=ADMIN_PASSWORD)
    status, dummy, headers = openstack.request("POST", f"http://{lab.address('lb')}/v3/auth/tokens", dict(auth=dict(
        identity=dict(methods=["password"], password=dict(user=user)),
        scope=dict(project=dict(name="admin", domain=dict(id="default"))))))
    if status != 201:
        return f"POST answers {status}"
    token = headers["x-subject-token"]
    answers = {node: openstack.request("GET", f"http://{lab.address(node)}:{PORT}/v3/auth/tokens", x_auth_token=token,
                                       x_subject_token=token)[0] for node in lab.nodes}
    return ", ".join(f"{node} answers {status}" for node, status in answers.items() if status != 200)


class Plan(openstack.Plan):
    product = "keystone"
    nodes_are = "k"
    home = "/srv/keystone"
    units = ["keystone"]
    api = "keystone", PORT, "/healthcheck"
    path = "/v3"
    release = OFFERED[0]
    configuration = configuration
    create = ["db_sync"]
    use = "no token is valid everywhere"
    unusable = no_token

    def services(self, machine):
        return ["memcached.service"] if machine == "db" else []

    def files(self, machine):
        return super().files(machine) | (keys() if machine != "lb" else {}) | (CACHE if machine == "db" else {})

    def migrate(self):
        super().migrate()
        self.manage("bootstrap", "--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", "lab",
                    "--bootstrap-public-url", f"http://{self.address('lb')}{self.path}")
