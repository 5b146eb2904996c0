# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.fallen_units import fallen_units


def unit(active=True, invocation="run2", restarts=0, state="active (running)"):
    return dict(active=active, invocation=invocation, restarts=restarts, state=state)


@pytest.mark.parametrize("units, runs, expected", [
    ({}, None, []),
    ({"sf-api": unit()}, None, []),
    ({"sf-api": unit()}, {"sf-api": {"before": "run1", "after": "run2"}}, []),
    # What happened before anybody looked is no concern of a gate that follows no restart.
    ({"sf-api": unit(restarts=2)}, {}, []),
    ({"sf-api": unit(restarts=2)}, {"sf-api": {"before": None, "after": "run2"}},
     ["sf-api is active (running), but was started again, by systemd 2 times"]),
    ({"sf-api": unit(invocation="run3")}, {"sf-api": {"after": "run2"}},
     ["sf-api is active (running), but was started again, by systemd 0 times"]),
    # Between two looks only what is new counts.
    ({"sf-api": unit(restarts=2)}, {"sf-api": unit(restarts=2)}, []),
    ({"sf-api": unit(restarts=3)}, {"sf-api": unit(restarts=2)},
     ["sf-api is active (running), but was started again, by systemd 3 times"]),
    ({"sf-net": unit(False, state="failed (failed)"), "sf-api": unit(False, state="inactive (dead)")}, {},
     ["sf-api is inactive (dead)", "sf-net is failed (failed)"]),
])
def test_fallen_units(units, runs, expected):
    assert fallen_units(units, runs) == expected
