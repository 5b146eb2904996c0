# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the nodes of a batch may rely on while they are out of rotation, from what the run knows when their turn comes.

import dataclasses

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import node_of, run_of

CAUTION = ("The schema was migrated: until the database tier is rolled, restart no sf-database of the old release, and "
           "go on soon.")

# What it needs of the plan.
PLANNED = dict(order=list, serving=list, gateways_down=dict, ready_urls=dict)


@dataclasses.dataclass
class Batch:
    """A batch of nodes whose turn it is.

    :param members: the nodes of the batch, those that fail in it among them.
    :param done: the nodes that this run has rolled.
    :param followers: the nodes that it has yet to roll.
    :param peers: the readiness URLs of the nodes that must serve meanwhile.
    :param gateways: the gateways that must serve before the node counts as ready.
    :param caution: what is to be known while the run waits before the batch.
    """

    members: list
    done: list
    followers: list
    peers: list
    gateways: list
    caution: str


def caution_of(hostvars, name, run=None):
    """What is to be known of the cluster while the run waits before a node."""
    return CAUTION if node_of(hostvars, name, run).schema.get("moved") else ""


def batch_of(hostvars, name, node, members):
    """The batch that the node C(name) is in."""
    run = run_of(hostvars)
    order, serving, down, urls = (run.plan.get(key) or kind() for key, kind in PLANNED.items())
    # A batch comes after all of those before it, or not at all: nobody has to read the records of all nodes.
    places = [order.index(each) for each in members if each in order] or [0]
    done, followers = order[:min(places)], [each for each in order[min(places):] if each not in members]
    peers = [each for each in dict.fromkeys([*serving, *done]) if each not in members]
    # Gateways that were down when the run began, of nodes that it has yet to fix, cannot be waited for.
    absent = [down[each] for each in followers if each in down]
    return Batch(members=members, done=done, followers=followers,
                 peers=[urls[each] for each in peers],
                 gateways=[each for each in node.get("gateways") or [] if each not in absent],
                 caution=caution_of(hostvars, name, run))
