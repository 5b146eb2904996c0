# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects that move to a table of their own."""

id = 'secgroup-rules'
release = '5.0.0'
description = 'The rules of a security group become objects'
proposed_at = '2018-05-20 00:00:00'


def migration(nb_api):
    for key, group in nb_api.items('secgroup'):
        for rule in group.pop('rules'):
            nb_api.create('secgrouprule', rule['id'], dict(rule, security_group=key, version=1))
        nb_api.update('secgroup', key, group)
