# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module store_migrations against real etcd and real MariaDB.

from __future__ import annotations

import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from real_stores import LOST, Etcd, EtcdProxy, Mariadb, MariadbProxy, Run, encode, values_of, wait  # noqa: E402

HEAD = '''id = "{id}"
release = "5.0.0"
description = "{id}"
proposed_at = "{at}"


def migration(nb_api):
'''
TOPIC = '''    for lport in nb_api.list("lport"):
        lport["topic"] = "t" + lport["id"]
        nb_api.update("lport", lport["id"], lport)
'''
# Creates, updates and deletes, and builds on the one before.
RENAME = '''    for key, lport in nb_api.items("lport"):
        if key == "p000":
            nb_api.delete("lport", key)
        elif key == "p001":
            nb_api.create("lport", "new", dict(lport, id="new", topic=lport["topic"] + "!"))
'''
FAILS = '''    nb_api.delete("lport", "p002")
    raise RuntimeError("the port has no network")
'''
OWN = "shakenfist.rolling/"
MOMENTS_AT_LEAST = 20
# With tools/test --all; otherwise every other one, or fewer, for each costs four starts of the module.
EVERY_MOMENT = "EVERY_MOMENT" in os.environ


class Migrations:
    """A directory of migrations."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def add(self, name, body, at="2018-01-01 00:00:00"):
        (self.path / f"{name}.py").write_text(HEAD.format(id=name, at=at) + body)

    def three(self):
        self.add("a-topic", TOPIC)
        self.add("b-rename", RENAME, "2018-02-01")
        self.add("c-last", '    nb_api.update("lport", "new", {"id": "new", "last": True})\n', "2018-03-01T00:00:00Z")


@pytest.fixture
def migrations(tmp_path):
    return Migrations(tmp_path / "migrations")


def lport(number, **more):
    name = f"p{number:03}"
    return dict(dict(id=name, name="n" * 40, lswitch=f"s{number % 7}", ips=["192.0.2.1"], enabled=True), **more)


def objects(count=60):
    """A store as Dragonflow has it, with keys that are no objects."""
    found = {f"/lport/p{number:03}": json.dumps(lport(number)) for number in range(count)}
    return {**found, "/lswitch/s1": json.dumps(dict(id="s1", mtu=1500)), "/unique_key/lport": "60", "/odd": "no JSON",
            "elsewhere/lport/p000": json.dumps(lport(0))}


def migrated(before):
    """What the three migrations make of it."""
    found = dict(before)
    for key, text in before.items():
        if key.startswith("/lport/"):
            value = json.loads(text)
            found[key] = json.dumps(dict(value, topic="t" + value["id"]))
    del found["/lport/p000"]
    found["/lport/new"] = json.dumps({"id": "new", "last": True})
    return found


def entries(found, prefix="/SchemaMigrationLog/"):
    return sorted(key[len(prefix):] for key in found if key.startswith(prefix))


def without_log(found):
    return {key: value for key, value in found.items() if not key.startswith("/SchemaMigrationLog/")}


def answer(run):
    found = run.end()
    assert found is not None
    return found


# ---- etcd

@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Etcd(tmp_path_factory.mktemp("etcd"))
    yield found
    found.kill()


@pytest.fixture
def etcd(server):
    if server.process.poll() is not None:
        server.start()
    server.clear()
    server.fill(objects())
    return server


@pytest.fixture
def proxy(etcd):
    found = EtcdProxy(etcd)
    yield found
    found.close()


@pytest.fixture
def run(etcd, migrations, tmp_path):
    """Start the module for the store; small batches, so that there are many."""
    def start(**options):
        return Run(tmp_path, **dict(dict(directory=str(migrations.path), store="etcd", endpoints=[etcd.url], batch=16,
                                         lock_lease=30, timeout=30), **options))
    return start


def is_clean(etcd):
    """Nothing of an unfinished write is left, nor a lock."""
    return not [key for key in etcd.all() if key.startswith(OWN)]


def test_all_are_applied_in_order_once(etcd, run, migrations):
    migrations.three()
    found = answer(run(diff=True))
    assert not found["failed"] and found["changed"] and found["whole"]
    assert found["ran"] == ["a-topic", "b-rename", "c-last"] and [one["id"] for one in found["applied"]] == found["ran"]
    assert found["changes"] == {"lport": dict(created=1, updated=59, deleted=1)}
    assert found["objects"] == 61
    assert without_log(etcd.all()) == migrated(objects())
    log = json.loads(etcd.all()["/SchemaMigrationLog/b-rename"])
    assert set(log) == {"id", "release", "description", "proposed_at", "applied_at", "digest"}
    assert log["proposed_at"] == "2018-02-01" and is_clean(etcd)
    before = etcd.kvs()
    again = answer(run())
    assert not again["failed"] and not again["changed"] and again["ran"] == [] == again["pending"]
    assert etcd.kvs() == before


def test_the_check_mode_writes_nothing(etcd, run, migrations):
    migrations.three()
    before, revision = etcd.kvs(), etcd.revision()
    found = answer(run(check=True, diff=True))
    assert found["changed"] and found["ran"] == ["a-topic", "b-rename", "c-last"]
    assert [one["id"] for one in found["pending"]] == found["ran"] and found["applied"] == []
    assert (etcd.kvs(), etcd.revision()) == (before, revision)
    shown = {one["after_header"]: one for one in found["diff"]}
    assert shown["lport/p000"]["after"] == "" and '"last": true' in shown["lport/new"]["after"]
    assert json.loads(shown["lport/p005"]["after"]) == lport(5, topic="tp005")
    reported = answer(run(state="reported"))
    assert not reported["changed"] and len(reported["pending"]) == 3 and reported["whole"]
    assert etcd.revision() == revision


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_fails(etcd, run, migrations, place):
    migrations.three()
    name = ["a-topic", "b-rename", "c-last"][place]
    migrations.add(name, FAILS, ["2018-01-01", "2018-02-01", "2018-03-01"][place])
    before = etcd.all()
    found = answer(run())
    assert found["failed"] and f"the migration {name} has failed" in found["msg"]
    assert "line 9: RuntimeError: the port has no network. Nothing was written" in found["msg"]
    assert etcd.all() == before and found["whole"] and len(found["pending"]) == 3
    migrations.three()
    assert answer(run())["ran"] == ["a-topic", "b-rename", "c-last"]
    assert without_log(etcd.all()) == migrated(objects())


def kill_at(proxy, run, number, **options):
    """The module, killed after etcd has answered its request of that number. Whether it came so far."""
    begun = threading.Event()
    process = []

    def act(count, dummy, dummy_body):
        if count == number:
            begun.wait(10)
            process[0].kill()

    proxy.count, proxy.act = 0, act
    process.append(run(endpoints=[proxy.url], **options))
    begun.set()
    return process[0].end() is None


def state_of(etcd):
    """What the store is, and that its log never promises what is not written."""
    found = etcd.all()
    intent = any(key.endswith("/intent") for key in found)
    product = {key: value for key, value in found.items() if not key.startswith(OWN)}
    if entries(found):
        assert without_log(product) == migrated(objects()) and not intent
    elif not intent:
        assert product == objects()
    return intent, product


def test_a_kill_at_every_request(etcd, proxy, run, migrations, capsys):
    migrations.three()
    answer(run(endpoints=[proxy.url]))
    requests, writes = proxy.count, proxy.paths.count("/v3/kv/txn")
    assert requests >= MOMENTS_AT_LEAST and writes > 15
    interrupted = halves = 0
    moments = range(1, requests + 1, 1 if EVERY_MOMENT else 2)
    for number in moments:
        etcd.clear()
        etcd.fill(objects())
        assert kill_at(proxy, run, number), number
        intent, product = state_of(etcd)
        gate = answer(run(state="whole", directory=None))
        # The lock of a process that is gone holds nobody up on the same node.
        assert gate["failed"] == intent and gate["whole"] != intent, number
        if intent:
            interrupted += 1
            halves += without_log(product) not in (objects(), migrated(objects()))
            assert "the store is not whole" in gate["msg"]
        again = answer(run())
        assert not again["failed"] and again["resumed"] == ("completed" if intent else "")
        assert without_log(etcd.all()) == migrated(objects()) and is_clean(etcd), number
        assert entries(etcd.all()) == ["a-topic", "b-rename", "c-last"]
    assert interrupted >= 10 and halves >= 5
    with capsys.disabled():
        print(f"\netcd: killed at {len(moments)} moments, the store was interrupted {interrupted} times, half-written "
              f"{halves} times")


def interrupt(etcd, proxy, run, batches=2):
    """A store of which so many batches are new."""
    started = threading.Event()

    def act(dummy, path, body):
        if path.endswith("txn") and f'"done": {batches},'.encode() in values_of(body):
            process.kill()

    proxy.act = lambda *arguments: (started.wait(10), act(*arguments))
    process = run(endpoints=[proxy.url])
    started.set()
    assert process.end() is None
    proxy.act = lambda *arguments: None
    assert state_of(etcd)[0]


@pytest.fixture
def interrupted(etcd, proxy, run, migrations):
    migrations.three()
    interrupt(etcd, proxy, run)
    return etcd


def test_what_is_said_of_an_interrupted_store(interrupted, run):
    found = answer(run(state="reported"))
    assert not found["failed"] and not found["whole"]
    assert found["interrupted"]["done"] == 2 and found["interrupted"]["batches"] == 6
    assert found["interrupted"]["migrations"] == ["a-topic", "b-rename", "c-last"]
    assert found["interrupted"]["direction"] == "forward"
    before = interrupted.kvs()
    check = answer(run(check=True))
    assert check["changed"] and check["resumed"] == "completed" and check["ran"] == [] == check["pending"]
    back = answer(run(check=True, state="restored", directory=None))
    assert back["changed"] and back["resumed"] == "undone"
    assert interrupted.kvs() == before


def test_an_interrupted_write_is_undone(interrupted, run):
    found = answer(run(state="restored", directory=None))
    assert not found["failed"] and found["changed"] and found["resumed"] == "undone" and found["whole"]
    assert interrupted.all() == objects()
    again = answer(run(state="restored", directory=None))
    assert not again["changed"] and interrupted.all() == objects()
    assert not answer(run(state="whole", directory=None))["failed"]
    assert answer(run())["changed"] and without_log(interrupted.all()) == migrated(objects())


def test_a_complete_run_is_undone(etcd, run, migrations):
    migrations.three()
    found = answer(run(keep=True))
    assert found["kept"] == found["ran"] == ["a-topic", "b-rename", "c-last"] and not is_clean(etcd)
    assert without_own(etcd) == {**migrated(objects()), **{k: v for k, v in etcd.all().items() if "MigrationLog" in k}}
    assert not answer(run(keep=True))["changed"] and not answer(run(state="whole", directory=None))["failed"]
    back = answer(run(state="restored", directory=None))
    assert back["changed"] and back["resumed"] == "undone" and back["kept"] == [] and etcd.all() == objects()
    assert not answer(run(state="restored", directory=None))["changed"]
    # Once more, and then it stays.
    answer(run(keep=True))
    assert answer(run())["changed"] and is_clean(etcd) and not answer(run())["changed"]
    assert not answer(run(state="restored", directory=None))["changed"]
    assert without_log(etcd.all()) == migrated(objects())


def test_a_complete_run_is_not_undone_over_what_others_wrote(etcd, run, migrations):
    migrations.three()
    answer(run(keep=True))
    etcd.put("/lport/other", STRANGER)
    before = etcd.all()
    found = answer(run(state="restored", directory=None))
    assert found["failed"] and "somebody has written /lport/other" in found["msg"] and found["whole"]
    assert etcd.all() == before
    etcd.put("/lport/p030", STRANGER)
    assert not answer(run(state="restored", directory=None, overwrite=True))["failed"]
    assert etcd.all() == {**objects(), "/lport/other": STRANGER}


def test_a_kill_while_a_complete_run_is_undone(etcd, proxy, run, migrations):
    migrations.three()
    number = 0
    while True:
        number += 1
        etcd.clear()
        etcd.fill(objects())
        answer(run(keep=True))
        if not kill_at(proxy, run, number, state="restored", directory=None):
            break
        found = answer(run(state="reported"))
        assert found["whole"] or found["interrupted"]["direction"] == "back"
        assert bool(found["applied"]) == bool(found["kept"])
        assert not answer(run(state="restored", directory=None))["failed"]
        assert etcd.all() == objects(), number
        number += 2 if EVERY_MOMENT else 5
    assert number > 20 and etcd.all() == objects()


def test_a_kill_at_every_request_of_the_way_back(interrupted, proxy, run):
    number, killed = 0, 0
    while True:
        number += 1
        if not kill_at(proxy, run, number, state="restored", directory=None):
            break
        killed += 1
        intent, product = state_of(interrupted)
        assert intent or product == objects()
        if not intent:
            interrupted.clear()
            interrupted.fill(objects())
            break
    assert killed >= 10 and interrupted.all() == objects()


def test_one_that_was_being_undone_is_undone_first(interrupted, proxy, run):
    back = []

    def act(dummy, path, body):
        if path.endswith("txn") and b'"back"' in values_of(body):
            back.append(body)
            process.kill()

    started = threading.Event()
    proxy.act = lambda *arguments: (started.wait(10), act(*arguments))
    process = run(endpoints=[proxy.url], state="restored", directory=None)
    started.set()
    assert process.end() is None and back
    assert answer(run(state="reported"))["interrupted"]["direction"] == "back"
    check = answer(run(check=True))
    assert check["resumed"] == "undone" and len(check["ran"]) == 3
    found = answer(run())
    assert found["resumed"] == "undone" and found["ran"] == ["a-topic", "b-rename", "c-last"]
    assert without_log(interrupted.all()) == migrated(objects())


def test_two_runs_at_once(etcd, proxy, run, migrations):
    migrations.three()
    reached, go = threading.Event(), threading.Event()

    def act(dummy, path, body):
        if path.endswith("txn") and b'"a-topic"' in values_of(body):
            reached.set()
            go.wait(60)

    proxy.act = act
    first = run(endpoints=[proxy.url], timeout=60, lock_lease=5)
    assert reached.wait(60)
    for second in (answer(run()), answer(run(state="restored", directory=None))):
        assert second["failed"] and "another run of store_migrations is under way" in second["msg"]
        assert f"process {first.process.pid} on" in second["msg"] and second["holder"]["pid"] == first.process.pid
        assert second["holder"]["since"] in second["msg"]
    gate = answer(run(state="whole", directory=None))
    assert gate["failed"] and not gate["whole"] and gate["holder"]["pid"] == first.process.pid
    # The lease of 5 s is renewed.
    assert not wait_for_the_lock(etcd, 8)
    go.set()
    assert answer(first)["ran"] == ["a-topic", "b-rename", "c-last"] and is_clean(etcd)


def wait_for_the_lock(etcd, seconds):
    """Whether the lock was free within so many seconds."""
    try:
        return wait(lambda: not [key for key in etcd.all() if key.endswith("/lock")], seconds)
    except AssertionError:
        return False


def test_the_lock_of_another_node_that_is_gone(etcd, run, migrations):
    migrations.three()
    lease = etcd.call("lease/grant", {"TTL": "5"})["ID"]
    etcd.put(f"{OWN}migrations/%2F/lock", json.dumps(dict(host="c-2", pid=7, since="2026-11-30T08:00:00Z", run="x")),
             lease=lease)
    found = answer(run())
    assert found["failed"] and "process 7 on c-2 since 2026-11-30T08:00:00Z" in found["msg"]
    assert wait_for_the_lock(etcd, 30)
    assert answer(run())["changed"]


def test_a_lock_that_is_lost(etcd, proxy, run, migrations):
    """A run that stood still, while another one has taken over: it writes nothing any more."""
    migrations.three()
    done = []

    def act(dummy, path, body):
        if path.endswith("txn") and b'"a-topic"' in values_of(body) and not done:
            done.append(1)
            etcd.call("kv/deleterange", dict(key=encode(f"{OWN}migrations/%2F/lock")))

    proxy.act = act
    found = answer(run(endpoints=[proxy.url]))
    assert found["failed"] and "the lock was lost" in found["msg"]
    again = answer(run())
    assert again["resumed"] == "completed" or again["ran"]
    assert without_log(etcd.all()) == migrated(objects())


STRANGER = json.dumps(lport(30, name="stranger"))


def meanwhile(proxy, do, at=b'/lport/p0'):
    """Have something done once, after the module has staged something, or at what C(at) says."""
    done = []

    def act(dummy, path, body):
        if path.endswith("txn") and not done and at in values_of(body):
            done.append(1)
            do()

    proxy.act = act
    return done


@pytest.mark.parametrize("what, said", [
    (lambda etcd: etcd.put("/lport/p030", STRANGER), "has written /lport/p030"),
    (lambda etcd: etcd.put("/lswitch/s1", "{}"), "has written /lswitch/s1"),
    (lambda etcd: etcd.put("/lport/p999", STRANGER), "has written /lport/p999"),
    (lambda etcd: etcd.call("kv/deleterange", dict(key=encode("/lswitch/s1"))), "has removed 1 keys"),
])
def test_somebody_writes_before_the_write(etcd, proxy, run, migrations, what, said):
    migrations.three()
    done = meanwhile(proxy, lambda: what(etcd))
    found = answer(run(endpoints=[proxy.url]))
    assert done and found["failed"]
    assert f"somebody {said} in etcd since the store was read. Nothing was written" in found["msg"]
    assert not entries(etcd.all()) and not state_of_intent(etcd)
    assert not answer(run(state="whole", directory=None))["failed"]
    assert answer(run())["changed"] and is_clean(etcd)


def state_of_intent(etcd):
    return [key for key in etcd.all() if key.endswith("/intent")]


@pytest.mark.parametrize("key", ["/lport/p030", "/lswitch/s1"])
def test_somebody_writes_into_an_interrupted_store(interrupted, run, key):
    interrupted.put(key, STRANGER)
    found = answer(run())
    assert found["failed"] and f"somebody has written {key} in etcd" in found["msg"] and not found["whole"]
    assert state_of_intent(interrupted) and not entries(interrupted.all())
    forced = answer(run(overwrite=True))
    assert not forced["failed"] and forced["resumed"] == "completed"
    expected = migrated(objects())
    if key == "/lswitch/s1":
        expected[key] = STRANGER
    assert without_log(interrupted.all()) == expected and is_clean(interrupted)


def test_somebody_has_written_what_is_to_be_undone(interrupted, run):
    interrupted.put("/lport/p003", STRANGER)
    found = answer(run(state="restored", directory=None))
    assert found["failed"] and "somebody has written /lport/p003" in found["msg"]
    assert not answer(run(state="restored", directory=None, overwrite=True))["failed"]
    assert interrupted.all() == objects()


def test_etcd_is_restarted_while_it_is_written(etcd, proxy, run, migrations):
    migrations.three()
    done = meanwhile(proxy, lambda: (etcd.kill(), etcd.start()), b'"done": 2')
    found = answer(run(endpoints=[proxy.url]))
    assert done and not found["failed"] and without_log(etcd.all()) == migrated(objects()) and is_clean(etcd)


def test_etcd_is_gone_while_it_is_written(etcd, proxy, run, migrations):
    migrations.three()
    done = meanwhile(proxy, etcd.kill, b'"done": 2')
    found = answer(run(endpoints=[proxy.url], timeout=2))
    assert done and found["failed"] and f"cannot reach etcd at {proxy.url[7:]}" in found["msg"] and not found["whole"]
    gone = answer(run(timeout=1))
    assert gone["failed"] and "cannot reach etcd" in gone["msg"]
    etcd.start()
    again = answer(run())
    assert again["resumed"] == "completed" and without_log(etcd.all()) == migrated(objects())


@pytest.mark.parametrize("at, intent", [(b'/lport/p0', False), (b'"done": 2', True)])
def test_etcd_is_out_of_space(etcd, proxy, run, migrations, at, intent):
    migrations.three()
    done = meanwhile(proxy, etcd.alarm, at)
    found = answer(run(endpoints=[proxy.url]))
    assert done and found["failed"] and "the store is out of space (NOSPACE)" in found["msg"]
    assert bool(state_of_intent(etcd)) == intent and state_of(etcd)[0] == intent
    before = etcd.all()
    again = answer(run())
    assert again["failed"] and "the store is out of space (NOSPACE), so it takes no write" in again["msg"]
    assert {k: v for k, v in etcd.all().items() if not k.endswith("/lock")} == \
        {k: v for k, v in before.items() if not k.endswith("/lock")}
    for member in etcd.call("maintenance/alarm", {"action": "GET"})["alarms"]:
        etcd.call("maintenance/alarm", {"action": "DEACTIVATE", **member})
    assert not answer(run())["failed"] and without_log(etcd.all()) == migrated(objects()) and is_clean(etcd)


def test_etcd_with_a_real_quota(tmp_path, run, migrations):
    """It really runs full, while what changes is staged or copied, and goes on with a larger quota."""
    place = tmp_path / "small"
    place.mkdir()
    small = Etcd(place, "--quota-backend-bytes", str(2 * 2**20))
    try:
        small.fill({f"/lport/p{number:03}": json.dumps(lport(number, name="n" * 2000)) for number in range(300)})
        migrations.add("a-topic", TOPIC)
        found = answer(run(endpoints=[small.url]))
        assert found["failed"] and "the store is out of space (NOSPACE)" in found["msg"]
        small.kill()
        small.start("--quota-backend-bytes", str(64 * 2**20))
        for member in small.call("maintenance/alarm", {"action": "GET"})["alarms"]:
            small.call("maintenance/alarm", {"action": "DEACTIVATE", **member})
        assert not answer(run(endpoints=[small.url]))["failed"]
        assert all(json.loads(value)["topic"] for key, value in small.all().items() if key.startswith("/lport/"))
    finally:
        small.kill()


def test_etcd_with_lower_limits(tmp_path, run, migrations):
    place = tmp_path / "low"
    place.mkdir()
    low = Etcd(place, "--max-txn-ops", "32", "--max-request-bytes", "65536")
    try:
        for key, value in objects().items():
            low.put(key, value)
        migrations.three()
        before = low.all()
        found = answer(run(endpoints=[low.url], batch=120))
        assert found["failed"] and "takes fewer operations in a transaction than batch says" in found["msg"]
        assert without_own(low) == before
        large = Migrations(tmp_path / "large")
        large.add("large", '    nb_api.create("lport", "big", {"id": "big", "name": "x" * 100000})\n')
        found = answer(run(endpoints=[low.url], directory=str(large.path)))
        assert found["failed"] and "/lport/big is too large for etcd" in found["msg"] and without_own(low) == before
        assert not answer(run(endpoints=[low.url], batch=32))["failed"]
        assert without_log(low.all()) == migrated(objects())
    finally:
        low.kill()


def without_own(etcd):
    return {key: value for key, value in etcd.all().items() if not key.startswith(OWN)}


def test_large_objects(etcd, run, migrations):
    etcd.put("/lport/p010", json.dumps(lport(10, name="ü" * 500000)))
    migrations.add("a-topic", TOPIC)
    assert not answer(run())["failed"] and json.loads(etcd.all()["/lport/p010"])["topic"] == "tp010"
    migrations.add("b-large", '    nb_api.create("lport", "big", {"id": "big", "name": "x" * 1600000})\n')
    before = etcd.all()
    found = answer(run())
    assert found["failed"] and "/lport/big is too large for etcd" in found["msg"] and without_own(etcd) == before


def test_a_lease_stays(etcd, run, migrations):
    lease = etcd.call("lease/grant", {"TTL": "600"})["ID"]
    etcd.put("/lport/p001", json.dumps(lport(1)), lease=lease)
    migrations.add("a-topic", TOPIC)
    assert not answer(run())["failed"]
    assert [kv for kv in etcd.kvs() if kv.get("lease") == lease and kv["key"] == encode("/lport/p001")]


def test_many_migrations(etcd, run, migrations):
    """More entries of the log than one transaction takes."""
    for number in range(30):
        migrations.add(f"m{number:02}", f'    nb_api.create("mark", "{number}", {{"id": "{number}"}})\n')
    found = answer(run())
    assert not found["failed"] and len(found["ran"]) == 30
    assert len(entries(etcd.all())) == 30 and is_clean(etcd)
    assert not answer(run())["changed"]


def test_edited_and_gone(etcd, run, migrations):
    migrations.three()
    answer(run())
    migrations.add("a-topic", TOPIC + "    # edited\n")
    found = answer(run())
    assert not found["failed"] and found["edited"] == ["a-topic"]
    assert "a-topic (a-topic.py)" in str(found["warnings"])
    assert "edited after they were applied" in answer(run(edited="fail"))["msg"]
    (migrations.path / "b-rename.py").unlink()
    found = answer(run())
    assert found["failed"] and "does not have them: b-rename" in found["msg"] and found["gone"] == ["b-rename"]
    assert not answer(run(gone="warn"))["failed"]


def test_another_log_and_prefix(etcd, run, migrations):
    etcd.fill({f"df/lport/p{number:03}": json.dumps(lport(number)) for number in range(3)})
    migrations.add("a-topic", TOPIC)
    found = answer(run(key_prefix="df/", log_table="log"))
    assert found["changes"] == {"lport": dict(created=0, updated=3, deleted=0)}
    assert "df/log/a-topic" in etcd.all() and etcd.all()["/lport/p001"] == json.dumps(lport(1))


def openssl(place, *arguments):
    subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)


def test_certificates(tmp_path, run, migrations):
    """etcd that lets in nobody without a certificate."""
    place = tmp_path / "tls"
    place.mkdir()
    openssl(place, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
            "/CN=ca", "-days", "2")
    openssl(place, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request", "-subj", "/CN=etcd")
    (place / "names").write_text("subjectAltName=IP:127.0.0.1")
    openssl(place, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            "cert.pem", "-days", "2", "-extfile", "names")
    context = ssl.create_default_context(cafile=place / "ca.pem")
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    closed = Etcd(place, "--cert-file", str(place / "cert.pem"), "--key-file", str(place / "key.pem"),
                  "--client-cert-auth", "--trusted-ca-file", str(place / "ca.pem"), tls=context)
    files = dict(ca_file=str(place / "ca.pem"), cert_file=str(place / "cert.pem"), key_file=str(place / "key.pem"))
    try:
        closed.fill(objects())
        migrations.three()
        for lacks in ("ca_file", "cert_file"):
            found = answer(run(endpoints=[closed.url], timeout=1, **dict(files, **{lacks: None})))
            assert found["failed"] and "cannot reach etcd at" in found["msg"]
        assert not answer(run(endpoints=[closed.url], **files))["failed"]
        assert without_log(closed.all()) == migrated(objects())
    finally:
        closed.kill()


def test_ten_thousand_ports(etcd, run, migrations, capsys):
    more = dict(binding=dict(type="local", chassis="c" * 36), subnets=["s" * 36], security_groups=["g" * 36] * 3)
    etcd.fill({f"/lport/p{number:05}": json.dumps(lport(number, **dict(more, id=f"p{number:05}")))
               for number in range(10000)})
    migrations.add("a-topic", TOPIC)
    found = answer(run(batch=120))
    assert not found["failed"], found["msg"]
    assert found["changes"]["lport"]["updated"] == 10060
    check = answer(run(check=True, diff=True, directory=str(again(migrations))))
    assert len(check["diff"]) == 101 and "more objects change" in check["diff"][-1]["prepared"]
    with capsys.disabled():
        print(f"\netcd: 10,000 logical ports of {len(etcd.all()['/lport/p00001'])} bytes: {found['seconds']} s, "
              f"{found['peak']} MiB at most")


def again(migrations):
    found = Migrations(pathlib.Path(f"{migrations.path}-2"))
    found.add("a-topic", TOPIC)
    found.add("b-again", TOPIC.replace('"t"', '"u"'))
    return found.path


# ---- MariaDB

@pytest.fixture(scope="module")
def mariadb_server(tmp_path_factory):
    found = Mariadb(tmp_path_factory.mktemp("mariadb"))
    yield found
    found.stop()


@pytest.fixture
def mariadb(mariadb_server):
    for name, in mariadb_server.query("SELECT table_name FROM information_schema.tables WHERE table_schema = "
                                      "'product'"):
        mariadb_server.query(f"DROP TABLE `{name}`")
    mariadb_server.query("CREATE TABLE lport (id VARCHAR(36) PRIMARY KEY, name VARCHAR(400), topic VARCHAR(40), "
                         "length INT AS (CHAR_LENGTH(name)) STORED, at DATETIME(6), amount DECIMAL(10,2))")
    mariadb_server.query("CREATE TABLE pair (a INT, b INT, c TEXT, PRIMARY KEY (a, b))")
    mariadb_server.query("INSERT INTO lport (id, name, at, amount) SELECT CONCAT('p', LPAD(seq, 3, 0)), 'n', "
                         "'2026-11-30 08:00:00.123456', 1.50 FROM seq_0_to_9")
    mariadb_server.query("INSERT INTO pair VALUES (1, 2, 'x'), (1, 3, 'y')")
    return mariadb_server


@pytest.fixture
def sql_proxy(mariadb):
    found = MariadbProxy(mariadb)
    yield found
    found.close()


@pytest.fixture
def sql(mariadb, migrations, tmp_path):
    def start(port=0, **options):
        return Run(tmp_path, **dict(dict(directory=str(migrations.path), store="mariadb", config=mariadb.config(port),
                                         connection="database/connection", lock_lease=30, timeout=30), **options))
    return start


SQL_RENAME = RENAME + '''    pair = nb_api.get("pair", (1, 2))
    nb_api.update("pair", (1, 2), dict(pair, c="z"))
    nb_api.delete("pair", (1, 3))
'''
SQL_LAST = '    nb_api.update("lport", "new", dict(nb_api.get("lport", "new"), name="last"))\n'


def three_of_sql(migrations):
    migrations.add("a-topic", TOPIC)
    migrations.add("b-rename", SQL_RENAME, "2018-02-01")
    migrations.add("c-last", SQL_LAST, "2018-03-01")


def rows(mariadb):
    return (mariadb.query("SELECT id, name, topic, length, at, amount FROM lport ORDER BY id"),
            mariadb.query("SELECT * FROM pair ORDER BY a, b"))


def sql_log(mariadb):
    if not mariadb.query("SHOW TABLES LIKE 'SchemaMigrationLog'"):
        return []
    return [row[0] for row in mariadb.query("SELECT id FROM SchemaMigrationLog ORDER BY id")]


def is_migrated(mariadb):
    ports, pairs = rows(mariadb)
    names = {row[0]: row[1:4] for row in ports}
    return (pairs == ((1, 2, "z"),) and names["new"] == ("last", "tp001!", 4) and "p000" not in names
            and all(value == ("n", f"t{key}", 1) for key, value in names.items() if key != "new") and len(names) == 10)


def test_mariadb_all_are_applied_once(mariadb, sql, migrations):
    three_of_sql(migrations)
    before = rows(mariadb)
    check = answer(sql(check=True, diff=True))
    assert check["changed"] and len(check["ran"]) == 3 and rows(mariadb) == before and sql_log(mariadb) == []
    assert not mariadb.query("SHOW TABLES LIKE 'SchemaMigrationLog'")
    found = answer(sql())
    assert not found["failed"] and found["ran"] == ["a-topic", "b-rename", "c-last"]
    assert found["changes"] == {"lport": dict(created=1, updated=9, deleted=1),
                                "pair": dict(created=0, updated=1, deleted=1)}
    assert is_migrated(mariadb) and sql_log(mariadb) == found["ran"]
    again = answer(sql())
    assert not again["changed"] and [one["id"] for one in again["applied"]] == found["ran"]
    assert not answer(sql(state="whole", directory=None))["failed"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_mariadb_one_that_fails(mariadb, sql, migrations, place):
    three_of_sql(migrations)
    name = ["a-topic", "b-rename", "c-last"][place]
    migrations.add(name, FAILS, ["2018-01-01", "2018-02-01", "2018-03-01"][place])
    before = rows(mariadb)
    found = answer(sql())
    assert found["failed"] and f"the migration {name} has failed" in found["msg"]
    assert rows(mariadb) == before and sql_log(mariadb) == []


@pytest.mark.parametrize("body, said", [
    ('    nb_api.execute("ALTER TABLE lport ADD COLUMN x INT")\n', "z-ddl (z-ddl.py): ALTER TABLE in line 8"),
    ('    nb_api.execute(" ".join(["/* a */ DROP", "TABLE", "lport"]))\n', "it issues DROP TABLE: DDL cannot be "
                                                                           "rolled back"),
    ('    nb_api.execute("UPDATE lport SET name = 1")\n', "a migration works on objects"),
    ('    nb_api.create("none", 1, {"id": 1})\n', "there is no table none"),
    ('    nb_api.create("lport", "x", {"id": "x", "none": 1})\n', "lport has no columns none"),
    ('    nb_api.create("lport", "x", {"id": "y"})\n', "has another id"),
    ('    nb_api.create("lport", "x", {"id": "x", "name": "n" * 500})\n', "Data too long for column 'name'"),
    ('    nb_api.list("SchemaMigrationLog")\n', "they do not see it"),
])
def test_mariadb_refuses(mariadb, sql, migrations, body, said):
    three_of_sql(migrations)
    migrations.add("z-ddl", body, "2019-01-01")
    before = rows(mariadb)
    found = answer(sql())
    assert found["failed"] and said in found["msg"] and "Nothing was written" in found["msg"]
    assert rows(mariadb) == before and sql_log(mariadb) == []


def test_mariadb_a_table_without_transactions(mariadb, sql, migrations):
    mariadb.query("CREATE TABLE old (id INT PRIMARY KEY, name TEXT) ENGINE=MyISAM")
    mariadb.query("INSERT INTO old VALUES (1, 'a')")
    three_of_sql(migrations)
    migrations.add("z-old", '    nb_api.update("old", 1, {"id": 1, "name": "b"})\n', "2019-01-01")
    before = rows(mariadb)
    found = answer(sql())
    assert found["failed"] and "these tables know no transactions" in found["msg"] and "old (MyISAM)" in found["msg"]
    assert rows(mariadb) == before and mariadb.query("SELECT * FROM old") == ((1, "a"),) and sql_log(mariadb) == []


@pytest.mark.parametrize("statement, said", [
    ("UPDATE lport SET name = 'stranger' WHERE id = 'p005'", "somebody has written into lport in MariaDB"),
    ("INSERT INTO lport (id) VALUES ('stranger')", "somebody has written into lport in MariaDB"),
    ("DELETE FROM lport WHERE id = 'p005'", "somebody has written into lport in MariaDB"),
])
def test_mariadb_somebody_writes_meanwhile(mariadb, sql, sql_proxy, migrations, statement, said):
    three_of_sql(migrations)
    done = []

    def act(dummy, text):
        if "SET SESSION wait_timeout" in text and len(done) < 2:
            # The second time it is that of the write.
            done.append(1)
            if len(done) == 2:
                mariadb.query(statement)

    sql_proxy.act = act
    found = answer(sql(sql_proxy.port))
    assert len(done) == 2 and found["failed"] and said in found["msg"] and sql_log(mariadb) == []
    assert not any(row[2] for row in rows(mariadb)[0])


def test_mariadb_two_runs_at_once(mariadb, sql, sql_proxy, migrations):
    three_of_sql(migrations)
    reached, go = threading.Event(), threading.Event()
    sql_proxy.act = lambda dummy, text: "START TRANSACTION" in text and (reached.set(), go.wait(60)) and None
    first = sql(sql_proxy.port)
    assert reached.wait(60)
    second = answer(sql())
    assert second["failed"] and f"process {first.process.pid} on" in second["msg"]
    assert second["holder"]["pid"] == first.process.pid and second["holder"]["since"] in second["msg"]
    gate = answer(sql(state="whole", directory=None))
    assert gate["failed"] and gate["holder"]["pid"] == first.process.pid
    go.set()
    assert answer(first)["ran"] == ["a-topic", "b-rename", "c-last"]
    assert not answer(sql(state="whole", directory=None))["failed"]


def kill_at_statement(proxy, sql, number, lost):
    """The module, killed at its statement of that number, which the server gets or not. Whether it came so far."""
    started, process = threading.Event(), []

    def act(count, dummy):
        if count != number:
            return None
        started.wait(10)
        process[0].kill()
        process[0].process.wait()
        return LOST if lost else None

    proxy.count, proxy.act = 0, act
    process.append(sql(proxy.port))
    started.set()
    killed = process[0].end() is None
    proxy.act = lambda *dummy: None
    return killed


@pytest.mark.parametrize("lost", [False, True])
def test_mariadb_a_kill_at_every_statement(mariadb, sql, sql_proxy, migrations, lost, capsys):
    three_of_sql(migrations)
    before = rows(mariadb)
    answer(sql(sql_proxy.port))
    statements = sql_proxy.count
    assert statements >= MOMENTS_AT_LEAST and any("COMMIT" in one for one in sql_proxy.statements)
    committed = 0
    moments = [number for number, one in enumerate(sql_proxy.statements[:statements], start=1)
               if EVERY_MOMENT or number % 4 == 1 or "COMMIT" in one]
    for number in moments:
        reset(mariadb)
        assert rows(mariadb) == before
        assert kill_at_statement(sql_proxy, sql, number, lost), number
        again = answer(sql())
        assert not again["failed"], (number, again["msg"])
        assert len(again["ran"]) in (0, 3) and is_migrated(mariadb)
        committed += again["ran"] == []
        assert sql_log(mariadb) == ["a-topic", "b-rename", "c-last"]
    # Only a COMMIT that has arrived counts.
    assert committed == (0 if lost else 1)
    with capsys.disabled():
        print(f"\nMariaDB: killed at {len(moments)} moments, the statement {'lost' if lost else 'sent'}")


def reset(mariadb):
    for name in ("lport", "pair"):
        mariadb.query(f"DELETE FROM {name}")
    mariadb.query("DROP TABLE IF EXISTS SchemaMigrationLog")
    mariadb.query("INSERT INTO lport (id, name, at, amount) SELECT CONCAT('p', LPAD(seq, 3, 0)), 'n', "
                  "'2026-11-30 08:00:00.123456', 1.50 FROM seq_0_to_9")
    mariadb.query("INSERT INTO pair VALUES (1, 2, 'x'), (1, 3, 'y')")


def test_mariadb_ten_thousand_rows(mariadb, sql, migrations, capsys):
    mariadb.query("INSERT INTO lport (id, name) SELECT CONCAT('q', seq), REPEAT('n', 300) FROM seq_1_to_10000")
    migrations.add("a-topic", TOPIC)
    found = answer(sql())
    assert not found["failed"], found["msg"]
    assert found["changes"]["lport"]["updated"] == 10010
    with capsys.disabled():
        print(f"\nMariaDB: 10,000 rows: {found['seconds']} s, {found['peak']} MiB at most")
