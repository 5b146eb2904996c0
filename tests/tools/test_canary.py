# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import urllib.request

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path[:0] = [os.path.join(ROOT, folder) for folder in ('tools/lib', 'tests/lab', 'tests/lab/faults')]

import canary  # noqa: E402  pylint: disable=wrong-import-position
import rows  # noqa: E402  pylint: disable=wrong-import-position
import searcher  # noqa: E402  pylint: disable=wrong-import-position

SECRETS = {'database password': 's3cret', 'API key': 'k3y'}


def test_no_canary_is_in_another():
    values = list(canary.CANARIES.values())
    assert not [one for one in values for other in values if one is not other and one in other]


@pytest.mark.parametrize('text, found', [
    ('', {}), ('nothing\nof it', {}), ('a s3cret\na s3cret\nand k3y', {
        'a <database password>': ['database password'], 'and <API key>': ['API key']}),
    ('k3y=s3cret ' + 'x' * 300, {('<API key>=<database password> ' + 'x' * 300)[:searcher.SHOWN]: [
        'API key', 'database password']})])
def test_lines(text, found):
    assert searcher.lines(text, SECRETS) == found


def test_files(tmp_path):
    (tmp_path / 'closed').mkdir(mode=0o700)
    texts = {'open': b's3cret', 'other': b'nothing', 'passed': b's3cret', 'closed/a': b'\xff s3cret k3y'}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
        (tmp_path / name).chmod(0o644)
    (tmp_path / 'link').symlink_to('open')
    (tmp_path / 'broken').symlink_to('nowhere')
    os.mkfifo(tmp_path / 'fifo')
    found = searcher.files([str(tmp_path)], SECRETS, (str(tmp_path / 'passed'),))
    assert {path: one['canaries'] for path, one in found.items()} == {
        str(tmp_path / 'open'): ['database password'], str(tmp_path / 'closed/a'): ['API key', 'database password']}
    assert not found[str(tmp_path / 'closed/a')]['open']


@pytest.mark.parametrize('mode, above, expected', [
    (0o644, 0o755, True), (0o640, 0o755, False), (0o644, 0o750, False), (0o604, 0o711, True)])
def test_who_may_read_a_file(monkeypatch, mode, above, expected):
    monkeypatch.setattr(searcher.os, 'stat', lambda path: types.SimpleNamespace(
        st_mode=mode if path == '/a/b/c' else above if path == '/a' else 0o755))
    monkeypatch.setattr(searcher.os.path, 'realpath', lambda path: path)
    assert searcher.is_open('/a/b/c') is expected


