#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: release
short_description: Stage or activate a release directory, or upgrade in place
version_added: 0.1.0
description:
  - A release is a directory, a whole virtualenv of its own under O(releases). The path that the services run from,
    O(path), is a link to the active one.
  - Staging clones the active virtualenv, with the plugins that the operator has added to it, and upgrades the clone
    with its own pip. The running services see nothing of it. Until the clone is complete it has another name, so a
    release directory is always whole. Two that stage in the same O(releases) wait for each other.
  - What is installed, and from which wheel, is in O(lock). Nothing else is, whatever the index offers meanwhile.
  - Activating swaps the link by one rename. If O(path) is still a plain directory, it is adopted, that is, in the same
    atomic step it moves to O(releases) and becomes the first release there.
  - The link C(.previous) in O(releases) leads to the release that was active before. Activating that one again removes
    the link.
  - If another installer has written into the active release directory, so that it is no longer what its name says, it
    gets the name of what it holds, and stays active until another one is activated. At no moment O(path) leads nowhere.
options:
  name:
    description: The name of the release directory, as RV(shakenfist.rolling.resolve_info#module:name) gives it.
      Required for O(state=staged) and O(state=active).
    type: str
  state:
    description:
      - V(staged) makes sure that the release directory is there.
      - V(active) makes sure that O(path) is a link to it.
      - V(in_place) makes sure that O(path) itself holds what O(lock) says, by its own pip, without a copy. The running
        services see their files change, and there is nothing to go back to.
    type: str
    choices: [staged, active, in_place]
    required: true
  conflicts:
    description: What to do if packages that fit together in O(path) would not in the release directory, such as a
      plugin that pins what the release upgrades. V(fail) stages nothing. Only counts for O(state=staged).
    type: str
    choices: [warn, fail]
    default: warn
  scripts:
    version_added: 0.2.0
    description:
      - Which Python the scripts of the release directory name in their first line.
      - V(link) is that of O(path), right once the release is active.
      - V(release) is their own one. Take this where several links lead to release directories, one for each service,
        and where the command line of a process is to tell the release that it runs. A directory then keeps its name
        also after another installer has written into it, for the other links lead there.
    type: str
    choices: [link, release]
    default: link
  path: {type: path, required: true, description: The virtualenv that the services run from.}
  releases:
    description: The directory that holds the release directories. It must be on the file system of O(path). Required
      for O(state=staged) and O(state=active).
    type: path
  distribution: {type: str, required: true, description: The Python distribution whose version is the release.}
  version: {type: str, description: The exact version to install. Required for O(state=staged) and O(state=in_place).}
  contents:
    description: What O(distribution) is to have installed, as RV(shakenfist.rolling.resolve_info#module:contents) gives
      it. With O(state=in_place), another build of O(version) than this one is replaced. Empty if it is not known.
    type: str
    default: ""
  lock:
    description: What to install, as RV(shakenfist.rolling.resolve_info#module:lock) gives it. What it does not name
      stays as it is. Required for O(state=staged) and O(state=in_place).
  wheelhouse:
    description: A directory of wheels on the node to install from. Where it has all that O(lock) names, no index is
      asked.
    type: path
extends_documentation_fragment:
  [shakenfist.rolling.attributes, shakenfist.rolling.options.lock, shakenfist.rolling.options.pip]
"""

EXAMPLES = r"""
- name: Stage a release beside the running one
  shakenfist.rolling.release:
    name: 0.8.1-0a1b2c3d
    state: staged
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    distribution: shakenfist
    version: "{{ resolved.version }}"
    lock: "{{ resolved.lock }}"

- name: Activate it
  shakenfist.rolling.release:
    name: 0.8.1-0a1b2c3d
    state: active
    path: /srv/shakenfist/venv
    releases: /srv/shakenfist/releases
    distribution: shakenfist
"""

RETURN = r"""
release:
  description: The release directory, or O(path) for O(state=in_place).
  returned: success
  type: str
  sample: /srv/shakenfist/releases/0.8.1-0a1b2c3d
packages:
  description: What pip installed.
  returned: when O(state=staged) or O(state=in_place), and changed
  type: list
  elements: dict
  sample: [{"name": "shakenfist", "version": "0.8.1", "sha256": "0a1b2c3d"}]
conflicts:
  description: What goes together in O(path), and would not with O(lock), one sentence each, as C(pip check) would find.
  returned: when O(state=staged)
  type: list
  elements: str
  sample: ["sf-plugin 1.0 requires grpcio<1.60, and the release brings 1.62."]
outdated:
  description: What a release directory that was there before, and that is only staged, has in another version than
    O(lock) says, such as a dependency that was fixed since. It is left as it is.
  returned: when O(state=staged)
  type: list
  elements: str
  sample: ["grpcio 1.60, not 1.62"]
  version_added: 0.2.0
previous: {type: str, returned: when O(state=active), description: The directory that was active before.}
adopted:
  description: Whether a plain directory was adopted as the first release.
  returned: when O(state=active)
  type: bool
renamed:
  description: What the active release directory, or the one that was active before, is called now, because another
    installer had written into it. Empty if it is what its name says.
  returned: when O(state=staged) or O(state=active)
  type: str
"""

import ctypes
import errno
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _release
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    FULL,
    RollingError,
    free_space,
    make_directory,
    opened,
    size,
    stand_back,
    sync_directories,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._identity import (
    MARKER,
    as_marked,
    contents,
    mark,
    noted_record,
    rewritten,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import digests_in_folder

AT_FDCWD = -100
RENAME_EXCHANGE = 2
# What other parts keep about the release that it lies in: notes, journals, copies. It holds for no other release.
KEPT = ".rolling-"


def exchange(one, other):
    """Swap two paths in one atomic step (renameat2); False where the file system cannot do that."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), one)


def write_out(path):
    """Have the file system of a path write to the disk whatever it has only in memory."""
    with opened(path) as handle:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)


def link(target, path, time=None):
    """Make C(path) a link to C(target), by rename, so that at no moment it is missing.

    :arg time: the time of the link, in nanoseconds, where it is not now.
    """
    new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(target, new)
    if time is not None:
        os.utime(new, ns=(time, time), follow_symlinks=False)
    os.replace(new, path)


def change_places(directory, name, relink):
    """Exchange a directory and the link C(name), in one step where the file system can do that.

    :arg relink: makes the link where it is to be, if it cannot.
    :returns: whether it was one step.
    """
    try:
        swapped = exchange(name, directory)
    except OSError:
        os.unlink(name)
        raise
    if not swapped:
        # Two renames: for some microseconds there is no virtualenv at all.
        os.unlink(name)
        os.rename(directory, name)
        try:
            relink()
        except OSError:
            os.rename(name, directory)
            raise
    return swapped


def free_name(params, found):
    """The release directory that a virtualenv becomes: its version, and a digest of what its installer recorded."""
    record = b""
    if found["record"]:
        with open(found["record"], "rb") as handle:
            record = handle.read()
    base = os.path.join(os.path.realpath(params["releases"]),
                        f"{found['version']}-{hashlib.sha256(record).hexdigest()[:8]}")
    name, count = base, 1
    # A link of such a name is what an interrupted adoption has left.
    while os.path.lexists(name) and not os.path.islink(name):
        count += 1
        name = f"{base}.{count}"
    return name


def adopt(run, params, target):
    """Make the plain directory at C(path) the first release and C(path) a link to C(target), in one step.

    :returns: the directory that the plain virtualenv has become.
    """
    path = params["path"]
    found = _release.inspect(run, path, params["distribution"])
    adopted = free_name(params, found)
    mark(path, found, os.path.basename(adopted))
    with remembered(os.path.dirname(target), adopted, None):
        link(target, adopted)
        change_places(path, adopted, lambda: link(target, path))
    return adopted


def other_name(module, found, target=""):
    """What the active release directory is to be called, because it is not what it is called now; else empty.

    :arg found: what it holds.
    :arg target: a release directory that is to hold C(version).
    """
    params = module.params
    active = os.path.realpath(params["path"])
    if params["scripts"] == "release":
        return ""  # other links lead there, and its scripts name it
    if not os.path.islink(params["path"]) or os.path.dirname(active) != os.path.realpath(params["releases"]):
        return ""
    if not rewritten(active, found) and not (active == target and found["version"] != params["version"]):
        return ""
    return free_name(params, found)


def rename(params, found, name):
    """Give the active release directory another name, under the services that run from it."""
    path, releases = params["path"], os.path.realpath(params["releases"])
    active, since = os.path.realpath(path), os.lstat(path).st_mtime_ns
    # Scripts of an installer that does not go by the link name the directory itself.
    correct_shebangs(os.path.join(active, "bin"), active, path)
    # Not the marker: without it, another build of the same version would pass for what the old name says.
    forget(active, but=(MARKER, _release.ACTIVATED))
    mark(active, found, os.path.basename(name))
    previous = os.path.join(releases, _release.PREVIOUS)
    follows = os.path.islink(previous) and os.path.realpath(previous) == active
    # It leads to itself, until the exchange puts it in the place of the directory. Then it leads to that.
    link(name, name)
    swapped = change_places(active, name, lambda: link(name, path, since))
    if swapped:
        link(name, path, since)
    if follows:
        link(name, previous)
    if swapped:
        os.unlink(active)


@contextmanager
def remembered(releases, previous, target):
    """Keep in C(.previous) where to go back to, around the swap to C(target). Going back there forgets it."""
    path = os.path.join(releases, _release.PREVIOUS)
    before = os.readlink(path) if os.path.islink(path) else None
    going_back = before is not None and os.path.realpath(path) == target
    if not going_back:
        link(previous, path)
    try:
        yield
    except OSError:
        if before is None:
            os.unlink(path)
        elif not going_back:
            link(before, path)
        raise
    if going_back:
        os.unlink(path)


def look_again(module):
    """What the active release directory is to be called, and what it holds.

    This is in the window, so its Python is only asked where that is in doubt. A broken one keeps its name.
    """
    params = module.params
    if as_marked(os.path.realpath(params["path"])):
        return "", None
    try:
        found = _release.inspect(module.run_command, params["path"], params["distribution"])
    except RollingError:
        return "", None
    return other_name(module, found), found


def activate(module, target):
    """Make C(path) a link to C(target)."""
    params = module.params
    path = params["path"]
    plain = not os.path.islink(path)
    previous = os.path.realpath(path)
    changed = previous != target
    name, found = look_again(module) if changed and not plain else ("", None)
    result = dict(changed=changed, release=target, previous=name or previous, adopted=changed and plain, renamed=name,
                  diff=dict(before=f"{path} -> {previous}\n" if not plain else f"{path} is a plain directory\n",
                            after=(f"{path} -> {target}\n" if changed else f"{path} -> {previous}\n")
                            + (f"{previous} is kept as {name}\n" if name else "")))
    if not changed or module.check_mode:
        return result
    if not os.path.isdir(target):
        raise RollingError(f"there is no release {target} to activate: stage it first")
    if not os.path.isdir(path):
        raise RollingError(f"there is no virtualenv at {path}")
    if plain:
        result["previous"] = adopt(module.run_command, params, target)
    else:
        if name:
            rename(params, found, name)
        with remembered(os.path.dirname(target), result["previous"], target):
            link(target, path)
    # The link's own time says since when the release is active. It must not be before the swap.
    os.utime(path, follow_symlinks=False)
    _release.note_activation(path, noted_record(target))
    sync_directories(os.path.dirname(path), os.path.dirname(target))
    return result


def correct_shebangs(directory, old, new):
    """Scripts that an installer wrote under another name of the virtualenv point there: make them point to C(new)."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as handle:
            content = handle.read()
        if not content.startswith(b"#!"):
            continue
        # The first two lines: a long interpreter path is written as an exec in the second one. A directory whose name
        # only begins with that of the old one is another.
        lines = content.split(b"\n", 2)
        lines[:2] = [line.replace(os.fsencode(old + "/"), os.fsencode(new + "/")) for line in lines[:2]]
        corrected = b"\n".join(lines)
        if corrected != content:
            # Services may start it just now.
            owner = os.stat(path)
            with open(path + ".new", "wb") as handle:
                handle.write(corrected)
            os.chown(path + ".new", owner.st_uid, owner.st_gid)
            shutil.copystat(path, path + ".new")
            os.replace(path + ".new", path)


def check_file_system(path, releases):
    """Refuse to stage what could not be activated: the release directories must be on the file system of the link."""
    if os.stat(os.path.dirname(path)).st_dev != os.stat(releases).st_dev:
        raise RollingError(f"{releases} is on another file system than {path}, so activating could not be one rename: "
                           "choose a directory beside it (cluster_releases)")


def no_space(params):
    """What to know about a full disk, after what was begun is gone."""
    staging = params["state"] == "staged"
    needs = size(os.path.realpath(params["path"])) if staging else 0
    where = params["releases"] if staging and os.path.isdir(params["releases"]) else os.path.dirname(params["path"])
    # pip unpacks in the second one.
    return (f"the disk is full: {free_space(where, tempfile.gettempdir())}"
            + (f", a clone of {params['path']} needs {needs // 2**20 + 1} MB and then its upgrade" if needs else "")
            + ": remove old releases, or make room")


def check_request(params):
    """Refuse a lock that is not one of the release."""
    _release.check_lock(params["lock"])
    wanted = _release.pick(params["lock"], params["distribution"])
    if not wanted or wanted["version"] != params["version"]:
        held = wanted["version"] if wanted else "(not at all)"
        raise RollingError(f"the lock holds {params['distribution']} {held}, not {params['version']}: "
                           "resolve the release again")


def sources(params, lock):
    """Where pip finds what a lock says: in the wheelhouse, and if that does not have all of it on the index, too."""
    if not params["wheelhouse"]:
        return []
    if not os.path.isdir(params["wheelhouse"]):
        raise RollingError(f"there is no wheelhouse {params['wheelhouse']}: stage again")
    whole = {one["sha256"] for one in lock} <= set(digests_in_folder(params["wheelhouse"]).values())
    return ["--find-links", params["wheelhouse"], *(["--no-index"] if whole else [])]


def install(module, root, again=False, **options):
    """Install what the lock says into the virtualenv C(root), with its own pip, which first works out all of it.

    :arg again: whether it holds another build of the release, which pip would take for the one that the lock means.
    :returns: what pip installed.
    """
    params = module.params
    pip, source = _release.Pip(module, root, **options), sources(params, params["lock"])
    if again:
        pip.install(["--force-reinstall", "--no-deps", *source,
                     *pip.locked([_release.pick(params["lock"], params["distribution"])])])
    # What is installed and good enough stays, whether the lock names it or not.
    report = pip.install(["--upgrade-strategy", "only-if-needed", *source, *pip.locked(params["lock"])])
    check_version(module, root)
    return _release.installed(report)


def complete(module, clone, **options):
    """Install what a clone lacks of the lock, with its own pip.

    The lock is whole, so pip need not work out again what belongs together, which takes it as long as all else. Where
    the virtualenv differs from the one that was resolved, the clone is thrown away.

    :returns: what pip installed.
    """
    lock, pip = lacking(module, clone)[0], _release.Pip(module, clone, **options)
    report = pip.install(["--no-deps", *sources(module.params, lock), *pip.locked(lock)]) if lock else {}
    _release.check_requirements(module.run_command, clone, module.params["lock"], module.params["path"])
    check_version(module, clone)
    return _release.installed(report)


def check_version(module, root):
    """Refuse a virtualenv C(root) that pip has not brought to the release."""
    params = module.params
    found = _release.inspect(module.run_command, root, params["distribution"])
    if found["version"] != params["version"]:
        raise RollingError(f"{root} holds {params['distribution']} {found['version']} after pip, "
                           f"not {params['version']}")


def forget(root, but=()):
    """Remove what only holds for the release that the virtualenv C(root) held before."""
    for name in os.listdir(root):
        path = os.path.join(root, name)
        if name.startswith(KEPT) and name not in but:
            (shutil.rmtree if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)


def broken_by(module, found):
    """What goes together in the active virtualenv, and would not with the release.

    :arg found: what is active.
    :raises RollingError: where there is such a thing, and it is not to be put up with.
    """
    params = module.params
    new = _release.conflicts(module.run_command, params["path"], params["lock"]) if found["pip"] else []
    if new and params["conflicts"] == "fail":
        raise RollingError(f"installed packages would no longer fit together: {' '.join(new)} Upgrade these with the "
                           "release (stage_packages), or accept it with -e stage_conflicts=warn")
    return new


def build(module, clone, **options):
    """Clone the active virtualenv to C(clone) and upgrade the clone.

    :returns: what pip installed.
    """
    params = module.params
    active = os.path.realpath(params["path"])
    rc, out, err = module.run_command(["cp", "-a", "--reflink=auto", active, clone], **options)
    if rc != 0:
        # On a full disk cp complains of every single file.
        lines = (out + err).strip().splitlines()
        more = [f"({len(lines) - 3} more lines like these)"] if len(lines) > 4 else []
        raise RollingError(f"cannot clone {params['path']}",
                           pip_output="\n".join((lines[:3] if more else lines) + more))
    forget(clone)
    if _release.inspect(module.run_command, clone, params["distribution"])["version"] == params["version"]:
        # Another build of the same version. pip would take it for the one that the lock means, and leave it.
        _release.Pip(module, clone, **options).run("uninstall", ["--yes", params["distribution"]])
    packages = complete(module, clone, **options)
    # Of an installer that does not go by the link, scripts of the clone would run what the active release holds.
    named = params["path"]
    if params["scripts"] == "release":
        named = os.path.join(os.path.realpath(params["releases"]), params["name"])
    for old in (clone, active, params["path"]):
        correct_shebangs(os.path.join(clone, "bin"), old, named)
    mark(clone, _release.inspect(module.run_command, clone, params["distribution"]), params["name"])
    return packages


def lacking(module, root):
    """Which entries of the lock the virtualenv C(root) does not have, and by name the versions that it has."""
    lock, present = module.params["lock"], _release.distributions(module.run_command, root)
    before = {one["name"]: present.get(_release.canonical(one["name"]), {}).get("version") for one in lock}
    # As pip sees it: 6.0+debian1 is good enough for ==6.0.
    return [one for one in lock
            if one["version"] not in (before[one["name"]], (before[one["name"]] or "").split("+")[0])], before


def is_only_staged(params, target):
    """Whether no link leads to a release directory, and nobody keeps anything about it, such as a restore point."""
    places = [os.path.dirname(params["path"]), os.path.dirname(target)]
    links = [entry.path for place in places for entry in os.scandir(place) if entry.is_symlink()]
    kept = {name for name in os.listdir(target) if name.startswith(KEPT)} - {MARKER, _release.ACTIVATED}
    return not kept and target not in map(os.path.realpath, links)


def staged_already(module, target):
    """Whether the release directory is there. It is always whole, but may be of another release."""
    params = module.params
    # A link of its name is what is left of an adoption.
    if os.path.islink(target) or not os.path.isdir(target):
        return False
    staged = _release.inspect(module.run_command, target, params["distribution"])
    remove = f"remove it with rm -r {target}"
    if staged["version"] != params["version"]:
        raise RollingError(f"it holds {params['distribution']} {staged['version']}, not {params['version']}: {remove}")
    if rewritten(target, staged):
        raise RollingError(f"it holds another build of {params['distribution']} {staged['version']} than the one that "
                           f"was staged there: {remove}")
    return True


def outdated(module, target):
    """What a release directory that is there has otherwise than the lock says, in words; nothing where it is in use."""
    if not is_only_staged(module.params, target):
        return []
    other, before = lacking(module, target)
    return [f"{one['name']} {before[one['name']] or '(absent)'}, not {one['version']}" for one in other]


def make_way(params, target):
    """Remove a link that has the name of a release directory, which an interrupted adoption may have left."""
    if not os.path.islink(target):
        return
    for path in (params["path"], os.path.join(os.path.dirname(target), _release.PREVIOUS)):
        if os.path.islink(path) and os.readlink(path) == target:
            link(os.path.realpath(path), path, os.lstat(path).st_mtime_ns)
    os.unlink(target)


def stage(module, target):
    """Make sure that the release directory C(target) is there."""
    params = module.params
    check_request(params)
    stand_back(module)

    def look():
        """What is active, what it is to be called, and whether there is nothing to build."""
        found = _release.inspect(module.run_command, params["path"], params["distribution"])
        name = other_name(module, found, target)
        in_the_way = name and os.path.realpath(params["path"]) == target
        return found, name, not in_the_way and staged_already(module, target)

    found, name, staged = look()
    active = os.path.realpath(params["path"])
    release = f"{params['distribution']} {found['version']}"
    result = dict(changed=not staged or bool(name), release=target, renamed=name, conflicts=broken_by(module, found),
                  outdated=outdated(module, target) if staged else [])
    if not result["changed"]:
        return result
    if not staged:
        _release.require_pip(found, params["path"])
        result["packages"] = []
    result["diff"] = dict(before=f"{active}: {release}\n" if name else "",
                          after=(f"{name}: {release}\n" if name else "")
                          + (f"{target}: {params['distribution']} {params['version']}\n" if not staged else ""),
                          before_header=f"active: {release}")
    if module.check_mode:
        return result
    make_directory(params["releases"])
    check_file_system(params["path"], params["releases"])
    clone = os.path.join(params["releases"], f".{params['name']}.partial")
    with _release.exclusively(params["releases"]) as handle:
        # Another one may have staged it while this one waited.
        found, name, staged = look()
        result["renamed"] = name
        if name:
            rename(params, found, name)
        if staged:
            result["changed"] = bool(name)
            return result
        shutil.rmtree(clone, ignore_errors=True)
        try:
            # With the lock's handle: should this process be killed, its pip still holds the lock while it goes on.
            result["packages"] = build(module, clone, pass_fds=[handle])
            make_way(params, target)
            # What is activated may have to start after a loss of power.
            write_out(clone)
            os.rename(clone, target)
            sync_directories(params["releases"])
        finally:
            shutil.rmtree(clone, ignore_errors=True)
    return result


def upgrade(module, path):
    """Make sure that the active virtualenv C(path) itself holds what the lock says."""
    check_request(module.params)
    if module.check_mode:
        return upgraded(module, path)
    # The pip of one who was cut off goes on, and has the lock: two at once would leave halves of both.
    with _release.exclusively(path) as handle:
        return upgraded(module, path, pass_fds=[handle])


def upgraded(module, path, **options):
    params = module.params
    found = _release.inspect(module.run_command, path, params["distribution"])
    _release.require_pip(found, path)
    other, before = lacking(module, path)
    now = contents(found["record"])
    again = bool(now and params["contents"]) and now != params["contents"] and found["version"] == params["version"]
    build = f"another build of {params['distribution']} {params['version']}\n" if again else ""
    result = dict(changed=bool(other or again), release=path, diff=dict(
        before=build + "".join(f"{one['name']} {before[one['name']] or '(absent)'}\n" for one in other),
        after="".join(f"{one['name']} {one['version']}\n" for one in other)))
    if result["changed"] and not module.check_mode:
        result["packages"] = install(module, path, again, **options)
        forget(path)
        _release.note_activation(path, _release.inspect(module.run_command, path, params["distribution"])["record"])
        # There is no release to go back to.
        write_out(path)
    return result


def explained(module, state, act, target):
    """What it returns, or what a full disk means once what was begun is gone. Activating needs no space to speak of."""
    try:
        return act(module, target)
    except RollingError as exc:
        if FULL in exc.details.get("pip_output", ""):
            exc.message = no_space(module.params)
        raise
    except OSError as exc:
        full = exc.errno == errno.ENOSPC and state != "active"
        raise RollingError(f"{no_space(module.params)} ({exc})" if full else str(exc)) from exc


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str"),
            state=dict(type="str", choices=["staged", "active", "in_place"], required=True),
            path=dict(type="path", required=True),
            releases=dict(type="path"),
            scripts=dict(type="str", choices=["link", "release"], default="link"),
            conflicts=dict(type="str", choices=["warn", "fail"], default="warn"),
            distribution=dict(type="str", required=True),
            version=dict(type="str"),
            contents=dict(type="str", default=""),
            lock=_release.LOCK,
            wheelhouse=dict(type="path"),
            **_release.PIP_OPTIONS,
        ),
        required_if=[("state", "staged", ("name", "releases", "version", "lock")),
                     ("state", "active", ("name", "releases")),
                     ("state", "in_place", ("version", "lock"))],
        supports_check_mode=True,
    )
    _release.hide_credentials(module)
    # With a slash at its end a link would look like the directory that it leads to.
    module.params["path"] = module.params["path"].rstrip("/")
    state, name = module.params["state"], module.params["name"]
    target = module.params["path"]
    if state != "in_place":
        if not name or name.startswith(".") or "/" in name:
            module.fail_json(msg=f"{name!r} cannot be the name of a release directory")
        target = os.path.join(os.path.realpath(module.params["releases"]), name)
    intent = f"cannot {dict(staged='stage', active='activate', in_place='upgrade')[state]} {target}"
    act = dict(staged=stage, active=activate, in_place=upgrade)[state]
    _release.conclude_pip(module, intent, lambda: explained(module, state, act, target), module.params["path"])


if __name__ == "__main__":
    main()
