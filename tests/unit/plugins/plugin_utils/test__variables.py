# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._variables import (
    ALL_HOOKS,
    documented,
    impossible,
    of_product,
    prefixes,
    products_of,
    since,
    unheard,
    unknown,
    unknown_hosts,
    wrong_types,
)

KNOWN = ["rolling_release", "drain_timeout", "roll_settle"]
NOON = 1795867200  # 2026-11-28T12:00:00Z


@pytest.mark.parametrize("names, expected", [
    ([], []),
    (KNOWN, []),
    (["rolling_relase"], ["rolling_relase (did you mean rolling_release?)"]),
    (["drain_timout"], ["drain_timout (did you mean drain_timeout?)"]),
    (["drain_the_swamp", "gate_keeper"], []),
    (["roll_setle", "rolling_relase", "roll_setle"],
     ["roll_setle (did you mean roll_settle?)", "rolling_relase (did you mean rolling_release?)"]),
    (["rolling_xyzzy"], ["rolling_xyzzy"]),
])
def test_unknown(names, expected):
    assert unknown(names, KNOWN) == expected


@pytest.mark.parametrize("product, prefix, has, lacks, way", [
    ("cinder", "cinder_", ["cinder_batch", "cinder_api_headers"], ["cinder_"], "services"),
    ("dragonflow", "dragonflow_", ["dragonflow_etcd"], ["dragonflow_steps"], "tier"),
    ("ganeti", "ganeti_", ["ganeti_lock"], [], "hosts"),
    ("synnefo", "synnefo_", ["synnefo_reboot", "synnefo_steps"], [], "tier"),
    ("", "", [], [], "nodes"), ("no such file", "", [], [], "nodes"),
])
def test_the_variables_of_a_product(product, prefix, has, lacks, way):
    found = of_product(product)
    assert (found.prefix, found.way) == (prefix, way)
    assert set(has) <= set(found.names) and not set(lacks) & set(found.names)
    assert set(found.options) <= set(found.names) and bool(found.options) == bool(prefix)


@pytest.mark.parametrize("text, prefix, names, options", [
    ("cluster_distribution: key-stone\ncluster_user: \"{{ key_stone_user | default('x') }}\"\n",
     "key_stone_", ["key_stone_user"], {}),
    ("cluster_distribution: \"{{ x }}\"\nx: !vault y\n", "product_", [], {}),
    ("rolling_variables: {product_a: {type: int}}\n", "product_", ["product_a"], {"product_a": {"type": "int"}}),
    ("$ANSIBLE_VAULT;1.1;AES256\n6633\n", "product_", [], {}),
])
def test_the_variables_of_a_product_of_your_own(tmp_path, text, prefix, names, options):
    path = tmp_path / "product.yml"
    path.write_text(text)
    assert of_product(str(path)) == (prefix, names, options, "services", [])


@pytest.mark.parametrize("product, made_for, prefixes", [
    ("", "", [""]), ("cinder", "cinder", ["cinder_"]), ("ganeti", "ganeti", ["ganeti_"]),
    ("ganeti", "synnefo", ["ganeti_", "synnefo_"]), ("synnefo", "synnefo", ["synnefo_", "ganeti_"]),
    ("synnefo", "", ["synnefo_", "ganeti_"]),
])
def test_the_products_of_an_upgrade(product, made_for, prefixes):
    assert [found.prefix for found in products_of(product, made_for)] == prefixes


@pytest.mark.parametrize("name, expected", [
    ("cinder_bach", " (did you mean cinder_batch?)"), ("cinder_roll_setle", " (did you mean roll_settle?)"),
    ("cinder_roll_settle", " (did you mean roll_settle?)"), ("cinder_batch", None), ("cinder_backup_driver", None),
])
def test_a_misspelt_variable_of_a_product(name, expected):
    known = [*KNOWN, "cinder_batch"]
    assert unknown([name], known, ["glance_", "cinder_"]) == ([name + expected] if expected else [])


@pytest.mark.parametrize("name", ["preflight_credentials", "status_credentials", "verify_credentials"])
def test_names_that_have_changed(name):
    assert unknown([name], [*KNOWN, "cluster_credentials"]) == [f"{name} (did you mean cluster_credentials?)"]


def write(path, options):
    path.mkdir(parents=True)
    (path / "argument_specs.yml").write_text(yaml.safe_dump({"argument_specs": {"main": {"options": options}}}))


