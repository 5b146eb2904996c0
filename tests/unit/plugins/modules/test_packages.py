# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _packages as apt
from ansible_collections.shakenfist.rolling.plugins.modules import packages
from ansible_collections.shakenfist.rolling.tests.unit.fake_apt import POLICY, FakeApt
from ansible_collections.shakenfist.rolling.tests.unit.fakes import unit

SUITES = {"wheezy": "jessie"}
PINS = [dict(packages=["python-gevent"], pin="version 1.1.1*")]
NEW = "deb [trusted=yes] http://db:8080 jessie main"


@pytest.fixture
def node(tmp_path, monkeypatch):
    root = tmp_path / "root"
    fake = FakeApt(root)
    monkeypatch.setattr(apt, "ROOT", str(root))
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda dummy, command, **options: fake(command, **options))
    monkeypatch.setattr(apt, "left_by_scripts", lambda: [])
    return fake


@pytest.fixture
def run(run_module, node):
    def call(state, check=False, **arguments):
        return run_module(packages, check, state=state, **dict(dict(suites=SUITES), **arguments))
    return call


def seen(node):
    """The files of a node that are not ours."""
    return {str(path.relative_to(node.root)): path.read_bytes() for path in sorted(node.root.rglob("*"))
            if path.is_file() and "shakenfist-rolling/apt" not in str(path)}


# ---- fetched

def test_what_is_fetched_changes_nothing_on_the_node(run, node):
    before = seen(node)
    result = run("fetched", expect={"snf-common": "0.19", "not-here": "1"}, pins=PINS)
    assert not result["failed"] and result["changed"] and result["download"] == 6
    assert result["changes"]["upgraded"] == [dict(name="snf-common", before="0.18.1-1", after="0.19-1"),
                                             dict(name="gunicorn", before="0.14.5-3", after="19.0-1")]
    assert result["sources"] == [dict(file="/etc/apt/sources.list.d/synnefo.list", line=2, after=NEW,
                                      before="deb [trusted=yes] http://db:8080 wheezy main")]
    assert seen(node) == before and node.packages["snf-common"] == "0.18.1-1"
    assert "snf-common 0.19-1" in result["diff"]["after"] and "snf-common 0.18.1-1" in result["diff"]["before"]
    pins = node.root / "var/lib/shakenfist-rolling/apt/preferences.d/shakenfist-rolling"
    assert pins.read_text() == "Package: python-gevent\nPin: version 1.1.1*\nPin-Priority: 1001\n"
    again = run("fetched", pins=PINS)
    assert not again["changed"] and len(node.ran("update")) == 2
    # A pin that is wanted no more, and a preference of the operator's.
    (node.root / "etc/apt/preferences.d/own").write_text("Package: x\n")
    run("fetched")
    assert sorted(os.listdir(pins.parent)) == ["own"]


@pytest.mark.parametrize("priority, yes", [(1001, True), (1000, True), (990, False)])
def test_a_pin_may_lead_back_to_an_earlier_version(run, node, priority, yes):
    """With -y apt refuses that by itself: "Packages were downgraded and -y was used without --allow-downgrades"."""
    run("upgraded", pins=[dict(PINS[0], priority=priority)])
    for line in node.ran("--simulate") + node.ran("--force-confold"):
        assert ("APT::Get::allow-downgrades=true" in line) is yes


def test_fetched_in_check_mode(run, node):
    result = run("fetched", check=True)
    assert not result["failed"] and not result["changed"] and result["changes"]["upgraded"] and result["download"] == 0
    assert not (node.root / "var/lib/shakenfist-rolling").exists() and not node.ran("--download-only")


def test_nothing_to_fetch(run, node):
    result = run("fetched", suites={})
    assert not result["failed"]
    assert not result["changed"]
    assert result["unmapped"] == []
    assert not node.ran("--download-only")


