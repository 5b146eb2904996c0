# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new field. It is the first one by proposed_at, and not by the name of its file."""

id = 'lport-mtu'
release = '5.0.0'
description = 'Ports have the MTU of their network, less what their chassis needs for its tunnels'
proposed_at = '2018-01-10 09:00:00'


def migration(nb_api):
    for key, port in nb_api.items('lport'):
        mtu = nb_api.get('lswitch', port['lswitch'])['mtu']
        # The field as it is before the migration that comes next.
        chassis = nb_api.get('chassis', port['chassis']) if port.get('chassis') else {}
        nb_api.update('lport', key, dict(port, mtu=mtu - chassis.get('overhead', 0)))
