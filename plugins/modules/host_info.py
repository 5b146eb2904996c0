#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_info
short_description: Look at what a host offers an upgrade
version_added: 0.1.0
description: Returns what an upgrade wants to know of a host before it begins, such as its clock, the space on its disk,
  who may write to the directories of the releases, and which programs it has.
options:
  path: {type: path, required: true, description: "The virtualenv, or the link to the active release."}
  releases: {type: path, required: true, description: The directory with the releases. It need not be there yet.}
  reference:
    description: What the controller's clock said when it asked, in seconds since the epoch. The time that the way to
      the host takes is in RV(clock_offset), too.
    type: float
  commands: {type: list, elements: str, default: [], description: Names of programs to look for.}
  directories: {type: list, elements: path, default: [], description: Directories to look for.}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look at the host
  shakenfist.rolling.host_info:
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    reference: "{{ now().timestamp() }}"
    commands: [mariadb-dump, git]
"""

RETURN = r"""
clock_offset:
  description: How many seconds the host's clock is ahead of O(reference). V(null) without O(reference).
  returned: success
  type: float
needed:
  description: How many bytes a clone of the active release takes, V(0) if there is none. A file with several names
    counts once.
  returned: success
  type: int
free:
  description: How many bytes are free on the file system of O(releases), or of its nearest parent that is there.
  returned: success
  type: int
unsafe:
  description: Who else than root can change what root runs, one sentence for each fault. Looked at are O(releases), all
    directories above it, and the active release, as far as they are there.
  returned: success
  type: list
  elements: str
  sample: ["/srv/shakenfist/releases is writable by others (mode 0777): chmod go-w /srv/shakenfist/releases"]
same_file_system:
  description: Whether the directory that holds O(path) and O(releases), or its nearest parent, are on one file system.
  returned: success
  type: bool
programs:
  description: Where each of O(commands) is, an empty string if it is nowhere.
  returned: success
  type: dict
  sample: {"mariadb-dump": "/usr/bin/mariadb-dump", "git": ""}
directories: {type: list, elements: str, returned: success, description: Those of O(directories) that are there.}
machine:
  description: The architecture of the host, as C(uname -m) says it.
  returned: success
  type: str
  sample: x86_64
"""

import os
import pathlib
import platform
import shlex
import stat
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, size


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
            machine=platform.machine(),
            directories=[directory for directory in params["directories"] if os.path.isdir(directory)],
            programs={name: module.get_bin_path(name) or "" for name in params["commands"]})
    except OSError as exc:
        raise RollingError(f"cannot look at {exc.filename or path}: {exc.strerror}. This must run as root") from exc


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            releases=dict(type="path", required=True),
            reference=dict(type="float"),
            commands=dict(type="list", elements="str", default=[]),
            directories=dict(type="list", elements="path", default=[]),
        ),
        supports_check_mode=True,
    )
    # First of all: the rest takes its time.
    now = time.time()
    conclude(module, lambda: look(module, now))


if __name__ == "__main__":
    main()