@pytest.mark.parametrize("held, removes, expect, words", [
    ([], [], {"snf-common": "0.20"}, "snf-common would be 0.19-1, not 0.20"),
    ([], ["snf-common"], {"snf-common": "*"}, "snf-common would be removed"),
    (["gunicorn"], [], {"gunicorn": "19*"},
     "gunicorn would be 0.14.5-3, which is on hold (apt-mark unhold it), not 19*"),
])
@pytest.mark.parametrize("state", ["fetched", "upgraded"])
def test_what_is_not_expected_is_refused(run, node, state, held, removes, expect, words):
    node.held, node.removes, before = held, removes, seen(node)
    result = run(state, expect=expect)
    assert result["failed"] and f"apt would not do what is expected: {words}. Nothing was changed." in result["msg"]
    assert seen(node) == before and not node.ran("--force-confold")


@pytest.mark.parametrize("warns", ["W: Failed to fetch http://db  Could not connect",
                                   "W: Some index files failed to download."])
def test_lists_that_are_not_complete(run, node, warns):
    """apt-get update ends with 0 then."""
    node.warns = warns
    result = run("fetched")
    assert result["failed"] and f"the lists of the new release were not fetched (rc 0):\n{warns}" in result["msg"]
    # What is half there is fetched anew.
    node.warns = ""
    run("upgraded")
    assert len(node.ran("update")) == 2


@pytest.mark.parametrize("said, words", [
    ("dpkg: No space left on device", "were not fetched: the disk is full: "),
    ("E: You don't have enough free space in /var", "were not fetched: the disk is full: "),
    ("E: no such suite", "were not fetched (rc 100):\nE: no such suite"), ("", "(rc 100):\nit said nothing")])
def test_apt_fails(run, node, said, words):
    node.fails["--download-only"] = said
    result = run("fetched")
    assert result["failed"]
    assert result["msg"].startswith("cannot fetch the packages: the archives ")
    assert words in result["msg"]


SCRIPT = ("Setting up snf-pithos-app (0.19-1) ...\n\nno table pithos\ndpkg: error processing package snf-pithos-app "
          "(--configure):\n installed snf-pithos-app package post-installation script failed\n")
LATER = "".join(f"Setting up other-{number} (1) ...\n" for number in range(9))
MANY = "".join(f"word {number}\n" for number in range(9))


@pytest.mark.parametrize("printed, words", [
    (SCRIPT + LATER, SCRIPT.replace("\n\n", "\n")),
    (LATER + SCRIPT.replace("no table", MANY + "no table"),
     "word 4\nword 5\nword 6\nword 7\nword 8\nno table pithos\ndpkg: "),
    ("dpkg: error processing archive x.deb (--unpack):\n it is broken\n" + LATER,
     "dpkg: error processing archive x.deb (--unpack):\n it is broken\n"),
    (LATER, "Setting up other-3 (1) ...\n"), ("", "")])
def test_a_script_fails(run, node, printed, words):
    """Other packages are configured after that, so its words are not the last ones."""
    node.prints, node.fails["--force-confold dist-upgrade"] = printed, "E: Sub-process /usr/bin/dpkg"
    result = run("upgraded")
    assert result["failed"] and "(rc 100):\n" + words in result["msg"]
    assert result["msg"].endswith("E: Sub-process /usr/bin/dpkg") and "word 3" not in result["msg"]


def test_half_done_packages_are_in_the_way_of_no_download(run, node):
    node.broken = {"snf-common": "half-configured"}
    assert run("fetched")["changed"]
    assert all("--fix-broken" in line for line in node.ran("--simulate") + node.ran("--download-only"))
    assert "Debug::NoLocking=true" in node.ran("--download-only")[0]


# ---- upgraded

def test_upgraded_from_what_was_fetched(run, node, eager):
    run("fetched")
    assert len(eager) == 1
    node.sources.chmod(0o640)
    result = run("upgraded", expect={"snf-common": "0.19"}, pins=PINS)
    assert not result["failed"] and len(eager) == 1, "only what does not stop anything stands back"
    assert result["changed"]
    assert node.packages == {"snf-common": "0.19-1", "gunicorn": "19.0-1"}
    assert node.sources.read_text() == f"# ours\n{NEW}\n" and node.sources.stat().st_mode & 0o777 == 0o640
    assert [one["name"] for one in result["changes"]["upgraded"]] == ["gunicorn", "snf-common"]
    assert result["continued"] == [] and "started" not in result
    # Its lists are those of the node, and the archives are not kept.
    assert (node.root / "var/lib/apt/lists/db_jessie_Packages").exists()
    assert not list((node.root / "var/lib/shakenfist-rolling/apt/cache/archives").glob("*.deb"))
    assert (node.root / "etc/apt/preferences.d/shakenfist-rolling").read_text().startswith("Package: python-gevent\n")
    again = run("upgraded", expect={"snf-common": "0.19"}, pins=PINS)
    assert not again["failed"] and not again["changed"] and again["sources"] == []


