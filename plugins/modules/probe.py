#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: probe
short_description: Watch in the background whether URLs are served, and read what was seen
version_added: 0.1.0
description:
  - Leaves a process behind on the host that it runs on, which asks one or more URLs at a steady rate and counts which
    requests failed, how long the longest gap between two good answers was, and how long answers took.
  - A request is good if its whole answer comes within O(timeout) with a status of O(expect); all others failed. It is
    sent when it is due, whatever has become of the ones before it, and its time counts from then. Redirects are not
    followed, proxies of the environment are not used, and nothing is asked twice.
  - Every other request has a fresh connection, the others have kept-alive ones, two to each URL, because a drain breaks
    them in different ways. A kept-alive connection that the server has closed while it was idle is replaced before a
    request is sent on it, which costs no request and is counted as C(reopened). RFC 9110, section 9.2.2, would let a
    client also repeat a GET that was sent and got no answer. Many clients do not, so here it failed. Connections that
    were idle for 4 seconds are not used again, so they are really kept at an O(rate) above 1.
  - The watcher counts in time in which it could run. What it was held up for, because its machine was suspended or had
    no time for it (from 0.25 seconds on), is no gap, no latency and no timeout of the service, but C(late). A request
    that ran into a limit of the client before the service had O(timeout) seconds of that time is neither good nor
    failed but C(excused). What the service did itself is never excused. A reset, a refused connection, an answer that
    is cut or a status that is not expected has failed, whatever the watcher did meanwhile.
  - Everything that it keeps is bounded, whatever the time.
notes:
  - A watcher is a process of the user who runs the task, and only that user (the same C(become)) can read and stop it.
  - Where C(systemd-logind) has C(KillUserProcesses=yes), or a service or a container ends, its processes are ended, and
    the watcher with them.
