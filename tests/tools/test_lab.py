# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import pathlib
import re
import sys
import types
import zipfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'lab'))

import lab  # noqa: E402
from products import cinder, dragonflow, keystone, openstack, sf  # noqa: E402


@pytest.fixture
def podman(monkeypatch):
    """A podman with these machines that have exited, and what they said last."""
    def there(gone, words=''):
        answers = {'ps': ''.join(lab.PREFIX + name + '\n' for name in gone), 'logs': words}
        monkeypatch.setattr(lab, 'podman', lambda verb, *dummy, **more: types.SimpleNamespace(
            stdout=answers[verb], stderr='', returncode=0))
    return there


def test_a_machine_that_has_exited_is_not_waited_for(podman):
    podman(['sf-1', 'sf-2'], 'Failed to mount cgroup')
    with pytest.raises(lab.LabError) as caught:
        lab.wait_until('the nodes are not all created', lambda: 'sf-1 is unknown')
    assert str(caught.value) == ('exited, and not up: sf-1, sf-2. The last words of the first one:\nFailed to mount '
                                 'cgroup\nNext: tools/lab down, and up again')


@pytest.mark.parametrize('words', ['Failed to create inotify object', 'Failed to allocate it: Too many open files'])
def test_what_ran_out_is_named(podman, words):
    podman(['db'], words)
    with pytest.raises(lab.LabError, match='Next: sysctl fs.inotify.max_user_instances=1024 .now [0-9]+: systemd'):
        lab.check_machines()


def test_machines_that_run_are_waited_for(podman, monkeypatch):
    podman([])
    seen = ['not yet', '']
    lab.wait_until('it is not there', lambda: seen.pop(0))
    assert seen == []
    with pytest.raises(lab.LabError, match='it is not there within 0 s; last seen: never'):
        lab.wait_until('it is not there', lambda: 'never', limit=0)


BALANCING = dict(probes=True, balancer_inter=1, balancer_fall=2, balancer_rise=2)


OF_SF = dict(nodes=1, database=2, release='0.8.0')


def test_a_checkout_removes_no_image_of_another(monkeypatch, tmp_path):
    """Each has a name of its own for its images. podman lists all names of one, and they may have the same image."""
    monkeypatch.setattr(lab, 'CACHE', tmp_path)
    (tmp_path / 'containers.conf').touch()
    monkeypatch.setattr(lab, 'base_image', lambda packages: 'base')
    monkeypatch.setattr(lab, 'say', lambda text: None)
    product = types.SimpleNamespace(IMAGE='sfr-lab', PACKAGES=[], SOURCES=lab.LAB / 'sf', dependencies=lambda: [],
                                    fill=lambda context: None)
    built, removed = [], []

    def podman(verb, *arguments, **more):
        names = ''
        if verb == 'build':
            built.append(arguments[arguments.index('--tag') + 1])
        elif verb == 'images':
            repository = arguments[1].partition('=')[2]
            names = ''.join(f'{name}\n' for name in (f'{repository}:old', *built, 'localhost/sfr-lab:latest'))
        elif verb == 'rmi':
            removed.append(arguments[0])
        return types.SimpleNamespace(stdout=names, stderr='', returncode=verb == 'image')

    monkeypatch.setattr(lab, 'podman', podman)
    for root in '/one', '/two':
        monkeypatch.setattr(lab, 'ROOT', pathlib.Path(root))
        lab.lab_image(product)
    assert len({name.rpartition(':')[0] for name in built}) == 2
    assert removed == [f"{name.rpartition(':')[0]}:old" for name in built]


