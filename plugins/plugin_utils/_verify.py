# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# Whether a node that was rolled is what it is to be. What is said of it, nothing where all is well.

import time

from ansible_collections.shakenfist.rolling.plugins.module_utils.parts.units_info import fallen
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import is_target, with_build


def release_problem(name, node, version, target):
    """A node that runs something else, or has daemons from before.

    :arg target: what was resolved, which tells the build where it is of this version.
    """
    found, behind = node["release"], node.get("behind") or []
    target = target if target.get("version") == version else dict(version=version)
    if is_target(found, target) and not behind:
        return ""
    seen = with_build(found, target) or node.get("problem")
    return (f"{name}: expected release {with_build(target, found)}, with every daemon started since; seen {seen}, not "
            f"running or older: {', '.join(behind) or 'none'}. Run the same command again, it rolls what is left.")


def moment_of(since, node, version):
    """Since when there must be no exception, in words."""
    if since == node["release"].get("since"):
        return f"{version} is active"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))


def second_look_problem(name, node, version, readiness, units, exceptions, bake, since, path, advice):
    """A node that was fine at its gate, and is not any more: what was seen of its API, its daemons, its exceptions."""
    if not readiness["ready"]:
        answers = ", ".join(each["answers"] for each in readiness["seen"].values())
        return (f"{name}: expected 200 from every worker for {bake:g} s after its restart; it was ready, and then was "
                f"not: {answers} at the last look. Look at journalctl -u {node['api_unit']} -n 50 there. "
                f"{advice}")
    failed = fallen(units, node["units"])
    if failed:
        journal = "".join(f" -u {unit}" for unit in failed)
        return (f"{name}: expected every daemon to stay up for {bake:g} s after its restart; "
                f"{'; '.join(failed.values())}. The node runs {version}. Look at journalctl{journal} -n 50 there. "
                f"{advice}")
    if exceptions["count"]:
        return (f"{name}: since {moment_of(since, node, version)} there are {exceptions['count']} unhandled exceptions "
                f"in {path}: {', '.join(exceptions['files'])}. The node serves. Read them. If they do not "
                f"matter, the roll is complete. {advice}")
    return ""
