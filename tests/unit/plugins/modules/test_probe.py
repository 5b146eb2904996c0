# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Thread

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _probe
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.modules import probe
from ansible_collections.shakenfist.rolling.tests.unit.fake_service import Service

# Runs the module in a process of its own, as Ansible does: what it leaves behind has to outlive that.
RUNNER = """
import json, sys
arguments = json.loads(sys.argv[1])
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.modules import probe
try:
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    probe.main()
with patch_module_args(arguments):
    probe.main()
"""
# Where the collections and ansible-core are, without following links.
PATH = os.pathsep.join([os.path.abspath(probe.__file__ + 6 * "/.."), os.path.abspath(basic.__file__ + 3 * "/..")])
NOBODY = "http://127.0.0.1:1/"
# Seconds for each condition; none takes more than three.
PATIENCE = 60


@pytest.fixture
def service():
    server = Service()
    yield server
    server.end()


@pytest.fixture
def run(tmp_path):
    """The directory of the watchers; none outlives the test."""
    directory = tmp_path / "run"
    yield directory
    for path in directory.glob("*/state.json"):
        with suppress(OSError):
            pid = json.loads(path.read_text())["report"]["pid"]
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "rolling-probe\n":
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(run, service):
    """Start a watcher; returns what the module said, and its exit code is looked at."""
    def call(check=False, id="x", **arguments):
        urls = {} if "urls" in arguments else dict(url=service.url)
        arguments = dict(dict(urls, directory=str(run), rate=20, timeout=10), **arguments)
        arguments.update(id=id, _ansible_check_mode=check, _ansible_remote_tmp="/none")
        # It returns only when nobody holds its output any more.
        done = subprocess.run([sys.executable, "-c", RUNNER, json.dumps(arguments)], timeout=60, capture_output=True,
                              env=dict(os.environ, PYTHONPATH=PATH), check=False)
        assert done.stdout, done.stderr
        return {"failed": False, **json.loads(done.stdout)}
    return call


@pytest.fixture
def ask(run, run_module):
    def call(state="read", id="x", **arguments):
        return run_module(probe, id=id, state=state, directory=str(run), **arguments)
    return call


@pytest.fixture(autouse=True)
def warned(monkeypatch):
    said = []
    monkeypatch.setattr(probe.AnsibleModule, "warn", lambda dummy, words: said.append(words))
    return said


