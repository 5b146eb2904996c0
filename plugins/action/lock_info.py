# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Sees on the controller whether a holder of the lock on this same controller is gone.

import os

from ansible_collections.shakenfist.rolling.plugins.action.lock import is_dead, myself
from ansible_collections.shakenfist.rolling.plugins.module_utils._lock import broken
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._persistent import PersistentAction


class ActionModule(PersistentAction):
    """The module, with C(gone) filled in."""

    def ask(self, task_vars):
        answer = super().ask(task_vars)
        if answer.get("lock"):
            answer["gone"] = is_dead(answer["lock"], myself(os.getppid()))
            answer["broken"] = answer.get("broken") or broken(answer["lock"], answer["gone"])
        answer["held"] = bool(answer.get("lock")) and not answer.get("ran_out") and not answer.get("gone")
        return answer
