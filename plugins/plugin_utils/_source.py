# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import os
import re
import zipfile
from email.parser import HeaderParser

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import SDISTS, canonical
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import version_key
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import digest_of_file

# name-version(-build)-python-abi-platform.whl
WHEEL = re.compile(r"(?P<name>[\w.]+)-(?P<version>[\w.+!]+)(-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl", re.ASCII)


def not_a_name(path):
    return RollingError(f"{path} does not have the name of a wheel (NAME-VERSION-py3-none-any.whl): give it back the "
                        "one that it was built with, or take it away from there")


def metadata(path, whole):
    """Name and version of a wheel, by what it says of itself.

    :arg whole: whether to read all of it, so that it is known to be undamaged.
    :raises RollingError: if it is not a wheel that can be read, or is called by other words than it uses itself.
    """
    found = WHEEL.fullmatch(os.path.basename(path))
    if not found:
        raise not_a_name(path)
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            text = archive.read(inside[0]).decode("utf-8") if inside else ""
            damaged = archive.testzip() if whole else None
            if damaged:
                raise ValueError(f"{damaged} in it is damaged")
    except Exception as exc:  # of damaged and of encrypted files Python's zipfile raises errors of many kinds
        raise RollingError(f"{path} is not a wheel that can be read ({exc}): build or copy it again") from exc
    said = HeaderParser().parsestr(text)
    name, version = said.get("Name") or "", said.get("Version") or ""
    if canonical(name) != canonical(found["name"]) or version_key(version) != version_key(found["version"]):
        raise RollingError(f"{path} says of itself that it is {name or '(nothing)'} {version}: give it back the name "
                           "that it was built with, or build it again")
    return name, version


def in_directory(path):
    """The wheels and sdists in a directory, and words for what is called like one and is no file."""
    try:
        names = [name for name in sorted(os.listdir(path)) if name.endswith((".whl", *SDISTS))
                 and not name.startswith(".")]
    except OSError as exc:
        raise RollingError(f"cannot read the directory {path} ({exc.strerror}): let the user that runs Ansible read "
                           "it") from exc
    paths = [os.path.join(path, name) for name in names]
    found = [one for one in paths if os.path.isfile(one)]
    odd = [f"{one} is left out: it is {kind_of(one)}, not a file" for one in paths if one not in found]
    if not any(name.endswith(".whl") for name in found):
        raise RollingError(f"there is no wheel in the directory {path} on this machine: build one there (python3 -m "
                           f"pip wheel --no-deps --wheel-dir {path} CHECKOUT), or name another directory"
                           f"{''.join('; ' + words for words in odd)}")
    return found, odd


def kind_of(path):
    return "a directory" if os.path.isdir(path) else "a link to nothing" if os.path.islink(path) else "something else"


def files_at(source):
    """The files of one source, whether the operator has named the file himself, and words for what is left out."""
    if re.match(r"[a-z][a-z0-9+.-]*://", source):
        raise RollingError(f"stage_source has {source}, which is a URL: download it, and name the file or its "
                           "directory")
    path = os.path.abspath(os.path.expanduser(source))
    if os.path.isdir(path):
        found, odd = in_directory(path)
        return found, False, odd
    if not os.path.isfile(path):
        raise RollingError(f"there is no {path} on this machine: stage_source names wheels, or a directory of wheels, "
                           "on the machine that Ansible runs on")
    if not path.endswith(".whl"):
        raise RollingError(f"{path} is no wheel, its name does not end in .whl: build one from it (python3 -m pip "
                           f"wheel --no-deps {path}), and name that")
    return [path], True, []


