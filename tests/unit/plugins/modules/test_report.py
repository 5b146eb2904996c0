# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml
from ansible_collections.shakenfist.rolling.plugins.modules import report


def test_it_is_for_the_controller_only(run_module):
    result = run_module(report)
    assert result["failed"] and "its action plugin does that" in result["msg"]


def test_arguments_are_documented_as_they_are():
    documented = yaml.safe_load(report.DOCUMENTATION)["options"]
    assert report.ARGUMENTS == {name: {key: option[key] for key in ("type", "default")}
                                for name, option in documented.items()}
