# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the nodes of a batch may rely on while they are out of rotation, from what the run knows when their turn comes.

import dataclasses

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, plain, run_of

CAUTION = ("The schema was migrated: until the database tier is rolled, restart no sf-database of the old release, and "
           "go on soon.")


@dataclasses.dataclass
class Batch:
    """A batch of nodes whose turn it is.

    :param members: the nodes of the batch, those that fail in it among them.
    :param done: the nodes that this run has rolled.
    :param followers: the nodes that it has yet to roll.
    :param peers: the readiness URLs of the nodes that must serve meanwhile.
    :param gateways: the gateways that must serve before the node counts as ready.
    :param caution: what is to be known while the run waits before the batch.
    :param api: whether the API can be asked, and C(nodes), as it knew them when the run began.
    """

    members: list
    done: list
    followers: list
    peers: list
    gateways: list
    caution: str
    api: bool = False
    nodes: list = dataclasses.field(default_factory=list)


def known(hostvars, name, key):
    """What role C(cluster) has published of a node."""
    node = hostvars[name].get("cluster_node") if name in hostvars else None
    return plain(node or {}).get(key)


def caution_of(hostvars, name, run=None):
    """What is to be known of the cluster while the run waits before a node."""
    return CAUTION if node_of(hostvars, name, run).schema.get("moved") else ""


def batch_of(hostvars, name, node, members):
    """The batch that the node C(name) is in."""
    run = run_of(hostvars)
    order, serving, gateways_down = (run.plan.get(key) or [] for key in ("order", "serving", "gateways_down"))
    done = [each for each in order if node_of(hostvars, each, run).rolled]
    followers = [each for each in order if each not in done and each not in members]
    peers = [each for each in dict.fromkeys([*serving, *done]) if each not in members]
    # Gateways that were down when the run began, of nodes that it has yet to fix, cannot be waited for.
    absent = [known(hostvars, each, "gateway") for each in followers if each in gateways_down]
    return Batch(members=members, done=done, followers=followers,
                 peers=[known(hostvars, each, "ready_url") for each in peers],
                 gateways=[each for each in node.get("gateways") or [] if each not in absent],
                 caution=caution_of(hostvars, name, run), api=bool(run.plan.get("api")),
                 nodes=run.plan.get("nodes") or [])
