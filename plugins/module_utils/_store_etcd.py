# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Objects in etcd, and how many of them are written so that a kill at any moment loses nothing:
#   1. What changes is staged beside the store, in batches, each with the old and the new values.
#   2. One key, the intent, is written. From here on the store counts as interrupted; before, nothing has happened.
#   3. Each batch is copied in one transaction, which also counts the batches that are done.
#   4. One transaction writes the last entries of the log, and removes the intent and what was staged.
# Each of these transactions holds only while this process has the lock, and while what it replaces is as it was seen.

import base64
import contextlib
import http.client
import json
import ssl
import threading
import time
import uuid
from urllib.parse import quote, urlsplit

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import (
    NOTHING,
    is_gone,
    locked_by,
    named,
    told,
)

OWN = "shakenfist.rolling/migrations/"
PAGE = 500                  # keys of one answer
ANSWER_WITHIN = 10          # seconds for one answer
BATCH_BYTES = 512 * 1024    # old and new values of a batch; etcd takes 1.5 MiB in a request
PIECE = 640 * 1024          # of what is staged of a batch
ROOM = 16 * 1024            # what a transaction has beside its values
AGAIN = 0.25                # seconds between two attempts
WORDS = 400                 # of an answer that is no JSON
# Beside the keys of a batch a transaction looks at, or writes, the lock, the intent and the progress.
BESIDE = 4
# What etcd says when it will do what was asked for a little later.
TRANSIENT = (4, 14)
FULL = "the store is out of space (NOSPACE)"
MAKE_ROOM = ("Compact and defragment etcd, or raise --quota-backend-bytes, then etcdctl alarm disarm, and start again")


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    """A key or a value; None if it is no text."""
    try:
        return base64.b64decode(text).decode()
    except UnicodeDecodeError:
        return None


def end_of(prefix):
    """The first key after all that begin with a prefix, as base64."""
    data = prefix.encode()
    return base64.b64encode(data[:-1] + bytes([data[-1] + 1])).decode()


class EtcdError(RollingError):
    """etcd has refused a request."""


