# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench.py makes of its measurements: medians, the table, the targets, the picture and the page.

A measurement is a dictionary, as bench.json has it: weight, way, round, and what was measured, or error. Times are in
seconds, memory is in MB; out, balancer and floor have a time for each node.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple
from xml.sax.saxutils import escape

WAYS = {
    'quiet': 'this collection',
    'grace': 'the same, the grace waited out',
    'unasked': 'the same, no balancer to ask',
    'in_place': 'the same, in_place',
    'typed': 'documented commands over ssh',
    'plain': 'plain playbook of builtin modules',
}
FURTHER = {
    'again': 'second run with nothing to do',
    'resume': 'resume after a kill',
    'rollback': 'rollback of one node',
}
WEIGHTS = {'lab': "The lab's release", 'real': 'A release of real weight'}
BEGIN, END = '<!-- figures of tools/bench -->', '<!-- end of the figures -->'
COLUMNS = {                 # the header: what it is of a measurement, the digits, and the factor
    'wall s': ('wall', 1, 1),
    'out of rotation s': ('out', 1, 1),
    'out at HAProxy s': ('balancer', 1, 1),
    'of the floor': ('ratio', 2, 1),
    'failed': ('failed', 0, 1),
    'worst gap s': ('gap', 2, 1),
    'p50 ms': ('p50', 0, 1000),
    'p99 ms': ('p99', 0, 1000),
    'CPU s': ('cpu', 1, 1),
    'memory MB': ('memory_of_all', 0, 1),
}
SLOW = 0.05             # seconds from which a request counts as slow
BETWEEN = 'between'     # before, after and between the steps
SHORT = 'wall s', 'out of rotation s', 'failed', 'p99 ms', 'CPU s'


def order(names, number):
    """The names, rotated: each round begins with another one."""
    names = list(names)
    turn = number % len(names)
    return names[turn:] + names[:turn]


# ---- of the journal and the balancer

def away(samples):
    """How many seconds each node was out of rotation at the balancer, of samples (seconds, its words by node)."""
    found: dict[str, float] = {}
    since: dict[str, float] = {}
    now = 0.0
    for now, states in samples:
        for node, state in states.items():
            # Others, such as what an unreachable balancer gives, say nothing of the node.
            if state.startswith(('DOWN', 'DRAIN', 'MAINT', 'NOLB')):
                since.setdefault(node, now)
            elif state.startswith('UP') and node in since:
                found[node] = found.get(node, 0.0) + now - since.pop(node)
    for node, begin in since.items():
        found[node] = found.get(node, 0.0) + now - begin
    return {node: round(seconds, 2) for node, seconds in sorted(found.items())}


def reached(events, steps, since):
    """Seconds from a moment until the first start of one of the steps on a node; None if there was none. The events
    are (seconds, event), in order."""
    return next((round(at - since, 2) for at, event in events
                 if at >= since and event['event'] == 'begin' and event.get('node') and event['step'] in steps), None)


# ---- of the report and the prober

def spans(report):
    """The steps of a run in its report, as (step, began, ended): of all nodes together, and of each node."""
    found = [*report['phases'], *(step for node in report['nodes'] for step in node['steps'])]
    return [(step['step'], step['began'], step['ended']) for step in found]


def by_step(answers, times):
    """Of the requests that were due in each step: how many, how many were slow, and their p99. The rest is between.

    :arg answers: pairs of when a request was due and its seconds.
    """
    found: dict[str, list[float]] = {step: [] for step, dummy, dummy in times}
    for due, seconds in answers:
        steps = {step for step, began, ended in times if began <= due < ended}
        for step in steps or {BETWEEN}:
            found.setdefault(step, []).append(seconds)
    return {step: dict(requests=len(each), slow=sum(seconds > SLOW for seconds in each),
                       p99=sorted(each)[int(0.99 * len(each))]) for step, each in found.items() if each}


# ---- statistics

class Spread(NamedTuple):
    median: float
    least: float
    most: float


