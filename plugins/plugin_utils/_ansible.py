# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What of an ansible.cfg, or of the command line of ansible-playbook, no run can work with.


def obstacles(task_timeout, strategy, options):
    """What would break a run, one sentence each.

    :arg task_timeout: the seconds after which Ansible ends a task; nothing with 0.
    :arg strategy: how Ansible takes the hosts of a play through its tasks.
    :arg options: those of the command line, by name.
    """
    found = []
    if task_timeout:
        found.append(f"task_timeout is {task_timeout} s, it would cut a drain or a migration: export "
                     "ANSIBLE_TASK_TIMEOUT=0")
    if strategy.rpartition(".")[2] not in ("linear", "debug"):
        found.append(f"the strategy is {strategy}, with which nodes may not wait for each other: export "
                     "ANSIBLE_STRATEGY=linear")
    tags = [tag for tag in options.get("tags") or () if tag != "all"]
    given = {f"--tags {','.join(tags)}": tags, "--step": options.get("step"),
             "--start-at-task": options.get("start_at_task")}
    return found + [f"{words} leaves out steps of a run: leave that out" for words, there in given.items() if there]
