# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Looks for canaries, secrets whose names are known, in what a machine has. In a machine of the lab it is run from its
# text, with nothing but Python: `watch FILE` keeps the command lines of all processes in a file until it is killed,
# `search FILE` prints as JSON where the canaries are that standard input names.

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

ROOTS = ('/etc', '/home', '/opt', '/root', '/run', '/srv', '/tmp', '/usr/local', '/var')
PAUSE = 0.05            # seconds between two looks at the processes
MOST = 256 * 2 ** 20    # bytes of a file
SHOWN = 200             # signs of a line


def named(data, canaries):
    """The names of the canaries that are in some bytes."""
    return sorted(name for name, value in canaries.items() if value.encode() in data)


def is_open(path):
    """Whether others than the owner and the group of a file may read it, from the root on."""
    parts = os.path.realpath(path).split('/')
    above = ('/'.join(parts[:count]) or '/' for count in range(1, len(parts)))
    return bool(os.stat(path).st_mode & 0o004) and all(os.stat(folder).st_mode & 0o001 for folder in above)


def files(roots, canaries, passed_over=()):
    """By path, each file that has one: the names of the canaries, and whether everybody may read it."""
    found = {}
    for root in roots:
        for folder, dummy, names in os.walk(root):
            for path in (os.path.join(folder, name) for name in names):
                try:
                    if path in passed_over or not os.path.isfile(path) or os.path.islink(path) or (
                            os.path.getsize(path) > MOST):
                        continue
                    with open(path, 'rb') as stream:
                        names_there = named(stream.read(), canaries)
                    if names_there:
                        found[path] = dict(canaries=names_there, open=is_open(path))
                except OSError:
                    continue        # it has gone meanwhile
    return found


def lines(text, canaries):
    """Each line that has one, once, with the names of the canaries and without what they are."""
    found = {}
    for line in text.splitlines():
        there = named(line.encode(), canaries)
        for name in there:
            line = line.replace(canaries[name], '<%s>' % name)
        if there:
            # Not its end, where a time or a number would make it another one.
            found[line[:SHOWN]] = there
    return found


def command_line(pid):
    """The arguments of a process; empty where it has gone."""
    try:
        with open('/proc/%s/cmdline' % pid, encoding='utf-8', errors='replace') as stream:
            return stream.read().replace('\0', ' ').replace('\n', ' ').strip()
    except OSError:
        return ''


def below(pid):
    """A process and all that it has started."""
    found = [pid]
    try:
        for thread in os.listdir('/proc/%s/task' % pid):
            with open('/proc/%s/task/%s/children' % (pid, thread), encoding='ascii') as stream:
                for child in stream.read().split():
                    found += below(child)
    except OSError:
        pass
    return found


def watch(path):
    seen = set()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='utf-8') as stream:
        while True:
            for pid in filter(str.isdigit, os.listdir('/proc')):
                words = command_line(pid)
                if words and words not in seen:
                    seen.add(words)
                    print(words, file=stream, flush=True)
            time.sleep(PAUSE)


def search(path):
    canaries = json.load(sys.stdin)
    journal = subprocess.run(['journalctl', '--quiet', '--no-pager', '--output=cat'], capture_output=True, check=True)
    commands = ''
    if os.path.exists(path):
        with open(path, encoding='utf-8') as stream:
            commands = stream.read()
    print(json.dumps(dict(files=files(ROOTS, canaries, (path,)), processes=lines(commands, canaries),
                          journal=lines(journal.stdout.decode(errors='replace'), canaries))))


if __name__ == '__main__':
    dict(watch=watch, search=search)[sys.argv[1]](sys.argv[2])
