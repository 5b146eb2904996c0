# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import sys
import sysconfig
import tarfile

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _release, _wheels
from ansible_collections.shakenfist.rolling.plugins.module_utils._wheels import digests_in_tar, write_tar
from ansible_collections.shakenfist.rolling.plugins.modules import release_info, resolve_info
from ansible_collections.shakenfist.rolling.tests.unit.fakes import entry
from ansible_collections.shakenfist.rolling.tests.unit.wheels import (
    index,
    locked,
    make_sdist,
    make_wheel,
    pip_environment,
    real_venv,
    run_pip,
)

SHA = "0a1b2c3d" * 8
OFFERS = [entry("shakenfist", "0.8.1", SHA), entry("flask", "3.0", "ff")]


@pytest.fixture
def resolve(run_module, tmp_path):
    def run(**arguments):
        result = run_module(resolve_info, path=str(tmp_path / "venv"), distribution="shakenfist", **arguments)
        log = tmp_path / "pip.log"
        result["calls"] = log.read_text().splitlines() if log.exists() else []
        return result

    return run


# ---- with a real pip

@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """What is offered: two releases, and their dependencies in more than one version."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "shakenfist", "0.8.0", ["flask>=1", "attrs"])
    make_wheel(folder, "shakenfist", "0.8.1", ["flask>=1", "attrs", "grpcio==1.5"])
    for name, version, requires in [("flask", "1.0", ["Jinja-2"]), ("flask", "2.0", ["jinja.2"]), ("attrs", "1.0", []),
                                    ("attrs", "2.0", []), ("jinja_2", "1.0", []), ("grpcio", "1.5", []),
                                    ("plugin", "1.0", ["attrs", "unused; extra == 'all'"]), ("plugin", "2.0", []),
                                    ("unused", "1.0", []), ("other", "1.0", [])]:
        make_wheel(folder, name, version, requires)
    pip_environment(monkeypatch, folder)
    return folder


PRESENT = ["shakenfist==0.8.0", "flask==1.0", "attrs==1.0", "jinja_2==1.0", "other==1.0"]


@pytest.fixture
def node(wheels, tmp_path):
    return lambda *requirements: real_venv(tmp_path / "venv", wheels, *(requirements or PRESENT))


def names(packages):
    return [f"{package['name']}-{package['version']}" for package in packages]


def test_the_whole_closure_is_locked_at_what_is_installed(resolve, node, wheels):
    before = run_pip(node(), "list")
    result = resolve()
    assert not result["failed"] and not result["changed"]
    assert sorted(names(result["packages"])) == ["grpcio-1.5", "shakenfist-0.8.1"]
    expected = ["attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0", "shakenfist-0.8.1"]
    assert result["lock"] == locked(wheels, *expected)
    assert result["unpinned"] == []
    assert result["version"] == "0.8.1" and result["name"] == f"0.8.1-{result['sha256'][:8]}"
    assert result["python"] == ".".join(platform.python_version_tuple()[:2])
    assert result["platform"] == sysconfig.get_platform()
    assert run_pip(wheels.parent / "venv", "list") == before


def test_where_all_run_it_nothing_is_worked_out(resolve, node, wheels, monkeypatch):
    node("shakenfist==0.8.1")
    whole = resolve(version="0.8.1")
    assert len(whole["lock"]) == 5
    run, asked = _release.Pip.run, []
    monkeypatch.setattr(_release.Pip, "run", lambda pip, verb, arguments: asked.append(arguments) or run(
        pip, verb, arguments))
    result = resolve(version="0.8.1", running=[whole["name"]])
    assert result["lock"] == locked(wheels, "shakenfist-0.8.1") and result["packages"] == result["unpinned"] == []
    assert {key for key in result if result[key] != whole[key]} - {"invocation"} == {
        "lock", "indexed", "packages"}
    assert not any("--upgrade" in arguments or "--constraint" in arguments for arguments in asked)
    for more in dict(running=[whole["name"], ""]), dict(running=[whole["name"]], packages=["attrs"]), dict(running=[]):
        assert resolve(version="0.8.1", **more)["lock"] == whole["lock"]


def test_what_it_holds_is_what_is_there_once_it_is_installed(resolve, node, wheels, run_module, tmp_path):
    """So a node is known to have another build of the version that it runs, whoever has installed it."""
    root = node()
    result = resolve(version="0.8.1")
    assert not result["failed"] and result["notice"] == ""

    def installed():
        return run_module(release_info, path=str(root), releases=str(tmp_path / "releases"),
                          distribution="shakenfist")["active"]

    assert installed()["contents"] != result["contents"]
    run_pip(root, "install", "--no-deps", "shakenfist==0.8.1")
    assert installed()["contents"] == result["contents"] != ""
    make_wheel(wheels, "shakenfist", "0.8.1", body="# published again")
    assert resolve(version="0.8.1")["contents"] not in ("", installed()["contents"])


@pytest.fixture
def no_download(monkeypatch):
    run = _release.Pip.run

    def refuse(pip, verb, arguments):
        if verb == "download":
            raise _release.RollingError("pip failed", pip_output="404")
        return run(pip, verb, arguments)

    monkeypatch.setattr(_release.Pip, "run", refuse)


@pytest.mark.usefixtures("no_download")
def test_a_wheel_that_cannot_be_had(resolve, node):
    node()
    result = resolve()
    assert not result["failed"] and result["contents"] == ""
    assert result["notice"] == ("What the wheel of shakenfist 0.8.1 holds cannot be seen from here. A node that runs "
                                "this version counts as being on it, whichever build of it that is.")


def test_a_pin_that_the_release_breaks(resolve, node, wheels):
    make_wheel(wheels, "shakenfist", "0.8.2", ["flask>=2"])
    make_wheel(wheels, "pinned", "1.0", ["Flask<2", "attrs<1; extra == 'all'", "other"])
    node(*PRESENT, "pinned==1.0")
    assert resolve(version="0.8.1")["conflicts"] == []
    assert resolve(version="0.8.2")["conflicts"] == ["pinned 1.0 requires Flask<2, and the release brings 2.0."]


@pytest.mark.usefixtures("no_download")
def test_of_a_release_that_is_active_the_wheel_is_not_fetched(resolve, node, tmp_path):
    root = node("shakenfist==0.8.1")
    release = tmp_path / "releases" / resolve(version="0.8.1")["name"]
    release.parent.mkdir(exist_ok=True)
    root.rename(release)
    root.symlink_to(release)
    result = resolve(version="0.8.1")
    assert result["notice"] == "" and len(result["contents"]) == 64


def test_a_release_that_is_installed_already(resolve, node, wheels):
    node("shakenfist==0.8.1", *PRESENT[1:], "grpcio==1.5")
    result = resolve(version="0.8.1")
    assert result["packages"] == []
    assert names(result["lock"]) == ["attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0", "shakenfist-0.8.1"]


def test_further_requirements_are_in_the_lock(resolve, node):
    node(*PRESENT, "plugin==1.0")
    result = resolve(packages=["plugin>=2", "other"])
    assert names(result["lock"]) == ["attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0", "other-1.0", "plugin-2.0",
                                     "shakenfist-0.8.1"]


@pytest.mark.parametrize("gone", ["flask-1.0", "jinja_2-1.0"])
def test_an_installed_version_that_the_index_no_longer_has(resolve, node, wheels, gone):
    node(*PRESENT, "plugin==1.0")
    (wheels / f"{gone}-py3-none-any.whl").unlink()
    result = resolve(packages=["plugin==1.0"])
    assert not result["failed"]
    expected = ["attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0", "plugin-1.0", "shakenfist-0.8.1"]
    assert names(result["lock"]) == [name for name in expected if name != gone]
    assert result["unpinned"] == [gone.split("-")[0].replace("_", "-")]


def test_an_installed_version_that_the_index_no_longer_has_and_constraints_name(resolve, node, wheels, tmp_path):
    """pip speaks of a conflict then."""
    node(*PRESENT)
    (wheels / "flask-1.0-py3-none-any.whl").unlink()
    (tmp_path / "constraints.txt").write_text("shakenfist==0.8.1\nflask==1.0\njinja_2==1.0\nattrs==1.0\n")
    result = resolve(extra_args=["--constraint", str(tmp_path / "constraints.txt")])
    assert not result["failed"] and result["unpinned"] == ["flask"]
    assert names(result["lock"]) == ["attrs-1.0", "grpcio-1.5", "jinja_2-1.0", "shakenfist-0.8.1"]


def test_what_the_operating_system_added_to_a_version(resolve, node, wheels):
    root = node()
    old = next(root.glob("lib/python3*/site-packages/flask-1.0.dist-info"))
    new = old.rename(old.parent / "flask-1.0+debian1.dist-info")
    (new / "METADATA").write_text((new / "METADATA").read_text().replace("Version: 1.0", "Version: 1.0+debian1"))
    result = resolve()
    assert result["unpinned"] == [] and "flask-1.0" in names(result["lock"])


def test_what_does_not_come_from_an_index(resolve, node, wheels):
    node()
    result = resolve(packages=[f"other @ file://{wheels}/other-1.0-py3-none-any.whl"], extra_args=["--force-reinstall"])
    assert result["failed"] and "pip would take other from an address of its own" in result["msg"]


def test_installed_already_and_no_longer_on_the_index(resolve, node, wheels):
    node("shakenfist==0.8.1", *PRESENT[1:], "grpcio==1.5")
    (wheels / "flask-1.0-py3-none-any.whl").unlink()
    result = resolve()
    assert names(result["lock"]) == ["attrs-1.0", "grpcio-1.5", "jinja_2-1.0", "shakenfist-0.8.1"]
    assert result["unpinned"] == ["flask"]


@pytest.mark.parametrize("version", ["0.9.0", ""])
def test_another_python_is_needed_says_an_index(resolve, node, wheels, tmp_path, monkeypatch, version):
    node()
    pip_environment(monkeypatch)
    offered = tmp_path / "offered"
    make_wheel(offered, "shakenfist", "0.9.0", python=">=3.99")
    with index(offered, {"shakenfist-0.9.0-py3-none-any.whl": "&gt;=3.99"}) as url:
        result = resolve(version=version, index_url=f"http://me:hunter2@{url}")
    assert result["failed"]
    assert (f": shakenfist 0.9.0 needs Python >=3.99, this node has {platform.python_version()}:\nERROR: "
            in result["msg"])


def test_another_python_is_needed_says_a_wheel(resolve, node, wheels, monkeypatch):
    node()
    make_wheel(wheels, "shakenfist", "0.9.0", python=">=3.99")
    result = resolve(version="0.9.0")
    assert result["failed"] and "shakenfist 0.9.0 needs Python >=3.99, this node has " in result["msg"]


@pytest.mark.parametrize("credentials", ["a-secret-token", "a-secret-token:", "a-secret-token-as-name:x-oauth-basic"])
def test_an_index_with_credentials(credentials, resolve, node, wheels, tmp_path, monkeypatch):
    """Neither in the journal nor in what is returned; the rest of the URL is to be seen."""
    node()
    pip_environment(monkeypatch)
    journal = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda dummy, message, log_args=None: journal.append(
        f"{message} {log_args}"))
    with index(wheels) as url:
        result = resolve(index_url=f"http://{credentials}@{url}")
        assert names(result["lock"])[-1] == "shakenfist-0.8.1"
        failed = resolve(index_url=f"http://{credentials}@{url}", version="7")
    assert failed["failed"] and "shakenfist==7" in failed["msg"]
    text = json.dumps([result, failed])
    assert "a-secret-token" not in text and f"@{url}" in text
    assert journal and "a-secret-token" not in "".join(journal) and "distribution=shakenfist" in journal[0]


# Writes down the command lines of all processes between the module and the one that builds.
ABOVE = """
pid = os.getpid()
with open({path!r}, "a") as commands:
    while pid not in (1, {top}):
        with open("/proc/%d/cmdline" % pid) as words, open("/proc/%d/stat" % pid) as facts:
            print(words.read().replace(chr(0), " "), file=commands)
            pid = int(facts.read().rpartition(")")[2].split()[1])
