# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sf-database: the gateway to MariaDB. JSON over gRPC, and the standard health service with an empty service name."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc
import pymysql
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from shakenfist import config, mariadb, node, process, schema
from shakenfist._release import SCHEMA, VERSION
from shakenfist.traits import broken

SERVICE = 'shakenfist.Database'
POLL = 10
STOP_GRACE = 10
LEASE = 60
MISSING_AFTER = 300

_local = threading.local()


def run(sql, args=()):
    """One statement on this thread's connection, once more on a fresh one if the connection has gone."""
    for last in (False, True):
        try:
            if not getattr(_local, 'connection', None):
                _local.connection = mariadb.connect(timeout=10)
            with _local.connection.cursor() as cursor:
                affected = cursor.execute(sql, args)
                return affected, cursor.fetchall()
        except (pymysql.OperationalError, pymysql.InterfaceError):
            _local.connection = None
            if last:
                raise


def write_note(r):
    run('INSERT INTO notes (id, text) VALUES (%s, %s) ON DUPLICATE KEY UPDATE text = VALUES(text)',
        (r['id'], r['text']))
    return {'id': r['id']}


def list_notes(r):
    return {'ids': [row[0] for row in run('SELECT id FROM notes')[1]]}


def see_node(r):
    run('INSERT INTO nodes (name, ip, lastseen, `release`, is_hypervisor, is_network_node, is_database_node)'
        ' VALUES (%s, %s, UNIX_TIMESTAMP(NOW(6)) - %s, %s, %s, %s, %s)'
        ' ON DUPLICATE KEY UPDATE ip = VALUES(ip), lastseen = VALUES(lastseen), `release` = VALUES(`release`),'
        ' is_hypervisor = VALUES(is_hypervisor), is_network_node = VALUES(is_network_node),'
        ' is_database_node = VALUES(is_database_node)',
        (r['name'], r['ip'], r.get('age', 0), r['release'], r.get('is_hypervisor', False),
         r.get('is_network_node', False), r.get('is_database_node', False)))
    run("INSERT IGNORE INTO object_states VALUES ('node', %s, 'initial')", (r['name'],))
    return {}


def set_node_state(r):
    run("REPLACE INTO object_states VALUES ('node', %s, %s)", (r['name'], r['state']))
    return {}


def set_daemon_state(r):
    run('REPLACE INTO daemon_states VALUES (%s, %s, %s)', (r['name'], r['daemon'], 'daemon-' + r['state']))
    return {}


def reconcile_node(r):
    """Created and degraded follow from the daemons; from no other state does this lead back."""
    run("UPDATE object_states SET state ="
        " IF(EXISTS (SELECT 1 FROM daemon_states WHERE node = object_name AND state != 'daemon-running'),"
        " 'degraded', 'created')"
        " WHERE object_type = 'node' AND object_name = %s AND state IN ('created', 'degraded')", (r['name'],))
    return {}


def list_nodes(r):
    rows = run('SELECT n.name, n.ip, s.state, n.lastseen, n.`release`, n.is_hypervisor, n.is_network_node,'
               ' n.is_database_node, l.holder IS NOT NULL'
               " FROM nodes n JOIN object_states s ON s.object_type = 'node' AND s.object_name = n.name"
               " LEFT JOIN leases l ON l.name = 'cluster' AND l.holder = n.name AND l.expires > NOW(6)"
               ' ORDER BY n.name')[1]
    keys = ('name', 'ip', 'state', 'lastseen', 'release')
    flags = ('is_hypervisor', 'is_network_node', 'is_database_node', 'is_cluster_maintainer')
    nodes = {row[0]: dict(zip(keys, row)) | dict(zip(flags, map(bool, row[5:]))) | {'is_etcd_master': False}
             for row in rows}
    for name, daemon, state in run('SELECT node, daemon, state FROM daemon_states ORDER BY node, daemon')[1]:
        if name in nodes:
            nodes[name][f'daemon-{daemon}-state'] = state
    return {'nodes': list(nodes.values())}


