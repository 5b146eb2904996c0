#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: cinder_service
short_description: Enable or disable a service of Cinder, or look whether it is
version_added: 0.2.0
description:
  - Asks Cinder's API to give a service no new work, or to give it work again. Work in progress goes on.
options:
  url:
    description: Where the API is, up to the project, V(http://HOST:PORT/v3/PROJECT).
    type: str
    required: true
  headers:
    description: What the API wants to see, C(X-Auth-Token) for example. It must be the token of an administrator. It is
      kept out of logs.
    type: dict
    default: {}
  binary: {type: str, required: true, description: "The kind of the service, such as V(cinder-backup)."}
  host:
    description: The name of its host in Cinder, such as V(c-1), with the backend where it has one, V(c-1@lvm).
    type: str
    required: true
  state:
    description: What the service is to be. V(seen) only looks at it, with the same token.
    type: str
    choices: [enabled, disabled, seen]
    required: true
  reason:
    description: Why it is disabled, for those who look at the list of services.
    type: str
    default: ""
  timeout:
    description: For how many seconds to wait for each answer. Where nobody is there to answer, or a balancer says so
      with 502, 503 or 504, it is asked again until then, so that no moment of the balancer's leaves a service disabled.
    type: float
    default: 30
extends_documentation_fragment: shakenfist.rolling.attributes
"""

EXAMPLES = r"""
- name: Give cinder-backup of this node no new work
  shakenfist.rolling.cinder_service:
    url: http://10.0.0.1:8776/v3/0123456789abcdef0123456789abcdef
    headers:
      X-Auth-Token: "{{ token }}"
    binary: cinder-backup
    host: c-1
    state: disabled
    reason: upgrade
"""

RETURN = r"""
was: {type: str, returned: success, sample: enabled, description: What the service was before.}
own: {type: bool, returned: success, description: "Whether it was disabled before, for O(reason)."}
"""

import json
import re
from http.client import HTTPException, IncompleteRead
from urllib.error import HTTPError
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials, open_url

# How much of an answer that tells of a failure is passed on, in bytes.
WORDS = 200
# What a balancer answers while it has nobody to ask.
NOBODY = 502, 503, 504
INTERVAL = 1.0
TOKEN = ". Is the token in the headers that of an administrator, and still valid?"


class Nobody(RollingError):
    """There was nobody to answer."""


class Api:
    """The API of Cinder."""

    def __init__(self, params):
        self.params = params

    def ask(self, path, body=None):
        """What it answers to GET, or to PUT where there is a body. Both may be asked twice."""
        answers, failures = [], []

        def once():
            try:
                answers.append(self.request(path, body))
            except Nobody as exc:
                failures.append(exc)
            return answers

        if not wait_for(once, self.params["timeout"], INTERVAL):
            raise failures[-1]
        return answers[0]

    def request(self, path, body):
        url = f"{self.params['url'].rstrip('/')}/{path}"
        headers = dict({name: str(value) for name, value in self.params["headers"].items()}, Accept="application/json")
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        try:
            with open_url(url, data=data, method="GET" if body is None else "PUT", headers=headers,
                          timeout=self.params["timeout"]) as answer:
                text = answer.read()
        except HTTPError as exc:
            # A balancer answers with a page.
            said = " ".join(re.sub("<[^>]*>?", " ", exc.read(WORDS).decode(errors="replace")).split())
            hint = TOKEN if exc.code in (401, 403) else ""
            kind = Nobody if exc.code in NOBODY else RollingError
            raise kind(f"{url} answered {exc.code}: {said or 'nothing'}{hint}") from exc
        except (OSError, HTTPException, ValueError) as exc:
            why = getattr(exc, "reason", None) or exc
            # An URL that is none becomes none better.
            kind = Nobody if isinstance(why, (OSError, IncompleteRead)) else RollingError
            raise kind(f"cannot ask {url}: {why}") from exc
        try:
            found = json.loads(text or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RollingError(f"{url} answered something that is no JSON object: is that Cinder's API?")
        return found

    def look(self):
        """Whether the service is enabled or disabled, and why."""
        binary, host = self.params["binary"], self.params["host"]
        found = self.ask(f"os-services?{urlencode(dict(binary=binary, host=host))}").get("services") or []
        same = [one for one in found if one.get("binary") == binary and one.get("host") == host]
        if not same:
            raise RollingError(f"the API at {self.params['url']} knows no {binary} on {host}")
        return same[0].get("status"), same[0].get("disabled_reason") or ""

    def set(self, state):
        body = dict(binary=self.params["binary"], host=self.params["host"])
        if state == "enabled":
            self.ask("os-services/enable", body)
        elif self.params["reason"]:
            self.ask("os-services/disable-log-reason", dict(body, disabled_reason=self.params["reason"]))
        else:
            self.ask("os-services/disable", body)


def switch(module):
    params = module.params
    api = Api(params)
    was, why = api.look()
    # One whose connection is lost in the middle is run again, and would take what it did for an operator's.
    seen = dict(was=was, own=was == "disabled" and bool(why) and why == params["reason"])
    if params["state"] == "seen":
        return dict(seen, changed=False)
    changed = was != params["state"]
    if changed and not module.check_mode:
        api.set(params["state"])
        now = api.look()[0]
        if now != params["state"]:
            raise RollingError(f"expected {params['binary']} on {params['host']} to be {params['state']} after the API "
                               f"was told; it says {now}")
    words = f"{params['binary']} on {params['host']}: "
    return dict(seen, changed=changed, diff=dict(before=f"{words}{was}\n", after=f"{words}{params['state']}\n"))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            url=dict(type="str", required=True),
            headers=dict(type="dict", default={}, no_log=True),
            binary=dict(type="str", required=True),
            host=dict(type="str", required=True),
            state=dict(type="str", choices=["enabled", "disabled", "seen"], required=True),
            reason=dict(type="str", default=""),
            timeout=dict(type="float", default=30),
        ),
        supports_check_mode=True,
    )
    hide_credentials(module, module.params["url"])
    conclude(module, lambda: switch(module))


if __name__ == "__main__":
    main()