"""


@pytest.mark.parametrize("credentials, login", [
    ("me:s3cret", "me:s3cret"), ("me:s3%22cr%20e%5Ct", 'me:s3"cr e\\t'), ("s3cret-token", "s3cret-token:")])
def test_an_index_with_credentials_that_an_sdist_is_built_with(credentials, login, resolve, node, wheels, tmp_path,
                                                               monkeypatch):
    """The pip that pip starts for what is needed to build it gets the index as an argument, which all may see."""
    node()
    pip_environment(monkeypatch)
    monkeypatch.delenv("NETRC", raising=False)
    commands = tmp_path / "commands"
    make_sdist(wheels, "needed", "1.0", broken=f"exec({ABOVE.format(path=str(commands), top=os.getpid())!r})")
    make_sdist(wheels, "odd", "1.0", needs=["needed"])
    make_wheel(wheels, "shakenfist", "0.8.2", ["odd"])
    with index(wheels, login=login) as url:
        result = resolve(index_url=f"http://{credentials}@{url}", version="0.8.2")
    assert not result["failed"] and result["built"] == [f"odd-1.0{ANY}"], result
    # Before 3.11 Python reads none of the others from a file.
    seen = sys.version_info < (3, 11) and credentials != "me:s3cret"
    words = commands.read_text()
    assert f" -i http://{credentials}@{url}" in words if seen else f" -i http://{url}" in words, words
    assert (credentials in words or "s3cr" in words) is seen
    # It goes with the directory, when the process of the module ends.
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "remote").glob("*/netrc")} == {0o600}


def test_a_url_without_credentials_stays_readable(resolve, venv):
    venv("venv", offers=OFFERS[:1])
    result = resolve(index_url="http://mirror/simple/")
    assert result["invocation"]["module_args"]["index_url"] == "http://mirror/simple/"


# ---- wheels that were given

DEV = "0.8.1.dev3+gabc1234"
ANY = "-py3-none-any.whl"
NOWHERE = "http://127.0.0.1:1/simple/"


@pytest.fixture
def give(resolve, tmp_path, monkeypatch):
    """Resolve from wheels alone, each named as C(name-version), with an index that is not there."""
    def run(folder, *files, index=NOWHERE, candidates=None, **arguments):
        pip_environment(monkeypatch)
        archive = tmp_path / "given.tar"
        write_tar({name: folder / name for name in files}, archive)
        return resolve(given=str(archive), candidates=candidates or [files[0]], index_url=index, **arguments)
    return run


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_what_was_given_has_arrived_damaged(resolve, node, tmp_path, content):
    node("shakenfist==0.8.0")
    (tmp_path / "given.tar").write_bytes(content)
    result = resolve(given=str(tmp_path / "given.tar"), candidates=["x"])
    assert result["failed"]
    assert result["msg"].startswith("cannot resolve shakenfist (the newest release): the wheels of stage_source ")
    assert "have arrived damaged in " in result["msg"] and "start again" in result["msg"]


@pytest.mark.parametrize("code, words", [
    (errno.ENOSPC, "the disk is full: "), (errno.EROFS, "see that it is there and can be read and written")])
def test_what_was_given_finds_no_room(give, node, wheels, monkeypatch, code, words):
    def fail(*dummy):
        raise OSError(code, os.strerror(code))

    node("shakenfist==0.8.0")
    monkeypatch.setattr(_wheels.shutil, "copyfileobj", fail)
    result = give(wheels, f"shakenfist-0.8.1{ANY}")
    assert result["failed"] and words in result["msg"] and "/remote/" in result["msg"], result["msg"]


def test_a_full_disk_is_no_reason_to_lock_less():
    assert not resolve_info.no_solution("subprocess-exited-with-error\nNo space left on device")


def test_all_was_given(give, node, wheels, tmp_path):
    """No index is asked: the one that is named cannot be reached."""
    node()
    make_wheel(wheels, "shakenfist", DEV, ["flask>=1", "attrs", "grpcio==1.5"])
    closure = ["attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0", f"shakenfist-{DEV}"]
    result = give(wheels, *(f"{name}{ANY}" for name in reversed(closure)), version=DEV)
    assert not result["failed"], result["msg"]
    assert result["lock"] == result["carried"] == locked(wheels, *closure)
    assert result["indexed"] == result["unpinned"] == result["built"] == []
    assert result["version"] == DEV and result["name"] == f"{DEV}-{result['sha256'][:8]}"
    assert sorted(names(result["packages"])) == ["grpcio-1.5", f"shakenfist-{DEV}"]
    # The ssh user could not remove them.
    assert [path.name for path in (tmp_path / "remote").glob("*/*") if path.is_dir()] == []


def test_what_changes_was_given_and_no_index_is_there(give, node, wheels):
    """What is installed already is not pinned then, but the roll goes on."""
    node()
    make_wheel(wheels, "shakenfist", DEV, ["flask>=1", "grpcio==1.5"])
    result = give(wheels, f"shakenfist-{DEV}{ANY}", f"grpcio-1.5{ANY}", version=DEV)
    assert not result["failed"], result["msg"]
    assert names(result["lock"]) == ["grpcio-1.5", f"shakenfist-{DEV}"] and result["unpinned"] == ["flask", "jinja-2"]
    assert result["carried"] == result["lock"]


def test_newer_wheels_that_nothing_asks_for(give, node, wheels):
    """They are named, with what has them installed, and what is installed is not said to be missing among them."""
    node()
    make_wheel(wheels, "shakenfist", DEV, ["flask>=1", "grpcio==1.5"])
    for version in ("0.9", "2.0", "2.1"):
        make_wheel(wheels, "Flask", version, [])
    given = [f"{name}{ANY}" for name in (f"shakenfist-{DEV}", "grpcio-1.5", "Flask-2.0", "Flask-2.1", "Flask-0.9")]
    result = give(wheels, *given, version=DEV)
    assert not result["failed"], result["msg"]
    assert result["notice"] == (
        "stage_source has newer wheels of flask than what is installed. Nothing asks for them, so they are not used. "
        "To install them, too, add -e '{\"stage_packages\": [\"flask==2.1\"]}'")
    assert names(result["lock"]) == ["grpcio-1.5", f"shakenfist-{DEV}"] and result["unpinned"] == ["jinja-2"]
    asked = give(wheels, *given, version=DEV, packages=["flask==2.1"])
    assert "Flask-2.1" in names(asked["lock"]) and asked["notice"] == ""


def test_the_rest_comes_from_the_index(give, node, wheels, tmp_path):
    """The release is the given one, whatever other wheel of its version the index has."""
    node()
    given = tmp_path / "mine"
    sha256 = make_wheel(given, "shakenfist", "0.8.1", ["flask>=1", "attrs", "grpcio==1.5"], body="X = 1\n")
    with index(wheels) as url:
        result = give(given, f"shakenfist-0.8.1{ANY}", index=f"http://{url}", version="0.8.1")
    assert not result["failed"], result["msg"]
    assert result["sha256"] == sha256 and names(result["carried"]) == ["shakenfist-0.8.1"]
    assert result["indexed"] == locked(wheels, "attrs-1.0", "flask-1.0", "grpcio-1.5", "jinja_2-1.0")


def test_given_and_installed_already(give, node, wheels):
    make_wheel(wheels, "shakenfist", DEV, ["flask>=1"])
    node(f"shakenfist=={DEV}", *PRESENT[1:])
    result = give(wheels, f"shakenfist-{DEV}{ANY}", f"flask-1.0{ANY}", f"jinja_2-1.0{ANY}", version=DEV)
    assert not result["failed"], result["msg"]
    assert result["packages"] == []
    assert names(result["lock"]) == ["flask-1.0", "jinja_2-1.0", f"shakenfist-{DEV}"]


@pytest.mark.parametrize("there, message", [
    (True, "the wheels of stage_source lack grpcio==1.5, and the package index does not have it either: add its wheel"),
    (False, "the wheels of stage_source lack grpcio==1.5, and the package index cannot be reached: add its wheel"),
])
def test_what_nobody_has(give, node, wheels, tmp_path, there, message):
    node()
    empty = tmp_path / "empty"
    empty.mkdir()
    with index(empty) as url:
        result = give(wheels, f"shakenfist-0.8.1{ANY}", index=f"http://{url}" if there else NOWHERE, version="0.8.1",
                      extra_args=["--retries", "1"])
    assert result["failed"] and message in result["msg"]


def test_a_wheel_for_another_platform(give, node, wheels):
    node()
    name = "shakenfist-0.8.1-cp27-cp27m-win32.whl"
    (wheels / f"shakenfist-0.8.1{ANY}").rename(wheels / name)
    result = give(wheels, name, version="0.8.1")
    assert result["failed"]
    assert f"{name} is not for this node, which has Python {platform.python_version()} on " in result["msg"]


def test_a_wheel_for_another_python(give, node, wheels):
    node()
    make_wheel(wheels, "shakenfist", "0.9.0", python=">=3.99")
    result = give(wheels, f"shakenfist-0.9.0{ANY}", version="0.9.0")
    assert result["failed"] and "shakenfist 0.9.0 needs Python >=3.99, this node has " in result["msg"]


def test_one_build_of_a_package_is_asked_for_as_it_is():
    assert resolve_info.exactly("a", DEV) == f"a=={DEV}" and resolve_info.exactly("a", "1.1build1") == "a===1.1build1"
    assert resolve_info.pin("a", "6.0+debian1") == "a==6.0"


# ---- the newest release is not newer

@pytest.mark.parametrize("running, offered, refused, words", [
    ("0.8.0.dev123", ["0.7.2"], True, "the newest shakenfist on the index (127.0.0.1) is 0.7.2, and this node runs "
                                      "0.8.0.dev123, which "
     "is newer. To roll to wheels that you have built, name them or their directory: -e stage_source=PATH."),
    ("0.8.0.dev123+gabc", ["0.7.2", "0.8.0.dev1"], True, "is newer. The newest pre-release there, 0.8.0.dev1, is "
                                                         "older, too."),
    ("0.8.0.dev123", ["0.7.2", "0.8.0rc4"], True,
     "is newer. There is a pre-release, 0.8.0rc4, which is only taken where it is named: -e rolling_release=0.8.0rc4."),
    ("0.8.1+gabc", ["0.8.1"], True, "is 0.8.1, and this node runs 0.8.1+gabc, which is newer."),
    ("0.8.1", ["0.8.1"], False, "the index (127.0.0.1) has nothing newer than shakenfist 0.8.1, which this node runs."),
    ("0.8.1", ["0.8.1", "0.8.2rc1"], False, "which this node runs. There is a pre-release, 0.8.2rc1, which is only "
                                            "taken"),
    ("0.8.0", ["0.8.1", "0.8.2rc1"], False, ""),
    ("0.8.0+gfff", ["0.8.0+gaaa"], False, ""),
])
def test_the_newest_is_not_newer(resolve, tmp_path, monkeypatch, running, offered, refused, words):
    folder = tmp_path / "offered"
    make_wheel(tmp_path / "run", "shakenfist", running)
    for version in offered:
        make_wheel(folder, "shakenfist", version)
    pip_environment(monkeypatch)
    real_venv(tmp_path / "venv", tmp_path / "run", f"shakenfist=={running}")
    with index(folder) as url:
        result = resolve(index_url=f"http://{url}")
        named = resolve(index_url=f"http://{url}", version=offered[0])
    assert result["failed"] == refused
    assert words in (result["msg"] if refused else result["notice"])
    assert bool(result.get("notice")) == (not refused and words != "")
    # Who names a release is not told which one is the newest.
    assert not named["failed"] and named["notice"] == ""


def test_no_word_on_where_a_release_is_from(resolve, venv):
    venv("venv", version="0.9.0", offers=OFFERS[:1])
    result = resolve()
    assert result["failed"] and "the newest shakenfist on the index is 0.8.1, and this node runs 0.9.0" in result["msg"]


# ---- sdists

@pytest.fixture
def odd(resolve, node, wheels, tmp_path):
    """A release that needs odd, which is offered as an sdist only."""
    node()
    make_wheel(wheels, "shakenfist", "0.8.2", ["odd>=1", "flask"])
    return lambda **arguments: resolve(built=str(tmp_path / "built.tar"), **arguments)


def test_an_sdist_is_built_once_and_locked_as_what_was_built(odd, resolve, wheels, tmp_path):
    sdist = make_sdist(wheels, "odd", "1.0")
    result = odd()
    assert not result["failed"], result["msg"]
    name = f"odd-1.0{ANY}"
    built = digests_in_tar(tmp_path / "built.tar")
    assert list(built) == result["built"] == [name] and built[name] != sdist
    package = dict(name="odd", version="1.0", sha256=built[name])
    assert result["carried"] == [package] and package in result["lock"] and package in result["packages"]
    assert package not in result["indexed"] and "flask-1.0" in names(result["indexed"])
    again = odd()
    assert again["lock"] == result["lock"], "the same sources give the same wheel"
    del again
    os.unlink(tmp_path / "built.tar")
    assert not resolve()["failed"] and not (tmp_path / "built.tar").exists(), "in check mode nothing is kept"


def test_a_node_that_wants_no_wheels_is_given_wheels(odd, wheels, tmp_path, monkeypatch):
    make_sdist(wheels, "odd", "1.0")
    expected = odd()
    os.unlink(tmp_path / "built.tar")
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    monkeypatch.setenv("PIP_GLOBAL_OPTION", "--verbose")
    assert expected["built"] and odd()["lock"] == expected["lock"]


def test_what_was_built_can_be_installed(odd, wheels, tmp_path):
    make_sdist(wheels, "odd", "1.0")
    odd()
    with tarfile.open(tmp_path / "built.tar") as tar:
        content = tar.extractfile(f"odd-1.0{ANY}").read()
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / f"odd-1.0{ANY}").write_bytes(content)
    real_venv(tmp_path / "other", tmp_path / "house", "odd==1.0")
    assert hashlib.sha256(content).hexdigest() in [one["sha256"] for one in odd()["carried"]]


@pytest.mark.parametrize("facts, message", [
    (dict(needs=["nowhere-to-be-found>=1"]), "odd-1.0 is offered as an sdist only, and could not be built into a "
                                             "wheel on this "
     "node: what it needs to be built (nowhere-to-be-found>=1) cannot be found from here. Build it where that is "
     "possible"),
    (dict(broken="raise SystemExit('no compiler')"), "odd-1.0 is offered as an sdist only, and could not be built "
                                                     "into a wheel "
     "on this node: see below."),
])
def test_an_sdist_that_cannot_be_built(odd, wheels, tmp_path, facts, message):
    make_sdist(wheels, "odd", "1.0", **facts)
    result = odd()
    assert result["failed"] and message in result["msg"] and "virtualenv differs" not in result["msg"]
    assert "pip wheel --no-deps 'odd==1.0'" in result["msg"] and not (tmp_path / "built.tar").exists()


def test_an_sdist_that_is_installed_already_need_not_be_built(odd, node, wheels, tmp_path):
    """Nodes of one kind mostly have the same installed; where one has not, it is told."""
    make_wheel(tmp_path / "once", "odd", "1.0")
    run_pip(tmp_path / "venv", "install", "--no-deps", "--no-index", "--find-links", str(tmp_path / "once"), "odd")
    make_sdist(wheels, "odd", "1.0", needs=["nowhere-to-be-found"])
    result = odd()
    assert not result["failed"], result["msg"]
    assert result["unpinned"] == ["odd"] and "odd-1.0" not in names(result["lock"]) and result["carried"] == []
    assert "flask-1.0" in names(result["lock"]) and "jinja_2-1.0" in names(result["lock"])


def test_an_sdist_among_what_was_given(give, node, wheels):
    node()
    make_wheel(wheels, "shakenfist", "0.8.2", ["odd>=1"])
    make_sdist(wheels, "odd", "1.0")
    result = give(wheels, f"shakenfist-0.8.2{ANY}", "odd-1.0.tar.gz", version="0.8.2")
    assert not result["failed"], result["msg"]
    assert names(result["carried"]) == ["odd-1.0", "shakenfist-0.8.2"] and result["built"] == [f"odd-1.0{ANY}"]
    assert result["indexed"] == []


def test_the_release_itself_is_an_sdist(odd, wheels):
    make_sdist(wheels, "shakenfist", "0.9.0")
    result = odd()
    assert not result["failed"], result["msg"]
    assert result["built"] == [f"shakenfist-0.9.0{ANY}"] and result["carried"][0]["sha256"] == result["sha256"]


def test_pip_builds_something_else(odd, wheels, monkeypatch):
    make_sdist(wheels, "odd", "1.0")
    run = _release.Pip.run
    monkeypatch.setattr(_release.Pip, "run", lambda pip, verb, arguments: None if verb == "wheel" else run(
        pip, verb, arguments))
    result = odd()
    assert result["failed"] and "pip built nothing from the sdist of odd 1.0, expected one wheel" in result["msg"]


# ---- with a pip that does what a test tells it to

@pytest.mark.parametrize("check", [False, True])
def test_options_reach_pip(resolve, venv, check):
    venv("venv", offers=OFFERS[:1])
    result = resolve(version="0.8.1", packages=["extra>=1"], extra_args=["--pre"], check=check,
                     index_url="http://me:hunter2@db/simple/")
    first, address, second, dummy, third, dummy, fourth, dummy = result["calls"]
    assert first.endswith("--pre --dry-run --no-deps --ignore-installed shakenfist==0.8.1")
    assert address == "index=http://me:hunter2@db/simple/"
    assert second.endswith("--pre --dry-run --upgrade shakenfist==0.8.1 extra>=1")
    assert "--pre --dry-run --ignore-installed --constraint " in third
    assert third.endswith("constraints.txt shakenfist==0.8.1 extra>=1")
    assert " download " in fourth and "--pre --no-deps --dest " in fourth
    result.pop("calls")
    assert "hunter2" not in json.dumps(result)


def test_versions_of_another_kind(resolve, venv, monkeypatch):
    """Such as the operating system's: they must not make the file of constraints a bad one."""
    root = venv("venv", offers=OFFERS[:1])
    (root / "distributions.json").write_text(json.dumps({
        "Debian_Thing": {"version": "1.1build1", "requires": []},
        "fine": {"version": "1.2.post1+local.1", "requires": []}}))
    seen = []
    monkeypatch.setattr(_release, "Pip", lambda module, root: SeeConstraints(module, root, seen))
    assert not resolve()["failed"]
    assert seen == ["debian-thing===1.1build1\nfine==1.2.post1\nshakenfist==0.8.1\n"]