@pytest.mark.parametrize('state, product, machines', [
    (dict(product='cinder', options=dict(nodes=2)), 'cinder', ['db', 'lb', 'c-1', 'c-2']),
    (dict(product='keystone', options=dict(nodes=2)), 'keystone', ['db', 'lb', 'k-1', 'k-2']),
    (dict(product='dragonflow', options=dict(nodes=4)), 'dragonflow', ['db', 'lb', 'd-1', 'd-2', 'd-3', 'd-4']),
    (dict(product='shakenfist', options=OF_SF), 'shakenfist', ['db', 'lb', 'sf-1']),
    # As the lab kept it when there was only one product.
    (dict(options=OF_SF), 'shakenfist', ['db', 'lb', 'sf-1']),
])
def test_a_lab_remembers_its_product(monkeypatch, tmp_path, state, product, machines):
    monkeypatch.setattr(lab, 'STATE', tmp_path / 'state.json')
    lab.STATE.write_text(json.dumps(dict(state, subnet='10.1.2.0/24')))
    for dummy in range(2):
        plan = lab.load()
        assert (plan.product, plan.machines) == (product, machines)
        assert [plan.address(machine) for machine in machines[:3]] == ['10.1.2.2', '10.1.2.3', '10.1.2.11']
        plan.save()


@pytest.mark.parametrize('argv, product, nodes, others', [
    (['up'], 'shakenfist', 3, {'database': 2}),
    (['up', '--product', 'cinder'], 'cinder', 2, {}),
    (['up', '--nodes', '4', '--product=cinder'], 'cinder', 4, {}),
    (['up', '--product', 'keystone'], 'keystone', 2, {}),
    (['up', '--product', 'dragonflow'], 'dragonflow', 4, {}),
])
def test_what_a_lab_takes_depends_on_the_product(monkeypatch, argv, product, nodes, others):
    seen = []
    monkeypatch.setattr(lab, 'up', seen.append)
    monkeypatch.setattr(sys, 'argv', ['lab.py', *argv])
    lab.main()
    found = vars(seen[0])
    assert (found['product'], found['nodes']) == (product, nodes)
    assert {name: found.get(name) for name in ('database',) if name in found} == others


def test_what_is_of_another_product_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['lab.py', 'up', '--product', 'cinder', '--drain-grace', '5'])
    with pytest.raises(SystemExit):
        lab.main()
    assert 'unrecognized arguments: --drain-grace 5' in capsys.readouterr().err


@pytest.mark.parametrize('product, options, node, lines', [
    (sf, dict(nodes=3, database=2, release='0.8.0', drain_grace=25, balancer=[]), 'sf-3', (
        'option httpchk GET /readyz', 'default_backend sf-api', 'http-request replace-path /api(/)?(.*) /\\2',
        'server sf-3 10.1.2.13:13000 check inter 1000ms fall 2 rise 2')),
    (cinder, dict(nodes=2), 'c-2', (
        'option httpchk GET /healthcheck', 'default_backend cinder-api', 'http-reuse never',
        'server c-2 10.1.2.12:8776 check inter 1000ms fall 2 rise 2')),
    (keystone, dict(nodes=2), 'k-2', (
        'option httpchk GET /healthcheck', 'default_backend keystone', 'http-reuse never',
        'server k-2 10.1.2.12:5000 check inter 1000ms fall 2 rise 2')),
])
def test_the_files_of_the_machines(product, options, node, lines):
    plan = product.Plan('10.1.2.0/24', options | BALANCING)
    balancer = plan.files('lb')['etc/haproxy/haproxy.cfg'].splitlines()
    assert not set(lines) - {line.strip() for line in balancer}
    assert 'CREATE DATABASE IF NOT EXISTS %s ' % plan.product in plan.files('db')['etc/mysql/lab.sql']
    assert 'index-url = http://10.1.2.2:8080/simple/' in plan.files(node)['etc/pip.conf']


def test_the_balancer_of_dragonflow_asks_the_data_plane():
    plan = dragonflow.Plan('10.1.2.0/24', dict(nodes=4, **BALANCING))
    found = plan.files('lb')['etc/haproxy/haproxy.cfg']
    assert 'server d-3 10.1.2.13:8000\n' in found and 'server d-4 10.1.2.14:8000\n' in found
    assert '10.1.2.11' not in found
    assert json.loads(plan.files('d-3')['etc/lab-switch.json'])['8002'] == ['d-3-port-2', '10.1.2.14:8002']
    assert plan.variables() == {'dragonflow_etcd': ['http://10.1.2.2:2379']}


