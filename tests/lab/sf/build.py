# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds one release of the lab's shakenfist distribution:
build.py VERSION DESTDIR [--schema N] [--trait NAME]... [--require NAME]...

The same arguments make the same bytes. A version that releases.json does not have takes the schema of the newest one
that is not above it; a build on the way to a release (0.8.1.dev3+gabc1234, 0.8.1rc1) is taken for that release."""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import re
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import wheels  # noqa: E402

REQUIRES = ['flask>=3.0', 'gunicorn>=21.2', 'grpcio>=1.60', 'grpcio-health-checking>=1.60', 'pymysql>=1.1']
DAEMONS = ['cleaner', 'cluster', 'net', 'nodelock', 'privexec', 'queues', 'resources', 'sentinel-first',
           'sentinel-last', 'sidechannel', 'transfers']
SCRIPTS = {'sf-ctl': 'ctl', 'sf-database': 'database'} | {f'sf-{d}': 'daemon' for d in DAEMONS}
# As pbr makes them: the normal form of PEP 440, in which a wheel's file name has it.
VERSION = re.compile(r'(\d+(?:\.\d+)*)((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+(\.[a-z0-9]+)*)?')


def number(version):
    found = VERSION.fullmatch(version)
    if not found:
        raise SystemExit(f'{version} is no version in its normal form, as 0.8.1, 0.8.1rc1 or 0.8.1.dev3+gabc1234')
    return [int(n) for n in found.group(1).split('.')]


def release(version):
    releases = json.loads((HERE / 'releases.json').read_text())
    number(version)
    if version in releases:
        return releases[version]
    older = [v for v in releases if number(v) <= number(version)]
    if not older:
        raise SystemExit(f'{version} is older than every release in releases.json')
    return {'schema': releases[max(older, key=number)]['schema'], 'traits': []}


# Builds a wheel with nothing but Python: the nodes of the lab have no setuptools to offer to a build.
BACKEND = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    wheel, info = "{name}-{version}-py3-none-any.whl", "{name}-{version}.dist-info"
    files = {{"{name}.py": "", info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
             info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: lab\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}}
    files[info + "/RECORD"] = "".join(one + ",,\\n" for one in [*files, info + "/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for one in files:
            archive.writestr(one, files[one])
    return wheel
"""


def sdist(name, destination, version='1.0', needs=()):
    """A package that there is no wheel of, as there are some among the dependencies of Shaken Fist."""
    files = {'pyproject.toml': f'[build-system]\nrequires = {list(needs)!r}\n'
                               'build-backend = "backend"\nbackend-path = ["."]\n',
             'PKG-INFO': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n',
             'backend.py': BACKEND.format(name=name, version=version)}
    path = pathlib.Path(destination) / f'{name}-{version}.tar.gz'
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w:gz') as archive:
        for member, content in files.items():
            entry = tarfile.TarInfo(f'{name}-{version}/{member}')
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def build(version, destination, schema=None, traits=(), requires=()):
    entry = release(version)
    schema = schema or entry['schema']
    traits = sorted({*entry['traits'], *traits})
    known = re.findall(r"^    '(\w+)': ", (HERE / 'shakenfist/traits.py').read_text(), re.MULTILINE)
    for trait in traits:
        if trait not in known:
            raise SystemExit(f'no such trait: {trait}; there are: {", ".join(known)}')

    files = {f'shakenfist/{p.name}': p.read_bytes() for p in (HERE / 'shakenfist').glob('*.py')}
    files['shakenfist/_release.py'] = f'VERSION = {version!r}\nSCHEMA = {schema!r}\nTRAITS = {traits!r}\n'.encode()
    scripts = {name: f'{module}:main' for name, module in SCRIPTS.items()}
    return wheels.write(destination, 'shakenfist', version, files, [*REQUIRES, *requires], scripts, 'Shaken Fist')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Build one release of the stand-in.')
    parser.add_argument('version')
    parser.add_argument('destination')
    parser.add_argument('--schema', type=int)
    parser.add_argument('--trait', action='append', default=[])
    parser.add_argument('--require', action='append', default=[])
    args = parser.parse_args()
    print(build(args.version, args.destination, args.schema, args.trait, args.require))
