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
  - What has no name of the form that this collection gives, a version and eight digits, or holds no virtualenv, is no
    release of it, and is left alone.
  - A release that a process still runs from is kept, with a warning that names the process.
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
held:
  description: By name, the processes that run from a release which would have been removed.
  returned: success
  type: dict
  sample: {"0.7.9-11223344": ["sf-net (4711)"]}
"""

import glob
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, stand_back
from ansible_collections.shakenfist.rolling.plugins.module_utils._identity import NAME
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import PREVIOUS, exclusively, python_of


def directories(releases):
    """The real directories, whole releases and left-overs, by name."""
    return {entry.name: entry.path for entry in os.scandir(releases)
            if entry.is_dir(follow_symlinks=False)}


def named_at(path):
    """When a directory got its name: a rename changes this time, and what runs in it does not."""
    return os.stat(path).st_ctime


def processes():
    """The processes, each in words and with its command line and the files in its memory."""
    for folder in glob.glob("/proc/[0-9]*"):
        found = []
        for name in ("comm", "cmdline", "maps"):
            try:
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as handle:
                    found.append(handle.read())
            except OSError:
                break  # it has ended
        else:
            yield f"{found[0].strip()} ({os.path.basename(folder)})", found[1] + found[2]


def holders(paths):
    """By name of a directory, the processes that run from it."""
    found = {}
    for process, text in processes() if paths else ():
        for name, path in paths.items():
            if f"{path}/" in text:
                found.setdefault(name, []).append(process)
    return found


def choose(params):
    """The names of the directories to keep, of those to remove, and by name who holds one that would be removed."""
    releases = os.path.realpath(params["releases"])
    found = directories(releases)
    # Somebody else's virtualenv has another kind of name.
    whole = [name for name in found if NAME.match(name) and not name.startswith(".")
             and os.path.lexists(python_of(found[name]))]
    newest = sorted(whole, key=lambda name: named_at(found[name]), reverse=True)
    in_use = {os.path.realpath(params["path"]), os.path.realpath(os.path.join(releases, PREVIOUS))}
    kept = [name for name in newest if found[name] in in_use]
    kept += [name for name in newest if name not in kept][:max(0, params["keep"] - len(kept))]
    partial = [name for name in found if name.startswith(".") and name.endswith(".partial")]
    held = holders({name: found[name] for name in newest if name not in kept})
    kept += held
    return kept, [name for name in newest if name not in kept] + partial, held


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
        return dict(changed=False, kept=[], removed=[], held={})
    with exclusively(params["releases"]):
        kept, removed, held = choose(params)
        for name in sorted(held):
            module.warn(f"{name} in {params['releases']} is kept: {', '.join(held[name])} still runs from it. Restart "
                        "that, the next run removes it")
        if not module.check_mode:
            for name in removed:
                remove(os.path.join(params["releases"], name))

    def lines(names):
        return "".join(f"{name}\n" for name in sorted(names))
    return dict(changed=bool(removed), kept=sorted(kept), removed=sorted(removed), held=held,
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
    stand_back(module)
    conclude(module, lambda: prune(module), "cannot remove old releases", module.params["releases"])


if __name__ == "__main__":
    main()
