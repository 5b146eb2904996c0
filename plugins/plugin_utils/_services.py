# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Products that are rolled service by service, not node by node: what a node is, what refuses a roll, and the plan. A
# service has a link of its own to the release that it runs, so one that crashes comes back as what it was.

import dataclasses
import os

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import is_older, version_key
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._cluster import clock_problems
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._failure import journal_words, see_why
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Findings, report, warnings_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import netloc
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import series
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._packages import package_findings
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import Wave
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._runbook import PREFLIGHT, explained, section
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import filled, listed, span, table, wrap
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._verdict import pip_problems, room_problems

# Seconds from the start of a service to its first heartbeat, as measured in the lab.
START = 5
# By this a service is known that a run has disabled, and not an operator.
REASON = "shakenfist.rolling restarts it"
# Said of one that was taken out of rotation, or disabled, and still is.
OUT = " and is OUT OF ROTATION"


@dataclasses.dataclass
class Service:
    """What is true of one kind of service, as the product's file has it.

    :param name: of its unit.
    :param beats: whether it sends heartbeats.
    :param idle: whether its work in progress is waited for before it is stopped.
    :param disable: whether it is disabled first, so that it gets no new work.
    :param away: whether it is missed, as soon as no heartbeat was seen for the time after which it counts as down.
    :param drain: whether a balancer is in front of it, and its health check fails by a file.
    :param hup: whether SIGHUP has it choose the version of its RPC again.
    :param killed: what is to be done if systemd had to end it by force while the tier was stopped, V(fail) or V(warn).
    :param answers: what it answers once it serves, C(port), C(path) and C(status).
    :param beside: packages; only on nodes that have one of them the service is stopped and started.
    :param counts: whether it works with what is migrated, so that it runs the release only after all migrations.
    """

    name: str
    beats: bool = True
    idle: bool = False
    disable: bool = False
    away: bool = False
    drain: bool = False
    hup: bool = False
    killed: str = "fail"
    answers: dict = dataclasses.field(default_factory=dict)
    beside: list = dataclasses.field(default_factory=list)
    counts: bool = True


def services_of(given):
    """The services of a product, in the order in which they are rolled."""
    return [Service(**one) for one in given]


def group_of(service):
    """The group of the nodes on which a service is rolled."""
    return f"rolling_{service.replace('-', '_')}"


def product_problem(product):
    """What cannot be right about a product."""
    if product["info"]:
        return ""
    asking = [one.name for one in services_of(product["services"])
              if one.beats or one.idle or one.disable or one.away]
    return (f"{', '.join(asking)}: beats, idle, disable and away need a module that asks the product, which "
            "cluster_info names: set them to false where there is none") if asking else ""


def url_of(node, path):
    """An URL of the service of a node that is behind a balancer."""
    settings = node["settings"]
    return f"http://{netloc(settings.get('address') or node['address'], settings.get('port'))}{path}"


def link_of(product, service):
    return os.path.join(product["links"], service)


def installed_on(product, units):
    """The services that a node has, in the order in which they are rolled. One that is masked can never start."""
    return [one.name for one in services_of(product["services"]) if one.name in units
            and (units[one.name]["active"] or units[one.name]["load"] != "masked")]