class SeeConstraints(_release.Pip):
    def __init__(self, module, root, seen):
        super().__init__(module, root)
        self.seen = seen

    def install(self, arguments):
        if "--constraint" in arguments:
            with open(arguments[arguments.index("--constraint") + 1], encoding="utf-8") as handle:
                self.seen.append(handle.read())
        return super().install(arguments)


def test_an_index_that_goes_silent_is_no_reason_to_lock_less(resolve, venv, monkeypatch):
    venv("venv", offers=OFFERS[:1])

    class Silent(_release.Pip):
        def install(self, arguments):
            if "--constraint" in arguments:
                raise resolve_info.RollingError("pip failed", pip_output="ERROR: Max retries exceeded")
            return super().install(arguments)

    monkeypatch.setattr(_release, "Pip", Silent)
    result = resolve()
    assert result["failed"] and result["msg"].endswith("pip failed:\nERROR: Max retries exceeded")


SILENT = ("WARNING: Retrying (Retry(total=0)) after connection broken by 'ProtocolError()': /simple/flask/\n"
          "ERROR: ResolutionImpossible: for help visit")


@pytest.mark.parametrize("one_by_one, output, unpinned", [
    (False, SILENT, None), (True, SILENT.replace("ResolutionImpossible", "No matching distribution found"), None),
    (True, "ERROR: ResolutionImpossible", ["flask"]), (True, "ERROR: metadata-generation-failed", ["flask"]),
    (True, "ERROR: out of luck", None),
])
def test_what_pip_says_of_what_is_installed(resolve, venv, monkeypatch, one_by_one, output, unpinned):
    root = venv("venv", offers=OFFERS[:1])
    requires = {"shakenfist": ["flask"], "flask": []}
    (root / "distributions.json").write_text(json.dumps(
        {name: {"version": "1.0", "requires": more} for name, more in requires.items()}))
    (root / "report.json").write_text(json.dumps({"install": [
        {**OFFERS[0], "metadata": {**OFFERS[0]["metadata"], "requires_dist": ["flask"]}}]}))

    class Unlucky(_release.Pip):
        def install(self, arguments):
            if "--constraint" in arguments:
                raise resolve_info.RollingError(
                    "pip failed", pip_output="ERROR: ResolutionImpossible" if one_by_one else output)
            if "flask==1.0" in arguments:
                raise resolve_info.RollingError("pip failed", pip_output=output)
            return super().install(arguments)

    monkeypatch.setattr(_release, "Pip", Unlucky)
    result = resolve()
    assert result["failed"] == (unpinned is None) and result.get("unpinned") == unpinned


