# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import re

from ansible.module_utils import urls


def open_url(url, **options):
    """As in Ansible; but a redirect takes no credentials elsewhere, and no .netrc adds any."""
    return urls.open_url(url, follow_redirects="none", use_netrc=False, http_agent="shakenfist.rolling", **options)


def hide_credentials(module, *addresses):
    """Keep the user and the password of addresses, and only these, out of all that a module returns.

    Call it first of all: what the module was called with is returned, too. Of an option with C(no_log), Ansible would
    hide the whole address, and the operator has to see it in a message.
    """
    for address in filter(None, addresses):
        module.no_log_values.discard(address)
        found = None if address.startswith("/") else re.match(r"(?:[^/]*://)?(.*)@", address)
        if found and found.group(1):
            module.no_log_values.add(found.group(1))
