#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: packages
short_description: Bring the Debian packages of a node to a new release
version_added: 0.2.0
description:
  - Fetches, installs, or takes back what makes a release of packages - the sources of apt, pins, and the packages.
  - What is fetched goes to a directory of its own, C(/var/lib/shakenfist-rolling/apt), with lists of its own. Until
    O(state=upgraded), the node's sources, lists and packages stay what they are, so that nothing else on it installs
    the new release by chance.
  - An upgrade asks nobody. Configuration files that you have changed are kept, and RV(conffiles) names those of which
    the package has another version.
  - With O(start=false), packages start, restart and stop no service, by a C(policy-rc.d) that applies to this upgrade
    alone. It is removed afterwards. One that a killed run has left is removed by the next one. An operator's own one is
    put back, the same file.
  - It waits for another apt or dpkg, such as unattended-upgrades, and completes what an earlier one has left half done.
options:
  state:
    description:
      - With V(fetched), lists and archives are downloaded, and what O(expect) says is checked on a simulation. This
        touches no service, and needs no lock of apt's. In the end another apt or dpkg is waited for, so that whoever
        stops services next does not do so in vain.
      - With V(upgraded), the sources and pins are changed, and the packages upgraded with what was fetched. What was
        not, is.
      - With V(reverted), the sources and pins are put back as they were, if no package has changed since the upgrade
        began. There is no way back from one release of Debian to an earlier one, so else, and after an upgrade that is
        complete, nothing is done.
    type: str
    choices: [fetched, upgraded, reverted]
    required: true
  suites:
    description: For each suite in the sources of apt the one that comes after it. C(trixie) for C(bookworm) also makes
      C(trixie-updates) of C(bookworm-updates), and so on. A suite that has an entry of its own becomes what that says.
      Sources with other suites stay, and are in RV(unmapped).
    type: dict
    default: {}
  names:
    description: The packages to upgrade, of which those that are not installed are passed over. If it is empty, all
      are, by C(apt-get dist-upgrade).
    type: list
    elements: str
    default: []
  expect:
    description: By package, the version that it must have afterwards, V(0.19), which is any package of this upstream
      version, a shell pattern, V(1.1.1*), or V(*), which only means that it must stay. Packages that are not installed
      do not count. Anything else is refused before anything changes.
    type: dict
    default: {}
  pins:
    description: Preferences of apt for packages, kept in C(/etc/apt/preferences.d/shakenfist-rolling) from then on.
    type: list
    elements: dict
    default: []
    suboptions:
      packages: {type: list, elements: str, required: true, description: Names or patterns of packages.}
      pin: {type: str, required: true, description: "What is preferred, such as V(version 1.1.1*)."}
      priority: {type: int, default: 1001, description: "How much. From 1000 on a newer version goes back to it, too."}
  start: {type: bool, default: true, description: Whether packages may start and restart services.}
  units:
    description: Services that run no more, and must not after the upgrade. RV(started) has those that do nevertheless.
    type: list
    elements: str
    default: []
  stop_started: {type: bool, default: false, description: Whether to stop what is in RV(started).}
  lock_timeout:
    description: For how many seconds to wait for another apt or dpkg.
    type: float
    default: 600
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
    details: To tell what would change, it downloads the lists of the new release, to a directory that it removes.
  diff_mode:
    support: full
    details: Shows the sources of apt, and the packages with their versions.
"""

EXAMPLES = r"""
- name: Fetch the packages of the next Debian
  shakenfist.rolling.packages:
    state: fetched
    suites: {bookworm: trixie}
    expect: {ganeti: "3.1*"}

- name: Install them, without starting what is to stay stopped
  shakenfist.rolling.packages:
    state: upgraded
    suites: {bookworm: trixie}
    expect: {ganeti: "3.1*"}
    start: false
    units: [archipelago]
"""

RETURN = r"""
changes:
  description: What would change (V(fetched), and in check mode), or has changed. C(upgraded) and C(installed) have
    C(name), C(before) and C(after) of each package, C(removed) has names.
  returned: success, not with O(state=reverted)
  type: dict
sources:
  description: The lines of sources that would be, or were, changed. Each has C(file), C(line), C(before), C(after).
  returned: success
  type: list
unmapped:
  description: Suites in the sources that O(suites) says nothing of, and that are none of the new ones.
  returned: success
  type: list
