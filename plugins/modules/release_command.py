#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: release_command
short_description: Run a command of a release, and know what its exit code means
version_added: 0.2.0
description:
  - Runs a script of a release directory, as the user that the services run as.
  - Many products ship their migrations and checks as commands whose exit code has a meaning of its own. C(cinder-manage
    db online_data_migrations), for example, ends with 1 as long as it has moved rows, and is to be run again then.
  - A command that does not only look is run alone. That of a run that was killed goes on, and is waited for, so that
    two never migrate one database at once.
  - A script that ends with a traceback of Python has failed, even where its exit code, 1, has a meaning of its own.
options:
  release:
    description: The release directory whose command to run. If it is empty, the command is one of the node.
    type: path
    default: ""
  command:
    description: The name of a script in the C(bin) of O(release), and its arguments. With none of them nothing is run,
      and only the command of a run that was killed is waited for.
    type: list
    elements: str
    required: true
  user:
    description: Who runs it, a user of the node. By default it is the one that the module runs as.
    type: str
  done:
    description: The exit codes with which all is done.
    type: list
    elements: int
    default: [0]
  again:
    description: The exit codes after which the command is to be run once more.
    type: list
    elements: int
    default: []
  warn:
    description: The exit codes with which all is done, but the command has something to say.
    type: list
    elements: int
    default: []
  transient:
    description:
      - The exit codes of which the cause may pass by itself, such as of a check that dislikes what is just in progress.
        The command is run again, until its exit code is another one, or for O(timeout).
    type: list
    elements: int
    default: []
  timeout:
    description: For how many seconds O(transient) may last. With V(0) it is not run again.
    type: float
    default: 0
  limit:
    description: How often to run it at most. A command that still asks for another run then has failed.
    type: int
    default: 1000
  looks:
    description: Whether the command only looks. Then it changes nothing, and is run in check mode, too.
    type: bool
    default: false
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    support: partial
    details: A command that does not only look (O(looks)) has no dry run. In check mode it is not run, and none is if
      O(release) is not there, which in check mode nobody has staged.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: As the command is.
"""

EXAMPLES = r"""
- name: Finish the online data migrations of Cinder
  shakenfist.rolling.release_command:
    release: /srv/cinder/releases/24.5.0-0a1b2c3d
    command: [cinder-manage, db, online_data_migrations, --max_count, "50"]
    user: cinder
    again: [1]
  run_once: true

- name: Ask Cinder whether it is ready for the new release
  shakenfist.rolling.release_command:
    release: /srv/cinder/releases/24.5.0-0a1b2c3d
    command: [cinder-status, upgrade, check]
    user: cinder
    warn: [1]
    looks: true
"""

RETURN = r"""
rc: {type: int, returned: when it was run, description: The exit code of the last run.}
runs: {type: int, returned: when it was run, description: How often the command was run.}
output: {type: str, returned: when it was run, description: What its last run printed.}
warned: {type: bool, returned: "success, when it was run", description: Whether its exit code is one of O(warn).}
"""

import functools
import os
import pwd
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    conclude,
    flocked,
    last_lines,
    turn_of,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import script_words

INTERVAL = 1.0          # seconds between two runs of a command that has failed with what may pass
TURN_WITHIN = 1800      # seconds in which a command that a run before this one has left must end
TRACEBACK = "Traceback (most recent call last)"


def words_of(params):
    """What is run."""
    # What packages bring is where the system looks for commands.
    words = script_words(params["release"], params["command"]) if params["release"] else params["command"]
    if not params["user"]:
        return words
    try:
        # The exit code of runuser would pass for one of the script.
        pwd.getpwnam(params["user"])
    except KeyError as exc:
        raise RollingError(f"there is no user {params['user']} on this node") from exc
    return ["runuser", "-u", params["user"], "--", *words]


def run_until_done(run, params):
    """Run the command until its exit code is not one to run it again."""
    words = words_of(params)
    shown, count = " of ".join(filter(None, [' '.join(params["command"]), params["release"]])), 0
    deadline = time.monotonic() + params["timeout"]
    while True:
        rc, out, err = run(words, cwd="/")
        count += 1
        result = dict(rc=rc, runs=count, output="\n".join(filter(None, [out.strip(), err.strip()])))
        crashed = rc == 1 and TRACEBACK in err
        if rc in params["transient"] and not crashed and time.monotonic() + INTERVAL < deadline:
            time.sleep(INTERVAL)
            continue
        if rc not in params["again"] or crashed:
            break
        if count >= params["limit"]:
            raise RollingError(f"{shown} still asks for another run after {count} of them (rc {rc}). Its last words:\n"
                               f"{last_lines(result['output']) or 'nothing'}", **result)
    if rc not in params["done"] + params["warn"] or crashed:
        # Of both, for pages of warnings on the one would hide what the other says.
        said = "\n".join(filter(None, map(last_lines, (out, err)))) or "it said nothing"
        raise RollingError(f"{shown} failed (rc {rc}){f' at its run {count}' if count > 1 else ''}:\n{said}", **result)
    # A command that was to be run again has moved something; of another one nobody knows.
    return dict(result, changed=not params["looks"] and (not params["again"] or count > 1), warned=rc in params["warn"])


def run_alone(run, params):
    """The same, when no other command of the product is at work on this node."""
    if params["looks"]:
        return run_until_done(run, params)
    place = os.path.join(os.path.dirname(params["release"]) or "/", "commands")
    with flocked(place, TURN_WITHIN) as handle:
        if handle is None:
            raise RollingError(f"a command of another run has been at work on this node for {TURN_WITHIN} s: see which "
                               f"one it is with fuser -v {turn_of(place)}, and wait until it has ended")
        # With the lock's handle: should this process be killed, its command still holds the lock while it goes on.
        if not params["command"]:
            return dict(changed=False)
        return run_until_done(functools.partial(run, pass_fds=[handle]), params)


def main():
    codes = dict(type="list", elements="int", default=[])
    module = AnsibleModule(
        argument_spec=dict(
            release=dict(type="path", default=""),
            command=dict(type="list", elements="str", required=True),
            user=dict(type="str"),
            done=dict(type="list", elements="int", default=[0]),
            again=codes,
            warn=codes,
            transient=codes,
            timeout=dict(type="float", default=0),
            limit=dict(type="int", default=1000),
            looks=dict(type="bool", default=False),
        ),
        supports_check_mode=True,
    )
    params = module.params
    # In check mode nobody has staged it before.
    there = not params["release"] or os.path.isdir(params["release"])
    if module.check_mode and not (params["looks"] and there):
        why = f"there is no {params['release']} yet" if params["looks"] else "it has no dry run"
        module.exit_json(changed=False, skipped=True,
                         msg=f"{' '.join(params['command'])} is not run in check mode: {why}")
    conclude(module, lambda: run_alone(module.run_command, params))


if __name__ == "__main__":
    main()
