# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of the release before: the lab's store has it already."""

id = 'lswitch-mtu'
release = '4.0.0'
description = 'Networks have an MTU'
proposed_at = '2017-06-01 00:00:00'


def migration(nb_api):
    for key, switch in nb_api.items('lswitch'):
        nb_api.update('lswitch', key, dict(switch, mtu=1500))
