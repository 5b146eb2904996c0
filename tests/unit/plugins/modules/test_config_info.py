# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import config_info as part
from ansible_collections.shakenfist.rolling.plugins.modules import config_info

CONFIG = '''
# The node.
SHAKENFIST_NODE_NAME="sf-1"
NODE_NAME="spelt without the prefix"
API_DRAIN_GRACE=25
SHAKENFIST_MARIADB_HOST=""
SHAKENFIST_MARIADB_PASSWORD="a=secret"
'''


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize("check", [False, True])
def test_settings(run_module, config, check):
    result = run_module(config_info, check, path=config, prefix="SHAKENFIST_",
                        keys=["NODE_NAME", "API_DRAIN_GRACE", "NODE_MESH_IP"],
                        presence=["MARIADB_HOST", "MARIADB_PASSWORD", "MARIADB_PORT"])
    assert not result["changed"]
    assert result["settings"] == {"NODE_NAME": "sf-1", "API_DRAIN_GRACE": "25"}
    assert result["present"] == {"MARIADB_HOST": False, "MARIADB_PASSWORD": True, "MARIADB_PORT": False}
    assert result["spelt"] == {"MARIADB_HOST": ["SHAKENFIST_MARIADB_HOST"],
                               "MARIADB_PASSWORD": ["SHAKENFIST_MARIADB_PASSWORD"]}
    assert "secret" not in str(result)


@pytest.mark.parametrize("hosts, found, addresses", [
    ("", {}, []),
    ("10.0.0.1, 10.0.0.2,", {}, ["10.0.0.1", "10.0.0.2"]),
    ("fd00::1", {}, ["fd00::1"]),
    # One address, however it is written.
    ("[fd00::1],FD00::1, fd00:0:0::1", {}, ["fd00::1"] * 3),
    ("[sf-1]", {"sf-1": ["192.0.2.1", "10.0.0.1"]}, ["10.0.0.1"]),
    ("sf-1,sf-2", {"sf-1": ["127.0.1.1"], "sf-2": ["fd00::2", "10.0.0.2"]}, ["10.0.0.1", "10.0.0.2"]),
    ("sf-1", {"sf-1": ["192.0.2.1", "10.0.0.1"]}, ["10.0.0.1"]),
    ("sf-2", {"sf-2": ["fd00::2"]}, ["fd00::2"]),
    ("sf-2", {"sf-2": ["10.0.0.9", "10.0.0.2"]}, ["10.0.0.2"]),
    ("nobody", {}, ["nobody"]),
])
def test_addresses(run_module, tmp_path, monkeypatch, hosts, found, addresses):
    def resolve(host, port, type=0):
        if host not in found:
            raise OSError("Name or service not known")
        return [(2, type, 6, "", (address, 0)) for address in found[host]]

    monkeypatch.setattr(part.socket, "getaddrinfo", resolve)
    path = tmp_path / "config"
    path.write_text(f'SHAKENFIST_GATEWAYS="{hosts}"\nMESH=10.0.0.1\n')
    result = run_module(config_info, path=str(path), prefix="SHAKENFIST_", hosts="GATEWAYS", own="MESH")
    assert result["addresses"] == addresses
    assert run_module(config_info, path=str(path))["addresses"] == []


def test_how_settings_are_spelt(run_module, config):
    result = run_module(config_info, path=config, prefix="SHAKENFIST_",
                        presence=["NODE_NAME", "API_DRAIN_GRACE", "ETCD_HOST"])
    assert result["spelt"] == {"NODE_NAME": ["SHAKENFIST_NODE_NAME", "NODE_NAME"],
                               "API_DRAIN_GRACE": ["API_DRAIN_GRACE"]}
    assert run_module(config_info, path=config, presence=["NODE_NAME"])["spelt"] == {"NODE_NAME": ["NODE_NAME"]}


def test_without_a_prefix(run_module, config):
    assert run_module(config_info, path=config, keys=["NODE_NAME"])["settings"] == {
        "NODE_NAME": "spelt without the prefix"}


def test_a_file_that_is_not_there(run_module, tmp_path):
    result = run_module(config_info, path=str(tmp_path / "none"))
    assert result["failed"]
    assert result["msg"].startswith(f"cannot read {tmp_path}/none: No such file")
