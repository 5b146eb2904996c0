# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import (
    parse_environment_file,
    read_environment_file,
)
from ansible_collections.shakenfist.rolling.tests.unit.strategies import ENVIRONMENT_FILES, PROPERTY
from hypothesis import given
from hypothesis import strategies as st


# The contract test of the lab asks systemd about the same texts.
@PROPERTY
@given(ENVIRONMENT_FILES)
def test_what_is_written_is_read_as_systemd_reads_it(example):
    text, meant = example
    assert parse_environment_file(text) == meant


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("etc") / "config"


@PROPERTY
@given(content=st.lists(st.sampled_from([
    b"A", b"B=", b"=", b'"', b"'", b" ", b"\\", b"\n", b"\r", b"#", b";", b"$", b"\0", b"\xff", b"\xc3\xbc",
    b"\xef\xbf\xbe", b"\xc2\xa0", b"export ", b"A=1\n",
]), max_size=12).map(b"".join))
def test_any_other_file_is_read_or_refused_by_its_line(path, content):
    path.write_bytes(content)
    try:
        found = read_environment_file(str(path))
    except RollingError as exc:
        assert exc.message.startswith("line ") and f" of {path} " in exc.message
    else:
        # As an environment it can be handed on.
        for name, value in found.items():
            assert name.isidentifier() and name.isascii() and "\0" not in value
            value.encode()
