# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# -e NAME=VALUE makes a text of a list and of a dictionary. Each is looked at before the lock, by the conversion of
# argument specs, and whoever reads it has it converted by the same: an argument of an action or a module, or one of a
# few functions.

from __future__ import annotations

import ast
import importlib
import json
import pathlib
import re
import sys

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible/collections"))

from ansible_collections.shakenfist.rolling.plugins.action.forecast import ActionModule as Forecast  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.action.resolve_info import as_list  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._balancers import balancers_of  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._node import names  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._order import units_of  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._run import inventory_of  # noqa: E402
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import documented, wrong_types  # noqa: E402

OPTIONS = {name: option for name, option in documented().items() if option["type"] in ("list", "dict")}
KEYS = ("type", "elements", "choices")
PLUGINS = "ansible_collections.shakenfist.rolling.plugins"

# What a jinja expression may do with one before an action has it.
PLAIN = re.compile(r"\{\{ (?P<name>\w+)( \| default\((omit|\[\]|\{\})\))? \}\}")
# Only whether there is something.
TRUTH = r"\[.*\bNAME\b.*\] \| select \| list"
# Arguments of an action that it hands to a module as they are, and arguments that it converts itself, see below.
HANDED = {("watch", "options"): "probe", ("notify", "webhook"): "webhook"}
ITSELF = {("resolve", "source"): as_list, ("resolve", "units"): names, ("judge", "options", "database"): names}

# To which action role cluster gives what a product is.
PRODUCTS = {"__cluster_product": "look", "__cluster_services": "survey"}


def text_of(option):
    """A value of this type, as the command line has it, and what it means."""
    if option["type"] == "dict":
        return '{"a": "b"}', {"a": "b"}
    if "choices" in option:
        return ",".join(option["choices"][:2]), option["choices"][:2]
    return {"int": ("200,204", [200, 204]), "float": ("5,1.5", [5.0, 1.5]), "path": ("/a,/b", ["/a", "/b"]),
            "list": ("aa,bb", [["aa"], ["bb"]]), "str": ("aa,bb", ["aa", "bb"]),
            "dict": ("name=1,name=2", [{"name": "1"}, {"name": "2"}])}[option["elements"]]


def converted(option, text):
    found = ArgumentSpecValidator({"x": {key: option[key] for key in KEYS if key in option}}).validate({"x": text})
    assert not found.error_messages
    return found.validated_parameters["x"]


# ---- before the lock


@pytest.mark.parametrize("name", OPTIONS)
def test_a_text_passes_and_means_what_it_says(name):
    text, value = text_of(OPTIONS[name])
    assert wrong_types(OPTIONS, {name: text}) == [] and converted(OPTIONS[name], text) == value


@pytest.mark.parametrize("name", OPTIONS)
def test_a_text_that_is_none_is_refused(name):
    for text in ("{",) if OPTIONS[name]["type"] == "dict" else ('["a"]', "["):
        assert wrong_types(OPTIONS, {name: text}), text


# ---- the roles and playbooks