def node_of_services(product, name, address, releases, units, info):
    """The fact C(cluster_node) of such a product.

    :arg releases, units, info: what the modules C(release_info), C(units_info) and the product's own have returned.
    """
    active, units, settings = releases["active"], units["units"], info.get("settings") or {}
    records = info.get("services") or []
    services, kinds = {}, {one.name: one for one in services_of(product["services"])}
    for service in installed_on(product, units):
        disabled = [row["reason"] for row in records if row["here"] and row["binary"] == service and row["disabled"]]
        link, unit = releases["links"].get(link_of(product, service)) or {}, units[service]
        root = os.path.dirname(os.path.dirname(unit["program"]))
        inside = os.path.dirname(root) == product["releases"]
        services[service] = dict(
            link=link_of(product, service), release=os.path.basename(link.get("path", "")),
            version=link.get("version", ""),
            linked=os.path.dirname(link.get("path", "")) == product["releases"],
            runs=os.path.basename(root) if inside else "", program=unit["program"], active=unit["active"],
            managed=unit["managed"], load=unit["load"], state=unit["state"], stop_seconds=unit["stop_seconds"],
            invocation=unit["invocation"], restarts=unit["restarts"], disabled=bool(disabled),
            held=unit.get("held", ""), came=unit.get("came", ""),
            migrates=unit.get("migrates", []),
            # What a run that was killed has left so; what an operator has taken out stays so.
            shut=REASON in disabled or (
                kinds[service].drain and bool(settings.get("shut") and settings.get("own", True))),
            out=kinds[service].drain and bool(settings.get("shut")))
    last = next(reversed(services), "")
    return dict(
        name=name, address=address, distribution=product["distribution"], releases=product["releases"],
        links=product["links"], user=product["user"], config=product["config"], venv=link_of(product, last),
        release=active, staged=releases["staged"], builds=releases["builds"], rewritten=releases["rewritten"],
        previous=releases.get("previous") or {}, problem=releases["problem"], has_database_credentials=True,
        kind=f"{'.'.join(active.get('python', '').split('.')[:2])} {active.get('platform', '')}",
        scripts="release", verify=product["verify"], services=services, settings=settings, records=records,
        schema=info.get("schema") or "")


def is_to_run(unit):
    """Whether a service runs, or ought to; another one, the passive one of a pair, is never started."""
    return unit["active"] or unit["managed"] or unit.get("held") == "active"


def is_done(service, target):
    """Whether a service runs the release, and was not left out of rotation, or held."""
    return service["release"] == target.get("name") and not service.get("shut") and not service.get("held") and (
        not service["managed"] or service["active"] and service["runs"] == service["release"])


def _release(node, target, every):
    version, wanted = node["release"].get("version", ""), target.get("version", "")
    if not version or not wanted:
        return []
    for one in (version, wanted):
        if not series(one):
            raise AnsibleError(f"cannot compare releases, {one} is no version")
    # After a roll that has stopped half-way, its services are on two.
    links = (one["version"] for one in node["services"].values())
    versions = sorted({version, *filter(series, links)}, key=version_key)
    oldest, newest, then = versions[0], versions[-1], series(wanted)[0]
    if is_older(wanted, newest):
        return [f"it runs {newest}, newer than {wanted}: a roll leads to a later release only, name one with "
                "-e rolling_release=VERSION"]
    if every and then > series(oldest)[0] + 1:
        return [f"it runs {oldest}, and {wanted} skips a release: its services understand those of the release before "
                f"only. Upgrade to the last one of {series(oldest)[0] + 1} first, "
                f"-e rolling_release={series(oldest)[0] + 1}.VERSION"]
    return []


def _units(node):
    problems = []
    for name, one in node["services"].items():
        if not one["linked"]:
            problems.append(f"{one['link']} is no link to a directory in {node['releases']}: make it one to the "
                            f"release that {name} runs, and have its unit run from there")
        elif one["active"] and not one["runs"]:
            problems.append(f"{name} runs {one['program']}, which is in no directory of {node['releases']}: have its "
                            f"unit run from {one['link']}/bin, whose scripts name the Python of their own release")
    return problems


def _daemons(node):
    return [f"{name} is {one['state']} and is to run: see journalctl -u {name}"
            for name, one in node["services"].items() if one["managed"] and not one["active"] and not one.get("held")]


def held_words(node):
    """Services that a run has stopped, and has not started: it has failed, or was killed."""
    held = [name for name, one in node["services"].items() if one.get("held")]
    return [f"{listed(held, ' and ')} {'is' if len(held) == 1 else 'are'} held since an earlier run that has "
            "not come to its end: the same command goes on, and starts what ran"] if held else []


def is_silent(row, limit):
    return row["age"] is None or row["age"] > limit


def is_needed(node, service):
    """Whether nobody else takes the work of a service while it is disabled: it fails then, and waits for a restart."""
    limit = node["settings"].get("service_down_time", 0)
    return bool(node["settings"].get("coupled")) or not any(
        row["binary"] == service.name and not row["here"] and not is_silent(row, limit)
        # What a run has disabled that was killed, this one enables before.
        and (not row["disabled"] or row["reason"] == REASON) for row in node["records"])


