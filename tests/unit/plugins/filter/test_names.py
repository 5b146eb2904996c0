# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import pathlib

import pytest
from ansible_collections.shakenfist.rolling.plugins import filter as package

PLUGINS = sorted(path.stem for path in pathlib.Path(list(package.__path__)[0]).glob("*.py"))


def test_there_are_filters():
    assert PLUGINS


@pytest.mark.parametrize("name", PLUGINS)
def test_a_filter_has_the_name_of_its_file(name):
    module = importlib.import_module(f"ansible_collections.shakenfist.rolling.plugins.filter.{name}")
    assert module.FilterModule().filters() == {name: getattr(module, name)}
