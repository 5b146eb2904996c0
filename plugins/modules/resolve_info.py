#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resolve_info
short_description: Resolve a release on the package index into a lock of exact versions with digests
version_added: 0.1.0
description:
  - Asks pip of a virtualenv which wheel of a distribution it would install, and which other packages would change with
    it. Nothing is installed.
  - Done once for a whole cluster, it makes all nodes of the same Python and platform install the same, whatever appears
    on the index meanwhile.
  - The lock holds the whole closure of the release, with what is installed already at the version that is installed, so
    that a node where something is missing gets that, too.
options:
  path:
    description: The virtualenv whose pip to ask, and whose installed packages count.
    type: path
    required: true
  distribution:
    description: The Python distribution to resolve.
    type: str
    required: true
  version:
    description: The version wanted. The newest one that the index offers if it is empty.
    type: str
    default: ""
  packages:
    description: Further requirements to install or upgrade with the release, such as V(shakenfist-client>=0.8).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - shakenfist.rolling.attributes
  - shakenfist.rolling.attributes.info
  - shakenfist.rolling.pip
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Resolve the newest release
  shakenfist.rolling.resolve_info:
    path: /srv/shakenfist/venv
    distribution: shakenfist
  register: resolved
  run_once: true
"""

RETURN = r"""
version:
  description: The exact version.
  returned: success
  type: str
  sample: 0.8.1
sha256:
  description: The digest of its wheel.
  returned: success
  type: str
  sample: 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
name:
  description: The name of its release directory, the version and the first eight digits of RV(sha256).
  returned: success
  type: str
  sample: 0.8.1-0a1b2c3d
packages:
  description: What would be installed or upgraded in this virtualenv. Empty if it already has that version.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "shakenfist", "version": "0.8.1", "sha256": "0a1b2c3d"}]
lock:
  description: Every package that the release needs, for O(shakenfist.rolling.release#module:lock).
  returned: success
  type: list
  elements: dict
  sample: [{"name": "shakenfist", "version": "0.8.1", "sha256": "0a1b2c3d"}]
unpinned:
  description:
    - What the release needs and the lock does not hold, because the index no longer has the installed version.
    - Other nodes have to have these installed already.
  returned: success
  type: list
  elements: str
  sample: []
python:
  description: The version of the virtualenv's Python that the lock is for.
  returned: success
  type: str
  sample: "3.11"
platform:
  description: The platform that the lock is for.
  returned: success
  type: str
  sample: linux-x86_64
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import (
    PIP_OPTIONS,
    Pip,
    canonical,
    distributions,
    hide_credentials,
    inspect,
    installed,
    pick,
    require_pip,
)

# What pip compares by meaning (PEP 440). Distributions of the operating system may have versions of another kind.
PLAIN_VERSION = r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?"
# How pip says that there is no solution. Anything else, a silent index for example, is no reason to lock less.
NO_SOLUTION = ("No matching distribution found", "ResolutionImpossible", "metadata-generation-failed")
# An index that it cannot reach has no versions for pip, in the same words. These come before them.
SILENT = "after connection broken by"


def by_name(packages):
    return {canonical(package["name"]): package for package in packages}


def names_in(requirements):
    """The normalized names of requirements, without those that only an extra asks for."""
    matches = [re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in requirements
               if not re.search(r";.*\bextra\b", line)]
    return {canonical(match.group()) for match in matches if match}


def needed(present, report, packages):
    """The installed distributions that the release needs, however indirectly, and that pip would leave as they are."""
    changing = {canonical(item["metadata"]["name"]): item["metadata"].get("requires_dist", [])
                for item in report.get("install", [])}
    left, seen = {canonical(name) for name in packages} | set(changing), set()
    while left:
        name = left.pop()
        seen.add(name)
        requires = changing[name] if name in changing else present.get(name, {}).get("requires", [])
        left |= names_in(requires) - seen
    return sorted(name for name in seen if name in present and name not in changing)


def closure(module, pip, requirements, changing, present):
    """The packages that the release needs, all of them, if the index has them at the versions that are installed.

    :returns: them, or None if there is no such solution.
    """
    versions = {name: facts["version"] for name, facts in present.items()}
    versions.update({name: package["version"] for name, package in changing.items()})
    constraints = os.path.join(module.tmpdir, "constraints.txt")
    with open(constraints, "w", encoding="utf-8") as handle:
        for name, version in sorted(versions.items()):
            handle.write(f"{pin(name, version)}\n")
    try:
        return installed(pip.install(["--dry-run", "--ignore-installed", "--constraint", constraints, *requirements]))
    except RollingError as exc:
        if no_solution(exc.details.get("pip_output", "")):
            return None
        raise


def pin(name, version):
    """A requirement of one version. The index has it without what the operating system added, as in 6.0+debian1."""
    return f"{name}=={version.split('+')[0]}" if re.fullmatch(PLAIN_VERSION, version) else f"{name}==={version}"


def no_solution(output):
    return SILENT not in output and any(words in output for words in NO_SOLUTION)


def one_by_one(pip, present, names):
    """Of some installed packages, those that the index has at the versions that are installed."""
    left = {name: pin(name, present[name]["version"]) for name in names}
    while left:
        try:
            return installed(pip.install(["--dry-run", "--no-deps", "--ignore-installed", *left.values()]))
        except RollingError as exc:
            output = exc.details.get("pip_output", "")
            match = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+?)==", output)
            if SILENT in output or not match or left.pop(canonical(match.group(1)), None) is None:
                # It cannot be told which one it is.
                if no_solution(output):
                    return []
                raise
    return []


