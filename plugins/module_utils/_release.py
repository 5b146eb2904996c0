# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import ast
import functools
import json
import os
import re
import tempfile
import time
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    FULL,
    RollingError,
    boot_id,
    conclude,
    disk_full,
    flocked,
    last_lines,
    new_file,
    turn_of,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._environment import read_environment_file
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import version_key

# Run by the virtualenv's own Python: what it really imports counts, not what a folder's name says.
PROBE = """
import importlib.metadata as metadata, json, os, platform, sys, sysconfig
def distribution(name):
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
wanted, pip = distribution(sys.argv[1]), distribution("pip")
record = [path for path in (wanted and wanted.files or []) if path.name == "RECORD"]
print(json.dumps({
    "version": wanted and wanted.version,
    "record": str(wanted.locate_file(record[0])) if record else None,
    "pip": pip and pip.version,
    "python": platform.python_version(),
    "platform": sysconfig.get_platform(),
}))
"""
# The first distribution of a name on the path is the one that is imported.
DISTRIBUTIONS = """
import importlib.metadata as metadata, json
found = {}
for one in metadata.distributions():
    name = one.metadata["Name"]
    if name and one.version:
        found.setdefault(name, {"version": one.version, "requires": one.requires or []})
print(json.dumps(found))
"""
# What pip check would say of a virtualenv that does not exist yet. What comes with the release has what it requires.
CONFLICTS = """
import importlib.metadata as metadata, json, sys
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import canonicalize_name
lock, present, found = json.loads(sys.argv[1]), {}, []
for one in metadata.distributions():
    if one.metadata["Name"] and one.version:
        present.setdefault(canonicalize_name(one.metadata["Name"]), one)
for name, one in sorted(present.items()):
    for text in [] if name in lock else one.requires or []:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        needed = canonicalize_name(wanted.name)
        if needed not in lock or wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        fits = wanted.specifier.contains
        if (needed in present and fits(present[needed].version, prereleases=True)
                and not fits(lock[needed], prereleases=True)):
            found.append(f"{one.metadata['Name']} {one.version} requires {wanted.name}{wanted.specifier}, and the "
                         f"release brings {lock[needed]}.")
print(json.dumps(found))
"""
# What the distributions that are named require, without extras, and the virtualenv does not have.
UNMET = """
import importlib.metadata as metadata, json, sys
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import InvalidVersion
names, present, found = json.loads(sys.argv[1])["names"], {}, []
for one in metadata.distributions():
    if one.metadata["Name"] and one.version:
        present.setdefault(canonicalize_name(one.metadata["Name"]), one)
for name in names:
    for wanted in map(Requirement, present[name].requires or [] if name in present else []):
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        there = present.get(canonicalize_name(wanted.name))
        try:
            fits = there and wanted.specifier.contains(there.version, prereleases=True)
        except InvalidVersion:  # one of the operating system
            fits = True
        if not fits:
            found.append(f"{wanted.name}{wanted.specifier}")
print(json.dumps(found))
"""
# Who a file says that somebody is to a host, as this Python reads it; null where it does not.
LOGIN = """
import json, netrc, sys
try:
    found = netrc.netrc(sys.argv[1]).authenticators(sys.argv[2])
    print(json.dumps([found[0], found[2] or ""]))
except Exception:
    print("null")
"""
# With the date, which is the first that a zip file can have, the same sources are always built into the same wheel.
PIP_ENVIRONMENT = dict(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_NO_COLOR="1", PIP_PROGRESS_BAR="off",
                       LC_ALL="C.UTF-8", SOURCE_DATE_EPOCH="315532800")
# The settings of pip on the node that count: where packages come from, and how they are fetched and built. Any other
# could have it install elsewhere, less, or nothing at all, such as no-deps, user, target, constraint or dry-run. With
# no-binary or global-option, which implies it, pip passes over the wheels that the lock names.
PIP_SETTINGS = frozenset((
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy", "timeout",
    "default-timeout", "retries", "keyring-provider", "cache-dir", "no-cache-dir", "pre", "prefer-binary",
    "only-binary", "no-build-isolation", "config-settings", "use-feature", "use-deprecated", "exists-action"))