def spread(values):
    """None where there is nothing."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def compared(measurement, function):
    """For each node its time out of rotation and its floor, where that is known."""
    floors = measurement.get('floor', {})
    return [function(seconds, floors[node]) for node, seconds in measurement.get('out', {}).items() if floors.get(node)]


def values(measurement, what):
    """The figures that a measurement has of something: one, or one for each node."""
    if what == 'ratio':
        return compared(measurement, lambda seconds, floor: seconds / floor)
    if what == 'over':
        return compared(measurement, lambda seconds, floor: seconds - floor)
    found = measurement.get(what)
    return [one for one in (found.values() if isinstance(found, dict) else [found]) if one is not None]


def of(measurements, weight, way, what):
    return spread([value for one in measurements if (one['weight'], one['way']) == (weight, way)
                   for value in values(one, what)])


# ---- the table

def cell(found, digits, factor=1):
    if found is None:
        return '-'
    median, least, most = ('%.*f' % (digits, value * factor) for value in found)
    return median if least == most else '%s (%s..%s)' % (median, least, most)


def markdown(rows):
    """A table that reads well as text, too; the first row is its header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ['| %s |' % ' | '.join(text.ljust(width) for text, width in zip(row, widths)) for row in rows]
    lines.insert(1, '|%s|' % '|'.join('-' * (width + 2) for width in widths))
    return '\n'.join(lines)


def table(measurements, weight, columns=tuple(COLUMNS)):
    """The measured ways of a weight, each cell as median (least..most)."""
    there = {one['way'] for one in measurements if one['weight'] == weight}
    rows = [[name] + [cell(of(measurements, weight, way, COLUMNS[column][0]), *COLUMNS[column][1:])
                      for column in columns] for way, name in WAYS.items() if way in there]
    return markdown([['', *columns], *rows])


def table_of_steps(measurements, weight):
    """Which step of this collection's way disturbs clients; empty where none was measured."""
    found: dict[str, list[dict]] = {}
    for one in measurements:
        if (one['weight'], one['way']) == (weight, 'quiet'):
            for step, seen in one.get('steps', {}).items():
                found.setdefault(step, []).append(seen)
    rows = [[step, *(cell(spread([seen[what] for seen in each]), 0, factor)
                     for what, factor in (('requests', 1), ('slow', 1), ('p99', 1000)))]
            for step, each in found.items()]
    return markdown([['step', 'requests', 'slower than %d ms' % (SLOW * 1000), 'p99 ms'], *rows]) if rows else ''


# ---- the targets

class Target(NamedTuple):
    name: str
    limit: float
    unit: str
    seen: float | None

    @property
    def result(self):
        if self.seen is None:
            return 'not measured'
        return 'holds' if self.seen <= self.limit else 'missed by %.2f%s' % (self.seen - self.limit, self.unit)


def targets(measurements, weight):
    """Of the medians. What is compared with another way is a quotient, without a unit."""
    def median(way, what):
        found = of(measurements, weight, way, what)
        return found and found.median

    def quotient(way, other, what):
        mine, theirs = median(way, what), median(other, what)
        return mine / theirs if mine is not None and theirs else None

    found = [
        Target('wall, where balancers can be asked', 75, ' s', median('quiet', 'wall')),
        Target('wall without such a balancer, of the plain playbook', 0.8, '', quotient('unasked', 'plain', 'wall')),
        Target('out of rotation, of the documented commands', 0.35, '', quotient('quiet', 'typed', 'out')),
        Target('out of rotation, the grace waited out, of the floor', 1.03, '', median('grace', 'ratio')),
        Target('p99 of the requests, of the plain playbook', 1.5, '', quotient('quiet', 'plain', 'p99')),
        Target('CPU of the controller, of the plain playbook', 2, '', quotient('quiet', 'plain', 'cpu')),
        Target('rollback of one node, beyond drain, restart and ready', 2, ' s', median('rollback', 'over')),
        Target('resume after a kill, until the unfinished node', 15, ' s', median('resume', 'reached')),
        Target('second run with nothing to do', 8, ' s', median('again', 'wall')),
    ]
    # Where a release weighs nothing, there is nothing that the others do while the node is out.
    return [target for target in found if weight == 'real' or not target.name.endswith('the documented commands')]


def table_of_targets(found):
    return markdown([['target', 'at most', 'seen', ''], *[
        [target.name, '%g%s' % (target.limit, target.unit),
         '-' if target.seen is None else '%.2f%s' % (target.seen, target.unit), target.result] for target in found]])


# ---- the page

