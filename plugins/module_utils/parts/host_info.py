# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import os
import pathlib
import shlex
import stat
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, size

ARGUMENTS = dict(
    path=dict(type="path", required=True),
    releases=dict(type="path", required=True),
    reference=dict(type="float"),
    commands=dict(type="list", elements="str", default=[]),
    directories=dict(type="list", elements="path", default=[]),
)


def nearest(path):
    """The path, or the nearest directory above it that is there."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def owner_and_mode(path):
    found = os.stat(path)
    return found.st_uid, stat.S_IMODE(found.st_mode)


def upwards(path):
    """The path and all directories above it."""
    return [path, *map(str, pathlib.PurePath(path).parents)]


def unsafe(path, releases):
    """Which directories somebody else than root can change, one sentence for each fault."""
    # With links on the way, both the directories that hold them and those that they lead to count.
    chain = [*upwards(os.path.realpath(releases)), *map(os.path.realpath, upwards(os.path.abspath(releases)))]
    words = []
    for directory in dict.fromkeys([*chain, os.path.realpath(path)]):
        if not os.path.isdir(directory):
            continue
        owner, mode = owner_and_mode(directory)
        if owner != 0:
            words.append(f"{directory} is owned by uid {owner}: chown root: {shlex.quote(directory)}")
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            who = "others" if mode & stat.S_IWOTH else "its group"
            words.append(f"{directory} is writable by {who} (mode {mode:04o}): chmod go-w {shlex.quote(directory)}")
    return words


def look(module, now):
    params = module.params
    path, releases = (os.path.abspath(params[name]) for name in ("path", "releases"))
    place = nearest(releases)
    try:
        disk = os.statvfs(place)
        return dict(
            clock_offset=None if params["reference"] is None else round(now - params["reference"], 3),
            needed=size(os.path.realpath(path)),
            free=disk.f_bavail * disk.f_frsize,
            unsafe=unsafe(path, releases),
            same_file_system=os.stat(nearest(os.path.dirname(path))).st_dev == os.stat(place).st_dev,
            directories=[directory for directory in params["directories"] if os.path.isdir(directory)],
            programs={name: module.get_bin_path(name) or "" for name in params["commands"]})
    except OSError as exc:
        raise RollingError(f"cannot look at {exc.filename or path}: {exc.strerror}. This must run as root") from exc


def run(module):
    # First of all: the rest takes its time.
    now = time.time()
    return look(module, now)