def test_the_inventory_has_what_a_product_needs(monkeypatch, capsys):
    plan = dragonflow.Plan('10.1.2.0/24', dict(nodes=4, **BALANCING))
    monkeypatch.setattr(lab, 'load', lambda: plan)
    lab.inventory(types.SimpleNamespace(host=None))
    found = json.loads(capsys.readouterr().out)
    assert plan.variables().items() <= found['all']['vars'].items()
    assert found['_meta']['hostvars']['db'] == {'ansible_host': '10.1.2.2'}


@pytest.mark.parametrize('product', lab.PRODUCTS.values())
def test_what_a_product_needs_is_worked_out(product):
    assert callable(product.Plan.variables)


def test_a_release_of_dragonflow(tmp_path):
    names = set()
    for traits in ((), ('migration-edited',), ('middle-fails', 'slow-migration')):
        with zipfile.ZipFile(dragonflow.build('5.0.0', tmp_path, traits)) as wheel:
            names.add(wheel.read('dragonflow/db/migrations/lswitch_mtu.py'))
            assert len([name for name in wheel.namelist() if '/migrations/' in name]) == 4
    assert len(names) == 2 and (tmp_path / 'neutron-13.0.0-py3-none-any.whl').exists()
    for version, traits in (('9.9.9', ()), ('5.0.0', ('nonsense',))):
        with pytest.raises(SystemExit, match='there are: '):
            dragonflow.build(version, tmp_path, traits)


def test_the_configuration_of_cinder():
    plan = cinder.Plan('10.1.2.0/24', dict(nodes=2, **BALANCING))
    found = plan.files('c-2')['etc/cinder/cinder.conf'].splitlines()
    assert {'host = c-2', 'transport_url = rabbit://cinder:lab-database-password@10.1.2.2:5672/',
            'report_interval = 5', 'service_down_time = 20'} <= set(found)
    assert 'etc/cinder/cinder.conf' not in plan.files('lb')


def test_the_configuration_of_keystone():
    plan = keystone.Plan('10.1.2.0/24', dict(nodes=2, **BALANCING))
    found = plan.files('k-2')
    assert {'connection = mysql+pymysql://keystone:lab-database-password@10.1.2.2/keystone?charset=utf8mb4',
            'backends = disable_by_file', 'disable_by_file_path = /etc/keystone/healthcheck_disable',
            'memcache_servers = 10.1.2.2:11211'} <= set(found['etc/keystone/keystone.conf'].splitlines())
    keys = {name: text for name, text in found.items() if '-keys/' in name}
    # What makes a token of one node valid on the other; and each key is another.
    assert keys.items() <= plan.files('k-1').items()
    assert sorted(keys) == ['etc/keystone/%s-keys/%d' % (kind, number) for kind in ('credential', 'fernet')
                            for number in (0, 1)]
    assert {len(base64.urlsafe_b64decode(text)) for text in keys.values()} == {32}
    assert len(set(keys.values())) == 4
    assert [name for name in plan.files('lb') if 'keystone' in name] == []


@pytest.mark.parametrize('issued, valid, problem', [
    (201, {}, ''),
    (503, {}, 'POST answers 503'),
    (201, {'10.1.2.12': 404}, 'k-2 answers 404'),
])
def test_a_token_is_issued_once_and_valid_on_every_node(monkeypatch, issued, valid, problem):
    asked = []

    def request(method, url, body=None, **headers):
        asked.append((method, url, headers))
        if method == 'POST':
            return issued, {}, {'x-subject-token': 'secret'}
        return valid.get(url.split('/')[2].partition(':')[0], 200), {}, {}

    monkeypatch.setattr(openstack, 'request', request)
    assert keystone.no_token(keystone.Plan('10.1.2.0/24', dict(nodes=2))) == problem
    assert asked[0] == ('POST', 'http://10.1.2.3/v3/auth/tokens', {})
    assert asked[1:] == ([] if issued != 201 else [
        ('GET', 'http://10.1.2.1%d:5000/v3/auth/tokens' % number, dict(x_auth_token='secret', x_subject_token='secret'))
        for number in (1, 2)])


