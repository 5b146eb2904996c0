# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from urllib.parse import urlsplit


def unseen_nodes(nodes, addresses, like):
    """What the API tells of nodes of the inventory that this run may not look at, with the ports of one that it may."""
    if not like:
        return {}
    url, gateway_port = urlsplit(like["ready_url"]), like["gateway"].rpartition(":")[2]
    found = {}
    for name, address in addresses.items():
        for node in nodes:
            if node["state"] != "deleted" and (node["name"] == name or node["ip"] == address):
                found[name] = {
                    "name": node["name"],
                    "address": node["ip"],
                    "ready_url": url._replace(netloc=f"{node['ip']}:{url.port}").geturl(),
                    "gateway": f"{node['ip']}:{gateway_port}",
                    "version": node["release"],
                }
    return found


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"unseen_nodes": unseen_nodes}
