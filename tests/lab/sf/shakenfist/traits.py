# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways in which a release of the lab may be broken; build.py bakes their names into a wheel."""

from __future__ import annotations

from shakenfist._release import TRAITS

KNOWN = {
    'database_does_not_start': 'sf-database exits 1 before it says READY',
    'database_dies_after_5s': 'sf-database exits 1 five seconds after it said READY',
    'database_not_serving': 'sf-database answers RPCs, its health never says SERVING',
    'api_never_ready': 'no worker of sf-api ever turns ready',
    'api_flaps': 'every worker of sf-api is ready for 4 s, not ready for 4 s, and so on',
    'api_one_worker_never_ready': 'the first worker of sf-api never turns ready, the others do',
    'api_ignores_sigterm': 'sf-api goes on as if nothing had been said, until systemd kills it',
    'api_ends_without_drain': 'sf-api ends at once on SIGTERM: /readyz goes from 200 to connection refused',
    'ctl_broken': 'sf-ctl exits 1 whenever a daemon is started or stopped',
    'sentinel_last_leaves_the_state': 'as in older trees: the start of sf-sentinel-last does not set the node created',
    'sentinels_end_late': 'the sentinels look whether they are to end between two reports only, so after up to 15 s',
    'unit_fails': 'sf-net exits 1 before it says READY',
    'migration_slow': 'ensure-mariadb-schema takes 20 s longer, in the middle of its work',
    'migration_fails_halfway': 'ensure-mariadb-schema fails after the tables, before the ENUM columns',
}


def broken(trait):
    assert trait in KNOWN, trait
    return trait in TRAITS