def test_upgraded_in_check_mode(run, node):
    before = seen(node)
    result = run("upgraded", check=True, start=False)
    assert not result["failed"] and result["changed"] and result["changes"]["upgraded"] and seen(node) == before
    assert node.packages["snf-common"] == "0.18.1-1"


def test_only_some_packages(run, node):
    assert run("upgraded", names=["snf-common", "snf-astakos-app"])["changed"]
    assert node.packages == {"snf-common": "0.19-1", "gunicorn": "0.14.5-3"}
    assert node.ran("--force-confold")[0].endswith(" install snf-common")
    result = run("upgraded", names=["snf-astakos-app"])
    assert not result["failed"] and not result["changed"]


def test_conffiles_that_were_kept(run, node):
    path = node.root / "etc/synnefo/20-api.conf.dpkg-dist"
    path.parent.mkdir()
    node.meanwhile["dist-upgrade"] = lambda: path.write_text("new")
    assert run("upgraded")["conffiles"] == ["/etc/synnefo/20-api.conf"]


@pytest.mark.parametrize("journal", [False, True])
def test_what_was_left_half_done_is_completed_first(run, node, journal):
    node.broken = {} if journal else {"snf-common": "half-configured"}
    if journal:
        (node.root / "var/lib/dpkg/updates/0001").write_text("x")
    result = run("upgraded", start=False)
    assert not result["failed"] and result["continued"] == ([] if journal else ["snf-common"])
    mutating = [(line, ours) for line, ours in node.calls if line.startswith("dpkg ") or "confold" in line]
    assert ["configure -a" in line or "--fix-broken install" in line or line.endswith(" dist-upgrade")
            for line, dummy in mutating] == [True] * 3
    assert all(ours for dummy, ours in mutating), "what was left half done may start services, too"
    assert not (node.root / POLICY).exists()


def test_dpkg_is_not_done_though_apt_is(run, node):
    node.meanwhile["--force-confold dist-upgrade"] = lambda: setattr(node, "dpkg_query", lambda *_: (
        0, "snf-common\t0.19-1\tinstall ok half-configured\n", ""))
    result = run("upgraded")
    assert result["failed"]
    assert "apt has ended, but dpkg is not done with snf-common: run dpkg --configure -a" in result["msg"]


# ---- services

