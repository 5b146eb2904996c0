# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shlex
import sys


def _program():
    """The ansible-playbook of the Ansible that runs, which need not be on the PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return beside if os.access(beside, os.X_OK) else "ansible-playbook"


def _source(inventory):
    """A source of an inventory, as it is to be named from another directory."""
    path = os.path.expanduser(inventory)
    return os.path.abspath(path) if os.path.exists(path) else inventory


def deployer_run(playbook, node, inventory=(), limit="", arguments=(), where="controller"):
    """How a playbook of the operator is run for one node, on the controller."""
    path = os.path.abspath(os.path.expanduser(playbook))
    limit = limit or node
    sources = [word for one in inventory for word in ("-i", _source(one))]
    words = [_program(), *sources, path, "--limit", limit, *map(str, arguments)]
    problem = ""
    if where != "controller":
        problem = f"reconfigure_playbook is run on this machine, and reconfigure_on is {where}: leave one of them out"
    elif not os.path.isfile(path):
        problem = f"expected a playbook at {path} on this machine, there is none: correct reconfigure_playbook"
    return {
        "program": words[0],
        # From where it lies: that is where its ansible.cfg, its group_vars and its roles are found.
        "command": f"cd {shlex.quote(os.path.dirname(path))} && exec {shlex.join(words)}",
        # Without the arguments: there may be secrets in them.
        "words": f"ansible-playbook {path} --limit {limit}",
        "problem": problem,
    }


class FilterModule:
    """The filter of this file."""

    def filters(self):
        return {"deployer_run": deployer_run}
