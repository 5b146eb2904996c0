# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Each node, judged from what was seen of it.

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._release import require_pip
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import graceful_timeout
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import is_older
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import is_target
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Findings
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import shown
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._notes import rebuilt_release, rebuilt_shape, series
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import restart_order, startable, units_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import TIER_GROUPS

# What may differ between two looks at a disk that nobody fills on purpose, and what a release grows.
ROOM = 1.2
MIB = 2 ** 20
# Seconds that a drain may take beyond its grace: for requests that are in flight at its end, and for the stop.
SPARE = 30


def on_target(node, target, restart=False):
    """Whether the node's active release is the target.

    Not one into which another installer has written that version, under a name that is not right for it. Going back,
    the target has no name.
    """
    release = node["release"]
    if not target or release.get("version") != target["version"]:
        return False
    return restart or is_target(release, target) and not (target["name"] and release.get("rewritten"))


def _unfinished(node, target):
    """Whether an earlier roll to the target has begun on the node."""
    return bool(target) and (on_target(node, target) or target["name"] in node["staged"])


def _identity(node):
    release = node["release"]
    if not release.get("rewritten"):
        return []
    return [f"{release['path']} holds {release['version']} and is no longer what its name says: another installer has "
            "written into it. An upgrade goes on all the same, and keeps it under the name of what it holds"]


def _clock(node):
    """Every daemon would look older than the release, however often it is restarted."""
    ahead, path = node["release"].get("ahead"), node["release"].get("path")
    if not ahead:
        return []
    return [f"by its clock, {path} became active {ahead} s in the future: the clock was set back since, and no daemon "
            "would ever count as started after that. See that the clock is right (timedatectl), then: touch -h "
            f"{node['venv']} {path}/lib/python*/site-packages/{node['distribution']}-*.dist-info/RECORD"]


def _link(node):
    """A release that is nowhere among the others could not be gone back to."""
    outside = node["release"].get("outside")
    if not outside:
        return []
    return [f"{node['venv']} is a link to {node['release']['path']}, which is not in {node['releases']}, so that a "
            f"node that fails could not go back to it: pass -e cluster_releases={outside}, which makes that the place "
            f"of all releases, or, if that is on another file system than {node['venv']}, make it a directory again"]


def _deployer(node, target, options):
    """Who else restarts daemons, because of what the roll is about to install."""
    if not node.get("deployer") or not target or options["restart"] or on_target(node, target):
        return []
    return [f"the deployer (site.yml) keeps in {node['deployer']} which code it has installed here. What this roll "
            "activates is not that code, so the next run of site.yml restarts all daemons, outside of the database "
            "tier on all such nodes at once, without a drain. Afterwards, before any other run of it, run it node by "
            "node with shakenfist.rolling.reconfigure and with the same wheels: docs/deployer.md"]


def _configuration(node, in_tier):
    problems = []
    if in_tier and not node["has_database_credentials"]:
        problems.append(f"it is in the database tier, but {node['config']} has no MARIADB_HOST: add it, or take the "
                        "node out of the database group")
    if in_tier and node["database_unit"] not in node["units"]:
        problems.append(f"it is in the database tier, but has no unit {node['database_unit']}")
    if node["api_unit"] not in node["units"]:
        problems.append(f"it has no unit {node['api_unit']}")
    shape = rebuilt_shape(node.get("distribution"), node.get("present") or {})
    if shape:
        problems.append(f"{node['config']} sets {shape['with']} and no {shape['without']}: {shape['why']}. Such a "
                        f"cluster is rebuilt, not rolled. If it is none, set {shape['without']}")
    elif not node["gateways"]:
        problems.append(f"{node['config']} names no gateway (MARIADB_GATEWAY_HOSTS)")
    return problems


