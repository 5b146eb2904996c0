# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.shakenfist.rolling.plugins.inventory import getsf
from ansible_collections.shakenfist.rolling.tests.unit import getsf_files as files

ROOT = pathlib.Path(__file__).resolve().parents[4]
GROUPS = {"allsf": ["sf-1", "sf-2", "sf-3"], "database": ["sf-1", "sf-2"], "hypervisors": ["sf-2", "sf-3"],
          "network_node": ["sf-1"], "primary_node": ["sf-1"]}
SECRET = "Sesame"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)
    return write


# As Ansible runs it


@pytest.fixture
def ansible(tmp_path):
    """Run ansible-inventory, with the collection installed by a link and nothing configured."""
    collections = tmp_path / "collections"
    (collections / "ansible_collections" / "shakenfist").mkdir(parents=True)
    (collections / "ansible_collections" / "shakenfist" / "rolling").symlink_to(ROOT)

    def run(source, **settings):
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        env.update(ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_HOME=str(tmp_path / "home"),
                   HOME=str(tmp_path / "home"), **settings)
        done = subprocess.run([sys.executable, "-m", "ansible.cli.inventory", "-i", source, "--list"], cwd=tmp_path,
                              env=env, capture_output=True, text=True, check=False)
        assert SECRET not in done.stdout + done.stderr
        return json.loads(done.stdout), " ".join(done.stderr.split())
    return run


def groups(listing):
    return {group: sorted(content["hosts"]) for group, content in listing.items() if "hosts" in content}


def test_a_source_of_two_lines(ansible, write):
    write(".getsfrc", files.ANSWERS)
    key = write("key", "")
    source = write("cluster.getsf.yml", f"plugin: shakenfist.rolling.getsf\npath: .getsfrc\nssh_key: {key}\n")
    listing, words = ansible(source)
    assert groups(listing) == GROUPS and "WARNING" not in words
    assert "storage" in listing["all"]["children"]
    assert listing["_meta"]["hostvars"]["sf-3"] == {
        "ansible_host": "192.0.2.13", "ansible_user": "debian", "ansible_ssh_private_key_file": key,
        "node_egress_ip": "192.0.2.13", "node_egress_nic": "eth0", "node_mesh_ip": "10.0.0.3", "node_mesh_nic": "eth1"}


def test_every_option(ansible, write):
    write("deploy", files.DEPLOY)
    source = write("getsf.yaml", """
plugin: shakenfist.rolling.getsf
path: [missing, deploy]
address: mesh
ssh_user: root
ssh_key: ~/.ssh/other
compose:
  rolling_zone: node_mesh_ip.split('.')[-1]
groups:
  first: inventory_hostname == 'sf-1'
keyed_groups:
  - key: node_mesh_nic
    prefix: nic
strict: true
""")
    listing, words = ansible(source)
    assert "WARNING" not in words
    assert groups(listing) == {**GROUPS, "first": ["sf-1"], "nic_eth1": ["sf-1", "sf-2", "sf-3"]}
    host = listing["_meta"]["hostvars"]["sf-2"]
    assert [str(host[name]) for name in ("ansible_host", "ansible_user", "ansible_ssh_private_key_file", "rolling_zone")
            ] == ["10.0.0.2", "root", "~/.ssh/other", "2"]


def test_an_error_names_the_line(ansible, write):
    path = write("rc", files.ANSWERS.replace("'sf-2 sf-3'", "'sf-2 sf-3"))
    listing, words = ansible(write("getsf.yml", "plugin: shakenfist.rolling.getsf\npath: rc\n"))
    assert groups(listing) == {} and listing["_meta"]["hostvars"] == {}
    assert (f"{path}, line 10: expected export GETSF_NODE_HYPERVISOR='...' with a literal value, saw a quote that is "
            "not closed: correct that line") in words


def test_the_answers_as_the_source(ansible, write):
    listing, words = ansible(write(".getsfrc", files.ANSWERS.replace("/root/.ssh", "/nowhere")),
                             ANSIBLE_INVENTORY_ENABLED="shakenfist.rolling.getsf,auto")
    assert groups(listing) == GROUPS and "names the ssh key /nowhere/id_rsa" in words


def test_sf_deploy_as_the_source_is_not_for_this_plugin(ansible, write):
    listing, words = ansible(write("sf-deploy", files.DEPLOY), ANSIBLE_INVENTORY_ENABLED="shakenfist.rolling.getsf")
    assert groups(listing) == {} and "Unable to parse" in words


# In detail


