# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._haproxy import Haproxy, UnknownName, is_up
from ansible_collections.shakenfist.rolling.tests.unit.fake_haproxy import HEAD, UP, table
from ansible_collections.shakenfist.rolling.tests.unit.strategies import NAMES, PROPERTY, edited
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text("ab,\"' \u00fc#", max_size=6)
STATUS = st.sampled_from(["UP", "UP 1/3", "DOWN", "DOWN 1/2", "DRAIN", "MAINT", "MAINT (via a/b)", "NOLB", "no check"])
COUNT = st.sampled_from(["0", "7", "4294967296"])
SERVERS = st.dictionaries(NAMES, st.builds(
    dict, status=STATUS, scur=COUNT, econ=COUNT, eresp=COUNT, srv_abrt=COUNT,
    check_status=st.sampled_from(["", "L7OK"]), last_chk=WORDS, check_desc=WORDS,
    check_rise=st.sampled_from(["", "2"])), min_size=1, max_size=3)
# Other releases have other columns, in another order.
COLUMNS = st.sampled_from([HEAD, [*HEAD[:2], "new", *HEAD[:1:-1]], [*HEAD, "new", ""]])


class Says(Haproxy):
    """An HAProxy that says one text, whatever it is asked."""

    def __init__(self, text):
        super().__init__("/run/haproxy/admin.sock")
        self.text = text

    def _command(self, command):
        return self.text


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"') else cell


def written(columns, servers):
    """Statistics in the way of HAProxy, which quotes only what it has to."""
    rows = [*(dict(fields, svname=name) for name, fields in servers.items()), dict(svname="BACKEND", status="UP")]
    lines = [["# " + columns[0], *columns[1:]],
             *([dict(row, pxname="sf-api").get(name, "") for name in columns] for row in rows)]
    return "".join(",".join(map(quoted, line)) + "\n" for line in lines) + "\n"


@PROPERTY
@given(COLUMNS, SERVERS)
def test_every_server_is_read_as_it_is(columns, servers):
    found = Says(written(columns, servers)).servers("sf-api")
    assert list(found) == list(servers)
    for name, fields in servers.items():
        assert found[name] == dict(
            status=fields["status"], sessions=int(fields["scur"]), check_status=fields["check_status"],
            check_code="", last_check=fields["last_chk"] or fields["check_desc"], tracks="",
            fall=0, rise=int(fields["check_rise"] or 0),
            errors=sum(int(fields[key]) for key in ("econ", "eresp", "srv_abrt")))
        assert is_up(found[name]) == (fields["status"] in ("UP", "UP 1/3", "no check"))


@PROPERTY
@given(COLUMNS, SERVERS, st.data())
def test_an_answer_that_breaks_off_is_none(columns, servers, data):
    text = written(columns, servers)
    broken = text[:data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(RollingError, match="expected statistics from HAProxy") as caught:
        Says(broken).servers("sf-api")
    # It may come whole the next time.
    assert not isinstance(caught.value, UnknownName)


@PROPERTY
@given(edited([table({"sf-1": UP, "sf-2": dict(UP, tracked="sf-api/sf-1")})],
              ['"', ",", "\n", "\r", "\0", "-", "sf-1", ",2,"]))
def test_any_other_answer_is_read_or_refused(text):
    try:
        servers = Says(text).servers("sf-api")
    except RollingError:
        return
    assert all(server["status"] and isinstance(server["sessions"], int) for server in servers.values())
