# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which balancers a roll tells, from the variables that name them.

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


def true(value):
    """Whether a value of the command line, which may be text, is true."""
    return str(value).strip().lower() in ("true", "yes", "on", "1", "y", "t")


def balancers_of(values):
    """What C(drain_balancers) needs of what is set, by name."""
    timeout = values.get("drain_timeout", 90)
    return dict(
        tell_first=true(values.get("drain_tell_first", False)),
        haproxy_set=true(values.get("drain_haproxy_set", False)),
        haproxy_address=values.get("drain_haproxy_address", ""),
        nginx=values.get("balancer_nginx_hosts", []),
        nginx_sessions_timeout=values.get("balancer_nginx_sessions_timeout", timeout),
        apache=values.get("balancer_apache_url", ""),
        apache_sessions_timeout=values.get("balancer_apache_sessions_timeout", timeout),
        hook=values.get("hook_before_drain", ""),
    )
