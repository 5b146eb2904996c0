# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node of an OpenStack product is, as JSON; runs on the node with the system's Python.

Arguments: the directory with the releases and the links to them, and the units."""

import collections
import glob
import json
import os
import re
import subprocess
import sys

HOME, UNITS = sys.argv[1], sys.argv[2:]
SHOWN = "Id,MainPID,ActiveState,SubState,InvocationID,NRestarts"


def runs(pid):
    """The release that a process has been started from: the interpreter of its script is that release's own."""
    try:
        with open("/proc/%s/cmdline" % pid) as handle:
            found = re.match(HOME + r"/releases/[^/]+(?=/)", handle.read())
    except OSError:
        return None
    return found.group() if found else None


def packages(release):
    found = {}
    for path in glob.glob(release + "/lib/python3*/site-packages/*.dist-info"):
        name, dummy, version = os.path.basename(path)[:-len(".dist-info")].rpartition("-")
        found[name.lower().replace("_", "-").replace(".", "-")] = version
    return found


def units():
    shown = subprocess.run(["systemctl", "show", "--property=" + SHOWN, *UNITS], stdout=subprocess.PIPE, check=True,
                           universal_newlines=True).stdout
    for block in shown.strip().split("\n\n"):
        seen = dict(line.split("=", 1) for line in block.splitlines())
        name = seen["Id"][:-len(".service")]
        link = "%s/current/%s" % (HOME, name)
        yield name, dict(link=os.path.realpath(link) if os.path.islink(link) else None, runs=runs(seen["MainPID"]),
                         state=seen["ActiveState"], sub=seen["SubState"], invocation=seen["InvocationID"],
                         restarts=int(seen["NRestarts"]))


print(json.dumps(dict(
    units=dict(units()),
    # Of every process, also those that a unit has started and left behind.
    processes=dict(collections.Counter(filter(None, map(runs, filter(str.isdigit, os.listdir("/proc")))))),
    releases={path: packages(path) for path in sorted(glob.glob(HOME + "/releases/*"))})))
