# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the wheel of a stand-in, with nothing but Python. The same arguments make the same bytes."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import zipfile


def write(destination, name, version, files, requires, scripts, title):
    """Give the path of the wheel.

    :arg files: bytes, by path.
    :arg scripts: MODULE:FUNCTION of the package, by the name of the script.
    """
    info = f'{name}-{version}.dist-info'
    metadata = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}',
                f'Summary: Stand-in for {title} in the lab of shakenfist.rolling', 'Requires-Python: >=3.9',
                *(f'Requires-Dist: {one}' for one in requires), '']
    entries = ['[console_scripts]', *(f'{script} = {name}.{where}' for script, where in scripts.items()), '']
    files = files | {
        f'{info}/METADATA': '\n'.join(metadata).encode(),
        f'{info}/WHEEL': b'Wheel-Version: 1.0\nGenerator: build.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
        f'{info}/entry_points.txt': '\n'.join(entries).encode()}
    record = ''
    for path in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b'=').decode()
        record += f'{path},sha256={digest},{len(files[path])}\n'
    files[f'{info}/RECORD'] = (record + f'{info}/RECORD,,\n').encode()
    wheel = pathlib.Path(destination) / f'{name}-{version}-py3-none-any.whl'
    wheel.parent.mkdir(parents=True, exist_ok=True)
    partial = wheel.with_suffix('.part')
    # Stored, not deflated: what zlib makes differs between its versions.
    with zipfile.ZipFile(partial, 'w', zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[path])
    partial.replace(wheel)
    return wheel
