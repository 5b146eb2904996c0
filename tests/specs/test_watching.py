# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A run that watches the service: ansible-playbook, role, watcher and service are real, the nodes are this machine.

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from inventories import NO_SUDO

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
PATIENCE = 180  # seconds for a run; it takes about 10

# A roll without its slow parts, in batches of two. The service breaks where the test wants it to.
ROLL = """
- hosts: sf-1
  gather_facts: false
  tasks:
    - shakenfist.rolling.run: {state: begun, kind: upgrade}
      delegate_to: localhost
      delegate_facts: true
    - shakenfist.rolling.run: {state: noted, run: {plan: {order: [sf-1, sf-2, sf-3, sf-4], done: []}}}
      delegate_to: localhost
      delegate_facts: true
    - import_role: {name: shakenfist.rolling.run, tasks_from: begin}
- hosts: sf-1,sf-2,sf-3,sf-4
  serial: 2
  gather_facts: false
  tasks:
    - block:
        - import_role: {name: shakenfist.rolling.run, tasks_from: checkpoint}
        - file: {path: "{{ report_directory }}/broken", state: touch}
          when: breaks
          run_once: true
        - wait_for: {timeout: 2}
          run_once: true
        - shakenfist.rolling.run: {state: noted, node: {rolled: true}}
      rescue:
        - import_role: {name: shakenfist.rolling.run, tasks_from: fail}
- hosts: sf-1
  gather_facts: false
  tasks:
    - import_role: {name: shakenfist.rolling.run, tasks_from: end}
"""


@pytest.fixture
def service(tmp_path):
    """The URL of a service that answers 503 once it is broken."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(503 if (tmp_path / "broken").exists() else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *dummy):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def roll(tmp_path, service):
    """Run the roll; return its exit code, its words on one line, and the report."""
    def run(**variables):
        (tmp_path / "roll.yml").write_text(ROLL, encoding="utf-8")
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({**NO_SUDO, "allsf": {
            "hosts": {f"sf-{number}": {} for number in range(1, 5)}, "vars": dict({
                "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
                "breaks": False, "lock_path": str(tmp_path / "rolling.lock"), "report_directory": str(tmp_path),
                "watch_url": service}, **variables)}, "database": {"hosts": {"sf-1": {}}}}), encoding="utf-8")
        process = subprocess.run(
            [ANSIBLE_PLAYBOOK, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "roll.yml")], cwd=ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env=dict(os.environ, ANSIBLE_FORCE_COLOR="0", ANSIBLE_PIPELINING="1", COLUMNS="1000"))
        words = " ".join((process.stdout + process.stderr).split())
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("rolling-report-*.json")]
        assert not (tmp_path / "rolling.lock").exists(), words
        return process.returncode, words, reports[0] if reports else None
    return run


def test_a_service_that_suffers_stops_the_roll(roll, service):
    """All nodes of the next batch stop, the lock is freed, and the report has the last that was seen."""
    code, words, report = roll(breaks=True)
    assert code != 0 and words.count("may (roll_error_budget)") >= 4, words  # in two tasks, for two nodes
    assert f"{service} during the roll: " in words and "The report: " in words
    assert [node["result"] for node in report["nodes"]] == ["rolled", "rolled", "not touched", "not touched"]
    assert report["probe"]["since"]["failed"] > 0 and report["probe"]["running"] is False


def test_errors_that_may_be(roll):
    code, words, report = roll(breaks=True, roll_error_budget=100000)
    assert code == 0 and report["result"] == "ok" and report["probe"]["since"]["failed"] > 0, words


def test_a_service_that_is_not_there(roll, tmp_path):
    (tmp_path / "broken").touch()
    code, words, report = roll()
    assert code != 0 and "No node was touched." in words and "during the roll" not in words
    assert report["watched"] is False
