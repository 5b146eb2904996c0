#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resolve_info
short_description: Resolve a release on the package index into one exact version
version_added: 0.1.0
description:
  - Asks pip of a virtualenv which wheel of a distribution it would install, and which other packages would change with
    it. Nothing is installed.
  - Done once for a whole cluster, it makes all nodes install the same, whatever appears on the index meanwhile.
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
constraints:
  description: RV(packages) as pip constraints, for the other nodes.
  returned: success
  type: list
  elements: str
  sample: ["shakenfist==0.8.1"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import (
    PIP_OPTIONS,
    Pip,
    hide_credentials,
    inspect,
    installed,
    pick,
    require_pip,
)


def resolve(module):
    """The exact release, and what comes with it."""
    path, distribution = module.params["path"], module.params["distribution"]
    found = inspect(module.run_command, path, distribution)
    require_pip(found, path)
    pip = Pip(module, path)
    version = module.params["version"]
    # Alone and as if nothing were installed, so that a node which already has it tells its wheel, too.
    report = pip.install(["--dry-run", "--no-deps", "--ignore-installed",
                          f"{distribution}=={version}" if version else distribution])
    wheel = pick(installed(report), distribution)
    if not wheel or not wheel["sha256"]:
        raise RollingError(f"pip did not say which wheel of {distribution} it would install")
    packages = []
    if found["version"] != wheel["version"] or module.params["packages"]:
        report = pip.install(["--dry-run", "--upgrade", f"{distribution}=={wheel['version']}",
                              *module.params["packages"]])
        packages = installed(report)
    return dict(
        version=wheel["version"], sha256=wheel["sha256"], name=f"{wheel['version']}-{wheel['sha256'][:8]}",
        packages=packages, constraints=[f"{package['name']}=={package['version']}" for package in packages])


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            distribution=dict(type="str", required=True),
            version=dict(type="str", default=""),
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
