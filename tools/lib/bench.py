# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure what an upgrade costs.

On the lab (without --scale): upgrades of three nodes under load, by this collection and by what else an operator would
do, side by side and in turn. Before each of them the lab goes back to the old release.

With --scale: what ansible-playbook itself costs on the controller, with as many nodes as you like. Playbook and roles
are the real ones; the modules alone do not run, they answer at once what they answered in a recorded run of the lab.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import functools
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import availability
import demo
import figures
import recording
import rotation

ROOT = demo.ROOT
sys.path.append(str(ROOT / 'tests' / 'lab'))
import lab as machinery  # noqa: E402

BENCH = ROOT / 'tests' / 'bench'
RECORDING = BENCH / 'recording.json'
REPLAY = pathlib.Path(__file__).with_name('replay.py')
PYTHON = ROOT / '.cache' / 'venv' / 'bin' / 'python'
FIRST, RELEASE = '0.8.0', '0.8.1'
SAME_SCHEMA = '0.8.0.post1'     # a release from which the first one can be gone back to
WITHOUT_PAUSES = ('-e', 'roll_settle=0', '-e', 'verify_bake=0')
SAMPLE = 1              # seconds between two looks at the memory
LOGS = ROOT / '.cache' / 'bench'
CHOICES = {**figures.WAYS, **figures.FURTHER}


# ---- one run of ansible-playbook

def family(pid):
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            children = pathlib.Path('/proc/%d/task/%d/children' % (parent, parent)).read_text(encoding='ascii')
        except OSError:
            continue
        found += [int(child) for child in children.split()]
    return found


def proportional(pid):
    """The memory of a process in MB, of what it shares with others its part."""
    try:
        text = pathlib.Path('/proc/%d/smaps_rollup' % pid).read_text(encoding='ascii')
    except OSError:
        return 0.0
    return int(re.findall(r'^Pss: +(\d+)', text, re.MULTILINE)[0]) / 1024


class Memory(threading.Thread):
    """The most that a process and its descendants take together."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0.0, threading.Event()

    def run(self):
        while not self.over.wait(SAMPLE):
            self.most = max(self.most, sum(proportional(pid) for pid in family(self.pid)))


def count_tasks(text):
    return len(re.findall(r'^TASK \[', text, re.MULTILINE))


def measured(command, log, **options):
    """Runs a command; what it took, with all its children."""
    began = time.monotonic()
    with log.open('w', encoding='utf-8') as output:
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, **options)
    memory = Memory(child.pid)
    memory.start()
    try:
        status, usage = os.wait4(child.pid, 0)[1:]
    except demo.Interrupted:
        demo.signalled(child, signal.SIGINT)
        child.wait()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    memory.over.set()
    memory.join()
    if child.returncode:
        raise demo.DemoError('%s failed (rc %d), %s ends with:\n%s' % (
            os.path.basename(command[0]), child.returncode, log, log.read_text(encoding='utf-8')[-3000:]))
    return dict(cpu=round(usage.ru_utime + usage.ru_stime, 2), wall=round(time.monotonic() - began, 2),
                memory=round(usage.ru_maxrss / 1024, 1), memory_of_all=round(memory.most, 1),
                tasks=count_tasks(log.read_text(encoding='utf-8')))


def playbook(folder, tree, settings, inventory, *more):
    """The command, and the options to start it with: a user of this folder, without a configuration of Ansible's."""
    collection = folder / 'ansible_collections' / 'shakenfist'
    collection.mkdir(parents=True)
    (collection / 'rolling').symlink_to(tree)
    (folder / 'ansible.cfg').write_text('')
    calls = folder / 'calls'
    calls.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith('ANSIBLE_')}
    environment = dict(kept, BENCH=json.dumps(dict(settings, calls=str(calls))), ANSIBLE_COLLECTIONS_PATH=str(folder),
                       ANSIBLE_CONFIG=str(folder / 'ansible.cfg'), ANSIBLE_HOME=str(folder / 'home'))
    command = [PYTHON, REPLAY, '-i', inventory, 'shakenfist.rolling.upgrade', '-e', 'rolling_release=' + RELEASE,
               *WITHOUT_PAUSES, *more]
    return command, dict(cwd=folder, env=environment, start_new_session=True)