def silent_rows(node, services):
    """The records of services that systemd calls active, and that send no heartbeat."""
    limit = node["settings"].get("service_down_time", 0)
    beating = [one.name for one in services if one.beats]
    return [row for row in node["records"] if row["here"] and row["binary"] in beating
            and row["binary"] in node["services"] and node["services"][row["binary"]]["active"]
            and is_silent(row, limit)]


def dead_backends(nodes, services):
    """By the names in the records, what sends no heartbeat while another part of the same service does.

    Its storage is away, for example, which no release changes; whoever rolls all the same does not wait for it.
    """
    found = []
    for node in nodes.values():
        rows = silent_rows(node, services)
        beats = {row["binary"] for row in node["records"] if row["here"] and row not in rows}
        found += [[row["binary"], row["host"]] for row in rows if row["binary"] in beats]
    return found


def silent_words(node, services, dead=()):
    """What is said of those; C(dead) are known to be so."""
    limit = node["settings"].get("service_down_time", 0)
    return [f"{row['binary']} on {row['host']} has sent no heartbeat for "
            f"{'as long as it is on record' if row['age'] is None else format(row['age'], '.0f') + ' s'}, it counts as "
            f"down after {limit} s: see journalctl -u {row['binary']}" for row in silent_rows(node, services)
            if [row["binary"], row["host"]] not in dead]


def _away(node, services):
    """A service that would count as down before it could be back."""
    settings, problems = node["settings"], []
    for one in services:
        unit = node["services"].get(one.name)
        away = one.away or one.disable and settings.get("coupled")
        if not away or not unit or not unit["active"]:
            continue
        beat, limit = settings.get("report_interval", 0), settings.get("service_down_time", 0)
        stop = unit["stop_seconds"] or 0
        if beat + stop + START >= limit:
            took = f" (its last stop took {stop:.0f} s)" if stop else ""
            problems.append(
                f"{one.name} cannot be back in time: its heartbeats come every {beat} s, a restart takes "
                f"{stop + START:.0f} s or more{took}, and it counts as down after {limit} s: raise service_down_time "
                f"in {node['config']}, and restart the services before the roll")
    return problems


def _drain(node, services):
    return [f"the health check of {one.name} has no disable_by_file, so the balancer cannot be told to leave it out: "
            "add that backend to its configuration" for one in services
            if one.drain and one.name in node["services"] and not node["settings"].get("disable_file")]


def _disabled(node, services):
    return [f"a run that was killed has disabled {one.name}, and without its API nobody enables it: set cinder_api_url "
            "and cinder_api_headers, or enable it yourself" for one in services
            if one.disable and one.name in node["services"] and node["services"][one.name]["shut"]]


def findings_of(name, seen, services, target, allow_degraded=False, every=False, api=True, configured=False,
                wanted=""):
    """All checks of one node.

    :arg configured: whether the operator has tasks that make the configuration of the new release.
    :arg wanted: the version that was asked for, for the case that no target could be made of it.
    :arg every: whether no major release may be skipped.
    :arg api: whether the API that enables services is known.
    """
    node, findings = seen["node"], Findings(name)
    if seen["failure"] or not node:
        findings.add("reached", "fail", seen["failure"] or "it could not be checked")
        return findings
    findings.add("reached", "pass")
    if node.get("step"):
        findings.extend(package_findings(name, node, target, configured))
        findings.judge("daemons", _daemons(node), "warn" if allow_degraded or any(
            is_done(one, target) for one in node["services"].values()) else "fail")
        findings.judge("held", held_words(node), "warn", made=False)
        return findings
    findings.judge("virtualenv", [node["problem"]] if node["problem"] else [])
    findings.judge("release", _release(node, target or dict(version=wanted if series(wanted) else ""), every))
    findings.judge("links", _units(node))
    # Also one whose run was killed while it restarted: it may still be stopping.
    begun = any(one["release"] == target.get("name") for one in node["services"].values())
    mild = "warn" if allow_degraded or begun else "fail"
    findings.judge("daemons", _daemons(node), mild)
    findings.judge("held", held_words(node), "warn", made=False)
    findings.judge("heartbeats", silent_words(node, services), mild, made=any(one.beats for one in services))
    findings.judge("away", _away(node, [one for one in services if not is_done(
        node["services"].get(one.name) or dict(release="", managed=False), target)]),
        made=any(one.away or one.disable for one in services))
    findings.judge("drain", _drain(node, services), made=any(one.drain for one in services))
    findings.judge("disabled", [] if api else _disabled(node, services), made=False)
    findings.judge("api", [words for service, words in seen.get("api", {}).items()
                           if words and is_to_run(node["services"][service])
                           and not is_done(node["services"][service], target)], made=bool(seen.get("api")))
    findings.judge("rotation", [words for service, found in seen.get("rotation", {}).items() for words in found
                                if not is_done(node["services"][service], target)], mild,
                   made=bool(seen.get("rotation")))
    findings.judge("room", room_problems(seen, target))
    findings.judge("pip", pip_problems(node, target))
    findings.judge("owner", (seen.get("host") or {}).get("unsafe", []))
    return findings