def test_processes_of_a_process():
    child = subprocess.Popen(['sh', '-c', 'cat; :', 'k3y'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdin.write(b'x')
        child.stdin.flush()
        child.stdout.read(1)        # both are there
        lines = [searcher.command_line(pid) for pid in searcher.below(str(child.pid))]
    finally:
        child.communicate()
    assert lines == ['sh -c cat; : k3y', 'cat'] and searcher.below('0') == ['0'] and searcher.command_line('0') == ''


def machine(files=(), processes=(), journal=()):
    return dict(files={path: dict(canaries=list(names), open=is_open) for path, names, is_open in files},
                processes={line: ['API key'] for line in processes}, journal={line: ['API key'] for line in journal})


def test_what_has_leaked():
    before = machine([('/etc/sf/config', ['API key'], False), ('/etc/open', ['API key'], True)], journal=['old'])
    now = machine([('/etc/sf/config', ['API key'], True), ('/etc/open', ['API key'], True),
                   ('/etc/open.new', ['API key'], False), ('/srv/dragonflow/kept/a', ['API key'], False),
                   ('/srv/world', ['database password'], True)], ['ps <API key>'], ['old', 'new'])
    assert canary.leaked(before, before) == dict(files={}, processes={}, journal={})
    assert canary.leaked(before, now) == dict(
        processes={'ps <API key>': ['API key']}, journal={'new': ['API key']},
        files={'everybody may read /etc/sf/config': ['API key'], '/etc/open.new': ['API key'],
               'everybody may read /srv/world': ['database password']})


def test_the_table():
    lines = canary.table([('API key', 'journal', 'x'), ('API key', 'journal', 'y'), ('webhook URL', 'output', 'z')])
    assert lines[0].split()[0] == 'canary' and len(lines) == len(canary.CANARIES) + 1
    row = dict(zip(canary.PLACES, next(line for line in lines if line.startswith('API key')).split()[2:]))
    assert row['journal'] == '2' and set(row.values()) == {'0', '2'}


LAB = types.SimpleNamespace(balancer='10.0.0.3', address=lambda machine: '10.0.0.2')


def test_every_canary_is_planted_for_shaken_fist_or_cinder():
    given = ''.join(json.dumps(canary.variables(product, LAB, 1, '/p')) for product in ('shakenfist', 'cinder'))
    assert all(value in given for value in canary.GIVEN_HERE.values())
    # What is there in every product; Ganeti takes no release from an index.
    assert canary.GIVEN_HERE['become password'] in json.dumps(canary.variables('ganeti', LAB, 1, '/p'))
    assert 'stage_index_url' not in canary.variables('ganeti', LAB, 1, '/p')


@pytest.mark.parametrize('row', canary.ROWS, ids=lambda row: row.name)
def test_both_commands_are_loud(row):
    assert row.outcome == rows.STOPPED and row.arguments[-3:] == canary.LOUD
    assert row.again is None or row.again[-3:] == canary.LOUD


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A row with canaries whose commands have run; a machine of it has nothing new."""
    monkeypatch.setattr(canary.machinery, 'ROOT', tmp_path)
    monkeypatch.setattr(canary, 'search', lambda machine: dict(files={}, processes={}, journal={}))
    reports = tmp_path / '.cache' / 'faults' / canary.machinery.NAME
    place = tmp_path / 'place'
    for folder in (reports, place / 'facts', place / 'tmp'):
        folder.mkdir(parents=True)
    (tmp_path / canary.GIVEN).write_text('{}')
    for path in (reports / 'report.json', place / '0.jsonl', place / 'log', place / 'roll.prom'):
        path.write_text('said\n')
    webhook = canary.Webhook()
    result = types.SimpleNamespace(
        sockets=str(place), said=[], rolls=[types.SimpleNamespace(lines=['all is well'])],
        notes=dict(webhook=webhook, processes={}, planted=0, before={'sf-1': canary.search('sf-1')}))
    result.log = result.said.append
    url = 'http://127.0.0.1:%d/x' % webhook.server_port
    urllib.request.urlopen(url, canary.GIVEN_HERE['webhook field'].encode()).close()
    return result


def test_all_of_them_stayed(run, tmp_path):
    assert canary.stayed(run) == [] and run.said == canary.table([])
    assert not (tmp_path / canary.GIVEN).exists() and run.notes['searched']


def test_some_did_not(run, monkeypatch, tmp_path):
    key = canary.CANARIES['API key']
    run.rolls[0].lines.append('as ' + key)
    (tmp_path / 'place' / 'facts' / 'sf-1').write_text(key)
    run.notes['processes'] = {'ps <API key>': ['API key']}
    monkeypatch.setattr(canary, 'search', lambda machine: dict(files={'/tmp/x': dict(
        canaries=['API key'], open=False)}, processes={}, journal={}))
    assert canary.stayed(run) == [
        'the API key is in output of this machine: as <API key>', 'the API key is in facts of this machine: <API key>',
        'the API key is in processes of this machine: ps <API key>', 'the API key is in files of sf-1: /tmp/x']


def test_a_search_in_nothing_is_none(run, tmp_path):
    (tmp_path / 'place' / 'log').unlink()
    assert canary.stayed(run) == ['nothing was written to search in: log']
