# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What only needs answers of etcd; how it goes with a real one is in tests/tools/test_store_migrations.py.

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _store_etcd
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import Change
from ansible_collections.shakenfist.rolling.plugins.module_utils._store_etcd import (
    EtcdStore,
    Gateway,
    Snapshot,
    encode,
    end_of,
)
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server

PARAMS = dict(endpoints=["http://127.0.0.1:1"], key_prefix="/", batch=16, lock_lease=5, timeout=0, log_table="log",
              ca_file=None, cert_file=None, key_file=None, state="migrated", overwrite=False, keep=False)


@pytest.fixture
def answers():
    """A server that gives the answers of a list, each a status and a body; the last one for ever."""
    servers = []

    def start(*given):
        left = list(given)

        class Handler(Quiet):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = left.pop(0) if len(left) > 1 else left[0]
                text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        servers.append(Server(Handler))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("status, body, said", [
    (429, dict(error="etcdserver: mvcc: database space exceeded", code=8), r"out of space \(NOSPACE\).*alarm disarm"),
    (400, dict(error="etcdserver: too many operations in txn request", code=3), "fewer operations in a transaction"),
    (400, dict(message="etcdserver: request is too large", code=3), "refuses kv/txn: etcdserver: request is too large"),
    (404, "404 page not found", "refuses kv/txn: 404 page not found"),
    (200, "odd", "refuses kv/txn: odd"),
    (200, dict(error=dict(grpc_code=5, message="lease not found")), "refuses kv/txn: lease not found"),
    (500, {}, "refuses kv/txn: HTTP 500"),
])
def test_what_etcd_refuses(answers, status, body, said):
    with pytest.raises(RollingError, match=said):
        Gateway([answers((status, body))], 30).call("kv/txn", {})


@pytest.mark.parametrize("first", [
    (503, dict(error="etcdserver: leader changed", code=14)),
    (504, "no"),
    (408, dict(error="etcdserver: request timed out", code=4)),
])
def test_another_attempt(answers, monkeypatch, first):
    monkeypatch.setattr(_store_etcd, "AGAIN", 0)
    assert Gateway([answers(first, (200, {"a": 1}))], 30).call("x", {}) == {"a": 1}
    with pytest.raises(RollingError, match="cannot reach etcd at 127.0.0.1"):
        Gateway([answers(first)], 0).call("x", {})


def test_another_member(answers, monkeypatch):
    monkeypatch.setattr(_store_etcd, "AGAIN", 0)
    gateway = Gateway(["http://127.0.0.1:1/", answers((200, {}))], 30)
    assert gateway.call("x", {}) == {} == gateway.call("x", {}) and gateway.at == 1
    gateway.close()
    with pytest.raises(RollingError, match="cannot reach etcd at 127.0.0.1:1: .*refused"):
        Gateway(["http://127.0.0.1:1"], 0).call("x", {})


def test_tls(tmp_path):
    with pytest.raises(RollingError, match="cannot reach etcd at 127.0.0.1:1: .*No such file"):
        Gateway(["https://127.0.0.1:1"], 0, ca_file=str(tmp_path / "none")).call("x", {})
    with pytest.raises(RollingError, match="cannot reach etcd at 127.0.0.1:1: .*refused"):
        Gateway(["https://127.0.0.1:1"], 0).call("x", {})


@pytest.mark.parametrize("changed, said", [
    (dict(endpoints=[]), "store=etcd needs endpoints"),
    (dict(endpoints=["c-1:2379"]), "the endpoint c-1:2379 is none such as"),
    (dict(endpoints=["http://u:p@c-1:2379"]), "is none such as"),
    (dict(endpoints=["http://c-1:237x"]), "is none such as"),
    (dict(key_prefix=""), "it must not be empty"),
    (dict(key_prefix="shakenfist"), "it must not be empty, nor have shakenfist.rolling/"),
    (dict(key_prefix="shakenfist.rolling/migrations/x"), "nor have"),
    (dict(batch=15), "batch must be 16 or more"),
    (dict(lock_lease=4), "lock_lease 5 or more"),
])
def test_options(changed, said):
    with pytest.raises(RollingError, match=said):
        EtcdStore(dict(PARAMS, **changed))


def test_places_of_two_prefixes_are_apart():
    one, other = (EtcdStore(dict(PARAMS, key_prefix=prefix)) for prefix in ("/", "/a/"))
    assert not other.staged.startswith(one.staged[:-len("staged/")])
    assert base64.b64decode(end_of("/lport/")) == b"/lport0"


def kv(key, value, revision=7):
    return dict(key=encode(key), value=encode(value), mod_revision=str(revision))


