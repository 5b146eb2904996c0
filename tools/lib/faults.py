# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Throw faults into a roll of the lab, one after the other and each under load, and show what becomes of it."""

# The rows are in tests/lab/faults, one file a subject; tests/lab/faults/rows.py has the words that they are written in.
# Those of --random are drawn by chaos.py.

from __future__ import annotations

import argparse
import calendar
import collections
import contextlib
import dataclasses
import datetime
import importlib
import json
import math
import os
import pathlib
import queue
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = ROOT / 'tests' / 'lab' / 'faults'
LOGS = ROOT / '.cache' / 'faults'
# A lab of its own, so that one that somebody looks at stays as it is.
os.environ.setdefault('LAB_NAME', 'faults')
sys.path[:0] = [str(ROOT / 'tools' / 'lib'), str(ROWS), str(ROOT / 'tests' / 'lab')]

import availability
import chaos
import lab as machinery
import matrix
import product
import rows as words
import untouched
from demo import signalled

SUBJECTS = ('supply', 'database', 'release', 'nodes', 'controller', 'cluster', 'cinder', 'dragonflow', 'ganeti',
            'synnefo', 'canary')
WHOLE = 60              # seconds until all is well again after the last command
TRIES = 5               # how often the same command is run in a random row until it must have ended
PATIENCE: tuple[tuple[int, int], ...] = (signal.SIGINT, 10), (signal.SIGTERM, 5), (signal.SIGKILL, 5)
SILENT = 'kept-alive'   # in the kind of a failure that the balancer may not note
# The share of the faults of a random run that must have happened. Some never do: a command is over before its moment,
# or ends well, and then those that are for a later one have nothing to meet. Where most do not, steps have other names
# or no events are written, and green rows show nothing.
HAPPEN = 0.5
MATCH = 1.0             # seconds by which the prober and the balancer may differ on when a request began
NEXT = {
    words.REFUSED: r'[Rr]un the (same )?command again|ansible-playbook ',
    words.STOPPED: r'Next: .*ansible-playbook .*shakenfist\.rolling\.\w+',
}
# What nothing but a run that is under way may have on a node: its lock, half-made releases and backups, the rule that
# leads clients away, modules at work, and their files. And nothing of the product's has failed for good.
BEHIND = '''for path in {home}/rolling.lock {home}/releases/.*.partial {home}/backups/.*.partial /tmp/ansible_*; do
  [ ! -e "$path" ] || echo "$path is there"
done
nft list tables | grep shakenfist_rolling
pgrep -af 'BECOME[-]SUCCESS'
systemctl list-units --failed --plain --no-legend "sf-*" "cinder-*"'''


class Interrupted(Exception):
    """Ctrl-C, or a request to end."""


def interrupt(*dummy):
    raise Interrupted()


# ---- the lab

class Lab:
    """What a row can do with the lab and ask of it."""

    def __init__(self, log, of):
        self.log, self.product = log, of
        machinery.say = log
        self.plan = machinery.load()
        self.nodes = self.plan.nodes
        self.balancer = self.plan.address('lb')

    @property
    def database(self):
        return self.plan.database

    def address(self, machine):
        return self.plan.address(machine)

    def execute(self, machine, *command, check=True):
        return machinery.execute(machine, *command, check=check, timeout=90)

    def shell(self, machine, script, check=True):
        self.log('%s: %s' % (machine, script.replace('\n', '; ')))
        result = self.execute(machine, 'sh', '-ec', script, check=check)
        for line in (result.stdout + result.stderr).splitlines():
            self.log('%s> %s' % (machine, line))
        return result.stdout

    def sql(self, statement):
        return machinery.sql(statement)

    def unit(self, machine, unit):
        # Without check: a machine that is just being switched off has no state to tell.
        text = self.execute(machine, 'systemctl', 'show', unit, check=False).stdout
        return collections.defaultdict(str, (line.split('=', 1) for line in text.splitlines() if '=' in line))

    def processes(self, machine, pattern):
        return self.execute(machine, 'pgrep', '-f', pattern, check=False).stdout.split()

    def gateway(self, node):
        """The last word of a sf-database on its health, if it runs."""
        text = self.execute(node, 'sh', '-c', 'systemctl is-active --quiet sf-database || exit 0; journalctl -q -o cat '
                            '_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID sf-database)', check=False).stdout
        return (re.findall(r'^health is (\w+)', text, re.MULTILINE) or [''])[-1]

    def ready(self, node):
        return not machinery.readiness(self.address(node))

    def missing(self):
        return self.product.missing(self.plan)

    def whole(self):
        return not self.missing()

    def behind(self):
        """What runs that have ended have left on the nodes, one line for each thing."""
        script = BEHIND.format(home=self.plan.home)
        return ['%s: %s' % (node, line) for node in self.nodes
                for line in self.execute(node, 'sh', '-c', script, check=False).stdout.splitlines()]

    def leader(self):
        return machinery.leader()

    def elect(self, node):
        """Give the lease to a node, which keeps it from then on."""
        if self.leader() != node:
            machinery.elect(node)

    def facts(self, node):
        return self.product.facts(node)

    def state(self):
        return untouched.state()

    def changed(self, before):
        return untouched.changed(before)

    def runs(self, machine):
        return machinery.podman('inspect', '--format', '{{.State.Running}}', machinery.PREFIX + machine,
                                check=False).stdout.strip() == 'true'

    def reached(self, machine):
        """Whether its sshd answers on the network."""
        try:
            with socket.create_connection((self.address(machine), 22), timeout=1) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False

    def power_off(self, machine):
        self.log('%s: power off' % machine)
        machinery.podman('stop', '--time', '0', machinery.PREFIX + machine, timeout=60)

    def power_on(self, machine):
        self.log('%s: power on' % machine)
        machinery.podman('start', machinery.PREFIX + machine, timeout=60)

    def publish(self, version, *traits):
        machinery.release(types.SimpleNamespace(version=version, trait=list(traits), pins=[]))

    def withdraw(self, version):
        machinery.unrelease(types.SimpleNamespace(version=version))

    def balancer_log(self):
        return self.execute('lb', 'journalctl', '--quiet', '--output=cat', '--identifier=haproxy').stdout


