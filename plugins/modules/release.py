#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Stage or activate a release directory
version_added: 0.1.0
description:
  - A release is a directory, a whole virtualenv of its own under O(releases). The path that the services run from,
    O(path), is a link to the active one.
  - Staging clones the active virtualenv, with the plugins that the operator has added to it, and upgrades the clone
    with its own pip. The running services see nothing of it. Until the clone is complete it has another name, so a
    release directory is always whole.
  - Activating swaps the link by one rename. If O(path) is still a plain directory, it is adopted, that is, in the same
    atomic step it moves to O(releases) and becomes the first release there.
  - The link C(.previous) in O(releases) leads to the release that was active before. Activating that one again removes
    the link.
options:
  name:
    description: The name of the release directory, as RV(shakenfist.rolling.resolve_info#module:name) gives it.
    type: str
    required: true
  state:
    description:
      - V(staged) makes sure that the release directory is there.
      - V(active) makes sure that O(path) is a link to it.
    type: str
    choices: [staged, active]
    required: true
  path:
    description: The virtualenv that the services run from.
    type: path
    required: true
  releases:
    description: The directory that holds the release directories. It must be on the file system of O(path).
    type: path
    required: true
  distribution:
    description: The Python distribution whose version is the release.
    type: str
    required: true
  version:
    description: The exact version to install. Required for O(state=staged).
    type: str
  sha256:
    description:
      - The digest that the wheel of O(distribution) must have. Required for O(state=staged).
    type: str
  constraints:
    description: Exact versions of packages that come with the release, as pip constraints.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.pip
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Stage a release beside the running one
  shakenfist.rolling.release:
    name: 0.8.1-0a1b2c3d
    state: staged
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    distribution: shakenfist
    version: 0.8.1
    sha256: 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9

- name: Activate it
  shakenfist.rolling.release:
    name: 0.8.1-0a1b2c3d
    state: active
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    distribution: shakenfist
"""

RETURN = r"""
release:
  description: The release directory.
  returned: success
  type: str
  sample: /srv/shakenfist/releases/0.8.1-0a1b2c3d
packages:
  description: What pip installed into the clone.
  returned: when O(state=staged) and changed
  type: list
  elements: dict
  sample: [{"name": "shakenfist", "version": "0.8.1", "sha256": "0a1b2c3d"}]
previous:
  description: The directory that was active before.
  returned: when O(state=active)
  type: str
  sample: /srv/shakenfist/releases/0.8.0-99aabbcc
adopted:
  description: Whether a plain directory was adopted as the first release.
  returned: when O(state=active)
  type: bool
  sample: false
"""

import ctypes
import errno
import hashlib
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import (
    PIP_OPTIONS,
    PREVIOUS,
    Pip,
    hide_credentials,
    inspect,
    installed,
    pick,
    require_pip,
)

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange(one, other):
    """Swap two paths in one atomic step (renameat2); False where the file system cannot do that."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), one)


def link(target, path):
    """Make C(path) a link to C(target), by rename, so that at no moment it is missing."""
    new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(target, new)
    os.replace(new, path)


def free_name(run, params):
    """The release directory that a plain virtualenv becomes: its version, and a digest of what pip recorded."""
    found = inspect(run, params["path"], params["distribution"])
    record = b""
    if found["record"]:
        with open(found["record"], "rb") as handle:
            record = handle.read()
    base = os.path.join(params["releases"], f"{found['version']}-{hashlib.sha256(record).hexdigest()[:8]}")
    name, count = base, 1
    while os.path.lexists(name):
        count += 1
        name = f"{base}.{count}"
    return name


def adopt(run, params, target):
    """Make the plain directory at C(path) the first release and C(path) a link to C(target), in one step.

    :returns: the directory that the plain virtualenv has become.
    """
    path = params["path"]
    adopted = free_name(run, params)
    os.symlink(target, adopted)
    try:
        swapped = exchange(adopted, path)
    except OSError:
        os.unlink(adopted)
        raise
    if not swapped:
        # Two renames: for some microseconds there is no virtualenv at all.
        os.unlink(adopted)
        os.rename(path, adopted)
        try:
            link(target, path)
        except OSError:
            os.rename(adopted, path)
            raise
    return adopted


def remember(releases, previous, target):
    """Keep in C(.previous) where to go back to. Going back there forgets it: it leads nowhere from then on.

    :returns: what to do once the swap is done.
    """
    path = os.path.join(releases, PREVIOUS)
    if os.path.islink(path) and os.path.realpath(path) == target:
        return lambda: os.unlink(path)
    link(previous, path)
    return lambda: None


def activate(module, target):
    """Make C(path) a link to C(target)."""
    params = module.params
    path = params["path"]
    plain = not os.path.islink(path)
    previous = os.path.realpath(path)
    changed = previous != target
    result = dict(changed=changed, release=target, previous=previous, adopted=changed and plain,
                  diff=dict(before=f"{path} -> {previous}\n" if not plain else f"{path} is a plain directory\n",
                            after=f"{path} -> {target}\n" if changed else f"{path} -> {previous}\n"))
    if not changed or module.check_mode:
        return result
    if not os.path.isdir(target):
        raise RollingError(f"there is no release {target} to activate: stage it first")
    if not os.path.isdir(path):
        raise RollingError(f"there is no virtualenv at {path}")
    if plain:
        result["previous"] = adopt(module.run_command, params, target)
        # Before, it had no name yet.
        remember(os.path.dirname(target), result["previous"], target)
    else:
        done = remember(os.path.dirname(target), previous, target)
        link(target, path)
        done()
    # The link's own time says since when the release is active. It must not be before the swap.
    os.utime(path, follow_symlinks=False)
    return result


def correct_shebangs(directory, old, new):
    """Scripts that pip wrote while the clone had its first name point there: make them point to where it will run."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as handle:
            content = handle.read()
        if not content.startswith(b"#!"):
            continue
        # The first two lines: a long interpreter path is written as an exec in the second one.
        lines = content.split(b"\n", 2)
        lines[:2] = [line.replace(os.fsencode(old), os.fsencode(new)) for line in lines[:2]]
        corrected = b"\n".join(lines)
        if corrected != content:
            with open(path, "r+b") as handle:
                handle.write(corrected)
                handle.truncate()


def check_file_system(path, releases):
    """Refuse to stage what could not be activated: the release directories must be on the file system of the link."""
    if os.stat(os.path.dirname(path)).st_dev != os.stat(releases).st_dev:
        raise RollingError(f"{releases} is on another file system than {path}, so activating could not be one rename: "
                           "choose a directory beside it (cluster_releases)")


def build(module, clone):
    """Clone the active virtualenv to C(clone) and upgrade the clone with its own pip.

    :returns: what pip installed.
    """
    params = module.params
    rc, out, err = module.run_command(["cp", "-a", "--reflink=auto", os.path.realpath(params["path"]), clone])
    if rc != 0:
        raise RollingError(f"cannot clone {params['path']}", pip_output=(out + err).strip())
    constraints = os.path.join(module.tmpdir, "constraints.txt")
    with open(constraints, "w", encoding="utf-8") as handle:
        handle.write("".join(f"{line}\n" for line in params["constraints"]))
    report = Pip(module, clone).install(
        ["--upgrade", "--constraint", constraints, f"{params['distribution']}=={params['version']}",
         *params["packages"]])
    packages = installed(report)
    wheel = pick(packages, params["distribution"])
    if wheel and wheel["sha256"] != params["sha256"]:
        raise RollingError(
            f"the wheel of {params['distribution']} {params['version']} that this node was given has sha256 "
            f"{wheel['sha256']}, resolved for the cluster was {params['sha256']}: the index does not give all nodes "
            "the same, or has changed it meanwhile")
    correct_shebangs(os.path.join(clone, "bin"), clone, params["path"])
    found = inspect(module.run_command, clone, params["distribution"])
    if found["version"] != params["version"]:
        raise RollingError(f"the clone holds {params['distribution']} {found['version']}, not {params['version']}")
    return packages


def stage(module, target):
    """Make sure that the release directory C(target) is there."""
    params = module.params
    found = inspect(module.run_command, params["path"], params["distribution"])
    before = f"{params['distribution']} {found['version']}\n"
    if os.path.isdir(target):
        staged = inspect(module.run_command, target, params["distribution"])
        if staged["version"] != params["version"]:
            raise RollingError(f"it holds {params['distribution']} {staged['version']}, not {params['version']}: "
                               f"remove it with rm -r {target}")
        return dict(changed=False, release=target)
    require_pip(found, params["path"])
    result = dict(changed=True, release=target, packages=[],
                  diff=dict(before="", after=f"{target}: {params['distribution']} {params['version']}\n",
                            before_header=f"active: {before.strip()}"))
    if module.check_mode:
        return result
    os.makedirs(params["releases"], mode=0o755, exist_ok=True)
    check_file_system(params["path"], params["releases"])
    clone = os.path.join(params["releases"], f".{params['name']}.partial")
    shutil.rmtree(clone, ignore_errors=True)
    try:
        result["packages"] = build(module, clone)
        os.rename(clone, target)
    finally:
        shutil.rmtree(clone, ignore_errors=True)
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            state=dict(type="str", choices=["staged", "active"], required=True),
            path=dict(type="path", required=True),
            releases=dict(type="path", required=True),
            distribution=dict(type="str", required=True),
            version=dict(type="str"),
            sha256=dict(type="str"),
            constraints=dict(type="list", elements="str", default=[]),
            **PIP_OPTIONS,
        ),
        required_if=[("state", "staged", ("version", "sha256"))],
        supports_check_mode=True,
    )
    hide_credentials(module)
    # With a slash at its end a link would look like the directory that it leads to.
    module.params["path"] = module.params["path"].rstrip("/")
    name = module.params["name"]
    if not name or name.startswith(".") or "/" in name:
        module.fail_json(msg=f"{name!r} cannot be the name of a release directory")
    target = os.path.join(os.path.realpath(module.params["releases"]), name)
    staging = module.params["state"] == "staged"
    try:
        result = stage(module, target) if staging else activate(module, target)
    except RollingError as exc:
        output = exc.details.get("pip_output", "")
        module.fail_json(msg=f"cannot {'stage' if staging else 'activate'} {target}: {exc.message}"
                             + (f":\n{last_lines(output)}" if output else ""), pip_output=output)
    except OSError as exc:
        module.fail_json(msg=f"cannot {'stage' if staging else 'activate'} {target}: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