def test_documented(tmp_path):
    write(tmp_path / "a" / "meta", {"a_x": dict(type="int", required=True), "a_y": dict(type="str")})
    write(tmp_path / "b" / "meta", {"b_x": dict(type="bool", default=False)})
    assert documented(str(tmp_path)) == {"a_x": dict(type="int"), "a_y": dict(type="str"),
                                         "b_x": dict(type="bool", default=False)}


def test_prefixes():
    assert prefixes(["watch_url", "lock_path", "rolling_release", "lock_lease"]) == ["rolling", "lock", "watch"]
    # Those of a role that was made of several parts are among them.
    parts = {"lock", "watch", "hook", "tell", "report", "stage", "activate", "prune", "rollback"}
    assert parts < set(prefixes(documented()))


@pytest.mark.parametrize("text, message", [("[", "cannot read argument specs from .*a/meta"), ("{}", "cannot read")])
def test_specs_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / "a" / "meta").mkdir(parents=True)
    (tmp_path / "a" / "meta" / "argument_specs.yml").write_text(text)
    with pytest.raises(AnsibleError, match=message):
        documented(str(tmp_path))


def test_no_role(tmp_path):
    with pytest.raises(AnsibleError, match="no role in .* documents"):
        documented(str(tmp_path))


def test_types():
    options = {"a": dict(type="int", description="x"), "b": dict(type="str", choices=["x"], default="x"), "c": {}}
    assert wrong_types(options, {}) == wrong_types(options, {"a": "7", "b": "x"}) == []
    assert len(wrong_types(options, {"a": "many", "b": "y"})) == 2


def test_a_list_as_a_text():
    options = {"a": dict(type="list", elements="str"), "b": dict(type="dict")}
    assert wrong_types(options, {"a": "x,y", "b": "{'x': 1}"}) == [] == wrong_types(options, {"a": ["[x]"]})
    assert wrong_types(options, {"a": ' ["x", "y"]'}) == [
        "a is a text that looks like a list: write -e '{\"a\": [...]}'"]


@pytest.mark.parametrize("option, text, odd", [
    (dict(type="list", elements="str"), "x, y", True), (dict(type="list", elements="str"), "x,", True),
    (dict(type="list", elements="str"), "", True), (dict(type="list", elements="list"), "x ,y", True),
    (dict(type="list", elements="str"), "x y,z", False), (dict(type="list", elements="str"), ["x ", ""], False),
    # These are converted item by item.
    (dict(type="list", elements="int"), "200, 204", False), (dict(type="list", elements="path"), "", False),
    (dict(type="str"), "x, y", False), (dict(type="dict"), "a=1, b=2", False),
])
def test_a_text_with_items_that_nobody_means(option, text, odd):
    words = ["a is split at its commas, and has blanks or empty parts there: leave them out, or write "
             "-e '{\"a\": [...]}'"]
    assert wrong_types({"a": option}, {"a": text}) == words * odd


@pytest.mark.parametrize("limit, said", [
    (None, []), ("", []), ("sf-1,sf-2", []), ("database:!sf-1", []), ("all,&database", []), ("sf-*", []), ("nope*", []),
    ("~sf-[19]", []), ("@failed.txt", []), ("database[0]", []), ("allsf[0:1]", []),
    ("sf-1,sf-33", ["sf-33 (did you mean sf-"]),
    ("!sf-33,zzz,zzz", ["sf-33 (did you mean", ", zzz."]), ("nodes[0]", ["nodes"]),
    ("fd00::1", []), ("fd00::2", ["fd00::2"]),
])
def test_a_limit(limit, said):
    words = unknown_hosts(limit, ["all", "allsf", "database", "sf-1", "sf-2", "fd00::1"])
    assert bool(words) == bool(said) and [one for one in said if one not in words] == []
    assert words.startswith("--limit names what the inventory does not have: ") or not said