def resolve(module):
    """The exact release, and what comes with it."""
    path, distribution = module.params["path"], module.params["distribution"]
    found = inspect(module.run_command, path, distribution)
    require_pip(found, path)
    pip = Pip(module, path)
    version = module.params["version"]
    # Alone and as if nothing were installed, so that a node which already has it tells its wheel, too.
    try:
        report = pip.install(["--dry-run", "--no-deps", "--ignore-installed",
                              f"{distribution}=={version}" if version else distribution])
    except RollingError as exc:
        raise RollingError(other_python(exc.details.get("pip_output", ""), distribution, version, found["python"])
                           or exc.message, **exc.details) from exc
    wheel = pick(installed(report), distribution)
    if not wheel:
        raise RollingError(f"pip did not say which wheel of {distribution} it would install")
    requirements = [f"{distribution}=={wheel['version']}", *module.params["packages"]]
    report = pip.install(["--dry-run", "--upgrade", *requirements])
    packages = installed(report)
    for item in report.get("install", []):
        if item.get("is_direct"):
            raise RollingError(f"pip would take {item['metadata']['name']} from an address of its own, where other "
                               "nodes would not look for it: put it on the index, and name it with a version")
    changing = by_name(packages)
    present = distributions(module.run_command, path)
    lock, unpinned = closure(module, pip, requirements, changing, present), []
    if lock is None:
        asked = names_in(requirements) - {canonical(distribution)}
        unpinned = needed(present, report, {distribution} | asked)
        lock = packages + one_by_one(pip, present, [name for name in unpinned if name != canonical(distribution)])
        unpinned = [name for name in unpinned if name not in by_name(lock) and name != canonical(distribution)]
    lock = dict(by_name(lock), **{canonical(distribution): wheel})
    for package in lock.values():
        if not package["sha256"]:
            raise RollingError(f"pip did not say which wheel of {package['name']} it would install, with its sha256: "
                               "only what comes from an index can be locked")
    return dict(
        version=wheel["version"], sha256=wheel["sha256"], name=f"{wheel['version']}-{wheel['sha256'][:8]}",
        packages=packages, lock=[lock[name] for name in sorted(lock)], unpinned=unpinned,
        python=".".join(found["python"].split(".")[:2]), platform=found["platform"])


def other_python(output, distribution, version, python):
    """Words for a release that does not support the node's Python, None if pip complains of something else."""
    ignored = dict(re.findall(r"(\S+) Requires-Python ([^;\n]+)", output))
    newest = version or next(reversed(list(ignored)), "")
    wanted = ignored.get(newest)
    if not wanted:
        # From a folder of wheels; an index tells it beforehand.
        match = re.search(r"Package '\S+' requires a different Python: \S+ not in '([^']+)'", output)
        wanted = match and match.group(1)
    if not wanted:
        return None
    return f"{' '.join(filter(None, [distribution, newest]))} needs Python {wanted.strip()}, this node has {python}"


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            distribution=dict(type="str", required=True),
            version=dict(type="str", default=""),
            packages=dict(type="list", elements="str", default=[]),
            **PIP_OPTIONS,
        ),
        supports_check_mode=True,
    )
    hide_credentials(module)
    wanted = f"{module.params['distribution']} {module.params['version'] or '(the newest release)'}"
    try:
        result = resolve(module)
    except RollingError as exc:
        output = exc.details.get("pip_output", "")
        module.fail_json(msg=f"cannot resolve {wanted}: {exc.message}" + (f":\n{last_lines(output)}" if output else ""),
                         pip_output=output)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
