# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import health_file
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Clock

NOBODY = "http://127.0.0.1:1/healthcheck"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "healthcheck_disable"


@pytest.fixture
def run(run_module, path, clock):
    return lambda state, url, check=False, **arguments: run_module(
        health_file, check, **dict(dict(path=str(path), state=state, url=url), **arguments))


@pytest.fixture
def pauses(monkeypatch):
    """For how long the module has waited at its end, each time."""
    own = Clock()
    monkeypatch.setattr(health_file, "time", own)
    return own.naps


@pytest.mark.parametrize("statuses, answer", [([503], "503"), ([200, 200, 503], "503"), ([200, 404], "404")])
def test_the_file_is_made(run, serve, path, clock, statuses, answer):
    before = os.umask(0o077)
    try:
        result = run("present", serve(*statuses))
    finally:
        os.umask(before)
    assert not result["failed"] and result["changed"] and result["answer"] == answer
    # Those who serve run as another user.
    assert path.read_text() == "shakenfist.rolling restarts the service\n" and result["own"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert result["diff"] == {"before": f"{path}: absent\n", "after": f"{path}: present\n"}
    assert clock.naps == [health_file.INTERVAL] * (len(statuses) - 1)


def test_a_file_of_an_operator(run, serve, path):
    path.write_text("")
    result = run("present", serve(503))
    assert not result["changed"] and result["own"] is False and path.read_text() == ""


@pytest.mark.parametrize("statuses", [[200], [503, 503, 200]])
def test_the_file_is_removed(run, serve, path, statuses):
    path.write_text("")
    result = run("absent", serve(*statuses))
    assert not result["failed"] and result["changed"] and result["answer"] == "200" and not path.exists()
    assert result["diff"] == {"before": f"{path}: present\n", "after": f"{path}: absent\n"}


@pytest.mark.parametrize("state, status", [("present", 503), ("absent", 200)])
def test_again(run, serve, path, pauses, state, status):
    """The health check is asked all the same: who made the file may not have waited for it."""
    if state == "present":
        path.write_text("by somebody else")
    result = run(state, serve(200, 503, status), pause=5)
    assert not result["failed"] and not result["changed"] and result["answer"] == str(status)
    assert result["diff"]["before"] == result["diff"]["after"] == f"{path}: {state}\n" and pauses == []
    assert state == "absent" or path.read_text() == "by somebody else"


def test_a_link_that_leads_nowhere_is_there(run, serve, path):
    path.symlink_to("nowhere")
    assert run("absent", serve(200))["changed"] and not os.path.lexists(path)


def test_a_service_that_does_not_answer_fails_its_check(run, path):
    result = run("present", NOBODY)
    assert not result["failed"] and result["changed"] and result["answer"] == "Connection refused"


def test_a_balancer_that_cannot_be_asked_gets_its_time(run, serve, pauses):
    assert run("present", serve(503), pause=2.5)["changed"] and pauses == [2.5]
    assert run("absent", serve(200), pause=1)["changed"] and pauses == [2.5, 1]


@pytest.mark.parametrize("state, status, message", [
    ("present", 200, "expected anything but 200 from {url} within 3 s after {path} was made (is it the one that its "
                     "configuration names?); last seen: 200"),
    ("absent", 503, "expected 200 from {url} within 3 s after {path} was removed; last seen: 503"),
])
def test_a_health_check_that_does_not_say_so(run, serve, path, clock, pauses, state, status, message):
    if state == "absent":
        path.write_text("")
    url = serve(status)
    result = run(state, url, timeout=3, pause=5)
    assert result["failed"] and result["msg"] == message.format(url=url, path=path)
    assert result["changed"] and result["answer"] == str(status) and path.exists() == (state == "present")
    assert sum(clock.naps) == pytest.approx(3) and pauses == []


def test_nobody_answers_any_more(run, path):
    result = run("absent", NOBODY, timeout=1)
    assert result["failed"] and not result["changed"] and result["msg"].endswith("; last seen: Connection refused")


@pytest.mark.parametrize("state, there", [("present", False), ("present", True), ("absent", False), ("absent", True)])
def test_check_mode(run, path, pauses, state, there):
    if there:
        path.write_text("")
    result = run(state, NOBODY, check=True, pause=5)
    assert not result["failed"] and result["changed"] == (there != (state == "present")) and result["answer"] == ""
    assert path.exists() == there and pauses == []


@pytest.mark.parametrize("state, message", [("present", "No such file or directory"), ("absent", "Is a directory")])
def test_a_file_that_cannot_be_made_or_removed(run, tmp_path, state, message):
    place = tmp_path / "none" / "file" if state == "present" else tmp_path
    result = run(state, NOBODY, path=str(place))
    assert result["failed"] and result["msg"] == f"{place} is to be {state}: {message}"


def test_a_url_that_cannot_be_asked(run, path):
    result = run("present", "https://127.0.0.1/healthcheck")
    assert result["failed"] and not path.exists()
    assert result["msg"] == "'https://127.0.0.1/healthcheck' is not a URL of the form http://HOST:PORT/PATH"
