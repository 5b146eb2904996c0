# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._lock import broken, describe, ran_out, read, told

ARGUMENTS = dict(path=dict(type="path", required=True), takeover=dict(type="bool", default=False))


def run(module):
    path, now = module.params["path"], time.time()
    lock = read(path)
    words = describe(lock, now) if lock else "nobody" if lock is None else f"{path} cannot be read: nobody knows who"
    if lock and lock.get("request"):
        words += f". It is to {lock['request']['want']}: {told(lock['request'], now)['words']}"
    over = bool(lock) and ran_out(lock, now)
    return dict(lock=lock, ran_out=over, gone=False, words=words,
                broken=broken(lock, over or module.params["takeover"]))
