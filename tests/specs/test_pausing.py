# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The playbooks pause, resume and stop, and a run that they meet: ansible-playbook, roles and files are real, the nodes
# are this machine.

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
PATIENCE = 120  # seconds for each condition; it takes about 5

# A roll without its slow parts. It waits for a file where the test needs it to.
ROLL = """
- hosts: sf-1
  gather_facts: false
  vars: {lock_node: sf-1}
  tasks:
    - shakenfist.rolling.run:
        state: noted
        run: {plan: {order: [sf-1, sf-2, sf-3, sf-4], command: the command, ready_urls: {sf-1: "http://127.0.0.1:1"}}}
      delegate_to: localhost
      delegate_facts: true
    - import_role: {name: shakenfist.rolling.run, tasks_from: lock}
    - shakenfist.rolling.run: {state: noted, node: {schema: {moved: true}}}
    - wait_for: {path: "{{ place }}/first"}
    - import_role: {name: shakenfist.rolling.run, tasks_from: checkpoint}
      vars: {lock_doing: rolling sf-1}
    - wait_for: {path: "{{ place }}/second"}
    - shakenfist.rolling.run: {state: noted, node: {rolled: true}}
- hosts: sf-2,sf-3,sf-4
  serial: 2
  gather_facts: false
  vars:
    lock_node: sf-1
    stage_resolved: {version: 0.8.1}
    cluster_node: {release: {version: 0.8.0}, gateways: []}
  pre_tasks:
    - shakenfist.rolling.run: {state: noted, node: {schema: {moved: true}}}
  roles: [shakenfist.rolling.roll]
"""


class Cluster:
    """An inventory, its lock, and the runs of ansible-playbook on it."""

    def __init__(self, place):
        self.place, self.lock, self.inventory = place, place / "rolling.lock", place / "hosts.yml"
        hosts = {f"sf-{number}": {} for number in range(1, 5)}
        self.inventory.write_text(yaml.safe_dump({
            "allsf": {"hosts": hosts, "vars": {
                "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
                "lock_path": str(self.lock), "place": str(place)}},
            "etcd_master": {"hosts": {"sf-1": {}, "sf-2": {}}}}), encoding="utf-8")
        (place / "roll.yml").write_text(ROLL, encoding="utf-8")
        self.children = []

    def start(self, *arguments):
        """Start a run in a process group of its own, as a terminal does; what it says is read when it has ended."""
        output = self.place / f"output{len(self.children)}"
        command = [ANSIBLE_PLAYBOOK, "-i", str(self.inventory), *arguments]
        with output.open("w", encoding="utf-8") as handle:
            child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=handle,
                                     stderr=subprocess.STDOUT, start_new_session=True,
                                     env=dict(os.environ, ANSIBLE_FORCE_COLOR="0", COLUMNS="1000"))
        child.output = output
        self.children.append(child)
        return child

    def end(self, child):
        """Its exit code and words."""
        return child.wait(PATIENCE), child.output.read_text(encoding="utf-8")

    def ask_for(self, playbook, *arguments):
        code, words = self.end(self.start(f"shakenfist.rolling.{playbook}", *arguments))
        assert code == 0, words
        return " ".join(words.split())

    def until(self, child, condition):
        """Wait until the lock is as the condition wants it, or the run has ended."""
        deadline = time.monotonic() + PATIENCE
        while True:
            held = json.loads(self.lock.read_text(encoding="utf-8")) if self.lock.exists() else None
            if held and condition(held):
                return held
            assert child.poll() is None and time.monotonic() < deadline, f"{held} {child.output.read_text()}"
            time.sleep(0.1)

    def let(self, name):
        (self.place / name).touch()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
            child.wait()


def paused(lock):
    return lock["doing"] == "paused, next: rolling sf-1"


def test_a_paused_roll(cluster):
    """Ctrl-C ends it, and the next run is not paused. That one is paused, goes on, and is stopped before its batch."""
    roll = cluster.start(str(cluster.place / "roll.yml"))
    first = cluster.until(roll, bool)
    assert "Would ask" in cluster.ask_for("pause", "-e", "pause_reason=fixing", "--check")
    assert cluster.until(roll, bool) == first
    words = cluster.ask_for("pause", "-e", "pause_reason=fixing")
    assert f"run {first['run']}" in words and f"-i {cluster.inventory} shakenfist.rolling.resume" in words
    cluster.let("first")
    waiting = cluster.until(roll, paused)
    cluster.until(roll, lambda held: held["renewed"] > waiting["renewed"])  # so nobody takes it over
    os.killpg(roll.pid, signal.SIGINT)
    words = cluster.end(roll)[1]
    assert words.count("The roll is paused, next: rolling sf-1.") == 1 and "fixing" in words and "go on soon" in words
    assert "No upgrade is running" in cluster.ask_for("pause")  # on this machine it is known that the process is gone

    (cluster.place / "first").unlink()
    cluster.lock.write_text(json.dumps(waiting), encoding="utf-8")
    roll = cluster.start(str(cluster.place / "roll.yml"))
    assert cluster.until(roll, lambda held: held["run"] != first["run"])["request"] is None
    cluster.ask_for("pause")
    cluster.let("first")
    cluster.until(roll, paused)
    assert "to go on. It was to pause" in cluster.ask_for("resume", "--limit", "sf-4")
    cluster.until(roll, lambda held: held["doing"] == "rolling sf-1")
    cluster.ask_for("stop", "-e", "stop_reason=enough")
    cluster.let("second")
    code, words = cluster.end(roll)
    assert code != 0 and not cluster.lock.exists()
    assert "That run was asked to pause; this one is not" in words and "The roll goes on after" in words
    for sentence in ("Before sf-2, sf-3: the roll was asked to stop:", "s ago): enough", "restart no sf-database",
                     "Done by this run: sf-1. Not touched: sf-2, sf-3, sf-4.", "the command\n"):
        assert sentence in words, words
    assert "Look at the releases" not in words and "undefined" not in words


def test_a_reason_that_has_lost_its_quotes(cluster):
    cluster.ask_for("resume")
    code, words = cluster.end(cluster.start("shakenfist.rolling.pause", "-e", "pause_reason=the disk is full"))
    words = " ".join(words.split())
    assert code != 0 and "Nothing was set. -e ends a value at its first blank" in words
    assert """-e "pause_reason='the disk is full'\"""" in words


def test_an_inventory_without_a_database_tier(cluster):
    runs = [cluster.start(f"shakenfist.rolling.{playbook}", "-e", "rolling_group=nonesuch")
            for playbook in ("pause", "resume", "stop")]
    for code, words in map(cluster.end, runs):
        assert code != 0 and "Nothing was set. No node of the group nonesuch is in the database tier" in words