def _tier(node, in_tier, serving, named):
    """A node that has a gateway, even one that is down, is rolled as one of the tier, or two could go at once."""
    serves, unit = node["gateway"] in serving, node["units"].get(node["database_unit"])
    used = unit is not None and node["gateway"] in named
    if in_tier or not (serves or used or (unit or {}).get("active")):
        return []
    down = used and not unit.get("active")
    words = (f", and its gateway {node['gateway']} is SERVING" if serves else
             f", and MARIADB_GATEWAY_HOSTS names its gateway {node['gateway']}, which is down" if down else "")
    return [f"it runs {node['database_unit']}{words}, but the inventory does not have it in the database tier: add it "
            f"to the group {TIER_GROUPS} there, whichever yours has"]


def _credentials(node, in_tier, serving, named):
    if in_tier or not node["has_database_credentials"] or _tier(node, in_tier, serving, named):
        return []
    return [f"it is not in the database tier, but {node['config']} has a MARIADB_HOST: add the node to the database "
            "group if it runs a gateway, or remove the MARIADB_ settings, they are a secret that it does not need"]


def _release(node, target, options):
    """Whether the way from the release that runs to the target may be gone."""
    version, product = node["release"].get("version"), node.get("distribution")
    why = rebuilt_release(product, version)
    if why:
        return [f"it runs {version}: {why}. Such a cluster is rebuilt, not rolled"]
    if not target or not version:
        return []
    why = rebuilt_release(product, target["version"])
    if why:
        return [f"no roll leads to {target['version']}: {why}. Name a later release with -e rolling_release=VERSION"]
    for one in (version, target["version"]):
        if not series(one):
            raise AnsibleError(f"cannot compare releases, {one} is no version")
    (major, minor), ahead = series(version), series(target["version"])
    if is_older(target["version"], version) and not options["allow_downgrade"]:
        return [f"it runs {version}, newer than {target['version']}. To go back, run the playbook "
                "shakenfist.rolling.rollback; to roll there all the same, pass -e preflight_allow_downgrade=true"]
    # Which minor release is the last one before a major one, no number tells.
    if ahead > (major, minor + 1) and ahead != (major + 1, 0) and not options["allow_skip"]:
        between = f"{major}.{minor + 1}" if ahead[0] == major else f"the last one of {major}, then to {major + 1}.0"
        return [f"it runs {version}, and {target['version']} skips a minor release: upgrade to {between} first, or "
                "pass -e preflight_allow_skip=true"]
    return []


def _readiness(seen, begun, options):
    node = seen["node"]
    if seen["ready"]:
        return []
    choice = ("; an earlier run has begun it, and rolling it again lets it in" if begun else
              "; the nodes that are down are rolled first" if options["allow_degraded"] else
              ", or pass -e preflight_allow_degraded=true to roll the nodes that are down first")
    return [f"{node['ready_url']} answers {seen['answers']}, expected 200 from every worker: see journalctl -u "
            f"{node['api_unit']}{choice}"]


def _gateways(seen, excused):
    unit = seen["node"]["database_unit"]
    return [f"the gateway {gateway} is {status}, expected SERVING: see journalctl -u {unit} there"
            for gateway, status in sorted(seen["gateways"].items()) if status != "SERVING" and gateway not in excused]


def _restarted(seen, options):
    """The units that rolling the node restarts."""
    node = seen["node"]
    tiers = restart_order([*units_of(node, seen.get("units")), node["api_unit"]], [], sentinels=node["sentinels"],
                          states=node["units"], alone=not options["sentinels"])["tiers"]
    return [name for tier in tiers for name in tier]


def _units(seen, restarted, options):
    """What would end the restart before it has begun, with the API stopped for it."""
    node, given, problems = seen["node"], names(seen.get("units") or []), []
    # Of a restart, whoever finds its target says that; of the API, the configuration's check.
    foreign = [name for name in restarted if name not in node["units"] and name != node["api_unit"]]
    if foreign and not options["restart"]:
        problems.append(f"it has no unit {', '.join(foreign)}: correct restart_units")
    for name in restarted:
        unit = node["units"].get(name, {})
        if startable(unit):
            continue
        needless = f"systemctl stop {name}; systemctl reset-failed {name}"
        problems.append(
            f"{name} is masked, so its restart would fail: systemctl unmask {name}, or, if it is not meant to run, "
            f"{'leave it out of restart_units' if name in given else needless}" if unit["load"] == "masked" else
            f"systemd cannot start {name}, its unit file is {unit['load']}: correct that (systemctl status {name}), "
            "then systemctl daemon-reload")
    return problems