# ---- the load

class Load(availability.Prober):
    """The prober of tools/availability, which here keeps every failure."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.every = []
        # Volumes are followed to their end.
        self.patience = 60 + (2 * self.volume_limit + 3 * self.timeout if self.volumes else 0)
        self.thread = threading.Thread(target=self.run, args=(math.inf,), daemon=True)

    def start(self):
        self.thread.start()
        words.until('the load runs', lambda: self.good >= self.rate, 20)

    def fail(self, job, kind, start, now):
        super().fail(job, kind, start, now)
        self.every.append(Failure(start + self.offset, now + self.offset, job.method, self.prefix + job.path, kind))

    def stop(self):
        if not self.stopping:
            self.stopping = True
            self.thread.join(self.patience)
            self.read_back()
        return self.report()


@dataclasses.dataclass
class Failure:
    """A request that failed, and at whom."""
    at: float               # when it was sent, in seconds since the epoch
    end: float              # when it failed
    method: str
    path: str
    kind: str
    server: str = '-'

    def __str__(self):
        return '%s %s %s at %s' % (self.method, self.path, self.kind, self.server)


LOGGED = (r'\[(?P<date>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d)\.(?P<ms>\d{3})\] api %s/(?P<server>\S+) .*'
          r'"(?P<method>\w+) (?P<path>\S+) HTTP')


def logged(text, backend):
    """What the balancer has noted of requests that failed: it notes no others."""
    result, pattern = [], re.compile(LOGGED % re.escape(backend))
    for line in text.splitlines():
        match = pattern.search(line)
        if match:
            at = calendar.timegm(time.strptime(match['date'], '%d/%b/%Y:%H:%M:%S')) + int(match['ms']) / 1000
            server = 'nobody' if match['server'] == '<NOSRV>' else match['server']
            result.append((at, match['method'], match['path'], server))
    return result


def attribute(failures, notes):
    """Says of each failure at which server the balancer saw it; one that the balancer did not see stays at '-'."""
    free = collections.defaultdict(list)
    for at, method, path, server in notes:
        free[method, path].append((at, server))

    def nearest(failure, candidates):
        near = [note for note in candidates if abs(note[0] - failure.at) < MATCH]
        return min(near, key=lambda note: abs(note[0] - failure.at), default=None)

    for failure in sorted(failures, key=lambda failure: (SILENT in failure.kind, failure.at)):
        candidates = free[failure.method, failure.path]
        note = nearest(failure, candidates)
        if note:
            candidates.remove(note)
        elif SILENT in failure.kind:
            # HAProxy closes it without a word in its log, so that the client may try again: the server is the one
            # that broke other requests in that moment.
            note = nearest(failure, [(at, server) for at, dummy, dummy, server in notes])
        if note:
            failure.server = note[1]


# ---- one command

class Roll:
    """An ansible-playbook that runs, or has run."""

    def __init__(self, run, command):
        self.command = [str(word) for word in command]
        run.log('$ ' + shlex.join(self.command))
        self.run, self.lines = run, []
        self.log, self.offset, self.events = pathlib.Path(run.sockets, '%d.jsonl' % len(run.rolls)), 0, []
        self.began = time.time()
        # A session of its own: Ctrl-C reaches this program only, which ends the others in order.
        self.child = subprocess.Popen(self.command, cwd=ROOT, env=dict(run.environment, ROLLOUT_LOG=str(self.log)),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, errors='replace', start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout or ():
            line = line.rstrip('\n')
            self.lines.append(line)
            self.run.log(line)

    @property
    def running(self):
        return self.child.poll() is None

    def kill(self, number=signal.SIGKILL, everything=False):
        """A signal for the controller, and for it alone: what it has started goes on, as it would; or for all of it."""
        for pid in family(self.child.pid) if everything else [self.child.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self):
        try:
            self.child.wait(self.run.product.limit)
        except subprocess.TimeoutExpired:
            raise words.Trouble('the command did not end within %g s' % self.run.product.limit) from None
        # Of a killed one, processes that it has started may hold the pipe.
        self.reader.join(2)
        self.run.log('(rc %d after %.0f s)' % (self.child.returncode, time.time() - self.began))
        return self.child.returncode

    @property
    def text(self):
        """All that it said, each run of white space as one blank, so that folded lines do not matter."""
        return ' '.join(' '.join(self.lines).split())

    @property
    def message(self):
        """What it said of a failure: from the first line about one to its end."""
        first = next((n for n, line in enumerate(self.lines) if re.match(r'(fatal|failed): ', line)), 0)
        return ' '.join(' '.join(self.lines[first:]).split())

    @property
    def outcome(self):
        if self.child.returncode == 0:
            return words.ROLLED
        if self.child.returncode < 0:
            return words.KILLED
        return words.REFUSED if 'Nothing was touched' in self.text else words.STOPPED

    def next_command(self):
        """The last command that it tells the operator to run."""
        found = [line.strip() for line in self.lines if re.match(r'\s*ansible-playbook .*shakenfist\.rolling\.', line)]
        return shlex.split(found[-1]) if found else None

    def follow(self):
        """All events until now, as the callback writes them down."""
        if self.log.exists():
            with self.log.open('rb') as file:
                file.seek(self.offset)
                text = file.read()
            whole = text[:text.rfind(b'\n') + 1]
            self.offset += len(whole)
            self.events += map(json.loads, whole.splitlines())
        return self.events

    def told(self, **wanted):
        """Whether there was an event with these fields; an empty one is not there."""
        return any(all(event.get(key, '') == value for key, value in wanted.items()) for event in self.follow())

    def reached(self, *steps):
        """Seconds until it began one of the steps; None if it never did."""
        return next((datetime.datetime.fromisoformat(event['time'].replace('Z', '+00:00')).timestamp() - self.began
                     for event in self.follow() if event['event'] == 'begin' and event['step'] in steps), None)

    def end(self):
        for number, patience in PATIENCE:
            deadline = time.monotonic() + patience
            while signalled(self.child, number):
                number = 0
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)


def family(pid):
    """A process and all that it has started, also in sessions of their own."""
    children = collections.defaultdict(list)
    for line in subprocess.run(['ps', '-e', '-o', 'pid=,ppid='], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        child, parent = map(int, line.split())
        children[parent].append(child)
    found = [pid]
    for one in found:
        found += children[one]
    return found


# ---- one row

@dataclasses.dataclass
class Result:
    name: str
    about: str
    became: str = '-'           # of the roll
    others: int | None = None   # requests failed at nodes that the fault does not hit
    own: int = 0                # requests that the fault itself failed
    lost: int | None = None
    spoiled: int = 0            # volumes that the fault itself broke
    said: str = '-'             # whether the message has all that it must have
    again: str = '-'            # whether the second command ended with all nodes on the target
    seconds: float = 0.0
    planned: int = 0            # faults of a random row: kills of its later commands are some, too
    met: int = 0                # how many of them happened
    problems: list = dataclasses.field(default_factory=list)

    COLUMNS = ('fault', 'the roll', 'failed on others', 'lost', 'message', 'again', 'seconds')

    def cells(self):
        failed, lost = ('-' if number is None else str(number) for number in (self.others, self.lost))
        return (self.name, self.became, failed + (' (fault: %d)' % self.own if self.own else ''),
                lost + (' (fault: %d)' % self.spoiled if self.spoiled else ''), self.said, self.again,
                '%.0f' % self.seconds)


class Run:
    """One row, carried out."""

    def __init__(self, row, log, fresh=None):
        self.row, self.product, self.stream = row, product.OF[row.product], log.open('w', encoding='utf-8')
        self.folder = log.parent
        self.fresh = fresh              # the state of the lab that is up, if it still is as a new one
        self.before = None              # its state before the fault, where the roll may be refused
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.result = Result(row.name, row.about)
        self.lab: Lab                   # once it is up
        self.roll: Roll                 # the last of the commands, once there is one
        self.rolls: list[Roll] = []
        self.load: Load | product.Guests | None = None
        self.notes = {}
        self.fault: list[float | None] = [None, None]       # from when until when there was a fault
        # Connections of their own, so that none to a machine of an earlier lab is left.
        self.sockets = tempfile.mkdtemp(prefix='sfr-')
        self.environment = dict(
            os.environ, ANSIBLE_HOME=str(ROOT / '.ansible'), ANSIBLE_CONFIG=str(ROOT / 'ansible.cfg'),
            ANSIBLE_SSH_CONTROL_PATH_DIR=self.sockets, ANSIBLE_STDOUT_CALLBACK='ansible.builtin.default',
            ANSIBLE_CALLBACKS_ENABLED='shakenfist.rolling.rollout', ANSIBLE_NOCOLOR='1')

    def log(self, text):
        with self.lock:
            if not self.stream.closed:
                self.stream.write('%6.1f  %s\n' % (time.monotonic() - self.began, text))
                self.stream.flush()

    def problem(self, text):
        self.log('PROBLEM: ' + text)
        self.result.problems.append(text)

    @property
    def compares(self):
        """Whether the lab is looked at in every respect, to say of a refusal that it has left it as it was."""
        return words.REFUSED in self.row.outcome and self.product.compared

    def bring_up(self):
        """A new lab, or that of the row before where it is as a new one: it was compared in every respect."""
        if self.fresh is not None:
            self.lab = Lab(self.log, self.product)
            self.log('the lab of the row before is as a new one')
            return
        command = [str(ROOT / 'tools' / 'lab'), 'up', *self.product.lab, *self.row.options]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
                                check=False)
        for line in (result.stdout + result.stderr).splitlines():
            self.log(line)
        if result.returncode:
            raise words.Trouble('the lab did not come up: ' + (result.stderr.strip().splitlines() or ['no word'])[-1])
        self.lab = Lab(self.log, self.product)
        if self.compares:
            words.until('the new lab is whole', self.lab.whole, WHOLE)
            self.fresh = self.lab.state()

    def start(self, command):
        roll = Roll(self, command)
        self.rolls.append(roll)
        return roll

    def base(self):
        return [ROOT / '.cache' / 'venv' / 'bin' / 'ansible-playbook', '-i', 'inventories/lab']

    def command(self, arguments=None):
        """As an operator types it, with the row's arguments or others."""
        if arguments is None:
            arguments = (('-e', 'rolling_release=' + self.row.release) if self.row.release else ()) + self.row.arguments
        # What a row says comes last, and holds.
        playbook = self.row.playbook or self.product.playbook
        return [*self.base(), playbook, *self.filled((*self.product.arguments, *arguments))]

    def filled(self, arguments):
        return [word.replace('{lb}', self.lab.balancer) for word in arguments]

    def throw(self):
        self.fault[0] = time.time()
        self.log('FAULT: ' + self.row.about)
        self.row.inject(self)
        self.log('(the fault is there)')

    def first(self):
        """The roll into which the fault is thrown."""
        if self.compares:
            as_fresh = self.fresh is not None and self.row.prepare is words.nothing
            self.before = self.fresh if as_fresh else self.lab.state()
        before = self.snapshot()
        if self.row.moment is None:
            self.throw()
        self.roll = self.start(self.command())
        if self.row.moment is not None:
            while not self.row.moment.condition(self):
                if not self.roll.running:
                    raise words.Trouble('the moment of the fault never came: ' + self.row.moment.words)
                time.sleep(0.02)
            self.throw()
        self.roll.wait()
        self.result.became = self.roll.outcome
        self.judge()
        if self.roll.outcome == words.REFUSED:
            self.compare(before)

    def judge(self):
        """Whether it ended as it should, and said what it must."""
        row, roll = self.row, self.roll
        expected = (row.outcome,) if isinstance(row.outcome, str) else row.outcome
        if roll.outcome not in expected:
            self.problem('the roll was %s, expected %s (rc %d)' % (roll.outcome, ' or '.join(expected),
                                                                   roll.child.returncode))
        wanted = [*row.cause]
        outcome = roll.outcome if roll.outcome in expected else expected[0]
        if outcome in NEXT:
            wanted += [r'\b%s\]?:' % re.escape(row.node)] if row.node else []
            wanted.append(row.next or NEXT[outcome])
        missing = [pattern for pattern in wanted if not re.search(pattern, roll.message)]
        for pattern in missing:
            self.problem('the message lacks %r' % pattern)
        if wanted:
            self.result.said = 'no' if missing else 'yes'

    def snapshot(self):
        return {node: self.lab.facts(node) for node in self.lab.nodes} if words.REFUSED in self.row.outcome else {}

    def compare(self, before):
        """A refusal touches nothing, seen from outside. Of a node that the fault hits only the releases count."""
        for node, was in before.items():
            if not self.lab.runs(node):
                continue
            now = self.lab.facts(node)
            always, otherwise = self.product.parts
            hit = node in (self.row.node, *self.row.faulted)
            for key in always if hit else always + otherwise:
                if now[key] != was[key]:
                    self.problem('it was refused, but %s of %s has changed' % (key, node))

    def second(self):
        """The fault is gone: the same command again, or the one that the message gave."""
        row = self.row
        if self.before is not None and self.roll.outcome == words.REFUSED and self.as_before():
            self.would_roll()
            return
        given = self.roll.next_command()
        if row.again is not None:
            command = self.command(row.again)
        elif given:
            # The message gives the command without the options of the first one, and says so.
            command = [self.base()[0], *given[1:], *self.filled((*self.product.arguments, *row.arguments))]
        else:
            command = self.command()
        self.roll = self.start(command)
        code = self.roll.wait()
        if code:
            self.problem('the second command failed (rc %d): %s' % (code, self.roll.text[-600:]))
        if row.reach:
            at, steps = self.roll.reached(*row.reach), ' or '.join(row.reach)
            self.log('reached %s after %s s' % (steps, at))
            if at is None:
                self.problem('the second command never reached ' + steps)
        self.result.again = 'yes' if self.has_ended_well() and not code else 'no'

    def has_ended_well(self):
        """Whether all nodes are on the release, and all is as the last command should have left it."""
        ends = self.row.ends or self.row.release
        runs = {node: self.product.version(self.lab.facts(node)) for node in self.lab.nodes}
        left = [] if set(runs.values()) == {ends} else ['expected all nodes on %s, seen %s' % (ends, runs)]
        left += self.product.left(self)
        for text in left:
            self.problem(text)
        return self.is_whole() and not left

    def is_whole(self):
        try:
            words.until('all nodes are ready and the balancer has them', self.lab.whole, WHOLE)
        except words.Trouble as trouble:
            self.problem('%s; seen: %s' % (trouble, self.lab.missing()))
            return False
        return True

    def as_before(self):
        """Whether the lab is, in every respect, as it was before the fault."""
        if not self.is_whole():
            return False
        changed = self.lab.changed(self.before)
        for line in changed[:20]:
            self.log('not as before: ' + line)
        return not changed

    def would_roll(self):
        """After a refusal that has left nothing behind, the roll is the one that every other row sees: only whether
        the same command would now do it for all nodes is asked, of the playbook that judges the same way."""
        code, seen, wanted = self.product.planned(self)
        if code:
            self.problem('the plan after the fault failed (rc %d): %s' % (code, self.roll.text[-600:]))
        elif seen != wanted:
            self.problem('expected that %s would be rolled, the plan has %s' % (wanted, seen))
        self.result.again = 'plan' if not code and seen == wanted else 'no'

    def count(self, load):
        """Whom the failed requests failed at."""
        if not load.stopping and not load.thread.is_alive():
            self.problem('the load ended before it was stopped: nobody knows what would have failed after that')
        if isinstance(load, product.Guests):
            load.count()
            return
        report = load.stop()
        attribute(load.every, logged(self.lab.balancer_log(), self.product.backend))
        others = []
        for failure in load.every:
            mine = failure.server in self.row.faulted or self.excused(failure)
            self.log('failed%s: %s %s' % (' (fault)' if mine else '', availability.clock(failure.at), failure))
            if mine:
                self.result.own += 1
            else:
                others.append(failure)
        unknown = report['failed'] - len(load.every)
        self.result.others, self.result.lost = len(others) + unknown, report['lost']
        self.log(availability.summary(report))
        for text, count in collections.Counter(map(str, others)).most_common(5):
            self.problem('%d requests failed: %s' % (count, text))
        if unknown:
            self.problem('%d requests never ended' % unknown)
        if report['lost'] or not report['read_back']:
            self.problem('%d acknowledged writes are lost' % report['lost'])
        if report['volumes']:
            self.count_volumes(report['volumes'], load.troubles)

    def count_volumes(self, volumes, troubles):
        """Every volume that was created must have become available, and must have been deleted when that was asked;
        the fault may break some of those that it meets."""
        bad = volumes['created'] - volumes['deleted']
        met = sum(self.meets(trouble['began'], trouble['time']) for trouble in troubles)
        self.result.spoiled = min(met, self.row.spoils)
        lost = bad - self.result.spoiled
        self.result.lost += lost
        if lost or not bad and volumes['created'] != volumes['available']:
            self.problem('volumes: ' + ', '.join('%s %d' % (end, volumes[end]) for end in volumes
                                                 if end != 'first_failures'))

    def meets(self, began, ended):
        """Whether the fault, or the recovery from it, met what began and ended then: it may have begun long before."""
        since, until = self.fault
        return bool(since) and since <= ended and began <= (until or time.time()) + self.row.recovery

    def excused(self, failure):
        """Whether the fault explains it; it also cuts what is in flight."""
        return bool(self.row.fails and self.meets(failure.at, failure.end) and re.search(self.row.fails, str(failure)))

    def carry_out(self):
        self.bring_up()
        self.row.prepare(self)
        words.until('the lab is as the row wants it', self.lab.whole, WHOLE)
        self.product.settle(self)
        self.load = load = self.product.watch(self) or Load(**self.product.load(self.lab.balancer))
        load.start()
        try:
            self.first()
        finally:
            if self.fault[0]:
                self.log('MEND')
                self.row.mend(self)
                self.fault[1] = self.fault[1] or time.time()
                self.log('(mended)')
        self.second()
        self.count(load)
        for text in self.row.check(self) or []:
            self.problem(text)

    def perform(self):
        try:
            self.carry_out()
        except (words.Trouble, machinery.LabError, subprocess.TimeoutExpired) as trouble:
            self.problem(str(trouble))
        finally:
            self.end()
        if not self.spare():
            self.fresh = None
        self.result.seconds = time.monotonic() - self.began
        return self.result

    def spare(self):
        """Whether the lab can be the next row's, too: a refusal was green, and all is again as in the new lab."""
        if self.fresh is None or self.result.problems or self.result.again != 'plan':
            return False
        self.product.clean(self)
        changed = self.lab.changed(self.fresh)
        for line in changed[:20]:
            self.log('not as a new lab: ' + line)
        return not changed

    def end(self):
        for roll in self.rolls:
            roll.end()
        if self.load and not self.load.stopping:
            self.load.stopping = True
            if isinstance(self.load, product.Guests):
                self.load.stop()
            self.load.thread.join(30)
        shutil.rmtree(self.sockets, ignore_errors=True)


