# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only the release before has it, and nobody has applied it: an upgrade runs the migrations of the new release."""

id = 'never-applied'
release = '4.0.0'
description = 'Nobody is to run this one'
proposed_at = '2017-07-01 00:00:00'


def migration(nb_api):
    for key in list(nb_api.ids('lport')):
        nb_api.delete('lport', key)