# ---- any number of nodes

def replayed(args, tape, run, count, folder):
    """One run over so many nodes."""
    inventory = folder / 'inventory.json'
    inventory.write_text(json.dumps(tape.inventory(count)))
    told = ('-e', 'drain_haproxy_address=%s3:%d' % (recording.PREFIX, demo.STATS)) if args.balancer else ()
    command, options = playbook(folder, args.tree, dict(recording=str(RECORDING), run=run, nodes=count), inventory,
                                *told)
    result = measured(command, LOGS / ('%s-%d.log' % (run, count)), **options)
    calls = [json.loads(path.read_text(encoding='utf-8')) for path in (folder / 'calls').iterdir()]
    turned = sum(call['turn'] > 0 for call in calls)
    if turned != (0 if run == 'again' else count):
        raise demo.DemoError('%d of %d nodes were rolled in the run %s' % (turned, count, run))
    return dict(result, nodes=count, modules=sum(call['calls'] for call in calls))


def scale(args):
    if not RECORDING.exists():
        raise demo.DemoError('%s is missing: make it with tools/bench --record' % RECORDING)
    tape = recording.Recording.read(RECORDING)
    run = 'again' if args.again else 'upgrade'
    busy = os.getloadavg()[0]
    print('%s of %s with modules that answer at once; %d cores, load %.2f' % (
        'A second run' if args.again else 'An upgrade', args.tree, os.cpu_count() or 1, busy))
    print('%6s %8s %8s %8s %8s %6s %8s' % ('nodes', 'CPU s', 'wall s', 'MB', 'all MB', 'tasks', 'modules'))
    results = []
    for count in sorted(set(args.scale)):
        runs = []
        for dummy in range(args.repeat):
            with tempfile.TemporaryDirectory(prefix='bench-') as folder:
                runs.append(replayed(args, tape, run, count, pathlib.Path(folder)))
        # What else the machine does only adds to it.
        results.append(min(runs, key=lambda found: found['cpu']))
        print('%(nodes)6d %(cpu)8.2f %(wall)8.2f %(memory)8.1f %(memory_of_all)8.1f %(tasks)6d %(modules)8d' %
              results[-1], flush=True)
    cpu, memory = (recording.per_node({found['nodes']: found[what] for found in results}) for what in ('cpu', 'memory'))
    for span, cost in cpu.items():
        print('from %d to %d nodes: %.2f CPU s and %.2f MB for each further node' % (*span, cost, memory[span]))
    return dict(run=run, load_before=busy, load_after=os.getloadavg()[0], results=results, per_node=[
        {'from': span[0], 'to': span[1], 'cpu': round(cost, 3), 'memory': round(memory[span], 3)}
        for span, cost in cpu.items()])


# ---- the lab

def balancer_of(inventory):
    return '%s:%d' % (inventory['_meta']['hostvars'][inventory['lab_lb']['hosts'][0]]['ansible_host'], demo.STATS)


def record(stage, args):
    """Brings a lab up and records an upgrade of it, and the second run."""
    stage.must(ROOT / 'tools' / 'lab', 'up', '--drain-grace', 4)
    inventory = json.loads(demo.lab('inventory', '--list'))
    told = ('-e', 'drain_haproxy_address=' + balancer_of(inventory))
    network = inventory['_meta']['hostvars']['sf-1']['ansible_host'].rpartition('.')[0] + '.'
    runs = {}
    for run in ('upgrade', 'again'):
        stage.step('record: ' + run)
        with tempfile.TemporaryDirectory(prefix='bench-') as name:
            folder = pathlib.Path(name)
            command, options = playbook(folder, args.tree, {}, ROOT / 'inventories' / 'lab', *told)
            measured(command, LOGS / ('record-%s.log' % run), **options)
            runs[run] = {path.name: [(key, recording.generic(answer, network)) for key, answer in map(
                json.loads, path.read_text(encoding='utf-8').splitlines())]
                for path in sorted((folder / 'calls').iterdir())}
    groups = {name: group['hosts'] for name, group in inventory.items()
              if not name.startswith(('_', 'lab_')) and 'hosts' in group}
    RECORDING.parent.mkdir(parents=True, exist_ok=True)
    recording.Recording(groups, runs).write(RECORDING)
    stage.step('recorded %d calls: %s' % (sum(len(calls) for nodes in runs.values() for calls in nodes.values()),
                                          os.path.relpath(RECORDING)))


