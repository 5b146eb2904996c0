# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import csv
import hashlib
import io
import json
import os
import re
import zipfile
import zlib

# What a release directory held when it got its name. Kept in it, for its name has the digest of a wheel that is gone.
MARKER = ".rolling-release.json"
# The name of a release directory: a version, a digest, and a number where both were taken.
NAME = re.compile(r"(?P<version>.+)-[0-9a-f]{8}(\.[0-9]+)?$")


def contents(record):
    """A digest of what a distribution has installed, by its RECORD, whoever has installed it; empty if not known.

    Only what comes from the wheel counts: pip and uv add scripts, byte code and notes of their own, each in its own
    way, so that the same wheel does not leave the same RECORD.
    """
    if not record:
        return ""
    try:
        with open(record, encoding="utf-8", newline="") as handle:
            return _digest(handle)
    except (OSError, ValueError, csv.Error):
        return ""


def contents_of_wheel(path):
    """What C(contents) returns where the wheel C(path) is installed; empty if it is not known."""
    try:
        with zipfile.ZipFile(path) as wheel:
            record = next(name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name))
            return _digest(io.StringIO(wheel.read(record).decode("utf-8"), newline=""))
    except (OSError, ValueError, StopIteration, RuntimeError, csv.Error, zipfile.BadZipFile, zlib.error):
        return ""


def _digest(record):
    """The digest of those rows of a RECORD that are the same wherever the wheel is installed."""
    # What a wheel has in its .data goes to another place: modules beside the others, the rest out of their directory.
    rows = [[re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", row[0]), row[1]] for row in csv.reader(record)
            if len(row) >= 2 and row[1]]
    kept = sorted(row for row in rows if not row[0].startswith(("..", "/")) and not row[0].endswith(".pyc")
                  and not re.match(r"[^/]+\.data/", row[0])
                  and (".dist-info/" not in row[0] or row[0].endswith(".dist-info/METADATA")))
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest() if kept else ""


def mark(root, found, name):
    """Write down what the virtualenv C(root) holds, and the name that is right for it.

    Before it gets that name: until then it is not what its name says, and killed in between it must not pass for it.

    :arg found: what C(_release.inspect) returned for it.
    :arg name: the name that its directory is about to get, or has.
    """
    path = os.path.join(root, MARKER)
    record = found["record"] and os.path.relpath(os.path.realpath(found["record"]), os.path.realpath(root))
    text = json.dumps(dict(name=name, version=found["version"], record=record, contents=contents(found["record"])))
    with open(path + ".new", "w", encoding="utf-8") as handle:
        handle.write(text + "\n")
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)


def marked(root):
    """What C(mark) has written, empty if nothing that can be read, or anything else than that."""
    try:
        with open(os.path.join(root, MARKER), encoding="utf-8") as handle:
            found = json.load(handle)
    except (OSError, ValueError, RecursionError):
        return {}
    # Earlier ones have no name.
    kinds = dict(name=(str, type(None)), version=(str,), record=(str, type(None)), contents=(str,))
    fits = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in kinds.items())
    return found if fits else {}


def noted_record(root):
    """The RECORD of the distribution, as C(mark) has noted it; asks no Python. Empty where it is not known."""
    noted = marked(root).get("record")
    path = os.path.join(root, noted) if noted else ""
    return path if os.path.isfile(path) else ""


def is_under_another_name(root, noted):
    return (noted.get("name") or os.path.basename(root)) != os.path.basename(root)


def as_marked(root):
    """Whether a release directory is certainly what its name says. Asks no Python, so for where that takes too long."""
    noted, named = marked(root), NAME.match(os.path.basename(root))
    return bool(named and noted.get("contents") and named.group("version") == noted["version"]
                and not is_under_another_name(root, noted)
                and contents(os.path.join(root, noted["record"] or "")) == noted["contents"])


def rewritten(root, found):
    """Whether a release directory holds another release than its name says, because another installer wrote into it.

    One that was made before there was a marker tells that only by its version. A name of another form tells nothing.
    """
    named = NAME.match(os.path.basename(root))
    if not named:
        return False
    if named.group("version") != found["version"]:
        return True
    noted = marked(root)
    if is_under_another_name(root, noted):
        return True
    before, now = noted.get("contents"), contents(found["record"])
    return bool(before and now) and before != now
