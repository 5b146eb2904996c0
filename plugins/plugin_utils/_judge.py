# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# The questions of the preflight, answered from what was seen of all nodes.

import dataclasses

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import timing_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import mixed_words, with_build
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._cluster import (
    half_way,
    judge_cluster,
    known_as,
    offsets_of,
    unseen_nodes,
)
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import report
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node_notes import note_nodes
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import CONTINUES, percentages, plan_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import SAME
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import PREFLIGHT, section
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verdict import judge_nodes

CONFLICTS = ("on {name}, installed packages would no longer fit together with {version}: {conflicts} Upgrade these "
             "with the release (stage_packages); stage_conflicts decides whether that is refused")
NOBODY_ASKS = {"known": False, "problem": "no node serves"}
LACKING = dict(node={}, failure="it could not be checked", unreachable=False, ready=False, answers="nothing",
               gateways={}, host={}, balancer={}, balancer_told=False)


@dataclasses.dataclass
class Sight:
    """What was seen of the nodes of the play.

    :param seen: by name in the inventory, what the action C(look) has noted, with C(zone), C(balancer), C(told), and
        C(balancer_told), whether the node is drained through the API of its balancers first, and C(units), the units
        to restart where these were named.
    :param resolved: by name, what was resolved there, C(stage_resolved).
    :param problems: why the release could not be resolved, one sentence each.
    :param addresses: by name of the nodes that could not be checked, and of those that C(--limit) leaves out, the
        addresses that each may have.
    """

    seen: dict
    resolved: dict = dataclasses.field(default_factory=dict)
    problems: list = dataclasses.field(default_factory=list)
    addresses: dict = dataclasses.field(default_factory=dict)

    def asker(self):
        """The one node that asks the API for all: the first one that serves; empty if none does."""
        return next((name for name, seen in self.seen.items() if seen["ready"]), "")

    def able(self):
        """The nodes whose pip could be asked."""
        return [name for name, seen in self.seen.items() if seen["node"] and not seen["node"]["problem"]]

    def nodes(self):
        """What is known of each node that could be examined."""
        return {name: seen["node"] for name, seen in self.seen.items() if seen["node"]}

    def resolver_of(self):
        """By node, the first one of its kind: what that one resolves the others can use."""
        first: dict[str, str] = {}
        for name in self.able():
            first.setdefault(self.seen[name]["node"]["kind"], name)
        return {name: first[self.seen[name]["node"]["kind"]] for name in self.able()}

    def hidden(self):
        """The nodes that C(--limit) leaves out, with their addresses."""
        return {name: addresses for name, addresses in self.addresses.items() if name not in self.seen}

    def unseen(self, api):
        """What the API tells of the nodes that C(--limit) leaves out."""
        asker = self.asker()
        return unseen_nodes(api, self.hidden(), self.seen[asker]["node"] if asker else {})

    def absent(self, api):
        """By name of the nodes that could not be checked, which of the API's list each is."""
        return {name: known_as(api, name, self.addresses.get(name, ())) for name, seen in self.seen.items()
                if not seen["node"]}

    def target(self):
        """What is rolled to, as the first node that could be asked has it."""
        return self.resolved.get(next(iter(self.able()), ""), {})

    def timing(self, options):
        """What is not known of how fast the balancers are, or what is too slow."""
        nodes = {name: dict(grace=float(node["drain_grace"]), told=self.seen[name].get("balancer_told"),
                            haproxy=self.seen[name].get("balancer") or {}) for name, node in self.nodes().items()}
        return timing_of(nodes, options.balancer_detection, options.settle, len({*self.seen, *self.addresses}),
                         options.gate_timeout)

    def conflicts(self):
        """What is installed and does not go with the release any more, of each node that has resolved it."""
        found = {name: one["conflicts"] for name, one in self.resolved.items()
                 if one.get("conflicts") and one.get("node", name) == name}
        return [CONFLICTS.format(name=name, version=self.resolved[name]["version"], conflicts=" ".join(sentences))
                for name, sentences in found.items()]

    def offsets(self):
        return offsets_of(self.seen)


@dataclasses.dataclass
class Options:
    """What was asked for; see the variables of the roles with these names."""

    kind: str = "upgrade"
    database: list = dataclasses.field(default_factory=list)
    groups: dict = dataclasses.field(default_factory=dict)
    serial: object = 1
    allow_degraded: bool = False
    allow_downgrade: bool = False
    allow_skip: bool = False
    balancer_detection: float = 0.0
    settle: float = 10.0
    gate_timeout: float = 0.0
    conflicts: str = "warn"
    strategy: str = "clone"
    drain_timeout: float = 0.0
    backup: str = "never"
    schema_node: str = ""
    lock: str = ""
    in_hand: list = dataclasses.field(default_factory=list)
    cut_short: bool = False
    min_ready: int = 0
    sentinels: bool = True
    given: str = ""
    since: int = 0
    since_words: str = ""

    @property
    def back(self):
        return self.kind == "rollback"

    @property
    def restart(self):
        """Whether the release stays as it is."""
        return self.kind in SAME


@dataclasses.dataclass
class Judgement:
    """What comes of it.

    :param refusal: why nothing may be touched, for the operator; empty if the plan may be carried out.
    :param plan: the plan, as the run record keeps it.
    :param report: the findings as lines.
    :param order: the order of the roll as lines.
    """

    refusal: str
    plan: dict
    report: list
    order: list


