# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Most of these run ansible-playbook, with the real playbook and roles over modules that answer what they are told.

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.shakenfist.rolling.plugins.callback import rollout
from ansible_collections.shakenfist.rolling.tests.unit.fake_roll import ANSWERS, ROOT, FakeRoll

# Seconds, after which a test fails that waits for something.
PATIENCE = 120
STEPS = ["quorum", "drain", "activate", "restart", "gate", "settle"]
ONE_NODE = dict(order=["sf-1"], database=["sf-1"], others=[], batches=[], done=["sf-2", "sf-3"])
TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


@pytest.fixture
def fake(tmp_path):
    """A cluster of which one node is to be rolled."""
    return FakeRoll(tmp_path, ONE_NODE)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A roll of three nodes into a log, with the ansible.cfg of the examples: its output, its events."""
    roll = FakeRoll(tmp_path_factory.mktemp("good"))
    (roll.root / "ansible.cfg").write_text((ROOT / "examples" / "ansible.cfg").read_text())
    roll.answer(sf_1__drain=dict(ANSWERS["drain"], warnings=["HAProxy cannot be asked"]))
    run = roll.run(TERM="xterm")
    assert run.returncode == 0, run.stdout
    return run.stdout, roll.events()


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A roll that fails on the second node."""
    roll = FakeRoll(tmp_path_factory.mktemp("bad"))
    roll.answer(sf_2__drain=dict(ANSWERS["drain"], failed=True, msg="expected sf-api to end\nby itself"))
    run = roll.run()
    assert run.returncode == 2, run.stdout
    return run.stdout, roll.events()


# The real lock, on a node whose lock is empty but for the request in a file.
LOCK = """
import json

INTERVAL = 0.1


class ActionModule(ActionModule):
    def run_module(self, module, module_args, task_vars):
        with open(os.path.join(os.path.dirname(os.environ["FAKE_ROLL"]), "request"), encoding="utf-8") as handle:
            request, doing = json.load(handle), module_args.get("doing", "")
        if module_args.get("state") != "renewed" or not doing.startswith("rolling"):
            return dict(changed=False, lock=None)
        paused = request and request["want"] == "pause"
        return dict(changed=False, request=request, lock=dict(doing=f"paused, next: {doing}" if paused else doing))
"""


class Terminal:
    """A program in a terminal of 40 lines and 120 columns."""

    def __init__(self, roll, **environment):
        self.end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(roll.command(), cwd=roll.root, stdin=other, stdout=other, stderr=other,
                                        env=roll.environment(TERM="xterm", **environment), start_new_session=True)
        os.close(other)
        self.output = ""

    def read(self, until=None):
        """Read on, until words like these come or the program ends."""
        while until is None or not re.search(until, self.output):
            assert select.select([self.end], [], [], PATIENCE)[0], self.output
            try:
                piece = os.read(self.end, 4096)
            except OSError:  # Linux says so when the other side is closed
                piece = b""
            if not piece:
                assert until is None, self.output
                os.close(self.end)
                return self.process.wait()
            self.output += piece.decode()
        return None

    def screen(self):
        """What is to be seen in the end, with what has scrolled away above it."""
        rows, row, column = [""], 0, 0
        for number, command, move, text in re.findall(r"\033\[([\d;]*)(.)|([\r\n])|([^\033\r\n]+)", self.output):
            if command == "A":
                row -= int(number)
            elif command == "J":
                rows[row:] = [rows[row][:column]]
            elif move == "\r":
                column = 0
            elif move == "\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            elif text:
                rows[row] = rows[row][:column] + text + rows[row][column + len(text):]
                column += len(text)
            else:
                assert command == "m", f"unexpected control sequence {number}{command}"
        assert row == len(rows) - 1 and column == 0
        return rows


@pytest.fixture
def terminal():
    """Start terminals; what still runs at the end is ended."""
    started = []

    def start(roll, **environment):
        started.append(Terminal(roll, **environment))
        return started[-1]
    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def without_numbers(text):
    return [re.sub(r"\d+\.\d s|\d\d:\d\d:\d\d", "N", line) for line in text.splitlines()]