class RandomRun(Run):
    """A random row: something meets the command, and the same one follows until it ends; that, too, may be killed."""

    compares = False

    def __init__(self, row, log, fresh=None):
        super().__init__(row, log, fresh)
        self.result.planned = 1 + len(row.kills)

    def throw(self):
        super().throw()
        # It is over by itself, and explains nothing that comes much later.
        self.fault[1] = time.time()

    def meet(self, moment, act):
        """One command, and what is done in a moment of it, if there is one; whether that moment came."""
        self.roll, met = self.start(self.command()), False
        limit = self.roll.began + self.product.limit
        while moment and not met and self.roll.running and time.time() < limit:
            time.sleep(0.02)
            met = moment.condition(self) and self.roll.running
        if met:
            self.result.met += 1
            self.log('MET: ' + moment.words)
            act(self)
        self.roll.wait()
        return met

    def first(self):
        met = self.meet(self.row.moment, RandomRun.throw)
        self.result.became = self.roll.outcome + ('' if met else ', not met')
        if words.KILLED not in self.row.outcome:
            self.judge()
        elif self.roll.child.returncode and not met:
            self.problem('it stopped before it was killed: ' + self.roll.text[-600:])

    def second(self):
        # Nobody goes on while a node or a gateway is only coming back.
        words.until('the fault is over', lambda: time.time() >= (self.fault[1] or 0) + self.row.recovery)
        number, kills = 1, list(self.row.kills)
        while self.roll.child.returncode and number < TRIES:
            number += 1
            moment, kill = kills.pop(0) if kills else (None, None)
            killed = self.meet(moment, kill.act if kill else words.nothing)
            if self.roll.child.returncode and not killed:
                self.problem('command %d stopped, though nothing had met it (rc %d): %s' % (
                    number, self.roll.child.returncode, self.roll.text[-600:]))
        code = self.roll.child.returncode
        if code:
            self.problem('expected the same command to come to its end, it did not in %d runs of it' % number)
        behind = words.remains(self.lab.behind)
        for text in behind:
            self.problem('left behind: ' + text)
        self.result.again = 'yes (%d)' % number if self.has_ended_well() and not behind and not code else 'no'