@pytest.mark.parametrize('answers, problem', [
    ({}, ''),
    ({'10.1.2.12': 503}, 'k-2 answers 503'),
    ({'10.1.2.11': 'Connection refused', '10.1.2.12': 503}, 'k-1 answers Connection refused, k-2 answers 503'),
])
def test_a_node_is_up_when_its_health_check_says_so(monkeypatch, answers, problem):
    def request(method, url):
        host, path = url.removeprefix('http://').split(':')
        return answers.get(host, 200) if path == '5000/healthcheck' else url, {}, {}

    monkeypatch.setattr(openstack, 'request', request)
    assert keystone.Plan('10.1.2.0/24', dict(nodes=2)).not_up() == problem


def test_the_status_of_a_node_of_keystone(monkeypatch):
    runs = {'k-1': dict(runs='/srv/keystone/releases/24.0.0', state='active'), 'k-2': dict(runs=None, state='failed')}
    monkeypatch.setattr(keystone.Plan, 'node_facts', lambda plan, node: dict(units=dict(keystone=runs[node])))
    monkeypatch.setattr(lab, 'balancer_states', lambda plan: {'k-1': 'UP', 'k-2': 'DOWN'})
    assert keystone.Plan('10.1.2.0/24', dict(nodes=2)).table(['k-1', 'k-2']) == (
        'keystone  balancer', {'k-1': '24.0.0    UP', 'k-2': 'failed    DOWN'})


def test_a_service_without_a_heartbeat_is_down(monkeypatch):
    ages = {('cinder-scheduler', 'c-1'): 3, ('cinder-volume', 'c-1@lab'): 33, ('cinder-backup', 'c-1'): None}
    monkeypatch.setattr(cinder, 'services', lambda: [dict(binary=binary, host=host, age=age)
                                                     for (binary, host), age in ages.items()])
    plan = cinder.Plan('10.1.2.0/24', dict(nodes=1))
    assert cinder.services_down(plan, limit=2).startswith('cinder-scheduler on c-1 was up 3 s ago; ')
    assert plan.not_up() == (
        'cinder-volume on c-1 was up 33 s ago; cinder-backup on c-1 was never up')


@pytest.fixture
def original(monkeypatch, tmp_path):
    """A release of Cinder with little in it."""
    path = tmp_path / 'cinder-24.5.0-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        for name, text in (('cinder/cmd/scheduler.py', 'pass\n'), ('cinder/cmd/volume.py', 'pass\n'),
                           ('cinder-24.5.0.dist-info/RECORD', 'cinder/cmd/scheduler.py,sha256=x,5\n'
                            'cinder/cmd/volume.py,sha256=y,5\ncinder-24.5.0.dist-info/RECORD,,\n')):
            wheel.writestr(name, text)
    monkeypatch.setattr(cinder.RELEASES, 'wheels', lambda version: [path])
    return path


def test_a_broken_cinder_is_a_sound_wheel(original, tmp_path):
    (tmp_path / 'index').mkdir()
    built = cinder.build('24.5.0', tmp_path / 'index', ['scheduler-never-starts'])
    assert sorted(path.name for path in built.parent.iterdir()) == [original.name, 'constraints-24.5.0.txt']
    with zipfile.ZipFile(built) as wheel:
        text = wheel.read('cinder/cmd/scheduler.py')
        record = list(csv.reader(io.StringIO(wheel.read('cinder-24.5.0.dist-info/RECORD').decode())))
        assert wheel.read('cinder/cmd/volume.py') == b'pass\n'
    with pytest.raises(SystemExit, match='this service never starts'):
        exec(text.decode() + 'main()', {})
    digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b'=').decode()
    assert record == [['cinder/cmd/scheduler.py', 'sha256=' + digest, str(len(text))],
                      ['cinder/cmd/volume.py', 'sha256=y', '5'], ['cinder-24.5.0.dist-info/RECORD', '', '']]