def _daemons(node, restarted):
    """A daemon that does not run will not start either, perhaps, while the node is out of rotation."""
    units = node["units"]
    return [f"{name} is {units[name]['state']}: see journalctl -u {name}"
            f"{'. Rolling the node starts it again' if name in restarted else ''}"
            for name in node["daemons"] if not units[name]["active"] and startable(units[name])] + [
        f"{name} is masked, so nothing starts it: systemctl unmask {name}"
        for name, unit in units.items() if unit.get("load") == "masked" and name not in restarted]


def _dump(seen):
    """The backup is made before the migration, by a program that not every node has."""
    programs = (seen.get("host") or {}).get("programs") or {}
    if not programs or any(programs.values()):
        return []
    return [f"it has neither {' nor '.join(programs)}, and a backup before the migration takes one of them: install "
            "the package mariadb-client there, or pass -e schema_backup=never"]


def _limits(node):
    """For how long a stop of the API lets requests end, and when systemd kills it, in seconds; 0 if not known."""
    unit = node["units"].get(node["api_unit"], {})
    return graceful_timeout(unit.get("arguments", {})) or 0.0, unit.get("stop_timeout") or 0.0


def _slow_drain(node, told, options):
    """What may go wrong in a drain."""
    (graceful, stop), grace, timeout, problems = _limits(node), float(node["drain_grace"]), options["drain_timeout"], []
    limit = stop or graceful
    if not grace and not told:
        problems.append(f"its drain grace is 0 s ({shown(node).partition(', ')[2]}): it serves nobody from its stop "
                        "on, and what a balancer sends until it has noticed fails: raise API_DRAIN_GRACE, or have the "
                        "node drained through the balancer first (drain_tell_first)")
    if timeout and grace < timeout <= limit:
        problems.append(f"drain_timeout ({timeout:g} s) is not more than the "
                        f"{'TimeoutStopSec' if stop else 'graceful timeout'} of {node['api_unit']} ({limit:g} s): a "
                        "long request would let the roll give up on its drain, with its API stopping: pass -e "
                        f"drain_timeout={limit + SPARE:g}")
    return problems


def _drain(node, told, options):
    """The times of a drain must be in their order, or requests are cut; C(told) balancers need not notice anything."""
    grace, detection = float(node["drain_grace"]), 0.0 if told else options["balancer_detection"]
    graceful, stop = _limits(node)
    problems = []
    if options["drain_timeout"] and grace >= options["drain_timeout"]:
        problems.append(f"its drain grace ({shown(node)}) is not less than drain_timeout "
                        f"({options['drain_timeout']:g} s), the roll would give up on its drain: "
                        f"pass -e drain_timeout={grace + SPARE:g}")
    if graceful and graceful <= grace:
        problems.append(f"{node['api_unit']}'s graceful timeout ({graceful:g} s) is not more than its drain grace "
                        f"({shown(node)}), requests would be cut: raise --graceful-timeout, or lower API_DRAIN_GRACE")
    if stop and stop <= max(graceful, grace):
        problems.append(f"TimeoutStopSec of {node['api_unit']} ({stop:g} s) is not more than its graceful timeout and "
                        f"drain grace ({max(graceful, grace):g} s), systemd would kill it: raise TimeoutStopSec")
    if detection and detection >= grace:
        problems.append(f"the balancer takes {detection:g} s to mark a node down, the drain grace is {grace:g} s "
                        f"({shown(node).partition(', ')[2]}), requests would fail: raise API_DRAIN_GRACE, or let the "
                        "balancer probe more often")
    return problems


def _strategy(node):
    """What pip in the running virtualenv costs, and where it must not run."""
    name = node["release"].get("name")
    if name:
        return "fail", (f"rolling_strategy is in_place, but {node['venv']} leads to the release {name}, which would no "
                        "longer be what its name says: leave rolling_strategy out")
    return "warn", ("rolling_strategy is in_place: pip runs while the node is out of rotation, under daemons that "
                    "still run what it replaces, and if that fails there is nothing to go back to")