download: {returned: with O(state=fetched), type: int, description: How many bytes of archives are there.}
continued:
  description: Packages that an earlier run of apt or dpkg had left half done.
  returned: with O(state=upgraded)
  type: list
conffiles:
  description: Configuration files that were kept though their package has another version, which lies beside, with the
    suffix C(.dpkg-dist) or C(.ucf-dist).
  returned: with O(state=upgraded)
  type: list
started:
  description:
    - Services of O(units) that run, and processes that maintainer scripts have started by themselves, though
      they were not to. C(unit) is empty for such a process. C(package) and C(script) are whose it is, from the process
      itself, or, for a unit, from the text of the scripts, where one of them starts it without asking the policy. With
      C(prevented), it did not run, because a condition of its unit was not met.
  returned: with O(state=upgraded) and O(start=false)
  type: list
  sample:
    - {unit: "", pid: 811, command: /usr/bin/archipelago, package: archipelago, script: postinst, prevented: false}
policy:
  description: V(recovered) if a C(policy-rc.d) of ours was there, which a killed run had left; else empty.
  returned: success
  type: str
reverted: {returned: with O(state=reverted), type: bool, description: Whether the sources are what they were.}
moved:
  description: The packages that have changed since an upgrade began that is not complete.
  returned: with O(state=reverted)
  type: list
"""

import json
import os
import shutil
import signal
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _packages as apt
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    RollingError,
    boot_id,
    conclude,
    disk_full,
    flocked,
    last_lines,
    make_directory,
    replace_file,
    stand_back,
    wait_for,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import Systemd

PINS = "/etc/apt/preferences.d/shakenfist-rolling"
CONFOLD = ["-o", "Dpkg::Options::=--force-confold"]
STOP_WITHIN = 30.0      # seconds
# What dpkg says of a package that failed, and when it begins with one. Between them are the words of its scripts.
FAILED = "dpkg: error processing "
BEGINS = ("Setting up ", "Preparing to unpack ", "Unpacking ", "Removing ", "Processing triggers ")


def read(path):
    """A file as text; None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(path, text):
    replace_file(path, text.encode("utf-8", "surrogateescape"))


def of_scripts(out):
    """What dpkg and the scripts said of the packages that failed, which others may have followed."""
    lines, found = [line for line in out.splitlines() if line.strip()], []
    for number, line in enumerate(lines):
        if line.startswith(FAILED):
            begin, end = number, number + 1
            while begin and number - begin < 6 and not lines[begin].startswith(BEGINS):
                begin -= 1
            while end < len(lines) and lines[end].startswith(" "):
                end += 1
            found += lines[begin:end]
    return last_lines("\n".join(found))


