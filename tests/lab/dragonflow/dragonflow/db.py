# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""df-db: ls, dump TABLE, get TABLE KEY."""

import json
import sys

from dragonflow import store


def main():
    words, found = sys.argv[1:], store.Store()
    if words[:1] == ['ls']:
        print('\n'.join(found.tables()))
    elif words[:1] == ['dump'] and len(words) == 2:
        print(json.dumps(found.table(words[1]), indent=1, sort_keys=True))
    elif words[:1] == ['get'] and len(words) == 3:
        print(json.dumps(found.get(*words[1:]), indent=1, sort_keys=True))
    else:
        sys.exit(__doc__)
