# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc_fragment is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  index_url:
    description:
      - The package index to use instead of the one that pip is configured for on the node.
      - Handed to pip in its environment. Credentials in the URL are kept out of output, and the URL out of logs.
    type: str
  extra_args:
    description:
      - Further arguments of pip, such as V(--pre). Do not put a secret here, arguments are public.
    type: list
    elements: str
    default: []
"""
