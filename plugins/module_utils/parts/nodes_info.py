# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import json
import re
import time
from http.client import HTTPException
from urllib.error import HTTPError

from ansible.module_utils import urls
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials, open_url
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import brief, reports

ARGUMENTS = dict(
    credentials=dict(type="path", required=True),
    url=dict(type="str", default=""),
    release=dict(type="str", default=""),
    states=dict(type="list", elements="str", default=[]),
    before=dict(type="list", elements="dict", default=[]),
    sentinels=dict(type="list", elements="str", default=["sf-sentinel-first", "sf-sentinel-last"]),
    sentinels_alone=dict(type="bool", default=False),
    names=dict(type="list", elements="str", default=[]),
    required=dict(type="bool", default=True),
    timeout=dict(type="float", default=0),
)

KEYS = ("name", "ip", "state", "lastseen", "release", "is_hypervisor", "is_network_node", "is_etcd_master",
        "is_database_node", "is_cluster_maintainer")
STALE = ("error", "missing")
# The API names the daemons without this, and their states with that.
UNIT_PREFIX = "sf-"
STATE_PREFIX = "daemon-"
DAEMON = re.compile(r"daemon-(.+)-state$")
RUNNING = "running"
# What the sentinels write when they stop; nothing but a start of them ends it.
OF_SENTINELS = ("stopping", "stopped")
# Seconds between two looks, and for which to wait for an answer.
INTERVAL = 0.5
ANSWER_WITHIN = 5
# An answer longer than this is no list of nodes.
AT_MOST = 16 * 1024 * 1024


def shown(url):
    """The URL without a password that may be in it."""
    return re.sub(r"//[^/@]*@", "//", url)


def read_credentials(path):
    """The namespace, the key and the URL of the API, by the names that they have in the file."""
    try:
        with open(path, encoding="utf-8") as handle:
            found = json.load(handle)
    except OSError as exc:
        raise RollingError(f"cannot read the API's credentials in {path}: {exc.strerror}. Copy the file from a node "
                           "that has it, or correct the path") from None
    except ValueError:  # without its words: they may quote the key
        found = None
    if not isinstance(found, dict):
        raise RollingError(f"{path} is no JSON object: expected namespace, key and apiurl in it. Copy the file from a "
                           "node where it is right")
    for name in ("namespace", "key"):
        if not isinstance(found.get(name), str) or not found[name]:
            raise RollingError(f"{path} has no {name}: add the {name} that the API knows")
    return found


class Api:
    """One address of the API."""

    def __init__(self, url, credentials, path, timeout):
        self.url, self.shown = url, shown(url)
        self.credentials, self.path, self.timeout = credentials, path, timeout
        self.token = None

    def _ask(self, method, place, data=None, headers=None):
        """The answer, decoded.

        :raises HTTPError: for a status that is not one of success.
        """
        try:
            response = open_url(f"{self.url}{place}", method=method, data=data, headers=headers, timeout=self.timeout,
                                use_proxy=False)
            return json.loads(response.read(AT_MOST))
        except HTTPError:
            raise
        except (OSError, HTTPException, urls.ConnectionError) as exc:
            words = getattr(exc, "reason", None) or exc
            words = getattr(words, "strerror", None) or str(words) or type(words).__name__
            raise RollingError(f"the API at {self.shown} does not answer ({words}): see that sf-api runs there "
                               "(systemctl status sf-api), and that no firewall is between") from None
        except ValueError:
            raise self._strange(f"{method} {place}") from None

    def _strange(self, question):
        return RollingError(f"{self.shown} answers {question} with something else than Shaken Fist's API does: correct "
                            "the URL")

    def _status(self, question, exc):
        return RollingError(f"the API at {self.shown} answers {question} with {exc.code}: look at journalctl -u sf-api "
                            "on that node, and correct the URL if it is not the API's")

    def _log_in(self):
        namespace = self.credentials["namespace"]
        data = json.dumps(dict(namespace=namespace, key=self.credentials["key"])).encode()
        try:
            answer = self._ask("POST", "/auth", data, {"Content-Type": "application/json"})
        except HTTPError as exc:
            if exc.code in (401, 403):
                raise RollingError(f"the API at {self.shown} refuses the credentials of the namespace {namespace} "
                                   f"({exc.code}): correct the key in {self.path}") from None
            raise self._status("POST /auth", exc) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise self._strange("POST /auth")
        return token

    def nodes(self):
        """The nodes as the API knows them."""
        self.token = self.token or self._log_in()
        token, self.token = self.token, None
        try:
            answer = self._ask("GET", "/nodes", headers={"Authorization": f"Bearer {token}"})
        except HTTPError as exc:
            if exc.code in (401, 403):
                raise RollingError(f"the API at {self.shown} takes the credentials, but does not list the nodes for "
                                   f"the namespace {self.credentials['namespace']} ({exc.code}): put credentials of "
                                   f"the namespace system into {self.path}") from None
            raise self._status("GET /nodes", exc) from None
        if not isinstance(answer, list) or not all(
                isinstance(node, dict) and isinstance(node.get("name"), str) for node in answer):
            raise self._strange("GET /nodes")
        self.token = token
        return [dict({key: node.get(key) for key in KEYS}, daemons=daemons_of(node)) for node in answer]