# pip install --dry-run --report came with this one.
PIP_MINIMUM = "22.2"

# The link beside the release directories that leads to the one that was active before.
PREVIOUS = ".previous"

# When the release in which it lies was activated, by what no clock that is set can change.
ACTIVATED = ".rolling-active.json"
# Seconds by which a file may seem to be of the future.
AHEAD = 1

# For how many seconds to wait for another one who stages or prunes on this node.
TURN_WITHIN = 1800

PIP_OPTIONS = dict(
    # no_log: what a module is called with goes to the journal before any line of the module runs.
    index_url=dict(type="str", no_log=True),
    extra_args=dict(type="list", elements="str", default=[]),
)
LOCK = dict(type="list", elements="dict", options=dict(
    name=dict(type="str", required=True),
    version=dict(type="str", required=True),
    sha256=dict(type="str", required=True),
))


def stamps_of(path, record):
    """When the link and the RECORD of a virtualenv were written, by the clock of that time, in nanoseconds."""
    return [os.lstat(path).st_mtime_ns if os.path.islink(path) else 0, os.stat(record).st_mtime_ns if record else 0]


def note_activation(path, record):
    """Note that the virtualenv C(path) holds its release from now on. Without the note the clock is believed."""
    note = os.path.join(os.path.realpath(path), ACTIVATED)
    try:
        with open(note + ".new", "w", encoding="utf-8") as handle:
            json.dump(dict(boot=boot_id(), monotonic=time.monotonic(), stamps=stamps_of(path, record)), handle)
        os.chmod(note + ".new", 0o644)
        os.replace(note + ".new", note)
    except OSError:
        pass


def active_since(path, record):
    """Since when the virtualenv C(path) holds its release, by the clock as it is now, and how far that is ahead of it.

    The note counts as long as nobody has written the link or the RECORD after it. Else their times do, and they mislead
    where the clock was set since.
    """
    stamps, now = stamps_of(path, record), time.time()
    wall = max(stamps) / 1e9
    try:
        with open(os.path.join(os.path.realpath(path), ACTIVATED), encoding="utf-8") as handle:
            note = json.load(handle)
        if note["boot"] and note["stamps"] == stamps:
            # Since a reboot everything was started with the release.
            then = float(note["monotonic"]) if note["boot"] == boot_id() else 0.0
            since = now - time.monotonic() + then
            return (since if then else min(since, wall)), 0
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return wall, round(wall - now) if wall > now + AHEAD else 0


def python_of(root):
    """The Python of the virtualenv C(root)."""
    return os.path.join(root, "bin", "python")


def ask(run, root, code):
    """What the Python of the virtualenv C(root) prints as JSON."""
    python = python_of(root)
    if not os.access(python, os.X_OK):
        raise RollingError(f"the virtualenv {root} is broken: {python} is missing or does not run")
    rc, out, err = run([python, "-I", "-c", *code])
    if rc != 0:
        raise RollingError(f"the virtualenv {root} is broken: its python failed (rc {rc}): {(err or out).strip()}")
    try:
        return json.loads(out)
    except ValueError as exc:
        raise RollingError(f"the virtualenv {root} is broken: its python printed {out.strip()[:200]!r}") from exc


def script_words(release, command):
    """The words that run a script of a release, by the release's own Python.

    The script's first line may name the path that it will run from once it is active.
    """
    if not command:
        raise RollingError("command is empty: it begins with the name of a script of the release")
    script = os.path.join(release, "bin", command[0])
    if not os.path.isfile(script):
        raise RollingError(f"there is no {script}: is the release staged on this node?")
    return [python_of(release), script, *command[1:]]


def read_script(release, command, config):
    """The words that run a script of a release, and its environment, that of the services."""
    return script_words(release, command), read_environment_file(config)


def distributions(run, root):
    """What the virtualenv C(root) sees: by normalized name the C(version) of each and what it C(requires)."""
    return {canonical(name): facts for name, facts in ask(run, root, [DISTRIBUTIONS]).items()}


