# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds one release of the lab's dragonflow distribution, and of the neutron that it needs. The same arguments make
the same bytes."""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import wheels  # noqa: E402

REQUIRES = ['pymysql>=1.1']
# By release: the Neutron that it goes with, the model of its objects, and the migrations that come with it.
RELEASES = {
    '4.0.0': dict(neutron='12.0.0', model=4, migrations=['lswitch_mtu', 'never_applied']),
    '5.0.0': dict(neutron='13.0.0', model=5, migrations=['lswitch_mtu', 'lport_binding', 'lport_mtu',
                                                         'secgroup_rules']),
    '5.0.1': dict(neutron='13.0.0', model=5, migrations=['lswitch_mtu', 'lport_binding', 'lport_mtu',
                                                         'secgroup_rules']),
}
TRAITS = {
    'publisher-never-starts': 'df-publisher-service of it exits with 1',
    'neutron-never-starts': 'neutron-server of it exits with 1',
    'neutron-migration-fails': 'neutron-db-manage fails between a statement of DDL and the next one',
    'slow-neutron-migration': 'neutron-db-manage takes ten seconds between a statement of DDL and the next one',
    'migration-edited': 'the file of a migration that was applied is another one',
    'first-fails': 'its first migration fails', 'middle-fails': 'its second migration fails',
    'last-fails': 'its third migration fails',
    'slow-migration': 'its last migration takes ten seconds',
    'held-migration': 'its last migration waits on each node for as long as /lab/hold-migration is there',
}
SERVICES = ['publisher-service', 'local-controller', 'l3-agent', 'metadata-service']
SCRIPTS = {
    'dragonflow': {**{f'df-{name}': f'service:{name.replace("-", "_")}' for name in SERVICES},
                   'df-db': 'db:main', 'dragonflow-status': 'status:main'},
    'neutron': {'neutron-server': 'server:main', 'neutron-db-manage': 'manage:main'},
}
WAITS = {'slow-migration': 'time.sleep(10)',
         'held-migration': 'while os.path.exists("/lab/hold-migration"): time.sleep(0.1)'}
FAILS = {'first-fails': 'lport_mtu', 'middle-fails': 'lport_binding', 'last-fails': 'secgroup_rules'}


def migration(name, traits):
    text = (HERE / 'migrations' / f'{name}.py').read_text()
    if name == 'lswitch_mtu' and 'migration-edited' in traits:
        text += '\n# Somebody has added this line.\n'
    for trait, which in FAILS.items():
        if trait in traits and which == name:
            text += '\n\ndef migration(nb_api):\n    raise RuntimeError("broken for a test: this migration fails")\n'
    for trait, wait in WAITS.items():
        if trait in traits and name == 'secgroup_rules':
            text += ('\n\ndef slowly(then):\n    def migration(nb_api):\n        import os\n        import time\n'
                     f'        {wait}\n        then(nb_api)\n    return migration\n\n\n'
                     'migration = slowly(migration)\n')
    return text.encode()


def wheel(name, version, destination, files, requires):
    return wheels.write(destination, name, version, files, requires, SCRIPTS[name], name)


def build(version, destination, traits=()):
    """The wheels of a release; gives that of dragonflow."""
    if version not in RELEASES:
        raise SystemExit(f'there is no Dragonflow {version} here; there are: {", ".join(RELEASES)}')
    for trait in traits:
        if trait not in TRAITS:
            raise SystemExit(f'no such trait: {trait}; there are: {", ".join(TRAITS)}')
    entry = RELEASES[version]
    baked = (f'VERSION = {version!r}\nMODEL = {entry["model"]!r}\nNEUTRON = {entry["neutron"]!r}\n'
             f'TRAITS = {sorted(traits)!r}\n').encode()
    sources = {name: {f'{name}/{path.name}': path.read_bytes() for path in (HERE / name).glob('*.py')}
               for name in ('dragonflow', 'neutron')}
    sources['dragonflow'] |= {f'dragonflow/db/migrations/{name}.py': migration(name, traits)
                              for name in entry['migrations']}
    sources['dragonflow']['dragonflow/_release.py'] = baked
    wheel('neutron', entry['neutron'], destination, sources['neutron'], REQUIRES)
    return wheel('dragonflow', version, destination, sources['dragonflow'], [f'neutron=={entry["neutron"]}'])
