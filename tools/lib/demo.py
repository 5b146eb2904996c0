# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roll the lab from 0.8.0 to 0.8.1 under load and show that not one request fails."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import availability
import rotation

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / '.cache' / 'demo'
LEAD_IN, TAIL = 3, 5    # seconds of load before and after the roll; the tail sees the last node back in rotation
SETTLE = 10             # seconds between two nodes of the control, as in the roll
READY_LIMIT = 60
SPARE = 3               # seconds after its drain grace in which sf-api must have ended, where nobody probes it
STATS = 8405            # the balancer's stats socket
LIMIT = 1800            # seconds; nothing here takes longer
PATIENCE = (signal.SIGINT, 15), (signal.SIGTERM, 10), (signal.SIGKILL, 5)
COLOUR = re.compile(r'\x1b\[[0-9;]*m')


class DemoError(Exception):
    """What failed."""


class Interrupted(Exception):
    """Ctrl-C, or a request to end."""


def interrupt(*dummy):
    raise Interrupted()


class Stage:
    """The terminal, the log, and the processes that were started."""

    def __init__(self, log):
        self.began = time.monotonic()
        self.log = log.open('w', encoding='utf-8')
        self.lock = threading.Lock()
        self.children = []

    def write(self, text):
        with self.lock:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.log.write(COLOUR.sub('', text))
            self.log.flush()

    def say(self, text):
        self.write('demo: %s\n' % text)

    def step(self, text):
        self.say('[%3.0f s] %s' % (time.monotonic() - self.began, text))

    def start(self, *command, **options):
        # A session of its own: Ctrl-C reaches this program only, which ends the others in order.
        child = subprocess.Popen([str(word) for word in command], cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                                 errors='replace', start_new_session=True, **options)
        self.children.append(child)
        return child

    def show(self, stream):
        for line in stream:
            self.write(line)

    def run(self, *command, env=None):
        """Runs a command to its end, shows its output, returns its exit code."""
        child = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        reader = threading.Thread(target=self.show, args=(child.stdout,), daemon=True)
        reader.start()
        try:
            code = child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise DemoError('%s did not end within %d s' % (command[0], LIMIT)) from None
        reader.join(5)
        return code

    def must(self, *command):
        code = self.run(*command)
        if code:
            raise DemoError('%s failed (rc %d)' % (shlex.join(str(word) for word in command), code))

    def end(self):
        """Ends what is still running, each with the processes of its session, which we made, by its id."""
        running = [child for child in self.children if child.poll() is None]
        for number, patience in PATIENCE:
            running = [child for child in running if signalled(child, number)]
            limit = time.monotonic() + patience
            while running and time.monotonic() < limit:
                time.sleep(0.1)
                running = [child for child in running if signalled(child, 0)]


def signalled(child, number):
    """Signals the process group of a child; False where none of it is left."""
    child.poll()
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True


def lab(*command):
    result = subprocess.run([str(ROOT / 'tools' / 'lab'), *command], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60, check=False)
    if result.returncode:
        raise DemoError('tools/lab %s failed (rc %d): %s' % (shlex.join(command), result.returncode,
                                                             (result.stderr or result.stdout).strip()))
    return result.stdout