def _named(nodes, which):
    """The services on record that bear the name of a node, and of whose unit there something is true."""
    return {(row["binary"], row["host"]) for node in nodes.values() for row in node["records"]
            if row["here"] and which(node["services"].get(row["binary"]))}


def strangers_of(nodes):
    """The services that the product has on record and that no node runs: those that are dead, and those that live.

    The name of a node is not enough. What ran there once has it, too, and what everything is pinned to is the record.
    """
    runs, stands = _named(nodes, lambda unit: unit and is_to_run(unit)), _named(nodes, bool)
    node: dict = next(iter(nodes.values()), {})
    limit = node.get("settings", {}).get("service_down_time", 0)
    others = [row for row in node.get("records", []) if (row["binary"], row["host"]) not in runs]
    dead = [row for row in others if is_silent(row, limit)]
    # A passive one may just have been stopped.
    return dead, [row for row in others if row not in dead and (row["binary"], row["host"]) not in stands]


def _whose(row, nodes):
    there = (row["binary"], row["host"]) in _named(nodes, lambda dummy: True)
    return "is of a node that does not run it" if there else "is of no node of the inventory"


def is_whole(seen, hidden=()):
    """Whether every node was seen: the services of another one would pass for those of no node.

    :arg hidden: the nodes that C(--limit) leaves out.
    """
    return not hidden and all(one["node"] and not one["failure"] and not one["node"]["problem"]
                              for one in seen.values())


def shown(row):
    age = "never" if row["age"] is None else f"{row['age']:.0f} s ago"
    return f"{row['binary']} on {row['host']} (last heartbeat {age}, RPC {row['rpc']})"


def spoken_by(nodes, but=()):
    """By kind of service that speaks several versions of its RPC, the hosts that speak each; without some records."""
    found: dict[str, dict[str, list[str]]] = {}
    first: dict = next(iter(nodes.values()), {})
    for row in first.get("records", []):
        if row not in but:
            found.setdefault(row["binary"], {}).setdefault(str(row["rpc"]), []).append(row["host"])
    return {binary: spoken for binary, spoken in sorted(found.items()) if len(spoken) > 1}


def _mixed(binary, found):
    return (f"the services {binary} speak different versions of their RPC ({', '.join(sorted(found))}), so all of them "
            "are pinned to the lowest")


def _blind(nodes, services, target):
    """Services behind a balancer of which nobody says when that sends them nothing more."""
    for one in services:
        found = [node["services"][one.name] for node in nodes.values() if one.drain and one.name in node["services"]]
        # One that is alone has its outage anyway.
        if sum(map(is_to_run, found)) > 1 and not all(is_done(service, target) for service in found):
            yield (f"nobody says when the balancer has marked {one.name} down: it would be restarted as soon as its "
                   "health check fails, and requests fail. Set drain_haproxy_address, so that HAProxy is asked, or "
                   "-e preflight_balancer_detection=SECONDS, the failed checks that it takes times their interval")


def _unseen(nodes, services):
    """Services behind a balancer that no node runs, and that nothing on record would tell of."""
    there = {name for node in nodes.values() for name, unit in node["services"].items() if is_to_run(unit)}
    return [f"no node runs {one.name}: where it is in another unit, such as apache2, it would be left on its old "
            "release. Have it run in a unit of that name" for one in services
            if one.drain and not one.beats and one.name not in there]


