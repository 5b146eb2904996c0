#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apache_member
short_description: Take a member of a balancer of Apache out of rotation, or back
version_added: 0.1.0
description:
  - Sets the status of a C(BalancerMember) over the C(balancer-manager) of C(mod_proxy_balancer), at once and in every
    process of Apache. No file is changed and nothing is reloaded.
  - A member that this module takes out is both draining (C(Drn)) and disabled (C(Dis)), which hands do not set
    together. Only such a member is ever let in again. One that has another of C(Drn), C(Dis), C(Stop) was taken out by
    somebody else and is left so.
  - Apache forgets that status when it is restarted or reloaded, unless C(BalancerPersist) is on. Do not reload it while
    a node is out.
options:
  url:
    description:
      - The C(balancer-manager), as seen from the machine that the module runs on. V(http://USER:PASSWORD@HOST/PATH)
        where it wants a user and a password, which are kept out of the result.
    type: str
    required: true
  balancer:
    description: The name of the balancer, what follows C(balancer://) in the configuration.
    type: str
    required: true
  member:
    description: The URL of the member, as its C(BalancerMember) has it, such as V(http://10.0.0.1:13000).
    type: str
    required: true
  state:
    description:
      - V(drain) sends it no new requests. Those that it has are finished.
      - V(ready) undoes that.
    type: str
    choices: [drain, ready]
    required: true
  allow_last:
    description:
      - Whether the member may be taken out although the balancer has other members, and none of these gets requests.
        The balancer then serves nobody.
    type: bool
    default: false
  sessions_timeout:
    description:
      - With O(state=drain), for how many seconds to wait until the member is not busy with any request; the module
        fails when they run out. V(0) does not wait.
    type: float
    default: 0
  recovery_timeout:
    description:
      - With O(state=ready), for how many seconds to wait for a member that is in error (C(Err)). Apache tries it again
        with the first request after the C(retry) of the member, which is 60 s unless set. When they run out the module
        warns.
    type: float
    default: 0
  validate_certs:
    description: Whether the certificate of an V(https://) URL must be valid.
    type: bool
    default: true
extends_documentation_fragment:
  - shakenfist.rolling.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: shakenfist.rolling.haproxy_server
  - module: shakenfist.rolling.nginx_server
author: The shakenfist.rolling authors (@shakenfist)
"""

EXAMPLES = r"""
- name: Send this node no new requests, and let it finish those it has
  shakenfist.rolling.apache_member:
    url: http://127.0.0.1/balancer-manager
    balancer: sf-api
    member: http://10.0.0.2:13000
    state: drain
    sessions_timeout: 30
  delegate_to: lb

- name: Take it back, if it was this collection that has taken it out
  shakenfist.rolling.apache_member:
    url: http://127.0.0.1/balancer-manager
    balancer: sf-api
    member: http://10.0.0.2:13000
    state: ready
  delegate_to: lb
"""

RETURN = r"""
was:
  description:
    - What the member was before. V(ready) got requests, or would without an error, V(drain) got none because of an
      earlier call of this module, V(out) got none because of somebody else.
  returned: when Apache was asked successfully
  type: str
  sample: ready
status:
  description: The status of the member at the end, as Apache says it.
  returned: when Apache was asked successfully
  type: str
  sample: Init Ok
sessions:
  description: How many requests it is busy with at the end.
  returned: when Apache was asked successfully
  type: int
  sample: 0
"""

import xml.etree.ElementTree
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._haproxy import hide_credentials

ANSWER_WITHIN = 5
INTERVAL = 0.2
XML = "{http://httpd.apache.org}"
OURS = {"Drn", "Dis"}
OUT = OURS | {"Stop", "Shut"}


class Member:
    """One member of a balancer, and what Apache said of it last."""

    def __init__(self, params):
        self.params = params
        parts = urlsplit(params["url"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RollingError("url is not the address of a balancer-manager; write http://HOST:PORT/PATH")
        self.user, self.password = parts.username, parts.password
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
        self.place = f"{params['balancer']}/{params['member']}"
        self.name = self.nonce = self.status = ""
        self.sessions = 0
        self.others = {}

    def _ask(self, **fields):
        """Send fields to the balancer-manager, which answers with the status of everything."""
        try:
            # It heeds no field from elsewhere: that is what it takes the Referer for, and it changes nothing on a GET.
            answer = open_url(self.url, data=urlencode(dict(fields, xml="1")), headers={"Referer": self.url},
                              timeout=ANSWER_WITHIN, url_username=self.user and unquote(self.user),
                              url_password=self.password and unquote(self.password), force_basic_auth=bool(self.user),
                              validate_certs=self.params["validate_certs"], use_proxy=False).read()
        except HTTPError as exc:
            wants = {401: "it wants another user and password: write http://USER:PASSWORD@HOST/PATH",
                     403: "it may not be asked from here: see the Require of its Location, or ask from another host",
                     404: "is that the path of its Location?"}.get(exc.code, "see the error log of Apache")
            raise RollingError(f"Apache {self.url} answered {exc.code}, not its balancers: {wants}") from exc
        except Exception as exc:  # whatever ansible's urls raise, among them their own kinds
            raise RollingError(f"Apache {self.url} cannot be asked: {getattr(exc, 'reason', None) or exc}") from exc
        try:
            return xml.etree.ElementTree.fromstring(answer)
        except xml.etree.ElementTree.ParseError as exc:
            seen = " ".join(answer.decode("utf-8", "replace").split())[:120]
            raise RollingError(f"expected the balancers of Apache {self.url}; it said {seen!r}: a balancer-manager of "
                               "Apache 2.4 is needed") from exc

    def _read(self, root):
        balancers = {balancer.findtext(f"{XML}name", "").replace("balancer://", "", 1): balancer
                     for balancer in root.iter(f"{XML}balancer")}
        balancer = balancers.get(self.params["balancer"])
        if balancer is None:
            raise RollingError(f"Apache {self.url} has no balancer {self.params['balancer']}; it has "
                               f"{', '.join(balancers) or 'none'}")
        members = {worker.findtext(f"{XML}name", ""): worker for worker in balancer.iter(f"{XML}worker")}
        self.name = next((name for name in members if name.rstrip("/") == self.params["member"].rstrip("/")), "")
        if not self.name:
            raise RollingError(f"the balancer {self.params['balancer']} of Apache {self.url} has no member "
                               f"{self.params['member']}; it has {', '.join(members) or 'none'}")
        self.nonce = balancer.findtext(f"{XML}nonce", "")
        states = {name: " ".join(worker.findtext(f"{XML}status", "").split()) for name, worker in members.items()}
        self.status = states.pop(self.name)
        self.others = states
        self.sessions = int(members[self.name].findtext(f"{XML}busy", "0"))

    def look(self):
        self._read(self._ask())
        return self

    @property
    def flags(self):
        return set(self.status.split())

    @property
    def state(self):
        return "drain" if OURS <= self.flags else "out" if OUT & self.flags else "ready"

    def is_last(self):
        """Whether the balancer has other members, and none of them gets requests."""
        serving = [name for name, status in self.others.items()
                   if "Ok" in status.split() and not OUT & set(status.split())]
        return bool(self.others) and not serving

    def set(self, state):
        """Set the state and see it set."""
        bit = "1" if state == "drain" else "0"
        self._read(self._ask(b=self.params["balancer"], w=self.name, nonce=self.nonce, w_status_D=bit, w_status_N=bit))
        if self.state != state:
            raise RollingError(f"expected Apache {self.url} to have {self.place} as {state}; it says {self.status}: "
                               "see its error log")


def change(module, member, result):
    """Do what the module was asked for."""
    params, state = module.params, module.params["state"]
    was = member.look().state
    needed = was == "ready" if state == "drain" else was == "drain"
    result.update(was=was, diff=dict(before=f"{member.place}: {was}\n",
                                     after=f"{member.place}: {state if needed else was}\n"))
    if needed and state == "drain" and member.is_last() and not params["allow_last"]:
        others = ", ".join(f"{name} is {status}" for name, status in member.others.items())
        raise RollingError(f"{params['member']} is the only member of {params['balancer']} that Apache {member.url} "
                           f"sends requests to; {others}: let one of them in first")
    if module.check_mode:
        result["changed"] = needed
        return
    if needed:
        member.set(state)
        result["changed"] = True
    if state == "drain":
        timeout = params["sessions_timeout"]
        if timeout and not wait_for(lambda: not member.look().sessions, timeout, INTERVAL):
            raise RollingError(f"expected {member.place} of Apache {member.url} to be busy with no request within "
                               f"{timeout:g} s of its drain; {member.sessions} left")
    elif params["recovery_timeout"] and not wait_for(lambda: "Err" not in member.look().flags,
                                                     params["recovery_timeout"], INTERVAL):
        module.warn(f"Apache {member.url} has {member.place} in error ({member.status}), and sends it nothing until "
                    "it has tried it again")


def main():
    module = AnsibleModule(
        argument_spec=dict(
            url=dict(type="str", required=True),
            balancer=dict(type="str", required=True),
            member=dict(type="str", required=True),
            state=dict(type="str", choices=["drain", "ready"], required=True),
            allow_last=dict(type="bool", default=False),
            sessions_timeout=dict(type="float", default=0),
            recovery_timeout=dict(type="float", default=0),
            validate_certs=dict(type="bool", default=True),
        ),
        supports_check_mode=True,
    )
    hide_credentials(module, module.params["url"])
    result, member, error = dict(changed=False), None, None
    try:
        member = Member(module.params)
        change(module, member, result)
    except RollingError as exc:
        error = exc
    if "was" in result:
        # Also where the order was taken and Apache could not be asked any more.
        result.update(status=member.status, sessions=member.sessions)
        result["changed"] = result["changed"] or member.state != result["was"]
    if error:
        module.fail_json(msg=error.message, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
