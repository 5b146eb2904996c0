# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

NOBODY = ("drain_tell_first is true, but no balancer is set that could be told: set drain_haproxy_address, "
          "balancer_nginx_hosts or balancer_apache_url, or hook_before_drain to tasks of your own that tell it")
SOCKET = "set it to a stats socket of level admin, HOST:PORT or a path"
NO_ADDRESS = f"drain_haproxy_set is true, but drain_haproxy_address is empty: {SOCKET}"
ONLY_READ = "%s is true, but drain_haproxy_address is a statistics page, which can only be read: " + SOCKET


def _problem(tell_first, haproxy_set, address, others):
    if haproxy_set and not address:
        return NO_ADDRESS
    if tell_first and not (address or others):
        return NOBODY
    if (tell_first or haproxy_set) and "://" in address:
        return ONLY_READ % ("drain_haproxy_set" if haproxy_set else "drain_tell_first")
    return ""


def drain_balancers(settings):
    """Which balancers are told before a node is stopped, and whether that leaves no request in flight.

    nginx and Apache are always told where they are set, HAProxy where it shall be. What a hook of the operator's does
    is not known, so it counts only where the operator says so, with C(tell_first).
    """
    tell_first, haproxy_set = settings["tell_first"], settings["haproxy_set"]
    address, hook = settings["haproxy_address"], settings["hook"]
    # Whether each balancer that is set is told, and its requests are waited for.
    waited = [float(settings[f"{kind}_sessions_timeout"]) > 0 for kind in ("nginx", "apache") if settings[kind]]
    haproxy = bool(address) and (tell_first or haproxy_set)
    told = ([haproxy] if address else []) + waited + ([True] if hook and tell_first else [])
    return {"haproxy": haproxy, "told": bool(told) and all(told),
            "problem": _problem(tell_first, haproxy_set, address, waited or hook)}


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"drain_balancers": drain_balancers}
