# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Tiny wheels, an index of them and virtualenvs with a real pip, for what depends on pip's own behaviour.

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import venv
import zipfile
from http.server import SimpleHTTPRequestHandler

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import canonical
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server


def make_wheel(folder, name, version, requires=(), python="", body=""):
    """Make a wheel of one module, always the same bytes.

    :returns: its digest.
    """
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Requires-Dist: {one}" for one in requires]
    files = {f"{name}.py": f"VERSION = {version!r}\n{body}", f"{info}/METADATA": "\n".join(lines) + "\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}

    def row(path):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path].encode()).digest()).decode().rstrip("=")
        return f"{path},sha256={digest},{len(files[path].encode())}\n"

    files[f"{info}/RECORD"] = "".join(map(row, list(files))) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What pip asks of the sources to be built, with nothing but Python itself.
BACKEND = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    {broken}
    name, info = "{name}-{version}-py3-none-any.whl", "{name}-{version}.dist-info"
    files = {{"{name}.py": "X = 1", info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
             info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}}
    files[info + "/RECORD"] = "".join(one + ",,\\n" for one in [*files, info + "/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for one in files:
            archive.writestr(zipfile.ZipInfo(one), files[one])
    return name
"""


def make_sdist(folder, name, version, needs=(), broken=""):
    """Make an sdist that can be built without anything else.

    :arg needs: what it requires to be built.
    :arg broken: Python that is run when it is built.
    :returns: its digest.
    """
    folder.mkdir(exist_ok=True)
    files = {"pyproject.toml": f'[build-system]\nrequires = {list(needs)!r}\nbuild-backend = "backend"\n'
                               'backend-path = ["."]\n',
             "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             "backend.py": BACKEND.format(name=name, version=version, broken=broken or "pass")}
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files.items():
            one = tarfile.TarInfo(f"{name}-{version}/{member}")
            one.size = len(content)
            archive.addfile(one, io.BytesIO(content.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def locked(folder, *names):
    """A lock of wheels in C(folder), each named as C(name-version)."""
    return [dict(name=name.rsplit("-", 1)[0], version=name.rsplit("-", 1)[1],
                 sha256=hashlib.sha256((folder / f"{name}-py3-none-any.whl").read_bytes()).hexdigest())
            for name in names]


# By what is in them: a run of pip takes most of a second, and many tests begin with the same virtualenv.
MADE = {}


def real_venv(root, folder, *requirements):
    """A virtualenv with the pip that the tests themselves run with, and what is to be installed from C(folder)."""
    offered = sorted(path.read_bytes() for path in folder.glob("*.whl")) if requirements else []
    key = requirements, hashlib.sha256(b"".join(offered)).digest()
    if key not in MADE:
        place = tempfile.TemporaryDirectory(prefix="venv-")
        MADE[key] = place, make_real_venv(pathlib.Path(place.name, "venv"), folder, *requirements)
    shutil.copytree(MADE[key][1], root, symlinks=True)
    return root


def make_real_venv(root, folder, *requirements):
    try:
        pip = importlib.metadata.distribution("pip")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the tests run without pip")
    venv.EnvBuilder(symlinks=True).create(root)
    site = next(root.glob("lib/python3*/site-packages"))
    for name in ("pip", os.path.basename(next(path for path in pip.files if path.name == "METADATA").parent)):
        (site / name).symlink_to(pip.locate_file(name))
    # Else a pip that removes all other files there takes the directory away as a whole, and these links with it.
    (site / "own.pth").write_text("")
    if requirements:
        run_pip(root, "install", "--no-deps", "--no-index", "--find-links", str(folder), *requirements)
    return root


def run_pip(root, *arguments):
    return subprocess.run([str(root / "bin" / "python"), "-m", "pip", *arguments], check=True, capture_output=True,
                          text=True).stdout


def pip_environment(monkeypatch, folder=None):
    """Nothing of the machine that the tests run on: no configuration, no proxy, and no index but C(folder)."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "*")
    if folder:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@contextlib.contextmanager
def index(folder, python=None, login=None):
    """A package index of the wheels in C(folder).

    :arg python: by file name the Pythons that a wheel is for.
    :arg login: who may ask it, as C(USER:PASSWORD); without it everybody.
    """
    class Handler(Quiet, SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self):
            said = base64.b64decode((self.headers["Authorization"] or "").rpartition(" ")[2]).decode()
            if login is not None and said != login:
                self.send_error(401)
                return
            if not self.path.startswith("/simple/"):
                super().do_GET()
                return
            wanted = self.path.split("/")[2]
            page = "".join(
                f'<a href="/{path.name}" data-requires-python="{(python or {}).get(path.name, "")}">{path.name}</a>'
                for path in sorted(folder.iterdir()) if canonical(path.name.split("-")[0]) == wanted)
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

    with Server(Handler) as server:
        yield f"127.0.0.1:{server.server_port}/simple/"
