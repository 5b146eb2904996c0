# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import schema, schema_info
from ansible_collections.shakenfist.rolling.tests.unit.strategies import PROPERTY
from hypothesis import given
from hypothesis import strategies as st

TABLES = st.text("ab_0- \u00fc", min_size=1, max_size=6)
VERSIONS = st.integers(0, 10 ** 6)
COLUMNS = st.from_regex(r"[a-z_]{1,5}\.[a-z_]{1,5}", fullmatch=True)
# What else it may say, among it what is nearly one of its lines.
NOISE = st.sampled_from([
    "", "MariaDB schema verified.", "Native ENUM columns are up to date", "WARNING: Created table 'x' at version 1",
    "Created table 'x' at version y", "Created table x at version 1", "Migrated table 'x' from version 1",
    "Table 'x' is up to date", "Widened ENUM column(s):", " - version 10.5.1 is older than 10.6.0", "Table 'x'"])


def step(table, before, after):
    line = (f"Created table '{table}' at version {after}" if before is None else
            f"Table '{table}' is up to date (version {before})" if before == after else
            f"Migrated table '{table}' from version {before} to {after}")
    return line, dict(table=table, before=before, after=after)


STEPS = st.builds(step, TABLES, st.one_of(st.none(), VERSIONS), VERSIONS)
WIDENED = st.lists(COLUMNS, min_size=1, max_size=3)
SAID = st.one_of(STEPS, NOISE.map(lambda line: (line, None)), st.tuples(WIDENED, st.sampled_from(["", "."])).map(
    lambda one: (f"Widened ENUM column(s): {', '.join(one[0])}{one[1]}", one[0])))


@PROPERTY
@given(st.lists(st.tuples(SAID, st.sampled_from(["", "  "]), st.sampled_from(["\n", "\r\n"])), max_size=6))
def test_what_was_done_is_read_and_nothing_else(said):
    output = "".join(indent + line + end for (line, dummy), indent, end in said)
    tables = [means for (dummy, means), *dummy in said if isinstance(means, dict)]
    widened = [column for (dummy, means), *dummy in said if isinstance(means, list) for column in means]
    assert schema.parse(output) == (tables, widened)


@PROPERTY
@given(st.text(max_size=40).map(lambda text: f"Created table '{text}") | st.text(max_size=40))
def test_any_other_output_is_passed_over(output):
    tables, widened = schema.parse(output)
    assert schema.difference(tables, widened).keys() == {"before", "after"}


ESCAPES = {"\\": "\\\\", "\0": "\\0", "\n": "\\n", "\r": "\\r", "'": "''"}


@PROPERTY
@given(st.lists(st.text("ab,'\"\\\n\r\0 ()\u00fc", max_size=5), min_size=1, max_size=4))
def test_the_values_of_a_column_are_read_as_they_are(values):
    quoted = ",".join("'" + "".join(ESCAPES.get(sign, sign) for sign in value) + "'" for value in values)
    assert schema_info.enum_values(f"enum({quoted})") == values
