# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules answered in a run of the lab, and who gets which of these answers in a cluster of any size.

Node sf-N beyond the recorded ones answers what the last of these (a hypervisor) did, with its own name and address.
"""

from __future__ import annotations

import copy
import json
import re

PREFIX = '10.0.0.'      # in place of the lab's own network
TEMPLATE = 'sf-3'
# What gives a node new things to answer. Answers are kept apart by it, so that a run that asks more often before or
# after it than the recorded one did still gets answers of the right time.
TURNS = ('release active', 'units')
# Of the run that was recorded.
PERSONAL = dict(user='operator', host='controller', boot='', pid=1, started='1', run='00000000')
# A Python that is named is not searched, which would run something.
VARIABLES = dict(ansible_connection='local', ansible_python_interpreter='/usr/bin/python3')
LEFT_OUT = ('invocation', 'warnings', 'deprecations', 'diff')


def key(module, arguments):
    """What answers are sorted by: the module, and the state that it is asked for."""
    name, state = module.rpartition('.')[2], arguments.get('state')
    return '%s %s' % (name, state) if isinstance(state, str) else name


def number(node):
    return int(node.rpartition('-')[2])


def address(count):
    """The address of node sf-COUNT: that of the lab, and beyond it the next ones."""
    return '10.0.%d.%d' % divmod(10 + count, 256)


def generic(answer, network):
    """An answer without what belongs to the machine that recorded it."""
    answer = {name: value for name, value in answer.items()
              if name not in LEFT_OUT and not name.startswith('_ansible_')}
    answer.get('ansible_facts', {}).pop('discovered_interpreter_python', None)
    answer = json.loads(json.dumps(answer, default=str).replace(network, PREFIX))
    if isinstance(answer.get('lock'), dict):
        answer['lock'].update(PERSONAL)
    return answer


def renamed(answer, node, template=TEMPLATE):
    """The answer of one node as that of another."""
    old = r'\b%s\b|(?<![\d.])%s(?!\d)' % (re.escape(template), re.escape(address(number(template))))
    new = {template: node, address(number(template)): address(number(node))}
    return json.loads(re.sub(old, lambda match: new[match.group()], json.dumps(answer)))


def fitted(answer, name, arguments, nodes):
    """The answer in a cluster of so many nodes: what was asked of all of them tells of all of them."""
    targets = arguments.get('urls') or arguments.get('targets')
    if targets and answer.get('seen'):
        seen = next(iter(answer['seen'].values()))
        answer['seen'] = {target: answer['seen'].get(target, seen) for target in targets}
        if 'count' in answer:
            answer['count'] = len(targets)
    if name.startswith('nodes_info') and answer.get('nodes'):
        known = {entry['name'] for entry in answer['nodes']}
        template = next(entry for entry in answer['nodes'] if entry['name'] == TEMPLATE)
        answer['nodes'] += [dict(renamed(template, node), is_cluster_maintainer=False)
                            for node in nodes if node not in known]
    if answer.get('lock') and arguments.get('holder'):
        answer['lock'].update(arguments['holder'])
    return answer


class Recording:
    """The file: an inventory, and by run and node the calls of modules in their order, as pairs of key and answer."""

    def __init__(self, groups, runs):
        self.groups, self.runs = groups, runs
        self.sorted = {run: {node: self.by_turn(calls) for node, calls in nodes.items()} for run, nodes in runs.items()}

    @staticmethod
    def by_turn(calls):
        """The answers by key, each with the turns of the node before it."""
        found: dict[str, list[tuple]] = {}
        turn = 0
        for name, answer in calls:
            found.setdefault(name, []).append((turn, answer))
            turn += name in TURNS
        return found

    @classmethod
    def read(cls, path):
        data = json.loads(path.read_text(encoding='utf-8'))
        return cls(data['groups'], {run: {node: [(name, data['answers'][index]) for name, index in calls]
                                          for node, calls in nodes.items()} for run, nodes in data['runs'].items()})

    def write(self, path):
        """Equal answers once, one on each line."""
        lines: dict[str, int] = {}
        runs = {}
        for run, nodes in self.runs.items():
            runs[run] = {node: [(name, lines.setdefault(json.dumps(answer, sort_keys=True), len(lines)))
                                for name, answer in calls] for node, calls in nodes.items()}
        path.write_text('{"groups": %s,\n"runs": {%s},\n"answers": [\n%s\n]}\n' % (
            json.dumps(self.groups), ',\n'.join('%s: {%s}' % (json.dumps(run), ',\n'.join(
                '%s: %s' % (json.dumps(node), json.dumps(calls)) for node, calls in nodes.items()))
                for run, nodes in runs.items()), ',\n'.join(lines)), encoding='utf-8')

    def inventory(self, count):
        """The groups of a cluster of so many nodes: who is like the last node of the lab is where that one is."""
        nodes = ['sf-%d' % position for position in range(1, count + 1)]
        groups: dict[str, dict] = {name: dict(hosts={node: {} for node in nodes if node in hosts or (
            TEMPLATE in hosts and number(node) > number(TEMPLATE))}) for name, hosts in self.groups.items()}
        variables = {node: dict(ansible_host=address(number(node))) for node in nodes}
        return dict(all=dict(hosts=variables, vars=VARIABLES, children=groups))

    def answer(self, run, node, name, turn, count):
        """The answer to the call number COUNT (from 0) of a module in this turn of the node, None if there is none.

        The last one for ever; where nobody asked in this turn, the last one before it, or else the first one after.
        """
        nodes = self.sorted[run]
        source = node if node in nodes else TEMPLATE
        # What only one node is asked for all of them may be asked of another one.
        order = [source, *(other for other in nodes if other != source)]
        # A state that is asked for may be the module's default.
        found = next((nodes[other][wanted] for wanted in (name, name.partition(' ')[0])
                      for other in order if wanted in nodes[other]), None)
        if not found:
            return None
        now = [answer for at, answer in found if at == turn]
        before = [answer for at, answer in found if at < turn]
        answer = copy.deepcopy((now or before[-1:] or [found[0][1]])[min(count, max(len(now) - 1, 0))])
        return answer if source == node or name.startswith('nodes_info') else renamed(answer, node)


def per_node(measured):
    """What each further node costs from one size to the next, and from the smallest to the largest.

    :arg measured: by number of nodes.
    """
    sizes = sorted(measured)
    pairs = list(zip(sizes, sizes[1:]))
    if len(sizes) > 2:
        pairs.append((sizes[0], sizes[-1]))
    return {(least, most): (measured[most] - measured[least]) / (most - least) for least, most in pairs}
