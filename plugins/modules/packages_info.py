#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: packages_info
short_description: Look at the Debian packages of a node
version_added: 0.2.0
description:
  - Returns the versions of packages, what the index offers, what an interrupted apt has left, which sources there are,
    and who has the locks of apt.
options:
  names:
    description: Names or shell patterns of the packages to return.
    type: list
    elements: str
    default: []
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Look at the packages of Synnefo
  shakenfist.rolling.packages_info:
    names: [snf-*, python-astakosclient, archipelago]
"""

RETURN = r"""
packages:
  description:
    - The packages that match, by name, as far as dpkg has any of their files.
    - C(version) is that of the package, and C(candidate) that which the index offers, as it lies on the node. C(state)
      is dpkg's word, C(installed) or for example C(half-configured), and C(held) whether it is on hold. C(since) is
      when dpkg has unpacked it, in seconds since the epoch.
  returned: success
  type: dict
  sample: {snf-common: {version: 0.18.1-1, candidate: 0.19-1, state: installed, held: false, since: 1763700000.25}}
broken: {returned: success, type: list, description: All packages that dpkg has left half done.}
interrupted: {returned: success, type: bool, description: "Whether an apt or dpkg was interrupted."}
suites: {returned: success, type: list, description: "The suites of all active sources.", sample: [bookworm]}
sources: {returned: success, type: list, description: "The active sources: C(file), C(line), C(uri), C(suite)."}
locked:
  description: Who has a lock of apt or dpkg. C(file), C(pid) and C(command); empty if nobody has.
  returned: success
  type: dict
policy:
  description: Whose C(policy-rc.d) there is, V(ours), which a killed run has left or one that is going on needs,
    V(other), or none.
  returned: success
  type: str
conffiles:
  description: Configuration files that were kept though their package has another version, which lies beside.
  returned: success
  type: list
started:
  description: Processes that maintainer scripts of an upgrade by M(shakenfist.rolling.packages) have started
    themselves, with C(pid), C(command), C(package), C(script). None while apt is locked.
  returned: success
  type: list
reboot: {returned: success, type: bool, description: Whether a package has asked for a reboot.}
unfinished:
  description: Whether M(shakenfist.rolling.packages) has begun to change packages, and was ended before it had done
    all.
  returned: success
  type: bool
rebooted:
  description: Whether the node has rebooted since M(shakenfist.rolling.packages) has upgraded it, if it has.
  returned: success
  type: bool
"""

import fnmatch
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _packages as apt
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import boot_id, conclude


def look(run, names):
    packages = apt.packages_of(run)
    broken = apt.half_done(packages)
    mine = {name: one for name, one in sorted(packages.items())
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in names)}
    offered = apt.candidates(run, sorted(mine))
    for name, one in mine.items():
        one.update(candidate=offered.get(name, ""), since=apt.unpacked(name))
    sources = [{name: one[name] for name in ("file", "line", "uri", "suite")} for one in apt.read_sources()[2]]
    locked = apt.lock_holder()
    return dict(
        packages=mine, broken=broken, interrupted=bool(broken or apt.journal_left()), sources=sources,
        suites=sorted({one["suite"] for one in sources}), locked=locked, policy=apt.policy_of(),
        conffiles=apt.kept_conffiles(), started=[] if locked else apt.left_by_scripts(),
        reboot=os.path.exists(apt.at(apt.REBOOT)), rebooted=booted_in() != boot_id(),
        unfinished=apt.is_unfinished(packages))


def booted_in():
    """The boot in which the packages were upgraded last; empty if it is not known."""
    try:
        with open(f"{apt.at(apt.HOME)}/boot", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def main():
    module = AnsibleModule(argument_spec=dict(names=dict(type="list", elements="str", default=[])),
                           supports_check_mode=True)
    conclude(module, lambda: look(module.run_command, module.params["names"]), "cannot look at the packages",
             "/etc/apt")


if __name__ == "__main__":
    main()