@pytest.fixture
def parse(monkeypatch):
    """Run the plugin for a source; its configuration file, if it has one, has these options."""
    def parse(source, **config):
        plugin, inventory, warnings = getsf.InventoryModule(), InventoryData(), []
        defaults = dict(plugin=None, path=None, address="egress", ssh_user=None, ssh_key=None, strict=False, compose={},
                        groups={}, keyed_groups=[])
        options = dict(defaults)

        def set_options(direct):
            options.update(direct)

        def read(path):
            assert path == source
            set_options(config)
            return config

        monkeypatch.setattr(BaseInventoryPlugin, "parse", lambda self, inventory, *dummy: setattr(
            self, "inventory", inventory))
        monkeypatch.setattr(getsf.InventoryModule, "option_definitions", defaults, raising=False)
        monkeypatch.setattr(plugin, "_read_config_data", read)
        monkeypatch.setattr(plugin, "set_options", set_options)
        monkeypatch.setattr(plugin, "get_option", options.get)
        monkeypatch.setattr(plugin.display, "warning", warnings.append)
        plugin.parse(inventory, None, source)
        return inventory, warnings
    return parse


@pytest.mark.parametrize("name, good", [
    ("getsf.yml", True), ("getsf.yaml", True), ("cluster.getsf.yml", True), (".getsfrc", True), ("x.getsfrc", True),
    ("cluster.yml", False), ("sf-deploy", False), ("getsf.json", False), ("getsf", False)])
def test_names_of_sources(write, name, good):
    assert getsf.InventoryModule().verify_file(write(name, "")) is good


def test_a_source_that_is_not_there(tmp_path):
    assert getsf.InventoryModule().verify_file(str(tmp_path / "getsf.yml")) is False


def test_an_option_that_is_misspelt(parse, write):
    write("rc", files.ANSWERS)
    source = write("getsf.yml", "")
    with pytest.raises(AnsibleParserError) as caught:
        parse(source, plugin="shakenfist.rolling.getsf", path=["rc"], adress="mesh", zone="x")
    assert f"{source}: shakenfist.rolling.getsf has no option adress, zone: correct that file" in str(caught.value)


def test_paths(parse, write, monkeypatch):
    """Relative to the source, to a home directory, or absolute."""
    rc = write("rc", files.ANSWERS)
    monkeypatch.setenv("HOME", str(pathlib.Path(rc).parent))
    for path in ("rc", "~/rc", rc):
        inventory, dummy = parse(write("getsf.yml", ""), path=[path])
        assert list(inventory.hosts) == ["sf-1", "sf-2", "sf-3"]


def test_groups_of_a_file_that_does_not_know_them_all(parse, write):
    write("inventory.yaml", files.INVENTORY)
    inventory, warnings = parse(write("getsf.yml", ""), path=["inventory.yaml"])
    assert inventory.groups["primary_node"].hosts == [] and inventory.groups["storage"].hosts == []
    assert warnings == []


def test_localhost(parse, write):
    write("rc", files.ANSWERS_LOCAL)
    inventory, warnings = parse(write("getsf.yml", ""), path=["rc"], ssh_user="debian", ssh_key="key")
    assert inventory.get_host("localhost").get_vars().items() >= {"ansible_connection": "local"}.items()
    assert not {"ansible_user", "ansible_ssh_private_key_file"} & set(inventory.get_host("localhost").get_vars())
    assert [host.name for host in inventory.groups["database"].hosts] == ["localhost"] and warnings == []


def test_warnings(parse, write):
    first = write("rc", files.ANSWERS.replace("/root/.ssh", "/nowhere"))
    second = write("deploy", files.DEPLOY.replace("10.0.0.3", "10.0.0.33"))
    dummy, warnings = parse(write("getsf.yml", ""), path=["rc", "deploy"])
    assert warnings[0].startswith(f"{first} is used, and {second} disagrees with it: sf-3 has 10.0.0.3 and 192.0.2.13")
    assert warnings[1:] == [f"{first} names the ssh key /nowhere/id_rsa, which is not on this machine, or not for this "
                            "user to see: name the one to use with ssh_key"]


@pytest.mark.parametrize("key", ["~/key", "/other"])
def test_no_warning_of_a_key_that_is_there_or_replaced(parse, write, monkeypatch, key):
    monkeypatch.setenv("HOME", str(pathlib.Path(write("key", "")).parent))
    write("rc", files.ANSWERS.replace("/root/.ssh/id_rsa", "~/key"))
    inventory, warnings = parse(write("getsf.yml", ""), path=["rc"], ssh_key=None if key == "~/key" else key)
    assert warnings == [] and inventory.get_host("sf-1").get_vars()["ansible_ssh_private_key_file"] == key


def test_an_error_is_one_of_ansible(parse, write):
    source = write("x.getsfrc", files.ANSWERS.replace("192.0.2.13", "x"))
    with pytest.raises(AnsibleParserError, match=r"x.getsfrc, line 20: expected GETSF_NODE_EGRESS_ADDRESS_sf_3 to be"):
        parse(source)