def walk(value, path=()):
    """Every text in a file, and the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, str(key)))
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, path)
    elif isinstance(value, str):
        yield path, value


def options_of(documentation):
    """The options of a module, with those of the fragments that it shares with others."""
    told = yaml.safe_load(documentation)
    found = dict(told.get("options") or {})
    fragments = told.get("extends_documentation_fragment") or []
    for name in [fragments] if isinstance(fragments, str) else fragments:
        file, part = (*name.split("."), "documentation")[2:4]
        fragment = importlib.import_module(f"{PLUGINS}.doc_fragments.{file}").ModuleDocFragment
        found.update(options_of(getattr(fragment, part.upper())))
    return found


def argument_of(plugin, *keys):
    """The option behind these keys of an action, or of the module that the action hands them to."""
    path = ROOT / "plugins" / "action" / f"{plugin}.py"
    if path.exists() and hasattr(importlib.import_module(f"{PLUGINS}.action.{plugin}"), "ARGUMENTS"):
        option = dict(options=importlib.import_module(f"{PLUGINS}.action.{plugin}").ARGUMENTS)
    else:
        module = importlib.import_module(f"{PLUGINS}.modules.{plugin}")
        option = dict(options=options_of(module.DOCUMENTATION))
    for number, key in enumerate(keys):
        if "options" not in option and "suboptions" not in option:
            return argument_of(HANDED[(plugin, *keys[:number])], *keys[number:])
        option = (option.get("options") or option["suboptions"])[key]
    return option


def reader_of(path, keys):
    """What a text goes to: another variable, an action with the keys of an argument, or nothing that is known."""
    collection = [number for number, key in enumerate(keys) if key.startswith("shakenfist.rolling.")]
    if collection and len(keys) > collection[-1] + 1:
        return "argument", (keys[collection[-1]].rpartition(".")[2], *keys[collection[-1] + 1:])
    if keys[0] in PRODUCTS:
        return "argument", (PRODUCTS[keys[0]], "product", *keys[1:])
    if keys[-1] in OPTIONS and (len(keys) == 1 or keys[-2] == "vars"):
        return "variable", keys[-1]
    return "nothing", keys


def is_in(name, text):
    """Whether a variable is read there. After a dot it is a key of something else."""
    return re.search(rf"(?<![.\w]){name}\b", text)


FILES = sorted([*ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
READ = [(path, keys, text, name) for path in FILES if path.name != "argument_specs.yml"
        for keys, text in walk(yaml.safe_load(path.read_text(encoding="utf-8")))
        if keys[-1] not in ("name", "description") for name in OPTIONS if is_in(name, text)]


def is_converted(path, keys, text, name):
    """Whether a text of a role leads the variable to a reader that converts it."""
    if not is_in(name, re.sub(TRUTH.replace("NAME", name), "", text)):
        return True
    found = PLAIN.fullmatch(text)
    kind, reader = reader_of(path, keys)
    if not found or found["name"] != name or kind == "nothing":
        return False
    given, value = text_of(OPTIONS[name])
    if reader in ITSELF:
        return ITSELF[reader](given) == value
    option = OPTIONS[reader] if kind == "variable" else argument_of(*reader)
    return option["type"] == OPTIONS[name]["type"] and converted(option, given) == value


@pytest.mark.parametrize("path, keys, text, name", READ, ids=[
    f"{path.relative_to(ROOT)}:{keys[-1]}:{name}" for path, keys, dummy, name in READ])
def test_a_role_gives_it_to_who_converts_it(path, keys, text, name):
    assert is_converted(path, keys, text, name), f"{text} in {'.'.join(keys)}"


def test_the_test_can_fail():
    path, task = ROOT / "roles" / "x" / "tasks" / "main.yml", "shakenfist.rolling.node"
    for keys, text, name in ((("when",), "'sf-1' in status_database_nodes", "status_database_nodes"),
                             ((task, "minimum"), "{{ drain_peers | length }}", "drain_peers"),
                             ((task, "minimum"), "{{ drain_peers }}", "drain_peers"),
                             (("loop",), "{{ balancer_nginx_hosts }}", "balancer_nginx_hosts"),
                             ((task, "units"), "{{ restart_order }}", "restart_order")):
        assert not is_converted(path, keys, text, name), text
    assert is_converted(path, (task, "peers"), "{{ drain_peers }}", "drain_peers")


# ---- the plugins

GROUPS = {"allsf": ["sf-1", "sf-2"], "aa": ["sf-1"], "bb": ["sf-2"]}
NODE = dict(daemons=["aa", "bb", "cc"], api_unit="aa", restart_order=[["*"]], database_unit="db", sentinels=[],
            units={name: dict(active=True) for name in ("aa", "bb", "cc")})


def forecast(name, value):
    return Forecast.node({"sf-1": {"cluster_node": NODE, name: value}}, "sf-1")["tiers"]


# Who reads a variable by its name.
READERS = {
    ("action/run.py", "rolling_database_groups"): lambda value: inventory_of(
        "upgrade", GROUPS, rolling_database_groups=value),
    ("action/migration.py", "restart_units"): lambda value: units_of(NODE, value),
    ("action/judge.py", "restart_units"): lambda value: units_of(NODE, value),
    ("action/forecast.py", "restart_units"): lambda value: forecast("restart_units", value),
    ("action/forecast.py", "restart_order"): lambda value: forecast("restart_order", value),
    ("plugin_utils/_balancers.py", "balancer_nginx_hosts"): lambda value: balancers_of(
        dict(balancer_nginx_hosts=value).get),
    ("plugin_utils/_balancers.py", "balancer_apache_hosts"): lambda value: balancers_of(
        dict(balancer_apache_hosts=value).get),
    ("plugin_utils/_balancers.py", "drain_balancer_sources"): lambda value: balancers_of(
        dict(drain_balancer_sources=value).get),
}


# A node has something of the same name; a run, and who drains a server, ask only whether there is any.
OTHERS = {*((f"plugin_utils/{name}.py", "restart_order") for name in ("_node", "_order")),
          ("plugin_utils/_run.py", "cluster_hosts"), ("action/balancers.py", "drain_peers")}


def test_every_option_is_read():
    assert {name for dummy, dummy, dummy, name in READ} | {name for dummy, name in READERS} == set(OPTIONS)


@pytest.mark.parametrize("where, name", READERS, ids=map(":".join, READERS))
def test_a_plugin_converts_it(where, name):
    text, value = text_of(OPTIONS[name])
    assert READERS[where, name](text) == READERS[where, name](value) != READERS[where, name](value[:1])


def test_no_other_plugin_reads_one():
    found = set()
    for path in ROOT.glob("plugins/*/*.py"):
        constants = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                     if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        found |= {("/".join(path.parts[-2:]), name) for name in OPTIONS if name in constants}
    assert found == {*READERS, *OTHERS}


def test_a_dictionary_of_the_command_line_is_read_by_json():
    """Also one with what is no text."""
    assert converted(OPTIONS["tell_webhook_extra"], json.dumps({"a": {"b": [1, True]}})) == {"a": {"b": [1, True]}}
