# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._build import (
    distinct,
    is_target,
    mixed,
    mixed_words,
    same_build,
    with_build,
)

ONE, TWO = "1" * 64, "2" * 64


def release(build="", version="0.8.1", **more):
    return dict(version=version, contents=build, **more)


@pytest.mark.parametrize("one, other, same", [
    (release(ONE), release(ONE), True), (release(ONE), release(TWO), False), (release(ONE), release(), True),
    (release(), release(), True), (release(ONE), release(ONE, "0.8.2"), False),
    (release(), dict(version="0.8.1"), True), ({}, {}, False), ({}, release(), False),
])
def test_the_same_build(one, other, same):
    assert {same_build(*pair) for pair in ((one, other), (other, one))} == {same}


@pytest.mark.parametrize("of, target, there", [
    (release(ONE), release(ONE, name="0.8.1-aa"), True),
    (release(ONE), release(TWO, name="0.8.1-aa"), False),
    (release(ONE, name="0.8.1-aa"), release(TWO, name="0.8.1-aa"), True),
    (release(ONE, name="0.8.1-aa", rewritten=True), release(TWO, name="0.8.1-aa"), False),
    (release(ONE, name=None), release(TWO, name=None), False),
    (release(ONE, "0.8.0", name="0.8.1-aa"), release(ONE, name="0.8.1-aa"), False),
])
def test_the_target(of, target, there):
    assert is_target(of, target) is there


def test_one_of_each():
    unknown, first, second, other = release(), release(ONE), release(TWO), release("", "0.8.0")
    assert distinct([unknown, second, first, {}, second, other]) == [second, first, other]
    assert distinct([unknown, unknown]) == [unknown]


def test_a_build_is_told_where_it_makes_the_difference():
    assert with_build(release(ONE), release(TWO)) == "0.8.1 (build 11111111)"
    assert with_build(release(ONE), release()) == with_build(release(ONE), release(ONE)) == "0.8.1"
    assert with_build(release(ONE), release(TWO, "0.8.2")) == "0.8.1" and with_build({}, release(ONE)) == ""


def test_a_mixed_cluster():
    nodes = dict(a=dict(release=release(ONE), kind="3.11 x"), b=dict(release=release(TWO), kind="3.11 x"),
                 c=dict(release=release(ONE), kind="3.11 x"),
                 d=dict(release=release(TWO, "0.8.2"), kind="3.11 x"), e={})
    assert mixed(nodes) == {"0.8.1": {"11111111": ["a", "c"], "22222222": ["b"]}}
    words, = mixed_words(nodes)
    assert words.startswith("the nodes run different builds of 0.8.1 (11111111 on a, c; 22222222 on b): ")
    # A wheel may be for one platform only.
    nodes["b"]["kind"] = "3.11 y"
    assert mixed(nodes) == {} and mixed_words(nodes) == []
