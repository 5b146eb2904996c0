# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import sys
from xml.etree import ElementTree

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'lib'))

import figures  # noqa: E402  pylint: disable=wrong-import-position


def one(way, number=1, weight='lab', **measured):
    return dict(measured, weight=weight, way=way, round=number)


def rolled(way, wall=60.0, weight='lab', number=1, **more):
    return one(way, number, weight, **dict(dict(
        wall=wall, cpu=20.0, memory=90.0, memory_of_all=300.4, out={'sf-1': 9.0, 'sf-2': 8.0, 'sf-3': 8.4},
        floor={'sf-1': 8.0, 'sf-2': 8.0, 'sf-3': None}, balancer={'sf-1': 11.0, 'sf-2': 10.0, 'sf-3': 10.0},
        requests=7000, failed=0, lost=0, gap=0.08, p50=0.002, p99=0.0412), **more))


def result(*measurements, **more):
    return dict(dict(date='2026-11-30', machine='2 cores', versions='shakenfist.rolling 0.1.0', nodes=3, rate=120.0,
                     drain_grace=25.0, rounds=3, load_before=0.1, weights={'lab': '10 packages and 40 MB'},
                     measurements=list(measurements)), **more)


@pytest.mark.parametrize('number, first', [(0, 'quiet'), (1, 'typed'), (2, 'plain'), (3, 'quiet')])
def test_each_round_begins_with_another_one(number, first):
    found = figures.order(['quiet', 'typed', 'plain'], number)
    assert found[0] == first and sorted(found) == ['plain', 'quiet', 'typed']


@pytest.mark.parametrize('states, seconds', [
    (['UP', 'UP', 'UP'], None),
    (['UP', 'UP 1/2', 'DOWN', 'DOWN 1/2', 'UP'], 2.0),
    (['UP', 'DRAIN', 'DOWN', 'UP'], 2.0),
    (['DOWN', 'UP', 'DRAIN', 'UP'], 2.0),
    (['UP', 'DRAIN', 'timed out', 'DRAIN', 'UP'], 3.0),
    (['UP', 'timed out', 'UP'], None),
    (['UP', 'MAINT', 'MAINT'], 1.0),
])
def test_away(states, seconds):
    found = figures.away([(100.0 + at, {'sf-1': state, 'sf-2': 'UP'}) for at, state in enumerate(states)])
    assert found == ({} if seconds is None else {'sf-1': seconds})


def begin(at, step, **more):
    return at, dict(more, event='begin', step=step)


def test_reached():
    events = [begin(9.0, 'drain', node='sf-1'), begin(11.0, 'preflight'),
              (12.0, dict(event='end', step='drain', node='sf-2')), begin(13.0, 'quorum', node='sf-2'),
              begin(14.0, 'drain', node='sf-2')]
    assert figures.reached(events, ('quorum', 'drain'), 10.0) == 3.0
    assert figures.reached(events, ('drain',), 10.0) == 4.0
    assert figures.reached(events, ('drain',), 15.0) is None


@pytest.mark.parametrize('values, spread', [
    ([], None), ([4.0], (4.0, 4.0, 4.0)), ([9.0, 1.0, 2.0], (2.0, 1.0, 9.0)), ([1.0, 2.0], (1.5, 1.0, 2.0)),
])
def test_spread(values, spread):
    assert figures.spread(values) == spread


@pytest.mark.parametrize('what, values', [
    ('wall', [60.0]), ('out', [9.0, 8.0, 8.4]), ('ratio', [1.125, 1.0]), ('over', [1.0, 0.0]), ('reached', []),
])
def test_values(what, values):
    assert figures.values(rolled('quiet'), what) == pytest.approx(values)


def test_what_failed_has_no_values():
    assert [figures.values(one('quiet', error='rc 2'), what) for what in ('wall', 'out', 'ratio', 'over')] == [[]] * 4


def test_of_is_of_one_weight_and_way():
    found = [rolled('quiet', 60.0), rolled('quiet', 70.0), rolled('plain', 99.0), rolled('quiet', 99.0, 'real')]
    assert figures.of(found, 'lab', 'quiet', 'wall') == (65.0, 60.0, 70.0)
    assert figures.of(found, 'lab', 'typed', 'wall') is None


@pytest.mark.parametrize('found, digits, factor, text', [
    (None, 1, 1, '-'), ((2.0, 2.0, 2.0), 1, 1, '2.0'), ((2.04, 1.0, 3.0), 1, 1, '2.0 (1.0..3.0)'),
    ((0.0412, 0.04, 0.05), 0, 1000, '41 (40..50)'), ((2.01, 2.0, 2.02), 1, 1, '2.0'),
])
def test_cell(found, digits, factor, text):
    assert figures.cell(found, digits, factor) == text


