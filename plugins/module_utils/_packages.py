# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What apt and dpkg say of a node, and how they are run for an upgrade.

import errno
import fcntl
import fnmatch
import glob
import json
import os
import re
import struct

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, last_lines, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd

# Of a machine, so that a test has one of its own.
ROOT = ""
# What is fetched, and the restore point.
HOME = "/var/lib/shakenfist-rolling/apt"
# The restore point there, until the upgrade is complete.
BEFORE = "before.json"
POLICY = "/usr/sbin/policy-rc.d"
# An operator's own policy, as long as ours is in its place.
KEPT = f"{POLICY}.rolling-kept"
# By this a policy of ours is known, and what runs under it. Who else installs packages meanwhile does not mind it.
MARK = "SHAKENFIST_ROLLING_APT"
SCRIPT = f"""#!/bin/sh
# Made by shakenfist.rolling, which removes it: what its upgrade installs starts and stops no service meanwhile.
[ -z "${MARK}" ] || exit 101
[ ! -x {KEPT} ] || exec {KEPT} "$@"
exit 104
"""
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
JOURNAL = "/var/lib/dpkg/updates"
SCRIPTS = "/var/lib/dpkg/info"
REBOOT = "/run/reboot-required"
# dpkg's words for a package that it is done with, or that never was there.
GONE = ("not-installed", "config-files")
WHOLE = ("installed", *GONE)
OFFERED = (".dpkg-dist", ".ucf-dist")
WORDS = {
    "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none", "APT_LISTBUGS_FRONTEND": "none", "UCF_FORCE_CONFFOLD": "1",
    # It would restart services behind the back of any policy.
    "NEEDRESTART_SUSPEND": "y", MARK: "1",
}
ONE_LINE = re.compile(r"(\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(?!cdrom:)(\S+)\s+)(\S+)(.*)", re.DOTALL)
FIELD = re.compile(r"([A-Za-z][A-Za-z-]*)[ \t]*:(.*)", re.DOTALL)
INST = re.compile(r"Inst (\S+)(?: \[([^\]]*)\])? \((\S+)")
REMV = re.compile(r"Remv (\S+)(?: \[([^\]]*)\])?")
AT_WORK = re.compile(r"/var/lib/dpkg/(?:info/\S+\.|tmp\.ci/)(?:pre|post)(?:inst|rm)\b")
# A line of a maintainer script that starts something, and asks no policy.
STARTS = re.compile(r"systemctl\b.*\b(?:re)?start\b|\bservice\s+\S+\s+(?:re)?start\b"
                    r"|start-stop-daemon\b.*\s(?:--start|-S)\b|init\.d/\S+\s+(?:re)?start\b")


def at(path):
    return f"{ROOT}{path}"


def upstream(version):
    """A version of Debian's without its epoch and the revision of the package."""
    version = version.split(":", 1)[-1]
    return version.rsplit("-", 1)[0] if "-" in version else version


def fits(version, wanted):
    """Whether a version is one that is wanted: C(0.19) is any package of this upstream version, C(1.1.1*) a pattern."""
    return fnmatch.fnmatchcase(version, wanted) or fnmatch.fnmatchcase(upstream(version), wanted)


def packages_of(run):
    """All packages that dpkg has something of, by name: C(version), C(state), C(held)."""
    rc, out, err = run(["dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${Status}\\n"],
                       environ_update=WORDS)
    if rc != 0:
        raise RollingError(f"dpkg-query failed (rc {rc}): {last_lines(err or out)}")
    found = {}
    for line in out.splitlines():
        name, version, status = line.split("\t")
        want, dummy, state = (status.split() + ["", "", ""])[:3]
        if state not in GONE:
            found[name] = dict(version=version, state=state, held=want == "hold")
    return found


def versions_of(packages):
    return {name: one["version"] for name, one in packages.items()}


def is_unfinished(packages):
    """Whether an upgrade of ours was ended after it had begun to change packages, whatever has become of the node."""
    try:
        with open(f"{at(HOME)}/{BEFORE}", encoding="utf-8") as stream:
            before = json.load(stream)["versions"]
    except FileNotFoundError:
        return False
    return before != versions_of(packages) or bool(half_done(packages))


