# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a lab is still as it was: everything that a test could have left behind, seen from outside."""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import time

import lab as machinery

# Of the product's units a new run counts, for it is what the collection must not cause; of others only their state.
# Left out are the connections of ssh, what runs this script, and what Python compiles.
SHOW = r"""echo '# containers and mounts'
awk '{ print $4, $5, $6 }' /proc/1/mountinfo
ip -brief address
ip route
echo '# units'
systemctl list-units --plain --no-legend --type=service,socket,timer --state=active,failed,activating,deactivating |
  awk '$1 !~ /^(user@|user-runtime-dir@|systemd-tmpfiles-clean)/ { print $1, $3, $4 }'
systemctl show --property=Id,InvocationID,ActiveState,NRestarts '%(units)s'
echo '# processes'
ps -e -o pid=,ppid=,args= |
  awk -v own=$$ '$1 != own && $2 != own && $3 !~ /^(sshd:|ps$|awk$)/ { $1 = $2 = ""; print }' | sort
echo '# files'
ls -A --ignore=motd.dynamic /tmp /var/tmp /run /mnt /srv
find /etc /home /lab /opt /root %(home)s /usr/local /usr/lib/systemd \
  \( -name __pycache__ -o -path '*/.ansible' \) -prune -o -printf '%%p %%y %%m %%u %%g %%l\n' | sort
find /etc /home /lab /opt /root %(home)s /usr/local \
  \( -name __pycache__ -o -path '*/.ansible' \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
"""
TABLES = """mariadb-dump --no-data --skip-comments %(name)s | sed 's/ AUTO_INCREMENT=[0-9]*//'
show() { mariadb --batch --skip-column-names --execute "$1" %(name)s; }
show 'SELECT @@version'
show "SELECT * FROM information_schema.schemata WHERE schema_name = '%(name)s'"
for table in $(show 'SHOW TABLES'); do
  case $table in
    %(load)s) ;;
    %(beats)s) show '%(beat)s' ;;
    *) show "SELECT '$table', t.* FROM $table AS t" ;;
  esac
done
"""
# Of each product: the tables in which the load writes, or that change by themselves, and the one with the time at which
# somebody was seen, of which the rest is shown.
PRODUCTS = {
    "shakenfist": dict(units="sf-*.service", home="/srv/shakenfist", load="notes | leases", beats="nodes",
                       beat="SELECT name, ip, `release` FROM nodes"),
    # A volume that was deleted leaves its rows behind.
    "cinder": dict(units="cinder-*.service", home="/srv/cinder",
                   load="volumes | volume_* | quota_usages | reservations | workers", beats="services",
                   beat="SELECT `binary`, host, disabled, disabled_reason, rpc_current_version, deleted FROM services"),
    # Neutron changes the revisions of its ports all the time.
    "dragonflow": dict(units="*df-* neutron-server*", home="/srv/dragonflow", load="nothing", beats="ports",
                       beat="SELECT id FROM ports"),
}


def seen(machine, product="shakenfist"):
    """The lines that say what a machine is."""
    of = dict(PRODUCTS[product], name=product)
    ran = machinery.podman("inspect", "--format", "{{.Id}} {{.State.Running}} {{.State.StartedAt}}",
                           f"{machinery.PREFIX}{machine}", check=False)
    script = SHOW % of + (f"echo '# database'\n{TABLES % of}" if machine == "db" else "")
    shown = machinery.execute(machine, "bash", "-euo", "pipefail", "-c", script, check=False, timeout=60)
    # What could not be looked at is never the same.
    lines = shown.stdout.splitlines() if shown.returncode == 0 else [f"not seen at {time.time()}"]
    return [ran.stdout.strip(), *lines]


def offered():
    """The package index."""
    return [f"{path.relative_to(machinery.INDEX)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(machinery.INDEX.rglob("*")) if path.is_file()]


def state():
    plan = machinery.load()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return {**dict(zip(plan.machines, pool.map(lambda machine: seen(machine, plan.product), plan.machines))),
                "index": offered()}


def differences(before, now):
    """One line for each thing that is not as it was."""
    result = []
    for name in before:
        was, is_now = collections.Counter(before[name]), collections.Counter(now.get(name, []))
        result += [f"{name}: gone: {line}" for line in was - is_now] + [f"{name}: new: {line}" for line in is_now - was]
    return result


def changed(before, limit=6.0):
    """What of a lab is not as it was; it is given some seconds to become so, for processes come and go."""
    deadline = time.monotonic() + limit
    while True:
        found = differences(before, state())
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
