# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: getsf
short_description: Inventory of a Shaken Fist cluster from what its installer left
version_added: 0.1.0
description:
  - Reads the nodes of a cluster that was installed with C(getsf) from the answers that it recorded in
    C(/root/.getsfrc), from the script C(/root/sf-deploy) that it made of them, or from C(/etc/sf/inventory.yaml).
  - The files are parsed, nothing in them is executed. A value that only a shell could work out is an error where it is
    needed, and left alone elsewhere.
  - Passwords, keys and tokens in these files never become variables. Besides names, addresses and network interfaces of
    the nodes, only the user and the file name of the key for ssh are taken from them.
  - The inventory source is a YAML file whose name ends in C(getsf.yml) or C(getsf.yaml). A file whose name ends in
    C(getsfrc) is read directly, but only where C(enable_plugins) has this plugin, and does not have C(ini), which makes
    host variables of the secrets in it.
  - Never hand C(sf-deploy) itself to Ansible with C(-i). It is executable, and Ansible would run it.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [shakenfist.rolling.getsf]
  path:
    description:
      - The files to look for, one or a list. A relative one is relative to the inventory source. A copy may have any
        name, only that of C(/etc/sf/inventory.yaml) must end in C(.yaml) or C(.yml).
      - The first one that describes the cluster counts. The others that are there are compared with it, and the plugin
        warns where they disagree.
      - A file that lacks answers is passed over with a warning, for C(getsf) records no answer that was given in its
        environment. One that cannot be read or parsed is an error.
    type: list
    elements: path
    default: [/root/.getsfrc, /root/sf-deploy, /etc/sf/inventory.yaml]
  address:
    description: Which address of a node to connect to, that of its egress interface or that of its mesh interface.
      C(/etc/sf/inventory.yaml) has one address of a node only, and that one is used.
    type: str
    choices: [egress, mesh]
    default: egress
  ssh_user:
    description: The user to connect as, in place of C(GETSF_SSH_USER).
    type: str
  ssh_key:
    description: The file name of the private key to connect with, in place of C(GETSF_SSH_KEY_FILENAME).
    type: str
extends_documentation_fragment: ansible.builtin.constructed
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
# cluster.getsf.yml on the node that getsf was run on. See what is in it with
#   ansible-inventory -i cluster.getsf.yml --graph
plugin: shakenfist.rolling.getsf

---
# The same from elsewhere, with a copy of one of the files beside this one, and a key of your own. What fails together
# with a node is a part of its name: rack1-sf2 is in rack1.
plugin: shakenfist.rolling.getsf
path: inventory.yaml
ssh_user: debian
ssh_key: ~/.ssh/id_ed25519
compose:
  rolling_zone: inventory_hostname.split('-')[0]
"""

RETURN = r"""
_groups:
  description: C(allsf), all nodes, C(database), the nodes that run sf-database, which C(getsf) calls etcd masters,
    C(hypervisors), C(network_node), C(storage), and C(primary_node), the node that C(getsf) was run on.
  type: list
  elements: str
_hostvars:
  description:
    - C(ansible_host), C(ansible_user) and C(ansible_ssh_private_key_file), or C(ansible_connection), V(local), for an
      installation on C(localhost).
    - C(node_egress_ip), C(node_egress_nic), C(node_mesh_ip) and C(node_mesh_nic), as far as the file tells.
  type: dict
  sample: {"ansible_host": "192.0.2.11", "ansible_user": "debian", "ansible_ssh_private_key_file": "/root/.ssh/id_rsa",
    "node_egress_ip": "192.0.2.11", "node_egress_nic": "eth0", "node_mesh_ip": "10.0.0.1", "node_mesh_nic": "eth1"}
"""

import os

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._getsf import GROUPS, LOCAL, find_cluster

KEY = "ansible_ssh_private_key_file"


class InventoryModule(BaseInventoryPlugin, Constructable):
    """The inventory plugin of this file."""

    NAME = "shakenfist.rolling.getsf"
    # No value that the files may have can be taken for a template.
    trusted_by_default = True

    def verify_file(self, path):
        # Not sf-deploy: where this plugin is not asked first, Ansible runs what is executable.
        return super().verify_file(path) and path.endswith(("getsf.yml", "getsf.yaml", "getsfrc"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        if path.endswith("getsfrc"):
            self.set_options(direct={"plugin": self.NAME, "path": [path]})
        else:
            self.refuse_unknown(self._read_config_data(path), path)
        here = os.path.dirname(path)
        paths = [os.path.join(here, os.path.expanduser(one)) for one in self.get_option("path")]
        try:
            cluster, warnings = find_cluster(paths, self.get_option("address"))
        except RollingError as exc:
            raise AnsibleParserError(exc.message) from exc
        for warning in warnings:
            self.display.warning(warning)
        self.warn_of_keys(cluster)
        self.populate(cluster)

    def refuse_unknown(self, config, path):
        """Ansible passes over an option that is misspelt."""
        unknown = ", ".join(sorted(set(config) - set(self.option_definitions)))
        if unknown:
            raise AnsibleParserError(f"{path}: {self.NAME} has no option {unknown}: correct that file, ansible-doc -t "
                                     f"inventory {self.NAME} tells the options")

    def populate(self, cluster):
        for group in GROUPS:
            self.inventory.add_group(group)
        for host, variables in cluster.hosts.items():
            self.inventory.add_host(host)
            for name, value in {**variables, **self.said(host)}.items():
                self.inventory.set_variable(host, name, value)
        for group, members in cluster.groups.items():
            for host in members:
                self.inventory.add_child(group, host)
        for host in cluster.hosts:
            self.construct(host)

    def said(self, host):
        """What the operator says in place of what the file says."""
        said = {"ansible_user": self.get_option("ssh_user"), KEY: self.get_option("ssh_key")}
        return {name: value for name, value in said.items() if value and host != LOCAL}

    def warn_of_keys(self, cluster):
        """A copy of a file names a key that is on another machine, and ssh fails with other words."""
        for key in sorted({host[KEY] for host in cluster.hosts.values() if KEY in host}):
            if not self.get_option("ssh_key") and not os.path.exists(os.path.expanduser(key)):
                self.display.warning(f"{cluster.source} names the ssh key {key}, which is not on this machine, or not "
                                     "for this user to see: name the one to use with ssh_key")

    def construct(self, host):
        """What Ansible offers for every inventory: variables and groups that are worked out from other variables."""
        variables, strict = self.inventory.get_host(host).get_vars(), self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)
