# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The command that changes the configuration of a node, or the playbook of the operator's that does: how it is run, how
# it has ended, and which daemons it has left to restart.

import dataclasses
import os
import re
import shlex
import sys

# Hosts that failed, without what a task says of itself: that is where secrets are.
FAILED = re.compile(r"(fatal|failed): \[([^\]\s]+)[^\]]*\]")
RECAP = re.compile(r"\S+ +: ok=\d+.*")
MOST = 5
# How much of a log is read, from its end.
END = 100000
# Tells whether there is such a command, and a directory for such a log.
PROBE = 'command -v "$1" && test -w "$(dirname "$2")"'


@dataclasses.dataclass
class Job:
    """What is run for one node.

    :param program: what it begins with.
    :param line: the command line, for C(sh).
    :param words: the same for messages.
    :param problem: why it cannot be run.
    """

    program: str
    line: str
    words: str
    problem: str = ""


def job_of(node, command, playbook="", inventory=(), limit="", arguments=(), where="controller"):
    """The playbook of the operator, if there is one, or the command."""
    if playbook:
        return playbook_job(node, playbook, inventory, limit or node, arguments, where)
    # A command may begin with what it sets in its environment.
    words = [word for word in command.split() if not re.match("[A-Za-z_]+=", word)]
    return Job("".join(words[:1]), command, command)


def playbook_job(node, playbook, inventory, limit, arguments, where):
    path = os.path.abspath(os.path.expanduser(playbook))
    sources = [word for one in inventory for word in ("-i", _source(one))]
    words = [_program(), *sources, path, "--limit", limit, *arguments]
    problem = ""
    if where != "controller":
        problem = f"reconfigure_playbook is run on this machine, and reconfigure_on is {where}: leave one of them out"
    elif not os.path.isfile(path):
        problem = f"expected a playbook at {path} on this machine, there is none: correct reconfigure_playbook"
    # From where it lies: that is where its ansible.cfg, its group_vars and its roles are found.
    line = f"cd {shlex.quote(os.path.dirname(path))} && exec {shlex.join(words)}"
    # Without the arguments: there may be secrets in them.
    return Job(words[0], line, f"ansible-playbook {path} --limit {limit}", problem)


def _program():
    """The ansible-playbook of the Ansible that runs, which need not be on the PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return beside if os.access(beside, os.X_OK) else "ansible-playbook"


def _source(inventory):
    """A source of an inventory, as it is to be named from another directory."""
    path = os.path.expanduser(inventory)
    return os.path.abspath(path) if os.path.exists(path) else inventory


def logged(line, log, timeout):
    """The script, for bash, that runs a command line for so long, and has what it says in a log.

    An installer prints its variables, secrets among them, so only its user can read that. It runs an Ansible of its
    own, which must not get the settings of this one.
    """
    log = shlex.quote(log)
    return (f'install -m 600 /dev/null {log} && unset "${{!ANSIBLE_@}}" && '
            f"exec timeout --kill-after=30 {timeout} sh -c {shlex.quote(line)} >{log} 2>&1 </dev/null")


def absence(job, log, where, found):
    """What is missing, in words; C(found) is what the probe has printed, the path of the program if it is there."""
    missing = ("the command is there, the directory is not" if found else
               "the command is not there for this user")
    return (f"expected {job.program or 'a command'} on {where}, and a directory for {log} that can be written to; "
            f"{missing}: run this as root where getsf was run, or pass another reconfigure_command or reconfigure_log")


def end_of(log):
    """The end of a log on this machine."""
    try:
        with open(log, "rb") as handle:
            handle.seek(max(0, os.path.getsize(log) - END))
            return handle.read().decode(errors="replace")
    except OSError:
        return ""


def said(output):
    """Where a run of ansible-playbook has ended, from its output: only what has no values in it."""
    task, failed, recap, begun, errors = "", [], [], False, []
    for line in output.splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if line.startswith(("TASK [", "RUNNING HANDLER [", "PLAY [")):
            begun = True
            if not line.startswith("PLAY"):
                task = line.rstrip("* ")
        elif found := FAILED.match(line):
            failed.append(f"{task}: {found.group(1)}: [{found.group(2)}]" if task else found.group(0))
        elif RECAP.fullmatch(line):
            recap.append(" ".join(line.split()))
        elif not begun and line.startswith(("ERROR!", "[ERROR]")):
            # Before the first play: a playbook or an inventory that is wrong, no task has seen a value yet.
            errors.append(line)
    lines = errors[:MOST] + failed[-MOST:] + recap[-MOST:]
    if task and not failed:
        lines.insert(0, f"the last was {task}")
    return "; ".join(lines)


def failure(job, answer, timeout, log, where, output):
    """Why a command that has ended has failed; C(output) is what may be told of what it said."""
    code = answer.get("rc")
    if code == 0:
        return ""
    if code is None:
        ended = f"was cut off: {answer.get('msg', '')}"
    elif code in (124, 137):
        ended = f"did not end within {timeout:g} s"
    else:
        ended = f"ended with exit code {code}"
    told = said(output)
    ended += f" ({told})" if told else ""
    return (f"expected {job.words} to end with 0; it {ended}. What it said is in {log} on {where}; there may be "
            "secrets in it")


def release_problem(job, node, releases):
    """What is said of a command after which the node has another release."""
    before, after = node["release"], releases.get("active") or {}
    if all(after.get(key, "") == before[key] for key in ("version", "name", "contents")):
        return ""
    version = after.get("version") or releases.get("problem") or "none"
    has = "another build of it" if version == before["version"] else version
    return (f"expected {job.words} to keep the release {before['version']}; {node['venv']} has {has} now. Correct what "
            "the command installs; an upgrade is shakenfist.rolling.upgrade")


def left_of(names, before, after):
    """The units that are in the run that they were in before, so have not read what the command has written."""
    old = {unit["invocation"] for unit in before.values()}
    fresh = {name for name, unit in after.items() if unit["active"] and unit["invocation"] not in old}
    return [name for name in dict.fromkeys(names) if name not in fresh]