def failures(measurements):
    return ['%s, %s, round %d: %s' % (one['weight'], one['way'], one['round'], one['error'].splitlines()[0])
            for one in measurements if 'error' in one]


def origin(result):
    """Where and when it was measured."""
    return ('Measured on %(date)s: %(machine)s, load %(load_before).2f before; %(versions)s. %(nodes)d nodes, a drain '
            'grace of %(drain_grace)g s, %(rate)g requests a second; rounds: %(rounds)d, in turning order.' % result)


def words(result):
    """All of it, as the page and the terminal have it."""
    measurements, lines = result['measurements'], [origin(result), 'Cells are the median (least..most).']
    for weight, title in WEIGHTS.items():
        if any(one['weight'] == weight for one in measurements):
            about = result['weights'].get(weight)
            lines += ['', '### %s%s' % (title, ': ' + about if about else ''), '', table(measurements, weight), '',
                      table_of_targets(targets(measurements, weight))]
            steps = table_of_steps(measurements, weight)
            lines += ['', 'Requests that were due in each step of `quiet`:', '', steps] if steps else []
    bad = failures(measurements)
    lines += ['', 'Not measured, because it failed:', '', *['* ' + text for text in bad]] if bad else []
    return '\n'.join(lines)


def heaviest(result):
    """The weight to show where there is room for one."""
    there = {one['weight'] for one in result['measurements']}
    return 'real' if 'real' in there else 'lab'


def short(result):
    """The same figures with fewer columns, of one weight."""
    weight = heaviest(result)
    about = result['weights'].get(weight)
    return '%s%s; median (least..most), rounds: %d.\n\n%s' % (
        WEIGHTS[weight], ': ' + about if about else '', result['rounds'], table(result['measurements'], weight, SHORT))


def filled(text, block):
    """A page with the block between its marks."""
    before, begin, rest = text.partition(BEGIN)
    dummy, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError('the page has no %s ... %s' % (BEGIN, END))
    return '%s%s\n%s\n%s%s' % (before, BEGIN, block, END, after)


# ---- the picture

STYLE = """
text { fill: #1f2328; font: 13px system-ui, 'DejaVu Sans', sans-serif } .title { font-weight: 600 }
.ground { fill: #ffffff } .wall { fill: #b6c4d4 } .out { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .ground { fill: #0d1117 } .wall { fill: #3d4d5f } .out { fill: #f0883e } }
"""
WIDTH, LEFT, ROOM, ROW = 800, 250, 110, 30      # pixels: the names are left of the bars, the figures right of them


def picture(result):
    """An SVG: for each way a bar of its wall time, and one of the time that a node is out of rotation."""
    measurements, parts, y = result['measurements'], [], 24
    walls = [found.most for weight in WEIGHTS for way in WAYS if (found := of(measurements, weight, way, 'wall'))]
    scale = (WIDTH - LEFT - ROOM) / max(walls, default=1)
    for weight, title in WEIGHTS.items():
        shown = [(name, of(measurements, weight, way, 'wall'), of(measurements, weight, way, 'out'))
                 for way, name in WAYS.items()]
        shown = [row for row in shown if row[1]]
        if not shown:
            continue
        parts.append('<text class="title" x="10" y="%d">%s</text>' % (y, escape(title)))
        y += 12
        for name, wall, out in shown:
            parts.append('<text x="10" y="%d">%s</text>' % (y + 16, escape(name)))
            for kind, found, top, height in (('wall', wall, y + 2, 20), ('out', out, y + 8, 8)):
                if found:
                    parts.append('<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>' % (
                        kind, LEFT, top, found.median * scale, height))
            parts.append('<text x="%.1f" y="%d">%.0f s%s</text>' % (
                LEFT + wall.median * scale + 6, y + 16, wall.median, ', %.1f s' % out.median if out else ''))
            y += ROW
        y += 24
    about = 'Wall time of an upgrade of %d nodes (wide bars), and time out of rotation of each (narrow bars)' % (
        result['nodes'])
    parts.append('<text x="10" y="%d">%s</text>' % (y, about))
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">' % (WIDTH, y + 14),
        '<title>%s</title>' % about, '<style>%s</style>' % STYLE,
        '<rect class="ground" width="%d" height="%d"/>' % (WIDTH, y + 14), *parts, '</svg>', ''])