def test_a_limit_in_a_file(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("sf-1\n\n# the rest\n !sf-33 \nsf-2*\n")
    assert unknown_hosts(f"database,@{path}", ["sf-1", "sf-2", "database"]) == (
        "--limit names what the inventory does not have: sf-33 (did you mean sf-2?).")
    assert unknown_hosts(f"@{tmp_path}/none", ["sf-1"]) == ""


@pytest.mark.parametrize("values, words", [
    ({}, None),
    ({"rolling_serial": ["1", "50%", 3]}, None),
    ({"rolling_serial": "1,2"}, None),
    ({"rolling_serial": "1, 30%"}, None),
    ({"rolling_serial": "1,,2"}, "such as -e rolling_serial=1,30%"),
    ({"rolling_serial": "[1, 2]"}, "such as -e rolling_serial=1,30%"),
    ({"rolling_serial": []}, "rolling_serial must be"),
    ({"rolling_serial": 0}, "rolling_serial must be"),
    ({"rolling_serial": "half"}, "rolling_serial must be"),
    ({"prune_keep": 0}, "prune_keep is 0, it must be 1 or more"),
    ({"preflight_balancer_detection": "-1"}, "preflight_balancer_detection is -1, it must be 0 or more seconds"),
    ({"gate_timeout": 0}, "gate_timeout is 0, it must be 1 or more seconds"),
    ({"roll_quorum_timeout": "0"}, "roll_quorum_timeout is 0, it must be 1 or more seconds"),
    ({"restart_timeout": "-1"}, "restart_timeout is -1, it must be 1 or more seconds"),
    ({"gate_timeout": "20"}, None),
    ({"verify_bake": -1}, "verify_bake is -1, it must be 0 or more seconds"),
    ({"roll_settle": "nan"}, "roll_settle is nan, it must be 0 or more seconds"),
    ({"roll_error_budget": "-1"}, "roll_error_budget is -1, it must be 0 or more"),
    ({"roll_min_ready": 3}, "roll_min_ready is 3, but a node of this inventory has only 2 others"),
    ({"roll_min_ready": 2}, None),
    ({"tell_webhook_url": "ftp://x"}, "tell_webhook_url, which is not shown here, must begin"),
    ({"tell_webhook_url": "https://x"}, None),
    ({"tell_webhook_timeout": 0}, "tell_webhook_timeout is 0, it must be more than 0 seconds"),
    ({"tell_textfile": "/x"}, "tell_textfile is /x, its name must end in .prom"),
    ({"hook_before_roll": "/not/there.yml"},
     "no file on this machine, but named by a variable hook_...: /not/there.yml"),
    ({"drain_tell_first": "true"}, "drain_tell_first is true, but no balancer"),
    ({"dragonflow_batch": 8}, "dragonflow_batch is 8, it must be 16 or more operations"),
    ({"_raw_params": "is full"}, '-e ends a value at its first blank, so that "is full" belongs to no variable'),
])
def test_impossible(values, words):
    found = impossible(values, 3, now=NOON)
    assert len(found) == bool(words) and all(words in each for each in found)


@pytest.mark.parametrize("given, words", [
    ("2026-11-28T11:00:00Z", None), ("noon", "it must be a time in UTC"), ("2026-11-28T13:00:00Z", "is in the future"),
])
def test_a_moment(given, words):
    found = impossible({}, 3, since=given, now=NOON)
    assert len(found) == bool(words) and all(words in each for each in found)


@pytest.mark.parametrize("ways, refused", [
    (["nodes"], ["hook_configure"]), (["services"], ["hook_configure"]), (["hosts"], ["hook_configure"]),
    (["tier"], ["hook_before_drain", "hook_after_gate"]), (["hosts", "tier"], []),
])
def test_a_hook_that_the_roll_has_not(ways, refused):
    assert [name for name in ALL_HOOKS if unheard({name: "x.yml"}, ways)] == refused
    assert unheard({}, ways) == unheard(dict.fromkeys(ALL_HOOKS, ""), ways) == ""


def test_what_is_said_of_hooks_that_the_roll_has_not():
    assert unheard({"hook_configure": "x.yml"}, ["nodes"]) == (
        "This roll never includes hook_configure. It has hook_before_roll, hook_before_drain, hook_after_gate and "
        "hook_after_roll: set one of these, or leave it out.")
    assert unheard(dict.fromkeys(ALL_HOOKS, "x.yml"), ["tier"]).endswith("or leave them out.")


def test_since():
    assert since(False, "", NOON)["old"] == 0
    assert since(True, "", NOON) == dict(old=NOON + 5, since=NOON - 5, words="2026-11-28T11:59:55Z")
    assert since(True, "2026-11-28T11:00:00Z", NOON) == dict(old=NOON - 3600, since=NOON - 3600,
                                                             words="2026-11-28T11:00:00Z")
