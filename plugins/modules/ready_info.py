#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: ready_info
short_description: Ask readiness URLs whether their servers are ready
version_added: 0.1.0
description:
  - Asks readiness URLs, such as C(http://10.0.0.1:13000/readyz), and counts C(200) as ready.
  - Each worker of C(sf-api) has a readiness of its own, and connections made one after the other tend to reach the same
    worker. So all connections of a round are opened before the first request is sent. A worker that serves one request
    at a time accepts one of them and waits, which leaves the others to the other workers. Each one has to answer.
  - Polls on the node that it runs on, without a round trip of Ansible between two looks.
options:
  urls: {type: list, elements: str, required: true, description: "The URLs to ask, V(http://HOST:PORT/PATH)."}
  connections:
    description: How many connections a round opens to each URL. To ask every worker, take more than there are workers,
      or give O(unit).
    type: int
    default: 1
  unit:
    description: A service unit of this node that serves the URLs. A round then opens at least twice as many connections
      as the unit has worker processes.
    type: str
  rounds:
    description: How many rounds in a row must find a URL ready. Without O(timeout), so many are made.
    type: int
    default: 1
  status: {version_added: 0.2.0, type: int, default: 200, description: The status of HTTP that counts as ready.}
  minimum: {type: int, description: How many of the URLs must be ready. All of them by default.}
  interval: {type: float, default: 0.2, description: Seconds between two rounds.}
extends_documentation_fragment: [shakenfist.rolling.attributes.info, shakenfist.rolling.options.wait,
  shakenfist.rolling.options.guard]
"""

EXAMPLES = r"""
- name: Wait until every worker of sf-api is ready, three rounds in a row
  shakenfist.rolling.ready_info:
    urls: ["http://10.0.0.1:13000/readyz"]
    unit: sf-api
    rounds: 3
    timeout: 60

- name: Wait until at least two of the others are ready
  shakenfist.rolling.ready_info:
    urls: ["http://10.0.0.2:13000/readyz", "http://10.0.0.3:13000/readyz", "http://10.0.0.4:13000/readyz"]
    minimum: 2
    timeout: 30
"""

RETURN = r"""
ready: {type: bool, returned: always, description: Whether O(minimum) URLs are ready.}
count: {type: int, returned: always, description: How many URLs are ready.}
connections: {type: int, returned: always, description: How many connections a round opened to each URL.}
seen:
  description: By URL, whether it is ready, and what was last seen, in words.
  returned: always
  type: dict
  sample: {"http://10.0.0.1:13000/readyz": {"ready": false, "answers": "200 from 8 of 10, 503 from 2 of 10"}}
waited: {type: float, returned: always, description: "How long that took, in seconds."}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import ready_info as part


def main():
    module = AnsibleModule(argument_spec=part.ARGUMENTS, supports_check_mode=True)
    conclude(module, lambda: part.run(module))


if __name__ == "__main__":
    main()