# ---- all of them

def every_row():
    return [row for subject in SUBJECTS for row in subject_rows(subject)]


def subject_rows(subject):
    return importlib.import_module(subject).ROWS


def subject_of(name):
    return next((subject for subject in SUBJECTS if name in [row.name for row in subject_rows(subject)]), 'random')


def grid(cells):
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)


def table(results):
    return grid([Result.COLUMNS, *[result.cells() for result in results]])


def kept_table(rows, states):
    """The last result of each row, and whether it is one of this state of the tree; and how many are green on it."""
    cells, good = [(*Result.COLUMNS, 'result', 'state', 'when')], 0
    for row in rows:
        last, state = matrix.kept(LOGS, row.name), states[row.name]
        if last is None:
            cells.append((*Result(row.name, row.about).cells()[:-1], '-', 'not run', '-', '-'))
            continue
        good += last.holds(state)
        cells.append((*Result(**last.result).cells(), 'RED' if last.result['problems'] else 'green',
                      'this' if last.state == state else 'another', last.at))
    return grid(cells), good


def states_of(rows):
    of = {row.name: subject_of(row.name) for row in rows}
    subjects = {subject: matrix.digest(ROOT, subject) for subject in set(of.values())}
    return {name: subjects[subject] for name, subject in of.items()}


