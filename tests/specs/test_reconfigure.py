# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The role reconfigure on nodes that are this machine: ansible-playbook, the role and its modules are real, systemctl
# and the virtualenv are not. Each node is given another command.

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
sys.path.insert(0, str(ROOT / "tests" / "unit"))
from fakes import make_venv  # noqa: E402

UNITS = ["sf-api", "sf-net", "sf-queues"]
CONTENTS = hashlib.sha256(json.dumps([["shakenfist/api.py", "sha256=aa"]]).encode()).hexdigest()
RELEASE = {"version": "0.8.0", "name": None, "contents": CONTENTS}
# Each unit is a file with the number of its run; the API was stopped by the drain.
SYSTEMCTL = """#!/bin/sh
if [ "$1" = list-unit-files ]; then
  for unit in "$STATE"/sf-*; do echo "${unit##*/}.service enabled enabled"; done
  exit
fi
if [ "$1" = restart ]; then
  shift
  for unit in "$@"; do echo $(($(cat "$STATE/$unit") + 1)) >"$STATE/$unit"; done
  exit
fi
for unit in "$@"; do
  case $unit in *.service) ;; *) continue ;; esac
  run=$(cat "$STATE/${unit%.service}")
  [ "$run" -gt 0 ] && state=active || state=inactive
  echo "Id=$unit LoadState=loaded ActiveState=$state SubState=x UnitFileState=enabled NRestarts=0" \
    "InvocationID=$unit-$run" | tr ' ' '\\n'
  echo
done
"""
PLAY = """
- hosts: all
  gather_facts: false
  any_errors_fatal: false
  environment: {STATE: "{{ place }}/state", PATH: "{{ programs }}:{{ lookup('env', 'PATH') }}", ANSIBLE_CONFIG: nowhere}
  tasks:
    - block:
        - import_role: {name: shakenfist.rolling.reconfigure, tasks_from: check}
        - import_role: {name: shakenfist.rolling.reconfigure}
        - set_fact: {outcome: {left: "{{ reconfigure_left }}", runs: "{{ reconfigure_runs }}"}}
      rescue:
        - set_fact: {outcome: {msg: "{{ ansible_failed_result.msg }}"}}
    - copy: {content: "{{ outcome | to_json }}", dest: "{{ place }}/outcome.json", mode: "0600"}
"""
# What the command of a node is, with options of its own.
NODES = {
    "whole": {"reconfigure_command": "systemctl restart sf-net sf-queues sf-api"},
    "some": {"reconfigure_command": "echo hushed {{ inventory_hostname }}; env; systemctl restart sf-net"},
    "api": {"reconfigure_command": "systemctl restart sf-api", "reconfigure_ready_timeout": 1},
    "fails": {"reconfigure_command": "echo hushed; exit 3"},
    "slow": {"reconfigure_command": "sleep 60", "reconfigure_timeout": 0.2},
    "upgrades": {"reconfigure_command": "cp {{ place }}/venv/other.json {{ place }}/venv/probe.json"},
    "absent": {"reconfigure_command": "A=b /nowhere/sf-deploy --limit x"},
    "nolog": {"reconfigure_command": "true", "reconfigure_log": "/nowhere/log"},
    "onnode": {"reconfigure_command": "true", "reconfigure_on": "node"},
    "rebuilt": {"reconfigure_command": "cp {{ place }}/other-record {{ place }}/venv/RECORD"},
    "deployed": {"reconfigure_playbook": "{{ place }}/my site/site.yml"},
    "broken": {"reconfigure_playbook": "{{ place }}/my site/site.yml", "reconfigure_arguments": ["-e", "fails=true"]},
    "limited": {"reconfigure_playbook": "{{ place }}/my site/site.yml", "reconfigure_inventory": [],
                "reconfigure_limit": "{{ inventory_hostname }},localhost"},
    "nosite": {"reconfigure_playbook": "{{ place }}/nowhere.yml"},
    "elsewhere": {"reconfigure_playbook": "{{ place }}/my site/site.yml", "reconfigure_on": "node"},
}
# What an operator deploys with: it writes down who it ran for, and from which settings, and restarts daemons.
SITE = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - copy: {content: x, dest: "{{ playbook_dir }}/local", mode: "0600"}
- hosts: allsf
  gather_facts: false
  environment: {STATE: "{{ place }}/state", PATH: "{{ programs }}:{{ lookup('env', 'PATH') }}"}
  tasks:
    - lineinfile:
        path: "{{ playbook_dir }}/ran"
        line: "{{ inventory_hostname }} {{ lookup('config', 'DEFAULT_FORKS') }}"
        create: true
    - name: Set the secret
      command: echo hushed
      failed_when: fails | default(false)
    - command: systemctl restart sf-net sf-queues sf-api
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What became of each node, and all that was printed."""
    place = tmp_path_factory.mktemp("reconfigure")
    programs = place / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (programs / "systemctl").chmod(0o755)
    for name in NODES:
        state = place / name / "state"
        state.mkdir(parents=True)
        for unit in UNITS:
            (state / unit).write_text("0" if unit == "sf-api" else "1", encoding="utf-8")
        make_venv(place / name / "venv")
        probe = json.loads((place / name / "venv" / "probe.json").read_text())
        row = "shakenfist/api.py,sha256=%s,1\n"
        (place / name / "venv" / "RECORD").write_text(row % "aa", encoding="utf-8")
        (place / name / "other-record").write_text(row % "bb", encoding="utf-8")
        site = place / name / "my site"
        site.mkdir()
        (site / "site.yml").write_text(SITE, encoding="utf-8")
        (site / "ansible.cfg").write_text(f"[defaults]\nforks = 17\ninventory = {place}/hosts.yml\n", encoding="utf-8")
        (place / name / "venv" / "other.json").write_text(json.dumps(dict(probe, version="0.8.2")), encoding="utf-8")
    hosts = {name: dict({"place": str(place / name), "reconfigure_log": str(place / name / "log")}, **options)
             for name, options in NODES.items()}
    inventory = place / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"allsf": {"hosts": hosts, "vars": {
        "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
        "programs": str(programs), "cluster_node": {
            "name": "{{ inventory_hostname }}", "venv": "{{ place }}/venv", "releases": "{{ place }}/releases",
            "distribution": "shakenfist", "api_unit": "sf-api", "ready_url": "http://127.0.0.1:9/readyz",
            "daemons": UNITS, "release": RELEASE}}}}), encoding="utf-8")
    (place / "play.yml").write_text(PLAY, encoding="utf-8")
    run = subprocess.run([ANSIBLE_PLAYBOOK, "-i", str(inventory), "--forks", "15", str(place / "play.yml"), "-v"],
                         cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
                         env=dict(os.environ, ANSIBLE_FORCE_COLOR="0"))
    assert run.returncode == 0, run.stdout + run.stderr
    outcomes = {name: json.loads((place / name / "outcome.json").read_text()) for name in NODES}
    return place, outcomes, run.stdout + run.stderr


def test_it_tells_what_is_left_to_restart(ran):
    outcomes = ran[1]
    assert outcomes["whole"]["left"] == []
    assert sorted(outcomes["some"]["left"]) == ["sf-api", "sf-queues"]
    assert sorted(outcomes["onnode"]["left"]) == UNITS
    assert outcomes["whole"]["runs"]["sf-net"]["invocation"] == "sf-net.service-2"


def test_an_api_that_does_not_turn_ready_is_restarted_without_a_drain(ran):
    """Nobody listens on its port here."""
    assert sorted(ran[1]["api"]["left"]) == ["sf-net", "sf-queues"]


def test_what_the_command_says_goes_to_its_log_only(ran):
    place, outcomes, printed = ran
    log = place / "some" / "log"
    lines = log.read_text().splitlines()
    assert lines[0] == "hushed some" and log.stat().st_mode & 0o777 == 0o600
    assert [line for line in lines if line.startswith("ANSIBLE_")] == []
    assert "\nhushed" not in printed and '"stdout": "hushed' not in printed


@pytest.mark.parametrize("name, words", [
    ("fails", ["expected echo hushed; exit 3 to end with 0; it ended with exit code 3", "What it said is in",
               "log on this machine"]),
    ("slow", ["it did not end within 0.2 s"]),
    ("upgrades", ["to keep the release 0.8.0;", "has 0.8.2 now", "an upgrade is shakenfist.rolling.upgrade"]),
    ("rebuilt", ["to keep the release 0.8.0;", "has another build of it now"]),
    ("broken", ["expected ansible-playbook ", "/my site/site.yml --limit broken to end with 0; it ended with exit code"
                " 2 (TASK [Set the secret]: fatal: [broken]; broken : ok=1 changed=1 unreachable=0 failed=1"]),
    ("nosite", ["Nothing was touched. expected a playbook at ", "/nosite/nowhere.yml on this machine, there is none"]),
    ("elsewhere", ["Nothing was touched. reconfigure_playbook is run on this machine, and reconfigure_on is node"]),
    ("absent", ["Nothing was touched. expected /nowhere/sf-deploy on this machine",
                "the command is not there for this user"]),
    ("nolog", ["the command is there, the directory is not", "/nowhere/log"]),
])
def test_what_fails(ran, name, words):
    assert [one for one in words if one not in ran[1][name]["msg"]] == [], ran[1][name]["msg"]


def test_a_command_that_is_not_there_has_touched_nothing(ran):
    assert not (ran[0] / "absent" / "log").exists()
    assert not (ran[0] / "elsewhere" / "my site" / "ran").exists()


@pytest.mark.parametrize("name", ["deployed", "limited"])
def test_a_playbook_of_the_operator(ran, name):
    """For its node only, with the settings beside it and none of this run, and what it says stays in its log."""
    place, outcomes, printed = ran
    assert outcomes[name]["left"] == []
    site, log = place / name / "my site", place / name / "log"
    assert (site / "ran").read_text() == f"{name} 17\n"
    assert (site / "local").exists() == (name == "limited")
    assert "hushed" in (place / "broken" / "log").read_text() and log.stat().st_mode & 0o777 == 0o600
    assert '"hushed' not in printed and "shakenfist.rolling" not in log.read_text()
