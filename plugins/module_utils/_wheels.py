# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import hashlib
import os
import shutil
import tarfile
from typing import IO, cast

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError


def digest_of(handle):
    """The sha256 of what is left to read."""
    digest = hashlib.sha256()
    for block in iter(lambda: handle.read(2**20), b""):
        digest.update(block)
    return digest.hexdigest()


def digest_of_file(path):
    """The sha256 of a file."""
    with open(path, "rb") as handle:
        return digest_of(handle)


def digests_in_folder(folder):
    """By name the digests of the files in a directory."""
    return {one.name: digest_of_file(one.path) for one in os.scandir(folder) if one.is_file(follow_symlinks=False)}


def digests_in_tar(path):
    """By name the digests of the members of a tar file, which must all be plain files with plain names."""
    found = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            name = member.name
            if not member.isreg() or not name or "/" in name or name.startswith(".") or name in found:
                raise RollingError(f"{path} holds {name!r}, which is no plain file with a name of its own: "
                                   "pack it again")
            found[name] = digest_of(tar.extractfile(member))
    return found


def write_tar(files, path):
    """Pack files, so that the same ones always give the same tar file.

    :arg files: by the name in the tar file the path of each.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            with open(files[name], "rb") as handle:
                member = tarfile.TarInfo(name)
                member.size, member.mode = os.fstat(handle.fileno()).st_size, 0o644
                tar.addfile(member, handle)


def unpack_tar(path, names, folder):
    """Unpack some members of a tar file that C(digests_in_tar) has accepted, each by one rename."""
    with tarfile.open(path, "r:") as tar:
        for name in sorted(names):
            partial = os.path.join(folder, f".{name}.partial")
            try:
                with open(partial, "wb") as handle:
                    # Only files were accepted.
                    shutil.copyfileobj(cast(IO[bytes], tar.extractfile(name)), handle)
                os.chmod(partial, 0o644)
                os.replace(partial, os.path.join(folder, name))
            finally:
                # On a full disk it would take what little there is.
                if os.path.lexists(partial):
                    os.unlink(partial)
