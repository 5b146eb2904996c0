# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# tools/getsf-upgrade with an ansible-playbook that writes down how it was called. Only what it hands on is tested
# here; the molecule scenario getsf runs the real one.

from __future__ import annotations

import fnmatch
import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'getsf-upgrade'
# Keeps its arguments and settings, writes the plan if it is asked for one, and ends as the test wants it to.
PLAYBOOK = """#!%s
import json, os, pathlib, sys
kind = sys.argv[3].rpartition('.')[2] + ('-check' if '--check' in sys.argv else '')
with open(os.environ['CALLS'], 'a') as calls:
    calls.write(json.dumps({'kind': kind, 'arguments': sys.argv[1:], 'settings': {
        name: value for name, value in os.environ.items() if name.startswith('ANSIBLE_')}}) + '\\n')
for argument in sys.argv:
    if argument.startswith('plan_file='):
        pathlib.Path(argument.partition('=')[2]).write_text(json.dumps(
            {'nodes': {'sf-1': {'release': '0.0.1'}}, 'order': [] if 'DONE' in os.environ else ['sf-1'],
             'release': '0.8.1'}, indent=4, sort_keys=True))
sys.exit(int(os.environ.get('FAILS_' + kind.replace('-', '_'), '0')))
""" % sys.executable


