# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the operator has set, against what the roles document. Nothing of it needs a node.

import calendar
import difflib
import glob
import math
import os
import pathlib
import re
import time
from collections import namedtuple
from contextlib import suppress

import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import split_host_pattern
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of, drain_balancers
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._plan import items_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import PRODUCTS, way_of
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._table import listed

ROLES = os.path.join(os.path.dirname(__file__), "..", "..", "roles")
# How alike two names must be to be taken for the same one misspelt; difflib's ratio, found with the names of the roles.
ALIKE = 0.88
OWN = "rolling_"
# Names that were ours, and what has taken their place.
RENAMED = {**dict.fromkeys(("preflight_credentials", "status_credentials", "verify_credentials"),
                           "cluster_credentials"),
           **dict.fromkeys(("stage_strategy", "activate_strategy"), "rolling_strategy")}
# What the roles publish, so that nobody has misspelt it.
FACTS = ("cluster_node", "plan_seen", "reconfigure_left", "reconfigure_runs", "rolling_node",
         "rolling_run", "stage_resolved")
# What the playbooks, and the files of products, tell their plays.
TOLD = ("rolling_kind", "rolling_made_for", "rolling_parts", "rolling_variables")
# Of the playbooks that ask a run for something, which have no role of their own.
REASONS = ("pause_reason", "stop_reason")
# Those that a roll includes, by how it goes about, see way_of.
NODE_BY_NODE = ("hook_before_roll", "hook_before_drain", "hook_after_gate", "hook_after_roll")
HOOKS = {"nodes": NODE_BY_NODE, "services": NODE_BY_NODE, "hosts": NODE_BY_NODE,
         "tier": ("hook_before_roll", "hook_configure", "hook_after_roll")}
ALL_HOOKS = tuple(dict.fromkeys(name for names in HOOKS.values() for name in names))
# Seconds that the clocks of two machines may be apart, see the check of them.
APART = 5
TIME = "%Y-%m-%dT%H:%M:%SZ"


def documented(roles=ROLES):
    """All options in the argument specs of the roles, by name.

    None is required: what a role cannot do without, its caller gives, and not whoever sets variables for all of them.
    """
    options: dict[str, dict] = {}
    for path in sorted(glob.glob(os.path.join(roles, "*", "meta", "argument_specs.yml"))):
        try:
            with open(path, encoding="utf-8") as handle:
                specs = yaml.safe_load(handle)["argument_specs"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as exc:
            raise AnsibleError(f"cannot read argument specs from {path}: {exc}") from exc
        for spec in specs.values():
            options.update((name, {key: value for key, value in option.items() if key != "required"})
                           for name, option in spec.get("options", {}).items())
    if not options:
        raise AnsibleError(f"no role in {roles} documents its variables")
    return options


def prefixes(options):
    """What the names of variables of this collection begin with: those of its playbooks, and those of its roles."""
    return list(dict.fromkeys([OWN.rstrip("_"), *sorted(name.partition("_")[0] for name in options)]))


class _Loader(yaml.SafeLoader):
    """What has a tag of Ansible's own, such as !vault, is no matter here."""


_Loader.add_multi_constructor("!", lambda *dummy: None)

# What is true of the variables of a product, from its file.
# prefix: what those begin with that are of the product alone. names: those that its file sets or reads. options: what
# it documents of them, as an argument spec. way: how it is rolled. parts: the products that its upgrade rolls, if that
# are several.
Product = namedtuple("Product", "prefix names options way parts")


def of_product(product):
    """The Product that C(rolling_product) names, by its name or the path of its file; of Shaken Fist an empty one."""
    path = PRODUCTS / f"{product}.yml"
    path = path if path.is_file() else pathlib.Path(product)
    if not product or not path.is_file():
        return Product("", [], {}, "nodes", [])
    text = path.read_text(encoding="utf-8")
    told = yaml.load(text, Loader=_Loader)
    told = told if isinstance(told, dict) else {}
    named = str(told.get("cluster_distribution", ""))
    prefix = (named if re.fullmatch(r"[\w-]+", named) else path.stem).replace("-", "_") + "_"
    return Product(prefix, sorted(set(re.findall(rf"\b{re.escape(prefix)}\w+", text))),
                   told.get("rolling_variables") or {}, way_of(dict(told, rolling_product=product)),
                   told.get("rolling_parts") or [])


def products_of(product, made_for=""):
    """All that an upgrade rolls, so that what is set for a later part of it is looked at before the first.

    :arg made_for: C(rolling_made_for), the product whose upgrade the playbook is.
    """
    return [of_product(name) for name in dict.fromkeys([product, *of_product(made_for or product).parts])]


def known_of(products):
    """What the variables of some products begin with, and those that their files set or read."""
    return [one.prefix for one in products if one.prefix], [name for one in products for name in one.names]


def ours(words, products=()):
    """What the names of variables match that are meant for this collection, or for a product.

    :arg words: the first word of each; of C(products) all that their variables begin with.
    """
    return re.compile("|".join([*(f"{word}_" for word in words), *products]))


def unknown(names, known, products=()):
    """What is said of names that are meant for this collection, but that it does not know.

    A name that begins with C(rolling_) belongs to nobody else. Others, such as C(drain_...), are only reported when
    they are close to a known one, or were one, for an operator's inventory may have its own use for them.

    :arg products: what the variables of products begin with; C(cinder_drain_timeout) may be meant for one of a role.
    """
    found = []
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if name.startswith(OWN) else ALIKE)
        for product in filter(name.startswith, products):
            near = near or difflib.get_close_matches(name[len(product):], known, n=1, cutoff=ALIKE)
        near = [RENAMED[name]] if name in RENAMED else near
        if near or name.startswith(OWN):
            found.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return found