class Upgrade:
    """The packages of a node on their way to a release.

    :arg home: where what is fetched is kept.
    """

    def __init__(self, module, home):
        self.params, self.check, self.run, self.home = module.params, module.check_mode, module.run_command, home
        self.before, self.after, entries = apt.read_sources(self.params["suites"])
        self.sources = [{name: one[name] for name in ("file", "line", "before", "after")}
                        for one in entries if one["before"] != one["after"]]
        new = self.params["suites"].values()
        self.unmapped = sorted({
            one["suite"] for one in entries if new and one["before"] == one["after"]
            and not any(one["suite"] == suite or one["suite"].startswith((f"{suite}-", f"{suite}/")) for suite in new)})
        self.pins = "\n".join(f"Package: {' '.join(pin['packages'])}\nPin: {pin['pin']}\n"
                              f"Pin-Priority: {pin['priority']}\n" for pin in self.params["pins"])

    # ---- what it needs

    def apt(self, *words, what, options=()):
        """Run apt-get with the lists and archives that were fetched."""
        own = [f"Dir::Etc::sourcelist={self.home}/sources.list", f"Dir::Etc::sourceparts={self.home}/sources.list.d",
               f"Dir::Etc::preferencesparts={self.home}/preferences.d", f"Dir::State::lists={self.home}/lists",
               f"Dir::Cache={self.home}/cache", *options]
        if any(pin["priority"] >= 1000 for pin in self.params["pins"]):
            # With -y it refuses what such a pin is for.
            own.append("APT::Get::allow-downgrades=true")
        rc, out, err = self.run(["apt-get", "-q", "-y", *[word for option in own for word in ("-o", option)], *words],
                                environ_update=apt.WORDS, data="\n")
        return self.ended(rc, out, err, what)

    def ended(self, rc, out, err, what):
        """The output of a program that has ended; of one that failed the error."""
        failed = [line for line in err.splitlines() if "Failed to fetch" in line or "index files failed" in line]
        if rc == 0 and not failed:
            return out
        said = "\n".join(filter(None, [of_scripts(out) or last_lines(out, 6), last_lines(err)]))
        if apt.is_disk_full(said):
            raise RollingError(f"{what}: {disk_full(self.home, apt.at('/var/lib/dpkg'), apt.at('/usr'))}", output=said)
        raise RollingError(f"{what} (rc {rc}):\n{said or 'it said nothing'}", output=said)

    def make_sources(self):
        """The configuration of apt that the release is fetched with, in a place where only we look."""
        for folder in ("sources.list.d", "preferences.d", "lists/partial", "cache/archives/partial"):
            make_directory(f"{self.home}/{folder}")
        files = {f"{self.home}/{path[len(apt.at('/etc/apt/')):]}": text for path, text in self.after.items()}
        preferences = apt.at("/etc/apt/preferences.d")
        for name in sorted(os.listdir(preferences)) if os.path.isdir(preferences) else ():
            if os.path.isfile(f"{preferences}/{name}"):
                files[f"{self.home}/preferences.d/{name}"] = read(f"{preferences}/{name}")
        if self.pins:
            files[f"{self.home}/preferences.d/{os.path.basename(PINS)}"] = self.pins
        changed = False
        for folder in (self.home, f"{self.home}/sources.list.d", f"{self.home}/preferences.d"):
            for name in os.listdir(folder):
                path = f"{folder}/{name}"
                if os.path.isfile(path) and path not in files and name not in ("fetched", apt.BEFORE, "boot"):
                    os.unlink(path)
                    changed = True
        for path, text in files.items():
            if read(path) != text:
                write(path, text)
                changed = True
        return changed

    def lists(self, anew):
        """Have the lists of the release."""
        stamp = f"{self.home}/fetched"
        if self.make_sources() or anew or not os.path.exists(stamp):
            if os.path.exists(stamp):
                os.unlink(stamp)
            self.apt("update", what="the lists of the new release were not fetched")
            write(stamp, "")

    def command(self, packages):
        """What is asked of apt."""
        names = self.params["names"]
        return ["install", *[name for name in names if name in packages]] if names else ["dist-upgrade"]

    def simulate(self, packages, options=()):
        """What apt would do now, without a look at who has its locks."""
        command = self.command(packages)
        if command == ["install"]:
            return dict(upgraded=[], installed=[], removed=[])
        return apt.simulated(self.apt("--simulate", *options, *command, what="apt does not see how to upgrade"))

    def refuse(self, packages, changes):
        """Stop before anything changes if something would come that is not expected."""
        problems = apt.expected_problems(packages, changes, self.params["expect"])
        if problems:
            raise RollingError(
                f"apt would not do what is expected: {'; '.join(problems)}. Nothing was changed. See that the sources "
                "and pins have the release (apt-cache policy), and start again", changes=changes)

    def facts(self, changes, **more):
        diff = dict(
            before="".join(f"{one['before']}\n" for one in self.sources)
            + "".join(f"{one['name']} {one['before']}\n" for one in changes["upgraded"])
            + "".join(f"{name}\n" for name in changes["removed"]),
            after="".join(f"{one['after']}\n" for one in self.sources)
            + "".join(f"{one['name']} {one['after']}\n" for one in changes["upgraded"] + changes["installed"]))
        return dict(changes=changes, sources=self.sources, unmapped=self.unmapped, policy="", diff=diff, **more)

    # ---- the states

    def fetch(self):
        packages = apt.packages_of(self.run)
        self.lists(anew=True)
        broken = apt.half_done(packages)
        # Half done packages are in the way of everything else but this.
        changes = self.simulate(packages, ["--fix-broken"] if broken else [])
        self.refuse(packages, changes)
        folder = f"{self.home}/cache/archives"
        there = self.archives(folder)
        if not self.check and any(changes[kind] for kind in ("upgraded", "installed")):
            self.apt("--download-only", *(["--fix-broken"] if broken else []), *self.command(packages),
                     what="the archives of the new release were not fetched", options=["Debug::NoLocking=true"])
        now = self.archives(folder)
        if not self.check:
            apt.wait_for_locks(self.params["lock_timeout"])
        return self.facts(changes, changed=now != there, download=sum(now.values()))

    @staticmethod
    def archives(folder):
        return {entry.name: entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(".deb")}

    def upgrade(self):
        apt.wait_for_locks(self.params["lock_timeout"])
        recovered = not self.check and apt.allow_starts()
        packages, journal = apt.packages_of(self.run), apt.journal_left()
        broken = apt.half_done(packages)
        self.lists(anew=False)
        changes = self.simulate(packages, ["--fix-broken"] if broken else [])
        self.refuse(packages, changes)
        pending = bool(broken or journal or any(changes.values()))
        write_pins = bool(self.pins) and read(apt.at(PINS)) != self.pins
        result = self.facts(changes, continued=broken, conffiles=apt.kept_conffiles(),
                            changed=bool(pending or self.sources or write_pins or recovered))
        if self.check:
            return result
        if self.sources or write_pins or pending:
            self.record(packages, anew=bool(self.sources or write_pins))
            self.write_sources()
        result["policy"] = "recovered" if recovered else ""
        asked = apt.asked(self.run, self.params["units"])
        if pending:
            # By this it is known whether the node has rebooted since, also where apt goes on without this process.
            write(f"{self.home}/boot", boot_id())
            try:
                self.install(packages, broken or journal)
            except RollingError as exc:
                # What was started before something else failed is to stop all the same.
                found = [] if self.params["start"] else self.started(asked)
                more = f"\nMeanwhile, though it was not to: {described(found)}" if found else ""
                raise RollingError(f"{exc.message}{more}", started=found, **exc.details) from exc
        after = apt.packages_of(self.run)
        result.update(changes=apt.difference(packages, after), conffiles=apt.kept_conffiles())
        if not self.params["start"]:
            result["started"] = self.started(asked)
        left = apt.half_done(after)
        if left:
            raise RollingError(f"apt has ended, but dpkg is not done with {', '.join(left)}: run dpkg --configure -a "
                               "on this node, see what it says, and start again", **result)
        self.complete(after)
        return result

    def install(self, packages, half):
        """Complete what is half done, then upgrade, under our policy if nothing is to be started."""
        lock = [f"DPkg::Lock::Timeout={int(self.params['lock_timeout'])}"]
        if not self.params["start"]:
            apt.forbid_starts()
        try:
            if half:
                # What fails here may be what the new version of another package fixes: apt has the last word.
                self.run(["dpkg", "--force-confold", "--configure", "-a"], environ_update=apt.WORDS, data="\n")
                self.apt(*CONFOLD, "--fix-broken", "install", options=lock,
                         what="what was left half done was not completed")
            command = self.command(packages)
            if command != ["install"]:
                self.apt(*CONFOLD, *command, options=lock, what="not all packages were upgraded: see them with "
                         "dpkg --audit on this node; the next run goes on there")
            self.adopt_lists()
        finally:
            if not self.params["start"]:
                apt.allow_starts()

    def adopt_lists(self):
        """Make the lists that were fetched those of the node, and remove the archives, which are installed now."""
        for entry in os.scandir(f"{self.home}/lists"):
            if entry.is_file() and entry.name != "lock":
                shutil.copy(entry.path, f"{apt.at('/var/lib/apt/lists')}/{entry.name}")
        for entry in os.scandir(f"{self.home}/cache/archives"):
            if entry.name.endswith(".deb"):
                os.unlink(entry.path)

    def started(self, asked):
        """What runs, or would run, though it was not to be started."""
        found = apt.running(self.run, self.params["units"])
        of_units = {one["pid"] for one in found}
        found += [one for one in apt.left_by_scripts() if one["pid"] not in of_units]
        if found and self.params["stop_started"]:
            units = [one["unit"] for one in found if one["unit"]]
            if units:
                Systemd(self.run).stop(*units)
            for one in found:
                if not one["unit"]:
                    end(one["pid"])
            if not wait_for(lambda: not apt.running(self.run, units) and not apt.left_by_scripts(), STOP_WITHIN):
                raise RollingError(f"{described(found)} and did not end within {STOP_WITHIN:g} s: stop it on this "
                                   "node, and start again", started=found)
        running = [one["unit"] for one in found]
        return found + [dict(unit=unit, pid=0, command="", prevented=True, **apt.who_starts(unit))
                        for unit, when in apt.asked(self.run, self.params["units"]).items()
                        if when != asked.get(unit) and unit not in running]

    # ---- sources, and their way back

    def record(self, packages, anew):
        """Keep the restore point, before anything is changed; that of a run that was killed stays.

        :arg anew: whether the sources are still to be changed, before which no run has changed a package.
        """
        path, versions = f"{self.home}/{apt.BEFORE}", apt.versions_of(packages)
        kept = json.loads(read(path) or "{}")
        if not kept or anew and kept["versions"] != versions:
            kept = dict(versions=versions, files={})
        for name, text in [*self.before.items(), (apt.at(PINS), read(apt.at(PINS)))]:
            kept["files"].setdefault(name, text)
        write(path, json.dumps(kept))

    def complete(self, packages):
        """Nothing leads back from here, and to the upgrade after this one the restore point would tell of changes."""
        path = f"{self.home}/{apt.BEFORE}"
        if json.loads(read(path) or "{}").get("versions", apt.versions_of(packages)) != apt.versions_of(packages):
            os.unlink(path)

    def write_sources(self):
        for path, text in self.after.items():
            if text != self.before[path]:
                write(path, text)
        if self.pins:
            write(apt.at(PINS), self.pins)

    def revert(self):
        kept = json.loads(read(f"{self.home}/{apt.BEFORE}") or "{}")
        # Else nothing of ours is on the node, and whoever waits for this has its services stopped.
        if kept:
            apt.wait_for_locks(self.params["lock_timeout"])
        recovered = not self.check and apt.allow_starts()
        result = dict(changed=bool(recovered), reverted=False, moved=[], sources=[], unmapped=[],
                      policy="recovered" if recovered else "")
        if not kept:
            return result
        packages = apt.packages_of(self.run)
        now = apt.versions_of(packages)
        moved = sorted({name for name in {*now, *kept["versions"]} if now.get(name) != kept["versions"].get(name)}
                       | set(apt.half_done(packages)))
        if moved:
            return dict(result, moved=moved)
        differing = {path: text for path, text in kept["files"].items() if read(path) != text}
        result.update(changed=bool(differing or recovered), reverted=True, sources=[
            dict(file=path[len(apt.ROOT):], line=0, before=apt.shown(read(path) or ""), after=apt.shown(text or ""))
            for path, text in differing.items()])
        if not self.check:
            for path, text in differing.items():
                if text is None:
                    os.unlink(path)
                else:
                    write(path, text)
            os.unlink(f"{self.home}/{apt.BEFORE}")
        return result


