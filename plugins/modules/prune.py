#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: prune
short_description: Remove old release directories
version_added: 0.1.0
description:
  - Keeps the active release, the one that was active before, and beside these the newest, until O(keep) are kept. The
    others are removed, and so is what an interrupted staging has left.
  - A directory that holds no virtualenv is no release, and is left alone.
options:
  path: {type: path, required: true, description: The link to the active release.}
  releases: {type: path, required: true, description: The directory of the release directories.}
  keep:
    description: How many release directories to keep in all. The active one and the one before it are kept even if that
      is more.
    type: int
    default: 2
extends_documentation_fragment: shakenfist.rolling.attributes
"""

EXAMPLES = r"""
- name: Remove old releases
  shakenfist.rolling.prune:
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
"""

RETURN = r"""
removed:
  description: The names of the directories that were removed.
  returned: success
  type: list
  elements: str
  sample: [0.7.9-11223344]
kept: {type: list, elements: str, returned: success, description: The names of the release directories that are left.}
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import PREVIOUS, exclusively, python_of


def directories(releases):
    """The real directories, whole releases and left-overs, by name."""
    return {entry.name: entry.path for entry in os.scandir(releases)
            if entry.is_dir(follow_symlinks=False)}


def named_at(path):
    """When a directory got its name: a rename changes this time, and what runs in it does not."""
    return os.stat(path).st_ctime


def choose(params):
    """The names of the directories to keep, and of those to remove."""
    releases = os.path.realpath(params["releases"])
    found = directories(releases)
    whole = [name for name in found if not name.startswith(".") and os.path.lexists(python_of(found[name]))]
    newest = sorted(whole, key=lambda name: named_at(found[name]), reverse=True)
    in_use = {os.path.realpath(params["path"]), os.path.realpath(os.path.join(releases, PREVIOUS))}
    kept = [name for name in newest if found[name] in in_use]
    kept += [name for name in newest if name not in kept][:max(0, params["keep"] - len(kept))]
    partial = [name for name in found if name.startswith(".") and name.endswith(".partial")]
    return kept, [name for name in newest if name not in kept] + partial


def remove(path):
    """Remove a directory. Its name goes first: a release directory is whole, even if this is interrupted."""
    folder, name = os.path.split(path)
    if not name.startswith("."):
        path = os.path.join(folder, f".{name}.partial")
        shutil.rmtree(path, ignore_errors=True)
        os.rename(os.path.join(folder, name), path)
    shutil.rmtree(path)


def prune(module):
    params = module.params
    if params["keep"] < 1:
        raise RollingError(f"keep must be 1 or more, not {params['keep']}")
    if not os.path.isdir(params["path"]):
        raise RollingError(f"there is no virtualenv at {params['path']}, so nobody knows which release is in use: "
                           "correct path (prune_venv)")
    if not os.path.isdir(params["releases"]):
        return dict(changed=False, kept=[], removed=[])
    with exclusively(params["releases"]):
        kept, removed = choose(params)
        if not module.check_mode:
            for name in removed:
                remove(os.path.join(params["releases"], name))

    def lines(names):
        return "".join(f"{name}\n" for name in sorted(names))
    return dict(changed=bool(removed), kept=sorted(kept), removed=sorted(removed),
                diff=dict(before=lines(kept + removed), after=lines(kept)))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            releases=dict(type="path", required=True),
            keep=dict(type="int", default=2),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: prune(module), "cannot remove old releases", module.params["releases"])


if __name__ == "__main__":
    main()
