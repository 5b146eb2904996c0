#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: resolve_info
short_description: Resolve a release into a lock of exact versions with digests
version_added: 0.1.0
description:
  - Asks pip of a virtualenv which wheel of a distribution it would install, and which other packages would change with
    it. Nothing is installed.
  - The release comes from the package index, or from wheels on the controller (O(source)). What these do not have comes
    from the index; where they have all, no index is asked.
  - Done once for a whole cluster, it makes all nodes of the same Python and platform install the same, whatever appears
    on the index meanwhile.
  - The lock holds the whole closure of the release, with what is installed already at the version that is installed, so
    that a node where something is missing gets that, too.
  - The lock holds wheels only. What is offered as an sdist only is built into a wheel here, once, and that one is what
    every node gets.
  - A module of the controller goes with it, which chooses the wheel of the release, brings the wheels of O(source) to
    the node for as long as pip is asked, and fetches those that were built. Nothing of it stays on the node.
options:
  path:
    description: The virtualenv whose pip to ask, and whose installed packages count.
    type: path
    required: true
  distribution: {type: str, required: true, description: The Python distribution to resolve.}
  version:
    description: The version wanted. The newest one in O(source), or else on the index, if it is empty.
    type: str
    default: ""
  source:
    description:
      - Wheels on the controller to resolve from, each a file or a directory. Sdists in a directory count, too, but the
        release itself must be a wheel. A relative path is meant from where C(ansible-playbook) was started.
      - From the command line it may also be one string, a path, paths with commas between them, or a JSON list.
    type: list
    elements: path
    default: []
  packages:
    description: Further requirements to install or upgrade with the release, such as V(shakenfist-client>=0.8).
    type: list
    elements: str
    default: []
  running:
    description:
      - The names of the release directories that the nodes run, which get what is resolved here. Where all of them run
        the release, nobody is to install anything, and RV(lock) is only the release itself.
    type: list
    elements: str
    default: []
  given: {type: path, description: A tar file on the node of what O(source) has. Set by the module of the controller.}
  candidates:
    description: The names in O(given) of the wheels of the release. Set by the module of the controller.
    type: list
    elements: str
    default: []
  built:
    description: Where to put a tar file of the wheels that were built from sdists. Set by the module of the controller.
    type: path
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.pip]
"""

EXAMPLES = r"""
- name: Resolve the release in a directory of wheels on the controller
  shakenfist.rolling.resolve_info:
    path: /srv/shakenfist/venv
    distribution: shakenfist
    source: [~/wheels]
  register: resolved
  run_once: true
"""

RETURN = r"""
version:
  description: The exact version.
  returned: success
  type: str
  sample: 0.8.1
sha256:
  description: The digest of its wheel.
  returned: success
  type: str
  sample: 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
name:
  description: The name of its release directory, the version and the first eight digits of RV(sha256).
  returned: success
  type: str
  sample: 0.8.1-0a1b2c3d
contents:
  description: A digest of what this wheel installs, the same as C(active.contents) of
    M(shakenfist.rolling.release_info) where it is installed. Empty if the wheel cannot be had from here.
  returned: success
  type: str
  sample: 9b2f40c1d2e3f4a5b6c7d8e9f00112233445566778899aabbccddeeff0011223
packages:
  description: What would be installed or upgraded in this virtualenv. Empty if it already has that version.
  returned: success
  type: list
  elements: dict