options:
  id:
    description: The name of the watcher. There can be several with different names. Letters, digits, V(.), V(_) and
      V(-), at most 64, not beginning with V(.).
    type: str
    required: true
  state:
    description:
      - V(started) starts a watcher, unless one with this O(id) and these options runs already. One with other options
        fails the module. One that has ended or died is replaced.
      - V(read) returns what was seen so far. It fails if the watcher does not run, whatever it had seen until then.
      - V(stopped) ends it once the in-flight requests have ended, returns what was seen, and removes what it kept on
        disk. For a watcher that did not run to the end it gives a warning.
    type: str
    choices: [started, read, stopped]
    default: started
  url: {type: str, description: "The URL to ask, V(http://HOST:PORT/PATH) or V(https://HOST:PORT/PATH)."}
  urls:
    description: Several of them. Each is asked at O(rate), and gaps are those of each one.
    type: list
    elements: str
  directory:
    description:
      - Where the watcher has a directory named as O(id), with its socket and its last numbers. Nobody but its user may
        enter that. Symbolic links are not followed there.
      - By default C(/run/shakenfist-rolling) for root, C(~/.ansible/shakenfist-rolling) for others.
    type: path
  rate:
    description: Requests a second to each URL. Five find an outage of 0.4 seconds on either kind of connection, cost
      the API next to nothing, and make 18000 requests an hour, so that one failure in thousands is seen.
    type: float
    default: 5
  timeout:
    description: Seconds after which a request that has not been answered whole has failed.
    type: float
    default: 10
  expect:
    description: The statuses that are good answers. No other one is, because a V(404) may come from a balancer that has
      nobody behind it. For a URL that needs credentials, V([401]) proves that the API itself answers.
    type: list
    elements: int
    default: [200]
  headers:
    description: Headers to send, such as C(Authorization). Their values are secret. They are not written to disk, and
      are masked wherever they occur in what the module returns.
    type: dict
    default: {}
  validate_certs: {type: bool, default: true, description: Whether the certificate of an V(https://) URL must be valid.}
  ca_path: {type: path, description: A file with the certificates of authorities to trust instead of the system's.}
  must_answer:
    description: Whether V(started) asks each URL once before it starts a watcher, and fails if the answer is not good.
      A URL that is wrong from the beginning proves nothing.
    type: bool
    default: true
  max_seconds: {type: float, default: 21600, description: The watcher ends by itself after so many seconds.}
  idle_seconds:
    description: The watcher ends by itself when nobody has read it for so many seconds. Take more than the longest step
      between two looks.
    type: float
    default: 3600
  owner:
    description: The id of a process on the same machine. The watcher ends when that process does, such as the
      C(ansible-playbook) for which it watches.
    type: int
  mark:
    description:
      - Only with O(state=read). From now on requests are counted under this name, too; a mark that is the last one
        already changes nothing.
      - V(roll) parts the numbers into C(before) and C(since). Given again it begins anew.
    type: str
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    details: In check mode nothing is started, stopped or marked. V(started) still asks each URL once, and V(read) does
      not fail for want of a watcher.
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Watch the API from the controller, with a token
  shakenfist.rolling.probe:
    id: upgrade
    url: https://api.example.org/api/nodes
    headers:
      Authorization: "Bearer {{ token }}"
  delegate_to: localhost
  run_once: true

- name: Go on only if no request has failed since the mark roll
  shakenfist.rolling.probe:
    id: upgrade
    state: read
    mark: "{{ inventory_hostname }}"
  delegate_to: localhost
  register: seen
  failed_when: seen is failed or seen.probe.since.failed > 0
"""

RETURN = r"""
probe:
  description:
    - What was seen since the watcher was started. V(null) if there is none. Times are seconds since the epoch on the
      wall clock of the host, spans are in seconds, latencies in milliseconds.
    - C(requests) came to an end, C(failed) of them failed, C(excused) had no time because the watcher itself
      was held up. C(kinds) has how many failed for which reason, those that were excused apart, at most 30; what comes
      later is C(other).
    - C(failures) are the first ten and the last ten. C(time) is when the request was sent, C(mark) the mark that was
      the last one then, C(connection) is C(fresh) or C(kept-alive).
    - C(longest_gap) is the longest time between two good answers of a URL, the one included that has not ended yet.
      C(longest_gap_at) is when it began, C(longest_gap_url) of which URL. Without a fault it is 1 / O(rate), and up to
      0.25 seconds more on a busy machine.
    - C(p50) and C(p99) are the times that so many percent of the good answers took at most, known to 2.5 percent,
      C(worst) that of the slowest one, exactly. V(null) without any.
    - C(late) is for how long the watcher itself was held up, all in all, C(worst_late) the longest such time.
    - C(at) is when it began, C(seconds) how long it has watched, C(seen) when these numbers were taken, C(under_way)
      how many requests had not come to an end then.
    - C(reopened) are kept-alive connections that the server had closed while they were idle. C(urls) are the URLs.
    - C(pid) is the watcher's. C(running) is whether it runs; if not, C(ended) is why, in words, C(stopped) after
      O(state=stopped).
    - C(since) has the numbers C(requests) to C(at) from the mark V(roll) on, C(before) those of the minute before it.
      Failures are counted there but not listed. V(null) without that mark.
    - C(marks) has the same for each mark, up to the next one; the time before the first one is C(start). At most the
      last 500. A request belongs to the mark at which it was sent, a gap to all that it overlaps.
    - C(series), when the watcher does not run any more, is a curve. C(good) and C(failed) are how many requests were
      sent in each C(step) of seconds from C(at) on that were good, and that were not. At most 2000 steps; they begin
      with one second and are doubled when there would be more.
  returned: always, except when it failed and nothing is known
  type: dict
  sample:
    requests: 1840
    failed: 3
    excused: 0
    kinds: {"HTTP 503": 2, "reset on a kept-alive connection": 1}
    failures:
      - {"time": 1763700100.2, "mark": "sf-2", "url": "http://api.example.org/api/", "connection": "fresh",
        "seconds": 0.012, "excused": false, "words": "HTTP 503 after 0.01 s on a fresh connection"}
    longest_gap: 0.24
    p50: 2.1
    p99: 42.3
    worst: 503.1
    running: true
    marks: [{"name": "sf-2", "at": 1763700180.0, "requests": 80, "failed": 0, "p50": 2.0, "p99": 9.1}]
    series: {"at": 1763700000.0, "step": 1, "good": [5, 5, 4, 5], "failed": [0, 0, 1, 0]}
"""

import fcntl
import json
import os
import re
import signal
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Timer

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _probe
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials

# Seconds for a watcher to answer.
PATIENCE = 10
# Requests that may be under way at the same time, and requests a second.
UNDER_WAY = 250
FASTEST = 100
# Seconds that no watcher lives; infinity and not-a-number are not below it either.
LATEST = 1e9
# Files that a module may have open, and more; the limit of the system can be a thousand million.
OPEN_FILES = 4096
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Silent(RollingError):
    """The watcher runs and says nothing."""


# ---- the directory


def default_directory():
    if os.geteuid() == 0 and os.path.isdir("/run"):
        return "/run/shakenfist-rolling"
    return str(Path.home() / ".ansible" / "shakenfist-rolling")


def open_directory(path, shown, at=None):
    """Open a directory that is no symbolic link; None if there is nothing."""
    try:
        return os.open(path, FLAGS, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise RollingError(f"{shown} is not a directory that can be used, and a symbolic link is not followed "
                           f"({exc.strerror}): remove it, or give another one in directory") from exc


def check_owner(handle, shown, private):
    """Nobody else may put something in our way in this directory, or read what is in a private one."""
    facts = os.fstat(handle)
    if facts.st_uid != os.geteuid() and (private or facts.st_uid != 0):
        raise RollingError(f"{shown} belongs to the user {facts.st_uid}, not to {os.geteuid()}: run this with the "
                           "become with which the watcher was started, or give another one in directory")
    if facts.st_mode & (0o077 if private else 0o022) and (private or not facts.st_mode & 0o1000):
        could, mode = ("enter", "0700") if private else ("change", "0755")
        raise RollingError(f"{shown} has mode {facts.st_mode & 0o7777:04o}, others could {could} it: chmod {mode} "
                           f"{shown}, or give another one in directory")


@contextmanager
def inside(params, create):
    """Be alone in the watcher's directory; gives a function that removes it, None if there is no directory."""
    directory, name = params["directory"], params["id"]
    shown = os.path.join(directory, name)
    with ExitStack() as stack:
        try:
            if create:
                os.makedirs(directory, mode=0o700, exist_ok=True)
            parent = open_directory(directory, directory)
            if parent is None:
                yield None
                return
            stack.callback(os.close, parent)
            check_owner(parent, directory, private=False)
            place = enter(stack, parent, name, shown, create)
        except OSError as exc:
            raise RollingError(f"cannot make or use {shown}: {exc.strerror}. Give another one in directory") from exc
        if place is None:
            yield None
            return

        def remove():
            try:
                for entry in os.listdir(place):
                    os.unlink(entry, dir_fd=place)
                os.rmdir(name, dir_fd=parent)
            except OSError as exc:
                raise RollingError(f"cannot remove {shown}: {exc.strerror}") from exc

        before = os.open(".", FLAGS)
        stack.callback(os.close, before)
        stack.callback(os.fchdir, before)
        os.fchdir(place)  # the path of a socket is limited to 107 bytes
        yield remove


def enter(stack, parent, name, shown, create):
    """Open the directory C(name) and lock it; None if there is none."""
    while True:
        if create:
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                pass
        place = open_directory(name, shown, parent)
        if place is None:
            return None
        stack.callback(os.close, place)
        check_owner(place, shown, private=True)
        fcntl.flock(place, fcntl.LOCK_EX)
        if os.fstat(place).st_nlink:  # else who had the lock has removed it
            return place


# ---- the watcher


def talk(question, more=0):
    """What the watcher of the current directory says; None if nobody listens, or not to the end.

    :arg more: seconds to wait for it beyond the usual.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE + more)
        data = b""
        try:
            connection.connect(_probe.SOCKET)
            connection.sendall(json.dumps(question).encode() + b"\n")
            while True:
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
        except (FileNotFoundError, ConnectionError):
            return None
        except OSError as exc:  # out of time, or a full queue of those who ask
            raise Silent(f"the watcher of {os.getcwd()} runs, but does not answer within {PATIENCE + more:g} s "
                         f"({exc}). Try again, or end it with state=stopped") from exc
    try:
        return json.loads(data)
    except ValueError:
        return None


def last_state():
    """What the watcher has written last, None if nothing."""
    try:
        with open(os.open(_probe.STATE, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def gone(state):
    """The last report of a watcher that does not run; None if there is none."""
    if state is None:
        return None
    report = state["report"]
    if report["running"]:
        report["running"] = False
        report["ended"] = ("the machine was rebooted" if state["boot"] != _probe.boot_id() else
                           "it was killed or died; journalctl -k says whether the memory ran out")
    return report


def lost(params, report):
    """A failure's words on a watcher that does not run."""
    if report is None:
        return (f"there is no watcher {params['id']!r} in {params['directory']}: it was not started there, or was "
                "stopped, or the machine was rebooted. Start it with state=started")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(report["seen"]))
    ago = max(0.0, time.time() - report["seen"])
    return (f"the watcher {params['id']!r}, pid {report['pid']}, does not run any more: {report['ended']}. It was last "
            f"seen at {when} UTC, {ago:.0f} s ago, with {in_words(report)}. What has happened since then nobody has "
            "seen. Start it again with state=started")


def in_words(report):
    """Numbers in one line."""
    words = f"{report['requests']} requests, failed {report['failed']}, longest gap {report['longest_gap']:.2f} s"
    if report["p50"] is not None:
        words += ", " + ", ".join(f"{key} {report[key]:.0f} ms" for key in ("p50", "p99", "worst"))
    if report["late"]:
        words += f"; the watcher itself was held up for {report['late']:.1f} s, {report['excused']} requests excused"
    return words


def become_watcher(options, ready):
    """Leave the process that was forked for this behind, with nothing that Ansible or ssh waits for."""
    def say(words):
        os.write(3, words.encode())
        os.close(3)

    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.umask(0o077)
        nothing = os.open(os.devnull, os.O_RDWR)
        for handle in range(3):
            os.dup2(nothing, handle)
        os.dup2(ready, 3)
        os.closerange(4, OPEN_FILES)
        _probe.live(options, lambda: say("ok"))
    except Exception as exc:
        try:
            say(f"{type(exc).__name__}: {exc}")
        except OSError:
            pass  # it had started, and its last state says why it ended
    finally:
        os._exit(0)


def leave_behind(options):
    """Start a watcher in the current directory; returns when it listens."""
    reading, ready = os.pipe()
    child = os.fork()
    if not child:
        become_watcher(options, ready)
    os.close(ready)
    with open(reading, encoding="utf-8") as stream:
        words = stream.read()
    os.waitpid(child, 0)
    if words != "ok":
        raise RollingError(f"the watcher did not start: {words or 'it died without a word'}")


def first_answers(options):
    """Ask each URL once."""
    complaints = []
    for url in options["urls"]:
        request = _probe.Request(_probe.Target(url, options), fresh=True)
        timer = Timer(options["timeout"], request.expire)
        timer.start()
        failure = request.ask()
        timer.cancel()
        timer.join()
        if failure:
            complaints.append(f"{url} answers {failure}" if failure.startswith("HTTP") else f"{url}: {failure}")
    if complaints:
        statuses = ", ".join(str(status) for status in options["expect"])
        raise RollingError(f"expected an answer with status {statuses} within {options['timeout']:g} s before the "
                           f"watch begins; seen: {'; '.join(complaints)}. Fix the service, or correct the URL "
                           "or the status that is expected of it")


# ---- the states


def running(params, options):
    """The report of the watcher if it runs with these options; None if it does not run."""
    answer = talk(dict(options=options))
    if answer is None:
        return None
    if answer["differs"]:
        there = [f"{key} ({answer['options'][key]})" if key in answer["options"] else key for key in answer["differs"]]
        raise RollingError(f"a watcher {params['id']!r}, pid {answer['report']['pid']}, runs with other options: "
                           f"{', '.join(there)}. Stop it first, with state=stopped, or take another id")
    return answer["report"]


def started(module, options):
    params = module.params
    for url in options["urls"]:
        _probe.Target(url, options).check()
    with inside(params, create=not module.check_mode) as remove:
        report = running(params, options) if remove else None
        if report is not None:
            return dict(changed=False, probe=report, msg=f"runs already: {in_words(report)}")
        try:
            if params["must_answer"]:
                first_answers(options)
            if module.check_mode:
                return dict(changed=True, probe=None,
                            msg=f"would ask {', '.join(options['urls'])}, {options['rate']:g} times a second")
            leave_behind(options)
        except RollingError:
            if not module.check_mode:
                with suppress(RollingError):
                    remove()
            raise
        report = (talk({}) or {}).get("report")
        if report is None:
            raise RollingError("the watcher died as soon as it was started; journalctl -k says whether the memory "
                               "ran out")
        return dict(changed=True, probe=report,
                    msg=f"asks {', '.join(options['urls'])}, {options['rate']:g} times a second, pid {report['pid']}")


def read(module):
    params = module.params
    with inside(params, create=False) as remove:
        answer = talk({} if module.check_mode else dict(mark=params["mark"])) if remove else None
        report = answer["report"] if answer else gone(last_state()) if remove else None
    if report is not None and report["running"]:
        return dict(changed=False, probe=report, msg=in_words(report))
    if module.check_mode and report is None:
        return dict(changed=False, probe=None, msg="there is no watcher to read")
    raise RollingError(lost(params, report), **({} if report is None else dict(probe=report)))


def stopped(module):
    params = module.params
    with inside(params, create=False) as remove:
        if not remove:
            return dict(changed=False, probe=None, msg="there is no watcher to stop")
        state = last_state()
        ran, report = end(state, module.check_mode)
        if report is None or report["ended"] not in (None, "stopped"):
            module.warn(lost(params, report))
        if not module.check_mode:
            remove()
    would = "would be stopped: " if module.check_mode and ran else ""
    return dict(changed=True, probe=report,
                msg=would + in_words(report) if report else "what it had seen is not known")


def end(state, check):
    """End the watcher of the current directory; returns whether it ran, and its last report."""
    try:
        answer = talk({} if check else dict(stop=True), more=state["timeout"] if state else 0)  # requests are under way
    except Silent:
        if check or state is None:
            raise
        # Who listens in this directory can only be the watcher, so its pid is no other process's by now.
        with suppress(ProcessLookupError):
            os.kill(state["report"]["pid"], signal.SIGKILL)
        talk({})  # until it is gone
        state["report"].update(running=False, ended="it did not answer and was killed")
        return True, state["report"]
    if answer:
        return True, answer["report"]
    return False, gone(last_state())


def check_params(params):
    """Refuse what makes no sense, in words."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", params["id"]):
        raise RollingError(f"id is {params['id']!r}: give letters, digits, '.', '_' and '-', at most 64, not beginning "
                           "with '.'")
    if params["mark"] is not None and (params["state"] != "read" or not 0 < len(params["mark"]) <= 200):
        raise RollingError("mark is a name of at most 200 letters, and goes with state=read")
    for name in ("rate", "timeout", "max_seconds", "idle_seconds"):
        if not 0 < params[name] < LATEST:
            raise RollingError(f"{name} must be more than 0, not {params[name]:g}")


def watch_options(params):
    """What makes one watch differ from another."""
    options = {key: params[key] for key in ("rate", "timeout", "validate_certs", "ca_path", "max_seconds",
                                            "idle_seconds", "owner")}
    options["urls"] = params["urls"] or [url for url in [params["url"]] if url]
    options["expect"] = sorted(set(params["expect"]))
    options["headers"] = {name: str(value) for name, value in params["headers"].items()}
    if not options["urls"]:
        raise RollingError("there is nothing to ask: give url, or urls")
    if not options["expect"] or not all(100 <= status <= 599 for status in options["expect"]):
        raise RollingError(f"expect is {params['expect']}: give statuses of HTTP, such as 200")
    load = options["rate"] * len(options["urls"])
    if load > FASTEST or load * options["timeout"] > UNDER_WAY:
        raise RollingError(f"{len(options['urls'])} URLs at {options['rate']:g} requests a second, which may take "
                           f"{options['timeout']:g} s each, are too much: at most {FASTEST} a second, and {UNDER_WAY} "
                           "under way at once. Lower rate or timeout")
    return options


def act(module):
    params = module.params
    params["directory"] = params["directory"] or default_directory()
    check_params(params)
    if params["state"] == "started":
        return started(module, watch_options(params))
    return (read if params["state"] == "read" else stopped)(module)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            id=dict(type="str", required=True),
            state=dict(type="str", choices=["started", "read", "stopped"], default="started"),
            url=dict(type="str"),
            urls=dict(type="list", elements="str"),
            directory=dict(type="path"),
            rate=dict(type="float", default=5),
            timeout=dict(type="float", default=10),
            expect=dict(type="list", elements="int", default=[200]),
            headers=dict(type="dict", default={}, no_log=True),
            validate_certs=dict(type="bool", default=True),
            ca_path=dict(type="path"),
            must_answer=dict(type="bool", default=True),
            max_seconds=dict(type="float", default=21600),
            idle_seconds=dict(type="float", default=3600),
            owner=dict(type="int"),
            mark=dict(type="str"),
        ),
        mutually_exclusive=[("url", "urls")],
        required_if=[("state", "started", ("url", "urls"), True)],
        supports_check_mode=True,
    )
    hide_credentials(module, module.params["url"], *(module.params["urls"] or ()))
    conclude(module, lambda: act(module))


if __name__ == "__main__":
    main()
