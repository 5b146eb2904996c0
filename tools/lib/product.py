# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the fault matrix knows of a product: its lab, the command that rolls it, its load, and when all is well."""

from __future__ import annotations

import json
import re
import sys
import threading

import lab as machinery
import rows as words
from products import openstack

# Beside the rows of that name there is no package of it.
sys.path.append(str(machinery.LAB / 'synnefo'))
import watcher  # noqa: E402


class Product:
    """One that is rolled.

    name        as tools/lab knows it
    lab         options of tools/lab up
    playbook    what rolls it
    arguments   what its command always has; {lb} is the balancer's address
    limit       seconds for one command
    rate        requests a second of the load; more would only take the two cores from the roll
    backend     what the balancer calls the API
    parts       of the facts of a node: what no refusal changes, and what it does not change where no fault does
    compared    whether a lab that a refusal has left untouched is the next row's
    """

    name: str
    lab: tuple
    playbook: str
    arguments: tuple
    limit: int
    rate: float
    backend: str
    parts: tuple
    compared = True

    def missing(self, plan):
        """What is missing until all is well; an empty string if nothing is."""
        raise NotImplementedError

    def facts(self, node):
        return machinery.load().node_facts(node)

    def version(self, facts):
        """The release that a node runs, from its facts; one that runs nothing has none."""
        found = {facts['releases'].get(unit['runs'], {}).get(self.name, '?') for unit in facts['units'].values()}
        return ' and '.join(sorted(found))

    def load(self, balancer):
        """The arguments of the prober."""
        raise NotImplementedError

    def watch(self, run):
        """What watches in the place of a load, if there is no balancer to ask; see C(Guests)."""
        return None

    def settle(self, run):
        """What is done before each row."""

    def clean(self, run):
        """Removes what the load has left, so that the lab can be the next row's."""

    def planned(self, run):
        """The exit code of a command that says what the row's would roll; that and what it should, as dictionaries."""
        raise NotImplementedError

    def checked(self, run):
        """The exit code and the words of the row's command with --check, which is ended after its preflight."""
        run.roll = roll = run.start([*run.command(run.row.again), '--check'])
        words.until('the preflight has ended', lambda: not roll.running or roll.told(event='begin', step='lock'),
                    self.limit)
        code = 0 if roll.running else roll.wait()
        roll.end()
        roll.reader.join(2)
        return code, roll.text

    def left(self, run):
        """What is not as a roll should have left it, beside the release; a list of sentences."""
        return []


class ShakenFist(Product):
    name = 'shakenfist'
    # Seconds that a node drains, and between two checks of the balancer, which marks it down after two of them.
    lab = ('--drain-grace', '2', '--balancer-inter', '0.5')
    playbook = 'shakenfist.rolling.upgrade'
    # Seconds between two nodes, in which the balancer of the lab marks a node up (1), and of bake after all of them:
    # what the defaults are for is shown elsewhere, here they would only make each row longer.
    arguments = ('-e', 'roll_settle=2', '-e', 'verify_bake=2',
                 '-e', 'report_directory=.cache/faults/' + machinery.NAME)
    limit = 420         # the longest takes about 150
    rate = 15.0
    backend = 'sf-api'
    parts = ('venv', 'releases'), ('files', 'units')

    def missing(self, plan):
        return machinery.not_ready(plan)

    def facts(self, node):
        return machinery.node_facts(node)

    def version(self, facts):
        return facts['packages'].get('shakenfist')

    def load(self, balancer):
        return dict(url='http://%s/api' % balancer, gets=[('/', None), ('/auth/namespaces', 401)], notes='/lab/notes',
                    rate=self.rate)

    def settle(self, run):
        run.lab.elect(run.row.leader)

    def clean(self, run):
        run.lab.sql('DELETE FROM notes')

    def planned(self, run):
        """Asks the playbook that judges the same way."""
        plan = run.folder / (run.row.name + '.plan')
        plan.unlink(missing_ok=True)
        command = run.command(run.row.again)
        command[command.index(self.playbook)] = 'shakenfist.rolling.plan'
        run.roll = run.start([*command, '-e', 'plan_file=%s' % plan])
        code, seen = run.roll.wait(), {}
        if not code:
            seen = {name: node['to'] for name, node in json.loads(plan.read_text())['nodes'].items()
                    if node.get('step')}
        plan.unlink(missing_ok=True)
        return code, seen, dict.fromkeys(run.lab.nodes, run.row.ends or run.row.release)


