#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: drain
short_description: Stop a service that drains by itself, and witness the drain
version_added: 0.1.0
description:
  - Stops a unit such as C(sf-api), which on SIGTERM answers its readiness URL with C(503), keeps serving while the load
    balancer marks the node down, and then ends by itself. A unit that is stopped already is fine.
  - The module watches that happen, on the node, and reports each moment. It fails if the unit ended without ever having
    said C(503), or if systemd had to kill it, for then requests were cut.
  - A busy unit may miss a look. One that gives no answer within 2 seconds is asked again, for up to 10 seconds before
    its stop. If it has said nothing by then, and ends without C(503), that is a warning.
  - Until the unit has ended it opens connections to it now and then and closes them again. An idle worker of gunicorn
    sleeps until a connection arrives and does not notice the end of its drain otherwise. A node that nobody probes
    would end after the graceful timeout of gunicorn only.
  - A stop that takes as long as that graceful timeout, which is read from the command line of the unit, cuts the
    requests that are still served then, although the unit ends well. That is a warning.
  - With O(haproxy) it watches HAProxy, too, and fails if HAProxy still sent requests to the server when the unit ended,
    or if sessions were cut.
  - With O(until=quiet) a unit that gets no more requests is not waited for.
options:
  unit: {type: str, required: true, description: "The service unit to stop, with or without C(.service)."}
  url:
    description: Its readiness URL, V(http://HOST:PORT/PATH), answered with C(200) when ready.
    type: str
    required: true
  timeout:
    description: For how many seconds to wait for the unit to end. Take more than its C(TimeoutStopSec), then systemd
      ends it before the module gives up.
    type: float
    default: 90
  told:
    description: Whether the server was drained through the balancer's API before, with no session left. A unit that
      ends without a C(503) has cut nothing then, which is a warning and no failure.
    type: bool
    default: false
  until:
    version_added: 0.2.0
    description:
      - How long the unit drains. With V(grace) it ends by itself, once its drain grace is over.
      - With V(quiet), it is ended as soon as nothing is in flight. That is so when it has said C(503), HAProxy, where
        O(haproxy) is given, sends it nothing and has no session left, and no connection to the port of O(url) was seen
        on this node for 1 second. Until then it drains, however long that takes. Only of use for a unit whose server
        was drained through its balancer's API.
      - A connection to that port that is neither from this node nor from one of O(balancers), however short it is, is a
        request that came past them. More of its kind may come, so the unit drains for its whole grace, which is a
        warning. A raw socket shows them. Where there can be none, or the unit stops already when the module begins, the
        unit drains for its whole grace, too.
      - Of HAProxy each server with an address of this machine and the port of O(url) counts, where its socket tells
        addresses, that of another backend, too. A server with a cookie gets requests in a drain until HAProxy has
        marked it down. If HAProxy has sent one a request after the stop, however short, the unit drains for its whole
        grace, which is a warning.
      - Then new connections are rejected with a TCP reset, by C(nft) where that is installed, and if there is still no
        other one, the processes of gunicorn in the control group of the unit get a C(SIGQUIT). No request is cut.
        Without C(nft), one that comes past the balancers in that very moment could be. A unit that has no such process
        drains for its whole grace, which is a warning.
      - That is noted in the journal, so that M(shakenfist.rolling.units_info) does not take this stop for one that the
        unit has ended by itself.
    type: str
    choices: [grace, quiet]
    default: grace
  balancers:
    version_added: 0.2.0
    description: Where requests and health checks of the balancers come from, as seen from this node, each an address, a
      network such as V(10.0.0.0/24), or a name. With O(until=quiet), who comes from elsewhere gets the whole grace.
    type: list
    elements: str
    default: []
  cut_short:
    description:
      - Whether to end the unit at once instead of letting it drain. The processes of gunicorn in its control group get
        a C(SIGQUIT) as soon as it stops. This cuts in-flight requests.
      - For a node that has no other beside it. Nothing is gained by its drain but the end of the in-flight requests.
    type: bool
    default: false
  haproxy:
    description:
      - The HAProxy that sends requests to the unit. It is only looked at, about as often as the unit.
      - If HAProxy has the server as C(UP), its health check must be one of layer 7, or the module fails before it stops
        anything, for no other check sees the C(503).
      - An HAProxy that cannot be reached before the stop is a warning, since nobody gets in through it. One that can be
        reached then, but not any more when the unit ends, is a failure.
    type: dict
    suboptions:
      address: {type: str, required: true, description: As O(shakenfist.rolling.haproxy_info#module:address).}
      backend: {type: str, required: true, description: The name of the backend.}
      server: {type: str, required: true, description: The name of the server of this node in the backend.}
extends_documentation_fragment: shakenfist.rolling.attributes
"""

EXAMPLES = r"""
- name: Drain the API of this node and see HAProxy mark it down
  shakenfist.rolling.drain:
    unit: sf-api
    url: http://10.0.0.2:13000/readyz
    haproxy:
      address: http://10.0.0.9:8404/stats
      backend: sf-api
      server: sf-2
"""

RETURN = r"""
was_ready: {type: bool, returned: always, description: Whether the unit was ready when the drain began.}
not_ready_after:
  description: Seconds from the request to stop to the first C(503), V(null) if there was none.
  returned: when the unit was active, not in check mode
  type: float
stopped_after:
  description: Seconds from the request to stop to the end of the unit, V(null) if it did not end.
  returned: when the unit was active, not in check mode
  type: float
ended_early_after:
  description: Seconds from the request to stop until the unit was ended because nothing was in flight, V(null) if it
    took its own time.
  returned: when the unit was active, not in check mode
  type: float
strangers:
  description: The addresses from which requests came past O(balancers) after the request to stop, so that the unit was
    not ended early.
  returned: with O(until=quiet), when the unit was active, not in check mode
  type: list
  elements: str
concerns:
  description: What the module has warned of, each in a sentence.
  returned: when the unit was active, not in check mode
  type: list
  elements: str
state:
  description: The state of the unit at the end, in words.
  returned: always
  type: str
  sample: inactive (dead)
balancer_before:
  description: What HAProxy said of the server before the stop.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached
  type: str
  sample: UP (L7OK 200)
balancer:
  description: What HAProxy said of the server at the last look before the unit ended.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: str
  sample: DOWN (L7STS 503)
balancer_left_after:
  description: Seconds from the request to stop until HAProxy sent no new requests to the server, that is, until its
    status was not C(UP). V(0) if it was not C(UP) before, V(null) if HAProxy still had it C(UP) when the unit ended.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: float
sessions_zero_after:
  description: Seconds from the request to stop until the server was not C(UP) and had no session left, V(null) if there
    were sessions when the unit ended. It is RV(stopped_after) where the last sessions ended with the unit and HAProxy
    counted no error.
  returned: when O(haproxy) is given, the unit was active and HAProxy could be reached, not in check mode
  type: float
at_balancer: {type: bool, returned: failure after the stop, description: Whether the cause is at HAProxy.}
failed_units: {type: list, returned: failure, description: "The unit, if it is what has failed."}
"""

import contextlib
import ipaddress
import os
import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _haproxy, _rotation, _systemd
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._connections import (
    Arrivals,
    connected,
    networks,
    own_addresses,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials
from ansible_collections.shakenfist.rolling.plugins.module_utils._readiness import (
    SILENT,
    ask_once,
    knock,
    leaves_open,
    split_url,
)
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.port_reject import Firewall

ENDED = ("inactive", "failed")
# Seconds between two looks.
INTERVAL = 0.1
# How long one look may wait for an answer: with every worker busy a 503 can be late, and the unit's end must be seen.
ANSWER_WITHIN = 2.0
# For how many seconds a unit that gives no answer is asked before its stop: a busy one misses a look or two.
BUSY = 10.0
# The same for HAProxy, which is asked in every look.
BALANCER_WITHIN = 1.0
# Seconds between two times that idle workers are woken, and over how many connections at once.
KNOCK = 0.25
KNOCKS = 4
# For so many seconds nothing must have been in flight. A balancer that has just let go may have a request on its way.
QUIET = 1.0
# After so many seconds the kernel accepts connections again by itself, whatever happens to this module.
REJECT = 10
# How many addresses a warning names.
SHOWN = 5
# A unit that ends within so many seconds of its stop has not drained at all.
MOMENT = 2.0
BEGIN = "ActiveExitTimestampMonotonic"
END = "InactiveEnterTimestampMonotonic"


class Balancer:
    """The server as HAProxy sees it, while its unit stops.

    What a look saw counts only once the unit was seen running after it: with the end of the unit HAProxy's sessions
    end, too, and that would pass for a drain.
    """

    def __init__(self, params, port):
        self.haproxy = _haproxy.Haproxy(params["address"], BALANCER_WITHIN)
        self.params = params
        # The loopback ones are this machine's where HAProxy is asked by a file on it.
        self.own = {f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
                    for address in own_addresses() if self.haproxy.path or not address.is_loopback}
        self.place = f"{params['backend']}/{params['server']}"
        self.before = self.server = self.error = self.left_after = self.sessions_zero_after = self.pending = None
        self.sent = []

    def ask(self):
        return self.haproxy.server(self.params["backend"], self.params["server"], self.own)

    def look_before(self, path, told):
        """Look before the stop; raise if HAProxy would not notice it.

        :arg told: whether HAProxy was to send it nothing more by now.
        """
        self.before = self.server = self.ask()
        if not _haproxy.is_up(self.before):
            self.left_after = 0.0
            self.sessions_zero_after = None if self.before["sessions"] else 0.0
            return
        asks, check = _haproxy.asks_http(self.before), _haproxy.check_of(self.before)
        if told and not asks:
            raise RollingError(_rotation.forgotten(self.place, f"HAProxy {self.haproxy.shown}",
                                                   _haproxy.describe_server(self.before)))
        if asks is None:
            raise RollingError(f"HAProxy's last check of {self.place} is {_haproxy.describe_server(self.before)}, "
                               f"which does not tell whether it asks {path}. Nothing was stopped; look again when "
                               f"HAProxy has checked the server ({self.haproxy.shown})")
        if not asks:
            kind = f"HAProxy's check of {self.place} is {check}, it does not ask {path}"
            if not check:
                kind = f"HAProxy has no check of {self.place}"
            raise RollingError(f"{kind}, so the balancer would not mark it down: use option httpchk GET {path}, and "
                               f"check in the line of the server ({self.haproxy.shown}). Nothing was stopped")

    def sessions(self):
        """In words, how many requests of HAProxy's were in flight at the last look that counts."""
        count = self.server["sessions"]
        return f"{count or 'none'} of HAProxy's in flight at the last look"

    def look(self, since):
        """Look once, for now without consequences."""
        try:
            self.pending = (self.ask(), None, since())
        except RollingError as exc:
            self.pending = (None, exc.message, since())

    def count(self):
        """The unit ran after the last look, so it counts."""
        server, self.error, now = self.pending
        if not server:
            return
        self.sent = self.sent or _haproxy.got_requests(self.server, server)
        self.server = server
        if _haproxy.is_up(server):
            self.left_after = None
        elif self.left_after is None:
            self.left_after = now
        if self.left_after is None or server["sessions"]:
            self.sessions_zero_after = None
        elif self.sessions_zero_after is None:
            self.sessions_zero_after = now

    def may_send(self):
        """Whether HAProxy has requests at the unit, or may send some. One that was restarted forgets a drain."""
        return self.error or self.sessions_zero_after is None or self.server["senders"]

    def look_after(self, stopped_after):
        """The unit has ended: did the sessions that were there at the last look end well?

        A service that waits for its last request ends right after it. Where a request was cut, HAProxy counts an error.
        """
        if self.left_after is None or self.sessions_zero_after is not None or self.error:
            return
        last = self.server

        def settled():
            server = self.ask()
            return server if not server["sessions"] or server["errors"] != last["errors"] else None

        try:
            # HAProxy may need a moment to see its connections end.
            server = wait_for(settled, BALANCER_WITHIN)
        except RollingError:
            return
        if server and not server["sessions"] and server["errors"] == last["errors"] and last["errors"] is not None:
            self.sessions_zero_after = stopped_after

    def complaint(self, name, stopped_after):
        """What went wrong, or an empty string."""
        if self.error:
            return (f"HAProxy could be asked before {name} was stopped, but not when it ended after "
                    f"{stopped_after:.1f} s, so it is not known whether requests were cut: {self.error}")
        if self.left_after is None:
            return (f"HAProxy still had {self.place} {self.server['status']} when {name} ended after "
                    f"{stopped_after:.1f} s: requests were cut. Its detection time (fall x inter) must be less than "
                    "the drain grace")
        if self.sessions_zero_after is None:
            count = self.server["sessions"]
            return (f"HAProxy still had {count} session{'s'[:count != 1]} at {self.place} when {name} ended after "
                    f"{stopped_after:.1f} s: these requests were cut. Its detection time (fall x inter) and the "
                    "longest request together must be less than the drain grace")
        return ""

    def result(self):
        before, last = map(_haproxy.describe_server, (self.before, self.server))
        return dict(balancer_before=before, balancer=last, balancer_left_after=self.left_after,
                    sessions_zero_after=self.sessions_zero_after)


def is_gunicorn(words):
    """Whether a command line is one of gunicorn's processes, and not the shell that starts it."""
    return (words[0].startswith("gunicorn: ") or words[1:3] == ["-m", "gunicorn"]
            or "gunicorn" in [os.path.basename(word) for word in words[:2]])


def of_gunicorn(processes):
    """Those of gunicorn, of processes by id with their command lines."""
    return sorted(pid for pid, words in processes.items() if is_gunicorn(words))


class Drain:
    """One stop of one unit, watched."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.systemd = _systemd.Systemd(module.run_command)
        self.name = _systemd.short(self.params["unit"])
        if self.params["haproxy"]:
            hide_credentials(module, self.params["haproxy"]["address"])
        self.state = {}
        self.was_ready, self.undrained, self.unanswered = False, "", 0
        self.before = None
        self.balancer = self.answer = self.graceful = self.hurried = self.not_ready_after = self.stopped_after = None
        self.quiet_since = self.ended_early_after = None
        self.quiet, self.busy = self.params["until"] == "quiet" and not self.params["cut_short"], False
        self.strangers, self.known, self.arrivals, self.hindered = set(), set(), None, ""
        self.begin = self.knocked = 0.0

    def look_at_unit(self):
        self.state = self.systemd.show([self.name], more=("ExecStart", BEGIN, END))[self.name]
        return self.state

    def look_before(self):
        """Look at the unit, and at what may end it by force."""
        state = self.look_at_unit()
        found = _systemd.command_arguments(state.get("ExecStart"), (_systemd.GRACEFUL_TIMEOUT,))
        self.graceful = _systemd.graceful_timeout(found)
        return state

    def ask(self):
        self.answer = ask_once(self.params["url"], timeout=ANSWER_WITHIN)[0]
        return self.answer

    def ask_before(self):
        """What the unit answers before its stop."""
        patience = 0 if self.params["cut_short"] else BUSY
        wait_for(lambda: not leaves_open(self.ask()), patience, INTERVAL)
        self.before = self.answer
        self.was_ready = self.before == 200

    def since(self):
        return round(time.monotonic() - self.begin, 3)

    def wake(self):
        """Wake the idle workers, now and then, so that they notice the end of their drain."""
        if time.monotonic() - self.knocked >= KNOCK:
            self.knocked = time.monotonic()
            knock(self.params["url"], KNOCKS)

    def hurry(self, processes):
        """End gunicorn at once: all of its processes, for an older master does not tell its workers once it stops."""
        self.hurried = processes
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):  # the master was faster
                os.kill(pid, signal.SIGQUIT)

    @property
    def port(self):
        return split_url(self.params["url"])[1]

    def look_at_connections(self):
        """Watch from before the stop on who connects."""
        self.known = {*networks(self.params["balancers"]), *map(ipaddress.ip_network, own_addresses())}
        try:
            self.arrivals = Arrivals(self.port)
        except OSError as exc:
            self.hinder(f"who comes past its balancers cannot be seen here without a raw socket: {exc.strerror}")
        if self.state["ActiveState"] == "deactivating":
            self.hinder("it was being stopped already, and who came past its balancers until then was not seen")

    def hinder(self, why):
        """The unit takes its time, for this reason."""
        self.quiet, self.hindered = False, why

    def is_stranger(self, address):
        return not (address.is_loopback or any(address in network for network in self.known))

    def in_flight(self):
        """Whether a connection may still have a request. Who comes past the balancers is noted."""
        found = connected(self.port)
        self.strangers.update(filter(self.is_stranger, {*found, *self.arrivals.addresses()}))
        return bool(found)

    def end_if_quiet(self):
        """End it early if nothing is in flight, or say why it never will be."""
        if self.balancer and self.balancer.sent:
            self.hinder(f"HAProxy has sent requests to {', '.join(self.balancer.sent)} since, as use-server, stick on, "
                        "force-persist or a cookie have it do in a drain, and may send more: set drain_until to grace "
                        "if it shall (docs/balancers.md)")
        elif self.is_quiet():
            # All of /proc is read for them, which takes too long between the last look and the signal.
            running = self.systemd.processes(self.name)
            processes = of_gunicorn(running)
            if processes:
                self.end_early(processes)
            elif running:
                self.hinder(f"no process of gunicorn was found in it that could be told: look at systemctl status "
                            f"{self.name}. Is it started in another way than by gunicorn's own command?")

    def is_quiet(self):
        """Whether nothing was in flight for a while, and the unit has said that nothing is to come."""
        self.busy = bool(self.in_flight() or self.not_ready_after is None or self.strangers
                         or self.balancer and self.balancer.may_send())
        if self.busy:
            self.quiet_since = None
        elif self.quiet_since is None:
            self.quiet_since = self.since()
        return self.quiet_since is not None and self.since() - self.quiet_since >= QUIET

    def end_early(self, processes):
        """End a unit that has nothing left to do. With new connections rejected, what is not there does not come."""
        firewall = Firewall(self.module)
        rejecting = bool(firewall.nft)
        try:
            if rejecting:
                firewall.reject(self.port, REJECT, requests=False)
        except RollingError:
            rejecting = False
        try:
            if not self.in_flight() and not self.strangers:
                if self.systemd.note_early(self.name):
                    self.hurry(processes)
                    self.ended_early_after = self.since()
                    wait_for(self.has_ended, REJECT - 1, INTERVAL)
                else:
                    self.hinder(f"that cannot be noted in the journal ({_systemd.JOURNAL}), so that later it would be "
                                "taken for its drain grace: look at systemctl status systemd-journald")
        finally:
            self.quiet_since = None
            if rejecting:
                # Where another hand was faster, or if it fails: the kernel drops the rule soon, and the gate waits.
                with contextlib.suppress(RollingError):
                    firewall.accept()

    def has_ended(self):
        return self.look_at_unit().get("ActiveState") in ENDED

    def look(self):
        """One look at the URL, until it has said 503, at HAProxy and at the unit; true once the unit has ended."""
        if self.not_ready_after is not None or self.params["cut_short"]:
            # That is a connection, too, and where nothing is in flight idle workers are not waited for.
            if self.busy or not self.quiet:
                self.wake()
        elif self.ask() == 503:
            self.not_ready_after = self.since()
        else:
            self.unanswered += self.answer == SILENT
        if self.balancer:
            self.balancer.look(self.since)
        if self.has_ended():
            self.stopped_after = self.since()
            if self.balancer:
                self.balancer.look_after(self.stopped_after)
            return True
        if self.balancer:
            self.balancer.count()
        # Before systemd has begun to stop it, it would start it again.
        if self.hurried is None and self.state.get("ActiveState") == "deactivating":
            if self.params["cut_short"]:
                self.hurry(of_gunicorn(self.systemd.processes(self.name)))
            elif self.quiet:
                self.end_if_quiet()
        return False

    def stop(self):
        """Stop the unit and watch it end."""
        if self.quiet:
            self.look_at_connections()
        self.begin = time.monotonic()
        self.systemd.stop(self.name)
        wait_for(self.look, self.params["timeout"], INTERVAL)
        self.undrained = self.without_503()

    def without_503(self):
        """What there is to say of a unit that may have served and has ended without a 503, or an empty string."""
        skipped = self.params["cut_short"] or self.stopped_after is None
        serving = self.was_ready or leaves_open(self.before)
        if skipped or not serving or self.not_ready_after is not None:
            return ""
        seen = f"expected 503 from {self.params['url']} while {self.name} was still serving; "
        if not self.was_ready:
            return (f"{seen}it gave no answer for {BUSY:g} s before its stop ({self.before}), and ended after "
                    f"{self.stopped_after:.1f} s without one")
        if self.stopped_after >= MOMENT and self.unanswered:
            return (f"{seen}it ended after {self.stopped_after:.1f} s, and {self.unanswered} looks until then got no "
                    f"answer within {ANSWER_WITHIN:g} s: it was too busy for anybody to see whether it drained")
        if self.stopped_after >= MOMENT:
            return (f"{seen}it ended after {self.stopped_after:.1f} s without one (last answer: {self.answer}). Does "
                    "this release drain on SIGTERM, and is its drain grace more than 0?")
        return (f"{seen}it went from 200 to {self.ask()} at once, and {self.name} ended after "
                f"{self.stopped_after:.1f} s: the drain did not happen. That is a known fault of Shaken Fist, or its "
                "drain grace is 0")

    def was_told(self):
        """Whether the balancer was told before, so that nothing was in flight when the unit was stopped."""
        if self.balancer:
            before = self.balancer.before
            return not before["sessions"] and (self.params["told"] or not _haproxy.is_up(before))
        return self.params["told"]

    def complaint(self):
        """What went wrong, or an empty string."""
        if self.stopped_after is None:
            return (f"expected {self.name} to end within {self.params['timeout']:g} s of its stop; last seen: "
                    f"{_systemd.describe(self.state)}")
        if self.state.get("Result") != "success":
            return (f"expected {self.name} to end by itself; systemd had to kill it or it failed after "
                    f"{self.stopped_after:.1f} s: {_systemd.describe(self.state)}. In-flight requests were cut")
        if self.undrained and self.was_ready and not self.was_told():
            if self.params["told"]:
                return (f"{self.undrained}. The node had been drained through the balancer first, but requests from it "
                        "were still in flight, and may have failed")
            return (f"{self.undrained}. The node was not drained through the balancer first, so requests may have "
                    "failed: pass -e drain_tell_first=true (docs/balancers.md)")
        return self.of_balancer()

    def of_balancer(self):
        """What of that is HAProxy's: it marks a node down too late, or cannot be asked any more."""
        if self.balancer and not self.params["cut_short"]:
            return self.balancer.complaint(self.name, self.stopped_after)
        return ""

    def concerns(self):
        """What to warn of, although the unit has ended as it should."""
        if self.stopped_after is None or self.state.get("Result") != "success":
            return []
        found = []
        sessions = f" ({self.balancer.sessions()})" if self.balancer else ""
        if self.undrained and self.was_told():
            found.append(f"{self.undrained}. The node had been drained through the balancer first, and no request from "
                         "it was in flight, so none was cut")
        elif self.undrained and not self.was_ready:
            found.append(f"{self.undrained}. Nothing tells whether it served, so requests may have been cut: look at "
                         f"journalctl -u {self.name}, and at what the balancer has written at that time")
        if self.params["cut_short"]:
            found.append(f"{self.name} was ended after {self.stopped_after:.1f} s without its drain, as was asked for: "
                         f"requests in flight were cut{sessions}" if self.hurried else
                         f"{self.name} was to be ended at once, but no process of gunicorn was found in it: it took "
                         f"its own {self.stopped_after:.1f} s")
        # By systemd's clock, which also knows of the time before an earlier run of this module was lost.
        took = _systemd.lasted(self.state, BEGIN, END) or self.stopped_after
        if not self.undrained:
            found += self.whole_grace(took)
        if self.graceful and took >= self.graceful:
            found.append(f"{self.name} took {took:.1f} s to stop, its graceful timeout is {self.graceful:g} s: "
                         "gunicorn has ended its workers by force, and cut the requests that they still served"
                         f"{sessions}. For requests that take longer, raise {_systemd.GRACEFUL_TIMEOUT} and "
                         f"TimeoutStopSec of {self.name} (docs/upgrade.md, long requests)")
        return found

    def named_strangers(self):
        return sorted(map(str, self.strangers))

    def whole_grace(self, seconds):
        """Why a unit that should have been ended early was not, in words."""
        took = (f"{self.name} took {seconds:.1f} s to stop, its whole drain grace, and was not ended as soon as "
                "nothing was in flight: ")
        found = []
        if self.strangers:
            names = self.named_strangers()
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            found.append(f"{took}requests came past its balancers, from {', '.join(names[:SHOWN])}{more}. The "
                         f"balancers are known as {', '.join(self.params['balancers']) or 'this node'}. If that is "
                         "another address of theirs, or monitoring, add it to drain_balancer_sources "
                         "(docs/balancers.md)")
        return [*found, took + self.hindered] if self.hindered else found

    def watch_haproxy(self, balancer, path):
        try:
            balancer.look_before(path, self.params["told"])
            self.balancer = balancer
        except _haproxy.Unreachable as exc:
            self.quiet = False
            self.module.warn(f"{exc.message}. Whether it marks {balancer.place} down is not witnessed")

    def act(self):
        path, haproxy = split_url(self.params["url"])[2], self.params["haproxy"]
        balancer = Balancer(haproxy, self.port) if haproxy else None
        state = self.look_before()
        before = _systemd.describe(state)
        if state.get("LoadState") != "loaded":
            raise RollingError(f"there is no unit {self.name} on this node: {before}")
        if state["ActiveState"] in ENDED:
            return dict(changed=False, was_ready=False, state=before)
        self.ask_before()
        if balancer:
            self.watch_haproxy(balancer, path)
        result = dict(changed=True, was_ready=self.was_ready, state=before)
        if self.module.check_mode:
            after = "inactive (dead)"
            if self.balancer:
                result["balancer_before"] = _haproxy.describe_server(balancer.before)
        else:
            self.stop()
            after = _systemd.describe(self.state)
            result.update(state=after, not_ready_after=self.not_ready_after, stopped_after=self.stopped_after,
                          ended_early_after=self.ended_early_after, concerns=self.concerns(),
                          **(dict(strangers=self.named_strangers()) if self.params["until"] == "quiet" else {}),
                          **(self.balancer.result() if self.balancer else {}))
            for concern in result["concerns"]:
                self.module.warn(concern)
        result["diff"] = dict(before=f"{self.name}: {before}\n", after=f"{self.name}: {after}\n")
        complaint = "" if self.module.check_mode else self.complaint()
        if complaint:
            raise RollingError(complaint, at_balancer=complaint == self.of_balancer(), **result)
        return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            unit=dict(type="str", required=True),
            url=dict(type="str", required=True),
            timeout=dict(type="float", default=90),
            told=dict(type="bool", default=False),
            until=dict(type="str", choices=["grace", "quiet"], default="grace"),
            balancers=dict(type="list", elements="str", default=[]),
            cut_short=dict(type="bool", default=False),
            haproxy=dict(type="dict", options=dict(**_haproxy.HAPROXY_OPTIONS, server=dict(type="str", required=True))),
        ),
        supports_check_mode=True,
    )
    drain = Drain(module)
    try:
        result = drain.act()
    except RollingError as exc:
        module.fail_json(msg=exc.message, failed_units=[drain.name], **exc.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
