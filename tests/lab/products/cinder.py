# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenStack Cinder in the lab: the real one from PyPI, with drivers of our own, which need no hardware."""

from __future__ import annotations

import json
import shutil
import time

import lab as machinery
from products import openstack

SOURCES = machinery.LAB / "cinder"
IMAGE = "sfr-cinder"
PACKAGES = ["rabbitmq-server", *openstack.PACKAGES]
OFFERED = ["23.5.0", "24.5.0"]
PROJECT = "1ab" * 10 + "00"  # Cinder wants it to be hexadecimal
SERVICE_DOWN_TIME = 20
RELEASES = openstack.Releases("cinder", SOURCES, OFFERED, {
    "scheduler-never-starts": ("cinder/cmd/scheduler.py", openstack.NEVER_STARTS),
    "volume-never-starts": ("cinder/cmd/volume.py", openstack.NEVER_STARTS),
    "api-never-starts": ("cinder/wsgi/wsgi.py", openstack.NEVER_STARTS.replace("main", "initialize_application")),
    # Active for systemd, but it takes no work and has no heartbeat.
    "volume-does-nothing": ("cinder/cmd/volume.py", "\n\ndef main():\n    import time\n    time.sleep(1e9)\n"),
    # Of 24.5.0: the third of its four migrations.
    "migration-fails": ("cinder/db/migrations/versions/b7b88f50aab5_remove_quota_consistencygroups.py",
                        openstack.MIGRATION_FAILS),
})
dependencies, build, arguments = RELEASES.dependencies, RELEASES.build, openstack.arguments


def fill(context):
    """What the image has beyond the machinery."""
    RELEASES.fill(context)
    shutil.copytree(SOURCES / "lab_cinder", context / "lab_cinder", ignore=shutil.ignore_patterns("__pycache__"))


# ---- what the lab consists of

def configuration(lab, machine):
    """/etc/cinder/cinder.conf of a machine."""
    quotas = "\n".join(f"quota_{name} = -1" for name in (
        "volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups"))
    return f"""[DEFAULT]
host = {machine}
my_ip = {lab.address(machine)}
auth_strategy = noauth
transport_url = rabbit://cinder:{machinery.DATABASE_PASSWORD}@{lab.address('db')}:5672/
enabled_backends = lab
backup_driver = lab_cinder.backup.LabBackupDriver
report_interval = 5
service_down_time = {SERVICE_DOWN_TIME}
graceful_shutdown_timeout = 30
state_path = /var/lib/cinder
use_stderr = true
{quotas}
[lab]
volume_driver = lab_cinder.volume.LabDriver
volume_backend_name = lab
[database]
connection = {openstack.connection(lab)}
[oslo_messaging_rabbit]
# As deployments have it: a broker that restarts forgets what is queued otherwise, and a volume stays as it is for ever.
amqp_durable_queues = true
[oslo_concurrency]
lock_path = /var/lib/cinder/lock
"""


