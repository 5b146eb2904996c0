#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server of HAProxy out of rotation, or back
version_added: 0.1.0
description:
  - Sets the administrative state of a server over HAProxy's stats socket, which needs C(level admin). Over the
    statistics page it can only tell that nothing is to be changed.
  - HAProxy forgets that state when it is restarted, or reloaded without a file of the states of its servers. A drain
    that is forgotten while its sessions are waited for is a failure.
  - Its health checks go on, so a server that is made ready again serves as soon as its check says so.
options:
  server: {type: str, required: true, description: The name of the server.}
  allow_last:
    version_added: 0.2.0
    description: Whether the server may be drained although HAProxy sends requests to no other one of the backend, which
      then serves nobody. A server that gets none itself, and one that is alone in its backend, always may.
    type: bool
    default: false
  state:
    description:
      - V(drain) sends it no new requests. In-flight requests are finished. A server in maintenance gets none anyway and
        is left so.
      - V(ready) undoes a drain and a maintenance.
extends_documentation_fragment:
  [shakenfist.rolling.attributes, shakenfist.rolling.options.haproxy, shakenfist.rolling.options.rotation]
seealso:
  - module: shakenfist.rolling.haproxy_info
"""

EXAMPLES = r"""
- name: Send this node no new requests, and let it finish those it has
  shakenfist.rolling.haproxy_server:
    address: /run/haproxy/admin.sock
    backend: sf-api
    server: sf-2
    state: drain
    sessions_timeout: 30
  delegate_to: lb
"""

RETURN = r"""
was:
  description:
    - The administrative state before, V(ready), V(drain) or V(maint). Undo only what was V(ready) before.
    - Over the statistics page, a drain of a server that is down is not seen.
  returned: when HAProxy was asked successfully
  type: str
status:
  description: The status of the server at the end, as HAProxy says it.
  returned: when HAProxy was asked successfully
  type: str
  sample: DRAIN
sessions: {type: int, returned: when HAProxy was asked successfully, description: How many sessions it has at the end.}
senders:
  description: The servers with its address, in whichever backend, that may get requests at the end. Only a socket of
    level operator or admin tells addresses. A server with a cookie may get some in a drain, too.
  returned: when HAProxy was asked successfully
  type: list
  elements: str
  sample: [sf-admin/sf-2]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import haproxy_server as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
