# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# A product that comes in packages of the distribution: what a node is then, what refuses an upgrade, and what is told.

from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.module_utils._packages import upstream
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._findings import Findings
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

# Where a node keeps what a run needs of a release, below the name of it.
PLACE = "/var/lib/shakenfist-rolling"
# What a process runs that was started before its package was unpacked.
EARLIER = "an earlier release"
ARGUMENTS = ("suites", "names", "expect", "pins", "lock_timeout")
# For how many seconds another apt is waited for; the module packages has the same.
LOCK_TIMEOUT = 600
# What a setting is to be, and what it was, that is not as the release wants it.
IS_CHANGED, CHANGED = ": it would be changed", ": changed"
# How many names of packages are told.
SHOWN = 8


def step_of(packages):
    """One step from a release to another, as the product's file has it in C(cluster_packages).

    Of several, C(steps) by the release that each leads to, it is that to C(release), with what they have in common.
    """
    if packages.get("steps"):
        steps, to = {str(key): step for key, step in packages["steps"].items()}, str(packages.get("release"))
        if to not in steps:
            raise AnsibleError(_elsewhere(listed(list(steps), " and "), to))
        packages = {**packages, **steps[to], "to": to}
    lacking = [key for key in ("package", "to") if not packages.get(key)]
    if lacking:
        raise AnsibleError(f"cluster_packages has no {listed(lacking, ' and ')}: correct the product's file")
    return dict(package=packages["package"], to=str(packages["to"]), starts=list(map(str, packages.get("from") or [])),
                upgrade=bool(packages.get("upgrade", True)), first=packages.get("first") or "",
                arguments={key: packages[key] for key in ARGUMENTS if packages.get(key)},
                patterns=list(packages.get("patterns") or [packages["package"]]),
                checks=list(packages.get("checks") or []), apply=bool(packages.get("apply")),
                notes=list(packages.get("notes") or []), reboot=bool(packages.get("reboot")))


def target_of_step(step, asked=""):
    """The target, C(stage_resolved), of a step."""
    if asked and str(asked) != step["to"]:
        raise RollingError(_elsewhere(step["to"], asked))
    return dict(version=step["to"], name=step["to"])


def _elsewhere(there, asked):
    return (f"the product's file leads to {there}, and {asked} was asked for: give it a step to that release, or leave "
            "rolling_release out")


def is_there(service, units, installed):
    """Whether a node has a service that is this product's to stop.

    :arg installed: the packages of the node, by name.
    """
    return service.name in units and (not service.beside or any(name in installed for name in service.beside))


def node_of_packages(product, name, address, step, info, units):
    """The fact C(cluster_node) of such a product.

    :arg info, units: what the modules C(packages_info) and C(units_info) have returned.
    """
    found, units = info["packages"], units["units"]
    release = upstream(found[step["package"]]["version"]) if step["package"] in found else ""
    since = max((one["since"] for one in found.values() if one.get("since")), default=0)
    services = {}
    for service in product:
        if not is_there(service, units, found):
            continue
        unit = units[service.name]
        runs = release if unit["active"] and (unit["entered"] or 0) >= since else EARLIER if unit["active"] else ""
        services[service.name] = dict(
            link="", release=release, linked=True, runs=runs, program=unit["program"], active=unit["active"],
            managed=unit["managed"], load=unit["load"], state=unit["state"], stop_seconds=unit["stop_seconds"],
            invocation=unit["invocation"], restarts=unit["restarts"], disabled=False, held=unit.get("held", ""),
            shut=False, out=False, counts=service.counts)
    # What no run of this kind gives a release is on it before, and has nothing to go back to.
    previous = {} if step["upgrade"] else dict(name=step["to"], version=step["to"])
    return dict(
        name=name, address=address, distribution="", releases=PLACE, links="", user="", config="", venv="",
        release=dict(version=release, name=release, path="", rewritten=False, contents="", python="", platform=""),
        staged=[], builds={}, rewritten={}, previous=previous, problem="", has_database_credentials=True, kind="",
        scripts="release", verify=[], services=services, settings={}, records=[], schema="",
        packages={package: one["version"] for package, one in found.items()}, step=step,
        apt={key: info[key] for key in (
            "broken", "interrupted", "locked", "policy", "started", "rebooted")}, settings_found=[])