class Gateway:
    """The JSON gateway of etcd."""

    def __init__(self, endpoints, timeout, ca_file=None, cert_file=None, key_file=None):
        self.places = [urlsplit(one) for one in endpoints]
        for url, place in zip(endpoints, self.places):
            try:
                good = place.scheme in ("http", "https") and place.hostname and not place.username and place.port != 0
            except ValueError:  # of a port that is none
                good = False
            if not good:
                raise RollingError(f"the endpoint {url} is none such as http://192.0.2.1:2379")
        self.names = [place.netloc for place in self.places]
        self.timeout, self.tls, self.at, self.connection = timeout, (ca_file, cert_file, key_file), 0, None

    def name(self):
        return self.names[self.at]

    def connect(self, within):
        """One connection for all requests: to make one takes longer than most answers."""
        place = self.places[self.at]
        if place.scheme == "http":
            return http.client.HTTPConnection(place.hostname, place.port or 2379, timeout=within)
        ca_file, cert_file, key_file = self.tls
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
        return http.client.HTTPSConnection(place.hostname, place.port or 2379, timeout=within, context=context)

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def ask(self, path, body, within):
        """An answer; C(EtcdError) if it is no, OSError or the like if there is none."""
        if not self.connection:
            self.connection = self.connect(within)
        if self.connection.sock:
            self.connection.sock.settimeout(within)
        self.connection.request("POST", f"{self.places[self.at].path.rstrip('/')}/v3/{path}", json.dumps(body).encode(),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        try:
            found = json.loads(text)
        except ValueError:
            found = dict(error=text.decode(errors="replace").strip()[:WORDS])
        # A stream puts its errors into an answer that is good.
        if answer.status != 200 or "error" in found:
            self.refuse(path, answer.status, found)
        return found

    def call(self, path, body, timeout=None):
        """Ask until there is an answer. What was asked may have been done more than once then."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            try:
                return self.ask(path, body, max(1.0, min(ANSWER_WITHIN, deadline - time.monotonic())))
            except (OSError, http.client.HTTPException) as exc:
                self.close()
                problem = str(exc) or type(exc).__name__
            if time.monotonic() >= deadline:
                raise EtcdError(f"cannot reach etcd at {', '.join(self.names)}: {problem}. What was written "
                                "counts, the next run goes on from there. See that etcd is healthy: etcdctl "
                                "endpoint health") from None
            self.at = (self.at + 1) % len(self.places)
            time.sleep(min(AGAIN, max(0.0, deadline - time.monotonic())))

    def refuse(self, path, status, found):
        """What etcd says; an OSError if another attempt may go better."""
        found = found.get("error") if isinstance(found.get("error"), dict) else found
        words = str(found.get("message") or found.get("error") or f"HTTP {status}")
        if "space exceeded" in words:
            raise EtcdError(f"{FULL}: {words}. {MAKE_ROOM}")
        if "too many operations" in words:
            raise EtcdError(f"etcd at {self.name()} takes fewer operations in a transaction than batch says: {words}. "
                            "Give "
                            "its --max-txn-ops as batch. A write that is interrupted needs the limit that it began "
                            "with")
        if found.get("code", found.get("grpc_code")) in TRANSIENT or status in (502, 503, 504):
            raise ConnectionError(words)
        raise EtcdError(f"etcd at {self.name()} refuses {path}: {words}")

    def range(self, key, **more):
        return self.call("kv/range", dict(key=encode(key), **more))

    def transaction(self, compare, operations):
        return self.call("kv/txn", dict(compare=compare, success=operations))


# ---- parts of a transaction

def is_mod(key, revision):
    """That a key was last written at a revision; 0 if it does not exist."""
    return dict(key=encode(key), target="MOD", result="EQUAL", mod_revision=str(revision))


def put(key, value, **more):
    return dict(request_put=dict(key=encode(key), value=encode(value), **more))


def remove(key, **more):
    return dict(request_delete_range=dict(key=encode(key), **more))


def get(key):
    return dict(request_range=dict(key=encode(key)))


class Snapshot:
    """The objects under a prefix, as they were at one revision."""

    def __init__(self, prefix, hidden):
        self.prefix, self.hidden = prefix, hidden
        self.objects, self.others, self.log = {}, set(), []
        self.revision = self.count = self.keys_in_all = 0

    def add(self, kv):
        self.keys_in_all += 1
        key, text = decode(kv["key"]), decode(kv.get("value", ""))
        table, dummy, name = (key or "")[len(self.prefix):].partition("/")
        try:
            value = json.loads(text or "")
        except ValueError:
            value = None
        if not table or not name or not isinstance(value, dict):
            # Counters of the product, for example. They are left as they are.
            self.others.add(key)
        elif table == self.hidden:
            self.log.append(dict(value, id=name))
        else:
            self.count += 1
            self.objects.setdefault(table, {})[name] = (text, int(kv["mod_revision"]))

    def overlay(self, key, text):
        """Have an object as it will be."""
        table, dummy, name = key[len(self.prefix):].partition("/")
        if text is None:
            self.objects.get(table, {}).pop(name, None)
        elif table != self.hidden:
            self.objects.setdefault(table, {})[name] = (text, 0)

    # What the copy needs.

    def tables(self):
        return [table for table, objects in self.objects.items() if objects]

    def keys(self, table):
        return list(self.objects.get(table, {}))

    def load(self, table, name):
        text = self.objects.get(table, {}).get(name, (None,))[0]
        return None if text is None else json.loads(text)

    def check(self, table, name, value):
        if not isinstance(table, str) or not table or "/" in table or not isinstance(name, str) or not name:
            raise ValueError(f"{table!r} and {name!r} are no table without / and no id")
        if not isinstance(value, dict):
            raise ValueError(f"the object {name} of {table} is a {type(value).__name__}, not a dict")
        if self.key(table, name) in self.others:
            raise ValueError(f"the key {self.key(table, name)} is there, and is no JSON object")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise ValueError(f"the object {name} of {table} cannot be JSON: {exc}") from exc

    @staticmethod
    def copy(value):
        return json.loads(json.dumps(value))

    def key(self, table, name):
        return f"{self.prefix}{table}/{name}"


class EtcdStore:
    """The store of a product in etcd."""

    def __init__(self, params):
        self.params, self.prefix = params, params["key_prefix"]
        if not params["endpoints"]:
            raise RollingError("store=etcd needs endpoints, such as http://192.0.2.1:2379")
        if not self.prefix or OWN.startswith(self.prefix) or self.prefix.startswith(OWN):
            raise RollingError(f"key_prefix is {self.prefix!r}: it must not be empty, nor have {OWN} in it, where the "
                               "lock is")
        if params["batch"] < 16 or params["lock_lease"] < 5:
            raise RollingError("batch must be 16 or more, and lock_lease 5 or more")
        tls = dict(ca_file=params["ca_file"], cert_file=params["cert_file"], key_file=params["key_file"])
        self.new_gateway = lambda timeout: Gateway(params["endpoints"], timeout, **tls)
        self.etcd = self.new_gateway(params["timeout"])
        # Whatever the prefix is, no such place begins with that of another one.
        own = f"{OWN}{quote(self.prefix, safe='')}/"
        self.lock_key, self.intent_key, self.progress_key = own + "lock", own + "intent", own + "progress"
        self.kept_key, self.staged = own + "kept", own + "staged/"
        self.log_prefix = f"{self.prefix}{params['log_table']}/"
        self.lock_revision, self.lease, self.run, self.beat = 0, "", uuid.uuid4().hex, None
        # Whether the store may be half-written by this run.
        self.halfway = False

    def open(self):
        self.etcd.call("maintenance/status", {})

    def close(self):
        self.etcd.close()

    # ---- reading

    def pages(self, prefix, **more):
        """All keys under a prefix, as they are at one revision; the first thing is that revision."""
        first, revision = encode(prefix), 0
        while True:
            found = self.etcd.call("kv/range", dict(key=first, range_end=end_of(prefix), limit=str(PAGE),
                                                    revision=str(revision), **more))
            if not revision:
                revision = int(found["header"]["revision"])
                yield revision
            kvs = found.get("kvs", [])
            yield from kvs
            if not found.get("more"):
                return
            first = base64.b64encode(base64.b64decode(kvs[-1]["key"]) + b"\0").decode()

    def one(self, key):
        """The value of a key, and at which revision it was written; None and 0 if it does not exist."""
        kvs = self.etcd.range(key).get("kvs", [])
        return (json.loads(decode(kvs[0].get("value", ""))), int(kvs[0]["mod_revision"])) if kvs else (None, 0)

    def log(self):
        found = Snapshot(self.prefix, self.params["log_table"])
        kvs = self.pages(self.log_prefix)
        next(kvs)
        for kv in kvs:
            found.add(kv)
        if found.others:
            raise RollingError("the log of the migrations has what is no entry: "
                               f"{named(sorted(map(str, found.others)))}. "
                               f"{NOTHING}. Look at it with etcdctl get, and correct it")
        return found.log

    def read(self):
        found = Snapshot(self.prefix, self.params["log_table"])
        kvs = self.pages(self.prefix)
        found.revision = next(kvs)
        for kv in kvs:
            found.add(kv)
        if self.lock_revision:
            return found
        # Without a lock it is the check mode: an interrupted store as it will be.
        intent = self.one(self.intent_key)[0]
        if intent:
            back = self.params["state"] == "restored" or intent["direction"] == "back"
            for number in range(intent["batches"]):
                for key, old, dummy, new in self.chunk(intent, number):
                    found.overlay(key, old if back else new)
        return found

    # ---- the lock

    def holder(self):
        found = self.one(self.lock_key)[0]
        return None if found is None or is_gone(found) else found

    def mine(self):
        """That this process has the lock."""
        return is_mod(self.lock_key, self.lock_revision)

    @contextlib.contextmanager
    def locked(self, me):
        alarms = self.etcd.call("maintenance/alarm", dict(action="GET")).get("alarms", [])
        if any(one.get("alarm") == "NOSPACE" for one in alarms):
            raise RollingError(f"{FULL}, so it takes no write. {NOTHING} by this run. {MAKE_ROOM}")
        self.lease = self.etcd.call("lease/grant", dict(TTL=str(self.params["lock_lease"])))["ID"]
        try:
            self.take(dict(me, run=self.run))
            self.beat = threading.Event()
            threading.Thread(target=self.keep_alive, args=(self.beat,), daemon=True).start()
            self.sweep()
            yield
        finally:
            if self.beat is not None:
                self.beat.set()
            # It ends by itself, too.
            with contextlib.suppress(RollingError):
                self.etcd.call("lease/revoke", dict(ID=self.lease), timeout=2)

    def take(self, me):
        while True:
            self.etcd.transaction([is_mod(self.lock_key, 0)], [put(self.lock_key, json.dumps(me), lease=self.lease)])
            found, revision = self.one(self.lock_key)
            if found and found.get("run") == self.run:
                self.lock_revision = revision
                return
            if found and not is_gone(found):
                raise RollingError(f"{locked_by(found)}. {NOTHING} by this one. Wait until it has ended; the lock of "
                                   "one that is "
                                   f"gone is free {self.params['lock_lease']} s after it", holder=told(found))
            # The process that had it is gone: nobody else's lock is removed by this.
            self.etcd.transaction([is_mod(self.lock_key, revision)], [remove(self.lock_key)])

    def keep_alive(self, ended):
        gateway = self.new_gateway(self.params["lock_lease"] / 3)
        while not ended.wait(self.params["lock_lease"] / 3):
            # Whether the lock was lost, each transaction sees.
            with contextlib.suppress(RollingError):
                gateway.call("lease/keepalive", dict(ID=self.lease))

    def commit(self, compare, operations, done):
        """A transaction under the lock.

        :arg done: tells whether it was done already, by an attempt whose answer was lost.
        :returns: whether it is done.
        """
        if self.etcd.transaction([self.mine(), *compare], operations).get("succeeded") or done():
            return True
        if self.one(self.lock_key)[1] != self.lock_revision:
            raise RollingError("the lock was lost, because etcd could not be asked for longer than lock_lease, or "
                               "somebody has "
                               "removed it. What was written counts, the next run goes on from there: start it again")
        return False

    def sweep(self):
        """Remove what a run has staged that was killed before it wrote anything."""
        if self.one(self.intent_key)[0] is None and self.one(self.kept_key)[0] is None:
            left = self.etcd.range(self.staged, range_end=end_of(self.staged), count_only=True)
            if int(left.get("count", 0)):
                self.commit([is_mod(self.intent_key, 0)], [self.unstage()], lambda: False)

    def unstage(self):
        return remove(self.staged, range_end=end_of(self.staged))

    # ---- writing

    def batches(self, source, changes, entries):
        """What is copied in one transaction each: key, old value, its revision, new value; None is no value."""
        batch: list[list] = []
        limit, size = self.params["batch"] - BESIDE, 0
        for key, old, revision, new in self.rows(source, changes, entries):
            more = len(key) + len((old or "").encode()) + len((new or "").encode())
            if batch and (len(batch) == limit or size + more > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append([key, old, revision, new])
            size += more
        if batch:
            yield batch

    def rows(self, source, changes, entries):
        for change in changes:
            old, revision = source.objects.get(change.table, {}).get(change.id, (None, 0))
            new = None if change.after is None else json.dumps(change.after)
            yield source.key(change.table, change.id), old, revision, new
        for entry in entries:
            yield self.log_prefix + entry["id"], None, 0, json.dumps(entry)

    def pieces(self, batch):
        """A batch as texts to be staged. One is as large as the transaction will be, so that etcd refuses it here."""
        text = json.dumps(batch, ensure_ascii=False).encode()
        largest = max(sum(len(key.encode()) + len((one or "").encode()) for key, one in side)
                      for side in ([(row[0], row[1]) for row in batch], [(row[0], row[3]) for row in batch]))
        piece = max(PIECE, largest + ROOM)
        return [base64.b64encode(text[at:at + piece]).decode() for at in range(0, len(text), piece)]

    def stage(self, number, batch):
        for at, piece in enumerate(self.pieces(batch)):
            key = f"{self.staged}{self.run}/{number:08}/{at:04}"
            operation = dict(request_put=dict(key=encode(key), value=piece))
            try:
                self.commit([], [operation], lambda: False)
            except EtcdError as exc:
                if "too large" not in exc.message:
                    raise
                largest = max(batch, key=lambda row: len(row[1] or "") + len(row[3] or ""))
                raise RollingError(f"{largest[0]} is too large for etcd, it takes 1.5 MiB in a request unless "
                                   "--max-request-bytes "
                                   f"says otherwise. {NOTHING}: {exc.message}") from exc

    def rehearse(self, size):
        """See that etcd takes as many operations as the largest batch has."""
        many = [get(self.lock_key)] * (size + BESIDE)
        self.etcd.transaction([self.mine()] * (size + BESIDE), many)

    def write(self, source, changes, entries):
        self.forget()
        # The last entries of the log are written with the end; where there are more, those before them are a batch.
        late = self.params["batch"] - BESIDE
        count = largest = 0
        for batch in self.batches(source, changes, entries[:-late]):
            self.stage(count, batch)
            count, largest = count + 1, max(largest, len(batch))
        self.rehearse(max(largest, min(late, len(entries))))
        added = sum((change.before is None) - (change.after is None) for change in changes) + len(entries[:-late])
        self.refuse_strangers(source.revision, [], source.keys_in_all)
        intent = dict(self.me(), batches=count, direction="forward", log=entries[-late:], log_prefix=self.log_prefix,
                      revision=source.revision,
                      count=source.keys_in_all + added, migrations=[entry["id"] for entry in entries])
        self.halfway = True
        switched = self.commit([is_mod(self.intent_key, 0), self.unwritten(source.revision)],
                               [put(self.intent_key, json.dumps(intent))],
                               lambda: (self.one(self.intent_key)[0] or {}).get("run") == self.run)
        if not switched:
            self.halfway = False
            self.refuse_strangers(source.revision, [], source.keys_in_all)
            raise RollingError(f"somebody has written to etcd while the store was read. {NOTHING}. Stop what writes "
                               "there, and start "
                               "again")
        self.settle(back=False)

    def me(self):
        found = self.one(self.lock_key)[0] or {}
        return dict(run=self.run, host=found.get("host"), since=found.get("since"))

    def strangers(self, since, own, count):
        """The keys that somebody else has written since a revision, and how many more were removed."""
        found, seen = [], 0
        kvs = self.pages(self.prefix, keys_only=True)
        revision = next(kvs)
        for kv in kvs:
            seen += 1
            if int(kv["mod_revision"]) > since and int(kv["mod_revision"]) not in own:
                found.append(decode(kv["key"]) or kv["key"])
        return found, count - seen, revision

    def unwritten(self, revision):
        """That no key of the product was written after a revision."""
        return dict(key=encode(self.prefix), range_end=end_of(self.prefix), target="MOD", result="LESS",
                    mod_revision=str(revision + 1))

    def refuse_strangers(self, since, own, count):
        found, removed, revision = self.strangers(since, own, count)
        if (found or removed) and not self.params["overwrite"]:
            what = f"has written {named(found)}" if found else f"has removed {removed} keys"
            state = "The store is interrupted" if own else NOTHING
            ways = "give overwrite=true, or undo it with state=restored and " if own else ""
            raise RollingError(f"somebody {what} in etcd since the store was read. {state}. Stop what writes there, "
                               f"{ways}start again")
        return revision

    # ---- what is kept of a run that is complete

    def kept(self):
        """The migrations of a run that is complete, and can be undone."""
        return (self.one(self.kept_key)[0] or {}).get("migrations", [])

    def forget(self):
        """Remove what is kept; returns whether there was something."""
        revision = self.one(self.kept_key)[1]
        return bool(revision) and self.commit([is_mod(self.kept_key, revision), is_mod(self.intent_key, 0)],
                                              [remove(self.kept_key), self.unstage()],
                                              lambda: self.one(self.kept_key)[1] == 0)

    def reopen(self):
        """Have the run of which something is kept count as interrupted, on its way back. The log is the first to go."""
        intent, revision = self.one(self.kept_key)
        # What the new release has written is of the new kind, also where no migration has changed it. What is gone,
        # such as a key whose lease has ended, is nobody's trouble.
        found, dummy, until = self.strangers(revision, [], 0)
        if found and not self.params["overwrite"]:
            raise RollingError(f"somebody has written {named(found)} in etcd since {named(intent['migrations'])} was "
                               f"written, so it is not undone. {NOTHING}. To lose that, give overwrite=true; to keep "
                               "it, run store_migrations without keep")
        progress = json.dumps(dict(done=intent["batches"], revisions=[]))
        operations = [remove(self.kept_key), put(self.intent_key, json.dumps(intent)), put(self.progress_key, progress)]
        operations += [remove(intent["log_prefix"] + entry["id"]) for entry in intent["log"]]
        compare = [is_mod(self.kept_key, revision), is_mod(self.intent_key, 0)]
        compare += [] if self.params["overwrite"] else [self.unwritten(until)]
        if not self.commit(compare, operations, lambda: self.one(self.intent_key)[0] == intent):
            raise self.moved()

    # ---- an interrupted write

    def progress(self):
        """How many batches are new, at which revisions they were written, and the revision of the progress itself."""
        found, revision = self.one(self.progress_key)
        return (found["done"], found["revisions"] + [revision], revision) if found else (0, [], 0)

    def interrupted(self):
        intent = self.one(self.intent_key)[0]
        if intent is None:
            return None
        return dict(host=intent["host"], since=intent["since"], direction=intent["direction"], done=self.progress()[0],
                    batches=intent["batches"], migrations=intent["migrations"])

    def promised(self):
        """The entries of the log that an interrupted write ends with."""
        intent = self.one(self.intent_key)[0] or {}
        entries = list(intent.get("log", []))
        for number in range(intent.get("batches", 0)):
            entries += [json.loads(row[3]) for row in self.chunk(intent, number)
                        if row[0].startswith(intent["log_prefix"])]
        return entries

    def chunk(self, intent, number):
        place = f"{self.staged}{intent['run']}/{number:08}/"
        kvs = self.etcd.range(place, range_end=end_of(place)).get("kvs", [])
        try:
            return json.loads(b"".join(base64.b64decode(kv["value"]) for kv in kvs).decode())
        except ValueError as exc:
            raise RollingError(f"what was staged in etcd under {place} is not whole, so the interrupted write cannot "
                               "be completed, "
                               "nor undone. Restore etcd from a snapshot from before the migrations") from exc

    def settle(self, back):
        """Complete an interrupted write, or undo it."""
        self.halfway = True
        intent, revision = self.one(self.intent_key)
        if back and intent["direction"] != "back":
            intent["direction"] = "back"
            if not self.commit([is_mod(self.intent_key, revision)], [put(self.intent_key, json.dumps(intent))],
                               lambda: self.one(self.intent_key)[0] == intent):
                raise self.moved()
            revision = self.one(self.intent_key)[1]
        done = self.progress()[0]
        for number in range(done - 1, -1, -1) if back else range(done, intent["batches"]):
            self.copy(intent, revision, number, back)
        self.finish(intent, revision, back)

    @staticmethod
    def moved():
        return RollingError("what was staged in etcd has changed meanwhile, by somebody who had no lock. Start again: "
                            "the next run "
                            "goes on from there")

    def present(self, batch):
        """By key, what is in the store now: the value, its revision, None and 0 if it does not exist."""
        answers = self.etcd.transaction([], [get(row[0]) for row in batch])["responses"]
        found = {}
        for row, answer in zip(batch, answers):
            kvs = answer["response_range"].get("kvs", [])
            found[row[0]] = (decode(kvs[0].get("value", "")), int(kvs[0]["mod_revision"])) if kvs else (None, 0)
        return found

    def copy(self, intent, revision, number, back):
        """One batch, forward or back, and how far that is, in one transaction."""
        batch, (dummy, revisions, at) = self.chunk(intent, number), self.progress()
        seen = self.present(batch)
        odd = [key for key, old, before, new in batch
               if (seen[key][0] != new if back else seen[key] != (old, before if old is not None else 0))]
        if odd and not self.params["overwrite"]:
            way = "" if back else ", or undo it with state=restored"
            raise RollingError(f"somebody has written {named(odd)} in etcd since the store was read. The store is "
                               "interrupted, batch "
                               f"{number + 1} of {intent['batches']}. Stop what writes there, and give "
                               f"overwrite=true{way}")
        operations = []
        for key, old, dummy, new in batch:
            value = old if back else new
            if value is not None:
                # A key that ends with a lease goes on to do so.
                operations.append(put(key, value, **({"ignore_lease": True} if seen[key][1] else {})))
            elif seen[key][1]:
                operations.append(remove(key))
        after = number if back else number + 1
        operations.append(put(self.progress_key, json.dumps(dict(done=after, revisions=revisions))))
        compare = [is_mod(self.intent_key, revision), is_mod(self.progress_key, at)]
        compare += [is_mod(key, seen[key][1]) for key in seen]
        if not self.commit(compare, operations, lambda: self.progress()[0] == after):
            raise self.moved()

    def finish(self, intent, revision, back):
        """The log, and the end of the intent."""
        compare, operations = [is_mod(self.intent_key, revision)], []
        if not back:
            until = self.refuse_strangers(intent["revision"], self.progress()[1], intent["count"])
            if not self.params["overwrite"]:
                compare.append(self.unwritten(until))
            operations = [put(intent["log_prefix"] + entry["id"], json.dumps(entry)) for entry in intent["log"]]
        if self.params["keep"] and not back:
            operations.append(put(self.kept_key, json.dumps(dict(intent, direction="back"))))
        else:
            operations.append(self.unstage())
        operations += [remove(self.intent_key), remove(self.progress_key)]
        if not self.commit(compare, operations, lambda: self.one(self.intent_key)[0] is None):
            raise self.moved()
        self.halfway = False
