# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import sys

import pytest
from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
from ansible_collections.shakenfist.rolling.plugins.modules import (
    packages,
    prune,
    release,
    resolve_info,
    wheelhouse,
)
from ansible_collections.shakenfist.rolling.tests.unit.fakes import (
    Clock,
    FakeSystemd,
    Quiet,
    Server,
    Workers,
    make_venv,
)


def pytest_configure(config):
    """Run all tests of a worker in one process: ansible-test forks for each, which takes longer than most of them."""
    forked = config.pluginmanager.get_plugin("ansible_forked")
    if forked:
        config.pluginmanager.unregister(forked)


def pytest_sessionfinish(session):
    """Save what a worker has covered: ansible-test does that where a fork ends, and there is none."""
    measured = sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None
    if measured and hasattr(session.config, "workerinput"):
        measured.stop()
        measured.save()


@contextlib.contextmanager
def module_arguments(arguments):
    """Give arguments to the next AnsibleModule, in the way that this version of ansible-core has for it."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:
        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before
    else:
        with patch_module_args(arguments):
            yield


@pytest.fixture(autouse=True)
def turns(monkeypatch, tmp_path_factory):
    """The directory of the locks of modules, which is /run's."""
    monkeypatch.setattr(_common, "TURNS", str(tmp_path_factory.mktemp("turns")))


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Tests share their process, so no module stands back; it has the names of those that would have."""
    wanted = []
    for module in packages, prune, release, resolve_info, wheelhouse:
        monkeypatch.setattr(module, "stand_back", lambda given: wanted.append(given._name))
    return wanted


@pytest.fixture
def run_module(capsys, tmp_path):
    """Run a module as Ansible does and return what it prints: its result, with C(failed) true or false."""

    def run(module, check=False, **arguments):
        arguments = {**dict(_ansible_check_mode=check, _ansible_diff=True, _ansible_remote_tmp=str(tmp_path / "remote"),
                            _ansible_keep_remote_files=False), **arguments}
        capsys.readouterr()
        # What the modules of earlier tests have warned of.
        warnings._global_warnings.clear()
        warnings._global_deprecations.clear()
        with module_arguments(arguments), pytest.raises(SystemExit):
            module.main()
        return {"failed": False, **json.loads(capsys.readouterr().out)}

    return run


@pytest.fixture
def run_release(run_module, tmp_path):
    """Run the module release for the virtualenv and the releases of the test."""
    return lambda state, **arguments: run_module(release, **dict(dict(
        name="0.8.1-0a1b2c3d", state=state, path=str(tmp_path / "venv"), releases=str(tmp_path / "releases"),
        distribution="shakenfist", version="0.8.1"), **arguments))


@pytest.fixture
def clock(monkeypatch):
    """The time of wait_for, which then waits for nothing but the looks themselves."""
    fake = Clock()
    monkeypatch.setattr(_common, "time", fake)
    return fake


@pytest.fixture
def systemd(monkeypatch):
    """A systemd that does what a test tells it to, in place of the commands that modules run."""
    fake = FakeSystemd()
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda dummy, command, **kwargs: fake(command))
    return fake


@pytest.fixture
def serve():
    """Start an HTTP server that answers with the given statuses, one after the other, the last one for ever."""
    servers = []

    def start(*statuses):
        left = list(statuses)

        class Handler(Quiet):
            def do_GET(self):
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

        servers.append(Server(Handler))
        return f"{servers[-1].url}/readyz"

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def serve_workers():
    """Start a server of workers, like gunicorn's sync ones; each answers with a status of its own."""
    servers = []

    def start(*statuses):
        servers.append(Workers(statuses))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def venv(tmp_path):
    """Make fake virtualenvs: venv(name, version=...)."""
    return lambda name, **facts: make_venv(tmp_path / name, **facts)
