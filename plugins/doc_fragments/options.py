# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc_fragment is private to the collection: it may change at any time, use it only from shakenfist.rolling.


class ModuleDocFragment:
    """Options that several modules have."""

    PIP = r"""
options:
  index_url:
    description:
      - The package index to use instead of the one that pip is configured for on the node.
      - pip gets it in its environment. Credentials in the URL are kept out of the output, and the URL out of logs.
    type: str
  extra_args:
    description: Further arguments of pip, such as V(--pre). Arguments are public; do not put a secret here.
    type: list
    elements: str
    default: []
attributes:
  action_group:
    description: The group by which C(module_defaults) sets these options for all modules that have them.
    support: full
    membership: [shakenfist.rolling.pip]
"""

    LOCK = r"""
options:
  lock:
    description: Packages, as RV(shakenfist.rolling.resolve_info#module:lock) has them.
    type: list
    elements: dict
    suboptions:
      name: {type: str, required: true, description: The name of a package.}
      version: {type: str, required: true, description: Its exact version.}
      sha256:
        description: The digest of its wheel.
        type: str
        required: true
"""

    DATABASE = r"""
options:
  config:
    description: The C(EnvironmentFile) with the database's address and credentials. Only nodes of the database tier
      have these.
    type: path
    required: true
  prefix:
    description: The prefix that settings may carry in the file. With both spellings present the prefixed one counts.
    type: str
    default: ""
"""

    # What runs a script of a release directory.
    SCRIPT = r"""
options:
  release: {type: path, required: true, description: The release directory whose command to run.}
  command:
    description: The name of a script in the C(bin) of O(release), and its arguments.
    type: list
    elements: str
  config:
    description: The C(EnvironmentFile) of the services. The command gets its variables in its environment, as they do.
    type: path
    required: true
"""

    WAIT = r"""
options:
  timeout:
    description:
      - For how many seconds to wait for what is expected. The module fails when they run out.
      - V(0) looks once, never fails for what it saw, and returns it.
    type: float
    default: 0
"""

    # What waits for something that units do once they have been restarted.
    GUARD = r"""
options:
  up_since:
    description:
      - Units of this node that what is waited for depends on, by name, each with its run, as
        O(shakenfist.rolling.units_info#module:up_since) takes it.
      - The module fails as soon as one of them is not active, or is in another run. It looks at most once a second.
    type: dict
"""

    # A server of a balancer that is taken out of rotation, or back.
    ROTATION = r"""
options:
  state:
    description:
      - V(drain) sends it no new requests. In-flight requests are finished.
      - V(ready) undoes that.
    type: str
    choices: [drain, ready]
    required: true
  sessions_timeout:
    description: With O(state=drain), for how many seconds to wait until no in-flight request is left. The module fails
      when they run out. V(0) does not wait.
    type: float
    default: 0
"""

    HAPROXY = r"""
options:
  address:
    description:
      - V(http://HOST:PORT/PATH) is the statistics page, as in C(stats uri). Write
        V(http://USER:PASSWORD@HOST:PORT/PATH) where C(stats auth) wants it. User and password are kept out of the
        result.
      - V(HOST:PORT) is a stats socket over TCP, V(/PATH) a stats socket on the machine that the module runs on.
    type: str
    required: true
  backend: {type: str, required: true, description: The name of the backend.}
attributes:
  action_group:
    description: The group by which C(module_defaults) sets these options for all modules that have them.
    support: full
    membership: [shakenfist.rolling.haproxy]
"""
