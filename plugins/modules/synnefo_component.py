#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: synnefo_component
short_description: Register a component of Synnefo again, with the URLs that it has
version_added: 0.2.0
description:
  - For a release whose services have other definitions. Run it where Astakos is.
  - C(snf-component-register) asks questions and ends with 0 whatever comes of it. So the URLs are read from
    C(snf-manage component-list) before, given as answers, and read again after it.
options:
  name: {type: str, default: cyclades, description: The component.}
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
    details: In check mode the URLs are only read.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: To register it once more changes nothing, but is done each time.
"""

EXAMPLES = r"""
- name: Register Cyclades again
  shakenfist.rolling.synnefo_component:
    name: cyclades
"""

RETURN = r"""
base_url: {returned: success, type: str, description: The URL of the component.}
ui_url: {returned: success, type: str, description: The URL of its user interface.}
report: {returned: success, type: list, description: "What was done, in words."}
"""

import csv

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, last_lines

LIST = ["snf-manage", "component-list", "-o", "name,base_url,ui_url", "--output-format=csv", "--no-headers"]
# What it says when it has got as far as that; it may have failed all the same.
DONE = "services"


def urls_of(run, name):
    """The two URLs of a component."""
    rc, out, err = run(LIST)
    if rc != 0:
        raise RollingError(f"snf-manage component-list failed (rc {rc}): {last_lines(err or out)}")
    for row in csv.reader(out.splitlines()):
        if len(row) == 3 and row[0].strip() == name:
            return row[1].strip(), row[2].strip()
    raise RollingError(f"snf-manage component-list has no component {name}: register it with snf-component-register "
                       f"{name}, and start again")


def register(run, name, check):
    before = urls_of(run, name)
    if not all(before):
        raise RollingError(f"the component {name} has no base URL, or none of its user interface: set them with "
                           f"snf-manage component-modify {name}, and start again")
    result = dict(base_url=before[0], ui_url=before[1], changed=True)
    if check:
        return dict(result, report=[f"{name} would be registered again, with {before[0]} and {before[1]}"])
    rc, out, err = run(["snf-component-register", name], data="\n".join(["y", *before, "y"]))
    said = last_lines("\n".join([out, err]))
    if rc != 0 or "Traceback" in err or "CommandError" in err or DONE not in out:
        raise RollingError(f"snf-component-register {name} did not register it (rc {rc}):\n{said or 'it said nothing'}")
    after = urls_of(run, name)
    if after != before:
        raise RollingError(f"after snf-component-register {name} it has the URLs {' and '.join(after)}, expected "
                           f"{' and '.join(before)}: correct them with snf-manage component-modify {name}")
    return dict(result, report=[f"{name} was registered again, with {before[0]} and {before[1]}"])


def main():
    module = AnsibleModule(argument_spec=dict(name=dict(type="str", default="cyclades")), supports_check_mode=True)
    conclude(module, lambda: register(module.run_command, module.params["name"], module.check_mode))


if __name__ == "__main__":
    main()
