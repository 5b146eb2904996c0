#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: cinder_info
short_description: Ask Cinder's database what its services are, and wait for their heartbeats
version_added: 0.2.0
description:
  - Reads the configuration of a node of Cinder as Cinder does, and from the database what every service of the cloud
    says of itself, and what is in progress on this node.
  - Can wait until the services of this node have sent a heartbeat since they were stopped. That systemd calls a unit
    active proves nothing, a parent process of C(cinder-volume) lives on while its children fail. It also updates their
    records before it starts them, so that a heartbeat is only what Cinder has counted as one.
  - Can wait until nothing is in progress any more that was so for a while. Work that outlasts the graceful stop of a
    service would come to an error.
requirements:
  - The Python of Cinder's virtualenv, which has oslo.config, SQLAlchemy and the driver of the database
options:
  config:
    description: The files of Cinder's configuration.
    type: list
    elements: path
    default: [/etc/cinder/cinder.conf]
  services:
    description: The services of this node to wait for, such as V(cinder-volume). Those of each backend are meant.
    type: list
    elements: str
    default: []
  beat_since:
    description: Wait until each of O(services) has sent a heartbeat since then, in seconds since the epoch by the clock
      of this node. V(0) does not wait for that.
    type: float
    default: 0
  dead:
    description: The names in the database, such as V(c-1@lvm), of those of O(services) that need not send one, for
      example backends that were down before.
    type: list
    elements: str
    default: []
  idle:
    description: Wait until none of O(services) has something in progress that is older than O(work_age).
    type: bool
    default: false
  work_age:
    description: How old what is in progress may be, in seconds. There is always something new where many work with it.
    type: float
    default: 2
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.wait,
  shakenfist.rolling.options.guard]
"""

EXAMPLES = r"""
- name: Wait for a heartbeat of cinder-volume since it was stopped
  shakenfist.rolling.cinder_info:
    services: [cinder-volume]
    beat_since: 1763700000.2
    timeout: 60
  vars:
    ansible_python_interpreter: /srv/cinder/releases/24.5.0-0a1b2c3d/bin/python
"""

RETURN = r"""
settings:
  description: What a roll wants to know of the configuration. Times are in seconds. C(backends) has the name of each
    service of C(cinder-volume) in the database. C(shut) is whether C(disable_file) is there, which makes the health
    check of C(cinder-api) fail, and C(own) whether a run has made it, not an operator. C(address) is the one that
    C(cinder-api) listens on, empty if it listens on all. C(coupled) is whether volumes are only backed up by the
    C(cinder-backup) of their own host, C(backup_use_same_host).
  returned: if the database could be asked
  type: dict
  sample: {"host": "c-1", "backends": ["c-1@lvm"], "service_down_time": 60, "report_interval": 10,
    "graceful_shutdown_timeout": 60, "port": 8776, "address": "", "cluster": "",
    "coupled": false, "disable_file": "/etc/cinder/healthcheck_disable", "shut": false, "own": false}
services:
  description: Every service that the database has. C(age) is how many seconds ago, by the clock of the database, it
    sent its last heartbeat, and C(updated) the same by the clock of its node, in seconds since the epoch. C(here) is
    whether it is one of this node.
  returned: if the database could be asked
  type: list
  elements: dict
  sample: [{"binary": "cinder-volume", "host": "c-1@lvm", "here": true, "disabled": false, "reason": null,
    "age": 4.2, "updated": 1763700000, "rpc": "3.18", "object": "1.39"}]
work:
  description: What is in progress on this node. C(age) is for how many seconds.
  returned: if the database could be asked
  type: list
  elements: dict
  sample: [{"binary": "cinder-volume", "kind": "volume", "id": "6f1c5d1e-6b8c-4c4e-9a43-0c0d0e0f1a2b",
    "status": "creating", "age": 3.0}]
schema: {type: str, returned: if the database could be asked, description: The revision of the schema.}
waited:
  description: How long that took, in seconds.
  returned: if the database could be asked
  type: float