def addresses(params, credentials):
    """Where to ask, in this order."""
    apiurl = credentials.get("apiurl")
    found = [url.rstrip("/") for url in (params["url"], apiurl) if isinstance(url, str) and url]
    if not found:
        raise RollingError(f"{params['credentials']} has no apiurl: add the URL of the API, such as "
                           "http://10.0.0.1:13000")
    for url in found:
        if not re.match(r"https?://[^/]", url):
            raise RollingError(f"{shown(url)} is no URL of an API: expected one such as http://10.0.0.1:13000, in "
                               f"{params['credentials']} or in url")
    return list(dict.fromkeys(found))


def daemons_of(answer):
    """What the API says of the daemons of a node: by unit, C(running), C(stopping) or C(stopped)."""
    found = {}
    for key, state in answer.items():
        match = DAEMON.match(key)
        if match and isinstance(state, str):
            found[f"{UNIT_PREFIX}{match.group(1)}"] = state[state.startswith(STATE_PREFIX) and len(STATE_PREFIX):]
    return found


def idle(node):
    """The daemons of a node that do not run, as the API knows it."""
    return sorted(name for name, state in (node.get("daemons") or {}).items() if state != RUNNING)


def describe_node(node):
    """What a node reports, in words."""
    seen = node["lastseen"]
    ago = f"last seen {max(0.0, time.time() - seen):.0f} s ago" if isinstance(seen, (int, float)) else "never seen"
    down = f"; not running: {', '.join(idle(node))}" if idle(node) else ""
    return f"{node['name']} reports {node['release'] or 'no release'} ({node['state']}, {ago}{down})"


def advice(node, sentinels):
    """What brings a node back that is not in the state, or does not report the release, that is expected."""
    name, down = node["name"], idle(node)
    if node["state"] == "error":
        return f"on {name}, once the cause of its error is gone: sf-ctl clear-node-error"
    others = [unit for unit in down if unit not in sentinels]
    look = f"journalctl{''.join(f' -u {unit}' for unit in others or sentinels)} -n 50"
    again = f"systemctl restart {' '.join(others)}" if others else ""
    # Nothing but a start of the sentinels ends these states, or has the node report another release.
    if len(sentinels) > 1 and (set(down) & set(sentinels) or node["state"] in (*OF_SENTINELS, "created")):
        first, rest = sentinels[0], " ".join(sentinels[1:])
        start = f"systemctl stop {rest} && systemctl restart {first} && systemctl start {rest}"
        return f"on {name}, nothing else ends this: {look}, then {' && '.join(filter(None, (again, start)))}"
    return f"on {name}: {look}" + (f", then {again}; it is created again when all run" if again else "")