def sums(results):
    """What all random rows together have shown."""
    words_ = ('%d requests failed that no fault explains, %d that one does; %d acknowledged writes lost, and '
              '%d volumes that a fault explains')
    return words_ % (sum(result.others or 0 for result in results), sum(result.own for result in results),
                     sum(result.lost or 0 for result in results), sum(result.spoiled for result in results))


def arguments(argv, rows):
    parser = argparse.ArgumentParser(prog='tools/faults', description=__doc__)
    parser.add_argument('names', metavar='NAME', nargs='*',
                        help='only these faults, or those of a subject, such as cinder (all)')
    parser.add_argument('--random', metavar='N', type=int,
                        help='N random kills and small faults in random moments; NAME is a product then, %s (both)'
                        % ' or '.join(chaos.COMMANDS))
    parser.add_argument('--seed', metavar='S', type=int,
                        help='what they are drawn from, so that the same ones come again (another one each time)')
    parser.add_argument('--list', action='store_true', help='list the faults')
    parser.add_argument('--ci', action='store_true', help='only the fixed set that every run of tools/test has')
    parser.add_argument('--labs', metavar='N', type=int, default=2, choices=range(1, 4),
                        help='how many labs work side by side, 1 to 3 (2)')
    parser.add_argument('--continue', dest='goes_on', action='store_true',
                        help='pass over those that are green on this state of the tree already')
    parser.add_argument('--table', action='store_true', help='run nothing: show the last result of each')
    parser.add_argument('--keep', action='store_true', help='leave the labs of the last ones up, to look at them')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.random is not None:
        if args.random < 1 or (args.seed or 0) < 0 or args.ci or not set(args.names) <= set(chaos.COMMANDS):
            parser.error('--random N takes a number above 0, --seed S, and of names %s' % ', '.join(chaos.COMMANDS))
        args.seed = random.SystemRandom().randrange(10 ** 6) if args.seed is None else args.seed
        args.rows = chaos.rows(args.random, args.seed, args.names)
        return args
    if args.seed is not None:
        parser.error('--seed is of --random N')
    rows = [*rows, *filter(None, map(chaos.find, dict.fromkeys(args.names)))]
    known = {row.name: [row.name] for row in rows}
    known.update((subject, [row.name for row in subject_rows(subject)]) for subject in SUBJECTS)
    for name in args.names:
        if name not in known:
            parser.error('there is no fault %s: see tools/faults --list' % name)
    chosen = {row for name in args.names or known for row in known[name]}
    args.rows = [row for row in rows if row.name in chosen and (row.ci or not args.ci)]
    if not args.rows:
        parser.error('none of these is in the fixed set: see tools/faults --list --ci')
    return args