def unpacked(name):
    """When the files of a package came to the node, in seconds since the epoch; None where that is not known."""
    stamps = [os.stat(path).st_mtime for path in glob.glob(f"{glob.escape(at(SCRIPTS))}/{glob.escape(name)}*.list")
              if os.path.basename(path)[len(name):].split(":")[0] in ("", ".list")]
    return max(stamps, default=None)


def half_done(packages):
    """The packages that dpkg was not able to complete."""
    return sorted(name for name, one in packages.items() if one["state"] not in WHOLE)


def journal_left():
    """Whether dpkg was ended while it was at work: then it has a journal, which it works off when run again."""
    try:
        return any(name.isdigit() for name in os.listdir(at(JOURNAL)))
    except OSError:
        return False


def candidates(run, names):
    """By name, the version that the index offers, as it lies on the node."""
    if not names:
        return {}
    rc, out, err = run(["apt-cache", "policy", *names], environ_update=WORDS)
    if rc != 0:
        raise RollingError(f"apt-cache policy failed (rc {rc}): {last_lines(err or out)}")
    found, name = {}, ""
    for line in out.splitlines():
        if not line.startswith(" ") and line.endswith(":"):
            name = line[:-1]
        elif line.startswith("  Candidate: "):
            version = line.split(": ", 1)[1].strip()
            found[name] = "" if version == "(none)" else version
    return found


def command_of(pid):
    """The command line of a process; empty if there is none any more."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            return stream.read().rstrip("\0").replace("\0", " ")
    except OSError:
        return ""


def lock_holder():
    """Who has a lock of apt or dpkg: C(file), C(pid), C(command); empty where they are free."""
    for path in LOCKS:
        try:
            handle = os.open(at(path), os.O_RDWR)
        except OSError:
            continue
        try:
            # Asking is enough: to take it and let it go would be in the way of another one for a moment.
            asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, dummy, dummy, dummy, pid = struct.unpack("hhqqi", fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        finally:
            os.close(handle)
        if kind != fcntl.F_UNLCK:
            return dict(file=path, pid=pid, command=command_of(pid) or "?")
    # One of an apt that was ended goes on without any lock.
    left = scripts_at_work()
    return dict(file=SCRIPTS, pid=left[0], command=command_of(left[0])) if left else {}


def wait_for_locks(timeout):
    """Wait until nobody else works with apt or dpkg."""
    seen: dict = {}

    def free():
        seen.update(lock_holder() or {"pid": None})
        return seen["pid"] is None

    if not wait_for(free, timeout, 0.5):
        raise RollingError(
            f"apt and dpkg were to be free within {timeout:g} s, but {seen['command']} (pid {seen['pid']}) still has "
            f"{seen['file']}. See what it does (ps -fp {seen['pid']}), let it end, and start again", locked=seen)


# ---- sources

def shown(text):
    """Sources as people may see them, without a name and a password in a URI."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def source_files():
    """The files with the sources of apt."""
    folder = at("/etc/apt/sources.list.d")
    return [path for path in [at("/etc/apt/sources.list"), *sorted(glob.glob(f"{glob.escape(folder)}/*.list")),
                              *sorted(glob.glob(f"{glob.escape(folder)}/*.sources"))] if os.path.isfile(path)]


def new_suite(suite, suites):
    """The suite that comes after this one; itself where C(suites) has nothing to say of it."""
    def within(old):
        return suite == old or suite.startswith((f"{old}-", f"{old}/"))

    if suite in suites:
        return suites[suite]
    if any(within(new) for new in suites.values()):
        return suite
    old = max(filter(within, suites), key=len, default="")
    return f"{suites[old]}{suite[len(old):]}" if old else suite


def one_line_sources(lines, suites):
    """The active lines of a C(.list): its number, URI, suite, and what it is to be."""
    for number, line in enumerate(lines):
        match = ONE_LINE.fullmatch(line)
        if match:
            begin, uri, suite, rest = match.groups()
            yield number, uri, suite, f"{begin}{new_suite(suite, suites)}{rest}"


