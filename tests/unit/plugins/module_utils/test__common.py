# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import re

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    explain_os_error,
    last_lines,
    wait_for,
)


def test_an_error_carries_words_and_details():
    error = RollingError("it broke", pip_output="x")
    assert (str(error), error.message, error.details) == ("it broke", "it broke", {"pip_output": "x"})


def test_wait_returns_what_was_seen(clock):
    answers = [None, 0, "there"]
    assert wait_for(lambda: answers.pop(0), timeout=5, interval=0.5) == "there"
    assert not answers and clock.naps == [0.5, 0.5]


def test_wait_looks_once_without_time():
    looks = []
    assert wait_for(lambda: looks.append(1), timeout=0) is None
    assert len(looks) == 1


def test_wait_ends_in_time_and_looks_at_the_end(clock):
    looks = []
    assert not wait_for(lambda: looks.append(1), timeout=0.25, interval=10)
    assert clock.naps == [0.25]
    assert len(looks) == 2


@pytest.mark.parametrize("text, count, expected", [
    ("", 3, ""),
    ("one\n", 3, "one"),
    ("one\n\n  \ntwo  \nthree\n", 2, "two\nthree"),
])
def test_last_lines(text, count, expected):
    assert last_lines(text, count) == expected


def test_a_full_disk_in_words(tmp_path):
    words = explain_os_error(OSError(errno.ENOSPC, "No space left on device"), str(tmp_path), str(tmp_path))
    assert re.fullmatch(rf"the disk is full: \d+ MB are free in {tmp_path}: make room there, and start again", words)


@pytest.mark.parametrize("name, words", [
    (None, "[Errno 5] Input/output error, in /a: see that"), ("/b", "[Errno 5] Input/output error: '/b': see that")])
def test_another_error_names_a_place(name, words):
    assert explain_os_error(OSError(errno.EIO, "Input/output error", name), "/a").startswith(words)