def mark_missing(r):
    """Those that have not been seen for long, and those that are back."""
    run("UPDATE object_states s JOIN nodes n ON s.object_type = 'node' AND s.object_name = n.name"
        " SET s.state = IF(n.lastseen < UNIX_TIMESTAMP(NOW(6)) - %s, 'missing', IF(s.state = 'missing', 'created',"
        " s.state)) WHERE s.state IN ('created', 'degraded', 'missing')", (MISSING_AFTER,))
    return {}


def acquire_lease(r):
    run('INSERT IGNORE INTO leases VALUES (%s, %s, NOW(6))', (r['name'], r['holder']))
    run('UPDATE leases SET holder = %s, expires = NOW(6) + INTERVAL %s SECOND'
        ' WHERE name = %s AND (holder = %s OR expires <= NOW(6))', (r['holder'], LEASE, r['name'], r['holder']))
    return {'holder': run('SELECT holder FROM leases WHERE name = %s', (r['name'],))[1][0][0]}


def release_lease(r):
    run('DELETE FROM leases WHERE name = %s AND holder = %s', (r['name'], r['holder']))
    return {}


def set_colour(r):
    run('UPDATE notes SET colour = %s WHERE id = %s', (r['colour'], r['id']))
    run("REPLACE INTO object_states VALUES ('note', %s, 'coloured')", (r['id'],))
    return {}


def list_colours(r):
    return {'colours': dict(run('SELECT id, colour FROM notes WHERE colour IS NOT NULL')[1])}


METHODS = [write_note, list_notes, see_node, set_node_state, set_daemon_state, reconcile_node, list_nodes, mark_missing,
           acquire_lease, release_lease]
if SCHEMA >= 2:
    # An older sf-database answers these with UNIMPLEMENTED.
    METHODS += [set_colour, list_colours]


def say(state):
    """The gateway's own daemon state needs no gateway. None where it could not be written."""
    try:
        return set_daemon_state({'name': config.get('NODE_NAME'), 'daemon': 'database', 'state': state})
    except pymysql.MySQLError as e:
        process.log(f'MariaDB: {e}')
        return None


def handler(method):
    def handle(request, context):
        try:
            return method(request)
        except (pymysql.OperationalError, pymysql.InterfaceError) as e:
            context.abort(grpc.StatusCode.UNAVAILABLE, f'MariaDB: {e}')
        except Exception as e:  # noqa: BLE001, the caller is told
            process.log(f'{method.__name__}: {e!r}')
            context.abort(grpc.StatusCode.INTERNAL, repr(e))

    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=json.loads, response_serializer=lambda m: json.dumps(m).encode())


def main():
    stop = process.setup('sf-database')
    if broken('database_does_not_start'):
        process.log('This release is broken on purpose: sf-database does not start.')
        return 1
    try:
        connection = mariadb.connect()
        schema.verify(connection)
        connection.close()
    except (schema.SchemaError, pymysql.MySQLError) as e:
        process.log(f'sf-database {VERSION}: {e}')
        return 1

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=[
        ('grpc.so_reuseport', 0), ('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        SERVICE, {m.__name__: handler(m) for m in METHODS})])
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port('0.0.0.0:' + config.get('MARIADB_GATEWAY_PORT', '13005'))

    state = {}

    def poll():
        try:
            # A connection of its own, with a short timeout: a MariaDB that hangs is not reachable either.
            connection = mariadb.connect(timeout=3)
            mariadb.query(connection, 'SELECT 1')
            connection.close()
            status = health_pb2.HealthCheckResponse.SERVING
        except pymysql.MySQLError as e:
            process.log(f'MariaDB: {e}')
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        if broken('database_not_serving'):
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        if status != state.get('status'):
            process.log('health is ' + health_pb2.HealthCheckResponse.ServingStatus.Name(status))
        state['status'] = status
        servicer.set('', status)
        if status == health_pb2.HealthCheckResponse.SERVING:
            running()

    running = node.Until(lambda: say('running'))
    poll()
    server.start()
    process.log(f'sf-database {VERSION} is up')
    if broken('database_dies_after_5s'):
        threading.Thread(target=lambda: (time.sleep(5), os._exit(1)), daemon=True).start()
    process.wait(stop, POLL, poll)

    say('stopping')
    servicer.enter_graceful_shutdown()
    server.stop(STOP_GRACE).wait()
    say('stopped')
    return 0


if __name__ == '__main__':
    sys.exit(main())