def stanza_sources(lines, suites):
    """The same of a C(.sources), whose lines hold suites where they belong to a field of that name."""
    stanza, field = [], ""
    for number, line in [*enumerate(lines), (len(lines), "\n")]:
        if line.strip():
            if line.startswith("#"):
                continue
            match = None if line[0] in " \t" else FIELD.match(line)
            field = match.group(1).lower() if match else field
            stanza.append((number, field, match.group(2) if match else line))
            continue
        values: dict[str, str] = {}
        for dummy, name, text in stanza:
            values[name] = f"{values.get(name, '')} {text}".strip()
        if values.get("enabled", "yes").lower() not in ("no", "false", "without", "off", "disable", "0"):
            for place, name, text in stanza:
                if name == "suites":
                    begin = lines[place][:len(lines[place]) - len(text)]
                    new = re.sub(r"\S+", lambda word: new_suite(word.group(), suites), text)
                    for suite in text.split():
                        yield place, values.get("uris", ""), suite, f"{begin}{new}"
        stanza, field = [], ""


def read_sources(suites=None):
    """What the sources name, and what they are to be.

    :returns: the content by file as it is, as it is to be, and the active entries: C(file), C(line), C(uri), C(suite),
      C(before), C(after).
    """
    before, after, entries = {}, {}, []
    for path in source_files():
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            before[path] = stream.read()
        lines = before[path].splitlines(keepends=True)
        new = list(lines)
        parse = stanza_sources if path.endswith(".sources") else one_line_sources
        for number, uri, suite, line in parse(lines, suites or {}):
            new[number] = line
            entries.append(dict(file=path[len(ROOT):], line=number + 1, uri=shown(uri), suite=suite,
                                before=shown(lines[number].strip()), after=shown(line.strip())))
        after[path] = "".join(new)
    return before, after, entries


# ---- what was kept, and what has been started

def kept_conffiles():
    """The configuration files that were kept though their package has another version of them, which lies beside."""
    found = []
    for folder, dummy, names in os.walk(at("/etc")):
        for name in names:
            base, ending = os.path.splitext(name)
            if ending in OFFERED:
                found.append(os.path.join(folder, base)[len(ROOT):])
    return sorted(set(found))


def environment_of(pid):
    """The environment that a process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            words = stream.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def scripts_at_work():
    """The maintainer scripts of an upgrade of ours that run."""
    pids = (int(os.path.basename(path)) for path in glob.glob("/proc/[0-9]*"))
    return sorted(pid for pid in pids if AT_WORK.search(command_of(pid)) and MARK in environment_of(pid))


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def belongs_to(pid, others):
    """Whether a process is one of some others, or was started by one that still runs."""
    while pid > 1 and pid not in others:
        pid = parent_of(pid)
    return pid in others


def left_by_scripts():
    """Processes that a maintainer script of an upgrade of ours has started itself, and that have outlived it."""
    found, at_work = [], scripts_at_work()
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(os.path.basename(path))
        if belongs_to(pid, at_work):
            continue
        seen = environment_of(pid)
        # dpkg tells each script whose it is, and what the script starts inherits it.
        if MARK in seen and seen.get("DPKG_MAINTSCRIPT_PACKAGE"):
            found.append(dict(unit="", pid=pid, command=command_of(pid), package=seen["DPKG_MAINTSCRIPT_PACKAGE"],
                              script=seen.get("DPKG_MAINTSCRIPT_NAME", ""), prevented=False))
    return sorted((one for one in found if one["command"]), key=lambda one: one["pid"])


def who_starts(unit):
    """The package and the script with a line that starts a service: systemd keeps no record of who asked."""
    for path in sorted(glob.glob(f"{glob.escape(at(SCRIPTS))}/*.p*inst")):
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if STARTS.search(line) and not line.lstrip().startswith("#") and (
                        re.search(rf"(?<![\w-]){re.escape(unit)}(?![\w-])", line)):
                    package, script = os.path.basename(path).rsplit(".", 1)
                    return dict(package=package.split(":")[0], script=script)
    return dict(package="", script="")


def running(run, units):
    """The units that run, in the form of C(left_by_scripts)."""
    found, systemd = [], Systemd(run)
    for unit, state in systemd.show(units).items():
        if state.get("LoadState") == "loaded" and state.get("ActiveState") in ("active", "activating", "reloading"):
            # One with a SysV script has no main process that systemd knows of.
            pid = int(state.get("MainPID") or 0) or min(systemd.processes(unit), default=0)
            found.append(dict(unit=unit, pid=pid, command=command_of(pid) if pid else "", prevented=False,
                              **who_starts(unit)))
    return found


def asked(run, units):
    """By unit, when somebody last asked for a start that a condition of the unit has prevented."""
    return {unit: state["ConditionTimestampMonotonic"] for unit, state in Systemd(run).show(
        units, ["ConditionResult", "ConditionTimestampMonotonic"]).items()
        if state.get("ConditionResult") == "no" and state.get("ConditionTimestampMonotonic", "0") != "0"}


# ---- the policy

def policy_of():
    """Whose C(policy-rc.d) there is: C(ours), C(other), or none."""
    path = at(POLICY)
    if not os.path.lexists(path):
        return ""
    try:
        with open(path, "rb") as stream:
            return "ours" if MARK.encode() in stream.read() else "other"
    except OSError:
        return "other"


def forbid_starts():
    """Have packages start nothing: our policy, at once in the place of an operator's own, if there is one."""
    path, new = at(POLICY), f"{at(POLICY)}.rolling-new"
    with open(new, "w", encoding="ascii") as stream:
        stream.write(SCRIPT)
        os.fchmod(stream.fileno(), 0o755)
        stream.flush()
        # Empty after a loss of power, it would pass for an operator's own.
        os.fsync(stream.fileno())
    if policy_of() == "other":
        os.link(path, at(KEPT), follow_symlinks=False)
    os.replace(new, path)