def work(rows, keep):
    """Carries out the rows that standard input names, and answers each with a line of JSON."""
    rows = {row.name: row for row in rows}
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers, sys.stdout = sys.stdout, sys.stderr

    def listen():
        # Without a buffer: one that a thread reads from cannot be closed at the end.
        text = b''
        while more := os.read(0, 4096):
            *lines, text = (text + more).split(b'\n')
            for line in lines:
                orders.put(line.decode())
                if line == b'end':
                    return
        # Whoever gave the orders has gone without a word.
        os.kill(os.getpid(), signal.SIGINT)

    interrupted = False
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    # Where it is ignored, as by nohup, the commands would ignore it as well.
    signal.signal(signal.SIGHUP, lambda *dummy: None)
    try:
        threading.Thread(target=listen, daemon=True).start()
        options = fresh = None
        while (name := orders.get()) != 'end':
            row, state = rows.get(name) or chaos.find(name), matrix.digest(ROOT, subject_of(name))
            kind = RandomRun if isinstance(row, chaos.RandomRow) else Run
            run = kind(row, LOGS / (name + '.log'), fresh if (row.product, row.options) == options else None)
            result = dataclasses.asdict(run.perform())
            options, fresh = (row.product, row.options), run.fresh
            # A tree that was changed meanwhile has no state that the result could hold for.
            matrix.keep(LOGS, state if state == matrix.digest(ROOT, subject_of(name)) else 'changed meanwhile', result)
            print(json.dumps(result), file=answers, flush=True)
    except Interrupted:
        interrupted = True
    finally:
        # A second Ctrl-C must not leave the lab behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not keep:
            subprocess.run([str(ROOT / 'tools' / 'lab'), 'down'], check=False)
    return 130 if interrupted else 0


