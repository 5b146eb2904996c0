# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A run that tells others: ansible-playbook, roles and the receivers are real, the nodes are this machine.

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from inventories import NO_SUDO

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
PATIENCE = 120  # seconds for a run; it takes about 8
SECRETS = dict(tell_webhook_headers={"Authorization": "Bearer H3ADER"}, tell_webhook_extra={"routing_key": "K3Y"})
COMMAND = "ansible-playbook -i x shakenfist.rolling.upgrade"


# A roll without its slow parts. Of the second batch, those fail that are named.
ROLL = """
- hosts: sf-1,sf-2,sf-3
  gather_facts: false
  tasks:
    - shakenfist.rolling.run: {state: begun, kind: upgrade}
      delegate_to: localhost
      delegate_facts: true
      run_once: true
    - set_fact:
        stage_resolved: {version: 0.8.1}
        cluster_node: {name: "{{ inventory_hostname }}", ready_url: "http://127.0.0.1:1/readyz", api_unit: sf-api,
          database_unit: sf-database, daemons: [], gateways: [], release: {version: 0.8.0}}
    - shakenfist.rolling.run: {state: noted, node: {seen: {node: {release: {version: 0.8.0}}}}}
    - shakenfist.rolling.run:
        state: noted
        run: {plan: {order: "{{ to_roll }}", serving: "{{ to_roll }}", done: [], command: COMMAND,
                     ready_urls: {sf-1: "http://127.0.0.1:1", sf-2: "http://127.0.0.1:1", sf-3: "http://127.0.0.1:1"}}}
      delegate_to: localhost
      delegate_facts: true
      run_once: true
- hosts: sf-1
  gather_facts: false
  any_errors_fatal: true
  vars: {lock_node: sf-1}
  tasks:
    - import_role: {name: shakenfist.rolling.run, tasks_from: begin}
- hosts: "{{ hostvars.localhost.rolling_run.plan.order or ['sf-1'] }}"
  gather_facts: false
  any_errors_fatal: true
  vars: {lock_node: sf-1, run_phase: stage}
  tasks:
    - any_errors_fatal: false
      block:
        - fail: {msg: no space left}
          when: inventory_hostname in stage_fails
      rescue:
        - import_role: {name: shakenfist.rolling.run, tasks_from: fail}
- hosts: "{{ hostvars.localhost.rolling_run.plan.order[first | int:] }}"
  serial: 2
  gather_facts: false
  vars:
    lock_node: sf-1
    roll_quorum_timeout: 0.1
    roll_on_failure: hold
  tasks:
    - include_role: {name: shakenfist.rolling.roll}
      when: inventory_hostname in roll_fails
    - shakenfist.rolling.run: {state: noted, node: {rolled: true}}
- hosts: sf-1
  gather_facts: false
  vars: {lock_node: sf-1}
  tasks:
    - import_role: {name: shakenfist.rolling.run, tasks_from: end}
""".replace("COMMAND", COMMAND)


class Receiver:
    """A server that keeps what is posted to it, and answers if it may."""

    def __init__(self, status):
        self.messages = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.messages.append((self.path, self.headers["Authorization"], body))
                if status is None:
                    self.rfile.read(1)  # until the other side gives up
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, *dummy):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self.server.server_port}/T0KEN"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def events(self):
        return [body["event"] for dummy, dummy, body in self.messages]


@pytest.fixture
def receive():
    made = []

    def start(status=200):
        made.append(Receiver(status))
        return made[-1]

    yield start
    for receiver in made:
        receiver.server.shutdown()
        receiver.server.server_close()


@pytest.fixture
def roll(tmp_path):
    """Run the roll; return its exit code, its words on one line, and the metrics."""
    hosts = {f"sf-{number}": {} for number in range(1, 4)}
    (tmp_path / "roll.yml").write_text(ROLL, encoding="utf-8")

    def run(*arguments, order=("sf-1", "sf-2", "sf-3"), first=0, **variables):
        metrics = tmp_path / "roll.prom"
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({**NO_SUDO, "allsf": {"hosts": hosts, "vars": dict({
            "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
            "to_roll": list(order), "lock_path": str(tmp_path / "rolling.lock"), "stage_fails": [], "roll_fails": [],
            "report_directory": str(tmp_path), "tell_textfile": str(metrics), "tell_cluster": "prod"}, **variables)},
            "database": {"hosts": {"sf-1": {}}}}), encoding="utf-8")
        process = subprocess.run(
            [ANSIBLE_PLAYBOOK, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "roll.yml"), "-e", f"first={first}",
             *arguments], cwd=ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env=dict(os.environ, ANSIBLE_FORCE_COLOR="0", ANSIBLE_PIPELINING="1", COLUMNS="1000"))
        assert not (tmp_path / "rolling.lock").exists() or process.returncode
        words = " ".join((process.stdout + process.stderr).split())
        return process.returncode, words, metrics.read_text(encoding="utf-8") if metrics.exists() else ""

    return run


