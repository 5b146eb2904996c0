# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What is installed to develop and to test is what was pinned, byte by byte.

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / "tests"


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def asked():
    lines = [line for line in (TESTS / "requirements.in").read_text().splitlines() if line[0] != "#"]
    return {canonical(name): version for name, version in
            (re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==(\S+)(?: +#.*)?", line).groups() for line in lines)}


def locked(path):
    """By name and version how many digests each has."""
    text = path.read_text().replace("\\\n", " ")
    found = [re.fullmatch(r"([\w.-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line)
             for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    return [(canonical(one.group(1)), one.group(2), one.group(3).count("--hash")) for one in found]


def test_the_lock_has_what_is_asked_for():
    lock = {name: version for name, version, dummy in locked(TESTS / "requirements.txt")}
    assert len(lock) > len(asked()) > 20 and {name: lock.get(name) for name in asked()} == asked()


@pytest.mark.parametrize("name", ["requirements.txt", "downloads.txt"])
def test_every_line_has_a_digest_and_no_place(name):
    text = (TESTS / name).read_text()
    assert all(count for dummy, dummy, count in locked(TESTS / name))
    assert "://" not in text and not re.search(r"^-", text, re.MULTILINE)


def test_nothing_is_installed_without():
    """Each call of pip that gets something from an index."""
    for name in ("tools/setup", "tools/test"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        calls = re.findall(r"-m pip (?:install|download).*", text)
        assert calls and all("--require-hashes" in call for call in calls), calls