class Expectation:
    """What the nodes are expected to be, and what is to be said of those that are not.

    :arg params: the parameters of the module.
    """

    def __init__(self, params):
        self.release, self.states, self.names = params["release"], params["states"], params["names"]
        self.before = {node.get("name"): node for node in params["before"]}
        self.sentinels, self.alone = params["sentinels"], params["sentinels_alone"]

    def __str__(self):
        state = f"to be {' or '.join(self.states)}" if self.states else ""
        # Where the sentinels were left alone, no node is expected to report it.
        release = f"to report {brief(self.release)}" if self.release and not self.alone else ""
        if state:
            return f"expected {self.who()} {' and '.join(filter(None, (state, release)))}"
        return f"expected release {self.release} from every node" if self.release else ""

    def who(self):
        return self.names[0] if len(self.names) == 1 else "every node"

    def as_before(self, node):
        """Whether the state of a node is none that the change has brought about."""
        old = self.before.get(node["name"])
        if not old or old.get("state") != node["state"] or not self.alone and node["state"] in OF_SENTINELS:
            return False
        return set(idle(node)) <= set(idle(old))

    def judge(self, nodes):
        """What is wrong with the nodes, what there is to note about them, and what to do, each as sentences."""
        known = {node["name"]: node for node in nodes}
        names = self.names or [name for name, node in known.items() if node["state"] != "deleted"]
        wrong, notes, fix, old = [] if names else ["the API knows no node"], [], [], []
        for name in names:
            node = known.get(name)
            if not node:
                wrong.append(f"the API does not know {name}")
                continue
            lost = bool(self.states) and node["state"] not in self.states
            late = bool(self.release) and not reports(node["release"], self.release)
            if late and self.alone:
                old.append(name)
            if lost and self.as_before(node):
                notes.append(f"{describe_node(node)}, as it was before")
                lost = False
            if lost or late and not self.alone:
                wrong.append(describe_node(node))
                if self.states:
                    fix.append(advice(node, self.sentinels))
        if old:
            notes.append(f"the sentinels ({', '.join(self.sentinels)}) were left alone, so {', '.join(old)} report "
                         f"another release than {self.release}, and no object is upgraded online before they are "
                         "restarted: run the playbook shakenfist.rolling.restart with -e restart_units="
                         + ",".join(self.sentinels))
        return wrong, notes, fix


class Watch:
    """Looks at the nodes, and what was wrong at the last look."""

    def __init__(self, params):
        self.params, self.expectation = params, Expectation(params)
        self.apis, self.nodes, self.known, self.problem, self.notes = [], [], False, "", []

    def look(self):
        """Ask once; tell whether everything is as expected."""
        self.nodes, self.known, problems = [], False, []
        for api in self.apis:
            try:
                self.nodes = api.nodes()
                self.known = True
                break
            except RollingError as exc:
                problems.append(exc.message)
        self.problem, self.notes = "" if self.known else "; ".join(problems), []
        if self.known and str(self.expectation):
            wrong, self.notes, fix = self.expectation.judge(self.nodes)
            self.problem = "; ".join([self.expected(), *wrong]) if wrong else ""
            self.problem += f". To fix it: {'; '.join(fix)}" if fix else ""
        return not self.problem

    def expected(self):
        within = f" within {self.params['timeout']:g} s" if self.params["timeout"] else ""
        return f"{str(self.expectation) or 'expected the API to list its nodes'}{within}"

    def complaint(self):
        """What is wrong, in words, after waiting for it."""
        return self.problem if self.known else f"{self.expected()}; last seen: {self.problem}"

    def excuse(self):
        """Whether only the API is missing, and may be."""
        if not self.problem or self.known or self.params["required"]:
            return False
        self.notes = [f"what the API knows of {self.expectation.who()} is not known: {self.problem}"]
        return True

    def result(self):
        return dict(nodes=self.nodes, known=self.known, notes=self.notes, problem=self.problem,
                    leader=next((node["name"] for node in self.nodes if node["is_cluster_maintainer"]), ""),
                    stale=[node["name"] for node in self.nodes if node["state"] in STALE])


def ask(params):
    watch = Watch(params)
    try:
        credentials = read_credentials(params["credentials"])
        within = min(ANSWER_WITHIN, params["timeout"] or ANSWER_WITHIN)
        watch.apis = [Api(url, credentials, params["credentials"], within) for url in addresses(params, credentials)]
    except RollingError as exc:
        watch.problem = exc.message
    else:
        wait_for(watch.look, params["timeout"], INTERVAL)
    if params["timeout"] and watch.problem and not watch.excuse():
        raise RollingError(watch.complaint() if watch.apis else watch.problem, **watch.result())
    return watch.result()


def run(module):
    hide_credentials(module, module.params["url"])
    return ask(module.params)
