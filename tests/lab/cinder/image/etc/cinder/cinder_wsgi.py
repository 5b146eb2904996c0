# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gunicorn serves as cinder-api."""

import sys

# Cinder reads its options from here.
sys.argv = ["cinder-api", "--config-file", "/etc/cinder/cinder.conf"]

from cinder.wsgi.wsgi import initialize_application  # noqa: E402

application = initialize_application()
