# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration: the environment first (systemd's EnvironmentFile), then /etc/sf/config, with or without the prefix."""

from __future__ import annotations

import os


def _from_file():
    values = {}
    try:
        with open(os.environ.get('SF_CONFIG', '/etc/sf/config'), encoding='utf-8') as f:
            for line in f:
                key, equals, value = line.strip().partition('=')
                if equals and not key.startswith('#'):
                    value = value.strip()
                    if len(value) > 1 and value[0] == value[-1] and value[0] in '"\'':
                        value = value[1:-1]
                    values[key.strip()] = value
    except OSError:
        pass  # not on a node, or not allowed to read it
    return values


_FILE = _from_file()


def get(key, default=''):
    for source in (os.environ, _FILE):
        for name in ('SHAKENFIST_' + key, key):
            if name in source:
                return source[name]
    return default


def flag(key):
    return get(key).lower() in ('1', 'true', 'yes', 'on')


def gateways():
    port = get('MARIADB_GATEWAY_PORT', '13005')
    return [f'{host.strip()}:{port}' for host in get('MARIADB_GATEWAY_HOSTS').split(',') if host.strip()]
