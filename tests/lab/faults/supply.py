# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the package index, the disk, and what else staging needs."""

from __future__ import annotations

import lab
from rows import REFUSED, STOPPED, Row, clear_disk, fill_disk, publish, shell, small_disk, step


def corrupt(version):
    """What lies on the index is no longer what its page says."""
    def act(run):
        wheel, = (lab.INDEX / 'wheels').glob('shakenfist-%s-*.whl' % version)
        content = wheel.read_bytes()
        wheel.write_bytes(content[:-100] + bytes(100))
    return act


STAGING = step('stage')

ROWS = [
    Row('index-unreachable', 'the package index does not answer', ci=True,
        inject=shell('db', 'systemctl stop lab-index'), mend=shell('db', 'systemctl start lab-index'),
        outcome=REFUSED, cause=('cannot resolve shakenfist 0.8.1', 'the index that pip uses on sf-1')),

    Row('wheel-corrupt', 'the wheel on the index is damaged',
        inject=corrupt('0.8.1'), mend=publish('0.8.1'),
        outcome=REFUSED, cause=('shakenfist', '(?i)hash', 'sf-1')),

    Row('hash-differs', 'while it stages, the index begins to serve another wheel of the same version',
        moment=STAGING, inject=publish('0.8.1', 'unit_fails'), mend=publish('0.8.1'),
        outcome=(STOPPED, REFUSED), cause=('sf-[123]', '(?i)sha256|hash|digest')),

    Row('disk-full-while-staging', 'the disk of a node is full while it stages',
        prepare=small_disk('sf-2'), moment=STAGING, inject=fill_disk('sf-2'), mend=clear_disk('sf-2'),
        outcome=(STOPPED, REFUSED), node='sf-2', cause=('No space left on device',)),

    Row('virtualenv-read-only', 'the file system of the virtualenv is read-only',
        inject=shell('sf-3', 'mount -o remount,bind,ro /srv/shakenfist'),
        mend=shell('sf-3', 'mount -o remount,bind,rw /srv/shakenfist'),
        outcome=(REFUSED, STOPPED), node='sf-3', cause=('(?i)read-only',)),
]
