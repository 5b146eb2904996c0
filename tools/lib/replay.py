# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook, with modules that are recorded, or that answer from a recording; started by bench.py.

All else is as ever: this replaces the one method by which an action plugin runs a module on a node, and those by which
it prepares that. So action plugins of the collection and of Ansible do here what they always do.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

from ansible.cli.playbook import main
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from recording import TURNS, Recording, fitted, key

PLACE = '/nowhere'
# It runs others: they are what is recorded, and what answers.
SEVERAL = 'several'


def called(action, module_name, module_args):
    arguments = action._task.args if module_args is None else module_args
    return key(module_name or action._task.action, arguments), arguments


def record(folder):
    """Let modules run, and keep what they return."""
    run = ActionBase._execute_module

    def execute(self, module_name=None, module_args=None, tmp=None, task_vars=None, **more):
        name, dummy = called(self, module_name, module_args)
        answer = run(self, module_name=module_name, module_args=module_args, tmp=tmp, task_vars=task_vars, **more)
        kept = [(name, answer)]
        if name == SEVERAL:
            kept = [(key(call['module'], call['arguments']), each)
                    for call, each in zip(module_args['calls'], answer.get('answers', []))]
        # A node does one thing at a time, so each has a file of its own.
        with open(folder / task_vars['inventory_hostname'], 'a', encoding='utf-8') as handle:
            handle.writelines(json.dumps(each, default=str) + '\n' for each in kept)
        return answer

    ActionBase._execute_module = execute


class Counter:
    """How often a node was asked for what. In a file, for tasks run in processes of their own."""

    def __init__(self, folder):
        self.folder = folder

    def next(self, node, name):
        """The turn of the node, and how many such calls there were in it."""
        path = self.folder / node
        state: dict = dict(turn=0, calls=0, counts={})
        if path.exists():
            state = json.loads(path.read_text(encoding='utf-8'))
        turn, count = state['turn'], state['counts'].get(name, 0)
        state['calls'] += 1
        state['counts'][name] = count + 1
        if name in TURNS:
            state.update(turn=turn + 1, counts={})
        path.write_text(json.dumps(state), encoding='utf-8')
        return turn, count


def replay(folder, path, run, count):
    """Let nobody run anything: who is asked answers at once."""
    recording, counter = Recording.read(path), Counter(folder)
    nodes = ['sf-%d' % position for position in range(1, count + 1)]

    def execute(self, module_name=None, module_args=None, tmp=None, task_vars=None, **dummy):
        name, arguments = called(self, module_name, module_args)
        # It is packed as ever, for that is most of what the controller has to do for it.
        self._configure_module(module_name or self._task.action, arguments, task_vars)
        node = task_vars['inventory_hostname']
        if name == SEVERAL:
            return dict(answers=[dict(asked(node, key(call['module'], call['arguments']), call['arguments']),
                                      seconds=0.0) for call in arguments['calls']])
        return asked(node, name, arguments)

    def asked(node, name, arguments):
        answer = recording.answer(run, node, name, *counter.next(node, name))
        if answer is None:
            raise AnsibleError('the recording has no answer of %s; make a new one: tools/bench --record' % name)
        return fitted(answer, name, arguments, nodes)

    def place(self, *dummy):
        self._connection._shell.tmpdir = PLACE
        return PLACE

    def forget(self, *dummy, **options):
        self._connection._shell.tmpdir = None

    def refuse(self, command, *dummy, **options):
        raise AnsibleError('a command would run on the controller in place of a node: %s' % command)

    ActionBase._execute_module = execute
    ActionBase._make_tmp_path = place
    ActionBase._remove_tmp_path = forget
    ActionBase._transfer_file = lambda self, source, target: target
    ActionBase._transfer_data = lambda self, target, data: target
    ActionBase._fixup_perms2 = lambda self, paths, *dummy, **options: paths
    ActionBase._low_level_execute_command = refuse


if __name__ == '__main__':
    settings = json.loads(os.environ['BENCH'])
    place_of_calls = pathlib.Path(settings['calls'])
    if 'recording' in settings:
        replay(place_of_calls, pathlib.Path(settings['recording']), settings['run'], settings['nodes'])
    else:
        record(place_of_calls)
    main(['ansible-playbook', *sys.argv[1:]])
