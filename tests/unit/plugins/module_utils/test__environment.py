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
from ansible_collections.shakenfist.rolling.tests.unit.environment_files import LINES


@pytest.mark.parametrize("line, expected", LINES)
def test_lines(line, expected):
    if expected is None:
        with pytest.raises(RollingError, match="line 1 of the configuration .*correct that line"):
            parse_environment_file(line)
    else:
        assert parse_environment_file(line) == expected


def test_an_error_names_the_line_but_does_not_quote_it():
    with pytest.raises(RollingError) as caught:
        parse_environment_file('A="1"\nPASSWORD="secret\n', "/etc/sf/config")
    assert "line 2 of /etc/sf/config (PASSWORD)" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("text, line", [("# A \\\nB=1", 2), ("# x=y \\\n  B = 1\n", 2), ("A=1\n; A \\\nB=1", 3)])
def test_what_follows_a_comment_depends_on_the_version_of_systemd(text, line):
    with pytest.raises(RollingError, match=f"line {line} of the configuration comes after a comment that ends in "):
        parse_environment_file(text)


@pytest.mark.parametrize("text, expected", [(text, found) for text, found in LINES if found is not None])
def test_a_file_is_read_as_its_text(tmp_path, text, expected):
    (tmp_path / "config").write_bytes(text.encode())
    assert read_environment_file(str(tmp_path / "config")) == expected


@pytest.mark.parametrize("text", ["my secret", "my secret = x", "A=1\nmy secret\n", 'my secret = "x'])
def test_what_is_no_assignment_is_not_quoted(text):
    with pytest.raises(RollingError) as caught:
        parse_environment_file(text)
    assert "secret" not in caught.value.message


def test_read_a_file(tmp_path):
    path = tmp_path / "config"
    path.write_text('# comment\nSHAKENFIST_X="ü"\n', encoding="utf-8")
    assert read_environment_file(str(path)) == {"SHAKENFIST_X": "ü"}


@pytest.mark.parametrize("content, reason", [(None, "No such file"), (b"\xff\xfe=", "decode")])
def test_a_file_that_cannot_be_read(tmp_path, content, reason):
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RollingError, match=f"cannot read {path}: .*{reason}"):
        read_environment_file(str(path))