class Cinder(Product):
    name = 'cinder'
    # On a busy machine an answer to a check may take its time, and nobody is to be marked down for that.
    lab = ('--product', 'cinder', '--balancer-fall', '4')
    playbook = 'shakenfist.rolling.cinder'
    project = machinery.cinder.PROJECT
    arguments = ('-e', 'roll_settle=2', '-e', 'report_directory=.cache/faults/' + machinery.NAME,
                 '-e', 'drain_haproxy_address={lb}:8405', '-e', 'cinder_api_url=http://{lb}/v3/' + project,
                 '-e', json.dumps(dict(cinder_api_headers={'x-auth-token': 'admin:' + project})))
    limit = 1200        # each of eight services is restarted by itself, and real ones take their time
    rate = 6.0          # one of Cinder's costs several times as much as one of the stand-in
    backend = 'cinder-api'
    parts = ('releases',), ('units', 'processes')
    services = 'cinder-scheduler', 'cinder-volume', 'cinder-backup', 'cinder-api'
    rpc = '3.19'        # of cinder-volume of the release that is rolled to

    def missing(self, plan):
        return machinery.cinder.services_down(plan) or openstack.not_served(plan)

    def load(self, balancer):
        volumes = '/v3/%s/volumes' % self.project
        # Not the health check: one that drains answers 503 there, that is how the balancer learns of it.
        return dict(url='http://' + balancer, gets=[(volumes + '?limit=1', None), ('/', 300)],
                    headers={'x-auth-token': 'admin:' + self.project}, volumes=(volumes, 15), volume_limit=90.0,
                    # Cinder takes its time where two cores do everything.
                    timeout=30.0, rate=self.rate)

    def planned(self, run):
        """Asks the command itself, with --check, which is ended once it has said what it would do."""
        code, text = self.checked(run)
        seen = {'%s on %s' % (service, node): version for service, node, version in re.findall(
            r'\d+\. (\S+) on (\S+): \S+ -> ([^\s,\'"]+)', text)}
        wanted = run.row.ends or run.row.release
        return code, seen, {'%s on %s' % (service, node): wanted for service in self.services for node in run.lab.nodes}

    def left(self, run):
        spoken = {row['rpc_current_version'] for row in machinery.cinder.services() if row['binary'] == 'cinder-volume'}
        disabled = ['%(binary)s on %(host)s is still disabled' % row for row in machinery.cinder.services()
                    if row['disabled']]
        return disabled + ([] if spoken == {self.rpc} else [
            'expected that every cinder-volume speaks RPC %s, seen %s' % (self.rpc, sorted(map(str, spoken)))])


class Dragonflow(Product):
    """Its load is the data plane: each request has ports of two nodes reach each other."""
    name = 'dragonflow'
    lab = ('--product', 'dragonflow')
    playbook = 'shakenfist.rolling.dragonflow'
    arguments = ('-e', 'report_directory=.cache/faults/' + machinery.NAME, '-e', 'roll_stays=2')
    limit = 900
    rate = 8.0
    backend = 'ports'
    parts = ('releases',), ('units', 'processes', 'held', 'configuration')
    alembic = 'rocky'
    applied = {'lswitch-mtu', 'lport-mtu', 'lport-binding', 'secgroup-rules'}

    def missing(self, plan):
        return plan.not_up()

    def load(self, balancer):
        return dict(url='http://' + balancer, gets=[('/', None)], rate=self.rate, timeout=20.0)

    def planned(self, run):
        code, text = self.checked(run)
        seen = dict(re.findall(r'(d-\d), .*?-> ([\d.]+)', text)[:1])
        return code, seen, {run.lab.nodes[0]: run.row.ends or run.row.release}

    def left(self, run):
        plan = run.lab.plan
        found, wrong = machinery.dragonflow.store(plan), []
        applied = {key.rpartition('/')[2] for key in found if key.startswith('/SchemaMigrationLog/')}
        if applied != self.applied:
            wrong.append('expected %s in the log, seen %s' % (sorted(self.applied), sorted(applied)))
        old = [key for key, (value, dummy) in found.items() if key.startswith('/lport/') and '"binding"' not in value]
        wrong += ['%s was not migrated' % key for key in old[:3]]
        alembic = machinery.dragonflow.sql('SELECT version_num FROM alembic_version')
        wrong += [] if alembic == self.alembic else ['the database is at %s' % alembic]
        own = list(machinery.dragonflow.store(plan, 'shakenfist.rolling/'))
        wrong += ['%s is left in etcd' % key for key in own[:3]]
        wrong += ['%s of %s is left' % (path, node) for node in run.lab.nodes for path in run.lab.facts(node)['held']]
        words.until('both databases agree', lambda: not machinery.dragonflow.unlike(plan), 20)
        return wrong


