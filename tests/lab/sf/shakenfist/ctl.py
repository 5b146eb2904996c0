# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sf-ctl"""

from __future__ import annotations

import argparse
import sys

import pymysql

from shakenfist import config, mariadb, schema
from shakenfist._release import VERSION


def ensure_mariadb_schema():
    if not config.get('MARIADB_HOST'):
        raise schema.SchemaError(
            'This command needs MARIADB_HOST to be configured: it can be run only on database nodes.')
    connection = mariadb.connect()
    try:
        schema.ensure(connection, lambda line: print(line, flush=True))
    finally:
        connection.close()


def verify_config():
    missing = [key for key in ('NODE_NAME', 'NODE_MESH_IP', 'MARIADB_GATEWAY_HOSTS') if not config.get(key)]
    if missing:
        raise schema.SchemaError('Not configured: ' + ', '.join(missing))
    print('Configuration is ok')


def main():
    commands = {'ensure-mariadb-schema': ensure_mariadb_schema, 'verify-config': verify_config}
    parser = argparse.ArgumentParser(prog='sf-ctl')
    parser.add_argument('--version', action='version', version=VERSION)
    parser.add_argument('command', choices=sorted(commands))
    try:
        commands[parser.parse_args().command]()
    except (schema.SchemaError, pymysql.MySQLError) as e:
        print(f'Error: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
