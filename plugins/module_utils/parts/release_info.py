# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import os

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._identity import contents, rewritten
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import PREVIOUS, active_since, inspect

ARGUMENTS = dict(
    path=dict(type="path", required=True),
    releases=dict(type="path", required=True),
    distribution=dict(type="str", required=True),
    commands=dict(type="list", elements="str", default=[]),
    deployer_mark=dict(type="path"),
    links=dict(type="list", elements="path", default=[]),
)


def active_release(run, path, releases, distribution):
    """The active release behind the virtualenv C(path)."""
    if not os.path.isdir(path):
        raise RollingError(f"there is no virtualenv at {path}")
    found = inspect(run, path, distribution)
    real, linked = os.path.realpath(path), os.path.islink(path)
    folder = os.path.dirname(real)
    since, ahead = active_since(path, found["record"])
    return dict(path=real, name=os.path.basename(real) if linked else None, version=found["version"],
                since=since, ahead=ahead, python=found["python"], platform=found["platform"], pip=found["pip"],
                contents=contents(found["record"]), rewritten=linked and rewritten(real, found),
                outside=folder if linked and folder != os.path.realpath(releases) else "")


def previous_release(run, releases, distribution, active):
    """The release that was active before, if it could be active again."""
    link = os.path.join(releases, PREVIOUS)
    path = os.path.realpath(link)
    if not os.path.islink(link) or path == active:
        return {}
    try:
        found = inspect(run, path, distribution)
    except RollingError:
        return {}
    return dict(path=path, name=os.path.basename(path), version=found["version"], contents=contents(found["record"]))


def staged_releases(run, releases, distribution):
    """The complete release directories; incomplete ones begin with a dot.

    :returns: by name the contents of those that are what their names say, and the versions of the others; by path the
        versions of all.
    """
    staged, other, versions = {}, {}, {}
    for entry in sorted(os.scandir(releases), key=lambda entry: entry.name) if os.path.isdir(releases) else []:
        # A link is what an interrupted adoption has left, or an operator's own.
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            found = inspect(run, entry.path, distribution)
        except RollingError:
            found = None
        versions[os.path.realpath(entry.path)] = found["version"] if found else ""
        if found and rewritten(os.path.realpath(entry.path), found):
            other[entry.name] = found["version"]
        else:
            staged[entry.name] = contents(found["record"]) if found else ""
    return staged, other, versions


def run(module):
    params = module.params
    # With a slash at its end a link would look like the directory that it leads to.
    path = params["path"].rstrip("/")
    problem, active = "", {}
    try:
        active = active_release(module.run_command, path, params["releases"], params["distribution"])
    except RollingError as exc:
        problem = exc.message
    else:
        missing = [name for name in params["commands"] if not os.access(os.path.join(path, "bin", name), os.X_OK)]
        if missing:
            problem = f"{', '.join(missing)} missing in {path}/bin"
    releases, distribution = params["releases"], params["distribution"]
    staged, other, versions = staged_releases(module.run_command, releases, distribution)
    mark = params["deployer_mark"] or ""
    paths = {link: os.path.realpath(link) if os.path.islink(link.rstrip("/")) else "" for link in params["links"]}
    links = {link: dict(path=path, version=versions.get(path, "")) for link, path in paths.items()}
    return dict(active=active, staged=list(staged), builds=staged, rewritten=other, problem=problem,
                previous=previous_release(module.run_command, releases, distribution, active.get("path")),
                deployer=mark if mark and os.path.exists(mark) else "", links=links)