# ---- side by side

ANSIBLE = PYTHON.with_name('ansible-playbook'), '-i', 'inventories/lab'
ENVIRONMENT = dict({name: value for name, value in os.environ.items() if not name.startswith('ANSIBLE_')},
                   ANSIBLE_HOME=str(ROOT / '.ansible'), ANSIBLE_CONFIG=str(ROOT / 'ansible.cfg'))
VENV = '/srv/shakenfist/venv/bin'
SSH = """Host *
User operator
IdentityFile %s
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
""" % machinery.KEY
# What brings a lab back. Nobody drains here, and a kill is the quickest end; then nothing is started again.
SAVE = 'cp -a /srv/shakenfist /srv/before'
SAVE_DATABASE = 'mariadb-dump --single-transaction --add-drop-database --databases shakenfist >/root/before.sql'
STOP = """systemctl kill --signal=KILL 'sf-*.service' || true
systemctl stop 'sf-*.service'
systemctl reset-failed 'sf-*.service' || true
find /srv/shakenfist -mindepth 1 -delete
rm -rf /root/.cache/pip
cp -a /srv/before/. /srv/shakenfist/"""
RESTORE_DATABASE = 'mariadb </root/before.sql'
START = 'cd /etc/systemd/system && systemctl start sf-*.service'
DRAINING = 1.0          # seconds between two looks at a node that drains: as often as the balancer looks
# The controller of an operator is a machine of its own. Here it has the CPU of the nodes, so all else comes first.
LAST = 'nice', '-n', '19'
LOOK = 0.2              # seconds between two looks at the balancer
FAILURES = demo.DemoError, machinery.LabError, subprocess.TimeoutExpired


class Balancer(threading.Thread):
    """Watches what HAProxy says of the nodes."""

    def __init__(self, plan):
        super().__init__(daemon=True)
        self.plan, self.samples, self.stopping = plan, [], threading.Event()

    def run(self):
        while not self.stopping.wait(LOOK):
            self.samples.append((time.time(), machinery.balancer_states(self.plan)))

    def stop(self):
        self.stopping.set()
        self.join(10)


def outage(watch, found):
    """For how many seconds a node was out of rotation, and its floor; None where the journal does not tell it."""
    if any(window.end is None for window in watch.windows):
        raise demo.DemoError('%s is still out of rotation' % watch.node)
    floors = [rotation.floor(found, window) for window in watch.windows]
    least = None if None in floors else round(sum(floor.seconds for floor in floors), 2)
    return round(sum(window.seconds for window in watch.windows), 2), least


def events_of(log):
    """The events that the callback has written: (seconds since the epoch, event)."""
    lines = log.read_text(encoding='utf-8').splitlines(keepends=True) if log.exists() else []
    events = [json.loads(line) for line in lines if line.endswith('\n')]
    return [(datetime.datetime.fromisoformat(event['time'].replace('Z', '+00:00')).timestamp(), event)
            for event in events]


