# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What getsf leaves on the node that it was run on, of one cluster of three nodes and one of a single node."""

from __future__ import annotations

NODES = "".join(f"""export GETSF_NODE_EGRESS_NIC_sf_{number}='eth0'
export GETSF_NODE_EGRESS_ADDRESS_sf_{number}='192.0.2.1{number}'
export GETSF_NODE_MESH_NIC_sf_{number}='eth1'
export GETSF_NODE_MESH_ADDRESS_sf_{number}='10.0.0.{number}'
""" for number in (1, 2, 3))

# getsf quotes an answer without looking into it, so one with an apostrophe is a broken line.
ANSWERS = f"""export GETSF_WARNING='yes'
export GETSF_RELEASE='pre-release'
export GETSF_NODES='sf-1 sf-2 sf-3'
export GETSF_SSH_USER='debian'
export GETSF_SSH_KEY_FILENAME='/root/.ssh/id_rsa'
export GETSF_NODE_PRIMARY='sf-1'
export GETSF_NODE_NETWORK='sf-1'
export GETSF_NODE_ETCD_MASTER='sf-1 sf-2'
export GETSF_NODE_STORAGE=''
export GETSF_NODE_HYPERVISOR='sf-2 sf-3'
{NODES}export GETSF_EXTRA_CONFIG='[{{"name": "a", "value": "it's"}}]'
export GETSF_DEPLOY_NAME='sf'
export GETSF_MARIADB_HOST='10.0.0.9'
export GETSF_MARIADB_PASSWORD='Sesame=one'
export GETSF_ADMIN_PASSWORD='Sesame two'
"""

ANSWERS_LOCAL = """export GETSF_NODES='localhost'
export GETSF_DEPLOY_NAME='sf'
export GETSF_ADMIN_PASSWORD='Sesame'
"""


def entry(name, egress, mesh, nics=("eth0", "eth1"), **roles):
    """A node as getsf writes it into the topology."""
    flags = ",\n".join(f'    "{role}": {str(value).lower()}' for role, value in roles.items())
    flags += ',\n    "api_url": "http://127.0.0.1/api"' if roles["primary_node"] else "\n"
    return f"""  {{
    "name": "{name}",
    "node_egress_nic": "{nics[0]}",
    "node_egress_ip": "{egress}",
    "node_mesh_nic": "{nics[1]}",
    "node_mesh_ip": "{mesh}",
{flags}
  }},
"""


def deploy(*entries):
    return f"""#!/bin/bash
echo "Current state of ansible-galaxy roles:"
ansible-galaxy role list | cat -
export ADMIN_PASSWORD=Sesame$$
export EXTRA_CONFIG='[]'
export SSH_USER="debian"
export SSH_KEY_FILENAME="/root/.ssh/id_rsa"

# Topology is in JSON
export TOPOLOGY=$(cat << EOF
[
{''.join(entries)}]
EOF
)

/srv/shakenfist/venv/share/shakenfist/installer/install $@
"""


DEPLOY = deploy(
    entry("sf-1", "192.0.2.11", "10.0.0.1", primary_node=True, network_node=True, etcd_master=True, hypervisor=False,
          storage=False),
    entry("sf-2", "192.0.2.12", "10.0.0.2", primary_node=False, network_node=False, etcd_master=True, hypervisor=True,
          storage=False),
    entry("sf-3", "192.0.2.13", "10.0.0.3", primary_node=False, network_node=False, etcd_master=False, hypervisor=True,
          storage=False))

DEPLOY_LOCAL = deploy(entry("localhost", "192.0.2.11", "192.0.2.11", ("eth0", "eth0"), primary_node=True,
                            network_node=True, etcd_master=True, hypervisor=True, storage=False))

INVENTORY = """---
all:
  hosts:
    sf-1:
      ansible_host: 10.0.0.1
    sf-2:
      ansible_host: 10.0.0.2
    sf-3:
      ansible_host: 10.0.0.3
  vars:
    mariadb_password: Sesame
  children:
    hypervisors:
      hosts:
        sf-2:
        sf-3: {}  # hypervisor
    etcd:
      hosts:
        sf-1:
        sf-2:
    network:
      hosts: {sf-1: }
    storage:
      hosts:
"""

INVENTORY_OLDER = """---
all:
  hosts:
    sf-1:
      ansible_fqdn: sf-1
      ansible_ssh_host: 192.0.2.11
      ansible_ssh_user: debian
      ansible_ssh_private_key_file: /root/.ssh/id_rsa
    sf-2:
      ansible_fqdn: sf-2
      ansible_ssh_host: 192.0.2.12
      ansible_ssh_user: debian
      ansible_ssh_private_key_file: /root/.ssh/id_rsa
    sf-3:
      ansible_fqdn: sf-3
      ansible_ssh_host: 192.0.2.13
      ansible_ssh_user: debian
      ansible_ssh_private_key_file: /root/.ssh/id_rsa

  children:
    primary_node: {hosts: {sf-1: }}
    hypervisors: {hosts: {sf-2: , sf-3: }}
    etcd: {hosts: {sf-1: , sf-2: }}
    network: {hosts: {sf-1: }}
    eventlog: {hosts: {sf-1: }}
    storage: {hosts: }
"""
