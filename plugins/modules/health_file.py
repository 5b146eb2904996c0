#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: health_file
short_description: Fail the health check of a server by a file, or let it succeed again
version_added: 0.2.0
description:
  - Some servers fail their health check as long as a file is there, such as those of OpenStack with the backend
    C(disable_by_file) of C(/healthcheck). A balancer takes them out of rotation then, while they still answer requests.
  - Makes or removes that file, and waits until the health check says so. In one that it makes is written that it did.
options:
  path: {type: path, required: true, description: The file. Its directory must be there.}
  state:
    description: V(present) makes the file, so that the check fails. V(absent) removes it.
    type: str
    choices: [present, absent]
    required: true
  url:
    description: The URL of the health check, V(http://HOST:PORT/PATH). With O(state=present) it is expected to answer
      anything but C(200), or nothing at all, with O(state=absent) to answer C(200).
    type: str
    required: true
  timeout: {type: float, default: 30, description: For how many seconds to wait for that.}
  pause:
    description: How many seconds to wait after that, for a balancer that nobody can ask whether it has noticed. Where
      the file was as it is to be already, this is not waited for.
    type: float
    default: 0
extends_documentation_fragment: shakenfist.rolling.attributes
"""

EXAMPLES = r"""
- name: Have the balancer take cinder-api of this node out of rotation
  shakenfist.rolling.health_file:
    path: /etc/cinder/healthcheck_disable
    state: present
    url: http://10.0.0.1:8776/healthcheck
"""

RETURN = r"""
own: {type: bool, returned: always, description: "Whether the file is there and was made by this module."}
answer:
  description: What the health check answered last, in words. Empty in check mode.
  returned: success, or if it does not answer as expected
  type: str
  sample: "503"
waited:
  description: How long that took, in seconds.
  returned: success, or if it does not answer as expected
  type: float
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import _readiness
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError, conclude, wait_for

DONE = dict(present="made (is it the one that its configuration names?)", absent="removed")
INTERVAL = 0.2
ANSWER_WITHIN = 5


class Check:
    """The health check, and what it answered last."""

    def __init__(self, params):
        self.params = params
        self.answers = []

    def look(self):
        self.answers = _readiness.ask_once(self.params["url"], 1, ANSWER_WITHIN)
        return _readiness.all_ready(self.answers) == (self.params["state"] == "absent")

    def words(self):
        return _readiness.describe(self.answers)


def put(path, state, check_mode):
    """Make or remove the file; returns whether that changes something."""
    changed = os.path.lexists(path) != (state == "present")
    if changed and not check_mode:
        if state == "present":
            # Whole or not at all: one without the words is an operator's.
            with open(path + ".new", "w", encoding="utf-8") as handle:
                handle.write(_readiness.OWN_FILE + "\n")
            os.chmod(path + ".new", 0o644)
            os.rename(path + ".new", path)
        else:
            os.unlink(path)
    return changed


def switch(module):
    params, began = module.params, time.monotonic()
    # One that nobody can ask is refused before the file is touched.
    _readiness.split_url(params["url"])
    check = Check(params)
    try:
        changed = put(params["path"], params["state"], module.check_mode)
    except OSError as exc:
        raise RollingError(f"{params['path']} is to be {params['state']}: {exc.strerror}") from exc
    other = "absent" if params["state"] == "present" else "present"
    result = dict(changed=changed, own=_readiness.is_own_file(params["path"]),
                  diff=dict(before=f"{params['path']}: {other if changed else params['state']}\n",
                            after=f"{params['path']}: {params['state']}\n"))
    good = module.check_mode or wait_for(check.look, params["timeout"], INTERVAL)
    result.update(answer=check.words() if check.answers else "", waited=round(time.monotonic() - began, 3))
    if not good:
        expected = "anything but 200" if params["state"] == "present" else "200"
        raise RollingError(f"expected {expected} from {params['url']} within {params['timeout']:g} s after "
                           f"{params['path']} was {DONE[params['state']]}; last seen: {check.words()}", **result)
    if changed and not module.check_mode:
        time.sleep(params["pause"])
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            state=dict(type="str", choices=["present", "absent"], required=True),
            url=dict(type="str", required=True),
            timeout=dict(type="float", default=30),
            pause=dict(type="float", default=0),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: switch(module))


if __name__ == "__main__":
    main()