class Contest:
    """A fresh lab with releases of some weight, and the ways to upgrade it."""

    def __init__(self, stage, args, weight):
        self.stage, self.args, self.weight = stage, args, weight
        stage.must(ROOT / 'tools' / 'lab', 'up', '--drain-grace', args.drain_grace)
        self.plan = machinery.load()
        self.addresses = {node: self.plan.address(node) for node in self.plan.nodes}
        if weight == 'real':
            self.offer(FIRST)
            self.offer(RELEASE)
            self.on_nodes('%s/python -m pip install --quiet --force-reinstall shakenfist==%s' % (VENV, FIRST))
        self.on_nodes(SAVE)
        self.shell('db', SAVE_DATABASE)

    def shell(self, machine, script):
        return machinery.execute(machine, 'sh', '-ec', script, timeout=600).stdout

    def on_nodes(self, script):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(lambda node: self.shell(node, script), self.plan.nodes))

    def offer(self, release, pins=None):
        """Builds a release of the weight; the pins are those of a release, by default its own."""
        files = ('real.txt', 'real-%s.txt' % (pins or release)) if self.weight == 'real' else ()
        self.stage.must(ROOT / 'tools' / 'lab', 'release', release,
                        *[word for name in files for word in ('--pins', BENCH / name)])

    def about(self):
        """The weight in words."""
        packages, size = self.shell(self.plan.nodes[0], 'ls -d %s/../lib/python3*/site-packages/*.dist-info | wc -l; '
                                    'du -sm %s/.. | cut -f 1' % (VENV, VENV)).split()
        pins = machinery.sf.pins_of([BENCH / ('real-%s.txt' % RELEASE)]) if self.weight == 'real' else []
        return '%s packages, %s MB; the upgrade changes %d of them' % (packages, size, len(pins) + 1)

    def restore(self):
        """The lab as it was at first, the balancer too."""
        self.on_nodes(STOP)
        self.shell('db', RESTORE_DATABASE)
        self.shell('lb', 'systemctl restart haproxy.service')
        self.on_nodes(START)
        self.plan.settle()

    def expect(self, release, *nodes):
        for node in nodes or self.plan.nodes:
            seen = self.shell(node, VENV + '/sf-ctl --version').strip()
            if seen != release:
                raise demo.DemoError('%s: expected %s, seen %s' % (node, release, seen))

    # -- the commands

    def ours(self, playbook, *more, asked=True):
        told = ('-e', 'drain_haproxy_address=%s:%d' % (self.plan.address('lb'), demo.STATS)) if asked else ()
        return [*ANSIBLE, 'shakenfist.rolling.' + playbook, '-e', 'report_directory=.cache/bench', *told, *more]

    def command(self, way, folder):
        upgrade = functools.partial(self.ours, 'upgrade', '-e', 'rolling_release=' + RELEASE)
        if way == 'typed':
            (folder / 'ssh_config').write_text(SSH)
            return [BENCH / 'typed.sh', folder / 'ssh_config', RELEASE, *self.addresses.values()]
        if way == 'plain':
            return [*ANSIBLE, BENCH / 'plain.yml', '-e', 'release=' + RELEASE]
        return {'quiet': lambda: upgrade('-e', 'drain_until=quiet'),
                'grace': lambda: upgrade('-e', 'drain_until=grace'),
                'unasked': lambda: upgrade(asked=False),
                'in_place': lambda: upgrade('-e', 'rolling_strategy=in_place')}[way]()

    def take(self, command, folder, name, **more):
        """Runs a command to its end, with ssh connections of its own."""
        environment = dict(ENVIRONMENT, ANSIBLE_SSH_CONTROL_PATH_DIR=str(folder / name), **more)
        log = LOGS / ('%s-%s.log' % (self.weight, name))
        return measured([*LAST, *command], log, cwd=ROOT, env=environment, start_new_session=True)

    # -- the measurements

    def steps(self, answers, since):
        """How clients fared in each step, where the command has written a report; the newest is that of this run."""
        reports = [path for path in sorted(LOGS.glob('rolling-report-*.json')) if path.stat().st_mtime >= since]
        if not reports:
            return {}
        return figures.by_step(json.loads(answers.read_text(encoding='utf-8')),
                               figures.spans(json.loads(reports[-1].read_text(encoding='utf-8'))))

    def under_load(self, command, folder, name):
        """What a command takes, and what clients and nodes have of it meanwhile."""
        since = int(time.time()) - 1
        watches = [rotation.Watch(*node, draining=DRAINING) for node in self.addresses.items()]
        balancer = Balancer(self.plan)
        watchers: list[rotation.Watch | Balancer] = [*watches, balancer]
        load = demo.Load(self.stage, 'http://%s/api' % self.plan.address('lb'), self.args.rate,
                         LOGS / ('%s-%s-load.json' % (self.weight, name)), '--answers', folder / 'answers.json')
        try:
            for watcher in watchers:
                watcher.start()
            time.sleep(demo.LEAD_IN)
            result = self.take(command, folder, name)
            time.sleep(demo.TAIL)
        finally:
            for watcher in watchers:
                watcher.stopping.set()
            report = load.stop()[1]
        for watcher in watchers:
            watcher.stop()
        seen = {watch.node: outage(watch, demo.events(self.stage, watch.node, since))
                for watch in watches if watch.windows}
        return dict(
            result, out={node: out for node, (out, dummy) in seen.items()},
            floor={node: floor for node, (dummy, floor) in seen.items()}, balancer=figures.away(balancer.samples),
            steps=self.steps(folder / 'answers.json', since),
            gap=report['longest_gap'], **{key: report[key] for key in ('requests', 'failed', 'lost', 'p50', 'p99')})

    def measure(self, way, folder):
        """One measurement of a lab that was just restored."""
        if way in figures.FURTHER:
            return getattr(self, way)(folder)
        result = self.under_load(self.command(way, folder), folder, way)
        self.expect(RELEASE)
        if set(result['out']) != set(self.plan.nodes):
            raise demo.DemoError('out of rotation were only: %s' % ', '.join(result['out']))
        return result

    def again(self, folder):
        """A second run; it follows the first one."""
        return self.take(self.command('quiet', folder), folder, 'again')

    def resume(self, folder):
        """The controller is killed when the second node has drained. How soon the next run is at that node again."""
        first, second, command = folder / 'first.jsonl', folder / 'second.jsonl', self.command('quiet', folder)
        told = dict(ANSIBLE_CALLBACKS_ENABLED='shakenfist.rolling.rollout')
        child = self.stage.start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=dict(ENVIRONMENT, ROLLOUT_LOG=str(first), **told))
        while len({event['node'] for dummy, event in events_of(first)
                   if event['event'] == 'begin' and event['step'] == 'activate'}) < 2:
            if child.poll() is not None:
                raise demo.DemoError('the run that was to be killed ended before its second node, rc %d' % (
                    child.returncode))
            time.sleep(0.05)
        # The controller alone: what it has started goes on, as it would.
        child.kill()
        child.wait()
        since = time.time()
        result = self.take(command, folder, 'resume', ROLLOUT_LOG=str(second), **told)
        self.expect(RELEASE)
        found = figures.reached(events_of(second), ('quorum', 'drain', 'activate'), since)
        if found is None:
            raise demo.DemoError('the second run took no node up')
        return dict(result, reached=found)

    def rollback(self, folder):
        """The last node goes back to the first release, which has the same schema."""
        last = self.plan.nodes[-1]
        self.offer(SAME_SCHEMA, RELEASE)
        self.take(self.ours('upgrade', '-e', 'rolling_release=' + SAME_SCHEMA), folder, 'before-rollback')
        command = self.ours('rollback', '--limit', last, '-e', 'rollback_release=' + FIRST)
        result = self.under_load(command, folder, 'rollback')
        self.expect(FIRST, last)
        return result