def files_of(sources):
    """By name the path of each file, the paths that the operator has named himself, and words for what is left out."""
    files: dict[str, str] = {}
    digests: dict[str, str] = {}
    named: list[str] = []
    left_out: list[str] = []
    for source in sources:
        found, is_named, odd = files_at(source)
        left_out += odd
        named += found if is_named else []
        for one in found:
            name = os.path.basename(one)
            try:
                digest = digest_of_file(one)
            except OSError as exc:
                raise RollingError(f"cannot read {one} ({exc.strerror}): let the user that runs Ansible read it, copy "
                                   "it again, or take it away from there") from exc
            if digests.setdefault(name, digest) != digest:
                raise RollingError(f"{files[name]} and {one} are two wheels of the same name that differ: it is not "
                                   "clear which one is meant, name one of them only")
            files.setdefault(name, one)
    # What no wheel is called, as a browser's second download, is left out if it is there under a wheel's name, too.
    # Neither pip nor anybody else can tell what is in it.
    wheels = sorted(name for name in files if WHEEL.fullmatch(name))
    for name in [name for name in files if name.endswith(".whl") and name not in wheels]:
        same = next((one for one in wheels if digests[one] == digests[name]), None)
        if not same:
            raise not_a_name(files[name])
        left_out.append(f"{files.pop(name)} is left out: it is the same as {files[same]}")
    return files, named, left_out


def choose_version(versions, distribution, version):
    """Which one of the releases that are given is meant.

    :arg versions: those that there are, in order.
    :arg version: the one that was asked for, empty for the newest.
    """
    def alike(wanted, *without):
        return [one for one in versions if version_key(one, without) == version_key(wanted, without)]

    if version:
        # As pip has it: a version that names no build is that of any build of it.
        found, why, other = alike(version) or "+" not in version and alike(version, "local") or [], "", ""
    else:
        found, why, other = alike(versions[-1], "local"), ", of which none is newer", ", or leave only one there"
    if len(found) > 1:
        raise RollingError(f"stage_source has several builds of {distribution} {version or found[0].split('+')[0]} "
                           f"({', '.join(found)}){why}: name one with -e rolling_release={found[-1]}{other}")
    if found:
        return found[0]
    near = [one for one in versions if version_key(one, ("pre", "dev", "local")) == version_key(version)]
    if near:
        raise RollingError(f"stage_source has {distribution} {', '.join(near)}, which is a build on the way to "
                           f"{version}, not {version} itself: to roll to it, name it as it is with "
                           f"-e rolling_release={near[-1]}, or leave rolling_release out")
    raise RollingError(f"stage_source has no {distribution} {version}, only {', '.join(versions)}: correct "
                       f"rolling_release, or leave it out to roll to {versions[-1]}")


def choose(sources, distribution, version):
    """What of the wheels on this machine is the release.

    :returns: C(version), C(candidates), the names of its wheels (one for each platform that it was built for),
        C(files), the path of each file that goes with it, by name, and C(left_out), words for what else is there.
    :raises RollingError: where it is not clear, or where that is no release.
    """
    files, named, left_out = files_of(sources)
    wheels = {}
    for name, path in files.items():
        # A damaged wheel of something else is not in the way, unless it is needed; pip says so then.
        is_own = canonical(name.split("-")[0]) == canonical(distribution)
        if name.endswith(".whl") and (path in named or is_own):
            wheels[name] = metadata(path, is_own)
    own = {name: said for name, (title, said) in wheels.items() if canonical(title) == canonical(distribution)}
    if not own:
        others = sorted({f"{title} {said}" for title, said in wheels.values()}) or sorted(files)
        raise RollingError(f"stage_source has no wheel of {distribution}, only {', '.join(others[:5])}"
                           f"{' and ' + str(len(others) - 5) + ' more' if len(others) > 5 else ''}: build one from "
                           "a checkout (python3 -m pip wheel --no-deps CHECKOUT), and name it or its directory")
    versions = sorted(set(own.values()), key=version_key)
    chosen = choose_version(versions, distribution, version)
    candidates = sorted(name for name in own if own[name] == chosen)
    # The other releases stay here: nothing may take one of them.
    return dict(version=chosen, candidates=candidates, left_out=left_out,
                files={name: path for name, path in files.items() if name not in own or name in candidates})
