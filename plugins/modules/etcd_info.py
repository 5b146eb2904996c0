#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: etcd_info
short_description: Ask the members of etcd for their alarms and their room
version_added: 0.2.0
description:
  - Asks each member by the JSON gateway of etcd, so that it is known before a migration whether there is room for it.
    One that does not answer is no failure of the module.
requirements: ["etcd 3.4 or later, with its JSON gateway, which is on by default, and without user authentication"]
options:
  endpoints:
    description: The URLs of etcd's members, such as V(http://192.0.2.1:2379).
    type: list
    elements: str
    required: true
  ca_file: {type: path, description: "The certificates of those who may sign etcd's, as PEM."}
  cert_file: {type: path, description: "The certificate that etcd is shown, as PEM."}
  key_file: {type: path, description: "The private key of O(cert_file), as PEM."}
  timeout: {type: float, default: 10, description: For how many seconds to wait for an answer.}
extends_documentation_fragment: shakenfist.rolling.attributes.info
"""

EXAMPLES = r"""
- name: Ask etcd for alarms
  shakenfist.rolling.etcd_info:
    endpoints: ["http://192.0.2.1:2379"]
  register: etcd
"""

RETURN = r"""
members:
  description: Of each endpoint its C(version), the C(alarms) of the cluster that it has on record, how many bytes its
    data takes, C(in_use), and how many it may take, C(quota), V(0) where it does not say. C(problem) is why it did not
    answer, empty if it did.
  returned: success
  type: list
  elements: dict
  sample: [{"endpoint": "http://192.0.2.1:2379", "version": "3.4.23", "alarms": [], "in_use": 126976, "quota":
    2147483648, "problem": ""}]
"""

import contextlib
import http.client
import json
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import conclude
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import hide_credentials, open_url

QUOTA = re.compile(r"^etcd_server_quota_backend_bytes (\S+)$", re.MULTILINE)


def asked(params, url, body=None):
    """The text of an answer."""
    tls = {name: params[name] for name in ("ca_file", "cert_file", "key_file") if params[name]}
    tls = {dict(ca_file="ca_path", cert_file="client_cert", key_file="client_key")[name]: path
           for name, path in tls.items()}
    more = {} if body is None else dict(data=json.dumps(body), method="POST",
                                        headers={"Content-Type": "application/json"})
    with contextlib.closing(open_url(url, timeout=params["timeout"], use_proxy=False, **tls, **more)) as answer:
        return answer.read().decode()


def quota_of(params, endpoint):
    """Only the metrics tell; where they are elsewhere, nobody does."""
    try:
        found = QUOTA.search(asked(params, f"{endpoint}/metrics"))
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return 0
    return int(float(found.group(1))) if found else 0


def member_of(params, endpoint):
    found = dict(endpoint=endpoint, version="", alarms=[], in_use=0, quota=0, problem="")
    try:
        status = json.loads(asked(params, f"{endpoint}/v3/maintenance/status", {}))
        alarms = json.loads(asked(params, f"{endpoint}/v3/maintenance/alarm", dict(action="GET")))
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return dict(found, problem=str(getattr(exc, "reason", exc)) or type(exc).__name__)
    # What is 0 is left out.
    used = status.get("dbSizeInUse", status.get("dbSize", 0))
    return dict(found, version=status.get("version", ""), in_use=int(used), quota=quota_of(params, endpoint),
                alarms=sorted({one["alarm"] for one in alarms.get("alarms") or [] if one.get("alarm")}))


def main():
    module = AnsibleModule(argument_spec=dict(
        endpoints=dict(type="list", elements="str", required=True), ca_file=dict(type="path"),
        cert_file=dict(type="path"), key_file=dict(type="path", no_log=False), timeout=dict(type="float", default=10)),
        supports_check_mode=True)
    hide_credentials(module, *module.params["endpoints"])
    conclude(module, lambda: dict(members=[member_of(module.params, endpoint.rstrip("/"))
                                           for endpoint in module.params["endpoints"]]))


if __name__ == "__main__":
    main()
