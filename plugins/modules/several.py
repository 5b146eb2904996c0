#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: several
short_description: Run several modules of this collection in one go
version_added: 0.1.0
description:
  - Runs modules one after the other, up to the first that fails. To start a module costs a node about a quarter of a
    second, so what asks for several things in a row has them all for the price of one start.
  - They share the Python interpreter, so M(shakenfist.rolling.grpc_health_info) and M(shakenfist.rolling.schema_info)
    need the one of the virtualenv here, too.
options:
  calls:
    description: What to run.
    type: list
    elements: dict
    required: true
    suboptions:
      module:
        description: The name of the module, without that of the collection.
        type: str
        required: true
        choices:
          [config_info, ctl_info, exceptions_info, grpc_health_info, haproxy_info, haproxy_server, host_info, lock,
            lock_info, nodes_info, ready_info, release_info, schema, schema_info, units, units_info]
      arguments: {type: dict, default: {}, description: What the module is given.}
extends_documentation_fragment: shakenfist.rolling.attributes
attributes:
  idempotent:
    support: partial
    details: As each of the modules is.
"""

EXAMPLES = r"""
- name: Look at the releases and the daemons of a node
  shakenfist.rolling.several:
    calls:
      - module: release_info
        arguments: {path: /srv/shakenfist/venv, releases: /srv/shakenfist/releases, distribution: shakenfist}
      - module: units_info
        arguments: {patterns: ["sf-*"]}
"""

RETURN = r"""
answers:
  description: What each module that ran has returned, in that order, and in C(seconds) how long it took. C(failed) is
    true of one that has failed, which is the last one then.
  returned: always
  type: list
  elements: dict
"""

import importlib
import time
import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils import parts
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    PARTS,
    RollingError,
    as_part,
    without_passwords,
)


def packed():
    """What Ansible is to bring to the node. Nobody calls this: a node imports only what it runs, which takes time."""
    from ansible_collections.shakenfist.rolling.plugins.module_utils.parts import (  # noqa: F401
        config_info,
        ctl_info,
        exceptions_info,
        grpc_health_info,
        haproxy_info,
        haproxy_server,
        host_info,
        lock,
        lock_info,
        nodes_info,
        ready_info,
        release_info,
        schema,
        schema_info,
        units,
        units_info,
    )


def answer_of(module, call):
    """What the module of one call would return."""
    began = time.monotonic()
    try:
        part = importlib.import_module(f"{parts.__name__}.{call['module']}")
        answer = part.run(as_part(module, part, call["arguments"]))
    except RollingError as exc:
        answer = dict(exc.details, failed=True, msg=exc.message)
    except Exception as exc:
        # What those before it have done must not get lost.
        answer = dict(failed=True, msg=f"{type(exc).__name__}: {exc}", exception=traceback.format_exc())
    return without_passwords(dict(dict(changed=False, failed=False), **answer,
                                  seconds=round(time.monotonic() - began, 3)))


def main():
    module = AnsibleModule(
        # What a module is called with is logged before the part can say what of it is secret.
        argument_spec=dict(calls=dict(type="list", elements="dict", required=True, no_log=True, options=dict(
            module=dict(type="str", required=True, choices=list(PARTS)),
            arguments=dict(type="dict", default={})))),
        supports_check_mode=True,
    )
    # But hidden, wherever its words are said, is only what the part says then.
    module.no_log_values.clear()
    answers = []
    for call in module.params["calls"]:
        answers.append(answer_of(module, call))
        if answers[-1]["failed"]:
            break
    result = dict(changed=any(answer["changed"] for answer in answers), answers=answers,
                  diff=[answer["diff"] for answer in answers if "diff" in answer])
    if answers and answers[-1]["failed"]:
        module.fail_json(msg=answers[-1]["msg"], **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