class Load:
    """The prober in a process of its own, so that nothing here slows it down."""

    def __init__(self, stage, url, rate, target, *more):
        self.stage, self.target = stage, target
        self.child = stage.start(
            sys.executable, availability.__file__, url, '--rate', rate, '--duration', LIMIT,
            '--get', '/', '--get', '/auth/namespaces=401', '--notes', '/lab/notes', '--slow', '/lab/slow?seconds=3:5',
            '--json', target, *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.child.stderr.readline()
        stage.write(line)
        if 'requests a second' not in line:
            raise DemoError('the prober did not start')
        threading.Thread(target=stage.show, args=(self.child.stderr,), daemon=True).start()

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(120)
        except subprocess.TimeoutExpired:
            raise DemoError('the prober did not end') from None
        if self.child.returncode not in (0, 1):
            raise DemoError('the prober failed (rc %d)' % self.child.returncode)
        words = self.child.stdout.read()
        return words, json.loads(self.target.read_text(encoding='utf-8'))


def upgrade(stage, release, *more):
    environment = dict(os.environ, ANSIBLE_HOME=str(ROOT / '.ansible'), ANSIBLE_CONFIG=str(ROOT / 'ansible.cfg'))
    if sys.stdout.isatty():
        environment['ANSIBLE_FORCE_COLOR'] = '1'
    return stage.run(ROOT / '.cache' / 'venv' / 'bin' / 'ansible-playbook', '-i', 'inventories/lab',
                     'shakenfist.rolling.upgrade', '-e', 'rolling_release=' + release, *more, env=environment)


def control(stage, nodes):
    """What a node's restart is without a drain: killed, started, waited for; then the next one."""
    for position, (node, address) in enumerate(nodes.items()):
        if position:
            time.sleep(SETTLE)
        stage.step('%s: kill sf-api and start it again' % node)
        lab('ssh', node, 'sudo systemctl kill --signal=KILL sf-api && sudo systemctl restart sf-api')
        limit = time.monotonic() + READY_LIMIT
        while not rotation.all_ready(address):
            if time.monotonic() > limit:
                raise DemoError('%s: sf-api is not ready %d s after its restart' % (node, READY_LIMIT))
            time.sleep(0.1)
    return 0


def events(stage, node, since):
    """What systemd says of the node's services since then."""
    try:
        return rotation.events(lab('ssh', node, shlex.join(['sudo', *rotation.JOURNAL, '--since=@%d' % since])))
    except DemoError as error:
        stage.say('%s: no journal: %s' % (node, error))
        return []


def measure(stage, watches, since):
    """Prints the time out of rotation of each node; returns how many were out of it."""
    count = 0
    for watch in watches:
        for line in rotation.lines(watch, events(stage, watch.node, since))[0]:
            stage.write(line + '\n')
        count += bool(watch.windows)
    return count


def ends(stage, nodes, since, limit):
    """Prints how long each node's sf-api took to stop; returns how many stopped, and what is wrong, in sentences."""
    count, wrong = 0, []
    for node in nodes:
        took = rotation.stops(events(stage, node, since))
        count += bool(took)
        stage.write('%-6s sf-api ended %s after its stop began, at most %g s\n' % (
            node, ', '.join('%.2f s' % seconds for seconds in took) or 'never', limit))
        wrong += ['sf-api of %s took %.2f s to stop, at most %g s were expected' % (node, seconds, limit)
                  for seconds in took if seconds > limit]
        if not took:
            wrong.append('sf-api of %s was not stopped' % node)
    return count, wrong


def perform(stage, args, target):
    if not args.keep:
        stage.step('install what is missing')
        stage.must(ROOT / 'tools' / 'setup')
        stage.step('bring the lab up: %d nodes on 0.8.0, drain grace %g s' % (args.nodes, args.drain_grace))
        stage.must(ROOT / 'tools' / 'lab', 'up', '--nodes', args.nodes, '--drain-grace', args.drain_grace,
                   *([] if args.probes else ['--no-probes']))
    if args.to != '0.8.1' and not args.control:
        stage.must(ROOT / 'tools' / 'lab', 'release', args.to)
    inventory = json.loads(lab('inventory', '--list'))
    addresses = {name: values['ansible_host'] for name, values in inventory['_meta']['hostvars'].items()}
    nodes = {name: addresses[name] for name in inventory['allsf']['hosts']}
    balancer = addresses[inventory['lab_lb']['hosts'][0]]
    url = 'http://%s/api' % balancer
    address = 'drain_haproxy_address=%s:%d' % (balancer, STATS)
    told = () if args.probes else ('-e', 'drain_tell_first=true', '-e', address)

    # What watches a node asks it, and so wakes its workers: where nobody does, the journal alone has to tell.
    watches = [rotation.Watch(name, address) for name, address in nodes.items()] if args.probes else []
    load = Load(stage, url, args.rate, target)
    since = int(time.time()) - 1
    for watch in watches:
        watch.start()
    try:
        time.sleep(LEAD_IN)
        stage.step('roll without a drain' if args.control else 'roll to %s' % args.to)
        begin = time.monotonic()
        code = control(stage, nodes) if args.control else upgrade(stage, args.to, *told)
        took = time.monotonic() - begin
        time.sleep(TAIL)
    finally:
        for watch in watches:
            watch.stopping.set()
    stage.step('stop the load')
    words, report = load.stop()
    for watch in watches:
        watch.stop()
    stage.write('\n')
    if args.probes:
        rolled, wrong = measure(stage, watches, since), []
    else:
        rolled, wrong = ends(stage, nodes, since, args.drain_grace + SPARE)
    stage.write('\n' + words + '\n')
    return verdict(stage, args, code, took, '%d of %d' % (rolled, len(nodes)), report, wrong)


def verdict(stage, args, code, took, rolled, report, wrong=()):
    failed, lost = report['failed'], report['lost']
    clean = report['verdict'] == 'ok'
    if args.control:
        if clean:
            stage.say('CONTROL FAILED: an undrained restart of every node showed no failed request, so the prober '
                      'proves nothing')
        else:
            stage.say('the prober sees an undrained restart: %d failed, %d lost' % (failed, lost))
        return 1 if clean else 0
    if code:
        stage.say('FAILED: the roll ended with rc %d after %.0f s; failed %d, lost %d' % (code, took, failed, lost))
    elif not clean:
        stage.say('FAILED: the roll succeeded, but not every request did: failed %d, lost %d' % (failed, lost))
    elif wrong:
        stage.say('FAILED: the roll succeeded, but ' + '; '.join(wrong))
    else:
        stage.say('the roll to %s succeeded in %.0f s, %s nodes were out of rotation, %d requests: '
                  'failed 0, lost 0' % (args.to, took, rolled, report['requests']))
    return 1 if code or not clean or wrong else 0


def seconds(text):
    value = float(text)
    if not 0 <= value <= 50:  # gunicorn's own limit of a drain is 55
        raise argparse.ArgumentTypeError('must be from 0 to 50')
    return value


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/demo', description=__doc__)
    parser.add_argument('--drain-grace', metavar='SECONDS', type=seconds, default=5.0,
                        help='how long sf-api serves on after SIGTERM (5; 25 on real clusters)')
    parser.add_argument('--control', action='store_true',
                        help='leave the drain out: kill and restart each sf-api; requests must fail')
    parser.add_argument('--no-probes', dest='probes', action='store_false',
                        help='let nobody ask a node for its readiness, and tell the balancer; sf-api must end in time')
    parser.add_argument('--nodes', type=int, default=3, help='nodes of the lab (3)')
    parser.add_argument('--to', metavar='RELEASE', default='0.8.1', help='release to roll to (0.8.1)')
    parser.add_argument('--keep', action='store_true', help='use the lab that is up, as it is, not a fresh one')
    parser.add_argument('--rate', type=availability.positive, default=None,
                        help='requests a second (120; 140 where the grace is 15 s or more)')
    args = parser.parse_args(argv)
    if args.control and not args.probes:
        parser.error('--control is without a drain, so --no-probes says nothing of it')
    if args.nodes < 1:
        parser.error('--nodes must be 1 or more')
    return args


def main(argv=None):
    args = arguments(argv)
    if args.rate is None:
        # Drains of 25 s make a roll of three nodes two minutes long: enough for more than 15,000 requests.
        args.rate = 140.0 if args.drain_grace >= 15 else 120.0
    LOGS.mkdir(parents=True, exist_ok=True)
    name = time.strftime('%Y%m%d-%H%M%S') + ('-control' if args.control else '')
    stage = Stage(LOGS / (name + '.log'))
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        result = perform(stage, args, LOGS / (name + '.json'))
    except DemoError as error:
        stage.say('FAILED: %s' % error)
        result = 1
    except Interrupted:
        stage.say('interrupted')
        result = 130
    finally:
        # A second Ctrl-C must not leave a child behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage.end()
    stage.say('the lab is still up: tools/lab status, tools/lab ssh NODE; remove it with: tools/lab down')
    stage.say('log: %s' % os.path.relpath(stage.log.name, os.getcwd()))
    return result


if __name__ == '__main__':
    sys.exit(main())