def limits(limit):
    """The patterns of C(--limit), with those of a file that it names, one a line."""
    found: list[str] = []
    for one in split_host_pattern(limit or ""):
        if one.startswith("@"):
            # One that is not there Ansible has refused.
            with suppress(OSError, UnicodeDecodeError), open(one[1:], encoding="utf-8") as handle:
                found += map(str.strip, handle)
        else:
            found.append(one)
    return found


def unknown_hosts(limit, known):
    """What is said of the names in C(--limit) that no host and no group has; Ansible passes them over.

    A pattern may fit nothing on purpose.
    """
    names = [re.sub(r"^[!&]|\[[-\d:]+\]$", "", one) for one in limits(limit) if one and one[0] not in "~#"]
    found = [name for name in dict.fromkeys(names) if name not in known and not re.search(r"[*?\[]", name)]
    said = []
    for name in found:
        near = difflib.get_close_matches(name, known, n=1)
        said.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return f"--limit names what the inventory does not have: {', '.join(said)}." if said else ""


def is_odd(option, value):
    """Whether a list that is given as a text would have items that nobody means. The conversion leaves blanks there."""
    split = option.get("type") == "list" and option.get("elements") in ("str", "list") and isinstance(value, str)
    return split and any(not part or part != part.strip() for part in value.split(","))


def wrong_types(options, values):
    """What is said of values that are not of the type that is documented."""
    # A text of -e is split at its commas, whatever else is in it.
    quoted = [name for name, value in values.items() if (options.get(name) or {}).get("type") == "list"
              and isinstance(value, str) and value.lstrip().startswith(("[", "{"))]
    if quoted:
        return [f"{name} is a text that looks like a list: write -e '{{\"{name}\": [...]}}'" for name in quoted]
    odd = [name for name, value in values.items() if is_odd(options.get(name) or {}, value)]
    if odd:
        return [f"{name} is split at its commas, and has blanks or empty parts there: leave them out, or write "
                f"-e '{{\"{name}\": [...]}}'" for name in odd]
    spec = {name: {key: option[key] for key in ("type", "elements", "choices", "options") if key in option}
            for name, option in options.items() if name in values}
    return list(ArgumentSpecValidator(spec).validate({name: values[name] for name in spec}).error_messages)