def test_log_of_a_roll(good):
    lines = without_numbers(good[0])
    assert lines[0].startswith("N upgrade by ") and lines[-2:] == [
        "N upgrade to 0.8.1 ok: 3 of 3 nodes done, N", "N events: rollout.jsonl"]
    first = lines.index("N sf-2 quorum N, 2 of 2 peers ready")
    assert lines[first:first + 7] == [
        "N sf-2 quorum N, 2 of 2 peers ready", "N sf-2 drain N", "N sf-2 activate N", "N sf-2 restart N, 8 units",
        "N sf-2 gate N", "N sf-2 settle N", "N sf-2 done N, N out of rotation; 2 of 3 nodes done, ETA N"]
    assert lines.index("N stage ...") < lines.index("N stage N") < lines.index("N schema ...")
    first = lines.index("N Report what was found")
    assert lines[first + 1:first + 3] == [" " * 9 + "pass  reached", " " * 9 + "pass  readiness: sf-1, sf-2, sf-3"]
    assert "N notes: version 1 -> 2" in lines and "N sf-3 runs 0.8.1" in lines
    assert "PLAY RECAP" in good[0]
    assert re.fullmatch(r"ok=[1-9]\d+", [line for line in lines if line.startswith("sf-1 ")][0].split()[2])


def test_a_log_has_no_control_characters_and_100_columns(good):
    assert all(sign.isprintable() or sign == "\n" for sign in good[0])
    assert [line for line in good[0].splitlines() if len(line) > 100 and TIME.match(line)] == []


def test_the_times_of_a_log_never_run_backwards(good, bad):
    for output in (good[0], bad[0]):
        times = [time.mktime(time.strptime(f"2000 {stamp}", "%Y %H:%M:%S ")) for stamp in TIME.findall(output)]
        # A run may be under way at midnight.
        assert len(times) > 20
        assert all((later - one) % 86400 < 3600 for one, later in zip(times, times[1:], strict=False))


def test_a_warning_is_printed_by_the_default_output(good):
    assert good[0].count("[WARNING]: HAProxy cannot be asked") == 1
    assert good[0].count("TASK [") == 1 and "changed: [sf-1]" in good[0] and "PLAY [" not in good[0]


def test_nothing_secret_is_told(good, bad):
    for output, events in (good, bad):
        assert "hunter2" not in output and "hunter2" not in str(events) and "private" not in str(events)