def _alone(nodes, services, target):
    """Services behind a balancer that has nobody else to send requests to."""
    for one in services:
        runs = [name for name, node in nodes.items() if one.drain and one.name in node["services"]
                and is_to_run(node["services"][one.name])]
        if len(runs) == 1 and not is_done(nodes[runs[0]]["services"][one.name], target):
            yield f"only {runs[0]} runs {one.name}: requests fail while it is restarted"


def cluster_findings(nodes, services, target, hidden, remove, offsets=None, waits=True, whole=True):
    """The checks of the cluster as a whole.

    :arg nodes: by name the C(cluster_node) of each.
    :arg remove: whether dead services are to be removed.
    :arg waits: whether it is known how long a balancer is waited for.
    :arg whole: whether every node was seen.
    """
    findings = Findings()
    records, drained = any(node["records"] for node in nodes.values()), any(one.drain for one in services)
    dead, alive = strangers_of(nodes) if whole else ([], [])
    orphans = [f"{shown(row)} {_whose(row, nodes)}, and everything would stay pinned to what it speaks: "
               + ("it is removed before the roll" if remove else
                  "have it removed with -e cluster_remove_orphans=true, if it is gone for good") for row in dead]
    findings.judge("orphans", orphans, "warn" if remove else "fail", made=records)
    findings.judge("services", [f"{shown(row)} lives, and the inventory lacks its node, or that its unit: add it, it "
                                "would be left on its old release" for row in alive], made=records)
    findings.judge("limit", [f"--limit hides {', '.join(hidden)}, and services are rolled over all nodes: run without "
                             "--limit, what is done is passed over"] if hidden else [], made=False)
    findings.judge("pins", [_mixed(*one) for one in spoken_by(nodes, but=dead).items()], "warn", made=records)
    findings.judge("unseen", _unseen(nodes, services) if whole else [], "warn", made=drained)
    findings.judge("alone", list(_alone(nodes, services, target)), "warn", made=drained)
    findings.judge("balancer", [] if waits else list(_blind(nodes, services, target)), "warn", made=drained)
    findings.judge("clocks", clock_problems(offsets or {}))
    return findings


def waves_of(nodes, services, target):
    """The waves of a roll: for each service the nodes on which it is left to do, passive ones first."""
    waves = []
    for one in services:
        left = [name for name, node in nodes.items()
                if one.name in node["services"] and not is_done(node["services"][one.name], target)]
        # What does not run is only given the release, so that it is ready when it takes over.
        left.sort(key=lambda name: nodes[name]["services"][one.name]["active"]
                  and not nodes[name]["services"][one.name]["shut"])
        waves.append(Wave(one.name, [[name] for name in left]))
    return [wave for wave in waves if wave.batches]


def plan_of_services(nodes, services, target, command, lines):
    """The plan, as the run record keeps it."""
    waves = waves_of(nodes, services, target)
    order = list(dict.fromkeys(name for wave in waves for name in wave.nodes()))
    members = [dict(name=name, groups=[group_of(wave.name)]) for wave in waves for name in wave.nodes()]
    first = next(iter(order or nodes), "")
    dead, dummy = strangers_of(nodes)
    # Dead services are removed where the schema is migrated, also if nothing is left to be rolled.
    prepares = order or ([first] if dead else [])
    return dict(
        waves=[dataclasses.asdict(wave) for wave in waves], order=order, database=[], others=order,
        batches=[[name] for name in order], serial=[1], schema=[],
        # In the order of the inventory: the first of them has the restore point, also for the next run.
        members=[*(dict(name=name, groups=["rolling_order"]) for name in nodes if name in prepares), *members,
                 *([dict(name=first, groups=["rolling_first"])] if first else [])],
        done=[name for name in nodes if name not in order], serving=list(nodes), leader="", command=command,
        release=target.get("version", ""), report=lines, orphans=[[row["binary"], row["host"]] for row in dead],
        services={name: [wave.name for wave in waves if name in wave.nodes()] for name in order})


def _turns(plan):
    """Which service of which node is rolled, one after the other."""
    return [(wave["name"], name) for wave in plan["waves"] for batch in wave["batches"] for name in batch]


