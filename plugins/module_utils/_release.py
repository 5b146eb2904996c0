# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from urllib.parse import urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

# Run by the virtualenv's own Python: what it really imports counts, not what a folder's name says.
PROBE = """
import importlib.metadata as metadata, json, os, platform, sys
def distribution(name):
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
wanted, pip = distribution(sys.argv[1]), distribution("pip")
record = [path for path in (wanted and wanted.files or []) if path.name == "RECORD"]
print(json.dumps({
    "version": wanted and wanted.version,
    "record": str(wanted.locate_file(record[0])) if record else None,
    "pip": pip and pip.version,
    "python": platform.python_version(),
}))
"""
PIP_ENVIRONMENT = dict(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_NO_COLOR="1", LC_ALL="C.UTF-8")
# pip install --dry-run --report came with this one.
PIP_MINIMUM = (22, 2)

# The link beside the release directories that leads to the one that was active before.
PREVIOUS = ".previous"

PIP_OPTIONS = dict(
    index_url=dict(type="str"),
    packages=dict(type="list", elements="str", default=[]),
    extra_args=dict(type="list", elements="str", default=[]),
)


def python_of(root):
    """The Python of the virtualenv C(root)."""
    return os.path.join(root, "bin", "python")


def inspect(run, root, distribution):
    """What the virtualenv C(root) holds: versions of C(distribution), pip and Python, and the RECORD file.

    :raises RollingError: when its Python does not run, or C(distribution) is not installed in it.
    """
    python = python_of(root)
    if not os.access(python, os.X_OK):
        raise RollingError(f"the virtualenv {root} is broken: {python} is missing or does not run")
    rc, out, err = run([python, "-I", "-c", PROBE, distribution])
    if rc != 0:
        raise RollingError(f"the virtualenv {root} is broken: its python failed (rc {rc}): {(err or out).strip()}")
    try:
        found = json.loads(out)
    except ValueError as exc:
        raise RollingError(f"the virtualenv {root} is broken: its python printed {out.strip()[:200]!r}") from exc
    if not found["version"]:
        raise RollingError(f"{distribution} is not installed in the virtualenv {root}")
    return found


def hide_credentials(module):
    """Keep the credentials of an index URL out of everything that the module returns.

    Call it first of all: what the module was called with is returned, too.
    """
    try:
        parts = urlsplit(module.params["index_url"] or "")
    except ValueError as exc:
        module.fail_json(msg=f"index_url is not a URL: {exc}")
    # A token can stand alone where a user name would; beside a password the name is no secret.
    secret = parts.password or parts.username
    if secret:
        module.no_log_values.add(secret)


@contextmanager
def exclusively(directory):
    """Nobody else stages or prunes in C(directory) meanwhile; waits until the one who does has ended."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Pip:
    """pip of one virtualenv, with the operator's options.

    :arg module: the AnsibleModule; its parameters hold PIP_OPTIONS.
    :arg root: the virtualenv.
    """

    def __init__(self, module, root):
        self.module = module
        self.root = root
        self.index_url = module.params["index_url"]
        self.environment = dict(PIP_ENVIRONMENT)
        if self.index_url:
            # By the environment, not as an argument: a URL may carry a password, and arguments are public.
            self.environment["PIP_INDEX_URL"] = self.index_url

    def install(self, arguments):
        """C(pip install) with a report.

        :returns: the parsed report: what was, or with C(--dry-run) would be, installed.
        :raises RollingError: with pip's own last lines.
        """
        report = os.path.join(self.module.tmpdir, "pip-report.json")
        command = [python_of(self.root), "-m", "pip", "install", "--quiet", "--report", report]
        rc, out, err = self.module.run_command(
            command + self.module.params["extra_args"] + arguments, cwd="/", umask=0o022,
            environ_update=self.environment)
        if rc != 0:
            raise RollingError("pip failed", pip_output=(out + err).strip())
        try:
            with open(report, encoding="utf-8") as handle:
                return json.load(handle)
        except (OSError, ValueError) as exc:
            raise RollingError(f"pip wrote no report that can be read: {exc}") from exc


def require_pip(found, root):
    """Refuse a pip that is too old to write a report."""
    version = tuple(int(part) for part in (found["pip"] or "0").split(".")[:2] if part.isdigit())
    if version < PIP_MINIMUM:
        raise RollingError(
            f"the virtualenv {root} has pip {found['pip'] or '(none)'}; 22.2 or later is needed: "
            f"run {python_of(root)} -m pip install --upgrade pip")


def installed(report):
    """What a report of pip lists, as dicts with C(name), C(version) and C(sha256)."""
    packages = []
    for item in report.get("install", []):
        archive = item.get("download_info", {}).get("archive_info", {})
        digest = archive.get("hashes", {}).get("sha256", "")
        if not digest and archive.get("hash", "").startswith("sha256="):
            digest = archive["hash"][len("sha256="):]
        packages.append(dict(name=item["metadata"]["name"], version=item["metadata"]["version"], sha256=digest))
    return packages


def canonical(name):
    """The normalized name of a distribution (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def pick(packages, distribution):
    """The entry of C(distribution) in what C(installed) returned, or None."""
    for package in packages:
        if canonical(package["name"]) == canonical(distribution):
            return package
    return None