def test_table():
    found = figures.table([rolled('plain', 126.0), rolled('quiet', 60.0), rolled('quiet', 62.0),
                           rolled('typed', weight='real')], 'lab').splitlines()
    cells = [[text.strip() for text in line.strip('|').split('|')] for line in found]
    assert len({len(line) for line in found}) == 1
    assert cells[0] == ['', *figures.COLUMNS] and set(found[1]) == {'|', '-'}
    assert cells[2] == ['this collection', '61.0 (60.0..62.0)', '8.4 (8.0..9.0)', '10.0 (10.0..11.0)',
                        '1.06 (1.00..1.12)', '0', '0.08', '2', '41', '20.0', '300']
    assert [row[0] for row in cells[2:]] == ['this collection', 'plain playbook of builtin modules']


def seen(found):
    return {target.name.split(',')[0]: (target.seen, target.result) for target in found}


EVERYTHING = [rolled('quiet', 61.0), rolled('quiet', 80.0), rolled('quiet', 61.0), rolled('unasked', 90.0),
              rolled('plain', 120.0, cpu=5.0, p99=0.01), rolled('typed', out={'sf-1': 32.0}, floor={}),
              rolled('grace', out={'sf-1': 32.5}, floor={'sf-1': 32.0}), one('again', wall=8.4),
              one('resume', wall=50.0, reached=14.2), rolled('rollback', out={'sf-3': 9.5}, floor={'sf-3': 8.0})]


def test_targets():
    assert seen(figures.targets(EVERYTHING, 'lab')) == {
        'wall': (61.0, 'holds'),
        'wall without such a balancer': (0.75, 'holds'),
        'out of rotation': (1.015625, 'holds'),
        'p99 of the requests': (pytest.approx(4.12), 'missed by 2.62'),
        'CPU of the controller': (4.0, 'missed by 2.00'),
        'rollback of one node': (1.5, 'holds'),
        'resume after a kill': (14.2, 'holds'),
        'second run with nothing to do': (8.4, 'missed by 0.40 s'),
    }


def test_only_real_weight_is_compared_with_the_documented_commands():
    found = [target for target in figures.targets([dict(one, weight='real') for one in EVERYTHING], 'real')
             if target.name == 'out of rotation, of the documented commands']
    assert [(target.seen, target.result) for target in found] == [(8.4 / 32, 'holds')]


def test_what_was_not_measured_holds_no_target():
    found = figures.targets([rolled('quiet'), one('plain', error='rc 2')], 'lab')
    assert {target.result for target in found[1:]} == {'not measured'}
    assert re.search(r'\| 8 s +\| - +\| not measured \|$', figures.table_of_targets(found))


def test_words():
    text = figures.words(result(rolled('quiet'), one('plain', 2, error='plain failed (rc 2)\nand more')))
    assert text.startswith('Measured on 2026-11-30: 2 cores, load 0.10 before; shakenfist.rolling 0.1.0. 3 nodes, a ')
    assert "### The lab's release: 10 packages and 40 MB\n\n|  " in text and 'real weight' not in text
    assert text.endswith('* lab, plain, round 2: plain failed (rc 2)')


@pytest.mark.parametrize('weights, weight', [(['lab'], 'lab'), (['lab', 'real'], 'real'), (['real'], 'real')])
def test_short(weights, weight):
    found = result(*[rolled('quiet', weight=name) for name in weights])
    assert figures.short(found).startswith(figures.WEIGHTS[weight])
    assert 'p50' not in figures.short(found)


def test_filled():
    page = 'a\n%s\nold\n%s\nb\n' % (figures.BEGIN, figures.END)
    assert figures.filled(page, 'new') == page.replace('old', 'new')
    assert figures.filled(figures.filled(page, 'x'), 'new') == page.replace('old', 'new')
    with pytest.raises(ValueError, match='the page has no'):
        figures.filled('a\n', 'new')


def test_picture():
    svg = ElementTree.fromstring(figures.picture(result(
        rolled('quiet'), rolled('plain', 120.0), rolled('typed', weight='real', wall=240.0, out={}))))
    name = '{http://www.w3.org/2000/svg}'
    bars = [(rect.get('class'), float(rect.get('width'))) for rect in svg.iter(name + 'rect')][1:]
    assert [kind for kind, width in bars] == ['wall', 'out', 'wall', 'out', 'wall']
    assert bars[2][1] == pytest.approx(2 * bars[0][1]) and bars[4][1] == figures.WIDTH - figures.LEFT - figures.ROOM
    texts = [text.text for text in svg.iter(name + 'text')]
    assert "The lab's release" in texts and '60 s, 8.4 s' in texts and '240 s' in texts
    height = float(svg.get('viewBox').split()[3])
    assert all(float(text.get('y')) < height for text in svg.iter(name + 'text'))


def test_a_picture_of_nothing():
    assert not re.search('class="(wall|out)"', figures.picture(result()))
