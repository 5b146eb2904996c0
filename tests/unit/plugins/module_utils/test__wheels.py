# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import (
    digests_in_folder,
    digests_in_tar,
    unpack_tar,
    write_tar,
)

CONTENT = {"a-1.dev3+gabc.whl": b"one", "b-1.whl": b"two"}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "from"
    (folder / "a folder").mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    (folder / "link.whl").symlink_to(folder / "b-1.whl")
    return folder


def test_there_and_back(files, tmp_path):
    assert digests_in_folder(files) == DIGESTS
    for tar in ("one.tar", "two.tar"):
        write_tar({name: files / name for name in reversed(list(CONTENT))}, tmp_path / tar)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert digests_in_tar(tmp_path / "one.tar") == DIGESTS
    there = tmp_path / "there"
    there.mkdir()
    unpack_tar(tmp_path / "one.tar", ["b-1.whl"], there)
    assert digests_in_folder(there) == {"b-1.whl": DIGESTS["b-1.whl"]}
    assert (there / "b-1.whl").stat().st_mode & 0o777 == 0o644


def test_a_member_with_a_path(files, tmp_path):
    write_tar({"../b-1.whl": files / "b-1.whl"}, tmp_path / "bad.tar")
    with pytest.raises(RollingError, match="which is no plain file with a name of its own"):
        digests_in_tar(tmp_path / "bad.tar")