def test_first_and_last_event(good):
    first, last = good[1][0], good[1][-1]
    assert first["event"] == "start" and first["user"] and first["host"] and first["check"] is False
    assert first["playbook"].endswith("playbooks/upgrade.yml") and first["inventory"][0].endswith("/inventory")
    assert last["event"] == "finish" and last["result"] == "ok" and last["done"] == ["sf-1", "sf-2", "sf-3"]
    assert len({event["run"] for event in good[1]}) == 1 and re.fullmatch("[0-9a-f]{8}", first["run"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in good[1])


def test_each_step_of_each_node_has_its_begin_and_its_end(good):
    for node in ("sf-1", "sf-2", "sf-3"):
        begun = [event for event in good[1] if event["event"] == "begin" and event.get("node") == node]
        ended = [event for event in good[1] if event["event"] == "end" and event.get("node") == node]
        # Nobody follows the last one, and nobody asks the API.
        assert [event["step"] for event in begun] == [event["step"] for event in ended] == [
            step for step in STEPS if (node, step) != ("sf-3", "settle")]
        assert all(one["time"] <= other["time"] for one, other in zip(begun, ended, strict=True))
    begun = [event["step"] for event in good[1] if event["event"] == "begin" and "node" not in event]
    assert begun == ["preflight", "lock", "stage", "schema", "verify", "prune"]


def test_what_the_modules_report_is_in_the_events(good):
    tasks = [event for event in good[1] if event["event"] == "task" and event["node"] == "sf-3"]
    assert next(event for event in tasks if event["step"] == "drain")["details"] == {
        "was_ready": True, "not_ready_after": 0.11, "stopped_after": 0.5, "state": "inactive (dead)"}
    units = [event for event in good[1] if event["event"] == "unit" and event["node"] == "sf-3"]
    assert {(event["step"], event["unit"], event["seconds"]) for event in units} >= {("restart", "sf-api", 0.25)}
    (plan,) = [event for event in good[1] if event["event"] == "plan"]
    assert plan["order"] == ["sf-1", "sf-2", "sf-3"] and plan["release"] == "0.8.1"
    assert plan["releases"] == dict.fromkeys(plan["order"], "0.8.0")
    assert plan["leader"] == "sf-3" and "command" not in plan
    assert [(event["step"], event["message"]) for event in good[1] if event["event"] == "message"][:2] == [
        ("preflight", "pass  reached\npass  readiness: sf-1, sf-2, sf-3"), ("schema", "notes: version 1 -> 2")]


def test_a_failure_is_printed_in_full(bad):
    output, events = bad
    lines = without_numbers(output)
    assert "TASK [shakenfist.rolling.drain : Drain]" in output and "timeline" not in output
    first = lines.index("fatal: [sf-2]: FAILED! => ")
    assert "    msg: |-" in lines[first:] and " " * 8 + "by itself" in lines[first:]
    last = len(lines) - lines[::-1].index("fatal: [sf-2]: FAILED! => ")
    for words in ("sf-2 went back to 0.8.0. It serves, every worker is ready.", "Not touched: sf-3.",
                  "ansible-playbook again"):
        assert " " * 8 + words in lines[last:]
    for line in ("N sf-2 drain failed after N", "N sf-2 restore N, went back to 0.8.0",
                 "N upgrade to 0.8.1 failed in drain on sf-2: 1 of 3 nodes done, N"):
        assert lines.count(line) == 1
    assert events[-1]["result"] == "failed" and events[-1]["failed"] == ["sf-2"] and events[-1]["step"] == "drain"
    failed = [event for event in events if event["event"] == "failed"]
    assert [event["message"].splitlines()[0] for event in failed][0] == "expected sf-api to end"
    assert failed[0]["task"].endswith("Stop the API and witness its drain")
    assert "Not touched: sf-3." in failed[1]["message"]
    assert [event["step"] for event in events if event["event"] == "begin" and event.get("node") == "sf-2"] == [
        "quorum", "drain", "restore"]


def test_live_view(tmp_path, terminal):
    roll = FakeRoll(tmp_path)
    roll.answer(sf_2__drain=dict(ANSWERS["drain"], wait_for=str(tmp_path / "go")))
    shown = terminal(roll)
    shown.read(until=r"sf-2 drain \d+ s, \d+ s on this node, 2 of 2 peers ready")
    # A later one than that: it goes on while nothing happens.
    seen = len(shown.output)
    shown.read(until=rf"(?s).{{{seen}}}.*sf-2 drain [1-9]\d* s, \d+ s on this node")
    (tmp_path / "go").touch()
    assert shown.read() == 0
    drawn = shown.output.replace("\r", "").splitlines()
    with_eta = [line for line in drawn if re.search(r"1 of 3 nodes done, ETA \d\d:\d\d:\d\d, .+ to go", line)]
    assert drawn.index("upgrade to 0.8.1: 0 of 3 nodes done, no ETA yet") < drawn.index(with_eta[0])
    assert max(int(height) for height in re.findall(r"\033\[(\d+)A", shown.output)) <= 4
    # In the end there are only the lines that stay, each once.
    lines = [re.sub(r"\d+\.\d s|\d\d:\d\d:\d\d", "N", line) for line in shown.screen()]
    assert lines.count("N sf-2 drain N") == 1 and lines[-2:] == ["N events: rollout.jsonl", ""]
    assert not [line for line in lines if "to go" in line or "on this node" in line or "no ETA" in line]
    assert [event["step"] for event in roll.events("end") if event.get("node") == "sf-2"] == STEPS


@pytest.fixture
def asked_for(fake):
    """A roll whose lock has the request that this sets, before its node."""
    def ask_for(want):
        words = "bob@desk asked for that at 2026-11-21 12:57:56 UTC (7 s ago): the storage"
        made = dict(want=want, words=words, user="bob", host="desk", reason="the storage")
        (fake.root / "new").write_text(json.dumps(made if want else None))
        (fake.root / "new").rename(fake.root / "request")
    fake.write("plugins/action/lock.py", (ROOT / "plugins" / "action" / "lock.py").read_text() + LOCK)
    ask_for("pause")
    return ask_for


@pytest.mark.parametrize("output, time_of_it", [("shakenfist.rolling.rollout", "N "), ("default", "")])
def test_a_pause(fake, asked_for, output, time_of_it):
    (fake.root / "ansible.cfg").write_text("[defaults]\ncallbacks_enabled = shakenfist.rolling.rollout\n")
    process = subprocess.Popen(fake.command(), cwd=fake.root, env=fake.environment(ANSIBLE_STDOUT_CALLBACK=output),
                               text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (fake.log.exists() and '"event": "pause"' in fake.log.read_text()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        asked_for(None)
        lines = without_numbers(process.communicate(timeout=PATIENCE)[0])
    finally:
        process.kill()
    assert process.returncode == 0
    first = lines.index(f"{time_of_it}The roll is paused, next: rolling sf-1.")
    assert lines[first + 1] == " " * 9 * bool(time_of_it) + (
        "bob@desk asked for that at 2026-11-21 N UTC (7 s ago): the storage")
    (last,) = [number for number, line in enumerate(lines) if line.startswith(f"{time_of_it}The roll goes on after ")]
    assert lines.index("N schema N") < first < last < lines.index("N sf-1 quorum N, 2 of 2 peers ready")
    pause, resume = fake.events("pause", "resume")
    assert (pause["next"], pause["asked_by"], pause["reason"]) == ("rolling sf-1", "bob@desk", "the storage")
    assert resume["seconds"] > 0 and resume["time"] > pause["time"] and fake.events()[-1]["result"] == "ok"


def test_a_pause_without_the_callback(fake, asked_for):
    """The text that the lock announces is printed as any other is."""
    environment = fake.environment(ANSIBLE_STDOUT_CALLBACK="default", PYTHONUNBUFFERED="1")
    process = subprocess.Popen(fake.command(), cwd=fake.root, env=environment, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    late = threading.Timer(PATIENCE, process.kill)
    late.start()
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if lines[-1].startswith("The roll is paused"):
            asked_for(None)
    assert process.wait() == 0, lines
    late.cancel()
    assert "The roll is paused, next: rolling sf-1." in lines and not fake.log.exists()
    assert [line for line in lines if re.match(r"The roll goes on after \d+ s: rolling sf-1$", line)]


def test_live_view_of_a_pause_and_a_stop(fake, asked_for, terminal):
    shown = terminal(fake)
    shown.read(until=r"paused since \d\d:\d\d:\d\d, next: rolling sf-1, asked for by bob@desk: the storage")
    asked_for("stop")
    assert shown.read() == 2
    drawn = shown.output[shown.output.index("The roll is paused"):]
    assert "ETA" not in drawn and "fatal: [sf-1]" in drawn and "Next: when it may go on" in drawn
    lines = [TIME.sub("N ", line) for line in shown.screen()]
    assert not [line for line in lines if line.startswith("paused")] and lines.count("N sf-1 drain N") == 0
    assert re.search(r"upgrade to 0.8.1 stopped as asked: 0 of 1 nodes done, \d+\.\d s$", lines[-3])
    assert fake.events()[-1]["result"] == "stopped" and fake.events()[-1]["failed"] == []


def test_no_live_view_in_a_build(fake, terminal):
    shown = terminal(fake, ANSIBLE_NOCOLOR="1", CI="true")
    assert shown.read() == 0
    assert "\033[" not in shown.output and "sf-1 done" in shown.output and "on this node" not in shown.output


def test_an_interrupted_run_leaves_the_terminal_as_it_was(fake, terminal):
    fake.answer(drain=dict(wait_for=str(fake.root / "never")))
    shown = terminal(fake)
    shown.read(until=r"sf-1 drain [1-9]\d* s, ")
    os.kill(shown.process.pid, signal.SIGINT)
    assert shown.read() != 0
    lines = shown.screen()
    assert re.search(r"sf-1 drain interrupted after \d+\.\d s$", lines[-4]) and lines[-1] == ""
    assert "upgrade to 0.8.1 interrupted in drain on sf-1: 0 of 1 nodes done" in lines[-3]
    assert not [line for line in lines if "on this node" in line] and "User interrupted" in shown.output
    assert fake.events()[-1]["result"] == "interrupted"


def test_a_killed_run_leaves_whole_events_and_the_next_one_goes_on_below(fake):
    fake.answer(drain=dict(wait_for=str(fake.root / "never")))
    process = subprocess.Popen(fake.command(), cwd=fake.root, env=fake.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (fake.log.exists() and '"step": "drain"' in fake.log.read_text()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    killed = fake.events()
    assert killed[-1] == dict(killed[-1], event="begin", node="sf-1", step="drain")
    assert killed[0]["event"] == "start" and "finish" not in {event["event"] for event in killed}
    fake.answer(drain=dict(ANSWERS["drain"], diff=dict(before="sf-api: active\n", after="sf-api: inactive\n")))
    run = fake.run("--check", "--diff")
    assert run.returncode == 0 and "check mode: nothing is changed" in run.stdout
    assert "\nsf-1:\n--- before\n+++ after\n@@ -1 +1 @@\n-sf-api: active\n+sf-api: inactive" in run.stdout
    assert " sf-1 would drain\n" in run.stdout and " ok: check mode: nothing was changed, " in run.stdout
    runs = [event["run"] for event in fake.events("start", "finish")]
    assert fake.events()[:len(killed)] == killed and runs[0] != runs[1] == runs[2]
    assert [event["check"] for event in fake.events("start")] == [False, True]


def test_beside_another_output(fake):
    (fake.root / "ansible.cfg").write_text("[defaults]\ncallbacks_enabled = shakenfist.rolling.rollout\n"
                                           "[callback_rollout]\nrollout_log = events/of/the/roll\n")
    run = fake.run()
    assert run.returncode == 0
    lines = without_numbers(run.stdout)
    assert "TASK [shakenfist.rolling.drain : Drain] ****************************************" in lines
    assert "PLAY [End the run] *************************************************************" in lines
    assert lines.count("changed: [sf-1]") > 5 and lines.count("N sf-1 drain N") == 1
    # It prints what a task says, this one does not.
    assert run.stdout.count("pass  reached") == 1 and run.stdout.count("notes: version 1 -> 2") == 1
    # A file that cannot be written is no failure, and told once.
    assert run.stdout.count("The events are not written") == 1 and not fake.log.exists()
    assert "N events:" not in run.stdout and lines[-1] == "N upgrade to 0.8.1 ok: 1 of 1 nodes done, N"


def test_as_both_it_prints_once(fake):
    (fake.root / "ansible.cfg").write_text("[defaults]\nstdout_callback = shakenfist.rolling.rollout\n"
                                           "callbacks_enabled = shakenfist.rolling.rollout\n")
    run = fake.run("-v", ROLLOUT_LOG="")
    lines = without_numbers(run.stdout)
    assert run.returncode == 0 and lines.count("N sf-1 drain N") == 1 and not fake.log.exists()
    # With -v the default output says everything, and it alone.
    assert run.stdout.count("pass  reached") == 1
    assert run.stdout.count("TASK [shakenfist.rolling.run : Renew the lock]") == 2


OTHER = """
- name: Somebody else's
  hosts: sf-1
  gather_facts: false
  tasks:
    - name: Say
      ansible.builtin.debug: {msg: "somebody else's words"}
    - name: Do it twice
      ansible.builtin.set_fact: {one: "{{ item }}"}
      loop: [1, 2]
    - name: Leave it
      ansible.builtin.set_fact: {one: "{{ item }}"}
      loop: [1, 2]
      when: item > 1
    - name: Include
      ansible.builtin.include_tasks: more.yml
- name: Nobody's
  hosts: nobody
"""
OURS = OTHER.replace("    - name: Include\n", """
    - name: Verify
      ansible.builtin.include_role: {name: shakenfist.rolling.verify}
      vars: {rolling_step: verify}
    - name: Include
""")


def test_other_playbooks_look_as_ever(fake):
    (fake.root / "other.yml").write_text(OTHER)
    (fake.root / "more.yml").write_text("- ansible.builtin.command: 'false'\n  ignore_errors: true\n")
    ours = fake.run(playbook="other.yml", ANSIBLE_PYTHON_INTERPRETER=sys.executable)
    default = fake.run(playbook="other.yml", ANSIBLE_PYTHON_INTERPRETER=sys.executable,
                       ANSIBLE_STDOUT_CALLBACK="default", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    moments = re.compile(r"\d+:\d+:\d+\.\d+|\d{4}-\d\d-\d\d ")
    assert ours.returncode == 0 and moments.sub("", ours.stdout) == moments.sub("", default.stdout)
    assert "somebody else's words" in ours.stdout and "...ignoring" in ours.stdout and not fake.log.exists()


def test_a_role_in_somebody_elses_playbook(fake):
    (fake.root / "ours.yml").write_text(OURS)
    (fake.root / "more.yml").write_text("- ansible.builtin.debug: {msg: somebody else's last words}\n")
    run = fake.run(playbook="ours.yml")
    assert run.returncode == 0
    lines = without_numbers(run.stdout)
    assert "PLAY [Somebody else's] *********************************************************" in lines
    assert "    msg: somebody else's last words" in lines and "skipping: no hosts matched" in lines
    assert "N sf-1 runs 0.8.1" in lines and "shakenfist.rolling.verify :" not in run.stdout
    assert lines.index("N verify N") < lines.index("    msg: somebody else's last words")
    assert "somebody else" not in str(fake.events("message", "task", "failed"))
    assert fake.events()[-1]["event"] == "finish"


@pytest.mark.parametrize("where", ["_rollout.py", "rollout.py"])
def test_a_view_that_is_broken_does_not_change_the_run(fake, where):
    folder, broken = ("plugin_utils", "step_of") if where == "_rollout.py" else ("callback", "is_ours")
    path = fake.collection / "plugins" / folder / where
    path.write_text(f"{path.read_text()}\n\ndef {broken}(*dummy):\n    raise ValueError('broken on purpose')\n")
    run = fake.run()
    said = " ".join(run.stdout.split())  # older ansible-cores break the lines of a warning
    # What an action tells the report is another part than the view.
    assert run.returncode == 0 and said.count("broken on purpose") == 1 + (where == "_rollout.py")
    assert "The view of the roll has failed, the run goes on: ValueError" in said
    assert "pass  reached" in run.stdout
    # Where it is not known what to leave out, nothing is.
    assert ("TASK [shakenfist.rolling.release : Remove old releases" in run.stdout) is (where == "rollout.py")
    assert "sf-1                       : ok=" in run.stdout


# ---- its parts

@pytest.mark.parametrize("change, live", [
    ({}, True), (dict(TERM="dumb"), False), (dict(TERM=None), False), (dict(CI="true"), False),
    (dict(tty=False), False), (dict(verbosity=1), False), (dict(output=False), False),
    (dict(output_of="awx_display"), False)])
def test_who_gets_the_live_view(monkeypatch, change, live):
    for name, value in (("TERM", change.get("TERM", "xterm")), ("CI", change.get("CI"))):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rollout, "IS_OUTPUT", change.get("output", True))
    monkeypatch.setattr(rollout, "C", SimpleNamespace(DEFAULT_STDOUT_CALLBACK=change.get("output_of", rollout.NAME)))
    monkeypatch.setattr(rollout, "sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: change.get("tty", True))))
    callback = rollout.CallbackModule()
    callback._display = SimpleNamespace(verbosity=change.get("verbosity", 0))
    assert callback.wants_live() is live


def test_results_of_all_ansible_cores():
    host = SimpleNamespace(get_name=lambda: "sf-1")
    assert rollout.parts(SimpleNamespace(host=host, task=1, result=2, _host=None)) == ("sf-1", 1, 2)
    assert rollout.parts(SimpleNamespace(_host=host, _task=1, _result=2)) == ("sf-1", 1, 2)


@pytest.mark.parametrize("no_log, data, secret", [
    (False, {}, False), (None, dict(_ansible_no_log=False), False), (True, {}, True), ("{{ hide }}", {}, True),
    (False, dict(_ansible_no_log=True), True), (False, dict(censored="hidden"), True)])
def test_secrets(no_log, data, secret):
    assert rollout.is_secret(SimpleNamespace(no_log=no_log), data) is secret


@pytest.mark.parametrize("data, lines", [
    (dict(msg="one\ntwo"), ["one", "two"]), (dict(msg=["one", "two\nthree"]), ["one", "two", "three"]),
    (dict(msg=[]), []), (dict(msg=dict(a=1)), None), (dict(msg=[1]), None), ({}, None)])
def test_what_is_said_on_purpose(data, lines):
    assert rollout.spoken(dict(data, _ansible_verbose_always=True)) == lines
    assert rollout.spoken(data) is None


def test_how_a_run_went():
    def stats(**counts):
        none = dict(failures=0, unreachable=0)
        return SimpleNamespace(processed=counts, summarize=lambda host: {**none, **counts[host]})
    assert rollout.verdict(None) == ("interrupted", [])
    assert rollout.verdict(stats(a={}, b={})) == ("ok", [])
    assert rollout.verdict(stats(c=dict(unreachable=1), a=dict(failures=1), b={})) == ("failed", ["a", "c"])
