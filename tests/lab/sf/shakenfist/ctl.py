# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sf-ctl"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from shakenfist import config
from shakenfist._release import VERSION
from shakenfist.traits import broken


class CtlError(Exception):
    pass


def ensure_mariadb_schema():
    import pymysql  # each start and stop of a daemon is a run of this program: it loads what it needs

    from shakenfist import mariadb, schema
    if not config.get('MARIADB_HOST'):
        raise CtlError('This command needs MARIADB_HOST to be configured: it can be run only on database nodes.')
    try:
        connection = mariadb.connect()
        try:
            schema.ensure(connection, lambda line: print(line, flush=True))
        finally:
            connection.close()
    except (schema.SchemaError, pymysql.MySQLError) as e:
        raise CtlError(e) from e


def verify_config():
    missing = [key for key in ('NODE_NAME', 'NODE_MESH_IP', 'MARIADB_GATEWAY_HOSTS') if not config.get(key)]
    if missing:
        raise CtlError('Not configured: ' + ', '.join(missing))
    print('Configuration is ok')


def stop(daemon):
    """What systemd calls before it signals: the daemon is marked as stopping, and asked to end."""
    from shakenfist import node
    node.set_daemon_state(node.caller(), daemon, 'stopping', timeout=node.LAST_WORDS)
    main_process = os.environ.get('MAINPID')
    if main_process:
        os.kill(int(main_process), signal.SIGTERM)


def clear_node_error():
    """Nothing else leads out of this state."""
    from shakenfist import node
    call, name = node.caller(), config.get('NODE_NAME')
    found = call('list_nodes')
    if found is None:
        raise CtlError('No gateway to the database answers.')
    state = next((each['state'] for each in found['nodes'] if each['name'] == name), 'unknown')
    if state != 'error':
        raise CtlError(f'{name} is not in error, but {state}.')
    node.set_state(call, 'created')
    call('reconcile_node', name=name)
    print(f'{name} is no longer in error')


def main():
    parser = argparse.ArgumentParser(prog='sf-ctl')
    parser.add_argument('--version', action='version', version=VERSION)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    commands.add_parser('ensure-mariadb-schema').set_defaults(do=ensure_mariadb_schema)
    commands.add_parser('verify-config').set_defaults(do=verify_config)
    commands.add_parser('clear-node-error').set_defaults(do=clear_node_error)
    command = commands.add_parser('stop')
    command.add_argument('daemon', help='without its sf-')
    command.set_defaults(do=stop)
    options = vars(parser.parse_args())
    do = options.pop('do')
    try:
        if broken('ctl_broken') and do is not ensure_mariadb_schema:
            raise CtlError('This release is broken on purpose: sf-ctl stops and starts no daemon.')
        do(**options)
    except CtlError as e:
        print(f'Error: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
