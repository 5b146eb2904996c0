# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from ansible.plugins.action import ActionBase
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import plain


class ControllerAction(ActionBase):
    """An action that connects to no node: it takes data, and returns data. Each has C(arguments) and C(answer)."""

    _supports_check_mode = True
    _requires_connection = False
    arguments: dict = {}

    def run(self, tmp=None, task_vars=None):
        result = dict(super().run(tmp, task_vars), changed=False)
        given = plain(self.validate_argument_spec(argument_spec=self.arguments)[1])
        return dict(result, **self.answer(given, task_vars))

    def answer(self, arguments, task_vars):
        """What is added to the result; arguments are of Python's own types."""
        raise NotImplementedError