def test_a_release_brings_what_it_needs_and_a_lab_has_only_what_is_offered(original, tmp_path, monkeypatch):
    assert cinder.OFFERED == ['23.5.0', '24.5.0']
    needed = [tmp_path / ('%s-py3-none-any.whl' % name) for name in ('new-2', 'old-1')]
    for path in needed:
        path.write_text('theirs')
    monkeypatch.setattr(cinder.RELEASES, 'wheels',
                        lambda version: [original, *needed] if version == '25.3.1' else [original])
    assert cinder.dependencies() == []
    (tmp_path / 'index').mkdir()
    (tmp_path / 'index' / needed[1].name).write_text('ours')
    folder = cinder.build('25.3.1', tmp_path / 'index').parent
    assert [(folder / path.name).read_text() for path in needed] == ['theirs', 'ours']
    assert (folder / 'constraints-25.3.1.txt').exists()


@pytest.mark.parametrize('version, trait, problem', [
    ('24.5.1', [], 'there is no Cinder 24.5.1 here; there are: 23.5.0, 24.5.0, 25.3.1'),
    ('24.5.0', ['tired'], 'no such trait: tired; there are: scheduler-never-starts, '),
    ('24.5.0', ['api-never-starts'], 'cinder-24.5.0-py3-none-any.whl has no cinder/wsgi/wsgi.py'),
])
def test_a_cinder_that_there_is_not(original, tmp_path, version, trait, problem):
    with pytest.raises(lab.LabError) as caught:
        cinder.build(version, tmp_path, trait)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize('product', [cinder, keystone])
def test_there_are_constraints_of_every_release(product):
    assert product.Plan.release == product.OFFERED[0]
    versions = product.RELEASES.versions()
    assert product.OFFERED == versions[:len(product.OFFERED)]
    for version in versions:
        pins = product.RELEASES.constraints(version).read_text().splitlines()
        assert '%s==%s' % (product.Plan.product, version) in pins
        assert [pin for pin in pins if not re.fullmatch(r'[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*', pin)] == []
        assert len({re.sub('[-_.]+', '-', pin).lower().partition('==')[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize('name, seconds', [('slow-40', 40), ('slow', 0), ('very slow-4', 0), ('', 0), (None, 0)])
def test_the_name_says_how_long_a_volume_takes(monkeypatch, name, seconds):
    monkeypatch.syspath_prepend(str(cinder.SOURCES))
    import lab_cinder
    assert lab_cinder.seconds(name) == seconds


def test_a_release_with_pins(monkeypatch, tmp_path):
    """It requires them exactly, their wheels are downloaded once, and lie beside it."""
    asked = []

    def download(*command, **more):
        asked.append(command)
        folder = command[command.index('--dest') + 1]
        folder.mkdir()
        (folder / 'flask-3.1.3-py3-none-any.whl').touch()

    monkeypatch.setattr(lab, 'WHEELS', tmp_path)
    monkeypatch.setattr(lab, 'say', lambda text: None)
    monkeypatch.setattr(lab, 'run', download)
    (tmp_path / 'pins').write_text('# of a test\nflask==3.1.3\n')
    (tmp_path / 'index').mkdir()
    pins = sf.pins_of([tmp_path / 'pins'])
    for dummy in range(2):
        wheel = sf.build('0.8.1', tmp_path / 'index', pins=pins)
    assert len(asked) == 1 and asked[0][-2:] == ('--no-deps', 'flask==3.1.3')
    assert (tmp_path / 'index' / 'flask-3.1.3-py3-none-any.whl').exists()
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read('shakenfist-0.8.1.dist-info/METADATA').decode()
    assert 'Requires-Dist: flask==3.1.3\n' in metadata and 'Requires-Dist: flask>=3.0\n' in metadata


def test_pins_are_of_shaken_fist(monkeypatch):
    monkeypatch.setattr(lab, 'load', lambda: types.SimpleNamespace(product='cinder'))
    with pytest.raises(lab.LabError, match='only releases of Shaken Fist take --pins'):
        lab.release(types.SimpleNamespace(version='24.5.0', trait=[], pins=['x']))