def attempt(contest, way, number):
    """A measurement, or why there is none."""
    found = dict(weight=contest.weight, way=way, round=number)
    contest.stage.step('%s, round %d: %s' % (contest.weight, number, way))
    try:
        if way != 'again':
            contest.restore()
        with tempfile.TemporaryDirectory(prefix='bench-') as folder:
            found.update(contest.measure(way, pathlib.Path(folder)))
    except FAILURES as error:
        contest.stage.say('FAILED: %s' % error)
        found['error'] = str(error)
    return found


def race(stage, args, target):
    """All of it; what there is so far is written down after each measurement."""
    stage.must(ROOT / 'tools' / 'setup')
    result = dict(date=time.strftime('%Y-%m-%d'), machine=machine(), versions=versions(), nodes=3, rate=args.rate,
                  drain_grace=args.drain_grace, rounds=args.rounds, load_before=os.getloadavg()[0], weights={},
                  measurements=[])
    for weight in args.weights:
        contest = Contest(stage, args, weight)
        result['weights'][weight] = contest.about()
        for number in range(args.rounds):
            for way in figures.order([way for way in args.ways if way != 'again'], number):
                pair = (way, 'again') if way == 'quiet' and 'again' in args.ways else (way,)
                for one in pair:
                    result['measurements'].append(attempt(contest, one, number + 1))
                    target.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
                    if 'error' in result['measurements'][-1]:
                        break  # there is nothing that a second run could follow
    return result