def lives(pid):
    """Whether a process runs; in a container without an init a dead one may stay as a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def failed_at(report, mark):
    """How many requests failed that were sent at a mark; one that was under way then belongs to the mark before."""
    return sum(numbers["failed"] for numbers in report["marks"] if numbers["name"] == mark)


def has_stopped(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# ---- a life


def test_a_whole_life(start, ask, run, service):
    first = start()
    assert first["changed"] and first["probe"]["running"]
    pid = first["probe"]["pid"]
    assert first["msg"] == f"asks {service.url}, 20 times a second, pid {pid}"
    assert wait_for(lambda: ask()["probe"]["requests"] > 20, PATIENCE)

    again = start()
    assert not again["changed"] and again["probe"]["pid"] == pid and again["msg"].startswith("runs already: ")

    seen = ask(mark="roll")
    assert not seen["changed"] and not seen["failed"] and seen["probe"]["failed"] == 0
    assert seen["probe"]["before"]["requests"] > 20 and seen["probe"]["before"]["p99"] >= seen["probe"]["before"]["p50"]
    assert seen["msg"].startswith(f"{seen['probe']['requests']} requests, failed 0, longest gap ")

    ask(mark="sf-1")
    # Until then a request that was sent before the marks may be under way.
    assert wait_for(lambda: ask()["probe"]["marks"][-1]["requests"] > 10, PATIENCE)
    service.behaviour = 503
    assert wait_for(lambda: failed_at(ask()["probe"], "sf-1"), PATIENCE)
    service.behaviour = 200
    ask(mark="sf-2")
    good = ask()["probe"]["marks"][-1]["requests"]
    assert wait_for(lambda: ask()["probe"]["marks"][-1]["requests"] > good + 2, PATIENCE)

    result = ask("stopped")
    report = result["probe"]
    assert result["changed"] and report["ended"] == "stopped" and not report["running"]
    assert failed_at(report, "sf-1") and report["failures"][0]["words"].startswith("HTTP 503 after ")
    assert report["before"]["failed"] == failed_at(report, "start") == 0
    assert report["since"]["failed"] == report["failed"] == report["kinds"]["HTTP 503"]
    assert report["requests"] == sum(report["series"]["good"] + report["series"]["failed"])
    assert report["requests"] == sum(mark["requests"] for mark in report["marks"]) == service.count() - 1
    assert wait_for(lambda: not lives(pid), PATIENCE) and os.listdir(run) == []
    kinds = {"Connection: close" in head for heads in service.requests[1:] for head in heads}
    assert kinds == {True, False}

    assert ask("stopped") == dict(changed=False, failed=False, probe=None, msg="there is no watcher to stop",
                                  invocation=result["invocation"])


def open_files(pid):
    """What a process has open, but for what it closes meanwhile."""
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(path)


def test_it_is_on_its_own(start):
    pid = start()["probe"]["pid"]
    assert os.getsid(pid) != os.getsid(0) and os.getpgid(pid) != os.getpgid(0)
    assert int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in (os.getpid(), pid)
    assert {name for name in open_files(pid) if not name.startswith("socket:")} == {"/dev/null"}
    assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "rolling-probe\n"


def test_nobody_else_can_look(start, ask, run):
    old = os.umask(0)
    try:
        result = start(headers={"Authorization": "Bearer secret"})
    finally:
        os.umask(old)
    assert run.stat().st_mode & 0o777 == (run / "x").stat().st_mode & 0o777 == 0o700
    for name in ("state.json", "socket"):
        assert (run / "x" / name).stat().st_mode & 0o077 == 0
    assert "secret" not in (run / "x" / "state.json").read_text()
    assert "headers" in result["invocation"]["module_args"] and "secret" not in json.dumps(result)


def test_two_at_once(start, ask, run, service):
    other = Service()
    try:
        one, two = start(id="one"), start(id="two", urls=[other.url, service.url], rate=10)
        assert one["probe"]["pid"] != two["probe"]["pid"] and two["probe"]["urls"] == [other.url, service.url]
        other.behaviour = 500
        assert wait_for(lambda: ask(id="two")["probe"]["failed"], PATIENCE)
        assert ask("stopped", "two")["changed"]
        assert ask(id="one")["probe"]["failed"] == 0 and os.listdir(run) == ["one"]
    finally:
        other.end()


def test_started_by_several_at_once(start):
    """As by a task of many nodes that is delegated to one."""
    results = []
    threads = [Thread(target=lambda: results.append(start())) for dummy in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["changed"] for result in results) == [False, False, True]
    assert len({result["probe"]["pid"] for result in results}) == 1


@pytest.mark.parametrize("options, words", [
    (dict(rate=7), "rate (20.0)"), (dict(expect=[200, 401]), "expect ([200])"), (dict(timeout=4), "timeout (10.0)"),
    (dict(headers={"Authorization": "secret, too"}), ": headers. Stop"),
])
def test_other_options(start, ask, options, words):
    pid = start(headers={"Authorization": "secret"})["probe"]["pid"]
    result = start(**dict(dict(headers={"Authorization": "secret"}), **options))
    assert result["failed"] and result["msg"].startswith(f"a watcher 'x', pid {pid}, runs with other options: ")
    assert words in result["msg"] and "state=stopped" in result["msg"] and "secret" not in result["msg"]
    assert ask()["probe"]["pid"] == pid


def test_the_order_of_statuses_does_not_matter(start):
    assert start(expect=[401, 200])["changed"] and not start(expect=[200, 401, 200])["changed"]


def test_a_service_that_goes_away_and_comes_back(start, ask, service):
    start()
    port = service.port
    assert wait_for(lambda: ask()["probe"]["requests"] > 5, PATIENCE)
    ask(mark="roll")
    service.close()
    assert wait_for(lambda: failed_at(ask()["probe"], "roll") > 10, PATIENCE)
    assert wait_for(lambda: ask()["probe"]["kinds"].get("connection refused", 0) > 5, PATIENCE)
    assert wait_for(lambda: ask()["probe"]["since"]["longest_gap"] > 0.18, PATIENCE)
    service.open(port)
    failed = ask(mark="back")["probe"]["failed"]
    assert wait_for(lambda: ask()["probe"]["marks"][-1]["p50"] is not None, PATIENCE)
    report = ask("stopped")["probe"]
    assert report["failed"] >= failed
    assert report["since"]["longest_gap"] > 0.18


def test_a_service_that_hangs(start, ask, service):
    start(timeout=1, must_answer=False)
    service.behaviour = "hang"
    assert wait_for(lambda: ask()["probe"]["kinds"].get("timeout"), PATIENCE)
    # The last good answer may have come after the first request that hung.
    assert wait_for(lambda: ask()["probe"]["longest_gap"] >= 1, PATIENCE)
    report = ask("stopped")["probe"]
    # On a machine that stood still some are excused beside it.
    assert report["under_way"] == 0 and set(report["kinds"]) - {"timeout (excused)"} == {"timeout"}
    assert report["longest_gap"] >= 1


# ---- it does not run any more


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)
    assert wait_for(lambda: not lives(pid), PATIENCE)


def test_killed(start, ask, warned, run):
    first = start()
    assert wait_for(lambda: ask(mark="sf-1")["probe"]["requests"] > 5, PATIENCE)
    pid = first["probe"]["pid"]
    kill(pid)
    for dummy in range(2):
        result = ask()
        assert result["failed"] and not result["probe"]["running"] and result["probe"]["requests"] > 5
        assert result["probe"]["marks"][-1]["name"] == "sf-1"
        for words in (f"the watcher 'x', pid {pid}, does not run any more: it was killed or died; journalctl -k",
                      "It was last seen at 20", " s ago, with ", "requests, failed 0", "nobody has seen",
                      "state=started"):
            assert words in result["msg"]
    assert (run / "x" / "socket").exists()
    result = ask("stopped")
    assert result["changed"] and not result["failed"] and result["probe"]["ended"].startswith("it was killed or died")
    assert warned == [warned[0]] and "does not run any more" in warned[0] and os.listdir(run) == []


def test_one_that_died_is_replaced(start, ask, service):
    pid = start()["probe"]["pid"]
    kill(pid)
    again = start(rate=10)
    assert again["changed"] and again["probe"]["pid"] != pid and ask()["probe"]["running"]


def test_the_machine_was_rebooted(start, ask, run):
    kill(start()["probe"]["pid"])
    path = run / "x" / "state.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), boot="another")))
    assert "does not run any more: the machine was rebooted." in ask()["msg"]


def test_a_signal(start, ask):
    kill(start()["probe"]["pid"], signal.SIGTERM)
    assert "does not run any more: it got signal 15." in ask()["msg"]


@pytest.mark.parametrize("options, words", [
    (dict(idle_seconds=1.5), "nobody had read it for 1.5 s (idle_seconds)"),
    (dict(max_seconds=1.5), "it had watched for 1.5 s (max_seconds)"),
])
def test_it_ends_by_itself(start, ask, options, words):
    pid = start(**options)["probe"]["pid"]
    assert wait_for(lambda: not lives(pid), PATIENCE)
    result = ask()
    assert result["failed"] and f"does not run any more: {words}." in result["msg"]
    assert result["probe"]["series"]["good"]


def test_none(ask, run):
    result = ask()
    assert result["failed"] and result["msg"].startswith(f"there is no watcher 'x' in {run}: it was not started there")
    assert "probe" not in result
    run.mkdir(mode=0o700)
    assert ask()["failed"]


@pytest.mark.parametrize("text", ["", "{"])
def test_a_state_that_cannot_be_read(ask, run, warned, text):
    (run / "x").mkdir(parents=True)
    for path in (run, run / "x"):
        path.chmod(0o700)
    (run / "x" / "state.json").write_text(text)
    assert "there is no watcher 'x'" in ask()["msg"]
    result = ask("stopped")
    assert result["changed"] and result["probe"] is None and result["msg"] == "what it had seen is not known"
    assert "there is no watcher 'x'" in warned[0] and os.listdir(run) == []


# ---- it is held up


def test_a_watcher_that_was_held_up_does_not_blame_the_service(start, ask):
    pid = start()["probe"]["pid"]
    assert wait_for(lambda: ask()["probe"]["requests"] > 5, PATIENCE)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert wait_for(lambda: has_stopped(pid), PATIENCE)
        begin = _probe.clock()
        wait_for(lambda: _probe.clock() > begin + 3, PATIENCE)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert wait_for(lambda: ask()["probe"]["late"] > 2, PATIENCE)
    result = ask("stopped")
    report = result["probe"]
    assert report["failed"] == 0 and 2 < report["late"] > report["longest_gap"]
    assert "; the watcher itself was held up for " in result["msg"] and result["msg"].endswith("requests excused")


def test_a_watcher_that_does_not_answer(start, ask, monkeypatch, warned, run):
    monkeypatch.setattr(probe, "PATIENCE", 0.3)
    pid = start(timeout=0.1, must_answer=False)["probe"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert wait_for(lambda: has_stopped(pid), PATIENCE)
    assert f"the watcher of {run}/x runs, but does not answer within 0.3 s" in ask()["msg"]
    assert ask("stopped", check=True)["failed"]
    result = ask("stopped")
    assert result["changed"] and result["probe"]["ended"] == "it did not answer and was killed"
    assert "it did not answer and was killed" in warned[-1]
    assert wait_for(lambda: not lives(pid), PATIENCE) and os.listdir(run) == []


def test_a_watcher_that_cannot_be_ended(start, ask, monkeypatch):
    monkeypatch.setattr(probe, "PATIENCE", 0.2)
    pid = start(timeout=0.1, must_answer=False)["probe"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(probe.os, "kill", lambda *dummy: None)
        assert "does not answer within 0.2 s" in ask("stopped")["msg"]
    kill(pid)


def test_an_answer_that_is_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with probe.socket.socket(probe.socket.AF_UNIX) as listener:
        listener.bind("socket")
        listener.listen()

        def answer():
            with listener.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b'{"report": ')

        thread = Thread(target=answer, daemon=True)
        thread.start()
        assert probe.talk({}) is None
        thread.join()


# ---- check mode


def test_check_mode(start, ask, run, service):
    would = start(check=True)
    assert would["changed"] and would["probe"] is None and not run.exists()
    assert would["msg"] == f"would ask {service.url}, 20 times a second"
    nothing = ask(check=True)
    assert not nothing["failed"] and nothing["probe"] is None
    assert not ask("stopped", check=True)["changed"]
    assert start(check=True, url=NOBODY)["failed"]

    start()
    assert not start(check=True)["changed"] and start(check=True, rate=3)["failed"]
    seen = ask(mark="roll", check=True)
    assert not seen["changed"] and seen["probe"]["before"] is None
    would = ask("stopped", check=True)
    assert would["changed"] and would["msg"].startswith("would be stopped: ") and would["probe"]["running"]
    assert ask()["probe"]["marks"][-1]["name"] == "start"

    kill(seen["probe"]["pid"])
    assert ask(check=True)["failed"] and start(check=True)["changed"]
    assert ask("stopped", check=True)["changed"] and ask()["failed"] and (run / "x").exists()


# ---- the first answer


@pytest.mark.parametrize("behaviour, options, words", [
    (404, dict(), "expected an answer with status 200 within 10 s before the watch begins; seen: {} answers HTTP 404."),
    (200, dict(expect=[401, 403]), "expected an answer with status 401, 403 within 10 s"),
    ("hang", dict(timeout=0.2), "within 0.2 s before the watch begins; seen: {}: timeout."),
    ("trickle", dict(timeout=0.2), "seen: {}: timeout."),
    (200, dict(urls=["{}", NOBODY], rate=10), f"seen: {NOBODY}: connection refused."),
])
def test_a_url_that_does_not_answer(start, service, run, behaviour, options, words):
    service.behaviour = behaviour
    if "urls" in options:
        options = dict(options, urls=[url.format(service.url) for url in options["urls"]])
    result = start(**options)
    assert result["failed"] and words.format(service.url) in result["msg"] and "correct the URL" in result["msg"]
    assert os.listdir(run) == []


def test_it_need_not_answer(start, ask, service):
    service.behaviour = 503
    assert start(must_answer=False)["changed"]
    assert wait_for(lambda: ask()["probe"]["failed"], PATIENCE)


# ---- the directory


def test_default_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setattr(probe.os, "geteuid", lambda: 1000)
    assert probe.default_directory() == "/home/alice/.ansible/shakenfist-rolling"
    monkeypatch.setattr(probe.os, "geteuid", lambda: 0)
    assert probe.default_directory() == "/run/shakenfist-rolling"
    monkeypatch.setattr(probe.os.path, "isdir", lambda dummy: False)
    assert probe.default_directory() == "/home/alice/.ansible/shakenfist-rolling"


@pytest.mark.parametrize("state", ["read", "stopped", "started"])
@pytest.mark.parametrize("planted", ["run", "run/x"])
def test_a_link_is_not_followed(start, ask, tmp_path, run, state, planted):
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    if planted == "run/x":
        run.mkdir(mode=0o700)
    (tmp_path / planted).symlink_to(target)
    result = start() if state == "started" else ask(state)
    assert result["failed"] and f"{tmp_path / planted} is not a directory that can be used" in result["msg"]
    assert os.listdir(target) == []


@pytest.mark.parametrize("mode, own_mode, words", [
    (0o777, None, "run has mode 0777, others could change it: chmod 0755 "), (0o775, None, "run has mode 0775, others"),
    (0o1777, 0o750, "x has mode 0750, others could enter it: chmod 0700 "), (0o755, 0o1777, "x has mode 1777, others"),
    (0o1777, None, None), (0o755, None, None), (0o755, 0o700, None),
])
def test_modes(start, run, mode, own_mode, words):
    run.mkdir()
    if own_mode is not None:
        (run / "x").mkdir()
        (run / "x").chmod(own_mode)
    run.chmod(mode)
    result = start()
    assert result["failed"] == bool(words) and (words or "asks ") in result["msg"]


@pytest.mark.parametrize("uid, private, words", [
    (0, False, None), (1000, False, None), (1000, True, None), (0, True, "/d belongs to the user 0, not to 1000"),
    (1001, False, "/d belongs to the user 1001, not to 1000"), (1001, True, "run this with the become"),
])
def test_owners(monkeypatch, uid, private, words):
    monkeypatch.setattr(probe.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(probe.os, "fstat", lambda dummy: os.stat_result((0o40700, 1, 1, 1, uid, 1, 0, 0, 0, 0)))
    if words is None:
        probe.check_owner(7, "/d", private)
    else:
        with pytest.raises(RollingError, match=words):
            probe.check_owner(7, "/d", private)


def test_a_directory_that_cannot_be_made(start, tmp_path):
    (tmp_path / "file").write_text("")
    result = start(directory=str(tmp_path / "file" / "run"))
    assert result["failed"] and "cannot make or use" in result["msg"] and "Not a directory" in result["msg"]


def test_a_directory_that_cannot_be_removed(start, ask, run):
    start()
    (run / "x" / "mine").mkdir()
    assert f"cannot remove {run}/x: Is a directory" in ask("stopped")["msg"]


def test_a_directory_that_goes_away_while_its_lock_is_waited_for(tmp_path, monkeypatch):
    """Whoever had the lock has stopped the watcher and removed it."""
    waited = []

    def lock(handle, dummy):
        waited.append(handle)
        if len(waited) == 1:
            (tmp_path / "x").rmdir()

    monkeypatch.setattr(probe.fcntl, "flock", lock)
    params = dict(directory=str(tmp_path), id="x")
    tmp_path.chmod(0o700)
    with probe.inside(params, create=True) as remove:
        assert remove and len(waited) == 2 and os.listdir(tmp_path) == ["x"]
    waited.clear()
    with probe.inside(params, create=False) as remove:
        assert remove is None


def test_one_after_the_other(tmp_path):
    tmp_path.chmod(0o700)
    here = os.getcwd()
    with probe.inside(dict(directory=str(tmp_path), id="x"), create=True):
        assert os.getcwd() == str(tmp_path / "x")
        handle = os.open(".", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
    assert os.getcwd() == here


# ---- it does not start


def test_a_watcher_that_cannot_begin(start, run):
    (run / "x" / "state.json.part").mkdir(parents=True)
    run.chmod(0o700)
    (run / "x").chmod(0o700)
    result = start()
    assert result["failed"] and "the watcher did not start: IsADirectoryError: " in result["msg"]


def test_a_watcher_that_dies_at_once(run_module, run, service, monkeypatch):
    monkeypatch.setattr(probe, "leave_behind", lambda dummy: None)
    result = run_module(probe, id="x", url=service.url, directory=str(run))
    assert result["failed"] and result["msg"].startswith("the watcher died as soon as it was started")


# ---- what makes no sense


@pytest.mark.parametrize("arguments, words", [
    (dict(id=".."), "id is '..': give letters"), (dict(id="a/b"), "id is 'a/b'"), (dict(id="x" * 65), "at most 64"),
    (dict(id=""), "id is ''"), (dict(id="x\n"), "id is "),
    (dict(mark="roll"), "mark is a name of at most 200 letters, and goes with state=read"),
    (dict(state="read", mark=""), "mark is a name"), (dict(state="read", mark="x" * 201), "mark is a name"),
    (dict(rate=0), "rate must be more than 0, not 0"), (dict(timeout=-1), "timeout must be more than 0, not -1"),
    (dict(max_seconds="inf"), "max_seconds must be"), (dict(idle_seconds="nan"), "idle_seconds must be"),
    (dict(expect=[]), "expect is []: give statuses"), (dict(expect=[99]), "expect is [99]"),
    (dict(rate=101, timeout=1), "1 URLs at 101 requests a second, which may take 1 s each, are too much: at most 100"),
    (dict(rate=30), "1 URLs at 30 requests a second, which may take 10 s each"),
    (dict(urls=[NOBODY] * 6), "6 URLs at 5 requests a second"),
    (dict(url="ftp://x/"), "'ftp://x/' is not a URL of the form"),
    (dict(url=""), "there is nothing to ask: give url, or urls"), (dict(urls=[]), "there is nothing to ask"),
    (dict(url=NOBODY, urls=[NOBODY]), "mutually exclusive: url|urls"),
])
def test_what_makes_no_sense(run_module, run, arguments, words):
    urls = {} if "urls" in arguments else dict(url=NOBODY)
    result = run_module(probe, **dict(dict(urls, id="x", directory=str(run)), **arguments))
    assert result["failed"] and words in result["msg"] and not run.exists()


def test_no_url(run_module, run):
    result = run_module(probe, id="x", directory=str(run))
    assert result["failed"] and "any of the following are missing: url, urls" in result["msg"]


def test_words_without_a_good_answer():
    report = dict(requests=3, failed=3, longest_gap=2.0, p50=None, late=0, excused=0)
    assert probe.in_words(report) == "3 requests, failed 3, longest gap 2.00 s"


def test_a_directory_that_cannot_be_opened(monkeypatch):
    def fail(*dummy, **more):
        raise OSError(errno.ELOOP, "Too many levels of symbolic links")
    monkeypatch.setattr(probe.os, "open", fail)
    with pytest.raises(RollingError, match="a symbolic link is not followed"):
        probe.open_directory("x", "/d/x")