BROKER = {
    "etc/rabbitmq/rabbitmq.conf": "listeners.tcp.1 = 0.0.0.0:5672\nload_definitions = /etc/rabbitmq/lab.json\n",
    "etc/rabbitmq/lab.json": json.dumps({
        "vhosts": [{"name": "/"}],
        "users": [{"name": "cinder", "password": machinery.DATABASE_PASSWORD, "tags": ""}],
        "permissions": [{"user": "cinder", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}),
    # Otherwise it spins while it waits for work.
    "etc/rabbitmq/rabbitmq-env.conf": 'SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none"\n',
}


def sql(statement):
    return machinery.query("cinder", statement)


def rows(columns, rest):
    """What a SELECT finds, as dictionaries; columns are names with the expressions that they stand for."""
    pairs = ", ".join(f"'{name}', {expression}" for name, expression in columns.items())
    return json.loads(sql(f"SELECT COALESCE(JSON_ARRAYAGG(JSON_OBJECT({pairs})), '[]') FROM {rest}"))


def services():
    """The rows of the services, each with the seconds since its last heartbeat by the clock of the database."""
    found = rows(dict(binary="`binary`", host="host", disabled="disabled", rpc_current_version="rpc_current_version",
                      object_current_version="object_current_version",
                      age="TIMESTAMPDIFF(SECOND, updated_at, UTC_TIMESTAMP())"),
                 "services WHERE NOT deleted")
    return sorted((row | dict(disabled=bool(row["disabled"])) for row in found),
                  key=lambda row: (row["host"], row["binary"]))


def services_down(lab, limit=SERVICE_DOWN_TIME):
    """Services without a heartbeat in the last seconds."""
    try:
        ages = {(row["binary"], row["host"]): row["age"] for row in services()}
    except machinery.LabError as exc:
        return str(exc)
    missing = []
    for node in lab.nodes:
        for binary, host in (("cinder-scheduler", node), ("cinder-volume", f"{node}@lab"), ("cinder-backup", node)):
            age = ages.get((binary, host))
            if age is None or age > limit:
                missing.append(f"{binary} on {node} {'was never up' if age is None else f'was up {age} s ago'}")
    return "; ".join(missing)


def request(lab, method, path, body=None):
    """The status and the content of an answer through the balancer."""
    return openstack.request(method, f"http://{lab.address('lb')}/v3/{PROJECT}/{path}", body,
                             x_auth_token=f"admin:{PROJECT}")[:2]


def no_volume(lab):
    """What goes wrong when a volume is created and deleted."""
    status, answer = request(lab, "POST", "volumes", {"volume": {"size": 1, "name": "lab"}})
    if status != 202:
        return f"POST answers {status}"
    path, deadline, state = f"volumes/{answer['volume']['id']}", time.monotonic() + 60, "creating"
    while time.monotonic() < deadline and state not in ("available", "error"):
        time.sleep(0.2)
        state = request(lab, "GET", path)[1].get("volume", {}).get("status")
    deleted = request(lab, "DELETE", path)[0]
    while time.monotonic() < deadline and request(lab, "GET", path)[0] != 404:
        time.sleep(0.2)
    return "" if (state, deleted, request(lab, "GET", path)[0]) == ("available", 202, 404) else (
        f"the volume was {state}, DELETE answered {deleted}")


class Plan(openstack.Plan):
    product = "cinder"
    nodes_are = "c"
    home = "/srv/cinder"
    units = ["cinder-api", "cinder-scheduler", "cinder-volume", "cinder-backup"]
    api = "cinder-api", 8776, "/healthcheck"
    path = f"/v3/{PROJECT}/"
    release = OFFERED[0]
    configuration = configuration
    create = "db", "sync"
    use = "no volume can be created and deleted"
    unusable = no_volume

    def services(self, machine):
        return ["rabbitmq-server.service"] if machine == "db" else []

    def files(self, machine):
        return super().files(machine) | (BROKER if machine == "db" else {})

    def not_up(self, limit=SERVICE_DOWN_TIME):
        return services_down(self, limit)

    def wait(self):
        # A heartbeat from before could be of a service that has ended since.
        begin = time.monotonic()
        machinery.wait_until(openstack.NOT_UP, lambda: self.not_up(min(SERVICE_DOWN_TIME, time.monotonic() - begin)),
                             openstack.START_LIMIT)
        self.serve()

    def told(self):
        try:
            seen = services()
        except machinery.LabError:
            seen = []
        beats = {}
        for row in seen:
            beats.setdefault(row["host"].partition("@")[0], []).append(
                f"{row['binary'].removeprefix('cinder-')} {row['age']} s")
        return "last heartbeats", {node: ", ".join(words) for node, words in beats.items()}

    def facts(self, options):
        counted = rows(dict(status="status", count="count"),
                       "(SELECT status, COUNT(*) AS count FROM volumes WHERE NOT deleted GROUP BY status) AS counted")
        seen = services()
        if not options.states:
            seen = [{name: value for name, value in row.items() if name != "age"} for row in seen]
        return super().facts(options) | dict(services=seen, volumes={row["status"]: row["count"] for row in counted})
