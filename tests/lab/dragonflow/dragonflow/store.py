# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The north-bound database: an object of table T is the key /T/<id> of etcd, its value JSON; a table is read by prefix.

What the models of a release need of an object is here, too. As in the real one nothing tells an object of another
release apart but that a field is not there."""

import base64
import configparser
import json
import urllib.request

from dragonflow import _release


def encode(text):
    return base64.b64encode(text.encode()).decode()


class Store:
    def __init__(self, path='/etc/neutron/dragonflow.ini'):
        config = configparser.ConfigParser()
        config.read(path)
        self.hosts = config['df']['remote_db_hosts'].split(',')

    def ask(self, path, body):
        problem = None
        for host in self.hosts:
            request = urllib.request.Request(f'http://{host}/v3/kv/{path}', data=json.dumps(body).encode(),
                                             headers={'Content-Type': 'application/json'})
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return json.loads(answer.read())
            except OSError as exc:
                problem = exc
        raise problem

    def table(self, name):
        prefix = f'/{name}/'
        end = prefix[:-1] + chr(ord('/') + 1)
        found = self.ask('range', dict(key=encode(prefix), range_end=encode(end))).get('kvs', [])
        return {base64.b64decode(one['key']).decode()[len(prefix):]: json.loads(base64.b64decode(one['value']))
                for one in found}

    def get(self, table, key):
        found = self.ask('range', dict(key=encode(f'/{table}/{key}'))).get('kvs', [])
        return json.loads(base64.b64decode(found[0]['value'])) if found else None

    def put(self, table, key, value):
        self.ask('put', dict(key=encode(f'/{table}/{key}'), value=encode(json.dumps(value))))

    def tables(self):
        found = self.ask('range', dict(key=encode('/'), range_end=encode('0'), keys_only=True)).get('kvs', [])
        return sorted({base64.b64decode(one['key']).decode().split('/')[1] for one in found})


def port_of(value):
    """What this release takes from a logical port; KeyError where it is one of another release."""
    if _release.MODEL >= 5:
        return dict(id=value['id'], chassis=value['binding']['chassis'], ips=value['ips'], mtu=value['mtu'])
    return dict(id=value['id'], chassis=value['chassis'], ips=value['ips'], mtu=1500)


def rules(store):
    """The rules of the security groups, by id."""
    if _release.MODEL >= 5:
        groups = store.table('secgroup')
        old = [key for key, group in groups.items() if 'rules' in group]
        if old:
            raise KeyError(f'secgroup {old[0]} has rules of its own')
        return store.table('secgrouprule')
    return {rule['id']: rule for group in store.table('secgroup').values() for rule in group['rules']}