def number(value):
    """A number from a value that may be the text of one; None if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def moment(text):
    """The seconds since the epoch of a time in UTC; None if it is no such time."""
    try:
        return calendar.timegm(time.strptime(text, TIME))
    except ValueError:
        return None


# The least value of each, and what it is a number of.
LEAST = {"prune_keep": (1, " or more"), "verify_bake": (0, " or more seconds"), "roll_settle": (0, " or more seconds"),
         "roll_error_budget": (0, " or more"), "dragonflow_batch": (16, " or more operations"),
         "preflight_balancer_detection": (0, " or more seconds"),
         # With 0 each of them would only be a look whose answer does not count.
         **dict.fromkeys(("gate_timeout", "restart_timeout", "roll_quorum_timeout"), (1, " or more seconds"))}


def impossible(values, nodes, since="", now=None):
    """What is said of values that cannot be met, each by itself well-formed.

    :arg values: what is set, by name.
    :arg nodes: how many nodes the cluster has.
    :arg since: C(rolling_since), where it counts.
    """
    now = time.time() if now is None else now
    found = []
    if values.get("_raw_params"):
        # What -e leaves over, Ansible keeps under this name.
        found.append(f'-e ends a value at its first blank, so that "{values["_raw_params"]}" belongs to no variable; a '
                     "value with blanks needs quotes of its own, as in -e \"NAME='two words'\"")
    if not all(re.fullmatch(" *[1-9][0-9]*%? *", str(item)) for item in items_of(values.get("rolling_serial", 1))):
        found.append("rolling_serial must be a number of nodes above 0, a percentage such as 30%, or a list of these, "
                     "such as -e rolling_serial=1,30%")
    for name, (least, words) in LEAST.items():
        value = values.get(name, least)
        if number(value) is None or number(value) < least:
            found.append(f"{name} is {value}, it must be {least}{words}")
    ready = number(values.get("roll_min_ready", 0)) or 0
    if ready > nodes - 1:
        found.append(f"roll_min_ready is {values['roll_min_ready']}, but a node of this inventory has only {nodes - 1} "
                     "others")
    if not re.match("https?://[^/]|$", str(values.get("tell_webhook_url", ""))):
        found.append("tell_webhook_url, which is not shown here, must begin with http:// or https://")
    timeout = values.get("tell_webhook_timeout", 1)
    if (number(timeout) or 0) <= 0:
        found.append(f"tell_webhook_timeout is {timeout}, it must be more than 0 seconds")
    textfile = str(values.get("tell_textfile", ""))
    if textfile and not textfile.endswith(".prom"):
        found.append(f"tell_textfile is {textfile}, its name must end in .prom, or the collector does not read it")
    if since:
        when = moment(since)
        if when is None:
            found.append(f"rolling_since is {since}, it must be a time in UTC such as 2026-11-21T12:00:00Z "
                         "(date -u +%FT%TZ)")
        elif when > now:
            found.append(f"rolling_since is {since}, which is in the future")
    files = [os.path.expanduser(str(values[name])) for name in ALL_HOOKS if values.get(name)]
    found += [f"no file on this machine, but named by a variable hook_...: {path}"
              for path in dict.fromkeys(files) if not os.path.isfile(path)]
    problem = drain_balancers(balancers_of(values.get))["problem"]
    return found + ([problem] if problem else [])


def unheard(values, ways):
    """What is said of hooks that are set, and that no roll of these ways includes."""
    runs = [name for name in ALL_HOOKS if any(name in HOOKS[way] for way in ways)]
    found = [name for name in ALL_HOOKS if values.get(name) and name not in runs]
    return (f"This roll never includes {listed(found, ' and ')}. It has {listed(runs, ' and ')}: set one of these, or "
            f"leave {'it' if len(found) == 1 else 'them'} out.") if found else ""


def since(restart, given, now=None):
    """From when on daemons count as restarted, where they are only restarted.

    :returns: C(old), before which daemons are behind, 0 where the release tells that; C(since), from which what is
        started is new; and C(words), for the command that continues the run.
    """
    now = time.time() if now is None else now
    when = moment(given) if given else None
    old = 0 if not restart else when if when is not None else now + APART
    new = int(when if when is not None else now - APART)
    return dict(old=old, since=new, words=given or time.strftime(TIME, time.gmtime(new)))
