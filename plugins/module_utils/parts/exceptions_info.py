# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import os

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

ARGUMENTS = dict(path=dict(type="path", required=True), since=dict(type="float", required=True))
AT_MOST = 20


def new_files(path, since):
    """The names of the files that were changed after a moment, the newest first."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    changed = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue  # cleaned up meanwhile
                if changed > since and not entry.is_dir(follow_symlinks=False):
                    found.append((changed, entry.name))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise RollingError(f"cannot look for exceptions in {path}: {exc.strerror}. It must be a directory that root "
                           f"can read: ls -ld {path}") from exc
    return [name for dummy, name in sorted(found, reverse=True)]


def look(path, since):
    files = new_files(path, since)
    return dict(files=files[:AT_MOST], count=len(files))


def run(module):
    return look(**module.params)