def conflicts(run, root, lock):
    """What the virtualenv C(root) has that does not go with the lock any more, one sentence each."""
    return ask(run, root, [CONFLICTS, json.dumps({canonical(one["name"]): one["version"] for one in lock})])


def check_requirements(run, root, lock, path):
    """Refuse a clone C(root) of the virtualenv C(path) that lacks what the distributions of the lock require.

    :raises RollingError: naming the first requirement.
    """
    unmet = ask(run, root, [UNMET, json.dumps(dict(names=[canonical(one["name"]) for one in lock]))])
    if unmet:
        raise RollingError(not_locked(unmet[0], path))


def look_into(run, root, distribution):
    """What C(inspect) returns, also where C(distribution) is not installed: then without its version."""
    return ask(run, root, [PROBE, distribution])


def inspect(run, root, distribution):
    """What the virtualenv C(root) holds: versions of C(distribution), pip and Python, the platform, the RECORD file.

    :raises RollingError: when its Python does not run, or C(distribution) is not installed in it.
    """
    found = look_into(run, root, distribution)
    if not found["version"]:
        raise RollingError(f"{distribution} is not installed in the virtualenv {root}")
    return found


def hide_credentials(module):
    """Keep the credentials of an index URL, and only these, out of everything that the module returns.

    Call it first of all: what the module was called with is returned, too.
    """
    url = module.params["index_url"] or ""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Why, says Python with the words that are wrong, and these may be the password.
        module.fail_json(msg="index_url is not a URL: expected one such as https://HOST/simple/")
    # Hidden as a whole it would take the index from every message, too, where it is what the operator has to see.
    module.no_log_values.discard(url)
    # A token can stand alone where a user name would; beside a password a name as long as no person's is one, too.
    if parts.username and (not parts.password or len(parts.username) >= 16):
        module.no_log_values.update({parts.username, unquote(parts.username)})
    if parts.password:
        module.no_log_values.update({parts.password, unquote(parts.password)})


@contextmanager
def exclusively(directory):
    """Nobody else stages or prunes in C(directory) meanwhile; waits until the one who does has ended."""
    with flocked(directory, TURN_WITHIN) as handle:
        if handle is None:
            raise RollingError(f"another one has been staging or pruning in {directory} for {TURN_WITHIN} s: see which "
                               f"process it is with fuser -v {turn_of(directory)}, end it, and start again")
        yield handle


def conclude_pip(module, intent, act, folder):
    """End a module that runs pip, as C(conclude) does, with the last lines of pip's complaint."""
    def told():
        try:
            return act()
        except RollingError as exc:
            output = exc.details.get("pip_output", "")
            raise RollingError(exc.message + (f":\n{last_lines(output)}" if output else ""),
                               pip_output=output) from exc

    conclude(module, told, intent, folder)


# By module: pip takes half a second to tell, and says the same of a release and of its clone.
SETTINGS: "WeakKeyDictionary[object, dict]" = WeakKeyDictionary()


