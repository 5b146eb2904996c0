# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.filter.behind_units import behind_units

LAST = "sf-sentinel-last"


def unit(started=200.0, active=True, managed=True):
    return dict(started=started, active=active, managed=managed)


@pytest.mark.parametrize("units, options, expected", [
    ({"sf-api": unit(), "sf-net": unit()}, {}, []),
    ({"sf-api": unit(50.0), "sf-net": unit()}, {}, ["sf-api"]),
    ({"sf-api": unit(50.0), "sf-net": unit(active=False)}, {}, ["sf-net", "sf-api"]),
    ({"sf-net": unit(None)}, {}, ["sf-net"]),
    # Nobody wants it to run.
    ({"sf-net": unit(50.0, False, False)}, {}, []),
    ({"sf-api": unit(), "sf-net": unit(400.0)}, dict(since=300), ["sf-api"]),
    ({"sf-api": unit(), "sf-net": unit()}, dict(since="300", since_units=["sf-net"]), ["sf-net"]),
    ({"sf-api": unit(50.0), "sf-net": unit(50.0)}, dict(since=300, since_units=["sf-net"]), ["sf-api", "sf-net"]),
    # A sentinel tells what runs, so an old one is behind, unless it is to be left alone. One that is down always is.
    ({LAST: unit(50.0)}, {}, [LAST]),
    ({LAST: unit(50.0)}, dict(alone=[LAST]), []),
    ({LAST: unit(150.0)}, dict(alone=[LAST], since=300), []),
    ({LAST: unit(50.0, active=False)}, dict(alone=[LAST]), [LAST]),
])
def test_behind_units(units, options, expected):
    assert behind_units(units, 100.0, **options) == expected


@pytest.mark.parametrize("active", [0, None, "0"])
def test_a_release_of_which_nobody_knows_since_when(active):
    assert behind_units({"sf-api": unit(50.0)}, active) == []
