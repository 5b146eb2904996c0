# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What of an ansible.cfg, or of the command line of ansible-playbook, no run can work with.

from ansible.module_utils.parsing.convert_bool import boolean


def become_nobody(action):
    """Have a task run as who connects, where it has C(ansible_become) false: one of C(-e) would beat its variable."""
    wanted = action._task.get_vars().get("ansible_become")
    if wanted is not None and not boolean(action._templar.template(wanted)):
        action._connection.set_become_plugin(None)


def obstacles(task_timeout, strategy, options, debugger=False):
    """What would break a run, one sentence each.

    :arg task_timeout: the seconds after which Ansible ends a task; nothing with 0.
    :arg strategy: how Ansible takes the hosts of a play through its tasks.
    :arg options: those of the command line, by name.
    :arg debugger: whether a task that fails is to open Ansible's debugger.
    """
    found = []
    if task_timeout:
        found.append(f"task_timeout is {task_timeout} s, it would cut a drain or a migration: export "
                     "ANSIBLE_TASK_TIMEOUT=0")
    if strategy.rpartition(".")[2] == "debug":
        debugger = True
    elif strategy.rpartition(".")[2] != "linear":
        found.append(f"the strategy is {strategy}, with which nodes may not wait for each other: export "
                     "ANSIBLE_STRATEGY=linear")
    if debugger:
        found.append("a failure would open Ansible's debugger, and the node would stay drained behind it: export "
                     "ANSIBLE_ENABLE_TASK_DEBUGGER=0 ANSIBLE_STRATEGY=linear")
    tags = [tag for tag in options.get("tags") or () if tag != "all"]
    # No other tag is on a task of this collection, only on those of hooks.
    skipped = [tag for tag in options.get("skip_tags") or () if tag in ("always", "all", "tagged", "untagged")]
    given = {f"--tags {','.join(tags)}": tags, f"--skip-tags {','.join(skipped)}": skipped,
             "--step": options.get("step"), "--start-at-task": options.get("start_at_task")}
    return found + [f"{words} leaves out steps of a run: leave that out" for words, there in given.items() if there]
