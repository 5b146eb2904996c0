# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# How it goes with real stores is in tests/tools/test_store_migrations.py.

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import store_migrations

LEFT = dict(host="c-1", since="then", direction="forward", done=1, batches=2, migrations=["a"])


class Store:
    halfway = False

    def __init__(self, params):
        self.params = params

    def open(self):
        pass

    close = open

    def holder(self):
        return None

    def interrupted(self):
        return LEFT

    def log(self):
        return []

    kept = log


@pytest.mark.parametrize("kind, more", [("etcd", dict(endpoints=["http://a:1"])), ("mariadb", dict(config="/c"))])
def test_what_it_hands_on(run_module, monkeypatch, kind, more):
    made = []
    monkeypatch.setitem(store_migrations.STORES, kind, lambda params: made.append(Store(params)) or made[0])
    found = run_module(store_migrations, state="whole", store=kind, **more)
    assert found["failed"] and "the store is not whole" in found["msg"] and not found["whole"]
    assert found["interrupted"] == LEFT
    params = made[0].params
    assert params["diff"] is True and (params["batch"], params["lock_lease"], params["timeout"]) == (120, 30, 30)
    assert (params["key_prefix"], params["log_table"]) == ("/", "SchemaMigrationLog")


@pytest.mark.parametrize("arguments, said", [
    (dict(store="etcd", endpoints=["http://a:1"]), "state is migrated but all of the following are missing: directory"),
    (dict(store="etcd", state="reported", endpoints=["http://a:1"]), "are missing: directory"),
    (dict(store="etcd", state="whole"), "store=etcd needs endpoints"),
    (dict(store="mariadb", state="whole"), "store is mariadb but all of the following are missing: config"),
    (dict(state="whole"), "missing required arguments: store"),
])
def test_arguments(run_module, arguments, said):
    found = run_module(store_migrations, **arguments)
    assert found["failed"] and said in found["msg"]


def test_nobody_answers(run_module, tmp_path):
    found = run_module(store_migrations, store="etcd", endpoints=["http://127.0.0.1:1"], timeout=0,
                       directory=str(tmp_path))
    assert found["failed"] and "cannot reach etcd at 127.0.0.1:1" in found["msg"] and found["ran"] == []
