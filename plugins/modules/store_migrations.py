#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: store_migrations
short_description: Migrate what a product keeps in etcd or MariaDB, all or nothing, while the product is stopped
version_added: 0.2.0
description:
  - Runs the migrations of a directory that the log in the store itself does not list yet, all of them, in the order of
    C(proposed_at), on a copy of the store in memory. At the first error it reports which one has failed and why, and
    nothing at all was written. Only when all are complete is the copy written, with one entry of the log for each.
  - A migration is a file of Python with C(id), C(release), C(description), C(proposed_at) and a function
    C(migration(nb_api)). The page docs/migrations.md of this collection shows one, and what C(nb_api) offers.
  - Whoever writes to the store must be stopped meanwhile. A write that was made since the store was read is noticed,
    and named, and refused.
  - Two runs at once are impossible, the second one is refused and told who holds the lock, and since when. The lock
    of a run that was killed is free at once on the same node, and after O(lock_lease) on another one.
  - "What etcd guarantees: it takes no more than 128 operations in a transaction, so what changes is first put beside
    the store, old and new values, then one key switches, and then it is copied in batches, each a transaction. A run
    that is killed before the switch has changed nothing. After it, the store is I(interrupted): part of it is new.
    The next run completes that before anything else, or undoes it with O(state=restored). The log lists a migration
    only when all of them are written."
  - Programs that read the store themselves know nothing of that. So nothing may be started before this module has
    said, with O(state=whole), that the store is whole. Of two reads of an interrupted store none sees half of one
    batch, but they may see one batch and not the next.
  - "What MariaDB guarantees: the rows and the log are one transaction, so no reader ever sees a part. Statements of
    DDL, such as C(ALTER TABLE), cannot be rolled back there. A migration that has one is refused before anything is
    written, and so is a change of a table that knows no transactions."
requirements:
  - For O(store=mariadb) PyMySQL, which the virtualenv of the product has. Set C(ansible_python_interpreter) on the
    task; do so as well where migrations import the product
  - etcd 3.4 or later, with its JSON gateway, which is on by default, and without user authentication
