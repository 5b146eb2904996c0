#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: webhook
short_description: Post a message to a webhook
version_added: 0.1.0
description:
  - Posts a message as JSON, once, and waits for the answer no longer than O(timeout), whatever the server does.
  - A server that is down is no failure. The module returns what was wrong, in words that hold nothing of the URL, the
    headers or the answer, so they can be shown.
  - It follows no redirection and reads no C(.netrc). The proxy is that of the environment.
options:
  url: {type: str, required: true, description: "The URL, V(http://...) or V(https://...). It is taken for a secret."}
  headers:
    description: Further headers, such as C(Authorization). They are taken for secrets.
    type: dict
    default: {}
  body: {type: dict, required: true, description: The message.}
  timeout:
    description: For how many seconds to wait, for the name of the server, the connection and the answer together.
    type: float
    default: 5
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  check_mode:
    details: Nothing is sent.
  diff_mode: {support: none}
  idempotent:
    support: none
    details: Each call sends a message.
"""

EXAMPLES = r"""
- name: Notify a chat
  shakenfist.rolling.webhook:
    url: "{{ chat_webhook }}"
    body:
      text: The disk of sf-3 was replaced.
  no_log: true
"""

RETURN = r"""
sent: {type: bool, returned: always, description: Whether the server has taken the message.}
problem:
  description: Why it was not sent, in words; empty if it was, and in check mode.
  returned: always
  type: str
  sample: no answer within 5 s
"""

import http.client
import json
import socket
import ssl
import threading
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._http import open_url


def in_words(error):
    """Say what went wrong, and nothing that a URL, a header or a server has put into the error."""
    if isinstance(error, HTTPError):
        return f"it answered {error.code} {http.client.responses.get(error.code, '')}".strip()
    # What ssl complains of may name the host, and the host may be the secret; the code of the complaint does not.
    words = getattr(error, "reason" if isinstance(error, ssl.SSLError) else "strerror", None)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def post(url, headers, body, timeout):
    """Post it; return what was wrong, or an empty string."""
    problem = [f"no answer within {timeout:g} s"]

    def send():
        try:
            open_url(url, data=json.dumps(body).encode(), method="POST", timeout=timeout,
                     headers=dict({"Content-Type": "application/json"}, **headers)).close()
            problem[0] = ""
        except Exception as exc:  # whatever it is, it is no reason to fail
            wrapped = isinstance(exc, URLError) and isinstance(exc.reason, Exception)
            cause = exc.reason if wrapped else exc
            if not isinstance(cause, socket.timeout):
                problem[0] = in_words(cause)

    # The timeout of a socket counts anew for each packet, and none holds for a name server.
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(timeout)
    return problem[0]


def main():
    module = AnsibleModule(
        argument_spec=dict(
            url=dict(type="str", required=True, no_log=True),
            headers=dict(type="dict", default={}, no_log=True),
            body=dict(type="dict", required=True),
            timeout=dict(type="float", default=5),
        ),
        supports_check_mode=True,
    )
    params = module.params
    try:
        address = urlsplit(params["url"])
        sound = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        sound = False
    if not sound:
        module.fail_json(msg="url is no http://HOST/... or https://HOST/...")
    if params["timeout"] <= 0:
        module.fail_json(msg=f"timeout must be more than 0 seconds, not {params['timeout']:g}")

    problem = ""
    if not module.check_mode:
        headers = {name: str(value) for name, value in params["headers"].items()}
        problem = post(params["url"], headers, params["body"], params["timeout"])
    module.exit_json(changed=False, sent=not problem and not module.check_mode, problem=problem)


if __name__ == "__main__":
    main()
