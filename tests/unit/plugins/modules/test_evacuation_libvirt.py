# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example of the docs, as it is: its data, its script, and a virsh that keeps its guests in directories. The script
# is found beside the playbook, and not in the PATH.

from __future__ import annotations

import os
import pathlib

import pytest
import yaml
from ansible_collections.shakenfist.rolling.plugins.modules import evacuation

EXAMPLE = pathlib.Path(__file__).parents[4] / "examples" / "libvirt"
# virsh --connect qemu+ssh://HOST/system COMMAND; a guest is a file with its state and its size in KiB.
VIRSH = """#!/bin/sh
set -eu
host=${2#qemu+ssh://}; host=$STATE/${host%/system}; what=$3
[ -d "$host" ] || { echo "error: cannot connect to $2" >&2; exit 1; }
case $what in
  nodememstats) printf 'total  : 9999999 KiB\\nfree   :         %s KiB\\n' "$(cat "$STATE/${host##*/}.free")" ;;
  list) ls "$host"; echo ;;
  domstate) sed -n 1p "$host/$4"; echo ;;
  dominfo) printf 'Id: -\\nMax memory:     %s KiB\\n' "$(sed -n 2p "$host/$4")" ;;
  migrate)
    [ "$(sed -n 1p "$host/$7")" = running ] || [ "$4" = --offline ] || { echo 'error: it does not run' >&2; exit 1; }
    to=${8#qemu+ssh://}; mv "$host/$7" "$STATE/${to%/system}/" ;;
esac
"""


@pytest.fixture
def run(tmp_path, run_module, monkeypatch):
    for host, free in (("kvm-1", 500), ("kvm-2", 500), ("kvm-3", 3000)):
        (tmp_path / host).mkdir()
        (tmp_path / f"{host}.free").write_text(str(free * 1024))
    for guest, state in (("web", "running"), ("old one", "shut off")):
        (tmp_path / "kvm-2" / guest).write_text(f"{state}\n{400 * 1024}\n")
    (tmp_path / "hosts").write_text("kvm-1\nkvm-2\nkvm-3\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "virsh").write_text(VIRSH)
    (programs / "virsh").chmod(0o755)
    for name, value in dict(PATH=f"{programs}:{os.environ['PATH']}", STATE=str(tmp_path),
                            KVM_HOSTS=str(tmp_path / "hosts"), KVM_NOTES=str(tmp_path / "notes")).items():
        monkeypatch.setenv(name, value)
    return lambda state, folder=EXAMPLE: run_module(evacuation, state=state, host="kvm-2", cluster=product(folder))


def product(folder):
    """The data of the example, as a playbook in that folder has it."""
    text = (EXAMPLE / "product.yml").read_text()
    script = yaml.safe_load(text)["kvm"].replace("{{ playbook_dir }}", str(folder))
    return yaml.safe_load(text.replace("{{ kvm }}", script))["cluster_hosts"]


def guests(tmp_path):
    return {path.name: path.parent.name for host in tmp_path.glob("kvm-?") for path in host.iterdir()}


def test_away_and_back(run, tmp_path):
    assert not run("room")["failed"]
    run("drained")
    found = run("emptied")
    assert not found["failed"] and guests(tmp_path) == {"web": "kvm-3", "old one": "kvm-3"}, found
    assert {one["name"]: one["home"] for one in found["guests"]} == {"web": "kvm-2", "old one": "kvm-2"}
    # Another run, another operator.
    for state in ("undrained", "returned", "released"):
        found = run(state)
        assert not found["failed"], found
    assert guests(tmp_path) == {"web": "kvm-2", "old one": "kvm-2"}
    assert all(not one["home"] for one in found["guests"]) and not found["hosts"][1]["note"]


def test_a_host_that_does_not_answer(run, tmp_path):
    (tmp_path / "kvm-3").rmdir()
    found = run("room")
    assert found["failed"] and "kvm guests: expected an answer, it ended with 1: " in found["msg"]
    assert "error: cannot connect to qemu+ssh://kvm-3/system" in found["msg"]


def test_the_script_is_not_there(run, tmp_path):
    found = run("room", folder=tmp_path)
    assert found["failed"] and found["msg"].startswith(f"{tmp_path}/kvm hosts: expected an answer, it ended with 127: ")
    assert found["msg"].endswith("No such file or directory. Install that command where it is run, or name its whole "
                                 "path in the product's file")