options:
  directory:
    description: The directory with the migrations. Files whose names begin with C(_) or C(.) are none; migrations may
      import those. Needed with O(state=migrated) and O(state=reported).
    type: path
  state:
    description:
      - V(migrated) completes what a killed run has left, then runs what is pending.
      - V(restored) undoes what a killed run has left, so that the store is as it was before that run. Where nothing was
        interrupted it undoes the last run that was complete, if that had O(keep) and nobody has written since. It runs
        no migration.
      - V(whole) changes nothing, and fails where the store is interrupted, or somebody holds the lock. Ask it before
        anything that reads the store is started.
      - V(reported) changes nothing, and only returns what it sees. For it, a directory that does not exist has no
        migrations, as in a release from before the first one.
    type: str
    choices: [migrated, restored, whole, reported]
    default: migrated
  store:
    description: What kind of store it is.
    type: str
    choices: [etcd, mariadb]
    required: true
  endpoints:
    description: The URLs of etcd's members, such as V(http://192.0.2.1:2379). The next one is asked where one does
      not answer. Needed with O(store=etcd).
    type: list
    elements: str
    default: []
  ca_file: {type: path, description: "The certificates of those who may sign etcd's, as PEM. Without it, those of the
    system."}
  cert_file: {type: path, description: "The certificate that etcd is shown, as PEM."}
  key_file: {type: path, description: "The private key of O(cert_file), as PEM."}
  key_prefix:
    description: What the keys of the product in etcd begin with. The name of the table, V(/) and the id follow. Keys
      beyond it are neither read nor written, but for those that begin with C(shakenfist.rolling/), where the lock and
      unfinished writes are.
    type: str
    default: /
  config:
    description: The file with the address and credentials of MariaDB. Needed with O(store=mariadb).
    type: path
  prefix:
    description: The prefix that settings may carry in O(config), if that is an C(EnvironmentFile).
    type: str
    default: ""
  connection:
    description: Where O(config) has the URL of the database, as C(SECTION/OPTION), if it is an INI file, such as the
      configuration of OpenStack's services.
    type: str
    default: ""
  log_table:
    description: The table of the log, which has an object for each migration that was applied. In MariaDB it is
      created if it does not exist. Migrations do not see it.
    type: str
    default: SchemaMigrationLog
  edited:
    description: What to do about a migration whose file is not any more what was applied. The log has the SHA-256 of
      the file; entries without one are taken as they are. It is named in RV(edited) in any case.
    type: str
    choices: [warn, fail]
    default: warn
  gone:
    description: What to do about a migration that was applied, and has no file. Often the store was migrated by a
      newer release than the one that O(directory) is of. It is named in RV(gone) in any case.
    type: str
    choices: [warn, fail]
    default: fail
  keep:
    description:
      - Keep in etcd, when a run is complete, what O(state=restored) needs to undo it, until a run without O(keep), or
        the next one that writes. It takes as much room as the old and the new values together.
      - Set it where the product may still go back, and run the module once more without it when it does not any more.
    type: bool
    default: false
  overwrite:
    description: Complete an interrupted write, or undo one, although somebody else has written to the store since. What
      they have written to the keys that the run changes is lost. With O(store=etcd) only.
    type: bool
    default: false
  batch:
    description: How many operations a transaction of etcd may have. etcd's own limit is its C(--max-txn-ops), 128 by
      default. From 16 on.
    type: int
    default: 120
  lock_lease:
    description: After how many seconds the lock of a run that is gone is free. A run that lives renews it. At least 5.
    type: int
    default: 30
  timeout:
    description: For how many seconds to try again where the store does not answer.
    type: float
    default: 30
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    details: In check mode the pending migrations run on the copy, which is then thrown away. Nothing is written, the
      lock is not taken.
  diff_mode:
    details: At most the first 100 objects are shown.
"""

EXAMPLES = r"""
- name: Migrate the north-bound database of Dragonflow
  shakenfist.rolling.store_migrations:
    directory: /srv/dragonflow/current/lib/python3.11/site-packages/dragonflow/db/migrations
    store: etcd
    endpoints: ["http://192.0.2.1:2379", "http://192.0.2.2:2379"]
  vars:
    ansible_python_interpreter: /srv/dragonflow/current/bin/python
  run_once: true

- name: Be sure that the store is whole before anything is started
  shakenfist.rolling.store_migrations:
    state: whole
    store: etcd
    endpoints: ["http://192.0.2.1:2379", "http://192.0.2.2:2379"]
  run_once: true

- name: Undo what a killed run has left, before the prior release is started
  shakenfist.rolling.store_migrations:
    state: restored
    store: etcd
    endpoints: ["http://192.0.2.1:2379", "http://192.0.2.2:2379"]
  run_once: true

- name: Migrate a database in MariaDB
  shakenfist.rolling.store_migrations:
    directory: /srv/product/migrations
    store: mariadb
    config: /etc/product/product.conf
    connection: database/connection
  vars:
    ansible_python_interpreter: /srv/product/venv/bin/python
"""

RETURN = r"""
ran:
  description: The ids of the migrations that this run has applied, in their order. In check mode those that it would.
  returned: success
  type: list
  elements: str
  sample: [lport-topic]
pending:
  description: The migrations of O(directory) that the log did not list when the run began, in their order.
  returned: success, and failure where the store was read
  type: list
  elements: dict
  sample: [{"id": "lport-topic", "release": "5.0.0", "description": "Ports get a topic", "proposed_at": "2018-03-01
    00:00:00", "file": "0003_lport_topic.py"}]
applied:
  description: The entries of the log when the run ends, in the order of C(applied_at). In check mode, when it began.
  returned: success, and failure where the store was read
  type: list
  elements: dict
  sample: [{"id": "lswitch-mtu", "release": "4.0.0", "description": "Networks get an MTU", "proposed_at": "2017-06-01
    00:00:00", "applied_at": "2026-11-30T08:00:00Z", "digest":
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]
interrupted:
  description: What a killed run had left when this one began. V(null) if there was nothing. C(done) of C(batches) had
    been copied in C(direction) V(forward), or were not yet taken back in direction V(back).
  returned: success, and failure where the store was read
  type: dict
  sample: {"host": "c-1", "since": "2026-11-30T08:00:00Z", "direction": "forward", "done": 3, "batches": 84,
    "migrations": ["lport-topic"]}
resumed:
  description: What was done about RV(interrupted), V(completed) or V(undone). Empty if there was nothing. In check
    mode what would be.
  returned: success
  type: str
  sample: completed
whole:
  description: Whether the store is whole when the run ends. V(false) if a write was interrupted, or with
    O(state=whole) and O(state=reported) a run is under way.
  returned: success, and failure where the store was read
  type: bool
holder:
  description: Who holds the lock, if that is another run. V(null) if nobody does.
  returned: success, and failure where the store was read
  type: dict
  sample: {"host": "c-1", "pid": 4711, "since": "2026-11-30T08:00:00Z"}
edited:
  description: The ids of the migrations whose files are not any more what was applied.
  returned: success, and failure where the store was read
  type: list
  elements: str
gone:
  description: The ids of the migrations that were applied and have no file in O(directory).
  returned: success, and failure where the store was read
  type: list
  elements: str
kept:
  description: The ids of the migrations that O(state=restored) would undo, although their run was complete. Empty
    without O(keep).
  returned: success
  type: list
  elements: str
changes:
  description: How many objects of each table RV(ran) has created, updated and deleted. In check mode, would.
  returned: success
  type: dict
  sample: {"lport": {"created": 0, "updated": 10000, "deleted": 0}}
objects:
  description: How many objects were read; V(0) where no migration was pending, for then none is.
  returned: success
  type: int
seconds:
  description: How long it took to read the store, to run the migrations, and to write.
  returned: success
  type: dict
  sample: {"read": 0.4, "migrate": 0.3, "write": 5.1}
peak: {type: int, returned: success, description: "The most memory that the module had, in MiB. V(0) if unknown."}
output:
  description: What the migrations have printed, the last lines.
  returned: success, and failure of a migration
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials
from ansible_collections.shakenfist.rolling.plugins.module_utils._migrations import Runner
from ansible_collections.shakenfist.rolling.plugins.module_utils._store_etcd import EtcdStore
from ansible_collections.shakenfist.rolling.plugins.module_utils._store_mariadb import MariadbStore

STORES = dict(etcd=EtcdStore, mariadb=MariadbStore)


def run(module):
    params = dict(module.params, diff=module._diff)
    return Runner(STORES[params["store"]](params), params, module.check_mode, module.warn).run()


def main():
    module = AnsibleModule(
        argument_spec=dict(
            directory=dict(type="path"),
            state=dict(type="str", choices=["migrated", "restored", "whole", "reported"], default="migrated"),
            store=dict(type="str", choices=["etcd", "mariadb"], required=True),
            endpoints=dict(type="list", elements="str", default=[]),
            ca_file=dict(type="path"),
            cert_file=dict(type="path"),
            key_file=dict(type="path", no_log=False),
            key_prefix=dict(type="str", default="/", no_log=False),
            config=dict(type="path"),
            prefix=dict(type="str", default=""),
            connection=dict(type="str", default=""),
            log_table=dict(type="str", default="SchemaMigrationLog"),
            edited=dict(type="str", choices=["warn", "fail"], default="warn"),
            gone=dict(type="str", choices=["warn", "fail"], default="fail"),
            keep=dict(type="bool", default=False),
            overwrite=dict(type="bool", default=False),
            batch=dict(type="int", default=120),
            lock_lease=dict(type="int", default=30),
            timeout=dict(type="float", default=30),
        ),
        required_if=[("state", "migrated", ["directory"]), ("state", "reported", ["directory"]),
                     ("store", "mariadb", ["config"])],
        supports_check_mode=True,
    )
    hide_credentials(module, *module.params["endpoints"])
    conclude(module, lambda: run(module))


if __name__ == "__main__":
    main()
