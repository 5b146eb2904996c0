# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc_fragment is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations


class ModuleDocFragment:

    # What every module says of itself; each fills in the support.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Whether the module can tell in check mode what it would change, without changing it.
  diff_mode:
    description: Whether the module shows in diff mode what it changes.
  idempotent:
    description: Whether the module changes nothing when everything is as asked for already.
  platform:
    description: The platforms that the module runs on.
    platforms: posix
    support: full
"""

    # For modules that only look.
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It changes nothing, and does the same in check mode.
  diff_mode:
    support: N/A
    details:
      - It changes nothing.
  idempotent:
    support: full
"""
