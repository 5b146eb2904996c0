# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# A unit that is held is stopped, and nothing starts it: no person, no dependency, no boot. What holds it is a drop-in
# with a condition on itself, so that it is observed, outlives a reboot and a controller that was killed, and is gone as
# soon as the file is.

import os
import re

# Not those of /run, which a reboot empties: a node that comes back while all is down must not start anything.
SYSTEM = "/etc/systemd/system"
NAME = "50-shakenfist-rolling-held.conf"
# What becomes of that when the unit is released, until it runs: systemd does not read it, and it still tells what ran.
RELEASED = ".released"
TEXT = """# Written by shakenfist.rolling, which has stopped this unit: the same command goes on, and starts it again.
# Do not remove this file while a migration may be half done: see docs/runbook.md.
# before: {before}
# release: {release}
# migrates: {migrates}
[Unit]
{kind}PathExists=!{path}
"""


def hold_of(name):
    """The file that holds a unit."""
    return os.path.join(SYSTEM, f"{name}.service.d", NAME)


def text_of(name, ran, quiet=False, release="", migrates=()):
    """What that file says.

    :arg ran: whether the unit ran when it was stopped.
    :arg quiet: whether a start is skipped in silence: a package whose script wants one is not to fail for it.
    :arg release: which release it had then; empty if nobody knows.
    :arg migrates: the nodes on which the database is migrated meanwhile.
    """
    return TEXT.format(before="active" if ran else "inactive", release=release, migrates=" ".join(migrates),
                       path=hold_of(name), kind="Condition" if quiet else "Assert")


def held(name):
    """What a unit was before it was held, V(active) or V(inactive); empty if it is not held."""
    return _before(hold_of(name))


def before(name):
    """The same, also of a unit that was released and that was not seen to run since."""
    return held(name) or _before(hold_of(name) + RELEASED)


def recorded(name):
    """What else is recorded of a unit that is held: C(came), the release that it had then, empty if that is not known,
    and C(migrates), the nodes on which the database is migrated meanwhile."""
    found = dict(re.findall("^# (release|migrates): (.*)$", _text(hold_of(name)) or "", re.MULTILINE))
    return dict(came=found.get("release", ""), migrates=found.get("migrates", "").split())


def _before(path):
    text = _text(path)
    if text is None:
        return ""
    found = re.search("^# before: (active|inactive)$", text, re.MULTILINE)
    # Cut off by a loss of power, it holds all the same.
    return found.group(1) if found else "inactive"


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
