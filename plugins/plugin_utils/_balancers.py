# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Which balancers a roll tells, from the variables that name them, and what they have said.

from urllib.parse import urlsplit

from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names

NOBODY = ("drain_tell_first is true, but no balancer is set that could be told: set drain_haproxy_address, "
          "balancer_nginx_hosts or balancer_apache_url, or hook_before_drain to tasks of your own that tell it")
SOCKET = "set it to a stats socket of level admin, HOST:PORT or a path"
NO_ADDRESS = f"drain_haproxy_set is true, but drain_haproxy_address is empty: {SOCKET}"
TIMING = ("nothing is known of the balancer's timing: {name} serves for its drain grace ({grace:g} s) after its stop, "
          "and requests fail if the balancer takes longer to mark it down. Say how long it takes, fall times the "
          "interval of its checks: -e preflight_balancer_detection=SECONDS, or have the node drained through the "
          "balancer first (docs/balancers.md)")
INTERVAL = ("HAProxy marks {name} down after {fall} failed checks, and does not say how often it checks: if that is "
            "every {limit:.1f} s or less often, requests fail, for the drain grace is {grace:g} s. Say what fall times "
            "inter in haproxy.cfg is: -e preflight_balancer_detection=SECONDS, or have the node drained through "
            "HAProxy first (docs/balancers.md)")
SETTLE = ("roll_settle ({settle:g} s) is not more than the balancer takes to mark a node down ({detection:g} s), and "
          "to mark it up it may take as long: the next node would be drained before this one gets requests again. Pass "
          "-e roll_settle={longer:g}, or {other}")
ASK, ANSWER = "set drain_haproxy_address", "see that HAProxy answers at drain_haproxy_address"
RISE = ("HAProxy marks {name} up after {rise} good checks. By preflight_balancer_detection ({detection:g} s) and "
        "{fall} failed ones it checks every {interval:g} s, so that takes {back:g} s, and the gate waits only {gate:g} "
        "s for it once the node is ready: pass -e gate_timeout={longer:.0f}")
ONLY_READ = "%s is true, but drain_haproxy_address is a statistics page, which can only be read: " + SOCKET


def _problem(tell_first, haproxy_set, address, others):
    if haproxy_set and not address:
        return NO_ADDRESS
    if tell_first and not (address or others):
        return NOBODY
    if (tell_first or haproxy_set) and "://" in address:
        return ONLY_READ % ("drain_haproxy_set" if haproxy_set else "drain_tell_first")
    return ""


def drain_balancers(settings, asked=None):
    """Which balancers are told before a node is stopped, and whether that leaves no request in flight.

    C(elsewhere) says whether role balancer drains through some, from another host than the node. C(witnessed) is
    whether all have said themselves that none of their requests is in flight, and the drain may end by that.

    nginx and Apache are always told where they are set, HAProxy where it shall be, or where the preflight has found
    that it can be. What a hook of the operator's does is not known, so it counts only where the operator says so, with
    C(tell_first).

    :arg asked: of the record of the node, what the preflight has found.
    """
    tell_first, haproxy_set = settings["tell_first"], settings["haproxy_set"]
    address, hook = settings["haproxy_address"], settings["hook"]
    # Whether each balancer that is set is told, and its requests are waited for.
    waited = [float(settings[f"{kind}_sessions_timeout"]) > 0 for kind in ("nginx", "apache") if settings[kind]]
    found = ((asked or {}).get("haproxy") or {}).get("told", False)
    haproxy = bool(address) and (tell_first or haproxy_set or found)
    known = ([haproxy] if address else []) + waited
    told = known + ([True] if hook and tell_first else [])
    return {"haproxy": haproxy, "told": bool(told) and all(told),
            # Nobody sees what a hook's balancer still sends, so it is left its time.
            "witnessed": settings["until"] == "quiet" and not hook and bool(known) and all(known),
            "problem": _problem(tell_first, haproxy_set, address, waited or hook),
            "elsewhere": bool(address and settings["haproxy_host"] or waited)}


def true(value):
    """Whether a value of the command line, which may be text, is true."""
    return str(value).strip().lower() in ("true", "yes", "on", "1", "y", "t")


def balancers_of(get):
    """What C(drain_balancers) needs of what is set; C(get) gives a variable by its name, or a default."""
    timeout = get("drain_timeout", 90)
    return dict(
        tell_first=true(get("drain_tell_first", False)),
        until=get("drain_until", "quiet"),
        haproxy_set=true(get("drain_haproxy_set", False)),
        haproxy_address=get("drain_haproxy_address", ""),
        haproxy_backend=get("drain_haproxy_backend", "sf-api"),
        haproxy_server=get("drain_haproxy_server", ""),
        haproxy_host=get("drain_haproxy_host", ""),
        sources=names(get("drain_balancer_sources", [])),
        nginx=names(get("balancer_nginx_hosts", [])),
        nginx_sessions_timeout=get("balancer_nginx_sessions_timeout", timeout),
        apache=get("balancer_apache_url", ""),
        apache_hosts=names(get("balancer_apache_hosts", [])),
        apache_sessions_timeout=get("balancer_apache_sessions_timeout", timeout),
        hook=get("hook_before_drain", ""),
    )


def sources_of(settings, address_of):
    """Where the requests of all balancers come from, as far as the variables tell, each once.

    :arg address_of: gives the address of an inventory host by its name.
    """
    found = [*settings["sources"], *map(address_of, filter(None, [
        settings["haproxy_host"], *settings["nginx"], *(settings["apache_hosts"] if settings["apache"] else [])]))]
    for address in settings["haproxy_address"], settings["apache"]:
        # A socket that is a file has no host.
        found.append(urlsplit(address if "://" in address else f"//{address}").hostname or "")
    return list(dict.fromkeys(filter(None, found)))


