# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""neutron-db-manage --config-file FILE upgrade heads|current: real tables in a real database. What MariaDB cannot roll
back it does not, so an upgrade that fails half-way leaves a half."""

import sys
import time

from neutron import database

# By revision, what leads to it; the last one of a release is its head.
STEPS = {
    'queens': ['CREATE TABLE ports (id VARCHAR(64) PRIMARY KEY, name VARCHAR(64), chassis VARCHAR(64), '
               'revision BIGINT NOT NULL DEFAULT 0)'],
    'rocky_expand': ['ALTER TABLE ports ADD COLUMN binding VARCHAR(255)',
                     'CREATE TABLE portbindings (port_id VARCHAR(64) PRIMARY KEY, host VARCHAR(64))'],
    'rocky': ['INSERT INTO portbindings SELECT id, chassis FROM ports', 'UPDATE ports SET binding = chassis',
              'ALTER TABLE ports DROP COLUMN chassis'],
}
HEADS = {'12.0.0': 'queens', '13.0.0': 'rocky'}


def main():
    words = [word for word in sys.argv[1:] if not word.startswith('--')]
    command = words[-1] if words[-1:] == ['current'] else ' '.join(words[-2:])
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute('CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)')
        cursor.execute('SELECT version_num FROM alembic_version')
        found = cursor.fetchone()
        current = found[0] if found else ''
        if command == 'current':
            print(current)
            return 0
        if command not in ('upgrade heads', 'upgrade head'):
            sys.exit(__doc__)
        revisions = list(STEPS)
        head = HEADS[database.VERSION]
        if current and revisions.index(current) > revisions.index(head):
            # Alembic: Can't locate revision identified by ...
            sys.exit(f"FAILED: Can't locate revision identified by '{current}'")
        for revision in revisions[revisions.index(current) + 1 if current else 0:revisions.index(head) + 1]:
            print(f'INFO  [alembic.runtime.migration] Running upgrade {current} -> {revision}', flush=True)
            for number, statement in enumerate(STEPS[revision]):
                between = revision == 'rocky_expand' and number == 1
                if between and 'neutron-migration-fails' in database.TRAITS:
                    raise RuntimeError('broken for a test: the second statement of this migration fails')
                if between and 'slow-neutron-migration' in database.TRAITS:
                    time.sleep(10)
                cursor.execute(statement)
            cursor.execute('DELETE FROM alembic_version')
            cursor.execute('INSERT INTO alembic_version VALUES (%s)', (revision,))
            connection.commit()
            current = revision
    print(f'OK {current}')
    return 0