class Pip:
    """pip of one virtualenv, with the operator's options.

    :arg module: the AnsibleModule; its parameters hold PIP_OPTIONS.
    :arg root: the virtualenv.
    :arg options: further arguments for AnsibleModule.run_command.
    """

    def __init__(self, module, root, **options):
        self.module = module
        self.root = root
        self.options = options
        self.lock = None
        self.index_url = module.params["index_url"]

    def call(self, verb, arguments, environment):
        """What pip returns and prints; with an empty C(PIP_...) it passes over what the node sets."""
        return self.module.run_command(
            [python_of(self.root), "-m", "pip", verb, "--no-color", *arguments], cwd="/", umask=0o022,
            environ_update=environment, **self.options)

    def environment(self, verb):
        """What one command of pip is run with: of the settings of the node only those that are fit for it."""
        foreign = {name: "" for name in os.environ if name.startswith("PIP_")}
        if self.module not in SETTINGS:
            kept = {name: os.environ[name] for name in foreign if name == "PIP_CONFIG_FILE"}
            # Before these are passed over: a pip that is told to be quiet, or to be another one, does not list them.
            told = dict(PIP_ENVIRONMENT, PIP_QUIET="0", PIP_VERBOSE="0", PIP_PYTHON="", **kept)
            rc, out, err = self.call("config", ["list"], told)
            if rc != 0:
                raise RollingError("pip cannot read its settings on this node: correct them, or remove the file that "
                                   "it names", pip_output=(err or out).strip())
            SETTINGS[self.module] = settings_in(out)
        found = dict(foreign, PIP_CONFIG_FILE=os.devnull)
        # As pip ranks them: a setting of the command before a global one, the environment before both.
        for section in ("global", verb, ":env:"):
            found.update({f"PIP_{key.upper().replace('-', '_')}": value
                          for key, value in SETTINGS[self.module].get(section, {}).items() if key in PIP_SETTINGS})
        return dict(found, **self.index, **PIP_ENVIRONMENT)

    @functools.cached_property
    def index(self):
        """The variables that name the index.

        By the environment, for arguments are public. The pip that pip starts for what an sdist needs to be built is
        told the index by an argument all the same, so its password is in a file, wherever this Python reads that as it
        is meant: before 3.11 not that of a token without a password.
        """
        parts = urlsplit(self.index_url or "")
        # The signs of an address of IPv6 are not those of the name of a machine there.
        if not parts.username or ":" in (parts.hostname or ":"):
            return dict(PIP_INDEX_URL=self.index_url) if self.index_url else {}
        wanted = [unquote(parts.username), unquote(parts.password or "")]
        path = os.path.join(self.module.tmpdir, "netrc")
        with open(new_file(path), "wb") as handle:
            # Other indexes may need what the operator has in his own.
            with suppress(OSError), open(os.path.expanduser(os.environ.get("NETRC") or "~/.netrc"), "rb") as own:
                handle.write(own.read() + b"\n\n")
            handle.write("machine {} login {} password {}\n".format(parts.hostname, *map(quoted, wanted)).encode())
        if ask(self.module.run_command, self.root, [LOGIN, path, parts.hostname]) != wanted:
            return dict(PIP_INDEX_URL=self.index_url)
        return dict(NETRC=path, PIP_INDEX_URL=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))

    def run(self, verb, arguments):
        """Run pip.

        :raises RollingError: with C(pip_output), all that pip complained of, and C(sdist), the requirement whose
            sdist could not be built, empty if it was not that.
        """
        # Not --quiet: where an sdist cannot be built, only what comes before the complaint tells which one it is.
        rc, out, err = self.call(verb, arguments, self.environment(verb))
        if rc != 0:
            output, root = (err or out).strip(), self.module.params["path"]
            sdist = unbuilt(out, output)
            if FULL in out + err:
                raise RollingError(disk_full(self.module.tmpdir, tempfile.gettempdir(), root), pip_output=output,
                                   sdist=sdist)
            words = (explain_build(output, sdist, root, "--no-build-isolation" not in arguments) if sdist else
                     explain(output, root, self.lock))
            raise RollingError(words or "pip failed", pip_output=output, sdist=sdist)

    def install(self, arguments):
        """C(pip install) with a report.

        :returns: the parsed report: what was, or with C(--dry-run) would be, installed.
        """
        report = os.path.join(self.module.tmpdir, "pip-report.json")
        self.run("install", ["--report", report, *self.module.params["extra_args"], *arguments])
        try:
            with open(report, encoding="utf-8") as handle:
                return json.load(handle)
        except (OSError, ValueError) as exc:
            raise RollingError(f"pip wrote no report that can be read: {exc}: start again, and if that does not help "
                               f"upgrade it with {python_of(self.root)} -m pip install --upgrade pip") from exc

    def locked(self, lock):
        """The arguments that make pip take exactly what C(lock) says, from a file that they name."""
        self.lock = lock
        requirements = os.path.join(self.module.tmpdir, "lock.txt")
        with open(requirements, "w", encoding="utf-8") as handle:
            handle.writelines(f"{one['name']}=={one['version']} --hash=sha256:{one['sha256']}\n" for one in lock)
        return ["--require-hashes", "-r", requirements]