def _balancer(balancer):
    """What speaks against relying on the balancer; one that cannot be asked is only not witnessed."""
    if not balancer["reachable"] and balancer.get("told"):
        return "fail", [f"{words}: it is to be told before each drain, correct drain_haproxy_address or leave it out"
                        for words in balancer["problems"]]
    if not balancer["reachable"]:
        return "warn", [f"{words}: the roll goes on without asking it" for words in balancer["problems"]]
    # A drain through the balancer's API needs no checks, and does not find the server by a wrong name either.
    other = ("" if balancer.get("told") or not balancer.get("known", True) else
             ". Or, for a balancer without checks: -e drain_tell_first=true")
    return "fail", [f"{words}{other}" for words in balancer["problems"]]


def _told(seen, what):
    """What the balancers that the roll tells have said of the node, C(problems), C(shut), C(out) or C(held)."""
    return [words for one in seen.get("told") or [] for words in one.get(what, ())]


def _rotation(seen):
    problems = _told(seen, "problems")
    if problems:
        return problems, "fail"
    left = [f"{who} has it out of rotation since a roll that broke: it is rolled again, and let in"
            for who in _told(seen, "shut")]
    left += [f"{who} has it out of rotation, and not because of a roll: its gate would wait in vain, let it in first"
             for who in _told(seen, "held")]
    return left + [f"{who} has it out of rotation, and not because of a roll: it is left so"
                   for who in _told(seen, "out")], "warn"


def room_problems(seen, target):
    """Whether there is room for another release, and in a place from which it could be activated."""
    host, node = seen.get("host") or {}, seen["node"]
    if not host or not target or _unfinished(node, target):
        return []  # nothing is left to be built
    problems = []
    if not host["same_file_system"]:
        problems.append(f"{node['releases']} is on another file system than {node['venv']}, so activating could not be "
                        "one rename: choose a directory beside it (cluster_releases)")
    if host["free"] < host["needed"] * ROOM:
        problems.append(f"{node['releases']} has {host['free'] // MIB} MiB free, a release takes "
                        f"{int(host['needed'] * ROOM) // MIB} MiB: make room, old releases there are safe to remove "
                        "but the active and the previous one")
    return problems


def pip_problems(node, target, strategy="clone"):
    """Each node installs with its own pip, and only one of them is asked what there is to install."""
    if target and strategy == "in_place":
        there = on_target(node, target)
    else:
        there = _unfinished(node, target)
    if there or "pip" not in node["release"]:
        return []  # nothing is installed, or what is there is broken
    try:
        require_pip(node["release"], node["venv"])
    except RollingError as exc:
        return [exc.message]
    return []


def _mended(problems, begun, options):
    """What rolling the node fixes, or the operator has accepted, is no reason to refuse."""
    if not problems:
        return "pass"
    return "warn" if options["allow_degraded"] or begun else "fail"


def _findings(name, seen, in_tier, begun, excused, gateways, target, options, done):
    """All checks of one node; one that is C(done) is passed over."""
    node, findings = seen["node"], Findings(name)
    if seen["failure"] or not node:
        findings.add("reached", "fail", seen["failure"] or "it could not be checked")
        return findings
    findings.add("reached", "pass")
    findings.judge("virtualenv", [f"{node['problem']}. Repair it: reinstall the release that the node ran before"]
                   if node["problem"] else [])
    findings.judge("release", _release(node, target, options))
    findings.judge("identity", _identity(node), "warn")
    findings.judge("clock", _clock(node))
    findings.judge("deployer", _deployer(node, target, options), "warn")
    findings.judge("configuration", _configuration(node, in_tier))
    findings.judge("tier", _tier(node, in_tier, *gateways))
    findings.judge("credentials", _credentials(node, in_tier, *gateways), "warn")
    for check, problems in (("readiness", _readiness(seen, begun, options)), ("gateways", _gateways(seen, excused))):
        findings.judge(check, problems, _mended(problems, begun, options))
    restarted = [] if done else _restarted(seen, options)
    findings.judge("units", _units(seen, restarted, options))
    findings.judge("daemons", _daemons(node, restarted), "warn")
    findings.judge("drain", _drain(node, seen.get("balancer_told"), options))
    for words in _slow_drain(node, seen.get("balancer_told"), options):
        findings.add("drain", "warn", words)
    if seen.get("balancer"):
        level, problems = _balancer(seen["balancer"])
        findings.judge("balancer", problems, level)
    if seen.get("told"):
        findings.judge("rotation", *_rotation(seen))
    if options["strategy"] == "in_place":
        findings.add("strategy", *_strategy(node))
    if not options["restart"]:
        findings.judge("link", _link(node), "warn" if options["back"] else "fail")
    # Where something is built.
    if not (options["restart"] or options["back"]):
        findings.judge("room", room_problems(seen, target))
        findings.judge("pip", pip_problems(node, target, options["strategy"]))
    findings.judge("owner", (seen.get("host") or {}).get("unsafe", []))
    return findings


