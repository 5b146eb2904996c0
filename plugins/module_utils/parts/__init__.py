# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What modules do, so that the module several can run some of them in one process. Each part has the name of its module,
# the arguments of it in ARGUMENTS, and run(), which returns its result or raises RollingError.