def quoted(word):
    """A word in a .netrc. One without a sign of its own is left as it is: before 3.11 Python knows no quotes there."""
    if re.fullmatch(r'[^\s"\\#]+', word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def settings_in(output):
    """The settings that C(pip config list) prints, by section, such as C(global), C(install) or C(:env:)."""
    found: dict[str, dict[str, str]] = {}
    for section, key, value in re.findall(r"^(:env:|[^.=\s]+)\.([^=\s]+)=(.*)$", output, re.MULTILINE):
        try:
            value = str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            pass
        found.setdefault(section, {})[key.replace("_", "-").lower()] = value
    return found


# How pip says that an sdist could not be made into a wheel, or not even asked what it requires.
NOT_BUILT = re.compile(r"(subprocess-exited-with-error|metadata-generation-failed|Failed (building wheel|to build)|"
                       r"Could not build wheels)")
BUILD_REQUIREMENTS = re.compile(r"build dependencies.* did not run successfully")


def unbuilt(progress, output):
    """The sdist that pip could not build, as C(name-version) or as it was required; empty if it has failed otherwise.

    :arg progress: what it said on the way.
    :arg output: what it complained of.
    """
    if not NOT_BUILT.search(output):
        return ""
    found = re.findall(r"^ *(?:Downloading|Processing|Using cached|Collecting) (\S+)", progress, re.MULTILINE)
    failed = re.findall(r"Failed building wheel for (\S+)", output)
    archives = [name for name in (os.path.basename(one.split("#")[0]) for one in found) if name.endswith(SDISTS)]
    if failed:
        archives = [name for name in archives if canonical(name).startswith(canonical(failed[-1]) + "-")] or failed
    return stem(archives[-1]) if archives else found[-1] if found else "a package"


SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tgz")


def stem(name):
    """The name of an sdist's file without what tells its kind."""
    return re.sub(r"\.(tar\.gz|zip|tar\.bz2|tgz)$", "", name)


def explain_build(output, sdist, root, isolated=True):
    """What it means that an sdist could not be built, and what to do."""
    missing = re.findall(r"No matching distribution found for (\S+)", output)
    if BUILD_REQUIREMENTS.search(output):
        why = f"what it needs to be built ({', '.join(missing) or 'see below'}) cannot be found from here"
    else:
        why = "see below"
    name, dash, version = sdist.rpartition("-")
    requirement = f"{name}=={version}" if dash and version[:1].isdigit() else sdist
    return (f"{sdist} is offered as an sdist only, and could not be built into a wheel on this node: {why}. Build it "
            f"where that is possible, with the same version of Python: python3 -m pip wheel --no-deps '{requirement}', "
            "then put the wheel on the index or into the directory of stage_source"
            + (f"; or, if what it needs is installed in {root}, pass -e '{{\"stage_extra_args\": "
               "[\"--no-build-isolation\"]}'" if isolated else ""))


def explain(output, root, lock=None):
    """What pip's words mean for a roll, None if that is not known.

    :arg root: the node's virtualenv.
    :arg lock: what pip was to install; None where it only looks.
    """
    found = re.search(r"^ +([A-Za-z0-9._-]+).*:\n +Expected sha256 +(\w+)\n(?: +Expected.*\n| +or .*\n)* +Got +(\w+)",
                      output, re.MULTILINE)
    if found:
        name, expected, got = found.groups()
        if lock is None:
            return (f"the wheel of {name} is not the one that the index itself names (expected sha256 {expected}, got "
                    f"{got}): it is damaged on the index, or in a cache in between")
        return (f"the wheel of {name} that this node was given is not the one that was resolved for the cluster "
                f"(expected sha256 {expected}, got {got}): the index or a cache in between has changed or damaged it")
    found = re.search(r"In --require-hashes mode, all requirements must have their versions pinned.*\n +(\S.*?)"
                      r"(?: from .*| \(from .*)?$", output, re.MULTILINE) or re.search(
                          r"Hashes are required in --require-hashes mode.*\n +(\S+)", output)
    if found:
        return not_locked(found.group(1), root)
    found = re.search(r"Wheel '(\S+)' located at \S+ is invalid|(BadZipFile|has an invalid wheel)", output)
    if found:
        return (f"the wheel{' of ' + found.group(1) if found.group(1) else ''} that this node was given is damaged: "
                "look at the index and at a cache in between, or remove pip's own with "
                f"{python_of(root)} -m pip cache purge")
    return explain_absence(output, root, lock) if lock is not None else None


def explain_absence(output, root, lock):
    """What it means that pip does not find, or may not use, what the lock says; None if it does not say that."""
    found = re.search(r"Package '(\S+)' requires a different Python: (\S+) not in '([^']+)'", output)
    if found:
        name, python, wanted = found.groups()
        return (f"{name} needs Python {wanted}, this node has {python}: the lock was resolved on a node with another "
                "Python")
    # Some pips, such as 26.3, add what requires it.
    found = re.search(r"No matching distribution found for (([A-Za-z0-9._-]+).*?)(?: \(from .*)?$", output,
                      re.MULTILINE)
    if not found:
        return None
    wanted, name = found.group(1).strip(), found.group(2)
    locked = pick(lock, name)
    if not locked:
        return not_locked(wanted, root)
    other = re.search(rf"(?:^|\s){re.escape(locked['version'])} Requires-Python ([^;\n]+)", output)
    if other:
        return (f"{name} {locked['version']} needs Python {other.group(1).strip()}, this node has another: the lock "
                "was resolved on a node with another Python")
    return (f"{wanted} was resolved for the cluster, but this node does not find it where it looks: the index or the "
            "wheelhouse does not have it, or cannot be reached")


def not_locked(requirement, root):
    return (f"this node needs {requirement}, which the release's lock does not have: its virtualenv differs from the "
            "one that was resolved on another node; install it by hand into that one and resolve again, or into this "
            f"one: {python_of(root)} -m pip install '{requirement}'")


def check_lock(lock):
    """Refuse a lock that is none: its words become lines of a requirements file.

    :raises RollingError: naming the first entry that is wrong.
    """
    for one in lock:
        if not (re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", one["name"])
                and re.fullmatch(r"[A-Za-z0-9.+!_-]+", one["version"])
                and re.fullmatch(r"[0-9a-f]{64}", one["sha256"])):
            raise RollingError(f"the lock holds {one['name']!r} {one['version']!r} with sha256 {one['sha256']!r}, "
                               "which cannot be a package with its version and digest: resolve the release again")


def require_pip(found, root):
    """Refuse a pip that is too old to write a report, and a virtualenv that has none."""
    if not found["pip"]:
        raise RollingError(
            f"the virtualenv {root} has no pip; 22.2 or later is needed: run {python_of(root)} -m ensurepip --upgrade "
            "(on Debian and Ubuntu that comes with the package python3-venv)")
    if version_key(found["pip"]) < version_key(PIP_MINIMUM):
        raise RollingError(
            f"the virtualenv {root} has pip {found['pip']}; 22.2 or later is needed: "
            f"run {python_of(root)} -m pip install --upgrade pip")


def is_sdist(item):
    """Whether an entry in a report of pip is an sdist."""
    return item.get("download_info", {}).get("url", "").split("#")[0].endswith(SDISTS)


def installed(report):
    """What a report of pip lists, as dicts with C(name), C(version) and C(sha256)."""
    packages = []
    for item in report.get("install", []):
        archive = item.get("download_info", {}).get("archive_info", {})
        digest = archive.get("hashes", {}).get("sha256", "")
        if not digest and archive.get("hash", "").startswith("sha256="):
            digest = archive["hash"][len("sha256="):]
        packages.append(dict(name=item["metadata"]["name"], version=item["metadata"]["version"], sha256=digest))
    return packages


def canonical(name):
    """The normalized name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pick(packages, distribution):
    """The entry of C(distribution) in what C(installed) returned, or None."""
    for package in packages:
        if canonical(package["name"]) == canonical(distribution):
            return package
    return None