@pytest.mark.parametrize("own", [None, "file", "link"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_policy(run, node, own, fails):
    path = node.root / POLICY
    if own == "file":
        path.write_bytes(b"#!/bin/sh\nexit 0\n")
        path.chmod(0o750)
    elif own == "link":
        (node.root / "usr/bin/policy").write_text("#!/bin/sh\nexit 0\n")
        path.symlink_to("../bin/policy")
    before = path.lstat() if own else None
    if fails:
        node.fails["--force-confold dist-upgrade"] = "E: Sub-process /usr/bin/dpkg returned an error code (1)"
    result = run("upgraded", start=False)
    assert result["failed"] is fails
    assert [ours for line, ours in node.calls if "confold dist-upgrade" in line] == [True]
    if not own:
        assert not os.path.lexists(path)
    else:
        after = path.lstat()
        assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert sorted(os.listdir(path.parent)) == (["policy-rc.d"] if own else [])


def test_services_may_start_where_that_is_wanted(run, node):
    run("upgraded")
    assert not any(ours for dummy, ours in node.calls)


@pytest.mark.parametrize("mark, kept, code", [("1", False, 101), ("", False, 104), ("", True, 77), ("1", True, 101)])
def test_what_the_policy_says(node, mark, kept, code):
    """It is for what we install alone; for others an operator's own one counts meanwhile."""
    own = node.root / "own"
    own.write_text("#!/bin/sh\nexit 77\n")
    own.chmod(0o755)
    script = node.root / "policy"
    script.write_text(apt.SCRIPT.replace(apt.KEPT, str(own if kept else node.root / "none")))
    environment = {"PATH": os.environ["PATH"], **({apt.MARK: mark} if mark else {})}
    assert subprocess.run(["sh", str(script), "gunicorn", "restart"], env=environment, check=False).returncode == code


@pytest.mark.parametrize("state", ["upgraded", "reverted"])
@pytest.mark.parametrize("own", [False, True])
def test_a_policy_that_a_killed_run_has_left(run, node, own, state):
    path = node.root / POLICY
    if own:
        path.write_text("mine")
    apt.forbid_starts()
    assert run(state, check=True)["policy"] == "" and apt.policy_of() == "ours"
    result = run(state)
    assert result["policy"] == "recovered" and result["changed"]
    assert path.read_text() == "mine" if own else not path.exists()
    assert sorted(os.listdir(path.parent)) == (["policy-rc.d"] if own else [])


def test_killed_at_any_moment_between(run, node):
    path, kept = node.root / POLICY, node.root / f"{POLICY}.rolling-kept"
    path.write_text("mine")
    os.link(path, kept)  # and then it was killed, before ours was there
    (node.root / f"{POLICY}.rolling-new").write_text("half")
    assert run("upgraded")["policy"] == "recovered"
    assert path.read_text() == "mine" and sorted(os.listdir(path.parent)) == ["policy-rc.d"]
    os.rename(path, kept)  # somebody has removed ours
    assert run("upgraded")["policy"] == "recovered" and path.read_text() == "mine"


def test_two_policies_of_operators(run, node):
    (node.root / POLICY).write_text("mine")
    (node.root / f"{POLICY}.rolling-kept").write_text("mine, too")
    result = run("upgraded")
    assert result["failed"]
    assert "put the right one at /usr/sbin/policy-rc.d, remove /usr/sbin/policy-rc.d.rolling-kept" in result["msg"]
    assert (node.root / POLICY).read_text() == "mine"
    assert (node.root / f"{POLICY}.rolling-kept").read_text() == "mine, too"


STOPPED = unit("inactive", "dead", ConditionResult="no", ConditionTimestampMonotonic="0")


def starts(node, name, **state):
    node.meanwhile["--force-confold dist-upgrade"] = lambda: node.units.update({name: unit(
        **dict(dict(ConditionResult="yes", ConditionTimestampMonotonic="9"), **state))})


def test_a_script_that_starts_its_service(run, node):
    node.units = {"gunicorn": STOPPED, "archipelago": STOPPED}
    starts(node, "gunicorn")
    (node.root / "var/lib/dpkg/info/gunicorn.postinst").write_text("#!/bin/sh\nsystemctl start gunicorn.service\n")
    result = run("upgraded", start=False, units=["gunicorn", "archipelago"])
    assert not result["failed"]
    assert [(one["unit"], one["package"], one["script"], one["prevented"]) for one in result["started"]] == [
        ("gunicorn", "gunicorn", "postinst", False)]
    result = run("upgraded", start=False, units=["gunicorn", "archipelago"], stop_started=True)
    assert [one["unit"] for one in result["started"]] == ["gunicorn"]
    assert node.units["gunicorn"]["ActiveState"] == "inactive"
    assert run("upgraded", start=False, units=["gunicorn"])["started"] == []


def test_a_start_that_a_condition_has_prevented(run, node):
    node.units = {"gunicorn": STOPPED}
    starts(node, "gunicorn", active="inactive", sub="dead", ConditionResult="no")
    result = run("upgraded", start=False, units=["gunicorn"])
    assert [(one["unit"], one["pid"], one["prevented"]) for one in result["started"]] == [("gunicorn", 0, True)]


def test_a_script_that_starts_the_program_itself(run, node, monkeypatch):
    """The process is known by what dpkg gives to its scripts, and ends."""
    monkeypatch.undo()
    monkeypatch.setattr(apt, "ROOT", str(node.root))
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda dummy, command, **options: node(command, **options))
    made = []

    def start():
        environment = {apt.MARK: "1", "DPKG_MAINTSCRIPT_PACKAGE": "archipelago", "DPKG_MAINTSCRIPT_NAME": "postinst"}
        made.append(subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
                                     env=environment, stdout=subprocess.PIPE))
        made[0].stdout.readline()

    node.meanwhile["--force-confold dist-upgrade"] = start
    monkeypatch.setattr(packages, "end", lambda pid: (os.kill(pid, signal.SIGTERM), made[0].wait()))
    result = run("upgraded", start=False, stop_started=True)
    [one] = [one for one in result["started"] if one["pid"] == made[0].pid]
    assert one["package"] == "archipelago" and one["script"] == "postinst" and one["unit"] == ""
    assert made[0].returncode == -signal.SIGTERM