def said(*command):
    """The first line that a command prints; nothing where it fails."""
    try:
        found = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ''
    return found.stdout.partition('\n')[0] if not found.returncode else ''


def machine():
    model = re.search(r'^model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8'), re.MULTILINE)
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2 ** 30
    return '%d cores%s, %.0f GB of memory, %s, Linux %s' % (
        os.cpu_count() or 1, ' of ' + model.group(1) if model else '', memory,
        platform.freedesktop_os_release().get('PRETTY_NAME', '?'),
        platform.release().partition('-')[0])


def versions():
    number = re.findall(r'^version: (\S+)', (ROOT / 'galaxy.yml').read_text(encoding='utf-8'), re.MULTILINE)[0]
    commit = said('git', '-c', 'safe.directory=*', 'describe', '--always', '--dirty')
    core = re.search(r'core (\S+?)\]', said(*ANSIBLE[:1], '--version'))
    return 'shakenfist.rolling %s%s, ansible-core %s, Python %s, %s' % (
        number, ' at ' + commit if commit else '', core.group(1) if core else '?',
        said(PYTHON, '--version').rpartition(' ')[2], said('podman', '--version'))


def page(result):
    """Puts the figures into the pages, and the picture beside them."""
    shown = '![Wall time of each way, and time out of rotation](images/benchmark.svg)'
    for name, block in (('docs/benchmark.md', '%s\n\n%s' % (figures.words(result), shown)),
                        ('README.md', figures.short(result))):
        path = ROOT / name
        path.write_text(figures.filled(path.read_text(encoding='utf-8'), '\n%s\n' % block), encoding='utf-8')
    (ROOT / 'docs' / 'images' / 'benchmark.svg').write_text(figures.picture(result), encoding='utf-8')


# ---- the command

def size(text):
    value = int(text)
    if value < 3:
        raise argparse.ArgumentTypeError('must be 3 or more, for the recording has 3 nodes')
    return value


