# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sys
import types

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'lab'))

import lab  # noqa: E402


@pytest.fixture
def podman(monkeypatch):
    """A podman with these machines that have exited, and what they said last."""
    def there(gone, words=''):
        answers = {'ps': ''.join(lab.PREFIX + name + '\n' for name in gone), 'logs': words}
        monkeypatch.setattr(lab, 'podman', lambda verb, *dummy, **more: types.SimpleNamespace(
            stdout=answers[verb], stderr='', returncode=0))
    return there


def test_a_machine_that_has_exited_is_not_waited_for(podman):
    podman(['sf-1', 'sf-2'], 'Failed to mount cgroup')
    with pytest.raises(lab.LabError) as caught:
        lab.wait_until('the nodes are not all created', lambda: 'sf-1 is unknown')
    assert str(caught.value) == ('exited, and not up: sf-1, sf-2. The last words of the first one:\nFailed to mount '
                                 'cgroup\nNext: tools/lab down, and up again')


@pytest.mark.parametrize('words', ['Failed to create inotify object', 'Failed to allocate it: Too many open files'])
def test_what_ran_out_is_named(podman, words):
    podman(['db'], words)
    with pytest.raises(lab.LabError, match='Next: sysctl fs.inotify.max_user_instances=1024 .now [0-9]+: systemd'):
        lab.check_machines()


def test_machines_that_run_are_waited_for(podman, monkeypatch):
    podman([])
    seen = ['not yet', '']
    lab.wait_until('it is not there', lambda: seen.pop(0))
    assert seen == []
    with pytest.raises(lab.LabError, match='it is not there within 0 s; last seen: never'):
        lab.wait_until('it is not there', lambda: 'never', limit=0)
