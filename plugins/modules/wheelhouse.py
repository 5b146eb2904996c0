#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: wheelhouse
short_description: Carry the wheels of a release to nodes that do not find them on a package index
version_added: 0.1.0
description:
  - On a node that reaches the index, packs the wheels of a lock into one tar file. On the other nodes, unpacks that
    file into a directory, which O(shakenfist.rolling.release#module:wheelhouse) installs from.
  - The tar file that RV(shakenfist.rolling.resolve_info#module:archive) names, of wheels that no index has, is unpacked
    in the same way.
  - Every file is checked against the digests in O(lock), when it is packed and when it is unpacked.
options:
  state:
    description:
      - V(packed) makes sure that O(dest) is a tar file of exactly what O(lock) names.
      - V(unpacked) makes sure that the directory O(dest) holds what O(lock) names. Other files there are left alone.
    type: str
    choices: [packed, unpacked]
    required: true
  lock:
    required: true
  dest:
    description: The tar file, or the directory, to make. The directory above it must be there.
    type: path
    required: true
  path:
    description: The virtualenv whose pip downloads, of the Python and platform that the lock is for. Required for
      O(state=packed).
    type: path
  src:
    description: The tar file to unpack. Required for O(state=unpacked), but not read if all is there already.
    type: path
extends_documentation_fragment:
  [shakenfist.rolling.attributes, shakenfist.rolling.options.lock, shakenfist.rolling.options.pip]
attributes:
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Pack the wheels of the release on a node that reaches the index
  shakenfist.rolling.wheelhouse:
    state: packed
    path: /srv/shakenfist/venv
    lock: "{{ resolved.lock }}"
    dest: /root/0.8.1-0a1b2c3d.tar

- name: Unpack them on a node that does not
  shakenfist.rolling.wheelhouse:
    state: unpacked
    lock: "{{ resolved.lock }}"
    src: /root/0.8.1-0a1b2c3d.tar
    dest: /srv/shakenfist/wheelhouse
"""

RETURN = r"""
files:
  description: The names of the files, in order. Empty in check mode when they are not there yet.
  returned: success
  type: list
  elements: str
  sample: [flask-3.0.3-py3-none-any.whl, shakenfist-0.8.1-py3-none-any.whl]
"""

import os
import shutil
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _release, _wheels
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    make_directory,
    stand_back,
)


def check(digests, lock, where):
    """Refuse files that are not the ones of the lock."""
    wanted = {one["sha256"]: f"{one['name']} {one['version']}" for one in lock}
    for name in sorted(digests):
        if digests[name] not in wanted:
            raise RollingError(f"{where} holds {name} with sha256 {digests[name]}, which is not in the lock: it is of "
                               "another release, or was damaged on its way")
    missing = [wanted[digest] for digest in wanted if digest not in digests.values()]
    if missing:
        raise RollingError(f"{where} lacks {', '.join(sorted(missing))}: it is of another release, pack it again")


def packed_already(path, lock):
    """The names in the tar file if it holds exactly what the lock names, None otherwise."""
    try:
        found = _wheels.digests_in_tar(path)
        check(found, lock, path)
    except (RollingError, OSError, tarfile.TarError):
        return None
    return sorted(found)


def pack(module):
    params = module.params
    lock, dest = params["lock"], params["dest"]
    files = packed_already(dest, lock)
    if files is not None or module.check_mode:
        return dict(changed=files is None, files=files or [])
    _release.require_pip(_release.look_into(module.run_command, params["path"], "pip"), params["path"])
    pip = _release.Pip(module, params["path"])
    # Beside dest: the wheels are large, and it has to have room for them anyway.
    folder = tempfile.mkdtemp(prefix=".wheels.", dir=os.path.dirname(dest))
    try:
        wheels, made = os.path.join(folder, "wheels"), os.path.join(folder, "tar")
        pip.run("download", [*params["extra_args"], "--no-deps", "--dest", wheels, *pip.locked(lock)])
        found = _wheels.digests_in_folder(wheels)
        check(found, lock, "what pip downloaded")
        _wheels.write_tar({name: os.path.join(wheels, name) for name in found}, made)
        os.chmod(made, 0o644)
        os.replace(made, dest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return dict(changed=True, files=sorted(found))


def unpack(module):
    params = module.params
    lock, dest = params["lock"], params["dest"]
    wanted = {one["sha256"] for one in lock}
    present = _wheels.digests_in_folder(dest) if os.path.isdir(dest) else {}
    if wanted <= set(present.values()):
        return dict(changed=False, files=sorted(name for name in present if present[name] in wanted))
    # Every member is looked at before the first one is written.
    found = _wheels.digests_in_tar(params["src"])
    check(found, lock, params["src"])
    if not module.check_mode:
        make_directory(dest)
        _wheels.unpack_tar(params["src"], [name for name in found if present.get(name) != found[name]], dest)
    return dict(changed=True, files=sorted(found))


def carry(module, packing):
    _release.check_lock(module.params["lock"])
    try:
        return pack(module) if packing else unpack(module)
    except tarfile.TarError as exc:
        raise RollingError(f"{module.params['src']} is no tar file that can be read ({exc}): pack it again") from exc


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["packed", "unpacked"], required=True),
            lock=dict(_release.LOCK, required=True),
            dest=dict(type="path", required=True),
            path=dict(type="path"),
            src=dict(type="path"),
            **_release.PIP_OPTIONS,
        ),
        required_if=[("state", "packed", ("path",)), ("state", "unpacked", ("src",))],
        supports_check_mode=True,
    )
    _release.hide_credentials(module)
    stand_back(module)
    packing = module.params["state"] == "packed"
    intent = f"cannot {'pack' if packing else 'unpack'} the wheels into {module.params['dest']}"
    # Of dest itself there may be nothing yet.
    _release.conclude_pip(module, intent, lambda: carry(module, packing), os.path.dirname(module.params["dest"]) or ".")


if __name__ == "__main__":
    main()
