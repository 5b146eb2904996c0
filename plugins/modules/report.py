#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: report
short_description: Write down how a run went, as a page and as data
version_added: 0.1.0
description:
  - Writes C(rolling-report-TIME.html) and C(rolling-report-TIME.json) on the controller, from the record of the run.
    TIME is when the run began, in UTC. A later call of the same run replaces both.
  - Connects to no node. Use it for localhost, with C(delegate_facts), since it notes the page in the record.
  - Never fails. What goes wrong is a warning.
  - Writes nothing if no node had to be rolled and nothing has failed.
options:
  directory:
    description: The directory on the controller, created if missing. By default where C(ansible-playbook) was started.
    type: path
    default: ""
  data:
    description: The data of an older report, C(rolling-report-TIME.json), to make its page anew, and nothing else.
    type: path
    default: ""
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    details: Writes nothing in check mode.
  diff_mode: {support: none}
  idempotent:
    support: N/A
    details: It never reports a change, since it changes nothing in the cluster.
"""

EXAMPLES = r"""
- name: Write the report
  shakenfist.rolling.report:
    directory: /var/www/rolls
  delegate_to: localhost
  delegate_facts: true
  run_once: true
"""

RETURN = r"""
path:
  description: The page; empty if none was written.
  returned: always
  type: str
  sample: /home/alice/rolling-report-20261121T145302Z.html
data: {type: str, returned: always, description: "The same as data, in a file beside it."}
verdict:
  description: The run in one sentence.
  returned: when it was written
  type: str
  sample: 3 nodes upgraded from 0.8.0 to 0.8.1 in 85 s
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = dict(directory=dict(type="path", default=""), data=dict(type="path", default=""))


def main():
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="report writes on the controller: its action plugin does that, this is never sent to a node")


if __name__ == "__main__":
    main()
