# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import re

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import hide_secrets
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import read_script

ARGUMENTS = dict(
    release=dict(type="path", required=True),
    command=dict(type="list", elements="str", required=True),
    config=dict(type="path", required=True),
    verified=dict(type="str", default="MariaDB schema verified."),
)

TABLE_LINES = (
    re.compile(r"^Table '(?P<table>[^']+)' is up to date \(version (?P<before>\d+)\)"),
    re.compile(r"^Created table '(?P<table>[^']+)' at version (?P<after>\d+)"),
    re.compile(r"^Migrated table '(?P<table>[^']+)' from version (?P<before>\d+) to (?P<after>\d+)"),
)
WIDENED = re.compile(r"^Widened ENUM column\(s\): (?P<columns>.+)")


def parse(output):
    """What the command did: the tables with their versions, and the ENUM columns that it widened."""
    tables, widened = [], []
    for line in output.splitlines():
        for pattern in TABLE_LINES:
            match = pattern.match(line.strip())
            if match:
                versions = match.groupdict()
                before = int(versions["before"]) if versions.get("before") else None
                after = int(versions["after"]) if versions.get("after") else before
                tables.append(dict(table=versions["table"], before=before, after=after))
        match = WIDENED.match(line.strip())
        if match:
            widened += [column.strip() for column in match.group("columns").rstrip(".").split(",")]
    return tables, widened


def difference(tables, widened):
    """The change for diff mode."""
    def lines(key):
        return "".join(f"{entry['table']}: version {entry[key]}\n" for entry in tables if entry[key] is not None)
    return dict(before=lines("before"), after=lines("after") + "".join(f"{column}: widened\n" for column in widened))


def migrate(run, release, command, config, verified):
    script, environment = read_script(release, command, config)
    rc, out, err = run(script, environ_update=environment, cwd="/")
    output = hide_secrets((out + err).strip(), environment)
    if rc != 0 or verified not in [line.strip() for line in output.splitlines()]:
        how = f"failed (rc {rc})" if rc else f"ended without saying {verified!r}"
        raise RollingError(f"{' '.join(command)} of {release} {how}:\n{output}", rc=rc, output=output)
    tables, widened = parse(output)
    changed = bool(widened) or any(entry["before"] != entry["after"] for entry in tables)
    return dict(changed=changed, tables=tables, widened=widened, output=output, diff=difference(tables, widened))


def run(module):
    if module.check_mode:
        words = " ".join(module.params["command"])
        return dict(skipped=True, msg=f"{words} has no dry run; it is not run in check mode")
    return migrate(module.run_command, **module.params)
