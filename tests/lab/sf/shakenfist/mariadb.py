# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to MariaDB, for sf-database and sf-ctl only."""

from __future__ import annotations

import pymysql

from shakenfist import config


def connect(timeout=None):
    return pymysql.connect(
        host=config.get('MARIADB_HOST'), port=int(config.get('MARIADB_PORT', '3306')),
        user=config.get('MARIADB_USER', 'shakenfist'), password=config.get('MARIADB_PASSWORD'),
        database=config.get('MARIADB_DATABASE', 'shakenfist'),
        autocommit=True, connect_timeout=3, read_timeout=timeout, write_timeout=timeout)


def query(connection, sql, args=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.fetchall()


def __getattr__(name):
    """The name by which Shaken Fist's own trees tell which schema they want; the schema itself imports this module."""
    if name != 'EXPECTED_SCHEMA_VERSIONS':
        raise AttributeError(name)
    from shakenfist.schema import EXPECTED
    return EXPECTED