"""

import ipaddress
import math
import os
import socket
import sys
import time
import traceback
from datetime import timezone

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.shakenfist.rolling.plugins.module_utils import _readiness
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import read_ini
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.units_info import Guard

try:
    import sqlalchemy
    from oslo_config import cfg
    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

# Cinder's own defaults.
INTEGERS = dict(service_down_time=60, report_interval=10, graceful_shutdown_timeout=60)
PORT = 8776
SERVICES = ("SELECT `binary`, host, disabled, disabled_reason AS reason, rpc_current_version AS rpc, "
            "object_current_version AS object, report_count AS beats, updated_at FROM services WHERE NOT deleted "
            "ORDER BY `binary`, host")
# What ends only with the service that does it: by kind the service, and the status while it is so.
WORK = {
    "volume": ("cinder-volume", "SELECT id, status, host, COALESCE(updated_at, created_at) AS updated_at FROM volumes "
                                "WHERE NOT deleted AND status IN ('creating', 'downloading', 'managing', 'deleting', "
                                "'extending', 'uploading', 'retyping', 'reverting', 'restoring-backup')"),
    "snapshot": ("cinder-volume", "SELECT s.id, s.status, v.host, COALESCE(s.updated_at, s.created_at) AS updated_at "
                                  "FROM snapshots s JOIN volumes v ON s.volume_id = v.id "
                                  "WHERE NOT s.deleted AND s.status IN ('creating', 'deleting')"),
    "backup": ("cinder-backup", "SELECT id, status, host, COALESCE(updated_at, created_at) AS updated_at FROM backups "
                                "WHERE NOT deleted AND status IN ('creating', 'restoring', 'deleting')"),
}
INTERVAL = 0.25


def read_settings(files):
    """What a roll wants to know, and the URL of the database."""
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.IntOpt(name, default=default) for name, default in INTEGERS.items()])
    conf.register_opts([cfg.StrOpt("host", default=socket.gethostname()), cfg.ListOpt("enabled_backends", default=[]),
                        cfg.StrOpt("cluster"), cfg.StrOpt("api_paste_config", default="api-paste.ini"),
                        cfg.BoolOpt("backup_use_same_host", default=False),
                        # Others refer to these, as in osapi_volume_listen = $my_ip.
                        cfg.StrOpt("my_ip", default=""), cfg.StrOpt("state_path", default="/var/lib/cinder"),
                        cfg.StrOpt("osapi_volume_listen", default=""),
                        cfg.PortOpt("osapi_volume_listen_port", default=PORT)])
    conf.register_opt(cfg.StrOpt("connection", default="", secret=True), group="database")
    try:
        conf(args=[], project="cinder", default_config_files=files, default_config_dirs=[])
        found = {name: getattr(conf, name) for name in INTEGERS}
        backends = []
        for name in filter(None, conf.enabled_backends):
            conf.register_opt(cfg.StrOpt("backend_host"), group=name)
            backends.append(f"{conf[name].backend_host or conf.host}@{name}")
        found.update(host=conf.host, backends=backends, port=conf.osapi_volume_listen_port, cluster=conf.cluster or "",
                     coupled=conf.backup_use_same_host,
                     disable_file=disable_file(conf.find_file(conf.api_paste_config)))
        found["address"] = conf.osapi_volume_listen if is_own(conf.osapi_volume_listen) else ""
        found["shut"] = bool(found["disable_file"]) and os.path.lexists(found["disable_file"])
        found["own"] = _readiness.is_own_file(found["disable_file"])
        return found, conf.database.connection
    except cfg.ConfigFileParseError as exc:
        # Its own words quote the line, which may hold a password.
        line = exc.__context__
        raise RollingError(f"cannot read {exc.config_file}: line {line.lineno}: {line.msg}: correct that") from None
    except (cfg.Error, ValueError) as exc:
        raise RollingError(f"cannot read {', '.join(files)}: {exc}") from exc


def is_own(address):
    """Whether others reach a server at what it listens on: it is neither all of its addresses, nor the loopback."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_loopback)


def disable_file(path):
    """The file that makes the health check of the API fail; empty if it has none."""
    if not path:
        return ""
    paste = read_ini(path)
    for section in paste.sections():
        backends = paste.get(section, "backends", fallback="")
        if "healthcheck" in section.lower() and "disable_by_file" in backends:
            return paste.get(section, "disable_by_file_path", fallback="").strip()
    return ""


