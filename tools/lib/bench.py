# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure what an upgrade costs.

On the lab (without --scale): how long an upgrade takes beyond the time in which nodes are out of rotation, how far each
node is over its floor, and what a second run costs that finds nothing to do.

With --scale: what ansible-playbook itself costs on the controller, with as many nodes as you like. Playbook and roles
are the real ones; the modules alone do not run, they answer at once what they answered in a recorded run of the lab.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

import availability
import demo
import recording
import rotation

ROOT = demo.ROOT
RECORDING = ROOT / 'tests' / 'bench' / 'recording.json'
REPLAY = pathlib.Path(__file__).with_name('replay.py')
PYTHON = ROOT / '.cache' / 'venv' / 'bin' / 'python'
RELEASE = '0.8.1'
WITHOUT_PAUSES = ('-e', 'roll_settle=0', '-e', 'verify_bake=0')
SAMPLE = 1              # seconds between two looks at the memory
LOGS = ROOT / '.cache' / 'bench'


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
    return int(re.search(r'^Pss: +(\d+)', text, re.MULTILINE).group(1)) / 1024


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
        raise demo.DemoError('ansible-playbook failed (rc %d), %s ends with:\n%s' % (
            child.returncode, log, log.read_text(encoding='utf-8')[-3000:]))
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
        'A second run' if args.again else 'An upgrade', args.tree, os.cpu_count(), busy))
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


def rolled(stage, *more):
    """An upgrade of the lab: how it took, in wall and CPU seconds, and how many tasks it had."""
    log = pathlib.Path(stage.log.name)
    before, used = log.stat().st_size, resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    code = demo.upgrade(stage, RELEASE, *more)
    wall, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise demo.DemoError('the upgrade ended with rc %d' % code)
    return dict(wall=round(wall, 2), cpu=round(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, 2),
                tasks=count_tasks(log.read_bytes()[before:].decode()))


def on_lab(stage, args, target):
    if not args.keep:
        stage.must(ROOT / 'tools' / 'setup')
        stage.must(ROOT / 'tools' / 'lab', 'up', '--drain-grace', args.drain_grace)
    inventory = json.loads(demo.lab('inventory', '--list'))
    addresses = {node: inventory['_meta']['hostvars'][node]['ansible_host'] for node in inventory['allsf']['hosts']}
    told = ('-e', 'drain_haproxy_address=' + balancer_of(inventory))
    busy, since = os.getloadavg()[0], int(time.time()) - 1
    watches = [rotation.Watch(*node) for node in addresses.items()]
    load = None
    if args.rate:
        load = demo.Load(stage, 'http://%s/api' % balancer_of(inventory).partition(':')[0], args.rate, target)
    for watch in watches:
        watch.start()
    try:
        first = rolled(stage, *told)
        time.sleep(demo.TAIL)
    finally:
        for watch in watches:
            watch.stopping.set()
    requests = load.stop()[0] if load else ''
    for watch in watches:
        watch.stop()
    again = rolled(stage, *told)
    stage.write('\n%s\n' % requests if requests else '\n')
    over = {}
    for watch in watches:
        said, over[watch.node] = rotation.lines(watch, demo.events(stage, watch.node, since))
        stage.write('\n'.join(said) + '\n')
    result = summary(first, again, [window for watch in watches for window in watch.windows], over)
    stage.write(words(result))
    return dict(result, load_before=busy)


def summary(first, again, windows, over):
    if not windows or any(window.seconds is None for window in windows):
        raise demo.DemoError('a node is still out of rotation, or none ever was: there is nothing to measure')
    total = sum(window.seconds for window in windows)
    return dict(upgrade=first, again=again, windows=round(total, 2), beyond=round(first['wall'] - total, 2),
                over={node: [round(seconds, 2) for seconds in found] for node, found in over.items()})


def words(result):
    run = '%(wall).1f s, %(cpu).1f CPU s, %(tasks)d tasks'
    over = ', '.join('%s %s s' % (node, ' + '.join('%.2f' % seconds for seconds in found) or '?')
                     for node, found in result['over'].items())
    return '\n'.join([
        'the upgrade: ' + run % result['upgrade'],
        'out of rotation: %.1f s in all, wall beyond that %.1f s' % (result['windows'], result['beyond']),
        'over the floor: ' + over,
        'the second run, with nothing to do: ' + run % result['again'], ''])


# ---- the command

def size(text):
    value = int(text)
    if value < 3:
        raise argparse.ArgumentTypeError('must be 3 or more, for the recording has 3 nodes')
    return value


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog='tools/bench', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  tools/bench                          the lab: wall, floor, second run\n'
        '  tools/bench --scale 3 12 60          the controller, no lab needed\n'
        '  tools/bench --scale 3 60 --again     the same, where all nodes are done\n'
        '  tools/bench --record                 anew, after a module answers something else\n\n'
        'CPU is user and system time of ansible-playbook and all its children, MB the peak of its largest process\n'
        '(RSS), all MB that of all its processes together (PSS). Measure on a quiet machine: the load is printed.\n'
        'Output of the runs: .cache/bench/')
    parser.add_argument('--scale', metavar='N', type=size, nargs='+', help='numbers of nodes, 3 or more each')
    parser.add_argument('--again', action='store_true', help='with --scale: the second run, which finds nothing to do')
    parser.add_argument('--balancer', action='store_true', help="with --scale: give the address of HAProxy's API, too")
    parser.add_argument('--repeat', metavar='N', type=int, default=1,
                        help='with --scale: run each so often, and show the run that took the least CPU (1)')
    parser.add_argument('--tree', metavar='DIR', type=lambda text: pathlib.Path(text).resolve(), default=ROOT,
                        help='with --scale: measure the collection in this checkout (this one)')
    parser.add_argument('--record', action='store_true', help='record the answers that --scale gives, in a fresh lab')
    parser.add_argument('--drain-grace', metavar='SECONDS', type=demo.seconds, default=25.0,
                        help='the lab: how long sf-api serves on after SIGTERM (25)')
    parser.add_argument('--rate', type=availability.positive, help='the lab: requests a second meanwhile (none)')
    parser.add_argument('--keep', action='store_true', help='use the lab that is up, on 0.8.0, not a fresh one')
    parser.add_argument('--json', metavar='FILE', type=pathlib.Path, help='write the figures there, too')
    args = parser.parse_args(argv)
    if args.scale and args.record:
        parser.error('--scale needs no lab, --record makes one')
    if not args.scale and (args.again or args.balancer or args.repeat != 1 or args.tree != ROOT):
        parser.error('--again, --balancer, --repeat and --tree go with --scale')
    if args.repeat < 1:
        parser.error('--repeat must be 1 or more')
    if not (args.tree / 'galaxy.yml').exists():
        parser.error('%s is no checkout of this collection' % args.tree)
    return args


def perform(stage, args, name):
    if args.scale:
        return scale(args)
    return record(stage, args) if args.record else on_lab(stage, args, LOGS / (name + '-load.json'))


def main(argv=None):
    args = arguments(argv)
    LOGS.mkdir(parents=True, exist_ok=True)
    name = time.strftime('%Y%m%d-%H%M%S')
    stage = demo.Stage(LOGS / (name + '.log'))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, demo.interrupt)
    try:
        result = perform(stage, args, name)
        if args.json and result:
            args.json.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
        return 0
    except demo.DemoError as error:
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