def show(result):
    print('%-6s %-40s %4.0f s' % ('RED' if result.problems else 'green', result.name, result.seconds), flush=True)
    if chaos.NAME.fullmatch(result.name):
        print('       ' + result.about, flush=True)
    for text in result.problems:
        print('       ' + text, flush=True)


def command_of_a_worker(keep):
    return [sys.executable, pathlib.Path(__file__).resolve(), '--worker', *(['--keep'] if keep else [])]


def main(argv=None):
    rows = every_row()
    args = arguments(argv, rows)
    if args.list:
        width = max(len(row.name) for row in args.rows)
        for row in args.rows:
            print('%-*s  %s' % (width, row.name, row.about))
        return 0
    if args.worker:
        return work(rows, args.keep)
    same = 'tools/faults'
    if args.random:
        same = ' '.join([same, *args.names, '--random %d --seed %d' % (args.random, args.seed)])
        print('faults: the same rows again: %s; one of them alone: tools/faults %s' % (same, args.rows[0].name),
              flush=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    states = states_of(args.rows)
    if args.table:
        text, good = kept_table(args.rows, states)
        print('%s\n\nfaults: %d of %d rows green on this state of the tree' % (text, good, len(args.rows)))
        return 0 if good == len(args.rows) else 1
    results = {}
    if args.goes_on:
        for row in args.rows:
            last = matrix.kept(LOGS, row.name)
            if last and last.holds(states[row.name]):
                results[row.name] = Result(**last.result)
        print('faults: %d of %d rows are green on this state of the tree already' % (len(results), len(args.rows)),
              flush=True)
    todo = [row.name for row in args.rows if row.name not in results]
    if todo:
        subprocess.run([str(ROOT / 'tools' / 'setup')], check=True)
    about = {row.name: row.about for row in args.rows}

    def done(result):
        results[result['name']] = Result(**{'about': about[result['name']], **result})
        show(results[result['name']])

    interrupted = False
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    labs = [machinery.NAME if number == 1 else '%s-%d' % (machinery.NAME, number)
            for number in range(1, min(args.labs, len(todo)) + 1)]
    began = time.monotonic()
    every = matrix.Matrix(matrix.longest_first(todo, LOGS), [], done)
    try:
        # One after the other, for an interrupt must find those that there are.
        for lab in labs:
            every.workers.append(matrix.Worker(command_of_a_worker(args.keep), lab))
        every.run()
    except Interrupted:
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print('faults: interrupted; %s --continue goes on' % same, flush=True)
        for lab in every.interrupt():
            subprocess.run([str(ROOT / 'tools' / 'lab'), 'down'], check=False, env=dict(os.environ, LAB_NAME=lab))
    red = [result.name for result in results.values() if result.problems]
    print('\n%s\n' % table([results[row.name] for row in args.rows if row.name in results]))
    happened, few = '', False
    if args.random:
        print('random: ' + sums(results.values()))
        met = sum(result.met for result in results.values())
        planned = sum(result.planned for result in results.values())
        happened, few = '; %d of %d faults happened' % (met, planned), met < HAPPEN * planned
        if few:
            print('random: expected that at least %.0f %% of the faults happen: look in the logs which ones are MET, '
                  'and whether the events still have the steps that the others wait for' % (100 * HAPPEN))
    print('faults: %d of %d rows green%s%s, in %.0f min; logs: .cache/faults' % (
        len(results) - len(red), len(args.rows), ', not: ' + ', '.join(red) if red else '', happened,
        (time.monotonic() - began) / 60))
    return 130 if interrupted else 1 if few or len(results) - len(red) < len(args.rows) else 0


if __name__ == '__main__':
    sys.exit(main())
