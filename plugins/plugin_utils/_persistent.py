# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import time
from contextlib import suppress

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import PARTS
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import words_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._timeline import TimedAction

# Seconds between two tries. A refused connection answers at once, a silent one takes ansible's own timeout.
INTERVAL = 2
# Seconds between two words about it.
NEWS = 30
# What may not be run twice: the second run would not do the same, or not know what was there before.
ONCE = ("dump", "haproxy_server", "schema")
# What Ansible says of the module several itself: as a fact the Python that it has found, or it searches each time.
OUTER = ("warnings", "deprecations", "ansible_facts")


# Nobody may read half a file, and one that is secret not even while it is written; nor is half of it left after a loss
# of power.
WRITE = ('umask 077 && cat > "$2.new" && chmod "$1" "$2.new" && sync "$2.new" && mv -f "$2.new" "$2" && '
         'sync "$(dirname "$2")"')


def runs_once(module, arguments):
    """Whether a module must not be run twice. That HAProxy sends requests again is the same the second time."""
    return module in ONCE and arguments.get("state") != "ready"


def written(path, text, mode):
    """The arguments of the module C(command) that writes a file whole or not at all."""
    return dict(argv=["sh", "-c", WRITE, "sh", mode, path], stdin=text, stdin_add_newline=False)


def told(answer):
    """The answer of a module. Where it could not even run, its C(msg), which is what a role repeats, says why, too."""
    return dict(answer, msg=words_of(answer)) if answer.get("failed") and answer.get("module_stderr") else answer


class PersistentAction(TimedAction):
    """A module whose node may be lost for a while in the middle of a roll, because it reboots, for example.

    A lost node ends the run of Ansible for that host: no rescue, and no word on what comes next. With the variable
    C(roll_reconnect_timeout) the node is waited for, for so many seconds, and the module is run once more, so only for
    modules that may be run twice. When time runs out the task fails, as any other one does, with C(lost), and C(away),
    the other host that it was delegated to.
    """

    def act(self, task_vars):
        once = runs_once(self._task.action.rpartition(".")[2], self._task.args)
        return self.persist(lambda: self.ask(task_vars), task_vars, once)

    def ask(self, task_vars):
        """Run the module."""
        return self.run_module(self._task.action.rpartition(".")[2], self._task.args, task_vars)

    def run_module(self, module, arguments, task_vars):
        """What a module of the collection returns, which the node starts.

        Ansible packs each kind that a run starts, which takes the controller 0.2 s of CPU: so C(several) is started for
        whatever it can run.
        """
        if module not in PARTS:
            return self._execute_module(module_name=f"shakenfist.rolling.{module}", module_args=arguments,
                                        task_vars=task_vars)
        answer = self.run_module("several", dict(calls=[dict(module=module, arguments=arguments)]), task_vars)
        if not answer.get("answers"):  # it could not even begin
            return answer
        known = {key: answer[key] for key in OUTER if key in answer}
        return dict(known, **{key: value for key, value in answer["answers"][0].items() if key != "seconds"})

    def persist(self, ask, task_vars, once=False):
        """What C(ask) returns, as soon as the node is there to answer.

        :arg once: whether it must not be asked again: then the task fails at once.
        """
        if once:
            self.ask_once()
        patience = self.patience(task_vars)
        if patience is None:
            return told(ask())
        other = self.delegate(task_vars)
        news = time.monotonic()
        deadline = news if once else news + patience
        while True:
            try:
                return told(ask())
            except AnsibleConnectionFailure as exc:
                words = str(exc).strip()
            left = deadline - time.monotonic()
            if left <= 0:
                who = other or "the node"
                return dict(failed=True, changed=False, lost=True, away=other, msg=(
                    f"{who} cannot be reached by ssh any more, and it is not known what was done there: {words}"
                    if once else f"{who} cannot be reached by ssh any more, and did not come back within "
                    f"{patience:g} s: {words}"))
            if time.monotonic() >= news:
                news = time.monotonic() + NEWS
                name = other or task_vars.get("inventory_hostname", "the node")
                self._display.warning(f"{name} is lost, waiting for it for {left:.0f} s more: {words}")
            self.forget_connection()
            time.sleep(min(INTERVAL, left))

    def ask_once(self):
        """Ansible's own connection may try again, too: retries in the section ssh_connection of its configuration."""
        with suppress(AnsibleError, AttributeError):
            self._connection.set_option("reconnection_retries", 0)

    @staticmethod
    def delegate(task_vars):
        """Whom a task of the node is delegated to, a balancer, for example; empty if it is not."""
        return next(iter(task_vars.get("ansible_delegated_vars") or ()), "")

    def patience(self, task_vars):
        """For how many seconds to wait for a lost node, None to leave that to Ansible."""
        if "roll_reconnect_timeout" not in task_vars:
            return None
        return float(self._templar.template(task_vars["roll_reconnect_timeout"]))

    def forget_connection(self):
        """Do not use what is left of the connection again."""
        try:
            self._connection.reset()
        except (AnsibleConnectionFailure, AttributeError, NotImplementedError):
            pass