@pytest.mark.parametrize("requirements, expected", [
    (["Flask[async]>=1; python_version > '3'", "a.b"], {"flask", "a-b"}),
    (["x; extra == 'all'", "y ; python_version<'4' and extra=='z'", "extra"], {"extra"}),
    (["./folder", "", "(odd)"], set()),
])
def test_names_in_requirements(requirements, expected):
    assert resolve_info.names_in(requirements) == expected


def test_an_index_that_is_no_url(resolve, venv):
    venv("venv", offers=OFFERS)
    result = resolve(index_url="http://[::1/simple/")
    assert result["failed"] and not result["calls"]
    assert result["msg"].startswith("index_url is not a URL: ")


def test_pip_fails(resolve, venv):
    venv("venv", pip_fails="\n".join(["noise"] * 20 + ["ERROR: No matching distribution found for shakenfist==9"]))
    result = resolve(version="9")
    assert result["failed"]
    assert result["msg"].startswith("cannot resolve shakenfist 9: the index does not have it. If you have built it, "
                                    "name its wheel or the directory of it, -e stage_source=PATH:\n")
    assert result["msg"].endswith("ERROR: No matching distribution found for shakenfist==9")
    assert result["msg"].count("noise") == 11 and result["pip_output"].count("noise") == 20


@pytest.mark.parametrize("facts, message", [
    (dict(offers=[entry("flask", "3.0", "ff")]), "pip did not say which wheel of shakenfist it would install"),
    (dict(offers=[entry("shakenfist", "0.8.1", "")]), "which wheel of shakenfist it would install, with its sha256"),
    (dict(offers=[OFFERS[0], entry("git", "1", "")]), "which wheel of git it would install, with its sha256: only"),
    (dict(), "pip wrote no report that can be read"),
    (dict(pip="20.3"), "has pip 20.3; 22.2 or later is needed"),
    (dict(version=None), "shakenfist is not installed"),
])
def test_what_cannot_be_resolved(resolve, venv, facts, message):
    venv("venv", **facts)
    result = resolve()
    assert result["failed"] and message in result["msg"]
    assert result["msg"].startswith("cannot resolve shakenfist (the newest release): ")