def end(pid):
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass


def described(found):
    """What was started, and by whom, in words."""
    return "; ".join(
        f"{one['unit'] or one['command']} " + ("was to be started" if one["prevented"] else f"runs (pid {one['pid']})")
        + (f", started by {one['script']} of {one['package']}" if one["package"] else "") for one in found)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["fetched", "upgraded", "reverted"], required=True),
            suites=dict(type="dict", default={}),
            names=dict(type="list", elements="str", default=[]),
            expect=dict(type="dict", default={}),
            pins=dict(type="list", elements="dict", default=[], options=dict(
                packages=dict(type="list", elements="str", required=True), pin=dict(type="str", required=True),
                priority=dict(type="int", default=1001))),
            start=dict(type="bool", default=True),
            units=dict(type="list", elements="str", default=[]),
            stop_started=dict(type="bool", default=False),
            lock_timeout=dict(type="float", default=600),
        ),
        supports_check_mode=True,
    )
    home, state = apt.at(apt.HOME), module.params["state"]

    if state == "fetched":
        stand_back(module)

    def act():
        # Another run of ours may have been killed and have left its apt at work, or a policy.
        with flocked(home, module.params["lock_timeout"]) as turn:
            if turn is None:
                raise RollingError(f"another run has been upgrading the packages of this node for "
                                   f"{module.params['lock_timeout']:g} s: let it end, and start again")
            if not module.check_mode or state == "reverted":
                upgrade = Upgrade(module, home)
                return getattr(upgrade, {"fetched": "fetch", "upgraded": "upgrade", "reverted": "revert"}[state])()
            with tempfile.TemporaryDirectory() as folder:
                os.chmod(folder, 0o755)
                upgrade = Upgrade(module, folder)
                return upgrade.fetch() if state == "fetched" else upgrade.upgrade()

    conclude(module, act, {"fetched": "cannot fetch the packages", "upgraded": "cannot upgrade the packages",
                           "reverted": "cannot take the sources of apt back"}[state], home)


if __name__ == "__main__":
    main()
