# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dragonflow-status upgrade check: 0 is ready, 1 a warning, 2 not ready."""

import sys

from dragonflow import store


def main():
    if sys.argv[1:] != ['upgrade', 'check']:
        sys.exit(__doc__)
    tables = store.Store().tables()
    ready = 'lport' in tables
    print(f'Check: the north-bound database has {len(tables)} tables\nResult: {"Success" if ready else "Failure"}')
    return 0 if ready else 2
