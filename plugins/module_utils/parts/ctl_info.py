# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import hide_secrets
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import read_script

ARGUMENTS = dict(
    release=dict(type="path", required=True),
    command=dict(type="list", elements="str", default=["sf-ctl", "verify-config"]),
    config=dict(type="path", required=True),
)

WITHIN = 60
# What timeout(1) ends with when time ran out: by itself, or by the signal that cannot be ignored.
LATE = (124, 137)


def ask(run, release, command, config):
    if not command:
        raise RollingError("command is empty: name a script of the release")
    words, environment = read_script(release, command, config)
    rc, out, err = run(["timeout", "--kill-after=5", str(WITHIN), *words], environ_update=environment, cwd="/")
    output = hide_secrets((out + err).strip(), environment)
    if rc != 0:
        how = f"did not end within {WITHIN} s" if rc in LATE else f"failed (rc {rc})"
        raise RollingError(f"{' '.join(command)} of {release} {how}, so no daemon of that release would start here. It "
                           f"said:\n{last_lines(output) or 'nothing'}", rc=rc, output=output)
    return dict(output=output)


def run(module):
    return ask(module.run_command, **module.params)