def allow_starts():
    """Remove our policy, and put an operator's own one back as it was.

    :returns: whether there was something of ours.
    """
    path, kept, whose = at(POLICY), at(KEPT), policy_of()
    try:
        os.unlink(f"{path}.rolling-new")
    except FileNotFoundError:
        pass
    if not os.path.lexists(kept):
        if whose == "ours":
            os.unlink(path)
        return whose == "ours"
    if whose == "other" and not same_file(path, kept):
        raise RollingError(f"somebody has made a {POLICY} since ours took the place of the one that is now {KEPT}: put "
                           f"the right one at {POLICY}, remove {KEPT}, and start again")
    # Two names of one file are no reason for rename to do anything.
    if whose == "other":
        os.unlink(kept)
    else:
        os.replace(kept, path)
    return True


def same_file(one, other):
    one, other = os.lstat(one), os.lstat(other)
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


# ---- running apt

def simulated(text):
    """What a simulation of apt would do: C(upgraded), C(installed), C(removed)."""
    changes: dict[str, list] = dict(upgraded=[], installed=[], removed=[])
    for line in text.splitlines():
        inst, remv = INST.match(line), REMV.match(line)
        if inst:
            name, before, after = inst.groups()
            kind = "upgraded" if before else "installed"
            changes[kind].append(dict(name=name, before=before or "", after=after))
        elif remv:
            changes["removed"].append(remv.group(1))
    return changes


def difference(before, after):
    """What has changed between two looks at all packages, in the same form."""
    changes = dict(upgraded=[], installed=[], removed=sorted(set(before) - set(after)))
    for name in sorted(after):
        old, new = before.get(name, {}).get("version", ""), after[name]["version"]
        if old != new:
            changes["upgraded" if old else "installed"].append(dict(name=name, before=old, after=new))
    return changes


def expected_problems(packages, changes, expect):
    """What would be, or is, other than it is expected of packages that the node has."""
    versions = {one["name"]: one["after"] for one in changes["upgraded"] + changes["installed"]}
    problems = []
    for name, wanted in sorted(expect.items()):
        if name in changes["removed"]:
            problems.append(f"{name} would be removed")
        elif name in packages:
            version = versions.get(name, packages[name]["version"])
            if not fits(version, wanted or "*"):
                held = ", which is on hold (apt-mark unhold it)" if packages[name]["held"] else ""
                problems.append(f"{name} would be {version}{held}, not {wanted}")
    return problems


def is_disk_full(text):
    return os.strerror(errno.ENOSPC) in text or "enough free space" in text
