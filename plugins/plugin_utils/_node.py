# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What a node is: made from what three modules have seen of it, published as the fact cluster_node.

import re

from ansible.module_utils.common.validation import check_type_list
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import plain_host
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import drain_grace
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import keys

SUDO = ". Let the ssh user run sudo without a password on that node, or pass --ask-become-pass"
SETTINGS = ("NODE_NAME", "NODE_MESH_IP", "MARIADB_GATEWAY_HOSTS", "MARIADB_GATEWAY_PORT", "API_DRAIN_GRACE")
CREDENTIALS = "MARIADB_HOST"
# What a unit has on its command line of how long it drains.
GRACE = ["--graceful-timeout"]


def reason(words):
    """Why a node could not be looked at, with the fix where it is known."""
    words = re.sub("(Task|Module|Action) failed: ", "", words)
    return words + SUDO if re.search("(?i)sudo", words) else words


def config_question(product):
    """The arguments of the module C(config_info)."""
    return dict(path=product["config"], prefix=product["config_prefix"], keys=list(SETTINGS),
                presence=[CREDENTIALS, *keys(product["distribution"])["settings"]],
                # One address for each gateway: by their names, nobody would know which node's they are.
                hosts="MARIADB_GATEWAY_HOSTS", own="NODE_MESH_IP")


def releases_question(product):
    """The arguments of the module C(release_info)."""
    return dict(path=product["venv"], releases=product["releases"], distribution=product["distribution"],
                commands=product["commands"], deployer_mark=product["deployer_mark"])


def units_question(product):
    """The arguments of the module C(units_info)."""
    return dict(patterns=product["units"], exclude=product["units_ignored"], arguments=GRACE)


def stops_question(product):
    """The same, for the one unit of which the journal is to tell how its stops went."""
    return dict(patterns=[product["api_unit"]], arguments=GRACE, stops=[product["api_unit"]])


def names(units):
    """Names as a list, converted as by an argument spec; -e restart_units=sf-net,sf-queues is a text."""
    return check_type_list(units) if units else []


def behind(units, active, since=0, since_units=(), alone=()):
    """The daemons that do not run, or have not been started since the release is active and since a moment."""
    def is_old(name, unit):
        # No start of its main process is known: it is taken for old.
        started = unit["started"] or 0
        asked = not since_units or name in since_units
        return started < float(active or 0) or asked and started < float(since or 0)

    managed = {name: unit for name, unit in units.items() if unit["managed"]}
    down = [name for name, unit in managed.items() if not unit["active"]]
    old = [name for name, unit in managed.items() if name not in down and name not in alone and is_old(name, unit)]
    return down + old


def netloc(host, port):
    """Host and port as a URL has them."""
    host = plain_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def what_it_is(product, name, address, config, releases, units):
    """The fact C(cluster_node).

    :arg product: the defaults of role cluster, by their names without the prefix.
    :arg name: the name in the inventory, for a node whose configuration has none, and C(address) the same.
    :arg config, releases, units: what the modules C(config_info), C(release_info) and C(units_info) have returned.
    """
    settings, active = config["settings"], releases["active"]
    address = plain_host(settings.get("NODE_MESH_IP", address))
    port = settings.get("MARIADB_GATEWAY_PORT", product["gateway_port"])
    url = f"http://{netloc(address, product['api_port'])}"
    api_unit = units["units"].get(product["api_unit"], {})
    grace = drain_grace(settings.get("API_DRAIN_GRACE", ""), product["drain_grace"], api_unit)
    managed = [unit for unit, state in units["units"].items() if state["managed"]]
    same = ("config", "config_prefix", "credentials", "venv", "releases", "distribution", "api_unit", "database_unit",
            "schema_versions", "restart_order")
    return dict(
        {key: product[key] for key in same},
        name=settings.get("NODE_NAME", name),
        address=address,
        api_url=url,
        ready_url=url + product["ready_path"],
        drain_grace=grace["seconds"],
        drain_grace_source=grace["source"],
        gateway=netloc(address, port),
        gateways=[netloc(host, port) for host in config["addresses"]],
        has_database_credentials=config["present"][CREDENTIALS],
        present=config["present"],
        spelt=config["spelt"],
        release=active,
        # Nodes of one kind can share what pip resolves.
        kind=f"{'.'.join(active.get('python', '').split('.')[:2])} {active.get('platform', '')}",
        staged=releases["staged"],
        builds=releases["builds"],
        rewritten=releases["rewritten"],
        deployer=releases["deployer"],
        previous=releases.get("previous") or {},
        problem=releases["problem"],
        units=units["units"],
        sentinels=[unit for unit in product["sentinels"] if unit in managed],
        # The daemons that somebody wants to run, and those of them that do not, or not since the release is active.
        daemons=managed,
        behind=behind(units["units"], active.get("since", 0), product["since"], product["since_units"],
                      product["sentinels"] if product["sentinels_alone"] else ()),
    )