def waits_of(settings):
    """For how many seconds a node may be waited for while balancers drain it through their API, host by host."""
    nginx, apache = len(settings["nginx"]), len(settings["apache_hosts"]) or 1
    return (float(settings["nginx_sessions_timeout"]) * nginx
            + float(settings["apache_sessions_timeout"]) * (apache if settings["apache"] else 0))


def haproxy_of(settings, name):
    """Where HAProxy is asked about a node of this name; nothing where there is none."""
    if not settings["haproxy_address"]:
        return {}
    return dict(address=settings["haproxy_address"], backend=settings["haproxy_backend"],
                server=settings["haproxy_server"] or name)


def is_asked(settings, asked):
    """Whether HAProxy is asked: not where the preflight could not, and has said that the roll goes on without it.

    :arg asked: of the record of the node, what the preflight has found.
    """
    return bool(settings["haproxy_address"]) and (asked.get("haproxy") or {}).get("reachable") is not False


def was_of(answer):
    """What HAProxy said of a server before. One that was lost meanwhile may have set the drain, and nobody knows."""
    return answer.get("was") or ("ready" if answer.get("lost") else None)


def remembered(told, where, was, left=False):
    """Those that were told, with HAProxy. What it said before a first drain is not forgotten in a second one.

    :arg left: whether a run that was killed had the node in hand, so that a drain is taken for that run's.
    """
    ours = told.get("haproxy", {}).get("was") == "ready" or left and was == "drain"
    return dict(told, haproxy=dict(backend=where["backend"], server=where["server"], was="ready" if ours else was))


# How each of them is called, with the host that it was asked on.
CALLED = {"nginx": "nginx on {}", "apache": "Apache, asked from {}"}


def answers_of(kind, result):
    """What each balancer of a kind has answered, by what it is called, from the result of the loop over their hosts."""
    answers = result.get("results") or []
    return {CALLED[kind].format(answer.get("__balancer_host", "")): answer for answer in answers
            if not answer.get("skipped")}


def sightings_of(kind, result):
    """What speaks against a drain, who has the node out because of us, and who because of somebody else."""
    answers = answers_of(kind, result)
    was = {name: answer.get("was") for name, answer in answers.items()}
    return dict(problems=[f"{name}: {answer['msg']}" for name, answer in answers.items() if answer.get("msg")],
                shut=[name for name in was if was[name] == "drain"], out=[name for name in was if was[name] == "out"])


def failures_of(results):
    """What balancers have answered that have not done what they were told, by what each is called.

    :arg results: the result of each kind.
    """
    told = {"HAProxy": results["haproxy"]}
    for kind in CALLED:
        told.update(answers_of(kind, results[kind]))
    return {name: answer for name, answer in told.items() if answer.get("msg") and not answer.get("skipped")}


def timing_of(nodes, detection, settle, count=0, gate=0.0):
    """What is not known of how fast balancers are, or what is too slow; each in words.

    Balancers that are told are not waited for, and HAProxy that is asked says itself when a node is back.

    :arg nodes: by name C(grace), the drain grace; C(told), whether its balancers are told before; and C(haproxy), what
        HAProxy has said of the node: C(reachable), C(fall), C(rise).
    :arg detection: C(preflight_balancer_detection), nothing with 0.
    :arg settle: C(roll_settle).
    :arg count: how many nodes the inventory has, also those that C(--limit) leaves out.
    :arg gate: C(gate_timeout), nothing with 0.
    """
    waiting = {name: node for name, node in nodes.items() if not node["told"] and node["grace"]}
    if max(count, len(nodes)) < 2:
        return []  # a node that is alone has its outage anyway
    slow = _slow_to_rise(nodes, detection, gate)
    if not waiting:
        return slow
    if detection:
        asked = all(node["haproxy"].get("reachable") for node in waiting.values())
        other = ANSWER if any(node["haproxy"] for node in waiting.values()) else ASK
        return slow if asked or settle > detection else [
            *slow, SETTLE.format(settle=settle, detection=detection, longer=detection + 5, other=other)]
    # The one that serves for the shortest time, for each number of checks: they rarely differ.
    words: dict[int, str] = {}
    for name, node in sorted(waiting.items(), key=lambda one: one[1]["grace"]):
        fall = node["haproxy"].get("fall") or 0
        text = INTERVAL if fall else TIMING
        words.setdefault(fall, text.format(name=name, grace=node["grace"], fall=fall,
                                           limit=node["grace"] / (fall or 1)))
    return list(words.values())


def _slow_to_rise(nodes, detection, gate):
    """Where the gate would give up before HAProxy has the node back; one sentence for the slowest, or none."""
    back = {}
    for name, node in nodes.items():
        fall, rise = (node["haproxy"].get(key) or 0 for key in ("fall", "rise"))
        if detection and fall and rise * detection / fall >= gate > 0:
            back[name] = rise * detection / fall
    if not back:
        return []
    name = max(back, key=back.__getitem__)
    fall, rise = nodes[name]["haproxy"]["fall"], nodes[name]["haproxy"]["rise"]
    return [RISE.format(name=name, rise=rise, fall=fall, detection=detection, interval=detection / fall,
                        back=back[name], gate=gate, longer=back[name] + gate)]
