#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: apache_member
short_description: Take a member of a balancer of Apache out of rotation, or back
version_added: 0.1.0
description:
  - Sets the status of a C(BalancerMember) over the C(balancer-manager) of C(mod_proxy_balancer), at once and in every
    process of Apache. No file is changed and nothing is reloaded.
  - A member that this module takes out is both draining (C(Drn)) and disabled (C(Dis)), which people do not set
    together. Only such a member is ever taken back. One that has another of C(Drn), C(Dis), C(Stop) was taken out by
    somebody else and is left so.
  - Apache forgets that status when it is restarted or reloaded, also where C(BalancerPersist) is on. Let nothing reload
    it while a node is out, such as the rotation of its logs.
options:
  url:
    description: The C(balancer-manager), as seen from the machine that the module runs on.
      V(http://USER:PASSWORD@HOST/PATH) where it wants a user and a password, which are kept out of the result.
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
  allow_last:
    description: Whether the member may be taken out although none of the balancer's other members gets requests. The
      balancer then serves nobody.
    type: bool
    default: false
  recovery_timeout:
    description: With O(state=ready), for how many seconds to wait for a member that is in error (C(Err)). Apache tries
      it again with the first request after the C(retry) of the member, which is 60 s unless set. When they run out the
      module warns.
    type: float
    default: 0
  validate_certs: {type: bool, default: true, description: Whether the certificate of an V(https://) URL must be valid.}
extends_documentation_fragment: [shakenfist.rolling.attributes, shakenfist.rolling.options.rotation]
seealso: [{module: shakenfist.rolling.haproxy_server}, {module: shakenfist.rolling.nginx_server}]
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
"""

RETURN = r"""
was:
  description: What the member was before. V(ready) got requests, or would without an error, V(drain) got none because
    of an earlier call of this module, V(out) got none because of somebody else.
  returned: when Apache was asked successfully
  type: str
status:
  description: The status of the member at the end, as Apache says it.
  returned: when Apache was asked successfully
  type: str
  sample: Init Ok
sessions:
  description: How many requests it is busy with at the end.
  returned: when Apache was asked successfully
  type: int
"""

import xml.etree.ElementTree
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _rotation
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials, open_url

ANSWER_WITHIN = 5
XML = "{http://httpd.apache.org}"
OURS = {"Drn", "Dis"}
OUT = OURS | {"Stop", "Shut"}


class Member(_rotation.Member):
    """One member of a balancer."""

    idle = "be busy with no request"

    def __init__(self, module):
        self.module, self.params = module, module.params
        params = self.params
        try:
            parts = urlsplit(params["url"])
        except ValueError:
            parts = None
        if not parts or parts.scheme not in ("http", "https") or not parts.hostname:
            raise RollingError("url is not the address of a balancer-manager; write http://HOST:PORT/PATH")
        self.user, self.password = parts.username, parts.password
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
        self.place, self.balancer = f"{params['balancer']}/{params['member']}", f"Apache {self.url}"
        self.name = self.nonce = ""
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
            moved = "it redirects, write the address that it leads to"
            wants = {301: moved, 302: moved, 307: moved, 308: moved,
                     401: "it wants another user and password: write http://USER:PASSWORD@HOST/PATH",
                     403: "it may not be asked from here: see the Require of its Location, or ask from another host",
                     404: "is that the path of its Location?"}.get(exc.code, "see the error log of Apache")
            raise RollingError(f"{self.balancer} answered {exc.code}, not its balancers: {wants}") from exc
        except Exception as exc:  # whatever ansible's urls raise, among them their own kinds
            raise RollingError(f"{self.balancer} cannot be asked: {getattr(exc, 'reason', None) or exc}") from exc
        try:
            return xml.etree.ElementTree.fromstring(answer)
        except xml.etree.ElementTree.ParseError as exc:
            seen = " ".join(answer.decode("utf-8", "replace").split())[:120]
            raise RollingError(f"expected the balancers of {self.balancer}; it said {seen!r}: a balancer-manager of "
                               "Apache 2.4 is needed") from exc

    def _read(self, root):
        balancers = {balancer.findtext(f"{XML}name", "").replace("balancer://", "", 1): balancer
                     for balancer in root.iter(f"{XML}balancer")}
        balancer = balancers.get(self.params["balancer"])
        if balancer is None:
            raise RollingError(f"{self.balancer} has no balancer {self.params['balancer']}; it has "
                               f"{', '.join(balancers) or 'none'}")
        members = {worker.findtext(f"{XML}name", ""): worker for worker in balancer.iter(f"{XML}worker")}
        self.name = next((name for name in members if name.rstrip("/") == self.params["member"].rstrip("/")), "")
        if not self.name:
            raise RollingError(f"the balancer {self.params['balancer']} of {self.balancer} has no member "
                               f"{self.params['member']}; it has {', '.join(members) or 'none'}")
        self.nonce = balancer.findtext(f"{XML}nonce", "")
        states = {name: " ".join(worker.findtext(f"{XML}status", "").split()) for name, worker in members.items()}
        self.status = states.pop(self.name)
        flags = set(self.status.split())
        self.state = "drain" if OURS <= flags else "out" if OUT & flags else "ready"
        self.others = states
        self.sessions = int(members[self.name].findtext(f"{XML}busy", "0"))

    def look(self):
        self._read(self._ask())
        return self

    def allow(self, state):
        """Refuse to drain a member of several of which no other gets requests."""
        serving = [name for name, status in self.others.items()
                   if "Ok" in status.split() and not OUT & set(status.split())]
        if state == "drain" and self.others and not serving and not self.params["allow_last"]:
            others = ", ".join(f"{name} is {status}" for name, status in self.others.items())
            raise RollingError(f"{self.params['member']} is the only member of {self.params['balancer']} that "
                               f"{self.balancer} sends requests to; {others}: let one of them in first")

    def set(self, state):
        bit = "1" if state == "drain" else "0"
        self._read(self._ask(b=self.params["balancer"], w=self.name, nonce=self.nonce, w_status_D=bit, w_status_N=bit))
        if self.state != state:
            raise RollingError(f"expected {self.balancer} to have {self.place} as {state}; it says {self.status}: "
                               "see its error log")

    def settle(self):
        timeout = self.params["recovery_timeout"]
        if timeout and not wait_for(lambda: "Err" not in self.look().status.split(), timeout, _rotation.INTERVAL):
            self.module.warn(f"{self.balancer} has {self.place} in error ({self.status}), and sends it nothing until "
                             "it has tried it again")


def main():
    module = AnsibleModule(
        argument_spec=dict(
            # It may have a user and a password in it.
            url=dict(type="str", required=True, no_log=True),
            balancer=dict(type="str", required=True),
            member=dict(type="str", required=True),
            allow_last=dict(type="bool", default=False),
            recovery_timeout=dict(type="float", default=0),
            validate_certs=dict(type="bool", default=True),
            **_rotation.OPTIONS,
        ),
        supports_check_mode=True,
    )
    hide_credentials(module, module.params["url"])
    conclude(module, lambda: _rotation.rotate(module, lambda: Member(module)))


if __name__ == "__main__":
    main()