class Cinder:
    """The database of Cinder, and which of its services are those of this node."""

    def __init__(self, params, guard):
        self.params, self.guard = params, guard
        self.settings, url = read_settings(params["config"])
        if not url:
            raise RollingError(f"{', '.join(params['config'])} does not set connection in section database, so nobody "
                               "can be asked about the services: this is a node of no service of Cinder's")
        where = f"connection in section database of {', '.join(params['config'])}"
        try:
            self.place = sqlalchemy.engine.url.make_url(url)
            self.engine = sqlalchemy.create_engine(self.place, isolation_level="AUTOCOMMIT",
                                                   poolclass=sqlalchemy.pool.StaticPool)
        except ImportError as exc:
            raise RollingError(f"{where} needs a driver that {sys.executable} does not have: {exc}") from exc
        except (sqlalchemy.exc.ArgumentError, ValueError):
            # SQLAlchemy's own words may have the URL, with the password.
            raise RollingError(f"{where} is no URL of a database that SQLAlchemy knows: correct it") from None
        self.seen = {}
        # By service how many heartbeats it has sent, and how many it had at the first look.
        self.beats, self.before = {}, {}

    def rows(self, statement, **times):
        """The rows of a statement; C(times) are those of its columns that are moments."""
        try:
            with self.engine.connect() as connection:
                found = connection.execute(sqlalchemy.text(statement).columns(**times))
                return [dict(row._mapping) for row in found]
        except sqlalchemy.exc.SQLAlchemyError as exc:
            # SQLAlchemy's own words have the statement, and no password.
            raise RollingError(f"cannot ask the database {self.place.render_as_string()}: "
                               f"{str(getattr(exc, 'orig', None) or exc).strip()}") from exc

    def aged(self, statement):
        """Rows, each with how many seconds ago, by the clock of the database, it was updated, and when that was."""
        now = self.rows("SELECT UTC_TIMESTAMP() AS now", now=sqlalchemy.DateTime)[0]["now"]
        found = self.rows(statement, updated_at=sqlalchemy.DateTime)
        for row in found:
            moment = row.pop("updated_at")
            row["age"] = None if moment is None else (now - moment).total_seconds()
            row["updated"] = 0 if moment is None else moment.replace(tzinfo=timezone.utc).timestamp()
        return found

    def names(self, binary):
        """How a service of this node is called in the database: one name for each backend."""
        if binary == "cinder-volume" and self.settings["backends"]:
            return self.settings["backends"]
        return [self.settings["host"]]

    def is_here(self, binary, host):
        # A host of a volume goes on with its pool.
        return (host or "").partition("#")[0] in self.names(binary)

    def services(self):
        found = self.aged(SERVICES)
        for row in found:
            key = row["binary"], row["host"]
            self.beats[key] = row.pop("beats")
            self.before.setdefault(key, self.beats[key])
            row.update(here=self.is_here(row["binary"], row["host"]), disabled=bool(row["disabled"]))
        return found

    def work(self):
        return [dict(binary=binary, kind=kind, id=row["id"], status=row["status"], age=row["age"] or 0)
                for kind, (binary, statement) in WORK.items() for row in self.aged(statement)
                if self.is_here(binary, row["host"])]

    def silent(self):
        """The services to wait for that have sent no heartbeat since then."""
        # The database cuts a moment off at the second.
        since = math.ceil(self.params["beat_since"])
        late = []
        for binary in self.params["services"]:
            beats = {row["host"]: row["updated"] for row in self.seen["services"] if row["binary"] == binary
                     and self.beats[binary, row["host"]] != self.before[binary, row["host"]]}
            late += [f"{binary} on {name}" for name in self.names(binary)
                     if beats.get(name, 0) < since and name not in self.params["dead"]]
        return late

    def busy(self):
        return [one for one in self.seen["work"]
                if one["binary"] in self.params["services"] and one["age"] > self.params["work_age"]]

    def look(self):
        """Ask the database once; tell whether all is as expected."""
        self.guard.check()
        self.seen = dict(services=self.services(), work=self.work())
        return not (self.params["beat_since"] and self.silent() or self.params["idle"] and self.busy())

    def complaint(self):
        within = f"within {self.params['timeout']:g} s"
        if self.params["beat_since"] and self.silent():
            return f"expected a new heartbeat of {', '.join(self.silent())} in the database {within}; there is none"
        busy = ", ".join(f"{one['kind']} {one['id']} {one['status']} for {one['age']:g} s" for one in self.busy())
        return f"expected {' and '.join(self.params['services'])} to come to the end of its work {within}: {busy}"


def ask(module):
    begin, params = time.monotonic(), module.params
    cinder = Cinder(params, Guard(Systemd(module.run_command), params["up_since"]))
    good = wait_for(cinder.look, params["timeout"], INTERVAL)
    revision = cinder.rows("SELECT version_num FROM alembic_version")
    result = dict(settings=cinder.settings, **cinder.seen, schema=revision[0]["version_num"] if revision else "",
                  waited=round(time.monotonic() - begin, 3))
    if params["timeout"] and not good:
        raise RollingError(cinder.complaint(), **result)
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            config=dict(type="list", elements="path", default=["/etc/cinder/cinder.conf"]),
            services=dict(type="list", elements="str", default=[]),
            beat_since=dict(type="float", default=0),
            dead=dict(type="list", elements="str", default=[]),
            idle=dict(type="bool", default=False),
            work_age=dict(type="float", default=2),
            timeout=dict(type="float", default=0),
            up_since=dict(type="dict"),
        ),
        supports_check_mode=True,
    )
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("oslo.config and SQLAlchemy"), exception=IMPORT_ERROR)
    conclude(module, lambda: ask(module))


if __name__ == "__main__":
    main()
