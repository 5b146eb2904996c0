# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A field that is renamed. It needs the one before, and is needed by nobody."""

id = 'lport-binding'
release = '5.0.0'
description = 'The chassis of a port becomes its binding'
proposed_at = '2018-03-01 12:00:00'


def migration(nb_api):
    for key, port in nb_api.items('lport'):
        if 'mtu' not in port:
            raise ValueError(f'{key} has no mtu: the migration before this one has not run')
        chassis = port.pop('chassis')
        if not chassis:
            raise ValueError(f'{key} is bound to no chassis')
        nb_api.update('lport', key, dict(port, binding=dict(type='chassis', chassis=chassis)))
