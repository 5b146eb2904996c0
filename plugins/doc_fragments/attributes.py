# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc_fragment is private to the collection: it may change at any time, use it only from shakenfist.rolling.


class ModuleDocFragment:

    # What every module says of itself; one that supports less, or has more to say, names that attribute.
    DOCUMENTATION = r"""
options: {}
author: [The shakenfist.rolling authors (@shakenfist)]
attributes:
  check_mode:
    description: Whether the module can tell in check mode what it would change, without changing it.
    support: full
  diff_mode: {support: full, description: Whether the module shows in diff mode what it changes.}
  idempotent:
    description: Whether the module changes nothing when everything is as asked for already.
    support: full
  platform: {platforms: posix, support: full, description: The platforms that the module runs on.}
"""

    # For modules that only look.
    INFO = r"""
options: {}
author: [The shakenfist.rolling authors (@shakenfist)]
attributes:
  check_mode:
    description: Whether the module can tell in check mode what it would change, without changing it.
    support: full
  diff_mode:
    description: Whether the module shows in diff mode what it changes.
    details: It changes nothing.
    support: N/A
  idempotent:
    description: Whether the module changes nothing when everything is as asked for already.
    support: full
  platform: {platforms: posix, support: full, description: The platforms that the module runs on.}
"""