def value(metrics, name):
    found = re.search(rf'^shakenfist_rolling_last_roll_{name}{{cluster="prod"}} (.*)$', metrics, re.MULTILINE)
    return found and float(found[1])


def test_a_roll_that_ends_well(roll, receive):
    """Its start and its end are told, and no secret is shown whatever the verbosity."""
    receiver = receive()
    code, words, metrics = roll("-vvvv", "--diff", tell_webhook_url=receiver.url, **SECRETS)
    assert code == 0 and receiver.events() == ["start", "end"], words
    assert not re.search("T0KEN|H3ADER|K3Y", words), re.search(".{200}(T0KEN|H3ADER|K3Y)", words)[0]
    path, authorization, start = receiver.messages[0]
    assert (path, authorization, start["routing_key"]) == ("/T0KEN", "Bearer H3ADER", "K3Y")
    assert re.match(r"prod: upgrade from 0\.8\.0 to 0\.8\.1 begins: 3 nodes, by .+@.+\.$", start["text"])
    end = receiver.messages[1][2]
    assert re.match(r"prod: upgrade from 0\.8\.0 to 0\.8\.1 is complete after .*, 3 of 3 nodes done, by ", end["text"])
    assert end["nodes"]["done"] == ["sf-1", "sf-2", "sf-3"] and end["started"] == start["started"]
    run = end["run"]
    assert re.match("[0-9a-f]{8}$", run) and run == start["run"] and f'run="{run}"' in metrics
    assert (value(metrics, "success"), value(metrics, "running")) == (1, 0) and "K3Y" not in metrics
    assert value(metrics, "end_timestamp_seconds") - value(metrics, "start_timestamp_seconds") == end["seconds"]


def test_a_batch_of_which_two_fail(roll, receive):
    """Both are told in one message, with the cause, the state and the next command."""
    receiver = receive()
    code, words, metrics = roll(tell_webhook_url=receiver.url, roll_fails=["sf-2", "sf-3"], first=1)
    assert code != 0 and receiver.events() == ["start", "failure"], words
    told = receiver.messages[1][2]
    assert told["nodes"] == dict(done=[], failed=["sf-2", "sf-3"], left=["sf-1"], passed_over=[])
    assert "FAILED on sf-2, sf-3 after" in told["text"] and "Wait until enough other nodes are ready: " in told["cause"]
    assert "OUT OF ROTATION" in told["state"] and f"Next: `{COMMAND}`" in told["text"]
    assert told["message"].startswith("sf-2: Wait until") and "Then run the command again" in words
    assert (value(metrics, "success"), value(metrics, "running")) == (0, 0)
    assert 'nodes{cluster="prod",state="failed"} 2' in metrics


def test_a_step_of_all_nodes_fails(roll, receive):
    receiver = receive()
    code, words, metrics = roll(tell_webhook_url=receiver.url, stage_fails=["sf-1", "sf-3"])
    assert code != 0 and receiver.events() == ["start", "failure"], words
    told = receiver.messages[1][2]
    state = "Nothing in service was changed, and the schema was not touched."
    assert (told["cause"], told["state"]) == ("no space left", state)
    assert told["nodes"]["failed"] == ["sf-1", "sf-3"] and told["nodes"]["left"] == ["sf-2"]
    assert told["message"].startswith(f"no space left\n{state}\nNext: fix that, then run")
    assert value(metrics, "success") == 0 and "no space left Nothing in service" in words


@pytest.mark.parametrize("arguments, variables, events, success", [
    ([], dict(order=[]), ["unchanged"], 1),
    ([], dict(order=[], tell_events=["start", "failure", "end"]), [], 1),
    (["--check"], {}, [], None),
])
def test_what_is_told_when(roll, receive, arguments, variables, events, success):
    receiver = receive()
    code, words, metrics = roll(*arguments, tell_webhook_url=receiver.url, **variables)
    assert code == 0 and receiver.events() == events, words
    assert value(metrics, "success") == success


def test_receivers_and_directories_that_do_not_work(roll, receive, tmp_path):
    """One that hangs costs its timeout, and the roll goes on. It is long enough for a busy machine to post in it."""
    receiver = receive(None)
    code, words, dummy = roll(tell_webhook_url=receiver.url, tell_webhook_timeout="3",
                              tell_textfile=str(tmp_path / "nonesuch" / "roll.prom"), roll_fails=["sf-2", "sf-3"],
                              first=1)
    assert code != 0 and receiver.events() == ["start", "failure"]
    assert "The webhook (tell_webhook_url) was not notified of the start of the roll: no answer within 3 s" in words
    assert "was not notified of the failure of the roll: no answer within 3 s" in words
    assert "were not written to" in words and "Then run the command again" in words and "rescued=1" in words


def test_what_cannot_be_told_is_no_failure(roll):
    code, words, metrics = roll(tell_webhook_url="nonesuch", tell_textfile="{{ nonesuch }}")
    assert code == 0 and not metrics
    assert all(f"Nobody was notified of the {event} of the roll: " in words for event in ("start", "end"))