class Place:
    """A home directory with getsf's answers, and what the tool did in it."""

    def __init__(self, home):
        self.home, self.calls = home, home / 'calls'
        self.answers = home / '.getsfrc'
        self.answers.write_text("export GETSF_NODES='sf-1'\n")
        self.programs = home / 'programs'
        self.programs.mkdir()
        self.playbook = self.programs / 'ansible-playbook'
        self.playbook.write_text(PLAYBOOK)
        self.playbook.chmod(0o755)

    def environment(self, **extra):
        return {'HOME': str(self.home), 'PATH': f'{self.programs}:/usr/bin:/bin', 'CALLS': str(self.calls), **extra}

    def run(self, *arguments, tool=TOOL, cwd=None, **extra):
        return subprocess.run([tool, *arguments], env=self.environment(**extra), cwd=cwd or self.home, text=True,
                              check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def type(self, words, *arguments, ahead='', **extra):
        """The same with a person at a terminal, who answers the question and may have typed something ahead."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, ahead.encode())
            with subprocess.Popen([TOOL, *arguments], env=self.environment(**extra), cwd=self.home, stdin=theirs,
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                output = ''
                while not output.endswith('Type yes: ') and (read := process.stdout.read(1)):
                    output += read
                os.write(ours, words.encode() + b'\n')
                output += process.communicate(timeout=60)[0]
            return process.returncode, output
        finally:
            os.close(ours)
            os.close(theirs)

    def called(self):
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [json.loads(line) for line in lines]

    def kinds(self):
        return [call['kind'] for call in self.called()]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_it_shows_the_plan_and_does_what_was_shown(place):
    done = place.run('--yes')
    assert done.returncode == 0, done.stderr
    plan, upgrade = place.called()
    inventory = str(place.home / 'cluster.getsf.yml')
    assert plan['arguments'][:3] == ['-i', inventory, 'shakenfist.rolling.plan']
    assert upgrade['arguments'] == ['-i', inventory, 'shakenfist.rolling.upgrade', '-e', 'rolling_release=0.8.1']
    assert pathlib.Path(inventory).read_text() == 'plugin: shakenfist.rolling.getsf\n'
    assert f'made the inventory {inventory}' in done.stdout
    written = plan['arguments'][-1].partition('=')[2]
    assert written.startswith('/') and not os.path.exists(os.path.dirname(written))


@pytest.mark.parametrize('arguments, release', [
    (['--release', '0.8.0'], 'rolling_release=0.8.0'), (['--release=0.8.0'], 'rolling_release=0.8.0')])
def test_a_release_that_is_asked_for_is_planned(place, arguments, release):
    place.run('--yes', *arguments)
    assert release in place.called()[0]['arguments']


@pytest.mark.parametrize('option', [['--wheels', 'my wheels'], ['--wheels=my wheels']])
def test_wheels_that_were_built_are_planned_and_rolled(place, option):
    (place.home / 'my wheels').mkdir()
    done = place.run('--yes', *option)
    assert done.returncode == 0, done.stderr
    plan, upgrade = (call['arguments'] for call in place.called())
    # Wherever the playbook looks from, and with its blank.
    source = ['-e', json.dumps({'stage_source': [str(place.home / 'my wheels')]})]
    assert plan[3:5] == source and upgrade[3:] == [*source, '-e', 'rolling_release=0.8.1']


def test_a_link_keeps_its_name(place):
    """What it leads to need not be called as a wheel is, or as an inventory of getsf's is."""
    (place.home / 'store').mkdir()
    for name in ('0a1b2c3d', '99aabbcc'):
        (place.home / 'store' / name).write_text('')
    wheel, inventory = place.home / 'shakenfist-0.8.1-py3-none-any.whl', place.home / 'my.getsf.yml'
    wheel.symlink_to('store/0a1b2c3d')
    inventory.symlink_to('store/99aabbcc')
    done = place.run('--yes', '--wheels', wheel.name, '--answers', inventory.name)
    assert done.returncode == 0, done.stderr
    for call in place.called():
        assert call['arguments'][1] == str(inventory)
        assert json.dumps({'stage_source': [str(wheel)]}) in call['arguments']


def test_a_link_to_the_answers(place):
    (place.home / 'etc').mkdir()
    (place.home / 'etc' / 'answers').symlink_to(place.answers)
    assert place.run('--yes', '--answers', 'etc/answers').returncode == 0
    inventory = place.home / 'etc' / 'answers.getsf.yml'
    assert place.called()[0]['arguments'][1] == str(inventory)
    assert inventory.read_text().endswith("path: 'answers'\n")


def test_what_follows_is_handed_on(place):
    place.run('--yes', '--', '--limit', 'sf-1', '-e', 'drain_timeout=120')
    assert [call['arguments'][-4:] for call in place.called()] == [['--limit', 'sf-1', '-e', 'drain_timeout=120']] * 2


def test_check_asks_nothing_and_changes_nothing(place):
    assert place.run('--check').returncode == 0
    assert place.kinds() == ['plan', 'upgrade-check']
    assert place.called()[1]['arguments'][-2:] == ['--check', '--diff']


@pytest.mark.parametrize('words, code, kinds', [
    ('yes', 0, ['plan', 'upgrade']), ('y', 66, ['plan']), ('', 66, ['plan'])])
def test_a_person_is_asked(place, words, code, kinds):
    seen, output = place.type(words)
    assert seen == code, output
    assert place.kinds() == kinds
    assert 'Upgrade the cluster to 0.8.1 as shown? Type yes: ' in output
    assert ('nothing was touched' in output) == (code != 0)


@pytest.mark.parametrize('arguments, words', [
    ([], 'no terminal to ask on, expected --yes to do it or --check to only look'),
    (['--answers'], '--answers needs a value'),
    (['--release'], '--release needs a value'),
    (['--serial', '2'], 'no option --serial'),
    (['--yes', '--reconfigure', '--release', '0.8.1'], '--reconfigure keeps the release'),
    (['--yes', '--reconfigure', '--wheels', '.'], '--reconfigure keeps the release'),
    (['--yes', '--wheels', 'nowhere'], 'there is no nowhere on this machine'),
    (['--wheels'], '--wheels needs a value'),
    (['--yes', '--wheels', ''], '--wheels needs a value'),
    (['--yes', '--wheels='], '--wheels= needs a value'),
    (['--yes', '--wheels', '', '--release', '0.8.1'], '--wheels needs a value'),
    (['--yes', '--release', ''], '--release needs a value'),
    (['--yes', '--release='], '--release= needs a value'),
    (['--yes', '--answers', ''], '--answers needs a value'),
    (['--yes', '--answers='], '--answers= needs a value'),
    (['--yes', '--reconfigure', ''], '--reconfigure has an empty command'),
    (['--yes', '--reconfigure='], '--reconfigure= needs a value'),
    (['--yes', '--answers', 'nowhere'], 'cannot read nowhere'),
])
def test_it_refuses_before_anything(place, arguments, words):
    done = place.run(*arguments)
    assert done.returncode == 64
    assert words in done.stderr and done.stderr.startswith('getsf-upgrade: ')
    assert place.called() == [] and not (place.home / 'cluster.getsf.yml').exists()


def test_help(place):
    done = place.run('--help')
    assert done.returncode == 0 and 'exit codes:' in done.stdout and place.called() == []


def test_what_was_typed_ahead_is_no_answer(place):
    seen, output = place.type('no', ahead='yes\n')
    assert (seen, place.kinds()) == (66, ['plan']), output


def test_a_person_is_not_asked_where_nothing_is_left_to_do(place):
    seen, output = place.type('', DONE='1')
    assert (seen, place.kinds()) == (0, ['plan', 'upgrade']), output
    assert 'Type yes' not in output


def test_without_ansible(place):
    place.playbook.unlink()
    copy = shutil.copy(TOOL, place.home / 'getsf-upgrade')
    done = place.run('--yes', tool=copy)
    assert done.returncode == 64 and 'install ansible-core' in done.stderr


def test_a_plan_that_fails_ends_it(place):
    done = place.run('--yes', FAILS_plan='2')
    assert done.returncode == 65 and 'nothing was touched; the reason is above' in done.stderr
    assert place.kinds() == ['plan']


def test_a_roll_that_stops_has_the_code_of_ansible(place):
    assert place.run('--yes', FAILS_upgrade='4').returncode == 4


def test_a_copy_of_the_answers(place):
    folder = place.home / "the cluster's"
    folder.mkdir()
    answers = folder / "it's.getsfrc"
    answers.write_text("export GETSF_NODES='sf-1'\n")
    assert place.run('--yes', '--answers', f'{folder.name}/{answers.name}').returncode == 0
    inventory = folder / "it's.getsfrc.getsf.yml"
    assert place.called()[1]['arguments'][1] == str(inventory)
    assert inventory.read_text() == "plugin: shakenfist.rolling.getsf\npath: 'it''s.getsfrc'\n"


def test_an_inventory_of_the_operator_is_kept(place):
    own = place.home / 'cluster.getsf.yml'
    own.write_text('plugin: shakenfist.rolling.getsf\nssh_user: debian\n')
    assert 'made the inventory' not in place.run('--yes').stdout
    assert place.run('--yes', '--answers=cluster.getsf.yml').returncode == 0
    assert {call['arguments'][1] for call in place.called()} == {str(own)}
    assert own.read_text() == 'plugin: shakenfist.rolling.getsf\nssh_user: debian\n'


def test_an_inventory_that_cannot_be_written(place):
    (place.home / 'answers').write_text('')
    (place.home / 'answers.getsf.yml').symlink_to('nowhere/inventory')
    done = place.run('--yes', '--answers', 'answers')
    assert done.returncode == 64 and 'cannot write' in done.stderr and place.called() == []


def test_reconfigure_shows_itself_first(place):
    assert place.run('--yes', '--reconfigure').returncode == 0
    assert place.kinds() == ['reconfigure-check', 'reconfigure']
    assert place.called()[1]['arguments'][2:] == ['shakenfist.rolling.reconfigure']


def test_reconfigure_with_check_only(place):
    assert place.run('--check', '--reconfigure').returncode == 0
    assert place.kinds() == ['reconfigure-check']


def test_reconfigure_that_is_refused(place):
    assert place.run('--yes', '--reconfigure', FAILS_reconfigure_check='2').returncode == 65


@pytest.mark.parametrize('one', [True, False])
def test_reconfigure_with_a_command(place, one):
    command = 'echo "{{ inventory_hostname }}" \\ it\'s'
    place.run('--yes', *([f'--reconfigure={command}'] if one else ['--reconfigure', command]))
    given = place.called()[1]['arguments']
    assert given[3] == '-e' and json.loads(given[4]) == {'reconfigure_command': command}


@pytest.mark.parametrize('inside', [False, True])
def test_a_checkout_is_the_collection(place, inside):
    place.run('--check', cwd=ROOT if inside else place.home, ANSIBLE_COLLECTIONS_PATH='/elsewhere')
    settings = place.called()[0]['settings']
    path, *others = settings['ANSIBLE_COLLECTIONS_PATH'].split(':')
    assert os.path.realpath(f'{path}/ansible_collections/shakenfist/rolling') == str(ROOT)
    assert others == ['/elsewhere']
    assert settings['ANSIBLE_CONFIG'] == str(ROOT / 'examples' / 'ansible.cfg')
    assert settings['ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED'] == 'true'


def test_an_installed_collection(place):
    installed = place.home / 'somewhere' / 'ansible_collections' / 'shakenfist' / 'rolling'
    (installed / 'tools').mkdir(parents=True)
    tool = shutil.copy(TOOL, installed / 'tools')
    assert place.run('--check', tool=tool).returncode == 0
    assert place.called()[0]['settings']['ANSIBLE_COLLECTIONS_PATH'].split(':') == [
        str(place.home / 'somewhere'), f'{place.home}/.ansible/collections', '/usr/share/ansible/collections']


def test_a_link_to_it_is_as_good(place):
    link = place.home / 'link'
    link.symlink_to(TOOL)
    place.run('--check', tool=link)
    assert 'ANSIBLE_COLLECTIONS_PATH' in place.called()[0]['settings']


def test_a_copy_uses_what_ansible_finds(place):
    copy = shutil.copy(TOOL, place.programs / 'getsf-upgrade')
    assert place.run('--check', tool=copy).returncode == 0
    assert set(place.called()[0]['settings']) == {
        'ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED', 'ANSIBLE_INVENTORY_ENABLED'}


@pytest.mark.parametrize('arguments, only', [([], True), (['--', '-e', 'a=b'], True), (['--', '-i', 'more.yml'], False),
                                             (['--', '--inventory=more.yml'], False)])
def test_other_inventories_may_be_of_any_kind(place, arguments, only):
    place.run('--check', *arguments)
    assert (place.called()[0]['settings'].get('ANSIBLE_INVENTORY_ENABLED') == 'shakenfist.rolling.getsf') == only


@pytest.mark.parametrize('own', ['ansible.cfg', '.ansible.cfg'])
def test_settings_of_the_operator_count(place, own):
    (place.home / own).write_text('[defaults]\n')
    place.run('--check')
    assert 'ANSIBLE_CONFIG' not in place.called()[0]['settings']


def test_it_is_in_the_collection():
    """What is built has this tool, and no other one."""
    ignored = yaml.safe_load((ROOT / 'galaxy.yml').read_text())['build_ignore']
    kept = [path.name for path in (ROOT / 'tools').iterdir()
            if not any(fnmatch.fnmatch(f'tools/{path.name}', pattern) for pattern in ignored)]
    assert kept == ['getsf-upgrade'] and 'tools' not in ignored
    assert os.access(TOOL, os.X_OK)