def ways(text):
    found = [name for name in CHOICES if name in text.split(',')]
    if set(found) != set(text.split(',')):
        raise argparse.ArgumentTypeError('must be some of %s' % ','.join(CHOICES))
    if 'again' in found and 'quiet' not in found:
        raise argparse.ArgumentTypeError('again follows quiet')
    return found


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog='tools/bench', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  tools/bench                              the lab: all ways, 3 rounds; about two hours\n'
        '  tools/bench --rounds 1 --weight lab --ways quiet,plain\n'
        '  tools/bench --show .cache/bench/bench.json --page\n'
        '  tools/bench --scale 3 50 200             the controller, no lab needed\n'
        '  tools/bench --scale 3 60 --again         the same, where all nodes are done\n'
        '  tools/bench --record                     anew, after a module answers something else\n\n'
        'ways on the lab:\n' + ''.join('  %-9s %s\n' % way for way in CHOICES.items()) + '\n'
        'CPU is user and system time of the command and all its children, MB the peak of its largest process (RSS),\n'
        'all MB and memory that of all its processes together (PSS). Measure on a quiet machine.\n'
        'Output of the runs: .cache/bench/. Exit: 0 if everything was measured, whether targets hold or not; else 1.')
    parser.add_argument('--scale', metavar='N', type=size, nargs='+', help='numbers of nodes, 3 or more each')
    parser.add_argument('--again', action='store_true', help='with --scale: the second run, which finds nothing to do')
    parser.add_argument('--balancer', action='store_true', help="with --scale: give the address of HAProxy's API, too")
    parser.add_argument('--repeat', metavar='N', type=int, default=1,
                        help='with --scale: run each so often, and show the run that took the least CPU (1)')
    parser.add_argument('--tree', metavar='DIR', type=lambda text: pathlib.Path(text).resolve(), default=ROOT,
                        help='with --scale: measure the collection in this checkout (this one)')
    parser.add_argument('--record', action='store_true', help='record the answers that --scale gives, in a fresh lab')
    parser.add_argument('--rounds', metavar='N', type=int, default=3, help='the lab: how often each is measured (3)')
    parser.add_argument('--weight', choices=[*figures.WEIGHTS, 'both'], default='both',
                        help="the lab: its own release, one with the requirements of a real one, or both (both)")
    parser.add_argument('--ways', metavar='NAME,...', type=ways, default=list(CHOICES),
                        help='the lab: only these (all)')
    parser.add_argument('--drain-grace', metavar='SECONDS', type=demo.seconds, default=25.0,
                        help='the lab: how long sf-api serves on after SIGTERM (25)')
    parser.add_argument('--rate', type=availability.positive, default=120.0, help='the lab: requests a second (120)')
    parser.add_argument('--show', metavar='FILE', type=pathlib.Path, help='measure nothing: print what is in FILE')
    parser.add_argument('--page', action='store_true',
                        help='put the figures into docs/benchmark.md and README.md, and draw the picture')
    parser.add_argument('--json', metavar='FILE', type=pathlib.Path,
                        help='write the figures there (of the lab: .cache/bench/bench.json)')
    args = parser.parse_args(argv)
    if args.scale and args.record:
        parser.error('--scale needs no lab, --record makes one')
    if not args.scale and (args.again or args.balancer or args.repeat != 1 or args.tree != ROOT):
        parser.error('--again, --balancer, --repeat and --tree go with --scale')
    if args.repeat < 1 or args.rounds < 1:
        parser.error('--repeat and --rounds must be 1 or more')
    if args.page and (args.scale or args.record):
        parser.error('--page shows the lab')
    args.weights = list(figures.WEIGHTS) if args.weight == 'both' else [args.weight]
    if not (args.tree / 'galaxy.yml').exists():
        parser.error('%s is no checkout of this collection' % args.tree)
    return args


def side_by_side(stage, args):
    """Measures, or reads what was measured; prints it, and says whether all of it was measured."""
    if args.show:
        result = json.loads(args.show.read_text(encoding='utf-8'))
    else:
        result = race(stage, args, args.json or LOGS / 'bench.json')
    stage.write('\n%s\n' % figures.words(result))
    if args.page:
        page(result)
    return 1 if figures.failures(result['measurements']) else 0


def perform(stage, args):
    if args.record:
        record(stage, args)
        return 0
    if not args.scale:
        return side_by_side(stage, args)
    result = scale(args)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    return 0


def main(argv=None):
    args = arguments(argv)
    LOGS.mkdir(parents=True, exist_ok=True)
    stage = demo.Stage(LOGS / (time.strftime('%Y%m%d-%H%M%S') + '.log'))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, demo.interrupt)
    try:
        return perform(stage, args)
    except FAILURES as error:
        stage.say('FAILED: %s' % error)
        return 1
    except demo.Interrupted:
        stage.say('interrupted')
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stage.end()


if __name__ == '__main__':
    sys.exit(main())