def order_lines(plan, nodes):
    """The order of the roll as lines."""
    lines = []
    for number, (service, name) in enumerate(_turns(plan), start=1):
        one = nodes[name]["services"][service]
        more = ("" if one["active"] else f", is {one['state']}: it is started" if one["managed"] else
                ", does not run: it is only given the release")
        lines.append(f"{number}. {service} on {name}: {one['release']} -> {plan['release']}{more}")
    return lines + [f"{name}: on {plan['release']} already, passed over" for name in plan["done"]]


def forecast_of_services(plan, nodes):
    """How the roll would go, and that as lines.

    :arg nodes: by name the C(cluster_node) of each.
    """
    steps = []
    for service, name in _turns(plan):
        node = nodes[name]
        one, beats = node["services"][service], any(row["binary"] == service for row in node["records"])
        beat = node["settings"].get("report_interval", 0) if beats else 0
        seconds = (one["stop_seconds"] or 0) + START + beat if is_to_run(one) else 0
        steps.append({"node": name, "service": service, "from": one["release"], "to": plan["release"],
                      "serves": is_to_run(one), "seconds": round(seconds, 1)})
    seconds = sum(step["seconds"] for step in steps)
    how = (f"Of each service its last stop, {START} s for its start, and one interval between heartbeats. Preflight, "
           "staging, backup, migrations, and what is waited for before a service is stopped are not in it.")
    found = {"release": plan["release"], "steps": steps, "passed_over": plan["done"],
             "warnings": warnings_of(plan["report"]), "command": plan["command"],
             "expected": {"seconds": round(seconds), "minutes": round(seconds / 60, 1), "how": how if steps else ""}}
    lines = order_lines(plan, nodes)
    for number, step in enumerate(steps):
        lines[number] += f", away for {span(step['seconds'])}" if step["serves"] else ""
    if steps:
        lines += [*wrap(f"Expected: {span(seconds)}. {how}"), "To roll it:", plan["command"]]
    return found, lines


def judge_services(seen, services, target, problems, hidden=(), allow_degraded=False, every=False, remove=False,
                   command="", offsets=None, waits=True, api=True, planner=None, configured=False, wanted=""):
    """Judge a cluster, and plan the roll; the refusal, the plan, the findings and the order as lines.

    :arg wanted: the version that was asked for, also where no C(target) could be made of it.
    :arg planner: who plans instead, and has C(findings), C(plan) and C(lines), where not one service after the other is
        rolled.
    """
    findings = {name: findings_of(name, one, services, target, allow_degraded, every, api, configured, wanted)
                for name, one in seen.items()}
    nodes = {name: one["node"] for name, one in seen.items() if one["node"]}
    cluster = cluster_findings(nodes, services, target, hidden, remove, offsets, waits, is_whole(seen, hidden))
    if planner:
        cluster.extend(planner.findings(nodes, services, target))
    lines = report(cluster, findings)
    if not target and any(one.check == "release" for found in findings.values() for one in found.failed()):
        problems = []  # of a release that is refused anyway, pip only tells which of its packages do not fit
    if problems or cluster.failed() or any(found.failed() for found in findings.values()):
        told = ["Nothing was touched, the cluster is not fit to be rolled:",
                *(f"fail  the release: {words}" for words in problems), *lines, section(PREFLIGHT),
                "Fix that, then run the command again."]
        return "\n".join(filter(None, told)), {}, lines, []
    if planner:
        plan = planner.plan(nodes, services, target, command, lines)
        return "", plan, lines, planner.lines(plan, nodes)
    plan = plan_of_services(nodes, services, target, command, lines)
    plan["dead"] = dead_backends(nodes, services) if allow_degraded else []
    return "", plan, lines, order_lines(plan, nodes)


def left_words(nodes, target):
    """What does not run the release, after a roll; one sentence for each service."""
    return [f"{service} on {name} {_left(one, target)}, expected {target['name']}"
            for name, node in nodes.items() for service, one in node["services"].items() if not is_done(one, target)]


def _left(one, target):
    if not one["active"]:
        return f"is {one['state']}"
    if one["runs"] != target["name"]:
        return f"runs {one['runs'] or one['program']}"
    # It is not done all the same.
    return f"runs {one['runs']}{OUT}" if one["shut"] else f"has a link to {one['release'] or 'no release'}"


