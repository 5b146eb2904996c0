# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gunicorn serves as keystone."""

import sys

# Keystone reads its options from here, and gunicorn's are not among them.
sys.argv = ["keystone", "--config-file", "/etc/keystone/keystone.conf"]

from keystone.server.wsgi import initialize_public_application  # noqa: E402

application = initialize_public_application()
