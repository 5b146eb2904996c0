# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from ansible.module_utils import urls


def open_url(url, **options):
    """As in Ansible; but a redirect takes no credentials elsewhere, and no .netrc adds any."""
    return urls.open_url(url, follow_redirects="none", use_netrc=False, http_agent="shakenfist.rolling", **options)