def package_findings(name, node, target, configured=False):
    """The checks of one node that only such a product has.

    :arg configured: whether the operator has tasks that make the configuration.
    """
    findings, step, release = Findings(name), node["step"], node["release"]["version"]
    # What only rehearses has not upgraded it: that another playbook does so first is no refusal then.
    findings.judge("release", _start(step, release, target),
                   "warn" if node.get("rehearsed") and release and not step["upgrade"] else "fail")
    apt = node["apt"]
    findings.judge("dpkg", [
        f"an apt or dpkg was interrupted, {listed(apt['broken'], ' and ') or 'its journal'} is half done: the run "
        "completes that before it upgrades"] if apt["interrupted"] else [], "warn")
    findings.judge("apt", [
        f"{apt['locked']['command']} (pid {apt['locked']['pid']}) is at work with apt: before anything is stopped it "
        f"is waited for, for up to {step['arguments'].get('lock_timeout', LOCK_TIMEOUT):g} s"
    ] if apt["locked"] and step["upgrade"] else [], "warn")
    findings.judge("policy", ["a run that was killed has left its policy-rc.d: the run removes it"]
                   if apt["policy"] == "ours" else [], "warn", made=False)
    open_ones = [one for one in node["settings_found"] if release != target.get("version") or one["needed"]]
    needed = [one for one in open_ones if one["needed"] and not configured and (not step["apply"] or one["problem"])]
    findings.judge("needed settings", [
        f"{setting_words(one)}: {target.get('version')} does not work so. Have it changed with {APPLY}, or by a "
        "hook_configure of yours" for one in needed], made=bool(step["checks"]))
    findings.judge("settings", [
        f"{setting_words(one)}{IS_CHANGED if step['apply'] and not one['problem'] else ''}"
        for one in open_ones if one not in needed], "warn", made=bool(step["checks"]))
    return findings


def packages_words(release, interrupted):
    """Which packages a node has, in words."""
    return f"{release}, half configured" if interrupted else release


def no_way_back(states):
    """Why nothing goes back once a package has changed.

    :arg states: by name of the node, in words, which packages it has.
    """
    return (f"packages have changed ({'; '.join(f'{name}: {words}' for name, words in states.items())}), and there is "
            "no way back from a release of the distribution to an earlier one")


def to_reboot(nodes, order):
    """The nodes that are to be rebooted once all services run: those that have not since they have the release."""
    return [name for name, node in nodes.items() if (node.get("step") or {}).get("reboot") and node["step"]["upgrade"]
            and (name in order and node["release"]["version"] != node["step"]["to"] or not node["apt"]["rebooted"])]


# What the product's file makes of it is its own; Synnefo's is the one that there is.
APPLY = "-e synnefo_apply_settings=true"


def _start(step, release, target):
    wanted = target.get("version")
    if not release:
        return [f"it has no package {step['package']}, by which a node's release is known: take it out of "
                "the inventory"]
    if not wanted or release == wanted:
        return []
    if not step["upgrade"]:
        return [f"it has {step['package']} {release}, expected {wanted}: {step['first'] or 'upgrade it first'}"]
    if step["starts"] and release not in step["starts"]:
        return [f"it has {step['package']} {release}, and {wanted} is reached from {listed(step['starts'], ' or ')} "
                f"only: upgrade it to {step['starts'][-1]} first, by the page of that release"]
    return []


def setting_words(one):
    """What is not as wanted in a file, in words."""
    where = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
    return (f"{one['title']}: {where} has {_one_line(one['found'])}, wanted is {_one_line(one['wanted'])}"
            + (f" ({one['problem']})" if one["problem"] else ""))


def _one_line(text):
    return " ".join(text.split())


def change_words(changes, done):
    """What apt has changed, or is to change, in one line."""
    parts = []
    for kind, title in (("upgraded", "upgraded" if done else "to upgrade"), ("installed", "new"),
                        ("removed", "removed" if done else "to remove")):
        names = [f"{one['name']} {one['after']}" if isinstance(one, dict) else one for one in changes[kind]]
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            parts.append(f"{len(names)} {title} ({', '.join(names[:SHOWN])}{more})")
    return "; ".join(parts) or "no package changes"


def started_words(one):
    """A service that a package has started, or wanted to, in spite of the policy."""
    who = f"{one['script']} of {one['package']}" if one["package"] else "something unknown"
    what = one["unit"] or one["command"]
    if one["prevented"]:
        return f"{who} was to start {what} in spite of the policy; its unit is held, so it did not start"
    return f"{who} has started {what} in spite of the policy (pid {one['pid']}); it was stopped again"


def notes_of(name, answer):
    """What an upgrade of packages leaves to be told, as lines for the report."""
    lines = [f"{name}: {started_words(one)}" for one in answer.get("started") or []]
    if answer.get("continued"):
        lines.append(f"{name}: what an earlier apt had left half done was completed: {', '.join(answer['continued'])}")
    if answer.get("policy"):
        lines.append(f"{name}: a policy-rc.d that a killed run had left was removed, and yours, if any, put back")
    if answer.get("conffiles"):
        lines.append(f"{name}: kept as you have them, though their packages have others (PATH.dpkg-dist): "
                     f"{', '.join(answer['conffiles'])}")
    if answer.get("unmapped"):
        lines.append(f"{name}: sources of apt with a suite of which nothing was said: {', '.join(answer['unmapped'])}")
    return lines
