# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of MariaDB and of the migration."""

from __future__ import annotations

from rows import (
    REFUSED,
    ROLLED,
    Row,
    both,
    end_process,
    gateways,
    process_runs,
    publish,
    shell,
    step,
    until,
)

MIGRATING = process_runs('sf-1', 'ensure-mariadb-schema')
STOP = shell('db', 'systemctl stop mariadb')


def start(run):
    run.lab.shell('db', 'systemctl start mariadb')
    gateways('SERVING', 'sf-2')(run)
    until('all nodes but the one that is out of rotation are ready', lambda: all(map(run.lab.ready, ('sf-2', 'sf-3'))))


def restarted(*commands):
    """Restart MariaDB after these commands. What gateways say is of the new one once it has run for longer than they
    take from one look to the next (5 s): one that looked during the restart is NOT_SERVING until then."""
    def uptime(run):
        words = run.lab.execute('db', 'mariadb', '-BNe', "SHOW GLOBAL STATUS LIKE 'Uptime'", check=False).stdout.split()
        return int(words[1]) if len(words) > 1 else 0
    return both(shell('db', *commands, 'systemctl restart mariadb'),
                lambda run: until('MariaDB has run for 6 s', lambda: uptime(run) >= 6), gateways('SERVING'))


def claims(version):
    """MariaDB says that it is another version; it is restarted for it."""
    return restarted("printf '[mariadbd]\\nversion = %s\\n' >/etc/mysql/mariadb.conf.d/99-version.cnf" % version)


HONEST = restarted('rm /etc/mysql/mariadb.conf.d/99-version.cnf')
# The restarts of MariaDB are the row's doing: a write that meets one fails. Nothing else does.
WRITES = r'^(POST|GET) /api/lab/notes '

SECOND = """release=$(echo /srv/shakenfist/releases/0.8.1-*)
setsid sh -c "$release/bin/python $release/bin/sf-ctl ensure-mariadb-schema; echo rc=\\$?" >/tmp/second 2>&1 &"""


def second_migration(run):
    until('the second ensure-mariadb-schema has ended', lambda: 'rc=' in run.lab.shell('sf-2', 'cat /tmp/second'))
    said = run.lab.shell('sf-2', 'cat /tmp/second')
    wanted = ("Table 'notes' is up to date", 'MariaDB schema verified.', 'rc=0')
    return ['the second ensure-mariadb-schema did not say %r: %s' % (word, said) for word in wanted if word not in said]


ROWS = [
    Row('server-mysql-like', 'the database server is MySQL, or says so',
        inject=claims('8.0.36'), mend=HONEST, fails=WRITES,
        node='sf-1', cause=("the server is '8.0.36', which is not MariaDB",)),

    Row('server-too-old', 'the database server is too old',
        inject=claims('10.5.23-MariaDB'), mend=HONEST, fails=WRITES,
        node='sf-1', cause=("version is '10.5.23-MariaDB', at least 10.11.0 is needed",)),

    Row('server-latin1', 'the database has character set latin1',
        inject=shell('db', 'mariadb -e "ALTER DATABASE shakenfist CHARACTER SET latin1"'),
        mend=shell('db', 'mariadb -e "ALTER DATABASE shakenfist CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"'),
        node='sf-1', cause=("character_set_database is 'latin1', it must be 'utf8mb4'",
                            "collation_database is 'latin1_swedish_ci'")),

    Row('mariadb-down-before', 'MariaDB is down before the roll',
        inject=both(STOP, gateways('NOT_SERVING')), mend=start, fails='.', recovery=6,
        outcome=REFUSED, cause=('sf-1:', 'sf-2:', 'sf-3:', ':13005 is NOT_SERVING, expected SERVING')),

    Row('mariadb-down-while', 'MariaDB goes down while the schema is migrated', ci=True,
        prepare=publish('0.8.1', 'migration_slow'), moment=MIGRATING, inject=STOP, mend=start, fails='.', recovery=6,
        node='sf-1', cause=('(?i)lost connection|gone away|connect to MySQL', 'ensure-mariadb-schema')),

    Row('mariadb-down-after', 'MariaDB goes down after the migration, when the first gateway is restarted',
        moment=step('restart', 'sf-1'), inject=STOP, mend=start, fails='.', recovery=6,
        arguments=('-e', 'restart_timeout=20'),
        node='sf-1', cause=('sf-database', 'OUT OF ROTATION', 'Not touched: sf-2, sf-3')),

    Row('migration-killed-half-way', 'ensure-mariadb-schema is killed in the middle of its work',
        prepare=publish('0.8.1', 'migration_slow'), moment=MIGRATING,
        inject=end_process('sf-1', 'ensure-mariadb-schema'),
        node='sf-1', cause=('ensure-mariadb-schema', '(?i)kill|signal|-9|137')),

    Row('migration-fails-half-way', 'ensure-mariadb-schema of the release fails in the middle of its work',
        prepare=publish('0.8.1', 'migration_fails_halfway'), mend=publish('0.8.2'),
        again=('-e', 'rolling_release=0.8.2'), ends='0.8.2',
        node='sf-1', cause=('Widening ENUM columns failed',)),

    Row('two-migrations-at-once', 'somebody runs ensure-mariadb-schema at the same time',
        prepare=publish('0.8.1', 'migration_slow'), moment=MIGRATING, inject=shell('sf-2', SECOND),
        outcome=ROLLED, check=second_migration),
    # What a call meets in the moment of the stop, it meets now and then only; it is the warning that is asked for.
    Row('no-nft', 'a database node cannot lead clients away from its gateway',
        inject=shell('sf-1', 'mv /usr/sbin/nft /usr/sbin/nft.away'),
        mend=shell('sf-1', 'mv /usr/sbin/nft.away /usr/sbin/nft'),
        fails=r'/api/lab/notes 500', outcome=ROLLED,
        cause=('clients of .*:13005 are not led away before it stops', 'install the package nftables')),
]
