# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Of all modules that meta/runtime.yml names it for. It has the name of one of them, for an action plugin is documented
# by its module. The modules are not redirected to it: they would share their module_defaults.

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import PersistentAction


class ActionModule(PersistentAction):
    """The module, run once more when its node was lost for a while."""