def test_one_that_does_not_stop(run, node, clock):
    node.units, node.stops = {"gunicorn": unit(ConditionResult="yes")}, False
    result = run("upgraded", start=False, units=["gunicorn"], stop_started=True)
    assert result["failed"]
    assert "gunicorn runs (pid 1) and did not end within 30 s: stop it on this node" in result["msg"]


def test_started_though_the_upgrade_failed(run, node):
    node.units = {"gunicorn": STOPPED}
    starts(node, "gunicorn")
    (node.root / "var/lib/dpkg/info/gunicorn.postinst").write_text("service gunicorn start\n")
    node.fails["--force-confold dist-upgrade"] = "E: Sub-process /usr/bin/dpkg returned an error code (1)"
    result = run("upgraded", start=False, units=["gunicorn"], stop_started=True)
    assert result["failed"] and result["started"][0]["unit"] == "gunicorn"
    assert result["msg"].endswith(
        "Meanwhile, though it was not to: gunicorn runs (pid 1), started by postinst of gunicorn")
    assert node.units["gunicorn"]["ActiveState"] == "inactive"


def test_a_process_that_has_ended_by_itself():
    packages.end(2 ** 22 + 1)


# ---- locks

def test_another_apt_is_waited_for(run, node, monkeypatch):
    path = node.root / "var/lib/dpkg/lock-frontend"
    path.write_text("")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
         "print('has it', flush=True); sys.stdin.read()", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        result = run("upgraded", lock_timeout=0)
        assert result["failed"] and result["locked"]["pid"] == holder.pid
        assert f"(pid {holder.pid}) still has /var/lib/dpkg/lock-frontend. See what it does" in result["msg"]
        assert node.calls == []
        # What is only fetched needs none of them, but whoever has it fetched stops services next.
        result = run("fetched", lock_timeout=0)
        assert result["failed"] and result["locked"]["pid"] == holder.pid and node.ran("--download-only")
        assert not run("fetched", check=True, lock_timeout=0)["failed"]
        # Nothing was begun, so nothing is waited for on the way back.
        assert not run("reverted", lock_timeout=0)["failed"]
        (node.root / f"{apt.HOME[1:]}/{apt.BEFORE}").write_text('{"versions": {}, "files": {}}')
        assert run("reverted", lock_timeout=0)["locked"]["pid"] == holder.pid
        (node.root / f"{apt.HOME[1:]}/{apt.BEFORE}").unlink()
        looks = []
        real = apt.lock_holder

        def look():
            looks.append(real())
            if len(looks) == 2:
                holder.stdin.close()
                holder.wait()
            return looks[-1]

        monkeypatch.setattr(apt, "lock_holder", look)
        assert run("upgraded", lock_timeout=60)["changed"]
        assert [bool(one) for one in looks] == [True, True, False]
    finally:
        holder.kill()
        holder.wait()