def pinned_words(nodes):
    """The services that still speak an older version of their RPC than others of their kind; one sentence for each."""
    return [f"the services {binary} still speak different versions of their RPC: "
            + "; ".join(f"{rpc} on {listed(sorted(hosts), ' and ')}" for rpc, hosts in sorted(found.items()))
            for binary, found in spoken_by(nodes).items()]


# ---- how the services are

HEAD = ("node", "service", "link", "runs", "state", "heartbeat", "RPC", "remarks")


def _remarks(node, name, kind):
    one = node["services"][name]
    words = [node["settings"].get("disable_file", "") and "its health check is made to fail" if kind.drain else
             "a run has disabled it"] if one["shut"] else ["disabled"] if one["disabled"] else [
                 "somebody has its health check fail"] if one["out"] else []
    return listed(words + ([] if one["managed"] else ["not to run here"]))


def _rows(name, node, kinds):
    """One row for each service; of several backends the one that is silent for longest counts."""
    for service, one in node["services"].items():
        beats = [row for row in node["records"] if row["here"] and row["binary"] == service]
        ages = [row["age"] for row in beats if row["age"] is not None]
        yield [name, service, one["release"], one["runs"] if one["runs"] != one["release"] else "same", one["state"],
               f"{max(ages):.0f} s ago" if ages else "", listed(sorted({str(row["rpc"]) for row in beats})),
               _remarks(node, service, kinds[service])]


def status_of_services(seen, services, lock, hidden=()):
    """How the services are, as lines, and the names of the nodes that are unhealthy.

    :arg seen: by name of the node what the state C(seen) of the action C(survey) has returned.
    :arg lock: in words, who holds the lock.
    :arg hidden: the nodes that C(--limit) leaves out.
    """
    kinds, problems = {one.name: one for one in services}, {}
    nodes = {name: one["node"] for name, one in seen.items() if one["node"]}
    for name, one in seen.items():
        node = one["node"]
        problems[name] = list(filter(None, [one["failure"], *([
            node["problem"], *_units(node), *_daemons(node), *held_words(node), *silent_words(node, services),
            *(words for found in one.get("rotation", {}).values() for words in found),
            *(f"{service} was left out of rotation: the next roll takes it back"
              for service, unit in node["services"].items() if unit["shut"])] if node else [])]))
    rows = [row for name, node in nodes.items() for row in _rows(name, node, kinds)]
    lines = table(filled([HEAD, *rows]), 0) if rows else []
    dead, alive = strangers_of(nodes) if is_whole(seen, hidden) else ([], [])
    told = [*(f"{name}: {words}" for name, found in problems.items() for words in found),
            *(f"{shown(row)} {_whose(row, nodes)}" for row in [*dead, *alive]),
            *(_mixed(binary, found) for binary, found in spoken_by(nodes, but=dead).items()), f"lock: {lock}"]
    return lines + [line for words in told for line in wrap(words)], [name for name, found in problems.items() if found]


def _where_to_look(service, name, cause, suspects, command, ran):
    if cause.lost:
        return see_why([cause.away or name], command)
    if cause.away:
        return f"look at {cause.away}, where that happened"
    if cause.at_balancer:
        return f"look at haproxy.cfg and HAProxy's log: the backend has to check the health check of {service}"
    return journal_words([service], suspects or [name], ran)


def told_of_service(service, name, cause, restored, command, ran=(), suspects=()):
    """The message on a service that has failed, or before which the run was stopped.

    :arg restored: in sentences, what has become of it.
    :arg ran: from when to when the release ran that it went back from.
    :arg suspects: the other nodes of which the service did not serve.
    """
    what = f"{service} on {name}"
    if cause.stopped:
        return explained(f"Before {what}: {cause.words}\nNext: when it may go on, run the command again, with the "
                         f"options that you gave it and this release:\n{command}\nIt passes over what is done.",
                         cause.words)
    why = f"{what}: {cause.step}: {cause.words}"
    look = _where_to_look(service, name, cause, suspects, command, ran)
    return explained("\n".join([
        why, f"{what} {restored} The services that were rolled before it stay on the new "
        "release, which works with the one before it; the schema of the new one serves both.",
        f"Next: {look}, and fix the cause.\nThen run the command again, with the options that you gave it and this "
        f"release:\n{command}\nIt passes over what is done, and continues with this one."]), why)
