#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: boot_info
short_description: Find out since when a machine runs
version_added: 0.2.0
description:
  - Returns the id of the boot, and when its first process was started, which is right in a container, too.
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Find out since when the machine runs
  shakenfist.rolling.boot_info:
"""

RETURN = r"""
id: {type: str, returned: success, description: The id of the boot.}
booted: {type: float, returned: success, description: "When it has booted, in seconds since the epoch, by its clock."}
now: {type: float, returned: success, description: What its clock says.}
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    boot_id,
    conclude,
    process_started,
)

STAT = "/proc/stat"


def kernel_booted():
    """When the kernel was started, in seconds since the epoch."""
    with open(STAT, encoding="ascii", errors="replace") as handle:
        return next((float(line.split()[1]) for line in handle if line.startswith("btime ")), 0.0)


def look():
    ticks, began = process_started(1), kernel_booted()
    if not ticks or not began:
        raise RollingError("expected the start of process 1 in /proc, it is not there")
    return dict(id=boot_id(), now=time.time(), booted=began + float(ticks) / os.sysconf("SC_CLK_TCK"))


def main():
    module = AnsibleModule(argument_spec=dict(), supports_check_mode=True)
    conclude(module, look)


if __name__ == "__main__":
    main()