def test_another_run_of_ours(run, node):
    from ansible_collections.shakenfist.rolling.plugins.module_utils import _common
    home = f"{node.root}{apt.HOME}"
    _common.make_directory(_common.TURNS)
    with open(_common.turn_of(home), "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = run("upgraded", lock_timeout=0)
    assert result["failed"] and "another run has been upgrading the packages of this node for 0 s" in result["msg"]


# ---- reverted

def test_reverted_where_no_package_has_changed(run, node):
    node.fails["--force-confold dist-upgrade"] = "E: no"
    before = seen(node)
    assert run("upgraded", pins=PINS)["failed"] and "jessie" in node.sources.read_text()
    # Another attempt does not take what it finds for what was there before.
    assert run("upgraded", pins=PINS)["failed"]
    check = run("reverted", check=True)
    assert check["changed"] and check["reverted"] and "jessie" in node.sources.read_text()
    result = run("reverted")
    assert result["changed"] and result["reverted"] and result["moved"] == [] and seen(node) == before
    assert {one["file"] for one in result["sources"]} == {"/etc/apt/sources.list.d/synnefo.list",
                                                          "/etc/apt/preferences.d/shakenfist-rolling"}
    again = run("reverted")
    assert not again["changed"] and not again["reverted"]


def test_no_way_back_from_new_packages(run, node):
    run("upgraded")
    result = run("reverted")
    assert not result["failed"] and not result["changed"] and not result["reverted"]
    assert result["moved"] == [] and "jessie" in node.sources.read_text()


def test_an_earlier_upgrade_is_not_what_forbids_the_way_back(run, node):
    """The step after it changes no sources, and has failed elsewhere before it has come here."""
    run("upgraded")
    assert run("reverted", suites={})["moved"] == []


def test_half_an_upgrade_without_new_sources_is_known(run, node):
    """Also to a run that fails before it comes to the packages: what is half new must not be started."""
    node.index["wheezy"] = node.index["jessie"]

    def cut_off():
        node.packages["gunicorn"] = "19.0-1"
    node.meanwhile["--force-confold dist-upgrade"] = cut_off
    node.fails["--force-confold dist-upgrade"] = "killed"
    for dummy in range(2):
        assert run("upgraded", suites={})["failed"]
        assert run("reverted", suites={})["moved"] == ["gunicorn"]
    node.fails, node.meanwhile = {}, {}
    assert not run("upgraded", suites={})["failed"]
    assert run("reverted", suites={})["moved"] == []


def test_a_reboot_is_due_where_apt_goes_on_without_the_module(run, node):
    """The next run finds nothing left to do, and the node has not rebooted since."""
    boot = node.root / "var/lib/shakenfist-rolling/apt/boot"
    run("upgraded", check=True)
    run("fetched")
    assert not boot.exists()
    node.meanwhile["--force-confold dist-upgrade"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run("upgraded")
    assert boot.exists()


def test_no_way_back_from_half_of_one(run, node):
    node.fails["--force-confold dist-upgrade"] = "E: no"
    run("upgraded")
    node.broken = {"snf-common": "unpacked"}
    assert run("reverted")["moved"] == ["snf-common"]


def test_what_leads_back_is_of_this_upgrade(run, node):
    run("upgraded")
    node.sources.write_text(node.sources.read_text().replace("jessie", "stretch"))
    node.index["buster"] = node.index["stretch"] = node.index["jessie"]
    node.fails["never"] = ""
    run("upgraded", suites={"stretch": "buster"})
    assert run("reverted")["reverted"] and "stretch" in node.sources.read_text()


def test_a_link_to_sources_stays_one(run, node):
    real = node.root / "etc/real.list"
    os.rename(node.sources, real)
    node.sources.symlink_to(real)
    run("upgraded")
    assert node.sources.is_symlink() and "jessie" in real.read_text()


def test_a_suite_that_nothing_is_said_of(run, node):
    (node.root / "etc/apt/sources.list").write_text("deb http://ceph wheezy-firefly main\ndeb http://own stable main\n")
    result = run("fetched")
    assert result["unmapped"] == ["stable"] and result["sources"][0]["after"] == "deb http://ceph jessie-firefly main"


def test_a_disk_that_is_full(run, node, monkeypatch):
    def fail(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(packages, "write", fail)
    assert "cannot upgrade the packages: the disk is full: " in run("upgraded")["msg"]
