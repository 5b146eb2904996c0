# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What inventories of the specs say of the machine that Ansible runs on."""

from __future__ import annotations

# An operator's group_vars/all, on a controller without sudo: the variable beats the keyword.
NO_SUDO = {"all": {"vars": {"ansible_become": True, "ansible_become_user": "nobody",
                            "ansible_become_exe": "/nowhere/sudo"}}}