def judge_nodes(nodes, database, target, allow_degraded=False, allow_downgrade=False, allow_skip=False,
                balancer_detection=0.0, strategy="clone", restart=False, back=False, drain_timeout=0.0,
                backup="never", in_hand=(), targets=None, sentinels=True, schema_node=""):
    """Judge each node from what was seen of it.

    A node that an earlier roll to the same release has begun is not required to be ready, nor its gateway to be
    serving: rolling it is what fixes it. Nor is one of C(in_hand): a run that was killed had it out of rotation. Where
    daemons are only restarted, a node that runs the release does not tell that. Then, and going back, nothing is built.

    :arg backup: whether the database is backed up before the migration, see C(schema_backup).
    :arg schema_node: the node that makes the backup, if it is not the first one of the tier.
    :arg targets: by name the target of a node, where that is another one: another build, or another directory.
    """
    options = dict(allow_degraded=allow_degraded, allow_downgrade=allow_downgrade, allow_skip=allow_skip,
                   balancer_detection=float(balancer_detection or 0), restart=restart, back=back,
                   strategy="clone" if restart or back else strategy, drain_timeout=float(drain_timeout or 0),
                   sentinels=sentinels)
    targets = {name: (targets or {}).get(name) or target for name in nodes}
    begun = [name for name, seen in nodes.items()
             if seen["node"] and (name in in_hand or not restart and _unfinished(seen["node"], targets[name]))]
    excused = [nodes[name]["node"]["gateway"] for name in begun]
    serving = {gateway for seen in nodes.values()
               for gateway, status in seen["gateways"].items() if status == "SERVING"}
    named = {gateway for seen in nodes.values() for gateway in (seen["node"] or {}).get("gateways") or ()}
    verdict = {}
    for name, seen in nodes.items():
        node = seen["node"]
        gateway_down = bool(node) and name in database and node["gateway"] not in serving
        # No balancer sends it requests, so it does not serve, and rolling it again lets it in.
        ready = seen["ready"] and not _told(seen, "shut")
        there = bool(node) and on_target(node, targets[name], restart)
        done = there and ready and not gateway_down and not node["behind"]
        findings = _findings(name, seen, name in database, name in begun, excused, (serving, named), targets[name],
                             options, done)
        verdict[name] = {
            "name": node["name"] if node else name,
            "database": name in database,
            "version": node["release"].get("version", "") if node else "",
            "contents": node["release"].get("contents", "") if node else "",
            "zone": seen.get("zone") or "",
            "ready": ready,
            "out": bool(_told(seen, "held") or _told(seen, "out")),
            "gateway_down": gateway_down,
            "done": done,
            "findings": findings,
        }
    leader = schema_node or next((name for name in nodes if name in database), "")
    if backup != "never" and not back and leader in nodes and nodes[leader]["node"]:
        # Without anything to roll there is no backup.
        certain = backup == "always" and not all(node["done"] for node in verdict.values())
        verdict[leader]["findings"].judge("backup", _dump(nodes[leader]), "fail" if certain else "warn")
    return verdict