lock:
  description: Every package that the release needs, for O(shakenfist.rolling.release#module:lock).
  returned: success
  type: list
  elements: dict
  sample: [{"name": "shakenfist", "version": "0.8.1", "sha256": "0a1b2c3d"}]
carried:
  description: What of the lock no index has, because it was given or was built from an sdist.
  returned: success
  type: list
  elements: dict
indexed:
  description: The rest of the lock, which comes from the index.
  returned: success
  type: list
  elements: dict
archive:
  description: A tar file of RV(carried) on the controller, for O(shakenfist.rolling.wheelhouse#module:src). It is
    removed when C(ansible-playbook) ends. Empty in check mode, and if nothing is carried.
  returned: success
  type: str
  sample: /root/.ansible/tmp/ansible-local-4711/0.8.1-0a1b2c3d-sf-1.tar
built:
  description: The names of the wheels that were built from sdists.
  returned: success
  type: list
  elements: str
  sample: [flasgger-0.9.7.1-py3-none-any.whl]
notice:
  description: In words, that the index has nothing newer than what is installed, and which of the wheels that were
    given are newer than what is installed and not used, because nothing asks for them. Empty otherwise.
  returned: success
  type: str
conflicts:
  description: What is installed and does not go with the release any more, one sentence each. What comes with it is not
    among that, nor what did not fit together before.
  returned: success
  type: list
  elements: str
  sample: ["sf-plugin 1.0 requires grpcio<1.60, and the release brings 1.62."]
unpinned:
  description: What the release needs and the lock does not hold, because the installed version is no longer to be
    found, or cannot be built. Other nodes have to have these installed already.
  returned: success
  type: list
  elements: str
python:
  description: The version of the virtualenv's Python that the lock is for.
  returned: success
  type: str
  sample: "3.11"
platform:
  description: The platform that the lock is for.
  returned: success
  type: str
  sample: linux-x86_64
"""

import json
import os
import pathlib
import re
import shutil
import tarfile
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _identity, _release, _wheels
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import FULL, RollingError, stand_back
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import is_older, version_key

# What pip compares by meaning (PEP 440). Distributions of the operating system may have versions of another kind.
PLAIN_VERSION = r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?"
# How pip says that there is no solution. Anything else, a silent index for example, is no reason to lock less.
NO_SOLUTION = ("No matching distribution found", "ResolutionImpossible", "metadata-generation-failed",
               "subprocess-exited-with-error", "Failed to build")
# An index that it cannot reach has no versions for pip, in the same words. These come before them.
SILENT = "after connection broken by"
# For an index that need not be there.
BRIEFLY = ["--retries", "1", "--timeout", "10"]


def by_name(packages):
    return {_release.canonical(package["name"]): package for package in packages}


def names_in(requirements):
    """The normalized names of requirements, without those that only an extra asks for."""
    matches = [re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in requirements
               if not re.search(r";.*\bextra\b", line)]
    return {_release.canonical(match.group()) for match in matches if match}


def needed(present, report, packages):
    """The installed distributions that the release needs, however indirectly, and that pip would leave as they are."""
    changing = {_release.canonical(item["metadata"]["name"]): item["metadata"].get("requires_dist", [])
                for item in report.get("install", [])}
    left, seen = {_release.canonical(name) for name in packages} | set(changing), set()
    while left:
        name = left.pop()
        seen.add(name)
        requires = changing[name] if name in changing else present.get(name, {}).get("requires", [])
        left |= names_in(requires) - seen
    return sorted(name for name in seen if name in present and name not in changing)


class Shelf:
    """Where wheels are looked for: those that were given, those that were built here, and the index.

    :ivar given: the directory of what was given, None where nothing was.
    :ivar built: the directory of the wheels that were built from sdists.
    """

    def __init__(self, module, pip):
        self.pip = pip
        self.given = None
        self.built = os.path.join(module.tmpdir, "built")
        os.mkdir(self.built)
        archive = module.params["given"]
        if archive:
            self.given = os.path.join(module.tmpdir, "given")
            os.mkdir(self.given)
            _wheels.unpack_tar(archive, _wheels.digests_in_tar(archive), self.given)

    def where(self, index=True):
        """The arguments for pip."""
        folders = ([self.built] if os.listdir(self.built) else []) + ([self.given] if self.given else [])
        return [*([] if index else ["--no-index"]), *(word for one in folders for word in ("--find-links", one))]

    def as_wheels(self, report, where, spare=None):
        """What a report of pip lists, with every sdist built into a wheel.

        :arg spare: takes the names of those that could not be built; without it that is an error.
        """
        packages = []
        for item, package in zip(report.get("install", []), _release.installed(report)):
            if _release.is_sdist(item):
                try:
                    package = dict(package, sha256=self.build(package, where))
                except RollingError:
                    if spare is None:
                        raise
                    spare.append(_release.canonical(package["name"]))
                    continue
            packages.append(package)
        return packages

    def dry_run(self, where, *arguments, spare=None):
        """pip's report of what it would install, and that as wheels."""
        report = self.pip.install([*where, "--dry-run", *arguments])
        return report, self.as_wheels(report, where, spare)

    def build(self, package, where):
        """Build one sdist, and exactly that, into a wheel.

        :returns: the digest of the wheel.
        """
        before = set(os.listdir(self.built))
        pip = _release.Pip(self.pip.module, self.pip.root)
        pip.run("wheel", [*where, *pip.module.params["extra_args"], "--no-deps", "--wheel-dir", self.built,
                          *pip.locked([package])])
        made = sorted(set(os.listdir(self.built)) - before)
        if len(made) != 1 or not made[0].endswith(".whl"):
            raise RollingError(f"pip built {', '.join(made) or 'nothing'} from the sdist of {package['name']} "
                               f"{package['version']}, expected one wheel: build it yourself, and add the wheel to "
                               "stage_source")
        return _wheels.digest_of_file(os.path.join(self.built, made[0]))

    def digests(self):
        """By digest the path of each file that no index has."""
        return {digest: os.path.join(folder, name) for folder in (self.given, self.built) if folder
                for name, digest in _wheels.digests_in_folder(folder).items()}


def contents_of(shelf, wheel, name, found):
    """What a wheel installs, and words where that cannot be known, for then only its version can be compared.

    :arg name: of the release directory that is made of it.
    :arg found: what is active.
    """
    active = os.path.realpath(shelf.pip.root)
    if os.path.basename(active) == name and not _identity.rewritten(active, found):
        return _identity.contents(found["record"]), ""
    path = shelf.digests().get(wheel["sha256"])
    if not path:
        folder = os.path.join(shelf.pip.module.tmpdir, "release")
        os.mkdir(folder)
        pip = _release.Pip(shelf.pip.module, shelf.pip.root)
        try:
            pip.run("download", [*BRIEFLY, *shelf.where(), *pip.module.params["extra_args"], "--no-deps", "--dest",
                                 folder, *pip.locked([wheel])])
        except RollingError:
            pass  # whoever stages it says why
        path = next((one.path for one in os.scandir(folder)), "")
    contents = _identity.contents_of_wheel(path)
    return contents, "" if contents else (
        f"What the wheel of {wheel['name']} {wheel['version']} holds cannot be seen from here. A node that runs this "
        "version counts as being on it, whichever build of it that is.")


def closure(module, shelf, where, requirements, changing, present, spare):
    """The packages that the release needs, all of them, if they are found at the versions that are installed.

    :arg spare: takes the names of those that could not be built; what is installed already need not be.
    :returns: them, or None if there is no such solution.
    """
    versions = {name: pin(name, facts["version"]) for name, facts in present.items()}
    versions.update({name: exactly(name, package["version"]) for name, package in changing.items()})
    constraints = os.path.join(module.tmpdir, "constraints.txt")
    with open(constraints, "w", encoding="utf-8") as handle:
        handle.writelines(f"{line}\n" for dummy, line in sorted(versions.items()))
    try:
        return shelf.dry_run(where, "--ignore-installed", "--constraint", constraints, *requirements, spare=spare)[1]
    except RollingError as exc:
        if no_solution(exc.details.get("pip_output", "")):
            return None
        raise


def pin(name, version):
    """A requirement of what is installed, without what the operating system added, as in 6.0+debian1."""
    return exactly(name, version.split("+")[0] if re.fullmatch(PLAIN_VERSION, version) else version)


def exactly(name, version):
    """A requirement of one version, of one build of it where it says which: 0.8.1.dev3+gabc1234."""
    return f"{name}=={version}" if re.fullmatch(PLAIN_VERSION, version) else f"{name}==={version}"


def no_solution(output):
    return SILENT not in output and FULL not in output and any(words in output for words in NO_SOLUTION)


def one_by_one(shelf, where, present, names, spare):
    """Of some installed packages, those that are found at the versions that are installed."""
    left = {name: pin(name, present[name]["version"]) for name in names}
    while left:
        try:
            return shelf.dry_run(where, "--no-deps", "--ignore-installed", *left.values(), spare=spare)[1]
        except RollingError as exc:
            output, sdist = exc.details.get("pip_output", ""), _release.canonical(exc.details.get("sdist", ""))
            # The second is what it says of one that a file of constraints names, too.
            match = re.search(r"(?:No matching distribution found for|Cannot install) ([A-Za-z0-9._-]+?)==", output)
            name = _release.canonical(match.group(1)) if match and not sdist else next(
                (one for one in left if sdist == one or re.match(re.escape(one) + r"(-\d|=)", sdist)), None)
            if SILENT in output or left.pop(name, None) is None:
                # It cannot be told which one it is.
                if no_solution(output):
                    return []
                raise
    return []


def find_release(module, shelf, found):
    """The wheel of the release.

    Alone and as if nothing were installed, so that a node which already has it tells its wheel, too.

    :returns: what it is, and the requirement that is for this one wheel only.
    """
    distribution, version = module.params["distribution"], module.params["version"]
    wanted = exactly(distribution, version) if version else distribution
    candidates = module.params["candidates"]
    where = shelf.where(index=not candidates)
    try:
        report = shelf.pip.install([*where, "--dry-run", "--no-deps", "--ignore-installed", wanted])
    except RollingError as exc:
        output = exc.details.get("pip_output", "")
        words = other_python(output, distribution, version, found["python"])
        if not words and candidates and "No matching distribution found" in output:
            words = (f"{', '.join(candidates)} {'is' if len(candidates) == 1 else 'are'} not for this node, which has "
                     f"Python {found['python']} on {found['platform']}: build a wheel for that, and add it to "
                     "stage_source")
        elif not words and version and SILENT not in output and "No matching distribution found" in output:
            words = ("the index does not have it. If you have built it, name its wheel or the directory of it, "
                     "-e stage_source=PATH")
        raise RollingError(words or exc.message, **exc.details) from exc
    # An sdist is not built for its version alone: an older one is refused first.
    plain = _release.pick(_release.installed(report), distribution)
    if not plain:
        raise RollingError(f"pip did not say which wheel of {distribution} it would install")
    notice = "" if version or candidates else judge_newest(shelf, module, found, plain["version"], report)
    wheel = _release.pick(shelf.as_wheels(report, where), distribution)
    requirement = exactly(distribution, wheel["version"])
    if candidates:
        # By its file: an index may have another wheel of this version.
        requirement = f"{distribution} @ {pathlib.Path(shelf.digests()[wheel['sha256']]).as_uri()}"
    return wheel, requirement, notice


def judge_newest(shelf, module, found, newest, report):
    """The newest release on the index must not be older than what runs.

    :returns: words where it is not newer either, for then nothing is to be done.
    """
    distribution, running = module.params["distribution"], found["version"]
    if version_key(newest) != version_key(running) and not is_older(newest, running):
        return ""  # it is newer, or another build
    host = urlsplit(report["install"][0].get("download_info", {}).get("url", "")).hostname
    where = "PyPI" if host == "files.pythonhosted.org" else f"the index ({host})" if host else "the index"
    try:
        early = _release.pick(_release.installed(shelf.pip.install(
            [*shelf.where(), "--dry-run", "--no-deps", "--ignore-installed", "--pre", distribution])), distribution)
    except RollingError:
        early = None  # it is only for the message
    early, more = (early or {}).get("version", ""), ""
    if version_key(early) > version_key(running):
        more = f" There is a pre-release, {early}, which is only taken where it is named: -e rolling_release={early}."
    elif version_key(early) > version_key(newest):
        more = f" The newest pre-release there, {early}, is older, too."
    if version_key(newest) == version_key(running):
        return f"{where} has nothing newer than {distribution} {running}, which this node runs.{more}"
    raise RollingError(
        f"the newest {distribution} on {where} is {newest}, and this node runs {running}, which is newer.{more} To "
        "roll to wheels that you have built, name them or their directory: -e stage_source=PATH. To roll to another "
        "release of the index: -e rolling_release=VERSION")


def changes(shelf, requirements):
    """What pip would change in the virtualenv.

    :returns: its report, the packages, and whether an index had to be asked.
    """
    missing = ""
    if shelf.given:
        try:
            return (*shelf.dry_run(shelf.where(index=False), "--upgrade", *requirements), False)
        except RollingError as exc:
            output = exc.details.get("pip_output", "")
            if not no_solution(output):
                raise
            missing = ", ".join(dict.fromkeys(re.findall(r"No matching distribution found for (\S+)", output)))
    try:
        return (*shelf.dry_run(shelf.where(), "--upgrade", *requirements), True)
    except RollingError as exc:
        output = exc.details.get("pip_output", "")
        absent = re.findall(r"No matching distribution found for (\S+)", output) or [missing]
        if missing and not exc.details.get("sdist") and "No matching distribution found" in output:
            index = "cannot be reached" if SILENT in output else "does not have it either"
            raise RollingError(f"the wheels of stage_source lack {absent[0]}, and the package index {index}: add its "
                               "wheel to them, or name an index with -e stage_index_url=URL", **exc.details) from exc
        raise


def complete(module, shelf, requirements, distribution, report, packages, asked, present):
    """The lock of all that the release needs, and the names of what it does not hold."""
    changing = by_name(packages)
    lock, where, spare = None, shelf.where(index=False), []
    if shelf.given:
        lock = closure(module, shelf, where, requirements, changing, present, spare)
    if lock is None and asked:
        where = shelf.where()
        lock = closure(module, shelf, where, requirements, changing, present, spare)
    elif lock is None:
        # All that changes was given, so an index is only asked for what is installed; there may be none.
        try:
            lock = closure(module, shelf, BRIEFLY + shelf.where(), requirements, changing, present, spare)
        except RollingError as exc:
            if SILENT not in exc.details.get("pip_output", ""):
                raise
    if lock is None:
        asked_for = names_in(module.params["packages"])
        names = [name for name in needed(present, report, {distribution} | asked_for)
                 if name != _release.canonical(distribution)]
        lock = packages + one_by_one(shelf, where, present, names, spare)
        spare += [name for name in names if name not in by_name(lock)]
    return lock, sorted(set(spare))


def not_used(present, files, lock, distribution):
    """What to say of given wheels that are newer than what will be installed, and by name their versions."""
    known = {name: facts["version"] for name, facts in present.items()}
    known.update((_release.canonical(package["name"]), package["version"]) for package in lock)
    found = {}
    for path in files:
        name, version = os.path.basename(path).split("-")[:2]
        name = _release.canonical(name)
        # Of one for some platforms, only pip on the node knows whether it fits.
        if not path.endswith("-any.whl") or name == _release.canonical(distribution) or name not in known:
            continue
        if version_key(version) > max(version_key(known[name]), version_key(found.get(name, ""))):
            found[name] = version
    if not found:
        return "", {}
    packages = json.dumps([f"{name}=={found[name]}" for name in sorted(found)])
    return (f"stage_source has newer wheels of {', '.join(sorted(found))} than what is installed. Nothing asks for "
            f"them, so they are not used. To install them, too, add -e '{{\"stage_packages\": {packages}}}'"), found


def work_out(module, shelf, wheel, requirement):
    """What pip would change, the lock of all that the release needs, and the names of what that does not hold."""
    path, distribution = module.params["path"], module.params["distribution"]
    requirements = [requirement, *module.params["packages"]]
    report, packages, asked = changes(shelf, requirements)
    for item in report.get("install", []):
        if item.get("is_direct") and _release.canonical(item["metadata"]["name"]) != _release.canonical(distribution):
            raise RollingError(f"pip would take {item['metadata']['name']} from an address of its own, where other "
                               "nodes would not look for it: put it on the index, and name it with a version")
    present = _release.distributions(module.run_command, path)
    lock, unpinned = complete(module, shelf, requirements, distribution, report, packages, asked, present)
    lock = dict(by_name(lock), **{_release.canonical(distribution): wheel})
    for package in lock.values():
        if not package["sha256"]:
            raise RollingError(f"pip did not say which wheel of {package['name']} it would install, with its sha256: "
                               "only what comes from an index or from stage_source can be locked")
    return packages, [lock[name] for name in sorted(lock)], unpinned


def resolve(module):
    """The exact release, and what comes with it."""
    path, distribution = module.params["path"], module.params["distribution"]
    found = _release.inspect(module.run_command, path, distribution)
    _release.require_pip(found, path)
    shelf = Shelf(module, _release.Pip(module, path))
    wheel, requirement, notice = find_release(module, shelf, found)
    name = f"{wheel['version']}-{wheel['sha256'][:8]}"
    if set(module.params["running"]) == {name} and not module.params["packages"]:
        # To work out what belongs together takes pip longer than all else.
        packages, lock, unpinned = [], [wheel], []
    else:
        packages, lock, unpinned = work_out(module, shelf, wheel, requirement)
    files, unused, newer = shelf.digests(), "", {}
    if shelf.given:
        present = _release.distributions(module.run_command, path)
        unused, newer = not_used(present, files.values(), lock, distribution)
    notice = "\n".join(filter(None, [notice, unused]))
    unpinned = [name for name in unpinned if name not in newer]
    carried = [package for package in lock if package["sha256"] in files]
    own = {os.path.basename(files[package["sha256"]]): files[package["sha256"]] for package in carried
           if os.path.dirname(files[package["sha256"]]) == shelf.built}
    if own and module.params["built"]:
        _wheels.write_tar(own, module.params["built"])
    contents, unknown = contents_of(shelf, wheel, name, found)
    notice = "\n".join(filter(None, [notice, unknown]))
    return dict(
        version=wheel["version"], sha256=wheel["sha256"], contents=contents,
        name=name, packages=packages, lock=lock, carried=carried,
        indexed=[package for package in lock if package not in carried], archive="", built=sorted(own), notice=notice,
        unpinned=unpinned, conflicts=_release.conflicts(module.run_command, path, lock),
        python=".".join(found["python"].split(".")[:2]), platform=found["platform"])


def other_python(output, distribution, version, python):
    """Words for a release that does not support the node's Python, None if pip complains of something else."""
    ignored = dict(re.findall(r"(\S+) Requires-Python ([^;\n]+)", output))
    newest = version or next(reversed(list(ignored)), "")
    wanted = ignored.get(newest)
    if not wanted:
        # From a folder of wheels; an index tells it beforehand.
        match = re.search(r"Package '\S+' requires a different Python: \S+ not in '([^']+)'", output)
        wanted = match and match.group(1)
    if not wanted:
        return None
    return f"{' '.join(filter(None, [distribution, newest]))} needs Python {wanted.strip()}, this node has {python}"


def resolve_and_tidy_up(module):
    before = set(os.listdir(module.tmpdir))
    try:
        return resolve(module)
    except tarfile.TarError as exc:
        raise RollingError(f"the wheels of stage_source have arrived damaged in {module.tmpdir} ({exc}): start again, "
                           "and if that does not help look at the disk and the memory of this node") from exc
    finally:
        # The directory is the ssh user's, who could not remove directories of root's from it.
        for name in set(os.listdir(module.tmpdir)) - before:
            if os.path.isdir(os.path.join(module.tmpdir, name)):
                shutil.rmtree(os.path.join(module.tmpdir, name), ignore_errors=True)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            distribution=dict(type="str", required=True),
            version=dict(type="str", default=""),
            source=dict(type="list", elements="path", default=[]),
            packages=dict(type="list", elements="str", default=[]),
            given=dict(type="path"),
            running=dict(type="list", elements="str", default=[]),
            candidates=dict(type="list", elements="str", default=[]),
            built=dict(type="path"),
            **_release.PIP_OPTIONS,
        ),
        supports_check_mode=True,
    )
    _release.hide_credentials(module)
    stand_back(module)
    wanted = f"{module.params['distribution']} {module.params['version'] or '(the newest release)'}"
    _release.conclude_pip(module, f"cannot resolve {wanted}", lambda: resolve_and_tidy_up(module), module.tmpdir)


if __name__ == "__main__":
    main()