def test_a_snapshot():
    found = Snapshot("/", "log")
    for one in (kv("/t/a", '{"n": 1}'), kv("/t/b/c", "{}"), kv("/t/n", "7"), kv("/t/x", "no"), kv("/odd", "{}"),
                kv("/log/m", '{"release": "1"}'), kv("/t/", "{}"), dict(key=encode("/t/e"), mod_revision="1"),
                dict(kv("/t/d", ""), value="/w=="), dict(kv("", "{}"), key="/w==")):
        found.add(one)
    assert found.keys("t") == ["a", "b/c"] and found.load("t", "a") == {"n": 1} and found.count == 2
    assert found.log == [dict(id="m", release="1")] and found.tables() == ["t"] and found.keys_in_all == 10
    with pytest.raises(ValueError, match="the key /t/n is there, and is no JSON object"):
        found.check("t", "n", {})
    found.overlay("/t/a", None)
    found.overlay("/u/z", "{}")
    found.overlay("/log/m2", "{}")
    assert found.keys("t") == ["b/c"] and found.keys("u") == ["z"] and found.tables() == ["t", "u"]


def batches(changes, entries=(), **more):
    store = EtcdStore(dict(PARAMS, **more))
    source = Snapshot("/", "log")
    source.objects = {"t": {one.id: (json.dumps(one.before), 7) for one in changes if one.before is not None}}
    return store, list(store.batches(source, changes, list(entries)))


def test_batches_by_count():
    changes = [Change("t", f"{number:03}", dict(n=number), dict(n=-number)) for number in range(1, 30)]
    store, found = batches(changes, [dict(id="m")])
    assert [len(one) for one in found] == [12, 12, 6]
    assert found[0][0] == ["/t/001", '{"n": 1}', 7, '{"n": -1}'] and found[2][-1] == ["/log/m", None, 0, '{"id": "m"}']
    assert json.loads(b"".join(map(base64.b64decode, store.pieces(found[0])))) == found[0]


def test_batches_by_size():
    changes = [Change("t", str(number), None, dict(x="y" * 200000)) for number in range(5)] + [
        Change("t", "gone", dict(x="y" * 300000), None), Change("t", "big", None, dict(x="y" * 1200000))]
    store, found = batches(changes)
    assert [len(one) for one in found] == [2, 2, 2, 1]
    assert found[2][1][2:] == [7, None]
    for one in found:
        largest = max(sum(len(row[side] or "") for row in one) for side in (1, 3))
        pieces = store.pieces(one)
        # A request as large as that of the copy is tried before anything is copied.
        assert max(map(len, pieces)) * 3 / 4 >= largest
        assert json.loads(b"".join(map(base64.b64decode, pieces))) == one


def test_what_is_staged_is_cut_at_bytes():
    store, found = batches([Change("t", "a", dict(x="ü" * 250000), dict(x="ä" * 250001))])
    pieces = store.pieces(found[0])
    assert len(pieces) > 1 and json.loads(b"".join(map(base64.b64decode, pieces))) == found[0]


def test_what_was_staged_is_damaged(answers):
    store = EtcdStore(dict(PARAMS, endpoints=[answers((200, dict(kvs=[kv("x", "[")])))]))
    with pytest.raises(RollingError, match="is not whole, so the interrupted write cannot be completed, nor undone"):
        store.chunk(dict(run="x"), 0)


def test_a_log_with_what_is_no_entry(answers):
    url = answers((200, dict(header=dict(revision="7"), kvs=[kv("/log/a", "no")])))
    store = EtcdStore(dict(PARAMS, endpoints=[url]))
    with pytest.raises(RollingError, match="the log of the migrations has what is no entry: /log/a"):
        store.log()


def test_an_alarm(answers):
    store = EtcdStore(dict(PARAMS, endpoints=[answers((200, dict(alarms=[dict(alarm="NOSPACE")])))]))
    with pytest.raises(RollingError, match=r"\(NOSPACE\), so it takes no write. Nothing was written by this"):
        with store.locked(dict(host="c-1")):
            pass


def test_a_complete_run_is_not_undone_over_what_others_wrote(monkeypatch):
    store, written = EtcdStore(dict(PARAMS)), []
    kept = dict(migrations=["mtu"], count=3, log=[dict(id="mtu")], batches=1, log_prefix="/log/")
    monkeypatch.setattr(store, "one", lambda key: (kept, 7))
    monkeypatch.setattr(store, "strangers", lambda since, own, count: (["/lport/new"], 0, 9) if since == 7 else None)
    monkeypatch.setattr(store, "commit", lambda compare, operations, done: written.append(compare) or True)
    with pytest.raises(RollingError, match="somebody has written /lport/new in etcd since mtu was written, so it is"):
        store.reopen()
    assert not written
    store.params["overwrite"] = True
    store.reopen()
    assert [len(compare) for compare in written] == [2]


def test_a_complete_run_is_undone_while_nobody_writes(monkeypatch):
    store, written = EtcdStore(dict(PARAMS)), []
    kept = dict(migrations=[], count=3, log=[], batches=1, log_prefix="/l/")
    monkeypatch.setattr(store, "one", lambda key: (kept, 7))
    # The lease of a key may have ended meanwhile.
    monkeypatch.setattr(store, "strangers", lambda since, own, count: ([], 2, 9))
    monkeypatch.setattr(store, "commit", lambda compare, operations, done: written.append(compare[-1]) or True)
    store.reopen()
    assert written == [store.unwritten(9)]


def test_what_was_staged_is_changed():
    assert "what was staged in etcd has changed meanwhile" in EtcdStore.moved().message