class Guests:
    """Watches where each instance of Ganeti runs, in the place of a load."""

    def __init__(self, run):
        plan = run.lab.plan
        self.run, self.stopping = run, False
        self.watcher = watcher.Watcher(plan.ganeti, watcher.running(plan))
        self.thread = threading.Thread(target=self.watcher.run, daemon=True)

    def start(self):
        self.thread.start()
        words.until('the watcher looks', lambda: self.watcher.looks > 5 and self.watcher.answers, 60)

    def stop(self):
        self.stopping = self.watcher.stopping = True
        self.thread.join(30)
        return self.watcher.report()

    def count(self):
        """Who was down, and whether the fault explains it: it takes down the nodes that the row names."""
        seen, result = self.stop(), self.run.result
        self.run.log('watcher: ' + json.dumps(seen))
        mine = [gap for gap in seen['down'] if gap['before'] in self.run.row.faulted]
        result.own, result.others, result.lost = len(mine), len(seen['down']) - len(mine), 0
        for gap in seen['down']:
            text = '%(instance)s ran %(kind)s for %(seconds)s s, before on %(before)s, after on %(after)s' % gap
            self.run.log('down%s: %s' % (' (fault)' if gap in mine else '', text))
            if gap not in mine:
                self.run.problem(text)


class Ganeti(Product):
    name = 'ganeti'
    lab = ('--product', 'synnefo', '--service-nodes', '0')
    playbook = 'shakenfist.rolling.ganeti'
    arguments = ('-e', 'report_directory=.cache/faults/' + machinery.NAME, '-e', 'gate_timeout=60')
    limit = 1500
    parts = ('boot', 'running'), ()
    compared = False

    def __init__(self):
        self.boots: set[str] = set()

    def settle(self, run):
        self.boots = {self.facts(node)['boot'] for node in run.lab.nodes}

    def version(self, facts):
        return 'not rebooted' if facts['boot'] in self.boots else 'rebooted'

    def missing(self, plan):
        return plan.not_whole()

    def watch(self, run):
        return Guests(run)

    def left(self, run):
        """Everything is where it was, and nobody has anything in hand."""
        nodes, instances = run.lab.plan.cluster()
        homes = {'%s.%s' % (name, machinery.synnefo.DOMAIN): 'gnt-%d.%s' % (number, machinery.synnefo.DOMAIN)
                 for number, those in machinery.synnefo.INSTANCES.items() for name, *dummy in those}
        found = ['%(name)s is on %(pnode)s' % row for row in instances if homes[row['name']] != row['pnode']]
        found += ['%(name)s has the tags %(tags)s' % row for row in instances if 'rolling:' in row['tags']]
        found += ['%(name)s is drained' % row for row in nodes if row['drained'] == 'Y']
        said = machinery.synnefo.gnt(run.lab.plan, 'gnt-cluster', 'watcher', 'info').stdout
        return found + ([said.strip()] if 'is paused' in said else [])


class Nobody(Guests):
    """Nobody asks what is stopped as a whole; what counts is how it was left."""

    def __init__(self, run):
        # As one that was stopped: nothing runs that could end too early.
        self.run, self.stopping = run, True

    def start(self):
        pass

    def count(self):
        result = self.run.result
        result.own = result.others = result.lost = 0


class Synnefo(Product):
    """Its service nodes."""
    name = 'synnefo'
    lab = ('--product', 'synnefo', '--nodes', '0')
    playbook = 'shakenfist.rolling.synnefo_services'
    arguments = ('-e', 'report_directory=.cache/faults/' + machinery.NAME, '-e', 'roll_stays=1')
    limit = 900
    parts = ('boot',), ('packages', 'active')
    compared = False

    def missing(self, plan):
        return plan.not_whole()

    def version(self, facts):
        return facts['packages'].get('snf-common', '').rpartition('-')[0]

    def watch(self, run):
        return Nobody(run)


OF = {product.name: product for product in (
    ShakenFist(), Cinder(), Dragonflow(), Ganeti(), Synnefo())}
