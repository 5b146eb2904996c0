#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: kept_files
short_description: Keep what files and directories are, and take them back to that
version_added: 0.2.0
description:
  - For a step that changes the configuration of a node, and that may have to be undone.
  - V(kept) copies the paths to O(dest), with owners, modes, times and links. Of a path that is itself a link, also what
    it leads to. Where a copy is there already, it stays, for the step that has failed or was killed may have changed
    the files since.
  - V(restored) makes the paths what the copy says, and then removes it. A path that was not there is removed. Files
    that are as the copy are not touched. Without a copy there is nothing to be done.
  - V(dropped) only removes the copy, when nothing is to be taken back any more. V(aside) gives it another name, where
    it is of an earlier step, and somebody may still want it.
options:
  state: {type: str, choices: [kept, restored, dropped, aside], required: true, description: What to do.}
  paths: {type: list, elements: path, required: true, description: Absolute paths of files or directories.}
  dest: {type: path, required: true, description: "Where the copy is. It is whole or not there, and only for O(paths)."}
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Keep the configuration
  shakenfist.rolling.kept_files:
    state: kept
    paths: [/etc/neutron, /etc/dragonflow]
    dest: /srv/dragonflow/releases/5.0.0-0a1b2c3d/.rolling-configuration

- name: Take it back
  shakenfist.rolling.kept_files:
    state: restored
    paths: [/etc/neutron, /etc/dragonflow]
    dest: /srv/dragonflow/releases/5.0.0-0a1b2c3d/.rolling-configuration
"""

RETURN = r"""
files:
  description: With O(state=restored), the paths that were not as the copy says. With O(state=kept), those that are
    there.
  returned: success
  type: list
  elements: str
aside: {type: str, returned: with O(state=aside), description: Where the copy is now; empty if there was none.}
"""

import filecmp
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    conclude,
    make_directory,
    new_file,
    sync_directories,
)


def copied(source, target):
    """Copy a file, a link or a directory with all that it has, and its owners."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.mkdir(target, 0o700)
        for name in sorted(os.listdir(source)):
            copied(os.path.join(source, name), os.path.join(target, name))
    elif os.path.isfile(source):
        # Nobody may read it before it has the mode of its source.
        os.close(new_file(target))
        shutil.copyfile(source, target)
    else:
        raise RollingError(f"{source} is neither a file nor a directory nor a link: take it out of the configuration")
    found = os.lstat(source)
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    if not os.path.islink(source):
        shutil.copystat(source, target)


def removed(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def kind_of(path):
    return "link" if os.path.islink(path) else "directory" if os.path.isdir(path) else (
        "file" if os.path.exists(path) else "")


def differs(one, other):
    """Whether a path itself is another thing than its copy; of a directory not what it has."""
    kind = kind_of(one)
    if kind != kind_of(other):
        return True
    if not kind:
        return False
    if kind == "link":
        return os.readlink(one) != os.readlink(other)
    mine, theirs = os.lstat(one), os.lstat(other)
    if (mine.st_uid, mine.st_gid, mine.st_mode) != (theirs.st_uid, theirs.st_gid, theirs.st_mode):
        return True
    return kind == "file" and not filecmp.cmp(one, other, shallow=False)


def taken_back(path, copy, check_mode):
    """Make a path what its copy is; gives the paths that were not. Each file is replaced by one rename."""
    found = []
    if kind_of(path) == kind_of(copy) == "directory":
        if differs(path, copy):
            found.append(path)
            if not check_mode:
                there = os.lstat(copy)
                os.chown(path, there.st_uid, there.st_gid)
                shutil.copystat(copy, path)
        for name in sorted({*os.listdir(path), *os.listdir(copy)}):
            found += taken_back(os.path.join(path, name), os.path.join(copy, name), check_mode)
    elif differs(path, copy):
        found.append(path)
        if not check_mode:
            new = f"{path}.rolling-new"
            removed(new)
            if os.path.lexists(copy):
                copied(copy, new)
                if kind_of(path) == "directory" or kind_of(new) == "directory":
                    removed(path)
                os.replace(new, path)
            else:
                removed(path)
    return found


def place_of(dest, path):
    """Where the copy of a path is: by its name, which tells who looks there what it is of."""
    return os.path.join(dest, path.strip("/").replace("_", "__").replace("/", "_"))


def targets(paths):
    """What those of the paths lead to that are links: who changes the configuration changes that."""
    found = [os.path.realpath(path) for path in paths if os.path.islink(path)]
    return [path for path in dict.fromkeys(found) if os.path.exists(path) and path not in paths]


def keep(params, check_mode):
    dest, there = params["dest"], [path for path in params["paths"] if os.path.lexists(path)]
    if os.path.isdir(dest):
        return dict(changed=False, files=there)
    if not check_mode:
        part = f"{dest}.part"
        removed(part)
        make_directory(part, 0o700)
        for path in [*there, *targets(there)]:
            copied(path, place_of(part, path))
        os.sync()
        os.rename(part, dest)
        sync_directories(os.path.dirname(dest))
    return dict(changed=True, files=there)


def restore(params, check_mode):
    dest, found = params["dest"], []
    if not os.path.isdir(dest):
        return dict(changed=False, files=[])
    for path in params["paths"]:
        found += taken_back(path, place_of(dest, path), check_mode)
    # Where the links lead to is known again only now; what has no copy was none of it.
    for path in targets(params["paths"]):
        if os.path.lexists(place_of(dest, path)):
            found += taken_back(path, place_of(dest, path), check_mode)
    if not check_mode:
        os.sync()
    return dict(drop(params, check_mode), files=found)


def drop(params, check_mode):
    dest = params["dest"]
    there = os.path.isdir(dest)
    if there and not check_mode:
        # Whole or not there: half a copy would pass for one of files that were not there.
        removed(f"{dest}.part")
        os.rename(dest, f"{dest}.part")
        removed(f"{dest}.part")
    return dict(changed=there, files=[])


def set_aside(params, check_mode):
    dest = params["dest"]
    path = f"{dest}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}" if os.path.isdir(dest) else ""
    if path and not check_mode:
        os.rename(dest, path)
        sync_directories(os.path.dirname(dest))
    return dict(changed=bool(path), files=[], aside=path)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["kept", "restored", "dropped", "aside"], required=True),
            paths=dict(type="list", elements="path", required=True),
            dest=dict(type="path", required=True),
        ),
        supports_check_mode=True,
    )
    params = module.params
    act = dict(kept=keep, restored=restore, dropped=drop, aside=set_aside)[params["state"]]

    def checked():
        wrong = [path for path in params["paths"] if not os.path.isabs(path) or path.strip("/") == ""]
        if wrong:
            raise RollingError(f"expected absolute paths of files or directories; seen {', '.join(wrong)}")
        return act(dict(params, paths=[path.rstrip("/") for path in params["paths"]]), module.check_mode)
    conclude(module, checked, folder=os.path.dirname(params["dest"]))


if __name__ == "__main__":
    main()