def judge(sight, options, api=None, unseen_ready=(), command=""):
    """Judge the cluster, and plan the roll.

    :arg api: what the module C(nodes_info) has returned; None where no node could ask.
    :arg unseen_ready: of the nodes that C(--limit) leaves out, those that serve.
    :arg command: what runs the playbook again, without the release or the time that it needs.
    """
    api, target = api or NOBODY_ASKS, sight.target()
    version = target.get("version", "")
    # That a node has the release to go back to does not tell that an earlier run has begun.
    targets = {name: dict(one, name="") if options.back else one for name, one in sight.resolved.items() if one}
    judged = dict(target, name="") if options.back and target else target
    nodes = judge_nodes(sight.seen, options.database, judged, targets=targets,
                        allow_degraded=options.allow_degraded or bool(options.given),
                        allow_downgrade=options.allow_downgrade or options.back, allow_skip=options.allow_skip,
                        balancer_detection=options.balancer_detection, strategy=options.strategy,
                        restart=options.restart, back=options.back, drain_timeout=options.drain_timeout,
                        backup=options.backup, in_hand=options.in_hand, sentinels=options.sentinels,
                        schema_node=options.schema_node)
    unseen, absent, looked = sight.unseen(api), sight.absent(api), sight.nodes()
    for name, node in absent.items():
        nodes[name]["name"] = node.get("name", name)
    for name, node in looked.items():
        nodes[name].update(address=node.get("address"), config=node["config"])
    cluster = judge_cluster(nodes, api, sight.offsets(), hidden=sight.hidden(), unseen=unseen,
                            database=options.database, target=version, back=options.back, restart=options.restart,
                            sentinels=options.sentinels, lock=options.lock,
                            unknown=[name for name, node in absent.items() if not node])
    told = {**{name: node.get("release") for name, node in absent.items()},
            **{name: node["version"] for name, node in unseen.items()}}
    tier = [{name: known[name] for name in options.database if name in known} for known in (looked, told)]
    for check, words in (("database tier", half_way(*tier)), ("builds", mixed_words(looked))):
        if words:
            cluster.judge(check, words, "warn")
    conflicts = sight.conflicts()
    if conflicts:
        cluster.judge("packages", conflicts, options.conflicts)
    cluster.judge("balancer timing", sight.timing(options), "warn")
    cluster += note_nodes(sight.seen, version, options.groups, unseen)
    lines = report(cluster, {name: node["findings"] for name, node in nodes.items()})
    problem = "; ".join(dict.fromkeys([*sight.problems, *_differ(sight)]))
    if problem or cluster.failed() or any(node["findings"].failed() for node in nodes.values()):
        return Judgement(_refusal(sight, options, lines, problem), {}, lines, [])
    plan = plan_of(nodes, options.serial, back=options.back, api=api, unseen_ready=unseen_ready,
                   seen={**unseen, **looked}, cut_short=options.cut_short, min_ready=options.min_ready)
    plan.update(command=command + _continued(options, target), release=version, since=options.since, report=lines)
    refusal = f"Nothing was touched. {plan['problem']}" if plan["problem"] else ""
    return Judgement(refusal, plan, lines, _order(plan, nodes, options, targets))


def _differ(sight):
    """That pip has found different releases for different versions of Python."""
    names = dict.fromkeys(sight.resolver_of().values())
    versions = list(dict.fromkeys(sight.resolved[name]["version"] for name in names
                                  if sight.resolved.get(name, {}).get("version")))
    if len(versions) < 2:
        return []
    return [f"the newest release differs between the nodes ({', '.join(versions)}), for their versions of Python do: "
            "name one that all support with -e rolling_release=VERSION"]


def _continued(options, target):
    """What the command that continues a roll names, so that it does the same."""
    if options.kind == "reconfigure":
        return ""
    if options.kind == "restart":
        return f" -e rolling_since={options.since_words}"
    if options.back:
        return f" -e rollback_release={target.get('given') or target.get('version', '')}"
    return f" -e rolling_release={target.get('version', '')}"


def _refusal(sight, options, lines, problem):
    locked = lines[:1] if options.lock else []
    told = ["Nothing was touched, the cluster is not fit to be rolled:", *locked]
    if problem:
        told.append(f"fail  the {'restart' if options.restart else 'release'}: {problem}")
        if not (options.back or options.restart):
            told.append("Correct rolling_release or stage_source, or the index that pip uses on "
                        f"{next(iter(sight.able()), '')}.")
    told += [line for line in lines[len(locked):] if not (problem and line.startswith("pass  release"))]
    return "\n".join(filter(None, [*told, section(PREFLIGHT), "Fix that, then run the command again."]))


def _order(plan, nodes, options, targets):
    """The order of the roll as lines."""
    together = {name: batch[0] for batch in plan["batches"] for name in batch[1:]}
    why = {name: words for wave in plan["waves"] for name, words in wave["why"].items()}
    lines = []
    for number, name in enumerate(plan["order"], start=1):
        node, goal = nodes[name], targets.get(name) or dict(version=plan["release"])
        way = node["version"] if options.restart else f"{with_build(node, goal)} -> {with_build(goal, node)}"
        words = [f"{number}. {name}: {way}",
                 "database tier" if name in plan["database"] else "",
                 "" if name in plan["serving"] else "does not serve now",
                 "cluster leader" if name == plan["leader"] else "",
                 "together with the one before" if name in together else "",
                 f"not together with the one before: {why[name]}" if name in why else ""]
        lines.append(", ".join(filter(None, words)))
    share = percentages(options.serial, len(plan["others"])) if plan["others"] else ""
    lines += [f"rolling_serial: {share}"] if share else []
    state = f"restarted since {options.given}" if options.restart else f"on {plan['release']}"
    lines += [f"{name}: {state} already, passed over" for name in plan["done"]]
    if options.kind == "restart" and plan["order"]:
        lines += [CONTINUES, plan["command"]]
    return lines
